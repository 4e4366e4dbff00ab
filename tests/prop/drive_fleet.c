/* drive_fleet.c - servers, deployments and models come, change and go. */
#include "drive_private.h"

#include <string.h>

static struct sched_model *model_get(struct world *w, unsigned m)
{
	char name[16];

	if (w->model[m] == NULL) {
		snprintf(name, sizeof(name), "m%u", m);
		w->model[m] = sched_model_add(w->sched, name, SLO_STRATEGY_SLO);
	}
	return w->model[m];
}

static struct deployment *deployment_get(struct world *w, unsigned m, unsigned d)
{
	char name[16];

	if (w->deployment[m][d] == NULL) {
		snprintf(name, sizeof(name), "d%u", d);
		w->deployment[m][d] = sched_deployment_add(model_get(w, m), name);
	}
	return w->deployment[m][d];
}

bool drive_seat(struct world *w, const struct op *op)
{
	struct deployment *d = deployment_get(w, op->model, op->deployment);
	bool is_new = w->server[op->server] == NULL;
	char name[16];
	slo_err core;
	bool model;

	if (is_new) {
		snprintf(name, sizeof(name), "s%u", op->server);
		w->server[op->server] = sched_server_add(w->sched, name);
		w->server[op->server]->owner = (void *)(uintptr_t)op->server;
	}
	core = sched_server_seat(w->sched, d, w->server[op->server]);
	if (is_new)
		sched_server_usable(w->sched, w->server[op->server], true);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_seat(w->naive, op->t, op->model, op->deployment, op->server);
	if (model != (core == SLO_OK))
		return drive_differ(w, "seat: core %s, model %d", drive_err_name(core), model);
	return true;
}

bool drive_unseat(struct world *w, const struct op *op)
{
	struct sched_model *m = w->model[op->model];
	struct server *server = w->server[op->server];
	struct seat *at = m != NULL && server != NULL ? sched_seat_find(m, server) : NULL;

	if (at != NULL)
		sched_seat_remove(w->sched, at);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_unseat(w->naive, op->t, op->model, op->server) != (at != NULL))
		return drive_differ(w, "s%u had a seat for one of both", op->server);
	return true;
}

bool drive_leave(struct world *w, const struct op *op)
{
	struct server *server = w->server[op->server];

	while (server != NULL && server->seats != NULL)
		sched_seat_remove(w->sched, server->seats);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_leave(w->naive, op->t, op->server);
	return true;
}

bool drive_move(struct world *w, const struct op *op)
{
	struct sched_model *m = w->model[op->model];
	struct server *server = w->server[op->server];
	struct deployment *d = w->deployment[op->model][op->deployment];
	struct seat *at = m != NULL && server != NULL ? sched_seat_find(m, server) : NULL;
	bool moved = at != NULL && d != NULL;

	if (moved && sched_seat_move(w->sched, at, d) != SLO_OK)
		return drive_differ(w, "out of memory");
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_move(w->naive, op->t, op->model, op->deployment, op->server) != moved)
		return drive_differ(w, "s%u moved for one of both", op->server);
	return true;
}

bool drive_drop(struct world *w, const struct op *op)
{
	struct deployment **d = &w->deployment[op->model][op->deployment];
	bool dropped = *d != NULL;

	if (dropped)
		sched_deployment_remove(w->sched, *d);
	*d = NULL;
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_drop(w->naive, op->t, op->model, op->deployment) != dropped)
		return drive_differ(w, "m%u had d%u for one of both", op->model, op->deployment);
	return true;
}

bool drive_drop_model(struct world *w, const struct op *op)
{
	struct sched_model **m = &w->model[op->model];
	bool dropped = *m != NULL;

	if (dropped)
		sched_model_remove(w->sched, *m);
	*m = NULL;
	memset(w->deployment[op->model], 0, sizeof(w->deployment[op->model]));
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_drop_model(w->naive, op->t, op->model) != dropped)
		return drive_differ(w, "m%u existed for one of both", op->model);
	return true;
}

bool drive_order(struct world *w, const struct op *op)
{
	struct deployment *sorted[NAIVE_DEPLOYMENTS];
	unsigned name[NAIVE_DEPLOYMENTS], count = 0;

	if (w->model[op->model] == NULL)
		return drive_nothing(w, op);
	order_build(name, op->seed);
	for (unsigned i = 0; i < NAIVE_DEPLOYMENTS; i++) {
		struct deployment *d = w->deployment[op->model][name[i]];

		if (d != NULL)
			sorted[count++] = d;
	}
	sched_deployments_order(w->sched, w->model[op->model], sorted);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_order(w->naive, op->t, op->model, name);
	return true;
}

/* A server without seats is gone with its last request. */
void drive_collect(struct world *w)
{
	for (unsigned s = 0; s < NAIVE_SERVERS; s++)
		if (w->server[s] != NULL && sched_server_free(w->server[s]))
			w->server[s] = NULL;
	naive_collect(w->naive);
}

bool drive_ready(struct world *w, const struct op *op)
{
	if (w->server[op->server] == NULL)
		return drive_nothing(w, op);
	sched_server_usable(w->sched, w->server[op->server], op->up);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_ready(w->naive, op->t, op->server, op->up);
	return true;
}

static void tell_rates(struct world *w, const struct op *op)
{
	const struct deployment *d = w->deployment[op->model][op->deployment];
	const struct latency_rates *r = &d->given;
	const struct naive_rates rates = { r->step,     r->prompt,  r->cached, r->kv,
		                           r->headroom, r->kv_told, d->floor };

	naive_rates(w->naive, op->model, op->deployment, &rates);
}

/* Of so few ends that a guard sees here hardly one would make it move. */
static slo_err recall_guard(struct world *w, const struct op *op)
{
	static const struct guard brink[] = {
		{ .share = 1, .seen = 10, .missed = 10 },
		{ .share = 0.6, .seen = 99 },
		{ .share = 0.5, .seen = 12, .missed = 10 },
		{ .share = 1 },
	};
	const struct guard *g = &brink[op->seed % 4];

	naive_guard(w->naive, op->model, op->deployment, g->share, g->seen, g->missed);
	return sched_recall_guard(w->sched, w->deployment[op->model][op->deployment], g);
}

bool drive_profile(struct world *w, const struct op *op)
{
	static const unsigned running[] = { 0, 0, 3, 0, 17 };
	struct deployment *d = deployment_get(w, op->model, op->deployment);
	struct profile *p;
	struct doc doc;
	bool model;
	slo_err core;

	doc_build(&doc, op->seed, op->doc_created);
	p = profile_new(&doc.head);
	if (p == NULL)
		return drive_differ(w, "the profile was refused");
	core = sched_profile_set(w->sched, d, p);
	if (core != SLO_OK)
		profile_free(p);
	else if (recall_guard(w, op) != SLO_OK)
		return drive_differ(w, "the guard was refused");
	else
		sched_running_set(w->sched, d, running[op->seed % 5]);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	tell_rates(w, op);
	model = naive_profile(w->naive, op->t, op->model, op->deployment, &doc.head);
	if (model != (core == SLO_OK))
		return drive_differ(w, "profile: core %s, model %d", drive_err_name(core), model);
	return true;
}

bool drive_unprofile(struct world *w, const struct op *op)
{
	sched_profile_drop(w->sched, deployment_get(w, op->model, op->deployment));
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_profile_drop(w->naive, op->t, op->model, op->deployment);
	return true;
}
