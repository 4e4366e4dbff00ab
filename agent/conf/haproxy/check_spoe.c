/* What HAProxy asks: the filter, the SPOE file, the backend that leads to the agent. */
#include <stdio.h>
#include <string.h>

#include "check_private.h"
#include "wire/json/reader.h"
#include "wire/route_msg.h"

/* A frame that HAProxy offers with its default buffers (16384) holds so much, and beside the body
 * there are names, ids and hints. */
#define FRAME  16380
#define BESIDE 1800

/* The arguments */

/* The value of argument `name`, what follows "name="; NULL: it is not sent. */
static const char *argument(const struct hap_line *args, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 1; i < args->words; i++)
		if (strncmp(args->word[i], name, len) == 0 && args->word[i][len] == '=')
			return args->word[i] + len + 1;
	return NULL;
}

/* What the agent may have been meant by that name; itself: it is one. NULL: no idea. */
static const char *meant_by(const char *name)
{
	const char *known[ROUTE_MSG_ARGUMENTS_MAX];
	size_t n = 0;

	for (; n < ROUTE_MSG_ARGUMENTS_MAX && (known[n] = route_msg_argument(n)); n++)
		if (strcmp(known[n], name) == 0)
			return name;
	return reader_suggest(name, (struct reader_names){ known, n, sizeof(known[0]) });
}

static void check_names(const struct checking *c, const struct hap_line *args)
{
	for (size_t i = 1; i < args->words; i++) {
		const char *equals = strchr(args->word[i], '=');
		char name[64] = "";
		const char *hint;

		if (!equals || equals - args->word[i] >= (ptrdiff_t)sizeof(name)) {
			tell(c, WORSE, "args", args,
			     "the argument %.60s has no name, so the agent ignores it; write "
			     "name=%.60s with a name of slo-spoa(8)",
			     args->word[i], args->word[i]);
			continue;
		}
		memcpy(name, args->word[i], (size_t)(equals - args->word[i]));
		hint = meant_by(name);
		if (hint == name)
			continue;
		tell(c, WORSE, "args", args, "the agent knows no argument %s%s%s%s: it ignores it",
		     name, hint ? " (did you mean " : "", hint ? hint : "", hint ? "?)" : "");
	}
}

/* What the frontend keeps for the agent, as the sample does, and nobody sends. */
static void check_hints(const struct checking *c, const struct asking *a,
                        const struct hap_line *args)
{
	static const char setter[] = "set-var(txn.slo_req_";
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l;
	char var[96];

	while ((l = hap_next(&w, "http-request", NULL))) {
		const char *rule = hap_word(l, 1);

		if (strncmp(rule, setter, strlen(setter)) != 0 || strlen(rule) >= sizeof(var))
			continue;
		snprintf(var, sizeof(var), "%s", rule + strlen("set-"));
		if (hap_mentions(args, var))
			continue;
		tell(c, WORSE, "args", l,
		     "no argument of slo-route sends what this rule keeps for the agent, so it is "
		     "ignored; add one with %s to \"args\" in %s",
		     var, args->file);
	}
}

/* The n of the last ",bytes(0,n)"; -1: the body is sent whole. */
static long body_bytes(const char *body)
{
	const char *at = strstr(body, "bytes(");
	const char *comma = at ? strchr(at, ',') : NULL;
	uint64_t n;

	if (!comma || slice_digits(slice_of(comma + 1), &n) == 0)
		return -1;
	return n > INT32_MAX ? INT32_MAX : (long)n;
}

/* The body, with everything else, must fit into a frame. */
static void check_frame(const struct checking *c, const struct asking *a,
                        const struct hap_line *args, long n)
{
	const struct hap_line *at = hap_find(a->agent, "max-frame-size", NULL);
	const long most = at ? hap_number(hap_word(at, 1)) : FRAME;
	const struct hap_line *buffer =
	    c->global ? hap_find(c->global, "tune.bufsize", NULL) : NULL;
	const long larger = buffer ? hap_number(hap_word(buffer, 1)) - 4 : FRAME;
	const long ours = (long)c->conf->limits.spop_frame_size;
	const long frame = larger > FRAME && ours > FRAME ? (larger < ours ? larger : ours) : FRAME;

	if (n < 0 || n > frame - BESIDE)
		tell(c, FATAL, "frame-too-big", args,
		     "body= may be longer than a frame (%d bytes, with everything else): HAProxy "
		     "then does not ask and balances by itself; write body=req.body,bytes(0,14336)",
		     (int)frame);
	else if (most >= 0 && n > most - BESIDE)
		tell(c, FATAL, "frame-too-big", at,
		     "max-frame-size (%ld) is too small for %ld bytes of body with everything "
		     "else: HAProxy then does not ask and balances by itself; take this line "
		     "away, or make it %ld",
		     most, n, n + BESIDE);
}

static void check_body(const struct checking *c, const struct asking *a,
                       const struct hap_line *args)
{
	const char *body = argument(args, "body");
	long n = body ? body_bytes(body) : 0;
	bool on;

	if (!body) {
		tell(
		    c, WORSE, "body-empty", args,
		    "body= is not sent: the agent sees no model, prompt or max_tokens but those of "
		    "headers, so all requests look alike; add body=req.body,bytes(0,14336)");
		return;
	}
	check_frame(c, a, args, n);
	if (!hap_option(a->frontend, "http-buffer-request", &on) || !on)
		tell(c, FATAL, "body-empty", a->frontend->head,
		     "frontend %s lacks \"option http-buffer-request\": HAProxy asks before the "
		     "body "
		     "is there, so the agent sees neither model nor prompt and %s; add the option",
		     a->frontend->name,
		     c->conf->routing.default_model ? "takes every request for default_model"
		                                    : "passes every request");
}

static void check_id(const struct checking *c, const struct asking *a, const struct hap_line *args)
{
	const char *id = argument(args, "id");
	const struct hap_line *format = hap_find(a->frontend, "unique-id-format", NULL);

	if (!id)
		tell(c, FATAL, "id-missing", args,
		     "id= is not sent: the agent cannot tell which request an end line ends, and "
		     "passes all; add id=unique-id");
	else if (strcmp(id, "unique-id") != 0)
		tell(c, FATAL, "id-missing", args,
		     "id=%s is not the unique-id that the end line tells: no request ever ends for "
		     "the agent; write id=unique-id",
		     id);
	if (!format) {
		tell(c, FATAL, "id-missing", a->frontend->head,
		     "frontend %s has no unique-id-format, so requests have no id and the agent "
		     "passes all; add: unique-id-format %%{+X}o\\ "
		     "%%ci:%%cp_%%fi:%%fp_%%Ts_%%rt:%%pid",
		     a->frontend->name);
		return;
	}
	if (hap_mentions(format, "hdr(") || hap_mentions(format, "%[req.") ||
	    hap_mentions(format, "%[capture"))
		tell(c, FATAL, "id-repeated", format,
		     "unique-id-format has text of the client in it: clients can repeat or forge "
		     "ids, and end the requests of others; use the one of the sample");
	else if (!hap_mentions(format, "%rt") && !hap_mentions(format, "rand") &&
	         !hap_mentions(format, "uuid"))
		tell(c, FATAL, "id-repeated", format,
		     "unique-id-format has no counter (%%rt): two requests of one connection get "
		     "the "
		     "same id, and the second one is passed; use the one of the sample");
}

static void check_message(const struct checking *c, const struct asking *a)
{
	const struct hap_line *args = a->message ? hap_find(a->message, "args", NULL) : NULL;
	bool on;

	if (!a->message) {
		tell(c, FATAL, "never-asked", a->agent->head,
		     "engine %s has no \"spoe-message slo-route\": the agent answers to no other "
		     "message, so it passes everything; name it slo-route",
		     a->engine);
		return;
	}
	if (!args) {
		tell(c, FATAL, "id-missing", a->message->head,
		     "message slo-route sends no arguments: the agent knows neither id nor model "
		     "and "
		     "passes everything; add the line args of the sample");
		return;
	}
	check_names(c, args);
	check_hints(c, a, args);
	check_id(c, a, args);
	check_body(c, a, args);
	if (c->conf->spop.secret && !argument(args, "secret"))
		tell(c, FATAL, "secret", args,
		     "secret= is not sent, but spop.secret is set: the agent passes all that comes "
		     "over TCP; add secret=str(...) with the same text");
	if (hap_option(a->frontend, "http-buffer-request", &on) &&
	    hap_any(a->frontend, "http-request", "wait-for-body"))
		tell(c, WORSE, "wait-for-body", a->filter,
		     "frontend %s uses http-request wait-for-body: with a held request it crashes "
		     "HAProxy 2.6; \"option http-buffer-request\" is enough, take the rule away",
		     a->frontend->name);
}

/* When it is asked */

static void check_group(const struct checking *c, const struct asking *a)
{
	const struct hap_line *rule = asking_rule(a);
	const struct hap_section *s = c->hap->sections;

	if (!rule) {
		if (!a->message || !hap_find(a->message, "event", NULL))
			tell(c, FATAL, "never-asked", a->frontend->head,
			     "frontend %s has no \"http-request send-spoe-group %s slo-route\": "
			     "HAProxy "
			     "never asks the agent and balances by itself; add the rule",
			     a->frontend->name, a->engine);
		return;
	}
	while (s && (s->kind != HAP_SPOE_GROUP || strcmp(s->name, hap_word(rule, 3)) != 0))
		s = s->next;
	if (!s)
		tell(c, FATAL, "never-asked", rule,
		     "there is no \"spoe-group %s\": HAProxy does not start, or asks nothing; name "
		     "a "
		     "group of the SPOE file",
		     hap_word(rule, 3));
	else if (a->message && !hap_any(s, "messages", "slo-route"))
		tell(c, FATAL, "never-asked", s->head,
		     "group %s does not have message slo-route: HAProxy never sends it; write "
		     "\"messages slo-route\"",
		     s->name);
}

static void check_options(const struct checking *c, const struct asking *a)
{
	bool on;

	if (!hap_find(a->agent, "option", "set-on-error"))
		tell(c, WORSE, "errors-untold", a->agent->head,
		     "no \"option set-on-error error\": neither HAProxy's rules nor the agent "
		     "learn that "
		     "a question failed; add it");
	if (!hap_option(a->agent, "send-frag-payload", &on))
		tell(c, WORSE, "frame-too-big", a->agent->head,
		     "no \"no option send-frag-payload\": for a message larger than a frame "
		     "HAProxy 2.6 "
		     "and 3.0 connect to the agent thousands of times per second; add it");
	if (a->prefix[0] == '\0')
		tell(c, FATAL, "answer-unused", a->agent->head,
		     "no \"option var-prefix slo\": the answer is not where the rules look for it "
		     "(txn.slo.server); add it");
}

/* Where it is asked */

/* Beside one that is ours, others may lead to other agents. */
static void check_address(const struct checking *c, const struct hap_line *server, bool ours)
{
	const char *address = hap_word(server, 2);
	const char *where = NULL;

	if (hap_listener_has(&c->conf->spop, address, false) != MATCH_NO)
		return;
	if (hap_listener_has(&c->conf->events, address, false) != MATCH_NO)
		where = "events.listen, which takes end lines";
	else if (hap_listener_has(&c->conf->http, address, false) != MATCH_NO)
		where = "http.listen, which speaks HTTP";
	if (where)
		tell(c, FATAL, "ports-swapped", server,
		     "%s is %s: no question is answered there, and each request waits for timeout "
		     "processing; the agent answers on spop.listen, %s",
		     address, where, listen_text(&c->conf->spop).text);
	else if (!ours)
		tell(c, FATAL, "never-asked", server,
		     "the agent does not listen on %s: HAProxy cannot ask it and balances by "
		     "itself; "
		     "spop.listen is %s",
		     address, listen_text(&c->conf->spop).text);
}

static bool leads_to_us(const struct checking *c, const struct hap_section *backend)
{
	struct hap_walk w = hap_walk(backend);
	const struct hap_line *l;

	while ((l = hap_next(&w, "server", NULL)))
		if (hap_listener_has(&c->conf->spop, hap_word(l, 2), false) != MATCH_NO)
			return true;
	return false;
}

/* A socket whose path is not ours may still lead to us: a link, another root. */
static bool is_socket(const char *address)
{
	return strchr(address, '/') || strncmp(address, "abns", 4) == 0;
}

/* How many agents the servers are. One that can be reached in several ways is one. */
struct agents {
	size_t all, active;
};

static struct agents count_agents(const struct checking *c, const struct hap_section *backend)
{
	struct hap_walk w = hap_walk(backend);
	const struct hap_line *l;
	const char *before = "", *last = "";
	size_t others = 0, active = 0;
	bool ours = false, ours_active = false;

	while ((l = hap_next(&w, "server", NULL))) {
		const char *name = hap_word(l, 1);
		const enum match m = hap_listener_has(&c->conf->spop, hap_word(l, 2), false);
		const bool in_use = hap_index(l, 3, "backup") == l->words;

		if (hap_index(l, 3, "disabled") < l->words)
			continue;
		/* Both lines of an .if and its .else are here, so names are compared. */
		ours = ours || m != MATCH_NO;
		if (m == MATCH_NO && !is_socket(hap_word(l, 2)) && strcmp(name, before) != 0) {
			others++;
			before = name;
		}
		if (in_use && m == MATCH_YES) {
			ours_active = true;
		} else if (in_use && !is_socket(hap_word(l, 2)) && strcmp(name, last) != 0) {
			active++;
			last = name;
		}
	}
	return (struct agents){ .all = ours + others, .active = ours_active + active };
}

static void check_servers(const struct checking *c, const struct asking *a)
{
	const struct agents agents = count_agents(c, a->spop);
	struct hap_walk w = hap_walk(a->spop);
	const struct hap_line *l;
	bool checked = hap_any(a->spop, "default-server", "check");
	bool ours = leads_to_us(c, a->spop);

	while ((l = hap_next(&w, "server", NULL))) {
		check_address(c, l, ours);
		if (!checked && hap_index(l, 3, "check") == l->words)
			tell(c, WORSE, "agent-unchecked", l,
			     "server %s has no \"check\": while the agent is away each request "
			     "waits for "
			     "it; copy the line of the sample",
			     hap_word(l, 1));
	}
	if (agents.all > 1 && agents.active <= 1 &&
	    c->conf->cluster.redis.url.kind == REDIS_URL_NONE)
		tell(c, WORSE, "bypassed", a->spop->head,
		     "backend %s leads to %zu agents, and \"cluster\" is not set: the one in "
		     "reserve takes over without knowing what runs; give both the section cluster",
		     a->spop->name, agents.all);
	if (agents.active > 1)
		tell(c, WORSE, "agents-balanced", a->spop->head,
		     "backend %s balances between %zu agents: each sees a part of the queue and of "
		     "the "
		     "load; make all but one \"backup\"",
		     a->spop->name, agents.active);
}

static void check_spop(const struct checking *c, const struct asking *a)
{
	const struct hap_line *use = hap_find(a->agent, "use-backend", NULL);
	const struct hap_line *mode;
	bool on;

	if (!a->spop) {
		tell(c, FATAL, "never-asked", use ? use : a->agent->head,
		     "%s%s: HAProxy cannot ask the agent; name the backend of the agent there",
		     use ? "there is no backend " : "the agent section has no \"use-backend\"",
		     use ? hap_word(use, 1) : "");
		return;
	}
	mode = hap_find(a->spop, "mode", NULL);
	if (mode && strcmp(hap_word(mode, 1), "http") == 0)
		tell(c, FATAL, "never-asked", a->spop->head,
		     "backend %s is in mode http: SPOP is none, so no question arrives; write "
		     "\"mode tcp\" (or \"mode spop\" since HAProxy 3.1)",
		     a->spop->name);
	if (!hap_option(a->spop, "spop-check", &on) || !on)
		tell(c, WORSE, "agent-unchecked", a->spop->head,
		     "backend %s lacks \"option spop-check\": a port that is open but does not "
		     "answer "
		     "counts as an agent; add it",
		     a->spop->name);
	check_servers(c, a);
}

/* Whether the rule's condition is FALSE, or { always_false }, and nothing else. */
static bool never_holds(const struct hap_line *rule)
{
	const bool negated = strcmp(hap_word(rule, 4), "unless") == 0;
	const char *name = negated ? "TRUE" : "FALSE";
	const char *fetch = negated ? "always_true" : "always_false";

	if (!negated && strcmp(hap_word(rule, 4), "if") != 0)
		return false;
	return (rule->words == 6 && strcmp(hap_word(rule, 5), name) == 0) ||
	       (rule->words == 8 && strcmp(hap_word(rule, 5), "{") == 0 &&
	        strcmp(hap_word(rule, 6), fetch) == 0);
}

/* A condition that was meant for an hour. */
static void check_condition(const struct checking *c, const struct asking *a)
{
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l, *rule = NULL;

	while ((l = hap_next(&w, "http-request", "send-spoe-group"))) {
		if (strcmp(hap_word(l, 2), a->engine) != 0)
			continue;
		if (!never_holds(l) || hap_find(a->frontend, "acl", hap_word(l, 5)))
			return;
		rule = rule ? rule : l;
	}
	if (rule && (!a->message || !hap_find(a->message, "event", NULL)))
		tell(c, FATAL, "never-asked", rule,
		     "the rule's condition never holds: HAProxy never asks the agent and balances "
		     "by itself; take FALSE away");
}

static void check_asked_backend(const struct checking *c, const struct asking *a)
{
	const struct hap_line *rule = asking_rule(a);
	char wanted[300];

	if (!rule || !a->spop || !hap_mentions(rule, "nbsrv("))
		return;
	snprintf(wanted, sizeof(wanted), "nbsrv(%s)", a->spop->name);
	if (!hap_mentions(rule, wanted))
		tell(c, WORSE, "never-asked", rule,
		     "the rule asks whether servers of another backend are up than those of %s, "
		     "which "
		     "leads to the agent; write nbsrv(%s)",
		     a->spop->name, a->spop->name);
}

void check_asking(const struct checking *c, struct asking *a)
{
	if (!a->agent) {
		tell(c, FATAL, "never-asked", a->filter,
		     "there is no \"spoe-agent\" for engine \"%s\" in the files named: HAProxy "
		     "does not "
		     "start, or asks nothing; name the SPOE file too, or correct the engine",
		     a->engine);
		return;
	}
	check_message(c, a);
	check_group(c, a);
	check_options(c, a);
	check_spop(c, a);
	check_asked_backend(c, a);
	check_condition(c, a);
}
