/* ASCII goes through loops without branches on the text, which would be mispredicted at every word:
 * what a byte adds to the counts follows from its class and the class before it. Longer ASCII goes
 * sixteen bytes at a time, or thirty-two. */
#include "wire/tokens.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK_BYTES 16
#include "tokens_blocks.h"

/* What a byte is when a character starts with it. The order matters: letters are <= UP, ASCII is
 * <= PU, and what is <= NONE may stand in struct tokens as the class of the last character. */
enum {
	LO, /* ASCII lower case */
	UP,
	DG,   /* digit */
	NL,   /* newline, carriage return */
	SP,   /* space, tab */
	PU,   /* other ASCII */
	AC,   /* 2 bytes, an accented Latin letter; as the last one, any letter that is not ASCII */
	NONE, /* no character starts so; as the last one, any other, or the start of the text */
	L2,   /* the other 2-byte classes, see enum token_feature */
	C2,
	A2,
	O2,
	I3, /* 3 bytes, lead E0 */
	T3, /* E1 */
	Q3, /* E2 */
	J3, /* E3 */
	K3, /* E4..E9 */
	H3, /* EA..ED */
	O3, /* EE, EF */
	U4,
	CLASSES
};

/* clang-format off */
static const uint8_t class_of[256] = {
	PU, PU, PU, PU, PU, PU, PU, PU, PU, SP, NL, PU, PU, NL, PU, PU, /* 00 */
	PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, /* 10 */
	SP, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, PU, /* 20 */
	DG, DG, DG, DG, DG, DG, DG, DG, DG, DG, PU, PU, PU, PU, PU, PU, /* 30 */
	PU, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, /* 40 */
	UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, PU, PU, PU, PU, PU, /* 50 */
	PU, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, /* 60 */
	LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, PU, PU, PU, PU, PU, /* 70 */
	L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, /* 80 */
	L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, /* 90 */
	L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, /* A0 */
	L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, L2, /* B0 */
	L2, L2, L2, AC, AC, AC, AC, AC, AC, AC, AC, O2, L2, L2, C2, C2, /* C0 */
	C2, C2, O2, O2, O2, O2, O2, O2, A2, A2, A2, A2, O2, O2, O2, O2, /* D0 */
	I3, T3, Q3, J3, K3, K3, K3, K3, K3, K3, H3, H3, H3, H3, O3, O3, /* E0 */
	U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, U4, /* F0 */
};

/* The order is that of enum token_feature. */
static const struct token_weights sets[] = {
	{ "avg",
	  { 3561, 469, 334, 743, 1288, 4483, 118, 3471, 3439, 169, 5679,
	    1653, 2176, 4189, 3539, 2800, 3408, 3422, 983, 825, 1229, 12234 } },
	{ "cl100k",
	  { 3756, 328, 475, 985, 711, 4971, 126, 3245, 3402, 179, 8612,
	    2324, 3548, 4171, 4988, 3784, 4751, 3533, 983, 946, 1229, 12775 } },
	{ "o200k",
	  { 3465, 536, 0, 1526, 700, 4888, 119, 3430, 3633, 156, 3458,
	    1208, 1486, 4181, 3447, 2754, 2836, 3482, 983, 634, 1229, 11851 } },
	{ "llama3",
	  { 3400, 614, 349, 0, 669, 5061, 117, 3336, 3150, 171, 3428,
	    1403, 1654, 4173, 3503, 2454, 2946, 3478, 983, 916, 1229, 12725 } },
	{ "qwen2",
	  { 3265, 729, 105, 131, 3566, 2917, 120, 3335, 3125, 164, 4878,
	    1667, 2118, 4154, 2980, 2421, 3270, 3539, 983, 928, 1229, 11699 } },
	{ "dsv3",
	  { 3753, 275, 542, 1130, 847, 4450, 109, 4000, 3864, 168, 6547,
	    1435, 1832, 4247, 2715, 2559, 3199, 3087, 983, 679, 1421, 12103 } },
	{ "llama2",
	  { 3751, 582, 446, 961, 3661, 1771, 280, 4888, 5930, 213, 7994,
	    1904, 4720, 4170, 6495, 4122, 8386, 3261, 8007, 1669, 1229, 13979 } },
};
/* clang-format on */

/* Width and feature of the characters that are not ASCII. The second byte may still move a J3. */
static const struct {
	uint8_t width;
	uint8_t feature;
} multibyte[CLASSES] = {
	[AC] = { 2, TOKEN_LAT2 }, [L2] = { 2, TOKEN_LAT2 },  [C2] = { 2, TOKEN_CYR2 },
	[A2] = { 2, TOKEN_AR2 },  [O2] = { 2, TOKEN_OTH2 },  [I3] = { 3, TOKEN_IND3 },
	[T3] = { 3, TOKEN_E1_3 }, [Q3] = { 3, TOKEN_E2_3 },  [J3] = { 3, TOKEN_CJK3 },
	[K3] = { 3, TOKEN_CJK3 }, [H3] = { 3, TOKEN_HANG3 }, [O3] = { 3, TOKEN_OTH3 },
	[U4] = { 4, TOKEN_U4 },
};

/* What one ASCII byte adds, eight counts of 8 bits in one word: at most 1 each, so 255 bytes fit.
 */
enum { PACKED_BYTES_MAX = 255 };
#define ONE(i) (UINT64_C(1) << (8 * (i)))
#define WORD   ONE(0)
#define CAPS   ONE(1)
#define DIGIT  ONE(2)
#define DRUN   (ONE(3) | DIGIT)
#define PUNCT  ONE(4)
#define PRUN   (ONE(5) | PUNCT)
#define NLRUN  ONE(6)
#define BLANK  ONE(7)

static const uint8_t packed_feature[8] = {
	TOKEN_WORD,  TOKEN_CAPS, TOKEN_DIGIT, TOKEN_DRUN,
	TOKEN_PUNCT, TOKEN_PRUN, TOKEN_NL,    TOKEN_SP,
};

/* clang-format off */
static const uint64_t adds[NONE + 1][PU + 1] = {
	/* last: to LO    UP    DG     NL     SP     PU */
	[LO] =   { 0,    CAPS, DRUN,  NLRUN, 0,     PRUN },
	[UP] =   { 0,    0,    DRUN,  NLRUN, 0,     PRUN },
	[DG] =   { WORD, WORD, DIGIT, NLRUN, 0,     PRUN },
	[NL] =   { WORD, WORD, DRUN,  0,     BLANK, PRUN },
	[SP] =   { WORD, WORD, DRUN,  NLRUN, BLANK, PRUN },
	[PU] =   { WORD, WORD, DRUN,  NLRUN, 0,     PUNCT },
	[AC] =   { 0,    0,    DRUN,  NLRUN, 0,     PRUN },
	[NONE] = { WORD, WORD, DRUN,  NLRUN, 0,     PRUN },
};
/* clang-format on */

void tokens_init(struct tokens *t)
{
	memset(t, 0, sizeof(*t));
	t->last = NONE;
}

void tokens_gap(struct tokens *t)
{
	t->letters = 0;
	t->last = NONE;
	t->owed = 0;
	t->lead = 0;
}

/* Takes ASCII up to the first byte that is not, or up to end; returns where it stopped. */
static const uint8_t *feed_bytes(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	uint64_t packed = 0;
	uint32_t letters = t->letters;
	uint32_t len5 = 0;
	uint32_t len9 = 0;
	unsigned last = t->last;

	if (end - p > PACKED_BYTES_MAX)
		end = p + PACKED_BYTES_MAX;
	for (; p < end; p++) {
		unsigned now = class_of[*p];

		if (now > PU)
			break;
		packed += adds[last][now];
		letters = (letters + 1) & (0 - (uint32_t)(now <= UP)); /* 0 after a non-letter */
		len5 += letters > 4;
		len9 += letters > 8;
		last = now;
	}
	for (size_t i = 0; i < 8; i++)
		t->count[packed_feature[i]] += (uint32_t)(packed >> (8 * i) & 0xff);
	t->count[TOKEN_LEN5] += len5;
	t->count[TOKEN_LEN9] += len9;
	t->letters = letters;
	t->last = (uint8_t)last;
	return p;
}

/* The text ends before p, for now; TOKENS_LOOK_BACK bytes stand there. */
static void note_last(struct tokens *t, const uint8_t *p)
{
	t->last = class_of[p[-1]];
	/* Beyond that nobody asks how many. */
	for (t->letters = 0;
	     t->letters < TOKENS_LOOK_BACK && class_of[*(p - 1 - t->letters)] <= UP;)
		t->letters++;
}

#define LONG_ASCII 64   /* from here on blocks pay, whatever stood before */
#define SHORT_MIN  16   /* from here on they pay at the start of a text */
#define FILLER     0x80 /* of no class: adds nothing itself, and what follows stands at a start */

bool tokens_without_avx2;

static bool has_avx2(void)
{
#if defined(__x86_64__)
	return tokens_built_for_avx2 && !tokens_without_avx2 && __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

static const uint8_t *feed_blocks(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *start = p;

	if (has_avx2())
		p = tokens_feed_avx2(t, p, end);
	p = feed_whole_blocks(t, p, end);
	if (p > start)
		note_last(t, p);
	return p;
}

/* Takes the start of a text, less than LONG_ASCII bytes, all ASCII, in blocks that are filled up.
 */
static void feed_short(struct tokens *t, const uint8_t *p, size_t len)
{
	uint8_t text[TOKENS_LOOK_BACK + LONG_ASCII];
	block count[BLOCK_FEATURES] = { { 0 } };

	memset(text, FILLER, sizeof(text));
	memcpy(text + TOKENS_LOOK_BACK, p, len);
	for (size_t at = 0; at < len; at += sizeof(block))
		count_block(text + TOKENS_LOOK_BACK + at, count);
	add_blocks(t, count);
	note_last(t, text + TOKENS_LOOK_BACK + len);
}

/* Of SHORT_MIN bytes at least. */
static bool all_ascii(const uint8_t *p, const uint8_t *end)
{
	for (; end - p > BLOCK; p += BLOCK)
		if (!is_ascii(p))
			return false;
	return is_ascii(end - BLOCK);
}

static const uint8_t *feed_ascii(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *known = p + TOKENS_LOOK_BACK;

	if (end - p < LONG_ASCII) {
		if (end - p < SHORT_MIN || t->last != NONE || !all_ascii(p, end))
			return feed_bytes(t, p, end);
		feed_short(t, p, (size_t)(end - p));
		return end;
	}
	p = feed_bytes(t, p, known);
	return p == known ? feed_blocks(t, p, end) : p;
}

static void end_word(struct tokens *t)
{
	t->letters = 0;
	t->last = NONE;
}

/* One more letter that is not ASCII; not all of them count as len9. */
static void grow_word(struct tokens *t, bool len9)
{
	t->letters++;
	t->count[TOKEN_WORD] += t->letters == 1;
	t->count[TOKEN_LEN5] += t->letters > 4;
	t->count[TOKEN_LEN9] += len9 && t->letters > 8;
	t->last = AC;
}

/* Takes the continuation bytes that are owed, as far as they are here. */
static const uint8_t *feed_owed(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	if (t->lead == 0xe3 && *p >= 0x81 && *p <= 0x83) {
		t->count[TOKEN_CJK3]--;
		t->count[TOKEN_KANA3]++;
	} else if (t->lead == 0xe1) {
		if (*p == 0xba || *p == 0xbb) /* Vietnamese: a letter */
			grow_word(t, false);
		else
			end_word(t);
	}
	t->lead = 0;
	while (t->owed > 0 && p < end) {
		t->owed--;
		p++;
	}
	return p;
}

/* The lead byte at p and what is here of the rest. */
static const uint8_t *feed_multibyte(struct tokens *t, const uint8_t *p, const uint8_t *end)
{
	unsigned now = class_of[*p];

	t->count[multibyte[now].feature]++;
	if (now == AC)
		grow_word(t, true);
	else if (now != T3) /* the second byte will tell */
		end_word(t);
	t->lead = now == T3 || now == J3 ? *p : 0;
	t->owed = (uint8_t)(multibyte[now].width - 1);
	p++;
	return p < end ? feed_owed(t, p, end) : p;
}

void tokens_feed(struct tokens *t, const uint8_t *bytes, size_t len)
{
	const uint8_t *p = bytes;
	const uint8_t *end;

	if (len == 0)
		return;
	end = bytes + len;
	if (t->owed > 0)
		p = feed_owed(t, p, end);
	while (p < end) {
		if (*p < 0x80)
			p = feed_ascii(t, p, end);
		else
			p = feed_multibyte(t, p, end);
	}
}

int64_t tokens_total(const struct tokens *t, const struct token_weights *w)
{
	uint64_t sum = TOKEN_WEIGHT_ONE / 2; /* to the nearest */

	for (size_t i = 0; i < TOKEN_FEATURES; i++)
		sum += (uint64_t)t->count[i] * w->weight[i];
	return (int64_t)(sum / TOKEN_WEIGHT_ONE);
}

const struct token_weights *tokens_weights(const char *name)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (strcmp(sets[i].name, name) == 0)
			return &sets[i];
	}
	return NULL;
}
