#include "../sched_private.h"
#include "player_private.h"

/* Whether it is used, and what its ledger holds beside leases. */
slo_err player_server_change(struct sched *s, struct server *server, const struct slo_event *e)
{
	if (!server)
		return SLO_EINVAL;
	if (e->kind == SLO_EVENT_USABLE) {
		sched_server_usable(s, server, e->count != 0);
		return SLO_OK;
	}
	if (e->kind == SLO_EVENT_WITHHELD) {
		if (e->load > SLO_LOAD_ONE)
			return SLO_EINVAL;
		sched_withhold(s, server, e->load);
		return SLO_OK;
	}
	if (e->count < 0 || e->count > SURPLUS_MAX || e->load > (uint64_t)e->count * SLO_LOAD_MAX)
		return SLO_EINVAL;
	sched_surplus_restore(s, server, (uint32_t)e->count, e->load);
	return SLO_OK;
}
