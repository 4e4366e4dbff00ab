/* The URL is taken apart from its left: scheme, user and password up to the last @, host, port,
 * database. A reason must never quote the URL, which may have a password. */
#include "conf/redis_url.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What is left of the URL. */
struct rest {
	const char *p, *end;
};

static size_t left(const struct rest *r)
{
	return (size_t)(r->end - r->p);
}

static bool skip(struct rest *r, const char *prefix)
{
	size_t len = strlen(prefix);

	if (left(r) < len || memcmp(r->p, prefix, len) != 0)
		return false;
	r->p += len;
	return true;
}

/* Takes the text before the first `mark` (the last one if `last`), and the mark. */
static bool take_before(struct rest *r, char mark, bool last, struct rest *out)
{
	const char *at = left(r) == 0 ? NULL
	                 : last       ? memrchr(r->p, mark, left(r))
	                              : memchr(r->p, mark, left(r));

	if (!at)
		return false;
	*out = (struct rest){ r->p, at };
	r->p = at + 1;
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Into max + 1 bytes; false: it is too long, a %XX is broken, or there is a NUL. */
static bool decode(struct rest r, char *out, size_t max)
{
	size_t n = 0;

	while (r.p < r.end) {
		char c = *r.p++;

		if (c == '%') {
			int high = left(&r) >= 2 ? hex(r.p[0]) : -1;
			int low = left(&r) >= 2 ? hex(r.p[1]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			r.p += 2;
		}
		if (c == '\0' || n == max)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

/* Decimal digits only, to max. */
static bool number(struct rest r, uint32_t max, uint32_t *out)
{
	uint64_t v;

	if (!slice_decimal((struct slice){ (const uint8_t *)r.p, left(&r) }, max, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool all_of(const char *s, const char *set)
{
	return s[0] != '\0' && s[strspn(s, set)] == '\0';
}

#define HEX    "0123456789abcdefABCDEF"
#define LETTER "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char *parse_user(struct rest *r, struct redis_url *u)
{
	struct rest word, user;

	/* A path or database has no bare @, and the last one is what clients take. */
	if (!take_before(r, '@', true, &word))
		return NULL;
	if (!take_before(&word, ':', false, &user))
		return "names a user without a password, which is written :PASSWORD@";
	if (!decode(user, u->user, REDIS_URL_WORD_MAX) ||
	    !decode(word, u->password, REDIS_URL_WORD_MAX))
		return "has a user or password that is too long or has a broken %XX";
	if (u->password[0] == '\0')
		return "has an empty password";
	return NULL;
}

static const char *parse_host(struct rest r, char host_out[REDIS_URL_HOST_MAX + 1],
                              uint16_t *port_out)
{
	bool bracket = skip(&r, "["), port;
	uint32_t v = *port_out;
	struct rest host = r;

	if (bracket) {
		if (!take_before(&r, ']', false, &host))
			return "has a [ without ]";
		port = skip(&r, ":");
		if (!port && left(&r) > 0)
			return "has something else than a port behind ]";
	} else {
		port = take_before(&r, ':', false, &host);
	}
	if (port && (!number(r, 65535, &v) || v == 0))
		return "has a port that is not 1 to 65535";
	*port_out = (uint16_t)v;
	if (left(&host) > REDIS_URL_HOST_MAX)
		return "has a host that is too long";
	memcpy(host_out, host.p, left(&host));
	host_out[left(&host)] = '\0';
	if (!all_of(host_out, bracket ? HEX ":." : LETTER "0123456789.-_"))
		return "has no valid host";
	return NULL;
}

static const char *parse_db(struct rest r, struct redis_url *u)
{
	return number(r, REDIS_URL_DB_MAX, &u->db) ? NULL : "has a database that is no number";
}

static const char *parse_inet(struct rest r, struct redis_url *u)
{
	const char *why = parse_user(&r, u);
	struct rest host = r;

	if (why)
		return why;
	if (!take_before(&r, '/', false, &host))
		r.p = r.end;
	u->port = REDIS_URL_PORT;
	why = parse_host(host, u->host, &u->port);
	return !why && left(&r) > 0 ? parse_db(r, u) : why;
}

static const char *parse_unix(struct rest r, struct redis_url *u)
{
	const char *why = parse_user(&r, u);
	struct rest path = r;

	if (why)
		return why;
	if (take_before(&r, '?', false, &path))
		why = skip(&r, "db=") ? parse_db(r, u) : "has something else than db=N behind ?";
	if (why)
		return why;
	if (!decode(path, u->path, REDIS_URL_PATH_MAX))
		return "has a path that is too long or has a broken %XX";
	return u->path[0] == '/' && u->path[1] ? NULL : "has no absolute path";
}

/* HOST[:PORT],... */
static const char *parse_hosts(struct rest r, struct redis_sentinels *out)
{
	const char *why = NULL;
	struct rest host;

	while (!why) {
		struct redis_sentinel *s = &out->at[out->count];
		bool more = take_before(&r, ',', false, &host);

		if (out->count == REDIS_SENTINELS_MAX)
			return "names more than 8 Sentinels";
		s->port = REDIS_SENTINEL_PORT;
		why = parse_host(more ? host : r, s->host, &s->port);
		out->count++;
		if (!more)
			break;
	}
	return why;
}

static const char *parse_sentinels(struct rest r, struct redis_url *u, struct redis_sentinels *out)
{
	const char *why = parse_user(&r, u);
	struct rest hosts, service;

	u->kind = REDIS_URL_TCP;
	if (why)
		return why;
	if (!take_before(&r, '/', false, &hosts))
		return "has no /SERVICE, which is what the Sentinels call the server";
	why = parse_hosts(hosts, out);
	if (why)
		return why;
	service = r;
	if (take_before(&r, '/', false, &service))
		why = parse_db(r, u);
	if (why)
		return why;
	if (!decode(service, out->service, REDIS_SENTINEL_NAME_MAX) ||
	    !all_of(out->service, LETTER "0123456789.-_"))
		return "has a /SERVICE that is not 1 to 63 letters, digits and . - _";
	return NULL;
}

static const char *parse(struct rest r, struct redis_url *u)
{
	if (skip(&r, "redis://")) {
		u->kind = REDIS_URL_TCP;
		return parse_inet(r, u);
	}
	if (skip(&r, "rediss://")) {
		u->kind = REDIS_URL_TLS;
		return parse_inet(r, u);
	}
	if (skip(&r, "unix://") || skip(&r, "redis+unix://")) {
		u->kind = REDIS_URL_UNIX;
		return parse_unix(r, u);
	}
	return "must begin with redis://, rediss:// or unix://";
}

slo_err redis_url_parse(const char *url, size_t len, struct redis_url *out, const char **why)
{
	struct redis_url u = { 0 };
	const char *wrong = parse((struct rest){ url, url + len }, &u);

	if (wrong) {
		*why = wrong;
		return SLO_EINVAL;
	}
	*out = u;
	return SLO_OK;
}

slo_err redis_url_parse_sentinels(const char *url, size_t len, struct redis_url *server,
                                  struct redis_sentinels *out, const char **why)
{
	struct redis_sentinels sentinels = { 0 };
	struct rest r = { url, url + len };
	struct redis_url u = { 0 };
	const char *wrong;

	if (!skip(&r, "redis+sentinel://")) {
		*out = sentinels;
		return redis_url_parse(url, len, server, why);
	}
	wrong = parse_sentinels(r, &u, &sentinels);
	if (wrong) {
		*why = wrong;
		return SLO_EINVAL;
	}
	*server = u;
	*out = sentinels;
	return SLO_OK;
}

void redis_url_print(const struct redis_url *u, char out[REDIS_URL_TEXT_MAX])
{
	bool v6 = strchr(u->host, ':') != NULL;

	if (u->kind == REDIS_URL_UNIX)
		snprintf(out, REDIS_URL_TEXT_MAX, "unix://%s?db=%u", u->path, (unsigned)u->db);
	else
		snprintf(out, REDIS_URL_TEXT_MAX, "%s://%s%s%s:%u/%u",
		         u->kind == REDIS_URL_TLS ? "rediss" : "redis", v6 ? "[" : "", u->host,
		         v6 ? "]" : "", (unsigned)u->port, (unsigned)u->db);
}
