#include "core/latency/room.h"

#include <math.h>
#include <string.h>

#include "core/bounds.h"

#define FULL 0.75 /* of the limit */
#define LOW  0.5
#define OVER 1.5 /* of a limit: what finds more says nothing of the next one */

/* Logarithms of how likely an end is if half of them are late, and if one of five is. */
#define LATE   0.916
#define ONTIME 0.470

#define MUCH_LATER      0.12
/* Rates are off by a third at times: where servers go from hardly used to full, or prompts are
 * misestimated. In half a cache that is not there everybody is late by more than that. */
#define MUCH_LATER_TOLD 0.3

#define ENOUGH      3.0 /* of evidence */
#define ENOUGH_TOLD 8.0
#define CUT         0.8
#define CUT_FIRST   0.5  /* at most so much, the first time */
#define GROW        1.25 /* of one that was told */
#define START       4    /* times the tokens of a request */
#define GROW_SLOW   1.1

/* A limit that is only being found is no larger than this times what was there and went well. */
#define BEYOND_FIRST 1.5
#define BEYOND       1.1
#define BEYOND_LEAST 8 /* times the tokens of a request */

#define USUAL_FIRST 0.15
#define USUAL_LEAST 0.02
#define USUAL_MOST  0.7
#define USUAL_STEP  0.04

/* An engine may count otherwise, so the proof is several requests that are larger by so much. */
#define LARGER      1.5
#define LARGER_ENDS 3

#define LEAST 2048.0
#define MOST  1e9

void latency_room_init(struct latency_room *r, double told)
{
	memset(r, 0, sizeof(*r));
	r->limit = told > 0 ? told : LATENCY_ROOM_FIRST;
	r->told = told;
	r->usual = USUAL_FIRST;
}

void latency_room_saw(struct latency_room *r, double held)
{
	if (!(r->told > 0) && !r->found)
		r->limit = at_most(at_least(held, r->limit), MOST);
}

/* seen: what was there and went well, which bounds how far one that nobody told grows. */
static void change(struct latency_room *r, slo_nsec now, double factor, double seen)
{
	double limit = r->limit * factor;

	if (factor > 1 && !(r->told > 0))
		limit = at_least(at_most(limit, BEYOND * seen), r->limit);
	r->limit = at_most(at_least(limit, LEAST), MOST);
	r->changed = now;
	r->more = r->less = r->fits = 0;
	r->found = r->found || factor < 1 || r->told > 0;
	/* One that is larger than was told is as good as told: only who comes on top tells more. */
	r->told = factor > 1 && r->told > 0 ? r->limit : 0;
}

/* Rises by nine steps for each that is later, falls by one for each that is not: where it rests,
 * one of ten is later. */
static void note_usual(struct latency_room *r, double late)
{
	r->usual += late > r->usual ? 0.9 * USUAL_STEP : -0.1 * USUAL_STEP;
	r->usual = at_most(at_least(r->usual, USUAL_LEAST), USUAL_MOST);
}

/* Where sizes are misestimated predictions are off wherever requests are. */
static double usual(const struct latency_room *r, const struct latency_guest *g)
{
	if (!g->errors || r->told > 0)
		return r->usual;
	return at_most(at_least(log(latency_errors_quantile(g->errors, 0.9)), r->usual),
	               USUAL_MOST);
}

static double evidence(bool late)
{
	return late ? LATE : -ONTIME;
}

/* late: beyond what is usual */
static void weigh(struct latency_room *r, const struct latency_guest *g, double late)
{
	double much = r->told > 0 ? MUCH_LATER_TOLD : MUCH_LATER;

	if (g->held <= r->limit)
		r->less = at_least(r->less + evidence(late > much), 0);
	if (g->on_top || !(r->told > 0))
		r->more = at_least(r->more - evidence(late > 0), 0);
}

/* What is beyond the cache waits inside the engine for about as long again as its share of what the
 * cache holds. So who is late tells that, too, though each for itself not well. */
static void note_fits(struct latency_room *r, const struct latency_guest *g)
{
	double fits = g->held / g->ratio;

	r->fits += r->fits > 0 ? (fits - r->fits) / 3 : fits;
}

/* A limit that grew as fast as requests ended may be far too high. */
static double cut(const struct latency_room *r)
{
	if (r->told > 0 || r->found)
		return CUT;
	return at_most(at_least(r->fits / r->limit, CUT_FIRST), CUT);
}

/* As fast as requests end, until one limit was too high: nobody waits because of ignorance. */
static void start(struct latency_room *r, double tokens, double seen)
{
	double most = at_least(BEYOND_FIRST * seen, BEYOND_LEAST * tokens);

	r->limit = at_most(at_least(at_most(r->limit + START * tokens, most), r->limit), MOST);
	r->more = ENOUGH;
}

/* A larger one that nobody told is of use only to who waits for room. Else it would be tried out on
 * requests that another server has room for. */
static void grow(struct latency_room *r, slo_nsec now, const struct latency_guest *g)
{
	if (r->told > 0)
		change(r, now, r->found ? GROW_SLOW : GROW, g->held);
	else if (!g->wanted)
		r->more = ENOUGH;
	else if (r->found)
		change(r, now, GROW_SLOW, g->held);
	else
		start(r, g->tokens, g->held);
}

void latency_room_note(struct latency_room *r, slo_nsec now, const struct latency_guest *g)
{
	double late = log(g->ratio), enough = r->told > 0 ? ENOUGH_TOLD : ENOUGH;

	if (g->held < LOW * r->limit)
		note_usual(r, late);
	if (g->held < FULL * r->limit || g->held > OVER * r->limit ||
	    now - (slo_nsec)(g->seconds * 1e9) < r->changed)
		return;
	late -= usual(r, g);
	weigh(r, g, late);
	if (late > MUCH_LATER)
		note_fits(r, g);
	if (r->less > enough)
		change(r, now, cut(r), g->held);
	else if (r->more > enough)
		grow(r, now, g);
}

void latency_room_proves(struct latency_room *r, slo_nsec now, double tokens)
{
	if (!(r->told > 0) || tokens <= LARGER * r->told || ++r->larger < LARGER_ENDS)
		return;
	latency_room_init(r, 0);
	latency_room_disprove(r);
	r->changed = now;
	r->limit = at_most(at_least(tokens, r->limit), MOST);
}

void latency_room_disprove(struct latency_room *r)
{
	r->told = 0;
	r->larger = LARGER_ENDS;
}

bool latency_room_disproved(const struct latency_room *r)
{
	return r->larger >= LARGER_ENDS;
}
