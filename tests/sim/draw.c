#include "draw.h"

#include <math.h>

#define TWO_PI 6.283185307179586

struct rng draw_stream(uint64_t seed, uint64_t purpose)
{
	struct rng mix, r;

	/* Seeds are small numbers: without a round of mixing, streams would be each other's later
	 * part. */
	rng_init(&mix, seed);
	rng_init(&r, rng_next(&mix) ^ (purpose << 32));
	rng_init(&mix, rng_next(&r));
	return mix;
}

double draw_unit(struct rng *r)
{
	return ((double)(rng_next(r) >> 11) + 0.5) * 0x1p-53;
}

double draw_normal(struct rng *r)
{
	double radius = sqrt(-2.0 * log(draw_unit(r)));

	return radius * cos(TWO_PI * draw_unit(r));
}

double draw_lognormal(struct rng *r, double mu, double sigma)
{
	return exp(mu + sigma * draw_normal(r));
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000. */
double draw_gamma(struct rng *r, double shape)
{
	double boost = 1.0, d, c, x, v;

	if (shape < 1.0) {
		boost = pow(draw_unit(r), 1.0 / shape);
		shape += 1.0;
	}
	d = shape - 1.0 / 3.0;
	c = 1.0 / sqrt(9.0 * d);
	do {
		x = draw_normal(r);
		v = 1.0 + c * x;
		v = v * v * v;
	} while (v <= 0 || log(draw_unit(r)) >= 0.5 * x * x + d - d * v + d * log(v));
	return d * v * boost;
}

uint32_t draw_between(struct rng *r, uint32_t least, uint32_t most)
{
	return least + (uint32_t)rng_below(r, (uint64_t)most - least + 1);
}
