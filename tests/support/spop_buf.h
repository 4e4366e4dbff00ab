/* spop_buf.h - a buffer for frames that a test writes and reads back. After cmocka.h. */
#ifndef SLO_TESTS_SPOP_BUF_H
#define SLO_TESTS_SPOP_BUF_H

#include "wire/spop.h"

#define MAX_FRAME 16380
#define HEAD_SIZE 11 /* prefix, type, flags and two ids of one byte */

static uint8_t buf[4096];

static inline struct wr writer(void)
{
	struct wr w;

	wr_init(&w, buf, sizeof(buf));
	return w;
}

/* The frame that w holds, which must be exactly one. */
static inline struct spop_frame only_frame(const struct wr *w)
{
	struct spop_frame f;
	size_t whole;

	assert_false(w->bad);
	assert_int_equal(spop_peek(buf, wr_len(w), MAX_FRAME, &whole), SLO_OK);
	assert_int_equal(whole, wr_len(w));
	assert_int_equal(spop_frame(buf + 4, whole - 4, &f), SLO_OK);
	return f;
}

#endif
