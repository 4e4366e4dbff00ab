/* tokens_blocks.h - counts ASCII by vectors of BLOCK_BYTES, 16 or 32. Included by the files that
 * define it and are compiled for vectors of that size; a comparison gives 0xff where it holds. */
#include <string.h>

#include "tokens_private.h"

typedef uint8_t block __attribute__((vector_size(BLOCK_BYTES)));

#define BLOCK      ((ptrdiff_t)sizeof(block))
#define BLOCKS_MAX 255 /* a count of one byte per byte of the block goes so far */

static inline block load(const uint8_t *p)
{
	block b;

	memcpy(&b, p, sizeof(b));
	return b;
}

static inline block within(block b, uint8_t first, uint8_t count)
{
	return (block)(b - first < count);
}

/* What bytes are, each class as a mask. */
struct classes {
	block lower, upper, letter, digit, newline, blank, punct;
};

static inline struct classes classify(block b)
{
	struct classes c;

	c.lower = within(b, 'a', 26);
	c.upper = within(b, 'A', 26);
	c.letter = c.lower | c.upper;
	c.digit = within(b, '0', 10);
	c.newline = (block)(b == '\n') | (block)(b == '\r');
	c.blank = (block)(b == ' ') | (block)(b == '\t');
	c.punct = ~(c.letter | c.digit | c.newline | c.blank) & (block)(b < 0x80);
	return c;
}

static inline block letters(const uint8_t *p)
{
	return within(load(p) | 0x20, 'a', 26);
}

static inline bool is_ascii(const uint8_t *p)
{
	uint64_t word[BLOCK_BYTES / 8], all = 0;

	memcpy(word, p, sizeof(word));
	for (size_t i = 0; i < BLOCK_BYTES / 8; i++)
		all |= word[i];
	return (all & UINT64_C(0x8080808080808080)) == 0;
}

/* First in four lanes of 16 bits, then in the highest of them. */
static inline uint32_t sum(block counts)
{
	const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
	uint64_t word[BLOCK_BYTES / 8], lanes = 0;

	memcpy(word, &counts, sizeof(word));
	for (size_t i = 0; i < BLOCK_BYTES / 8; i++)
		lanes += (word[i] & even) + (word[i] >> 8 & even);
	return (uint32_t)(lanes * UINT64_C(0x0001000100010001) >> 48);
}

static const uint8_t block_feature[] = {
	TOKEN_WORD, TOKEN_LEN5,  TOKEN_LEN9, TOKEN_CAPS, TOKEN_DIGIT,
	TOKEN_DRUN, TOKEN_PUNCT, TOKEN_PRUN, TOKEN_NL,   TOKEN_SP,
};
#define BLOCK_FEATURES sizeof(block_feature)

/* Adds what the block at p adds; the TOKENS_LOOK_BACK bytes before it are ASCII and were fed. */
static inline void count_block(const uint8_t *p, block count[BLOCK_FEATURES])
{
	struct classes now = classify(load(p)), last = classify(load(p - 1));
	block len5 = now.letter & last.letter & letters(p - 2) & letters(p - 3) & letters(p - 4);
	block len9 = len5 & letters(p - 5) & letters(p - 6) & letters(p - 7) & letters(p - 8);

	/* A mask is -1 where it holds. */
	count[0] -= now.letter & ~last.letter;
	count[1] -= len5;
	count[2] -= len9;
	count[3] -= now.upper & last.lower;
	count[4] -= now.digit;
	count[5] -= now.digit & ~last.digit;
	count[6] -= now.punct;
	count[7] -= now.punct & ~last.punct;
	count[8] -= now.newline & ~last.newline;
	count[9] -= now.blank & (last.blank | last.newline);
}

static inline void add_blocks(struct tokens *t, const block count[BLOCK_FEATURES])
{
	for (size_t i = 0; i < BLOCK_FEATURES; i++)
		t->count[block_feature[i]] += sum(count[i]);
}

/* Takes whole blocks of ASCII, as far as they go; returns where it stopped. */
static inline const uint8_t *feed_whole_blocks(struct tokens *t, const uint8_t *p,
                                               const uint8_t *end)
{
	const uint8_t *from = NULL;

	while (p != from) {
		block count[BLOCK_FEATURES] = { { 0 } };

		from = p;
		for (size_t n = 0; n < BLOCKS_MAX && end - p >= BLOCK && is_ascii(p); n++) {
			count_block(p, count);
			p += BLOCK;
		}
		add_blocks(t, count);
	}
	return p;
}
