#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "exact.h"
#include "spop_buf.h"
#include "wire/spop.h"
#include "spop_client.h"
#include "wire/spop_hello.h"

static const struct spop_client_hello usual_hello = {
	.versions = "2.0",
	.max_frame_size = MAX_FRAME,
	.capabilities = "pipelining,async",
	.engine_id = "E1",
};

static struct spop_frame hello_frame(const struct spop_client_hello *h)
{
	struct wr w = writer();

	assert_int_equal(spop_client_hello_encode(&w, h), SLO_OK);
	return only_frame(&w);
}

static void a_usual_hello_is_understood(void **state)
{
	struct spop_frame f = hello_frame(&usual_hello);
	struct spop_hello h;

	(void)state;
	assert_int_equal(f.type, SPOP_HAPROXY_HELLO);
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_NORMAL);
	assert_int_equal(h.max_frame_size, MAX_FRAME);
	assert_true(h.pipelining);
	assert_true(h.async);
	assert_false(h.fragmentation);
	assert_false(h.healthcheck);
	assert_true(slice_eq(h.engine_id, "E1"));
}

static void a_health_check_has_no_capabilities_to_offer(void **state)
{
	const struct spop_client_hello check = {
		.versions = "2.0", .max_frame_size = 256, .capabilities = "", .healthcheck = true
	};
	struct spop_frame f = hello_frame(&check);
	struct spop_hello h;

	(void)state;
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_NORMAL);
	assert_true(h.healthcheck);
	assert_false(h.pipelining || h.async || h.fragmentation);
	assert_null(h.engine_id.p);
	assert_int_equal(h.max_frame_size, 256);
}

static void a_hello_is_refused_for_the_right_reason(void **state)
{
	static const struct {
		const char *versions;
		const char *capabilities;
		uint32_t size;
		enum spop_status want;
	} cases[] = {
		{ "2.0", "", 16380, SPOP_S_NORMAL },
		{ "2", "", 16380, SPOP_S_NORMAL },
		{ "1.0, 2.0", "", 16380, SPOP_S_NORMAL },
		{ "1.0,2.12 ,3.0", "", 16380, SPOP_S_NORMAL },
		{ NULL, "", 16380, SPOP_S_NO_VERSION },
		{ NULL, NULL, 0, SPOP_S_NO_VERSION },
		{ "", "", 16380, SPOP_S_BAD_VERSION },
		{ "1.0", "", 16380, SPOP_S_BAD_VERSION },
		{ "1.2,3.0", "", 16380, SPOP_S_BAD_VERSION },
		{ "20", "", 16380, SPOP_S_BAD_VERSION },
		{ "2.", "", 16380, SPOP_S_BAD_VERSION },
		{ "2.x", "", 16380, SPOP_S_BAD_VERSION },
		{ "2,0,", "", 16380, SPOP_S_NORMAL },
		{ "2.0", "", 0, SPOP_S_NO_MAX_FRAME },
		{ "2.0", "", 255, SPOP_S_BAD_MAX_FRAME },
		{ "2.0", NULL, 1, SPOP_S_BAD_MAX_FRAME },
		{ "2.0", NULL, 256, SPOP_S_NO_CAPABILITIES },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct spop_client_hello h = { .versions = cases[i].versions,
			                             .max_frame_size = cases[i].size,
			                             .capabilities = cases[i].capabilities };
		struct spop_frame f = hello_frame(&h);
		struct spop_hello out = { .max_frame_size = 42 };

		assert_int_equal(spop_hello_decode(&f, &out), cases[i].want);
		if (cases[i].want != SPOP_S_NORMAL)
			assert_int_equal(out.max_frame_size, 42);
	}
}

static enum spop_status hello_with(const char *name, struct spop_value v)
{
	struct wr w = writer();
	size_t begin = spop_frame_begin(&w, SPOP_HAPROXY_HELLO, 0, 0);
	const struct spop_value size = { .type = SPOP_T_UINT32, .u = 1024 };
	struct spop_hello h;
	struct spop_frame f;

	spop_client_arg_str(&w, "supported-versions", "2.0");
	spop_kv_write(&w, "max-frame-size", &size);
	spop_client_arg_str(&w, "capabilities", "");
	spop_kv_write(&w, name, &v);
	assert_int_equal(spop_frame_end(&w, begin), SLO_OK);
	f = only_frame(&w);
	return spop_hello_decode(&f, &h);
}

static void hello_items_need_their_types(void **state)
{
	const struct spop_value text = { .type = SPOP_T_STR, .s = slice_of("2.0") };
	const struct spop_value null = { .type = SPOP_T_NULL };
	const struct spop_value negative = { .type = SPOP_T_INT32, .i = -1 };
	const struct spop_value good = { .type = SPOP_T_INT64, .i = 4096 };
	const struct spop_value large = { .type = SPOP_T_UINT64, .u = UINT64_C(1) << 32 };

	(void)state;
	assert_int_equal(hello_with("supported-versions", good), SPOP_S_INVALID);
	assert_int_equal(hello_with("capabilities", null), SPOP_S_INVALID);
	assert_int_equal(hello_with("engine-id", good), SPOP_S_INVALID);
	assert_int_equal(hello_with("healthcheck", text), SPOP_S_INVALID);
	assert_int_equal(hello_with("max-frame-size", text), SPOP_S_INVALID);
	assert_int_equal(hello_with("max-frame-size", negative), SPOP_S_BAD_MAX_FRAME);
	assert_int_equal(hello_with("max-frame-size", large), SPOP_S_BAD_MAX_FRAME);
	assert_int_equal(hello_with("max-frame-size", good), SPOP_S_NORMAL);
}

/* Compared with the peer's length, "s" would pass for "supported-versions". */
static void hello_names_are_compared_whole_and_strange_ones_skipped(void **state)
{
	const char *strange[] = { "", "s", "m", "max-frame-sizeX", "Max-Frame-Size", "e" };
	const struct spop_value null = { .type = SPOP_T_NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
		assert_int_equal(hello_with(strange[i], null), SPOP_S_NORMAL);
}

static void hello_and_disconnect_belong_to_no_stream(void **state)
{
	struct spop_frame f = hello_frame(&usual_hello);
	struct spop_disconnect d;
	struct spop_hello h;
	struct wr w = writer();

	(void)state;
	f.stream_id = 1;
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_INVALID);
	f.stream_id = 0;
	f.frame_id = 1;
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_INVALID);
	f.frame_id = 0;
	f.flags = 0;
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_NO_FRAGMENTATION);
	f.flags = SPOP_FIN | SPOP_ABORT;
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_INVALID);
	f.flags = SPOP_FIN;
	f.type = SPOP_NOTIFY;
	assert_int_equal(spop_hello_decode(&f, &h), SPOP_S_INVALID);

	assert_int_equal(spop_client_disconnect_encode(&w, SPOP_S_IO), SLO_OK);
	f = only_frame(&w);
	f.frame_id = 1;
	assert_int_equal(spop_disconnect_decode(&f, &d), SLO_EPROTO);
	f.frame_id = 0;
	f.stream_id = 1;
	assert_int_equal(spop_disconnect_decode(&f, &d), SLO_EPROTO);
	f.stream_id = 0;
	f.flags = 0;
	assert_int_equal(spop_disconnect_decode(&f, &d), SLO_EPROTO);
	f.flags = SPOP_FIN;
	f.type = SPOP_ACK;
	assert_int_equal(spop_disconnect_decode(&f, &d), SLO_EPROTO);
}

/* Whether an item ends at this length decides: then something is missing, else malformed. */
static void every_proper_prefix_of_a_hello_is_refused(void **state)
{
	struct spop_client_hello bare = usual_hello;
	struct spop_frame f;
	struct spop_hello h;
	size_t len;
	unsigned int missing = 0;

	(void)state;
	bare.engine_id = NULL; /* with it the prefix up to it would be good */
	f = hello_frame(&bare);
	len = f.payload.len;
	for (size_t n = 0; n < len; n++) {
		uint8_t *p = exact(buf + HEAD_SIZE, n);
		enum spop_status got;

		f.payload = (struct slice){ .p = p, .len = n };
		got = spop_hello_decode(&f, &h);
		assert_int_not_equal(got, SPOP_S_NORMAL);
		missing += got != SPOP_S_INVALID;
		free(p);
	}
	assert_int_equal(missing, 3);
}

static void the_agents_hello_has_these_bytes(void **state)
{
	static const char want[] = "\x00\x00\x00\x40\x65\x00\x00\x00\x01\x00\x00"
				   "\x07version\x08\x03"
				   "2.0"
				   "\x0emax-frame-size\x03\xfc\xf0\x06"
				   "\x0c"
				   "capabilities\x08\x0apipelining";
	struct wr w = writer();
	struct spop_agent_hello h;
	struct spop_frame f;

	(void)state;
	assert_int_equal(spop_agent_hello_encode(&w, 16380, "pipelining"), SLO_OK);
	assert_int_equal(wr_len(&w), sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
	f = only_frame(&w);
	assert_int_equal(spop_client_agent_hello_decode(&f, &h), SLO_OK);
	assert_int_equal(h.max_frame_size, 16380);
	assert_true(slice_eq(h.version, "2.0"));
	assert_true(slice_eq(h.capabilities, "pipelining"));
	assert_true(wr_len(&w) <= SPOP_CONTROL_MAX);
}

static slo_err agent_hello_with(const char *version, int64_t size, const char *capabilities,
                                struct spop_agent_hello *out)
{
	const struct spop_value number = { .type = SPOP_T_INT64, .i = size };
	struct wr w = writer();
	size_t begin = spop_frame_begin(&w, SPOP_AGENT_HELLO, 0, 0);
	struct spop_frame f;

	if (version)
		spop_client_arg_str(&w, "version", version);
	spop_kv_write(&w, "max-frame-size", &number);
	if (capabilities)
		spop_client_arg_str(&w, "capabilities", capabilities);
	assert_int_equal(spop_frame_end(&w, begin), SLO_OK);
	f = only_frame(&w);
	return spop_client_agent_hello_decode(&f, out);
}

static void a_client_refuses_half_an_agents_hello(void **state)
{
	struct spop_agent_hello h;
	struct spop_frame f;
	struct wr w = writer();

	(void)state;
	assert_int_equal(agent_hello_with("2.0", 256, "", &h), SLO_OK);
	assert_int_equal(agent_hello_with(NULL, 256, "", &h), SLO_EPROTO);
	assert_int_equal(agent_hello_with("2.0", 256, NULL, &h), SLO_EPROTO);
	assert_int_equal(agent_hello_with("2.0", 255, "", &h), SLO_EPROTO);
	assert_int_equal(agent_hello_with("2.0", -1, "", &h), SLO_EPROTO);
	assert_int_equal(agent_hello_with("2.0", INT64_C(1) << 32, "", &h), SLO_EPROTO);

	assert_int_equal(spop_agent_hello_encode(&w, 4096, ""), SLO_OK);
	f = only_frame(&w);
	for (size_t n = 0; n < f.payload.len; n++) {
		uint8_t *p = exact(f.payload.p, n);
		struct spop_frame cut = f;

		cut.payload = (struct slice){ .p = p, .len = n };
		assert_int_equal(spop_client_agent_hello_decode(&cut, &h), SLO_EPROTO);
		free(p);
	}
	f.type = SPOP_HAPROXY_HELLO;
	assert_int_equal(spop_client_agent_hello_decode(&f, &h), SLO_EPROTO);
}

static void a_disconnect_tells_its_status(void **state)
{
	static const char want[] = "\x00\x00\x00\x26\x66\x00\x00\x00\x01\x00\x00"
				   "\x0bstatus-code\x03\x02"
				   "\x07message\x08\x07timeout";
	struct wr w = writer();
	struct spop_disconnect d;
	struct spop_frame f;

	(void)state;
	assert_int_equal(spop_agent_disconnect_encode(&w, SPOP_S_TIMEOUT), SLO_OK);
	assert_int_equal(wr_len(&w), sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
	w = writer();
	assert_int_equal(spop_client_disconnect_encode(&w, SPOP_S_TOO_BIG), SLO_OK);
	f = only_frame(&w);
	assert_int_equal(f.type, SPOP_HAPROXY_DISCONNECT);
	assert_int_equal(spop_disconnect_decode(&f, &d), SLO_OK);
	assert_int_equal(d.status, SPOP_S_TOO_BIG);
	assert_true(slice_eq(d.message, spop_status_text(SPOP_S_TOO_BIG)));
}

static slo_err disconnect_with(const char *name, struct spop_value v, struct spop_disconnect *d)
{
	struct wr w = writer();
	size_t begin = spop_frame_begin(&w, SPOP_HAPROXY_DISCONNECT, 0, 0);
	struct spop_frame f;

	spop_kv_write(&w, name, &v);
	assert_int_equal(spop_frame_end(&w, begin), SLO_OK);
	f = only_frame(&w);
	return spop_disconnect_decode(&f, d);
}

static void a_disconnect_needs_a_status_but_no_message(void **state)
{
	const struct spop_value code = { .type = SPOP_T_UINT32, .u = 1234 };
	const struct spop_value negative = { .type = SPOP_T_INT32, .i = -1 };
	const struct spop_value large = { .type = SPOP_T_UINT64, .u = UINT64_C(1) << 32 };
	const struct spop_value text = { .type = SPOP_T_STR, .s = slice_of("0") };
	struct spop_disconnect d = { .status = 7 };

	(void)state;
	assert_int_equal(disconnect_with("message", text, &d), SLO_EPROTO);
	assert_int_equal(disconnect_with("message", code, &d), SLO_EPROTO);
	assert_int_equal(disconnect_with("status-code", text, &d), SLO_EPROTO);
	assert_int_equal(disconnect_with("status-code", negative, &d), SLO_EPROTO);
	assert_int_equal(disconnect_with("status-code", large, &d), SLO_EPROTO);
	assert_int_equal(d.status, 7);
	assert_int_equal(disconnect_with("status-code", code, &d), SLO_OK);
	assert_int_equal(d.status, 1234);
	assert_null(d.message.p);
}

static void every_proper_prefix_of_a_disconnect_is_refused(void **state)
{
	struct wr w = writer();
	size_t status_end = HEAD_SIZE + 14; /* here it is whole, only without a message */
	struct spop_disconnect d;
	struct spop_frame f;

	(void)state;
	assert_int_equal(spop_client_disconnect_encode(&w, SPOP_S_IO), SLO_OK);
	f = only_frame(&w);
	for (size_t end = HEAD_SIZE; end < wr_len(&w); end++) {
		uint8_t *p = exact(buf + HEAD_SIZE, end - HEAD_SIZE);

		f.payload = (struct slice){ .p = p, .len = end - HEAD_SIZE };
		assert_int_equal(spop_disconnect_decode(&f, &d),
		                 end == status_end ? SLO_OK : SLO_EPROTO);
		free(p);
	}
}

static void every_status_has_a_text_and_its_frame_fits(void **state)
{
	const uint32_t unknown[] = { 14, 98, 99, 100, UINT32_MAX };

	(void)state;
	for (uint32_t status = 0; status <= 13; status++) {
		struct wr w;

		wr_init(&w, buf, SPOP_CONTROL_MAX);
		assert_string_not_equal(spop_status_text(status), "unknown error");
		assert_int_equal(spop_agent_disconnect_encode(&w, (enum spop_status)status),
		                 SLO_OK);
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_string_equal(spop_status_text(unknown[i]), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_usual_hello_is_understood),
		cmocka_unit_test(a_health_check_has_no_capabilities_to_offer),
		cmocka_unit_test(a_hello_is_refused_for_the_right_reason),
		cmocka_unit_test(hello_items_need_their_types),
		cmocka_unit_test(hello_names_are_compared_whole_and_strange_ones_skipped),
		cmocka_unit_test(hello_and_disconnect_belong_to_no_stream),
		cmocka_unit_test(every_proper_prefix_of_a_hello_is_refused),
		cmocka_unit_test(the_agents_hello_has_these_bytes),
		cmocka_unit_test(a_client_refuses_half_an_agents_hello),
		cmocka_unit_test(a_disconnect_tells_its_status),
		cmocka_unit_test(a_disconnect_needs_a_status_but_no_message),
		cmocka_unit_test(every_proper_prefix_of_a_disconnect_is_refused),
		cmocka_unit_test(every_status_has_a_text_and_its_frame_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
