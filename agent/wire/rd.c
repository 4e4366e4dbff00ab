#include "wire/rd.h"

static const uint8_t nothing[1];

void rd_init(struct rd *r, struct slice in)
{
	/* Arithmetic on NULL is undefined even when it moves by zero. */
	if (!in.p)
		in = (struct slice){ .p = nothing, .len = 0 };
	*r = (struct rd){ .p = in.p, .end = in.p + in.len, .bad = false };
}

size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

struct slice rd_bytes(struct rd *r, uint64_t len)
{
	struct slice s;

	/* Compare with what is left: p + len can wrap and look in bounds. */
	if (r->bad || len > (uint64_t)(r->end - r->p)) {
		r->bad = true;
		return (struct slice){ .p = NULL, .len = 0 };
	}
	s = (struct slice){ .p = r->p, .len = (size_t)len };
	r->p += s.len;
	return s;
}

uint8_t rd_u8(struct rd *r)
{
	if (r->bad || r->p == r->end) {
		r->bad = true;
		return 0;
	}
	return *r->p++;
}

uint32_t rd_u32be(struct rd *r)
{
	struct slice s = rd_bytes(r, 4);

	if (s.len < 4)
		return 0;
	return (uint32_t)s.p[0] << 24 | (uint32_t)s.p[1] << 16 | (uint32_t)s.p[2] << 8 | s.p[3];
}

/* Below 240 the first byte is the value; above, it holds 240 plus the low four bits, and
 * each further byte adds seven bits and says by its top bit whether another one follows. */
uint64_t rd_varint(struct rd *r)
{
	uint64_t v = rd_u8(r);
	unsigned int shift = 4;
	uint8_t b;

	if (v < 240)
		return v;
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

struct slice rd_slice(struct rd *r)
{
	return rd_bytes(r, rd_varint(r));
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
