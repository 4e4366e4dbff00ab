/* flow.h - what went through one server, as two running sums, and a request's part of it.
 *
 * What an engine did while a request was there is known from outside: how many prompt tokens came
 * before its end, and how many tokens lay in the KV cache in the mean. Both are differences of a
 * sum between dispatch and end, so a request costs O(1). The sums are integers modulo 2^64: their
 * differences are exact. */
#ifndef SLO_CORE_LATENCY_FLOW_H
#define SLO_CORE_LATENCY_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

struct latency_flow {
	slo_nsec changed;     /* the sums are of this moment */
	slo_nsec drained;     /* when the prompts that were sent so far are read, as is thought */
	uint64_t prompts;     /* tokens sent so far */
	uint64_t cached;      /* half tokens: what the requests in flight hold in the mean */
	uint64_t cached_time; /* its integral, half tokens x ns */
};

/* A request's view of it, since it was dispatched. */
struct latency_stay {
	uint64_t prompts, cached_time; /* of the flow before it came */
	uint64_t before;               /* half tokens that were there */
	uint32_t backlog;              /* prompt tokens not yet read */
	uint32_t own;                  /* half tokens that it added; 0: not in the flow */
};

/* What an engine did during a stay that lasted `seconds`. */
struct latency_features {
	double seconds;
	double steps;   /* output tokens */
	double prompts; /* prompt tokens read, those of others too */
	double reads;   /* cached tokens read, over all steps */
};

/* Tokens in the KV cache, in the mean of the requests' stays. */
static inline double latency_flow_held(const struct latency_flow *f)
{
	return (double)f->cached / 2;
}

/* A request of that size goes there. `prompt`: seconds per token as is thought; 0: unknown. */
void latency_flow_enter(struct latency_flow *f, slo_nsec now, int64_t input, int64_t output,
                        double prompt, struct latency_stay *stay);
/* It left. False: nothing can be said of its stay. `output`: the tokens it was answered. */
bool latency_flow_leave(struct latency_flow *f, slo_nsec now, slo_nsec since, int64_t output,
                        struct latency_stay *stay, struct latency_features *out);

#endif
