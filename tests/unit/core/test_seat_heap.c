#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/fleet.h"
#include "core/rng.h"

#define SEATS  60
#define ROUNDS 20000

struct fixture {
	struct server server[SEATS];
	struct seat seat[SEATS];
	struct seat_heap heap[SEAT_ORDERS];
	bool in[SEATS];
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	for (uint64_t i = 0; i < SEATS; i++) {
		f->seat[i].server = &f->server[i];
		f->seat[i].order = i;
		for (int by = 0; by < SEAT_ORDERS; by++)
			f->seat[i].place[by] = SEAT_PLACE_NONE;
	}
	for (int by = 0; by < SEAT_ORDERS; by++)
		if (!seat_heap_reserve(&f->heap[by], SEATS))
			return -1;
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	for (int by = 0; by < SEAT_ORDERS; by++)
		seat_heap_fini(&f->heap[by]);
	free(f);
	return 0;
}

static bool is_less(const struct seat *a, const struct seat *b, enum seat_order by)
{
	uint64_t x = a->server->ledger.used, y = b->server->ledger.used;

	if (by == SEAT_BY_HARM && a->server->sums.harm != b->server->sums.harm)
		return a->server->sums.harm < b->server->sums.harm;
	if (x != y)
		return x < y;
	return by == SEAT_BY_HARM ? a->order < b->order : a->order > b->order;
}

/* The first few are those that a plain search finds. */
static void compare(const struct fixture *f, enum seat_order by)
{
	const struct seat_heap *h = &f->heap[by];
	const struct seat *last = NULL;
	size_t n = 0, few = seat_heap_few(h);

	for (size_t i = 0; i < SEATS; i++)
		n += f->in[i];
	assert_int_equal(few, n < SEAT_FEW ? n : SEAT_FEW);
	for (size_t k = 0; k < few; k++) {
		const struct seat *least = NULL;

		for (size_t i = 0; i < SEATS; i++) {
			const struct seat *at = &f->seat[i];

			if (f->in[i] && (!last || is_less(last, at, by)) &&
			    (!least || is_less(at, least, by)))
				least = at;
		}
		assert_ptr_equal(h->at[k].seat, least);
		last = least;
	}
}

static void put(struct fixture *f, size_t i)
{
	for (int by = 0; by < SEAT_ORDERS; by++)
		seat_heap_put(&f->heap[by], (enum seat_order)by, &f->seat[i]);
	f->in[i] = true;
}

static void take(struct fixture *f, size_t i)
{
	for (int by = 0; by < SEAT_ORDERS; by++)
		seat_heap_drop(&f->heap[by], (enum seat_order)by, &f->seat[i]);
	f->in[i] = false;
}

static void check(const struct fixture *f)
{
	for (int by = 0; by < SEAT_ORDERS; by++) {
		seat_heap_check(&f->heap[by], (enum seat_order)by);
		compare(f, (enum seat_order)by);
	}
}

/* Few different loads, so that many are equal; between many seats and none. */
static void the_first_few_are_those_of_a_plain_search(void **state)
{
	struct fixture *f = *state;
	struct rng rng;

	rng_init(&rng, 5);
	for (size_t round = 0; round < ROUNDS; round++) {
		size_t i = rng_below(&rng, SEATS);
		bool fewer = round / 500 % 2;

		f->server[i].ledger.used = rng_below(&rng, 9);
		f->server[i].sums.harm = rng_below(&rng, 9);
		if (rng_below(&rng, 5) > (fewer ? 1 : 3))
			take(f, i);
		else
			put(f, i);
		check(f);
	}
}

static void what_is_not_there_is_dropped_without_effect(void **state)
{
	struct fixture *f = *state;

	put(f, 3);
	take(f, 4);
	check(f);
	take(f, 3);
	take(f, 3);
	check(f);
}

/* The least and the most loaded in turn change places, over and over. */
static void one_that_is_chosen_each_time_goes_behind_the_others(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < SEATS; i++)
		put(f, i);
	for (uint64_t t = 1; t < 1000; t++) {
		struct seat *first = f->heap[SEAT_BY_LOAD].at[0].seat;

		first->server->ledger.used += 3;
		first->server->sums.harm = t;
		put(f, (size_t)(first - f->seat));
		check(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_few_are_those_of_a_plain_search),
		TEST(what_is_not_there_is_dropped_without_effect),
		TEST(one_that_is_chosen_each_time_goes_behind_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
