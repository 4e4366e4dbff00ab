#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/ledger.h"
#include "core_build.h"

static void an_idle_server_takes_anything(void **state)
{
	(void)state;
	assert_true(ledger_fits(0, 0));
	assert_true(ledger_fits(0, SLO_LOAD_ONE));
	assert_true(ledger_fits(0, SLO_LOAD_ONE + 1));
	assert_true(ledger_fits(0, SLO_LOAD_MAX));
}

static void a_busy_server_takes_up_to_one_whole_and_not_a_grain_more(void **state)
{
	(void)state;
	assert_true(ledger_fits(1, SLO_LOAD_ONE - 1));
	assert_false(ledger_fits(1, SLO_LOAD_ONE));
	assert_true(ledger_fits(SLO_LOAD_ONE / 2, SLO_LOAD_ONE / 2));
	assert_false(ledger_fits(SLO_LOAD_ONE / 2, SLO_LOAD_ONE / 2 + 1));
	assert_true(ledger_fits(SLO_LOAD_ONE, 0));
	assert_false(ledger_fits(SLO_LOAD_ONE + 1, 0)); /* push went over */
	assert_false(ledger_fits(UINT64_MAX, UINT64_MAX));
	assert_false(ledger_fits(1, UINT64_MAX));
}

static void a_charge_goes_over_when_told_to(void **state)
{
	struct ledger l = { 0 };
	struct charge a, b;

	(void)state;
	ledger_charge(&l, SLO_LOAD_ONE, &a);
	ledger_charge(&l, SLO_LOAD_MAX, &b);
	assert_true(l.used == SLO_LOAD_ONE + SLO_LOAD_MAX);
	assert_int_equal(l.inflight, 2);
	assert_int_equal(ledger_release(&b), SLO_OK);
	assert_true(l.used == SLO_LOAD_ONE);
}

/* More of the heaviest than a sum can hold: it stops in time, and all of it comes back. */
static void no_number_of_charges_overflows(void **state)
{
	enum { MANY = 1 << 20 };
	struct charge *c = calloc(MANY, sizeof(*c));
	struct ledger l = { 0 };

	(void)state;
	assert_non_null(c);
	for (int i = 0; i < MANY; i++)
		ledger_charge(&l, SLO_LOAD_MAX, &c[i]);
	assert_true(l.used == LEDGER_MAX && l.inflight == MANY);
	assert_true(ledger_adjust(&l, 0, UINT64_MAX, 0, 1) == 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(ledger_release(&c[i]), SLO_OK);
	assert_true(l.used == 0 && l.inflight == 1);
	assert_true(ledger_adjust(&l, 0, UINT64_MAX, 1, 2) == LEDGER_MAX);
	free(c);
}

static void a_charge_is_released_once(void **state)
{
	struct ledger l = { 0 };
	struct charge a, b;

	(void)state;
	ledger_charge(&l, 5, &a);
	ledger_charge(&l, 7, &b);
	assert_int_equal(ledger_release(&a), SLO_OK);
	assert_null(a.ledger);
	assert_int_equal(ledger_release(&a), SLO_ESTALE);
	assert_true(l.used == 7);
	assert_int_equal(l.inflight, 1);
	assert_int_equal(ledger_release(&b), SLO_OK);
	assert_true(l.used == 0);
	assert_int_equal(l.inflight, 0);
}

static void a_charge_of_nothing_still_counts_as_a_request(void **state)
{
	struct ledger l = { 0 };
	struct charge a;

	(void)state;
	ledger_charge(&l, 0, &a);
	assert_int_equal(l.inflight, 1);
	assert_true(l.used == 0);
	assert_int_equal(ledger_release(&a), SLO_OK);
	assert_int_equal(l.inflight, 0);
}

/* However the charges come and go, nothing drifts. */
static void n_requests_of_one_nth_always_fit(void **state)
{
	struct charge open[1001];

	(void)state;
	for (int n = 1; n <= 1000; n++) {
		struct profile *p = profile_of(&(struct one_cell){ .tput = n, .e2e = 1 });
		slo_load load = profile_load(p, 0);
		struct ledger l = { 0 };

		for (int i = 0; i < n; i++) {
			assert_true(ledger_fits(l.used, load));
			ledger_charge(&l, load, &open[i]);
		}
		if (n > 1)
			assert_false(ledger_fits(l.used, load));
		for (int i = 0; i < n; i++)
			assert_int_equal(ledger_release(&open[(i * 7919) % n]), SLO_OK);
		assert_true(l.used == 0);
		profile_free(p);
	}
}

static void loads_as_numbers_are_shares_of_a_server(void **state)
{
	(void)state;
	assert_true(load_to_double(0) == 0);
	assert_true(load_to_double(SLO_LOAD_ONE) == 1);
	assert_true(load_to_double(SLO_LOAD_ONE / 8) == 0.125);
	assert_true(load_to_double(3 * SLO_LOAD_ONE) == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_server_takes_anything),
		cmocka_unit_test(a_busy_server_takes_up_to_one_whole_and_not_a_grain_more),
		cmocka_unit_test(a_charge_goes_over_when_told_to),
		cmocka_unit_test(no_number_of_charges_overflows),
		cmocka_unit_test(a_charge_is_released_once),
		cmocka_unit_test(a_charge_of_nothing_still_counts_as_a_request),
		cmocka_unit_test(n_requests_of_one_nth_always_fit),
		cmocka_unit_test(loads_as_numbers_are_shares_of_a_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
