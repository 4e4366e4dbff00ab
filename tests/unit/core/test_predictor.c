#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/estimator.h"
#include "core/predictor.h"
#include "core/sizes.h"
#include "core_build.h"

static int make(void **state)
{
	*state = predictor_new();
	return *state ? 0 : -1;
}

static int drop(void **state)
{
	predictor_free(*state);
	return 0;
}

static int64_t guess_as(struct predictor *p, slo_nsec now, int64_t input, enum slo_predict how)
{
	struct rng rng;

	rng_init(&rng, 1);
	return predictor_guess(p, now, 0, input, -1, how, SLO_COLD_OPTIMISTIC, &rng);
}

static void learn_n(struct predictor *p, slo_nsec now, int n, int64_t input, int64_t output)
{
	for (int i = 0; i < n; i++)
		predictor_learn(p, now, 0, input, output);
}

static int64_t cold(struct predictor *p, int64_t input, int64_t max_output, enum slo_cold how)
{
	struct rng rng;

	rng_init(&rng, 1);
	return predictor_guess(p, 0, 0, input, max_output, SLO_PREDICT_SAMPLE, how, &rng);
}

static void without_history_the_cold_option_answers(void **state)
{
	assert_int_equal(cold(*state, 512, -1, SLO_COLD_OPTIMISTIC), 1);
	assert_int_equal(cold(*state, 512, -1, SLO_COLD_INPUT), 512);
	assert_int_equal(cold(*state, 512, 300, SLO_COLD_MAX), 300);
	assert_int_equal(cold(*state, 512, -1, SLO_COLD_MAX), 512);
	assert_int_equal(cold(*state, 0, -1, SLO_COLD_INPUT), 1);
	assert_int_equal(cold(*state, -7, -1, SLO_COLD_MAX), 1);
}

static void no_guess_is_above_what_the_request_allows(void **state)
{
	struct rng rng;

	rng_init(&rng, 1);
	assert_int_equal(cold(*state, 512, 100, SLO_COLD_INPUT), 100);
	assert_int_equal(cold(*state, 512, 0, SLO_COLD_MAX), 0);
	assert_int_equal(cold(*state, 512, 0, SLO_COLD_OPTIMISTIC), 0);
	learn_n(*state, 0, 10, 512, 1024);
	assert_int_equal(
	    predictor_guess(*state, 0, 0, 512, 1024, SLO_PREDICT_P90, SLO_COLD_OPTIMISTIC, &rng),
	    1024);
	assert_int_equal(
	    predictor_guess(*state, 0, 0, 512, 1023, SLO_PREDICT_P90, SLO_COLD_OPTIMISTIC, &rng),
	    1023);
}

static void history_counts_for_prompts_of_about_the_same_size(void **state)
{
	predictor_learn(*state, 0, 0, 512, 64);
	assert_int_equal(guess_as(*state, 0, 512, SLO_PREDICT_SAMPLE), 64);
	assert_int_equal(guess_as(*state, 0, 363, SLO_PREDICT_SAMPLE), 64); /* rounds to 2^9 */
	assert_int_equal(guess_as(*state, 0, 724, SLO_PREDICT_SAMPLE), 64);
	assert_int_equal(guess_as(*state, 0, 362, SLO_PREDICT_SAMPLE), 1);
	assert_int_equal(guess_as(*state, 0, 725, SLO_PREDICT_SAMPLE), 1);
}

static void guesses_are_powers_of_two_of_the_real_size(void **state)
{
	predictor_learn(*state, 0, 0, 1, 90);
	predictor_learn(*state, 0, 0, 4, 91);
	predictor_learn(*state, 0, 0, 16, 0);
	assert_int_equal(guess_as(*state, 0, 1, SLO_PREDICT_P50), 64);
	assert_int_equal(guess_as(*state, 0, 4, SLO_PREDICT_P50), 128);
	assert_int_equal(guess_as(*state, 0, 16, SLO_PREDICT_P50), 1);
}

static void sizes_beyond_the_last_bucket_count_as_it(void **state)
{
	predictor_learn(*state, 0, 0, INT64_MAX, INT64_MAX);
	assert_int_equal(guess_as(*state, 0, INT64_C(1) << 20, SLO_PREDICT_P50), 1 << 20);
}

static void percentiles_take_the_nearest_rank(void **state)
{
	learn_n(*state, 0, 5, 512, 16);
	learn_n(*state, 0, 4, 512, 64);
	learn_n(*state, 0, 1, 512, 256);
	assert_int_equal(guess_as(*state, 0, 512, SLO_PREDICT_P50), 16);
	assert_int_equal(guess_as(*state, 0, 512, SLO_PREDICT_P90), 64);
	learn_n(*state, 0, 1, 512, 256); /* 11: the 6th and the 10th */
	assert_int_equal(guess_as(*state, 0, 512, SLO_PREDICT_P50), 64);
	assert_int_equal(guess_as(*state, 0, 512, SLO_PREDICT_P90), 256);
}

static void draws_follow_the_distribution_and_the_seed(void **state)
{
	struct rng a, b;
	int low = 0;

	rng_init(&a, 7);
	rng_init(&b, 7);
	learn_n(*state, 0, 3, 512, 16);
	learn_n(*state, 0, 1, 512, 256);
	for (int i = 0; i < 4000; i++) {
		int64_t x = predictor_guess(*state, 0, 0, 512, -1, SLO_PREDICT_SAMPLE,
		                            SLO_COLD_OPTIMISTIC, &a);

		assert_int_equal(x, predictor_guess(*state, 0, 0, 512, -1, SLO_PREDICT_SAMPLE,
		                                    SLO_COLD_OPTIMISTIC, &b));
		assert_true(x == 16 || x == 256);
		low += x == 16;
	}
	assert_in_range(low, 2850, 3150);
}

/* Learned in interval 0, so in the window up to the end of interval 23. */
static void the_oldest_interval_is_dropped_even_when_nothing_ends(void **state)
{
	slo_nsec last = 24 * PREDICTOR_INTERVAL - 1;

	predictor_learn(*state, PREDICTOR_INTERVAL - 1, 0, 512, 64);
	assert_int_equal(guess_as(*state, last, 512, SLO_PREDICT_SAMPLE), 64);
	assert_int_equal(predictor_samples(*state, last), 1);
	assert_int_equal(guess_as(*state, last + 1, 512, SLO_PREDICT_SAMPLE), 1);
	assert_int_equal(predictor_samples(*state, last + 1), 0);
}

static void each_interval_is_dropped_in_its_turn(void **state)
{
	for (int i = 0; i < 24; i++)
		learn_n(*state, i * PREDICTOR_INTERVAL, i + 1, 512, 64);
	for (uint64_t i = 0, left = 300; i <= 24; i++) {
		slo_nsec now = (23 + (slo_nsec)i) * PREDICTOR_INTERVAL;

		assert_int_equal(predictor_samples(*state, now), left);
		left -= i < 24 ? i + 1 : 0;
	}
}

static void a_long_silence_drops_everything(void **state)
{
	learn_n(*state, 0, 9, 512, 64);
	assert_int_equal(predictor_samples(*state, SEC(1e9)), 0);
	learn_n(*state, SEC(1e9), 2, 512, 64);
	assert_int_equal(predictor_samples(*state, SEC(1e9)), 2);
}

static void time_may_start_below_zero(void **state)
{
	predictor_learn(*state, -1, 0, 512, 64); /* interval -1 */
	assert_int_equal(predictor_samples(*state, 0), 1);
	assert_int_equal(predictor_samples(*state, 23 * PREDICTOR_INTERVAL - 1), 1);
	assert_int_equal(predictor_samples(*state, 23 * PREDICTOR_INTERVAL), 0);
}

static int64_t median_nearest(struct predictor *p, int64_t input, int64_t max_output)
{
	return predictor_guess(p, 0, 0, input, max_output, SLO_PREDICT_P50, SLO_COLD_NEAREST, NULL);
}

static void a_size_that_was_never_seen_counts_as_the_nearest_one(void **state)
{
	struct predictor *p = *state;

	assert_int_equal(median_nearest(p, 8192, -1), 1); /* no size was seen */
	learn_n(p, 0, 3, 256, 32);
	assert_int_equal(median_nearest(p, 1, -1), 32);
	assert_int_equal(median_nearest(p, INT64_MAX, -1), 32);
	assert_int_equal(median_nearest(p, 8192, 20), 20);
	learn_n(p, 0, 3, 4096, 64);
	assert_int_equal(median_nearest(p, 8192, -1), 64);
	assert_int_equal(median_nearest(p, 512, -1), 32);
	assert_int_equal(median_nearest(p, 1024, -1), 32); /* it is as far from both */
	assert_int_equal(median_nearest(p, 4096, -1), 64);
}

/* Prompts of 360 and 5,000 tokens, and estimates that are off by a half. */
static void a_vague_estimate_is_drawn_to_what_prompts_were(void **state)
{
	const double vague = 0.25, exact = 1e-4;
	struct predictor *p = *state;

	assert_int_equal(predictor_prompt(p, 0, 0, vague), 0);
	assert_in_range(predictor_prompt(p, 0, 1 << 13, vague), 8190, 8194); /* none was seen */
	learn_n(p, 0, 600, 360, 32);
	learn_n(p, 0, 400, 5000, 64);
	assert_in_range(predictor_prompt(p, 0, 15000, vague), 4000, 8000);
	assert_in_range(predictor_prompt(p, 0, 1800, vague), 1000, 4500);
	assert_in_range(predictor_prompt(p, 0, 100, vague), 150, 400);
	assert_true(predictor_prompt(p, 0, 5000, vague) < predictor_prompt(p, 0, 7000, vague));
	assert_in_range(predictor_prompt(p, 0, 15000, exact), 14900, 15100);
	assert_in_range(predictor_prompt(p, 0, 300, exact), 299, 301);
	/* Larger ones come: then one that looks like them is. */
	learn_n(p, 0, 400, 15000, 64);
	assert_true(predictor_prompt(p, 0, 15000, vague) > 10000);
	assert_in_range(predictor_prompt(p, 0, INT64_MAX / 2, vague), 1 << 20, SLO_TOKENS_MAX);
}

/* The estimator stands beside the predictor: both learn from what ended. */

static void an_estimator_that_learned_nothing_changes_nothing(void **state)
{
	struct estimator e;

	(void)state;
	estimator_init(&e);
	assert_true(estimator_factor(&e) == 1);
	assert_int_equal(estimator_input(&e, 1000), 1000);
	assert_int_equal(estimator_input(&e, -1), 0);
	assert_int_equal(estimator_output(&e, false, 0), 1);
	assert_int_equal(estimator_output(&e, true, -1), 1);
}

static void estimates_of_prompts_learn_the_models_factor(void **state)
{
	struct estimator e;

	(void)state;
	estimator_init(&e);
	for (int i = 0; i < 100; i++)
		estimator_learn_input(&e, 1000, 1500);
	assert_float_equal(estimator_factor(&e), 1.5, 1e-9);
	assert_int_equal(estimator_input(&e, 2000), 3000);
}

static void it_is_known_how_far_estimates_are_off(void **state)
{
	struct estimator e, exact;

	(void)state;
	estimator_init(&e);
	estimator_init(&exact);
	for (int i = 0; i < 29; i++)
		estimator_learn_input(&e, 1000, i % 2 ? 1500 : 3000);
	assert_true(estimator_variance(&e) == 0); /* too few to tell */
	for (int i = 0; i < 100; i++) {
		estimator_learn_input(&e, 1000, i % 2 ? 1500 : 3000);
		estimator_learn_input(&exact, 1000, i % 2 ? 1050 : 950);
	}
	assert_float_equal(estimator_variance(&e), 0.12, 0.01); /* of what is left: (ln 2 / 2)^2 */
	assert_true(estimator_variance(&exact) == 0);
}

static void one_absurd_count_moves_the_factor_little(void **state)
{
	struct estimator e;

	(void)state;
	estimator_init(&e);
	for (int i = 0; i < 100; i++)
		estimator_learn_input(&e, 1000, 1000);
	estimator_learn_input(&e, 16, INT64_MAX);
	assert_true(estimator_factor(&e) < 1.05);
	estimator_learn_input(&e, 15, 1); /* too short to tell */
	estimator_learn_input(&e, 1000, 0);
	estimator_learn_input(&e, 1000, -1);
	assert_true(estimator_factor(&e) > 1);
}

static void answer_sizes_teach_bytes_per_token(void **state)
{
	struct estimator e;

	(void)state;
	estimator_init(&e);
	for (int i = 0; i < 50; i++)
		estimator_learn_output(&e, false, ESTIMATOR_FIXED + 6 * 100, 100);
	assert_float_equal(estimator_bytes_per_token(&e, false), 6, 1e-9);
	assert_int_equal(estimator_output(&e, false, ESTIMATOR_FIXED + 6 * 200), 200);
	for (int i = 0; i < 50; i++)
		estimator_learn_output(&e, true, ESTIMATOR_FIXED + 300 * 100, 100);
	assert_int_equal(estimator_output(&e, true, ESTIMATOR_FIXED + 300 * 50), 50);
	assert_int_equal(estimator_output(&e, false, ESTIMATOR_FIXED + 6 * 200), 200);
}

/* Headers of 236 bytes, an event with a role and one that tells the end beside those of tokens. */
static void events_tell_what_a_token_of_a_stream_takes(void **state)
{
	const int64_t event = 151 + 9, none[] = { -1, 0, 19, 1025, INT64_MAX };
	struct estimator e;

	(void)state;
	estimator_init(&e);
	assert_float_equal(estimator_fixed(&e, true), ESTIMATOR_FIXED, 1e-9);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		estimator_learn_event(&e, none[i]);
	assert_int_equal(e.event.samples, 0);
	estimator_learn_event(&e, 151);
	assert_float_equal(estimator_bytes_per_token(&e, true), (double)event + 4.5, 1e-9);
	assert_float_equal(estimator_fixed(&e, true), 236 + 2 * (double)event, 1e-9);
	assert_float_equal(estimator_fixed(&e, false), ESTIMATOR_FIXED, 1e-9);
	assert_int_equal(estimator_output(&e, true, 236 + 2 * event + 30 * (event + 5)), 30);
	/* Who tells tokens knows better. */
	estimator_learn_output(&e, true, 236 + 2 * event + 320 * 100, 100);
	assert_float_equal(estimator_bytes_per_token(&e, true), 320, 1e-9);
}

static int64_t median_of(struct predictor *p, unsigned class)
{
	return predictor_guess(p, 0, class, 512, -1, SLO_PREDICT_P50, SLO_COLD_OPTIMISTIC, NULL);
}

/* Twenty one-word classifications for each chat, with prompts of the same size. */
static void a_class_is_predicted_by_its_own(void **state)
{
	struct predictor *p = *state;

	for (int i = 0; i < 100; i++)
		predictor_learn(p, 0, 5, 512, i % 20 == 0 ? 2 : 1);
	assert_int_equal(median_of(p, 7), 1); /* of chats nothing is known yet */
	for (int i = 0; i < 5; i++)
		predictor_learn(p, 0, 7, 512, 500);
	assert_int_equal(median_of(p, 7), 512);
	assert_int_equal(median_of(p, 5), 1);
	assert_int_equal(median_of(p, PREDICTOR_UNKNOWN), 1); /* by all */
	assert_int_equal(median_of(p, 1000), 1);
	assert_int_equal(predictor_samples(p, 0), 105);
}

/* What came without a class, as from a snapshot, counts for one as long as it is the only one. */
static void the_only_class_is_predicted_by_all(void **state)
{
	const struct predictor_count old = { .age = 0, .input = 9, .output = 3, .count = 10 };
	struct predictor *p = *state;

	predictor_import(p, 0, &old);
	predictor_learn(p, 0, 3, 512, 64);
	assert_int_equal(median_of(p, 3), 8);
	predictor_learn(p, 0, 4, 512, 2);
	assert_int_equal(median_of(p, 3), 64);
	assert_int_equal(median_of(p, 4), 2);
}

static void a_class_is_forgotten_with_its_window(void **state)
{
	struct predictor *p = *state;

	predictor_learn(p, 0, 3, 512, 64);
	predictor_learn(p, 0, 4, 512, 2);
	predictor_learn(p, SEC(240), 4, 512, 4);
	assert_int_equal(
	    predictor_guess(p, SEC(240), 3, 512, -1, SLO_PREDICT_P50, SLO_COLD_OPTIMISTIC, NULL),
	    4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_class_is_predicted_by_its_own, make, drop),
		cmocka_unit_test_setup_teardown(the_only_class_is_predicted_by_all, make, drop),
		cmocka_unit_test_setup_teardown(a_class_is_forgotten_with_its_window, make, drop),
		cmocka_unit_test_setup_teardown(without_history_the_cold_option_answers, make,
		                                drop),
		cmocka_unit_test_setup_teardown(no_guess_is_above_what_the_request_allows, make,
		                                drop),
		cmocka_unit_test_setup_teardown(history_counts_for_prompts_of_about_the_same_size,
		                                make, drop),
		cmocka_unit_test_setup_teardown(guesses_are_powers_of_two_of_the_real_size, make,
		                                drop),
		cmocka_unit_test_setup_teardown(sizes_beyond_the_last_bucket_count_as_it, make,
		                                drop),
		cmocka_unit_test_setup_teardown(percentiles_take_the_nearest_rank, make, drop),
		cmocka_unit_test_setup_teardown(draws_follow_the_distribution_and_the_seed, make,
		                                drop),
		cmocka_unit_test_setup_teardown(
		    the_oldest_interval_is_dropped_even_when_nothing_ends, make, drop),
		cmocka_unit_test_setup_teardown(each_interval_is_dropped_in_its_turn, make, drop),
		cmocka_unit_test_setup_teardown(a_long_silence_drops_everything, make, drop),
		cmocka_unit_test_setup_teardown(time_may_start_below_zero, make, drop),
		cmocka_unit_test_setup_teardown(
		    a_size_that_was_never_seen_counts_as_the_nearest_one, make, drop),
		cmocka_unit_test_setup_teardown(a_vague_estimate_is_drawn_to_what_prompts_were,
		                                make, drop),
		cmocka_unit_test(it_is_known_how_far_estimates_are_off),
		cmocka_unit_test(an_estimator_that_learned_nothing_changes_nothing),
		cmocka_unit_test(estimates_of_prompts_learn_the_models_factor),
		cmocka_unit_test(one_absurd_count_moves_the_factor_little),
		cmocka_unit_test(answer_sizes_teach_bytes_per_token),
		cmocka_unit_test(events_tell_what_a_token_of_a_stream_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
