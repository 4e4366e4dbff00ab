#include <stdlib.h>

#include "cluster_private.h"

#define BYTES_MAX ((size_t)4 << 20)

static bool make_room(struct records *l, size_t len)
{
	if (l->len + len > l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16384;
		uint8_t *grown = l->len + len > BYTES_MAX ? NULL : realloc(l->bytes, cap);

		if (!grown)
			return false;
		l->bytes = grown;
		l->cap = cap;
	}
	if (l->count == l->record_cap) {
		size_t cap = l->record_cap ? 2 * l->record_cap : 256;
		struct record *grown = reallocarray(l->record, cap, sizeof(*grown));

		if (!grown)
			return false;
		l->record = grown;
		l->record_cap = cap;
	}
	return true;
}

uint8_t *records_room(struct records *l)
{
	return make_room(l, NEWS_RECORD_MAX) ? l->bytes + l->len : NULL;
}

void records_add(struct records *l, const struct record *record)
{
	l->record[l->count] = *record;
	l->record[l->count++].at = (uint32_t)l->len;
	l->len += record->len;
}

void records_clear(struct records *l)
{
	l->len = l->done = l->count = 0;
}

void records_fini(struct records *l)
{
	free(l->bytes);
	free(l->record);
}
