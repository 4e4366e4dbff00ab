#include "failing_malloc.h"

#include <errno.h>
#include <stddef.h>

long allocations_until_failure = -1;
bool allocations_stay_out;
static bool allocations_are_out; /* all fail now */

static bool allocation_fails(void)
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

bool allocations_disarm(void)
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
