/* body.h - what a request body says about the work it asks for.
 * One pass over a JSON body that may be cut anywhere: no tree, no allocation, time linear in the
 * sample, any bytes are safe. The API is not told by path but by the members that are there.
 *
 * The prompt is the text of
 *   messages[].content,      string or parts; of parts only `text`, and documents given as text,
 *                            never image, audio, file;
 *   messages[][].content     each array is a chat;
 *   contents[].parts         tool_calls[].function.{name, arguments}, function_call, tool results;
 *                            reasoning that is told again: reasoning_content, reasoning,
 *                            reasoning_details, thinking, thinking_blocks (one of them)
 *   chat_history             as messages
 *   prompt, input, inputs,   string, [string], [id], [[id]]; input also items like messages
 *   text, text_input, input_ids, token_ids, instances
 *   query, queries, documents, passages, text_1, text_2, texts, items, instruction
 *                            string, or any array
 *   system, instructions     string or parts
 *   suffix, tools, functions, response_format.json_schema
 * Objects among the last (tools, schemas, arguments not in a string) count as the JSON text they
 * are written in: templates print them about so. Images in base64 among it are left out, but not
 * of tools and arguments.
 *
 * What engines read is read: a byte order mark, NaN and Infinity, numbers and truth in quotes; of
 * members of the body given twice the last one counts. Of those in a message all do, but for texts
 * of one member. A value of another type is absent. Values nested more than 24 deep are passed
 * over, brackets counted but not matched. */
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

enum body_form {
	BODY_EMPTY,
	BODY_JSON,
	BODY_BROKEN, /* should be JSON and is not */
	/* What an engine may read and we do not. */
	BODY_WIDE16,     /* JSON in UTF-16 */
	BODY_WIDE32,     /* JSON in UTF-32 */
	BODY_COMPRESSED, /* gzip, deflate, zstd, lz4, or as the header says */
	BODY_MULTIPART,  /* a form with files; its fields are read as far as they are there */
	BODY_BINARY,     /* of a type that is neither JSON nor text, as its header says */
};
#define BODY_FORMS 8

const char *body_form_name(enum body_form f);

/* Do not copy: model may point into model_buf. */
struct body_info {
	struct slice model; /* p NULL: absent, empty, cut or longer than BODY_MODEL_MAX; borrows
	                     * from the sample, or is decoded in model_buf if it had escapes */
	int64_t max_tokens; /* 0..INT32_MAX, -1 = absent; the first of max_completion_tokens,
	                     * max_tokens, max_output_tokens, parameters.max_new_tokens (TGI),
	                     * sampling_params.max_new_tokens (SGLang), max_new_tokens, n_predict
	                     * that is there */
	int64_t min_tokens; /* output tokens that each answer will have at least */
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
	enum body_form form;
	bool asks;        /* there is a prompt, or something that stands for one */
	bool opaque;      /* the prompt is more than what is counted: images, sound, files, what the
	                   * server has kept; or less, as it will be truncated */
	bool ignore_eos;  /* the answer goes on until its limit */
	bool receipt;     /* a whole answer would only say that the work was accepted */
	bool tools;       /* it may call tools */
	bool schema;      /* the answer has to be JSON, or of a grammar */
	bool bulky;       /* the answer has more to it than text: logprobs, ids, the prompt */
	bool is_json;     /* an object, without an error as far as it goes */
	bool complete;    /* the object was closed */
	bool blank;       /* nothing but white space, at least one byte */
	bool opaque_tail; /* cut within a long string that is not prompt: an inline image, say */
	uint8_t model_buf[BODY_MODEL_MAX];
};

/* The sample must live as long as out->model is used. With is_json false what was found before
 * the error is still there. */
void body_scan(struct slice sample, struct body_info *out);
/* The same for a body that may be something else: encoding and ctype are its headers, p NULL =
 * not told. Of a form the fields model, stream and prompt are read. */
void body_read(struct slice sample, struct slice encoding, struct slice ctype,
               struct body_info *out);
/* The body is longer than the sample: then a blank one is the start of JSON. */
void body_is_cut(struct body_info *b);
/* Whether an engine reads this body although we cannot. */
bool body_is_foreign(const struct body_info *b);

/* Prompt tokens of the request, 0..INT32_MAX, summed over all prompts (each counted once, however
 * large n is). size is the length of the whole body: when the sample was cut short of it, what was
 * counted is scaled by size / scanned, except behind an opaque tail, which most likely is the
 * rest of the body; if no prompt was seen yet, it is taken for the rest. Of a body that we cannot
 * read it is a guess from size, and 0 for a form, of which most are
 * files, and for other binary ones. */
int64_t body_prompt_tokens(const struct body_info *b, const struct token_weights *w, int64_t size);

#endif
