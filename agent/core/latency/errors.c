#include "core/latency/errors.h"

#include <math.h>

#define PER_UNIT 16.0
#define MIDDLE   32   /* the bin that begins at 0 */
#define FADE_AT  1000 /* halved there, so 500 are left */

_Static_assert(2 * MIDDLE == LATENCY_ERROR_BINS, "the middle");

static double border(int bin)
{
	return (bin - MIDDLE) / PER_UNIT;
}

static void fade(struct latency_errors *e)
{
	e->total = 0;
	for (int i = 0; i < LATENCY_ERROR_BINS; i++) {
		e->bin[i] /= 2;
		e->total += e->bin[i];
	}
}

void latency_errors_add(struct latency_errors *e, double late)
{
	double at = MIDDLE + floor(late * PER_UNIT);

	if (!(at >= 0)) /* NaN too */
		at = 0;
	if (at > LATENCY_ERROR_BINS - 1)
		at = LATENCY_ERROR_BINS - 1;
	e->bin[(int)at]++;
	if (++e->total >= FADE_AT)
		fade(e);
}

double latency_errors_quantile(const struct latency_errors *e, double q)
{
	double left = q * e->total;

	for (int i = 0; i < LATENCY_ERROR_BINS; i++) {
		if (e->bin[i] > 0 && left <= e->bin[i])
			return exp(border(i) + left / e->bin[i] / PER_UNIT);
		left -= e->bin[i];
	}
	return 1;
}

double latency_errors_median(const struct latency_errors *e)
{
	double left = e->total / 2.0;

	for (int i = 0; i < MIDDLE; i++) {
		uint32_t n = (uint32_t)e->bin[MIDDLE + i] + e->bin[MIDDLE - 1 - i];

		if (n > 0 && left <= n)
			return (i + left / n) / PER_UNIT;
		left -= n;
	}
	return 0;
}
