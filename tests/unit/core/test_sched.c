/* Decisions: where requests go, when they wait, and what makes them go on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "sched_build.h"

static void every_submit_gets_one_answer(void **state)
{
	struct rig *r = *state;
	int tag;
	struct sched_request req = ask(r, "r1", 0);
	struct sched_action act;

	req.user = &tag;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	act = answer(r, MSEC(3), "r1", SLO_ROUTE, SLO_REASON_NONE);
	assert_ptr_equal(act.user, &tag);
	assert_int_equal(act.strategy, SLO_STRATEGY_SLO);
	assert_true(act.waited == MSEC(3));
	assert_true(act.request->charge.load == SLO_LOAD_ONE / 2);
	assert_int_equal(act.request->goal.kind, GOAL_E2E);
	quiet(r, MSEC(3));
}

static void a_full_fleet_makes_requests_wait(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 1);
	assert_int_equal(sched_counts(r->s).dispatched, 4);
	assert_int_equal(end(r, SEC(1), "f1"), SCHED_END_CLOSED);
	routed(r, SEC(1), "w", "s0");
	quiet(r, SEC(1));
	assert_int_equal(sched_counts(r->s).queued, 0);
}

static void refused_at_the_queue_timeout_and_not_a_nanosecond_sooner(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, SEC(1), "w");
	quiet(r, SEC(1));
	assert_true(sched_next_wakeup(r->s) == SEC(31));
	quiet(r, SEC(31) - 1);
	answer(r, SEC(31), "w", SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
	quiet(r, SEC(31));
}

static void timeouts_come_in_order_of_arrival(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "w1", SEC(1));

	fill_up(r, 0);
	req.output = 1;
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
	quiet(r, SEC(1));
	submit(r, SEC(2), "w2");
	quiet(r, SEC(2));
	answer(r, SEC(40), "w1", SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
	answer(r, SEC(40), "w2", SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
	quiet(r, SEC(40));
}

static void room_at_the_last_nanosecond_is_used(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, SEC(1), "w");
	quiet(r, SEC(1));
	end(r, SEC(31) - 1, "f0");
	routed(r, SEC(31) - 1, "w", "s1");
}

static void without_a_timeout_there_is_nothing_to_wake_for(void **state)
{
	struct rig *r = *state;

	r->conf.queue_timeout = SLO_NEVER;
	r->conf.lease_max_age = SLO_NEVER;
	sched_configure(r->s, &r->conf);
	assert_true(sched_next_wakeup(r->s) == SLO_NEVER);
	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_true(sched_next_wakeup(r->s) == SLO_NEVER);
	quiet(r, SEC(1e8));
}

static void a_full_queue_refuses_the_next(void **state)
{
	struct rig *r = *state;

	r->conf.queue_limit = 2;
	sched_configure(r->s, &r->conf);
	fill_up(r, 0);
	for (int i = 0; i < 2; i++) {
		submit(r, 0, i ? "w1" : "w0");
		quiet(r, 0);
	}
	submit(r, 0, "w2");
	answer(r, 0, "w2", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	assert_int_equal(sched_counts(r->s).queued, 2);
	end(r, 0, "f0");
	routed(r, 0, "w0", "s1");
	submit(r, 0, "w3");
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 2);
}

static void waits(struct rig *r, const char *id, int32_t priority, int64_t input)
{
	struct sched_request req = ask(r, id, 0);

	req.priority = priority;
	req.input = input;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	sched_check(r->s);
}

/* Three wait and one may since the limit was lowered. */
static void one_goes_for_a_newcomer_however_many_wait(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	for (int i = 0; i < 3; i++) {
		waits(r, i == 0 ? "w0" : i == 1 ? "w1" : "w2", 0, 512);
		quiet(r, 0);
	}
	r->conf.queue_limit = 1;
	sched_configure(r->s, &r->conf);
	quiet(r, 0);
	waits(r, "head", 1, 512);
	answer(r, 0, "w2", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	quiet(r, 0);
	waits(r, "behind", 1, 512);
	answer(r, 0, "w1", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	quiet(r, 0);
	waits(r, "equal", 0, 512);
	answer(r, 0, "equal", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 3);
}

/* Two come at once, the second before the first: one goes for each. */
static void one_goes_for_a_newcomer_that_another_comes_before(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	waits(r, "least", 0, 512);
	waits(r, "less", 0, 512);
	quiet(r, 0);
	r->conf.queue_limit = 2;
	sched_configure(r->s, &r->conf);
	waits(r, "first", 1, 512);
	waits(r, "second", 2, 512);
	answer(r, 0, "less", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	answer(r, 0, "least", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 2);
}

/* It came behind another of its size, which leaves in the same round. */
static void one_goes_for_a_newcomer_that_becomes_a_head_at_once(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	waits(r, "small", 2, 1);
	waits(r, "first", 1, 512);
	waits(r, "least", 0, 512);
	quiet(r, 0);
	r->conf.queue_limit = 1;
	sched_configure(r->s, &r->conf);
	waits(r, "second", 1, 512);
	sched_abandon(r->s, 0, (struct request *)sched_find(r->s, "first", 5));
	answer(r, 0, "least", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 2);
}

/* A head of its own bucket is tried before it is refused. */
static void a_full_queue_does_not_refuse_what_fits_now(void **state)
{
	struct rig *r = *state;
	const double in[] = { 128, 2048 }, tputs[] = { 4, 1 };
	struct profile *p = profile_by_input(2, in, tputs, 5);
	struct deployment *d = sched_deployment_add(r->m, "l20");
	struct sched_request big = ask(r, "big", 0), small = ask(r, "small", 0);

	assert_int_equal(sched_profile_set(r->s, d, p), SLO_OK);
	rig_server(r, d, "l0");
	sched_server_usable(r->s, r->server[0], false);
	sched_server_usable(r->s, r->server[1], false);
	r->conf.queue_limit = 0;
	sched_configure(r->s, &r->conf);
	small.input = 128;
	assert_int_equal(sched_submit(r->s, 0, &small, NULL), SLO_OK);
	routed(r, 0, "small", "l0");
	big.input = 2048;
	assert_int_equal(sched_submit(r->s, 0, &big, NULL), SLO_OK);
	answer(r, 0, "big", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	small.id = "small2";
	small.id_len = 6;
	assert_int_equal(sched_submit(r->s, 0, &small, NULL), SLO_OK);
	routed(r, 0, "small2", "l0");
}

static void late_requests_are_served_by_default(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "r1", SEC(-100));

	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	routed(r, 0, "r1", "s1");
}

/* A change of the option concerns those that wait already. */
static void what_becomes_of_late_ones_may_change_while_they_wait(void **state)
{
	struct rig *r = *state;

	r->conf.late = SLO_LATE_HOLD;
	sched_configure(r->s, &r->conf);
	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	quiet(r, SEC(10));
	r->conf.late = SLO_LATE_REJECT;
	sched_configure(r->s, &r->conf);
	answer(r, SEC(10), "w", SLO_REJECT, SLO_REASON_SLO_FAILURE);
	sched_check(r->s);
}

static void late_reject_refuses_at_the_first_nanosecond_of_lateness(void **state)
{
	struct rig *r = *state;

	r->conf.late = SLO_LATE_REJECT;
	sched_configure(r->s, &r->conf);
	submit(r, 0, "in time"); /* may start until 5 - 1 */
	routed(r, SEC(4), "in time", "s1");
	submit(r, SEC(4), "late");
	answer(r, SEC(8) + 1, "late", SLO_REJECT, SLO_REASON_SLO_FAILURE);
	sched_check(r->s);
}

static void late_reject_does_not_concern_push(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "p", SEC(-100));

	r->conf.late = SLO_LATE_REJECT;
	sched_configure(r->s, &r->conf);
	req.strategy = SLO_STRATEGY_LEAST_LOAD;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	routed(r, 0, "p", "s1");
}

static void infeasible_requests_are_refused_or_fall_back(void **state)
{
	struct rig *r = *state;
	struct sched_action act;

	rig_profile(r, r->d, &(struct one_cell){ .tput = 0, .e2e = 1, .slo_e2e = 5, .created = 2 });
	submit(r, 0, "r1");
	answer(r, 0, "r1", SLO_REJECT, SLO_REASON_SLO_FAILURE);
	r->conf.infeasible = SLO_INFEASIBLE_FALLBACK;
	sched_configure(r->s, &r->conf);
	submit(r, 0, "r2");
	act = answer(r, 0, "r2", SLO_FALLBACK, SLO_REASON_SLO_FAILURE);
	assert_int_equal(act.strategy, SLO_STRATEGY_LEAST_REQUEST);
	assert_true(act.request->charge.load == 0);
	assert_true(act.request->fallback);
}

static void without_a_rank_the_fallback_strategy_decides(void **state)
{
	struct rig *r = *state;
	struct sched_action act;
	struct sched_model *bare = sched_model_add(r->s, "bare", SLO_STRATEGY_SLO);
	struct deployment *d = sched_deployment_add(bare, "x");
	struct sched_request req = ask(r, "r2", 0);

	rig_profile(r, r->d, &(struct one_cell){ .tput = 2, .e2e = 1, .created = 2 });
	submit(r, 0, "r1");
	act = answer(r, 0, "r1", SLO_FALLBACK, SLO_REASON_NO_SLO);
	assert_true(act.request->charge.load == SLO_LOAD_ONE / 2);
	rig_server(r, d, "x0");
	r->conf.fallback = SLO_STRATEGY_RANDOM;
	sched_configure(r->s, &r->conf);
	req.model = bare;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	act = answer(r, 0, "r2", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	assert_int_equal(act.strategy, SLO_STRATEGY_RANDOM);
	assert_true(act.request->charge.load == 0);
}

static void without_a_usable_server_all_strategies_refuse(void **state)
{
	struct rig *r = *state;

	sched_server_usable(r->s, r->server[0], false);
	sched_server_usable(r->s, r->server[1], false);
	for (int i = 0; i < SLO_STRATEGIES; i++) {
		char id[] = { 'r', (char)('0' + i), '\0' };
		struct sched_request req = ask(r, id, 0);

		req.strategy = (enum slo_strategy)i;
		assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
		answer(r, 0, id, SLO_REJECT, SLO_REASON_NO_SERVER);
	}
}

static void strategies_that_never_wait_go_past_the_queue(void **state)
{
	static const enum slo_strategy at_once[] = { SLO_STRATEGY_LEAST_LOAD,
		                                     SLO_STRATEGY_LEAST_REQUEST,
		                                     SLO_STRATEGY_RANDOM };
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	for (int i = 0; i < 3; i++) {
		char id[] = { 'p', (char)('0' + i), '\0' };
		struct sched_request req = ask(r, id, 0);
		struct sched_action act;

		req.strategy = at_once[i];
		assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
		act = answer(r, 0, id, SLO_ROUTE, SLO_REASON_NONE);
		assert_int_equal(act.strategy, at_once[i]);
	}
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).queued, 1);
}

static void a_server_that_comes_goes_or_recovers_is_a_trigger(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w0");
	quiet(r, 0);
	rig_server(r, r->d, "s2");
	routed(r, 0, "w0", "s2");
	sched_server_usable(r->s, r->server[0], false);
	end(r, 0, "f1");
	end(r, 0, "f3");
	submit(r, 0, "w1");
	routed(r, 0, "w1", "s2");
	submit(r, 0, "w2");
	quiet(r, 0);
	sched_server_usable(r->s, r->server[0], true);
	routed(r, 0, "w2", "s0");
}

static void a_waiting_request_leaves_when_its_last_server_goes(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	sched_server_usable(r->s, r->server[1], false);
	quiet(r, 0);
	sched_server_usable(r->s, r->server[0], false);
	answer(r, 0, "w", SLO_REJECT, SLO_REASON_NO_SERVER);
}

static void a_newer_profile_is_a_trigger_and_an_older_one_is_refused(void **state)
{
	struct rig *r = *state;
	struct profile *same = profile_of(&half_a_server);

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_int_equal(sched_profile_set(r->s, r->d, same), SLO_ESTALE);
	profile_free(same);
	quiet(r, 0);
	rig_profile(r, r->d, &(struct one_cell){ .tput = 2, .e2e = 1, .created = 1.5 });
	answer(r, 0, "w", SLO_FALLBACK, SLO_REASON_NO_SLO);
}

static void without_its_profile_a_request_falls_back_and_an_older_one_is_new(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	assert_int_equal(r->m->dispatched, 4);
	submit(r, 0, "w");
	quiet(r, 0);
	sched_profile_drop(r->s, r->d);
	sched_profile_drop(r->s, r->d); /* once more is nothing */
	answer(r, 0, "w", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	end(r, 0, "w");
	assert_int_equal(r->m->dispatched, 4);
	rig_profile(r, r->d, &(struct one_cell){ .tput = 2, .e2e = 1, .slo_e2e = 5 });
	submit(r, 0, "x");
	quiet(r, 0);
	end(r, 0, "f0");
	routed(r, 0, "x", "s1");
}

static void what_was_charged_is_released_whatever_changed(void **state)
{
	struct rig *r = *state;

	submit(r, 0, "r1");
	routed(r, 0, "r1", "s1");
	rig_profile(r, r->d, &(struct one_cell){ .tput = 8, .e2e = 1, .slo_e2e = 5, .created = 2 });
	submit(r, 0, "r2");
	routed(r, 0, "r2", "s0");
	assert_true(r->server[0]->ledger.used == SLO_LOAD_ONE / 8);
	end(r, 0, "r1");
	assert_true(r->server[1]->ledger.used == 0);
	end(r, 0, "r2");
	assert_true(r->server[0]->ledger.used == 0);
}

struct two_models {
	struct sched_model *other;
	struct deployment *d;
};

/* Model `other` runs on s0 and s1 too; its requests weigh half a server and have 2 s. */
static struct two_models add_other(struct rig *r)
{
	struct two_models t;

	t.other = sched_model_add(r->s, "other", SLO_STRATEGY_SLO);
	assert_non_null(t.other);
	t.d = sched_deployment_add(t.other, "a10");
	assert_non_null(t.d);
	rig_profile(r, t.d, &(struct one_cell){ .tput = 2, .e2e = 1, .slo_e2e = 2, .created = 1 });
	assert_int_equal(sched_server_seat(r->s, t.d, r->server[0]), SLO_OK);
	assert_int_equal(sched_server_seat(r->s, t.d, r->server[1]), SLO_OK);
	assert_int_equal(sched_server_seat(r->s, t.d, r->server[1]), SLO_EINVAL);
	return t;
}

static void an_end_wakes_the_other_model_of_the_server(void **state)
{
	struct rig *r = *state;
	struct two_models t = add_other(r);
	struct sched_request req = ask(r, "o", 0);

	fill_up(r, 0);
	req.model = t.other;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	quiet(r, 0);
	end(r, SEC(1), "f0");
	routed(r, SEC(1), "o", "s1");
}

static void the_most_urgent_head_of_all_models_goes_first(void **state)
{
	struct rig *r = *state;
	struct two_models t = add_other(r);
	struct sched_request req = ask(r, "o", MSEC(500));

	fill_up(r, 0);
	submit(r, 0, "w"); /* may start until 4 s */
	quiet(r, 0);
	req.model = t.other; /* until 1.5 s */
	assert_int_equal(sched_submit(r->s, MSEC(500), &req, NULL), SLO_OK);
	quiet(r, MSEC(500));
	end(r, SEC(1), "f0");
	routed(r, SEC(1), "o", "s1");
	quiet(r, SEC(1));
	end(r, SEC(2), "f2");
	routed(r, SEC(2), "w", "s1");
}

static void models_are_found_by_their_whole_name(void **state)
{
	struct rig *r = *state;
	struct sched_model *longer = sched_model_add(r->s, "m2", SLO_STRATEGY_RANDOM);

	assert_ptr_equal(sched_model_find(r->s, "m2", 2), longer);
	assert_ptr_equal(sched_model_find(r->s, "m2", 1), r->m);
	assert_null(sched_model_find(r->s, "m23", 3));
	assert_null(sched_model_find(r->s, "", 0));
	assert_ptr_equal(TAILQ_FIRST(sched_models(r->s)), r->m);
}

static void an_id_in_use_is_refused(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "r1", 0);

	submit(r, 0, "r1");
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_EINVAL); /* not answered yet */
	routed(r, 0, "r1", "s1");
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_EINVAL); /* on a server */
	end(r, 0, "r1");
	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	req.id = "w";
	req.id_len = 1;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_EINVAL); /* waiting */
}

static void the_longest_id_is_kept_whole(void **state)
{
	struct rig *r = *state;
	char id[SLO_ID_MAX + 1];

	memset(id, 'x', SLO_ID_MAX);
	id[SLO_ID_MAX] = '\0';
	submit(r, 0, id);
	routed(r, 0, id, "s1");
	id[SLO_ID_MAX - 1] = 'y';
	assert_int_equal(end(r, 0, id), SCHED_END_UNKNOWN);
	id[SLO_ID_MAX - 1] = 'x';
	assert_int_equal(end(r, 0, id), SCHED_END_CLOSED);
}

static void the_same_seed_replays_the_same_run(void **state)
{
	struct sched_conf conf = sched_conf_default();
	char first[50];

	(void)state;
	for (int run = 0; run < 2; run++) {
		struct rig r = { .s = NULL };

		conf.seed = 99;
		r.s = sched_new(&conf);
		assert_non_null(r.s);
		conf.seed = 1; /* configure leaves the seed */
		sched_configure(r.s, &conf);
		r.m = sched_model_add(r.s, "m", SLO_STRATEGY_SLO);
		r.d = sched_deployment_add(r.m, "a10");
		rig_server(&r, r.d, "s0");
		rig_server(&r, r.d, "s1");
		for (int i = 0; i < 50; i++) {
			struct sched_action act;
			struct sched_request req;
			char id[16];

			snprintf(id, sizeof(id), "r%d", i);
			req = ask(&r, id, 0);
			req.strategy = SLO_STRATEGY_RANDOM;
			assert_int_equal(sched_submit(r.s, 0, &req, NULL), SLO_OK);
			act = answer(&r, 0, id, SLO_ROUTE, SLO_REASON_NONE);
			if (run == 0)
				first[i] = act.seat->server->name[1];
			else
				assert_int_equal(first[i], act.seat->server->name[1]);
		}
		sched_free(r.s);
	}
	assert_non_null(memchr(first, '0', 50));
	assert_non_null(memchr(first, '1', 50));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_submit_gets_one_answer),
		TEST(a_full_fleet_makes_requests_wait),
		TEST(refused_at_the_queue_timeout_and_not_a_nanosecond_sooner),
		TEST(timeouts_come_in_order_of_arrival),
		TEST(room_at_the_last_nanosecond_is_used),
		TEST(without_a_timeout_there_is_nothing_to_wake_for),
		TEST(a_full_queue_refuses_the_next),
		TEST(one_goes_for_a_newcomer_however_many_wait),
		TEST(one_goes_for_a_newcomer_that_another_comes_before),
		TEST(one_goes_for_a_newcomer_that_becomes_a_head_at_once),
		TEST(a_full_queue_does_not_refuse_what_fits_now),
		TEST(late_requests_are_served_by_default),
		TEST(what_becomes_of_late_ones_may_change_while_they_wait),
		TEST(late_reject_refuses_at_the_first_nanosecond_of_lateness),
		TEST(late_reject_does_not_concern_push),
		TEST(infeasible_requests_are_refused_or_fall_back),
		TEST(without_a_rank_the_fallback_strategy_decides),
		TEST(without_a_usable_server_all_strategies_refuse),
		TEST(strategies_that_never_wait_go_past_the_queue),
		TEST(a_server_that_comes_goes_or_recovers_is_a_trigger),
		TEST(a_waiting_request_leaves_when_its_last_server_goes),
		TEST(a_newer_profile_is_a_trigger_and_an_older_one_is_refused),
		TEST(without_its_profile_a_request_falls_back_and_an_older_one_is_new),
		TEST(what_was_charged_is_released_whatever_changed),
		TEST(an_end_wakes_the_other_model_of_the_server),
		TEST(the_most_urgent_head_of_all_models_goes_first),
		TEST(models_are_found_by_their_whole_name),
		TEST(an_id_in_use_is_refused),
		TEST(the_longest_id_is_kept_whole),
		cmocka_unit_test(the_same_seed_replays_the_same_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
