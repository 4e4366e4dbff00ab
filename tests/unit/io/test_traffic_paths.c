/* What a request's path says of the work, through the agent as it is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/predictor.h"
#include "traffic_case.h"

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

/* One answer shows it, if its tokens were told; and the engines may be others after a reload. */
static void a_bare_completion_that_was_long_lifts_the_limit_until_a_reload(void **state)
{
	static const char path[] = "/v1/completions", body[] = "{\"prompt\":\"x\"}";
	struct fixture *f = *state;

	assert_int_equal(ask(f, path, body)->limit, 16);
	end(f, "be=b" OK " bytes=90000");
	assert_int_equal(ask(f, path, body)->limit, 16);
	end(f, "be=b" OK " bytes=1700 out=48");
	assert_int_equal(ask(f, path, body)->limit, 16);
	end(f, "be=b" OK " bytes=1700 out=49");
	assert_int_equal(ask(f, path, body)->limit, -1);
	end(f, "");
	assert_true(daemon_reload(f->p.daemon));
	assert_int_equal(ask(f, path, body)->limit, 16);
	end(f, "");
}

/* Ollama streams unless it is told not to. What llama.cpp answers to /completion repeats the
 * prompt. */
static void how_an_engine_answers_follows_from_its_path(void **state)
{
	static const struct {
		const char *path, *body;
		bool stream, guessed, no_size;
	} cases[] = {
		{ "/api/chat", "{\"messages\":[{\"content\":\"x\"}]}", true, false, false },
		{ "/api/chat", "{\"messages\":[{\"content\":\"x\"}],\"stream\":false}", false,
		  false, false },
		{ "/api/chat", "{\"messages\":[{\"content\":\"x", true, true, false }, /* cut */
		{ "/api/generate", "{\"prompt\":\"x\"}", true, false, false },
		{ "/api/generate", "{\"prompt\":\"x\",\"stream\":false}", false, false, true },
		{ "/completion", "{\"prompt\":\"x\"}", false, false, true },
		{ "/completion", "{\"prompt\":\"x\",\"stream\":true}", true, false, false },
		{ "/infill", "{\"input_prefix\":\"x\"}", false, false, true },
		{ "/v1/completions", "{\"prompt\":\"x\"}", false, false, false },
		{ "/generate_stream", "{\"inputs\":\"x\",\"stream\":false}", true, false, false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct request *r = ask(f, cases[i].path, cases[i].body);

		assert_non_null(r);
		if (r->stream != cases[i].stream || !(r->mute & LESSON_NO_SIZE) == cases[i].no_size)
			print_error("%s %s\n", cases[i].path, cases[i].body);
		assert_int_equal(r->stream, cases[i].stream);
		assert_int_equal(r->stream_guessed, cases[i].guessed);
		assert_int_equal((r->mute & LESSON_NO_SIZE) != 0, cases[i].no_size);
		end(f, "");
	}
}

/* Names behind which an engine may keep answers, or begin new ones. */
static void what_follows_a_known_name_is_told_by_the_body(void **state)
{
	static const struct {
		const char *path, *body;
		bool work;
	} cases[] = {
		{ "/v1/chat/completions/batch", "{\"messages\":[[{\"content\":\"x\"}]]}", true },
		{ "/v1/chat/completions/batch", "{\"messages\":[[{\"content\":\"x", true },
		{ "/v1/chat/completions/id", "{\"metadata\":{\"a\":\"b\"}}", false },
		{ "/v1/chat/completions/novel", CHAT, true },
		{ "/v1/responses/resp_1", "{}", false },
		{ "/v1/responses/resp_1", "{\"input\":\"go on\"}", true },
		{ "/models/m", "{\"inputs\":\"x\"}", true }, /* Hugging Face */
		{ "/v1/models/m:rawPredict", CHAT, true },   /* Vertex */
		{ "/v1/models/m", "", false },
		{ "/models/load", "{\"model\":\"m\"}", false },
		{ "/vertex_generate", "{\"instances\":[{\"text\":\"x\"}]}", true },
		{ "/", "{\"inputs\":\"x\"}", true }, /* TGI */
		{ "/", "", false },
		{ "/v1/chat/completions/;/files", CHAT, true },
		{ "/v1\\chat\\completions", CHAT, true },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct request *r = ask(f, cases[i].path, cases[i].body);

		if (cases[i].work != (r != NULL))
			print_error("%s %s\n", cases[i].path, cases[i].body);
		assert_int_equal(r != NULL, cases[i].work);
		if (!cases[i].work)
			assert_answer(f, SLO_PASS, SLO_REASON_NO_WORK, "b");
		end(f, "be=b" OK " bytes=1700");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_that_do_no_work_pass_to_their_model),
		TEST(paths_that_only_read_have_no_output_and_teach_none),
		TEST(a_path_that_is_not_known_is_told_by_the_body),
		TEST(bare_completions_are_short_and_streams_are_by_their_path),
		TEST(a_bare_completion_that_was_long_lifts_the_limit_until_a_reload),
		TEST(how_an_engine_answers_follows_from_its_path),
		TEST(what_follows_a_known_name_is_told_by_the_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
