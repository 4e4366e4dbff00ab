/* engine.h - an LLM engine with continuous batching, step by step, in virtual time.
 * Pure: no I/O, no clock, no randomness; the caller says what time it is. The demo server drives
 * it with the monotonic clock, the simulator with scenario time.
 *
 *   submit -> waiting (FCFS) --admit--> running --last token--> gone
 *                 ^                        |
 *                 +------- evict ----------+   the newest first, to the head of the line
 *
 * A step is one iteration of the engine. It starts when the one before ends, or with the first
 * submit to an idle engine, and at its end every sequence whose known tokens were all processed
 * gets one token more. What arrives during a step is looked at when the next one starts.
 * The prompt waiting longest blocks all behind it, however small. Admission keeps 1% of the KV
 * cache free. An evicted sequence recomputes its prompt and its answer so far.
 *
 * Invariant: kv_used is the exact sum over the running sequences and at most kv_limit, and
 * an idle engine has neither running nor waiting sequences. */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

/* Peak figures of the hardware and the part of each that an engine reaches. */
struct engine_gpu {
	const char *name;
	double bytes_per_sec; /* memory, peak */
	double flops;         /* fp16, peak */
	double memory_gib;
	double weight_share; /* of bytes_per_sec, reading weights */
	double gemm_share;   /* of flops; attention gets 0.75 of that */
	double kv_share;     /* of bytes_per_sec, reading the KV cache */
	double cost;         /* per hour, relative to an l20 */
};

struct engine_model {
	const char *name;
	double parameters;
	unsigned layers;
	unsigned hidden; /* width of the residual stream */
	unsigned kv_heads;
	unsigned head_dim;
};

/* Both tables end with a NULL name. */
extern const struct engine_gpu engine_gpus[];
extern const struct engine_model engine_models[];
const struct engine_gpu *engine_gpu_find(const char *name);     /* NULL: unknown */
const struct engine_model *engine_model_find(const char *name); /* NULL: unknown */

/* What one step has to do. */
struct engine_batch {
	uint64_t rows;     /* prompt tokens + decoding sequences: rows of the matrix products */
	uint64_t decoding; /* sequences that decode */
	uint64_t cached;   /* tokens those read from the KV cache */
	double attention; /* sum of p * (c + p / 2) over chunks of p prompt tokens after c cached */
};

/* Seconds of one step, and the tokens the KV cache holds (negative: the weights do not fit). */
double engine_seconds(const struct engine_gpu *g, const struct engine_model *m,
                      const struct engine_batch *b);
int64_t engine_kv_limit(const struct engine_gpu *g, const struct engine_model *m);

enum engine_mode {
	/* Waiting prompts that fit go first, in a step of their own, and hold up all decoding. */
	ENGINE_PREFILL_FIRST,
	/* Decodes go first; prompts get what is left of the budget, in as many chunks as needed. */
	ENGINE_CHUNKED,
};

struct engine_conf {
	const char *gpu;   /* a name in engine_gpus */
	const char *model; /* a name in engine_models */
	enum engine_mode mode;
	uint32_t max_num_seqs; /* running at once; 0: 256 */
	/* Tokens per step; 0: 15000 prompt tokens when prefill goes first (one longer prompt still
	 * goes alone), 2048 when chunked (decodes included, at least max_num_seqs). */
	uint32_t token_budget;
	double speed; /* divides the time of every step; 0: 1 */
};

struct engine; /* opaque */

/* Names one sequence for ever: after its end it finds nothing. {0} never names any. */
struct engine_handle {
	uint32_t slot;
	uint32_t generation;
};

struct engine_stats {
	uint32_t running;
	uint32_t waiting;
	uint32_t peak_running;
	uint64_t kv_used;  /* tokens */
	uint64_t kv_limit; /* tokens */
	uint64_t steps;    /* ended */
	uint64_t evictions;
	uint64_t prefill_tokens; /* processed, recomputed ones included */
	uint64_t output_tokens;  /* handed out */
	slo_nsec busy;           /* in steps that ended */
};

/* NULL: out of memory, or conf names an unknown GPU or model, a model too big for the GPU, a speed
 * that is not positive, or a chunked budget below max_num_seqs. Strings are not kept. */
struct engine *engine_new(const struct engine_conf *conf);
void engine_free(struct engine *e); /* NULL is accepted */

/* Puts a sequence at the end of the line; an idle engine starts a step at now. now must not go
 * back from call to call.
 * SLO_EINVAL: no input or no output. SLO_ETOOBIG: input + output can never fit, see
 * engine_max_tokens(). SLO_ENOMEM. */
MUSTCHECK slo_err engine_submit(struct engine *e, slo_nsec now, uint64_t cookie,
                                uint32_t input_tokens, uint32_t output_tokens,
                                struct engine_handle *out);

/* Forgets a sequence in any state; no token of it is handed out from here on. The running step
 * keeps its length, the KV cache is free at once. SLO_ESTALE: it had ended before. */
MUSTCHECK slo_err engine_cancel(struct engine *e, struct engine_handle h);

/* Another speed from now on; what is left of the running step takes accordingly longer or shorter.
 * False: it is not positive, and nothing has changed. */
bool engine_set_speed(struct engine *e, slo_nsec now, double speed);

/* When the running step ends; SLO_NEVER when idle. */
slo_nsec engine_next(const struct engine *e);

/* One token: the tokens-th of that sequence, handed out at `at`, the end of its step.
 * The sink may submit and cancel, but not step. A finished sequence is already gone. */
typedef void (*engine_sink)(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens,
                            bool finished);

/* Ends the running step if its end is not after now, hands out its tokens in order of admission and
 * starts the next step at that end, however late the call. False: no step was due. */
bool engine_step(struct engine *e, slo_nsec now, engine_sink sink, void *arg);

/* The most that input + output of one sequence may be. */
uint32_t engine_max_tokens(const struct engine *e);
void engine_stats(const struct engine *e, struct engine_stats *out);

#endif
