/* The scheduler's fleet: models, deployments, servers and profiles, and what a change of them
 * means for the requests that wait. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sched_private.h"

struct sched_model *sched_model_add(struct sched *s, const char *name, enum slo_strategy strategy)
{
	struct sched_model *m = calloc(1, sizeof(*m));
	size_t len = strlen(name);

	if (!m)
		return NULL;
	if (fleet_pool_init(&m->pool, name) != SLO_OK)
		goto err0;
	m->predictor = predictor_new();
	if (!m->predictor)
		goto err1;
	estimator_init(&m->estimator);
	queue_init(&m->queue, &m->pool, s->conf.late);
	sched_configure_queue(s, m);
	m->strategy = strategy;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->model_by_name, m->pool.name, len,
	                            (unsigned)sched_hash(s, name, len), m);
	if (!m->hh.tbl)
		goto err2;
	TAILQ_INSERT_TAIL(&s->models, m, link);
	m->sched = s;
	m->number = ++s->numbers;
	if (tapped(s))
		tap_model(s, SLO_EVENT_MODEL, m);
	return m;

err2:
	predictor_free(m->predictor);
err1:
	fleet_pool_fini(&m->pool);
err0:
	free(m);
	return NULL;
}

void sched_model_free(struct sched_model *m)
{
	queue_fini(&m->queue);
	predictor_free(m->predictor);
	fleet_pool_fini(&m->pool);
	free(m);
}

/* The requests that wait are to be passed, in their order. */
static void dismiss(struct sched *s, struct sched_model *m)
{
	struct request *r, *next;

	for (r = TAILQ_FIRST(&s->requests.list[REQUEST_QUEUED]); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->model != m)
			continue;
		queue_remove(&m->queue, r);
		requests_move(&s->requests, r, REQUEST_READY, r->since);
	}
	TAILQ_FOREACH (r, &s->requests.list[REQUEST_READY], link)
		if (r->model == m && r->reason != SLO_REASON_ENDED)
			r->reason = SLO_REASON_UNKNOWN_MODEL;
}

void sched_model_remove(struct sched *s, struct sched_model *m)
{
	struct request *r;

	if (tapped(s))
		tap_model(s, SLO_EVENT_MODEL_GONE, m);
	dismiss(s, m);
	for (int i = 0; i < REQUEST_STATES; i++)
		TAILQ_FOREACH (r, &s->requests.list[i], link)
			if (r->model == m)
				r->model = NULL;
	if (m->dirty)
		TAILQ_REMOVE(&s->dirty, m, dirty_link);
	TAILQ_REMOVE(&s->models, m, link);
	HASH_DEL(s->model_by_name, m);
	sched_model_free(m);
}

struct sched_model *sched_model_find(const struct sched *s, const char *name, size_t len)
{
	struct sched_model *m;

	HASH_FIND_BYHASHVALUE(hh, s->model_by_name, name, len, (unsigned)sched_hash(s, name, len),
	                      m);
	return m;
}

const struct sched_models *sched_models(const struct sched *s)
{
	return &s->models;
}

struct deployment *sched_deployment_add(struct sched_model *m, const char *name)
{
	struct deployment *d = fleet_deployment_new(&m->pool, name);

	if (!d)
		return NULL;
	if (queue_deployment_added(&m->queue) != SLO_OK) {
		fleet_deployment_free(d);
		queue_deployment_removed(&m->queue);
		return NULL;
	}
	guard_init(&d->guard, ++m->sched->guards);
	if (tapped(m->sched))
		tap_deployment(m->sched, SLO_EVENT_DEPLOYMENT, d);
	return d;
}

struct server *sched_server_add(struct sched *s, const char *name)
{
	struct server *server = fleet_server_new(name);

	if (!server)
		return NULL;
	LIST_INSERT_HEAD(&s->servers, server, link);
	server->number = ++s->numbers;
	if (tapped(s))
		tap_server(s, SLO_EVENT_SERVER, server);
	return server;
}

bool sched_server_free(struct server *server)
{
	if (server->seats || server->ledger.inflight > 0)
		return false;
	LIST_REMOVE(server, link);
	foreign_server_gone(server);
	fleet_server_free(server);
	return true;
}

/* A server of d became usable: there is room, and d may be one more option. */
static void seat_came(struct sched *s, struct deployment *d)
{
	struct sched_model *m = sched_model_of(d);

	if (d->usable == 1)
		queue_refresh(&m->queue);
	fleet_freed(d);
	sched_mark_dirty(s, m);
}

static void seat_went(struct sched *s, struct deployment *d)
{
	struct sched_model *m = sched_model_of(d);

	if (d->usable == 0)
		queue_refresh(&m->queue);
	sched_mark_dirty(s, m);
}

slo_err sched_server_seat(struct sched *s, struct deployment *d, struct server *server)
{
	slo_err err = fleet_seat(d, server);

	if (err != SLO_OK)
		return err;
	if (server->usable)
		seat_came(s, d);
	if (tapped(s))
		tap_seat(s, SLO_EVENT_SEAT, server->seats);
	return SLO_OK;
}

struct seat *sched_seat_find(const struct sched_model *m, const struct server *server)
{
	return fleet_seat_in(&m->pool, server);
}

slo_err sched_seat_move(struct sched *s, struct seat *seat, struct deployment *d)
{
	struct deployment *from = seat->deployment;

	if (fleet_move(seat, d) != SLO_OK)
		return SLO_ENOMEM;
	if (from != d) { /* there it was one of others */
		seat->speed = (struct latency_speed){ 0 };
		seat->slower = 1;
	}
	if (tapped(s))
		tap_seat(s, SLO_EVENT_SEAT_MOVED, seat);
	if (!seat->server->usable)
		return SLO_OK;
	/* In its deployment it is the last one now, which may be deep where it was not. */
	seat_went(s, from);
	seat_came(s, d);
	return SLO_OK;
}

void sched_seat_remove(struct sched *s, struct seat *seat)
{
	struct deployment *d = seat->deployment;
	bool usable = seat->server->usable;

	if (tapped(s))
		tap_seat(s, SLO_EVENT_SEAT_GONE, seat);
	fleet_unseat(seat);
	if (usable)
		seat_went(s, d);
}

void sched_deployment_remove(struct sched *s, struct deployment *d)
{
	struct sched_model *m = sched_model_of(d);

	if (tapped(s))
		tap_deployment(s, SLO_EVENT_DEPLOYMENT_GONE, d);
	fleet_deployment_free(d);
	queue_deployment_removed(&m->queue);
	sched_mark_dirty(s, m);
}

void sched_deployments_order(struct sched *s, struct sched_model *m,
                             struct deployment *const *order)
{
	if (tapped(s))
		tap_order(s, m, order);
	fleet_order(&m->pool, order);
	queue_refresh(&m->queue);
	sched_mark_dirty(s, m);
}

void sched_server_usable(struct sched *s, struct server *server, bool usable)
{
	if (!fleet_set_usable(server, usable))
		return;
	if (tapped(s))
		tap_server(s, SLO_EVENT_USABLE, server);
	for (struct seat *seat = server->seats; seat; seat = seat->next_of_server) {
		if (usable)
			seat_came(s, seat->deployment);
		else
			seat_went(s, seat->deployment);
	}
}

slo_err sched_profile_set(struct sched *s, struct deployment *d, struct profile *p)
{
	struct sched_model *m = sched_model_of(d);

	if (d->profile && !(profile_created(p) > profile_created(d->profile)))
		return SLO_ESTALE;
	profile_free(d->profile);
	d->profile = p;
	if (tapped(s))
		tap_deployment(s, SLO_EVENT_PROFILE, d);
	/* The guard watched what another one foresaw; a new copy of it foresees the same. */
	if (d->refuted != 0 && d->refuted != profile_digest(p))
		sched_guard(s, d, 1);
	sched_profile_changed(s, d);
	queue_refresh(&m->queue);
	sched_mark_dirty(s, m);
	return SLO_OK;
}

void sched_profile_drop(struct sched *s, struct deployment *d)
{
	struct sched_model *m = sched_model_of(d);

	profile_free(d->profile);
	d->profile = NULL;
	if (tapped(s))
		tap_deployment(s, SLO_EVENT_PROFILE_GONE, d);
	sched_profile_changed(s, d);
	queue_refresh(&m->queue);
	sched_mark_dirty(s, m);
}
