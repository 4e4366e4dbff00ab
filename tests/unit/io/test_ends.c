/* What end lines and notices make the agent count and say. Each of two servers holds one request;
 * of idle ones the last, s2, is chosen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inproc.h"
#include "io/agent/ends.h"

#define SECOND SLO_NSEC_PER_SEC

struct fixture {
	struct inproc p;
	struct peer spop;
	unsigned int asked;
};

static int make(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	inproc_open(&f.p);
	inproc_write_conf(&f.p, "", "", "");
	inproc_start(&f.p);
	peer_greet(&f.spop, &f.p);
	*state = &f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	peer_close(&f->spop);
	inproc_turn(&f->p, 3);
	inproc_stop(&f->p);
	inproc_close(&f->p);
	return 0;
}

static void goes_to(struct fixture *f, const char *server)
{
	char chosen[32];

	peer_route(&f->spop, &f->p, ++f->asked, chosen);
	assert_string_equal(chosen, server);
}

static void line(struct fixture *f, const char *text)
{
	assert_true(
	    ends_line(f->p.agent, inproc_clock, (const uint8_t *)text, strlen(text), true, "test"));
	inproc_turn(&f->p, 2);
}

/* The last request ends. */
static void ends(struct fixture *f, const char *rest)
{
	char text[256];

	snprintf(text, sizeof(text), "slo1 id=r%u %s", f->asked, rest);
	line(f, text);
}

static const struct roster_server *server(struct fixture *f, const char *name)
{
	return roster_server(roster_find(f->p.agent, "b", name));
}

static const struct served *served(struct fixture *f, const char *name)
{
	return roster_served(server(f, name), f->p.agent->models[0]);
}

static void an_answer_counts_for_the_server_that_gave_it(void **state)
{
	static const struct {
		const char *rest;
		enum elsewhere why;
		const char *said;
	} cases[] = {
		{ "be=b srv=s1 st=200 ts=---- ta=5 bytes=900 rc=+1", ELSEWHERE_REDISPATCHED,
		  "refused the connection" },
		{ "be=b srv=s1 st=200 ts=---- ta=5 bytes=900 rc=0", ELSEWHERE_SKIPPED,
		  "use-server" },
		{ "be=b srv=s1 st=200 ts=---- ta=5 bytes=900", ELSEWHERE_SKIPPED, "use-server" },
		{ "be=b srv=s9 st=200 ts=---- ta=5 bytes=900 rc=0", ELSEWHERE_UNKNOWN,
		  "named alike" },
		{ "be=c srv=s2 st=200 ts=---- ta=5 bytes=900 rc=0", ELSEWHERE_UNKNOWN,
		  "named alike" },
		{ "be=b srv=s1 st=200 ts=---- ta=5 bytes=900 rc=0 err=1", ELSEWHERE_UNHEARD,
		  "timeout processing" },
	};
	struct fixture *f = *state;
	uint64_t counted[ELSEWHERES] = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		goes_to(f, "s2");
		(void)inproc_log(&f->p);
		ends(f, cases[i].rest);
		assert_true(inproc_logged(&f->p, cases[i].said));
		counted[cases[i].why]++;
		assert_memory_equal(counted, served(f, "s2")->elsewhere, sizeof(counted));
	}
	assert_int_equal(served(f, "s1")->responses[RESPONSE_2XX], 4);
	assert_int_equal(served(f, "s2")->responses[RESPONSE_2XX], 0);
	assert_int_equal(server(f, "s1")->stats.requests, 3); /* not the one without a decision */
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- ta=5 bytes=900");
	assert_memory_equal(counted, served(f, "s2")->elsewhere, sizeof(counted));
	assert_int_equal(server(f, "s2")->stats.requests, 1);
}

static void answers_are_counted_by_class(void **state)
{
	/* No three failures in a row, or s2 were set aside. */
	static const struct {
		const char *rest;
		enum response r;
	} cases[] = {
		{ "srv=s2 st=204 ts=----", RESPONSE_2XX },
		{ "srv=s2 st=307 ts=----", RESPONSE_3XX },
		{ "srv=s2 st=404 ts=----", RESPONSE_4XX },
		{ "srv=s2 st=200 ts=SD--", RESPONSE_BROKEN },
		{ "srv=s2 st=200 ts=sD--", RESPONSE_BROKEN },
		{ "srv=s2 st=200 ts=----", RESPONSE_2XX },
		{ "srv=s2 st=502 ts=SH--", RESPONSE_5XX },
		{ "srv=s2 st=-1 ts=SD--", RESPONSE_NONE },
		{ "srv=s2 st=200 ts=----", RESPONSE_2XX },
		{ "srv=s2 st=200 ts=CD--", RESPONSE_LEFT },
		{ "srv=s2 st=-1 ts=CC--", RESPONSE_LEFT },
		{ "srv=s2 st=200 ts=DD--", RESPONSE_BROKEN },
		{ "srv=s2 st=200 ts=PD--", RESPONSE_BROKEN },
		{ "srv=s2 st=200 ts=KD--", RESPONSE_BROKEN },
		{ "srv=s2 st=200 ts=UD--", RESPONSE_BROKEN },
		{ "srv=s2 st=200 ts=LR--", RESPONSE_2XX },
		{ "srv=s2 st=403 ts=PR--", RESPONSE_4XX },
	};
	struct fixture *f = *state;
	uint64_t counted[RESPONSES] = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		goes_to(f, "s2");
		ends(f, cases[i].rest);
		counted[cases[i].r]++;
		assert_memory_equal(counted, served(f, "s2")->responses, sizeof(counted));
	}
}

/* <CACHE>, <STATS>, <lua.NAME>: HAProxy answered by itself, as with <NOSRV>. */
static void what_haproxy_answers_itself_is_by_no_server(void **state)
{
	static const char *const names[] = { "<NOSRV>", "<CACHE>", "<STATS>", "<lua.llm>" };
	const uint64_t none[ELSEWHERES] = { 0 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char rest[64];

		goes_to(f, "s2");
		snprintf(rest, sizeof(rest), "be=b srv=%s st=200 ts=LR-- ta=5 bytes=900", names[i]);
		(void)inproc_log(&f->p);
		ends(f, rest);
		assert_false(inproc_logged(&f->p, "named alike"));
	}
	assert_memory_equal(none, served(f, "s2")->elsewhere, sizeof(none));
}

/* The question ends with its client, and the rule in haproxy.cfg denies what is left. That breaks
 * no promise, and no server saw it. What ended without a server for another reason does break it.
 */
static void who_left_while_the_agent_was_asked_has_left(void **state)
{
	static const struct {
		const char *rest;
		enum lesson_outcome outcome;
	} cases[] = {
		{ "be=b srv=<NOSRV> st=503 tr=-1 ta=0 bytes=295 ts=PR-- err=5", LESSON_LEFT },
		{ "be=b srv=<NOSRV> st=503 tr=-1 ta=0 bytes=295 ts=PR-- err=4", LESSON_LEFT },
		{ "be=b srv=<NOSRV> st=429 tr=-1 ta=0 bytes=295 ts=PR-- err=5", LESSON_LEFT },
		{ "be=b st=503 tr=-1 ta=0 bytes=295 ts=PR-- err=5", LESSON_LEFT },
		{ "be=b srv=<NOSRV> st=503 tr=-1 ta=0 bytes=295 ts=PR-- err=1", LESSON_FAILED },
		{ "be=b srv=<NOSRV> st=503 tr=-1 ta=0 bytes=295 ts=PR-- err=257", LESSON_FAILED },
		{ "be=b srv=<NOSRV> st=503 tr=-1 ta=0 bytes=295 ts=PR-- err=-", LESSON_FAILED },
		{ "be=b srv=<NOSRV> st=503 tr=-1 ta=0 bytes=295 ts=SC-- err=-", LESSON_FAILED },
	};
	struct fixture *f = *state;
	const struct model_stats *m = &f->p.agent->models[0]->stats;
	uint64_t counted[LESSON_OUTCOME_COUNT] = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		goes_to(f, "s2");
		ends(f, cases[i].rest);
		counted[cases[i].outcome]++;
		assert_memory_equal(counted, m->ends, sizeof(counted));
		assert_int_equal(served(f, "s2")->responses[RESPONSE_5XX], 0);
	}
}

/* A port scan says nothing of log-format. */
static void what_was_no_request_is_no_fault_of_the_configuration(void **state)
{
	struct fixture *f = *state;

	(void)inproc_log(&f->p);
	for (int i = 0; i < 100; i++)
		line(f, "slo1 id=- be=llm srv=<NOSRV> st=400 tr=-1 ta=0 bytes=0 ts=PR-- in=-");
	assert_int_equal(f->p.agent->stats.end_lines[END_UNKNOWN], 100);
	assert_int_equal(f->p.agent->stats.end_lines[END_MALFORMED], 0);
	watch_judge(f->p.agent, inproc_clock + 60 * SECOND, 0);
	assert_null(warn_find(&f->p.agent->warnings, "log-format", NULL));
	assert_false(inproc_logged(&f->p, "valid id"));
}

/* What an administrator cuts off is no fault of the server, what a check finds dead is. */
static void who_cuts_an_answer_off_is_to_blame(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 6; i++) {
		goes_to(f, "s2");
		ends(f, i % 2 ? "srv=s2 st=200 ts=KD-- ta=5 bytes=900"
		              : "srv=s2 st=500 ts=KC-- ta=5 bytes=900");
	}
	for (int i = 0; i < 3; i++) {
		goes_to(f, "s2");
		ends(f, "srv=s2 st=200 ts=DD-- ta=5 bytes=900");
	}
	goes_to(f, "s1"); /* s2 is set aside */
}

static uint64_t first_tokens(const struct fixture *f)
{
	return f->p.agent->models[0]->stats.ttft.total;
}

/* The clients of this test ask for whole answers; that HAProxy saw a stream is said by tf=. */
static void the_first_token_is_told_by_the_first_byte_of_a_stream(void **state)
{
	struct fixture *f = *state;

	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900");
	assert_int_equal(first_tokens(f), 0);
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900 tf=700");
	assert_int_equal(first_tokens(f), 1);
	assert_true(f->p.agent->models[0]->stats.ttft.sum >= 0.7);
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900 tf=-");
	assert_int_equal(first_tokens(f), 1);
	/* HAProxy's clock was set forward, back, or by little. */
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900 tf=3600700");
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900 tf=-3599300");
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900 tf=9223372036854775807");
	assert_int_equal(first_tokens(f), 1);
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=900 bytes=900 tf=905");
	assert_int_equal(first_tokens(f), 2);
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=---- tr=3 ta=-1 bytes=900 tf=905");
	assert_int_equal(first_tokens(f), 2); /* without a time in all nothing is learned */
}

static size_t dispatched(const struct fixture *f)
{
	return sched_counts(f->p.agent->sched).dispatched;
}

#define REFUSED                                                                                  \
	"Server b/s2 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", " \
	"check duration: 0ms. 1 active and 0 backup servers left. "

static void requests_of_a_process_that_has_ended_are_over(void **state)
{
	struct fixture *f = *state;

	goes_to(f, "s2");
	goes_to(f, "s1");
	line(f, REFUSED "0 sessions active, 0 requeued, 0 remaining in queue.");
	assert_int_equal(dispatched(f), 1);
	assert_true(inproc_logged(&f->p, "server b/s2: its process has ended, so 1 requests"));
	line(f, "Server b/s2 is UP, reason: Layer7 check passed.");
	goes_to(f, "s2");
	assert_int_equal(dispatched(f), 2);
}

/* It closed its socket and finishes what it has. What it left undone is over when another process
 * is there. */
static void requests_of_a_process_that_ends_are_over_when_the_next_one_is_up(void **state)
{
	struct fixture *f = *state;

	goes_to(f, "s2");
	line(f, REFUSED "1 sessions active, 0 requeued, 0 remaining in queue.");
	assert_int_equal(dispatched(f), 1);
	line(f, "Server b/s2 is UP, reason: Layer7 check passed.");
	assert_int_equal(dispatched(f), 0);
}

static void a_server_that_is_only_slow_keeps_its_requests(void **state)
{
	static const char *const reasons[] = {
		/* In parentheses: one text over two lines. */
		("Layer4 timeout, check duration: 1001ms. 1 active and 0 backup servers left. 0 "
		 "sessions active, 0 requeued, 0 remaining in queue."),
		"Layer7 wrong status, code: 503, info: \"Connection refused 0 sessions active,\"",
		"Layer7 timeout, check duration: 1001ms.",
	};
	struct fixture *f = *state;
	char text[300];

	goes_to(f, "s2");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		snprintf(text, sizeof(text), "Server b/s2 is DOWN, reason: %s", reasons[i]);
		line(f, text);
		line(f, "Server b/s2 is UP, reason: Layer7 check passed.");
		assert_int_equal(dispatched(f), 1);
	}
}

static void ask_in_vain(struct fixture *f, const char *server)
{
	goes_to(f, server);
	/* Its end is not told: the lease is given up, so that there is room for the next. */
	while (sched_expire_oldest(f->p.agent->sched, inproc_clock,
	                           roster_find(f->p.agent, "b", server)))
		;
}

static void that_no_end_line_ever_comes_is_told_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		ask_in_vain(f, "s2");
	assert_false(inproc_logged(&f->p, "no end line"));
	inproc_pass(&f->p, 2 * SECOND); /* the watch looks */
	inproc_pass(&f->p, 29 * SECOND);
	assert_false(inproc_logged(&f->p, "no end line"));
	ask_in_vain(f, "s2");
	inproc_pass(&f->p, 2 * SECOND);
	assert_true(inproc_logged(&f->p, "no-end-lines: 9 requests went to servers since 31 s ago, "
	                                 "and HAProxy sent no end line"));
	inproc_pass(&f->p, 2 * SECOND);
	ask_in_vain(f, "s2");
	assert_false(inproc_logged(&f->p, "no end line"));
}

/* A part of the lines is lost: HAProxy samples them, or one of its frontends has none. */
static void ends_that_no_line_told_are_a_share_worth_a_word(void **state)
{
	static const char told[] = "20 of 80 requests ended and no end line told it: ";
	struct fixture *f = *state;
	uint64_t *end_lines = f->p.agent->stats.end_lines;
	const struct warnings *w = &f->p.agent->warnings;

	for (int i = 0; i < 19; i++)
		ask_in_vain(f, "s2");
	end_lines[END_CLOSED] += 60;
	inproc_pass(&f->p, 2 * SECOND);
	assert_null(warn_find(w, "lines-lost", NULL));
	ask_in_vain(f, "s2");
	inproc_pass(&f->p, 2 * SECOND);
	assert_int_equal(sched_counts(f->p.agent->sched).ends_lost, 20);
	assert_non_null(warn_find(w, "lines-lost", NULL));
	assert_memory_equal(warn_find(w, "lines-lost", NULL)->text, told, sizeof(told) - 1);
	end_lines[END_CLOSED] += 200;
	inproc_pass(&f->p, 2 * SECOND);
	end_lines[END_CLOSED] += 200;
	inproc_pass(&f->p, 2 * SECOND);
	assert_null(warn_find(w, "lines-lost", NULL));
}

static void a_warning_that_goes_with_the_agent_is_not_said_to_be_over(void **state)
{
	struct fixture *f = *state;
	struct agent *a = f->p.agent;

	warn_set(a, inproc_clock, "runtime-api", "first", "it gives no answer");
	warn_set(a, inproc_clock, "runtime-api", "second", "it gives no answer");
	warn_clear(a, inproc_clock, "runtime-api", "first");
	assert_true(inproc_logged(&f->p, "this warning is over for first"));
	a->warnings.stops = true;
	warn_clear(a, inproc_clock, "runtime-api", "second");
	assert_int_equal(a->warnings.count, 0);
	assert_false(inproc_logged(&f->p, "this warning is over"));
}

/* Long streams are silent, too. That HAProxy has them no more, and told no end, is odd. */
static void a_ring_is_no_silence_while_requests_may_run(void **state)
{
	struct fixture *f = *state;
	struct peer ring;

	peer_open(&ring, &f->p, "events");
	inproc_turn(&f->p, 2);
	goes_to(f, "s2");
	goes_to(f, "s1");
	inproc_pass(&f->p, 2 * SECOND);
	inproc_pass(&f->p, 31 * SECOND);
	assert_null(warn_find(&f->p.agent->warnings, "no-end-lines", NULL));
	for (const char *s = "s1"; s; s = strcmp(s, "s1") == 0 ? "s2" : NULL)
		while (sched_expire_oldest(f->p.agent->sched, inproc_clock,
		                           roster_find(f->p.agent, "b", s)))
			;
	for (int i = 0; i < 5; i++)
		ask_in_vain(f, "s2");
	inproc_pass(&f->p, 2 * SECOND);
	assert_non_null(warn_find(&f->p.agent->warnings, "no-end-lines", NULL));
	goes_to(f, "s2");
	ends(f, "be=b srv=s2 st=200 ts=----");
	inproc_pass(&f->p, 2 * SECOND);
	assert_null(warn_find(&f->p.agent->warnings, "no-end-lines", NULL));
	peer_close(&ring);
	inproc_turn(&f->p, 3);
}

static void sends(struct fixture *f, const char *text, size_t piece)
{
	size_t len = strlen(text);
	struct peer ring;

	peer_open(&ring, &f->p, "events");
	for (size_t at = 0; at < len; at += piece) {
		peer_send(&ring, text + at, len - at < piece ? len - at : piece);
		inproc_turn(&f->p, 2);
	}
	peer_close(&ring);
	inproc_turn(&f->p, 3);
}

/* The ring of HAProxy's own manual has "log-proto octet-count". */
static void lines_may_stand_behind_their_length(void **state)
{
	static const struct {
		const char *text;
		size_t unknown, malformed, dropped;
	} cases[] = {
		{ "12 slo1 id=%1$s20 <6>slo1 id=%1$s st=518 345 events dropped7 slo1 id", 1, 1,
		  345 },
		{ "13 slo1 id=%1$s\n13 slo1 id=%1$s\n", 1, 0, 0 },
		{ "12 slo1 id=%1$s", 1, 0, 0 },
		{ "12 slo1 id=%1$sslo1 id=x\n", 0, 0, 0 }, /* one line, of another's */
		{ "3 events dropped\nslo1 id=%1$s\n", 1, 0, 3 },
		{ "345 events dropped\nslo1 id=%1$s\n", 1, 0, 345 },
		{ "1 event dropped\n1 event dropped\nslo1 id=%1$s\n", 1, 0, 2 },
		{ "12 slo1 id=%1$s99999 slo1 id=y\n\n", 1, 1, 0 },
		{ "4711 slo1 id=%1$s\n4711 slo1 id=y%1$s\n", 2, 0, 0 }, /* a pid */
		{ "1764383483 slo1 id=%1$s\n", 1, 0, 0 },
		{ "2026-11-29T02:51 slo1 id=%1$s\n", 1, 0, 0 },
	};
	struct fixture *f = *state;
	const struct stats *st = &f->p.agent->stats;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 128; piece *= 2) {
			uint64_t before[3] = { st->end_lines[END_UNKNOWN],
				               st->end_lines[END_MALFORMED],
				               st->end_lines[END_DROPPED] };
			char text[512], id[48];

			snprintf(id, sizeof(id), "%02zu%02zu", i, piece % 100);
			snprintf(text, sizeof(text), cases[i].text, id);
			sends(f, text, piece);
			if (cases[i].unknown == 0)
				continue;
			assert_int_equal(st->end_lines[END_UNKNOWN] - before[0], cases[i].unknown);
			assert_int_equal(st->end_lines[END_MALFORMED] - before[1],
			                 cases[i].malformed);
			assert_int_equal(st->end_lines[END_DROPPED] - before[2], cases[i].dropped);
		}
}

/* The lines behind one that is too long come, as they do where newlines end them. */
static void no_ring_is_deaf_behind_a_line_that_is_too_long(void **state)
{
	static const char *const cases[] = {
		"12 slo1 id=%1$s9000 %2$s13 slo1 id=x%1$s",
		"9000 %2$s12 slo1 id=%1$s13 slo1 id=x%1$s",
		"slo1 id=%1$s\n%2$s\nslo1 id=x%1$s\n",
	};
	struct fixture *f = *state;
	const struct stats *st = &f->p.agent->stats;
	char long_line[9001], text[9200], id[48];

	memset(long_line, 'y', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 500; piece < 16000; piece *= 2) {
			uint64_t unknown = st->end_lines[END_UNKNOWN],
				 malformed = st->end_lines[END_MALFORMED];

			snprintf(id, sizeof(id), "%02zu%02zu", i, piece / 500);
			snprintf(text, sizeof(text), cases[i], id, long_line);
			sends(f, text, piece);
			assert_int_equal(st->end_lines[END_UNKNOWN] - unknown, 2);
			assert_int_equal(st->end_lines[END_MALFORMED] - malformed, 1);
		}
}

/* Nobody knows where the next one begins, so HAProxy has to connect anew. */
static void a_ring_that_leaves_lengths_out_is_closed(void **state)
{
	struct fixture *f = *state;
	const struct stats *st = &f->p.agent->stats;

	sends(f, "12 slo1 id=abcd12 slo1 id=efghslo1 id=mnop\n12 slo1 id=ijkl", 512);
	assert_int_equal(st->end_lines[END_UNKNOWN], 2);
	assert_int_equal(st->end_lines[END_MALFORMED], 1);
	assert_true(inproc_logged(&f->p, "a line stands there without its length"));
	assert_int_equal(st->event_connections, 0);
}

static void who_speaks_spop_to_the_event_listener_is_told(void **state)
{
	static const char half_a_line[] = "slo1 id=r1", frame[] = "\0\0\0\11\1\0\0";
	struct fixture *f = *state;
	struct peer peer;

	peer_open(&peer, &f->p, "events");
	peer_send(&peer, half_a_line, sizeof(half_a_line) - 1);
	inproc_turn(&f->p, 3);
	peer_close(&peer);
	inproc_turn(&f->p, 3);
	assert_true(inproc_logged(&f->p, "left in the middle of a line"));
	assert_false(inproc_logged(&f->p, "if it speaks SPOP"));
	peer_open(&peer, &f->p, "events");
	peer_send(&peer, frame, sizeof(frame));
	inproc_turn(&f->p, 3);
	peer_close(&peer);
	inproc_turn(&f->p, 3);
	assert_true(inproc_logged(&f->p, "sent no lines, and left: if it speaks SPOP"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_counts_for_the_server_that_gave_it),
		TEST(answers_are_counted_by_class),
		TEST(what_haproxy_answers_itself_is_by_no_server),
		TEST(who_cuts_an_answer_off_is_to_blame),
		TEST(who_left_while_the_agent_was_asked_has_left),
		TEST(what_was_no_request_is_no_fault_of_the_configuration),
		TEST(the_first_token_is_told_by_the_first_byte_of_a_stream),
		TEST(requests_of_a_process_that_has_ended_are_over),
		TEST(requests_of_a_process_that_ends_are_over_when_the_next_one_is_up),
		TEST(a_server_that_is_only_slow_keeps_its_requests),
		TEST(that_no_end_line_ever_comes_is_told_once),
		TEST(ends_that_no_line_told_are_a_share_worth_a_word),
		TEST(a_warning_that_goes_with_the_agent_is_not_said_to_be_over),
		TEST(a_ring_is_no_silence_while_requests_may_run),
		TEST(lines_may_stand_behind_their_length),
		TEST(no_ring_is_deaf_behind_a_line_that_is_too_long),
		TEST(a_ring_that_leaves_lengths_out_is_closed),
		TEST(who_speaks_spop_to_the_event_listener_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
