#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/endline.h"

#define FULL "slo1 id=7F:1 be=models srv=s3 st=200 tr=12 ta=512 bytes=4711 ts=-- in=100 out=31"

/* The parsed line with the bytes that its slices borrow. */
struct parsed {
	uint8_t *line;
	struct endline e;
	slo_err err;
};

static void parse_bytes(struct parsed *r, const void *bytes, size_t len)
{
	uint8_t *line = exact(bytes, len);
	struct endline e = { .kind = ENDLINE_OTHER };

	r->err = endline_parse(line, len, &e);
	r->line = line;
	r->e = e;
}

static void parse(struct parsed *r, const char *line)
{
	parse_bytes(r, line, strlen(line));
}

static void assert_slice(struct slice s, const char *want)
{
	assert_int_equal(s.len, strlen(want));
	assert_memory_equal(s.p, want, s.len);
}

static void assert_absent(struct slice s)
{
	assert_null(s.p);
	assert_int_equal(s.len, 0);
}

static void assert_full(const struct endline *e)
{
	assert_int_equal(e->kind, ENDLINE_END);
	assert_slice(e->id, "7F:1");
	assert_slice(e->be, "models");
	assert_slice(e->srv, "s3");
	assert_slice(e->ts, "--");
	assert_int_equal(e->st, 200);
	assert_int_equal(e->tr_ms, 12);
	assert_int_equal(e->ta_ms, 512);
	assert_int_equal(e->bytes, 4711);
	assert_int_equal(e->in, 100);
	assert_int_equal(e->out, 31);
}

static void a_full_line_gives_every_field(void **state)
{
	static const char *const lines[] = {
		FULL,
		FULL "\n",
		FULL "\r\n",
		"<133>Nov 23 12:00:00 lb haproxy[7]: " FULL "\n",
		"<6>" FULL "\n",
		"<134>" FULL "\r\n",
		"<134>1 2026-11-29T02:40:00.000000+00:00 lb haproxy 7 - - " FULL "\n",
		"<133>Nov 23 12:00:00 Server haproxy[7]: " FULL "\n",
		" " FULL,
		"xslo1 slo1x id=9 " FULL,
		FULL " new=1 later=x",
		FULL " id=other st=500 srv=s9", /* first wins */
		"slo1 out=31 in=100 ts=-- bytes=+4711 ta=+512 tr=12 st=200 srv=s3 be=models "
		"id=7F:1",
		"slo1 x=y=z idx=9 i=8 id=7F:1 =v = noequals  be=models srv=s3 st=200 tr=12 ta=512 "
		"bytes=4711 ts=-- in=100 out=31 ",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct parsed r;

		parse(&r, lines[i]);
		assert_int_equal(r.err, SLO_OK);
		assert_full(&r.e);
		free(r.line);
	}
}

static void nuls_behind_the_line_are_not_part_of_it(void **state)
{
	struct parsed r;

	(void)state;
	parse_bytes(&r, FULL "\0\n\0", sizeof(FULL) - 1 + 3);
	assert_int_equal(r.err, SLO_OK);
	assert_full(&r.e);
	free(r.line);
}

static void dash_and_empty_and_garbage_are_absent(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, "slo1 id=a be=- srv= st=-1 tr=- ta=1x bytes=9223372036854775808 "
	          "ts=- in=+ out=1.5 st=200 ta=7");
	assert_int_equal(r.err, SLO_OK);
	assert_slice(r.e.id, "a");
	assert_absent(r.e.be);
	assert_absent(r.e.srv);
	assert_absent(r.e.ts);
	assert_int_equal(r.e.st, -1);
	assert_int_equal(r.e.tr_ms, -1);
	assert_int_equal(r.e.ta_ms, -1);
	assert_int_equal(r.e.bytes, -1);
	assert_int_equal(r.e.in, -1);
	assert_int_equal(r.e.out, -1);
	free(r.line);
}

static void a_key_without_a_value_is_the_first_of_its_name(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, "slo1 id=a st be st=200 be=b sts=1 tr=5 ta");
	assert_int_equal(r.err, SLO_OK);
	assert_int_equal(r.e.st, -1);
	assert_absent(r.e.be);
	assert_int_equal(r.e.tr_ms, 5);
	assert_int_equal(r.e.ta_ms, -1);
	free(r.line);
}

static void no_server_is_an_absent_server(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, "slo1 id=a be=models srv=<NOSRV> st=503 tr=-1 ta=0 ts=SC");
	assert_int_equal(r.err, SLO_OK);
	assert_absent(r.e.srv);
	assert_true(r.e.no_server);
	assert_int_equal(r.e.ta_ms, 0);
	free(r.line);
	parse(&r, "slo1 id=a be=models st=503 tr=-1 ta=0 ts=SC");
	assert_absent(r.e.srv);
	assert_false(r.e.no_server);
	free(r.line);
}

static void numbers_reach_to_63_bits(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, "slo1 id=a bytes=9223372036854775807 in=000 "
	          "out=99999999999999999999999999999999999 st=--1 tr=-5 ta=++1");
	assert_int_equal(r.err, SLO_OK);
	assert_true(r.e.bytes == INT64_MAX);
	assert_int_equal(r.e.in, 0);
	assert_int_equal(r.e.out, -1);
	assert_int_equal(r.e.st, -1);
	assert_int_equal(r.e.tr_ms, -1);
	assert_int_equal(r.e.ta_ms, -1);
	free(r.line);
}

static void a_line_without_a_valid_id_is_refused(void **state)
{
	static const char *const lines[] = {
		"slo1",      "slo1\n",
		"slo1 ",     "slo1 st=200",
		"slo1 id=",  "slo1 id=- st=200",
		"slo1 id",   "slo1 id= id=x",
		"slo1 ID=x", "<133>Nov 23 lb: slo1 be=b slo1 id2=x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint8_t *line = exact(lines[i], strlen(lines[i]));
		struct endline e = { .kind = ENDLINE_SERVER, .st = 42 };

		assert_int_equal(endline_parse(line, strlen(lines[i]), &e), SLO_EPROTO);
		assert_int_equal(e.st, 42); /* untouched */
		free(line);
	}
}

static void an_id_has_at_most_255_bytes(void **state)
{
	char line[300] = "slo1 id=";

	(void)state;
	memset(line + 8, 'i', 256);
	for (size_t id = 254; id <= 256; id++) {
		struct parsed r;

		parse_bytes(&r, line, 8 + id);
		assert_int_equal(r.err, id <= ENDLINE_ID_MAX ? SLO_OK : SLO_EPROTO);
		assert_true(r.err != SLO_OK || r.e.id.len == id);
		free(r.line);
	}
}

static void a_dropped_notice_is_counted(void **state)
{
	static const struct {
		const char *line;
		size_t len;
		uint64_t n;
	} notices[] = {
		{ "1 event dropped\0\n", 17, 1 },
		{ "12 events dropped", 17, 12 },
		{ "3 event(s) dropped\n", 19, 3 },
		{ "<133>Nov 23 12:00:00 lb haproxy[7]: 345 events dropped\n", 55, 345 },
		{ "4294967295 events dropped", 25, UINT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++) {
		struct parsed r;

		parse_bytes(&r, notices[i].line, notices[i].len);
		assert_int_equal(r.err, SLO_OK);
		assert_int_equal(r.e.kind, ENDLINE_DROPPED);
		assert_true(r.e.dropped == notices[i].n);
		free(r.line);
	}
}

/* Added up, such a count would turn the counter round. */
static void a_dropped_notice_beyond_any_ring_is_no_notice(void **state)
{
	static const char line[] = "18446744073709551615 events dropped";
	struct parsed r;

	(void)state;
	parse_bytes(&r, line, sizeof(line) - 1);
	assert_int_equal(r.err, SLO_OK);
	assert_int_equal(r.e.kind, ENDLINE_OTHER);
	free(r.line);
}

static void server_messages_tell_the_new_state(void **state)
{
	static const struct {
		const char *line;
		enum slo_server_state state;
	} messages[] = {
		{ "Server be/s2 is DOWN, reason: Layer4 connection problem\n", SLO_SERVER_DOWN },
		{ "Server be/s2 is DOWN. 1 active and 0 backup servers left.", SLO_SERVER_DOWN },
		{ "Server be/s2 is DOWN via tr/s1.", SLO_SERVER_DOWN },
		{ "Server be/s2 is UP, reason: Layer7 check passed", SLO_SERVER_UP },
		{ "Server be/s2 is UP/READY (leaving forced maintenance).", SLO_SERVER_UP },
		{ "Server be/s2 is UP/DRAIN (leaving forced maintenance).", SLO_SERVER_DRAIN },
		{ "Server be/s2 is DOWN/READY (leaving forced maintenance).", SLO_SERVER_DOWN },
		{ "Server be/s2 is UP (leaving forced drain).", SLO_SERVER_UP },
		{ "Server be/s2 ('llm.example') is UP/READY (resolves again).", SLO_SERVER_UP },
		{ "Server be/s2 ('llm.example') is UP/DRAIN (resolves again).", SLO_SERVER_DRAIN },
		{ "Server be/s2 ('a') is DOWN/READY (resolves again).", SLO_SERVER_DOWN },
		{ "Server be/s2 is UP/READY (leaving maintenance).", SLO_SERVER_UP },
		{ "Server be/s2 ('a') resolves again but remains in maintenance.",
		  SLO_SERVER_MAINT },
		{ "Server be/s2 is leaving forced maintenance but remains in maintenance.",
		  SLO_SERVER_MAINT },
		{ "Server be/s2 is going DOWN for maintenance (No IP for server ).",
		  SLO_SERVER_MAINT },
		{ "Server be/s2 is going DOWN for maintenance.", SLO_SERVER_MAINT },
		{ "Server be/s2 was DOWN and now enters maintenance.", SLO_SERVER_MAINT },
		{ "Server be/s2 remains in forced maintenance.", SLO_SERVER_MAINT },
		{ "Server be/s2 enters drain state.\n", SLO_SERVER_DRAIN },
		{ "Server be/s2 remains in forced drain mode.", SLO_SERVER_DRAIN },
		{ "Server be/s2 is stopping, reason: x", SLO_SERVER_DRAIN },
		{ "Backup Server be/s2 is UP, reason: x", SLO_SERVER_UP },
		{ "<5>Server be/s2 is UP, reason: x", SLO_SERVER_UP },
		{ "<133>Nov 23 12:00:00 lb haproxy[7]: Server be/s2 is DOWN, reason: x",
		  SLO_SERVER_DOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct parsed r;

		parse(&r, messages[i].line);
		assert_int_equal(r.err, SLO_OK);
		assert_int_equal(r.e.kind, ENDLINE_SERVER);
		assert_int_equal(r.e.state, messages[i].state);
		assert_slice(r.e.be, "be");
		assert_slice(r.e.srv, "s2");
		assert_absent(r.e.id);
		free(r.line);
	}
}

static void a_process_that_stops_is_told(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, "<133>x Proxy llama2-7b stopped (cumulated conns: FE: 0, BE: 3).\n");
	assert_int_equal(r.err, SLO_OK);
	assert_int_equal(r.e.kind, ENDLINE_STOPPED);
	assert_slice(r.e.be, "llama2-7b");
	assert_absent(r.e.srv);
	assert_absent(r.e.id);
	free(r.line);
}

static void other_lines_are_no_error(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		" ",
		"Proxy fe started.",
		"Proxy stopped",
		"Proxy  stopped",
		"Proxy",
		"backend be has no server available!",
		"Server",
		"Server be",
		"Server be/",
		"Server /s1 is DOWN",
		"Server be/s1 has a new mood",
		"Server be/s1 ('",
		"Server be/s1 ('a')",
		"Server be/s1 ('a') ",
		"Server be/s1 ('a is UP",
		"Server be/s1 administratively READY thanks to valid DNS answer.",
		"Server be/s1",
		"events dropped",
		" events dropped",
		"x events dropped",
		"1 events dropped again",
		"18446744073709551616 events dropped",
		"slo2 id=4",
		"prefix:slo1 id=4",
		"1.2.3.4 GET /?slo1",
		"<>slo1 id=4",
		"<1234>slo1 id=4",
		"<6slo1 id=4",
		"<6",
		"<6>",
		"x<6>slo1 id=4",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct parsed r;

		parse(&r, lines[i]);
		assert_int_equal(r.err, SLO_OK);
		assert_int_equal(r.e.kind, ENDLINE_OTHER);
		assert_absent(r.e.id);
		assert_absent(r.e.srv);
		free(r.line);
	}
}

/* Lines of HAProxy 2.6 and 3.2 for a port scan, TLS on a plain port, half a request. */
static void what_was_no_request_needs_no_id(void **state)
{
	static const struct {
		const char *line;
		bool good;
	} lines[] = {
		{ "slo1 id=- be=llm srv=<NOSRV> st=400 tr=-1 ta=0 bytes=0 ts=PR-- in=-", true },
		{ "slo1 id=- be=llm srv=<NOSRV> st=408 tr=-1 ta=75001 bytes=212 ts=cR--", true },
		{ "slo1 id=- be=llm srv=<NOSRV> st=-1 tr=-1 ta=3 bytes=0 ts=CR--", true },
		{ "slo1 id=- be=llm srv=<NOSRV> st=400 tr=-1 ta=0 bytes=0 ts=P", false }, /* cut */
		{ "slo1 id=- be=llm srv=s1 st=400 tr=-1 ta=0 bytes=0 ts=PR--", false },
		{ "slo1 id=- be=llm srv=s1 st=200 tr=1 ta=9 bytes=900 ts=----", false },
		{ "slo1 id=- be=llm srv=<NOSRV> st=503 tr=-1 ta=9 bytes=900 ts=SC--", false },
		{ "slo1 id=- be=llm srv=<NOSRV> st=429 tr=-1 ta=9 bytes=900 ts=LR--", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct parsed r;

		parse(&r, lines[i].line);
		assert_int_equal(r.err, lines[i].good ? SLO_OK : SLO_EPROTO);
		if (lines[i].good)
			assert_int_equal(r.e.kind, ENDLINE_NO_REQUEST);
		free(r.line);
	}
}

/* What a server answers to a health check stands in these lines. */
static void what_a_server_wrote_closes_no_request(void **state)
{
	static const struct {
		const char *line;
		enum endline_kind kind;
	} lines[] = {
		{ "Server be/s2 is DOWN, reason: x, info: \" slo1 id=7F:1 \"", ENDLINE_SERVER },
		{ "Server be/s2 is sad, info: \" slo1 id=7F:1 \"", ENDLINE_OTHER },
		{ "Health check for server be/s2 failed, info: \" slo1 id=7F:1 \"", ENDLINE_OTHER },
		{ "Agent check for server be/s2 failed, info: \" slo1 id=7F:1 \"", ENDLINE_OTHER },
		{ "<133>Nov 23 12:00:00 lb haproxy[7]: Agent check for server be/s2 is UP, info: "
		  "slo1 "
		  "id=7F:1",
		  ENDLINE_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct parsed r;

		parse(&r, lines[i].line);
		assert_int_equal(r.err, SLO_OK);
		assert_int_equal(r.e.kind, lines[i].kind);
		assert_absent(r.e.id);
		free(r.line);
	}
}

static void behind_slo1_there_is_no_other_message(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, "slo1 id=7F:1 x=Server be/s2 is DOWN 3 events dropped");
	assert_int_equal(r.err, SLO_OK);
	assert_int_equal(r.e.kind, ENDLINE_END);
	assert_absent(r.e.be);
	free(r.line);
}

/* HAProxy cuts long lines at the end: whatever is left counts, and nothing is read beyond. */
static void a_line_may_be_cut_anywhere(void **state)
{
	static const char line[] = "<133>Nov 23: " FULL;
	const size_t token = 13 + 4; /* slo1 is whole from here on */
	const size_t id = 13 + 9;    /* and the id has a byte */

	(void)state;
	for (size_t len = 0; len < sizeof(line) - 1; len++) {
		struct parsed r;

		parse_bytes(&r, line, len);
		if (len < token) {
			assert_int_equal(r.err, SLO_OK);
			assert_int_equal(r.e.kind, ENDLINE_OTHER);
		} else if (len < id) {
			assert_int_equal(r.err, SLO_EPROTO);
		} else {
			assert_int_equal(r.err, SLO_OK);
			assert_int_equal(r.e.kind, ENDLINE_END);
			assert_memory_equal(r.e.id.p, "7F:1", r.e.id.len);
		}
		free(r.line);
	}
}

static void further_keys_tell_more_of_the_answer(void **state)
{
	struct parsed r;

	(void)state;
	parse(&r, FULL " tf=5001 ev=151 cached=80 rc=+1 err=257 ptime=3 enc=gzip");
	assert_full(&r.e);
	assert_int_equal(r.e.tf_ms, 5001);
	assert_int_equal(r.e.event, 151);
	assert_int_equal(r.e.cached, 80);
	assert_slice(r.e.rc, "+1");
	assert_int_equal(r.e.err, 257);
	assert_int_equal(r.e.ptime_ms, 3);
	assert_slice(r.e.enc, "gzip");
	free(r.line);
	parse(&r, "slo1 ev=- enc=- ptime= cached=x err=- tf=-7 id=a tfx=1 encoding=br");
	assert_int_equal(r.err, SLO_OK);
	assert_int_equal(r.e.tf_ms, -1);
	assert_int_equal(r.e.event, -1);
	assert_int_equal(r.e.cached, -1);
	assert_int_equal(r.e.err, -1);
	assert_int_equal(r.e.ptime_ms, -1);
	assert_absent(r.e.enc);
	free(r.line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_line_gives_every_field),
		cmocka_unit_test(further_keys_tell_more_of_the_answer),
		cmocka_unit_test(nuls_behind_the_line_are_not_part_of_it),
		cmocka_unit_test(dash_and_empty_and_garbage_are_absent),
		cmocka_unit_test(a_key_without_a_value_is_the_first_of_its_name),
		cmocka_unit_test(no_server_is_an_absent_server),
		cmocka_unit_test(numbers_reach_to_63_bits),
		cmocka_unit_test(a_line_without_a_valid_id_is_refused),
		cmocka_unit_test(an_id_has_at_most_255_bytes),
		cmocka_unit_test(a_dropped_notice_is_counted),
		cmocka_unit_test(a_dropped_notice_beyond_any_ring_is_no_notice),
		cmocka_unit_test(server_messages_tell_the_new_state),
		cmocka_unit_test(a_process_that_stops_is_told),
		cmocka_unit_test(other_lines_are_no_error),
		cmocka_unit_test(what_was_no_request_needs_no_id),
		cmocka_unit_test(what_a_server_wrote_closes_no_request),
		cmocka_unit_test(behind_slo1_there_is_no_other_message),
		cmocka_unit_test(a_line_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
