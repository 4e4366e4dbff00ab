/* listen_addr.h - an address to listen on, as the configuration writes it:
 *     host:port   [v6]:port   unix:path   udp:host:port   unixgram:path
 * Only parsed here: no name is looked up, nothing is opened. */
#ifndef SLO_CONF_LISTEN_ADDR_H
#define SLO_CONF_LISTEN_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

enum listen_kind {
	LISTEN_TCP,
	LISTEN_UDP,
	LISTEN_UNIX,
	LISTEN_UNIXGRAM, /* datagrams, as HAProxy's "log /path" sends them */
};

#define LISTEN_ACCOUNT_MAX 32 /* bytes of a user's or group's name; Linux has none longer */

/* Who may open a unix socket. */
struct listen_access {
	bool set; /* something is configured; otherwise the umask decides */
	bool has_mode;
	uint16_t mode;
	char user[LISTEN_ACCOUNT_MAX + 1], group[LISTEN_ACCOUNT_MAX + 1]; /* "": ours */
};

struct listen_addr {
	enum listen_kind kind;
	uint16_t port;  /* tcp, udp; 0: the kernel chooses */
	char host[256]; /* tcp, udp: a name or an address, v6 without its brackets */
	char path[108]; /* unix: fits into sun_path with its terminator */
	struct listen_access access;
};

static inline bool listen_addr_is_unix(const struct listen_addr *a)
{
	return a->kind == LISTEN_UNIX || a->kind == LISTEN_UNIXGRAM;
}

static inline bool listen_addr_is_datagram(const struct listen_addr *a)
{
	return a->kind == LISTEN_UDP || a->kind == LISTEN_UNIXGRAM;
}

/* A relative path of a unix socket is taken below `dir` ("": left as it is). False: *why is a
 * constant text such as "has no port", and *out is untouched. */
MUSTCHECK bool listen_addr_parse(const char *s, const char *dir, struct listen_addr *out,
                                 const char **why);

/* As the configuration writes it, cut to fit. */
void listen_addr_print(const struct listen_addr *a, char *out, size_t cap);
/* Whether both name the same address. Two ports 0 are the same here, though the kernel chooses. */
bool listen_addr_equal(const struct listen_addr *a, const struct listen_addr *b);
bool listen_access_equal(const struct listen_access *a, const struct listen_access *b);

#endif
