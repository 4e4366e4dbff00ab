/* slice.h - borrowed bytes, and what every layer does with them. */
#ifndef SLO_SLICE_H
#define SLO_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns. p may be NULL when len is 0. Not terminated. */
struct slice {
	const uint8_t *p;
	size_t len;
};

static inline struct slice slice_of(const char *text)
{
	return (struct slice){ .p = (const uint8_t *)text, .len = strlen(text) };
}

/* The initializer of a slice of a literal, for tables. */
#define SLICE(text)                                                   \
	{                                                             \
		.p = (const uint8_t *)(text), .len = sizeof(text) - 1 \
	}

static inline bool slice_same(struct slice a, struct slice b)
{
	if (a.len != b.len || a.len == 0)
		return a.len == b.len;
	/* Most that are as long as each other differ at once, without a call. */
	return a.p[0] == b.p[0] && memcmp(a.p, b.p, a.len) == 0;
}

/* Lengths first: memcmp over the peer's length would read past a short key. */
static inline bool slice_eq(struct slice s, const char *text)
{
	size_t len = strlen(text); /* of a literal it is constant: no call, neither below */

	return s.len == len && (len == 0 || memcmp(s.p, text, len) == 0);
}

static inline bool slice_starts(struct slice s, const char *text)
{
	size_t len = strlen(text);

	return s.len >= len && (len == 0 || memcmp(s.p, text, len) == 0);
}

/* Without its first n bytes, of which it has at least n. */
static inline struct slice slice_behind(struct slice s, size_t n)
{
	return n == 0 ? s : (struct slice){ .p = s.p + n, .len = s.len - n };
}

/* Without blanks and tabs at both ends. */
static inline struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_behind(s, 1);
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* The decimal number that s starts with, UINT64_MAX for a larger one (or for one of the six largest
 * uint64_t); returns how many digits it has. None: *value is 0. */
static inline size_t slice_digits(struct slice s, uint64_t *value)
{
	uint64_t v = 0;
	size_t n = 0;

	for (; n < s.len; n++) {
		unsigned digit = (unsigned)s.p[n] - '0';

		if (digit > 9)
			break;
		v = v >= UINT64_MAX / 10 ? UINT64_MAX : v * 10 + digit;
	}
	*value = v;
	return n;
}

/* Whether s is a decimal number of at most max, and nothing else; *value is written only then. */
static inline bool slice_decimal(struct slice s, uint64_t max, uint64_t *value)
{
	uint64_t v;

	/* UINT64_MAX may stand for more than it says. */
	if (s.len == 0 || slice_digits(s, &v) != s.len || v > max || v == UINT64_MAX)
		return false;
	*value = v;
	return true;
}

#endif
