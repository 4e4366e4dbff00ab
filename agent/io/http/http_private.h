/* http_private.h - what the parts of the HTTP listener share: its peers and their texts. */
#ifndef SLO_IO_HTTP_HTTP_PRIVATE_H
#define SLO_IO_HTTP_HTTP_PRIVATE_H

#include <ev.h>
#include <microhttpd.h>
#include <sys/queue.h>

#include "io/base/socket.h"
#include "io/http/http_server.h"
#include "io/http/render.h"

enum peer_state { PEER_ASKING, PEER_WAITING, PEER_READING, PEER_STATES };

TAILQ_HEAD(peers, http_peer);

struct http_peer {
	TAILQ_ENTRY(http_peer) link; /* of the list of its state */
	struct http_server *server;
	struct MHD_Connection *connection;
	enum peer_state state;
	slo_nsec since;  /* when its state began */
	struct job *job; /* whose text it waits for; NULL: it was not to be had */
	bool asked;      /* a request came in whole */
	bool dropped;    /* its socket is shut down */
	char name[SOCKET_NAME_MAX];
};

/* A text that peers wait for; it goes when all of them have it. */
struct job {
	TAILQ_ENTRY(job) link;
	struct render_want want;
	struct render *render;         /* NULL: not begun */
	struct MHD_Response *response; /* NULL: no memory, or not yet */
};
TAILQ_HEAD(jobs, job);

struct http_server {
	struct agent *agent;
	struct http_sources sources;
	struct MHD_Daemon *daemon;
	int fd;
	struct socket_peers users;       /* who may come by a unix socket */
	struct peers peers[PEER_STATES]; /* of each state, in the order in which they entered it */
	size_t count;
	struct jobs jobs; /* the first gets the next turn */
	ev_timer turn;
	ev_io acceptable;
	ev_timer pause;   /* after running out of descriptors */
	ev_timer look;    /* for slow peers */
	ev_io ready;      /* libmicrohttpd's own epoll descriptor */
	ev_timer timeout; /* of its connections */
};

/* http_server.c */

/* Lets libmicrohttpd do what there is to do, and sets its timer. */
void http_run(struct http_server *s);
void http_peer_enter(struct http_peer *p, enum peer_state state);

/* http_reply.c */

void http_replies_init(struct http_server *s);
/* Nobody is given a text any more; all who wait are resumed and closed. */
void http_replies_fini(struct http_server *s);
/* Answers a request, or suspends its connection until there is an answer. */
enum MHD_Result http_reply(struct http_peer *p, const char *method, const char *url);

#endif
