#include <stdlib.h>

#include "wire/profdoc.h"
#include "wire/profile_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slo_profile_doc *doc;
	struct doc_error err;

	if (profdoc_parse((const char *)data, size, &doc, &err) == SLO_OK) {
		struct profile_finding found[PROFILE_FINDINGS_MAX];
		size_t count = profile_check(doc, false, found);

		for (size_t i = 0; i < count; i++)
			if (found[i].text[0] == '\0')
				abort(); /* a finding without a word */
		profdoc_free(doc);
	} else if (err.message[0] == '\0' || (err.line == 0) != (err.column == 0)) {
		abort(); /* an error without a reason or with half a place */
	}
	return 0;
}
