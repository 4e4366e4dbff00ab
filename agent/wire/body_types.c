/* What the types of a body's parts say, and what is no text although it is a string. */
#include "body_private.h"

#include <string.h>
#include <strings.h>

#include "wire/rd.h"

/* The text of parts of these types is prompt. So is that of a part without a type. */
static const struct slice text_types[] = {
	SLICE("text"),          SLICE("input_text"),     SLICE("output_text"),
	SLICE("message"),       SLICE("tool_result"),    SLICE("reasoning_text"),
	SLICE("summary_text"),  SLICE("reasoning.text"), SLICE("reasoning.summary"),
	SLICE("search_result"), SLICE("mcp_call"),       SLICE("content"),
};

/* So is that of all that ends so: function_call_output, shell_call_output, mcp_tool_result. */
static const struct slice text_ends[] = { SLICE("_output"), SLICE("_tool_result") };

/* Parts of these types have their text, if any, in other members. A part of any other type is an
 * image or the like. */
static const struct slice plain_types[] = {
	SLICE("thinking"),         SLICE("redacted_thinking"),   SLICE("reasoning"),
	SLICE("tool_use"),         SLICE("reasoning.encrypted"), SLICE("function_call"),
	SLICE("tool_call"),        SLICE("custom_tool_call"),    SLICE("refusal"),
	SLICE("server_tool_use"),  SLICE("mcp_tool_use"),        SLICE("local_shell_call"),
	SLICE("shell_call"),       SLICE("web_search_call"),     SLICE("document"),
	SLICE("apply_patch_call"),
};

/* Of both alphabets, and what separates its lines in JSON. */
static const char base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\\";

static bool is_one_of(struct slice s, const struct slice *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_same(s, list[i]))
			return true;
	}
	return false;
}

#define IS_ONE_OF(s, list) is_one_of(s, list, sizeof(list) / sizeof((list)[0]))

bool body_is_text_type(struct slice type)
{
	for (size_t i = 0; i < sizeof(text_ends) / sizeof(text_ends[0]); i++) {
		struct slice end = text_ends[i];

		if (type.len >= end.len && memcmp(type.p + type.len - end.len, end.p, end.len) == 0)
			return true;
	}
	return IS_ONE_OF(type, text_types);
}

bool body_is_plain_type(struct slice type)
{
	return IS_ONE_OF(type, plain_types);
}

/* Whether it is an image or the like in base64, with or without "data:image/png;base64,". */
bool body_is_base64(struct slice s)
{
	static const char mark[] = ";base64,";
	const uint8_t *p = memmem(s.p, s.len < 128 ? s.len : 128, mark, sizeof(mark) - 1);
	const uint8_t *end = s.p + s.len;
	size_t n = 0;

	if (s.len < BODY_BLOB_MIN)
		return false;
	for (p = p ? p + sizeof(mark) - 1 : s.p; p < end && n < BODY_BLOB_MIN / 2; p++, n++) {
		if (!memchr(base64, *p, sizeof(base64) - 1))
			return false;
	}
	return true;
}

static bool is_word_of(struct slice word, const struct slice *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (word.len == list[i].len &&
		    strncasecmp((const char *)word.p, (const char *)list[i].p, word.len) == 0)
			return true;
	return false;
}

bool body_is_yes(struct slice word)
{
	static const struct slice yes[] = { SLICE("true"), SLICE("t"), SLICE("yes"), SLICE("y"),
		                            SLICE("on") };

	return is_word_of(word, yes, sizeof(yes) / sizeof(yes[0]));
}

bool body_is_no(struct slice word)
{
	static const struct slice no[] = { SLICE("false"), SLICE("f"), SLICE("no"), SLICE("n"),
		                           SLICE("off") };

	return is_word_of(word, no, sizeof(no) / sizeof(no[0]));
}
