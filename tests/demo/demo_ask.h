/* demo_ask.h - what an OpenAI request body asks of the demo server. */
#ifndef DEMO_ASK_H
#define DEMO_ASK_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "slo.h"

#define DEMO_MODEL_MAX 256 /* bytes of the model name as quoted JSON, with its end */

/* Token counts that request headers gave; 0 = not given. */
struct demo_hints {
	uint32_t prompt_tokens;
	uint32_t output_tokens;
};

struct demo_ask {
	bool chat; /* else a text completion */
	bool stream;
	bool usage;                 /* a last event with the usage */
	bool cut;                   /* the answer ends at the client's limit, not of itself */
	uint32_t prompt_tokens;     /* > 0 */
	uint32_t output_tokens;     /* > 0 */
	uint64_t seed;              /* the same body, the same answer */
	char model[DEMO_MODEL_MAX]; /* quoted and escaped */
};

/* FNV-1a, then the finaliser of splitmix64 to spread its low bits. */
static inline uint64_t demo_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static inline uint64_t demo_hash(struct slice s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.p[i]) * UINT64_C(1099511628211);
	return demo_mix(h);
}

/* Short chat answers: lognormal around 37 tokens, sigma 0.25, at least 2. */
static inline uint32_t demo_draw_output(uint64_t seed)
{
	double u = ((double)(demo_mix(seed + 1) >> 11) + 0.5) * 0x1p-53;
	double v = (double)(demo_mix(seed + 2) >> 11) * 0x1p-53;
	double normal = sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
	double tokens = round(37.0 * exp(0.25 * normal));

	return tokens < 2.0 ? 2 : (uint32_t)tokens;
}

struct demo_prompt {
	size_t bytes; /* of text */
	size_t ids;   /* tokens given as numbers */
};

/* A string, an array of token ids, or an array of either; deeper nesting counts nothing. */
static inline void demo_count_prompt(const json_t *v, unsigned depth, struct demo_prompt *p)
{
	if (json_is_string(v))
		p->bytes += json_string_length(v);
	else if (json_is_integer(v))
		p->ids++;
	else if (depth < 2)
		for (size_t i = 0; i < json_array_size(v); i++)
			demo_count_prompt(json_array_get(v, i), depth + 1, p);
}

/* Text only: an inline image would count as a huge prompt. */
static inline void demo_count_content(const json_t *content, struct demo_prompt *p)
{
	p->bytes += json_string_length(content);
	for (size_t i = 0; i < json_array_size(content); i++)
		p->bytes += json_string_length(json_object_get(json_array_get(content, i), "text"));
}

static inline void demo_count_messages(const json_t *messages, struct demo_prompt *p)
{
	for (size_t i = 0; i < json_array_size(messages); i++)
		demo_count_content(json_object_get(json_array_get(messages, i), "content"), p);
}

/* A positive integer that fits, else 0. */
static inline uint32_t demo_limit(const json_t *v)
{
	json_int_t n = json_integer_value(v);

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static inline void demo_ask_lengths(const json_t *root, const struct demo_hints *hints,
                                    struct demo_ask *a)
{
	struct demo_prompt p = { 0 };
	uint32_t limit = demo_limit(json_object_get(root, "max_completion_tokens"));
	size_t tokens;

	if (a->chat)
		demo_count_messages(json_object_get(root, "messages"), &p);
	else
		demo_count_prompt(json_object_get(root, "prompt"), 0, &p);
	tokens = p.ids + (p.bytes + 3) / 4;
	a->prompt_tokens = hints->prompt_tokens != 0 ? hints->prompt_tokens
	                   : tokens == 0             ? 1
	                   : tokens < UINT32_MAX     ? (uint32_t)tokens
	                                             : UINT32_MAX;
	if (limit == 0)
		limit = demo_limit(json_object_get(root, "max_tokens"));
	if (limit == 0)
		limit = a->chat ? UINT32_MAX : 16; /* the default of /v1/completions */
	a->output_tokens = hints->output_tokens;
	if (a->output_tokens == 0 && json_is_true(json_object_get(root, "ignore_eos")))
		a->output_tokens = limit;
	if (a->output_tokens == 0)
		a->output_tokens = demo_draw_output(a->seed);
	if (hints->output_tokens == 0 && a->output_tokens > limit)
		a->output_tokens = limit;
	a->cut = a->output_tokens >= limit;
}

/* SLO_EPROTO: not a JSON object, or without the prompt its path needs. SLO_ETOOBIG: the model's
 * name. fallback is the model when the body names none. */
MUSTCHECK static inline slo_err demo_ask_parse(struct slice body, bool chat, const char *fallback,
                                               const struct demo_hints *hints, struct demo_ask *out)
{
	struct demo_ask a = { .chat = chat, .seed = demo_hash(body) };
	json_t *root = json_loadb((const char *)body.p, body.len, 0, NULL);
	const json_t *options = json_object_get(root, "stream_options");
	json_t *model = json_object_get(root, "model");
	slo_err err = SLO_EPROTO;
	size_t n;

	if (!json_is_object(root) || json_object_get(root, chat ? "messages" : "prompt") == NULL)
		goto out;
	a.stream = json_is_true(json_object_get(root, "stream"));
	a.usage = a.stream && json_is_true(json_object_get(options, "include_usage"));
	demo_ask_lengths(root, hints, &a);
	model = json_is_string(model) ? json_incref(model) : json_string(fallback);
	n = json_dumpb(model, a.model, sizeof(a.model) - 1, JSON_ENCODE_ANY);
	json_decref(model);
	err = SLO_ETOOBIG;
	if (n == 0 || n > sizeof(a.model) - 1)
		goto out;
	a.model[n] = '\0';
	*out = a;
	err = SLO_OK;
out:
	json_decref(root);
	return err;
}

#endif
