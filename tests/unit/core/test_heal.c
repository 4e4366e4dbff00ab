#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "core/heal.h"
#include "sched_build.h"

#define MS(n)    ((n)*SLO_NSEC_PER_MSEC)
#define S(n)     ((n)*SLO_NSEC_PER_SEC)
#define POLL     S(1)
#define GRACE    S(3)
#define DEPARTED S(60)
#define HALF     (SLO_LOAD_ONE / 2)

/* The rig with one usable server, s0, and pushed requests, so that it takes any number. */
struct ward {
	struct rig *r;
	struct server *server;
	struct heal h;
};

static struct ward ward_of(void **state)
{
	struct ward w = { .r = *state };

	w.server = w.r->server[0];
	sched_server_usable(w.r->s, w.r->server[1], false);
	heal_init(&w.h, POLL, GRACE, DEPARTED);
	return w;
}

static void push(struct ward *w, slo_nsec now, const char *id)
{
	struct sched_request req = ask(w->r, id, now);
	struct sched_action act;

	req.strategy = SLO_STRATEGY_LEAST_LOAD;
	assert_int_equal(sched_submit(w->r->s, now, &req, NULL), SLO_OK);
	assert_true(sched_step(w->r->s, now, &act));
	assert_ptr_equal(act.seat->server, w->server);
}

static void conclude(struct ward *w, slo_nsec now, bool whole)
{
	heal_conclude(&w->h, w->r->s, now, whole);
	sched_check(w->r->s);
}

/* A round that is concluded 20 ms later. */
static void poll(struct ward *w, slo_nsec now, uint32_t sessions)
{
	heal_ask(&w->h, w->r->s, now);
	heal_count(&w->h, w->server, sessions);
	conclude(w, now + MS(20), true);
}

static void expect(const struct ward *w, uint32_t leases, uint32_t surplus)
{
	assert_int_equal(fleet_leases(w->server), leases);
	assert_int_equal(w->server->surplus_count, surplus);
	assert_int_equal(w->server->ledger.inflight, leases + surplus);
}

static uint64_t repairs(const struct ward *w, enum fleet_repair cause)
{
	return w->server->repairs[cause];
}

/* ---- more there than here ---- */

static void what_is_more_there_weighs_the_mean_of_what_is_here(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	poll(&w, S(2), 3);
	expect(&w, 1, 2);
	assert_int_equal(w.server->ledger.used, 3 * HALF);
	assert_int_equal(w.server->view.drift, 2);
	assert_int_equal(repairs(&w, FLEET_REPAIR_SURPLUS), 2);
	/* One of them ended, the lease too: what is left weighs what was usual here. */
	assert_int_equal(end(w.r, MS(2500), "a"), SCHED_END_CLOSED);
	poll(&w, S(3), 1);
	expect(&w, 0, 1);
	assert_int_equal(w.server->ledger.used, HALF);
	poll(&w, S(4), 0);
	expect(&w, 0, 0);
	assert_int_equal(w.server->ledger.used, 0);
	assert_int_equal(repairs(&w, FLEET_REPAIR_SURPLUS), 2);
}

static void with_nothing_to_go_by_it_weighs_a_sixteenth(void **state)
{
	struct ward w = ward_of(state);

	poll(&w, S(1), 3);
	expect(&w, 0, 3);
	assert_int_equal(w.server->ledger.used, 3 * (SLO_LOAD_ONE / 16));
}

static void a_count_that_nobody_can_have_is_cut(void **state)
{
	struct ward w = ward_of(state);

	heal_ask(&w.h, w.r->s, S(1));
	heal_count(&w.h, w.server, UINT32_MAX);
	heal_count(&w.h, w.server, UINT32_MAX);
	conclude(&w, S(1), true);
	expect(&w, 0, SURPLUS_MAX);
	poll(&w, S(2), 0);
	expect(&w, 0, 0);
}

static void what_was_here_at_any_moment_of_the_round_is_no_surplus(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "ended");
	push(&w, S(1), "stays");
	heal_ask(&w.h, w.r->s, S(2));
	end(w.r, S(2) + MS(1), "ended"); /* HAProxy counted it just before */
	push(&w, S(2) + MS(1), "new");
	end(w.r, S(2) + MS(2), "new");
	push(&w, S(2) + MS(2), "newer");
	heal_count(&w.h, w.server, 4);
	conclude(&w, S(2) + MS(3), true);
	expect(&w, 2, 0);
	poll(&w, S(3), 4); /* but now */
	expect(&w, 2, 2);
}

static void room_that_surplus_gives_back_is_used(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	end(w.r, S(1), "a");
	poll(&w, S(2), 2);
	assert_int_equal(w.server->ledger.used, SLO_LOAD_ONE);
	submit(w.r, S(2) + MS(10), "waits");
	quiet(w.r, S(2) + MS(10));
	poll(&w, S(3), 2);
	quiet(w.r, S(3));
	poll(&w, S(4), 1);
	routed(w.r, S(4), "waits", "s0");
	expect(&w, 1, 1);
}

static void processes_of_haproxy_are_summed(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	for (int i = 2; i < 8; i++) {
		heal_ask(&w.h, w.r->s, S(i));
		heal_count(&w.h, w.server, 0);
		heal_count(&w.h, w.server, 1);
		conclude(&w, S(i), true);
		expect(&w, 1, 0);
	}
	heal_ask(&w.h, w.r->s, S(9));
	heal_count(&w.h, w.server, 2);
	heal_count(&w.h, w.server, 1);
	conclude(&w, S(9), true);
	expect(&w, 1, 2);
}

static void an_answer_in_part_adds_but_takes_nothing(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	poll(&w, S(2), 2);
	expect(&w, 1, 1);
	for (int i = 3; i < 20; i++) { /* one of two processes is silent */
		heal_ask(&w.h, w.r->s, S(i));
		if (i % 2)
			heal_count(&w.h, w.server, 0);
		conclude(&w, S(i), false);
		expect(&w, 1, 1);
	}
	heal_ask(&w.h, w.r->s, S(20));
	heal_count(&w.h, w.server, 4);
	conclude(&w, S(20), false);
	expect(&w, 1, 3);
}

static void a_server_that_haproxy_never_named_is_left_alone(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	for (int i = 2; i < 20; i++) {
		heal_ask(&w.h, w.r->s, S(i));
		conclude(&w, S(i), true);
		expect(&w, 1, 0);
	}
}

/* ---- fewer there than here ---- */

static void what_is_missing_for_the_grace_is_given_up_oldest_first(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	push(&w, S(1), "b");
	push(&w, S(1), "c");
	poll(&w, S(2), 3);
	for (int i = 3; i < 6; i++) {
		poll(&w, S(i), 1);
		expect(&w, 3, 0);
		assert_int_equal(w.server->view.drift, -2);
	}
	poll(&w, S(6), 1);
	expect(&w, 1, 0);
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 2);
	assert_int_equal(w.server->ledger.used, HALF);
	/* The end line of one that was given up closes nothing twice. */
	assert_int_equal(end(w.r, S(7), "a"), SCHED_END_CLOSED);
	expect(&w, 1, 0);
	assert_int_equal(end(w.r, S(7), "c"), SCHED_END_CLOSED);
	assert_int_equal(w.server->ledger.used, 0);
}

static void an_idle_server_is_at_nothing_after_the_second_round(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	push(&w, S(1), "b");
	poll(&w, S(2), 2);
	poll(&w, S(3), 0);
	expect(&w, 2, 0);
	push(&w, S(3) + MS(500), "new"); /* not reckoned with the others */
	poll(&w, S(4), 0);
	expect(&w, 1, 0);
	assert_int_equal(w.server->ledger.used, HALF);
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 2);
}

static void a_request_on_its_way_is_not_missing(void **state)
{
	struct ward w = ward_of(state);
	char id[16];

	/* Each round finds another one that has not reached its server yet. */
	for (int i = 1; i < 40; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		push(&w, S(i) - MS(2), id);
		poll(&w, S(i), (uint32_t)i - 1);
		expect(&w, (uint32_t)i, 0);
	}
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 0);
}

static void a_line_on_its_way_is_not_lost(void **state)
{
	struct ward w = ward_of(state);
	char id[16];

	/* Each round finds another one that is over and of which the line comes 15 ms later. */
	push(&w, 0, "stays");
	for (int i = 1; i < 40; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		push(&w, S(i) - MS(900), id);
		heal_ask(&w.h, w.r->s, S(i));
		heal_count(&w.h, w.server, 1);
		end(w.r, S(i) + MS(15), id);
		conclude(&w, S(i) + MS(20), true);
	}
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 0);
	expect(&w, 1, 0);
}

static void one_round_that_agrees_starts_the_grace_anew(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	push(&w, S(1), "b");
	for (int i = 2; i < 30; i++) {
		poll(&w, S(i), i % 3 ? 1 : 2);
		expect(&w, 2, 0);
	}
}

/* A round in which HAProxy counts a request that ends before the round does. */
static void poll_with_an_end(struct ward *w, slo_nsec now, uint32_t sessions, const char *id)
{
	heal_ask(&w->h, w->r->s, now);
	heal_count(&w->h, w->server, sessions);
	end(w->r, now + MS(10), id);
	conclude(w, now + MS(20), true);
}

static void an_end_in_the_round_hides_nothing_that_was_lost(void **state)
{
	struct ward w = ward_of(state);
	char id[16];

	push(&w, S(1), "lost");
	push(&w, S(1), "stays");
	poll(&w, S(2), 2);
	for (int i = 3; i < 6; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		push(&w, S(i) - MS(500), id);
		if (i == 4)
			poll_with_an_end(&w, S(i), 2, id);
		else
			poll(&w, S(i), 2);
		expect(&w, i == 4 ? 2 : 3, 0);
		if (i == 3)
			end(w.r, S(i) + MS(200), id);
	}
	poll(&w, S(6), 2);
	expect(&w, 2, 0);
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 1);
}

static void rounds_that_say_nothing_join_no_others_for_long(void **state)
{
	struct ward w = ward_of(state);
	char id[16];

	push(&w, S(1), "late"); /* missing once, as its line is late */
	push(&w, S(1), "stays");
	poll(&w, S(2), 1);
	end(w.r, S(2) + MS(500), "late");
	for (int i = 3; i < 40; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		push(&w, S(i) - MS(500), id);
		if (i % 5 == 0) { /* the same again */
			poll(&w, S(i), 1);
			end(w.r, S(i) + MS(500), id);
		} else {
			poll_with_an_end(&w, S(i), 2, id);
		}
		expect(&w, 1, 0);
	}
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 0);
}

static void after_a_pause_lines_get_their_time(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "a");
	push(&w, S(1), "b");
	poll(&w, S(2), 1);
	poll(&w, S(3), 1);
	poll(&w, S(20), 1); /* the agent was stopped: its lines wait to be read */
	poll(&w, S(21), 1);
	poll(&w, S(22), 1);
	expect(&w, 2, 0);
	poll(&w, S(23), 1);
	expect(&w, 1, 0);
}

static void rounds_more_often_than_are_remembered_do_no_harm(void **state)
{
	struct ward w = ward_of(state);
	slo_nsec t;

	w.h.poll = MS(50);
	push(&w, S(1), "a");
	push(&w, S(1), "b");
	for (t = S(2); fleet_leases(w.server) == 2; t += MS(50))
		poll(&w, t, 1);
	assert_in_range(t, S(5), S(5) + MS(100));
	expect(&w, 1, 0);
}

/* ---- processes that change ---- */

static void leases_of_a_process_that_left_are_kept(void **state)
{
	struct ward w = ward_of(state);

	push(&w, S(1), "old");
	heal_ask(&w.h, w.r->s, S(2));
	heal_count(&w.h, w.server, 0);
	heal_process_changed(&w.h, w.r->s, S(2));
	conclude(&w, S(2), true);
	push(&w, S(2) + MS(10), "new");
	push(&w, S(2) + MS(10), "newer");
	for (int i = 3; i < 60; i++)
		poll(&w, S(i), i < 10 ? 2 : 1);
	/* Of the new process's requests one was lost and is given up, and not the oldest of all. */
	expect(&w, 2, 0);
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 1);
	poll(&w, S(61), 1);
	expect(&w, 2, 0);
	poll(&w, S(62), 1); /* the grace of a process that left is over */
	expect(&w, 1, 0);
	assert_int_equal(end(w.r, S(63), "newer"), SCHED_END_CLOSED);
	assert_int_equal(w.server->ledger.used, 0);
}

/* a and b, half a server each, and one that waits. */
static void two_run_and_one_is_held(struct rig *r)
{
	submit(r, S(1), "a");
	submit(r, S(1), "b");
	submit(r, S(1), "held");
	routed(r, S(1), "a", "s0");
	routed(r, S(1), "b", "s0");
	quiet(r, S(1));
}

static void what_arrived_before_a_change_departs_with_it(void **state)
{
	struct ward w = ward_of(state);
	struct rig *r = w.r;

	two_run_and_one_is_held(r);
	heal_ask(&w.h, r->s, S(2));
	heal_count(&w.h, w.server, 0);
	heal_process_changed(&w.h, r->s, S(2));
	conclude(&w, S(2), true);
	end(r, S(3), "a");
	routed(r, S(3), "held", "s0"); /* the old process holds it */
	for (int i = 3; i < 20; i++)
		poll(&w, S(i), 0);
	expect(&w, 2, 0);
	assert_int_equal(end(r, S(21), "held"), SCHED_END_CLOSED);
	assert_int_equal(end(r, S(21), "b"), SCHED_END_CLOSED);
	expect(&w, 0, 0);
}

/* What waited at a process that left stands behind younger ones: it departed at its dispatch. */
static void all_that_a_process_had_are_given_up_when_it_ends(void **state)
{
	struct ward w = ward_of(state);
	struct rig *r = w.r;

	two_run_and_one_is_held(r);
	sched_process_changed(r->s, S(2));
	push(&w, S(3), "new");
	end(r, S(4), "a");
	end(r, S(4), "b");
	routed(r, S(4), "held", "s0");
	sched_process_changed(r->s, S(5));
	assert_int_equal(sched_expire_until(r->s, S(6), w.server, S(3)), 1); /* new */
	expect(&w, 1, 0);
	assert_int_equal(end(r, S(7), "held"), SCHED_END_CLOSED);
	expect(&w, 0, 0);
}

static void many_changes_are_told_apart_or_taken_for_the_youngest(void **state)
{
	struct ward w = ward_of(state);

	push(&w, 0, "a");
	for (int i = 1; i <= 40; i++)
		sched_process_changed(w.r->s, S(i));
	/* The oldest that is told apart is the 25th. */
	assert_false(sched_expire_departed(w.r->s, S(40), w.server, S(16)));
	assert_true(sched_expire_departed(w.r->s, S(41), w.server, S(16)));
	assert_false(sched_expire_departed(w.r->s, S(99), w.server, 0));
	expect(&w, 0, 0);
}

/* ---- a HAProxy of our own, at random ---- */

#define LIVES 4000

struct life {
	slo_nsec from, to, told; /* at its server; when its line arrives, SLO_NEVER: lost */
};

static uint32_t draw(uint64_t *rng, uint32_t n)
{
	*rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*rng >> 33) % n;
}

/* One request every 20 ms that takes up to 4 s. Its line is up to `late` ms late, in any order, and
 * until `cut` a part of them is lost. Returns the round since which the count is HAProxy's, but for
 * what is on its way. */
struct run {
	uint64_t seed;
	uint32_t late, lost_percent;
	slo_nsec cut, until;
};

static uint32_t lines_told(struct ward *w, const struct life *life, uint32_t lives, slo_nsec now)
{
	uint32_t there = 0;

	for (uint32_t i = 0; i < lives; i++) {
		char id[16];

		there += life[i].from <= now && now < life[i].to;
		if (life[i].told != now)
			continue;
		snprintf(id, sizeof(id), "r%u", i);
		end(w->r, now, id);
	}
	return there;
}

static slo_nsec run(struct ward *w, const struct run *run)
{
	static struct life life[LIVES];
	slo_nsec right_at = 0;
	uint64_t rng = run->seed;
	uint32_t lives = 0, there = 0, asked = 0;

	for (slo_nsec now = 0; now < run->until + S(12); now += MS(1)) {
		there = lines_told(w, life, lives, now);
		if (now < run->until && now % MS(20) == 0) {
			struct life *l = &life[lives];
			char id[16];

			snprintf(id, sizeof(id), "r%u", lives++);
			push(w, now, id);
			l->from = now + MS(1 + draw(&rng, 9));
			l->to = l->from + MS(1 + draw(&rng, 4000));
			l->told = l->to + MS(1 + draw(&rng, run->late));
			if (l->to < run->cut && draw(&rng, 100) < run->lost_percent)
				l->told = SLO_NEVER;
		}
		if (now % POLL == MS(500)) {
			heal_ask(&w->h, w->r->s, now);
			heal_count(&w->h, w->server, there);
			asked = there;
		} else if (now % POLL == MS(520) && now > POLL) {
			uint32_t late = run->late / 10 + 4, here;

			conclude(w, now, true);
			here = w->server->ledger.inflight;
			if (here > asked + late || asked > here + late)
				right_at = 0;
			else if (right_at == 0)
				right_at = now;
		}
		sched_step(w->r->s, now, &(struct sched_action){ 0 });
	}
	expect(w, 0, 0);
	assert_int_equal(w->server->ledger.used, 0);
	return right_at;
}

static void a_ledger_that_loses_all_lines_for_ten_seconds_heals_in_five(void **state)
{
	struct ward w = ward_of(state);
	struct run lossy = { 1, 15, 100, S(10), S(25) };

	assert_in_range(run(&w, &lossy), S(10), S(15));
}

static void a_ledger_that_loses_one_line_in_twenty_stays_near(void **state)
{
	struct ward w = ward_of(state);
	struct run lossy = { 2, 15, 5, S(30), S(30) };

	/* Some ten more than there are, those of the grace, and that only while lines are lost. */
	assert_in_range(run(&w, &lossy), S(1), S(35));
	assert_in_range(repairs(&w, FLEET_REPAIR_EXPIRED), 30, 200);
}

static void a_ledger_that_loses_nothing_is_not_repaired(void **state)
{
	struct ward w = ward_of(state);
	struct run good = { 3, 15, 0, 0, S(30) };

	assert_int_equal(run(&w, &good), S(1) + MS(520));
	assert_int_equal(repairs(&w, FLEET_REPAIR_EXPIRED), 0);
	assert_int_equal(repairs(&w, FLEET_REPAIR_SURPLUS), 0);
}

static void a_ledger_of_which_all_lines_are_late_counts_as_haproxy(void **state)
{
	struct ward w = ward_of(state);
	struct run late = { 4, 500, 0, 0, S(30) };

	assert_in_range(run(&w, &late), S(1), S(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_more_there_weighs_the_mean_of_what_is_here),
		TEST(with_nothing_to_go_by_it_weighs_a_sixteenth),
		TEST(a_count_that_nobody_can_have_is_cut),
		TEST(what_was_here_at_any_moment_of_the_round_is_no_surplus),
		TEST(room_that_surplus_gives_back_is_used),
		TEST(processes_of_haproxy_are_summed),
		TEST(an_answer_in_part_adds_but_takes_nothing),
		TEST(a_server_that_haproxy_never_named_is_left_alone),
		TEST(what_is_missing_for_the_grace_is_given_up_oldest_first),
		TEST(an_idle_server_is_at_nothing_after_the_second_round),
		TEST(a_request_on_its_way_is_not_missing),
		TEST(a_line_on_its_way_is_not_lost),
		TEST(one_round_that_agrees_starts_the_grace_anew),
		TEST(an_end_in_the_round_hides_nothing_that_was_lost),
		TEST(rounds_that_say_nothing_join_no_others_for_long),
		TEST(after_a_pause_lines_get_their_time),
		TEST(rounds_more_often_than_are_remembered_do_no_harm),
		TEST(leases_of_a_process_that_left_are_kept),
		TEST(what_arrived_before_a_change_departs_with_it),
		TEST(all_that_a_process_had_are_given_up_when_it_ends),
		TEST(many_changes_are_told_apart_or_taken_for_the_youngest),
		TEST(a_ledger_that_loses_all_lines_for_ten_seconds_heals_in_five),
		TEST(a_ledger_that_loses_one_line_in_twenty_stays_near),
		TEST(a_ledger_that_loses_nothing_is_not_repaired),
		TEST(a_ledger_of_which_all_lines_are_late_counts_as_haproxy),
	};

	return cmocka_run_group_tests_name("heal", tests, NULL, NULL);
}
