/* One step, in this order, until nothing is left to do:
 *   1. what time alone ends: ids that need not be remembered, leases that are too old;
 *   2. a request that waited too long (step_timeout), the first that came;
 *   3. a request that does not wait (step_ready), in order of arrival: push, least-request and
 *      random, or an answer that is certain already;
 *   4. the most important and in this most urgent head of all queues in which something changed
 * (step_queues). One that can be placed or refused is the step's answer; one that cannot is blocked
 * until something it waits for changes, and the next is looked at. Models are `dirty` when
 * something changed for them since their last round came to its end. Each step gives one answer, so
 * that its caller passes it on before the next is decided, and a charge is on its ledger before the
 * next choice. */
#include "core/sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sizes.h"
#include "sched_private.h"

/* Old ids are forgotten in batches of about this span, so that they wake nobody one by one. */
#define FORGET_SLACK SLO_NSEC_PER_SEC

_Static_assert(SLO_PASS + 1 == SLO_VERDICTS && SLO_REASON_NO_WORK + 1 == SLO_REASONS &&
                   SLO_LATE_SERVE + 1 == SLO_LATES,
               "the numbers of names, beside their enums");

const char *sched_verdict_name(enum slo_verdict v)
{
	static const char *const names[SLO_VERDICTS] = {
		[SLO_ROUTE] = "route",
		[SLO_FALLBACK] = "fallback",
		[SLO_REJECT] = "reject",
		[SLO_PASS] = "pass",
	};

	return names[v];
}

const char *sched_reason_name(enum slo_reason r)
{
	static const char *const names[SLO_REASONS] = {
		[SLO_REASON_NONE] = "",
		[SLO_REASON_SLO_FAILURE] = "slo-failure",
		[SLO_REASON_QUEUE_TIMEOUT] = "queue-timeout",
		[SLO_REASON_QUEUE_FULL] = "queue-full",
		[SLO_REASON_NO_SERVER] = "no-server",
		[SLO_REASON_NO_PROFILE] = "no-profile",
		[SLO_REASON_NO_SLO] = "no-slo",
		[SLO_REASON_UNKNOWN_MODEL] = "unknown-model",
		[SLO_REASON_BAD_REQUEST] = "bad-request",
		[SLO_REASON_DRAINING] = "draining",
		[SLO_REASON_ENDED] = "ended",
		[SLO_REASON_NO_WORK] = "no-work",
	};

	return names[r];
}

struct sched_conf sched_conf_default(void)
{
	return (struct sched_conf){
		.fallback = SLO_STRATEGY_LEAST_REQUEST,
		.late = SLO_LATE_SERVE,
		.infeasible = SLO_INFEASIBLE_REJECT,
		.predict = SLO_PREDICT_SAMPLE,
		.cold = SLO_COLD_OPTIMISTIC,
		.queue_limit = 100000,
		.queue_timeout = 30 * SLO_NSEC_PER_SEC,
		.lease_max_age = 7200 * SLO_NSEC_PER_SEC,
		.remember_ended = 30 * SLO_NSEC_PER_SEC,
		.remember_limit = 100000,
	};
}

struct sched *sched_new(const struct sched_conf *conf)
{
	struct sched *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->conf = *conf;
	rng_init(&s->rng, conf->seed);
	rng_init(&s->guesses, ~conf->seed);
	if (past_init(&s->past) != SLO_OK) {
		free(s);
		return NULL;
	}
	requests_init(&s->requests);
	moments_init(&s->holds, offsetof(struct request, hold));
	TAILQ_INIT(&s->models);
	TAILQ_INIT(&s->dirty);
	LIST_INIT(&s->servers);
	foreign_init(&s->foreign);
	return s;
}

void sched_free(struct sched *s)
{
	struct sched_model *m;
	struct server *server;

	if (!s)
		return;
	requests_fini(&s->requests);
	moments_fini(&s->holds);
	past_fini(&s->past);
	foreign_fini(&s->foreign);
	HASH_CLEAR(hh, s->model_by_name);
	while ((m = TAILQ_FIRST(&s->models))) {
		TAILQ_REMOVE(&s->models, m, link);
		sched_model_free(m);
	}
	while ((server = LIST_FIRST(&s->servers))) {
		LIST_REMOVE(server, link);
		fleet_server_free(server);
	}
	free(s);
}

void sched_mark_dirty(struct sched *s, struct sched_model *m)
{
	if (m->dirty)
		return;
	m->dirty = true;
	TAILQ_INSERT_TAIL(&s->dirty, m, dirty_link);
}

void sched_leave_queue(struct sched *s, struct request *r)
{
	if (r->state != REQUEST_QUEUED)
		return;
	queue_remove(&r->model->queue, r);
	sched_mark_dirty(s, r->model);
}

void sched_over(struct sched *s, slo_nsec now, struct request *r)
{
	if (r->owner != 0)
		foreign_over(s, now, r);
	else
		past_add(&s->past, r->hash, r->ended ? PAST_ENDED : PAST_OVER, now);
	requests_over(&s->requests, r);
}

static struct request *oldest(const struct sched *s, enum request_state state)
{
	return TAILQ_FIRST(&s->requests.list[state]);
}

void sched_forget_old(struct sched *s, slo_nsec now)
{
	while (s->past.count > 0 &&
	       (s->past.count > s->conf.remember_limit ||
	        slo_after(past_oldest(&s->past), s->conf.remember_ended) <= now))
		past_forget_oldest(&s->past);
}

static void expire_leases(struct sched *s, slo_nsec now)
{
	struct request *r;

	while ((r = oldest(s, REQUEST_DISPATCHED)) &&
	       slo_after(r->since, s->conf.lease_max_age) <= now)
		sched_lease_expire(s, now, r, FLEET_REPAIR_MAX_AGE);
}

/* submit */

static uint16_t sequences_of(const struct sched_request *req)
{
	if (req->sequences < 1)
		return 1;
	return req->sequences < UINT16_MAX ? (uint16_t)req->sequences : UINT16_MAX;
}

static void fill(struct sched *s, slo_nsec now, struct request *r, const struct sched_request *req)
{
	struct sched_model *m = req->model;
	int64_t input = tokens_clamp(req->input);

	r->model = m;
	r->estimate = req->input_told ? -1 : (int32_t)input;
	if (!req->input_told)
		input = sched_expect_input(m, now, input);
	r->input = (int32_t)input;
	r->sequences = sequences_of(req);
	r->limit = req->max_output < 0 ? -1 : (int32_t)tokens_clamp(req->max_output);
	r->mute = (uint8_t)req->mute;
	r->class = req->class < PREDICTOR_CLASSES ? (uint8_t)req->class : PREDICTOR_UNKNOWN;
	r->output = (int32_t)tokens_clamp(req->output < 0 ? sched_expect_output(s, now, r, req)
	                                                  : req->output);
	r->priority = req->priority;
	r->strategy = (uint8_t)req->strategy;
	r->stream = req->stream;
	r->stream_guessed = req->stream_guessed;
	r->created = req->created;
	r->arrived = now;
	r->own = req->own;
	r->user = req->user;
	r->seq = ++s->seq;
	r->generation = s->generation;
}

/* One goes for a newcomer, however many more than the limit wait since that was lowered: itself, if
 * all are equal. */
static struct request *full_for(const struct sched *s, struct request *newcomer)
{
	newcomer->round = s->settled - 1;
	return queue_least(&newcomer->model->queue);
}

/* Whether one must go for r, or for the newcomer that r is before: *r is that one then. A newcomer
 * that is a head may find a server at once. */
static bool owes_place(const struct sched *s, struct request **r)
{
	const struct queue *q = &(*r)->model->queue;
	struct request *behind;

	if (!queue_is_head(*r)) {
		if (q->length <= s->conf.queue_limit)
			return false;
		*r = full_for(s, *r);
		return true;
	}
	behind = queue_behind(*r);
	if (!behind || behind->round != s->settled || q->length - 1 <= s->conf.queue_limit)
		return false;
	*r = full_for(s, behind);
	return true;
}

static slo_err enqueue(struct sched *s, slo_nsec now, struct request *r)
{
	struct sched_model *m = r->model;
	slo_err err = moments_reserve(&s->holds, s->requests.count[REQUEST_QUEUED] + 1);

	if (err == SLO_OK)
		err = queue_push(&m->queue, now, r);
	if (err != SLO_OK)
		return err;
	requests_move(&s->requests, r, REQUEST_QUEUED, now);
	sched_mark_dirty(s, m);
	r->round = s->settled;
	if (owes_place(s, &r)) {
		queue_remove(&m->queue, r);
		requests_move(&s->requests, r, REQUEST_READY, now);
		r->reason = SLO_REASON_QUEUE_FULL;
	}
	return SLO_OK;
}

uint64_t sched_expect(const struct sched *s, const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);

	id_table_prefetch(&s->requests.by_id, hash);
	past_expect(&s->past, hash);
	return hash;
}

const struct request *sched_find(const struct sched *s, const char *id, size_t len)
{
	return requests_find(&s->requests, sched_hash(s, id, len), id, len);
}

slo_err sched_submit(struct sched *s, slo_nsec now, const struct sched_request *req,
                     struct request **out)
{
	enum past_state past;
	struct request *r;
	uint64_t hash;

	sched_forget_old(s, now);
	hash = req->hash ? req->hash : sched_hash(s, req->id, req->id_len);
	if (requests_find(&s->requests, hash, req->id, req->id_len))
		return SLO_EINVAL;
	past = past_find(&s->past, hash);
	if (past != PAST_UNKNOWN)
		return past == PAST_OVER ? SLO_EINVAL : SLO_ESTALE;
	r = requests_new(&s->requests, hash, req->id, req->id_len, now);
	if (!r)
		return SLO_ENOMEM;
	fill(s, now, r, req);
	if (policy_pulls(req->strategy) && enqueue(s, now, r) != SLO_OK) {
		requests_over(&s->requests, r);
		return SLO_ENOMEM;
	}
	if (!policy_pulls(req->strategy))
		sched_mark_dirty(s, req->model); /* an arrival is a trigger for late heads */
	if (tapped(s))
		tap_request(s, SLO_EVENT_SUBMIT, now, r);
	if (out)
		*out = r;
	return SLO_OK;
}

bool sched_queue_full(const struct sched *s, const struct request *r)
{
	return r->model && r->model->queue.length >= s->conf.queue_limit;
}

/* step */

static bool step_timeout(struct sched *s, slo_nsec now, struct sched_action *out)
{
	slo_nsec until;
	struct request *r = sched_first_held(s, now, &until);

	if (!r || until > now)
		return false;
	decide_timeout(s, now, r, out);
	return true;
}

static bool step_ready(struct sched *s, slo_nsec now, struct sched_action *out)
{
	struct request *r = oldest(s, REQUEST_READY);

	if (!r)
		return false;
	if (r->reason == SLO_REASON_NONE)
		decide_at_once(s, now, r, out);
	else
		decide_refuse(s, now, r, r->reason == SLO_REASON_QUEUE_FULL ? SLO_REJECT : SLO_PASS,
		              (enum slo_reason)r->reason, out);
	return true;
}

/* The head that goes first over all models with something to decide. Models share servers. */
static struct bucket *most_urgent(struct sched *s, slo_nsec now, struct sched_model **whose)
{
	struct sched_model *m, *next;
	struct bucket *first = NULL;

	for (m = TAILQ_FIRST(&s->dirty); m; m = next) {
		struct bucket *b = queue_candidate(&m->queue, now);

		next = TAILQ_NEXT(m, dirty_link);
		if (!b) {
			TAILQ_REMOVE(&s->dirty, m, dirty_link);
			m->dirty = false;
		} else if (!first || queue_compare(b, first) < 0) {
			first = b;
			*whose = m;
		}
	}
	return first;
}

static bool step_queues(struct sched *s, slo_nsec now, struct sched_action *out)
{
	struct sched_model *m = NULL;
	struct bucket *b;

	while ((b = most_urgent(s, now, &m))) {
		struct request *r = b->first;

		if (decide_ranked(s, now, r, b->option, b->options, out))
			return true;
		if (r->round == s->settled && m->queue.length > s->conf.queue_limit) {
			r = full_for(s, r);
			if (s->explains)
				why_waited(s, r);
			decide_refuse(s, now, r, SLO_REJECT, SLO_REASON_QUEUE_FULL, out);
			return true;
		}
		queue_block(&m->queue, b, now);
	}
	s->settled++;
	if (SELDOM(!LIST_EMPTY(&s->foreign.left)))
		foreign_round_over(s);
	return false;
}

/* Builds with SLO_CHECK look at all invariants every so often: the more there is, the rarer. */
static void check_at_times(struct sched *s)
{
#ifdef SLO_CHECK
	if (s->unchecked++ < 1000 + 16 * s->requests.by_id.count)
		return;
	s->unchecked = 0;
	sched_check(s);
#else
	(void)s;
#endif
}

bool sched_step(struct sched *s, slo_nsec now, struct sched_action *out)
{
	uint64_t expired = s->leases_expired;
	bool acted, gave_up;

	check_at_times(s);
	s->stepped = now;
	s->why.options = 0;
	sched_forget_old(s, now);
	expire_leases(s, now);
	if (SELDOM(foreign_next_turn(s) <= now))
		foreign_take_turns(s, now);
	gave_up = foreign_fresh_until(s) <= now;
	if (SELDOM(gave_up))
		foreign_fresh_give_up(s);
	if (SELDOM(!LIST_EMPTY(&s->foreign.left)))
		foreign_round(s);
	acted = step_timeout(s, now, out) || step_ready(s, now, out) || step_queues(s, now, out);
	if (tapped(s) && acted)
		tap_decision(s, SLO_EVENT_DECISION, now, out);
	else if (tapped(s))
		tap_step(s, now, gave_up || s->leases_expired != expired);
	return acted;
}

slo_nsec sched_next_wakeup(const struct sched *s)
{
	const struct request *r;
	slo_nsec wakeup, t;

	sched_hold_end(s, &wakeup);
	t = foreign_next_turn(s);
	wakeup = t < wakeup ? t : wakeup;
	t = foreign_fresh_until(s);
	wakeup = t < wakeup ? t : wakeup;
	if ((r = oldest(s, REQUEST_DISPATCHED))) {
		t = slo_after(r->since, s->conf.lease_max_age);
		wakeup = t < wakeup ? t : wakeup;
	}
	if (s->past.count > 0) {
		t = slo_after(slo_after(past_oldest(&s->past), s->conf.remember_ended),
		              FORGET_SLACK);
		wakeup = t < wakeup ? t : wakeup;
	}
	return wakeup;
}

bool sched_let_go(struct sched *s, slo_nsec now, struct sched_action *out)
{
	struct request *r = oldest(s, REQUEST_QUEUED);

	if (!r)
		return false;
	s->why.options = 0;
	decide_let_go(s, now, r, out);
	if (tapped(s))
		tap_decision(s, SLO_EVENT_LET_GO, now, out);
	return true;
}

/* end */

void sched_abandon(struct sched *s, slo_nsec now, struct request *r)
{
	assert(r->state == REQUEST_QUEUED || r->state == REQUEST_READY);
	sched_leave_queue(s, r);
	sched_over(s, now, r);
	if (tapped(s))
		tap_request(s, SLO_EVENT_ABANDON, now, r);
}

void sched_note_passed(struct sched *s, slo_nsec now, const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);

	sched_forget_old(s, now);
	if (!requests_find(&s->requests, hash, id, len) &&
	    past_find(&s->past, hash) == PAST_UNKNOWN)
		past_add(&s->past, hash, PAST_OVER, now);
}

static void cancel(struct sched *s, slo_nsec now, struct request *r)
{
	if (r->state == REQUEST_QUEUED) {
		sched_leave_queue(s, r);
		requests_move(&s->requests, r, REQUEST_READY, now);
	}
	r->reason = SLO_REASON_ENDED;
	r->ended = true;
}

/* What is known of an id in no table; *hash is the one by which it is known. */
static enum past_state past_of(const struct sched *s, uint64_t *hash)
{
	enum past_state past = past_find(&s->past, *hash);
	uint64_t line;

	if (past != PAST_UNKNOWN || s->foreign.owners == 0)
		return past;
	line = foreign_line_hash(*hash);
	past = past_find(&s->past, line);
	if (past != PAST_UNKNOWN)
		*hash = line;
	return past;
}

enum sched_end_result sched_end_past(struct sched *s, slo_nsec now, uint64_t hash,
                                     enum past_state unknown)
{
	switch (past_find(&s->past, hash)) {
	case PAST_OVER:
		past_end(&s->past, hash, now);
		return SCHED_END_CLOSED;
	case PAST_ENDED:
	case PAST_STRAY:
		return SCHED_END_DUPLICATE;
	case PAST_UNKNOWN:
		break;
	}
	past_add(&s->past, hash, unknown, now);
	return SCHED_END_UNKNOWN;
}

/* The end of a request that is over, or never was. */
static enum sched_end_result end_past(struct sched *s, slo_nsec now, uint64_t hash)
{
	(void)past_of(s, &hash);
	return sched_end_past(s, now, hash, PAST_STRAY);
}

static void end_dispatched(struct sched *s, slo_nsec now, struct request *r,
                           const struct sched_outcome *outcome, struct sched_end *out)
{
	slo_nsec lasted = now - r->since;
	struct sched_outcome seen = *outcome;

	seen.encoded |= lesson_is_unsized(r, outcome);
	if (SELDOM(s->foreign.news.ended))
		s->foreign.news.ended(s->foreign.news.arg, r, &seen, lasted);
	sched_lease_end(s, now, r, &seen, lasted, out);
	if (tapped(s))
		tap_end(s, now, r, &seen);
}

void sched_end(struct sched *s, slo_nsec now, const char *id, size_t len,
               const struct sched_outcome *outcome, struct sched_end *out)
{
	uint64_t hash = sched_hash(s, id, len);
	struct request *r;

	*out = (struct sched_end){ .result = SCHED_END_CLOSED };
	sched_forget_old(s, now);
	r = requests_find(&s->requests, hash, id, len);
	if (!r && SELDOM(s->foreign.open > 0))
		r = foreign_of_line(s, hash, id, len, outcome);
	if (!r) {
		out->result = end_past(s, now, hash);
		return;
	}
	switch ((enum request_state)r->state) {
	case REQUEST_READY:
	case REQUEST_QUEUED:
		out->result = r->ended ? SCHED_END_DUPLICATE : SCHED_END_CANCELLED;
		if (tapped(s) && !r->ended)
			tap_end(s, now, r, outcome);
		cancel(s, now, r);
		break;
	case REQUEST_DISPATCHED:
		end_dispatched(s, now, r, outcome, out);
		break;
	case REQUEST_OVER: /* those are not found */
		break;
	}
}

bool sched_ended(const struct sched *s, const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);
	enum past_state past = past_of(s, &hash);

	return past == PAST_ENDED || past == PAST_STRAY;
}

bool sched_is_known(const struct sched *s, const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);

	return requests_find(&s->requests, hash, id, len) ||
	       requests_find_of(&s->requests, hash, id, len, ID_OF_ANY) ||
	       past_of(s, &hash) != PAST_UNKNOWN;
}

bool sched_was_known(const struct sched *s, const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);

	return past_of(s, &hash) == PAST_ENDED;
}

void sched_give_back(struct sched *s)
{
	requests_give_back(&s->requests);
}

struct sched_counts sched_counts(const struct sched *s)
{
	return (struct sched_counts){
		.queued = s->requests.count[REQUEST_QUEUED],
		.dispatched = s->requests.count[REQUEST_DISPATCHED],
		.remembered = s->past.count,
		.leases_expired = s->leases_expired,
		.ends_lost = s->ends_lost,
		.foreign = s->foreign.open,
		.forced = s->forced,
	};
}
