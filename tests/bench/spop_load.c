/* spop_load - an SPOP load generator: NOTIFYs as the sample configuration of HAProxy sends them, a
 * window of them on each connection, and an end line for each answered request. Prints one line of
 * JSON. See usage below.
 *
 * It is meant to be cheaper than what it measures: frames are made once, only ids are patched in;
 * one read and one write a wake-up and connection; end lines leave in batches. */
#include <ev.h>
#include <getopt.h>
#include <sys/resource.h>

#include "bench_net.h"
#include "spop_client.h"

#define BODY_MAX      14336 /* what the sample configuration sends of a body */
#define FRAME_MAX     ((size_t)16380)
#define IN_SIZE       ((size_t)65536)
#define NAME_SIZE     64
#define WINDOW_MAX    239 /* a stream-id is one byte then */
#define LINE_MAX_SIZE 512
#define ID_LEN        46
#define DRAIN         10.0 /* seconds, for answers after the last request */

static const char usage[] =
    "usage: spop_load --spop PORT [options]         (on 127.0.0.1)\n"
    "  --connections N   8          --events tcp:PORT | udp:PORT  end lines; default: none\n"
    "  --window N        16         --running N    requests that run before they end, 64\n"
    "  --body FILE | --size N       of the request, default a chat of 90 bytes\n"
    "  --strategy NAME   none       --seconds S | --count N       5 seconds\n"
    "  --warmup S        0.2        --seed N       1; another seed, other ids\n"
    "  --pid PID         of the agent, to tell its CPU time\n";

struct slot {
	int64_t sent; /* when its NOTIFY went out */
	char id[ID_LEN];
};

struct peer {
	ev_io io;
	int fd;
	int writing; /* waits for room in the socket */
	size_t in_len, out_begin, out_end;
	uint8_t *in, *out;
	struct slot *slot; /* one per frame of the window; its index + 1 is the stream-id */
};

/* A request that was answered and has not ended yet. */
struct running {
	char id[ID_LEN];
	char server[NAME_SIZE];
};

/* Log-linear: 16 steps an octave, from 1 us on. */
#define STEPS   16
#define OCTAVES 32

static struct {
	const char *spop, *events, *body_file, *strategy;
	long connections, window, size, running, count, pid;
	double seconds, warmup;
	uint64_t seed;
} opt = { .connections = 8,
	  .window = 16,
	  .size = 90,
	  .running = 64,
	  .seconds = 5,
	  .warmup = 0.2,
	  .seed = 1 };

static struct ev_loop *loop;
static uint8_t frame[FRAME_MAX + SPOP_LENGTH_SIZE];
static size_t frame_len, stream_at, id_at;
static uint64_t issued, outstanding, acked, unnamed, verdicts[5], lines;
static uint64_t latency[STEPS * OCTAVES];
static int64_t started, finished;
static double own_cpu, agent_cpu;
static int stopping;

static struct running *running;
static size_t running_first, running_count;
static int events_fd = -1, events_udp;
static char *line_buf; /* lines of one wake-up */
static size_t line_len, line_cap;
static struct mmsghdr *datagram;
static struct iovec *datagram_iov;
static size_t datagrams;

/* Ids: those of the sample's unique-id-format, all of a run different (splitmix64 is a bijection),
 * those of another seed too. */

static uint64_t next_random(void)
{
	uint64_t z = (opt.seed << 40) + ++issued;

	z *= UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void new_id(char *id)
{
	static const char pattern[] = "7F000001:xxxx_7F000001:1F90_xxxxxxxx_xxxx:04D2";
	uint64_t v = next_random();

	_Static_assert(sizeof(pattern) - 1 == ID_LEN, "the pattern is the id");
	for (size_t i = 0; i < ID_LEN; i++) {
		id[i] = pattern[i];
		if (pattern[i] == 'x') {
			id[i] = "0123456789ABCDEF"[v & 15];
			v >>= 4;
		}
	}
}

/* The frame */

static size_t make_body(uint8_t *body)
{
	static const char head[] = "{\"model\":\"llama2-7b\",\"messages\":[{\"role\":\"user\","
				   "\"content\":\"";
	static const char text[] = "the quick brown fox jumps over the lazy dog ";
	static const char tail[] = "\"}]}";
	size_t len = (size_t)opt.size, n = 0;
	FILE *f;

	if (opt.body_file) {
		f = fopen(opt.body_file, "rb");
		if (!f)
			bench_die(opt.body_file);
		n = fread(body, 1, BODY_MAX, f);
		fclose(f);
		return n;
	}
	if (len < sizeof(head) + sizeof(tail) || len > BODY_MAX)
		bench_die("--size");
	memcpy(body, head, sizeof(head) - 1);
	for (n = sizeof(head) - 1; n < len - (sizeof(tail) - 1); n++)
		body[n] = (uint8_t)text[n % (sizeof(text) - 1)];
	memcpy(body + n, tail, sizeof(tail) - 1);
	return len;
}

/* The arguments of spoe-slo.cfg, in its order; what a client did not send is NULL. */
static void make_frame(void)
{
	static const char *const absent[] = { "slo_e2e_ms", "slo_ttft_ms", "slo_tpot_ms",
		                              "prompt_tokens", "max_tokens" };
	const struct spop_value null = { .type = SPOP_T_NULL };
	struct spop_value v = { .type = SPOP_T_STR };
	static uint8_t body[BODY_MAX];
	char id[ID_LEN + 1] = { 0 }, length[24];
	size_t len = make_body(body), begin;
	struct wr w;

	wr_init(&w, frame, sizeof(frame));
	begin = spop_client_notify_begin(&w, 1, 1);
	stream_at = SPOP_LENGTH_SIZE + 1 + 4;
	spop_client_message(&w, "slo-route", 12);
	memset(id, '-', ID_LEN);
	spop_client_arg_str(&w, "id", id);
	id_at = wr_len(&w) - ID_LEN;
	spop_client_arg_str(&w, "path", "/v1/chat/completions");
	v = (struct spop_value){ .type = SPOP_T_BIN, .s = { body, len } };
	spop_client_arg(&w, "body", &v);
	v = (struct spop_value){ .type = SPOP_T_INT64, .i = (int64_t)len };
	spop_client_arg(&w, "size", &v);
	snprintf(length, sizeof(length), "%zu", len);
	spop_client_arg_str(&w, "clen", length);
	spop_client_arg(&w, "model", &null);
	if (opt.strategy)
		spop_client_arg_str(&w, "strategy", opt.strategy);
	else
		spop_client_arg(&w, "strategy", &null);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		spop_client_arg(&w, absent[i], &null);
	if (spop_client_notify_end(&w, begin) != SLO_OK)
		bench_die("frame");
	frame_len = wr_len(&w);
}

/* End lines */

static void end_one(const struct running *r)
{
	int n;

	n = snprintf(line_buf + line_len, LINE_MAX_SIZE,
	             "slo1 id=%.*s be=llama2-7b srv=%s st=200 tr=12 ta=345 bytes=512 ts=-- in=20 "
	             "out=64\n",
	             ID_LEN, r->id, r->server);
	if (events_udp) {
		datagram_iov[datagrams] = (struct iovec){ line_buf + line_len, (size_t)n };
		datagrams++;
	}
	line_len += (size_t)n;
	lines++;
}

/* These sockets block: the agent always reads. */
static void send_lines(void)
{
	size_t sent = 0;

	while (!events_udp && sent < line_len) {
		ssize_t n = send(events_fd, line_buf + sent, line_len - sent, MSG_NOSIGNAL);

		if (n <= 0)
			bench_die("end lines");
		sent += (size_t)n;
	}
	sent = 0;
	while (sent < datagrams) {
		int n = sendmmsg(events_fd, datagram + sent, (unsigned int)(datagrams - sent), 0);

		if (n <= 0)
			bench_die("end lines");
		sent += (size_t)n;
	}
	line_len = datagrams = 0;
}

static void end_oldest(void)
{
	end_one(&running[running_first]);
	running_first = (running_first + 1) % (size_t)opt.running;
	running_count--;
}

static void answered(const struct slot *slot, struct slice server)
{
	struct running *r;

	if (events_fd < 0)
		return;
	if (running_count == (size_t)opt.running)
		end_oldest();
	r = &running[(running_first + running_count) % (size_t)opt.running];
	running_count++;
	memcpy(r->id, slot->id, ID_LEN);
	snprintf(r->server, sizeof(r->server), "%.*s", (int)server.len, (const char *)server.p);
}

/* Measuring */

static void note_latency(int64_t nsec)
{
	uint64_t usec = nsec < 1000 ? 1 : (uint64_t)nsec / 1000;
	unsigned int octave = 63 - (unsigned int)__builtin_clzll(usec);
	uint64_t step = octave >= 4 ? (usec >> (octave - 4)) & 15 : (usec << (4 - octave)) & 15;

	latency[(octave < OCTAVES ? octave : OCTAVES - 1) * STEPS + step]++;
}

static double quantile_us(double q)
{
	uint64_t all = 0, seen = 0;

	for (size_t i = 0; i < STEPS * OCTAVES; i++)
		all += latency[i];
	for (size_t i = 0; i < STEPS * OCTAVES; i++) {
		seen += latency[i];
		if (seen > 0 && (double)seen >= q * (double)all)
			return (double)(UINT64_C(1) << (i / STEPS)) *
			       (1 + (double)(i % STEPS) / STEPS);
	}
	return 0;
}

static double own_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* User and system time of the agent. */
static double agent_seconds(void)
{
	char path[64], text[1024], *p;
	unsigned long utime = 0, stime = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", opt.pid);
	if (opt.pid <= 0 || !(f = fopen(path, "r")))
		return 0;
	p = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &utime,
	                 &stime) != 2)
		utime = stime = 0;
	fclose(f);
	return (double)(utime + stime) / (double)sysconf(_SC_CLK_TCK);
}

static void begin_measuring(void)
{
	acked = unnamed = 0;
	memset(verdicts, 0, sizeof(verdicts));
	memset(latency, 0, sizeof(latency));
	own_cpu = own_seconds();
	agent_cpu = agent_seconds();
	started = bench_nsec();
}

static void end_measuring(void)
{
	if (stopping)
		return;
	stopping = 1;
	finished = bench_nsec();
	own_cpu = own_seconds() - own_cpu;
	agent_cpu = agent_seconds() - agent_cpu;
}

static void report(void)
{
	double took = (double)(finished - started) / 1e9;

	printf("{\"ack_per_s\":%.0f,\"acks\":%lu,\"p50_us\":%.0f,\"p99_us\":%.0f,\"route\":%lu,"
	       "\"fallback\":%lu,\"reject\":%lu,\"pass\":%lu,\"no_verdict\":%lu,\"no_server\":%lu,"
	       "\"lines\":%lu,\"unanswered\":%lu,\"generator_cpu\":%.2f,\"agent_cpu\":%.2f}\n",
	       (double)acked / took, acked, quantile_us(.5), quantile_us(.99), verdicts[0],
	       verdicts[1], verdicts[2], verdicts[3], verdicts[4], unnamed, lines, outstanding,
	       own_cpu / took, agent_cpu / took);
}

/* Connections */

static void notify(struct peer *p, size_t i, int64_t now)
{
	uint8_t *f;

	if (stopping || (opt.count > 0 && issued == (uint64_t)opt.count))
		return;
	if (p->out_end + frame_len > 2 * (size_t)opt.window * frame_len) {
		memmove(p->out, p->out + p->out_begin, p->out_end - p->out_begin);
		p->out_end -= p->out_begin;
		p->out_begin = 0;
	}
	f = p->out + p->out_end;
	memcpy(f, frame, frame_len);
	f[stream_at] = (uint8_t)(i + 1);
	new_id(p->slot[i].id);
	memcpy(f + id_at, p->slot[i].id, ID_LEN);
	p->slot[i].sent = now;
	p->out_end += frame_len;
	outstanding++;
}

static void flush(struct peer *p)
{
	size_t pending = p->out_end - p->out_begin;
	ssize_t n =
	    pending ? send(p->fd, p->out + p->out_begin, pending, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	int wait;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		bench_die("send");
	p->out_begin += n > 0 ? (size_t)n : 0;
	wait = p->out_begin < p->out_end;
	if (!wait)
		p->out_begin = p->out_end = 0;
	if (wait != p->writing) {
		ev_io_stop(loop, &p->io);
		ev_io_set(&p->io, p->fd, EV_READ | (wait ? EV_WRITE : 0));
		ev_io_start(loop, &p->io);
		p->writing = wait;
	}
}

static void on_ack(struct peer *p, const struct spop_frame *f, int64_t now)
{
	static const char *const names[] = { "route", "fallback", "reject", "pass" };
	struct slice server = { NULL, 0 };
	struct spop_client_var var;
	size_t verdict = 4;
	struct rd r;

	if (f->type != SPOP_ACK || f->stream_id < 1 || f->stream_id > (uint64_t)opt.window)
		bench_die("a frame that is no ACK of ours");
	rd_init(&r, f->payload);
	while (spop_client_var_next(&r, &var)) {
		if (slice_eq(var.name, "server"))
			server = var.value.s;
		else if (slice_eq(var.name, "verdict"))
			for (verdict = 0; verdict < 4; verdict++)
				if (slice_eq(var.value.s, names[verdict]))
					break;
	}
	if (r.bad)
		bench_die("a malformed ACK");
	outstanding--;
	if (!stopping) {
		acked++;
		verdicts[verdict]++;
		unnamed += server.len == 0;
		note_latency(now - p->slot[f->stream_id - 1].sent);
	}
	answered(&p->slot[f->stream_id - 1], server);
	notify(p, f->stream_id - 1, now);
}

static void read_acks(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->in_len, IN_SIZE - p->in_len, MSG_DONTWAIT);
	size_t used = 0, whole;
	int64_t now = bench_nsec();
	struct spop_frame f;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		bench_die("the agent closed the connection");
	p->in_len += (size_t)n;
	while (spop_peek(p->in + used, p->in_len - used, FRAME_MAX, &whole) == SLO_OK) {
		if (spop_frame(p->in + used + SPOP_LENGTH_SIZE, whole - SPOP_LENGTH_SIZE, &f) !=
		    SLO_OK)
			bench_die("a malformed frame");
		on_ack(p, &f, now);
		used += whole;
	}
	if (used < p->in_len)
		memmove(p->in, p->in + used, p->in_len - used);
	p->in_len -= used;
}

static void on_io(struct ev_loop *l, ev_io *w, int revents)
{
	struct peer *p = w->data;

	(void)l;
	if (revents & EV_READ)
		read_acks(p);
	flush(p);
	if (line_len > line_cap / 2)
		send_lines();
	if (opt.count > 0 && issued == (uint64_t)opt.count && outstanding == 0)
		end_measuring();
	if (stopping && outstanding == 0)
		ev_break(loop, EVBREAK_ALL);
}

static void before_sleep(struct ev_loop *l, ev_prepare *w, int revents)
{
	(void)l, (void)w, (void)revents;
	send_lines();
}

static void hello(struct peer *p)
{
	const struct spop_client_hello h = { "2.0", FRAME_MAX, "pipelining,async", "bench", false };
	struct spop_agent_hello answer;
	struct spop_frame f;
	size_t whole = 0;
	struct wr w;

	wr_init(&w, p->out, frame_len * 2 * (size_t)opt.window);
	if (spop_client_hello_encode(&w, &h) != SLO_OK ||
	    send(p->fd, p->out, wr_len(&w), MSG_NOSIGNAL) != (ssize_t)wr_len(&w))
		bench_die("HELLO");
	while (spop_peek(p->in, p->in_len, FRAME_MAX, &whole) == SLO_ESHORT) {
		ssize_t n = recv(p->fd, p->in + p->in_len, IN_SIZE - p->in_len, 0);

		if (n <= 0)
			bench_die("no answer to HELLO");
		p->in_len += (size_t)n;
	}
	if (spop_frame(p->in + SPOP_LENGTH_SIZE, whole - SPOP_LENGTH_SIZE, &f) != SLO_OK ||
	    spop_client_agent_hello_decode(&f, &answer) != SLO_OK ||
	    answer.max_frame_size < frame_len - SPOP_LENGTH_SIZE)
		bench_die("the answer to HELLO");
	p->in_len = 0;
}

static void peer_start(struct peer *p)
{
	p->fd = bench_connect(opt.spop, SOCK_STREAM);
	p->in = malloc(IN_SIZE);
	p->out = malloc(2 * (size_t)opt.window * frame_len);
	p->slot = calloc((size_t)opt.window, sizeof(*p->slot));
	if (!p->in || !p->out || !p->slot)
		bench_die("malloc");
	hello(p);
	ev_io_init(&p->io, on_io, p->fd, EV_READ);
	p->io.data = p;
	ev_io_start(loop, &p->io);
}

static void peers_free(struct peer *peers)
{
	for (long i = 0; i < opt.connections; i++) {
		close(peers[i].fd);
		free(peers[i].in);
		free(peers[i].out);
		free(peers[i].slot);
	}
	free(peers);
}

static void events_start(void)
{
	size_t wake = (size_t)(opt.connections * opt.window + opt.running);

	line_cap = 2 * wake * LINE_MAX_SIZE;
	line_buf = malloc(line_cap);
	running = calloc((size_t)opt.running, sizeof(*running));
	datagram = calloc(2 * wake, sizeof(*datagram));
	datagram_iov = calloc(2 * wake, sizeof(*datagram_iov));
	if (!line_buf || !running || !datagram || !datagram_iov)
		bench_die("malloc");
	for (size_t i = 0; i < 2 * wake; i++) {
		datagram[i].msg_hdr.msg_iov = &datagram_iov[i];
		datagram[i].msg_hdr.msg_iovlen = 1;
	}
	if (!opt.events)
		return;
	events_udp = strncmp(opt.events, "udp:", 4) == 0;
	if (!events_udp && strncmp(opt.events, "tcp:", 4) != 0)
		bench_die("--events");
	events_fd = bench_connect(opt.events + 4, events_udp ? SOCK_DGRAM : SOCK_STREAM);
}

static void events_finish(void)
{
	while (running_count > 0) {
		end_oldest();
		if (line_len > line_cap / 2)
			send_lines();
	}
	send_lines();
	if (events_fd >= 0)
		close(events_fd);
	free(line_buf);
	free(running);
	free(datagram);
	free(datagram_iov);
}

/* Timers: the warm-up is over, the time is over, the patience is over. */
static void on_time(struct ev_loop *l, ev_timer *w, int revents)
{
	static int stage;

	(void)revents;
	if (stage == 0)
		begin_measuring();
	else if (stage == 1)
		end_measuring();
	else
		ev_break(l, EVBREAK_ALL);
	ev_timer_set(w, stage == 0 ? opt.seconds : DRAIN, 0.);
	if (stage < 2)
		ev_timer_start(l, w);
	stage++;
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "spop", 1, NULL, 's' },        { "events", 1, NULL, 'e' },
		{ "connections", 1, NULL, 'c' }, { "window", 1, NULL, 'w' },
		{ "body", 1, NULL, 'b' },        { "size", 1, NULL, 'z' },
		{ "strategy", 1, NULL, 'g' },    { "seconds", 1, NULL, 't' },
		{ "count", 1, NULL, 'n' },       { "warmup", 1, NULL, 'u' },
		{ "seed", 1, NULL, 'r' },        { "pid", 1, NULL, 'p' },
		{ "running", 1, NULL, 'l' },     { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.spop = optarg;
			break;
		case 'e':
			opt.events = optarg;
			break;
		case 'c':
			opt.connections = atol(optarg);
			break;
		case 'w':
			opt.window = atol(optarg);
			break;
		case 'b':
			opt.body_file = optarg;
			break;
		case 'z':
			opt.size = atol(optarg);
			break;
		case 'g':
			opt.strategy = optarg;
			break;
		case 't':
			opt.seconds = atof(optarg);
			break;
		case 'n':
			opt.count = atol(optarg);
			break;
		case 'u':
			opt.warmup = atof(optarg);
			break;
		case 'r':
			opt.seed = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			opt.pid = atol(optarg);
			break;
		case 'l':
			opt.running = atol(optarg);
			break;
		default:
			fputs(usage, stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (!opt.spop || opt.connections < 1 || opt.window < 1 || opt.window > WINDOW_MAX ||
	    opt.running < 1) {
		fputs(usage, stderr);
		exit(EXIT_FAILURE);
	}
	if (opt.count > 0)
		opt.warmup = 0;
}

int main(int argc, char **argv)
{
	struct peer *peers;
	ev_prepare prepare;
	ev_timer timer;

	parse(argc, argv);
	loop = ev_default_loop(0);
	peers = calloc((size_t)opt.connections, sizeof(*peers));
	if (!loop || !peers)
		bench_die("start");
	make_frame();
	events_start();
	for (long i = 0; i < opt.connections; i++)
		peer_start(&peers[i]);
	ev_prepare_init(&prepare, before_sleep);
	ev_prepare_start(loop, &prepare);
	ev_timer_init(&timer, on_time, opt.warmup, 0.);
	if (opt.count == 0)
		ev_timer_start(loop, &timer);
	begin_measuring();
	for (long i = 0; i < opt.connections; i++) {
		for (long k = 0; k < opt.window; k++)
			notify(&peers[i], (size_t)k, bench_nsec());
		flush(&peers[i]);
	}
	ev_run(loop, 0);
	events_finish();
	report();
	peers_free(peers);
	return outstanding == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
