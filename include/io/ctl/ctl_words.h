/* ctl_words.h - a line of the control socket, taken apart: commands with ';' between them, words
 * with blanks between them. A backslash takes the meaning from the byte behind it. Pure. */
#ifndef SLO_IO_CTL_CTL_WORDS_H
#define SLO_IO_CTL_CTL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define CTL_LINE_MAX  4096 /* bytes of a line, its end not counted */
#define CTL_WORDS_MAX 32   /* of one command */

struct ctl_words {
	size_t count;
	char *word[CTL_WORDS_MAX]; /* in the line, each with its end */
};

enum ctl_taken {
	CTL_TAKEN,
	CTL_EMPTY,    /* there was a command without words */
	CTL_DONE,     /* the line has no more */
	CTL_TOO_MANY, /* words; it is skipped */
	CTL_STRANGE,  /* a byte that is not printable ASCII; it is skipped */
};

/* Takes the next command of line[*at..len), whose bytes it changes, and moves *at behind it.
 * line[len] may be written, too. */
enum ctl_taken ctl_words_take(char *line, size_t len, size_t *at, struct ctl_words *out);

#endif
