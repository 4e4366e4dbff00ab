/* How long requests are held: the same time for all, so that they are given up in order of arrival,
 * or as long as each can be in time (queue.h), in order of these moments. */
#include "sched_private.h"

void sched_configure_queue(struct sched *s, struct sched_model *m)
{
	const struct queue_hold hold = { s->conf.queue_timeout, s->conf.queue_timeout_most };

	queue_set_late(&m->queue, s->conf.late);
	queue_set_hold(&m->queue, &hold, &s->holds);
}

void sched_configure(struct sched *s, const struct sched_conf *conf)
{
	const struct sched_conf old = s->conf;
	bool same = old.late == conf->late && old.queue_timeout == conf->queue_timeout &&
	            old.queue_timeout_most == conf->queue_timeout_most;
	struct sched_model *m;

	s->conf = *conf;
	s->conf.seed = old.seed;
	s->conf.hash_key = old.hash_key;
	for (m = same ? NULL : TAILQ_FIRST(&s->models); m; m = TAILQ_NEXT(m, link)) {
		sched_configure_queue(s, m);
		sched_mark_dirty(s, m);
	}
	if (tapped(s))
		tap_config(s);
}

struct request *sched_hold_end(const struct sched *s, slo_nsec *until)
{
	const struct moment *first;
	struct request *r;

	if (sched_hold_varies(s)) {
		first = moments_first(&s->holds);
		*until = first ? first->at : SLO_NEVER;
		return first ? first->request : NULL;
	}
	r = TAILQ_FIRST(&s->requests.list[REQUEST_QUEUED]);
	*until = r ? slo_after(r->arrived, s->conf.queue_timeout) : SLO_NEVER;
	return r;
}

/* Where a target or a time changed, so did the moments until which requests are held. */
static void look_at_changed(struct sched *s, slo_nsec now)
{
	struct sched_model *m;

	TAILQ_FOREACH (m, &s->dirty, dirty_link)
		if (m->queue.stale)
			queue_look(&m->queue, now);
}

struct request *sched_first_held(struct sched *s, slo_nsec now, slo_nsec *until)
{
	if (sched_hold_varies(s))
		look_at_changed(s, now);
	return sched_hold_end(s, until);
}
