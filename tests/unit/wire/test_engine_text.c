#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exact.h"
#include "wire/engine_text.h"

/* Of a page that comes whole, and of the same one byte by byte. */
static struct engine_facts facts_of(const char *text)
{
	static struct engine_text t;
	struct engine_facts whole, bytewise;
	size_t len = strlen(text);
	uint8_t *bytes = exact(text, len);

	engine_text_init(&t);
	engine_text_take(&t, (struct slice){ bytes, len });
	whole = *engine_text_end(&t);
	engine_text_init(&t);
	for (size_t i = 0; i < len; i++)
		engine_text_take(&t, (struct slice){ bytes + i, 1 });
	bytewise = *engine_text_end(&t);
	free(bytes);
	assert_int_equal(whole.known, bytewise.known);
	assert_memory_equal(whole.value, bytewise.value, sizeof(whole.value));
	return whole;
}

static void expect(const struct engine_facts *f, enum engine_fact fact, double v)
{
	assert_true(engine_knows(f, fact));
	assert_true(fabs(f->value[fact] - v) <= 1e-9 * (v + 1));
}

static void vllm_is_summed_over_its_engines(void **state)
{
	struct engine_facts f = facts_of(
	    "# HELP vllm:num_requests_running Number of requests.\n"
	    "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 7.0\n"
	    "vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 5.0\n"
	    "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 3.0\n"
	    "vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"capacity\"} 2.0\n"
	    "vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"deferred\"} 1.0\n"
	    "vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n"
	    "vllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n"
	    "vllm:cache_config_info{block_size=\"16\",engine=\"0\",num_gpu_blocks=\"1000\"} 1.0\n"
	    "vllm:cache_config_info{block_size=\"16\",engine=\"1\",num_gpu_blocks=\"500\"} 1.0\n"
	    "vllm:prompt_tokens_total{engine=\"0\"} 1.2345e+06\n"
	    "vllm:generation_tokens_total{engine=\"0\"} 543.0\n");

	(void)state;
	assert_int_equal(f.make, ENGINE_MAKE_VLLM);
	expect(&f, ENGINE_RUNNING, 12);
	expect(&f, ENGINE_WAITING, 3);
	expect(&f, ENGINE_STARVED, 2);
	expect(&f, ENGINE_KV_USED, 0.5);
	expect(&f, ENGINE_KV_SIZE, 24000);
	expect(&f, ENGINE_PROMPTS, 1234500);
	expect(&f, ENGINE_OUTPUTS, 543);
}

static void ranks_of_one_engine_count_once(void **state)
{
	struct engine_facts f =
	    facts_of("sglang:num_running_reqs{tp_rank=\"0\",pp_rank=\"0\"} 4\n"
	             "sglang:num_running_reqs{tp_rank=\"1\",pp_rank=\"0\"} 4\n"
	             "sglang:num_queue_reqs{model_name=\"m\"} 9.0\n"
	             "sglang:max_total_num_tokens{model_name=\"m\"} 100000.0\n");

	(void)state;
	assert_int_equal(f.make, ENGINE_MAKE_SGLANG);
	expect(&f, ENGINE_RUNNING, 4);
	expect(&f, ENGINE_WAITING, 9);
	expect(&f, ENGINE_KV_SIZE, 100000);
	assert_false(engine_knows(&f, ENGINE_OUTPUTS));
}

static void llama_counts_cached_prompts_apart(void **state)
{
	struct engine_facts f = facts_of("llamacpp:prompt_tokens_total 411\n"
	                                 "llamacpp:prompt_tokens_cached_total 100\n"
	                                 "llamacpp:tokens_predicted_total 640\n"
	                                 "llamacpp:requests_processing 8\n"
	                                 "llamacpp:requests_deferred 2\n");

	(void)state;
	assert_int_equal(f.make, ENGINE_MAKE_LLAMA_CPP);
	expect(&f, ENGINE_PROMPTS, 511);
	expect(&f, ENGINE_OUTPUTS, 640);
	expect(&f, ENGINE_RUNNING, 8);
	expect(&f, ENGINE_WAITING, 2);
}

static void other_engines_have_their_names(void **state)
{
	struct engine_facts tgi = facts_of("tgi_batch_current_size 3\n"
	                                   "tgi_queue_size 1\n"
	                                   "tgi_request_input_length_sum 100\n"
	                                   "tgi_request_generated_tokens_sum 200 1395066363000\n");
	struct engine_facts trt = facts_of("trtllm_num_requests_running{model_name=\"m\"} 2\n"
	                                   "trtllm_num_requests_waiting 1\n"
	                                   "trtllm_kv_cache_utilization 0.75\n");
	struct engine_facts triton =
	    facts_of("nv_trt_llm_request_metrics{model=\"t\",request_type=\"waiting\"} 1\n"
	             "nv_trt_llm_request_metrics{model=\"t\",request_type=\"scheduled\"} 6\n"
	             "nv_trt_llm_request_metrics{model=\"t\",request_type=\"max\"} 512\n"
	             "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\"} 0.5\n"
	             "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"tokens_per\"} 64\n"
	             "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\"} 6239\n");

	(void)state;
	assert_string_equal(engine_make_name(tgi.make), "tgi");
	expect(&tgi, ENGINE_RUNNING, 3);
	expect(&tgi, ENGINE_WAITING, 1);
	expect(&tgi, ENGINE_PROMPTS, 100);
	expect(&tgi, ENGINE_OUTPUTS, 200);
	assert_string_equal(engine_make_name(trt.make), "tensorrt-llm");
	expect(&trt, ENGINE_RUNNING, 2);
	expect(&trt, ENGINE_WAITING, 1);
	expect(&trt, ENGINE_KV_USED, 0.75);
	assert_string_equal(engine_make_name(triton.make), "tensorrt-llm");
	expect(&triton, ENGINE_RUNNING, 6);
	expect(&triton, ENGINE_WAITING, 1);
	expect(&triton, ENGINE_KV_SIZE, 64 * 6239);
}

static void nonsense_says_nothing(void **state)
{
	static const char *const texts[] = {
		"",
		"\n\n{} 3\n",
		"<html>not found</html>",
		"vllm:num_requests_running NaN\n",
		"vllm:num_requests_running +Inf\n",
		"vllm:num_requests_running -1\n",
		"vllm:num_requests_running\n",
		"vllm:num_requests_running 3x\n",
		"vllm:num_requests_running{a=\"b 3\n",
		"vllm:num_requests_runnin 3\n",
		"vllm:num_requests_running_ 3\n",
		"vllm:kv_cache_usage_perc 1.5\n",
		"vllm:cache_config_info{num_gpu_blocks=\"None\",block_size=\"16\"} 1\n",
		"vllm:cache_config_info{num_gpu_blocks=\"0\",block_size=\"16\"} 1\n",
		"vllm:cache_config_info{num_gpu_blocks=\"4000000000\",block_size=\"16\"} 1\n",
		"vllm:prompt_tokens_total 1e300\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(facts_of(texts[i]).known, 0);
}

static void labels_may_hold_anything(void **state)
{
	struct engine_facts f =
	    facts_of("vllm:num_requests_running{model_name=\"a\\\"} 9,b=\\\\\",x=\"}\"} 2\r\n");

	(void)state;
	expect(&f, ENGINE_RUNNING, 2);
}

static void a_long_line_is_skipped_and_the_next_is_read(void **state)
{
	static char text[3 * ENGINE_LINE_MAX];
	struct engine_facts f;
	size_t n = (size_t)snprintf(text, sizeof(text), "vllm:num_requests_running{x=\"");

	(void)state;
	memset(text + n, 'y', 2 * ENGINE_LINE_MAX);
	snprintf(text + n + 2 * ENGINE_LINE_MAX, 100, "\"} 3\nvllm:num_requests_waiting 4");
	f = facts_of(text);
	assert_false(engine_knows(&f, ENGINE_RUNNING));
	expect(&f, ENGINE_WAITING, 4);
}

static double room(double running, double waiting, double kv, double starved)
{
	struct engine_facts f = { .make = ENGINE_MAKE_VLLM };

	f.value[ENGINE_RUNNING] = running;
	f.value[ENGINE_WAITING] = waiting;
	f.known = 1 << ENGINE_RUNNING | 1 << ENGINE_WAITING;
	if (kv >= 0) {
		f.value[ENGINE_KV_USED] = kv;
		f.known |= 1 << ENGINE_KV_USED;
	}
	if (starved >= 0) {
		f.value[ENGINE_STARVED] = starved;
		f.known |= 1 << ENGINE_STARVED;
	}
	return engine_waits_for_room(&f);
}

static void who_waits_for_a_turn_does_not_wait_for_room(void **state)
{
	(void)state;
	assert_true(room(8, 2, -1, -1) == 2);    /* llama.cpp: its slots are full */
	assert_true(room(20, 2, 0.5, -1) == 0);  /* the cache has room */
	assert_true(room(20, 2, 0.95, -1) == 2); /* it has none */
	assert_true(room(20, 12, 0.5, -1) == 12);
	assert_true(room(0, 2, 0.1, -1) == 0);
	assert_true(room(20, 12, 0.95, 0) == 0); /* the engine says why they wait */
	assert_true(room(20, 2, 0.5, 1) == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vllm_is_summed_over_its_engines),
		cmocka_unit_test(ranks_of_one_engine_count_once),
		cmocka_unit_test(llama_counts_cached_prompts_apart),
		cmocka_unit_test(other_engines_have_their_names),
		cmocka_unit_test(nonsense_says_nothing),
		cmocka_unit_test(who_waits_for_a_turn_does_not_wait_for_room),
		cmocka_unit_test(labels_may_hold_anything),
		cmocka_unit_test(a_long_line_is_skipped_and_the_next_is_read),
	};

	return cmocka_run_group_tests_name("engine_text", tests, NULL, NULL);
}
