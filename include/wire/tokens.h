/* tokens.h - how many tokens a text has, without its tokenizer.
 * One pass counts 22 features of the UTF-8 text: words and their long tails, runs of digits,
 * punctuation and newlines, characters by script. tokens = sum of weight x count. The weights are
 * fitted per tokenizer family; the mean error is 7% on the kinds of text they were fitted on, 10%
 * on others. Text may come in any pieces, cut anywhere, also inside a character. Any bytes are
 * safe: the width of a character follows from its first byte alone and nothing is read past a
 * piece. */
#ifndef SLO_WIRE_TOKENS_H
#define SLO_WIRE_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "slo.h"

enum token_feature {
	TOKEN_WORD,  /* words: runs of ASCII and accented Latin letters */
	TOKEN_LEN5,  /* letters of a word beyond the 4th */
	TOKEN_LEN9,  /* letters of a word beyond the 8th, 3-byte ones excepted */
	TOKEN_CAPS,  /* ASCII upper case right after ASCII lower case */
	TOKEN_DIGIT, /* ASCII digits */
	TOKEN_DRUN,  /* runs of digits */
	TOKEN_PUNCT, /* other ASCII: punctuation, control */
	TOKEN_PRUN,  /* runs of those */
	TOKEN_NL,    /* runs of \n and \r */
	TOKEN_SP,    /* space or tab right after a space, tab or newline */
	TOKEN_LAT2,  /* 2 bytes, lead up to CA, or CC, CD; a stray continuation byte is one */
	TOKEN_CYR2,  /* 2 bytes, lead CE..D1: Greek, Cyrillic */
	TOKEN_AR2,   /* 2 bytes, lead D8..DB: Arabic */
	TOKEN_OTH2,  /* other 2-byte characters */
	TOKEN_CJK3,  /* 3 bytes, lead E4..E9, or E3 without kana3 */
	TOKEN_KANA3, /* 3 bytes, lead E3, second byte 81..83 */
	TOKEN_HANG3, /* 3 bytes, lead EA..ED: Hangul */
	TOKEN_IND3,  /* 3 bytes, lead E0: Indic, Thai */
	TOKEN_E1_3,  /* 3 bytes, lead E1: accented Latin, Georgian, ... */
	TOKEN_E2_3,  /* 3 bytes, lead E2: typographic punctuation */
	TOKEN_OTH3,  /* 3 bytes, lead EE, EF */
	TOKEN_U4,    /* 4 bytes: emoji */
	TOKEN_FEATURES
};

/* Tokens per feature, times TOKEN_WEIGHT_ONE. */
#define TOKEN_WEIGHT_ONE 4096
struct token_weights {
	const char *name;
	uint16_t weight[TOKEN_FEATURES];
};

/* The counts so far, always final for what was fed, and where in a word, run or character the last
 * piece ended. Copying it is a snapshot. A count wraps after 2^32. */
struct tokens {
	uint32_t count[TOKEN_FEATURES];
	uint32_t letters; /* of the word in progress; 0 = not in a word */
	uint8_t last;     /* class of the last character */
	uint8_t owed;     /* continuation bytes still to come */
	uint8_t lead;     /* the lead byte when the second byte still matters, else 0 */
};

void tokens_init(struct tokens *t);
/* The next piece of the text; bytes may be NULL when len is 0. */
void tokens_feed(struct tokens *t, const uint8_t *bytes, size_t len);
/* The text ends here; what is fed next starts words, runs and characters of its own. */
void tokens_gap(struct tokens *t);
/* The estimate, rounded to the nearest whole token. */
int64_t tokens_total(const struct tokens *t, const struct token_weights *w);

/* avg (the default, the mean of the modern ones), cl100k, o200k, llama3, qwen2, dsv3, llama2;
 * NULL: no such set. */
const struct token_weights *tokens_weights(const char *name);

#endif
