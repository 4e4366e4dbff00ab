/* Two things here are for speed, since every request's body passes. Names and most values are
 * short, and a string is mostly without escapes: json_quoted() looks for its end eight bytes at a
 * time and leaves longer ones to memchr(). And white space is rare: json_peek() in the header tests
 * one byte before it calls anything.
 *
 * A string is decoded in pieces of a fixed buffer (json_piece), so that a body of any length needs
 * no memory. An escape is at most 12 bytes long and never decoded in two pieces. */
#include "wire/json/json_scan.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { CH_QUOTE = '"', CH_BACKSLASH = '\\' };

static size_t left(const struct json_cursor *c)
{
	return (size_t)(c->end - c->p);
}

int json_peek_far(struct json_cursor *c)
{
	while (c->p < c->end) {
		uint8_t b = *c->p;

		if (b != ' ' && b != '\n' && b != '\t' && b != '\r')
			return b;
		c->p++;
	}
	return JSON_CUT;
}

/* Where b next stands in [p, end), or end. */
static const uint8_t *find(const uint8_t *p, const uint8_t *end, int b)
{
	const uint8_t *at = p < end ? memchr(p, b, (size_t)(end - p)) : NULL;

	return at ? at : end;
}

#define EACH_BYTE UINT64_C(0x0101010101010101)
#define WORD      sizeof(uint64_t)

/* The top bit of the first byte of `word` that is b, in memory order; of none if there is no such
 * byte. Bits behind the first may be wrong. */
static uint64_t mark(uint64_t word, uint8_t b)
{
	uint64_t zero = word ^ EACH_BYTE * b;

	return (zero - EACH_BYTE) & ~zero & EACH_BYTE << 7;
}

/* Names and most values are shorter than this: they are not worth two calls of memchr(). */
#define SHORT_TEXT (3 * WORD)

/* Goes on from p to the first quote or backslash, or to where it is no short text any more. */
static const uint8_t *pass_plain(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *start = p;

	while ((size_t)(end - p) >= WORD && (size_t)(p - start) < SHORT_TEXT) {
		uint64_t word, found;

		memcpy(&word, p, WORD);
		word = le64toh(word);
		found = mark(word, CH_QUOTE) | mark(word, CH_BACKSLASH);
		if (found)
			return p + __builtin_ctzll(found) / 8;
		p += WORD;
	}
	return p;
}

/* The string that starts at `start`; before `from` there is neither quote nor backslash. memchr()
 * twice is faster than a loop over bytes: for the quote, then for backslashes before it. Neither
 * goes over a byte twice, so this is linear. */
static struct json_text quoted_from(struct json_cursor *c, const uint8_t *start,
                                    const uint8_t *from)
{
	const uint8_t *quote = find(from, c->end, CH_QUOTE);
	bool escaped = false;

	for (;;) {
		const uint8_t *slash = find(from, quote, CH_BACKSLASH);

		if (slash == quote)
			break;
		escaped = true;
		from = c->end - slash > 2 ? slash + 2 : c->end;
		if (quote < from)
			quote = find(from, c->end, CH_QUOTE);
	}
	c->p = quote < c->end ? quote + 1 : c->end;
	return (struct json_text){
		.raw = { .p = start, .len = (size_t)(quote - start) },
		.escaped = escaped,
		.closed = quote < c->end,
	};
}

struct json_text json_quoted(struct json_cursor *c)
{
	const uint8_t *start = c->p + 1;
	const uint8_t *p = pass_plain(start, c->end);

	if (p == c->end || *p != CH_QUOTE)
		return quoted_from(c, start, p);
	c->p = p + 1;
	return (struct json_text){
		.raw = { .p = start, .len = (size_t)(p - start) },
		.escaped = false,
		.closed = true,
	};
}

static bool in_word(uint8_t b)
{
	return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
	       b == '-' || b == '+' || b == '.';
}

struct slice json_word(struct json_cursor *c)
{
	const uint8_t *start = c->p;

	while (c->p < c->end && in_word(*c->p))
		c->p++;
	return (struct slice){ .p = start, .len = (size_t)(c->p - start) };
}

bool json_skip(struct json_cursor *c)
{
	size_t depth = 1;

	while (c->p < c->end) {
		switch (*c->p) {
		case CH_QUOTE:
			(void)json_quoted(c);
			continue;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			depth--;
			break;
		default:
			break;
		}
		c->p++;
		if (depth == 0)
			return true;
	}
	return false;
}

static int hex_digit(uint8_t b)
{
	if (b >= '0' && b <= '9')
		return b - '0';
	b |= 0x20;
	return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

enum unit { UNIT_OK, UNIT_BAD, UNIT_CUT };

/* The \uXXXX at c, not taken. */
static enum unit code_unit(const struct json_cursor *c, uint32_t *value)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 6; i++) {
		int digit;

		if (i >= left(c))
			return UNIT_CUT;
		if (i < 2) {
			if (c->p[i] != (i == 0 ? CH_BACKSLASH : 'u'))
				return UNIT_BAD;
			continue;
		}
		digit = hex_digit(c->p[i]);
		if (digit < 0)
			return UNIT_BAD;
		v = v << 4 | (uint32_t)digit;
	}
	*value = v;
	return UNIT_OK;
}

static size_t put_utf8(uint32_t cp, uint8_t out[4])
{
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xc0 | cp >> 6);
		out[1] = (uint8_t)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xe0 | cp >> 12);
		out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | cp >> 18);
	out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (cp & 0x3f));
	return 4;
}

/* The \uXXXX escape at c, with its second half when it is a surrogate pair. 0: cut off. */
static size_t unicode_escape(struct json_cursor *c, uint8_t buf[4])
{
	uint32_t cp = 0xfffd;
	uint32_t low;

	switch (code_unit(c, &cp)) {
	case UNIT_CUT:
		c->p = c->end;
		return 0;
	case UNIT_BAD:
		c->p += 2; /* the digits that are there stay text */
		return put_utf8(0xfffd, buf);
	case UNIT_OK:
		c->p += 6;
	}
	if (cp < 0xd800 || cp > 0xdfff)
		return put_utf8(cp, buf);
	if (cp > 0xdbff || left(c) == 0)
		return put_utf8(0xfffd, buf);
	switch (code_unit(c, &low)) {
	case UNIT_CUT:
		c->p = c->end;
		return 0;
	case UNIT_OK:
		if (low >= 0xdc00 && low <= 0xdfff) {
			c->p += 6;
			return put_utf8(0x10000 + ((cp - 0xd800) << 10 | (low - 0xdc00)), buf);
		}
		break;
	case UNIT_BAD:
		break;
	}
	return put_utf8(0xfffd, buf);
}

/* The escape at c. How many bytes it gives in buf; 0: cut off. */
static size_t escape(struct json_cursor *c, uint8_t buf[4])
{
	if (left(c) < 2) {
		c->p = c->end;
		return 0;
	}
	switch (c->p[1]) {
	case 'u':
		return unicode_escape(c, buf);
	case 'n':
		buf[0] = '\n';
		break;
	case 't':
		buf[0] = '\t';
		break;
	case 'r':
		buf[0] = '\r';
		break;
	case 'b':
		buf[0] = '\b';
		break;
	case 'f':
		buf[0] = '\f';
		break;
	default:
		buf[0] = c->p[1];
	}
	c->p += 2;
	return 1;
}

bool json_piece(struct slice *rest, uint8_t buf[JSON_PIECE_MAX], struct slice *piece)
{
	struct json_cursor c = { .p = rest->p, .end = rest->p + rest->len };
	const uint8_t *slash;
	size_t used = 0;

	if (rest->len == 0)
		return false;
	slash = find(c.p, c.end, CH_BACKSLASH);
	if (slash == c.end || slash - c.p >= JSON_PIECE_MAX) {
		*piece = (struct slice){ .p = c.p, .len = (size_t)(slash - c.p) };
		c.p = slash;
	} else {
		while (c.p < c.end && used <= JSON_PIECE_MAX - 4) {
			if (*c.p == CH_BACKSLASH)
				used += escape(&c, buf + used);
			else
				buf[used++] = *c.p++;
		}
		*piece = (struct slice){ .p = buf, .len = used };
	}
	*rest = (struct slice){ .p = c.p, .len = left(&c) };
	return true;
}

bool json_decode(struct slice raw, uint8_t *out, size_t cap, size_t *len)
{
	struct slice piece;
	uint8_t buf[JSON_PIECE_MAX];
	size_t used = 0;

	while (json_piece(&raw, buf, &piece)) {
		if (piece.len > cap - used)
			return false;
		memcpy(out + used, piece.p, piece.len);
		used += piece.len;
	}
	*len = used;
	return true;
}

/* How many digits s starts with. */
static size_t digits(struct slice s)
{
	uint64_t unused;

	return slice_digits(s, &unused);
}

/* The length of the number that s starts with, 0: it does not start with one. *whole is how much
 * of it stands before the point or exponent, *exponent whether it has one. */
static size_t number_length(struct slice s, size_t *whole, bool *exponent)
{
	size_t at = s.len > 0 && s.p[0] == '-', n = digits(slice_behind(s, at));

	if (n == 0 || (n > 1 && s.p[at] == '0'))
		return 0;
	*whole = at += n;
	if (at < s.len && s.p[at] == '.') {
		n = digits(slice_behind(s, at + 1));
		if (n == 0)
			return 0;
		at += 1 + n;
	}
	*exponent = at < s.len && (s.p[at] | 0x20) == 'e';
	if (!*exponent)
		return at;
	at++;
	at += at < s.len && (s.p[at] == '+' || s.p[at] == '-');
	n = digits(slice_behind(s, at));
	return n > 0 ? at + n : 0;
}

static int64_t clamped(double d)
{
	return d >= 0x1p63 ? INT64_MAX : d <= -0x1p63 ? -INT64_MAX : (int64_t)d;
}

/* Who writes a count with an exponent writes it short: a longer one is as good as endless. */
#define EXPONENT_NUMBER_MAX 63

bool json_number(struct slice word, int64_t *value)
{
	bool negative = word.len > 0 && word.p[0] == '-', exponent = false;
	char copy[EXPONENT_NUMBER_MAX + 1];
	size_t whole = 0;
	uint64_t v;

	if (word.len == 0 || number_length(word, &whole, &exponent) != word.len)
		return false;
	if (exponent && word.len <= EXPONENT_NUMBER_MAX) {
		memcpy(copy, word.p, word.len);
		copy[word.len] = '\0';
		*value = clamped(strtod(copy, NULL));
		return true;
	}
	(void)slice_digits((struct slice){ word.p + negative, whole - negative }, &v);
	if (v > INT64_MAX || exponent)
		v = INT64_MAX;
	*value = negative ? -(int64_t)v : (int64_t)v;
	return true;
}

bool json_literal(struct slice word, bool cut)
{
	static const char *const literals[] = { "true", "false", "null" };

	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(literals[i]);

		if ((word.len == len || (cut && word.len < len)) &&
		    memcmp(word.p, literals[i], word.len) == 0)
			return true;
	}
	return false;
}
