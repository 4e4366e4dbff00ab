#include "wire/json/doc_error.h"

#include <stdio.h>

void doc_error_format(const struct doc_error *e, char *out, size_t cap)
{
	char place[64] = "", key[sizeof(e->key) + 16] = "";

	if (e->line > 0)
		snprintf(place, sizeof(place), "%zu:%zu:", e->line, e->column);
	if (e->key[0] != '\0')
		snprintf(key, sizeof(key), "key \"%s\": ", e->key);
	snprintf(out, cap, "%s%s%s%s%s%s", e->file ? e->file : "", e->file ? ":" : "", place,
	         e->file || e->line > 0 ? " " : "", key, e->message);
}
