#include "cells.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/profdoc.h"

#define AXIS_MAX PROFILE_AXIS_MAX

struct axis {
	double v[AXIS_MAX];
	size_t n;
};

/* Axes */

static void range_of(const struct bench_series *s, bool output, double *least, double *most)
{
	*least = INFINITY;
	*most = 0;
	for (size_t i = 0; i < s->count; i++) {
		double v = output ? s->point[i].output : s->point[i].input;

		*least = fmin(*least, v);
		*most = fmax(*most, v);
	}
}

static bool near_enough(double v, double least, double most)
{
	return v >= least / 2.0001 && v <= most * 2.0001;
}

static void axis_add(struct axis *a, double v)
{
	size_t at = 0;

	while (at < a->n && a->v[at] < v)
		at++;
	if (a->n == AXIS_MAX || (at < a->n && a->v[at] == v))
		return;
	memmove(a->v + at + 1, a->v + at, (a->n - at) * sizeof(*a->v));
	a->v[at] = v;
	a->n++;
}

/* The profile's own indexes, or powers of two. */
static struct axis axis_make(const struct bench_series *s, bool output, size_t *dropped)
{
	const struct slo_profile_doc *doc = s->profile;
	const double *given = !doc ? NULL : output ? doc->output_axis : doc->input_axis;
	size_t n = !doc ? 0 : output ? doc->rows : doc->cols;
	struct axis a = { .n = 0 };
	double least, most;

	range_of(s, output, &least, &most);
	for (size_t i = 0; i < n; i++) {
		if (near_enough(given[i], least, most))
			axis_add(&a, given[i]);
		else
			(*dropped)++;
	}
	for (int k = 0; k < 31 && !doc; k++)
		if (near_enough(ldexp(1, k), least, most))
			axis_add(&a, ldexp(1, k));
	return a;
}

/* Whether a size belongs to the index: the nearest in log2, as profile_cell() has it. */
static bool belongs(const struct axis *a, size_t i, double v)
{
	return (i == 0 || v * v >= a->v[i - 1] * a->v[i]) &&
	       (i + 1 == a->n || v * v < a->v[i] * a->v[i + 1]);
}

/* Cells */

struct maker {
	const struct bench_series *s;
	const struct bench_fit *fit;
	struct goal goal;
	bool keep; /* the cells of a profile hold for the goal */
	struct axis output, input;
	struct slo_profile_doc *doc;
	struct cells_count *count;
};

/* What points weigh in a cell at a distance of d octaves: 1 / (NEAR + d * d), beside the fit alone.
 */
#define NEAR       0.1
#define FIT_WEIGHT 0.5

/* Actual / predicted of the points nearby, weighted geometric mean. Tells whether one of them is in
 * the cell itself. */
static double factor_of(const struct maker *m, size_t row, size_t col, bool *measured)
{
	double sum = 0, all = FIT_WEIGHT, kv = m->fit->rates.kv_told ? m->fit->rates.kv : 0;

	*measured = false;
	for (size_t i = 0; i < m->s->count; i++) {
		const struct bench_point *p = &m->s->point[i];
		double rows = log2(p->output / m->output.v[row]);
		double cols = log2(p->input / m->input.v[col]);
		double weight = 1 / (NEAR + rows * rows + cols * cols);

		if (!bench_usable(p, kv))
			continue;
		sum += weight * log(p->e2e / bench_predict(&m->fit->rates, p));
		all += weight;
		*measured |=
		    belongs(&m->output, row, p->output) && belongs(&m->input, col, p->input);
	}
	return exp(sum / all);
}

/* The tightest of the targets, for a request of that size. */
static struct latency_target target_of(const struct goal *goal, int64_t input, int64_t output)
{
	struct latency_target t = { 0 };

	for (int k = GOAL_NONE + 1; k < GOAL_KINDS; k++) {
		struct goal part = goal_part(goal, (enum goal_kind)k);
		double span = (double)goal_span(&part, input, output) / 1e9;

		if (part.kind == GOAL_NONE)
			continue;
		if (k == GOAL_TTFT)
			t.ttft = span;
		else
			t.e2e = t.e2e > 0 ? fmin(t.e2e, span) : span;
	}
	return t;
}

/* Beside cells that were measured: a larger request is never done more often than a smaller one. */
static double no_faster(const struct maker *m, size_t i, double tput)
{
	const double *tputs = m->doc->tputs;
	size_t cols = m->doc->cols;

	if (m->keep && i >= cols && tputs[i - cols] > 0)
		tput = fmin(tput, tputs[i - cols]);
	if (m->keep && cols > 0 && i % cols > 0 && tputs[i - 1] > 0)
		tput = fmin(tput, tputs[i - 1]);
	return tput;
}

static void make_cell(struct maker *m, size_t row, size_t col)
{
	int64_t input = llround(m->input.v[col]), output = llround(m->output.v[row]);
	const struct latency_target target = target_of(&m->goal, input, output);
	bool measured;
	double factor = factor_of(m, row, col, &measured), ttft;
	struct latency_rates rates = m->fit->rates;
	size_t i = row * m->doc->cols + col;
	struct latency_cell c;

	rates.step *= factor;
	rates.prompt *= factor;
	rates.cached *= factor;
	c = latency_cell(&rates, input, output, &target);
	if ((target.e2e > 0 && c.own + c.others > target.e2e) ||
	    (target.ttft > 0 && c.first > target.ttft))
		m->count->alone++;
	else
		m->doc->tputs[i] = no_faster(m, i, c.at_once / c.e2e);
	ttft = fmin(c.ttft, c.e2e);
	m->doc->e2e[i] = c.e2e;
	m->doc->ttft[i] = ttft;
	m->doc->tpot[i] = (c.e2e - ttft) / (double)output;
	m->count->measured += measured;
	m->count->filled += !measured;
}

static size_t find(const double *axis, size_t n, double v)
{
	size_t i = 0;

	while (i < n && axis[i] != v)
		i++;
	return i;
}

/* Takes a cell of the profile over. False: it has no data, or was for another target. */
static bool keep_cell(struct maker *m, size_t row, size_t col)
{
	const struct slo_profile_doc *old = m->s->profile;
	size_t i = row * m->doc->cols + col, from;
	double e2e;

	if (!m->keep)
		return false;
	from = find(old->output_axis, old->rows, m->output.v[row]) * old->cols +
	       find(old->input_axis, old->cols, m->input.v[col]);
	e2e = old->e2e[from];
	if (!isfinite(e2e) || !(e2e > 0))
		return false;
	m->doc->tputs[i] = old->tputs[from];
	m->doc->e2e[i] = e2e;
	if (old->ttft && isfinite(old->ttft[from]))
		m->doc->ttft[i] = old->ttft[from];
	else
		m->doc->ttft[i] =
		    fmin(e2e, m->fit->rates.prompt * m->input.v[col] + m->fit->rates.step);
	if (old->tpot && isfinite(old->tpot[from]))
		m->doc->tpot[i] = old->tpot[from];
	else
		m->doc->tpot[i] = fmax(e2e - m->doc->ttft[i], 0) / m->output.v[row];
	m->count->kept++;
	m->count->measured++;
	return true;
}

static void set_targets(struct slo_profile_doc *doc, const struct maker *m)
{
	const struct slo_profile_doc *old = m->s->profile;
	const struct goal *g = &m->goal;

	doc->percentile = m->fit->tail_known ? 99 : NAN;
	if (m->keep) {
		doc->slo_e2e = old->slo_e2e;
		doc->slo_ttft = old->slo_ttft;
		doc->slo_tpot = old->slo_tpot;
		doc->slo_tpat = old->slo_tpat;
		doc->percentile = old->percentile;
		return;
	}
	doc->slo_e2e = g->kind == GOAL_E2E ? g->fixed : 0;
	doc->slo_ttft = g->kind == GOAL_TTFT ? g->fixed : 0;
	doc->slo_tpot = g->kind == GOAL_TPOT ? g->per_token : 0;
	doc->slo_tpat = g->kind == GOAL_TPAT ? g->per_token : 0;
}

/* The tables, of zeros. One block each, as profdoc_free() wants them. */
static struct slo_profile_doc *doc_new(const struct axis *output, const struct axis *input)
{
	struct slo_profile_doc *doc = calloc(1, sizeof(*doc));
	size_t cells = output->n * input->n;

	assert(output->n > 0 && input->n > 0); /* a point has a power of two near it */
	if (!doc)
		return NULL;
	doc->rows = output->n;
	doc->cols = input->n;
	doc->output_axis = calloc(output->n, sizeof(double));
	doc->input_axis = calloc(input->n, sizeof(double));
	doc->tputs = calloc(cells, sizeof(double));
	doc->e2e = calloc(cells, sizeof(double));
	doc->ttft = calloc(cells, sizeof(double));
	doc->tpot = calloc(cells, sizeof(double));
	if (!doc->output_axis || !doc->input_axis || !doc->tputs || !doc->e2e || !doc->ttft ||
	    !doc->tpot) {
		profdoc_free(doc);
		return NULL;
	}
	memcpy(doc->output_axis, output->v, output->n * sizeof(double));
	memcpy(doc->input_axis, input->v, input->n * sizeof(double));
	return doc;
}

struct slo_profile_doc *cells_make(const struct bench_series *s, const struct bench_fit *f,
                                   const struct goal *goal, struct cells_count *count)
{
	const struct slo_profile_doc *old = s->profile;
	struct maker m = { .s = s, .fit = f, .goal = *goal, .count = count };

	*count = (struct cells_count){ 0 };
	if (goal->kind == GOAL_NONE && old) {
		m.goal = goal_make(old->slo_tpot, old->slo_ttft, old->slo_tpat, old->slo_e2e);
		m.keep = true;
	}
	m.output = axis_make(s, true, &count->dropped);
	m.input = axis_make(s, false, &count->dropped);
	m.doc = doc_new(&m.output, &m.input);
	if (!m.doc)
		return NULL;
	for (size_t row = 0; row < m.output.n; row++)
		for (size_t col = 0; col < m.input.n; col++)
			if (!keep_cell(&m, row, col))
				make_cell(&m, row, col);
	set_targets(m.doc, &m);
	memcpy(m.doc->gpu, s->gpu, sizeof(m.doc->gpu));
	m.doc->cost = old ? old->cost : 0;
	return m.doc;
}

/* Text */

static void put_string(FILE *out, const char *s)
{
	putc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', out);
		if ((unsigned char)*s < 0x20)
			fprintf(out, "\\u%04x", (unsigned)*s);
		else
			putc(*s, out);
	}
	putc('"', out);
}

static void put_table(FILE *out, const struct slo_profile_doc *doc, const char *name,
                      const double *table)
{
	fprintf(out, " \"%s\": [\n", name);
	for (size_t row = 0; row < doc->rows; row++) {
		fputs("  [", out);
		for (size_t col = 0; col < doc->cols; col++)
			fprintf(out, "%s%.6g", col ? ", " : "", table[row * doc->cols + col]);
		fprintf(out, "]%s\n", row + 1 < doc->rows ? "," : "");
	}
	fputs(" ],\n", out);
}

static void put_axis(FILE *out, const double *v, size_t n)
{
	putc('[', out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%.15g", i ? ", " : "", v[i]);
	putc(']', out);
}

static void put_slos(FILE *out, const struct slo_profile_doc *doc)
{
	const struct {
		const char *name;
		double value;
	} list[] = {
		{ "percentile", isnan(doc->percentile) ? -1 : doc->percentile },
		{ "e2e", doc->slo_e2e > 0 ? doc->slo_e2e : -1 },
		{ "ttft", doc->slo_ttft > 0 ? doc->slo_ttft : -1 },
		{ "tpot", doc->slo_tpot > 0 ? doc->slo_tpot : -1 },
		{ "tpat", doc->slo_tpat > 0 ? doc->slo_tpat : -1 },
	};
	const char *comma = "";

	fputs(" \"slos\": {", out);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		if (list[i].value < 0)
			continue;
		fprintf(out, "%s\"%s\": %.12g", comma, list[i].name, list[i].value);
		comma = ", ";
	}
	putc('}', out);
}

/* Other tools pass it over. The names are those of a learned profile. */
static void put_fit(FILE *out, const struct bench_fit *fit)
{
	const struct latency_rates *r = &fit->rates;

	fprintf(out,
	        ",\n \"learned\": {\"step_seconds\": %.6g, \"prompt_seconds_per_token\": %.6g, "
	        "\"cached_seconds_per_token\": %.6g, \"kv_tokens\": %.15g, "
	        "\"kv_tokens_told\": %s, \"headroom\": %.4g, \"requests\": %zu, "
	        "\"error_p50\": %.4g}",
	        r->step, r->prompt, r->cached, floor(r->kv), r->kv_told ? "true" : "false",
	        r->headroom, fit->used, fit->error);
}

void cells_write(FILE *out, const struct slo_profile_doc *doc, const struct bench_fit *fit)
{
	fputs("{\n \"gpu\": ", out);
	put_string(out, doc->gpu);
	fprintf(out, ",\n \"cost\": %.12g,\n", doc->cost);
	put_table(out, doc, "tputs", doc->tputs);
	fputs(" \"indexes\": [", out);
	put_axis(out, doc->output_axis, doc->rows);
	fputs(", ", out);
	put_axis(out, doc->input_axis, doc->cols);
	fputs("],\n", out);
	put_table(out, doc, "e2e", doc->e2e);
	put_table(out, doc, "ttft", doc->ttft);
	put_table(out, doc, "tpot", doc->tpot);
	fprintf(out, " \"created\": %.1f,\n", doc->created);
	put_slos(out, doc);
	if (fit)
		put_fit(out, fit);
	fputs("\n}\n", out);
}
