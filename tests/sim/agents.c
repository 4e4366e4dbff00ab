/* Several schedulers over one fleet, which tell each other what they place and what ends, by the
 * same calls as the daemon's agents; what they tell takes some time. */
#include <assert.h>
#include <stdlib.h>

#include "draw.h"
#include "sim_private.h"

/* messages */

static bool grow(struct sim_news *n)
{
	size_t cap = n->cap ? 2 * n->cap : 256;
	struct sim_message *grown = calloc(cap, sizeof(*grown));

	if (!grown)
		return false;
	for (size_t i = n->first; i < n->next; i++)
		grown[i & (cap - 1)] = n->message[i & (n->cap - 1)];
	free(n->message);
	n->message = grown;
	n->cap = cap;
	return true;
}

static void send(struct sim_agent *a, slo_nsec now, const struct sim_message *m)
{
	struct sim_news *n = &a->sim->news;
	struct sim_message *at;

	if (n->next - n->first == n->cap && !grow(n)) {
		a->sim->failed = true;
		return;
	}
	at = &n->message[n->next++ & (n->cap - 1)];
	*at = *m;
	at->from = a->index;
	at->due = now + a->sim->conf->delay;
}

static size_t number_of(const struct sim_agent *a, const struct request *r)
{
	return (size_t)((const struct sim_request *)r->user - a->sim->out->requests);
}

/* Both are told within a call at the moment `since`, or `since + lasted`. */
static void dispatched(void *arg, const struct request *r)
{
	struct sim_agent *a = arg;

	send(a, r->since,
	     &(struct sim_message){ .what = SIM_DISPATCH,
	                            .request = number_of(a, r),
	                            .lease = foreign_lease_of(r, r->since) });
}

static void ended(void *arg, const struct request *r, const struct sched_outcome *outcome,
                  slo_nsec lasted)
{
	const struct sched_outcome nothing = { .input = -1, .output = -1, .bytes = -1 };
	struct sim_agent *a = arg;

	if (r->owner == 0) /* not another's that grew too old */
		send(a, r->since + lasted,
		     &(struct sim_message){ .what = SIM_END,
		                            .request = number_of(a, r),
		                            .outcome = outcome ? *outcome : nothing,
		                            .lasted = lasted });
}

bool sim_join(struct sim *s)
{
	for (size_t i = 0; i < s->agent_count; i++) {
		struct sim_agent *a = &s->agents[i];
		char name[SIM_ID_MAX];

		a->told = SLO_NEVER;
		for (size_t k = 0; k < s->agent_count; k++) {
			size_t len = sim_make_id(name, k);

			a->head[k] = SLO_NEVER;
			if (k == i)
				continue;
			a->peers[k] = foreign_owner(a->sched, name, len);
			if (!a->peers[k])
				return false;
			a->peers[k]->present = true;
		}
		sim_make_id(name, i);
		foreign_deal_turns(a->sched, name, s->conf->turn);
		if (!s->conf->apart && !s->conf->greedy)
			foreign_others(a->sched, s->agent_count - 1);
		if (s->agent_count > 1 && !s->conf->apart)
			foreign_listen(a->sched, &(struct foreign_news){ dispatched, ended, a });
	}
	return true;
}

struct sim_agent *sim_asked(struct sim *s)
{
	double u, first = s->conf->skew > 0 ? s->conf->skew : 1.0 / (double)s->agent_count;

	if (s->agent_count == 1)
		return &s->agents[0];
	u = draw_unit(&s->split);
	if (u < first)
		return &s->agents[0];
	u = (u - first) / (1 - first) * (double)(s->agent_count - 1);
	return &s->agents[1 + (size_t)u % (s->agent_count - 1)];
}

slo_nsec sim_next_news(const struct sim *s)
{
	const struct sim_news *n = &s->news;

	return n->first == n->next ? SLO_NEVER : n->message[n->first & (n->cap - 1)].due;
}

static size_t model_of(const struct sim_agent *from, const struct sched_model *m)
{
	size_t i = 0;

	while (from->models[i] != m)
		i++;
	return i;
}

static void hear(struct sim_agent *a, slo_nsec now, const struct sim_message *m)
{
	const struct sim_agent *from = &a->sim->agents[m->from];
	struct foreign_owner *o = a->peers[m->from];
	struct foreign_lease l = m->lease;
	struct sched_end unused;
	char id[SIM_ID_MAX];
	size_t len = sim_make_id(id, m->request);
	slo_err err;

	if (m->what == SIM_HEAD) {
		a->head[m->from] = m->head;
	} else if (m->what == SIM_END) {
		foreign_end(a->sched, now, o, id, len, &m->outcome, m->lasted, &unused);
		a->freed = true;
	} else {
		l.id = id;
		l.model = a->models[model_of(from, l.model)];
		l.server = a->servers[((struct sim_server *)l.server->owner)->index];
		err = foreign_dispatch(a->sched, now, o, &l);
		assert(err != SLO_EINVAL);
		a->sim->failed |= err == SLO_ENOMEM;
	}
}

void sim_deliver(struct sim *s, slo_nsec now)
{
	struct sim_news *n = &s->news;

	while (sim_next_news(s) <= now) {
		const struct sim_message m = n->message[n->first++ & (n->cap - 1)];

		for (size_t i = 0; i < s->agent_count; i++)
			if (i != m.from)
				hear(&s->agents[i], now, &m);
		/* All that was told before it was heard by all before. */
		foreign_heard(s->agents[m.from].sched, now, m.due - s->conf->delay);
	}
}

/* whose turn it is */

/* The latest start of what goes first here; SLO_NEVER: nobody waits in time. */
static slo_nsec first_start(const struct sim_agent *a)
{
	const struct queue *q = &a->models[0]->queue;

	return q->heads > 0 ? q->head[0].start : SLO_NEVER;
}

/* Room that appeared is left to each other whose request is more urgent, one after the other: to
 * the first for `yield`, then to the second. */
bool sim_yields(struct sim_agent *a, slo_nsec now)
{
	const struct sim *s = a->sim;
	slo_nsec ours = first_start(a);
	bool freed = a->freed;

	if (a->yielding && now < a->yields_until)
		return true;
	a->freed = false;
	if (a->yielding || !freed || s->conf->yield == 0 || ours == SLO_NEVER) {
		a->yielding = false;
		return false;
	}
	a->yields_until = now;
	for (size_t i = 0; i < s->agent_count; i++)
		if (i != a->index && a->head[i] < ours)
			a->yields_until += s->conf->yield;
	a->yielding = a->yields_until > now;
	return a->yielding;
}

void sim_tell_head(struct sim_agent *a, slo_nsec now)
{
	slo_nsec start = first_start(a);

	if (a->sim->conf->yield == 0 || start == a->told)
		return;
	a->told = start;
	send(a, now, &(struct sim_message){ .what = SIM_HEAD, .head = start });
}

/* the truth */

void sim_charge(struct sim *s, struct sim_request *r, const struct sched_action *act)
{
	struct sim_server *server = act->seat->server->owner;

	r->charged = act->request->charge.load;
	if (act->verdict == SLO_ROUTE && policy_pulls(act->strategy)) {
		s->out->routed++;
		s->out->overshoots += !ledger_fits(server->used, r->charged);
		s->out->twice += server->used > SLO_LOAD_ONE;
	}
	server->used += r->charged;
}

void sim_release(struct sim *s, const struct sim_request *r)
{
	s->servers[r->server].used -= r->charged;
}

slo_load sim_load(const struct sim *s, const struct sim_server *server)
{
	slo_load sum = 0;

	for (size_t i = 0; i < s->agent_count; i++)
		if (i == 0 || s->conf->apart)
			sum += s->agents[i].servers[server->index]->ledger.used;
	return sum;
}
