/* inproc.h - the daemon but for main.c, in one process with its peers: daemon.c itself, with the
 * real connections, servers, agent and loop, on unix sockets, and a clock that stands still until
 * it is told. So a run is the same each time. One .c file of a program includes this; what must
 * hold aborts. */
#ifndef SLO_TESTS_INPROC_H
#define SLO_TESTS_INPROC_H

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/config_load.h"
#include "io/daemon.h"
#include "spop_client.h"

#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

/* Time */

static slo_nsec inproc_clock = 1000 * SLO_NSEC_PER_SEC;
static slo_nsec inproc_tick; /* that passes with each look at the clock */

/* In the place of libc's: for libev too, whose timers go by it. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	inproc_clock += inproc_tick;
	ts->tv_sec = inproc_clock / SLO_NSEC_PER_SEC;
	ts->tv_nsec = inproc_clock % SLO_NSEC_PER_SEC;
	return 0;
}

/* The agent */

struct inproc {
	char dir[64], conf_path[80];
	struct ev_loop *loop;
	struct log log;
	int log_out; /* what was logged, to read */
	struct daemon *daemon;
	struct agent *agent; /* the daemon's */
};

#define INPROC_CONF                                                                           \
	"{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"   \
	"\"models\":{\"m\":{\"backend\":\"b\",\"deployments\":{\"d\":{\"profile\":\"given\"," \
	"\"servers\":[\"s1\","                                                                \
	"\"s2\"]}}}},\"routing\":{\"seed\":1%s},\"limits\":{\"hello_timeout\":\"2s\"%s}%s}"

/* The whole configuration. */
static inline void inproc_write_text(const struct inproc *p, const char *text)
{
	FILE *f = fopen(p->conf_path, "w");

	MUST(f);
	fputs(text, f);
	MUST(fclose(f) == 0);
}

static inline void inproc_write_conf(const struct inproc *p, const char *routing,
                                     const char *limits, const char *more)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), INPROC_CONF, routing, limits, more);

	MUST(n > 0 && (size_t)n < sizeof(text));
	inproc_write_text(p, text);
}

/* Each server holds one request, and no request is ever late. */
static inline struct profile *inproc_profile(double created)
{
	static double axis[] = { 1 }, tputs[] = { 2 }, e2e[] = { .5 };
	struct slo_profile_doc doc = {
		.rows = 1,
		.cols = 1,
		.output_axis = axis,
		.input_axis = axis,
		.tputs = tputs,
		.e2e = e2e,
		.created = created,
		.slo_e2e = 1e6,
	};

	return profile_new(&doc);
}

static inline void inproc_open(struct inproc *p)
{
	const char *tmp = getenv("TMPDIR");
	int fds[2];

	memset(p, 0, sizeof(*p));
	if (!tmp || strlen(tmp) > 40)
		tmp = "/tmp";
	snprintf(p->dir, sizeof(p->dir), "%s/inproc.XXXXXX", tmp);
	MUST(mkdtemp(p->dir));
	snprintf(p->conf_path, sizeof(p->conf_path), "%s/slo.json", p->dir);
	MUST(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
	log_init(&p->log, LOG_INFO, NULL);
	if (p->log.own_fd)
		close(p->log.fd);
	p->log.fd = fds[1];
	p->log.own_fd = true;
	p->log.is_socket = p->log.may_block = false;
	p->log_out = fds[0];
	p->loop = ev_loop_new(EVFLAG_AUTO);
	MUST(p->loop);
}

/* After inproc_open() and inproc_write_conf(). */
static inline void inproc_start(struct inproc *p)
{
	struct doc_error err;
	struct config *conf = config_load(p->conf_path, &err);

	if (!conf)
		fprintf(stderr, "%s\n", err.message);
	MUST(conf);
	p->daemon = daemon_new(p->loop, &p->log, conf, p->conf_path, NULL);
	MUST(p->daemon);
	p->agent = p->daemon->agent;
	for (size_t i = 0; i < p->agent->model_count; i++) {
		struct pool *pool = &p->agent->models[i]->sched->pool;

		for (size_t d = 0; d < pool->deployments; d++)
			MUST(sched_profile_set(p->agent->sched, pool->deployment[d],
			                       inproc_profile(1)) == SLO_OK);
	}
}

static inline void inproc_remove(const struct inproc *p, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	(void)remove(path);
}

static inline void inproc_stop(struct inproc *p)
{
	daemon_free(p->daemon);
	inproc_remove(p, "spop");
	inproc_remove(p, "events");
}

static inline void inproc_close(struct inproc *p)
{
	ev_loop_destroy(p->loop);
	log_fini(&p->log);
	close(p->log_out);
	unlink(p->conf_path);
	MUST(rmdir(p->dir) == 0); /* nothing else is left in it */
}

/* profiles/m/d.json, which says the same as inproc_profile(). */
static inline void inproc_write_profile(const struct inproc *p, int created)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/profiles", p->dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/profiles/m", p->dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/profiles/m/d.json", p->dir);
	file = fopen(path, "w");
	MUST(file);
	fprintf(file,
	        "{\"gpu\":\"d\",\"cost\":1,\"tputs\":[[2]],\"indexes\":[[1],[1]],\"e2e\":[[0.5]],"
	        "\"created\":%d,\"slos\":{\"percentile\":99,\"e2e\":1000000}}",
	        created);
	MUST(fclose(file) == 0);
}

static inline void inproc_remove_profile(const struct inproc *p)
{
	inproc_remove(p, "profiles/m/d.json");
	inproc_remove(p, "profiles/m");
	inproc_remove(p, "profiles");
}

/* Lets the loop see and do what there is; 3 turns carry a question in and its answer out. */
static inline void inproc_turn(struct inproc *p, int turns)
{
	while (turns-- > 0)
		ev_run(p->loop, EVRUN_NOWAIT);
}

static inline void inproc_pass(struct inproc *p, slo_nsec span)
{
	inproc_clock += span;
	inproc_turn(p, 2);
}

/* What was logged since the last call. */
static inline const char *inproc_log(struct inproc *p)
{
	static char text[1 << 16];
	ssize_t n = read(p->log_out, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static inline bool inproc_logged(struct inproc *p, const char *what)
{
	return strstr(inproc_log(p), what) != NULL;
}

/* A peer */

struct peer {
	int fd;     /* -1: closed by us */
	bool ended; /* by the agent */
	size_t len; /* read and not yet taken */
	uint8_t in[1 << 16];
};

/* False: nobody listens any more. */
static inline bool peer_try(struct peer *peer, const struct inproc *p, const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	peer->len = 0;
	peer->ended = false;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", p->dir, name);
	peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(peer->fd >= 0);
	if (connect(peer->fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
		return true;
	close(peer->fd);
	peer->fd = -1;
	return false;
}

static inline void peer_open(struct peer *peer, const struct inproc *p, const char *name)
{
	MUST(peer_try(peer, p, name));
}

static inline void peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
}

/* sendmsg, because tests replace send. */
static inline void peer_send(struct peer *peer, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (len > 0 && peer->fd >= 0 && sendmsg(peer->fd, &m, MSG_NOSIGNAL) < 0)
		MUST(errno == EPIPE || errno == ECONNRESET || errno == EAGAIN);
}

static inline void peer_pull(struct peer *peer)
{
	ssize_t n = 1;

	while (n > 0 && peer->fd >= 0 && peer->len < sizeof(peer->in)) {
		n = read(peer->fd, peer->in + peer->len, sizeof(peer->in) - peer->len);
		if (n > 0)
			peer->len += (size_t)n;
		else
			peer->ended |= n == 0 || errno != EAGAIN;
	}
}

/* Takes the next whole frame, which the agent must have made well. */
static inline bool peer_frame(struct peer *peer, uint8_t *room, struct spop_frame *f)
{
	size_t whole;
	slo_err err;

	peer_pull(peer);
	err = spop_peek(peer->in, peer->len, sizeof(peer->in) - SPOP_LENGTH_SIZE, &whole);
	if (err == SLO_ESHORT)
		return false;
	MUST(err == SLO_OK);
	memcpy(room, peer->in + SPOP_LENGTH_SIZE, whole - SPOP_LENGTH_SIZE);
	MUST(spop_frame(room, whole - SPOP_LENGTH_SIZE, f) == SLO_OK);
	peer->len -= whole;
	/* Valgrind takes memmove()'s fortified form for memcpy(). */
	for (size_t i = 0; i < peer->len; i++)
		peer->in[i] = peer->in[whole + i];
	return true;
}

/* The text variable of an ACK, copied to out; false: it has none of that name. */
static inline bool ack_text(const struct spop_frame *f, const char *name, char *out, size_t cap)
{
	struct spop_client_var var;
	bool found = false;
	struct rd r;

	rd_init(&r, f->payload);
	while (spop_client_var_next(&r, &var)) {
		if (!slice_eq(var.name, name) || var.value.type != SPOP_T_STR)
			continue;
		snprintf(out, cap, "%.*s", (int)var.value.s.len, (const char *)var.value.s.p);
		found = true;
	}
	MUST(!r.bad);
	return found;
}

/* What HAProxy says; each returns how many bytes it wrote. */

static inline size_t say_hello(uint8_t *out, size_t cap, bool healthcheck)
{
	struct spop_client_hello h = { "2.0", 16380, "pipelining,async", "engine", healthcheck };
	struct wr w;

	wr_init(&w, out, cap);
	MUST(spop_client_hello_encode(&w, &h) == SLO_OK);
	return wr_len(&w);
}

static inline size_t say_disconnect(uint8_t *out, size_t cap)
{
	struct wr w;

	wr_init(&w, out, cap);
	MUST(spop_client_disconnect_encode(&w, SPOP_S_NORMAL) == SLO_OK);
	return wr_len(&w);
}

static inline size_t say_notify(uint8_t *out, size_t cap, uint64_t stream, const char *id,
                                const char *model)
{
	struct wr w;
	size_t begin;

	wr_init(&w, out, cap);
	begin = spop_client_notify_begin(&w, stream, 1);
	spop_client_message(&w, "slo-route", 2);
	spop_client_arg_str(&w, "id", id);
	spop_client_arg_str(&w, "model", model);
	MUST(spop_client_notify_end(&w, begin) == SLO_OK);
	return wr_len(&w);
}

static inline size_t say_end(uint8_t *out, size_t cap, const char *id)
{
	return (size_t)snprintf((char *)out, cap,
	                        "slo1 id=%s be=b st=200 tr=1 ta=2 ts=-- rc=0 err=-\n", id);
}

/* Both sides of it */

/* HELLO, and its answer. */
static inline void peer_greet(struct peer *peer, struct inproc *p)
{
	uint8_t hello[256], room[512];
	struct spop_frame frame;

	peer_open(peer, p, "spop");
	peer_send(peer, hello, say_hello(hello, sizeof(hello), false));
	inproc_turn(p, 4);
	MUST(peer_frame(peer, room, &frame));
	MUST(frame.type == SPOP_AGENT_HELLO);
}

/* The server that is chosen for model m's request r<number>; "": none. */
static inline void peer_route(struct peer *peer, struct inproc *p, unsigned int number,
                              char server[32])
{
	uint8_t data[512], room[512];
	struct spop_frame frame;
	char id[16];

	snprintf(id, sizeof(id), "r%u", number);
	peer_send(peer, data, say_notify(data, sizeof(data), number, id, "m"));
	inproc_turn(p, 3);
	MUST(peer_frame(peer, room, &frame));
	MUST(frame.type == SPOP_ACK);
	if (!ack_text(&frame, "server", server, 32))
		server[0] = '\0';
}

#endif
