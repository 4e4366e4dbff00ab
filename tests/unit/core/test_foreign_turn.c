/* Room that a request of another agent leaves, one agent after the other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "foreign_build.h"

/* b's x and y fill s0, ours fill s1, and w waits. */
static struct foreign_owner *waiting_for_b(struct rig *r, slo_nsec turn)
{
	struct foreign_owner *b = owner(r, "b");

	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	submit(r, SEC(1), "f1");
	routed(r, SEC(1), "f1", "s1");
	submit(r, SEC(1), "f2");
	routed(r, SEC(1), "f2", "s1");
	submit(r, SEC(1), "w");
	quiet(r, SEC(1));
	b->turn = turn;
	return b;
}

static void room_of_another_is_taken_at_our_turn(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = waiting_for_b(r, MSEC(6));

	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 0), 2);
	assert_int_equal(sched_next_wakeup(r->s), SEC(2) + MSEC(6));
	quiet(r, SEC(2) + MSEC(5));
	assert_int_equal(ended(r, SEC(2) + MSEC(5), b, "x"), SCHED_END_DUPLICATE);
	assert_null(foreign_find(r->s, b->number, "q", 1));
	assert_string_equal(foreign_first(r->s)->id, "y"); /* x is told to nobody any more */
	assert_null(foreign_next(foreign_first(r->s)));
	routed(r, SEC(2) + MSEC(6), "w", "s0");
	assert_int_equal(learned(r, SEC(3)), 1);
	assert_int_equal(foreign_next_turn(r->s), SLO_NEVER);
}

static void turns_come_in_their_order(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = waiting_for_b(r, MSEC(6)), *c = owner(r, "c");

	submit(r, SEC(1), "w2");
	quiet(r, SEC(1));
	c->turn = MSEC(3);
	placed(r, SEC(1), c, "z", 1);
	assert_int_equal(r->server[1]->overshoots, 1);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(ended(r, SEC(2), c, "z"), SCHED_END_CLOSED);
	quiet(r, SEC(2) + MSEC(3));
	assert_int_equal(inflight(r, 1), 2);
	routed(r, SEC(2) + MSEC(6), "w", "s0");
	quiet(r, SEC(2) + MSEC(6));
}

static void where_nobody_waits_an_end_counts_at_once(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	b->turn = MSEC(6);
	placed(r, SEC(1), b, "x", 0);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 0), 0);
}

static void a_line_does_not_wait_for_our_turn(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = waiting_for_b(r, MSEC(6));

	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(line(r, SEC(2), "x"), SCHED_END_CLOSED);
	routed(r, SEC(2), "w", "s0");
	quiet(r, SEC(3)); /* its turn comes, and does nothing */
	assert_int_equal(learned(r, SEC(3)), 1);
	assert_int_equal(inflight(r, 0), 2);
}

static void a_place_that_another_took_at_its_turn_is_no_overshoot(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = waiting_for_b(r, MSEC(6));

	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	placed(r, SEC(2) + MSEC(2), owner(r, "c"), "z", 0);
	assert_int_equal(r->server[0]->overshoots, 0);
	assert_int_equal(inflight(r, 0), 3);
	quiet(r, SEC(2) + MSEC(6));
	assert_int_equal(inflight(r, 0), 2);
}

static void an_owner_that_goes_takes_its_turns_along(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = waiting_for_b(r, MSEC(6));

	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	foreign_owner_forget(r->s, b);
	assert_int_equal(line(r, SEC(2), "x"), SCHED_END_CLOSED);
	assert_int_equal(line(r, SEC(2), "y"), SCHED_END_CLOSED);
	sched_check(r->s);
	assert_int_equal(foreign_next_turn(r->s), SLO_NEVER);
}

static void turn_is(struct rig *r, const char *name, int others)
{
	assert_int_equal(owner(r, name)->turn, others * MSEC(3));
}

static void turns_go_round_the_circle_of_names(void **state)
{
	struct rig *r = *state;

	owner(r, "a")->present = owner(r, "b")->present = true;
	owner(r, "d")->present = owner(r, "e")->present = true;
	owner(r, "bb"); /* is not there */
	foreign_deal_turns(r->s, "c", MSEC(3));
	turn_is(r, "b", 0);
	turn_is(r, "a", 1);
	turn_is(r, "e", 2);
	turn_is(r, "d", 3);
	turn_is(r, "bb", 0);
	foreign_deal_turns(r->s, "f", MSEC(3));
	turn_is(r, "e", 0);
	turn_is(r, "a", 3);
	owner(r, "b")->present = false;
	foreign_deal_turns(r->s, "f", MSEC(3));
	turn_is(r, "a", 2);
	turn_is(r, "b", 0);
}

static void of_two_agents_none_waits(void **state)
{
	struct rig *r = *state;

	owner(r, "b")->present = true;
	foreign_deal_turns(r->s, "a", MSEC(3));
	turn_is(r, "b", 0);
	foreign_deal_turns(r->s, "c", MSEC(3));
	turn_is(r, "b", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(room_of_another_is_taken_at_our_turn),
		TEST(turns_come_in_their_order),
		TEST(where_nobody_waits_an_end_counts_at_once),
		TEST(a_line_does_not_wait_for_our_turn),
		TEST(a_place_that_another_took_at_its_turn_is_no_overshoot),
		TEST(an_owner_that_goes_takes_its_turns_along),
		TEST(turns_go_round_the_circle_of_names),
		TEST(of_two_agents_none_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
