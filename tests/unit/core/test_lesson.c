/* What an end may teach, case by case. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/lesson.h"
#include "core/request.h"
#include "core/sched.h"

enum { P = 1, A = 2, S = 4 }; /* prompt, answer, size */

static struct request request_of(int32_t estimate, int32_t limit, bool stream, unsigned mute)
{
	return (struct request){ .input = estimate > 0 ? estimate : 100,
		                 .output = 64,
		                 .estimate = estimate,
		                 .limit = limit,
		                 .sequences = 1,
		                 .stream = stream,
		                 .mute = (uint8_t)mute };
}

static unsigned taught(const struct lesson *l)
{
	return (l->prompt ? P : 0u) | (l->answer ? A : 0u) | (l->size ? S : 0u);
}

static void an_end_teaches_what_it_says(void **state)
{
	static const struct {
		const char *what;
		int32_t estimate, limit;
		bool stream;
		unsigned mute;
		struct sched_outcome o; /* outcome is LESSON_ANSWERED */
		enum lesson_outcome outcome;
		unsigned teaches;
		int64_t output;
	} cases[] = {
#define TOLD(in, out, size) { .input = (in), .output = (out), .bytes = (size) }
		{ "whole", 115, -1, false, 0, TOLD(115, 200, 1700), LESSON_ANSWERED, P | A | S,
		  200 },
		{ "stream with usage", 115, -1, true, 0, TOLD(115, 200, 48000), LESSON_ANSWERED,
		  P | A | S, 200 },
		{ "stream without", 115, -1, true, 0, TOLD(-1, -1, 700 + 237 * 40), LESSON_ANSWERED,
		  A, 40 },
		{ "error in a stream", 115, -1, true, 0, TOLD(-1, -1, 420), LESSON_EMPTY, 0, 64 },
		{ "error, many headers", 115, -1, true, 0, TOLD(-1, -1, 900), LESSON_EMPTY, 0, 64 },
		{ "usage 0 in a stream", 115, -1, true, 0, TOLD(0, 0, 450), LESSON_EMPTY, 0, 64 },
		{ "aborted", 115, -1, true, 0, TOLD(115, 0, 800), LESSON_EMPTY, 0, 64 },
		{ "empty whole", 115, -1, false, 0, TOLD(115, 0, 600), LESSON_EMPTY, 0, 64 },
		{ "error as 200", 115, -1, false, 0, TOLD(-1, -1, 350), LESSON_EMPTY, 0, 64 },
		{ "tiny whole, untold", 115, -1, false, 0, TOLD(-1, -1, 650), LESSON_ANSWERED, 0,
		  1 },
		{ "usage always 0", 115, -1, false, 0, TOLD(0, 0, 1600), LESSON_ANSWERED, A, 200 },
		{ "nothing known", 115, -1, false, 0, TOLD(-1, -1, -1), LESSON_ANSWERED, 0, 64 },
		{ "a token", 115, -1, true, 0, TOLD(115, 1, 960), LESSON_ANSWERED, P | A | S, 1 },
		/* Usage that makes no sense. */
		{ "out is absurd", 115, -1, false, 0, TOLD(115, INT64_C(1) << 40, 1700),
		  LESSON_ANSWERED, P | A, 222 },
		{ "in is absurd", 115, -1, false, 0, TOLD(INT64_MAX, 200, 1700), LESSON_ANSWERED,
		  A | S, 200 },
		{ "in is far off", 115, -1, false, 0, TOLD(5000, 200, 1700), LESSON_ANSWERED, A | S,
		  200 },
		{ "in without cached", 1000, -1, false, 0, TOLD(14, 200, 1700), LESSON_ANSWERED,
		  A | S, 200 },
		{ "in is 0", 115, -1, false, 0, TOLD(0, 200, 1700), LESSON_ANSWERED, A | S, 200 },
		{ "cached beyond in",
		  115,
		  -1,
		  false,
		  0,
		  { .input = 115, .output = 200, .bytes = 1700, .cached = 300 },
		  LESSON_ANSWERED,
		  A | S,
		  200 },
		{ "cached",
		  115,
		  -1,
		  false,
		  0,
		  { .input = 115, .output = 200, .bytes = 1700, .cached = 100 },
		  LESSON_ANSWERED,
		  P | A | S,
		  200 },
		{ "beyond a usual limit", 115, 16, false, LESSON_NO_LIMIT, TOLD(115, 400, 2500),
		  LESSON_ANSWERED, P | A | S, 400 },
		{ "drafted a few more", 115, 50, false, 0, TOLD(115, 54, 1000), LESSON_ANSWERED,
		  P | A | S, 54 },
		{ "beyond the limit", 115, 50, false, 0, TOLD(115, 5000, 25000), LESSON_ANSWERED, P,
		  5000 },
		/* Limits. */
		{ "cut", 115, 128, false, 0, TOLD(115, 128, 1700), LESSON_ANSWERED, P | A | S,
		  128 },
		{ "probe", 115, 1, false, 0, TOLD(115, 1, 800), LESSON_ANSWERED, P | S, 1 },
		{ "a token of a stream", 115, 1, true, 0, TOLD(-1, -1, 450), LESSON_ANSWERED, 0,
		  1 },
		{ "hardly a token of 8", 115, 8, true, 0, TOLD(-1, -1, 450), LESSON_ANSWERED, 0,
		  1 },
		{ "stream below its limit", 115, 64, true, 0, TOLD(-1, -1, 700 + 237 * 40),
		  LESSON_ANSWERED, A, 40 },
		{ "stream beyond its limit", 115, 32, true, 0, TOLD(-1, -1, 700 + 237 * 40),
		  LESSON_ANSWERED, A, 32 },
		{ "beyond no limit", 115, 32, true, LESSON_NO_LIMIT, TOLD(-1, -1, 700 + 237 * 40),
		  LESSON_ANSWERED, A, 40 },
		{ "yes or no", 115, 5, true, 0, TOLD(-1, -1, 700 + 237 * 5), LESSON_ANSWERED, 0,
		  5 },
		{ "below a low limit", 115, 8, false, 0, TOLD(115, 3, 800), LESSON_ANSWERED,
		  P | A | S, 3 },
		{ "no answer wanted", 115, 0, false, 0, TOLD(115, 0, 300), LESSON_ANSWERED, P, 0 },
		/* Compressed. */
		{ "gzip",
		  115,
		  -1,
		  false,
		  0,
		  { .input = -1, .output = -1, .bytes = 380, .encoded = true },
		  LESSON_ANSWERED,
		  0,
		  64 },
		{ "gzip, told",
		  115,
		  -1,
		  false,
		  0,
		  { .input = 115, .output = 200, .bytes = 500, .encoded = true },
		  LESSON_ANSWERED,
		  P | A,
		  200 },
		/* Requests that cannot teach all. */
		{ "image", 30, -1, false, LESSON_NO_PROMPT, TOLD(90, 200, 1700), LESSON_ANSWERED,
		  A | S, 200 },
		{ "ignore_eos", 115, 512, false, LESSON_NO_OUTPUT, TOLD(115, 512, 4000),
		  LESSON_ANSWERED, P | S, 512 },
		{ "logprobs", 115, -1, false, LESSON_NO_SIZE, TOLD(115, 20, 90000), LESSON_ANSWERED,
		  P | A, 20 },
		{ "logprobs, untold", 115, -1, true, LESSON_NO_SIZE, TOLD(-1, -1, 90000),
		  LESSON_ANSWERED, 0, 64 },
		{ "embeddings", 115, 0, false, LESSON_NO_ANSWER, TOLD(115, -1, 22000),
		  LESSON_ANSWERED, P, 0 },
		{ "score", 115, 0, false, LESSON_NO_ANSWER, TOLD(115, 0, 250), LESSON_ANSWERED, P,
		  0 },
		{ "foreign", 115, -1, false, LESSON_NOTHING, TOLD(300, 200, 1700), LESSON_ANSWERED,
		  0, 200 },
		{ "told prompt", -1, -1, false, 0, TOLD(300, 200, 1700), LESSON_ANSWERED, A | S,
		  200 },
		{ "no prompt", 0, -1, false, 0, TOLD(300, 200, 1700), LESSON_ANSWERED, A | S, 200 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct request r =
		    request_of(cases[i].estimate, cases[i].limit, cases[i].stream, cases[i].mute);
		struct sched_outcome o = cases[i].o;
		struct estimator e;
		struct lesson l;

		estimator_init(&e);
		o.outcome = LESSON_ANSWERED;
		l = lesson_of(&r, &o, &e);
		if (l.outcome != cases[i].outcome || taught(&l) != cases[i].teaches ||
		    l.output != cases[i].output)
			print_error("%s: %s, teaches %u, output %d\n", cases[i].what,
			            lesson_outcome_name(l.outcome), taught(&l), (int)l.output);
		assert_int_equal(l.outcome, cases[i].outcome);
		assert_int_equal(taught(&l), cases[i].teaches);
		assert_int_equal(l.output, cases[i].output);
	}
}

static void the_first_event_of_an_answer_tells_its_size(void **state)
{
	struct request r = request_of(115, -1, true, 0);
	struct sched_outcome o = TOLD(-1, -1, 700 + 237 * 40);
	struct estimator e;

	(void)state;
	estimator_init(&e);
	o.outcome = LESSON_ANSWERED;
	assert_false(lesson_of(&r, &o, &e).event);
	o.event = 151;
	assert_true(lesson_of(&r, &o, &e).event);
	o.encoded = true;
	assert_false(lesson_of(&r, &o, &e).event);
	o.encoded = false;
	r.mute = LESSON_NO_ANSWER;
	assert_false(lesson_of(&r, &o, &e).event);
	r.mute = LESSON_NO_SIZE;
	assert_false(lesson_of(&r, &o, &e).event);
	r.mute = 0;
	o.bytes = 800; /* an error, say */
	assert_int_equal(lesson_of(&r, &o, &e).outcome, LESSON_EMPTY);
	assert_false(lesson_of(&r, &o, &e).event);
}

static void what_was_not_answered_teaches_nothing(void **state)
{
	static const enum lesson_outcome outcomes[] = { LESSON_LEFT, LESSON_FAILED, LESSON_REFUSED,
		                                        LESSON_ELSEWHERE };
	struct request r = request_of(115, -1, false, 0);
	struct estimator e;

	(void)state;
	estimator_init(&e);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		struct sched_outcome o = {
			.outcome = outcomes[i], .input = 115, .output = 200, .bytes = 1700
		};
		struct lesson l = lesson_of(&r, &o, &e);

		assert_int_equal(l.outcome, outcomes[i]);
		assert_int_equal(taught(&l), 0);
		assert_int_equal(l.output, 200);
	}
}

static void several_answers_teach_what_each_is_long(void **state)
{
	struct request r = request_of(115, 400, false, 0);
	struct sched_outcome o = {
		.outcome = LESSON_ANSWERED, .input = 115, .output = 202, .bytes = 1700
	};
	struct estimator e;
	struct lesson l;

	(void)state;
	estimator_init(&e);
	r.sequences = 4;
	l = lesson_of(&r, &o, &e);
	assert_true(l.answer);
	assert_int_equal(l.output, 202);
	assert_int_equal(l.each, 51);
	r.limit = 4 * 8; /* all are cut, at 8 each */
	o.output = 32;
	l = lesson_of(&r, &o, &e);
	assert_false(l.answer);
}

static void another_backend_has_other_answers(void **state)
{
	struct sched_model m = { .backend = "llama" };
	struct request r = request_of(115, -1, false, 0);
	struct sched_outcome o = {
		.outcome = LESSON_ANSWERED, .input = 115, .output = 202, .bytes = 1700
	};
	struct estimator e;

	(void)state;
	estimator_init(&e);
	r.model = &m;
	assert_int_equal(lesson_of(&r, &o, &e).outcome, LESSON_ANSWERED); /* not told */
	o.backend = (struct slice){ .p = (const uint8_t *)"llama", .len = 5 };
	assert_int_equal(lesson_of(&r, &o, &e).outcome, LESSON_ANSWERED);
	o.backend.len = 4;
	assert_int_equal(lesson_of(&r, &o, &e).outcome, LESSON_ELSEWHERE);
	o.backend = (struct slice){ .p = (const uint8_t *)"other", .len = 5 };
	assert_int_equal(lesson_of(&r, &o, &e).outcome, LESSON_ELSEWHERE);
}

static void status_and_state_tell_how_it_ended(void **state)
{
	static const struct {
		int64_t status;
		const char *ts; /* NULL: not told */
		enum lesson_outcome outcome;
	} cases[] = {
		{ 200, "--", LESSON_ANSWERED },   { 200, "----", LESSON_ANSWERED },
		{ 200, "--NI", LESSON_ANSWERED }, { 200, "CD", LESSON_LEFT },
		{ 200, "cD--", LESSON_LEFT },     { -1, "CC", LESSON_LEFT },
		{ 400, "CH--", LESSON_LEFT },     { 200, "SD", LESSON_FAILED },
		{ 200, "sD", LESSON_FAILED },     { 502, "SH", LESSON_FAILED },
		{ 503, "SC", LESSON_FAILED },     { 500, "--", LESSON_FAILED },
		{ 503, "--", LESSON_FAILED },     { 504, "sH", LESSON_FAILED },
		{ -1, "--", LESSON_FAILED },      { 200, NULL, LESSON_FAILED },
		{ 200, "-", LESSON_FAILED },      { 400, "--", LESSON_REFUSED },
		{ 404, "--", LESSON_REFUSED },    { 429, "LR", LESSON_REFUSED },
		{ 413, "----", LESSON_REFUSED },  { 302, "--", LESSON_REFUSED },
		{ 204, "--", LESSON_REFUSED },    { 500, "IR", LESSON_FAILED },
		{ 201, "--", LESSON_REFUSED },    { 202, "----", LESSON_REFUSED },
		{ 206, "--", LESSON_REFUSED },    { 304, "--", LESSON_REFUSED },
		{ 101, "--", LESSON_REFUSED },    { 101, "CD", LESSON_LEFT },
		{ 101, "SD", LESSON_FAILED },     { 100, "--", LESSON_REFUSED },
		{ 99, "--", LESSON_FAILED },      { 0, "--", LESSON_FAILED },
		{ 600, "--", LESSON_FAILED },     { 499, "--", LESSON_REFUSED },
		{ 206, "SD", LESSON_FAILED },     { INT64_MAX, "--", LESSON_FAILED },
		{ 429, "PR", LESSON_REFUSED },    { 403, "PH--", LESSON_REFUSED },
		{ 500, "PT", LESSON_FAILED },     { 502, "PH", LESSON_FAILED },
		{ 503, "LR", LESSON_FAILED },     { 400, "PR", LESSON_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *ts = cases[i].ts;
		struct slice s = { (const uint8_t *)ts, ts ? strlen(ts) : 0 };

		assert_int_equal(lesson_outcome_of(cases[i].status, s), cases[i].outcome);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_teaches_what_it_says),
		cmocka_unit_test(the_first_event_of_an_answer_tells_its_size),
		cmocka_unit_test(what_was_not_answered_teaches_nothing),
		cmocka_unit_test(several_answers_teach_what_each_is_long),
		cmocka_unit_test(another_backend_has_other_answers),
		cmocka_unit_test(status_and_state_tell_how_it_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
