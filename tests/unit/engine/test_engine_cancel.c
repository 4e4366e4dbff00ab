#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine_log.h"

/* What a sink does to the engine the first time it is told of `when`. */
struct meddler {
	struct engine *e;
	struct log log;
	uint64_t when;
	bool done;
	struct engine_handle victim;
	bool submits;
	struct engine_handle born;
};

static void a_cancelled_waiting_sequence_unblocks_the_line(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);
	struct engine_handle h;

	(void)state;
	submit(e, 0, 1, 8000, 3);
	h = submit(e, 0, 2, 8000, 1);
	submit(e, 0, 3, 10, 1);
	step(e, &log_a);
	assert_int_equal(engine_cancel(e, h), SLO_OK);
	assert_int_equal(engine_cancel(e, h), SLO_ESTALE);
	assert_int_equal(stats_of(e).waiting, 1);
	run(e, &log_a);
	for (size_t i = 0; i < log_a.n; i++)
		assert_int_not_equal(log_a.row[i].cookie, 2);
	assert_int_equal(log_a.n, 4);
	assert_idle(e);
	engine_free(e);
}

static void a_cancelled_prefill_ends_silently_and_on_time(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);
	struct engine_handle h = submit(e, 0, 1, 4096, 5);
	slo_nsec end = engine_next(e);

	(void)state;
	assert_int_equal(engine_cancel(e, h), SLO_OK);
	assert_int_equal(stats_of(e).kv_used, 0);
	assert_int_equal(engine_next(e), end); /* the GPU does not stop in mid-step */
	step(e, &log_a);
	assert_int_equal(log_a.n, 0);
	assert_idle(e);
	engine_free(e);
}

static void a_cancelled_decode_leaves_the_others_alone(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_CHUNKED, 0, 0);
	struct engine_handle h;

	(void)state;
	submit(e, 0, 1, 10, 4);
	h = submit(e, 0, 2, 10, 4);
	submit(e, 0, 3, 10, 4);
	step(e, &log_a);
	step(e, &log_a);
	assert_int_equal(stats_of(e).running, 3);
	assert_int_equal(engine_cancel(e, h), SLO_OK);
	assert_int_equal(stats_of(e).running, 2);
	run(e, &log_a);
	assert_int_equal(log_a.n, 4 + 1 + 4);
	assert_idle(e);
	engine_free(e);
}

static void an_evicted_sequence_can_be_cancelled(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 20000);
	struct engine_handle h;

	(void)state;
	submit(e, 0, 1, 6000, 200);
	h = submit(e, 0, 2, 6100, 200);
	while (stats_of(e).evictions == 0)
		step(e, &log_a);
	assert_int_equal(engine_cancel(e, h), SLO_OK);
	assert_int_equal(stats_of(e).waiting, 0);
	run(e, &log_a);
	assert_row(&log_a, log_a.n - 1, 1, 200, true);
	assert_idle(e);
	engine_free(e);
}

static void a_handle_finds_nothing_once_its_slot_serves_another(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_PREFILL_FIRST, 0, 0);
	struct engine_handle old = submit(e, 0, 1, 10, 1), next;

	(void)state;
	run(e, &log_a);
	next = submit(e, engine_next(e) == SLO_NEVER ? SLO_NSEC_PER_SEC : 0, 2, 10, 1);
	assert_int_equal(next.slot, old.slot);
	assert_int_equal(engine_cancel(e, old), SLO_ESTALE);
	assert_int_equal(engine_cancel(e, (struct engine_handle){ 0 }), SLO_ESTALE);
	assert_int_equal(engine_cancel(e, (struct engine_handle){ .slot = 1u << 20 }), SLO_ESTALE);
	assert_int_equal(engine_cancel(e, next), SLO_OK);
	engine_free(e);
}

static void meddle(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens, bool finished)
{
	struct meddler *m = arg;

	record(&m->log, at, cookie, tokens, finished);
	if (cookie != m->when || m->done)
		return;
	m->done = true;
	if (m->submits)
		for (uint64_t i = 0; i < 200; i++) /* makes the table grow and move */
			assert_int_equal(engine_submit(m->e, at, 100 + i, 10, 1, &m->born), SLO_OK);
	else
		assert_int_equal(engine_cancel(m->e, m->victim), SLO_OK);
}

static void a_sink_may_cancel_itself_the_next_and_the_one_before(void **state)
{
	(void)state;
	for (size_t victim = 0; victim < 3; victim++) {
		struct meddler m = { .e = engine_on("l20", ENGINE_CHUNKED, 0, 0), .when = 2 };
		struct engine_handle h[4];
		size_t tokens[4] = { 0 };

		for (size_t i = 0; i < 4; i++)
			h[i] = submit(m.e, 0, i + 1, 10, 3);
		step(m.e, &log_a); /* 1 began alone */
		m.victim = h[victim];
		while (engine_next(m.e) != SLO_NEVER)
			assert_true(engine_step(m.e, engine_next(m.e), meddle, &m));
		for (size_t i = 0; i < m.log.n; i++)
			tokens[m.log.row[i].cookie - 1]++;
		/* In that step 1 and 2 had their token already, 3 and 4 had not. */
		assert_int_equal(tokens[0], victim == 0 ? 1 : 2);
		assert_int_equal(tokens[1], victim == 1 ? 1 : 3);
		assert_int_equal(tokens[2], victim == 2 ? 0 : 3);
		assert_int_equal(tokens[3], 3);
		/* 4 had its first token in that very step, whoever left. */
		for (size_t i = 0; i < m.log.n; i++)
			if (m.log.row[i].cookie == 4 && m.log.row[i].tokens == 1)
				assert_int_equal(m.log.row[i].at, m.log.row[0].at);
		assert_idle(m.e);
		engine_free(m.e);
	}
}

static void a_sink_may_submit_and_the_engine_goes_on_without_a_gap(void **state)
{
	struct meddler m = { .e = engine_on("l20", ENGINE_CHUNKED, 0, 0),
		             .when = 1,
		             .submits = true };
	slo_nsec end;

	(void)state;
	submit(m.e, 0, 1, 10, 1);
	end = engine_next(m.e);
	assert_true(engine_step(m.e, end, meddle, &m));
	assert_int_equal(stats_of(m.e).running, 200);
	assert_true(engine_next(m.e) > end);
	while (engine_next(m.e) != SLO_NEVER)
		assert_true(engine_step(m.e, engine_next(m.e), meddle, &m));
	assert_int_equal(m.log.n, 201);
	assert_idle(m.e);
	engine_free(m.e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cancelled_waiting_sequence_unblocks_the_line),
		TEST(a_cancelled_prefill_ends_silently_and_on_time),
		TEST(a_cancelled_decode_leaves_the_others_alone),
		TEST(an_evicted_sequence_can_be_cancelled),
		TEST(a_handle_finds_nothing_once_its_slot_serves_another),
		TEST(a_sink_may_cancel_itself_the_next_and_the_one_before),
		TEST(a_sink_may_submit_and_the_engine_goes_on_without_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
