/* Bodies as clients of many kinds send them: what engines read is read, what is no text is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "scanned.h"
#include "wire/body_class.h"

static const char long_text[] =
    "The scheduler holds a request until a server has room for it, and then it names that server. ";

static struct slice words(const char *text)
{
	return (struct slice){ .p = (const uint8_t *)text, .len = text ? strlen(text) : 0 };
}

static void read_bytes(struct scanned *s, const void *bytes, size_t len, const char *encoding,
                       const char *ctype)
{
	s->bytes = exact(bytes, len);
	memset(&s->b, 0xa5, sizeof(s->b));
	body_read((struct slice){ .p = s->bytes, .len = len }, words(encoding), words(ctype),
	          &s->b);
}

static void the_fields_of_every_endpoint_are_counted(void **state)
{
	static const struct {
		const char *body;
		const char *texts[4];
	} cases[] = {
		{ "{'model':'m','query':'why','documents':['d one','d two']}",
		  { "why", "d one", "d two" } },
		{ "{'model':'m','query':'why','documents':[{'text': 'd'}]}",
		  { "why", "{\"text\": \"d\"}" } },
		{ "{'model':'m','queries':['a','b'],'documents':'c'}", { "a", "b", "c" } },
		{ "{'model':'m','text_1':'a','text_2':['b','c d']}", { "a", "b", "c d" } },
		{ "{'model':'m','query':'a','texts':['b']}", { "a", "b" } },
		{ "{'model':'m','query':'a','items':['b','c']}", { "a", "b", "c" } },
		{ "{'model':'m','instruction':'judge','input':'x'}", { "judge", "x" } },
		{ "{'model':'m','text_input':'x y'}", { "x y" } },
		{ "{'model':'m','contents':[{'role':'user','parts':[{'text':'hi'},{'inlineData':"
		  "{'data':'QUJD'}}]}],'systemInstruction':{'parts':[{'text':'be'}]}}",
		  { "hi", "be" } },
		{ "{'model':'m','prompt':'a','input_prefix':'b'}", { "a", "b" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;
		size_t n = 0;

		while (n < 4 && cases[i].texts[n])
			n++;
		scan_quoted(&s, cases[i].body);
		assert_true(s.b.complete);
		assert_true(s.b.asks);
		assert_texts(&s, cases[i].texts, n);
		done(&s);
	}
}

static void reasoning_that_is_told_again_counts_once(void **state)
{
	static const char *const bodies[] = {
		"{'messages':[{'role':'assistant','reasoning_content':'%s','content':'ok'}]}",
		"{'messages':[{'role':'assistant','content':'ok','reasoning':'%s'}]}",
		"{'messages':[{'reasoning':'%s','reasoning_content':'%s','content':'ok'}]}",
		"{'messages':[{'reasoning_content':null,'reasoning':'%s','content':'ok'}]}",
		"{'messages':[{'reasoning_content':'','reasoning':'%s','content':'ok'}]}",
		"{'messages':[{'reasoning_details':[{'type':'reasoning.text','text':'%s',"
		"'signature':'QUJD'},{'type':'reasoning.encrypted','data':'QUJD'}],'content':'ok'}]"
		"}",
		"{'messages':[{'reasoning':'%s','reasoning_details':[{'type':'reasoning.text','"
		"text':"
		"'%s'}],'content':'ok'}]}",
		"{'messages':[{'reasoning_details':[{'type':'reasoning.summary','summary':'%s'}],"
		"'content':'ok'}]}",
		"{'messages':[{'content':[{'type':'thinking','thinking':'%s','signature':'x'},"
		"{'type':'text','text':'ok'}]}]}",
		"{'messages':[{'content':[{'type':'text','text':'ok'},{'thinking':'%s','type':"
		"'thinking'},{'type':'redacted_thinking','data':'QUJD'}]}]}",
		"{'messages':[{'thinking_blocks':[{'type':'thinking','thinking':'%s'}],"
		"'content':'ok'}]}",
		"{'input':[{'type':'reasoning','content':[{'type':'reasoning_text','text':'%s'}],"
		"'summary':[],'encrypted_content':'QUJD'},{'role':'user','content':'ok'}]}",
		"{'input':[{'type':'reasoning','summary':[{'type':'summary_text','text':'%s'}]},"
		"{'role':'user','content':'ok'}]}",
	};
	const char *texts[] = { long_text, "ok" };

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char body[1024];
		struct scanned s;

		(void)snprintf(body, sizeof(body), bodies[i], long_text, long_text);
		scan_quoted(&s, body);
		assert_true(s.b.complete);
		if (s.b.opaque)
			print_error("%s\n", body);
		assert_false(s.b.opaque);
		assert_texts(&s, texts, 2);
		done(&s);
	}
}

static void reasoning_that_is_cut_is_scaled(void **state)
{
	char body[4096] = "{\"messages\":[{\"role\":\"assistant\",\"reasoning_content\":\"";
	struct scanned s;

	(void)state;
	while (strlen(body) < 3900)
		add(body, sizeof(body), long_text);
	scan(&s, body);
	assert_false(s.b.opaque_tail);
	assert_true(avg_tokens(&s.b, 40000) > 9 * avg_tokens(&s.b, 0));
	done(&s);
}

static void what_tools_were_asked_and_said_counts(void **state)
{
	static const char body[] =
	    "{'messages':[{'role':'assistant','content':null,'tool_calls':[{'type':'function',"
	    "'function':{'name':'f','arguments':'{}'}}]},{'role':'tool','tool_call_id':'c',"
	    "'content':'forty two'},{'role':'tool','content':[{'type':'text','text':'part'}]},"
	    "{'type':'custom_tool_call','input':'ls -l'},{'type':'custom_tool_call_output',"
	    "'output':'total'},{'refusal':'no','content':null}]}";
	const char *texts[] = { "f", "{}", "forty two", "part", "ls -l", "total", "no" };
	struct scanned s;

	(void)state;
	scan_quoted(&s, body);
	assert_true(s.b.complete);
	assert_false(s.b.opaque);
	assert_texts(&s, texts, 7);
	done(&s);
}

static void what_is_no_text_makes_the_prompt_opaque(void **state)
{
	static const struct {
		const char *body;
		bool opaque;
	} cases[] = {
		{ "{'messages':[{'content':[{'type':'image_url','image_url':{'url':'h'}}]}]}",
		  true },
		{ "{'messages':[{'content':[{'type':'input_audio','input_audio':{'data':'x'}}]}]}",
		  true },
		{ "{'messages':[{'content':[{'type':'video_url','video_url':{'url':'h'}}]}]}",
		  true },
		{ "{'messages':[{'content':[{'type':'file','file':{'file_id':'f'}}]}]}", true },
		{ "{'messages':[{'content':[{'type':'document','source':{'data':'x'}}]}]}", true },
		{ "{'messages':[{'content':[{'image':'h'},{'text':'what'}]}]}", true },
		{ "{'messages':[{'content':'x','images':['QUJD']}]}", true },
		{ "{'messages':[{'content':[{'type':'tool_result','content':[{'type':'image',"
		  "'source':{}}]}]}]}",
		  true },
		{ "{'input':[{'type':'item_reference','id':'i'}]}", true },
		{ "{'input':[{'content':[{'type':'input_image','image_url':'h'}]}]}", true },
		{ "{'input':'go on','previous_response_id':'resp_1'}", true },
		{ "{'input':'go on','conversation':'conv_1'}", true },
		{ "{'input':'go on','conversation':{'id':'conv_1'}}", true },
		{ "{'prompt':null,'prompt_embeds':'gAJj'}", true },
		{ "{'prompt':{'id':'pmpt_1'},'input':'x'}", true },
		{ "{'text':'x','image_data':['u']}", true },
		{ "{'prompt':'x','truncate_prompt_tokens':8}", true },
		{ "{'contents':[{'parts':[{'inline_data':{'data':'x'}}]}]}", true },
		{ "{'input':'x','previous_response_id':null,'conversation':null}", false },
		{ "{'input':'x','previous_response_id':''}", false },
		{ "{'messages':[{'content':'x','images':[]}],'image_data':null}", false },
		{ "{'messages':[{'content':[{'type':'tool_use','input':{}},{'type':'tool_result',"
		  "'content':'y'}]}]}",
		  false },
		{ "{'prompt':['a','b']}", false },
		{ "{'input':'x','text':{'format':{'type':'text'}}}", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		if (s.b.opaque != cases[i].opaque)
			print_error("%s\n", cases[i].body);
		assert_int_equal(s.b.opaque, cases[i].opaque);
		assert_true(s.b.asks);
		done(&s);
	}
}

static void what_engines_take_for_json_is_json(void **state)
{
	static const char *const bodies[] = {
		"\xef\xbb\xbf{'model':'m','prompt':'x','max_tokens':5}",
		"\xef\xbb\xbf \n{'model':'m','prompt':'x','max_tokens':5}",
		"{'model':'m','temperature':NaN,'prompt':'x','max_tokens':5}",
		"{'top_p':Infinity,'model':'m','prompt':'x','max_tokens':5}",
		"{'logit_bias':{'5':-Infinity},'model':'m','prompt':'x','max_tokens':5}",
		"{'a':[NaN,-Infinity , Infinity],'model':'m','prompt':'x','max_tokens':'5'}",
		"{'a':NaN,'model':'m','prompt':'x','max_tokens':5.0}",
	};
	const char *texts[] = { "x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct scanned s;

		scan_quoted(&s, bodies[i]);
		assert_true(s.b.is_json);
		assert_true(s.b.complete);
		assert_int_equal(s.b.form, BODY_JSON);
		assert_model(&s, "m");
		assert_texts(&s, texts, 1);
		assert_int_equal(s.b.max_tokens, 5);
		assert_int_equal(s.b.scanned, strlen(bodies[i]));
		done(&s);
	}
}

static void words_for_numbers_may_be_cut(void **state)
{
	static const char *const bodies[] = { "{'a':N",    "{'a':NaN",     "{'a':-",
		                              "{'a':-Inf", "{'a':Infinit", "\xef\xbb\xbf{" };

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct scanned s;

		scan_quoted(&s, bodies[i]);
		assert_true(s.b.is_json);
		assert_false(s.b.complete);
		done(&s);
	}
}

/* Of prompts given twice only the last is worked on, wherever the first ones stand. */
static void of_prompts_given_twice_the_last_counts(void **state)
{
	static const struct {
		const char *body;
		const char *texts[2];
		int64_t messages;
	} cases[] = {
		{ "{'prompt':'a b c','model':'m','prompt':'d'}", { "d" }, 0 },
		{ "{'prompt':'d','prompt':['a','b c']}", { "a", "b c" }, 0 },
		{ "{'messages':[{'content':'a'},{'content':'b'}],'messages':[{'content':'c'}]}",
		  { "c" },
		  1 },
		{ "{'messages':[{'content':'a'}],'messages':[{'content':'b'},{'content':'c d",
		  { "b", "c d" },
		  2 },
		{ "{'messages':[{'content':'a','content':'b'}]}", { "b" }, 1 },
		{ "{'messages':[{'content':'long one','text':'b'}]}", { "long one" }, 1 },
		{ "{'messages':[{'text':'b','content':'long one'}]}", { "long one" }, 1 },
		{ "{'tools':[{'a':1}],'tools':[],'prompt':'x'}", { "[]", "x" }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		assert_true(s.b.is_json);
		assert_texts(&s, cases[i].texts, cases[i].texts[1] ? 2 : 1);
		assert_int_equal(s.b.messages, cases[i].messages);
		done(&s);
	}
}

static void a_member_may_come_many_times(void **state)
{
	const size_t cap = 200000;
	char *body = calloc(1, cap);
	size_t len;
	struct scanned s;

	(void)state;
	assert_non_null(body);
	len = (size_t)snprintf(body, cap, "{");
	for (int i = 0; i < 9000; i++)
		len += (size_t)snprintf(body + len, cap - len, "\"max_tokens\":%d,", i);
	(void)snprintf(body + len, cap - len, "\"prompt\":\"x\"}");
	scan(&s, body);
	assert_true(s.b.complete);
	assert_int_equal(s.b.max_tokens, 8999);
	done(&s);
	free(body);
}

static void what_kind_of_answer_is_asked_for(void **state)
{
	struct scanned s;

	(void)state;
	scan_quoted(&s, "{'tools':[{'type':'function'}],'response_format':{'type':'json_object'}}");
	assert_true(s.b.tools && s.b.schema && !s.b.ignore_eos && !s.b.bulky);
	done(&s);
	scan_quoted(&s, "{'tools':[],'response_format':{'type':'text'},'guided_json':null,'echo':"
	                "false,'logprobs':null,'ignore_eos':false}");
	assert_true(!s.b.tools && !s.b.schema && !s.b.ignore_eos && !s.b.bulky);
	done(&s);
	scan_quoted(&s, "{'sampling_params':{'regex':'a+','ignore_eos':true,'min_new_tokens':7},"
	                "'return_logprob':true}");
	assert_true(!s.b.tools && s.b.schema && s.b.ignore_eos && s.b.bulky);
	assert_int_equal(s.b.min_tokens, 7);
	done(&s);
	scan_quoted(&s, "{'text':{'format':{'type':'json_schema','schema':{'a':1}}},'input':'x',"
	                "'min_tokens':'9','logprobs':1}");
	assert_true(s.b.schema && s.b.bulky);
	assert_int_equal(s.b.min_tokens, 9);
	done(&s);
	scan_quoted(&s, "{'metadata':{'prompt':'x'},'temperature':1}");
	assert_false(s.b.asks);
	done(&s);
}

static void a_body_that_cannot_be_read_is_told_by_its_bytes_or_headers(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *encoding;
		enum body_form form;
	} cases[] = {
		{ "\x1f\x8b\x08\0\0\0\0\0", 8, NULL, BODY_COMPRESSED },
		{ "\x28\xb5\x2f\xfd\x04\x58", 6, NULL, BODY_COMPRESSED },
		{ "\x78\x9c\xab\xae", 4, NULL, BODY_COMPRESSED },
		{ "\x04\x22\x4d\x18xx", 6, NULL, BODY_COMPRESSED },
		{ "\x0b\x02\x80{}", 5, "br", BODY_COMPRESSED },
		{ "\x0b\x02\x80{}", 5, " gzip, br", BODY_COMPRESSED },
		{ "\x0b\x02\x80{}", 5, "identity", BODY_BROKEN },
		{ "\x0b\x02\x80{}", 5, NULL, BODY_BROKEN },
		{ "\xff\xfe{\0}\0", 6, NULL, BODY_WIDE16 },
		{ "\xfe\xff\0{\0}", 6, NULL, BODY_WIDE16 },
		{ "{\0\"\0m\0", 6, NULL, BODY_WIDE16 },
		{ "\0{\0\"\0m", 6, NULL, BODY_WIDE16 },
		{ "\xff\xfe\0\0{\0\0\0", 8, NULL, BODY_WIDE32 },
		{ "\0\0\xfe\xff\0\0\0{", 8, NULL, BODY_WIDE32 },
		{ "{\0\0\0}\0\0\0", 8, NULL, BODY_WIDE32 },
		{ "\0\0\0{\0\0\0}", 8, NULL, BODY_WIDE32 },
		{ "prompt=x&model=m", 16, NULL, BODY_BROKEN },
		{ "{\"a\":1,}", 8, NULL, BODY_BROKEN },
		{ "{\"a\":1}", 7, "gzip", BODY_JSON },
		{ "\x1f", 1, NULL, BODY_BROKEN },
		{ "\0", 1, NULL, BODY_BROKEN },
		{ "", 0, "gzip", BODY_EMPTY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		read_bytes(&s, cases[i].bytes, cases[i].len, cases[i].encoding, NULL);
		assert_int_equal(s.b.form, cases[i].form);
		assert_int_equal(s.b.is_json, cases[i].form == BODY_JSON);
		assert_int_equal(body_is_foreign(&s.b), cases[i].form >= BODY_WIDE16);
		assert_int_equal(s.b.opaque, body_is_foreign(&s.b));
		assert_model(&s, NULL);
		done(&s);
	}
}

static void tokens_of_what_cannot_be_read_follow_from_its_size(void **state)
{
	struct scanned s;

	(void)state;
	read_bytes(&s, "\x1f\x8b\x08\0", 4, NULL, NULL);
	assert_in_range(avg_tokens(&s.b, 3000), 1000, 4000);
	assert_int_equal(avg_tokens(&s.b, INT64_MAX), INT32_MAX);
	assert_int_equal(avg_tokens(&s.b, -1), 0);
	done(&s);
	read_bytes(&s, "\xff\xfe{\0", 4, NULL, NULL);
	assert_in_range(avg_tokens(&s.b, 8000), 700, 1300);
	done(&s);
}

#define FORM "multipart/form-data; boundary=XyZ"
#define PART(headers, value) \
	"--XyZ\r\nContent-Disposition: form-data; " headers "\r\n\r\n" value "\r\n"
#define AUDIO \
	PART("name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav", "RIFF\0\1{\"\xff")
#define END "--XyZ--\r\n"

static void a_form_names_its_model(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *ctype;
		const char *model;
	} cases[] = {
#define CASE(text, ctype, model) { (text), sizeof(text) - 1, ctype, model }
		CASE(PART("name=\"model\"", "whisper") AUDIO END, FORM, "whisper"),
		CASE(AUDIO PART("name=\"model\"", "whisper") END, FORM, "whisper"),
		CASE(AUDIO PART("name=\"model\"", "whisper") END, NULL, "whisper"),
		CASE(PART("name=model", "whisper") END, "Multipart/Form-Data; boundary=\"XyZ\"",
		     "whisper"),
		CASE("preamble\r\n" PART("name=\"model\"", "w") END, FORM, "w"),
		CASE(PART("name=\"model\"", "a") PART("name=\"model\"", "b") END, FORM, "b"),
		CASE(PART("name=\"model\"\r\nContent-Type: text/plain", "whisper") END, FORM,
		     "whisper"),
		CASE("--XyZ\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhis", FORM,
		     NULL),
		CASE("--XyZ\r\nContent-Disposition: form-data; name=\"mod", FORM, NULL),
		CASE(PART("name=\"model\"", "") END, FORM, NULL),
		CASE(AUDIO END, FORM, NULL),
		CASE("--", FORM, NULL),
		CASE(AUDIO END, "multipart/form-data", NULL),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		read_bytes(&s, cases[i].bytes, cases[i].len, NULL, cases[i].ctype);
		assert_int_equal(s.b.form, BODY_MULTIPART);
		assert_model(&s, cases[i].model);
		assert_true(s.b.opaque);
		assert_int_equal(avg_tokens(&s.b, 3000000), 0);
		done(&s);
	}
}

static void a_form_has_fields_of_text(void **state)
{
	static const char body[] =
	    PART("name=\"stream\"", "true") PART("name=\"prompt\"", "one two") AUDIO END;
	const char *texts[] = { "one two" };
	struct scanned s;

	(void)state;
	read_bytes(&s, body, sizeof(body) - 1, NULL, FORM);
	assert_true(s.b.has_stream && s.b.stream);
	assert_texts(&s, texts, 1);
	done(&s);
	read_bytes(&s, "--x", 3, NULL, NULL);
	assert_int_equal(s.b.form, BODY_BROKEN);
	done(&s);
	read_bytes(&s, body, sizeof(body) - 1, NULL, "application/json");
	assert_int_equal(s.b.form, BODY_BROKEN);
	done(&s);
}

static void a_form_may_be_cut_at_every_byte(void **state)
{
	static const char body[] = PART("name=\"model\"", "whisper") AUDIO END;

	(void)state;
	for (size_t cut = 1; cut < sizeof(body); cut++) {
		struct scanned s;

		read_bytes(&s, body, cut, NULL, FORM);
		if (s.b.model.p)
			assert_model(&s, "whisper");
		done(&s);
	}
}

static void what_is_answered_alike_is_of_one_class(void **state)
{
	static const struct {
		const char *path, *body;
		int64_t limit;
		unsigned class;
	} cases[] = {
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}]}", -1, 1 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}],'stream':true}", -1, 1 },
		{ "/v1/completions", "{'prompt':'x'}", -1, 2 },
		{ "/generate_stream", "{'inputs':'x'}", -1, 2 },
		{ "/v1/chat/completions", "{'response_format':{'type':'json_object'}}", -1, 3 },
		{ "/v1/responses", "{'tools':[{'a':1}],'input':'x','stream':true}", -1, 4 },
		{ "/v1/responses", "{'tools':[{'a':1}],'text':{'format':{'type':'json_schema'}}}",
		  -1, 3 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}]}", 1, 5 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}]}", 16, 5 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}]}", 17, 9 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}]}", 256, 9 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'}]}", 257, 13 },
		{ "/v1/messages", "{'tools':[{'a':1}],'stream':true}", INT32_MAX, 16 },
		{ "/unheard/of", "{'messages':[{'content':'x'}]}", -1, 1 },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'", -1, BODY_CLASS_UNKNOWN },
		{ "/v1/chat/completions", "{'messages':[{'content':'x'", 5, 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e = endpoint_of(words(cases[i].path));
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		assert_int_equal(body_class(&s.b, &e, cases[i].limit), cases[i].class);
		assert_true(cases[i].class < BODY_CLASSES);
		done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fields_of_every_endpoint_are_counted),
		cmocka_unit_test(reasoning_that_is_told_again_counts_once),
		cmocka_unit_test(reasoning_that_is_cut_is_scaled),
		cmocka_unit_test(what_tools_were_asked_and_said_counts),
		cmocka_unit_test(what_is_no_text_makes_the_prompt_opaque),
		cmocka_unit_test(what_engines_take_for_json_is_json),
		cmocka_unit_test(words_for_numbers_may_be_cut),
		cmocka_unit_test(of_prompts_given_twice_the_last_counts),
		cmocka_unit_test(a_member_may_come_many_times),
		cmocka_unit_test(what_kind_of_answer_is_asked_for),
		cmocka_unit_test(what_is_answered_alike_is_of_one_class),
		cmocka_unit_test(a_body_that_cannot_be_read_is_told_by_its_bytes_or_headers),
		cmocka_unit_test(tokens_of_what_cannot_be_read_follow_from_its_size),
		cmocka_unit_test(a_form_names_its_model),
		cmocka_unit_test(a_form_has_fields_of_text),
		cmocka_unit_test(a_form_may_be_cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
