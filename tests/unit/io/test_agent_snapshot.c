/* A snapshot that is taken up while the wall clock says something else than when it was written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/lease.h"
#include "io/base/clock.h"
#include "io/keep/agent_snapshot.h"

#define SEC SLO_NSEC_PER_SEC

static const char conf_text[] =
    "{\"spop\":{\"listen\":[\"127.0.0.1:1\"]},\"events\":{\"listen\":[\"127.0.0.1:2\"]},"
    "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s\"]}}}}}";

static int64_t wall; /* what CLOCK_REALTIME says, in nanoseconds */

int clock_gettime(clockid_t id, struct timespec *ts);
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = wall / SEC;
	ts->tv_nsec = wall % SEC;
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

/* How many leases survive a restart that takes `passed` of wall clock. */
static size_t leases_after(int64_t passed)
{
	struct rig before = { 0 }, after = { 0 };
	struct snapshot_writer *w;
	struct slice file;
	size_t leases;

	wall = INT64_C(1800000000) * SEC;
	rig_open(&before);
	for (int i = 0; i < 3; i++)
		dispatch(&before, (const char *[]){ "a", "b", "c" }[i]);
	w = agent_snapshot_write(before.agent, clock_nsec(), &file);
	assert_non_null(w);
	wall += passed;
	rig_open(&after);
	agent_snapshot_restore(after.agent, clock_nsec(), file, 600 * SEC, "test");
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
	assert_int_equal(leases_after(SEC), 3);
	assert_int_equal(leases_after(0), 3);
	assert_int_equal(leases_after(-2 * SEC), 3);
	assert_int_equal(leases_after(-86400 * SEC), 3);
}

static void but_not_one_that_went_far_ahead(void **state)
{
	(void)state;
	assert_int_equal(leases_after(601 * SEC), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leases_outlive_a_clock_that_is_set_back),
		cmocka_unit_test(but_not_one_that_went_far_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
