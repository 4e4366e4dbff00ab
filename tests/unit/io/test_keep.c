/* Warnings about files last as long as they are true: they go when a file is written again or is
 * not wanted any more, and come again when somebody clears them too early. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>

#include "inproc.h"

#define SECOND SLO_NSEC_PER_SEC

static const struct warning *warning(struct inproc *p, const char *code)
{
	return warn_find(&p->agent->warnings, code, NULL);
}

static void begin(struct inproc *p, const char *more)
{
	inproc_open(p);
	inproc_write_conf(p, "", "", more);
	inproc_start(p);
}

static void reload(struct inproc *p, const char *more)
{
	inproc_write_conf(p, "", "", more);
	assert_true(daemon_reload(p->daemon));
}

static void end(struct inproc *p)
{
	inproc_stop(p);
	inproc_close(p);
}

static void a_recording_that_is_not_wanted_any_more_is_no_trouble(void **state)
{
	struct inproc p;

	(void)state;
	begin(&p, ",\"recorder\":{\"file\":\"none/record\"}");
	inproc_turn(&p, 2);
	assert_non_null(warning(&p, "recorder"));
	reload(&p, ",\"recorder\":{\"file\":\"none/record\",\"keep\":2}");
	assert_non_null(warning(&p, "recorder")); /* the same one still is */
	reload(&p, "");
	assert_null(warning(&p, "recorder"));
	end(&p);
}

static void a_redis_that_is_not_wanted_any_more_is_no_trouble(void **state)
{
	struct inproc p;

	(void)state;
	begin(&p, ",\"profiles\":{\"redis\":{\"url\":\"unix:///none/redis.sock\"}}");
	inproc_pass(&p, SECOND);
	assert_non_null(warning(&p, "redis"));
	reload(&p, "");
	assert_null(warning(&p, "redis"));
	end(&p);
}

static void files_that_are_not_wanted_any_more_are_no_trouble(void **state)
{
	struct inproc p;

	(void)state;
	begin(&p, ",\"snapshot\":{\"file\":\"state\",\"every\":\"1h\"},"
	          "\"profiles\":{\"export\":{\"dir\":\"none\"}}");
	warn_set(p.agent, clock_nsec(), "snapshot", NULL, "no room");
	warn_set(p.agent, clock_nsec(), "export", NULL, "no room");
	reload(&p, "");
	assert_null(warning(&p, "snapshot"));
	assert_null(warning(&p, "export"));
	end(&p);
}

static void two_agents_of_former_files_are_no_trouble(void **state)
{
	static const char *const next[] = { ",\"snapshot\":{\"file\":\"other\",\"every\":\"1h\"}",
		                            "" };
	static const char first[] = ",\"snapshot\":{\"file\":\"state\",\"every\":\"1h\"}";
	const char *file;
	struct inproc p;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(&p, first);
		file = p.agent->conf->snapshot.file;
		warn_set(p.agent, clock_nsec(), "snapshot", file, "another writes it");
		warn_set(p.agent, clock_nsec(), "snapshot", NULL, "no room");
		p.daemon->snapshot.others_seen = clock_nsec();
		reload(&p, first);
		file = p.agent->conf->snapshot.file;
		assert_non_null(warn_find(&p.agent->warnings, "snapshot", file));
		assert_non_null(warning(&p, "snapshot"));
		assert_int_not_equal(p.daemon->snapshot.others_seen, 0);
		reload(&p, next[i]);
		assert_int_equal(p.agent->warnings.count, 0);
		assert_int_equal(p.daemon->snapshot.others_seen, 0);
		inproc_stop(&p);
		inproc_remove(&p, "other");
		inproc_close(&p);
	}
}

/* The time for it comes, and the child that writes ends. */
static void next_is_written(struct inproc *p)
{
	uint64_t before = p->agent->stats.snapshots;

	inproc_pass(p, 101 * SECOND);
	for (int i = 0; p->daemon->snapshot.child && i < 10000; i++) {
		(void)poll(NULL, 0, 1);
		inproc_turn(p, 1);
	}
	assert_int_equal(p->agent->stats.snapshots, before + 1);
}

static void another_agent_writes(const struct inproc *p)
{
	char from[160], to[160];
	FILE *f;

	snprintf(from, sizeof(from), "%s/theirs", p->dir);
	snprintf(to, sizeof(to), "%s/state", p->dir);
	f = fopen(from, "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(from, to), 0);
}

static bool shares(const struct inproc *p)
{
	return warn_find(&p->agent->warnings, "snapshot", p->agent->conf->snapshot.file);
}

static void another_agent_may_write_seldom(void **state)
{
	struct inproc p;

	(void)state;
	inproc_open(&p);
	ev_loop_destroy(p.loop);
	p.loop = ev_default_loop(0); /* the one that hears of children */
	inproc_write_conf(&p, "", "", ",\"snapshot\":{\"file\":\"state\",\"every\":\"100s\"}");
	inproc_start(&p);
	next_is_written(&p);
	assert_false(shares(&p));
	another_agent_writes(&p);
	next_is_written(&p);
	assert_true(shares(&p));
	/* How often it writes is not known yet, each 100 s as we do perhaps. */
	for (int i = 0; i < 3; i++) {
		next_is_written(&p);
		assert_true(shares(&p));
	}
	next_is_written(&p);
	assert_false(shares(&p));
	/* Each 505 s. It is over when four of them have passed without. */
	another_agent_writes(&p);
	for (int i = 0; i < 21; i++) {
		next_is_written(&p);
		assert_true(shares(&p));
	}
	next_is_written(&p);
	assert_false(shares(&p));
	inproc_stop(&p);
	inproc_remove(&p, "state");
	inproc_close(&p);
}

/* So that it has something to write. */
static void teach(struct deployment *d)
{
	assert_non_null(d->learner);
	d->learner->ends = 100;
	d->force.state = LATENCY_WARM;
	d->force.rates = (struct latency_rates){
		.step = .01, .prompt = .001, .cached = 1e-6, .kv = 1e5, .headroom = .9, .crowd = 1
	};
}

/* Two deployments that have learned, written below `.` on demand. */
static void start_with_two_to_write(struct inproc *p)
{
	struct pool *pool;

	inproc_open(p);
	inproc_write_text(
	    p, "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"
	       "\"control\":{\"listen\":[\"unix:ctl\"]},"
	       "\"models\":{\"m\":{\"backend\":\"b\",\"slo\":{\"e2e\":\"30s\"},\"deployments\":{"
	       "\"bad\":{\"servers\":[\"s1\"]},\"good\":{\"servers\":[\"s2\"]}}}},"
	       "\"profiles\":{\"export\":{\"dir\":\".\",\"every\":\"1h\"}}}");
	inproc_start(p);
	pool = &p->agent->models[0]->sched->pool;
	teach(pool->deployment[0]);
	teach(pool->deployment[1]);
}

static struct export_result export_all(struct inproc *p)
{
	struct export_result result;

	export_begin(&p->daemon->export);
	assert_true(export_some(&p->daemon->export, SLO_NEVER, &result));
	return result;
}

static void a_profile_that_can_be_written_does_not_hide_one_that_cannot(void **state)
{
	struct export_result result;
	char path[160];
	struct inproc p;

	(void)state;
	start_with_two_to_write(&p);
	snprintf(path, sizeof(path), "%s/m", p.dir);
	MUST(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/m/bad.json", p.dir);
	MUST(mkdir(path, 0700) == 0); /* a folder is where the file should be */

	result = export_all(&p);
	assert_int_equal(result.written, 1);
	assert_int_equal(result.failed, 1);
	assert_non_null(warning(&p, "export"));
	assert_true(inproc_logged(&p, "the learned profile of m/bad cannot be written"));
	MUST(rmdir(path) == 0);
	result = export_all(&p);
	assert_int_equal(result.written, 2);
	assert_int_equal(result.failed, 0);
	assert_null(warning(&p, "export"));

	inproc_remove(&p, "m/bad.json");
	inproc_remove(&p, "m/good.json");
	inproc_pass(&p, 2000 * SECOND);
	assert_true(daemon_reload(p.daemon)); /* puts nothing off */
	inproc_pass(&p, 1601 * SECOND);       /* the round that comes by itself */
	inproc_pass(&p, 1);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/m/good.json", p.dir);
	assert_int_equal(access(path, F_OK), 0);

	inproc_remove(&p, "ctl");
	inproc_remove(&p, "m/bad.json");
	inproc_remove(&p, "m/good.json");
	inproc_remove(&p, "m");
	end(&p);
}

static bool is_there(const struct inproc *p, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	return access(path, F_OK) == 0;
}

/* Requests are answered between one profile and the next. */
static void a_command_to_write_profiles_is_done_in_slices(void **state)
{
	const char *command = "export profiles\n", *done = "2 profiles were written to ";
	static struct peer ctl;
	int turns = 0, partly = 0;
	struct inproc p;

	(void)state;
	start_with_two_to_write(&p);
	peer_open(&ctl, &p, "ctl");
	inproc_tick = 2 * SLO_NSEC_PER_MSEC; /* a profile takes longer than a slice */
	peer_send(&ctl, command, strlen(command));
	while (ctl.len < strlen(done) && turns++ < 100) {
		inproc_turn(&p, 1);
		partly += is_there(&p, "m/bad.json") && !is_there(&p, "m/good.json");
		peer_pull(&ctl);
	}
	inproc_tick = 0;
	assert_memory_equal(ctl.in, done, strlen(done));
	assert_true(partly > 0);
	assert_true(is_there(&p, "m/good.json"));

	peer_close(&ctl);
	inproc_remove(&p, "ctl");
	inproc_remove(&p, "m/bad.json");
	inproc_remove(&p, "m/good.json");
	inproc_remove(&p, "m");
	end(&p);
}

static void a_configuration_that_is_not_in_force_is_told_until_it_is(void **state)
{
	struct inproc p;

	(void)state;
	begin(&p, "");
	inproc_write_conf(&p, "", "", ",\"recoder\":{}");
	assert_false(daemon_reload(p.daemon));
	assert_non_null(strstr(warning(&p, "reload-failed")->text, "did you mean \"recorder\"?"));
	p.agent->warnings.count = 0; /* slo-ctl clear warnings */
	inproc_pass(&p, 11 * SECOND);
	assert_non_null(warning(&p, "reload-failed"));
	reload(&p, "");
	assert_null(warning(&p, "reload-failed"));
	inproc_pass(&p, 11 * SECOND);
	assert_null(warning(&p, "reload-failed"));
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recording_that_is_not_wanted_any_more_is_no_trouble),
		cmocka_unit_test(a_redis_that_is_not_wanted_any_more_is_no_trouble),
		cmocka_unit_test(files_that_are_not_wanted_any_more_are_no_trouble),
		cmocka_unit_test(two_agents_of_former_files_are_no_trouble),
		cmocka_unit_test(another_agent_may_write_seldom),
		cmocka_unit_test(a_profile_that_can_be_written_does_not_hide_one_that_cannot),
		cmocka_unit_test(a_command_to_write_profiles_is_done_in_slices),
		cmocka_unit_test(a_configuration_that_is_not_in_force_is_told_until_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
