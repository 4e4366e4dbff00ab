/* heal_types.h - what HAProxy said of one server; heal.h reads and writes it. */
#ifndef SLO_CORE_HEAL_TYPES_H
#define SLO_CORE_HEAL_TYPES_H

#include <stdbool.h>

#include "slo.h"

#define HEAL_PAST 8 /* rounds that are remembered; they cover the grace */

/* A round in which HAProxy had fewer requests on a server than we. */
struct heal_past {
	slo_nsec asked;
	uint32_t missing; /* so many, and not yet given up */
	bool idle;        /* it had none */
};

struct heal_view {
	bool known;        /* HAProxy named it at least once */
	uint32_t round;    /* when it did last */
	uint32_t sessions; /* of that round, summed over HAProxy's processes */
	slo_nsec counted;  /* what was there then is in that number; of the last round that ended */
	int64_t drift;     /* what HAProxy had more than our leases; 0 until known */
	uint32_t pasts; /* such rounds with no other between that says the contrary, oldest first */
	struct heal_past past[HEAL_PAST];
};

#endif
