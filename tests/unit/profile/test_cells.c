/* Profiles made of benchmarks of a server whose rates are known. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "bench_samples.h"
#include "cells.h"
#include "wire/profdoc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct latency_rates truth = { .step = 18e-3, .prompt = 0.12e-3, .cached = 0.5e-6 };
static const struct goal none = { .kind = GOAL_NONE };

static struct bench_series series;

static void read(const char *text)
{
	struct doc_error err;

	bench_init(&series);
	if (bench_read(&series, "f", text, strlen(text), &err) != SLO_OK)
		fail_msg("%s: %s", err.key, err.message);
}

/* What vllm bench serve says of n requests at once. */
static int put_run(char *out, size_t cap, double input, double output, double n, double noise)
{
	double others = truth.prompt * input + truth.cached * output * (input + output / 2);
	double e2e = (truth.step * output + n * others) * noise;

	return snprintf(out, cap,
	                "{\"completed\":100,\"total_input_tokens\":%.0f,"
	                "\"total_output_tokens\":%.0f,\"request_throughput\":%.9g,"
	                "\"mean_e2el_ms\":%.9g,\"p99_e2el_ms\":%.9g}\n",
	                100 * input, 100 * output, n / e2e, e2e * 1e3, e2e * 1250);
}

/* Four sizes, three concurrencies, and noise of 4 %. */
static void read_runs(void)
{
	static const double sizes[][2] = { { 256, 64 }, { 1024, 128 }, { 2048, 256 }, { 512, 32 } };
	static const double flights[] = { 1, 4, 12 };
	char text[8192];
	size_t n = 0;

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t k = 0; k < COUNT(flights); k++)
			n += (size_t)put_run(text + n, sizeof(text) - n, sizes[i][0], sizes[i][1],
			                     flights[k], (i + k) % 2 ? 1.04 : 0.96);
	read(text);
}

static void within(double got, double wanted, double share)
{
	if (!(fabs(got - wanted) <= share * wanted))
		fail_msg("%g, wanted %g within %g %%", got, wanted, share * 100);
}

static void the_rates_are_found(void **state)
{
	struct bench_fit fit;

	(void)state;
	read_runs();
	assert_true(bench_fit(&series, 50000, &fit));
	within(fit.rates.step, truth.step, 0.05);
	within(fit.rates.prompt, truth.prompt, 0.1);
	within(fit.rates.cached, truth.cached, 0.2);
	assert_true(fit.error < 0.06 && fit.held_out < 0.08);
	assert_true(fit.tail_known);
	within(fit.rates.headroom, 0.8, 1e-6);
	assert_true(fit.rates.kv_told);
	bench_free(&series);
}

/* One size cannot tell the rates apart, but its own latency is right. */
static void a_single_run_predicts_itself(void **state)
{
	struct bench_fit fit;

	(void)state;
	read(VLLM);
	assert_true(bench_fit(&series, 0, &fit));
	within(bench_predict(&fit.rates, &series.point[0]), 2.03, 0.02);
	assert_true(isnan(fit.held_out));
	assert_false(fit.tail_known);
	within(fit.rates.kv, 8.12 * (512 + 64), 0.01);
	bench_free(&series);
}

static void waiting_is_not_speed(void **state)
{
	char text[4096];
	size_t n = 0;
	struct bench_fit fit;

	(void)state;
	n += (size_t)put_run(text, sizeof(text), 512, 128, 4, 1);
	n += (size_t)put_run(text + n, sizeof(text) - n, 1024, 64, 8, 1);
	n += (size_t)put_run(text + n, sizeof(text) - n, 256, 256, 2, 1);
	/* 20 s of 25 before the first token. */
	snprintf(text + n, sizeof(text) - n,
	         "{\"completed\":100,\"total_input_tokens\":51200,\"total_output_tokens\":12800,"
	         "\"request_throughput\":4,\"mean_e2el_ms\":25000,\"mean_ttft_ms\":20000}\n");
	read(text);
	assert_true(bench_fit(&series, 0, &fit));
	assert_int_equal(fit.used, 3);
	assert_int_equal(fit.waited, 1);
	within(fit.rates.step, truth.step, 0.1);
	bench_free(&series);
}

/* As of a profile of which few cells meet the target: every tenth point tells its load. */
static void few_points_of_many_are_left_out_one_by_one(void **state)
{
	struct bench_fit fit;
	struct bench_point *point = calloc(60, sizeof(*point));

	(void)state;
	read_runs();
	assert_non_null(point);
	for (size_t i = 0; i < 60; i++)
		point[i] = series.point[i % 10 == 3 ? i / 10 * 2 : 0];
	for (size_t i = 0; i < 60; i++)
		point[i].loaded = i % 10 == 3;
	free(series.point);
	series.point = point;
	series.count = series.room = 60;
	assert_true(bench_fit(&series, 0, &fit));
	assert_int_equal(fit.used, 6);
	assert_true(fit.held_out < 0.5);
	bench_free(&series);
}

static struct slo_profile_doc *make(const struct goal *goal, struct cells_count *count)
{
	struct bench_fit fit;
	struct slo_profile_doc *doc;

	assert_true(bench_fit(&series, 50000, &fit));
	doc = cells_make(&series, &fit, goal, count);
	assert_non_null(doc);
	return doc;
}

static void cells_are_within_an_octave_and_meet_the_target(void **state)
{
	const struct goal tpat = goal_make(0, 0, 0.05, 0);
	struct cells_count count;
	struct slo_profile_doc *doc;

	(void)state;
	read_runs();
	doc = make(&tpat, &count);
	assert_int_equal(doc->rows, 6); /* 16 to 512 */
	assert_int_equal(doc->cols, 6); /* 128 to 4096 */
	within(doc->output_axis[0], 16, 0);
	within(doc->input_axis[5], 4096, 0);
	assert_int_equal(count.measured, 4);
	assert_int_equal(count.filled, 32);
	for (size_t i = 0; i < 36; i++) {
		double tokens = doc->output_axis[i / 6] + doc->input_axis[i % 6];

		assert_true(doc->tputs[i] > 0);
		assert_true(doc->e2e[i] <= 0.05 * tokens * 0.801);
		assert_true(doc->ttft[i] <= doc->e2e[i]);
		assert_true(doc->tputs[i] * doc->e2e[i] * tokens <= 50000 * 1.001);
	}
	within(doc->slo_tpat, 0.05, 0);
	within(doc->percentile, 99, 0);
	profdoc_free(doc);
	bench_free(&series);
}

static void a_target_that_cannot_be_met_is_throughput_0(void **state)
{
	const struct goal fast = goal_make(0.005, 0, 0, 0);
	struct cells_count count;
	struct slo_profile_doc *doc;

	(void)state;
	read_runs();
	doc = make(&fast, &count);
	assert_int_equal(count.alone, 36);
	for (size_t i = 0; i < 36; i++)
		assert_true(doc->tputs[i] == 0 && doc->e2e[i] > 0);
	profdoc_free(doc);
	bench_free(&series);
}

static void a_profile_keeps_its_cells_and_gets_the_missing_one(void **state)
{
	struct cells_count count;
	struct slo_profile_doc *doc;

	(void)state;
	read(PROFILE_NAN);
	doc = make(&none, &count);
	assert_int_equal(doc->rows, 2);
	assert_int_equal(count.kept, 3);
	assert_int_equal(count.filled, 1);
	within(doc->tputs[1], 2, 0);
	within(doc->e2e[2], 4.1, 0);
	assert_true(doc->e2e[3] > 2.5 && doc->e2e[3] < 20);
	assert_true(doc->tputs[3] > 0 && doc->tputs[3] <= 2);
	within(doc->slo_tpat, 0.05, 0);
	within(doc->cost, 0.4, 0);
	profdoc_free(doc);
	/* For another target none of them holds. */
	bench_free(&series);
	read(PROFILE_NAN);
	doc = make(&(struct goal){ .kind = GOAL_E2E, .fixed = 3 }, &count);
	assert_int_equal(count.kept, 0);
	assert_true(doc->slo_tpat == 0);
	within(doc->slo_e2e, 3, 0);
	profdoc_free(doc);
	bench_free(&series);
}

/* jansson takes no NaN and no second value behind the first. */
static void what_is_written_is_strict_json_that_reads_back(void **state)
{
	const struct goal tpat = goal_make(0, 0, 0.05, 0);
	struct cells_count count;
	struct slo_profile_doc *doc, *back;
	struct doc_error err;
	struct bench_fit fit;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *tree;

	(void)state;
	read_runs();
	doc = make(&tpat, &count);
	snprintf(doc->gpu, sizeof(doc->gpu), "a \"b\"\\\n");
	doc->created = 1767225600;
	assert_true(bench_fit(&series, 0, &fit));
	cells_write(out, doc, &fit);
	assert_int_equal(fclose(out), 0);
	tree = json_loadb(text, len, 0, NULL);
	assert_non_null(tree);
	json_decref(tree);
	assert_int_equal(profdoc_parse(text, len, &back, &err), SLO_OK);
	for (size_t i = 0; i < 36; i++)
		within(back->tputs[i], doc->tputs[i], 1e-5);
	assert_int_equal(back->no_data, 0);
	within(back->created, 1767225600, 0);
	profdoc_free(back);
	profdoc_free(doc);
	free(text);
	bench_free(&series);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rates_are_found),
		cmocka_unit_test(a_single_run_predicts_itself),
		cmocka_unit_test(waiting_is_not_speed),
		cmocka_unit_test(few_points_of_many_are_left_out_one_by_one),
		cmocka_unit_test(cells_are_within_an_octave_and_meet_the_target),
		cmocka_unit_test(a_target_that_cannot_be_met_is_throughput_0),
		cmocka_unit_test(a_profile_keeps_its_cells_and_gets_the_missing_one),
		cmocka_unit_test(what_is_written_is_strict_json_that_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
