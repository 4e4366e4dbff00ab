/* The process as a whole: its limits, its runtime API, and frontends past the agent. */
#include <string.h>
#include <strings.h>

#include "check_private.h"

/* Limits */

static void check_maxconn(const struct checking *c, const struct asking *a)
{
	const struct hap_line *own = hap_find(a->frontend, "maxconn", NULL);
	const struct hap_line *global = c->global ? hap_find(c->global, "maxconn", NULL) : NULL;
	long most = own ? hap_number(hap_word(own, 1)) : -1;
	long all = global ? hap_number(hap_word(global, 1)) : -1;

	if (most > 0 && all > 0 && all < 3 * most)
		tell(c, WORSE, "maxconn", global,
		     "global maxconn (%ld) is less than three times that of frontend %s (%ld): a "
		     "held "
		     "request takes a connection from the client, one to the agent and one to a "
		     "server, "
		     "so under load HAProxy runs out of descriptors and answers 503; set %ld",
		     all, a->frontend->name, most, 3 * most);
	else if (most > 0 && (size_t)most > c->conf->limits.spop_connections)
		tell(c, WORSE, "maxconn", own,
		     "frontend %s lets in %ld requests, and the agent takes %zu connections "
		     "(limits.spop_connections): held requests beyond that are balanced; raise the "
		     "limit",
		     a->frontend->name, most, c->conf->limits.spop_connections);
}

/* Whether HAProxy compresses answers of a type that "compression type" names so. It compares
 * beginnings; a longer one, "application/json; charset=utf-8", may be meant for answers too. */
static bool is_of_answers(const char *type)
{
	static const char *const answers[] = { "text/event-stream", "application/json" };

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const size_t a = strlen(answers[i]), n = strlen(type);

		if (strncasecmp(type, answers[i], n < a ? n : a) == 0)
			return true;
	}
	return false;
}

/* Without types it compresses all. */
static bool compresses_answers(const struct hap_section *s)
{
	const struct hap_line *direction = hap_find(s, "compression", "direction"), *l;
	struct hap_walk w = hap_walk(s);
	size_t types = 0;

	if (direction && strcmp(hap_word(direction, 2), "request") == 0)
		return false;
	while ((l = hap_next(&w, "compression", NULL))) {
		if (strcmp(hap_word(l, 1), "type") != 0 && strcmp(hap_word(l, 1), "type-res") != 0)
			continue;
		for (size_t i = 2; i < l->words; i++, types++)
			if (is_of_answers(l->word[i]))
				return true;
	}
	return types == 0;
}

/* HAProxy's own compression comes behind all rules, so no line tells of it. */
static void check_compression(const struct checking *c, const struct hap_section *s)
{
	static const char *const algorithms[] = { "algo", "algo-res" };

	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		const struct hap_line *l = hap_find(s, "compression", algorithms[i]);

		/* "identity" leaves them as they are. */
		if (l && !(l->words == 3 && strcmp(l->word[2], "identity") == 0) &&
		    compresses_answers(s))
			tell(
			    c, WORSE, "answers-compressed", l,
			    "HAProxy compresses answers: their bytes no longer tell how many "
			    "tokens they had, so the agent learns wrong lengths of streams; take "
			    "the line away, or leave text/event-stream and application/json out of "
			    "\"compression type\"");
	}
}

static void check_streams(const struct checking *c, const struct asking *a)
{
	bool on;

	if (!hap_option(a->frontend, "http-no-delay", &on) || !on)
		tell(c, WORSE, "stream-delay", a->frontend->head,
		     "frontend %s lacks \"option http-no-delay\": tokens of streams come in steps "
		     "of "
		     "200 ms; add it",
		     a->frontend->name);
	if (!hap_option(a->frontend, "abortonclose", &on) || !on)
		tell(c, WORSE, "abort", a->frontend->head,
		     "frontend %s lacks \"option abortonclose\": a client that left still gets its "
		     "turn; "
		     "add it",
		     a->frontend->name);
}

/* The runtime API */

static bool opens(const struct checking *c, const struct hap_line *socket)
{
	return hap_listener_has(&c->conf->runtime_api, hap_word(socket, 2), false) != MATCH_NO;
}

/* A socket that only its owner, HAProxy's user, may open. */
static bool is_closed(const struct hap_line *socket)
{
	size_t i = hap_index(socket, 3, "mode");
	const char *mode = hap_word(socket, i + 1);

	if (i == socket->words || hap_word(socket, 2)[0] != '/')
		return false;
	return strlen(mode) >= 3 && !strchr("67", mode[strlen(mode) - 2]) &&
	       !strchr("67", mode[strlen(mode) - 1]);
}

/* The socket that was meant is of the same kind, and named much like it. */
static size_t nearness(const struct config_listen *wanted, const struct hap_line *socket)
{
	const struct listen_addr *a = &wanted->addr[0];
	const char *name = hap_word(socket, 2), *path = strchr(name, '/');
	size_t same = 0, n, m;

	if (listen_addr_is_unix(a) != (path != NULL))
		return 0;
	if (!path)
		return 1;
	n = strlen(path);
	m = strlen(a->path);
	while (same < n && same < m && path[n - 1 - same] == a->path[m - 1 - same])
		same++;
	return 1 + same;
}

static void check_runtime_api(const struct checking *c)
{
	const struct config_listen *wanted = &c->conf->runtime_api;
	struct hap_walk w;
	const struct hap_line *l, *other = NULL;

	if (wanted->count == 0) {
		tell(c, WORSE, "runtime-api", NULL,
		     "haproxy.runtime_api is not set: a lost end line keeps its load for "
		     "limits.lease_max_age (%s), and a restart forgets what runs; name HAProxy's "
		     "stats "
		     "socket",
		     time_text(c->conf->limits.lease_max_age).text);
		return;
	}
	if (!c->global)
		return;
	w = hap_walk(c->global);
	while ((l = hap_next(&w, "stats", "socket"))) {
		if (!opens(c, l)) {
			if (!other || nearness(wanted, l) > nearness(wanted, other))
				other = l;
			continue;
		}
		if (is_closed(l))
			tell(c, WORSE, "runtime-api", l,
			     "only HAProxy's own user may open %s: the agent cannot ask; write "
			     "mode 660 "
			     "and a group that the agent is in",
			     hap_word(l, 2));
		return;
	}
	tell(c, FATAL, "runtime-api", other ? other : c->global->head,
	     "HAProxy has no stats socket at %s, where haproxy.runtime_api looks for it%s%s: the "
	     "agent "
	     "knows neither states nor counts of servers; give both the same path",
	     listen_text(wanted).text, other ? "; it has " : "", other ? hap_word(other, 2) : "");
}

/* Frontends past the agent */

static bool asks(const struct asking *all, size_t count, const struct hap_section *s)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].frontend == s)
			return true;
	return false;
}

static void check_bypass(const struct checking *c, const struct asking *all,
                         const struct hap_section *s)
{
	for (size_t i = 0; i < c->conf->model_count; i++) {
		const char *backend = c->conf->models[i].backend;

		if (hap_find(s, "default_backend", backend) ||
		    hap_find(s, "use_backend", backend)) {
			tell(c, WORSE, "bypassed", s->head,
			     "frontend %s sends requests to backend %s without asking the agent: "
			     "they "
			     "take room that it does not plan with%s; give it the same rules as %s",
			     s->name, backend,
			     c->conf->runtime_api.count ? ""
			                                : " and, without haproxy.runtime_api, "
			                                  "does not see",
			     all[0].frontend->name);
			return;
		}
	}
}

static bool is_open(const struct config_listen *l)
{
	static const char *const open[] = { "0.0.0.0", "::", "*" };

	for (size_t i = 0; i < l->count; i++)
		for (size_t k = 0; k < sizeof(open) / sizeof(open[0]); k++)
			if (!listen_addr_is_unix(&l->addr[i]) &&
			    strcmp(l->addr[i].host, open[k]) == 0)
				return true;
	return false;
}

/* Our own page shows names and figures; the other ports have power. */
static void check_open(const struct checking *c)
{
	if (is_open(&c->conf->http))
		tell(c, WORSE, "http-open", NULL,
		     "http.listen is on all addresses: whoever reaches this machine reads names of "
		     "models and servers, ids and figures; listen on 127.0.0.1, or let a firewall "
		     "keep strangers out");
	if (is_open(&c->conf->spop) && !c->conf->spop.secret)
		tell(c, WORSE, "ports-open", NULL,
		     "spop.listen is on all addresses without a secret: whoever reaches this "
		     "machine can fill the ledger until requests are refused; set spop.secret, or "
		     "listen where only HAProxy comes");
	if (is_open(&c->conf->events) && !c->conf->events.secret)
		tell(c, WORSE, "ports-open", NULL,
		     "events.listen is on all addresses without a secret: whoever reaches this "
		     "machine can end requests and take servers out; set events.secret, or listen "
		     "where only HAProxy comes");
}

void check_process(const struct checking *c, const struct asking *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_maxconn(c, &all[i]);
		check_streams(c, &all[i]);
		check_compression(c, all[i].frontend);
	}
	for (size_t i = 0; i < c->conf->model_count; i++) {
		const struct hap_section *b = hap_backend_find(c->hap, c->conf->models[i].backend);

		if (b)
			check_compression(c, b);
	}
	check_runtime_api(c);
	check_open(c);
	for (const struct hap_section *s = c->hap->sections; s && count > 0; s = s->next)
		if (s->kind == HAP_FRONTEND && !asks(all, count, s))
			check_bypass(c, all, s);
}
