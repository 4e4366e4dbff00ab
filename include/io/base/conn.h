/* conn.h - one stream peer, TCP or unix: bytes in, bytes out, one read and one write a wake-up.
 *
 * Input goes into a buffer that all connections share; only what is left of an incomplete
 * message is kept with the connection until more comes. Output gathers while callbacks run and
 * leaves in one write just before the loop sleeps. So an idle connection owns no buffer.
 *
 * Closing stops the watchers and marks; the connection is freed before the loop sleeps, so
 * pointers on the stack stay valid. */
#ifndef SLO_IO_BASE_CONN_H
#define SLO_IO_BASE_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "io/base/listeners.h"
#include "io/base/log.h"
#include "io/base/socket.h"
#include "slo.h"
#include "spare.h"

struct conn;
TAILQ_HEAD(conn_list, conn);

/* What a protocol does with a connection. */
struct conn_protocol {
	/* Takes whole messages from data and returns how many bytes it used. What is left is
	 * given again in front of the next bytes. May call conn_reserve(),
	 * conn_sent(), conn_finish() and conn_close(). */
	size_t (*received)(struct conn *c, const uint8_t *data, size_t len, slo_nsec now);
	/* All its output is with the kernel; NULL: nobody asks. */
	void (*drained)(struct conn *c, slo_nsec now);
	/* The connection is gone; last call, before it is freed. */
	void (*closed)(struct conn *c, slo_nsec now);
	/* Nothing is lost if the peer goes now, so its reset is worth no line; NULL: it always is.
	 */
	bool (*idle)(const struct conn *c);
	bool half_closes; /* a peer that sends no more still waits for its answers */
	/* What log lines are limited by: ends that the peer made, ends that we made. */
	enum log_cause peer_cause, broken_cause;
	enum log_cause full_cause; /* connections over the limit */
	const char *name;          /* "spop", for log lines */
	const char *limit; /* the setting of how many connections there may be; NULL: none */
};

/* A timeout that many connections share: a list ordered by when each began to wait, with one timer
 * for its head. (A timer each would cost memory that libev keeps.) */
struct timeout_list {
	struct ev_loop *loop;
	slo_nsec span; /* may change at any time; 0: for ever */
	void (*over)(struct conn *c, slo_nsec now);
	struct conn_list waiting;
	ev_timer timer;
};
void timeout_list_init(struct timeout_list *p, struct ev_loop *loop, slo_nsec span,
                       void (*over)(struct conn *c, slo_nsec now));
void timeout_list_fini(struct timeout_list *p); /* of one that no connection waits with */
/* c waits on p from now on, and on no other list. NULL: it waits for nothing. */
void conn_wait(struct conn *c, struct timeout_list *p, slo_nsec now);

/* What the connections of a loop share. Each is on `open` or on `closing`. */
struct conns {
	struct ev_loop *loop;
	struct log *log;
	struct conn_list open;    /* all that live: their peer may still send or read */
	struct conn_list writing; /* of these, who has new output since the last send() */
	struct conn_list closing; /* closed in this turn, freed before the loop sleeps */
	size_t count;
	uint8_t *scratch; /* shared input buffer */
	size_t scratch_size;
	struct spare blocks;        /* of output */
	struct timeout_list linger; /* for our last words to be read */
	ev_prepare prepare;
};

struct conn {
	struct conns *set;
	const struct conn_protocol *protocol;
	void *owner;     /* the protocol's server */
	size_t *counter; /* of connections of this listener's kind */
	int fd;
	bool writing;   /* on set->writing */
	bool closing;   /* on set->closing instead of set->open; its descriptor is closed */
	bool paused;    /* no input is read for now */
	bool again;     /* what is left is to be handed over though nothing more came */
	bool finishing; /* closes when its output is written; input is ignored */
	bool local;     /* by a unix socket, so that its mode and peers guard it */
	uint8_t *left;  /* start of an incomplete message */
	size_t left_len;
	uint8_t *out; /* [out_sent, out_len) is still to be written */
	size_t out_sent, out_len, out_cap, out_max;
	ev_io readable, writable;
	struct timeout_list *timeout; /* the list that it waits on, or NULL */
	slo_nsec since;               /* when it began to wait */
	TAILQ_ENTRY(conn) link, writing_link, timeout_link;
	char peer[48];
};

/* max_message: the longest incomplete message that a protocol leaves. SLO_ENOMEM. */
MUSTCHECK slo_err conns_init(struct conns *set, struct ev_loop *loop, struct log *log,
                             size_t max_message);
void conns_fini(struct conns *set); /* closes all */
/* Frees what lay spare ever since the last call. */
void conns_give_back(struct conns *set);

/* Room for len more bytes of output at the returned place, to be followed by conn_sent(); NULL:
 * the peer does not read or memory is out, and the connection has been closed. */
uint8_t *conn_reserve(struct conn *c, size_t len);
void conn_sent(struct conn *c, size_t len);
COLD void conn_finish(struct conn *c); /* closes when all output is written, or soon anyway */
/* Reads nothing more until conn_resume(), which hands over what was left, too. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
/* Takes what has come already, without waiting for the loop. */
void conn_read_all(struct conn *c);
/* Closes now. A reason that is not NULL is logged with the peer's name. */
COLD void conn_close(struct conn *c, slo_nsec now, const char *reason);

/* An acceptor of connections for one protocol. */
struct acceptor {
	struct conns *set;
	struct listeners *listeners; /* that fd is of */
	const struct conn_protocol *protocol;
	void *owner;
	size_t conn_size; /* of the protocol's struct, which starts with a struct conn */
	size_t limit, *counter, out_max;
	/* Peers that have sent nothing sensible yet. When all connections are in use, the one that
	 * came first makes room: silent peers cannot keep HAProxy out. */
	struct timeout_list *unproven;
	const struct socket_peers *peers; /* who may come by unix sockets */
	void (*accepted)(struct conn *c, slo_nsec now);
	int fd;
	ev_io readable;
	ev_timer pause; /* after running out of descriptors */
	char name[SOCKET_NAME_MAX];
};
void acceptor_start(struct acceptor *a); /* with everything above `readable` but `name` set */
void acceptor_stop(struct acceptor *a);  /* closes the socket; twice is fine */

#endif
