/* How soon others hear us, and who takes room when: turns, and what is spared (core/foreign.h).
 *
 * Redis replies to PUBLISH when all that hear us are written to. What others told before that it
 * has written to us before, though on the other connection: a turn of the loop that reads the reply
 * reads that, too, but for what Redis wrote in the very same moment. */
#include "cluster_private.h"
#include "io/base/clock.h"

/* Who looks first at room that somebody's request leaves, and how long after the one before: so
 * that one has heard what that one did, also where messages take long for want of CPU. */
void others_deal(struct cluster *c, slo_nsec now)
{
	slo_nsec apart = CLUSTER_TURNS;
	size_t present = 1;

	for (size_t i = 0; i < c->peer_count; i++) {
		c->peer[i]->owner->present = !hear_is_silent(c->peer[i], now);
		present += c->peer[i]->owner->present;
	}
	apart /= (slo_nsec)present;
	apart = 2 * c->slowest < apart ? 2 * c->slowest : apart;
	apart = apart < CLUSTER_TURN ? CLUSTER_TURN : apart;
	c->slowest -= c->slowest / 4;
	foreign_deal_turns(c->agent->sched, c->name, apart);
	foreign_others(c->agent->sched, c->tell.telling ? present - 1 : 0);
}

/* It took so many microseconds. */
static uint32_t note_delay(struct cluster *c, slo_nsec now, uint32_t told)
{
	uint32_t took = (uint32_t)cluster_clock(c, now) - told;

	histogram_add(&c->delay, (double)took / 1e6, 1);
	if (took * INT64_C(1000) > c->slowest)
		c->slowest = took * INT64_C(1000);
	return took;
}

void others_reached(struct cluster *c, slo_nsec now, uint32_t told)
{
	(void)note_delay(c, now, told);
}

void others_heard(struct cluster *c, slo_nsec now, uint32_t told)
{
	uint32_t took = note_delay(c, now, told);

	/* A part of a microsecond was lost when it was told. */
	foreign_heard(c->agent->sched, now, took > 1 ? now - (took - 1) * INT64_C(1000) : now);
}
