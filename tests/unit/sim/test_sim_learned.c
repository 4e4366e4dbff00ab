/* Whole runs without any profile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "report.h"
#include "sim.h"

#define TIMES 5 /* as fast as the GPUs are */

static struct workload workloads[WORKLOADS_MAX];
static char error[WORKLOAD_ERROR];

/* One server that is eight times as fast as each of the others, all five times as fast as life.
 * Requests of one size fill 62 % of them, after 8 s 2.5 times of them for 1.6 s. */
static struct sim_conf one_size(const char *strategy, double kv_factor)
{
	struct sim_conf conf = {
		.workloads = workloads,
		.load = TIMES,
		.burst = { .factor = 4.03, .seconds = 8.0 / TIMES, .period = 48.0 / TIMES },
		.seconds = 88.0 / TIMES,
		.engine = { .model = "llama2-7b" },
		.sched = sched_conf_default(),
		.max_output = -1,
		.optimism = 1,
		.slo = { .kind = GOAL_E2E, .fixed = 5.0 / TIMES },
		.learned = true,
		.kv_factor = kv_factor,
		.slow = { { .gpu = "h100", .speed = TIMES, .to = 1e6 },
		          { .gpu = "l20", .speed = TIMES, .to = 1e6 } },
		.slow_count = 2,
		.strategy = sim_strategy_find(strategy, strlen(strategy)),
	};

	assert_true(sim_parse_fleet("h100=1,l20=8", conf.types, &conf.type_count));
	conf.workload_count = workload_parse("512x128:19", workloads, error);
	conf.sched.queue_timeout = 6 * SLO_NSEC_PER_SEC;
	return conf;
}

/* Percent in time of those that came then, in seconds of life. */
static double in_time(const struct sim_result *r, double from, double to)
{
	unsigned met = 0, all = 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct sim_request *q = &r->requests[i];
		double at = TIMES * (double)q->arrival.t / 1e9;

		if (at < from || at >= to)
			continue;
		all++;
		met += q->end == SIM_SERVED && q->last - q->arrival.t <= SLO_NSEC_PER_SEC;
	}
	assert_true(all > 100);
	return 100.0 * met / all;
}

static void one_size_needs_no_profile(void **state)
{
	static const char *const strategies[] = { "slo", "slo-adaptive" };

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		for (int i = 0; i < 4; i++) {
			struct sim_conf conf = one_size(strategies[i % 2], i / 2);
			struct sim_result r;

			if (!sim_run(&conf, seed, 0, &r, error))
				fail_msg("%s", error);
			assert_true(in_time(&r, 0, 40) > 95);
			assert_true(in_time(&r, 63, 88) > 99);
			sim_result_fini(&r);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_size_needs_no_profile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
