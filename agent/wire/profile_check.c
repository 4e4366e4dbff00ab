/* How the units are told, with what servers can do.
 *
 * tputs x e2e is the number of requests that a server holds at load 1 (Little's law). It takes one
 * at least, and engines hold some hundreds, so a median below a half or above a thousand is no
 * server: one of the two tables is in another unit. An output token takes milliseconds, on a slow
 * CPU some hundreds of them; seconds mean that a table is in milliseconds. A longer answer never
 * makes a server finish more requests per second, only more tokens. And throughput above 0 says
 * that the target was met, so no mean is beyond it; nor is every mean a thousandth of it.
 *
 * Of the axes nothing but numbers is told. Those of tokens hardly are 4, 5, 6, and what a token of
 * an answer costs shows which axis is which.
 *
 * Throughput per minute shows only where it exceeds these bounds: sixty times ten requests is
 * nothing that no server could hold. */
#include "wire/profile_check.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HELD_MIN      0.5    /* requests at once */
#define HELD_MAX      1000.0 /* the median of all cells */
#define HELD_CELL_MAX 5000.0 /* in any cell */
#define PER_TOKEN_MAX 2.0    /* seconds per output token, in the best cell */
#define BEYOND        1.02   /* times the target */
#define UNIT          200.0  /* times: a factor of 1000 rather than a mistake in the value */
#define SLACK_MAX     1000.0 /* times the mean, in the tightest cell */
#define RISE          1.2    /* of throughput, while outputs grow OUTPUT_GROWTH times */
#define OUTPUT_GROWTH 8
#define LOG2_MAX      24.0 /* 16 million tokens */
#define LOG2_STEP_MAX 2.0
#define SWAPPED       3.0 /* times */

#define NEIGHBOURS_MIN 4 /* cells that have one */

struct check {
	const struct slo_profile_doc *doc;
	struct profile_finding *out;
	size_t count;
};

__attribute__((format(printf, 3, 4))) static void find(struct check *c, const char *code,
                                                       const char *format, ...)
{
	struct profile_finding *f = &c->out[c->count];
	va_list args;

	if (c->count == PROFILE_FINDINGS_MAX)
		return;
	c->count++;
	f->code = code;
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
}

static size_t cells(const struct slo_profile_doc *doc)
{
	size_t n = doc->rows * doc->cols;

	assert(doc->cols > 0 && n > 0);
	return n;
}

/* A cell that the scheduler can use: its throughput and its mean are known. */
static bool usable(const struct slo_profile_doc *doc, size_t cell)
{
	return doc->tputs[cell] > 0 && doc->e2e && isfinite(doc->e2e[cell]);
}

static double output_of(const struct slo_profile_doc *doc, size_t cell)
{
	return doc->output_axis[cell / doc->cols];
}

static double input_of(const struct slo_profile_doc *doc, size_t cell)
{
	return doc->input_axis[cell % doc->cols];
}

/* Targets */

static bool has_target(const struct slo_profile_doc *doc)
{
	return doc->slo_e2e > 0 || doc->slo_ttft > 0 || doc->slo_tpot > 0 || doc->slo_tpat > 0;
}

/* A name that is not known is often why there is no target. */
static void check_names(struct check *c)
{
	const struct slo_profile_doc *doc = c->doc;

	if (doc->stray[0] == '\0')
		return;
	if (doc->stray_meant)
		find(c, "profile-unknown-target",
		     "\"%s\" is unknown and ignored; it probably means \"%s\"", doc->stray,
		     doc->stray_meant);
	else
		find(c, "profile-unknown-target",
		     "\"%s\" in \"slos\" is unknown and ignored; targets are e2e, ttft, tpot and "
		     "tpat",
		     doc->stray);
}

static void check_percentile(struct check *c)
{
	double p = c->doc->percentile;

	if (isnan(p) || (p >= 1 && p <= 100) || p == 0)
		return;
	if (p > 0 && p < 1)
		find(c, "profile-percentile",
		     "slos.percentile is %g, a share; it is in percent, so it probably means %g", p,
		     p * 100);
	else
		find(c, "profile-percentile", "slos.percentile is %g, which is no percentile", p);
}

static void check_tables(struct check *c, bool promised)
{
	const struct slo_profile_doc *doc = c->doc;
	const char *needs_e2e = doc->slo_tpot > 0   ? "tpot"
	                        : doc->slo_tpat > 0 ? "tpat"
	                        : doc->slo_e2e > 0  ? "e2e"
	                                            : NULL;

	if (!has_target(doc) && !promised)
		find(c, "profile-no-target",
		     "it has no target in \"slos\" (e2e, ttft, tpot or tpat, in seconds), so a "
		     "request "
		     "that brings none is not placed on these servers by their latency");
	if (!doc->e2e)
		find(c, "profile-no-e2e",
		     "it has no table \"e2e\", so the load of its requests is unknown and counted "
		     "as "
		     "0: its servers are never full%s%s",
		     needs_e2e ? ", and no request can be judged by slos." : "",
		     needs_e2e ? needs_e2e : "");
	if (!doc->ttft && doc->slo_ttft > 0 && doc->slo_tpot <= 0)
		find(c, "profile-no-ttft",
		     "slos.ttft is %g s, but there is no table \"ttft\", so no request can be "
		     "judged "
		     "by it",
		     doc->slo_ttft);
}

/* Units */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Without memory nothing is found. False: there is no usable cell. */
static bool requests_held(const struct slo_profile_doc *doc, double *median, double *most)
{
	double *held = malloc(cells(doc) * sizeof(*held));
	size_t n = 0;

	for (size_t i = 0; held && i < cells(doc); i++)
		if (usable(doc, i))
			held[n++] = doc->tputs[i] * doc->e2e[i];
	if (n > 0) {
		qsort(held, n, sizeof(*held), by_value);
		*median = held[n / 2];
		*most = held[n - 1];
	}
	free(held);
	return n > 0;
}

/* Whether longer answers seem to make a server faster: of shorter and longer ones with the same
 * prompt, which cells say so. Where prompts are longer than answers these cost little, and noise
 * could say so too. */
static bool rises_in_column(const struct slo_profile_doc *doc, size_t col, size_t *shorter,
                            size_t *longer)
{
	bool found = false;

	for (size_t row = 0; row < doc->rows; row++) {
		size_t i = row * doc->cols + col;
		double output = doc->output_axis[row];

		if (!(doc->tputs[i] > 0))
			continue;
		if (!found)
			*shorter = i;
		found = true;
		if (output < doc->input_axis[col] ||
		    output < OUTPUT_GROWTH * output_of(doc, *shorter) ||
		    doc->tputs[i] <= RISE * doc->tputs[*shorter])
			continue;
		*longer = i;
		return true;
	}
	return false;
}

static bool throughput_rises(const struct slo_profile_doc *doc, size_t *shorter, size_t *longer)
{
	for (size_t col = 0; col < doc->cols; col++)
		if (rises_in_column(doc, col, shorter, longer))
			return true;
	return false;
}

/* Seconds per output token in the best cell, INFINITY if none is usable. */
static double best_per_token(const struct slo_profile_doc *doc)
{
	double best = INFINITY;

	for (size_t i = 0; i < cells(doc); i++)
		if (usable(doc, i))
			best = fmin(best, doc->e2e[i] / output_of(doc, i));
	return best;
}

/* False: the tables are in other units, and the means say nothing about the targets. */
static bool check_units(struct check *c)
{
	const struct slo_profile_doc *doc = c->doc;
	double median, most, per_token = best_per_token(doc);
	size_t first, last;

	if (throughput_rises(doc, &first, &last)) {
		find(
		    c, "profile-tputs-unit",
		    "tputs grows from %g to %g while outputs grow from %g to %g tokens (input %g), "
		    "which requests per second cannot do; it probably is in tokens per second",
		    doc->tputs[first], doc->tputs[last], output_of(doc, first),
		    output_of(doc, last), input_of(doc, first));
		return true;
	}
	if (!requests_held(doc, &median, &most))
		return true;
	if (per_token > PER_TOKEN_MAX) {
		find(c, "profile-e2e-unit",
		     "e2e is %g s per output token at best; it probably is in milliseconds, and "
		     "must "
		     "be in seconds",
		     per_token);
		return false;
	}
	if (median > HELD_MAX || most > HELD_CELL_MAX)
		find(
		    c, "profile-load",
		    "tputs x e2e says that one server holds %.0f requests at once (median; at most "
		    "%.0f), which none does; tputs is probably per minute or in tokens, not in "
		    "requests per second, or e2e in milliseconds, not in seconds",
		    median, most);
	else if (median < HELD_MIN)
		find(
		    c, "profile-load",
		    "tputs x e2e says that one server holds %.3g requests at once (median), though "
		    "each can hold one; e2e is probably not in seconds, or tputs not in requests "
		    "per "
		    "second",
		    median);
	return true;
}

/* Axes */

/* Sizes that are told apart double from one to the next, or nearly so; their logarithms go on in
 * equal small steps. */
static bool is_log2(const double *axis, size_t n)
{
	double step = n >= 3 ? axis[1] - axis[0] : LOG2_STEP_MAX + 1;

	for (size_t i = 2; i < n; i++)
		if (fabs(axis[i] - axis[i - 1] - step) > 1e-6)
			return false;
	return step <= LOG2_STEP_MAX && axis[n - 1] <= LOG2_MAX;
}

/* False: it is in no tokens. */
static bool check_axis(struct check *c, const char *which, const double *axis, size_t n)
{
	if (!is_log2(axis, n))
		return true;
	find(c, "profile-indexes-unit",
	     "indexes of %s go from %g to %g in equal steps of %g; they probably are log2 of "
	     "tokens, and must be tokens",
	     which, axis[0], axis[n - 1], axis[1] - axis[0]);
	return false;
}

/* Seconds of a server for one more token, the median of all neighbours; NAN: too few tell. */
static double token_cost(const struct slo_profile_doc *doc, bool output)
{
	size_t next = output ? doc->cols : 1, last = (output ? doc->rows : doc->cols) - 1, n = 0;
	const double *axis = output ? doc->output_axis : doc->input_axis;
	double *cost = malloc(cells(doc) * sizeof(*cost)), median = NAN;

	for (size_t i = 0; cost && i < cells(doc); i++) {
		size_t at = output ? i / doc->cols : i % doc->cols;

		if (at == last || !(doc->tputs[i] > 0) || !(doc->tputs[i + next] > 0))
			continue;
		cost[n] =
		    (1 / doc->tputs[i + next] - 1 / doc->tputs[i]) / (axis[at + 1] - axis[at]);
		n += isfinite(cost[n]) != 0;
	}
	if (n >= NEIGHBOURS_MIN) {
		qsort(cost, n, sizeof(*cost), by_value);
		median = cost[n / 2];
	}
	free(cost);
	return median;
}

/* A token of an answer costs some ten times what one of a prompt does: of a profile whose axes are
 * swapped it is the other way round. */
static void check_axes(struct check *c)
{
	const struct slo_profile_doc *doc = c->doc;
	bool good = check_axis(c, "outputs", doc->output_axis, doc->rows);
	double output, input;

	good &= check_axis(c, "inputs", doc->input_axis, doc->cols);
	if (!good)
		return;
	output = token_cost(doc, true);
	input = token_cost(doc, false);
	if (output > 0 && input > SWAPPED * output)
		find(c, "profile-axes-swapped",
		     "by tputs a token of a prompt costs %.3g times what one of an answer does; "
		     "rows "
		     "are probably by input and columns by output, and must be the other way round",
		     input / output);
}

/* The mean that a target is for, in seconds per what the target is per; NAN: unknown. */
static double mean_e2e(const struct slo_profile_doc *doc, size_t i)
{
	return doc->e2e ? doc->e2e[i] : NAN;
}

static double mean_ttft(const struct slo_profile_doc *doc, size_t i)
{
	return doc->ttft ? doc->ttft[i] : NAN;
}

static double mean_tpot(const struct slo_profile_doc *doc, size_t i)
{
	double ttft = doc->ttft ? doc->ttft[i] : doc->slo_ttft;

	return doc->tpot ? doc->tpot[i] : (mean_e2e(doc, i) - ttft) / output_of(doc, i);
}

static double mean_tpat(const struct slo_profile_doc *doc, size_t i)
{
	return mean_e2e(doc, i) / (output_of(doc, i) + input_of(doc, i));
}

/* How a target compares with the means of the cells that are said to meet it. */
struct comparison {
	size_t cells, beyond;
	size_t worst; /* the cell with the largest mean, measured by its target */
	double ratio; /* of that mean to the target */
};

static struct comparison compare(const struct slo_profile_doc *doc, double target,
                                 double (*mean)(const struct slo_profile_doc *, size_t))
{
	struct comparison r = { .ratio = 0 };

	for (size_t i = 0; i < cells(doc); i++) {
		double ratio = mean(doc, i) / target;

		if (!(doc->tputs[i] > 0) || isnan(ratio))
			continue;
		r.cells++;
		r.beyond += ratio > BEYOND;
		if (ratio > r.ratio) {
			r.ratio = ratio;
			r.worst = i;
		}
	}
	return r;
}

/* Throughput above 0 says that the cell meets the target, so its mean cannot be beyond it. */
static void check_target(struct check *c, const char *name, double target,
                         double (*mean)(const struct slo_profile_doc *, size_t))
{
	const struct slo_profile_doc *doc = c->doc;
	struct comparison r;

	if (!(target > 0))
		return;
	r = compare(doc, target, mean);
	if (r.beyond > 0)
		find(c, "profile-target-missed",
		     "slos.%s is %g s, but the mean is beyond it in %zu of %zu cells that have "
		     "throughput (%g s at output %g, input %g)%s",
		     name, target, r.beyond, r.cells, r.ratio * target, output_of(doc, r.worst),
		     input_of(doc, r.worst),
		     r.ratio > UNIT
		         ? "; the target is probably in another unit, and must be in seconds"
		         : "; tputs was probably measured for another target");
	else if (r.cells > 0 && r.ratio > 0 && r.ratio * SLACK_MAX < 1)
		find(
		    c, "profile-target-slack",
		    "slos.%s is %g s, more than %g times the mean of every cell; it probably is in "
		    "milliseconds, and must be in seconds",
		    name, target, SLACK_MAX);
}

/* The first token comes before the last. */
static void check_ttft(struct check *c)
{
	const struct slo_profile_doc *doc = c->doc;
	size_t beyond = 0, first = 0;

	for (size_t i = 0; doc->ttft && doc->e2e && i < cells(doc); i++) {
		if (!(doc->ttft[i] > doc->e2e[i] * BEYOND))
			continue;
		first = beyond++ ? first : i;
	}
	if (beyond > 0)
		find(c, "profile-ttft-unit",
		     "ttft is larger than e2e in %zu cells (%g s and %g s at output %g, input %g); "
		     "one "
		     "of both is probably in another unit",
		     beyond, doc->ttft[first], doc->e2e[first], output_of(doc, first),
		     input_of(doc, first));
}

static void check_throughput(struct check *c)
{
	for (size_t i = 0; i < cells(c->doc); i++)
		if (c->doc->tputs[i] > 0)
			return;
	find(c, "profile-no-throughput",
	     "tputs is 0 in all cells: no request can meet its target on these servers");
}

size_t profile_check(const struct slo_profile_doc *doc, bool promised,
                     struct profile_finding out[PROFILE_FINDINGS_MAX])
{
	struct check c = { .doc = doc, .out = out };

	check_names(&c);
	check_percentile(&c);
	check_tables(&c, promised);
	check_throughput(&c);
	if (check_units(&c)) {
		check_target(&c, "e2e", doc->slo_e2e, mean_e2e);
		check_target(&c, "ttft", doc->slo_ttft, mean_ttft);
		check_target(&c, "tpot", doc->slo_tpot, mean_tpot);
		check_target(&c, "tpat", doc->slo_tpat, mean_tpat);
	}
	check_ttft(&c);
	check_axes(&c);
	return c.count;
}
