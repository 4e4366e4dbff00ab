/* HAProxy's files, and those that their filters name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/haproxy/check.h"
#include "io/base/haproxy_load.h"

struct dir {
	char path[100], main[120];
};

static void path_of(const struct dir *d, size_t n, char out[120])
{
	snprintf(out, 120, "%s/spoe-%u.cfg", d->path, (unsigned)n);
}

static void write_to(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int make(void **state)
{
	static struct dir d;
	const char *tmp = getenv("TMPDIR");

	snprintf(d.path, sizeof(d.path), "%s/slo-load-XXXXXX",
	         tmp && strlen(tmp) < 80 ? tmp : "/tmp");
	assert_non_null(mkdtemp(d.path));
	snprintf(d.main, sizeof(d.main), "%s/haproxy.cfg", d.path);
	*state = &d;
	return 0;
}

static int drop(void **state)
{
	const struct dir *d = *state;
	char path[120];

	for (size_t i = 0; i <= HAPROXY_FILES_MAX; i++) {
		path_of(d, i, path);
		(void)unlink(path);
	}
	(void)unlink(d->main);
	assert_int_equal(rmdir(d->path), 0);
	return 0;
}

/* So many frontends, of which `each` in a row name the same file. */
static void write_files(const struct dir *d, size_t frontends, size_t each)
{
	FILE *f = fopen(d->main, "w");
	char path[120];

	assert_non_null(f);
	for (size_t i = 0; i < frontends; i++)
		fprintf(f, "frontend f%zu\n    filter spoe engine slo config spoe-%zu.cfg\n", i,
		        i / each);
	assert_int_equal(fclose(f), 0);
	for (size_t i = 0; i * each < frontends; i++) {
		path_of(d, i, path);
		write_to(path, "[slo]\nspoe-agent slo\n    messages slo-route\n");
	}
}

static bool load(struct dir *d, char why[256])
{
	char *const files[] = { d->main };
	struct hapconf h;
	bool ok = haproxy_load(&h, files, 1, why, 256);

	hapconf_free(&h);
	return ok;
}

static void any_number_of_filters_may_name_one_file(void **state)
{
	struct dir *d = *state;
	char why[256] = "", path[120];

	write_files(d, HAPROXY_FILES_MAX + 1, HAPROXY_FILES_MAX);
	assert_true(load(d, why));
	assert_string_equal(why, "");
	path_of(d, 1, path); /* which the last one names */
	assert_int_equal(unlink(path), 0);
	assert_false(load(d, why));
	assert_non_null(strstr(why, "spoe-1.cfg: cannot read: No such file"));
}

static void too_many_files_are_told(void **state)
{
	struct dir *d = *state;
	char why[256] = "";

	write_files(d, HAPROXY_FILES_MAX + 1, 1);
	assert_false(load(d, why));
	assert_non_null(strstr(why, ": cannot read: too many files"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(any_number_of_filters_may_name_one_file),
		TEST(too_many_files_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
