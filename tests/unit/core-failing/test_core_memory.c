/* The scheduler with the n-th allocation failing, for every n: it says so, stays consistent, and
 * what it had is still there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/foreign.h"
#include "core/sched.h"
#include "failing_malloc.h"

#define REQUESTS 140 /* over more buckets and ids than the first allocations hold */

static double one[] = { 1 };
static double half[] = { 2 };

static struct profile *small_profile(void)
{
	struct slo_profile_doc doc = {
		.rows = 1,
		.cols = 1,
		.output_axis = one,
		.input_axis = one,
		.tputs = half,
		.e2e = one,
		.created = 1,
		.slo_e2e = 100,
	};

	return profile_new(&doc);
}

/* False: an allocation failed on the way. */
static bool build(struct sched *s)
{
	struct sched_model *m = sched_model_add(s, "m", SLO_STRATEGY_SLO);
	struct deployment *d = m ? sched_deployment_add(m, "a") : NULL;
	struct profile *p = d ? small_profile() : NULL;

	if (!p)
		return false;
	if (sched_profile_set(s, d, p) != SLO_OK)
		fail_msg("a first profile is refused");
	for (int i = 0; i < 12; i++) {
		struct server *server = sched_server_add(s, "s");

		if (!server || sched_server_seat(s, d, server) != SLO_OK)
			return false;
	}
	return true;
}

/* Submits them all and ends them all; counts the requests that were refused for memory. */
static size_t work(struct sched *s)
{
	static const struct sched_outcome outcome = {
		.outcome = LESSON_ANSWERED, .input = -1, .output = -1, .bytes = -1
	};
	struct sched_model *m = sched_model_find(s, "m", 1);
	struct sched_action a;
	struct sched_end e;
	size_t refused = 0;
	char id[100];

	for (int i = 0; i < REQUESTS; i++) {
		/* Every other id is longer than the blocks that are kept. */
		int len = snprintf(id, sizeof(id), "%0*d", i % 2 ? 80 : 5, i);
		struct sched_request req = {
			.id = id,
			.id_len = (size_t)len,
			.model = m,
			.strategy = SLO_STRATEGY_SLO,
			.input = INT64_C(1) << (i % 20),
			.output = INT64_C(1) << (i / 20),
			.max_output = -1,
		};
		slo_err err = sched_submit(s, i, &req, NULL);

		assert_true(err == SLO_OK || err == SLO_ENOMEM);
		refused += err == SLO_ENOMEM;
		while (sched_step(s, i, &a))
			assert_int_equal(a.verdict, SLO_ROUTE);
		sched_check(s);
	}
	/* Ends let those that wait go, so one pass in order ends them all. */
	for (int i = 0; i < REQUESTS; i++) {
		int len = snprintf(id, sizeof(id), "%0*d", i % 2 ? 80 : 5, i);

		sched_end(s, REQUESTS + i, id, (size_t)len, &outcome, &e);
		while (sched_step(s, REQUESTS + i, &a))
			;
	}
	sched_note_passed(s, INT64_C(2) * REQUESTS, "passed", 6);
	sched_check(s);
	assert_int_equal(sched_counts(s).queued, 0);
	assert_int_equal(sched_counts(s).dispatched, 0);
	return refused;
}

/* Another agent fills all servers, one of ours waits, and what the other tells of ends comes later.
 */
static size_t work_of_another(struct sched *s)
{
	struct sched_model *m = sched_model_find(s, "m", 1);
	struct foreign_owner *o = foreign_owner(s, "b", 1);
	struct sched_request req = {
		.id = "w", .id_len = 1, .model = m, .input = 1, .output = 1, .max_output = -1
	};
	static const struct sched_outcome nothing = { .input = -1, .output = -1, .bytes = -1 };
	struct sched_action a;
	struct sched_end e;
	size_t refused = 0;
	char id[16];

	if (!o)
		return 1;
	o->turn = 5;
	for (size_t i = 0; i < 2 * m->pool.usable; i++) {
		const struct foreign_lease l = {
			.id = id,
			.id_len = (size_t)snprintf(id, sizeof(id), "x%zu", i),
			.model = m,
			.server = m->pool.usable_seat[i % m->pool.usable]->server,
			.load = SLO_LOAD_ONE,
			.estimate = -1,
			.limit = -1,
			.sequences = 1
		};
		slo_err err = foreign_dispatch(s, 0, o, &l);

		assert_true(err == SLO_OK || err == SLO_ENOMEM);
		refused += err == SLO_ENOMEM;
	}
	refused += sched_submit(s, 0, &req, NULL) == SLO_ENOMEM;
	while (sched_step(s, 0, &a))
		;
	for (size_t i = 0; i < 2 * m->pool.usable; i++) {
		size_t len = (size_t)snprintf(id, sizeof(id), "x%zu", i);

		foreign_end(s, 1, o, id, len, &nothing, -1, &e);
	}
	sched_check(s);
	while (sched_step(s, 6, &a))
		;
	sched_end(s, 7, "w", 1, &nothing, &e);
	while (sched_step(s, 7, &a))
		;
	assert_int_equal(sched_counts(s).foreign, 0);
	return refused;
}

static void every_allocation_may_fail(void **state)
{
	struct sched_conf conf = sched_conf_default();
	size_t refused = 0;
	bool clean = false;
	long n;

	(void)state;
	for (n = 0; !clean && n < 10000; n++) {
		struct sched *s;
		bool built;

		allocations_until_failure = n;
		s = sched_new(&conf);
		built = s && build(s);
		if (built)
			refused += work_of_another(s) + work(s);
		clean = allocations_until_failure > 0; /* the n-th was never asked for */
		allocations_until_failure = -1;
		sched_free(s);
	}
	assert_true(clean);
	assert_true(n > 100); /* ids, buckets, heads, hash tables, ... */
	assert_true(refused > 50);
}

/* A deployment that comes while requests wait needs room in the queue's tables. */
static void a_deployment_without_memory_changes_nothing(void **state)
{
	struct sched_conf conf = sched_conf_default();
	bool added = false;

	(void)state;
	for (long n = 0; !added; n++) {
		struct sched *s = sched_new(&conf);
		struct sched_model *m;

		assert_non_null(s);
		assert_true(build(s));
		m = sched_model_find(s, "m", 1);
		work(s); /* buckets are there now */
		allocations_until_failure = n;
		added = sched_deployment_add(m, "b") != NULL;
		allocations_until_failure = -1;
		assert_true(added == (m->pool.deployments == 2));
		assert_true(added || n < 1000);
		assert_true(!added || n > 5);
		sched_check(s);
		sched_free(s);
	}
}

static slo_err submit(struct sched *s, const char *id)
{
	struct sched_request req = {
		.id = id,
		.id_len = strlen(id),
		.model = sched_model_find(s, "m", 1),
		.strategy = SLO_STRATEGY_SLO,
		.input = 1,
		.output = 1,
		.max_output = -1,
	};

	return sched_submit(s, 0, &req, NULL);
}

/* A spare block serves a request when memory is out; given back, it is no more. */
static void blocks_that_lie_spare_are_given_back(void **state)
{
	struct sched_conf conf = sched_conf_default();
	struct sched *s;

	(void)state;
	conf.remember_ended = 1;
	s = sched_new(&conf);
	assert_non_null(s);
	assert_true(build(s));
	work(s);
	while (sched_counts(s).remembered > 0) {
		struct sched_action a;

		assert_false(sched_step(s, INT64_C(1) << 40, &a));
	}
	assert_int_equal(submit(s, "makes their bucket"), SLO_OK);
	allocations_until_failure = 0;
	assert_int_equal(submit(s, "with a spare block"), SLO_OK);
	sched_give_back(s); /* what was spare since the start: nothing */
	assert_int_equal(submit(s, "with another one"), SLO_OK);
	sched_give_back(s);
	assert_int_equal(submit(s, "without any"), SLO_ENOMEM);
	allocations_until_failure = -1;
	sched_check(s);
	sched_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(a_deployment_without_memory_changes_nothing),
		cmocka_unit_test(blocks_that_lie_spare_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
