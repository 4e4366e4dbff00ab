#include "io/http/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/socket.h"

#define IDLE_SECONDS 3U
#define ACCEPT_BATCH 64  /* before others get their turn */
#define PAUSE        0.1 /* seconds, after running out of descriptors */

/* We accept by ourselves: libmicrohttpd would stop listening at its limit or without descriptors,
 * and not always begin again. */
struct http_server {
	struct agent *agent;
	struct http_sources sources;
	struct MHD_Daemon *daemon;
	int fd;
	ev_io acceptable;
	ev_timer pause;   /* after running out of descriptors */
	ev_io ready;      /* libmicrohttpd's own epoll descriptor */
	ev_timer timeout; /* of its connections */
};

/* A connection that closes without ever having asked is worth a line. */
struct http_peer {
	slo_nsec since;
	bool asked;
	char name[SOCKET_NAME_MAX];
};

static void peer_came(struct MHD_Connection *c, void **context)
{
	const struct sockaddr *sa =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
	struct http_peer *p = calloc(1, sizeof(*p));
	struct sockaddr_storage copy = { 0 };
	socklen_t len = sa && sa->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
	                : sa && sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                                  : sizeof(sa->sa_family);

	*context = p;
	if (!p || !sa)
		return;
	memcpy(&copy, sa, len);
	p->since = clock_nsec();
	socket_name(&copy, len, p->name, sizeof(p->name));
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
	struct agent *a = cls;
	struct http_peer *p = *context;
	slo_nsec now = clock_nsec();

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		peer_came(c, context);
		return;
	}
	if (p && !p->asked)
		log_limited(a->log, now, LOG_CAUSE_HTTP_PEER, LOG_INFO,
		            "http: connection from %s closed: %s", p->name,
		            now - p->since >= IDLE_SECONDS * SLO_NSEC_PER_SEC
		                ? "no request in time"
		                : "it ended without a request");
	free(p);
	*context = NULL;
}

static void note_asked(struct MHD_Connection *c)
{
	struct http_peer *p =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	if (p)
		p->asked = true;
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned int status, const char *type,
                             char *body, size_t len, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r;
	enum MHD_Result queued;

	if (!body)
		return MHD_NO; /* out of memory: the connection is closed */
	r = MHD_create_response_from_buffer(len, body, mode);
	if (!r) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(body);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	queued = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return queued;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned int status, char *text)
{
	return reply(c, status, "text/plain; charset=utf-8", text, strlen(text),
	             MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **context)
{
	static char ok[] = "ok\n", draining[] = "draining\n", get[] = "only GET is known here\n",
		    none[] = "/metrics, /healthz and /state.json are here\n";
	const struct http_server *s = cls;
	size_t len = 0;
	char *body;

	note_asked(c);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, get);
	if (strcmp(url, "/metrics") == 0) {
		body = render_metrics(&s->sources, &len);
		return reply(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", body, len,
		             MHD_RESPMEM_MUST_FREE);
	}
	if (strcmp(url, "/state.json") == 0) {
		body = render_state(&s->sources, clock_nsec(), &len);
		return reply(c, MHD_HTTP_OK, "application/json", body, len, MHD_RESPMEM_MUST_FREE);
	}
	if (strcmp(url, "/healthz") == 0)
		return s->agent->draining ? reply_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, draining)
		                          : reply_text(c, MHD_HTTP_OK, ok);
	return reply_text(c, MHD_HTTP_NOT_FOUND, none);
}

static void on_error(void *cls, const char *fmt, va_list ap)
{
	struct agent *a = cls;
	char line[256];

	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_limited(a->log, clock_nsec(), LOG_CAUSE_HTTP, LOG_INFO, "http: %s", line);
}

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

static void on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	run(w->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	run(w->data);
}

static void log_refused(struct http_server *s, const struct sockaddr_storage *sa, socklen_t len,
                        int err)
{
	char name[SOCKET_NAME_MAX];

	socket_name(sa, len, name, sizeof(name));
	log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_HTTP_FULL, LOG_WARNING,
	            "http: a connection from %s is refused: %s", name, strerror(err));
}

static void on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct http_server *s = w->data;
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	int fd = 0;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		fd = accept4(s->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			break;
		/* It closes the socket if it does not want it: at the limit, or without memory. */
		if (MHD_add_connection(s->daemon, fd, (struct sockaddr *)&sa, len) != MHD_YES)
			log_refused(s, &sa, len, errno);
		len = sizeof(sa);
	}
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		log_limited(s->agent->log, clock_nsec(), LOG_CAUSE_ACCEPT, LOG_ERR,
		            "http: accept: %s, waiting %.1f s", strerror(errno), PAUSE);
		ev_io_stop(loop, w);
		ev_timer_set(&s->pause, PAUSE, 0.);
		ev_timer_start(loop, &s->pause);
	}
	run(s);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http_server *s = w->data;

	ev_io_start(loop, &s->acceptable);
}

static bool start_daemon(struct http_server *s)
{
	const union MHD_DaemonInfo *info;
	unsigned int limit = (unsigned int)s->agent->conf->limits.http_connections;

	s->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request,
	    s, MHD_OPTION_EXTERNAL_LOGGER, on_error, s->agent, MHD_OPTION_CONNECTION_LIMIT, limit,
	    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_NOTIFY_CONNECTION,
	    on_connection, s->agent, MHD_OPTION_END);
	if (!s->daemon)
		return false;
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	ev_io_init(&s->ready, on_ready, info->epoll_fd, EV_READ);
	ev_init(&s->timeout, on_timeout);
	ev_io_init(&s->acceptable, on_acceptable, s->fd, EV_READ);
	ev_init(&s->pause, on_pause_over);
	s->ready.data = s->timeout.data = s->acceptable.data = s->pause.data = s;
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
	if (!s)
		return;
	ev_io_stop(s->agent->loop, &s->ready);
	ev_timer_stop(s->agent->loop, &s->timeout);
	ev_io_stop(s->agent->loop, &s->acceptable);
	ev_timer_stop(s->agent->loop, &s->pause);
	MHD_stop_daemon(s->daemon);
	listeners_close(&s->agent->listeners, s->fd);
	free(s);
}
