#include "core/tap.h"

#include <stdlib.h>
#include <string.h>

#include "sched_private.h"

static struct slice id_of(const struct request *r)
{
	return (struct slice){ (const uint8_t *)r->id, r->id_len };
}

/* events */

typedef int64_t option_list[SLO_EVENT_OPTIONS];

static struct slo_event config_event(const struct sched_conf *c, option_list options)
{
	options[0] = c->fallback;
	options[1] = c->late;
	options[2] = c->infeasible;
	options[3] = c->predict;
	options[4] = c->cold;
	options[5] = c->queue_limit < INT64_MAX ? (int64_t)c->queue_limit : INT64_MAX;
	options[6] = c->queue_timeout;
	options[7] = c->lease_max_age;
	options[8] = c->remember_ended;
	options[9] = c->remember_limit < INT64_MAX ? (int64_t)c->remember_limit : INT64_MAX;
	options[10] = c->queue_timeout_most;
	return (struct slo_event){ .kind = SLO_EVENT_CONFIG,
		                   .list = options,
		                   .list_n = SLO_EVENT_OPTIONS };
}

static struct slo_event model_event(enum slo_event_kind kind, const struct sched_model *m)
{
	return (struct slo_event){ .kind = kind,
		                   .model = m->number,
		                   .text = slice_of(m->pool.name),
		                   .order = m->pool.orders,
		                   .turn = m->pool.turns,
		                   .count = (int64_t)m->pool.on_top };
}

static struct slo_event deployment_event(enum slo_event_kind kind, const struct deployment *d)
{
	return (struct slo_event){ .kind = kind,
		                   .model = sched_model_of(d)->number,
		                   .deployment = d->index,
		                   .text = slice_of(d->name) };
}

static struct slo_event server_event(enum slo_event_kind kind, const struct server *server)
{
	bool surplus = kind == SLO_EVENT_SURPLUS;

	return (struct slo_event){ .kind = kind,
		                   .server = server->number,
		                   .text = slice_of(server->name),
		                   .count = surplus ? server->surplus_count : server->usable,
		                   .load = kind == SLO_EVENT_WITHHELD ? server->withhold
		                                                      : server->surplus_load };
}

static struct slo_event seat_event(enum slo_event_kind kind, const struct seat *seat)
{
	return (struct slo_event){ .kind = kind,
		                   .model = sched_model_of(seat->deployment)->number,
		                   .deployment = seat->deployment->index,
		                   .server = seat->server->number,
		                   .order = seat->order,
		                   .turn = seat->turn,
		                   .count = seat->server->usable ? (int64_t)seat->index : 0 };
}

static struct slo_event promise_event(const struct sched_model *m)
{
	const struct goal *g = &m->pool.promise;

	return (struct slo_event){ .kind = SLO_EVENT_PROMISE,
		                   .model = m->number,
		                   .count = (int64_t)g->kind,
		                   .real = { g->per_token, g->fixed, g->tpat, g->e2e } };
}

static struct slo_event source_event(const struct deployment *d)
{
	const struct latency_rates *r = &d->force.rates;
	struct slo_event e = deployment_event(SLO_EVENT_SOURCE, d);

	e.count = (int64_t)d->source;
	e.order = (uint64_t)d->force.state;
	e.load = r->kv_told;
	e.real[0] = r->step;
	e.real[1] = r->prompt;
	e.real[2] = r->cached;
	e.real[3] = r->kv;
	e.real[4] = r->headroom;
	e.real[5] = r->crowd;
	return e;
}

static struct slo_event guard_event(const struct deployment *d)
{
	struct slo_event e = deployment_event(SLO_EVENT_GUARD, d);

	e.real[0] = d->guard.share;
	return e;
}

static struct slo_event floor_event(const struct deployment *d)
{
	struct slo_event e = deployment_event(SLO_EVENT_FLOOR, d);

	e.load = d->floor;
	return e;
}

static struct slo_event slower_event(const struct seat *seat)
{
	struct slo_event e = seat_event(SLO_EVENT_SLOWER, seat);

	e.real[0] = seat->slower;
	return e;
}

static struct slo_event request_event(enum slo_event_kind kind, slo_nsec now,
                                      const struct request *r)
{
	bool submit = kind == SLO_EVENT_SUBMIT;

	return (struct slo_event){ .kind = kind,
		                   .now = now,
		                   .text = id_of(r),
		                   .model = r->model ? r->model->number : 0,
		                   .strategy = r->strategy,
		                   .input = r->input,
		                   .output = r->output,
		                   .created = r->created,
		                   .arrived = r->arrived,
		                   .count = submit ? r->priority : 0,
		                   .order = submit && r->estimate >= 0,
		                   .own = r->own };
}

static struct slo_event lease_event(slo_nsec now, const struct request *r)
{
	struct slo_event e = request_event(r->owner ? SLO_EVENT_FOREIGN : SLO_EVENT_LEASE, now, r);

	e.server = fleet_server_of(&r->charge)->number;
	e.load = r->charge.load;
	e.order = r->owner;
	return e;
}

static struct slo_event stake_event(const struct request *r)
{
	const struct adaptive_stake *stake = &r->stake;

	return (struct slo_event){ .kind = SLO_EVENT_STAKE,
		                   .text = id_of(r),
		                   .order = r->owner,
		                   .load = stake->harm,
		                   .count = (int64_t)stake->work,
		                   .turn = stake->reading,
		                   .input = stake->class };
}

static struct slo_event tried_event(const struct queue *q, const struct bucket *b)
{
	struct slo_event e = request_event(SLO_EVENT_TRIED, b->tried, b->first);

	e.waited = q->looked - b->tried;
	return e;
}

static struct slo_event others_event(const struct sched *s)
{
	return (struct slo_event){ .kind = SLO_EVENT_OTHERS,
		                   .count = s->foreign.others,
		                   .order = s->foreign.deaf };
}

/* what happens */

void tap_tell(struct sched *s, const struct slo_event *e)
{
	s->unstepped = true;
	s->tap.tell(s->tap.arg, e);
}

void sched_tell(struct sched *s, const struct slo_event *e)
{
	if (tapped(s)) /* nothing has to be stepped for it */
		s->tap.tell(s->tap.arg, e);
}

void tap_config(struct sched *s)
{
	option_list options;
	struct slo_event e = config_event(&s->conf, options);

	tap_tell(s, &e);
}

void tap_model(struct sched *s, enum slo_event_kind kind, const struct sched_model *m)
{
	struct slo_event e = model_event(kind, m);

	tap_tell(s, &e);
}

void tap_promise(struct sched *s, const struct sched_model *m)
{
	struct slo_event e = promise_event(m);

	tap_tell(s, &e);
}

void tap_source(struct sched *s, const struct deployment *d)
{
	struct slo_event e = source_event(d);

	tap_tell(s, &e);
}

void tap_guard(struct sched *s, const struct deployment *d)
{
	struct slo_event e = guard_event(d);

	tap_tell(s, &e);
}

void tap_floor(struct sched *s, const struct deployment *d)
{
	struct slo_event e = floor_event(d);

	tap_tell(s, &e);
}

void tap_slower(struct sched *s, const struct seat *seat)
{
	struct slo_event e = slower_event(seat);

	tap_tell(s, &e);
}

static void tell_profile(const struct sched_tap *tap, const struct deployment *d)
{
	struct slo_event e = deployment_event(SLO_EVENT_PROFILE, d);

	(void)profile_to_event(d->profile, &e); /* without memory there is no list */
	tap->tell(tap->arg, &e);
	free((void *)e.list);
}

void tap_deployment(struct sched *s, enum slo_event_kind kind, const struct deployment *d)
{
	struct slo_event e = deployment_event(kind, d);

	if (kind != SLO_EVENT_PROFILE) {
		tap_tell(s, &e);
		return;
	}
	s->unstepped = true;
	tell_profile(&s->tap, d);
}

void tap_server(struct sched *s, enum slo_event_kind kind, const struct server *server)
{
	struct slo_event e = server_event(kind, server);

	tap_tell(s, &e);
}

void tap_seat(struct sched *s, enum slo_event_kind kind, const struct seat *seat)
{
	struct slo_event e = seat_event(kind, seat);

	tap_tell(s, &e);
}

void tap_order(struct sched *s, const struct sched_model *m, struct deployment *const *order)
{
	struct slo_event e = model_event(SLO_EVENT_ORDER, m);
	int64_t before[SLO_DEPLOYMENTS_MAX];

	for (size_t i = 0; i < m->pool.deployments; i++)
		before[i] = order[i]->index;
	e.list = before;
	e.list_n = m->pool.deployments;
	tap_tell(s, &e);
}

void tap_request(struct sched *s, enum slo_event_kind kind, slo_nsec now, const struct request *r)
{
	struct slo_event e = kind == SLO_EVENT_LEASE || kind == SLO_EVENT_FOREIGN
	                         ? lease_event(now, r)
	                     : kind == SLO_EVENT_STAKE ? stake_event(r)
	                                               : request_event(kind, now, r);

	tap_tell(s, &e);
}

void tap_end(struct sched *s, slo_nsec now, const struct request *r,
             const struct sched_outcome *outcome)
{
	struct slo_event e = { .kind = r->owner ? SLO_EVENT_FOREIGN_END : SLO_EVENT_END,
		               .now = now,
		               .text = id_of(r),
		               .order = r->owner,
		               .count = SLO_END_REPAIRED,
		               .input = -1,
		               .output = -1 };

	if (outcome) {
		e.count = outcome->outcome == LESSON_ANSWERED ? SLO_END_COMPLETED : SLO_END_LINE;
		e.input = outcome->input;
		e.output = outcome->output;
	}
	tap_tell(s, &e);
}

void tap_decision(struct sched *s, enum slo_event_kind kind, slo_nsec now,
                  const struct sched_action *act)
{
	struct slo_event e = { .kind = kind,
		               .now = now,
		               .text = id_of(act->request),
		               .verdict = act->verdict,
		               .reason = act->reason,
		               .strategy = act->strategy,
		               .waited = act->waited };

	if (act->seat) {
		e.server = act->seat->server->number;
		e.load = act->request->charge.load;
	}
	tap_tell(s, &e);
}

void tap_step(struct sched *s, slo_nsec now, bool expired)
{
	struct slo_event e = { .kind = SLO_EVENT_STEP, .now = now };

	if (s->unstepped || expired)
		tap_tell(s, &e);
	s->unstepped = false;
}

void tap_heard(struct sched *s, slo_nsec now, slo_nsec until)
{
	tap_tell(s, &(struct slo_event){ .kind = SLO_EVENT_HEARD, .now = now, .arrived = until });
}

void tap_others(struct sched *s)
{
	struct slo_event e = others_event(s);

	tap_tell(s, &e);
}

void sched_listen(struct sched *s, const struct sched_tap *tap)
{
	s->tap = tap ? *tap : (struct sched_tap){ 0 };
	s->unstepped = false;
}

/* the state */

bool sched_is_quiet(const struct sched *s)
{
	return TAILQ_EMPTY(&s->dirty) && TAILQ_EMPTY(&s->requests.list[REQUEST_READY]) &&
	       LIST_EMPTY(&s->foreign.left) && !s->unstepped;
}

static void tell(const struct sched_tap *tap, struct slo_event e)
{
	tap->tell(tap->arg, &e);
}

/* Seats are told in the order that they were given, over all deployments of the model. */
static void tell_seats(const struct sched_tap *tap, const struct pool *pool)
{
	const struct seat *next[SLO_DEPLOYMENTS_MAX];

	for (size_t i = 0; i < pool->deployments; i++)
		next[i] = pool->deployment[i]->seats;
	for (;;) {
		size_t first = pool->deployments;

		for (size_t i = 0; i < pool->deployments; i++)
			if (next[i] &&
			    (first == pool->deployments || next[i]->order < next[first]->order))
				first = i;
		if (first == pool->deployments)
			return;
		tell(tap, seat_event(SLO_EVENT_SEAT, next[first]));
		if (next[first]->slower > 1)
			tell(tap, slower_event(next[first]));
		next[first] = next[first]->next;
	}
}

static void tell_turns(const struct sched_tap *tap, const struct sched_model *m)
{
	/* As they stand in usable_seat[]: each finds its place and stays there. */
	for (size_t i = 0; i < m->pool.usable; i++)
		tell(tap, seat_event(SLO_EVENT_SEAT_TURN, m->pool.usable_seat[i]));
	for (size_t i = 0; i < m->pool.deployments; i++) {
		const struct seat *seat = m->pool.deployment[i]->seats;

		for (; seat; seat = seat->next)
			if (!seat->server->usable)
				tell(tap, seat_event(SLO_EVENT_SEAT_TURN, seat));
	}
	tell(tap, model_event(SLO_EVENT_MODEL_TURN, m));
}

static void tell_fleet(const struct sched *s, const struct sched_tap *tap)
{
	const struct sched_model *m;
	const struct server *server;

	LIST_FOREACH (server, &s->servers, link) {
		tell(tap, server_event(SLO_EVENT_SERVER, server));
		if (!server->usable)
			tell(tap, server_event(SLO_EVENT_USABLE, server));
	}
	TAILQ_FOREACH (m, &s->models, link) {
		tell(tap, model_event(SLO_EVENT_MODEL, m));
		if (m->pool.promise.kind != GOAL_NONE)
			tell(tap, promise_event(m));
		for (size_t i = 0; i < m->pool.deployments; i++) {
			const struct deployment *d = m->pool.deployment[i];

			tell(tap, deployment_event(SLO_EVENT_DEPLOYMENT, d));
			if (d->profile)
				tell_profile(tap, d);
			if (d->source != FLEET_GIVEN)
				tell(tap, source_event(d));
			if (d->guard.share < 1)
				tell(tap, guard_event(d));
			if (d->floor > 0)
				tell(tap, floor_event(d));
		}
		tell_seats(tap, &m->pool);
	}
}

static void tell_charges(const struct sched *s, const struct sched_tap *tap)
{
	const struct sched_model *m;
	const struct server *server;
	const struct request *r;

	if (s->foreign.others > 0)
		tell(tap, others_event(s));
	TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link) {
		tell(tap, lease_event(r->since, r));
		if (r->fresh)
			tell(tap, (struct slo_event){ .kind = SLO_EVENT_FRESH, .text = id_of(r) });
		if (r->stake.counted)
			tell(tap, stake_event(r));
	}
	LIST_FOREACH (server, &s->servers, link) {
		tell(tap, (struct slo_event){ .kind = SLO_EVENT_READING,
		                              .server = server->number,
		                              .count = server->flow.drained });
		if (server->surplus_count > 0)
			tell(tap, server_event(SLO_EVENT_SURPLUS, server));
		if (server->withhold > 0)
			tell(tap, server_event(SLO_EVENT_WITHHELD, server));
	}
	TAILQ_FOREACH (m, &s->models, link)
		tell_turns(tap, m);
}

static void tell_waiting(const struct sched *s, const struct sched_tap *tap)
{
	const struct sched_model *m;
	const struct request *r;

	TAILQ_FOREACH (r, &s->requests.list[REQUEST_QUEUED], link)
		tell(tap, request_event(SLO_EVENT_SUBMIT, r->arrived, r));
	TAILQ_FOREACH (m, &s->models, link)
		for (size_t i = 0; i < m->queue.heads; i++)
			tell(tap, tried_event(&m->queue, m->queue.head[i].bucket));
}

void sched_tell_state(const struct sched *s, const struct sched_tap *tap, slo_nsec now,
                      int64_t unix_now)
{
	option_list options;

	tell(tap,
	     (struct slo_event){
		 .kind = SLO_EVENT_START, .now = now, .load = s->rng.state, .count = unix_now });
	tell(tap, config_event(&s->conf, options));
	tell_fleet(s, tap);
	tell_charges(s, tap);
	tell_waiting(s, tap);
	tell(tap, (struct slo_event){ .kind = SLO_EVENT_QUIET, .now = now });
}
