/* hapconf.h - HAProxy's own files, as far as they concern us: sections of lines of words.
 *
 * A tolerant reader. It knows HAProxy's quotes, escapes, comments and variables, the kinds of
 * sections and where their defaults come from. What it does not know is a line like any other:
 * whether HAProxy takes the file is for haproxy -c to say. Both branches of .if are read.
 *
 * Bounded: HAPCONF_LINES_MAX lines in all, HAPCONF_WORDS_MAX words each. Everything lives until
 * hapconf_free(). */
#ifndef SLO_CONF_HAPROXY_HAPCONF_H
#define SLO_CONF_HAPROXY_HAPCONF_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

#define HAPCONF_FILE_MAX  ((size_t)4 << 20) /* bytes */
#define HAPCONF_LINES_MAX 200000
#define HAPCONF_WORDS_MAX 128 /* of a line; further ones are left out */

struct hap_line {
	const struct hap_line *next; /* in its section */
	const char *file;
	size_t number; /* from 1 */
	size_t branch; /* of the .if or .else that it stands in; 0: none */
	size_t words;  /* >= 1 */
	const char *word[];
};

enum hap_kind {
	HAP_GLOBAL,
	HAP_DEFAULTS,
	HAP_FRONTEND,
	HAP_BACKEND,
	HAP_LISTEN, /* a frontend and a backend in one */
	HAP_RING,
	HAP_SPOE_AGENT,
	HAP_SPOE_MESSAGE,
	HAP_SPOE_GROUP,
	HAP_OTHER, /* resolvers, peers, ... */
};

struct hap_section {
	const struct hap_section *next;
	enum hap_kind kind;
	const char *name;               /* "": it has none */
	const char *engine;             /* of the line [engine] that it stands below; "": none */
	const struct hap_section *from; /* the defaults that it builds on; NULL: none */
	const struct hap_line *head;    /* its own line, such as "backend x from y" */
	const struct hap_line *lines;   /* those below it; NULL: none */
};

/* Looks a variable of the environment up; NULL: it is not set. */
typedef const char *hap_env(void *user, const char *name);

struct hapconf {
	const struct hap_section *sections; /* in the order of the files */
	/* Its own. */
	hap_env *env;
	void *user;
	struct hap_chunk *chunks;
	struct hap_section *last;
	const struct hap_section *defaults; /* of the sections that follow and name none */
	size_t lines;
};

void hapconf_init(struct hapconf *h, hap_env *env, void *user);
/* Reads a file's text after those before it. SLO_EPROTO: it has a NUL byte or too many lines, and
 * is no configuration. SLO_ENOMEM. What was read before the error stays. */
MUSTCHECK slo_err hapconf_read(struct hapconf *h, const char *file, const char *text, size_t len);
void hapconf_free(struct hapconf *h);

/* NULL: there is none. */
const struct hap_section *hap_section_find(const struct hapconf *h, enum hap_kind kind,
                                           const char *name);
/* One that may be a backend, or a listen section. */
const struct hap_section *hap_backend_find(const struct hapconf *h, const char *name);

/* The lines of a section and then of the defaults behind it. */
struct hap_walk {
	const struct hap_section *section;
	const struct hap_line *line;
};
/* The next line that starts with these words (second may be NULL); NULL: no more. Begin with
 * { section, section->lines }. */
const struct hap_line *hap_next(struct hap_walk *w, const char *first, const char *second);
struct hap_walk hap_walk(const struct hap_section *s);

/* What holds: the last such line of the section, or else of its defaults. NULL: none. */
const struct hap_line *hap_find(const struct hap_section *s, const char *first, const char *second);
/* Whether "option NAME" holds; the last of "option NAME" and "no option NAME" counts. NULL: neither
 * is there. */
const struct hap_line *hap_option(const struct hap_section *s, const char *name, bool *on);

/* The word at i, or "". */
const char *hap_word(const struct hap_line *l, size_t i);
/* Where `word` stands on the line, from word `first` on; l->words: nowhere. */
size_t hap_index(const struct hap_line *l, size_t first, const char *word);
/* Whether a word of the line contains text. */
bool hap_mentions(const struct hap_line *l, const char *text);

#endif
