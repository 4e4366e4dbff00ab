/* pace.h - how fast requests leave a queue, and when to come back to it.
 *
 * Pure: time is passed in and must not decrease. Departures are counted in windows of PACE_WINDOW;
 * the pace is that of the last one and of the present one so far. */
#ifndef SLO_CORE_PACE_H
#define SLO_CORE_PACE_H

#include <stddef.h>
#include <stdint.h>

#include "slo.h"

#define PACE_WINDOW    (10 * SLO_NSEC_PER_SEC)
/* Clients obey a Retry-After below a minute; of a longer one they make half a second. */
#define PACE_RETRY_MAX 59 /* s */

/* All zero at first. */
struct pace {
	slo_nsec began;     /* the present window */
	uint64_t now, last; /* departures in it, and in the one before */
	uint32_t told;      /* answers of pace_retry_after(), to spread the next ones */
};

/* A request left the queue for a server. */
void pace_left(struct pace *p, slo_nsec now);

/* Seconds after which a refused client may try again, 1 to PACE_RETRY_MAX: as long as the waiting
 * ones take to leave at this pace, and up to half as much more, so that clients refused together do
 * not come back together. */
int pace_retry_after(struct pace *p, slo_nsec now, size_t waiting);

#endif
