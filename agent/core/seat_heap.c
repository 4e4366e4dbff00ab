#include "core/seat_heap.h"

#include <assert.h>
#include <stdlib.h>

#include "core/fleet.h"

void seat_heap_fini(struct seat_heap *h)
{
	free(h->at);
}

bool seat_heap_reserve(struct seat_heap *h, size_t count)
{
	size_t need = count <= SEAT_MANY ? count : SEAT_MANY + count;
	size_t cap = h->cap > 0 ? 2 * h->cap : 2;
	struct seat_entry *grown;

	if (need <= h->cap)
		return true;
	if (cap < need)
		cap = need;
	grown = reallocarray(h->at, cap, sizeof(*grown));
	if (!grown)
		return false;
	h->at = grown;
	h->cap = cap;
	return true;
}

static inline bool is_before(const struct seat_entry *a, const struct seat_entry *b,
                             enum seat_order by)
{
	if (by == SEAT_BY_HARM && a->harm != b->harm)
		return a->harm < b->harm;
	if (a->load != b->load)
		return a->load < b->load;
	return by == SEAT_BY_HARM ? a->order < b->order : a->order > b->order;
}

static inline void set(struct seat_heap *h, enum seat_order by, size_t i,
                       const struct seat_entry *e)
{
	h->at[i] = *e;
	e->seat->place[by] = (uint32_t)i;
}

/* Puts e where the rest is a heap again, from the gap at i on. */
static inline void settle(struct seat_heap *h, enum seat_order by, size_t i,
                          const struct seat_entry *e)
{
	const struct seat_entry *rest = h->at + SEAT_MANY;

	while (i > 0 && is_before(e, &rest[(i - 1) / 2], by)) {
		set(h, by, SEAT_MANY + i, &rest[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->rest)
			child += is_before(&rest[child + 1], &rest[child], by);
		if (child >= h->rest || !is_before(&rest[child], e, by))
			break;
		set(h, by, SEAT_MANY + i, &rest[child]);
		i = child;
	}
	set(h, by, SEAT_MANY + i, e);
}

/* The last one of the rest goes to the gap at i of it. */
static inline void close_gap(struct seat_heap *h, enum seat_order by, size_t i)
{
	struct seat_entry last = h->at[SEAT_MANY + --h->rest];

	if (i < h->rest)
		settle(h, by, i, &last);
}

static inline void take_out(struct seat_heap *h, enum seat_order by, size_t i)
{
	if (i >= SEAT_MANY) {
		close_gap(h, by, i - SEAT_MANY);
		return;
	}
	h->few--;
	for (; i < h->few; i++)
		set(h, by, i, &h->at[i + 1]);
}

static inline void put_among_few(struct seat_heap *h, enum seat_order by,
                                 const struct seat_entry *e)
{
	size_t i;

	if (h->few == SEAT_MANY) {
		struct seat_entry last = h->at[--h->few];

		settle(h, by, h->rest++, &last);
	}
	for (i = h->few++; i > 0 && is_before(e, &h->at[i - 1], by); i--)
		set(h, by, i, &h->at[i - 1]);
	set(h, by, i, e);
}

/* The first ones of the rest follow those that are in order. */
static inline void refill(struct seat_heap *h, enum seat_order by)
{
	while (h->few < SEAT_FEW && h->rest > 0) {
		set(h, by, h->few++, &h->at[SEAT_MANY]);
		close_gap(h, by, 0);
	}
}

static inline void put(struct seat_heap *h, enum seat_order by, const struct seat_entry *e)
{
	size_t i = e->seat->place[by];
	bool is_new = i < SEAT_MANY || i == SEAT_PLACE_NONE;

	if (i < SEAT_MANY)
		take_out(h, by, i);
	if (h->few == 0 || is_before(e, &h->at[h->few - 1], by) ||
	    (is_new && h->rest == 0 && h->few < SEAT_MANY)) {
		if (!is_new)
			take_out(h, by, i);
		put_among_few(h, by, e);
	} else {
		settle(h, by, is_new ? h->rest++ : i - SEAT_MANY, e);
	}
	refill(h, by);
}

void seat_heap_put(struct seat_heap *h, enum seat_order by, struct seat *seat)
{
	const struct seat_entry e = { seat->server->ledger.used, seat->server->sums.harm,
		                      seat->order, seat };

	/* A new one may go behind the rest, if there is any. */
	assert(seat->place[by] != SEAT_PLACE_NONE ||
	       (h->rest == 0 && h->few < SEAT_MANY ? h->few : SEAT_MANY + h->rest) < h->cap);
	if (by == SEAT_BY_HARM)
		put(h, SEAT_BY_HARM, &e);
	else
		put(h, SEAT_BY_LOAD, &e);
}

void seat_heap_drop(struct seat_heap *h, enum seat_order by, struct seat *seat)
{
	if (seat->place[by] == SEAT_PLACE_NONE)
		return;
	take_out(h, by, seat->place[by]);
	refill(h, by);
	seat->place[by] = SEAT_PLACE_NONE;
}

void seat_heap_check(const struct seat_heap *h, enum seat_order by)
{
	assert(h->few <= SEAT_MANY && (h->few >= SEAT_FEW || h->rest == 0));
	for (size_t i = 0; i < h->few; i++) {
		assert(h->at[i].seat->place[by] == i);
		assert(i == 0 || is_before(&h->at[i - 1], &h->at[i], by));
	}
	for (size_t i = 0; i < h->rest; i++) {
		const struct seat_entry *e = &h->at[SEAT_MANY + i];

		assert(e->seat->place[by] == SEAT_MANY + i);
		assert(
		    is_before(i > 0 ? &h->at[SEAT_MANY + (i - 1) / 2] : &h->at[h->few - 1], e, by));
	}
	assert(h->few + h->rest == 0 || (h->rest > 0 ? SEAT_MANY + h->rest : h->few) <= h->cap);
}
