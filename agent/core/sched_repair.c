/* Leases: requests that a server is charged for, and what puts them right when end lines do not. */
#include <assert.h>

#include "sched_private.h"

static bool is_departed(const struct sched *s, const struct request *r)
{
	return r->generation != s->generation;
}

static void hold(struct sched *s, struct request *r, struct server *server)
{
	if (r->model)
		r->model->dispatched++;
	if (is_departed(s, r)) {
		TAILQ_INSERT_TAIL(&server->departed, r, lease);
		server->departed_count++;
	} else {
		TAILQ_INSERT_TAIL(&server->leases, r, lease);
	}
}

void sched_lease_open(struct sched *s, struct request *r, struct seat *seat, slo_load load)
{
	fleet_charge(seat, load, &r->charge);
	sched_stay_begin(r, seat->deployment);
	hold(s, r, seat->server);
}

void sched_lease_open_unseated(struct sched *s, struct request *r, struct server *server,
                               slo_load load)
{
	fleet_charge_unseated(server, load, &r->charge);
	sched_stay_begin(r, NULL);
	hold(s, r, server);
}

static void room_in(struct sched *s, const struct seat *seat)
{
	seat->deployment->freed = true;
	sched_mark_dirty(s, sched_model_of(seat->deployment));
}

/* There is room for those who wait for it. The others are not even looked at: models that share
 * the server may be thousands. While it is not usable its seats are told nothing, but an end is
 * an end, after which every model that waits decides anew. */
static void room_on(struct sched *s, const struct server *server)
{
	const struct seat *seat;

	LIST_FOREACH (seat, &server->told, told)
		room_in(s, seat);
	for (seat = server->usable ? NULL : server->seats; seat; seat = seat->next_of_server)
		if (seat->deployment->model->waiting)
			room_in(s, seat);
}

void sched_lease_close(struct sched *s, slo_nsec now, struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);
	struct latency_features unused;
	slo_err err = fleet_release(server, &r->charge);

	(void)latency_flow_leave(&server->flow, now, r->since, r->output, &r->stay, &unused);
	assert(err == SLO_OK);
	(void)err;
	if (r->model)
		r->model->dispatched--;
	server->released = server->round == s->round ? server->released + 1 : 1;
	server->round = s->round;
	if (is_departed(s, r)) {
		TAILQ_REMOVE(&server->departed, r, lease);
		server->departed_count--;
	} else {
		TAILQ_REMOVE(&server->leases, r, lease);
	}
	room_on(s, server);
}

void sched_lease_expire(struct sched *s, slo_nsec now, struct request *r, enum fleet_repair cause)
{
	fleet_server_of(&r->charge)->repairs[cause]++;
	sched_lease_close(s, now, r);
	sched_over(s, now, r);
	s->leases_expired++;
	if (tapped(s) && cause != FLEET_REPAIR_MAX_AGE) /* that a step does by itself */
		tap_end(s, now, r, NULL);
}

void sched_server_surplus(struct sched *s, struct server *server, uint32_t count)
{
	slo_load before = server->ledger.used;
	uint32_t count_before = server->surplus_count;

	fleet_surplus(server, count);
	if (server->ledger.used < before)
		room_on(s, server);
	if (tapped(s) && (server->ledger.used != before || server->surplus_count != count_before))
		tap_server(s, SLO_EVENT_SURPLUS, server);
}

void sched_surplus_restore(struct sched *s, struct server *server, uint32_t count, slo_load load)
{
	slo_load before = server->ledger.used;

	fleet_surplus_of(server, count, load);
	if (server->ledger.used < before)
		room_on(s, server);
}

bool sched_expire_oldest(struct sched *s, slo_nsec now, struct server *server)
{
	struct request *r = TAILQ_FIRST(&server->leases);

	if (r)
		sched_lease_expire(s, now, r, FLEET_REPAIR_EXPIRED);
	return r != NULL;
}

/* Each list is in order of dispatch. */
static size_t expire_until(struct sched *s, slo_nsec now, const struct leases *list, slo_nsec until)
{
	struct request *r;
	size_t n = 0;

	for (; (r = TAILQ_FIRST(list)) && r->since <= until; n++)
		sched_lease_expire(s, now, r, FLEET_REPAIR_EXPIRED);
	return n;
}

size_t sched_expire_until(struct sched *s, slo_nsec now, struct server *server, slo_nsec until)
{
	return expire_until(s, now, &server->departed, until) +
	       expire_until(s, now, &server->leases, until);
}

void sched_process_changed(struct sched *s, slo_nsec now)
{
	struct server *server;

	s->generation++;
	s->changed[s->generation % GENERATIONS] = now;
	LIST_FOREACH (server, &s->servers, link) {
		TAILQ_CONCAT(&server->departed, &server->leases, lease);
		server->departed_count = fleet_leases(server);
	}
}

bool sched_expire_departed(struct sched *s, slo_nsec now, struct server *server, slo_nsec grace)
{
	struct request *r = TAILQ_FIRST(&server->departed);
	uint32_t left, changes;

	if (!r)
		return false;
	/* Of what left so long ago that it is not told apart, the oldest change that is known. */
	changes = s->generation - r->generation;
	left = changes < GENERATIONS ? r->generation + 1 : s->generation - (GENERATIONS - 1);
	if (grace > now - s->changed[left % GENERATIONS])
		return false;
	sched_lease_expire(s, now, r, FLEET_REPAIR_EXPIRED);
	return true;
}
