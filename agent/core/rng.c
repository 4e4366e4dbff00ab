#include "core/rng.h"

void rng_init(struct rng *r, uint64_t seed)
{
	r->state = seed;
}

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	uint64_t floor, x;

	if (n == 0)
		return 0;
	/* 2^64 is not a multiple of most n: the first 2^64 mod n values would be too likely. */
	floor = (0 - n) % n;
	do {
		x = rng_next(r);
	} while (x < floor);
	return x % n;
}
