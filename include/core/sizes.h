/* sizes.h - sizes on a logarithmic scale, in integers only, so that borders are exact. */
#ifndef SLO_CORE_SIZES_H
#define SLO_CORE_SIZES_H

#include <stdbool.h>
#include <stdint.h>

/* More tokens than any model takes; larger counts are cut to it, so squares fit in 64 bits. */
#define SLO_TOKENS_MAX INT32_MAX

static inline int64_t tokens_clamp(int64_t tokens)
{
	if (tokens < 0)
		return 0;
	return tokens > SLO_TOKENS_MAX ? SLO_TOKENS_MAX : tokens;
}

/* Whether it is a count that nobody has to cut. */
static inline bool tokens_sane(int64_t tokens)
{
	return tokens == tokens_clamp(tokens);
}

/* round(log2 tokens) for tokens >= 1, 0 below. No tie can occur: sqrt(2) is irrational. */
static inline unsigned log2_round(int64_t tokens)
{
	uint64_t t = (uint64_t)tokens_clamp(tokens);
	unsigned k;

	if (t <= 1)
		return 0;
	k = 63U - (unsigned)__builtin_clzll(t);
	return t * t >= UINT64_C(1) << (2 * k + 1) ? k + 1 : k;
}

#endif
