/* load.c - HTTP load with open arrivals, clients that leave in the middle, and a strict judge.
 *
 * Arrivals are a Poisson process that does not wait for answers (--rate), part of each second's
 * requests come at once (--burst), or so many clients ask again and again (--clients), which
 * finds the machine's rate. Every request has a connection of its own. An answer is good when it
 * is a whole 200 that comes from the server which the agent chose; everything else is told by
 * cause. Totals are printed as a line of JSON every --report seconds and at the end, the first
 * few losses in words on stderr. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_answer.h"

#define PATIENCE    60.0 /* seconds for one answer */
#define REQUEST_MAX 16384
#define LONG_ANSWER 2000 /* tokens, for who leaves before its end */
#define TOLD_MAX    20   /* losses told in words */

enum leave { STAY, LEAVE_WAITING, LEAVE_STREAMING };

enum cause {
	LOST_CONNECT,
	LOST_CUT,
	LOST_STATUS,
	LOST_MISROUTED,
	LOST_UNROUTED,
	LOST_LATE,
	CAUSES
};
static const char *const cause_name[CAUSES] = { "connect",   "cut",      "status",
	                                        "misrouted", "unrouted", "late" };

struct totals {
	uint64_t sent, good, delayed, spoe_errors;
	uint64_t lost[CAUSES];
	uint64_t left_waiting[2], left_streaming[2]; /* by FIN, by RST */
	int64_t ptime_max;                           /* ms that the agent took, longest */
	double took_sum, took_max;                   /* seconds, of good ones */
};

struct client {
	struct load *load;
	int fd;
	bool by_reset;
	enum leave leave;
	uint64_t leave_after; /* bytes of the answer's body */
	double began;
	ev_io io;
	ev_timer timer; /* when it leaves, or when we give up */
	struct answer answer;
	size_t request_len, request_sent;
	struct client *spare;
	char request[REQUEST_MAX];
};

struct load {
	struct ev_loop *loop;
	struct sockaddr_in to;
	double rate, seconds, report, aborts; /* aborts: share of clients */
	double began, next, burst_at;
	uint32_t clients, max_open, open, burst;
	uint64_t seed;
	bool over;
	ev_timer arrival, reporter;
	ev_signal term;
	struct client *spare;
	struct totals totals;
};

/* splitmix64 */
static uint64_t draw(struct load *l)
{
	uint64_t z = l->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static double draw_unit(struct load *l)
{
	return (double)(draw(l) >> 11) * 0x1p-53;
}

static void print_totals(const struct load *l, bool final)
{
	const struct totals *t = &l->totals;

	printf("{\"final\":%s,\"seconds\":%.3f,\"open\":%" PRIu32 ",\"sent\":%" PRIu64
	       ",\"good\":%" PRIu64 ",\"delayed\":%" PRIu64 ",\"spoe_errors\":%" PRIu64
	       ",\"ptime_max_ms\":%" PRId64 ",\"took_mean\":%.6f,\"took_max\":%.6f",
	       final ? "true" : "false", ev_time() - l->began, l->open, t->sent, t->good,
	       t->delayed, t->spoe_errors, t->ptime_max,
	       t->good ? t->took_sum / (double)t->good : 0., t->took_max);
	printf(",\"left_waiting\":[%" PRIu64 ",%" PRIu64 "],\"left_streaming\":[%" PRIu64
	       ",%" PRIu64 "],\"lost\":{",
	       t->left_waiting[0], t->left_waiting[1], t->left_streaming[0], t->left_streaming[1]);
	for (int i = 0; i < CAUSES; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", cause_name[i], t->lost[i]);
	printf("}}\n");
	fflush(stdout);
}

static void new_request(struct load *l);

/* Clients of a closed loop ask again; the last one of all ends the run. */
static void client_gone(struct load *l)
{
	l->open--;
	if (l->over && l->open == 0)
		ev_break(l->loop, EVBREAK_ALL);
	else if (!l->over && l->clients)
		new_request(l);
}

static void client_end(struct client *c, bool reset)
{
	struct load *l = c->load;
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	ev_io_stop(l->loop, &c->io);
	ev_timer_stop(l->loop, &c->timer);
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(c->fd);
	c->spare = l->spare;
	l->spare = c;
	client_gone(l);
}

static void lose(struct client *c, enum cause cause, const char *detail)
{
	struct totals *t = &c->load->totals;
	uint64_t lost = 0;

	t->lost[cause]++;
	for (int i = 0; i < CAUSES; i++)
		lost += t->lost[i];
	if (lost <= TOLD_MAX)
		fprintf(stderr, "load: %.3f s, after %.3f s: lost, %s: %s; status %d, %s\n",
		        ev_time() - c->load->began, ev_time() - c->began, cause_name[cause], detail,
		        c->answer.status, c->answer.head);
	client_end(c, true);
}

static void leave_now(struct client *c)
{
	struct totals *t = &c->load->totals;

	if (c->answer.status)
		t->left_streaming[c->by_reset]++;
	else
		t->left_waiting[c->by_reset]++;
	client_end(c, c->by_reset);
}

static void judge(struct client *c)
{
	struct totals *t = &c->load->totals;
	const struct answer *a = &c->answer;
	double took = ev_time() - c->began;

	if (a->spoe_error)
		t->spoe_errors++;
	if (a->ptime_ms > t->ptime_max)
		t->ptime_max = a->ptime_ms;
	if (a->status != 200) {
		lose(c, LOST_STATUS, "not 200");
	} else if (!a->routed) {
		lose(c, LOST_UNROUTED, "the agent did not route it");
	} else if (strcmp(a->chosen, a->by) != 0) {
		lose(c, LOST_MISROUTED, "another server answered");
	} else {
		t->good++;
		t->took_sum += took;
		t->took_max = fmax(t->took_max, took);
		client_end(c, false);
	}
}

static void on_time(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct client *c = w->data;

	if (c->leave == LEAVE_WAITING)
		leave_now(c);
	else
		lose(c, LOST_LATE, "no end in time");
}

static void send_more(struct client *c)
{
	size_t left = c->request_len - c->request_sent;
	ssize_t n = send(c->fd, c->request + c->request_sent, left, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lose(c, c->request_sent ? LOST_CUT : LOST_CONNECT, strerror(errno));
		return;
	}
	c->request_sent += n > 0 ? (size_t)n : 0;
	if (c->request_sent < c->request_len)
		return;
	ev_io_stop(c->load->loop, &c->io);
	ev_io_set(&c->io, c->fd, EV_READ);
	ev_io_start(c->load->loop, &c->io);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	static char data[65536];
	struct client *c = w->data;
	ssize_t n;

	if (revents & EV_WRITE) {
		send_more(c);
		return;
	}
	n = recv(c->fd, data, sizeof(data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lose(c, LOST_CUT, n < 0 ? strerror(errno) : "closed before the end");
		return;
	}
	if (!answer_take(&c->answer, data, (size_t)n))
		lose(c, LOST_CUT, "not HTTP");
	else if (c->answer.whole)
		judge(c);
	else if (c->leave == LEAVE_STREAMING && c->answer.body >= c->leave_after)
		leave_now(c);
}

/* A third each of 0.1, 2 and 12 KB; half of them streams. */
static void write_request(struct client *c)
{
	static const unsigned int sizes[] = { 20, 2000, 12000 };
	struct load *l = c->load;
	unsigned int text = sizes[draw(l) % 3], tokens = 4 + (unsigned int)(draw(l) % 12), len;
	bool stream = draw(l) % 2 || c->leave == LEAVE_STREAMING;
	char body[14000];

	if (c->leave != STAY)
		tokens = LONG_ANSWER;
	len = (unsigned int)snprintf(
	    body, sizeof(body),
	    "{\"model\":\"llama2-7b\",\"stream\":%s,\"max_tokens\":%u,\"prompt\":\"%0*d\"}",
	    stream ? "true" : "false", tokens, (int)text, 7);
	c->request_len = (size_t)snprintf(
	    c->request, sizeof(c->request),
	    "POST /v1/completions HTTP/1.1\r\nHost: load\r\nConnection: close\r\n"
	    "Content-Type: application/json\r\nContent-Length: %u\r\nx-demo-output-tokens: %u\r\n"
	    "x-demo-prompt-tokens: 16\r\nx-slo-max-tokens: %u\r\n\r\n%s",
	    len, tokens, tokens, body);
	assert(c->request_len < sizeof(c->request));
}

static void choose_leave(struct client *c)
{
	struct load *l = c->load;

	c->leave = STAY;
	if (draw_unit(l) >= l->aborts)
		return;
	c->leave = draw(l) % 2 ? LEAVE_WAITING : LEAVE_STREAMING;
	c->by_reset = draw(l) % 2;
	c->leave_after = 1 + draw(l) % 4000;
}

static struct client *client_new(struct load *l)
{
	struct client *c = l->spare;

	if (c) {
		l->spare = c->spare;
	} else {
		c = malloc(sizeof(*c));
		if (!c) {
			fprintf(stderr, "load: out of memory\n");
			exit(1);
		}
	}
	c->load = l;
	c->request_sent = 0;
	c->began = ev_time();
	answer_init(&c->answer);
	choose_leave(c);
	write_request(c);
	return c;
}

static void new_request(struct load *l)
{
	struct client *c = client_new(l);
	/* While it is held, waits for its headers, or so late that it never happens. */
	double leave_in = 0.05 * draw_unit(l);

	l->open++;
	l->totals.sent++;
	ev_timer_init(&c->timer, on_time, c->leave == LEAVE_WAITING ? leave_in : PATIENCE, 0.);
	c->timer.data = c;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ev_io_init(&c->io, on_io, c->fd, EV_WRITE);
	c->io.data = c;
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&l->to, sizeof(l->to)) != 0 &&
	                  errno != EINPROGRESS)) {
		fprintf(stderr, "load: cannot connect: %s\n", strerror(errno));
		exit(1);
	}
	ev_timer_start(l->loop, &c->timer);
	ev_io_start(l->loop, &c->io);
}

/* Arrivals */

static void no_more(struct load *l)
{
	if (l->over)
		return;
	l->over = true;
	ev_timer_stop(l->loop, &l->arrival);
	if (l->open == 0)
		ev_break(l->loop, EVBREAK_ALL);
}

static void start_due(struct load *l, double now)
{
	while (l->next <= now) {
		if (l->open >= l->max_open) {
			/* Never more than HAProxy and our descriptors take: they come later. */
			l->totals.delayed++;
			l->next = now + 0.001;
			return;
		}
		new_request(l);
		l->next -= log(1. - draw_unit(l)) / (l->rate - l->burst);
	}
}

static void on_arrival(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct load *l = w->data;
	double now;

	ev_now_update(loop);
	now = ev_now(loop);
	if (now >= l->began + l->seconds) {
		no_more(l);
		return;
	}
	if (!l->clients)
		start_due(l, now);
	if (l->burst && now >= l->burst_at) {
		l->burst_at += 1.;
		for (uint32_t i = 0; i < l->burst && l->open < l->max_open; i++)
			new_request(l);
	}
	ev_timer_set(w, l->clients ? 0.05 : fmax(l->next - now, 0.0005), 0.);
	ev_timer_start(loop, w);
}

static void on_report(struct ev_loop *loop, ev_timer *w, int revents)
{
	print_totals(w->data, false);
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	no_more(w->data);
}

static void run(struct load *l)
{
	l->loop = ev_default_loop(EVFLAG_AUTO);
	l->began = l->next = l->burst_at = ev_now(l->loop);
	ev_timer_init(&l->arrival, on_arrival, 0., 0.);
	ev_timer_init(&l->reporter, on_report, l->report, l->report);
	ev_signal_init(&l->term, on_term, SIGTERM);
	l->arrival.data = l->reporter.data = l->term.data = l;
	ev_timer_start(l->loop, &l->arrival);
	ev_timer_start(l->loop, &l->reporter);
	ev_signal_start(l->loop, &l->term);
	for (uint32_t i = 0; i < l->clients; i++)
		new_request(l);
	ev_run(l->loop, 0);
	print_totals(l, true);
	while (l->spare) {
		struct client *c = l->spare;

		l->spare = c->spare;
		free(c);
	}
}

static bool set_option(struct load *l, int opt, const char *arg)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= 0. && v < 1e9))
		return false;
	switch (opt) {
	case 'p':
		l->to.sin_port = htons((uint16_t)v);
		break;
	case 'r':
		l->rate = v;
		break;
	case 'c':
		l->clients = (uint32_t)v;
		break;
	case 'b':
		l->burst = (uint32_t)v;
		break;
	case 's':
		l->seconds = v;
		break;
	case 'a':
		l->aborts = v;
		break;
	case 'o':
		l->max_open = (uint32_t)v;
		break;
	case 'i':
		l->report = v;
		break;
	case 'n':
		l->seed = (uint64_t)v;
		break;
	default:
		return false;
	}
	return true;
}

static bool parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "rate", required_argument, NULL, 'r' },
		{ "clients", required_argument, NULL, 'c' },
		{ "burst", required_argument, NULL, 'b' },
		{ "seconds", required_argument, NULL, 's' },
		{ "aborts", required_argument, NULL, 'a' },
		{ "max-open", required_argument, NULL, 'o' },
		{ "report", required_argument, NULL, 'i' },
		{ "seed", required_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (opt == '?' || !set_option(l, opt, optarg))
			return false;
	return optind == argc && l->to.sin_port && l->report > 0. &&
	       (l->clients || l->rate > l->burst);
}

int main(int argc, char **argv)
{
	struct load l = {
		.to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		.seconds = 10.,
		.report = 1.,
		.max_open = 1000,
		.seed = 1,
	};
	struct rlimit lim;

	if (!parse(&l, argc, argv)) {
		fprintf(stderr,
		        "usage: load --port PORT (--rate PER_SECOND [--burst N] | --clients N)\n"
		        "  [--seconds 10] [--aborts SHARE] [--max-open 1000] [--report SECONDS]\n"
		        "  [--seed N]\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	run(&l);
	return 0;
}
