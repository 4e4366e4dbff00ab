#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "draw.h"
#include "workload.h"

static struct workload list[WORKLOADS_MAX];
static char error[WORKLOAD_ERROR];

static size_t parse(const char *text)
{
	return workload_parse(text, list, error);
}

/* The caller frees. */
static struct arrival *draw(const char *text, double seconds, uint64_t seed, struct burst burst,
                            size_t *n)
{
	struct workload_plan plan = { .workloads = list,
		                      .count = parse(text),
		                      .load = 1,
		                      .burst = burst,
		                      .seconds = seconds,
		                      .seed = seed };
	struct arrival *a;

	assert_true(plan.count > 0);
	assert_true(workload_draw(&plan, &a, n, error));
	return a;
}

static void assert_near(double got, double expected, double share)
{
	if (!(fabs(got - expected) <= share * fabs(expected)))
		fail_msg("%g, expected %g", got, expected);
}

static void a_list_names_rate_shape_and_gpu(void **state)
{
	(void)state;
	assert_int_equal(parse("sharegpt-pub:7@a10,azure-code:2.5~0.1,512x64:3,trace:a:b.csv@l4"),
	                 4);
	assert_string_equal(list[0].name, "sharegpt-pub");
	assert_string_equal(list[0].gpu, "a10");
	assert_near(list[0].rate, 7, 0);
	assert_near(list[0].shape, 1, 0);
	assert_near(list[1].shape, 0.1, 0);
	assert_string_equal(list[1].gpu, "");
	assert_int_equal(list[2].input.least, 512);
	assert_int_equal(list[2].output.most, 64);
	assert_true(list[3].trace);
	assert_string_equal(list[3].name, "a:b.csv");
	assert_string_equal(list[3].gpu, "l4");
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"",        ",",        "bird",     "bird:",    "bird:0",       "bird:-1",
		"bird:x",  "bird:1,,", "birds:1",  "bird:1~0", "bird:1~x",     "0x5:1",
		"5x0:1",   "5x5x5:1",  "bird:1e9", "bird:nan", "trace:",       "bird:inf",
		"bird:1x", ":1",       "5x:1",     "bird:1 ",  "bird:1,bird:", "99999999x1:1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		if (parse(bad[i]) != 0)
			fail_msg("%s was taken", bad[i]);
		assert_true(error[0] != '\0');
	}
}

static void a_burst_is_factor_length_and_period(void **state)
{
	static const char *const bad[] = { "",        "3",        "3x30",  "0.5x30/60",
		                           "3x90/60", "3x30/60x", "3x0/60" };
	struct burst b;

	(void)state;
	assert_true(workload_parse_burst("3x30/120", &b));
	assert_near(b.factor, 3, 0);
	assert_near(b.seconds, 30, 0);
	assert_near(b.period, 120, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(workload_parse_burst(bad[i], &b));
}

static void arrivals_are_in_order_and_the_same_for_a_seed(void **state)
{
	size_t n, m, k;
	struct arrival *a = draw("sharegpt-pub:7,bird:4", 300, 5, (struct burst){ 0 }, &n);
	struct arrival *b = draw("sharegpt-pub:7,bird:4", 300, 5, (struct burst){ 0 }, &m);
	struct arrival *c = draw("sharegpt-pub:7,bird:4", 300, 6, (struct burst){ 0 }, &k);

	(void)state;
	assert_int_equal(n, m);
	assert_memory_equal(a, b, n * sizeof(*a));
	assert_true(a[0].t != c[0].t);
	for (size_t i = 1; i < n; i++)
		assert_true(a[i - 1].t <= a[i].t);
	assert_true(a[n - 1].t <= 300 * SLO_NSEC_PER_SEC);
	free(a);
	free(b);
	free(c);
}

static void a_workload_asks_for_the_same_whatever_the_others_do(void **state)
{
	size_t n, m, k = 0;
	struct arrival *a = draw("bird:4", 100, 5, (struct burst){ 0 }, &n);
	struct arrival *b = draw("bird:4,sharegpt-pub:7", 100, 5, (struct burst){ 0 }, &m);

	(void)state;
	for (size_t i = 0; i < m; i++) {
		if (b[i].workload != 0)
			continue;
		assert_true(k < n);
		assert_memory_equal(&a[k], &b[i], sizeof(*a));
		k++;
	}
	assert_int_equal(k, n);
	free(a);
	free(b);
}

static void every_generator_keeps_its_rate_and_limits(void **state)
{
	(void)state;
	for (const struct workload_generator *g = workload_generators; g->name; g++) {
		char text[64];
		struct arrival *a;
		size_t n;

		snprintf(text, sizeof(text), "%s:5~1", g->name);
		a = draw(text, 4000, 1, (struct burst){ 0 }, &n);
		assert_near((double)n, 20000, 0.03);
		for (size_t i = 0; i < n; i++) {
			assert_in_range(a[i].input, g->input.least, g->input.most);
			assert_in_range(a[i].output, g->output.least, g->output.most);
		}
		free(a);
	}
}

static void lognormal_lengths_have_their_mean_and_spread(void **state)
{
	struct rng r = draw_stream(3, 9);
	double sum = 0, squares = 0;
	const int n = 40000;

	(void)state;
	for (int i = 0; i < n; i++) {
		double x = log(draw_lognormal(&r, 5, 0.7));

		sum += x;
		squares += x * x;
	}
	assert_near(sum / n, 5, 0.005);
	assert_near(sqrt(squares / n - sum / n * (sum / n)), 0.7, 0.02);
}

static void gamma_gaps_have_the_mean_and_variation_of_their_shape(void **state)
{
	static const double shapes[] = { 0.1, 0.5, 1, 4 };

	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		struct rng r = draw_stream(s, 1);
		double sum = 0, squares = 0, mean;
		const int n = 100000;

		for (int i = 0; i < n; i++) {
			double x = draw_gamma(&r, shapes[s]);

			sum += x;
			squares += x * x;
		}
		mean = sum / n;
		assert_near(mean, shapes[s], 0.03);
		assert_near(sqrt(squares / n - mean * mean) / mean, 1 / sqrt(shapes[s]), 0.03);
	}
}

static void a_burst_multiplies_the_rate_at_the_end_of_its_period(void **state)
{
	size_t n, high = 0;
	struct arrival *a = draw("bird:5", 12000, 1, (struct burst){ 3, 30, 120 }, &n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		high += a[i].t / SLO_NSEC_PER_SEC % 120 >= 90;
	assert_near((double)high, 3 * 5 * 3000, 0.03);
	assert_near((double)(n - high), 5 * 9000, 0.03);
	free(a);
}

static void read_trace(const char *text, double load, struct arrival **out, size_t *n)
{
	char path[] = "/tmp/slo-trace-XXXXXX", item[64];
	struct workload_plan plan = { .workloads = list, .load = load, .seconds = 100 };
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	snprintf(item, sizeof(item), "trace:%s", path);
	plan.count = parse(item);
	assert_int_equal(plan.count, 1);
	*n = 0;
	if (!workload_draw(&plan, out, n, error))
		*out = NULL;
	unlink(path);
}

static void a_trace_is_read_line_by_line_and_load_speeds_it_up(void **state)
{
	struct arrival *a;
	size_t n;

	(void)state;
	read_trace("# t,input,output\n0.5,100,20\n\n3,7,1\n202,1,1\n", 2, &a, &n);
	assert_non_null(a);
	assert_int_equal(n, 2);
	assert_int_equal(a[0].t, SLO_NSEC_PER_SEC / 4);
	assert_int_equal(a[0].input, 100);
	assert_int_equal(a[1].output, 1);
	free(a);
}

static void a_written_trace_reads_back_to_the_nanosecond(void **state)
{
	struct workload_plan plan = { .workloads = list, .load = 1.3, .seconds = 90, .seed = 5 };
	struct arrival *drawn, *read;
	size_t n, n_read, len;
	char *text;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	plan.count = parse("sharegpt-pub:7,bird:4");
	assert_true(workload_draw(&plan, &drawn, &n, error));
	assert_true(workload_write(f, drawn, n));
	assert_int_equal(fclose(f), 0);
	read_trace(text, 1, &read, &n_read);
	assert_non_null(read);
	assert_int_equal(n_read, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(read[i].t, drawn[i].t);
		assert_int_equal(read[i].input, drawn[i].input);
		assert_int_equal(read[i].output, drawn[i].output);
	}
	free(drawn);
	free(read);
	free(text);
}

static void a_bad_line_of_a_trace_is_named(void **state)
{
	static const char *const bad[] = { "1,2\n",          "1,2,3,4\n", "x,2,3\n",  "1,0,3\n",
		                           "2,1,1\n1,1,1\n", "-1,2,3\n",  "1,-2,3\n", "nan,1,1\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct arrival *a;
		size_t n;

		read_trace(bad[i], 1, &a, &n);
		assert_null(a);
		assert_non_null(strstr(error, i == 4 ? ":2: " : ":1: "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_names_rate_shape_and_gpu),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
		cmocka_unit_test(a_burst_is_factor_length_and_period),
		cmocka_unit_test(arrivals_are_in_order_and_the_same_for_a_seed),
		cmocka_unit_test(a_workload_asks_for_the_same_whatever_the_others_do),
		cmocka_unit_test(every_generator_keeps_its_rate_and_limits),
		cmocka_unit_test(lognormal_lengths_have_their_mean_and_spread),
		cmocka_unit_test(gamma_gaps_have_the_mean_and_variation_of_their_shape),
		cmocka_unit_test(a_burst_multiplies_the_rate_at_the_end_of_its_period),
		cmocka_unit_test(a_trace_is_read_line_by_line_and_load_speeds_it_up),
		cmocka_unit_test(a_written_trace_reads_back_to_the_nanosecond),
		cmocka_unit_test(a_bad_line_of_a_trace_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
