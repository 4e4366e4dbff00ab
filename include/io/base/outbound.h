/* outbound.h - a connection that we open: its name is looked up, its addresses are tried in turn,
 * and all of it has a deadline. Redis and HAProxy's runtime API are spoken to through it.
 *
 *   CLOSED --open--> LOOKING_UP -> CONNECTING --> UP --close, failure, deadline--> CLOSED
 *
 * No callback comes before the call that asked for it has returned. A callback may close and open:
 * whoever calls one looks at nothing of the connection afterwards. */
#ifndef SLO_IO_BASE_OUTBOUND_H
#define SLO_IO_BASE_OUTBOUND_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/base/lookup.h"
#include "slo.h"

#define OUTBOUND_WHY_MAX 256

enum outbound_state { OUTBOUND_CLOSED, OUTBOUND_LOOKING_UP, OUTBOUND_CONNECTING, OUTBOUND_UP };

/* Called from the loop. */
struct outbound_user {
	void *user;
	void (*up)(void *user);
	/* The socket can be read or written, as far as that is watched. */
	void (*ready)(void *user, int revents);
	/* It is closed already; why is valid until the next call. */
	void (*down)(void *user, const char *why);
};

/* Where to; the strings must last until outbound_open() returns. */
struct outbound_peer {
	const char *path; /* of a unix socket; NULL: host and port */
	const char *host;
	uint16_t port;
};

struct outbound {
	struct ev_loop *loop;
	struct outbound_user user;
	enum outbound_state state;
	int fd;          /* -1: none */
	uint64_t opened; /* how often it was opened or closed: tells one connection from the next */
	struct lookup *lookup;
	struct lookup_addresses addresses; /* kept while connections to them succeed */
	size_t next_address;               /* to try when this one fails */
	ev_io readable, writable;
	ev_timer soon;     /* so that no callback comes before outbound_open() returns */
	ev_timer deadline; /* to be up; then for whatever the user waits for */
	char why[OUTBOUND_WHY_MAX];
};

/* seconds: from opening until it is up, and between two outbound_wait(). */
void outbound_init(struct outbound *o, struct ev_loop *loop, const struct outbound_user *user,
                   double seconds);
/* On a closed one. up() or down() follows. */
void outbound_open(struct outbound *o, const struct outbound_peer *peer);
/* No callback follows; also for a closed one. */
void outbound_close(struct outbound *o);
/* Closes and calls down(). */
void outbound_fail(struct outbound *o, const char *why);
/* The name is looked up again for the next connection. */
void outbound_forget(struct outbound *o);

void outbound_watch(struct outbound *o, bool read, bool write);
/* The deadline begins anew; false: there is nothing to wait for. */
void outbound_wait(struct outbound *o, bool waiting);

#endif
