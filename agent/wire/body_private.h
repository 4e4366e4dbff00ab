/* body_private.h - what the members of a request body mean, between body_roles.c and body.c.
 *
 * A value means something by where it stands: its role. Containers give one to every member (by
 * name) or element. */
#ifndef SLO_WIRE_BODY_PRIVATE_H
#define SLO_WIRE_BODY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

#define BODY_KEY_MAX 32 /* longer than every name we know, decoded */

enum role {
	R_SKIP,
	R_ROOT,
	R_MODEL,
	R_STREAM,
	R_N,
	R_BEST_OF,
	R_LIMIT, /* the output limits, best first */
	R_LIMIT_OLD,
	R_LIMIT_RESPONSES,
	R_LIMIT_NESTED, /* parameters (TGI), options (Ollama), generationConfig (Gemini) */
	R_LIMIT_SGLANG,
	R_LIMIT_NEW, /* max_new_tokens, n_predict beside the prompt */
	R_LIMIT_END,
	R_MIN,     /* output tokens at least */
	R_RECEIPT, /* the answer only says that the work was accepted */
	R_IGNORE_EOS,
	R_PARAMETERS, /* objects around limits */
	R_SAMPLING,
	R_STREAM_OPTIONS,
	R_RAW,       /* prompt as it is written, JSON and all */
	R_TOOLS,     /* the same, and no image can be in it */
	R_WORDS,     /* a string is prompt, a container is R_RAW */
	R_ARGUMENTS, /* as R_WORDS; what a model wrote is text all through */
	R_TEXTS,     /* a string is prompt, an array has R_TEXTS, an object is R_RAW */
	R_PARTS,     /* a string is prompt, an array has R_PARTs */
	R_PART,
	R_MESSAGES,
	R_MESSAGE, /* an array is R_CHAT, one of several chats */
	R_CHAT,
	R_OWN_TEXT, /* like R_PARTS, but the type of the part or message must agree */
	R_THOUGHT,  /* like R_PARTS; of several in one message, which tell the same, one counts */
	R_TYPE,
	R_INPUT,  /* one prompt, or an array of R_PROMPT */
	R_STORED, /* R_INPUT; an object names a prompt that the server keeps */
	R_TEXT,   /* R_INPUT; an object is how the answer should look */
	R_PROMPT, /* a string, a number (one id of the prompt), an array of R_ID, an item */
	R_ID,
	R_CALLS,
	R_CALL,
	R_FUNCTION,
	R_FORMAT,
	R_FORMAT_TYPE,
	R_SCHEMA,   /* the answer has to be of a form; the value is no prompt */
	R_SOURCE,   /* where a document comes from: text, or a file */
	R_DOCUMENT, /* what names such a source, or is text itself */
	R_OPAQUE,   /* there is more to the prompt than text */
	R_AGENT,    /* R_OPAQUE where it stands for the model: instructions are kept with it */
	R_BULKY,    /* the answer has more to it than its text */
	ROLES
};

struct member {
	struct slice name;
	enum role role;
};

/* What an object or array in a role is made of; nothing where it would be of the wrong type. */
struct shape {
	const struct member *members;
	size_t nmembers;
	enum role element;
};

extern const struct shape body_shapes[ROLES];

/* The member of that name in a container of that role; NULL: unknown. */
const struct member *body_member(enum role role, struct slice name);

#define BODY_ROOT_MAX 96 /* members of R_ROOT, at most */

#define BODY_BLOB_MIN 512 /* bytes of a string that may be an image or the like */

/* Of the type of a part: its text is prompt; or it has text in other members, if any. A part of
 * any other type is an image or the like. */
bool body_is_text_type(struct slice type);
bool body_is_plain_type(struct slice type);
/* Of a string as it is written in JSON. bytes: so its name says. */
bool body_is_base64(struct slice s, bool bytes);
bool body_names_bytes(struct slice name);
/* Words that Python's engines take for true and false. */
bool body_is_yes(struct slice word);
bool body_is_no(struct slice word);

/* Bytes of the UTF-8 byte order mark that the sample starts with: 3 or 0. */
size_t body_mark(struct slice sample);

#endif
