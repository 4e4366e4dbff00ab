/* What is told of profiles that are well-formed but probably wrong. Run in the project's directory:
 * the samples in haproxy-conf are read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/profdoc.h"
#include "wire/profile_check.h"

#define SAMPLES  "haproxy-conf/profiles/llama2-7b/"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct profile_finding found[PROFILE_FINDINGS_MAX];
static size_t count;

static struct slo_profile_doc *parse(const char *text)
{
	struct slo_profile_doc *doc = NULL;
	struct doc_error e;

	if (profdoc_parse(text, strlen(text), &doc, &e) != SLO_OK)
		fail_msg("%zu:%zu: %s: %s", e.line, e.column, e.key, e.message);
	return doc;
}

static struct slo_profile_doc *read_sample(const char *path)
{
	FILE *f = fopen(path, "r");
	struct slo_profile_doc *doc;
	char *text = NULL;
	size_t cap = 0;

	if (!f)
		fail_msg("%s: cannot be opened; the test runs in the project's directory", path);
	assert_true(getdelim(&text, &cap, '\0', f) > 0);
	fclose(f);
	doc = parse(text);
	free(text);
	return doc;
}

static void check(const struct slo_profile_doc *doc)
{
	memset(found, 0, sizeof(found));
	count = profile_check(doc, false, found);
	assert_true(count <= PROFILE_FINDINGS_MAX);
	for (size_t i = 0; i < count; i++)
		assert_true(strlen(found[i].text) > 20 && found[i].code);
}

/* There is such a finding, and it says so. */
static void expect(const char *code, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(found[i].code, code) == 0 && strstr(found[i].text, text))
			return;
	for (size_t i = 0; i < count; i++)
		print_error("%s: %s\n", found[i].code, found[i].text);
	fail_msg("no %s with \"%s\"", code, text);
}

static void expect_nothing(const char *what)
{
	if (count > 0)
		fail_msg("%s: %s: %s", what, found[0].code, found[0].text);
}

static void check_text(const char *text)
{
	struct slo_profile_doc *doc = parse(text);

	check(doc);
	profdoc_free(doc);
}

static void scale(double *table, size_t n, double factor)
{
	for (size_t i = 0; table && i < n; i++)
		table[i] *= factor;
}

/* Both samples with their tables in other units. */
static void check_scaled(const char *gpu, double tputs, double latencies, double targets)
{
	char path[128];
	struct slo_profile_doc *doc;
	size_t n;

	snprintf(path, sizeof(path), SAMPLES "%s.json", gpu);
	doc = read_sample(path);
	n = doc->rows * doc->cols;
	scale(doc->tputs, n, tputs);
	scale(doc->e2e, n, latencies);
	scale(doc->ttft, n, latencies);
	doc->slo_tpat *= targets;
	check(doc);
	profdoc_free(doc);
}

static const char *const gpus[] = { "a10", "l20" };

static void the_samples_are_fine(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(gpus); i++) {
		check_scaled(gpus[i], 1, 1, 1);
		expect_nothing(gpus[i]);
	}
}

/* The least that servers are known to do, and much more than today's do. */
static void slow_and_fast_servers_are_fine(void **state)
{
	static const char *const good[] = {
		/* A CPU: one request at a time, 0.3 s per token. */
		"{\"tputs\":[[0.2],[0.05]],\"indexes\":[[16,64],[128]],\"e2e\":[[5],[20]],"
		"\"ttft\":[[1],[1]],\"slos\":{\"e2e\":30}}",
		/* Eight large GPUs: 800 requests at once, 3 ms per token. */
		"{\"tputs\":[[800],[130]],\"indexes\":[[128,1024],[512]],\"e2e\":[[0.9],[6]],"
		"\"ttft\":[[0.1],[0.3]],\"slos\":{\"ttft\":1,\"tpot\":0.02,\"percentile\":99}}",
		/* Measured at so low a rate in one cell that it held less than one request. */
		"{\"tputs\":[[4,0.125]],\"indexes\":[[16],[128,8192]],\"e2e\":[[1,2]],"
		"\"slos\":{\"e2e\":4}}",
		/* A target that hardly binds, and one that binds tightly. */
		"{\"tputs\":[[10]],\"indexes\":[[64],[128]],\"e2e\":[[1]],\"slos\":{\"e2e\":600}}",
		"{\"tputs\":[[10]],\"indexes\":[[64],[128]],\"e2e\":[[1]],\"slos\":{\"e2e\":1}}",
		/* As AIBrix writes it where there was no sample; 0 is its mean. */
		"{\"tputs\":[[2.5,0],[1,0]],\"indexes\":[[16,64],[128,512]],\"created\":1.7e9,"
		"\"e2e\":[[0.75,NaN],[2,NaN]],\"ttft\":[[0.1,NaN],[0.1,NaN]],"
		"\"slos\":{\"percentile\":0,\"e2e\":6,\"tput\":null,\"tt\":null}}",
		/* Throughput that was tried up to 16 per second only. */
		"{\"tputs\":[[16],[16],[16]],\"indexes\":[[1,4,16],[64]],\"e2e\":[[0.1],[0.2],"
		"[0.6]],\"slos\":{\"e2e\":6}}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		check_text(good[i]);
		expect_nothing(good[i]);
	}
}

#define TABLES "\"tputs\":[[4]],\"indexes\":[[16],[128]],\"e2e\":[[1]]"

static void a_target_that_is_missing_or_mistyped_is_told(void **state)
{
	static const struct {
		const char *slos, *code, *text;
	} bad[] = {
		{ "", "profile-no-target", "no target in \"slos\"" },
		{ ",\"slos\":{}", "profile-no-target", "no target" },
		{ ",\"slos\":{\"e2e\":null}", "profile-no-target", "no target" },
		{ ",\"slos\":{\"e2e\":0}", "profile-no-target", "no target" },
		{ ",\"slos\":{\"tput\":5}", "profile-no-target", "no target" },
		{ ",\"slos\":{\"tttf\":3}", "profile-unknown-target", "means \"ttft\"" },
		{ ",\"slos\":{\"tttf\":3}", "profile-no-target", "no target" },
		{ ",\"slos\":{\"e2\":3}", "profile-unknown-target", "means \"e2e\"" },
		{ ",\"slos\":{\"foo_bar\":3}", "profile-unknown-target",
		  "\"foo_bar\" in \"slos\"" },
		{ ",\"slos\":{\"e2e\":3,\"tpot_s\":1}", "profile-unknown-target",
		  "means \"tpot\"" },
		{ ",\"slo\":{\"e2e\":3}", "profile-unknown-target", "means \"slos\"" },
		{ ",\"slos\":{\"\\u0001\\u001b\":3}", "profile-unknown-target", "\"??\"" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof(text), "{" TABLES "%s}", bad[i].slos);
		check_text(text);
		expect(bad[i].code, bad[i].text);
	}
}

static void a_promise_of_the_model_stands_in_for_a_target(void **state)
{
	struct slo_profile_doc *doc = parse("{" TABLES "}");

	(void)state;
	assert_int_equal(profile_check(doc, true, found), 0);
	assert_int_equal(profile_check(doc, false, found), 1);
	profdoc_free(doc);
}

static void a_target_without_its_table_is_told(void **state)
{
	(void)state;
	check_text("{\"tputs\":[[4]],\"indexes\":[[16],[128]],\"slos\":{\"e2e\":3}}");
	expect("profile-no-e2e", "judged by slos.e2e");
	check_text(
	    "{\"tputs\":[[4]],\"indexes\":[[16],[128]],\"ttft\":[[1]],\"slos\":{\"ttft\":3}}");
	expect("profile-no-e2e", "never full");
	assert_int_equal(count, 1);
	check_text("{" TABLES ",\"slos\":{\"ttft\":3}}");
	expect("profile-no-ttft", "no table \"ttft\"");
	check_text("{\"tputs\":[[0]],\"indexes\":[[16],[128]],\"e2e\":[[1]],\"slos\":{\"e2e\":3}}");
	expect("profile-no-throughput", "0 in all cells");
}

static void a_percentile_that_is_none_is_told(void **state)
{
	(void)state;
	check_text("{" TABLES ",\"slos\":{\"e2e\":3,\"percentile\":0.99}}");
	expect("profile-percentile", "means 99");
	check_text("{" TABLES ",\"slos\":{\"e2e\":3,\"percentile\":250}}");
	expect("profile-percentile", "250, which is no percentile");
	check_text("{" TABLES ",\"slos\":{\"e2e\":3,\"percentile\":-5}}");
	expect("profile-percentile", "no percentile");
	check_text("{" TABLES ",\"slos\":{\"e2e\":3,\"percentile\":99.9}}");
	expect_nothing("99.9");
}

static void other_units_are_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(gpus); i++) {
		check_scaled(gpus[i], 1, 1000, 1); /* tables in ms */
		expect("profile-e2e-unit", "milliseconds");
		check_scaled(gpus[i], 1, 1000, 1000); /* targets too */
		expect("profile-e2e-unit", "milliseconds");
		check_scaled(gpus[i], 60, 1, 1); /* per minute */
		expect("profile-load", "per minute");
		check_scaled(gpus[i], 1, .001, 1);
		expect("profile-load", "not in seconds");
		check_scaled(gpus[i], 1. / 1000, 1, 1);
		expect("profile-load", "not in requests per second");
		check_scaled(gpus[i], 1, 1, 1000); /* the target in ms */
		expect("profile-target-slack", "milliseconds");
		check_scaled(gpus[i], 1, 1, .001);
		expect("profile-target-missed", "another unit");
	}
}

static void throughput_in_tokens_is_told(void **state)
{
	(void)state;
	for (size_t g = 0; g < COUNT(gpus); g++)
		for (int total = 0; total < 2; total++) {
			char path[128];
			struct slo_profile_doc *doc;

			snprintf(path, sizeof(path), SAMPLES "%s.json", gpus[g]);
			doc = read_sample(path);
			for (size_t i = 0; i < doc->rows * doc->cols; i++)
				doc->tputs[i] *= doc->output_axis[i / doc->cols] +
				                 total * doc->input_axis[i % doc->cols];
			check(doc);
			if (total)
				assert_true(count > 0);
			else
				expect("profile-tputs-unit", "tokens per second");
			profdoc_free(doc);
		}
}

static void a_mean_beyond_the_target_is_told_for_each_target(void **state)
{
	(void)state;
	check_text("{\"tputs\":[[4,0]],\"indexes\":[[16],[128,256]],\"e2e\":[[1,9]],"
	           "\"slos\":{\"e2e\":0.9}}");
	expect("profile-target-missed",
	       "1 of 1 cells that have throughput (1 s at output 16, input 128)");
	expect("profile-target-missed", "another target");
	check_text("{" TABLES ",\"ttft\":[[0.5]],\"slos\":{\"ttft\":0.4}}");
	expect("profile-target-missed", "slos.ttft");
	check_text("{" TABLES ",\"ttft\":[[0.2]],\"slos\":{\"tpot\":0.04}}");
	expect("profile-target-missed", "slos.tpot");
	check_text("{" TABLES ",\"tpot\":[[0.05]],\"slos\":{\"tpot\":0.04}}");
	expect("profile-target-missed", "slos.tpot");
	check_text("{" TABLES ",\"slos\":{\"tpat\":0.006}}");
	expect("profile-target-missed", "slos.tpat");
	check_text("{" TABLES ",\"slos\":{\"e2e\":0.001}}");
	expect("profile-target-missed", "another unit");
}

static void a_first_token_behind_the_last_is_told(void **state)
{
	(void)state;
	check_text("{" TABLES ",\"ttft\":[[400]],\"slos\":{\"e2e\":3}}");
	expect("profile-ttft-unit", "400 s and 1 s at output 16, input 128");
}

static void indexes_that_are_logarithms_are_told(void **state)
{
	(void)state;
	check_text("{\"tputs\":[[4,4],[2,2],[1,1]],\"indexes\":[[4,5,6],[128,256]],"
	           "\"e2e\":[[1,1],[2,2],[4,4]],\"slos\":{\"e2e\":5}}");
	expect("profile-indexes-unit", "outputs go from 4 to 6 in equal steps of 1");
	check_text("{\"tputs\":[[4,3,2]],\"indexes\":[[16],[7,8.5,10]],\"e2e\":[[1,1,1]],"
	           "\"slos\":{\"e2e\":5}}");
	expect("profile-indexes-unit", "inputs go from 7 to 10");
	check_text("{\"tputs\":[[4,3,2]],\"indexes\":[[16],[8,16,24]],\"e2e\":[[1,1,1]],"
	           "\"slos\":{\"e2e\":5}}");
	expect_nothing("tokens in steps of 8");
	check_text("{\"tputs\":[[4,3]],\"indexes\":[[16],[8,9]],\"e2e\":[[1,1]],"
	           "\"slos\":{\"e2e\":5}}");
	expect_nothing("two indexes");
}

static void swap_axes(struct slo_profile_doc *doc)
{
	size_t rows = doc->rows, cols = doc->cols;
	double *axis = doc->output_axis, *table[] = { doc->tputs, doc->e2e, doc->ttft }, old[128];

	assert_true(rows * cols <= COUNT(old));
	for (size_t t = 0; t < COUNT(table); t++) {
		if (!table[t])
			continue;
		memcpy(old, table[t], rows * cols * sizeof(*old));
		for (size_t i = 0; i < rows * cols; i++)
			table[t][i % cols * rows + i / cols] = old[i];
	}
	doc->output_axis = doc->input_axis;
	doc->input_axis = axis;
	doc->rows = cols;
	doc->cols = rows;
}

static void axes_that_are_swapped_are_told(void **state)
{
	(void)state;
	for (size_t g = 0; g < COUNT(gpus); g++) {
		char path[128];
		struct slo_profile_doc *doc;

		snprintf(path, sizeof(path), SAMPLES "%s.json", gpus[g]);
		doc = read_sample(path);
		swap_axes(doc);
		check(doc);
		expect("profile-axes-swapped", "the other way round");
		profdoc_free(doc);
	}
}

/* Any numbers that a profile may have: nothing overflows, no finding is empty. */
static void extreme_numbers_are_survived(void **state)
{
	(void)state;
	check_text("{\"tputs\":[[1e300,1e-300]],\"indexes\":[[1e300],[1e-300,1e300]],"
	           "\"e2e\":[[1e300,1e-300]],\"ttft\":[[1e300,0]],\"tpot\":[[1e-300,null]],"
	           "\"slos\":{\"e2e\":1e-300,\"ttft\":1e300,\"tpot\":1e-300,\"tpat\":1e300,"
	           "\"percentile\":1e300,\"loooooooooooooooooooooooooooooooooooooooooooong\":1}}");
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_samples_are_fine),
		cmocka_unit_test(slow_and_fast_servers_are_fine),
		cmocka_unit_test(a_target_that_is_missing_or_mistyped_is_told),
		cmocka_unit_test(a_promise_of_the_model_stands_in_for_a_target),
		cmocka_unit_test(a_target_without_its_table_is_told),
		cmocka_unit_test(a_percentile_that_is_none_is_told),
		cmocka_unit_test(other_units_are_told),
		cmocka_unit_test(throughput_in_tokens_is_told),
		cmocka_unit_test(a_mean_beyond_the_target_is_told_for_each_target),
		cmocka_unit_test(a_first_token_behind_the_last_is_told),
		cmocka_unit_test(indexes_that_are_logarithms_are_told),
		cmocka_unit_test(axes_that_are_swapped_are_told),
		cmocka_unit_test(extreme_numbers_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
