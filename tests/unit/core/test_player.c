/* A player decides what the scheduler decided that it was told of. tests/prop compares the two on
 * random operations; here is what these do not reach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "foreign_build.h"
#include "play_build.h"

static int drop_all(void **state)
{
	stop_playing();
	return rig_drop(state);
}

static void steps_that_do_nothing_are_not_told(void **state)
{
	struct rig *r = *state;

	quiet(r, SEC(1));
	record(r, SEC(1));
	quiet(r, SEC(2));
	assert_int_equal(events, 0);
	submit(r, SEC(3), "a");
	routed(r, SEC(3), "a", "s1");
	quiet(r, SEC(3));
	quiet(r, SEC(4));
	assert_int_equal(events, 3);
	assert_int_equal(last.kind, SLO_EVENT_STEP);
}

static void it_is_not_quiet_until_it_stepped(void **state)
{
	struct rig *r = *state;

	assert_false(sched_is_quiet(r->s)); /* its servers came */
	quiet(r, SEC(1));
	assert_true(sched_is_quiet(r->s));
	submit(r, SEC(1), "a");
	assert_false(sched_is_quiet(r->s));
	routed(r, SEC(1), "a", "s1");
	quiet(r, SEC(1));
	assert_true(sched_is_quiet(r->s));
}

static void several_requests_before_a_step(void **state)
{
	struct rig *r = *state;
	char id[16];

	quiet(r, 0);
	record(r, 0);
	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		submit(r, SEC(1) + i, id);
	}
	for (int i = 0; i < 4; i++)
		assert_true(sched_step(r->s, SEC(1) + 12, &(struct sched_action){ 0 }));
	quiet(r, SEC(1) + 12);
	end(r, SEC(2), "r1");
	end(r, SEC(2), "r2");
	end(r, SEC(2), "r11"); /* leaves */
	while (sched_step(r->s, SEC(3), &(struct sched_action){ 0 }))
		;
	assert_int_equal(decisions, 4 + 1 + 2);
}

static void guesses_are_told_and_random_servers_stay_the_same(void **state)
{
	const struct sched_outcome done = {
		.outcome = LESSON_ANSWERED, .input = 500, .output = 90, .bytes = 900
	};
	struct rig *r = *state;
	char id[16];

	quiet(r, 0);
	record(r, 0);
	for (int i = 0; i < 200; i++) {
		struct sched_request req;

		snprintf(id, sizeof(id), "r%d", i);
		req = ask(r, id, i);
		req.strategy = i % 2 ? SLO_STRATEGY_RANDOM : SLO_STRATEGY_SLO;
		req.output = -1;
		req.input_told = false;
		assert_int_equal(sched_submit(r->s, i, &req, NULL), SLO_OK);
		while (sched_step(r->s, i, &(struct sched_action){ 0 }))
			;
		end_with(r, i, id, done);
		while (sched_step(r->s, i, &(struct sched_action){ 0 }))
			;
		if (i == 100)
			record(r, i);
	}
	assert_int_equal(decisions, 99);
}

/* The limit was larger when they came. */
static void more_wait_than_the_limit_allows(void **state)
{
	struct rig *r = *state;
	char id[16];

	fill_up(r, 0);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		submit(r, SEC(1), id);
		quiet(r, SEC(1));
	}
	r->conf.queue_limit = 2;
	sched_configure(r->s, &r->conf);
	quiet(r, SEC(1));
	record(r, SEC(1));
	assert_int_equal(sched_counts(player_sched(player)).queued, 5);
	submit(r, SEC(2), "x");
	answer(r, SEC(2), "x", SLO_REJECT, SLO_REASON_QUEUE_FULL);
	quiet(r, SEC(2));
	sched_server_surplus(r->s, r->server[0], 1);
	sched_server_surplus(r->s, r->server[0], 0);
	quiet(r, SEC(2));
	end(r, SEC(3), "f0");
	while (sched_step(r->s, SEC(3), &(struct sched_action){ 0 }))
		;
	assert_int_equal(sched_counts(player_sched(player)).queued, sched_counts(r->s).queued);
}

/* When "late" still was in time it had a place of its own; nobody came since that waits still. */
static void who_lost_a_level_at_the_last_look_lost_it(void **state)
{
	struct rig *r = *state;
	const struct queue *played;

	fill_up(r, 0);
	submit_created(r, 0, "late", SEC(-10));
	submit(r, 0, "in time");
	quiet(r, 0);
	assert_int_equal(r->m->queue.heads, 2);
	submit(r, SEC(5), "passer-by");
	quiet(r, SEC(5));
	end(r, SEC(5), "passer-by");
	answer(r, SEC(5), "passer-by", SLO_PASS, SLO_REASON_ENDED);
	quiet(r, SEC(6));
	assert_int_equal(r->m->queue.heads, 1);
	record(r, SEC(7));
	played = &sched_model_find(player_sched(player), "m", 1)->queue;
	assert_int_equal(played->heads, 1);
	assert_true(played->looked == r->m->queue.looked);
	end(r, SEC(7), "f0");
	routed(r, SEC(7), "late", "s1");
	quiet(r, SEC(7));
	assert_int_equal(decisions, 1);
}

struct forged {
	slo_nsec later; /* than it was the queue was looked at */
	bool refused;
};

static void play_forged(void *arg, const struct slo_event *e)
{
	struct forged *f = arg;
	struct slo_event forged = *e;
	struct sched_action act;
	const char *why;
	bool acted;

	if (e->kind == SLO_EVENT_TRIED)
		forged.waited = f->later;
	if (!f->refused)
		f->refused = player_apply(player, &forged, &act, &acted, &why) == SLO_EINVAL;
	assert_false(e->kind == SLO_EVENT_TRIED && !f->refused);
	assert_false(e->kind == SLO_EVENT_SUBMIT && f->refused);
}

/* The state is of SEC(2), and the only one that waits was tried at 0. */
static void a_look_before_the_try_or_behind_the_state_is_refused(void **state)
{
	static const slo_nsec wrong[] = { -1, SEC(2) + 1, INT64_MAX, INT64_MIN };
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct forged f = { .later = wrong[i] };
		const struct sched_tap tap = { play_forged, &f };

		player_free(player);
		player = player_new();
		sched_tell_state(r->s, &tap, SEC(2), 0);
		assert_true(f.refused);
		sched_check(player_sched(player));
	}
}

static void what_runs_on_a_server_that_left_its_model_stays_charged(void **state)
{
	struct rig *r = *state;
	struct sched_model *other = sched_model_add(r->s, "other", SLO_STRATEGY_SLO);
	struct deployment *d = sched_deployment_add(other, "x");

	assert_int_equal(sched_server_seat(r->s, d, r->server[0]), SLO_OK);
	fill_up(r, 0);
	sched_seat_remove(r->s, sched_seat_find(r->m, r->server[0]));
	sched_server_surplus(r->s, r->server[1], 3);
	quiet(r, 0);
	record(r, 0);
	for (int i = 0; i < 2; i++) {
		const struct server *same = player_server(player, r->server[i]->number);

		assert_int_equal(same->ledger.used, r->server[i]->ledger.used);
		assert_int_equal(same->ledger.inflight, r->server[i]->ledger.inflight);
	}
	sched_model_remove(r->s, r->m);
	quiet(r, 0);
	record(r, 0);
	assert_int_equal(player_server(player, r->server[0]->number)->ledger.used,
	                 r->server[0]->ledger.used);
	end(r, 1, "f0");
	end(r, 1, "f1");
	end(r, 1, "f2");
	end(r, 1, "f3");
	quiet(r, 1);
	assert_int_equal(player_server(player, r->server[0]->number)->ledger.used, 0);
}

static void requests_that_are_let_go(void **state)
{
	struct rig *r = *state;
	struct sched_action act;

	fill_up(r, 0);
	submit(r, 1, "w");
	quiet(r, 1);
	record(r, 1);
	assert_true(sched_let_go(r->s, 2, &act));
	assert_int_equal(last.kind, SLO_EVENT_LET_GO);
	assert_int_equal(decisions, 1);
}

static void a_profile_survives_with_all_its_numbers(void **state)
{
	static const double inputs[] = { 16, 128, 1000, 8000 }, tputs[] = { 8, 0, 3.3, 0.01 };
	struct profile *p = profile_by_input(4, inputs, tputs, 7.5), *same;
	struct slo_event e = { .kind = SLO_EVENT_PROFILE };

	(void)state;
	assert_true(profile_to_event(p, &e));
	assert_int_equal(profile_from_event(&e, &same), SLO_OK);
	for (int64_t input = 0; input < 20000; input += 7) {
		struct slo_target none = { 0 };
		size_t cell = profile_cell(p, input, 64);
		struct goal goal = profile_goal(same, &none);
		slo_nsec a, b;

		assert_int_equal(profile_cell(same, input, 64), cell);
		assert_int_equal(profile_load(same, cell), profile_load(p, cell));
		assert_int_equal(profile_infeasible(same, cell), profile_infeasible(p, cell));
		assert_true(profile_rank(p, cell, &goal, goal_span(&goal, input, 64), &a));
		assert_true(profile_rank(same, cell, &goal, goal_span(&goal, input, 64), &b));
		assert_int_equal(a, b);
	}
	assert_true(profile_created(same) == profile_created(p));
	profile_free(same);
	/* One number more or less, and none of these is a profile. */
	e.list_n--;
	assert_int_equal(profile_from_event(&e, &same), SLO_EINVAL);
	e.list_n++;
	e.order = UINT64_MAX;
	assert_int_equal(profile_from_event(&e, &same), SLO_EINVAL);
	e.order = 0;
	e.count = INT64_MAX;
	assert_int_equal(profile_from_event(&e, &same), SLO_EINVAL);
	free((void *)e.list);
	profile_free(p);
}

static void nonsense_is_refused(void **state)
{
	static const int64_t options[SLO_EVENT_OPTIONS] = { 99 };
	static const struct slo_event bad[] = {
		{ .kind = SLO_EVENT_START },
		{ .kind = SLO_EVENT_QUIET, .now = SEC(1) },
		{ .kind = SLO_EVENT_CONFIG },
		{ .kind = SLO_EVENT_CONFIG, .list = options, .list_n = SLO_EVENT_OPTIONS },
		{ .kind = SLO_EVENT_MODEL, .model = 0, .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_MODEL, .model = 1, .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_MODEL, .model = 77, .text = { (const uint8_t *)"m", 1 } },
		{ .kind = SLO_EVENT_MODEL_GONE, .model = 77 },
		{ .kind = SLO_EVENT_DEPLOYMENT, .model = 77 },
		{ .kind = SLO_EVENT_DEPLOYMENT_GONE, .model = 1, .deployment = 1 },
		{ .kind = SLO_EVENT_ORDER, .model = 1 },
		{ .kind = SLO_EVENT_SERVER, .server = 1, .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_SEAT, .model = 1, .server = 2, .order = 1 },
		{ .kind = SLO_EVENT_SEAT_MOVED, .model = 1, .server = 2, .deployment = 1 },
		{ .kind = SLO_EVENT_SEAT_GONE, .model = 1, .server = 77 },
		{ .kind = SLO_EVENT_USABLE, .server = 77 },
		{ .kind = SLO_EVENT_PROFILE, .model = 1 },
		{ .kind = SLO_EVENT_PROFILE_GONE, .model = 77 },
		{ .kind = SLO_EVENT_SURPLUS, .server = 2, .count = -1 },
		{ .kind = SLO_EVENT_SURPLUS, .server = 2, .load = 1 },
		{ .kind = SLO_EVENT_WITHHELD, .server = 2, .load = SLO_LOAD_ONE + 1 },
		{ .kind = SLO_EVENT_WITHHELD, .server = 77, .load = 1 },
		{ .kind = SLO_EVENT_SEAT_TURN, .model = 1, .server = 2 },
		{ .kind = SLO_EVENT_MODEL_TURN, .model = 1, .order = 9 },
		{ .kind = SLO_EVENT_MODEL_TURN, .model = 1, .order = UINT64_MAX, .count = 1 },
		{ .kind = SLO_EVENT_MODEL_TURN, .model = 1, .order = UINT64_MAX, .count = -1 },
		{ .kind = SLO_EVENT_SUBMIT, .model = 1 },
		{ .kind = SLO_EVENT_SUBMIT, .model = 77, .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_SUBMIT,
		  .model = 1,
		  .text = { (const uint8_t *)"x", 1 },
		  .strategy = SLO_STRATEGIES },
		{ .kind = SLO_EVENT_SUBMIT,
		  .model = 1,
		  .text = { (const uint8_t *)"x", 1 },
		  .created = INT64_MIN },
		{ .kind = SLO_EVENT_SUBMIT,
		  .model = 1,
		  .text = { (const uint8_t *)"x", 1 },
		  .count = INT64_C(1) << 31 },
		{ .kind = SLO_EVENT_LEASE,
		  .model = 1,
		  .server = 77,
		  .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_LEASE,
		  .model = 1,
		  .server = 2,
		  .text = { (const uint8_t *)"x", 1 },
		  .arrived = INT64_MIN },
		{ .kind = SLO_EVENT_LEASE,
		  .model = 1,
		  .server = 2,
		  .text = { (const uint8_t *)"x", 1 },
		  .created = INT64_MAX },
		{ .kind = SLO_EVENT_FOREIGN,
		  .now = 1,
		  .model = 1,
		  .server = 2,
		  .order = 1,
		  .text = { (const uint8_t *)"x", 1 },
		  .arrived = INT64_MIN },
		{ .kind = SLO_EVENT_STAKE, .text = { (const uint8_t *)"x\0", 2 } },
		{ .kind = SLO_EVENT_OTHERS, .count = -1 },
		{ .kind = SLO_EVENT_OTHERS, .count = FOREIGN_OWNERS_MAX + 1 },
		{ .kind = SLO_EVENT_OTHERS, .count = 1, .order = 2 },
		{ .kind = SLO_EVENT_FRESH, .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_TRIED, .text = { (const uint8_t *)"x", 1 } },
		{ .kind = SLO_EVENT_END },
		{ .kind = SLO_EVENT_STEP, .now = INT64_MAX },
		{ .kind = SLO_EVENT_PASS },
	};
	struct rig *r = *state;
	struct sched_action act;
	const char *why;
	bool acted;

	player = player_new();
	for (size_t i = 1; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (player_apply(player, &bad[i], &act, &acted, &why) != SLO_EINVAL || !why)
			fail_msg("event %zu before the start", i);
	quiet(r, 0);
	record(r, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (player_apply(player, &bad[i], &act, &acted, &why) != SLO_EINVAL || !why)
			fail_msg("event %zu", i);
		sched_check(player_sched(player));
	}
}

static bool apply(enum slo_event_kind kind, slo_nsec now, const char *id)
{
	const struct slo_event e = { .kind = kind,
		                     .now = now,
		                     .model = 1,
		                     .server = 2,
		                     .text = slice_of(id),
		                     .input = 512,
		                     .output = 64 };
	struct sched_action act;
	const char *why;
	bool acted;

	assert_int_equal(player_apply(player, &e, &act, &acted, &why), SLO_OK);
	assert_true(!acted || act.waited >= 0);
	return acted;
}

/* A file may say so; the scheduler relies on it. */
static void time_does_not_go_back(void **state)
{
	struct rig *r = *state;

	quiet(r, 0);
	record(r, 0);
	(void)apply(SLO_EVENT_SUBMIT, SEC(9), "a");
	assert_true(apply(SLO_EVENT_DECISION, SEC(8), "a"));
	(void)apply(SLO_EVENT_SUBMIT, SEC(7), "b");
	assert_true(apply(SLO_EVENT_DECISION, SEC(6), "b"));
	(void)apply(SLO_EVENT_LEASE, SEC(5), "c"); /* it ran since then */
	sched_check(player_sched(player));
	(void)apply(SLO_EVENT_END, SEC(4), "b");
	(void)apply(SLO_EVENT_END, SEC(3), "a");
	assert_int_equal(sched_counts(player_sched(player)).dispatched, 1);
	sched_check(player_sched(player));
}

/* So that both look at the same servers when the next one has room. */
static void no_room_is_new_when_the_state_is_complete(void **state)
{
	struct rig *r = *state;
	const struct sched_model *m;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_false(r->m->pool.freed_many);
	record(r, 0);
	m = sched_model_find(player_sched(player), "m", 1);
	assert_false(m->pool.freed_many || m->pool.freed_by || m->pool.deployment[0]->freed);
}

static void none_is_charged_under_the_id_of_one_that_is_over(void **state)
{
	struct slo_event e = {
		.kind = SLO_EVENT_LEASE,
		.now = SEC(2),
		.model = 1,
		.server = 2,
		.text = { (const uint8_t *)"a", 1 },
	};
	struct rig *r = *state;
	struct sched_action act;
	const char *why;
	bool acted;

	quiet(r, 0);
	record(r, 0);
	submit(r, SEC(1), "a");
	routed(r, SEC(1), "a", "s1");
	end(r, SEC(2), "a");
	assert_int_equal(last.kind, SLO_EVENT_END);
	assert_int_equal(player_apply(player, &e, &act, &acted, &why), SLO_EINVAL);
	sched_check(player_sched(player));
	e.text.p = (const uint8_t *)"b";
	assert_int_equal(player_apply(player, &e, &act, &acted, &why), SLO_OK);
	sched_check(player_sched(player));
}

/* A file may say so; the oldest one has to be known. */
static void fresh_ones_are_told_in_the_order_of_their_dispatch(void **state)
{
	static const struct slo_event others = { .kind = SLO_EVENT_OTHERS, .count = 1 },
				      fresh_a = { .kind = SLO_EVENT_FRESH,
		                                  .text = { (const uint8_t *)"a", 1 } };
	struct rig *r = *state;
	struct sched_action act;
	const char *why;
	bool acted;

	quiet(r, 0);
	record(r, 0);
	assert_int_equal(player_apply(player, &others, &act, &acted, &why), SLO_OK);
	(void)apply(SLO_EVENT_LEASE, SEC(1), "a");
	(void)apply(SLO_EVENT_LEASE, SEC(1), "b");
	(void)apply(SLO_EVENT_LEASE, SEC(1), "c");
	(void)apply(SLO_EVENT_FRESH, SEC(1), "b");
	sched_check(player_sched(player));
	assert_int_equal(player_apply(player, &fresh_a, &act, &acted, &why), SLO_EINVAL);
	sched_check(player_sched(player));
	(void)apply(SLO_EVENT_FRESH, SEC(1), "c");
	sched_check(player_sched(player));
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_make, drop_all)

static void same_ledgers(const struct rig *r)
{
	for (int i = 0; i < 2; i++) {
		const struct server *s = r->server[i], *played = player_server(player, s->number);

		assert_int_equal(played->ledger.used, s->ledger.used);
		assert_int_equal(played->ledger.inflight, s->ledger.inflight);
	}
	sched_check(player_sched(player));
}

/* Its turn comes in a step, which tells of the end first. */
static void an_end_at_our_turn_is_played_where_it_counted(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	b->turn = MSEC(6);
	placed(r, SEC(1), b, "x", 0);
	quiet(r, SEC(1));
	record(r, SEC(1));
	same_ledgers(r);
	placed(r, SEC(2), b, "y", 0);
	submit(r, SEC(2), "f1");
	routed(r, SEC(2), "f1", "s1");
	submit(r, SEC(2), "f2");
	routed(r, SEC(2), "f2", "s1");
	submit(r, SEC(2), "w");
	quiet(r, SEC(2));
	assert_int_equal(ended(r, SEC(3), b, "x"), SCHED_END_CLOSED);
	same_ledgers(r);
	routed(r, SEC(3) + MSEC(6), "w", "s0");
	quiet(r, SEC(3) + MSEC(6));
	same_ledgers(r);
	assert_int_equal(line(r, SEC(4), "y"), SCHED_END_CLOSED);
	quiet(r, SEC(4));
	same_ledgers(r);
	assert_int_equal(learned(r, SEC(4)), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(steps_that_do_nothing_are_not_told),
		TEST(it_is_not_quiet_until_it_stepped),
		TEST(several_requests_before_a_step),
		TEST(guesses_are_told_and_random_servers_stay_the_same),
		TEST(more_wait_than_the_limit_allows),
		TEST(who_lost_a_level_at_the_last_look_lost_it),
		TEST(a_look_before_the_try_or_behind_the_state_is_refused),
		TEST(what_runs_on_a_server_that_left_its_model_stays_charged),
		TEST(requests_that_are_let_go),
		TEST(a_profile_survives_with_all_its_numbers),
		TEST(nonsense_is_refused),
		TEST(time_does_not_go_back),
		TEST(no_room_is_new_when_the_state_is_complete),
		TEST(none_is_charged_under_the_id_of_one_that_is_over),
		TEST(fresh_ones_are_told_in_the_order_of_their_dispatch),
		TEST(an_end_at_our_turn_is_played_where_it_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
