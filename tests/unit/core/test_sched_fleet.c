/* A fleet that shrinks, moves and comes back while requests wait for it and run on it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "sched_build.h"

static void leave(struct rig *r, struct server *server)
{
	sched_seat_remove(r->s, sched_seat_find(r->m, server));
	sched_check(r->s);
}

static void a_server_that_left_is_not_chosen_any_more(void **state)
{
	struct rig *r = *state;

	leave(r, r->server[1]);
	submit(r, 0, "a");
	routed(r, 0, "a", "s0");
	submit(r, 0, "b");
	routed(r, 0, "b", "s0");
	submit(r, 0, "c");
	quiet(r, 0);
	assert_int_equal(r->m->pool.seats, 1);
	assert_null(sched_seat_find(r->m, r->server[1]));
}

static void a_server_that_left_keeps_its_ledger_until_its_last_request_ends(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	leave(r, r->server[0]);
	assert_int_equal(r->server[0]->ledger.inflight, 2);
	assert_false(sched_server_free(r->server[0]));
	assert_int_equal(end(r, SEC(1), "f1"), SCHED_END_CLOSED);
	assert_false(sched_server_free(r->server[0]));
	assert_ptr_equal(
	    end_with(r, SEC(1), "f3",
	             (struct sched_outcome){
			 .outcome = LESSON_ANSWERED, .input = -1, .output = -1, .bytes = -1 })
		.server,
	    r->server[0]);
	assert_true(sched_server_free(r->server[0]));
	sched_check(r->s);
	/* What ended on it is still known, and frees nothing twice. */
	assert_int_equal(end(r, SEC(1), "f3"), SCHED_END_DUPLICATE);
	quiet(r, SEC(1));
}

static void the_end_of_a_request_on_a_server_that_left_lets_nobody_go(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	leave(r, r->server[0]);
	quiet(r, 0);
	assert_int_equal(end(r, SEC(1), "f1"), SCHED_END_CLOSED);
	quiet(r, SEC(1));
	assert_int_equal(end(r, SEC(1), "f0"), SCHED_END_CLOSED);
	routed(r, SEC(1), "w", "s1");
}

static void a_lease_on_a_server_that_left_expires(void **state)
{
	struct rig *r = *state;

	r->conf.lease_max_age = SEC(10);
	sched_configure(r->s, &r->conf);
	fill_up(r, 0);
	leave(r, r->server[0]);
	quiet(r, SEC(10));
	assert_true(sched_server_free(r->server[0]));
	assert_int_equal(sched_counts(r->s).leases_expired, 4);
	assert_int_equal(sched_counts(r->s).ends_lost, 0);
}

static void a_server_that_comes_back_has_its_load(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	leave(r, r->server[0]);
	assert_int_equal(end(r, 0, "f0"), SCHED_END_CLOSED);
	assert_int_equal(end(r, 0, "f2"), SCHED_END_CLOSED);
	assert_int_equal(sched_server_seat(r->s, r->d, r->server[0]), SLO_OK);
	submit(r, 0, "a");
	routed(r, 0, "a", "s1");
	submit(r, 0, "b");
	routed(r, 0, "b", "s1");
	submit(r, 0, "c");
	quiet(r, 0);
	assert_int_equal(end(r, 0, "f3"), SCHED_END_CLOSED);
	routed(r, 0, "c", "s0");
}

static void without_its_last_server_a_waiting_request_is_rejected(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	leave(r, r->server[0]);
	quiet(r, 0);
	leave(r, r->server[1]);
	answer(r, 0, "w", SLO_REJECT, SLO_REASON_NO_SERVER);
}

static void a_server_moves_with_its_load_and_room_appears_where_it_goes(void **state)
{
	struct rig *r = *state;
	struct deployment *fast = sched_deployment_add(r->m, "fast");

	rig_profile(r, fast,
	            &(struct one_cell){ .tput = 40, .e2e = 0.1, .slo_e2e = 5, .created = 1 });
	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_int_equal(end(r, 0, "f1"), SCHED_END_CLOSED);
	routed(r, 0, "w", "s0");
	submit(r, 0, "x");
	quiet(r, 0);
	assert_int_equal(end(r, 0, "f3"), SCHED_END_CLOSED);
	routed(r, 0, "x", "s0");
	submit(r, 0, "y");
	quiet(r, 0);
	assert_int_equal(end(r, 0, "w"), SCHED_END_CLOSED);
	assert_int_equal(sched_seat_move(r->s, sched_seat_find(r->m, r->server[0]), fast), SLO_OK);
	sched_check(r->s);
	/* Half of it is taken as before; y weighs a quarter there. */
	answer(r, 0, "y", SLO_ROUTE, SLO_REASON_NONE);
	assert_true(r->server[0]->ledger.used == SLO_LOAD_ONE / 2 + SLO_LOAD_ONE / 4);
	assert_int_equal(r->d->usable, 1);
	assert_int_equal(fast->usable, 1);
}

/* The last one of a deployment may be deep, where the first may not. */
static void who_waits_is_looked_at_when_a_server_becomes_the_last(void **state)
{
	struct rig *r = *state;
	char id[16];

	rig_server(r, r->d, "s2");
	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof(id), "f%d", i);
		submit(r, 0, id);
		assert_true(sched_step(r->s, 0, &(struct sched_action){ 0 }));
	}
	submit(r, 0, "w");
	quiet(r, 0);
	assert_false(fleet_has_freed(&r->m->pool));
	assert_int_equal(sched_seat_move(r->s, sched_seat_find(r->m, r->server[0]), r->d), SLO_OK);
	assert_true(fleet_has_freed(&r->m->pool));
	quiet(r, 0);
	assert_false(fleet_has_freed(&r->m->pool));
}

/* How slow it is was known beside the servers that it leaves. */
static void a_server_that_moves_is_as_fast_as_the_others_there(void **state)
{
	const struct latency_speed late = { .late = 1, .ends = 50 };
	struct rig *r = *state;
	struct deployment *other = sched_deployment_add(r->m, "other");
	struct seat *seat = sched_seat_find(r->m, r->server[0]);

	assert_int_equal(sched_source_set(r->s, r->d, FLEET_LEARNED, 8192), SLO_OK);
	assert_int_equal(sched_recall_speed(r->s, seat, &late), SLO_OK);
	assert_true(seat->slower > 2);
	assert_int_equal(sched_seat_move(r->s, seat, r->d),
	                 SLO_OK); /* behind the others of its own */
	assert_true(seat->slower > 2 && seat->speed.ends == 50);
	assert_int_equal(sched_seat_move(r->s, seat, other), SLO_OK);
	assert_true(!(seat->slower > 1) && seat->speed.ends == 0);
}

static void requests_are_judged_anew_when_a_deployment_goes(void **state)
{
	struct rig *r = *state;
	struct deployment *other = sched_deployment_add(r->m, "other");
	struct server *o = rig_server(r, other, "o");

	/* Less slack there, so it comes second and nobody is sent there late. */
	rig_profile(r, other,
	            &(struct one_cell){ .tput = 0.25, .e2e = 4, .slo_e2e = 5, .created = 1 });
	fill_up(r, 0);
	submit(r, 0, "x");
	routed(r, 0, "x", "o");
	submit(r, SEC(2), "w");
	quiet(r, SEC(2));
	assert_int_equal(end(r, SEC(4), "x"), SCHED_END_CLOSED);
	quiet(r, SEC(4));
	sched_deployment_remove(r->s, r->d);
	sched_check(r->s);
	/* Its first choice now, late or not. */
	routed(r, SEC(4), "w", "o");
	assert_int_equal(o->ledger.inflight, 1);
	assert_int_equal(other->index, 0);
	assert_int_equal(end(r, SEC(4), "f0"), SCHED_END_CLOSED);
	assert_int_equal(r->server[1]->ledger.inflight, 1);
}

static void equal_deployments_go_by_the_new_order(void **state)
{
	struct rig *r = *state;
	struct deployment *twin = sched_deployment_add(r->m, "twin");
	struct deployment *order[2] = { twin, r->d };

	rig_server(r, twin, "t");
	rig_profile(r, twin, &half_a_server);
	submit(r, 0, "a");
	routed(r, 0, "a", "s1");
	sched_deployments_order(r->s, r->m, order);
	submit(r, 0, "b");
	routed(r, 0, "b", "t");
	assert_int_equal(end(r, 0, "a"), SCHED_END_CLOSED);
}

static void equal_servers_go_by_the_new_order(void **state)
{
	struct rig *r = *state;

	submit(r, 0, "a");
	routed(r, 0, "a", "s1");
	assert_int_equal(end(r, 0, "a"), SCHED_END_CLOSED);
	assert_int_equal(sched_seat_move(r->s, sched_seat_find(r->m, r->server[0]), r->d), SLO_OK);
	submit(r, 0, "b");
	routed(r, 0, "b", "s0");
}

static void the_waiting_of_a_model_that_went_are_passed_in_order_of_arrival(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "push", 0);
	struct sched_action act;

	fill_up(r, 0);
	submit(r, 0, "w1");
	submit(r, 0, "w2");
	quiet(r, 0);
	req.strategy = SLO_STRATEGY_LEAST_REQUEST;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	submit(r, 0, "gone");
	assert_int_equal(end(r, 0, "gone"), SCHED_END_CANCELLED);
	sched_model_remove(r->s, r->m);
	assert_null(sched_model_find(r->s, "m", 1));
	answer(r, 0, "push", SLO_PASS, SLO_REASON_UNKNOWN_MODEL);
	answer(r, 0, "gone", SLO_PASS, SLO_REASON_ENDED);
	act = answer(r, 0, "w1", SLO_PASS, SLO_REASON_UNKNOWN_MODEL);
	assert_null(act.request->model);
	answer(r, 0, "w2", SLO_PASS, SLO_REASON_UNKNOWN_MODEL);
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 0);
}

static void what_runs_for_a_model_that_went_is_released_at_its_end(void **state)
{
	struct rig *r = *state;
	struct sched_model *n = sched_model_add(r->s, "n", SLO_STRATEGY_SLO);
	struct deployment *d = sched_deployment_add(n, "a10");
	struct sched_end e;

	rig_profile(r, d, &half_a_server);
	assert_int_equal(sched_server_seat(r->s, d, r->server[0]), SLO_OK);
	fill_up(r, 0);
	sched_model_remove(r->s, r->m);
	sched_check(r->s);
	r->m = n;
	submit(r, 0, "w");
	quiet(r, 0);
	e = end_with(r, SEC(1), "f1",
	             (struct sched_outcome){
			 .outcome = LESSON_ANSWERED, .input = 100, .output = 200, .bytes = 4000 });
	assert_int_equal(e.result, SCHED_END_CLOSED);
	assert_ptr_equal(e.server, r->server[0]);
	assert_null(e.request->model);
	assert_int_equal(e.output, 200);
	routed(r, SEC(1), "w", "s0");
	assert_int_equal(r->server[1]->ledger.inflight, 2);
	assert_int_equal(end(r, SEC(1), "f0"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(1), "f2"), SCHED_END_CLOSED);
	assert_true(sched_server_free(r->server[1]));
	assert_false(sched_server_free(r->server[0]));
}

static void a_model_may_come_back_under_its_name(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	sched_model_remove(r->s, r->m);
	r->m = sched_model_add(r->s, "m", SLO_STRATEGY_SLO);
	assert_non_null(r->m);
	r->d = sched_deployment_add(r->m, "a10");
	rig_profile(r, r->d, &half_a_server);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sched_server_seat(r->s, r->d, r->server[i]), SLO_OK);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_int_equal(end(r, 0, "f2"), SCHED_END_CLOSED);
	routed(r, 0, "w", "s1");
}

static void deployments_may_come_and_go_more_often_than_there_may_be_at_once(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 3 * SLO_DEPLOYMENTS_MAX; i++) {
		struct deployment *d = sched_deployment_add(r->m, "next");

		assert_non_null(d);
		assert_int_equal(sched_server_seat(r->s, d, r->server[0]), SLO_EINVAL);
		assert_int_equal(sched_seat_move(r->s, sched_seat_find(r->m, r->server[0]), d),
		                 SLO_OK);
		assert_int_equal(sched_seat_move(r->s, sched_seat_find(r->m, r->server[0]), r->d),
		                 SLO_OK);
		sched_deployment_remove(r->s, d);
		sched_check(r->s);
	}
	assert_int_equal(r->d->usable, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_that_left_is_not_chosen_any_more),
		TEST(a_server_that_left_keeps_its_ledger_until_its_last_request_ends),
		TEST(the_end_of_a_request_on_a_server_that_left_lets_nobody_go),
		TEST(a_lease_on_a_server_that_left_expires),
		TEST(a_server_that_comes_back_has_its_load),
		TEST(without_its_last_server_a_waiting_request_is_rejected),
		TEST(a_server_moves_with_its_load_and_room_appears_where_it_goes),
		TEST(who_waits_is_looked_at_when_a_server_becomes_the_last),
		TEST(a_server_that_moves_is_as_fast_as_the_others_there),
		TEST(requests_are_judged_anew_when_a_deployment_goes),
		TEST(equal_deployments_go_by_the_new_order),
		TEST(equal_servers_go_by_the_new_order),
		TEST(the_waiting_of_a_model_that_went_are_passed_in_order_of_arrival),
		TEST(what_runs_for_a_model_that_went_is_released_at_its_end),
		TEST(a_model_may_come_back_under_its_name),
		TEST(deployments_may_come_and_go_more_often_than_there_may_be_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
