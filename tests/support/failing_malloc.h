/* failing_malloc.h - makes the n-th allocation of the linked archives fail. The test is linked
 * with -Wl,--wrap for each of these; one .c file includes this. */
#ifndef SLO_TESTS_FAILING_MALLOC_H
#define SLO_TESTS_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static long allocations_until_failure = -1; /* -1: none fails */
static bool allocations_stay_out;           /* and then all after it fail too ... */
static bool allocations_are_out;            /* ... which is now */

static inline bool allocation_fails(void)
{
	if (allocations_until_failure < 0) {
		errno = allocations_are_out ? ENOMEM : errno;
		return allocations_are_out;
	}
	if (allocations_until_failure-- > 0)
		return false;
	allocations_are_out = allocations_stay_out;
	errno = ENOMEM;
	return true;
}

/* False: the one that was to fail was never asked for. */
static inline bool allocations_disarm(void)
{
	bool struck = allocations_until_failure < 0;

	allocations_until_failure = -1;
	allocations_are_out = false;
	return struck;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return allocation_fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return allocation_fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return allocation_fails() ? NULL : __real_strndup(s, n);
}

#endif
