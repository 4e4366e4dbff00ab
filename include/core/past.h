/* past.h - the ids of requests that are over, to tell what comes twice or too late.
 *
 * There are many and hardly ever is one asked for: each takes 16 bytes in a ring, oldest first, and
 * two slots of 8 bytes in an open-addressed table that finds it there (twice that after the ring
 * has grown). An id is told by 62 bits of its hash: with 100,000 remembered, one in 4 * 10^13 new
 * ids would be taken for one of them.
 * Linear probing; the table has twice the slots that the ring has, and removal leaves no marks.
 * Without memory for more the oldest are forgotten. */
#ifndef SLO_CORE_PAST_H
#define SLO_CORE_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

/* Hashes that differ in no other bits than the upper ones stand side by side: who looks for several
 * finds them in one line of memory. */
#define PAST_HOME_BITS UINT64_C(0x3ffffff)

enum past_state {
	PAST_UNKNOWN,
	PAST_OVER, /* no more answer is due; its end was not told yet */
	PAST_ENDED,
	PAST_STRAY, /* its end was told, and nothing else of it */
};

struct past_id {
	uint64_t hash : 62; /* the low bits of it */
	uint64_t state : 2; /* enum past_state; PAST_UNKNOWN: it is elsewhere by now */
	slo_nsec since;
};

struct past_slot {
	uint32_t tag;    /* made of the hash; 0: free */
	uint32_t number; /* of the id: it is in ring[number & mask] */
};

struct past {
	struct past_id *ring; /* mask + 1 of them, a power of 2 */
	struct past_slot *slot;
	size_t mask;
	uint32_t first, next; /* numbers: the oldest id's, and that of the one to come */
	size_t count;         /* of ids that are not elsewhere */
};

MUSTCHECK slo_err past_init(struct past *p);
void past_fini(struct past *p);
enum past_state past_find(const struct past *p, uint64_t hash);
/* Has the CPU fetch what a later call for that hash will look at. */
void past_expect(const struct past *p, uint64_t hash);
/* An id that is not in it; should another have the same hash both are kept. */
void past_add(struct past *p, uint64_t hash, enum past_state state, slo_nsec now);
/* One that is OVER or STRAY: ENDED, and from now on the youngest. */
void past_end(struct past *p, uint64_t hash, slo_nsec now);
/* When the oldest came; count > 0. */
slo_nsec past_oldest(const struct past *p);
void past_forget_oldest(struct past *p); /* count > 0 */
/* Aborts when an invariant is broken; for tests and debug builds. */
void past_check(const struct past *p);

#endif
