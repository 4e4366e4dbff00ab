/* rd.h - a read cursor that cannot leave its bytes.
 * The error is sticky: the first read that does not fit sets bad and yields zero, so do all
 * later ones, and a decoder checks once at its end. Slices borrow from the input.
 * Invariant: p <= end, everything before p has been read, and nothing is left when bad: so one
 * comparison with end is all that a read needs. */
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

/* The small ones are inline: a frame takes some fifty of them. */

/* in.p may be NULL: nothing to read. */
static inline void rd_init(struct rd *r, struct slice in)
{
	static const uint8_t nothing[1];

	/* Arithmetic on NULL is undefined even when it moves by zero. */
	if (!in.p)
		in = (struct slice){ .p = nothing, .len = 0 };
	*r = (struct rd){ .p = in.p, .end = in.p + in.len, .bad = false };
}

/* Bytes not yet read; 0 when bad. */
static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

static inline void rd_fail(struct rd *r)
{
	r->bad = true;
	r->p = r->end;
}

static inline struct slice rd_bytes(struct rd *r, uint64_t len)
{
	struct slice s;

	/* Compare with what is left: p + len can wrap and look in bounds. */
	if (SELDOM(len > (uint64_t)(r->end - r->p))) {
		rd_fail(r);
		return (struct slice){ .p = NULL, .len = 0 };
	}
	s = (struct slice){ .p = r->p, .len = (size_t)len };
	r->p += s.len;
	return s;
}

static inline uint8_t rd_u8(struct rd *r)
{
	if (SELDOM(r->p == r->end)) {
		r->bad = true;
		return 0;
	}
	return *r->p++;
}

/* Big-endian, of 8 bytes at most. */
static inline uint64_t rd_be(struct rd *r, size_t bytes)
{
	struct slice s = rd_bytes(r, bytes);
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		v = v << 8 | s.p[i];
	return v;
}

static inline uint32_t rd_u32be(struct rd *r)
{
	return (uint32_t)rd_be(r, 4);
}

/* What follows the first byte of a varint, which was at least 240. By value, like all that is not
 * inline here: a cursor whose address is not given away stays in registers. */
struct rd_varint {
	const uint8_t *p; /* behind it; NULL: it is cut, or too long */
	uint64_t value;
};
struct rd_varint rd_varint_rest(const uint8_t *p, const uint8_t *end, uint8_t first);

/* SPOP's variable-length integer; more than 10 bytes or 64 bits is an error. */
static inline uint64_t rd_varint(struct rd *r)
{
	uint8_t first = rd_u8(r);
	struct rd_varint v;

	if (first < 240)
		return first;
	v = rd_varint_rest(r->p, r->end, first);
	if (!v.p) {
		rd_fail(r);
		return 0;
	}
	r->p = v.p;
	return v.value;
}

/* A varint length, then that many bytes. */
static inline struct slice rd_slice(struct rd *r)
{
	return rd_bytes(r, rd_varint(r));
}

/* Next item of a text list, without the blanks around it. False at the end of the list;
 * "a,,b" has an empty item, "a," has not. */
bool rd_item(struct rd *r, char sep, struct slice *item);

#endif
