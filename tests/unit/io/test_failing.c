/* Servers that fail are set aside, tried and taken back. Each holds one request; of idle ones the
 * last, s2, is chosen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inproc.h"

#define SECOND SLO_NSEC_PER_SEC
#define BIT    SLO_NSEC_PER_MSEC /* libev's timers fire a little later */

#define WITHOUT_S2                                                                          \
	"{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]}," \
	"\"models\":{\"m\":{\"backend\":\"b\",\"deployments\":{\"d\":{\"servers\":[\"s1\"]" \
	"}}}}}"

struct fixture {
	struct inproc p;
	struct peer spop, events;
	unsigned int asked;
};

static void to_start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	inproc_open(&f->p);
	inproc_write_conf(&f->p, "", "", "");
	inproc_start(&f->p);
	peer_open(&f->events, &f->p, "events");
	peer_greet(&f->spop, &f->p);
}

static void to_end(struct fixture *f)
{
	peer_close(&f->spop);
	peer_close(&f->events);
	inproc_turn(&f->p, 3);
	inproc_stop(&f->p);
	inproc_close(&f->p);
}

/* Asks, and the server is the one that is expected. */
static void goes_to(struct fixture *f, const char *server)
{
	char chosen[32];

	peer_route(&f->spop, &f->p, ++f->asked, chosen);
	assert_string_equal(chosen, server);
}

/* The end of the n-th request. */
static void ends(struct fixture *f, unsigned int n, const char *server, int status, const char *ts)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "slo1 id=r%u be=b srv=%s st=%d tr=1 ta=2 ts=%s\n", n,
	                   server, status, ts);

	peer_send(&f->events, line, (size_t)len);
	inproc_turn(&f->p, 3);
}

static void fails(struct fixture *f)
{
	goes_to(f, "s2");
	ends(f, f->asked, "s2", 500, "----");
}

static bool is_used(struct fixture *f, const char *server)
{
	return roster_find(f->p.agent, "b", server)->usable;
}

/* 3 failures; s1 keeps its place. */
static void set_aside(struct fixture *f)
{
	for (int i = 0; i < 3; i++) {
		assert_true(is_used(f, "s2"));
		fails(f);
	}
	assert_false(is_used(f, "s2"));
	assert_true(inproc_logged(&f->p, "server b/s2 failed 3 times in a row"));
}

static void three_failures_in_a_row_set_a_server_aside_for_a_second(void **state)
{
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	goes_to(&f, "s1");
	ends(&f, f.asked, "s1", 200, "----");
	inproc_pass(&f.p, SECOND - BIT);
	assert_false(is_used(&f, "s2"));
	inproc_pass(&f.p, 2 * BIT);
	assert_true(is_used(&f, "s2"));
	to_end(&f);
}

static void an_answer_in_between_begins_the_count_anew(void **state)
{
	struct fixture f;

	(void)state;
	to_start(&f);
	for (int i = 0; i < 9; i++) {
		goes_to(&f, "s2");
		ends(&f, f.asked, "s2", i % 3 == 2 ? 200 : 500, "----");
	}
	assert_true(is_used(&f, "s2"));
	to_end(&f);
}

static void what_is_not_the_servers_fault_is_no_failure(void **state)
{
	static const struct {
		int status;
		const char *ts;
	} cases[] = { { 404, "----" }, { 429, "----" }, { 200, "CD--" }, { -1, "CC--" },
		      { 400, "CH--" }, { 503, "sQ--" }, { 501, "----" }, { 500, "CD--" } };
	struct fixture f;

	(void)state;
	to_start(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int n = 0; n < 4; n++) {
			goes_to(&f, "s2");
			ends(&f, f.asked, "s2", cases[i].status, cases[i].ts);
		}
	assert_true(is_used(&f, "s2"));
	to_end(&f);
}

static void what_is_the_servers_fault_is_one(void **state)
{
	static const struct {
		int status;
		const char *ts;
	} cases[] = { { 500, "----" }, { 503, "----" }, { 502, "SH--" }, { 504, "sH--" },
		      { 200, "SD--" }, { 200, "sD--" }, { 503, "SC--" }, { -1, "SD--" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;

		to_start(&f);
		for (int n = 0; n < 3; n++) {
			goes_to(&f, "s2");
			ends(&f, f.asked, "s2", cases[i].status, cases[i].ts);
		}
		assert_false(is_used(&f, "s2"));
		to_end(&f);
	}
}

static void one_request_tries_it_and_a_failure_doubles_the_time(void **state)
{
	slo_nsec wait = SECOND;
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	for (int i = 0; i < 8; i++) {
		inproc_pass(&f.p, wait - BIT);
		assert_false(is_used(&f, "s2"));
		inproc_pass(&f.p, 2 * BIT);
		goes_to(&f, "s2");
		assert_false(is_used(&f, "s2")); /* no second one before its end */
		ends(&f, f.asked, "s2", 500, "----");
		wait = 2 * wait < 60 * SECOND ? 2 * wait : 60 * SECOND;
	}
	assert_true(wait == 60 * SECOND);
	to_end(&f);
}

static void an_answer_takes_it_back_on_trust_for_one_failure(void **state)
{
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	inproc_pass(&f.p, SECOND + BIT);
	goes_to(&f, "s2");
	ends(&f, f.asked, "s2", 200, "----");
	assert_true(is_used(&f, "s2"));
	assert_true(inproc_logged(&f.p, "server b/s2 answers again"));
	fails(&f);
	assert_false(is_used(&f, "s2"));
	inproc_pass(&f.p, 2 * SECOND + BIT); /* the time went on where it was */
	goes_to(&f, "s2");
	ends(&f, f.asked, "s2", 200, "----");
	goes_to(&f, "s2");
	ends(&f, f.asked, "s2", 200, "----");
	fails(&f); /* now it is trusted as ever */
	assert_true(is_used(&f, "s2"));
	to_end(&f);
}

static void a_request_that_runs_for_long_has_not_failed_fast(void **state)
{
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	inproc_pass(&f.p, SECOND + BIT);
	goes_to(&f, "s2");
	inproc_pass(&f.p, 5 * SECOND + BIT);
	assert_true(is_used(&f, "s2"));
	ends(&f, f.asked, "s2", 200, "SD--");
	assert_false(is_used(&f, "s2"));
	to_end(&f);
}

static void half_of_a_models_servers_stay_in_use(void **state)
{
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	for (int i = 0; i < 4; i++) {
		goes_to(&f, "s1");
		ends(&f, f.asked, "s1", 500, "----");
	}
	assert_true(is_used(&f, "s1"));
	assert_true(inproc_logged(&f.p, "b/s1 failed 3 times in a row"));
	to_end(&f);
}

static void a_model_without_another_server_takes_it_back(void **state)
{
	static const char down[] = "Server b/s1 is DOWN, reason: Layer7 timeout.\n";
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	peer_send(&f.events, down, sizeof(down) - 1);
	inproc_turn(&f.p, 3);
	assert_false(is_used(&f, "s1"));
	assert_true(is_used(&f, "s2"));
	assert_false(inproc_logged(&f.p, "has no server left"));
	goes_to(&f, "s2");
	ends(&f, f.asked, "s2", 200, "----");
	to_end(&f);
}

static void the_last_server_that_goes_is_told(void **state)
{
	static const char *const news[] = { "Server b/s2 is DOWN, reason: Layer4 timeout.\n",
		                            "Server b/s1 is DOWN, reason: Layer4 timeout.\n" };
	struct fixture f;

	(void)state;
	to_start(&f);
	for (int i = 0; i < 2; i++) {
		assert_false(inproc_logged(&f.p, "has no server left"));
		peer_send(&f.events, news[i], strlen(news[i]));
		inproc_turn(&f.p, 3);
	}
	assert_true(inproc_logged(&f.p, "model m has no server left: its requests get 503"));
	to_end(&f);
}

static void news_that_it_is_up_again_clears_it(void **state)
{
	static const char *const news[] = { "Server b/s2 is DOWN, reason: Layer4 timeout.\n",
		                            "Server b/s2 is UP, reason: Layer7 check passed.\n" };
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	for (int i = 0; i < 2; i++) {
		peer_send(&f.events, news[i], strlen(news[i]));
		inproc_turn(&f.p, 3);
	}
	assert_true(is_used(&f, "s2"));
	fails(&f);
	assert_true(is_used(&f, "s2"));
	to_end(&f);
}

/* It stays until the last request there ends. */
static void one_that_leaves_while_it_is_set_aside_is_forgotten(void **state)
{
	struct fixture f;

	(void)state;
	to_start(&f);
	set_aside(&f);
	inproc_pass(&f.p, SECOND + BIT);
	goes_to(&f, "s2");
	inproc_write_text(&f.p, WITHOUT_S2);
	assert_true(daemon_reload(f.p.daemon));
	assert_non_null(roster_find(f.p.agent, "b", "s2"));
	ends(&f, f.asked, "s2", 500, "----");
	assert_null(roster_find(f.p.agent, "b", "s2"));
	assert_null(warn_find(&f.p.agent->warnings, "server-failing", "b/s2"));
	goes_to(&f, "s1");
	ends(&f, f.asked, "s1", 200, "----");
	inproc_pass(&f.p, 60 * SECOND);
	to_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_failures_in_a_row_set_a_server_aside_for_a_second),
		cmocka_unit_test(an_answer_in_between_begins_the_count_anew),
		cmocka_unit_test(what_is_not_the_servers_fault_is_no_failure),
		cmocka_unit_test(what_is_the_servers_fault_is_one),
		cmocka_unit_test(one_request_tries_it_and_a_failure_doubles_the_time),
		cmocka_unit_test(an_answer_takes_it_back_on_trust_for_one_failure),
		cmocka_unit_test(a_request_that_runs_for_long_has_not_failed_fast),
		cmocka_unit_test(half_of_a_models_servers_stay_in_use),
		cmocka_unit_test(a_model_without_another_server_takes_it_back),
		cmocka_unit_test(the_last_server_that_goes_is_told),
		cmocka_unit_test(news_that_it_is_up_again_clears_it),
		cmocka_unit_test(one_that_leaves_while_it_is_set_aside_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
