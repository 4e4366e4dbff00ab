/* seat_heap.h - the seats of a deployment, by the load or by the harm of their servers.
 *
 *     [0][1][2] ... few     the first few of all, in their order: at least SEAT_FEW, if there are
 *     [SEAT_MANY]           the rest, as a heap: none is less than what is above it
 *      [+1]  [+2]
 *    [+3][+4][+5][+6] ...
 *
 * What decides stands in the entries, side by side, and changes only when it is told: so no server
 * is looked at for the order, and who wants the first few looks at little memory. */
#ifndef SLO_CORE_SEAT_HEAP_H
#define SLO_CORE_SEAT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seat;

enum seat_order {
	SEAT_BY_LOAD, /* smallest load first, last configured first among equals */
	SEAT_BY_HARM, /* least harm first, then smallest load, first configured */
};
#define SEAT_ORDERS 2

#define SEAT_FEW  6
#define SEAT_MANY 12 /* at most so many stand in order */

#define SEAT_PLACE_NONE UINT32_MAX /* of a seat that is not there */

struct seat_entry {
	uint64_t load, harm, order;
	struct seat *seat;
};

struct seat_heap {
	struct seat_entry *at; /* [cap] */
	size_t few, rest, cap;
};

void seat_heap_fini(struct seat_heap *h);
/* Room for so many. False: out of memory, and nothing changed. */
bool seat_heap_reserve(struct seat_heap *h, size_t count);
/* Where seat belongs by what its server is loaded with now; there has to be room. */
void seat_heap_put(struct seat_heap *h, enum seat_order by, struct seat *seat);
void seat_heap_drop(struct seat_heap *h, enum seat_order by, struct seat *seat);

/* The first few of `at` that are in order. */
static inline size_t seat_heap_few(const struct seat_heap *h)
{
	return h->few < SEAT_FEW ? h->few : SEAT_FEW;
}

/* Aborts when an entry stands in the wrong place. */
void seat_heap_check(const struct seat_heap *h, enum seat_order by);

#endif
