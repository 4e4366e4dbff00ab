#include "io/http/render_cut.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_text(char out[RENDER_CUT_TEXT], const char *value)
{
	return snprintf(out, RENDER_CUT_TEXT, "%s", value) < RENDER_CUT_TEXT;
}

static bool take_number(size_t *out, const char *value, size_t most)
{
	unsigned long n;
	char *end;

	if (*value < '0' || *value > '9')
		return false;
	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno != 0 || *end || n > most)
		return false;
	*out = n;
	return true;
}

static bool take_order(enum render_order *out, const char *value)
{
	static const char *const names[RENDER_ORDERS] = { "configured", "load",   "inflight",
		                                          "tokens",     "missed", "late",
		                                          "trouble" };

	for (int i = 0; i < RENDER_ORDERS; i++)
		if (strcmp(value, names[i]) == 0) {
			*out = (enum render_order)i;
			return true;
		}
	return false;
}

static bool take_brief(bool *out, const char *value)
{
	*out = strcmp(value, "1") == 0;
	return *out || strcmp(value, "0") == 0;
}

bool render_cut_set(struct render_cut *cut, const char *name, const char *value)
{
	cut->given = true;
	if (strcmp(name, "model") == 0)
		return cut->one_model = take_text(cut->model, value);
	if (strcmp(name, "match") == 0)
		return take_text(cut->match, value);
	if (strcmp(name, "limit") == 0)
		return cut->limited = take_number(&cut->limit, value, RENDER_CUT_LIMIT);
	if (strcmp(name, "from") == 0)
		return take_number(&cut->from, value, 1U << 30);
	if (strcmp(name, "order") == 0)
		return take_order(&cut->order, value);
	return strcmp(name, "brief") == 0 && take_brief(&cut->brief, value);
}

bool render_cut_same(const struct render_cut *a, const struct render_cut *b)
{
	return a->given == b->given && a->one_model == b->one_model && a->brief == b->brief &&
	       a->order == b->order && a->from == b->from &&
	       render_cut_limit(a) == render_cut_limit(b) && strcmp(a->model, b->model) == 0 &&
	       strcmp(a->match, b->match) == 0;
}

size_t render_cut_limit(const struct render_cut *cut)
{
	return cut->limited ? cut->limit : cut->brief ? 0 : RENDER_CUT_LIMIT;
}
