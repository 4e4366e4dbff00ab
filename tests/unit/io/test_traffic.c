/* Requests and ends as they come in the wild, through the agent as it is: which wait for a server,
 * which pass, what is charged for them and what their ends teach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/predictor.h"
#include "inproc.h"
#include "io/agent/ends.h"
#include "wire/rd.h"

struct fixture {
	struct inproc p;
	unsigned int ids;
	struct answer answer; /* the last one */
	bool answered;
};

static struct fixture *present; /* whom deliver() tells */

static void deliver(void *user, const struct answer *answer, slo_nsec now)
{
	(void)user;
	(void)now;
	present->answer = *answer;
	present->answered = true;
}

#define CONF                                                                                       \
	"{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"        \
	"\"models\":{\"m\":{\"backend\":\"b\",\"aliases\":[\"m-*\",\"base:*\",\"[Mm]odel\"],"      \
	"\"deployments\":{\"d\":{\"servers\":[\"s1\"]}}},"                                         \
	"\"m-2\":{\"aliases\":[\"m-3*\",\"two\"],\"deployments\":{\"d\":{\"servers\":[\"s2\"]}}}}" \
	","                                                                                        \
	"\"routing\":{\"seed\":1,\"default_model\":\"m\",\"strategy\":\"slo-least-load\","         \
	"\"predict\":\"p50\"}}"

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	MUST(f);
	inproc_open(&f->p);
	inproc_write_text(&f->p, CONF);
	inproc_start(&f->p);
	f->p.agent->deliver = deliver;
	present = f;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	sched_check(f->p.agent->sched);
	inproc_stop(&f->p);
	inproc_close(&f->p);
	free(f);
	return 0;
}

static struct slice words(const char *text)
{
	return (struct slice){ (const uint8_t *)text, text ? strlen(text) : 0 };
}

static struct route_msg message(const char *path, const char *body)
{
	return (struct route_msg){ .found = true,
		                   .path = words(path),
		                   .body = words(body),
		                   .size = body ? (int64_t)strlen(body) : 0,
		                   .prompt_tokens = -1,
		                   .max_tokens = -1,
		                   .slo_e2e_ms = -1,
		                   .slo_ttft_ms = -1,
		                   .slo_tpot_ms = -1 };
}

/* Asks under a new id, f->ids. What it was charged for, if it is on a server. */
static const struct request *ask_with(struct fixture *f, struct route_msg msg)
{
	static char id[16];
	struct request *request;
	struct answer answer;

	snprintf(id, sizeof(id), "r%u", ++f->ids);
	msg.id = words(id);
	f->answered = false;
	if (agent_route(f->p.agent, inproc_clock, &msg, NULL, &answer, &request)) {
		f->answer = answer;
		return NULL;
	}
	agent_pump(f->p.agent, inproc_clock);
	assert_true(f->answered);
	return f->answer.server ? request : NULL;
}

static const struct request *ask(struct fixture *f, const char *path, const char *body)
{
	return ask_with(f, message(path, body));
}

/* The end line of the last request. */
static void end(struct fixture *f, const char *rest)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "slo1 id=r%u %s", f->ids, rest);

	assert_true(
	    ends_line(f->p.agent, inproc_clock, (const uint8_t *)line, (size_t)len, true, "test"));
}

static void assert_answer(const struct fixture *f, enum slo_verdict verdict, enum slo_reason reason,
                          const char *backend)
{
	assert_int_equal(f->answer.verdict, verdict);
	assert_int_equal(f->answer.reason, reason);
	if (backend)
		assert_string_equal(f->answer.backend, backend);
	else
		assert_null(f->answer.backend);
}

static const struct estimator *estimator(const struct fixture *f)
{
	return &f->p.agent->models[0]->sched->estimator;
}

#define OK " srv=s1 st=200 ts=---- tr=50 ta=8000"
#define CHAT                                                                                    \
	"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a long story " \
	"of the scheduler who held a request until there was room for it at the servers\"}]}"
#define STREAM                                                                                     \
	"{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Tell me " \
	"a long story of the scheduler who held a request until there was room for it\"}]}"

static void paths_that_do_no_work_pass_to_their_model(void **state)
{
	static const char *const paths[] = {
		"/v1/messages/count_tokens",
		"/v1/responses/input_tokens",
		"/v1/chat/completions/render",
		"/tokenize",
		"/v1/load_lora_adapter",
		"/v1/files",
		"/gateway/v1/messages/count_tokens/?beta=true",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_null(ask(f, paths[i], CHAT));
		assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, "b");
		end(f, "be=b st=200 ts=---- bytes=190 tr=1 ta=1");
	}
	assert_null(ask(f, "/v1/responses/resp_1/cancel", ""));
	assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, "b"); /* the default model's */
	assert_null(ask(f, "/v1/files",
	                "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n"
	                "\r\nbatch\r\n--x--\r\n"));
	assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, NULL);
	assert_null(ask(f, "/tokenize", "{\"model\":\"none\",\"prompt\":\"x\"}"));
	assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, NULL);
	assert_int_equal(f->p.agent->unknown.count, 0);
	assert_int_equal(predictor_samples(f->p.agent->models[0]->sched->predictor, inproc_clock),
	                 0);
}

static void paths_that_only_read_have_no_output_and_teach_none(void **state)
{
	static const struct {
		const char *path, *body;
	} cases[] = {
		{ "/v1/embeddings", "{\"model\":\"m\",\"input\":\"one two three four\"}" },
		{ "/v1/rerank",
		  "{\"model\":\"m\",\"query\":\"one two\",\"documents\":[\"three four\"]}" },
		{ "/v1/score",
		  "{\"model\":\"m\",\"text_1\":\"one two\",\"text_2\":[\"three four\"]}" },
		{ "/classify", "{\"model\":\"m\",\"input\":\"one two three four\"}" },
		{ "/base/pooling/", "{\"model\":\"m\",\"input\":[\"one two three four\"]}" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct request *r = ask(f, cases[i].path, cases[i].body);

		assert_non_null(r);
		assert_int_equal(r->output, 0);
		assert_in_range(r->input, 3, 6);
		end(f, "be=b" OK " bytes=25000 in=4");
	}
	assert_int_equal(predictor_samples(f->p.agent->models[0]->sched->predictor, inproc_clock),
	                 0);
	assert_int_equal(f->p.agent->models[0]->stats.ends[LESSON_ANSWERED], 5);
}

static void a_path_that_is_not_known_is_told_by_the_body(void **state)
{
	struct fixture *f = *state;

	assert_non_null(ask(f, "/v9/novel", CHAT));
	end(f, "be=b" OK " bytes=1700");
	assert_non_null(ask(f, "/invocations", "{\"prompt\":\"x\"}"));
	end(f, "be=b" OK " bytes=1700");
	assert_non_null(ask(f, "/v9/novel", "{\"model\":\"m\",\"metadata\":{\"a\":\"")); /* cut */
	end(f, "be=b" OK " bytes=1700");
	assert_null(ask(f, "/v9/novel", "{\"model\":\"m\",\"colour\":\"red\"}"));
	assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, "b");
	assert_null(ask(f, "/v9/novel", ""));
	assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, "b");
	assert_null(ask(f, "/v9/novel",
	                "{\"model\":"
	                "\"m\",}"));
	assert_answer(f, SLO_PASS, SLO_REASON_BAD_REQUEST, NULL);
	assert_non_null(ask(f, NULL, "")); /* a HAProxy that tells no path */
	end(f, "be=b" OK " bytes=1700");
}

static void bare_completions_are_short_and_streams_are_by_their_path(void **state)
{
	struct fixture *f = *state;
	const struct request *r = ask(f, "/v1/completions", "{\"prompt\":\"x\"}");

	assert_int_equal(r->limit, 16);
	end(f, "");
	r = ask(f, "/generate_stream", "{\"inputs\":\"x\"}");
	assert_true(r->stream && !r->stream_guessed);
	assert_int_equal(r->limit, -1);
	end(f, "");
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_that_do_no_work_pass_to_their_model),
		TEST(paths_that_only_read_have_no_output_and_teach_none),
		TEST(a_path_that_is_not_known_is_told_by_the_body),
		TEST(bare_completions_are_short_and_streams_are_by_their_path),
		TEST(a_body_that_cannot_be_read_goes_by_the_model_header),
		TEST(a_form_goes_by_its_field),
		TEST(a_byte_order_mark_or_a_nan_is_no_reason_to_pass),
		TEST(the_last_model_and_limit_of_a_body_are_charged),
		TEST(aliases_lead_to_their_model),
		TEST(names_that_nobody_serves_are_told),
		TEST(a_header_that_is_no_number_is_told),
		TEST(images_do_not_teach_the_text_factor),
		TEST(errors_inside_streams_teach_and_meet_nothing),
		TEST(a_server_that_only_sends_errors_inside_streams_is_named),
		TEST(compressed_answers_have_no_size),
		TEST(short_answers_do_not_make_long_ones_look_short),
		TEST(several_answers_are_several_times_as_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
