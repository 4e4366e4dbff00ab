#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "measure.h"

#define DEEPSEEK "deepseek-coder-6.7b"

static struct measure_conf conf_of(const char *gpu)
{
	return (struct measure_conf){
		.engine = { .gpu = gpu, .model = DEEPSEEK },
		.slo = { .kind = GOAL_TPAT, .per_token = 0.05 },
		.share = 0.99,
		.runs = 3,
		.per_octave = 4,
		.seed = 1,
	};
}

static double prefill_seconds(const char *gpu, double p)
{
	struct engine_batch b = { .rows = (uint64_t)p, .attention = p * p / 2 };

	return engine_seconds(engine_gpu_find(gpu), engine_model_find(DEEPSEEK), &b);
}

static void assert_near(double got, double expected, double share)
{
	if (!(fabs(got - expected) <= share * fabs(expected)))
		fail_msg("%g, expected %g", got, expected);
}

static void a_rate_with_room_passes_and_one_far_above_does_not(void **state)
{
	struct measure_conf conf = conf_of("a10");
	struct measure_point p;

	(void)state;
	assert_true(measure_rate(&conf, 256, 32, 1, &p));
	assert_true(p.passes);
	assert_near(p.slo_share, 1, 1e-9);
	assert_near(p.rate, 1, 0);
	assert_true(measure_rate(&conf, 256, 32, 50, &p));
	assert_false(p.passes);
	assert_true(p.ended_share < 0.9);
}

static void latencies_of_an_idle_server_are_those_of_its_steps(void **state)
{
	struct measure_conf conf = conf_of("l20");
	struct measure_point p;
	double first = prefill_seconds("l20", 512);

	(void)state;
	assert_true(measure_rate(&conf, 512, 1, 0.01, &p));
	assert_near(p.e2e, first, 0.01);
	assert_near(p.ttft, first, 0.01);
	assert_true(fpclassify(p.tpot) == FP_ZERO);
	assert_true(measure_rate(&conf, 512, 11, 0.01, &p));
	assert_near(p.e2e, p.ttft + 10 * p.tpot, 1e-6);
}

/* Pollaczek and Khinchine, as for the simulator. */
static void one_at_a_time_takes_as_long_as_in_m_d_1(void **state)
{
	struct measure_conf conf = conf_of("l20");
	double s = prefill_seconds("l20", 512), rate = 0.5 / s;
	struct measure_point p;

	(void)state;
	conf.engine.max_num_seqs = 1;
	conf.runs = 40;
	assert_true(measure_rate(&conf, 512, 1, rate, &p));
	assert_near(p.e2e, s + rate * s * s / (2 * (1 - 0.5)), 0.03);
}

static void the_highest_rate_passes_and_the_next_of_the_grid_does_not(void **state)
{
	static const uint32_t sizes[][2] = { { 256, 32 }, { 4096, 32 }, { 512, 256 } };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct measure_conf conf = conf_of("a10");
		struct measure_point p, next;
		double step;

		assert_true(measure_highest(&conf, sizes[i][0], sizes[i][1], &p));
		assert_true(p.passes);
		step = log2(p.rate / MEASURE_LOWEST) * 4;
		assert_near(step, round(step), 1e-6);
		assert_true(
		    measure_rate(&conf, sizes[i][0], sizes[i][1], p.rate * exp2(0.25), &next));
		assert_false(next.passes);
	}
}

static void what_misses_at_every_rate_says_so_and_tells_the_lowest(void **state)
{
	struct measure_conf conf = conf_of("a10");
	struct measure_point p;

	(void)state;
	assert_true(measure_highest(&conf, 8192, 1024, &p));
	assert_false(p.passes);
	assert_near(p.rate, MEASURE_LOWEST, 0);
	assert_true(p.e2e > 0);
}

static void a_stricter_goal_lets_less_through(void **state)
{
	struct measure_conf conf = conf_of("l20");
	struct measure_point loose, strict, ttft;

	(void)state;
	assert_true(measure_highest(&conf, 1024, 64, &loose));
	conf.slo.per_token = 0.005;
	assert_true(measure_highest(&conf, 1024, 64, &strict));
	assert_true(strict.passes && strict.rate < loose.rate);
	conf.slo = (struct goal){ .kind = GOAL_TTFT, .fixed = 0.5 };
	assert_true(measure_highest(&conf, 1024, 64, &ttft));
	assert_true(ttft.passes && ttft.ttft < 0.5);
}

static void the_same_seed_measures_the_same(void **state)
{
	struct measure_conf conf = conf_of("a10");
	struct measure_point a, b;

	(void)state;
	assert_true(measure_rate(&conf, 512, 32, 3, &a));
	assert_true(measure_rate(&conf, 512, 32, 3, &b));
	assert_near(a.e2e, b.e2e, 0);
	conf.seed = 2;
	assert_true(measure_rate(&conf, 512, 32, 3, &b));
	assert_true(fabs(a.e2e - b.e2e) > 0);
}

static void what_cannot_be_served_is_no_measurement(void **state)
{
	struct measure_conf conf = conf_of("a10");
	struct measure_point p;

	(void)state;
	assert_false(measure_rate(&conf, 20000, 32, 1, &p));
	assert_false(measure_highest(&conf, 20000, 32, &p));
	conf.engine.gpu = "tpu";
	assert_false(measure_highest(&conf, 256, 32, &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_with_room_passes_and_one_far_above_does_not),
		cmocka_unit_test(latencies_of_an_idle_server_are_those_of_its_steps),
		cmocka_unit_test(one_at_a_time_takes_as_long_as_in_m_d_1),
		cmocka_unit_test(the_highest_rate_passes_and_the_next_of_the_grid_does_not),
		cmocka_unit_test(what_misses_at_every_rate_says_so_and_tells_the_lowest),
		cmocka_unit_test(a_stricter_goal_lets_less_through),
		cmocka_unit_test(the_same_seed_measures_the_same),
		cmocka_unit_test(what_cannot_be_served_is_no_measurement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
