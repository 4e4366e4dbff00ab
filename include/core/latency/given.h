/* given.h - the rates of a server, from a profile that says how many requests at once end in what
 * time. */
#ifndef SLO_CORE_LATENCY_GIVEN_H
#define SLO_CORE_LATENCY_GIVEN_H

#include "core/latency/fit.h"
#include "core/latency/rates.h"

/* So many requests of that size at once end in `e2e` seconds, in the mean. ttft < 0: not told. */
struct latency_point {
	double input, output; /* tokens */
	double at_once, e2e, ttft;
};

struct latency_given {
	struct latency_fit fit;
	double kv;   /* tokens that were seen in a cache that was full; 0: none was */
	double held; /* the most tokens that were seen in a cache */
	unsigned points;
};

void latency_given_init(struct latency_given *g);
/* First every point is taught to it, then every point is looked at. */
void latency_given_teach(struct latency_given *g, const struct latency_point *p);
void latency_given_look(struct latency_given *g, const struct latency_point *p);
struct latency_rates latency_given_rates(const struct latency_given *g);

#endif
