/* Values of MessagePack: those that the library packs, what is out of range, what is cut off. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/file/msgpack_take.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

struct packed {
	msgpack_sbuffer bytes;
	msgpack_packer packer;
};

static msgpack_packer *begin(struct packed *p)
{
	msgpack_sbuffer_init(&p->bytes);
	msgpack_packer_init(&p->packer, &p->bytes, msgpack_sbuffer_write);
	return &p->packer;
}

/* The first `len` bytes in a block of that size, for free(). */
static uint8_t *cursor(struct packed *p, size_t len, struct rd *r)
{
	uint8_t *copy = exact(p->bytes.data, len);

	rd_init(r, (struct slice){ copy, len });
	return copy;
}

static void signed_numbers_come_back_and_none_is_read_beyond_its_end(void **state)
{
	static const int64_t edges[] = { 0,         1,      127,    128,       255,
		                         256,       65535,  65536,  INT32_MAX, UINT32_MAX,
		                         INT64_MAX, -1,     -32,    -33,       -128,
		                         -129,      -32768, -32769, INT32_MIN, -INT64_MAX };

	(void)state;
	for (size_t i = 0; i < COUNT(edges); i++) {
		struct packed p;

		msgpack_pack_int64(begin(&p), edges[i]);
		for (size_t len = 0; len <= p.bytes.size; len++) {
			bool whole = len == p.bytes.size;
			struct rd r;
			uint8_t *copy = cursor(&p, len, &r);

			assert_true(take_int(&r, INT64_MAX) == (whole ? edges[i] : 0));
			assert_int_equal(r.bad, !whole);
			assert_int_equal(rd_left(&r), 0);
			free(copy);
		}
		msgpack_sbuffer_destroy(&p.bytes);
	}
}

static void a_number_out_of_range_is_none(void **state)
{
	static const struct {
		int64_t number, most;
		bool is_uint, is_int;
	} cases[] = {
		{ 10, 10, true, true },
		{ 11, 10, false, false },
		{ -10, 10, false, true },
		{ -11, 10, false, false },
		{ INT64_MIN, INT64_MAX, false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct packed p;
		struct rd r;
		uint8_t *copy;

		msgpack_pack_int64(begin(&p), cases[i].number);
		copy = cursor(&p, p.bytes.size, &r);
		(void)take_uint(&r, (uint64_t)cases[i].most);
		assert_int_equal(r.bad, !cases[i].is_uint);
		rd_init(&r, (struct slice){ copy, p.bytes.size });
		(void)take_int(&r, cases[i].most);
		assert_int_equal(r.bad, !cases[i].is_int);
		free(copy);
		msgpack_sbuffer_destroy(&p.bytes);
	}
}

static void texts_floats_and_arrays_come_in_order(void **state)
{
	static const size_t lengths[] = { 0, 1, 31, 32, 255, 256, 65535, 65536 };
	static char text[65536];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct packed p;
		struct rd r;
		uint8_t *copy;

		msgpack_pack_array(begin(&p), lengths[i]);
		msgpack_pack_str(&p.packer, lengths[i]);
		msgpack_pack_str_body(&p.packer, text, lengths[i]);
		msgpack_pack_double(&p.packer, -0.5);
		copy = cursor(&p, p.bytes.size, &r);
		assert_int_equal(take_array(&r, lengths[i]), lengths[i]);
		assert_int_equal(take_text(&r, lengths[i], lengths[i]).len, lengths[i]);
		assert_true(take_float(&r) <= -0.5 && !r.bad && rd_left(&r) == 0);
		rd_init(&r, (struct slice){ copy, p.bytes.size });
		assert_int_equal(take_array(&r, lengths[i] + 1), 0);
		assert_true(r.bad);
		rd_init(&r, (struct slice){ copy, p.bytes.size });
		(void)take_array(&r, 0);
		assert_int_equal(take_text(&r, lengths[i] + 1, SIZE_MAX).len, 0);
		assert_true(r.bad);
		free(copy);
		msgpack_sbuffer_destroy(&p.bytes);
	}
}

static void what_is_passed_over_may_be_of_any_kind(void **state)
{
	struct packed p;
	struct rd r;
	uint8_t *copy;

	(void)state;
	msgpack_pack_array(begin(&p), 2);
	msgpack_pack_nil(&p.packer);
	msgpack_pack_double(&p.packer, 1);
	msgpack_pack_str(&p.packer, 3);
	msgpack_pack_str_body(&p.packer, "abc", 3);
	msgpack_pack_int64(&p.packer, 7);
	copy = cursor(&p, p.bytes.size, &r);
	take_any(&r, 2);
	assert_int_equal(take_uint(&r, 7), 7);
	take_any(&r, 0);
	assert_false(r.bad);
	take_any(&r, 1);
	assert_true(r.bad);
	free(copy);
	msgpack_sbuffer_destroy(&p.bytes);
}

static void another_kind_spoils_the_rest(void **state)
{
	struct packed p;
	struct rd r;
	uint8_t *copy;

	(void)state;
	msgpack_pack_nil(begin(&p));
	msgpack_pack_int64(&p.packer, 7);
	for (int kind = 0; kind < 5; kind++) {
		copy = cursor(&p, p.bytes.size, &r);
		switch (kind) {
		case 0:
			assert_int_equal(take_uint(&r, 7), 0);
			break;
		case 1:
			assert_int_equal(take_int(&r, 7), 0);
			break;
		case 2:
			assert_true(!(take_float(&r) > 0));
			break;
		case 3:
			assert_int_equal(take_text(&r, 0, 7).len, 0);
			break;
		default:
			assert_int_equal(take_array(&r, 0), 0);
		}
		assert_true(r.bad);
		assert_int_equal(take_uint(&r, 7), 0);
		free(copy);
	}
	msgpack_sbuffer_destroy(&p.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signed_numbers_come_back_and_none_is_read_beyond_its_end),
		cmocka_unit_test(a_number_out_of_range_is_none),
		cmocka_unit_test(texts_floats_and_arrays_come_in_order),
		cmocka_unit_test(what_is_passed_over_may_be_of_any_kind),
		cmocka_unit_test(another_kind_spoils_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
