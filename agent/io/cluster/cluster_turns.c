/* How soon others hear us, and who takes room when: turns, and what is spared (core/foreign.h).
 *
 * Redis replies to PUBLISH when all that hear us are written to. What they decided before they read
 * that may still be on its way to us, so it is waited for as long as a message and its answer take.
 */
#include "cluster_private.h"
#include "io/base/clock.h"

#define ANSWER_MAX (20 * SLO_NSEC_PER_MSEC) /* what is spared is given up soon after */

/* How long a message and its answer take, also where messages take long for want of CPU. */
static slo_nsec answer_time(const struct cluster *c)
{
	return 2 * c->slowest > CLUSTER_TURN ? 2 * c->slowest : CLUSTER_TURN;
}

/* Who looks first at room that somebody's request leaves, and how long after the one before: so
 * that one has heard what that one did. */
void others_deal(struct cluster *c, slo_nsec now)
{
	slo_nsec apart = answer_time(c);
	size_t present = 1;

	for (size_t i = 0; i < c->peer_count; i++) {
		c->peer[i]->owner->present = !hear_is_silent(c->peer[i], now);
		present += c->peer[i]->owner->present;
	}
	if (apart > CLUSTER_TURNS / (slo_nsec)present)
		apart = CLUSTER_TURNS / (slo_nsec)present;
	apart = apart < CLUSTER_TURN ? CLUSTER_TURN : apart;
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

/* What was placed long enough ago, and is known. */
static void settle(struct cluster *c, slo_nsec now)
{
	slo_nsec answer = answer_time(c) < ANSWER_MAX ? answer_time(c) : ANSWER_MAX;
	slo_nsec until = c->known_until < now - answer ? c->known_until : now - answer;

	foreign_heard(c->agent->sched, now, until);
	if (until == c->known_until || ev_is_active(&c->settles) ||
	    !foreign_unheard(c->agent->sched))
		return;
	ev_now_update(c->agent->loop);
	ev_timer_set(&c->settles, (double)(c->known_until + answer - now) / 1e9, 0.);
	ev_timer_start(c->agent->loop, &c->settles);
}

static void on_settles(struct ev_loop *loop, ev_timer *w, int revents)
{
	settle(w->data, clock_nsec());
}

void others_init(struct cluster *c)
{
	ev_init(&c->settles, on_settles);
	c->settles.data = c;
}

void others_heard(struct cluster *c, slo_nsec now, uint32_t told)
{
	uint32_t took = note_delay(c, now, told);

	/* A part of a microsecond was lost when it was told. */
	c->known_until = took > 1 ? now - (took - 1) * INT64_C(1000) : now;
	settle(c, now);
}
