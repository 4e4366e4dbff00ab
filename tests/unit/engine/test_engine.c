#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "engine_log.h"

struct timing {
	const char *gpu;
	double ms;
};

static void assert_ms(slo_nsec t, double ms, double slack)
{
	double got = (double)t / 1e6;

	if (fabs(got - ms) > slack)
		fail_msg("%.3f ms, expected %.3f +- %.3f", got, ms, slack);
}

static void count(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens, bool finished)
{
	(void)at;
	(void)cookie;
	(void)tokens;
	*(uint64_t *)arg += finished;
}

static void a_lone_decode_with_300_cached_takes_the_published_time(void **state)
{
	static const struct timing row[] = { { "a10", 29.8 }, { "l20", 20.0 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct engine *e = engine_on(row[i].gpu, ENGINE_PREFILL_FIRST, 0, 0);
		slo_nsec first;

		submit(e, 0, 1, 299, 2);
		first = step(e, &log_a);
		assert_ms(step(e, &log_a) - first, row[i].ms, 0.06);
		assert_idle(e);
		engine_free(e);
	}
}

static void a_prefill_of_4096_takes_the_published_time(void **state)
{
	static const struct timing row[] = { { "a10", 766 }, { "l20", 570 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct engine *e = engine_on(row[i].gpu, ENGINE_PREFILL_FIRST, 0, 0);

		submit(e, 0, 1, 4096, 1);
		assert_ms(step(e, &log_a), row[i].ms, 0.6);
		assert_idle(e);
		engine_free(e);
	}
}

static void a_decode_slows_as_its_answer_grows(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);

	(void)state;
	submit(e, 0, 1, 10, 2002);
	run(e, &log_a);
	/* 2000 tokens more of 512 KiB at 480 GB/s. */
	assert_ms((log_a.row[2001].at - log_a.row[2000].at) - (log_a.row[1].at - log_a.row[0].at),
	          2.1845, 0.001);
	engine_free(e);
}

static void the_formula_adds_its_terms(void **state)
{
	const struct engine_gpu *g = engine_gpu_find("a10");
	const struct engine_model *m = engine_model_find(DEEPSEEK);
	struct engine_batch one = { .rows = 1, .decoding = 1, .cached = 300 };
	struct engine_batch more = { .rows = 1, .decoding = 3, .cached = 1300 };
	struct engine_batch prompt = { .rows = 2048, .attention = 2048.0 * (2048 + 1024) };
	struct engine_batch first = { .rows = 2048, .attention = 2048.0 * 1024 };

	(void)state;
	/* 1000 tokens of 512 KiB at 480 GB/s, and twice 25 us. */
	assert_true(fabs(engine_seconds(g, m, &more) - engine_seconds(g, m, &one) -
	                 (1000 * 524288 / 480e9 + 50e-6)) < 1e-9);
	/* A later chunk also reads the 2048 before it: 4 L D p c at 60 TFLOPS. */
	assert_true(fabs(engine_seconds(g, m, &prompt) - engine_seconds(g, m, &first) -
	                 4.0 * 32 * 4096 * 2048 * 2048 / 60e12) < 1e-9);
}

static void the_kv_limit_follows_from_memory_and_model(void **state)
{
	static const struct {
		const char *gpu, *model;
		int64_t least, most;
	} row[] = {
		{ "a10", DEEPSEEK, 12279, 12279 },       { "l20", DEEPSEEK, 53751, 53751 },
		{ "a10", "llama2-7b", 12279, 12279 },    { "a10", "llama3-8b", 29350, 29450 },
		{ "l20", "llama3-8b", 194500, 195500 },  { "a10", "qwen2.5-7b", 81550, 81650 },
		{ "l20", "qwen2.5-7b", 460500, 461500 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int64_t limit =
		    engine_kv_limit(engine_gpu_find(row[i].gpu), engine_model_find(row[i].model));

		assert_true(limit >= row[i].least && limit <= row[i].most);
	}
}

static void every_gpu_runs_every_model(void **state)
{
	size_t pairs = 0;

	(void)state;
	for (const struct engine_gpu *g = engine_gpus; g->name != NULL; g++)
		for (const struct engine_model *m = engine_models; m->name != NULL; m++, pairs++) {
			struct engine_conf conf = { .gpu = g->name, .model = m->name };
			struct engine *e = engine_new(&conf);

			assert_non_null(e);
			engine_free(e);
		}
	assert_int_equal(pairs, 7 * 4);
}

static void a_bad_configuration_gives_no_engine(void **state)
{
	static const struct engine_conf bad[] = {
		{ .gpu = "tpu", .model = DEEPSEEK },
		{ .gpu = "a10", .model = "gpt" },
		{ .gpu = "a10", .model = DEEPSEEK, .speed = -1 },
		{ .gpu = "a10", .model = DEEPSEEK, .speed = (double)INFINITY },
		{ .gpu = "a10", .model = DEEPSEEK, .speed = (double)NAN },
		{ .gpu = "a10", .model = DEEPSEEK, .mode = ENGINE_CHUNKED, .token_budget = 255 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(engine_new(&bad[i]));
	engine_free(NULL);
}

static void what_can_never_fit_or_asks_for_nothing_is_refused(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);
	uint32_t most = engine_max_tokens(e);
	struct engine_handle h = { .slot = 7, .generation = 7 };

	(void)state;
	assert_int_equal(most, 12279 - 122);
	assert_int_equal(engine_submit(e, 0, 1, 0, 1, &h), SLO_EINVAL);
	assert_int_equal(engine_submit(e, 0, 1, 1, 0, &h), SLO_EINVAL);
	assert_int_equal(engine_submit(e, 0, 1, most, 1, &h), SLO_ETOOBIG);
	assert_int_equal(engine_submit(e, 0, 1, UINT32_MAX, UINT32_MAX, &h), SLO_ETOOBIG);
	assert_int_equal(h.slot, 7);
	assert_idle(e);
	submit(e, 0, 1, most - 1, 1);
	run(e, &log_a);
	assert_row(&log_a, 0, 1, 1, true);
	assert_idle(e);
	engine_free(e);
}

static void each_sequence_gets_one_token_per_step_until_its_last(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_PREFILL_FIRST, 0, 0);

	(void)state;
	submit(e, 0, 1, 100, 3);
	step(e, &log_a);
	step(e, &log_a);
	step(e, &log_a);
	assert_idle(e);
	assert_int_equal(log_a.n, 3);
	assert_row(&log_a, 0, 1, 1, false);
	assert_row(&log_a, 1, 1, 2, false);
	assert_row(&log_a, 2, 1, 3, true);
	assert_int_equal(stats_of(e).output_tokens, 3);
	assert_int_equal(stats_of(e).prefill_tokens, 100);
	assert_int_equal(stats_of(e).steps, 3);
	assert_int_equal(stats_of(e).busy, log_a.row[2].at);
	engine_free(e);
}

static void no_step_ends_before_its_time_and_a_late_call_costs_nothing(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_PREFILL_FIRST, 0, 0);
	slo_nsec at;

	(void)state;
	assert_false(engine_step(e, SLO_NSEC_PER_SEC, record, &log_a));
	submit(e, 1000, 1, 100, 2);
	at = engine_next(e);
	assert_false(engine_step(e, at - 1, record, &log_a));
	assert_int_equal(log_a.n, 0);
	assert_true(engine_step(e, at + 5 * SLO_NSEC_PER_SEC, record, &log_a));
	assert_int_equal(log_a.row[0].at, at);
	/* The second step began when the first ended, so it is long over. */
	assert_ms(engine_next(e) - at, 19.9, 0.1);
	assert_true(engine_step(e, at + 5 * SLO_NSEC_PER_SEC, record, &log_a));
	assert_idle(e);
	engine_free(e);
}

static void what_arrives_during_a_step_joins_the_next(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_PREFILL_FIRST, 0, 0);
	slo_nsec end;

	(void)state;
	submit(e, 0, 1, 100, 1);
	end = engine_next(e);
	submit(e, 1, 2, 100, 1);
	assert_int_equal(engine_next(e), end);
	assert_int_equal(stats_of(e).running, 1);
	assert_int_equal(stats_of(e).waiting, 1);
	step(e, &log_a);
	assert_int_equal(log_a.n, 1);
	step(e, &log_a);
	assert_row(&log_a, 1, 2, 1, true);
	assert_idle(e);
	engine_free(e);
}

static void a_full_kv_cache_blocks_the_head_and_all_behind_it(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);

	(void)state;
	submit(e, 0, 1, 8000, 2);
	submit(e, 0, 2, 8000, 1); /* 16000 > 12157 */
	submit(e, 0, 3, 10, 1);   /* would fit, must not overtake */
	step(e, &log_a);
	assert_int_equal(stats_of(e).running, 1);
	assert_int_equal(stats_of(e).waiting, 2);
	run(e, &log_a);
	assert_row(&log_a, 0, 1, 1, false);
	assert_row(&log_a, 1, 1, 2, true);
	assert_row(&log_a, 2, 2, 1, true);
	assert_row(&log_a, 3, 3, 1, true);
	assert_int_equal(log_a.row[2].at, log_a.row[3].at);
	assert_idle(e);
	engine_free(e);
}

static void admission_keeps_one_percent_of_the_kv_cache_free(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 20000);

	(void)state;
	submit(e, 0, 1, 6000, 100);
	submit(e, 0, 2, 6001, 1);
	submit(e, 0, 3, 157, 1); /* 12158 of 12279 */
	step(e, &log_a);         /* prompt 1 */
	assert_int_equal(stats_of(e).running, 2);
	assert_int_equal(stats_of(e).kv_used, 12001);
	assert_int_equal(stats_of(e).waiting, 1);
	engine_free(e);

	e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 20000);
	submit(e, 0, 1, 6000, 100);
	submit(e, 0, 2, 6001, 1);
	submit(e, 0, 3, 156, 1); /* 12157 */
	step(e, &log_a);
	assert_int_equal(stats_of(e).running, 3);
	assert_int_equal(stats_of(e).waiting, 0);
	engine_free(e);
}

static void at_most_max_num_seqs_run(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_PREFILL_FIRST, 4, 0);

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		submit(e, 0, i, 10, 3);
	while (engine_next(e) != SLO_NEVER) {
		assert_true(stats_of(e).running <= 4);
		step(e, &log_a);
	}
	assert_int_equal(stats_of(e).peak_running, 4);
	assert_int_equal(log_a.n, 30);
	assert_idle(e);
	engine_free(e);
}

static void the_newest_is_evicted_and_resumes_where_it_was(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 20000);
	uint32_t expected[4] = { 0 };
	size_t order[4] = { 0 }, ends = 0;
	uint64_t prefill;

	(void)state;
	/* 12000 prompt tokens, 279 free: three sequences outgrow that after some 90 tokens each. */
	submit(e, 0, 1, 4000, 200);
	submit(e, 0, 2, 4000, 200);
	submit(e, 0, 3, 4000, 200);
	while (stats_of(e).evictions == 0)
		step(e, &log_a);
	assert_int_equal(stats_of(e).running, 2);
	assert_int_equal(stats_of(e).waiting, 1);
	assert_true(stats_of(e).kv_used <= 12279);
	prefill = stats_of(e).prefill_tokens;
	assert_int_equal(prefill, 12000);
	submit(e, engine_next(e) - 1, 4, 10, 1); /* must wait behind the evicted */
	run(e, &log_a);
	assert_idle(e);
	for (size_t i = 0; i < log_a.n; i++) {
		uint64_t c = log_a.row[i].cookie;

		/* No token is lost, repeated or out of order, eviction or not. */
		assert_true(c >= 1 && c <= 4);
		assert_int_equal(log_a.row[i].tokens, ++expected[c - 1]);
		if (log_a.row[i].finished && ends < 4)
			order[ends++] = (size_t)c;
	}
	assert_int_equal(ends, 4);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 2);
	/* 4 is short: admitted with 3 at last, it ends first. */
	assert_int_equal(order[2], 4);
	assert_int_equal(order[3], 3);
	assert_true(stats_of(e).prefill_tokens > prefill + 4000);
	engine_free(e);
}

static void evictions_go_from_the_newest_and_come_back_oldest_first(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 30000);
	uint64_t born[3] = { 0 };
	size_t first_after = 0;

	(void)state;
	/* 1 grows so long that first 3, then 2 have to leave. */
	submit(e, 0, 1, 4000, 8000);
	submit(e, 0, 2, 4000, 8000);
	submit(e, 0, 3, 4000, 8000);
	log_a.n = 0;
	while (stats_of(e).evictions < 2) {
		log_a.n = 0;
		step(e, &log_a);
	}
	assert_int_equal(stats_of(e).running, 1);
	assert_int_equal(stats_of(e).waiting, 2);
	log_a.n = 0;
	step(e, &log_a);
	assert_int_equal(log_a.n, 1);
	assert_int_equal(log_a.row[0].cookie, 1);
	/* Once 1 is done, 2 comes before 3, which was evicted first. */
	while (born[2] == 0) {
		log_a.n = 0;
		step(e, &log_a);
		for (size_t i = 0; i < log_a.n; i++) {
			uint64_t c = log_a.row[i].cookie;

			if (c != 1 && first_after == 0)
				first_after = (size_t)c;
			born[c - 1]++;
		}
	}
	assert_int_equal(first_after, 2);
	engine_free(e);
}

static void speed_divides_every_time_and_nothing_else(void **state)
{
	struct engine_conf conf = { .gpu = "a10", .model = DEEPSEEK };
	struct engine *slow, *fast;

	(void)state;
	slow = engine_new(&conf);
	conf.speed = 20;
	fast = engine_new(&conf);
	for (uint64_t i = 0; i < 20; i++) {
		submit(slow, 0, i, 700, 30);
		submit(fast, 0, i, 700, 30);
	}
	run(slow, &log_a);
	run(fast, &log_b);
	assert_int_equal(log_a.n, log_b.n);
	for (size_t i = 0; i < log_a.n; i++) {
		assert_row(&log_b, i, log_a.row[i].cookie, log_a.row[i].tokens,
		           log_a.row[i].finished);
		assert_true(llabs(log_a.row[i].at - 20 * log_b.row[i].at) < (slo_nsec)20 * MAX_LOG);
	}
	engine_free(slow);
	engine_free(fast);
}

static void another_speed_counts_for_what_is_left_of_a_step_and_for_the_next(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);
	slo_nsec first, running, left, second;

	(void)state;
	submit(e, 0, 1, 100, 5);
	first = step(e, &log_a); /* token 1 */
	running = engine_next(e);
	left = (running - first) / 4;
	assert_true(engine_set_speed(e, running - left, 0.5));
	assert_int_equal(engine_next(e), running + left);
	assert_true(engine_set_speed(e, running, 1e-30));
	assert_true(engine_next(e) > running + (INT64_C(1) << 59));
	assert_true(engine_set_speed(e, running, 1e15));
	assert_false(engine_set_speed(e, running, 0));
	assert_false(engine_set_speed(e, running, -1));
	assert_false(engine_set_speed(e, running, (double)INFINITY));
	assert_false(engine_set_speed(e, running, (double)NAN));
	second = step(e, &log_a);
	assert_int_equal(second, running + 1);
	assert_int_equal(step(e, &log_a), second + 1);
	engine_free(e);
}

static void at_absurd_speed_time_still_advances(void **state)
{
	struct engine_conf conf = { .gpu = "h100", .model = DEEPSEEK, .speed = 1e15 };
	struct engine *e = engine_new(&conf);

	(void)state;
	assert_non_null(e);
	submit(e, 5, 1, 10, 2);
	assert_int_equal(step(e, &log_a), 6);
	assert_int_equal(step(e, &log_a), 7);
	engine_free(e);
}

static void prefill_first_stalls_the_decodes(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_PREFILL_FIRST, 0, 0);
	slo_nsec first, second;

	(void)state;
	submit(e, 0, 1, 100, 3);
	first = step(e, &log_a);      /* token 1 of 1 */
	submit(e, first, 2, 4096, 2); /* during the decode of token 2 */
	step(e, &log_a);
	second = step(e, &log_a);
	/* The prompt had a step of its own: only 2 got a token. */
	assert_int_equal(log_a.n, 3);
	assert_row(&log_a, 2, 2, 1, false);
	assert_ms(second - log_a.row[1].at, 766, 0.6);
	run(e, &log_a);
	assert_row(&log_a, 3, 1, 3, true);
	assert_row(&log_a, 4, 2, 2, true);
	engine_free(e);
}

static void chunked_decodes_go_on_while_a_prompt_is_cut_up(void **state)
{
	struct engine *e = engine_on("a10", ENGINE_CHUNKED, 0, 2048);
	slo_nsec before, at;

	(void)state;
	submit(e, 0, 1, 100, 10);
	before = step(e, &log_a);
	submit(e, before, 2, 4096, 2);
	before = step(e, &log_a);
	/* 2047 + 2047 + 2: three steps, each with a token for 1. */
	for (size_t i = 0; i < 3; i++) {
		size_t n = log_a.n;

		at = step(e, &log_a);
		assert_row(&log_a, n, 1, (uint32_t)(3 + i), false);
		assert_int_equal(log_a.n, n + (i == 2 ? 2 : 1));
		assert_true(i == 2 ? at - before < 40 * SLO_NSEC_PER_MSEC
		                   : at - before > 340 * SLO_NSEC_PER_MSEC);
		before = at;
	}
	assert_row(&log_a, log_a.n - 1, 2, 1, false);
	run(e, &log_a);
	assert_int_equal(log_a.n, 12);
	assert_idle(e);
	engine_free(e);
}

static void chunks_go_to_running_prompts_before_new_ones(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_CHUNKED, 0, 1000);

	(void)state;
	submit(e, 0, 1, 1500, 1);
	submit(e, 0, 2, 700, 1);
	step(e, &log_a); /* 1000 of 1 */
	assert_int_equal(log_a.n, 0);
	step(e, &log_a); /* 500 of 1, 500 of 2 */
	assert_int_equal(log_a.n, 1);
	assert_row(&log_a, 0, 1, 1, true);
	step(e, &log_a); /* 200 of 2 */
	assert_row(&log_a, 1, 2, 1, true);
	assert_int_equal(stats_of(e).prefill_tokens, 2200);
	assert_idle(e);
	engine_free(e);
}

static void one_prefill_step_takes_up_to_15000_tokens(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_PREFILL_FIRST, 0, 0);

	(void)state;
	submit(e, 0, 1, 10, 1);
	submit(e, 0, 2, 7500, 1);
	submit(e, 0, 3, 7500, 1);
	submit(e, 0, 4, 1, 1);
	submit(e, 0, 5, 20000, 1); /* longer than the budget: alone */
	step(e, &log_a);
	step(e, &log_a);
	assert_int_equal(log_a.n, 3);
	step(e, &log_a);
	assert_int_equal(log_a.n, 4);
	step(e, &log_a);
	assert_row(&log_a, 4, 5, 1, true);
	assert_idle(e);
	engine_free(e);
}

/* xorshift64*: this test's own sizes and gaps. */
static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(0x2545F4914F6CDD1D);
}

static uint64_t fingerprint(enum engine_mode mode, uint64_t seed)
{
	struct engine *e = engine_on("a10", mode, 0, 0);
	struct engine_handle h[300];
	uint64_t hash = 0;
	slo_nsec now = 0;
	uint32_t in, out;

	for (uint64_t i = 0; i < 300; i++) {
		now += (slo_nsec)(draw(&seed) % (50 * SLO_NSEC_PER_MSEC));
		log_b.n = 0;
		while (engine_step(e, now, record, &log_b))
			;
		in = 1 + (uint32_t)(draw(&seed) % 3000);
		out = 1 + (uint32_t)(draw(&seed) % 400);
		h[i] = submit(e, now, i, in, out);
		if (draw(&seed) % 4 == 0) /* often over already */
			assert_true(engine_cancel(e, h[draw(&seed) % (i + 1)]) <= SLO_OK);
		assert_true(stats_of(e).kv_used <= stats_of(e).kv_limit);
	}
	while (engine_next(e) != SLO_NEVER) {
		log_b.n = 0;
		step(e, &log_b);
		assert_true(stats_of(e).kv_used <= stats_of(e).kv_limit);
		for (size_t i = 0; i < log_b.n; i++)
			hash = (hash ^ (uint64_t)log_b.row[i].at ^ log_b.row[i].cookie) *
			       1099511628211u;
	}
	assert_true(stats_of(e).evictions > 0);
	assert_idle(e);
	engine_free(e);
	return hash;
}

static void the_same_calls_give_the_same_tokens_at_the_same_times(void **state)
{
	uint64_t a = fingerprint(ENGINE_PREFILL_FIRST, 42);
	uint64_t b = fingerprint(ENGINE_CHUNKED, 42);

	(void)state;
	assert_true(a == fingerprint(ENGINE_PREFILL_FIRST, 42));
	assert_true(b == fingerprint(ENGINE_CHUNKED, 42));
	assert_true(a != b);
	assert_true(a != fingerprint(ENGINE_PREFILL_FIRST, 43));
}

static void twenty_thousand_waiting_requests_all_end(void **state)
{
	struct engine *e = engine_on("l20", ENGINE_CHUNKED, 0, 0);
	uint64_t finished = 0;

	(void)state;
	for (uint64_t i = 0; i < 20000; i++)
		submit(e, 0, i, 50, 4);
	assert_int_equal(stats_of(e).waiting, 19999);
	while (engine_step(e, SLO_NEVER - 1, count, &finished))
		;
	assert_int_equal(finished, 20000);
	assert_int_equal(stats_of(e).output_tokens, 80000);
	assert_idle(e);
	engine_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lone_decode_with_300_cached_takes_the_published_time),
		TEST(a_prefill_of_4096_takes_the_published_time),
		TEST(a_decode_slows_as_its_answer_grows),
		TEST(the_formula_adds_its_terms),
		TEST(the_kv_limit_follows_from_memory_and_model),
		TEST(every_gpu_runs_every_model),
		TEST(a_bad_configuration_gives_no_engine),
		TEST(what_can_never_fit_or_asks_for_nothing_is_refused),
		TEST(each_sequence_gets_one_token_per_step_until_its_last),
		TEST(no_step_ends_before_its_time_and_a_late_call_costs_nothing),
		TEST(what_arrives_during_a_step_joins_the_next),
		TEST(a_full_kv_cache_blocks_the_head_and_all_behind_it),
		TEST(admission_keeps_one_percent_of_the_kv_cache_free),
		TEST(at_most_max_num_seqs_run),
		TEST(the_newest_is_evicted_and_resumes_where_it_was),
		TEST(evictions_go_from_the_newest_and_come_back_oldest_first),
		TEST(speed_divides_every_time_and_nothing_else),
		TEST(another_speed_counts_for_what_is_left_of_a_step_and_for_the_next),
		TEST(at_absurd_speed_time_still_advances),
		TEST(prefill_first_stalls_the_decodes),
		TEST(chunked_decodes_go_on_while_a_prompt_is_cut_up),
		TEST(chunks_go_to_running_prompts_before_new_ones),
		TEST(one_prefill_step_takes_up_to_15000_tokens),
		TEST(the_same_calls_give_the_same_tokens_at_the_same_times),
		TEST(twenty_thousand_waiting_requests_all_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
