#include "wire/wr.h"

void wr_varint_long(struct wr *w, uint64_t v)
{
	wr_u8(w, (uint8_t)(v | 240));
	v = (v - 240) >> 4;
	while (v >= 128) {
		wr_u8(w, (uint8_t)(v | 128));
		v = (v - 128) >> 7;
	}
	wr_u8(w, (uint8_t)v);
}
