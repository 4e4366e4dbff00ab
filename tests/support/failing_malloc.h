/* failing_malloc.h - makes the n-th allocation of the linked archives fail. The test is linked
 * with -Wl,--wrap for each of these; one .c file includes this. */
#ifndef SLO_TESTS_FAILING_MALLOC_H
#define SLO_TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

static long allocations_until_failure = -1; /* -1: none fails */

static bool allocation_fails(void)
{
	if (allocations_until_failure < 0)
		return false;
	return allocations_until_failure-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

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

#endif
