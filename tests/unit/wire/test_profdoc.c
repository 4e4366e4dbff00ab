#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/profdoc.h"

/* As Python's json.dump leaves it: one line, no newline, NaN where no request succeeded. */
static const char with_nan[] =
    "{\"gpu\": \"t4\", \"cost\": 0.25, \"tputs\": [[8.5, 2.25], [4.0, 0.0], [1.5, 0.0]], "
    "\"indexes\": [[4, 16, 64], [128, 512]], \"created\": 1700000000.25, "
    "\"e2e\": [[0.125, 0.5], [0.75, NaN], [2.0, NaN]], "
    "\"ttft\": [[0.0625, 0.25], [0.0625, -Infinity], [0.0625, Infinity]], "
    "\"slos\": {\"percentile\": 99, \"e2e\": 4.0, \"ttft\": 1.5}}";

static slo_err parse_bytes(const char *s, size_t len, struct slo_profile_doc **out,
                           struct doc_error *err)
{
	char *text = malloc(len > 0 ? len : 1); /* of exactly its size */
	slo_err rc;

	assert_non_null(text);
	memcpy(text, s, len);
	rc = profdoc_parse(text, len, out, err);
	free(text);
	return rc;
}

static struct slo_profile_doc *parse(const char *s)
{
	struct slo_profile_doc *doc = NULL;
	struct doc_error err;
	slo_err rc = parse_bytes(s, strlen(s), &doc, &err);

	if (rc != SLO_OK)
		fail_msg("%zu:%zu: %s: %s", err.line, err.column, err.key, err.message);
	return doc;
}

struct refusal {
	const char *text;
	slo_err rc;
	size_t line, column;
	const char *field, *message;
};

static void expect_refusal(const struct refusal *want)
{
	struct slo_profile_doc *doc = NULL;
	struct doc_error err;

	assert_int_equal(parse_bytes(want->text, strlen(want->text), &doc, &err), want->rc);
	assert_null(doc);
	assert_string_equal(err.key, want->field);
	assert_string_equal(err.message, want->message);
	assert_int_equal(err.line, want->line);
	assert_int_equal(err.column, want->column);
}

#define EXPECT_REFUSALS(cases)                                             \
	for (size_t i_ = 0; i_ < sizeof(cases) / sizeof((cases)[0]); i_++) \
	expect_refusal(&(cases)[i_])

static void a_python_profile_with_nan_is_read(void **state)
{
	struct slo_profile_doc *doc = parse(with_nan);

	(void)state;
	assert_string_equal(doc->gpu, "t4");
	assert_int_equal(doc->rows, 3);
	assert_int_equal(doc->cols, 2);
	assert_true(doc->output_axis[2] == 64);
	assert_true(doc->input_axis[1] == 512);
	assert_true(doc->cost == 0.25);
	assert_true(doc->created == 1700000000.25);
	assert_true(doc->tputs[0 * 2 + 1] == 2.25);
	assert_true(doc->tputs[2 * 2 + 0] == 1.5);
	assert_true(doc->e2e[1 * 2 + 0] == 0.75);
	assert_true(isnan(doc->e2e[1 * 2 + 1]));
	assert_true(isnan(doc->e2e[2 * 2 + 1]));
	assert_true(isnan(doc->ttft[1 * 2 + 1]));
	assert_true(isnan(doc->ttft[2 * 2 + 1]));
	assert_null(doc->tpot);
	assert_int_equal(doc->no_data, 4);
	assert_true(doc->slo_e2e == 4 && doc->slo_ttft == 1.5);
	assert_true(doc->slo_tpot == 0 && doc->slo_tpat == 0);
	profdoc_free(doc);
}

/* As C's printf writes numbers that are none, and editors of Windows files. */
static void what_other_tools_write_for_no_number_is_none(void **state)
{
	static const char *const words[] = { "nan", "-nan", "inf",  "-inf", "Infinity",
		                             "NaN", "NAN",  "+inf", "null" };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct slo_profile_doc *doc;
		char text[256];

		(void)snprintf(text, sizeof(text),
		               "\xef\xbb\xbf{\"indexes\":[[1],[1,2]],\"tputs\":[[%s,2]],"
		               "\"e2e\":[[%s,0.5]],\"tpot\":[[-0.0012,%s]]}",
		               words[i], words[i], words[i]);
		doc = parse(text);
		assert_true(doc->tputs[0] == 0 && doc->tputs[1] == 2);
		assert_true(isnan(doc->e2e[0]) && doc->e2e[1] == 0.5);
		assert_true(isnan(doc->tpot[0]) && isnan(doc->tpot[1]));
		assert_int_equal(doc->no_data, 4);
		profdoc_free(doc);
	}
}

static void every_proper_prefix_is_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(with_nan) - 1; len++) {
		struct slo_profile_doc *doc = NULL;
		struct doc_error err;

		assert_int_equal(parse_bytes(with_nan, len, &doc, &err), SLO_EPROTO);
		assert_null(doc);
		assert_int_equal(err.line, 1);
		assert_true(err.column <= len + 1);
	}
}

static void the_smallest_profile_has_tputs_and_indexes(void **state)
{
	struct slo_profile_doc *doc = parse("{\"tputs\":[[0]],\"indexes\":[[1],[1]]}");

	(void)state;
	assert_int_equal(doc->rows * doc->cols, 1);
	assert_string_equal(doc->gpu, "");
	assert_null(doc->e2e);
	assert_true(doc->cost == 0 && doc->created == 0);
	assert_int_equal(doc->no_data, 0);
	profdoc_free(doc);
}

static void names_match_in_any_case_and_unknown_ones_are_ignored(void **state)
{
	struct slo_profile_doc *doc =
	    parse("{\"TPUTS\":[[2]],\"Indexes\":[[1],[1]],\"E2E\":[[3]],\"tPoT\":[[0.5]],"
	          "\"GPU\":\"x\",\"model\":[NaN],\"SLOs\":{\"TPOT\":0.05,\"Percentile\":-99.5,"
	          "\"tput\":1,\"TT\":2,\"TPAT\":3,\"x\":-1}}");

	(void)state;
	assert_true(doc->tputs[0] == 2 && doc->e2e[0] == 3 && doc->tpot[0] == 0.5);
	assert_true(doc->slo_tpot == 0.05 && doc->slo_tpat == 3);
	assert_string_equal(doc->gpu, "x");
	profdoc_free(doc);
}

static void of_equal_names_the_last_counts(void **state)
{
	struct slo_profile_doc *doc = parse("{\"cost\":1,\"tputs\":[[2]],\"indexes\":[[1],[1]],"
	                                    "\"COST\":3,\"tputs\":[[4]],\"Cost\":5}");

	(void)state;
	assert_true(doc->cost == 5);
	assert_true(doc->tputs[0] == 4);
	profdoc_free(doc);
}

static void null_means_not_set(void **state)
{
	struct slo_profile_doc *doc =
	    parse("{\"gpu\":null,\"cost\":NaN,\"created\":null,\"tputs\":[[null,Infinity]],"
	          "\"indexes\":[[1],[1,2]],\"e2e\":null,\"ttft\":[[null,1]],"
	          "\"slos\":{\"e2e\":NaN,\"ttft\":null,\"tpot\":Infinity,\"percentile\":null}}");

	(void)state;
	assert_true(doc->tputs[0] == 0 && doc->tputs[1] == 0);
	assert_int_equal(doc->no_data, 3);
	assert_null(doc->e2e);
	assert_true(isnan(doc->ttft[0]));
	assert_true(doc->slo_e2e == 0 && doc->slo_ttft == 0 && doc->slo_tpot == 0);
	profdoc_free(doc);
	profdoc_free(parse("{\"tputs\":[[1]],\"indexes\":[[1],[1]],\"slos\":null}"));
}

static void a_cell_without_latency_may_have_throughput(void **state)
{
	struct slo_profile_doc *doc =
	    parse("{\"tputs\":[[1,0]],\"indexes\":[[1],[1,2]],\"e2e\":[[NaN,0]]}");

	(void)state;
	assert_true(doc->tputs[0] == 1 && isnan(doc->e2e[0]));
	profdoc_free(doc);
}

static void a_long_gpu_name_is_cut_between_characters(void **state)
{
	char text[200], a61[62];
	struct slo_profile_doc *doc;

	(void)state;
	memset(a61, 'a', 61);
	a61[61] = '\0';
	snprintf(text, sizeof(text),
	         "{\"gpu\":\"%s\xe2\x82\xac\",\"tputs\":[[1]],\"indexes\":[[1],[1]]}", a61);
	doc = parse(text);
	assert_string_equal(doc->gpu, a61);
	profdoc_free(doc);
	snprintf(text, sizeof(text), "{\"gpu\":\"%sbcd\",\"tputs\":[[1]],\"indexes\":[[1],[1]]}",
	         a61);
	doc = parse(text);
	assert_int_equal(strlen(doc->gpu), 63);
	assert_string_equal(doc->gpu + 61, "bc");
	profdoc_free(doc);
}

static void a_broken_text_is_refused_where_it_breaks(void **state)
{
	static const struct refusal cases[] = {
		{ "", SLO_EPROTO, 1, 1, "", "'[' or '{' expected near end of file" },
		{ "{\"cost\": 1,\n \"gpu\" \"x\"}", SLO_EPROTO, 2, 8, "",
		  "':' expected near '\"x\"'" },
		/* The columns are the original's, where NaN is shorter than null. */
		{ "{\"a\": [NaN, NaN, NaN, @]}", SLO_EPROTO, 1, 23, "", "invalid token near '@'" },
		{ "{\"a\": [-Infinity, Infinity,\n Infinity 5]}", SLO_EPROTO, 2, 11, "",
		  "']' expected near '5'" },
		{ "{\"a\": nil}", SLO_EPROTO, 1, 7, "", "invalid token near 'nil'" },
		{ "{\"a\": [nan, -nan, INF, nul]}", SLO_EPROTO, 1, 24, "",
		  "invalid token near 'nul'" },
		{ "\xef\xbb\xbf{\"a\": nil}", SLO_EPROTO, 1, 7, "", "invalid token near 'nil'" },
		{ "{}\n{}", SLO_EPROTO, 2, 1, "",
		  "end of file expected near '{'" }, /* JSON Lines */
		{ "{\"cost\": 1e400}", SLO_EPROTO, 1, 10, "", "real number overflow near '1e400'" },
		{ "{\"cost\": 1e999}", SLO_EPROTO, 1, 10, "", "real number overflow near '1e999'" },
		{ "{\"gpu\": \"\x01\"}", SLO_EPROTO, 1, 10, "", "control character 0x1 near '\"'" },
		{ "[\x02]", SLO_EPROTO, 1, 2, "", "invalid token near '?'" },
	};

	(void)state;
	EXPECT_REFUSALS(cases);
}

#define TPUTS "\"tputs\":[[1,2],\n[3,4]]"
#define AXES  "\"indexes\":[[4,8],\n[64,128]]"

static void a_wrong_type_is_refused_with_its_place(void **state)
{
	static const struct refusal cases[] = {
		{ " [1]", SLO_EINVAL, 1, 2, "", "is an array, must be an object" },
		{ "{\"gpu\": 4," TPUTS "," AXES "}", SLO_EINVAL, 1, 9, "gpu",
		  "is a number, must be a string" },
		{ "{\"Cost\": \"1\"," TPUTS "," AXES "}", SLO_EINVAL, 1, 10, "Cost",
		  "is a string, must be a number" },
		{ "{\"created\":\n true," TPUTS "," AXES "}", SLO_EINVAL, 2, 2, "created",
		  "is a boolean, must be a number" },
		{ "{\"indexes\": {}," TPUTS "}", SLO_EINVAL, 1, 13, "indexes",
		  "is an object, must be an array of two axes" },
		{ "{\"indexes\": [[1], 2]," TPUTS "}", SLO_EINVAL, 1, 19, "indexes[1]",
		  "is a number, must be an array of numbers" },
		{ "{\"indexes\": [[1, NaN], [2]]," TPUTS "}", SLO_EINVAL, 1, 18, "indexes[0][1]",
		  "is null (or NaN, Infinity), must be a number" },
		{ "{\"tputs\": 1," AXES "}", SLO_EINVAL, 1, 11, "tputs",
		  "is a number, must be an array of rows" },
		{ "{\"tputs\": [[1, 2], null]," AXES "}", SLO_EINVAL, 1, 20, "tputs[1]",
		  "is null (or NaN, Infinity), must be an array of numbers" },
		{ "{\"tputs\": [[1, 2],\n  [3, \"4\"]]," AXES "}", SLO_EINVAL, 2, 7, "tputs[1][1]",
		  "is a string, must be a number" },
		{ "{" TPUTS "," AXES ",\"slos\": [1]}", SLO_EINVAL, 3, 19, "slos",
		  "is an array, must be an object" },
		{ "{" TPUTS "," AXES ",\"slos\": {\"ttft\": [1]}}", SLO_EINVAL, 3, 28, "slos.ttft",
		  "is an array, must be a number" },
		{ "{" TPUTS "," AXES ",\"slos\": {\"percentile\": \"p99\"}}", SLO_EINVAL, 3, 34,
		  "slos.percentile", "is a string, must be a number" },
	};

	(void)state;
	EXPECT_REFUSALS(cases);
}

static void a_wrong_shape_is_refused_with_its_place(void **state)
{
	static const struct refusal cases[] = {
		{ "\n {" TPUTS "}", SLO_EINVAL, 2, 2, "indexes", "is missing" },
		{ "{" AXES "}", SLO_EINVAL, 1, 1, "tputs", "is missing" },
		{ "{\"tputs\":null," AXES "}", SLO_EINVAL, 1, 10, "tputs", "is missing" },
		{ "{\"indexes\":[[1]]," TPUTS "}", SLO_EINVAL, 1, 12, "indexes",
		  "has 1 axes, must have 2 (output, input)" },
		{ "{\"indexes\":[[1],[],[2]]," TPUTS "}", SLO_EINVAL, 1, 12, "indexes",
		  "has 3 axes, must have 2 (output, input)" },
		{ "{\"indexes\":[[1],[]]," TPUTS "}", SLO_EINVAL, 1, 17, "indexes[1]",
		  "is empty, must have at least one index" },
		{ "{\"tputs\": [[1, 2]]," AXES "}", SLO_EINVAL, 1, 11, "tputs",
		  "has 1 rows, must have 2 like indexes[0]" },
		{ "{\"tputs\": [[1, 2],\n[1, 2, 3]]," AXES "}", SLO_EINVAL, 2, 1, "tputs[1]",
		  "has 3 columns, must have 2 like indexes[1]" },
		{ "{" TPUTS "," AXES ",\"tpot\": []}", SLO_EINVAL, 3, 19, "tpot",
		  "has 0 rows, must have 2 like indexes[0]" },
		{ "{" TPUTS "," AXES ",\"e2e\": [[1, 2], [1]]}", SLO_EINVAL, 3, 27, "e2e[1]",
		  "has 1 columns, must have 2 like indexes[1]" },
	};

	(void)state;
	EXPECT_REFUSALS(cases);
}

static void a_number_out_of_range_is_refused_with_its_place(void **state)
{
	static const struct refusal cases[] = {
		{ "{\"cost\": -0.5," TPUTS "," AXES "}", SLO_EINVAL, 1, 10, "cost",
		  "is -0.5, must be a finite number >= 0" },
		{ "{\"created\": -1," TPUTS "," AXES "}", SLO_EINVAL, 1, 13, "created",
		  "is -1, must be a finite number >= 0" },
		{ "{\"created\": 1700000000000," TPUTS "," AXES "}", SLO_EINVAL, 1, 13, "created",
		  "is 1.7e+12, must be a Unix time in seconds" },
		{ "{\"created\": 1e308," TPUTS "," AXES "}", SLO_EINVAL, 1, 13, "created",
		  "is 1e+308, must be a Unix time in seconds" },
		{ "{\"indexes\": [[0, 1], [1, 2]]," TPUTS "}", SLO_EINVAL, 1, 15, "indexes[0][0]",
		  "is 0, must be > 0" },
		{ "{\"indexes\": [[1, 2], [8, 8]]," TPUTS "}", SLO_EINVAL, 1, 26, "indexes[1][1]",
		  "is 8, must be greater than the index before it, 8" },
		{ "{\"tputs\": [[1, 2],\n [NaN, -1]]," AXES "}", SLO_EINVAL, 2, 8, "tputs[1][1]",
		  "is -1, must be a finite number >= 0" },
		{ "{" TPUTS "," AXES ",\"ttft\": [[NaN, -3], [1, 1]]}", SLO_EINVAL, 3, 26,
		  "ttft[0][1]", "is -3, must be a finite number >= 0" },
		{ "{" TPUTS "," AXES ",\"E2E\": [[1, 1],\n [1, 0.0]]}", SLO_EINVAL, 4, 6,
		  "E2E[1][1]", "is 0, must be > 0 where tputs is" },
		{ "{" TPUTS "," AXES ",\"slos\": {\"tput\": -1}}", SLO_EINVAL, 3, 28, "slos.tput",
		  "is -1, must be a finite number >= 0" },
		{ "{" TPUTS "," AXES ",\"slos\": {\"e2e\": -6}}", SLO_EINVAL, 3, 27, "slos.e2e",
		  "is -6, must be a finite number >= 0" },
	};

	(void)state;
	EXPECT_REFUSALS(cases);
}

/* A profile of n output indexes, one input index and throughput 0. */
static char *tall_profile(size_t n)
{
	char *text = malloc(64 + n * 16);
	size_t used;

	assert_non_null(text);
	used = (size_t)sprintf(text, "{\"indexes\":[[");
	for (size_t i = 1; i <= n; i++)
		used += (size_t)sprintf(text + used, i < n ? "%zu," : "%zu],[1]],\"tputs\":[", i);
	for (size_t i = 1; i <= n; i++)
		used += (size_t)sprintf(text + used, i < n ? "[0]," : "[0]]}");
	return text;
}

static void an_axis_has_1024_indexes_at_most(void **state)
{
	char *most = tall_profile(1024), *over = tall_profile(1025);
	struct refusal want = { over, SLO_ETOOBIG,  1,
		                13,   "indexes[0]", "has 1025 indexes, at most 1024 are allowed" };

	(void)state;
	profdoc_free(parse(most));
	expect_refusal(&want);
	free(most);
	free(over);
}

/* A profile of n by n cells without throughput, of null. */
static char *square_profile(size_t n)
{
	char *text = malloc(64 + n * (n * 5 + 32));
	size_t used;

	assert_non_null(text);
	used = (size_t)sprintf(text, "{\"indexes\":[");
	for (int axis = 0; axis < 2; axis++)
		for (size_t i = 1; i <= n; i++)
			used += (size_t)sprintf(text + used, "%s%zu%s", i == 1 ? "[" : ",", i,
			                        i < n       ? ""
			                        : axis == 0 ? "],"
			                                    : "]],\"tputs\":[");
	for (size_t i = 1; i <= n; i++) {
		for (size_t k = 1; k <= n; k++)
			used += (size_t)sprintf(text + used, k == 1 ? "[null" : ",null");
		used += (size_t)sprintf(text + used, i < n ? "]," : "]]}");
	}
	return text;
}

static void a_profile_has_16384_cells_at_most(void **state)
{
	char *most = square_profile(128), *over = square_profile(129);
	struct refusal want = {
		over, SLO_ETOOBIG, 1,
		12,   "indexes",   "has 129 by 129 cells, at most 16384 are allowed"
	};
	struct slo_profile_doc *doc = parse(most);

	(void)state;
	assert_int_equal(doc->no_data, 16384);
	profdoc_free(doc);
	expect_refusal(&want);
	free(most);
	free(over);
}

static void a_text_has_1_mib_at_most(void **state)
{
	static const char profile[] = "{\"tputs\":[[0]],\"indexes\":[[1],[1]]}";
	size_t len = sizeof(profile) - 1;
	char *text = malloc(PROFDOC_TEXT_MAX + 1);
	struct slo_profile_doc *doc = NULL;
	struct doc_error err;

	(void)state;
	assert_non_null(text);
	memcpy(text, profile, len);
	memset(text + len, ' ', PROFDOC_TEXT_MAX + 1 - len);
	assert_int_equal(profdoc_parse(text, PROFDOC_TEXT_MAX + 1, &doc, &err), SLO_ETOOBIG);
	assert_null(doc);
	assert_int_equal(err.line, 0);
	assert_string_equal(err.message, "is longer than 1 MiB");
	assert_int_equal(profdoc_parse(text, PROFDOC_TEXT_MAX, &doc, &err), SLO_OK);
	profdoc_free(doc);
	free(text);
}

/* jansson takes up to a microsecond for each. */
static void what_no_profile_has_is_refused_before_it_is_parsed(void **state)
{
	static const char *const heads[] = { "{\"x\":[", "{" }, *const units[] = { "1,",
		                                                                   "\"k\":1," };
	char *text = malloc(PROFDOC_TEXT_MAX);
	struct slo_profile_doc *doc = NULL;
	struct doc_error err;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(heads[i]), unit = strlen(units[i]);

		memcpy(text, heads[i], len);
		for (; len + unit < PROFDOC_TEXT_MAX; len += unit)
			memcpy(text + len, units[i], unit);
		assert_int_equal(profdoc_parse(text, len, &doc, &err), SLO_ETOOBIG);
		assert_string_equal(err.message, "has more values than any profile");
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_python_profile_with_nan_is_read),
		cmocka_unit_test(what_other_tools_write_for_no_number_is_none),
		cmocka_unit_test(every_proper_prefix_is_refused),
		cmocka_unit_test(the_smallest_profile_has_tputs_and_indexes),
		cmocka_unit_test(names_match_in_any_case_and_unknown_ones_are_ignored),
		cmocka_unit_test(of_equal_names_the_last_counts),
		cmocka_unit_test(null_means_not_set),
		cmocka_unit_test(a_cell_without_latency_may_have_throughput),
		cmocka_unit_test(a_long_gpu_name_is_cut_between_characters),
		cmocka_unit_test(a_broken_text_is_refused_where_it_breaks),
		cmocka_unit_test(a_wrong_type_is_refused_with_its_place),
		cmocka_unit_test(a_wrong_shape_is_refused_with_its_place),
		cmocka_unit_test(a_number_out_of_range_is_refused_with_its_place),
		cmocka_unit_test(an_axis_has_1024_indexes_at_most),
		cmocka_unit_test(a_profile_has_16384_cells_at_most),
		cmocka_unit_test(a_text_has_1_mib_at_most),
		cmocka_unit_test(what_no_profile_has_is_refused_before_it_is_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
