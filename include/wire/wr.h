/* wr.h - a write cursor into the caller's buffer.
 * The error is sticky: what does not fit sets bad and is not written, nor is anything after
 * it. Once bad, the bytes written so far are not a whole message and must not be sent.
 * Invariant: start <= p <= end; [start, p) is what has been written. */
#ifndef SLO_WIRE_WR_H
#define SLO_WIRE_WR_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "slo.h"

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

/* The small ones are inline: an ACK takes some fifty of them. */

static inline void wr_init(struct wr *w, uint8_t *buf, size_t size) /* buf is not NULL */
{
	assert(buf);
	*w = (struct wr){ .start = buf, .p = buf, .end = buf + size, .bad = false };
}

/* Bytes written. */
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

static inline void wr_bytes(struct wr *w, struct slice s)
{
	if (SELDOM(w->bad || s.len > (size_t)(w->end - w->p))) {
		w->bad = true;
		return;
	}
	if (s.len == 0)
		return; /* s.p may be NULL, which memcpy does not allow */
	memcpy(w->p, s.p, s.len);
	w->p += s.len;
}

/* Room for len bytes that are written at once, or NULL. */
static inline uint8_t *wr_room(struct wr *w, size_t len)
{
	uint8_t *at = w->p;

	if (SELDOM(w->bad || len > (size_t)(w->end - w->p))) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	return at;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	if (SELDOM(w->bad || w->p == w->end)) {
		w->bad = true;
		return;
	}
	*w->p++ = v;
}

static inline void wr_u32be(struct wr *w, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	wr_bytes(w, (struct slice){ .p = b, .len = sizeof(b) });
}

void wr_varint_long(struct wr *w, uint64_t v); /* of 240 and more */

/* At most 10 bytes. */
static inline void wr_varint(struct wr *w, uint64_t v)
{
	struct wr copy;

	if (v < 240) {
		wr_u8(w, (uint8_t)v);
		return;
	}
	copy = *w; /* a cursor whose address is not given away stays in registers */
	wr_varint_long(&copy, v);
	*w = copy;
}

/* Its length as a varint, then its bytes. */
static inline void wr_slice(struct wr *w, struct slice s)
{
	wr_varint(w, s.len);
	wr_bytes(w, s);
}

/* Overwrites four bytes at offset `at`, which must have been written. Nothing when bad. */
static inline void wr_patch_u32be(const struct wr *w, size_t at, uint32_t v)
{
	struct wr hole;

	if (w->bad)
		return;
	assert(at <= wr_len(w) && wr_len(w) - at >= 4);
	wr_init(&hole, w->start + at, 4);
	wr_u32be(&hole, v);
}

#endif
