#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_case.h"

#define API "\"haproxy\":{\"runtime_api\":[\"unix:/s\"]},"

static void without_the_section_no_engine_is_asked(void **state)
{
	struct config *c = parse(MINIMAL);

	(void)state;
	assert_false(c->engines.set);
	assert_null(c->engines.metrics);
	assert_int_equal(c->engines.count, 0);
	config_free(c);
}

static void its_keys_are_read(void **state)
{
	struct config *c = parse(
	    PLUS(API "\"engines\":{\"metrics\":\"http://{address}:{port}/"
	             "metrics\",\"poll\":\"5s\",\"servers\":{\"be/s1\":\"https://h/m?x=1\"}}"));

	(void)state;
	assert_true(c->engines.set);
	assert_string_equal(c->engines.metrics, "http://{address}:{port}/metrics");
	assert_true(c->engines.poll == 5 * SLO_NSEC_PER_SEC);
	assert_int_equal(c->engines.count, 1);
	assert_string_equal(c->engines.at[0].server, "be/s1");
	assert_string_equal(c->engines.at[0].url, "https://h/m?x=1");
	config_free(c);
	c = parse(PLUS("\"engines\":{\"servers\":{\"be/s1\":\"http://h/m\"}}"));
	assert_null(c->engines.metrics);
	assert_true(c->engines.poll == 2 * SLO_NSEC_PER_SEC);
	config_free(c);
}

static void what_cannot_be_asked_is_refused(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"engines\":{}"),
		  "f:5:11: key \"engines\": names no engine, must have metrics or servers" },
		{ PLUS("\"engines\":{\"metrics\":\"http://{address}/m\"}"),
		  "f:5:22: key \"engines.metrics\": needs \"haproxy.runtime_api\", which tells the "
		  "addresses of servers" },
		{ PLUS(API "\"engines\":{\"metrics\":\"file:///etc/passwd\"}"),
		  "f:5:60: key \"engines.metrics\": is \"file:///etc/passwd\", which must begin "
		  "with http:// or https://" },
		{ PLUS(API "\"engines\":{\"metrics\":\"http://h/m\"}"),
		  "f:5:60: key \"engines.metrics\": is \"http://h/m\", which has no {address}, so "
		  "it would be the same for all servers" },
		{ PLUS(API "\"engines\":{\"metrics\":\"http://{address}/{x}\"}"),
		  "f:5:60: key \"engines.metrics\": is \"http://{address}/{x}\", which may have "
		  "{address} and {port} in braces, nothing else" },
		{ PLUS(API "\"engines\":{\"metrics\":\"http://{address}/{port\"}"),
		  "f:5:60: key \"engines.metrics\": is \"http://{address}/{port\", which may have "
		  "{address} and {port} in braces, nothing else" },
		{ PLUS("\"engines\":{\"servers\":{\"be/s\":\"http://a b\"}}"),
		  "f:5:30: key \"engines.servers.be/s\": is \"http://a b\", which has a character "
		  "that no URL has" },
		{ PLUS("\"engines\":{\"servers\":{\"be/s\":\"http://{address}\"}}"),
		  "f:5:30: key \"engines.servers.be/s\": is \"http://{address}\", which is of one "
		  "server, so nothing in it is in braces" },
		{ PLUS("\"engines\":{\"servers\":{\"s\":\"http://h/m\"}}"),
		  "f:5:23: key \"engines.servers.s\": \"s\" must be BACKEND/SERVER" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_section_no_engine_is_asked),
		cmocka_unit_test(its_keys_are_read),
		cmocka_unit_test(what_cannot_be_asked_is_refused),
	};

	return cmocka_run_group_tests_name("config_engines", tests, NULL, NULL);
}
