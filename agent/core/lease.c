#include "core/lease.h"

#include <assert.h>

#include "core/adaptive.h"
#include "core/sizes.h"
#include "sched_private.h"

/* opened and closed */

static bool is_departed(const struct sched *s, const struct request *r)
{
	return r->generation != s->generation;
}

static struct request *before(const struct request *r)
{
	return TAILQ_PREV(r, leases, lease);
}

static struct request *behind(const struct request *r)
{
	return TAILQ_NEXT(r, lease);
}

/* In order of dispatch: ours are the youngest, and foreign ones may be told late. One whose place
 * is further than PLACE_STEPS stands behind younger ones. */
static void insert(struct server *server, struct leases *list, struct request *r,
                   struct request **near)
{
	static const struct request_walk walk = { before, behind };
	struct request *older = TAILQ_LAST(list, leases);

	if (SELDOM(older && older->since > r->since)) {
		older = requests_place(&walk, older, *near, r->since);
		*near = r;
		server->disordered |= older && older->since > r->since;
	}
	if (older)
		TAILQ_INSERT_AFTER(list, older, r, lease);
	else
		TAILQ_INSERT_HEAD(list, r, lease);
}

static void hold(struct sched *s, struct request *r, struct server *server)
{
	if (r->model)
		r->model->dispatched++;
	if (SELDOM(r->owner != 0))
		server->foreign++;
	if (r->hidden) {
		insert(server, &server->hidden, r, &server->near_hidden);
		server->hidden_count++;
	} else if (is_departed(s, r)) {
		TAILQ_INSERT_TAIL(&server->departed, r, lease);
		server->departed_count++;
	} else {
		insert(server, &server->leases, r, &server->near);
	}
}

static void let_loose(struct sched *s, struct request *r, struct server *server)
{
	if (r->model)
		r->model->dispatched--;
	if (SELDOM(r->owner != 0))
		server->foreign--;
	if (SELDOM(r == server->near))
		server->near = NULL;
	if (SELDOM(r == server->near_hidden))
		server->near_hidden = NULL;
	if (r->hidden) {
		TAILQ_REMOVE(&server->hidden, r, lease);
		server->hidden_count--;
	} else if (is_departed(s, r)) {
		TAILQ_REMOVE(&server->departed, r, lease);
		server->departed_count--;
	} else {
		TAILQ_REMOVE(&server->leases, r, lease);
	}
}

void sched_lease_open(struct sched *s, slo_nsec now, struct request *r, struct seat *seat,
                      slo_load load)
{
	fleet_charge(seat, load, &r->charge);
	sched_stay_begin(now, r, seat->deployment);
	hold(s, r, seat->server);
}

void sched_stake(struct sched *s, slo_nsec now, struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);
	struct seat *seat = r->model ? sched_seat_find(r->model, server) : NULL;
	struct adaptive_stake stake;

	if (!seat || r->strategy != SLO_STRATEGY_ADAPTIVE || r->fallback ||
	    !adaptive_stake_alone(seat, r, &stake))
		return;
	fleet_changes(server);
	adaptive_enter(server, r, &stake);
	if (tapped(s))
		tap_request(s, SLO_EVENT_STAKE, now, r);
}

static void stake_list(struct sched *s, const struct deployment *d, const struct leases *list)
{
	struct request *r;

	TAILQ_FOREACH (r, list, lease)
		if (r->model == sched_model_of(d) && !r->stake.counted)
			sched_stake(s, r->since, r);
}

void sched_stake_all(struct sched *s, struct deployment *d)
{
	for (struct seat *seat = d->seats; seat; seat = seat->next) {
		stake_list(s, d, &seat->server->leases);
		stake_list(s, d, &seat->server->departed);
		stake_list(s, d, &seat->server->hidden);
	}
}

void sched_lease_open_unseated(struct sched *s, slo_nsec now, struct request *r,
                               struct server *server, slo_load load)
{
	fleet_charge_unseated(server, load, &r->charge);
	sched_stay_begin(now, r, NULL);
	hold(s, r, server);
}

void sched_lease_hide(struct sched *s, struct request *r, bool hidden)
{
	struct server *server = fleet_server_of(&r->charge);

	let_loose(s, r, server);
	r->hidden = hidden;
	hold(s, r, server);
}

static void room_in(struct sched *s, struct seat *seat)
{
	fleet_freed_by(seat);
	sched_mark_dirty(s, sched_model_of(seat->deployment));
}

/* There is room for those who wait for it. The others are not even looked at: models that share
 * the server may be thousands. While it is not usable its seats are told nothing, but an end is
 * an end, after which every model that waits decides anew. */
void sched_room_on(struct sched *s, const struct server *server)
{
	struct seat *seat;

	LIST_FOREACH (seat, &server->told, told)
		room_in(s, seat);
	for (seat = server->usable ? NULL : server->seats; seat; seat = seat->next_of_server)
		if (seat->deployment->pool->waiting)
			room_in(s, seat);
}

void sched_lease_close(struct sched *s, slo_nsec now, struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);
	struct latency_features unused;
	slo_err err;

	if (SELDOM(r->fresh))
		foreign_fresh_no_more(s, r);
	else if (SELDOM(s->foreign.others > 0 && r->owner == 0))
		foreign_left(s, r);
	if (SELDOM(r->unkept))
		foreign_keep(s, r);
	err = fleet_release(server, &r->charge);
	adaptive_leave(server, r);
	(void)latency_flow_leave(&server->flow, now, r->since, r->output, &r->stay, &unused);
	assert(err == SLO_OK);
	(void)err;
	if (!r->hidden) {
		server->released = server->round == s->round ? server->released + 1 : 1;
		server->round = s->round;
	}
	let_loose(s, r, server);
	sched_room_on(s, server);
}

/* Whether its time says something of the server. told: tokens that its end tells. */
static bool learn(slo_nsec now, const struct request *r, const struct sched_outcome *outcome,
                  struct sched_end *out, int64_t *told)
{
	static const struct estimator nothing;
	struct sched_model *m = r->model;
	struct lesson l = lesson_of(r, outcome, m ? &m->estimator : &nothing);

	out->outcome = l.outcome;
	out->input = l.input;
	out->output = l.output;
	*told = l.told;
	if (!m)
		return false;
	if (l.prompt)
		estimator_learn_input(&m->estimator, r->estimate, l.input);
	if (l.size)
		estimator_learn_output(&m->estimator, r->stream, outcome->bytes, l.output);
	if (l.event)
		estimator_learn_event(&m->estimator, outcome->event);
	if (l.answer)
		predictor_learn(m->predictor, now, r->class, l.input, l.each);
	return l.latency;
}

/* Whether the answer may be that of the server that was charged. */
static bool is_by(const struct sched_outcome *outcome, const struct server *server)
{
	return !outcome->server.p || slice_eq(outcome->server, server->name);
}

void sched_lease_end(struct sched *s, slo_nsec now, struct request *r,
                     const struct sched_outcome *outcome, slo_nsec lasted, struct sched_end *out)
{
	int64_t told = 0;

	out->server = fleet_server_of(&r->charge);
	out->waited = r->since - r->arrived;
	out->request = r;
	out->input = r->input;
	out->output = r->output;
	out->by_server = outcome && is_by(outcome, out->server);
	if (outcome && learn(now, r, outcome, out, &told) && out->by_server)
		sched_stay_end(s, now, now - lasted, r,
		               &(struct stay_size){
				   out->input, out->output,
				   out->input > outcome->cached ? outcome->cached : 0, told });
	if (out->by_server && out->outcome == LESSON_ANSWERED)
		sched_judge(s, lasted, r, out);
	sched_lease_close(s, now, r);
	r->ended = true;
	sched_over(s, now, r);
}

void sched_lease_expire(struct sched *s, slo_nsec now, struct request *r, enum fleet_repair cause)
{
	if (SELDOM(s->foreign.news.ended))
		s->foreign.news.ended(s->foreign.news.arg, r, NULL, now - r->since);
	fleet_server_of(&r->charge)->repairs[cause]++;
	sched_lease_close(s, now, r);
	sched_over(s, now, r);
	s->leases_expired++;
	if (tapped(s) && cause != FLEET_REPAIR_MAX_AGE) /* that a step does by itself */
		tap_end(s, now, r, NULL);
}

/* handed on to another process */

static const struct request *skip_foreign(const struct request *r)
{
	while (r && r->owner != 0)
		r = TAILQ_NEXT(r, link);
	return r;
}

const struct request *lease_first(const struct sched *s)
{
	return skip_foreign(TAILQ_FIRST(&s->requests.list[REQUEST_DISPATCHED]));
}

const struct request *lease_next(const struct request *r)
{
	return skip_foreign(TAILQ_NEXT(r, link));
}

const struct request *lease_find(const struct sched *s, const char *id, size_t len)
{
	const struct request *r = requests_find(&s->requests, sched_hash(s, id, len), id, len);

	return r && r->state == REQUEST_DISPATCHED ? r : NULL;
}

struct sched_lease lease_of(const struct request *r)
{
	return (struct sched_lease){
		.id = r->id,
		.id_len = r->id_len,
		.model = r->model,
		.server = fleet_server_of(&r->charge),
		.load = r->charge.load,
		.created = r->created,
		.arrived = r->arrived,
		.dispatched = r->since,
		.input = r->input,
		.output = r->output,
		.estimate = r->estimate,
		.strategy = (enum slo_strategy)r->strategy,
		.stream = r->stream,
		.stream_guessed = r->stream_guessed,
		.limit = r->limit,
		.sequences = r->sequences,
		.class = r->class,
		.mute = r->mute,
		.fallback = r->fallback,
		.goal = r->goal,
	};
}

static bool sane(const struct sched_lease *l)
{
	return l->id_len > 0 && l->id_len <= SLO_ID_MAX && l->load <= SLO_LOAD_MAX &&
	       tokens_sane(l->input) && tokens_sane(l->output) &&
	       (l->estimate == -1 || tokens_sane(l->estimate)) &&
	       (l->limit == -1 || tokens_sane(l->limit)) && l->sequences >= 0 &&
	       l->sequences <= UINT16_MAX && l->mute <= UINT8_MAX && l->strategy >= 0 &&
	       (int)l->strategy < SLO_STRATEGIES && l->arrived <= l->dispatched &&
	       goal_is_sane(&l->goal);
}

static void fill(struct sched *s, struct request *r, const struct sched_lease *l)
{
	r->model = l->model;
	r->created = l->created;
	r->arrived = l->arrived;
	r->input = (int32_t)l->input;
	r->output = (int32_t)l->output;
	r->estimate = (int32_t)l->estimate;
	r->strategy = (uint8_t)l->strategy;
	r->stream = l->stream;
	r->stream_guessed = l->stream_guessed;
	r->limit = (int32_t)l->limit;
	r->sequences = l->sequences > 1 ? (uint16_t)l->sequences : 1;
	r->class = l->class < PREDICTOR_CLASSES ? (uint8_t)l->class : PREDICTOR_UNKNOWN;
	r->mute = (uint8_t)l->mute;
	r->fallback = l->fallback;
	r->untaught = true;
	r->goal = l->goal;
	r->seq = ++s->seq;
	r->generation = s->generation;
}

slo_nsec sched_lease_since(const struct sched *s, slo_nsec then)
{
	const struct request *youngest =
	    TAILQ_LAST(&s->requests.list[REQUEST_DISPATCHED], request_list);

	return youngest && then < youngest->since ? youngest->since : then;
}

slo_err lease_restore(struct sched *s, const struct sched_lease *l)
{
	struct seat *seat = l->model ? sched_seat_find(l->model, l->server) : NULL;
	slo_nsec since = sched_lease_since(s, l->dispatched);
	uint64_t hash;
	struct request *r;

	if (!seat || !sane(l))
		return SLO_EINVAL;
	hash = sched_hash(s, l->id, l->id_len);
	if (requests_find(&s->requests, hash, l->id, l->id_len) ||
	    past_find(&s->past, hash) != PAST_UNKNOWN)
		return SLO_EINVAL;
	r = requests_new(&s->requests, hash, l->id, l->id_len, since);
	if (!r)
		return SLO_ENOMEM;
	fill(s, r, l);
	requests_move(&s->requests, r, REQUEST_DISPATCHED, since);
	sched_lease_open(s, since, r, seat, l->load);
	if (tapped(s))
		tap_request(s, SLO_EVENT_LEASE, since, r);
	sched_stake(s, since, r);
	return SLO_OK;
}
