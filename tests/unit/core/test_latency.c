/* The latency model by itself: its formula, the sums of a server, the fit, and its states. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/latency/errors.h"
#include "core/latency/fit.h"
#include "core/latency/flow.h"
#include "core/latency/learner.h"
#include "core/latency/rates.h"
#include "core/rng.h"
#include "core_build.h"

static void near(double is, double want, double share)
{
	if (!(fabs(is - want) <= share * fabs(want)))
		fail_msg("%g, but should be %g", is, want);
}

/* rates */

static const struct latency_rates rates = { .step = 0.01,
	                                    .prompt = 0.0001,
	                                    .cached = 1e-6,
	                                    .kv = 10000,
	                                    .kv_told = true,
	                                    .safety = 0.5,
	                                    .crowd = 1 };
static const struct latency_target none = { 0, 0 };

static void a_cell_is_what_the_formula_says(void **state)
{
	struct latency_cell c = latency_cell(&rates, 1000, 100, &none);

	(void)state;
	/* A = 100 steps; W = 1000 prompt tokens and 100 steps that read 1050 tokens */
	near(c.own, 1.0, 1e-12);
	near(c.others, 0.1 + 0.105, 1e-12);
	near(c.at_once, 10000.0 / 1100, 1e-12);
	near(c.e2e, 1.0 + c.at_once * 0.205, 1e-12);
	assert_int_equal(latency_load(&c), (slo_load)(SLO_LOAD_ONE / c.at_once));
}

static void as_many_as_the_target_allows(void **state)
{
	struct latency_target e2e = { .e2e = 4 }, tight = { .e2e = 0.5 };

	(void)state;
	near(latency_cell(&rates, 1000, 100, &e2e).at_once, (2.0 - 1) / 0.205, 1e-9);
	assert_true(latency_cell(&rates, 1000, 100, &tight).at_once == 1);
}

static void first_tokens_limit_the_time_in_prompts(void **state)
{
	struct latency_target ttft = {
		.ttft = 0.32
	}; /* half of it is 0.16: 0.15 for a prompt of 0.1 */
	struct latency_cell c = latency_cell(&rates, 1000, 10, &ttft);

	(void)state;
	/* 1 + r / (2 - 2r) = 1.5 for r = 1/2 */
	near(c.at_once * 0.1 / (c.own + c.at_once * c.others), 0.5, 1e-9);
	near(c.ttft, 0.16, 1e-9);
	ttft.ttft = 0.1;
	assert_true(latency_cell(&rates, 1000, 10, &ttft).at_once == 1);
}

static void beyond_the_knee_requests_wait_for_each_other(void **state)
{
	struct latency_rates r = rates;
	struct latency_cell c;

	(void)state;
	r.kv = 1e9;
	c = latency_cell(&r, 1000, 100, &none);
	near(c.at_once, 1 + 14 * 1.0 / 0.205, 1e-9);
	r.kv_told = false; /* they might wait inside the engine, so fewer */
	c = latency_cell(&r, 1000, 100, &none);
	near(c.at_once, 1 + 10 * 1.0 / 0.205, 1e-9);
	r.crowd = 2;
	near(latency_cell(&r, 1000, 100, &none).at_once, c.at_once / 2, 1e-9);
}

static void any_size_has_a_cell(void **state)
{
	static const int64_t sizes[] = { -1, 0, 1, 2, 100000, INT32_MAX };
	static const double kvs[] = { 1e-300, 1, 1e12 };

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		for (size_t p = 0; p < 6; p++) {
			for (size_t o = 0; o < 6; o++) {
				struct latency_rates r = rates;
				struct latency_cell c;

				r.kv = kvs[k];
				c = latency_cell(&r, sizes[p], sizes[o], &none);
				assert_true(isfinite(c.e2e) && c.e2e > 0 && isfinite(c.ttft));
				assert_true(c.at_once >= 1 && latency_load(&c) <= SLO_LOAD_ONE);
			}
		}
	}
}

/* flow */

static void a_stay_sees_what_went_through_its_server(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a, b;
	struct latency_features x;

	(void)state;
	latency_flow_enter(&f, SEC(1), 1000, 100, 0.001, &a); /* 1 s of prompt */
	latency_flow_enter(&f, SEC(1.25), 400, 200, 0.001, &b);
	assert_int_equal(a.backlog, 0);
	assert_int_equal(b.backlog, 750);
	assert_true(latency_flow_held(&f) == 1050 + 500);
	assert_true(latency_flow_leave(&f, SEC(3), SEC(1), 50, &a, &x));
	near(x.seconds, 2, 1e-12);
	assert_true(x.steps == 50 && x.prompts == 1400);
	/* 1050 tokens for 2 s and 500 for 1.75 s */
	near(x.reads, 50 * (2 * 1050 + 1.75 * 500) / 2, 1e-12);
	assert_true(latency_flow_leave(&f, SEC(4), SEC(1.25), 200, &b, &x));
	assert_true(x.prompts == 750 + 400);
	near(x.reads, 200 * (1.75 * 1050 + 2.75 * 500) / 2.75, 1e-12);
	assert_true(latency_flow_held(&f) == 0);
}

static void a_stay_ends_once(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a;
	struct latency_features x;

	(void)state;
	latency_flow_enter(&f, SEC(1), 0, 0, 0, &a);
	assert_true(f.cached > 0);
	assert_false(latency_flow_leave(&f, SEC(1), SEC(1), 1, &a, &x)); /* no time passed */
	assert_int_equal(f.cached, 0);
	assert_false(latency_flow_leave(&f, SEC(2), SEC(1), 1, &a, &x));
	assert_int_equal(f.cached, 0);
}

static void sums_may_wrap(void **state)
{
	struct latency_flow f = { .prompts = UINT64_MAX - 10, .cached_time = UINT64_MAX - 10 };
	struct latency_stay a;
	struct latency_features x;

	(void)state;
	latency_flow_enter(&f, 0, 100, 2, 0.1, &a);
	assert_true(latency_flow_leave(&f, SEC(1), 0, 2, &a, &x));
	assert_true(x.prompts == 100);
	near(x.reads, 2 * 101, 1e-12);
}

static void absurd_sizes_are_not_believed(void **state)
{
	struct latency_flow f = { 0 };
	struct latency_stay a;
	struct latency_features x;

	(void)state;
	for (int i = 0; i < 100; i++) {
		latency_flow_enter(&f, SEC(i), INT64_MAX, INT64_MAX, 1e6, &a);
		assert_true(f.drained <= SEC(i + 3600));
	}
	latency_flow_enter(&f, SEC(100), -5, INT64_MIN, 1e-300, &a);
	assert_true(latency_flow_leave(&f, SEC(101), SEC(100), INT64_MAX, &a, &x));
	assert_true(isfinite(x.prompts) && isfinite(x.reads) && x.steps <= 1 << 24);
}

/* fit */

static double uniform(struct rng *rng, double from, double to)
{
	return from + (to - from) * (double)rng_below(rng, 1000001) / 1e6;
}

/* A request of a server with these rates; noise is the half width of actual / predicted. */
static struct latency_features drawn(struct rng *rng, const double rate[3], double noise)
{
	double steps = exp(uniform(rng, log(8), log(256)));
	double held = uniform(rng, 1000, 10000);
	struct latency_features x = { .steps = steps,
		                      .prompts = uniform(rng, 200, 20000),
		                      .reads = steps * held };

	x.seconds = (rate[0] * x.steps + rate[1] * x.prompts + rate[2] * x.reads) *
	            uniform(rng, 1 - noise, 1 + noise);
	return x;
}

static void rates_are_found(void **state)
{
	static const double truths[][3] = { { 30e-3, 0.2e-3, 1e-6 },
		                            { 5e-3, 0.02e-3, 0.1e-6 },
		                            { 40e-3, 0.3e-3, 3e-6 } };

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		struct latency_fit f;
		struct rng rng;

		rng_init(&rng, 7);
		latency_fit_init(&f);
		for (int i = 0; i < 200; i++) {
			struct latency_features x = drawn(&rng, truths[t], 0.1);

			latency_fit_teach(&f, &x);
		}
		near(latency_fit_rate(&f, 0), truths[t][0], 0.10);
		near(latency_fit_rate(&f, 1), truths[t][1], 0.15);
		near(latency_fit_rate(&f, 2), truths[t][2], 0.30);
	}
}

static void one_kind_of_request_is_predicted_well_after_few(void **state)
{
	static const double truth[] = { 30e-3, 0.2e-3, 1e-6 };
	struct latency_fit f;
	struct latency_features x = { .steps = 40, .prompts = 4000, .reads = 40 * 5000 };

	(void)state;
	x.seconds = truth[0] * x.steps + truth[1] * x.prompts + truth[2] * x.reads;
	latency_fit_init(&f);
	for (int i = 0; i < 10; i++)
		latency_fit_teach(&f, &x);
	near(latency_fit_predict(&f, &x), x.seconds, 0.03);
}

static void what_was_forgotten_is_never_more_than_was_known(void **state)
{
	struct latency_fit f;
	struct latency_features x = { .seconds = 1, .steps = 40, .prompts = 4000, .reads = 1e5 };

	(void)state;
	latency_fit_init(&f);
	for (int i = 0; i < 20000; i++) {
		latency_fit_teach(&f, &x);
		latency_fit_doubt(&f);
		assert_true(f.spread[0][0] + f.spread[1][1] + f.spread[2][2] < 6.751);
	}
	for (int i = 0; i < 3; i++)
		assert_true(isfinite(f.rate[i]) && f.rate[i] > 0);
}

static void late_ones_move_it_little(void **state)
{
	struct latency_fit f, g;
	struct latency_features x = { .seconds = 10, .steps = 40, .prompts = 4000, .reads = 1e5 };

	(void)state;
	latency_fit_init(&f);
	g = f;
	latency_fit_teach(&f, &x);
	x.seconds = 10000;
	latency_fit_teach(&g, &x);
	assert_true(latency_fit_predict(&g, &x) <= 1.5 * latency_fit_predict(&f, &x));
}

/* errors */

static void quantiles_of_errors(void **state)
{
	struct latency_errors e = { 0 };

	(void)state;
	assert_true(latency_errors_quantile(&e, 0.99) == 1 && latency_errors_median(&e) == 0);
	for (int i = 0; i < 95; i++)
		latency_errors_add(&e, 1.01, 1);
	for (int i = 0; i < 5; i++)
		latency_errors_add(&e, 3, 1);
	near(latency_errors_quantile(&e, 0.5), 1.03, 0.04);
	near(latency_errors_quantile(&e, 0.99), 3, 0.07);
	assert_true(latency_errors_median(&e) < 1 / 16.0);
	latency_errors_add(&e, 1e300, 1e-300);
	latency_errors_add(&e, 0, 1);
	latency_errors_add(&e, NAN, 1);
	assert_int_equal(e.total, 103);
}

static void old_errors_fade(void **state)
{
	struct latency_errors e = { 0 };

	(void)state;
	for (int i = 0; i < 999; i++)
		latency_errors_add(&e, 3, 1);
	for (int i = 0; i < 3000; i++)
		latency_errors_add(&e, 1, 1);
	assert_true(e.total < 1000);
	assert_true(latency_errors_quantile(&e, 0.9) < 1.1);
}

/* learner */

static struct latency_lesson lesson_of(const struct latency_features *x)
{
	return (
	    struct latency_lesson){ .stay = *x, .held = 5000, .tokens = 1000, .expected = 1000 };
}

static const double truth[] = { 30e-3, 0.2e-3, 1e-6 };

/* n lessons, one in 100 ms; returns how often other rates came into force. */
static int teach(struct latency_learner *l, struct rng *rng, slo_nsec *now, int n, double slower)
{
	struct latency_speed speed = { 0 };
	int forced = 0;

	for (int i = 0; i < n; i++) {
		struct latency_features x = drawn(rng, truth, 0.1);
		struct latency_lesson lesson;

		x.seconds *= slower;
		lesson = lesson_of(&x);
		*now += MSEC(100);
		forced += latency_learn(l, *now, &lesson, &speed);
	}
	return forced;
}

static void it_becomes_warm_then_hot(void **state)
{
	struct latency_learner l;
	struct rng rng;
	slo_nsec now = 0;

	(void)state;
	rng_init(&rng, 3);
	latency_learner_init(&l, 20000);
	assert_int_equal(l.force.state, LATENCY_COLD);
	teach(&l, &rng, &now, 29, 1);
	assert_int_equal(l.force.state, LATENCY_COLD);
	teach(&l, &rng, &now, 1, 1);
	assert_int_equal(l.force.state, LATENCY_WARM);
	assert_true(l.force.rates.safety == 0.5 && l.force.rates.kv == 20000);
	teach(&l, &rng, &now, 70, 1);
	assert_int_equal(l.force.state, LATENCY_HOT);
	assert_true(l.force.rates.safety == 0.5);
	teach(&l, &rng, &now, 300, 1);
	near(l.force.rates.safety, 1 / latency_errors_quantile(&l.errors, 0.99), 0.06);
	assert_true(l.force.rates.safety > 0.8);
}

static void rates_in_force_seldom_change(void **state)
{
	struct latency_learner l;
	struct rng rng;
	slo_nsec now = 0;

	(void)state;
	rng_init(&rng, 3);
	latency_learner_init(&l, 20000);
	teach(&l, &rng, &now, 1000, 1);
	/* Every 10 s, that is 100 ends, and now and then between. */
	assert_in_range(teach(&l, &rng, &now, 1000, 1), 10, 60);
}

static void servers_that_became_slower_are_noticed(void **state)
{
	struct latency_learner l;
	struct rng rng;
	slo_nsec now = 0;
	double before;

	(void)state;
	rng_init(&rng, 3);
	latency_learner_init(&l, 20000);
	teach(&l, &rng, &now, 1000, 1);
	before = l.force.rates.step;
	teach(&l, &rng, &now, 12, 2);
	assert_int_equal(l.doubt, LATENCY_DOUBT_DRIFT);
	assert_int_equal(l.force.state, LATENCY_WARM);
	teach(&l, &rng, &now, 150, 2);
	near(l.force.rates.step, 2 * before, 0.2);
	teach(&l, &rng, &now, 600, 2);
	assert_int_equal(l.force.state, LATENCY_HOT);
	teach(&l, &rng, &now, 200, 1);
	near(l.force.rates.step, before, 0.2);
}

static void what_waits_inside_the_engine_teaches_nothing(void **state)
{
	struct latency_features x = { .seconds = 50, .steps = 40, .prompts = 4000, .reads = 1e5 };
	struct latency_lesson lesson = lesson_of(&x);
	struct latency_speed speed = { 0 };
	struct latency_learner l;
	double before;

	(void)state;
	latency_learner_init(&l, 4000);
	before = l.fit.rate[0];
	for (int i = 0; i < 60; i++)
		(void)latency_learn(&l, SEC(i), &lesson, &speed);
	assert_true(l.fit.rate[0] == before && l.ends == 0 && l.passed == 60);
	assert_int_equal(l.force.state, LATENCY_WARM); /* or it would never get less to do */
}

static void absurd_lessons_teach_nothing(void **state)
{
	static const struct latency_features absurd[] = {
		{ 0, 40, 400, 1e5 },  { 1, 0, 400, 1e5 },    { 1, 40, 0, 1e5 },
		{ -1, 40, 400, 1e5 }, { NAN, 40, 400, 1e5 }, { 1, 40, 400, NAN },
	};
	struct latency_speed speed = { 0 };
	struct latency_learner l;

	(void)state;
	latency_learner_init(&l, 0);
	for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
		struct latency_lesson lesson = lesson_of(&absurd[i]);

		assert_false(latency_learn(&l, SEC(1), &lesson, &speed));
	}
	assert_int_equal(l.ends, 0);
	assert_true(l.fit.rate[0] == 1);
}

static void a_slow_server_does_not_poison_the_others(void **state)
{
	struct latency_speed speed[4] = { { 0 } };
	struct latency_learner l;
	struct rng rng;

	(void)state;
	rng_init(&rng, 3);
	latency_learner_init(&l, 20000);
	for (int i = 0; i < 2000; i++) {
		struct latency_features x = drawn(&rng, truth, 0.1);
		struct latency_lesson lesson;

		if (i > 600 && i % 4 == 3)
			x.seconds *= 2;
		lesson = lesson_of(&x);
		lesson.several = true;
		(void)latency_learn(&l, MSEC(100) * i, &lesson, &speed[i % 4]);
	}
	near(l.force.rates.step, truth[0], 0.15);
	near(exp(speed[3].late - l.usual), 2, 0.25);
	near(exp(speed[0].late - l.usual), 1, 0.1);
	assert_int_equal(l.force.state, LATENCY_HOT);
}

static void predictions_that_are_forgotten_too_early(void **state)
{
	struct latency_learner l;
	struct latency_speed speed = { 0 };
	struct rng rng;

	(void)state;
	rng_init(&rng, 3);
	latency_learner_init(&l, 20000);
	for (int i = 0; i < 1000; i++) {
		struct latency_features x = drawn(&rng, truth, 0.1);
		struct latency_lesson lesson = lesson_of(&x);

		/* Half of them stay three times as long and are three times as big as was thought.
		 */
		x.seconds = i % 2 ? 3 : 1;
		lesson.stay.seconds = x.seconds;
		lesson.tokens = i % 2 ? 3000 : 1000;
		lesson.expected = 2000;
		(void)latency_learn(&l, MSEC(100) * i, &lesson, &speed);
	}
	near(l.force.rates.crowd, (3 * 3000 + 1000.0) / (4 * 2000), 0.06);
}

static void what_was_learned_outlives_its_learner(void **state)
{
	struct latency_learner l, again;
	struct latency_memory m = { 0 };
	struct rng rng;
	slo_nsec now = 0;

	(void)state;
	rng_init(&rng, 3);
	latency_learner_init(&l, 20000);
	teach(&l, &rng, &now, 500, 1);
	latency_learner_enforce(&l, now);
	latency_learner_remember(&l, &m);
	latency_learner_init(&again, 20000);
	assert_int_equal(latency_learner_recall(&again, now, &m), SLO_OK);
	assert_memory_equal(&l.fit, &again.fit, sizeof(l.fit));
	assert_memory_equal(&l.errors, &again.errors, sizeof(l.errors));
	assert_memory_equal(&l.force.rates, &again.force.rates, sizeof(l.force.rates));
	assert_int_equal(again.force.state, LATENCY_HOT);
	assert_true(l.ends == again.ends && l.trusted == again.trusted);
}

static void absurd_memories_are_refused(void **state)
{
	static const double absurd[] = { NAN, INFINITY, -1e300, -1, 1e300 };
	struct latency_learner l;
	struct latency_memory good = { 0 }, m;

	(void)state;
	latency_learner_init(&l, 0);
	latency_learner_remember(&l, &good);
	for (size_t a = 0; a < sizeof(absurd) / sizeof(absurd[0]); a++) {
		for (int i = 0; i < LATENCY_NUMBERS; i++) {
			slo_err err;

			m = good;
			m.number[i] = absurd[a];
			err = latency_learner_recall(&l, 0, &m);
			/* Usual lateness and the spread may be below 0, sums may be large. */
			if (err == SLO_OK)
				assert_true(isfinite(absurd[a]) && i >= LATENCY_RATES);
			assert_true(isfinite(l.force.rates.crowd) && l.force.rates.step > 0);
		}
	}
	m = good;
	m.bin[3] = 60000;
	assert_int_equal(latency_learner_recall(&l, 0, &m), SLO_EINVAL);
}

/* room */

static struct latency_guest guest_of(double held, double ratio)
{
	return (struct latency_guest){ .held = held, .tokens = 1000, .ratio = ratio, .seconds = 1 };
}

static void a_limit_grows_while_it_is_used(void **state)
{
	struct latency_room r;
	struct latency_guest low = guest_of(1000, 1), full = guest_of(8000, 1.1);

	(void)state;
	latency_room_init(&r);
	for (int i = 0; i < 20; i++)
		latency_room_note(&r, SEC(i), &low);
	assert_true(r.limit == LATENCY_ROOM_FIRST);
	for (int i = 0; i < 6; i++)
		latency_room_note(&r, SEC(i), &full);
	assert_true(r.limit == LATENCY_ROOM_FIRST + 1000); /* the sixth tells */
	latency_room_saw(&r, 50000);
	assert_true(r.limit == 50000);
	latency_room_saw(&r, 40000);
	assert_true(r.limit == 50000);
}

static void a_limit_shrinks_where_requests_are_late(void **state)
{
	struct latency_room r;
	struct latency_guest low = guest_of(1000, 0.9), full = guest_of(8000, 1.3);
	double before;

	(void)state;
	latency_room_init(&r);
	for (int i = 0; i < 6; i++)
		latency_room_note(&r, SEC(1), &low);
	for (int i = 0; i < 6; i++)
		latency_room_note(&r, SEC(10), &full);
	near(r.limit, LATENCY_ROOM_FIRST * 0.8, 1e-12);
	assert_true(r.found);
	/* Not again until the cut can show. */
	for (int i = 0; i < 12; i++)
		latency_room_note(&r, SEC(11.9), &full);
	near(r.limit, LATENCY_ROOM_FIRST * 0.8, 1e-12);
	latency_room_note(&r, SEC(12), &full);
	near(r.limit, LATENCY_ROOM_FIRST * 0.64, 1e-12);
	/* What is a little late neither cuts nor grows; then it grows slowly. */
	before = r.limit;
	full.ratio = 0.9 * 1.2;
	for (int i = 0; i < 12; i++)
		latency_room_note(&r, SEC(30), &full);
	near(r.limit, before, 1e-12);
	full.ratio = 0.9;
	for (int i = 0; i < 12; i++)
		latency_room_note(&r, SEC(30), &full);
	assert_true(r.limit > before && r.limit <= before + 12 * 100);
}

static void the_same_ends_teach_the_same(void **state)
{
	struct latency_learner *l = calloc(2, sizeof(*l));

	(void)state;
	assert_non_null(l);
	for (int i = 0; i < 2; i++) {
		struct rng rng;
		slo_nsec now = 0;

		rng_init(&rng, 11);
		latency_learner_init(&l[i], 20000);
		teach(&l[i], &rng, &now, 500, 1);
	}
	assert_memory_equal(&l[0].fit, &l[1].fit, sizeof(l[0].fit));
	assert_memory_equal(&l[0].errors, &l[1].errors, sizeof(l[0].errors));
	assert_true(l[0].forced == l[1].forced);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cell_is_what_the_formula_says),
		cmocka_unit_test(as_many_as_the_target_allows),
		cmocka_unit_test(first_tokens_limit_the_time_in_prompts),
		cmocka_unit_test(beyond_the_knee_requests_wait_for_each_other),
		cmocka_unit_test(any_size_has_a_cell),
		cmocka_unit_test(a_stay_sees_what_went_through_its_server),
		cmocka_unit_test(a_stay_ends_once),
		cmocka_unit_test(sums_may_wrap),
		cmocka_unit_test(absurd_sizes_are_not_believed),
		cmocka_unit_test(rates_are_found),
		cmocka_unit_test(one_kind_of_request_is_predicted_well_after_few),
		cmocka_unit_test(what_was_forgotten_is_never_more_than_was_known),
		cmocka_unit_test(late_ones_move_it_little),
		cmocka_unit_test(quantiles_of_errors),
		cmocka_unit_test(old_errors_fade),
		cmocka_unit_test(it_becomes_warm_then_hot),
		cmocka_unit_test(rates_in_force_seldom_change),
		cmocka_unit_test(servers_that_became_slower_are_noticed),
		cmocka_unit_test(what_waits_inside_the_engine_teaches_nothing),
		cmocka_unit_test(absurd_lessons_teach_nothing),
		cmocka_unit_test(a_slow_server_does_not_poison_the_others),
		cmocka_unit_test(predictions_that_are_forgotten_too_early),
		cmocka_unit_test(what_was_learned_outlives_its_learner),
		cmocka_unit_test(absurd_memories_are_refused),
		cmocka_unit_test(a_limit_grows_while_it_is_used),
		cmocka_unit_test(a_limit_shrinks_where_requests_are_late),
		cmocka_unit_test(the_same_ends_teach_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
