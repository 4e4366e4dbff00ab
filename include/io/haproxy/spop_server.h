/* spop_server.h - HAProxy's connections: handshake, questions in, answers out, in any order.
 *
 *   accepted --HELLO--> ready --NOTIFY--> (held) --ACK--> ready ... --DISCONNECT--> closed
 *
 * A frame is known by its connection and its two ids; a connection that goes takes the requests
 * held for it out of the queue, because HAProxy has then balanced them itself. */
#ifndef SLO_IO_HAPROXY_SPOP_SERVER_H
#define SLO_IO_HAPROXY_SPOP_SERVER_H

#include "io/agent/agent.h"
#include "io/base/conn.h"

struct spop_server;

/* Opens all of conf->spop. NULL: the reason is logged. */
struct spop_server *spop_server_new(struct agent *a, struct conns *conns);
void spop_server_free(struct spop_server *s); /* NULL is accepted; connections close first */

/* The agent's way to answer; user is what it got with agent_route(). */
agent_deliver spop_server_deliver;

/* Takes no new connections and fails health checks, so that HAProxy stops asking. */
void spop_server_drain(struct spop_server *s);
/* Decides about all that has come already, and accepts no more connections. */
void spop_server_read_all(struct spop_server *s);
/* Says goodbye to every connection; they close when that is written. */
void spop_server_disconnect(struct spop_server *s);

/* Frees what lay spare ever since the last call. */
void spop_server_give_back(struct spop_server *s);

#endif
