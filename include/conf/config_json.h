/* config_json.h - typed reading of the configuration's JSON tree, for config.c and what it
 * is made of: config_addresses, config_routing, config_models, config_redis.
 *
 * The error is sticky: the first one is kept with its place in the text, and every later call
 * does nothing. So a section is read in a straight line and checked once at its end. */
#ifndef SLO_CONF_CONFIG_JSON_H
#define SLO_CONF_CONFIG_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/config.h"
#include "wire/json/jsonpos.h"

struct cfg_doc {
	const char *text;
	size_t len;
	struct config_error *err;
	bool failed;
};

/* A value and the way to it. Lives on the stack of whoever reads; its parent outlives it. */
struct cfg_node {
	json_t *value;                 /* NULL: absent */
	const struct cfg_node *parent; /* NULL: the outermost value */
	const char *key;               /* NULL: element `index` of an array */
	size_t index;
};

struct cfg_node cfg_member(const struct cfg_node *object, const char *key);
struct cfg_node cfg_element(const struct cfg_node *array, size_t index);

/* Keeps the first error. A node without value is missed where its parent begins. */
__attribute__((format(printf, 4, 5))) void cfg_fail(struct cfg_doc *d, const struct cfg_node *n,
                                                    enum jsonpos_part part, const char *format,
                                                    ...);
void cfg_no_memory(struct cfg_doc *d);

/* Control characters become '?'. */
void cfg_printable(char *s);

/* A short, printable copy of a text for a message. */
struct cfg_quote {
	char s[64];
};
struct cfg_quote cfg_quote(const char *s);

enum cfg_type {
	CFG_ELSEWHERE, /* known, but read by the caller */
	CFG_COUNT,     /* size_t, from an integer */
	CFG_U64,       /* uint64_t, from an integer */
	CFG_SIZE,      /* size_t in bytes, from "64k" or an integer */
	CFG_TIME,      /* slo_nsec, from "30s" or an integer in milliseconds */
};

struct cfg_field {
	const char *name;
	enum cfg_type type;
	size_t offset;    /* into the section's struct */
	int64_t min, max; /* both allowed; of a time in nanoseconds */
};

/* Checks that n is an object that has only these keys, and stores those that are there into
 * `section`; the others keep their default. Nothing happens when n is absent. */
void cfg_section(struct cfg_doc *d, const struct cfg_node *n, const struct cfg_field *fields,
                 size_t count, void *section);

/* The following return true when they found a good value, false when the member is absent or
 * an error was kept. */

/* A member that is a string of 1 to max bytes. *out borrows from the tree. */
bool cfg_string(struct cfg_doc *d, const struct cfg_node *object, const char *key, size_t max,
                const char **out);

/* Likewise a file, relative to dir. *out is for free(). */
bool cfg_path(struct cfg_doc *d, const struct cfg_node *object, const char *key, const char *dir,
              char **out);
bool cfg_bool(struct cfg_doc *d, const struct cfg_node *object, const char *key, bool *out);

struct cfg_choice {
	const char *name;
	int value;
};
bool cfg_choice(struct cfg_doc *d, const struct cfg_node *object, const char *key,
                const struct cfg_choice *choices, size_t count, int *out);

/* These want the node itself to be of a type; absent is an error. */
bool cfg_want_object(struct cfg_doc *d, const struct cfg_node *n);
bool cfg_want_array(struct cfg_doc *d, const struct cfg_node *n);
/* Of 1 to max bytes. */
bool cfg_want_string(struct cfg_doc *d, const struct cfg_node *n, size_t max, const char **out);

#endif
