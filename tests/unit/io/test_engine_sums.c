/* The growth of an engine's counters against what ended on its server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "core/estimator.h"
#include "io/agent/engine_sums.h"

static struct engine_facts counters(double prompts, double outputs)
{
	struct engine_facts f = { .known = 1 << ENGINE_PROMPTS | 1 << ENGINE_OUTPUTS };

	f.value[ENGINE_PROMPTS] = prompts;
	f.value[ENGINE_OUTPUTS] = outputs;
	return f;
}

/* n streams of 100 estimated prompt tokens and `bytes` of events each. */
static void streams(struct engine_window *w, int n, int64_t bytes)
{
	struct request r = { .estimate = 100, .stream = true };
	struct sched_end end = {
		.request = &r, .outcome = LESSON_ANSWERED, .input = 100, .output = 9
	};
	struct endline e = { .in = -1, .out = -1, .bytes = bytes + ESTIMATOR_FIXED };

	for (int i = 0; i < n; i++)
		engine_sums_add(&w->sums, &e, &end);
}

/* n whole answers that told 50 and 20. */
static void whole(struct engine_window *w, int n)
{
	struct request r = { .estimate = 70 };
	struct sched_end end = {
		.request = &r, .outcome = LESSON_ANSWERED, .input = 50, .output = 20
	};
	struct endline e = { .in = 50, .out = 20, .bytes = 900 };

	for (int i = 0; i < n; i++)
		engine_sums_add(&w->sums, &e, &end);
}

static bool page(struct engine_window *w, double prompts, double outputs, double held,
                 struct estimator_counted *out)
{
	struct engine_facts f = counters(prompts, outputs);

	return engine_window_page(w, &f, held, out);
}

static void what_was_told_is_taken_off(void **state)
{
	struct engine_window w = { 0 };
	struct estimator_counted c;

	(void)state;
	assert_false(page(&w, 1000, 500, 0, &c));
	streams(&w, 40, 2400);
	whole(&w, 10);
	assert_true(page(&w, 1000 + 40 * 150 + 10 * 50, 500 + 40 * 10 + 10 * 20, 0, &c));
	assert_int_equal(c.prompts, 40);
	assert_true(c.estimate == 4000 && c.input == 6000);
	assert_int_equal(c.streams, 40);
	assert_true(c.bytes == 40 * 2400 && c.output == 400);
	/* The next window begins there. */
	assert_int_equal(w.sums.ends, 0);
	assert_false(page(&w, 7500, 1100, 0, &c));
}

static void a_window_is_long_beside_what_is_in_flight(void **state)
{
	struct engine_window w = { 0 };
	struct estimator_counted c;

	(void)state;
	assert_false(page(&w, 0, 0, 1000, &c));
	streams(&w, 100, 2400);
	assert_false(page(&w, 15000, 1000, 1000, &c));
	assert_int_equal(w.sums.ends, 100); /* it goes on */
	streams(&w, 300, 2400);
	assert_true(page(&w, 60000, 4000, 1000, &c));
	assert_true(c.input == 60000);
}

static void an_idle_moment_is_the_best_begin(void **state)
{
	struct engine_window w = { 0 };
	struct estimator_counted c;

	(void)state;
	assert_false(page(&w, 0, 0, 1000, &c));
	streams(&w, 40, 2400);
	assert_false(page(&w, 6000, 400, 0, &c));
	assert_int_equal(w.sums.ends, 0);
	streams(&w, 40, 2400);
	assert_true(page(&w, 12000, 800, 0, &c));
	assert_true(c.input == 6000);
}

static void what_cannot_be_known_spoils_a_window(void **state)
{
	struct request r = { .estimate = 100, .stream = true };
	struct sched_end left = { .request = &r, .outcome = LESSON_LEFT };
	struct endline e = { .in = -1, .out = -1, .bytes = 5000 };
	struct engine_window w = { 0 };
	struct estimator_counted c;

	(void)state;
	assert_false(page(&w, 0, 0, 0, &c));
	streams(&w, 40, 2400);
	engine_sums_add(&w.sums, &e, &left);
	assert_false(page(&w, 6000, 400, 0, &c));
	assert_int_equal(w.sums.ends, 0);
	assert_int_equal(w.closed, 0);
}

static void an_engine_that_restarted_counts_anew(void **state)
{
	struct engine_window w = { 0 };
	struct estimator_counted c;

	(void)state;
	assert_false(page(&w, 5000, 5000, 0, &c));
	streams(&w, 40, 2400);
	assert_false(page(&w, 100, 10, 0, &c));
	assert_int_equal(w.sums.ends, 0);
}

static void the_estimator_believes_what_makes_sense(void **state)
{
	struct estimator_counted c = { .prompts = 40,
		                       .estimate = 4000,
		                       .input = 6000,
		                       .streams = 40,
		                       .bytes = 96000,
		                       .output = 400 };
	struct estimator e;

	(void)state;
	estimator_init(&e);
	estimator_learn_counted(&e, &c);
	assert_true(fabs(estimator_factor(&e) - 1.5) < 1e-9);
	assert_true(fabs(estimator_bytes_per_token(&e, true) - 240) < 1e-9);
	c.input = 100000; /* others use that engine too */
	c.output = -3;
	estimator_learn_counted(&e, &c);
	c.input = -1;
	c.output = 1e-300;
	estimator_learn_counted(&e, &c);
	assert_int_equal(e.input.samples, 40);
	assert_int_equal(e.stream.samples, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_is_taken_off),
		cmocka_unit_test(a_window_is_long_beside_what_is_in_flight),
		cmocka_unit_test(an_idle_moment_is_the_best_begin),
		cmocka_unit_test(what_cannot_be_known_spoils_a_window),
		cmocka_unit_test(an_engine_that_restarted_counts_anew),
		cmocka_unit_test(the_estimator_believes_what_makes_sense),
	};

	return cmocka_run_group_tests_name("engine_sums", tests, NULL, NULL);
}
