/* event_server.h - HAProxy's log lines: end lines and notices, over TCP and UDP at once.
 * TCP (a ring): lines end in newline, or stand behind their length, and may come in pieces. UDP: a
 * datagram is a line. */
#ifndef SLO_IO_HAPROXY_EVENT_SERVER_H
#define SLO_IO_HAPROXY_EVENT_SERVER_H

#include "io/agent/agent.h"
#include "io/base/conn.h"

struct event_server;

/* Opens all of conf->events. NULL: the reason is logged. */
struct event_server *event_server_new(struct agent *a, struct conns *conns);
/* Takes what has come over TCP already, closes these connections and leaves the sockets to another
 * process. HAProxy connects anew, and what comes by UDP waits in the socket. */
void event_server_stop(struct event_server *s);
void event_server_free(struct event_server *s); /* NULL is accepted; connections close first */

#endif
