#include "io/fleet.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_private.h"

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

/* The roster */

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

struct fleet_backend *fleet_backend_find(const struct fleet *f, struct slice name)
{
	struct fleet_backend *b;

	HASH_FIND(hh, f->backends, name.p, name.len, b);
	return b;
}

struct fleet_backend *fleet_backend_get(struct fleet *f, const char *name)
{
	struct slice key = fleet_slice(name);
	struct fleet_backend *b = fleet_backend_find(f, key);

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

struct fleet_server *fleet_server_find(const struct fleet *f, struct slice backend,
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
	struct fleet_server *s =
	    fleet_server_find(&a->fleet, fleet_slice(backend), fleet_slice(server));

	return s ? s->server : NULL;
}

struct fleet_server *fleet_server_register(struct agent *a, struct fleet_backend *b,
                                           struct slice name)
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

	for (; s; s = next_server) {
		next_server = s->hh.next;
		if (fleet_is_leaving(s))
			server_free(a, s);
	}
}

/* What HAProxy says */

void fleet_apply(struct agent *a, struct fleet_server *s)
{
	bool usable = s->state == FLEET_UP || (s->state == FLEET_UNTOLD && s->configured);

	sched_server_usable(a->sched, s->server, usable);
}

bool fleet_seat_give(struct agent *a, struct deployment *d, struct fleet_server *s)
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
static void claim(struct agent *a, slo_nsec now, struct fleet_server *s)
{
	for (size_t i = 0; i < a->model_count; i++) {
		const struct agent_model *m = a->models[i];
		struct deployment *d;

		if (strcmp(m->conf->backend, s->backend->name) != 0 ||
		    sched_seat_find(m->sched, s->server))
			continue;
		d = pattern_place(m, s->server->name);
		if (d && fleet_seat_give(a, d, s))
			log_limited(a->log, now, LOG_CAUSE_FLEET_JOIN, LOG_INFO,
			            "server %s joins %s/%s", s->key, m->conf->name, d->name);
	}
}

static void set_state(struct agent *a, slo_nsec now, struct fleet_server *s, enum fleet_state state)
{
	bool was_told = fleet_is_told(s);

	if (s->state == state)
		return;
	if (state == FLEET_UNTOLD)
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE,
		            "server %s: the HAProxy process that said %s has stopped", s->key,
		            fleet_state_name(s->state));
	else if (s->state != FLEET_UNTOLD || state != FLEET_UP)
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE, "server %s is %s", s->key,
		            fleet_state_name(state));
	s->state = state;
	fleet_apply(a, s);
	if (!was_told && fleet_is_told(s))
		claim(a, now, s);
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
	s = fleet_server_register(a, b, name);
	if (!s) {
		log_limited(a->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "out of memory, a server of %s is not used", b->name);
		return NULL;
	}
	fleet_apply(a, s);
	claim(a, now, s);
	return s;
}

static void told(struct agent *a, slo_nsec now, struct fleet_backend *b, struct slice name,
                 enum fleet_state state, bool row)
{
	struct fleet_server *s = fleet_server_find(&a->fleet, fleet_slice(b->name), name);
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
	struct fleet_backend *b = fleet_backend_find(&a->fleet, fleet_slice(backend));

	if (b)
		told(a, now, b, fleet_slice(server), state, a->fleet.viewing);
}

void fleet_server_told(struct agent *a, slo_nsec now, struct slice backend, struct slice server,
                       enum fleet_state state)
{
	struct fleet_backend *b = fleet_backend_find(&a->fleet, backend);

	if (b)
		told(a, now, b, server, state, false);
}

void fleet_backend_stopped(struct agent *a, slo_nsec now, struct slice backend)
{
	struct fleet_backend *b = fleet_backend_find(&a->fleet, backend);
	struct fleet_server *s;

	if (!b || a->conf->runtime_api.count > 0)
		return;
	TAILQ_FOREACH (s, &b->servers, link)
		set_state(a, now, s, FLEET_UNTOLD);
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
	fleet_apply(a, s);
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
