#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "sim.h"

#define DEEPSEEK "deepseek-coder-6.7b"

static char error[WORKLOAD_ERROR];
static const struct goal tpat_50ms = { .kind = GOAL_TPAT, .per_token = 0.05 };

/* A coarse profile of either GPU, good enough for decisions of every kind. */
static double axis_out[] = { 32, 256 }, axis_in[] = { 256, 4096 };
static double a10_tputs[] = { 11, 0.67, 1.8, 0 }, a10_e2e[] = { 3.2, 9.3, 12, 300 };
static double l20_tputs[] = { 20, 1.3, 3, 0.4 }, l20_e2e[] = { 9.5, 10.3, 8.4, 30 };
static const struct slo_profile_doc profile_a10 = { .rows = 2,
	                                            .cols = 2,
	                                            .output_axis = axis_out,
	                                            .input_axis = axis_in,
	                                            .tputs = a10_tputs,
	                                            .e2e = a10_e2e,
	                                            .created = 1,
	                                            .slo_tpat = 0.05 };
static const struct slo_profile_doc profile_l20 = { .rows = 2,
	                                            .cols = 2,
	                                            .output_axis = axis_out,
	                                            .input_axis = axis_in,
	                                            .tputs = l20_tputs,
	                                            .e2e = l20_e2e,
	                                            .created = 1,
	                                            .slo_tpat = 0.05 };

static struct workload workloads[WORKLOADS_MAX];

static struct sim_conf conf_of(const char *fleet, const char *traffic, const char *strategy)
{
	struct sim_conf conf = {
		.workloads = workloads,
		.load = 1,
		.seconds = 60,
		.engine = { .model = DEEPSEEK },
		.sched = sched_conf_default(),
		.max_output = -1,
		.optimism = 1,
		.maxconn = 8,
		.slo = tpat_50ms,
		.strategy = sim_strategy_find(strategy, strlen(strategy)),
	};

	assert_non_null(conf.strategy);
	assert_true(sim_parse_fleet(fleet, conf.types, &conf.type_count));
	for (size_t t = 0; t < conf.type_count; t++)
		conf.types[t].profile =
		    strcmp(conf.types[t].gpu, "a10") == 0 ? &profile_a10 : &profile_l20;
	conf.workload_count = workload_parse(traffic, workloads, error);
	assert_true(conf.workload_count > 0);
	return conf;
}

static struct sim_conf published(const char *strategy)
{
	return conf_of("a10=1,l20=4", "sharegpt-pub:7@a10,bird:4@l20", strategy);
}

static void run(const struct sim_conf *conf, uint64_t seed, struct sim_result *out)
{
	if (!sim_run(conf, seed, 0, out, error))
		fail_msg("%s", error);
}

static double seconds_of(slo_nsec t)
{
	return (double)t / 1e9;
}

static void assert_near(double got, double expected, double share)
{
	if (!(fabs(got - expected) <= share * fabs(expected)))
		fail_msg("%g, expected %g", got, expected);
}

static void assert_whole(const struct sim_conf *conf, const struct sim_result *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct sim_request *q = &r->requests[i];

		assert_true(q->waited >= 0);
		if (q->end == SIM_REJECTED)
			continue;
		assert_true(q->type < r->type_count);
		assert_true(q->server < 1 + 4);
		if (q->end == SIM_REFUSED)
			continue;
		/* No token can come before the prompt was processed at full speed. */
		assert_true(q->first > q->arrival.t + q->waited);
		assert_true(q->last >= q->first);
		assert_true((q->arrival.output == 1) == (q->last == q->first));
	}
	(void)conf;
}

static void every_request_ends_once_under_every_strategy(void **state)
{
	(void)state;
	for (const struct sim_strategy *s = sim_strategies; s->name; s++) {
		for (int mode = 0; mode < 2; mode++) {
			struct sim_conf conf = published(s->name);
			struct sim_result r;

			conf.engine.mode = (enum engine_mode)mode;
			conf.sched.queue_timeout = 2 * SLO_NSEC_PER_SEC;
			conf.load = 1.5;
			run(&conf, 3, &r);
			assert_true(r.count > 800);
			assert_whole(&conf, &r);
			sim_result_fini(&r);
		}
	}
}

/* The placements, of a hundred thousand, for which there was no room any more. */
static uint64_t overshoots(struct sim_conf conf, size_t agents)
{
	struct sim_result r;
	uint64_t share;
	uint32_t asked = 0;

	conf.agents = agents;
	conf.delay = SLO_NSEC_PER_MSEC;
	conf.load = 1.5;
	run(&conf, 3, &r);
	assert_whole(&conf, &r);
	assert_true(r.routed > 300);
	for (size_t i = 0; i < r.count; i++)
		asked |= UINT32_C(1) << r.requests[i].agent;
	assert_int_equal(asked, (UINT32_C(1) << agents) - 1);
	share = 100000 * r.overshoots / r.routed;
	sim_result_fini(&r);
	return share;
}

static void agents_overshoot_the_less_the_more_they_hear(void **state)
{
	struct sim_conf turns = published("slo"), at_once = turns, apart = turns;
	uint64_t two, four;

	(void)state;
	turns.turn = 3 * SLO_NSEC_PER_MSEC;
	apart.apart = true;
	assert_int_equal(overshoots(turns, 1), 0);
	two = overshoots(turns, 2);
	assert_int_equal(overshoots(at_once, 2), two); /* of two none waits for a turn */
	four = overshoots(turns, 4);
	assert_true(two < 2500 && four < 2500);
	assert_true(overshoots(at_once, 4) > 2 * four);
	assert_true(overshoots(apart, 2) > 50000);
}

static void an_agent_leaves_room_to_a_more_urgent_request_of_another(void **state)
{
	struct sim_conf conf = published("slo"), yields = conf;

	(void)state;
	yields.yield = 3 * SLO_NSEC_PER_MSEC;
	assert_true(2 * overshoots(yields, 4) < overshoots(conf, 4));
}

static char *as_text(const char *strategy, uint64_t seed)
{
	struct sim_conf conf = published(strategy);
	struct sim_result r;
	json_t *json;
	char *text;

	run(&conf, seed, &r);
	json = report_json(&conf, &r, &tpat_50ms, 10, 1);
	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	sim_result_fini(&r);
	return text;
}

static void the_same_seed_gives_the_same_result_and_another_does_not(void **state)
{
	(void)state;
	for (const struct sim_strategy *s = sim_strategies; s->name; s++) {
		char *a = as_text(s->name, 1), *b = as_text(s->name, 1), *c = as_text(s->name, 2);

		assert_string_equal(a, b);
		assert_string_not_equal(a, c);
		free(a);
		free(b);
		free(c);
	}
}

static void all_strategies_see_the_same_traffic(void **state)
{
	struct sim_conf a = published("slo"), b = published("round-robin");
	struct sim_result x, y;

	(void)state;
	run(&a, 4, &x);
	run(&b, 4, &y);
	assert_int_equal(x.count, y.count);
	for (size_t i = 0; i < x.count; i++)
		assert_memory_equal(&x.requests[i].arrival, &y.requests[i].arrival,
		                    sizeof(x.requests[i].arrival));
	sim_result_fini(&x);
	sim_result_fini(&y);
}

/* Mean wait before the service of what one engine serves one at a time, one token each. */
static double mean_wait(const char *traffic, double seconds, double *busy)
{
	const struct engine_gpu *g = engine_gpu_find("l20");
	const struct engine_model *m = engine_model_find(DEEPSEEK);
	struct sim_conf conf = conf_of("l20=1", traffic, "least-request");
	struct sim_result r;
	double sum = 0;

	conf.engine.max_num_seqs = 1;
	conf.seconds = seconds;
	run(&conf, 7, &r);
	for (size_t i = 0; i < r.count; i++) {
		const struct sim_request *q = &r.requests[i];
		double p = q->arrival.input;
		struct engine_batch b = { .rows = q->arrival.input, .attention = p * p / 2 };

		assert_int_equal(q->end, SIM_SERVED);
		sum += seconds_of(q->last - q->arrival.t) - engine_seconds(g, m, &b);
	}
	sum /= (double)r.count;
	*busy = r.usage[0].busy;
	sim_result_fini(&r);
	return sum;
}

static double service(double p)
{
	struct engine_batch b = { .rows = (uint64_t)p, .attention = p * p / 2 };

	return engine_seconds(engine_gpu_find("l20"), engine_model_find(DEEPSEEK), &b);
}

/* Pollaczek and Khinchine: the mean wait of M/G/1 is rate * E[S^2] / (2 (1 - rate E[S])). */
static void one_size_served_one_at_a_time_waits_as_in_m_d_1(void **state)
{
	double s = service(512), rate = 0.7 / s, busy, wait;
	char traffic[64];

	(void)state;
	snprintf(traffic, sizeof(traffic), "512x1:%.6f", rate);
	wait = mean_wait(traffic, 40000 / rate, &busy);
	assert_near(wait, rate * s * s / (2 * (1 - 0.7)), 0.05);
	assert_near(busy, 0.7, 0.02);
}

static void two_sizes_served_one_at_a_time_wait_as_in_m_g_1(void **state)
{
	double s = service(256), l = service(2048), rate = 0.35 / s, rare = 0.35 / l, busy, wait;
	char traffic[64];

	(void)state;
	snprintf(traffic, sizeof(traffic), "256x1:%.6f,2048x1:%.6f", rate, rare);
	wait = mean_wait(traffic, 40000 / (rate + rare), &busy);
	assert_near(wait, (rate * s * s + rare * l * l) / (2 * (1 - 0.7)), 0.07);
	assert_near(busy, 0.7, 0.03);
}

static void a_lone_request_takes_the_time_of_its_steps(void **state)
{
	const struct engine_model *m = engine_model_find(DEEPSEEK);
	struct sim_conf conf = conf_of("l20=1", "1000x3:0.05", "slo");
	struct engine_batch two = { .rows = 1, .decoding = 1, .cached = 1001 };
	struct engine_batch three = { .rows = 1, .decoding = 1, .cached = 1002 };
	struct sim_result r;
	double first, rest;

	(void)state;
	run(&conf, 1, &r);
	assert_true(r.count > 0);
	first = seconds_of(r.requests[0].first - r.requests[0].arrival.t);
	rest = seconds_of(r.requests[0].last - r.requests[0].first);
	assert_near(first, service(1000), 1e-6);
	assert_near(rest,
	            engine_seconds(engine_gpu_find("l20"), m, &two) +
	                engine_seconds(engine_gpu_find("l20"), m, &three),
	            1e-6);
	assert_near(report_tpat(&r.requests[0]), (first + rest) / 1003, 1e-9);
	sim_result_fini(&r);
}

static void the_oracle_keeps_each_workload_on_its_type(void **state)
{
	struct sim_conf conf = published("oracle");
	struct sim_result r;

	(void)state;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++)
		assert_int_equal(r.requests[i].type, r.requests[i].arrival.workload);
	sim_result_fini(&r);
	conf = conf_of("a10=1,l20=4", "bird:4", "oracle");
	assert_false(sim_run(&conf, 1, 0, &r, error));
	assert_non_null(strstr(error, "oracle"));
	assert_null(r.requests);
}

static void scalar_has_as_many_servers_all_of_the_dearest_type(void **state)
{
	struct sim_conf conf = published("scalar");
	struct sim_result r;

	(void)state;
	run(&conf, 1, &r);
	assert_int_equal(r.type_count, 1);
	assert_string_equal(r.types[0].gpu, "l20");
	assert_int_equal(r.types[0].servers, 5);
	assert_near(report_cost(&r, 500, 3600), 10, 1e-9);
	sim_result_fini(&r);
}

static void round_robin_takes_each_server_in_turn(void **state)
{
	struct sim_conf conf = published("round-robin");
	struct sim_result r;

	(void)state;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++)
		assert_int_equal(r.requests[i].server, i % 5);
	sim_result_fini(&r);
}

static void maxconn_lets_so_many_in_and_the_rest_in_order(void **state)
{
	struct sim_conf conf = conf_of("a10=1,l20=1", "sharegpt-pub:5,bird:2", "maxconn");
	slo_nsec before = 0;
	struct sim_result r;
	size_t waited = 0;

	(void)state;
	conf.maxconn = 3;
	conf.sched.queue_timeout = SLO_NEVER;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++) {
		const struct sim_request *q = &r.requests[i];
		slo_nsec dispatched = q->arrival.t + q->waited;
		size_t running = 0;

		assert_true(dispatched >= before);
		before = dispatched;
		waited += q->waited > 0;
		for (size_t k = 0; k < r.count; k++) {
			const struct sim_request *o = &r.requests[k];

			running += o->server == q->server && o->last > dispatched &&
			           o->arrival.t + o->waited <= dispatched;
		}
		assert_in_range(running, 1, 3);
	}
	assert_true(waited > r.count / 2);
	sim_result_fini(&r);
}

static void maxconn_by_slack_lets_the_shorter_target_go_first(void **state)
{
	struct sim_conf conf = conf_of("l20=1", "sharegpt-pub:4,bird:2", "maxconn-slack");
	struct report_filter chat = { .until = SLO_NEVER, .workload = 0, .type = -1 };
	struct report_filter code = { .until = SLO_NEVER, .workload = 1, .type = -1 };
	struct report_group a, b;
	struct sim_result r;

	(void)state;
	conf.maxconn = 4;
	conf.sched.queue_timeout = SLO_NEVER;
	run(&conf, 1, &r);
	assert_true(report_group(&r, &tpat_50ms, &chat, &a));
	assert_true(report_group(&r, &tpat_50ms, &code, &b));
	assert_true(a.wait.p90 < b.wait.p50);
	sim_result_fini(&r);
}

static void a_rejected_request_has_missed_its_slo_and_is_in_no_percentile(void **state)
{
	struct sim_conf conf = conf_of("l20=1", "bird:6", "slo");
	struct report_filter all = { .until = SLO_NEVER, .workload = -1, .type = -1 };
	struct report_group g;
	struct sim_result r;

	(void)state;
	conf.sched.queue_timeout = SLO_NSEC_PER_SEC;
	run(&conf, 1, &r);
	assert_true(report_group(&r, &tpat_50ms, &all, &g));
	assert_int_equal(g.offered, r.count);
	assert_true(g.rejected > g.offered / 2);
	assert_int_equal(g.served + g.rejected, g.offered);
	assert_true(g.met <= g.served);
	assert_true(g.wait.p99 <= 1.0);
	for (size_t i = 0; i < r.count; i++)
		if (r.requests[i].end == SIM_REJECTED)
			assert_false(report_met(&tpat_50ms, &r.requests[i]));
	sim_result_fini(&r);
}

static void what_never_fits_into_the_kv_cache_is_refused_and_not_charged_for_ever(void **state)
{
	struct sim_conf conf = conf_of("a10=1", "13000x8:1,256x8:1", "least-request");
	struct sim_result r;

	(void)state;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++)
		assert_int_equal(r.requests[i].end,
		                 r.requests[i].arrival.workload == 0 ? SIM_REFUSED : SIM_SERVED);
	sim_result_fini(&r);
}

static void what_the_scheduler_gave_up_is_still_served_to_its_end(void **state)
{
	struct sim_conf conf = conf_of("l20=1", "bird:3", "least-request");
	struct sim_result r;

	(void)state;
	conf.sched.lease_max_age = 2 * SLO_NSEC_PER_SEC;
	conf.sched.remember_ended = 10 * SLO_NSEC_PER_SEC;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++)
		assert_int_equal(r.requests[i].end, SIM_SERVED);
	assert_true(r.requests[r.count - 1].last - r.requests[r.count - 1].arrival.t >
	            15 * SLO_NSEC_PER_SEC);
	sim_result_fini(&r);
}

static void percentiles_are_of_the_nearest_rank(void **state)
{
	struct sim_request q[200] = { 0 };
	struct sim_result r = { .requests = q, .count = 200 };
	struct report_filter all = { .until = SLO_NEVER, .workload = -1, .type = -1 };
	struct report_group g;

	(void)state;
	for (int i = 0; i < 200; i++) {
		q[i].arrival.input = 60;
		q[i].arrival.output = 40;
		q[i].first = (200 - i) * SLO_NSEC_PER_SEC / 10;
		q[i].last = (200 - i) * SLO_NSEC_PER_SEC;
	}
	assert_true(report_group(&r, &tpat_50ms, &all, &g));
	assert_near(g.e2e.p50, 100, 1e-9);
	assert_near(g.e2e.p90, 180, 1e-9);
	assert_near(g.e2e.p99, 198, 1e-9);
	assert_near(g.ttft.p99, 19.8, 1e-9);
	assert_near(g.tpat.p99, 1.98, 1e-9);
	assert_int_equal(g.met, 5); /* 5 s are allowed */
}

static void the_measured_time_is_cut_by_arrival(void **state)
{
	struct sim_conf conf = conf_of("l20=1", "256x8:5", "slo");
	struct report_filter late = { .from = 30 * SLO_NSEC_PER_SEC,
		                      .until = 60 * SLO_NSEC_PER_SEC,
		                      .workload = -1,
		                      .type = -1 };
	struct report_group g;
	struct sim_result r;
	size_t expected = 0;

	(void)state;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++)
		expected += r.requests[i].arrival.t >= 30 * SLO_NSEC_PER_SEC;
	assert_true(report_group(&r, &tpat_50ms, &late, &g));
	assert_int_equal(g.offered, expected);
	assert_true(expected > 0 && expected < r.count);
	sim_result_fini(&r);
}

static void who_has_a_priority_is_reported_apart(void **state)
{
	struct sim_conf conf = published("slo");
	struct report_filter high = {
		.until = SLO_NEVER, .workload = -1, .type = -1, .classed = true, .priority = 10
	};
	struct report_filter low = high, all = high;
	struct report_group g[3];
	struct sim_result r;

	(void)state;
	low.priority = 0;
	all.classed = false;
	assert_true(sim_parse_priority("10:0.25", &conf.priority, &conf.prioritized));
	conf.load = 2;
	run(&conf, 1, &r);
	assert_true(report_group(&r, &tpat_50ms, &high, &g[0]));
	assert_true(report_group(&r, &tpat_50ms, &low, &g[1]));
	assert_true(report_group(&r, &tpat_50ms, &all, &g[2]));
	assert_int_equal(g[0].offered + g[1].offered, g[2].offered);
	assert_near((double)g[0].offered / (double)g[2].offered, 0.25, 0.05);
	assert_true(g[0].rejected * g[1].offered <= g[1].rejected * g[0].offered);
	sim_result_fini(&r);
}

static void priorities_are_read_strictly(void **state)
{
	static const char *const bad[] = { "",     "10",   "10:",  ":0.5",   "0:0.5",
		                           "10:0", "10:1", "10:x", "10:0.5x" };
	double share;
	int32_t p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(sim_parse_priority(bad[i], &p, &share));
	assert_true(sim_parse_priority("-3:0.5", &p, &share));
	assert_int_equal(p, -3);
}

static void what_the_core_is_told_follows_the_options(void **state)
{
	struct sim_conf conf = published("slo");
	struct sim_result r;
	double ratio = 0;

	(void)state;
	conf.output_told = true;
	conf.input_error = 0.1;
	run(&conf, 1, &r);
	for (size_t i = 0; i < r.count; i++) {
		assert_int_equal(r.requests[i].output, r.requests[i].arrival.output);
		ratio += fabs(log((double)r.requests[i].input / r.requests[i].arrival.input));
	}
	/* Of a normal law, the mean distance from 0 is 0.8 sd. */
	assert_near(ratio / (double)r.count, 0.08, 0.1);
	sim_result_fini(&r);
}

static void a_prediction_is_learned_from_what_ended(void **state)
{
	struct sim_conf conf = conf_of("l20=1", "256x32:5", "slo");
	struct sim_result r;

	(void)state;
	run(&conf, 1, &r);
	assert_int_equal(r.requests[0].output, 1); /* cold */
	assert_int_equal(r.requests[r.count - 1].output, 32);
	sim_result_fini(&r);
	conf.max_output = 20;
	run(&conf, 1, &r);
	assert_int_equal(r.requests[r.count - 1].output, 20);
	sim_result_fini(&r);
}

static void optimism_makes_requests_lighter(void **state)
{
	struct sim_conf conf = conf_of("l20=1", "256x32:1", "slo");
	struct sim_result r;
	float load;

	(void)state;
	run(&conf, 1, &r);
	load = r.requests[0].load;
	assert_near((double)load, 1 / (20 * 9.5), 1e-5);
	sim_result_fini(&r);
	conf.optimism = 1.5;
	run(&conf, 1, &r);
	assert_near((double)r.requests[0].load, (double)load / 1.5, 1e-5);
	sim_result_fini(&r);
}

static void a_fleet_is_types_and_counts(void **state)
{
	static const char *const bad[] = {
		"",         "a10",          "a10=0",       "a10=1,",
		"tpu=1",    "a10=1,,l20=1", "a10=1,a10=2", "a10=1;l20=1",
		"a10=2000", ",a10=1",       "=1",          "a10=1,l20=1024"
	};
	struct sim_type types[SIM_TYPES_MAX];
	size_t n = 0;

	(void)state;
	assert_true(sim_parse_fleet("a10=1,l20=4", types, &n));
	assert_int_equal(n, 2);
	assert_string_equal(types[1].gpu, "l20");
	assert_int_equal(types[1].servers, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sim_parse_fleet(bad[i], types, &n))
			fail_msg("%s was taken", bad[i]);
}

static void an_slo_is_a_kind_and_seconds(void **state)
{
	struct goal g;

	(void)state;
	assert_true(report_parse_slo("tpat=0.05", &g));
	assert_int_equal(goal_span(&g, 60, 40), 5 * SLO_NSEC_PER_SEC);
	assert_true(report_parse_slo("e2e=3", &g));
	assert_int_equal(goal_span(&g, 60, 40), 3 * SLO_NSEC_PER_SEC);
	assert_true(report_parse_slo("tpot=0.1", &g));
	assert_int_equal(goal_span(&g, 60, 40), 4 * SLO_NSEC_PER_SEC);
	assert_true(report_parse_slo("ttft=0.5", &g));
	assert_int_equal(g.kind, GOAL_TTFT);
	assert_false(report_parse_slo("tpat=", &g));
	assert_false(report_parse_slo("tpat=0", &g));
	assert_false(report_parse_slo("p99=1", &g));
	assert_false(report_parse_slo("e2e=1s", &g));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_ends_once_under_every_strategy),
		cmocka_unit_test(agents_overshoot_the_less_the_more_they_hear),
		cmocka_unit_test(an_agent_leaves_room_to_a_more_urgent_request_of_another),
		cmocka_unit_test(the_same_seed_gives_the_same_result_and_another_does_not),
		cmocka_unit_test(all_strategies_see_the_same_traffic),
		cmocka_unit_test(one_size_served_one_at_a_time_waits_as_in_m_d_1),
		cmocka_unit_test(two_sizes_served_one_at_a_time_wait_as_in_m_g_1),
		cmocka_unit_test(a_lone_request_takes_the_time_of_its_steps),
		cmocka_unit_test(the_oracle_keeps_each_workload_on_its_type),
		cmocka_unit_test(scalar_has_as_many_servers_all_of_the_dearest_type),
		cmocka_unit_test(round_robin_takes_each_server_in_turn),
		cmocka_unit_test(maxconn_lets_so_many_in_and_the_rest_in_order),
		cmocka_unit_test(maxconn_by_slack_lets_the_shorter_target_go_first),
		cmocka_unit_test(a_rejected_request_has_missed_its_slo_and_is_in_no_percentile),
		cmocka_unit_test(
		    what_never_fits_into_the_kv_cache_is_refused_and_not_charged_for_ever),
		cmocka_unit_test(what_the_scheduler_gave_up_is_still_served_to_its_end),
		cmocka_unit_test(percentiles_are_of_the_nearest_rank),
		cmocka_unit_test(the_measured_time_is_cut_by_arrival),
		cmocka_unit_test(who_has_a_priority_is_reported_apart),
		cmocka_unit_test(priorities_are_read_strictly),
		cmocka_unit_test(what_the_core_is_told_follows_the_options),
		cmocka_unit_test(a_prediction_is_learned_from_what_ended),
		cmocka_unit_test(optimism_makes_requests_lighter),
		cmocka_unit_test(a_fleet_is_types_and_counts),
		cmocka_unit_test(an_slo_is_a_kind_and_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
