#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <math.h>
#include <stdlib.h>

#include "core/sizes.h"
#include "core/profile.h"
#include "core_build.h"

/* A profile whose cells are told apart by their index: rows x cols. */
static struct profile *grid(size_t rows, const double *outputs, size_t cols, const double *inputs)
{
	double *ones = calloc(rows * cols, sizeof(*ones));
	struct slo_profile_doc doc = {
		.rows = rows,
		.cols = cols,
		.output_axis = (double *)outputs,
		.input_axis = (double *)inputs,
		.tputs = ones,
		.e2e = ones,
	};
	struct profile *p;

	assert_non_null(ones);
	for (size_t i = 0; i < rows * cols; i++)
		ones[i] = 1;
	p = profile_new(&doc);
	assert_non_null(p);
	free(ones);
	return p;
}

static void a_document_without_cells_is_no_profile(void **state)
{
	(void)state;
	assert_null(profile_new(&(struct slo_profile_doc){ .rows = 0, .cols = 3 }));
	assert_null(profile_new(&(struct slo_profile_doc){ .rows = 3, .cols = 0 }));
	profile_free(NULL);
}

static void one_index_takes_every_size(void **state)
{
	const double axis[] = { 512 };
	struct profile *p = grid(1, axis, 1, axis);

	(void)state;
	assert_int_equal(profile_cell(p, 0, 0), 0);
	assert_int_equal(profile_cell(p, INT64_MAX, INT64_MAX), 0);
	profile_free(p);
}

static void sizes_outside_of_the_axis_go_to_its_ends(void **state)
{
	const double in[] = { 128, 512, 2048 }, out[] = { 16, 64 };
	struct profile *p = grid(2, out, 3, in);

	(void)state;
	assert_int_equal(profile_cell(p, 0, 0), 0);
	assert_int_equal(profile_cell(p, -5, -5), 0);
	assert_int_equal(profile_cell(p, 127, 15), 0);
	assert_int_equal(profile_cell(p, 2049, 0), 2);
	assert_int_equal(profile_cell(p, 0, 65), 3);
	assert_int_equal(profile_cell(p, INT64_MAX, INT64_MAX), 5);
	profile_free(p);
}

/* The border is the smallest t with t * t >= a * b. */
static void borders_lie_halfway_in_log2_and_a_tie_goes_up(void **state)
{
	const struct {
		double a, b;
		int64_t border;
	} cases[] = {
		{ 128, 512, 256 }, /* exact, powers of two */
		{ 1, 4, 2 },
		{ 1, 2, 2 },          /* sqrt(2) */
		{ 1024, 2048, 1449 }, /* 1448.15 */
		{ 100, 400, 200 },    /* exact, not powers of two */
		{ 100, 300, 174 },    /* 173.2 */
		{ 10, 1000, 100 },
		{ 7, 343, 49 },
		{ 3, 5, 4 },         /* 3.87 */
		{ 999, 1001, 1000 }, /* 999.9995 */
		{ 1.5, 6, 3 },
		{ 1000000, 4000000, 2000000 },
		{ 999983, 1000003, 999993 }, /* 999992.99995 */
		{ 1048576, 4194304, 2097152 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const double axis[] = { cases[i].a, cases[i].b }, one[] = { 64 };
		struct profile *in = grid(1, one, 2, axis), *out = grid(2, axis, 1, one);

		assert_int_equal(profile_cell(in, cases[i].border - 1, 64), 0);
		assert_int_equal(profile_cell(in, cases[i].border, 64), 1);
		assert_int_equal(profile_cell(in, cases[i].border + 1, 64), 1);
		assert_int_equal(profile_cell(out, 64, cases[i].border - 1), 0);
		assert_int_equal(profile_cell(out, 64, cases[i].border), 1);
		profile_free(in);
		profile_free(out);
	}
}

/* Against the definition itself, nearer in log2 with ties up, in exact integers. */
static void every_size_goes_to_the_nearer_index(void **state)
{
	const double axis[] = { 3, 17, 32, 100, 333, 1024 }, one[] = { 1 };
	struct profile *p = grid(1, one, 6, axis);

	(void)state;
	for (int64_t t = 1; t < 2000; t++) {
		size_t nearest = 0;

		while (nearest < 5 && t * t >= (int64_t)axis[nearest] * (int64_t)axis[nearest + 1])
			nearest++;
		assert_int_equal(profile_cell(p, t, 1), nearest);
	}
	profile_free(p);
}

static void rows_are_output_and_columns_are_input(void **state)
{
	const double in[] = { 128, 512, 2048 }, out[] = { 16, 64 };
	struct profile *p = grid(2, out, 3, in);

	(void)state;
	assert_int_equal(profile_cell(p, 2048, 16), 2);
	assert_int_equal(profile_cell(p, 128, 64), 3);
	assert_int_equal(profile_cell(p, 512, 64), 4);
	assert_int_equal(profile_cells(p), 6);
	profile_free(p);
}

static slo_load load_of(double tput, double e2e)
{
	struct profile *p = profile_of(&(struct one_cell){ .tput = tput, .e2e = e2e });
	slo_load load = profile_load(p, 0);

	profile_free(p);
	return load;
}

static void load_is_the_share_of_one_request_rounded_down(void **state)
{
	(void)state;
	assert_true(load_of(4, 1) == SLO_LOAD_ONE / 4);
	assert_true(load_of(0.8, 5) == SLO_LOAD_ONE / 4);
	assert_true(load_of(1, 1) == SLO_LOAD_ONE);
	assert_true(load_of(0.25, 2) == 2 * SLO_LOAD_ONE);
	assert_true(load_of(2.6666666666666665, 3) == SLO_LOAD_ONE / 8);
	for (uint64_t n = 1; n <= 1000; n++)
		assert_true(load_of((double)n, 1) == SLO_LOAD_ONE / n);
}

static void load_of_a_cell_that_cannot_tell_is_zero(void **state)
{
	(void)state;
	assert_true(load_of(0, 1) == 0);
	assert_true(load_of(4, 0) == 0); /* no e2e at all */
	assert_true(load_of(4, NAN) == 0);
}

static void load_is_never_more_than_its_limit(void **state)
{
	(void)state;
	assert_true(load_of(1e-9, 1e-9) == SLO_LOAD_MAX);
	assert_true(load_of(1e-320, 1e-3) == SLO_LOAD_MAX);
	assert_true(load_of(1e300, 1e300) == 0);
	assert_true(load_of(1.0 / 4096, 1) == SLO_LOAD_MAX);
	assert_true(load_of(1.0 / 4095, 1) < SLO_LOAD_MAX);
}

static const struct one_cell every_target = { .tput = 1,
	                                      .e2e = 3,
	                                      .ttft = 0.5,
	                                      .slo_e2e = 10,
	                                      .slo_ttft = 2,
	                                      .slo_tpot = 0.25,
	                                      .slo_tpat = 0.125 };

/* The rank of 32 prompt and 16 predicted tokens, against the profile's own targets. */
static slo_nsec rank_of(const struct one_cell *c, enum goal_kind kind)
{
	struct profile *p = profile_of(c);
	struct goal goal = profile_goal(p, &(struct slo_target){ 0 });
	slo_nsec rank;

	assert_int_equal(goal.kind, kind);
	assert_true(
	    profile_rank(p, profile_cell(p, 32, 16), &goal, goal_span(&goal, 32, 16), &rank));
	profile_free(p);
	return rank;
}

static void the_first_target_that_is_set_decides(void **state)
{
	struct one_cell c = every_target;

	(void)state;
	assert_true(rank_of(&c, GOAL_TPOT) == SEC(3 - (0.25 * 16 + 2)));
	c.slo_tpot = 0;
	assert_true(rank_of(&c, GOAL_TTFT) == SEC(0.5 - 2));
	c.slo_ttft = 0;
	assert_true(rank_of(&c, GOAL_TPAT) == SEC(3 - 0.125 * 48));
	c.slo_tpat = 0;
	assert_true(rank_of(&c, GOAL_E2E) == SEC(3 - 10));
}

static void tpot_without_ttft_has_no_fixed_part(void **state)
{
	struct one_cell c = every_target;

	(void)state;
	c.slo_ttft = 0;
	assert_true(rank_of(&c, GOAL_TPOT) == SEC(3 - 0.25 * 16));
}

static void without_a_target_there_is_no_rank(void **state)
{
	struct profile *p = profile_of(&(struct one_cell){ .tput = 1, .e2e = 1 });
	struct goal goal = profile_goal(p, &(struct slo_target){ 0 });
	slo_nsec rank = 42;

	(void)state;
	assert_int_equal(goal.kind, GOAL_NONE);
	assert_false(profile_rank(p, 0, &goal, goal_span(&goal, 1, 1), &rank));
	assert_true(rank == 42);
	assert_true(goal_span(&goal, 1, 1) == 0);
	profile_free(p);
}

static void the_own_targets_replace_the_profiles_as_a_group(void **state)
{
	struct profile *p = profile_of(&every_target);
	struct goal goal;

	(void)state;
	goal = profile_goal(p, &(struct slo_target){ .e2e = SEC(4) });
	assert_int_equal(goal.kind, GOAL_E2E);
	assert_true(goal_span(&goal, 32, 16) == SEC(4));
	goal = profile_goal(p, &(struct slo_target){ .e2e = SEC(4), .ttft = SEC(1) });
	assert_int_equal(goal.kind, GOAL_TTFT);
	assert_true(goal_span(&goal, 32, 16) == SEC(1));
	goal = profile_goal(p, &(struct slo_target){ .tpot = MSEC(50) });
	assert_int_equal(goal.kind, GOAL_TPOT);
	assert_true(goal_span(&goal, 32, 16) == MSEC(800)); /* not plus the profile's ttft */
	goal = profile_goal(p, &(struct slo_target){ .tpot = MSEC(50), .ttft = MSEC(200) });
	assert_true(goal_span(&goal, 32, 16) == MSEC(1000));
	profile_free(p);
}

#define MISSED(kind) (1u << (kind))

/* What 32 prompt and 16 output tokens missed of all targets but those without their letter. */
static unsigned missed(const char *set, double e2e, double ttft)
{
	struct one_cell c = every_target;
	struct profile *p;
	unsigned bits;
	struct goal goal;

	c.slo_tpot = strchr(set, 'o') ? c.slo_tpot : 0;
	c.slo_ttft = strchr(set, 'f') ? c.slo_ttft : 0;
	c.slo_tpat = strchr(set, 'a') ? c.slo_tpat : 0;
	c.slo_e2e = strchr(set, 'e') ? c.slo_e2e : 0;
	p = profile_of(&c);
	goal = profile_goal(p, &(struct slo_target){ 0 });
	bits = goal_missed(&goal, 32, 16, SEC(e2e), ttft < 0 ? -1 : SEC(ttft));
	profile_free(p);
	return bits;
}

static void a_promise_is_kept_if_all_targets_are_met(void **state)
{
	(void)state;
	/* tpot allows 0.25 * 16 + 2 s, tpat 0.125 * 48 s */
	assert_int_equal(missed("ofae", 6, 2), 0);
	assert_int_equal(missed("ofae", 6, 2.001), MISSED(GOAL_TTFT));
	assert_int_equal(missed("ofae", 6.001, 2), MISSED(GOAL_TPOT) | MISSED(GOAL_TPAT));
	assert_int_equal(missed("ofae", 10.001, 3), MISSED(GOAL_TPOT) | MISSED(GOAL_TPAT) |
	                                                MISSED(GOAL_E2E) | MISSED(GOAL_TTFT));
	assert_int_equal(missed("oe", 4.001, 9), MISSED(GOAL_TPOT));
	assert_int_equal(missed("fe", 10.001, 2), MISSED(GOAL_E2E));
	assert_int_equal(missed("fe", 10, 2.001), MISSED(GOAL_TTFT));
	assert_int_equal(missed("ae", 10.001, 9), MISSED(GOAL_TPAT) | MISSED(GOAL_E2E));
	assert_int_equal(missed("a", 6.001, 9), MISSED(GOAL_TPAT));
	assert_int_equal(missed("e", 10.001, 9), MISSED(GOAL_E2E));
	assert_int_equal(missed("", 1e6, 1e6), 0);
}

static void a_whole_answer_is_not_judged_by_its_first_token(void **state)
{
	(void)state;
	assert_int_equal(missed("f", 1e6, -1), 0);
	assert_int_equal(missed("fe", 10.001, -1), MISSED(GOAL_E2E));
	assert_int_equal(missed("of", 6.001, -1), MISSED(GOAL_TPOT));
}

static bool has_rank(const struct one_cell *c)
{
	struct profile *p = profile_of(c);
	struct goal goal = profile_goal(p, &(struct slo_target){ 0 });
	slo_nsec rank;
	bool yes = profile_rank(p, 0, &goal, goal_span(&goal, 1, 1), &rank);

	profile_free(p);
	return yes;
}

static void a_rank_needs_the_value_that_its_goal_compares(void **state)
{
	(void)state;
	assert_false(has_rank(&(struct one_cell){ .tput = 1, .e2e = NAN, .slo_e2e = 1 }));
	assert_false(has_rank(&(struct one_cell){ .tput = 1, .slo_e2e = 1 }));
	assert_false(has_rank(&(struct one_cell){ .tput = 1, .e2e = 1, .slo_ttft = 1 }));
	assert_false(
	    has_rank(&(struct one_cell){ .tput = 1, .e2e = 1, .ttft = NAN, .slo_ttft = 1 }));
	assert_true(
	    has_rank(&(struct one_cell){ .tput = 1, .e2e = NAN, .ttft = 1, .slo_ttft = 1 }));
	assert_true(has_rank(&(struct one_cell){ .tput = 1, .e2e = 1, .ttft = NAN, .slo_e2e = 1 }));
}

static void huge_times_are_cut_and_do_not_overflow(void **state)
{
	const struct one_cell c = { .tput = 1, .e2e = 1e300, .slo_tpot = 1e300 };
	struct profile *p = profile_of(&c);
	struct goal goal = profile_goal(p, &(struct slo_target){ 0 });
	slo_nsec rank;

	(void)state;
	assert_true(profile_rank(p, 0, &goal, goal_span(&goal, INT32_MAX, INT32_MAX), &rank));
	assert_true(rank == 0); /* both are cut to the same span */
	assert_true(goal_span(&goal, INT32_MAX, INT32_MAX) == INT64_C(1000000000000000000));
	profile_free(p);
}

static void throughput_zero_is_infeasible_and_counted(void **state)
{
	const double in[] = { 128, 512, 2048 }, tputs[] = { 4, 0, 0 };
	struct profile *p = profile_by_input(3, in, tputs, 5);

	(void)state;
	assert_false(profile_infeasible(p, 0));
	assert_true(profile_infeasible(p, 1));
	assert_int_equal(profile_zero_cells(p), 2);
	assert_true(profile_created(p) == 1);
	profile_free(p);
}

static void log2_rounds_to_the_nearest_power(void **state)
{
	(void)state;
	assert_int_equal(log2_round(INT64_MIN), 0);
	assert_int_equal(log2_round(0), 0);
	assert_int_equal(log2_round(1), 0);
	assert_int_equal(log2_round(2), 1);
	assert_int_equal(log2_round(3), 2);
	assert_int_equal(log2_round(5), 2);
	assert_int_equal(log2_round(6), 3);
	assert_int_equal(log2_round(90), 6);
	assert_int_equal(log2_round(91), 7);
	assert_int_equal(log2_round(181), 7);
	assert_int_equal(log2_round(182), 8);
	assert_int_equal(log2_round(INT64_MAX), 31);
	for (int64_t t = 1; t < 100000; t++)
		assert_int_equal(log2_round(t), lround(log2((double)t)));
}

static void a_target_is_read_as_people_write_it(void **state)
{
	static const struct {
		const char *text;
		enum goal_kind kind; /* GOAL_NONE: it is none */
		double seconds;
	} cases[] = {
		{ "e2e=2s", GOAL_E2E, 2 },      { "tpot=50ms", GOAL_TPOT, 0.05 },
		{ "ttft=0.5", GOAL_TTFT, 0.5 }, { "tpat=1e-2s", GOAL_TPAT, 0.01 },
		{ "e2e", GOAL_NONE, 0 },        { "e2e=", GOAL_NONE, 0 },
		{ "e2e=0", GOAL_NONE, 0 },      { "e2e=-1s", GOAL_NONE, 0 },
		{ "e2e=1e6", GOAL_NONE, 0 },    { "e2e=nan", GOAL_NONE, 0 },
		{ "e2e=2m", GOAL_NONE, 0 },     { "e2e=2sx", GOAL_NONE, 0 },
		{ "e2=2s", GOAL_NONE, 0 },      { "e2ee=2s", GOAL_NONE, 0 },
		{ "=2s", GOAL_NONE, 0 },        { "", GOAL_NONE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double target[GOAL_KINDS] = { 0 };

		assert_int_equal(goal_read(cases[i].text, target), cases[i].kind != GOAL_NONE);
		for (int k = 0; k < GOAL_KINDS; k++) {
			double want = cases[i].kind == (enum goal_kind)k ? cases[i].seconds : 0;

			assert_true(fabs(target[k] - want) < 1e-12);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_read_as_people_write_it),
		cmocka_unit_test(a_document_without_cells_is_no_profile),
		cmocka_unit_test(one_index_takes_every_size),
		cmocka_unit_test(sizes_outside_of_the_axis_go_to_its_ends),
		cmocka_unit_test(borders_lie_halfway_in_log2_and_a_tie_goes_up),
		cmocka_unit_test(every_size_goes_to_the_nearer_index),
		cmocka_unit_test(rows_are_output_and_columns_are_input),
		cmocka_unit_test(load_is_the_share_of_one_request_rounded_down),
		cmocka_unit_test(load_of_a_cell_that_cannot_tell_is_zero),
		cmocka_unit_test(load_is_never_more_than_its_limit),
		cmocka_unit_test(the_first_target_that_is_set_decides),
		cmocka_unit_test(tpot_without_ttft_has_no_fixed_part),
		cmocka_unit_test(without_a_target_there_is_no_rank),
		cmocka_unit_test(the_own_targets_replace_the_profiles_as_a_group),
		cmocka_unit_test(a_promise_is_kept_if_all_targets_are_met),
		cmocka_unit_test(a_whole_answer_is_not_judged_by_its_first_token),
		cmocka_unit_test(a_rank_needs_the_value_that_its_goal_compares),
		cmocka_unit_test(huge_times_are_cut_and_do_not_overflow),
		cmocka_unit_test(throughput_zero_is_infeasible_and_counted),
		cmocka_unit_test(log2_rounds_to_the_nearest_power),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
