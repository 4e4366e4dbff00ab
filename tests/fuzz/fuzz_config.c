#include <stdlib.h>

#include "conf/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct doc_error err;
	struct config *c = config_parse((const char *)data, size, "dir/slo.json", &err);
	char line[256];

	doc_error_format(&err, line, sizeof(line));
	if (!c && (err.message[0] == '\0' || err.line == 0 || err.column == 0))
		abort(); /* an error without a reason or a place */
	config_free(c);
	return 0;
}
