/* The rules of a frontend that asks: what comes before the question, and what acts on the answer.
 */
#include <stdio.h>
#include <string.h>

#include "check_private.h"

#define VARIABLE_MAX 300 /* bytes of a variable's name */

struct variable {
	char name[VARIABLE_MAX];
};

/* txn.PREFIX.NAME, where HAProxy keeps a part of the answer. */
static struct variable variable_of(const struct asking *a, const char *name)
{
	struct variable v;

	snprintf(v.name, sizeof(v.name), "txn.%s.%s", a->prefix, name);
	return v;
}

/* Order and conditions */

const struct hap_line *asking_rule(const struct asking *a)
{
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l;

	while ((l = hap_next(&w, "http-request", "send-spoe-group")))
		if (strcmp(hap_word(l, 2), a->engine) == 0)
			return l;
	return NULL;
}

/* HAProxy runs the rules of the defaults first. */
static bool is_before(const struct hap_section *s, const struct hap_line *a,
                      const struct hap_line *b)
{
	for (; s; s = s->from) {
		const struct hap_line *found = NULL;

		for (const struct hap_line *l = s->lines; l; l = l->next) {
			if (l != a && l != b)
				continue;
			if (found)
				return found == a;
			found = l;
		}
		if (found)
			return found == b;
	}
	return false;
}

/* The first and the last rule that ask; NULL: none does. Either may be the one that asks about a
 * request, so each check takes the one that is more in favour of the file. */
struct questions {
	const struct hap_line *first, *last;
};

static struct questions questions_of(const struct asking *a)
{
	struct hap_walk w = hap_walk(a->frontend);
	struct questions q = { NULL, NULL };
	const struct hap_line *l;

	while ((l = hap_next(&w, "http-request", "send-spoe-group"))) {
		if (strcmp(hap_word(l, 2), a->engine) != 0)
			continue;
		if (!q.first || is_before(a->frontend, l, q.first))
			q.first = l;
		if (!q.last || is_before(a->frontend, q.last, l))
			q.last = l;
	}
	return q;
}

/* Whether the word is that text, or names a variable of that name: "var(TEXT)", "var(TEXT,0)". */
static bool has(const char *word, const char *text)
{
	const size_t len = strlen(text);

	if (strcmp(word, text) == 0)
		return true;
	for (const char *p = word; (p = strstr(p, text)); p++)
		if ((p[len] == ')' || p[len] == ',') && (p == word || strchr("(,", p[-1])))
			return true;
	return false;
}

static bool line_has(const struct hap_line *l, const char *text)
{
	for (size_t i = 1; i < l->words; i++)
		if (has(l->word[i], text))
			return true;
	return false;
}

/* Where the condition begins; l->words: there is none. */
static size_t condition_of(const struct hap_line *rule)
{
	const size_t i = hap_index(rule, 1, "if");

	return i < rule->words ? i : hap_index(rule, 1, "unless");
}

/* Whether the rule's condition, or an acl that it names, has that text. */
static bool depends_on(const struct hap_section *s, const struct hap_line *rule, const char *text)
{
	for (size_t i = condition_of(rule) + 1; i < rule->words; i++) {
		const char *word = rule->word[i];
		struct hap_walk w = hap_walk(s);
		const struct hap_line *acl;

		if (has(word, text))
			return true;
		while ((acl = hap_next(&w, "acl", word + (word[0] == '!'))))
			if (line_has(acl, text))
				return true;
	}
	return false;
}

/* Whether no server gets the request after that rule. */
static bool is_final(const struct hap_line *rule)
{
	static const char *const actions[] = { "return", "deny",        "reject",
		                               "tarpit", "silent-drop", "redirect" };

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(hap_word(rule, 1), actions[i]) == 0)
			return true;
	return strncmp(hap_word(rule, 1), "use-service", 11) == 0;
}

/* What the message sends */

/* Whether the rule sets a variable that one of the arguments reads. */
static bool sets_argument(const struct hap_line *rule, const struct hap_line *args,
                          struct variable *v)
{
	const char *open = strchr(hap_word(rule, 1), '(');

	if (strncmp(hap_word(rule, 1), "set-var", 7) != 0 || !open)
		return false;
	snprintf(v->name, sizeof(v->name), "%.*s", (int)strcspn(open + 1, ",)"), open + 1);
	return line_has(args, v->name);
}

/* Whether that variable also has a value when HAProxy asks. */
static bool is_set_before(const struct hap_section *s, const char *name,
                          const struct hap_line *question)
{
	for (const struct hap_section *d = s; d; d = d->from)
		for (const struct hap_line *l = d->lines; l; l = l->next)
			for (size_t i = 1; i < 4; i++)
				if (strncmp(hap_word(l, i), "set-var", 7) == 0 &&
				    has(l->word[i], name) &&
				    (strncmp(l->word[0], "tcp-", 4) == 0 ||
				     (strcmp(l->word[0], "http-request") == 0 &&
				      is_before(s, l, question))))
					return true;
	return false;
}

static void check_kept(const struct checking *c, const struct asking *a,
                       const struct hap_line *question)
{
	const struct hap_line *args = a->message ? hap_find(a->message, "args", NULL) : NULL;
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l, *first = NULL;
	struct variable v, name = { "" };
	size_t more = 0;

	while (args && question && (l = hap_next(&w, "http-request", NULL))) {
		if (!sets_argument(l, args, &v) || is_before(a->frontend, l, question) ||
		    is_set_before(a->frontend, v.name, question))
			continue;
		more += first != NULL;
		if (!first) {
			first = l;
			name = v;
		}
	}
	if (first)
		tell(c, WORSE, "args", question,
		     "HAProxy asks here, and only then sets %s (%s:%zu) and %zu more that the "
		     "message sends: what clients tell in headers and paths never arrives; put "
		     "this rule below those lines",
		     name.name, first->file, first->number, more);
}

/* Rejects */

/* Whether the word reads what we cannot follow, and what may come from the answer. */
static bool is_obscure_word(const struct asking *a, const char *word)
{
	char ours[VARIABLE_MAX];

	snprintf(ours, sizeof(ours), "var(txn.%s.", a->prefix);
	for (const char *p = word; (p = strstr(p, "var(")); p++)
		if (strncmp(p, ours, strlen(ours)) != 0)
			return true;
	return strstr(word, "lua.") != NULL;
}

/* The same, and headers that the answer is kept in. */
static bool is_carried(const struct asking *a, const char *word)
{
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l;
	struct variable v = variable_of(a, "");

	while ((l = hap_next(&w, "http-request", NULL)))
		if (strstr(hap_word(l, 1), "-header") && hap_mentions(l, v.name) &&
		    has(word, hap_word(l, 2)))
			return true;
	return is_obscure_word(a, word);
}

/* From word `first` on; the name of a backend may be such a word. */
static bool is_obscure(const struct asking *a, const struct hap_section *s,
                       const struct hap_line *rule, size_t first)
{
	if (strncmp(hap_word(rule, 1), "lua.", 4) == 0)
		return true;
	for (size_t i = first; i < rule->words; i++) {
		const char *word = rule->word[i];
		struct hap_walk w = hap_walk(s);
		const struct hap_line *acl;

		if (is_carried(a, word))
			return true;
		while ((acl = hap_next(&w, "acl", word + (word[0] == '!'))))
			for (size_t k = 2; k < acl->words; k++)
				if (is_carried(a, acl->word[k]))
					return true;
	}
	return false;
}

/* Whether the condition turns something round or has two parts, so that the values in it tell
 * nothing. */
static bool is_involved(const struct hap_line *rule)
{
	for (size_t i = condition_of(rule); i < rule->words; i++)
		if (rule->word[i][0] == '!' || strcmp(rule->word[i], "unless") == 0 ||
		    strcmp(rule->word[i], "or") == 0 || strcmp(rule->word[i], "||") == 0)
			return true;
	return false;
}

/* Whether the rule is for a reject, and not only for what is passed. */
static bool is_for_reasons(const struct asking *a, const struct hap_section *s,
                           const struct hap_line *rule)
{
	static const char *const rejects[] = { "slo-failure", "queue-timeout", "queue-full",
		                               "no-server" };

	if (!depends_on(s, rule, variable_of(a, "reason").name))
		return false;
	for (size_t i = 0; i < sizeof(rejects) / sizeof(rejects[0]); i++)
		if (depends_on(s, rule, rejects[i]))
			return true;
	return is_involved(rule) ||
	       (!depends_on(s, rule, "bad-request") && !depends_on(s, rule, "unknown-model"));
}

/* Whether the rule answers a reject of that status. */
static bool answers(const struct asking *a, const struct hap_section *s,
                    const struct hap_line *rule, const char *status)
{
	if (!is_involved(rule) && depends_on(s, rule, variable_of(a, "status").name) &&
	    (depends_on(s, rule, "429") || depends_on(s, rule, "503")))
		return depends_on(s, rule, status);
	return depends_on(s, rule, variable_of(a, "verdict").name) ||
	       depends_on(s, rule, variable_of(a, "status").name) ||
	       depends_on(s, rule, variable_of(a, "retry_after").name) ||
	       is_for_reasons(a, s, rule);
}

/* Whether that rule of the section ends requests of rejects, or may do so. */
static bool ends_rejects(const struct asking *a, const struct hap_section *s,
                         const struct hap_line *rule, const char *status)
{
	if (strncmp(hap_word(rule, 1), "lua.", 4) == 0)
		return true;
	/* A reject names no server. */
	return is_final(rule) &&
	       (answers(a, s, rule, status) || depends_on(s, rule, variable_of(a, "server").name) ||
	        is_obscure(a, s, rule, condition_of(rule)));
}

/* Whether some backend answers them, or is there for them. */
static bool is_answered_behind(const struct checking *c, const struct asking *a, const char *status)
{
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l;

	while ((l = hap_next(&w, "use_backend", NULL)))
		if (answers(a, a->frontend, l, status) || is_obscure(a, a->frontend, l, 1))
			return true;
	w = hap_walk(a->frontend);
	while ((l = hap_next(&w, "redirect", NULL)))
		if (answers(a, a->frontend, l, status))
			return true;
	for (const struct hap_section *s = c->hap->sections; s; s = s->next) {
		if (s == a->frontend || (s->kind != HAP_BACKEND && s->kind != HAP_LISTEN))
			continue;
		w = hap_walk(s);
		while ((l = hap_next(&w, "http-request", NULL)))
			if (ends_rejects(a, s, l, status))
				return true;
	}
	return false;
}

/* *early: a rule that comes before the question. */
static bool is_answered(const struct checking *c, const struct asking *a,
                        const struct hap_line *question, const char *status,
                        const struct hap_line **early)
{
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l;

	while ((l = hap_next(&w, "http-request", NULL))) {
		if (!ends_rejects(a, a->frontend, l, status))
			continue;
		if (!question || is_before(a->frontend, question, l))
			return true;
		if (answers(a, a->frontend, l, status))
			*early = l;
	}
	return is_answered_behind(c, a, status);
}

static void check_rejects(const struct checking *c, const struct asking *a,
                          const struct hap_line *question)
{
	const struct hap_line *early = NULL;
	const bool busy = is_answered(c, a, question, "429", &early);
	const bool absent = is_answered(c, a, question, "503", &early);

	if (busy && absent)
		return;
	if (early && question)
		tell(c, FATAL, "answer-unused", early,
		     "this rule is for rejects of the agent and stands above send-spoe-group "
		     "(%s:%zu), where there is no answer yet: HAProxy sends to servers what the "
		     "agent refuses; put it below",
		     question->file, question->number);
	else
		tell(
		    c, FATAL, "answer-unused", question ? question : a->frontend->head,
		    "no rule of frontend %s answers a reject%s (%s): HAProxy sends to servers what "
		    "the agent refuses, so they take more than they can do in time; copy "
		    "\"http-request return status 429\" and \"503\" from the sample",
		    a->frontend->name,
		    busy     ? " of status 503"
		    : absent ? " of status 429"
			     : "",
		    variable_of(a, "verdict").name);
}

/* Errors */

static const struct hap_line *reader_of(const struct asking *a, const char *variable)
{
	for (const struct hap_section *s = a->frontend; s; s = s->from)
		for (const struct hap_line *l = s->lines; l; l = l->next)
			if (line_has(l, variable))
				return l;
	return NULL;
}

/* What the frontend reads in place of the variable where the error is; NULL: nothing. */
static const struct hap_line *reader_of_another(const struct asking *a, const char *name,
                                                struct variable *other)
{
	static const char *const names[] = { "error", "err" };
	const struct hap_line *l;

	if (reader_of(a, variable_of(a, name).name))
		return NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*other = variable_of(a, names[i]);
		if (strcmp(names[i], name) != 0 && (l = reader_of(a, other->name)))
			return l;
	}
	return NULL;
}

/* Whether the rule ends requests that nobody waits for, or may do so. */
static bool ends_left(const struct asking *a, const struct hap_section *s,
                      const struct hap_line *rule, const char *error)
{
	if (strncmp(hap_word(rule, 1), "lua.", 4) == 0)
		return true;
	/* What failed has neither server nor verdict. */
	return is_final(rule) &&
	       (depends_on(s, rule, error) || depends_on(s, rule, variable_of(a, "server").name) ||
	        (is_involved(rule) && depends_on(s, rule, variable_of(a, "verdict").name)) ||
	        is_obscure(a, s, rule, condition_of(rule)));
}

static bool is_ended_behind(const struct checking *c, const struct asking *a, const char *error)
{
	for (size_t i = 0; i < c->conf->model_count; i++) {
		const struct hap_section *s = hap_backend_find(c->hap, c->conf->models[i].backend);
		struct hap_walk w = s ? hap_walk(s) : (struct hap_walk){ NULL, NULL };
		const struct hap_line *l;

		while ((l = hap_next(&w, "http-request", NULL)))
			if (ends_left(a, s, l, error))
				return true;
	}
	return false;
}

static void check_errors(const struct checking *c, const struct asking *a,
                         const struct hap_line *question)
{
	const struct hap_line *set = hap_find(a->agent, "option", "set-on-error"), *l;
	const struct variable v = variable_of(a, set ? hap_word(set, 2) : "");
	struct hap_walk w = hap_walk(a->frontend);
	struct variable other;

	if (!set) /* told elsewhere */
		return;
	if ((l = reader_of_another(a, hap_word(set, 2), &other))) {
		tell(c, WORSE, "errors-untold", set,
		     "HAProxy keeps errors in %s, and %s:%zu reads %s: neither HAProxy's rules nor "
		     "the agent learn that a question failed; write the same name in both",
		     v.name, l->file, l->number, other.name);
		return;
	}
	while ((l = hap_next(&w, "http-request", NULL)))
		if (ends_left(a, a->frontend, l, v.name) &&
		    (!question || is_before(a->frontend, question, l)))
			return;
	if (is_ended_behind(c, a, v.name))
		return;
	tell(c, WORSE, "abort", question ? question : a->frontend->head,
	     "no rule below this one ends a request whose client left while the agent held it (%s "
	     "is 4 or 5): a server works for nobody, and the agent does not know of it; copy "
	     "\"http-request deny deny_status 503\" from the sample",
	     v.name);
}

/* Lost again */

/* Whether some rule sets the variable, perhaps to what was kept of it. */
static bool is_set(const struct checking *c, const char *variable)
{
	for (const struct hap_section *s = c->hap->sections; s; s = s->next)
		for (const struct hap_line *l = s->lines; l; l = l->next)
			if (strncmp(hap_word(l, 1), "set-var", 7) == 0 && has(l->word[1], variable))
				return true;
	return false;
}

static void check_unset_in(const struct checking *c, const struct asking *a,
                           const struct hap_section *s, const struct hap_line *question)
{
	static const char *const names[] = { "server", "backend" };
	/* The name of the backend has been read when a request is there, and not every file needs
	 * it. */
	const size_t count =
	    s == a->frontend && hap_any(s, "use_backend", variable_of(a, "backend").name) ? 2 : 1;
	struct hap_walk w = hap_walk(s);
	const struct hap_line *l;

	while ((l = hap_next(&w, "http-request", NULL))) {
		if (strncmp(hap_word(l, 1), "unset-var(", 10) != 0 || condition_of(l) < l->words ||
		    (s == a->frontend && question && !is_before(s, question, l)))
			continue;
		for (size_t i = 0; i < count; i++)
			if (has(hap_word(l, 1), variable_of(a, names[i]).name) &&
			    !is_set(c, variable_of(a, names[i]).name))
				tell(c, FATAL, "answer-unused", l,
				     "this rule throws the agent's answer away before %s reads it: "
				     "HAProxy balances by itself; take the rule away",
				     i == 0 ? "use-server" : "use_backend");
	}
}

static void check_unset(const struct checking *c, const struct asking *a,
                        const struct hap_line *question)
{
	check_unset_in(c, a, a->frontend, question);
	for (size_t i = 0; i < c->conf->model_count; i++) {
		const struct hap_section *s = hap_backend_find(c->hap, c->conf->models[i].backend);

		if (s && s != a->frontend)
			check_unset_in(c, a, s, question);
	}
}

void check_rules(const struct checking *c, const struct asking *a)
{
	const struct questions q = questions_of(a);

	/* What is missing is told elsewhere. */
	if (!a->agent || !a->message || a->prefix[0] == '\0' ||
	    (!q.last && !hap_find(a->message, "event", NULL)))
		return;
	check_kept(c, a, q.last);
	check_rejects(c, a, q.first);
	check_errors(c, a, q.first);
	check_unset(c, a, q.last);
}
