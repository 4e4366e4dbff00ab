/* moments.h - a heap of moments, one for each of some requests, the first on top.
 *
 * Of equal moments the request that came first is first. Each request knows its place, in the
 * member whose offset the heap is told; MOMENTS_NONE there says that it is in no such heap. */
#ifndef SLO_CORE_MOMENTS_H
#define SLO_CORE_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

#define MOMENTS_NONE UINT32_MAX

struct request;

struct moment {
	slo_nsec at;
	struct request *request;
};

struct moments {
	struct moment *heap; /* [cap], `count` used */
	size_t count, cap;
	size_t place; /* offset in struct request of a uint32_t */
};

void moments_init(struct moments *m, size_t place);
void moments_fini(struct moments *m);
/* Room for `count` in all. SLO_ENOMEM: nothing changed. */
MUSTCHECK slo_err moments_reserve(struct moments *m, size_t count);
/* r is not in it, and there is room. */
void moments_add(struct moments *m, struct request *r, slo_nsec at);
void moments_drop(struct moments *m, struct request *r); /* one that is not in it stays so */
/* NULL: none. */
static inline const struct moment *moments_first(const struct moments *m)
{
	return m->count > 0 ? &m->heap[0] : NULL;
}

void moments_check(const struct moments *m);

#endif
