#include "io/haproxy/haproxy_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "io/base/socket.h"

#define DEADLINE   5.0 /* seconds to be connected, and then for the answer */
#define ANSWER_MAX (64u << 20)
#define READ_SIZE  65536

static void on_up(void *user)
{
	struct haproxy_link *l = user;

	outbound_watch(&l->to, false, true);
}

static void on_writable(struct haproxy_link *l)
{
	ssize_t n = send(l->to.fd, l->text.p + l->sent, l->text.len - l->sent, MSG_NOSIGNAL);

	if (n < 0 && !socket_would_block(errno)) {
		outbound_fail(&l->to, strerror(errno));
		return;
	}
	l->sent += n > 0 ? (size_t)n : 0;
	if (l->sent == l->text.len)
		outbound_watch(&l->to, true, false);
}

static void on_readable(struct haproxy_link *l)
{
	uint8_t buffer[READ_SIZE];
	ssize_t n = recv(l->to.fd, buffer, sizeof(buffer), 0);
	const char *why;

	if (n < 0 && socket_would_block(errno))
		return;
	if (n < 0) {
		outbound_fail(&l->to, strerror(errno));
	} else if (n == 0) {
		outbound_close(&l->to);
		l->user.over(l->user.user, NULL);
	} else if ((l->bytes += (size_t)n) > ANSWER_MAX) {
		outbound_fail(&l->to, "the answer is too long");
	} else {
		why = l->user.bytes(l->user.user, (struct slice){ buffer, (size_t)n });
		if (why)
			outbound_fail(&l->to, why);
	}
}

static void on_ready(void *user, int revents)
{
	struct haproxy_link *l = user;

	if (l->sent < l->text.len)
		on_writable(l);
	else
		on_readable(l);
}

static void on_down(void *user, const char *why)
{
	struct haproxy_link *l = user;

	l->user.over(l->user.user, why);
}

void haproxy_link_init(struct haproxy_link *l, struct ev_loop *loop,
                       const struct haproxy_link_user *user)
{
	const struct outbound_user ours = { l, on_up, on_ready, on_down };

	l->user = *user;
	outbound_init(&l->to, loop, &ours, DEADLINE);
}

void haproxy_link_ask(struct haproxy_link *l, const struct listen_addr *where, struct slice text)
{
	const struct outbound_peer peer = { listen_addr_is_unix(where) ? where->path : NULL,
		                            where->host, where->port };

	l->text = text;
	l->sent = l->bytes = 0;
	outbound_open(&l->to, &peer);
}

void haproxy_link_close(struct haproxy_link *l)
{
	outbound_close(&l->to);
}
