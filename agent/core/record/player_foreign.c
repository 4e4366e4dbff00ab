#include <string.h>

#include "../sched_private.h"
#include "core/sizes.h"
#include "player_private.h"

static bool id_sane(const struct slo_event *e)
{
	return e->text.len > 0 && e->text.len <= SLO_ID_MAX && !memchr(e->text.p, 0, e->text.len);
}

slo_err player_foreign(struct sched *s, struct sched_model *m, struct server *server,
                       const struct slo_event *e)
{
	const struct foreign_lease l = {
		.id = (const char *)e->text.p,
		.id_len = e->text.len,
		.model = m,
		.server = server,
		.load = e->load,
		.age = e->now - e->arrived,
		.input = tokens_clamp(e->input),
		.output = tokens_clamp(e->output),
		.strategy = (enum slo_strategy)e->strategy,
		.estimate = -1,
		.limit = -1,
		.sequences = 1,
	};
	struct foreign_owner *o;

	if (!id_sane(e) || (e->model && !m) || !server || e->load > SLO_LOAD_MAX ||
	    e->strategy >= SLO_STRATEGIES || e->order == 0 || e->order > FOREIGN_OWNERS_MAX ||
	    e->arrived > e->now || e->arrived < e->now - SLO_NEVER / 4 ||
	    foreign_find(s, e->order, l.id, l.id_len))
		return SLO_EINVAL;
	o = foreign_owner_numbered(s, e->order);
	return o && foreign_open(s, e->now, o, &l) ? SLO_OK : SLO_ENOMEM;
}

/* What grew too old is over already where time passes in other steps. */
slo_err player_foreign_end(struct sched *s, const struct slo_event *e)
{
	const struct request *r = NULL;
	struct sched_end unused = { .result = SCHED_END_CLOSED };

	if (!id_sane(e))
		return SLO_EINVAL;
	r = foreign_find(s, e->order, (const char *)e->text.p, e->text.len);
	if (r)
		sched_lease_end(s, e->now, (struct request *)r, NULL, 0, &unused);
	return SLO_OK;
}
