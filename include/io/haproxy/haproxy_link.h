/* haproxy_link.h - one question to one address of HAProxy's runtime API: the text goes out, the
 * answer comes in until HAProxy closes the connection, and all of it has a deadline and a bounded
 * size. */
#ifndef SLO_IO_HAPROXY_HAPROXY_LINK_H
#define SLO_IO_HAPROXY_HAPROXY_LINK_H

#include "conf/listen_addr.h"
#include "io/base/outbound.h"

/* Called from the loop. */
struct haproxy_link_user {
	void *user;
	/* A piece of the answer. Not NULL: why the rest of it is of no use. */
	const char *(*bytes)(void *user, struct slice bytes);
	/* The connection is closed, and another question may be asked. why NULL: by HAProxy, after
	 * its answer. */
	void (*over)(void *user, const char *why);
};

struct haproxy_link {
	struct outbound to;
	struct haproxy_link_user user;
	struct slice text;  /* borrowed */
	size_t sent, bytes; /* of the question, of the answer */
};

void haproxy_link_init(struct haproxy_link *l, struct ev_loop *loop,
                       const struct haproxy_link_user *user);
/* On one whose last question is over. The text must last until this one is; where need not. */
void haproxy_link_ask(struct haproxy_link *l, const struct listen_addr *where, struct slice text);
void haproxy_link_close(struct haproxy_link *l); /* no callback follows */

#endif
