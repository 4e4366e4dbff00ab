/* timer.h - a timer of the loop that rings again and again. */
#ifndef SLO_IO_BASE_TIMER_H
#define SLO_IO_BASE_TIMER_H

#include <ev.h>

#include "slo.h"

/* From now on t, which was initialised, rings every so often; 0: never. One that does so already
 * goes on: reloads, however often they come, do not put it off. */
static inline void timer_every(struct ev_loop *loop, ev_timer *t, slo_nsec every)
{
	double seconds = (double)every / 1e9;

	if (every != 0 && ev_is_active(t) && t->repeat == seconds)
		return;
	ev_timer_stop(loop, t);
	if (every == 0)
		return;
	ev_timer_set(t, seconds, seconds);
	ev_timer_start(loop, t);
}

#endif
