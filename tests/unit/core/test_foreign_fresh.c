/* Leases of ours that others may not have heard of, and the room that is spared meanwhile. Each of
 * two servers has room for two requests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/tap.h"
#include "foreign_build.h"

#define WAIT MSEC(50) /* for others to hear */

static void submit_four(struct rig *r, slo_nsec now)
{
	submit(r, now, "r1");
	submit(r, now, "r2");
	submit(r, now, "r3");
	submit(r, now, "r4");
}

/* Two of four go out, one to each server. */
static void two_of_four(struct rig *r)
{
	foreign_others(r->s, 1);
	submit_four(r, SEC(1));
	routed(r, SEC(1), "r1", "s1");
	routed(r, SEC(1), "r2", "s0");
	quiet(r, SEC(1));
}

static void a_crowd_takes_half_until_others_have_heard(void **state)
{
	struct rig *r = *state;

	two_of_four(r);
	assert_int_equal(r->server[0]->spared, SLO_LOAD_ONE);
	assert_int_equal(fleet_load(r->server[0]), HALF);
	foreign_heard(r->s, SEC(1) + 1, SEC(1) - 1); /* of what was before */
	quiet(r, SEC(1) + 1);
	foreign_heard(r->s, SEC(1) + 2, SEC(1));
	assert_int_equal(r->server[0]->spared, 0);
	routed(r, SEC(1) + 2, "r3", "s1");
	routed(r, SEC(1) + 2, "r4", "s0");
}

static void what_the_other_took_meanwhile_is_left_to_it(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	two_of_four(r);
	placed(r, SEC(1) + 1, b, "x", 0);
	placed(r, SEC(1) + 1, b, "y", 1);
	assert_int_equal(r->server[0]->overshoots + r->server[1]->overshoots, 0);
	foreign_heard(r->s, SEC(1) + 2, SEC(1));
	quiet(r, SEC(1) + 2);
	assert_int_equal(inflight(r, 0), 2);
	assert_int_equal(inflight(r, 1), 2);
}

static void alone_an_agent_takes_all(void **state)
{
	struct rig *r = *state;

	foreign_others(r->s, 0);
	submit_four(r, SEC(1));
	for (int i = 0; i < 4; i++)
		assert_true(sched_step(r->s, SEC(1), &(struct sched_action){ 0 }));
	assert_int_equal(r->server[0]->fresh_count, 0);
}

static void one_at_a_time_is_placed_however_many_others_there_are(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	foreign_others(r->s, 15);
	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 1);
	submit(r, SEC(1), "r1");
	submit(r, SEC(1), "r2");
	submit(r, SEC(1), "r3");
	routed(r, SEC(1), "r1", "s1");
	routed(r, SEC(1), "r2", "s0");
	quiet(r, SEC(1));
	foreign_heard(r->s, SEC(1) + 1, SEC(1));
	quiet(r, SEC(1) + 1); /* now they are full */
}

static void nobody_waits_for_others_for_long(void **state)
{
	struct rig *r = *state;

	two_of_four(r);
	assert_int_equal(sched_next_wakeup(r->s), SEC(1) + WAIT);
	quiet(r, SEC(1) + WAIT - 1);
	routed(r, SEC(1) + WAIT, "r3", "s1");
	routed(r, SEC(1) + WAIT, "r4", "s0");
	assert_int_equal(end(r, SEC(2), "r1"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(2), "r2"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(2), "r3"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(2), "r4"), SCHED_END_CLOSED);
	quiet(r, SEC(2));
	/* Nobody tells that they hear, so nothing is spared, */
	submit(r, SEC(3), "r5");
	submit(r, SEC(3), "r6");
	submit(r, SEC(3), "r7");
	routed(r, SEC(3), "r5", "s1");
	routed(r, SEC(3), "r6", "s0");
	routed(r, SEC(3), "r7", "s1");
	/* until somebody does. */
	foreign_heard(r->s, SEC(4), SEC(2));
	submit(r, SEC(4), "r8");
	routed(r, SEC(4), "r8", "s0");
	assert_int_equal(r->server[0]->fresh_count, 1);
}

static void room_that_ours_left_is_ours_at_once(void **state)
{
	struct rig *r = *state;

	two_of_four(r);
	foreign_heard(r->s, SEC(1) + 1, SEC(1));
	routed(r, SEC(1) + 1, "r3", "s1");
	routed(r, SEC(1) + 1, "r4", "s0");
	foreign_heard(r->s, SEC(1) + 2, SEC(1) + 1);
	submit(r, SEC(2), "r5");
	submit(r, SEC(2), "r6");
	quiet(r, SEC(2));
	assert_int_equal(end(r, SEC(3), "r1"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(3), "r3"), SCHED_END_CLOSED);
	routed(r, SEC(3), "r5", "s1");
	assert_int_equal(r->server[1]->fresh_count, 0);
	routed(r, SEC(3), "r6", "s1");
	assert_int_equal(r->server[1]->fresh_count, 0);
	/* What is not taken in that moment is anybody's. */
	assert_int_equal(end(r, SEC(4), "r5"), SCHED_END_CLOSED);
	quiet(r, SEC(4));
	submit(r, SEC(4), "r7");
	routed(r, SEC(4), "r7", "s1");
	assert_int_equal(r->server[1]->fresh_count, 1);
}

static void room_that_ours_left_is_ours_whatever_is_spared(void **state)
{
	struct rig *r = *state;

	two_of_four(r);
	foreign_heard(r->s, SEC(1) + 1, SEC(1));
	routed(r, SEC(1) + 1, "r3", "s1");
	routed(r, SEC(1) + 1, "r4", "s0");
	submit(r, SEC(1) + 2, "r5");
	submit(r, SEC(1) + 2, "r6");
	quiet(r, SEC(1) + 2);
	/* Beside r3, which the others may not have heard of. */
	assert_int_equal(end(r, SEC(1) + 3, "r1"), SCHED_END_CLOSED);
	routed(r, SEC(1) + 3, "r5", "s1");
	quiet(r, SEC(1) + 3);
	assert_int_equal(r->server[1]->fresh_count, 1);
	assert_int_equal(r->server[1]->spared, SLO_LOAD_ONE);
}

/* A lease that is too old leaves its room in the step that finds it so. */
static void room_that_age_leaves_is_ours_whatever_is_spared(void **state)
{
	const slo_nsec old = SEC(1) + sched_conf_default().lease_max_age, now = old - MSEC(1);
	struct rig *r = *state;

	foreign_others(r->s, 1);
	submit(r, SEC(1), "r1");
	routed(r, SEC(1), "r1", "s1");
	foreign_heard(r->s, SEC(2), SEC(1));
	submit(r, SEC(2), "r2");
	routed(r, SEC(2), "r2", "s0");
	foreign_heard(r->s, SEC(3), SEC(2));
	submit(r, now, "r3");
	submit(r, now, "r4");
	submit(r, now, "r5");
	routed(r, now, "r3", "s1");
	routed(r, now, "r4", "s0");
	quiet(r, now);
	assert_int_equal(sched_next_wakeup(r->s), old);
	routed(r, old, "r5", "s1");
	quiet(r, old);
	assert_int_equal(r->server[1]->fresh_count, 1);
}

/* Its owner may have another one for it by now. */
static void room_that_another_left_is_taken_like_any(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	foreign_others(r->s, 1);
	placed(r, SEC(1), b, "w", 0);
	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 1);
	placed(r, SEC(1), b, "z", 1);
	submit(r, SEC(1), "r1");
	submit(r, SEC(1), "r2");
	quiet(r, SEC(1));
	assert_int_equal(ended(r, SEC(2), b, "w"), SCHED_END_CLOSED);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	routed(r, SEC(2), "r1", "s0");
	assert_int_equal(r->server[0]->fresh_count, 1);
	quiet(r, SEC(2));
	foreign_heard(r->s, SEC(2) + 1, SEC(2));
	routed(r, SEC(2) + 1, "r2", "s0");
}

static void what_ends_before_others_heard_of_it_is_over(void **state)
{
	struct rig *r = *state;

	two_of_four(r);
	assert_int_equal(end(r, SEC(1) + 1, "r1"), SCHED_END_CLOSED);
	assert_int_equal(r->server[1]->spared, 0);
	/* The others never counted r1, so its room is as free to them as it was. */
	routed(r, SEC(1) + 1, "r3", "s1");
	assert_int_equal(r->server[1]->fresh_count, 1);
	quiet(r, SEC(1) + 1);
	assert_int_equal(end(r, SEC(1) + 2, "r2"), SCHED_END_CLOSED);
	assert_int_equal(r->server[0]->spared, 0);
	routed(r, SEC(1) + 2, "r4", "s0");
	quiet(r, SEC(1) + WAIT); /* r1 and r2 are not waited for */
	assert_int_equal(r->server[1]->spared, SLO_LOAD_ONE);
	quiet(r, SEC(1) + 2 + WAIT);
	assert_int_equal(r->server[1]->spared, 0);
}

static void submit_to(struct rig *r, slo_nsec now, struct sched_model *m, const char *id,
                      int64_t input)
{
	struct sched_request req = ask(r, id, now);

	req.model = m;
	req.input = input;
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
	sched_check(r->s);
}

/* Of one that takes 0.3 of a server twice as much is spared; with one of 0.01 beside it the mean is
 * half of that, so 0.465 are. */
static void room_that_a_small_one_makes_is_taken(void **state)
{
	static const double inputs[] = { 64, 512, 4096 }, tputs[] = { 100, 5, 10 / 3. };
	struct rig *r = *state;
	struct sched_model *m = sched_model_add(r->s, "sizes", SLO_STRATEGY_SLO);
	struct deployment *d = m ? sched_deployment_add(m, "l20") : NULL;

	assert_non_null(d);
	assert_int_equal(sched_profile_set(r->s, d, profile_by_input(3, inputs, tputs, 5)), SLO_OK);
	rig_server(r, d, "one");
	foreign_others(r->s, 1);
	submit_to(r, SEC(1), m, "large", 4096);
	routed(r, SEC(1), "large", "one");
	submit_to(r, SEC(1), m, "middle", 512);
	quiet(r, SEC(1)); /* 0.9 + 0.2 */
	submit_to(r, SEC(1), m, "small", 64);
	routed(r, SEC(1), "small", "one");
	routed(r, SEC(1), "middle", "one"); /* 0.775 + 0.2 */
	quiet(r, SEC(1));
}

static void when_the_others_go_nothing_is_spared(void **state)
{
	struct rig *r = *state;

	two_of_four(r);
	foreign_others(r->s, 0);
	sched_check(r->s);
	routed(r, SEC(1), "r3", "s1");
	routed(r, SEC(1), "r4", "s0");
}

/* A step tells the others of room that ours left: until then something is to be decided. */
static void room_that_ours_left_is_not_quiet(void **state)
{
	struct rig *r = *state;

	foreign_others(r->s, 1);
	submit(r, SEC(1), "a");
	routed(r, SEC(1), "a", "s1");
	quiet(r, SEC(1));
	foreign_heard(r->s, SEC(1) + 1, SEC(1));
	quiet(r, SEC(1) + 1);
	assert_true(sched_is_quiet(r->s));
	assert_int_equal(line(r, SEC(2), "a"), SCHED_END_CLOSED);
	assert_false(sched_is_quiet(r->s));
	quiet(r, SEC(2));
	assert_true(sched_is_quiet(r->s));
}

static void who_pushes_spares_nothing(void **state)
{
	struct rig *r = *state;

	foreign_others(r->s, 1);
	for (int i = 0; i < 6; i++) {
		struct sched_request req;
		char id[16];

		snprintf(id, sizeof(id), "p%d", i);
		req = ask(r, id, SEC(1));
		req.strategy = SLO_STRATEGY_LEAST_LOAD;
		assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
		assert_true(sched_step(r->s, SEC(1), &(struct sched_action){ 0 }));
	}
	assert_int_equal(r->server[0]->fresh_count + r->server[1]->fresh_count, 0);
	assert_int_equal(r->server[0]->spared, 0);
}

/* Who pushes may take what ours left, which then is not there for the next one. */
static void what_ours_left_is_taken_once(void **state)
{
	struct rig *r = *state;
	struct sched_request push = ask(r, "p", SEC(2));

	push.strategy = SLO_STRATEGY_LEAST_LOAD;
	foreign_others(r->s, 1);
	submit(r, SEC(1), "r1");
	submit(r, SEC(1), "r2");
	routed(r, SEC(1), "r1", "s1");
	routed(r, SEC(1), "r2", "s0");
	foreign_heard(r->s, SEC(1) + 1, SEC(1));
	assert_int_equal(end(r, SEC(2), "r1"), SCHED_END_CLOSED);
	assert_int_equal(sched_submit(r->s, SEC(2), &push, NULL), SLO_OK);
	submit(r, SEC(2), "r3");
	routed(r, SEC(2), "p", "s1");
	routed(r, SEC(2), "r3", "s1");
	assert_int_equal(r->server[1]->fresh_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_crowd_takes_half_until_others_have_heard),
		TEST(what_the_other_took_meanwhile_is_left_to_it),
		TEST(alone_an_agent_takes_all),
		TEST(one_at_a_time_is_placed_however_many_others_there_are),
		TEST(nobody_waits_for_others_for_long),
		TEST(room_that_ours_left_is_ours_at_once),
		TEST(room_that_ours_left_is_ours_whatever_is_spared),
		TEST(room_that_age_leaves_is_ours_whatever_is_spared),
		TEST(room_that_another_left_is_taken_like_any),
		TEST(what_ends_before_others_heard_of_it_is_over),
		TEST(room_that_a_small_one_makes_is_taken),
		TEST(when_the_others_go_nothing_is_spared),
		TEST(room_that_ours_left_is_not_quiet),
		TEST(who_pushes_spares_nothing),
		TEST(what_ours_left_is_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
