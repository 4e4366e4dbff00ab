/* How a question becomes an answer, and why in this way.
 *
 * HAProxy 2.6 and 3.0 send many NOTIFY at once over few connections; since 3.2 each connection
 * carries one at a time. Both are served well by this:
 *
 *   received()               one read: decodes its frames, one after the other
 *     on_notify(), take_in() tell the agent of a request, for which a struct held waits on its
 *                            connection's list
 *     settle_batch()         lets the agent decide, after TOGETHER_MAX requests and at the end of
 *                            the read
 *   spop_server_deliver()    is called from within the pump, for any connection: writes the ACK
 *                            into its output, which conn.c sends before the loop sleeps
 *
 * The order of decisions is the scheduler's, so batches change no decision, but for one case: a
 * full queue would refuse a request although a decision that is due would make room for it. Then
 * agent_must_decide() says so, and the batch ends there.
 *
 * An answer finds its way by its struct held, so a held request must leave the queue before its
 * connection is freed: abandon_held(). HAProxy has balanced such a request itself.
 *
 * Nothing may follow a DISCONNECT of ours. So disconnect() first settles the batch, then abandons
 * what still waits, and the connection ignores input from then on (conn_finish()). */
#include "io/haproxy/spop_server.h"

#include <stdlib.h>

#include "io/base/clock.h"
#include "io/base/secret.h"
#include "spare.h"
#include "wire/spop.h"
#include "wire/spop_hello.h"

#define SPARE_HELD_MAX 1024
/* Requests that are read before the decisions about them are made. Taking them in and deciding are
 * each small enough for the processor's nearest cache, both together are not. */
#define TOGETHER_MAX   32

struct spop_conn;

/* The NOTIFY that an answer is to. */
struct frame_of {
	struct spop_conn *conn;
	uint64_t stream_id, frame_id;
};

/* One whose ACK is due. */
struct held {
	struct asker asker;     /* first: it is what the agent knows of it */
	TAILQ_ENTRY(held) link; /* its connection's */
	struct frame_of frame;
	struct request *request; /* NULL while it is being submitted */
};
TAILQ_HEAD(held_list, held);

struct spop_conn {
	struct conn conn;
	struct held_list held;
	size_t held_count;
	uint32_t max_frame; /* agreed; 0: no HELLO yet */
};
_Static_assert(offsetof(struct spop_conn, conn) == 0, "a struct conn is cast to it");

struct spop_server {
	struct agent *agent;
	struct conns *conns;
	struct acceptor acceptor[CONFIG_LISTEN_MAX];
	size_t acceptors;
	struct spare spare; /* of struct held */
	struct timeout_list hello, idle;
	struct socket_peers peers;
	slo_nsec settled; /* in this wake-up, up to here time is counted as some frame's */
	size_t undecided; /* taken in since then */
	bool draining;
};

static const struct conn_protocol spop_protocol;

static struct agent *agent_of(const struct spop_conn *c)
{
	return ((struct spop_server *)c->conn.owner)->agent;
}

static void count_frame(struct spop_conn *c, enum frame_kind kind, enum frame_result result)
{
	agent_of(c)->stats.frames[kind][result]++;
}

/* Answers out */

/* The variables of the contract; HAProxy puts txn.slo. in front. */
static void write_answer(struct wr *w, const struct answer *answer)
{
	spop_ack_set_str(w, "verdict", slice_of(sched_verdict_name(answer->verdict)));
	spop_ack_set_str(w, "strategy", slice_of(policy_strategy_name(answer->strategy)));
	spop_ack_set_int(w, "wait_ms", answer->wait_ms);
	if (answer->server)
		spop_ack_set_str(w, "server", slice_of(answer->server));
	if (answer->backend)
		spop_ack_set_str(w, "backend", slice_of(answer->backend));
	if (answer->reason != SLO_REASON_NONE)
		spop_ack_set_str(w, "reason", slice_of(sched_reason_name(answer->reason)));
	if (answer->status) {
		spop_ack_set_int(w, "status", answer->status);
		spop_ack_set_int(w, "retry_after", answer->retry_after);
	}
}

/* answer NULL: nothing to say, as for a NOTIFY without our message. */
static void send_ack(const struct frame_of *f, const struct answer *answer)
{
	struct spop_conn *c = f->conn;
	size_t room = SPOP_LENGTH_SIZE + c->max_frame, begin;
	uint8_t *out;
	struct wr w;

	room = room < SPOP_ACK_MAX ? room : SPOP_ACK_MAX;
	out = conn_reserve(&c->conn, room);
	if (!out)
		return;
	wr_init(&w, out, room);
	begin = spop_ack_begin(&w, f->stream_id, f->frame_id);
	if (answer)
		write_answer(&w, answer);
	if (SELDOM(spop_ack_end(&w, begin) != SLO_OK)) {
		/* HAProxy agreed on tiny frames: an empty ACK makes it balance. */
		wr_init(&w, out, room);
		begin = spop_ack_begin(&w, f->stream_id, f->frame_id);
		if (spop_ack_end(&w, begin) != SLO_OK)
			return;
	}
	conn_sent(&c->conn, wr_len(&w));
	count_frame(c, FRAME_ACK, FRAME_OK);
}

/* Its ACK is written, or nobody waits for it. */
static void held_done(struct held *h)
{
	struct spop_conn *c = h->frame.conn;

	TAILQ_REMOVE(&c->held, h, link);
	c->held_count--;
	spare_put(&((struct spop_server *)c->conn.owner)->spare, h);
}

void spop_server_deliver(void *user, const struct answer *answer, slo_nsec now)
{
	struct held *h = user;

	send_ack(&h->frame, answer);
	held_done(h);
}

/* Takes what is held for it out of the queue. */
static void abandon_held(struct spop_conn *c, slo_nsec now)
{
	struct held *h;

	while ((h = TAILQ_FIRST(&c->held))) {
		/* The analyzer does not see that held_done() takes h off the list. */
		agent_abandon(agent_of(c), now,
		              h->request); /* NOLINT(clang-analyzer-unix.Malloc) */
		held_done(h);
	}
}

/* Decides about the requests that were taken in since the last time. */
static void settle_batch(struct spop_server *s, slo_nsec now)
{
	struct agent *a = s->agent;
	slo_nsec done;

	if (s->undecided == 0)
		return;
	agent_pump(a, now);
	done = clock_nsec();
	histogram_add(&a->stats.decision, (double)(done - s->settled) / 1e9, s->undecided);
	s->settled = done;
	s->undecided = 0;
}

/* Nothing may follow a DISCONNECT: what can be answered is before, no other ACK is due any more. */
static COLD void disconnect(struct spop_conn *c, slo_nsec now, enum spop_status status)
{
	uint8_t *out;
	struct wr w;

	settle_batch(c->conn.owner, now);
	abandon_held(c, now);
	out = conn_reserve(&c->conn, SPOP_CONTROL_MAX);
	if (!out)
		return;
	wr_init(&w, out, SPOP_CONTROL_MAX);
	if (spop_agent_disconnect_encode(&w, status) == SLO_OK)
		conn_sent(&c->conn, wr_len(&w));
	conn_finish(&c->conn);
	if (status != SPOP_S_NORMAL)
		log_limited(c->conn.set->log, now, LOG_CAUSE_SPOP_BROKEN, LOG_WARNING,
		            "spop: connection from %s closed: %s (status %d)", c->conn.peer,
		            spop_status_text(status), (int)status);
}

/* Of a connection that ends in good order. */
static void log_closed(struct spop_conn *c, slo_nsec now, const char *why)
{
	log_limited(c->conn.set->log, now, LOG_CAUSE_SPOP_CLOSED, LOG_INFO,
	            "spop: connection from %s closed: %s", c->conn.peer, why);
}

/* Frames in */

/* A health check is a HELLO too. It is answered and ends, or, while the agent drains, is left
 * unanswered, so that HAProxy takes the agent for down. So it is until the agent knows what others
 * have placed. */
static void on_hello(struct spop_conn *c, slo_nsec now, const struct spop_frame *f)
{
	struct spop_server *s = c->conn.owner;
	size_t ours = s->agent->conf->limits.spop_frame_size;
	struct spop_hello hello;
	enum spop_status status;
	uint8_t *out;
	struct wr w;

	status = c->max_frame ? SPOP_S_INVALID : spop_hello_decode(f, &hello);
	if (status != SPOP_S_NORMAL) {
		count_frame(c, FRAME_HELLO, FRAME_ERROR);
		disconnect(c, now, status);
		return;
	}
	count_frame(c, hello.healthcheck ? FRAME_HEALTHCHECK : FRAME_HELLO, FRAME_OK);
	if (hello.healthcheck && (s->draining || s->agent->joining)) {
		log_closed(c, now, s->draining ? "the agent drains" : "the agent joins the others");
		conn_close(&c->conn, now, NULL); /* unanswered: HAProxy marks us down */
		return;
	}
	c->max_frame = hello.max_frame_size < ours ? hello.max_frame_size : (uint32_t)ours;
	out = conn_reserve(&c->conn, SPOP_CONTROL_MAX);
	if (!out)
		return;
	wr_init(&w, out, SPOP_CONTROL_MAX);
	if (spop_agent_hello_encode(&w, c->max_frame, "pipelining") == SLO_OK)
		conn_sent(&c->conn, wr_len(&w));
	if (hello.healthcheck)
		conn_finish(&c->conn);
}

/* Puts a question to the agent, which answers it now or later. */
static void take_in(struct spop_conn *c, slo_nsec now, struct held *h, const struct route_msg *msg)
{
	struct spop_server *s = c->conn.owner;
	struct answer answer;

	TAILQ_INSERT_TAIL(&c->held, h, link);
	c->held_count++;
	s->undecided++;
	if (agent_route(s->agent, now, msg, &h->asker, &answer, &h->request))
		spop_server_deliver(h, &answer, now);
	else if (s->undecided >= TOGETHER_MAX || agent_must_decide(s->agent, h->request))
		settle_batch(s, now);
}

/* Where one more request is held, or NULL: there is no room. */
static struct held *held_place(struct spop_conn *c, slo_nsec now)
{
	struct agent *a = agent_of(c);
	struct held *h = NULL;

	if (c->held_count >= a->conf->limits.frames_in_flight)
		settle_batch(c->conn.owner, now);
	if (c->held_count >= a->conf->limits.frames_in_flight) {
		log_limited(a->log, now, LOG_CAUSE_SPOP_BUSY, LOG_WARNING,
		            "spop: %s has %zu frames in flight, a request is left to HAProxy",
		            c->conn.peer, c->held_count);
		return NULL;
	}
	h = spare_get(&((struct spop_server *)c->conn.owner)->spare);
	if (!h)
		log_limited(a->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "spop: out of memory, a request of %s is left to HAProxy",
		            c->conn.peer);
	return h;
}

static bool is_trusted(struct spop_conn *c, slo_nsec now, const struct route_msg *msg)
{
	struct agent *a = agent_of(c);

	if (c->conn.local || secret_is_told(a->conf->spop.secret, msg->secret))
		return true;
	a->stats.unauthorized_requests++;
	watch_note(a, WATCH_SECRET, "the last one by %s", c->conn.peer);
	log_limited(
	    a->log, now, LOG_CAUSE_SECRET, LOG_WARNING,
	    "spop: %s asks without the secret of spop.secret; the request is left to HAProxy",
	    c->conn.peer);
	return false;
}

static void on_notify(struct spop_conn *c, slo_nsec now, const struct spop_frame *f)
{
	struct spop_server *s = c->conn.owner;
	struct frame_of frame = { .conn = c, .stream_id = f->stream_id, .frame_id = f->frame_id };
	struct answer answer;
	struct route_msg msg;
	struct held *h;

	if (!(f->flags & SPOP_FIN) || (f->flags & SPOP_ABORT)) {
		count_frame(c, FRAME_NOTIFY, FRAME_ERROR);
		disconnect(c, now, SPOP_S_NO_FRAGMENTATION);
		return;
	}
	if (!c->max_frame || route_msg_parse(f->payload, &msg) != SLO_OK) {
		count_frame(c, FRAME_NOTIFY, FRAME_ERROR);
		disconnect(c, now, SPOP_S_INVALID);
		return;
	}
	count_frame(c, FRAME_NOTIFY, FRAME_OK);
	if (!msg.found) {
		watch_note(s->agent, WATCH_MESSAGE, NULL);
		send_ack(&frame, NULL);
		return;
	}
	if (!is_trusted(c, now, &msg)) {
		agent_pass_stranger(s->agent, &answer);
		send_ack(&frame, &answer);
		return;
	}
	h = held_place(c, now);
	if (!h) {
		agent_pass(s->agent, now, &msg, &answer);
		send_ack(&frame, &answer);
		return;
	}
	h->frame = frame;
	h->request = NULL;
	take_in(c, now, h, &msg);
}

static void on_disconnect(struct spop_conn *c, slo_nsec now, const struct spop_frame *f)
{
	struct spop_disconnect why;
	bool sane = spop_disconnect_decode(f, &why) == SLO_OK;

	count_frame(c, FRAME_DISCONNECT, sane ? FRAME_OK : FRAME_ERROR);
	/* HAProxy ends idle connections with "a timeout occurred": that is its daily life. */
	if (sane && why.status != SPOP_S_NORMAL && why.status != SPOP_S_TIMEOUT)
		log_limited(c->conn.set->log, now, LOG_CAUSE_SPOP_SAID, LOG_WARNING,
		            "spop: %s disconnects: status %u, %s", c->conn.peer, why.status,
		            spop_status_text(why.status));
	disconnect(c, now, sane ? SPOP_S_NORMAL : SPOP_S_INVALID);
}

static void on_frame(struct spop_conn *c, slo_nsec now, const struct spop_frame *f)
{
	switch (f->type) {
	case SPOP_HAPROXY_HELLO:
		on_hello(c, now, f);
		break;
	case SPOP_NOTIFY:
		on_notify(c, now, f);
		break;
	case SPOP_HAPROXY_DISCONNECT:
		on_disconnect(c, now, f);
		break;
	case SPOP_UNSET:
		count_frame(c, FRAME_OTHER, FRAME_ERROR);
		disconnect(c, now, SPOP_S_NO_FRAGMENTATION);
		break;
	default: /* a type of a later version: skipped */
		count_frame(c, FRAME_OTHER, FRAME_OK);
		break;
	}
}

/* Before HELLO our own limit holds. */
static uint32_t frame_limit(const struct spop_conn *c)
{
	return c->max_frame ? c->max_frame : (uint32_t)agent_of(c)->conf->limits.spop_frame_size;
}

/* First the HELLO must come in time, then something must come now and then. */
static void note_activity(struct spop_conn *c, slo_nsec now)
{
	struct spop_server *s = c->conn.owner;

	s->idle.span = s->agent->conf->limits.idle_timeout;
	if (c->max_frame && !c->conn.closing && !c->conn.finishing)
		conn_wait(&c->conn, &s->idle, now);
}

/* Reads all frames that are there; how many bytes they have. */
static size_t frames(struct spop_conn *c, const uint8_t *data, size_t len, slo_nsec now)
{
	struct conn *conn = &c->conn;
	size_t used = 0, whole;
	struct spop_frame f;
	slo_err err;

	while (!conn->closing && !conn->finishing) {
		err = spop_peek(data + used, len - used, frame_limit(c), &whole);
		if (err == SLO_ESHORT)
			break;
		if (err == SLO_OK)
			err = spop_frame(data + used + SPOP_LENGTH_SIZE, whole - SPOP_LENGTH_SIZE,
			                 &f);
		if (err != SLO_OK) {
			count_frame(c, FRAME_OTHER, FRAME_ERROR);
			if (!c->max_frame && data[used] >= ' ') /* a length begins with 0 */
				watch_note(agent_of(c), WATCH_PORT, "%s sent text to spop.listen",
				           c->conn.peer);
			disconnect(c, now, err == SLO_ETOOBIG ? SPOP_S_TOO_BIG : SPOP_S_INVALID);
			break;
		}
		on_frame(c, now, &f);
		used += whole;
	}
	return used;
}

static size_t received(struct conn *conn, const uint8_t *data, size_t len, slo_nsec now)
{
	struct spop_conn *c = (struct spop_conn *)conn;
	struct spop_server *s = conn->owner;
	size_t used;

	s->settled = now;
	used = frames(c, data, len, now);
	settle_batch(s, now);
	note_activity(c, now);
	return conn->closing || conn->finishing ? len : used;
}

/* Connections */

static void closed(struct conn *conn, slo_nsec now)
{
	struct spop_conn *c = (struct spop_conn *)conn;

	if (conn->left_len > 0 && !conn->finishing)
		log_limited(conn->set->log, now, LOG_CAUSE_SPOP_PEER, LOG_INFO,
		            "spop: %s left in the middle of a frame", conn->peer);
	abandon_held(c, now);
	agent_pump(agent_of(c),
	           now); /* output leaves already: it is too late for the agent's own */
}

static bool idle(const struct conn *conn)
{
	const struct spop_conn *c = (const struct spop_conn *)conn;

	return c->max_frame > 0 && c->held_count == 0;
}

static const struct conn_protocol spop_protocol = {
	.received = received,
	.closed = closed,
	.idle = idle,
	.peer_cause = LOG_CAUSE_SPOP_PEER,
	.broken_cause = LOG_CAUSE_SPOP_BROKEN,
	.full_cause = LOG_CAUSE_SPOP_FULL,
	.name = "spop",
	.limit = "limits.spop_connections",
};

static void hello_over(struct conn *conn, slo_nsec now)
{
	conn_close(conn, now, "no HELLO in time");
}

/* A connection that waits for us is not idle. */
static void idle_over(struct conn *conn, slo_nsec now)
{
	struct spop_conn *c = (struct spop_conn *)conn;
	struct spop_server *s = conn->owner;

	if (c->held_count > 0) {
		conn_wait(conn, &s->idle, now);
		return;
	}
	log_closed(c, now, "idle for limits.idle_timeout");
	disconnect(c, now, SPOP_S_NORMAL);
}

static void accepted(struct conn *conn, slo_nsec now)
{
	struct spop_conn *c = (struct spop_conn *)conn;
	struct spop_server *s = conn->owner;

	TAILQ_INIT(&c->held);
	s->hello.span = s->agent->conf->limits.hello_timeout;
	conn_wait(conn, &s->hello, now);
}

/* Opens the next listener. False after telling the user. */
static bool open_listener(struct spop_server *s, const struct listen_addr *addr)
{
	struct acceptor *ac = &s->acceptor[s->acceptors];
	struct agent *a = s->agent;
	char why[256];

	*ac = (struct acceptor){
		.set = s->conns,
		.listeners = &a->listeners,
		.protocol = &spop_protocol,
		.owner = s,
		.conn_size = sizeof(struct spop_conn),
		.limit = a->conf->limits.spop_connections,
		.counter = &a->stats.spop_connections,
		.out_max = a->conf->limits.output_buffer,
		.unproven = &s->hello,
		.peers = &s->peers,
		.accepted = accepted,
		.fd = listeners_open(&a->listeners, addr, 0, why, sizeof(why)),
	};
	if (ac->fd < 0) {
		socket_log(a->log, addr, "spop.listen", why);
		return false;
	}
	acceptor_start(ac);
	s->acceptors++;
	log_write(a->log, LOG_NOTICE, "spop: listening on %s", ac->name);
	return true;
}

struct spop_server *spop_server_new(struct agent *a, struct conns *conns)
{
	struct spop_server *s = calloc(1, sizeof(*s));
	char why[256];

	if (!s)
		return NULL;
	s->agent = a;
	s->conns = conns;
	s->spare = (struct spare){ .max = SPARE_HELD_MAX, .size = sizeof(struct held) };
	timeout_list_init(&s->hello, conns->loop, a->conf->limits.hello_timeout, hello_over);
	timeout_list_init(&s->idle, conns->loop, a->conf->limits.idle_timeout, idle_over);
	if (!socket_peers_find(&a->conf->spop, &s->peers, why, sizeof(why))) {
		log_write(a->log, LOG_ERR, "spop: %s", why);
		spop_server_free(s);
		return NULL;
	}
	for (size_t i = 0; i < a->conf->spop.count; i++)
		if (!open_listener(s, &a->conf->spop.addr[i])) {
			spop_server_free(s);
			return NULL;
		}
	return s;
}

void spop_server_give_back(struct spop_server *s)
{
	spare_give_back(&s->spare);
}

static void stop_accepting(struct spop_server *s)
{
	for (size_t i = 0; i < s->acceptors; i++)
		acceptor_stop(&s->acceptor[i]);
}

void spop_server_free(struct spop_server *s)
{
	if (!s)
		return;
	timeout_list_fini(&s->hello);
	timeout_list_fini(&s->idle);
	stop_accepting(s);
	spare_fini(&s->spare);
	free(s);
}

void spop_server_drain(struct spop_server *s)
{
	s->draining = true;
}

void spop_server_read_all(struct spop_server *s)
{
	struct conn *c, *next;

	stop_accepting(s);
	for (c = TAILQ_FIRST(&s->conns->open); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->protocol == &spop_protocol)
			conn_read_all(c);
	}
}

void spop_server_disconnect(struct spop_server *s)
{
	struct conn *c, *next;
	slo_nsec now = clock_nsec();

	stop_accepting(s);
	for (c = TAILQ_FIRST(&s->conns->open); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->protocol != &spop_protocol || c->finishing)
			continue;
		log_closed((struct spop_conn *)c, now, "the agent stops");
		disconnect((struct spop_conn *)c, now, SPOP_S_NORMAL);
	}
}
