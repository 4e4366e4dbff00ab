/* guard.h - takes from the headroom of a deployment while what was foreseen in time is late.
 *
 * What is foreseen may be wrong for as long as nothing that is learned tells so: one size does not
 * show all rates, a cache is smaller than was told. So ends are compared with what was foreseen at
 * their dispatch. Of a hundred that were well in time, GUARD_MISSES may miss; one more, and the
 * share of the headroom that slo-adaptive plans with falls. It rises slowly by each hundred in
 * which no more than that miss. */
#ifndef SLO_CORE_GUARD_H
#define SLO_CORE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

#define GUARD_SAFE   0.7 /* of the target: who was foreseen to end later may well miss */
#define GUARD_ENDS   100
#define GUARD_MISSES 10
#define GUARD_LEAST  0.5

struct guard {
	double share;  /* of the headroom, GUARD_LEAST to 1 */
	uint32_t seen; /* such ends, since the share fell or the last hundred was full */
	uint32_t missed;
	uint32_t number; /* of all shares so far: who was placed by another does not count */
};

void guard_init(struct guard *g, uint32_t number);
/* One that was well in time, and was placed by this number, missed its target or kept it. True: the
 * share is another. *numbers: given so far; one that falls takes the next. */
bool guard_note(struct guard *g, uint32_t *numbers, bool missed);
/* Whether these can be a guard's. */
bool guard_sane(double share, uint32_t seen, uint32_t missed);

#endif
