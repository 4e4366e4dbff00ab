/* HAProxy's lines about the requests of others.
 *
 * Where HAProxy logs to several agents, all hear of an end at the same moment, and all that have
 * requests waiting would place one in the room that became free. So the line of a request of
 * another agent waits for DEFER_FOR, in which its owner's news come: of its end, and of what it
 * placed there. The owner goes first; who hears of it by its news sees both together. The line of a
 * short request may even be faster than the news that it was placed: what nobody told us of waits
 * just as long. After that time the line counts like any other. Lines of an agent that is silent,
 * or while Redis is away, do not wait.
 *
 * Where no secret guards events.listen, strangers can send lines of any id. So those of ids that
 * nobody told us of have half of the room at most, and the others wait as ever. */
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "io/agent/ends.h"
#include "io/base/clock.h"

#define DEFER_FOR \
	(250 * SLO_NSEC_PER_MSEC) /* an owner that has no CPU for so long is late indeed */

static void feed_first(struct cluster *c, slo_nsec now)
{
	struct cluster_deferred *l = &c->deferred;
	struct deferred_line line = l->line[l->first];

	l->first = (l->first + 1) % DEFERRED_MAX;
	l->count--;
	l->bytes -= line.len;
	if (line.unknown) {
		l->unknowns--;
		l->unknown_bytes -= line.len;
	}
	l->feeding = true;
	(void)ends_line(c->agent, now, line.bytes, line.len, true, "cluster");
	l->feeding = false;
	free(line.bytes);
}

static void ring(struct cluster *c, slo_nsec now)
{
	const struct cluster_deferred *l = &c->deferred;

	if (l->count == 0 || ev_is_active(&l->timer))
		return;
	ev_now_update(c->agent->loop);
	ev_timer_set(&c->deferred.timer, (double)(l->line[l->first].due - now) / 1e9, 0.);
	ev_timer_start(c->agent->loop, &c->deferred.timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cluster *c = w->data;
	slo_nsec now = clock_nsec();

	while (c->deferred.count > 0 && c->deferred.line[c->deferred.first].due <= now)
		feed_first(c, now);
	ring(c, now);
}

/* Who placed it, if that is another agent that is heard. NULL: the line counts now. */
static const struct cluster_peer *owner_of(const struct cluster *c, struct slice id)
{
	const struct request *r = foreign_find_any(c->agent->sched, (const char *)id.p, id.len);
	const struct foreign_owner *owner = r ? foreign_owner_of(c->agent->sched, r) : NULL;

	for (size_t i = 0; owner && !foreign_is_former(r) && i < c->peer_count; i++)
		if (c->peer[i]->owner == owner)
			return c->peer[i];
	return NULL;
}

static bool is_anybody_heard(const struct cluster *c, slo_nsec now)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (!hear_is_silent(c->peer[i], now))
			return true;
	return false;
}

/* Whether news of it are to come. */
static bool is_told_later(const struct cluster *c, slo_nsec now, struct slice id, bool *unknown)
{
	const struct cluster_peer *owner = owner_of(c, id);

	*unknown = !owner;
	if (owner)
		return !hear_is_silent(owner, now);
	return is_anybody_heard(c, now) &&
	       !sched_is_known(c->agent->sched, (const char *)id.p, id.len);
}

static bool has_room(const struct cluster_deferred *l, size_t len, bool unknown)
{
	if (unknown &&
	    (l->unknowns >= DEFERRED_MAX / 2 || l->unknown_bytes + len > DEFERRED_BYTES / 2))
		return false;
	return l->count < DEFERRED_MAX && l->bytes + len <= DEFERRED_BYTES;
}

static bool keep(struct cluster *c, struct slice line, bool unknown, slo_nsec now)
{
	struct cluster_deferred *l = &c->deferred;
	struct deferred_line *last = &l->line[(l->first + l->count) % DEFERRED_MAX];

	last->bytes = malloc(line.len);
	if (!last->bytes)
		return false;
	memcpy(last->bytes, line.p, line.len);
	last->len = line.len;
	last->unknown = unknown;
	last->due = now + DEFER_FOR;
	l->count++;
	l->bytes += line.len;
	if (unknown) {
		l->unknowns++;
		l->unknown_bytes += line.len;
	}
	ring(c, now);
	return true;
}

static bool defer(void *arg, struct slice id, struct slice line)
{
	struct cluster *c = arg;
	slo_nsec now;
	bool unknown;

	if (c->deferred.feeding || !cluster_link_is_up(&c->link) ||
	    !has_room(&c->deferred, line.len, false) ||
	    sched_find(c->agent->sched, (const char *)id.p, id.len)) /* it is ours, as most are */
		return false;
	now = clock_nsec();
	return is_told_later(c, now, id, &unknown) && has_room(&c->deferred, line.len, unknown) &&
	       keep(c, line, unknown, now);
}

void defer_init(struct cluster *c)
{
	ev_init(&c->deferred.timer, on_timer);
	c->deferred.timer.data = c;
}

void defer_lines(struct cluster *c, bool on)
{
	ev_timer_stop(c->agent->loop, &c->deferred.timer);
	c->agent->deferral =
	    on ? (struct agent_deferral){ defer, c } : (struct agent_deferral){ 0 };
	while (!on && c->deferred.count > 0)
		feed_first(c, clock_nsec());
}
