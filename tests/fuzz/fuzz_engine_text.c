/* An engine's page of metrics, whole and in pieces: both must say the same, and nothing absurd. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/engine_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine_facts read_all(const uint8_t *data, size_t size, size_t piece)
{
	struct engine_text *t = malloc(sizeof(*t));
	struct engine_facts facts;

	if (!t)
		abort();
	engine_text_init(t);
	for (size_t at = 0; at < size; at += piece)
		engine_text_take(
		    t, (struct slice){ data + at, size - at < piece ? size - at : piece });
	facts = *engine_text_end(t);
	free(t);
	return facts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_facts a = read_all(data, size, size ? size : 1);
	struct engine_facts b = read_all(data, size, 7);

	if (a.known != b.known || a.make != b.make || a.make >= ENGINE_MAKES)
		abort();
	for (int i = 0; i < ENGINE_FACTS; i++) {
		double v = a.value[i];

		if (memcmp(&v, &b.value[i], sizeof(v)) != 0)
			abort();
		if (!isfinite(v) || v < 0 || (!(a.known >> i & 1) && v > 0))
			abort();
	}
	if (a.value[ENGINE_KV_USED] > 1)
		abort();
	return 0;
}
