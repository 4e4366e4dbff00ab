/* The same line mostly comes twice, and why that is cheap.
 *
 * HAProxy writes each line to a ring, which comes here over TCP and loses nothing, and over UDP,
 * which goes on when a reload has cut the old worker off from its ring. The first copy counts.
 * While lines come over TCP, datagrams are read in batches with a pause between them, and a copy is
 * known by its id before it is parsed (is_copy()).
 *
 * A connection is a stranger (conn.h) until it has sent a line that makes sense: the ports are open
 * to whoever finds them. */
#include "io/haproxy/event_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/agent/ends.h"
#include "io/base/clock.h"
#include "wire/endline.h"

#define UDP_BUFFER   (8 << 20) /* what the kernel may keep while we are busy */
#define UDP_BATCH    32        /* datagrams read at once */
#define UDP_ROUNDS   8         /* batches before others get their turn */
#define DATAGRAM_MAX 8192
/* Seconds between looks at the datagrams while lines come over TCP too. They are copies then, but
 * for those of replaced workers, and one by one each would cost a wake-up. Even the smallest
 * socket buffer keeps some hundred. */
#define UDP_PAUSE    0.005

/* Reads whole batches of datagrams from one socket. */
struct udp {
	struct event_server *server;
	ev_io readable;
	ev_timer pause; /* runs while `readable` does not */
	int fd;
	bool local; /* a unix socket */
	struct mmsghdr message[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage from[UDP_BATCH];
	uint8_t data[UDP_BATCH][DATAGRAM_MAX];
};

struct event_server {
	struct agent *agent;
	struct acceptor acceptor[CONFIG_LISTEN_MAX];
	size_t acceptors;
	struct udp *udp[CONFIG_LISTEN_MAX];
	size_t udps;
	struct socket_peers peers;
	struct timeout_list unproven; /* connections without a good line so far, for ever */
	bool lines_over_tcp;          /* good ones, since datagrams were last looked at */
};

/* How a ring tells its lines apart. Those of HAProxy end in newline or, with log-proto octet-count,
 * stand behind their length (RFC 6587). */
enum framing { FRAMING_UNKNOWN, FRAMING_LINES, FRAMING_COUNTED };

struct event_conn {
	struct conn conn;
	enum framing framing;
	bool skipping; /* the rest of a line that was too long */
	size_t skip;   /* likewise, bytes of one that stands behind its length */
};
_Static_assert(offsetof(struct event_conn, conn) == 0, "a struct conn is cast to it");

/* True: it made sense. */
static bool one_line(struct agent *a, slo_nsec now, const uint8_t *line, size_t len, bool local,
                     const char *peer)
{
	return len > 0 && ends_line(a, now, line, len, local, peer);
}

/* It is dropped to its end, however long that takes to come. */
static void too_long(struct agent *a, slo_nsec now, const char *peer, size_t longest)
{
	a->stats.end_lines[END_MALFORMED]++;
	log_limited(a->log, now, LOG_CAUSE_EVENT_BROKEN, LOG_WARNING,
	            "events: %s sent a line longer than %s (%zu bytes)", peer,
	            longest < a->conf->limits.end_line_length ? "a datagram may be"
	                                                      : "limits.end_line_length",
	            longest);
}

/* What a line of HAProxy's begins with. */
static const char line_start[] = "slo1 id=";
#define LINE_START (sizeof(line_start) - 1)

/* The id, if [p, end) begins as HAProxy's lines do. p NULL: it does not, or that is no id. */
static struct slice leading_id(const uint8_t *p, const uint8_t *end)
{
	size_t left = (size_t)(end - p);
	const uint8_t *blank;

	if (left <= LINE_START || memcmp(p, line_start, LINE_START) != 0)
		return (struct slice){ 0 };
	p += LINE_START;
	left -= LINE_START;
	blank = memchr(p, ' ', left < ENDLINE_ID_MAX ? left : ENDLINE_ID_MAX);
	return (struct slice){ blank ? p : NULL, blank ? (size_t)(blank - p) : 0 };
}

/* TCP */

#define DIGITS_MAX 6 /* of a length */

/* The length that data begins with, and where its text stands. SLO_ESHORT: more bytes will tell. */
static slo_err take_length(const uint8_t *data, size_t len, size_t *n, size_t *text)
{
	uint64_t v;
	size_t digits = slice_digits((struct slice){ data, len }, &v);

	if (digits == len && digits < DIGITS_MAX)
		return SLO_ESHORT;
	if (digits == 0 || digits == len || digits > DIGITS_MAX || data[digits] != ' ' || v == 0)
		return SLO_EPROTO;
	*n = (size_t)v;
	*text = digits + 1;
	return SLO_OK;
}

/* By the first line. "3 events dropped" begins with a number that is no length. */
static enum framing framing_of(const uint8_t *data, size_t len, size_t longest)
{
	size_t n, text, there;
	slo_err err = take_length(data, len, &n, &text);
	const uint8_t *end;

	if (err != SLO_OK)
		return err == SLO_ESHORT ? FRAMING_UNKNOWN : FRAMING_LINES;
	there = len - text < n ? len - text : n;
	end = memchr(data + text, '\n', there);
	if (there > 0 && memcmp(data + text, "event", there < 5 ? there : 5) == 0)
		return FRAMING_LINES;
	if (end && end != data + text + n - 1)
		return FRAMING_LINES;
	if (there < n)
		return there <= longest ? FRAMING_UNKNOWN : FRAMING_COUNTED;
	return len == text + n || (data[text + n] >= '0' && data[text + n] <= '9') ? FRAMING_COUNTED
	                                                                           : FRAMING_LINES;
}

static void good_line(struct event_conn *c, slo_nsec now)
{
	conn_wait(&c->conn, NULL, now); /* proven */
	((struct event_server *)c->conn.owner)->lines_over_tcp = true;
}

/* Bytes of a line that was too long. */
static size_t skip(struct event_conn *c, size_t len)
{
	size_t n = c->skip < len ? c->skip : len;

	c->skip -= n;
	return n;
}

static size_t counted_lines(struct event_conn *c, const uint8_t *data, size_t len, slo_nsec now)
{
	struct agent *a = ((struct event_server *)c->conn.owner)->agent;
	size_t used = skip(c, len), longest = a->conf->limits.end_line_length, n, text;

	while (used < len) {
		slo_err err = take_length(data + used, len - used, &n, &text);

		if (err == SLO_EPROTO) { /* where the next line begins nobody knows */
			a->stats.end_lines[END_MALFORMED]++;
			conn_close(&c->conn, now, "a line stands there without its length");
			return len;
		}
		if (err == SLO_OK && n > longest) {
			too_long(a, now, c->conn.peer, longest);
			c->skip = text + n;
			used += skip(c, len - used);
			continue;
		}
		if (err != SLO_OK || len - used - text < n)
			break;
		if (one_line(a, now, data + used + text, n, c->conn.local, c->conn.peer))
			good_line(c, now);
		used += text + n;
	}
	return used;
}

static size_t lines(struct event_conn *c, const uint8_t *data, size_t len, slo_nsec now)
{
	struct conn *conn = &c->conn;
	struct agent *a = ((struct event_server *)conn->owner)->agent;
	size_t used = 0, longest = a->conf->limits.end_line_length;
	const uint8_t *end;

	while ((end = memchr(data + used, '\n', len - used))) {
		size_t line = (size_t)(end - (data + used));

		/* The request that the next line is about is fetched while this one is read. */
		(void)agent_expect(a, leading_id(end + 1, data + len));
		if (c->skipping) {
			c->skipping = false;
		} else if (line > longest) {
			too_long(a, now, conn->peer, longest);
		} else if (one_line(a, now, data + used, line, conn->local, conn->peer)) {
			good_line(c, now);
		}
		used += line + 1;
	}
	if (c->skipping)
		used = len;
	if (len - used > longest) {
		too_long(a, now, conn->peer, longest);
		c->skipping = true;
		used = len;
	}
	return used;
}

static size_t received(struct conn *conn, const uint8_t *data, size_t len, slo_nsec now)
{
	struct event_conn *c = (struct event_conn *)conn;
	struct agent *a = ((struct event_server *)conn->owner)->agent;

	if (SELDOM(c->framing == FRAMING_UNKNOWN))
		c->framing = framing_of(data, len, a->conf->limits.end_line_length);
	switch (c->framing) {
	case FRAMING_UNKNOWN:
		return 0;
	case FRAMING_COUNTED:
		return counted_lines(c, data, len, now);
	case FRAMING_LINES:
		break;
	}
	return lines(c, data, len, now);
}

static void closed(struct conn *conn, slo_nsec now)
{
	struct agent *a = ((struct event_server *)conn->owner)->agent;

	/* A frame begins with its length, of which the first byte is 0. */
	if (conn->left_len > 0 && conn->left[0] == 0) {
		watch_note(a, WATCH_PORT, "%s speaks SPOP to events.listen", conn->peer);
		log_limited(a->log, now, LOG_CAUSE_EVENT_BROKEN, LOG_WARNING,
		            "events: %s sent no lines, and left: if it speaks SPOP, its backend in "
		            "HAProxy must name spop.listen",
		            conn->peer);
	} else if (conn->left_len > 0)
		log_limited(a->log, now, LOG_CAUSE_EVENT_PEER, LOG_INFO,
		            "events: %s left in the middle of a line", conn->peer);
}

static const struct conn_protocol event_protocol = {
	.received = received,
	.closed = closed,
	.peer_cause = LOG_CAUSE_EVENT_PEER,
	.broken_cause = LOG_CAUSE_EVENT_BROKEN,
	.full_cause = LOG_CAUSE_EVENT_FULL,
	.name = "events",
	.limit = "limits.event_connections",
};

/* A ring is quiet while nothing ends: no timeout. */
static void accepted(struct conn *conn, slo_nsec now)
{
	struct event_server *s = conn->owner;

	conn_wait(conn, &s->unproven, now);
}

/* UDP */

/* Lines that make sense are not logged, so their sender needs no name. */
static bool makes_sense(const uint8_t *line, size_t len)
{
	const uint8_t *id = line;

	/* Mostly it stands right at the front. */
	if (len < LINE_START || memcmp(line, line_start, LINE_START) != 0)
		id = memmem(line, len, line_start, LINE_START);
	return id && id + LINE_START < line + len && id[LINE_START] > '-';
}

/* While lines come over TCP too, most datagrams are copies. */
static bool is_copy(const struct udp *u, const uint8_t *line, size_t len)
{
	struct slice id = { 0 };

	if (u->server->lines_over_tcp)
		id = leading_id(line, line + len);
	return id.p && ends_copy(u->server->agent, id);
}

/* Whether a line of HAProxy's stands there, with the priority of syslog before it or not. */
static bool begins_line(struct slice s)
{
	static const char start[] = "slo1 ";
	const size_t n = sizeof(start) - 1;
	const uint8_t *end;
	size_t digits;
	uint64_t v;

	if (s.len >= n && memcmp(s.p, start, n) == 0)
		return true;
	if (s.len == 0 || s.p[0] != '<')
		return false;
	s = slice_behind(s, 1);
	digits = slice_digits(s, &v);
	if (digits < 1 || digits > 3 || digits == s.len || s.p[digits] != '>')
		return false;
	end = memchr(s.p, '\n', s.len);
	return memmem(s.p, end ? (size_t)(end - s.p) : s.len, line_start, LINE_START);
}

/* Where the first line ends. A relay may have put several into one datagram; what does not begin
 * as an end line belongs to the line before it. */
static size_t first_line(const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at++) {
		const uint8_t *end = memchr(data + at, '\n', len - at);

		if (!end)
			break;
		at = (size_t)(end - data);
		if (begins_line((struct slice){ end + 1, len - at - 1 }))
			return at;
	}
	return len;
}

static void read_datagram(struct udp *u, slo_nsec now, struct slice rest, const char *peer)
{
	while (rest.len > 0) {
		size_t len = first_line(rest.p, rest.len);
		bool blank = len == 0 || (len == 1 && rest.p[0] == '\n');

		if (!blank && !is_copy(u, rest.p, len))
			(void)one_line(u->server->agent, now, rest.p, len, u->local, peer);
		rest = slice_behind(rest, len < rest.len ? len + 1 : len);
	}
}

static void read_batch(struct udp *u, slo_nsec now, int n)
{
	struct agent *a = u->server->agent;
	size_t longest = a->conf->limits.end_line_length;

	if (longest > DATAGRAM_MAX)
		longest = DATAGRAM_MAX;
	for (int i = 0; i < n; i++) {
		const struct msghdr *m = &u->message[i].msg_hdr;
		const uint8_t *line = u->data[i];
		size_t len = u->message[i].msg_len;
		bool cut = m->msg_flags & MSG_TRUNC || len > longest;
		char peer[SOCKET_NAME_MAX] = "udp";

		if (len > 0 && first_line(line, len) == len && is_copy(u, line, len))
			continue;
		if (log_wants(a->log, LOG_WARNING) && (cut || !makes_sense(line, len)))
			socket_name(&u->from[i], m->msg_namelen, peer, sizeof(peer));
		if (cut)
			too_long(a, now, peer, longest);
		else
			read_datagram(u, now, (struct slice){ line, len }, peer);
	}
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct udp *u = w->data;

	ev_io_start(loop, &u->readable);
}

static void pause_udp(struct udp *u)
{
	u->server->lines_over_tcp = false;
	ev_io_stop(u->server->agent->loop, &u->readable);
	ev_timer_set(&u->pause, UDP_PAUSE, 0.);
	ev_timer_start(u->server->agent->loop, &u->pause);
}

static void on_datagrams(struct ev_loop *loop, ev_io *w, int revents)
{
	struct udp *u = w->data;
	slo_nsec now = clock_nsec();
	int n = UDP_BATCH;

	for (int round = 0; round < UDP_ROUNDS && n == UDP_BATCH; round++) {
		for (int i = 0; i < UDP_BATCH; i++)
			u->message[i].msg_hdr.msg_namelen = sizeof(u->from[i]);
		n = recvmmsg(u->fd, u->message, UDP_BATCH, MSG_DONTWAIT, NULL);
		if (n < 0 && !socket_would_block(errno))
			log_limited(u->server->agent->log, now, LOG_CAUSE_EVENT_READ, LOG_ERR,
			            "events: reading datagrams: %s", strerror(errno));
		read_batch(u, now, n);
	}
	/* A full batch says that more waits: the copies of TCP's lines come together with lines of
	 * replaced workers, and a pause would let the socket's buffer overflow. */
	if (n < UDP_BATCH && u->server->lines_over_tcp)
		pause_udp(u);
}

static bool start_udp(struct event_server *s, int fd, bool local)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (!u) {
		listeners_close(&s->agent->listeners, fd);
		return false;
	}
	u->server = s;
	u->fd = fd;
	u->local = local;
	for (int i = 0; i < UDP_BATCH; i++) {
		u->iov[i] = (struct iovec){ u->data[i], DATAGRAM_MAX };
		u->message[i].msg_hdr.msg_iov = &u->iov[i];
		u->message[i].msg_hdr.msg_iovlen = 1;
		u->message[i].msg_hdr.msg_name = &u->from[i];
	}
	ev_io_init(&u->readable, on_datagrams, fd, EV_READ);
	ev_init(&u->pause, on_pause_over);
	u->readable.data = u->pause.data = u;
	ev_io_start(s->agent->loop, &u->readable);
	s->udp[s->udps++] = u;
	return true;
}

static void start_tcp(struct event_server *s, struct conns *conns, int fd)
{
	struct agent *a = s->agent;
	struct acceptor *ac = &s->acceptor[s->acceptors++];

	*ac = (struct acceptor){
		.set = conns,
		.listeners = &a->listeners,
		.protocol = &event_protocol,
		.owner = s,
		.conn_size = sizeof(struct event_conn),
		.limit = a->conf->limits.event_connections,
		.counter = &a->stats.event_connections,
		.out_max = 0,
		.unproven = &s->unproven,
		.peers = &s->peers,
		.accepted = accepted,
		.fd = fd,
	};
	acceptor_start(ac);
}

struct event_server *event_server_new(struct agent *a, struct conns *conns)
{
	struct event_server *s = calloc(1, sizeof(*s));
	char why[256], name[SOCKET_NAME_MAX];

	if (!s)
		return NULL;
	s->agent = a;
	timeout_list_init(&s->unproven, a->loop, 0, NULL);
	if (!socket_peers_find(&a->conf->events, &s->peers, why, sizeof(why))) {
		log_write(a->log, LOG_ERR, "events: %s", why);
		goto err;
	}
	for (size_t i = 0; i < a->conf->events.count; i++) {
		const struct listen_addr *addr = &a->conf->events.addr[i];
		int fd = listeners_open(&a->listeners, addr, UDP_BUFFER, why, sizeof(why));

		if (fd < 0) {
			socket_log(a->log, addr, "events.listen", why);
			goto err;
		}
		socket_local_name(fd, name, sizeof(name));
		if (listen_addr_is_datagram(addr)) {
			if (!start_udp(s, fd, listen_addr_is_unix(addr))) {
				log_write(a->log, LOG_ERR, "events: out of memory");
				goto err;
			}
		} else {
			start_tcp(s, conns, fd);
		}
		log_write(a->log, LOG_NOTICE, "events: listening on %s%s%s",
		          addr->kind == LISTEN_UDP ? "udp:" : "", name,
		          addr->kind == LISTEN_UNIXGRAM ? " (datagrams)" : "");
	}
	return s;

err:
	event_server_free(s);
	return NULL;
}

static void close_sockets(struct event_server *s)
{
	for (size_t i = 0; i < s->acceptors; i++)
		acceptor_stop(&s->acceptor[i]);
	for (size_t i = 0; i < s->udps; i++) {
		ev_io_stop(s->agent->loop, &s->udp[i]->readable);
		ev_timer_stop(s->agent->loop, &s->udp[i]->pause);
		listeners_close(&s->agent->listeners, s->udp[i]->fd);
		free(s->udp[i]);
	}
	s->udps = 0;
}

void event_server_stop(struct event_server *s)
{
	slo_nsec now = clock_nsec();
	struct conn *c, *next;

	close_sockets(s);
	if (s->acceptors == 0)
		return;
	for (c = TAILQ_FIRST(&s->acceptor[0].set->open); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->protocol != &event_protocol)
			continue;
		conn_read_all(c);
		if (!c->closing)
			conn_close(c, now, NULL);
	}
}

void event_server_free(struct event_server *s)
{
	if (!s)
		return;
	close_sockets(s);
	free(s);
}
