/* What is kept of decisions: each state, what overwrites what, and names that outlive their
 * servers. Each of two servers holds one request; of idle ones the last, s2, is chosen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include <jansson.h>

#include "inproc.h"
#include "io/agent/ends.h"
#include "io/agent/explain.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

struct fixture {
	struct inproc p;
	struct request *request; /* that was asked last, while it waits */
	struct answer answer;    /* the last one */
};

static struct fixture *present; /* whom deliver() tells */

static void deliver(void *user, const struct answer *answer, slo_nsec now)
{
	(void)user;
	(void)now;
	present->answer = *answer;
}

static int make(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	inproc_open(&f.p);
	inproc_write_conf(&f.p, ",\"queue_timeout\":\"10s\"", "",
	                  ",\"decisions\":{\"keep\":4},\"log\":{\"decisions\":true}");
	inproc_start(&f.p);
	f.p.agent->deliver = deliver;
	present = &f;
	*state = &f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	inproc_stop(&f->p);
	inproc_close(&f->p);
	return 0;
}

static struct slice bytes(const char *text)
{
	return (struct slice){ (const uint8_t *)text, text ? strlen(text) : 0 };
}

static const char *strategy; /* that requests ask for */

static void ask_of(struct fixture *f, const char *id, const char *model, const char *trace)
{
	static struct asker asker; /* one that waits at most */
	struct route_msg msg = { .found = true,
		                 .id = bytes(id),
		                 .model = bytes(model),
		                 .trace = bytes(trace),
		                 .strategy = bytes(strategy),
		                 .prompt_tokens = 20,
		                 .max_tokens = 30,
		                 .slo_e2e_ms = -1,
		                 .slo_ttft_ms = -1,
		                 .slo_tpot_ms = -1 };
	struct answer answer;

	if (!agent_route(f->p.agent, inproc_clock, &msg, &asker, &answer, &f->request))
		agent_pump(f->p.agent, inproc_clock);
	else
		f->answer = answer;
}

static void ask(struct fixture *f, const char *id)
{
	ask_of(f, id, "m", NULL);
}

static void end(struct fixture *f, const char *id, const char *rest)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "slo1 id=%s be=b %s", id, rest);

	assert_true(
	    ends_line(f->p.agent, inproc_clock, (const uint8_t *)line, (size_t)len, true, "test"));
	agent_pump(f->p.agent, inproc_clock);
}

static const struct decision *find(struct fixture *f, const char *id)
{
	return decisions_find(f->p.agent, bytes(id));
}

static const struct decision *found(struct fixture *f, const char *id)
{
	const struct decision *d = find(f, id);

	assert_non_null(d);
	assert_memory_equal(d->id, id, d->id_len);
	return d;
}

static void assert_why(struct fixture *f, const struct decision *d, const char *part)
{
	char why[EXPLAIN_MAX];

	explain_why(f->p.agent, d, why);
	if (!strstr(why, part))
		fail_msg("\"%s\" is not in \"%s\"", part, why);
}

static void a_placed_request_is_kept_with_all_that_decided_it(void **state)
{
	struct fixture *f = *state;
	const struct decision *d;
	char trace[DECISION_TRACE_LEN + 1];

	ask_of(f, "r1", "m", TRACE);
	d = found(f, "r1");
	assert_int_equal(d->state, DECISION_RUNS);
	assert_int_equal(d->verdict, SLO_ROUTE);
	assert_string_equal(d->model->name, "m");
	assert_string_equal(d->server->name, "b/s2");
	assert_string_equal(explain_server(d->server), "s2");
	assert_int_equal(d->input, 20);
	assert_int_equal(d->inflight, 0);
	assert_int_equal(d->load, DECISION_LOAD_ONE);
	assert_int_equal(d->options, 1);
	assert_string_equal(d->option[0].deployment->name, "d");
	assert_int_equal(decision_mark(d, 0), WHY_CHOSEN);
	explain_trace(d, trace);
	assert_string_equal(trace, TRACE);
	assert_why(f, d, "slo chose s2. d (1e+06 s of slack) is the one with room");
	inproc_clock += SLO_NSEC_PER_SEC;
	end(f, "r1", "srv=s2 st=200 tr=5 ta=900 ts=-- in=21 out=29 tf=100");
	assert_int_equal(d->state, DECISION_ENDED);
	assert_int_equal(d->status, 200);
	assert_int_equal(d->e2e_ms, 900);
	assert_int_equal(d->real_input, 21);
	assert_int_equal(d->real_output, 29);
	assert_true(d->judged && d->missed == 0 && d->by == d->server);
	assert_why(f, d, "It met its target.");
	assert_false(decision_is_lost(f->p.agent, d));
}

static void a_client_that_left_is_told(void **state)
{
	static const char *const seen[] = { "CD", "cD", "--", "SD" };
	static const char *const id[] = { "r1", "r2", "r3", "r4" };
	struct fixture *f = *state;
	char line[64], why[EXPLAIN_MAX];

	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
		ask(f, id[i]);
		snprintf(line, sizeof(line), "srv=s2 st=200 tr=5 ta=900 ts=%s in=21 out=2 tf=100",
		         seen[i]);
		end(f, id[i], line);
		explain_why(f->p.agent, found(f, id[i]), why);
		if ((strstr(why, "Its client left before the answer was whole.") != NULL) !=
		    (i < 2))
			fail_msg("of %s: \"%s\"", seen[i], why);
	}
}

static void what_foresaw_that_a_target_cannot_be_met_is_told(void **state)
{
	struct fixture *f = *state;
	struct agent_model *m = f->p.agent->models[0];

	for (int given = 0; given < 2; given++) {
		const char *id = given ? "r2" : "r1";
		struct decision d;

		assert_int_equal(sched_source_set(f->p.agent->sched, m->sched->pool.deployment[0],
		                                  given ? FLEET_GIVEN : FLEET_PRIOR, 0),
		                 SLO_OK);
		ask(f, id);
		d = *found(f, id);
		d.chosen = WHY_NONE;
		d.infeasible = 1;
		assert_why(f, &d,
		           given ? "cannot meet the target by its profile."
		                 : "cannot meet the target by its learned times.");
		end(f, id, "srv=s2 st=200 tr=5 ta=900 ts=--");
	}
}

static void of_what_slo_adaptive_chose_no_slack_is_told(void **state)
{
	struct fixture *f = *state;
	const struct decision *d;

	strategy = "slo-adaptive";
	ask(f, "r1");
	strategy = NULL;
	d = found(f, "r1");
	assert_int_equal(d->strategy, SLO_STRATEGY_ADAPTIVE);
	assert_true(isnan(explain_slack(d, 0)) && explain_expected(d, 0) < 0);
	assert_why(f, d, " chose s1. d adds the least lateness to all. s1 had 0 requests");
	ask(f, "r2");
	assert_true(explain_slack(found(f, "r2"), 0) > 0);
}

static void whoever_waits_is_explained_and_is_one_record_in_the_end(void **state)
{
	struct fixture *f = *state;
	struct explain_before before;
	struct decision waits;

	ask(f, "a");
	ask(f, "b");
	ask(f, "c");
	assert_null(find(f, "c"));
	inproc_clock += 2 * SLO_NSEC_PER_SEC;
	decision_of_waiting(f->p.agent, inproc_clock, f->request, &waits);
	assert_int_equal(waits.state, DECISION_WAITS);
	assert_int_equal(decision_mark(&waits, 0), WHY_FULL);
	assert_why(f, &waits, "It waits for room; 1 of its model wait in all. d ");
	assert_why(f, &waits, "has no room for 1: its emptiest server is at 1.");
	end(f, "a", "srv=s2 st=200 ta=2000 ts=-- ");
	assert_int_equal(found(f, "c")->state, DECISION_RUNS);
	assert_int_equal(found(f, "c")->answered - found(f, "c")->arrived, 2 * SLO_NSEC_PER_SEC);
	assert_why(f, found(f, "c"), "It was held for 2 s.");
	explain_before(f->p.agent, found(f, "c"), &before);
	assert_int_equal(before.count, 2); /* a and b came at the same moment */
	assert_memory_equal(before.first[0]->id, "b", 1);
}

static void refusals_say_what_was_full(void **state)
{
	struct fixture *f = *state;

	ask(f, "a");
	ask(f, "b");
	ask(f, "c");
	inproc_clock += 10 * SLO_NSEC_PER_SEC;
	agent_pump(f->p.agent, inproc_clock);
	assert_int_equal(f->answer.reason, SLO_REASON_QUEUE_TIMEOUT);
	assert_int_equal(found(f, "c")->state, DECISION_REFUSED);
	assert_int_equal(decision_mark(found(f, "c"), 0), WHY_FULL);
	assert_why(f, found(f, "c"), "No server had room within routing.queue_timeout.");
	end(f, "c", "srv=- st=429 ta=10001 ts=LR");
	assert_int_equal(found(f, "c")->state, DECISION_REFUSED);
	assert_int_equal(found(f, "c")->status, 429);
}

static void what_is_passed_keeps_the_name_that_was_asked_for(void **state)
{
	struct fixture *f = *state;
	const struct decision *d;

	ask_of(f, "p", "nobody's", TRACE);
	d = found(f, "p");
	assert_int_equal(d->state, DECISION_PASSED);
	assert_int_equal(d->reason, SLO_REASON_UNKNOWN_MODEL);
	assert_memory_equal(d->asked_name, "nobody's", d->asked_len);
	assert_why(f, d, "Its model is not configured.");
	/* HAProxy balanced: where it went is told by its end line. */
	end(f, "p", "srv=s1 st=200 ta=77 ts=--");
	assert_string_equal(d->by->name, "b/s1");
	assert_int_equal(d->e2e_ms, 77);
}

static void who_left_is_kept_too(void **state)
{
	struct fixture *f = *state;

	ask(f, "a");
	ask(f, "b");
	ask(f, "c");
	agent_abandon(f->p.agent, inproc_clock, f->request);
	assert_int_equal(found(f, "c")->state, DECISION_LEFT);
	assert_null(found(f, "c")->server);
}

static void the_oldest_are_overwritten_and_found_no_more(void **state)
{
	struct fixture *f = *state;
	char id[16];

	for (int i = 0; i < 11; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		ask_of(f, id, "other", NULL);
	}
	for (int i = 0; i < 11; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		assert_int_equal(find(f, id) != NULL, i >= 7);
	}
	assert_null(decisions_at(&f->p.agent->decisions, 7));
	assert_non_null(decisions_at(&f->p.agent->decisions, 8));
	decisions_clear(&f->p.agent->decisions);
	assert_null(find(f, "r10"));
	ask_of(f, "again", "other", NULL);
	assert_non_null(find(f, "again"));
}

static void names_outlive_their_servers_and_models(void **state)
{
	struct fixture *f = *state;

	ask(f, "a");
	end(f, "a", "srv=s2 st=200 ta=5 ts=--");
	inproc_write_text(
	    &f->p,
	    "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"
	    "\"decisions\":{\"keep\":4},"
	    "\"models\":{\"other\":{\"backend\":\"b2\",\"deployments\":{\"x\":{\"servers\":"
	    "[\"z\"]}}}}}");
	assert_true(daemon_reload(f->p.daemon));
	assert_string_equal(found(f, "a")->server->name, "b/s2");
	assert_string_equal(found(f, "a")->model->name, "m");
	assert_string_equal(found(f, "a")->option[0].deployment->name, "d");
	/* When the last decision about them is gone, the names go, too: ASan looks. */
	for (int i = 0; i < 12; i++)
		ask_of(f, "p", "none", NULL);
	assert_null(find(f, "a"));
	assert_true(SLIST_EMPTY(&f->p.agent->decisions.labels.retired));
}

static void long_ids_are_found_and_their_beginning_is_kept(void **state)
{
	struct fixture *f = *state;
	char id[SLO_ID_MAX + 1];

	memset(id, 'x', sizeof(id) - 1);
	id[SLO_ID_MAX] = '\0';
	ask(f, id);
	assert_int_equal(found(f, id)->id_len, DECISION_ID_MAX);
	assert_true(found(f, id)->long_id);
	id[DECISION_ID_MAX] = '\0';
	assert_null(find(f, id));
}

static void a_reload_changes_how_many_are_kept(void **state)
{
	struct fixture *f = *state;

	ask(f, "a");
	inproc_write_conf(&f->p, "", "", ",\"decisions\":{\"keep\":0}");
	assert_true(daemon_reload(f->p.daemon));
	assert_null(find(f, "a"));
	ask(f, "b");
	assert_null(find(f, "b"));
	/* One that was placed before ends afterwards. */
	end(f, "a", "srv=s2 st=200 ta=5 ts=--");
	inproc_write_conf(&f->p, "", "", ",\"decisions\":{\"keep\":2}");
	assert_true(daemon_reload(f->p.daemon));
	end(f, "b", "srv=s1 st=200 ta=5 ts=--");
	ask(f, "c");
	assert_non_null(find(f, "c"));
}

static void only_a_well_formed_trace_is_shown(void **state)
{
	static const char *const bad[] = {
		"",
		"00-",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\n-01",
	};
	struct fixture *f = *state;
	char trace[DECISION_TRACE_LEN + 1], id[8];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(id, sizeof(id), "t%zu", i);
		ask_of(f, id, "none", bad[i]);
		explain_trace(found(f, id), trace);
		assert_string_equal(trace, "");
	}
}

static void each_decision_is_a_line_if_the_configuration_wants_it(void **state)
{
	struct fixture *f = *state;
	const char *log;

	inproc_log(&f->p);
	ask_of(f, "r1", "m", TRACE);
	ask_of(f, "r 2", "a\"b", NULL);
	log = inproc_log(&f->p);
	assert_non_null(strstr(log,
	                       ": decision id=r1 model=m strategy=slo verdict=route server=b/s2 "
	                       "deployment=d prompt=20 output="));
	assert_non_null(strstr(log, " wait_ms=0 trace=" TRACE "\n"));
	assert_non_null(strstr(log, ": decision id=\"r 2\" model=\"a\\\"b\" strategy=slo "
	                            "verdict=pass reason=unknown-model wait_ms=0\n"));
	inproc_write_conf(&f->p, "", "", ",\"log\":{\"decisions\":true,\"format\":\"json\"}");
	assert_true(daemon_reload(f->p.daemon));
	ask(f, "r3");
	assert_non_null(
	    strstr(inproc_log(&f->p), ": {\"event\":\"decision\",\"id\":\"r3\",\"model\":\"m\","));
	inproc_write_conf(&f->p, "", "", "");
	assert_true(daemon_reload(f->p.daemon));
	ask_of(f, "r4", "none", NULL);
	assert_null(strstr(inproc_log(&f->p), "decision"));
}

/* Also if a client's name and the id are as long as they can be. */
static void no_name_takes_the_place_of_what_was_decided(void **state)
{
	char id[SLO_ID_MAX + 1], name[3000];
	struct fixture *f = *state;
	const char *line, *end;
	json_t *o;

	memset(id, '"', sizeof(id) - 1);
	memset(name, '"', sizeof(name) - 1);
	id[SLO_ID_MAX] = name[sizeof(name) - 1] = '\0';
	inproc_write_conf(&f->p, "", "", ",\"log\":{\"decisions\":true,\"format\":\"json\"}");
	assert_true(daemon_reload(f->p.daemon));
	inproc_log(&f->p);
	ask_of(f, id, name, TRACE);
	line = strstr(inproc_log(&f->p), "{\"event\":\"decision\",");
	assert_non_null(line);
	end = strchr(line, '\n');
	assert_non_null(end);
	o = json_loadb(line, (size_t)(end - line), 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "reason")), "unknown-model");
	assert_string_equal(json_string_value(json_object_get(o, "trace")), TRACE);
	assert_true(json_is_true(json_object_get(o, "cut")));
	json_decref(o);
	ask(f, "short");
	assert_null(strstr(inproc_log(&f->p), "cut"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(a_client_that_left_is_told),
		TEST(what_foresaw_that_a_target_cannot_be_met_is_told),
		TEST(a_placed_request_is_kept_with_all_that_decided_it),
		TEST(of_what_slo_adaptive_chose_no_slack_is_told),
		TEST(whoever_waits_is_explained_and_is_one_record_in_the_end),
		TEST(refusals_say_what_was_full),
		TEST(what_is_passed_keeps_the_name_that_was_asked_for),
		TEST(who_left_is_kept_too),
		TEST(the_oldest_are_overwritten_and_found_no_more),
		TEST(names_outlive_their_servers_and_models),
		TEST(long_ids_are_found_and_their_beginning_is_kept),
		TEST(a_reload_changes_how_many_are_kept),
		TEST(only_a_well_formed_trace_is_shown),
		TEST(each_decision_is_a_line_if_the_configuration_wants_it),
		TEST(no_name_takes_the_place_of_what_was_decided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
