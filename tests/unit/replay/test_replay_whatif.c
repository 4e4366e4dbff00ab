/* The table of slo-replay -s: of recordings that are so small that its numbers follow by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/tap.h"
#include "private.h"
#include "sched_build.h"
#include "wire/file/record.h"

/* Seconds from the begin of the recording. */
#define AT(seconds) (SEC(100) + SEC(seconds))

static struct record_writer *writer;

static void hear(void *arg, const struct slo_event *e)
{
	(void)arg;
	assert_int_equal(record_add(writer, e), SLO_OK);
}

/* Both servers are idle, and a request that waits for 2.5 s is refused. */
static int make_and_record(void **state)
{
	const struct sched_tap tap = { hear, NULL };
	struct rig *r;

	assert_int_equal(rig_make(state), 0);
	r = *state;
	r->conf.queue_timeout = SEC(2.5);
	sched_configure(r->s, &r->conf);
	quiet(r, AT(0));
	writer = record_writer_new();
	assert_non_null(writer);
	sched_tell_state(r->s, &tap, AT(0), 0);
	sched_listen(r->s, &tap);
	return 0;
}

static int drop_all(void **state)
{
	record_writer_free(writer);
	return rig_drop(state);
}

/* What play_what_if() prints, each run of spaces as one. */
static void played(enum slo_strategy strategy, char *out, size_t cap)
{
	const struct replay_options opt = { .forced = true, .strategy = strategy };
	struct replay_totals totals = { 0 };
	int memory = memfd_create("table", MFD_CLOEXEC), old = dup(STDOUT_FILENO);
	FILE *table = fdopen(memory, "r");
	size_t n = 0;
	bool ok;
	int c;

	assert_non_null(table);
	fflush(stdout);
	assert_int_equal(dup2(memory, STDOUT_FILENO), STDOUT_FILENO);
	ok = play_what_if(&opt, "f", record_pending(writer), &totals);
	fflush(stdout);
	assert_int_equal(dup2(old, STDOUT_FILENO), STDOUT_FILENO);
	close(old);
	assert_true(ok);
	rewind(table);
	while ((c = getc(table)) != EOF && n + 1 < cap)
		if (c != ' ' || n == 0 || out[n - 1] != ' ')
			out[n++] = (char)c;
	out[n] = '\0';
	fclose(table);
}

/* Two columns where they are two, and all that the table has of a server. */
struct numbers {
	const char *seconds, *route, *reject, *why, *waiting, *mean, *p50, *p99, *s0, *s1;
};

static void expect(enum slo_strategy strategy, const struct numbers *n)
{
	const char *name = policy_strategy_name(strategy);
	char table[4096], want[4096];

	snprintf(want, sizeof(want),
	         "f: %s s\n\n"
	         "decisions recorded %s\nroute %s\nfallback 0 0\nreject %s\n%spass 0 0\n"
	         "waiting at the end %s\n\n"
	         "wait until dispatch, s recorded %s\nmean %s\nP50 %s\nP99 %s\n\n"
	         "load of server mean peak mean peak\ns0 %s\ns1 %s\n",
	         n->seconds, name, n->route, n->reject, n->why, n->waiting, name, n->mean, n->p50,
	         n->p99, n->s0, n->s1);
	played(strategy, table, sizeof(table));
	assert_string_equal(table, want);
}

/* Seven at once, for two servers of two, and one when all is over:
 *
 *     s1  f0 1-2  f2 1-4  w0 2-5  z 6-8     9 s of half a server in 8 s: 0.5625
 *     s0  f1 1-3  f3 1-4  w1 3-5            7 s: 0.4375
 *     w2 is refused at 3.5; w0 waited for 1 s, w1 for 2 s, seven in all for 3/7 s */
static void record_waiting(struct rig *r)
{
	fill_up(r, AT(1));
	submit(r, AT(1), "w0");
	submit(r, AT(1), "w1");
	submit(r, AT(1), "w2");
	quiet(r, AT(1));
	end(r, AT(2), "f0");
	routed(r, AT(2), "w0", "s1");
	end(r, AT(3), "f1");
	routed(r, AT(3), "w1", "s0");
	quiet(r, AT(3));
	answer(r, AT(3.5), "w2", SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
	end(r, AT(4), "f2");
	end(r, AT(4), "f3");
	end(r, AT(5), "w0");
	end(r, AT(5), "w1");
	submit(r, AT(6), "z");
	routed(r, AT(6), "z", "s1");
	end(r, AT(8), "z");
	quiet(r, AT(8));
}

/* Nobody waits, and w2 lasts for the mean of the others, 16/7 s:
 *
 *     s0  f0 1-2  f2 1-4  w0 1-4  w2 1-3.29     9.29 s: 0.5804, four at once
 *     s1  f1 1-3  f3 1-4  w1 1-3  z 6-8         9 s: 0.5625, three at once */
static void without_waiting_every_server_takes_more(void **state)
{
	static const struct numbers want = {
		.seconds = "8.000",
		.route = "7 8",
		.reject = "1 0",
		.why = " queue-timeout 1 0\n",
		.waiting = "0 0",
		.mean = "0.428571 0.000000",
		.p50 = "0.000000 0.000000",
		.p99 = "2.000000 0.000000",
		.s0 = "0.4375 1.0000 0.5804 2.0000",
		.s1 = "0.5625 1.0000 0.5625 1.5000",
	};

	record_waiting(*state);
	expect(SLO_STRATEGY_LEAST_REQUEST, &want);
}

/* They wait as they did, but elsewhere:
 *
 *     s0  f0 1-2  f1 1-3  w0 2-5  w1 3-5  z 6-8     10 s: 0.625
 *     s1  f2 1-4  f3 1-4                            6 s: 0.375 */
static void packed_the_same_requests_wait(void **state)
{
	static const struct numbers want = {
		.seconds = "8.000",
		.route = "7 7",
		.reject = "1 1",
		.why = " queue-timeout 1 1\n",
		.waiting = "0 0",
		.mean = "0.428571 0.428571",
		.p50 = "0.000000 0.000000",
		.p99 = "2.000000 2.000000",
		.s0 = "0.4375 1.0000 0.6250 1.0000",
		.s1 = "0.5625 1.0000 0.3750 1.0000",
	};

	record_waiting(*state);
	expect(SLO_STRATEGY_PACK_LOAD, &want);
}

/* Four run from 1 on; the fifth waits, and leaves at 2, when the sixth comes; that is the end. */
static void record_leaving(struct rig *r)
{
	fill_up(r, AT(1));
	submit(r, AT(1), "w");
	quiet(r, AT(1));
	assert_int_equal(end(r, AT(2), "w"), SCHED_END_CANCELLED);
	answer(r, AT(2), "w", SLO_PASS, SLO_REASON_ENDED);
	submit(r, AT(2), "x");
	quiet(r, AT(2));
}

/* Nothing ends: s0 has three from 1 on, s1 two; the sixth takes its place in no time. */
static void who_left_while_waiting_is_not_counted_and_runs_where_nobody_waits(void **state)
{
	static const struct numbers want = {
		.seconds = "2.000",
		.route = "4 6",
		.reject = "0 0",
		.why = "",
		.waiting = "1 0",
		.mean = "0.000000 0.000000",
		.p50 = "0.000000 0.000000",
		.p99 = "0.000000 0.000000",
		.s0 = "0.5000 1.0000 0.7500 1.5000",
		.s1 = "0.5000 1.0000 0.5000 1.5000",
	};

	record_leaving(*state);
	expect(SLO_STRATEGY_LEAST_REQUEST, &want);
}

static void who_left_while_waiting_leaves_again_where_it_still_waits(void **state)
{
	static const struct numbers want = {
		.seconds = "2.000",
		.route = "4 4",
		.reject = "0 0",
		.why = "",
		.waiting = "1 1",
		.mean = "0.000000 0.000000",
		.p50 = "0.000000 0.000000",
		.p99 = "0.000000 0.000000",
		.s0 = "0.5000 1.0000 0.5000 1.0000",
		.s1 = "0.5000 1.0000 0.5000 1.0000",
	};

	record_leaving(*state);
	expect(SLO_STRATEGY_PACK_LOAD, &want);
}

/* Four that never wait were taken in together. Those that may wait fill the servers from 1 on as
 * well, though only one may wait at a time: none is refused for want of a place. */
static void a_limit_refuses_none_that_a_server_could_take(void **state)
{
	static const struct numbers want = {
		.seconds = "1.000",
		.route = "4 4",
		.reject = "0 0",
		.why = "",
		.waiting = "0 0",
		.mean = "0.000000 0.000000",
		.p50 = "0.000000 0.000000",
		.p99 = "0.000000 0.000000",
		.s0 = "0.0000 1.0000 0.0000 1.0000",
		.s1 = "0.0000 1.0000 0.0000 1.0000",
	};
	static const char *const ids[] = { "a", "b", "c", "d" };
	struct rig *r = *state;

	r->conf.queue_limit = 1;
	sched_configure(r->s, &r->conf);
	for (int i = 0; i < 4; i++) {
		struct sched_request req = ask(r, ids[i], AT(1));

		req.strategy = SLO_STRATEGY_LEAST_REQUEST;
		assert_int_equal(sched_submit(r->s, AT(1), &req, NULL), SLO_OK);
	}
	for (int i = 0; i < 4; i++)
		answer(r, AT(1), ids[i], SLO_ROUTE, SLO_REASON_NONE);
	quiet(r, AT(1));
	expect(SLO_STRATEGY_SLO, &want);
}

int main(void)
{
#define RECORDED(name) cmocka_unit_test_setup_teardown(name, make_and_record, drop_all)
	const struct CMUnitTest tests[] = {
		RECORDED(without_waiting_every_server_takes_more),
		RECORDED(packed_the_same_requests_wait),
		RECORDED(who_left_while_waiting_is_not_counted_and_runs_where_nobody_waits),
		RECORDED(who_left_while_waiting_leaves_again_where_it_still_waits),
		RECORDED(a_limit_refuses_none_that_a_server_could_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
