#include "fit.h"

#include <math.h>
#include <stdlib.h>

#define RATES      3
#define ROUNDS     200
#define PRIOR      1e-3 /* what the usual ratio of the rates weighs, beside one point */
#define RATE_LEAST 1e-3 /* of the usual server that is as fast as this one */

/* Without percentiles it is unknown how far the slowest are from the mean. */
#define SAFETY_UNKNOWN 0.8
#define SAFETY_LEAST   0.4
#define SAFETY_MOST    0.95

/* Of an answer that is not short, the first token takes a small part, unless it waited. */
#define WAITED_SHARE  0.5
#define WAITED_PROMPT 16 /* times as long as the answer: a prompt that may take that long */

/* In the middle of what GPUs do, see core/latency/fit.c: only the ratios matter here. */
static const double usual[RATES] = { 20e-3, 0.1e-3, 0.7e-6 };

/* What the server did while a request of that point was there. */
static void work_of(const struct bench_point *p, double out[RATES])
{
	double others = fmax(p->prompts * p->e2e, p->input);

	out[0] = p->output;
	out[1] = others;
	out[2] = p->output * fmax(p->held, p->input + p->output / 2);
}

static double seconds(const double rate[RATES], const double work[RATES])
{
	return rate[0] * work[0] + rate[1] * work[1] + rate[2] * work[2];
}

double bench_predict(const struct latency_rates *r, const struct bench_point *p)
{
	const double rate[RATES] = { r->step, r->prompt, r->cached };
	double work[RATES];

	work_of(p, work);
	return seconds(rate, work);
}

bool bench_usable(const struct bench_point *p, double kv)
{
	if (!p->loaded || (kv > 0 && p->held > kv))
		return false;
	return !(p->ttft > WAITED_SHARE * p->e2e) || p->output < 2 ||
	       p->input >= WAITED_PROMPT * p->output;
}

/* The sums of least squares over relative errors: matrix and right side. */
struct sums {
	double a[RATES][RATES], b[RATES];
	double slower; /* than the usual server, log, summed */
	size_t n;
};

static void sums_add(struct sums *m, const struct bench_point *p)
{
	double u[RATES];

	work_of(p, u);
	m->slower += log(p->e2e / seconds(usual, u));
	m->n++;
	for (int i = 0; i < RATES; i++)
		u[i] *= usual[i] / p->e2e;
	for (int i = 0; i < RATES; i++) {
		m->b[i] += u[i];
		for (int j = 0; j < RATES; j++)
			m->a[i][j] += u[i] * u[j];
	}
}

/* Coordinate descent: the problem is convex, and no rate falls below its least. */
static void solve(struct sums *m, double rate[RATES])
{
	double scale = exp(m->slower / (double)m->n), x[RATES];

	for (int i = 0; i < RATES; i++) {
		double weight = PRIOR / (scale * scale);

		x[i] = scale;
		m->a[i][i] += weight;
		m->b[i] += weight * scale;
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < RATES; i++) {
			double rest = m->b[i];

			for (int j = 0; j < RATES; j++)
				rest -= j == i ? 0 : m->a[i][j] * x[j];
			x[i] = fmax(rest / m->a[i][i], RATE_LEAST * scale);
		}
	}
	for (int i = 0; i < RATES; i++)
		rate[i] = x[i] * usual[i];
}

/* Fits all points but those that waited, and of the rest all but one of `step` from `skip` on. */
static void fit_points(const struct bench_series *s, const bool *out, size_t skip, size_t step,
                       double rate[RATES])
{
	struct sums m = { .n = 0 };
	size_t used = 0;

	for (size_t i = 0; i < s->count; i++)
		if (!out[i] && !(step > 0 && used++ % step == skip))
			sums_add(&m, &s->point[i]);
	solve(&m, rate);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double error_of(const double rate[RATES], const struct bench_point *p)
{
	double work[RATES];

	work_of(p, work);
	return fabs(p->e2e / seconds(rate, work) - 1);
}

static void judge(const struct bench_series *s, const bool *out, const double rate[RATES],
                  double *errors, struct bench_fit *f)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		if (!out[i])
			errors[n++] = error_of(rate, &s->point[i]);
	qsort(errors, n, sizeof(*errors), by_value);
	f->error = errors[n / 2];
	f->error_most = errors[n - 1];
}

/* Each tenth of the points is predicted by the others; of few, each one. */
#define FOLDS          10
#define HELD_OUT_LEAST 5

static void judge_held_out(const struct bench_series *s, const bool *out, double *errors,
                           struct bench_fit *f)
{
	size_t folds = f->used < FOLDS ? f->used : FOLDS, n = 0;
	double rate[RATES];

	f->held_out = NAN;
	if (f->used < HELD_OUT_LEAST)
		return;
	for (size_t k = 0; k < folds; k++) {
		size_t used = 0;

		fit_points(s, out, k, folds, rate);
		for (size_t i = 0; i < s->count; i++)
			if (!out[i] && used++ % folds == k)
				errors[n++] = error_of(rate, &s->point[i]);
	}
	qsort(errors, n, sizeof(*errors), by_value);
	f->held_out = errors[n / 2];
}

/* What share of a target the mean may use, so that the slowest meet it too. */
static double headroom_of(const struct bench_series *s, double *values, bool *known)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		if (s->point[i].tail > 0)
			values[n++] = s->point[i].tail;
	*known = n > 0;
	if (n == 0)
		return SAFETY_UNKNOWN;
	qsort(values, n, sizeof(*values), by_value);
	return fmin(fmax(1 / values[n / 2], SAFETY_LEAST), SAFETY_MOST);
}

/* The most tokens of whole requests that were on the server and did not wait there. */
static double most_held(const struct bench_series *s, const bool *out)
{
	double most = 1;

	for (size_t i = 0; i < s->count; i++) {
		const struct bench_point *p = &s->point[i];
		double whole = (p->input + p->output) / (p->input + p->output / 2);

		if (!out[i])
			most = fmax(most, fmax(p->held * whole, p->input + p->output));
	}
	return most;
}

static void sort_out(const struct bench_series *s, double kv, bool *out, struct bench_fit *f)
{
	for (size_t i = 0; i < s->count; i++) {
		out[i] = !bench_usable(&s->point[i], kv);
		f->waited += out[i];
	}
	f->used = s->count - f->waited;
	if (f->used > 0)
		return;
	/* Nothing else is there; the caller says so. */
	for (size_t i = 0; i < s->count; i++)
		out[i] = false;
	f->used = s->count;
}

bool bench_fit(const struct bench_series *s, double kv, struct bench_fit *f)
{
	bool *out = calloc(s->count, sizeof(*out));
	double *values = calloc(s->count, sizeof(*values)), rate[RATES];

	*f = (struct bench_fit){ .used = 0 };
	if (out && values) {
		sort_out(s, kv, out, f);
		fit_points(s, out, 0, 0, rate);
		judge(s, out, rate, values, f);
		judge_held_out(s, out, values, f);
		f->rates = (struct latency_rates){ .step = rate[0],
			                           .prompt = rate[1],
			                           .cached = rate[2],
			                           .kv = kv > 0 ? kv : most_held(s, out),
			                           .kv_told = kv > 0,
			                           .crowd = 1 };
		f->rates.headroom = headroom_of(s, values, &f->tail_known);
	}
	free(values);
	free(out);
	return f->used > 0;
}
