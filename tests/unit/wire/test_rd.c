#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/rd.h"
#include "wire/wr.h"

static uint64_t varint_of(const uint8_t *bytes, size_t len, bool *bad, size_t *used)
{
	uint8_t *p = exact(bytes, len);
	struct rd r;
	uint64_t v;

	rd_init(&r, (struct slice){ .p = p, .len = len });
	v = rd_varint(&r);
	*bad = r.bad;
	*used = len - (size_t)(r.end - r.p);
	free(p);
	return v;
}

static void bytes_come_in_order_and_the_end_is_sticky(void **state)
{
	const uint8_t raw[] = { 1, 0xff, 0xee, 0xdd, 0xcc, 7 };
	uint8_t *p = exact(raw, sizeof(raw));
	struct rd r;

	(void)state;
	rd_init(&r, (struct slice){ .p = p, .len = sizeof(raw) });
	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_u32be(&r), 0xffeeddcc);
	assert_int_equal(rd_left(&r), 1);
	assert_int_equal(rd_u32be(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(rd_u8(&r), 0); /* although a byte is left */
	assert_int_equal(rd_bytes(&r, 0).len, 0);
	assert_int_equal(rd_bytes(&r, 1).len, 0);
	assert_null(rd_bytes(&r, 1).p);
	free(p);
}

static void a_fixed_width_needs_its_whole_width(void **state)
{
	const uint8_t raw[] = { 1, 2, 3 };

	(void)state;
	for (size_t len = 0; len <= sizeof(raw); len++) {
		uint8_t *p = exact(raw, len);
		struct rd r;

		rd_init(&r, (struct slice){ .p = p, .len = len });
		assert_int_equal(rd_u32be(&r), 0);
		assert_true(r.bad);
		free(p);
	}
}

static void nothing_at_all_can_be_read_from(void **state)
{
	struct rd r;

	(void)state;
	rd_init(&r, (struct slice){ .p = NULL, .len = 0 });
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(rd_bytes(&r, 0).len, 0);
	assert_false(r.bad);
	assert_int_equal(rd_varint(&r), 0);
	assert_true(r.bad);
}

struct varint {
	uint64_t value;
	size_t len;
	uint8_t bytes[10];
};

static const struct varint varints[] = {
	{ 0, 1, { 0 } },
	{ 1, 1, { 1 } },
	{ 239, 1, { 0xef } },
	{ 240, 2, { 0xf0, 0x00 } },
	{ 255, 2, { 0xff, 0x00 } },
	{ 256, 2, { 0xf0, 0x01 } },
	{ 2287, 2, { 0xff, 0x7f } },
	{ 2288, 3, { 0xf0, 0x80, 0x00 } },
	{ 264431, 3, { 0xff, 0xff, 0x7f } },
	{ 264432, 4, { 0xf0, 0x80, 0x80, 0x00 } },
	{ UINT64_MAX, 10, { 0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e } },
};

static void varints_are_read_and_written_at_every_edge(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(varints) / sizeof(varints[0]); i++) {
		const struct varint *c = &varints[i];
		uint8_t buf[10];
		struct wr w;
		bool bad;
		size_t used;

		assert_int_equal(varint_of(c->bytes, c->len, &bad, &used), c->value);
		assert_false(bad);
		assert_int_equal(used, c->len);
		wr_init(&w, buf, sizeof(buf));
		wr_varint(&w, c->value);
		assert_false(w.bad);
		assert_int_equal(wr_len(&w), c->len);
		assert_memory_equal(buf, c->bytes, c->len);
	}
}

static void every_proper_prefix_of_a_varint_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(varints) / sizeof(varints[0]); i++)
		for (size_t len = 0; len < varints[i].len; len++) {
			bool bad;
			size_t used;

			assert_int_equal(varint_of(varints[i].bytes, len, &bad, &used), 0);
			assert_true(bad);
		}
}

static void a_varint_of_eleven_bytes_is_refused(void **state)
{
	const uint8_t tiny[] = { 0xf0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 };
	uint8_t long_one[64];
	bool bad;
	size_t used;

	(void)state;
	varint_of(tiny, sizeof(tiny), &bad, &used);
	assert_true(bad);
	memset(long_one, 0xff, sizeof(long_one));
	varint_of(long_one, sizeof(long_one), &bad, &used);
	assert_true(bad);
	assert_int_equal(used, sizeof(long_one)); /* nothing of it is read as something else */
}

static void a_varint_beyond_64_bits_is_refused(void **state)
{
	uint8_t raw[10];
	bool bad;
	size_t used;

	(void)state;
	memcpy(raw, varints[10].bytes, sizeof(raw)); /* UINT64_MAX */
	raw[1]++;                                    /* 16 more */
	varint_of(raw, sizeof(raw), &bad, &used);
	assert_true(bad);
	raw[1]--;
	raw[9]++; /* 2^60 more */
	varint_of(raw, sizeof(raw), &bad, &used);
	assert_true(bad);
	raw[9] = 0x10; /* one bit that a shift by 60 would lose */
	varint_of(raw, sizeof(raw), &bad, &used);
	assert_true(bad);
}

static void random_varints_survive_the_round_trip(void **state)
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t v = x >> (x & 63);
		uint8_t buf[10];
		struct wr w;
		bool bad;
		size_t used;

		wr_init(&w, buf, sizeof(buf));
		wr_varint(&w, v);
		assert_false(w.bad);
		assert_int_equal(varint_of(buf, wr_len(&w), &bad, &used), v);
		assert_false(bad);
		assert_int_equal(used, wr_len(&w));
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
}

/* p + (2^64 - 4) lies in bounds once it has wrapped. */
static void a_slice_longer_than_what_is_left_is_refused(void **state)
{
	const uint64_t lens[] = { 4, 5, 2288, UINT64_MAX - 4, UINT64_MAX - 3, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint8_t buf[16];
		struct wr w;
		struct rd r;
		uint8_t *p;
		struct slice s;

		wr_init(&w, buf, sizeof(buf));
		wr_varint(&w, lens[i]);
		wr_bytes(&w, slice_of("abc"));
		assert_false(w.bad);
		p = exact(buf, wr_len(&w));
		rd_init(&r, (struct slice){ .p = p, .len = wr_len(&w) });
		s = rd_slice(&r);
		assert_true(r.bad);
		assert_null(s.p);
		assert_int_equal(s.len, 0);
		free(p);
	}
}

static void a_slice_borrows_exactly_its_bytes(void **state)
{
	const uint8_t raw[] = { 3, 'a', 'b', 'c', 0 };
	uint8_t *p = exact(raw, sizeof(raw));
	struct slice s;
	struct rd r;

	(void)state;
	rd_init(&r, (struct slice){ .p = p, .len = sizeof(raw) });
	s = rd_slice(&r);
	assert_ptr_equal(s.p, p + 1);
	assert_true(slice_eq(s, "abc"));
	s = rd_slice(&r);
	assert_int_equal(s.len, 0);
	assert_non_null(s.p); /* empty is not absent */
	assert_false(r.bad);
	assert_int_equal(rd_left(&r), 0);
	free(p);
}

static void list_items_lose_their_blanks(void **state)
{
	const char *want[] = { "a b", "", "c" };
	struct slice item;
	struct rd r;
	uint8_t *p = exact(" a b\t,, c ,", 11);

	(void)state;
	rd_init(&r, (struct slice){ .p = p, .len = 11 });
	for (size_t i = 0; i < 3; i++) {
		assert_true(rd_item(&r, ',', &item));
		assert_true(slice_eq(item, want[i]));
	}
	assert_false(rd_item(&r, ',', &item));
	assert_false(r.bad);
	free(p);
}

static void what_does_not_fit_is_not_written(void **state)
{
	uint8_t *buf = exact("\x55\x55\x55\x55", 4);
	struct wr w;

	(void)state;
	wr_init(&w, buf, 3);
	wr_u8(&w, 1);
	wr_u32be(&w, 0x01020304);
	assert_true(w.bad);
	assert_int_equal(wr_len(&w), 1);
	wr_u8(&w, 2); /* would fit, but the message is broken */
	wr_bytes(&w, slice_of(""));
	wr_slice(&w, slice_of("a"));
	wr_varint(&w, 1);
	assert_int_equal(wr_len(&w), 1);
	assert_memory_equal(buf, "\x01\x55\x55\x55", 4);
	wr_patch_u32be(&w, 0, 0);
	assert_int_equal(buf[0], 1);
	free(buf);
}

static void a_writer_fills_its_buffer_to_the_last_byte(void **state)
{
	uint8_t *buf = exact("........", 8);
	struct wr w;

	(void)state;
	wr_init(&w, buf, 8);
	wr_u32be(&w, 0);
	wr_slice(&w, slice_of("abc"));
	assert_false(w.bad);
	wr_patch_u32be(&w, 0, 0xfffefdfc);
	assert_memory_equal(buf,
	                    "\xff\xfe\xfd\xfc\x03"
	                    "abc",
	                    8);
	wr_bytes(&w, (struct slice){ .p = NULL, .len = 0 });
	assert_false(w.bad);
	wr_u8(&w, 0);
	assert_true(w.bad);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_in_order_and_the_end_is_sticky),
		cmocka_unit_test(a_fixed_width_needs_its_whole_width),
		cmocka_unit_test(nothing_at_all_can_be_read_from),
		cmocka_unit_test(varints_are_read_and_written_at_every_edge),
		cmocka_unit_test(every_proper_prefix_of_a_varint_is_refused),
		cmocka_unit_test(a_varint_of_eleven_bytes_is_refused),
		cmocka_unit_test(a_varint_beyond_64_bits_is_refused),
		cmocka_unit_test(random_varints_survive_the_round_trip),
		cmocka_unit_test(a_slice_longer_than_what_is_left_is_refused),
		cmocka_unit_test(a_slice_borrows_exactly_its_bytes),
		cmocka_unit_test(list_items_lose_their_blanks),
		cmocka_unit_test(what_does_not_fit_is_not_written),
		cmocka_unit_test(a_writer_fills_its_buffer_to_the_last_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
