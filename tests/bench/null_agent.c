/* null_agent SPOP-PORT EVENTS-PORT SERVER[,SERVER...] [BACKEND] - the least that an SPOE agent can
 * do, as the floor for comparisons: HELLO is answered as it must be, every NOTIFY gets the same ACK
 * (with several servers: theirs in turn, made beforehand). With BACKEND that sets the variables
 * that slo-spoa sets for a routed request, so that HAProxy has the same to do for both; without,
 * only txn.slo.server. Of a NOTIFY only the head is read. One read and one write a wake-up.
 *
 * End lines come as they come to the daemon, over TCP and UDP. TCP bytes are thrown away in the
 * kernel, without a copy; the UDP socket is never read, and the kernel drops what it cannot keep.
 */
#include <sys/epoll.h>

#include "bench_net.h"
#include "wire/spop.h"
#include "wire/spop_hello.h"

#define READ_SIZE   ((size_t)65536)
#define MAX_FRAME   ((size_t)65536)
#define EVENTS      512
#define SERVERS_MAX 16

/* What epoll hands back: a listener, a line sink or an SPOP connection. */
struct peer {
	enum { SPOP_LISTENER, EVENT_LISTENER, EVENT_SINK, SPOP_PEER } kind;
	int fd;
	size_t len;
	uint8_t in[READ_SIZE + MAX_FRAME];
};

static int epoll_fd;
static struct slice actions[SERVERS_MAX]; /* of the ACKs, in turn */
static size_t servers, turn;
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
		wr_bytes(w, actions[turn]);
		turn = turn + 1 < servers ? turn + 1 : 0;
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
static void add_actions(const char *server, const char *backend)
{
	static uint8_t room[SERVERS_MAX][SPOP_ACK_MAX];
	struct wr w;

	if (servers == SERVERS_MAX)
		bench_die("too many servers");
	wr_init(&w, room[servers], sizeof(room[servers]));
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
	actions[servers] = (struct slice){ .p = room[servers], .len = wr_len(&w) };
	servers++;
}

int main(int argc, char **argv)
{
	static struct epoll_event events[EVENTS];

	if (argc != 4 && argc != 5) {
		fputs("usage: null_agent SPOP-PORT EVENTS-PORT SERVER[,SERVER...] [BACKEND]\n",
		      stderr);
		return EXIT_FAILURE;
	}
	for (const char *name = strtok(argv[3], ","); name; name = strtok(NULL, ","))
		add_actions(name, argc == 5 ? argv[4] : NULL);
	if (servers == 0)
		bench_die("no server");
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
