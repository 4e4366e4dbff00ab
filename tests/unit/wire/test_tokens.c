#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "tokens_private.h"

/* Counts and estimates worked out by the authors of the weights; avg is tokens x 10000. */
static const struct example {
	const char *text;
	uint32_t count[TOKEN_FEATURES];
	int64_t avg;
} examples[] = {
	{ "Hello, world!",
	  { [TOKEN_WORD] = 2, [TOKEN_LEN5] = 2, [TOKEN_PUNCT] = 2, [TOKEN_PRUN] = 2 },
	  37202 },
	{ "The scheduler keeps internationalization requests waiting.",
	  { [TOKEN_WORD] = 6,
	    [TOKEN_LEN5] = 29,
	    [TOKEN_LEN9] = 13,
	    [TOKEN_PUNCT] = 1,
	    [TOKEN_PRUN] = 1 },
	  104703 },
	{ "for (int i = 0; i < 128; i++) {\n\tsum += values[i];\n}",
	  { [TOKEN_WORD] = 8,
	    [TOKEN_LEN5] = 2,
	    [TOKEN_DIGIT] = 4,
	    [TOKEN_DRUN] = 2,
	    [TOKEN_PUNCT] = 15,
	    [TOKEN_PRUN] = 11,
	    [TOKEN_NL] = 2,
	    [TOKEN_SP] = 1 },
	  221060 },
	{ "SELECT name, price FROM parts WHERE price >= 19.95;",
	  { [TOKEN_WORD] = 7,
	    [TOKEN_LEN5] = 6,
	    [TOKEN_DIGIT] = 4,
	    [TOKEN_DRUN] = 2,
	    [TOKEN_PUNCT] = 5,
	    [TOKEN_PRUN] = 4 },
	  137536 },
	{ "parseHttpRequestHeader getID",
	  { [TOKEN_WORD] = 2, [TOKEN_LEN5] = 19, [TOKEN_LEN9] = 14, [TOKEN_CAPS] = 4 },
	  57796 },
	{ "Gr\xc3\xb6\xc3\x9f"
	  "e und \xc3\x9c"
	  "bermut tragen Stra\xc3\x9f"
	  "enkleidung.",
	  { [TOKEN_WORD] = 5,
	    [TOKEN_LEN5] = 17,
	    [TOKEN_LEN9] = 7,
	    [TOKEN_PUNCT] = 1,
	    [TOKEN_PRUN] = 1,
	    [TOKEN_LAT2] = 4 },
	  132850 },
	{ "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8\xd1\x80! "
	  "\xce\x93\xce\xb5\xce\xb9\xce\xb1 \xcf\x83\xce\xbf\xcf\x85.",
	  { [TOKEN_PUNCT] = 3, [TOKEN_PRUN] = 3, [TOKEN_CYR2] = 16 },
	  90862 },
	{ "\xe6\x8e\x92\xe9\x98\x9f\xe7\xad\x89\xe5\xbe\x85\xe7\x9a\x84\xe8\xaf\xb7\xe6\xb1\x82",
	  { [TOKEN_CJK3] = 7 },
	  60480 },
	{ "\xe3\x81\x99\xe3\x81\x90\xe3\x81\xab\xe7\xad\x94\xe3\x81\x88\xe3\x81\xbe\xe3\x81\x99\xe3"
	  "\x80\x82",
	  { [TOKEN_CJK3] = 2, [TOKEN_KANA3] = 6 },
	  58290 },
	{ "\xeb\x8c\x80\xea\xb8\xb0\xec\x97\xb4 \xea\xb8\xb8\xec\x9d\xb4",
	  { [TOKEN_HANG3] = 5 },
	  41600 },
	{ "\xc4\x90i\xe1\xbb\x87n to\xc3\xa1n \xc4\x91\xc3\xa1m m\xc3\xa2y",
	  { [TOKEN_WORD] = 4, [TOKEN_LAT2] = 5, [TOKEN_E1_3] = 1 },
	  106505 },
	{ "ready \xf0\x9f\x9a\x80 set",
	  { [TOKEN_WORD] = 2, [TOKEN_LEN5] = 1, [TOKEN_U4] = 1 },
	  48401 },
	{ "2026-03-14T15:09:26.535Z 10.0.0.7 200 1532",
	  { [TOKEN_WORD] = 2,
	    [TOKEN_DIGIT] = 29,
	    [TOKEN_DRUN] = 13,
	    [TOKEN_PUNCT] = 8,
	    [TOKEN_PRUN] = 8 },
	  320976 },
};
#define NEXAMPLES (sizeof(examples) / sizeof(examples[0]))

static struct tokens count_of(const void *bytes, size_t len)
{
	uint8_t *p = exact(bytes, len);
	struct tokens t;

	tokens_init(&t);
	tokens_feed(&t, p, len);
	free(p);
	return t;
}

static struct tokens count_text(const char *text)
{
	return count_of(text, strlen(text));
}

/* tokens x 10000, before rounding to whole tokens. */
static int64_t avg_of(const struct tokens *t)
{
	const struct token_weights *w = tokens_weights("avg");
	int64_t sum = 0;

	for (size_t i = 0; i < TOKEN_FEATURES; i++)
		sum += (int64_t)t->count[i] * w->weight[i];
	return sum * 10000 / TOKEN_WEIGHT_ONE;
}

/* The definition, written down as plainly as possible: the whole text at once, a look back at the
 * character before. */
struct reference {
	uint32_t count[TOKEN_FEATURES];
	uint32_t letters;
	int before; /* the character before when it was ASCII, else -1 */
};

static bool is_lower(int c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(int c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_newline(int c)
{
	return c == '\n' || c == '\r';
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static bool is_punct(int c)
{
	return c >= 0 && !is_lower(c) && !is_upper(c) && !is_digit(c) && !is_newline(c) &&
	       !is_blank(c);
}

static void reference_letter(struct reference *r, bool len9)
{
	r->letters++;
	if (r->letters == 1)
		r->count[TOKEN_WORD]++;
	if (r->letters > 4)
		r->count[TOKEN_LEN5]++;
	if (r->letters > 8 && len9)
		r->count[TOKEN_LEN9]++;
}

static void reference_ascii(struct reference *r, int c)
{
	if (is_lower(c) || is_upper(c)) {
		if (is_upper(c) && is_lower(r->before))
			r->count[TOKEN_CAPS]++;
		reference_letter(r, true);
	} else {
		r->letters = 0;
		r->count[TOKEN_DIGIT] += is_digit(c);
		r->count[TOKEN_DRUN] += is_digit(c) && !is_digit(r->before);
		r->count[TOKEN_NL] += is_newline(c) && !is_newline(r->before);
		r->count[TOKEN_SP] += is_blank(c) && (is_blank(r->before) || is_newline(r->before));
		r->count[TOKEN_PUNCT] += is_punct(c);
		r->count[TOKEN_PRUN] += is_punct(c) && !is_punct(r->before);
	}
	r->before = c;
}

static enum token_feature wide_feature(int lead, int second)
{
	if (lead >= 0xf0)
		return TOKEN_U4;
	if (lead >= 0xee)
		return TOKEN_OTH3;
	if (lead >= 0xea)
		return TOKEN_HANG3;
	if (lead >= 0xe4)
		return TOKEN_CJK3;
	if (lead == 0xe3)
		return second >= 0x81 && second <= 0x83 ? TOKEN_KANA3 : TOKEN_CJK3;
	if (lead == 0xe2)
		return TOKEN_E2_3;
	if (lead == 0xe1)
		return TOKEN_E1_3;
	if (lead == 0xe0)
		return TOKEN_IND3;
	if (lead >= 0xd8 && lead <= 0xdb)
		return TOKEN_AR2;
	if (lead >= 0xce && lead <= 0xd1)
		return TOKEN_CYR2;
	if (lead <= 0xca || lead == 0xcc || lead == 0xcd)
		return TOKEN_LAT2;
	return TOKEN_OTH2;
}

static void reference_count(const uint8_t *p, size_t len, struct reference *r)
{
	size_t i = 0;

	memset(r, 0, sizeof(*r));
	r->before = -1;
	while (i < len) {
		int lead = p[i];
		int second = i + 1 < len ? p[i + 1] : -1;

		if (lead < 0x80) {
			reference_ascii(r, lead);
			i++;
			continue;
		}
		r->count[wide_feature(lead, second)]++;
		r->before = -1;
		if (lead >= 0xc3 && lead <= 0xca)
			reference_letter(r, true);
		else if (lead == 0xe1 && (second == 0xba || second == 0xbb))
			reference_letter(r, false);
		else
			r->letters = 0;
		i += lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void the_worked_examples_come_out_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < NEXAMPLES; i++) {
		struct tokens t = count_text(examples[i].text);

		assert_memory_equal(t.count, examples[i].count, sizeof(t.count));
		/* Rounded weights: up to half of 1/4096 for each thing counted. */
		assert_in_range(avg_of(&t) - examples[i].avg + 100, 0, 200);
		assert_int_equal(tokens_total(&t, tokens_weights("avg")),
		                 (examples[i].avg + 5000) / 10000);
	}
}

static void a_text_may_be_cut_in_two_at_any_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < NEXAMPLES; i++) {
		size_t len = strlen(examples[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t *head = exact(examples[i].text, cut);
			uint8_t *tail = exact(examples[i].text + cut, len - cut);
			struct tokens t;

			tokens_init(&t);
			tokens_feed(&t, head, cut);
			tokens_feed(&t, tail, len - cut);
			assert_memory_equal(t.count, examples[i].count, sizeof(t.count));
			free(head);
			free(tail);
		}
	}
}

/* Of the alphabet, but for one byte in `odd`. */
static void fill(uint8_t *p, size_t len, uint32_t *seed, const char *alphabet, uint32_t odd)
{
	size_t n = strlen(alphabet);

	for (size_t i = 0; i < len; i++) {
		uint32_t r = next_random(seed);

		p[i] = n > 0 && r % odd != 0 ? (uint8_t)alphabet[r / odd % n] : (uint8_t)(r >> 4);
	}
}

static void feed_in_pieces(struct tokens *t, const uint8_t *p, size_t len, uint32_t longest,
                           uint32_t *seed)
{
	tokens_init(t);
	for (size_t at = 0; at < len;) {
		size_t n = next_random(seed) % longest;

		n = n < len - at ? n : len - at;
		tokens_feed(t, p + at, n);
		at += n;
	}
}

/* Any bytes, in any pieces, long runs that overflow no packed count among them; with the widest
 * vectors that this CPU has and without. */
static void any_bytes_in_any_pieces_count_as_the_definition_says(void **state)
{
	static const char *const alphabets[] = {
		"",
		"abcXYZ",
		"a 1.\n",
		" \t\n\r",
		"\xe1\xba\xbb\x81",
		"\xe3\x81\xc3g",
		"aaaaaaaaaab z",
	};
	uint32_t seed = 20260314;

	(void)state;
	for (size_t round = 0; round < 900; round++) {
		size_t len = next_random(&seed) % (round % 50 == 0 ? 20000 : 900);
		uint8_t *p = malloc(len + 1);
		struct reference want;
		struct tokens t;

		assert_non_null(p);
		fill(p, len, &seed, alphabets[round % 7], round % 2 == 0 ? 8 : 400);
		if (round % 11 == 0)
			memset(p, "x1 .\n"[round % 5], len);
		reference_count(p, len, &want);
		for (int narrow = 0; narrow < 2; narrow++) {
			tokens_without_avx2 = narrow;
			feed_in_pieces(&t, p, len, round % 3 == 0 ? 4 : 30000, &seed);
			assert_memory_equal(t.count, want.count, sizeof(t.count));
		}
		tokens_without_avx2 = false;
		free(p);
	}
}

static void a_gap_ends_words_runs_and_characters(void **state)
{
	struct tokens t;

	(void)state;
	tokens_init(&t);
	tokens_feed(&t, (const uint8_t *)"inter1", 5);
	tokens_gap(&t);
	tokens_feed(&t, (const uint8_t *)"Nation", 6);
	assert_int_equal(t.count[TOKEN_WORD], 2);
	assert_int_equal(t.count[TOKEN_CAPS], 0);
	assert_int_equal(t.count[TOKEN_LEN5], 1 + 2);
	assert_int_equal(t.count[TOKEN_LEN9], 0);
	tokens_gap(&t);
	tokens_feed(&t, (const uint8_t *)"\xe3", 1);
	tokens_gap(&t);
	tokens_feed(&t, (const uint8_t *)"\x81q", 2);
	assert_int_equal(t.count[TOKEN_CJK3], 1);
	assert_int_equal(t.count[TOKEN_KANA3], 0);
	assert_int_equal(t.count[TOKEN_LAT2], 1); /* the stray byte took the q with it */
	assert_int_equal(t.count[TOKEN_WORD], 2);
}

static void a_letter_of_three_bytes_is_no_len9(void **state)
{
	struct tokens t = count_text("abcdefgh\xe1\xba\xa1\xc3\xa9x \xe1\xba\xa1 \xe1\x80\x80"
	                             "b");

	(void)state;
	assert_int_equal(t.count[TOKEN_WORD], 3);
	assert_int_equal(t.count[TOKEN_LEN5], 4 + 3);
	assert_int_equal(t.count[TOKEN_LEN9], 2);
	assert_int_equal(t.count[TOKEN_E1_3], 3);
	assert_int_equal(t.count[TOKEN_LAT2], 1);
}

static void nothing_is_no_tokens(void **state)
{
	struct tokens t;

	(void)state;
	tokens_init(&t);
	tokens_feed(&t, NULL, 0);
	assert_int_equal(tokens_total(&t, tokens_weights("avg")), 0);
}

static void every_set_has_a_name_and_sane_weights(void **state)
{
	static const char *const names[] = { "avg",   "cl100k", "o200k", "llama3",
		                             "qwen2", "dsv3",   "llama2" };
	struct tokens t = count_text("The quick brown fox jumps over the lazy dog, 128 times.\n");

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct token_weights *w = tokens_weights(names[i]);

		assert_non_null(w);
		assert_string_equal(w->name, names[i]);
		assert_in_range(tokens_total(&t, w), 13, 20);
	}
	assert_null(tokens_weights("gpt2"));
	assert_null(tokens_weights(""));
	assert_int_equal(tokens_weights("avg")->weight[TOKEN_WORD], 3561);
	assert_int_equal(tokens_weights("llama2")->weight[TOKEN_U4], 13979);
	assert_int_equal(tokens_weights("o200k")->weight[TOKEN_LEN9], 0);
}

static void the_total_rounds_to_the_nearest_and_does_not_overflow(void **state)
{
	const struct token_weights *w = tokens_weights("avg");
	struct tokens t;

	(void)state;
	tokens_init(&t);
	t.count[TOKEN_DIGIT] = 1; /* 0.31 */
	assert_int_equal(tokens_total(&t, w), 0);
	t.count[TOKEN_DIGIT] = 2; /* 0.63 */
	assert_int_equal(tokens_total(&t, w), 1);
	for (size_t i = 0; i < TOKEN_FEATURES; i++)
		t.count[i] = UINT32_MAX;
	assert_true(tokens_total(&t, w) > INT64_C(14) * UINT32_MAX);
	assert_true(tokens_total(&t, w) < INT64_C(15) * UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_worked_examples_come_out_exactly),
		cmocka_unit_test(a_text_may_be_cut_in_two_at_any_byte),
		cmocka_unit_test(any_bytes_in_any_pieces_count_as_the_definition_says),
		cmocka_unit_test(a_gap_ends_words_runs_and_characters),
		cmocka_unit_test(a_letter_of_three_bytes_is_no_len9),
		cmocka_unit_test(nothing_is_no_tokens),
		cmocka_unit_test(every_set_has_a_name_and_sane_weights),
		cmocka_unit_test(the_total_rounds_to_the_nearest_and_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
