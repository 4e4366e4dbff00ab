/* room.h - how many tokens a server is to hold, where nobody tells the size of its KV cache.
 *
 * A request that finds the cache full waits inside the engine, and takes longer than its rates
 * explain. So the limit grows while it is used and requests that find much there are no later than
 * those that find little, and it shrinks when they are. What the time in prompts hides from this
 * (see KNEE_UNTOLD in rates.c) does no harm. */
#ifndef SLO_CORE_LATENCY_ROOM_H
#define SLO_CORE_LATENCY_ROOM_H

#include <stdbool.h>

#include "slo.h"

#define LATENCY_ROOM_FIRST 8192.0 /* tokens */
#define LATENCY_ROOM_RING  12

struct latency_ring {
	double ratio[LATENCY_ROOM_RING]; /* actual / predicted time */
	unsigned count, next;
};

struct latency_room {
	double limit;                  /* tokens */
	struct latency_ring full, low; /* of requests that found much, and little */
	slo_nsec cut;                  /* no further cut before */
	bool found;                    /* it was cut once: it grows slowly */
};

/* The end of a request. */
struct latency_guest {
	double held;    /* tokens on its server at dispatch, its own too */
	double tokens;  /* its own */
	double ratio;   /* actual / predicted time */
	double seconds; /* that it stayed */
};

void latency_room_init(struct latency_room *r);
/* Nothing limits what is sent there yet: so much was there, and went well or not. */
void latency_room_saw(struct latency_room *r, double held);
void latency_room_note(struct latency_room *r, slo_nsec now, const struct latency_guest *g);

#endif
