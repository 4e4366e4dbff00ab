/* All events of a link (readable, writable, the next slice) end in on_turn(), which looks at the
 * state and does what there is to do. That is simpler than a handler for each: TLS may want to read
 * in order to write, and a reply may be in the reader's memory while the socket has nothing.
 *
 * Every step can end the connection: fail() closes it and tells the user, who may open it again at
 * once. So whoever called something that may fail must not look at the connection afterwards, but
 * by `opened`, see take_replies().
 *
 * hiredis trusts the server in two ways that this does not: it takes a reply of any size (in_reply
 * counts the bytes since the last whole one), and an array of any length (make_array() bounds it).
 */
#include "io/redis/redis_link.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/base/clock.h"
#include "io/base/socket.h"
#include "io/redis/redis_tls.h"

#define PATIENCE     10.0 /* seconds to be up, and for a reply */
#define TURN_MAX     SLO_NSEC_PER_MSEC
#define REST         0.001 /* seconds until the next turn */
#define CHUNK        16384
#define ELEMENTS_MAX 20000 /* of one array */
#define WHY_MAX      256

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* Closing */

/* All but the connection itself, which may be closed already. */
static void clear(struct redis_link *l)
{
	ev_timer_stop(l->to.loop, &l->more);
	SSL_free(l->ssl);
	l->ssl = NULL;
	if (l->reader)
		redisReaderFree(l->reader);
	l->reader = NULL;
	free(l->out);
	l->out = NULL;
	l->out_at = l->out_len = l->out_cap = 0;
	l->unanswered = l->in_reply = l->owed = 0;
	l->starved = false;
	l->state = LINK_CLOSED;
}

void redis_link_close(struct redis_link *l)
{
	clear(l);
	outbound_close(&l->to);
}

static void on_down(void *user, const char *why)
{
	struct redis_link *l = user;

	clear(l);
	l->user->down(l->user->user, why);
}

static void fail(struct redis_link *l, const char *why)
{
	outbound_fail(&l->to, why);
}

/* Bytes */

/* What became of an attempt to move bytes. */
enum moved { MOVED_SOME, MOVED_NONE, MOVED_FAILED };

static enum moved by_tls(struct redis_link *l, enum tls_result result, char *why)
{
	switch (result) {
	case TLS_DONE:
		return MOVED_SOME;
	case TLS_WANT_WRITE:
		ev_io_start(l->to.loop, &l->to.writable);
		return MOVED_NONE;
	case TLS_WANT_READ:
		return MOVED_NONE;
	case TLS_CLOSED:
		snprintf(why, WHY_MAX, "closed by the server");
		return MOVED_FAILED;
	case TLS_FAILED:
		break;
	}
	return MOVED_FAILED;
}

static enum moved by_socket(ssize_t n, size_t *done, char *why)
{
	if (n > 0) {
		*done = (size_t)n;
		return MOVED_SOME;
	}
	if (n < 0 && socket_would_block(errno))
		return MOVED_NONE;
	snprintf(why, WHY_MAX, "%s", n == 0 ? "closed by the server" : strerror(errno));
	return MOVED_FAILED;
}

static enum moved receive(struct redis_link *l, char *buf, size_t *done, char *why)
{
	if (l->ssl)
		return by_tls(l, redis_tls_read(l->ssl, buf, CHUNK, done, why, WHY_MAX), why);
	return by_socket(recv(l->to.fd, buf, CHUNK, 0), done, why);
}

static enum moved transmit(struct redis_link *l, size_t *done, char *why)
{
	const char *p = l->out + l->out_at;
	size_t len = l->out_len - l->out_at;

	if (l->ssl)
		return by_tls(l, redis_tls_write(l->ssl, p, len, done, why, WHY_MAX), why);
	return by_socket(send(l->to.fd, p, len, MSG_NOSIGNAL), done, why);
}

/* False: the link is closed. */
static bool flush(struct redis_link *l)
{
	char why[WHY_MAX] = "";
	size_t n = 0;

	if (l->starved) {
		fail(l, "out of memory");
		return false;
	}
	ev_io_stop(l->to.loop, &l->to.writable);
	while (l->out_at < l->out_len) {
		switch (transmit(l, &n, why)) {
		case MOVED_SOME:
			l->out_at += n;
			break;
		case MOVED_NONE:
			if (!l->ssl)
				ev_io_start(l->to.loop, &l->to.writable);
			return true;
		case MOVED_FAILED:
			fail(l, why);
			return false;
		}
	}
	l->out_at = l->out_len = 0;
	return true;
}

/* Commands and replies */

/* Room for len more bytes of commands; NULL: there is none, and the link ends soon. */
static char *room(struct redis_link *l, size_t len)
{
	size_t cap = l->out_cap ? l->out_cap : 4096;
	char *grown;

	if (len <= l->out_cap - l->out_len)
		return l->out + l->out_len;
	if (l->out_at > l->out_cap / 2) { /* a server that never has all of it */
		memmove(l->out, l->out + l->out_at, l->out_len - l->out_at);
		l->out_len -= l->out_at;
		l->out_at = 0;
	}
	while (cap - l->out_len < len)
		cap *= 2;
	grown = realloc(l->out, cap);
	if (!grown) {
		l->starved = true;
		return NULL;
	}
	l->out = grown;
	l->out_cap = cap;
	return l->out + l->out_len;
}

/* The kind and a number, as commands count their arguments and the bytes of those. */
static void count(struct redis_link *l, char kind, size_t n)
{
	char text[24], *p = text + sizeof(text), *to;
	size_t len;

	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	*--p = kind;
	len = (size_t)(text + sizeof(text) - p);
	to = room(l, len);
	if (!to)
		return;
	memcpy(to, p, len);
	l->out_len += len;
}

void redis_link_begin(struct redis_link *l, size_t argc)
{
	assert(l->owed == 0 && argc > 0);
	l->owed = argc;
	count(l, '*', argc);
	if (l->unanswered++ == 0)
		outbound_wait(&l->to, true);
	ev_io_start(l->to.loop, &l->to.writable);
}

void redis_link_arg_begin(struct redis_link *l, size_t len)
{
	assert(l->owed > 0);
	count(l, '$', len);
}

void redis_link_arg_part(struct redis_link *l, const void *p, size_t len)
{
	char *to = room(l, len);

	if (!to)
		return;
	if (len > 0) /* nothing may be at no address */
		memcpy(to, p, len);
	l->out_len += len;
}

void redis_link_arg_end(struct redis_link *l)
{
	l->owed--;
	redis_link_arg_part(l, "\r\n", 2);
}

void redis_link_arg(struct redis_link *l, const void *p, size_t len)
{
	redis_link_arg_begin(l, len);
	redis_link_arg_part(l, p, len);
	redis_link_arg_end(l);
}

void redis_link_command(struct redis_link *l, int argc, const char **argv, const size_t *len)
{
	redis_link_begin(l, (size_t)argc);
	for (int i = 0; i < argc; i++)
		redis_link_arg(l, argv[i], len ? len[i] : strlen(argv[i]));
}

size_t redis_link_unsent(const struct redis_link *l)
{
	return l->out_len - l->out_at;
}

bool redis_link_is_elsewhere(const redisReply *reply)
{
	static const char *const words[] = { "READONLY ", "MASTERDOWN ", "MOVED ", "CLUSTERDOWN ",
		                             "LOADING " };

	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(reply->str, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

bool redis_link_is_denied(const char *error)
{
	return strstr(error, "NOPERM ") != NULL;
}

/* hiredis believes any number of elements. */
static void *make_array(const redisReadTask *task, element_count n)
{
	const struct redis_link *l = task->privdata;

	return n <= ELEMENTS_MAX ? l->make_array(task, n) : NULL;
}

/* hiredis' reader, with our own way to make arrays. */
static bool reader_new(struct redis_link *l)
{
	l->reader = redisReaderCreate();
	if (!l->reader)
		return false;
	l->make = *l->reader->fn;
	l->make_array = l->make.createArray;
	l->make.createArray = make_array;
	l->reader->fn = &l->make;
	l->reader->privdata = l;
	return true;
}

/* A message of a channel that was subscribed to; its reader asked for none in particular. */
static bool is_message(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	       r->element[0]->type == REDIS_REPLY_STRING &&
	       strcmp(r->element[0]->str, "message") == 0;
}

/* True: a reply was handed on, and the link may be closed now. */
static bool hand_on(struct redis_link *l)
{
	void *reply = NULL;

	if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
		fail(l, "its reply cannot be read");
		return true;
	}
	if (!reply)
		return false;
	l->in_reply = l->reader->len - l->reader->pos;
	if (!l->listens || !is_message(reply)) {
		if (l->unanswered == 0) {
			freeReplyObject(reply);
			fail(l, "it speaks without being asked");
			return true;
		}
		l->unanswered--;
	}
	outbound_wait(&l->to, l->unanswered > 0);
	l->user->reply(l->user->user, reply);
	freeReplyObject(reply);
	return true;
}

/* False: nothing came, or the link is closed. */
static bool read_some(struct redis_link *l)
{
	char buf[CHUNK], why[WHY_MAX] = "";
	size_t n = 0;

	switch (receive(l, buf, &n, why)) {
	case MOVED_NONE:
		ev_io_start(l->to.loop, &l->to.readable);
		return false;
	case MOVED_FAILED:
		fail(l, why);
		return false;
	case MOVED_SOME:
		break;
	}
	l->in_reply += n;
	if (l->in_reply > REDIS_REPLY_MAX + CHUNK ||
	    redisReaderFeed(l->reader, buf, n) != REDIS_OK) {
		fail(l, l->in_reply > REDIS_REPLY_MAX ? "its reply is too large" : "out of memory");
		return false;
	}
	return true;
}

/* hand_on() and read_some() may close the link, or open it again: then nothing here is of this
 * connection any more. Each opening and closing counts `opened` on, which is how that is seen. */
static void take_replies(struct redis_link *l)
{
	slo_nsec began = clock_nsec(), took = 0;
	uint64_t opened = l->to.opened;

	do {
		if (!hand_on(l) && !read_some(l))
			break;
		took = clock_nsec() - began;
	} while (l->reader && l->to.opened == opened && took < TURN_MAX);
	took = clock_nsec() - began;
	if (took > l->longest)
		l->longest = took;
	if (l->to.opened != opened || ev_is_active(&l->to.readable))
		return;
	ev_timer_set(&l->more, REST, 0.);
	ev_timer_start(l->to.loop, &l->more);
}

/* What the socket takes goes at once. A failure is seen by who reads. */
static void push(struct redis_link *l)
{
	char why[WHY_MAX] = "";
	size_t n = 0;

	while (l->out_at < l->out_len && transmit(l, &n, why) == MOVED_SOME)
		l->out_at += n;
}

/* Some of them; nobody hears of them. */
static enum moved drop_replies(struct redis_link *l)
{
	char buf[CHUNK], why[WHY_MAX] = "";
	void *reply = NULL;
	size_t n = 0;
	enum moved moved = receive(l, buf, &n, why);

	if (moved != MOVED_SOME)
		return moved;
	l->in_reply += n;
	if (l->in_reply > REDIS_REPLY_MAX || redisReaderFeed(l->reader, buf, n) != REDIS_OK)
		return MOVED_FAILED;
	while (l->unanswered > 0 && redisReaderGetReply(l->reader, &reply) == REDIS_OK && reply) {
		freeReplyObject(reply);
		l->unanswered--;
	}
	return MOVED_SOME;
}

void redis_link_finish(struct redis_link *l, slo_nsec until)
{
	slo_nsec left;

	while (l->state == LINK_UP && l->unanswered > 0 && !l->starved &&
	       (left = until - clock_nsec()) > 0) {
		struct pollfd p = { .fd = l->to.fd, .events = POLLIN };
		enum moved moved;

		push(l);
		if (redis_link_unsent(l) > 0)
			p.events |= POLLOUT;
		moved = drop_replies(l);
		if (moved == MOVED_FAILED)
			return;
		if (moved == MOVED_NONE)
			(void)poll(&p, 1, (int)(left / SLO_NSEC_PER_MSEC) + 1);
	}
}

/* Opening */

/* Commands may be sent from here on. */
static void up(struct redis_link *l)
{
	l->state = LINK_UP;
	if (!reader_new(l)) {
		fail(l, "out of memory");
		return;
	}
	outbound_wait(&l->to, false);
	outbound_watch(&l->to, true, false);
	l->user->up(l->user->user);
}

/* TLS' handshake, as far as it goes now. */
static void greet(struct redis_link *l)
{
	char why[WHY_MAX] = "";

	ev_io_stop(l->to.loop, &l->to.writable);
	switch (by_tls(l, redis_tls_handshake(l->ssl, why, sizeof(why)), why)) {
	case MOVED_SOME:
		up(l);
		break;
	case MOVED_NONE:
		ev_io_start(l->to.loop, &l->to.readable);
		break;
	case MOVED_FAILED:
		fail(l, why);
		break;
	}
}

static void on_connected(void *user)
{
	struct redis_link *l = user;

	if (!l->tls) {
		up(l);
		return;
	}
	l->ssl = redis_tls_start(l->tls, l->to.fd, l->tls_name);
	l->state = LINK_GREETING;
	if (l->ssl)
		greet(l);
	else
		fail(l, "TLS: out of memory");
}

/* Its turn of the loop, in any state. fail() may free all that belongs to the connection. */
static void on_turn(struct redis_link *l)
{
	ev_timer_stop(l->to.loop, &l->more); /* one slice in a turn of the loop */
	if (l->state == LINK_GREETING) {
		greet(l);
	} else if (l->state == LINK_UP) {
		ev_io_stop(l->to.loop, &l->to.readable);
		if (flush(l))
			take_replies(l);
	}
}

/* While replies rest, only commands go out. */
static void on_ready(void *user, int revents)
{
	struct redis_link *l = user;

	if (l->state == LINK_UP && ev_is_active(&l->more))
		(void)flush(l);
	else
		on_turn(l);
}

static void on_more(struct ev_loop *loop, ev_timer *w, int revents)
{
	on_turn(w->data);
}

void redis_link_init(struct redis_link *l, struct ev_loop *loop, const struct redis_link_user *user)
{
	const struct outbound_user ours = { l, on_connected, on_ready, on_down };

	memset(l, 0, sizeof(*l));
	l->user = user;
	outbound_init(&l->to, loop, &ours, PATIENCE);
	ev_init(&l->more, on_more);
	l->more.data = l;
}

void redis_link_open(struct redis_link *l, const struct redis_url *url, SSL_CTX *tls,
                     const char *tls_name)
{
	const struct outbound_peer peer = { url->kind == REDIS_URL_UNIX ? url->path : NULL,
		                            url->host, url->port };

	l->state = LINK_OPENING;
	l->tls = tls;
	l->tls_name = tls_name;
	/* After a failover the name is another server's. */
	outbound_forget(&l->to);
	outbound_open(&l->to, &peer);
}
