#include <stdlib.h>

#include "wire/profdoc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slo_profile_doc *doc;
	struct doc_error err;

	if (profdoc_parse((const char *)data, size, &doc, &err) == SLO_OK)
		profdoc_free(doc);
	else if (err.message[0] == '\0' || (err.line == 0) != (err.column == 0))
		abort(); /* an error without a reason or with half a place */
	return 0;
}
