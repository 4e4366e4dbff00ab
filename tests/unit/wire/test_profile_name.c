/* Names of profiles, and hashes of their texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/profile_name.h"

static void the_path_of_a_profile_escapes_slashes(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(profile_name("llama2-7b", "a10", out, sizeof(out)), SLO_OK);
	assert_string_equal(out, "llama2-7b/a10.json");
	assert_int_equal(profile_name("meta/llama/3", "a_10", out, sizeof(out)), SLO_OK);
	assert_string_equal(out, "meta%2Fllama%2F3/a_10.json");
	assert_int_equal(profile_name("m", "../x", out, sizeof(out)), SLO_OK);
	assert_string_equal(out, "m/..%2Fx.json");
	assert_int_equal(profile_name("../m", "x", out, sizeof(out)), SLO_OK);
	assert_string_equal(out, "..%2Fm/x.json");
}

static void a_path_that_would_leave_the_directory_is_refused(void **state)
{
	char out[64] = "kept";

	(void)state;
	assert_int_equal(profile_name("..", "x", out, sizeof(out)), SLO_EINVAL);
	assert_int_equal(profile_name(".", "x", out, sizeof(out)), SLO_EINVAL);
	assert_int_equal(profile_name("", "x", out, sizeof(out)), SLO_EINVAL);
	assert_int_equal(profile_name("x", "", out, sizeof(out)), SLO_EINVAL);
	assert_string_equal(out, "kept");
}

static void a_path_needs_its_exact_room(void **state)
{
	const char *want = "a%2Fb/c.json";

	(void)state;
	for (size_t cap = 0; cap <= strlen(want) + 1; cap++) {
		char *out = malloc(cap > 0 ? cap : 1);
		bool fits = cap == strlen(want) + 1;

		assert_non_null(out);
		assert_int_equal(profile_name("a/b", "c", out, cap), fits ? SLO_OK : SLO_ETOOBIG);
		if (fits)
			assert_string_equal(out, want);
		free(out);
	}
}

static void texts_that_differ_have_other_hashes(void **state)
{
	char text[64];
	uint64_t first;

	(void)state;
	memset(text, 'a', sizeof(text));
	first = profile_text_hash(text, sizeof(text));
	assert_true(profile_text_hash(text, sizeof(text)) == first);
	assert_true(profile_text_hash(text, sizeof(text) - 1) != first);
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = 'b';
		assert_true(profile_text_hash(text, sizeof(text)) != first);
		text[i] = 'a';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_of_a_profile_escapes_slashes),
		cmocka_unit_test(a_path_that_would_leave_the_directory_is_refused),
		cmocka_unit_test(a_path_needs_its_exact_room),
		cmocka_unit_test(texts_that_differ_have_other_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
