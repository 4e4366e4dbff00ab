/* What is read from a file of each format, and what is said of a broken one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "bench_samples.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct bench_series series;
static struct doc_error error;

static slo_err parse(const char *text)
{
	bench_init(&series);
	return bench_read(&series, "f.json", text, strlen(text), &error);
}

static void near(double got, double wanted)
{
	if (!(fabs(got - wanted) <= 1e-6 * fabs(wanted)))
		fail_msg("%.12g, wanted %.12g", got, wanted);
}

static void every_format_tells_the_same_run(void **state)
{
	static const struct {
		const char *name, *text;
		double tail; /* 0: not told */
	} formats[] = {
		{ "vllm", VLLM, 0 },
		{ "vllm with e2el", VLLM_E2E, 2.9 / 2.03 },
		{ "vllm, indented", "\n  " VLLM_E2E "\n\n", 2.9 / 2.03 },
		{ "sglang", SGLANG, 0 },
		{ "aiperf", AIPERF, 2.9 / 2.03 },
		{ "guidellm", GUIDELLM, 1 },
		{ "aibrix", AIBRIX, 2.9 / 2.03 },
		{ "aibrix, one run empty", AIBRIX AIBRIX_EMPTY, 2.9 / 2.03 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++) {
		const struct bench_point *p;

		if (parse(formats[i].text) != SLO_OK)
			fail_msg("%s: %s: %s", formats[i].name, error.key, error.message);
		p = series.point;
		if (series.count != 1)
			fail_msg("%s: %zu points", formats[i].name, series.count);
		near(p->input, 512);
		near(p->output, 64);
		near(p->rate, 4);
		near(p->e2e, 2.03);
		near(p->ttft, 0.14);
		near(p->flight, 8.12);
		near(p->prompts, 2048);
		near(p->held, 8.12 * (512 + 32));
		if (formats[i].tail > 0)
			near(p->tail, formats[i].tail);
		else
			assert_true(isnan(p->tail));
		assert_true(p->loaded);
		bench_free(&series);
	}
}

static void each_line_is_a_run(void **state)
{
	(void)state;
	assert_int_equal(parse(SGLANG SGLANG "\n" SGLANG), SLO_OK);
	assert_int_equal(series.count, 3);
	bench_free(&series);
	assert_int_equal(parse(VLLM "\n" VLLM_E2E), SLO_OK);
	assert_int_equal(series.count, 2);
	bench_free(&series);
}

static void details_make_a_point_of_each_size(void **state)
{
	const struct bench_point *p;

	(void)state;
	assert_int_equal(parse(VLLM_DETAILED), SLO_OK);
	assert_int_equal(series.count, 2);
	p = series.point;
	near(p[0].input + p[1].input, 128 + 1024);
	near(p[0].e2e, 0.3); /* (0.2 + 0.4) / 2 */
	near(p[1].e2e, 1.2);
	near(p[0].requests, 2);
	near(p[0].rate, 0.3);
	near(p[0].flight, (0.2 + 0.4 + 1.2) / 10);
	near(p[0].prompts, 1280 / 10.0);
	bench_free(&series);
}

static void requests_one_by_one(void **state)
{
	(void)state;
	assert_int_equal(parse(AIPERF_ROWS), SLO_OK);
	assert_int_equal(series.count, 1);
	near(series.point->e2e, 2.03);
	near(series.point->rate, 2 / 2.28);
	near(series.point->ttft, 0.14);
	bench_free(&series);
}

static void cells_of_a_profile_are_runs(void **state)
{
	(void)state;
	assert_int_equal(parse(PROFILE_NAN), SLO_OK);
	assert_int_equal(series.count, 3);
	assert_non_null(series.profile);
	near(series.point[1].flight, 5);
	assert_string_equal(series.gpu, "l4");
	bench_free(&series);
}

static bool noted(const char *part)
{
	for (size_t i = 0; i < series.notes; i++)
		if (strstr(series.note[i], part))
			return true;
	return false;
}

static void what_is_missing_is_told(void **state)
{
	static const struct {
		const char *text, *note;
	} cases[] = {
		{ VLLM, "mean_e2el_ms is missing; it is computed" },
		{ GUIDELLM, "1 of 2 runs are left out" },
		{ AIBRIX AIBRIX_EMPTY, "1 of 2 runs are left out" },
		{ AIBRIX_ROW("4", "E2E", "2.03"), "has no TPUT" },
		{ AIBRIX AIBRIX_ROW("2", "E2E", "2.0") AIBRIX_ROW("2", "TTFT", "1e-6"),
		  "was not measured on a stream" },
		{ VLLM_DETAILED, "1 requests of a run failed" },
		{ PROFILE_NAN, "1 of 4 cells of a profile have no data" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(parse(cases[i].text), SLO_OK);
		if (!noted(cases[i].note))
			fail_msg("case %zu: nothing of: %s", i, cases[i].note);
		bench_free(&series);
	}
}

static void a_broken_file_is_told_with_its_place(void **state)
{
	static const struct {
		const char *text;
		slo_err code;
		size_t line; /* 0: none */
		const char *key, *message;
	} cases[] = {
		{ "", SLO_EPROTO, 1, "", "" },
		{ "{", SLO_EPROTO, 1, "", "" },
		{ "[]", SLO_EINVAL, 1, "", "object" },
		{ "{}", SLO_EINVAL, 1, "", "no known format" },
		{ "{\"a\":1}\n{\"b\":2}\n", SLO_EINVAL, 1, "", "no known format" },
		{ VLLM "\n" VLLM "\n{\"completed\":", SLO_EPROTO, 3, "", "" },
		{ VLLM "\n{\"completed\":0}\n", SLO_EINVAL, 2, "completed",
		  "no request succeeded" },
		{ VLLM "\n{\"completed\":\"x\"}\n", SLO_EINVAL, 2, "completed",
		  "must be a number" },
		{ "{\"completed\":5}", SLO_EINVAL, 1, "total_input_tokens", "missing" },
		{ "{\"completed\":5,\"total_input_tokens\":5,\"total_output_tokens\":5,"
		  "\"request_throughput\":NaN}",
		  SLO_EINVAL, 1, "request_throughput", "must be a number" },
		{ "{\"completed\":5,\"total_input_tokens\":5,\"total_output_tokens\":5,"
		  "\"request_throughput\":2}",
		  SLO_EINVAL, 1, "mean_e2el_ms", "mean_ttft_ms and mean_tpot_ms" },
		{ "{\"completed\":5,\"duration\":1,\"input_lens\":[1,2],\"output_lens\":[1],"
		  "\"ttfts\":[],\"itls\":[]}",
		  SLO_EINVAL, 1, "output_lens", "has 1 elements, but input_lens has 2" },
		{ "{\"completed\":5,\"duration\":1,\"input_lens\":[1],\"output_lens\":[0],"
		  "\"ttfts\":[0],\"itls\":[[]]}",
		  SLO_EINVAL, 1, "", "no request that succeeded" },
		{ "{\"completed\":5,\"duration\":1,\"input_lens\":[1],\"output_lens\":[2],"
		  "\"ttfts\":[1],\"itls\":[[\"x\"]]}",
		  SLO_EINVAL, 1, "itls[0][0]", "must be a number" },
		{ "{\"benchmarks\":[" GUIDE_RUN("0") "]}", SLO_EINVAL, 1, "benchmarks",
		  "no run in which a request succeeded" },
		{ "{\"completed\":1,\"total_input_tokens\":1e15,\"total_output_tokens\":1,"
		  "\"request_throughput\":1,\"mean_e2el_ms\":1}",
		  SLO_EINVAL, 1, "", "has 1e+15 tokens in a request" },
		{ "{\"benchmarks\":[{}]}", SLO_EINVAL, 1, "benchmarks[0].metrics", "missing" },
		{ "{\"request_latency\":{\"unit\":\"weeks\",\"avg\":1},"
		  "\"request_throughput\":{\"avg\":1},\"input_sequence_length\":{\"avg\":1},"
		  "\"output_sequence_length\":{\"avg\":1}}",
		  SLO_EINVAL, 1, "request_latency.unit", "must be ms, s, us or ns" },
		{ "{\"request_latency\":{\"unit\":\"ms\",\"avg\":null},"
		  "\"request_throughput\":{\"avg\":1},\"input_sequence_length\":{\"avg\":1},"
		  "\"output_sequence_length\":{\"avg\":1}}",
		  SLO_EINVAL, 1, "request_latency", "none succeeded" },
		{ AIPERF_ROW("5", "5"), SLO_EINVAL, 1, "metadata", "not after" },
		{ AIPERF_ROW("1", "9") AIPERF_ROW("5", "\"x\""), SLO_EINVAL, 2,
		  "metadata.request_end_ns", "must be a number" },
		{ AIBRIX_EMPTY, SLO_EINVAL, 0, "", "no request succeeded in any run" },
		{ AIBRIX_ROW("4", "TPUT", "4"), SLO_EINVAL, 0, "", "no run has the metric E2E" },
		{ AIBRIX AIBRIX_ROW("4", "SPEED", "4"), SLO_EINVAL, 6, "metric",
		  "is \"SPEED\", must be" },
		{ AIBRIX AIBRIX_ROW("-4", "E2E", "4"), SLO_EINVAL, 6, "request_rate", "from 0" },
		{ PROFILE_HEAD "\"tputs\":[[4,2],[2]],\"e2e\":[[1,1],[1,1]]}", SLO_EINVAL, 1,
		  "tputs[1]", "" },
		{ PROFILE_HEAD "\"tputs\":[[4,2],[2,2]]}", SLO_EINVAL, 1, "e2e", "missing" },
		{ PROFILE_HEAD "\"tputs\":[[0,0],[0,0]],\"e2e\":[[NaN,NaN],[NaN,NaN]]}", SLO_EINVAL,
		  1, "", "no cell in which a request succeeded" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		slo_err code = parse(cases[i].text);

		if (code != cases[i].code || error.line != cases[i].line ||
		    strcmp(error.key, cases[i].key) != 0 ||
		    !strstr(error.message, cases[i].message) || error.message[0] == '\0')
			fail_msg("case %zu: code %d, line %zu, key '%s': %s", i, code, error.line,
			         error.key, error.message);
		bench_free(&series);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_tells_the_same_run),
		cmocka_unit_test(each_line_is_a_run),
		cmocka_unit_test(details_make_a_point_of_each_size),
		cmocka_unit_test(requests_one_by_one),
		cmocka_unit_test(cells_of_a_profile_are_runs),
		cmocka_unit_test(what_is_missing_is_told),
		cmocka_unit_test(a_broken_file_is_told_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
