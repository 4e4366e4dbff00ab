/* Whole sessions on the real servers: the input is a program of what several HAProxies, a ring, an
 * operator and the clock do, with frames good and bad, in any pieces and any order.
 *
 * What must hold: each frame of ours is well made; a connection hears HELLO first and nothing after
 * DISCONNECT; where only good frames were sent, each ACK answers one NOTIFY that had none; and when
 * all have left and time has passed, nothing of them is left. */
#include <stdint.h>

#include "inproc.h"

#define PEERS 4
#define ASKED 64 /* NOTIFYs of a connection that are kept track of */
#define IDS   24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct program {
	const uint8_t *p, *end;
};

struct haproxy {
	struct peer peer;
	bool wild; /* it has sent bytes of any kind */
	bool greeted, gone;
	size_t asked;
	bool answered[ASKED]; /* by stream-id */
};

static struct inproc in;
static struct haproxy haproxy[PEERS];
static struct peer ring;
static bool stopped;

static uint8_t byte(struct program *g)
{
	return g->p < g->end ? *g->p++ : 0;
}

/* A length and so many bytes, or what there is. */
static struct slice counted(struct program *g)
{
	size_t n = byte(g), left = (size_t)(g->end - g->p);
	struct slice s = { .p = g->p, .len = n < left ? n : left };

	g->p += s.len;
	return s;
}

/* In pieces of that many bytes, the loop running between them; 0: at once. */
static void send_pieces(struct peer *peer, const uint8_t *data, size_t len, size_t piece)
{
	if (piece == 0)
		piece = len;
	for (size_t at = 0; at < len; at += piece) {
		peer_send(peer, data + at, len - at < piece ? len - at : piece);
		if (piece < len)
			inproc_turn(&in, 1);
	}
}

/* What the agent said */

static void check_ack(struct haproxy *h, const struct spop_frame *f)
{
	char verdict[16];

	if (h->wild) {
		(void)ack_text(f, "verdict", verdict, sizeof(verdict));
		return;
	}
	MUST(h->greeted && f->frame_id == 1 && f->stream_id < h->asked);
	MUST(!h->answered[f->stream_id]);
	MUST(ack_text(f, "verdict", verdict, sizeof(verdict)));
	h->answered[f->stream_id] = true;
}

static void listen_to(struct haproxy *h)
{
	static uint8_t room[1 << 16];
	struct spop_agent_hello hello;
	struct spop_disconnect bye;
	struct spop_frame f;

	while (h->peer.fd >= 0 && peer_frame(&h->peer, room, &f)) {
		MUST(!h->gone);
		if (f.type == SPOP_AGENT_HELLO) {
			MUST(!h->greeted);
			MUST(spop_client_agent_hello_decode(&f, &hello) == SLO_OK);
			h->greeted = true;
		} else if (f.type == SPOP_AGENT_DISCONNECT) {
			MUST(spop_disconnect_decode(&f, &bye) == SLO_OK);
			h->gone = true;
		} else {
			MUST(f.type == SPOP_ACK);
			check_ack(h, &f);
		}
	}
}

static void leave(struct haproxy *h)
{
	peer_close(&h->peer);
	inproc_turn(&in, 1);
}

static void come(struct haproxy *h)
{
	leave(h);
	h->wild = h->greeted = h->gone = false;
	h->asked = 0;
	memset(h->answered, 0, sizeof(h->answered));
	(void)peer_try(&h->peer, &in, "spop");
}

/* What peers do */

static const char *id_of(uint8_t b, char *out, size_t cap)
{
	snprintf(out, cap, b % IDS == 0 ? "%064d" : "id-%d", b % IDS); /* some as long as may be */
	return out;
}

static void notify(struct haproxy *h, struct program *g)
{
	static const char *const models[] = { "m", "m", "m", "nobody", NULL };
	static const char *const strategies[] = {
		NULL, "slo", "random", "slo-pack-load", "slo-least-load", "least-request", "what"
	};
	uint8_t how = byte(g), out[1024];
	const char *model = models[how % 5], *strategy = strategies[how / 5 % 7];
	struct slice body = counted(g);
	struct spop_value v = { .type = SPOP_T_BIN, .s = body };
	char id[80];
	struct wr w;
	size_t begin;

	if (h->asked == ASKED)
		return;
	wr_init(&w, out, sizeof(out));
	begin = spop_client_notify_begin(&w, h->asked++, 1);
	spop_client_message(&w, "slo-route", (uint8_t)(2 + (model != NULL) + (strategy != NULL)));
	spop_client_arg_str(&w, "id", id_of(byte(g), id, sizeof(id)));
	if (model)
		spop_client_arg_str(&w, "model", model);
	if (strategy)
		spop_client_arg_str(&w, "strategy", strategy);
	spop_client_arg(&w, "body", &v);
	MUST(spop_client_notify_end(&w, begin) == SLO_OK);
	send_pieces(&h->peer, out, wr_len(&w), byte(g));
}

static void say(struct haproxy *h, struct program *g, bool hello)
{
	uint8_t how = byte(g), out[512];
	size_t len =
	    hello ? say_hello(out, sizeof(out), how & 1) : say_disconnect(out, sizeof(out));

	send_pieces(&h->peer, out, len, how >> 1);
}

static void say_anything(struct haproxy *h, struct program *g)
{
	struct slice s = counted(g);

	h->wild = true;
	send_pieces(&h->peer, s.p, s.len, byte(g));
}

static void end_request(struct program *g)
{
	uint8_t id = byte(g), server = byte(g), tenths = byte(g), out = byte(g), line[256];
	char name[80];
	int len = snprintf((char *)line, sizeof(line),
	                   "slo1 id=%s be=b srv=s%d st=200 tr=1 ta=%d ts=-- in=3 out=%d\n",
	                   id_of(id, name, sizeof(name)), server % 4, 10 * tenths, out);

	send_pieces(&ring, line, (size_t)len, byte(g));
}

static void write_to_ring(struct program *g)
{
	struct slice s = counted(g);

	send_pieces(&ring, s.p, s.len, byte(g));
}

static void let_time_pass(struct program *g)
{
	static const slo_nsec spans[] = { 1000000,
		                          100 * SLO_NSEC_PER_MSEC,
		                          SLO_NSEC_PER_SEC,
		                          3 * SLO_NSEC_PER_SEC,
		                          31 * SLO_NSEC_PER_SEC,
		                          61 * SLO_NSEC_PER_SEC,
		                          7201 * SLO_NSEC_PER_SEC };

	inproc_pass(&in, spans[byte(g) % (sizeof(spans) / sizeof(spans[0]))]);
}

static void operate(struct program *g)
{
	struct deployment *d = in.agent->models[0]->sched->pool.deployment[0];
	struct seat *seat = d->seats;
	uint8_t what = byte(g);

	if (what % 8 == 7) {
		agent_drain(in.agent);
		spop_server_drain(in.daemon->spop);
	} else if (what % 8 == 6) {
		spop_server_disconnect(in.daemon->spop);
		stopped = true;
	} else {
		if (what % 2)
			seat = seat->next;
		sched_server_usable(in.agent->sched, seat->server, what & 4);
	}
}

static void step(struct program *g)
{
	uint8_t op = byte(g);
	struct haproxy *h = &haproxy[op / 16 % PEERS];

	switch (op % 16) {
	case 0:
		come(h);
		break;
	case 1:
		leave(h);
		break;
	case 2:
		say_anything(h, g);
		break;
	case 3:
		say(h, g, true);
		break;
	case 4:
		say(h, g, false);
		break;
	case 5:
	case 6:
	case 7:
		notify(h, g);
		break;
	case 8:
		let_time_pass(g);
		break;
	case 9:
	case 10:
		end_request(g);
		break;
	case 11:
		write_to_ring(g);
		break;
	case 12:
		operate(g);
		break;
	case 13:
		peer_close(&ring);
		(void)peer_try(&ring, &in, "events");
		break;
	case 14:
		listen_to(h);
		break;
	default:
		inproc_turn(&in, 2);
		break;
	}
}

static void remove_files(void)
{
	inproc_close(&in);
}

static void set_up(void)
{
	static bool done;

	inproc_clock = 1000 * SLO_NSEC_PER_SEC; /* no timer is running */
	stopped = false;
	if (!done) {
		done = true;
		inproc_open(&in);
		inproc_write_conf(
		    &in, ",\"queue_limit\":6,\"default_model\":\"m\"",
		    ",\"output_buffer\":\"4k\",\"spop_frame_size\":\"2k\","
		    "\"idle_timeout\":\"60s\",\"frames_in_flight\":8,\"end_line_length\":256,"
		    "\"id_length\":64,\"spop_connections\":3,\"event_connections\":2,"
		    "\"remember_limit\":16",
		    ",\"log\":{\"level\":\"debug\"}");
		atexit(remove_files);
	}
	inproc_start(&in);
	for (int i = 0; i < PEERS; i++)
		haproxy[i].peer.fd = -1;
	ring.fd = -1;
	peer_open(&ring, &in, "events");
	inproc_turn(&in, 1);
}

static void tear_down(void)
{
	struct sched_counts c;

	inproc_turn(&in, 3);
	for (int i = 0; i < PEERS; i++) {
		listen_to(&haproxy[i]);
		leave(&haproxy[i]);
	}
	peer_close(&ring);
	inproc_turn(&in, 3);
	sched_check(in.agent->sched);
	c = sched_counts(in.agent->sched);
	MUST(c.queued == 0 && c.remembered <= 16);
	MUST(in.agent->stats.spop_connections == 0 && in.agent->stats.event_connections == 0);
	inproc_pass(&in, 3 * 3600 * SLO_NSEC_PER_SEC);
	MUST(sched_counts(in.agent->sched).dispatched == 0);
	sched_check(in.agent->sched);
	inproc_stop(&in);
	(void)inproc_log(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program g = { data, data + size };

	set_up();
	while (g.p < g.end)
		step(&g);
	tear_down();
	return 0;
}
