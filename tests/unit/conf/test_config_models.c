/* Models, deployments and servers of the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_case.h"

#define SEC SLO_NSEC_PER_SEC

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

static void promises_and_sources_are_read(void **state)
{
	struct config *c = parse(
	    SPOP EVENTS
	    "\"models\":{\"m\":{\"slo\":{\"ttft\":\"2s\",\"tpot\":\"50ms\",\"e2e\":\"9s\","
	    "\"percentile\":97.5},\"deployments\":{"
	    "\"d\":{\"profile\":\"learned\",\"kv_tokens\":120000,\"max_running\":8,\"servers\":["
	    "\"s1\"]},"
	    "\"e\":{\"profile\":\"given\",\"servers\":[\"s2\"]},\"f\":{\"servers\":[\"s3\"]}}},"
	    "\"n\":{\"slo\":{\"tpat\":\"500us\"},\"deployments\":{\"d\":{\"servers\":[\"s1\"]}}}},"
	    "\"profiles\":{\"dir\":\"p\",\"export\":{\"dir\":\"q\",\"every\":\"5s\"}}}");
	const struct config_model *m = &c->models[0];

	(void)state;
	assert_int_equal(m->promise.kind, GOAL_TPOT);
	assert_true(m->promise.per_token == 0.05 && m->promise.fixed == 2);
	assert_true(m->percentile == 97.5);
	assert_int_equal(m->deployments[0].source, FLEET_LEARNED);
	assert_int_equal(m->deployments[0].kv_tokens, 120000);
	assert_int_equal(m->deployments[0].max_running, 8);
	assert_int_equal(m->deployments[1].source, FLEET_GIVEN);
	assert_int_equal(m->deployments[2].source, FLEET_AUTO);
	assert_int_equal(m->deployments[2].kv_tokens, 0);
	assert_int_equal(m->deployments[2].max_running, 0);
	assert_int_equal(c->models[1].promise.kind, GOAL_TPAT);
	assert_true(c->models[1].promise.per_token == 0.0005 && c->models[1].percentile == 99);
	assert_string_equal(c->export.dir, "dir/q");
	assert_int_equal(c->export.every, 5 * SEC);
	config_free(c);
}

static void a_promise_that_is_none_is_refused(void **state)
{
#define SLO(x)                                                          \
	SPOP EVENTS "\"models\":{\"m\":{\"slo\":" x ",\"deployments\":" \
		    "{\"d\":{\"servers\":[\"s1\"]}}}}}"
#define DEPLOYMENT(x) \
	SPOP EVENTS "\"models\":{\"m\":{\"deployments\":{\"d\":{" x ",\"servers\":[\"s1\"]}}}}}"
	static const struct bad cases[] = {
		{ SLO("{}"),
		  "f:4:22: key \"models.m.slo\": promises nothing, must have ttft, tpot, "
		  "e2e or tpat" },
		{ SLO("{\"percentile\":99}"),
		  "f:4:22: key \"models.m.slo\": promises nothing, must have ttft, tpot, e2e or "
		  "tpat" },
		{ SLO("{\"e2e\":\"1s\",\"percentile\":101}"),
		  "f:4:47: key \"models.m.slo.percentile\": must be a number of percent, above 1 "
		  "and at most 100, such as 99" },
		{ SLO("{\"e2e\":\"1s\",\"percentile\":0.99}"),
		  "f:4:47: key \"models.m.slo.percentile\": must be a number of percent, above 1 "
		  "and at most 100, such as 99" },
		{ SLO("{\"E2E\":\"1s\"}"),
		  "f:4:23: key \"models.m.slo.E2E\": unknown key (did you mean \"e2e\"?)" },
		{ SLO("{\"e2e_ms\":\"1s\"}"),
		  "f:4:23: key \"models.m.slo.e2e_ms\": unknown key (did you mean \"e2e\"?)" },
		{ DEPLOYMENT("\"profile\":\"auto?\""),
		  "f:4:46: key \"models.m.deployments.d.profile\": is \"auto?\", must be auto, "
		  "given, learned or prior" },
		{ PLUS("\"profiles\":{\"dir\":\"p\",\"export\":{\"dir\":\"p\"}}"),
		  "f:5:39: key \"profiles.export.dir\": is \"profiles.dir\" too: what was learned "
		  "would be read as given" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
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
		cmocka_unit_test(models_deployments_and_servers_keep_the_files_order),
		cmocka_unit_test(promises_and_sources_are_read),
		cmocka_unit_test(a_promise_that_is_none_is_refused),
		cmocka_unit_test(a_model_may_have_other_names),
		cmocka_unit_test(a_model_has_limits_of_its_own_beside_those_of_routing),
		cmocka_unit_test(a_bad_name_is_told),
		cmocka_unit_test(a_name_has_255_bytes_at_most),
		cmocka_unit_test(a_server_stands_only_once_in_a_model),
		cmocka_unit_test(servers_may_be_patterns_or_left_out_with_a_runtime_api),
		cmocka_unit_test(a_pattern_is_refused_where_it_cannot_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
