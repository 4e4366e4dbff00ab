/* A scheduler that learns: the promise of a model, and what becomes of requests while its servers
 * are unknown, while they are doubted, and when they are known. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/lease.h"
#include "core/rng.h"
#include "foreign_build.h"
#include "learn_build.h"
#include "play_build.h"
#include "sched_build.h"

static const struct goal five_seconds = { .kind = GOAL_E2E, .fixed = 5 };

static void a_promise_replaces_the_profiles_target(void **state)
{
	struct rig *r = *state;
	struct request *a;

	sched_promise(r->s, r->m, &(struct goal){ .kind = GOAL_E2E, .fixed = 3 });
	a = submit(r, SEC(1), "a");
	routed(r, SEC(1), "a", "s1");
	assert_true(a->goal.kind == GOAL_E2E && a->goal.fixed == 3);
	sched_promise(r->s, r->m, &(struct goal){ .kind = GOAL_NONE });
	a = submit(r, SEC(1), "b");
	routed(r, SEC(1), "b", "s0");
	assert_true(a->goal.kind == GOAL_E2E && a->goal.fixed == 5);
}

static void a_requests_own_target_wins(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "a", SEC(1));
	struct request *a;

	sched_promise(r->s, r->m, &five_seconds);
	req.own.ttft = SEC(2);
	assert_int_equal(sched_submit(r->s, SEC(1), &req, &a), SLO_OK);
	(void)answer(r, SEC(1), "a", SLO_FALLBACK, SLO_REASON_NO_SLO); /* it has no ttft table */
	assert_true(a->goal.kind == GOAL_TTFT && a->goal.fixed == 2);
}

static void a_promise_needs_no_profile_to_be_measured(void **state)
{
	struct rig *r = *state;
	struct request *a;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	a = submit(r, SEC(1), "a");
	(void)answer(r, SEC(1), "a", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	assert_true(a->goal.kind == GOAL_E2E && a->goal.fixed == 5);
}

static void without_a_promise_a_cold_model_is_left_alone(void **state)
{
	struct sched_action act;
	struct rig *r = *state;

	sched_profile_drop(r->s, r->d);
	learn(r, FLEET_AUTO, 0);
	submit(r, SEC(1), "a");
	act = answer(r, SEC(1), "a", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	assert_int_equal(act.strategy, SLO_STRATEGY_LEAST_REQUEST);
	assert_int_equal(act.seat->server->ledger.used, 0);
}

static void a_cold_model_spreads_tokens(void **state)
{
	struct sched_request big = { 0 };
	struct sched_action act;
	struct rig *r = *state;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 8192);
	big = ask(r, "big", SEC(1));
	big.input = 4096;
	assert_int_equal(sched_submit(r->s, SEC(1), &big, NULL), SLO_OK);
	act = answer(r, SEC(1), "big", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	assert_int_equal(act.strategy, SLO_STRATEGY_LEAST_LOAD);
	assert_string_equal(act.seat->server->name, "s1");
	for (int i = 0; i < 7; i++) { /* of 577 tokens each */
		char id[16];

		snprintf(id, sizeof(id), "s%d", i);
		submit(r, SEC(1), id);
		act = answer(r, SEC(1), id, SLO_FALLBACK, SLO_REASON_NO_PROFILE);
		assert_string_equal(act.seat->server->name, "s0");
	}
	/* Nobody waits, however much there is. */
	for (int i = 0; i < 100; i++) {
		char id[16];

		snprintf(id, sizeof(id), "m%d", i);
		submit(r, SEC(1), id);
		(void)answer(r, SEC(1), id, SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	}
}

static void after_few_ends_it_routes(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 8192);
	now = serve_many(r, SEC(1), 30, 1);
	assert_int_equal(r->d->force.state, LATENCY_WARM);
	submit(r, now, "a");
	(void)answer(r, now, "a", SLO_ROUTE, SLO_REASON_NONE);
	assert_true(r->d->learner->ends == 30);
}

/* Where times are learned, a prompt with an answer of one token takes nearly a whole server. */
static void a_size_that_was_never_seen_is_answered_as_the_nearest_one(void **state)
{
	struct rig *r = *state;
	struct sched_request large;
	struct request *a;
	slo_nsec now = serve_many(r, SEC(1), 1, 1);

	large = ask(r, "a", now);
	large.input = 4096;
	large.output = -1;
	assert_int_equal(sched_submit(r->s, now, &large, &a), SLO_OK);
	assert_int_equal(a->output, 1); /* by a profile it is as it was given */
	learn(r, FLEET_LEARNED, 0);
	large.id = "b";
	assert_int_equal(sched_submit(r->s, now, &large, &a), SLO_OK);
	assert_int_equal(a->output, 64);
}

/* All prompts have 512 tokens, and are estimated as 256 or 1,024. */
static void estimates_that_are_off_are_drawn_to_what_prompts_were(void **state)
{
	struct rig *r = *state;
	struct sched_request guess;
	struct request *a;
	slo_nsec now = SEC(1);
	char id[16];

	for (int i = 0; i < 60; i++, now += SEC(1)) {
		snprintf(id, sizeof(id), "g%d", i);
		guess = ask(r, id, now);
		guess.input = i % 2 ? 256 : 1024;
		guess.input_told = false;
		assert_int_equal(sched_submit(r->s, now, &guess, &a), SLO_OK);
		routed(r, now, id, "s1");
		(void)end_with(
		    r, now + 1, id,
		    (struct sched_outcome){
			.outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
	}
	guess.id = "given";
	guess.input = 1024;
	assert_int_equal(sched_submit(r->s, now, &guess, &a), SLO_OK);
	assert_in_range(a->input, 1000, 1050);
	learn(r, FLEET_LEARNED, 0);
	guess.id = "learned";
	assert_int_equal(sched_submit(r->s, now, &guess, &a), SLO_OK);
	assert_in_range(a->input, 500, 650);
	assert_int_equal(a->estimate, 1024);
	guess.id = "told";
	guess.input_told = true;
	assert_int_equal(sched_submit(r->s, now, &guess, &a), SLO_OK);
	assert_int_equal(a->input, 1024);
}

static void only_ends_that_completed_with_known_size_teach(void **state)
{
	static const struct sched_outcome useless[] = {
		{ .outcome = LESSON_LEFT, .input = 512, .output = 64, .bytes = 900 },
		{ .outcome = LESSON_ANSWERED, .input = 512, .output = -1, .bytes = -1 },
	};
	struct rig *r = *state;
	char id[16];

	learn(r, FLEET_AUTO, 0);
	for (int i = 0; i < 2; i++) {
		snprintf(id, sizeof(id), "u%d", i);
		submit(r, SEC(i), id);
		routed(r, SEC(i), id, "s1");
		(void)end_with(r, SEC(i) + 1, id, useless[i]);
	}
	assert_true(r->d->learner->ends == 0);
	assert_true(latency_flow_held(&r->server[1]->flow) == 0);
	(void)serve(r, SEC(5), SEC(6), "a");
	assert_true(r->d->learner->ends == 1);
}

static void leases_of_another_process_teach_nothing(void **state)
{
	struct rig *r = *state;
	struct sched_lease l = { .id = "a",
		                 .id_len = 1,
		                 .limit = -1,
		                 .model = r->m,
		                 .server = r->server[0],
		                 .dispatched = -SEC(5),
		                 .created = -SEC(5),
		                 .arrived = -SEC(5),
		                 .input = 512,
		                 .output = 64,
		                 .estimate = -1,
		                 .strategy = SLO_STRATEGY_SLO };

	learn(r, FLEET_AUTO, 0);
	assert_int_equal(lease_restore(r->s, &l), SLO_OK);
	assert_true(latency_flow_held(&r->server[0]->flow) > 0);
	(void)end_with(r, SEC(1), "a",
	               (struct sched_outcome){
			   .outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
	assert_true(r->d->learner->ends == 0);
	assert_true(latency_flow_held(&r->server[0]->flow) == 0);
}

/* The sole server is full with requests that do not end. */
static slo_nsec fill_learned(struct rig *r, slo_nsec now, bool told)
{
	struct sched_action act;
	char id[16];

	for (int i = 0; i < 1000; i++) {
		struct sched_request req;

		snprintf(id, sizeof(id), "l%d", i);
		req = ask(r, id, now);
		req.input_told = told;
		assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
		if (!sched_step(r->s, now, &act))
			return now;
		assert_int_equal(act.verdict, SLO_ROUTE);
	}
	fail();
	return now;
}

static void one_that_waited_for_a_doubted_server_is_not_refused(void **state)
{
	struct sched_action act;
	struct rig *r = *state;
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6); /* so that not the cache is full */
	now = serve_many(r, SEC(1), 40, 1);
	assert_int_equal(r->d->force.state, LATENCY_WARM);
	now = fill_learned(r, now, true) + r->conf.queue_timeout;
	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, SLO_FALLBACK);
	assert_int_equal(act.reason, SLO_REASON_QUEUE_TIMEOUT);
}

static void one_that_waited_for_a_known_server_is_refused(void **state)
{
	struct sched_action act;
	struct rig *r = *state;
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	now = serve_many(r, SEC(1), 300, 1);
	assert_int_equal(r->d->force.state, LATENCY_HOT);
	now = fill_learned(r, now, true) + r->conf.queue_timeout;
	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, SLO_REJECT);
	assert_int_equal(act.reason, SLO_REASON_QUEUE_TIMEOUT);
}

/* Where bytes stand in for tokens all times per token may be off by the same factor. */
static void a_target_per_token_is_missed_for_sure_only_by_far(void **state)
{
	struct rig *r = *state;
	struct goal goal = { .kind = GOAL_TPAT };
	double alone;
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	now = serve_many(r, SEC(1), 300, 1);
	assert_int_equal(r->d->force.state, LATENCY_HOT);
	alone = latency_alone(&r->d->force.rates, 512, 64, false) / (512 + 64);
	goal.per_token = alone / 3.5;
	sched_promise(r->s, r->m, &goal);
	submit(r, now, "a");
	(void)answer(r, now, "a", SLO_ROUTE, SLO_REASON_NONE);
	goal.per_token = alone / 4.5;
	sched_promise(r->s, r->m, &goal);
	submit(r, now, "b");
	(void)answer(r, now, "b", SLO_REJECT, SLO_REASON_SLO_FAILURE);
}

/* Its cache is told too small, and it could wait longer than it may. One comes on top, and before
 * that one has shown how it fares no other does. */
static void one_that_is_in_time_without_room_is_not_refused(void **state)
{
	const struct goal hour = { .kind = GOAL_E2E, .fixed = 3600 };
	struct sched_action act;
	struct rig *r = *state;
	struct sched_request req;
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &hour);
	learn(r, FLEET_AUTO, 20000);
	now = serve_many(r, SEC(1), 300, 1);
	assert_int_equal(r->d->force.state, LATENCY_HOT);
	now = fill_learned(r, now, true);
	req = ask(r, "other", now);
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
	assert_false(sched_step(r->s, now, &act));
	now += r->conf.queue_timeout;
	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, SLO_FALLBACK);
	assert_int_equal(act.reason, SLO_REASON_QUEUE_TIMEOUT);
	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, SLO_REJECT);
	assert_int_equal(act.reason, SLO_REASON_QUEUE_TIMEOUT);
}

/* How many requests of slo-adaptive go to the sole server before one waits, since `since`; none
 * ends. */
static int adaptive_until_one_waits(struct rig *r, double kv, int ends, slo_nsec *since)
{
	const struct goal hour = { .kind = GOAL_E2E, .fixed = 3600 };
	struct sched_action act;
	slo_nsec now;
	char id[16];

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &hour);
	learn(r, FLEET_AUTO, kv);
	now = *since = serve_many(r, SEC(1), ends, 1);
	for (int n = 0; n < 10000; n++) {
		struct sched_request req;

		snprintf(id, sizeof(id), "a%d", n);
		req = ask(r, id, now);
		req.strategy = SLO_STRATEGY_ADAPTIVE;
		assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
		if (!sched_step(r->s, now, &act))
			return n;
		assert_int_equal(act.verdict, SLO_ROUTE);
	}
	fail();
	return 0;
}

static int adaptive_in_flight(struct rig *r, double kv, int ends)
{
	slo_nsec since;

	return adaptive_until_one_waits(r, kv, ends, &since);
}

/* Two caches of the sole server, doubted or not: when all is late predictions are doubted, and
 * then the room is needed most. */
static void relaxed_ones_may_wait_inside(void **state)
{
	assert_in_range(adaptive_in_flight(*state, 20000, 300), 65, 70);
}

static void they_may_while_few_have_ended(void **state)
{
	assert_in_range(adaptive_in_flight(*state, 20000, 60), 65, 70);
}

/* However little they weigh, and none waits inside. */
static void engines_that_run_few_at_once_get_no_more(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	sched_running_set(r->s, r->d, 3);
	record(r, SEC(1));
	assert_int_equal(adaptive_until_one_waits(r, 20000, 300, &now), 3);
	end(r, now, "a0");
	(void)answer(r, now, "a3", SLO_ROUTE, SLO_REASON_NONE);
	submit(r, now, "slo");
	quiet(r, now);
	sched_running_set(r->s, r->d, 0);
	end(r, now, "a1");
	(void)answer(r, now, "slo", SLO_ROUTE, SLO_REASON_NONE);
	assert_int_equal(r->server[1]->ledger.inflight, 3);
	record(r, now); /* its floor is part of the state */
	stop_playing();
}

/* The weight that a request falls back with counts, too. */
static void they_are_full_of_those_that_fell_back(void **state)
{
	struct rig *r = *state;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	sched_running_set(r->s, r->d, 8);
	submit(r, SEC(1), "a");
	(void)answer(r, SEC(1), "a", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	assert_true(r->server[0]->ledger.used + r->server[1]->ledger.used == SLO_LOAD_ONE / 8);
}

/* One of two servers of a learned deployment whose engines run `most` at once. */
static slo_nsec running(struct rig *r, uint64_t most)
{
	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	sched_running_set(r->s, r->d, most);
	return serve_many(r, SEC(1), 300, 1);
}

/* Their cache has room for many more, and that is known. */
static void none_comes_on_top_of_all_that_may_run(void **state)
{
	const struct goal hour = { .kind = GOAL_E2E, .fixed = 3600 };
	struct rig *r = *state;
	slo_nsec now = running(r, 8);
	char id[16];

	sched_promise(r->s, r->m, &hour);
	for (int i = 0; i < 8; i++) {
		snprintf(id, sizeof(id), "a%d", i);
		submit(r, now, id);
		routed(r, now, id, "s1");
	}
	submit(r, now, "c");
	quiet(r, now);
	(void)answer(r, now + r->conf.queue_timeout, "c", SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
}

static void a_slow_engine_runs_as_many_at_once(void **state)
{
	const struct latency_speed late = { .late = 1, .ends = 50 };
	struct rig *r = *state;
	slo_nsec now = running(r, 8);
	struct seat *seat = sched_seat_find(r->m, r->server[1]);

	sched_server_usable(r->s, r->server[0], true);
	assert_int_equal(sched_recall_speed(r->s, seat, &late), SLO_OK);
	assert_true(seat->slower > 2);
	sched_server_usable(r->s, r->server[0], false);
	submit(r, now, "a");
	routed(r, now, "a", "s1");
	assert_true(r->server[1]->ledger.used == SLO_LOAD_ONE / 8);
}

/* Who falls back may go beyond it, and waits inside the engine then. */
static void what_waits_for_an_engine_teaches_nothing(void **state)
{
	static const char *const ids[] = { "a", "b", "c", "d" };
	struct rig *r = *state;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	sched_running_set(r->s, r->d, 1);
	for (int i = 0; i < 4; i++) {
		submit(r, SEC(1), ids[i]);
		(void)answer(r, SEC(1), ids[i], SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	}
	for (int i = 0; i < 4; i++)
		(void)end_with(
		    r, SEC(2), ids[i],
		    (struct sched_outcome){
			.outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
	assert_int_equal(r->d->learner->ends + r->d->learner->passed, 2);
}

/* Its error would be nothing beside an hour. */
static void who_asks_for_an_hour_teaches_what_it_teaches_others(void **state)
{
	struct rig *r = *state;
	slo_nsec now = running(r, 0);
	struct sched_request req = ask(r, "a", now);
	uint32_t before = r->d->learner->errors.bin[LATENCY_ERROR_BINS - 1];

	req.own.e2e = SEC(3600);
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
	routed(r, now, "a", "s1");
	(void)end_with(r, now + SEC(10), "a",
	               (struct sched_outcome){
			   .outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
	assert_int_equal(r->d->learner->errors.bin[LATENCY_ERROR_BINS - 1], before + 1);
}

/* What a server does at once is less than a cache of any size holds. */
static void a_cache_that_is_only_found_is_not_relied_on(void **state)
{
	struct rig *r = *state;
	int n = adaptive_in_flight(r, 0, 300);
	struct sched_request req = ask(r, "slo", SEC(1000));
	struct request *out;

	assert_in_range(n, 2, 1000);
	assert_true(r->server[1]->ledger.used <= SLO_LOAD_ONE);
	assert_int_equal(sched_submit(r->s, SEC(1000), &req, &out), SLO_OK);
	assert_true(rank_share(r->d, out) == rank_load(r->d, out));
}

/* One server of a learned deployment that is thought to hold 600 tokens, and nobody waited. */
static slo_nsec found_to_hold_600(struct rig *r)
{
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 0);
	now = serve_many(r, SEC(1), 40, 1);
	r->d->learner->room.limit = 600;
	return serve_many(r, now, 100, 1);
}

/* Where nobody waits another server has room, so how much more this one holds is not tried out. */
static void a_cache_is_found_to_be_larger_only_for_who_waits(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	now = found_to_hold_600(r);
	assert_true(r->d->learner->room.limit == 600);
	now = fill_learned(r, now, true);
	(void)end_with(r, now + SEC(1), "l0",
	               (struct sched_outcome){
			   .outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
	assert_true(r->d->learner->room.limit == 600 + 4 * (512 + 64));
}

/* When another agent's request arrived is not known, so nothing says that it waited. */
static void what_another_agent_placed_is_not_taken_for_one_that_waited(void **state)
{
	const struct sched_outcome o = {
		.outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1
	};
	struct rig *r = *state;
	struct sched_end out;
	slo_nsec now;

	now = found_to_hold_600(r);
	placed(r, now, owner(r, "b"), "x", 1);
	foreign_end(r->s, now + SEC(1), owner(r, "b"), "x", 1, &o, SEC(1), &out);
	assert_int_equal(out.result, SCHED_END_CLOSED);
	assert_true(r->d->learner->room.limit == 600);
}

/* Three requests of 16 prompts with an answer each. */
static bool is_disproved_by(struct rig *r, slo_nsec now, const char *id, int64_t input,
                            int64_t output)
{
	learn(r, FLEET_LEARNED, 9000);
	learn(r, FLEET_LEARNED, 1000);
	for (int i = 0; i < 3; i++, now += SEC(3)) {
		const struct sched_outcome o = {
			.outcome = LESSON_ANSWERED, .input = input, .output = output, .bytes = 8000
		};
		struct sched_request req = ask(r, id, now);
		struct sched_action act;

		req.id_len = (size_t)i + 1;
		req.input = 40000;
		req.sequences = 16;
		assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
		assert_true(sched_step(r->s, now, &act));
		(void)sched_end(r->s, now + SEC(2), id, req.id_len, &o, &(struct sched_end){ 0 });
	}
	return latency_room_disproved(&r->d->learner->room);
}

/* Tokens are of all prompts and answers together, and an estimate proves nothing. */
static void a_cache_is_larger_than_told_by_the_longest_sequence_that_was_told(void **state)
{
	assert_false(is_disproved_by(*state, SEC(10), "aaa", 20000, 4000));
	assert_false(is_disproved_by(*state, SEC(20), "bbb", -1, 4000));
	assert_false(is_disproved_by(*state, SEC(30), "ccc", 23000, -1));
	assert_true(is_disproved_by(*state, SEC(40), "ddd", 20000, 4016));
}

/* Its prompt was only estimated, and the cache has room for what it may have. */
static void one_whose_size_is_a_guess_is_not_refused(void **state)
{
	struct sched_action act;
	struct rig *r = *state;
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	now = serve_many(r, SEC(1), 300, 1);
	now = fill_learned(r, now, false) + r->conf.queue_timeout;
	assert_int_equal(r->d->force.state, LATENCY_HOT);
	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, SLO_FALLBACK);
	assert_int_equal(act.reason, SLO_REASON_QUEUE_TIMEOUT);
}

/* Prompts are twice as long as they look. The ends tell, so what is learned is of the real ones. */
static void real_sizes_teach(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);
	struct latency_features real = { .steps = 64, .prompts = 1024 };
	char id[16];

	learn(r, FLEET_LEARNED, 1e6);
	for (int i = 0; i < 300; i++) {
		struct sched_request req;
		struct sched_action act;

		snprintf(id, sizeof(id), "z%d", i);
		req = ask(r, id, now);
		req.input_told = false;
		assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
		assert_true(sched_step(r->s, now, &act));
		now += SEC(1);
		(void)end_with(r, now, id,
		               (struct sched_outcome){ .outcome = LESSON_ANSWERED,
		                                       .input = i % 2 ? 1024 : 256,
		                                       .output = 64,
		                                       .bytes = -1 });
	}
	/* Of half of them the prompt was a quarter, and all took the same: prompts cost nothing. */
	real.reads = 64 * 1056.0;
	assert_true(latency_fit_predict(&r->d->learner->fit, &real) < 1.1);
	assert_true(latency_fit_rate(&r->d->learner->fit, 1) * 1024 < 0.05);
}

/* A second deployment, of which little is known, beside one that serves all in time. Returns how
 * many of n requests went there. */
static int sent_beside(struct rig *r, struct deployment *slow, slo_nsec *now, int n, double seconds)
{
	static int number;
	struct sched_action act;
	char id[16];
	int there = 0;

	for (int i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "b%d", number++);
		submit(r, *now, id);
		assert_true(sched_step(r->s, *now, &act));
		there += act.seat->deployment == slow;
		(void)end_with(
		    r, *now + SEC(act.seat->deployment == slow ? seconds : 0.5), id,
		    (struct sched_outcome){
			.outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
		*now += SEC(seconds + 1);
	}
	return there;
}

static struct deployment *slow_beside(struct rig *r, slo_nsec *now, double seconds)
{
	struct deployment *slow = sched_deployment_add(r->m, "slow");

	(void)rig_server(r, slow, "s2");
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_LEARNED, 8192);
	assert_int_equal(sched_source_set(r->s, slow, FLEET_LEARNED, 8192), SLO_OK);
	(void)sent_beside(r, slow, now, 200, seconds);
	assert_int_not_equal(r->d->force.state, LATENCY_COLD);
	return slow;
}

static void a_slower_deployment_is_tried_now_and_then(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);
	struct deployment *slow = slow_beside(r, &now, 2);
	int there = sent_beside(r, slow, &now, 1000, 2);

	/* One of hundred, until it is known. */
	assert_in_range(there, 9, 11);
	(void)sent_beside(r, slow, &now, 10000, 2);
	assert_int_equal(slow->force.state, LATENCY_HOT);
	assert_int_equal(sent_beside(r, slow, &now, 1000, 2), 0);
}

/* What is sent there to learn is seen by those who come next. */
static void one_that_tries_a_deployment_has_a_stake_there(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);
	struct deployment *slow = slow_beside(r, &now, 2);
	struct sched_action act = { .seat = NULL };
	int n = 0;

	do {
		struct sched_request req;
		char id[16];

		snprintf(id, sizeof(id), "a%d", n);
		req = ask(r, id, now);
		req.strategy = SLO_STRATEGY_ADAPTIVE;
		assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
		assert_true(sched_step(r->s, now, &act));
		assert_int_equal(act.verdict, SLO_ROUTE);
		assert_int_equal(act.seat->server->sums.count, act.seat->server->ledger.inflight);
		(void)end(r, now + SEC(1), id);
		now += SEC(2);
	} while (act.seat->deployment != slow && ++n < 200);
	assert_true(n < 200);
}

static void nobody_is_late_for_it(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);
	struct deployment *slow = slow_beside(r, &now, 9);

	/* As soon as its few ends say that it takes longer than the target, it is let alone. */
	(void)sent_beside(r, slow, &now, 1000, 9);
	assert_int_equal(sent_beside(r, slow, &now, 1000, 9), 0);
}

/* A first few that were late may only have shown that the first guess was wrong. */
static void one_that_is_little_known_is_tried_whatever_is_foreseen(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);
	struct deployment *slow = NULL;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_LEARNED, 8192);
	now = serve_many(r, now, 200, 0.5);
	slow = sched_deployment_add(r->m, "slow");
	(void)rig_server(r, slow, "s2");
	assert_int_equal(sched_source_set(r->s, slow, FLEET_LEARNED, 8192), SLO_OK);
	/* One of ten, until it is known. */
	assert_in_range(sent_beside(r, slow, &now, 100, 9), 9, 12);
	assert_int_equal(slow->force.state, LATENCY_COLD);
	assert_in_range(sent_beside(r, slow, &now, 1000, 9), 18, 21);
	assert_int_equal(slow->force.state, LATENCY_WARM);
	assert_int_equal(sent_beside(r, slow, &now, 1000, 9), 0);
}

static void a_slow_server_gets_less(void **state)
{
	struct rig *r = *state;
	slo_nsec now = SEC(1);

	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_LEARNED, 8192);
	now = serve_many(r, now, 400, 0.5);
	assert_true(sched_seat_find(r->m, r->server[0])->slower == 1);
	for (int i = 0; i < 200; i++) {
		struct sched_action act;
		bool slow;

		submit(r, now, "x");
		assert_true(sched_step(r->s, now, &act));
		slow = act.seat->server == r->server[0];
		submit(r, now, "y"); /* the other server */
		assert_true(sched_step(r->s, now, &act));
		(void)end_with(
		    r, now + SEC(slow ? 1 : 0.5), "x",
		    (struct sched_outcome){
			.outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
		(void)end_with(
		    r, now + SEC(1), "y",
		    (struct sched_outcome){ .outcome = slow ? LESSON_LEFT : LESSON_ANSWERED,
		                            .input = 512,
		                            .output = 64,
		                            .bytes = -1 });
		now += r->conf.remember_ended + SEC(2);
	}
	assert_true(sched_seat_find(r->m, r->server[0])->slower > 1.5);
	assert_true(sched_seat_find(r->m, r->server[1])->slower == 1);
}

/* A long random run with a player beside it, which learns nothing by itself. */

#define AT_ONCE 64

struct toy {
	struct rng rng;
	slo_nsec ends[AT_ONCE]; /* 0: free */
	int output[AT_ONCE];
	int number[AT_ONCE];
	int started;
};

static void toy_obey(struct toy *t, struct rig *r, slo_nsec now)
{
	struct sched_action act;

	while (sched_step(r->s, now, &act)) {
		int i = atoi(act.request->id) % AT_ONCE;
		double each;

		if (!act.seat) {
			t->ends[i] = 0;
			continue;
		}
		each = 0.02 + 0.002 * act.seat->server->ledger.inflight +
		       (act.seat->server == r->server[0] ? 0.08 : 0);
		t->ends[i] = now + SEC(0.05 + each * t->output[i]);
	}
}

static void toy_arrive(struct toy *t, struct rig *r, slo_nsec now)
{
	struct sched_request req;
	int i = t->started % AT_ONCE;
	char id[16];

	if (t->ends[i] != 0)
		return;
	snprintf(id, sizeof(id), "%d", t->started);
	t->output[i] = (int)(8 + rng_below(&t->rng, 100));
	t->number[i] = t->started++;
	t->ends[i] = SLO_NEVER; /* until it is placed */
	req = ask(r, id, now);
	req.output = -1;
	req.input = (int64_t)(50 + rng_below(&t->rng, 1000));
	req.own.e2e = rng_below(&t->rng, 5) ? 0 : SEC(4);
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
}

static void toy_end(struct toy *t, struct rig *r, slo_nsec now)
{
	for (int i = 0; i < AT_ONCE; i++) {
		struct sched_end out;
		char id[16];

		if (t->ends[i] == 0 || t->ends[i] > now)
			continue;
		snprintf(id, sizeof(id), "%d", t->number[i]);
		sched_end(r->s, now, id, strlen(id),
		          &(struct sched_outcome){ .outcome = LESSON_ANSWERED,
		                                   .input = 512,
		                                   .output = t->output[i],
		                                   .bytes = -1 },
		          &out);
		t->ends[i] = 0;
	}
}

/* One whose prompt was only estimated may go where one of a told size is refused. */
static void a_size_that_is_a_guess_replays_as_one(void **state)
{
	struct sched_action act;
	struct rig *r = *state;
	slo_nsec now;

	sched_server_usable(r->s, r->server[0], false);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 1e6);
	now = serve_many(r, SEC(1), 300, 1);
	quiet(r, now);
	record(r, now);
	now = fill_learned(r, now, false);
	quiet(r, now);
	record(r, now); /* also of one that waits when the recording begins */
	assert_true(sched_step(r->s, now + r->conf.queue_timeout, &act));
	assert_int_equal(act.verdict, SLO_FALLBACK);
	stop_playing();
}

static slo_nsec waits_in_vain(struct rig *r, slo_nsec since, enum slo_verdict verdict)
{
	slo_nsec now = since + r->conf.queue_timeout;
	struct sched_action act;

	assert_true(sched_step(r->s, now, &act));
	assert_int_equal(act.verdict, verdict);
	assert_int_equal(act.reason, SLO_REASON_QUEUE_TIMEOUT);
	return now;
}

/* Its cache, though no room follows from that, to the player as well. */
static void count_as_told(struct rig *r, bool told)
{
	struct sched_model *m = sched_model_find(player_sched(player), "m", 1);

	r->d->force.rates.kv_told = told;
	m->pool.deployment[r->d->index]->force.rates.kv_told = told;
}

/* It is in time there all the same. If many were let in so, all would be late in an overload. */
static void one_of_slo_adaptive_in_a_hundred_comes_on_top_and_replays(void **state)
{
	struct rig *r = *state;
	struct sched_request req;
	struct sched_action act;
	struct pool *pool;
	slo_nsec now;

	(void)adaptive_until_one_waits(r, 0, 300, &now);
	assert_int_equal(r->d->force.state, LATENCY_HOT);
	pool = r->d->pool;
	pool->on_top = pool->turns - 99;
	quiet(r, now);
	record(r, now);
	count_as_told(r, true);
	now = waits_in_vain(r, now, SLO_REJECT);
	req = ask(r, "b", now);
	req.strategy = SLO_STRATEGY_ADAPTIVE;
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
	assert_false(sched_step(r->s, now, &act));
	count_as_told(r, false);
	pool->on_top--;
	quiet(r, now);
	record(r, now);
	count_as_told(r, true);
	(void)waits_in_vain(r, now, SLO_FALLBACK);
	assert_true(pool->turns - pool->on_top == 1);
	player_free(player);
	player = NULL;
}

static void each_of_slo_adaptive_does_where_the_cache_is_only_found(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	(void)adaptive_until_one_waits(r, 0, 300, &now);
	r->d->pool->on_top = r->d->pool->turns;
	quiet(r, now);
	(void)waits_in_vain(r, now, SLO_FALLBACK);
}

static void what_was_learned_replays(void **state)
{
	struct rig *r = *state;
	struct toy t = { .started = 0 };
	slo_nsec now = SEC(1);
	size_t all = 0;

	rng_init(&t.rng, 5);
	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &five_seconds);
	learn(r, FLEET_AUTO, 0);
	while (sched_step(r->s, now, &(struct sched_action){ 0 }))
		;
	record(r, now);
	for (int i = 0; i < 20000; i++) {
		now += MSEC(20);
		if (rng_below(&t.rng, 2))
			toy_arrive(&t, r, now);
		toy_end(&t, r, now);
		toy_obey(&t, r, now);
		if (i % 1000 == 999) {
			sched_check(r->s);
			sched_check(player_sched(player));
			all += decisions;
			record(r, now);
		}
	}
	assert_true(all > 1000);
	assert_true(r->d->learner->ends + r->d->learner->passed > 1000);
	assert_true(sched_seat_find(r->m, r->server[0])->slower > 1);
	stop_playing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_promise_replaces_the_profiles_target),
		TEST(a_requests_own_target_wins),
		TEST(a_promise_needs_no_profile_to_be_measured),
		TEST(without_a_promise_a_cold_model_is_left_alone),
		TEST(a_cold_model_spreads_tokens),
		TEST(after_few_ends_it_routes),
		TEST(a_size_that_was_never_seen_is_answered_as_the_nearest_one),
		TEST(estimates_that_are_off_are_drawn_to_what_prompts_were),
		TEST(only_ends_that_completed_with_known_size_teach),
		TEST(leases_of_another_process_teach_nothing),
		TEST(one_that_waited_for_a_doubted_server_is_not_refused),
		TEST(one_that_waited_for_a_known_server_is_refused),
		TEST(a_target_per_token_is_missed_for_sure_only_by_far),
		TEST(one_that_is_in_time_without_room_is_not_refused),
		TEST(relaxed_ones_may_wait_inside),
		TEST(they_may_while_few_have_ended),
		TEST(engines_that_run_few_at_once_get_no_more),
		TEST(they_are_full_of_those_that_fell_back),
		TEST(none_comes_on_top_of_all_that_may_run),
		TEST(a_slow_engine_runs_as_many_at_once),
		TEST(what_waits_for_an_engine_teaches_nothing),
		TEST(who_asks_for_an_hour_teaches_what_it_teaches_others),
		TEST(a_cache_that_is_only_found_is_not_relied_on),
		TEST(a_cache_is_found_to_be_larger_only_for_who_waits),
		TEST(what_another_agent_placed_is_not_taken_for_one_that_waited),
		TEST(a_cache_is_larger_than_told_by_the_longest_sequence_that_was_told),
		TEST(one_whose_size_is_a_guess_is_not_refused),
		TEST(real_sizes_teach),
		TEST(a_slow_server_gets_less),
		TEST(a_slower_deployment_is_tried_now_and_then),
		TEST(one_that_tries_a_deployment_has_a_stake_there),
		TEST(nobody_is_late_for_it),
		TEST(one_that_is_little_known_is_tried_whatever_is_foreseen),
		TEST(a_size_that_is_a_guess_replays_as_one),
		TEST(one_of_slo_adaptive_in_a_hundred_comes_on_top_and_replays),
		TEST(each_of_slo_adaptive_does_where_the_cache_is_only_found),
		TEST(what_was_learned_replays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
