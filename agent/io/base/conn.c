/* Bytes of many peers, and when each thing happens in a turn of the loop.
 *
 *     poll -> on_readable, on_writable, timers (in any order) -> before_sleep -> poll ...
 *
 * A read goes into one buffer that all share (`scratch`), since the loop reads one peer at a time;
 * what is left of an incomplete message is copied aside. So 20,000 idle peers own no buffer.
 *
 * Output is only gathered while callbacks run, and written in before_sleep(): a burst of answers
 * for one peer leaves in one send(). Closing is done there too, in ev_prepare and not in ev_check,
 * because everything that a turn caused must be out before the loop sleeps, and nothing on the
 * stack points to a connection by then. Each may cause the other (a connection that goes gives back
 * what was held for it, which lets another's request go), so it loops until both lists are empty.
 *
 * A connection is on `open` or on `closing`, and beside that on `writing` while it has output that
 * no send() was tried for, and on one timeout list while it waits for something. `closing` is set
 * before its descriptor is closed; `finishing` means: no more input, and closed when its output is
 * gone or has lingered for too long. */
#include "io/base/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/base/clock.h"

#define READ_AT_LEAST   65536
#define OUT_BLOCK       4096 /* output of one wake-up mostly fits */
#define SPARES_MAX      64
#define ACCEPT_BATCH    64
#define READ_ALL_ROUNDS 64                       /* a peer may send as fast as we read */
#define PAUSE           0.1                      /* seconds without accept(), out of descriptors */
#define LINGER          (2 * SLO_NSEC_PER_SEC)   /* that a peer has to read our last words */
#define GRACE           (50 * SLO_NSEC_PER_MSEC) /* younger connections are not called silent */

/* Output blocks */

static void out_put(struct conn *c)
{
	if (c->out && c->out_cap == OUT_BLOCK)
		spare_put(&c->set->blocks, c->out);
	else
		free(c->out);
	c->out = NULL;
	c->out_sent = c->out_len = c->out_cap = 0;
}

/* Room for len more bytes behind the output that waits, which is moved to the front first. */
static bool out_grow(struct conn *c, size_t len)
{
	size_t pending = c->out_len - c->out_sent, cap = c->out_cap ? c->out_cap : OUT_BLOCK;
	uint8_t *grown;

	if (c->out && c->out_sent > 0) {
		memmove(c->out, c->out + c->out_sent, pending);
		c->out_len = pending;
		c->out_sent = 0;
	}
	while (cap - c->out_len < len)
		cap *= 2;
	if (cap == c->out_cap)
		return true;
	if (!c->out && cap == OUT_BLOCK)
		grown = spare_get(&c->set->blocks);
	else
		grown = realloc(c->out, cap);
	if (!grown)
		return false;
	c->out = grown;
	c->out_cap = cap;
	return true;
}

uint8_t *conn_reserve(struct conn *c, size_t len)
{
	if (c->closing)
		return NULL;
	if (c->out_len - c->out_sent + len > c->out_max) {
		conn_close(c, clock_nsec(), "it does not read what it is sent");
		return NULL;
	}
	if (c->out_cap - c->out_len < len && !out_grow(c, len)) {
		conn_close(c, clock_nsec(), "out of memory for output");
		return NULL;
	}
	return c->out + c->out_len;
}

/* before_sleep() will try to write its output. */
static void want_write(struct conn *c)
{
	if (!c->writing && !c->closing) {
		c->writing = true;
		TAILQ_INSERT_TAIL(&c->set->writing, c, writing_link);
	}
}

void conn_sent(struct conn *c, size_t len)
{
	c->out_len += len;
	assert(c->out_len <= c->out_cap);
	want_write(c);
}

/* Waiting */

static void timeout_list_arm(struct timeout_list *p, slo_nsec now)
{
	const struct conn *first = TAILQ_FIRST(&p->waiting);
	slo_nsec left;

	ev_timer_stop(p->loop, &p->timer);
	if (!first || p->span == 0)
		return;
	left = first->since + p->span - now;
	ev_now_update(p->loop); /* libev counts from the last poll otherwise */
	ev_timer_set(&p->timer, left > 0 ? (double)left / 1e9 : 0., 0.);
	ev_timer_start(p->loop, &p->timer);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct timeout_list *p = w->data;
	slo_nsec now = clock_nsec();
	struct conn *c;

	while (p->span > 0 && (c = TAILQ_FIRST(&p->waiting)) && c->since + p->span <= now) {
		conn_wait(c, NULL, now);
		p->over(c, now);
	}
	timeout_list_arm(p, now);
}

void timeout_list_init(struct timeout_list *p, struct ev_loop *loop, slo_nsec span,
                       void (*over)(struct conn *c, slo_nsec now))
{
	p->loop = loop;
	p->span = span;
	p->over = over;
	TAILQ_INIT(&p->waiting);
	ev_init(&p->timer, on_timeout);
	p->timer.data = p;
}

void timeout_list_fini(struct timeout_list *p)
{
	ev_timer_stop(p->loop, &p->timer);
}

/* The timer is left alone: one that comes too early only looks who is first. */
void conn_wait(struct conn *c, struct timeout_list *p, slo_nsec now)
{
	if (c->timeout)
		TAILQ_REMOVE(&c->timeout->waiting, c, timeout_link);
	c->timeout = p;
	c->since = now;
	if (!p)
		return;
	TAILQ_INSERT_TAIL(&p->waiting, c, timeout_link);
	if (!ev_is_active(&p->timer))
		timeout_list_arm(p, now);
}

/* Closing */

static void linger_over(struct conn *c, slo_nsec now)
{
	conn_close(c, now, NULL);
}

void conn_finish(struct conn *c)
{
	if (c->closing || c->finishing)
		return;
	c->finishing = true;
	ev_io_stop(c->set->loop, &c->readable);
	conn_wait(c, &c->set->linger, clock_nsec());
	want_write(c);
}

void conn_close(struct conn *c, slo_nsec now, const char *reason)
{
	struct conns *set = c->set;

	if (c->closing)
		return;
	if (reason)
		log_limited(set->log, now, c->protocol->broken_cause, LOG_WARNING,
		            "%s: connection from %s closed: %s", c->protocol->name, c->peer,
		            reason);
	ev_io_stop(set->loop, &c->readable);
	ev_io_stop(set->loop, &c->writable);
	conn_wait(c, NULL, now);
	if (c->writing)
		TAILQ_REMOVE(&set->writing, c, writing_link);
	c->writing = false;
	c->closing = true;
	TAILQ_REMOVE(&set->open, c, link);
	TAILQ_INSERT_TAIL(&set->closing, c, link);
	close(c->fd);
	c->fd = -1;
}

/* Frees the closed ones. Their owners hear of it last. */
static void reap(struct conns *set)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&set->closing))) {
		TAILQ_REMOVE(&set->closing, c, link);
		c->protocol->closed(c, clock_nsec());
		out_put(c);
		free(c->left);
		set->count--;
		(*c->counter)--;
		free(c);
	}
}

/* Writing */

/* One send(). What it leaves waits for the socket. */
static void flush(struct conn *c)
{
	size_t pending = c->out_len - c->out_sent;
	ssize_t n = pending ? send(c->fd, c->out + c->out_sent, pending, MSG_NOSIGNAL) : 0;

	if (n < 0 && !socket_would_block(errno)) {
		log_limited(c->set->log, clock_nsec(), c->protocol->peer_cause, LOG_INFO,
		            "%s: write to %s: %s", c->protocol->name, c->peer, strerror(errno));
		conn_close(c, clock_nsec(), NULL);
		return;
	}
	c->out_sent += n > 0 ? (size_t)n : 0;
	if (c->out_sent < c->out_len) {
		ev_io_start(c->set->loop, &c->writable);
		return;
	}
	ev_io_stop(c->set->loop, &c->writable);
	out_put(c);
	if (c->finishing)
		conn_close(c, clock_nsec(), NULL);
	else if (c->protocol->drained)
		c->protocol->drained(c, clock_nsec());
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	flush(w->data);
}

static void before_sleep(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct conns *set = w->data;
	struct conn *c;

	/* Closing a connection may free room, and that may produce output for others. */
	while (!TAILQ_EMPTY(&set->writing) || !TAILQ_EMPTY(&set->closing)) {
		while ((c = TAILQ_FIRST(&set->writing))) {
			TAILQ_REMOVE(&set->writing, c, writing_link);
			c->writing = false;
			if (!ev_is_active(&c->writable))
				flush(c);
		}
		reap(set);
	}
}

/* Reading */

/* The start of an incomplete message waits with its connection for the rest. */
static void keep_left(struct conn *c, const uint8_t *data, size_t len)
{
	uint8_t *left = NULL;

	if (len > 0) {
		left = malloc(len);
		if (!left) {
			conn_close(c, clock_nsec(), "out of memory for input");
			return;
		}
		memcpy(left, data, len);
	}
	free(c->left);
	c->left = left;
	c->left_len = len;
}

static void take(struct conn *c, const uint8_t *data, size_t len, slo_nsec now)
{
	size_t used = c->protocol->received(c, data, len, now);

	if (!c->closing && !c->finishing && (used < len || c->left))
		keep_left(c, data + used, len - used);
}

static void on_end(struct conn *c, slo_nsec now)
{
	if (c->protocol->half_closes)
		conn_finish(c);
	else
		conn_close(c, now, NULL);
}

/* HAProxy resets connections that it needs no longer. */
static bool is_idle_reset(const struct conn *c, int why)
{
	return why == ECONNRESET && c->left_len == 0 && c->out_sent == c->out_len &&
	       c->protocol->idle && c->protocol->idle(c);
}

static void on_error(struct conn *c, slo_nsec now, int why)
{
	log_limited(c->set->log, now, c->protocol->peer_cause,
	            is_idle_reset(c, why) ? LOG_DEBUG : LOG_INFO, "%s: read from %s: %s",
	            c->protocol->name, c->peer, strerror(why));
	conn_close(c, now, NULL);
}

/* One recv(), so that a busy peer cannot keep the others waiting. */
static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *c = w->data;
	struct conns *set = c->set;
	size_t len = c->left_len;
	slo_nsec now;
	ssize_t n;

	if (len > 0)
		memcpy(set->scratch, c->left, len);
	if (SELDOM(c->again)) {
		c->again = false;
		take(c, set->scratch, len, clock_nsec());
		return;
	}
	n = recv(c->fd, set->scratch + len, set->scratch_size - len, 0);
	now = clock_nsec();
	if (n > 0) {
		take(c, set->scratch, len + (size_t)n, now);
	} else if (n == 0) {
		on_end(c, now);
	} else if (!socket_would_block(errno)) {
		on_error(c, now, errno);
	}
}

void conn_pause(struct conn *c)
{
	c->paused = true;
	ev_io_stop(c->set->loop, &c->readable);
}

void conn_resume(struct conn *c)
{
	if (!c->paused || c->closing || c->finishing)
		return;
	c->paused = false;
	ev_io_start(c->set->loop, &c->readable);
	/* From the loop, as other input: whoever calls this may be amidst a message. */
	c->again = c->left_len > 0;
	if (c->again)
		ev_feed_event(c->set->loop, &c->readable, EV_READ);
}

void conn_read_all(struct conn *c)
{
	int rounds = READ_ALL_ROUNDS, waiting;

	while (rounds-- > 0 && !c->closing && !c->finishing &&
	       ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting > 0)
		on_readable(c->set->loop, &c->readable, EV_READ);
}

/* Accepting */

/* From here on the set owns the descriptor. */
static void conn_start(struct acceptor *a, int fd, const struct sockaddr_storage *sa, socklen_t len)
{
	struct conn *c = calloc(1, a->conn_size);
	char name[SOCKET_NAME_MAX];
	slo_nsec now = clock_nsec();
	int one = 1;

	socket_name(sa, len, name, sizeof(name));
	if (!c) {
		log_limited(a->set->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "%s: out of memory, a new connection from %s is refused", a->name,
		            name);
		close(fd);
		return;
	}
	/* These fail on unix sockets, and are not needed there. Keepalive finds peers whose host is
	 * gone: a ring may be silent for days otherwise. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ 60 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ 10 }, sizeof(int));
	c->set = a->set;
	c->protocol = a->protocol;
	c->owner = a->owner;
	c->counter = a->counter;
	c->fd = fd;
	c->out_max = a->out_max;
	c->local = sa->ss_family == AF_UNIX;
	snprintf(c->peer, sizeof(c->peer), "%.*s", (int)sizeof(c->peer) - 1, name);
	ev_io_init(&c->readable, on_readable, fd, EV_READ);
	ev_io_init(&c->writable, on_writable, fd, EV_WRITE);
	c->readable.data = c->writable.data = c;
	ev_io_start(a->set->loop, &c->readable);
	TAILQ_INSERT_TAIL(&a->set->open, c, link);
	a->set->count++;
	(*a->counter)++;
	a->accepted(c, now);
}

/* Closes the unproven connection that has waited for longest. False: there is none that is old
 * enough. */
static bool make_room(struct acceptor *a)
{
	struct conn *first = TAILQ_FIRST(&a->unproven->waiting);
	slo_nsec now = clock_nsec();

	if (!first || first->since + GRACE > now)
		return false;
	conn_close(first, now, "it is silent and all connections are in use");
	return true;
}

static void accept_failed(struct acceptor *a, int err)
{
	if (socket_would_block(err) || err == ECONNABORTED)
		return;
	if ((err == EMFILE || err == ENFILE) && make_room(a))
		return; /* the next wake-up comes at once */
	log_limited(a->set->log, clock_nsec(), LOG_CAUSE_ACCEPT, LOG_ERR,
	            "%s: accept: %s, waiting %.1f s", a->name, strerror(err), PAUSE);
	ev_io_stop(a->set->loop, &a->readable);
	ev_timer_set(&a->pause, PAUSE, 0.);
	ev_timer_start(a->set->loop, &a->pause);
}

/* All connections are in use, and none makes room. */
static void refuse(struct acceptor *a, int fd, const struct sockaddr_storage *sa, socklen_t len)
{
	char name[SOCKET_NAME_MAX];

	socket_name(sa, len, name, sizeof(name));
	log_limited(a->set->log, clock_nsec(), a->protocol->full_cause, LOG_WARNING,
	            "%s: all %zu connections%s%s are in use, a new one from %s is refused", a->name,
	            a->limit, a->protocol->limit ? " of " : "",
	            a->protocol->limit ? a->protocol->limit : "", name);
	close(fd);
}

static bool is_allowed(struct acceptor *a, int fd)
{
	char who[64];

	if (socket_peer_allowed(a->peers, fd, who, sizeof(who)))
		return true;
	log_limited(a->set->log, clock_nsec(), LOG_CAUSE_PEER_USER, LOG_WARNING,
	            "%s: %s on %s is not among peers, its connection is refused", a->protocol->name,
	            who, a->name);
	close(fd);
	return false;
}

static void on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct acceptor *a = w->data;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t len = sizeof(sa);
		int fd = accept4(a->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			accept_failed(a, errno);
			return;
		}
		if (!is_allowed(a, fd))
			continue;
		if (*a->counter >= a->limit && !make_room(a))
			refuse(a, fd, &sa, len);
		else
			conn_start(a, fd, &sa, len);
	}
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct acceptor *a = w->data;

	ev_io_start(loop, &a->readable);
}

void acceptor_start(struct acceptor *a)
{
	socket_local_name(a->fd, a->name, sizeof(a->name));
	ev_io_init(&a->readable, on_acceptable, a->fd, EV_READ);
	ev_init(&a->pause, on_pause_over);
	a->readable.data = a->pause.data = a;
	ev_io_start(a->set->loop, &a->readable);
}

void acceptor_stop(struct acceptor *a)
{
	if (a->fd < 0)
		return;
	ev_io_stop(a->set->loop, &a->readable);
	ev_timer_stop(a->set->loop, &a->pause);
	listeners_close(a->listeners, a->fd);
	a->fd = -1;
}

slo_err conns_init(struct conns *set, struct ev_loop *loop, struct log *log, size_t max_message)
{
	memset(set, 0, sizeof(*set));
	set->scratch_size = max_message + READ_AT_LEAST;
	set->scratch = malloc(set->scratch_size);
	if (!set->scratch)
		return SLO_ENOMEM;
	set->loop = loop;
	set->log = log;
	set->blocks = (struct spare){ .max = SPARES_MAX, .size = OUT_BLOCK };
	TAILQ_INIT(&set->open);
	TAILQ_INIT(&set->writing);
	TAILQ_INIT(&set->closing);
	timeout_list_init(&set->linger, loop, LINGER, linger_over);
	ev_prepare_init(&set->prepare, before_sleep);
	set->prepare.data = set;
	ev_prepare_start(loop, &set->prepare);
	return SLO_OK;
}

void conns_give_back(struct conns *set)
{
	spare_give_back(&set->blocks);
}

void conns_fini(struct conns *set)
{
	if (!set->scratch)
		return;
	ev_prepare_stop(set->loop, &set->prepare);
	while (!TAILQ_EMPTY(&set->open))
		conn_close(TAILQ_FIRST(&set->open), clock_nsec(), NULL);
	reap(set);
	timeout_list_fini(&set->linger);
	spare_fini(&set->blocks);
	free(set->scratch);
	set->scratch = NULL;
}
