#include "../sched_private.h"
#include "core/sizes.h"
#include "player_private.h"

/* It has the goal of none: whether it met one is not played. */
static void fill(struct sched *s, struct request *r, const struct slo_event *e)
{
	r->created = e->created;
	r->arrived = e->arrived;
	r->input = (int32_t)tokens_clamp(e->input);
	r->output = (int32_t)tokens_clamp(e->output);
	r->estimate = -1;
	r->strategy = (uint8_t)e->strategy;
	r->seq = ++s->seq;
	r->generation = s->generation;
}

slo_err player_lease(struct sched *s, struct sched_model *m, struct server *server,
                     const struct slo_event *e)
{
	const char *id = (const char *)e->text.p;
	slo_nsec since = sched_lease_since(s, e->now);
	struct seat *seat;
	struct request *r;
	uint64_t hash;

	if (!player_id_sane(e) || (e->model && !m) || !server || e->load > SLO_LOAD_MAX ||
	    e->strategy >= SLO_STRATEGIES || !player_time_sane(e->created) ||
	    !player_time_sane(e->arrived))
		return SLO_EINVAL;
	hash = sched_hash(s, id, e->text.len);
	if (requests_find(&s->requests, hash, id, e->text.len) ||
	    past_find(&s->past, hash) != PAST_UNKNOWN)
		return SLO_EINVAL;
	r = requests_new(&s->requests, hash, id, e->text.len, since);
	if (!r)
		return SLO_ENOMEM;
	r->model = m;
	fill(s, r, e);
	requests_move(&s->requests, r, REQUEST_DISPATCHED, since);
	seat = m ? sched_seat_find(m, server) : NULL;
	if (seat)
		sched_lease_open(s, since, r, seat, e->load);
	else
		sched_lease_open_unseated(s, since, r, server, e->load);
	return SLO_OK;
}
