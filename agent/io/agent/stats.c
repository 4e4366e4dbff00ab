#include "io/agent/stats.h"

#include <math.h>
#include <string.h>

const struct histogram_bounds stats_wait_bounds = {
	.count = 17,
	.bound = { .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120,
	           300 },
};

const struct histogram_bounds stats_cpu_bounds = {
	.count = 13,
	.bound = { 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2 },
};

const struct histogram_bounds stats_lag_bounds = {
	.count = 14,
	.bound = { 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, .001, .002, .005, .01, .02, .05, .1, 1 },
};

/* Each bound is about a seventh above the one before, so a quantile is that exact. */
const struct histogram_bounds stats_token_bounds = {
	.count = 48,
	.bound = { .001, .0012, .0014, .0016, .0018, .002, .0023, .0026, .003, .0035, .004, .0045,
	           .005, .006,  .007,  .008,  .009,  .01,  .0115, .013,  .015, .0175, .02,  .0225,
	           .025, .0275, .03,   .035,  .04,   .045, .05,   .055,  .06,  .07,   .08,  .09,
	           .1,   .12,   .15,   .2,    .25,   .3,   .4,    .5,    .75,  1,     2,    5 },
};

void histogram_init(struct histogram *h, const struct histogram_bounds *bounds)
{
	memset(h, 0, sizeof(*h));
	h->bounds = bounds;
}

static size_t find_bucket(const struct histogram_bounds *b, double seconds)
{
	size_t lo = 0, hi = b->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->bound[mid] < seconds)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool in_bucket(const struct histogram_bounds *b, size_t i, double seconds)
{
	return (i == 0 || b->bound[i - 1] < seconds) && (i == b->count || !(b->bound[i] < seconds));
}

void histogram_add(struct histogram *h, double seconds, size_t n)
{
	double each = seconds / (double)n;

	if (!in_bucket(h->bounds, h->last, each))
		h->last = find_bucket(h->bounds, each);
	h->count[h->last] += n;
	h->total += n;
	h->sum += seconds;
}

double histogram_quantile(const struct histogram *h, double q)
{
	double rank = q * (double)h->total;
	uint64_t running = 0;

	if (h->total == 0)
		return 0;
	for (size_t i = 0; i < h->bounds->count; i++) {
		running += h->count[i];
		if ((double)running >= rank)
			return h->bounds->bound[i];
	}
	return h->bounds->bound[h->bounds->count - 1];
}

void rate_add(struct rate *r, slo_nsec now, double amount)
{
	/* Not each time: it takes exp(). */
	if (now - r->at >= SLO_NSEC_PER_SEC) {
		r->value = rate_now(r, now);
		r->at = now;
		r->fresh = 0;
	}
	r->fresh += amount;
}

double rate_now(const struct rate *r, slo_nsec now)
{
	return (r->value + r->fresh / ((double)RATE_SPAN / 1e9)) *
	       exp(-(double)(now - r->at) / (double)RATE_SPAN);
}

const char *stats_frame_kind(enum frame_kind k)
{
	static const char *const names[] = {
#define NAME(name, text) [FRAME_##name] = (text),
		FRAME_KIND_LIST(NAME)
#undef NAME
	};

	return names[k];
}

const char *stats_end_kind(enum end_kind k)
{
	static const char *const names[] = {
#define NAME(name, text) [END_##name] = (text),
		END_KIND_LIST(NAME)
#undef NAME
	};

	return names[k];
}

const char *stats_response(enum response r)
{
	static const char *const names[] = {
#define NAME(name, text) [RESPONSE_##name] = (text),
		RESPONSE_LIST(NAME)
#undef NAME
	};

	return names[r];
}

const char *stats_elsewhere(enum elsewhere e)
{
	static const char *const names[] = {
#define NAME(name, text) [ELSEWHERE_##name] = (text),
		ELSEWHERE_LIST(NAME)
#undef NAME
	};

	return names[e];
}

void stats_init(struct stats *s, slo_nsec now, double unix_now)
{
	memset(s, 0, sizeof(*s));
	s->started = now;
	s->started_unix = unix_now;
	histogram_init(&s->decision, &stats_cpu_bounds);
	histogram_init(&s->lag, &stats_lag_bounds);
}

void model_stats_init(struct model_stats *m)
{
	memset(m, 0, sizeof(*m));
	histogram_init(&m->queue, &stats_wait_bounds);
	histogram_init(&m->e2e, &stats_wait_bounds);
	histogram_init(&m->ttft, &stats_wait_bounds);
	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++)
			histogram_init(&m->outcome[s][v].per_token, &stats_token_bounds);
}

static void settle(struct model_stats *m, int s, int k)
{
	for (int p = 0; p < PROMISES; p++) {
		uint32_t n = m->fresh[s][k][p];

		if (n == 0)
			continue;
		attain_add(&m->promises, m->fresh_since, (enum promise)p, n);
		attain_add(&m->by_strategy[s], m->fresh_since, (enum promise)p, n);
		attain_add(&m->by_target[k], m->fresh_since, (enum promise)p, n);
		m->by_class[s][k][p] += n;
		m->fresh[s][k][p] = 0;
	}
}

void model_stats_settle(struct model_stats *m)
{
	for (int s = 0; m->any_fresh && s < SLO_STRATEGIES; s++)
		for (int k = 0; k < GOAL_KINDS; k++)
			settle(m, s, k);
	m->any_fresh = false;
}

void model_stats_turn(struct model_stats *m, slo_nsec now)
{
	model_stats_settle(m);
	m->fresh_since = now - now % ATTAIN_SLOT;
}
