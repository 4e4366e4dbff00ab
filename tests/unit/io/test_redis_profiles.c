#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/redis/redis_client.h"
#include "io/redis/redis_profiles.h"

#define MODEL(name, deployments) \
	"\"" name "\":{\"backend\":\"b\",\"deployments\":{" deployments "}}"
#define CONF(models)                                                                          \
	"{\"spop\":{\"listen\":[\"127.0.0.1:1\"]},\"events\":{\"listen\":[\"127.0.0.1:2\"]}," \
	"\"models\":{" models "}}"
#define D(name, server) "\"" name "\":{\"servers\":[\"" server "\"]}"

struct rig {
	struct ev_loop *loop;
	struct config *conf;
	struct log log;
	struct agent *agent;
	struct redis_profiles t;
};

static struct config *parse(const char *text)
{
	struct doc_error err;
	struct config *c = config_parse(text, strlen(text), "f", &err);

	assert_non_null(c);
	return c;
}

static int make(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->conf = parse(CONF(MODEL("a", D("b_c", "s1") "," D("l20", "s2")) "," MODEL(
	    "a_b", D("c", "s3") "," D("b_c", "s4")) "," MODEL("x/y", D("l20", "s5"))));
	r->loop = ev_loop_new(0);
	log_init(&r->log, LOG_CRIT, false);
	r->conf->log_level = LOG_CRIT;
	r->agent = agent_new(r->loop, &r->log, 1, NULL);
	assert_non_null(r->agent);
	assert_int_equal(agent_configure(r->agent, r->conf), SLO_OK);
	assert_int_equal(redis_profiles_build(&r->t, r->agent), SLO_OK);
	*state = r;
	return 0;
}

static int drop(void **state)
{
	struct rig *r = *state;

	redis_profiles_fini(&r->t);
	agent_free(r->agent);
	config_free(r->conf);
	ev_loop_destroy(r->loop);
	free(r);
	return 0;
}

static struct redis_entry *find(const struct rig *r, const char *key)
{
	return redis_profiles_find(&r->t, key, strlen(key));
}

static void value(struct rig *r, struct redis_entry *e, double created)
{
	char text[200];

	snprintf(text, sizeof(text),
	         "{\"tputs\":[[1]],\"indexes\":[[1],[1]],\"e2e\":[[1]],\"created\":%.17g}",
	         created);
	redis_profiles_value(r->agent, e, text, strlen(text));
}

static double created(const struct redis_entry *e)
{
	return e->deployment->profile ? profile_created(e->deployment->profile) : -1;
}

static void a_key_belongs_to_the_configured_pair_that_makes_it(void **state)
{
	static const struct {
		const char *key, *model, *deployment;
	} cases[] = {
		{ "aibrix:profile_a_l20", "a", "l20" },
		{ "aibrix:profile_a_b_b_c", "a_b", "b_c" },
		{ "aibrix:profile_x/y_l20", "x/y", "l20" },
		{ "aibrix:profile_a_b_c", "a", "b_c" }, /* a_b and c make it too, but come later */
	};
	static const char *const nobodys[] = { "",
		                               "aibrix:profile_",
		                               "aibrix:profile_a",
		                               "a_l20",
		                               "aibrix:profile_a_l20_",
		                               "aibrix:profile_a_l2",
		                               "AIBRIX:profile_a_l20" };
	struct rig *r = *state;

	assert_int_equal(r->t.count, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_entry *e = find(r, cases[i].key);

		assert_non_null(e);
		assert_string_equal(e->model->conf->name, cases[i].model);
		assert_string_equal(e->deployment->name, cases[i].deployment);
	}
	for (size_t i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++)
		assert_null(find(r, nobodys[i]));
	/* A key is bytes: none is cut at a NUL. */
	assert_null(redis_profiles_find(&r->t, "aibrix:profile_a_l20\0x", 22));
}

static void only_a_strictly_newer_value_replaces(void **state)
{
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	assert_false(redis_profiles_in_force(e));
	value(r, e, 5);
	assert_true(created(e) == 5 && redis_profiles_in_force(e));
	value(r, e, 4);
	assert_true(created(e) == 5 && redis_profiles_in_force(e) && !e->refused);
	redis_profiles_value(r->agent, e, "{", 1);
	assert_true(created(e) == 5 && redis_profiles_in_force(e) && e->refused);
	value(r, e, 6);
	assert_true(created(e) == 6 && redis_profiles_in_force(e) && !e->refused);
}

static void a_value_that_was_judged_is_not_looked_at_again(void **state)
{
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	value(r, e, 5);
	sched_profile_drop(r->agent->sched, e->deployment);
	value(r, e, 5);
	assert_true(created(e) == -1);
	value(r, e, 3);
	assert_true(created(e) == 3);
}

static void the_third_scan_in_a_row_without_its_key_drops_a_profile(void **state)
{
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	value(r, e, 5);
	redis_profiles_missed(r->agent, e);
	redis_profiles_missed(r->agent, e);
	e->missed = 0; /* seen again */
	redis_profiles_missed(r->agent, e);
	redis_profiles_missed(r->agent, e);
	assert_true(created(e) == 5);
	redis_profiles_missed(r->agent, e);
	assert_true(created(e) == -1);
	e->missed = 0;
	value(r, e, 1); /* older than before, but nothing is in force */
	assert_true(created(e) == 1);
}

static void a_profile_from_elsewhere_outlives_the_key(void **state)
{
	static const char newer[] =
	    "{\"tputs\":[[1]],\"indexes\":[[1],[1]],\"e2e\":[[1]],\"created\":7}";
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	value(r, e, 5);
	assert_int_equal(
	    agent_take_profile(r->agent, e->deployment, "a file", newer, sizeof(newer) - 1, false),
	    SLO_OK);
	assert_false(redis_profiles_in_force(e));
	for (int i = 0; i < 5; i++)
		redis_profiles_missed(r->agent, e);
	assert_true(created(e) == 7);
}

static void a_table_built_anew_knows_what_is_in_force(void **state)
{
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	value(r, e, 5);
	redis_profiles_missed(r->agent, e);
	value(r, find(r, "aibrix:profile_a_b_b_c"), 5);
	sched_profile_drop(r->agent->sched, find(r, "aibrix:profile_a_b_b_c")->deployment);
	assert_int_equal(redis_profiles_build(&r->t, r->agent), SLO_OK);
	e = find(r, "aibrix:profile_a_l20");
	assert_true(redis_profiles_in_force(e));
	assert_int_equal(e->missed, 1);
	e = find(r, "aibrix:profile_a_b_b_c"); /* it has none now, so the value counts again */
	assert_false(redis_profiles_in_force(e));
	value(r, e, 5);
	assert_true(created(e) == 5);
}

static const char *trouble(const struct rig *r, const struct redis_entry *e,
                           enum profile_trouble kind)
{
	const char *text = profile_trouble_of(&r->agent->profile_troubles, e->deployment, kind);

	return text ? text : "";
}

static void the_value_in_force_is_not_stale_when_it_comes_back(void **state)
{
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	value(r, e, 5);
	redis_profiles_missed(r->agent, e);
	value(r, e, 5);
	assert_string_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
	redis_profiles_refuse(r->agent, e, "no value");
	assert_string_not_equal(trouble(r, e, TROUBLE_REDIS_REFUSED), "");
	value(r, e, 5);
	assert_string_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
	assert_string_equal(trouble(r, e, TROUBLE_REDIS_REFUSED), "");
	redis_profiles_value(r->agent, e, "{", 1);
	value(r, e, 5);
	assert_string_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
	value(r, e, 4);
	assert_non_null(strstr(trouble(r, e, TROUBLE_REDIS_STALE), "profile_a_l20 has changed"));
	assert_int_equal(redis_profiles_build(&r->t, r->agent), SLO_OK); /* a reload */
	e = find(r, "aibrix:profile_a_l20");
	value(r, e, 4);
	assert_string_not_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
	value(r, e, 5);
	assert_string_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
}

static void a_stale_value_is_none_when_another_source_is_newer(void **state)
{
	static const char newer[] =
	    "{\"tputs\":[[1]],\"indexes\":[[1],[1]],\"e2e\":[[1]],\"created\":9}";
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");

	for (int corrected = 0; corrected < 2; corrected++) {
		sched_profile_drop(r->agent->sched, e->deployment);
		value(r, e, 5 + corrected);
		value(r, e, 4);
		assert_string_not_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
		assert_int_equal(agent_take_profile(r->agent, e->deployment, "a file", newer,
		                                    sizeof(newer) - 1, false),
		                 SLO_OK);
		value(r, e, corrected ? 7 : 4);
		assert_string_equal(trouble(r, e, TROUBLE_REDIS_STALE), "");
	}
}

static void without_redis_nothing_is_wrong_there(void **state)
{
	struct rig *r = *state;
	struct redis_entry *e = find(r, "aibrix:profile_a_l20");
	struct redis_client *c = redis_client_new(r->agent);

	assert_non_null(c);
	value(r, e, 5);
	value(r, e, 4);
	value(r, find(r, "aibrix:profile_a_b_b_c"), 5);
	redis_profiles_refuse(r->agent, find(r, "aibrix:profile_a_b_b_c"), "no value");
	redis_client_configure(c); /* profiles.redis is not set */
	assert_null(r->agent->profile_troubles.by_key);
	redis_client_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_belongs_to_the_configured_pair_that_makes_it),
		TEST(only_a_strictly_newer_value_replaces),
		TEST(a_value_that_was_judged_is_not_looked_at_again),
		TEST(the_third_scan_in_a_row_without_its_key_drops_a_profile),
		TEST(a_profile_from_elsewhere_outlives_the_key),
		TEST(a_table_built_anew_knows_what_is_in_force),
		TEST(the_value_in_force_is_not_stale_when_it_comes_back),
		TEST(a_stale_value_is_none_when_another_source_is_newer),
		TEST(without_redis_nothing_is_wrong_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
