/* The daemon with the n-th of its allocations failing, for every n, once and for as long as it
 * lasts, in whatever a peer or an operator asks of it: it lives, what it says is one of the answers
 * that the README promises, the ledger is right, and the next one is served. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "failing_malloc.h"
#include "inproc.h"

#define PEERS 3
#define MANY  120

struct fixture {
	struct inproc p;
	struct peer peer[PEERS], events;
	unsigned int ids; /* r1 to this one have been used */
	bool struck;
	bool out_of_memory; /* the log says so */
	char verdict[16];   /* of the ACK that came last */
};

static void turn(struct fixture *f)
{
	inproc_turn(&f->p, 6);
}

static void send_hello(struct fixture *f, int i)
{
	uint8_t data[512];

	peer_send(&f->peer[i], data, say_hello(data, sizeof(data), false));
}

static void send_notify_of(struct fixture *f, int i, const char *model)
{
	uint8_t data[512];
	char id[16];

	snprintf(id, sizeof(id), "r%u", ++f->ids);
	peer_send(&f->peer[i], data, say_notify(data, sizeof(data), f->ids, id, model));
}

static void send_notify(struct fixture *f, int i)
{
	send_notify_of(f, i, "m");
}

static void send_end(struct fixture *f, unsigned int id)
{
	uint8_t data[512];
	char name[16];

	snprintf(name, sizeof(name), "r%u", id);
	peer_send(&f->events, data, say_end(data, sizeof(data), name));
}

static uint8_t next_type(struct fixture *f, int i)
{
	static uint8_t room[1 << 16];
	struct spop_frame frame;

	if (!peer_frame(&f->peer[i], room, &frame))
		return SPOP_UNSET;
	if (frame.type == SPOP_ACK && !ack_text(&frame, "verdict", f->verdict, sizeof(f->verdict)))
		f->verdict[0] = '\0';
	return frame.type;
}

static void greet(struct fixture *f, int i)
{
	peer_open(&f->peer[i], &f->p, "spop");
	send_hello(f, i);
	turn(f);
	MUST(next_type(f, i) == SPOP_AGENT_HELLO);
}

static struct sched_counts counts(const struct fixture *f)
{
	return sched_counts(f->p.agent->sched);
}

/* Either this frame has come, or the connection is gone and the log says why. */
static bool frame_or_memory(struct fixture *f, int i, uint8_t type)
{
	uint8_t got = next_type(f, i);

	if (got == type)
		return true;
	assert_int_equal(got, SPOP_UNSET);
	assert_true(f->peer[i].ended);
	assert_true(f->struck && f->out_of_memory);
	return false;
}

static void all_end(struct fixture *f)
{
	/* Twice, because what waited may be let go by the first. */
	for (int round = 0; round < 2; round++)
		for (unsigned int id = 1; id <= f->ids; id++) {
			send_end(f, id);
			if (id == f->ids)
				turn(f);
		}
	assert_int_equal(counts(f).queued, 0);
	assert_int_equal(counts(f).dispatched, 0);
}

/* A new connection and an old ring are served as if nothing had been. */
static void assert_serves(struct fixture *f)
{
	all_end(f);
	peer_close(&f->peer[0]);
	turn(f);
	greet(f, 0);
	send_notify(f, 0);
	turn(f);
	MUST(next_type(f, 0) == SPOP_ACK);
	assert_string_equal(f->verdict, "route");
	all_end(f);
	for (int i = 0; i < PEERS; i++)
		peer_close(&f->peer[i]);
	turn(f);
	assert_int_equal(f->p.agent->stats.spop_connections, 0);
	sched_check(f->p.agent->sched);
}

/* Under valgrind not each one of many. */
static long stride(void)
{
	const char *scale = getenv("SLO_TEST_SCALE");

	return scale && strtod(scale, NULL) < 1 ? 19 : 1;
}

struct deed {
	void (*prepare)(struct fixture *f); /* NULL: nothing; greeted is peer 0 */
	void (*act)(struct fixture *f);     /* memory runs out in here */
	void (*check)(struct fixture *f);
	long least; /* allocations that it must have made */
};

static bool try(const struct deed *d, long n, bool stay_out)
{
	static struct fixture f;
	bool struck;

	memset(&f, 0, sizeof(f));
	for (int i = 0; i < PEERS; i++)
		f.peer[i].fd = -1;
	inproc_open(&f.p);
	inproc_write_conf(&f.p, "", "", ",\"profiles\":{\"dir\":\"profiles\"}");
	inproc_start(&f.p);
	peer_open(&f.events, &f.p, "events");
	turn(&f);
	if (d->prepare)
		d->prepare(&f);
	inproc_log(&f.p);
	allocations_stay_out = stay_out;
	allocations_until_failure = n;
	d->act(&f);
	struck = f.struck = allocations_disarm();
	f.out_of_memory = inproc_logged(&f.p, "out of memory");
	d->check(&f);
	assert_serves(&f);
	peer_close(&f.events);
	turn(&f);
	inproc_stop(&f.p);
	inproc_close(&f.p);
	return struck;
}

static void without_memory(const struct deed *d)
{
	for (int stay_out = 0; stay_out < 2; stay_out++) {
		long n = 0;

		while (try(d, n, stay_out))
			n += n < 20 ? 1 : stride();
		assert_true(n >= d->least);
	}
}

/* HELLO */

static void connect_and_greet(struct fixture *f)
{
	peer_open(&f->peer[0], &f->p, "spop");
	send_hello(f, 0);
	turn(f);
}

static void connect_and_greet_in_pieces(struct fixture *f)
{
	uint8_t data[512];
	size_t len = say_hello(data, sizeof(data), false);

	peer_open(&f->peer[0], &f->p, "spop");
	for (size_t at = 0; at < len; at += 10) {
		peer_send(&f->peer[0], data + at, len - at < 10 ? len - at : 10);
		turn(f);
	}
}

static void greeted_or_closed(struct fixture *f)
{
	(void)frame_or_memory(f, 0, SPOP_AGENT_HELLO);
	turn(f);
	assert_int_equal(f->p.agent->stats.spop_connections, f->peer[0].ended ? 0 : 1);
}

static void hello(void **state)
{
	static const struct deed whole = { NULL, connect_and_greet, greeted_or_closed, 2 },
				 pieces = { NULL, connect_and_greet_in_pieces, greeted_or_closed,
		                            4 };

	(void)state;
	without_memory(&whole);
	without_memory(&pieces);
}

/* NOTIFY */

static void greet_one(struct fixture *f)
{
	greet(f, 0);
}

static void notify_one(struct fixture *f)
{
	send_notify(f, 0);
	turn(f);
}

/* Without memory it is left to HAProxy, or its connection closes. */
static void routed_passed_or_closed(struct fixture *f)
{
	if (!frame_or_memory(f, 0, SPOP_ACK))
		return;
	if (f->struck && f->out_of_memory)
		assert_string_equal(f->verdict, "pass");
	else
		assert_string_equal(f->verdict, "route");
	assert_int_equal(counts(f).dispatched, strcmp(f->verdict, "route") == 0);
}

static void fill_servers(struct fixture *f)
{
	greet(f, 0);
	greet(f, 1);
	for (int i = 0; i < 2; i++) {
		send_notify(f, 0);
		turn(f);
		MUST(next_type(f, 0) == SPOP_ACK);
	}
	MUST(counts(f).dispatched == 2);
}

static void notify_other(struct fixture *f)
{
	send_notify(f, 1);
	turn(f);
}

static void held_passed_or_closed(struct fixture *f)
{
	assert_int_equal(counts(f).dispatched, 2);
	if (counts(f).queued == 1) {
		send_end(f, 1);
		turn(f);
		MUST(next_type(f, 1) == SPOP_ACK);
		assert_string_equal(f->verdict, "route");
		return;
	}
	if (frame_or_memory(f, 1, SPOP_ACK))
		assert_string_equal(f->verdict, "pass");
}

/* Half of them are held, half get an answer at once: more than an output block holds. */
static void notify_many(struct fixture *f)
{
	for (int i = 0; i < MANY / 2; i++) {
		send_notify(f, 0);
		send_notify_of(f, 0, "nobody");
	}
	turn(f);
}

/* Whatever came, every one is answered, held or its connection closed. */
static void each_is_accounted_for(struct fixture *f)
{
	size_t acks = 0;

	while (next_type(f, 0) == SPOP_ACK)
		acks++;
	if (f->peer[0].ended)
		assert_true(f->out_of_memory);
	else
		assert_int_equal(acks + counts(f).queued, MANY);
	assert_true(counts(f).dispatched <= 2);
}

static void notify(void **state)
{
	static const struct deed routed = { greet_one, notify_one, routed_passed_or_closed, 2 },
				 held = { fill_servers, notify_other, held_passed_or_closed, 1 },
				 many = { greet_one, notify_many, each_is_accounted_for, 100 };

	(void)state;
	without_memory(&routed);
	without_memory(&held);
	without_memory(&many);
}

/* ACK of what was held */

static void hold_two(struct fixture *f)
{
	fill_servers(f);
	greet(f, 2);
	send_notify(f, 1);
	send_notify(f, 2);
	turn(f);
	MUST(counts(f).queued == 2);
}

static void release_both(struct fixture *f)
{
	send_end(f, 1);
	send_end(f, 2);
	turn(f);
}

/* They are dispatched in any case: HAProxy's end line closes them, answered or not. */
static void answered_or_closed(struct fixture *f)
{
	for (int i = 1; i < 3; i++)
		if (frame_or_memory(f, i, SPOP_ACK))
			assert_string_equal(f->verdict, "route");
	assert_int_equal(counts(f).queued, 0);
	assert_int_equal(counts(f).dispatched, 2);
}

static void ack(void **state)
{
	static const struct deed both = { hold_two, release_both, answered_or_closed, 1 };

	(void)state;
	without_memory(&both);
}

/* End lines */

static void end_known(struct fixture *f)
{
	send_end(f, 1);
	turn(f);
}

static void closed_in_any_case(struct fixture *f)
{
	assert_int_equal(counts(f).dispatched, 1);
	assert_int_equal(f->p.agent->stats.end_lines[END_CLOSED], 1);
}

static void end_unknown(struct fixture *f)
{
	for (unsigned int i = 0; i < 260; i++)
		send_end(f, 1000 + i);
	turn(f);
}

static void counted_in_any_case(struct fixture *f)
{
	assert_int_equal(f->p.agent->stats.end_lines[END_UNKNOWN], 260);
	assert_true(counts(f).remembered <= 260);
}

static void end_in_pieces(struct fixture *f)
{
	uint8_t data[512];
	size_t len = say_end(data, sizeof(data), "r1");

	for (size_t at = 0; at < len; at += 20) {
		peer_send(&f->events, data + at, len - at < 20 ? len - at : 20);
		turn(f);
	}
}

/* A ring that connects again sends its line once more. */
static void closed_or_the_ring_is(struct fixture *f)
{
	if (!f->struck) {
		assert_int_equal(counts(f).dispatched, 1);
		return;
	}
	assert_true(f->out_of_memory);
	assert_int_equal(counts(f).dispatched, 2);
	assert_int_equal(f->p.agent->stats.event_connections, 0);
	peer_close(&f->events);
	peer_open(&f->events, &f->p, "events");
	send_end(f, 1);
	turn(f);
	assert_int_equal(counts(f).dispatched, 1);
}

static void end_line(void **state)
{
	static const struct deed known = { fill_servers, end_known, closed_in_any_case, 0 },
				 unknown = { fill_servers, end_unknown, counted_in_any_case, 2 },
				 pieces = { fill_servers, end_in_pieces, closed_or_the_ring_is, 2 };

	(void)state;
	without_memory(&known);
	without_memory(&unknown);
	without_memory(&pieces);
}

static void connect_ring(struct fixture *f)
{
	peer_open(&f->peer[2], &f->p, "events");
	turn(f);
}

static void accepted_or_refused(struct fixture *f)
{
	peer_pull(&f->peer[2]);
	assert_int_equal(f->peer[2].ended, f->struck);
	assert_int_equal(f->out_of_memory, f->struck);
	assert_int_equal(f->p.agent->stats.event_connections, f->struck ? 1 : 2);
}

static void ring(void **state)
{
	static const struct deed connects = { greet_one, connect_ring, accepted_or_refused, 1 };

	(void)state;
	without_memory(&connects);
}

/* Reload */

static void hold_one_and_change_the_files(struct fixture *f)
{
	fill_servers(f);
	send_notify(f, 1);
	turn(f);
	inproc_write_conf(&f->p, ",\"queue_limit\":77", ",\"idle_timeout\":\"50s\"",
	                  ",\"profiles\":{\"dir\":\"profiles\"}");
	inproc_write_profile(&f->p, 2);
}

static void hangup(struct fixture *f)
{
	(void)daemon_reload(f->p.daemon);
	turn(f);
}

static int created(const struct fixture *f)
{
	return (int)profile_created(f->p.agent->models[0]->sched->pool.deployment[0]->profile);
}

static void old_or_new_then_new(struct fixture *f)
{
	size_t limit = f->p.agent->conf->routing.queue_limit;

	assert_true(limit == 77 || (f->struck && limit == 100000));
	assert_true(created(f) == 2 || (f->struck && created(f) == 1));
	assert_int_equal(counts(f).queued, 1);
	assert_int_equal(counts(f).dispatched, 2);
	assert_true(daemon_reload(f->p.daemon));
	assert_int_equal(f->p.agent->conf->routing.queue_limit, 77);
	assert_int_equal(created(f), 2);
	send_end(f, 1);
	turn(f);
	MUST(next_type(f, 1) == SPOP_ACK);
	inproc_remove_profile(&f->p);
}

/* s1 leaves, s3 joins, and there is a new model on them. */
static void hold_one_and_change_the_fleet(struct fixture *f)
{
	fill_servers(f);
	send_notify(f, 1);
	turn(f);
	inproc_write_text(
	    &f->p,
	    "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"
	    "\"models\":{\"n\":{\"backend\":\"b\",\"deployments\":{\"d\":{\"servers\":[\"s3\"]}}},"
	    "\"m\":{\"backend\":\"b\",\"deployments\":{\"d\":{\"servers\":[\"s2\",\"s3\"]}}}},"
	    "\"profiles\":{\"dir\":\"profiles\"}}");
	inproc_write_profile(&f->p, 2);
}

/* Whatever came of it: what ran and what waited goes on, and with memory all of it comes. */
static void whole_at_the_next_try(struct fixture *f)
{
	size_t models = f->p.agent->model_count;

	assert_true(models == 2 || (f->struck && models == 1));
	assert_true(models == 2 || f->out_of_memory || f->p.agent->conf->model_count == 1);
	sched_check(f->p.agent->sched);
	assert_int_equal(counts(f).queued + counts(f).dispatched, 3);
	assert_true(daemon_reload(f->p.daemon));
	sched_check(f->p.agent->sched);
	turn(f);
	MUST(next_type(f, 1) == SPOP_ACK); /* s3 has room for it */
	assert_string_equal(f->verdict, "route");
	send_end(f, 3);
	turn(f);
	send_notify_of(f, 1, "n");
	turn(f);
	MUST(next_type(f, 1) == SPOP_ACK);
	assert_string_equal(f->verdict, "fallback"); /* it has no profile */
	inproc_remove_profile(&f->p);
}

/* s2 moves to a deployment that is new. */
static void fill_and_divide_the_fleet(struct fixture *f)
{
	fill_servers(f);
	inproc_write_text(
	    &f->p,
	    "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"
	    "\"models\":{\"m\":{\"backend\":\"b\",\"deployments\":{\"d\":{\"servers\":[\"s1\"]},"
	    "\"e\":{\"servers\":[\"s2\"]}}}},\"profiles\":{\"dir\":\"profiles\"}}");
}

/* The deployment in which s has its seat, "" without one. */
static const char *seat_of(const struct fixture *f, const char *s)
{
	const struct server *server = roster_find(f->p.agent, "b", s);
	const struct seat *seat =
	    server ? sched_seat_find(f->p.agent->models[0]->sched, server) : NULL;

	return seat ? seat->deployment->name : "";
}

static void each_has_a_seat(struct fixture *f)
{
	assert_string_equal(seat_of(f, "s1"), "d");
	if (!f->struck || strcmp(seat_of(f, "s2"), "d") != 0)
		assert_string_equal(seat_of(f, "s2"), "e");
	assert_true(daemon_reload(f->p.daemon));
	assert_string_equal(seat_of(f, "s1"), "d");
	assert_string_equal(seat_of(f, "s2"), "e");
}

static void reloading_a_divided_fleet(void **state)
{
	static const struct deed whole = { fill_and_divide_the_fleet, hangup, each_has_a_seat, 20 };

	(void)state;
	without_memory(&whole);
}

static void reloading_another_fleet(void **state)
{
	static const struct deed whole = { hold_one_and_change_the_fleet, hangup,
		                           whole_at_the_next_try, 30 };

	(void)state;
	without_memory(&whole);
}

static void reloading(void **state)
{
	static const struct deed whole = { hold_one_and_change_the_files, hangup,
		                           old_or_new_then_new, 15 };

	(void)state;
	without_memory(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello),
		cmocka_unit_test(notify),
		cmocka_unit_test(ack),
		cmocka_unit_test(end_line),
		cmocka_unit_test(ring),
		cmocka_unit_test(reloading),
		cmocka_unit_test(reloading_another_fleet),
		cmocka_unit_test(reloading_a_divided_fleet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
