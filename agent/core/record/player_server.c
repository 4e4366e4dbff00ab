#include "../sched_private.h"
#include "core/adaptive.h"
#include "core/foreign.h"
#include "core/lease.h"
#include "player_private.h"

#define TIME_MOST  (INT64_C(1) << 61)
#define STAKE_MOST (INT64_C(1) << 47) /* of thousands the sum does not overflow */

/* Whether it is used, and what its ledger holds beside leases. */
slo_err player_server_change(struct sched *s, struct server *server, const struct slo_event *e)
{
	if (!server)
		return SLO_EINVAL;
	if (e->kind == SLO_EVENT_USABLE) {
		sched_server_usable(s, server, e->count != 0);
		return SLO_OK;
	}
	if (e->kind == SLO_EVENT_READING) {
		if (e->count < -TIME_MOST || e->count > TIME_MOST)
			return SLO_EINVAL;
		server->flow.drained = e->count;
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

/* What a lease that is told has at stake. */
slo_err player_stake(struct sched *s, const struct slo_event *e)
{
	const char *id = (const char *)e->text.p;
	const struct adaptive_stake stake = {
		.harm = e->load,
		.work = (uint64_t)e->count,
		.reading = (uint32_t)e->turn,
		.class = (uint8_t)e->input,
	};
	const struct request *found;
	struct request *r;

	if (!player_id_sane(e) || e->load > STAKE_MOST || e->count < 0 || e->count > STAKE_MOST ||
	    e->turn > UINT32_MAX || e->input < 0 || e->input >= ADAPTIVE_CLASSES)
		return SLO_EINVAL;
	found = e->order == 0 ? lease_find(s, id, e->text.len)
	                      : foreign_find(s, e->order, id, e->text.len);
	if (!found)
		return SLO_EINVAL;
	r = (struct request *)found;
	fleet_changes(fleet_server_of(&r->charge));
	adaptive_leave(fleet_server_of(&r->charge), r);
	adaptive_enter(fleet_server_of(&r->charge), r, &stake);
	return SLO_OK;
}
