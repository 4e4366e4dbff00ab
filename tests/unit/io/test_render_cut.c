/* Which queries of /state.json are taken, and which are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "io/http/render_cut.h"

static void without_a_query_it_is_all_of_it(void **state)
{
	struct render_cut cut = { .given = false };

	(void)state;
	assert_true(render_cut_set(&cut, "brief", "0"));
	assert_true(cut.given);
	assert_false(cut.brief);
	assert_int_equal(render_cut_limit(&cut), RENDER_CUT_LIMIT);
}

static void each_argument_is_taken(void **state)
{
	struct render_cut cut = { .given = false };

	(void)state;
	assert_true(render_cut_set(&cut, "model", "a/b"));
	assert_true(render_cut_set(&cut, "match", ""));
	assert_true(render_cut_set(&cut, "limit", "0"));
	assert_true(render_cut_set(&cut, "from", "12"));
	assert_true(render_cut_set(&cut, "order", "trouble"));
	assert_true(render_cut_set(&cut, "brief", "1"));
	assert_true(cut.one_model && cut.brief && cut.given);
	assert_string_equal(cut.model, "a/b");
	assert_int_equal(render_cut_limit(&cut), 0);
	assert_int_equal(cut.from, 12);
	assert_int_equal(cut.order, RENDER_BY_TROUBLE);
}

static void an_overview_has_no_servers_unless_it_is_asked_for_some(void **state)
{
	struct render_cut cut = { .given = false };

	(void)state;
	assert_true(render_cut_set(&cut, "brief", "1"));
	assert_int_equal(render_cut_limit(&cut), 0);
	assert_true(render_cut_set(&cut, "limit", "3"));
	assert_int_equal(render_cut_limit(&cut), 3);
}

static void what_is_no_argument_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "", "" },
		{ "models", "a" },
		{ "limit", "" },
		{ "limit", "-1" },
		{ "limit", "201" },
		{ "limit", "+1" },
		{ "limit", " 1" },
		{ "limit", "1x" },
		{ "limit", "99999999999999999999999" },
		{ "from", "1e3" },
		{ "from", "1073741825" },
		{ "order", "" },
		{ "order", "LOAD" },
		{ "brief", "true" },
		{ "brief", "" },
	};
	struct render_cut cut = { .given = false };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(render_cut_set(&cut, bad[i][0], bad[i][1]));
}

static void a_text_has_its_longest_length(void **state)
{
	struct render_cut cut = { .given = false };
	char text[RENDER_CUT_TEXT + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[RENDER_CUT_TEXT] = '\0';
	assert_false(render_cut_set(&cut, "match", text));
	text[RENDER_CUT_TEXT - 1] = '\0';
	assert_true(render_cut_set(&cut, "match", text));
	assert_string_equal(cut.match, text);
}

static void only_the_same_queries_share_a_text(void **state)
{
	static const char *const other[][2] = { { "model", "b" },    { "limit", "7" },
		                                { "from", "1" },     { "match", "s" },
		                                { "order", "load" }, { "brief", "1" } };
	struct render_cut a = { .given = false };

	(void)state;
	assert_true(render_cut_set(&a, "model", "a"));
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		struct render_cut b = a;

		assert_true(render_cut_same(&a, &b));
		assert_true(render_cut_set(&b, other[i][0], other[i][1]));
		assert_false(render_cut_same(&a, &b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_query_it_is_all_of_it),
		cmocka_unit_test(each_argument_is_taken),
		cmocka_unit_test(an_overview_has_no_servers_unless_it_is_asked_for_some),
		cmocka_unit_test(what_is_no_argument_is_refused),
		cmocka_unit_test(a_text_has_its_longest_length),
		cmocka_unit_test(only_the_same_queries_share_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
