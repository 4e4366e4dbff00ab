#include "wire/rd.h"

/* Below 240 the first byte is the value; above, it holds 240 plus the low four bits, and
 * each further byte adds seven bits and says by its top bit whether another one follows. */
struct rd_varint rd_varint_rest(const uint8_t *p, const uint8_t *end, uint8_t first)
{
	uint64_t v = first;
	unsigned int shift = 4;
	uint8_t b;

	do {
		if (p == end || shift > 60 || *p > (UINT64_MAX - v) >> shift)
			return (struct rd_varint){ .p = NULL, .value = 0 };
		b = *p++;
		v += (uint64_t)b << shift;
		shift += 7;
	} while (b >= 128);
	return (struct rd_varint){ .p = p, .value = v };
}

bool rd_item(struct rd *r, char sep, struct slice *item)
{
	struct slice s = { .p = r->p, .len = 0 };

	if (rd_left(r) == 0)
		return false;
	while (r->p < r->end && *r->p != (uint8_t)sep)
		r->p++;
	s.len = (size_t)(r->p - s.p);
	if (r->p < r->end)
		r->p++; /* the separator */
	*item = slice_trim(s);
	return true;
}
