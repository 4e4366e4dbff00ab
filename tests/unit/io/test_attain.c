/* Which promises a window counts: all of its slots, none that is older, whatever came before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "core/rng.h"
#include "io/agent/attain.h"
#include "io/agent/stats.h"

#define SECOND SLO_NSEC_PER_SEC
#define EVENTS 3000

struct event {
	slo_nsec at;
	enum promise what;
};

/* Seconds of the slots of each window, and how many it has. */
static const struct {
	slo_nsec slot;
	int64_t slots;
} shape[ATTAIN_WINDOWS] = { { 15, 4 }, { 15, 20 }, { 120, 30 } };

static uint64_t naive(const struct event *e, size_t n, slo_nsec now, enum attain_window w,
                      enum promise p)
{
	slo_nsec width = shape[w].slot * SECOND;
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += e[i].what == p && e[i].at / width > now / width - shape[w].slots;
	return sum;
}

static void windows_count_as_a_list_of_all_events_does(void **state)
{
	static struct event event[EVENTS];
	struct attain a = { .total = { 0 } };
	uint64_t total[PROMISES] = { 0 };
	slo_nsec now = 1000 * SECOND;
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (size_t i = 0; i < EVENTS; i++) {
		/* Mostly soon after each other, at times after a pause longer than any ring. */
		uint64_t pause = rng_below(&rng, 100);

		now += (slo_nsec)rng_below(&rng, pause == 0 ? 8000 : pause < 5 ? 400 : 10) * SECOND;
		event[i] = (struct event){ now, (enum promise)rng_below(&rng, PROMISES) };
		attain_add(&a, now, event[i].what, 1);
		total[event[i].what]++;
		now += (slo_nsec)rng_below(&rng, 40) * SECOND / 4;
		for (int w = 0; w < ATTAIN_WINDOWS; w++) {
			struct attain_sum sum = attain_sum(&a, now, (enum attain_window)w);

			for (int p = 0; p < PROMISES; p++)
				assert_int_equal(sum.count[p],
				                 naive(event, i + 1, now, (enum attain_window)w,
				                       (enum promise)p));
		}
	}
	for (int p = 0; p < PROMISES; p++)
		assert_int_equal(attain_total(&a, (enum promise)p), total[p]);
}

static void the_last_slot_is_under_way_and_the_first_is_the_oldest(void **state)
{
	struct attain_slot slot[ATTAIN_SLOTS];
	struct attain a = { .total = { 0 } };

	(void)state;
	attain_add(&a, 3600 * SECOND, PROMISE_KEPT, 1);
	attain_add(&a, 3884 * SECOND, PROMISE_MISSED, 1);
	assert_int_equal(attain_slots(&a, 3899 * SECOND, ATTAIN_5_MINUTES, slot), 20);
	assert_int_equal(slot[0].count[PROMISE_KEPT], 1);
	assert_int_equal(slot[18].count[PROMISE_MISSED], 1);
	assert_int_equal(slot[19].count[PROMISE_MISSED], 0);
	attain_slots(&a, 3900 * SECOND, ATTAIN_5_MINUTES, slot);
	assert_int_equal(slot[0].count[PROMISE_KEPT], 0);
	assert_int_equal(slot[17].count[PROMISE_MISSED], 1);
	assert_int_equal(attain_slots(&a, 3900 * SECOND, ATTAIN_HOUR, slot), 30);
	assert_int_equal(slot[27].count[PROMISE_KEPT], 1);
	assert_int_equal(attain_slots(&a, 3900 * SECOND, ATTAIN_NOW, slot), 4);
	assert_int_equal(slot[1].count[PROMISE_MISSED], 1);
}

static void nothing_happened_before_the_clock_began(void **state)
{
	struct attain a = { .total = { 0 } };

	(void)state;
	attain_add(&a, 0, PROMISE_KEPT, 1);
	for (int w = 0; w < ATTAIN_WINDOWS; w++)
		assert_int_equal(attain_sum(&a, SECOND, (enum attain_window)w).count[PROMISE_KEPT],
		                 1);
}

static void a_class_is_kept_apart_and_all_are_in_the_model(void **state)
{
	static struct model_stats m;

	(void)state;
	model_stats_init(&m);
	model_stats_promise(&m, SECOND, SLO_STRATEGY_SLO, GOAL_E2E, PROMISE_KEPT);
	model_stats_promise(&m, SECOND, SLO_STRATEGY_SLO, GOAL_TTFT, PROMISE_MISSED);
	model_stats_promise(&m, SECOND, SLO_STRATEGY_RANDOM, GOAL_TTFT, PROMISE_MISSED);
	assert_int_equal(attain_total(&m.promises, PROMISE_MISSED), 0); /* nobody asked yet */
	model_stats_settle(&m);
	model_stats_settle(&m);
	assert_int_equal(attain_total(&m.promises, PROMISE_MISSED), 2);
	assert_int_equal(attain_total(&m.by_strategy[SLO_STRATEGY_SLO], PROMISE_KEPT), 1);
	assert_int_equal(attain_total(&m.by_strategy[SLO_STRATEGY_SLO], PROMISE_MISSED), 1);
	assert_int_equal(attain_total(&m.by_target[GOAL_TTFT], PROMISE_MISSED), 2);
	assert_int_equal(m.by_class[SLO_STRATEGY_RANDOM][GOAL_TTFT][PROMISE_MISSED], 1);
	assert_int_equal(m.by_class[SLO_STRATEGY_RANDOM][GOAL_E2E][PROMISE_MISSED], 0);
}

static void what_is_settled_late_stays_in_the_slot_where_it_happened(void **state)
{
	static struct model_stats m;
	struct attain_slot slot[ATTAIN_SLOTS];

	(void)state;
	model_stats_init(&m);
	model_stats_promise(&m, 100 * SECOND, SLO_STRATEGY_SLO, GOAL_E2E, PROMISE_KEPT);
	model_stats_promise(&m, 104 * SECOND, SLO_STRATEGY_SLO, GOAL_E2E, PROMISE_KEPT);
	model_stats_promise(&m, 105 * SECOND, SLO_STRATEGY_SLO, GOAL_E2E, PROMISE_KEPT);
	model_stats_settle(&m);
	model_stats_promise(&m, 119 * SECOND, SLO_STRATEGY_SLO, GOAL_E2E, PROMISE_MISSED);
	model_stats_settle(&m);
	attain_slots(&m.promises, 200 * SECOND, ATTAIN_5_MINUTES, slot);
	assert_int_equal(slot[12].count[PROMISE_KEPT], 2);
	assert_int_equal(slot[13].count[PROMISE_KEPT], 1);
	assert_int_equal(slot[13].count[PROMISE_MISSED], 1);
	assert_int_equal(attain_sum(&m.promises, 200 * SECOND, ATTAIN_HOUR).count[PROMISE_KEPT], 3);
}

static void a_steady_rate_is_found_and_fades(void **state)
{
	struct rate r = { 0 };
	slo_nsec now = 5 * SECOND;

	(void)state;
	for (int i = 0; i < 6000; i++, now += SECOND / 10)
		rate_add(&r, now, 7);
	assert_true(fabs(rate_now(&r, now) - 70) < 1);
	assert_true(fabs(rate_now(&r, now + RATE_SPAN) - 70 * exp(-1)) < 1);
	assert_true(rate_now(&r, now + 100 * RATE_SPAN) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_count_as_a_list_of_all_events_does),
		cmocka_unit_test(the_last_slot_is_under_way_and_the_first_is_the_oldest),
		cmocka_unit_test(nothing_happened_before_the_clock_began),
		cmocka_unit_test(what_is_settled_late_stays_in_the_slot_where_it_happened),
		cmocka_unit_test(a_class_is_kept_apart_and_all_are_in_the_model),
		cmocka_unit_test(a_steady_rate_is_found_and_fades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
