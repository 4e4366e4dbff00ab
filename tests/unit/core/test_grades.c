/* Who is to go if too many wait. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/grades.h"
#include "core/rng.h"

#define MANY 100
#include "many_requests.h"

static void add(struct grades *g, struct request *r, int32_t priority)
{
	r->priority = priority;
	assert_int_equal(grades_reserve(g, priority), SLO_OK);
	grades_add(g, r);
}

static void the_last_of_the_least_is_told(void **state)
{
	struct grades g;

	(void)state;
	grades_init(&g);
	assert_null(grades_least(&g));
	for (size_t i = 0; i < 6; i++)
		request[i]->seq = i;
	add(&g, request[0], 0);
	add(&g, request[1], 5);
	assert_ptr_equal(grades_least(&g), request[0]);
	add(&g, request[2], 0);
	assert_ptr_equal(grades_least(&g), request[2]);
	add(&g, request[3], INT32_MIN);
	add(&g, request[4], INT32_MAX);
	add(&g, request[5], 5);
	assert_ptr_equal(grades_least(&g), request[3]);
	grades_check(&g, 6);
	grades_remove(&g, request[3]);
	assert_ptr_equal(grades_least(&g), request[2]);
	grades_remove(&g, request[0]);
	grades_remove(&g, request[2]);
	assert_ptr_equal(grades_least(&g), request[5]);
	grades_remove(&g, request[5]);
	grades_remove(&g, request[1]);
	assert_ptr_equal(grades_least(&g), request[4]);
	grades_remove(&g, request[4]);
	assert_null(grades_least(&g));
	grades_check(&g, 0);
	grades_fini(&g);
}

/* Of all grades, each lower than the one before. */
static size_t count_downwards(const struct grades *g)
{
	const struct grade *grade = grades_below(g, NULL), *before = NULL;
	size_t count = 0;

	for (; grade; before = grade, grade = grades_below(g, grade)) {
		assert_true(grade->count > 0);
		assert_true(!before || grade->priority < before->priority);
		count += grade->count;
	}
	return count;
}

/* Against a look at all of them. */
static void whoever_comes_and_goes(void **state)
{
	bool in[MANY] = { false };
	struct grades g;
	struct rng rng;
	uint64_t seq = 0;
	size_t count = 0;

	(void)state;
	grades_init(&g);
	rng_init(&rng, 3);
	for (int round = 0; round < 20000; round++) {
		const struct request *least = NULL;
		size_t i = rng_below(&rng, MANY);

		if (in[i]) {
			grades_remove(&g, request[i]);
			count--;
		} else {
			request[i]->seq = seq++;
			add(&g, request[i], (int32_t)rng_below(&rng, 7) - 3);
			count++;
		}
		in[i] = !in[i];
		for (size_t k = 0; k < MANY; k++)
			if (in[k] && (!least || request[k]->priority < least->priority ||
			              (request[k]->priority == least->priority &&
			               request[k]->seq > least->seq)))
				least = request[k];
		assert_ptr_equal(grades_least(&g), least);
		grades_check(&g, count);
		assert_int_equal(count_downwards(&g), count);
	}
	grades_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_of_the_least_is_told),
		cmocka_unit_test(whoever_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, requests_make, requests_drop);
}
