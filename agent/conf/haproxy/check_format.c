/* The line that HAProxy writes at the end of a request. */
#include <stdio.h>
#include <string.h>

#include "check_private.h"

#define VALUE_MAX 200

/* What a key must tell. A value may be any of those of `tags`, parted by blanks. */
static const struct key {
	const char *key;
	const char *tags;
	enum severity severity;
	const char *without; /* what follows if it is missing or something else */
} keys[] = {
	{ "id", "%ID %[unique-id]", FATAL, "the agent cannot tell which request has ended" },
	{ "be", "%b", WORSE, "the agent does not see that HAProxy used another backend" },
	{ "srv", "%s", WORSE,
	  "the agent does not see that HAProxy used another server, and charges the wrong one" },
	{ "st", "%ST", FATAL,
	  "no answer counts as good: nothing is learned and no target is judged" },
	{ "tr", "%Tr", WORSE, "the time to the first token of streams may be unknown" },
	{ "ta", "%Ta", FATAL, "no latency is known: nothing is learned and no target is judged" },
	{ "bytes", "%B", WORSE,
	  "the output tokens of streams are unknown, so their length is a guess" },
	{ "ts", "%tsc %ts", WORSE, "requests that a client broke off count as answered" },
	{ "in", "*", WORSE, "the estimate of prompt tokens is never corrected" },
	{ "out", "*", WORSE, "output tokens are only guessed from bytes" },
	{ "err", "*", WORSE, "the agent does not see that HAProxy did not hear its answer" },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

/* The tags of what a client writes. */
static const char *const forgeable[] = {
	"%r", "%HM", "%HP", "%HPO", "%HU", "%HQ", "%hr", "%hrl", "%hs", "%hsl", "%CC", "%CS",
};
static const char *const forgeable_in[] = { "%[req.",       "%[capture.", "%[path",
	                                    "%[url",        "%[query",    "%[cook",
	                                    "txn.slo_req_", "%[res.hdr",  "%[method" };

/* Without "{...}" behind the percent sign: %{+Q}ID is %ID. */
static void plain(const char *value, char out[VALUE_MAX])
{
	const char *close = value[0] == '%' && value[1] == '{' ? strchr(value, '}') : NULL;

	if (close)
		snprintf(out, VALUE_MAX, "%%%s", close + 1);
	else
		snprintf(out, VALUE_MAX, "%s", value);
}

static bool is_among(const char *value, const char *tags)
{
	size_t len = strlen(value);

	if (strcmp(tags, "*") == 0)
		return true;
	for (const char *t = tags; len > 0 && *t; t += strcspn(t, " "), t += *t == ' ')
		if (strcspn(t, " ") == len && strncmp(t, value, len) == 0)
			return true;
	return false;
}

/* The value of key behind slo1 in the format; false: it is not there. */
static bool value_of(const char *format, const char *key, char out[VALUE_MAX])
{
	size_t len = strlen(key);

	for (const char *p = format; *p; p += strspn(p, " ")) {
		size_t word = strcspn(p, " ");

		if (word > len && strncmp(p, key, len) == 0 && p[len] == '=') {
			char value[VALUE_MAX];

			snprintf(value, sizeof(value), "%.*s", (int)(word - len - 1), p + len + 1);
			plain(value, out);
			return true;
		}
		p += word;
	}
	return false;
}

static void check_keys(const struct checking *c, const struct hap_line *at, const char *format)
{
	char value[VALUE_MAX];

	for (size_t i = 0; i < KEYS; i++) {
		const struct key *k = &keys[i];
		int tag = (int)strcspn(k->tags, " ");

		if (!value_of(format, k->key, value)) {
			const bool any = strcmp(k->tags, "*") == 0;

			tell(c, k->severity, "log-format", at,
			     "the end line has no %s=: %s; %s%s%s%.*s", k->key, k->without,
			     any ? "copy the key from the sample" : "add ", any ? "" : k->key,
			     any ? "" : "=", any ? 0 : tag, k->tags);
		} else if (!is_among(value, k->tags)) {
			tell(c, k->severity, "log-format", at, "%s=%s should be %s=%.*s: else %s",
			     k->key, value, k->key, tag, k->tags, k->without);
		}
	}
	if (c->conf->events.secret && !value_of(format, "key", value))
		tell(c, FATAL, "secret", at,
		     "the end line has no key=, but events.secret is set: the agent drops all "
		     "lines that "
		     "come over TCP and UDP; put key= with the same text behind slo1");
}

/* A word of the format that is such a tag, with or without a key before it. */
static bool has_tag(const char *format, const char *tag)
{
	size_t len = strlen(tag);

	for (const char *p = format; (p = strchr(p, '%')); p++) {
		char word[VALUE_MAX], bare[VALUE_MAX];

		snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
		plain(word, bare);
		if (strncmp(bare, tag, len) == 0 && strchr("\"',;|)", bare[len])) /* its end, too */
			return true;
	}
	return false;
}

static void check_forgery(const struct checking *c, const struct hap_line *at, const char *format)
{
	const char *found = NULL;

	for (size_t i = 0; i < sizeof(forgeable) / sizeof(forgeable[0]) && !found; i++)
		if (has_tag(format, forgeable[i]))
			found = forgeable[i];
	for (size_t i = 0; i < sizeof(forgeable_in) / sizeof(forgeable_in[0]) && !found; i++)
		if (strstr(format, forgeable_in[i]))
			found = forgeable_in[i];
	if (found)
		tell(c, WORSE, "log-format", at,
		     "the end line has %s, which clients or servers write: they can forge keys or "
		     "whole "
		     "lines and end other requests; log it to a target of its own",
		     found);
}

/* The one of two lines that holds: the later one of the section, or else of its defaults. */
static const struct hap_line *later(const struct hap_section *s, const struct hap_line *a,
                                    const struct hap_line *b)
{
	const struct hap_line *found = NULL;

	for (; s && !found; s = s->from)
		for (const struct hap_line *l = s->lines; l; l = l->next)
			if (l == a || l == b)
				found = l;
	return found;
}

void check_log_format(const struct checking *c, const struct asking *a)
{
	bool on;
	const struct hap_line *usual = hap_option(a->frontend, "httplog", &on);
	const struct hap_line *at = hap_find(a->frontend, "log-format", NULL);
	const char *begin = at ? strstr(hap_word(at, 1), "slo1 ") : NULL;

	if (!on || later(a->frontend, usual, at) != usual)
		usual = NULL;
	if (begin && !usual) {
		check_keys(c, at, begin + 5);
		check_forgery(c, at, hap_word(at, 1));
		return;
	}
	tell(
	    c, FATAL, "no-end-lines",
	    usual ? usual
	    : at  ? at
		  : a->frontend->head,
	    "%s: the agent understands none of frontend %s's lines and hears of no end, so servers "
	    "seem full and after some requests all are refused; copy log-format from the sample",
	    usual ? "option httplog writes other lines than the agent reads"
	    : at  ? "log-format does not begin with slo1"
		  : "there is no log-format",
	    a->frontend->name);
}
