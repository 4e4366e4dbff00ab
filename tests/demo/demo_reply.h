/* demo_reply.h - answers in the shapes of vLLM, with filler for text.
 *
 * A stream is a numbered row of events; n output tokens make
 *     [role]  token 1 .. token n  [usage]  [DONE]
 * where only chat has the role, the n-th token carries the finish reason (without text when the
 * answer ends of itself: that token is the end mark), and the usage is sent on request. */
#ifndef DEMO_REPLY_H
#define DEMO_REPLY_H

#include <stdio.h>
#include <stdlib.h>

#include "demo_ask.h"

/* Bytes that hold any one event, and any whole answer without its text. */
#define DEMO_EVENT_MAX 1024
#define DEMO_WORD_MAX  8

struct demo_reply {
	struct demo_ask ask;
	uint64_t id;
	long long created; /* Unix seconds */
};

/* The k-th word of an answer: with its space 4.7 bytes on average, like English tokens. None of
 * them needs escaping in JSON. */
static inline const char *demo_word(uint64_t seed, uint32_t k)
{
	static const char words[][DEMO_WORD_MAX] = {
		" the",  " of",   " route", " time", " a",    " slow", " step",  " is",
		" load", " each", " token", " into", " no",   " pack", " queue", " that",
		" wait", " and",  " model", " one",  " then", " last", " serve", " to",
		" fast", " cost", " batch", " it",   " full", " rank", " cache", " per",
	};

	return words[demo_mix(seed + k) % (sizeof(words) / sizeof(words[0]))];
}

static inline const char *demo_text(const struct demo_reply *r, uint32_t k)
{
	return k == r->ask.output_tokens && !r->ask.cut ? "" : demo_word(r->ask.seed, k);
}

static inline const char *demo_finish_reason(const struct demo_reply *r)
{
	return r->ask.cut ? "length" : "stop";
}

/* How many events there are once `tokens` are generated. */
static inline uint64_t demo_events(const struct demo_reply *r, uint32_t tokens)
{
	bool last = tokens == r->ask.output_tokens;

	if (tokens == 0)
		return 0;
	return (uint64_t)r->ask.chat + tokens + (last ? 1u + r->ask.usage : 0u);
}

/* Everything of an event up to its choices; every printer below returns the bytes written. */
static inline size_t demo_print_head(const struct demo_reply *r, char *buf, size_t size)
{
	int n = snprintf(buf, size,
	                 "data: {\"id\":\"%s%016llx\",\"object\":\"%s\",\"created\":%lld,"
	                 "\"model\":%s,\"choices\":[",
	                 r->ask.chat ? "chatcmpl-" : "cmpl-", (unsigned long long)r->id,
	                 r->ask.chat ? "chat.completion.chunk" : "text_completion", r->created,
	                 r->ask.model);

	return (size_t)n;
}

static inline size_t demo_print_role(char *buf, size_t size)
{
	int n = snprintf(buf, size,
	                 "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
	                 "\"logprobs\":null,\"finish_reason\":null}],"
	                 "\"prompt_token_ids\":null}\n\n");

	return (size_t)n;
}

static inline size_t demo_print_chat(const struct demo_reply *r, uint32_t k, char *buf, size_t size)
{
	const char *text = demo_text(r, k);
	int n;

	if (k < r->ask.output_tokens)
		n = snprintf(buf, size,
		             "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,"
		             "\"finish_reason\":null,\"token_ids\":null}]}\n\n",
		             text);
	else
		n = snprintf(buf, size,
		             "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,"
		             "\"finish_reason\":\"%s\",\"stop_reason\":null,"
		             "\"token_ids\":null}]}\n\n",
		             text, demo_finish_reason(r));
	return (size_t)n;
}

static inline size_t demo_print_completion(const struct demo_reply *r, uint32_t k, char *buf,
                                           size_t size)
{
	bool last = k == r->ask.output_tokens;
	const char *quote = last ? "\"" : "";
	int n = snprintf(buf, size,
	                 "{\"index\":0,\"text\":\"%s\",\"logprobs\":null,\"finish_reason\":%s%s%s,"
	                 "\"stop_reason\":null,\"prompt_token_ids\":null,\"token_ids\":null}],"
	                 "\"usage\":null}\n\n",
	                 demo_text(r, k), quote, last ? demo_finish_reason(r) : "null", quote);

	return (size_t)n;
}

static inline size_t demo_print_usage(const struct demo_reply *r, char *buf, size_t size)
{
	unsigned long long in = r->ask.prompt_tokens, out = r->ask.output_tokens;
	int n = snprintf(buf, size,
	                 "\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu,"
	                 "\"completion_tokens\":%llu",
	                 in, in + out, out);

	return (size_t)n;
}

/* Event `index`, below demo_events(). buf holds DEMO_EVENT_MAX. */
static inline size_t demo_print_event(const struct demo_reply *r, uint64_t index, char *buf)
{
	const size_t size = DEMO_EVENT_MAX;
	uint64_t first = r->ask.chat; /* the event of token 1 */
	size_t n;

	if (index == first + r->ask.output_tokens + r->ask.usage)
		return (size_t)snprintf(buf, size, "data: [DONE]\n\n");
	n = demo_print_head(r, buf, size);
	if (index < first)
		return n + demo_print_role(buf + n, size - n);
	if (index < first + r->ask.output_tokens) {
		uint32_t k = (uint32_t)(index - first + 1);

		return n + (r->ask.chat ? demo_print_chat(r, k, buf + n, size - n)
		                        : demo_print_completion(r, k, buf + n, size - n));
	}
	n += (size_t)snprintf(buf + n, size - n, "],");
	n += demo_print_usage(r, buf + n, size - n);
	return n + (size_t)snprintf(buf + n, size - n, "}}\n\n");
}

static inline size_t demo_print_front(const struct demo_reply *r, char *buf, size_t size)
{
	const char *choice =
	    r->ask.chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"";
	int n = snprintf(buf, size,
	                 "{\"id\":\"%s%016llx\",\"object\":\"%s\",\"created\":%lld,\"model\":%s,"
	                 "\"choices\":[{\"index\":0,%s",
	                 r->ask.chat ? "chatcmpl-" : "cmpl-", (unsigned long long)r->id,
	                 r->ask.chat ? "chat.completion" : "text_completion", r->created,
	                 r->ask.model, choice);

	return (size_t)n;
}

static inline size_t demo_print_back(const struct demo_reply *r, char *buf, size_t size)
{
	const char *message = r->ask.chat ? "\",\"refusal\":null,\"annotations\":null,"
	                                    "\"audio\":null,\"function_call\":null,"
	                                    "\"tool_calls\":[],\"reasoning_content\":null}"
	                                  : "\"";
	const char *tail = r->ask.chat ? "},\"prompt_logprobs\":null,\"prompt_token_ids\":null,"
	                                 "\"kv_transfer_params\":null}"
	                               : "},\"kv_transfer_params\":null}";
	size_t n = (size_t)snprintf(buf, size,
	                            "%s,\"logprobs\":null,\"finish_reason\":\"%s\","
	                            "\"stop_reason\":null,\"token_ids\":null}],"
	                            "\"service_tier\":null,\"system_fingerprint\":null,",
	                            message, demo_finish_reason(r));

	n += demo_print_usage(r, buf + n, size - n);
	return n + (size_t)snprintf(buf + n, size - n, ",\"prompt_tokens_details\":null%s", tail);
}

/* The whole answer, from malloc; the usage stands at its end. NULL: out of memory. */
static inline char *demo_print_answer(const struct demo_reply *r, size_t *len)
{
	size_t size = (size_t)2 * DEMO_EVENT_MAX + (size_t)r->ask.output_tokens * DEMO_WORD_MAX;
	char *buf = malloc(size);
	size_t n;

	if (buf == NULL)
		return NULL;
	n = demo_print_front(r, buf, size);
	for (uint32_t k = 1; k <= r->ask.output_tokens; k++) {
		for (const char *c = demo_text(r, k); *c != '\0'; c++)
			buf[n++] = *c;
	}
	*len = n + demo_print_back(r, buf + n, size - n);
	return buf;
}

#endif
