/* From a line to its answers.
 *
 *   received() --line--> next_command() -> ctl_run() -> ctl_say(), or ctl_render()
 *                            ^                             |            | turn: a slice
 *                            |                             |            v
 *                            +------- answer_over() <------+------- send_some()
 *
 * A connection with a line that is not worked off reads no input (conn_pause()); one whose answer
 * is being made or sent is on `working`, and gets a slice in each turn of the loop, the others
 * after it. It leaves `working` while the socket takes nothing, until drained(). */
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl_private.h"
#include "io/base/clock.h"

#define SLICE_MAX SLO_NSEC_PER_MSEC
#define CHUNK     ((size_t)64 << 10) /* of an answer that is given to the socket at once */
#define OUT_MAX   ((size_t)256 << 10)

static void next_command(struct ctl_conn *c, slo_nsec now);

/* Work */

static void start_turn(struct ctl_server *s)
{
	if (ev_is_active(&s->turn) || TAILQ_EMPTY(&s->working))
		return;
	ev_timer_set(&s->turn, 0., 0.);
	ev_timer_start(s->agent->loop, &s->turn);
}

static void work(struct ctl_conn *c)
{
	if (!c->working)
		TAILQ_INSERT_TAIL(&c->server->working, c, link);
	c->working = true;
	start_turn(c->server);
}

static void rest(struct ctl_conn *c)
{
	if (c->working)
		TAILQ_REMOVE(&c->server->working, c, link);
	c->working = false;
}

static void put(struct ctl_conn *c, const char *text, size_t len)
{
	uint8_t *out = conn_reserve(&c->conn, len);

	if (!out)
		return;
	memcpy(out, text, len);
	conn_sent(&c->conn, len);
}

static void forget_answer(struct ctl_conn *c)
{
	rest(c);
	render_free(c->render);
	render_text_free(c->text);
	free(c->show);
	c->render = NULL;
	c->text = NULL;
	c->show = NULL;
}

static void answer_over(struct ctl_conn *c, slo_nsec now)
{
	forget_answer(c);
	put(c, "\n", 1);
	next_command(c, now);
}

static void send_some(struct ctl_conn *c, slo_nsec now)
{
	size_t left = CHUNK;

	while (c->piece < c->text->count && left > 0) {
		struct slice s = slice_behind(c->text->piece[c->piece], c->offset);
		size_t n = s.len < left ? s.len : left;

		if (n > 0)
			put(c, (const char *)s.p, n);
		left -= n;
		c->offset += n;
		if (n == s.len) {
			c->piece++;
			c->offset = 0;
		}
	}
	if (c->piece == c->text->count)
		answer_over(c, now);
	else
		rest(c); /* until drained() */
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ctl_server *s = w->data;
	struct ctl_conn *c = TAILQ_FIRST(&s->working);
	slo_nsec now = clock_nsec();

	if (!c)
		return;
	rest(c);
	work(c); /* behind the others */
	if (c->text) {
		send_some(c, now);
	} else if (render_run(c->render, SLICE_MAX)) {
		c->text = render_take(c->render);
		c->piece = c->offset = 0;
		render_free(c->render);
		c->render = NULL;
		if (!c->text) {
			put(c, "error: out of memory\n", 21);
			answer_over(c, now);
		}
	}
	start_turn(s);
}

/* Answers */

void ctl_say(struct ctl_conn *c, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		put(c, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void ctl_render(struct ctl_conn *c, const struct render_part *parts, const struct ctl_show *show)
{
	c->show = malloc(sizeof(*show));
	if (c->show) {
		*c->show = *show;
		if (show->model)
			c->show->model = c->show->text;
		c->render = render_parts_new(&c->server->sources, parts, c->show);
	}
	if (c->render)
		work(c);
	else
		ctl_say(c, "error: out of memory\n");
}

/* Lines */

static void line_over(struct ctl_conn *c, slo_nsec now)
{
	c->has_line = false;
	if (!c->prompt) {
		conn_finish(&c->conn);
		return;
	}
	put(c, "> ", 2);
	conn_wait(&c->conn, &c->server->idle, now);
	conn_resume(&c->conn);
}

/* Goes on with the line, up to an answer that comes later. */
static void next_command(struct ctl_conn *c, slo_nsec now)
{
	struct ctl_words w;

	while (!c->conn.closing && !c->render && !c->text) {
		c->stalled = c->conn.out_len - c->conn.out_sent > CHUNK;
		if (c->stalled)
			return; /* until drained() */
		switch (ctl_words_take(c->line, c->len, &c->at, &w)) {
		case CTL_DONE:
			line_over(c, now);
			return;
		case CTL_EMPTY:
			continue;
		case CTL_TOO_MANY:
			ctl_say(c, "error: more than %d words\n\n", CTL_WORDS_MAX);
			continue;
		case CTL_STRANGE:
			ctl_say(c, "error: a byte that is no printable ASCII\n\n");
			continue;
		case CTL_TAKEN:
			break;
		}
		if (!ctl_run(c, now, &w)) {
			conn_finish(&c->conn);
			return;
		}
		if (!c->render)
			ctl_say(c, "\n");
	}
}

static void begin_line(struct ctl_conn *c, slo_nsec now, const uint8_t *line, size_t len)
{
	memcpy(c->line, line, len);
	c->len = len;
	c->at = 0;
	c->has_line = true;
	conn_pause(&c->conn);
	conn_wait(&c->conn, &c->server->idle, now);
	next_command(c, now);
}

static size_t received(struct conn *conn, const uint8_t *data, size_t len, slo_nsec now)
{
	struct ctl_conn *c = (struct ctl_conn *)conn;
	size_t used = 0;

	while (!c->has_line && !conn->closing && !conn->finishing && used < len) {
		const uint8_t *end = memchr(data + used, '\n', len - used);
		size_t line = end ? (size_t)(end - (data + used)) : len - used;

		if (line > CTL_LINE_MAX) {
			ctl_say(c, "error: a line of more than %d bytes\n\n", CTL_LINE_MAX);
			conn_finish(conn);
			return len;
		}
		if (!end)
			break;
		/* The line is used before it is worked on: that may call this again. */
		used += line + 1;
		begin_line(c, now, end - line, line);
	}
	return used;
}

/* The output is with the kernel: more may follow. */
static void drained(struct conn *conn, slo_nsec now)
{
	struct ctl_conn *c = (struct ctl_conn *)conn;

	conn_wait(conn, &c->server->idle, now);
	if (c->text)
		work(c);
	else if (c->stalled)
		next_command(c, now);
}

static void closed(struct conn *conn, slo_nsec now)
{
	forget_answer((struct ctl_conn *)conn);
}

static const struct conn_protocol protocol = {
	.received = received,
	.drained = drained,
	.closed = closed,
	.half_closes = true,
	.peer_cause = LOG_CAUSE_CTL,
	.broken_cause = LOG_CAUSE_CTL,
	.full_cause = LOG_CAUSE_CTL,
	.name = "control",
};

static void accepted(struct conn *conn, slo_nsec now)
{
	struct ctl_conn *c = (struct ctl_conn *)conn;
	struct ctl_listener *l = conn->owner;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	c->server = l->server;
	c->level = l->level;
	c->user = -1;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		c->user = (long)peer.uid;
	/* Who could stop the process by a signal may do so by a word. */
	if (c->user == 0 || c->user == (long)geteuid())
		c->level = CONFIG_LEVEL_ADMIN;
	conn_wait(conn, &c->server->idle, now);
}

static void idle_over(struct conn *conn, slo_nsec now)
{
	conn_close(conn, now, NULL);
}

/* Life */

static bool start_listener(struct ctl_server *s, struct conns *conns, size_t i)
{
	const struct config_listen *conf = &s->agent->conf->control;
	struct ctl_listener *l = &s->listener[i];
	char why[256];
	int fd = listeners_open(&s->agent->listeners, &conf->addr[i], 0, why, sizeof(why));

	if (fd < 0) {
		socket_log(s->agent->log, &conf->addr[i], "control.listen", why);
		return false;
	}
	l->server = s;
	l->level = conf->level[i];
	l->acceptor = (struct acceptor){
		.set = conns,
		.listeners = &s->agent->listeners,
		.protocol = &protocol,
		.owner = l,
		.conn_size = sizeof(struct ctl_conn),
		.limit = CTL_CONNECTIONS,
		.counter = &s->count,
		.out_max = OUT_MAX,
		.unproven = &s->idle,
		.peers = &s->peers,
		.accepted = accepted,
		.fd = fd,
	};
	acceptor_start(&l->acceptor);
	log_write(s->agent->log, LOG_NOTICE, "control: listening on %s, level %s", l->acceptor.name,
	          config_level_name(l->level));
	return true;
}

struct ctl_server *ctl_server_new(struct agent *a, struct conns *conns,
                                  const struct http_sources *sources,
                                  const struct ctl_daemon *daemon)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	const struct passwd *user = getpwuid(geteuid());
	char why[256];

	if (!s)
		return NULL;
	s->agent = a;
	snprintf(s->user, sizeof(s->user), "%s", user ? user->pw_name : "?");
	s->sources = *sources;
	s->daemon = *daemon;
	TAILQ_INIT(&s->working);
	ev_init(&s->turn, on_turn);
	s->turn.data = s;
	timeout_list_init(&s->idle, a->loop, CTL_IDLE, idle_over);
	if (!socket_peers_find(&a->conf->control, &s->peers, why, sizeof(why))) {
		log_write(a->log, LOG_ERR, "control: %s", why);
		goto err;
	}
	for (; s->listeners < a->conf->control.count; s->listeners++)
		if (!start_listener(s, conns, s->listeners))
			goto err;
	return s;

err:
	ctl_server_free(s);
	return NULL;
}

void ctl_server_stop(struct ctl_server *s)
{
	struct conn *c, *next;

	if (!s)
		return;
	for (size_t i = 0; i < s->listeners; i++)
		acceptor_stop(&s->listener[i].acceptor);
	if (s->listeners == 0)
		return;
	for (c = TAILQ_FIRST(&s->listener[0].acceptor.set->open); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->protocol == &protocol)
			conn_close(c, clock_nsec(), NULL);
	}
}

void ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->listeners; i++)
		acceptor_stop(&s->listener[i].acceptor);
	ev_timer_stop(s->agent->loop, &s->turn);
	timeout_list_fini(&s->idle);
	free(s);
}
