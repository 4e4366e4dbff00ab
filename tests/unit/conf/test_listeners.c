/* The listeners of the configuration: who may open them, and what comes with what is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf/config.h"

#define MODELS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s\"]}}}}"
#define EVENTS "\"events\":{\"listen\":[\"unixgram:e\"]},"
#define SPOP   "\"spop\":{\"listen\":[\"h:1\"]},"

static struct config *parse(const char *text, struct doc_error *err)
{
	return config_parse(text, strlen(text), "dir/f", err);
}

static struct config *parse_good(const char *text)
{
	struct doc_error err;
	struct config *c = parse(text, &err);

	if (!c)
		fail_msg("%s: %s", err.key, err.message);
	return c;
}

static void expect_error(const char *text, const char *key, const char *message)
{
	struct doc_error err;
	struct config *c = parse(text, &err);

	if (c)
		fail_msg("taken: %s", text);
	assert_string_equal(err.key, key);
	if (!strstr(err.message, message))
		fail_msg("%s: %s, not %s", text, err.message, message);
}

static void a_section_guards_all_its_unix_sockets_and_an_address_its_own(void **state)
{
	struct config *c = parse_good(
	    "{\"spop\":{\"listen\":[\"h:1\",\"unix:a\",{\"address\":\"unix:b\",\"mode\":\"0600\","
	    "\"user\":\"1001\"}],\"mode\":\"660\",\"group\":\"haproxy\",\"peers\":[\"haproxy\","
	    "\"0\"]}," EVENTS "\"http\":{\"listen\":\"unix:h\",\"mode\":\"666\"}," MODELS "}");
	const struct listen_addr *a = c->spop.addr;

	(void)state;
	assert_int_equal(c->spop.count, 3);
	assert_false(a[0].access.set);
	assert_true(a[1].access.set && a[1].access.has_mode);
	assert_int_equal(a[1].access.mode, 0660);
	assert_string_equal(a[1].access.user, "");
	assert_string_equal(a[1].access.group, "haproxy");
	assert_int_equal(a[2].access.mode, 0600);
	assert_string_equal(a[2].access.user, "1001");
	assert_string_equal(a[2].access.group, "haproxy");
	assert_string_equal(a[2].path, "dir/b");
	assert_int_equal(c->spop.peers, 2);
	assert_string_equal(c->spop.peer[0], "haproxy");
	assert_int_equal(c->events.addr[0].kind, LISTEN_UNIXGRAM);
	assert_true(listen_addr_is_unix(c->events.addr) && listen_addr_is_datagram(c->events.addr));
	assert_false(c->events.addr[0].access.set);
	assert_int_equal(c->http.addr[0].access.mode, 0666);
	config_free(c);
}

static void modes_are_octal(void **state)
{
	static const char *const bad[] = {
		"66", "888", "1777", "4755", "00660", "rw-", "66 ", "+66"
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
		         "{\"spop\":{\"listen\":[\"unix:a\"],\"mode\":\"%s\"}," EVENTS MODELS "}",
		         bad[i]);
		expect_error(text, "spop.mode", "three octal digits");
	}
	expect_error("{\"spop\":{\"listen\":[\"unix:a\"],\"mode\":660}," EVENTS MODELS "}",
	             "spop.mode", "must be a string");
}

static void what_protects_nothing_is_an_error(void **state)
{
	static const char *const keys[] = { "mode\":\"660\"", "user\":\"u\"", "group\":\"g\"",
		                            "peers\":[\"u\"]" };
	char text[512], key[32];

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		snprintf(text, sizeof(text),
		         "{\"spop\":{\"listen\":[\"h:1\"],\"%s}," EVENTS MODELS "}", keys[i]);
		snprintf(key, sizeof(key), "spop.%.*s", (int)strcspn(keys[i], "\""), keys[i]);
		expect_error(text, key, "is about unix sockets");
	}
	/* Datagrams have no connection whose peer could be asked for. */
	expect_error("{" SPOP "\"events\":{\"listen\":[\"unixgram:e\"],\"peers\":[\"u\"]}," MODELS
	             "}",
	             "events.peers", "is about unix sockets");
	expect_error(
	    "{\"spop\":{\"listen\":[{\"address\":\"h:1\",\"mode\":\"600\"}]}," EVENTS MODELS "}",
	    "spop.listen[0]", "has no unix socket");
}

static void addresses_stay_where_they_belong(void **state)
{
	(void)state;
	expect_error("{\"spop\":{\"listen\":[\"unixgram:a\"]}," EVENTS MODELS "}", "spop.listen[0]",
	             "is for datagrams, which only events.listen can have");
	expect_error("{" SPOP EVENTS
	             "\"haproxy\":{\"runtime_api\":[{\"address\":\"unix:a\"}]}," MODELS "}",
	             "haproxy.runtime_api[0]", "must be a string");
	expect_error("{\"spop\":{\"listen\":[{\"mode\":\"600\"}]}," EVENTS MODELS "}",
	             "spop.listen[0].address", "is missing");
	expect_error(
	    "{\"spop\":{\"listen\":[{\"address\":\"unix:a\",\"grup\":\"g\"}]}," EVENTS MODELS "}",
	    "spop.listen[0].grup", "did you mean \"group\"?");
	expect_error("{\"spop\":{\"listen\":[\"unix:a\",{\"address\":\"unix:a\"}]}," EVENTS MODELS
	             "}",
	             "spop.listen[1].address", "is in this list already");
	expect_error("{\"spop\":{\"listen\":[\"unix:a\"],\"user\":\"a b\"}," EVENTS MODELS "}",
	             "spop.user", "no user or group is called");
	expect_error("{\"spop\":{\"listen\":[\"unix:a\"],\"peers\":[]}," EVENTS MODELS "}",
	             "spop.peers", "must have 1 to 16");
	expect_error("{" SPOP EVENTS
	             "\"http\":{\"listen\":\"h:2\",\"secret\":\"0123456789abcdef\"}," MODELS "}",
	             "http.secret", "unknown key");
}

static void a_secret_has_no_byte_that_a_log_line_cannot_carry(void **state)
{
	static const char *const bad[] = { "short",
		                           "0123456789abcde",
		                           "0123456789 abcdef",
		                           "0123456789abcde\\\"",
		                           "0123456789abcd,e",
		                           "0123456789abcde=" };
	char text[512];
	struct config *c = parse_good(
	    "{\"spop\":{\"listen\":[\"h:1\"],\"secret\":\"0123456789abcdef\"}," EVENTS MODELS "}");

	(void)state;
	assert_string_equal(c->spop.secret, "0123456789abcdef");
	assert_null(c->events.secret);
	config_free(c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
		         "{\"spop\":{\"listen\":[\"h:1\"],\"secret\":\"%s\"}," EVENTS MODELS "}",
		         bad[i]);
		expect_error(text, "spop.secret", "must have 16 to 128 bytes");
	}
}

static void listeners_are_equal_if_all_but_the_secret_is(void **state)
{
	static const char *const texts[] = {
		"\"listen\":[\"unix:a\"],\"mode\":\"660\",\"peers\":[\"u\"]",
		"\"listen\":[\"unix:b\"],\"mode\":\"660\",\"peers\":[\"u\"]",
		"\"listen\":[\"unix:a\"],\"mode\":\"600\",\"peers\":[\"u\"]",
		"\"listen\":[\"unix:a\"],\"mode\":\"660\",\"peers\":[\"v\"]",
		"\"listen\":[\"unix:a\"],\"mode\":\"660\"",
		"\"listen\":[\"unix:a\"],\"mode\":\"660\",\"group\":\"g\",\"peers\":[\"u\"]",
	};
	struct config *first = NULL;
	char text[512];

	(void)state;
	for (size_t i = 0; i <= sizeof(texts) / sizeof(texts[0]); i++) {
		bool same = i == sizeof(texts) / sizeof(texts[0]);
		struct config *c;

		snprintf(text, sizeof(text), "{\"spop\":{%s%s}," EVENTS MODELS "}",
		         texts[same ? 0 : i], same ? ",\"secret\":\"0123456789abcdef\"" : "");
		c = parse_good(text);
		if (!first) {
			first = c;
			continue;
		}
		assert_int_equal(config_listen_equal(&first->spop, &c->spop), same);
		config_free(c);
	}
	config_free(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_section_guards_all_its_unix_sockets_and_an_address_its_own),
		cmocka_unit_test(modes_are_octal),
		cmocka_unit_test(what_protects_nothing_is_an_error),
		cmocka_unit_test(addresses_stay_where_they_belong),
		cmocka_unit_test(a_secret_has_no_byte_that_a_log_line_cannot_carry),
		cmocka_unit_test(listeners_are_equal_if_all_but_the_secret_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
