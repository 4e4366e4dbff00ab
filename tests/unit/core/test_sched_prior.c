/* A deployment that learns and has a profile: it begins with the profile, goes on with what ends,
 * and overrules a profile that is wrong beyond doubt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "latency_build.h"
#include "learn_build.h"
#include "play_build.h"

/* What the rates in force say of one request alone on its server. */
static double alone(const struct deployment *d)
{
	struct latency_cell c =
	    latency_cell(&d->force.rates, 512, 64, &(struct latency_target){ 0, 0 });

	return c.own + c.others;
}

/* The player decides by the same. */
static void same(struct rig *r, enum fleet_source source)
{
	const struct deployment *d =
	    sched_model_find(player_sched(player), "m", 1)->pool.deployment[0];

	assert_int_equal(r->d->source, source);
	assert_int_equal(d->source, source);
	assert_int_equal(d->force.state, r->d->force.state);
	assert_true(alone(d) <= alone(r->d) && alone(d) >= alone(r->d));
}

/* One at once in one second. */
static const struct one_cell one_second = { .tput = 1, .e2e = 1, .slo_e2e = 5, .created = 2 };

static void what_is_known_first_is_what_the_profile_says(void **state)
{
	struct rig *r = *state;

	rig_profile(r, r->d, &one_second);
	learn(r, FLEET_PRIOR, 8192);
	assert_int_equal(r->d->source, FLEET_PRIOR);
	assert_int_equal(r->d->force.state, LATENCY_WARM);
	assert_true(r->d->force.rates.headroom == 0.9);
	near(alone(r->d), 1, 0.1);
	submit(r, SEC(1), "a");
	routed(r, SEC(1), "a", "s1");
}

static void and_what_ends_moves_it(void **state)
{
	struct rig *r = *state;
	double before, first;
	slo_nsec now;

	rig_profile(r, r->d, &one_second);
	learn(r, FLEET_PRIOR, 8192);
	before = alone(r->d);
	now = serve_many(r, SEC(1), 1, 2);
	first = alone(r->d);
	assert_true(first > before && first < 2);
	now = serve_many(r, now, 20, 2);
	near(alone(r->d), 2, 0.1);
	(void)serve_many(r, now, 200, 2);
	near(alone(r->d), 2, 0.02);
	assert_int_equal(r->d->source, FLEET_PRIOR);
	assert_int_equal(r->d->force.state, LATENCY_HOT);
}

static void a_profile_that_comes_late_does_not_undo_what_was_learned(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	sched_profile_drop(r->s, r->d);
	sched_promise(r->s, r->m, &(struct goal){ .kind = GOAL_E2E, .fixed = 5 });
	learn(r, FLEET_PRIOR, 8192);
	assert_int_equal(r->d->source, FLEET_AUTO);
	assert_int_equal(r->d->force.state, LATENCY_COLD);
	now = serve_many(r, SEC(1), 200, 3);
	record(r, now);
	rig_profile(r, r->d, &one_second);
	same(r, FLEET_PRIOR);
	near(alone(r->d), 3, 0.05);
	(void)serve_many(r, now, 50, 2);
	same(r, FLEET_PRIOR);
	stop_playing();
}

static void a_cache_that_is_larger_than_the_profile_saw_is_found(void **state)
{
	struct latency_lesson lesson = {
		.stay = { .seconds = 1, .steps = 64, .prompts = 512, .reads = 64 * 5000 },
		.held = 5000,
		.tokens = 576,
		.expected = 576,
	};
	struct latency_given g;
	struct latency_learner l;
	struct latency_speed speed = { 0, 0 };

	(void)state;
	latency_learner_init(&l, 0);
	latency_given_init(&g);
	latency_given_teach(&g, &(struct latency_point){ 512, 64, 1, 1, -1 });
	g.kv = 2000;
	latency_learner_prior(&l, 0, &g);
	assert_true(l.force.rates.kv == 2000 && l.force.rates.kv_told);
	for (int i = 0; i < 200; i++)
		(void)latency_learn(&l, SEC(i), &lesson, &speed);
	assert_true(l.prior_kv >= 5000 && l.prior_kv < 5100);
	assert_true(l.ends > 50);
	/* Who is late there may have waited for room. */
	lesson.held = 9000;
	lesson.stay.seconds *= 1.5;
	(void)latency_learn(&l, SEC(200), &lesson, &speed);
	assert_true(l.prior_kv < 5100);
}

/* However many cells it has, what ends soon weighs more. */
static void a_large_profile_weighs_as_a_few_ends(void **state)
{
	static const double truth[] = { 30e-3, 0.2e-3, 1e-6 };
	struct latency_given g;
	struct latency_learner l;
	struct latency_speed speed = { 0, 0 };
	struct rng rng;

	(void)state;
	rng_init(&rng, 3);
	latency_given_init(&g);
	for (int i = 0; i < 300; i++) {
		struct latency_features x = drawn(&rng, truth, 0);

		latency_fit_teach(&g.fit, &x);
		g.points++;
	}
	latency_learner_init(&l, 20000);
	latency_learner_prior(&l, 0, &g);
	for (int i = 0; i < 28; i++) { /* before any drift is noticed */
		struct latency_lesson lesson = { .stay = drawn(&rng, truth, 0),
			                         .held = 5000,
			                         .tokens = 1000,
			                         .expected = 1000 };

		lesson.stay.seconds *= 1.4;
		(void)latency_learn(&l, SEC(i), &lesson, &speed);
	}
	near(latency_fit_rate(&l.fit, 1), 1.4 * truth[1], 0.15);
}

static void what_a_profile_tells_is_not_put_in_force_with_every_end(void **state)
{
	struct latency_lesson lesson = {
		.stay = { .steps = 64, .prompts = 512, .reads = 64 * 1000 },
		.held = 1000,
		.tokens = 576,
		.expected = 576,
	};
	struct latency_speed speed = { 0, 0 };
	struct latency_learner l;
	struct latency_given g;
	int forced = 0;

	(void)state;
	latency_learner_init(&l, 0);
	latency_given_init(&g);
	latency_given_teach(&g, &(struct latency_point){ 512, 64, 1, 1, -1 });
	g.kv = 2000;
	latency_learner_prior(&l, 0, &g);
	for (int i = 1; i <= 90; i++) {
		lesson.stay.seconds = latency_fit_predict(&l.fit, &lesson.stay);
		forced += latency_learn(&l, SEC(i), &lesson, &speed);
	}
	assert_int_equal(l.ends, 90);
	assert_int_equal(forced, 9); /* each ten seconds */
	assert_true(l.force.rates.kv == 2000);
}

static void a_limit_that_was_found_is_not_raised_by_a_profile(void **state)
{
	const struct latency_given g = { .points = 1, .held = 50000 };
	struct latency_learner l;

	(void)state;
	latency_learner_init(&l, 0);
	latency_learner_prior(&l, 0, &g);
	assert_true(l.force.rates.kv == 50000 && !l.force.rates.kv_told);
	l.room.limit = 20000;
	l.room.found = true;
	latency_learner_prior(&l, 0, &g);
	assert_true(l.force.rates.kv == 20000);
}

/* What was found of it is there in any case, whatever is configured next. */
static void what_was_found_of_a_cache_outlives_another_choice(void **state)
{
	struct rig *r = *state;

	learn(r, FLEET_PRIOR, 0);
	(void)serve_many(r, SEC(1), 100, 1);
	r->d->learner->prior_kv = 20000; /* as many ends of requests made it */
	learn(r, FLEET_LEARNED, 0);
	assert_true(r->d->force.rates.kv >= 20000 && !r->d->force.rates.kv_told);
	r->d->learner->room.limit = 9000; /* too many were late */
	r->d->learner->room.found = true;
	learn(r, FLEET_AUTO, 0);
	assert_true(r->d->force.rates.kv <= 9000);
	assert_true(r->d->grown >= 20000);
}

static void what_is_configured_changes_at_run_time(void **state)
{
	struct rig *r = *state;

	learn(r, FLEET_AUTO, 8192);
	record(r, SEC(1));
	same(r, FLEET_AUTO);
	assert_false(fleet_learned(r->d) || r->d->learner->prior);
	learn(r, FLEET_PRIOR, 8192);
	same(r, FLEET_PRIOR);
	assert_true(r->d->learner->prior);
	learn(r, FLEET_AUTO, 8192);
	same(r, FLEET_AUTO);
	assert_false(r->d->learner->prior);
	learn(r, FLEET_PRIOR, 0);
	learn(r, FLEET_GIVEN, 0);
	same(r, FLEET_GIVEN);
	learn(r, FLEET_PRIOR, 0);
	same(r, FLEET_PRIOR);
	learn(r, FLEET_LEARNED, 0);
	same(r, FLEET_LEARNED);
	learn(r, FLEET_AUTO, 8192);
	same(r, FLEET_AUTO);
	(void)serve_many(r, SEC(1), 900, 4);
	same(r, FLEET_REFUTED);
	learn(r, FLEET_PRIOR, 8192);
	same(r, FLEET_REFUTED);
	learn(r, FLEET_GIVEN, 8192);
	same(r, FLEET_GIVEN);
	learn(r, FLEET_AUTO, 8192);
	same(r, FLEET_REFUTED);
	stop_playing();
}

static void learned_alone_ignores_a_profile(void **state)
{
	struct rig *r = *state;

	learn(r, FLEET_PRIOR, 8192);
	assert_int_equal(r->d->force.state, LATENCY_WARM);
	learn(r, FLEET_LEARNED, 8192);
	assert_int_equal(r->d->force.state, LATENCY_COLD);
	assert_true(r->d->learner->fit.rate[0] == 1);
	learn(r, FLEET_PRIOR, 8192);
	assert_int_equal(r->d->source, FLEET_PRIOR);
}

static void a_right_profile_is_not_overruled(void **state)
{
	struct rig *r = *state;

	learn(r, FLEET_PRIOR, 8192);
	(void)serve_many(r, SEC(1), 2000, 0.9);
	assert_int_equal(r->d->source, FLEET_PRIOR);
}

static void a_profile_that_is_wrong_beyond_doubt_is_overruled(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	/* It says 1 s with two at once; one alone takes 4. */
	learn(r, FLEET_PRIOR, 8192);
	now = serve_many(r, SEC(1), 898, 4);
	assert_int_equal(r->d->source, FLEET_PRIOR);
	now = serve_many(r, now, 2, 4);
	assert_int_equal(r->d->source, FLEET_REFUTED);
	assert_true(fleet_learned(r->d));
	/* A newer one is believed again. */
	rig_profile(r, r->d,
	            &(struct one_cell){ .tput = 0.4, .e2e = 4, .slo_e2e = 5, .created = 2 });
	assert_int_equal(r->d->source, FLEET_PRIOR);
	(void)serve_many(r, now, 100, 4);
	assert_int_equal(r->d->source, FLEET_PRIOR);
}

static void one_that_was_wrong_for_a_while_is_not_overruled(void **state)
{
	struct rig *r = *state;
	slo_nsec now;

	learn(r, FLEET_PRIOR, 8192);
	now = serve_many(r, SEC(1), 700, 4);
	assert_in_range(r->d->refuting, 150, 250);
	now = serve_many(r, now, 400, 1);
	assert_int_equal(r->d->refuting, 0);
	assert_int_equal(r->d->source, FLEET_PRIOR);
}

/* It says 10 s, and it is 1. That it says so little may be because more at once did not fit: only
 * where that is known, it is wrong. */
static void one_that_is_too_slow_is_overruled_where_the_cache_is_known(void **state)
{
	const struct one_cell ten = { .tput = 0.1, .e2e = 10, .slo_e2e = 50, .created = 2 };
	struct rig *r = *state;
	slo_nsec now;

	rig_profile(r, r->d, &ten);
	learn(r, FLEET_PRIOR, 0);
	now = serve_many(r, SEC(1), 1000, 1);
	assert_int_equal(r->d->source, FLEET_PRIOR);
	learn(r, FLEET_PRIOR, 8192);
	(void)serve_many(r, now, 500, 1);
	assert_int_equal(r->d->source, FLEET_REFUTED);
}

static void one_that_comes_back_is_still_overruled(void **state)
{
	struct rig *r = *state;
	struct one_cell again = half_a_server;

	learn(r, FLEET_PRIOR, 8192);
	record(r, serve_many(r, SEC(1), 900, 4));
	same(r, FLEET_REFUTED);
	sched_profile_drop(r->s, r->d);
	same(r, FLEET_AUTO);
	again.created = 2;
	rig_profile(r, r->d, &again);
	same(r, FLEET_REFUTED);
	again.created = 4;
	rig_profile(r, r->d, &again);
	same(r, FLEET_REFUTED);
	again = (struct one_cell){ .tput = 0.4, .e2e = 4, .slo_e2e = 5, .created = 5 };
	rig_profile(r, r->d, &again);
	same(r, FLEET_PRIOR);
	stop_playing();
}

static void a_given_profile_stays_whatever_happens(void **state)
{
	struct rig *r = *state;

	learn(r, FLEET_GIVEN, 8192);
	assert_null(r->d->learner);
	(void)serve_many(r, SEC(1), 1000, 4);
	assert_int_equal(r->d->source, FLEET_GIVEN);
	assert_int_equal(r->d->force.state, LATENCY_COLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_known_first_is_what_the_profile_says),
		TEST(and_what_ends_moves_it),
		TEST(a_profile_that_comes_late_does_not_undo_what_was_learned),
		TEST(a_cache_that_is_larger_than_the_profile_saw_is_found),
		TEST(a_large_profile_weighs_as_a_few_ends),
		TEST(what_a_profile_tells_is_not_put_in_force_with_every_end),
		TEST(a_limit_that_was_found_is_not_raised_by_a_profile),
		TEST(what_was_found_of_a_cache_outlives_another_choice),
		TEST(what_is_configured_changes_at_run_time),
		TEST(learned_alone_ignores_a_profile),
		TEST(a_right_profile_is_not_overruled),
		TEST(a_profile_that_is_wrong_beyond_doubt_is_overruled),
		TEST(one_that_was_wrong_for_a_while_is_not_overruled),
		TEST(one_that_is_too_slow_is_overruled_where_the_cache_is_known),
		TEST(one_that_comes_back_is_still_overruled),
		TEST(a_given_profile_stays_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
