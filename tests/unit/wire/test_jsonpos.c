#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json/jsonpos.h"

#define K(name)               \
	{                     \
		.key = (name) \
	}
#define I(place)                 \
	{                        \
		.index = (place) \
	}
#define NOWHERE SIZE_MAX

/* Of exactly its size, so that a sanitizer sees an over-read. */
static char *exact_copy(const char *s, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, s, len);
	return copy;
}

static size_t find(const char *s, const struct jsonpos_step *path, size_t steps,
                   enum jsonpos_part part)
{
	size_t len = strlen(s), offset = NOWHERE;
	char *text = exact_copy(s, len);

	if (!jsonpos_find(text, len, path, steps, part, &offset))
		assert_int_equal(offset, NOWHERE);
	free(text);
	return offset;
}

static size_t place_of(const char *text, const char *what)
{
	const char *p = strstr(text, what);

	assert_non_null(p);
	return (size_t)(p - text);
}

static void finds_a_member_by_its_key_or_its_value(void **state)
{
	const char *text = " {\"a\" : 1,\n \"b\": {\"c\": [10, [2, 3]]}}";
	const struct jsonpos_step a[] = { K("a") }, c[] = { K("b"), K("c") };

	(void)state;
	assert_int_equal(find(text, NULL, 0, JSONPOS_VALUE), 1);
	assert_int_equal(find(text, a, 1, JSONPOS_KEY), place_of(text, "\"a\""));
	assert_int_equal(find(text, a, 1, JSONPOS_VALUE), place_of(text, "1,"));
	assert_int_equal(find(text, c, 2, JSONPOS_KEY), place_of(text, "\"c\""));
	assert_int_equal(find(text, c, 2, JSONPOS_VALUE), place_of(text, "[10"));
}

static void finds_elements_of_arrays_in_arrays(void **state)
{
	const char *text = "{\"b\": {\"c\": [10 , [2, 3], \"]\", {\"d\": []}, 7]}}";
	const struct jsonpos_step first[] = { K("b"), K("c"), I(0) };
	const struct jsonpos_step deep[] = { K("b"), K("c"), I(1), I(1) };
	const struct jsonpos_step last[] = { K("b"), K("c"), I(4) };

	(void)state;
	assert_int_equal(find(text, first, 3, JSONPOS_VALUE), place_of(text, "10"));
	assert_int_equal(find(text, first, 3, JSONPOS_KEY), place_of(text, "10"));
	assert_int_equal(find(text, deep, 4, JSONPOS_VALUE), place_of(text, "3]"));
	assert_int_equal(find(text, last, 3, JSONPOS_VALUE), place_of(text, "7"));
}

static void does_not_find_what_is_not_there(void **state)
{
	const char *text = "{\"a\": [1], \"ab\": {}, \"e\": []}";
	const struct jsonpos_step missing[] = { K("b") }, longer[] = { K("abc") };
	const struct jsonpos_step past[] = { K("a"), I(1) }, none[] = { K("e"), I(0) };
	const struct jsonpos_step in_array[] = { K("a"), K("x") }, in_object[] = { I(0) };

	(void)state;
	assert_int_equal(find(text, missing, 1, JSONPOS_KEY), NOWHERE);
	assert_int_equal(find(text, longer, 1, JSONPOS_KEY), NOWHERE);
	assert_int_equal(find(text, past, 2, JSONPOS_VALUE), NOWHERE);
	assert_int_equal(find(text, none, 2, JSONPOS_VALUE), NOWHERE);
	assert_int_equal(find(text, in_array, 2, JSONPOS_VALUE), NOWHERE);
	assert_int_equal(find(text, in_object, 1, JSONPOS_VALUE), NOWHERE);
	assert_int_equal(find("  ", NULL, 0, JSONPOS_VALUE), NOWHERE);
}

static void brackets_quotes_and_nan_inside_values_do_not_confuse_it(void **state)
{
	const char *text =
	    "{\"s\": \"}],\\\"{\\\\\", \"n\": [NaN, -Infinity, -1.5e+3], \"t\": true}";
	const struct jsonpos_step t[] = { K("t") }, n[] = { K("n"), I(2) };

	(void)state;
	assert_int_equal(find(text, t, 1, JSONPOS_VALUE), place_of(text, "true"));
	assert_int_equal(find(text, n, 2, JSONPOS_VALUE), place_of(text, "-1.5"));
}

static void of_equal_keys_the_last_counts(void **state)
{
	const char *text = "{\"a\": [5], \"a\": [6]}";
	const struct jsonpos_step a[] = { K("a"), I(0) };

	(void)state;
	assert_int_equal(find(text, a, 2, JSONPOS_VALUE), place_of(text, "6"));
}

static void keys_are_compared_as_what_their_escapes_mean(void **state)
{
	static const struct {
		const char *text, *key;
	} cases[] = {
		{ "{\"meta\\/llama\": 1}", "meta/llama" },
		{ "{\"\\u00e9\": 1}", "\xc3\xa9" },
		{ "{\"\\u20AC\\t\": 1}", "\xe2\x82\xac\t" },
		{ "{\"\\ud83d\\ude00x\": 1}", "\xf0\x9f\x98\x80x" },
		{ "{\"\\\"\\\\\\b\\f\\n\\r\": 1}", "\"\\\b\f\n\r" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct jsonpos_step path[] = { K(cases[i].key) };
		const struct jsonpos_step other[] = { K("n") };

		assert_int_equal(find(cases[i].text, path, 1, JSONPOS_KEY), 1);
		assert_int_equal(find(cases[i].text, other, 1, JSONPOS_KEY), NOWHERE);
	}
}

/* Also every escape cut short: the result does not matter, only that nothing is over-read. */
static void a_text_cut_anywhere_is_safe(void **state)
{
	const char *text = "{\"x\": NaN, \"\\ud83d\\ude00\": [[1, \"a\\\\\"], {\"k\": -Infinity}]}";
	const struct jsonpos_step path[] = { K("\xf0\x9f\x98\x80"), I(1), K("k") };

	(void)state;
	for (size_t len = 0; len <= strlen(text); len++) {
		char *copy = exact_copy(text, len), *out;
		size_t offset = 0, out_len;
		bool found = jsonpos_find(copy, len, path, 3, JSONPOS_VALUE, &offset);

		assert_int_equal(found, len > place_of(text, "-Inf"));
		assert_int_equal(jsonpos_denan(copy, len, &out, &out_len), SLO_OK);
		assert_true(jsonpos_original(copy, len, out_len) == len);
		free(out);
		free(copy);
	}
}

static void lines_and_columns_count_bytes_from_one(void **state)
{
	const char *text = "ab\n\xc3\xa9\tz\r\n";
	static const struct {
		size_t offset, line, column;
	} cases[] = { { 0, 1, 1 }, { 2, 1, 3 }, { 3, 2, 1 }, { 6, 2, 4 },
		      { 7, 2, 5 }, { 9, 3, 1 }, { 99, 3, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct jsonpos pos = jsonpos_at(text, strlen(text), cases[i].offset);

		assert_int_equal(pos.line, cases[i].line);
		assert_int_equal(pos.column, cases[i].column);
	}
}

static void bare_nan_and_infinity_become_null(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "NaN", "null" },
		{ "[NaN,NaN,NaN]", "[null,null,null]" },
		{ "[Infinity, -Infinity]", "[null, null]" },
		{ "{\"NaN\": \"Infinity\", \"\\\"NaN\": NaN}",
		  "{\"NaN\": \"Infinity\", \"\\\"NaN\": null}" },
		{ "[nan,-nan,NAN,+NaN]", "[null,null,null,null]" },
		{ "[inf, -inf, +Infinity, INF]", "[null, null, null, null]" },
		{ "[NaNs, xNaN, nano, --Infinity, 1NaN, in, infinit, nan(0x1), n]",
		  "[NaNs, xNaN, nano, --Infinity, 1NaN, in, infinit, null(0x1), n]" },
		{ "NaN NaN\"NaN", "null null\"NaN" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].in), out_len;
		char *in = exact_copy(cases[i].in, len), *out;

		assert_int_equal(jsonpos_denan(in, len, &out, &out_len), SLO_OK);
		assert_int_equal(out_len, strlen(cases[i].out));
		assert_memory_equal(out, cases[i].out, out_len);
		free(out);
		free(in);
	}
}

static void offsets_of_the_copy_lead_back_to_the_original(void **state)
{
	const char *text = "[NaN, -Infinity,\n \"NaN\", Infinity, 7]";
	const char *copy = "[null, null,\n \"NaN\", null, 7]";
	size_t len = strlen(text);

	(void)state;
	assert_int_equal(jsonpos_original(text, len, 0), 0);
	assert_int_equal(jsonpos_original(text, len, place_of(copy, "null")), 1);
	assert_int_equal(jsonpos_original(text, len, place_of(copy, "null") + 3), 1);
	assert_int_equal(jsonpos_original(text, len, place_of(copy, "null,\n")),
	                 place_of(text, "-Inf"));
	assert_int_equal(jsonpos_original(text, len, place_of(copy, "aN\"")),
	                 place_of(text, "aN\""));
	assert_int_equal(jsonpos_original(text, len, place_of(copy, "7")), place_of(text, "7"));
	assert_int_equal(jsonpos_original(text, len, strlen(copy)), len);
	assert_int_equal(jsonpos_original(text, len, 1000), len);
}

static void a_syntax_error_is_where_its_token_begins(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
	} cases[] = {
		{ "{\"a\": }", 6 },
		{ "{\"a\":1", 6 },
		{ "{\"a\" 1}", 5 },
		{ "[1,2,]", 5 },
		{ "[\"abc\n\"]", 5 },
		{ "[\"a\\x\"]", 4 },
		{ "[ tru]", 2 },
		{ "[1e999]", 1 },
		{ "{\"a\":1,\"a\":2}", 7 },
		{ "[1] x", 4 },
		{ "", 0 },
		{ "  ", 2 },
		{ "[\"abc", 5 },
		{ "[\"\xff\"]", 2 },
		{ "[99999999999999999999]", 1 },
		{ "[1 \"abc\"]", 3 },
		{ "\x01", 0 },
		{ "[\"\\u0000\"]", 1 },
		{ "[1,\n\n  @]", 7 },
		{ "{\"a\":1 \"bc\":2}", 7 },
		{ "[[1,2],\n[3 4]]", 11 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].text);
		char *text = exact_copy(cases[i].text, len);
		json_error_t e;

		assert_null(json_loadb(text, len, JSON_REJECT_DUPLICATES, &e));
		assert_int_equal(jsonpos_syntax_error(text, len, &e), cases[i].offset);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_member_by_its_key_or_its_value),
		cmocka_unit_test(finds_elements_of_arrays_in_arrays),
		cmocka_unit_test(does_not_find_what_is_not_there),
		cmocka_unit_test(brackets_quotes_and_nan_inside_values_do_not_confuse_it),
		cmocka_unit_test(of_equal_keys_the_last_counts),
		cmocka_unit_test(keys_are_compared_as_what_their_escapes_mean),
		cmocka_unit_test(a_text_cut_anywhere_is_safe),
		cmocka_unit_test(lines_and_columns_count_bytes_from_one),
		cmocka_unit_test(bare_nan_and_infinity_become_null),
		cmocka_unit_test(offsets_of_the_copy_lead_back_to_the_original),
		cmocka_unit_test(a_syntax_error_is_where_its_token_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
