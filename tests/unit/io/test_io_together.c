/* Several frames that come with one read are decided together: each is answered, or waits, and a
 * limit refuses none that it would not refuse one by one. Two servers hold one request each. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inproc.h"

struct fixture {
	struct inproc p;
	struct peer peer;
	uint8_t data[8192];
	size_t len;
};

static void begin(struct fixture *f, const char *routing, const char *limits)
{
	uint8_t hello[256], room[512];
	struct spop_frame frame;

	inproc_open(&f->p);
	inproc_write_conf(&f->p, routing, limits, "");
	inproc_start(&f->p);
	peer_open(&f->peer, &f->p, "spop");
	peer_send(&f->peer, hello, say_hello(hello, sizeof(hello), false));
	inproc_turn(&f->p, 4);
	assert_true(peer_frame(&f->peer, room, &frame));
	assert_int_equal(frame.type, SPOP_AGENT_HELLO);
}

static void add_notify(struct fixture *f, unsigned int n)
{
	char id[16];

	snprintf(id, sizeof(id), "r%u", n);
	f->len += say_notify(f->data + f->len, sizeof(f->data) - f->len, n, id, "m");
}

static void send_all(struct fixture *f)
{
	peer_send(&f->peer, f->data, f->len);
	inproc_turn(&f->p, 3);
}

/* The next frame is the ACK of that stream. */
static void assert_ack(struct fixture *f, uint64_t stream, const char *verdict, const char *reason)
{
	uint8_t room[512];
	struct spop_frame frame;
	char text[32] = "";

	assert_true(peer_frame(&f->peer, room, &frame));
	assert_int_equal(frame.type, SPOP_ACK);
	assert_int_equal(frame.stream_id, stream);
	assert_true(ack_text(&frame, "verdict", text, sizeof(text)));
	assert_string_equal(text, verdict);
	assert_int_equal(ack_text(&frame, "reason", text, sizeof(text)), reason != NULL);
	if (reason)
		assert_string_equal(text, reason);
}

static void finish(struct fixture *f)
{
	sched_check(f->p.agent->sched);
	peer_close(&f->peer);
	inproc_turn(&f->p, 3);
	assert_int_equal(sched_counts(f->p.agent->sched).queued, 0);
	inproc_stop(&f->p);
	inproc_close(&f->p);
}

static void each_is_answered_or_waits(void **state)
{
	struct fixture f = { .len = 0 };

	(void)state;
	begin(&f, "", "");
	for (unsigned int n = 1; n <= 100; n++)
		add_notify(&f, n);
	send_all(&f);
	assert_ack(&f, 1, "route", NULL);
	assert_ack(&f, 2, "route", NULL);
	assert_int_equal(f.peer.len, 0);
	assert_int_equal(sched_counts(f.p.agent->sched).queued, 98);
	assert_int_equal(f.p.agent->stats.decision.total, 100);
	finish(&f);
}

/* Before DISCONNECT is answered, or the connection fails. */
static void what_came_before_the_end_is_answered(void **state)
{
	static const uint8_t garbage[] = { 0, 0, 0, 7, 3, 0, 0, 0, 1, 0xff, 0xff };
	uint8_t room[512];
	struct spop_frame frame;

	(void)state;
	for (int broken = 0; broken < 2; broken++) {
		struct fixture f = { .len = 0 };

		begin(&f, "", "");
		for (unsigned int n = 1; n <= 3; n++)
			add_notify(&f, n);
		if (broken) {
			memcpy(f.data + f.len, garbage, sizeof(garbage));
			f.len += sizeof(garbage);
		} else {
			f.len += say_disconnect(f.data + f.len, sizeof(f.data) - f.len);
		}
		send_all(&f);
		assert_ack(&f, 1, "route", NULL);
		assert_ack(&f, 2, "route", NULL);
		assert_true(peer_frame(&f.peer, room, &frame));
		assert_int_equal(frame.type, SPOP_AGENT_DISCONNECT);
		assert_int_equal(f.peer.len, 0);
		finish(&f);
	}
}

/* A place in the queue is refused to whom a server cannot take, and to nobody else. */
static void a_full_queue_refuses_the_last(void **state)
{
	struct fixture f = { .len = 0 };

	(void)state;
	begin(&f, ",\"queue_limit\":1", "");
	for (unsigned int n = 1; n <= 5; n++)
		add_notify(&f, n);
	send_all(&f);
	assert_ack(&f, 1, "route", NULL);
	assert_ack(&f, 2, "route", NULL);
	assert_ack(&f, 4, "reject", "queue-full");
	assert_ack(&f, 5, "reject", "queue-full");
	assert_int_equal(sched_counts(f.p.agent->sched).queued, 1);
	finish(&f);
}

static void no_queue_at_all_still_routes(void **state)
{
	struct fixture f = { .len = 0 };

	(void)state;
	begin(&f, ",\"queue_limit\":0", "");
	for (unsigned int n = 1; n <= 3; n++)
		add_notify(&f, n);
	send_all(&f);
	assert_ack(&f, 1, "route", NULL);
	assert_ack(&f, 2, "route", NULL);
	assert_ack(&f, 3, "reject", "queue-full");
	finish(&f);
}

/* Only what has to wait is in flight. */
static void frames_in_flight_are_those_that_wait(void **state)
{
	struct fixture f = { .len = 0 };

	(void)state;
	begin(&f, "", ",\"frames_in_flight\":1");
	for (unsigned int n = 1; n <= 4; n++)
		add_notify(&f, n);
	send_all(&f);
	assert_ack(&f, 1, "route", NULL);
	assert_ack(&f, 2, "route", NULL);
	assert_ack(&f, 4, "pass", "queue-full");
	assert_int_equal(sched_counts(f.p.agent->sched).queued, 1);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_answered_or_waits),
		cmocka_unit_test(what_came_before_the_end_is_answered),
		cmocka_unit_test(a_full_queue_refuses_the_last),
		cmocka_unit_test(no_queue_at_all_still_routes),
		cmocka_unit_test(frames_in_flight_are_those_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
