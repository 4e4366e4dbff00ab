/* The latency model by itself: its formula, the sums of a server, the fit and its errors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/latency/errors.h"
#include "core/latency/fit.h"
#include "core/latency/flow.h"
#include "core/latency/rates.h"
#include "core_build.h"
#include "latency_build.h"

/* rates */

static const struct latency_rates rates = { .step = 0.01,
	                                    .prompt = 0.0001,
	                                    .cached = 1e-6,
	                                    .kv = 10000,
	                                    .kv_told = true,
	                                    .headroom = 0.5,
	                                    .crowd = 1 };
static const struct latency_target none = { 0, 0 };

static void a_cell_is_what_the_formula_says(void **state)
{
	struct latency_cell c = latency_cell(&rates, 1000, 100, &none);
	slo_load load;

	(void)state;
	/* A = 100 steps; W = 1000 prompt tokens and 100 steps that read 1050 tokens */
	near(c.own, 1.0, 1e-12);
	near(c.others, 0.1 + 0.105, 1e-12);
	near(c.at_once, 10000.0 / 1100, 1e-12);
	near(c.e2e, 1.0 + c.at_once * 0.205, 1e-12);
	(void)latency_usual(&rates, 1000, 100, &none, false, &load);
	assert_int_equal(load, (slo_load)(SLO_LOAD_ONE / c.at_once));
}

static void as_many_as_the_target_allows(void **state)
{
	struct latency_target e2e = { .e2e = 4 }, alone = { .e2e = 2 * 1.2051 };

	(void)state;
	near(latency_cell(&rates, 1000, 100, &e2e).at_once, (2.0 - 1) / 0.205, 1e-9);
	near(latency_cell(&rates, 1000, 100, &alone).at_once, 1, 0.001);
}

/* One after the other would keep no promise either, and all others would wait. Whom only safety
 * makes late is not foreseen beyond its target. */
static void what_is_late_even_alone_takes_no_whole_server(void **state)
{
	struct latency_target e2e = { .e2e = 2 * 1.2051 }, ttft = { .ttft = 0.1 };
	double n = 2 + 1 / 0.205;
	slo_load load;

	(void)state;
	near(latency_usual(&rates, 1000, 100, &e2e, false, &load), 1.205, 0.001);
	near(load_to_double(load), 1, 0.001);
	e2e.e2e = 2 * 1.205 * 0.9;
	near(latency_usual(&rates, 1000, 100, &e2e, false, &load), 1 + (n + 1) / 2 * 0.205, 1e-9);
	near(load_to_double(load), 1 / ((n + 1) / 2), 1e-6);
	e2e.e2e = 2 * 1.205 * 0.7;
	near(latency_usual(&rates, 1000, 100, &e2e, false, &load), e2e.e2e, 1e-9);
	near(load_to_double(load), 1 / n, 1e-6);
	e2e.e2e = 1.205 * 0.9;
	near(latency_usual(&rates, 1000, 100, &e2e, false, &load), 1.205, 1e-9);
	near(load_to_double(load), 1 / n, 1e-6);
	assert_true(latency_cell(&rates, 1000, 100, &e2e).at_once == 1);
	(void)latency_usual(&rates, 1000, 10, &ttft, true, &load);
	assert_true(load < SLO_LOAD_ONE);
	assert_true(latency_cell(&rates, 1000, 10, &ttft).at_once == 1);
}

static void first_tokens_limit_the_time_in_prompts(void **state)
{
	struct latency_target ttft = {
		.ttft = 0.32
	}; /* half of it is 0.16: 0.15 for a prompt of 0.1 */
	struct latency_cell c = latency_cell(&rates, 1000, 10, &ttft);

	(void)state;
	/* 1 + r / (2 - 2r) = 1.5 for r = 1/2 */
	near(c.at_once * 0.1 / (c.own + c.at_once * c.others), 0.5, 1e-9);
	near(c.ttft, 0.16, 1e-9);
}

static void beyond_the_knee_requests_wait_for_each_other(void **state)
{
	struct latency_rates r = rates;
	struct latency_cell c;

	(void)state;
	r.kv = 1e9;
	c = latency_cell(&r, 1000, 100, &none);
	near(c.at_once, 1 + 14 * 1.0 / 0.205, 1e-9);
	r.kv_told = false; /* they might wait inside the engine, so fewer */
	c = latency_cell(&r, 1000, 100, &none);
	near(c.at_once, 1 + 10 * 1.0 / 0.205, 1e-9);
	r.crowd = 2;
	near(latency_cell(&r, 1000, 100, &none).at_once, c.at_once / 2, 1e-9);
}

static void any_size_has_a_cell(void **state)
{
	static const int64_t sizes[] = { -1, 0, 1, 2, 100000, INT32_MAX };
	static const double kvs[] = { 1e-300, 1, 1e12 };

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		for (size_t p = 0; p < 6; p++) {
			for (size_t o = 0; o < 6; o++) {
				struct latency_rates r = rates;
				struct latency_cell c;

				r.kv = kvs[k];
				c = latency_cell(&r, sizes[p], sizes[o], &none);
				assert_true(isfinite(c.e2e) && c.e2e > 0 && isfinite(c.ttft));
				assert_true(c.at_once >= 1);
			}
		}
	}
}

/* flow */

static void a_stay_sees_what_went_through_its_server(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a, b;
	struct latency_features x;

	(void)state;
	latency_flow_enter(&f, SEC(1), 1000, 100, 0.001, &a); /* 1 s of prompt */
	latency_flow_enter(&f, SEC(1.25), 400, 200, 0.001, &b);
	assert_int_equal(a.backlog, 0);
	assert_int_equal(b.backlog, 750);
	assert_true(latency_flow_held(&f) == 1050 + 500);
	assert_true(latency_flow_leave(&f, SEC(3), SEC(1), 50, &a, &x));
	near(x.seconds, 2, 1e-12);
	assert_true(x.steps == 50 && x.prompts == 1400);
	/* 1050 tokens for 2 s and 500 for 1.75 s */
	near(x.reads, 50 * (2 * 1050 + 1.75 * 500) / 2, 1e-12);
	assert_true(latency_flow_leave(&f, SEC(4), SEC(1.25), 200, &b, &x));
	assert_true(x.prompts == 750 + 400);
	near(x.reads, 200 * (1.75 * 1050 + 2.75 * 500) / 2.75, 1e-12);
	assert_true(latency_flow_held(&f) == 0);
}

static void a_stay_ends_once(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a;
	struct latency_features x;

	(void)state;
	latency_flow_enter(&f, SEC(1), 0, 0, 0, &a);
	assert_true(f.cached > 0);
	assert_false(latency_flow_leave(&f, SEC(1), SEC(1), 1, &a, &x)); /* no time passed */
	assert_int_equal(f.cached, 0);
	assert_false(latency_flow_leave(&f, SEC(2), SEC(1), 1, &a, &x));
	assert_int_equal(f.cached, 0);
}

static void no_more_is_unread_than_is_there(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a;

	(void)state;
	latency_flow_enter(&f, SEC(1), 1000, 0, 0.001, &a);
	latency_flow_enter(&f, SEC(1), 500, 0, 1e-6, &a); /* prompts turned out to be fast */
	assert_int_equal(a.backlog, 1000);
	assert_true(f.drained == SEC(1) + 1500 * 1000);
}

static void sums_may_wrap(void **state)
{
	struct latency_flow f = { .prompts = UINT64_MAX - 10, .cached_time = UINT64_MAX - 10 };
	struct latency_stay a;
	struct latency_features x;

	(void)state;
	latency_flow_enter(&f, 0, 100, 2, 0.1, &a);
	assert_true(latency_flow_leave(&f, SEC(1), 0, 2, &a, &x));
	assert_true(x.prompts == 100);
	near(x.reads, 2 * 101, 1e-12);
}

static void absurd_sizes_are_not_believed(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a;
	struct latency_features x;

	(void)state;
	for (int i = 0; i < 100; i++) {
		latency_flow_enter(&f, SEC(i), INT64_MAX, INT64_MAX, 1e6, &a);
		assert_true(f.drained <= SEC(i + 3600));
	}
	latency_flow_enter(&f, SEC(100), -5, INT64_MIN, 1e-300, &a);
	assert_true(latency_flow_leave(&f, SEC(101), SEC(100), INT64_MAX, &a, &x));
	assert_true(isfinite(x.prompts) && isfinite(x.reads) && x.steps <= 1 << 24);
}

/* fit */

static void rates_are_found(void **state)
{
	static const double truths[][3] = { { 30e-3, 0.2e-3, 1e-6 },
		                            { 5e-3, 0.02e-3, 0.1e-6 },
		                            { 40e-3, 0.3e-3, 3e-6 } };

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		struct latency_fit f;
		struct rng rng;

		rng_init(&rng, 7);
		latency_fit_init(&f);
		for (int i = 0; i < 200; i++) {
			struct latency_features x = drawn(&rng, truths[t], 0.1);

			latency_fit_teach(&f, &x);
		}
		near(latency_fit_rate(&f, 0), truths[t][0], 0.10);
		near(latency_fit_rate(&f, 1), truths[t][1], 0.15);
		near(latency_fit_rate(&f, 2), truths[t][2], 0.30);
	}
}

/* A few chats and documents at once on a CPU, whose steps take as long as each of them has to be
 * computed: prompts and reads take 20 to 100 times what was guessed, steps less. */
static struct latency_features on_a_cpu(struct rng *rng, const double rate[3], double noise)
{
	bool document = rng_below(rng, 5) == 0;
	double prompt = document ? uniform(rng, 400, 700) : uniform(rng, 50, 120);
	double steps = document ? uniform(rng, 12, 24) : uniform(rng, 32, 64);
	double beside = uniform(rng, 0, 3);
	struct latency_features x = { .steps = steps,
		                      .prompts = prompt + beside * 100,
		                      .reads = steps * (prompt + steps / 2 + beside * 160) };

	x.seconds = (rate[0] * x.steps + rate[1] * x.prompts + rate[2] * x.reads) *
	            uniform(rng, 1 - noise, 1 + noise);
	return x;
}

static void engines_far_from_the_guess_are_known_after_few(void **state)
{
	static const double truths[][3] = { { 2e-3, 2e-3, 15e-6 }, { 10e-3, 9e-3, 70e-6 } };

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		struct latency_fit f;
		struct rng rng;
		double off = 0;

		rng_init(&rng, 7);
		latency_fit_init(&f);
		for (int i = 0; i < 30; i++) {
			struct latency_features x = on_a_cpu(&rng, truths[t], 0.1);

			latency_fit_question(&f, &x);
			latency_fit_teach(&f, &x);
		}
		for (int i = 0; i < 100; i++) {
			struct latency_features x = on_a_cpu(&rng, truths[t], 0);

			off += fabs(latency_fit_predict(&f, &x) / x.seconds - 1) / 100;
		}
		if (off > 0.15)
			fail_msg("predictions are off by %g", off);
	}
}

static void the_guess_is_kept_while_nothing_contradicts_it(void **state)
{
	static const double truth[] = { 30e-3, 0.2e-3, 1e-6 };
	struct latency_fit f, g;
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	latency_fit_init(&f);
	g = f;
	for (int i = 0; i < 30; i++) {
		struct latency_features x = drawn(&rng, truth, 0.1);

		latency_fit_question(&f, &x);
		latency_fit_teach(&f, &x);
		latency_fit_teach(&g, &x);
	}
	assert_memory_equal(&f, &g, sizeof(f));
}

/* Steps, prompts and reads that always grow together tell one thing only. That they tell again
 * when it changes, however long it was true. */
static void what_became_slower_is_learned_from_one_size(void **state)
{
	struct latency_fit f;
	struct latency_features x = { .seconds = 1, .steps = 40, .prompts = 4000, .reads = 1e5 };

	(void)state;
	latency_fit_init(&f);
	for (int i = 0; i < 20000; i++)
		latency_fit_teach(&f, &x);
	x.seconds = 2;
	for (int i = 0; i < 50; i++) {
		if (i % 10 == 0)
			latency_fit_doubt(&f, &x);
		latency_fit_teach(&f, &x);
	}
	near(latency_fit_predict(&f, &x), 2, 0.1);
	x.seconds = 1;
	for (int i = 0; i < 1500; i++)
		latency_fit_teach(&f, &x);
	near(latency_fit_predict(&f, &x), 1, 0.1);
}

static void one_kind_of_request_is_predicted_well_after_few(void **state)
{
	static const double truth[] = { 30e-3, 0.2e-3, 1e-6 };
	struct latency_fit f;
	struct latency_features x = { .steps = 40, .prompts = 4000, .reads = 40 * 5000 };

	(void)state;
	x.seconds = truth[0] * x.steps + truth[1] * x.prompts + truth[2] * x.reads;
	latency_fit_init(&f);
	for (int i = 0; i < 10; i++)
		latency_fit_teach(&f, &x);
	near(latency_fit_predict(&f, &x), x.seconds, 0.03);
}

/* The first requests, all of one size, of a server that is far faster than the guess. Steps,
 * prompts and reads grow together, so the best fit has rates below 0. */
static void what_one_size_does_not_tell_is_not_made_up(void **state)
{
	static const struct latency_features seen[] = {
		{ 0.210, 128, 1536, 170843 }, { 0.218, 128, 2048, 273954 },
		{ 0.218, 128, 2041, 274281 }, { 0.227, 128, 3072, 307991 },
		{ 0.229, 128, 3087, 350717 }, { 0.239, 128, 4096, 435271 },
		{ 0.243, 128, 4660, 505202 }, { 0.247, 128, 4724, 565465 },
		{ 0.245, 128, 4481, 581926 }, { 0.251, 128, 4608, 626824 },
	};
	struct latency_fit f;

	(void)state;
	latency_fit_init(&f);
	for (int i = 0; i < 10; i++) {
		if (i >= 3)
			near(latency_fit_predict(&f, &seen[i]), seen[i].seconds, 0.5);
		latency_fit_teach(&f, &seen[i]);
	}
}

static void what_was_forgotten_is_never_more_than_was_known(void **state)
{
	struct latency_fit f;
	struct latency_features x = { .seconds = 1, .steps = 40, .prompts = 4000, .reads = 1e5 };

	(void)state;
	latency_fit_init(&f);
	for (int i = 0; i < 20000; i++) {
		latency_fit_teach(&f, &x);
		latency_fit_doubt(&f, &x);
		assert_true(f.spread[0][0] + f.spread[1][1] + f.spread[2][2] < 6.751);
	}
	for (int i = 0; i < 3; i++)
		assert_true(isfinite(f.rate[i]) && f.rate[i] > 0);
}

/* What answers keep in the cache is nothing for long, and then it is much. */
static void what_comes_after_long_the_same_is_learned_and_stays(void **state)
{
	static const double truth[] = { 30e-3, 0.2e-3, 1e-6 };
	struct latency_fit f;
	struct rng rng;

	(void)state;
	rng_init(&rng, 21);
	latency_fit_init(&f);
	for (int i = 0; i < 60000; i++) {
		struct latency_features x = drawn(&rng, truth, 0.1);

		if (i < 20000) {
			x.seconds -= truth[2] * x.reads;
			x.reads = 0;
		}
		latency_fit_teach(&f, &x);
		for (int j = 0; j < LATENCY_RATES; j++)
			for (int k = 0; k < j; k++)
				assert_true(f.spread[j][k] == f.spread[k][j]);
	}
	near(latency_fit_rate(&f, 0), truth[0], 0.10);
	near(latency_fit_rate(&f, 1), truth[1], 0.15);
	near(latency_fit_rate(&f, 2), truth[2], 0.30);
}

static void late_ones_move_it_little(void **state)
{
	struct latency_fit f, g;
	struct latency_features x = { .seconds = 10, .steps = 40, .prompts = 4000, .reads = 1e5 };

	(void)state;
	latency_fit_init(&f);
	g = f;
	latency_fit_teach(&f, &x);
	x.seconds = 10000;
	latency_fit_teach(&g, &x);
	assert_true(latency_fit_predict(&g, &x) <= 1.5 * latency_fit_predict(&f, &x));
}

/* errors */

static void quantiles_of_errors(void **state)
{
	struct latency_errors e = { 0 };

	(void)state;
	assert_true(latency_errors_quantile(&e, 0.99) == 1 && latency_errors_median(&e) == 0);
	for (int i = 0; i < 95; i++)
		latency_errors_add(&e, log(1.01));
	for (int i = 0; i < 5; i++)
		latency_errors_add(&e, log(3));
	near(latency_errors_quantile(&e, 0.5), 1.03, 0.04);
	near(latency_errors_quantile(&e, 0.99), 3, 0.07);
	assert_true(latency_errors_median(&e) < 1 / 16.0);
	latency_errors_add(&e, INFINITY);
	latency_errors_add(&e, -INFINITY);
	latency_errors_add(&e, NAN);
	assert_int_equal(e.total, 103);
}

static void old_errors_fade(void **state)
{
	struct latency_errors e = { 0 };

	(void)state;
	for (int i = 0; i < 999; i++)
		latency_errors_add(&e, log(3));
	for (int i = 0; i < 3000; i++)
		latency_errors_add(&e, 0);
	assert_true(e.total < 1000);
	assert_true(latency_errors_quantile(&e, 0.9) < 1.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cell_is_what_the_formula_says),
		cmocka_unit_test(as_many_as_the_target_allows),
		cmocka_unit_test(what_is_late_even_alone_takes_no_whole_server),
		cmocka_unit_test(first_tokens_limit_the_time_in_prompts),
		cmocka_unit_test(beyond_the_knee_requests_wait_for_each_other),
		cmocka_unit_test(any_size_has_a_cell),
		cmocka_unit_test(a_stay_sees_what_went_through_its_server),
		cmocka_unit_test(a_stay_ends_once),
		cmocka_unit_test(no_more_is_unread_than_is_there),
		cmocka_unit_test(sums_may_wrap),
		cmocka_unit_test(absurd_sizes_are_not_believed),
		cmocka_unit_test(rates_are_found),
		cmocka_unit_test(engines_far_from_the_guess_are_known_after_few),
		cmocka_unit_test(the_guess_is_kept_while_nothing_contradicts_it),
		cmocka_unit_test(what_became_slower_is_learned_from_one_size),
		cmocka_unit_test(one_kind_of_request_is_predicted_well_after_few),
		cmocka_unit_test(what_one_size_does_not_tell_is_not_made_up),
		cmocka_unit_test(what_was_forgotten_is_never_more_than_was_known),
		cmocka_unit_test(what_comes_after_long_the_same_is_learned_and_stays),
		cmocka_unit_test(late_ones_move_it_little),
		cmocka_unit_test(quantiles_of_errors),
		cmocka_unit_test(old_errors_fade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
