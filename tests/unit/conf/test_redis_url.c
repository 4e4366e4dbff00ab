#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "exact.h"
#include "conf/redis_url.h"

static slo_err parse(const char *url, struct redis_url *u, const char **why)
{
	size_t len = strlen(url);
	uint8_t *bytes = exact(url, len);
	slo_err err = redis_url_parse((const char *)bytes, len, u, why);

	free(bytes);
	return err;
}

struct good {
	const char *url, *host_or_path, *user, *password, *text;
	unsigned port, db;
	enum redis_url_kind kind;
};

static void every_part_is_read_and_only_the_place_is_printed(void **state)
{
	static const struct good cases[] = {
		{ "redis://h", "h", "", "", "redis://h:6379/0", 6379, 0, REDIS_URL_TCP },
		{ "redis://h/", "h", "", "", "redis://h:6379/0", 6379, 0, REDIS_URL_TCP },
		{ "redis://127.0.0.1:7000/12", "127.0.0.1", "", "", "redis://127.0.0.1:7000/12",
		  7000, 12, REDIS_URL_TCP },
		{ "rediss://:s3cret@[::1]:65535/1", "::1", "", "s3cret", "rediss://[::1]:65535/1",
		  65535, 1, REDIS_URL_TLS },
		{ "rediss://[2001:db8::7]", "2001:db8::7", "", "", "rediss://[2001:db8::7]:6379/0",
		  6379, 0, REDIS_URL_TLS },
		{ "redis://us%65r:p%40%3a%2F%25:q@my-host_1.example:1/0", "my-host_1.example",
		  "user", "p@:/%:q", "redis://my-host_1.example:1/0", 1, 0, REDIS_URL_TCP },
		{ "redis://u:a@b@h", "h", "u", "a@b", "redis://h:6379/0", 6379, 0, REDIS_URL_TCP },
		{ "unix:///run/redis.sock", "/run/redis.sock", "", "",
		  "unix:///run/redis.sock?db=0", 0, 0, REDIS_URL_UNIX },
		{ "redis+unix://u:p@/a%20b%3Fc?db=1000000", "/a b?c", "u", "p",
		  "unix:///a b?c?db=1000000", 0, 1000000, REDIS_URL_UNIX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct good *c = &cases[i];
		char text[REDIS_URL_TEXT_MAX];
		const char *why = "";
		struct redis_url u;

		assert_int_equal(parse(c->url, &u, &why), SLO_OK);
		assert_int_equal(u.kind, c->kind);
		assert_string_equal(c->kind == REDIS_URL_UNIX ? u.path : u.host, c->host_or_path);
		assert_string_equal(u.user, c->user);
		assert_string_equal(u.password, c->password);
		assert_int_equal(u.port, c->port);
		assert_int_equal(u.db, c->db);
		redis_url_print(&u, text);
		assert_string_equal(text, c->text);
	}
}

static void what_is_wrong_is_said_and_nothing_is_written(void **state)
{
	static const struct {
		const char *url, *why;
	} cases[] = {
		{ "", "must begin with" },
		{ "redis:/", "must begin with" },
		{ "REDIS://h", "must begin with" },
		{ "http://h", "must begin with" },
		{ "redis://", "no valid host" },
		{ "redis://:6379", "no valid host" },
		{ "redis://:p@", "no valid host" },
		{ "redis://h h", "no valid host" },
		{ "redis://h%31", "no valid host" },
		{ "redis://[]", "no valid host" },
		{ "redis://[h]", "no valid host" },
		{ "redis://[::1", "without ]" },
		{ "redis://[::1]x", "behind ]" },
		{ "redis://h:", "port" },
		{ "redis://h:0", "port" },
		{ "redis://h:65536", "port" },
		{ "redis://h:+1", "port" },
		{ "redis://::1", "port" },
		{ "redis://h:99999999999999999999", "port" },
		{ "redis://[::1]:", "port" },
		{ "redis://h/x", "database" },
		{ "redis://h/1000001", "database" },
		{ "redis://h/0/", "database" },
		{ "redis://h/4294967296", "database" },
		{ "redis://p@h", "without a password" },
		{ "redis://u:@h", "empty password" },
		{ "redis://:%@h", "broken" },
		{ "redis://:%4@h", "broken" },
		{ "redis://:%4x@h", "broken" },
		{ "redis://:%00@h", "broken" },
		{ "unix://", "absolute" },
		{ "unix:///", "absolute" },
		{ "unix://a", "absolute" },
		{ "unix:///a?", "db=N" },
		{ "unix:///a?db", "db=N" },
		{ "unix:///a?db=", "database" },
		{ "unix:///a?db=1&x", "database" },
		{ "unix:///a%", "broken" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_url u = { .port = 4711 };
		const char *why = "";

		assert_int_equal(parse(cases[i].url, &u, &why), SLO_EINVAL);
		assert_non_null(strstr(why, cases[i].why));
		assert_int_equal(u.port, 4711);
	}
}

static void each_part_fills_its_room_and_not_one_byte_more(void **state)
{
	static const struct {
		const char *before, *behind;
		size_t max;
	} cases[] = {
		{ "redis://", "", REDIS_URL_HOST_MAX },
		{ "redis://", ":p@h", REDIS_URL_WORD_MAX },
		{ "redis://:", "@h", REDIS_URL_WORD_MAX },
		{ "unix:///", "", REDIS_URL_PATH_MAX - 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t more = 0; more < 2; more++) {
			char url[700], part[600] = "", text[REDIS_URL_TEXT_MAX];
			struct redis_url u;
			const char *why;

			memset(part, 'a', cases[i].max + more);
			snprintf(url, sizeof(url), "%s%s%s", cases[i].before, part,
			         cases[i].behind);
			assert_int_equal(parse(url, &u, &why), more ? SLO_EINVAL : SLO_OK);
			if (more)
				continue;
			redis_url_print(&u, text);
			assert_true(strlen(text) < REDIS_URL_TEXT_MAX - 1);
		}
	}
}

static slo_err parse_any(const char *url, struct redis_url *u, struct redis_sentinels *s,
                         const char **why)
{
	size_t len = strlen(url);
	uint8_t *bytes = exact(url, len);
	slo_err err = redis_url_parse_sentinels((const char *)bytes, len, u, s, why);

	free(bytes);
	return err;
}

static void sentinels_are_named_before_what_they_call_the_server(void **state)
{
	struct redis_sentinels s;
	const char *why = "";
	struct redis_url u;

	(void)state;
	assert_int_equal(
	    parse_any("redis+sentinel://us:p%40@a:1,b,[::1]:3/my.master/5", &u, &s, &why), SLO_OK);
	assert_int_equal(s.count, 3);
	assert_string_equal(s.at[0].host, "a");
	assert_int_equal(s.at[0].port, 1);
	assert_string_equal(s.at[1].host, "b");
	assert_int_equal(s.at[1].port, 26379);
	assert_string_equal(s.at[2].host, "::1");
	assert_int_equal(s.at[2].port, 3);
	assert_string_equal(s.service, "my.master");
	assert_int_equal(u.kind, REDIS_URL_TCP);
	assert_string_equal(u.host, "");
	assert_string_equal(u.user, "us");
	assert_string_equal(u.password, "p@");
	assert_int_equal(u.db, 5);
	assert_int_equal(parse_any("redis://h:7", &u, &s, &why), SLO_OK);
	assert_int_equal(s.count, 0);
	assert_int_equal(u.port, 7);
	/* Who takes no Sentinels says so. */
	assert_int_equal(parse("redis+sentinel://a/m", &u, &why), SLO_EINVAL);
}

static void a_wrong_url_of_sentinels_is_refused(void **state)
{
	static const char *const wrong[] = {
		"redis+sentinel://",      "redis+sentinel://a",
		"redis+sentinel://a/",    "redis+sentinel:///m",
		"redis+sentinel://a,/m",  "redis+sentinel://a,,b/m",
		"redis+sentinel://a:0/m", "redis+sentinel://a/m m",
		"redis+sentinel://a/m/x", "redis+sentinel://a/m/",
		"redis+sentinel://u@a/m", "redis+sentinel://a,b,c,d,e,f,g,h,i/m",
		"redis+sentinel://a/%00",
	};
	struct redis_sentinels s;
	struct redis_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *why = NULL;

		if (parse_any(wrong[i], &u, &s, &why) != SLO_EINVAL)
			fail_msg("%s is taken", wrong[i]);
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_read_and_only_the_place_is_printed),
		cmocka_unit_test(what_is_wrong_is_said_and_nothing_is_written),
		cmocka_unit_test(each_part_fills_its_room_and_not_one_byte_more),
		cmocka_unit_test(sentinels_are_named_before_what_they_call_the_server),
		cmocka_unit_test(a_wrong_url_of_sentinels_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
