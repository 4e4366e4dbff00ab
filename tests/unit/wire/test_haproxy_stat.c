#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/haproxy_stat.h"

/* The columns of HAProxy 2.6 up to "type". */
#define COLUMNS                                                                               \
	"# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,"  \
	"wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid," \
	"sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,last_chk,\n"
#define ROW(be, name, qcur, scur, status, weight)                                   \
	be "," name "," qcur ",7," scur ",9,,70,1,2,,0,,0,0,0,0," status "," weight \
	   ",1,0,,,2,,,1,3,2,,0,,2,0,,0,,,\n"
#define SHORT "# pxname,svname,qcur,scur,status,weight,type\n"

struct seen {
	struct haproxy_stat p;
	uint8_t *bytes;
	struct slice left;
	struct haproxy_item item;
};

static int set_up(void **state)
{
	static struct seen s;

	memset(&s, 0, sizeof(s));
	haproxy_stat_init(&s.p);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct seen *s = *state;

	free(s->bytes);
	return 0;
}

static void give(struct seen *s, const char *text)
{
	free(s->bytes);
	s->bytes = exact(text, strlen(text));
	s->left = (struct slice){ s->bytes, strlen(text) };
}

static slo_err next(struct seen *s)
{
	return haproxy_stat_next(&s->p, &s->left, &s->item);
}

static void assert_text(struct slice got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.p, want, got.len);
}

static void expect_server(struct seen *s, const char *backend, const char *name,
                          enum slo_server_state state, uint32_t sessions, uint32_t queued)
{
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_SERVER);
	assert_text(s->item.server.backend, backend);
	assert_text(s->item.server.name, name);
	assert_int_equal(s->item.server.state, state);
	assert_int_equal(s->item.server.sessions, sessions);
	assert_int_equal(s->item.server.queued, queued);
}

static void addresses_come_with_blanks_between(void **state)
{
	struct seen *s = *state;

	give(s, "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_fqdn srv_port x\n"
	        "2 be 1 s1 127.0.0.1 2 - 8001 -\n"
	        "2 be 2 s6 ::1 2 \" 8002 -\n"
	        "2 be 3 su - 2 - 0 -\n\n"
	        "1\n# be_id be_name srv_name srv_addr srv_port\n2 be s1\n");
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_TEXT);
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_ADDRESS);
	assert_text(s->item.address.backend, "be");
	assert_text(s->item.address.name, "s1");
	assert_text(s->item.address.address, "127.0.0.1");
	assert_int_equal(s->item.address.port, 8001);
	assert_int_equal(next(s), SLO_OK);
	assert_text(s->item.address.address, "::1");
	assert_int_equal(next(s), SLO_OK);
	assert_text(s->item.address.address, "-");
	assert_int_equal(s->item.address.port, 0);
	assert_int_equal(next(s), SLO_OK); /* the next table's version */
	assert_int_equal(s->p.blocks, 1);
	assert_int_equal(next(s), SLO_EPROTO); /* a row that is too short */
}

static void a_table_is_read_by_the_names_of_its_columns(void **state)
{
	struct seen *s = *state;

	give(s, COLUMNS ROW("be", "s1", "2", "35", "UP", "10")
	            ROW("be", "s2", "0", "0", "MAINT", "1") "\n");
	expect_server(s, "be", "s1", SLO_SERVER_UP, 35, 2);
	expect_server(s, "be", "s2", SLO_SERVER_MAINT, 0, 0);
	assert_int_equal(next(s), SLO_ESHORT);
	assert_true(haproxy_stat_complete(&s->p, 1));
	/* Another order, more and fewer columns. */
	give(s, "# type,weight,new,status,scur,qcur,svname,pxname\n2,1,x,DRAIN,4,5,s3,other\n\n");
	expect_server(s, "other", "s3", SLO_SERVER_DRAIN, 4, 5);
	assert_int_equal(next(s), SLO_ESHORT);
	assert_true(haproxy_stat_complete(&s->p, 2));
}

static void an_answer_in_single_bytes_is_the_same(void **state)
{
	static const char text[] = "Name: HAProxy\nPid: 4711\nUptime_sec: 12\n\n" COLUMNS ROW(
	    "be", "s1", "2", "35", "UP 1/3", "10") "\nNo such proxy.\n\n";
	struct seen *s = *state;
	int kinds[8], n = 0;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		const char byte[2] = { text[i], 0 };
		slo_err err;

		give(s, byte);
		err = next(s);
		if (err == SLO_OK)
			kinds[n++] = (int)s->item.kind;
		else
			assert_int_equal(err, SLO_ESHORT);
		assert_false(haproxy_stat_complete(&s->p, 3) && i + 2 < sizeof(text));
	}
	assert_int_equal(n, 5);
	assert_int_equal(kinds[0], HAPROXY_TEXT);
	assert_int_equal(kinds[1], HAPROXY_PID);
	assert_int_equal(kinds[2], HAPROXY_UPTIME);
	assert_int_equal(kinds[3], HAPROXY_SERVER);
	assert_int_equal(kinds[4], HAPROXY_TEXT);
	assert_true(haproxy_stat_complete(&s->p, 3));
}

static void the_process_says_its_pid_and_age(void **state)
{
	struct seen *s = *state;

	give(s, "Pid: 4711\nUptime: 0d 0h00m12s\nUptime_sec: 12\n\n");
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_PID);
	assert_int_equal(s->item.number, 4711);
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_TEXT);
	assert_text(s->item.text, "Uptime: 0d 0h00m12s");
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_UPTIME);
	assert_int_equal(s->item.number, 12);
	assert_int_equal(next(s), SLO_ESHORT);
}

static void every_status_says_whether_the_server_is_used(void **state)
{
	static const struct {
		const char *status;
		enum slo_server_state state;
	} table[] = {
		{ "UP", SLO_SERVER_UP },
		{ "UP 1/3", SLO_SERVER_UP },
		{ "no check", SLO_SERVER_UP },
		{ "DOWN", SLO_SERVER_DOWN },
		{ "DOWN 1/2", SLO_SERVER_DOWN },
		{ "DOWN (agent)", SLO_SERVER_DOWN },
		{ "MAINT", SLO_SERVER_MAINT },
		{ "MAINT (via be/s1)", SLO_SERVER_MAINT },
		{ "MAINT(resolution)", SLO_SERVER_MAINT },
		{ "MAINT (resolution)", SLO_SERVER_MAINT },
		{ "DRAIN", SLO_SERVER_DRAIN },
		{ "DRAIN (agent)", SLO_SERVER_DRAIN },
		{ "NOLB", SLO_SERVER_DRAIN },
		{ "NOLB 1/2", SLO_SERVER_DRAIN },
		{ "UPSIDE", SLO_SERVER_DOWN },
		{ "up", SLO_SERVER_DOWN },
		{ "no", SLO_SERVER_DOWN },
		{ "", SLO_SERVER_DOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].status);
		uint8_t *status = exact(table[i].status, len);

		assert_int_equal(haproxy_state_parse((struct slice){ status, len }),
		                 table[i].state);
		free(status);
	}
}

static void rows_of_frontends_and_backends_are_passed_over(void **state)
{
	struct seen *s = *state;

	give(s, SHORT "fe,FRONTEND,,3,OPEN,,0\nbe,BACKEND,0,3,UP,1,1\nbe,s1,,,UP,,2\n\n");
	expect_server(s, "be", "s1", SLO_SERVER_UP, 0, 0);
	assert_int_equal(next(s), SLO_ESHORT);
}

static void a_quoted_field_may_hold_commas_quotes_and_newlines(void **state)
{
	struct seen *s = *state;

	give(s, "# pxname,last_chk,svname,qcur,scur,status,weight,type\n"
	        "be,\"a, \"\"b\"\"\n\nc\",\"s\"\"1\",0,1,\"UP\",1,2\nbe,,s2,0,2,UP,1,2\n\n");
	expect_server(s, "be", "s\"1", SLO_SERVER_UP, 1, 0);
	expect_server(s, "be", "s2", SLO_SERVER_UP, 2, 0);
	assert_int_equal(next(s), SLO_ESHORT);
	assert_true(haproxy_stat_complete(&s->p, 1));
}

static void a_table_without_a_needed_column_is_refused(void **state)
{
	static const char *const names[] = { "pxname", "svname", "qcur", "scur", "status", "type" };

	for (size_t left_out = 0; left_out < 6; left_out++) {
		struct seen *s = *state;
		char text[128] = "# x";

		for (size_t i = 0; i < 6; i++) {
			if (i == left_out)
				continue;
			strcat(text, ",");
			strcat(text, names[i]);
		}
		strcat(text, "\n");
		haproxy_stat_init(&s->p);
		give(s, text);
		assert_int_equal(next(s), SLO_EPROTO);
	}
}

static void a_row_that_makes_no_sense_is_refused(void **state)
{
	static const char *const rows[] = {
		"be,s1,0,0,UP,1\n",     /* short */
		"be\n",                 /* shorter */
		"be,s1,0,-1,UP,1,2\n",  /* negative */
		"be,s1,0,1 ,UP,1,2\n",  /* not a number */
		"be,s1,0x1,1,UP,1,2\n", /* nor this */
		",s1,1,1,UP,1,2\n",
		"be,,1,1,UP,1,2\n",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seen *s = *state;

		haproxy_stat_init(&s->p);
		give(s, SHORT);
		assert_int_equal(next(s), SLO_ESHORT);
		give(s, rows[i]);
		assert_int_equal(next(s), SLO_EPROTO);
	}
}

static void a_number_that_is_too_large_is_the_largest(void **state)
{
	struct seen *s = *state;

	give(s, SHORT "be,s1,4294967295,4294967296,UP,99999999999999999999999,2\n\n");
	expect_server(s, "be", "s1", SLO_SERVER_UP, UINT32_MAX, UINT32_MAX);
}

static void a_line_may_be_long_but_not_endless(void **state)
{
	struct seen *s = *state;
	char *text = malloc(HAPROXY_LINE_MAX + 2);

	assert_non_null(text);
	memset(text, 'x', HAPROXY_LINE_MAX + 1);
	text[HAPROXY_LINE_MAX + 1] = 0;
	give(s, text);
	assert_int_equal(next(s), SLO_ETOOBIG);
	haproxy_stat_init(&s->p);
	text[HAPROXY_LINE_MAX] = '\n';
	give(s, text);
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.text.len, HAPROXY_LINE_MAX);
	free(text);
}

static void no_part_of_an_answer_is_the_whole(void **state)
{
	static const char text[] = "Pid: 1\n\n" SHORT "be,s1,0,1,UP,1,2\n\n";
	struct seen *s = *state;

	for (size_t len = 0; len < sizeof(text); len++) {
		uint8_t *part = exact(text, len);
		struct slice in = { part, len };

		haproxy_stat_init(&s->p);
		while (haproxy_stat_next(&s->p, &in, &s->item) == SLO_OK)
			;
		assert_int_equal(in.len, 0);
		assert_int_equal(haproxy_stat_complete(&s->p, 2), len == sizeof(text) - 1);
		free(part);
	}
}

static void a_refusal_is_told(void **state)
{
	struct seen *s = *state;

	give(s, "No such proxy.\n\n");
	assert_int_equal(next(s), SLO_OK);
	assert_int_equal(s->item.kind, HAPROXY_TEXT);
	assert_text(s->item.text, "No such proxy.");
	assert_int_equal(next(s), SLO_ESHORT);
	assert_true(haproxy_stat_complete(&s->p, 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_table_is_read_by_the_names_of_its_columns),
		TEST(addresses_come_with_blanks_between),
		TEST(an_answer_in_single_bytes_is_the_same),
		TEST(the_process_says_its_pid_and_age),
		TEST(every_status_says_whether_the_server_is_used),
		TEST(rows_of_frontends_and_backends_are_passed_over),
		TEST(a_quoted_field_may_hold_commas_quotes_and_newlines),
		TEST(a_table_without_a_needed_column_is_refused),
		TEST(a_row_that_makes_no_sense_is_refused),
		TEST(a_number_that_is_too_large_is_the_largest),
		TEST(a_line_may_be_long_but_not_endless),
		TEST(no_part_of_an_answer_is_the_whole),
		TEST(a_refusal_is_told),
	};

	return cmocka_run_group_tests_name("haproxy_stat", tests, NULL, NULL);
}
