/* endpoint.h - what a request's path says about the work behind it.
 * The table knows the paths of OpenAI, Anthropic, Mistral, Gemini, vLLM, SGLang, TGI, llama.cpp,
 * LMDeploy, Triton, KServe, Ollama, Jina, NIM and Cohere by their last segments, so any base path
 * may stand before them. A query, doubled slashes and one at the end change nothing; upper case
 * does, as for the servers. A path with %XX, `;`, a backslash or dot segments is never taken for
 * one without work, because a server may read another one. */
#ifndef SLO_WIRE_ENDPOINT_H
#define SLO_WIRE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

#define ENDPOINT_PATH_MAX 256 /* bytes: haproxy.cfg cuts paths there */

enum endpoint_kind {
	ENDPOINT_UNKNOWN,  /* not in the table, or it takes requests of all kinds: the body decides
	                    */
	ENDPOINT_GENERATE, /* a GPU reads a prompt and writes an answer */
	ENDPOINT_READ,     /* a GPU reads a prompt; the answer has no tokens */
	ENDPOINT_IDLE,     /* no GPU works for it */
};

struct endpoint {
	enum endpoint_kind kind;
	bool chat;    /* what is asked are messages or items, not a bare prompt */
	bool stream;  /* the answer is a stream, whatever the body says */
	bool streams; /* the answer is a stream, unless the body says no */
	bool bulky;   /* a whole answer has more to it than text: the prompt, settings, ids */
	bool media;   /* tokens are not what it takes or gives: sound, images, tensors */
	int32_t default_max; /* output tokens of a request that sets no limit; -1: no limit */
};

/* path.p may be NULL: then it is a request to generate, as of a HAProxy that tells no path. */
struct endpoint endpoint_of(struct slice path);

/* The model that the path names (/v2/models/NAME/infer, /openai/deployments/NAME/chat/completions);
 * p NULL: none. It borrows from path. */
struct slice endpoint_model(struct slice path);

#endif
