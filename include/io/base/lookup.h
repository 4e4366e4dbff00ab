/* lookup.h - the addresses of a host, without waiting for them.
 *
 * Addresses and "localhost" are known at once. A name is looked up by glibc's getaddrinfo_a(3),
 * which asks in a thread of its own that touches nothing of ours but the request; the loop looks
 * now and then whether it has finished. */
#ifndef SLO_IO_BASE_LOOKUP_H
#define SLO_IO_BASE_LOOKUP_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "slo.h"

#define LOOKUP_ADDRESSES_MAX 8

struct lookup_addresses {
	size_t count;
	socklen_t len[LOOKUP_ADDRESSES_MAX];
	struct sockaddr_storage sa[LOOKUP_ADDRESSES_MAX];
};

struct lookup; /* running */

/* True: *out has the addresses. False: the name must be looked up. */
bool lookup_at_once(const char *host, uint16_t port, struct lookup_addresses *out);
/* done(user, ...) comes later, with NULL and why when there are none; the lookup is gone then.
 * NULL: out of memory. */
struct lookup *lookup_start(struct ev_loop *loop, const char *host, uint16_t port,
                            void (*done)(void *user, const struct lookup_addresses *found,
                                         const char *why),
                            void *user);
/* NULL is accepted. One that cannot be stopped is left to itself: glibc still writes into it. */
void lookup_cancel(struct lookup *l);

#endif
