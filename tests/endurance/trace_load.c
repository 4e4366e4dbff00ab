/* trace_load.c - an open-loop client: sends what a trace says when it says so, whoever waits.
 *
 * A trace has lines "t,input,output" in order of time, as slo-sim reads and writes them. A request
 * is due at t / compress seconds and has a connection of its own; its latency counts from then, not
 * from when we got round to it. Its body is as long as its prompt tokens, which headers tell
 * exactly. What became of each request is written as CSV, times in seconds of our clock. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_answer.h"

#define TOKEN_TEXT      "word"
#define BYTES_PER_TOKEN 4
#define REQUEST_EXTRA   1024 /* head and JSON around the prompt */
#define START_AFTER     0.2  /* seconds */
#define TOKENS_MAX      1000000

struct client {
	struct run *run;
	int fd;
	ev_io io;
	char *request;
	size_t len, sent;
	struct answer answer;
};

struct item {
	double t; /* of the trace */
	uint32_t input, output;
	double due, began, ended; /* ended 0: no whole answer */
	int status;
	char server[ANSWER_NAME_MAX]; /* that answered */
	struct client *client;        /* while it is on its way */
};

struct run {
	struct ev_loop *loop;
	struct sockaddr_in to;
	const char *trace, *out;
	double compress, patience;
	struct item *items;
	size_t count, next, open;
	ev_timer arrival, end;
};

static void client_end(struct run *r, struct item *it)
{
	struct client *c = it->client;

	ev_io_stop(r->loop, &c->io);
	close(c->fd);
	free(c->request);
	free(c);
	it->client = NULL;
	r->open--;
	if (r->open == 0 && r->next == r->count)
		ev_break(r->loop, EVBREAK_ALL);
}

static void send_more(struct run *r, struct item *it)
{
	struct client *c = it->client;
	ssize_t n = send(c->fd, c->request + c->sent, c->len - c->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		client_end(r, it);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent < c->len)
		return;
	ev_io_stop(r->loop, &c->io);
	ev_io_set(&c->io, c->fd, EV_READ);
	ev_io_start(r->loop, &c->io);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	static char data[65536];
	struct item *it = w->data;
	struct client *c = it->client;
	ssize_t n;

	if (revents & EV_WRITE) {
		send_more(c->run, it);
		return;
	}
	n = recv(c->fd, data, sizeof(data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !answer_take(&c->answer, data, (size_t)n)) {
		client_end(c->run, it);
	} else if (c->answer.whole) {
		it->status = c->answer.status;
		it->ended = ev_time();
		memcpy(it->server, c->answer.by, sizeof(it->server));
		client_end(c->run, it);
	}
}

/* Without a limit of output tokens, as the simulation asks. */
static bool write_request(struct client *c, const struct item *it)
{
	static const char before[] = "{\"model\":\"llama2-7b\",\"messages\":[{\"role\":\"user\","
				     "\"content\":\"",
			  after[] = "\"}]}";
	size_t text = (size_t)it->input * BYTES_PER_TOKEN, size = text + REQUEST_EXTRA;
	int n;

	c->request = malloc(size);
	if (!c->request)
		return false;
	n = snprintf(c->request, size,
	             "POST /v1/chat/completions HTTP/1.1\r\nHost: load\r\nConnection: close\r\n"
	             "Content-Type: application/json\r\nContent-Length: %zu\r\n"
	             "x-demo-prompt-tokens: %u\r\nx-demo-output-tokens: %u\r\n"
	             "x-slo-prompt-tokens: %u\r\n\r\n%s",
	             sizeof(before) - 1 + text + sizeof(after) - 1, it->input, it->output,
	             it->input, before);
	c->len = (size_t)n;
	for (uint32_t i = 0; i < it->input; i++, c->len += BYTES_PER_TOKEN)
		memcpy(c->request + c->len, TOKEN_TEXT, BYTES_PER_TOKEN);
	memcpy(c->request + c->len, after, sizeof(after) - 1);
	c->len += sizeof(after) - 1;
	return true;
}

static void die(const char *what)
{
	fprintf(stderr, "trace_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void start(struct run *r, struct item *it)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || !write_request(c, it))
		die("memory");
	c->run = r;
	it->client = c;
	it->began = ev_time();
	answer_init(&c->answer);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    (connect(c->fd, (struct sockaddr *)&r->to, sizeof(r->to)) != 0 && errno != EINPROGRESS))
		die("connect");
	ev_io_init(&c->io, on_io, c->fd, EV_WRITE);
	c->io.data = it;
	ev_io_start(r->loop, &c->io);
	r->open++;
}

static void on_arrival(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct run *r = w->data;

	while (r->next < r->count && r->items[r->next].due <= ev_time())
		start(r, &r->items[r->next++]);
	if (r->next == r->count)
		return;
	ev_now_update(loop);
	ev_timer_set(w, r->items[r->next].due - ev_now(loop), 0.);
	ev_timer_start(loop, w);
}

static void on_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

static void run(struct run *r)
{
	double began = ev_time() + START_AFTER, last = r->items[r->count - 1].t / r->compress;

	for (size_t i = 0; i < r->count; i++)
		r->items[i].due = began + r->items[i].t / r->compress;
	r->loop = ev_default_loop(EVFLAG_AUTO);
	ev_timer_init(&r->arrival, on_arrival, START_AFTER / 2, 0.);
	ev_timer_init(&r->end, on_end, START_AFTER + last + r->patience, 0.);
	r->arrival.data = r->end.data = r;
	ev_timer_start(r->loop, &r->arrival);
	ev_timer_start(r->loop, &r->end);
	ev_run(r->loop, 0);
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].client)
			client_end(r, &r->items[i]);
}

static bool read_trace(struct run *r)
{
	FILE *f = fopen(r->trace, "re");
	size_t room = 0;
	char line[256];

	if (!f)
		die(r->trace);
	while (fgets(line, sizeof(line), f)) {
		struct item it = { 0 };

		if (sscanf(line, "%lf,%" SCNu32 ",%" SCNu32, &it.t, &it.input, &it.output) != 3 ||
		    it.input > TOKENS_MAX)
			break;
		if (r->count == room) {
			room = room ? 2 * room : 1024;
			r->items = reallocarray(r->items, room, sizeof(it));
			if (!r->items)
				die("memory");
		}
		r->items[r->count++] = it;
	}
	if (!feof(f))
		fprintf(stderr, "trace_load: %s: not a trace: %s", r->trace, line);
	else if (fclose(f) == 0)
		return r->count > 0;
	return false;
}

static void write_results(const struct run *r)
{
	FILE *f = fopen(r->out, "we");

	if (!f)
		die(r->out);
	fprintf(f, "t,input,output,status,server,late,latency\n");
	for (size_t i = 0; i < r->count; i++) {
		const struct item *it = &r->items[i];

		fprintf(f, "%.9f,%" PRIu32 ",%" PRIu32 ",%d,%s,%.6f,%.6f\n", it->t, it->input,
		        it->output, it->status, it->server, it->began - it->due,
		        it->ended > 0. ? it->ended - it->due : -1.);
	}
	if (fclose(f) != 0)
		die(r->out);
}

static bool parse(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "trace", required_argument, NULL, 't' },
		{ "compress", required_argument, NULL, 'c' },
		{ "patience", required_argument, NULL, 'w' },
		{ "out", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'p')
			r->to.sin_port = htons((uint16_t)atoi(optarg));
		else if (opt == 't')
			r->trace = optarg;
		else if (opt == 'c')
			r->compress = strtod(optarg, NULL);
		else if (opt == 'w')
			r->patience = strtod(optarg, NULL);
		else if (opt == 'o')
			r->out = optarg;
		else
			return false;
	}
	return optind == argc && r->to.sin_port && r->trace && r->out && r->compress > 0. &&
	       r->patience > 0.;
}

int main(int argc, char **argv)
{
	struct run r = {
		.to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		.compress = 1.,
		.patience = 600.,
	};
	struct rlimit lim;

	if (!parse(&r, argc, argv)) {
		fprintf(stderr,
		        "usage: trace_load --port PORT --trace FILE --out FILE [--compress 1]\n"
		        "  [--patience 600]: seconds after the last arrival\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	if (!read_trace(&r))
		return 1;
	run(&r);
	write_results(&r);
	free(r.items);
	return 0;
}
