/* A snapshot that is taken up while the wall clock says something else than when it was written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ev.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/adaptive.h"
#include "core/foreign.h"
#include "core/lease.h"
#include "core_build.h"
#include "io/base/clock.h"
#include "snapshot_forge.h"
#include "io/keep/agent_snapshot.h"

static const char conf_text[] =
    "{\"spop\":{\"listen\":[\"127.0.0.1:1\"]},\"events\":{\"listen\":[\"127.0.0.1:2\"]},"
    "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s\"],"
    "\"kv_tokens\":8192}}}}}";

static int64_t wall; /* what CLOCK_REALTIME says, in nanoseconds */

int clock_gettime(clockid_t id, struct timespec *ts);
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = wall / SLO_NSEC_PER_SEC;
	ts->tv_nsec = wall % SLO_NSEC_PER_SEC;
	return 0;
}

struct rig {
	struct ev_loop *loop;
	struct config *conf;
	struct log log;
	struct agent *agent;
};

static void rig_open(struct rig *r)
{
	struct doc_error err;

	r->conf = config_parse(conf_text, sizeof(conf_text) - 1, "f", &err);
	assert_non_null(r->conf);
	r->loop = ev_loop_new(0);
	r->log = (struct log){ .level = LOG_ERR, .fd = -1 };
	r->agent = agent_new(r->loop, &r->log, 1, NULL);
	assert_non_null(r->agent);
	assert_int_equal(agent_configure(r->agent, r->conf), SLO_OK);
}

static void rig_close(struct rig *r)
{
	agent_free(r->agent);
	ev_loop_destroy(r->loop);
	config_free(r->conf);
}

static void dispatch(struct rig *r, const char *id)
{
	struct sched_request req = {
		.id = id,
		.id_len = strlen(id),
		.model = sched_model_find(r->agent->sched, "m", 1),
		.strategy = SLO_STRATEGY_LEAST_REQUEST,
		.output = 1,
		.max_output = -1,
		.created = clock_nsec(),
	};
	struct sched_action act;

	assert_int_equal(sched_submit(r->agent->sched, req.created, &req, NULL), SLO_OK);
	assert_true(sched_step(r->agent->sched, req.created, &act));
	assert_non_null(act.seat);
}

static int64_t start = INT64_C(1800000000) * SLO_NSEC_PER_SEC; /* wall, when the agent writes */

/* How many leases survive a restart that takes `passed` of wall clock. */
static size_t leases_after(int64_t passed)
{
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct slice file;
	size_t leases;

	wall = start;
	rig_open(&before);
	for (int i = 0; i < 3; i++)
		dispatch(&before, (const char *[]){ "a", "b", "c" }[i]);
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	wall += passed;
	rig_open(&after);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	leases = sched_counts(after.agent->sched).dispatched;
	sched_check(after.agent->sched);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
	return leases;
}

static void leases_outlive_a_clock_that_is_set_back(void **state)
{
	(void)state;
	assert_int_equal(leases_after(SLO_NSEC_PER_SEC), 3);
	assert_int_equal(leases_after(0), 3);
	assert_int_equal(leases_after(-2 * SLO_NSEC_PER_SEC), 3);
	assert_int_equal(leases_after(-86400 * SLO_NSEC_PER_SEC), 3);
}

/* 2043 is where a quarter of what 64 bits hold ends. */
static void leases_are_taken_up_in_every_year_to_come(void **state)
{
	(void)state;
	start = INT64_C(3000000000) * SLO_NSEC_PER_SEC;
	assert_int_equal(leases_after(SLO_NSEC_PER_SEC), 3);
	assert_int_equal(leases_after(-2 * SLO_NSEC_PER_SEC), 3);
	start = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
}

static void but_not_one_that_went_far_ahead(void **state)
{
	(void)state;
	assert_int_equal(leases_after(601 * SLO_NSEC_PER_SEC), 0);
}

/* Two leases as a newer agent might write them: two fields more, a strategy, a target and a class
 * that this one does not know; before and behind them what it knows even less. */
static void leases_of_a_newer_agent_keep_their_places(void **state)
{
	static const char head[] = "\x92\x63\xc0", foot[] = "\x93\x64\x81\x01\x02\xa0";
	static const char lease[] = "\xdc\0\x18\x03\xa1-\xa1m\xa1m\xa1s\x07\x01\x02\x03\x08"
				    "\x09\xff\xa8slo-2030\xce\xff\xff\0\0\x63\xcb\0\0\0\0\0\0\0\0"
				    "\xcb\x40\x3e\0\0\0\0\0\0\xcb\0\0\0\0\0\0\0\0\xcb\0\0\0\0\0"
				    "\0\0\0\xff\x01\x63\x91\xc0\xa3new";
	uint8_t records[512];
	size_t at = 0;
	struct rig r = { 0 };
	struct slice file;
	char text[1024];
	int fds[2];
	ssize_t n;

	(void)state;
	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	memcpy(records, head, sizeof(head) - 1);
	at += sizeof(head) - 1;
	for (int i = 0; i < 2; i++) {
		memcpy(records + at, lease, sizeof(lease) - 1);
		records[at + 5] = (uint8_t)('a' + i);
		at += sizeof(lease) - 1;
	}
	memcpy(records + at, foot, sizeof(foot) - 1);
	at += sizeof(foot) - 1;
	file = forge(wall, records, at);
	rig_open(&r);
	assert_int_equal(pipe(fds), 0);
	r.log.level = LOG_INFO;
	r.log.fd = fds[1];
	agent_snapshot_restore(r.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	assert_int_equal(sched_counts(r.agent->sched).dispatched, 2);
	sched_check(r.agent->sched);
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "a newer agent wrote it: 2 entries of kinds"));
	assert_non_null(strstr(text, "what 2 others have more"));
	assert_null(strstr(text, "malformed"));
	close(fds[0]);
	close(fds[1]);
	free((void *)file.p);
	rig_close(&r);
}

/* Times that no clock tells. */
static void requests_of_no_time_are_left_out(void **state)
{
	static const int64_t times[] = { INT64_MAX, -INT64_MAX, INT64_MAX / 5, -(INT64_MAX / 5) };
	struct snapshot_foreign foreign = { .owner = SLICE("node-b"),
		                            .id = SLICE("x"),
		                            .model = SLICE("m"),
		                            .backend = SLICE("m"),
		                            .server = SLICE("s"),
		                            .load = 7,
		                            .limit = -1,
		                            .sequences = 1,
		                            .strategy = SLICE("slo") };
	struct snapshot_lease lease = { .id = SLICE("y"),
		                        .model = SLICE("m"),
		                        .backend = SLICE("m"),
		                        .server = SLICE("s"),
		                        .load = 7,
		                        .limit = -1,
		                        .sequences = 1,
		                        .strategy = SLICE("slo") };
	struct snapshot_writer *w;
	struct rig r = { 0 };
	struct slice file;

	(void)state;
	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	w = snapshot_begin(INT64_MAX);
	assert_non_null(w);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		foreign.dispatched = times[i];
		snapshot_add_foreign(w, &foreign);
		lease.created = lease.arrived = lease.dispatched = times[i];
		snapshot_add_lease(w, &lease);
	}
	assert_int_equal(snapshot_end(w, &file), SLO_OK);
	rig_open(&r);
	agent_snapshot_restore(r.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	/* The last lease is old enough to be over soon, but a lease. */
	assert_int_equal(sched_counts(r.agent->sched).dispatched, 1);
	assert_int_equal(sched_counts(r.agent->sched).foreign, 0);
	sched_check(r.agent->sched);
	snapshot_writer_free(w);
	rig_close(&r);
}

static struct server *the_server(struct rig *r)
{
	return sched_model_find(r->agent->sched, "m", 1)->pool.deployment[0]->seats->server;
}

static void place_foreign(struct rig *r, struct foreign_owner *o, const char *id, bool known)
{
	const struct foreign_lease l = {
		.id = id,
		.id_len = strlen(id),
		.model = known ? sched_model_find(r->agent->sched, "m", 1) : NULL,
		.server = the_server(r),
		.load = 1000,
		.age = 5 * SLO_NSEC_PER_SEC,
		.input = 7,
		.output = 9,
		.strategy = SLO_STRATEGY_SLO,
		.estimate = 6,
		.limit = 8,
		.sequences = 2,
		.mute = LESSON_NO_SIZE,
		.class = 1,
		.stream = true,
	};

	assert_int_equal(foreign_dispatch(r->agent->sched, clock_nsec(), o, &l), SLO_OK);
}

static void what_others_placed_outlives_a_restart(void **state)
{
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct foreign_owner *o;
	const struct request *r;
	struct slice file;

	(void)state;
	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	rig_open(&before);
	dispatch(&before, "ours");
	o = foreign_owner(before.agent->sched, "node-b", 6);
	foreign_owner_life(before.agent->sched, o, 42);
	foreign_owner_visible(before.agent->sched, o, true);
	place_foreign(&before, o, "x", true);
	place_foreign(&before, o, "y", false);
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	wall += SLO_NSEC_PER_SEC;
	rig_open(&after);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	sched_check(after.agent->sched);
	assert_int_equal(sched_counts(after.agent->sched).dispatched, 3);
	assert_int_equal(sched_counts(after.agent->sched).foreign, 2);
	assert_int_equal(the_server(&after)->ledger.used, the_server(&before)->ledger.used);
	assert_int_equal(the_server(&after)->overshoots, 0);
	o = foreign_owner_next(after.agent->sched, NULL);
	assert_string_equal(o->name, "node-b");
	assert_true(o->life == 42 && o->visible && !o->self && !o->listing && o->open == 2);
	r = foreign_first(after.agent->sched);
	assert_string_equal(r->id, "x");
	assert_string_equal(r->model->pool.name, "m");
	assert_null(foreign_next(r)->model);
	assert_true(clock_nsec() - r->since >= 6 * SLO_NSEC_PER_SEC &&
	            clock_nsec() - r->since < 60 * SLO_NSEC_PER_SEC);
	assert_true(r->estimate == 6 && r->limit == 8 && r->sequences == 2 && r->stream);
	assert_int_equal(r->mute, LESSON_NO_SIZE);
	assert_int_equal(r->class, 1);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
}

static void all_that_is_known_of_a_request_outlives_a_restart(void **state)
{
	struct rig before = { 0 }, after = { 0 };
	struct sched_request req = {
		.id = "a",
		.id_len = 1,
		.strategy = SLO_STRATEGY_LEAST_REQUEST,
		.output = 60,
		.max_output = 100,
		.sequences = 3,
		.class = 5,
		.mute = LESSON_NO_SIZE,
	};
	const struct goal promise = goal_make(0, 1, 0.5, 30);
	struct snapshot_writer *w;
	struct sched_action act;
	const struct request *r;
	struct slice file;

	(void)state;
	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	rig_open(&before);
	req.model = sched_model_find(before.agent->sched, "m", 1);
	sched_promise(before.agent->sched, req.model, &promise);
	assert_int_equal(sched_submit(before.agent->sched, clock_nsec(), &req, NULL), SLO_OK);
	assert_true(sched_step(before.agent->sched, clock_nsec(), &act));
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	rig_open(&after);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	r = lease_first(after.agent->sched);
	assert_non_null(r);
	assert_int_equal(r->limit, 100);
	assert_int_equal(r->sequences, 3);
	assert_int_equal(r->class, 5);
	assert_int_equal(r->mute, LESSON_NO_SIZE);
	assert_int_equal(r->goal.kind, GOAL_TTFT);
	assert_true(fabs(r->goal.fixed - 1) < 1e-9 && fabs(r->goal.tpat - 0.5) < 1e-9);
	assert_true(fabs(r->goal.e2e - 30) < 1e-9);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
}

static struct deployment *the_deployment(struct rig *r)
{
	return sched_model_find(r->agent->sched, "m", 1)->pool.deployment[0];
}

/* Two at once in 1 s each. */
static const struct one_cell wrong = { .tput = 2, .e2e = 1, .slo_e2e = 30, .created = 1 };
static const struct one_cell another = { .tput = 0.4, .e2e = 4, .slo_e2e = 30, .created = 2 };

static void believe(struct rig *r, const struct one_cell *c)
{
	assert_int_equal(sched_profile_set(r->agent->sched, the_deployment(r), profile_of(c)),
	                 SLO_OK);
}

/* n requests one after the other, of 4 s each. */
static void serve(struct rig *r, int n)
{
	struct sched *s = r->agent->sched;
	slo_nsec now = clock_nsec();

	for (int i = 0; i < n; i++, now += 5 * SLO_NSEC_PER_SEC) {
		const struct sched_outcome answered = {
			.outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1
		};
		struct sched_request req = { .model = sched_model_find(s, "m", 1),
			                     .strategy = SLO_STRATEGY_SLO,
			                     .input = 512,
			                     .output = 64,
			                     .max_output = -1,
			                     .created = now };
		struct sched_action act;
		struct sched_end end;
		char id[16];

		snprintf(id, sizeof(id), "n%d", i);
		req.id = id;
		req.id_len = strlen(id);
		assert_int_equal(sched_submit(s, now, &req, NULL), SLO_OK);
		assert_true(sched_step(s, now, &act));
		sched_end(s, now + 4 * SLO_NSEC_PER_SEC, id, strlen(id), &answered, &end);
	}
}

/* What decides after a restart whose snapshot was taken after n ends against the profile. It is
 * there before the snapshot is taken up, after it, or it is another one. */
static void restart(int n, const struct one_cell *before_it, const struct one_cell *after_it,
                    enum fleet_source source, uint32_t ends)
{
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct slice file;

	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	rig_open(&before);
	believe(&before, &wrong);
	serve(&before, n);
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	rig_open(&after);
	if (before_it)
		believe(&after, before_it);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	if (after_it)
		believe(&after, after_it);
	assert_int_equal(the_deployment(&after)->source, source);
	assert_int_equal(the_deployment(&after)->refuting, ends);
	assert_int_equal(the_deployment(&after)->learner->ends, n);
	sched_check(after.agent->sched);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
}

static void an_overruled_profile_stays_so_over_a_restart(void **state)
{
	(void)state;
	restart(900, &wrong, NULL, FLEET_REFUTED, 400);
	restart(900, NULL, &wrong, FLEET_REFUTED, 400);
	restart(898, &wrong, NULL, FLEET_AUTO, 399);
	restart(898, NULL, &wrong, FLEET_AUTO, 399);
}

static void the_guard_of_a_deployment_outlives_a_restart(void **state)
{
	const struct guard g = { .share = 0.8, .seen = 7, .missed = 3 };
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct slice file;

	(void)state;
	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	rig_open(&before);
	assert_int_equal(sched_recall_guard(before.agent->sched, the_deployment(&before), &g),
	                 SLO_OK);
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	rig_open(&after);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	assert_true(fabs(the_deployment(&after)->guard.share - 0.8) < 1e-12);
	assert_int_equal(the_deployment(&after)->guard.seen, 7);
	assert_int_equal(the_deployment(&after)->guard.missed, 3);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
}

static void what_is_at_stake_comes_from_what_was_learned(void **state)
{
	struct rig before = { 0 }, after = { 0 };
	struct sched_request req = {
		.id = "a",
		.id_len = 1,
		.strategy = SLO_STRATEGY_ADAPTIVE,
		.input = 512,
		.output = 64,
		.max_output = -1,
		.own = { .e2e = 30 * SLO_NSEC_PER_SEC },
	};
	struct snapshot_writer *w;
	struct sched_action act;
	struct slice file;
	struct adaptive_stake stake;

	(void)state;
	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	rig_open(&before);
	serve(&before, 300);
	req.created = clock_nsec() + 3000 * SLO_NSEC_PER_SEC;
	req.model = sched_model_find(before.agent->sched, "m", 1);
	assert_int_equal(sched_submit(before.agent->sched, req.created, &req, NULL), SLO_OK);
	assert_true(sched_step(before.agent->sched, req.created, &act));
	w = agent_snapshot_write(before.agent, req.created, &file);
	assert_non_null(w);
	rig_open(&after);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	assert_int_equal(the_server(&after)->sums.count, 1);
	assert_true(adaptive_stake_alone(the_deployment(&after)->seats,
	                                 lease_first(after.agent->sched), &stake));
	assert_true(the_server(&after)->sums.work == stake.work);
	assert_true(the_server(&after)->sums.harm == stake.harm);
	sched_check(after.agent->sched);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
}

/* Of 80 at once in a server half of the time is waited, so their cache is full. */
static const struct one_cell crowded = {
	.tput = 20, .e2e = 4, .ttft = 2, .slo_e2e = 30, .created = 1
};
static const struct one_cell more_crowded = {
	.tput = 10, .e2e = 8, .ttft = 6, .slo_e2e = 30, .created = 2
};

/* Requests are in time though more is there than the profile saw. */
static double grow(struct deployment *d)
{
	double first = d->learner->prior_kv;
	struct latency_lesson lesson = {
		.stay = { .seconds = 0.1, .steps = 64, .prompts = 512, .reads = 64 * 5000 },
		.held = 2 * first,
		.tokens = 576,
		.expected = 576,
	};
	struct latency_speed speed = { 0, 0 };

	assert_true(first > 0);
	for (int i = 0; i < 200; i++)
		(void)latency_learn(d->learner, i * SLO_NSEC_PER_SEC, &lesson, &speed);
	assert_true(d->learner->prior_kv > 1.5 * first);
	return d->learner->prior_kv;
}

/* The caches that are known after a restart, as a share of those before. */
static double cache_after(const struct one_cell *before_it, const struct one_cell *after_it)
{
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct deployment *d;
	struct slice file;
	double grown, share;

	wall = INT64_C(1800000000) * SLO_NSEC_PER_SEC;
	rig_open(&before);
	rig_open(&after);
	d = the_deployment(&after);
	assert_int_equal(
	    sched_source_set(before.agent->sched, the_deployment(&before), FLEET_PRIOR, 0), SLO_OK);
	assert_int_equal(sched_source_set(after.agent->sched, d, FLEET_PRIOR, 0), SLO_OK);
	believe(&before, &crowded);
	grown = grow(the_deployment(&before));
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	if (before_it)
		believe(&after, before_it);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SLO_NSEC_PER_SEC, "test");
	if (after_it)
		believe(&after, after_it);
	assert_true(fabs(d->force.rates.kv - d->learner->prior_kv) < 1e-9);
	share = d->learner->prior_kv / grown;
	sched_check(after.agent->sched);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
	return share;
}

static void a_cache_that_was_found_to_be_larger_stays_so(void **state)
{
	(void)state;
	assert_true(fabs(cache_after(&crowded, NULL) - 1) < 1e-9);
	assert_true(fabs(cache_after(NULL, &crowded) - 1) < 1e-9);
}

/* An agent that does not know what it is told of caches reads up to there. */
static void requests_are_told_before_caches(void **state)
{
	size_t requests = 0, caches = 0;
	struct snapshot_reader *reader;
	struct snapshot_record record;
	struct snapshot_writer *w;
	struct rig before = { 0 };
	struct slice file;
	const char *why;
	int64_t written;

	(void)state;
	rig_open(&before);
	assert_int_equal(
	    sched_source_set(before.agent->sched, the_deployment(&before), FLEET_PRIOR, 0), SLO_OK);
	believe(&before, &crowded);
	dispatch(&before, "a");
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	reader = snapshot_open(file, &written, &why);
	assert_non_null(reader);
	while (snapshot_next(reader, &record) == SLO_OK) {
		if (record.kind == SNAPSHOT_GROWN)
			caches++;
		if (record.kind != SNAPSHOT_LEASE)
			continue;
		requests++;
		assert_int_equal(caches, 0);
	}
	assert_int_equal(requests, 1);
	assert_int_equal(caches, 1);
	snapshot_reader_free(reader);
	snapshot_writer_free(w);
	rig_close(&before);
}

static void but_not_with_another_profile(void **state)
{
	(void)state;
	assert_true(cache_after(&more_crowded, NULL) < 0.9);
	assert_true(cache_after(NULL, &more_crowded) < 0.9);
	assert_true(cache_after(&crowded, &more_crowded) < 0.9);
}

static void a_profile_that_was_measured_again_is_believed(void **state)
{
	(void)state;
	restart(900, &another, NULL, FLEET_AUTO, 0);
	restart(900, NULL, &another, FLEET_AUTO, 0);
	restart(900, &wrong, &another, FLEET_AUTO, 0);
}

#define SECOND SLO_NSEC_PER_SEC

static void promise(struct rig *r, slo_nsec now, enum promise p)
{
	model_stats_promise(&r->agent->models[0]->stats, now, SLO_STRATEGY_ADAPTIVE, GOAL_TTFT, p);
}

static void assert_counts(const struct attain *a, slo_nsec now, enum attain_window w, int kept,
                          int missed)
{
	struct attain_sum sum = attain_sum(a, now, w);

	assert_int_equal(sum.count[PROMISE_KEPT], kept);
	assert_int_equal(sum.count[PROMISE_MISSED], missed);
	assert_int_equal(attain_total(a, PROMISE_KEPT), 0);
}

/* The other process's clock stands elsewhere. */
static void what_was_promised_lately_is_known_after_a_restart(void **state)
{
	const slo_nsec before_it = 10000 * SECOND, after_it = 5000 * SECOND;
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct model_stats *s;
	struct slice file;

	(void)state;
	wall = INT64_C(1800000000) * SECOND;
	rig_open(&before);
	promise(&before, 5000 * SECOND, PROMISE_MISSED); /* no window reaches it */
	promise(&before, 7000 * SECOND, PROMISE_KEPT);
	promise(&before, 9000 * SECOND, PROMISE_MISSED);
	promise(&before, 9990 * SECOND, PROMISE_KEPT);
	w = agent_snapshot_write(before.agent, before_it, &file);
	assert_non_null(w);
	wall += 100 * SECOND;
	rig_open(&after);
	agent_snapshot_restore(after.agent, after_it, file, 600 * SECOND, "test");
	s = &after.agent->models[0]->stats;
	assert_counts(&s->promises, after_it, ATTAIN_NOW, 0, 0);
	assert_counts(&s->promises, after_it, ATTAIN_5_MINUTES, 1, 0);
	assert_counts(&s->promises, after_it, ATTAIN_HOUR, 2, 1);
	assert_counts(&s->by_strategy[SLO_STRATEGY_ADAPTIVE], after_it, ATTAIN_HOUR, 2, 1);
	assert_counts(&s->by_strategy[SLO_STRATEGY_SLO], after_it, ATTAIN_HOUR, 0, 0);
	assert_counts(&s->by_target[GOAL_TTFT], after_it, ATTAIN_HOUR, 2, 1);
	/* It grows old like what came here. */
	assert_counts(&s->promises, after_it + 900 * SECOND, ATTAIN_HOUR, 1, 1);
	snapshot_writer_free(w);
	rig_close(&before);
	rig_close(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leases_of_a_newer_agent_keep_their_places),
		cmocka_unit_test(requests_of_no_time_are_left_out),
		cmocka_unit_test(leases_outlive_a_clock_that_is_set_back),
		cmocka_unit_test(leases_are_taken_up_in_every_year_to_come),
		cmocka_unit_test(but_not_one_that_went_far_ahead),
		cmocka_unit_test(what_others_placed_outlives_a_restart),
		cmocka_unit_test(all_that_is_known_of_a_request_outlives_a_restart),
		cmocka_unit_test(an_overruled_profile_stays_so_over_a_restart),
		cmocka_unit_test(a_profile_that_was_measured_again_is_believed),
		cmocka_unit_test(a_cache_that_was_found_to_be_larger_stays_so),
		cmocka_unit_test(but_not_with_another_profile),
		cmocka_unit_test(requests_are_told_before_caches),
		cmocka_unit_test(what_is_at_stake_comes_from_what_was_learned),
		cmocka_unit_test(the_guard_of_a_deployment_outlives_a_restart),
		cmocka_unit_test(what_was_promised_lately_is_known_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
