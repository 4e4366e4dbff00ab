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

/* Of both alphabets. */
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=";

/* How files begin in base64: PNG, JPEG, GIF, RIFF (WebP, WAV), PDF. */
static const struct slice magics[] = { SLICE("iVBORw0KGgo"), SLICE("/9j/"),  SLICE("\\/9j\\/"),
	                               SLICE("R0lGOD"),      SLICE("UklGR"), SLICE("JVBERi") };

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

bool body_names_bytes(struct slice name)
{
	return slice_eq(name, "bytes") || slice_eq(name, "data");
}

static bool starts_as_file(struct slice s)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (s.len >= magics[i].len && memcmp(s.p, magics[i].p, magics[i].len) == 0)
			return true;
	return false;
}

/* Lines of base64 are parted by \n or \r, and a slash may be written as \/. Any other escape is of
 * text: \u4e2d. */
static bool is_of_base64(struct slice s)
{
	static const char escaped[] = "nr/";

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len &&
		    memchr(escaped, s.p[i + 1], sizeof(escaped) - 1))
			i++;
		else if (!memchr(base64, s.p[i], sizeof(base64) - 1))
			return false;
	}
	return true;
}

/* Whether it is an image or the like in base64. The alphabet does not tell it from paths, long
 * names or hex: "data:image/png;base64," must stand before it, or it begins as a file does, or
 * `bytes`. */
bool body_is_base64(struct slice s, bool bytes)
{
	static const char mark[] = ";base64,";
	const uint8_t *p;

	if (s.len < BODY_BLOB_MIN)
		return false;
	p = memmem(s.p, 128, mark, sizeof(mark) - 1);
	if (p)
		s = slice_behind(s, (size_t)(p - s.p) + sizeof(mark) - 1);
	else if (!bytes && !starts_as_file(s))
		return false;
	/* It is long enough: the start tells. Not between a backslash and what it is for. */
	s.len = s.p[BODY_BLOB_MIN / 2 - 1] == '\\' ? BODY_BLOB_MIN / 2 + 1 : BODY_BLOB_MIN / 2;
	return is_of_base64(s);
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
