/* The scheduler's fleet: models, deployments, servers and profiles, and what a change of them
 * means for the requests that wait. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sched_private.h"

struct sched_model *sched_model_add(struct sched *s, const char *name, enum slo_strategy strategy)
{
	struct sched_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	if (model_init(&m->fleet, name) != SLO_OK)
		goto err0;
	m->predictor = predictor_new();
	if (!m->predictor)
		goto err1;
	estimator_init(&m->estimator);
	queue_init(&m->queue, &m->fleet);
	m->strategy = strategy;
	HASH_ADD_KEYPTR(hh, s->model_by_name, m->fleet.name, strlen(m->fleet.name), m);
	if (!m->hh.tbl)
		goto err2;
	TAILQ_INSERT_TAIL(&s->models, m, link);
	return m;

err2:
	predictor_free(m->predictor);
err1:
	model_fini(&m->fleet);
err0:
	free(m);
	return NULL;
}

struct sched_model *sched_model_find(const struct sched *s, const char *name, size_t len)
{
	struct sched_model *m;

	HASH_FIND(hh, s->model_by_name, name, len, m);
	return m;
}

const struct sched_models *sched_models(const struct sched *s)
{
	return &s->models;
}

struct deployment *sched_deployment_add(struct sched_model *m, const char *name)
{
	struct deployment *d = fleet_deployment_new(&m->fleet, name);

	/* On failure the deployment stays, without servers: nothing ever waits for it. */
	if (d && queue_deployment_added(&m->queue) != SLO_OK)
		return NULL;
	return d;
}

struct server *sched_server_add(struct sched *s, const char *name)
{
	struct server *server = fleet_server_new(name);

	if (server) {
		server->next = s->servers;
		s->servers = server;
	}
	return server;
}

/* A server of d became usable: there is room, and d may be one more option. */
static void seat_came(struct sched *s, struct deployment *d)
{
	struct sched_model *m = sched_model_of(d);

	if (d->usable == 1)
		queue_refresh(&m->queue);
	d->freed = true;
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

	if (err == SLO_OK && server->usable)
		seat_came(s, d);
	return err;
}

void sched_server_usable(struct sched *s, struct server *server, bool usable)
{
	if (!fleet_set_usable(server, usable))
		return;
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
	queue_refresh(&m->queue);
	sched_mark_dirty(s, m);
	return SLO_OK;
}
