#include "core/latency/fit.h"

#include <string.h>

#include "core/bounds.h"

/* In the middle of what GPUs from L4 to B200 do with models of 7 to 70 billion parameters. */
static const double guess[LATENCY_RATES] = { 20e-3, 0.1e-3, 0.7e-6 };

#define GUESS_VARIANCE 2.25
#define NOISE          0.04 /* variance of actual / predicted */
#define MEMORY         400  /* ends after which evidence weighs 1/e */
#define LATE_MOST      0.5  /* what is later still has waited; that is not speed */
#define STEP_MOST      5
#define RATE_LEAST     1e-3 /* of the guess */
#define RATE_MOST      1e4
#define SPREAD_LEAST   1e-12

void latency_fit_init(struct latency_fit *f)
{
	memset(f, 0, sizeof(*f));
	for (int i = 0; i < LATENCY_RATES; i++) {
		f->rate[i] = 1;
		f->spread[i][i] = GUESS_VARIANCE;
	}
}

double latency_fit_rate(const struct latency_fit *f, int which)
{
	return f->rate[which] * guess[which];
}

static void scaled(const struct latency_features *x, double out[LATENCY_RATES])
{
	out[0] = x->steps * guess[0];
	out[1] = x->prompts * guess[1];
	out[2] = x->reads * guess[2];
}

static double product(const double a[LATENCY_RATES], const double b[LATENCY_RATES])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

double latency_fit_predict(const struct latency_fit *f, const struct latency_features *x)
{
	double v[LATENCY_RATES];

	scaled(x, v);
	return product(f->rate, v);
}

/* Multiplies the spread, up to what was known at first. */
static void widen(struct latency_fit *f, double factor)
{
	double trace = f->spread[0][0] + f->spread[1][1] + f->spread[2][2];

	factor = at_most(factor, LATENCY_RATES * GUESS_VARIANCE / trace);
	if (!(factor > 1))
		return;
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = 0; j < LATENCY_RATES; j++)
			f->spread[i][j] *= factor;
}

/* The rate that is furthest below what a rate can be; -1: none is. */
static int impossible(const struct latency_fit *f)
{
	int worst = -1;

	for (int i = 0; i < LATENCY_RATES; i++)
		if (f->rate[i] < (worst < 0 ? RATE_LEAST : f->rate[worst]))
			worst = i;
	return worst;
}

/* No rate is less than nearly nothing. Where the best fit has one, others explain too much or too
 * little, so they move with it, as far as they are tied to it: the best of the fits that can be.
 * Only to cut that rate would leave the others wrong, and ever more so with each end. */
static void stay_possible(struct latency_fit *f)
{
	double free[LATENCY_RATES][LATENCY_RATES]; /* spread of those that were not set yet */
	int w;

	memcpy(free, f->spread, sizeof(free));
	while ((w = impossible(f)) >= 0) {
		double own = free[w][w], tie[LATENCY_RATES];

		if (own > SPREAD_LEAST) {
			for (int i = 0; i < LATENCY_RATES; i++) {
				tie[i] = free[i][w];
				f->rate[i] += tie[i] / own * (RATE_LEAST - f->rate[w]) * (i != w);
			}
			for (int i = 0; i < LATENCY_RATES; i++)
				for (int j = 0; j < LATENCY_RATES; j++)
					free[i][j] -= tie[i] * tie[j] / own;
		}
		free[w][w] = 0;
		f->rate[w] = RATE_LEAST;
	}
	f->rate[0] = at_most(f->rate[0], STEP_MOST);
	for (int i = 0; i < LATENCY_RATES; i++)
		f->rate[i] = at_most(f->rate[i], RATE_MOST);
}

void latency_fit_teach(struct latency_fit *f, const struct latency_features *x)
{
	double u[LATENCY_RATES], pu[LATENCY_RATES], scale, variance, error;

	scaled(x, u);
	scale = at_least(product(f->rate, u), 0.3 * x->seconds);
	if (!(scale > 0))
		return;
	for (int i = 0; i < LATENCY_RATES; i++)
		u[i] /= scale;
	for (int i = 0; i < LATENCY_RATES; i++)
		pu[i] = product(f->spread[i], u);
	variance = NOISE + product(u, pu);
	error = at_most(x->seconds / scale - product(f->rate, u), LATE_MOST);
	for (int i = 0; i < LATENCY_RATES; i++)
		f->rate[i] += pu[i] / variance * error;
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = 0; j < LATENCY_RATES; j++)
			f->spread[i][j] -= pu[i] * pu[j] / variance;
	stay_possible(f);
	widen(f, 1 / (1 - 1.0 / MEMORY));
}

void latency_fit_weigh(struct latency_fit *f, double ends, double most)
{
	widen(f, ends / most);
}

void latency_fit_doubt(struct latency_fit *f)
{
	widen(f, 10);
}
