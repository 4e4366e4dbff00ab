#include <string.h>

#include "../sched_private.h"
#include "core/sizes.h"
#include "player_private.h"

static bool id_sane(const struct slo_event *e)
{
	return e->text.len > 0 && e->text.len <= SLO_ID_MAX && !memchr(e->text.p, 0, e->text.len);
}

static struct request *find(const struct sched *s, const struct slo_event *e)
{
	const char *id = (const char *)e->text.p;

	if (!id_sane(e) || e->order == 0 || e->order > FOREIGN_OWNERS_MAX)
		return NULL;
	return requests_find_of(&s->requests, sched_hash(s, id, e->text.len), id, e->text.len,
	                        (uint32_t)e->order);
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
	    e->arrived > e->now || e->arrived < e->now - SLO_NEVER / 4 || find(s, e))
		return SLO_EINVAL;
	o = foreign_owner_numbered(s, e->order);
	return o && foreign_open(s, e->now, o, &l) ? SLO_OK : SLO_ENOMEM;
}

slo_err player_foreign_end(struct sched *s, const struct slo_event *e)
{
	struct request *r = find(s, e);
	struct sched_end unused = { .result = SCHED_END_CLOSED };

	if (!r)
		return SLO_EINVAL;
	sched_lease_end(s, e->now, r, NULL, 0, &unused);
	return SLO_OK;
}
