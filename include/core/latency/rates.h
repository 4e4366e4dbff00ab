/* rates.h - how long an LLM server takes for a request, in closed form.
 *
 * A server works in steps. A step takes `step` seconds, and `cached` more for each token that it
 * reads from the KV cache; each token of a prompt takes `prompt` seconds once. So a request of P
 * prompt tokens and O output tokens
 *     takes for itself    A = step * O
 *     and from the others W = prompt * P + cached * O * (P + O/2).
 * n like it at once end after A + n * W. As many may run as the KV cache holds and the target
 * allows. Pure: doubles in, doubles out. */
#ifndef SLO_CORE_LATENCY_RATES_H
#define SLO_CORE_LATENCY_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ledger.h"

struct latency_rates {
	double step, prompt, cached; /* seconds, > 0 */
	double kv;                   /* tokens that a server is to hold; > 0 */
	bool kv_told;                /* that is the size of its KV cache; else it was found */
	double headroom;             /* share of a target that is planned with; > 0, at most 1 */
	double crowd;                /* tokens that are there / that were expected; > 0 */
};

/* What a request is to meet, in seconds; 0: nothing. */
struct latency_target {
	double e2e, ttft;
};

/* What a server does for requests of one size while as many of them run on it as may. */
struct latency_cell {
	double e2e, ttft; /* seconds, mean */
	double at_once;   /* requests on one server, at least 1 */
	double first;     /* seconds to the first token on an idle server */
	double own;       /* A: seconds for itself */
	double others;    /* W: seconds taken from the others */
};

struct latency_cell latency_cell(const struct latency_rates *r, int64_t input, int64_t output,
                                 const struct latency_target *target);

/* The same while as many run as the cache and the target allow, efficient or not. */
struct latency_cell latency_cell_full(const struct latency_rates *r, int64_t input, int64_t output,
                                      const struct latency_target *target);

/* Seconds that it takes alone, to the end or to its first token. */
double latency_alone(const struct latency_rates *r, int64_t input, int64_t output, bool ttft);

/* What takes longer than planned by so much of its time, even alone, is no less late on a server of
 * its own. */
#define LATENCY_LATE_BY 0.2

/* One of ttft and e2e, and the load of one: as latency_cell() has them for what is in time alone,
 * with safety. What is not weighs less than a server: it does not wait for one of its own, nor does
 * who comes next wait for it; and it is foreseen no later than its target, or than it is alone. */
double latency_usual(const struct latency_rates *r, int64_t input, int64_t output,
                     const struct latency_target *target, bool ttft, slo_load *load);
/* Likewise of latency_cell_full(). */
double latency_full(const struct latency_rates *r, int64_t input, int64_t output,
                    const struct latency_target *target, bool ttft);

#endif
