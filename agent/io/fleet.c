#include "io/fleet.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "io/agent.h"

struct fleet_backend {
	UT_hash_handle hh;
	TAILQ_HEAD(fleet_servers, fleet_server) servers;
	uint64_t seen_in; /* the last view that named one of its servers */
	bool configured;
	char name[];
};

#define KEY_MAX (2 * CONFIG_NAME_MAX + 1)

const char *fleet_state_name(enum fleet_state s)
{
	static const char *const names[FLEET_STATES] = { "up",    "down",   "maint",
		                                         "drain", "absent", "untold" };

	return names[s];
}

bool fleet_is_leaving(const struct fleet_server *s)
{
	return !s->server->seats;
}

/* The registry */

void fleet_init(struct fleet *f)
{
	memset(f, 0, sizeof(*f));
}

void fleet_fini(struct fleet *f)
{
	struct fleet_server *s = f->servers, *next_server;
	struct fleet_backend *b = f->backends, *next_backend;

	HASH_CLEAR(hh, f->servers);
	for (; s; s = next_server) {
		next_server = s->hh.next;
		free(s);
	}
	HASH_CLEAR(hh, f->backends);
	for (; b; b = next_backend) {
		next_backend = b->hh.next;
		free(b);
	}
}

static struct slice slice_of(const char *s)
{
	return (struct slice){ (const uint8_t *)s, strlen(s) };
}

static struct fleet_backend *backend_find(const struct fleet *f, struct slice name)
{
	struct fleet_backend *b;

	HASH_FIND(hh, f->backends, name.p, name.len, b);
	return b;
}

static struct fleet_backend *backend_get(struct fleet *f, const char *name)
{
	struct slice key = slice_of(name);
	struct fleet_backend *b = backend_find(f, key);

	if (b)
		return b;
	b = calloc(1, sizeof(*b) + key.len + 1);
	if (!b)
		return NULL;
	memcpy(b->name, name, key.len);
	TAILQ_INIT(&b->servers);
	HASH_ADD_KEYPTR(hh, f->backends, b->name, key.len, b);
	if (!b->hh.tbl) {
		free(b);
		return NULL;
	}
	return b;
}

static struct fleet_server *server_find(const struct fleet *f, struct slice backend,
                                        struct slice name)
{
	char key[KEY_MAX];
	struct fleet_server *s;

	if (backend.len > CONFIG_NAME_MAX || name.len > CONFIG_NAME_MAX)
		return NULL;
	memcpy(key, backend.p, backend.len);
	key[backend.len] = '/';
	memcpy(key + backend.len + 1, name.p, name.len);
	HASH_FIND(hh, f->servers, key, backend.len + 1 + name.len, s);
	return s;
}

struct server *fleet_find(struct agent *a, const char *backend, const char *server)
{
	struct fleet_server *s = server_find(&a->fleet, slice_of(backend), slice_of(server));

	return s ? s->server : NULL;
}

static struct fleet_server *server_new(struct agent *a, struct fleet_backend *b, struct slice name)
{
	size_t backend_len = strlen(b->name), len = backend_len + 1 + name.len;
	struct fleet_server *s = calloc(1, sizeof(*s) + len + 1);

	if (!s)
		return NULL;
	memcpy(s->key, b->name, backend_len);
	s->key[backend_len] = '/';
	memcpy(s->key + backend_len + 1, name.p, name.len);
	s->server = sched_server_add(a->sched, s->key + backend_len + 1);
	if (!s->server)
		goto err;
	HASH_ADD_KEYPTR(hh, a->fleet.servers, s->key, len, s);
	if (!s->hh.tbl) {
		(void)sched_server_free(s->server);
		goto err;
	}
	s->backend = b;
	s->state = FLEET_UNTOLD;
	s->server->owner = s;
	TAILQ_INSERT_TAIL(&b->servers, s, link);
	return s;

err:
	free(s);
	return NULL;
}

static void server_free(struct agent *a, struct fleet_server *s)
{
	if (!sched_server_free(s->server))
		return;
	TAILQ_REMOVE(&s->backend->servers, s, link);
	HASH_DEL(a->fleet.servers, s);
	free(s);
}

void fleet_server_idle(struct agent *a, struct server *server)
{
	if (!server->seats)
		server_free(a, fleet_server(server));
}

void fleet_leases_expired(struct agent *a, uint64_t count)
{
	if (a->fleet.expired == count)
		return;
	a->fleet.expired = count;
	fleet_collect(a);
}

void fleet_collect(struct agent *a)
{
	struct fleet_server *s = a->fleet.servers, *next_server;
	struct fleet_backend *b = a->fleet.backends, *next_backend;

	for (; s; s = next_server) {
		next_server = s->hh.next;
		if (fleet_is_leaving(s))
			server_free(a, s);
	}
	for (; b; b = next_backend) {
		next_backend = b->hh.next;
		if (b->configured || !TAILQ_EMPTY(&b->servers))
			continue;
		HASH_DEL(a->fleet.backends, b);
		free(b);
	}
}

/* What HAProxy says */

static bool is_told(const struct fleet_server *s)
{
	return s->state != FLEET_UNTOLD && s->state != FLEET_ABSENT;
}

static void apply(struct agent *a, struct fleet_server *s)
{
	bool usable = s->state == FLEET_UP || (s->state == FLEET_UNTOLD && s->configured);

	sched_server_usable(a->sched, s->server, usable);
}

static bool seat(struct agent *a, struct deployment *d, struct fleet_server *s)
{
	slo_err err = sched_server_seat(a->sched, d, s->server);

	if (err == SLO_ENOMEM)
		log_write(a->log, LOG_ERR, "out of memory: server %s has no place in %s/%s", s->key,
		          d->model->name, d->name);
	return err == SLO_OK;
}

/* The first pattern that the name matches; names of the configuration were seated by it. */
static struct deployment *pattern_place(const struct agent_model *m, const char *name)
{
	for (size_t i = 0; i < m->conf->deployment_count; i++) {
		const struct config_deployment *d = &m->conf->deployments[i];

		for (size_t k = 0; k < d->server_count; k++)
			if (config_is_pattern(d->servers[k]) &&
			    fnmatch(d->servers[k], name, FNM_NOESCAPE) == 0)
				return m->sched->fleet.deployment[i];
	}
	return NULL;
}

static bool is_wanted(const struct agent *a, const struct fleet_backend *b, const char *name)
{
	for (size_t i = 0; i < a->model_count; i++)
		if (strcmp(a->models[i]->conf->backend, b->name) == 0 &&
		    pattern_place(a->models[i], name))
			return true;
	return false;
}

/* Seats s where patterns of other models than those that it works for want it. */
static void claim(struct agent *a, struct fleet_server *s)
{
	for (size_t i = 0; i < a->model_count; i++) {
		const struct agent_model *m = a->models[i];
		struct deployment *d;

		if (strcmp(m->conf->backend, s->backend->name) != 0 ||
		    sched_seat_find(m->sched, s->server))
			continue;
		d = pattern_place(m, s->server->name);
		if (d && seat(a, d, s))
			log_write(a->log, LOG_INFO, "server %s joins %s/%s", s->key, m->conf->name,
			          d->name);
	}
}

static void set_state(struct agent *a, slo_nsec now, struct fleet_server *s, enum fleet_state state)
{
	bool was_told = is_told(s);

	if (s->state == state)
		return;
	if (s->state != FLEET_UNTOLD || state != FLEET_UP)
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE, "server %s is %s", s->key,
		            fleet_state_name(state));
	s->state = state;
	apply(a, s);
	if (!was_told && is_told(s))
		claim(a, s);
}

/* A server that HAProxy names for the first time, if a pattern wants it. */
static struct fleet_server *discover(struct agent *a, slo_nsec now, struct fleet_backend *b,
                                     struct slice name)
{
	char text[CONFIG_NAME_MAX + 1];
	struct fleet_server *s;

	if (name.len == 0 || name.len > CONFIG_NAME_MAX)
		return NULL;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	if (!is_wanted(a, b, text))
		return NULL;
	s = server_new(a, b, name);
	if (!s) {
		log_limited(a->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "out of memory, a server of %s is not used", b->name);
		return NULL;
	}
	apply(a, s);
	claim(a, s);
	return s;
}

static void told(struct agent *a, slo_nsec now, struct fleet_backend *b, struct slice name,
                 enum fleet_state state, bool row)
{
	struct fleet_server *s = server_find(&a->fleet, slice_of(b->name), name);
	uint64_t view = a->fleet.view;

	if (!s)
		s = discover(a, now, b, name);
	if (!s)
		return;
	if (!row) {
		s->pushed_in = view;
		set_state(a, now, s, state);
		return;
	}
	b->seen_in = view;
	s->best = s->seen_in == view && s->best < state ? s->best : state;
	s->seen_in = view;
	/* Other processes may yet say UP, but nothing better. */
	if (state == FLEET_UP && s->pushed_in != view)
		set_state(a, now, s, state);
}

void fleet_server_seen(struct agent *a, slo_nsec now, const char *backend, const char *server,
                       enum fleet_state state)
{
	struct fleet_backend *b = backend_find(&a->fleet, slice_of(backend));

	if (b)
		told(a, now, b, slice_of(server), state, a->fleet.viewing);
}

void fleet_server_told(struct agent *a, slo_nsec now, struct slice backend, struct slice server,
                       enum fleet_state state)
{
	struct fleet_backend *b = backend_find(&a->fleet, backend);

	if (b)
		told(a, now, b, server, state, false);
}

void fleet_view_begin(struct agent *a, slo_nsec now)
{
	a->fleet.view++;
	a->fleet.viewing = true;
}

static void not_named(struct agent *a, slo_nsec now, struct fleet_server *s)
{
	if (s->configured) {
		if (s->backend->seen_in == a->fleet.view)
			set_state(a, now, s, FLEET_ABSENT);
		return;
	}
	if (!fleet_is_leaving(s))
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE, "server %s leaves", s->key);
	s->state = FLEET_ABSENT;
	apply(a, s);
	while (s->server->seats)
		sched_seat_remove(a->sched, s->server->seats);
}

void fleet_view_end(struct agent *a, slo_nsec now, bool complete)
{
	struct fleet *f = &a->fleet;

	if (!f->viewing)
		return;
	for (struct fleet_server *s = f->servers; s; s = s->hh.next) {
		if (s->pushed_in == f->view)
			continue;
		if (s->seen_in == f->view)
			set_state(a, now, s, s->best);
		else if (complete)
			not_named(a, now, s);
	}
	f->viewing = false;
	if (complete)
		f->viewed = now;
	fleet_collect(a);
}

/* What the configuration says */

static bool same_servers(const struct config_deployment *a, const struct config_deployment *b)
{
	if (strcmp(a->name, b->name) != 0 || a->server_count != b->server_count)
		return false;
	for (size_t i = 0; i < a->server_count; i++)
		if (strcmp(a->servers[i], b->servers[i]) != 0)
			return false;
	return true;
}

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
	struct fleet_backend *b = backend_get(&a->fleet, m->conf->backend);
	bool ok = b != NULL;

	if (!b)
		return false;
	b->configured = true;
	for (size_t i = 0; i < m->conf->deployment_count; i++) {
		const struct config_deployment *d = &m->conf->deployments[i];

		for (size_t k = 0; k < d->server_count; k++) {
			struct slice name = slice_of(d->servers[k]);
			struct fleet_server *s;

			if (config_is_pattern(d->servers[k]))
				continue;
			s = server_find(&a->fleet, slice_of(b->name), name);
			if (!s)
				s = server_new(a, b, name);
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

static struct deployment *find_deployment(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->deployments; i++)
		if (strcmp(m->deployment[i]->name, name) == 0)
			return m->deployment[i];
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
	struct model *fleet = &m->sched->fleet;
	bool same = true;

	for (size_t i = fleet->deployments; i-- > 0;)
		if (!is_configured(m->conf, fleet->deployment[i]))
			sched_deployment_remove(a->sched, fleet->deployment[i]);
	for (size_t i = 0; i < m->conf->deployment_count; i++) {
		const char *name = m->conf->deployments[i].name;

		order[i] = find_deployment(fleet, name);
		if (!order[i])
			order[i] = sched_deployment_add(m->sched, name);
		if (!order[i])
			return false;
		same = same && fleet->deployment[i] == order[i];
	}
	if (!same)
		sched_deployments_order(a->sched, m->sched, order);
	return true;
}

/* To the end of d, with a seat or without. */
static bool place(struct agent *a, struct agent_model *m, struct deployment *d,
                  struct fleet_server *s)
{
	struct seat *there = sched_seat_find(m->sched, s->server);

	if (!there)
		return seat(a, d, s);
	sched_seat_move(a->sched, there, d);
	return true;
}

static bool place_matching(struct agent *a, struct agent_model *m, struct deployment *d,
                           const char *pattern, uint64_t placed_from)
{
	struct fleet_backend *b = backend_find(&a->fleet, slice_of(m->conf->backend));
	struct fleet_server *s;
	bool ok = true;

	TAILQ_FOREACH (s, &b->servers, link) {
		const struct seat *there = sched_seat_find(m->sched, s->server);

		if (s->named_by != m && is_told(s) && (!there || there->order < placed_from) &&
		    fnmatch(pattern, s->server->name, FNM_NOESCAPE) == 0)
			ok &= place(a, m, d, s);
	}
	return ok;
}

/* Every server that the model is to have is put behind those that it had; these then leave. */
static bool arrange_servers(struct agent *a, struct agent_model *m)
{
	struct model *fleet = &m->sched->fleet;
	uint64_t from = fleet->orders;
	bool ok = true;

	for (size_t i = 0; i < fleet->deployments; i++) {
		const struct config_deployment *conf = &m->conf->deployments[i];
		struct deployment *d = fleet->deployment[i];

		for (size_t k = 0; k < conf->server_count; k++) {
			struct fleet_server *s;

			if (config_is_pattern(conf->servers[k])) {
				ok &= place_matching(a, m, d, conf->servers[k], from);
				continue;
			}
			s = server_find(&a->fleet, slice_of(m->conf->backend),
			                slice_of(conf->servers[k]));
			ok &= s && place(a, m, d, s);
		}
	}
	for (size_t i = 0; i < fleet->deployments; i++) {
		struct deployment *d = fleet->deployment[i];

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

/* The models of a->conf in its order, known ones with all they have. Room for them is in models. */
static bool arrange_models(struct agent *a, struct agent_model **models)
{
	size_t count = 0;

	for (size_t i = 0; i < a->model_count; i++) {
		struct agent_model *m = a->models[i];

		if (config_of(a->conf, m->sched->fleet.name))
			continue;
		log_write(a->log, LOG_NOTICE, "model %s leaves, %zu requests are held for it",
		          m->sched->fleet.name, m->sched->queue.length);
		sched_model_remove(a->sched, m->sched);
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

/* Nothing is configured until it is found to be. What a poll told is void when no more follow. */
static void forget_names(struct agent *a, bool untold)
{
	for (struct fleet_backend *b = a->fleet.backends; b; b = b->hh.next)
		b->configured = false;
	for (struct fleet_server *s = a->fleet.servers; s; s = s->hh.next) {
		s->configured = false;
		s->named_by = NULL;
		if (untold)
			s->state = FLEET_UNTOLD;
	}
}

/* What is used follows from who is configured. */
static void apply_all(struct agent *a)
{
	for (struct fleet_server *s = a->fleet.servers; s; s = s->hh.next) {
		while (!s->configured && s->state == FLEET_UNTOLD && s->server->seats)
			sched_seat_remove(a->sched, s->server->seats);
		apply(a, s);
	}
}

slo_err fleet_configure(struct agent *a, const struct config *conf)
{
	struct agent_model **models = calloc(conf->model_count, sizeof(struct agent_model *));
	const struct config *old = a->conf;
	bool ok;

	if (!models)
		return SLO_ENOMEM;
	a->conf = conf;
	forget_names(a, old && old->runtime_api.count > 0 && conf->runtime_api.count == 0);
	ok = arrange_models(a, models);
	for (size_t i = 0; i < a->model_count; i++) {
		struct agent_model *m = a->models[i];
		const struct config_model *before = config_of(old, m->conf->name);

		if (!register_names(a, m))
			ok = false;
		else if (!before || !same_model(before, m->conf))
			ok &= arrange_deployments(a, m) && arrange_servers(a, m);
	}
	apply_all(a);
	fleet_collect(a);
	return ok ? SLO_OK : SLO_EFULL;
}
