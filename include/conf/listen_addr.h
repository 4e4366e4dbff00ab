/* listen_addr.h - an address to listen on, as the configuration writes it:
 *     host:port   [v6]:port   unix:path   udp:host:port
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
};

struct listen_addr {
	enum listen_kind kind;
	uint16_t port;  /* tcp, udp; 0: the kernel chooses */
	char host[256]; /* tcp, udp: a name or an address, v6 without its brackets */
	char path[108]; /* unix: fits into sun_path with its terminator */
};

/* A relative path of a unix socket is taken below `dir` ("": left as it is). False: *why is a
 * constant text such as "has no port", and *out is untouched. */
MUSTCHECK bool listen_addr_parse(const char *s, const char *dir, struct listen_addr *out,
                                 const char **why);

/* Whether both name the same address. Two ports 0 are the same here, though the kernel chooses. */
bool listen_addr_equal(const struct listen_addr *a, const struct listen_addr *b);

#endif
