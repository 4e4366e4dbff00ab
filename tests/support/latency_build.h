/* latency_build.h - stays of requests on servers with known rates, for tests. After cmocka.h. */
#ifndef SLO_TESTS_LATENCY_BUILD_H
#define SLO_TESTS_LATENCY_BUILD_H

#include <math.h>

#include "core/latency/flow.h"
#include "core/rng.h"

static inline void near(double is, double want, double share)
{
	if (!(fabs(is - want) <= share * fabs(want)))
		fail_msg("%g, but should be %g", is, want);
}

static inline double uniform(struct rng *rng, double from, double to)
{
	return from + (to - from) * (double)rng_below(rng, 1000001) / 1e6;
}

/* A request of a server with these rates; noise is the half width of actual / predicted. */
static inline struct latency_features drawn(struct rng *rng, const double rate[3], double noise)
{
	double steps = exp(uniform(rng, log(8), log(256)));
	double held = uniform(rng, 1000, 10000);
	struct latency_features x = { .steps = steps,
		                      .prompts = uniform(rng, 200, 20000),
		                      .reads = steps * held };

	x.seconds = (rate[0] * x.steps + rate[1] * x.prompts + rate[2] * x.reads) *
	            uniform(rng, 1 - noise, 1 + noise);
	return x;
}

#endif
