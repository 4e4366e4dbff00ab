/* A handshake over a connection whose reads and writes are cut or fail at every byte, through the
 * real servers. Where HAProxy can go on it notices nothing; where it cannot, its connection ends
 * with a line in the log, and nothing is left of it but what its end line will close. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "failing_io.h"
#include "inproc.h"

#define TURNS_MAX 2000 /* a byte a turn, there and back */

struct fixture {
	struct inproc p;
	struct peer events;
	unsigned int ids; /* used so far */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	MUST(f);
	inproc_open(&f->p);
	inproc_write_conf(&f->p, "", "", ",\"profiles\":{\"dir\":\"profiles\"}");
	inproc_start(&f->p);
	peer_open(&f->events, &f->p, "events");
	inproc_turn(&f->p, 2);
	inproc_log(&f->p);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fault_disarm();
	inproc_stop(&f->p);
	inproc_close(&f->p);
	peer_close(&f->events);
	free(f);
	return 0;
}

static void send_end(struct fixture *f, unsigned int id)
{
	char name[16];
	uint8_t line[128];

	snprintf(name, sizeof(name), "r%06u", id);
	peer_send(&f->events, line, say_end(line, sizeof(line), name));
}

static void end_line(struct fixture *f, unsigned int id)
{
	send_end(f, id);
	inproc_turn(&f->p, 3);
}

static size_t notify(struct fixture *f, uint8_t *out, size_t cap)
{
	char name[16];

	snprintf(name, sizeof(name), "r%06u", ++f->ids);
	return say_notify(out, cap, 7, name, "m");
}

/* Turns the loop until the peer has got n bytes or the connection has ended. */
static void until(struct fixture *f, struct peer *peer, size_t n)
{
	for (int i = 0; i < TURNS_MAX && peer->len < n && !peer->ended; i++) {
		inproc_turn(&f->p, 1);
		peer_pull(peer);
	}
}

/* Under valgrind not each byte. */
static size_t stride(void)
{
	const char *scale = getenv("SLO_TEST_SCALE");

	return scale && strtod(scale, NULL) < 1 ? 11 : 1;
}

struct talk {
	size_t hello, ack, bye; /* bytes received after each step */
	size_t sent;
	bool ended;
	uint8_t got[2048];
};

/* HELLO, NOTIFY, its ACK, DISCONNECT, its answer. want: how many bytes each step brings, NULL: to
 * be found out. release: the server of this request is let go for the ACK to come; 0: it is free.
 */
static void talk(struct fixture *f, const struct talk *want, unsigned int release, struct talk *out)
{
	static struct peer peer;
	uint8_t data[512];
	size_t len;

	memset(out, 0, sizeof(*out));
	peer_open(&peer, &f->p, "spop");
	len = say_hello(data, sizeof(data), false);
	out->sent += len;
	peer_send(&peer, data, len);
	until(f, &peer, want ? want->hello : 1);
	out->hello = peer.len;
	len = notify(f, data, sizeof(data));
	out->sent += len;
	if (!peer.ended)
		peer_send(&peer, data, len);
	if (release) {
		inproc_turn(&f->p, (int)len + 3);
		peer_pull(&peer);
		assert_int_equal(sched_counts(f->p.agent->sched).queued, peer.ended ? 0 : 1);
		end_line(f, release);
	}
	until(f, &peer, want ? want->ack : out->hello + 1);
	out->ack = peer.len;
	len = say_disconnect(data, sizeof(data));
	out->sent += len;
	if (!peer.ended)
		peer_send(&peer, data, len);
	until(f, &peer, want ? want->bye : out->ack + 1);
	out->bye = peer.len;
	until(f, &peer, SIZE_MAX);
	out->ended = peer.ended;
	assert_true(peer.len <= sizeof(out->got));
	memcpy(out->got, peer.in, peer.len);
	peer_close(&peer);
	inproc_turn(&f->p, 3);
}

static void assert_same(const struct talk *want, const struct talk *got)
{
	assert_true(got->ended);
	assert_int_equal(got->hello, want->hello);
	assert_int_equal(got->ack, want->ack);
	assert_int_equal(got->bye, want->bye);
	assert_memory_equal(got->got, want->got, want->bye);
}

static void assert_clean(struct fixture *f)
{
	struct sched_counts c;

	end_line(f, f->ids); /* what was dispatched is closed by its end line, as ever */
	c = sched_counts(f->p.agent->sched);
	assert_int_equal(c.queued, 0);
	assert_int_equal(c.dispatched, 0);
	assert_int_equal(f->p.agent->stats.spop_connections, 0);
	sched_check(f->p.agent->sched);
	inproc_clock += 60 * SLO_NSEC_PER_SEC; /* so that limits of the log hide nothing */
	inproc_turn(&f->p, 1);
}

/* kind at every byte of one direction. */
static void strike_everywhere(struct fixture *f, enum fault_kind kind, bool out)
{
	bool fatal = kind == FAULT_RESET || kind == FAULT_END;
	struct talk want, got;
	size_t bytes;

	talk(f, NULL, 0, &want);
	assert_true(want.ended && want.ack > want.hello && want.bye > want.ack);
	assert_clean(f);
	bytes = out ? want.bye : want.sent;
	if (kind == FAULT_RESET)
		f->p.log.level = LOG_DEBUG; /* between two questions it is no more than that */
	for (size_t at = 0; at < bytes; at += stride()) {
		const char *log;

		inproc_log(&f->p);
		fault_arm(kind, out, at);
		talk(f, &want, 0, &got);
		assert_true(fault.fired);
		fault_disarm();
		log = inproc_log(&f->p);
		if (!fatal)
			assert_same(&want, &got);
		else
			assert_true(got.ended && got.bye <= want.bye);
		if (kind == FAULT_RESET)
			assert_non_null(
			    strstr(log, out ? "spop: write to unix: Connection reset"
			                    : "spop: read from unix: Connection reset"));
		else if (!fatal)
			assert_string_equal(log, "");
		assert_clean(f);
	}
	talk(f, &want, 0, &got);
	assert_same(&want, &got);
	assert_clean(f);
}

#define STRIKES(name, kind)                             \
	static void reads_##name(void **state)          \
	{                                               \
		strike_everywhere(*state, kind, false); \
	}                                               \
	static void writes_##name(void **state)         \
	{                                               \
		strike_everywhere(*state, kind, true);  \
	}
STRIKES(cut_short_at_every_byte_change_nothing, FAULT_SHORT)
STRIKES(of_single_bytes_from_every_byte_on_change_nothing, FAULT_BYTES)
STRIKES(interrupted_at_every_byte_change_nothing, FAULT_EINTR)
STRIKES(that_would_block_at_every_byte_change_nothing, FAULT_EAGAIN)
STRIKES(reset_at_every_byte_end_the_connection_with_a_reason, FAULT_RESET)

static void reads_that_end_at_every_byte_end_the_connection(void **state)
{
	strike_everywhere(*state, FAULT_END, false);
}

static void greet(struct fixture *f, struct peer *peer)
{
	uint8_t data[512];

	peer_open(peer, &f->p, "spop");
	peer_send(peer, data, say_hello(data, sizeof(data), false));
	inproc_turn(&f->p, 3);
}

/* Both servers are taken, so the request is held and its ACK comes when an end line lets it go. */
static void held_strike(struct fixture *f, enum fault_kind kind, bool out)
{
	bool fatal = kind == FAULT_RESET || kind == FAULT_END;
	struct talk want = { 0 }, got;
	static struct peer other;
	size_t bytes = 1;
	uint8_t data[512];

	greet(f, &other);
	for (size_t at = 0; at <= bytes; at += at ? stride() : 1) {
		unsigned int first = f->ids + 1;

		peer_send(&other, data, notify(f, data, sizeof(data)));
		peer_send(&other, data, notify(f, data, sizeof(data)));
		inproc_turn(&f->p, 3);
		assert_int_equal(sched_counts(f->p.agent->sched).dispatched, 2);
		if (at > 0)
			fault_arm(kind, out, at - 1);
		talk(f, at > 0 ? &want : NULL, first, &got);
		if (at == 0) {
			want = got;
			bytes = out ? want.bye : want.sent;
		} else {
			assert_true(fault.fired);
		}
		fault_disarm();
		assert_int_equal(sched_counts(f->p.agent->sched).queued, 0);
		if (!fatal)
			assert_same(&want, &got);
		end_line(f, first + 1);
		end_line(f, first + 2);
		assert_int_equal(sched_counts(f->p.agent->sched).dispatched, 0);
		assert_int_equal(f->p.agent->stats.spop_connections, 1);
		sched_check(f->p.agent->sched);
		peer_pull(&other);
		other.len = 0;
		assert_false(other.ended);
		/* Ended ids are forgotten, so that the test does not grow. */
		inproc_clock += 40 * SLO_NSEC_PER_SEC;
		inproc_turn(&f->p, 1);
	}
	peer_close(&other);
	inproc_turn(&f->p, 3);
}

static void held_requests_survive_cuts_at_every_byte(void **state)
{
	held_strike(*state, FAULT_SHORT, false);
	held_strike(*state, FAULT_EINTR, false);
	held_strike(*state, FAULT_EAGAIN, true);
	held_strike(*state, FAULT_SHORT, true);
}

static void held_requests_may_come_to_nothing_at_every_byte(void **state)
{
	held_strike(*state, FAULT_RESET, false);
	held_strike(*state, FAULT_RESET, true);
	held_strike(*state, FAULT_END, false);
}

/* The connection fails at every byte of what comes while it waits for an answer. */
static void held_requests_of_a_connection_that_fails_leave_the_queue(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_RESET, FAULT_END };
	struct fixture *f = *state;
	static struct peer other, peer;
	uint8_t data[512];
	size_t len;

	greet(f, &other);
	for (int i = 0; i < 2; i++)
		peer_send(&other, data, notify(f, data, sizeof(data)));
	inproc_turn(&f->p, 3);
	for (size_t i = 0; i < 40; i++) {
		fault_arm(kinds[i % 2], false, SIZE_MAX);
		greet(f, &peer);
		peer_send(&peer, data, notify(f, data, sizeof(data)));
		inproc_turn(&f->p, 3);
		assert_int_equal(sched_counts(f->p.agent->sched).queued, 1);
		fault.at = fault.done + i / 2;
		len = say_disconnect(data, sizeof(data));
		assert_true(len > 20);
		peer_send(&peer, data, len);
		inproc_turn(&f->p, 4);
		assert_true(fault.fired);
		fault_disarm();
		assert_int_equal(sched_counts(f->p.agent->sched).queued, 0);
		assert_int_equal(f->p.agent->stats.spop_connections, 1);
		sched_check(f->p.agent->sched);
		peer_close(&peer);
	}
	end_line(f, 1);
	end_line(f, 2);
	assert_int_equal(sched_counts(f->p.agent->sched).dispatched, 0);
	peer_close(&other);
	inproc_turn(&f->p, 3);
}

/* The same bytes as segments, as a network would cut them. */
static void frames_split_at_every_byte_are_answered_alike(void **state)
{
	struct fixture *f = *state;
	static struct peer peer;
	struct talk want;
	uint8_t data[1024];

	talk(f, NULL, 0, &want);
	assert_clean(f);
	for (size_t cut = 0; cut < want.sent; cut += stride()) {
		size_t len = say_hello(data, sizeof(data), false);

		len += notify(f, data + len, sizeof(data) - len);
		len += say_disconnect(data + len, sizeof(data) - len);
		assert_int_equal(len, want.sent);
		peer_open(&peer, &f->p, "spop");
		for (size_t i = 0; cut == 0 && i < len; i++) { /* and all apart */
			peer_send(&peer, data + i, 1);
			inproc_turn(&f->p, 1);
		}
		if (cut > 0) {
			peer_send(&peer, data, cut);
			inproc_turn(&f->p, 2);
			peer_send(&peer, data + cut, len - cut);
		}
		until(f, &peer, SIZE_MAX);
		assert_true(peer.ended);
		assert_int_equal(peer.len, want.bye);
		assert_memory_equal(peer.in, want.got, want.bye);
		peer_close(&peer);
		assert_clean(f);
	}
}

/* A DISCONNECT while a request is held, which an end line lets go in the same turn of the loop:
 * whichever is seen first, an ACK may come before the answer, but not behind it. */
static void nothing_follows_a_disconnect(void **state)
{
	struct fixture *f = *state;
	static struct peer peer;
	struct spop_frame frame;
	uint8_t data[1024];

	for (int end_first = 0; end_first < 2; end_first++) {
		unsigned int first = f->ids + 1;
		uint8_t last = SPOP_UNSET;

		greet(f, &peer);
		for (int i = 0; i < 3; i++)
			peer_send(&peer, data, notify(f, data, sizeof(data)));
		inproc_turn(&f->p, 3);
		assert_int_equal(sched_counts(f->p.agent->sched).queued, 1);
		if (end_first)
			send_end(f, first);
		peer_send(&peer, data, say_disconnect(data, sizeof(data)));
		if (!end_first)
			send_end(f, first);
		inproc_turn(&f->p, 3);
		while (peer_frame(&peer, data, &frame))
			last = frame.type;
		assert_true(peer.ended && peer.len == 0);
		assert_int_equal(last, SPOP_AGENT_DISCONNECT);
		assert_int_equal(sched_counts(f->p.agent->sched).queued, 0);
		peer_close(&peer);
		for (unsigned int i = 1; i < 3; i++)
			end_line(f, first + i);
		assert_clean(f);
	}
}

/* Accepting */

static void a_failed_accept_waits_and_keeps_what_is_there(void **state)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS };
	struct fixture *f = *state;
	struct talk want, got;
	static struct peer peer;

	talk(f, NULL, 0, &want);
	assert_clean(f);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		accept_error = errors[i];
		peer_open(&peer, &f->p, "spop");
		inproc_turn(&f->p, 5);
		assert_int_equal(f->p.agent->stats.spop_connections, 0);
		assert_true(inproc_logged(&f->p, strerror(errors[i])));
		end_line(f, 1); /* the rings go on */
		inproc_pass(&f->p, SLO_NSEC_PER_SEC);
		assert_int_equal(f->p.agent->stats.spop_connections, 1);
		peer_close(&peer);
		inproc_turn(&f->p, 3);
		talk(f, &want, 0, &got);
		assert_same(&want, &got);
		assert_clean(f);
	}
}

static void an_accept_that_others_made_fail_is_just_tried_again(void **state)
{
	static const int errors[] = { EINTR, EAGAIN, ECONNABORTED };
	struct fixture *f = *state;
	struct talk want, got;

	talk(f, NULL, 0, &want);
	assert_clean(f);
	inproc_log(&f->p);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		accept_error = errors[i];
		talk(f, &want, 0, &got);
		assert_int_equal(accept_error, 0);
		assert_same(&want, &got);
		assert_string_equal(inproc_log(&f->p), "");
		assert_clean(f);
	}
}

static void files_without_descriptors_are_refused_and_the_old_ones_stay(void **state)
{
	struct fixture *f = *state;
	struct doc_error err;
	struct rlimit old, none;
	struct talk want, got;
	int next;

	talk(f, NULL, 0, &want);
	assert_clean(f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	next = dup(STDIN_FILENO);
	close(next);
	inproc_write_profile(&f->p, 2);
	none = (struct rlimit){ (rlim_t)next, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(config_load(f->p.conf_path, &err));
	assert_string_equal(err.message, "cannot read: Too many open files");
	assert_int_equal(agent_load_profiles(f->p.agent), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	inproc_remove_profile(&f->p);
	assert_true(inproc_logged(&f->p, "Too many open files; the previous profile stays"));
	talk(f, &want, 0, &got);
	assert_same(&want, &got);
	assert_clean(f);
}

int main(void)
{
#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_AGENT(reads_cut_short_at_every_byte_change_nothing),
		WITH_AGENT(writes_cut_short_at_every_byte_change_nothing),
		WITH_AGENT(reads_of_single_bytes_from_every_byte_on_change_nothing),
		WITH_AGENT(writes_of_single_bytes_from_every_byte_on_change_nothing),
		WITH_AGENT(reads_interrupted_at_every_byte_change_nothing),
		WITH_AGENT(writes_interrupted_at_every_byte_change_nothing),
		WITH_AGENT(reads_that_would_block_at_every_byte_change_nothing),
		WITH_AGENT(writes_that_would_block_at_every_byte_change_nothing),
		WITH_AGENT(reads_reset_at_every_byte_end_the_connection_with_a_reason),
		WITH_AGENT(writes_reset_at_every_byte_end_the_connection_with_a_reason),
		WITH_AGENT(reads_that_end_at_every_byte_end_the_connection),
		WITH_AGENT(held_requests_survive_cuts_at_every_byte),
		WITH_AGENT(held_requests_may_come_to_nothing_at_every_byte),
		WITH_AGENT(held_requests_of_a_connection_that_fails_leave_the_queue),
		WITH_AGENT(frames_split_at_every_byte_are_answered_alike),
		WITH_AGENT(nothing_follows_a_disconnect),
		WITH_AGENT(a_failed_accept_waits_and_keeps_what_is_there),
		WITH_AGENT(an_accept_that_others_made_fail_is_just_tried_again),
		WITH_AGENT(files_without_descriptors_are_refused_and_the_old_ones_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
