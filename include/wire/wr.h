/* wr.h - a write cursor into the caller's buffer.
 * The error is sticky: what does not fit sets bad and is not written, nor is anything after
 * it. Once bad, the bytes written so far are not a whole message and must not be sent.
 * Invariant: start <= p <= end; [start, p) is what has been written. */
#ifndef SLO_WIRE_WR_H
#define SLO_WIRE_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

void wr_init(struct wr *w, uint8_t *buf, size_t size); /* buf is not NULL */
size_t wr_len(const struct wr *w);                     /* bytes written */

void wr_u8(struct wr *w, uint8_t v);
void wr_u32be(struct wr *w, uint32_t v);
void wr_varint(struct wr *w, uint64_t v); /* at most 10 bytes */
void wr_bytes(struct wr *w, struct slice s);
void wr_slice(struct wr *w, struct slice s); /* its length as a varint, then its bytes */

/* Overwrites four bytes at offset `at`, which must have been written. Nothing when bad. */
void wr_patch_u32be(struct wr *w, size_t at, uint32_t v);

#endif
