/* How a line of the control socket is taken apart. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "io/ctl/ctl_words.h"

/* All commands of the line, as "word|word;word", with the verdict of each that is no command. */
static const char *taken(const char *text)
{
	static char out[CTL_LINE_MAX * 4];
	char line[CTL_LINE_MAX + 1];
	struct ctl_words w;
	enum ctl_taken t;
	size_t at = 0, len = strlen(text);

	memcpy(line, text, len + 1);
	out[0] = '\0';
	while ((t = ctl_words_take(line, len, &at, &w)) != CTL_DONE) {
		if (t == CTL_TOO_MANY)
			strcat(out, "MANY");
		if (t == CTL_STRANGE)
			strcat(out, "STRANGE");
		for (size_t i = 0; t == CTL_TAKEN && i < w.count; i++) {
			strcat(out, i > 0 ? "|" : "");
			strcat(out, w.word[i]);
		}
		strcat(out, ";");
	}
	return out;
}

static void words_and_commands(void **state)
{
	static const struct {
		const char *line, *taken;
	} rows[] = {
		{ "", "" },
		{ "show info", "show|info;" },
		{ "  show\t info  \r", "show|info;" },
		{ "a b;c d", "a|b;c|d;" },
		{ "a;", "a;" },
		{ "a ; ; b ;", "a;;b;" },
		{ ";", ";" },
		{ " ", ";" },
		{ "explain x\\ y\\;z\\\\", "explain|x y;z\\;" },
		{ "a\\", "a\\;" },
		{ "\\", "\\;" },
		{ "a\x01 b;c", "STRANGE;c;" },
		{ "\xff", "STRANGE;" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(taken(rows[i].line), rows[i].taken);
}

static void more_words_than_any_command_has_are_refused(void **state)
{
	char line[3 * CTL_WORDS_MAX + 16] = "";

	(void)state;
	for (int i = 0; i < CTL_WORDS_MAX; i++)
		strcat(line, "w ");
	assert_null(strstr(taken(line), "MANY"));
	strcat(line, "w ;next");
	assert_string_equal(taken(line), "MANY;next;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_commands),
		cmocka_unit_test(more_words_than_any_command_has_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
