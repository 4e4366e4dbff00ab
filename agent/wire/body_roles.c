/* The names that APIs give to prompts, limits and the rest. They hardly disagree, so one table
 * serves all: OpenAI, Anthropic, vLLM, SGLang, TGI, TEI, llama.cpp, Triton, Ollama, Cohere, Gemini,
 * Bedrock, KoboldAI. */
#include "body_private.h"

#include "wire/rd.h"

/* Every table is in order of the length of the names, by which they are looked up. */
static const struct member root_members[] = {
	{ SLICE("n"), R_N },
	{ SLICE("text"), R_TEXT },
	{ SLICE("echo"), R_BULKY },
	{ SLICE("model"), R_MODEL },
	{ SLICE("input"), R_INPUT },
	{ SLICE("query"), R_TEXTS },
	{ SLICE("texts"), R_TEXTS },
	{ SLICE("items"), R_TEXTS },
	{ SLICE("tools"), R_TOOLS },
	{ SLICE("prompt"), R_STORED },
	{ SLICE("stream"), R_STREAM },
	{ SLICE("inputs"), R_INPUT },
	{ SLICE("text_1"), R_TEXTS },
	{ SLICE("text_2"), R_TEXTS },
	{ SLICE("system"), R_PARTS },
	{ SLICE("suffix"), R_WORDS },
	{ SLICE("format"), R_SCHEMA },
	{ SLICE("images"), R_OPAQUE },
	{ SLICE("data_1"), R_TEXTS },
	{ SLICE("data_2"), R_TEXTS },
	{ SLICE("memory"), R_WORDS },
	{ SLICE("options"), R_PARAMETERS },
	{ SLICE("best_of"), R_BEST_OF },
	{ SLICE("queries"), R_TEXTS },
	{ SLICE("message"), R_TEXTS },
	{ SLICE("grammar"), R_SCHEMA },
	{ SLICE("context"), R_OPAQUE },
	{ SLICE("n_probs"), R_BULKY },
	{ SLICE("messages"), R_MESSAGES },
	{ SLICE("contents"), R_MESSAGES },
	{ SLICE("preamble"), R_TEXTS },
	{ SLICE("logprobs"), R_BULKY },
	{ SLICE("deferred"), R_RECEIPT },
	{ SLICE("agent_id"), R_AGENT },
	{ SLICE("passages"), R_TEXTS },
	{ SLICE("n_predict"), R_LIMIT_NEW },
	{ SLICE("input_ids"), R_INPUT },
	{ SLICE("documents"), R_TEXTS },
	{ SLICE("sentences"), R_TEXTS },
	{ SLICE("instances"), R_INPUT },
	{ SLICE("functions"), R_TOOLS },
	{ SLICE("token_ids"), R_INPUT },
	{ SLICE("maxTokens"), R_LIMIT_OLD },
	{ SLICE("max_tokens"), R_LIMIT_OLD },
	{ SLICE("parameters"), R_PARAMETERS },
	{ SLICE("min_tokens"), R_MIN },
	{ SLICE("ignore_eos"), R_IGNORE_EOS },
	{ SLICE("text_input"), R_INPUT },
	{ SLICE("image_data"), R_OPAQUE },
	{ SLICE("audio_data"), R_OPAQUE },
	{ SLICE("video_data"), R_OPAQUE },
	{ SLICE("background"), R_RECEIPT },
	{ SLICE("max_length"), R_LIMIT_NEW },
	{ SLICE("toolConfig"), R_TOOLS },
	{ SLICE("instruction"), R_TEXTS },
	{ SLICE("input_extra"), R_RAW },
	{ SLICE("guided_json"), R_SCHEMA },
	{ SLICE("json_schema"), R_SCHEMA },
	{ SLICE("max_gen_len"), R_LIMIT_NEW },
	{ SLICE("instructions"), R_PARTS },
	{ SLICE("input_prefix"), R_WORDS },
	{ SLICE("input_suffix"), R_WORDS },
	{ SLICE("guided_regex"), R_SCHEMA },
	{ SLICE("top_logprobs"), R_BULKY },
	{ SLICE("input_embeds"), R_OPAQUE },
	{ SLICE("conversation"), R_OPAQUE },
	{ SLICE("chat_history"), R_MESSAGES },
	{ SLICE("tool_results"), R_TEXTS },
	{ SLICE("guided_choice"), R_SCHEMA },
	{ SLICE("prompt_embeds"), R_OPAQUE },
	{ SLICE("from_entry_id"), R_OPAQUE },
	{ SLICE("max_new_tokens"), R_LIMIT_NEW },
	{ SLICE("guided_grammar"), R_SCHEMA },
	{ SLICE("return_logprob"), R_BULKY },
	{ SLICE("stream_options"), R_STREAM_OPTIONS },
	{ SLICE("sampling_params"), R_SAMPLING },
	{ SLICE("response_format"), R_FORMAT },
	{ SLICE("prompt_logprobs"), R_BULKY },
	{ SLICE("inferenceConfig"), R_PARAMETERS },
	{ SLICE("completion_args"), R_PARAMETERS },
	{ SLICE("generationConfig"), R_PARAMETERS },
	{ SLICE("return_token_ids"), R_BULKY },
	{ SLICE("multi_modal_data"), R_OPAQUE },
	{ SLICE("prompt_token_ids"), R_INPUT },
	{ SLICE("max_output_tokens"), R_LIMIT_RESPONSES },
	{ SLICE("systemInstruction"), R_PARTS },
	{ SLICE("generation_config"), R_PARAMETERS },
	{ SLICE("timings_per_token"), R_BULKY },
	{ SLICE("system_instruction"), R_PARTS },
	{ SLICE("structured_outputs"), R_SCHEMA },
	{ SLICE("return_hidden_states"), R_BULKY },
	{ SLICE("previous_response_id"), R_OPAQUE },
	{ SLICE("max_tokens_to_sample"), R_LIMIT_OLD },
	{ SLICE("max_completion_tokens"), R_LIMIT },
	{ SLICE("truncate_prompt_tokens"), R_OPAQUE },
};
_Static_assert(sizeof(root_members) / sizeof(root_members[0]) <= BODY_ROOT_MAX,
               "the scanner counts each of them");

/* A message, a part of one, or an input item: they share names and never disagree. */
static const struct member item_members[] = {
	{ SLICE("type"), R_TYPE },
	{ SLICE("text"), R_OWN_TEXT },
	{ SLICE("file"), R_OPAQUE },
	{ SLICE("code"), R_WORDS },
	{ SLICE("input"), R_ARGUMENTS },
	{ SLICE("parts"), R_PARTS },
	{ SLICE("image"), R_OPAQUE },
	{ SLICE("audio"), R_OPAQUE },
	{ SLICE("video"), R_OPAQUE },
	{ SLICE("output"), R_OWN_TEXT },
	{ SLICE("images"), R_OPAQUE },
	{ SLICE("source"), R_SOURCE },
	{ SLICE("stdout"), R_WORDS },
	{ SLICE("stderr"), R_WORDS },
	{ SLICE("action"), R_ARGUMENTS },
	{ SLICE("content"), R_OWN_TEXT },
	{ SLICE("refusal"), R_WORDS },
	{ SLICE("summary"), R_PARTS },
	{ SLICE("thought"), R_THOUGHT },
	{ SLICE("file_id"), R_OPAQUE },
	{ SLICE("message"), R_OWN_TEXT },
	{ SLICE("toolUse"), R_ARGUMENTS },
	{ SLICE("thinking"), R_THOUGHT },
	{ SLICE("fileData"), R_OPAQUE },
	{ SLICE("document"), R_DOCUMENT },
	{ SLICE("arguments"), R_ARGUMENTS },
	{ SLICE("reasoning"), R_THOUGHT },
	{ SLICE("image_url"), R_OPAQUE },
	{ SLICE("audio_url"), R_OPAQUE },
	{ SLICE("video_url"), R_OPAQUE },
	{ SLICE("file_data"), R_OPAQUE },
	{ SLICE("tool_plan"), R_WORDS },
	{ SLICE("operation"), R_ARGUMENTS },
	{ SLICE("tool_calls"), R_CALLS },
	{ SLICE("inlineData"), R_OPAQUE },
	{ SLICE("toolResult"), R_WORDS },
	{ SLICE("input_audio"), R_OPAQUE },
	{ SLICE("inline_data"), R_OPAQUE },
	{ SLICE("functionCall"), R_ARGUMENTS },
	{ SLICE("function_call"), R_FUNCTION },
	{ SLICE("prompt_string"), R_WORDS },
	{ SLICE("reasoningText"), R_PARTS },
	{ SLICE("executableCode"), R_ARGUMENTS },
	{ SLICE("thinking_blocks"), R_THOUGHT },
	{ SLICE("multimodal_data"), R_OPAQUE },
	{ SLICE("functionResponse"), R_WORDS },
	{ SLICE("reasoningContent"), R_THOUGHT },
	{ SLICE("reasoning_content"), R_THOUGHT },
	{ SLICE("reasoning_details"), R_THOUGHT },
	{ SLICE("function_response"), R_WORDS },
	{ SLICE("codeExecutionResult"), R_WORDS },
};

static const struct member call_members[] = {
	{ SLICE("custom"), R_FUNCTION },
	{ SLICE("function"), R_FUNCTION },
};
static const struct member function_members[] = {
	{ SLICE("name"), R_WORDS },
	{ SLICE("args"), R_ARGUMENTS },
	{ SLICE("input"), R_ARGUMENTS },
	{ SLICE("arguments"), R_ARGUMENTS },
};
static const struct member source_members[] = {
	{ SLICE("uri"), R_OPAQUE },        { SLICE("url"), R_OPAQUE },
	{ SLICE("type"), R_TYPE },         { SLICE("text"), R_WORDS },
	{ SLICE("data"), R_OWN_TEXT },     { SLICE("bytes"), R_OPAQUE },
	{ SLICE("content"), R_PARTS },     { SLICE("file_id"), R_OPAQUE },
	{ SLICE("s3Location"), R_OPAQUE },
};
static const struct member document_members[] = {
	{ SLICE("data"), R_WORDS },
	{ SLICE("text"), R_WORDS },
	{ SLICE("source"), R_SOURCE },
};
static const struct member format_members[] = {
	{ SLICE("type"), R_FORMAT_TYPE },
	{ SLICE("schema"), R_RAW },
	{ SLICE("json_schema"), R_RAW },
};
static const struct member text_members[] = { { SLICE("format"), R_FORMAT } };
static const struct member parameters_members[] = {
	{ SLICE("n"), R_N },
	{ SLICE("best_of"), R_BEST_OF },
	{ SLICE("grammar"), R_SCHEMA },
	{ SLICE("details"), R_BULKY },
	{ SLICE("truncate"), R_OPAQUE },
	{ SLICE("maxTokens"), R_LIMIT_NESTED },
	{ SLICE("max_tokens"), R_LIMIT_NESTED },
	{ SLICE("num_predict"), R_LIMIT_NESTED },
	{ SLICE("top_n_tokens"), R_BULKY },
	{ SLICE("max_new_tokens"), R_LIMIT_NESTED },
	{ SLICE("candidateCount"), R_N },
	{ SLICE("responseSchema"), R_SCHEMA },
	{ SLICE("maxOutputTokens"), R_LIMIT_NESTED },
	{ SLICE("sampling_params"), R_SAMPLING },
	{ SLICE("candidate_count"), R_N },
	{ SLICE("response_schema"), R_SCHEMA },
	{ SLICE("response_format"), R_FORMAT },
	{ SLICE("max_output_tokens"), R_LIMIT_NESTED },
	{ SLICE("decoder_input_details"), R_BULKY },
};
static const struct member stream_options_members[] = {
	{ SLICE("continuous_usage_stats"), R_BULKY },
};
static const struct member sampling_members[] = {
	{ SLICE("n"), R_N },
	{ SLICE("ebnf"), R_SCHEMA },
	{ SLICE("regex"), R_SCHEMA },
	{ SLICE("max_tokens"), R_LIMIT_SGLANG },
	{ SLICE("min_tokens"), R_MIN },
	{ SLICE("ignore_eos"), R_IGNORE_EOS },
	{ SLICE("json_schema"), R_SCHEMA },
	{ SLICE("max_new_tokens"), R_LIMIT_SGLANG },
	{ SLICE("min_new_tokens"), R_MIN },
};

#define MEMBERS(table) .members = (table), .nmembers = sizeof(table) / sizeof((table)[0])
const struct shape body_shapes[ROLES] = {
	[R_ROOT] = { MEMBERS(root_members) },
	[R_PARAMETERS] = { MEMBERS(parameters_members) },
	[R_SAMPLING] = { MEMBERS(sampling_members), .element = R_SAMPLING },
	[R_SOURCE] = { MEMBERS(source_members) },
	[R_DOCUMENT] = { MEMBERS(document_members) },
	[R_STREAM_OPTIONS] = { MEMBERS(stream_options_members) },
	[R_TEXTS] = { .element = R_TEXTS },
	[R_PARTS] = { .element = R_PART },
	[R_PART] = { MEMBERS(item_members) },
	[R_MESSAGES] = { .element = R_MESSAGE },
	[R_MESSAGE] = { MEMBERS(item_members) },
	[R_CHAT] = { .element = R_MESSAGE },
	[R_OWN_TEXT] = { .element = R_PART },
	[R_THOUGHT] = { .element = R_PART },
	[R_TEXT] = { MEMBERS(text_members) },
	[R_INPUT] = { .element = R_PROMPT },
	[R_PROMPT] = { MEMBERS(item_members), .element = R_ID },
	[R_CALLS] = { .element = R_CALL },
	[R_CALL] = { MEMBERS(call_members) },
	[R_FUNCTION] = { MEMBERS(function_members) },
	[R_FORMAT] = { MEMBERS(format_members) },
};

/* The first member of a role that is as long as that, or longer. */
static uint8_t first[ROLES][BODY_KEY_MAX + 2];

/* The tables never change, so this is done once, before main(). */
__attribute__((constructor)) static void index_members(void)
{
	for (size_t role = 0; role < ROLES; role++) {
		const struct shape *shape = &body_shapes[role];
		uint8_t i = 0;

		for (size_t len = 0; len < BODY_KEY_MAX + 2; len++) {
			while (i < shape->nmembers && shape->members[i].name.len < len)
				i++;
			first[role][len] = i;
		}
	}
}

const struct member *body_member(enum role role, struct slice name)
{
	const struct member *members = body_shapes[role].members;

	if (name.len > BODY_KEY_MAX)
		return NULL;
	for (size_t i = first[role][name.len]; i < first[role][name.len + 1]; i++) {
		if (slice_same(members[i].name, name))
			return &members[i];
	}
	return NULL;
}
