/* A request body and the estimate made from it. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct body_info b;
	int64_t tokens;

	body_scan((struct slice){ .p = data, .len = size }, &b);
	tokens = body_prompt_tokens(&b, tokens_weights("avg"), INT64_C(1) << 40);
	if (tokens < 0 || tokens > INT32_MAX || b.sequences < 1 || b.n < 1 || b.max_tokens < -1 ||
	    b.scanned > size || b.model.len > BODY_MODEL_MAX || (b.is_json && b.scanned != size))
		abort();
	return 0;
}
