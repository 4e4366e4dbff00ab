/* Files below profiles.dir that no deployment reads, and whose they probably are. */
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
#include "io/base/clock.h"
#include "io/base/config_load.h"
#include "io/base/config_look.h"
#include "io/base/profile_files.h"

#define MODEL "meta-llama/Llama-3.1-8B-Instruct"
#define RIGHT "meta-llama%2FLlama-3.1-8B-Instruct/h100.json"
#define CONFIG                                                          \
	SPOP EVENTS "\"profiles\":{\"dir\":\"p\"},\"models\":{\"" MODEL \
		    "\":{\"backend\":\"b\",\"slo\":{\"e2e\":\"9s\"},"   \
		    "\"deployments\":{\"h100\":{\"servers\":[\"s\"]}}}}}"

static char dir[128];

static void save(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* The file, and the folders that it made empty. */
static void take_away(const char *name)
{
	char path[512], *slash;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
	while ((slash = strrchr(path, '/')) && slash > path + strlen(dir)) {
		*slash = '\0';
		(void)rmdir(path);
	}
}

static int setup(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/slo-files-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	save("slo.json", CONFIG);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	take_away("slo.json");
	return rmdir(dir);
}

static struct config *load(void)
{
	static struct doc_error err;
	char path[160];
	struct config *c;

	snprintf(path, sizeof(path), "%s/slo.json", dir);
	c = config_load(path, &err);
	assert_non_null(c);
	return c;
}

/* What -c says; valid until the next call. */
static const char *looked(void)
{
	static char said[4096];
	struct config *c = load();
	FILE *out = fmemopen(said, sizeof(said), "w");

	assert_non_null(out);
	said[0] = '\0';
	config_look(c, out);
	assert_int_equal(fclose(out), 0);
	config_free(c);
	return said;
}

static void a_file_in_the_wrong_place_names_the_right_one(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"p/meta-llama/Llama-3.1-8B-Instruct/h100.json",
		"p/meta-llama_Llama-3.1-8B-Instruct/h100.json",
		"p/meta-llama%2fLlama-3.1-8B-Instruct/h100.json",
		"p/meta-llama%2FLlama-3.1-8B-Instruct/H100.json",
		"p/meta-llama%2FLlama-3.1-8B-Instruct/h100",
		"p/meta-llama%2FLlama-3.1-8B-Instruct/h100.JSON",
		"p/meta-llama--Llama-3.1-8B-Instruct.h100.json",
		"p/Llama-3.1-8B-Instruct/h100.json",
		"p/h100.json",
		"p/profiles/meta-llama%2FLlama-3.1-8B-Instruct/h100.json",
	};
	char want[512];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		save(wrong[i], "{}");
		snprintf(want, sizeof(want), "profiles.dir: %s is read by no deployment; ",
		         wrong[i] + 2);
		assert_non_null(strstr(looked(), want));
		snprintf(want, sizeof(want), " must be %s/p/%s\n", dir, RIGHT);
		assert_non_null(strstr(looked(), want));
		take_away(wrong[i]);
	}
}

static void a_file_that_no_name_is_near_to_is_told_once(void **state)
{
	(void)state;
	save("p/other/a.json", "{}");
	save("p/other/b.json", "{}");
	save("p/README.md", "");
	save("p/.hidden.json", "");
	assert_non_null(strstr(looked(), "[NOTICE] ")
	                    ? strstr(looked(), "other/a.json and others are read")
	                    : NULL);
	assert_null(strstr(looked(), "README"));
	assert_null(strstr(looked(), "hidden"));
	assert_null(strstr(looked(), "must be"));
	take_away("p/other/a.json");
	take_away("p/other/b.json");
	take_away("p/.hidden.json");
	take_away("p/README.md");
}

static void who_has_its_own_file_wants_no_other(void **state)
{
	(void)state;
	save("p/" RIGHT, "{\"tputs\":[[2]],\"indexes\":[[1],[1]],\"e2e\":[[1]],\"created\":1}");
	save("p/h100.json", "{}");
	assert_null(strstr(looked(), "must be"));
	assert_null(strstr(looked(), "refused"));
	take_away("p/h100.json");
	assert_null(strstr(looked(), "profiles.dir"));
	take_away("p/" RIGHT);
}

/* What is old, and what is of a model that is no more, is meant for none. */
static void a_file_of_another_folder_is_meant_for_none(void **state)
{
	(void)state;
	static const char *const others[] = {
		("p/old/" RIGHT),
		"p/old/Llama-3.1-8B-Instruct/h100.json",
		"p/old/h100.json",
		"p/my-meta-llama%2FLlama-3.1-8B-Instruct/h100.json",
		"p/New-Llama-3.1-8B-Instruct/h100.json",
		"p/new-h100.json",
		"p/Instruct/h100.json",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		save(others[i], "{}");
		assert_non_null(strstr(looked(), " read by no deployment: a profile is"));
		assert_null(strstr(looked(), "must be"));
		take_away(others[i]);
	}
}

static void a_linked_folder_is_not_walked_but_a_linked_file_counts(void **state)
{
	(void)state;
	char from[256], to[256];

	save("p/h100.json", "{}");
	save("elsewhere/x.json", "{}");
	snprintf(from, sizeof(from), "%s/p/link", dir);
	snprintf(to, sizeof(to), "%s/elsewhere", dir);
	assert_int_equal(symlink(to, from), 0);
	assert_null(strstr(looked(), "link/x.json"));
	assert_int_equal(unlink(from), 0);
	take_away("p/h100.json");
	save("p/other.txt", "");
	snprintf(from, sizeof(from), "%s/p/h100.json", dir);
	snprintf(to, sizeof(to), "%s/elsewhere/x.json", dir);
	assert_int_equal(symlink(to, from), 0);
	assert_non_null(strstr(looked(), "profiles.dir: h100.json is read by no deployment; "));
	assert_int_equal(unlink(from), 0);
	take_away("p/other.txt");
	take_away("elsewhere/x.json");
}

static void a_profile_that_will_be_refused_is_told(void **state)
{
	(void)state;
	save("p/" RIGHT, "{\"tputs\":[[2]]");
	assert_non_null(strstr(looked(), RIGHT ":1:"));
	assert_non_null(strstr(looked(), "it is refused"));
	save("p/" RIGHT, "");
	assert_non_null(strstr(looked(), "it is refused"));
	take_away("p/" RIGHT);
	save("p/" RIGHT "/x", "");
	assert_non_null(strstr(looked(), "Is a directory: it is refused"));
	take_away("p/" RIGHT "/x");
}

static void many_files_are_looked_at_within_bounds(void **state)
{
	(void)state;
	struct profile_files f;
	struct config *c;
	char name[64];

	for (int i = 0; i < PROFILE_FILES_MAX + 5; i++) {
		snprintf(name, sizeof(name), "p/x/%03d.json", i);
		save(name, "");
	}
	c = load();
	profile_files_look(&f, c, INT64_MAX);
	assert_int_equal(f.count, PROFILE_FILES_MAX);
	profile_files_free(&f);
	profile_files_look(&f, c, clock_nsec()); /* no time is left */
	assert_int_equal(f.count, 0);
	profile_files_free(&f);
	config_free(c);
	for (int i = 0; i < PROFILE_FILES_MAX + 5; i++) {
		snprintf(name, sizeof(name), "p/x/%03d.json", i);
		take_away(name);
	}
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_DIR(a_file_in_the_wrong_place_names_the_right_one),
		IN_DIR(a_file_that_no_name_is_near_to_is_told_once),
		IN_DIR(who_has_its_own_file_wants_no_other),
		IN_DIR(a_file_of_another_folder_is_meant_for_none),
		IN_DIR(a_linked_folder_is_not_walked_but_a_linked_file_counts),
		IN_DIR(a_profile_that_will_be_refused_is_told),
		IN_DIR(many_files_are_looked_at_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
