/* snapshot_forge.h - a snapshot with a good head, length and checksum around any records, so that
 * what is behind the checksum is tested too. */
#ifndef SLO_TESTS_SNAPSHOT_FORGE_H
#define SLO_TESTS_SNAPSHOT_FORGE_H

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wire/file/snapshot.h"

/* For free(). .p NULL: out of memory. */
static inline struct slice forge(int64_t written, const void *records, size_t len)
{
	struct snapshot_writer *w = snapshot_begin(written);
	struct slice head = { 0 };
	uint8_t *p = NULL;
	size_t total = 0;

	if (w && snapshot_end(w, &head) == SLO_OK && (p = malloc(head.len + len))) {
		total = head.len + len;
		memcpy(p, head.p, head.len);
		memcpy(p + head.len, records, len);
		for (size_t i = 0; i < 8; i++)
			p[12 + i] = (uint8_t)((uint64_t)(total - SNAPSHOT_HEAD) >> 8 * i);
		for (size_t i = 0; i < 4; i++)
			p[8 + i] = (uint8_t)(crc32_z(0, p + 12, total - 12) >> 8 * i);
	}
	snapshot_writer_free(w);
	return (struct slice){ p, p ? total : 0 };
}

#endif
