/* redis_lookup.h - the addresses of a host, without waiting for them.
 *
 * Addresses and "localhost" are known at once. A name is looked up by glibc's getaddrinfo_a(3),
 * which asks in a thread of its own that touches nothing of ours but the request; the loop looks
 * now and then whether it has finished. */
#ifndef SLO_IO_REDIS_LOOKUP_H
#define SLO_IO_REDIS_LOOKUP_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "slo.h"

#define REDIS_ADDRESSES_MAX 8

struct redis_addresses {
	size_t count;
	socklen_t len[REDIS_ADDRESSES_MAX];
	struct sockaddr_storage sa[REDIS_ADDRESSES_MAX];
};

struct redis_lookup; /* running */

/* True: *out has the addresses. False: the name must be looked up. */
bool redis_lookup_at_once(const char *host, uint16_t port, struct redis_addresses *out);
/* done(user, ...) comes later, with NULL and why when there are none; the lookup is gone then.
 * NULL: out of memory. */
struct redis_lookup *
redis_lookup_start(struct ev_loop *loop, const char *host, uint16_t port,
                   void (*done)(void *user, const struct redis_addresses *found, const char *why),
                   void *user);
/* NULL is accepted. One that cannot be stopped is left to itself: glibc still writes into it. */
void redis_lookup_cancel(struct redis_lookup *l);

#endif
