#include "io/agent/cell_fit.h"

#include <stdbool.h>
#include <string.h>

#define PLACES 8 /* that a cell may have; so many are looked at */

static size_t first_place(const struct profile *p, size_t cell)
{
	/* Neighbours of one profile never meet. */
	return (cell * PLACES + ((uintptr_t)p >> 6) % CELL_FITS) % CELL_FITS;
}

/* Whether a makes room rather than b: an empty place, or else a cell that was not found to be wrong
 * (a finding that comes and goes would be told each time), or else one with fewer ends. */
static bool gives_way(const struct cell_fit *a, const struct cell_fit *b)
{
	bool wrong = a->verdict != CELL_FITS_WELL;

	if (!a->profile || !b->profile)
		return b->profile != NULL;
	if (wrong != (b->verdict != CELL_FITS_WELL))
		return !wrong;
	return a->fit.all < b->fit.all;
}

/* Its place, or else one that makes room. */
static struct cell_fit *place_of(struct cell_fits *c, const struct profile *p, size_t cell)
{
	size_t at = first_place(p, cell);
	struct cell_fit *least = NULL;

	for (size_t i = 0; i < PLACES; i++) {
		struct cell_fit *f = &c->cell[(at + i) % CELL_FITS];

		if (f->profile == p && f->cell == cell)
			return f;
		if (!least || gives_way(f, least))
			least = f;
	}
	return least;
}

void cell_fit_add(struct cell_fits *c, const struct profile *p, size_t cell, int64_t input,
                  int64_t output, bool slow, bool fast)
{
	struct cell_fit *f = place_of(c, p, cell);

	if (f->profile != p || f->cell != cell) {
		c->count += f->profile == NULL;
		*f = (struct cell_fit){ .profile = p, .cell = cell };
	}
	f->fit.all++;
	f->fit.slow += slow;
	f->fit.fast += fast;
	f->input = input;
	f->output = output;
}

static void judge(struct cell_fit *f)
{
	if (f->fit.all < CELL_LEAST)
		return;
	f->verdict = f->fit.slow * 10 >= f->fit.all * 9   ? CELL_TOO_SLOW
	             : f->fit.fast * 10 >= f->fit.all * 9 ? CELL_TOO_FAST
	                                                  : CELL_FITS_WELL;
	f->fit = (struct fit){ 0 };
}

struct cell_findings cell_fit_judge(struct cell_fits *c, const struct profile *p)
{
	struct cell_findings found = { 0 };

	for (size_t i = 0; c->count > 0 && i < CELL_FITS; i++) {
		struct cell_fit *f = &c->cell[i];

		if (f->profile != p)
			continue;
		judge(f);
		if (f->verdict == CELL_FITS_WELL)
			continue;
		found.wrong++;
		if (!found.worst)
			found.worst = f;
	}
	return found;
}

void cell_fit_forget(struct cell_fits *c, const struct profile *p)
{
	for (size_t i = 0; c->count > 0 && i < CELL_FITS; i++) {
		if (!c->cell[i].profile || (p && c->cell[i].profile != p))
			continue;
		memset(&c->cell[i], 0, sizeof(c->cell[i]));
		c->count--;
	}
}
