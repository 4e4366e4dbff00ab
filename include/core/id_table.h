/* id_table.h - requests that are not over, by owner and id: an open-addressed table of hashes and
 * pointers.
 *
 * Many of them may wait or be served for long and be cold, so a look-up should touch none but the
 * one it is for, and the table few lines of memory: hence no chains through the requests. Linear
 * probing; at most half of the slots are taken, and removal leaves no marks.
 * Invariant: between a request's home slot, hash & mask, and its slot none is free. */
#ifndef SLO_CORE_ID_TABLE_H
#define SLO_CORE_ID_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "slo.h"

struct request;

struct id_slot {
	struct request *request; /* NULL: free */
	uint64_t hash;
};

struct id_table {
	struct id_slot *slot; /* mask + 1 of them, a power of 2; NULL: none yet */
	size_t mask, count;
};

/* By a key that nobody outside knows: who may write end lines chooses ids, and could choose
 * hundreds of thousands that fall on one place. What is decided does not depend on it. */
uint64_t id_hash(uint64_t key, const char *id, size_t len);

/* Has the CPU fetch what a later call for that hash will look at. */
static inline void id_table_prefetch(const struct id_table *t, uint64_t hash)
{
	if (t->slot)
		__builtin_prefetch(&t->slot[hash & t->mask]);
}

#define ID_OF_ANY UINT32_MAX /* owner but 0 */

/* That of this owner, see foreign.h; 0 is this agent. NULL: not there. */
struct request *id_table_find(const struct id_table *t, uint64_t hash, const char *id, size_t len,
                              uint32_t owner);
/* r has its owner, id and hash, and is not in the table. SLO_ENOMEM: nothing changed. */
MUSTCHECK slo_err id_table_add(struct id_table *t, struct request *r);
/* r is in the table. */
void id_table_remove(struct id_table *t, const struct request *r);
void id_table_fini(struct id_table *t); /* the requests are the caller's */

#endif
