#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/endpoint.h"

static struct endpoint endpoint_named(const char *path, uint8_t **bytes)
{
	*bytes = exact(path, strlen(path));
	return endpoint_of((struct slice){ .p = *bytes, .len = strlen(path) });
}

static void assert_kind(const char *path, enum endpoint_kind want)
{
	uint8_t *bytes;
	struct endpoint e = endpoint_named(path, &bytes);

	if (e.kind != want)
		print_error("%s\n", path);
	assert_int_equal(e.kind, want);
	free(bytes);
}

static void a_path_tells_what_work_it_is(void **state)
{
	static const struct {
		const char *path;
		enum endpoint_kind kind;
	} cases[] = {
		{ "/v1/chat/completions", ENDPOINT_GENERATE },
		{ "/v1/completions", ENDPOINT_GENERATE },
		{ "/v1/responses", ENDPOINT_GENERATE },
		{ "/v1/responses/compact", ENDPOINT_GENERATE },
		{ "/v1/messages", ENDPOINT_GENERATE },
		{ "/generate", ENDPOINT_GENERATE },
		{ "/generate_stream", ENDPOINT_GENERATE },
		{ "/inference/v1/generate", ENDPOINT_GENERATE },
		{ "/completion", ENDPOINT_GENERATE },
		{ "/infill", ENDPOINT_GENERATE },
		{ "/api/chat", ENDPOINT_GENERATE },
		{ "/api/generate", ENDPOINT_GENERATE },
		{ "/v1/audio/transcriptions", ENDPOINT_GENERATE },
		{ "/v1/audio/translations", ENDPOINT_GENERATE },
		{ "/v1/images/generations", ENDPOINT_GENERATE },
		{ "/v2/models/m/infer", ENDPOINT_GENERATE },
		{ "/v2/models/m/versions/3/infer", ENDPOINT_GENERATE },
		{ "/v2/models/m/generate", ENDPOINT_GENERATE },
		{ "/v2/models/m/generate_stream", ENDPOINT_GENERATE },
		{ "/v1beta/models/m:streamGenerateContent", ENDPOINT_GENERATE },
		{ "/model/anthropic.claude-3/converse", ENDPOINT_GENERATE },
		{ "/model/anthropic.claude-3/converse-stream", ENDPOINT_GENERATE },
		{ "/sdapi/v1/txt2img", ENDPOINT_GENERATE },
		{ "/key/generate", ENDPOINT_IDLE },
		{ "/v1/internal/encode", ENDPOINT_IDLE },
		{ "/v1/internal/token-count", ENDPOINT_IDLE },
		{ "/api/extra/tokencount", ENDPOINT_IDLE },
		{ "/extras/tokenize/count", ENDPOINT_IDLE },
		{ "/v1/tokenize-text", ENDPOINT_IDLE },
		{ "/utils/token_counter", ENDPOINT_IDLE },
		{ "/model/anthropic.claude-3/count-tokens", ENDPOINT_IDLE },
		{ "/v1beta/models/m:computeTokens", ENDPOINT_IDLE },
		{ "/v1beta/cachedContents", ENDPOINT_IDLE },
		{ "/v1/embeddings", ENDPOINT_READ },
		{ "/embed", ENDPOINT_READ },
		{ "/v1/rerank", ENDPOINT_READ },
		{ "/v2/rerank", ENDPOINT_READ },
		{ "/rerank", ENDPOINT_READ },
		{ "/v1/score", ENDPOINT_READ },
		{ "/score", ENDPOINT_READ },
		{ "/classify", ENDPOINT_READ },
		{ "/v1/classify", ENDPOINT_READ },
		{ "/pooling", ENDPOINT_READ },
		{ "/v1/moderations", ENDPOINT_READ },
		{ "/v1/models/bert:predict", ENDPOINT_READ },
		{ "/v1/messages/count_tokens", ENDPOINT_IDLE },
		{ "/v1/responses/input_tokens", ENDPOINT_IDLE },
		{ "/v1/responses/resp_123/cancel", ENDPOINT_IDLE },
		{ "/v1/responses/resp_123", ENDPOINT_UNKNOWN },
		{ "/v1/chat/completions/render", ENDPOINT_IDLE },
		{ "/v1/completions/render", ENDPOINT_IDLE },
		{ "/v1/chat/completions/batch", ENDPOINT_GENERATE },
		{ "/v1/chat/completions/chatcmpl-1", ENDPOINT_UNKNOWN },
		{ "/tokenize", ENDPOINT_IDLE },
		{ "/v1/tokenize", ENDPOINT_IDLE },
		{ "/detokenize", ENDPOINT_IDLE },
		{ "/v1/models", ENDPOINT_IDLE },
		{ "/models/load", ENDPOINT_IDLE },
		{ "/models/unload", ENDPOINT_IDLE },
		{ "/models/gpt2", ENDPOINT_UNKNOWN },
		{ "/v1/publishers/anthropic/models/m:rawPredict", ENDPOINT_UNKNOWN },
		{ "/v1/models/m:streamRawPredict", ENDPOINT_UNKNOWN },
		{ "/v1/models/m:whateverComesNext", ENDPOINT_UNKNOWN },
		{ "/generative_scoring", ENDPOINT_READ },
		{ "/vertex_generate", ENDPOINT_GENERATE },
		{ "/vertex", ENDPOINT_UNKNOWN },
		{ "/api/extra/generate/stream", ENDPOINT_GENERATE },
		{ "/v1beta/models/m:countTokens", ENDPOINT_IDLE },
		{ "/v1/load_lora_adapter", ENDPOINT_IDLE },
		{ "/v1/unload_lora_adapter", ENDPOINT_IDLE },
		{ "/v1/files", ENDPOINT_IDLE },
		{ "/v1/batches", ENDPOINT_IDLE },
		{ "/v1/batches/batch_1/cancel", ENDPOINT_IDLE },
		{ "/v1/messages/batches", ENDPOINT_IDLE },
		{ "/v1/messages/batches/b/cancel", ENDPOINT_IDLE },
		{ "/v1/threads/t/messages", ENDPOINT_IDLE },
		{ "/v1/conversations", ENDPOINT_UNKNOWN },
		{ "/v1/conversations#stream", ENDPOINT_UNKNOWN },
		{ "/v1/conversations/conv_1", ENDPOINT_UNKNOWN },
		{ "/v1/conversations/conv_1/restart", ENDPOINT_GENERATE },
		{ "/v1/conversations/conv_1/items", ENDPOINT_IDLE },
		{ "/v1/agents/completions", ENDPOINT_GENERATE },
		{ "/v1/fim/completions", ENDPOINT_GENERATE },
		{ "/v1/ocr", ENDPOINT_GENERATE },
		{ "/v1/chat/classifications", ENDPOINT_READ },
		{ "/v1/chat/moderations", ENDPOINT_READ },
		{ "/v1/ranking", ENDPOINT_READ },
		{ "/v1/multimodalembeddings", ENDPOINT_READ },
		{ "/v1/chat/interactive", ENDPOINT_GENERATE },
		{ "/v1/encode", ENDPOINT_READ },
		{ "/encode", ENDPOINT_READ },
		{ "/v1/token/encode", ENDPOINT_IDLE },
		{ "/ml/v1/text/chat_stream", ENDPOINT_GENERATE },
		{ "/ml/v1/text/generation", ENDPOINT_GENERATE },
		{ "/ml/v1/text/tokenization", ENDPOINT_IDLE },
		{ "/v1beta/tunedModels/t:generateContent", ENDPOINT_GENERATE },
		{ "/v1/projects/p/locations/l/endpoints/9:countTokens", ENDPOINT_IDLE },
		{ "/v1/publishers/anthropic/models/count-tokens:rawPredict", ENDPOINT_IDLE },
		{ "/v1/internal/logits", ENDPOINT_READ },
		{ "/predictions", ENDPOINT_GENERATE },
		{ "/health", ENDPOINT_IDLE },
		{ "/metrics", ENDPOINT_IDLE },
		{ "/invocations", ENDPOINT_UNKNOWN },
		{ "/v1/something", ENDPOINT_UNKNOWN },
		{ "/", ENDPOINT_UNKNOWN },
		{ "", ENDPOINT_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_kind(cases[i].path, cases[i].kind);
}

static void what_stands_around_the_path_changes_nothing(void **state)
{
	(void)state;
	assert_kind("/openai/eu/v1/chat/completions", ENDPOINT_GENERATE);
	assert_kind("/v1/messages/", ENDPOINT_GENERATE);
	assert_kind("//v1//messages//count_tokens//", ENDPOINT_IDLE);
	assert_kind("/v1/messages/count_tokens?beta=true", ENDPOINT_IDLE);
	assert_kind("/v1/chat/completions?x=/v1/messages/count_tokens", ENDPOINT_GENERATE);
	assert_kind("/proxy/v1/embeddings/?a=b#c", ENDPOINT_READ);
	assert_kind("generate", ENDPOINT_GENERATE);
	assert_kind("https://h.example/v1/score", ENDPOINT_READ);
}

static void only_whole_segments_count(void **state)
{
	(void)state;
	assert_kind("/v1/Chat/Completions", ENDPOINT_UNKNOWN);
	assert_kind("/v1/xchat/completions", ENDPOINT_GENERATE); /* .../completions */
	assert_kind("/v1/autocompletions", ENDPOINT_UNKNOWN);
	assert_kind("/v1/embeddings-2", ENDPOINT_UNKNOWN);
	assert_kind("/v1/responses//cancel", ENDPOINT_IDLE);
	assert_kind("/cancel", ENDPOINT_IDLE);
	assert_kind("/v1/embeddings/chat/completions", ENDPOINT_GENERATE);
	assert_kind("/v1/completions/chat", ENDPOINT_UNKNOWN);
}

static void a_disguised_path_is_not_free_of_work(void **state)
{
	char longest[ENDPOINT_PATH_MAX + 1] = "/v1/";

	(void)state;
	assert_kind("/v1/chat/%63ompletions", ENDPOINT_UNKNOWN);
	assert_kind("/v1/chat/completions/%2e%2e/../messages/count_tokens", ENDPOINT_UNKNOWN);
	assert_kind("/v1/chat/completions/.", ENDPOINT_UNKNOWN);
	assert_kind("/v1/completions/../files", ENDPOINT_UNKNOWN);
	assert_kind("/v1/files?/../chat/completions", ENDPOINT_UNKNOWN);
	assert_kind("/v1/responses/..", ENDPOINT_UNKNOWN);
	assert_kind("/v1/models/a%2Fb", ENDPOINT_UNKNOWN);
	assert_kind("/v1/models/a%2Fb/infer", ENDPOINT_GENERATE);
	assert_kind("/v1/models/a..b/load", ENDPOINT_IDLE);
	assert_kind("/v1/messages/count_tokens;v=1", ENDPOINT_UNKNOWN);
	assert_kind("/v1/completions/..;/files", ENDPOINT_UNKNOWN);
	assert_kind("/v1/chat/completions/;/files", ENDPOINT_UNKNOWN);
	assert_kind("/v1/responses/..\\..\\files", ENDPOINT_UNKNOWN);
	assert_kind("/v1\\chat\\completions/files", ENDPOINT_UNKNOWN);
	assert_kind("/v1/completions;x=y", ENDPOINT_UNKNOWN);
	assert_kind("/v1;x=y/completions", ENDPOINT_GENERATE);
	assert_kind("/v1/files?a;b", ENDPOINT_IDLE);
	assert_kind("/v1/messages/count_tokens?beta=%20", ENDPOINT_IDLE);

	memset(longest + 4, 'a', sizeof(longest) - 5);
	memcpy(longest + sizeof(longest) - 7, "/files", 7);
	assert_kind(longest, ENDPOINT_UNKNOWN);
	assert_kind(longest + 1, ENDPOINT_IDLE);
	memcpy(longest + sizeof(longest) - 7, "/embed", 7);
	assert_kind(longest, ENDPOINT_UNKNOWN);
	assert_kind(longest + 1, ENDPOINT_READ);
	memcpy(longest + sizeof(longest) - 13, "/completions", 13);
	assert_kind(longest, ENDPOINT_GENERATE);
}

static void a_haproxy_that_tells_no_path_means_a_request_to_generate(void **state)
{
	struct endpoint e = endpoint_of((struct slice){ 0 });

	(void)state;
	assert_int_equal(e.kind, ENDPOINT_GENERATE);
	assert_int_equal(e.default_max, -1);
	assert_null(endpoint_model((struct slice){ 0 }).p);
}

static void only_bare_completions_have_a_limit_of_their_own(void **state)
{
	static const struct {
		const char *path;
		bool chat;
		bool media;
		int32_t max;
	} cases[] = {
		{ "/v1/completions", false, false, 16 },
		{ "/v1/completions/?x", false, false, 16 },
		{ "/v1/chat/completions", true, false, -1 },
		{ "/v1/agents/completions", true, false, -1 },
		{ "/v1/fim/completions", false, false, -1 },
		{ "/v1/ocr", false, true, -1 },
		{ "/v1/conversations", true, false, -1 },
		{ "/v1/messages", true, false, -1 },
		{ "/generate", false, false, -1 },
		{ "/v1/audio/translations", false, true, -1 },
		{ "/v2/models/m/infer", false, true, -1 },
		{ "/v1/embeddings", false, false, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *bytes;
		struct endpoint e = endpoint_named(cases[i].path, &bytes);

		assert_int_equal(e.chat, cases[i].chat);
		assert_int_equal(e.media, cases[i].media);
		assert_int_equal(e.default_max, cases[i].max);
		free(bytes);
	}
}

static void what_a_path_says_of_the_answer_is_told(void **state)
{
	static const struct {
		const char *path;
		bool stream, streams, bulky;
	} cases[] = {
		{ "/generate_stream", true, false, false },
		{ "/v2/models/m/generate_stream", true, false, false },
		{ "/v1beta/models/m:streamGenerateContent", true, false, false },
		{ "/api/extra/generate/stream", true, false, false },
		{ "/api/chat", false, true, false },
		{ "/ollama/api/generate", false, true, true },
		{ "/completion", false, false, true },
		{ "/infill", false, false, true },
		{ "/generate", false, false, false },
		{ "/v1/chat", false, false, false },
		{ "/v1/completions", false, false, false },
		{ "/v1/chat/completions", false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *bytes;
		struct endpoint e = endpoint_named(cases[i].path, &bytes);

		assert_int_equal(e.stream, cases[i].stream);
		assert_int_equal(e.streams, cases[i].streams);
		assert_int_equal(e.bulky, cases[i].bulky);
		free(bytes);
	}
}

static void a_path_may_name_the_model(void **state)
{
	static const struct {
		const char *path;
		const char *model; /* NULL: none */
	} cases[] = {
		{ "/v2/models/llama-8b/infer", "llama-8b" },
		{ "/v2/models/llama-8b/versions/1/infer", "llama-8b" },
		{ "/v2/models//llama-8b/generate?x", "llama-8b" },
		{ "/v1beta/models/gem:2b:generateContent", "gem:2b" },
		{ "/openai/deployments/gpt/chat/completions", "gpt" },
		{ "/v1/engines/davinci/completions", "davinci" },
		{ "/serving-endpoints/dbrx/invocations", "dbrx" },
		{ "/endpoints/llama/invocations", "llama" },
		{ "/predictions/bert", "bert" },
		{ "/v1/projects/p/endpoints/9:generateContent", "9" },
		{ "/v1/chat/completions", NULL },
		{ "/v1/models", NULL },
		{ "/v1/models/", NULL },
		{ "/v1/models/a:b/load", "a:b" },
		{ "/v1/models/a", "a" },
		{ "/v1/models/:x", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].path);
		uint8_t *bytes = exact(cases[i].path, len);
		struct slice model = endpoint_model((struct slice){ .p = bytes, .len = len });

		assert_int_equal(model.len, cases[i].model ? strlen(cases[i].model) : 0);
		if (cases[i].model)
			assert_memory_equal(model.p, cases[i].model, model.len);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_tells_what_work_it_is),
		cmocka_unit_test(what_stands_around_the_path_changes_nothing),
		cmocka_unit_test(only_whole_segments_count),
		cmocka_unit_test(a_disguised_path_is_not_free_of_work),
		cmocka_unit_test(a_haproxy_that_tells_no_path_means_a_request_to_generate),
		cmocka_unit_test(only_bare_completions_have_a_limit_of_their_own),
		cmocka_unit_test(what_a_path_says_of_the_answer_is_told),
		cmocka_unit_test(a_path_may_name_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
