#include "wire/engine_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
/* What is larger was not counted. */
#define VALUE_MOST  4503599627370496.0 /* 2^52 */
#define TOKENS_MOST 1e9

#define REQUESTS_MOST 1000000

#define KV_FULL     0.9
/* So many waiting beside those that run are a queue, whatever the cache says. */
#define QUEUE_LEAST 4
#define QUEUE_SHARE 0.5

/* How several series of one name become one value: an engine has one for each of its parts. */
enum fold { SUM, MOST, SIZE };

struct series {
	const char *name;
	enum engine_make make;
	enum engine_fact fact;
	enum fold fold;
	const char *label, *text; /* only the one that has this label; NULL: all */
};

#define VLLM   ENGINE_MAKE_VLLM
#define SGLANG ENGINE_MAKE_SGLANG
#define LLAMA  ENGINE_MAKE_LLAMA_CPP
#define TGI    ENGINE_MAKE_TGI
#define TRT    ENGINE_MAKE_TENSORRT_LLM

static const struct series known[] = {
	{ "vllm:num_requests_running", VLLM, ENGINE_RUNNING, SUM, NULL, NULL },
	{ "vllm:num_requests_waiting", VLLM, ENGINE_WAITING, SUM, NULL, NULL },
	{ "vllm:num_requests_waiting_by_reason", VLLM, ENGINE_STARVED, SUM, "reason", "capacity" },
	{ "vllm:kv_cache_usage_perc", VLLM, ENGINE_KV_USED, MOST, NULL, NULL },
	{ "vllm:gpu_cache_usage_perc", VLLM, ENGINE_KV_USED, MOST, NULL, NULL },
	{ "vllm:cache_config_info", VLLM, ENGINE_KV_SIZE, SIZE, NULL, NULL },
	{ "vllm:prompt_tokens_total", VLLM, ENGINE_PROMPTS, SUM, NULL, NULL },
	{ "vllm:generation_tokens_total", VLLM, ENGINE_OUTPUTS, SUM, NULL, NULL },
	{ "sglang:num_running_reqs", SGLANG, ENGINE_RUNNING, SUM, NULL, NULL },
	{ "sglang:num_queue_reqs", SGLANG, ENGINE_WAITING, SUM, NULL, NULL },
	{ "sglang:token_usage", SGLANG, ENGINE_KV_USED, MOST, NULL, NULL },
	{ "sglang:full_token_usage", SGLANG, ENGINE_KV_USED, MOST, NULL, NULL },
	{ "sglang:max_total_num_tokens", SGLANG, ENGINE_KV_SIZE, SUM, NULL, NULL },
	{ "sglang:prompt_tokens_total", SGLANG, ENGINE_PROMPTS, SUM, NULL, NULL },
	{ "sglang:generation_tokens_total", SGLANG, ENGINE_OUTPUTS, SUM, NULL, NULL },
	{ "llamacpp:requests_processing", LLAMA, ENGINE_RUNNING, SUM, NULL, NULL },
	{ "llamacpp:requests_deferred", LLAMA, ENGINE_WAITING, SUM, NULL, NULL },
	{ "llamacpp:kv_cache_usage_ratio", LLAMA, ENGINE_KV_USED, MOST, NULL, NULL },
	{ "llamacpp:prompt_tokens_total", LLAMA, ENGINE_PROMPTS, SUM, NULL, NULL },
	{ "llamacpp:prompt_tokens_cached_total", LLAMA, ENGINE_PROMPTS, SUM, NULL, NULL },
	{ "llamacpp:tokens_predicted_total", LLAMA, ENGINE_OUTPUTS, SUM, NULL, NULL },
	{ "tgi_batch_current_size", TGI, ENGINE_RUNNING, SUM, NULL, NULL },
	{ "tgi_queue_size", TGI, ENGINE_WAITING, SUM, NULL, NULL },
	{ "tgi_request_input_length_sum", TGI, ENGINE_PROMPTS, SUM, NULL, NULL },
	{ "tgi_request_generated_tokens_sum", TGI, ENGINE_OUTPUTS, SUM, NULL, NULL },
	{ "trtllm_num_requests_running", TRT, ENGINE_RUNNING, SUM, NULL, NULL },
	{ "trtllm_num_requests_waiting", TRT, ENGINE_WAITING, SUM, NULL, NULL },
	{ "trtllm_kv_cache_utilization", TRT, ENGINE_KV_USED, MOST, NULL, NULL },
	{ "nv_trt_llm_request_metrics", TRT, ENGINE_RUNNING, SUM, "request_type", "scheduled" },
	{ "nv_trt_llm_request_metrics", TRT, ENGINE_WAITING, SUM, "request_type", "waiting" },
	{ "nv_trt_llm_kv_cache_block_metrics", TRT, ENGINE_KV_USED, MOST, "kv_cache_block_type",
	  "fraction" },
	{ "nv_trt_llm_kv_cache_block_metrics", TRT, ENGINE_KV_BLOCKS, SUM, "kv_cache_block_type",
	  "max" },
	{ "nv_trt_llm_kv_cache_block_metrics", TRT, ENGINE_KV_BLOCK_SIZE, MOST,
	  "kv_cache_block_type", "tokens_per" },
};

const char *engine_make_name(enum engine_make m)
{
	static const char *const names[] = {
#define NAME(name, text) text,
		ENGINE_MAKE_LIST(NAME)
#undef NAME
	};

	return names[m];
}

double engine_waits_for_room(const struct engine_facts *f)
{
	double waiting = f->value[ENGINE_WAITING], running = f->value[ENGINE_RUNNING];

	if (engine_knows(f, ENGINE_STARVED))
		return f->value[ENGINE_STARVED];
	if (engine_knows(f, ENGINE_KV_USED) && f->value[ENGINE_KV_USED] < KV_FULL &&
	    (waiting < QUEUE_LEAST || waiting < running * QUEUE_SHARE))
		return 0;
	return waiting;
}

static uint32_t requests(double n)
{
	return n < REQUESTS_MOST ? (uint32_t)n : REQUESTS_MOST;
}

bool engine_queue_page(struct engine_queue *q, const struct engine_facts *f,
                       struct engine_queue *both)
{
	struct engine_queue old = *q;

	if (!engine_knows(f, ENGINE_RUNNING) || !engine_knows(f, ENGINE_WAITING))
		return false;
	q->running = requests(f->value[ENGINE_RUNNING]);
	q->waiting = requests(engine_waits_for_room(f));
	both->running = q->running > old.running ? q->running : old.running;
	both->waiting = q->waiting < old.waiting ? q->waiting : old.waiting;
	return q->waiting == 0 || old.waiting > 0;
}

/* Labels */

/* The next pair of s, which becomes what is behind it. False: there is none. Escapes stay as they
 * are: no text that is looked for has one. */
static bool next_label(struct slice *s, struct slice *name, struct slice *text)
{
	size_t at = 0, from;

	while (at < s->len && s->p[at] != '=')
		at++;
	*name = slice_trim((struct slice){ s->p, at });
	if (at + 1 >= s->len || s->p[at + 1] != '"')
		return false;
	from = at += 2;
	while (at < s->len && s->p[at] != '"')
		at += s->p[at] == '\\' ? 2 : 1;
	if (at >= s->len)
		return false;
	*text = (struct slice){ s->p + from, at - from };
	*s = slice_behind(*s, at + 1);
	if (s->len > 0 && s->p[0] == ',')
		*s = slice_behind(*s, 1);
	return true;
}

static bool find_label(struct slice labels, const char *wanted, struct slice *text)
{
	struct slice name;

	while (next_label(&labels, &name, text))
		if (slice_eq(name, wanted))
			return true;
	return false;
}

/* Ranks of one engine do the same work side by side; the first of them speaks for all. */
static bool is_other_rank(struct slice labels)
{
	static const char *const ranks[] = { "tp_rank", "pp_rank", "moe_ep_rank" };
	struct slice text;

	for (size_t i = 0; i < COUNT(ranks); i++)
		if (find_label(labels, ranks[i], &text) && text.len > 0 && !slice_eq(text, "0"))
			return true;
	return false;
}

static bool label_number(struct slice labels, const char *name, double *out)
{
	struct slice text;
	uint64_t v;

	if (!find_label(labels, name, &text) || !slice_decimal(text, UINT32_MAX, &v))
		return false;
	*out = (double)v;
	return true;
}

/* Facts */

static bool is_sane(enum engine_fact fact, double v)
{
	if (!(v >= 0 && v <= VALUE_MOST))
		return false;
	if (fact == ENGINE_KV_SIZE)
		return v > 0 && v <= TOKENS_MOST;
	return fact != ENGINE_KV_USED || v <= 1;
}

static void put(struct engine_facts *f, enum engine_fact fact, enum fold fold, double v)
{
	double *value = &f->value[fact];

	if (!is_sane(fact, v))
		return;
	if (!engine_knows(f, fact))
		*value = v;
	else if (fold == MOST)
		*value = fmax(*value, v);
	else if (is_sane(fact, *value + v))
		*value += v;
	f->known |= (uint16_t)(1u << fact);
}

static void take_series(struct engine_facts *f, const struct series *s, struct slice labels,
                        double v)
{
	double blocks, size;
	struct slice text;

	if (s->label && (!find_label(labels, s->label, &text) || !slice_eq(text, s->text)))
		return;
	if (f->make == ENGINE_MAKE_UNKNOWN)
		f->make = s->make;
	if (s->fold != SIZE)
		put(f, s->fact, s->fold, v);
	else if (label_number(labels, "num_gpu_blocks", &blocks) &&
	         label_number(labels, "block_size", &size))
		put(f, s->fact, SUM, blocks * size);
}

/* Lines */

static struct slice name_of(struct slice line)
{
	size_t n = 0;

	while (n < line.len && line.p[n] != '{' && line.p[n] != ' ' && line.p[n] != '\t')
		n++;
	return (struct slice){ line.p, n };
}

/* The labels that s begins with, which becomes what is behind them. False: they do not end. */
static bool take_labels(struct slice *s, struct slice *labels)
{
	bool quoted = false;
	size_t at = 1;

	*labels = (struct slice){ NULL, 0 };
	if (s->len == 0 || s->p[0] != '{')
		return true;
	for (; at < s->len && (quoted || s->p[at] != '}'); at++) {
		if (quoted && s->p[at] == '\\')
			at++;
		else if (s->p[at] == '"')
			quoted = !quoted;
	}
	if (at >= s->len)
		return false;
	*labels = (struct slice){ s->p + 1, at - 1 };
	*s = slice_behind(*s, at + 1);
	return true;
}

/* The line is terminated. */
static bool take_value(struct slice s, double *out)
{
	char *end;

	s = slice_trim(s);
	if (s.len == 0)
		return false;
	*out = strtod((const char *)s.p, &end);
	return end != (const char *)s.p && (*end == '\0' || *end == ' ' || *end == '\t');
}

static void take_line(struct engine_text *t)
{
	struct slice line = { (const uint8_t *)t->line, t->len }, name, labels;
	double v;

	t->line[t->len] = '\0';
	if (t->len > 0 && t->line[t->len - 1] == '\r')
		t->line[--line.len] = '\0';
	if (line.len == 0 || line.p[0] == '#' || memchr(line.p, '\0', line.len))
		return;
	name = name_of(line);
	line = slice_behind(line, name.len);
	for (size_t i = 0; i < COUNT(known); i++) {
		struct slice rest = line;

		if (slice_eq(name, known[i].name) && take_labels(&rest, &labels) &&
		    take_value(rest, &v) && !is_other_rank(labels))
			take_series(&t->facts, &known[i], labels, v);
	}
}

void engine_text_init(struct engine_text *t)
{
	t->facts = (struct engine_facts){ .make = ENGINE_MAKE_UNKNOWN };
	t->skips = false;
	t->len = 0;
}

static void end_line(struct engine_text *t)
{
	if (!t->skips)
		take_line(t);
	t->skips = false;
	t->len = 0;
}

void engine_text_take(struct engine_text *t, struct slice bytes)
{
	while (bytes.len > 0) {
		const uint8_t *end = memchr(bytes.p, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.p) : bytes.len;

		if (n > ENGINE_LINE_MAX - t->len)
			t->skips = true;
		if (!t->skips) {
			memcpy(t->line + t->len, bytes.p, n);
			t->len += n;
		}
		if (end)
			end_line(t);
		bytes = slice_behind(bytes, end ? n + 1 : n);
	}
}

const struct engine_facts *engine_text_end(struct engine_text *t)
{
	struct engine_facts *f = &t->facts;

	end_line(t);
	if (!engine_knows(f, ENGINE_KV_SIZE) && engine_knows(f, ENGINE_KV_BLOCKS) &&
	    engine_knows(f, ENGINE_KV_BLOCK_SIZE))
		put(f, ENGINE_KV_SIZE, SUM,
		    f->value[ENGINE_KV_BLOCKS] * f->value[ENGINE_KV_BLOCK_SIZE]);
	return f;
}
