#include "core/past.h"

#include <assert.h>
#include <stdlib.h>

#define IDS_MIN   256
#define HASH_BITS (UINT64_MAX >> 2)
#define AHEAD     4 /* that are fetched before they are forgotten */

static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)hash | 1;
}

/* Bit 0 is set in every tag, which marks the slot as taken, so it is shifted out. */
static size_t home(const struct past *p, uint32_t tag)
{
	return tag >> 1 & (2 * p->mask + 1);
}

static size_t after(const struct past *p, size_t slot)
{
	return (slot + 1) & (2 * p->mask + 1);
}

static struct past_id *id_of(const struct past *p, uint32_t number)
{
	return &p->ring[number & p->mask];
}

/* NULL: not there. */
static struct past_slot *find(const struct past *p, uint64_t hash)
{
	uint32_t tag = tag_of(hash);

	for (size_t i = home(p, tag); p->slot[i].tag; i = after(p, i))
		if (p->slot[i].tag == tag &&
		    id_of(p, p->slot[i].number)->hash == (hash & HASH_BITS))
			return &p->slot[i];
	return NULL;
}

enum past_state past_find(const struct past *p, uint64_t hash)
{
	const struct past_slot *slot = find(p, hash);

	return slot ? (enum past_state)id_of(p, slot->number)->state : PAST_UNKNOWN;
}

void past_expect(const struct past *p, uint64_t hash)
{
	__builtin_prefetch(&p->slot[home(p, tag_of(hash))]);
}

/* There is room in the ring. */
static uint32_t append(struct past *p, struct past_id id)
{
	*id_of(p, p->next) = id;
	return p->next++;
}

static void put(struct past *p, struct past_id id)
{
	struct past_slot taken = { .tag = tag_of(id.hash) };
	size_t i = home(p, taken.tag);

	while (p->slot[i].tag)
		i = after(p, i);
	taken.number = append(p, id);
	p->slot[i] = taken;
	p->count++;
}

/* Makes the ring anew with room for that many, and drops the places of ids that moved on. */
static COLD slo_err resize(struct past *p, size_t ids)
{
	const struct past old = *p;
	struct past_id *ring = malloc(ids * sizeof(*ring));
	struct past_slot *slot = calloc(2 * ids, sizeof(*slot));

	if (!ring || !slot) {
		free(ring);
		free(slot);
		return SLO_ENOMEM;
	}
	p->ring = ring;
	p->slot = slot;
	p->mask = ids - 1;
	p->first = p->next = 0;
	p->count = 0;
	for (uint32_t n = old.first; n != old.next; n++)
		if (id_of(&old, n)->state != PAST_UNKNOWN)
			put(p, *id_of(&old, n));
	free(old.ring);
	free(old.slot);
	return SLO_OK;
}

static size_t used(const struct past *p)
{
	return p->next - p->first;
}

slo_err past_init(struct past *p)
{
	*p = (struct past){ .ring = NULL };
	return resize(p, IDS_MIN);
}

static void make_room(struct past *p)
{
	size_t ids = p->mask + 1;

	if (used(p) == ids && resize(p, p->count > ids / 2 ? 2 * ids : ids) != SLO_OK)
		past_forget_oldest(p);
}

void past_add(struct past *p, uint64_t hash, enum past_state state, slo_nsec now)
{
	make_room(p);
	put(p, (struct past_id){ hash & HASH_BITS, state, now });
}

void past_end(struct past *p, uint64_t hash, slo_nsec now)
{
	struct past_slot *slot;

	make_room(p); /* may forget just that one */
	slot = find(p, hash);
	if (!slot) {
		past_add(p, hash, PAST_ENDED, now);
		return;
	}
	id_of(p, slot->number)->state = PAST_UNKNOWN;
	slot->number = append(p, (struct past_id){ hash & HASH_BITS, PAST_ENDED, now });
	while (id_of(p, p->first)->state == PAST_UNKNOWN)
		p->first++;
}

slo_nsec past_oldest(const struct past *p)
{
	return id_of(p, p->first)->since;
}

/* Closes the gap at i: what stands behind it moves up, unless that were before its home. */
static void close_gap(struct past *p, size_t gap)
{
	for (size_t i = after(p, gap); p->slot[i].tag; i = after(p, i)) {
		size_t from_home = (i - home(p, p->slot[i].tag)) & (2 * p->mask + 1);

		if (from_home < ((i - gap) & (2 * p->mask + 1)))
			continue;
		p->slot[gap] = p->slot[i];
		gap = i;
	}
	p->slot[gap] = (struct past_slot){ .tag = 0 };
}

/* They go one after the other: the slots of the next ones are fetched while there is other work. */
void past_forget_oldest(struct past *p)
{
	size_t i = home(p, tag_of(id_of(p, p->first)->hash)), ids = p->mask + 1;

	while (p->slot[i].number != p->first || !p->slot[i].tag) {
		assert(p->slot[i].tag);
		i = after(p, i);
	}
	close_gap(p, i);
	p->count--;
	do
		p->first++;
	while (p->first != p->next && id_of(p, p->first)->state == PAST_UNKNOWN);
	if (used(p) > AHEAD)
		past_expect(p, id_of(p, p->first + AHEAD)->hash);
	/* Far too large after a rush; without memory for a smaller one it stays. */
	if (ids > IDS_MIN && p->count < ids / 16)
		(void)!resize(p, ids / 4);
}

void past_fini(struct past *p)
{
	free(p->ring);
	free(p->slot);
	*p = (struct past){ .ring = NULL };
}

void past_check(const struct past *p)
{
	size_t live = 0, slots = 0;

	for (uint32_t n = p->first; n != p->next; n++) {
		const struct past_id *id = id_of(p, n);
		const struct past_slot *slot;

		if (id->state == PAST_UNKNOWN)
			continue;
		slot = find(p, id->hash);
		assert(slot && slot->number == n && id->since >= past_oldest(p));
		(void)slot;
		live++;
	}
	for (size_t i = 0; i <= 2 * p->mask + 1; i++)
		slots += p->slot[i].tag != 0;
	assert(live == p->count && slots == live && used(p) <= p->mask + 1);
	assert(p->count == 0 || id_of(p, p->first)->state != PAST_UNKNOWN);
	(void)slots;
	(void)live;
}
