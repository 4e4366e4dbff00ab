#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "spop_buf.h"
#include "wire/spop.h"
#include "spop_client.h"
#include "wire/spop_hello.h"

/* --- frames --- */

static void a_frame_cut_at_any_byte_is_short(void **state)
{
	struct wr w = writer();
	size_t whole = 77;

	(void)state;
	assert_int_equal(spop_client_disconnect_encode(&w, SPOP_S_TIMEOUT), SLO_OK);
	for (size_t len = 0; len < wr_len(&w); len++) {
		uint8_t *p = exact(buf, len);

		assert_int_equal(spop_peek(p, len, MAX_FRAME, &whole), SLO_ESHORT);
		assert_int_equal(whole, 77); /* untouched */
		free(p);
	}
	assert_int_equal(spop_peek(buf, wr_len(&w), MAX_FRAME, &whole), SLO_OK);
	assert_int_equal(whole, wr_len(&w));
}

static void a_second_frame_behind_the_first_is_left_alone(void **state)
{
	struct wr w = writer();
	size_t first;
	size_t whole;

	(void)state;
	assert_int_equal(spop_client_disconnect_encode(&w, SPOP_S_TIMEOUT), SLO_OK);
	first = wr_len(&w);
	assert_int_equal(spop_client_disconnect_encode(&w, SPOP_S_NORMAL), SLO_OK);
	assert_int_equal(spop_peek(buf, wr_len(&w), MAX_FRAME, &whole), SLO_OK);
	assert_int_equal(whole, first);
	assert_int_equal(spop_peek(buf + first, wr_len(&w) - first, MAX_FRAME, &whole), SLO_OK);
	assert_int_equal(whole, wr_len(&w) - first);
}

static void the_size_is_judged_from_four_bytes(void **state)
{
	const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff };
	const uint8_t over[] = { 0, 0, 1, 1 };
	const uint8_t limit[] = { 0, 0, 1, 0 };
	const uint8_t tiny[] = { 0, 0, 0, 6 };
	const uint8_t zero[] = { 0, 0, 0, 0 };
	size_t whole;

	(void)state;
	assert_int_equal(spop_peek(huge, 4, MAX_FRAME, &whole), SLO_ETOOBIG);
	assert_int_equal(spop_peek(huge, 4, UINT32_MAX, &whole), SLO_ESHORT);
	assert_int_equal(spop_peek(huge, 3, MAX_FRAME, &whole), SLO_ESHORT);
	assert_int_equal(spop_peek(over, 4, 256, &whole), SLO_ETOOBIG);
	assert_int_equal(spop_peek(limit, 4, 256, &whole), SLO_ESHORT);
	assert_int_equal(spop_peek(tiny, 4, 256, &whole), SLO_EPROTO);
	assert_int_equal(spop_peek(zero, 4, 256, &whole), SLO_EPROTO);
	assert_int_equal(spop_peek(NULL, 0, 256, &whole), SLO_ESHORT);
}

static void a_frame_of_exactly_the_agreed_size_passes(void **state)
{
	uint8_t *p = calloc(1, 260);
	struct spop_frame f;
	size_t whole;

	(void)state;
	assert_non_null(p);
	p[2] = 1;
	assert_int_equal(spop_peek(p, 260, 256, &whole), SLO_OK);
	assert_int_equal(whole, 260);
	assert_int_equal(spop_peek(p, 260, 255, &whole), SLO_ETOOBIG);
	assert_int_equal(spop_frame(p + 4, 256, &f), SLO_OK);
	assert_int_equal(f.payload.len, 249);
	free(p);
}

static void a_frame_comes_apart(void **state)
{
	const uint8_t raw[] = { 3, 0x80, 0, 0, 3, 0xf0, 0x01, 0xef, 'x', 'y' };
	struct spop_frame f;

	(void)state;
	assert_int_equal(spop_frame(raw, sizeof(raw), &f), SLO_OK);
	assert_int_equal(f.type, SPOP_NOTIFY);
	assert_int_equal(f.flags, UINT32_C(0x80000003));
	assert_int_equal(f.stream_id, 256);
	assert_int_equal(f.frame_id, 239);
	assert_true(slice_eq(f.payload, "xy"));
}

static void every_proper_prefix_of_a_frame_head_is_refused(void **state)
{
	const uint8_t raw[] = { 3, 0, 0, 0, 1, 0xf0, 0x80, 0x01, 0xf1, 0x02 };
	struct spop_frame f = { .type = 55 };

	(void)state;
	for (size_t len = 0; len < sizeof(raw); len++) {
		uint8_t *p = exact(raw, len);

		assert_int_equal(spop_frame(p, len, &f), SLO_EPROTO);
		assert_int_equal(f.type, 55);
		free(p);
	}
	assert_int_equal(spop_frame(raw, sizeof(raw), &f), SLO_OK);
}

static void a_stream_id_beyond_64_bits_is_refused(void **state)
{
	uint8_t raw[32];
	struct spop_frame f;

	(void)state;
	memset(raw, 0xff, sizeof(raw));
	assert_int_equal(spop_frame(raw, sizeof(raw), &f), SLO_EPROTO);
}

/* --- values --- */

struct value_case {
	const char *bytes;
	size_t len;
	enum spop_type type;
	int64_t number; /* b, i, u or the length of s */
};

#define BYTES(text) (text), sizeof(text) - 1

static const struct value_case values[] = {
	{ BYTES("\x00"), SPOP_T_NULL, 0 },
	{ BYTES("\x01"), SPOP_T_BOOL, 0 },
	{ BYTES("\x11"), SPOP_T_BOOL, 1 },
	{ BYTES("\x02\x05"), SPOP_T_INT32, 5 },
	{ BYTES("\x02\xff\xf0\xfe\xfe\x7e"), SPOP_T_INT32, -1 }, /* 2^32 - 1 */
	{ BYTES("\x02\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"), SPOP_T_INT32, -1 },
	{ BYTES("\x03\xff\xf0\xfe\xfe\x7e"), SPOP_T_UINT32, 4294967295 },
	{ BYTES("\x04\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"), SPOP_T_INT64, -1 },
	{ BYTES("\x04\xf0\x00"), SPOP_T_INT64, 240 },
	{ BYTES("\x05\xf0\x80\x00"), SPOP_T_UINT64, 2288 },
	{ BYTES("\x06\x7f\x00\x00\x01"), SPOP_T_IPV4, 4 },
	{ BYTES("\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), SPOP_T_IPV6, 16 },
	{ BYTES("\x08\x00"), SPOP_T_STR, 0 },
	{ BYTES("\x08\x03"
	        "abc"),
	  SPOP_T_STR, 3 },
	{ BYTES("\x09\x02\x00\xff"), SPOP_T_BIN, 2 },
};

static int64_t number_of(const struct spop_value *v)
{
	switch (v->type) {
	case SPOP_T_NULL:
		return 0;
	case SPOP_T_BOOL:
		return v->b;
	case SPOP_T_INT32:
	case SPOP_T_INT64:
		return v->i;
	case SPOP_T_UINT32:
	case SPOP_T_UINT64:
		return (int64_t)v->u;
	default:
		return (int64_t)v->s.len;
	}
}

static void values_of_every_type_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const struct value_case *c = &values[i];
		uint8_t *p = exact(c->bytes, c->len);
		struct spop_value v;
		struct rd r;

		rd_init(&r, (struct slice){ .p = p, .len = c->len });
		assert_true(spop_value_read(&r, &v));
		assert_int_equal(v.type, c->type);
		assert_int_equal(number_of(&v), c->number);
		assert_int_equal(rd_left(&r), 0);
		free(p);
	}
}

static void every_proper_prefix_of_a_value_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (size_t len = 0; len < values[i].len; len++) {
			uint8_t *p = exact(values[i].bytes, len);
			struct spop_value v;
			struct rd r;

			rd_init(&r, (struct slice){ .p = p, .len = len });
			assert_false(spop_value_read(&r, &v));
			assert_true(r.bad);
			free(p);
		}
}

static void values_survive_the_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct wr w = writer();
		struct spop_value v;
		struct spop_value again;
		struct rd r;

		rd_init(&r, (struct slice){ .p = (const uint8_t *)values[i].bytes,
		                            .len = values[i].len });
		assert_true(spop_value_read(&r, &v));
		spop_value_write(&w, &v);
		assert_false(w.bad);
		rd_init(&r, (struct slice){ .p = buf, .len = wr_len(&w) });
		assert_true(spop_value_read(&r, &again));
		assert_int_equal(again.type, v.type);
		assert_int_equal(number_of(&again), number_of(&v));
	}
}

static void unknown_types_and_numbers_beyond_their_type_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ BYTES("\x02\xff\xf0\xfe\xfe\xbe\xfe\xfe\xfe\xfe\x0e") }, /* INT32, -2^31 - 1 */
		{ BYTES("\x0a\x00\x00\x00\x00") },
		{ BYTES("\x0f\x00\x00\x00\x00") },
		{ BYTES("\x02\xf0\xf1\xfe\xfe\x7e") },                     /* INT32, 2^32 */
		{ BYTES("\x03\xf0\xf1\xfe\xfe\x7e") },                     /* UINT32, 2^32 */
		{ BYTES("\x02\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x06") }, /* INT32, 2^63 - 1 */
		{ BYTES("\x08\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"
		        "abc") }, /* a string of 2^64 - 1 bytes */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t *p = exact(bad[i].bytes, bad[i].len);
		struct spop_value v;
		struct rd r;

		rd_init(&r, (struct slice){ .p = p, .len = bad[i].len });
		assert_false(spop_value_read(&r, &v));
		assert_true(r.bad);
		free(p);
	}
}

static void a_count_is_an_integer_from_zero_to_int64_max(void **state)
{
	const struct spop_value yes = { .type = SPOP_T_UINT64, .u = INT64_MAX };
	const struct spop_value large = { .type = SPOP_T_UINT64, .u = (uint64_t)INT64_MAX + 1 };
	const struct spop_value negative = { .type = SPOP_T_INT32, .i = -1 };
	const struct spop_value truth = { .type = SPOP_T_BOOL, .b = true };
	int64_t n = 7;

	(void)state;
	assert_false(spop_value_count(&large, &n));
	assert_false(spop_value_count(&negative, &n));
	assert_false(spop_value_count(&truth, &n));
	assert_int_equal(n, 7);
	assert_true(spop_value_count(&yes, &n));
	assert_int_equal(n, INT64_MAX);
	assert_true(spop_value_is_int(&negative));
	assert_false(spop_value_is_int(&truth));
}

/* --- NOTIFY --- */

static size_t two_messages(void)
{
	const struct spop_value truth = { .type = SPOP_T_BOOL, .b = true };
	const struct spop_value body = { .type = SPOP_T_BIN,
		                         .s = { .p = (const uint8_t *)"\0\1\2", .len = 3 } };
	struct wr w = writer();
	size_t begin = spop_client_notify_begin(&w, 300, 9);

	spop_client_message(&w, "first", 2);
	spop_client_arg_str(&w, "a", "x");
	spop_client_arg(&w, "", &truth);
	spop_client_message(&w, "empty", 0);
	spop_client_message(&w, "second", 1);
	spop_client_arg(&w, "body", &body);
	assert_int_equal(spop_client_notify_end(&w, begin), SLO_OK);
	return wr_len(&w);
}

static void messages_and_arguments_come_in_order(void **state)
{
	size_t len = two_messages();
	struct spop_msg m = { .args_left = 0 };
	struct spop_frame f;
	struct spop_arg arg;
	struct rd r;

	(void)state;
	assert_int_equal(spop_frame(buf + 4, len - 4, &f), SLO_OK);
	assert_int_equal(f.type, SPOP_NOTIFY);
	assert_int_equal(f.stream_id, 300);
	assert_int_equal(f.frame_id, 9);
	rd_init(&r, f.payload);
	assert_true(spop_msg_next(&r, &m));
	assert_true(slice_eq(m.name, "first"));
	assert_true(spop_arg_next(&r, &m, &arg));
	assert_true(slice_eq(arg.name, "a"));
	assert_true(slice_eq(arg.value.s, "x"));
	assert_true(spop_arg_next(&r, &m, &arg));
	assert_int_equal(arg.name.len, 0);
	assert_true(arg.value.b);
	assert_false(spop_arg_next(&r, &m, &arg));
	assert_true(spop_msg_next(&r, &m));
	assert_true(slice_eq(m.name, "empty"));
	assert_true(spop_msg_next(&r, &m));
	assert_true(slice_eq(m.name, "second"));
	assert_true(spop_arg_next(&r, &m, &arg));
	assert_int_equal(arg.value.type, SPOP_T_BIN);
	assert_memory_equal(arg.value.s.p, "\0\1\2", 3);
	assert_false(spop_msg_next(&r, &m));
	assert_false(r.bad);
}

static void arguments_left_unread_are_skipped(void **state)
{
	size_t len = two_messages();
	struct spop_msg m = { .args_left = 0 };
	struct spop_frame f;
	struct rd r;
	int n = 0;

	(void)state;
	assert_int_equal(spop_frame(buf + 4, len - 4, &f), SLO_OK);
	rd_init(&r, f.payload);
	while (spop_msg_next(&r, &m))
		n++;
	assert_int_equal(n, 3);
	assert_false(r.bad);
}

static void a_notify_is_whole_only_where_a_message_ends(void **state)
{
	size_t len = two_messages();
	struct spop_frame f;
	int good = 0;

	(void)state;
	assert_int_equal(spop_frame(buf + 4, len - 4, &f), SLO_OK);
	for (size_t n = 0; n < f.payload.len; n++) {
		uint8_t *p = exact(f.payload.p, n);
		struct spop_msg m = { .args_left = 0 };
		struct rd r;

		rd_init(&r, (struct slice){ .p = p, .len = n });
		while (spop_msg_next(&r, &m))
			;
		good += !r.bad;
		free(p);
	}
	assert_int_equal(good, 3); /* nothing, after "first", after "empty" */
}

static void more_arguments_promised_than_sent_are_refused(void **state)
{
	struct wr w = writer();
	struct spop_msg m = { .args_left = 0 };
	struct rd r;
	uint8_t *p;

	(void)state;
	spop_client_message(&w, "m", 255);
	spop_client_arg_str(&w, "a", "x");
	p = exact(buf, wr_len(&w));
	rd_init(&r, (struct slice){ .p = p, .len = wr_len(&w) });
	assert_true(spop_msg_next(&r, &m));
	assert_false(spop_msg_next(&r, &m));
	assert_true(r.bad);
	assert_false(spop_msg_next(&r, &m)); /* and ends, however often it is asked */
	free(p);
}

/* --- ACK --- */

static void an_ack_has_these_bytes(void **state)
{
	static const char want[] = "\x00\x00\x00\x39\x67\x00\x00\x00\x01\xf0\x01\x02"
				   "\x01\x03\x02\x07verdict\x08\x05route"
				   "\x01\x03\x02\x06server\x08\x05l20-1"
				   "\x01\x03\x02\x07wait_ms\x04\xf0\x00";
	struct wr w = writer();
	size_t begin;

	(void)state;
	begin = spop_ack_begin(&w, 256, 2);
	spop_ack_set_str(&w, "verdict", slice_of("route"));
	spop_ack_set_str(&w, "server", slice_of("l20-1"));
	spop_ack_set_int(&w, "wait_ms", 240);
	assert_int_equal(spop_ack_end(&w, begin), SLO_OK);
	assert_int_equal(wr_len(&w), sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
}

static void an_ack_without_variables_is_an_ack(void **state)
{
	struct wr w = writer();

	(void)state;
	assert_int_equal(spop_ack_end(&w, spop_ack_begin(&w, 1, 1)), SLO_OK);
	assert_int_equal(wr_len(&w), 11);
	assert_memory_equal(buf, "\x00\x00\x00\x07\x67\x00\x00\x00\x01\x01\x01", 11);
}

static void an_ack_comes_back_as_variables(void **state)
{
	struct wr w = writer();
	size_t begin = spop_ack_begin(&w, UINT64_MAX, 0);
	struct spop_client_var var;
	struct spop_frame f;
	struct rd r;

	(void)state;
	spop_ack_set_str(&w, "reason", (struct slice){ .p = NULL, .len = 0 });
	spop_ack_set_int(&w, "status", -429);
	wr_bytes(&w, slice_of("\x02\x02\x02\x06server")); /* UNSET-VAR */
	assert_int_equal(spop_ack_end(&w, begin), SLO_OK);
	f = only_frame(&w);
	assert_int_equal(f.type, SPOP_ACK);
	assert_int_equal(f.stream_id, UINT64_MAX);
	rd_init(&r, f.payload);
	assert_true(spop_client_var_next(&r, &var));
	assert_true(slice_eq(var.name, "reason"));
	assert_int_equal(var.value.type, SPOP_T_STR);
	assert_int_equal(var.value.s.len, 0);
	assert_true(spop_client_var_next(&r, &var));
	assert_int_equal(var.scope, SPOP_SCOPE_TXN);
	assert_int_equal(var.value.i, -429);
	assert_true(spop_client_var_next(&r, &var));
	assert_true(slice_eq(var.name, "server"));
	assert_int_equal(var.value.type, SPOP_T_NULL);
	assert_false(spop_client_var_next(&r, &var));
	assert_false(r.bad);
}

static void actions_that_are_none_are_refused(void **state)
{
	const char *bad[] = { "\x03\x03\x02\x01x\x01", "\x01\x02\x02\x01x\x01",
		              "\x02\x03\x02\x01x\x01", "\x01\x03\x02\x01x", "\x01" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = strlen(bad[i]);
		uint8_t *p = exact(bad[i], len);
		struct spop_client_var var;
		struct rd r;

		rd_init(&r, (struct slice){ .p = p, .len = len });
		assert_false(spop_client_var_next(&r, &var));
		assert_true(r.bad);
		free(p);
	}
}

/* All eight variables with the longest names and values of theirs. */
static slo_err largest_ack(struct wr *w)
{
	static uint8_t text[SPOP_ACK_STR_MAX];
	size_t begin = spop_ack_begin(w, UINT64_MAX, UINT64_MAX);

	for (int i = 0; i < 5; i++)
		spop_ack_set_str(w, "retry_after",
		                 (struct slice){ .p = text, .len = sizeof(text) });
	for (int i = 0; i < 3; i++)
		spop_ack_set_int(w, "retry_after", -1);
	return spop_ack_end(w, begin);
}

static void the_largest_ack_takes_exactly_its_bound(void **state)
{
	struct wr w = writer();

	(void)state;
	assert_int_equal(largest_ack(&w), SLO_OK);
	assert_int_equal(wr_len(&w), SPOP_ACK_MAX);
}

static void an_ack_that_does_not_fit_says_so_at_every_size(void **state)
{
	(void)state;
	for (size_t size = 0; size < SPOP_ACK_MAX; size++) {
		uint8_t *p = exact(buf, size);
		struct wr w;

		wr_init(&w, p, size);
		assert_int_equal(largest_ack(&w), SLO_EFULL);
		assert_true(w.bad);
		free(p);
	}
}

static void an_ack_behind_another_patches_its_own_length(void **state)
{
	struct wr w = writer();
	size_t first;
	size_t whole;

	(void)state;
	assert_int_equal(spop_ack_end(&w, spop_ack_begin(&w, 1, 1)), SLO_OK);
	first = wr_len(&w);
	assert_int_equal(largest_ack(&w), SLO_OK);
	assert_int_equal(spop_peek(buf, wr_len(&w), MAX_FRAME, &whole), SLO_OK);
	assert_int_equal(whole, first);
	assert_int_equal(spop_peek(buf + first, wr_len(&w) - first, MAX_FRAME, &whole), SLO_OK);
	assert_int_equal(whole, SPOP_ACK_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_cut_at_any_byte_is_short),
		cmocka_unit_test(a_second_frame_behind_the_first_is_left_alone),
		cmocka_unit_test(the_size_is_judged_from_four_bytes),
		cmocka_unit_test(a_frame_of_exactly_the_agreed_size_passes),
		cmocka_unit_test(a_frame_comes_apart),
		cmocka_unit_test(every_proper_prefix_of_a_frame_head_is_refused),
		cmocka_unit_test(a_stream_id_beyond_64_bits_is_refused),
		cmocka_unit_test(values_of_every_type_are_read),
		cmocka_unit_test(every_proper_prefix_of_a_value_is_refused),
		cmocka_unit_test(values_survive_the_round_trip),
		cmocka_unit_test(unknown_types_and_numbers_beyond_their_type_are_refused),
		cmocka_unit_test(a_count_is_an_integer_from_zero_to_int64_max),
		cmocka_unit_test(messages_and_arguments_come_in_order),
		cmocka_unit_test(arguments_left_unread_are_skipped),
		cmocka_unit_test(a_notify_is_whole_only_where_a_message_ends),
		cmocka_unit_test(more_arguments_promised_than_sent_are_refused),
		cmocka_unit_test(an_ack_has_these_bytes),
		cmocka_unit_test(an_ack_without_variables_is_an_ack),
		cmocka_unit_test(an_ack_comes_back_as_variables),
		cmocka_unit_test(actions_that_are_none_are_refused),
		cmocka_unit_test(the_largest_ack_takes_exactly_its_bound),
		cmocka_unit_test(an_ack_that_does_not_fit_says_so_at_every_size),
		cmocka_unit_test(an_ack_behind_another_patches_its_own_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
