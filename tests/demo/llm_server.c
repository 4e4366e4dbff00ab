/* llm_server.c - named LLM servers that speak like vLLM and are as slow as the GPU they name.
 *
 * One loop, one thread. Watchers only note what is ready; all work is done in before_wait(), once
 * per turn and server: end the engine steps that are due, let libmicrohttpd run, set the one timer.
 *
 *   headers, body -> submit -> suspended --token--> resumed: events, suspended again
 *                                        --last---> resumed: the whole answer
 *
 * libmicrohttpd does not watch a suspended connection, so a sweep looks for clients that left. */
#include <ev.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "demo_ask.h"
#include "demo_http.h"
#include "demo_reply.h"
#include "demo_setup.h"
#include "demo_stats.h"
#include "engine.h"

#define STEPS_PER_TURN 256
#define SWEEP_SEC      0.02
#define STREAM_BLOCK   16384

struct request {
	struct request *prev, *next; /* among those in flight */
	struct server *srv;
	struct MHD_Connection *conn;
	struct demo_body body;
	bool routed;    /* the whole request was here: called again only when resumed */
	bool in_flight; /* in the list and counted */
	bool in_engine;
	bool suspended;
	bool aborted; /* the client left */
	struct engine_handle handle;
	struct demo_reply reply;
	uint32_t tokens;             /* generated so far */
	uint64_t events;             /* printed so far */
	size_t event_off, event_len; /* what of event[] is still to be sent */
	char event[DEMO_EVENT_MAX];
};

struct server {
	struct app *app;
	struct demo_server_conf *conf;
	struct engine *engine;
	struct MHD_Daemon *mhd;
	ev_io readable;
	bool run_mhd;             /* it has something to do in this turn */
	struct request *requests; /* in flight */
	uint64_t last_id;
	struct demo_stats stats;
	uint64_t prompt_tokens; /* since the start */
};

struct app {
	struct ev_loop *loop;
	struct demo_setup setup;
	struct server *servers; /* setup.count */
	ev_prepare prepare;
	ev_timer wake;
	ev_timer sweep;
	ev_signal term, intr;
	struct pollfd *polled;
	struct request **polled_request;
	size_t polled_size;
};

static slo_nsec clock_nsec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SLO_NSEC_PER_SEC + t.tv_nsec;
}

static void resume(struct request *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	r->srv->run_mhd = true;
	MHD_resume_connection(r->conn);
}

static void suspend(struct request *r)
{
	r->suspended = true;
	MHD_suspend_connection(r->conn);
}

static void on_token(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens, bool finished)
{
	struct request *r = (struct request *)(uintptr_t)cookie;

	(void)arg;
	(void)at;
	r->tokens = tokens;
	r->srv->stats.output_tokens++;
	if (finished)
		r->in_engine = false;
	if (finished || r->reply.ask.stream)
		resume(r);
}

/* Bounded: at high speed the steps of one turn must not starve the sockets. */
static void catch_up(struct server *srv, slo_nsec now)
{
	for (int i = 0; i < STEPS_PER_TURN; i++)
		if (!engine_step(srv->engine, now, on_token, NULL))
			break;
	demo_stats_watch(&srv->stats, srv->engine);
}

static enum MHD_Result respond_error(struct request *r, unsigned status, const char *type,
                                     const char *message)
{
	return demo_respond_json(r->conn, r->srv->conf->name, status,
	                         json_pack("{s:{s:s,s:s,s:n,s:i}}", "error", "message", message,
	                                   "type", type, "param", "code", (int)status));
}

static bool copy_event(struct request *r, char *buf, size_t max, size_t *done)
{
	size_t n;

	if (r->event_off == r->event_len) {
		if (r->events == demo_events(&r->reply, r->tokens))
			return false;
		r->event_len = demo_print_event(&r->reply, r->events++, r->event);
		r->event_off = 0;
	}
	n = r->event_len - r->event_off;
	if (n > max - *done)
		n = max - *done;
	memcpy(buf + *done, r->event + r->event_off, n);
	r->event_off += n;
	*done += n;
	return *done < max;
}

/* Gives all events that are ready as one chunk, and suspends when there is none. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct request *r = cls;
	size_t n = 0;

	(void)pos;
	if (r->aborted)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	while (copy_event(r, buf, max, &n))
		;
	if (n > 0)
		return (ssize_t)n;
	if (!r->in_engine)
		return MHD_CONTENT_READER_END_OF_STREAM;
	suspend(r);
	return 0;
}

/* Called in place of the access handler's work once a suspended request was resumed. Headers
 * leave with the first token, so the time to them is the time to first token. */
static enum MHD_Result answer(struct request *r)
{
	struct MHD_Response *resp;
	size_t len = 0;
	char *text;

	if (r->aborted)
		return MHD_NO;
	if (r->in_engine && (!r->reply.ask.stream || r->tokens == 0)) {
		suspend(r);
		return MHD_YES;
	}
	if (!r->reply.ask.stream) {
		text = demo_print_answer(&r->reply, &len);
		return demo_respond_text(r->conn, r->srv->conf->name, MHD_HTTP_OK, text, len);
	}
	resp =
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, r, NULL);
	return demo_respond(r->conn, r->srv->conf->name, MHD_HTTP_OK, resp,
	                    "text/event-stream; charset=utf-8");
}

static void enter(struct request *r)
{
	struct server *srv = r->srv;

	r->in_flight = true;
	r->prev = NULL;
	r->next = srv->requests;
	if (r->next != NULL)
		r->next->prev = r;
	srv->requests = r;
	srv->prompt_tokens += r->reply.ask.prompt_tokens;
	demo_stats_enter(&srv->stats, r->reply.ask.prompt_tokens,
	                 demo_header(r->conn, "x-demo-tag"));
}

static void leave(struct request *r, bool completed)
{
	struct server *srv = r->srv;

	if (r->in_engine && engine_cancel(srv->engine, r->handle) == SLO_OK)
		r->in_engine = false;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		srv->requests = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	demo_stats_leave(&srv->stats, completed && !r->aborted);
}

static enum MHD_Result generate(struct request *r, bool chat)
{
	struct server *srv = r->srv;
	struct demo_hints hints = { .prompt_tokens =
		                        demo_header_count(r->conn, "x-demo-prompt-tokens"),
		                    .output_tokens =
		                        demo_header_count(r->conn, "x-demo-output-tokens") };
	struct slice body = { .p = (const uint8_t *)r->body.p, .len = r->body.len };
	slo_nsec now = clock_nsec();
	slo_err err;

	if (r->body.too_big)
		return respond_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "BadRequestError",
		                     "the body is too large");
	err = demo_ask_parse(body, chat, srv->app->setup.engine.model, &hints, &r->reply.ask);
	if (err != SLO_OK)
		return respond_error(r, MHD_HTTP_BAD_REQUEST, "BadRequestError",
		                     err == SLO_ETOOBIG ? "the model's name is too long"
		                                        : "not a JSON object with a prompt");
	r->reply.id = demo_mix(r->reply.ask.seed + ++srv->last_id);
	r->reply.created = time(NULL);
	catch_up(srv, now); /* a step that has ended must not take this request in */
	err = engine_submit(srv->engine, now, (uint64_t)(uintptr_t)r, r->reply.ask.prompt_tokens,
	                    r->reply.ask.output_tokens, &r->handle);
	if (err == SLO_ETOOBIG)
		return respond_error(r, MHD_HTTP_BAD_REQUEST, "BadRequestError",
		                     "prompt and answer exceed the maximum model length");
	if (err != SLO_OK)
		return respond_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "InternalServerError",
		                     "out of memory");
	r->in_engine = true;
	enter(r);
	suspend(r);
	return MHD_YES;
}

static enum MHD_Result post_chat(struct request *r)
{
	return generate(r, true);
}

static enum MHD_Result post_completions(struct request *r)
{
	return generate(r, false);
}

static enum MHD_Result get_health(struct request *r)
{
	struct MHD_Response *resp =
	    MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

	return demo_respond(r->conn, r->srv->conf->name, MHD_HTTP_OK, resp, "text/plain");
}

static enum MHD_Result get_models(struct request *r)
{
	const char *model = r->srv->app->setup.engine.model;
	json_int_t most = engine_max_tokens(r->srv->engine);

	return demo_respond_json(r->conn, r->srv->conf->name, MHD_HTTP_OK,
	                         json_pack("{s:s,s:[{s:s,s:s,s:I,s:s,s:s,s:n,s:I}]}", "object",
	                                   "list", "data", "id", model, "object", "model",
	                                   "created", (json_int_t)time(NULL), "owned_by", "demo",
	                                   "root", model, "parent", "max_model_len", most));
}

static enum MHD_Result get_stats(struct request *r)
{
	struct server *srv = r->srv;
	json_t *v;

	catch_up(srv, clock_nsec());
	v = demo_stats_json(&srv->stats, srv->engine);
	json_object_set_new(v, "server", json_string(srv->conf->name));
	json_object_set_new(v, "gpu", json_string(srv->conf->gpu));
	return demo_respond_json(r->conn, srv->conf->name, MHD_HTTP_OK, v);
}

/* In vLLM's names. Its series of histograms are left out. */
static enum MHD_Result get_metrics(struct request *r)
{
	struct server *srv = r->srv;
	struct engine_stats now;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return MHD_NO;
	catch_up(srv, clock_nsec());
	engine_stats(srv->engine, &now);
	demo_print_metrics(f, srv->app->setup.engine.model, &now, srv->prompt_tokens);
	if (fclose(f) != 0)
		return MHD_NO;
	return demo_respond(r->conn, srv->conf->name, MHD_HTTP_OK,
	                    MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE),
	                    "text/plain; version=0.0.4; charset=utf-8");
}

static enum MHD_Result post_reset(struct request *r)
{
	demo_stats_reset(&r->srv->stats, r->srv->engine);
	return demo_respond_json(r->conn, r->srv->conf->name, MHD_HTTP_OK, json_object());
}

/* Lets a test end long streams when it has seen enough of them. */
static enum MHD_Result post_speed(struct request *r)
{
	uint32_t speed = demo_header_count(r->conn, "x-demo-speed");

	slo_nsec now = clock_nsec();

	catch_up(r->srv, now);
	if (!engine_set_speed(r->srv->engine, now, speed))
		return respond_error(r, MHD_HTTP_BAD_REQUEST, "BadRequestError",
		                     "x-demo-speed is not a positive number");
	return demo_respond_json(r->conn, r->srv->conf->name, MHD_HTTP_OK, json_object());
}

static const struct route {
	const char *method;
	const char *path;
	enum MHD_Result (*serve)(struct request *r);
} routes[] = {
	{ "POST", "/v1/chat/completions", post_chat },
	{ "POST", "/v1/completions", post_completions },
	{ "GET", "/health", get_health },
	{ "GET", "/v1/models", get_models },
	{ "GET", "/stats", get_stats },
	{ "GET", "/metrics", get_metrics },
	{ "POST", "/stats/reset", post_reset },
	{ "POST", "/speed", post_speed },
};

static enum MHD_Result route(struct request *r, const char *method, const char *path)
{
	bool known = false;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		if (strcmp(routes[i].method, method) == 0)
			return routes[i].serve(r);
		known = true;
	}
	return known ? respond_error(r, MHD_HTTP_METHOD_NOT_ALLOWED, "BadRequestError",
	                             "method not allowed")
	             : respond_error(r, MHD_HTTP_NOT_FOUND, "NotFoundError", "no such path");
}

/* libmicrohttpd calls this for the headers, for each piece of body, at the end of the body, and
 * after every resume until a response is queued. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **req_cls)
{
	struct request *r = *req_cls;

	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return MHD_NO;
		r->srv = cls;
		r->conn = conn;
		*req_cls = r;
		return MHD_YES;
	}
	if (*len > 0)
		return demo_body_take(&r->body, data, len);
	if (r->routed)
		return answer(r);
	r->routed = true;
	return route(r, method, url);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **req_cls,
                         enum MHD_RequestTerminationCode how)
{
	struct request *r = *req_cls;

	if (r == NULL)
		return;
	if (r->in_flight)
		leave(r, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	free(r->body.p);
	free(r);
	*req_cls = NULL;
}

static void abort_request(struct request *r)
{
	r->aborted = true;
	if (r->in_engine && engine_cancel(r->srv->engine, r->handle) == SLO_OK)
		r->in_engine = false;
	resume(r); /* it ends there with an error */
}

static bool polled_reserve(struct app *app, size_t n)
{
	struct pollfd *fds;
	struct request **rs;

	if (n <= app->polled_size)
		return true;
	fds = realloc(app->polled, 2 * n * sizeof(*fds));
	if (fds == NULL)
		return false;
	app->polled = fds;
	rs = realloc(app->polled_request, 2 * n * sizeof(struct request *));
	if (rs == NULL)
		return false;
	app->polled_request = rs;
	app->polled_size = 2 * n;
	return true;
}

/* Cancels what no client waits for any more. A client that shut down its sending side counts as
 * gone, as it does for vLLM. */
static void sweep_server(struct app *app, struct server *srv)
{
	nfds_t n = 0;

	if (srv->requests == NULL || !polled_reserve(app, srv->stats.inflight))
		return;
	for (struct request *r = srv->requests; r != NULL; r = r->next) {
		const union MHD_ConnectionInfo *info =
		    MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

		if (!r->in_engine || info == NULL)
			continue;
		app->polled[n] = (struct pollfd){ .fd = info->connect_fd, .events = POLLRDHUP };
		app->polled_request[n++] = r;
	}
	if (poll(app->polled, n, 0) <= 0)
		return;
	for (nfds_t i = 0; i < n; i++)
		if (app->polled[i].revents != 0)
			abort_request(app->polled_request[i]);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct app *app = w->data;

	for (size_t i = 0; i < app->setup.count; i++)
		sweep_server(app, &app->servers[i]);
}

/* One turn of one server. Returns when it wants the next one. */
static slo_nsec run_server(struct server *srv, slo_nsec now)
{
	MHD_UNSIGNED_LONG_LONG ms;
	slo_nsec next;

	catch_up(srv, now);
	if (srv->run_mhd) {
		srv->run_mhd = false;
		MHD_run(srv->mhd);
	}
	next = engine_next(srv->engine);
	if (srv->run_mhd)
		return now;
	if (MHD_get_timeout(srv->mhd, &ms) == MHD_YES) {
		srv->run_mhd = ms == 0;
		if (ms < 1000000 && now + (slo_nsec)ms * SLO_NSEC_PER_MSEC < next)
			next = now + (slo_nsec)ms * SLO_NSEC_PER_MSEC;
	}
	return next;
}

static void before_wait(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct app *app = w->data;
	slo_nsec now = clock_nsec(), next = SLO_NEVER;

	for (size_t i = 0; i < app->setup.count; i++) {
		slo_nsec t = run_server(&app->servers[i], now);

		if (t < next)
			next = t;
	}
	ev_timer_stop(loop, &app->wake);
	if (next == SLO_NEVER)
		return;
	now = clock_nsec();
	ev_now_update(loop); /* the timer counts from the loop's idea of now */
	ev_timer_set(&app->wake, next > now ? (double)(next - now) / 1e9 : 0.0, 0.0);
	ev_timer_start(loop, &app->wake);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct server *srv = w->data;

	srv->run_mhd = true;
}

/* Waking up is all it does: before_wait() comes next. */
static void on_wake(struct ev_loop *loop, ev_timer *w, int revents)
{
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

static bool server_fail(const struct server *srv, const char *what)
{
	fprintf(stderr, "llm_server: %s on %s: %s\n", srv->conf->name, srv->conf->gpu, what);
	return false;
}

static bool server_start(struct app *app, struct server *srv, struct demo_server_conf *conf)
{
	struct engine_conf engine = app->setup.engine;
	const union MHD_DaemonInfo *info;
	int fd;

	srv->app = app;
	srv->conf = conf;
	engine.gpu = conf->gpu;
	srv->engine = engine_new(&engine);
	if (srv->engine == NULL)
		return server_fail(srv, "no such engine");
	fd = demo_listen(&conf->port);
	if (fd < 0)
		return server_fail(srv, strerror(errno));
	srv->mhd =
	    MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
	                     srv, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, 8192u,
	                     MHD_OPTION_NOTIFY_COMPLETED, on_completed, srv, MHD_OPTION_END);
	info = srv->mhd != NULL ? MHD_get_daemon_info(srv->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (info == NULL)
		return server_fail(srv, "libmicrohttpd does not start");
	ev_io_init(&srv->readable, on_readable, info->epoll_fd, EV_READ);
	srv->readable.data = srv;
	ev_io_start(app->loop, &srv->readable);
	srv->run_mhd = true;
	return true;
}

/* libmicrohttpd refuses to stop while a connection is suspended. */
static void server_stop(struct server *srv)
{
	for (struct request *r = srv->requests; r != NULL; r = r->next)
		abort_request(r);
	if (srv->mhd != NULL)
		MHD_stop_daemon(srv->mhd);
	engine_free(srv->engine);
}

static void watch(struct app *app)
{
	ev_prepare_init(&app->prepare, before_wait);
	ev_timer_init(&app->wake, on_wake, 0.0, 0.0);
	ev_timer_init(&app->sweep, on_sweep, SWEEP_SEC, SWEEP_SEC);
	ev_signal_init(&app->term, on_term, SIGTERM);
	ev_signal_init(&app->intr, on_term, SIGINT);
	app->prepare.data = app->sweep.data = app;
	ev_prepare_start(app->loop, &app->prepare);
	ev_timer_start(app->loop, &app->sweep);
	ev_signal_start(app->loop, &app->term);
	ev_signal_start(app->loop, &app->intr);
}

static bool serve(struct app *app)
{
	struct demo_setup *setup = &app->setup;

	for (size_t i = 0; i < setup->count; i++)
		if (!server_start(app, &app->servers[i], &setup->servers[i]))
			return false;
	if (!demo_write_ports(setup)) {
		perror("llm_server: port file");
		return false;
	}
	ev_run(app->loop, 0);
	return true;
}

int main(int argc, char **argv)
{
	struct app app = { 0 };
	bool good = false;

	if (!demo_setup_parse(&app.setup, argc, argv))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	demo_raise_descriptor_limit();
	app.loop = ev_loop_new(EVFLAG_AUTO);
	app.servers = calloc(app.setup.count, sizeof(*app.servers));
	if (app.loop == NULL || app.servers == NULL)
		goto out;
	watch(&app);
	good = serve(&app);
	for (size_t i = 0; i < app.setup.count; i++)
		server_stop(&app.servers[i]);
out:
	if (app.loop != NULL)
		ev_loop_destroy(app.loop);
	free(app.servers);
	free(app.polled);
	free(app.polled_request);
	return good ? 0 : 1;
}
