#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "scanned.h"

/* A cut escape adds nothing; a cut pair at most the half that is there. */
static void escapes_may_be_cut_at_every_byte(void **state)
{
	static const char body[] = "{\"prompt\":\"ab \\ud83d\\ude80";
	const size_t start = strlen("{\"prompt\":\"ab ");
	const char *before[] = { "ab " };
	const char *lone[] = { "ab \xef\xbf\xbd" }; /* the first half, nothing behind it */
	const char *after[] = { "ab \xf0\x9f\x9a\x80" };
	struct scanned s;

	(void)state;
	for (size_t cut = start; cut < sizeof(body) - 1; cut++) {
		scan_bytes(&s, body, cut);
		assert_true(s.b.is_json);
		assert_texts(&s, cut == start + 6 ? lone : before, 1);
		done(&s);
	}
	scan(&s, body);
	assert_texts(&s, after, 1);
	done(&s);
}

static void the_type_of_a_part_may_come_after_the_cut(void **state)
{
	const char *texts[] = { "hello wor" };
	struct scanned s;

	(void)state;
	scan_quoted(&s, "{'messages':[{'content':[{'text':'hello wor");
	assert_texts(&s, texts, 1);
	done(&s);
	scan_quoted(&s, "{'messages':[{'content':[{'text':'hello wor','type':'te");
	assert_texts(&s, texts, 1);
	done(&s);
	scan_quoted(&s, "{'messages':[{'content':[{'type':'image','text':'hello wor");
	assert_texts(&s, NULL, 0);
	done(&s);
}

/* A chat body of about `len` bytes of text in messages of 400. The caller frees it. */
static char *long_chat(size_t len)
{
	static const char sentence[] =
	    "The quick brown fox jumps over 13 lazy dogs, says \\\"hi\\\". ";
	size_t cap = len * 2 + 4096;
	char *body = calloc(1, cap);

	assert_non_null(body);
	add(body, cap, "{\"messages\":[");
	for (size_t text = 0; text < len;) {
		add(body, cap, text > 0 ? "," : "");
		add(body, cap, "{\"role\":\"user\",\"content\":\"");
		for (size_t end = text + 400; text < end; text += sizeof(sentence) - 1)
			add(body, cap, sentence);
		add(body, cap, "\"}");
	}
	add(body, cap, "],\"model\":\"m\",\"max_tokens\":8}");
	return body;
}

static void a_cut_body_is_scaled_to_its_whole_size(void **state)
{
	char *body = long_chat(60000);
	size_t len = strlen(body);
	struct scanned s;
	int64_t whole;

	(void)state;
	scan(&s, body);
	assert_true(s.b.complete);
	whole = avg_tokens(&s.b, (int64_t)len);
	done(&s);
	for (size_t cut = 3000; cut < len; cut += 997) {
		scan_bytes(&s, body, cut);
		assert_in_range(avg_tokens(&s.b, (int64_t)len), whole * 85 / 100,
		                whole * 115 / 100);
		assert_true(avg_tokens(&s.b, 0) <= whole); /* size unknown: what is there */
		assert_true(avg_tokens(&s.b, (int64_t)cut) == avg_tokens(&s.b, 0));
		done(&s);
	}
	free(body);
}

static void ids_are_scaled_as_well(void **state)
{
	char body[4096] = "{\"prompt\":[";
	struct scanned s;
	int64_t got;

	(void)state;
	while (strlen(body) < 4000)
		add(body, sizeof(body), "12345,");
	scan(&s, body);
	assert_false(s.b.complete);
	got = avg_tokens(&s.b, 600000);
	assert_in_range(got, 99000, 101000);
	done(&s);
}

static void huge_sizes_are_clamped(void **state)
{
	struct scanned s;

	(void)state;
	scan_quoted(&s, "{'prompt':'hello");
	assert_int_equal(avg_tokens(&s.b, INT64_MAX), INT32_MAX);
	assert_int_equal(avg_tokens(&s.b, INT64_MIN), 1);
	assert_int_equal(avg_tokens(&s.b, -1), 1);
	done(&s);
	scan(&s, "");
	assert_int_equal(avg_tokens(&s.b, INT64_MAX), 0);
	done(&s);
}

/* Most of a large body with an inline image is the image: its size says nothing of the text. */
static void an_inline_image_is_neither_counted_nor_scaled(void **state)
{
	char body[9000] =
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	    "\"What is on this picture?\"},{\"type\":\"image_url\",\"image_url\":"
	    "{\"url\":\"data:image/png;base64,";
	const char *texts[] = { "What is on this picture?" };
	struct scanned s;
	int64_t tokens;

	(void)state;
	while (strlen(body) < 8900)
		add(body, sizeof(body), "iVBORw0KGgoAAAANSUhEUgAA");
	scan(&s, body);
	assert_true(s.b.is_json);
	assert_true(s.b.opaque_tail);
	assert_texts(&s, texts, 1);
	tokens = avg_tokens(&s.b, 0);
	assert_int_equal(avg_tokens(&s.b, 2000000), tokens);
	done(&s);
	add(body, sizeof(body), "\"}}]}]}");
	scan(&s, body);
	assert_true(s.b.complete);
	assert_false(s.b.opaque_tail);
	assert_int_equal(avg_tokens(&s.b, 2000000), tokens);
	done(&s);
}

/* Whoever puts white space or keys of no meaning before it does not hide it. */
static void a_prompt_behind_the_cut_is_the_rest_of_the_body(void **state)
{
	static const char *starts[] = { "", "{", "{\"model\":\"m\",\"metadata\":{",
		                        "{\"model\":\"m\",\"k\":0," };
	char body[3000];
	struct scanned s;

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		memset(body, ' ', sizeof(body) - 1);
		memcpy(body, starts[i], strlen(starts[i]));
		body[sizeof(body) - 1] = '\0';
		scan(&s, body);
		assert_int_equal(s.b.is_json, i > 0);
		assert_int_equal(s.b.blank, i == 0);
		body_is_cut(&s.b);
		assert_true(s.b.is_json);
		assert_false(s.b.complete);
		assert_int_equal(s.b.form, BODY_JSON);
		assert_int_equal(avg_tokens(&s.b, (int64_t)s.b.scanned + 40000), 10000);
		assert_int_equal(avg_tokens(&s.b, (int64_t)s.b.scanned), 0);
		done(&s);
	}
}

/* The string in which a tool's schema is cut is prompt all the same. */
static void a_cut_tool_is_scaled(void **state)
{
	char body[3000] = "{\"tools\":[{\"function\":{\"description\":\"";
	struct scanned s;

	(void)state;
	while (strlen(body) < 2900)
		add(body, sizeof(body), "reads the weather ");
	scan(&s, body);
	assert_false(s.b.opaque_tail);
	assert_true(s.b.text.count[TOKEN_WORD] > 400);
	assert_true(avg_tokens(&s.b, 30000) > 9 * avg_tokens(&s.b, 0));
	done(&s);
}

static void what_is_not_json_is_told_apart(void **state)
{
	static const char *const bodies[] = {
		"",
		"   ",
		"hello",
		"[]",
		"[{'model':'m'}]",
		"'model'",
		"\xef\xbb\xbf",
		"\xef\xbb\xbf\xef\xbb\xbf{}",
		"\xef\xbb{}",
		"{'a':NAN}",
		"{'a':nan}",
		"{'a':+Infinity}",
		"{'a':Infinity0}",
		"{'a':--Infinity}",
		"{]",
		"{'a'}",
		"{'a':}",
		"{'a':1,}",
		"{,}",
		"{'a':1 'b':2}",
		"{a:1}",
		"{'a':[1,]}",
		"{'a':[1}",
		"{'a':{]}",
		"{'a':tru}",
		"{'a':truth}",
		"{'a':nul,'b':1}",
		"{'a':+1}",
		"{'a':01}",
		"{'a':1.}",
		"{'a':.5}",
		"{'a':1e}",
		"{'a':-}",
		"{'a':1a2}",
		"{} {}",
		"{}x",
		"{'a':1}}",
		"model=m&prompt=x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct scanned s;

		scan_quoted(&s, bodies[i]);
		assert_false(s.b.is_json);
		assert_model(&s, NULL);
		assert_int_equal(s.b.n, 1);
		assert_int_equal(s.b.sequences, 1);
		assert_int_equal(s.b.max_tokens, -1);
		assert_true(s.b.scanned <= strlen(bodies[i]));
		done(&s);
	}
}

static void what_was_found_before_an_error_stays(void **state)
{
	struct scanned s;

	(void)state;
	scan_quoted(&s, "{'model':'m','prompt':'x',!");
	assert_false(s.b.is_json);
	assert_model(&s, "m");
	assert_int_equal(s.b.text.count[TOKEN_WORD], 1);
	done(&s);
}

static void nuls_and_bad_utf8_inside_strings_do_no_harm(void **state)
{
	static const char body[] = "{\"prompt\":\"a\0b\xff\",\"model\":\"m\0\xc3\"}";
	struct scanned s;

	(void)state;
	scan_bytes(&s, body, sizeof(body) - 1);
	assert_true(s.b.complete);
	assert_int_equal(s.b.model.len, 3);
	done(&s);
	scan_bytes(&s, "\0{}", 3);
	assert_false(s.b.is_json);
	done(&s);
	scan_bytes(&s, "{}\0", 3);
	assert_false(s.b.is_json);
	done(&s);
}

/* n opening brackets, what is inside, n closing ones, and a model behind it all. */
static char *nested(size_t n, char open, const char *inside, char close)
{
	size_t cap = 2 * n + strlen(inside) + 64;
	char *body = calloc(1, cap);

	assert_non_null(body);
	add(body, cap, "{\"prompt\":[\"x\"],\"deep\":");
	memset(body + strlen(body), open, n);
	add(body, cap, inside);
	memset(body + strlen(body), close, n);
	add(body, cap, ",\"model\":\"m\"}");
	return body;
}

static void deep_nesting_is_passed_over(void **state)
{
	static const size_t depths[] = { 1, 21, 22, 23, 24, 25, 26, 100, 100000 };
	struct scanned s;

	(void)state;
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		char *body = nested(depths[i], '[', "\"]\\\"]\"", ']');

		scan(&s, body);
		assert_true(s.b.complete);
		assert_true(s.b.is_json);
		assert_model(&s, "m");
		assert_int_equal(s.b.text.count[TOKEN_WORD], 1);
		done(&s);
		scan_bytes(&s, body, strlen(body) / 2); /* cut in the middle of it */
		assert_true(s.b.is_json);
		assert_false(s.b.complete);
		assert_model(&s, NULL);
		done(&s);
		free(body);
	}
}

static void deep_objects_are_passed_over_too(void **state)
{
	char body[4096] = "{\"tools\":";
	struct scanned s;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		add(body, sizeof(body), "{\"word\":");
	add(body, sizeof(body), "\"}\"");
	for (size_t i = 0; i < 100; i++)
		add(body, sizeof(body), "}");
	add(body, sizeof(body), ",\"model\":\"m\"}");
	scan(&s, body);
	assert_true(s.b.complete);
	assert_true(s.b.is_json);
	assert_model(&s, "m");
	assert_int_equal(s.b.text.count[TOKEN_WORD], 100); /* the raw text of a tool is prompt */
	done(&s);
}

/* Each would be slow with a scanner that looks ahead again and again. */
static void hostile_megabytes_take_linear_time(void **state)
{
	static const char *const units[] = { "[",  "{\"a\":", "\\",  "\\u", "\\n",
		                             "\"", "\\ud83d", "9",   "1,",  "\\\\\"",
		                             "{",  "e",       "\xe3" };
	const size_t len = 1 << 20;

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		for (size_t in_string = 0; in_string < 2; in_string++) {
			const char *head = in_string ? "{\"prompt\":\"" : "{\"prompt\":[";
			size_t unit = strlen(units[i]);
			char *body = malloc(len);
			struct scanned s;

			assert_non_null(body);
			for (size_t at = 0; at < len; at++)
				body[at] = units[i][at % unit];
			for (size_t at = 0; head[at]; at++)
				body[at] = head[at];
			scan_bytes(&s, body, len);
			assert_false(s.b.complete);
			assert_in_range(avg_tokens(&s.b, INT64_MAX), 0, INT32_MAX);
			done(&s);
			free(body);
		}
	}
}

static void random_bytes_of_json_do_no_harm(void **state)
{
	static const char *const words[] = { "{",          "}",
		                             "[",          "]",
		                             ",",          ":",
		                             "\"",         "\\",
		                             "\\u",        "d83d",
		                             "12",         "-1e",
		                             "true",       "nul",
		                             " ",          "\"model\"",
		                             "m",          "\"text\":",
		                             "\"type\":",  "\"messages\":",
		                             "\"input\":", "\"content\":",
		                             "\xe3\x81",   "\"tools\":" };
	uint32_t seed = 7;

	(void)state;
	for (size_t round = 0; round < 20000; round++) {
		char body[512] = "{";
		size_t n = round % 30;
		struct scanned s;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525u + 1013904223u;
			add(body, sizeof(body),
			    words[(seed >> 8) % (sizeof(words) / sizeof(words[0]))]);
		}
		scan(&s, body);
		assert_true(s.b.scanned <= strlen(body));
		assert_true(s.b.model.len <= BODY_MODEL_MAX);
		assert_true(s.b.sequences >= 1);
		assert_in_range(avg_tokens(&s.b, 100000), 0, INT32_MAX);
		done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_may_be_cut_at_every_byte),
		cmocka_unit_test(the_type_of_a_part_may_come_after_the_cut),
		cmocka_unit_test(a_cut_body_is_scaled_to_its_whole_size),
		cmocka_unit_test(ids_are_scaled_as_well),
		cmocka_unit_test(huge_sizes_are_clamped),
		cmocka_unit_test(an_inline_image_is_neither_counted_nor_scaled),
		cmocka_unit_test(a_prompt_behind_the_cut_is_the_rest_of_the_body),
		cmocka_unit_test(a_cut_tool_is_scaled),
		cmocka_unit_test(what_is_not_json_is_told_apart),
		cmocka_unit_test(what_was_found_before_an_error_stays),
		cmocka_unit_test(nuls_and_bad_utf8_inside_strings_do_no_harm),
		cmocka_unit_test(deep_nesting_is_passed_over),
		cmocka_unit_test(deep_objects_are_passed_over_too),
		cmocka_unit_test(hostile_megabytes_take_linear_time),
		cmocka_unit_test(random_bytes_of_json_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
