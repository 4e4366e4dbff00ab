/* Borrowed bytes: comparing, cutting, decimal numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exact.h"
#include "slice.h"

#define UNTOUCHED 4711

static void a_slice_equals_a_text_only_at_full_length(void **state)
{
	(void)state;
	assert_true(slice_eq(slice_of("capabilities"), "capabilities"));
	assert_false(slice_eq(slice_of("c"), "capabilities"));
	assert_false(slice_eq(slice_of("capabilitiesX"), "capabilities"));
	assert_false(slice_eq(slice_of("capabilitieS"), "capabilities"));
	assert_true(slice_eq((struct slice){ .p = NULL, .len = 0 }, ""));
	assert_false(slice_eq((struct slice){ .p = NULL, .len = 0 }, "a"));
}

static void a_slice_starts_with_a_text_that_it_has_room_for(void **state)
{
	(void)state;
	assert_true(slice_starts(slice_of("slo1 id=a"), "slo1"));
	assert_true(slice_starts(slice_of("slo1"), "slo1"));
	assert_false(slice_starts(slice_of("slo"), "slo1"));
	assert_false(slice_starts(slice_of("slo2 id=a"), "slo1"));
	assert_true(slice_starts((struct slice){ .p = NULL, .len = 0 }, ""));
}

static void only_blanks_and_tabs_are_trimmed(void **state)
{
	(void)state;
	assert_int_equal(slice_trim(slice_of(" \t ")).len, 0);
	assert_int_equal(slice_trim((struct slice){ .p = NULL, .len = 0 }).len, 0);
	assert_true(slice_eq(slice_trim(slice_of("\t a b ")), "a b"));
	assert_true(slice_eq(slice_trim(slice_of("\na\r")), "\na\r"));
}

static void digits_are_counted_up_to_the_first_other_byte(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(slice_digits(slice_of("042ms"), &v), 3);
	assert_int_equal(v, 42);
	assert_int_equal(slice_digits(slice_of("-1"), &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(slice_digits((struct slice){ .p = NULL, .len = 0 }, &v), 0);
	assert_int_equal(slice_digits(slice_of("18446744073709551609"), &v), 20);
	assert_true(v == UINT64_MAX - 6);
	assert_int_equal(slice_digits(slice_of("18446744073709551616000x"), &v), 23);
	assert_true(v == UINT64_MAX);
}

static void a_decimal_is_digits_only_up_to_its_maximum(void **state)
{
	static const char *const wrong[] = { "",    " 1",    "1 ",
		                             "+1",  "-1",    "0x1",
		                             "1.0", "65536", "99999999999999999999999999" };
	uint64_t v = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		size_t len = strlen(wrong[i]);
		uint8_t *p = exact(wrong[i], len);

		assert_false(slice_decimal((struct slice){ p, len }, 65535, &v));
		assert_int_equal(v, UNTOUCHED);
		free(p);
	}
	assert_true(slice_decimal(slice_of("65535"), 65535, &v));
	assert_int_equal(v, 65535);
	assert_true(slice_decimal(slice_of("0000000000000000000000000"), 0, &v));
	assert_int_equal(v, 0);
	assert_true(slice_decimal(slice_of("9223372036854775807"), INT64_MAX, &v));
	assert_true(v == INT64_MAX);
	assert_false(slice_decimal(slice_of("9223372036854775808"), INT64_MAX, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slice_equals_a_text_only_at_full_length),
		cmocka_unit_test(a_slice_starts_with_a_text_that_it_has_room_for),
		cmocka_unit_test(only_blanks_and_tabs_are_trimmed),
		cmocka_unit_test(digits_are_counted_up_to_the_first_other_byte),
		cmocka_unit_test(a_decimal_is_digits_only_up_to_its_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
