/* Times, numbers and addresses as HAProxy writes them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_private.h"

slo_nsec hap_time(const char *text)
{
	static const struct {
		const char *unit;
		slo_nsec nsec;
	} units[] = {
		{ "", SLO_NSEC_PER_MSEC },         { "us", 1000 },
		{ "ms", SLO_NSEC_PER_MSEC },       { "s", SLO_NSEC_PER_SEC },
		{ "m", 60 * SLO_NSEC_PER_SEC },    { "h", 3600 * SLO_NSEC_PER_SEC },
		{ "d", 86400 * SLO_NSEC_PER_SEC },
	};
	struct slice s = slice_of(text);
	uint64_t n;
	size_t digits = slice_digits(s, &n);

	if (digits == 0)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text + digits, units[i].unit) == 0)
			return n > (uint64_t)(SLO_NEVER / units[i].nsec)
			           ? SLO_NEVER
			           : (slo_nsec)n * units[i].nsec;
	return -1;
}

slo_nsec hap_timeout(const struct hap_section *s, const char *name, const struct hap_line **at)
{
	*at = hap_find(s, "timeout", name);
	return *at ? hap_time(hap_word(*at, 2)) : -1;
}

long hap_number(const char *text)
{
	uint64_t n;

	return slice_decimal(slice_of(text), INT32_MAX, &n) ? (long)n : -1;
}

struct time_text time_text(slo_nsec t)
{
	struct time_text out;

	if (t % SLO_NSEC_PER_SEC == 0)
		snprintf(out.text, sizeof(out.text), "%llds", (long long)(t / SLO_NSEC_PER_SEC));
	else if (t % SLO_NSEC_PER_MSEC == 0)
		snprintf(out.text, sizeof(out.text), "%lldms", (long long)(t / SLO_NSEC_PER_MSEC));
	else
		snprintf(out.text, sizeof(out.text), "%lldus", (long long)(t / 1000));
	return out;
}

/* Addresses */

static bool is_one_of(const char *host, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(host, *names) == 0)
			return true;
	return false;
}

static bool is_everywhere(const char *host)
{
	static const char *const names[] = { "", "*", "0.0.0.0", "::", NULL };

	return is_one_of(host, names);
}

static bool is_loopback(const char *host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1", "ip6-localhost",
		                             NULL };

	return is_one_of(host, names);
}

static bool is_number(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* A name may stand for any address, and so may ours, of all interfaces. */
static enum match compare_hosts(const char *theirs, const char *ours)
{
	if (strcmp(theirs, ours) == 0 || (is_loopback(theirs) && is_loopback(ours)) ||
	    (is_everywhere(ours) && is_loopback(theirs)))
		return MATCH_YES;
	if (is_everywhere(ours) || !is_number(theirs) || !is_number(ours))
		return MATCH_PORT;
	return MATCH_NO;
}

/* "tcp4@", "ipv6@", "quic4@" and so on say nothing that matters here. */
static const char *behind_family(const char *text)
{
	const char *at = strchr(text, '@');

	return at && strncmp(text, "unix@", 5) != 0 ? at + 1 : text;
}

static enum match compare_inet(const char *text, const struct listen_addr *a)
{
	char host[256];
	const char *colon = strrchr(text, ':');
	size_t len;

	if (!colon || hap_number(colon + 1) != a->port)
		return MATCH_NO;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return MATCH_NO;
	memcpy(host, text, len);
	host[len] = '\0';
	return compare_hosts(host, a->host);
}

/* A path of ours that is relative begins at a directory that nobody tells here, so the end of
 * theirs decides. */
static bool is_path(const char *theirs, const char *ours)
{
	size_t theirs_len = strlen(theirs), len;

	while (strncmp(ours, "./", 2) == 0 || strncmp(ours, "../", 3) == 0)
		ours = strchr(ours, '/') + 1;
	len = strlen(ours);
	if (ours[0] == '/' || theirs_len <= len)
		return strcmp(theirs, ours) == 0;
	theirs += theirs_len - len;
	return theirs[-1] == '/' && strcmp(theirs, ours) == 0;
}

enum match hap_address_is(const char *text, const struct listen_addr *a)
{
	text = behind_family(text);
	if (!listen_addr_is_unix(a))
		return compare_inet(text, a);
	if (strncmp(text, "unix@", 5) == 0)
		text += 5;
	return is_path(text, a->path) ? MATCH_YES : MATCH_NO;
}

enum match hap_listener_has(const struct config_listen *l, const char *text, bool datagrams)
{
	enum match best = MATCH_NO;

	for (size_t i = 0; i < l->count; i++) {
		enum match m = listen_addr_is_datagram(&l->addr[i]) == datagrams
		                   ? hap_address_is(text, &l->addr[i])
		                   : MATCH_NO;

		if (m > best)
			best = m;
	}
	return best;
}

struct listen_text listen_text(const struct config_listen *l)
{
	struct listen_text out = { "" };
	size_t used = 0;

	for (size_t i = 0; i < l->count && used < sizeof(out.text); i++) {
		char one[160];

		listen_addr_print(&l->addr[i], one, sizeof(one));
		used += (size_t)snprintf(out.text + used, sizeof(out.text) - used, "%s%s",
		                         i > 0 ? ", " : "", one);
	}
	return out;
}

bool hap_any(const struct hap_section *s, const char *first, const char *text)
{
	struct hap_walk w = hap_walk(s);
	const struct hap_line *l;

	while ((l = hap_next(&w, first, NULL)))
		if (hap_mentions(l, text))
			return true;
	return false;
}
