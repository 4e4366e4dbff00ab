/* The configuration as a whole: defaults, every key, and where errors are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "config_case.h"

#define MSEC SLO_NSEC_PER_MSEC
#define SEC  SLO_NSEC_PER_SEC

static void the_minimal_file_gets_every_default(void **state)
{
	struct config *c = parse(MINIMAL);
	const struct config_routing *r = &c->routing;
	const struct config_limits *l = &c->limits;

	(void)state;
	assert_int_equal(c->http.count, 0);
	assert_null(c->profile_dir);
	assert_int_equal(c->redis.url.kind, REDIS_URL_NONE);
	assert_true(c->redis.refresh == 10 * SEC);
	assert_false(c->redis.trace);
	assert_int_equal(c->cluster.redis.url.kind, REDIS_URL_NONE);
	assert_string_equal(c->cluster.group, "llm");
	assert_int_equal(c->runtime_api.count, 0);
	assert_true(c->haproxy_poll == SEC && c->haproxy_grace == 3 * SEC);
	assert_null(c->snapshot.file);
	assert_true(c->snapshot.every == 2 * SEC && c->snapshot.max_age == 600 * SEC);
	assert_null(c->recorder.file);
	assert_true(c->recorder.max_size == 64 << 20 && c->recorder.keep == 4);
	assert_int_equal(c->decisions, 10000);
	assert_false(c->log_decisions || c->log_json);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(r->strategy, SLO_STRATEGY_SLO);
	assert_int_equal(r->fallback, SLO_STRATEGY_LEAST_REQUEST);
	assert_true(r->queue_timeout == 30 * SEC && r->drain_timeout == 30 * SEC);
	assert_true(r->queue_timeout_most == 0);
	assert_int_equal(r->queue_limit, 100000);
	assert_int_equal(r->limits.priority_max, 1000);
	assert_null(r->default_model);
	assert_int_equal(r->late, SLO_LATE_SERVE);
	assert_int_equal(r->infeasible, SLO_INFEASIBLE_REJECT);
	assert_int_equal(r->predict, SLO_PREDICT_SAMPLE);
	assert_int_equal(r->cold, SLO_COLD_OPTIMISTIC);
	assert_int_equal(r->seed, 0);
	assert_string_equal(r->weights->name, "avg");
	assert_int_equal(l->spop_connections, 20000);
	assert_int_equal(l->spop_frame_size, 16380);
	assert_true(l->hello_timeout == 2 * SEC && l->idle_timeout == 300 * SEC);
	assert_int_equal(l->frames_in_flight, 1024);
	assert_int_equal(l->output_buffer, 262144);
	assert_int_equal(l->end_line_length, 8192);
	assert_int_equal(l->id_length, 255);
	assert_int_equal(l->event_connections, 256);
	assert_int_equal(l->http_connections, 64);
	assert_true(l->remember_ended == 30 * SEC && l->lease_max_age == 7200 * SEC);
	assert_int_equal(l->foreign_requests, 100000);
	assert_true(l->silence == 30 * SEC);
	assert_int_equal(l->remember_limit, 100000);
	config_free(c);
}

static void every_key_is_read(void **state)
{
	struct config *c = parse(
	    SPOP EVENTS MODELS
	    ",\"http\":{\"listen\":\"localhost:0\"},"
	    "\"control\":{\"listen\":[\"unix:c\",{\"address\":\"unix:a\",\"level\":\"admin\"}],"
	    "\"level\":\"user\",\"mode\":\"660\"},"
	    "\"profiles\":{\"dir\":\"p\",\"redis\":{\"url\":\"rediss://h:1/2\",\"refresh\":\"1m\","
	    "\"trace\":true,\"ca_file\":\"ca\",\"cert_file\":\"/c\",\"key_file\":\"k\","
	    "\"server_name\":\"r\"}},"
	    "\"cluster\":{\"redis\":\"rediss://c\",\"name\":\"n-1\",\"group\":\"g.2\","
	    "\"ca_file\":\"ca2\",\"cert_file\":\"/c2\",\"key_file\":\"k2\",\"server_name\":\"r2\"},"
	    "\"log\":{\"level\":\"warning\",\"decisions\":true,\"format\":\"json\"},"
	    "\"snapshot\":{\"file\":\"s\",\"every\":\"5s\",\"max_age\":\"1h\"},"
	    "\"recorder\":{\"file\":\"r\",\"max_size\":\"1m\",\"keep\":0},"
	    "\"decisions\":{\"keep\":5},"
	    "\"haproxy\":{\"runtime_api\":[\"unix:run/h.sock\",\"h2:9999\"],\"poll\":\"500ms\","
	    "\"grace\":\"1s\"},"
	    "\"routing\":{\"strategy\":\"slo-pack-load\",\"fallback\":\"random\","
	    "\"queue_timeout\":\"5m\",\"drain_timeout\":0,\"queue_limit\":7,\"seed\":42,"
	    "\"default_model\":\"m\",\"late\":\"reject\",\"infeasible\":\"fallback\","
	    "\"predict\":\"p90\",\"cold\":\"max\",\"tokens\":{\"weights\":\"qwen2\"},"
	    "\"limits\":{\"strategies\":\"none\",\"e2e_min\":\"2s\",\"ttft_min\":\"500ms\","
	    "\"tpot_min\":\"20ms\",\"priority_max\":9}},"
	    "\"limits\":{\"spop_connections\":1,\"spop_frame_size\":\"64k\","
	    "\"hello_timeout\":\"1500us\",\"idle_timeout\":\"0\",\"frames_in_flight\":3,"
	    "\"output_buffer\":\"1m\",\"id_length\":64,\"end_line_length\":128,\"event_"
	    "connections\":5,"
	    "\"http_connections\":6,\"remember_ended\":250,\"remember_limit\":8,"
	    "\"foreign_requests\":9,\"lease_max_age\":\"2d\",\"silence\":\"1s\"}}");
	const struct config_routing *r = &c->routing;
	const struct config_limits *l = &c->limits;

	(void)state;
	assert_int_equal(c->http.count, 1);
	assert_string_equal(c->http.addr[0].host, "localhost");
	assert_int_equal(c->control.count, 2);
	assert_string_equal(c->control.addr[0].path, "dir/c");
	assert_int_equal(c->control.addr[0].access.mode, 0660);
	assert_int_equal(c->control.level[0], CONFIG_LEVEL_USER);
	assert_int_equal(c->control.level[1], CONFIG_LEVEL_ADMIN);
	assert_int_equal(c->http.addr[0].port, 0);
	assert_string_equal(c->profile_dir, "dir/p");
	assert_int_equal(c->redis.url.kind, REDIS_URL_TLS);
	assert_int_equal(c->redis.url.db, 2);
	assert_true(c->redis.refresh == 60 * SEC);
	assert_true(c->redis.trace);
	assert_string_equal(c->redis.ca_file, "dir/ca");
	assert_string_equal(c->redis.cert_file, "/c");
	assert_string_equal(c->redis.key_file, "dir/k");
	assert_string_equal(c->redis.server_name, "r");
	assert_int_equal(c->cluster.redis.url.kind, REDIS_URL_TLS);
	assert_string_equal(c->cluster.redis.url.host, "c");
	assert_string_equal(c->cluster.redis.ca_file, "dir/ca2");
	assert_string_equal(c->cluster.redis.cert_file, "/c2");
	assert_string_equal(c->cluster.redis.key_file, "dir/k2");
	assert_string_equal(c->cluster.redis.server_name, "r2");
	assert_string_equal(c->cluster.name, "n-1");
	assert_string_equal(c->cluster.group, "g.2");
	assert_string_equal(c->snapshot.file, "dir/s");
	assert_true(c->snapshot.every == 5 * SEC && c->snapshot.max_age == 3600 * SEC);
	assert_string_equal(c->recorder.file, "dir/r");
	assert_true(c->recorder.max_size == 1 << 20 && c->recorder.keep == 0);
	assert_int_equal(c->decisions, 5);
	assert_true(c->log_decisions && c->log_json);
	assert_int_equal(c->runtime_api.count, 2);
	assert_string_equal(c->runtime_api.addr[0].path, "dir/run/h.sock");
	assert_string_equal(c->runtime_api.addr[1].host, "h2");
	assert_true(c->haproxy_poll == 500 * MSEC && c->haproxy_grace == SEC);
	assert_int_equal(c->log_level, LOG_WARNING);
	assert_int_equal(r->strategy, SLO_STRATEGY_PACK_LOAD);
	assert_int_equal(r->fallback, SLO_STRATEGY_RANDOM);
	assert_true(r->queue_timeout == 300 * SEC && r->drain_timeout == 0);
	assert_int_equal(r->queue_limit, 7);
	assert_int_equal(r->limits.priority_max, 9);
	assert_int_equal(r->seed, 42);
	assert_ptr_equal(r->default_model, &c->models[0]);
	assert_int_equal(r->late, SLO_LATE_REJECT);
	assert_int_equal(r->infeasible, SLO_INFEASIBLE_FALLBACK);
	assert_int_equal(r->predict, SLO_PREDICT_P90);
	assert_int_equal(r->cold, SLO_COLD_MAX);
	assert_string_equal(r->weights->name, "qwen2");
	assert_int_equal(r->limits.strategies, CONFIG_STRATEGIES_NONE);
	assert_true(r->limits.e2e_min == 2 * SEC && r->limits.ttft_min == 500 * MSEC &&
	            r->limits.tpot_min == 20 * MSEC);
	assert_int_equal(l->spop_connections, 1);
	assert_int_equal(l->spop_frame_size, 65536);
	assert_true(l->hello_timeout == 1500000 && l->idle_timeout == 0);
	assert_int_equal(l->frames_in_flight, 3);
	assert_int_equal(l->output_buffer, 1 << 20);
	assert_int_equal(l->end_line_length, 128);
	assert_int_equal(l->id_length, 64);
	assert_int_equal(l->event_connections, 5);
	assert_int_equal(l->http_connections, 6);
	assert_true(l->remember_ended == 250 * MSEC);
	assert_int_equal(l->remember_limit, 8);
	assert_int_equal(l->foreign_requests, 9);
	assert_true(l->lease_max_age == 172800 * SEC && l->silence == SEC);
	config_free(c);
}

static void paths_are_relative_to_the_file(void **state)
{
	static const struct {
		const char *file, *dir, *want;
	} cases[] = {
		{ "f.json", "p", "p" },
		{ "/f.json", "p", "/p" },
		{ "./a/f.json", "p", "./a/p" },
		{ "/etc/slo/f.json", "../p", "/etc/slo/../p" },
		{ "/etc/f.json", "/var/p", "/var/p" },
	};
	static struct doc_error err;
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c;

		snprintf(text, sizeof(text), PLUS("\"profiles\":{\"dir\":\"%s\"}"), cases[i].dir);
		c = parse_at(text, cases[i].file, &err);
		assert_non_null(c);
		assert_string_equal(c->profile_dir, cases[i].want);
		config_free(c);
	}
}

static void a_syntax_error_has_its_place(void **state)
{
	static const struct bad cases[] = {
		{ "", "f:1:1: '[' or '{' expected near end of file" },
		{ "# HAProxy\nglobal\n",
		  "f:1:1: '[' or '{' expected near '#': this is no JSON, is it another file?" },
		{ "\nglobal\n",
		  "f:2:1: '[' or '{' expected near 'global': this is no JSON, is it another "
		  "file?" },
		{ "{\n  \"spop\": }", "f:2:11: unexpected token near '}'" },
		{ "{\"spop\": {}, \"log\": NaN}", "f:1:21: invalid token near 'NaN'" },
		{ "{\n\"log\":{},\n \"log\":{}}", "f:3:2: duplicate object key near '\"log\"'" },
		{ PLUS("\"routing\":{\"seed\":9223372036854775808}"),
		  "f:5:19: too big integer near '9223372036854775808'" },
		{ "[1]", "f:1:1: is an array, must be an object" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void an_unknown_key_is_told_with_what_may_have_been_meant(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"routing\":{\"queu_limit\":1}"),
		  "f:5:12: key \"routing.queu_limit\": unknown key (did you mean "
		  "\"queue_limit\"?)" },
		{ PLUS("\"Log\":{}"), "f:5:1: key \"Log\": unknown key (did you mean \"log\"?)" },
		{ PLUS("\"banana\":{}"), "f:5:1: key \"banana\": unknown key" },
		{ PLUS("\"foo\":{}"), "f:5:1: key \"foo\": unknown key" }, /* not "log" */
		{ PLUS("\"profiles\":{\"redis\":{\"uri\":\"x\"}}"),
		  "f:5:22: key \"profiles.redis.uri\": unknown key (did you mean \"url\"?)" },
		{ PLUS("\"log\":{\"colour\":\"x\"}"), "f:5:8: key \"log.colour\": unknown key" },
		{ PLUS("\"http\":{\"listen\":\"a:1\",\"x\":1}"),
		  "f:5:24: key \"http.x\": unknown key" },
		{ PLUS("\"limits\":{\"spop_connection\":1}"),
		  "f:5:11: key \"limits.spop_connection\": unknown key (did you mean "
		  "\"spop_connections\"?)" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployment\":{}}}}",
		  "f:4:16: key \"models.m.deployment\": unknown key (did you mean "
		  "\"deployments\"?)" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"server\":[]}}}}}",
		  "f:4:36: key \"models.m.deployments.d.server\": unknown key (did you mean "
		  "\"servers\"?)" },
		{ PLUS("\"routing\":{\"tokens\":{\"w\\u0001ights\":1}}"),
		  "f:5:22: key \"routing.tokens.w?ights\": unknown key (did you mean "
		  "\"weights\"?)" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void files_of_similar_names_are_different_ones(void **state)
{
	static const char *const other[] = { "/x", ".x", "x.", "xx", "d/x", "x/x", "../x" };
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		snprintf(text, sizeof(text),
		         PLUS("\"snapshot\":{\"file\":\"x\"},\"recorder\":{\"file\":\"%s\"}"),
		         other[i]);
		config_free(parse(text));
	}
}

static void a_file_that_is_replaced_is_none_that_is_in_use(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"snapshot\":{\"file\":\"x\"},\"recorder\":{\"file\":\"x\"}"),
		  "f:5:44: key \"recorder.file\": is \"snapshot.file\" too" },
		{ PLUS("\"snapshot\":{\"file\":\"x\"},\"recorder\":{\"file\":\"./x\"}"),
		  "f:5:44: key \"recorder.file\": is \"snapshot.file\" too" },
		{ PLUS("\"snapshot\":{\"file\":\"/d/./x\"},\"recorder\":{\"file\":\"//d/x\"}"),
		  "f:5:49: key \"recorder.file\": is \"snapshot.file\" too" },
		{ PLUS("\"snapshot\":{\"file\":\"././f\"}"),
		  "f:5:20: key \"snapshot.file\": is the configuration" },
		{ PLUS("\"snapshot\":{\"file\":\"f\"}"),
		  "f:5:20: key \"snapshot.file\": is the configuration" },
		{ PLUS("\"recorder\":{\"file\":\"f\"}"),
		  "f:5:20: key \"recorder.file\": is the configuration" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void a_missing_key_is_told_where_its_object_begins(void **state)
{
	static const struct bad cases[] = {
		{ "\n{}", "f:2:1: key \"spop\": is missing" },
		{ SPOP MODELS "}", "f:1:1: key \"events\": is missing" },
		{ SPOP EVENTS "\"log\":{}}", "f:1:1: key \"models\": is missing" },
		{ "{\"spop\":{}}", "f:1:9: key \"spop.listen\": is missing" },
		{ PLUS("\"control\":{\"listen\":\"h:1\"}"),
		  "f:5:21: key \"control.listen\": must be unix sockets, as in "
		  "\"unix:/run/slo-spoa/ctl.sock\"" },
		{ PLUS("\"control\":{\"listen\":\"unix:c\",\"level\":\"root\"}"),
		  "f:5:38: key \"control.level\": is \"root\", must be user, operator or admin" },
		{ PLUS("\"recorder\":{}"), "f:5:12: key \"recorder.file\": is missing" },
		{ PLUS("\"snapshot\":{}"), "f:5:12: key \"snapshot.file\": is missing" },
		{ PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\",\"h:1\"]}"),
		  "f:5:33: key \"haproxy.runtime_api[1]\": address \"h:1\" is in this list "
		  "already" },
		{ PLUS("\"http\":{}"), "f:5:8: key \"http.listen\": is missing" },
		{ PLUS("\"profiles\":{\"redis\":{}}"),
		  "f:5:21: key \"profiles.redis.url\": is missing" },
		{ SPOP EVENTS "\"models\":{\"m\":{}}}",
		  "f:4:15: key \"models.m.deployments\": is missing" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{}}}}}",
		  "f:4:35: key \"models.m.deployments.d.servers\": is missing, which needs "
		  "\"haproxy.runtime_api\"" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void a_wrong_type_is_told_at_the_value(void **state)
{
	static const struct bad cases[] = {
		{ "{\"spop\":[]}", "f:1:9: key \"spop\": is an array, must be an object" },
		{ "{\"spop\":{\"listen\":\"a:1\"}}",
		  "f:1:19: key \"spop.listen\": is a string, must be an array" },
		{ "{\"spop\":{\"listen\":[\"a:1\", 2]}}",
		  "f:1:27: key \"spop.listen[1]\": is a number, must be a string" },
		{ PLUS("\"http\":{\"listen\":[\"a:1\"]}"),
		  "f:5:18: key \"http.listen\": is an array, must be a string" },
		{ PLUS("\"routing\":null"), "f:5:11: key \"routing\": is null, must be an object" },
		{ PLUS("\"routing\":{\"queue_limit\":\"5\"}"),
		  "f:5:26: key \"routing.queue_limit\": is a string, must be an integer" },
		{ PLUS("\"routing\":{\"queue_limit\":5.5}"),
		  "f:5:26: key \"routing.queue_limit\": is a fraction, must be an integer" },
		{ PLUS("\"routing\":{\"queue_timeout\":true}"),
		  "f:5:28: key \"routing.queue_timeout\": is a boolean, must be a time such as "
		  "\"30s\"" },
		{ PLUS("\"limits\":{\"output_buffer\":{}}"),
		  "f:5:27: key \"limits.output_buffer\": is an object, must be a size such as "
		  "\"64k\"" },
		{ PLUS("\"routing\":{\"late\":1}"),
		  "f:5:19: key \"routing.late\": is a number, must be a string" },
		{ PLUS("\"profiles\":{\"dir\":\"\"}"), "f:5:19: key \"profiles.dir\": is empty" },
		{ SPOP EVENTS "\"models\":[]}",
		  "f:4:10: key \"models\": is an array, must be an object" },
		{ SPOP EVENTS "\"models\":{\"m\":1}}",
		  "f:4:15: key \"models.m\": is a number, must be an object" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":[]}}}}",
		  "f:4:35: key \"models.m.deployments.d\": is an array, must be an object" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":{}}}}}}",
		  "f:4:46: key \"models.m.deployments.d.servers\": is an object, must be an "
		  "array" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void escaped_and_long_keys_are_placed_and_cut(void **state)
{
	static struct doc_error err;
	char text[2048], name[1001], line[64];

	(void)state;
	expect_error(SPOP EVENTS "\"models\":{\"a\\/\\u00e9\":{\"x\":1}}}",
	             "f:4:24: key \"models.a/\xc3\xa9.x\": unknown key");
	memset(name, 'k', 1000);
	name[1000] = '\0';
	snprintf(text, sizeof(text), PLUS("\"%s\":1"), name);
	assert_null(parse_at(text, "f", &err));
	assert_int_equal(strlen(err.key), sizeof(err.key) - 1);
	assert_int_equal(err.line, 5);
	doc_error_format(&err, line, sizeof(line));
	assert_int_equal(strlen(line), sizeof(line) - 1);
}

static void every_proper_prefix_is_refused(void **state)
{
	static struct doc_error err;
	const char *text = PLUS("\"log\":{\"level\":\"error\"}");

	(void)state;
	for (size_t len = 0; len < strlen(text); len++) {
		assert_null(parse_bytes(text, len, "f", &err));
		assert_true(err.line >= 1 && err.line <= 5);
	}
	config_free(parse(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_minimal_file_gets_every_default),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(paths_are_relative_to_the_file),
		cmocka_unit_test(a_syntax_error_has_its_place),
		cmocka_unit_test(an_unknown_key_is_told_with_what_may_have_been_meant),
		cmocka_unit_test(a_file_that_is_replaced_is_none_that_is_in_use),
		cmocka_unit_test(files_of_similar_names_are_different_ones),
		cmocka_unit_test(a_missing_key_is_told_where_its_object_begins),
		cmocka_unit_test(a_wrong_type_is_told_at_the_value),
		cmocka_unit_test(escaped_and_long_keys_are_placed_and_cut),
		cmocka_unit_test(every_proper_prefix_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
