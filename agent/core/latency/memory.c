/* What a learner knows, as plain numbers and back. */
#include <math.h>
#include <string.h>

#include "core/latency/learner.h"

_Static_assert(LATENCY_NUMBERS == LATENCY_RATES * (1 + LATENCY_RATES) + 9, "all are told");

#define SPREAD_MOST 1e5                /* no fit is less sure */
#define COUNT_MOST  4503599627370496.0 /* 2^52: a double still counts */

void latency_learner_remember(const struct latency_learner *l, struct latency_memory *out)
{
	double *n = out->number;

	for (int i = 0; i < LATENCY_RATES; i++)
		*n++ = l->fit.rate[i];
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = 0; j < LATENCY_RATES; j++)
			*n++ = l->fit.spread[i][j];
	*n++ = l->usual;
	*n++ = l->there;
	*n++ = l->expected;
	*n++ = l->room.limit;
	*n++ = l->room.found;
	*n++ = (double)l->ends;
	*n++ = (double)l->passed;
	*n++ = (double)l->trusted;
	*n++ = l->wrong;
	memcpy(out->bin, l->errors.bin, sizeof(out->bin));
}

/* No two rates vary together by more than each does. */
static bool can_vary_together(const struct latency_fit *f, int i, int j)
{
	double both = f->spread[i][j];

	return fabs(both - f->spread[j][i]) <= 1e-6 &&
	       both * both <= 1.001 * f->spread[i][i] * f->spread[j][j] + 1e-9;
}

/* Beyond these the fit would leave the range of numbers. */
static bool fit_sane(const struct latency_fit *f)
{
	for (int i = 0; i < LATENCY_RATES; i++) {
		if (!(f->rate[i] > 0) || f->rate[i] > 1e9 || !(f->spread[i][i] > 0))
			return false;
		for (int j = 0; j < LATENCY_RATES; j++)
			if (!(fabs(f->spread[i][j]) <= SPREAD_MOST) || !can_vary_together(f, i, j))
				return false;
	}
	return true;
}

static bool count_sane(double v)
{
	return v >= 0 && v <= COUNT_MOST;
}

static void recall_room(struct latency_learner *l, double limit, bool found, double wrong)
{
	bool disproved = wrong > 0 && !(fabs(wrong - l->kv) > 0);

	/* It was found because of what was told then, and another size is told now. */
	if (wrong > 0 && l->kv > 0 && !disproved)
		return;
	l->wrong = wrong;
	/* A told size that nothing spoke against was not remembered as one that was found. */
	if (!(l->kv > 0) || found || disproved)
		l->room.limit = limit;
	l->room.told = !found ? l->kv : l->kv > 0 && limit > l->kv ? limit : 0;
	l->room.found = found;
	if (disproved)
		latency_room_disprove(&l->room);
}

slo_err latency_learner_recall(struct latency_learner *l, slo_nsec now,
                               const struct latency_memory *m)
{
	const double *n = m->number, *counts = n + LATENCY_NUMBERS - 4;
	struct latency_learner new;
	uint32_t total = 0;
	bool sane = true;

	latency_learner_init(&new, l->kv);
	new.headroom = l->headroom; /* an operator's, which nobody learns */
	new.prior = l->prior;
	new.prior_kv = l->prior_kv;
	for (int i = 0; i < LATENCY_RATES; i++)
		new.fit.rate[i] = *n++;
	for (int i = 0; i < LATENCY_RATES; i++)
		for (int j = 0; j < LATENCY_RATES; j++)
			new.fit.spread[i][j] = *n++;
	new.usual = *n++;
	new.there = *n++;
	new.expected = *n++;
	recall_room(&new, n[0], n[1] > 0, counts[3]);
	sane &= n[0] >= 1 && n[0] <= 1e9 && n[1] >= 0 && n[1] <= 1;
	for (int i = 0; i < LATENCY_ERROR_BINS; i++)
		total += m->bin[i];
	if (!sane || !fit_sane(&new.fit) || !(fabs(new.usual) <= 2) || !(new.there >= 0) ||
	    !(new.expected >= 0) || !isfinite(new.there) || !isfinite(new.expected) ||
	    !count_sane(counts[0]) || !count_sane(counts[1]) || !count_sane(counts[3]) ||
	    !(counts[2] >= 0 && counts[2] <= UINT32_MAX) || total > 1000)
		return SLO_EINVAL;
	memcpy(new.errors.bin, m->bin, sizeof(new.errors.bin));
	new.errors.total = total;
	new.ends = (uint64_t)counts[0];
	new.passed = (uint64_t)counts[1];
	new.trusted = (uint32_t)counts[2];
	*l = new;
	latency_learner_enforce(l, now);
	return SLO_OK;
}
