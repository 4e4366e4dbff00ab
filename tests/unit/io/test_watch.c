/* What does not fit is told as a warning, when it is a share of all that is worth a word, and the
 * warning goes when the cause has gone. Counters are set here; that they count is test_traffic's,
 * test_ends' and test_misconfigured_live.py's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inproc.h"
#include "io/agent/learned.h"
#include "io/engines/meaning.h"
#include "wire/endline.h"

#define SECOND SLO_NSEC_PER_SEC

static int make(void **state)
{
	static struct inproc p;

	inproc_open(&p);
	inproc_write_conf(&p, "", "", "");
	inproc_start(&p);
	*state = &p;
	return 0;
}

static int drop(void **state)
{
	struct inproc *p = *state;

	inproc_stop(p);
	inproc_close(p);
	return 0;
}

static const char *told(const struct inproc *p, const char *code)
{
	const struct warning *w = warn_find(&p->agent->warnings, code, NULL);

	return w ? w->text : NULL;
}

static int64_t wall_is_ahead;

static void later(struct inproc *p, slo_nsec span)
{
	inproc_clock += span;
	watch_judge(p->agent, inproc_clock, inproc_clock + wall_is_ahead);
}

static void questions(struct inproc *p, int good, enum watched w, int bad)
{
	p->agent->stats.frames[FRAME_NOTIFY][FRAME_OK] += (uint64_t)(good + bad);
	while (bad-- > 0)
		watch_note(p->agent, w, NULL);
	later(p, SECOND);
}

static void a_share_is_told_and_goes_when_all_is_well_again(void **state)
{
	struct inproc *p = *state;

	questions(p, 10, WATCH_ID, 2);
	assert_null(told(p, "id-missing"));
	questions(p, 0, WATCH_ID, 1);
	assert_true(strncmp(told(p, "id-missing"), "3 of 13 requests have no unique-id", 34) == 0);
	questions(p, 0, WATCH_ID, 1); /* it goes on */
	later(p, SECOND);
	later(p, SECOND);
	assert_non_null(told(p, "id-missing")); /* nothing good came */
	questions(p, 5, WATCH_ID, 0);
	assert_non_null(told(p, "id-missing"));
	questions(p, 1, WATCH_ID, 0);
	assert_null(told(p, "id-missing"));
}

static void a_stray_case_among_many_is_none(void **state)
{
	struct inproc *p = *state;

	for (int i = 0; i < 20; i++)
		questions(p, 1000, WATCH_BODY, 100);
	assert_null(told(p, "body-empty"));
	questions(p, 100, WATCH_BODY, 100);
	assert_non_null(told(p, "body-empty"));
}

static void an_old_good_time_does_not_hide_a_fault(void **state)
{
	struct inproc *p = *state;

	questions(p, 190, WATCH_BODY, 0);
	later(p, 3600 * SECOND);
	questions(p, 0, WATCH_BODY, 4);
	questions(p, 0, WATCH_BODY, 5);
	assert_non_null(told(p, "body-empty"));
}

static void what_has_no_good_case_is_over_when_it_comes_no_more(void **state)
{
	struct inproc *p = *state;

	watch_note(p->agent, WATCH_RING, "that of %s", "tester");
	later(p, SECOND);
	assert_string_equal(
	    told(p, "lines-lost"),
	    "1 times a ring of HAProxy overflowed (that of tester): ends were lost; "
	    "make its \"size\" larger, and log over UDP too");
	later(p, WATCH_QUIET);
	assert_non_null(told(p, "lines-lost"));
	later(p, SECOND);
	assert_null(told(p, "lines-lost"));
}

static void errors_of_spoe_are_told_by_their_cause(void **state)
{
	static const struct {
		int64_t err;
		const char *code;
	} cases[] = {
		{ 1, "times" },
		{ 3, "frame-too-big" },
		{ 259, "frame-too-big" },
		{ 257, "agent-lost" },
		{ 256, "agent-lost" },
		{ 2, "agent-lost" },
		{ 4, NULL },
		{ 5, NULL }, /* the client left */
	};
	struct inproc *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endline e = { .err = cases[i].err, .ptime_ms = 2000, .out = -1 };

		for (int k = 0; k < 20; k++)
			watch_end_line(p->agent, inproc_clock, &e, true);
		later(p, SECOND);
		if (cases[i].code)
			assert_non_null(told(p, cases[i].code));
		p->agent->stats.end_lines[END_CLOSED] += 20;
		later(p, 2 * SECOND);
		p->agent->stats.end_lines[END_CLOSED] += 20;
		later(p, SECOND);
		assert_int_equal(p->agent->warnings.count, 0);
	}
}

/* Five answers end that nobody asked about. */
static void unasked(struct inproc *p, const struct endline *e)
{
	for (int k = 0; k < 5; k++)
		watch_end_line(p->agent, inproc_clock, e, false);
	p->agent->stats.end_lines[END_UNKNOWN] += 5;
	later(p, SECOND);
}

static void answers_that_nobody_asked_about_are_told(void **state)
{
	struct endline e = { .err = -1,
		             .ptime_ms = -1,
		             .out = 7,
		             .tf_ms = -1,
		             .be = slice_of("backend"),
		             .srv = slice_of("s1") };
	struct inproc *p = *state;

	e.ta_ms = 2000;
	later(p, 6 * SECOND);
	unasked(p, &e); /* they began before the agent did */
	assert_null(told(p, "bypassed"));
	unasked(p, &e);
	assert_true(
	    strncmp(told(p, "bypassed"),
	            "5 of 10 completions ended that the agent was not asked about (the last "
	            "one on backend/s1)",
	            87) == 0);
}

static void what_another_agent_may_have_placed_is_no_bypass(void **state)
{
	struct endline e = { .err = -1,
		             .ptime_ms = -1,
		             .out = 7,
		             .be = slice_of("backend"),
		             .srv = slice_of("s1") };
	struct inproc *p = *state;

	later(p, 20 * SECOND);
	watch_unheard(p->agent, inproc_clock);
	later(p, 2 * SECOND);
	unasked(p, &e);
	assert_null(told(p, "bypassed"));
	unasked(p, &e);
	assert_non_null(told(p, "bypassed"));
}

static void an_agent_that_another_one_does_not_tell_is_told_by_its_lines(void **state)
{
	struct endline e = {
		.err = -1, .ptime_ms = 3, .out = 7, .be = slice_of("backend"), .srv = slice_of("s1")
	};
	struct inproc *p = *state;

	later(p, 100 * SECOND);
	unasked(p, &e);
	assert_non_null(told(p, "bypassed"));
	assert_non_null(strstr(told(p, "bypassed"),
	                       "5 of 5 completions ended that another agent was asked about"));
}

/* A stream tells no tokens; when its body began it does. */
static void streams_are_completions_too(void **state)
{
	struct endline e = { .err = -1,
		             .ptime_ms = 3,
		             .out = -1,
		             .tf_ms = -1,
		             .be = slice_of("backend"),
		             .srv = slice_of("s1") };
	struct inproc *p = *state;

	later(p, 100 * SECOND);
	unasked(p, &e); /* a list of models, say */
	assert_null(told(p, "bypassed"));
	e.tf_ms = 12;
	unasked(p, &e);
	assert_non_null(strstr(told(p, "bypassed"),
	                       "5 of 10 completions ended that another agent was asked about"));
	e.ptime_ms = -1;
	e.tf_ms = 0;
	unasked(p, &e);
	assert_non_null(strstr(told(p, "bypassed"), "that the agent was not asked about"));
}

static void other_ids_and_foreign_lines_explain_a_silence(void **state)
{
	struct inproc *p = *state;

	p->agent->watch.dispatched += 5;
	later(p, SECOND);
	p->agent->stats.end_lines[END_UNKNOWN] += 5;
	later(p, 29 * SECOND);
	assert_null(told(p, "ids-differ"));
	later(p, SECOND);
	assert_non_null(told(p, "ids-differ"));
	assert_null(told(p, "no-end-lines"));
	p->agent->stats.end_lines[END_CLOSED]++;
	later(p, SECOND);
	assert_null(told(p, "ids-differ"));
	/* One that closed: now long streams may run. */
	p->agent->watch.dispatched += 5;
	later(p, SECOND);
	later(p, 40 * SECOND);
	assert_int_equal(p->agent->warnings.count, 0);
	later(p, 600 * SECOND);
	assert_non_null(told(p, "no-end-lines"));
}

static void a_haproxy_that_does_not_connect_is_told(void **state)
{
	struct inproc *p = *state;
	struct warnings *w = &p->agent->warnings;

	later(p, 100 * SECOND);
	assert_int_equal(w->count, 0); /* whether one runs is not known */
	watch_haproxy_changed(p->agent, inproc_clock);
	later(p, 29 * SECOND);
	assert_int_equal(w->count, 0);
	later(p, SECOND);
	assert_non_null(warn_find(w, "never-asked", "connection"));
	p->agent->stats.frames[FRAME_HEALTHCHECK][FRAME_OK]++;
	later(p, SECOND);
	assert_int_equal(w->count, 0);
}

static const char *bypassed(const struct inproc *p)
{
	const struct warning *w = warn_find(&p->agent->warnings, "bypassed", "all");

	return w ? w->text : NULL;
}

static void what_runs_unasked_is_told_after_the_silence(void **state)
{
	struct inproc *p = *state;
	struct server *s = roster_find(p->agent, "b", "s1");

	((struct config *)p->agent->conf)->runtime_api.count = 1; /* nobody polls it here */
	later(p, SECOND);
	s->surplus_count = 3;
	later(p, SECOND);
	later(p, 29 * SECOND);
	assert_null(bypassed(p));
	later(p, SECOND);
	assert_non_null(
	    strstr(bypassed(p), "3 requests on our servers and asked about none for 30 s"));
	p->agent->stats.frames[FRAME_NOTIFY][FRAME_OK]++; /* it asks */
	later(p, SECOND);
	assert_null(bypassed(p));
	later(p, SECOND); /* silence counts from here on */
	later(p, 29 * SECOND);
	assert_null(bypassed(p));
	s->surplus_count = 0;
	later(p, SECOND);
	s->surplus_count = 3;
	later(p, SECOND);
	later(p, 29 * SECOND);
	assert_null(bypassed(p));
	later(p, SECOND);
	assert_non_null(bypassed(p));
	s->surplus_count = 0;
	later(p, SECOND);
	assert_null(bypassed(p));
}

static void a_clock_that_jumps_is_told_for_a_while(void **state)
{
	struct inproc *p = *state;

	later(p, SECOND);
	wall_is_ahead += 2 * SECOND; /* no more than NTP may do at once */
	later(p, SECOND);
	assert_null(told(p, "clock-stepped"));
	wall_is_ahead -= 3600 * SECOND;
	later(p, SECOND);
	assert_true(strncmp(told(p, "clock-stepped"), "the clock of this machine jumped by -3600 s",
	                    43) == 0);
	later(p, 601 * SECOND);
	assert_null(told(p, "clock-stepped"));
	wall_is_ahead += 60 * SECOND; /* while we stood still: nobody knows */
	later(p, 30 * SECOND);
	assert_null(told(p, "clock-stepped"));
}

static void fit(struct inproc *p, struct fit f)
{
	struct roster_server *s = roster_server(roster_find(p->agent, "b", "s1"));

	roster_served(s, p->agent->models[0])->fit = f;
	later(p, 5 * SECOND);
}

static void a_profile_that_all_ends_contradict_is_told(void **state)
{
	struct inproc *p = *state;
	const struct warnings *w = &p->agent->warnings;

	fit(p, (struct fit){ .all = 49, .slow = 49 });
	assert_int_equal(w->count, 0); /* too few */
	fit(p, (struct fit){ .all = 50, .slow = 44 });
	assert_int_equal(w->count, 0);
	fit(p, (struct fit){ .all = 50, .slow = 45 });
	assert_non_null(strstr(warn_find(w, "profile-wrong", "m/d")->text, "more than twice"));
	fit(p, (struct fit){ .all = 50, .fast = 45 });
	assert_non_null(strstr(warn_find(w, "profile-wrong", "m/d")->text, "less than a tenth"));
	fit(p, (struct fit){ .all = 50, .outside = 25 });
	assert_null(warn_find(w, "profile-wrong", "m/d"));
	assert_non_null(warn_find(w, "profile-sizes", "m/d"));
	fit(p, (struct fit){ .all = 50, .below = 49 });
	assert_int_equal(w->count, 0);
	fit(p, (struct fit){ .all = 50, .below = 50 });
	assert_non_null(strstr(warn_find(w, "profile-sizes", "m/d")->text, "smaller than all"));
	fit(p, (struct fit){ .all = 50 });
	assert_int_equal(w->count, 0);
}

static void ends_in_cell(struct inproc *p, size_t cell, int all, int slow, int fast)
{
	const struct deployment *d = p->agent->models[0]->sched->pool.deployment[0];

	for (int i = 0; i < all; i++)
		cell_fit_add(&p->agent->cell_fits, d->profile, cell, 700, 90, i < slow, i < fast);
	later(p, 5 * SECOND);
}

static void a_cell_that_its_requests_contradict_is_told(void **state)
{
	struct inproc *p = *state;
	const struct warnings *w = &p->agent->warnings;
	struct deployment *d = p->agent->models[0]->sched->pool.deployment[0];

	ends_in_cell(p, 1, 19, 19, 0);
	assert_int_equal(w->count, 0); /* too few */
	ends_in_cell(p, 2, 20, 17, 0);
	assert_int_equal(w->count, 0);
	ends_in_cell(p, 1, 1, 1, 0);
	assert_string_equal(
	    warn_find(w, "profile-cell", "m/d")->text,
	    "1 cells of the profile of m/d contradict nearly all of their requests; in one of "
	    "them, "
	    "of about 700 prompt and 90 answer tokens, they take more than twice the time that it "
	    "tells; measure these sizes again");
	ends_in_cell(p, 2, 20, 0, 20);
	assert_true(strncmp(warn_find(w, "profile-cell", "m/d")->text, "2 cells", 7) == 0);
	ends_in_cell(p, 1, 20, 10, 0);
	assert_non_null(strstr(warn_find(w, "profile-cell", "m/d")->text, "less than a tenth"));
	assert_int_equal(sched_profile_set(p->agent->sched, d, inproc_profile(2)), SLO_OK);
	later(p, 5 * SECOND);
	assert_int_equal(w->count, 0);
}

static void cells_that_came_seldom_make_room(void **state)
{
	struct inproc *p = *state;
	struct cell_fits *c = &p->agent->cell_fits;

	for (size_t i = 0; i < 10000; i++)
		ends_in_cell(p, i % 5000, 1, 0, 0);
	assert_true(c->count <= CELL_FITS);
	ends_in_cell(p, 7, 20, 20, 0);
	assert_int_equal(p->agent->warnings.count, 1);
	cell_fit_forget(c, NULL);
	assert_int_equal(c->count, 0);
}

/* As often as it is judged it has had no end since. */
static void a_cell_that_was_found_wrong_stays_so_while_others_come(void **state)
{
	struct inproc *p = *state;

	ends_in_cell(p, 7, 20, 20, 0);
	assert_int_equal(p->agent->warnings.count, 1);
	for (size_t i = 0; i < 2000; i++)
		ends_in_cell(p, 8 + i % 1000, 1, 0, 0);
	assert_int_equal(p->agent->warnings.count, 1);
}

static void a_deployment_without_a_profile_is_told_until_it_has_one(void **state)
{
	struct inproc *p = *state;
	struct deployment *d = p->agent->models[0]->sched->pool.deployment[0];
	enum fleet_source was;

	sched_profile_drop(p->agent->sched, d);
	later(p, 5 * SECOND);
	assert_non_null(warn_find(&p->agent->warnings, "profile-missing", "m/d"));
	was = d->source;
	d->source = FLEET_AUTO; /* it learned, if from requests with targets of their own */
	d->force.state = LATENCY_WARM;
	later(p, 5 * SECOND);
	assert_int_equal(p->agent->warnings.count, 0);
	d->force.state = LATENCY_COLD;
	d->source = was;
	later(p, 5 * SECOND);
	assert_non_null(warn_find(&p->agent->warnings, "profile-missing", "m/d"));
	assert_int_equal(sched_profile_set(p->agent->sched, d, inproc_profile(2)), SLO_OK);
	later(p, 5 * SECOND);
	assert_int_equal(p->agent->warnings.count, 0);
}

static void servers_that_haproxy_lacks_has_more_or_holds_back_are_told(void **state)
{
	struct inproc *p = *state;
	const struct warnings *w = &p->agent->warnings;

	for (int i = 0; i < 6; i++) {
		roster_view_begin(p->agent, inproc_clock);
		roster_server_seen(p->agent, inproc_clock, "b", "s1", SLO_SERVER_UP);
		roster_server_seen(p->agent, inproc_clock, "b", "s9", SLO_SERVER_UP);
		roster_server_seen(p->agent, inproc_clock, "b", "spare", SLO_SERVER_MAINT);
		roster_view_end(p->agent, inproc_clock, true);
	}
	roster_server(roster_find(p->agent, "b", "s1"))->queued_views = 5;
	later(p, 5 * SECOND);
	assert_non_null(strstr(warn_find(w, "server-absent", "b")->text,
	                       "lacks 1 servers that models "
	                       "name (s2)"));
	assert_non_null(strstr(warn_find(w, "server-unlisted", "b")->text, "(s9)"));
	assert_non_null(strstr(warn_find(w, "maxconn", "b")->text, "(s1)"));
	roster_view_begin(p->agent, inproc_clock);
	roster_server_seen(p->agent, inproc_clock, "b", "s1", SLO_SERVER_UP);
	roster_server_seen(p->agent, inproc_clock, "b", "s2", SLO_SERVER_UP);
	roster_view_end(p->agent, inproc_clock, true);
	roster_server(roster_find(p->agent, "b", "s1"))->queued_views = 0;
	later(p, 5 * SECOND);
	assert_int_equal(w->count, 0);
}

/* Those that were asked for as often as others, too. */
static void three_models_are_named_that_are_asked_for_most(void **state)
{
	static const char *const asked[] = { "a", "b", "a", "c", "b", "d", "c" };
	struct inproc *p = *state;
	const struct unknown_model *known;

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		(void)unknown_models_add(&p->agent->unknown, slice_of(asked[i]), &known);
	questions(p, 0, WATCH_MODEL, 7);
	assert_non_null(strstr(told(p, "model-unknown"), " (\"a\", \"b\", \"c\"): "));
}

static int make_three(void **state)
{
	static struct inproc p;

	inproc_open(&p);
	inproc_write_text(
	    &p, "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"
		"\"models\":{\"m\":{\"backend\":\"b\",\"slo\":{\"e2e\":\"30s\"},\"deployments\":{"
		"\"told\":{\"servers\":[\"t1\"],\"kv_tokens\":50000},"
		"\"d\":{\"servers\":[\"s1\",\"s2\",\"s3\"]}}}}}");
	inproc_start(&p);
	*state = &p;
	return 0;
}

/* The engine of that server tells its cache. */
static void cache(struct inproc *p, const char *server, double tokens)
{
	struct roster_server *s = roster_server(roster_find(p->agent, "b", server));
	struct engine_seen *e = roster_engine(s);

	assert_non_null(e);
	e->facts.value[ENGINE_KV_SIZE] = tokens;
	e->facts.known = tokens > 0 ? 1u << ENGINE_KV_SIZE : 0;
	learned_cache_came(p->agent, s->server);
}

static struct deployment *deployment(struct inproc *p, size_t i)
{
	return p->agent->models[0]->sched->pool.deployment[i];
}

static void a_configured_cache_that_engines_contradict_is_told(void **state)
{
	struct inproc *p = *state;
	const struct warnings *w = &p->agent->warnings;

	later(p, 5 * SECOND);
	assert_null(warn_find(w, "kv-differs", "m/told"));
	cache(p, "t1", 54000);
	later(p, 5 * SECOND);
	assert_null(warn_find(w, "kv-differs", "m/told"));
	cache(p, "t1", 56000);
	later(p, 5 * SECOND);
	assert_non_null(
	    strstr(warn_find(w, "kv-differs", "m/told")->text,
	           "kv_tokens of m/told is 50000, and its engines tell a cache of 56000"));
	assert_true(deployment(p, 0)->learner->kv == 50000);
	cache(p, "t1", 45000);
	later(p, 5 * SECOND);
	assert_non_null(warn_find(w, "kv-differs", "m/told"));
	cache(p, "t1", 0);
	later(p, 5 * SECOND);
	assert_null(warn_find(w, "kv-differs", "m/told"));
	sched_profile_drop(p->agent->sched, deployment(p, 0));
	for (int i = 0; i < 3; i++)
		latency_room_proves(&deployment(p, 0)->learner->room, 1, 80000);
	later(p, 5 * SECOND);
	assert_non_null(strstr(warn_find(w, "kv-differs", "m/told")->text,
	                       "larger than the whole cache of m/told as kv_tokens tells it (50000 "
	                       "tokens) are served"));
}

static void no_request_is_said_to_go_to_a_server_that_is_down(void **state)
{
	struct inproc *p = *state;
	const struct warnings *w = &p->agent->warnings;
	struct roster_server *s = roster_server(roster_find(p->agent, "b", "t1"));

	assert_non_null(roster_engine(s));
	engine_missed(p->agent, inproc_clock, s, "no answer");
	assert_non_null(strstr(warn_find(w, ENGINE_SILENT, s->key)->text,
	                       "no answer; requests go there without them, and "));
	(void)fleet_set_usable(s->server, false);
	engine_missed(p->agent, inproc_clock, s, "no answer");
	assert_non_null(strstr(warn_find(w, ENGINE_SILENT, s->key)->text,
	                       "no answer; no request goes there, as the server is not up, and "));
}

static void a_tiny_cache_is_its_servers_own(void **state)
{
	static const char *const orders[][3] = { { "s1", "s2", "s3" },
		                                 { "s2", "s1", "s3" },
		                                 { "s3", "s2", "s1" } };
	struct inproc *p = *state;
	const struct deployment *d = deployment(p, 1);
	const struct warnings *w = &p->agent->warnings;

	for (int i = 0; i < 3; i++) {
		cache(p, orders[i][0], 1000);
		cache(p, orders[i][1], 100000);
		cache(p, orders[i][2], 90000);
		assert_true(d->learner->kv == 90000 && d->force.rates.kv == 90000);
		later(p, 5 * SECOND);
		assert_non_null(strstr(warn_find(w, "cache-odd", "m/d")->text, orders[i][0]));
	}
	cache(p, "s3", 60000); /* small, but not odd */
	assert_true(d->learner->kv == 60000);
	later(p, 5 * SECOND);
	assert_null(warn_find(w, "cache-odd", "m/d"));
	cache(p, "s1", 0); /* two that differ: the larger one is believed */
	cache(p, "s2", 5000);
	assert_true(d->learner->kv == 60000);
	cache(p, "s3", 0);
	assert_true(d->learner->kv == 5000);
	cache(p, "s2", 0);
	assert_true(d->learner->kv <= 0);
}

static void configure(struct inproc *p, struct deployment *d, enum fleet_source source)
{
	assert_int_equal(sched_source_set(p->agent->sched, d, source, 0), SLO_OK);
}

static void where_times_are_to_come_from_is_told_as_it_is_configured(void **state)
{
	static const struct {
		enum fleet_source source;
		const char *name;
	} cases[] = {
		{ FLEET_PRIOR, "prior" }, { FLEET_AUTO, "auto" },   { FLEET_LEARNED, "learned" },
		{ FLEET_GIVEN, "given" }, { FLEET_PRIOR, "prior" },
	};
	struct inproc *p = *state;
	struct deployment *d = deployment(p, 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		configure(p, d, cases[i].source);
		assert_string_equal(learned_configured(d), cases[i].name);
	}
	assert_int_equal(sched_profile_set(p->agent->sched, d, inproc_profile(2)), SLO_OK);
	assert_string_equal(learned_configured(d), "prior");
	d->source = FLEET_REFUTED;
	assert_string_equal(learned_configured(d), "prior");
}

/* Many ends that could not teach: fewer than 30 that did are enough to route by. */
static void learning_that_no_profile_began_is_not_said_to_begin_with_one(void **state)
{
	struct inproc *p = *state;
	struct deployment *d = deployment(p, 0);

	sched_profile_drop(p->agent->sched, d);
	d->learner->ends = 10;
	d->learner->passed = 60;
	assert_true(sched_headroom(p->agent->sched, inproc_clock, d, 0));
	assert_int_equal(d->force.state, LATENCY_WARM);
	learned_watch(p->agent, inproc_clock);
	assert_true(inproc_logged(p, "m/told: only 10 requests taught, 60 could not"));
}

static bool is_said(struct inproc *p, struct deployment *d, slo_nsec now, const char *what)
{
	(void)inproc_log(p);
	assert_true(sched_headroom(p->agent->sched, now, d, 0));
	learned_watch(p->agent, now);
	return inproc_logged(p, what);
}

/* Under load it changes every few seconds. */
static void that_times_are_doubted_is_said_once_in_a_while(void **state)
{
	struct inproc *p = *state;
	struct deployment *d = deployment(p, 0);
	slo_nsec now = inproc_clock + 1;

	sched_profile_drop(p->agent->sched, d);
	d->learner->ends = d->learner->trusted = 200;
	assert_true(is_said(p, d, now, "m/told: learned times hold"));
	d->learner->trusted = 0;
	assert_false(is_said(p, d, now + 30 * SECOND, "m/told: learned times are doubted"));
	assert_true(is_said(p, d, now + 60 * SECOND, "m/told: learned times are doubted"));
	d->learner->trusted = 200;
	assert_false(is_said(p, d, now + 90 * SECOND, "m/told: learned times hold"));
	d->learner->trusted = 0; /* nothing is new then */
	assert_false(is_said(p, d, now + 150 * SECOND, "m/told: learned times"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		CASE(a_share_is_told_and_goes_when_all_is_well_again),
		CASE(a_stray_case_among_many_is_none),
		CASE(an_old_good_time_does_not_hide_a_fault),
		CASE(what_has_no_good_case_is_over_when_it_comes_no_more),
		CASE(errors_of_spoe_are_told_by_their_cause),
		CASE(answers_that_nobody_asked_about_are_told),
		CASE(what_another_agent_may_have_placed_is_no_bypass),
		CASE(an_agent_that_another_one_does_not_tell_is_told_by_its_lines),
		CASE(streams_are_completions_too),
		CASE(other_ids_and_foreign_lines_explain_a_silence),
		CASE(a_haproxy_that_does_not_connect_is_told),
		CASE(what_runs_unasked_is_told_after_the_silence),
		CASE(a_clock_that_jumps_is_told_for_a_while),
		CASE(a_profile_that_all_ends_contradict_is_told),
		CASE(a_cell_that_its_requests_contradict_is_told),
		CASE(cells_that_came_seldom_make_room),
		CASE(a_cell_that_was_found_wrong_stays_so_while_others_come),
		CASE(a_deployment_without_a_profile_is_told_until_it_has_one),
		CASE(servers_that_haproxy_lacks_has_more_or_holds_back_are_told),
		CASE(three_models_are_named_that_are_asked_for_most),
		cmocka_unit_test_setup_teardown(a_configured_cache_that_engines_contradict_is_told,
		                                make_three, drop),
		cmocka_unit_test_setup_teardown(no_request_is_said_to_go_to_a_server_that_is_down,
		                                make_three, drop),
		cmocka_unit_test_setup_teardown(a_tiny_cache_is_its_servers_own, make_three, drop),
		cmocka_unit_test_setup_teardown(
		    where_times_are_to_come_from_is_told_as_it_is_configured, make_three, drop),
		cmocka_unit_test_setup_teardown(
		    learning_that_no_profile_began_is_not_said_to_begin_with_one, make_three, drop),
		cmocka_unit_test_setup_teardown(that_times_are_doubted_is_said_once_in_a_while,
		                                make_three, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
