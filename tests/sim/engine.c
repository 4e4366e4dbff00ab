#include "engine.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GIB             (1024.0 * 1024.0 * 1024.0)
#define STEP_FIXED_SEC  2e-3
#define STEP_PER_SEQ    25e-6 /* seconds: sampling and bookkeeping */
#define USABLE_MEMORY   0.9
#define ENGINE_OVERHEAD (1.7 * GIB) /* bytes: activations, graphs, workspaces */
#define FP16            2.0
#define STEP_MOST       (INT64_C(1) << 60) /* ns: of one that becomes slower as it runs */

#define DEFAULT_SEQS           256
#define DEFAULT_PREFILL_BUDGET 15000
#define DEFAULT_CHUNKED_BUDGET 2048

#define NIL UINT32_MAX

const struct engine_gpu engine_gpus[] = {
	/* name, bytes/s, flops, GiB, weights, gemm, kv, cost */
	{ "a10", 600e9, 125e12, 22.5, 0.82, 0.64, 0.80, 0.577 },
	{ "l20", 864e9, 119.5e12, 45, 0.88, 0.90, 0.85, 1.0 },
	{ "l4", 300e9, 121e12, 22.5, 0.85, 0.45, 0.80, 0.40 },
	{ "a40", 696e9, 149.7e12, 45, 0.79, 0.70, 0.80, 0.9 },
	{ "rtx4090", 1008e9, 165.2e12, 23.5, 0.89, 0.92, 0.92, 0.5 },
	{ "a100-80", 2039e9, 312e12, 79.2, 0.71, 0.66, 0.75, 3.0 },
	{ "h100", 3350e9, 989e12, 79.2, 0.71, 0.64, 0.75, 5.0 },
	{ .name = NULL },
};

const struct engine_model engine_models[] = {
	{ "deepseek-coder-6.7b", 6.74e9, 32, 4096, 32, 128 },
	{ "llama2-7b", 6.74e9, 32, 4096, 32, 128 },
	{ "llama3-8b", 8.03e9, 32, 4096, 8, 128 },
	{ "qwen2.5-7b", 7.62e9, 28, 3584, 4, 128 },
	{ .name = NULL },
};

enum seq_state { SEQ_FREE, SEQ_WAITING, SEQ_RUNNING };

/* known = input + answer so far; the next token needs all of them processed.
 * Running: processed <= known, and kv covers what is processed and what the step adds. */
struct seq {
	uint64_t cookie;
	uint32_t prev, next; /* in its list, or the next free slot */
	uint32_t generation;
	uint32_t input, output;
	uint32_t known;
	uint32_t processed;
	uint32_t kv;   /* tokens held in the cache */
	uint32_t rows; /* tokens the running step processes; 0: not part of it */
	enum seq_state state;
	bool decoding; /* the prompt, or what is recomputed, is done */
};

/* Slots, not pointers, link the sequences: the table moves when it grows. */
struct list {
	uint32_t head, tail;
	uint32_t count;
};

struct engine {
	const struct engine_gpu *gpu;
	const struct engine_model *model;
	enum engine_mode mode;
	uint32_t max_seqs;
	uint32_t budget;
	double speed;

	struct seq *seqs;
	uint32_t capacity;
	uint32_t free;                        /* head of the free slots, NIL when none */
	struct list waiting;                  /* oldest first; evicted ones before all others */
	struct list running;                  /* in order of admission */
	uint32_t decoding;                    /* how many of running decode */
	uint64_t kv_used, kv_limit, kv_admit; /* tokens; admission stops at kv_admit */

	bool busy;
	bool handing_out;    /* inside engine_step(), whose sink must not step; busy until then */
	uint32_t cursor;     /* next to be handed its token; follows cancels */
	slo_nsec start, end; /* of the running step */
	struct engine_stats total; /* the counters that only grow */
};

const struct engine_gpu *engine_gpu_find(const char *name)
{
	for (const struct engine_gpu *g = engine_gpus; g->name != NULL; g++)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

const struct engine_model *engine_model_find(const char *name)
{
	for (const struct engine_model *m = engine_models; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

static double weight_bytes(const struct engine_model *m)
{
	return FP16 * m->parameters;
}

static double kv_bytes_per_token(const struct engine_model *m)
{
	return 2.0 * FP16 * m->layers * m->kv_heads * m->head_dim; /* keys and values */
}

double engine_seconds(const struct engine_gpu *g, const struct engine_model *m,
                      const struct engine_batch *b)
{
	double flops = g->flops * g->gemm_share;
	double weights = weight_bytes(m) / (g->bytes_per_sec * g->weight_share);
	double gemm = 2.0 * m->parameters * (double)b->rows / flops;
	double cache = kv_bytes_per_token(m) * (double)b->cached / (g->bytes_per_sec * g->kv_share);
	double attention = 4.0 * m->layers * m->hidden * b->attention / (0.75 * flops);

	/* Reading weights and multiplying overlap, but not perfectly: the 2-norm fits measurements
	 * better than their sum or their maximum. */
	return STEP_FIXED_SEC + sqrt(weights * weights + gemm * gemm) + cache + attention +
	       STEP_PER_SEQ * (double)b->decoding;
}

int64_t engine_kv_limit(const struct engine_gpu *g, const struct engine_model *m)
{
	double bytes = g->memory_gib * GIB * USABLE_MEMORY - weight_bytes(m) - ENGINE_OVERHEAD;

	return (int64_t)floor(bytes / kv_bytes_per_token(m));
}

static void list_append(struct engine *e, struct list *l, uint32_t i)
{
	struct seq *s = &e->seqs[i];

	s->prev = l->tail;
	s->next = NIL;
	if (l->tail == NIL)
		l->head = i;
	else
		e->seqs[l->tail].next = i;
	l->tail = i;
	l->count++;
}

static void list_prepend(struct engine *e, struct list *l, uint32_t i)
{
	struct seq *s = &e->seqs[i];

	s->prev = NIL;
	s->next = l->head;
	if (l->head == NIL)
		l->tail = i;
	else
		e->seqs[l->head].prev = i;
	l->head = i;
	l->count++;
}

static void list_remove(struct engine *e, struct list *l, uint32_t i)
{
	const struct seq *s = &e->seqs[i];

	assert(l->count > 0);
	if (s->prev == NIL)
		l->head = s->next;
	else
		e->seqs[s->prev].next = s->next;
	if (s->next == NIL)
		l->tail = s->prev;
	else
		e->seqs[s->next].prev = s->prev;
	l->count--;
}

static bool conf_resolve(struct engine *e, const struct engine_conf *conf)
{
	int64_t limit;

	e->gpu = engine_gpu_find(conf->gpu);
	e->model = engine_model_find(conf->model);
	if (e->gpu == NULL || e->model == NULL)
		return false;
	limit = engine_kv_limit(e->gpu, e->model);
	e->mode = conf->mode;
	e->max_seqs = conf->max_num_seqs != 0 ? conf->max_num_seqs : DEFAULT_SEQS;
	e->budget = conf->token_budget != 0        ? conf->token_budget
	            : conf->mode == ENGINE_CHUNKED ? DEFAULT_CHUNKED_BUDGET
	                                           : DEFAULT_PREFILL_BUDGET;
	e->speed = fpclassify(conf->speed) == FP_ZERO ? 1.0 : conf->speed;
	if (limit <= 1 || !isfinite(e->speed) || e->speed < 0)
		return false;
	e->kv_limit = (uint64_t)limit;
	e->kv_admit = e->kv_limit - e->kv_limit / 100;
	return e->mode != ENGINE_CHUNKED || e->budget >= e->max_seqs;
}

struct engine *engine_new(const struct engine_conf *conf)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	if (!conf_resolve(e, conf)) {
		free(e);
		return NULL;
	}
	e->free = e->cursor = NIL;
	e->waiting = e->running = (struct list){ .head = NIL, .tail = NIL };
	return e;
}

void engine_free(struct engine *e)
{
	if (e == NULL)
		return;
	free(e->seqs);
	free(e);
}

static bool grow(struct engine *e)
{
	uint32_t n = e->capacity != 0 ? e->capacity * 2 : 64;
	struct seq *p;

	if (e->capacity > NIL / 4)
		return false;
	p = realloc(e->seqs, n * sizeof(*p));
	if (p == NULL)
		return false;
	e->seqs = p;
	for (uint32_t i = n; i-- > e->capacity;) {
		p[i] = (struct seq){ .next = e->free, .generation = 1 };
		e->free = i;
	}
	e->capacity = n;
	return true;
}

/* Takes a sequence out of its list and off every sum it is part of. */
static void detach(struct engine *e, uint32_t i)
{
	struct seq *s = &e->seqs[i];

	if (s->state == SEQ_WAITING) {
		list_remove(e, &e->waiting, i);
		return;
	}
	assert(s->state == SEQ_RUNNING && e->kv_used >= s->kv);
	if (e->cursor == i)
		e->cursor = s->next;
	list_remove(e, &e->running, i);
	e->kv_used -= s->kv;
	e->decoding -= s->decoding;
	s->kv = s->rows = s->processed = 0;
	s->decoding = false;
}

static void drop(struct engine *e, uint32_t i)
{
	struct seq *s = &e->seqs[i];

	detach(e, i);
	s->state = SEQ_FREE;
	if (++s->generation == 0)
		s->generation = 1;
	s->next = e->free;
	e->free = i;
}

static void evict_newest(struct engine *e)
{
	uint32_t i = e->running.tail;

	detach(e, i);
	e->seqs[i].state = SEQ_WAITING;
	list_prepend(e, &e->waiting, i);
	e->total.evictions++;
}

static bool head_fits(const struct engine *e)
{
	return e->waiting.head != NIL && e->running.count < e->max_seqs &&
	       e->kv_used + e->seqs[e->waiting.head].known <= e->kv_admit;
}

/* The whole prompt is reserved at once, or prompts in chunks would evict each other. */
static uint32_t admit_head(struct engine *e)
{
	uint32_t i = e->waiting.head;
	struct seq *s = &e->seqs[i];

	list_remove(e, &e->waiting, i);
	list_append(e, &e->running, i);
	s->state = SEQ_RUNNING;
	s->kv = s->known;
	e->kv_used += s->kv;
	if (e->running.count > e->total.peak_running)
		e->total.peak_running = e->running.count;
	return i;
}

static void plan_chunk(struct engine *e, struct engine_batch *b, uint32_t i, uint64_t most)
{
	struct seq *s = &e->seqs[i];
	uint32_t p = s->known - s->processed;

	if (p > most)
		p = (uint32_t)most;
	s->rows = p;
	b->rows += p;
	b->attention += (double)p * ((double)s->processed + (double)p / 2.0);
	e->total.prefill_tokens += p;
}

/* Every decoding sequence stores one more token. The oldest always fits alone: engine_submit()
 * refuses what does not. */
static void plan_decodes(struct engine *e, struct engine_batch *b)
{
	while (e->kv_used + e->decoding > e->kv_limit)
		evict_newest(e);
	for (uint32_t i = e->running.head; i != NIL; i = e->seqs[i].next) {
		struct seq *s = &e->seqs[i];

		if (!s->decoding)
			continue;
		s->rows = 1;
		s->kv++;
		b->cached += s->known;
	}
	e->kv_used += e->decoding;
	b->decoding = e->decoding;
	b->rows += e->decoding;
}

/* Adds the running prompts, oldest first, then new ones, while the budget lasts. */
static void plan_chunks(struct engine *e, struct engine_batch *b)
{
	for (uint32_t i = e->running.head; i != NIL && b->rows < e->budget; i = e->seqs[i].next)
		if (!e->seqs[i].decoding)
			plan_chunk(e, b, i, e->budget - b->rows);
	while (b->rows < e->budget && head_fits(e))
		plan_chunk(e, b, admit_head(e), e->budget - b->rows);
}

static void plan_prompts(struct engine *e, struct engine_batch *b)
{
	while (head_fits(e) &&
	       (b->rows == 0 || e->seqs[e->waiting.head].known + b->rows <= e->budget))
		plan_chunk(e, b, admit_head(e), UINT64_MAX);
}

/* Starts the next step, or goes idle. */
static void start_step(struct engine *e, slo_nsec at)
{
	struct engine_batch b = { 0 };
	slo_nsec length;

	if (e->mode == ENGINE_CHUNKED) {
		plan_decodes(e, &b);
		plan_chunks(e, &b);
	} else {
		plan_prompts(e, &b);
		if (b.rows == 0)
			plan_decodes(e, &b);
	}
	e->busy = b.rows > 0;
	if (!e->busy) {
		assert(e->running.count == 0 && e->waiting.count == 0);
		return;
	}
	length = llround(engine_seconds(e->gpu, e->model, &b) * 1e9 / e->speed);
	e->start = at;
	e->end = at + (length > 0 ? length : 1);
}

bool engine_set_speed(struct engine *e, slo_nsec now, double speed)
{
	if (!isfinite(speed) || speed <= 0)
		return false;
	if (e->busy && e->end > now) {
		double left = (double)(e->end - now) * (e->speed / speed);

		e->end =
		    slo_after(now, left < (double)STEP_MOST ? (slo_nsec)ceil(left) : STEP_MOST);
	}
	e->speed = speed;
	return true;
}

slo_err engine_submit(struct engine *e, slo_nsec now, uint64_t cookie, uint32_t input_tokens,
                      uint32_t output_tokens, struct engine_handle *out)
{
	struct seq *s;
	uint32_t i;

	if (input_tokens == 0 || output_tokens == 0)
		return SLO_EINVAL;
	if ((uint64_t)input_tokens + output_tokens > engine_max_tokens(e))
		return SLO_ETOOBIG;
	if (e->free == NIL && !grow(e))
		return SLO_ENOMEM;
	i = e->free;
	s = &e->seqs[i];
	e->free = s->next;
	*s = (struct seq){ .cookie = cookie,
		           .generation = s->generation,
		           .input = input_tokens,
		           .output = output_tokens,
		           .known = input_tokens,
		           .state = SEQ_WAITING };
	list_append(e, &e->waiting, i);
	*out = (struct engine_handle){ .slot = i, .generation = s->generation };
	if (!e->busy)
		start_step(e, now);
	return SLO_OK;
}

slo_err engine_cancel(struct engine *e, struct engine_handle h)
{
	if (h.slot >= e->capacity || e->seqs[h.slot].state == SEQ_FREE ||
	    e->seqs[h.slot].generation != h.generation)
		return SLO_ESTALE;
	drop(e, h.slot);
	return SLO_OK;
}

slo_nsec engine_next(const struct engine *e)
{
	return e->busy ? e->end : SLO_NEVER;
}

/* Books what the step did for one sequence and hands out the token if one is due. */
static void settle(struct engine *e, uint32_t i, engine_sink sink, void *arg)
{
	struct seq *s = &e->seqs[i];
	uint64_t cookie = s->cookie;
	uint32_t tokens;
	bool finished;

	s->processed += s->rows;
	s->rows = 0;
	if (s->processed < s->known)
		return;
	e->decoding += !s->decoding;
	s->decoding = true;
	s->known++;
	tokens = s->known - s->input;
	finished = tokens == s->output;
	if (finished)
		drop(e, i);
	e->total.output_tokens++;
	sink(arg, e->end, cookie, tokens, finished);
}

bool engine_step(struct engine *e, slo_nsec now, engine_sink sink, void *arg)
{
	assert(!e->handing_out);
	if (!e->busy || e->end > now)
		return false;
	e->total.steps++;
	e->total.busy += e->end - e->start;
	e->handing_out = true;
	e->cursor = e->running.head;
	while (e->cursor != NIL) {
		uint32_t i = e->cursor;

		e->cursor = e->seqs[i].next;
		if (e->seqs[i].rows > 0)
			settle(e, i, sink, arg);
	}
	e->handing_out = false;
	start_step(e, e->end);
	return true;
}

uint32_t engine_max_tokens(const struct engine *e)
{
	return e->kv_admit < UINT32_MAX ? (uint32_t)e->kv_admit : UINT32_MAX;
}

void engine_stats(const struct engine *e, struct engine_stats *out)
{
	*out = e->total;
	out->running = e->running.count;
	out->waiting = e->waiting.count;
	out->kv_used = e->kv_used;
	out->kv_limit = e->kv_limit;
}
