/* scanned.h - a body scanned from an exact-size copy, and what tests ask of it.
 * After cmocka.h and exact.h. */
#ifndef SLO_TESTS_SCANNED_H
#define SLO_TESTS_SCANNED_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/body.h"

/* A scanned sample with the bytes it borrows. */
struct scanned {
	uint8_t *bytes;
	struct body_info b;
};

static inline void scan_bytes(struct scanned *s, const void *bytes, size_t len)
{
	s->bytes = exact(bytes, len);
	memset(&s->b, 0xa5, sizeof(s->b)); /* nothing may be left over */
	body_scan((struct slice){ .p = s->bytes, .len = len }, &s->b);
}

static inline struct slice words(const char *text)
{
	return (struct slice){ .p = (const uint8_t *)text, .len = text ? strlen(text) : 0 };
}

static inline void read_bytes(struct scanned *s, const void *bytes, size_t len,
                              const char *encoding, const char *ctype)
{
	s->bytes = exact(bytes, len);
	memset(&s->b, 0xa5, sizeof(s->b));
	body_read((struct slice){ .p = s->bytes, .len = len }, words(encoding), words(ctype),
	          &s->b);
}

static inline void scan(struct scanned *s, const char *body)
{
	scan_bytes(s, body, strlen(body));
}

static inline void done(struct scanned *s)
{
	free(s->bytes);
	s->bytes = NULL;
}

/* Bodies are written with ' for ". */
static inline char *quoted(const char *body)
{
	char *p = (char *)exact(body, strlen(body) + 1);

	for (char *q = p; *q; q++) {
		if (*q == '\'')
			*q = '"';
	}
	return p;
}

static inline void scan_quoted(struct scanned *s, const char *body)
{
	char *p = quoted(body);

	scan(s, p);
	free(p);
}

static inline void assert_model(const struct scanned *s, const char *want)
{
	if (!want) {
		assert_null(s->b.model.p);
		assert_int_equal(s->b.model.len, 0);
		return;
	}
	assert_non_null(s->b.model.p);
	assert_int_equal(s->b.model.len, strlen(want));
	assert_memory_equal(s->b.model.p, want, s->b.model.len);
}

/* The counts are those of these texts, each on its own. */
static inline void assert_texts(const struct scanned *s, const char *const *texts, size_t n)
{
	struct tokens want;

	tokens_init(&want);
	for (size_t i = 0; i < n; i++) {
		tokens_gap(&want);
		tokens_feed(&want, (const uint8_t *)texts[i], strlen(texts[i]));
	}
	assert_memory_equal(s->b.text.count, want.count, sizeof(want.count));
}

static inline int64_t avg_tokens(const struct body_info *b, int64_t size)
{
	return body_prompt_tokens(b, tokens_weights("avg"), size);
}

/* Appends to the string in a buffer of cap bytes. */
static inline void add(char *buf, size_t cap, const char *text)
{
	size_t len = strlen(buf);
	size_t more = strlen(text);

	assert_true(more < cap - len);
	memcpy(buf + len, text, more + 1);
}

#endif
