/* We accept by ourselves: libmicrohttpd would stop listening at its limit or without descriptors,
 * and not always begin again. And we decide who goes when all connections are in use, because it
 * would refuse whoever comes, and 64 peers that send a byte a second could keep Prometheus out.
 *
 *     ASKING --request--> WAITING --text is ready--> READING --taken--> ASKING ...
 *
 * A peer waits while its text is rendered: see http_reply.c. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "http_private.h"

#define IDLE_SECONDS 3U  /* in which a peer must send or take something */
#define ACCEPT_BATCH 64  /* before others get their turn */
#define PAUSE        0.1 /* seconds, after running out of descriptors */
#define LOOK         1.0 /* seconds between looks for peers that take too long */
#define SEND_BUFFER  65536
#define ASK_TIME     (10 * SLO_NSEC_PER_SEC)   /* for a request to come in whole */
#define READ_TIME    (30 * SLO_NSEC_PER_SEC)   /* for a reply to be taken */
#define GRACE        (50 * SLO_NSEC_PER_MSEC)  /* in which nobody is called silent */
#define READ_GRACE   (500 * SLO_NSEC_PER_MSEC) /* nor slow */

void http_run(struct http_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(s->daemon);
	ev_timer_stop(s->agent->loop, &s->timeout);
	if (MHD_get_timeout(s->daemon, &ms) == MHD_YES) {
		ev_timer_set(&s->timeout, (double)ms / 1e3, 0.);
		ev_timer_start(s->agent->loop, &s->timeout);
	}
}

/* Peers */

void http_peer_enter(struct http_peer *p, enum peer_state state)
{
	struct http_server *s = p->server;

	TAILQ_REMOVE(&s->peers[p->state], p, link);
	p->state = state;
	p->since = clock_nsec();
	TAILQ_INSERT_TAIL(&s->peers[state], p, link);
}

static struct http_peer *peer_of(struct MHD_Connection *c)
{
	return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct http_peer *peer_new(struct http_server *s, struct MHD_Connection *c)
{
	const struct sockaddr *sa =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
	struct http_peer *p = calloc(1, sizeof(*p));
	struct sockaddr_storage copy = { 0 };
	socklen_t len = sa && sa->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
	                : sa && sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                                  : sizeof(sa->sa_family);

	if (!p)
		return NULL;
	p->server = s;
	p->connection = c;
	p->state = PEER_ASKING;
	p->since = clock_nsec();
	TAILQ_INSERT_TAIL(&s->peers[PEER_ASKING], p, link);
	s->count++;
	if (sa) {
		memcpy(&copy, sa, len);
		socket_name(&copy, len, p->name, sizeof(p->name));
	}
	return p;
}

static void peer_free(struct http_peer *p)
{
	struct http_server *s = p->server;
	slo_nsec now = clock_nsec();

	if (!p->asked && !p->dropped)
		log_limited(s->agent->log, now, LOG_CAUSE_HTTP_PEER, LOG_INFO,
		            "http: connection from %s closed: %s", p->name,
		            now - p->since >= IDLE_SECONDS * SLO_NSEC_PER_SEC
		                ? "no request in time"
		                : "it ended without a request");
	TAILQ_REMOVE(&s->peers[p->state], p, link);
	s->count--;
	free(p);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = peer_new(cls, c);
		return;
	}
	if (*context)
		peer_free(*context);
	*context = NULL;
}

/* The next request may come. */
static void on_completed(void *cls, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
	struct http_peer *p = peer_of(c);

	if (p)
		http_peer_enter(p, PEER_ASKING);
}

/* libmicrohttpd has no call for this. It notices that its socket ends, and closes it. */
static void drop(struct http_peer *p, const char *why)
{
	if (p->dropped)
		return;
	log_limited(p->server->agent->log, clock_nsec(), LOG_CAUSE_HTTP_PEER, LOG_INFO,
	            "http: connection from %s closed: %s", p->name, why);
	p->dropped = true;
	shutdown(
	    MHD_get_connection_info(p->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
	    SHUT_RDWR);
}

/* Who has been silent for longest goes, or else who has been taking a reply for longest. Whoever
 * waits for us stays. */
static bool make_room(struct http_server *s)
{
	static const struct {
		enum peer_state state;
		slo_nsec grace;
	} order[] = { { PEER_ASKING, GRACE }, { PEER_READING, READ_GRACE } };
	slo_nsec now = clock_nsec();

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		struct http_peer *p = TAILQ_FIRST(&s->peers[order[i].state]);

		while (p && p->dropped)
			p = TAILQ_NEXT(p, link);
		if (!p || p->since + order[i].grace > now)
			continue;
		drop(p, "all connections are in use, and it is the slowest");
		http_run(s);
		return s->count < s->agent->conf->limits.http_connections;
	}
	return false;
}

static void drop_older(struct http_server *s, enum peer_state state, slo_nsec span, const char *why)
{
	slo_nsec now = clock_nsec();
	struct http_peer *p;

	TAILQ_FOREACH (p, &s->peers[state], link) {
		if (p->since + span > now)
			return;
		drop(p, why);
	}
}

static void on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http_server *s = w->data;

	drop_older(s, PEER_ASKING, ASK_TIME, "no request in time");
	drop_older(s, PEER_READING, READ_TIME, "it does not take its reply");
	if (s->count == 0)
		ev_timer_stop(loop, w);
	else
		http_run(s);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **context)
{
	struct http_peer *p = peer_of(c);

	if (!p)
		return MHD_NO; /* out of memory */
	p->asked = true;
	return http_reply(p, method, url);
}

static void on_error(void *cls, const char *fmt, va_list ap)
{
	struct http_server *s = cls;
	char line[256];

	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_HTTP, LOG_INFO, "http: %s", line);
}

static void on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	http_run(w->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	http_run(w->data);
}

/* Accepting */

static void add(struct http_server *s, int fd, const struct sockaddr_storage *sa, socklen_t len)
{
	size_t limit = s->agent->conf->limits.http_connections;
	char name[SOCKET_NAME_MAX];

	if (!socket_peer_allowed(&s->users, fd, name, sizeof(name))) {
		log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_PEER_USER, LOG_WARNING,
		            "http: %s is not among peers, its connection is refused", name);
		close(fd);
		return;
	}
	/* What a socket takes at once is copied in one turn of the loop, for each that has room. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SEND_BUFFER }, sizeof(int));
	if (s->count >= limit && !make_room(s)) {
		socket_name(sa, len, name, sizeof(name));
		log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_HTTP_FULL, LOG_WARNING,
		            "http: all %zu connections of limits.http_connections are in use, a "
		            "new one from %s is refused",
		            limit, name);
		close(fd);
		return;
	}
	/* It closes the socket if it does not want it. */
	if (MHD_add_connection(s->daemon, fd, (const struct sockaddr *)sa, len) == MHD_YES) {
		if (!ev_is_active(&s->look))
			ev_timer_again(s->agent->loop, &s->look);
		return;
	}
	socket_name(sa, len, name, sizeof(name));
	log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_HTTP_FULL, LOG_WARNING,
	            "http: a connection from %s is refused: %s", name, strerror(errno));
}

static void accept_failed(struct http_server *s, int err)
{
	bool full = err == EMFILE || err == ENFILE;

	if ((!full && err != ENOMEM && err != ENOBUFS) || (full && make_room(s)))
		return;
	log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_ACCEPT, LOG_ERR,
	            "http: accept: %s, waiting %.1f s", strerror(err), PAUSE);
	ev_io_stop(s->agent->loop, &s->acceptable);
	ev_timer_set(&s->pause, PAUSE, 0.);
	ev_timer_start(s->agent->loop, &s->pause);
}

static void on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct http_server *s = w->data;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t len = sizeof(sa);
		int fd = accept4(s->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			accept_failed(s, errno);
			break;
		}
		add(s, fd, &sa, len);
	}
	http_run(s);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http_server *s = w->data;

	ev_io_start(loop, &s->acceptable);
}

/* Life */

static bool start_daemon(struct http_server *s)
{
	const union MHD_DaemonInfo *info;
	/* Those that we dropped may still be counted. */
	unsigned int limit = 2 * (unsigned int)s->agent->conf->limits.http_connections;

	s->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME,
	    0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_error, s,
	    MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, s, MHD_OPTION_END);
	if (!s->daemon)
		return false;
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	ev_io_init(&s->ready, on_ready, info->epoll_fd, EV_READ);
	ev_init(&s->timeout, on_timeout);
	ev_io_init(&s->acceptable, on_acceptable, s->fd, EV_READ);
	ev_init(&s->pause, on_pause_over);
	ev_timer_init(&s->look, on_look, 0., LOOK);
	s->ready.data = s->timeout.data = s->acceptable.data = s->pause.data = s->look.data = s;
	ev_io_start(s->agent->loop, &s->acceptable);
	ev_io_start(s->agent->loop, &s->ready);
	return true;
}

struct http_server *http_server_new(struct agent *a, const struct http_sources *sources)
{
	struct http_server *s = calloc(1, sizeof(*s));
	char why[256], name[SOCKET_NAME_MAX];

	if (!s)
		return NULL;
	s->agent = a;
	s->sources = *sources;
	for (int i = 0; i < PEER_STATES; i++)
		TAILQ_INIT(&s->peers[i]);
	http_replies_init(s);
	if (!socket_peers_find(&a->conf->http, &s->users, why, sizeof(why))) {
		log_write(a->log, LOG_ERR, "http: %s", why);
		free(s);
		return NULL;
	}
	s->fd = listeners_open(&a->listeners, &a->conf->http.addr[0], 0, why, sizeof(why));
	if (s->fd < 0) {
		socket_log(a->log, &a->conf->http.addr[0], "http.listen", why);
		free(s);
		return NULL;
	}
	socket_local_name(s->fd, name, sizeof(name));
	if (!start_daemon(s)) {
		log_write(a->log, LOG_ERR, "http: libmicrohttpd does not start on %s", name);
		listeners_close(&a->listeners, s->fd);
		free(s);
		return NULL;
	}
	log_write(a->log, LOG_NOTICE, "http: listening on %s", name);
	return s;
}

void http_server_free(struct http_server *s)
{
	struct ev_loop *loop = s ? s->agent->loop : NULL;

	if (!s)
		return;
	ev_io_stop(loop, &s->ready);
	ev_timer_stop(loop, &s->timeout);
	ev_io_stop(loop, &s->acceptable);
	ev_timer_stop(loop, &s->pause);
	ev_timer_stop(loop, &s->look);
	http_replies_fini(s);
	MHD_stop_daemon(s->daemon);
	listeners_close(&s->agent->listeners, s->fd);
	free(s);
}
