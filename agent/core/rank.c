#include "core/rank.h"

#include "core/bounds.h"

#define KV_COMPARED     8192.0
#define EXPECTED_MOST   1e9 /* seconds */
#define LOAD_SHARE_MOST 4096.0
#define GUESS_OFF       4.0 /* times: a token of a stream has 60 to 1,000 bytes */

/* out has span and ttft already, as in the two below. */
static bool rank_given(const struct profile *p, const struct request *r, const struct goal *goal,
                       struct rank_option *out)
{
	size_t cell = profile_cell(p, r->input, r->output);
	slo_nsec rank; /* of one that was created just now */

	if (!profile_rank(p, cell, goal, out->span, &rank))
		return false;
	out->start = r->created - rank;
	out->load = profile_load(p, cell);
	out->infeasible = profile_infeasible(p, cell);
	return true;
}

static struct latency_target target_of(slo_nsec span, bool ttft)
{
	double seconds = (double)span / 1e9;
	struct latency_target target = { 0 };

	if (ttft)
		target.ttft = seconds;
	else
		target.e2e = seconds;
	return target;
}

static struct latency_target rank_target(const struct goal *goal, const struct request *r)
{
	return target_of(goal_span(goal, r->input, r->output), goal->kind == GOAL_TTFT);
}

/* Nobody is refused by rates that may be wrong, or for a target of his own. A target per token is
 * missed beyond doubt only by far: where the tokens of streams are guessed by their bytes, all
 * times per token are off by the same factor. */
static bool never_in_time(const struct latency_force *f, const struct request *r,
                          const struct goal *goal, const struct rank_option *option)
{
	double off = goal->per_token > 0 ? GUESS_OFF : 1;

	return f->state == LATENCY_HOT && !slo_target_is_set(&r->own) &&
	       latency_alone(&f->rates, r->input, r->output, option->ttft) >
	           off * (double)option->span / 1e9;
}

static void rank_learned(const struct latency_force *f, const struct request *r,
                         const struct goal *goal, struct rank_option *out)
{
	struct latency_target target = target_of(out->span, out->ttft);
	double expected =
	    latency_usual(&f->rates, r->input, r->output, &target, out->ttft, &out->load);

	out->infeasible = never_in_time(f, r, goal, out);
	out->start = r->created - ((slo_nsec)(at_most(expected, EXPECTED_MOST) * 1e9) - out->span);
}

/* An engine that runs so many at once lets the others wait, whatever they weigh. */
static slo_load floored(const struct deployment *d, slo_load load)
{
	return load < d->floor ? d->floor : load;
}

/* Its share of the cache; where that is only being found, of what a server does at once without
 * anybody waiting for the others for nothing. */
slo_load rank_share(const struct deployment *d, const struct request *r)
{
	const struct latency_rates *rates = fleet_rates(d);
	double tokens = (double)r->input + (double)r->output + 1;

	if (fleet_learned(d) && !rates->kv_told)
		return rank_load(d, r);
	return (slo_load)(at_most(tokens * rates->crowd / rates->kv, LOAD_SHARE_MOST) *
	                  (double)SLO_LOAD_ONE);
}

/* Of slo-adaptive: it starts in time if the server holds all that it may, and weighs what it takes
 * of the cache. */
static void rank_adaptive(const struct deployment *d, const struct request *r,
                          struct rank_option *out)
{
	struct latency_target target = target_of(out->span, out->ttft);
	double expected = latency_full(fleet_rates(d), r->input, r->output, &target, out->ttft);

	out->start = r->created - ((slo_nsec)(at_most(expected, EXPECTED_MOST) * 1e9) - out->span);
	out->load = rank_share(d, r);
}

bool rank_alone_in_time(const struct deployment *d, const struct request *r, slo_nsec now)
{
	struct goal goal = rank_goal(d, r);
	struct latency_target target = rank_target(&goal, r);
	struct latency_cell c = latency_cell(&d->force.rates, r->input, r->output, &target);
	double alone = goal.kind == GOAL_TTFT ? c.first : c.own + c.others;
	double left = target.e2e + target.ttft - (double)(now - r->created) / 1e9;

	return goal.kind != GOAL_NONE && alone <= left;
}

bool rank_behind_in_time(const struct deployment *d, const struct server *server,
                         const struct request *r, slo_nsec now)
{
	struct goal goal = rank_goal(d, r);
	struct latency_target target = rank_target(&goal, r);
	struct latency_cell c = latency_cell_full(fleet_rates(d), r->input, r->output, &target);
	double others = load_to_double(fleet_load(server)) * c.at_once;
	double ends = goal.kind == GOAL_TTFT ? c.ttft : c.own + (1 + others) * c.others;
	double left = target.e2e + target.ttft - (double)(now - r->created) / 1e9;

	return goal.kind != GOAL_NONE && ends <= left;
}

const struct goal *rank_usual_goal(const struct deployment *d)
{
	static const struct goal none = { .kind = GOAL_NONE };

	if (d->pool->promise.kind != GOAL_NONE)
		return &d->pool->promise;
	return d->profile ? profile_target(d->profile) : &none;
}

/* By a goal, whose span *out has. */
static bool rank_in(const struct deployment *d, const struct request *r, const struct goal *goal,
                    bool warm, struct rank_option *out)
{
	out->deployment = d->index;
	if (!fleet_learned(d)) {
		if (!d->profile || !rank_given(d->profile, r, goal, out))
			return false;
	} else if (!warm) {
		return false;
	} else if (r->strategy == SLO_STRATEGY_ADAPTIVE) {
		out->infeasible = never_in_time(&d->force, r, goal, out);
	} else {
		rank_learned(&d->force, r, goal, out);
	}
	if (r->strategy == SLO_STRATEGY_ADAPTIVE)
		rank_adaptive(d, r, out);
	out->load = floored(d, out->load);
	return true;
}

/* Whether anything is known of a deployment with a usable server. Where nothing is, a guess would
 * decide; beside one that is known, a deployment that is still cold may be tried. */
static bool is_warm(const struct pool *pool)
{
	for (size_t i = 0; i < pool->deployments; i++) {
		const struct deployment *d = pool->deployment[i];

		if (d->usable > 0 &&
		    (fleet_learned(d) ? d->force.state != LATENCY_COLD : d->profile != NULL))
			return true;
	}
	return false;
}

size_t rank_options(const struct pool *pool, const struct request *r, struct rank_option *options)
{
	const struct goal target = profile_goal(NULL, &r->own);
	const struct goal *own = target.kind == GOAL_NONE ? NULL : &target;
	const struct goal *last = NULL; /* mostly one for all */
	bool warm = is_warm(pool);
	slo_nsec span = 0;
	size_t n = 0;

	for (size_t i = 0; i < pool->deployments; i++) {
		const struct deployment *d = pool->deployment[i];
		const struct goal *goal = own ? own : rank_usual_goal(d);

		if (d->usable == 0 || goal->kind == GOAL_NONE)
			continue;
		if (goal != last)
			span = goal_span(goal, r->input, r->output);
		last = goal;
		options[n].span = span;
		options[n].ttft = goal->kind == GOAL_TTFT;
		if (!rank_in(d, r, goal, warm, &options[n]))
			continue;
		/* The latest start is the lowest rank; equal ones stay in order. */
		for (size_t at = n++; at > 0 && options[at - 1].start < options[at].start; at--) {
			struct rank_option later = options[at];

			options[at] = options[at - 1];
			options[at - 1] = later;
		}
	}
	return n;
}

bool rank_infeasible(const struct pool *pool, const struct request *r)
{
	for (size_t i = 0; i < pool->deployments; i++) {
		const struct deployment *d = pool->deployment[i];

		if (!fleet_learned(d) && d->profile && d->usable > 0 &&
		    rank_goal(d, r).kind != GOAL_NONE &&
		    profile_infeasible(d->profile, profile_cell(d->profile, r->input, r->output)))
			return true;
	}
	return false;
}

/* The share of its tokens in the cache, or in one of a size that serves to compare. */
static slo_load load_cold(const struct latency_force *f, const struct request *r)
{
	double tokens = (double)r->input + (double)r->output + 1;

	return (slo_load)((double)SLO_LOAD_ONE *
	                  at_most(tokens / (f->rates.kv_told ? f->rates.kv : KV_COMPARED), 1));
}

slo_load rank_load(const struct deployment *d, const struct request *r)
{
	struct goal goal = rank_goal(d, r);
	struct latency_target target;
	slo_load load;

	if (!fleet_learned(d))
		return d->profile
		           ? floored(d, profile_load(d->profile,
		                                     profile_cell(d->profile, r->input, r->output)))
		           : 0;
	if (d->force.state == LATENCY_COLD)
		/* A model that promises nothing is left alone until something is known. */
		return d->pool->promise.kind == GOAL_NONE ? 0 : floored(d, load_cold(&d->force, r));
	target = rank_target(&goal, r);
	(void)latency_usual(&d->force.rates, r->input, r->output, &target, goal.kind == GOAL_TTFT,
	                    &load);
	return floored(d, load);
}

struct goal rank_goal(const struct deployment *d, const struct request *r)
{
	return slo_target_is_set(&r->own) ? profile_goal(NULL, &r->own) : *rank_usual_goal(d);
}
