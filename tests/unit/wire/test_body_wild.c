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
		{ "{'model':'m','data_1':'a','data_2':['b']}", { "a", "b" } },
		{ "{'model':'m','message':'c','chat_history':[{'role':'USER','message':'a'},"
		  "{'role':'CHATBOT','message':'b'}]}",
		  { "c", "a", "b" } },
		{ "{'model':'m','memory':'a','prompt':'b','max_length':80}", { "a", "b" } },
		{ "{'messages':[{'role':'user','content':[{'text':'hi'},{'toolResult':{'a': 1}}]}],"
		  "'system':[{'text':'be'}]}",
		  { "hi", "{\"a\": 1}", "be" } },
		{ "{'model':'m','query':{'text':'why'},'passages':[{'text':'d'},'e']}",
		  { "{\"text\":\"why\"}", "{\"text\":\"d\"}", "e" } },
		{ "{'messages':[{'tool_calls':[{'type':'custom','custom':{'name':'f','input':'ls'}}"
		  "]}]}",
		  { "f", "ls" } },
		{ "{'messages':[{'content':[{'type':'document','title':'t','source':{'type':'text',"
		  "'media_type':'text/plain','data':'the paper'}}]}]}",
		  { "the paper" } },
		{ "{'messages':[{'content':[{'type':'document','source':{'data':'the paper','type':"
		  "'text'}},{'type':'document','source':{'type':'content','content':[{'type':'text'"
		  ","
		  "'text':'a'},{'type':'text','text':'b'}]}}]}]}",
		  { "the paper", "a", "b" } },
		{ "{'messages':[{'content':[{'type':'document','document':{'id':'1','data':'d'}}]}]"
		  "}",
		  { "d" } },
		{ "{'messages':[{'content':[{'type':'search_result','source':'https://h/"
		  "','content':"
		  "[{'type':'text','text':'found'}]}]}]}",
		  { "found" } },
		{ "{'messages':[{'content':[{'reasoningContent':{'reasoningText':{'text':'hm',"
		  "'signature':'x'}}},{'text':'so'}]}]}",
		  { "hm", "so" } },
		{ "{'input':[{'type':'apply_patch_call','operation':{'diff':'+a'}}]}",
		  { "{\"diff\":\"+a\"}" } },
		{ "{'prompt':[{'prompt_string':'a b'},'c']}", { "a b", "c" } },
		{ "{'prompt':{'prompt_string':'a b','multimodal_data':['QUJD']}}", { "a b" } },
		{ "{'contents':[{'parts':[{'functionCall':{'name':'f'}}]},{'parts':["
		  "{'functionResponse':{'name':'f','response':{'x': 'long'}}}]}]}",
		  { "{\"name\":\"f\"}", "{\"name\":\"f\",\"response\":{\"x\": \"long\"}}" } },
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

/* vLLM's /v1/chat/completions/batch, SGLang's /vertex_generate. */
static void several_chats_in_one_body_are_several_prompts(void **state)
{
	static const struct {
		const char *body;
		const char *texts[3];
		int64_t prompts, sequences, messages, limit;
	} cases[] = {
		{ "{'messages':[[{'content':'a'}],[{'content':'b c'},{'content':'d'}]],'n':3,"
		  "'max_tokens':7}",
		  { "a", "b c", "d" },
		  2,
		  6,
		  3,
		  7 },
		{ "{'messages':[[]],'messages':[[{'content':'a'}]]}", { "a" }, 1, 1, 1, -1 },
		{ "{'messages':[[{'content':'a'}],{'content':'b'}]}", { "a", "b" }, 1, 1, 2, -1 },
		{ "{'messages':[[[{'content':'a'}]]]}", { "a" }, 2, 2, 1, -1 },
		{ "{'messages':[[{'content':'a'}],[{'content':'b", { "a", "b" }, 2, 2, 2, -1 },
		{ "{'messages':[1,'x',null]}", { NULL }, 1, 1, 0, -1 },
		{ "{'instances':[{'text':'a'},{'text':'b'}],'parameters':{'sampling_params':"
		  "{'max_new_tokens':9}}}",
		  { "a", "b" },
		  1,
		  1,
		  2,
		  9 },
		{ "{'instances':['a','b'],'parameters':{'max_new_tokens':8}}",
		  { "a", "b" },
		  2,
		  2,
		  0,
		  8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;
		size_t n = 0;

		while (n < 3 && cases[i].texts[n])
			n++;
		scan_quoted(&s, cases[i].body);
		if (s.b.prompts != cases[i].prompts || s.b.messages != cases[i].messages)
			print_error("%s\n", cases[i].body);
		assert_texts(&s, cases[i].texts, n);
		assert_int_equal(s.b.prompts, cases[i].prompts);
		assert_int_equal(s.b.sequences, cases[i].sequences);
		assert_int_equal(s.b.messages, cases[i].messages);
		assert_int_equal(s.b.max_tokens, cases[i].limit);
		assert_true(s.b.asks || n == 0);
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

/* A tool of tomorrow says what it has to say in a part whose type ends as all such do. */
static void what_any_tool_said_counts(void **state)
{
	static const char body[] =
	    "{'input':[{'type':'shell_call_output','output':'a1'},"
	    "{'type':'apply_patch_call_output','output':'b2'},"
	    "{'type':'local_shell_call','action':{'command':['ls']}},"
	    "{'type':'mcp_call','arguments':'{}','output':'c3'},"
	    "{'role':'user','content':[{'type':'mcp_tool_result','content':["
	    "{'type':'text','text':'d4'}]},{'type':'server_tool_use','input':{}}]},"
	    "{'type':'shell_call_output','output':[{'stdout':'e5','stderr':'f6',"
	    "'outcome':{'type':'exit','exit_code':0}}]}]}";
	const char *texts[] = { "a1", "b2", "{\"command\":[\"ls\"]}", "{}", "c3", "d4", "{}",
		                "e5", "f6" };
	struct scanned s;

	(void)state;
	scan_quoted(&s, body);
	assert_true(s.b.complete);
	assert_false(s.b.opaque);
	assert_texts(&s, texts, 9);
	done(&s);
}

/* Each vendor has its own words for the limit of an answer. */
static void limits_of_all_vendors_are_read(void **state)
{
	static const char *const bodies[] = {
		"{'prompt':'x','max_tokens_to_sample':77}",
		"{'prompt':'x','max_length':77}",
		"{'prompt':'x','max_gen_len':77}",
		"{'prompt':'x','maxTokens':77}",
		"{'messages':[{'content':[{'text':'x'}]}],'inferenceConfig':{'maxTokens':77}}",
		"{'contents':[],'generation_config':{'max_output_tokens':77}}",
		"{'inputs':'x','completion_args':{'max_tokens':77}}",
		"{'text':['x'],'sampling_params':[{'max_new_tokens':77}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct scanned s;

		scan_quoted(&s, bodies[i]);
		assert_int_equal(s.b.max_tokens, 77);
		done(&s);
	}
}

static void ids_of_a_prompt_count_under_any_name(void **state)
{
	static const char *const bodies[] = { "{'token_ids':[1,2,3],'sampling_params':{}}",
		                              "{'prompt_token_ids':[1,2,3]}" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct scanned s;

		scan_quoted(&s, bodies[i]);
		assert_int_equal(s.b.ids, 3);
		assert_true(s.b.asks);
		done(&s);
	}
}

static void an_answer_that_is_a_receipt_or_bulky_is_told(void **state)
{
	static const struct {
		const char *body;
		bool receipt, bulky;
	} cases[] = {
		{ "{'input':'x','background':true}", true, false },
		{ "{'messages':[],'deferred':true}", true, false },
		{ "{'input':'x','background':false}", false, false },
		{ "{'input':'x','background':null}", false, false },
		{ "{'input':'x','background':{'colour':'red'}}", false, false },
		{ "{'prompt':'x','n_probs':5}", false, true },
		{ "{'prompt':'x','n_probs':0}", false, false },
		{ "{'prompt':'x','timings_per_token':true}", false, true },
		{ "{'inputs':'x','parameters':{'top_n_tokens':4}}", false, true },
		{ "{'prompt':'x','stream_options':{'continuous_usage_stats':true}}", false, true },
		{ "{'prompt':'x','stream_options':{'include_usage':true}}", false, false },
		{ "{'prompt':'x','stream_options':null}", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		scan_quoted(&s, cases[i].body);
		if (s.b.receipt != cases[i].receipt || s.b.bulky != cases[i].bulky)
			print_error("%s\n", cases[i].body);
		assert_int_equal(s.b.receipt, cases[i].receipt);
		assert_int_equal(s.b.bulky, cases[i].bulky);
		done(&s);
	}
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
		{ "{'inputs':'go on','agent_id':'ag_1'}", true },
		{ "{'inputs':'go on','agent_id':'ag_1','model':null}", true },
		{ "{'messages':[{'content':'x'}],'agent_id':'ag_1','model':'m'}", false },
		{ "{'model':'m','agent_id':'ag_1','input':'x'}", false },
		{ "{'input':'x','agent_id':null}", false },
		{ "{'inputs':'go on','from_entry_id':'msg_1'}", true },
		{ "{'prompt':[{'prompt_string':'a','multimodal_data':['QUJD']}]}", true },
		{ "{'messages':[{'content':[{'type':'document','source':{'type':'base64','data':'x'"
		  "}"
		  "}]}]}",
		  true },
		{ "{'messages':[{'content':[{'type':'document','source':{'type':'url','url':'h'}}]}"
		  "]"
		  "}",
		  true },
		{ "{'messages':[{'content':[{'document':{'format':'pdf','source':{'bytes':'x'}}}]}]"
		  "}",
		  true },
		{ "{'messages':[{'content':[{'type':'document','source':{'type':'text','data':'x'}}"
		  "]"
		  "}]}",
		  false },
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
	scan_quoted(&s,
	            "{'items':[{'type':'message','role':'user','content':'hi'}],'metadata':{}}");
	assert_false(s.b.asks);
	done(&s);
	scan_quoted(&s, "{'metadata':{'prompt':'x'},'temperature':1}");
	assert_false(s.b.asks);
	done(&s);
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
		cmocka_unit_test(several_chats_in_one_body_are_several_prompts),
		cmocka_unit_test(reasoning_that_is_told_again_counts_once),
		cmocka_unit_test(reasoning_that_is_cut_is_scaled),
		cmocka_unit_test(what_tools_were_asked_and_said_counts),
		cmocka_unit_test(what_any_tool_said_counts),
		cmocka_unit_test(limits_of_all_vendors_are_read),
		cmocka_unit_test(ids_of_a_prompt_count_under_any_name),
		cmocka_unit_test(an_answer_that_is_a_receipt_or_bulky_is_told),
		cmocka_unit_test(what_is_no_text_makes_the_prompt_opaque),
		cmocka_unit_test(what_engines_take_for_json_is_json),
		cmocka_unit_test(words_for_numbers_may_be_cut),
		cmocka_unit_test(of_prompts_given_twice_the_last_counts),
		cmocka_unit_test(a_member_may_come_many_times),
		cmocka_unit_test(what_kind_of_answer_is_asked_for),
		cmocka_unit_test(what_is_answered_alike_is_of_one_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
