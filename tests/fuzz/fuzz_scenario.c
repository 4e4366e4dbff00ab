#include <stdlib.h>

#include "wire/file/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct doc_error error = { .message = "" };
	struct scenario_line line;

	if (scenario_parse((const char *)data, size, &line, &error) == SLO_OK)
		scenario_line_fini(&line);
	else if (error.message[0] == '\0')
		abort(); /* an error without a reason */
	return 0;
}
