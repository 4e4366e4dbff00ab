/* rng.h - the seeded generator behind every draw, so that any run can be replayed.
 * SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
#ifndef SLO_CORE_RNG_H
#define SLO_CORE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, n), without bias; 0 when n is 0. */
uint64_t rng_below(struct rng *r, uint64_t n);

#endif
