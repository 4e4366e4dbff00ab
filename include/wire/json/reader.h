/* reader.h - typed reading of a JSON text, with the place of what is wrong in it. Configuration,
 * profiles and scenarios are read with it.
 *
 * jansson makes the tree. It keeps no positions, so that of an error is looked up again in the text
 * (jsonpos.h): what is right costs nothing for it. The error is sticky: the first one is kept, and
 * every later call does nothing. So a text is read in a straight line and checked once at its end.
 */
#ifndef SLO_WIRE_JSON_READER_H
#define SLO_WIRE_JSON_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "slo.h"
#include "wire/json/doc_error.h"
#include "wire/json/jsonpos.h"

struct reader {
	const char *text; /* the original: errors point into it */
	size_t len;
	json_t *root;
	bool nan;    /* null may stand for NaN and Infinity */
	bool failed; /* then *error says how */
	slo_err code;
	struct doc_error *error;
};

enum reader_flags {
	READER_NAN = 1,    /* bare NaN and Infinity are null, integers are reals */
	READER_UNIQUE = 2, /* two equal names in an object are an error; without, the last counts */
};

/* Reads the tree. On failure r->code is SLO_EPROTO (no JSON) or SLO_ENOMEM, and r->root NULL.
 * `error` is the caller's and is written in any case. */
void reader_open(struct reader *r, const char *file, const char *text, size_t len,
                 enum reader_flags flags, struct doc_error *error);
void reader_close(struct reader *r); /* and the nodes are gone */

/* A value and the way to it. Lives on the stack of whoever reads; its parent outlives it. */
struct node {
	json_t *value;             /* NULL: absent */
	const struct node *parent; /* NULL: the outermost value */
	const char *key;           /* NULL: element `index` of an array */
	size_t index;
};

#define NODE_DEPTH_MAX 8 /* models, M, deployments, D, servers, element */

struct node reader_root(const struct reader *r);
struct node node_member(const struct node *object, const char *key);
struct node node_element(const struct node *array, size_t index);
/* A member whose name matches in any case; of several the last. */
struct node node_member_any_case(const struct node *object, const char *key);
/* The same node, absent if it is null. */
struct node node_not_null(struct node n);

/* Keeps the first error, as SLO_EINVAL. What is absent is missed where its parent begins. */
__attribute__((format(printf, 4, 5))) void reader_fail(struct reader *r, const struct node *n,
                                                       enum jsonpos_part part, const char *format,
                                                       ...);
/* "is a string, must be WANTED", or "is missing". */
void reader_fail_type(struct reader *r, const struct node *n, const char *wanted);
void reader_no_memory(struct reader *r);

/* Control characters become '?'. */
void reader_printable(char *s);
/* A short, printable copy of a text for a message. */
struct reader_quote {
	char s[64];
};
struct reader_quote reader_quote(const char *s);

/* These want the node to be of a type; absent is an error. False: an error was kept, now or
 * before. */
bool reader_want_object(struct reader *r, const struct node *n);
bool reader_want_array(struct reader *r, const struct node *n);
/* A string of 1 to max bytes; *out borrows from the tree. */
bool reader_want_string(struct reader *r, const struct node *n, size_t max, const char **out);
/* A number in [min, max]. A max of INFINITY: any finite one from min on. */
bool reader_want_number(struct reader *r, const struct node *n, double min, double max,
                        double *out);

/* True when the member is there and good; false when it is absent or an error was kept. */
bool reader_string(struct reader *r, const struct node *object, const char *key, size_t max,
                   const char **out);
bool reader_bool(struct reader *r, const struct node *object, const char *key, bool *out);

struct reader_choice {
	const char *name;
	int value;
};
bool reader_choice(struct reader *r, const struct node *object, const char *key,
                   const struct reader_choice *choices, size_t count, int *out);

/* Names of keys: pointers that stand `stride` bytes apart, as the first members of a table's rows
 * do. */
struct reader_names {
	const char *const *first;
	size_t count, stride;
};
/* The one that was probably meant by `key`, or NULL. */
const char *reader_suggest(const char *key, struct reader_names known);
/* An error if the object has a key that is none of these. */
void reader_only_keys(struct reader *r, const struct node *object, struct reader_names known);

#endif
