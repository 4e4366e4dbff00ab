/* The commands on files: what they exit with, and what they leave. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench_samples.h"
#include "commands.h"
#include "wire/file/record.h"
#include "wire/profdoc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char dir[] = "/tmp/slo-profile-XXXXXX";

static char *path(const char *name)
{
	static char all[16][64];
	static unsigned next;
	char *p = all[next++ % COUNT(all)];

	snprintf(p, sizeof(all[0]), "%s/%s", dir, name);
	return p;
}

static char *put(const char *name, const void *data, size_t len)
{
	char *p = path(name);
	FILE *f = fopen(p, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return p;
}

static char *put_text(const char *name, const char *text)
{
	return put(name, text, strlen(text));
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	return system(command);
}

static bool exists(const char *file)
{
	return access(file, F_OK) == 0;
}

/* Standard error (2) or output (1) goes into a file until heard(). */
static int listen_to(int fd, const char *file)
{
	FILE *out = fopen(file, "w");
	int old = dup(fd);

	fflush(stdout);
	assert_non_null(out);
	assert_true(old >= 0 && dup2(fileno(out), fd) == fd);
	assert_int_equal(fclose(out), 0);
	return old;
}

static void heard(int fd, int old, const char *file, char *text, size_t cap)
{
	FILE *in;

	fflush(stdout);
	assert_int_equal(dup2(old, fd), fd);
	assert_int_equal(close(old), 0);
	in = fopen(file, "r");
	assert_non_null(in);
	text[fread(text, 1, cap - 1, in)] = '\0';
	assert_int_equal(fclose(in), 0);
}

static const struct profile_options plain = { .cost = NAN, .now = 1767225600 };

static void import_writes_a_profile(void **state)
{
	struct profile_options opt = plain;
	char *files[] = { put_text("a.json", VLLM_E2E), put_text("b.json", GUIDELLM) };
	struct slo_profile_doc *doc;
	double kv = 0;

	(void)state;
	opt.output = path("out.json");
	opt.goal = goal_make(0, 0, 0.05, 0);
	opt.gpu = "l4";
	opt.cost = 2;
	opt.kv = 9000;
	assert_int_equal(command_import(&opt, files, 2), EXIT_SUCCESS);
	doc = load_profile(opt.output, &kv);
	assert_non_null(doc);
	assert_string_equal(doc->gpu, "l4");
	assert_true(doc->cost == 2 && doc->slo_tpat == 0.05 && kv == 9000);
	assert_int_equal(doc->rows * doc->cols, 9);
	profdoc_free(doc);
	assert_int_equal(command_lint(&plain, opt.output), EXIT_SUCCESS);
	opt.svg = path("out.svg");
	assert_int_equal(command_show(&opt, opt.output), EXIT_SUCCESS);
	assert_true(exists(opt.svg));
	assert_false(exists(path("out.json.new")));
}

static void import_of_a_bad_file_leaves_no_output(void **state)
{
	struct profile_options opt = plain;
	char *files[] = { put_text("good.json", VLLM), put_text("bad.json", AIBRIX_EMPTY) };
	char *missing[] = { path("none.json") };

	(void)state;
	opt.output = path("never.json");
	assert_int_equal(command_import(&opt, files, 2), EXIT_FAILURE);
	assert_false(exists(opt.output));
	assert_int_equal(command_import(&opt, missing, 1), EXIT_FAILURE);
	assert_false(exists(opt.output));
	opt.output = dir; /* a folder */
	assert_int_equal(command_import(&opt, files, 1), EXIT_FAILURE);
}

static void lint_finds_what_is_wrong(void **state)
{
	static const char *const bad[] = {
		PROFILE_NAN,
		"{\"tputs\":[[4]],\"indexes\":[[16],[128]],\"e2e\":[[1]]}", /* no target */
		/* Beyond the cache that the file tells. */
		PROFILE_HEAD "\"tputs\":[[4,2],[2,1]],\"e2e\":[[2,2.5],[4,5]],"
			     "\"learned\":{\"kv_tokens\":3000,\"kv_tokens_told\":true}}",
		/* Less than one request at once. */
		PROFILE_HEAD "\"tputs\":[[4,2],[2,0.1]],\"e2e\":[[2,2.5],[4,5]]}",
		/* A longer answer that is faster. */
		PROFILE_HEAD "\"tputs\":[[4,2],[6,1]],\"e2e\":[[2,2.5],[1.5,5]]}",
		/* An index that no whole number is nearest to. */
		/* In parentheses: one text over two lines. */
		("{\"tputs\":[[4,3,2]],\"indexes\":[[64],[512,512.2,512.3]],"
		 "\"e2e\":[[2,2.1,2.2]],\"slos\":{\"tpat\":0.05}}"),
	};
	const char *good = PROFILE_HEAD "\"tputs\":[[4,2],[2,1]],\"e2e\":[[2,2.5],[4,5]]}";

	(void)state;
	assert_int_equal(command_lint(&plain, put_text("l.json", good)), EXIT_SUCCESS);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (command_lint(&plain, put_text("l.json", bad[i])) != EXIT_FAILURE)
			fail_msg("case %zu passes", i);
	assert_int_equal(command_lint(&plain, put_text("l.json", "{")), EXIT_FAILURE);
}

static void put_recording(const char *name, bool with_requests)
{
	struct record_writer *w = record_writer_new();
	struct slice bytes;

	assert_non_null(w);
	assert_int_equal(record_add(w, &(struct slo_event){ .kind = SLO_EVENT_START }), SLO_OK);
	assert_int_equal(record_add(w, &(struct slo_event){ .kind = SLO_EVENT_MODEL,
	                                                    .model = 1,
	                                                    .text = slice_of("m") }),
	                 SLO_OK);
	for (int i = 0; with_requests && i < 8; i++)
		assert_int_equal(record_add(w, &(struct slo_event){ .kind = SLO_EVENT_SUBMIT,
		                                                    .now = i,
		                                                    .model = 1,
		                                                    .text = slice_of("r"),
		                                                    .input = 600,
		                                                    .output = 100 }),
		                 SLO_OK);
	bytes = record_pending(w);
	(void)put(name, bytes.p, bytes.len);
	record_writer_free(w);
}

static void cover_counts_recorded_requests(void **state)
{
	struct profile_options opt = plain;
	char *profile = put_text("p.json", PROFILE_NAN), *said = path("said"), text[512];
	int status, old;

	(void)state;
	put_recording("r.rec", true);
	put_recording("empty.rec", false);
	assert_int_equal(command_cover(&opt, profile, path("r.rec")), EXIT_SUCCESS);
	assert_int_equal(command_cover(&opt, profile, path("empty.rec")), EXIT_FAILURE);
	assert_int_equal(command_cover(&opt, profile, profile), EXIT_FAILURE);
	opt.model = "m";
	assert_int_equal(command_cover(&opt, profile, path("r.rec")), EXIT_SUCCESS);
	opt.model = "other";
	old = listen_to(STDERR_FILENO, said);
	status = command_cover(&opt, profile, path("r.rec"));
	heard(STDERR_FILENO, old, said, text, sizeof(text));
	assert_int_equal(status, EXIT_FAILURE);
	assert_non_null(strstr(text, "it has no model 'other'; the models in it are m\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(import_writes_a_profile),
		cmocka_unit_test(import_of_a_bad_file_leaves_no_output),
		cmocka_unit_test(lint_finds_what_is_wrong),
		cmocka_unit_test(cover_counts_recorded_requests),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
