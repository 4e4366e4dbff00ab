/* The settings that slo-spoa.json(5) describes are those that the parser knows, both ways.
 *
 * The parser has no list to print, so it is asked: each word of its own sources is tried as a key
 * in each section, and the answer "unknown key" tells what is no setting. To be run in the
 * project's directory. */
#include <ctype.h>
#include <glob.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/config.h"

#define MANUAL    "agent/man/slo-spoa.json.5.scd"
#define WORD_MAX  40
#define NAME_SIZE 200
#define NO_KEY    "zz_nosuch"

/* The least that is a configuration. M and D are how the manual calls names of the user's. */
static const char least[] =
    "{\"spop\":{\"listen\":[\"unix:s\"]},\"events\":{\"listen\":[\"unix:e\"]},"
    "\"models\":{\"M\":{\"deployments\":{\"D\":{\"servers\":[\"s\"]}}}}}";

/* Sets of words; each is a JSON object whose keys they are. */

static void add(json_t *set, const char *word)
{
	assert_int_equal(json_object_set_new(set, word, json_true()), 0);
}

/* The first len bytes of `text`. */
static void add_part(json_t *set, const char *text, size_t len)
{
	char word[NAME_SIZE];

	assert_true(len < sizeof(word));
	snprintf(word, sizeof(word), "%.*s", (int)len, text);
	add(set, word);
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t cap = 0;

	if (!f)
		fail_msg("%s: cannot be opened; the test runs in the project's directory", path);
	assert_true(getdelim(&text, &cap, '\0', f) > 0);
	fclose(f);
	return text;
}

static void words_of(const char *text, json_t *set)
{
	static const char in_word[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	while (*text) {
		size_t len = strspn(text, in_word);

		if (len > 1 && len <= WORD_MAX && islower((unsigned char)text[0]))
			add_part(set, text, len);
		text += len ? len : 1;
	}
}

static json_t *words_of_parser(void)
{
	json_t *set = json_object();
	glob_t files;

	assert_int_equal(glob("agent/conf/*.c", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char *text = read_text(files.gl_pathv[i]);

		words_of(text, set);
		free(text);
	}
	globfree(&files);
	return set;
}

/* Asking the parser */

/* Takes the first step of "models.M.backend" off; false: there is none. */
static bool take_step(const char **name, char step[WORD_MAX + 1])
{
	size_t len = strcspn(*name, ".");

	assert_true(len <= WORD_MAX);
	snprintf(step, WORD_MAX + 1, "%.*s", (int)len, *name);
	*name += len + ((*name)[len] == '.');
	return len > 0;
}

/* The object that `name` leads to in conf. What is none on the way becomes one. */
static json_t *object_at(json_t *conf, const char *name)
{
	char step[WORD_MAX + 1];

	while (take_step(&name, step)) {
		json_t *next = json_object_get(conf, step);

		if (!json_is_object(next)) {
			next = json_object();
			assert_int_equal(json_object_set_new(conf, step, next), 0);
		}
		conf = next;
	}
	return conf;
}

/* Whether the parser says that it knows no such key in that section. */
static bool is_unknown(const char *section, const char *key)
{
	json_t *conf = json_loads(least, 0, NULL);
	struct doc_error err;
	struct config *c;
	bool unknown;
	char *text;

	assert_int_equal(json_object_set_new(object_at(conf, section), key, json_null()), 0);
	text = json_dumps(conf, 0);
	c = config_parse(text, strlen(text), "test.json", &err);
	unknown = !c && strncmp(err.message, "unknown key", 11) == 0;
	config_free(c);
	free(text);
	json_decref(conf);
	return unknown;
}

/* What `name` leads to in the least configuration, for json_decref(), or NULL. */
static json_t *find_in_least(const char *name)
{
	json_t *conf = json_loads(least, 0, NULL), *at = conf;
	char step[WORD_MAX + 1];

	while (at && take_step(&name, step))
		at = json_object_get(at, step);
	json_incref(at);
	json_decref(conf);
	return at;
}

static void settings_below(const char *section, const json_t *words, json_t *found);

static void one_word(const char *section, const char *word, const json_t *words, json_t *found)
{
	char name[NAME_SIZE];
	json_t *own;

	if (is_unknown(section, word))
		return;
	snprintf(name, sizeof(name), "%s%s%s", section, *section ? "." : "", word);
	own = find_in_least(name);
	if (json_is_object(own) || is_unknown(name, NO_KEY))
		settings_below(name, words, found);
	else
		add(found, name);
	json_decref(own);
}

/* A section that takes any key holds objects with names of the user's, as "models" does. */
static void settings_below(const char *section, const json_t *words, json_t *found)
{
	bool any_key = !is_unknown(section, NO_KEY);
	json_t *keys = any_key ? find_in_least(section) : json_copy((json_t *)(uintptr_t)words);
	const char *word;
	json_t *value;

	json_object_foreach(keys, word, value) one_word(section, word, words, found);
	json_decref(keys);
}

/* A setting is described below a line that begins with its name: *routing.seed* = ... */
static json_t *settings_of_manual(void)
{
	json_t *set = json_object();
	char *text = read_text(MANUAL);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t len = line[0] == '*' && strstr(line, "* = ") ? strcspn(line + 1, "*") : 0;

		while (len > 0) {
			add_part(set, line + 1, len);
			line += 1 + len;
			/* "*a*, *b* = ..." describes both. */
			len = strncmp(line, "*, *", 4) == 0 ? strcspn(line + 4, "*") : 0;
			line += 3;
		}
	}
	free(text);
	return set;
}

static void none_is_missing(const json_t *from, const json_t *in, const char *what)
{
	const char *name;
	json_t *value;
	int missing = 0;

	json_object_foreach((json_t *)(uintptr_t)from, name, value)
	{
		if (json_object_get(in, name))
			continue;
		print_error("%s: %s\n", name, what);
		missing++;
	}
	assert_int_equal(missing, 0);
}

static void the_manual_has_the_settings_of_the_parser(void **state)
{
	json_t *words = words_of_parser(), *manual = settings_of_manual(), *found = json_object();

	(void)state;
	settings_below("", words, found);
	assert_true(json_object_size(found) > 40);
	none_is_missing(found, manual, "is a setting that " MANUAL " does not describe");
	none_is_missing(manual, found,
	                "is described by " MANUAL ", but the parser knows no such key");
	json_decref(words);
	json_decref(manual);
	json_decref(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manual_has_the_settings_of_the_parser),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
