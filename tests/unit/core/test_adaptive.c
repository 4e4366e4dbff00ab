/* slo-adaptive: rates from a profile, stakes that are handed on, large fleets. Its choices have the
 * naive model of tests/prop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/adaptive.h"
#include "core/lease.h"
#include "sched_build.h"

#define STEP   0.03
#define PROMPT 0.00017
#define CACHED 1e-6
#define KV     12000.0

/* n requests at once on a server of those rates, `waits` as long again before their first token. */
static struct latency_point point(double input, double output, double n, double waits)
{
	double decode =
	    STEP * output + n * (PROMPT * input + CACHED * output * (input + output / 2));

	return (struct latency_point){ .input = input,
		                       .output = output,
		                       .at_once = n * (1 + waits),
		                       .e2e = decode * (1 + waits),
		                       .ttft = decode * waits };
}

static struct latency_rates given(bool full)
{
	struct latency_given g;

	latency_given_init(&g);
	for (int look = 0; look < 2; look++)
		for (int o = 16; o <= 512; o *= 2)
			for (int p = 64; p <= 4096; p *= 2) {
				double n = full ? KV / (p + o / 2.0) : 0.2 * KV / (p + o / 2.0);
				struct latency_point at = point(p, o, n, full ? 0.5 : 0.01);

				if (look)
					latency_given_look(&g, &at);
				else
					latency_given_teach(&g, &at);
			}
	return latency_given_rates(&g);
}

/* Where every point fills the cache, a step and what it reads are one time. */
static void a_profile_shows_rates_and_the_cache(void **state)
{
	struct latency_rates r = given(true);

	(void)state;
	assert_true(fabs((r.step + r.cached * KV) / (STEP + CACHED * KV) - 1) < 0.05);
	assert_true(fabs(r.prompt / PROMPT - 1) < 0.05);
	assert_true(r.kv_told && fabs(r.kv / KV - 1) < 0.01);
}

/* Where no request waited inside the engine, its cache may be larger than what was seen. */
static void a_cache_that_was_never_full_is_not_known(void **state)
{
	struct latency_rates r = given(false);

	(void)state;
	assert_true(fabs(r.step / STEP - 1) < 0.05);
	assert_false(r.kv_told);
	assert_true(r.kv > 100 * KV);
}

static void classes_are_powers_of_two(void **state)
{
	(void)state;
	assert_int_equal(adaptive_class(0), 0);
	assert_int_equal(adaptive_class(1), 0);
	assert_int_equal(adaptive_class(1023), 9);
	assert_int_equal(adaptive_class(1024), 10);
	assert_int_equal(adaptive_class(SLO_NEVER), 62);
}

static void place(struct rig *r, slo_nsec now, const char *id)
{
	struct sched_request req = ask(r, id, now);
	struct sched_action act;

	req.strategy = SLO_STRATEGY_ADAPTIVE;
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, SLO_ROUTE);
	assert_int_equal(act.strategy, SLO_STRATEGY_ADAPTIVE);
	assert_false(sched_step(r->s, now, &act));
}

/* What is handed on is a lease without what was foreseen at its dispatch: it counts as if it ran
 * alone, and leaves nothing behind. */
static void stakes_are_made_anew_from_leases(void **state)
{
	struct rig *r = *state, *to;
	void *other;
	struct sched_lease l;

	assert_int_equal(rig_make(&other), 0);
	to = other;
	place(r, SEC(1), "a");
	l = lease_of(lease_first(r->s));
	l.model = to->m;
	l.server = to->server[0];
	assert_int_equal(lease_restore(to->s, &l), SLO_OK);
	sched_check(to->s);
	assert_int_equal(to->server[0]->sums.count, 1);
	assert_true(to->server[0]->sums.work > 0 && to->server[0]->sums.harm > 0);
	assert_true(to->server[0]->sums.reading > 0);
	(void)end(to, SEC(2), "a");
	assert_int_equal(to->server[0]->sums.count, 0);
	assert_true(to->server[0]->sums.work == 0 && to->server[0]->sums.harm == 0);
	assert_true(to->server[0]->sums.reading == 0 && to->server[0]->sums.targets.classes == 0);
	rig_drop(&other);
}

/* A profile from Redis comes after the snapshot. */
static void leases_get_their_stakes_when_a_profile_tells_the_rates(void **state)
{
	struct rig *r = *state, *to;
	void *other;
	struct sched_lease l;

	assert_int_equal(rig_make(&other), 0);
	to = other;
	sched_profile_drop(to->s, to->d);
	place(r, SEC(1), "a");
	l = lease_of(lease_first(r->s));
	l.model = to->m;
	l.server = to->server[0];
	assert_int_equal(lease_restore(to->s, &l), SLO_OK);
	assert_int_equal(to->server[0]->sums.count, 0);
	rig_profile(to, to->d,
	            &(struct one_cell){ .tput = 2, .e2e = 1, .slo_e2e = 5, .created = 2 });
	assert_int_equal(to->server[0]->sums.count, 1);
	assert_true(to->server[0]->sums.work > 0 && to->server[0]->sums.harm > 0);
	sched_check(to->s);
	rig_profile(to, to->d,
	            &(struct one_cell){ .tput = 2, .e2e = 1, .slo_e2e = 5, .created = 3 });
	assert_int_equal(to->server[0]->sums.count, 1);
	(void)end(to, SEC(2), "a");
	assert_int_equal(to->server[0]->sums.count, 0);
	rig_drop(&other);
}

/* Least-request has placed it, so it has no stake. */
static void others_have_no_stake(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "a", SEC(1));
	struct sched_action act;

	req.strategy = SLO_STRATEGY_LEAST_REQUEST;
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
	assert_true(sched_step(r->s, SEC(1), &act));
	assert_int_equal(act.seat->server->sums.count, 0);
}

/* Of a hundred servers some are looked at: each of them gets its share all the same. */
static void a_large_fleet_is_used_evenly(void **state)
{
	struct rig *r = *state;
	struct server *server[100];
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		server[i] = rig_server(r, r->d, name);
		sched_server_usable(r->s, server[i], true);
	}
	for (int i = 0; i < 306; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		place(r, SEC(1), name);
	}
	sched_check(r->s);
	for (int i = 0; i < 100; i++)
		assert_in_range(server[i]->ledger.inflight, 2, 4);
}

/* Of n servers only the i-th is usable; below 0: all are. */
static void use_only(struct rig *r, struct server *const *server, int n, int i)
{
	for (int k = 0; k < n; k++)
		sched_server_usable(r->s, server[k], i < 0 || i == k);
}

static struct server *placed_within(struct rig *r, const char *id, slo_nsec target, int64_t input)
{
	struct sched_request req = ask(r, id, SEC(1));
	struct sched_action act;

	req.strategy = SLO_STRATEGY_ADAPTIVE;
	req.input = input;
	req.own.e2e = target;
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
	assert_true(sched_step(r->s, SEC(1), &act));
	assert_int_equal(act.verdict, SLO_ROUTE);
	assert_false(sched_step(r->s, SEC(1), &(struct sched_action){ 0 }));
	return act.seat->server;
}

/* Eight usable servers, the first of them is `first`. The two shallow ones have more harm and more
 * load than the six others, where relaxed work is. */
static void finds_a_shallow_server(struct rig *r, int first)
{
	struct server *all[10] = { r->server[0], r->server[1] }, **server = all + first;
	char name[16];

	for (int i = 2; i < first + 8; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		all[i] = rig_server(r, r->d, name);
	}
	for (int i = 0; i < first; i++)
		sched_server_usable(r->s, all[i], false);
	r->d->planned.kv = 2000;
	for (int i = 0; i < 8; i++) {
		slo_nsec target = i < 2 ? SEC(20) : SEC(200);
		int64_t input = i < 2 ? 700 : 400;

		snprintf(name, sizeof(name), "a%d", i);
		use_only(r, server, 8, i);
		assert_ptr_equal(placed_within(r, name, target, input), server[i]);
	}
	use_only(r, server, 8, -1);
	quiet(r, SEC(1));
	assert_int_equal(r->d->deep->order, first + 2);
	for (int i = 2; i < 8; i++) {
		assert_true(server[i]->ledger.used < server[0]->ledger.used);
		assert_true(server[i]->sums.harm < server[0]->sums.harm);
	}
	assert_ptr_equal(placed_within(r, "tight", SEC(20), 512), server[0]);
	assert_ptr_equal(placed_within(r, "relaxed", SEC(200), 512), server[2]);
}

static void tight_work_finds_a_shallow_server_behind_all_others(void **state)
{
	finds_a_shallow_server(*state, 0);
}

static void it_looks_behind_some_that_cannot_be_used(void **state)
{
	finds_a_shallow_server(*state, 2);
}

static void answered(struct rig *r, slo_nsec now, const char *id)
{
	(void)end_with(r, now, id,
	               (struct sched_outcome){
			   .outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
}

static void one(struct rig *r, slo_nsec now, slo_nsec lasts)
{
	static int number;
	char id[16];

	snprintf(id, sizeof(id), "n%d", number++);
	place(r, now, id);
	answered(r, now + lasts, id);
}

static double planned(const struct rig *r)
{
	return r->d->planned.headroom / r->d->given.headroom;
}

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* Requests of 1 s with 5 s to do it. Ten of a hundred may miss, and one more may not. */
static void the_guard_falls_when_what_was_safe_misses(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);

	for (int i = 0; i < 10; i++, now += SEC(10))
		one(r, now, SEC(6));
	assert_int_equal(r->d->guard.missed, 10);
	assert_true(near(planned(r), 1));
	one(r, now, SEC(4));
	assert_true(near(planned(r), 1));
	one(r, now + SEC(10), SEC(6));
	assert_true(near(planned(r), 0.8));
	sched_check(r->s);
}

static void what_an_operator_plans_with_it_leaves_alone(void **state)
{
	const struct guard brink = { .share = 1, .seen = 50, .missed = 10 };
	struct rig *r = *state;

	assert_int_equal(sched_source_set(r->s, r->d, FLEET_AUTO, 0), SLO_OK);
	assert_true(sched_headroom(r->s, SEC(1), r->d, 0.9));
	assert_int_equal(sched_recall_guard(r->s, r->d, &brink), SLO_OK);
	one(r, SEC(1), SEC(6));
	assert_true(near(planned(r), 1));
	assert_true(sched_headroom(r->s, SEC(8), r->d, 0));
	assert_int_equal(sched_recall_guard(r->s, r->d, &brink), SLO_OK);
	one(r, SEC(9), SEC(6));
	assert_true(near(planned(r), 0.8));
}

/* The fast server is full and for the other it is too late, until it is too late for both: then it
 * may go anywhere. Nobody waits for the server that left the model. */
static void who_waits_is_looked_at_when_the_guard_moves(void **state)
{
	const struct guard brink = { .share = 1, .seen = 50, .missed = 10 };
	const struct one_cell fast = { .tput = 2, .e2e = 0.5, .slo_e2e = 5, .created = 1 };
	struct rig *r = *state;
	struct deployment *l20 = sched_deployment_add(r->m, "l20");

	assert_int_equal(sched_recall_guard(r->s, r->d, &brink), SLO_OK);
	sched_server_usable(r->s, r->server[1], false);
	place(r, SEC(1), "a");
	place(r, SEC(1), "b");
	sched_server_usable(r->s, r->server[1], true);
	sched_seat_remove(r->s, sched_seat_find(r->m, r->server[0]));
	rig_profile(r, l20, &fast);
	rig_server(r, l20, "l0");
	submit(r, SEC(10), "full");
	routed(r, SEC(10), "full", "l0");
	submit_created(r, SEC(10), "w", SEC(5.8));
	quiet(r, SEC(10));
	quiet(r, SEC(11));
	(void)end(r, SEC(11), "b");
	quiet(r, SEC(11));
	answered(r, SEC(11), "a");
	assert_true(near(planned(r), 0.8));
	routed(r, SEC(11), "w", "s1");
}

/* Whoever was placed before it fell was planned with more. */
static void who_was_placed_before_it_fell_does_not_count(void **state)
{
	const struct guard brink = { .share = 1, .seen = 50, .missed = 10 };
	struct rig *r = *state;

	assert_int_equal(sched_recall_guard(r->s, r->d, &brink), SLO_OK);
	place(r, SEC(1), "a");
	place(r, SEC(1), "b");
	answered(r, SEC(8), "a");
	assert_true(near(planned(r), 0.8));
	answered(r, SEC(8), "b");
	assert_int_equal(r->d->guard.seen, 0);
}

static void it_rises_by_clean_hundreds(void **state)
{
	const struct guard low = { .share = 0.99, .seen = 99, .missed = 10 };
	struct rig *r = *state;

	assert_int_equal(sched_recall_guard(r->s, r->d, &low), SLO_OK);
	assert_true(near(planned(r), 0.99));
	one(r, SEC(1), SEC(1));
	assert_true(near(planned(r), 1));
	for (int i = 1; i <= 100; i++)
		one(r, SEC(10 * i), SEC(1));
	assert_true(near(planned(r), 1));
}

/* One whose answer is short has a tighter target than it was thought to have: not a matter of
 * times. */
static void who_had_less_time_than_was_thought_is_not_judged(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "a", SEC(1));
	struct sched_outcome shorter = {
		.outcome = LESSON_ANSWERED, .input = 512, .output = 1, .bytes = -1
	};
	struct sched_action act;

	req.strategy = SLO_STRATEGY_ADAPTIVE;
	req.own.tpot = MSEC(80);
	req.output = 64;
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
	assert_true(sched_step(r->s, SEC(1), &act));
	(void)end_with(r, SEC(9), "a", shorter);
	assert_int_equal(r->d->guard.seen, 0);
	one(r, SEC(10), SEC(6));
	assert_int_equal(r->d->guard.seen, 1);
}

static void another_profile_has_another_guard(void **state)
{
	const struct guard low = { .share = 0.6, .seen = 9, .missed = 9 };
	const struct one_cell other = { .tput = 3, .e2e = 1, .slo_e2e = 5, .created = 2 };
	struct rig *r = *state;

	assert_int_equal(sched_recall_guard(r->s, r->d, &low), SLO_OK);
	rig_profile(r, r->d, &other);
	assert_true(near(planned(r), 1));
	assert_int_equal(r->d->guard.seen, 0);
}

static void a_newer_copy_of_a_profile_keeps_its_guard(void **state)
{
	const struct guard low = { .share = 0.6, .seen = 9, .missed = 9 };
	struct one_cell cell = half_a_server;
	struct rig *r = *state;

	assert_int_equal(sched_recall_guard(r->s, r->d, &low), SLO_OK);
	cell.created = 2;
	rig_profile(r, r->d, &cell);
	assert_true(near(planned(r), 0.6));
	assert_int_equal(r->d->guard.missed, 9);
	sched_profile_drop(r->s, r->d);
	cell.created = 3;
	rig_profile(r, r->d, &cell);
	assert_true(near(planned(r), 0.6));
	sched_profile_drop(r->s, r->d);
	cell.tput = 3;
	rig_profile(r, r->d, &cell);
	assert_true(near(planned(r), 1));
	assert_int_equal(r->d->guard.missed, 0);
}

static void what_another_profile_foresaw_does_not_count(void **state)
{
	const struct one_cell other = { .tput = 3, .e2e = 1, .slo_e2e = 5, .created = 2 };
	struct rig *r = *state;

	place(r, SEC(1), "a");
	rig_profile(r, r->d, &other);
	answered(r, SEC(8), "a");
	assert_int_equal(r->d->guard.seen, 0);
	one(r, SEC(10), SEC(6));
	assert_int_equal(r->d->guard.seen, 1);
}

static void who_foresaw_is_judged_wherever_the_server_went(void **state)
{
	const struct one_cell cell = { .tput = 2, .e2e = 1, .slo_e2e = 5, .created = 2 };
	struct rig *r = *state;
	struct deployment *d = sched_deployment_add(r->m, "other");

	place(r, SEC(1), "a");
	rig_profile(r, d, &cell);
	assert_int_equal(sched_seat_move(r->s, r->d->seats, d), SLO_OK);
	answered(r, SEC(8), "a");
	assert_int_equal(r->d->guard.missed, 1);
	assert_int_equal(d->guard.seen, 0);
}

static void a_guard_that_cannot_be_is_not_recalled(void **state)
{
	static const struct guard bad[] = {
		{ .share = 0.49 },
		{ .share = 1.01 },
		{ .share = (double)NAN },
		{ .share = -0.8 },
		{ .share = 1, .seen = 100 },
		{ .share = 1, .seen = 1, .missed = 2 },
		{ .share = 1, .seen = 20, .missed = 11 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sched_recall_guard(r->s, r->d, &bad[i]), SLO_EINVAL);
	assert_true(near(planned(r), 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_shows_rates_and_the_cache),
		cmocka_unit_test(a_cache_that_was_never_full_is_not_known),
		cmocka_unit_test(classes_are_powers_of_two),
		cmocka_unit_test_setup_teardown(stakes_are_made_anew_from_leases, rig_make,
		                                rig_drop),
		cmocka_unit_test_setup_teardown(others_have_no_stake, rig_make, rig_drop),
		cmocka_unit_test_setup_teardown(a_large_fleet_is_used_evenly, rig_make, rig_drop),
		TEST(tight_work_finds_a_shallow_server_behind_all_others),
		TEST(it_looks_behind_some_that_cannot_be_used),
		cmocka_unit_test_setup_teardown(the_guard_falls_when_what_was_safe_misses, rig_make,
		                                rig_drop),
		cmocka_unit_test_setup_teardown(what_an_operator_plans_with_it_leaves_alone,
		                                rig_make, rig_drop),
		cmocka_unit_test_setup_teardown(who_was_placed_before_it_fell_does_not_count,
		                                rig_make, rig_drop),
		cmocka_unit_test_setup_teardown(it_rises_by_clean_hundreds, rig_make, rig_drop),
		cmocka_unit_test_setup_teardown(who_had_less_time_than_was_thought_is_not_judged,
		                                rig_make, rig_drop),
		TEST(who_waits_is_looked_at_when_the_guard_moves),
		cmocka_unit_test_setup_teardown(another_profile_has_another_guard, rig_make,
		                                rig_drop),
		TEST(a_newer_copy_of_a_profile_keeps_its_guard),
		TEST(leases_get_their_stakes_when_a_profile_tells_the_rates),
		cmocka_unit_test_setup_teardown(what_another_profile_foresaw_does_not_count,
		                                rig_make, rig_drop),
		cmocka_unit_test_setup_teardown(who_foresaw_is_judged_wherever_the_server_went,
		                                rig_make, rig_drop),
		cmocka_unit_test_setup_teardown(a_guard_that_cannot_be_is_not_recalled, rig_make,
		                                rig_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
