#include "wire/wr.h"

#include <assert.h>

void wr_init(struct wr *w, uint8_t *buf, size_t size)
{
	assert(buf);
	*w = (struct wr){ .start = buf, .p = buf, .end = buf + size, .bad = false };
}

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

void wr_patch_u32be(struct wr *w, size_t at, uint32_t v)
{
	struct wr hole;

	if (w->bad)
		return;
	assert(at <= wr_len(w) && wr_len(w) - at >= 4);
	wr_init(&hole, w->start + at, 4);
	wr_u32be(&hole, v);
}
