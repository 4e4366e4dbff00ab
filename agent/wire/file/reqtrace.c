/* Sizes are counted in an open-addressed table. A size is two numbers of 9 bits plus 1, so 0 marks
 * a free slot. The table doubles before it is three quarters full; when it cannot, requests of new
 * sizes are left out as long as there is no slot. */
#include "wire/file/reqtrace.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_FIRST 64
#define CAP_KEPT  1024 /* from one interval to the next */

void reqtrace_fini(struct reqtrace *t)
{
	free(t->slot);
	*t = (struct reqtrace){ 0 };
}

void reqtrace_arrived(struct reqtrace *t)
{
	t->total++;
	t->seen = true;
}

/* At most 310: tokens are cut to 31 bits. */
static uint32_t tenths(int64_t tokens)
{
	if (tokens <= 1)
		return 0;
	if (tokens > INT32_MAX)
		tokens = INT32_MAX;
	return (uint32_t)llround(10 * log2((double)tokens));
}

/* Where `size` is or would be; there is a free slot. */
static struct reqtrace_size *place(const struct reqtrace *t, uint32_t size)
{
	uint32_t mixed = size * UINT32_C(2654435761);
	size_t at = (mixed ^ mixed >> 16) & (t->cap - 1);

	while (t->slot[at].size != 0 && t->slot[at].size != size)
		at = (at + 1) & (t->cap - 1);
	return &t->slot[at];
}

static bool grow(struct reqtrace *t)
{
	struct reqtrace old = *t;
	size_t cap = t->cap ? 2 * t->cap : CAP_FIRST;
	struct reqtrace_size *slot = calloc(cap, sizeof(*slot));

	if (!slot)
		return false;
	t->slot = slot;
	t->cap = cap;
	for (size_t i = 0; i < old.cap; i++)
		if (old.slot[i].size != 0)
			*place(t, old.slot[i].size) = old.slot[i];
	free(old.slot);
	return true;
}

void reqtrace_finished(struct reqtrace *t, int64_t input, int64_t output)
{
	uint32_t size = (tenths(input) << 16 | tenths(output)) + 1;
	struct reqtrace_size *s;

	if (t->used >= t->cap / 4 * 3 && !grow(t) && t->used + 1 >= t->cap)
		return;
	s = place(t, size);
	if (s->size == 0) {
		s->size = size;
		t->used++;
	}
	s->count++;
}

void reqtrace_reset(struct reqtrace *t)
{
	bool seen = t->seen;

	if (t->cap > CAP_KEPT)
		reqtrace_fini(t);
	else if (t->used > 0)
		memset(t->slot, 0, t->cap * sizeof(*t->slot));
	t->used = 0;
	t->total = 0;
	t->seen = seen;
}

char *reqtrace_text(const struct reqtrace *t, size_t pending, size_t queueing, size_t *len)
{
	/* "310:310":4294967295, is 21 bytes; the rest has at most 200. */
	size_t cap = t->used * 21 + 200, n = 1;
	char *text = malloc(cap);

	if (!text)
		return NULL;
	text[0] = '{';
	for (size_t i = 0; i < t->cap; i++) {
		uint32_t size = t->slot[i].size - 1;

		if (t->slot[i].size != 0)
			n += (size_t)snprintf(text + n, cap - n,
			                      "\"%" PRIu32 ":%" PRIu32 "\":%" PRIu32 ",",
			                      size >> 16, size & 0xffff, t->slot[i].count);
	}
	n += (size_t)snprintf(text + n, cap - n,
	                      "\"meta_v\":4,\"meta_interval_sec\":%d,\"meta_precision\":10,"
	                      "\"meta_total_reqs\":%" PRIu64 ",\"meta_pending_reqs\":%zu,"
	                      "\"meta_queueing_reqs\":%zu}",
	                      REQTRACE_INTERVAL, t->total, pending, queueing);
	*len = n;
	return text;
}
