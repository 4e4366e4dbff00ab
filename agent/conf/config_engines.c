#include "conf/config_engines.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HOUR     (3600 * SLO_NSEC_PER_SEC)

/* What may stand in braces in a URL. */
static bool is_placeholder(const char *s, size_t len)
{
	return (len == 9 && memcmp(s, "{address}", len) == 0) ||
	       (len == 6 && memcmp(s, "{port}", len) == 0);
}

/* NULL: it is a URL that can be asked. */
static const char *why_not(const char *s, bool template)
{
	if (strncmp(s, "http://", 7) != 0 && strncmp(s, "https://", 8) != 0)
		return "must begin with http:// or https://";
	for (const char *p = s; *p; p++) {
		size_t len = strcspn(p, "}") + 1;

		if (*p <= ' ' || *p > '~')
			return "has a character that no URL has";
		if (*p == '{' && (!template || !is_placeholder(p, len)))
			return template ? "may have {address} and {port} in braces, nothing else"
			                : "is of one server, so nothing in it is in braces";
	}
	if (template && !strstr(s, "{address}"))
		return "has no {address}, so it would be the same for all servers";
	return NULL;
}

static bool read_url(struct reader *r, const struct node *n, bool template, const char **out)
{
	const char *s, *why;

	if (!reader_want_string(r, n, CONFIG_URL_MAX, &s))
		return false;
	why = why_not(s, template);
	if (why)
		reader_fail(r, n, JSONPOS_VALUE, "is \"%s\", which %s", reader_quote(s).s, why);
	else
		*out = s;
	return !why;
}

static bool is_server(const char *s)
{
	const char *slash = strchr(s, '/');

	return slash && config_is_name((struct slice){ (const uint8_t *)s, (size_t)(slash - s) }) &&
	       config_is_name(slice_of(slash + 1));
}

static void read_servers(struct reader *r, const struct node *section, struct config_engines *e)
{
	struct node n = node_member(section, "servers");
	const char *key;
	json_t *value;

	if (!n.value || !reader_want_object(r, &n))
		return;
	e->at = calloc(json_object_size(n.value) + 1, sizeof(*e->at));
	if (!e->at) {
		reader_no_memory(r);
		return;
	}
	json_object_foreach(n.value, key, value)
	{
		struct node member = node_member(&n, key);
		struct config_engine_at *at = &e->at[e->count];

		if (!is_server(key))
			reader_fail(r, &member, JSONPOS_KEY, "\"%s\" must be BACKEND/SERVER",
			            reader_quote(key).s);
		else if (read_url(r, &member, false, &at->url))
			e->count++;
		at->server = key;
	}
}

void config_engines_read(struct reader *r, const struct node *root, struct config *c)
{
	static const struct cfg_field fields[] = {
		{ "poll", CFG_TIME, offsetof(struct config_engines, poll), 100 * SLO_NSEC_PER_MSEC,
		  HOUR },
		{ .name = "metrics" },
		{ .name = "servers" },
	};
	struct node n = node_member(root, "engines"), metrics = node_member(&n, "metrics");
	struct config_engines *e = &c->engines;

	if (!n.value)
		return;
	e->set = true;
	cfg_section(r, &n, fields, COUNT(fields), e);
	read_servers(r, &n, e);
	if (r->failed)
		return;
	if (metrics.value && read_url(r, &metrics, true, &e->metrics) && c->runtime_api.count == 0)
		reader_fail(r, &metrics, JSONPOS_VALUE,
		            "needs \"haproxy.runtime_api\", which tells the addresses of servers");
	if (!r->failed && !metrics.value && e->count == 0)
		reader_fail(r, &n, JSONPOS_VALUE, "names no engine, must have metrics or servers");
}

void config_engines_fini(struct config_engines *e)
{
	free(e->at);
}
