#include "core/pace.h"

static void turn(struct pace *p, slo_nsec now)
{
	slo_nsec age = now - p->began;

	if (age < PACE_WINDOW)
		return;
	p->last = age < 2 * PACE_WINDOW ? p->now : 0;
	p->now = 0;
	p->began = now - age % PACE_WINDOW;
}

void pace_left(struct pace *p, slo_nsec now)
{
	turn(p, now);
	p->now++;
}

/* The last window counts by the share of it that is less than PACE_WINDOW ago. */
static double departures(const struct pace *p, slo_nsec now)
{
	double past = (double)(now - p->began) / (double)PACE_WINDOW;

	return (double)p->now + (double)p->last * (1 - past);
}

/* In [1, 1.5), in turn: multiples of the golden ratio lie evenly, however many are asked for. */
static double spread(struct pace *p)
{
	const uint32_t golden = 2654435769; /* of 2^32 */

	return 1 + (double)(golden * p->told++) / 4294967296. / 2;
}

int pace_retry_after(struct pace *p, slo_nsec now, size_t waiting)
{
	double n, seconds;

	turn(p, now);
	n = departures(p, now);
	if (waiting == 0)
		return 1;
	if (n <= 0)
		return PACE_RETRY_MAX;
	seconds = (double)waiting * (double)PACE_WINDOW / 1e9 / n * spread(p);
	if (seconds >= PACE_RETRY_MAX)
		return PACE_RETRY_MAX;
	return seconds <= 1 ? 1 : (int)(seconds + .5);
}
