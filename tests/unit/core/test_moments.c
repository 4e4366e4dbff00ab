/* The heap of moments against a sorted list. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/moments.h"
#include "core/rng.h"

#define MANY 200
#include "many_requests.h"

static slo_nsec at[MANY];

static void setup(struct moments *m)
{
	moments_init(m, offsetof(struct request, hold));
	assert_null(moments_first(m));
	assert_int_equal(moments_reserve(m, MANY), SLO_OK);
	for (size_t i = 0; i < MANY; i++) {
		request[i]->seq = i;
		request[i]->hold = MOMENTS_NONE;
	}
}

static const struct request *first_of_all(void)
{
	const struct request *first = NULL;

	for (size_t i = 0; i < MANY; i++)
		if (request[i]->hold != MOMENTS_NONE && (!first || at[i] < at[first->seq]))
			first = request[i];
	return first;
}

static void the_first_moment_is_on_top_whoever_comes_and_goes(void **state)
{
	struct moments m;
	struct rng rng;

	(void)state;
	setup(&m);
	rng_init(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		size_t i = rng_below(&rng, MANY);

		if (request[i]->hold != MOMENTS_NONE) {
			moments_drop(&m, request[i]);
		} else {
			at[i] = (slo_nsec)rng_below(&rng, 50);
			moments_add(&m, request[i], at[i]);
		}
		moments_check(&m);
		assert_ptr_equal(moments_first(&m) ? moments_first(&m)->request : NULL,
		                 first_of_all());
	}
	moments_fini(&m);
}

static void who_is_not_in_it_is_not_dropped(void **state)
{
	struct moments m;

	(void)state;
	setup(&m);
	moments_add(&m, request[1], 5);
	moments_drop(&m, request[0]);
	assert_int_equal(m.count, 1);
	moments_drop(&m, request[1]);
	moments_drop(&m, request[1]);
	assert_int_equal(m.count, 0);
	moments_fini(&m);
}

static void room_grows(void **state)
{
	struct moments m;

	(void)state;
	moments_init(&m, offsetof(struct request, hold));
	for (size_t i = 0; i < MANY; i++) {
		request[i]->hold = MOMENTS_NONE;
		assert_int_equal(moments_reserve(&m, i + 1), SLO_OK);
		assert_true(m.cap > i);
		moments_add(&m, request[i], -(slo_nsec)i);
	}
	assert_ptr_equal(moments_first(&m)->request, request[MANY - 1]);
	moments_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_moment_is_on_top_whoever_comes_and_goes),
		cmocka_unit_test(who_is_not_in_it_is_not_dropped),
		cmocka_unit_test(room_grows),
	};

	return cmocka_run_group_tests(tests, requests_make, requests_drop);
}
