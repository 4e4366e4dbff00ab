/* Texts that are rendered, and those that are part of the program.
 *
 * A peer waits while the text that it asked for is rendered; libmicrohttpd has its connection
 * suspended meanwhile. All who ask for the same text by the time that a render begins share it:
 * sixty scrapes at once cost one. Who asks later waits for the next one, so that a text never is of
 * before its request. In each turn of the loop one render gets a slice of time, the others after
 * it: different texts at once make a turn no longer. */
#include <stdlib.h>
#include <string.h>

#include "http_private.h"
#include "web_page.h"

#define TURN_MAX SLO_NSEC_PER_MSEC

static void add_security(struct MHD_Response *r)
{
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
}

/* Texts */

static void start_turn(struct http_server *s)
{
	if (ev_is_active(&s->turn))
		return;
	ev_timer_set(&s->turn, 0., 0.);
	ev_timer_start(s->agent->loop, &s->turn);
}

static void free_text(void *text)
{
	render_text_free(text);
}

static struct MHD_Response *response_of(struct job *j)
{
	static const char *const types[] = {
		[RENDER_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
		[RENDER_STATE] = "application/json",
		[RENDER_DECISIONS] = "application/json",
	};
	_Static_assert(sizeof(types) / sizeof(types[0]) == RENDER_PAGES, "a type for each page");
	struct render_text *text = j->render ? render_take(j->render) : NULL;
	struct MHD_IoVec *vec = text ? calloc(text->count, sizeof(*vec)) : NULL;
	struct MHD_Response *r = NULL;

	for (size_t i = 0; vec && i < text->count; i++)
		vec[i] = (struct MHD_IoVec){ text->piece[i].p, text->piece[i].len };
	if (vec)
		r = MHD_create_response_from_iovec(vec, (unsigned int)text->count, free_text, text);
	free(vec);
	if (r)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, types[j->want.page]);
	else
		render_text_free(text);
	if (r)
		add_security(r);
	return r;
}

/* Gives the text to all who wait for it. */
static void finish(struct http_server *s, struct job *j)
{
	struct http_peer *p;

	TAILQ_REMOVE(&s->jobs, j, link);
	j->response = response_of(j);
	render_free(j->render);
	TAILQ_FOREACH (p, &s->peers[PEER_WAITING], link)
		if (p->job == j)
			MHD_resume_connection(p->connection);
	http_run(s); /* each asks again now, and is answered by text() */
	TAILQ_FOREACH (p, &s->peers[PEER_WAITING], link)
		if (p->job == j)
			p->job = NULL;
	if (j->response)
		MHD_destroy_response(j->response);
	free(j);
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http_server *s = w->data;
	struct job *j = TAILQ_FIRST(&s->jobs);

	if (!j->render)
		j->render = render_new(&s->sources, &j->want);
	if (!j->render || render_run(j->render, TURN_MAX)) {
		finish(s, j);
	} else {
		TAILQ_REMOVE(&s->jobs, j, link);
		TAILQ_INSERT_TAIL(&s->jobs, j, link);
	}
	if (!TAILQ_EMPTY(&s->jobs))
		start_turn(s);
}

/* The one that has not begun with that text, or a new one; NULL: out of memory. */
static struct job *job_for(struct http_server *s, const struct render_want *want)
{
	struct job *j;

	TAILQ_FOREACH (j, &s->jobs, link)
		if (!j->render && render_want_same(&j->want, want))
			return j;
	j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->want = *want;
	TAILQ_INSERT_TAIL(&s->jobs, j, link);
	start_turn(s);
	return j;
}

static enum MHD_Result text(struct http_peer *p, const struct render_want *want)
{
	if (p->state != PEER_WAITING) {
		p->job = job_for(p->server, want);
		if (!p->job)
			return MHD_NO;
		http_peer_enter(p, PEER_WAITING);
		MHD_suspend_connection(p->connection);
		return MHD_YES;
	}
	if (!p->job || !p->job->response)
		return MHD_NO; /* out of memory, or we stop: the connection is closed */
	http_peer_enter(p, PEER_READING);
	return MHD_queue_response(p->connection, MHD_HTTP_OK, p->job->response);
}

/* What is part of the program */

static enum MHD_Result the_page(struct http_peer *p)
{
	struct slice html = web_page();
	struct MHD_Response *r = MHD_create_response_from_buffer(
	    html.len, (void *)(uintptr_t)html.p, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result queued;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/html; charset=utf-8");
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
	MHD_add_response_header(r, "Content-Security-Policy", web_page_policy());
	add_security(r);
	http_peer_enter(p, PEER_READING);
	queued = MHD_queue_response(p->connection, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
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
	http_peer_enter(p, PEER_READING);
	queued = MHD_queue_response(p->connection, status, r);
	MHD_destroy_response(r);
	return queued;
}

static enum MHD_Result take_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
	struct render_cut *cut = cls;

	(void)kind;
	if (value && render_cut_set(cut, name, value))
		return MHD_YES;
	cut->wrong = true;
	return MHD_NO;
}

static enum MHD_Result state(struct http_peer *p)
{
	static char wrong[] =
	    "arguments: model=, brief=1, limit= up to 200, from=, order=, match=\n";
	struct render_want want = { .page = RENDER_STATE };

	MHD_get_connection_values(p->connection, MHD_GET_ARGUMENT_KIND, take_argument, &want.cut);
	if (want.cut.wrong)
		return reply_text(p, MHD_HTTP_BAD_REQUEST, wrong);
	return text(p, &want);
}

static enum MHD_Result take_condition(void *cls, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
	struct decision_query *q = cls;
	const char *why;

	(void)kind;
	if (value && decision_query_set(q, name, value, &why))
		return MHD_YES;
	q->wrong = true;
	return MHD_NO;
}

static enum MHD_Result decisions(struct http_peer *p)
{
	static char wrong[] =
	    "arguments: id=, server=, model=, reason=, "
	    "state= (waits, runs, ended, refused, passed, left), limit= 1 to 1000\n";
	struct render_want want = { .page = RENDER_DECISIONS };
	struct decision_query *q = &want.decisions;

	decision_query_init(q);
	MHD_get_connection_values(p->connection, MHD_GET_ARGUMENT_KIND, take_condition, q);
	q->detailed = q->id[0] != '\0';
	return q->wrong ? reply_text(p, MHD_HTTP_BAD_REQUEST, wrong) : text(p, &want);
}

static enum MHD_Result health(struct http_peer *p)
{
	static char ok[] = "ok\n", draining[] = "draining\n", joining[] = "joining\n";
	const struct agent *a = p->server->agent;

	if (!a->draining && !a->joining)
		return reply_text(p, MHD_HTTP_OK, ok);
	return reply_text(p, MHD_HTTP_SERVICE_UNAVAILABLE, a->draining ? draining : joining);
}

enum MHD_Result http_reply(struct http_peer *p, const char *method, const char *url)
{
	static char get[] = "only GET is known here\n",
		    none[] = "/, /metrics, /healthz, /state.json and /decisions are here\n";
	static const struct render_want metrics = { .page = RENDER_METRICS };

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_text(p, MHD_HTTP_METHOD_NOT_ALLOWED, get);
	if (strcmp(url, "/") == 0)
		return the_page(p);
	if (strcmp(url, "/metrics") == 0)
		return text(p, &metrics);
	if (strcmp(url, "/state.json") == 0)
		return state(p);
	if (strcmp(url, "/decisions") == 0)
		return decisions(p);
	if (strcmp(url, "/healthz") == 0)
		return health(p);
	return reply_text(p, MHD_HTTP_NOT_FOUND, none);
}

/* Life */

void http_replies_init(struct http_server *s)
{
	TAILQ_INIT(&s->jobs);
	ev_init(&s->turn, on_turn);
	s->turn.data = s;
}

void http_replies_fini(struct http_server *s)
{
	struct http_peer *p;
	struct job *j;

	ev_timer_stop(s->agent->loop, &s->turn);
	while ((j = TAILQ_FIRST(&s->jobs))) {
		TAILQ_REMOVE(&s->jobs, j, link);
		render_free(j->render);
		free(j);
	}
	/* libmicrohttpd does not stop while a connection is suspended. */
	TAILQ_FOREACH (p, &s->peers[PEER_WAITING], link) {
		p->job = NULL;
		MHD_resume_connection(p->connection);
	}
}
