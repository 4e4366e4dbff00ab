/* How a configuration is put in force while requests wait and run.
 *
 * Nothing is torn down: what has the same name stays, with its queue, ledger and learned values. So
 * a reload that changes nothing changes no decision. In this order, because each step needs the one
 * before it:
 *
 *   models        those that are no more leave, and what waits for them is passed; new ones come
 *   names         each server that is named by its own name is registered, before patterns match
 *   deployments   they are put into the configuration's order, which decides ties
 *   servers       each is moved behind all that the model had, in the new order, which decides
 *                 ties; those that then still stand in front were not named and lose their seat
 *   use           whether a server is used follows from who is configured and what HAProxy said
 *
 * Memory may run out on the way. Then what there is stays sound, no server loses its seat for not
 * having been moved, and the next reload arranges all of it again (roster.incomplete), however
 * little the configurations differ. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "roster_private.h"

static bool same_servers(const struct config_deployment *a, const struct config_deployment *b)
{
	if (strcmp(a->name, b->name) != 0 || a->server_count != b->server_count)
		return false;
	for (size_t i = 0; i < a->server_count; i++)
		if (strcmp(a->servers[i], b->servers[i]) != 0)
			return false;
	return true;
}

/* Whether the fleet of the model is arranged as before. */
static bool same_model(const struct config_model *a, const struct config_model *b)
{
	if (strcmp(a->backend, b->backend) != 0 || a->deployment_count != b->deployment_count)
		return false;
	for (size_t i = 0; i < a->deployment_count; i++)
		if (!same_servers(&a->deployments[i], &b->deployments[i]))
			return false;
	return true;
}

/* Registers the model's backend and the servers that it names. */
static bool register_names(struct agent *a, struct agent_model *m)
{
	struct roster_backend *b = roster_backend_get(&a->roster, m->conf->backend);
	bool ok = b != NULL;

	if (!b)
		return false;
	for (size_t i = 0; i < m->conf->deployment_count; i++) {
		const struct config_deployment *d = &m->conf->deployments[i];

		for (size_t k = 0; k < d->server_count; k++) {
			struct slice name = slice_of(d->servers[k]);
			struct roster_server *s;

			if (config_is_pattern(d->servers[k]))
				continue;
			s = roster_server_find(&a->roster, slice_of(b->name), name);
			if (!s)
				s = roster_server_register(a, b, name);
			if (!s) {
				ok = false;
				continue;
			}
			s->configured = true;
			s->named_by = m;
		}
	}
	return ok;
}

static struct deployment *find_deployment(const struct pool *pool, const char *name)
{
	for (size_t i = 0; i < pool->deployments; i++)
		if (strcmp(pool->deployment[i]->name, name) == 0)
			return pool->deployment[i];
	return NULL;
}

static bool is_configured(const struct config_model *conf, const struct deployment *d)
{
	for (size_t i = 0; i < conf->deployment_count; i++)
		if (strcmp(conf->deployments[i].name, d->name) == 0)
			return true;
	return false;
}

/* The model has exactly the deployments of its configuration, in their order. */
static bool arrange_deployments(struct agent *a, struct agent_model *m)
{
	struct deployment *order[SLO_DEPLOYMENTS_MAX];
	struct pool *pool = &m->sched->pool;
	bool same = true;

	for (size_t i = pool->deployments; i-- > 0;) {
		if (is_configured(m->conf, pool->deployment[i]))
			continue;
		decisions_retire(&a->decisions, &pool->deployment[i]->label);
		sched_deployment_remove(a->sched, pool->deployment[i]);
	}
	for (size_t i = 0; i < m->conf->deployment_count; i++) {
		const char *name = m->conf->deployments[i].name;

		order[i] = find_deployment(pool, name);
		if (!order[i])
			order[i] = sched_deployment_add(m->sched, name);
		if (!order[i])
			return false;
		same = same && pool->deployment[i] == order[i];
	}
	if (!same)
		sched_deployments_order(a->sched, m->sched, order);
	return true;
}

/* To the end of d, with a seat or without. */
static bool place(struct agent *a, struct agent_model *m, struct deployment *d,
                  struct roster_server *s)
{
	struct seat *there = sched_seat_find(m->sched, s->server);

	if (!there)
		return roster_seat_give(a, m, d, s);
	return sched_seat_move(a->sched, there, d) == SLO_OK;
}

/* All servers that HAProxy named and the pattern matches, but for those that have a place already.
 */
static bool place_matching(struct agent *a, struct agent_model *m, struct deployment *d,
                           const char *pattern, uint64_t placed_from)
{
	struct roster_backend *b = roster_backend_find(&a->roster, slice_of(m->conf->backend));
	struct roster_server *s;
	bool ok = true;

	TAILQ_FOREACH (s, &b->servers, link) {
		const struct seat *there = sched_seat_find(m->sched, s->server);

		if (s->named_by != m && roster_is_told(s) &&
		    (!there || there->order < placed_from) &&
		    fnmatch(pattern, s->server->name, FNM_NOESCAPE) == 0)
			ok &= place(a, m, d, s);
	}
	return ok;
}

/* Every server that the model is to have is put behind those that it had; these then leave, unless
 * one of them may be there only because memory ran out. */
static bool arrange_servers(struct agent *a, struct agent_model *m)
{
	struct pool *pool = &m->sched->pool;
	uint64_t from = pool->orders;
	bool ok = true;

	for (size_t i = 0; i < pool->deployments; i++) {
		const struct config_deployment *conf = &m->conf->deployments[i];
		struct deployment *d = pool->deployment[i];

		for (size_t k = 0; k < conf->server_count; k++) {
			struct roster_server *s;

			if (config_is_pattern(conf->servers[k])) {
				ok &= place_matching(a, m, d, conf->servers[k], from);
				continue;
			}
			s = roster_server_find(&a->roster, slice_of(m->conf->backend),
			                       slice_of(conf->servers[k]));
			ok &= s && place(a, m, d, s);
		}
	}
	for (size_t i = 0; ok && i < pool->deployments; i++) {
		struct deployment *d = pool->deployment[i];

		while (d->seats && d->seats->order < from)
			sched_seat_remove(a->sched, d->seats);
	}
	return ok;
}

static struct agent_model *model_new(struct agent *a, const struct config_model *conf)
{
	struct agent_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->sched = sched_model_add(a->sched, conf->name, conf->strategy);
	if (!m->sched) {
		free(m);
		return NULL;
	}
	m->sched->owner = m;
	model_stats_init(&m->stats);
	return m;
}

static const struct config_model *config_of(const struct config *c, const char *name)
{
	for (size_t i = 0; c && i < c->model_count; i++)
		if (strcmp(c->models[i].name, name) == 0)
			return &c->models[i];
	return NULL;
}

void roster_retire_labels(struct agent *a, struct agent_model *m)
{
	struct pool *pool = &m->sched->pool;

	decisions_retire(&a->decisions, &m->label);
	for (size_t i = 0; i < pool->deployments; i++)
		decisions_retire(&a->decisions, &pool->deployment[i]->label);
}

/* The models of a->conf in its order, known ones with all they have. Room for them is in models. */
static bool arrange_models(struct agent *a, struct agent_model **models)
{
	size_t count = 0;

	for (size_t i = 0; i < a->model_count; i++) {
		struct agent_model *m = a->models[i];

		if (config_of(a->conf, m->sched->pool.name))
			continue;
		log_write(a->log, LOG_NOTICE, "model %s leaves, %zu requests are held for it",
		          m->sched->pool.name, m->sched->queue.length);
		roster_retire_labels(a, m);
		sched_model_remove(a->sched, m->sched);
		roster_forget_model(&a->roster, m);
		reqtrace_fini(&m->trace);
		free(m);
	}
	for (size_t i = 0; i < a->conf->model_count; i++) {
		const struct config_model *conf = &a->conf->models[i];
		struct sched_model *known =
		    sched_model_find(a->sched, conf->name, strlen(conf->name));
		struct agent_model *m = known ? known->owner : model_new(a, conf);

		if (!m)
			continue;
		m->conf = conf;
		models[count++] = m;
	}
	free(a->models);
	a->models = models;
	a->model_count = count;
	return count == a->conf->model_count;
}

/* Nothing is configured until it is found to be. Where no poll follows, what was told is forgotten:
 * nobody would correct a notice that was forged, or whose successor was lost. */
static void forget_names(struct agent *a, bool untold)
{
	size_t again = 0;

	for (struct roster_server *s = a->roster.servers; s; s = s->hh.next) {
		s->configured = false;
		s->named_by = NULL;
		if (!untold)
			continue;
		again += s->state != SLO_SERVER_UP && s->state != SLO_SERVER_UNTOLD;
		s->state = SLO_SERVER_UNTOLD;
		s->by_notice = false;
	}
	if (again > 0)
		log_write(a->log, LOG_NOTICE,
		          "reload: without haproxy.runtime_api nothing tells whether %zu servers "
		          "are still out of use; they are used again until HAProxy says otherwise",
		          again);
}

/* What is used follows from who is configured. */
static void apply_all(struct agent *a)
{
	for (struct roster_server *s = a->roster.servers; s; s = s->hh.next) {
		while (!s->configured && s->state == SLO_SERVER_UNTOLD && s->server->seats)
			sched_seat_remove(a->sched, s->server->seats);
		roster_apply(a, s);
	}
}

slo_err roster_configure(struct agent *a, const struct config *conf)
{
	struct agent_model **models = calloc(conf->model_count, sizeof(struct agent_model *));
	const struct config *old = a->conf;
	bool ok;

	if (!models)
		return SLO_ENOMEM;
	a->conf = conf;
	a->roster.arranged++;
	forget_names(a, old && conf->runtime_api.count == 0);
	ok = arrange_models(a, models);
	for (size_t i = 0; i < a->model_count; i++) {
		struct agent_model *m = a->models[i];
		const struct config_model *before = config_of(old, m->conf->name);

		if (!register_names(a, m))
			ok = false;
		else if (a->roster.incomplete || !before || !same_model(before, m->conf))
			ok &= arrange_deployments(a, m) && arrange_servers(a, m);
	}
	apply_all(a);
	roster_collect(a);
	a->roster.incomplete = !ok;
	return ok ? SLO_OK : SLO_EFULL;
}
