#include "core/predictor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/sizes.h"

#define LOG_2  0.6931471805599453
#define OCTAVE (LOG_2 * LOG_2 / 12) /* variance of what lies anywhere in a bucket */

/* How often a prompt of that length got an answer of that length. */
struct lengths {
	uint32_t count[PREDICTOR_BUCKETS][PREDICTOR_BUCKETS]; /* [prompt][answer] */
};

/* interval[current % PREDICTOR_INTERVALS] is being filled; the others are the past.
 * Invariant: sum is the cell-wise sum of all intervals, row[i] the sum of sum.count[i]. */
struct window {
	struct lengths interval[PREDICTOR_INTERVALS];
	struct lengths sum;
	uint64_t row[PREDICTOR_BUCKETS];
};

/* A window takes some 40 KiB, so there is one only for what was learned from. */
struct predictor {
	int64_t current; /* now / PREDICTOR_INTERVAL of the latest call */
	struct window *all, *of[PREDICTOR_CLASSES];
};

struct predictor *predictor_new(void)
{
	struct predictor *p = calloc(1, sizeof(*p));

	if (p)
		p->current = INT64_MIN;
	return p;
}

void predictor_free(struct predictor *p)
{
	if (!p)
		return;
	free(p->all);
	for (size_t i = 0; i < PREDICTOR_CLASSES; i++)
		free(p->of[i]);
	free(p);
}

static unsigned bucket(int64_t tokens)
{
	unsigned b = log2_round(tokens);

	return b < PREDICTOR_BUCKETS ? b : PREDICTOR_BUCKETS - 1;
}

static struct lengths *interval_at(struct window *w, int64_t index)
{
	int64_t slot = index % PREDICTOR_INTERVALS;

	return &w->interval[slot < 0 ? slot + PREDICTOR_INTERVALS : slot];
}

static void forget(struct window *w, int64_t index)
{
	struct lengths *h = interval_at(w, index);

	for (size_t in = 0; in < PREDICTOR_BUCKETS; in++) {
		for (size_t out = 0; out < PREDICTOR_BUCKETS; out++) {
			w->sum.count[in][out] -= h->count[in][out];
			w->row[in] -= h->count[in][out];
		}
	}
	memset(h, 0, sizeof(*h));
}

static int64_t interval_of(slo_nsec now)
{
	/* Scenarios may start before 0: round down, not towards it. */
	return now / PREDICTOR_INTERVAL - (now % PREDICTOR_INTERVAL < 0);
}

/* Moves the window up to now: what is older than it is dropped even if nothing ended since. */
static void advance(struct predictor *p, slo_nsec now)
{
	int64_t index = interval_of(now);
	int64_t steps;

	if (p->current == INT64_MIN)
		p->current = index;
	if (index <= p->current)
		return;
	steps = index - p->current;
	if (steps > PREDICTOR_INTERVALS)
		steps = PREDICTOR_INTERVALS;
	p->current = index;
	for (int64_t i = 0; i < steps; i++) {
		if (p->all)
			forget(p->all, index - i);
		for (size_t k = 0; k < PREDICTOR_CLASSES; k++)
			if (p->of[k])
				forget(p->of[k], index - i);
	}
}

/* Without memory for a window nothing is counted. */
static void count(struct window **w, int64_t index, uint32_t in, uint32_t out, uint32_t n)
{
	if (!*w)
		*w = calloc(1, sizeof(**w));
	if (!*w)
		return;
	interval_at(*w, index)->count[in][out] += n;
	(*w)->sum.count[in][out] += n;
	(*w)->row[in] += n;
}

static unsigned known_class(unsigned class)
{
	return class < PREDICTOR_CLASSES ? class : PREDICTOR_UNKNOWN;
}

void predictor_learn(struct predictor *p, slo_nsec now, unsigned class, int64_t input,
                     int64_t output)
{
	unsigned in = bucket(input), out = bucket(output);

	advance(p, now);
	count(&p->all, p->current, in, out, 1);
	count(&p->of[known_class(class)], p->current, in, out, 1);
}

static uint64_t row_of(const struct window *w, unsigned in)
{
	return w ? w->row[in] : 0;
}

/* What tells most of this class; NULL: nothing is known for prompts of that size. What may be of
 * the class counts for it as long as nothing is of another one. */
static const struct window *window_for(const struct predictor *p, unsigned class, unsigned in)
{
	uint64_t all = row_of(p->all, in), own, unknown;

	class = known_class(class);
	own = row_of(p->of[class], in);
	unknown = class == PREDICTOR_UNKNOWN ? 0 : row_of(p->of[PREDICTOR_UNKNOWN], in);
	if (all == 0)
		return NULL;
	return own > 0 && own + unknown < all ? p->of[class] : p->all;
}

/* The size next to `in` that was seen, of two the smaller one; `in` if none was. */
static unsigned nearest_seen(const struct predictor *p, unsigned in)
{
	for (unsigned off = 0; off < PREDICTOR_BUCKETS; off++) {
		if (off <= in && row_of(p->all, in - off) > 0)
			return in - off;
		if (in + off < PREDICTOR_BUCKETS && row_of(p->all, in + off) > 0)
			return in + off;
	}
	return in;
}

static int64_t cold_guess(int64_t input, int64_t max_output, enum slo_cold cold)
{
	switch (cold) {
	case SLO_COLD_OPTIMISTIC:
	case SLO_COLD_NEAREST:
		break;
	case SLO_COLD_INPUT:
		return input;
	case SLO_COLD_MAX:
		return max_output >= 0 ? max_output : input;
	}
	return 1;
}

int64_t predictor_guess(struct predictor *p, slo_nsec now, unsigned class, int64_t input,
                        int64_t max_output, enum slo_predict how, enum slo_cold cold,
                        struct rng *rng)
{
	unsigned in = bucket(input), out = 0;
	uint64_t n, k = 0, running = 0;
	const struct window *w;
	int64_t guess;

	advance(p, now);
	if (cold == SLO_COLD_NEAREST)
		in = nearest_seen(p, in);
	w = window_for(p, class, in);
	n = row_of(w, in);
	if (n == 0) {
		guess = cold_guess(tokens_clamp(input), max_output, cold);
		guess = guess > 0 ? guess : 1;
	} else {
		switch (how) {
		case SLO_PREDICT_SAMPLE:
			k = rng_below(rng, n);
			break;
		case SLO_PREDICT_P50:
			k = (n + 1) / 2 - 1; /* nearest rank: ceil(n/2), counted from 0 */
			break;
		case SLO_PREDICT_P90:
			k = (9 * n + 9) / 10 - 1;
			break;
		}
		while ((running += w->sum.count[in][out]) <= k)
			out++;
		guess = INT64_C(1) << out;
	}
	return max_output >= 0 && guess > max_output ? max_output : guess;
}

/* The mean over what it may be: of each bucket, as often as it was seen and as likely as that is
 * estimated so, and of its own as if it had been seen once more. */
int64_t predictor_prompt(struct predictor *p, slo_nsec now, int64_t estimate, double variance)
{
	int64_t tokens = tokens_clamp(estimate);
	unsigned own = bucket(tokens);
	double at, kept = OCTAVE / (OCTAVE + variance), sum = 0, all = 0;

	if (tokens == 0)
		return 0;
	at = log((double)tokens);
	advance(p, now);
	for (unsigned in = 0; in < PREDICTOR_BUCKETS; in++) {
		double seen = (double)row_of(p->all, in) + (in == own);
		double off = at - in * LOG_2, likely;

		if (!(seen > 0))
			continue;
		likely = seen * exp(-off * off / (2 * (OCTAVE + variance)));
		sum += likely * exp(in * LOG_2 + kept * off);
		all += likely;
	}
	return tokens_clamp(llround(sum / all));
}

uint64_t predictor_samples(struct predictor *p, slo_nsec now)
{
	uint64_t n = 0;

	advance(p, now);
	for (unsigned i = 0; i < PREDICTOR_BUCKETS; i++)
		n += row_of(p->all, i);
	return n;
}

void predictor_export(struct predictor *p, slo_nsec now,
                      void (*tell)(void *arg, const struct predictor_count *c), void *arg)
{
	struct predictor_count c;

	advance(p, now);
	if (!p->all)
		return;
	for (c.age = 0; c.age < PREDICTOR_INTERVALS; c.age++) {
		const struct lengths *h = interval_at(p->all, p->current - c.age);

		for (c.input = 0; c.input < PREDICTOR_BUCKETS; c.input++) {
			for (c.output = 0; c.output < PREDICTOR_BUCKETS; c.output++) {
				c.count = h->count[c.input][c.output];
				if (c.count > 0)
					tell(arg, &c);
			}
		}
	}
}

void predictor_import(struct predictor *p, slo_nsec now, const struct predictor_count *c)
{
	int64_t index;

	advance(p, now);
	if (c->age >= PREDICTOR_INTERVALS || c->input >= PREDICTOR_BUCKETS ||
	    c->output >= PREDICTOR_BUCKETS)
		return;
	if (p->all && c->count > UINT32_MAX - p->all->sum.count[c->input][c->output])
		return;
	index = p->current - c->age;
	count(&p->all, index, c->input, c->output, c->count);
	count(&p->of[PREDICTOR_UNKNOWN], index, c->input, c->output, c->count);
}
