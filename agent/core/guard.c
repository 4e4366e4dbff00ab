#include "core/guard.h"

#include "core/bounds.h"

#define FALL 0.8  /* times */
#define RISE 0.01 /* more */

void guard_init(struct guard *g, uint32_t number)
{
	*g = (struct guard){ .share = 1, .number = number };
}

static bool move(struct guard *g, double share)
{
	bool moved = share < g->share || share > g->share;

	g->share = share;
	g->seen = g->missed = 0;
	return moved;
}

bool guard_note(struct guard *g, uint32_t *numbers, bool missed)
{
	g->seen++;
	g->missed += missed;
	if (g->missed > GUARD_MISSES) {
		g->number = ++*numbers;
		return move(g, at_least(g->share * FALL, GUARD_LEAST));
	}
	return g->seen >= GUARD_ENDS && move(g, at_most(g->share + RISE, 1));
}

bool guard_sane(double share, uint32_t seen, uint32_t missed)
{
	return share >= GUARD_LEAST && share <= 1 && seen < GUARD_ENDS && missed <= GUARD_MISSES &&
	       missed <= seen;
}
