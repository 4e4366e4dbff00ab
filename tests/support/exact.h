/* exact.h - bytes on the heap at their exact size, so that a sanitizer sees a read or a
 * write past their end. The caller frees them. After cmocka.h. */
#ifndef SLO_TESTS_EXACT_H
#define SLO_TESTS_EXACT_H

#include <stdlib.h>
#include <string.h>

static inline uint8_t *exact(const void *bytes, size_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	assert_non_null(p);
	if (len > 0)
		memcpy(p, bytes, len);
	return p;
}

#endif
