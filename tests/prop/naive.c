/* naive.c - see naive.h. Nothing here is fast, and nothing is remembered that can be computed. */
#include <stdlib.h>
#include <string.h>

#include "naive_private.h"

#define MOST_TOKENS INT32_MAX

/* A deployment in which a request may run. */
struct option {
	unsigned deployment; /* index in the model */
	slo_nsec start;      /* its rank is above 0 after that */
};

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
	naive_forget_old(n, now);
}

static void refuse(struct naive *n, slo_nsec now, uint32_t id, enum naive_reason reason)
{
	answer(n, now, id, NAIVE_REJECT, reason);
	naive_remember(n, now, id);
}

static struct naive_action *place(struct naive *n, slo_nsec now, uint32_t id, int server,
                                  enum naive_verdict verdict, enum naive_reason reason)
{
	struct naive_action *a = answer(n, now, id, verdict, reason);
	struct request *r = &n->request[id];
	struct model *m = &n->model[r->ask.model];

	r->state = DISPATCHED;
	r->placed = now;
	r->server = (unsigned)server;
	r->load = naive_profile_load(&naive_deployment_of(m, r->server)->profile, &r->ask);
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
	return a;
}

/* Places a request by a strategy that looks at no SLO. */
static void place_anywhere(struct naive *n, slo_nsec now, uint32_t id, enum naive_strategy strategy,
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
		refuse(n, now, id, NAIVE_NO_SERVER);
		return;
	}
	a = place(n, now, id, server, verdict, reason);
	a->strategy = strategy;
	a->choice = choice;
	a->choices = choices;
}

/* ---- the queue ---- */

/* The deployments with a usable cell, ascending rank; ties stay in configuration order. */
static size_t options_of(const struct naive *n, const struct request *r, struct option *out)
{
	const struct model *m = &n->model[r->ask.model];
	size_t count = 0;

	for (unsigned k = 0; k < m->deployments; k++) {
		const struct deployment *d = &m->deployment[k];
		struct option o = { .deployment = k };
		size_t i;

		if (!naive_deployment_usable(n, d) ||
		    !naive_profile_start(&d->profile, &r->ask, &o.start))
			continue;
		if (r->ask.strategy == NAIVE_ADAPTIVE)
			o.start = naive_adaptive_start(d, &r->ask);
		for (i = count++; i > 0 && out[i - 1].start < o.start; i--)
			out[i] = out[i - 1];
		out[i] = o;
	}
	return count;
}

static enum naive_reason why_no_options(const struct model *m)
{
	for (unsigned k = 0; k < m->deployments; k++)
		if (m->deployment[k].profile.known)
			return NAIVE_NO_SLO;
	return NAIVE_NO_PROFILE;
}

static bool infeasible_somewhere(const struct naive *n, const struct request *r)
{
	const struct model *m = &n->model[r->ask.model];

	for (unsigned k = 0; k < m->deployments; k++) {
		const struct deployment *d = &m->deployment[k];

		if (naive_deployment_usable(n, d) && naive_profile_target(&d->profile, &r->ask) &&
		    naive_profile_zero(&d->profile, &r->ask))
			return true;
	}
	return false;
}

static void leave_infeasible(struct naive *n, slo_nsec now, uint32_t id)
{
	if (n->conf.infeasible_fallback)
		place_anywhere(n, now, id, n->conf.fallback, NAIVE_FALLBACK, NAIVE_SLO_FAILURE);
	else
		refuse(n, now, id, NAIVE_SLO_FAILURE);
}

/* Whether requests that are late everywhere go to any deployment, behind all others. */
static bool may_go_late(const struct naive *n)
{
	return n->conf.late == NAIVE_LATE_SERVE;
}

/* Of those of the least priority the last that came. */
static uint32_t least_important(const struct naive *n, const struct model *m)
{
	uint32_t least = m->queue[0];

	for (size_t i = 1; i < m->queued; i++)
		if (n->request[m->queue[i]].ask.priority <= n->request[least].ask.priority)
			least = m->queue[i];
	return least;
}

/* Classes of the targets of those of slo-adaptive that wait. */
static uint64_t targets_waiting(const struct naive *n, const struct model *m)
{
	uint64_t classes = 0;

	for (size_t i = 0; i < m->queued; i++) {
		const struct request *r = &n->request[m->queue[i]];
		struct option option[NAIVE_DEPLOYMENTS];

		if (r->ask.strategy == NAIVE_ADAPTIVE && options_of(n, r, option) > 0)
			classes |=
			    UINT64_C(1)
			    << naive_adaptive_class(&m->deployment[option[0].deployment], &r->ask);
	}
	return classes;
}

/* The same for slo-adaptive. */
static bool try_adaptive(struct naive *n, slo_nsec now, uint32_t id, const struct option *option,
                         size_t options, bool *full)
{
	const struct request *r = &n->request[id];
	const struct model *m = &n->model[r->ask.model];
	unsigned feasible[NAIVE_DEPLOYMENTS];
	size_t count = 0;
	int server;

	for (size_t i = 0; i < options; i++)
		if (!naive_profile_zero(&m->deployment[option[i].deployment].profile, &r->ask))
			feasible[count++] = option[i].deployment;
	server = naive_adaptive_pick(n, now, id, feasible, count, targets_waiting(n, m));
	if (server >= 0)
		place(n, now, id, server, NAIVE_ROUTE, NAIVE_NO_REASON);
	*full = count > 0;
	return server >= 0;
}

/* Tries one head. False: it has to wait. */
static bool try_head(struct naive *n, slo_nsec now, uint32_t id)
{
	const struct request *r = &n->request[id];
	const struct model *m = &n->model[r->ask.model];
	struct option option[NAIVE_DEPLOYMENTS];
	size_t options = options_of(n, r, option);
	bool full = false;

	if (options == 0) {
		if (infeasible_somewhere(n, r))
			leave_infeasible(n, now, id);
		else
			place_anywhere(n, now, id, n->conf.fallback, NAIVE_FALLBACK,
			               why_no_options(m));
		return true;
	}
	if (n->conf.late == NAIVE_LATE_REJECT && option[0].start < now) {
		refuse(n, now, id, NAIVE_SLO_FAILURE);
		return true;
	}
	if (r->ask.strategy == NAIVE_ADAPTIVE) {
		if (try_adaptive(n, now, id, option, options, &full))
			return true;
		options = 0;
	}
	for (size_t i = 0; i < options; i++) {
		const struct deployment *d = &m->deployment[option[i].deployment];
		uint64_t load = naive_profile_load(&d->profile, &r->ask);
		int server;

		if (i > 0 && option[i].start < now && !(may_go_late(n) && option[0].start < now))
			break;
		if (naive_profile_zero(&d->profile, &r->ask))
			continue;
		if (r->ask.strategy == NAIVE_PACK)
			server = naive_pick_pack(n, d, load);
		else
			server = naive_pick_least_load(n, d);
		if (server >= 0 && naive_fits(n->server[server].used, load)) {
			place(n, now, id, server, NAIVE_ROUTE, NAIVE_NO_REASON);
			return true;
		}
		full = true;
	}
	if (full && r->fresh && m->queued > n->conf.queue_limit) {
		refuse(n, now, least_important(n, m), NAIVE_QUEUE_FULL);
		return true;
	}
	if (!full)
		leave_infeasible(n, now, id);
	return n->request[id].state != WAITING;
}

/* round(log2 t), and -1 for no tokens. */
static int size_class(int64_t t)
{
	int k = 0;

	if (t == 0)
		return -1;
	while ((uint64_t)t * (uint64_t)t >= UINT64_C(1) << (2 * k + 1)) /* t < 2^31 */
		k++;
	return k;
}

/* When a waiting request is given up: as soon as it cannot be in time any more, but not before
 * queue_timeout and not after hold_most. */
static slo_nsec held_until(const struct naive *n, uint32_t id)
{
	const struct request *r = &n->request[id];
	struct option option[NAIVE_DEPLOYMENTS];
	slo_nsec least = n->conf.queue_timeout, most = n->conf.hold_most, until = SLO_NEVER;

	if (least != SLO_NEVER)
		until = r->arrived + least;
	if (most > least && options_of(n, r, option) > 0 && option[0].start > until) {
		until = option[0].start;
		if (most != SLO_NEVER && r->arrived + most < until)
			until = r->arrived + most;
	}
	return until;
}

/* What a request's place depends on. */
struct place {
	uint32_t id;
	int input, output; /* size classes */
	bool listed;       /* has options */
	unsigned level;    /* of them in time, if that counts: sizes are told apart by it */
	bool late;         /* listed, but none in time: one of the last */
	slo_nsec start;    /* of the first option */
	slo_nsec due;      /* that; without an own target when it is given up, if that is sooner */
};

static struct place place_of(const struct naive *n, slo_nsec now, uint32_t id)
{
	const struct request *r = &n->request[id];
	struct option option[NAIVE_DEPLOYMENTS];
	struct place p = { .id = id };
	size_t options = options_of(n, r, option);

	p.input = size_class(r->ask.input);
	p.output = size_class(r->ask.output);
	p.listed = options > 0;
	p.start = p.listed ? option[0].start : 0;
	for (size_t i = 0; i < options && may_go_late(n); i++)
		p.level += option[i].start >= now;
	p.due = p.start;
	if (r->ask.own.e2e <= 0 && r->ask.own.ttft <= 0 && r->ask.own.tpot <= 0 &&
	    held_until(n, id) < p.start)
		p.due = held_until(n, id);
	p.late = p.listed && p.level == 0 && may_go_late(n);
	return p;
}

/* alike: of one size and level; else both are the first of theirs. */
static bool goes_before(const struct naive *n, const struct place *a, const struct place *b,
                        bool alike)
{
	const struct request *ra = &n->request[a->id], *rb = &n->request[b->id];
	slo_nsec ta = alike ? a->due : a->start, tb = alike ? b->due : b->start;

	if (ra->ask.priority != rb->ask.priority)
		return ra->ask.priority > rb->ask.priority;

	if (a->listed != b->listed)
		return !a->listed;
	if (a->late != b->late)
		return !a->late;
	if (a->listed && !a->late && ta != tb)
		return ta < tb;
	if (ra->ask.created != rb->ask.created)
		return ra->ask.created < rb->ask.created;
	return ra->seq < rb->seq;
}

/* Whether no other request of the queue that is of its size and level goes before it. */
static bool is_head(const struct naive *n, slo_nsec now, const struct model *m, uint32_t id)
{
	struct place p = place_of(n, now, id);

	for (size_t i = 0; i < m->queued; i++) {
		struct place other = place_of(n, now, m->queue[i]);

		if (other.input == p.input && other.output == p.output && other.level == p.level &&
		    m->queue[i] != id && goes_before(n, &other, &p, true))
			return false;
	}
	return true;
}

static size_t sorted_heads(const struct naive *n, slo_nsec now, struct place *out)
{
	size_t count = 0;

	for (unsigned k = 0; k < NAIVE_MODELS; k++) {
		const struct model *m = &n->model[k];

		for (size_t q = 0; n->concerned[k] && q < m->queued; q++) {
			struct place p = place_of(n, now, m->queue[q]);
			size_t i;

			if (!is_head(n, now, m, m->queue[q]))
				continue;
			for (i = count++; i > 0 && goes_before(n, &p, &out[i - 1], false); i--)
				out[i] = out[i - 1];
			out[i] = p;
		}
	}
	return count;
}

/* Decisions for the models that an event concerns, until none of their heads can be decided. */
static void decide(struct naive *n, slo_nsec now)
{
	bool decided;

	do {
		size_t queued = 0, heads;
		struct place *head;

		for (unsigned m = 0; m < NAIVE_MODELS; m++)
			queued += n->model[m].queued;
		head = calloc(queued + 1, sizeof(*head));
		decided = false;
		heads = head == NULL ? 0 : sorted_heads(n, now, head);
		for (size_t i = 0; i < heads && !decided; i++)
			decided = try_head(n, now, head[i].id);
		free(head);
	} while (decided);
	memset(n->concerned, 0, sizeof(n->concerned));
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
			slo_nsec a = held_until(n, k), b = found ? held_until(n, *id) : 0;

			if (!found || a < b || (a == b && n->request[k].seq < n->request[*id].seq))
				*id = k;
			found = true;
		}
	}
	return found;
}

static bool overdue(const struct naive *n, slo_nsec now, uint32_t *id)
{
	return first_given_up(n, id) && held_until(n, *id) <= now;
}

slo_nsec naive_wakeup(const struct naive *n)
{
	uint32_t id;

	slo_nsec first = SLO_NEVER;

	if (first_given_up(n, &id))
		first = held_until(n, id);
	for (size_t i = 0; i < n->n_dispatched; i++)
		first = earlier(first, n->request[n->dispatched[i]].placed, n->conf.lease);
	return first;
}

void naive_release(struct naive *n, slo_nsec now, uint32_t id)
{
	struct request *r = &n->request[id];

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
	struct option option[NAIVE_DEPLOYMENTS];

	if (options_of(n, r, option) == 0)
		place_anywhere(n, now, id, n->conf.fallback, NAIVE_FALLBACK, why_no_options(m));
	else
		place(n, now, id, naive_pick_least_load(n, &m->deployment[option[0].deployment]),
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
		refuse(n, now, id, reason);
	} else if (strategy == NAIVE_PUSH) {
		push(n, now, id);
	} else {
		place_anywhere(n, now, id, strategy, NAIVE_ROUTE, NAIVE_NO_REASON);
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
	while (overdue(n, now, &id)) {
		n->concerned[n->request[id].ask.model] = true;
		refuse(n, now, id, NAIVE_QUEUE_TIMEOUT);
	}
	for (size_t i = 0; i < n->n_due; i++)
		answer_due(n, now, n->due[i]);
	n->n_due = 0;
	decide(n, now);
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
		if (from != to && n->server[server].usable)
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
	for (size_t i = 0; i < n->n_dispatched; i++)
		if (n->request[n->dispatched[i]].ask.model == model)
			n->request[n->dispatched[i]].foreseen = 0; /* by nobody who is there yet */
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
	bool newer = !d->profile.known || doc->created > d->profile.created;

	if (newer) {
		naive_profile_copy(&d->profile, doc);
		n->concerned[model] = true;
	}
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
	d->fell = INT64_MIN;
}

double naive_share(const struct naive *n, unsigned model, unsigned deployment)
{
	const struct model *m = &n->model[model];

	for (unsigned k = 0; k < m->deployments; k++)
		if (m->deployment[k].name == deployment)
			return m->deployment[k].share;
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
		r->fresh = is_head(n, t, m, id);
		if (!r->fresh && m->queued > n->conf.queue_limit)
			becomes_due(n, least_important(n, m), NAIVE_QUEUE_FULL);
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
	struct option option[NAIVE_DEPLOYMENTS];

	return k < options_of(n, &n->request[id], option) ? option[k].start : SLO_NEVER;
}
