/* body.h - what a request body says about the work it asks for.
 * One pass over a JSON body that may be cut anywhere: no tree, no allocation, time linear in the
 * sample, any bytes are safe. The API is not told by path but by the members that are there.
 *
 * The prompt is the text of
 *   messages[].content       string or parts; of parts only `text`, never image, audio, file;
 *                            tool_calls[].function.{name, arguments}, function_call
 *   prompt, input, inputs,   string, [string], [id], [[id]]; input also items like messages
 *   text, input_ids
 *   system, instructions     string or parts
 *   suffix, tools, functions, documents, response_format.json_schema
 * Objects among the last (tools, schemas, arguments not in a string) count as the JSON text they
 * are written in: templates print them about so.
 *
 * Of duplicate members the first counts. A value of the wrong type is absent. Values nested more
 * than 24 deep are passed over, brackets counted but not matched. */
#ifndef SLO_WIRE_BODY_H
#define SLO_WIRE_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"
#include "wire/tokens.h"

#define BODY_MODEL_MAX 256

/* What a chat template adds, about: role and separators of each message, and what stands around
 * them all. */
#define BODY_TOKENS_PER_MESSAGE 4
#define BODY_TOKENS_PER_CHAT    10

/* Do not copy: model may point into model_buf. */
struct body_info {
	struct slice model; /* p NULL: absent, empty, cut or longer than BODY_MODEL_MAX; borrows
	                     * from the sample, or is decoded in model_buf if it had escapes */
	int64_t max_tokens; /* 0..INT32_MAX, -1 = absent; the first of max_completion_tokens,
	                     * max_tokens, max_output_tokens, parameters.max_new_tokens (TGI),
	                     * sampling_params.max_new_tokens (SGLang) that is there */
	bool stream;
	bool has_stream;
	int64_t n;       /* 1..INT32_MAX answers to each prompt: the larger of n and best_of */
	int64_t prompts; /* at least 1: how many there are in an array of prompts, as far as it was
	                    seen */
	int64_t sequences; /* prompts x n, at most INT32_MAX: what the engine decodes in parallel */
	struct tokens text; /* of all prompts together */
	int64_t ids;        /* prompt tokens given as ids: exact, all prompts together */
	int64_t messages;   /* chat messages and input items */
	size_t scanned;     /* bytes of the sample: all of it unless it was not JSON */
	bool is_json;       /* an object, without an error as far as it goes */
	bool complete;      /* the object was closed */
	bool opaque_tail;   /* cut within a long string that is not prompt: an inline image, say */
	uint8_t model_buf[BODY_MODEL_MAX];
};

/* The sample must live as long as out->model is used. With is_json false what was found before
 * the error is still there. */
void body_scan(struct slice sample, struct body_info *out);

/* Prompt tokens of the request, 0..INT32_MAX, summed over all prompts (each counted once, however
 * large n is). size is the length of the whole body: when the sample was cut short of it, what was
 * counted is scaled by size / scanned, except behind an opaque tail, which most likely is the
 * rest of the body. */
int64_t body_prompt_tokens(const struct body_info *b, const struct token_weights *w, int64_t size);

#endif
