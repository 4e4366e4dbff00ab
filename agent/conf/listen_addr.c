#include "conf/listen_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool parse_port(const char *s, uint16_t *out)
{
	uint64_t v;

	if (!slice_decimal(slice_of(s), UINT16_MAX, &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

static bool host_ok(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s >= 0x7f || strchr("/[]:", *s))
			return false;
	}
	return true;
}

static const char *parse_unix(const char *s, const char *dir, struct listen_addr *a)
{
	const char *sep = dir[0] == '\0' || dir[strlen(dir) - 1] == '/' ? "" : "/";
	int n;

	if (s[0] == '\0')
		return "has no path";
	if (s[0] == '/')
		dir = sep = "";
	n = snprintf(a->path, sizeof(a->path), "%s%s%s", dir, sep, s);
	if (n < 0 || (size_t)n >= sizeof(a->path))
		return "has a path longer than 107 bytes, more than a unix socket can have";
	return NULL;
}

/* [host, end) is the host, and a port follows end: all that is left to do for both forms. */
static const char *parse_inet(const char *host, const char *end, const char *port,
                              struct listen_addr *a)
{
	size_t len = (size_t)(end - host);

	if (len == 0)
		return "has no host";
	if (len >= sizeof(a->host))
		return "has a host longer than 255 bytes";
	memcpy(a->host, host, len);
	a->host[len] = '\0';
	if (!parse_port(port, &a->port))
		return "has a bad port, must be 0 to 65535";
	return NULL;
}

static const char *parse_v6(const char *s, struct listen_addr *a)
{
	const char *end = strchr(s, ']'), *why;
	struct in6_addr unused;

	if (!end)
		return "has no closing bracket";
	if (end[1] != ':')
		return "has no port";
	why = parse_inet(s + 1, end, end + 2, a);
	if (!why && inet_pton(AF_INET6, a->host, &unused) != 1)
		return "has no IPv6 address between its brackets";
	return why;
}

static const char *parse(const char *s, const char *dir, struct listen_addr *a)
{
	const char *colon, *why;

	if (strncmp(s, "unix:", 5) == 0) {
		a->kind = LISTEN_UNIX;
		return parse_unix(s + 5, dir, a);
	}
	if (strncmp(s, "unixgram:", 9) == 0) {
		a->kind = LISTEN_UNIXGRAM;
		return parse_unix(s + 9, dir, a);
	}
	if (s[0] == '/')
		return "is a path, which has \"unix:\" before it";
	if (strncmp(s, "unix@", 5) == 0)
		return "is written as in HAProxy's files; here it is \"unix:PATH\"";
	if (strstr(s, "://"))
		return "is an URL, must be \"host:port\" or \"unix:path\"";
	a->kind = LISTEN_TCP;
	if (strncmp(s, "udp:", 4) == 0) {
		a->kind = LISTEN_UDP;
		s += 4;
	}
	if (*s == '[')
		return parse_v6(s, a);
	colon = strchr(s, ':');
	if (!colon)
		return "has no port";
	if (strchr(colon + 1, ':'))
		return "has more than one colon: an IPv6 address needs brackets";
	why = parse_inet(s, colon, colon + 1, a);
	if (!why && !host_ok(a->host))
		return "has a host with a character that no host has";
	return why;
}

bool listen_addr_parse(const char *s, const char *dir, struct listen_addr *out, const char **why)
{
	struct listen_addr a = { 0 };
	const char *problem = parse(s, dir, &a);

	if (problem) {
		*why = problem;
		return false;
	}
	*out = a;
	return true;
}

void listen_addr_print(const struct listen_addr *a, char *out, size_t cap)
{
	const char *kind = a->kind == LISTEN_UDP        ? "udp:"
	                   : a->kind == LISTEN_UNIX     ? "unix:"
	                   : a->kind == LISTEN_UNIXGRAM ? "unixgram:"
	                                                : "";

	if (listen_addr_is_unix(a))
		snprintf(out, cap, "%s%s", kind, a->path);
	else
		snprintf(out, cap, strchr(a->host, ':') ? "%s[%s]:%u" : "%s%s:%u", kind, a->host,
		         a->port);
}

bool listen_addr_equal(const struct listen_addr *a, const struct listen_addr *b)
{
	if (a->kind != b->kind)
		return false;
	if (listen_addr_is_unix(a))
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool listen_access_equal(const struct listen_access *a, const struct listen_access *b)
{
	return a->set == b->set && a->has_mode == b->has_mode && a->mode == b->mode &&
	       strcmp(a->user, b->user) == 0 && strcmp(a->group, b->group) == 0;
}
