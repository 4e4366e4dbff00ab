/* A line from HAProxy's log. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/endline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct endline e;

	if (endline_parse(data, size, &e) != SLO_OK)
		return 0;
	if ((e.kind == ENDLINE_END) != (e.id.p != NULL) || e.id.len > ENDLINE_ID_MAX ||
	    (e.kind == ENDLINE_STOPPED && e.be.len == 0) ||
	    (e.kind == ENDLINE_SERVER && (e.be.len == 0 || e.srv.len == 0)) || e.st < -1)
		abort();
	return 0;
}
