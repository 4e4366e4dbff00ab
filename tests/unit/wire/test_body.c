#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "scanned.h"

/* One body per shape, with what it must give. Zero texts: no text is prompt. */
static const struct shape {
	const char *body;
	const char *texts[6];
	int64_t ids;
	int64_t messages;
	int64_t prompts;
	int64_t max_tokens;
} shapes[] = {
	/* Chat completions. */
	{ "{'messages':[{'role':'system','content':'Be brief.'},{'role':'user','content':'Why?'}],"
	  "'model':'m','max_tokens':9}",
	  { "Be brief.", "Why?" },
	  .messages = 2,
	  .prompts = 1,
	  .max_tokens = 9 },
	{ "{'model':'m','messages':[{'content':null,'role':'assistant','tool_calls':[{'id':'c1',"
	  "'type':'function','function':{'name':'get_weather','arguments':'{\\\"city\\\": "
	  "7}'}}]}]}",
	  { "get_weather", "{\"city\": 7}" },
	  .messages = 1,
	  .prompts = 1,
	  .max_tokens = -1 },
	{ "{'model':'m','messages':[{'role':'assistant','function_call':{'arguments':{'a': 1},"
	  "'name':'old'}}]}",
	  { "{\"a\": 1}", "old" },
	  .messages = 1,
	  .prompts = 1,
	  .max_tokens = -1 },
	{ "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'One'},"
	  "{'text':'Two','type':'text'},{'text':'Three'},'Four']}]}",
	  { "One", "Two", "Three", "Four" },
	  .messages = 1,
	  .prompts = 1,
	  .max_tokens = -1 },
	{ "{'model':'m','messages':[{'role':'user','content':[{'type':'image_url','image_url':"
	  "{'url':'data:image/png;base64,iVBORw0KGgo=','text':'no'}},{'type':'input_audio',"
	  "'input_audio':{'data':'UklGRg=='}},{'type':'file','file':{'file_data':'JVBERi0='}},"
	  "{'text':'alt text of an image','type':'image'},{'text':'seen','type':'text'}]}]}",
	  { "seen" },
	  .messages = 1,
	  .prompts = 1,
	  .max_tokens = -1 },
	{ "{'model':'m','tools':[{'type':'function','function':{'name':'f','parameters':{}}}],"
	  "'messages':[],'response_format':{'type':'json_schema','json_schema':{'name':'n'}},"
	  "'documents':['d']}",
	  { "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]",
	    "{\"name\":\"n\"}", "d" },
	  .prompts = 1,
	  .max_tokens = -1 },
	/* Completions. */
	{ "{'model':'m','prompt':'Once upon','max_tokens':16,'suffix':'end'}",
	  { "Once upon", "end" },
	  .prompts = 1,
	  .max_tokens = 16 },
	{ "{'model':'m','prompt':['a b','c']}", { "a b", "c" }, .prompts = 2, .max_tokens = -1 },
	{ "{'model':'m','prompt':[1, 2,30000 ,4]}",
	  { 0 },
	  .ids = 4,
	  .prompts = 1,
	  .max_tokens = -1 },
	{ "{'model':'m','prompt':[[1,2],[3],[]]}",
	  { 0 },
	  .ids = 3,
	  .prompts = 3,
	  .max_tokens = -1 },
	{ "{'model':'m','prompt':null,'prompt_embeds':'gAJjdG9y'}",
	  { 0 },
	  .prompts = 1,
	  .max_tokens = -1 },
	/* Embeddings. */
	{ "{'input':'The food','model':'m'}", { "The food" }, .prompts = 1, .max_tokens = -1 },
	{ "{'input':['x','y','z'],'model':'m'}",
	  { "x", "y", "z" },
	  .prompts = 3,
	  .max_tokens = -1 },
	{ "{'input':[5,6],'model':'m'}", { 0 }, .ids = 2, .prompts = 1, .max_tokens = -1 },
	{ "{'input':[[5,6],[7]],'model':'m'}", { 0 }, .ids = 3, .prompts = 2, .max_tokens = -1 },
	/* Responses. */
	{ "{'model':'m','instructions':'Be "
	  "kind','input':[{'type':'message','role':'user','content':"
	  "[{'type':'input_text','text':'Hi'},{'type':'input_image','image_url':'data:x'}]},"
	  "{'type':'function_call','name':'f','arguments':'{}'},"
	  "{'type':'function_call_output','output':'42'},{'role':'user','content':'Bye'}],"
	  "'max_output_tokens':7,'text':{'format':{'type':'text'}},'prompt':{'id':'p'}}",
	  { "Be kind", "Hi", "{}", "42", "Bye" },
	  .messages = 4,
	  .prompts = 1,
	  .max_tokens = 7 },
	/* Anthropic messages. */
	{ "{'model':'m','system':[{'type':'text','text':'Sys'}],'max_tokens':5,'messages':[{'role':"
	  "'user','content':[{'type':'tool_result','content':[{'type':'text','text':'sunny'},"
	  "{'type':'image','source':{'data':'QUJD'}}]},{'type':'tool_result','content':'rain'}]},"
	  "{'role':'assistant','content':[{'type':'tool_use','name':'f','input':{'q':1}}]}]}",
	  { "Sys", "sunny", "rain", "{\"q\":1}" },
	  .messages = 2,
	  .prompts = 1,
	  .max_tokens = 5 },
	{ "{'model':'m','system':'Sys'}", { "Sys" }, .prompts = 1, .max_tokens = -1 },
	/* TGI, SGLang. */
	{ "{'model':'m','inputs':'Hey','parameters':{'details':true,'max_new_tokens':20}}",
	  { "Hey" },
	  .prompts = 1,
	  .max_tokens = 20 },
	{ "{'model':'m','text':['p','q'],'sampling_params':{'max_new_tokens':12}}",
	  { "p", "q" },
	  .prompts = 2,
	  .max_tokens = 12 },
	{ "{'model':'m','input_ids':[[1],[2,3]],'sampling_params':{'temperature':0}}",
	  { 0 },
	  .ids = 3,
	  .prompts = 2,
	  .max_tokens = -1 },
};
#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

static size_t ntexts(const struct shape *shape)
{
	size_t n = 0;

	while (n < 6 && shape->texts[n])
		n++;
	return n;
}

static void every_shape_of_request_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < NSHAPES; i++) {
		struct scanned s;

		scan_quoted(&s, shapes[i].body);
		assert_true(s.b.is_json);
		assert_true(s.b.complete);
		assert_false(s.b.opaque_tail);
		assert_model(&s, "m");
		assert_texts(&s, shapes[i].texts, ntexts(&shapes[i]));
		assert_int_equal(s.b.ids, shapes[i].ids);
		assert_int_equal(s.b.messages, shapes[i].messages);
		assert_int_equal(s.b.prompts, shapes[i].prompts);
		assert_int_equal(s.b.sequences, shapes[i].prompts);
		assert_int_equal(s.b.max_tokens, shapes[i].max_tokens);
		assert_int_equal(s.b.scanned, strlen(shapes[i].body));
		done(&s);
	}
}

/* How far the body must be there for the model to be known: up to its closing quote. */
static size_t model_end(const char *body)
{
	const char *at = strstr(body, "\"model\":\"m\"");

	assert_non_null(at);
	return (size_t)(at - body) + strlen("\"model\":\"m\"");
}

/* The counts only grow with the sample, what is known stays known, and a model or limit is never
 * a part of one. kana3 takes back a cjk3, but the bodies have neither. */
static void a_body_may_be_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < NSHAPES; i++) {
		char *body = quoted(shapes[i].body);
		size_t len = strlen(body);
		int64_t ids = 0;
		int64_t messages = 0;

		for (size_t cut = 0; cut < len; cut++) {
			struct scanned s;

			scan_bytes(&s, body, cut);
			assert_int_equal(s.b.is_json, cut > 0);
			assert_false(s.b.complete);
			assert_int_equal(s.b.scanned, cut);
			assert_model(&s, cut >= model_end(body) ? "m" : NULL);
			assert_true(s.b.max_tokens == -1 || s.b.max_tokens == shapes[i].max_tokens);
			assert_true(s.b.ids >= ids && s.b.ids <= shapes[i].ids);
			assert_true(s.b.messages >= messages && s.b.messages <= shapes[i].messages);
			assert_true(s.b.prompts >= 1 && s.b.prompts <= shapes[i].prompts);
			assert_true(avg_tokens(&s.b, 0) >= 0);
			ids = s.b.ids;
			messages = s.b.messages;
			done(&s);
		}
		free(body);
	}
}

static void members_may_come_in_any_order(void **state)
{
	static const char *const members[] = { "\"model\":\"llama\"", "\"stream\":true",
		                               "\"max_tokens\":64", "\"n\":2",
		                               "\"prompt\":[\"a\",\"b\"]" };
	const char *texts[] = { "a", "b" };

	(void)state;
	for (size_t first = 0; first < 5; first++) {
		for (size_t by = 1; by < 5; by++) { /* 5 is prime: by visits all */
			char body[256] = "{";
			struct scanned s;

			for (size_t i = 0; i < 5; i++) {
				add(body, sizeof(body), i > 0 ? " ,\n" : "\t");
				add(body, sizeof(body), members[(first + i * by) % 5]);
			}
			add(body, sizeof(body), "}\r\n");
			scan(&s, body);
			assert_true(s.b.complete);
			assert_true(s.b.is_json);
			assert_model(&s, "llama");
			assert_true(s.b.has_stream && s.b.stream);
			assert_int_equal(s.b.max_tokens, 64);
			assert_int_equal(s.b.n, 2);
			assert_int_equal(s.b.prompts, 2);
			assert_int_equal(s.b.sequences, 4);
			assert_texts(&s, texts, 2);
			done(&s);
		}
	}
}

static void limits_have_an_order_of_precedence(void **state)
{
	static const struct {
		const char *body;
		int64_t want;
	} cases[] = {
		{ "{'max_tokens':1,'max_completion_tokens':2}", 2 },
		{ "{'max_completion_tokens':2,'max_tokens':1}", 2 },
		{ "{'max_completion_tokens':null,'max_tokens':1}", 1 },
		{ "{'max_output_tokens':3,'max_tokens':1}", 1 },
		{ "{'sampling_params':{'max_new_tokens':5},'parameters':{'max_new_tokens':4}}", 4 },
		{ "{'sampling_params':[{'max_new_tokens':5}]}", 5 },
		{ "{'max_new_tokens':5}", 5 },
		{ "{'n_predict':6,'max_tokens':1}", 1 },
		{ "{'n_predict':-1}", -1 },
		{ "{'options':{'num_predict':8}}", 8 },
		{ "{'generationConfig':{'maxOutputTokens':9}}", 9 },
		{ "{'x':{'max_tokens':5}}", -1 },
		{ "{'max_tokens':0}", 0 },
		{ "{'max_tokens':-3}", -1 },
		{ "{'max_tokens':'12'}", 12 },
		{ "{'max_tokens':' 12 '}", 12 },
		{ "{'max_tokens':'12x'}", -1 },
		{ "{'max_tokens':'-3'}", -1 },
		{ "{'max_tokens':''}", -1 },
		{ "{'max_tokens':NaN}", -1 },
		{ "{'max_tokens':-Infinity}", -1 },
		{ "{'max_tokens':12.9}", 12 },
		{ "{'max_tokens':1.25e2}", 125 },
		{ "{'max_tokens':2E+3 }", 2000 },
		{ "{'max_tokens':99999999999999999999999}", INT32_MAX },
		{ "{'max_tokens':1e999999999999999999999}", INT32_MAX },
		{ "{'max_tokens':1e-999999999999999999999}", 0 },
		{ "{'max_tokens':0.00000000000000000000000000000000000001e3}", 0 },
		{ "{'max_tokens':7,'max_tokens':8}", 8 },
		{ "{'max_tokens':5,'max_tokens':4000}", 4000 },
		{ "{'max_tokens':5,'max_tokens':null}", -1 },
		{ "{'max_tokens':5,'max_tok\\u0065ns':6,'max_tokens':7,'x':1}", 7 },
		{ "{'max_tokens':5,'max_tokens':70", 5 },
		{ "{'parameters':{'max_new_tokens':5},'parameters':{}}", -1 },
		{ "{'sampling_params':{'max_new_tokens':5,'max_new_tokens':6}}", 6 },
		{ "{'max_tok\\u0065ns':7}", 7 },
		{ "{'max_tokens':7", -1 }, /* 7 may be the start of 70 */
		{ "{'max_tokens':7,", 7 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		assert_true(s.b.is_json);
		assert_int_equal(s.b.max_tokens, cases[i].want);
		done(&s);
	}
}

static void stream_is_only_what_is_true_or_false(void **state)
{
	static const struct {
		const char *body;
		bool has;
		bool stream;
	} cases[] = {
		{ "{'stream':true}", true, true },
		{ "{'stream':false}", true, false },
		{ "{'stream':null}", false, false },
		{ "{'stream':1}", true, true },
		{ "{'stream':0}", true, false },
		{ "{'stream':2}", false, false },
		{ "{'stream':'true'}", true, true },
		{ "{'stream':'False'}", true, false },
		{ "{'stream':'TRUE'}", true, true },
		{ "{'stream':'yes'}", true, true },
		{ "{'stream':'on'}", true, true },
		{ "{'stream':'N'}", true, false },
		{ "{'stream':'off'}", true, false },
		{ "{'stream':'yess'}", false, false },
		{ "{'stream':''}", false, false },
		{ "{'stream':'maybe'}", false, false },
		{ "{'stream':NaN}", false, false },
		{ "{}", false, false },
		{ "{'stream':tru", false, false },
		{ "{'stream':true", true, true },
		{ "{'stream':false,'stream':true}", true, true },
		{ "{'stream':true,'stream':false}", true, false },
		{ "{'stream':true,'stream':null}", false, false },
		{ "{'stream_options':{'stream':true}}", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		assert_true(s.b.is_json);
		assert_int_equal(s.b.has_stream, cases[i].has);
		assert_int_equal(s.b.stream, cases[i].stream);
		done(&s);
	}
}

static void sequences_are_prompts_times_answers(void **state)
{
	static const struct {
		const char *body;
		int64_t n;
		int64_t sequences;
	} cases[] = {
		{ "{'prompt':'a'}", 1, 1 },
		{ "{'prompt':'a','n':3}", 3, 3 },
		{ "{'n':3,'prompt':['a','b']}", 3, 6 },
		{ "{'best_of':5,'n':3,'prompt':['a','b']}", 5, 10 },
		{ "{'n':4,'best_of':2,'prompt':[1,2,3]}", 4, 4 },
		{ "{'n':0,'prompt':'a'}", 1, 1 },
		{ "{'n':-2,'prompt':[]}", 1, 1 },
		{ "{'n':null}", 1, 1 },
		{ "{'sampling_params':{'n':2},'text':'a'}", 2, 2 },
		{ "{'n':9000000000,'prompt':['a','b']}", INT32_MAX, INT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		assert_int_equal(s.b.n, cases[i].n);
		assert_int_equal(s.b.sequences, cases[i].sequences);
		done(&s);
	}
}

static void a_model_is_borrowed_or_decoded_and_never_partial(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} cases[] = {
		{ "{'model':'meta/Llama 2'}", "meta/Llama 2" },
		{ "{'model':'a\\/b\\u00e9\\ud83d\\ude80'}", "a/b\xc3\xa9\xf0\x9f\x9a\x80" },
		{ "{'m\\u006fdel':'x'}", "x" },
		{ "{'model':'x','model':'y'}", "y" },
		{ "{'model':null,'model':'y'}", "y" },
		{ "{'model':'y','model':null}", NULL },
		{ "{'model':'x','model':'y','model':'z'}", "z" },
		{ "{'model':'x','prompt':'a','mod\\u0065l':'y'}", "y" },
		{ "{'model':'x','model':'y", "x" },
		{ "{'model':''}", NULL },
		{ "{'model':['x']}", NULL },
		{ "{'model':{'model':'x'}}", NULL },
		{ "{'x':{'model':'x'}}", NULL },
		{ "{'messages':[{'model':'x'}]}", NULL },
		{ "{'model':'x", NULL },
		{ "{'model':'x\\'", NULL },
		{ "{'model", NULL },
		{ "{'Model':'x'}", NULL },
	};
	struct scanned s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scan_quoted(&s, cases[i].body);
		assert_true(s.b.is_json);
		assert_model(&s, cases[i].want);
		done(&s);
	}
	scan_quoted(&s, cases[0].body);
	assert_ptr_equal(s.b.model.p, s.bytes + strlen("{'model':'"));
	done(&s);
	scan_quoted(&s, cases[1].body);
	assert_ptr_equal(s.b.model.p, s.b.model_buf);
	done(&s);
}

static void a_model_of_more_than_256_bytes_is_absent(void **state)
{
	(void)state;
	for (size_t len = 250; len < 550; len += len < 262 ? 1 : 100) {
		for (size_t escapes = 0; escapes < 2; escapes++) {
			char body[600] = "{\"model\":\"";
			struct scanned s;

			if (escapes)
				add(body, sizeof(body), "\\u0061");
			memset(body + strlen(body), 'a', len - escapes);
			add(body, sizeof(body), "\"}");
			scan(&s, body);
			assert_int_equal(s.b.model.len, len <= BODY_MODEL_MAX ? len : 0);
			assert_int_equal(s.b.model.p != NULL, len <= BODY_MODEL_MAX);
			done(&s);
		}
	}
}

static void escapes_are_decoded_before_counting(void **state)
{
	static const struct {
		const char *raw;
		const char *text;
	} cases[] = {
		{ "a\\nb\\tc\\rd", "a\nb\tc\rd" },
		{ "say \\\"hi\\\" \\\\ \\/ \\b\\f", "say \"hi\" \\ / \b\f" },
		{ "\\u6392\\u961F", "\xe6\x8e\x92\xe9\x98\x9f" },
		{ "\\u00e9t\\u00E9", "\xc3\xa9t\xc3\xa9" },
		{ "x\\u0041y", "xAy" },
		{ "\\ud83d\\ude80!", "\xf0\x9f\x9a\x80!" },
		{ "\\ud83d", "\xef\xbf\xbd" },
		{ "\\ud83d!", "\xef\xbf\xbd!" },
		{ "\\ude80!", "\xef\xbf\xbd!" },
		{ "\\ud83d\\u0041", "\xef\xbf\xbd"
		                    "A" },
		{ "\\ud83d\\n", "\xef\xbf\xbd\n" },
		{ "\\ud83d\\ud83d\\ude80", "\xef\xbf\xbd\xf0\x9f\x9a\x80" },
		{ "\\u12g4", "\xef\xbf\xbd"
		             "12g4" },
		{ "\\q\\x41", "qx41" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[128];
		struct scanned s;

		(void)snprintf(body, sizeof(body), "{\"prompt\":\"%s\"}", cases[i].raw);
		scan(&s, body);
		assert_true(s.b.complete);
		assert_texts(&s, &cases[i].text, 1);
		done(&s);
	}
}

/* Decoded pieces are 256 bytes; no character or word may be counted twice or lost between two. */
static void long_texts_with_escapes_count_as_when_written_plainly(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 12; shift++) {
		char body[6000] = "{\"prompt\":\"";
		char plain[6000] = "";
		const char *texts[] = { plain };
		struct scanned s;

		for (size_t i = 0; i < shift; i++) {
			add(body, sizeof(body), "z");
			add(plain, sizeof(plain), "z");
		}
		for (size_t i = 0; i < 100; i++) {
			add(body, sizeof(body), "\\u6392internationally\\n\\ud83d\\ude80 ");
			add(plain, sizeof(plain), "\xe6\x8e\x92internationally\n\xf0\x9f\x9a\x80 ");
		}
		add(body, sizeof(body), "\"}");
		scan(&s, body);
		assert_texts(&s, texts, 1);
		done(&s);
	}
}

static void chat_messages_add_what_the_template_adds(void **state)
{
	struct scanned s;

	(void)state;
	scan_quoted(&s, "{'messages':[{'content':'Hello, world!'},{'content':'排'}]}");
	assert_int_equal(avg_tokens(&s.b, 0),
	                 4 + 1 + 2 * BODY_TOKENS_PER_MESSAGE + BODY_TOKENS_PER_CHAT);
	done(&s);
	scan_quoted(&s, "{'prompt':'Hello, world!'}");
	assert_int_equal(avg_tokens(&s.b, 0), 4);
	done(&s);
	scan_quoted(&s, "{'prompt':[9,9,9,9,9]}");
	assert_int_equal(avg_tokens(&s.b, 1000000), 5); /* complete: size is not needed */
	done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_of_request_is_read),
		cmocka_unit_test(a_body_may_be_cut_at_every_byte),
		cmocka_unit_test(members_may_come_in_any_order),
		cmocka_unit_test(limits_have_an_order_of_precedence),
		cmocka_unit_test(stream_is_only_what_is_true_or_false),
		cmocka_unit_test(sequences_are_prompts_times_answers),
		cmocka_unit_test(a_model_is_borrowed_or_decoded_and_never_partial),
		cmocka_unit_test(a_model_of_more_than_256_bytes_is_absent),
		cmocka_unit_test(escapes_are_decoded_before_counting),
		cmocka_unit_test(long_texts_with_escapes_count_as_when_written_plainly),
		cmocka_unit_test(chat_messages_add_what_the_template_adds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
