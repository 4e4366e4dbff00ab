#include "wire/json/jsonpos.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT     "null"
#define REPLACEMENT_LEN (sizeof(REPLACEMENT) - 1)

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes that numbers and bare words are made of. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '-' || c == '.' || c == '_';
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/* p is at the opening quote. A string that is never closed reaches to the end. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && end - p > 1)
			p++;
	}
	return end;
}

/* The end of the token at p, which is not space: a string, a word, or one byte. */
static const char *skip_token(const char *p, const char *end)
{
	if (*p == '"')
		return skip_string(p, end);
	if (!is_word(*p))
		return p + 1;
	while (p < end && is_word(*p))
		p++;
	return p;
}

/* Past the value at p and the space behind it. Counts brackets instead of recursing: the text
 * may be deep. */
static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && depth > 0)
			depth--;
		p = skip_space(skip_token(p, end), end);
		if (depth == 0)
			break;
	}
	return p;
}

/* Four hex digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

static size_t put_utf8(int32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* The character that the escape at p (behind the backslash) stands for; 0 bytes: not one. */
static size_t unescape(const char **pp, const char *end, char out[4])
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = *pp, *simple;
	int32_t cp, low;

	if (p == end || *p == '\0')
		return 0;
	simple = strchr(from, *p);
	if (simple) {
		out[0] = to[simple - from];
		*pp = p + 1;
		return 1;
	}
	if (*p != 'u')
		return 0;
	cp = hex4(p + 1, end);
	if (cp < 0)
		return 0;
	p += 5;
	if (cp >= 0xd800 && cp < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		low = hex4(p + 2, end);
		if (low < 0xdc00 || low > 0xdfff)
			return 0;
		cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	*pp = p;
	return put_utf8(cp, out);
}

/* Whether the string at p (at its opening quote) spells `key`. */
static bool spells(const char *p, const char *end, const char *key)
{
	p++;
	while (p < end && *p != '"') {
		char c[4];
		size_t n = 1;

		if (*p == '\\') {
			p++;
			n = unescape(&p, end, c);
			if (n == 0)
				return false;
		} else {
			c[0] = *p++;
		}
		/* Stops at the end of key: no byte of c may match its terminator. */
		for (size_t i = 0; i < n; i++, key++) {
			if (*key == '\0' || *key != c[i])
				return false;
		}
	}
	return p < end && *key == '\0';
}

/* The member `key` of the object at p: where its name and its value begin. */
static bool find_member(const char *p, const char *end, const char *key, const char **name,
                        const char **value)
{
	bool found = false;

	if (p == end || *p != '{')
		return false;
	p = skip_space(p + 1, end);
	while (p < end && *p == '"') {
		const char *start = p;

		p = skip_space(skip_string(p, end), end);
		if (p == end || *p != ':')
			break;
		p = skip_space(p + 1, end);
		if (p == end)
			break;
		if (spells(start, end, key)) {
			*name = start;
			*value = p;
			found = true;
		}
		p = skip_value(p, end);
		if (p == end || *p != ',')
			break;
		p = skip_space(p + 1, end);
	}
	return found;
}

static bool find_element(const char *p, const char *end, size_t index, const char **value)
{
	if (p == end || *p != '[')
		return false;
	p = skip_space(p + 1, end);
	for (; index > 0; index--) {
		p = skip_value(p, end);
		if (p == end || *p != ',')
			return false;
		p = skip_space(p + 1, end);
	}
	if (p == end || *p == ']')
		return false;
	*value = p;
	return true;
}

bool jsonpos_find(const char *text, size_t len, const struct jsonpos_step *path, size_t steps,
                  enum jsonpos_part part, size_t *offset)
{
	const char *end = text + len;
	const char *value = skip_space(text, end);
	const char *name = value;

	if (value == end)
		return false;
	for (size_t i = 0; i < steps; i++) {
		if (path[i].key) {
			if (!find_member(value, end, path[i].key, &name, &value))
				return false;
		} else {
			if (!find_element(value, end, path[i].index, &value))
				return false;
			name = value;
		}
	}
	*offset = (size_t)((part == JSONPOS_KEY ? name : value) - text);
	return true;
}

struct jsonpos jsonpos_at(const char *text, size_t len, size_t offset)
{
	struct jsonpos pos = { .line = 1, .column = 1 };

	if (offset > len)
		offset = len;
	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			pos.line++;
			pos.column = 1;
		} else {
			pos.column++;
		}
	}
	return pos;
}

static bool no_number(const char *p, const char *end)
{
	static const char *const words[] = { "NaN", "Infinity", "-Infinity" };
	size_t len = (size_t)(end - p);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (len == strlen(words[i]) && memcmp(p, words[i], len) == 0)
			return true;
	}
	return false;
}

slo_err jsonpos_denan(const char *text, size_t len, char **out, size_t *out_len)
{
	const char *p = text, *end = text + len;
	char *copy, *w;

	/* Three bytes become four at worst; none is left over from a shorter word. */
	if (len > SIZE_MAX / 2)
		return SLO_ENOMEM;
	copy = malloc(len + len / 3 + 1);
	if (!copy)
		return SLO_ENOMEM;
	w = copy;
	while (p < end) {
		const char *next = is_space(*p) ? skip_space(p, end) : skip_token(p, end);

		if (no_number(p, next)) {
			memcpy(w, REPLACEMENT, REPLACEMENT_LEN);
			w += REPLACEMENT_LEN;
		} else {
			memcpy(w, p, (size_t)(next - p));
			w += next - p;
		}
		p = next;
	}
	*out = copy;
	*out_len = (size_t)(w - copy);
	return SLO_OK;
}

size_t jsonpos_original(const char *text, size_t len, size_t offset)
{
	const char *p = text, *end = text + len;

	while (p < end) {
		const char *next = is_space(*p) ? skip_space(p, end) : skip_token(p, end);
		bool replaced = no_number(p, next);
		size_t n = replaced ? REPLACEMENT_LEN : (size_t)(next - p);

		if (offset < n)
			return (size_t)(p - text) + (replaced ? 0 : offset);
		offset -= n;
		p = next;
	}
	return len;
}

/* Where jansson stopped inside the string that ends at `past`. It gives a control character
 * back before it complains. */
static size_t inside_string(const char *text, size_t last, size_t past)
{
	return last + 1 < past && (unsigned char)text[last + 1] < 0x20 ? last + 1 : last;
}

size_t jsonpos_syntax_error(const char *text, size_t len, const struct json_error_t *e)
{
	enum json_error_code code = json_error_code(e);
	size_t position = e->position < 0 ? 0 : (size_t)e->position;
	const char *p, *end = text + len;

	if (code == json_error_premature_end_of_input || position > len)
		return len;
	if (code == json_error_invalid_utf8 || position == 0)
		return position;
	/* jansson stops behind what it has read: look for the token with the last byte. */
	for (p = skip_space(text, end); p < end;) {
		const char *next = skip_token(p, end);
		size_t past = (size_t)(next - text);

		if (position < past && *p == '"')
			return inside_string(text, position - 1, past);
		if (position <= past)
			return (size_t)(p - text);
		p = skip_space(next, end);
	}
	return position;
}
