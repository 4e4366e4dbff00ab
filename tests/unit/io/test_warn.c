/* Warnings come, are counted and go; the list is bounded and holds printable text only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "io/agent/agent.h"

static struct log quiet = { .level = -1, .fd = -1 };

static struct agent *start(void)
{
	static struct agent a;

	memset(&a, 0, sizeof(a));
	a.log = &quiet;
	return &a;
}

static void a_warning_is_new_once_and_counts_later(void **state)
{
	struct agent *a = start();
	const struct warning *w;

	(void)state;
	assert_true(warn_set(a, 5, "no-end-lines", NULL, "%d requests, no line", 7));
	assert_false(warn_set(a, 9, "no-end-lines", "", "%d requests, no line", 8));
	w = warn_find(&a->warnings, "no-end-lines", NULL);
	assert_non_null(w);
	assert_string_equal(w->text, "8 requests, no line");
	assert_int_equal(w->since, 5);
	assert_int_equal(w->last, 9);
	assert_int_equal(w->times, 2);
	assert_true(warn_clear(a, 10, "no-end-lines", NULL));
	assert_false(warn_clear(a, 10, "no-end-lines", NULL));
	assert_null(warn_find(&a->warnings, "no-end-lines", NULL));
}

static void each_subject_has_its_own(void **state)
{
	struct agent *a = start();

	(void)state;
	warn_set(a, 1, "server-missing", "s1", "s1 is not there");
	warn_set(a, 2, "other", NULL, "something else");
	warn_set(a, 3, "server-missing", "s2", "s2 is not there");
	assert_int_equal(a->warnings.count, 3);
	assert_true(warn_clear(a, 4, "server-missing", "s1"));
	assert_string_equal(a->warnings.warning[0].code, "other");
	warn_set(a, 5, "server-missing", "s1", "again");
	warn_clear_all(a, 6, "server-missing");
	assert_int_equal(a->warnings.count, 1);
	assert_string_equal(a->warnings.warning[0].code, "other");
}

static void a_full_list_counts_what_it_leaves_out(void **state)
{
	struct agent *a = start();
	char subject[16];

	(void)state;
	for (int i = 0; i < WARNINGS_MAX + 3; i++) {
		snprintf(subject, sizeof(subject), "%d", i);
		assert_int_equal(warn_set(a, i, "code", subject, "text"), i < WARNINGS_MAX);
	}
	assert_int_equal(a->warnings.count, WARNINGS_MAX);
	assert_int_equal(a->warnings.left_out, 3);
	assert_false(warn_set(a, 100, "code", "0", "known ones still count"));
	assert_int_equal(a->warnings.warning[0].times, 2);
}

static void what_is_not_printable_is_a_question_mark_and_what_is_long_is_cut(void **state)
{
	struct agent *a = start();
	char longest[2000];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	warn_set(a, 1, longest, longest, "a\nb\xff%s", longest);
	assert_int_equal(strlen(a->warnings.warning[0].code), WARN_CODE_MAX);
	assert_int_equal(strlen(a->warnings.warning[0].subject), WARN_SUBJECT_MAX);
	assert_int_equal(strlen(a->warnings.warning[0].text), WARN_TEXT_MAX);
	assert_memory_equal(a->warnings.warning[0].text, "a?b?x", 5);
	/* It is found by what it was set with. */
	assert_false(warn_set(a, 2, longest, longest, "shorter"));
	assert_true(warn_clear(a, 3, longest, longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_warning_is_new_once_and_counts_later),
		cmocka_unit_test(each_subject_has_its_own),
		cmocka_unit_test(a_full_list_counts_what_it_leaves_out),
		cmocka_unit_test(what_is_not_printable_is_a_question_mark_and_what_is_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
