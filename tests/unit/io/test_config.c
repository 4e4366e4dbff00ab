#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/config.h"
#include "io/base/config_load.h"

#define MSEC SLO_NSEC_PER_MSEC
#define SEC  SLO_NSEC_PER_SEC

/* The three required sections, on lines 2, 3 and 4; more may follow on line 5. */
#define SPOP    "{\n\"spop\":{\"listen\":[\"127.0.0.1:9901\"]},\n"
#define EVENTS  "\"events\":{\"listen\":[\"udp:127.0.0.1:9902\"]},\n"
#define MODELS  "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s1\",\"s2\"]}}}}"
#define MINIMAL SPOP EVENTS MODELS "}"
#define PLUS(x) SPOP EVENTS MODELS ",\n" x "}"

/* A fresh directory below TMPDIR or /tmp. */
struct dir {
	char path[128];
	char file[160];
};

static int make_dir(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(d);
	snprintf(d->path, sizeof(d->path), "%s/slo-config-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(d->path));
	snprintf(d->file, sizeof(d->file), "%s/slo.json", d->path);
	*state = d;
	return 0;
}

static int remove_dir(void **state)
{
	struct dir *d = *state;

	(void)unlink(d->file);
	assert_int_equal(rmdir(d->path), 0);
	free(d);
	return 0;
}

static void write_file(const struct dir *d, const char *text, size_t len)
{
	FILE *f = fopen(d->file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static struct config *parse_bytes(const char *s, size_t len, const char *path,
                                  struct doc_error *err)
{
	char *text = malloc(len > 0 ? len : 1); /* of exactly its size */
	struct config *c;

	assert_non_null(text);
	memcpy(text, s, len);
	c = config_parse(text, len, path, err);
	free(text);
	return c;
}

static struct config *parse_at(const char *s, const char *path, struct doc_error *err)
{
	return parse_bytes(s, strlen(s), path, err);
}

static struct config *parse(const char *s)
{
	static struct doc_error err;
	struct config *c = parse_at(s, "dir/slo.json", &err);
	char line[1024];

	if (!c) {
		doc_error_format(&err, line, sizeof(line));
		fail_msg("%s", line);
	}
	return c;
}

static void expect_error(const char *text, const char *want)
{
	static struct doc_error err;
	char line[1024];

	assert_null(parse_at(text, "f", &err));
	doc_error_format(&err, line, sizeof(line));
	assert_string_equal(line, want);
}

struct bad {
	const char *text, *want;
};

#define EXPECT_ERRORS(cases)                                               \
	for (size_t i_ = 0; i_ < sizeof(cases) / sizeof((cases)[0]); i_++) \
	expect_error((cases)[i_].text, (cases)[i_].want)

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
	assert_int_equal(c->runtime_api.count, 0);
	assert_true(c->haproxy_poll == SEC && c->haproxy_grace == 3 * SEC);
	assert_null(c->snapshot.file);
	assert_true(c->snapshot.every == 2 * SEC && c->snapshot.max_age == 600 * SEC);
	assert_null(c->recorder.file);
	assert_true(c->recorder.max_size == 64 << 20 && c->recorder.keep == 4);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(r->strategy, SLO_STRATEGY_SLO);
	assert_int_equal(r->fallback, SLO_STRATEGY_LEAST_REQUEST);
	assert_true(r->queue_timeout == 30 * SEC && r->drain_timeout == 30 * SEC);
	assert_int_equal(r->queue_limit, 100000);
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
	assert_int_equal(l->remember_limit, 100000);
	config_free(c);
}

static void a_model_has_limits_of_its_own_beside_those_of_routing(void **state)
{
	struct config *c =
	    parse(SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s\"]}},"
	                      "\"limits\":{\"e2e_min\":\"3s\"}}},"
	                      "\"routing\":{\"limits\":{\"strategies\":\"waiting\","
	                      "\"e2e_min\":\"1s\"}}}");

	(void)state;
	assert_int_equal(c->models[0].limits.strategies, CONFIG_STRATEGIES_WAITING);
	assert_true(c->models[0].limits.e2e_min == 3 * SEC);
	assert_true(c->routing.limits.e2e_min == SEC);
	config_free(c);
}

static void every_key_is_read(void **state)
{
	struct config *c = parse(
	    SPOP EVENTS MODELS
	    ",\"http\":{\"listen\":\"localhost:0\"},"
	    "\"profiles\":{\"dir\":\"p\",\"redis\":{\"url\":\"rediss://h:1/2\",\"refresh\":\"1m\","
	    "\"trace\":true,\"ca_file\":\"ca\",\"cert_file\":\"/c\",\"key_file\":\"k\","
	    "\"server_name\":\"r\"}},"
	    "\"log\":{\"level\":\"warning\"},"
	    "\"snapshot\":{\"file\":\"s\",\"every\":\"5s\",\"max_age\":\"1h\"},"
	    "\"recorder\":{\"file\":\"r\",\"max_size\":\"1m\",\"keep\":0},"
	    "\"haproxy\":{\"runtime_api\":[\"unix:run/h.sock\",\"h2:9999\"],\"poll\":\"500ms\","
	    "\"grace\":\"1s\"},"
	    "\"routing\":{\"strategy\":\"slo-pack-load\",\"fallback\":\"random\","
	    "\"queue_timeout\":\"5m\",\"drain_timeout\":0,\"queue_limit\":7,\"seed\":42,"
	    "\"default_model\":\"m\",\"late\":\"reject\",\"infeasible\":\"fallback\","
	    "\"predict\":\"p90\",\"cold\":\"max\",\"tokens\":{\"weights\":\"qwen2\"},"
	    "\"limits\":{\"strategies\":\"none\",\"e2e_min\":\"2s\",\"ttft_min\":\"500ms\","
	    "\"tpot_min\":\"20ms\"}},"
	    "\"limits\":{\"spop_connections\":1,\"spop_frame_size\":\"64k\","
	    "\"hello_timeout\":\"1500us\",\"idle_timeout\":\"0\",\"frames_in_flight\":3,"
	    "\"output_buffer\":\"1m\",\"id_length\":64,\"end_line_length\":128,\"event_"
	    "connections\":5,"
	    "\"http_connections\":6,\"remember_ended\":250,\"remember_limit\":8,"
	    "\"lease_max_age\":\"2d\"}}");
	const struct config_routing *r = &c->routing;
	const struct config_limits *l = &c->limits;

	(void)state;
	assert_int_equal(c->http.count, 1);
	assert_string_equal(c->http.addr[0].host, "localhost");
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
	assert_string_equal(c->snapshot.file, "dir/s");
	assert_true(c->snapshot.every == 5 * SEC && c->snapshot.max_age == 3600 * SEC);
	assert_string_equal(c->recorder.file, "dir/r");
	assert_true(c->recorder.max_size == 1 << 20 && c->recorder.keep == 0);
	assert_int_equal(c->runtime_api.count, 2);
	assert_string_equal(c->runtime_api.addr[0].path, "dir/run/h.sock");
	assert_string_equal(c->runtime_api.addr[1].host, "h2");
	assert_true(c->haproxy_poll == 500 * MSEC && c->haproxy_grace == SEC);
	assert_int_equal(c->log_level, LOG_WARNING);
	assert_int_equal(r->strategy, SLO_STRATEGY_PACK_LOAD);
	assert_int_equal(r->fallback, SLO_STRATEGY_RANDOM);
	assert_true(r->queue_timeout == 300 * SEC && r->drain_timeout == 0);
	assert_int_equal(r->queue_limit, 7);
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
	assert_true(l->lease_max_age == 172800 * SEC);
	config_free(c);
}

static void a_model_may_have_other_names(void **state)
{
	struct config *c =
	    parse(SPOP EVENTS
	          "\"models\":{\"m\":{\"aliases\":[\"m-*\",\"base:*\"],\"deployments\":{"
	          "\"x\":{\"servers\":[\"s\"]}}},\"n\":{\"aliases\":[],\"deployments\":{\"x\":{"
	          "\"servers\":[\"t\"]}}}}}");

	(void)state;
	assert_int_equal(c->models[0].alias_count, 2);
	assert_string_equal(c->models[0].aliases[0], "m-*");
	assert_string_equal(c->models[0].aliases[1], "base:*");
	assert_int_equal(c->models[1].alias_count, 0);
	config_free(c);
}

static void models_deployments_and_servers_keep_the_files_order(void **state)
{
	struct config *c = parse(
	    SPOP EVENTS
	    "\"models\":{\"z/\xc3\xa9 x\":{\"backend\":\"gpu\",\"strategy\":\"random\","
	    "\"tokens\":{\"weights\":\"llama3\"},"
	    "\"deployments\":{\"l20\":{\"servers\":[\"b\",\"a\"]},\"a10\":{\"servers\":[\"c\"]}}},"
	    "\"a\":{\"backend\":\"gpu\",\"deployments\":{\"x\":{\"servers\":[\"b\"]}}},"
	    "\"b\":{\"deployments\":{\"x\":{\"servers\":[\"b\"]}}}},"
	    "\"routing\":{\"strategy\":\"slo-least-load\",\"tokens\":{\"weights\":\"o200k\"}}}");
	const struct config_model *z = &c->models[0], *a = &c->models[1];

	(void)state;
	assert_int_equal(c->model_count, 3);
	assert_string_equal(z->name, "z/\xc3\xa9 x");
	assert_string_equal(z->backend, "gpu");
	assert_int_equal(z->strategy, SLO_STRATEGY_RANDOM);
	assert_string_equal(z->weights->name, "llama3");
	assert_int_equal(z->deployment_count, 2);
	assert_string_equal(z->deployments[0].name, "l20");
	assert_int_equal(z->deployments[0].server_count, 2);
	assert_string_equal(z->deployments[0].servers[0], "b");
	assert_string_equal(z->deployments[0].servers[1], "a");
	assert_string_equal(z->deployments[1].name, "a10");
	assert_string_equal(a->name, "a");
	assert_string_equal(a->backend, "gpu");
	/* Inherited, although routing comes later in the file. */
	assert_int_equal(a->strategy, SLO_STRATEGY_LEAST_LOAD);
	assert_string_equal(a->weights->name, "o200k");
	assert_string_equal(c->models[2].backend, "b");
	config_free(c);
}

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

static void a_file_is_loaded(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char want[256];
	struct config *c;

	write_file(d, PLUS("\"profiles\":{\"dir\":\"p\"}"),
	           strlen(PLUS("\"profiles\":{\"dir\":\"p\"}")));
	c = config_load(d->file, &err);
	assert_non_null(c);
	snprintf(want, sizeof(want), "%s/p", d->path);
	assert_string_equal(c->profile_dir, want);
	config_free(c);
}

static void an_error_in_a_file_names_it(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char line[512], want[512];

	write_file(d, "{\n  \"spob\": 1}", strlen("{\n  \"spob\": 1}"));
	assert_null(config_load(d->file, &err));
	assert_int_equal(err.line, 2);
	assert_int_equal(err.column, 3);
	assert_string_equal(err.key, "spob");
	doc_error_format(&err, line, sizeof(line));
	snprintf(want, sizeof(want), "%s:2:3: key \"spob\": unknown key (did you mean \"spop\"?)",
	         d->file);
	assert_string_equal(line, want);
}

static void an_unreadable_file_is_told_without_a_place(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char line[512], want[512];

	assert_null(config_load(d->file, &err));
	doc_error_format(&err, line, sizeof(line));
	snprintf(want, sizeof(want), "%s: cannot read: No such file or directory", d->file);
	assert_string_equal(line, want);
	assert_null(config_load(d->path, &err));
	doc_error_format(&err, line, sizeof(line));
	snprintf(want, sizeof(want), "%s: cannot read: Is a directory", d->path);
	assert_string_equal(line, want);
}

/* Opening one would wait for whoever writes to it. */
static void a_fifo_is_refused_at_once(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;

	assert_int_equal(mkfifo(d->file, 0600), 0);
	assert_null(config_load(d->file, &err));
	assert_string_equal(err.message, "cannot read: not a regular file");
	assert_int_equal(unlink(d->file), 0);
}

static void a_file_has_16_mib_at_most(void **state)
{
	const struct dir *d = *state;
	static struct doc_error err;
	char *text = malloc(CONFIG_FILE_MAX + 1);
	struct config *c;

	assert_non_null(text);
	memset(text, ' ', CONFIG_FILE_MAX + 1);
	memcpy(text, MINIMAL, sizeof(MINIMAL) - 1);
	write_file(d, text, CONFIG_FILE_MAX);
	c = config_load(d->file, &err);
	assert_non_null(c);
	config_free(c);
	write_file(d, text, CONFIG_FILE_MAX + 1);
	assert_null(config_load(d->file, &err));
	assert_string_equal(err.message, "cannot read: File too large");
	assert_int_equal(err.line, 0);
	free(text);
}

static void a_syntax_error_has_its_place(void **state)
{
	static const struct bad cases[] = {
		{ "", "f:1:1: '[' or '{' expected near end of file" },
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
		{ PLUS("\"log\":{\"format\":\"x\"}"), "f:5:8: key \"log.format\": unknown key" },
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

static void a_file_that_is_replaced_is_none_that_is_in_use(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"snapshot\":{\"file\":\"x\"},\"recorder\":{\"file\":\"x\"}"),
		  "f:5:44: key \"recorder.file\": is \"snapshot.file\" too" },
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

static void a_value_out_of_range_is_told_with_the_range(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"routing\":{\"queue_limit\":-1}"),
		  "f:5:26: key \"routing.queue_limit\": is -1, must be 0 to 10000000" },
		{ PLUS("\"routing\":{\"queue_timeout\":\"0\"}"),
		  "f:5:28: key \"routing.queue_timeout\": is 0, must be 1ms to 1d" },
		{ PLUS("\"routing\":{\"drain_timeout\":\"25h\"}"),
		  "f:5:28: key \"routing.drain_timeout\": is 25h, must be 0 to 1d" },
		{ PLUS("\"limits\":{\"idle_timeout\":-5}"),
		  "f:5:26: key \"limits.idle_timeout\": is -5ms, must be 0 to 1d" },
		{ PLUS("\"limits\":{\"id_length\":0}"),
		  "f:5:23: key \"limits.id_length\": is 0, must be 1 to 255" },
		{ PLUS("\"limits\":{\"id_length\":256}"),
		  "f:5:23: key \"limits.id_length\": is 256, must be 1 to 255" },
		{ PLUS("\"limits\":{\"spop_frame_size\":\"2m\"}"),
		  "f:5:29: key \"limits.spop_frame_size\": is 2m, must be 256 to 1m" },
		{ PLUS("\"limits\":{\"spop_frame_size\":\"512k\"}"),
		  "f:5:29: key \"limits.spop_frame_size\": an output_buffer of 262144 bytes cannot "
		  "hold a spop_frame_size of 524288 and 4 more" },
		{ PLUS("\"limits\":{\"spop_frame_size\":\"8k\",\n\"output_buffer\":\"8k\"}"),
		  "f:6:17: key \"limits.output_buffer\": an output_buffer of 8192 bytes cannot "
		  "hold a spop_frame_size of 8192 and 4 more" },
		{ PLUS("\"routing\":{\"seed\":-1}"),
		  "f:5:19: key \"routing.seed\": is -1, must be 0 to 9223372036854775807" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"x\",\"refresh\":\"99ms\"}}"),
		  "f:5:42: key \"profiles.redis.refresh\": is 99ms, must be 100ms to 1d" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"redis://:s3cret@h:0\"}}"),
		  "f:5:28: key \"profiles.redis.url\": has a port that is not 1 to 65535" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"redis://h\",\"trace\":1}}"),
		  "f:5:48: key \"profiles.redis.trace\": is a number, must be true or false" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"redis://h\",\"ca_file\":\"f\"}}"),
		  "f:5:40: key \"profiles.redis.ca_file\": needs an url with rediss://" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"rediss://h\",\"key_file\":\"f\"}}"),
		  "f:5:41: key \"profiles.redis.key_file\": needs a cert_file" },
		{ "{\"spop\":{\"listen\":[]}}",
		  "f:1:19: key \"spop.listen\": has 0 addresses, must have 1 to 16" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void a_grace_is_no_shorter_than_a_poll(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\"],\"grace\":\"999ms\"}"),
		  "f:5:42: key \"haproxy.grace\": is shorter than \"haproxy.poll\", which is "
		  "1000 ms" },
		{ PLUS("\"haproxy\":{\"grace\":0,\n\"poll\":\"50ms\",\"runtime_api\":[\"h:1\"]}"),
		  "f:5:20: key \"haproxy.grace\": is shorter than \"haproxy.poll\", which is "
		  "50 ms" },
	};
	struct config *c;

	(void)state;
	EXPECT_ERRORS(cases);
	c = parse(PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\"],\"poll\":\"2s\",\"grace\":\"2s\"}"));
	assert_true(c->haproxy_poll == 2 * SEC && c->haproxy_grace == 2 * SEC);
	config_free(c);
	c = parse(PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\"],\"poll\":\"5s\"}"));
	assert_true(c->haproxy_poll == 5 * SEC && c->haproxy_grace == 5 * SEC);
	config_free(c);
}

static void a_bad_time_or_size_is_told(void **state)
{
	static const char *const times[] = { "",
		                             "s",
		                             "5 s",
		                             "5S",
		                             "1h30m",
		                             "-5s",
		                             "1.5s",
		                             "5x",
		                             "9223372036854775808us",
		                             "9223372036854775807d",
		                             "0x5" };
	static const char *const sizes[] = {
		"", "k", "64kb", "1.5m", "-1", "9223372036854775807k"
	};
	char text[512], want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(text, sizeof(text), PLUS("\"routing\":{\"queue_timeout\":\"%s\"}"),
		         times[i]);
		snprintf(want, sizeof(want),
		         "f:5:28: key \"routing.queue_timeout\": is \"%s\", must be a time such as "
		         "\"500ms\", \"30s\", \"5m\" or \"2h\"",
		         times[i]);
		expect_error(text, want);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text), PLUS("\"limits\":{\"output_buffer\":\"%s\"}"),
		         sizes[i]);
		snprintf(want, sizeof(want),
		         "f:5:27: key \"limits.output_buffer\": is \"%s\", must be a size such as "
		         "\"16380\", \"64k\" or \"1m\"",
		         sizes[i]);
		expect_error(text, want);
	}
	expect_error(PLUS("\"limits\":{\"idle_timeout\":9223372036854775807}"),
	             "f:5:26: key \"limits.idle_timeout\": is too large for a time");
}

static void a_wrong_choice_is_told_with_the_right_ones(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"routing\":{\"strategy\":\"fast\"}"),
		  "f:5:23: key \"routing.strategy\": is \"fast\", must be slo, slo-least-load, "
		  "slo-least-load-pulling, slo-pack-load, least-request or random" },
		{ PLUS("\"routing\":{\"fallback\":\"slo\"}"),
		  "f:5:23: key \"routing.fallback\": is \"slo\", must be least-request or random" },
		{ PLUS("\"routing\":{\"late\":\"Serve\"}"),
		  "f:5:19: key \"routing.late\": is \"Serve\", must be serve, hold or reject" },
		{ PLUS("\"routing\":{\"infeasible\":\"x\"}"),
		  "f:5:25: key \"routing.infeasible\": is \"x\", must be reject or fallback" },
		{ PLUS("\"routing\":{\"predict\":\"p99\"}"),
		  "f:5:22: key \"routing.predict\": is \"p99\", must be sample, p50 or p90" },
		{ PLUS("\"routing\":{\"cold\":\"\\n\"}"),
		  "f:5:19: key \"routing.cold\": is \"?\", must be optimistic, input or max" },
		{ PLUS("\"log\":{\"level\":\"loud\"}"),
		  "f:5:16: key \"log.level\": is \"loud\", must be debug, info, notice, warning or "
		  "error" },
		{ PLUS("\"routing\":{\"tokens\":{\"weights\":\"gpt5\"}}"),
		  "f:5:32: key \"routing.tokens.weights\": is \"gpt5\", must be avg, cl100k, "
		  "o200k, "
		  "llama3, qwen2, dsv3 or llama2" },
		{ PLUS("\"routing\":{\"default_model\":\"M\"}"),
		  "f:5:28: key \"routing.default_model\": is \"M\", which is none of the models" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"aliases\":[\"\"]}}}",
		  "f:4:27: key \"models.m.aliases[0]\": is empty" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"aliases\":[7]}}}",
		  "f:4:27: key \"models.m.aliases[0]\": is a number, must be a string" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"strategy\":\"x\"}}}",
		  "f:4:27: key \"models.m.strategy\": is \"x\", must be slo, slo-least-load, "
		  "slo-least-load-pulling, slo-pack-load, least-request or random" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
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

static void a_bad_name_is_told(void **state)
{
	static const struct bad cases[] = {
		{ SPOP EVENTS "\"models\":{}}",
		  "f:4:10: key \"models\": is empty, must have a model" },
		{ SPOP EVENTS "\"models\":{\"\":{}}}",
		  "f:4:11: key \"models.\": the name is empty" },
		{ SPOP EVENTS "\"models\":{\"..\":{}}}",
		  "f:4:11: key \"models...\": a model cannot be named \".\" or \"..\"" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"backend\":\"a b\"}}}",
		  "f:4:26: key \"models.m.backend\": is \"a b\", must be letters, digits and "
		  "_ . : - only, as HAProxy's names" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"backend\":\"a/b\"}}}",
		  "f:4:26: key \"models.m.backend\": is \"a/b\", must be letters, digits and "
		  "_ . : - only, as HAProxy's names" },
		{ SPOP EVENTS "\"models\":{\"org/m\":{}}}",
		  "f:4:11: key \"models.org/m\": the model's name cannot be a backend's in "
		  "HAProxy, "
		  "so it needs \"backend\"" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"backend\":\"\"}}}",
		  "f:4:26: key \"models.m.backend\": is empty" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{}}}}",
		  "f:4:30: key \"models.m.deployments\": has 0 deployments, must have 1 to 32" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"\":{}}}}}",
		  "f:4:31: key \"models.m.deployments.\": the name is empty" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[]}}}}}",
		  "f:4:46: key \"models.m.deployments.d.servers\": is empty, must name a server" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"\"]}}}}}",
		  "f:4:47: key \"models.m.deployments.d.servers[0]\": is empty" },
		{ SPOP EVENTS
		  "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"\xc3\xa9\"]}}}}}",
		  "f:4:47: key \"models.m.deployments.d.servers[0]\": is \"\xc3\xa9\", must be "
		  "letters, digits and _ . : - only, as HAProxy's names" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void a_name_has_255_bytes_at_most(void **state)
{
	char name[257], text[1024];

	(void)state;
	memset(name, 'n', 256);
	name[256] = '\0';
	snprintf(text, sizeof(text),
	         SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"%s\"]}}}}}",
	         name);
	expect_error(text, "f:4:47: key \"models.m.deployments.d.servers[0]\": has 256 bytes, at "
	                   "most 255 are allowed");
	name[255] = '\0';
	snprintf(text, sizeof(text),
	         SPOP EVENTS
	         "\"models\":{\"%s\":{\"deployments\":{\"%s\":{\"servers\":[\"%s\"]}}}}}",
	         name, name, name);
	config_free(parse(text));
}

static void a_server_stands_only_once_in_a_model(void **state)
{
	(void)state;
	expect_error(
	    SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s\",\"t\"]},\n"
			"  \"e\":{\"servers\":[\"u\", \"s\"]}}}}}",
	    "f:5:24: key \"models.m.deployments.e.servers[1]\": server \"s\" is already in "
	    "this model");
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

#define HAPROXY "\"haproxy\":{\"runtime_api\":[\"unix:h.sock\"]}"

static void servers_may_be_patterns_or_left_out_with_a_runtime_api(void **state)
{
	struct config *c = parse(SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{"
	                                     "\"d\":{\"servers\":[\"s1\",\"l20-*\",\"[!ab]?\"]}}},"
	                                     "\"n\":{\"deployments\":{\"d\":{}}}}," HAPROXY "}");

	(void)state;
	assert_int_equal(c->models[0].deployments[0].server_count, 3);
	assert_false(config_is_pattern(c->models[0].deployments[0].servers[0]));
	assert_true(config_is_pattern(c->models[0].deployments[0].servers[1]));
	assert_true(config_is_pattern(c->models[0].deployments[0].servers[2]));
	assert_int_equal(c->models[1].deployments[0].server_count, 1);
	assert_string_equal(c->models[1].deployments[0].servers[0], "*");
	config_free(c);
}

static void a_pattern_is_refused_where_it_cannot_work(void **state)
{
	static const struct bad cases[] = {
		{ SPOP EVENTS
		  "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"l*\"]}}}}}",
		  "f:4:47: key \"models.m.deployments.d.servers[0]\": \"l*\" is a pattern, which "
		  "needs "
		  "\"haproxy.runtime_api\"" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{},\n\"e\":{\"servers\":["
		              "\"s\"]}}}}," HAPROXY "}",
		  "f:4:35: key \"models.m.deployments.d.servers\": is missing, and the model has "
		  "other "
		  "deployments" },
		{ SPOP EVENTS
		  "\"models\":{\"m\":{\"backend\":\"b*\",\"deployments\":{\"d\":{}}}}," HAPROXY "}",
		  "f:4:26: key \"models.m.backend\": is \"b*\", must be letters, digits and _ . : "
		  "- "
		  "only, as HAProxy's names" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"l*\", "
		              "\"l*\"]}}}}," HAPROXY "}",
		  "f:4:53: key \"models.m.deployments.d.servers[1]\": server \"l*\" is already in "
		  "this "
		  "model" },
		{ SPOP EVENTS
		  "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"l/*\"]}}}}," HAPROXY
		  "}",
		  "f:4:47: key \"models.m.deployments.d.servers[0]\": is \"l/*\", must be letters, "
		  "digits "
		  "and _ . : - only, as HAProxy's names" },
		{ PLUS("\"haproxy\":{\"poll\":\"1s\"}"),
		  "f:5:11: key \"haproxy.runtime_api\": is missing" },
		{ PLUS("\"haproxy\":{\"runtime_api\":[\"udp:h:1\"]}"),
		  "f:5:27: key \"haproxy.runtime_api[0]\": address \"udp:h:1\" is UDP, which only "
		  "events.listen can have" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_minimal_file_gets_every_default),
		cmocka_unit_test(a_model_has_limits_of_its_own_beside_those_of_routing),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(a_model_may_have_other_names),
		cmocka_unit_test(models_deployments_and_servers_keep_the_files_order),
		cmocka_unit_test(servers_may_be_patterns_or_left_out_with_a_runtime_api),
		cmocka_unit_test(a_pattern_is_refused_where_it_cannot_work),
		cmocka_unit_test(addresses_of_every_kind_are_read),
		cmocka_unit_test(paths_are_relative_to_the_file),
		cmocka_unit_test_setup_teardown(a_file_is_loaded, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_error_in_a_file_names_it, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_unreadable_file_is_told_without_a_place,
		                                make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_fifo_is_refused_at_once, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_file_has_16_mib_at_most, make_dir, remove_dir),
		cmocka_unit_test(a_syntax_error_has_its_place),
		cmocka_unit_test(an_unknown_key_is_told_with_what_may_have_been_meant),
		cmocka_unit_test(a_file_that_is_replaced_is_none_that_is_in_use),
		cmocka_unit_test(a_missing_key_is_told_where_its_object_begins),
		cmocka_unit_test(a_wrong_type_is_told_at_the_value),
		cmocka_unit_test(a_value_out_of_range_is_told_with_the_range),
		cmocka_unit_test(a_grace_is_no_shorter_than_a_poll),
		cmocka_unit_test(a_bad_time_or_size_is_told),
		cmocka_unit_test(a_wrong_choice_is_told_with_the_right_ones),
		cmocka_unit_test(a_bad_address_is_told_at_the_value),
		cmocka_unit_test(a_unix_path_fits_with_its_directory_or_is_refused),
		cmocka_unit_test(a_listener_has_16_addresses_at_most),
		cmocka_unit_test(a_bad_name_is_told),
		cmocka_unit_test(a_name_has_255_bytes_at_most),
		cmocka_unit_test(a_server_stands_only_once_in_a_model),
		cmocka_unit_test(escaped_and_long_keys_are_placed_and_cut),
		cmocka_unit_test(every_proper_prefix_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
