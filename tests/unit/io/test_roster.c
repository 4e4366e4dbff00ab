/* The servers of the configuration and those of HAProxy: who has a seat, who is used. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/agent/agent.h"

#define SPOP_EVENTS "\"spop\":{\"listen\":[\"h:1\"]},\"events\":{\"listen\":[\"h:2\"]},"
#define HAPROXY     "\"haproxy\":{\"runtime_api\":[\"h:3\"]},"

#define NAMED "{\"m\":{\"backend\":\"b\",\"deployments\":{\"a10\":{\"servers\":[\"a1\",\"a2\"]}}}}"
#define PATTERNS                                                                     \
	"{\"m\":{\"backend\":\"b\",\"deployments\":{"                                \
	"\"a10\":{\"servers\":[\"a1\",\"x7\",\"a*\"]},\"l20\":{\"servers\":[\"l*\"," \
	"\"?7\"]}}}}"
#define ALL "{\"m\":{\"backend\":\"b\",\"deployments\":{\"a10\":{}}}}"

struct rig {
	struct agent a;
	struct log log;
	struct config *conf;
};

static struct config *parse(const char *models, bool polled)
{
	char text[2000];
	struct doc_error err;
	struct config *c;

	snprintf(text, sizeof(text), "{" SPOP_EVENTS "%s\"models\":%s}", polled ? HAPROXY : "",
	         models);
	c = config_parse(text, strlen(text), "f", &err);
	if (!c)
		fail_msg("%s", err.message);
	return c;
}

static void check(struct rig *r)
{
	struct roster *f = &r->a.roster;

	sched_check(r->a.sched);
	for (struct roster_server *s = f->servers; s; s = s->hh.next) {
		bool usable =
		    s->state == SLO_SERVER_UP || (s->state == SLO_SERVER_UNTOLD && s->configured);

		assert_ptr_equal(roster_server(s->server), s);
		assert_int_equal(s->server->usable, usable);
		assert_true(s->server->seats || s->server->ledger.inflight > 0);
	}
}

static void configure(struct rig *r, const char *models, bool polled)
{
	struct config *conf = parse(models, polled);

	assert_int_equal(roster_configure(&r->a, conf), SLO_OK);
	assert_ptr_equal(r->a.conf, conf);
	config_free(r->conf);
	r->conf = conf;
	check(r);
}

static int make(void **state)
{
	struct sched_conf options = sched_conf_default();
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->log = (struct log){ .level = LOG_ERR, .fd = -1 };
	r->a.log = &r->log;
	r->a.sched = sched_new(&options);
	assert_non_null(r->a.sched);
	roster_init(&r->a.roster);
	*state = r;
	return 0;
}

static int drop(void **state)
{
	struct rig *r = *state;

	check(r);
	roster_fini(&r->a.roster);
	sched_free(r->a.sched);
	for (size_t i = 0; i < r->a.model_count; i++)
		free(r->a.models[i]);
	free(r->a.models);
	config_free(r->conf);
	free(r);
	return 0;
}

static struct roster_server *server(struct rig *r, const char *name)
{
	struct server *s = roster_find(&r->a, "b", name);

	return s ? roster_server(s) : NULL;
}

/* The deployment of model `name` that the server has its seat in, and "" without one. */
static const char *place_in(struct rig *r, const char *name, const char *model)
{
	const struct roster_server *s = server(r, name);
	const struct sched_model *m = sched_model_find(r->a.sched, model, strlen(model));
	const struct seat *seat = s && m ? sched_seat_find(m, s->server) : NULL;

	return seat ? seat->deployment->name : "";
}

static const char *place(struct rig *r, const char *name)
{
	return place_in(r, name, "m");
}

static bool used(struct rig *r, const char *name)
{
	return server(r, name) && server(r, name)->server->usable;
}

/* A view of rows such as "a1 up", with `complete`. */
static void view(struct rig *r, bool complete, const char *const *names,
                 enum slo_server_state state)
{
	roster_view_begin(&r->a, 1);
	for (; *names; names++)
		roster_server_seen(&r->a, 1, "b", *names, state);
	roster_view_end(&r->a, 2, complete);
	check(r);
}
#define VIEW(r, complete, state, ...) \
	view(r, complete, (const char *const[]){ __VA_ARGS__, NULL }, state)

static void told(struct rig *r, const char *name, enum slo_server_state state)
{
	roster_server_told(&r->a, 1, (struct slice){ (const uint8_t *)"b", 1 },
	                   (struct slice){ (const uint8_t *)name, strlen(name) }, state);
	check(r);
}

/* A request on a server of m, by the fewest in flight. */
static struct server *submit(struct rig *r, const char *id)
{
	struct sched_request req = {
		.id = id,
		.id_len = strlen(id),
		.model = sched_model_find(r->a.sched, "m", 1),
		.strategy = SLO_STRATEGY_LEAST_REQUEST,
		.output = 1,
		.max_output = -1,
	};
	struct sched_action act;

	assert_int_equal(sched_submit(r->a.sched, 0, &req, NULL), SLO_OK);
	assert_true(sched_step(r->a.sched, 0, &act));
	return act.seat ? act.seat->server : NULL;
}

static void end(struct rig *r, const char *id)
{
	struct sched_outcome outcome = {
		.outcome = LESSON_ANSWERED, .input = -1, .output = -1, .bytes = -1
	};
	struct sched_end e;

	sched_end(r->a.sched, 0, id, strlen(id), &outcome, &e);
	assert_non_null(e.server);
	roster_server_idle(&r->a, e.server);
	check(r);
}

static void configured_servers_are_used_until_haproxy_says_otherwise(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	assert_true(used(r, "a1") && used(r, "a2"));
	VIEW(r, false, SLO_SERVER_DOWN, "a1");
	assert_false(used(r, "a1"));
	assert_true(used(r, "a2"));
	VIEW(r, true, SLO_SERVER_UP, "a1");
	assert_true(used(r, "a1"));
	assert_false(used(r, "a2"));
	assert_int_equal(server(r, "a2")->state, SLO_SERVER_ABSENT);
	assert_string_equal(place(r, "a2"), "a10");
	VIEW(r, true, SLO_SERVER_UP, "a1", "a2");
	assert_true(used(r, "a2"));
}

static void a_view_that_does_not_name_the_backend_says_nothing_of_it(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	roster_view_begin(&r->a, 1);
	roster_server_seen(&r->a, 1, "other", "a1", SLO_SERVER_DOWN);
	roster_view_end(&r->a, 1, true);
	check(r);
	assert_true(used(r, "a1") && used(r, "a2"));
	assert_null(roster_find(&r->a, "other", "a1"));
}

static void one_process_that_says_up_is_enough(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	roster_view_begin(&r->a, 1);
	roster_server_seen(&r->a, 1, "b", "a1", SLO_SERVER_DOWN);
	assert_true(used(r, "a1"));
	roster_server_seen(&r->a, 1, "b", "a2", SLO_SERVER_UP);
	roster_server_seen(&r->a, 1, "b", "a1", SLO_SERVER_UP);
	roster_server_seen(&r->a, 1, "b", "a2", SLO_SERVER_MAINT);
	roster_view_end(&r->a, 1, true);
	assert_true(used(r, "a1") && used(r, "a2"));
}

static void a_pushed_message_acts_at_once_and_until_a_later_view(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	told(r, "a1", SLO_SERVER_DOWN);
	assert_false(used(r, "a1"));
	/* This view may have been read before. */
	roster_view_begin(&r->a, 1);
	roster_server_seen(&r->a, 1, "b", "a2", SLO_SERVER_UP);
	told(r, "a2", SLO_SERVER_DRAIN);
	roster_server_seen(&r->a, 1, "b", "a2", SLO_SERVER_UP);
	roster_view_end(&r->a, 1, false);
	assert_false(used(r, "a1"));
	assert_false(used(r, "a2"));
	VIEW(r, true, SLO_SERVER_UP, "a1", "a2");
	assert_true(used(r, "a1") && used(r, "a2"));
}

/* One notice for every poll: views that begin later win all the same, and soon it is not heard. */
static void a_forged_notice_does_not_outlive_the_next_view(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	VIEW(r, true, SLO_SERVER_UP, "a1", "a2");
	told(r, "a1", SLO_SERVER_DOWN);
	assert_false(used(r, "a1"));
	roster_view_begin(&r->a, 1);
	told(r, "a1", SLO_SERVER_DOWN); /* again: it does not win this view */
	roster_server_seen(&r->a, 1, "b", "a1", SLO_SERVER_UP);
	assert_true(used(r, "a1"));
	told(r, "a1", SLO_SERVER_DOWN);
	told(r, "a2", SLO_SERVER_DRAIN); /* this server's notices are still believed */
	roster_server_seen(&r->a, 1, "b", "a2", SLO_SERVER_DRAIN);
	roster_view_end(&r->a, 2, true);
	assert_true(used(r, "a1"));
	assert_false(used(r, "a2"));
	assert_int_equal(r->a.stats.notices_ignored, 1);
	roster_server_told(&r->a, 1 + ROSTER_DOUBT, (struct slice){ (const uint8_t *)"b", 1 },
	                   (struct slice){ (const uint8_t *)"a1", 2 }, SLO_SERVER_DOWN);
	assert_false(used(r, "a1"));
}

/* The other way round: a server that is DOWN is not kept in use by who says UP. */
static void nor_does_a_forged_up(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	VIEW(r, true, SLO_SERVER_DOWN, "a1", "a2");
	told(r, "a1", SLO_SERVER_UP);
	assert_true(used(r, "a1"));
	roster_view_begin(&r->a, 1);
	roster_server_seen(&r->a, 1, "b", "a1", SLO_SERVER_DOWN);
	told(r, "a1", SLO_SERVER_UP);
	roster_view_end(&r->a, 2, true);
	assert_false(used(r, "a1"));
	/* One that no view names at all. */
	told(r, "a2", SLO_SERVER_UP);
	VIEW(r, true, SLO_SERVER_DOWN, "a1");
	assert_int_equal(server(r, "a2")->state, SLO_SERVER_ABSENT);
	told(r, "a2", SLO_SERVER_UP);
	assert_false(used(r, "a2"));
}

static void names_that_haproxy_cannot_have_are_nobodys(void **state)
{
	static const char *const bad[] = {
		"", "l20-0\n", "a\x1b[2J", "a b", "a/b", "a\"b", "\xff"
	};
	struct rig *r = *state;

	configure(r, ALL, true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		VIEW(r, true, SLO_SERVER_UP, bad[i]);
		assert_null(r->a.roster.servers);
	}
	/* Where polls follow, a notice makes no server known: the next view does. */
	told(r, "s1", SLO_SERVER_UP);
	assert_null(server(r, "s1"));
	VIEW(r, true, SLO_SERVER_UP, "s1");
	assert_true(used(r, "s1"));
}

static void without_a_runtime_api_messages_count_too(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, false);
	told(r, "a1", SLO_SERVER_MAINT);
	assert_false(used(r, "a1"));
	told(r, "a9", SLO_SERVER_UP);
	assert_null(server(r, "a9"));
	told(r, "a1", SLO_SERVER_UP);
	assert_true(used(r, "a1"));
}

static void a_process_that_stops_takes_its_word_along(void **state)
{
	struct rig *r = *state;
	const struct slice b = { (const uint8_t *)"b", 1 }, other = { (const uint8_t *)"o", 1 };

	configure(r, NAMED, false);
	told(r, "a1", SLO_SERVER_DOWN);
	roster_backend_stopped(&r->a, 0, other);
	assert_false(used(r, "a1"));
	roster_backend_stopped(&r->a, 0, b);
	assert_true(used(r, "a1") && used(r, "a2"));
	configure(r, NAMED, true); /* with polls the next one tells */
	told(r, "a1", SLO_SERVER_DOWN);
	roster_backend_stopped(&r->a, 0, b);
	assert_false(used(r, "a1"));
}

static void a_name_goes_before_a_pattern_and_the_first_pattern_before_the_others(void **state)
{
	struct rig *r = *state;

	configure(r, PATTERNS, true);
	assert_string_equal(place(r, "x7"), "a10");
	assert_null(server(r, "a2"));
	VIEW(r, true, SLO_SERVER_UP, "a1", "x7", "a2", "a7", "l1", "z7", "z8");
	assert_string_equal(place(r, "x7"), "a10");
	assert_string_equal(place(r, "a2"), "a10");
	assert_string_equal(place(r, "a7"), "a10");
	assert_string_equal(place(r, "l1"), "l20");
	assert_string_equal(place(r, "z7"), "l20");
	assert_null(server(r, "z8"));
	assert_true(used(r, "l1") && !server(r, "l1")->configured);
}

static void a_pattern_born_server_comes_and_goes_with_haproxys(void **state)
{
	struct rig *r = *state;

	configure(r, ALL, true);
	assert_null(submit(r, "early"));
	VIEW(r, true, SLO_SERVER_DOWN, "s1");
	assert_string_equal(place(r, "s1"), "a10");
	assert_null(submit(r, "early2"));
	VIEW(r, true, SLO_SERVER_UP, "s1");
	assert_ptr_equal(submit(r, "q1"), server(r, "s1")->server);
	VIEW(r, false, SLO_SERVER_UP, "s2");
	assert_ptr_equal(submit(r, "q2"), server(r, "s2")->server);
	/* Half a view takes nothing away. */
	VIEW(r, false, SLO_SERVER_UP, "s2");
	assert_true(used(r, "s1"));
	VIEW(r, true, SLO_SERVER_UP, "s2");
	assert_string_equal(place(r, "s1"), "");
	assert_true(roster_is_leaving(server(r, "s1")));
	/* It comes back with what runs on it. */
	VIEW(r, true, SLO_SERVER_UP, "s1", "s2");
	assert_string_equal(place(r, "s1"), "a10");
	assert_int_equal(server(r, "s1")->server->ledger.inflight, 1);
	VIEW(r, true, SLO_SERVER_UP, "s2");
	end(r, "q1");
	assert_null(server(r, "s1"));
	end(r, "q2");
}

static void a_reload_keeps_moves_and_takes_servers(void **state)
{
	static const char after[] =
	    "{\"m\":{\"backend\":\"b\",\"deployments\":{\"l20\":{\"servers\":[\"a2\",\"l1\"]}}},"
	    "\"n\":{\"backend\":\"b\",\"deployments\":{\"x\":{\"servers\":[\"a2\"]}}}}";
	struct rig *r = *state;
	struct agent_model *m;
	struct roster_server *a2;

	configure(r, NAMED, true);
	m = r->a.models[0];
	m->stats.decisions.requests[0][0][0] = 7;
	a2 = server(r, "a2");
	submit(r, "q1");
	submit(r, "q2");
	configure(r, after, true);
	assert_int_equal(r->a.model_count, 2);
	assert_ptr_equal(r->a.models[0], m);
	assert_int_equal(m->stats.decisions.requests[0][0][0], 7);
	assert_ptr_equal(server(r, "a2"), a2);
	assert_string_equal(place(r, "a2"), "l20");
	assert_string_equal(place_in(r, "a2", "n"), "x");
	assert_int_equal(a2->server->ledger.inflight, 1);
	assert_true(roster_is_leaving(server(r, "a1")));
	assert_string_equal(place(r, "l1"), "l20");
	assert_int_equal(m->sched->pool.deployments, 1);
	end(r, "q1");
	end(r, "q2");
	assert_null(server(r, "a1"));
	configure(r, NAMED, true);
	assert_int_equal(r->a.model_count, 1);
	assert_string_equal(place(r, "a1"), "a10");
	assert_null(server(r, "l1"));
}

static void a_reload_takes_the_order_of_the_file(void **state)
{
	static const char turned[] = "{\"m\":{\"backend\":\"b\",\"deployments\":{"
				     "\"z\":{\"servers\":[\"z1\"]},"
				     "\"a10\":{\"servers\":[\"a2\",\"a*\",\"a1\"]}}}}";
	struct rig *r = *state;
	const struct pool *pool;
	const struct seat *seat;

	configure(r, NAMED, true);
	configure(r, turned, true);
	VIEW(r, false, SLO_SERVER_UP, "a3");
	configure(r, turned, true);
	pool = &r->a.models[0]->sched->pool;
	assert_string_equal(pool->deployment[0]->name, "z");
	seat = pool->deployment[1]->seats;
	assert_string_equal(seat->server->name, "a2");
	assert_string_equal(seat->next->server->name, "a1");
	assert_string_equal(seat->next->next->server->name, "a3");
	/* Another file: the pattern stands where it is written. */
	configure(r, NAMED, true);
	configure(r, turned, true);
	VIEW(r, false, SLO_SERVER_UP, "a3");
	configure(r,
	          "{\"m\":{\"backend\":\"b\",\"deployments\":{"
	          "\"a10\":{\"servers\":[\"a2\",\"a*\",\"a1\"]}}}}",
	          true);
	seat = pool->deployment[0]->seats;
	assert_string_equal(seat->next->server->name, "a3");
	assert_string_equal(seat->next->next->server->name, "a1");
	assert_null(seat->next->next->next);
}

static void a_name_that_becomes_a_pattern_needs_haproxys_word(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	VIEW(r, false, SLO_SERVER_UP, "a1");
	configure(r, ALL, true);
	assert_string_equal(place(r, "a1"), "a10");
	assert_null(server(r, "a2"));
	assert_true(used(r, "a1"));
}

static void another_backend_means_other_servers(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	submit(r, "q1");
	configure(r, "{\"m\":{\"backend\":\"c\",\"deployments\":{\"a10\":{\"servers\":[\"a1\"]}}}}",
	          true);
	assert_non_null(roster_find(&r->a, "c", "a1"));
	assert_int_equal(roster_find(&r->a, "c", "a1")->ledger.inflight, 0);
	assert_true(roster_is_leaving(server(r, "a1")));
	end(r, "q1");
	assert_null(server(r, "a1"));
}

static void without_polls_to_come_what_they_said_is_void(void **state)
{
	struct rig *r = *state;

	configure(r, NAMED, true);
	VIEW(r, true, SLO_SERVER_DOWN, "a1");
	assert_false(used(r, "a1") || used(r, "a2"));
	configure(r, NAMED, false);
	assert_true(used(r, "a1") && used(r, "a2"));
	/* Nor does a notice outlive a reload then: nobody would correct a forged one. */
	told(r, "a1", SLO_SERVER_DOWN);
	assert_false(used(r, "a1"));
	configure(r, NAMED, false);
	assert_true(used(r, "a1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(configured_servers_are_used_until_haproxy_says_otherwise),
		TEST(a_view_that_does_not_name_the_backend_says_nothing_of_it),
		TEST(one_process_that_says_up_is_enough),
		TEST(a_pushed_message_acts_at_once_and_until_a_later_view),
		TEST(a_forged_notice_does_not_outlive_the_next_view),
		TEST(nor_does_a_forged_up),
		TEST(names_that_haproxy_cannot_have_are_nobodys),
		TEST(without_a_runtime_api_messages_count_too),
		TEST(a_process_that_stops_takes_its_word_along),
		TEST(a_name_goes_before_a_pattern_and_the_first_pattern_before_the_others),
		TEST(a_pattern_born_server_comes_and_goes_with_haproxys),
		TEST(a_reload_keeps_moves_and_takes_servers),
		TEST(a_reload_takes_the_order_of_the_file),
		TEST(a_name_that_becomes_a_pattern_needs_haproxys_word),
		TEST(another_backend_means_other_servers),
		TEST(without_polls_to_come_what_they_said_is_void),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
