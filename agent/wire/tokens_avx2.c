/* Compiled for AVX2 where there can be one (see Makefile), called where there is one. */
#include "tokens_private.h"

#ifdef __AVX2__

#define BLOCK_BYTES 32
#include "tokens_blocks.h"

const bool tokens_built_for_avx2 = true;

const uint8_t *tokens_feed_avx2(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	return feed_whole_blocks(t, p, end);
}

#else

const bool tokens_built_for_avx2 = false;

const uint8_t *tokens_feed_avx2(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	(void)t;
	(void)end;
	return p;
}

#endif
