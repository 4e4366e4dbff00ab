#include "../sched_private.h"
#include "core/lease.h"
#include "core/sizes.h"
#include "player_private.h"

slo_err player_foreign(struct sched *s, struct sched_model *m, struct server *server,
                       const struct slo_event *e)
{
	struct foreign_lease l = {
		.id = (const char *)e->text.p,
		.id_len = e->text.len,
		.model = m,
		.server = server,
		.load = e->load,
		.input = tokens_clamp(e->input),
		.output = tokens_clamp(e->output),
		.strategy = (enum slo_strategy)e->strategy,
		.estimate = -1,
		.limit = -1,
		.sequences = 1,
	};
	struct foreign_owner *o;

	if (!player_id_sane(e) || (e->model && !m) || !server || e->load > SLO_LOAD_MAX ||
	    e->strategy >= SLO_STRATEGIES || e->order == 0 || e->order > FOREIGN_OWNERS_MAX ||
	    !player_time_sane(e->arrived) || e->arrived > e->now ||
	    foreign_find(s, e->order, l.id, l.id_len))
		return SLO_EINVAL;
	l.age = e->now - e->arrived;
	o = foreign_owner_numbered(s, e->order);
	return o && foreign_open(s, e->now, o, &l, sched_hash(s, l.id, l.id_len)) ? SLO_OK
	                                                                          : SLO_ENOMEM;
}

/* What grew too old is over already where time passes in other steps. */
slo_err player_foreign_end(struct sched *s, const struct slo_event *e)
{
	const struct request *r = NULL;
	struct sched_end unused = { .result = SCHED_END_CLOSED };

	if (!player_id_sane(e))
		return SLO_EINVAL;
	r = foreign_find(s, e->order, (const char *)e->text.p, e->text.len);
	if (r)
		sched_lease_end(s, e->now, (struct request *)r, NULL, 0, &unused);
	return SLO_OK;
}

/* Whether r was dispatched before all that are fresh: what a recording tells later than them cannot
 * have been. */
static bool is_before_fresh(const struct sched *s, const struct request *r)
{
	const struct request *first = s->foreign.fresh;

	while (first && r && r != first && r->since <= first->since)
		r = TAILQ_NEXT(r, link);
	return first && r == first;
}

/* What others heard of ours. */
slo_err player_fresh(struct sched *s, const struct slo_event *e)
{
	const struct request *r = NULL;

	if (e->kind == SLO_EVENT_HEARD) {
		foreign_heard(s, e->now, e->arrived);
		return SLO_OK;
	}
	if (e->kind == SLO_EVENT_OTHERS) {
		if (e->count < 0 || e->count > FOREIGN_OWNERS_MAX || e->order > 1)
			return SLO_EINVAL;
		foreign_others(s, (size_t)e->count);
		if (e->order)
			foreign_fresh_give_up(s);
		return SLO_OK;
	}
	if (player_id_sane(e))
		r = lease_find(s, (const char *)e->text.p, e->text.len);
	if (!r || r->fresh || s->foreign.others == 0 || s->foreign.deaf || is_before_fresh(s, r))
		return SLO_EINVAL;
	foreign_fresh(s, (struct request *)r);
	return SLO_OK;
}
