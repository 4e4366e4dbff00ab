#include "wire/file/msgpack_take.h"

#include "wire/file/msgpack_span.h"

double take_float(struct rd *r)
{
	uint64_t bits;
	double v;

	if (rd_u8(r) != 0xcb)
		rd_fail(r);
	bits = rd_be(r, sizeof(bits));
	memcpy(&v, &bits, sizeof(v));
	return v;
}

void take_any(struct rd *r, uint64_t n)
{
	size_t span;

	for (; n > 0 && !r->bad; n--) {
		if (msgpack_span((struct slice){ r->p, rd_left(r) }, &span) == SLO_OK)
			(void)rd_bytes(r, span);
		else
			rd_fail(r);
	}
}
