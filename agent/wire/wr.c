#include "wire/wr.h"

#include <assert.h>
#include <string.h>

void wr_init(struct wr *w, uint8_t *buf, size_t size)
{
	assert(buf);
	*w = (struct wr){ .start = buf, .p = buf, .end = buf + size, .bad = false };
}

size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

void wr_bytes(struct wr *w, struct slice s)
{
	if (w->bad || s.len > (size_t)(w->end - w->p)) {
		w->bad = true;
		return;
	}
	if (s.len == 0)
		return; /* s.p may be NULL, which memcpy does not allow */
	memcpy(w->p, s.p, s.len);
	w->p += s.len;
}

void wr_u8(struct wr *w, uint8_t v)
{
	if (w->bad || w->p == w->end) {
		w->bad = true;
		return;
	}
	*w->p++ = v;
}

void wr_u32be(struct wr *w, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	wr_bytes(w, (struct slice){ .p = b, .len = sizeof(b) });
}

void wr_varint(struct wr *w, uint64_t v)
{
	if (v < 240) {
		wr_u8(w, (uint8_t)v);
		return;
	}
	wr_u8(w, (uint8_t)(v | 240));
	v = (v - 240) >> 4;
	while (v >= 128) {
		wr_u8(w, (uint8_t)(v | 128));
		v = (v - 128) >> 7;
	}
	wr_u8(w, (uint8_t)v);
}

void wr_slice(struct wr *w, struct slice s)
{
	wr_varint(w, s.len);
	wr_bytes(w, s);
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
