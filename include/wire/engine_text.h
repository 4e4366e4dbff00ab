/* engine_text.h - what an LLM engine says of itself on its /metrics page, in Prometheus' text form.
 *
 * Pure and incremental: bytes come in pieces of any size. A line is "NAME VALUE" or
 * "NAME{LABEL="TEXT",...} VALUE"; all but the few names that are known here are skipped, and so are
 * comments, lines that are too long and numbers that are none. Names are those of vLLM, SGLang,
 * llama.cpp, TGI, TensorRT-LLM, and TensorRT-LLM in Triton. */
#ifndef SLO_WIRE_ENGINE_TEXT_H
#define SLO_WIRE_ENGINE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

/* Of one line; a longer one is skipped. */
#define ENGINE_LINE_MAX 4096

#define ENGINE_MAKE_LIST(X)       \
	X(UNKNOWN, "unknown")     \
	X(VLLM, "vllm")           \
	X(SGLANG, "sglang")       \
	X(LLAMA_CPP, "llama.cpp") \
	X(TGI, "tgi")             \
	X(TENSORRT_LLM, "tensorrt-llm")

enum engine_make {
#define ENGINE_MAKE_MEMBER(name, text) ENGINE_MAKE_##name,
	ENGINE_MAKE_LIST(ENGINE_MAKE_MEMBER)
#undef ENGINE_MAKE_MEMBER
	    ENGINE_MAKES, /* how many there are */
};

const char *engine_make_name(enum engine_make m);

enum engine_fact {
	ENGINE_RUNNING, /* requests in the batch */
	ENGINE_WAITING, /* requests that wait inside the engine */
	ENGINE_STARVED, /* those of them that wait for room */
	ENGINE_KV_USED, /* share of the KV cache, 0 to 1 */
	ENGINE_KV_SIZE, /* tokens that the KV cache holds */
	ENGINE_PROMPTS, /* prompt tokens since the engine started, cached ones too */
	ENGINE_OUTPUTS, /* output tokens since then */
	/* Factors of ENGINE_KV_SIZE where they come apart. */
	ENGINE_KV_BLOCKS,
	ENGINE_KV_BLOCK_SIZE,
	ENGINE_FACTS, /* how many there are */
};

struct engine_facts {
	enum engine_make make; /* by the first known name */
	double value[ENGINE_FACTS];
	uint16_t known; /* a bit for each */
};

static inline bool engine_knows(const struct engine_facts *f, enum engine_fact fact)
{
	return f->known >> fact & 1;
}

/* Requests that wait in the engine for room, as far as its facts tell. One that only waits for its
 * turn in the next steps is none: if the cache has room, a few that wait say nothing. */
double engine_waits_for_room(const struct engine_facts *f);

/* What two pages in a row say of it: one may have seen a burst on its way in. */
struct engine_queue {
	uint32_t running, waiting; /* for room; by the last page */
};

/* A page. True: the two agree on *both. False: requests wait that did not before, so another page
 * is wanted soon, or it does not tell. */
bool engine_queue_page(struct engine_queue *q, const struct engine_facts *f,
                       struct engine_queue *both);

struct engine_text {
	struct engine_facts facts;
	bool skips; /* the rest of a line that is too long */
	size_t len;
	char line[ENGINE_LINE_MAX + 1];
};

void engine_text_init(struct engine_text *t);
void engine_text_take(struct engine_text *t, struct slice bytes);
/* The page is over: its facts are whole. Values are finite and not negative; a size of the cache
 * is above 0, and a share of it at most 1. */
const struct engine_facts *engine_text_end(struct engine_text *t);

#endif
