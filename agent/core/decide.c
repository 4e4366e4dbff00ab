/* The decision for one request.
 *
 *   decide_ranked()   for a strategy that waits: of the deployments in which the request can be in
 *                     time, the one with most slack first; in it a server that has room. None has
 *                     room: no answer yet
 *   decide_at_once()  for one that does not wait: the same order, but room or not
 *   decide_timeout(), decide_let_go()   it has waited for too long, or the process ends
 *
 * A request that nothing ranks (its model has no profile, or it has no target) falls back to any
 * server by `fallback`. One whose target no deployment could ever keep is refused, or falls back,
 * by `infeasible`. */
#include "core/adaptive.h"
#include "sched_private.h"

#define ON_TOP_MOST   (2 * SLO_LOAD_ONE)
/* Of the requests of the model: */
#define ON_TOP_EVERY  100
#define EXPLORE_COLD  10 /* for each server of a deployment */
#define EXPLORE_EVERY 100

static void answer(slo_nsec now, const struct request *r, enum slo_verdict verdict,
                   enum slo_reason reason, struct sched_action *out)
{
	*out = (struct sched_action){
		.request = r,
		.user = r->user,
		.verdict = verdict,
		.reason = reason,
		.strategy = (enum slo_strategy)r->strategy,
		.waited = now - r->arrived,
	};
}

void decide_refuse(struct sched *s, slo_nsec now, struct request *r, enum slo_verdict verdict,
                   enum slo_reason reason, struct sched_action *out)
{
	sched_leave_queue(s, r);
	sched_over(s, now, r);
	answer(now, r, verdict, reason, out);
}

/* What r weighs on that server. */
static slo_load load_on(const struct seat *seat, slo_load load)
{
	const struct deployment *d = seat->deployment;
	double more = (double)load * seat->slower;

	/* A slow engine runs as many at once. */
	if (!(seat->slower > 1) || !fleet_learned(d) || load == d->floor)
		return load;
	return more < (double)SLO_LOAD_MAX ? (slo_load)more : SLO_LOAD_MAX;
}

static void place(struct sched *s, slo_nsec now, struct request *r, struct seat *seat,
                  slo_load load, enum slo_verdict verdict, enum slo_reason reason,
                  struct sched_action *out)
{
	sched_leave_queue(s, r);
	requests_move(&s->requests, r, REQUEST_DISPATCHED, now);
	r->goal = rank_goal(seat->deployment, r);
	sched_lease_open(s, now, r, seat, load_on(seat, load));
	if (SELDOM(s->foreign.others > 0))
		foreign_placed(s, r);
	if (SELDOM(s->foreign.news.dispatched))
		foreign_tell(s, r);
	answer(now, r, verdict, reason, out);
	out->seat = seat;
}

/* On a server that another strategy chose in the place of r's own, which others are told. */
static void place_instead(struct sched *s, slo_nsec now, struct request *r, struct seat *seat,
                          enum slo_strategy strategy, enum slo_reason reason,
                          struct sched_action *out)
{
	r->fallback = true;
	r->strategy = (uint8_t)strategy;
	place(s, now, r, seat, rank_load(seat->deployment, r), SLO_FALLBACK, reason, out);
}

static struct seat *pick_any(struct sched *s, struct pool *pool, enum slo_strategy strategy)
{
	return strategy == SLO_STRATEGY_RANDOM ? policy_random(pool, &s->rng)
	                                       : policy_least_request(pool);
}

/* While nothing is known of a model that promises something: the server with the least tokens, for
 * its size as far as that is known. What was charged is such a share. */
static struct seat *pick_cold(const struct pool *pool)
{
	struct seat *best = NULL;

	if (pool->promise.kind == GOAL_NONE)
		return NULL;
	for (size_t i = 0; i < pool->deployments; i++) {
		struct deployment *d = pool->deployment[i];
		struct seat *seat = fleet_emptiest_seat(d);

		if (!seat)
			continue;
		if (!fleet_learned(d) || d->force.state != LATENCY_COLD)
			return NULL;
		if (!best || seat->server->ledger.used < best->server->ledger.used ||
		    (seat->server->ledger.used == best->server->ledger.used &&
		     seat->turn < best->turn))
			best = seat;
	}
	return best;
}

/* To any usable server of the model, without a test of capacity. */
static void fall_back(struct sched *s, slo_nsec now, struct request *r, enum slo_reason reason,
                      struct sched_action *out)
{
	struct seat *cold = pick_cold(&r->model->pool);
	struct seat *seat = cold ? cold : pick_any(s, &r->model->pool, s->conf.fallback);

	if (!seat) {
		decide_refuse(s, now, r, SLO_REJECT, SLO_REASON_NO_SERVER, out);
		return;
	}
	place_instead(s, now, r, seat, cold ? SLO_STRATEGY_LEAST_LOAD : s->conf.fallback, reason,
	              out);
}

/* Whether the cache has room for what r may be, though it does not look so. */
static bool may_be_smaller(const struct deployment *d, const struct server *server,
                           const struct request *r)
{
	const struct latency_rates *q = &d->force.rates;

	return r->estimate >= 0 && q->kv_told &&
	       latency_flow_held(&server->flow) + r->input + r->output <= q->kv;
}

/* Whether it is told how many run there at once, and no more of them can. */
static bool runs_all(const struct deployment *d, const struct server *server)
{
	return d->floor > 0 && server->ledger.inflight >= fleet_running(d);
}

/* Whether r may have waited for that server in vain: what is known of it may be wrong, or of r, or
 * r can do without the room and is in time there all the same. One at a time comes on top: how it
 * fares tells whether there was room, and if many did, all would only wait inside the engine.
 * slo-adaptive has weighed what it would do there, so few come on top in spite of that: where many
 * wait in vain, the fleet is too small and not what is known of it wrong. But a cache whose size is
 * only found may be larger. */
static bool is_doubted(const struct deployment *d, const struct server *server,
                       const struct request *r, slo_nsec now)
{
	slo_load used = fleet_load(server);
	bool weighed = r->strategy == SLO_STRATEGY_ADAPTIVE && d->force.rates.kv_told &&
	               d->pool->turns - d->pool->on_top < ON_TOP_EVERY;

	if (!fleet_learned(d) || runs_all(d, server) || used > SLO_LOAD_ONE ||
	    used + rank_load(d, r) > ON_TOP_MOST)
		return false;
	return d->force.state != LATENCY_HOT || may_be_smaller(d, server, r) ||
	       (!weighed && rank_behind_in_time(d, server, r, now));
}

static struct seat *pick_doubted(const struct pool *pool, const struct request *r, slo_nsec now)
{
	struct seat *best = NULL;

	for (size_t i = 0; i < pool->deployments; i++) {
		struct seat *seat = fleet_emptiest_seat(pool->deployment[i]);

		if (seat && is_doubted(pool->deployment[i], seat->server, r, now) &&
		    (!best || seat->server->ledger.used < best->server->ledger.used))
			best = seat;
	}
	return best;
}

void decide_timeout(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out)
{
	struct seat *seat = pick_doubted(&r->model->pool, r, now);

	if (s->explains)
		why_waited(s, r);
	if (!seat) {
		decide_refuse(s, now, r, SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT, out);
		return;
	}
	r->model->pool.on_top = r->model->pool.turns;
	place_instead(s, now, r, seat, SLO_STRATEGY_LEAST_LOAD, SLO_REASON_QUEUE_TIMEOUT, out);
}

void decide_let_go(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out)
{
	if (r->model->pool.usable == 0)
		decide_refuse(s, now, r, SLO_PASS, SLO_REASON_DRAINING, out);
	else
		fall_back(s, now, r, SLO_REASON_DRAINING, out);
}

static void infeasible(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out)
{
	if (s->conf.infeasible == SLO_INFEASIBLE_FALLBACK)
		fall_back(s, now, r, SLO_REASON_SLO_FAILURE, out);
	else
		decide_refuse(s, now, r, SLO_REJECT, SLO_REASON_SLO_FAILURE, out);
}

static bool has_profile(const struct pool *pool)
{
	for (size_t i = 0; i < pool->deployments; i++)
		if (pool->deployment[i]->profile)
			return true;
	return false;
}

/* No deployment can be ranked. Push does not look at throughput, so it is never infeasible. */
static void unranked(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out)
{
	const struct pool *pool = &r->model->pool;

	if (policy_pulls((enum slo_strategy)r->strategy) && rank_infeasible(pool, r))
		infeasible(s, now, r, out);
	else
		fall_back(s, now, r, has_profile(pool) ? SLO_REASON_NO_SLO : SLO_REASON_NO_PROFILE,
		          out);
}

/* False: no deployment can take it, now or later. */
static bool is_feasible(const struct rank_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!options[i].infeasible)
			return true;
	return false;
}

/* Where r adds least lateness to all. */
static bool decide_adaptive(struct sched *s, slo_nsec now, struct request *r,
                            const struct rank_option *options, size_t n, struct sched_action *out)
{
	struct pool *pool = &r->model->pool;
	/* Since a blocked one was tried no other server got room. */
	struct seat *only = queue_was_blocked(r) ? pool->freed_by : NULL;
	struct adaptive_choice c = { 0 };
	slo_load load;

	if (!adaptive_choose(pool, r, now, options, n, only, &c)) {
		if (is_feasible(options, n))
			return false;
		why_ranked(s, r, options, n, SIZE_MAX);
		infeasible(s, now, r, out);
		return true;
	}
	why_ranked(s, r, options, n, c.option);
	load = options[c.option].load; /* those of a head do not outlive its place in the queue */
	place(s, now, r, c.seat, load, SLO_ROUTE, SLO_REASON_NONE, out);
	adaptive_enter(c.seat->server, r, &c.stake);
	return true;
}

/* Whether what is learned of d can become better by r, and r does not suffer for it: nothing runs
 * there, nothing was sent there for long, and alone there r is predicted to be in time. While d is
 * cold that prediction is no reason to leave it alone: it may only be wrong. */
static bool may_explore(const struct deployment *d, const struct seat *seat,
                        const struct request *r, slo_nsec now)
{
	bool cold = d->force.state == LATENCY_COLD;

	return seat && seat->server->ledger.inflight == 0 &&
	       d->pool->turns - seat->turn >= (cold ? EXPLORE_COLD : EXPLORE_EVERY) * d->usable &&
	       (cold || rank_alone_in_time(d, r, now));
}

/* One of slo-adaptive, placed where nothing runs. */
static void stake_alone(struct request *r, struct seat *seat)
{
	struct adaptive_stake stake;

	if (r->strategy == SLO_STRATEGY_ADAPTIVE && adaptive_stake_alone(seat, r, &stake))
		adaptive_enter(seat->server, r, &stake);
}

/* One request in a while goes where traffic never does, because others are faster: else such a
 * deployment would stay unknown for ever. */
static bool explore(struct sched *s, slo_nsec now, struct request *r,
                    const struct rank_option *options, size_t n, struct sched_action *out)
{
	for (size_t i = 0; i < n; i++) {
		struct deployment *d = r->model->pool.deployment[options[i].deployment];
		slo_load load = options[i].load;
		struct seat *seat;

		if (!fleet_learned(d) || d->force.state == LATENCY_HOT || options[i].infeasible)
			continue;
		seat = fleet_emptiest_seat(d);
		if (!may_explore(d, seat, r, now))
			continue;
		why_ranked(s, r, options, n, i);
		place(s, now, r, seat, load, SLO_ROUTE, SLO_REASON_NONE, out);
		stake_alone(r, seat);
		return true;
	}
	return false;
}

bool decide_ranked(struct sched *s, slo_nsec now, struct request *r,
                   const struct rank_option *options, size_t n, struct sched_action *out)
{
	bool full = false;

	if (n == 0) {
		unranked(s, now, r, out);
		return true;
	}
	if (s->conf.late == SLO_LATE_REJECT && options[0].start < now) {
		why_ranked(s, r, options, n, SIZE_MAX);
		decide_refuse(s, now, r, SLO_REJECT, SLO_REASON_SLO_FAILURE, out);
		return true;
	}
	if (explore(s, now, r, options, n, out))
		return true;
	if (r->strategy == SLO_STRATEGY_ADAPTIVE)
		return decide_adaptive(s, now, r, options, n, out);
	for (size_t i = 0; i < n && rank_open(options, i, now, s->conf.late); i++) {
		struct deployment *d = r->model->pool.deployment[options[i].deployment];
		struct seat *seat;

		if (options[i].infeasible)
			continue;
		seat = policy_pick((enum slo_strategy)r->strategy, d, options[i].load);
		if (seat) {
			why_ranked(s, r, options, n, i);
			place(s, now, r, seat, options[i].load, SLO_ROUTE, SLO_REASON_NONE, out);
			return true;
		}
		full = true;
	}
	if (full)
		return false;
	why_ranked(s, r, options, n, SIZE_MAX);
	infeasible(s, now, r, out);
	return true;
}

void decide_at_once(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out)
{
	enum slo_strategy strategy = (enum slo_strategy)r->strategy;
	struct pool *pool = &r->model->pool;
	struct rank_option options[SLO_DEPLOYMENTS_MAX];
	struct seat *seat;
	size_t n;

	if (!policy_ranks(strategy)) {
		seat = pick_any(s, pool, strategy);
	} else if ((n = rank_options(pool, r, options)) > 0) {
		why_ranked(s, r, options, n, 0);
		seat =
		    policy_pick(strategy, pool->deployment[options[0].deployment], options[0].load);
	} else {
		unranked(s, now, r, out);
		return;
	}
	if (!seat) {
		decide_refuse(s, now, r, SLO_REJECT, SLO_REASON_NO_SERVER, out);
		return;
	}
	place(s, now, r, seat, rank_load(seat->deployment, r), SLO_ROUTE, SLO_REASON_NONE, out);
}
