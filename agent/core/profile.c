#include "core/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/bounds.h"
#include "core/sizes.h"

/* Longer spans are cut to this, so that a sum of four of them fits in a slo_nsec. */
#define SPAN_MAX INT64_C(1000000000000000000)
#define NO_DATA  SLO_NEVER

#define TOKEN_BITS 63 /* of a count of tokens */

struct cell {
	slo_nsec e2e, ttft; /* NO_DATA when unknown */
	slo_load load;
	bool infeasible;
};

/* border[i] is the smallest token count of cell i + 1. */
struct axis {
	size_t borders;
	int64_t *border;
	int64_t *index;                 /* the size that each cell was measured at, in tokens */
	uint32_t below[TOKEN_BITS + 2]; /* borders that have less bits than so many */
};

struct profile {
	struct axis output, input;
	struct goal goal;
	double created, cost;
	size_t cells, no_data, zero_cells;
	struct cell cell[]; /* row-major: output, then input */
};

static slo_nsec span(double seconds)
{
	double ns = seconds * 1e9;
	slo_nsec whole;

	if (!(ns > 0)) /* NaN too */
		return 0;
	if (ns >= (double)SPAN_MAX)
		return SPAN_MAX;
	whole = (slo_nsec)ns; /* llround() is a call, and takes what is negative, too */
	return whole + (ns - (double)whole >= 0.5);
}

static slo_nsec table_span(const double *table, size_t i)
{
	return table && isfinite(table[i]) ? span(table[i]) : NO_DATA;
}

/* c = (1/tput)/e2e, rounded down. */
static slo_load weight(double tput, double e2e)
{
	double load;

	if (!(tput > 0) || !(e2e > 0) || !isfinite(tput) || !isfinite(e2e))
		return 0;
	load = (double)SLO_LOAD_ONE / (tput * e2e);
	return load >= (double)SLO_LOAD_MAX ? SLO_LOAD_MAX : (slo_load)load;
}

/* The nearer of two indexes a < b in log2 space, a tie going up: t belongs to b when
 * log2 t - log2 a >= log2 b - log2 t, that is t * t >= a * b. */
static int64_t border_between(double a, double b)
{
	double product = a * b;
	double t = ceil(sqrt(product));

	if (!(t < (double)SLO_TOKENS_MAX))
		return INT64_MAX; /* no request is that large */
	while (t > 1 && (t - 1) * (t - 1) >= product)
		t -= 1;
	while (t * t < product)
		t += 1;
	return (int64_t)t;
}

static unsigned bits_of(int64_t tokens)
{
	return tokens > 0 ? 64 - (unsigned)__builtin_clzll((uint64_t)tokens) : 0;
}

static void axis_index(struct axis *x)
{
	size_t n = 0;

	for (unsigned bits = 0; bits < TOKEN_BITS + 2; bits++) {
		while (n < x->borders && bits_of(x->border[n]) < bits)
			n++;
		x->below[bits] = (uint32_t)n;
	}
}

static bool axis_init(struct axis *x, const double *index, size_t n)
{
	x->borders = n - 1;
	x->border = calloc(n, sizeof(*x->border)); /* n, not n - 1: never 0 bytes */
	x->index = calloc(n, sizeof(*x->index));
	if (!x->border || !x->index)
		return false;
	for (size_t i = 0; i < n; i++)
		x->index[i] =
		    index[i] < (double)SLO_TOKENS_MAX ? (int64_t)ceil(index[i]) : SLO_TOKENS_MAX;
	for (size_t i = 0; i + 1 < n; i++)
		x->border[i] = border_between(index[i], index[i + 1]);
	axis_index(x);
	return true;
}

static size_t axis_cell(const struct axis *x, int64_t tokens)
{
	const uint32_t *below = &x->below[bits_of(tokens)];
	const int64_t *first = x->border + below[0];

	/* The first border above tokens is at first[0..n]. No branch depends on it. */
	for (size_t n = below[1] - below[0], half; n > 0; n -= half) {
		half = (n + 1) / 2;
		first += first[half - 1] <= tokens ? half : 0;
	}
	return (size_t)(first - x->border);
}

struct goal goal_make(double tpot, double ttft, double tpat, double e2e)
{
	struct goal g = { .tpat = tpat > 0 ? tpat : 0, .e2e = e2e > 0 ? e2e : 0 };

	if (tpot > 0) {
		g.kind = GOAL_TPOT;
		g.per_token = tpot;
		g.fixed = ttft > 0 ? ttft : 0;
	} else if (ttft > 0) {
		g.kind = GOAL_TTFT;
		g.fixed = ttft;
	} else if (tpat > 0) {
		g.kind = GOAL_TPAT;
		g.per_token = tpat;
		g.tpat = 0;
	} else if (e2e > 0) {
		g.kind = GOAL_E2E;
		g.fixed = e2e;
		g.e2e = 0;
	}
	return g;
}

const char *goal_name(enum goal_kind k)
{
	static const char *const names[] = { "", "tpot", "ttft", "tpat", "e2e" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == GOAL_KINDS, "a name for each");
	return names[k];
}

/* Seconds of "50ms", "0.05s" or "0.05"; NAN: it is no time. */
static double seconds(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || !(v > 0) || !(v < 1e6))
		return NAN;
	if (strcmp(end, "ms") == 0)
		return v / 1e3;
	return *end == '\0' || strcmp(end, "s") == 0 ? v : NAN;
}

bool goal_read(const char *text, double target[GOAL_KINDS])
{
	const char *equals = strchr(text, '=');
	double v = equals ? seconds(equals + 1) : NAN;

	for (int k = GOAL_NONE + 1; !isnan(v) && k < GOAL_KINDS; k++) {
		const char *name = goal_name((enum goal_kind)k);

		if (strlen(name) != (size_t)(equals - text) ||
		    strncmp(name, text, strlen(name)) != 0)
			continue;
		target[k] = v;
		return true;
	}
	return false;
}

/* A number that goes into a goal. */
static bool real_sane(double v)
{
	return isfinite(v) && v >= 0;
}

bool goal_is_sane(const struct goal *g)
{
	return g->kind >= GOAL_NONE && g->kind < GOAL_KINDS && real_sane(g->per_token) &&
	       real_sane(g->fixed) && real_sane(g->tpat) && real_sane(g->e2e);
}

struct profile *profile_new(const struct slo_profile_doc *doc)
{
	size_t cells = doc->rows * doc->cols;
	struct profile *p;

	if (cells == 0)
		return NULL;
	p = calloc(1, sizeof(*p) + cells * sizeof(p->cell[0]));
	if (!p)
		return NULL;
	if (!axis_init(&p->output, doc->output_axis, doc->rows) ||
	    !axis_init(&p->input, doc->input_axis, doc->cols)) {
		profile_free(p);
		return NULL;
	}
	p->goal = goal_make(doc->slo_tpot, doc->slo_ttft, doc->slo_tpat, doc->slo_e2e);
	p->created = doc->created;
	p->cost = doc->cost;
	p->no_data = doc->no_data;
	p->cells = cells;
	for (size_t i = 0; i < cells; i++) {
		p->cell[i].e2e = table_span(doc->e2e, i);
		p->cell[i].ttft = table_span(doc->ttft, i);
		p->cell[i].load = weight(doc->tputs[i], doc->e2e ? doc->e2e[i] : 0);
		p->cell[i].infeasible = !(doc->tputs[i] > 0);
		p->zero_cells += p->cell[i].infeasible;
	}
	return p;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	free(p->output.border);
	free(p->output.index);
	free(p->input.border);
	free(p->input.index);
	free(p);
}

double profile_created(const struct profile *p)
{
	return p->created;
}

double profile_cost(const struct profile *p)
{
	return p->cost;
}

size_t profile_cells(const struct profile *p)
{
	return p->cells;
}

size_t profile_no_data(const struct profile *p)
{
	return p->no_data;
}

size_t profile_zero_cells(const struct profile *p)
{
	return p->zero_cells;
}

size_t profile_cell(const struct profile *p, int64_t input, int64_t output)
{
	return axis_cell(&p->output, output) * (p->input.borders + 1) + axis_cell(&p->input, input);
}

/* Above four times its last border; sizes are mostly twice each other. */
static bool is_beyond(const struct axis *x, int64_t tokens)
{
	return x->borders > 0 && tokens / 4 > x->border[x->borders - 1];
}

bool profile_beyond(const struct profile *p, int64_t input, int64_t output)
{
	return is_beyond(&p->input, input) || is_beyond(&p->output, output);
}

static bool is_below(const struct axis *x, int64_t tokens)
{
	return x->borders > 0 && tokens * 4 < x->border[0];
}

bool profile_below(const struct profile *p, int64_t input, int64_t output)
{
	return is_below(&p->input, input) || is_below(&p->output, output);
}

const struct goal *profile_target(const struct profile *p)
{
	return &p->goal;
}

struct goal profile_goal(const struct profile *p, const struct slo_target *own)
{
	if (own->tpot > 0 || own->ttft > 0 || own->e2e > 0)
		return goal_make((double)own->tpot / 1e9, (double)own->ttft / 1e9, 0,
		                 (double)own->e2e / 1e9);
	return p ? p->goal : goal_make(0, 0, 0, 0);
}

slo_nsec goal_span(const struct goal *g, int64_t input, int64_t output)
{
	switch (g->kind) {
	case GOAL_TPOT:
		return span(g->per_token * (double)output + g->fixed);
	case GOAL_TPAT:
		return span(g->per_token * (double)(input + output));
	case GOAL_TTFT:
	case GOAL_E2E:
		return span(g->fixed);
	case GOAL_NONE:
		break;
	}
	return 0;
}

struct goal goal_part(const struct goal *g, enum goal_kind kind)
{
	struct goal none = { .kind = GOAL_NONE };

	if (kind == g->kind)
		return (struct goal){ .kind = kind, .per_token = g->per_token, .fixed = g->fixed };
	if (kind == GOAL_TTFT && g->kind == GOAL_TPOT && g->fixed > 0)
		return (struct goal){ .kind = kind, .fixed = g->fixed };
	if (kind == GOAL_TPAT && g->tpat > 0)
		return (struct goal){ .kind = kind, .per_token = g->tpat };
	if (kind == GOAL_E2E && g->e2e > 0)
		return (struct goal){ .kind = kind, .fixed = g->e2e };
	return none;
}

unsigned goal_missed(const struct goal *g, int64_t input, int64_t output, slo_nsec e2e,
                     slo_nsec ttft)
{
	unsigned missed = 0;

	for (int k = GOAL_TPOT; k < GOAL_KINDS; k++) {
		struct goal part = goal_part(g, (enum goal_kind)k);
		slo_nsec took = k == GOAL_TTFT ? ttft : e2e;

		if (part.kind != GOAL_NONE && took > goal_span(&part, input, output))
			missed |= 1u << k;
	}
	return missed;
}

bool profile_rank(const struct profile *p, size_t cell, const struct goal *g, slo_nsec span,
                  slo_nsec *rank)
{
	const struct cell *c = &p->cell[cell];
	slo_nsec expected = g->kind == GOAL_TTFT ? c->ttft : c->e2e;

	if (g->kind == GOAL_NONE || expected == NO_DATA)
		return false;
	*rank = expected - span;
	return true;
}

bool profile_infeasible(const struct profile *p, size_t cell)
{
	return p->cell[cell].infeasible;
}

double profile_e2e(const struct profile *p, size_t cell)
{
	return p->cell[cell].e2e == NO_DATA ? 0 : (double)p->cell[cell].e2e / 1e9;
}

slo_load profile_load(const struct profile *p, size_t cell)
{
	return p->cell[cell].load;
}

bool profile_point(const struct profile *p, size_t cell, struct latency_point *out)
{
	const struct cell *c = &p->cell[cell];
	size_t cols = p->input.borders + 1, row = cell / cols;

	if (c->infeasible || c->e2e == NO_DATA || c->e2e <= 0 || c->load == 0)
		return false;
	out->output = (double)p->output.index[row];
	out->input = (double)p->input.index[cell % cols];
	out->at_once = 1 / load_to_double(c->load);
	out->e2e = (double)c->e2e / 1e9;
	out->ttft = c->ttft == NO_DATA ? -1 : (double)c->ttft / 1e9;
	return true;
}

/* FNV-1a. */
static void digest_add(uint64_t *digest, int64_t v)
{
	for (int i = 0; i < 64; i += 8)
		*digest = (*digest ^ ((uint64_t)v >> i & 0xff)) * UINT64_C(0x100000001b3);
}

static void digest_axis(uint64_t *digest, const struct axis *x)
{
	digest_add(digest, (int64_t)x->borders);
	for (size_t i = 0; i <= x->borders; i++)
		digest_add(digest, x->index[i]);
}

uint64_t profile_digest(const struct profile *p)
{
	uint64_t digest = UINT64_C(0xcbf29ce484222325);

	digest_axis(&digest, &p->output);
	digest_axis(&digest, &p->input);
	for (size_t i = 0; i < p->cells; i++) {
		digest_add(&digest, p->cell[i].e2e);
		digest_add(&digest, p->cell[i].ttft);
		digest_add(&digest, (int64_t)p->cell[i].load);
		digest_add(&digest, p->cell[i].infeasible);
	}
	return digest ? digest : 1;
}

#define CELL_NUMBERS 4

bool profile_to_event(const struct profile *p, struct slo_event *e)
{
	size_t borders = p->output.borders + p->input.borders;
	size_t indexes = borders + 2;
	int64_t *list = calloc(1 + borders + CELL_NUMBERS * p->cells + indexes, sizeof(*list));
	int64_t *at = list;

	if (!list)
		return false;
	e->real[0] = p->created;
	e->real[1] = p->cost;
	e->real[2] = p->goal.per_token;
	e->real[3] = p->goal.fixed;
	e->order = p->output.borders;
	e->count = (int64_t)p->input.borders;
	*at++ = (int64_t)p->goal.kind;
	for (size_t i = 0; i < p->output.borders; i++)
		*at++ = p->output.border[i];
	for (size_t i = 0; i < p->input.borders; i++)
		*at++ = p->input.border[i];
	for (size_t i = 0; i < p->cells; i++) {
		*at++ = p->cell[i].e2e;
		*at++ = p->cell[i].ttft;
		*at++ = (int64_t)p->cell[i].load;
		*at++ = p->cell[i].infeasible;
	}
	for (size_t i = 0; i <= p->output.borders; i++)
		*at++ = p->output.index[i];
	for (size_t i = 0; i <= p->input.borders; i++)
		*at++ = p->input.index[i];
	e->list = list;
	e->list_n = (size_t)(at - list);
	return true;
}

static bool span_sane(int64_t v)
{
	return v == NO_DATA || (v >= 0 && v <= SPAN_MAX);
}

static bool cell_of(const int64_t *v, struct cell *out)
{
	*out = (struct cell){ v[0], v[1], (slo_load)v[2], v[3] != 0 };
	return span_sane(v[0]) && span_sane(v[1]) && v[2] >= 0 && out->load <= SLO_LOAD_MAX;
}

#define CELLS_END(rows, cols) (1 + (rows) + (cols)-2 + CELL_NUMBERS * (rows) * (cols))

/* Older recordings have none. */
static bool has_indexes(const struct slo_event *e)
{
	uint64_t rows = e->order + 1, cols = (uint64_t)e->count + 1;

	return e->list_n == CELLS_END(rows, cols) + rows + cols;
}

static bool shape_sane(const struct slo_event *e)
{
	uint64_t n = e->list_n, rows = e->order + 1, cols;

	if (e->count < 0 || e->order >= n || (uint64_t)e->count >= n)
		return false;
	cols = (uint64_t)e->count + 1;
	if (cols > n / rows) /* or the product might overflow */
		return false;
	return (n == CELLS_END(rows, cols) || has_indexes(e)) && e->list[0] >= GOAL_NONE &&
	       e->list[0] <= GOAL_E2E && real_sane(e->real[2]) && real_sane(e->real[3]);
}

/* About: as far from the one border as from the other. */
static int64_t index_between(const int64_t *border, size_t borders, size_t i)
{
	double first, second;

	if (borders == 0)
		return 1;
	first = i > 0 ? (double)border[i - 1] : (double)border[0] / 2;
	second = i < borders ? (double)border[i] : (double)border[i - 1] * 2;
	return (int64_t)at_most(sqrt(first * second), SLO_TOKENS_MAX);
}

static bool axis_of(struct axis *x, const int64_t *border, size_t borders, const int64_t *index)
{
	x->borders = borders;
	x->border = calloc(borders + 1, sizeof(*x->border));
	x->index = calloc(borders + 1, sizeof(*x->index));
	if (!x->border || !x->index)
		return false;
	for (size_t i = 0; i < borders; i++)
		x->border[i] = border[i];
	for (size_t i = 0; i <= borders; i++) {
		x->index[i] = index ? index[i] : index_between(border, borders, i);
		if (x->index[i] < 1 || x->index[i] > SLO_TOKENS_MAX)
			x->index[i] = 1;
	}
	axis_index(x);
	return true;
}

slo_err profile_from_event(const struct slo_event *e, struct profile **out)
{
	size_t rows = (size_t)e->order + 1, cols = (size_t)e->count + 1;
	const int64_t *at = e->list, *index = NULL;
	struct profile *p;
	bool good = true;

	if (!shape_sane(e))
		return SLO_EINVAL;
	p = calloc(1, sizeof(*p) + rows * cols * sizeof(p->cell[0]));
	if (!p)
		return SLO_ENOMEM;
	if (has_indexes(e))
		index = at + CELLS_END(rows, cols);
	if (!axis_of(&p->output, at + 1, rows - 1, index) ||
	    !axis_of(&p->input, at + rows, cols - 1, index ? index + rows : NULL)) {
		profile_free(p);
		return SLO_ENOMEM;
	}
	p->goal = (struct goal){ .kind = (enum goal_kind)at[0],
		                 .per_token = e->real[2],
		                 .fixed = e->real[3] };
	p->created = e->real[0];
	p->cost = e->real[1];
	p->cells = rows * cols;
	at += rows + cols - 1;
	for (size_t i = 0; i < p->cells; i++, at += CELL_NUMBERS) {
		good &= cell_of(at, &p->cell[i]);
		p->zero_cells += p->cell[i].infeasible;
	}
	if (!good) {
		profile_free(p);
		return SLO_EINVAL;
	}
	*out = p;
	return SLO_OK;
}
