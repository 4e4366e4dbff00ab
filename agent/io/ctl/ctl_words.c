#include "io/ctl/ctl_words.h"

/* Words are moved to the front where a backslash goes, so one never needs more room than it had.
 * The byte behind a word is its end; it was a blank, a ';' or behind the line. */
struct cut {
	char *line;
	size_t len, from, to;
	bool strange;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Copies one word from `from` to `to`. */
static void take_word(struct cut *c)
{
	while (c->from < c->len && !is_blank(c->line[c->from]) && c->line[c->from] != ';') {
		if (c->line[c->from] == '\\' && c->from + 1 < c->len)
			c->from++;
		if (c->line[c->from] < ' ' || c->line[c->from] >= 0x7f)
			c->strange = true;
		c->line[c->to++] = c->line[c->from++];
	}
}

static void skip_blanks(struct cut *c)
{
	while (c->from < c->len && is_blank(c->line[c->from]))
		c->from++;
}

enum ctl_taken ctl_words_take(char *line, size_t len, size_t *at, struct ctl_words *out)
{
	struct cut c = { .line = line, .len = len, .from = *at, .to = *at };
	bool many = false, end = false;

	out->count = 0;
	if (c.from >= len)
		return CTL_DONE;
	for (skip_blanks(&c); c.from < len && !end; skip_blanks(&c)) {
		size_t begin = c.to;

		take_word(&c);
		end = c.from < len && line[c.from] == ';';
		if (c.from < len)
			c.from++; /* the blank or the ';' */
		line[c.to++] = '\0';
		if (c.to - 1 == begin)
			continue;
		if (out->count == CTL_WORDS_MAX)
			many = true;
		else
			out->word[out->count++] = line + begin;
	}
	*at = c.from;
	if (c.strange)
		return CTL_STRANGE;
	return many ? CTL_TOO_MANY : out->count == 0 ? CTL_EMPTY : CTL_TAKEN;
}
