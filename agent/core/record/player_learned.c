#include <math.h>

#include "../sched_private.h"
#include "player_private.h"

static bool real_sane(double v)
{
	return isfinite(v) && v >= 0;
}

slo_err player_promise(struct sched *s, struct sched_model *m, const struct slo_event *e)
{
	const struct goal promise = { .kind = (enum goal_kind)e->count,
		                      .per_token = e->real[0],
		                      .fixed = e->real[1],
		                      .tpat = e->real[2],
		                      .e2e = e->real[3] };

	if (!m || e->count < GOAL_NONE || e->count >= GOAL_KINDS || !goal_is_sane(&promise))
		return SLO_EINVAL;
	sched_promise(s, m, &promise);
	return SLO_OK;
}

static bool rates_sane(const struct latency_rates *r)
{
	return r->step > 0 && r->prompt > 0 && r->cached > 0 && r->kv > 0 && r->headroom > 0 &&
	       r->headroom <= 1 && r->crowd > 0;
}

slo_err player_source(struct sched *s, struct deployment *d, const struct slo_event *e)
{
	const struct latency_force force = {
		.state = (enum latency_state)e->order,
		.rates = { .step = e->real[0],
		           .prompt = e->real[1],
		           .cached = e->real[2],
		           .kv = e->real[3],
		           .kv_told = e->load != 0,
		           .headroom = e->real[4],
		           .crowd = e->real[5] },
	};

	for (int i = 0; i < 6; i++)
		if (!real_sane(e->real[i]))
			return SLO_EINVAL;
	if (!d || e->count < 0 || e->count >= FLEET_SOURCES || e->order > LATENCY_HOT ||
	    !rates_sane(&force.rates))
		return SLO_EINVAL;
	sched_force(s, d, (enum fleet_source)e->count, &force);
	return SLO_OK;
}

slo_err player_slower(struct sched *s, struct seat *seat, const struct slo_event *e)
{
	if (!seat || !real_sane(e->real[0]) || e->real[0] < 1)
		return SLO_EINVAL;
	sched_slower(s, seat, e->real[0]);
	return SLO_OK;
}

slo_err player_floor(struct sched *s, struct deployment *d, const struct slo_event *e)
{
	if (!d || e->load > SLO_LOAD_ONE)
		return SLO_EINVAL;
	sched_floor(s, d, e->load);
	return SLO_OK;
}

slo_err player_guard(struct sched *s, struct deployment *d, const struct slo_event *e)
{
	if (!d || !guard_sane(e->real[0], 0, 0))
		return SLO_EINVAL;
	sched_guard(s, d, e->real[0]);
	return SLO_OK;
}
