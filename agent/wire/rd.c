#include "wire/rd.h"

/* Below 240 the first byte is the value; above, it holds 240 plus the low four bits, and
 * each further byte adds seven bits and says by its top bit whether another one follows. */
uint64_t rd_varint_rest(struct rd *r, uint8_t first)
{
	uint64_t v = first;
	unsigned int shift = 4;
	uint8_t b;

	do {
		b = rd_u8(r);
		if (r->bad || shift > 60 || b > (UINT64_MAX - v) >> shift) {
			r->bad = true;
			return 0;
		}
		v += (uint64_t)b << shift;
		shift += 7;
	} while (b >= 128);
	return v;
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

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && blank(s.p[s.len - 1]))
		s.len--;
	while (s.len > 0 && blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	return s;
}
