/* measure.h - what one simulated server sustains for requests of one size: the cell of a profile.
 *
 * The rule: Poisson arrivals of that size, several seeds, each at least 200 requests, 45 s and 8
 * times the latency of an idle server. A rate passes if the percentile of the goal is kept over all
 * seeds and no backlog grows: in the second half at least 0.9 as many requests end as arrive. The
 * highest rate that passes is looked for on a grid, first by octaves, then between the last two.
 * Pure but for memory, and the same for the same seed. */
#ifndef SIM_MEASURE_H
#define SIM_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/profile.h"
#include "engine.h"

#define MEASURE_LOWEST 0.125 /* requests/s: where every search starts */

struct measure_conf {
	struct engine_conf engine;
	struct goal slo;
	double share; /* of the requests that must keep it: 0.99 */
	uint32_t runs;
	uint32_t per_octave; /* rates of the grid between one and its double */
	uint64_t seed;
};

struct measure_point {
	double rate;            /* offered, requests/s */
	double e2e, ttft, tpot; /* seconds, means; tpot 0 when there is one output token */
	double slo_share;       /* of the requests kept the SLO */
	double ended_share;     /* ends / arrivals of the second half */
	bool passes;
};

/* False: out of memory, no such GPU or model, or a size that can never fit. */
MUSTCHECK bool measure_rate(const struct measure_conf *conf, uint32_t input, uint32_t output,
                            double rate, struct measure_point *out);

/* The highest rate that passes; if none does, the lowest one, with passes false. */
MUSTCHECK bool measure_highest(const struct measure_conf *conf, uint32_t input, uint32_t output,
                               struct measure_point *out);

#endif
