/* draw.h - random variates on the seeded generator of the core. Pure; the draws of a seed are the
 * same on every machine whose libm rounds alike. */
#ifndef SIM_DRAW_H
#define SIM_DRAW_H

#include <stdint.h>

#include "core/rng.h"

/* An independent generator for one purpose of one run. */
struct rng draw_stream(uint64_t seed, uint64_t purpose);

double draw_unit(struct rng *r); /* uniform in (0, 1) */
double draw_normal(struct rng *r);
double draw_lognormal(struct rng *r, double mu, double sigma); /* of the logarithm */
double draw_gamma(struct rng *r, double shape);                /* scale 1: mean = shape > 0 */
uint32_t draw_between(struct rng *r, uint32_t least, uint32_t most);

#endif
