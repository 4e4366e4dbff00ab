/* jsonpos.h - where things stand in a JSON text.
 *
 * jansson's tree knows no positions and does not read the NaN and Infinity that Python writes.
 * This module looks places up again in the original text, and makes the copy that jansson can
 * read. It builds no tree, allocates only in jsonpos_denan(), and never reads outside
 * [text, text + len), whatever the bytes are.
 *
 * Offsets count bytes from 0. Lines and columns count from 1; a column counts bytes, not
 * characters: a tab and a letter are 1, a two-byte character is 2. */
#ifndef SLO_WIRE_JSON_JSONPOS_H
#define SLO_WIRE_JSON_JSONPOS_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

struct json_error_t; /* <jansson.h> */

struct jsonpos {
	size_t line;
	size_t column;
};

/* One step down the tree: a member of an object by its (unescaped, UTF-8) name, or, when key
 * is NULL, an element of an array. */
struct jsonpos_step {
	const char *key;
	size_t index;
};

/* Which end of the last step is meant; an element of an array has only a value. */
enum jsonpos_part {
	JSONPOS_KEY,
	JSONPOS_VALUE,
};

/* Follows `path` through a text that is valid JSON (but for NaN and Infinity) and writes the
 * offset of the first byte found. No steps: the outermost value. Of equal names in an object
 * the last counts, as it does for jansson. False: no such place, *offset is untouched. */
MUSTCHECK bool jsonpos_find(const char *text, size_t len, const struct jsonpos_step *path,
                            size_t steps, enum jsonpos_part part, size_t *offset);

/* An offset past the end means the end. */
struct jsonpos jsonpos_at(const char *text, size_t len, size_t offset);

/* A copy in which every bare NaN, Infinity, nan and inf, in any case and with a sign or without, is
 * `null`; strings stay as they are.
 * *out is the caller's to free(); it is not terminated. SLO_ENOMEM: nothing was written. */
MUSTCHECK slo_err jsonpos_denan(const char *text, size_t len, char **out, size_t *out_len);

/* The way back: the offset in `text` of what stands at `offset` in its copy. Inside a replaced
 * word it is the word's first byte. */
size_t jsonpos_original(const char *text, size_t len, size_t offset);

/* The offset that a syntax error of jansson's means: the first byte of the token it choked on,
 * the byte itself inside a string, the end if the text ends too early. `text` is what jansson
 * was given. */
size_t jsonpos_syntax_error(const char *text, size_t len, const struct json_error_t *e);

#endif
