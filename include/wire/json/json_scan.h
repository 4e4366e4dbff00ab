/* json_scan.h - words of a JSON text that may be cut anywhere.
 * Lexical only: no tree, no allocation, no recursion; every call is O(bytes it passes). Lenient
 * where that is safe: control characters inside strings are taken as they are, and escapes are
 * looked at only when a string is decoded. */
#ifndef SLO_WIRE_JSON_JSON_SCAN_H
#define SLO_WIRE_JSON_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

/* What has not been read yet: [p, end). */
struct json_cursor {
	const uint8_t *p;
	const uint8_t *end;
};

#define JSON_CUT (-1) /* the text ends here */

/* A string between its quotes, as written. */
struct json_text {
	struct slice raw; /* borrowed; raw.p is never NULL */
	bool escaped;     /* there are backslashes in raw */
	bool closed;      /* the closing quote was there */
};

int json_peek_far(struct json_cursor *c); /* json_peek() where there may be white space */

/* Skips white space; the next byte, not taken, or JSON_CUT. */
static inline int json_peek(struct json_cursor *c)
{
	/* White space is at most a blank, and mostly there is none. */
	return (c->p < c->end) && (*c->p > ' ') ? *c->p : json_peek_far(c);
}

/* Takes the byte that json_peek() has just shown. */
static inline void json_take(struct json_cursor *c)
{
	c->p++;
}

/* The string whose opening quote json_peek() has just shown. */
struct json_text json_quoted(struct json_cursor *c);
/* A run of what numbers and literals are made of; may be empty. */
struct slice json_word(struct json_cursor *c);
/* With the opening bracket of a container already taken, goes past its closing one, whatever is
 * inside: brackets are counted, not matched by kind. false: the text ends first. */
bool json_skip(struct json_cursor *c);

#define JSON_PIECE_MAX 256

/* Decodes a raw string piece by piece: takes the next off *rest and points *piece at it, either in
 * the text or in buf. A piece may end within a character, or be empty. false: nothing is left.
 * What JSON does not know (\q, a lone surrogate) yields the character or U+FFFD; an escape cut off
 * at the end yields nothing. */
bool json_piece(struct slice *rest, uint8_t buf[JSON_PIECE_MAX], struct slice *piece);
/* The decoded string into at most cap bytes. false: it does not fit, out is undefined. */
MUSTCHECK bool json_decode(struct slice raw, uint8_t *out, size_t cap, size_t *len);
/* The number that word is, its fraction cut off, clamped to +-INT64_MAX; one with an exponent is
 * as exact as a double, and clamped if it has more than 63 bytes. false: not a JSON number. */
MUSTCHECK bool json_number(struct slice word, int64_t *value);
/* Whether word is true, false or null; when cut, whether it could become one of them. */
bool json_literal(struct slice word, bool cut);

#endif
