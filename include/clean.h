/* clean.h - texts from outside on their way to logs, terminals and JSON: what is not printable
 * ASCII is '?'. */
#ifndef SLO_CLEAN_H
#define SLO_CLEAN_H

#include "slice.h"

static inline char clean_char(char c)
{
	return (char)(c >= ' ' && c < 0x7f ? c : '?');
}

/* Terminated, and cut to fit; cap counts the terminator. */
static inline void clean_copy(char *out, size_t cap, struct slice text)
{
	size_t len = text.len < cap ? text.len : cap - 1;

	for (size_t i = 0; i < len; i++)
		out[i] = clean_char((char)text.p[i]);
	out[len] = '\0';
}

#endif
