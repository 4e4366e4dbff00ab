#include "core/id_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/request.h"

#define SLOTS_MIN 256

uint64_t id_hash(uint64_t key, const char *id, size_t len)
{
	return XXH3_64bits_withSeed(id, len, key);
}

static bool is_of(const struct request *r, uint32_t owner)
{
	return owner == ID_OF_ANY ? r->owner != 0 : r->owner == owner;
}

struct request *id_table_find(const struct id_table *t, uint64_t hash, const char *id, size_t len,
                              uint32_t owner)
{
	if (!t->slot)
		return NULL;
	for (size_t i = hash & t->mask; t->slot[i].request; i = (i + 1) & t->mask) {
		struct request *r = t->slot[i].request;

		if (t->slot[i].hash == hash && r->id_len == len && is_of(r, owner) &&
		    memcmp(r->id, id, len) == 0)
			return r;
	}
	return NULL;
}

static void put(struct id_table *t, struct id_slot entry)
{
	size_t i = entry.hash & t->mask;

	while (t->slot[i].request)
		i = (i + 1) & t->mask;
	t->slot[i] = entry;
}

static COLD slo_err resize(struct id_table *t, size_t slots)
{
	struct id_table grown = { .mask = slots - 1, .count = t->count };

	grown.slot = calloc(slots, sizeof(*grown.slot));
	if (!grown.slot)
		return SLO_ENOMEM;
	for (size_t i = 0; t->slot && i <= t->mask; i++)
		if (t->slot[i].request)
			put(&grown, t->slot[i]);
	free(t->slot);
	*t = grown;
	return SLO_OK;
}

slo_err id_table_add(struct id_table *t, struct request *r)
{
	size_t slots = t->slot ? t->mask + 1 : 0;

	if (2 * (t->count + 1) > slots && resize(t, slots ? 2 * slots : SLOTS_MIN) != SLO_OK)
		return SLO_ENOMEM;
	put(t, (struct id_slot){ .request = r, .hash = r->hash });
	t->count++;
	return SLO_OK;
}

/* Closes the gap at i: what stands behind it moves up, unless that were before its home. */
static void close_gap(struct id_table *t, size_t gap)
{
	for (size_t i = (gap + 1) & t->mask; t->slot[i].request; i = (i + 1) & t->mask) {
		size_t from_home = (i - t->slot[i].hash) & t->mask;

		if (from_home < ((i - gap) & t->mask))
			continue;
		t->slot[gap] = t->slot[i];
		gap = i;
	}
	t->slot[gap] = (struct id_slot){ .request = NULL };
}

void id_table_remove(struct id_table *t, const struct request *r)
{
	size_t i = r->hash & t->mask, slots = t->mask + 1;

	while (t->slot[i].request != r) {
		assert(t->slot[i].request);
		i = (i + 1) & t->mask;
	}
	close_gap(t, i);
	t->count--;
	/* Far too large after a rush; without memory for a smaller one it stays. */
	if (slots > SLOTS_MIN && t->count < slots / 16)
		(void)!resize(t, slots / 4);
}

void id_table_fini(struct id_table *t)
{
	free(t->slot);
	*t = (struct id_table){ .slot = NULL };
}
