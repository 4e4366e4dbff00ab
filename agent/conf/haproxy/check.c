#include "conf/haproxy/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_private.h"

#define ASKING_MAX 64 /* frontends that ask the agent; further ones are not looked at */

/* Sections that share a line of their defaults find the same. */
static bool is_told(const struct hap_findings *f, const struct hap_finding *new)
{
	for (size_t i = 0; new->file &&i + 1 < f->count; i++)
		if (f->list[i].line == new->line &&
		    f->list[i].file == new->file &&strcmp(f->list[i].code, new->code) == 0 &&
		    strcmp(f->list[i].text, new->text) == 0)
			return true;
	return false;
}

void tell(const struct checking *c, enum severity severity, const char *code,
          const struct hap_line *at, const char *fmt, ...)
{
	struct hap_findings *f = c->out;
	struct hap_finding *new;
	va_list ap;

	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct hap_finding *grown = reallocarray(f->list, cap, sizeof(*grown));

		if (!grown) {
			f->out_of_memory = true;
			return;
		}
		f->list = grown;
		f->cap = cap;
	}
	new = &f->list[f->count++];
	*new = (struct hap_finding){ .code = code, .fatal = severity == FATAL };
	if (at) {
		new->file = at->file;
		new->line = at->number;
	}
	va_start(ap, fmt);
	vsnprintf(new->text, sizeof(new->text), fmt, ap);
	va_end(ap);
	if (is_told(f, new))
		f->count--;
}

void hap_findings_free(struct hap_findings *f)
{
	free(f->list);
	*f = (struct hap_findings){ 0 };
}

/* "filter spoe engine NAME config FILE", in any order. NULL: it is no such line. */
static const char *value_of(const struct hap_line *l, const char *key)
{
	size_t i = hap_index(l, 2, key);

	return i + 1 < l->words ? l->word[i + 1] : NULL;
}

static bool is_frontend(const struct hap_section *s)
{
	return s->kind == HAP_FRONTEND || s->kind == HAP_LISTEN;
}

void hap_spoe_files(const struct hapconf *hap,
                    void (*found)(void *user, const char *named_by, const char *path), void *user)
{
	for (const struct hap_section *s = hap->sections; s; s = s->next) {
		struct hap_walk w = hap_walk(s);
		const struct hap_line *l;

		while (is_frontend(s) && (l = hap_next(&w, "filter", "spoe"))) {
			const char *path = value_of(l, "config");

			if (path)
				found(user, l->file, path);
		}
	}
}

/* The engine's section of this kind. Without a name any will do. */
static const struct hap_section *of_engine(const struct hapconf *hap, enum hap_kind kind,
                                           const char *engine, const char *name)
{
	const struct hap_section *s = hap->sections;

	while (s && (s->kind != kind || strcmp(s->engine, engine) != 0 ||
	             (name && strcmp(s->name, name) != 0)))
		s = s->next;
	return s;
}

static struct asking asking_of(const struct hapconf *hap, const struct hap_section *frontend,
                               const struct hap_line *filter)
{
	const char *engine = value_of(filter, "engine");
	struct asking a = { .frontend = frontend, .filter = filter, .prefix = "" };
	const struct hap_line *l;

	a.engine = engine ? engine : "";
	a.agent = of_engine(hap, HAP_SPOE_AGENT, a.engine, NULL);
	a.message = of_engine(hap, HAP_SPOE_MESSAGE, a.engine, "slo-route");
	if (!a.agent)
		return a;
	if ((l = hap_find(a.agent, "option", "var-prefix")))
		a.prefix = hap_word(l, 2);
	if ((l = hap_find(a.agent, "use-backend", NULL)))
		a.spop = hap_backend_find(hap, hap_word(l, 1));
	return a;
}

/* A filter that is another agent's, such as a firewall: it neither leads to our listener nor has
 * our message. One that leads nowhere may be meant for us. */
static bool is_ours(const struct checking *c, const struct asking *a)
{
	struct hap_walk w;
	const struct hap_line *l;

	if (!a->agent || a->message || !a->spop)
		return true;
	w = hap_walk(a->spop);
	while ((l = hap_next(&w, "server", NULL)))
		if (hap_listener_has(&c->conf->spop, hap_word(l, 2), false) != MATCH_NO)
			return true;
	return false;
}

static size_t find_asking(const struct checking *c, struct asking *all)
{
	size_t count = 0;

	for (const struct hap_section *s = c->hap->sections; s; s = s->next) {
		struct hap_walk w = hap_walk(s);
		const struct hap_line *l;

		while (is_frontend(s) && count < ASKING_MAX &&
		       (l = hap_next(&w, "filter", "spoe"))) {
			all[count] = asking_of(c->hap, s, l);
			count += is_ours(c, &all[count]);
		}
	}
	return count;
}

void hap_check(const struct config *conf, const struct hapconf *hap, struct hap_findings *out)
{
	const struct checking c = { .conf = conf,
		                    .hap = hap,
		                    .out = out,
		                    .global = hap_section_find(hap, HAP_GLOBAL, "") };
	struct asking all[ASKING_MAX];
	size_t count = find_asking(&c, all);

	if (count == 0)
		tell(&c, FATAL, "never-asked", NULL,
		     "no frontend has \"filter spoe\": HAProxy asks the agent nothing and balances "
		     "by itself; put \"filter spoe engine slo config spoe-slo.cfg\" into the "
		     "frontend, or name the file that has it");
	for (size_t i = 0; i < count; i++) {
		check_asking(&c, &all[i]);
		check_rules(&c, &all[i]);
		check_times(&c, &all[i]);
		check_end_lines(&c, &all[i]);
		check_log_format(&c, &all[i]);
	}
	check_fleet(&c, all, count);
	check_process(&c, all, count);
}
