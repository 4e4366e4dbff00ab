/* Models, backends and servers: names on both sides, and the rules that act on the answer. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "check_private.h"
#include "wire/json/reader.h"

#define NAMES_MAX     512  /* that a suggestion is sought among */
#define ADDRESSES_MAX 4096 /* of a backend that are compared */

/* "server-template web 1-3 ..." stands for web1, web2, web3. */
static bool template_has(const struct hap_line *l, const char *name)
{
	const char *prefix = hap_word(l, 1), *range = hap_word(l, 2), *dash = strchr(range, '-');
	size_t len = strlen(prefix);
	uint64_t first, last, n;

	if (strncmp(name, prefix, len) != 0 || !slice_decimal(slice_of(name + len), INT32_MAX, &n))
		return false;
	slice_digits(slice_of(range), &first);
	if (dash)
		slice_digits(slice_of(dash + 1), &last);
	else
		last = first;
	return n >= (dash ? first : 1) && n <= last;
}

/* Whether a server line stands for that name, or for one that fits the pattern. */
static bool line_has(const struct hap_line *l, const char *name)
{
	if (strcmp(l->word[0], "server-template") == 0)
		return config_is_pattern(name) ? true : template_has(l, name);
	if (strcmp(l->word[0], "server") != 0)
		return false;
	return config_is_pattern(name) ? fnmatch(name, hap_word(l, 1), FNM_NOESCAPE) == 0
	                               : strcmp(hap_word(l, 1), name) == 0;
}

static bool backend_has(const struct hap_section *b, const char *name)
{
	for (const struct hap_line *l = b->lines; l; l = l->next)
		if (line_has(l, name))
			return true;
	return false;
}

static bool model_has(const struct config_model *m, const struct hap_line *server)
{
	for (size_t i = 0; i < m->deployment_count; i++)
		for (size_t k = 0; k < m->deployments[i].server_count; k++)
			if (line_has(server, m->deployments[i].servers[k]))
				return true;
	return false;
}

/* What the operator may have meant, of those that the model does not name elsewhere; NULL: no idea.
 */
static const char *closest_server(const struct config_model *m, const struct hap_section *b,
                                  const char *name)
{
	const char *names[NAMES_MAX];
	size_t n = 0;

	for (const struct hap_line *l = b->lines; l && n < NAMES_MAX; l = l->next) {
		if (strcmp(l->word[0], "server") != 0 || model_has(m, l))
			continue;
		if (strcasecmp(hap_word(l, 1), name) == 0)
			return hap_word(l, 1);
		names[n++] = hap_word(l, 1);
	}
	return reader_suggest(name, (struct reader_names){ names, n, sizeof(names[0]) });
}

static const char *closest_backend(const struct hapconf *hap, const char *name)
{
	const char *names[NAMES_MAX];
	size_t n = 0;

	for (const struct hap_section *s = hap->sections; s && n < NAMES_MAX; s = s->next) {
		if (s->kind != HAP_BACKEND && s->kind != HAP_LISTEN)
			continue;
		if (strcasecmp(s->name, name) == 0)
			return s->name;
		names[n++] = s->name;
	}
	return reader_suggest(name, (struct reader_names){ names, n, sizeof(names[0]) });
}

/* Names */

static void check_deployment(const struct checking *c, const struct config_model *m,
                             const struct config_deployment *d, const struct hap_section *b)
{
	for (size_t i = 0; i < d->server_count; i++) {
		const char *name = d->servers[i], *hint;

		if (backend_has(b, name))
			continue;
		hint = config_is_pattern(name) ? NULL : closest_server(m, b, name);
		tell(
		    c, config_is_pattern(name) ? WORSE : FATAL, "server-absent", b->head,
		    "backend %s has no server %s, which models.%s.deployments.%s names: it gets no "
		    "request%s%s%s; give it the same name in both",
		    b->name, name, m->name, d->name, hint ? " (did you mean " : "",
		    hint ? hint : "", hint ? "?)" : "");
	}
}

static bool some_model_has(const struct config *conf, const struct hap_section *b,
                           const struct hap_line *server)
{
	for (size_t i = 0; i < conf->model_count; i++)
		if (strcmp(conf->models[i].backend, b->name) == 0 &&
		    model_has(&conf->models[i], server))
			return true;
	return false;
}

static void check_strangers(const struct checking *c, const struct config_model *m,
                            const struct hap_section *b)
{
	for (const struct hap_line *l = b->lines; l; l = l->next)
		if (strcmp(l->word[0], "server") == 0 && !some_model_has(c->conf, b, l))
			tell(c, WORSE, "server-unlisted", l,
			     "server %s/%s is in no deployment of models.%s: the agent never sends "
			     "a "
			     "request there; add it to the \"servers\" of its deployment",
			     b->name, hap_word(l, 1), m->name);
}

/* Whether requests go to the server, and its address is that of one engine. */
static bool has_an_address(const struct checking *c, const struct hap_section *b,
                           const struct hap_line *l)
{
	static const char *const others[] = { "disabled", "backup", "resolvers", "namespace",
		                              "socks4" };

	if (strcmp(l->word[0], "server") != 0 || !some_model_has(c->conf, b, l))
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (hap_index(l, 3, others[i]) < l->words)
			return false;
	return true;
}

/* Two names of one engine. */
static void check_addresses(const struct checking *c, const struct hap_section *b)
{
	static const char *const others[] = { "resolvers", "disabled", "backup" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (hap_any(b, "default-server", others[i]))
			return;
	for (const struct hap_line *l = b->lines; l && n < ADDRESSES_MAX; l = l->next, n++) {
		const struct hap_line *first = b->lines;

		if (!has_an_address(c, b, l))
			continue;
		while (first != l && (strcmp(hap_word(first, 2), hap_word(l, 2)) != 0 ||
		                      first->branch != l->branch || !has_an_address(c, b, first)))
			first = first->next;
		if (first != l && strcmp(hap_word(first, 1), hap_word(l, 1)) != 0)
			tell(
			    c, WORSE, "server-doubled", l,
			    "server %s/%s has the address of %s, %s: the agent fills one engine as "
			    "if it were two; give each its own address, or take one away",
			    b->name, hap_word(l, 1), hap_word(first, 1), hap_word(l, 2));
	}
}

/* Rules */

/* Whether a use-server rule leads to this server when the agent says so. */
static bool is_used(const struct hap_section *b, const char *server, const char *variable)
{
	struct hap_walk w = hap_walk(b);
	const struct hap_line *l;

	while ((l = hap_next(&w, "use-server", NULL))) {
		if (!hap_mentions(l, variable))
			continue;
		if (hap_word(l, 1)[0] == '%' || !server || strcmp(hap_word(l, 1), server) == 0)
			return true;
	}
	return false;
}

static void check_answers(const struct checking *c, const struct asking *a, const char *model,
                          const struct hap_section *b)
{
	char variable[300];

	snprintf(variable, sizeof(variable), "txn.%s.server", a->prefix);
	if (!is_used(b, NULL, variable)) {
		bool other = hap_any(b, "use-server", "txn.");

		tell(c, FATAL, "answer-unused", b->head,
		     "backend %s has no use-server rule with %s%s: HAProxy balances by itself "
		     "whatever "
		     "the agent answers for model %s; add: use-server %%[var(%s)] if { var(%s) -m "
		     "len gt "
		     "0 }",
		     b->name, variable, other ? ", the variable that var-prefix makes" : "", model,
		     variable, variable);
		return;
	}
	for (const struct hap_line *l = b->lines; l; l = l->next)
		if (strcmp(l->word[0], "server") == 0 && some_model_has(c->conf, b, l) &&
		    !is_used(b, hap_word(l, 1), variable))
			tell(c, FATAL, "answer-unused", l,
			     "no use-server rule leads to %s/%s: HAProxy balances by itself when "
			     "the agent "
			     "chooses it; add: use-server %s if { var(%s) -m str %s }",
			     b->name, hap_word(l, 1), hap_word(l, 1), variable, hap_word(l, 1));
}

/* Whether requests of the frontend can come to the backend. */
static bool leads_to(const struct asking *a, const char *backend)
{
	char variable[300];
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l = hap_find(a->frontend, "default_backend", NULL);

	if (strcmp(a->frontend->name, backend) == 0 || (l && strcmp(hap_word(l, 1), backend) == 0))
		return true;
	snprintf(variable, sizeof(variable), "txn.%s.backend", a->prefix);
	while ((l = hap_next(&w, "use_backend", NULL)))
		if (strcmp(hap_word(l, 1), backend) == 0 || hap_mentions(l, variable))
			return true;
	return false;
}

static void check_way(const struct checking *c, const struct asking *all, size_t count,
                      const struct config_model *m)
{
	for (size_t i = 0; i < count; i++)
		if (leads_to(&all[i], m->backend))
			return;
	if (count > 0)
		tell(c, FATAL, "answer-unused", all[0].frontend->head,
		     "no rule of frontend %s leads to backend %s, that of model %s: HAProxy sends "
		     "its "
		     "requests elsewhere; add: use_backend %%[var(txn.%s.backend)] if { "
		     "var(txn.%s.backend) -m len gt 0 }",
		     all[0].frontend->name, m->backend, m->name, all[0].prefix, all[0].prefix);
}

/* The backend */

/* Whether the section lets no connection to a server live for a second request. */
static bool closes(const struct hap_section *s)
{
	bool on;

	return (hap_option(s, "http-server-close", &on) && on) ||
	       (hap_option(s, "httpclose", &on) && on);
}

/* Whether that line of a server keeps no idle connections. */
static bool keeps_none(const struct hap_line *l)
{
	return strcmp(hap_word(l, hap_index(l, 1, "pool-max-conn") + 1), "0") == 0;
}

static bool all_keep_none(const struct hap_section *b)
{
	struct hap_walk w = hap_walk(b);
	const struct hap_line *l;
	size_t servers = 0;

	while ((l = hap_next(&w, "default-server", NULL)))
		if (keeps_none(l))
			return true;
	for (l = b->lines; l; l = l->next) {
		if (strcmp(l->word[0], "server") != 0 && strcmp(l->word[0], "server-template") != 0)
			continue;
		if (!keeps_none(l))
			return false;
		servers++;
	}
	return servers > 0;
}

/* The option works in the frontend as well as in the backend. */
static void check_reuse(const struct checking *c, const struct asking *all, size_t count,
                        const struct hap_section *b)
{
	size_t leading = 0, closing = 0;

	for (size_t i = 0; i < count; i++) {
		const bool leads = leads_to(&all[i], b->name);

		leading += leads;
		closing += leads && closes(all[i].frontend);
	}
	if (closes(b) || all_keep_none(b) || (leading > 0 && closing == leading))
		return;
	tell(c, WORSE, "lines-lost", b->head,
	     "backend %s lacks \"option http-server-close\": when a server closes a "
	     "connection that HAProxy uses again, HAProxy writes no end line, and the load "
	     "of the request stays%s; add it",
	     b->name,
	     c->conf->runtime_api.count ? " until the runtime API tells"
	                                : " for limits.lease_max_age");
}

static void check_backend(const struct checking *c, const struct asking *all, size_t count,
                          const struct hap_section *b)
{
	const struct hap_line *l;
	bool on, checked = hap_any(b, "default-server", "check");
	struct hap_walk w = hap_walk(b);
	slo_nsec server = hap_timeout(b, "server", &l), wait;

	if ((l = hap_option(b, "persist", &on)) && on)
		tell(c, WORSE, "answer-unused", l,
		     "option persist: HAProxy uses a server that is down or in maintenance if the "
		     "agent "
		     "named it a moment before; take it away");
	check_reuse(c, all, count, b);
	for (l = b->lines; l && !checked; l = l->next) {
		if (strncmp(l->word[0], "server", 6) == 0 && hap_index(l, 3, "check") == l->words) {
			tell(c, WORSE, "server-unchecked", l,
			     "server %s/%s has no \"check\": the agent goes on choosing it when it "
			     "is "
			     "dead; add \"check\", or default-server check",
			     b->name, hap_word(l, 1));
			checked = true; /* one is enough */
		}
	}
	while (server > 0 && (l = hap_next(&w, "http-response", "wait-for-body"))) {
		size_t i = hap_index(l, 2, "time");

		wait = hap_time(hap_word(l, i + 1));
		if (wait >= server)
			tell(c, WORSE, "times", l,
			     "the wait for the body (%s) is not shorter than timeout server (%s): "
			     "a stream "
			     "that is silent so long ends in one of two errors; make it shorter",
			     time_text(wait).text, time_text(server).text);
	}
}

/* Each backend once, though models may share it. */
static bool is_first_of_backend(const struct config *conf, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(conf->models[k].backend, conf->models[i].backend) == 0)
			return false;
	return true;
}

static void check_model(const struct checking *c, const struct asking *all, size_t count, size_t i)
{
	const struct config_model *m = &c->conf->models[i];
	const struct hap_section *b = hap_backend_find(c->hap, m->backend);

	if (!b) {
		const char *hint = closest_backend(c->hap, m->backend);

		tell(c, FATAL, "backend-absent", NULL,
		     "HAProxy has no backend %s, that of model %s: its requests go to "
		     "default_backend%s%s%s; "
		     "name the backend in models.%s.backend",
		     m->backend, m->name, hint ? " (did you mean " : "", hint ? hint : "",
		     hint ? "?)" : "", m->name);
		return;
	}
	for (size_t k = 0; k < m->deployment_count; k++)
		check_deployment(c, m, &m->deployments[k], b);
	check_way(c, all, count, m);
	if (!is_first_of_backend(c->conf, i))
		return;
	check_strangers(c, m, b);
	check_addresses(c, b);
	check_backend(c, all, count, b);
	for (size_t k = 0; k < count; k++)
		if (leads_to(&all[k], b->name) && all[k].agent)
			check_answers(c, &all[k], m->name, b);
}

/* Where profiles come from nowhere, only a promise lets times be learned. */
static void check_target(const struct checking *c, const struct config_model *m)
{
	if (m->strategy != SLO_STRATEGY_LEAST_REQUEST && m->strategy != SLO_STRATEGY_RANDOM &&
	    m->promise.kind == GOAL_NONE && !c->conf->profile_dir &&
	    c->conf->redis.url.kind == REDIS_URL_NONE)
		tell(c, WORSE, "profile-missing", NULL,
		     "models.%s has no \"slo\", and neither profiles.dir nor profiles.redis is "
		     "set: its requests go by routing.fallback; write \"slo\": {\"e2e\": "
		     "\"30s\"}, or measure profiles",
		     m->name);
}

void check_fleet(const struct checking *c, const struct asking *all, size_t count)
{
	for (size_t i = 0; i < c->conf->model_count; i++) {
		check_target(c, &c->conf->models[i]);
		check_model(c, all, count, i);
	}
}
