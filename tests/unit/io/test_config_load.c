/* The configuration as a file: read, or refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config_case.h"
#include "io/base/config_load.h"

/* A fresh directory below TMPDIR or /tmp. */
struct dir {
	char path[128];
	char file[160];
};

static int make_dir(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(d);
	snprintf(d->path, sizeof(d->path), "%s/slo-config-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(d->path));
	snprintf(d->file, sizeof(d->file), "%s/slo.json", d->path);
	*state = d;
	return 0;
}

static int remove_dir(void **state)
{
	struct dir *d = *state;

	(void)unlink(d->file);
	assert_int_equal(rmdir(d->path), 0);
	free(d);
	return 0;
}

static void write_file(const struct dir *d, const char *text, size_t len)
{
	FILE *f = fopen(d->file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void a_file_is_loaded(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char want[256];
	struct config *c;

	write_file(d, PLUS("\"profiles\":{\"dir\":\"p\"}"),
	           strlen(PLUS("\"profiles\":{\"dir\":\"p\"}")));
	c = config_load(d->file, &err);
	assert_non_null(c);
	snprintf(want, sizeof(want), "%s/p", d->path);
	assert_string_equal(c->profile_dir, want);
	config_free(c);
}

static void an_error_in_a_file_names_it(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char line[512], want[512];

	write_file(d, "{\n  \"spob\": 1}", strlen("{\n  \"spob\": 1}"));
	assert_null(config_load(d->file, &err));
	assert_int_equal(err.line, 2);
	assert_int_equal(err.column, 3);
	assert_string_equal(err.key, "spob");
	doc_error_format(&err, line, sizeof(line));
	snprintf(want, sizeof(want), "%s:2:3: key \"spob\": unknown key (did you mean \"spop\"?)",
	         d->file);
	assert_string_equal(line, want);
}

static void an_unreadable_file_is_told_without_a_place(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char line[512], want[512];

	assert_null(config_load(d->file, &err));
	doc_error_format(&err, line, sizeof(line));
	snprintf(want, sizeof(want), "%s: cannot read: No such file or directory", d->file);
	assert_string_equal(line, want);
	assert_null(config_load(d->path, &err));
	doc_error_format(&err, line, sizeof(line));
	snprintf(want, sizeof(want), "%s: cannot read: Is a directory", d->path);
	assert_string_equal(line, want);
}

/* Opening one would wait for whoever writes to it. */
static void a_fifo_is_refused_at_once(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;

	assert_int_equal(mkfifo(d->file, 0600), 0);
	assert_null(config_load(d->file, &err));
	assert_string_equal(err.message, "cannot read: not a regular file");
	assert_int_equal(unlink(d->file), 0);
}

static void a_file_has_16_mib_at_most(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char *text = malloc(CONFIG_FILE_MAX + 1);
	struct config *c;

	assert_non_null(text);
	memset(text, ' ', CONFIG_FILE_MAX + 1);
	memcpy(text, MINIMAL, sizeof(MINIMAL) - 1);
	write_file(d, text, CONFIG_FILE_MAX);
	c = config_load(d->file, &err);
	assert_non_null(c);
	config_free(c);
	write_file(d, text, CONFIG_FILE_MAX + 1);
	assert_null(config_load(d->file, &err));
	assert_string_equal(err.message, "cannot read: File too large");
	assert_int_equal(err.line, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_loaded, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_error_in_a_file_names_it, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_unreadable_file_is_told_without_a_place,
		                                make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_fifo_is_refused_at_once, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_file_has_16_mib_at_most, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
