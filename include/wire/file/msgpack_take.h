/* msgpack_take.h - MessagePack values, taken one after the other from a cursor (rd.h): the first
 * that is of another kind or out of range spoils the rest, and is 0.
 *
 * Nothing is allocated: an array's count says only how many values to take. The small ones are
 * inline: a message of news has hundreds of values. */
#ifndef SLO_WIRE_FILE_MSGPACK_TAKE_H
#define SLO_WIRE_FILE_MSGPACK_TAKE_H

#include "wire/rd.h"

/* An integer of any size as two's complement, and whether it is negative. */
static inline uint64_t take_number(struct rd *r, bool *negative)
{
	uint8_t first = rd_u8(r);
	size_t bits;
	uint64_t v;

	*negative = first >= 0xe0;
	if (first < 0x80)
		return first;
	if (*negative)
		return (uint64_t)(int8_t)first;
	if (first < 0xcc || first > 0xd3) {
		rd_fail(r);
		return 0;
	}
	bits = (size_t)8 << (first & 3);
	v = rd_be(r, bits / 8);
	if (first < 0xd0 || !(v >> (bits - 1)))
		return v;
	*negative = true;
	return bits == 64 ? v : v | UINT64_MAX << bits;
}

static inline uint64_t take_uint(struct rd *r, uint64_t most)
{
	bool negative;
	uint64_t v = take_number(r, &negative);

	if (!negative && v <= most)
		return v;
	rd_fail(r);
	return 0;
}

/* From -most to most. */
static inline int64_t take_int(struct rd *r, int64_t most)
{
	bool negative;
	uint64_t v = take_number(r, &negative);

	if ((negative ? -v : v) <= (uint64_t)most)
		return (int64_t)v;
	rd_fail(r);
	return 0;
}

/* Of `least` to `most` bytes, borrowed. */
static inline struct slice take_text(struct rd *r, size_t least, size_t most)
{
	uint8_t first = rd_u8(r);
	uint64_t len = first & 0x1f;

	if (first >= 0xd9 && first <= 0xdb)
		len = rd_be(r, (size_t)1 << (first - 0xd9));
	else if ((first & 0xe0) != 0xa0)
		rd_fail(r);
	if (len < least || len > most)
		rd_fail(r);
	return rd_bytes(r, r->bad ? 0 : len);
}

/* How many elements of an array follow, which must be `least` of them. */
static inline uint64_t take_array(struct rd *r, uint64_t least)
{
	uint8_t first = rd_u8(r);
	uint64_t n = first & 0x0f;

	if (first == 0xdc || first == 0xdd)
		n = rd_be(r, (size_t)2 << (first - 0xdc));
	else if ((first & 0xf0) != 0x90)
		rd_fail(r);
	if (n < least)
		rd_fail(r);
	return r->bad ? 0 : n;
}

/* One of 64 bits; it may be no number. */
double take_float(struct rd *r);
/* So many values of any kind, which are passed over. */
void take_any(struct rd *r, uint64_t n);

#endif
