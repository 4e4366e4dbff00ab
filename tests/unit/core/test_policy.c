#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/policy.h"
#include "core_build.h"

#define ONE     SLO_LOAD_ONE
#define SERVERS 4

/* Servers s0 and s1 in deployment a, s2 and s3 in b. */
struct fixture {
	struct pool m;
	struct deployment *a, *b;
	struct server *s[SERVERS];
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || fleet_pool_init(&f->m, "m") != SLO_OK)
		return -1;
	f->a = fleet_deployment_new(&f->m, "a");
	f->b = fleet_deployment_new(&f->m, "b");
	for (int i = 0; i < SERVERS; i++) {
		char name[] = { 's', (char)('0' + i), '\0' };

		f->s[i] = fleet_server_new(name);
		if (fleet_seat(i < 2 ? f->a : f->b, f->s[i]) != SLO_OK)
			return -1;
	}
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	fleet_check(&f->m);
	fleet_pool_fini(&f->m);
	for (int i = 0; i < SERVERS; i++)
		fleet_server_free(f->s[i]);
	free(f);
	return 0;
}

static struct charge charge(struct fixture *f, int server, slo_load load)
{
	struct charge c;

	fleet_charge(f->s[server]->seats, load, &c);
	fleet_check(&f->m);
	return c;
}

static void release(struct fixture *f, int server, struct charge c)
{
	assert_int_equal(fleet_release(f->s[server], &c), SLO_OK);
	fleet_check(&f->m);
}

/* The number of the server picked, -1 for none. */
static int number(const struct seat *seat)
{
	return seat ? seat->server->name[1] - '0' : -1;
}

static int pick(enum slo_strategy s, struct deployment *d, slo_load load)
{
	return number(policy_pick(s, d, load));
}

static void names_of_strategies_are_read_as_a_whole(void **state)
{
	enum slo_strategy s = SLO_STRATEGY_RANDOM;

	(void)state;
	for (int i = 0; i < SLO_STRATEGIES; i++) {
		const char *name = policy_strategy_name((enum slo_strategy)i);

		assert_true(policy_strategy_parse(name, strlen(name), &s));
		assert_int_equal(s, i);
	}
	s = SLO_STRATEGY_RANDOM;
	assert_false(policy_strategy_parse("", 0, &s));
	assert_false(policy_strategy_parse("s", 1, &s));
	assert_false(policy_strategy_parse("slo-", 4, &s));
	assert_false(policy_strategy_parse("SLO", 3, &s));
	assert_false(policy_strategy_parse("slo-least-load-pullin", 21, &s));
	assert_false(policy_strategy_parse("slo-pack-loads", 14, &s));
	assert_int_equal(s, SLO_STRATEGY_RANDOM);
	assert_true(policy_strategy_parse("slo-least-load-pulling", 14, &s)); /* its prefix */
	assert_int_equal(s, SLO_STRATEGY_LEAST_LOAD);
}

static void only_pulling_strategies_wait(void **state)
{
	(void)state;
	assert_true(policy_pulls(SLO_STRATEGY_SLO));
	assert_true(policy_pulls(SLO_STRATEGY_LEAST_LOAD_PULLING));
	assert_true(policy_pulls(SLO_STRATEGY_PACK_LOAD));
	assert_false(policy_pulls(SLO_STRATEGY_LEAST_LOAD));
	assert_false(policy_pulls(SLO_STRATEGY_LEAST_REQUEST));
	assert_false(policy_pulls(SLO_STRATEGY_RANDOM));
	assert_true(policy_ranks(SLO_STRATEGY_LEAST_LOAD));
	assert_false(policy_ranks(SLO_STRATEGY_LEAST_REQUEST));
	assert_false(policy_ranks(SLO_STRATEGY_RANDOM));
}

static void least_load_takes_the_last_of_equals(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, ONE / 4), 1);
	charge(f, 1, 1);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, ONE / 4), 0);
	charge(f, 0, 1);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, ONE / 4), 1);
}

static void least_load_admits_what_fits_exactly(void **state)
{
	struct fixture *f = *state;

	charge(f, 0, ONE / 2);
	charge(f, 1, ONE / 2);
	assert_int_equal(pick(SLO_STRATEGY_LEAST_LOAD_PULLING, f->a, ONE / 2), 1);
	assert_int_equal(pick(SLO_STRATEGY_LEAST_LOAD_PULLING, f->a, ONE / 2 + 1), -1);
	assert_int_equal(pick(SLO_STRATEGY_LEAST_LOAD, f->a, ONE), 1);
}

static void push_goes_over_and_still_spreads(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 6; i++) {
		int picked = pick(SLO_STRATEGY_LEAST_LOAD, f->a, ONE);

		assert_int_equal(picked, 1 - i % 2);
		charge(f, picked, ONE);
	}
	assert_true(f->s[0]->ledger.used == 3 * ONE);
}

static void pack_takes_the_fullest_that_fits_and_the_first_of_equals(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, ONE / 4), 0);
	charge(f, 1, ONE / 4);
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, ONE / 4), 1);
	charge(f, 1, ONE / 2);
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, ONE / 2), 0);
	charge(f, 0, 3 * (ONE / 4));
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, ONE / 4), 0);
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, ONE / 4 + 1), -1);
}

static void more_than_a_server_goes_only_to_an_idle_one(void **state)
{
	struct fixture *f = *state;
	struct charge c;

	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, 2 * ONE), 0);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, 2 * ONE), 1);
	charge(f, 0, 1);
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, 2 * ONE), 1);
	c = charge(f, 1, 1);
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, 2 * ONE), -1);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, 2 * ONE), -1);
	release(f, 1, c);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, 2 * ONE), 1);
}

static void a_server_that_is_not_usable_is_not_picked(void **state)
{
	struct fixture *f = *state;
	struct charge c = charge(f, 1, ONE / 2);
	struct rng rng;

	assert_true(fleet_set_usable(f->s[0], false));
	assert_false(fleet_set_usable(f->s[0], false));
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, ONE / 4), 1);
	assert_int_equal(f->a->usable, 1);
	assert_true(fleet_set_usable(f->s[1], false));
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, ONE / 4), -1);
	assert_int_equal(pick(SLO_STRATEGY_LEAST_LOAD, f->a, ONE / 4), -1);
	assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, ONE / 4), -1);
	fleet_set_usable(f->s[2], false);
	fleet_set_usable(f->s[3], false);
	rng_init(&rng, 1);
	assert_null(policy_least_request(&f->m));
	assert_null(policy_random(&f->m, &rng));
	release(f, 1, c); /* its ledger went on */
	fleet_set_usable(f->s[1], true);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, ONE), 1);
	assert_int_equal(number(policy_least_request(&f->m)), 1);
}

static void least_request_counts_requests_not_load(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++)
		charge(f, i, ONE);
	charge(f, 3, 0);
	charge(f, 3, 0);
	charge(f, 0, 0);
	charge(f, 1, 0);
	assert_int_equal(number(policy_least_request(&f->m)), 2);
}

static void least_request_takes_equals_in_turn(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 12; i++) {
		int picked = number(policy_least_request(&f->m));

		assert_int_equal(picked, i % SERVERS);
		release(f, picked, charge(f, picked, 0));
	}
}

static void random_takes_every_usable_server_about_equally_often(void **state)
{
	struct fixture *f = *state;
	int count[SERVERS] = { 0 };
	struct rng rng;

	rng_init(&rng, 11);
	fleet_set_usable(f->s[1], false);
	for (int i = 0; i < 3000; i++)
		count[number(policy_random(&f->m, &rng))]++;
	assert_int_equal(count[1], 0);
	for (int i = 0; i < SERVERS; i++)
		if (i != 1)
			assert_in_range(count[i], 900, 1100);
}

static void a_server_of_two_models_has_one_ledger(void **state)
{
	struct fixture *f = *state;
	struct pool other;
	struct deployment *d;
	struct charge c;

	assert_int_equal(fleet_pool_init(&other, "other"), SLO_OK);
	d = fleet_deployment_new(&other, "a");
	assert_int_equal(fleet_seat(d, f->s[0]), SLO_OK);
	assert_int_equal(fleet_seat(d, f->s[0]), SLO_EINVAL);
	assert_int_equal(fleet_seat(f->b, f->s[0]), SLO_EINVAL); /* another deployment of m */
	c = charge(f, 0, ONE);                                   /* by one of its seats */
	fleet_check(&other);
	assert_int_equal(pick(SLO_STRATEGY_SLO, d, 1), -1);
	assert_int_equal(pick(SLO_STRATEGY_SLO, f->a, 1), 1);
	fleet_set_usable(f->s[0], false);
	fleet_check(&other);
	assert_int_equal(other.usable, 0);
	fleet_set_usable(f->s[0], true);
	release(f, 0, c);
	assert_int_equal(pick(SLO_STRATEGY_SLO, d, ONE), 0);
	fleet_check(&other);
	fleet_pool_fini(&other);
}

static void a_charge_of_another_server_is_not_released_here(void **state)
{
	struct fixture *f = *state;
	struct charge c = charge(f, 0, ONE);

	assert_int_equal(fleet_release(f->s[1], &c), SLO_ESTALE);
	assert_int_equal(fleet_release(f->s[0], &c), SLO_OK);
	assert_int_equal(fleet_release(f->s[0], &c), SLO_ESTALE);
	assert_true(f->s[0]->ledger.used == 0);
}

static void a_model_has_a_limit_of_deployments(void **state)
{
	struct pool m;

	(void)state;
	assert_int_equal(fleet_pool_init(&m, "m"), SLO_OK);
	for (int i = 0; i < SLO_DEPLOYMENTS_MAX; i++)
		assert_non_null(fleet_deployment_new(&m, "d"));
	assert_null(fleet_deployment_new(&m, "one more"));
	fleet_pool_fini(&m);
}

/* Against a search through all servers, over a long random life. */
static void picks_are_those_of_a_plain_search(void **state)
{
	struct fixture *f = *state;
	struct charge open[64] = { { 0 } };
	int where[64];
	struct rng rng;

	rng_init(&rng, 42);
	for (int i = 0; i < 5000; i++) {
		slo_load load = rng_below(&rng, ONE / 2);
		size_t slot = rng_below(&rng, 64);
		int least = -1, fullest = -1;

		for (int s = 0; s < 2; s++) {
			slo_load used = f->s[s]->ledger.used;

			if (least < 0 || used <= f->s[least]->ledger.used)
				least = s;
			if (used + load <= ONE &&
			    (fullest < 0 || used > f->s[fullest]->ledger.used))
				fullest = s;
		}
		assert_int_equal(pick(SLO_STRATEGY_LEAST_LOAD, f->a, load), least);
		assert_int_equal(pick(SLO_STRATEGY_PACK_LOAD, f->a, load), fullest);
		if (open[slot].ledger) {
			assert_int_equal(fleet_release(f->s[where[slot]], &open[slot]), SLO_OK);
		} else {
			where[slot] = (int)rng_below(&rng, 2);
			open[slot] = charge(f, where[slot], load / 16);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_strategies_are_read_as_a_whole),
		cmocka_unit_test(only_pulling_strategies_wait),
		TEST(least_load_takes_the_last_of_equals),
		TEST(least_load_admits_what_fits_exactly),
		TEST(push_goes_over_and_still_spreads),
		TEST(pack_takes_the_fullest_that_fits_and_the_first_of_equals),
		TEST(more_than_a_server_goes_only_to_an_idle_one),
		TEST(a_server_that_is_not_usable_is_not_picked),
		TEST(least_request_counts_requests_not_load),
		TEST(least_request_takes_equals_in_turn),
		TEST(random_takes_every_usable_server_about_equally_often),
		TEST(a_server_of_two_models_has_one_ledger),
		TEST(a_charge_of_another_server_is_not_released_here),
		cmocka_unit_test(a_model_has_a_limit_of_deployments),
		TEST(picks_are_those_of_a_plain_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
