/* Profile files that are read again: what is told of them, and what is in force then. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "inproc.h"

#define STALE "its \"created\" is not newer"

static int setup(void **state)
{
	struct inproc *p = calloc(1, sizeof(*p));

	MUST(p);
	inproc_open(p);
	inproc_write_conf(p, "", "", ",\"profiles\":{\"dir\":\"profiles\"}");
	inproc_start(p);
	inproc_write_profile(p, 5);
	MUST(agent_load_profiles(p->agent) == 0);
	MUST(inproc_logged(p, "profiles/m/d.json: 1 cells"));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct inproc *p = *state;

	inproc_remove_profile(p);
	inproc_stop(p);
	inproc_close(p);
	free(p);
	return 0;
}

static struct deployment *deployment(const struct inproc *p)
{
	return p->agent->models[0]->sched->pool.deployment[0];
}

/* What is said of it when it is read again, and what is in force then. */
static bool says(struct inproc *p, const char *what)
{
	const char *said;

	assert_int_equal(agent_load_profiles(p->agent), 0);
	said = inproc_log(p);
	return *what ? strstr(said, what) != NULL : *said == '\0';
}

static void is_in_force(const struct inproc *p, int created)
{
	assert_non_null(deployment(p)->profile);
	assert_true(profile_created(deployment(p)->profile) == created);
}

static void append(const struct inproc *p, const char *more)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/profiles/m/d.json", p->dir);
	f = fopen(path, "a");
	assert_non_null(f);
	fputs(more, f);
	assert_int_equal(fclose(f), 0);
}

static void an_unchanged_file_is_not_told_again(void **state)
{
	struct inproc *p = *state;

	for (int i = 0; i < 3; i++)
		assert_true(says(p, ""));
	is_in_force(p, 5);
}

static void a_newer_one_is_told_once(void **state)
{
	struct inproc *p = *state;

	inproc_write_profile(p, 6);
	assert_true(says(p, ": 1 cells"));
	is_in_force(p, 6);
	assert_true(says(p, ""));
}

static void a_change_without_a_newer_created_is_told_as_long_as_it_lasts(void **state)
{
	struct inproc *p = *state;

	append(p, "\n");
	assert_true(says(p, STALE));
	assert_true(says(p, STALE));
	inproc_write_profile(p, 4);
	assert_true(says(p, STALE));
	is_in_force(p, 5);
	inproc_write_profile(p, 5);
	assert_true(says(p, "profile-stale: this warning is over"));
	assert_true(says(p, ""));
}

/* 2033 and 2036: of a clock that went ahead, or of milliseconds. */
static void one_that_keeps_out_what_is_made_now_is_told(void **state)
{
	struct inproc *p = *state;

	inproc_write_profile(p, 2000000000);
	assert_true(says(p, ": 1 cells"));
	inproc_write_profile(p, 6);
	assert_true(says(p, "hours ahead of this machine's clock, so it is ignored"));
	inproc_write_profile(p, 2100000000);
	assert_true(says(p, ": 1 cells"));
	is_in_force(p, 2100000000);
}

static void a_broken_file_is_told_each_time(void **state)
{
	struct inproc *p = *state;

	append(p, "}");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(agent_load_profiles(p->agent), 1);
		assert_true(inproc_logged(p, "; the previous profile stays"));
	}
	inproc_write_profile(p, 5);
	assert_true(says(p, "profile-refused: this warning is over"));
	assert_true(says(p, ""));
}

static void a_file_that_was_away_is_told_only_while_it_is(void **state)
{
	struct inproc *p = *state;

	inproc_remove_profile(p);
	assert_true(says(p, "No such file or directory; the previous profile stays"));
	inproc_write_profile(p, 5);
	assert_true(says(p, ""));
	is_in_force(p, 5);
}

/* As from Redis. */
static void take(struct inproc *p, const char *created)
{
	char text[128];
	int n = snprintf(text, sizeof(text),
	                 "{\"tputs\":[[2]],\"indexes\":[[1],[1]],\"e2e\":[[1]],\"created\":%s}",
	                 created);

	assert_int_equal(
	    agent_take_profile(p->agent, deployment(p), "elsewhere", text, (size_t)n, true),
	    SLO_OK);
	inproc_log(p);
}

static void an_unchanged_file_gives_way_to_a_newer_profile_from_elsewhere(void **state)
{
	struct inproc *p = *state;

	take(p, "7");
	assert_true(says(p, ""));
	is_in_force(p, 7);
	sched_profile_drop(p->agent->sched, deployment(p));
	assert_true(says(p, ": 1 cells"));
	is_in_force(p, 5);
}

static void after_a_drop_an_unchanged_file_may_be_newer(void **state)
{
	struct inproc *p = *state;

	take(p, "7");
	inproc_remove_profile(p);
	sched_profile_drop(p->agent->sched, deployment(p));
	assert_true(says(p, "No such file"));
	take(p, "3");
	inproc_write_profile(p, 5);
	assert_true(says(p, ": 1 cells"));
	is_in_force(p, 5);
}

/* Of that text; the log is emptied. */
static const char *said_of(struct inproc *p, const char *text)
{
	assert_int_equal(
	    agent_take_profile(p->agent, deployment(p), "here", text, strlen(text), false), SLO_OK);
	return inproc_log(p);
}

#define ONE_CELL(created) \
	"{\"tputs\":[[2]],\"indexes\":[[16],[64]],\"e2e\":[[1]],\"created\":" #created

static void what_is_probably_wrong_is_told_once(void **state)
{
	struct inproc *p = *state;
	const struct profile_note *note;

	assert_non_null(strstr(said_of(p, ONE_CELL(7) ",\"slos\":{\"e2e\":5000}}"),
	                       "profile here: slos.e2e is 5000 s, more than"));
	note = profile_notes_find(&p->agent->profile_notes, "m", "d");
	assert_non_null(note);
	assert_int_equal(note->count, 1);
	assert_string_equal(note->findings[0].code, "profile-target-slack");
	/* A newer one with the same fault is no news, one with another is. */
	assert_null(strstr(said_of(p, ONE_CELL(8) ",\"slos\":{\"e2e\":5000}}"), "slos.e2e"));
	assert_non_null(strstr(said_of(p, ONE_CELL(9) ",\"slos\":{\"e2\":5}}"), "probably means"));
	assert_null(strstr(said_of(p, ONE_CELL(10) ",\"slos\":{\"e2e\":5}}"), "WARNING"));
	assert_null(profile_notes_find(&p->agent->profile_notes, "m", "d"));
}

/* As the next look of the watch would find them. */
static const char *warned(const struct inproc *p, const char *code)
{
	const struct warning *w = warn_find(&p->agent->warnings, code, "m/d");

	return w ? w->text : "";
}

static void a_refused_file_is_a_warning_until_it_is_good(void **state)
{
	struct inproc *p = *state;

	append(p, "}");
	assert_int_equal(agent_load_profiles(p->agent), 1);
	assert_non_null(strstr(warned(p, "profile-refused"), "profiles/m/d.json:"));
	assert_non_null(strstr(warned(p, "profile-refused"), "the previous one stays"));
	warn_clear_all(p->agent, inproc_clock, "profile-refused");
	p->agent->watch.looked = 0;
	watch_judge(p->agent, clock_nsec(), 0);
	assert_string_not_equal(warned(p, "profile-refused"), ""); /* it lasts */
	inproc_write_profile(p, 5);
	assert_int_equal(agent_load_profiles(p->agent), 0);
	assert_string_equal(warned(p, "profile-refused"), "");
}

static void a_folder_in_the_place_of_a_file_is_refused(void **state)
{
	struct inproc *p = *state;
	char path[160];

	inproc_remove_profile(p);
	sched_profile_drop(p->agent->sched, deployment(p));
	snprintf(path, sizeof(path), "%s/profiles", p->dir);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/profiles/m", p->dir);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/profiles/m/d.json", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(agent_load_profiles(p->agent), 1);
	assert_non_null(strstr(warned(p, "profile-refused"), "Is a directory"));
	assert_null(strstr(warned(p, "profile-refused"), "previous"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(agent_load_profiles(p->agent), 0);
	assert_string_equal(warned(p, "profile-refused"), "");
}

static void a_change_without_a_newer_created_is_a_warning(void **state)
{
	struct inproc *p = *state;

	append(p, "\n");
	assert_true(says(p, STALE));
	assert_non_null(strstr(warned(p, "profile-stale"), "is not newer than that in force"));
	inproc_write_profile(p, 6);
	assert_true(says(p, ": 1 cells"));
	assert_string_equal(warned(p, "profile-stale"), "");
}

static void a_corrected_file_is_not_stale_though_redis_is_newer(void **state)
{
	struct inproc *p = *state;

	append(p, "\n");
	assert_true(says(p, STALE));
	take(p, "7");
	inproc_write_profile(p, 6);
	assert_true(says(p, STALE));
	assert_string_equal(warned(p, "profile-stale"), "");
}

/* Which source it is tells what to do; that of one does not hide that of the other. */
static void each_source_has_its_own_advice(void **state)
{
	struct inproc *p = *state;

	assert_int_not_equal(agent_take_profile(p->agent, deployment(p), "redis k", "{", 1, true),
	                     SLO_OK);
	assert_int_equal(agent_load_profiles(p->agent), 0);
	assert_non_null(strstr(warned(p, "profile-refused"), "redis k:1:"));
	assert_non_null(strstr(warned(p, "profile-refused"), "; correct it; no reload is needed"));
	append(p, "}");
	assert_int_equal(agent_load_profiles(p->agent), 1);
	assert_non_null(strstr(warned(p, "profile-refused"), "m/d.json:"));
	assert_non_null(strstr(warned(p, "profile-refused"), "redis k:1:"));
	assert_non_null(strstr(warned(p, "profile-refused"),
	                       "both are refused and the previous one stays; correct both, and "
	                       "reload for the file"));
	profile_trouble_clear_all(&p->agent->profile_troubles, TROUBLE_REDIS_REFUSED);
	assert_int_equal(agent_load_profiles(p->agent), 1);
	assert_null(strstr(warned(p, "profile-refused"), "redis k"));
	assert_non_null(strstr(warned(p, "profile-refused"), "; correct it and reload"));
}

static void a_long_path_hides_no_reason(void **state)
{
	struct inproc *p = *state;
	char path[1000];

	memset(path, 'p', sizeof(path) - 1);
	memcpy(path + sizeof(path) - 8, "end.txt", 8);
	assert_int_not_equal(agent_take_profile(p->agent, deployment(p), path, "{", 1, false),
	                     SLO_OK);
	watch_profiles(p->agent, clock_nsec());
	assert_non_null(strstr(warned(p, "profile-refused"), "...p"));
	assert_non_null(strstr(warned(p, "profile-refused"), "pend.txt:1:"));
	assert_non_null(strstr(warned(p, "profile-refused"), "; correct it and reload"));
}

static void a_clock_that_is_minutes_ahead_is_told_in_minutes(void **state)
{
	struct inproc *p = *state;
	char text[32];

	snprintf(text, sizeof(text), "%.0f", clock_unix_seconds() + 1830);
	take(p, text);
	inproc_write_profile(p, 6);
	assert_true(says(p, "which is 30 minutes ahead") || says(p, "which is 31 minutes ahead"));
}

/* Two sources, of which the newer counts, are no mistake. */
static void what_is_older_than_another_sources_is_no_warning(void **state)
{
	struct inproc *p = *state;

	take(p, "7");
	inproc_write_profile(p, 6);
	assert_true(says(p, STALE));
	assert_string_equal(warned(p, "profile-stale"), "");
}

static void a_created_far_ahead_is_a_warning(void **state)
{
	struct inproc *p = *state;

	take(p, "40000000000");
	assert_true(says(p, "profile-stale: "));
	assert_non_null(strstr(warned(p, "profile-stale"), "days ahead of this machine's clock"));
}

static void a_doubt_goes_with_the_text_that_it_is_about(void **state)
{
	struct inproc *p = *state;

	(void)said_of(p, ONE_CELL(7) ",\"slos\":{\"e2e\":5000}}");
	(void)agent_load_profiles(p->agent);
	assert_non_null(strstr(warned(p, "profile-doubt"), "slos.e2e is 5000 s"));
	(void)said_of(p, ONE_CELL(8) ",\"slos\":{\"e2e\":5}}");
	(void)agent_load_profiles(p->agent);
	assert_string_equal(warned(p, "profile-doubt"), "");
}

static void a_file_in_the_wrong_place_is_a_warning(void **state)
{
	struct inproc *p = *state;
	char from[160], to[160];

	snprintf(from, sizeof(from), "%s/profiles/m/d.json", p->dir);
	snprintf(to, sizeof(to), "%s/profiles/m/D.json", p->dir);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(agent_load_profiles(p->agent), 0);
	assert_non_null(
	    strstr(warned(p, "profile-misplaced"), "m/D.json is read by no deployment"));
	assert_non_null(strstr(warned(p, "profile-misplaced"),
	                       "rename it to m/d.json below profiles.dir and reload"));
	take(p, "7"); /* the profile of Redis is in force: no file is missed */
	assert_int_equal(agent_load_profiles(p->agent), 0);
	assert_string_equal(warned(p, "profile-misplaced"), "");
	assert_int_equal(rename(to, from), 0);
	assert_int_equal(agent_load_profiles(p->agent), 0);
	assert_string_equal(warned(p, "profile-misplaced"), "");
}

int main(void)
{
#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_AGENT(an_unchanged_file_is_not_told_again),
		WITH_AGENT(a_newer_one_is_told_once),
		WITH_AGENT(a_change_without_a_newer_created_is_told_as_long_as_it_lasts),
		WITH_AGENT(one_that_keeps_out_what_is_made_now_is_told),
		WITH_AGENT(a_broken_file_is_told_each_time),
		WITH_AGENT(a_file_that_was_away_is_told_only_while_it_is),
		WITH_AGENT(an_unchanged_file_gives_way_to_a_newer_profile_from_elsewhere),
		WITH_AGENT(after_a_drop_an_unchanged_file_may_be_newer),
		WITH_AGENT(what_is_probably_wrong_is_told_once),
		WITH_AGENT(a_refused_file_is_a_warning_until_it_is_good),
		WITH_AGENT(a_folder_in_the_place_of_a_file_is_refused),
		WITH_AGENT(a_change_without_a_newer_created_is_a_warning),
		WITH_AGENT(a_corrected_file_is_not_stale_though_redis_is_newer),
		WITH_AGENT(each_source_has_its_own_advice),
		WITH_AGENT(a_long_path_hides_no_reason),
		WITH_AGENT(a_clock_that_is_minutes_ahead_is_told_in_minutes),
		WITH_AGENT(what_is_older_than_another_sources_is_no_warning),
		WITH_AGENT(a_created_far_ahead_is_a_warning),
		WITH_AGENT(a_doubt_goes_with_the_text_that_it_is_about),
		WITH_AGENT(a_file_in_the_wrong_place_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
