/* many_requests.h - MANY requests of nothing, for tests of what puts them in order. Whoever
 * includes it defines MANY first. */
#ifndef SLO_TESTS_MANY_REQUESTS_H
#define SLO_TESTS_MANY_REQUESTS_H

#include <stdlib.h>

#include "core/request.h"

static struct request *request[MANY];

static int requests_make(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		request[i] = calloc(1, sizeof(struct request));
		assert_non_null(request[i]);
	}
	return 0;
}

static int requests_drop(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		free(request[i]);
	return 0;
}

#endif
