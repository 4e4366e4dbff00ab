/* What a model promises, and what its deployments learn from the ends of requests. */
#include <math.h>
#include <stdlib.h>

#include "core/bounds.h"
#include "sched_private.h"

#define REFUTED       2.0 /* times as long, or as short */
#define REFUTED_AFTER 500 /* ends */
#define REFUTED_BY    400

#define GROWN_MOST 1e9 /* tokens; no cache holds more */

#define SLOWER_MOST  16.0
#define SLOWER_MOVED 0.1  /* less than that changes nothing */
#define SLOWER_LATE  0.09 /* log of so much is still less */

static void changed(struct sched *s, struct sched_model *m)
{
	queue_refresh(&m->queue);
	sched_mark_dirty(s, m);
}

void sched_promise(struct sched *s, struct sched_model *m, const struct goal *promise)
{
	m->pool.promise = *promise;
	changed(s, m);
	if (tapped(s))
		tap_promise(s, m);
}

static void keep_grown(struct deployment *d);
static void take_given(struct deployment *d);
static void plan_rates(struct sched *s, struct deployment *d);

/* What a request weighs in d is another matter now, so what was withheld by it is void. */
static void weigh_anew(struct sched *s, const struct deployment *d)
{
	for (const struct seat *seat = d->seats; seat; seat = seat->next)
		sched_withhold(s, seat->server, 0);
}

void sched_force(struct sched *s, struct deployment *d, enum fleet_source source,
                 const struct latency_force *force)
{
	if (source != d->source ||
	    (force->state == LATENCY_COLD) != (d->force.state == LATENCY_COLD))
		weigh_anew(s, d);
	s->forced++;
	d->source = source;
	d->force = *force;
	if (source == FLEET_REFUTED && d->profile) { /* a player does not count the ends */
		d->refuted = profile_digest(d->profile);
		d->refuting = d->refuting < REFUTED_BY ? REFUTED_BY : d->refuting;
	}
	if (!fleet_learned(d))
		take_given(d);
	plan_rates(s, d);
	fleet_freed(d);
	changed(s, sched_model_of(d));
	if (tapped(s))
		tap_source(s, d);
}

void sched_slower(struct sched *s, struct seat *seat, double slower)
{
	seat->slower = slower;
	if (tapped(s))
		tap_slower(s, seat);
}

/* As the configuration has it. */
static bool is_auto(const struct deployment *d)
{
	return d->source == FLEET_AUTO || d->source == FLEET_PRIOR || d->source == FLEET_REFUTED;
}

slo_err sched_source_set(struct sched *s, struct deployment *d, enum fleet_source source, double kv)
{
	bool begins = source == FLEET_PRIOR, judged = begins || source == FLEET_AUTO;
	bool same = d->begins == begins && (d->source == source || (is_auto(d) && judged));

	if (d->learner && same && !(fabs(d->learner->kv - kv) > 0))
		return SLO_OK;
	d->begins = begins;
	if (!d->learner && source == FLEET_GIVEN)
		return SLO_OK;
	if (!d->learner) {
		d->learner = malloc(sizeof(*d->learner));
		if (!d->learner)
			return SLO_ENOMEM;
		latency_learner_init(d->learner, kv);
	}
	latency_learner_kv(d->learner, kv);
	if (!begins) {
		keep_grown(d);
		latency_learner_prior(d->learner, d->learner->forced, NULL);
	}
	if (!judged || !is_auto(d))
		sched_force(s, d, judged ? FLEET_AUTO : source, &d->learner->force);
	if (judged)
		sched_profile_changed(s, d);
	return SLO_OK;
}

void sched_floor(struct sched *s, struct deployment *d, slo_load floor)
{
	d->floor = floor;
	weigh_anew(s, d);
	fleet_freed(d);
	changed(s, sched_model_of(d));
	if (tapped(s))
		tap_floor(s, d);
}

void sched_running_set(struct sched *s, struct deployment *d, uint64_t most)
{
	slo_load floor = 0;

	if (most > 0)
		floor = SLO_LOAD_ONE / (most < SCHED_RUNNING_MOST ? most : SCHED_RUNNING_MOST);
	if (floor != d->floor)
		sched_floor(s, d, floor);
}

bool sched_headroom(struct sched *s, slo_nsec now, struct deployment *d, double headroom)
{
	if (!d->learner)
		return false;
	latency_learner_headroom(d->learner, now, headroom);
	sched_guard(s, d, 1);
	sched_force(s, d, d->source, &d->learner->force);
	return true;
}

slo_err sched_recall(struct sched *s, slo_nsec now, struct deployment *d,
                     const struct latency_memory *m)
{
	slo_err err = d->learner ? latency_learner_recall(d->learner, now, m) : SLO_EINVAL;

	if (err == SLO_OK)
		sched_force(s, d, d->source, &d->learner->force);
	return err;
}

void sched_stay_begin(slo_nsec now, struct request *r, const struct deployment *d)
{
	struct server *server = fleet_server_of(&r->charge);

	/* It waits inside the engine, which is not speed. */
	if (d && d->floor > 0 && server->ledger.inflight > fleet_running(d))
		r->untaught = true;
	latency_flow_enter(&server->flow, now, r->input, r->output, d ? fleet_rates(d)->prompt : 0,
	                   &r->stay);
}

/* How much slower than the others of its deployment a server is. */
static void note_slower(struct sched *s, struct seat *seat)
{
	const struct deployment *d = seat->deployment;
	double late = d->usable > 1 ? seat->speed.late - d->learner->usual : 0;
	double slower = late > SLOWER_LATE ? at_most(exp(late), SLOWER_MOST) : 1;

	if (slower < 1 + SLOWER_MOVED)
		slower = 1;
	if (fabs(slower - seat->slower) > SLOWER_MOVED * seat->slower ||
	    (slower < seat->slower && !(slower > 1)))
		sched_slower(s, seat, slower);
}

slo_err sched_recall_speed(struct sched *s, struct seat *seat, const struct latency_speed *speed)
{
	if (!seat->deployment->learner || !(fabs(speed->late) <= 2))
		return SLO_EINVAL;
	seat->speed = *speed;
	note_slower(s, seat);
	return SLO_OK;
}

/* Every point twice: the second look needs what the first one found. */
static void read_profile(const struct profile *profile, struct latency_given *g)
{
	struct latency_point p;

	latency_given_init(g);
	for (size_t i = 0; i < profile_cells(profile); i++)
		if (profile_point(profile, i, &p))
			latency_given_teach(g, &p);
	for (size_t i = 0; i < profile_cells(profile); i++)
		if (profile_point(profile, i, &p))
			latency_given_look(g, &p);
}

/* What is learned begins with what d's profile says. */
static void take_prior(struct deployment *d)
{
	struct latency_given g;

	if (d->profile)
		read_profile(d->profile, &g);
	latency_learner_prior(d->learner, d->learner->forced, d->profile ? &g : NULL);
	latency_learner_grown(d->learner, d->learner->forced, d->grown);
}

/* What d's profile says of its rates. The size of the cache is known better by who told it. */
static void take_given(struct deployment *d)
{
	struct latency_given g;

	d->given = (struct latency_rates){ 0 };
	if (!d->profile)
		return;
	read_profile(d->profile, &g);
	d->given = latency_given_rates(&g);
	if (d->source == FLEET_GIVEN || !d->force.rates.kv_told)
		return;
	d->given.kv = d->force.rates.kv;
	d->given.kv_told = true;
}

static void plan_rates(struct sched *s, struct deployment *d)
{
	bool knew = d->planned.step > 0;

	d->planned = fleet_learned(d) ? d->force.rates : d->given;
	d->planned.headroom *= d->guard.share;
	if (!knew && d->planned.step > 0 && !s->follows)
		sched_stake_all(s, d);
}

static void guard_moved(struct sched *s, struct deployment *d)
{
	plan_rates(s, d);
	fleet_freed(d);
	changed(s, sched_model_of(d));
	if (tapped(s))
		tap_guard(s, d);
}

void sched_guard(struct sched *s, struct deployment *d, double share)
{
	bool moved = share < d->guard.share || share > d->guard.share;

	guard_init(&d->guard, ++s->guards);
	d->guard.share = share;
	if (moved)
		guard_moved(s, d);
}

slo_err sched_recall_guard(struct sched *s, struct deployment *d, const struct guard *g)
{
	if (!guard_sane(g->share, g->seen, g->missed))
		return SLO_EINVAL;
	sched_guard(s, d, g->share);
	d->guard.seen = g->seen;
	d->guard.missed = g->missed;
	return SLO_OK;
}

/* Whether its end was to be well in time, by the tokens that were thought and by the real ones:
 * what the guard watches is times, not sizes. */
static bool was_safe(const struct request *r, slo_nsec span)
{
	slo_nsec thought = goal_span(&r->goal, r->input, r->output);
	double least = (double)(span < thought ? span : thought) / 1e9;

	return r->stake.counted && r->stake.foreseen > 0 &&
	       (double)r->stake.foreseen < GUARD_SAFE * least;
}

/* Where it was placed, wherever its server is now; NULL: that is gone, or plans by other numbers.
 */
static struct deployment *planned_in(const struct request *r)
{
	const struct pool *pool = r->model ? &r->model->pool : NULL;

	for (size_t i = 0; pool && i < pool->deployments; i++)
		if (pool->deployment[i]->guard.number == r->stake.guard)
			return pool->deployment[i];
	return NULL;
}

void sched_judge(struct sched *s, slo_nsec lasted, const struct request *r,
                 const struct sched_end *end)
{
	slo_nsec span = goal_span(&r->goal, end->input, end->output);
	struct deployment *d = planned_in(r);

	if (!d || s->follows || (d->learner && d->learner->headroom > 0) || !was_safe(r, span))
		return;
	if (guard_note(&d->guard, &s->guards, r->since + lasted - r->created > span))
		guard_moved(s, d);
}

/* Whether its profile decides, as far as ends spoke against it. */
static void judge_profile(struct sched *s, struct deployment *d)
{
	enum fleet_source source = FLEET_AUTO;

	if (!is_auto(d))
		return;
	if (d->profile && (d->learner ? d->learner->prior : d->source == FLEET_PRIOR))
		source = FLEET_PRIOR;
	if (d->profile && d->refuting >= REFUTED_BY)
		source = FLEET_REFUTED;
	if (d->source != source || d->learner)
		sched_force(s, d, source, d->learner ? &d->learner->force : &d->force);
}

/* What was found of the cache beyond d's profile. */
static void keep_grown(struct deployment *d)
{
	if (d->learner)
		d->grown = at_least(d->learner->prior_kv, d->grown);
}

/* The profile of that digest is in force, or will be; what was found out about another is void. */
static void expect(struct deployment *d, uint64_t digest)
{
	if (digest != d->refuted) {
		d->refuting = 0;
		d->grown = 0;
	} else {
		keep_grown(d);
	}
	d->refuted = digest;
}

void sched_profile_changed(struct sched *s, struct deployment *d)
{
	uint64_t digest = d->profile ? profile_digest(d->profile) : d->refuted;

	take_given(d);
	plan_rates(s, d);
	expect(d, digest);
	if (d->learner && d->begins)
		take_prior(d);
	judge_profile(s, d);
}

slo_err sched_recall_refuted(struct sched *s, struct deployment *d, uint64_t digest, uint32_t ends)
{
	if (!d->learner || d->force.state == LATENCY_COLD || digest == 0)
		return SLO_EINVAL;
	if (d->profile && profile_digest(d->profile) != digest)
		return SLO_OK;
	expect(d, digest);
	d->refuting = ends;
	judge_profile(s, d);
	return SLO_OK;
}

slo_err sched_recall_grown(struct sched *s, struct deployment *d, uint64_t digest, double kv)
{
	if (!d->learner || digest == 0 || !(kv > 0 && kv <= GROWN_MOST))
		return SLO_EINVAL;
	if (d->profile && profile_digest(d->profile) != digest)
		return SLO_OK;
	expect(d, digest);
	d->grown = at_least(kv, d->grown);
	latency_learner_grown(d->learner, d->learner->forced, d->grown);
	sched_force(s, d, d->source, &d->learner->force);
	return SLO_OK;
}

/* Whether the times of d's profile for this size are out of all proportion to what was learned:
 * what its throughput means by Little's law takes more than twice as long as it says, or less than
 * half, and that counts only where the cache is known to hold it. */
static bool speaks_against(const struct deployment *d, int64_t input, int64_t output)
{
	const struct latency_target none = { 0, 0 };
	size_t cell = profile_cell(d->profile, input, output);
	struct latency_cell c = latency_cell(&d->force.rates, input, output, &none);
	double load = load_to_double(profile_load(d->profile, cell));
	double told = profile_e2e(d->profile, cell), learned;

	if (!(load > 0) || !(told > 0))
		return false;
	learned = c.own + c.others / load;
	return learned > REFUTED * told || (d->force.rates.kv_told && REFUTED * learned < told);
}

/* Beyond doubt: for long, and two of three ends. */
static void weigh_profile(struct sched *s, struct deployment *d, int64_t input, int64_t output)
{
	if (!is_auto(d) || d->source == FLEET_REFUTED || !d->profile ||
	    d->force.state != LATENCY_HOT || d->learner->ends < REFUTED_AFTER)
		return;
	if (speaks_against(d, input, output))
		d->refuting++;
	else
		d->refuting -= d->refuting < 2 ? d->refuting : 2;
	if (d->refuting >= REFUTED_BY)
		sched_force(s, d, FLEET_REFUTED, &d->force);
}

/* Its own prompt is known better now than at dispatch; those of the others are not. */
static void correct_stay(struct latency_features *x, const struct request *r,
                         const struct stay_size *size)
{
	double more = (double)size->input - (double)r->input;

	x->prompts = at_least(x->prompts + more - (double)size->cached, 1);
	x->reads = at_least(x->reads + x->steps * more, 0);
}

/* When one of another agent arrived is not known. */
static bool has_waited(const struct request *r)
{
	return r->owner == 0 && r->since > r->arrived;
}

/* Whether more room would be of use: r waited for it, or others do. To slo-adaptive it always is,
 * as that goes past a server without room though it may be the best one. */
static bool is_wanted(const struct request *r)
{
	return has_waited(r) || r->model->queue.length > 0 || r->strategy == SLO_STRATEGY_ADAPTIVE;
}

/* Seconds that it may take; 0: none for all of it. */
static double whole_span(const struct goal *g, const struct stay_size *size)
{
	return g->kind == GOAL_NONE || g->kind == GOAL_TTFT
	           ? 0
	           : (double)goal_span(g, size->input, size->output) / 1e9;
}

/* A client that asks for more time than others does not change what is safe for them. */
static double target_of(const struct deployment *d, const struct request *r,
                        const struct stay_size *size)
{
	const struct goal *usual = rank_usual_goal(d);
	double own = whole_span(&r->goal, size), most = whole_span(usual, size);

	if (usual->kind == GOAL_NONE)
		return own;
	return own > 0 && own < most ? own : most;
}

void sched_stay_end(struct sched *s, slo_nsec now, slo_nsec since, struct request *r,
                    const struct stay_size *size)
{
	struct server *server = fleet_server_of(&r->charge);
	struct seat *seat = sched_seat_find(r->model, server);
	struct deployment *d = seat ? seat->deployment : NULL;
	struct latency_lesson lesson;

	if (!d || !d->learner || r->untaught)
		return;
	lesson.held = (double)(r->stay.before + r->stay.own) / 2;
	lesson.tokens = (double)size->input + (double)size->output;
	lesson.expected = (double)r->input + (double)r->output;
	/* Both are of all its prompts and answers together, so its longest has as many at least. */
	lesson.longest = (double)size->told / r->sequences;
	lesson.target = target_of(d, r, size);
	lesson.several = d->usable > 1;
	lesson.on_top = r->fallback && has_waited(r);
	lesson.wanted = is_wanted(r);
	if (!latency_flow_leave(&server->flow, now, since, size->output, &r->stay, &lesson.stay))
		return;
	correct_stay(&lesson.stay, r, size);
	if (latency_learn(d->learner, now, &lesson, &seat->speed))
		sched_force(s, d, d->source, &d->learner->force);
	note_slower(s, seat);
	weigh_profile(s, d, size->input, size->output);
}

void sched_tokens_counted(const struct seat *seat, const struct estimator_counted *c)
{
	estimator_learn_counted(&sched_model_of(seat->deployment)->estimator, c);
}
