/* rd.h - a read cursor that cannot leave its bytes.
 * The error is sticky: the first read that does not fit sets bad and yields zero, so do all
 * later ones, and a decoder checks once at its end. Slices borrow from the input.
 * Invariant: p <= end, and everything before p has been read. */
#ifndef SLO_WIRE_RD_H
#define SLO_WIRE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "slo.h"

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

void rd_init(struct rd *r, struct slice in); /* in.p may be NULL: nothing to read */
size_t rd_left(const struct rd *r);          /* bytes not yet read; 0 when bad */

uint8_t rd_u8(struct rd *r);
uint32_t rd_u32be(struct rd *r);
/* SPOP's variable-length integer; more than 10 bytes or 64 bits is an error. */
uint64_t rd_varint(struct rd *r);
struct slice rd_bytes(struct rd *r, uint64_t len);
struct slice rd_slice(struct rd *r); /* a varint length, then that many bytes */

/* Next item of a text list, without the blanks around it. False at the end of the list;
 * "a,,b" has an empty item, "a," has not. */
bool rd_item(struct rd *r, char sep, struct slice *item);

struct slice slice_trim(struct slice s); /* without blanks and tabs at both ends */

static inline struct slice slice_of(const char *text)
{
	return (struct slice){ .p = (const uint8_t *)text, .len = strlen(text) };
}

/* Lengths first: memcmp over the peer's length would read past a short key. */
static inline bool slice_eq(struct slice s, const char *text)
{
	return s.len == strlen(text) && (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

#endif
