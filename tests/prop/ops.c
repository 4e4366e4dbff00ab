/* ops.c - see ops.h. */
#include "ops.h"

#include <math.h>
#include <string.h>

#define MS   SLO_NSEC_PER_MSEC
/* Times are mostly multiples of this, so that moments coincide and seconds are exact doubles. */
#define GRID (SLO_NSEC_PER_SEC / 256)

/* xorshift64*: enough to stir with, and not the generator under test. */
static uint64_t draw(uint64_t *rng)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return *rng * UINT64_C(0x2545F4914F6CDD1D);
}

static unsigned below(uint64_t *rng, unsigned n)
{
	return (unsigned)((draw(rng) >> 33) % n);
}

static bool chance(uint64_t *rng, unsigned percent)
{
	return below(rng, 100) < percent;
}

static void seed_rng(uint64_t *rng, uint64_t seed)
{
	*rng = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
	for (int i = 0; i < 4; i++)
		draw(rng);
}

/* ---- profiles ---- */

static const double axis_value[] = { 0.5, 1,  2,  3,   4,   6,   8,   12,      16,
	                             32,  45, 64, 128, 181, 256, 512, 1048576, 1073741824 };
#define AXIS_VALUES (sizeof(axis_value) / sizeof(axis_value[0]))

static size_t build_axis(uint64_t *rng, double *axis)
{
	size_t want = 1 + below(rng, 4), n = 0;
	size_t i = below(rng, 8);

	while (n < want && i < AXIS_VALUES) {
		axis[n++] = axis_value[i];
		i += 1 + below(rng, 4);
	}
	return n;
}

/* Tables of a profile that knows every cell, in quarters or in tenths: sums of quarters are exact
 * as double, those of tenths are not. */
static void fill_tables(struct doc *doc, uint64_t *rng, size_t cells)
{
	unsigned unit = chance(rng, 65) ? 4 : 10;
	bool flat = chance(rng, 30);

	for (size_t i = 0; i < cells; i++) {
		doc->tputs[i] = (1.0 + below(rng, 3 * unit)) / unit;
		doc->e2e[i] = (1.0 + below(rng, 4 * unit)) / unit;
		if (flat) {
			doc->tputs[i] = doc->tputs[0];
			doc->e2e[i] = doc->e2e[0];
		}
		doc->ttft[i] = (1.0 + below(rng, 3 * unit)) / (4 * unit);
		doc->tpot[i] = (1.0 + below(rng, 3 * unit)) / (64 * unit);
	}
}

static void spoil_tables(struct doc *doc, uint64_t *rng, size_t cells)
{
	unsigned zero = chance(rng, 40) ? 0 : 25, none = chance(rng, 50) ? 0 : 25;
	unsigned extreme = chance(rng, 85) ? 0 : 30;

	for (size_t i = 0; i < cells; i++) {
		if (chance(rng, extreme)) {
			doc->tputs[i] = chance(rng, 50) ? 1.0 / 64 : 1048576.0;
			doc->e2e[i] = chance(rng, 50) ? 1.0 / 256 : 65536.0;
		}
		if (chance(rng, none))
			doc->e2e[i] = (double)NAN;
		if (chance(rng, none))
			doc->ttft[i] = (double)NAN;
		if (chance(rng, zero)) {
			doc->tputs[i] = 0;
			if (chance(rng, 20))
				doc->e2e[i] = 0;
		}
	}
}

static void set_targets(struct slo_profile_doc *h, uint64_t *rng)
{
	double unit = chance(rng, 65) ? 4 : 10;

	if (chance(rng, 75))
		h->slo_e2e = (1 + below(rng, 24)) / unit;
	if (chance(rng, 35))
		h->slo_ttft = (1 + below(rng, 16)) / (2 * unit);
	if (chance(rng, 25))
		h->slo_tpot = (1 + below(rng, 32)) / (128 * unit);
	if (chance(rng, 25))
		h->slo_tpat = (1 + below(rng, 16)) / (128 * unit);
}

void doc_build(struct doc *doc, uint64_t seed, double created)
{
	struct slo_profile_doc *h = &doc->head;
	bool tidy = seed & 1;
	uint64_t rng;

	seed_rng(&rng, seed);
	memset(doc, 0, sizeof(*doc));
	h->rows = build_axis(&rng, doc->output_axis);
	h->cols = build_axis(&rng, doc->input_axis);
	fill_tables(doc, &rng, h->rows * h->cols);
	if (!tidy)
		spoil_tables(doc, &rng, h->rows * h->cols);
	h->output_axis = doc->output_axis;
	h->input_axis = doc->input_axis;
	h->tputs = doc->tputs;
	h->e2e = tidy || chance(&rng, 92) ? doc->e2e : NULL;
	h->ttft = tidy || chance(&rng, 85) ? doc->ttft : NULL;
	h->tpot = chance(&rng, 50) ? doc->tpot : NULL;
	h->cost = 1;
	h->created = created;
	if (tidy || chance(&rng, 85))
		set_targets(h, &rng);
}

/* ---- the set-up of a seed ---- */

static int64_t any_size(uint64_t *rng)
{
	static const int64_t huge[] = { 1048576, 2147483646, 2147483647, 2147483648,
		                        INT64_C(1) << 40 };
	static const int64_t usual[] = { 0,  1,  2,  3,  4,   5,   6,   8,   11,  12,  16,  22,
		                         23, 32, 45, 64, 128, 181, 182, 256, 362, 512, 1000 };

	if (chance(rng, 3))
		return huge[below(rng, sizeof(huge) / sizeof(huge[0]))];
	return usual[below(rng, sizeof(usual) / sizeof(usual[0]))];
}

void conf_build(struct naive_conf *conf, uint64_t seed)
{
	static const size_t limit[] = { 0, 1, 2, 4, 8, 16, 100000, 100000, 100000, 100000 };
	static const slo_nsec timeout[] = { 125 * MS,  250 * MS,  500 * MS,   1000 * MS,
		                            2000 * MS, 5000 * MS, 30000 * MS, SLO_NEVER };
	static const slo_nsec remember[] = { 500 * MS, 2000 * MS, 60000 * MS, 3600000 * MS };
	static const size_t remembered[] = { 0, 2, 5, 1000000, 1000000, 1000000 };
	static const slo_nsec lease[] = { 1000 * MS, 5000 * MS, 60000 * MS,
		                          SLO_NEVER, SLO_NEVER, SLO_NEVER };
	uint64_t rng;

	seed_rng(&rng, seed);
	conf->fallback = chance(&rng, 70) ? NAIVE_LEAST_REQUEST : NAIVE_RANDOM;
	conf->late = (enum naive_late)below(&rng, NAIVE_LATES);
	conf->infeasible_fallback = chance(&rng, 40);
	conf->queue_limit = limit[below(&rng, 10)];
	conf->queue_timeout = timeout[below(&rng, 8)];
	conf->hold_most = 0;
	if (chance(&rng, 40)) /* not for ever: 2^53 ns are as far as doubles are exact */
		conf->hold_most = timeout[below(&rng, 7)];
	conf->remember = remember[below(&rng, 4)];
	conf->remember_limit = remembered[below(&rng, 6)];
	conf->lease = lease[below(&rng, 6)];
}

bool list_names(uint64_t seed, uint32_t id)
{
	uint64_t rng;

	seed_rng(&rng, seed ^ id);
	return chance(&rng, 75);
}

void order_build(unsigned name[NAIVE_DEPLOYMENTS], uint64_t seed)
{
	uint64_t rng;

	seed_rng(&rng, seed);
	for (unsigned i = 0; i < NAIVE_DEPLOYMENTS; i++) {
		unsigned at = below(&rng, i + 1);

		name[i] = name[at];
		name[at] = i;
	}
}

/* A deployment that has several shallow servers, and more than slo-adaptive weighs in any case. */
static void setup_large(struct setup *setup, uint64_t *rng)
{
	setup->servers = 8 + below(rng, NAIVE_SERVERS - 8 + 1);
	setup->models = 1 + below(rng, 2);
	for (unsigned m = 0; m < setup->models; m++)
		setup->deployments[m] = 1 + chance(rng, 30);
	setup->crowd *= 4;
	setup->large = setup->tidy = setup->adaptive = true;
	setup->pull_percent = 90;
	for (unsigned i = 0; i < SETUP_SIZES; i++)
		setup->size[i] = 1 + below(rng, 24);
}

void setup_init(struct setup *setup, uint64_t seed)
{
	static const size_t crowd[] = { 10, 20, 40, 40, 80 };
	uint64_t rng;

	seed_rng(&rng, seed ^ UINT64_C(0x5E7));
	memset(setup, 0, sizeof(*setup));
	setup->seed = seed;
	conf_build(&setup->conf, draw(&rng));
	setup->models = 1 + below(&rng, below(&rng, 2) ? NAIVE_MODELS : 2);
	for (unsigned m = 0; m < setup->models; m++)
		setup->deployments[m] = 1 + below(&rng, NAIVE_DEPLOYMENTS);
	setup->servers = 1 + below(&rng, 6);
	for (unsigned i = 0; i < SETUP_SIZES; i++)
		setup->size[i] = any_size(&rng);
	setup->pull_percent = 50 + below(&rng, 51);
	setup->busy = chance(&rng, 20);
	setup->adaptive = seed % 4 == 0;
	setup->tidy = chance(&rng, 60);
	setup->crowd = crowd[below(&rng, 5)];
	setup->cluster = chance(&rng, 50);
	setup->graded = chance(&rng, 50);
	if (seed % 8 == 4 || seed % 16 == 7)
		setup_large(setup, &rng);
}

/* ---- operations ---- */

void gen_init(struct gen *g, const struct setup *setup)
{
	*g = (struct gen){ .setup = setup };
	seed_rng(&g->rng, setup->seed);
}

static slo_nsec pass_time(struct gen *g, const struct naive *n)
{
	unsigned r = below(&g->rng, 100), m = below(&g->rng, g->setup->models);
	slo_nsec to = SLO_NEVER;

	if (r < 45)
		return g->t;
	if (r < 80)
		return (g->t / GRID + 1 + below(&g->rng, 16)) * GRID;
	if (r < 90)
		return (g->t / GRID + 32 * (slo_nsec)(1 + below(&g->rng, 4))) * GRID;
	if (r < 92)
		return g->t + 1 + below(&g->rng, 3);
	if (r < 95) { /* the edge of a timeout */
		to = naive_wakeup(n);
	} else if (r < 99 && naive_queued(n, m) > 0) { /* the edge of some slack */
		size_t k = below(&g->rng, (unsigned)naive_queued(n, m));

		to = naive_start(n, naive_queued_id(n, m, k), below(&g->rng, 3));
	}
	if (to == SLO_NEVER || to <= g->t || to - g->t > 20 * SLO_NSEC_PER_SEC)
		return r < 99 ? g->t : g->t + SLO_NSEC_PER_SEC * (1 + below(&g->rng, 100));
	return to - 1 + below(&g->rng, 3);
}

static void set_own_target(struct gen *g, struct op *op)
{
	static const slo_nsec e2e[] = { 125, 250, 500, 1000, 2000, 3000, 37, 10000 };
	static const slo_nsec ttft[] = { 50, 125, 250, 500 };
	static const slo_nsec tpot[] = { 1, 4, 8, 16, 37 };

	if (g->setup->large && chance(&g->rng, 85)) {
		op->own.e2e = SLO_NSEC_PER_SEC << below(&g->rng, 9);
		return;
	}
	if (chance(&g->rng, 60))
		op->own.e2e = e2e[below(&g->rng, 8)] * MS;
	if (chance(&g->rng, 30))
		op->own.ttft = ttft[below(&g->rng, 4)] * MS;
	if (chance(&g->rng, 20))
		op->own.tpot = tpot[below(&g->rng, 5)] * MS;
}

static enum naive_strategy some_strategy(struct gen *g)
{
	static const enum naive_strategy pull[] = { NAIVE_SLO, NAIVE_PULL, NAIVE_PACK,
		                                    NAIVE_ADAPTIVE, NAIVE_ADAPTIVE };
	static const enum naive_strategy other[] = { NAIVE_PUSH, NAIVE_PUSH, NAIVE_LEAST_REQUEST,
		                                     NAIVE_RANDOM };

	if (chance(&g->rng, g->setup->pull_percent))
		return g->setup->adaptive ? NAIVE_ADAPTIVE : pull[below(&g->rng, 5)];
	return other[below(&g->rng, 4)];
}

static int64_t some_size(struct gen *g)
{
	return chance(&g->rng, 85) ? g->setup->size[below(&g->rng, SETUP_SIZES)]
	                           : any_size(&g->rng);
}

static uint32_t old_id(struct gen *g)
{
	uint32_t back = 1 + below(&g->rng, chance(&g->rng, 50) ? 10 : 1000);

	return g->ids == 0 ? 0 : back > g->ids ? g->ids - 1 : g->ids - back;
}

static void gen_arrive(struct gen *g, struct op *op)
{
	static const int32_t priority[] = { -1, 1, 1, 2, INT32_MAX, INT32_MIN };
	slo_nsec shift = (slo_nsec)below(&g->rng, 32) * (SLO_NSEC_PER_SEC / 16);

	op->kind = OP_ARRIVE;
	op->model = below(&g->rng, g->setup->models);
	op->strategy = some_strategy(g);
	op->input = some_size(g);
	op->output = some_size(g);
	op->created = op->t;
	if (chance(&g->rng, 20))
		op->created += chance(&g->rng, 60) ? -shift : shift;
	if (chance(&g->rng, g->setup->large ? 80 : 15))
		set_own_target(g, op);
	if (g->setup->graded && chance(&g->rng, 40))
		op->priority = priority[below(&g->rng, 6)];
	op->id = chance(&g->rng, 5) ? old_id(g) : g->ids;
}

static void gen_end_dispatched(struct gen *g, const struct naive *n, struct op *op)
{
	uint32_t number = naive_dispatched_id(n, below(&g->rng, (unsigned)naive_dispatched(n)));

	op->id = naive_id(n, number);
	if (naive_owner(n, number) == 0 || chance(&g->rng, 30))
		return;
	op->kind = OP_FOREIGN_END;
	op->owner = naive_owner(n, number);
}

static void gen_repair(struct gen *g, struct op *op)
{
	static const enum op_kind kind[] = { OP_SURPLUS, OP_SURPLUS, OP_SURPLUS,
		                             OP_EXPIRE,  OP_EXPIRE,  OP_EXPIRE_DEPARTED };

	op->server = below(&g->rng, g->setup->servers);
	op->kind = chance(&g->rng, 8) ? OP_PROCESS : kind[below(&g->rng, 6)];
	op->count = below(&g->rng, 4);
	if (op->kind == OP_SURPLUS && chance(&g->rng, 3))
		op->count = UINT32_MAX;
	if (op->kind == OP_EXPIRE_DEPARTED)
		op->count = op->count * 500;
}

unsigned deal_present(uint64_t seed)
{
	return (unsigned)(seed % (1u << (NAIVE_OWNERS + 1)));
}

unsigned deal_place(uint64_t seed)
{
	return (unsigned)((seed >> 32) % (NAIVE_OWNERS + 1));
}

static void gen_foreign(struct gen *g, struct op *op)
{
	static const uint32_t apart[] = { 3, 50, 400, 3000 }, others[] = { 0, 1, 1, 3, 15 };
	unsigned r = below(&g->rng, 100);

	op->owner = 1 + below(&g->rng, NAIVE_OWNERS);
	op->id = chance(&g->rng, 70) ? g->ids : old_id(g);
	op->kind = OP_FOREIGN;
	if (r < 12)
		op->kind = OP_LIST;
	else if (r < 15)
		op->kind = OP_LIFE;
	else if (r < 19)
		op->kind = OP_VISIBLE;
	else if (r < 21)
		op->kind = OP_FORGET;
	else if (r >= 34 && r < 42)
		op->kind = OP_DEAL;
	else if (r >= 42 && r < 46)
		op->kind = OP_OTHERS;
	else if (r >= 46 && r < 60)
		op->kind = OP_HEARD;
	else if (r < 26)
		op->kind = OP_FOREIGN_END;
	else if (r < 29)
		op->kind = OP_PROCESS;
	op->up = chance(&g->rng, op->kind == OP_LIST ? 25 : 60);
	op->seed = op->kind == OP_LIST ? draw(&g->rng)
	                               : (1 + below(&g->rng, 20)) * (UINT64_C(1) << 32) / 16;
	op->model = below(&g->rng, NAIVE_MODELS + 1);
	op->server = below(&g->rng, g->setup->servers);
	op->strategy = some_strategy(g);
	op->count = chance(&g->rng, 60) ? below(&g->rng, 3) : below(&g->rng, 4000);
	if (r >= 29 && r < 34)
		gen_repair(g, op);
	if (op->kind == OP_OTHERS)
		op->count = others[below(&g->rng, 5)];
	if (op->kind == OP_HEARD)
		op->count = below(&g->rng, 2);
	if (op->kind == OP_DEAL) {
		op->seed = draw(&g->rng);
		op->count = apart[below(&g->rng, 4)];
	}
}

static void gen_end(struct gen *g, const struct naive *n, struct op *op)
{
	unsigned m = below(&g->rng, g->setup->models), r = below(&g->rng, 100);
	size_t queued = naive_queued(n, m), dispatched = naive_dispatched(n);

	op->kind = OP_END;
	if (r < 12 && queued > 0)
		op->id = naive_queued_id(n, m, below(&g->rng, (unsigned)queued));
	else if (r < 18)
		op->id = old_id(g);
	else if (r < 21)
		op->id = g->ids; /* before its arrival */
	else if (dispatched > 0)
		gen_end_dispatched(g, n, op);
	else
		gen_arrive(g, op);
	if (op->kind == OP_END && chance(&g->rng, 30))
		op->owner = 1 + below(&g->rng, g->setup->servers);
}

static void gen_profile(struct gen *g, struct op *op)
{
	op->kind = OP_PROFILE;
	op->model = below(&g->rng, g->setup->models);
	op->deployment = below(&g->rng, g->setup->deployments[op->model]);
	op->seed = draw(&g->rng) << 1 | (g->setup->tidy && !chance(&g->rng, 10));
	op->doc_created = floor((double)op->t / 1e9) + below(&g->rng, 4) - 1;
}

static void gen_unprofile(struct gen *g, struct op *op)
{
	op->kind = OP_UNPROFILE;
	op->model = below(&g->rng, g->setup->models);
	op->deployment = below(&g->rng, g->setup->deployments[op->model]);
}

static void gen_seat(struct gen *g, struct op *op)
{
	op->kind = OP_SEAT;
	op->model = below(&g->rng, g->setup->models);
	op->deployment = below(&g->rng, g->setup->deployments[op->model]);
	op->server = below(&g->rng, g->setup->servers);
}

/* A change of the fleet as a reload makes it. */
static void gen_change(struct gen *g, struct op *op)
{
	unsigned r = below(&g->rng, 100);

	gen_seat(g, op);
	if (r < 25)
		op->kind = OP_UNSEAT;
	else if (r < 40)
		op->kind = OP_LEAVE;
	else if (r < 75)
		op->kind = OP_MOVE;
	else if (r < 85)
		op->kind = OP_DROP;
	else if (r < 93)
		op->kind = OP_ORDER;
	else
		op->kind = OP_DROP_MODEL;
	if (op->kind == OP_ORDER)
		op->seed = draw(&g->rng);
	/* What went comes again, soon. */
	if (op->kind == OP_DROP_MODEL || op->kind == OP_DROP)
		g->preamble -= g->setup->large ? 40 : 6;
	else if (g->setup->large && op->kind != OP_MOVE && op->kind != OP_ORDER)
		g->preamble -= 4;
}

static void gen_ready(struct gen *g, const struct naive *n, struct op *op)
{
	op->kind = OP_READY;
	op->server = below(&g->rng, g->setup->servers);
	op->up = chance(&g->rng, naive_is_usable(n, op->server) && !g->setup->tidy ? 60 : 90);
}

/* Most of the fleet comes first, in any order; the rest later or never. */
static void gen_preamble(struct gen *g, const struct naive *n, struct op *op)
{
	unsigned r = below(&g->rng, 100);

	g->preamble++;
	if (r < 60)
		gen_seat(g, op);
	else if (r < 65)
		gen_ready(g, n, op);
	else
		gen_profile(g, op);
}

static size_t live(const struct naive *n)
{
	size_t count = naive_dispatched(n);

	for (unsigned m = 0; m < NAIVE_MODELS; m++)
		count += 2 * naive_queued(n, m);
	return count;
}

struct op gen_next(struct gen *g, const struct naive *n)
{
	struct op op = { .t = g->t };
	unsigned r = below(&g->rng, 1000);

	if (g->preamble < 8 + 4 * (g->setup->servers + g->setup->models)) {
		gen_preamble(g, n, &op);
		return op;
	}
	op.t = g->t = pass_time(g, n);
	op.busy = g->setup->busy && chance(&g->rng, 50);
	if (r < 900 && live(n) > g->setup->crowd)
		r = chance(&g->rng, 70) ? 899 : r;
	if (r < 490)
		gen_arrive(g, &op);
	else if (r < 510)
		gen_repair(g, &op);
	else if (r < 560 && g->setup->cluster)
		gen_foreign(g, &op);
	else if (r < 900)
		gen_end(g, n, &op);
	else if (r < 915)
		gen_profile(g, &op);
	else if (r < 922)
		gen_unprofile(g, &op);
	else if (r < 925)
		gen_seat(g, &op);
	else if (r < 937)
		gen_change(g, &op);
	else if (r < 960)
		gen_ready(g, n, &op);
	else if (r < 968)
		op.kind = OP_PASSED;
	else if (r < 978)
		op.kind = OP_TIME;
	else if (r < 980)
		op.kind = OP_CONFIG;
	else
		op.kind = OP_ABANDON;
	if (op.kind == OP_CONFIG)
		op.seed = draw(&g->rng);
	if (op.kind == OP_PASSED)
		op.id = chance(&g->rng, 50) ? g->ids : old_id(g);
	if (op.kind == OP_ABANDON) {
		unsigned m = below(&g->rng, g->setup->models);
		size_t queued = naive_queued(n, m);

		op.id = queued == 0 ? old_id(g)
		                    : naive_queued_id(n, m, below(&g->rng, (unsigned)queued));
	}
	/* What ended before it arrived may still arrive. */
	if (op.id == g->ids &&
	    (op.kind == OP_ARRIVE || op.kind == OP_FOREIGN || chance(&g->rng, 50)))
		g->ids++;
	return op;
}
