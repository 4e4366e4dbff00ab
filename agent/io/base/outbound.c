#include "io/base/outbound.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void outbound_watch(struct outbound *o, bool read, bool write)
{
	if (read)
		ev_io_start(o->loop, &o->readable);
	else
		ev_io_stop(o->loop, &o->readable);
	if (write)
		ev_io_start(o->loop, &o->writable);
	else
		ev_io_stop(o->loop, &o->writable);
}

void outbound_wait(struct outbound *o, bool waiting)
{
	if (waiting)
		ev_timer_again(o->loop, &o->deadline);
	else
		ev_timer_stop(o->loop, &o->deadline);
}

void outbound_close(struct outbound *o)
{
	outbound_watch(o, false, false);
	outbound_wait(o, false);
	ev_timer_stop(o->loop, &o->soon);
	lookup_cancel(o->lookup);
	o->lookup = NULL;
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	o->state = OUTBOUND_CLOSED;
	o->opened++;
}

void outbound_forget(struct outbound *o)
{
	o->addresses.count = 0;
}

void outbound_fail(struct outbound *o, const char *why)
{
	char copy[OUTBOUND_WHY_MAX];

	snprintf(copy, sizeof(copy), "%s", why); /* it may be o->why itself */
	memcpy(o->why, copy, sizeof(copy));
	outbound_close(o);
	outbound_forget(o);
	o->user.down(o->user.user, o->why);
}

static int connect_one(struct outbound *o, size_t i)
{
	const struct sockaddr_storage *sa = &o->addresses.sa[i];
	int one = 1;

	if (o->fd >= 0)
		close(o->fd);
	o->fd = socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (o->fd < 0)
		return errno;
	if (sa->ss_family != AF_UNIX)
		(void)setsockopt(o->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(o->fd, (const struct sockaddr *)sa, o->addresses.len[i]) == 0 ||
	    errno == EINPROGRESS)
		return 0;
	/* On a unix socket EAGAIN (a full backlog) is final: the kernel does not keep connecting.
	 */
	return errno;
}

/* The next address that does not fail at once. */
static void connect_next(struct outbound *o, const char *why)
{
	outbound_watch(o, false, false);
	while (o->next_address < o->addresses.count) {
		int error = connect_one(o, o->next_address++);

		if (error != 0) {
			why = strerror(error);
			continue;
		}
		o->state = OUTBOUND_CONNECTING;
		ev_io_set(&o->readable, o->fd, EV_READ);
		ev_io_set(&o->writable, o->fd, EV_WRITE);
		outbound_watch(o, false, true); /* at once, if it is connected */
		outbound_wait(o, true);
		return;
	}
	outbound_fail(o, why);
}

static void connected(struct outbound *o)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		connect_next(o, strerror(error));
		return;
	}
	outbound_watch(o, false, false);
	o->state = OUTBOUND_UP;
	o->user.up(o->user.user);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct outbound *o = w->data;

	if (o->state == OUTBOUND_CONNECTING)
		connected(o);
	else
		o->user.ready(o->user.user, revents);
}

static void on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	connect_next(w->data, "out of memory for its address");
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	outbound_fail(w->data, "no answer in time");
}

static void on_found(void *user, const struct lookup_addresses *found, const char *why)
{
	struct outbound *o = user;

	o->lookup = NULL;
	if (found)
		o->addresses = *found;
	connect_next(o, why);
}

void outbound_init(struct outbound *o, struct ev_loop *loop, const struct outbound_user *user,
                   double seconds)
{
	memset(o, 0, sizeof(*o));
	o->loop = loop;
	o->user = *user;
	o->fd = -1;
	ev_init(&o->readable, on_io);
	ev_init(&o->writable, on_io);
	ev_init(&o->soon, on_soon);
	ev_timer_init(&o->deadline, on_deadline, 0., seconds);
	o->readable.data = o->writable.data = o->soon.data = o->deadline.data = o;
}

static void address_of_path(const char *path, struct lookup_addresses *out)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->sa[0];

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s",
	         path); /* its parser has checked the length */
	out->len[0] = sizeof(*un);
	out->count = 1;
}

void outbound_open(struct outbound *o, const struct outbound_peer *peer)
{
	o->opened++;
	o->state = OUTBOUND_LOOKING_UP;
	o->next_address = 0;
	outbound_wait(o, true);
	if (o->addresses.count == 0 && peer->path)
		address_of_path(peer->path, &o->addresses);
	else if (o->addresses.count == 0 && !lookup_at_once(peer->host, peer->port, &o->addresses))
		o->lookup = lookup_start(o->loop, peer->host, peer->port, on_found, o);
	if (o->lookup)
		return;
	ev_timer_set(&o->soon, 0., 0.);
	ev_timer_start(o->loop, &o->soon);
}
