#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/request.h"
#include "core/rng.h"

#define REQUESTS 2000

static struct request *request_new(int n, uint64_t hash)
{
	struct request *r = calloc(1, sizeof(*r) + 16);

	assert_non_null(r);
	r->id_len = (uint8_t)snprintf(r->id, 16, "id-%d", n);
	r->hash = hash;
	return r;
}

static bool has(const struct id_table *t, const struct request *r)
{
	return id_table_find(t, r->hash, r->id, r->id_len, r->owner) == r;
}

/* Adds and removes at random; after each step those that belong are there, and no others. */
static void churn(uint64_t (*hash_of)(int n), int requests, int steps, int look_every)
{
	struct request **r = calloc((size_t)requests, sizeof(struct request *));
	bool *in = calloc((size_t)requests, sizeof(*in));
	struct id_table t = { .slot = NULL };
	struct rng rng;

	assert_true(r && in);
	rng_init(&rng, 1);
	for (int i = 0; i < requests; i++)
		r[i] = request_new(i, hash_of(i));
	for (int step = 0; step < steps; step++) {
		int i = (int)rng_below(&rng, (uint64_t)requests);

		if (in[i])
			id_table_remove(&t, r[i]);
		else
			assert_int_equal(id_table_add(&t, r[i]), SLO_OK);
		in[i] = !in[i];
		for (int k = 0; step % look_every == 0 && k < requests; k++)
			assert_int_equal(has(&t, r[k]), in[k]);
	}
	id_table_fini(&t);
	for (int i = 0; i < requests; i++)
		free(r[i]);
	free(r);
	free(in);
}

#define KEY UINT64_C(0x5eed)

static uint64_t hash_of_id(int n)
{
	char id[16];

	return id_hash(KEY, id, (size_t)snprintf(id, sizeof(id), "id-%d", n));
}

static uint64_t same_hash(int n)
{
	(void)n;
	return 7;
}

/* The last slots of any table: probing goes on at its start. */
static uint64_t last_hashes(int n)
{
	return UINT64_MAX - (uint64_t)n % 4;
}

static void finds_what_was_added_and_not_what_was_removed(void **state)
{
	(void)state;
	churn(hash_of_id, REQUESTS, 20000, 500);
}

static void ids_of_one_hash_are_kept_apart(void **state)
{
	(void)state;
	churn(same_hash, 40, 4000, 1);
}

static void probing_wraps_around_the_end(void **state)
{
	(void)state;
	churn(last_hashes, 60, 6000, 1);
}

static void an_empty_table_has_nothing(void **state)
{
	struct id_table t = { .slot = NULL };

	(void)state;
	id_table_prefetch(&t, 1);
	assert_null(id_table_find(&t, 1, "a", 1, 0));
	id_table_fini(&t);
}

static void shrinks_after_a_rush_and_loses_none(void **state)
{
	struct request *r[REQUESTS];
	struct id_table t = { .slot = NULL };
	size_t widest;

	(void)state;
	for (int i = 0; i < REQUESTS; i++) {
		r[i] = request_new(i, hash_of_id(i));
		assert_int_equal(id_table_add(&t, r[i]), SLO_OK);
	}
	widest = t.mask + 1;
	assert_true(widest >= 2 * REQUESTS);
	for (int i = 10; i < REQUESTS; i++)
		id_table_remove(&t, r[i]);
	assert_true(t.mask + 1 <= widest / 8);
	assert_int_equal(t.count, 10);
	for (int i = 0; i < REQUESTS; i++) {
		assert_int_equal(has(&t, r[i]), i < 10);
		free(r[i]);
	}
	id_table_fini(&t);
}

/* Bytes beyond the last whole word count too, and so does the length. */
static void ids_that_differ_anywhere_hash_apart(void **state)
{
	char id[] = "7F000001:C350_7F000001:1F90_6720AAAA_0001:1A2B";
	uint64_t plain = id_hash(KEY, id, sizeof(id) - 1);

	(void)state;
	for (size_t i = 0; i < sizeof(id) - 1; i++) {
		id[i] ^= 1;
		assert_int_not_equal(id_hash(KEY, id, sizeof(id) - 1), plain);
		id[i] ^= 1;
		assert_int_not_equal(id_hash(KEY, id, i), plain);
	}
	assert_int_not_equal(id_hash(KEY, "a", 1), id_hash(KEY, "a\0", 2));
}

/* Ids that fall on one place by one key do not by another. */
static void what_collides_by_one_key_does_not_by_another(void **state)
{
	enum { LOOKED_AT = 20000, MASK = 1023 };
	size_t found = 0, again = 0;

	(void)state;
	for (int n = 0; n < LOOKED_AT; n++) {
		char id[16];
		size_t len = (size_t)snprintf(id, sizeof(id), "id-%d", n);

		if ((id_hash(KEY, id, len) & MASK) != 0)
			continue;
		found++;
		again += (id_hash(KEY + 1, id, len) & MASK) == 0;
	}
	assert_in_range(found, 5, 60);
	assert_true(again <= 2);
}

/* A digit of one word is not undone by one of the next: those two were alike once, in all bits. */
static void ids_that_differ_in_some_digits_hash_apart(void **state)
{
	const char *one = "00000000000800080000000000000000";
	const char *other = "0000000D000D000D0000000000000000";
	enum { DIGITS = 16 * 16 * 16 };
	static uint64_t hash[DIGITS];
	char id[33];

	(void)state;
	assert_int_not_equal(id_hash(KEY, one, 32), id_hash(KEY, other, 32));
	for (unsigned int i = 0; i < DIGITS; i++) {
		snprintf(id, sizeof(id), "0000000%X000%X000%X0000000000000000", i >> 8, i >> 4 & 15,
		         i & 15);
		hash[i] = id_hash(KEY, id, 32);
		for (unsigned int k = 0; k < i; k++)
			assert_true(hash[k] != hash[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_collides_by_one_key_does_not_by_another),
		cmocka_unit_test(finds_what_was_added_and_not_what_was_removed),
		cmocka_unit_test(ids_of_one_hash_are_kept_apart),
		cmocka_unit_test(probing_wraps_around_the_end),
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test(shrinks_after_a_rush_and_loses_none),
		cmocka_unit_test(ids_that_differ_anywhere_hash_apart),
		cmocka_unit_test(ids_that_differ_in_some_digits_hash_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
