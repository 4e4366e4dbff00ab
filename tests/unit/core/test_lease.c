/* Leases and learned counts that one scheduler hands to the next. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "core/lease.h"
#include "sched_build.h"

/* What `from` has in flight, `shift` earlier in the clock of `to`. */
static size_t hand_over(const struct rig *from, struct rig *to, slo_nsec shift)
{
	size_t n = 0;

	for (const struct request *r = lease_first(from->s); r; r = lease_next(r)) {
		struct sched_lease l = lease_of(r);

		l.model = to->m;
		l.server = to->server[l.server == from->server[1]];
		l.created -= shift;
		l.arrived -= shift;
		l.dispatched -= shift;
		assert_int_equal(lease_restore(to->s, &l), SLO_OK);
		sched_check(to->s);
		n++;
	}
	return n;
}

static struct rig *another(void)
{
	void *state;

	assert_int_equal(rig_make(&state), 0);
	return state;
}

static void drop(struct rig *r)
{
	void *state = r;

	rig_drop(&state);
}

static void leases_are_taken_up_with_their_load(void **state)
{
	struct rig *r = *state, *heir = another();

	fill_up(r, SEC(100));
	assert_int_equal(hand_over(r, heir, SEC(90)), 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(heir->server[i]->ledger.used, r->server[i]->ledger.used);
		assert_int_equal(heir->server[i]->ledger.inflight, 2);
	}
	submit(heir, SEC(11), "next");
	quiet(heir, SEC(11));
	assert_int_equal(end(heir, SEC(12), "f1"), SCHED_END_CLOSED);
	routed(heir, SEC(12), "next", "s0");
	assert_int_equal(end(heir, SEC(12), "f1"), SCHED_END_DUPLICATE);
	drop(heir);
}

static void a_lease_teaches_its_heir_when_it_ends(void **state)
{
	struct rig *r = *state, *heir = another();
	struct sched_end e;

	submit(r, SEC(5), "r1");
	routed(r, SEC(5), "r1", "s1");
	hand_over(r, heir, 0);
	e = end_with(heir, SEC(7), "r1",
	             (struct sched_outcome){
			 .outcome = LESSON_ANSWERED, .input = -1, .output = 40, .bytes = -1 });
	assert_non_null(e.request);
	assert_int_equal(e.input, 512);
	assert_int_equal(e.output, 40);
	assert_int_equal(predictor_samples(heir->m->predictor, SEC(7)), 1);
	drop(heir);
}

static void an_old_lease_expires_at_its_own_age(void **state)
{
	struct rig *r = *state, *heir = another();
	struct sched_conf conf = heir->conf;

	conf.lease_max_age = SEC(60);
	sched_configure(heir->s, &conf);
	submit(r, SEC(100), "r1");
	routed(r, SEC(100), "r1", "s1");
	hand_over(r, heir, SEC(130)); /* -30 s: the clock of a machine that has just started */
	assert_int_equal(sched_next_wakeup(heir->s), SEC(30));
	quiet(heir, SEC(29));
	assert_int_equal(heir->server[1]->ledger.inflight, 1);
	quiet(heir, SEC(30));
	assert_int_equal(heir->server[1]->ledger.inflight, 0);
	assert_int_equal(sched_counts(heir->s).leases_expired, 1);
	drop(heir);
}

static void a_younger_lease_before_an_older_one_keeps_the_order(void **state)
{
	struct rig *r = *state;
	struct sched_lease l = { .id = "a",
		                 .id_len = 1,
		                 .limit = -1,
		                 .model = r->m,
		                 .server = r->server[0],
		                 .arrived = SEC(5),
		                 .dispatched = SEC(5) };

	assert_int_equal(lease_restore(r->s, &l), SLO_OK);
	l.id = "b";
	l.arrived = l.dispatched = SEC(1);
	assert_int_equal(lease_restore(r->s, &l), SLO_OK);
	assert_string_equal(lease_first(r->s)->id, "a");
	assert_int_equal(lease_next(lease_first(r->s))->since, SEC(5));
	sched_check(r->s);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct server *stranger = sched_server_add(r->s, "elsewhere");
	const struct sched_lease good = { .id = "a",
		                          .id_len = 1,
		                          .limit = -1,
		                          .model = r->m,
		                          .server = r->server[0],
		                          .goal = { .kind = GOAL_E2E } };
	struct sched_lease bad[13];

	for (size_t i = 0; i < 13; i++)
		bad[i] = good;
	bad[0].id_len = 0;
	bad[1].load = SLO_LOAD_MAX + 1;
	bad[2].input = -1;
	bad[3].output = INT64_MAX;
	bad[4].estimate = -2;
	bad[5].strategy = SLO_STRATEGIES;
	bad[6].arrived = 1;
	bad[7].goal.fixed = NAN;
	bad[8].server = stranger;
	bad[9].goal.e2e = -1;
	bad[10].model = NULL;
	bad[11].limit = -2;
	bad[12].sequences = UINT16_MAX + 1;
	for (size_t i = 0; i < 13; i++)
		assert_int_equal(lease_restore(r->s, &bad[i]), SLO_EINVAL);
	assert_null(lease_first(r->s));
	assert_int_equal(lease_restore(r->s, &good), SLO_OK);
	assert_int_equal(lease_restore(r->s, &good), SLO_EINVAL); /* the id is in use */
	assert_int_equal(r->server[0]->ledger.inflight, 1);
	sched_check(r->s);
}

static void waiting_requests_are_let_go_to_any_server(void **state)
{
	struct rig *r = *state;
	struct sched_action act;

	fill_up(r, 0);
	submit(r, SEC(1), "w1");
	submit(r, SEC(1), "w2");
	quiet(r, SEC(1));
	assert_true(sched_let_go(r->s, SEC(2), &act));
	sched_check(r->s);
	assert_string_equal(act.request->id, "w1");
	assert_int_equal(act.verdict, SLO_FALLBACK);
	assert_int_equal(act.reason, SLO_REASON_DRAINING);
	assert_int_equal(act.waited, SEC(1));
	assert_int_equal(act.seat->server->ledger.inflight, 3);
	assert_true(act.seat->server->ledger.used > SLO_LOAD_ONE);
	sched_server_usable(r->s, r->server[0], false);
	sched_server_usable(r->s, r->server[1], false);
	assert_true(sched_let_go(r->s, SEC(2), &act));
	sched_check(r->s);
	assert_string_equal(act.request->id, "w2");
	assert_int_equal(act.verdict, SLO_PASS);
	assert_null(act.seat);
	assert_false(sched_let_go(r->s, SEC(2), &act));
	assert_int_equal(end(r, SEC(3), "w1"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(3), "w2"), SCHED_END_CLOSED);
}

static void take_up(void *arg, const struct predictor_count *c)
{
	struct predictor_count later = *c;

	later.age += 2; /* the heir starts 20 s later */
	predictor_import(arg, SEC(1020), &later);
}

static void learned_counts_age_on(void **state)
{
	struct predictor *old = predictor_new(), *heir = predictor_new();

	(void)state;
	for (int i = 0; i < 30; i++)
		predictor_learn(old, SEC(10) * i + SEC(710), 0, 100, 50);
	assert_int_equal(predictor_samples(old, SEC(1000)), PREDICTOR_INTERVALS);
	predictor_export(old, SEC(1000), take_up, heir);
	assert_int_equal(predictor_samples(heir, SEC(1020)), PREDICTOR_INTERVALS - 2);
	assert_int_equal(predictor_guess(heir, SEC(1020), 0, 100, -1, SLO_PREDICT_P50,
	                                 SLO_COLD_OPTIMISTIC, NULL),
	                 64);
	assert_int_equal(predictor_samples(heir, SEC(1040)), PREDICTOR_INTERVALS - 4);
	assert_int_equal(predictor_samples(heir, SEC(2000)), 0);
	predictor_free(old);
	predictor_free(heir);
}

static void counts_outside_of_the_table_are_left_out(void **state)
{
	struct predictor *p = predictor_new();
	const struct predictor_count bad[] = {
		{ PREDICTOR_INTERVALS, 1, 1, 1 },
		{ 0, PREDICTOR_BUCKETS, 1, 1 },
		{ 0, 1, PREDICTOR_BUCKETS, 1 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX, 1 },
	};
	const struct predictor_count most = { 0, 1, 1, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		predictor_import(p, 0, &bad[i]);
	assert_int_equal(predictor_samples(p, 0), 0);
	predictor_import(p, 0, &most);
	predictor_import(p, 0, &most);
	assert_int_equal(predictor_samples(p, 0), UINT32_MAX);
	predictor_free(p);
}

static void learned_factors_are_taken_up_unless_they_are_nonsense(void **state)
{
	struct estimator e, heir;
	struct estimator bad[7];

	(void)state;
	estimator_init(&e);
	estimator_init(&heir);
	assert_int_equal(estimator_restore(&heir, &e), SLO_OK); /* nothing learned yet */
	estimator_learn_input(&e, 100, 150);
	estimator_learn_event(&e, 150);
	estimator_learn_output(&e, true, 10000, 40);
	assert_int_equal(estimator_restore(&heir, &e), SLO_OK);
	assert_int_equal(estimator_input(&heir, 100), 150);
	assert_int_equal(estimator_output(&heir, true, 10000), 40);
	assert_float_equal(heir.event.value, 159, 1e-9);
	for (size_t i = 0; i < 7; i++)
		bad[i] = e;
	bad[0].input.value = NAN;
	bad[1].input.value = 5;
	bad[2].stream.value = 0;
	bad[3].json.value = 1; /* without a sample */
	bad[4].spread.value = -1e-9;
	bad[5].spread.value = 8;
	bad[6].event = (struct running_mean){ 19, 1 };
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(estimator_restore(&heir, &bad[i]), SLO_EINVAL);
	assert_int_equal(estimator_input(&heir, 100), 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(leases_are_taken_up_with_their_load),
		TEST(a_lease_teaches_its_heir_when_it_ends),
		TEST(an_old_lease_expires_at_its_own_age),
		TEST(a_younger_lease_before_an_older_one_keeps_the_order),
		TEST(nonsense_is_refused_and_changes_nothing),
		TEST(waiting_requests_are_let_go_to_any_server),
		cmocka_unit_test(learned_counts_age_on),
		cmocka_unit_test(counts_outside_of_the_table_are_left_out),
		cmocka_unit_test(learned_factors_are_taken_up_unless_they_are_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
