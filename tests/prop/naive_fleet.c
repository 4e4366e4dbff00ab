/* naive_fleet.c - the naive model's fleet, and the strategies that choose from it. */
#include <assert.h>
#include <stdlib.h>

#include "naive_private.h"

#define ONE (UINT64_C(1) << 32)

const char *const naive_strategy_name[] = {
	"slo",           "slo-least-load", "slo-least-load-pulling", "slo-pack-load",
	"least-request", "random",         "slo-adaptive",
};
const char *const naive_verdict_name[] = { "route", "fallback", "reject", "pass" };
const char *const naive_late_name[] = { "serve", "hold", "reject" };
const char *const naive_reason_name[] = {
	"",           "slo-failure", "queue-timeout", "queue-full",    "no-server",
	"no-profile", "no-slo",      "ended",         "unknown-model",
};

struct naive *naive_new(const struct naive_conf *conf, uint32_t ids)
{
	struct naive *n = calloc(1, sizeof(*n));
	size_t numbers = (size_t)ids * (NAIVE_OWNERS + 2);
	bool ok;

	if (n == NULL)
		return NULL;
	n->conf = *conf;
	n->ids = ids;
	n->request = calloc(numbers, sizeof(*n->request));
	n->dispatched = calloc(numbers, sizeof(*n->dispatched));
	n->over = calloc(numbers, sizeof(*n->over));
	n->changed = calloc((size_t)ids + 1, sizeof(*n->changed));
	n->due = calloc(ids, sizeof(*n->due));
	n->action = calloc(ids, sizeof(*n->action));
	ok = n->due != NULL && n->request != NULL && n->dispatched != NULL && n->over != NULL &&
	     n->action != NULL && n->changed != NULL;
	for (unsigned m = 0; m < NAIVE_MODELS; m++) {
		n->model[m].queue = calloc(ids, sizeof(uint32_t));
		ok = ok && n->model[m].queue != NULL;
	}
	if (!ok) {
		naive_free(n);
		return NULL;
	}
	return n;
}

void naive_free(struct naive *n)
{
	if (n == NULL)
		return;
	for (unsigned m = 0; m < NAIVE_MODELS; m++)
		free(n->model[m].queue);
	free(n->action);
	free(n->over);
	free(n->changed);
	free(n->due);
	free(n->dispatched);
	free(n->request);
	free(n);
}

void naive_told(struct naive *n, const struct naive_told *told, size_t count)
{
	n->told = told;
	n->n_told = count;
	n->actions = 0;
}

/* ---- the fleet ---- */

bool naive_deployment_usable(const struct naive *n, const struct deployment *d)
{
	for (size_t i = 0; i < d->servers; i++)
		if (n->server[d->server[i]].usable)
			return true;
	return false;
}

struct deployment *naive_deployment_of(struct model *m, unsigned server)
{
	for (unsigned k = 0; k < m->deployments; k++)
		for (size_t i = 0; i < m->deployment[k].servers; i++)
			if (m->deployment[k].server[i] == server)
				return &m->deployment[k];
	return NULL;
}

struct deployment *naive_deployment_get(struct naive *n, unsigned model, unsigned name)
{
	struct model *m = &n->model[model];
	struct deployment *d;

	m->exists = true;
	for (unsigned k = 0; k < m->deployments; k++)
		if (m->deployment[k].name == name)
			return &m->deployment[k];
	assert(m->deployments < NAIVE_DEPLOYMENTS);
	d = &m->deployment[m->deployments++];
	*d = (struct deployment){ .name = name, .share = 1, .age = ++n->ages };
	return d;
}

void naive_collect(struct naive *n)
{
	for (unsigned s = 0; s < NAIVE_SERVERS; s++) {
		bool seated = n->server[s].inflight > 0;

		for (unsigned m = 0; m < NAIVE_MODELS; m++)
			seated |= n->model[m].seated[s] != 0;
		n->server[s].exists &= seated;
	}
}

bool naive_fits(uint64_t used, uint64_t load)
{
	return used + load <= ONE || used == 0;
}

/* ---- which server ---- */

int naive_pick_least_load(const struct naive *n, const struct deployment *d)
{
	int best = -1;

	for (size_t i = 0; i < d->servers; i++) {
		if (n->server[d->server[i]].usable &&
		    (best < 0 || naive_taken(n, d->server[i]) <= naive_taken(n, (unsigned)best)))
			best = (int)d->server[i];
	}
	return best;
}

int naive_pick_pack(const struct naive *n, const struct deployment *d, uint64_t load)
{
	int best = -1;

	for (size_t i = 0; i < d->servers; i++) {
		uint64_t taken = naive_taken(n, d->server[i]);

		if (n->server[d->server[i]].usable && naive_fits(taken, load) &&
		    (best < 0 || taken > naive_taken(n, (unsigned)best)))
			best = (int)d->server[i];
	}
	return best;
}

int naive_pick_least_request(const struct naive *n, const struct model *m)
{
	int best = -1;

	for (unsigned s = 0; s < NAIVE_SERVERS; s++) {
		bool better;

		if (m->seated[s] == 0 || !n->server[s].usable)
			continue;
		if (best < 0)
			better = true;
		else if (n->server[s].inflight != n->server[best].inflight)
			better = n->server[s].inflight < n->server[best].inflight;
		else if (m->turn[s] != m->turn[best])
			better = m->turn[s] < m->turn[best];
		else
			better = m->seated[s] < m->seated[best];
		if (better)
			best = (int)s;
	}
	return best;
}

/* Any usable server will do, so it is the one that the scheduler under test took. */
int naive_pick_random(const struct naive *n, const struct model *m, unsigned *choice,
                      unsigned *choices)
{
	int told = n->actions < n->n_told ? n->told[n->actions].server : -1;
	int best = -1;

	*choices = 0;
	*choice = 0;
	for (unsigned s = 0; s < NAIVE_SERVERS; s++) {
		if (m->seated[s] == 0 || !n->server[s].usable)
			continue;
		if (best < 0 || (int)s == told)
			best = (int)s;
		++*choices;
	}
	for (unsigned s = 0; s < NAIVE_SERVERS; s++)
		if (best >= 0 && m->seated[s] != 0 && n->server[s].usable)
			*choice += m->seated[s] < m->seated[best];
	return best;
}

const struct naive_action *naive_actions(const struct naive *n, size_t *count)
{
	*count = n->actions;
	return n->action;
}

bool naive_has_model(const struct naive *n, unsigned model)
{
	return n->model[model].exists;
}

bool naive_has_server(const struct naive *n, unsigned server)
{
	return n->server[server].exists;
}

bool naive_is_usable(const struct naive *n, unsigned server)
{
	return n->server[server].usable;
}

uint64_t naive_used(const struct naive *n, unsigned server)
{
	return naive_taken(n, server);
}

uint32_t naive_inflight(const struct naive *n, unsigned server)
{
	return n->server[server].inflight;
}

size_t naive_queued(const struct naive *n, unsigned model)
{
	return n->model[model].queued;
}

uint32_t naive_queued_id(const struct naive *n, unsigned model, size_t k)
{
	return n->model[model].queue[k];
}

size_t naive_dispatched(const struct naive *n)
{
	return n->n_dispatched;
}

uint32_t naive_dispatched_id(const struct naive *n, size_t k)
{
	return n->dispatched[k];
}
