#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/fleet.h"

#define MAX 12

/* Servers 0, 1, ... of one deployment, in this order. */
struct fixture {
	struct pool pool;
	struct deployment *d;
	struct server *server[MAX];
	size_t servers;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || fleet_pool_init(&f->pool, "m") != SLO_OK)
		return -1;
	f->d = fleet_deployment_new(&f->pool, "d");
	*state = f;
	return f->d ? 0 : -1;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	fleet_pool_fini(&f->pool);
	for (size_t i = 0; i < f->servers; i++)
		fleet_server_free(f->server[i]);
	free(f);
	return 0;
}

static void come(struct fixture *f, size_t n)
{
	char name[24];

	for (size_t i = 0; i < n; i++) {
		struct server *s;

		snprintf(name, sizeof(name), "s%zu", f->servers);
		s = f->server[f->servers++] = fleet_server_new(name);
		assert_non_null(s);
		assert_int_equal(fleet_seat(f->d, s), SLO_OK);
	}
}

/* A bit for each server that is usable and stays shallow. */
static unsigned shallow(struct fixture *f)
{
	unsigned bits = 0;

	fleet_check(&f->pool);
	for (size_t i = 0; i < f->servers; i++) {
		const struct seat *seat = f->server[i]->seats;

		bits |= (unsigned)(seat && seat->server->usable && !fleet_is_deep(seat)) << i;
	}
	return bits;
}

static void a_sole_server_stays_shallow(void **state)
{
	struct fixture *f = *state;

	come(f, 1);
	assert_int_equal(shallow(f), 0x1);
	fleet_set_usable(f->server[0], false);
	assert_int_equal(shallow(f), 0);
	fleet_set_usable(f->server[0], true);
	assert_int_equal(shallow(f), 0x1);
}

static void the_first_quarter_does(void **state)
{
	struct fixture *f = *state;

	come(f, 7);
	assert_int_equal(shallow(f), 0x1);
	come(f, 1);
	assert_int_equal(shallow(f), 0x3);
	come(f, 4);
	assert_int_equal(shallow(f), 0x7);
}

static void the_next_usable_one_steps_in(void **state)
{
	struct fixture *f = *state;

	come(f, 9);
	fleet_set_usable(f->server[2], false);
	fleet_set_usable(f->server[0], false);
	assert_int_equal(shallow(f), 0x2);
	fleet_set_usable(f->server[1], false);
	assert_int_equal(shallow(f), 0x8);
	fleet_set_usable(f->server[2], true);
	assert_int_equal(shallow(f), 0x4);
	fleet_set_usable(f->server[0], true);
	assert_int_equal(shallow(f), 0x5);
}

static void it_steps_in_for_one_that_goes_for_good(void **state)
{
	struct fixture *f = *state;

	come(f, 9);
	fleet_unseat(f->server[1]->seats);
	assert_int_equal(shallow(f), 0x5);
	fleet_unseat(f->server[0]->seats);
	assert_int_equal(shallow(f), 0x4);
	fleet_unseat(f->server[8]->seats);
	fleet_unseat(f->server[2]->seats);
	assert_int_equal(shallow(f), 0x8);
	for (size_t i = 3; i < 8; i++)
		fleet_unseat(f->server[i]->seats);
	assert_int_equal(shallow(f), 0);
}

static void one_that_moves_is_the_last(void **state)
{
	struct fixture *f = *state;
	struct deployment *other = fleet_deployment_new(&f->pool, "other");

	come(f, 3);
	assert_int_equal(fleet_move(f->server[0]->seats, f->d), SLO_OK);
	assert_int_equal(shallow(f), 0x2);
	assert_int_equal(fleet_move(f->server[1]->seats, other), SLO_OK);
	assert_int_equal(shallow(f), 0x6);
	assert_int_equal(fleet_move(f->server[0]->seats, other), SLO_OK);
	assert_int_equal(shallow(f), 0x6);
}

/* Who waits is looked at again if a server that was shallow is deep. */
static void room_is_new_where_one_becomes_deep(void **state)
{
	struct fixture *f = *state;

	come(f, 3);
	fleet_set_usable(f->server[0], false);
	fleet_looked(&f->pool);
	assert_false(fleet_has_freed(&f->pool));
	fleet_set_usable(f->server[0], true);
	assert_true(fleet_has_freed(&f->pool));
	fleet_looked(&f->pool);
	fleet_set_usable(f->server[2], false);
	assert_false(fleet_has_freed(&f->pool));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_sole_server_stays_shallow, make, drop),
		cmocka_unit_test_setup_teardown(the_first_quarter_does, make, drop),
		cmocka_unit_test_setup_teardown(the_next_usable_one_steps_in, make, drop),
		cmocka_unit_test_setup_teardown(it_steps_in_for_one_that_goes_for_good, make, drop),
		cmocka_unit_test_setup_teardown(one_that_moves_is_the_last, make, drop),
		cmocka_unit_test_setup_teardown(room_is_new_where_one_becomes_deep, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
