/* Requests that other agents placed: charged, closed once, learned from once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include <stdio.h>

#include "core/heal.h"
#include "core/lease.h"
#include "core/rng.h"
#include "foreign_build.h"

/* decisions see them */

static void a_foreign_lease_takes_the_room_of_ours_until_it_ends(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	assert_int_equal(r->server[0]->ledger.used, SLO_LOAD_ONE);
	assert_int_equal(r->server[0]->foreign, 2);
	assert_int_equal(sched_counts(r->s).foreign, 2);
	assert_int_equal(r->m->dispatched, 2);
	submit(r, SEC(1), "r1");
	submit(r, SEC(1), "r2");
	submit(r, SEC(1), "r3");
	routed(r, SEC(1), "r1", "s1");
	routed(r, SEC(1), "r2", "s1");
	quiet(r, SEC(1));
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	routed(r, SEC(2), "r3", "s0");
	assert_int_equal(r->server[0]->foreign, 1);
}

static void least_request_counts_them(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "r1", SEC(1));

	placed(r, SEC(1), owner(r, "b"), "x", 0);
	req.strategy = SLO_STRATEGY_LEAST_REQUEST;
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
	routed(r, SEC(1), "r1", "s1");
}

/* closed by the first of several, learned from once */

static void what_its_owner_ended_hears_no_line_and_the_other_way_round(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(line(r, SEC(2), "x"), SCHED_END_DUPLICATE);
	assert_int_equal(line(r, SEC(2), "y"), SCHED_END_CLOSED);
	assert_int_equal(ended(r, SEC(2), b, "y"), SCHED_END_DUPLICATE);
	assert_int_equal(line(r, SEC(2), "y"), SCHED_END_DUPLICATE);
	assert_true(sched_ended(r->s, "x", 1) && sched_ended(r->s, "y", 1));
	assert_int_equal(inflight(r, 0), 0);
	assert_int_equal(learned(r, SEC(2)), 2);
}

static void an_end_before_its_dispatch_is_remembered(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	assert_int_equal(ended(r, SEC(1), b, "x"), SCHED_END_UNKNOWN);
	assert_int_equal(placed_again(r, SEC(1), b, "x"), SLO_ESTALE);
	assert_int_equal(line(r, SEC(1), "y"), SCHED_END_UNKNOWN);
	assert_int_equal(placed_again(r, SEC(1), b, "y"), SLO_ESTALE);
	assert_int_equal(ended(r, SEC(1), b, "y"), SCHED_END_DUPLICATE);
	assert_int_equal(inflight(r, 0), 0);
	quiet(r, SEC(1000));
	assert_int_equal(sched_counts(r->s).remembered, 0);
}

static void the_same_id_at_two_owners_and_here_are_three_requests(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b"), *c = owner(r, "c");

	submit(r, SEC(1), "x");
	routed(r, SEC(1), "x", "s1");
	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), c, "x", 1);
	assert_int_equal(inflight(r, 0), 1);
	assert_int_equal(inflight(r, 1), 2);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 0), 0);
	assert_int_equal(line(r, SEC(2), "x"), SCHED_END_CLOSED); /* ours goes first */
	assert_int_equal(r->server[1]->foreign, 1);
	assert_int_equal(ended(r, SEC(2), c, "x"), SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 1), 0);
}

static void what_ended_elsewhere_does_not_refuse_ours(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	placed(r, SEC(1), b, "x", 0);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	submit(r, SEC(3), "x");
	routed(r, SEC(3), "x", "s1");
	assert_int_equal(line(r, SEC(4), "x"), SCHED_END_CLOSED);
	placed(r, SEC(5), owner(r, "c"), "x", 0);
}

static void a_line_closes_the_one_on_the_server_that_it_names(void **state)
{
	struct rig *r = *state;
	struct sched_outcome by = answered;

	placed(r, SEC(1), owner(r, "b"), "x", 0);
	placed(r, SEC(1), owner(r, "c"), "x", 1);
	by.server = slice_of("s1");
	assert_int_equal(end_with(r, SEC(2), "x", by).result, SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 0), 1);
	assert_int_equal(inflight(r, 1), 0);
	by.server = slice_of("s0");
	assert_int_equal(end_with(r, SEC(2), "x", by).result, SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 0), 0);
}

static void an_old_one_is_given_up_at_its_age(void **state)
{
	struct rig *r = *state;
	struct sched_conf conf = r->conf;
	struct foreign_lease l = lease(r, "x", 0);
	struct foreign_owner *b = owner(r, "b");

	conf.lease_max_age = SEC(60);
	sched_configure(r->s, &conf);
	submit(r, SEC(100), "r1");
	routed(r, SEC(100), "r1", "s1");
	l.age = SEC(59);
	assert_int_equal(dispatch(r, SEC(100), b, &l), SLO_OK);
	assert_int_equal(sched_next_wakeup(r->s), SEC(101));
	quiet(r, SEC(101));
	assert_int_equal(inflight(r, 0), 0);
	assert_int_equal(inflight(r, 1), 1);
	assert_int_equal(ended(r, SEC(102), b, "x"), SCHED_END_CLOSED);
	l.age = SEC(60);
	l.id = "y";
	assert_int_equal(dispatch(r, SEC(100), b, &l), SLO_ESTALE);
}

/* owners */

static void a_forgotten_owner_keeps_its_leases(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	foreign_owner_forget(r->s, b);
	sched_check(r->s);
	assert_int_equal(inflight(r, 0), 2);
	assert_ptr_equal(foreign_owner(r->s, "b", 1), b);
	foreign_owner_forget(r->s, b);
	assert_int_equal(line(r, SEC(2), "x"), SCHED_END_CLOSED);
	assert_int_equal(line(r, SEC(2), "y"), SCHED_END_CLOSED);
	assert_null(foreign_owner_next(r->s, NULL));
	b = owner(r, "b"); /* a new one, and the past still knows */
	assert_int_equal(placed_again(r, SEC(3), b, "x"), SLO_ESTALE);
}

static void a_list_closes_what_it_does_not_name(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	placed(r, SEC(1), owner(r, "c"), "z", 1);
	foreign_list_begin(r->s, b);
	assert_int_equal(placed_again(r, SEC(2), b, "y"), SLO_ESTALE);
	placed(r, SEC(2), b, "new", 1);
	assert_int_equal(foreign_list_end(r->s, SEC(2), b, 0, false), 1);
	sched_check(r->s);
	assert_int_equal(inflight(r, 0), 1);
	assert_int_equal(inflight(r, 1), 2);
	assert_int_equal(ended(r, SEC(3), b, "x"), SCHED_END_DUPLICATE);
	assert_int_equal(learned(r, SEC(3)), 0);
}

/* Of b's requests, told by its messages up_to and the next one, a list up to the first closes one.
 */
static void one_is_told_later(struct rig *r, const char *name, uint32_t up_to)
{
	struct foreign_owner *b = owner(r, name);
	struct foreign_lease l = lease(r, "told", 0);

	l.news = up_to;
	assert_int_equal(dispatch(r, SEC(1), b, &l), SLO_OK);
	l = lease(r, "later", 0);
	l.news = up_to + 1;
	assert_int_equal(dispatch(r, SEC(1), b, &l), SLO_OK);
	foreign_list_begin(r->s, b);
	assert_int_equal(foreign_list_end(r->s, SEC(1), b, up_to, false), 1);
	assert_int_equal(ended(r, SEC(1), b, "told"), SCHED_END_DUPLICATE);
	foreign_list_begin(r->s, b);
	assert_int_equal(foreign_list_end(r->s, SEC(1), b, (uint64_t)up_to + 1, false), 1);
	assert_int_equal(inflight(r, 0), 0);
}

static void a_list_says_nothing_of_later_news(void **state)
{
	one_is_told_later(*state, "b", 7);
	one_is_told_later(*state, "c", UINT32_MAX);
}

static void a_former_life_stays_until_the_present_one_knows(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");

	foreign_owner_life(r->s, b, 1);
	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	foreign_owner_life(r->s, b, 2);
	foreign_list_begin(r->s, b);
	assert_int_equal(placed_again(r, SEC(2), b, "y"), SLO_ESTALE); /* it took that one up */
	assert_int_equal(foreign_list_end(r->s, SEC(2), b, 0, false), 0);
	foreign_list_begin(r->s, b);
	assert_int_equal(foreign_list_end(r->s, SEC(2), b, 0, false), 1);
	assert_true(foreign_is_former(foreign_first(r->s)));
	foreign_list_begin(r->s, b);
	assert_int_equal(foreign_list_end(r->s, SEC(2), b, 0, true), 1);
	assert_int_equal(inflight(r, 0), 0);
}

static void what_we_took_up_ourselves_is_not_foreign(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *self = owner(r, "a");

	foreign_owner_is_self(self);
	submit(r, SEC(1), "x");
	routed(r, SEC(1), "x", "s1");
	assert_int_equal(placed_again(r, SEC(1), self, "x"), SLO_ESTALE);
	placed(r, SEC(1), self, "y", 0);
	assert_int_equal(ended(r, SEC(2), self, "x"), SCHED_END_CLOSED);
	assert_int_equal(placed_again(r, SEC(2), self, "x"), SLO_ESTALE);
	assert_int_equal(inflight(r, 1), 0);
	assert_int_equal(line(r, SEC(2), "y"), SCHED_END_CLOSED);
}

/* HAProxy's counts */

static void one_round(struct heal *h, struct rig *r, slo_nsec now, uint32_t s0)
{
	heal_ask(h, r->s, now);
	heal_count(h, r->server[0], s0);
	heal_conclude(h, r->s, now + HEAL_LINE_TIME, true);
	sched_check(r->s);
}

static void news_of_what_haproxy_counted_is_not_counted_twice(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");
	struct foreign_lease l = lease(r, "x", 0);
	struct heal h;

	foreign_owner_visible(r->s, b, true);
	heal_init(&h, SEC(1), SEC(3), SEC(60));
	one_round(&h, r, SEC(1), 2);
	assert_int_equal(r->server[0]->surplus_count, 2);
	l.age = MSEC(500);
	assert_int_equal(dispatch(r, SEC(1.4), b, &l), SLO_OK);
	assert_int_equal(r->server[0]->surplus_count, 1);
	assert_int_equal(inflight(r, 0), 2);
	l.id = "y"; /* later than the count */
	assert_int_equal(dispatch(r, SEC(1.6), b, &l), SLO_OK);
	assert_int_equal(r->server[0]->surplus_count, 1);
	assert_int_equal(inflight(r, 0), 3);
	one_round(&h, r, SEC(2), 2);
	assert_int_equal(r->server[0]->surplus_count, 0);
	assert_int_equal(inflight(r, 0), 2);
}

static void counts_heal_visible_ones_and_leave_hidden_ones_alone(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b"), *c = owner(r, "c");
	struct heal h;

	foreign_owner_visible(r->s, b, true);
	placed(r, SEC(1), b, "seen", 0);
	placed(r, SEC(1), c, "unseen", 0);
	heal_init(&h, SEC(1), SEC(3), SEC(60));
	for (int t = 2; t < 8; t++)
		one_round(&h, r, SEC(t), 0);
	assert_int_equal(inflight(r, 0), 1);
	assert_string_equal(foreign_first(r->s)->id, "unseen");
	assert_int_equal(r->server[0]->view.drift, 0);
	foreign_owner_visible(r->s, c, true);
	sched_check(r->s);
	for (int t = 8; t < 14; t++)
		one_round(&h, r, SEC(t), 0);
	assert_int_equal(inflight(r, 0), 0);
	assert_int_equal(ended(r, SEC(14), c, "unseen"), SCHED_END_CLOSED);
	assert_int_equal(learned(r, SEC(14)), 0);
}

static void one_whose_process_left_before_it_was_told_is_departed(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");
	struct foreign_lease l = lease(r, "x", 0);

	foreign_owner_visible(r->s, b, true);
	sched_process_changed(r->s, SEC(2));
	l.age = MSEC(500);
	assert_int_equal(dispatch(r, SEC(2.25), b, &l), SLO_OK);
	assert_int_equal(r->server[0]->departed_count, 1);
	placed(r, SEC(3), b, "y", 0);
	assert_int_equal(r->server[0]->departed_count, 1);
	assert_true(sched_expire_departed(r->s, SEC(4), r->server[0], SEC(2)));
	assert_int_equal(inflight(r, 0), 1);
}

/* two chose at once */

static void a_lease_without_room_is_an_overshoot(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");
	struct foreign_lease l = lease(r, "z", 1);

	fill_up(r, SEC(1));
	placed(r, SEC(1), b, "x", 0);
	assert_int_equal(r->server[0]->overshoots, 1);
	l.strategy = SLO_STRATEGY_LEAST_REQUEST; /* which does not look for room */
	assert_int_equal(dispatch(r, SEC(1), b, &l), SLO_OK);
	assert_int_equal(r->server[1]->overshoots, 0);
}

/* told to others */

struct told {
	struct rig *r;
	char text[256];
};

static void hear_dispatch(void *arg, const struct request *r)
{
	struct told *t = arg;
	struct foreign_lease l = foreign_lease_of(r, r->since + MSEC(5));

	assert_int_equal(l.age, MSEC(5));
	assert_int_equal(l.load, HALF);
	strcat(strcat(strcat(strcat(t->text, "+"), r->id), "@"), l.server->name);
}

static void hear_end(void *arg, const struct request *r, const struct sched_outcome *outcome,
                     slo_nsec lasted)
{
	struct told *t = arg;

	assert_true(lasted >= 0);
	if (r->owner)
		strcat(strcat(t->text, " "), foreign_owner_of(t->r->s, r)->name);
	strcat(strcat(t->text, outcome ? "-" : "?"), r->id);
}

static void ours_are_told_and_what_we_closed_of_others(void **state)
{
	struct rig *r = *state;
	struct told t = { .r = r };
	struct foreign_owner *b = owner(r, "b");

	foreign_listen(r->s, &(struct foreign_news){ hear_dispatch, hear_end, &t });
	submit(r, SEC(1), "r1");
	routed(r, SEC(1), "r1", "s1");
	submit(r, SEC(1), "r2");
	routed(r, SEC(1), "r2", "s0");
	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), b, "y", 0);
	line(r, SEC(2), "r1");
	ended(r, SEC(2), b, "x");
	line(r, SEC(2), "y");
	assert_true(sched_expire_oldest(r->s, SEC(3), r->server[0]));
	assert_string_equal(t.text, "+r1@s1+r2@s0-r1 b-y?r2");
	foreign_listen(r->s, NULL);
	submit(r, SEC(3), "r3");
	routed(r, SEC(3), "r3", "s1");
	assert_string_equal(t.text, "+r1@s1+r2@s0-r1 b-y?r2");
}

/* Whoever tells of ours keeps them in its own time. */
static void what_ended_before_it_was_kept_is_never_kept(void **state)
{
	struct rig *r = *state;
	struct told t = { .r = r };

	foreign_listen(r->s, &(struct foreign_news){ hear_dispatch, hear_end, &t });
	submit(r, SEC(1), "r1");
	routed(r, SEC(1), "r1", "s1");
	submit(r, SEC(1), "r2");
	routed(r, SEC(1), "r2", "s0");
	placed(r, SEC(1), owner(r, "b"), "x", 0);
	submit(r, SEC(1), "r3");
	routed(r, SEC(1), "r3", "s1");
	assert_true(foreign_is_kept(foreign_first(r->s)));
	sched_check(r->s);
	assert_string_equal(foreign_unkept(r->s)->id, "r1");
	foreign_kept(r->s);
	assert_string_equal(foreign_unkept(r->s)->id, "r2");
	line(r, SEC(2), "r2");
	assert_string_equal(foreign_unkept(r->s)->id, "r3");
	foreign_kept(r->s);
	assert_null(foreign_unkept(r->s));
	line(r, SEC(2), "r3");
	sched_check(r->s);
}

static void hear_strategy(void *arg, const struct request *r)
{
	*(enum slo_strategy *)arg = foreign_lease_of(r, r->since).strategy;
}

/* Where another strategy chose in the place of the one that was asked for, others are told of that
 * one. */
static void they_are_told_which_strategy_decided(void **state)
{
	struct rig *r = *state;
	enum slo_strategy told = SLO_STRATEGY_SLO;

	foreign_listen(r->s, &(struct foreign_news){ .dispatched = hear_strategy, .arg = &told });
	sched_profile_drop(r->s, r->d);
	submit(r, SEC(1), "r1");
	(void)answer(r, SEC(1), "r1", SLO_FALLBACK, SLO_REASON_NO_PROFILE);
	assert_int_equal(told, SLO_STRATEGY_LEAST_REQUEST);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
	struct rig *r = *state;
	const struct foreign_lease good = lease(r, "x", 0);
	struct foreign_owner *b = owner(r, "b");
	struct foreign_lease bad[10];

	for (size_t i = 0; i < 10; i++)
		bad[i] = good;
	bad[0].id_len = 0;
	bad[1].id_len = SLO_ID_MAX + 1;
	bad[2].server = NULL;
	bad[3].load = SLO_LOAD_MAX + 1;
	bad[4].age = -1;
	bad[5].input = -1;
	bad[6].output = INT64_MAX;
	bad[7].strategy = (enum slo_strategy)SLO_STRATEGIES;
	bad[8].sequences = 0;
	bad[9].limit = -2;
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(dispatch(r, SEC(1), b, &bad[i]), SLO_EINVAL);
	assert_int_equal(inflight(r, 0), 0);
	assert_int_equal(sched_counts(r->s).foreign, 0);
	assert_int_equal(ended(r, SEC(1), b, ""), SCHED_END_UNKNOWN);
}

static void a_model_or_a_seat_that_is_not_ours_is_charged_all_the_same(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");
	struct foreign_lease l = lease(r, "x", 0);

	l.model = NULL;
	assert_int_equal(dispatch(r, SEC(1), b, &l), SLO_OK);
	placed(r, SEC(1), b, "y", 0);
	sched_model_remove(r->s, r->m);
	sched_check(r->s);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	assert_int_equal(ended(r, SEC(2), b, "y"), SCHED_END_CLOSED);
	assert_int_equal(inflight(r, 0), 0);
}

/* As Redis tells them; some are over before all are told. */
static void what_is_told_in_any_order_stands_in_order_of_age(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");
	const struct request *x, *next;
	struct rng rng;
	size_t n = 0;
	char id[16];

	rng_init(&rng, 1);
	for (int i = 0; i < 300; i++) {
		struct foreign_lease l;

		snprintf(id, sizeof(id), "x%d", i);
		l = lease(r, id, i % 2);
		l.load = 1;
		l.age = (slo_nsec)rng_below(&rng, 100) * MSEC(1);
		assert_int_equal(foreign_dispatch(r->s, SEC(1), b, &l), SLO_OK);
		if (i % 3 == 0)
			assert_int_equal(ended(r, SEC(1), b, id), SCHED_END_CLOSED);
	}
	for (x = foreign_first(r->s); x; x = next, n++) {
		next = foreign_next(x);
		assert_true(!next || next->since > x->since ||
		            (next->since == x->since && next->seq > x->seq));
	}
	assert_int_equal(n, 200);
}

/* However old the news is, nobody looks through all that came since. */
static void far_older_news_is_taken_for_younger(void **state)
{
	struct rig *r = *state;
	struct foreign_owner *b = owner(r, "b");
	struct foreign_lease l = lease(r, "old-1", 0);
	const struct request *first;
	char id[16];

	l.load = 1;
	for (int i = 0; i < PLACE_STEPS + 10; i++) {
		l.id = id;
		l.id_len = (size_t)snprintf(id, sizeof(id), "x%d", i);
		l.age = SEC(60) - i * MSEC(1);
		assert_int_equal(foreign_dispatch(r->s, SEC(100), b, &l), SLO_OK);
	}
	first = foreign_first(r->s);
	l.id = "old-1";
	l.id_len = 5;
	l.age = SEC(90);
	assert_int_equal(dispatch(r, SEC(100), b, &l), SLO_OK);
	l.id = "old-2"; /* from the place of the other one on it finds its own */
	assert_int_equal(dispatch(r, SEC(100), b, &l), SLO_OK);
	assert_ptr_not_equal(foreign_first(r->s), first);
	assert_int_equal(ended(r, SEC(100), b, "old-1"), SCHED_END_CLOSED);
	assert_int_equal(ended(r, SEC(100), b, "old-2"), SCHED_END_CLOSED);
	assert_ptr_equal(foreign_first(r->s), first);
}

static void no_more_than_the_limit_are_charged(void **state)
{
	struct rig *r = *state;
	struct sched_conf conf = r->conf;
	struct foreign_owner *b = owner(r, "b"), *c = owner(r, "c");
	struct foreign_lease l = lease(r, "y", 1);

	conf.foreign_limit = 2;
	sched_configure(r->s, &conf);
	placed(r, SEC(1), b, "x", 0);
	placed(r, SEC(1), c, "x", 1);
	assert_int_equal(dispatch(r, SEC(1), b, &l), SLO_EFULL);
	assert_int_equal(placed_again(r, SEC(1), b, "x"), SLO_ESTALE); /* it is known */
	assert_int_equal(inflight(r, 1), 1);
	assert_int_equal(ended(r, SEC(2), b, "y"), SCHED_END_UNKNOWN);
	assert_int_equal(ended(r, SEC(2), b, "x"), SCHED_END_CLOSED);
	l.id = "z";
	assert_int_equal(dispatch(r, SEC(2), b, &l), SLO_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_foreign_lease_takes_the_room_of_ours_until_it_ends),
		TEST(least_request_counts_them),
		TEST(what_its_owner_ended_hears_no_line_and_the_other_way_round),
		TEST(an_end_before_its_dispatch_is_remembered),
		TEST(the_same_id_at_two_owners_and_here_are_three_requests),
		TEST(what_ended_elsewhere_does_not_refuse_ours),
		TEST(a_line_closes_the_one_on_the_server_that_it_names),
		TEST(an_old_one_is_given_up_at_its_age),
		TEST(a_forgotten_owner_keeps_its_leases),
		TEST(a_list_closes_what_it_does_not_name),
		TEST(a_list_says_nothing_of_later_news),
		TEST(a_former_life_stays_until_the_present_one_knows),
		TEST(what_we_took_up_ourselves_is_not_foreign),
		TEST(news_of_what_haproxy_counted_is_not_counted_twice),
		TEST(counts_heal_visible_ones_and_leave_hidden_ones_alone),
		TEST(one_whose_process_left_before_it_was_told_is_departed),
		TEST(a_lease_without_room_is_an_overshoot),
		TEST(ours_are_told_and_what_we_closed_of_others),
		TEST(what_ended_before_it_was_kept_is_never_kept),
		TEST(they_are_told_which_strategy_decided),
		TEST(nonsense_is_refused_and_changes_nothing),
		TEST(a_model_or_a_seat_that_is_not_ours_is_charged_all_the_same),
		TEST(what_is_told_in_any_order_stands_in_order_of_age),
		TEST(far_older_news_is_taken_for_younger),
		TEST(no_more_than_the_limit_are_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
