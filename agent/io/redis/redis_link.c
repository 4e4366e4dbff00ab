#include "io/redis/redis_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/socket.h"
#include "io/redis/redis_tls.h"

#define PATIENCE     10.0 /* seconds to be up, and for a reply */
#define TURN_MAX     SLO_NSEC_PER_MSEC
#define CHUNK        16384
#define ELEMENTS_MAX 20000 /* of one array */
#define WHY_MAX      256

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* Closing */

void redis_link_close(struct redis_link *l)
{
	ev_io_stop(l->loop, &l->readable);
	ev_io_stop(l->loop, &l->writable);
	ev_timer_stop(l->loop, &l->more);
	ev_timer_stop(l->loop, &l->deadline);
	lookup_cancel(l->lookup);
	l->lookup = NULL;
	SSL_free(l->ssl);
	l->ssl = NULL;
	if (l->reader)
		redisReaderFree(l->reader);
	l->reader = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	free(l->out);
	l->out = NULL;
	l->out_at = l->out_len = l->out_cap = 0;
	l->unanswered = l->in_reply = 0;
	l->starved = false;
	l->state = LINK_CLOSED;
	l->opened++;
}

static void fail(struct redis_link *l, const char *why)
{
	char copy[WHY_MAX];

	snprintf(copy, sizeof(copy), "%s", why);
	redis_link_close(l);
	l->user->down(l->user->user, copy);
}

/* Bytes */

enum moved { MOVED_SOME, MOVED_NONE, MOVED_FAILED };

static enum moved by_tls(struct redis_link *l, enum tls_result result, char *why)
{
	switch (result) {
	case TLS_DONE:
		return MOVED_SOME;
	case TLS_WANT_WRITE:
		ev_io_start(l->loop, &l->writable);
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
	return by_socket(recv(l->fd, buf, CHUNK, 0), done, why);
}

static enum moved transmit(struct redis_link *l, size_t *done, char *why)
{
	const char *p = l->out + l->out_at;
	size_t len = l->out_len - l->out_at;

	if (l->ssl)
		return by_tls(l, redis_tls_write(l->ssl, p, len, done, why, WHY_MAX), why);
	return by_socket(send(l->fd, p, len, MSG_NOSIGNAL), done, why);
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
	ev_io_stop(l->loop, &l->writable);
	while (l->out_at < l->out_len) {
		switch (transmit(l, &n, why)) {
		case MOVED_SOME:
			l->out_at += n;
			break;
		case MOVED_NONE:
			if (!l->ssl)
				ev_io_start(l->loop, &l->writable);
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

static bool make_room(struct redis_link *l, size_t len)
{
	size_t cap = l->out_cap ? l->out_cap : 4096;
	char *grown;

	while (cap - l->out_len < len)
		cap *= 2;
	if (cap == l->out_cap)
		return true;
	grown = realloc(l->out, cap);
	if (!grown)
		return false;
	l->out = grown;
	l->out_cap = cap;
	return true;
}

void redis_link_command(struct redis_link *l, int argc, const char **argv, const size_t *len)
{
	char *text = NULL;
	/* An int up to hiredis 0.14, a long long since. */
	long long n = redisFormatCommandArgv(&text, argc, argv, len);

	if (n < 0 || !make_room(l, (size_t)n)) {
		l->starved = true;
	} else {
		memcpy(l->out + l->out_len, text, (size_t)n);
		l->out_len += (size_t)n;
	}
	if (n >= 0)
		redisFreeCommand(text);
	if (l->unanswered++ == 0)
		ev_timer_again(l->loop, &l->deadline);
	ev_io_start(l->loop, &l->writable);
}

/* hiredis believes any number of elements. */
static void *make_array(const redisReadTask *task, element_count n)
{
	const struct redis_link *l = task->privdata;

	return n <= ELEMENTS_MAX ? l->make_array(task, n) : NULL;
}

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
	if (l->unanswered == 0) {
		freeReplyObject(reply);
		fail(l, "it speaks without being asked");
		return true;
	}
	if (--l->unanswered == 0)
		ev_timer_stop(l->loop, &l->deadline);
	else
		ev_timer_again(l->loop, &l->deadline);
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
		ev_io_start(l->loop, &l->readable);
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

static void take_replies(struct redis_link *l)
{
	slo_nsec began = clock_nsec(), took = 0;
	uint64_t opened = l->opened;

	do {
		if (!hand_on(l) && !read_some(l))
			break;
		took = clock_nsec() - began;
	} while (l->reader && l->opened == opened && took < TURN_MAX);
	took = clock_nsec() - began;
	if (took > l->longest)
		l->longest = took;
	if (l->opened != opened || ev_is_active(&l->readable))
		return;
	ev_timer_set(&l->more, 0., 0.);
	ev_timer_start(l->loop, &l->more);
}

/* Opening */

static void up(struct redis_link *l)
{
	l->state = LINK_UP;
	if (!reader_new(l)) {
		fail(l, "out of memory");
		return;
	}
	ev_timer_stop(l->loop, &l->deadline);
	ev_io_stop(l->loop, &l->writable);
	ev_io_start(l->loop, &l->readable);
	l->user->up(l->user->user);
}

static void greet(struct redis_link *l)
{
	char why[WHY_MAX] = "";

	ev_io_stop(l->loop, &l->writable);
	switch (by_tls(l, redis_tls_handshake(l->ssl, why, sizeof(why)), why)) {
	case MOVED_SOME:
		up(l);
		break;
	case MOVED_NONE:
		ev_io_start(l->loop, &l->readable);
		break;
	case MOVED_FAILED:
		fail(l, why);
		break;
	}
}

static void connected(struct redis_link *l)
{
	if (!l->tls) {
		up(l);
		return;
	}
	l->ssl = redis_tls_start(l->tls, l->fd, l->tls_name);
	l->state = LINK_GREETING;
	if (l->ssl)
		greet(l);
	else
		fail(l, "TLS: out of memory");
}

/* The next address that does not fail at once. */
static void connect_next(struct redis_link *l, const char *why)
{
	int error = 0, one = 1;

	ev_io_stop(l->loop, &l->writable);
	while (l->next_address < l->addresses.count) {
		size_t i = l->next_address++;
		const struct sockaddr_storage *sa = &l->addresses.sa[i];

		if (l->fd >= 0)
			close(l->fd);
		l->fd = socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (l->fd >= 0 && sa->ss_family != AF_UNIX)
			setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		error = 0;
		if (l->fd < 0 || connect(l->fd, (const struct sockaddr *)sa, l->addresses.len[i]))
			error = errno;
		if (error != 0 && error != EINPROGRESS) {
			why = strerror(error);
			continue;
		}
		l->state = LINK_CONNECTING;
		ev_io_set(&l->readable, l->fd, EV_READ);
		ev_io_set(&l->writable, l->fd, EV_WRITE);
		ev_io_start(l->loop, &l->writable); /* at once, if it is connected */
		ev_timer_again(l->loop, &l->deadline);
		return;
	}
	fail(l, why);
}

static void on_turn(struct redis_link *l)
{
	int error = 0;
	socklen_t len = sizeof(error);

	ev_timer_stop(l->loop, &l->more); /* one slice in a turn of the loop */
	switch (l->state) {
	case LINK_CLOSED:
		break;
	case LINK_LOOKING_UP:
		connect_next(l, "no address");
		break;
	case LINK_CONNECTING:
		if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
			connect_next(l, strerror(error ? error : errno));
		else
			connected(l);
		break;
	case LINK_GREETING:
		greet(l);
		break;
	case LINK_UP:
		ev_io_stop(l->loop, &l->readable);
		if (flush(l))
			take_replies(l);
		break;
	}
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	on_turn(w->data);
}

static void on_more(struct ev_loop *loop, ev_timer *w, int revents)
{
	on_turn(w->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis_link *l = w->data;

	fail(l, l->state == LINK_UP ? "it does not reply" : "it does not answer");
}

static void on_found(void *user, const struct lookup_addresses *found, const char *why)
{
	struct redis_link *l = user;

	l->lookup = NULL;
	if (found)
		l->addresses = *found;
	connect_next(l, why);
}

void redis_link_init(struct redis_link *l, struct ev_loop *loop, const struct redis_link_user *user)
{
	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->user = user;
	l->fd = -1;
	ev_init(&l->readable, on_io);
	ev_init(&l->writable, on_io);
	ev_init(&l->more, on_more);
	ev_timer_init(&l->deadline, on_deadline, 0., PATIENCE);
	l->readable.data = l->writable.data = l->more.data = l->deadline.data = l;
}

static void address_of_path(const char *path, struct lookup_addresses *out)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->sa[0];

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1); /* redis_url has checked the length */
	out->len[0] = sizeof(*un);
	out->count = 1;
}

void redis_link_open(struct redis_link *l, const struct redis_url *url, SSL_CTX *tls,
                     const char *tls_name)
{
	bool known = true;

	l->opened++;
	l->state = LINK_LOOKING_UP;
	l->tls = tls;
	l->tls_name = tls_name;
	l->addresses.count = l->next_address = 0;
	if (url->kind == REDIS_URL_UNIX)
		address_of_path(url->path, &l->addresses);
	else
		known = lookup_at_once(url->host, url->port, &l->addresses);
	if (!known)
		l->lookup = lookup_start(l->loop, url->host, url->port, on_found, l);
	if (l->lookup)
		return;
	ev_timer_set(&l->more, 0., 0.); /* no callback before this returns */
	ev_timer_start(l->loop, &l->more);
}
