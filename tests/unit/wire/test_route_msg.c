#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "spop_buf.h"
#include "wire/rd.h"
#include "wire/route_msg.h"
#include "spop_client.h"

/* From the heap with its exact size, so that a sanitizer sees a read past its end. The
 * slices of *m are only good for their lengths and for being absent. */
static slo_err parse_exact(size_t len, struct route_msg *m)
{
	uint8_t *p = exact(buf, len);
	slo_err err;

	err = route_msg_parse((struct slice){ .p = p, .len = len }, m);
	free(p);
	return err;
}

static struct route_msg parse(const struct wr *w)
{
	struct route_msg m;

	assert_false(w->bad);
	assert_int_equal(parse_exact(wr_len(w), &m), SLO_OK);
	assert_int_equal(route_msg_parse((struct slice){ .p = buf, .len = wr_len(w) }, &m), SLO_OK);
	return m;
}

/* A slo-route message with this one argument. */
static struct route_msg with(const char *name, struct spop_value v)
{
	struct wr w = writer();

	spop_client_message(&w, "slo-route", 1);
	spop_client_arg(&w, name, &v);
	return parse(&w);
}

static struct route_msg with_str(const char *name, const char *text)
{
	return with(name, (struct spop_value){ .type = SPOP_T_STR, .s = slice_of(text) });
}

static struct spop_value int64(int64_t i)
{
	return (struct spop_value){ .type = SPOP_T_INT64, .i = i };
}

static void write_full(struct wr *w)
{
	const struct spop_value body = { .type = SPOP_T_BIN, .s = slice_of("{\"a\":1}") };
	const struct spop_value size = int64(500);
	const struct spop_value tokens = { .type = SPOP_T_UINT32, .u = 77 };

	spop_client_message(w, "slo-route", 12);
	spop_client_arg_str(w, "slo_tpot_ms", "50");
	spop_client_arg(w, "size", &size);
	spop_client_arg_str(w, "clen", "600");
	spop_client_arg_str(w, "path", "/v1/completions");
	spop_client_arg(w, "body", &body);
	spop_client_arg_str(w, "strategy", "slo-pack-load");
	spop_client_arg_str(w, "model", "llama2-7b");
	spop_client_arg(w, "prompt_tokens", &tokens);
	spop_client_arg_str(w, "max_tokens", "128");
	spop_client_arg_str(w, "slo_e2e_ms", "9000");
	spop_client_arg_str(w, "slo_ttft_ms", "800");
	spop_client_arg_str(w, "id", "0A0B:1");
}

static void assert_all_absent(const struct route_msg *m)
{
	assert_null(m->id.p);
	assert_null(m->model.p);
	assert_null(m->strategy.p);
	assert_null(m->path.p);
	assert_null(m->body.p);
	assert_int_equal(m->size, 0);
	assert_int_equal(m->prompt_tokens, -1);
	assert_int_equal(m->max_tokens, -1);
	assert_int_equal(m->slo_e2e_ms, -1);
	assert_int_equal(m->slo_ttft_ms, -1);
	assert_int_equal(m->slo_tpot_ms, -1);
	assert_int_equal(m->priority, 0);
}

static void all_arguments_are_taken_in_any_order(void **state)
{
	struct wr w = writer();
	struct route_msg m;

	(void)state;
	write_full(&w);
	m = parse(&w);
	assert_true(m.found);
	assert_true(slice_eq(m.id, "0A0B:1"));
	assert_true(slice_eq(m.model, "llama2-7b"));
	assert_true(slice_eq(m.strategy, "slo-pack-load"));
	assert_true(slice_eq(m.path, "/v1/completions"));
	assert_true(slice_eq(m.body, "{\"a\":1}"));
	assert_int_equal(m.size, 600);
	assert_int_equal(m.prompt_tokens, 77);
	assert_int_equal(m.max_tokens, 128);
	assert_int_equal(m.slo_e2e_ms, 9000);
	assert_int_equal(m.slo_ttft_ms, 800);
	assert_int_equal(m.slo_tpot_ms, 50);
}

static void every_proper_prefix_is_refused_and_leaves_the_result_alone(void **state)
{
	struct wr w = writer();

	(void)state;
	write_full(&w);
	for (size_t len = 1; len < wr_len(&w); len++) {
		struct route_msg m = { .size = 4711 };

		assert_int_equal(parse_exact(len, &m), SLO_EPROTO);
		assert_int_equal(m.size, 4711);
	}
}

static void without_a_slo_route_message_nothing_is_found(void **state)
{
	struct wr w = writer();
	struct route_msg m = parse(&w);

	(void)state;
	assert_false(m.found);
	assert_all_absent(&m);
	spop_client_message(&w, "slo-rout", 1);
	spop_client_arg_str(&w, "id", "x");
	spop_client_message(&w, "slo-routeX", 0);
	m = parse(&w);
	assert_false(m.found);
	assert_all_absent(&m);
}

static void a_message_without_arguments_is_found_and_empty(void **state)
{
	struct wr w = writer();
	struct route_msg m;

	(void)state;
	spop_client_message(&w, "slo-route", 0);
	m = parse(&w);
	assert_true(m.found);
	assert_all_absent(&m);
}

static void null_and_wrong_types_are_absent(void **state)
{
	static const char *const names[] = { "id",         "model",         "strategy",
		                             "body",       "size",          "clen",
		                             "path",       "prompt_tokens", "max_tokens",
		                             "slo_e2e_ms", "slo_ttft_ms",   "slo_tpot_ms" };
	const struct spop_value wrong[] = {
		{ .type = SPOP_T_NULL },
		{ .type = SPOP_T_BOOL, .b = true },
		{ .type = SPOP_T_IPV4, .s = slice_of("1234") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			struct route_msg m = with(names[i], wrong[k]);

			assert_true(m.found);
			assert_all_absent(&m);
		}
}

static void text_does_not_come_as_number_or_binary(void **state)
{
	const struct spop_value bin = { .type = SPOP_T_BIN, .s = slice_of("12") };
	struct route_msg m;

	(void)state;
	m = with("id", bin);
	assert_all_absent(&m);
	m = with("model", int64(3));
	assert_all_absent(&m);
	m = with("body", int64(3));
	assert_all_absent(&m);
	m = with("max_tokens", bin);
	assert_all_absent(&m);
}

static void names_are_compared_whole(void **state)
{
	static const char *const names[] = { "",       "i",          "ID",           "xx",
		                             "bodY",   "Clen",       "modem",        "strategz",
		                             "models", "max_token",  "max_tokens_",  "slo_xxx_ms",
		                             "a",      "slo_abc_ms", "prompt-tokens" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct route_msg m = with_str(names[i], "5");

		assert_all_absent(&m);
	}
}

static void an_id_has_1_to_255_bytes(void **state)
{
	char text[258];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[256] = '\0';
	assert_null(with_str("id", text).id.p);
	text[255] = '\0';
	assert_int_equal(with_str("id", text).id.len, 255);
	assert_int_equal(with_str("id", "y").id.len, 1);
	assert_null(with_str("id", "").id.p);
}

static void numbers_come_as_integers_or_decimal_text(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} cases[] = {
		{ "0", 0 },
		{ "007", 7 },
		{ " 12\t", 12 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", -1 },
		{ "9223372036854775810", -1 },
		{ "99999999999999999999999", -1 },
		{ "-1", -1 },
		{ "+1", -1 },
		{ "", -1 },
		{ "  ", -1 },
		{ "1 2", -1 },
		{ "12.5", -1 },
		{ "1e3", -1 },
		{ "0x10", -1 },
		{ "12ms", -1 },
		{ "/", -1 },
		{ ":", -1 },
		{ "\xff", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(with_str("max_tokens", cases[i].text).max_tokens, cases[i].want);
		assert_int_equal(with_str("slo_ttft_ms", cases[i].text).slo_ttft_ms, cases[i].want);
	}
	assert_int_equal(with("slo_e2e_ms", int64(-5)).slo_e2e_ms, -1);
	assert_int_equal(with("slo_e2e_ms", int64(INT64_MAX)).slo_e2e_ms, INT64_MAX);
	assert_int_equal(
	    with("slo_e2e_ms", (struct spop_value){ .type = SPOP_T_UINT64, .u = UINT64_MAX })
		.slo_e2e_ms,
	    -1);
}

static void the_size_is_the_largest_that_anybody_tells(void **state)
{
	static const struct {
		int64_t size;
		const char *clen;
		const char *body;
		int64_t want;
	} cases[] = {
		{ 10, "20", "abc", 20 }, { 30, "20", "abc", 30 }, { 0, "-", "abc", 3 },
		{ -7, "", "", 0 },       { 1, "2", "abc", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct spop_value size = int64(cases[i].size);
		struct wr w = writer();

		spop_client_message(&w, "slo-route", 3);
		spop_client_arg(&w, "size", &size);
		spop_client_arg_str(&w, "body", cases[i].body);
		spop_client_arg_str(&w, "clen", cases[i].clen);
		assert_int_equal(parse(&w).size, cases[i].want);
	}
}

static void an_empty_body_is_there(void **state)
{
	struct route_msg m = with_str("body", "");

	(void)state;
	assert_non_null(m.body.p);
	assert_int_equal(m.body.len, 0);
}

static void the_first_of_several_messages_counts(void **state)
{
	struct wr w = writer();
	struct route_msg m;

	(void)state;
	spop_client_message(&w, "other", 1);
	spop_client_arg_str(&w, "id", "no");
	spop_client_message(&w, "slo-route", 1);
	spop_client_arg_str(&w, "id", "yes");
	spop_client_message(&w, "slo-route", 2);
	spop_client_arg_str(&w, "id", "late");
	spop_client_arg_str(&w, "model", "late");
	m = parse(&w);
	assert_true(slice_eq(m.id, "yes"));
	assert_null(m.model.p);
}

static void malformed_bytes_behind_the_message_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} tails[] = {
		{ "\x00", 1 },
		{ "\x01x\x01\x01y\x0a", 6 },
		{ "\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 10 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct wr w = writer();
		struct route_msg m;

		write_full(&w);
		wr_bytes(&w, (struct slice){ .p = (const uint8_t *)tails[i].bytes,
		                             .len = tails[i].len });
		assert_false(w.bad);
		assert_int_equal(parse_exact(wr_len(&w), &m), SLO_EPROTO);
	}
}

/* A target such as "5s" would else be as if the client had none, and nobody knew why. */
static void hints_that_are_no_numbers_are_told(void **state)
{
	static const struct {
		const char *name, *text;
		unsigned bad;
	} cases[] = {
		{ "slo_ttft_ms", "5s", 1 },   { "slo_tpot_ms", "0.05", 1 },
		{ "slo_e2e_ms", "-1", 1 },    { "max_tokens", "many", 1 },
		{ "prompt_tokens", "1k", 1 }, { "slo_ttft_ms", " 500 ", 0 },
		{ "slo_ttft_ms", "", 0 },     { "slo_ttft_ms", "0", 0 },
		{ "size", "x", 0 },           { "slo_ttft", "5s", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route_msg m = with_str(cases[i].name, cases[i].text);

		assert_int_equal(m.bad_count, cases[i].bad);
		assert_int_equal(slice_eq(m.bad_name, cases[i].name), cases[i].bad);
		assert_int_equal(slice_eq(m.bad, cases[i].text), cases[i].bad || !cases[i].text[0]);
	}
	assert_int_equal(with("slo_ttft_ms", int64(-5)).bad_count, 0);
}

static void a_priority_has_a_sign(void **state)
{
	static const struct {
		const char *text;
		int64_t is;
		unsigned bad;
	} cases[] = {
		{ "7", 7, 0 },
		{ "-7", -7, 0 },
		{ " -7\t", -7, 0 },
		{ "0", 0, 0 },
		{ "-0", 0, 0 },
		{ "", 0, 0 },
		{ "9223372036854775807", INT64_MAX, 0 },
		{ "-9223372036854775807", -INT64_MAX, 0 },
		{ "9223372036854775808", 0, 1 },
		{ "-", 0, 1 },
		{ "- 7", 0, 1 },
		{ "--7", 0, 1 },
		{ "+7", 0, 1 },
		{ "7.5", 0, 1 },
		{ "high", 0, 1 },
	};
	const struct spop_value huge = { .type = SPOP_T_UINT64, .u = UINT64_MAX };
	const struct spop_value null = { .type = SPOP_T_NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route_msg m = with_str("priority", cases[i].text);

		assert_int_equal(m.priority, cases[i].is);
		assert_int_equal(m.bad_count, cases[i].bad);
	}
	assert_int_equal(with("priority", int64(-5)).priority, -5);
	assert_int_equal(with("priority", int64(INT64_MIN)).priority, INT64_MIN);
	assert_int_equal(with("priority", huge).priority, 0);
	assert_int_equal(with("priority", null).priority, 0);
}

static void what_the_body_is_may_be_told(void **state)
{
	struct route_msg m = with_str("encoding", "zstd");

	(void)state;
	assert_true(slice_eq(m.encoding, "zstd"));
	assert_null(m.ctype.p);
	m = with_str("ctype", "multipart/form-data; boundary=x");
	assert_true(slice_eq(m.ctype, "multipart/form-data; boundary=x"));
	m = with("encoding", int64(1));
	assert_null(m.encoding.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_arguments_are_taken_in_any_order),
		cmocka_unit_test(every_proper_prefix_is_refused_and_leaves_the_result_alone),
		cmocka_unit_test(without_a_slo_route_message_nothing_is_found),
		cmocka_unit_test(a_message_without_arguments_is_found_and_empty),
		cmocka_unit_test(null_and_wrong_types_are_absent),
		cmocka_unit_test(text_does_not_come_as_number_or_binary),
		cmocka_unit_test(names_are_compared_whole),
		cmocka_unit_test(an_id_has_1_to_255_bytes),
		cmocka_unit_test(numbers_come_as_integers_or_decimal_text),
		cmocka_unit_test(hints_that_are_no_numbers_are_told),
		cmocka_unit_test(a_priority_has_a_sign),
		cmocka_unit_test(what_the_body_is_may_be_told),
		cmocka_unit_test(the_size_is_the_largest_that_anybody_tells),
		cmocka_unit_test(an_empty_body_is_there),
		cmocka_unit_test(the_first_of_several_messages_counts),
		cmocka_unit_test(malformed_bytes_behind_the_message_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
