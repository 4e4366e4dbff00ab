/* Only error paths come here, so nothing is stored: each question walks the text from its start, a
 * token at a time. A token is a string, a word or one byte; the text is valid JSON or almost, so no
 * more of the grammar is needed. Values are passed by counting brackets, not by recursion: the text
 * may be deeper than the stack. */
#include "wire/json/jsonpos.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/json/json_scan.h"

#define REPLACEMENT     "null"
#define REPLACEMENT_LEN (sizeof(REPLACEMENT) - 1)

static struct json_cursor cursor(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)(len > 0 ? text : "");

	return (struct json_cursor){ .p = p, .end = p + len };
}

/* Takes what json_peek() has just shown: a string, a word, or one byte. */
static struct slice take_token(struct json_cursor *c, int first)
{
	const uint8_t *start = c->p;

	if (first == '"')
		(void)json_quoted(c);
	else if (json_word(c).len == 0)
		json_take(c);
	return (struct slice){ .p = start, .len = (size_t)(c->p - start) };
}

/* Past the value that stands next. */
static void skip_value(struct json_cursor *c)
{
	int first = json_peek(c);

	if (first == JSON_CUT)
		return;
	(void)take_token(c, first);
	if (first == '{' || first == '[')
		(void)json_skip(c);
}

/* Whether json_peek() shows b; then it is taken. */
static bool take(struct json_cursor *c, int b)
{
	if (json_peek(c) != b)
		return false;
	json_take(c);
	return true;
}

/* Whether a string spells `key`. */
static bool spells(struct json_text string, const char *key)
{
	struct slice left = slice_of(key), piece;
	uint8_t buf[JSON_PIECE_MAX];

	if (!string.closed)
		return false;
	while (json_piece(&string.raw, buf, &piece)) {
		if (piece.len > left.len || memcmp(piece.p, left.p, piece.len) != 0)
			return false;
		left = slice_behind(left, piece.len);
	}
	return left.len == 0;
}

/* What a place is looked up in, and both ends of a member found there. */
struct place {
	struct json_cursor name, value;
};

/* The member `key` of the object at at->value. */
static bool find_member(struct place *at, const char *key)
{
	struct json_cursor c = at->value;
	bool found = false;

	if (!take(&c, '{'))
		return false;
	while (json_peek(&c) == '"') {
		struct json_cursor name = c;
		struct json_text string = json_quoted(&c);

		if (!take(&c, ':') || json_peek(&c) == JSON_CUT)
			break;
		if (spells(string, key)) {
			at->name = name;
			at->value = c;
			found = true;
		}
		skip_value(&c);
		if (!take(&c, ','))
			break;
	}
	return found;
}

static bool find_element(struct place *at, size_t index)
{
	struct json_cursor c = at->value;
	int b;

	if (!take(&c, '['))
		return false;
	for (; index > 0; index--) {
		skip_value(&c);
		if (!take(&c, ','))
			return false;
	}
	b = json_peek(&c);
	if (b == JSON_CUT || b == ']')
		return false;
	at->name = at->value = c;
	return true;
}

bool jsonpos_find(const char *text, size_t len, const struct jsonpos_step *path, size_t steps,
                  enum jsonpos_part part, size_t *offset)
{
	struct place at = { .value = cursor(text, len) };

	if (json_peek(&at.value) == JSON_CUT)
		return false;
	at.name = at.value;
	for (size_t i = 0; i < steps; i++)
		if (path[i].key ? !find_member(&at, path[i].key)
		                : !find_element(&at, path[i].index))
			return false;
	*offset = (size_t)((part == JSONPOS_KEY ? at.name.p : at.value.p) - (const uint8_t *)text);
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

/* As Python writes them, or C's printf. */
static bool is_no_number(struct slice token)
{
	static const struct slice words[] = { SLICE("nan"), SLICE("inf"), SLICE("infinity") };

	if (token.len > 0 && (token.p[0] == '-' || token.p[0] == '+'))
		token = slice_behind(token, 1);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (token.len == words[i].len &&
		    strncasecmp((const char *)token.p, (const char *)words[i].p, token.len) == 0)
			return true;
	}
	return false;
}

static char *put(char *to, const void *from, size_t len)
{
	return len > 0 ? (char *)memcpy(to, from, len) + len : to;
}

slo_err jsonpos_denan(const char *text, size_t len, char **out, size_t *out_len)
{
	struct json_cursor c = cursor(text, len);
	const uint8_t *from = c.p; /* what is not yet copied */
	char *copy, *to;
	int first;

	/* Three bytes become four at worst; none is left over from a shorter word. */
	if (len > SIZE_MAX / 2)
		return SLO_ENOMEM;
	copy = to = malloc(len + len / 3 + 1);
	if (!copy)
		return SLO_ENOMEM;
	while ((first = json_peek(&c)) != JSON_CUT) {
		struct slice token = take_token(&c, first);

		if (!is_no_number(token))
			continue;
		to = put(to, from, (size_t)(token.p - from));
		to = put(to, REPLACEMENT, REPLACEMENT_LEN);
		from = c.p;
	}
	to = put(to, from, (size_t)(c.end - from));
	*out = copy;
	*out_len = (size_t)(to - copy);
	return SLO_OK;
}

size_t jsonpos_original(const char *text, size_t len, size_t offset)
{
	struct json_cursor c = cursor(text, len);
	size_t shift = 0; /* of the copy behind the text; wraps below 0 */
	int first;

	while ((first = json_peek(&c)) != JSON_CUT) {
		struct slice token = take_token(&c, first);
		size_t at = (size_t)(token.p - (const uint8_t *)text);

		if (!is_no_number(token))
			continue;
		if (offset < at + shift)
			break;
		if (offset < at + shift + REPLACEMENT_LEN)
			return at;
		shift += REPLACEMENT_LEN - token.len;
	}
	return offset - shift < len ? offset - shift : len;
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
	struct json_cursor c = cursor(text, len);
	int first;

	if (code == json_error_premature_end_of_input || position > len)
		return len;
	if (code == json_error_invalid_utf8 || position == 0)
		return position;
	/* jansson stops behind what it has read: look for the token with the last byte. */
	while ((first = json_peek(&c)) != JSON_CUT) {
		struct slice token = take_token(&c, first);
		size_t past = (size_t)(c.p - (const uint8_t *)text);

		if (position < past && first == '"')
			return inside_string(text, position - 1, past);
		if (position <= past)
			return past - token.len;
	}
	return position;
}
