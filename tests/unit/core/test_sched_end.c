/* Ends: of requests in every state, twice, unknown ones, none at all; and what is learned. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "sched_build.h"

static void the_end_of_a_dispatched_request_releases_it_once(void **state)
{
	struct rig *r = *state;

	submit(r, 0, "r1");
	routed(r, 0, "r1", "s1");
	assert_int_equal(r->server[1]->ledger.inflight, 1);
	assert_int_equal(end(r, SEC(1), "r1"), SCHED_END_CLOSED);
	assert_int_equal(r->server[1]->ledger.inflight, 0);
	assert_int_equal(end(r, SEC(1), "r1"), SCHED_END_DUPLICATE);
	assert_int_equal(end(r, SEC(2), "r1"), SCHED_END_DUPLICATE);
	assert_int_equal(r->server[1]->ledger.inflight, 0);
}

static void the_end_of_a_waiting_request_cancels_it(void **state)
{
	struct rig *r = *state;

	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_int_equal(end(r, SEC(1), "w"), SCHED_END_CANCELLED);
	assert_int_equal(end(r, SEC(1), "w"), SCHED_END_DUPLICATE);
	assert_int_equal(sched_counts(r->s).queued, 0);
	answer(r, SEC(1), "w", SLO_PASS, SLO_REASON_ENDED);
	assert_int_equal(end(r, SEC(1), "w"), SCHED_END_DUPLICATE);
	quiet(r, SEC(1));
}

static void the_end_of_a_request_before_its_first_step_cancels_it(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "p", 0);

	submit(r, 0, "r1");
	assert_int_equal(end(r, 0, "r1"), SCHED_END_CANCELLED);
	answer(r, 0, "r1", SLO_PASS, SLO_REASON_ENDED);
	req.strategy = SLO_STRATEGY_RANDOM;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	assert_int_equal(end(r, 0, "p"), SCHED_END_CANCELLED);
	answer(r, 0, "p", SLO_PASS, SLO_REASON_ENDED);
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).dispatched, 0);
}

static void a_cancelled_head_lets_the_next_of_its_bucket_go(void **state)
{
	struct rig *r = *state;
	const double in[] = { 800, 1300 }, tputs[] = { 2, 1 }; /* half a server, a whole one */
	struct deployment *d = sched_deployment_add(r->m, "l20");
	struct sched_request req = ask(r, "hold", 0);

	assert_int_equal(sched_profile_set(r->s, d, profile_by_input(2, in, tputs, 5)), SLO_OK);
	rig_server(r, d, "l0");
	sched_server_usable(r->s, r->server[0], false);
	sched_server_usable(r->s, r->server[1], false);
	req.input = 800;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	routed(r, 0, "hold", "l0");
	req.id = "head";
	req.input = 1100;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	quiet(r, 0);
	req.id = "next";
	req.input = 1000;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	quiet(r, 0);
	assert_int_equal(end(r, 0, "head"), SCHED_END_CANCELLED);
	answer(r, 0, "head", SLO_PASS, SLO_REASON_ENDED);
	routed(r, 0, "next", "l0");
}

static void the_end_of_a_refused_request_is_its_own_and_then_a_duplicate(void **state)
{
	struct rig *r = *state;

	sched_server_usable(r->s, r->server[0], false);
	sched_server_usable(r->s, r->server[1], false);
	submit(r, 0, "r1");
	answer(r, 0, "r1", SLO_REJECT, SLO_REASON_NO_SERVER);
	assert_int_equal(end(r, 0, "r1"), SCHED_END_CLOSED);
	assert_int_equal(end(r, 0, "r1"), SCHED_END_DUPLICATE);
}

static void an_end_is_told_from_the_first_line_on(void **state)
{
	struct rig *r = *state;

	assert_false(sched_ended(r->s, "r1", 2));
	submit(r, 0, "r1");
	assert_false(sched_ended(r->s, "r1", 2));
	routed(r, 0, "r1", "s1");
	assert_false(sched_ended(r->s, "r1", 2));
	assert_int_equal(end(r, 0, "r1"), SCHED_END_CLOSED);
	assert_true(sched_ended(r->s, "r1", 2));
	assert_false(sched_ended(r->s, "r10", 3));
	/* Refused, which is no end. */
	sched_server_usable(r->s, r->server[0], false);
	sched_server_usable(r->s, r->server[1], false);
	submit(r, 0, "r2");
	answer(r, 0, "r2", SLO_REJECT, SLO_REASON_NO_SERVER);
	assert_false(sched_ended(r->s, "r2", 2));
}

static void a_request_after_its_end_is_stale(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "r1", 0);

	assert_int_equal(end(r, 0, "r1"), SCHED_END_UNKNOWN);
	assert_int_equal(end(r, 0, "r1"), SCHED_END_DUPLICATE);
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_ESTALE);
	quiet(r, SEC(1));
	assert_int_equal(sched_counts(r->s).dispatched, 0);
}

static void an_id_that_passed_is_known_at_its_end(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "r1", 0);

	sched_note_passed(r->s, 0, "r1", 2);
	sched_note_passed(r->s, 0, "r1", 2);
	assert_int_equal(sched_counts(r->s).remembered, 1);
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_EINVAL);
	assert_int_equal(end(r, 0, "r1"), SCHED_END_CLOSED);
	assert_int_equal(end(r, 0, "r1"), SCHED_END_DUPLICATE);
	submit(r, 0, "r2");
	sched_note_passed(r->s, 0, "r2", 2); /* is another's: nothing happens */
	routed(r, 0, "r2", "s1");
}

static void an_ended_id_is_remembered_for_its_time(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "r1", 0);

	submit(r, 0, "r1");
	routed(r, 0, "r1", "s1");
	end(r, SEC(1), "r1");
	assert_int_equal(sched_submit(r->s, SEC(31) - 1, &req, NULL), SLO_ESTALE);
	assert_int_equal(sched_submit(r->s, SEC(31), &req, NULL), SLO_OK);
	routed(r, SEC(31), "r1", "s1");
}

static void ids_that_are_too_old_are_forgotten_at_a_wakeup(void **state)
{
	struct rig *r = *state;
	slo_nsec wakeup;

	end(r, 0, "a");
	end(r, MSEC(500), "b");
	wakeup = sched_next_wakeup(r->s);
	assert_true(wakeup >= SEC(30) && wakeup < SEC(32));
	quiet(r, wakeup);
	assert_int_equal(sched_counts(r->s).remembered, 0);
	assert_true(sched_next_wakeup(r->s) == SLO_NEVER);
}

static void only_so_many_ids_are_remembered(void **state)
{
	struct rig *r = *state;
	char id[16];

	r->conf.remember_limit = 10;
	sched_configure(r->s, &r->conf);
	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		assert_int_equal(end(r, 0, id), SCHED_END_UNKNOWN);
		assert_true(sched_counts(r->s).remembered <= 11);
	}
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).remembered, 10);
	assert_int_equal(end(r, 0, "r49"), SCHED_END_DUPLICATE);
	assert_int_equal(end(r, 0, "r0"), SCHED_END_UNKNOWN);
}

static void a_lease_is_given_up_at_its_age_and_not_sooner(void **state)
{
	struct rig *r = *state;

	r->conf.lease_max_age = SEC(60);
	r->conf.queue_timeout = SLO_NEVER;
	sched_configure(r->s, &r->conf);
	fill_up(r, 0);
	submit(r, SEC(1), "w");
	quiet(r, SEC(1));
	assert_true(sched_next_wakeup(r->s) == SEC(60));
	quiet(r, SEC(60) - 1);
	routed(r, SEC(60), "w", "s1");
	assert_int_equal(sched_counts(r->s).leases_expired, 4);
	assert_int_equal(sched_counts(r->s).dispatched, 1);
	/* Its end comes after all, and releases nothing. */
	assert_int_equal(end(r, SEC(61), "f0"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(61), "f0"), SCHED_END_DUPLICATE);
	assert_true(r->server[1]->ledger.used == SLO_LOAD_ONE / 2);
}

static void the_wakeup_is_the_earliest_of_all_reasons(void **state)
{
	struct rig *r = *state;

	r->conf.lease_max_age = SEC(20);
	sched_configure(r->s, &r->conf);
	fill_up(r, 0);
	submit(r, 0, "w");
	quiet(r, 0);
	assert_true(sched_next_wakeup(r->s) == SEC(20));
	r->conf.queue_timeout = SEC(7);
	sched_configure(r->s, &r->conf);
	assert_true(sched_next_wakeup(r->s) == SEC(7));
	r->conf.remember_ended = SEC(2);
	sched_configure(r->s, &r->conf);
	end(r, SEC(1), "unknown");
	assert_true(sched_next_wakeup(r->s) <= SEC(4));
}

static void an_abandoned_request_gets_no_answer(void **state)
{
	struct rig *r = *state;
	struct request *w;

	fill_up(r, 0);
	w = submit(r, 0, "w");
	quiet(r, 0);
	sched_abandon(r->s, SEC(1), w);
	sched_check(r->s);
	assert_int_equal(sched_counts(r->s).queued, 0);
	end(r, SEC(1), "f0");
	quiet(r, SEC(1));
	assert_int_equal(end(r, SEC(1), "w"), SCHED_END_CLOSED);
	assert_int_equal(end(r, SEC(1), "w"), SCHED_END_DUPLICATE);
}

static void a_request_may_be_abandoned_before_its_first_step(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "p", 0);
	struct request *p;

	sched_abandon(r->s, 0, submit(r, 0, "r1"));
	req.strategy = SLO_STRATEGY_LEAST_REQUEST;
	assert_int_equal(sched_submit(r->s, 0, &req, &p), SLO_OK);
	sched_abandon(r->s, 0, p);
	quiet(r, 0);
	assert_int_equal(sched_counts(r->s).remembered, 2);
}

static void an_abandoned_head_lets_others_go(void **state)
{
	struct rig *r = *state;
	struct request *head;

	fill_up(r, 0);
	head = submit(r, 0, "head");
	quiet(r, 0);
	submit(r, 0, "next");
	quiet(r, 0);
	sched_abandon(r->s, 0, head);
	quiet(r, 0);
	end(r, 0, "f0");
	routed(r, 0, "next", "s1");
}

static void an_end_tells_the_best_known_counts(void **state)
{
	struct rig *r = *state;
	struct sched_end e;

	submit(r, 0, "r1");
	routed(r, 0, "r1", "s1");
	e = end_with(r, 0, "r1",
	             (struct sched_outcome){
			 .outcome = LESSON_ANSWERED, .input = 500, .output = -1, .bytes = -1 });
	assert_string_equal(e.request->id, "r1");
	assert_int_equal(e.input, 500);
	assert_int_equal(e.output, 64); /* as predicted */
	submit(r, 0, "r2");
	routed(r, 0, "r2", "s1");
	e = end_with(r, 0, "r2",
	             (struct sched_outcome){
			 .outcome = LESSON_ANSWERED, .input = -1, .output = 7, .bytes = -1 });
	assert_int_equal(e.input, 512);
	assert_int_equal(e.output, 7);
	e = end_with(r, 0, "r2",
	             (struct sched_outcome){
			 .outcome = LESSON_ANSWERED, .input = -1, .output = 7, .bytes = -1 });
	assert_null(e.request);
}

/* Predicts an answer for a prompt of 512 tokens. */
static int32_t prediction(struct rig *r, slo_nsec now, const char *id, int64_t max_output)
{
	struct sched_request req = ask(r, id, now);
	struct request *out;
	int32_t predicted;

	req.output = -1;
	req.max_output = max_output;
	assert_int_equal(sched_submit(r->s, now, &req, &out), SLO_OK);
	predicted = out->output;
	routed(r, now, id, "s1");
	return predicted;
}

static void completed_answers_are_what_predictions_learn_from(void **state)
{
	struct rig *r = *state;

	assert_int_equal(prediction(r, 0, "r1", -1), 1); /* optimistic */
	end_with(
	    r, 0, "r1",
	    (struct sched_outcome){
		.outcome = LESSON_LEFT, .input = -1, .output = 256, .bytes = -1 }); /* was cut */
	assert_int_equal(prediction(r, 0, "r2", -1), 1);
	end_with(r, 0, "r2",
	         (struct sched_outcome){
		     .outcome = LESSON_ANSWERED, .input = -1, .output = 256, .bytes = -1 });
	assert_int_equal(prediction(r, 0, "r3", -1), 256);
	end(r, 0, "r3");
	assert_int_equal(prediction(r, 0, "r4", 100), 100); /* its limit */
	end(r, 0, "r4");
	assert_int_equal(prediction(r, SEC(240), "r5", -1), 1); /* out of the window */
}

static void the_cold_option_is_used_until_something_ended(void **state)
{
	struct rig *r = *state;

	r->conf.cold = SLO_COLD_MAX;
	sched_configure(r->s, &r->conf);
	assert_int_equal(prediction(r, 0, "r1", 300), 300);
	end(r, 0, "r1");
	r->conf.cold = SLO_COLD_INPUT;
	sched_configure(r->s, &r->conf);
	assert_int_equal(prediction(r, 0, "r2", -1), 512);
}

static void a_limit_beyond_all_counts_is_one(void **state)
{
	struct rig *r = *state;
	struct sched_request req = ask(r, "huge", 0);
	struct request *out;

	r->conf.cold = SLO_COLD_MAX;
	sched_configure(r->s, &r->conf);
	req.output = -1;
	req.max_output = INT64_MAX;
	req.sequences = 2;
	assert_int_equal(sched_submit(r->s, 0, &req, &out), SLO_OK);
	assert_int_equal(out->output, INT32_MAX);
	routed(r, 0, "huge", "s1");
}

static int32_t input_of(struct rig *r, const char *id, int64_t input, bool told)
{
	struct sched_request req = ask(r, id, 0);
	struct request *out;
	int32_t taken;

	req.input = input;
	req.input_told = told;
	assert_int_equal(sched_submit(r->s, 0, &req, &out), SLO_OK);
	taken = out->input;
	routed(r, 0, id, "s1");
	return taken;
}

static void real_counts_correct_later_estimates_of_the_prompt(void **state)
{
	struct rig *r = *state;
	char id[16];

	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		input_of(r, id, 1000, false);
		end_with(
		    r, 0, id,
		    (struct sched_outcome){
			.outcome = LESSON_ANSWERED, .input = 2000, .output = 10, .bytes = -1 });
	}
	assert_in_range(input_of(r, "estimated", 1000, false), 1999, 2001);
	end(r, 0, "estimated");
	assert_int_equal(input_of(r, "told", 1000, true), 1000);
}

static void told_prompts_teach_nothing(void **state)
{
	struct rig *r = *state;

	input_of(r, "r1", 1000, true);
	end_with(r, 0, "r1",
	         (struct sched_outcome){
		     .outcome = LESSON_ANSWERED, .input = 4000, .output = 10, .bytes = -1 });
	assert_true(estimator_factor(&r->m->estimator) == 1);
}

static void the_size_of_an_answer_stands_in_for_its_tokens(void **state)
{
	struct rig *r = *state;
	struct sched_end e;
	char id[16];

	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		input_of(r, id, 512, true);
		end_with(r, 0, id,
		         (struct sched_outcome){ .outcome = LESSON_ANSWERED,
		                                 .input = -1,
		                                 .output = 100,
		                                 .bytes = ESTIMATOR_FIXED + 700 });
	}
	input_of(r, "bytes", 512, true);
	e = end_with(r, 0, "bytes",
	             (struct sched_outcome){ .outcome = LESSON_ANSWERED,
	                                     .input = -1,
	                                     .output = -1,
	                                     .bytes = ESTIMATOR_FIXED + 7 * 300 });
	assert_in_range(e.output, 299, 301);
}

/* Submits a request whose "stream" flag lay behind the cut of its body. */
static void unseen(struct rig *r, const char *id)
{
	struct sched_request req = ask(r, id, 0);

	req.input = 512;
	req.input_told = true;
	req.stream = req.stream_guessed = true;
	assert_int_equal(sched_submit(r->s, 0, &req, NULL), SLO_OK);
	routed(r, 0, id, "s1");
}

static void an_answer_that_was_only_guessed_to_be_a_stream_teaches_no_size(void **state)
{
	struct rig *r = *state;
	struct sched_end e;
	double before = estimator_bytes_per_token(&r->m->estimator, true);

	unseen(r, "whole");
	end_with(r, 0, "whole",
	         (struct sched_outcome){ .outcome = LESSON_ANSWERED,
	                                 .input = -1,
	                                 .output = 100,
	                                 .bytes = ESTIMATOR_FIXED + 500 });
	assert_true(estimator_bytes_per_token(&r->m->estimator, true) == before);
	unseen(r, "stream");
	e = end_with(r, 0, "stream",
	             (struct sched_outcome){ .outcome = LESSON_ANSWERED,
	                                     .input = -1,
	                                     .output = -1,
	                                     .bytes = ESTIMATOR_FIXED + (int64_t)(before * 40) });
	assert_in_range(e.output, 39, 41);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_end_of_a_dispatched_request_releases_it_once),
		TEST(the_end_of_a_waiting_request_cancels_it),
		TEST(the_end_of_a_request_before_its_first_step_cancels_it),
		TEST(a_cancelled_head_lets_the_next_of_its_bucket_go),
		TEST(the_end_of_a_refused_request_is_its_own_and_then_a_duplicate),
		TEST(an_end_is_told_from_the_first_line_on),
		TEST(a_request_after_its_end_is_stale),
		TEST(an_id_that_passed_is_known_at_its_end),
		TEST(an_ended_id_is_remembered_for_its_time),
		TEST(ids_that_are_too_old_are_forgotten_at_a_wakeup),
		TEST(only_so_many_ids_are_remembered),
		TEST(a_lease_is_given_up_at_its_age_and_not_sooner),
		TEST(the_wakeup_is_the_earliest_of_all_reasons),
		TEST(an_abandoned_request_gets_no_answer),
		TEST(a_request_may_be_abandoned_before_its_first_step),
		TEST(an_abandoned_head_lets_others_go),
		TEST(an_end_tells_the_best_known_counts),
		TEST(completed_answers_are_what_predictions_learn_from),
		TEST(a_limit_beyond_all_counts_is_one),
		TEST(the_cold_option_is_used_until_something_ended),
		TEST(real_counts_correct_later_estimates_of_the_prompt),
		TEST(told_prompts_teach_nothing),
		TEST(the_size_of_an_answer_stands_in_for_its_tokens),
		TEST(an_answer_that_was_only_guessed_to_be_a_stream_teaches_no_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
