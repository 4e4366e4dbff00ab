/* loop_lag.h - how long the loop keeps its callers waiting: the time from each wake-up of the
 * loop until it polls again. Nobody is served meanwhile. */
#ifndef SLO_IO_AGENT_LOOP_LAG_H
#define SLO_IO_AGENT_LOOP_LAG_H

#include <ev.h>

#include "io/agent/stats.h"
#include "slo.h"

struct loop_lag {
	ev_check check;     /* first after the poll */
	ev_prepare prepare; /* last before it */
	slo_nsec woke;      /* 0: not yet */
	struct stats *stats;
};

/* Counts into stats->lag and stats->longest_lag until loop_lag_stop(). */
void loop_lag_start(struct loop_lag *l, struct ev_loop *loop, struct stats *stats);
void loop_lag_stop(struct loop_lag *l, struct ev_loop *loop); /* also if it was not started */

#endif
