#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/past.h"
#include "core/rng.h"

#define IDS 600

/* The same, kept the plain way: what is known of each id, and in which order they came. */
struct plain {
	enum past_state state[IDS];
	slo_nsec since[IDS];
	int count;
};

static int oldest(const struct plain *m)
{
	int first = -1;

	for (int i = 0; i < IDS; i++)
		if (m->state[i] != PAST_UNKNOWN && (first < 0 || m->since[i] < m->since[first]))
			first = i;
	return first;
}

static void assert_same(const struct past *p, const struct plain *m, uint64_t (*hash_of)(int n))
{
	past_check(p);
	assert_int_equal(p->count, m->count);
	for (int i = 0; i < IDS; i++)
		assert_int_equal(past_find(p, hash_of(i)), m->state[i]);
	if (m->count > 0)
		assert_int_equal(past_oldest(p), m->since[oldest(m)]);
}

/* Adds, ends and forgets at random; `crowd` is how many it tends to hold. */
static void churn(uint64_t (*hash_of)(int n), uint32_t number, int steps, int crowd, int look_every)
{
	struct plain m = { .count = 0 };
	struct past p;
	struct rng rng;

	assert_int_equal(past_init(&p), SLO_OK);
	p.first = p.next = number;
	rng_init(&rng, (uint64_t)crowd);
	for (int now = 1; now <= steps; now++) {
		int i = (int)rng_below(&rng, IDS);

		if (m.count > 0 && (m.state[i] == PAST_ENDED || m.count > crowd)) {
			i = oldest(&m);
			past_forget_oldest(&p);
			m.state[i] = PAST_UNKNOWN;
			m.count--;
		} else if (m.state[i] == PAST_UNKNOWN) {
			m.state[i] = rng_below(&rng, 2) ? PAST_ENDED : PAST_OVER;
			past_add(&p, hash_of(i), m.state[i], now);
			m.since[i] = now;
			m.count++;
		} else if (m.state[i] == PAST_OVER) {
			past_end(&p, hash_of(i), now);
			m.state[i] = PAST_ENDED;
			m.since[i] = now;
		}
		if (now % look_every == 0)
			assert_same(&p, &m, hash_of);
	}
	assert_same(&p, &m, hash_of);
	while (m.count > 0) {
		m.state[oldest(&m)] = PAST_UNKNOWN;
		m.count--;
		past_forget_oldest(&p);
		assert_same(&p, &m, hash_of);
	}
	past_fini(&p);
}

static uint64_t spread(int n)
{
	return (uint64_t)(n + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* One home for all, and one tag for every two. */
static uint64_t crowded(int n)
{
	return (uint64_t)n / 2 << 40 | (uint64_t)n % 2 << 31 | 8;
}

/* The last slots of any table: probing goes on at its start. */
static uint64_t last(int n)
{
	return (uint64_t)(n + 1) << 32 | (UINT32_MAX - (uint32_t)n % 4);
}

/* Three names of each id, side by side. */
static uint64_t related(int n)
{
	uint64_t hash = (uint64_t)(n / 3 + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return hash ^ ((uint64_t)(n % 3) * UINT64_C(0x6c696e65206f6620) & ~PAST_HOME_BITS);
}

static void knows_what_came_and_is_not_forgotten(void **state)
{
	(void)state;
	churn(spread, 0, 40000, 400, 50);
	churn(related, 0, 40000, 400, 50);
	churn(crowded, 0, 3000, 60, 5);
	churn(last, 0, 3000, 60, 5);
}

/* The ring is full of places that ended ids have left. */
static void the_places_of_those_that_moved_are_used_again(void **state)
{
	struct past p;

	(void)state;
	assert_int_equal(past_init(&p), SLO_OK);
	past_add(&p, spread(0), PAST_ENDED, 0);
	for (int n = 1; n <= 10000; n++) {
		past_add(&p, spread(n), PAST_OVER, n);
		past_end(&p, spread(n), n);
		if (p.count > 100)
			past_forget_oldest(&p);
	}
	past_check(&p);
	assert_true(p.mask + 1 <= 512);
	past_fini(&p);
}

static void numbers_may_run_over(void **state)
{
	(void)state;
	churn(spread, UINT32_MAX - 100, 3000, 200, 5);
	churn(spread, UINT32_MAX - 1000, 3000, 200, 5);
}

static void shrinks_after_a_rush(void **state)
{
	struct past p;

	(void)state;
	assert_int_equal(past_init(&p), SLO_OK);
	for (int n = 0; n < 100000; n++)
		past_add(&p, spread(n), PAST_ENDED, n);
	past_check(&p);
	assert_int_equal(p.mask + 1, 131072);
	for (int n = 0; n < 99990; n++)
		past_forget_oldest(&p);
	past_check(&p);
	assert_true(p.mask + 1 <= 256);
	for (int n = 0; n < 100000; n++)
		assert_int_equal(past_find(&p, spread(n)), n < 99990 ? PAST_UNKNOWN : PAST_ENDED);
	past_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_what_came_and_is_not_forgotten),
		cmocka_unit_test(the_places_of_those_that_moved_are_used_again),
		cmocka_unit_test(numbers_may_run_over),
		cmocka_unit_test(shrinks_after_a_rush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
