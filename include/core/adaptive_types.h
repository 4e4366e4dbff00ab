/* adaptive_types.h - what strategy slo-adaptive knows of a server and of a request on it. */
#ifndef SLO_CORE_ADAPTIVE_TYPES_H
#define SLO_CORE_ADAPTIVE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define ADAPTIVE_CLASSES 64 /* of targets: log2 of their nanoseconds */

/* Requests of slo-adaptive by the class of their target. */
struct adaptive_targets {
	uint64_t classes; /* bit k: by_class[k] is not 0 */
	uint32_t by_class[ADAPTIVE_CLASSES];
};

/* Sums over the requests on a server that slo-adaptive placed. Exact: each takes off what it
 * brought. */
struct adaptive_sums {
	uint64_t harm;    /* how their cost grows with each second taken from them, in 2^-32 */
	uint64_t reading; /* the share of the time that goes to their prompts, in 2^-32 */
	uint64_t work;    /* ns of the server's time that they take from others in all */
	struct adaptive_targets targets;
	uint32_t count;
};

/* Of the servers of a deployment that may be weighed, if known: the most room that one has, and the
 * least that is on one. They are all closed to who needs more room, or less work or reading. */
struct adaptive_room {
	bool known;
	uint64_t load;
	int64_t work, reading;
};

/* A request's part of the sums. */
struct adaptive_stake {
	uint64_t harm, work;
	float foreseen; /* seconds from its creation to its end, as was thought; 0: nobody did */
	uint32_t reading;
	uint32_t guard; /* the number of the guard by which it was planned, see guard.h */
	uint8_t class;
	bool counted; /* it is in the sums of its server */
};

#endif
