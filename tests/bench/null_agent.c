/* null_agent SPOP-PORT EVENTS-PORT SERVER [BACKEND] - the least that an SPOE agent can do, as the
 * floor for comparisons: HELLO is answered as it must be, every NOTIFY gets the same ACK. With
 * BACKEND that sets the variables that slo-spoa sets for a routed request, so that HAProxy has the
 * same to do for both; without, only txn.slo.server. Of a NOTIFY only the head is read. One read
 * and one write a wake-up.
 *
 * End lines come as they come to the daemon, over TCP and UDP. TCP bytes are thrown away in the
 * kernel, without a copy; the UDP socket is never read, and the kernel drops what it cannot keep.
 */
#include <sys/epoll.h>

#include "bench_net.h"
#include "wire/spop.h"
#include "wire/spop_hello.h"

#define READ_SIZE ((size_t)65536)
#define MAX_FRAME ((size_t)65536)
#define EVENTS    512

/* What epoll hands back: a listener, a line sink or an SPOP connection. */
struct peer {
	enum { SPOP_LISTENER, EVENT_LISTENER, EVENT_SINK, SPOP_PEER } kind;
	int fd;
	size_t len;
	uint8_t in[READ_SIZE + MAX_FRAME];
};

static int epoll_fd;
static struct slice actions; /* of every ACK */
/* An ACK is at most a few times longer than the shortest NOTIFY. */
static uint8_t out[8 * (READ_SIZE + MAX_FRAME)];

static void watch(struct peer *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data = { .ptr = p } };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->fd, &ev) != 0)
		bench_die("epoll_ctl");
}

static struct peer *peer_new(int kind, int fd)
{
	struct peer *p = malloc(sizeof(*p)); /* its buffer takes memory as it is used */

	if (!p)
		bench_die("malloc");
	p->kind = kind;
	p->fd = fd;
	p->len = 0;
	watch(p);
	return p;
}

static void peer_free(struct peer *p)
{
	close(p->fd);
	free(p);
}

static void accept_all(const struct peer *listener)
{
	int one = 1, fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		peer_new(listener->kind == SPOP_LISTENER ? SPOP_PEER : EVENT_SINK, fd);
	}
}

static void discard_lines(struct peer *p)
{
	ssize_t n = recv(p->fd, NULL, (size_t)1 << 20, MSG_TRUNC);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		peer_free(p);
}

/* False: the connection is to be closed, after what w holds has been written. */
static bool answer(struct wr *w, const uint8_t *content, size_t len)
{
	struct spop_hello hello;
	struct spop_frame f;
	size_t begin;

	if (spop_frame(content, len, &f) != SLO_OK)
		return false;
	if (f.type == SPOP_NOTIFY) {
		begin = spop_ack_begin(w, f.stream_id, f.frame_id);
		wr_bytes(w, actions);
		return spop_ack_end(w, begin) == SLO_OK;
	}
	if (f.type == SPOP_HAPROXY_HELLO && spop_hello_decode(&f, &hello) == SPOP_S_NORMAL)
		return spop_agent_hello_encode(w,
		                               hello.max_frame_size < MAX_FRAME
		                                   ? hello.max_frame_size
		                                   : (uint32_t)MAX_FRAME,
		                               "pipelining") == SLO_OK &&
		       !hello.healthcheck;
	(void)!spop_agent_disconnect_encode(w, SPOP_S_NORMAL);
	return false;
}

static void serve(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->len, sizeof(p->in) - p->len, 0);
	size_t used = 0, whole;
	bool open = true;
	struct wr w;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			peer_free(p);
		return;
	}
	p->len += (size_t)n;
	wr_init(&w, out, sizeof(out));
	while (open && spop_peek(p->in + used, p->len - used, MAX_FRAME, &whole) == SLO_OK) {
		open = answer(&w, p->in + used + SPOP_LENGTH_SIZE, whole - SPOP_LENGTH_SIZE);
		used += whole;
	}
	if (used > 0 && used < p->len)
		memmove(p->in, p->in + used, p->len - used);
	p->len -= used;
	/* What was asked is bounded, so the answers fit the socket's buffer. */
	if (wr_len(&w) > 0 && send(p->fd, out, wr_len(&w), MSG_NOSIGNAL) != (ssize_t)wr_len(&w))
		open = false;
	if (!open)
		peer_free(p);
}

static void dispatch(struct peer *p)
{
	switch (p->kind) {
	case SPOP_LISTENER:
	case EVENT_LISTENER:
		accept_all(p);
		break;
	case EVENT_SINK:
		discard_lines(p);
		break;
	case SPOP_PEER:
		serve(p);
		break;
	}
}

/* backend NULL: short. */
static void make_actions(const char *server, const char *backend)
{
	static uint8_t room[SPOP_ACK_MAX];
	struct wr w;

	wr_init(&w, room, sizeof(room));
	if (backend) {
		spop_ack_set_str(&w, "verdict", slice_of("route"));
		spop_ack_set_str(&w, "strategy", slice_of("slo"));
		spop_ack_set_int(&w, "wait_ms", 0);
	}
	spop_ack_set_str(&w, "server", slice_of(server));
	if (backend)
		spop_ack_set_str(&w, "backend", slice_of(backend));
	if (w.bad)
		bench_die("the names are too long");
	actions = (struct slice){ .p = room, .len = wr_len(&w) };
}

int main(int argc, char **argv)
{
	static struct epoll_event events[EVENTS];

	if (argc != 4 && argc != 5) {
		fputs("usage: null_agent SPOP-PORT EVENTS-PORT SERVER [BACKEND]\n", stderr);
		return EXIT_FAILURE;
	}
	make_actions(argv[3], argc == 5 ? argv[4] : NULL);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		bench_die("epoll");
	bench_listen(argv[2], SOCK_DGRAM);
	peer_new(EVENT_LISTENER, bench_listen(argv[2], SOCK_STREAM));
	peer_new(SPOP_LISTENER, bench_listen(argv[1], SOCK_STREAM));
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			dispatch(events[i].data.ptr);
	}
}
