/* naive.c - see naive.h. Nothing here is fast, and nothing is remembered that can be computed. */
#include <stdlib.h>
#include <string.h>

#include "naive_private.h"

#define MOST_TOKENS INT32_MAX

static void take_out(uint32_t *ids, size_t *count, uint32_t id)
{
	size_t i = 0;

	while (ids[i] != id)
		i++;
	(*count)--;
	memmove(&ids[i], &ids[i + 1], (*count - i) * sizeof(*ids));
}

static int64_t tokens(int64_t t)
{
	return t < 0 ? 0 : t > MOST_TOKENS ? MOST_TOKENS : t;
}

/* ---- answers ---- */

static struct naive_action *answer(struct naive *n, slo_nsec now, uint32_t id,
                                   enum naive_verdict verdict, enum naive_reason reason)
{
	struct naive_action *a = &n->action[n->actions++];
	struct request *r = &n->request[id];

	*a = (struct naive_action){ .id = id, .verdict = verdict, .reason = reason };
	a->strategy = r->ask.strategy;
	a->server = -1;
	a->at = now;
	a->waited = now - r->arrived;
	if (r->state == WAITING)
		take_out(n->model[r->ask.model].queue, &n->model[r->ask.model].queued, id);
	return a;
}

void naive_forget_old(struct naive *n, slo_nsec now)
{
	while (n->n_over > 0 && (n->n_over > n->conf.remember_limit ||
	                         now - n->request[n->over[0]].over >= n->conf.remember)) {
		n->request[n->over[0]] = (struct request){ .state = UNSEEN };
		take_out(n->over, &n->n_over, n->over[0]);
	}
}

void naive_remember(struct naive *n, slo_nsec now, uint32_t id)
{
	n->request[id].state = OVER;
	n->request[id].over = now;
	n->over[n->n_over++] = id;
}

void naive_refuse(struct naive *n, slo_nsec now, uint32_t id, enum naive_reason reason)
{
	answer(n, now, id, NAIVE_REJECT, reason);
	naive_remember(n, now, id);
}

uint64_t naive_floored(const struct deployment *d, uint64_t load)
{
	return load > d->rates.floor ? load : d->rates.floor;
}

uint64_t naive_load(const struct deployment *d, const struct naive_request *r)
{
	return d->profile.known ? naive_floored(d, naive_profile_load(&d->profile, r)) : 0;
}

struct naive_action *naive_place(struct naive *n, slo_nsec now, uint32_t id, int server,
                                 enum naive_verdict verdict, enum naive_reason reason)
{
	struct naive_action *a = answer(n, now, id, verdict, reason);
	struct request *r = &n->request[id];
	struct model *m = &n->model[r->ask.model];

	r->state = DISPATCHED;
	r->placed = now;
	r->server = (unsigned)server;
	r->load = naive_load(naive_deployment_of(m, r->server), &r->ask);
	if (r->staked)
		r->load = naive_adaptive_load(naive_deployment_of(m, r->server), &r->ask);
	naive_adaptive_reads(n, now, r->server, naive_deployment_of(m, r->server), &r->ask);
	n->dispatched[n->n_dispatched++] = id;
	n->server[server].used += r->load;
	if (r->changes != n->changes)
		r->departed = ++n->departures;
	naive_weighed(n, r->ask.model, r->server, r->load);
	n->server[server].inflight++;
	m->turn[server] = ++m->turns;
	a->server = server;
	a->load = r->load;
	if (verdict == NAIVE_ROUTE)
		naive_placed(n, id);
	return a;
}

/* Places a request by a strategy that looks at no SLO. */
void naive_place_anywhere(struct naive *n, slo_nsec now, uint32_t id, enum naive_strategy strategy,
                          enum naive_verdict verdict, enum naive_reason reason)
{
	const struct model *m = &n->model[n->request[id].ask.model];
	unsigned choice = 0, choices = 0;
	struct naive_action *a;
	int server;

	if (strategy == NAIVE_RANDOM)
		server = naive_pick_random(n, m, &choice, &choices);
	else
		server = naive_pick_least_request(n, m);
	if (server < 0) {
		naive_refuse(n, now, id, NAIVE_NO_SERVER);
		return;
	}
	a = naive_place(n, now, id, server, verdict, reason);
	a->strategy = strategy;
	a->choice = choice;
	a->choices = choices;
}

/* ---- events ---- */

static slo_nsec earlier(slo_nsec first, slo_nsec since, slo_nsec span)
{
	return span != SLO_NEVER && since + span < first ? since + span : first;
}

/* The waiting request that is given up before all others. */
static bool first_given_up(const struct naive *n, uint32_t *id)
{
	bool found = false;

	for (unsigned m = 0; m < NAIVE_MODELS; m++) {
		for (size_t i = 0; i < n->model[m].queued; i++) {
			uint32_t k = n->model[m].queue[i];
			slo_nsec a = naive_held_until(n, k),
				 b = found ? naive_held_until(n, *id) : 0;

			if (!found || a < b || (a == b && n->request[k].seq < n->request[*id].seq))
				*id = k;
			found = true;
		}
	}
	return found;
}

static bool overdue(const struct naive *n, slo_nsec now, uint32_t *id)
{
	return first_given_up(n, id) && naive_held_until(n, *id) <= now;
}

slo_nsec naive_wakeup(const struct naive *n)
{
	uint32_t id;

	slo_nsec first = naive_next_turn(n);

	if (first_given_up(n, &id) && naive_held_until(n, id) < first)
		first = naive_held_until(n, id);
	first = naive_fresh_until(n) < first ? naive_fresh_until(n) : first;
	for (size_t i = 0; i < n->n_dispatched; i++)
		first = earlier(first, n->request[n->dispatched[i]].placed, n->conf.lease);
	return first;
}

void naive_release(struct naive *n, slo_nsec now, uint32_t id)
{
	struct request *r = &n->request[id];

	if (r->unheard)
		naive_fresh_no_more(n, id);
	else if (n->others > 0 && r->owner == 0)
		n->server[r->server].left += r->load;
	n->server[r->server].used -= r->load;
	n->server[r->server].inflight--;
	take_out(n->dispatched, &n->n_dispatched, id);
	if (r->owner != 0)
		naive_foreign_over(n, now, id);
	else
		naive_remember(n, now, id);
}

/* A request that was dispatched too long ago. */
static bool outlived(const struct naive *n, slo_nsec now, uint32_t *id)
{
	for (size_t i = 0; i < n->n_dispatched; i++) {
		*id = n->dispatched[i];
		if (now - n->request[*id].placed >= n->conf.lease)
			return true;
	}
	return false;
}

/* All models that use the server. */
void naive_concerns_server(struct naive *n, unsigned server)
{
	for (unsigned m = 0; m < NAIVE_MODELS; m++)
		n->concerned[m] |= n->model[m].seated[server] != 0;
}

/* Push: the most relaxed deployment, full or not. */
static void push(struct naive *n, slo_nsec now, uint32_t id)
{
	const struct request *r = &n->request[id];
	const struct model *m = &n->model[r->ask.model];
	struct naive_option option[NAIVE_DEPLOYMENTS];

	if (naive_options(n, r, option) == 0)
		naive_place_anywhere(n, now, id, n->conf.fallback, NAIVE_FALLBACK,
		                     naive_why_no_options(m));
	else
		naive_place(n, now, id,
		            naive_pick_least_load(n, &m->deployment[option[0].deployment]),
		            NAIVE_ROUTE, NAIVE_NO_REASON);
}

/* A request whose answer does not depend on the queue. */
static void answer_due(struct naive *n, slo_nsec now, uint32_t id)
{
	enum naive_strategy strategy = n->request[id].ask.strategy;
	enum naive_reason reason = n->request[id].due_reason;

	if (reason == NAIVE_ENDED || reason == NAIVE_UNKNOWN_MODEL) {
		answer(n, now, id, NAIVE_PASS, reason);
		naive_remember(n, now, id);
	} else if (reason != NAIVE_NO_REASON) {
		naive_refuse(n, now, id, reason);
	} else if (strategy == NAIVE_PUSH) {
		push(n, now, id);
	} else {
		naive_place_anywhere(n, now, id, strategy, NAIVE_ROUTE, NAIVE_NO_REASON);
	}
}

/* Whatever there is to do after an event: first what is over because of the time alone. */
void naive_settle(struct naive *n, slo_nsec now)
{
	uint32_t id;

	n->now = now;
	naive_forget_old(n, now);
	while (outlived(n, now, &id)) {
		naive_concerns_server(n, n->request[id].server);
		naive_release(n, now, id);
	}
	naive_take_turns(n, now);
	naive_give_up(n, now);
	while (overdue(n, now, &id)) {
		n->concerned[n->request[id].ask.model] = true;
		naive_refuse(n, now, id, NAIVE_QUEUE_TIMEOUT);
	}
	for (size_t i = 0; i < n->n_due; i++)
		answer_due(n, now, n->due[i]);
	n->n_due = 0;
	naive_decide(n, now);
	for (unsigned s = 0; s < NAIVE_SERVERS; s++)
		n->server[s].left = 0;
}

void naive_advance(struct naive *n, slo_nsec t)
{
	slo_nsec due;

	while ((due = naive_wakeup(n)) <= t && due != SLO_NEVER)
		naive_settle(n, due < n->now ? n->now : due);
}

void naive_nothing(struct naive *n, slo_nsec t)
{
	naive_settle(n, t);
}

void naive_configure(struct naive *n, slo_nsec t, const struct naive_conf *conf)
{
	for (unsigned m = 0; m < NAIVE_MODELS; m++)
		n->concerned[m] |= n->conf.late != conf->late ||
		                   n->conf.queue_timeout != conf->queue_timeout ||
		                   n->conf.hold_most != conf->hold_most;
	n->conf = *conf;
	naive_settle(n, t);
}

bool naive_seat(struct naive *n, slo_nsec t, unsigned model, unsigned deployment, unsigned server)
{
	struct deployment *d = naive_deployment_get(n, model, deployment);
	struct model *m = &n->model[model];
	bool is_new = m->seated[server] == 0;

	if (is_new) {
		d->server[d->servers++] = server;
		m->seated[server] = ++m->seats;
		if (!n->server[server].exists)
			n->server[server] = (struct server){ .exists = true, .usable = true };
		if (n->server[server].usable)
			n->concerned[model] = true;
	}
	naive_settle(n, t);
	return is_new;
}

static void becomes_due(struct naive *n, uint32_t id, enum naive_reason reason)
{
	struct request *r = &n->request[id];

	if (r->state == WAITING)
		take_out(n->model[r->ask.model].queue, &n->model[r->ask.model].queued, id);
	r->state = DUE;
	r->due_reason = reason;
	n->due[n->n_due++] = id;
}

static void unseat(struct naive *n, unsigned model, unsigned server)
{
	struct model *m = &n->model[model];
	struct deployment *d = naive_deployment_of(m, server);

	take_out(d->server, &d->servers, server);
	m->seated[server] = m->turn[server] = 0;
	if (n->server[server].usable)
		n->concerned[model] = true;
}

bool naive_unseat(struct naive *n, slo_nsec t, unsigned model, unsigned server)
{
	bool seated = n->model[model].seated[server] != 0;

	if (seated)
		unseat(n, model, server);
	naive_settle(n, t);
	return seated;
}

void naive_leave(struct naive *n, slo_nsec t, unsigned server)
{
	for (unsigned m = 0; m < NAIVE_MODELS; m++)
		if (n->model[m].seated[server] != 0)
			unseat(n, m, server);
	naive_settle(n, t);
}

static struct deployment *find_deployment(struct model *m, unsigned name)
{
	for (unsigned k = 0; k < m->deployments; k++)
		if (m->deployment[k].name == name)
			return &m->deployment[k];
	return NULL;
}

bool naive_move(struct naive *n, slo_nsec t, unsigned model, unsigned deployment, unsigned server)
{
	struct model *m = &n->model[model];
	struct deployment *from = naive_deployment_of(m, server), *to;

	to = find_deployment(m, deployment);
	if (from != NULL && to != NULL) {
		take_out(from->server, &from->servers, server);
		to->server[to->servers++] = server;
		m->seated[server] = ++m->seats;
		if (n->server[server].usable)
			n->concerned[model] = true;
	}
	naive_settle(n, t);
	return from != NULL && to != NULL;
}

bool naive_drop(struct naive *n, slo_nsec t, unsigned model, unsigned deployment)
{
	struct model *m = &n->model[model];
	struct deployment *d = find_deployment(m, deployment);

	if (d != NULL) {
		while (d->servers > 0)
			unseat(n, model, d->server[0]);
		m->deployments--;
		memmove(d, d + 1, (size_t)(&m->deployment[m->deployments] - d) * sizeof(*d));
		n->concerned[model] = true;
	}
	naive_settle(n, t);
	return d != NULL;
}

bool naive_drop_model(struct naive *n, slo_nsec t, unsigned model)
{
	struct model *m = &n->model[model];
	uint32_t *queue = m->queue;
	bool existed = m->exists;

	while (m->queued > 0)
		becomes_due(n, queue[0], NAIVE_UNKNOWN_MODEL);
	for (size_t i = 0; i < n->n_dispatched; i++) {
		struct request *r = &n->request[n->dispatched[i]];

		if (r->ask.model != model)
			continue;
		r->foreseen = 0; /* by nobody who is there yet */
		r->of_none = true;
	}
	*m = (struct model){ .queue = queue };
	naive_settle(n, t);
	return existed;
}

void naive_order(struct naive *n, slo_nsec t, unsigned model,
                 const unsigned name[NAIVE_DEPLOYMENTS])
{
	struct model *m = &n->model[model];
	struct deployment sorted[NAIVE_DEPLOYMENTS] = { 0 };
	unsigned count = 0;

	for (unsigned i = 0; i < NAIVE_DEPLOYMENTS; i++) {
		const struct deployment *d = find_deployment(m, name[i]);

		if (d != NULL)
			sorted[count++] = *d;
	}
	memcpy(m->deployment, sorted, count * sizeof(*sorted));
	n->concerned[model] = true;
	naive_settle(n, t);
}

void naive_ready(struct naive *n, slo_nsec t, unsigned server, bool usable)
{
	if (n->server[server].usable != usable) {
		n->server[server].usable = usable;
		naive_concerns_server(n, server);
	}
	naive_settle(n, t);
}

bool naive_profile(struct naive *n, slo_nsec t, unsigned model, unsigned deployment,
                   const struct slo_profile_doc *doc)
{
	struct deployment *d = naive_deployment_get(n, model, deployment);
	bool first = !d->profile.known, newer = first || doc->created > d->profile.created;

	if (newer) {
		naive_profile_copy(&d->profile, doc);
		n->concerned[model] = true;
	}
	if (first)
		naive_adaptive_known(n, model, d);
	naive_settle(n, t);
	return newer;
}

void naive_rates(struct naive *n, unsigned model, unsigned deployment, const struct naive_rates *r)
{
	naive_deployment_get(n, model, deployment)->rates = *r;
}

void naive_guard(struct naive *n, unsigned model, unsigned deployment, double share, unsigned seen,
                 unsigned missed)
{
	struct deployment *d = naive_deployment_get(n, model, deployment);

	d->share = share;
	d->seen = seen;
	d->missed = missed;
	d->age = ++n->ages;
}

double naive_share(const struct naive *n, unsigned model, unsigned deployment, unsigned *seen,
                   unsigned *missed)
{
	const struct model *m = &n->model[model];

	for (unsigned k = 0; k < m->deployments; k++) {
		const struct deployment *d = &m->deployment[k];

		if (d->name != deployment)
			continue;
		*seen = d->seen;
		*missed = d->missed;
		return d->share;
	}
	return 0;
}

void naive_profile_drop(struct naive *n, slo_nsec t, unsigned model, unsigned deployment)
{
	naive_deployment_get(n, model, deployment)->profile.known = false;
	n->concerned[model] = true;
	naive_settle(n, t);
}

slo_err naive_submit(struct naive *n, slo_nsec t, uint32_t id, const struct naive_request *ask)
{
	struct request *r = &n->request[id];
	struct model *m = &n->model[ask->model];
	slo_err err = SLO_OK;

	naive_forget_old(n, t);
	if (r->state != UNSEEN) {
		err = r->state == OVER && r->ended ? SLO_ESTALE : SLO_EINVAL;
		naive_settle(n, t);
		return err;
	}
	*r = (struct request){ .ask = *ask, .arrived = t, .seq = ++n->seq };
	r->changes = n->changes;
	r->ask.input = tokens(ask->input);
	r->ask.output = tokens(ask->output);
	n->concerned[ask->model] = true;
	if (ask->strategy == NAIVE_SLO || ask->strategy == NAIVE_PULL ||
	    ask->strategy == NAIVE_PACK || ask->strategy == NAIVE_ADAPTIVE) {
		r->state = WAITING;
		m->queue[m->queued++] = id;
		/* Behind another of its size it has to wait; a head may find a server. */
		r->fresh = naive_is_head(n, t, m, id);
		if (!r->fresh && m->queued > n->conf.queue_limit)
			becomes_due(n, naive_least_important(n, m), NAIVE_QUEUE_FULL);
	} else {
		becomes_due(n, id, NAIVE_NO_REASON);
	}
	naive_settle(n, t);
	r->fresh = false;
	return SLO_OK;
}

void naive_ended_now(struct naive *n, slo_nsec now, uint32_t number)
{
	if (n->request[number].state == OVER)
		take_out(n->over, &n->n_over, number);
	n->request[number].ended = true;
	naive_remember(n, now, number);
}

/* The end line of a request that waits nowhere and runs nowhere. */
static enum naive_end end_of_past(struct naive *n, slo_nsec t, uint32_t id)
{
	uint32_t number = id;
	enum naive_end result = NAIVE_CLOSED;

	if (n->request[id].state == UNSEEN)
		number = naive_line_number(n, id);
	if (n->request[number].state == OVER && n->request[number].ended)
		return NAIVE_DUPLICATE;
	if (n->request[number].state == UNSEEN) {
		result = NAIVE_UNKNOWN;
		n->request[id].stray = true;
		number = id;
	}
	naive_ended_now(n, t, number);
	return result;
}

enum naive_end naive_end(struct naive *n, slo_nsec t, uint32_t id, int server)
{
	struct request *r = &n->request[id];
	enum naive_end result = NAIVE_CLOSED;
	uint32_t number;

	naive_forget_old(n, t);
	number = r->state == UNSEEN || r->state == OVER ? naive_foreign_of_line(n, id, server) : 0;
	if (number != 0) {
		n->request[number].ended = true;
		naive_concerns_server(n, n->request[number].server);
		naive_release(n, t, number);
	} else if (r->state == WAITING) {
		result = NAIVE_CANCELLED;
		r->ended = true;
		n->concerned[r->ask.model] = true;
		becomes_due(n, id, NAIVE_ENDED);
	} else if (r->state == DISPATCHED) {
		r->ended = true;
		naive_concerns_server(n, r->server);
		if (server < 0 || (unsigned)server == r->server)
			naive_adaptive_ended(n, t, r);
		naive_release(n, t, id);
	} else {
		result = end_of_past(n, t, id);
	}
	naive_settle(n, t);
	return result;
}

bool naive_abandon(struct naive *n, slo_nsec t, uint32_t id)
{
	struct request *r = &n->request[id];
	struct model *m = &n->model[r->ask.model];
	bool waits = r->state == WAITING;

	if (waits) {
		n->concerned[r->ask.model] = true;
		take_out(m->queue, &m->queued, id);
		naive_remember(n, t, id);
	}
	naive_settle(n, t);
	return waits;
}

void naive_passed(struct naive *n, slo_nsec t, uint32_t id)
{
	naive_forget_old(n, t);
	if (n->request[id].state == UNSEEN)
		naive_remember(n, t, id);
	naive_settle(n, t);
}

slo_nsec naive_start(const struct naive *n, uint32_t id, size_t k)
{
	struct naive_option option[NAIVE_DEPLOYMENTS];

	return k < naive_options(n, &n->request[id], option) ? option[k].start : SLO_NEVER;
}
