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

static const char *parse_host(struct rest r, struct redis_url *u)
{
	bool bracket = skip(&r, "["), port;
	uint32_t v = REDIS_URL_PORT;
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
	u->port = (uint16_t)v;
	if (left(&host) > REDIS_URL_HOST_MAX)
		return "has a host that is too long";
	memcpy(u->host, host.p, left(&host));
	if (!all_of(u->host, bracket ? HEX ":." : LETTER "0123456789.-_"))
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
	why = parse_host(host, u);
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
