#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "cells.h"
#include "wire/profdoc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is read becomes a profile that the daemon reads, or is too far from any server. */
static void make(const struct bench_series *s)
{
	const struct goal goal = goal_make(0, 0, 0.05, 0);
	struct slo_profile_doc *doc, *back;
	struct cells_count count;
	struct bench_fit fit;
	struct doc_error err;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (s->count == 0)
		abort(); /* read, but nothing in it */
	if (!bench_fit(s, 0, &fit))
		return;
	doc = cells_make(s, &fit, &goal, &count);
	out = doc ? open_memstream(&text, &len) : NULL;
	if (out) {
		cells_write(out, doc, &fit);
		fclose(out);
		if (profdoc_parse(text, len, &back, &err) == SLO_OK)
			profdoc_free(back);
	}
	free(text);
	profdoc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench_series s;
	struct doc_error err;

	bench_init(&s);
	if (bench_read(&s, "f", (const char *)data, size, &err) == SLO_OK)
		make(&s);
	else if (err.message[0] == '\0')
		abort(); /* an error without a reason */
	bench_free(&s);
	return 0;
}
