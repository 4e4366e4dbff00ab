#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/file/scenario.h"

static char error[1024];

/* Parses from a copy of exact size. */
static slo_err parse_n(const char *text, size_t len, struct scenario_line *out)
{
	uint8_t *copy = exact(text, len);
	struct doc_error e = { .line = 0 };
	slo_err rc = scenario_parse((const char *)copy, len, out, &e);

	doc_error_format(&e, error, sizeof(error));
	free(copy); /* the line keeps nothing of it */
	return rc;
}

static void read_line(const char *text, struct scenario_line *out)
{
	if (parse_n(text, strlen(text), out) != SLO_OK)
		fail_msg("%s: %s", text, error);
}

/* The error message contains `why`. */
static void refused(const char *text, const char *why)
{
	struct scenario_line line;

	if (parse_n(text, strlen(text), &line) != SLO_EINVAL || !strstr(error, why))
		fail_msg("%s: \"%s\", not \"%s\"", text, error, why);
}

static void an_arrival_is_read_with_all_its_members(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"t\":0.35,\"arrive\":\"r1\",\"model\":\"m\",\"strategy\":\"slo\","
	          "\"input\":512,\"output\":64,\"created\":-3,\"slo_e2e_ms\":1500,"
	          "\"slo_ttft_ms\":0.5,\"slo_tpot_ms\":20,\"note\":[1]}\r\n",
	          &l);
	assert_int_equal(l.kind, SCENARIO_ARRIVE);
	assert_true(l.timed && l.t == 350000000);
	assert_string_equal(l.id, "r1");
	assert_string_equal(l.model, "m");
	assert_string_equal(l.strategy, "slo");
	assert_true(l.input == 512 && l.output == 64);
	assert_true(l.created == -3 * SLO_NSEC_PER_SEC);
	assert_true(l.own.e2e == 1500 * SLO_NSEC_PER_MSEC);
	assert_true(l.own.ttft == 500000);
	assert_true(l.own.tpot == 20 * SLO_NSEC_PER_MSEC);
	scenario_line_fini(&l);
}

static void what_other_agents_tell_is_read(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"t\":1,\"foreign\":\"r1\",\"owner\":\"b\",\"on\":\"s1\",\"model\":\"m\","
	          "\"load\":0.25,\"age_ms\":1.5,\"strategy\":\"slo\",\"input\":5,\"output\":6}",
	          &l);
	assert_int_equal(l.kind, SCENARIO_FOREIGN);
	assert_string_equal(l.id, "r1");
	assert_string_equal(l.owner, "b");
	assert_string_equal(l.server, "s1");
	assert_string_equal(l.model, "m");
	assert_string_equal(l.strategy, "slo");
	assert_true(l.load == 0.25 && l.age == 1500000 && l.input == 5 && l.output == 6);
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"done\":\"r1\",\"owner\":\"b\",\"on\":\"s2\"}", &l);
	assert_int_equal(l.kind, SCENARIO_DONE);
	assert_string_equal(l.owner, "b");
	assert_string_equal(l.server, "s2");
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"done\":\"r1\"}", &l);
	assert_true(!l.owner && !l.server);
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"others\":3}", &l);
	assert_true(l.kind == SCENARIO_OTHERS && l.timed && l.others == 3);
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"heard_ms\":1.5}", &l);
	assert_true(l.kind == SCENARIO_HEARD && l.timed && l.age == 1500000);
	scenario_line_fini(&l);
	refused("{\"heard_ms\":1}", "key \"t\": is missing");
	refused("{\"t\":1,\"others\":1.5}", "must be a whole number");
	refused("{\"t\":1,\"foreign\":\"r1\",\"on\":\"s1\",\"load\":0}",
	        "key \"owner\": is missing");
	refused("{\"t\":1,\"foreign\":\"r1\",\"owner\":\"b\",\"load\":0}",
	        "key \"on\": is missing");
	refused("{\"t\":1,\"foreign\":\"r1\",\"owner\":\"b\",\"on\":\"s1\"}", "load");
	refused("{\"t\":1,\"foreign\":\"r1\",\"owner\":\"b\",\"on\":\"s1\",\"load\":4097}", "load");
	refused("{\"foreign\":\"r1\",\"owner\":\"b\",\"on\":\"s1\",\"load\":1}",
	        "key \"t\": is missing");
}

static void what_an_arrival_leaves_out_has_a_default(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"t\":2,\"arrive\":\"r\",\"model\":\"m\",\"input\":0,\"output\":1.0,"
	          "\"created\":null}",
	          &l);
	assert_null(l.strategy);
	assert_true(l.created == l.t && l.t == 2 * SLO_NSEC_PER_SEC);
	assert_true(l.own.e2e == 0 && l.own.ttft == 0 && l.own.tpot == 0);
	assert_true(l.input == 0 && l.output == 1);
	scenario_line_fini(&l);
}

static void an_arrival_needs_time_id_model_and_tokens(void **state)
{
	(void)state;
	refused("{\"arrive\":\"r\",\"model\":\"m\",\"input\":1,\"output\":1}",
	        "key \"t\": is missing");
	refused("{\"t\":1,\"arrive\":\"\",\"model\":\"m\",\"input\":1,\"output\":1}", "arrive");
	refused("{\"t\":1,\"arrive\":7,\"model\":\"m\",\"input\":1,\"output\":1}", "arrive");
	refused("{\"t\":1,\"arrive\":\"r\",\"input\":1,\"output\":1}", "key \"model\": is missing");
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"output\":1}",
	        "key \"input\": is missing");
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":1}",
	        "key \"output\": is missing");
}

static void numbers_out_of_range_are_refused(void **state)
{
	(void)state;
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":-1,\"output\":1}", "input");
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":1.5,\"output\":1}", "input");
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":1,\"output\":1e30}", "output");
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":\"1\",\"output\":1}", "input");
	refused("{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":1,\"output\":1,"
	        "\"slo_e2e_ms\":-1}",
	        "slo_e2e_ms");
	refused("{\"t\":1e12,\"done\":\"r\"}", "key \"t\": is ");
	refused("{\"t\":\"1\",\"done\":\"r\"}", "key \"t\": is ");
	refused("{\"t\":NaN,\"done\":\"r\"}", "key \"t\": is missing");
}

static void an_id_is_at_most_as_long_as_the_wire_allows(void **state)
{
	struct scenario_line l;
	char text[400];

	(void)state;
	snprintf(text, sizeof(text), "{\"t\":1,\"done\":\"%0255d\"}", 0);
	read_line(text, &l);
	scenario_line_fini(&l);
	snprintf(text, sizeof(text), "{\"t\":1,\"cancel\":\"%0256d\"}", 0);
	refused(text, "has 256 bytes, at most 255");
}

static void ends_are_told_apart(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"t\":1,\"done\":\"r\"}", &l);
	assert_int_equal(l.kind, SCENARIO_DONE);
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"cancel\":\"r\"}", &l);
	assert_int_equal(l.kind, SCENARIO_CANCEL);
	assert_string_equal(l.id, "r");
	scenario_line_fini(&l);
}

static void a_server_is_introduced_or_changes(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"server\":\"s\",\"deployment\":\"d\",\"model\":\"m\"}", &l);
	assert_int_equal(l.kind, SCENARIO_SERVER);
	assert_int_equal(l.ready, SCENARIO_UNSET);
	assert_false(l.timed);
	assert_string_equal(l.deployment, "d");
	scenario_line_fini(&l);
	read_line("{\"t\":0,\"server\":\"s\",\"ready\":false}", &l);
	assert_int_equal(l.ready, SCENARIO_OFF);
	assert_null(l.deployment);
	scenario_line_fini(&l);
	read_line("{\"t\":0,\"server\":\"s\",\"ready\":true}", &l);
	assert_int_equal(l.ready, SCENARIO_ON);
	scenario_line_fini(&l);
	refused("{\"server\":\"s\",\"deployment\":\"d\"}", "key \"model\": is missing");
	refused("{\"server\":\"s\",\"model\":\"m\"}", "key \"deployment\": is missing");
	refused("{\"server\":\"s\",\"ready\":1}", "ready");
}

static void a_profile_names_its_deployment_or_is_named_by_its_gpu(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"profile\":{\"gpu\":\"a\",\"tputs\":[[2,NaN]],\"indexes\":[[64],[8,16]],"
	          "\"e2e\":[[1,Infinity]]},\"model\":\"m\"}",
	          &l);
	assert_int_equal(l.kind, SCENARIO_PROFILE);
	assert_string_equal(l.deployment, "a");
	assert_non_null(l.profile);
	assert_int_equal(l.profile->no_data, 2);
	assert_true(l.profile->tputs[0] == 2 && l.profile->tputs[1] == 0);
	scenario_line_fini(&l);
	read_line("{\"t\":3,\"profile\":{\"gpu\":\"a\",\"tputs\":[[2]],\"indexes\":[[64],[8]]},"
	          "\"model\":\"m\",\"deployment\":\"b\"}",
	          &l);
	assert_string_equal(l.deployment, "b");
	scenario_line_fini(&l);
	refused("{\"profile\":{\"tputs\":[[2]],\"indexes\":[[64],[8]]},\"model\":\"m\"}",
	        "key \"deployment\": is missing, and the profile has no gpu");
	refused("{\"profile\":{\"gpu\":\"a\",\"tputs\":[[2]],\"indexes\":[[64],[8]]}}", "model");
	refused("{\"profile\":{\"gpu\":\"a\",\"tputs\":[[-2]],\"indexes\":[[64],[8]]},"
	        "\"model\":\"m\"}",
	        "1:33: key \"profile.tputs[0][0]\": is -2");
	refused("{\"profile\":7,\"model\":\"m\"}", "profile");
}

static void a_refused_profile_text_is_a_good_line(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"t\":1,\"profile_text\":\"{\\\"tputs\\\":[[-1]],\\\"indexes\\\":"
	          "[[1],[1]]}\",\"model\":\"m\",\"deployment\":\"d\"}",
	          &l);
	assert_int_equal(l.kind, SCENARIO_PROFILE);
	assert_null(l.profile);
	assert_non_null(strstr(l.refused, "tputs[0][0]"));
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"profile_text\":\"{\",\"model\":\"m\",\"deployment\":\"d\"}", &l);
	assert_null(l.profile);
	assert_true(l.refused[0] != '\0');
	scenario_line_fini(&l);
	read_line("{\"t\":1,\"profile_text\":\"{\\\"tputs\\\":[[NaN]],\\\"indexes\\\":"
	          "[[1],[1]]}\",\"model\":\"m\",\"deployment\":\"d\"}",
	          &l);
	assert_non_null(l.profile);
	scenario_line_fini(&l);
}

static void a_config_changes_what_it_names(void **state)
{
	struct scenario_line l;

	(void)state;
	read_line("{\"config\":{}}", &l);
	assert_int_equal(l.kind, SCENARIO_CONFIG);
	assert_int_equal(l.config.late, SCENARIO_LATE_UNSET);
	assert_true(l.config.queue_limit == -1 && l.config.seed == -1 &&
	            l.config.queue_timeout == -1 && !l.config.queue_timeout_auto);
	scenario_line_fini(&l);
	read_line("{\"config\":{\"late\":\"reject\",\"infeasible\":\"reject\",\"fallback\":"
	          "\"random\",\"queue_limit\":0,\"queue_timeout_s\":0.5,\"seed\":9}}",
	          &l);
	assert_int_equal(l.config.late, SCENARIO_LATE_REJECT);
	assert_int_equal(l.config.infeasible_fallback, SCENARIO_OFF);
	assert_int_equal(l.config.fallback_random, SCENARIO_ON);
	assert_true(l.config.queue_limit == 0 && l.config.seed == 9);
	assert_true(l.config.queue_timeout == 500 * SLO_NSEC_PER_MSEC);
	scenario_line_fini(&l);
	read_line("{\"config\":{\"queue_timeout\":\"auto\",\"queue_timeout_max_s\":90}}", &l);
	assert_true(l.config.queue_timeout_auto && l.config.queue_timeout == -1);
	assert_true(l.config.queue_timeout_max == 90 * SLO_NSEC_PER_SEC);
	scenario_line_fini(&l);
	read_line("{\"config\":{\"late\":\"hold\"}}", &l);
	assert_int_equal(l.config.late, SCENARIO_LATE_HOLD);
	scenario_line_fini(&l);
	read_line("{\"config\":{\"late\":\"serve\"}}", &l);
	assert_int_equal(l.config.late, SCENARIO_LATE_SERVE);
	scenario_line_fini(&l);
	read_line(
	    "{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":1,\"output\":1,\"priority\":-7}",
	    &l);
	assert_int_equal(l.priority, -7);
	scenario_line_fini(&l);
	refused(
	    "{\"t\":1,\"arrive\":\"r\",\"model\":\"m\",\"input\":1,\"output\":1,\"priority\":1e10}",
	    "priority");
	refused("{\"config\":{\"late\":\"never\"}}", "late");
	refused("{\"config\":{\"late\":1}}", "late");
	refused("{\"config\":{\"queue_timeout\":5}}",
	        "must be \"auto\"; a time is \"queue_timeout_s\"");
	refused("{\"config\":{\"queue_timeout_sec\":5}}", "did you mean \"queue_timeout_s\"?");
	refused("{\"config\":{\"queue_timeout\":\"Auto\"}}", "queue_timeout");
	refused("{\"config\":{\"queue_timeout_max_s\":5}}", "is only for");
	refused("{\"config\":{\"queue_limit\":-5}}", "queue_limit");
	refused("{\"config\":[]}", "object");
}

static void lines_for_readers_and_tests_say_nothing(void **state)
{
	static const char *const texts[] = { "", "  \t\r\n", "{\"scenario\":\"x\",\"about\":\"y\"}",
		                             "{\"t\":0,\"expect\":\"r\",\"server\":\"s\"}",
		                             "{\"expect\":\"r\",\"queued_until\":null}" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct scenario_line l;

		read_line(texts[i], &l);
		assert_int_equal(l.kind, SCENARIO_NOTHING);
		scenario_line_fini(&l);
	}
}

static void a_line_says_exactly_one_thing(void **state)
{
	(void)state;
	refused("{}", "must have one of");
	refused("{\"t\":1,\"model\":\"m\"}", "must have one of");
	refused("{\"t\":1,\"done\":\"r\",\"cancel\":\"r\"}", "must have one of");
	refused("[1]", "is an array, must be an object");
	refused("\"arrive\"", "1:1: '[' or '{' expected");
	refused("{\"t\":1,\"done\":\"r\"} x", "1:20: end of file expected");
	refused("{\"t\":1,\"done\":\"r\\u0000s\"}", "\\u0000");
}

static void every_proper_prefix_is_refused(void **state)
{
	static const char text[] = "{\"profile\":{\"gpu\":\"a\",\"tputs\":[[2,NaN]],\"indexes\":"
				   "[[64],[8,16]],\"e2e\":[[1,-Infinity]]},\"model\":\"m\"}";
	struct scenario_line l;

	(void)state;
	for (size_t len = 1; len < sizeof(text) - 1; len++) {
		assert_int_equal(parse_n(text, len, &l), SLO_EINVAL);
		assert_true(error[0] != '\0');
	}
	assert_int_equal(parse_n(text, sizeof(text) - 1, &l), SLO_OK);
	scenario_line_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arrival_is_read_with_all_its_members),
		cmocka_unit_test(what_other_agents_tell_is_read),
		cmocka_unit_test(what_an_arrival_leaves_out_has_a_default),
		cmocka_unit_test(an_arrival_needs_time_id_model_and_tokens),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(an_id_is_at_most_as_long_as_the_wire_allows),
		cmocka_unit_test(ends_are_told_apart),
		cmocka_unit_test(a_server_is_introduced_or_changes),
		cmocka_unit_test(a_profile_names_its_deployment_or_is_named_by_its_gpu),
		cmocka_unit_test(a_refused_profile_text_is_a_good_line),
		cmocka_unit_test(a_config_changes_what_it_names),
		cmocka_unit_test(lines_for_readers_and_tests_say_nothing),
		cmocka_unit_test(a_line_says_exactly_one_thing),
		cmocka_unit_test(every_proper_prefix_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
