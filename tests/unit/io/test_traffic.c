/* Requests and ends as they come in the wild, through the agent as it is: which wait for a server,
 * which pass, what is charged for them and what their ends teach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/predictor.h"
#include "traffic_case.h"
#include "wire/rd.h"

static void a_body_that_cannot_be_read_goes_by_the_model_header(void **state)
{
	static const struct {
		const char *bytes, *encoding, *ctype;
		int64_t low, high;
	} cases[] = {
		{ "\x1f\x8b\x08", NULL, NULL, 300, 3000 },
		{ "\x28\xb5\x2f\xfd", NULL, NULL, 300, 3000 },
		{ "\x0b\x02", "br", NULL, 300, 3000 },
		{ "\xff\xfe{", NULL, NULL, 100, 1000 },
		{ "--x\r\n", NULL, "multipart/form-data; boundary=x", 0, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route_msg msg = message("/v1/chat/completions", cases[i].bytes);
		const struct request *r;

		msg.size = 2000;
		msg.encoding = words(cases[i].encoding);
		msg.ctype = words(cases[i].ctype);
		assert_null(ask_with(f, msg));
		assert_answer(f, SLO_PASS, SLO_REASON_BAD_REQUEST, NULL);
		msg.model = words("m");
		r = ask_with(f, msg);
		assert_non_null(r);
		assert_in_range(r->input, cases[i].low, cases[i].high);
		end(f, "be=b" OK " bytes=1700 in=90 out=200");
		msg.prompt_tokens = 500;
		r = ask_with(f, msg);
		assert_int_equal(r->input, 500);
		end(f, "be=b" OK " bytes=1700 in=90 out=200");
		msg.model = words("nobody's");
		assert_null(ask_with(f, msg));
		assert_answer(f, SLO_PASS, SLO_REASON_UNKNOWN_MODEL, NULL);
	}
	assert_int_equal(estimator(f)->input.samples, 0);
	assert_int_equal(predictor_samples(f->p.agent->models[0]->sched->predictor, inproc_clock),
	                 0);
	assert_int_equal(f->p.agent->stats.bodies[BODY_COMPRESSED], 12);
	assert_int_equal(f->p.agent->stats.bodies[BODY_WIDE16], 4);
	assert_int_equal(f->p.agent->stats.bodies[BODY_MULTIPART], 4);
}

static void a_form_goes_by_its_field(void **state)
{
	struct fixture *f = *state;
	struct route_msg msg = message("/v1/audio/transcriptions",
	                               "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n"
	                               "\r\nm-2\r\n--x\r\nContent-Disposition: form-data; "
	                               "name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF");
	const struct request *r;

	msg.size = 3000000;
	r = ask_with(f, msg);
	assert_non_null(r);
	assert_string_equal(f->answer.backend, "m-2");
	assert_int_equal(r->input, 0);
	end(f, "be=m-2" OK " bytes=1700");
}

static void a_byte_order_mark_or_a_nan_is_no_reason_to_pass(void **state)
{
	struct fixture *f = *state;

	assert_non_null(
	    ask(f, "/v1/completions", "\xef\xbb\xbf{\"model\":\"m-2\",\"prompt\":\"x\"}"));
	assert_string_equal(f->answer.backend, "m-2");
	end(f, "");
	assert_non_null(
	    ask(f, "/v1/completions", "{\"temperature\":NaN,\"model\":\"m-2\",\"prompt\":\"x\"}"));
	assert_string_equal(f->answer.backend, "m-2");
	end(f, "");
}

static void the_last_model_and_limit_of_a_body_are_charged(void **state)
{
	struct fixture *f = *state;
	const struct request *r =
	    ask(f, "/v1/completions",
	        "{\"model\":\"m\",\"model\":\"m-2\",\"prompt\":\"x\",\"max_tokens\":5,"
	        "\"max_tokens\":4000,\"ignore_eos\":true}");

	assert_string_equal(f->answer.backend, "m-2");
	assert_int_equal(r->output, 4000);
	end(f, "");
	assert_null(ask(f, "/v1/completions", "{\"model\":\"m\",\"model\":\"other\"}"));
	assert_answer(f, SLO_PASS, SLO_REASON_UNKNOWN_MODEL, NULL);
}

static void aliases_lead_to_their_model(void **state)
{
	static const struct {
		const char *name, *backend;
	} cases[] = {
		{ "m", "b" },      { "m-2", "m-2" },    { "m-3", "b" }, /* of m, which stands first
		                                                         */
		{ "m-lora", "b" }, { "base:x/y", "b" }, { "Model", "b" },  { "model", "b" },
		{ "two", "m-2" },  { "Two", NULL },     { "MODEL", NULL }, { "xm-1", NULL },
		{ "base", NULL },  { "m*", NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[128];

		snprintf(body, sizeof(body), "{\"model\":\"%s\",\"prompt\":\"x\"}", cases[i].name);
		if (!cases[i].backend) {
			assert_null(ask(f, "/v1/completions", body));
			assert_answer(f, SLO_PASS, SLO_REASON_UNKNOWN_MODEL, NULL);
			continue;
		}
		assert_non_null(ask(f, "/v1/completions", body));
		assert_string_equal(f->answer.backend, cases[i].backend);
		end(f, "");
	}
}

static void names_that_nobody_serves_are_told(void **state)
{
	struct fixture *f = *state;
	const struct unknown_models *u = &f->p.agent->unknown;
	char body[128];

	for (int i = 0; i < 3; i++)
		assert_null(ask(f, "/v1/completions", "{\"model\":\"gpt\\n5\",\"prompt\":\"x\"}"));
	assert_true(inproc_logged(&f->p, "the model \"gpt?5\" is asked for and not configured"));
	assert_int_equal(u->count, 1);
	assert_int_equal(u->model[0].requests, 3);
	for (int i = 0; i < 1000; i++) {
		snprintf(body, sizeof(body), "{\"model\":\"made-up-%d\",\"prompt\":\"x\"}", i);
		assert_null(ask(f, "/v1/completions", body));
		if (i % 10 == 0)
			assert_null(
			    ask(f, "/v1/completions", "{\"model\":\"gpt\\n5\",\"prompt\":\"x\"}"));
	}
	assert_int_equal(u->count, UNKNOWN_MODELS_MAX);
	assert_string_equal(u->model[0].name, "gpt?5"); /* what is asked for often stays */
}

static void a_header_that_is_no_number_is_told(void **state)
{
	struct fixture *f = *state;
	struct route_msg msg = message("/v1/completions", "{\"prompt\":\"x\"}");

	msg.bad = words("5s");
	msg.bad_name = words("slo_ttft_ms");
	msg.bad_count = 2;
	assert_non_null(ask_with(f, msg));
	end(f, "");
	assert_int_equal(f->p.agent->stats.bad_arguments, 2);
	assert_true(inproc_logged(&f->p, "slo_ttft_ms is \"5s\", which is no whole number"));
}

static void images_do_not_teach_the_text_factor(void **state)
{
	static const char image[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
				    "[{\"type\":\"image_url\","
				    "\"image_url\":{\"url\":\"https://h.example/"
				    "i.png\"}},{\"type\":\"text\",\"text\":\"What "
				    "is in this picture, please tell me?\"}]}]}";
	static const char more[] =
	    "{\"model\":\"m\",\"previous_response_id\":\"resp_1\",\"input\":\"Go on with the story "
	    "of "
	    "the scheduler, and tell me in full what it did with the other requests\"}";
	struct fixture *f = *state;
	int32_t before = ask(f, "/v1/chat/completions", CHAT)->input;
	char rest[128];

	snprintf(rest, sizeof(rest), "be=b" OK " bytes=1700 out=200 in=%d", (int)before);
	end(f, rest);
	for (int i = 0; i < 10; i++) {
		ask(f, "/v1/chat/completions", image);
		end(f, "be=b" OK " bytes=1700 in=900 out=200");
		ask(f, "/v1/responses", more);
		end(f, "be=b" OK " bytes=1700 in=90 out=200");
	}
	assert_int_equal(ask(f, "/v1/chat/completions", CHAT)->input, before);
	end(f, "");
	assert_int_equal(estimator(f)->input.samples, 1);
}

/* What the next chat is predicted to answer. */
static int32_t predicted(struct fixture *f)
{
	int32_t output = ask(f, "/v1/chat/completions", STREAM)->output;

	end(f, "");
	return output;
}

static void errors_inside_streams_teach_and_meet_nothing(void **state)
{
	static const char *const ends[] = {
		"be=b srv=s1 st=200 ts=---- tr=5 ta=15 bytes=420 in=- out=-",
		"be=b srv=s1 st=200 ts=---- tr=5 ta=15 bytes=860",
		"be=b srv=s1 st=200 ts=---- tr=5 ta=15 bytes=700 in=30 out=0",
		"be=b srv=s1 st=200 ts=---- tr=5 ta=15 bytes=400 in=0 out=0",
		"be=b srv=s1 st=500 ts=---- tr=5 ta=15 bytes=60000",
		"be=b srv=s1 st=200 ts=SD-- tr=5 ta=15 bytes=60000",
		"be=b srv=s1 st=200 ts=CD-- tr=5 ta=15 bytes=60000",
		"be=other srv=s1 st=200 ts=---- tr=5 ta=15 bytes=60000",
		"be=b srv=s1 st=200 ts=---- tr=5 ta=15 bytes=900000 err=259",
	};
	struct fixture *f = *state;
	const struct agent_model *m = f->p.agent->models[0];
	const struct outcome_stats *o = &m->stats.outcome[SLO_STRATEGY_LEAST_LOAD][SLO_ROUTE];

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", STREAM);
		end(f, "be=b" OK " bytes=61372");
	}
	assert_int_equal(predicted(f), 256);
	assert_int_equal(o->met, 5);
	for (size_t i = 0; i < 6 * sizeof(ends) / sizeof(ends[0]); i++) {
		ask(f, "/v1/chat/completions", STREAM);
		end(f, ends[i % (sizeof(ends) / sizeof(ends[0]))]);
	}
	assert_int_equal(predicted(f), 256);
	assert_int_equal(o->met, 5);
	assert_int_equal(o->missed, 12 + 2); /* those that failed */
	assert_int_equal(m->stats.ends[LESSON_ANSWERED], 5);
	assert_int_equal(m->stats.ends[LESSON_EMPTY], 24);
	assert_int_equal(m->stats.ends[LESSON_FAILED], 12 + 2); /* and predicted()'s */
	assert_int_equal(m->stats.ends[LESSON_LEFT], 6);
	assert_int_equal(m->stats.ends[LESSON_ELSEWHERE], 12);
}

/* An id that a client wrote, and writes again with its next try: one after the other does no harm
 * but goes past the queue. An end line that is faster than its question is no such thing. */
static void an_id_that_comes_again_after_its_end_is_told(void **state)
{
	struct fixture *f = *state;

	ask(f, "/v1/chat/completions", CHAT);
	end(f, "be=b" OK " bytes=900");
	f->ids--;
	ask(f, "/v1/chat/completions", CHAT);
	assert_answer(f, SLO_PASS, SLO_REASON_ENDED, NULL);
	assert_true(inproc_logged(&f->p, "unique-id r1 is in use already"));
	f->ids = 2;
	end(f, "be=b" OK " bytes=900");
	f->ids = 1;
	ask(f, "/v1/chat/completions", CHAT);
	assert_answer(f, SLO_PASS, SLO_REASON_ENDED, NULL);
	assert_false(inproc_logged(&f->p, "unique-id"));
}

/* The engine says at once that it will work, and is asked for the answer later. */
static void a_receipt_teaches_and_meets_nothing(void **state)
{
	struct fixture *f = *state;
	const struct agent_model *m = f->p.agent->models[0];
	char body[512];

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/responses", STREAM);
		end(f, "be=b" OK " bytes=61372");
	}
	snprintf(body, sizeof(body), "{\"background\":true,%s", &CHAT[1]);
	for (int i = 0; i < 20; i++) {
		ask(f, "/v1/responses", body);
		end(f, "be=b srv=s1 st=200 ts=---- tr=5 ta=6 bytes=1200");
	}
	assert_int_equal(predicted(f), 256);
	assert_int_equal(m->stats.ends[LESSON_ANSWERED], 5);
	assert_int_equal(m->stats.ends[LESSON_REFUSED], 20);
	snprintf(body, sizeof(body), "{\"background\":true,%s", &STREAM[1]);
	ask(f, "/v1/responses", body);
	end(f, "be=b" OK " bytes=61372");
	assert_int_equal(m->stats.ends[LESSON_ANSWERED], 6);
}

static void a_server_that_only_sends_errors_inside_streams_is_named(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 19; i++) {
		ask(f, "/v1/chat/completions", STREAM);
		end(f, i == 9 ? "be=b" OK " bytes=42000" : "be=b" OK " bytes=420");
	}
	assert_false(inproc_logged(&f->p, "nothing in them"));
	ask(f, "/v1/chat/completions", STREAM);
	end(f, "be=b" OK " bytes=420");
	assert_true(inproc_logged(&f->p, "s1: its last 10 answers had status 200"));
}

static void compressed_answers_have_no_size(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", CHAT);
		end(f, "be=b" OK " bytes=900 enc=gzip");
		ask(f, "/v1/chat/completions", CHAT);
		end(f, "be=b" OK " bytes=900 in=40 out=500 enc=br");
	}
	assert_int_equal(estimator(f)->json.samples, 0);
	assert_int_equal(predicted(f), 512);
}

/* By an Accept header, or since a gateway has its own mind. HAProxy tells by tf= that it was one.
 */
static void a_stream_that_nobody_asked_for_has_no_size(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", CHAT);
		end(f, "be=b" OK " bytes=120000 tf=50");
	}
	assert_int_equal(estimator(f)->json.samples, 0);
	assert_int_equal(predicted(f), 1); /* nothing was learned */
	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", CHAT);
		end(f, "be=b" OK " bytes=120000 tf=50 in=40 out=500");
	}
	assert_int_equal(estimator(f)->json.samples, 0);
	assert_int_equal(predicted(f), 512);
}

/* Comments that keep the connection open, or the last event alone: some 100 bytes with the headers.
 */
static void a_stream_that_nobody_asked_for_may_be_empty(void **state)
{
	struct fixture *f = *state;
	const struct agent_model *m = f->p.agent->models[0];

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", CHAT);
		end(f, "be=b" OK " bytes=220 tf=50");
	}
	assert_int_equal(m->stats.ends[LESSON_EMPTY], 5);
	assert_int_equal(m->stats.ends[LESSON_ANSWERED], 0);
	assert_int_equal(estimator(f)->json.samples, 0);
	assert_int_equal(predicted(f), 1); /* nothing was learned */
	ask(f, "/v1/chat/completions", CHAT);
	end(f, "be=b" OK " bytes=220 tf=50 in=40 out=2"); /* small, but not empty */
	assert_int_equal(m->stats.ends[LESSON_ANSWERED], 1);
	assert_int_equal(estimator(f)->json.samples, 0);
	ask(f, "/v1/chat/completions", CHAT);
	end(f, "be=b" OK " bytes=120000 tf=50");
	assert_int_equal(m->stats.ends[LESSON_ANSWERED], 2);
	assert_int_equal(m->stats.ends[LESSON_EMPTY], 5);
}

/* Labels, judgements and probes stand beside chats of the same size of prompt. */
static void short_answers_do_not_make_long_ones_look_short(void **state)
{
	static const char *const more[] = {
		"\"max_tokens\":16,",
		"\"max_tokens\":1,",
		"\"response_format\":{\"type\":\"json_object\"},",
		"\"max_tokens\":8,\"tools\":[{\"type\":\"function\"}],",
	};
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", STREAM);
		end(f, "be=b" OK " bytes=61372");
	}
	for (int i = 0; i < 100; i++) {
		char body[512];

		snprintf(body, sizeof(body), "{%s%s", more[i % 4], &STREAM[1]);
		ask(f, "/v1/chat/completions", body);
		end(f, "be=b" OK " bytes=1100 in=40 out=1");
	}
	assert_int_equal(predicted(f), 256);
}

static void several_answers_are_several_times_as_long(void **state)
{
	struct fixture *f = *state;
	char body[512];

	for (int i = 0; i < 5; i++) {
		ask(f, "/v1/chat/completions", STREAM);
		end(f, "be=b" OK " bytes=61372");
	}
	snprintf(body, sizeof(body), "{\"n\":4,%s", &STREAM[1]);
	assert_int_equal(ask(f, "/v1/chat/completions", body)->output, 4 * 256);
	end(f, "be=b" OK " bytes=245000");
	assert_int_equal(predicted(f), 256);
	snprintf(body, sizeof(body), "{\"n\":4,\"max_tokens\":10,%s", &STREAM[1]);
	assert_int_equal(ask(f, "/v1/chat/completions", body)->output, 40);
	end(f, "be=b" OK " bytes=9000");
	snprintf(body, sizeof(body), "{\"min_tokens\":1000,%s", &STREAM[1]);
	assert_int_equal(ask(f, "/v1/chat/completions", body)->output, 1000);
	end(f, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_that_cannot_be_read_goes_by_the_model_header),
		TEST(a_form_goes_by_its_field),
		TEST(a_byte_order_mark_or_a_nan_is_no_reason_to_pass),
		TEST(the_last_model_and_limit_of_a_body_are_charged),
		TEST(aliases_lead_to_their_model),
		TEST(names_that_nobody_serves_are_told),
		TEST(a_header_that_is_no_number_is_told),
		TEST(images_do_not_teach_the_text_factor),
		TEST(errors_inside_streams_teach_and_meet_nothing),
		TEST(an_id_that_comes_again_after_its_end_is_told),
		TEST(a_receipt_teaches_and_meets_nothing),
		TEST(a_server_that_only_sends_errors_inside_streams_is_named),
		TEST(compressed_answers_have_no_size),
		TEST(a_stream_that_nobody_asked_for_has_no_size),
		TEST(a_stream_that_nobody_asked_for_may_be_empty),
		TEST(short_answers_do_not_make_long_ones_look_short),
		TEST(several_answers_are_several_times_as_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
