/* Addresses of the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_case.h"

static void addresses_of_every_kind_are_read(void **state)
{
	struct config *c =
	    parse("{\"spop\":{\"listen\":[\"h.example:1\",\"[::1]:65535\",\"unix:s\","
	          "\"unix:/run/x\"]},\"events\":{\"listen\":[\"udp:[fe80::1]:0\"]}," MODELS "}");
	const struct listen_addr *a = c->spop.addr;

	(void)state;
	assert_int_equal(c->spop.count, 4);
	assert_int_equal(a[0].kind, LISTEN_TCP);
	assert_string_equal(a[0].host, "h.example");
	assert_int_equal(a[0].port, 1);
	assert_int_equal(a[1].kind, LISTEN_TCP);
	assert_string_equal(a[1].host, "::1");
	assert_int_equal(a[1].port, 65535);
	assert_int_equal(a[2].kind, LISTEN_UNIX);
	assert_string_equal(a[2].path, "dir/s");
	assert_string_equal(a[3].path, "/run/x");
	assert_int_equal(c->events.addr[0].kind, LISTEN_UDP);
	assert_string_equal(c->events.addr[0].host, "fe80::1");
	assert_int_equal(c->events.addr[0].port, 0);
	config_free(c);
}

static void a_bad_address_is_told_at_the_value(void **state)
{
	static const struct {
		const char *address, *why;
	} cases[] = {
		{ "localhost", "has no port" },
		{ ":80", "has no host" },
		{ "udp:", "has no port" },
		{ "h:", "has a bad port, must be 0 to 65535" },
		{ "h:65536", "has a bad port, must be 0 to 65535" },
		{ "h:99999999999999999999", "has a bad port, must be 0 to 65535" },
		{ "h:8o", "has a bad port, must be 0 to 65535" },
		{ "h:-1", "has a bad port, must be 0 to 65535" },
		{ "::1:9", "has more than one colon: an IPv6 address needs brackets" },
		{ "tcp:h:9", "has more than one colon: an IPv6 address needs brackets" },
		{ "[::1", "has no closing bracket" },
		{ "[::1]", "has no port" },
		{ "[]:1", "has no host" },
		{ "[h]:1", "has no IPv6 address between its brackets" },
		{ "a b:1", "has a host with a character that no host has" },
		{ "unix:", "has no path" },
		{ "/run/x.sock", "is a path, which has \"unix:\" before it" },
		{ "unix@/run/x.sock",
		  "is written as in HAProxy's files; here it is \"unix:PATH\"" },
		{ "tcp://h:9", "is an URL, must be \"host:port\" or \"unix:path\"" },
	};
	char text[512], want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), SPOP "\"events\":{\"listen\":[\"h:1\",\n \"%s\"]}}",
		         cases[i].address);
		snprintf(want, sizeof(want), "f:4:2: key \"events.listen[1]\": address \"%s\" %s",
		         cases[i].address, cases[i].why);
		expect_error(text, want);
	}
	expect_error("{\"spop\":{\"listen\":[\"udp:h:1\"]}}",
	             "f:1:20: key \"spop.listen[0]\": address \"udp:h:1\" is UDP, which only "
	             "events.listen can have");
}

static void two_listeners_share_no_address(void **state)
{
	(void)state;
	expect_error(PLUS("\"http\":{\"listen\":\"127.0.0.1:9901\"}"),
	             "f:5:18: key \"http.listen\": has an address of spop.listen: each listener "
	             "needs its own");
	/* A port for TCP and one for UDP, and any free port twice, are two. */
	config_free(parse("{\"spop\":{\"listen\":[\"h:1\",\"h:0\"]},\"events\":{\"listen\":["
	                  "\"udp:h:1\",\"h:0\"]}," MODELS "}"));
}

static void a_unix_path_fits_with_its_directory_or_is_refused(void **state)
{
	static struct doc_error err;
	char text[512], path[128];
	struct config *c;

	(void)state;
	memset(path, 'p', sizeof(path));
	path[103] = '\0'; /* 107 bytes below dir/ */
	snprintf(text, sizeof(text), PLUS("\"http\":{\"listen\":\"unix:%s\"}"), path);
	c = parse_at(text, "dir/f", &err);
	assert_non_null(c);
	assert_int_equal(strlen(c->http.addr[0].path), 107);
	config_free(c);
	assert_null(parse_at(text, "dirs/f", &err));
	assert_string_equal(err.key, "http.listen");
	assert_int_equal(err.line, 5);
	assert_int_equal(err.column, 18);
	assert_non_null(strstr(err.message, "has a path longer than 107 bytes"));
}

static void a_listener_has_16_addresses_at_most(void **state)
{
	char text[1024];
	size_t used;

	(void)state;
	for (size_t n = 16; n <= 17; n++) {
		used = (size_t)sprintf(text, "{\"spop\":{\"listen\":[\"a:99\"");
		for (size_t i = 1; i < n; i++)
			used += (size_t)sprintf(text + used, ",\"a:%zu\"", i);
		(void)sprintf(text + used, "]},%s%s}", EVENTS, MODELS);
		if (n == 16)
			config_free(parse(text));
		else
			expect_error(text,
			             "f:1:19: key \"spop.listen\": has 17 addresses, must have 1 "
			             "to 16");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_every_kind_are_read),
		cmocka_unit_test(a_bad_address_is_told_at_the_value),
		cmocka_unit_test(two_listeners_share_no_address),
		cmocka_unit_test(a_unix_path_fits_with_its_directory_or_is_refused),
		cmocka_unit_test(a_listener_has_16_addresses_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
