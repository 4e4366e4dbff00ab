#include "core/latency/room.h"

#include <math.h>
#include <string.h>

#define RING_LEAST 6
#define FULL       0.75 /* of the limit */
#define LOW        0.5
#define CUT_ABOVE  0.3 /* so much later than those that find little */
#define GROW_BELOW 0.15
#define CUT        0.8
#define GROW_SLOW  0.1 /* of a request's tokens */
#define LEAST      2048.0
#define MOST       1e9
#define CUT_PAUSE  2.0 /* stays: the cut must show first */
#define PAUSE_MOST 600.0

void latency_room_init(struct latency_room *r)
{
	memset(r, 0, sizeof(*r));
	r->limit = LATENCY_ROOM_FIRST;
}

void latency_room_saw(struct latency_room *r, double held)
{
	r->limit = fmin(fmax(r->limit, held), MOST);
}

static void ring_add(struct latency_ring *r, double ratio)
{
	r->ratio[r->next] = ratio;
	r->next = (r->next + 1) % LATENCY_ROOM_RING;
	if (r->count < LATENCY_ROOM_RING)
		r->count++;
}

static double ring_median(const struct latency_ring *r)
{
	double sorted[LATENCY_ROOM_RING] = { 0 }; /* of an empty ring: 0 */

	for (unsigned i = 0; i < r->count; i++) {
		unsigned at = i;

		for (; at > 0 && sorted[at - 1] > r->ratio[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = r->ratio[i];
	}
	return sorted[r->count / 2];
}

/* How much later those are that find much. Where too few found little, the rates are the measure.
 */
static double lateness(const struct latency_room *r)
{
	double usual = r->low.count < RING_LEAST ? 1 : ring_median(&r->low);

	return ring_median(&r->full) / fmax(usual, 0.1) - 1;
}

static void cut(struct latency_room *r, slo_nsec now, double seconds)
{
	if (now < r->cut)
		return;
	r->limit = fmax(r->limit * CUT, LEAST);
	r->cut = now + (slo_nsec)(fmin(CUT_PAUSE * seconds, PAUSE_MOST) * 1e9);
	r->found = true;
	r->full.count = r->full.next = 0;
}

void latency_room_note(struct latency_room *r, slo_nsec now, const struct latency_guest *g)
{
	double later;

	if (g->held < LOW * r->limit)
		ring_add(&r->low, g->ratio);
	if (g->held < FULL * r->limit)
		return;
	ring_add(&r->full, g->ratio);
	if (r->full.count < RING_LEAST)
		return;
	later = lateness(r);
	if (later > CUT_ABOVE)
		cut(r, now, g->seconds);
	else if (later < GROW_BELOW)
		r->limit = fmin(r->limit + (r->found ? GROW_SLOW : 1) * g->tokens, MOST);
}
