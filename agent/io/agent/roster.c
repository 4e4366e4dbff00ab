#include "io/agent/roster.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/agent/warn.h"
#include "io/base/clock.h"
#include "roster_private.h"

#define KEY_MAX (2 * CONFIG_NAME_MAX + 1)

const char *roster_state_name(enum slo_server_state s)
{
	static const char *const names[] = {
#define NAME(name, text) [SLO_SERVER_##name] = (text),
		SLO_SERVER_STATE_LIST(NAME)
#undef NAME
	};

	return names[s];
}

struct slice roster_server_backend(const struct roster_server *s)
{
	return slice_of(s->backend->name);
}

bool roster_is_leaving(const struct roster_server *s)
{
	return !s->server->seats;
}

/* What servers did */

struct served *roster_served(const struct roster_server *s, const struct agent_model *m)
{
	struct served *served;

	SLIST_FOREACH(served, &s->served, link)
	if (served->model == m)
		return served;
	return NULL;
}

/* False: out of memory. */
static bool remember_served(struct roster_server *s, const struct agent_model *m)
{
	struct served *served;

	if (roster_served(s, m))
		return true;
	served = calloc(1, sizeof(*served));
	if (!served)
		return false;
	served->model = m;
	SLIST_INSERT_HEAD(&s->served, served, link);
	return true;
}

static void forget_served(struct roster_server *s, const struct agent_model *m)
{
	struct served *served, *next;

	for (served = SLIST_FIRST(&s->served); served; served = next) {
		next = SLIST_NEXT(served, link);
		if (m && served->model != m)
			continue;
		SLIST_REMOVE(&s->served, served, served, link);
		free(served);
	}
}

void roster_forget_model(struct roster *f, const struct agent_model *m)
{
	for (struct roster_server *s = f->servers; s; s = s->hh.next)
		forget_served(s, m);
}

/* The roster */

void roster_init(struct roster *f)
{
	memset(f, 0, sizeof(*f));
}

void roster_fini(struct roster *f)
{
	struct roster_server *s = f->servers, *next_server;
	struct roster_backend *b = f->backends, *next_backend;

	HASH_CLEAR(hh, f->servers);
	for (; s; s = next_server) {
		next_server = s->hh.next;
		forget_served(s, NULL);
		free(s->engine);
		free(s);
	}
	HASH_CLEAR(hh, f->backends);
	for (; b; b = next_backend) {
		next_backend = b->hh.next;
		free(b);
	}
}

struct roster_backend *roster_backend_find(const struct roster *f, struct slice name)
{
	struct roster_backend *b;

	HASH_FIND(hh, f->backends, name.p, name.len, b);
	return b;
}

struct roster_backend *roster_backend_get(struct roster *f, const char *name)
{
	struct slice key = slice_of(name);
	struct roster_backend *b = roster_backend_find(f, key);

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

struct roster_server *roster_server_find(const struct roster *f, struct slice backend,
                                         struct slice name)
{
	char key[KEY_MAX];
	struct roster_server *s;

	if (backend.len > CONFIG_NAME_MAX || name.len > CONFIG_NAME_MAX)
		return NULL;
	memcpy(key, backend.p, backend.len);
	key[backend.len] = '/';
	memcpy(key + backend.len + 1, name.p, name.len);
	HASH_FIND(hh, f->servers, key, backend.len + 1 + name.len, s);
	return s;
}

const char *roster_backend_name(const struct agent *a, const char *backend)
{
	const struct roster_backend *b = roster_backend_find(&a->roster, slice_of(backend));

	return b ? b->name : NULL;
}

struct server *roster_find(struct agent *a, const char *backend, const char *server)
{
	struct roster_server *s =
	    roster_server_find(&a->roster, slice_of(backend), slice_of(server));

	return s ? s->server : NULL;
}

struct roster_server *roster_server_register(struct agent *a, struct roster_backend *b,
                                             struct slice name)
{
	size_t backend_len = strlen(b->name), len = backend_len + 1 + name.len;
	struct roster_server *s = calloc(1, sizeof(*s) + len + 1);

	if (!s)
		return NULL;
	memcpy(s->key, b->name, backend_len);
	s->key[backend_len] = '/';
	memcpy(s->key + backend_len + 1, name.p, name.len);
	s->server = sched_server_add(a->sched, s->key + backend_len + 1);
	if (!s->server)
		goto err;
	HASH_ADD_KEYPTR(hh, a->roster.servers, s->key, len, s);
	if (!s->hh.tbl) {
		(void)sched_server_free(s->server);
		goto err;
	}
	s->backend = b;
	s->state = SLO_SERVER_UNTOLD;
	s->server->owner = s;
	TAILQ_INSERT_TAIL(&b->servers, s, link);
	return s;

err:
	free(s);
	return NULL;
}

/* Unless requests run on it. */
static void server_free(struct agent *a, struct roster_server *s)
{
	if (!sched_server_free(s->server))
		return;
	TAILQ_REMOVE(&s->backend->servers, s, link);
	HASH_DEL(a->roster.servers, s);
	failing_forget(a, s);
	forget_served(s, NULL);
	if (s->engine) {
		(void)warn_clear(a, clock_nsec(), ENGINE_SILENT, s->key);
		(void)warn_clear(a, clock_nsec(), ENGINE_CROWDED, s->key);
	}
	free(s->engine);
	decisions_retire(&a->decisions, &s->label);
	free(s);
}

void roster_server_idle(struct agent *a, struct server *server)
{
	if (!server->seats)
		server_free(a, roster_server(server));
}

void roster_leases_expired(struct agent *a, uint64_t count)
{
	if (a->roster.expired == count)
		return;
	a->roster.expired = count;
	roster_collect(a);
}

void roster_collect(struct agent *a)
{
	struct roster_server *s = a->roster.servers, *next_server;

	for (; s; s = next_server) {
		next_server = s->hh.next;
		if (roster_is_leaving(s))
			server_free(a, s);
	}
}

/* What HAProxy says */

/* Whether HAProxy would use s. */
static bool is_up(const struct roster_server *s)
{
	return s->state == SLO_SERVER_UP || (s->state == SLO_SERVER_UNTOLD && s->configured);
}

void roster_apply(struct agent *a, struct roster_server *s)
{
	sched_server_usable(a->sched, s->server, is_up(s) && failing_may_serve(s));
	a->failing.changed = true;
}

bool roster_seat_give(struct agent *a, const struct agent_model *m, struct deployment *d,
                      struct roster_server *s)
{
	slo_err err =
	    remember_served(s, m) ? sched_server_seat(a->sched, d, s->server) : SLO_ENOMEM;

	if (err == SLO_ENOMEM)
		log_write(a->log, LOG_ERR, "out of memory: server %s has no place in %s/%s", s->key,
		          d->pool->name, d->name);
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
				return m->sched->pool.deployment[i];
	}
	return NULL;
}

/* Whether a pattern of some model on that backend matches the name. */
static bool is_wanted(const struct agent *a, const struct roster_backend *b, const char *name)
{
	for (size_t i = 0; i < a->model_count; i++)
		if (strcmp(a->models[i]->conf->backend, b->name) == 0 &&
		    pattern_place(a->models[i], name))
			return true;
	return false;
}

/* Seats s where patterns of other models than those that it works for want it. */
static void claim(struct agent *a, slo_nsec now, struct roster_server *s)
{
	for (size_t i = 0; i < a->model_count; i++) {
		const struct agent_model *m = a->models[i];
		struct deployment *d;

		if (strcmp(m->conf->backend, s->backend->name) != 0 ||
		    sched_seat_find(m->sched, s->server))
			continue;
		d = pattern_place(m, s->server->name);
		if (d && roster_seat_give(a, m, d, s))
			log_limited(a->log, now, LOG_CAUSE_FLEET_JOIN, LOG_INFO,
			            "server %s joins %s/%s", s->key, m->conf->name, d->name);
	}
}

/* Those that are only set aside are taken back in time (failing_relieve). */
static bool has_server(const struct pool *pool)
{
	for (size_t i = 0; i < pool->deployments; i++)
		for (const struct seat *seat = pool->deployment[i]->seats; seat; seat = seat->next)
			if (is_up(roster_server(seat->server)))
				return true;
	return false;
}

/* What clients get of the models that s was the last server of. */
static void tell_empty(struct agent *a, slo_nsec now, const struct server *s)
{
	for (const struct seat *seat = s->seats; seat; seat = seat->next_of_server)
		if (seat->deployment->pool->usable == 0 && !has_server(seat->deployment->pool))
			log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_WARNING,
			            "model %s has no server left: its requests get 503 until "
			            "HAProxy has one up",
			            seat->deployment->pool->name);
}

static void set_state(struct agent *a, slo_nsec now, struct roster_server *s,
                      enum slo_server_state state)
{
	bool was_told = roster_is_told(s), was_usable = s->server->usable;

	if (s->state == state)
		return;
	if (state == SLO_SERVER_UNTOLD)
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE,
		            "server %s: the HAProxy process that said %s has stopped", s->key,
		            roster_state_name(s->state));
	else if (s->state != SLO_SERVER_UNTOLD || state != SLO_SERVER_UP)
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE, "server %s is %s%s", s->key,
		            roster_state_name(state),
		            state == SLO_SERVER_UP ? "" : ", it gets no requests");
	s->state = state;
	if (state == SLO_SERVER_UP && was_told) /* it was restarted, as likely as not */
		failing_forgive(a, s);
	roster_apply(a, s);
	if (was_usable && !s->server->usable)
		tell_empty(a, now, s->server);
	if (!was_told && roster_is_told(s))
		claim(a, now, s);
}

/* A server that HAProxy names for the first time, if a pattern wants it. */
static struct roster_server *discover(struct agent *a, slo_nsec now, struct roster_backend *b,
                                      struct slice name)
{
	char text[CONFIG_NAME_MAX + 1];
	struct roster_server *s;

	/* Whoever reaches a listener can name servers: only what HAProxy could have is one. */
	if (!config_is_name(name))
		return NULL;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	if (!is_wanted(a, b, text))
		return NULL;
	s = roster_server_register(a, b, name);
	if (!s) {
		log_limited(a->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "out of memory, a server of %s is not used", b->name);
		return NULL;
	}
	roster_apply(a, s);
	claim(a, now, s);
	return s;
}

/* Whether the runtime API tells; notices are only the faster news then. */
static bool is_polled(const struct agent *a)
{
	return a->conf->runtime_api.count > 0;
}

static void take_notice(struct agent *a, slo_nsec now, struct roster_server *s,
                        enum slo_server_state state)
{
	uint64_t view = a->roster.view;

	if (is_polled(a) && now < s->doubted) {
		a->stats.notices_ignored++;
		return;
	}
	/* One that says nothing new does not shield its server from the running view. */
	if (s->state != state || (s->seen_in == view && s->best != state))
		s->pushed_in = view;
	if (s->state != state) {
		s->by_notice = true;
		s->told_in = view;
	}
	set_state(a, now, s, state);
}

/* A notice that came before the running view said something else. */
static bool is_contradicted(const struct agent *a, const struct roster_server *s,
                            enum slo_server_state state)
{
	return s->by_notice && s->told_in < a->roster.view && s->state != state;
}

/* What the view that ends makes of the server. */
static void settle(struct agent *a, slo_nsec now, struct roster_server *s,
                   enum slo_server_state state)
{
	if (is_contradicted(a, s, state)) {
		s->doubted = now + ROSTER_DOUBT;
		log_limited(a->log, now, LOG_CAUSE_NOTICE_DOUBTED, LOG_WARNING,
		            "server %s: a notice on the event listeners said %s, but HAProxy says "
		            "%s: notices about it are ignored for %d s; see who else can write to "
		            "events.listen",
		            s->key, roster_state_name(s->state), roster_state_name(state),
		            (int)(ROSTER_DOUBT / SLO_NSEC_PER_SEC));
	} else if (s->pushed_in == a->roster.view) {
		return;
	}
	s->by_notice = false;
	set_state(a, now, s, state);
}

static void take_row(struct agent *a, slo_nsec now, struct roster_server *s,
                     enum slo_server_state state)
{
	uint64_t view = a->roster.view;

	s->backend->seen_in = view;
	s->best = s->seen_in == view && s->best < state ? s->best : state;
	s->seen_in = view;
	/* Other processes may yet say UP, but nothing better. */
	if (state == SLO_SERVER_UP)
		settle(a, now, s, state);
}

/* One that is in maintenance may be a place that is kept free. */
static void note_unlisted(const struct agent *a, struct roster_backend *b, struct slice name,
                          enum slo_server_state state)
{
	if (b->unlisted_in != a->roster.view)
		b->unlisted_now = 0;
	b->unlisted_in = a->roster.view;
	if (state == SLO_SERVER_MAINT)
		return;
	if (b->unlisted_now++ == 0)
		snprintf(b->unlisted_name, sizeof(b->unlisted_name), "%.*s", (int)name.len,
		         (const char *)name.p);
}

static void told(struct agent *a, slo_nsec now, struct roster_backend *b, struct slice name,
                 enum slo_server_state state, bool row)
{
	struct roster_server *s = roster_server_find(&a->roster, slice_of(b->name), name);

	if (!s && (row || !is_polled(a)))
		s = discover(a, now, b, name);
	if (!s && row)
		note_unlisted(a, b, name, state);
	if (!s)
		return;
	if (row)
		take_row(a, now, s, state);
	else
		take_notice(a, now, s, state);
}

void roster_server_seen(struct agent *a, slo_nsec now, const char *backend, const char *server,
                        enum slo_server_state state)
{
	struct roster_backend *b = roster_backend_find(&a->roster, slice_of(backend));

	if (b)
		told(a, now, b, slice_of(server), state, a->roster.viewing);
}

struct engine_seen *roster_engine(struct roster_server *s)
{
	if (s->engine)
		return s->engine;
	s->engine = calloc(1, sizeof(*s->engine));
	if (s->engine)
		s->engine->told = -1;
	return s->engine;
}

void roster_server_address(struct agent *a, struct slice backend, struct slice server,
                           struct slice address, uint32_t port)
{
	struct roster_server *s = roster_server_find(&a->roster, backend, server);
	struct engine_seen *e = s ? roster_engine(s) : NULL;

	if (!e)
		return;
	if (slice_eq(address, "-") || address.len >= sizeof(e->address))
		address.len = 0;
	memcpy(e->address, address.p, address.len);
	e->address[address.len] = '\0';
	e->port = port;
}

/* HAProxy may have written no end line for what the process left unanswered. */
static void give_up(struct agent *a, slo_nsec now, struct roster_server *s)
{
	size_t n = sched_expire_until(a->sched, now, s->server, s->ended);

	s->ended = 0;
	if (n > 0)
		log_limited(
		    a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE,
		    "server %s: its process has ended, so %zu requests that have no end line "
		    "are over",
		    s->key, n);
}

void roster_server_ended(struct agent *a, slo_nsec now, struct slice backend, struct slice server,
                         bool idle)
{
	struct roster_server *s = roster_server_find(&a->roster, backend, server);

	if (!s || is_polled(a))
		return;
	s->ended = now;
	if (idle)
		give_up(a, now, s);
}

void roster_server_told(struct agent *a, slo_nsec now, struct slice backend, struct slice server,
                        enum slo_server_state state)
{
	struct roster_backend *b = roster_backend_find(&a->roster, backend);
	struct roster_server *s;

	if (b)
		told(a, now, b, server, state, false);
	if (b && state == SLO_SERVER_UP && (s = roster_server_find(&a->roster, backend, server)) &&
	    s->ended)
		give_up(a, now, s);
}

void roster_backend_stopped(struct agent *a, slo_nsec now, struct slice backend)
{
	struct roster_backend *b = roster_backend_find(&a->roster, backend);
	struct roster_server *s;

	if (!b || a->conf->runtime_api.count > 0)
		return;
	TAILQ_FOREACH (s, &b->servers, link)
		set_state(a, now, s, SLO_SERVER_UNTOLD);
}

void roster_view_begin(struct agent *a, slo_nsec now)
{
	a->roster.view++;
	a->roster.viewing = true;
}

/* A complete view does not have s. */
static void not_named(struct agent *a, slo_nsec now, struct roster_server *s)
{
	if (s->configured) {
		if (s->backend->seen_in == a->roster.view)
			settle(a, now, s, SLO_SERVER_ABSENT);
		return;
	}
	if (!roster_is_leaving(s)) {
		a->roster.left++;
		log_limited(a->log, now, LOG_CAUSE_FLEET, LOG_NOTICE, "server %s leaves", s->key);
	}
	s->state = SLO_SERVER_ABSENT;
	roster_apply(a, s);
	while (s->server->seats)
		sched_seat_remove(a->sched, s->server->seats);
}

void roster_view_end(struct agent *a, slo_nsec now, bool complete)
{
	struct roster *f = &a->roster;

	if (!f->viewing)
		return;
	for (struct roster_server *s = f->servers; s; s = s->hh.next) {
		if (s->seen_in == f->view)
			settle(a, now, s, s->best);
		else if (complete)
			not_named(a, now, s);
	}
	f->viewing = false;
	if (complete) {
		f->viewed = now;
		for (struct roster_backend *b = f->backends; b; b = b->hh.next)
			b->unlisted = b->unlisted_in == f->view ? b->unlisted_now : 0;
	}
	roster_collect(a);
}
