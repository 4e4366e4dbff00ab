/* redis_retry.h - when a lost connection to Redis is tried again. */
#ifndef SLO_IO_REDIS_REDIS_RETRY_H
#define SLO_IO_REDIS_REDIS_RETRY_H

#include "core/rng.h"

#define REDIS_RETRY_FIRST 0.1 /* seconds */

struct redis_retry {
	struct rng rng;    /* jitter */
	unsigned failures; /* in a row; the user sets it to 0 */
	double last;       /* seconds that it becomes at most */
};

/* Seconds: twice as many each time. Half of it is sure, so that many agents do not come at once. */
static inline double redis_retry_next(struct redis_retry *r)
{
	double delay = REDIS_RETRY_FIRST * (double)(1u << (r->failures < 10 ? r->failures : 10));

	r->failures++;
	if (delay > r->last)
		delay = r->last;
	return delay / 2 + delay / 2 * (double)rng_below(&r->rng, 1000) / 1000;
}

#endif
