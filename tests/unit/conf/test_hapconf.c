/* HAProxy's own files: words, sections, what comes from defaults. What is compared with them is
 * tested on the samples, by test_misconfigured.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/haproxy/check.h"

static const char *environment(void *user, const char *name)
{
	(void)user;
	return strcmp(name, "SET") == 0 ? "two words" : NULL;
}

/* A copy of exactly its size, so that a sanitizer sees an over-read. */
static struct hapconf read_text(const char *text, slo_err want)
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);
	struct hapconf h;

	assert_non_null(copy);
	memcpy(copy, text, len);
	hapconf_init(&h, environment, NULL);
	assert_int_equal(hapconf_read(&h, "f", copy, len), want);
	free(copy);
	return h;
}

/* The words of the second line, each in brackets. */
static void expect_words(const char *line, const char *want)
{
	char text[512], got[512] = "";
	struct hapconf h;
	const struct hap_line *l;

	snprintf(text, sizeof(text), "global\n%s\n", line);
	h = read_text(text, SLO_OK);
	l = h.sections->lines;
	for (size_t i = 0; l && i < l->words; i++) {
		strcat(got, "[");
		strcat(got, l->word[i]);
		strcat(got, "]");
	}
	assert_string_equal(got, want);
	hapconf_free(&h);
}

static void words_are_cut_as_haproxy_does(void **state)
{
	(void)state;
	expect_words("  a\tb   c\r", "[a][b][c]");
	expect_words("a # b", "[a]");
	expect_words("a\\ b c\\#d", "[a b][c#d]");
	expect_words("'a \"$SET\\' b", "[a \"$SET\\][b]");
	expect_words("x\"a # b\"y \"\" ''", "[xa # by][][]");
	expect_words("\"a \\\" \\$SET\"", "[a \" $SET]");
	expect_words("\"$SET\" $SET", "[two words][$SET]");
	expect_words("\"${SET-no}\" \"${NONE-127.0.0.1:1}\" \"<${NONE}$NONE>\"",
	             "[two words][127.0.0.1:1][<>]");
	expect_words("\"${NONE-open", "[open]");
	expect_words("\"open", "[open]");
	expect_words("end\\", "[end\\]");
	expect_words("# only", "");
}

static void lines_know_the_branch_that_they_stand_in(void **state)
{
	struct hapconf h = read_text("global\n a\n.if x\n b\n.if y\n c\n.endif\n d\n.else\n e\n"
	                             ".endif\n.endif\n f\n",
	                             SLO_OK);
	static const size_t branches[] = { 0, 1, 2, 1, 3, 0 };
	const struct hap_line *l = h.sections->lines;

	(void)state;
	for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++, l = l->next)
		assert_int_equal(l->branch, branches[i]);
	assert_null(l);
	hapconf_free(&h);
}

static void lines_belong_to_sections_and_know_their_place(void **state)
{
	struct hapconf h = read_text("stray\n\nglobal\n  a 1\n.if x\n  b 2\n.endif\n\nbackend b1\n"
	                             "[eng]\nlost\nspoe-agent ag\n  option var-prefix p\n",
	                             SLO_OK);
	const struct hap_section *g = h.sections, *b = g->next, *agent = b->next;

	(void)state;
	assert_int_equal(g->kind, HAP_GLOBAL);
	assert_string_equal(g->name, "");
	assert_int_equal(g->lines->number, 4);
	assert_string_equal(g->lines->next->word[0], "b");
	assert_int_equal(g->lines->next->number, 6);
	assert_null(g->lines->next->next);
	assert_ptr_equal(hap_backend_find(&h, "b1"), b);
	assert_null(b->lines);
	assert_string_equal(agent->engine, "eng");
	assert_string_equal(hap_word(hap_find(agent, "option", "var-prefix"), 2), "p");
	assert_null(agent->next);
	hapconf_free(&h);
}

static void a_section_inherits_from_its_defaults_and_may_say_otherwise(void **state)
{
	struct hapconf h = read_text("defaults a\n timeout client 1s\n option x\n log one\n"
	                             "defaults b from a\n timeout client 2s\n"
	                             "frontend f from b\n no option x\n log two\n"
	                             "frontend g\n"
	                             "frontend h from a\n timeout client 3s\n timeout client 4s\n"
	                             "ring r\n",
	                             SLO_OK);
	const struct hap_section *f = hap_section_find(&h, HAP_FRONTEND, "f");
	const struct hap_section *g = hap_section_find(&h, HAP_FRONTEND, "g");
	const struct hap_section *last = hap_section_find(&h, HAP_FRONTEND, "h");
	struct hap_walk w = hap_walk(f);
	bool on;

	(void)state;
	assert_string_equal(hap_word(hap_find(f, "timeout", "client"), 2), "2s");
	assert_string_equal(hap_word(hap_find(last, "timeout", "client"), 2), "4s");
	assert_non_null(hap_option(f, "x", &on));
	assert_false(on);
	/* Without "from" the last defaults count, and what those build on. */
	assert_string_equal(hap_word(hap_find(g, "timeout", "client"), 2), "2s");
	assert_non_null(hap_option(g, "x", &on));
	assert_true(on);
	assert_null(hap_option(g, "y", &on));
	assert_false(on);
	assert_string_equal(hap_word(hap_next(&w, "log", NULL), 1), "two");
	assert_string_equal(hap_word(hap_next(&w, "log", NULL), 1), "one");
	assert_null(hap_next(&w, "log", NULL));
	assert_null(hap_section_find(&h, HAP_RING, "r")->from);
	hapconf_free(&h);
}

static void defaults_that_name_themselves_end(void **state)
{
	struct hapconf h =
	    read_text("defaults a from a\n x\ndefaults a from a\nfrontend f\n", SLO_OK);

	(void)state;
	assert_non_null(hap_find(hap_section_find(&h, HAP_FRONTEND, "f"), "x", NULL));
	hapconf_free(&h);
}

static void what_is_no_text_is_refused(void **state)
{
	struct hapconf h;
	char *many = malloc(2 * (HAPCONF_LINES_MAX + 2));

	(void)state;
	hapconf_init(&h, NULL, NULL);
	assert_int_equal(hapconf_read(&h, "f", "glo\0bal", 7), SLO_EPROTO);
	assert_int_equal(hapconf_read(&h, "f", "", 0), SLO_OK);
	assert_null(h.sections);
	assert_non_null(many);
	for (size_t i = 0; i < HAPCONF_LINES_MAX + 2; i++)
		memcpy(many + 2 * i, "x\n", 2);
	assert_int_equal(hapconf_read(&h, "f", many, 2 * (HAPCONF_LINES_MAX + 2)), SLO_EPROTO);
	hapconf_free(&h);
	free(many);
}

static void long_lines_are_cut(void **state)
{
	char *text = malloc(100000);
	struct hapconf h;
	const struct hap_line *l;

	(void)state;
	assert_non_null(text);
	memcpy(text, "global\n", 7);
	for (size_t i = 7; i < 50000; i += 2)
		memcpy(text + i, "a ", 2);
	memset(text + 50001, 'b', 100000 - 50002);
	text[50000 - 1] = '\n';
	text[50000] = 'b';
	text[99999] = '\0';
	h = read_text(text, SLO_OK);
	l = h.sections->lines;
	assert_int_equal(l->words, HAPCONF_WORDS_MAX);
	assert_int_equal(l->next->words, 1);
	assert_true(strlen(l->next->word[0]) < 20000);
	hapconf_free(&h);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_cut_as_haproxy_does),
		cmocka_unit_test(lines_belong_to_sections_and_know_their_place),
		cmocka_unit_test(lines_know_the_branch_that_they_stand_in),
		cmocka_unit_test(a_section_inherits_from_its_defaults_and_may_say_otherwise),
		cmocka_unit_test(defaults_that_name_themselves_end),
		cmocka_unit_test(what_is_no_text_is_refused),
		cmocka_unit_test(long_lines_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
