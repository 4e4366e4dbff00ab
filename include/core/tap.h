/* tap.h - one listener that is told of every call that changes what a scheduler decides.
 *
 * It is told after the call, with all that was guessed or drawn for it, so that a player
 * (core/record/player.h) that is told the same decides the same. What only counts, or teaches the
 * predictor, is not told; nor are ids that are known by their end alone: no decision depends on
 * them but a refusal to submit, which changes nothing. */
#ifndef SLO_CORE_TAP_H
#define SLO_CORE_TAP_H

#include "core/sched.h"
#include "slo_event.h"

struct sched_tap {
	/* The event and what it points to are valid until it returns. It must not call the
	 * scheduler. A PROFILE without a list: there was no memory for it. */
	void (*tell)(void *arg, const struct slo_event *e);
	void *arg;
};

/* Nothing is left to decide: steps return false until something happens or time passes. */
bool sched_is_quiet(const struct sched *s);
/* Tells the present state, from START to QUIET. The scheduler is quiet; unix_now goes with now. */
void sched_tell_state(const struct sched *s, const struct sched_tap *tap, slo_nsec now,
                      int64_t unix_now);
/* From now on tap is told; it is copied. NULL: nobody. The scheduler is quiet. */
void sched_listen(struct sched *s, const struct sched_tap *tap);
/* Tells the listener, if there is one, of what changes nothing here: an answer without the
 * scheduler. */
void sched_tell(struct sched *s, const struct slo_event *e);

#endif
