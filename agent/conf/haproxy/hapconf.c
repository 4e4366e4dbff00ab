#include "conf/haproxy/hapconf.h"

#include <stdlib.h>
#include <string.h>

#include "words.h"

#define CHUNK        65536 /* bytes */
#define BRANCHES_MAX 16    /* .if within .if */

/* Memory that goes at once. */
struct hap_chunk {
	struct hap_chunk *next;
	size_t used, size;
	max_align_t bytes[];
};

static void *take(struct hapconf *h, size_t size)
{
	struct hap_chunk *c = h->chunks;
	size_t rounded =
	    (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	void *p;

	if (!c || c->size - c->used < rounded) {
		size_t room = rounded > CHUNK ? rounded : CHUNK;

		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		*c = (struct hap_chunk){ .next = h->chunks, .size = room };
		h->chunks = c;
	}
	p = (char *)c->bytes + c->used;
	c->used += rounded;
	return p;
}

static const char *keep(struct hapconf *h, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = take(h, size);

	return copy ? memcpy(copy, text, size) : NULL;
}

void hapconf_init(struct hapconf *h, hap_env *env, void *user)
{
	*h = (struct hapconf){ .env = env, .user = user };
}

void hapconf_free(struct hapconf *h)
{
	while (h->chunks) {
		struct hap_chunk *c = h->chunks;

		h->chunks = c->next;
		free(c);
	}
}

/* Reading */

static bool kind_of(const char *word, enum hap_kind *kind)
{
	static const struct {
		const char *word;
		enum hap_kind kind;
	} kinds[] = {
		{ "global", HAP_GLOBAL },         { "defaults", HAP_DEFAULTS },
		{ "frontend", HAP_FRONTEND },     { "backend", HAP_BACKEND },
		{ "listen", HAP_LISTEN },         { "ring", HAP_RING },
		{ "spoe-agent", HAP_SPOE_AGENT }, { "spoe-message", HAP_SPOE_MESSAGE },
		{ "spoe-group", HAP_SPOE_GROUP }, { "acme", HAP_OTHER },
		{ "cache", HAP_OTHER },           { "crt-list", HAP_OTHER },
		{ "crt-store", HAP_OTHER },       { "fcgi-app", HAP_OTHER },
		{ "http-errors", HAP_OTHER },     { "log-forward", HAP_OTHER },
		{ "log-profile", HAP_OTHER },     { "mailers", HAP_OTHER },
		{ "peers", HAP_OTHER },           { "program", HAP_OTHER },
		{ "resolvers", HAP_OTHER },       { "traces", HAP_OTHER },
		{ "userlist", HAP_OTHER },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].word, word) == 0) {
			*kind = kinds[i].kind;
			return true;
		}
	}
	return false;
}

static struct hap_line *keep_line(struct hapconf *h, const struct hap_words *w, const char *file,
                                  size_t number)
{
	struct hap_line *l = take(h, sizeof(*l) + w->count * sizeof(l->word[0]));

	if (!l)
		return NULL;
	*l = (struct hap_line){ .file = file, .number = number, .words = w->count };
	for (size_t i = 0; i < w->count; i++)
		if (!(l->word[i] = keep(h, w->word[i])))
			return NULL;
	return l;
}

static bool has_defaults(enum hap_kind kind)
{
	return kind == HAP_DEFAULTS || kind == HAP_FRONTEND || kind == HAP_BACKEND ||
	       kind == HAP_LISTEN;
}

/* The defaults that a section names, or the last ones. Those of a defaults section never come by
 * themselves. */
static const struct hap_section *defaults_of(const struct hapconf *h, enum hap_kind kind,
                                             const struct hap_line *head)
{
	size_t from = hap_index(head, 1, "from");

	if (!has_defaults(kind))
		return NULL;
	if (from + 1 < head->words)
		return hap_section_find(h, HAP_DEFAULTS, head->word[from + 1]);
	return kind == HAP_DEFAULTS ? NULL : h->defaults;
}

static slo_err add_section(struct hapconf *h, enum hap_kind kind, const char *engine,
                           const struct hap_line *head)
{
	struct hap_section *s = take(h, sizeof(*s));
	const char *name = hap_word(head, 1);

	if (!s)
		return SLO_ENOMEM;
	*s = (struct hap_section){ .kind = kind,
		                   .name = strcmp(name, "from") == 0 ? "" : name,
		                   .engine = engine,
		                   .from = defaults_of(h, kind, head),
		                   .head = head };
	if (h->last)
		h->last->next = s;
	else
		h->sections = s;
	h->last = s;
	if (kind == HAP_DEFAULTS)
		h->defaults = s;
	return SLO_OK;
}

/* The name in "[name]". */
static const char *engine_of(struct hapconf *h, const char *word)
{
	size_t len = strcspn(word + 1, "]");
	char *name = take(h, len + 1);

	if (name) {
		memcpy(name, word + 1, len);
		name[len] = '\0';
	}
	return name;
}

/* Where reading a file stands. */
struct reading {
	struct hapconf *h;
	const char *file, *engine;
	const struct hap_line *
	    *tail; /* where the next line of the section goes; NULL: no section */
	struct hap_words words;
	/* The branches that are open. Of deeper ones only the depth is known. */
	size_t branch[BRANCHES_MAX], depth, branches;
};

static void read_condition(struct reading *r, const char *word)
{
	if (strcmp(word, ".if") == 0)
		r->depth++;
	else if (strcmp(word, ".endif") == 0 && r->depth > 0)
		r->depth--;
	else if (strcmp(word, ".elif") != 0 && strcmp(word, ".else") != 0)
		return;
	if (strcmp(word, ".endif") != 0 && r->depth > 0 && r->depth <= BRANCHES_MAX)
		r->branch[r->depth - 1] = ++r->branches;
}

static size_t branch_of(const struct reading *r)
{
	const size_t depth = r->depth < BRANCHES_MAX ? r->depth : BRANCHES_MAX;

	return depth > 0 ? r->branch[depth - 1] : 0;
}

static slo_err read_line(struct reading *r, const char *text, size_t len, size_t number)
{
	struct hap_line *line;
	enum hap_kind kind;

	hap_words_split(&r->words, text, len, r->h->env, r->h->user);
	if (r->words.count == 0)
		return SLO_OK;
	if (r->words.word[0][0] == '.') {
		read_condition(r, r->words.word[0]);
		return SLO_OK;
	}
	if (++r->h->lines > HAPCONF_LINES_MAX)
		return SLO_EPROTO;
	line = keep_line(r->h, &r->words, r->file, number);
	if (!line)
		return SLO_ENOMEM;
	line->branch = branch_of(r);
	if (line->word[0][0] == '[') {
		r->engine = engine_of(r->h, line->word[0]);
		r->tail = NULL;
		return r->engine ? SLO_OK : SLO_ENOMEM;
	}
	if (kind_of(line->word[0], &kind)) {
		if (add_section(r->h, kind, r->engine, line) != SLO_OK)
			return SLO_ENOMEM;
		r->tail = &r->h->last->lines;
	} else if (r->tail) {
		*r->tail = line;
		r->tail = &line->next;
	}
	return SLO_OK;
}

slo_err hapconf_read(struct hapconf *h, const char *file, const char *text, size_t len)
{
	struct reading *r;
	const char *end = text + len;
	slo_err err = SLO_OK;

	if (len > HAPCONF_FILE_MAX || (len > 0 && memchr(text, '\0', len)))
		return SLO_EPROTO;
	r = calloc(1, sizeof(*r));
	if (!r)
		return SLO_ENOMEM;
	*r = (struct reading){ .h = h, .file = keep(h, file), .engine = "" };
	if (!r->file)
		err = SLO_ENOMEM;
	for (size_t number = 1; err == SLO_OK && text < end; number++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		err = read_line(r, text, (size_t)(stop - text), number);
		text = stop < end ? stop + 1 : end;
	}
	free(r);
	return err;
}

/* Asking */

const struct hap_section *hap_section_find(const struct hapconf *h, enum hap_kind kind,
                                           const char *name)
{
	const struct hap_section *s = h->sections;

	while (s && (s->kind != kind || strcmp(s->name, name) != 0))
		s = s->next;
	return s;
}

const struct hap_section *hap_backend_find(const struct hapconf *h, const char *name)
{
	const struct hap_section *s = hap_section_find(h, HAP_BACKEND, name);

	return s ? s : hap_section_find(h, HAP_LISTEN, name);
}

const char *hap_word(const struct hap_line *l, size_t i)
{
	return i < l->words ? l->word[i] : "";
}

size_t hap_index(const struct hap_line *l, size_t first, const char *word)
{
	size_t i = first;

	while (i < l->words && strcmp(l->word[i], word) != 0)
		i++;
	return i < l->words ? i : l->words;
}

bool hap_mentions(const struct hap_line *l, const char *text)
{
	for (size_t i = 0; i < l->words; i++)
		if (memmem(l->word[i], strlen(l->word[i]), text, strlen(text)))
			return true;
	return false;
}

struct hap_walk hap_walk(const struct hap_section *s)
{
	return (struct hap_walk){ s, s->lines };
}

static bool starts(const struct hap_line *l, const char *first, const char *second)
{
	return strcmp(l->word[0], first) == 0 && (!second || strcmp(hap_word(l, 1), second) == 0);
}

/* Defaults can build on defaults that stand before them only, so this ends. */
const struct hap_line *hap_next(struct hap_walk *w, const char *first, const char *second)
{
	while (w->section) {
		while (w->line) {
			const struct hap_line *l = w->line;

			w->line = l->next;
			if (starts(l, first, second))
				return l;
		}
		w->section = w->section->from;
		w->line = w->section ? w->section->lines : NULL;
	}
	return NULL;
}

const struct hap_line *hap_find(const struct hap_section *s, const char *first, const char *second)
{
	const struct hap_line *found = NULL;

	for (; s && !found; s = s->from)
		for (const struct hap_line *l = s->lines; l; l = l->next)
			if (starts(l, first, second))
				found = l;
	return found;
}

const struct hap_line *hap_option(const struct hap_section *s, const char *name, bool *on)
{
	const struct hap_line *found = NULL;

	*on = false;
	for (; s && !found; s = s->from) {
		for (const struct hap_line *l = s->lines; l; l = l->next) {
			bool no = strcmp(l->word[0], "no") == 0;

			if (strcmp(hap_word(l, no), "option") == 0 &&
			    strcmp(hap_word(l, no + 1u), name) == 0) {
				found = l;
				*on = !no;
			}
		}
	}
	return found;
}
