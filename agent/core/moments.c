#include "core/moments.h"

#include <assert.h>
#include <stdlib.h>

#include "core/request.h"

void moments_init(struct moments *m, size_t place)
{
	*m = (struct moments){ .place = place };
}

void moments_fini(struct moments *m)
{
	free(m->heap);
}

slo_err moments_reserve(struct moments *m, size_t count)
{
	size_t cap = m->cap ? 2 * m->cap : 16;
	struct moment *grown;

	if (count <= m->cap)
		return SLO_OK;
	if (cap < count)
		cap = count;
	grown = reallocarray(m->heap, cap, sizeof(*grown));
	if (!grown)
		return SLO_ENOMEM;
	m->heap = grown;
	m->cap = cap;
	return SLO_OK;
}

static uint32_t *place_of(const struct moments *m, struct request *r)
{
	return (uint32_t *)((char *)r + m->place);
}

static bool is_before(const struct moment *a, const struct moment *b)
{
	return a->at != b->at ? a->at < b->at : a->request->seq < b->request->seq;
}

static void put(struct moments *m, size_t i, struct moment e)
{
	m->heap[i] = e;
	*place_of(m, e.request) = (uint32_t)i;
}

/* Puts e where the heap is right again, from the gap at i on. */
static void settle(struct moments *m, size_t i, struct moment e)
{
	while (i > 0 && is_before(&e, &m->heap[(i - 1) / 2])) {
		put(m, i, m->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < m->count && is_before(&m->heap[child + 1], &m->heap[child]))
			child++;
		if (child >= m->count || !is_before(&m->heap[child], &e))
			break;
		put(m, i, m->heap[child]);
		i = child;
	}
	put(m, i, e);
}

void moments_add(struct moments *m, struct request *r, slo_nsec at)
{
	assert(m->count < m->cap);
	m->count++;
	settle(m, m->count - 1, (struct moment){ at, r });
}

void moments_drop(struct moments *m, struct request *r)
{
	size_t i = *place_of(m, r);

	if (i == MOMENTS_NONE)
		return;
	*place_of(m, r) = MOMENTS_NONE;
	m->count--;
	if (i < m->count)
		settle(m, i, m->heap[m->count]);
}

void moments_check(const struct moments *m)
{
	for (size_t i = 0; i < m->count; i++) {
		assert(*place_of(m, m->heap[i].request) == i);
		assert(i == 0 || !is_before(&m->heap[i], &m->heap[(i - 1) / 2]));
	}
}
