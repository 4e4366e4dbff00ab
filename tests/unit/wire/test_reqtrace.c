#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/file/reqtrace.h"

#define META(total, pending, queueing)                                                           \
	"\"meta_v\":4,\"meta_interval_sec\":10,\"meta_precision\":10,\"meta_total_reqs\":" total \
	",\"meta_pending_reqs\":" pending ",\"meta_queueing_reqs\":" queueing "}"

static void assert_text(const struct reqtrace *t, size_t pending, size_t queueing, const char *want)
{
	size_t len = 0;
	char *text = reqtrace_text(t, pending, queueing, &len);

	assert_non_null(text);
	assert_int_equal(len, strlen(text));
	assert_string_equal(text, want);
	free(text);
}

static void a_size_is_ten_times_log2_of_its_tokens(void **state)
{
	static const struct {
		int64_t input, output;
		const char *key;
	} cases[] = {
		{ -1, 0, "0:0" },     { 1, 1, "0:0" },         { 2, 3, "10:16" },
		{ 512, 64, "90:60" }, { 1000, 100, "100:66" }, { INT32_MAX, INT64_MAX, "310:310" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reqtrace t = { 0 };
		char want[256];

		reqtrace_arrived(&t);
		reqtrace_finished(&t, cases[i].input, cases[i].output);
		snprintf(want, sizeof(want), "{\"%s\":1,%s", cases[i].key, META("1", "3", "2"));
		assert_text(&t, 3, 2, want);
		reqtrace_fini(&t);
	}
}

static void an_interval_counts_only_its_own(void **state)
{
	struct reqtrace t = { 0 };

	(void)state;
	assert_text(&t, 0, 0, "{" META("0", "0", "0"));
	for (int i = 0; i < 3; i++) {
		reqtrace_arrived(&t);
		reqtrace_finished(&t, 512, 64);
	}
	assert_text(&t, 0, 0, "{\"90:60\":3," META("3", "0", "0"));
	reqtrace_reset(&t);
	assert_true(t.seen);
	assert_text(&t, 1, 0, "{" META("0", "1", "0"));
	reqtrace_finished(&t, 2, 2);
	assert_text(&t, 0, 0, "{\"10:10\":1," META("0", "0", "0"));
	reqtrace_fini(&t);
}

/* Every size there can be, one to three times; the text has each once, with its count. */
static void all_sizes_find_room_and_are_written(void **state)
{
	static uint8_t want[311][311];
	const char *scale = getenv("SLO_TEST_SCALE");
	bool all = !scale || strtod(scale, NULL) >= 1; /* valgrind is too slow for that */
	int64_t step = all ? 30 : 4;
	struct reqtrace t = { 0 };
	size_t len = 0, sizes = 0, found = 0;
	char *text;

	(void)state;
	for (int64_t i = 1; i < INT32_MAX; i += 1 + i / step) {
		for (int64_t o = 1; o < INT32_MAX; o += 1 + o / step) {
			struct reqtrace one = { 0 };
			unsigned a, b;

			reqtrace_finished(&t, i, o);
			reqtrace_finished(&one, i, o);
			text = reqtrace_text(&one, 0, 0, &len);
			assert_int_equal(sscanf(text, "{\"%u:%u\":1,", &a, &b), 2);
			assert_true(a <= 310 && b <= 310);
			sizes += want[a][b]++ == 0;
			free(text);
			reqtrace_fini(&one);
		}
	}
	assert_true(sizes > (all ? 80000 : 4000));
	assert_int_equal(t.used, sizes);
	assert_true(t.cap <= (size_t)1 << 17);
	text = reqtrace_text(&t, 0, 0, &len);
	assert_non_null(text);
	for (const char *p = text + 1; *p == '"' && p[1] != 'm'; p = strchr(p, ',') + 1) {
		unsigned a, b, n;

		assert_int_equal(sscanf(p, "\"%u:%u\":%u,", &a, &b, &n), 3);
		assert_int_equal(n, want[a][b]);
		want[a][b] = 0;
		found++;
	}
	assert_int_equal(found, sizes);
	free(text);
	reqtrace_reset(&t);
	assert_true(!all || !t.slot); /* so much memory is not kept */
	reqtrace_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_is_ten_times_log2_of_its_tokens),
		cmocka_unit_test(an_interval_counts_only_its_own),
		cmocka_unit_test(all_sizes_find_room_and_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
