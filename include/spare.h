/* spare.h - blocks of one size that are kept instead of freed, to spare malloc.
 *
 * A burst leaves many behind. So `low` is the least that lay here since spare_give_back(): as many
 * were not missed since then, and it frees them. A block that lies here holds the link to the next
 * one in its first bytes. */
#ifndef SLO_SPARE_H
#define SLO_SPARE_H

#include <stddef.h>
#include <stdlib.h>

struct spare_block {
	struct spare_block *next;
};

struct spare {
	struct spare_block *first;
	size_t count, low;
	size_t max;  /* to keep */
	size_t size; /* of a block, at least a pointer's */
};

/* NULL: out of memory. */
static inline void *spare_get(struct spare *s)
{
	struct spare_block *b = s->first;

	if (!b)
		return malloc(s->size);
	s->first = b->next;
	s->count--;
	if (s->count < s->low)
		s->low = s->count;
	return b;
}

/* Takes a block of spare_get(). */
static inline void spare_put(struct spare *s, void *block)
{
	struct spare_block *b = block;

	if (s->count == s->max) {
		free(b);
		return;
	}
	b->next = s->first;
	s->first = b;
	s->count++;
}

static inline void spare_drop(struct spare *s, size_t n)
{
	for (; n > 0; n--) {
		struct spare_block *b = s->first;

		s->first = b->next;
		s->count--;
		free(b);
	}
}

/* Frees what was not missed since the last call. */
static inline void spare_give_back(struct spare *s)
{
	spare_drop(s, s->low);
	s->low = s->count;
}

static inline void spare_fini(struct spare *s)
{
	spare_drop(s, s->count);
	s->low = 0;
}

#endif
