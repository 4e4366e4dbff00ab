/* We accept by ourselves: libmicrohttpd would stop listening at its limit or without descriptors,
 * and not always begin again. And we decide who goes when all connections are in use, because it
 * would refuse whoever comes, and 64 peers that send a byte a second could keep Prometheus out.
 *
 *     ASKING --request--> WAITING --text is ready--> READING --taken--> ASKING ...
 *
 * A peer waits while the text that it asked for is rendered, a slice in each turn of the loop;
 * libmicrohttpd has its connection suspended meanwhile. All who ask for the same page by the time
 * that a render begins share its text: sixty scrapes at once cost one. Who asks later waits for the
 * next one, so that a text never is of before its request. */
#include "io/http/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/socket.h"

#define IDLE_SECONDS 3U  /* in which a peer must send or take something */
#define ACCEPT_BATCH 64  /* before others get their turn */
#define PAUSE        0.1 /* seconds, after running out of descriptors */
#define LOOK         1.0 /* seconds between looks for peers that take too long */
#define SEND_BUFFER  65536
#define TURN_MAX     SLO_NSEC_PER_MSEC
#define ASK_TIME     (10 * SLO_NSEC_PER_SEC)   /* for a request to come in whole */
#define READ_TIME    (30 * SLO_NSEC_PER_SEC)   /* for a reply to be taken */
#define GRACE        (50 * SLO_NSEC_PER_MSEC)  /* in which nobody is called silent */
#define READ_GRACE   (500 * SLO_NSEC_PER_MSEC) /* nor slow */

enum peer_state { PEER_ASKING, PEER_WAITING, PEER_READING, PEER_STATES };

TAILQ_HEAD(peers, http_peer);

struct http_peer {
	TAILQ_ENTRY(http_peer) link; /* of the list of its state */
	struct http_server *server;
	struct MHD_Connection *connection;
	enum peer_state state;
	slo_nsec since;  /* when its state began */
	struct job *job; /* whose text it waits for */
	uint64_t round;  /* of that job */
	bool asked;      /* a request came in whole */
	bool dropped;    /* its socket is shut down */
	char name[SOCKET_NAME_MAX];
};

/* The texts of one page, one after the other. */
struct job {
	struct http_server *server;
	enum render_page page;
	const char *type;
	struct render *render; /* running, or NULL */
	struct MHD_Response
	    *response;  /* of the round that ended last; NULL: no memory, or none yet */
	uint64_t round; /* the running one, or the last */
	ev_timer turn;
};

struct http_server {
	struct agent *agent;
	struct http_sources sources;
	struct MHD_Daemon *daemon;
	int fd;
	struct socket_peers users;       /* who may come by a unix socket */
	struct peers peers[PEER_STATES]; /* of each state, in the order in which they entered it */
	size_t count;
	struct job job[RENDER_PAGES];
	ev_io acceptable;
	ev_timer pause;   /* after running out of descriptors */
	ev_timer look;    /* for slow peers */
	ev_io ready;      /* libmicrohttpd's own epoll descriptor */
	ev_timer timeout; /* of its connections */
};

static void run(struct http_server *s)
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

static void enter(struct http_peer *p, enum peer_state state)
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
		enter(p, PEER_ASKING);
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
		run(s);
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
		run(s);
}

/* Pages */

static void start_turn(struct job *j)
{
	if (ev_is_active(&j->turn))
		return;
	ev_timer_set(&j->turn, 0., 0.);
	ev_timer_start(j->server->agent->loop, &j->turn);
}

static void free_text(void *text)
{
	render_text_free(text);
}

static struct MHD_Response *response_of(struct job *j)
{
	struct render_text *text = j->render ? render_take(j->render) : NULL;
	struct MHD_IoVec *vec = text ? calloc(text->count, sizeof(*vec)) : NULL;
	struct MHD_Response *r = NULL;

	for (size_t i = 0; vec && i < text->count; i++)
		vec[i] = (struct MHD_IoVec){ text->piece[i].p, text->piece[i].len };
	if (vec)
		r = MHD_create_response_from_iovec(vec, (unsigned int)text->count, free_text, text);
	free(vec);
	if (r)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, j->type);
	else
		render_text_free(text);
	return r;
}

/* Gives the text to all who waited for this round; the others need another one. */
static void finish(struct job *j)
{
	struct http_server *s = j->server;
	struct http_peer *p;

	j->response = response_of(j);
	render_free(j->render);
	j->render = NULL;
	TAILQ_FOREACH (p, &s->peers[PEER_WAITING], link)
		if (p->job == j && p->round == j->round)
			MHD_resume_connection(p->connection);
	run(s); /* each asks again now, and is answered by page() */
	if (j->response)
		MHD_destroy_response(j->response);
	j->response = NULL;
	TAILQ_FOREACH (p, &s->peers[PEER_WAITING], link)
		if (p->job == j && p->round > j->round)
			start_turn(j);
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct job *j = w->data;

	if (!j->render) {
		j->round++;
		j->render = render_new(&j->server->sources, j->page);
	}
	if (!j->render || render_run(j->render, TURN_MAX))
		finish(j);
	else
		start_turn(j);
}

static enum MHD_Result page(struct http_peer *p, enum render_page which)
{
	struct job *j = &p->server->job[which];
	enum MHD_Result queued;

	if (p->state != PEER_WAITING) {
		p->job = j;
		p->round = j->round + 1;
		enter(p, PEER_WAITING);
		start_turn(j);
		MHD_suspend_connection(p->connection);
		return MHD_YES;
	}
	if (!j->response)
		return MHD_NO; /* out of memory, or we stop: the connection is closed */
	enter(p, PEER_READING);
	queued = MHD_queue_response(p->connection, MHD_HTTP_OK, j->response);
	return queued;
}

/* `text` is constant. */
static enum MHD_Result reply_text(struct http_peer *p, unsigned int status, char *text)
{
	struct MHD_Response *r =
	    MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result queued;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	enter(p, PEER_READING);
	queued = MHD_queue_response(p->connection, status, r);
	MHD_destroy_response(r);
	return queued;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **context)
{
	static char ok[] = "ok\n", draining[] = "draining\n", get[] = "only GET is known here\n",
		    none[] = "/metrics, /healthz and /state.json are here\n";
	struct http_server *s = cls;
	struct http_peer *p = peer_of(c);

	if (!p)
		return MHD_NO; /* out of memory */
	p->asked = true;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_text(p, MHD_HTTP_METHOD_NOT_ALLOWED, get);
	if (strcmp(url, "/metrics") == 0)
		return page(p, RENDER_METRICS);
	if (strcmp(url, "/state.json") == 0)
		return page(p, RENDER_STATE);
	if (strcmp(url, "/healthz") == 0)
		return s->agent->draining ? reply_text(p, MHD_HTTP_SERVICE_UNAVAILABLE, draining)
		                          : reply_text(p, MHD_HTTP_OK, ok);
	return reply_text(p, MHD_HTTP_NOT_FOUND, none);
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
	run(w->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	run(w->data);
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
	run(s);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http_server *s = w->data;

	ev_io_start(loop, &s->acceptable);
}

/* Life */

static void start_jobs(struct http_server *s)
{
	static const char *const types[] = {
		[RENDER_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
		[RENDER_STATE] = "application/json",
	};
	_Static_assert(sizeof(types) / sizeof(types[0]) == RENDER_PAGES, "a type for each page");

	for (int i = 0; i < RENDER_PAGES; i++) {
		struct job *j = &s->job[i];

		*j = (struct job){ .server = s, .page = (enum render_page)i, .type = types[i] };
		ev_init(&j->turn, on_turn);
		j->turn.data = j;
	}
}

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
	start_jobs(s);
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
	struct http_peer *p;

	if (!s)
		return;
	ev_io_stop(loop, &s->ready);
	ev_timer_stop(loop, &s->timeout);
	ev_io_stop(loop, &s->acceptable);
	ev_timer_stop(loop, &s->pause);
	ev_timer_stop(loop, &s->look);
	for (int i = 0; i < RENDER_PAGES; i++) {
		ev_timer_stop(loop, &s->job[i].turn);
		render_free(s->job[i].render);
	}
	/* libmicrohttpd does not stop while a connection is suspended. */
	TAILQ_FOREACH (p, &s->peers[PEER_WAITING], link)
		MHD_resume_connection(p->connection);
	MHD_stop_daemon(s->daemon);
	listeners_close(&s->agent->listeners, s->fd);
	free(s);
}
