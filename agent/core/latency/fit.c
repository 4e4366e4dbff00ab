#include "core/latency/fit.h"

#include <stdbool.h>
#include <string.h>

#include "core/bounds.h"

/* In the middle of what GPUs from L4 to B200 do with models of 7 to 70 billion parameters. */
static const double guess[LATENCY_RATES] = { 20e-3, 0.1e-3, 0.7e-6 };

#define GUESS_VARIANCE 2.25
#define UNSURE_MOST    1e4  /* sum of variances, if the guess was far off */
#define UNSURE_MORE    10   /* times, by an end that contradicts it, */
#define CONTRADICTS    4    /* which is a square of its error, in variances that were expected */
#define DOUBTED        10   /* times */
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

static double unsure(const struct latency_fit *f)
{
	return at_least(f->spread[0][0] + f->spread[1][1] + f->spread[2][2], SPREAD_LEAST);
}

static void multiply(struct latency_fit *f, double factor)
{
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = 0; j < LATENCY_RATES; j++)
			f->spread[i][j] *= factor;
}

/* No end takes away by what the two halves differ, and each that is forgotten makes it more: of a
 * rounding error there, nothing else would be left after some thousand ends. */
static void mirror(struct latency_fit *f)
{
	for (int i = 1; i < LATENCY_RATES; i++)
		for (int j = 0; j < i; j++)
			f->spread[i][j] = f->spread[j][i];
}

/* Only of what such a stay tells about. */
static void multiply_along(struct latency_fit *f, double factor, const double u[LATENCY_RATES])
{
	double pu[LATENCY_RATES], upu;

	for (int i = 0; i < LATENCY_RATES; i++)
		pu[i] = product(f->spread[i], u);
	upu = product(u, pu);
	if (!(upu > SPREAD_LEAST * unsure(f)))
		return;
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = i; j < LATENCY_RATES; j++)
			f->spread[i][j] += (factor - 1) * pu[i] * pu[j] / upu;
	mirror(f);
}

/* As unsure as of the first guess, in proportion to the rates; or as it is, if that is more. */
static double unsure_most(const struct latency_fit *f)
{
	double most = 0;

	for (int i = 0; i < LATENCY_RATES; i++)
		most += GUESS_VARIANCE * at_least(f->rate[i] * f->rate[i], 1);
	return at_least(at_most(most, UNSURE_MOST), unsure(f));
}

/* Multiplies the spread. Where stays are all alike, they tell nothing of most of it, which soon is
 * as large as may be; then only that grows which such a stay, u, does tell about. Else what became
 * faster or slower would never be learned again. */
static void widen(struct latency_fit *f, double factor, const double u[LATENCY_RATES])
{
	double most = unsure_most(f), all = at_most(factor, most / unsure(f));

	multiply(f, all);
	if (!(factor > all))
		return;
	multiply_along(f, factor / all, u);
	multiply(f, at_most(most / unsure(f), 1));
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

/* What an end says, relative to what it took: its error, and the variance that was expected. */
struct evidence {
	double u[LATENCY_RATES], pu[LATENCY_RATES];
	double error, variance;
};

/* False: there is nothing in it. */
static bool weigh(const struct latency_fit *f, const struct latency_features *x, struct evidence *e)
{
	double scale;

	scaled(x, e->u);
	scale = at_least(product(f->rate, e->u), 0.3 * x->seconds);
	if (!(scale > 0))
		return false;
	for (int i = 0; i < LATENCY_RATES; i++)
		e->u[i] /= scale;
	for (int i = 0; i < LATENCY_RATES; i++)
		e->pu[i] = product(f->spread[i], e->u);
	e->variance = NOISE + product(e->u, e->pu);
	e->error = at_most(x->seconds / scale - product(f->rate, e->u), LATE_MOST);
	return true;
}

void latency_fit_question(struct latency_fit *f, const struct latency_features *x)
{
	struct evidence e;

	if (weigh(f, x, &e) && e.error * e.error > CONTRADICTS * e.variance)
		multiply(f, at_least(at_most(UNSURE_MOST / unsure(f), UNSURE_MORE), 1));
}

void latency_fit_teach(struct latency_fit *f, const struct latency_features *x)
{
	struct evidence e;

	if (!weigh(f, x, &e))
		return;
	for (int i = 0; i < LATENCY_RATES; i++)
		f->rate[i] += e.pu[i] / e.variance * e.error;
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = 0; j < LATENCY_RATES; j++)
			f->spread[i][j] -= e.pu[i] * e.pu[j] / e.variance;
	mirror(f);
	stay_possible(f);
	widen(f, 1 / (1 - 1.0 / MEMORY), e.u);
}

void latency_fit_weigh(struct latency_fit *f, double ends, double most)
{
	double factor = at_most(ends / most, unsure_most(f) / unsure(f));

	if (factor > 1)
		multiply(f, factor);
}

void latency_fit_doubt(struct latency_fit *f, const struct latency_features *x)
{
	struct evidence e;

	if (weigh(f, x, &e))
		widen(f, DOUBTED, e.u);
}
