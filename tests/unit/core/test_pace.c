#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pace.h"

#define S SLO_NSEC_PER_SEC

/* Departures evenly from `from` for `seconds`. */
static void leave(struct pace *p, slo_nsec from, int seconds, int a_second)
{
	for (int i = 0; i < seconds * a_second; i++)
		pace_left(p, from + (slo_nsec)i * S / a_second);
}

static void nobody_waits_so_come_at_once(void **state)
{
	struct pace p = { 0 };

	(void)state;
	assert_int_equal(pace_retry_after(&p, 5 * S, 0), 1);
	leave(&p, 5 * S, 10, 3);
	assert_int_equal(pace_retry_after(&p, 15 * S, 0), 1);
}

static void a_queue_that_does_not_move_takes_the_longest(void **state)
{
	struct pace p = { 0 };

	(void)state;
	assert_int_equal(pace_retry_after(&p, 100 * S, 1), PACE_RETRY_MAX);
	leave(&p, 100 * S, 10, 3);
	assert_true(pace_retry_after(&p, 110 * S, 1) < PACE_RETRY_MAX);
	assert_int_equal(pace_retry_after(&p, 130 * S, 1), PACE_RETRY_MAX);
}

static void it_grows_with_the_queue(void **state)
{
	struct pace p = { 0 };
	int before = 0, seconds;

	(void)state;
	leave(&p, 1000 * S, 20, 2);
	for (size_t waiting = 4; waiting <= 64; waiting *= 2) {
		seconds = pace_retry_after(&p, 1020 * S, waiting);
		assert_true(seconds > before);
		assert_in_range(seconds, waiting / 2, waiting / 2 * 3 / 2 + 1);
		before = seconds;
	}
	assert_int_equal(pace_retry_after(&p, 1020 * S, SIZE_MAX), PACE_RETRY_MAX);
}

static void it_shrinks_with_the_pace(void **state)
{
	struct pace slow = { 0 }, fast = { 0 };

	(void)state;
	leave(&slow, 0, 20, 1);
	leave(&fast, 0, 20, 10);
	assert_in_range(pace_retry_after(&slow, 20 * S, 30), 29, 46);
	assert_in_range(pace_retry_after(&fast, 20 * S, 30), 3, 5);
}

/* A pace that holds is the same in the middle of a window and at its borders. */
static void windows_do_not_show(void **state)
{
	struct pace p = { 0 };

	(void)state;
	leave(&p, 0, 20, 5);
	for (int i = 0; i < 400; i++) {
		slo_nsec now = 20 * S + (slo_nsec)i * S / 5;

		pace_left(&p, now);
		assert_in_range(pace_retry_after(&p, now, 50), 9, 16);
	}
}

static void clients_refused_together_come_back_apart(void **state)
{
	struct pace p = { 0 };
	int count[PACE_RETRY_MAX + 1] = { 0 };

	(void)state;
	leave(&p, 0, 20, 5);
	for (int i = 0; i < 100; i++)
		count[pace_retry_after(&p, 20 * S, 100)]++;
	for (int s = 21; s < 30; s++)
		assert_in_range(count[s], 7, 13);
	assert_int_equal(count[19] + count[31], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_so_come_at_once),
		cmocka_unit_test(a_queue_that_does_not_move_takes_the_longest),
		cmocka_unit_test(it_grows_with_the_queue),
		cmocka_unit_test(it_shrinks_with_the_pace),
		cmocka_unit_test(windows_do_not_show),
		cmocka_unit_test(clients_refused_together_come_back_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
