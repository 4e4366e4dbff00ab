/* Spans of MessagePack objects: against what the library itself packs, and lies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "wire/file/msgpack_span.h"

/* The object and every proper prefix of it, each in a block of its exact size. */
static void spans(const void *bytes, size_t len)
{
	for (size_t n = 0; n <= len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		size_t span = 0;

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		assert_int_equal(msgpack_span((struct slice){ copy, n }, &span),
		                 n == len ? SLO_OK : SLO_ESHORT);
		if (n == len)
			assert_int_equal(span, len);
		free(copy);
	}
}

static void packed(int (*pack)(msgpack_packer *p))
{
	msgpack_sbuffer out;
	msgpack_packer p;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&p, &out, msgpack_sbuffer_write);
	assert_int_equal(pack(&p), 0);
	spans(out.data, out.size);
	msgpack_sbuffer_destroy(&out);
}

static int nil(msgpack_packer *p)
{
	return msgpack_pack_nil(p);
}

static int numbers(msgpack_packer *p)
{
	static const int64_t edges[] = {
		0,   127, 128,  255,  256,    65535,  65536,     INT64_C(1) << 32, -1,
		-32, -33, -128, -129, -32768, -32769, INT64_MIN, INT64_MAX
	};
	size_t n = sizeof(edges) / sizeof(edges[0]);
	int bad = msgpack_pack_array(p, n + 3);

	for (size_t i = 0; i < n; i++)
		bad |= msgpack_pack_int64(p, edges[i]);
	bad |= msgpack_pack_double(p, 0.5);
	bad |= msgpack_pack_float(p, 0.5f);
	return bad | msgpack_pack_true(p);
}

static int texts(msgpack_packer *p)
{
	static const size_t edges[] = { 0, 1, 31, 32, 255, 256, 65535, 65536 };
	static const char zeros[65536];
	int bad = msgpack_pack_array(p, 24);

	for (size_t i = 0; i < 8; i++) {
		/* Every prefix of the long ones would take minutes. */
		size_t n = edges[i] > 300 ? 300 : edges[i];

		bad |= msgpack_pack_str(p, n) | msgpack_pack_str_body(p, zeros, n);
		bad |= msgpack_pack_bin(p, n) | msgpack_pack_bin_body(p, zeros, n);
		bad |= msgpack_pack_ext(p, n, 1) | msgpack_pack_ext_body(p, zeros, n);
	}
	return bad;
}

static int nested(msgpack_packer *p)
{
	int bad = msgpack_pack_map(p, 17); /* map16 */

	for (int i = 0; i < 17; i++) {
		bad |= msgpack_pack_int(p, i) | msgpack_pack_array(p, 17);
		for (int k = 0; k < 17; k++)
			bad |=
			    msgpack_pack_map(p, 1) | msgpack_pack_int(p, k) | msgpack_pack_nil(p);
	}
	return bad;
}

static void what_the_library_packs_has_its_length(void **state)
{
	(void)state;
	packed(nil);
	packed(numbers);
	packed(texts);
	packed(nested);
}

static void long_forms_are_read(void **state)
{
	static uint8_t str32[5 + 65536] = { 0xdb, 0, 1, 0, 0 },
				 array32[5 + 3] = { 0xdd, 0, 0, 0, 3 },
				 map32[5 + 2] = { 0xdf, 0, 0, 0, 1 }, fixext16[18] = { 0xd8 };
	size_t span;

	(void)state;
	assert_int_equal(msgpack_span((struct slice){ str32, sizeof(str32) }, &span), SLO_OK);
	assert_int_equal(span, sizeof(str32));
	assert_int_equal(msgpack_span((struct slice){ str32, sizeof(str32) - 1 }, &span),
	                 SLO_ESHORT);
	spans(array32, sizeof(array32));
	spans(map32, sizeof(map32));
	spans(fixext16, sizeof(fixext16));
}

static void what_follows_is_not_counted(void **state)
{
	size_t span;

	(void)state;
	assert_int_equal(
	    msgpack_span((struct slice){ (const uint8_t *)"\x92\x01\xa1z\xff", 5 }, &span), SLO_OK);
	assert_int_equal(span, 4);
}

static void a_lie_is_short_and_the_unused_byte_is_no_object(void **state)
{
	size_t span;

	(void)state;
	assert_int_equal(
	    msgpack_span((struct slice){ (const uint8_t *)"\xdd\xff\xff\xff\xff\x01", 6 }, &span),
	    SLO_ESHORT);
	assert_int_equal(
	    msgpack_span((struct slice){ (const uint8_t *)"\xdf\xff\xff\xff\xff\x01", 6 }, &span),
	    SLO_ESHORT);
	assert_int_equal(
	    msgpack_span((struct slice){ (const uint8_t *)"\xc6\xff\xff\xff\xff\x01", 6 }, &span),
	    SLO_ESHORT);
	assert_int_equal(msgpack_span((struct slice){ (const uint8_t *)"\x92\x01\xc1", 3 }, &span),
	                 SLO_EPROTO);
}

/* The bytes in a block of their exact size, so that no element can be read behind them. */
static slo_err array_of(const char *bytes, size_t len, size_t longest, int64_t *sum, size_t *span)
{
	uint8_t *copy = malloc(len);
	msgpack_object_array a;
	msgpack_unpacked u;
	slo_err err;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	msgpack_unpacked_init(&u);
	err = msgpack_span_array((struct slice){ copy, len }, longest, &u, &a, span);
	*sum = 0;
	for (size_t i = 0; err == SLO_OK && i < a.size; i++)
		*sum += a.ptr[i].via.i64;
	msgpack_unpacked_destroy(&u);
	free(copy);
	return err;
}

static void an_array_is_taken_out_of_what_follows(void **state)
{
	size_t span = 0;
	int64_t sum;

	(void)state;
	assert_int_equal(array_of("\x93\x01\x02\x04\x90", 5, 4, &sum, &span), SLO_OK);
	assert_int_equal(sum, 7);
	assert_int_equal(span, 4);
	assert_int_equal(array_of("\x90", 1, 1, &sum, &span), SLO_OK);
	assert_int_equal(span, 1);
}

static void what_is_no_array_is_refused(void **state)
{
	size_t span = 77;
	int64_t sum;

	(void)state;
	assert_int_equal(array_of("\x07", 1, 9, &sum, &span), SLO_EPROTO);
	assert_int_equal(array_of("\x80", 1, 9, &sum, &span), SLO_EPROTO);
	assert_int_equal(array_of("\xa1z", 2, 9, &sum, &span), SLO_EPROTO);
	assert_int_equal(array_of("\x91\xc1", 2, 9, &sum, &span), SLO_EPROTO);
	assert_int_equal(span, 77);
}

static void a_cut_array_is_short_unless_it_could_only_be_too_long(void **state)
{
	size_t span = 77;
	int64_t sum;

	(void)state;
	assert_int_equal(array_of("\x93\x01\x02", 3, 4, &sum, &span), SLO_ESHORT);
	assert_int_equal(array_of("\x93\x01\x02", 3, 3, &sum, &span), SLO_ESHORT);
	assert_int_equal(array_of("\x93\x01\x02", 3, 2, &sum, &span), SLO_EPROTO);
	assert_int_equal(array_of("\x93\x01\x02\x04", 4, 3, &sum, &span), SLO_EPROTO);
	assert_int_equal(array_of("\xdd\xff\xff\xff\xff\x01", 6, SIZE_MAX, &sum, &span),
	                 SLO_ESHORT);
	assert_int_equal(span, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_library_packs_has_its_length),
		cmocka_unit_test(long_forms_are_read),
		cmocka_unit_test(what_follows_is_not_counted),
		cmocka_unit_test(a_lie_is_short_and_the_unused_byte_is_no_object),
		cmocka_unit_test(an_array_is_taken_out_of_what_follows),
		cmocka_unit_test(what_is_no_array_is_refused),
		cmocka_unit_test(a_cut_array_is_short_unless_it_could_only_be_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
