#include "io/redis/redis_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "io/base/clock.h"
#include "conf/config_redis.h"
#include "io/redis/redis_link.h"
#include "io/redis/redis_retry.h"
#include "io/redis/redis_tls.h"
#include "io/redis/redis_trace.h"

#define RETRY_LAST 5.0 /* seconds */

struct redis_client {
	struct agent *agent;
	const struct config_redis *conf;
	struct redis_url url;                     /* of the link */
	char server_name[REDIS_URL_HOST_MAX + 1]; /* in its certificate */
	struct redis_link_user link_user;
	struct redis_link link;
	struct redis_window window;
	struct redis_profiles profiles;
	struct redis_round round;
	struct redis_trace trace;
	SSL_CTX *tls;
	struct redis_retry again;
	bool news; /* the next complete scan is worth a line */
	ev_timer retry;
	slo_nsec succeeded; /* 0: never */
	struct redis_status status;
};

/* Up and down */

static const char *name_of_server(const struct redis_client *c)
{
	return c->conf->server_name ? c->conf->server_name : c->conf->url.host;
}

/* The link borrows both until it closes, which may be after conf has gone. */
static void open_link(struct redis_client *c)
{
	c->url = c->conf->url;
	snprintf(c->server_name, sizeof(c->server_name), "%s", name_of_server(c));
	redis_link_open(&c->link, &c->url, c->tls, c->server_name);
}

static void lose(struct redis_client *c)
{
	redis_link_close(&c->link);
	redis_window_clear(&c->window);
	redis_trace_abandon(&c->trace);
	redis_round_abandon(&c->round);
	ev_timer_stop(c->agent->loop, &c->retry);
}

/* Closes, says why, and tries again later; why may belong to a reply that goes with the link. */
static void down(struct redis_client *c, const char *why)
{
	double delay = redis_retry_next(&c->again);

	clean_copy(c->status.error, sizeof(c->status.error), slice_of(why));
	lose(c);
	log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_REDIS_DOWN, LOG_WARNING,
	            "redis: %s: %s; the profiles in force stay, next try in %.1f s", c->status.url,
	            why, delay);
	warn_set(c->agent, clock_nsec(), "redis", NULL,
	         "redis at %s: %s; the profiles in force stay, and new ones do not come",
	         c->status.url, why);
	ev_timer_set(&c->retry, delay, 0.);
	ev_timer_start(c->agent->loop, &c->retry);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	open_link(w->data);
}

#define DENIED     "redis-denied"
#define NO_PROFILE "no new profiles come from there"

/* Our user may not do that. */
static void note_denied(struct redis_client *c, const char *command, const redisReply *reply,
                        const char *follows)
{
	const char *user = c->url.user[0] ? c->url.user : "default";

	if (reply->type != REDIS_REPLY_ERROR || !redis_link_is_denied(reply->str))
		return;
	warn_set(c->agent, clock_nsec(), DENIED, command,
	         "redis at %s does not let user %.64s do %s (%.110s), so %s; allow it: ACL SETUSER "
	         "%.64s ~aibrix:* +select +scan +getrange%s",
	         c->status.url, user, command, reply->str, follows, user,
	         c->conf->trace ? " +set" : "");
}

/* Not since then: it is allowed. */
static void clear_denied(struct redis_client *c, const char *command, slo_nsec since)
{
	const struct warning *w = warn_find(&c->agent->warnings, DENIED, command);

	if (w && w->last < since)
		warn_clear(c->agent, clock_nsec(), DENIED, command);
}

static void greeted(struct redis_client *c)
{
	c->window.ready = c->news = true;
	c->status.connections++;
	log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_REDIS_UP, LOG_NOTICE,
	            "redis: connected to %s", c->status.url);
	redis_round_begin(&c->round);
}

static void on_up(void *user)
{
	static const struct command greeting = { COMMAND_GREETING, NULL };
	struct redis_client *c = user;
	const struct redis_url *url = &c->conf->url;
	const char *auth[] = { "AUTH", url->user, url->password };
	const char *plain[] = { "AUTH", url->password };
	char db[16];
	const char *select[] = { "SELECT", db };

	snprintf(db, sizeof(db), "%u", (unsigned)url->db);
	if (url->user[0])
		redis_window_send(&c->window, greeting, 3, auth, NULL);
	else if (url->password[0])
		redis_window_send(&c->window, greeting, 2, plain, NULL);
	if (url->db != 0)
		redis_window_send(&c->window, greeting, 2, select, NULL);
	if (c->window.count == 0)
		greeted(c);
}

static void take_greeting(struct redis_client *c, const redisReply *reply)
{
	char why[256];

	if (reply->type == REDIS_REPLY_ERROR) {
		note_denied(c, "SELECT", reply, NO_PROFILE);
		snprintf(why, sizeof(why), "it refuses us: %s", reply->str);
		down(c, why);
	} else if (c->window.count == 0) {
		greeted(c);
	}
}

static void on_reply(void *user, const redisReply *reply)
{
	struct redis_client *c = user;
	struct command command = redis_window_take(&c->window); /* the link counts: there is one */
	const char *useless = NULL;

	switch (command.kind) {
	case COMMAND_GREETING:
		take_greeting(c, reply);
		return;
	case COMMAND_SCAN:
		note_denied(c, "SCAN", reply, NO_PROFILE);
		useless = redis_round_keys(&c->round, reply);
		break;
	case COMMAND_VALUE:
		note_denied(c, "GETRANGE", reply, NO_PROFILE);
		useless = redis_round_value(&c->round, command.entry, reply);
		break;
	case COMMAND_TRACE:
		if (reply->type != REDIS_REPLY_ERROR)
			warn_clear(c->agent, clock_nsec(), DENIED, "SET");
		note_denied(c, "SET", reply, "traces of requests are not written");
		useless = redis_trace_written(&c->trace, reply);
		break;
	case COMMAND_FORGOTTEN:
		break;
	}
	if (useless) {
		down(c, useless);
		return;
	}
	redis_round_advance(&c->round);
	redis_trace_advance(&c->trace);
}

static void on_down(void *user, const char *why)
{
	down(user, why);
}

/* What a round found is worth a line when it is something else than before. */
static slo_nsec on_finished(void *user, const struct redis_found *found, slo_nsec took)
{
	struct redis_client *c = user;
	struct redis_status *s = &c->status;
	slo_nsec now = clock_nsec();

	warn_clear(c->agent, now, "redis", NULL);
	clear_denied(c, "SELECT", now - took);
	clear_denied(c, "SCAN", now - took);
	clear_denied(c, "GETRANGE", now - took);
	if (c->news || memcmp(&s->found, found, sizeof(*found)) != 0)
		log_limited(c->agent->log, now, LOG_CAUSE_REDIS_SCAN, LOG_NOTICE,
		            "redis: %zu keys of ours, %zu in force, %zu refused; %zu keys of "
		            "others; in %.3f s",
		            found->keys, found->in_force, found->refused, found->unknown,
		            (double)took / 1e9);
	c->news = false;
	s->found = *found;
	s->scans++;
	c->succeeded = now;
	c->again.failures = 0;
	return c->conf->refresh - took;
}

/* Life */

/* Connects by a->conf, if it names a Redis. */
static void start(struct redis_client *c)
{
	char why[256];

	c->again.failures = 0;
	c->status.url[0] = c->status.error[0] = '\0';
	if (c->conf->url.kind == REDIS_URL_NONE)
		return;
	redis_url_print(&c->conf->url, c->status.url);
	if (c->conf->url.kind == REDIS_URL_TLS) {
		c->tls = redis_tls_context(c->conf, why, sizeof(why));
		if (!c->tls) {
			log_write(c->agent->log, LOG_ERR,
			          "redis: %s; profiles come from files only until a reload", why);
			snprintf(c->status.error, sizeof(c->status.error), "%s", why);
			return;
		}
	}
	open_link(c);
}

static void build_table(struct redis_client *c)
{
	if (redis_profiles_build(&c->profiles, c->agent) != SLO_OK)
		log_write(c->agent->log, LOG_ERR, "redis: out of memory, no key is known");
}

struct redis_client *redis_client_new(struct agent *a)
{
	static const struct config_redis nothing = { .url = { .kind = REDIS_URL_NONE } };
	struct redis_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = a;
	c->conf = &nothing;
	c->link_user = (struct redis_link_user){ c, on_up, on_reply, on_down };
	redis_link_init(&c->link, a->loop, &c->link_user);
	rng_init(&c->again.rng, a->seed);
	c->again.last = RETRY_LAST;
	ev_init(&c->retry, on_retry);
	c->retry.data = c;
	c->window.link = &c->link;
	c->round = (struct redis_round){ .agent = a,
		                         .window = &c->window,
		                         .profiles = &c->profiles,
		                         .finished = on_finished,
		                         .user = c };
	redis_round_init(&c->round);
	redis_trace_init(&c->trace, a, &c->window);
	return c;
}

static void stop(struct redis_client *c)
{
	lose(c);
	SSL_CTX_free(c->tls);
	c->tls = NULL;
}

void redis_client_free(struct redis_client *c)
{
	if (!c)
		return;
	stop(c);
	redis_trace_stop(&c->trace);
	redis_profiles_fini(&c->profiles);
	free(c);
}

/* Without Redis the files count again. */
static void drop_all(struct redis_client *c)
{
	for (size_t i = 0; i < c->profiles.count; i++)
		redis_profiles_drop(c->agent, c->profiles.entry[i]);
	redis_profiles_fini(&c->profiles);
	profile_trouble_clear_all(&c->agent->profile_troubles, TROUBLE_REDIS_REFUSED);
	profile_trouble_clear_all(&c->agent->profile_troubles, TROUBLE_REDIS_STALE);
}

void redis_client_configure(struct redis_client *c)
{
	const struct config_redis *old = c->conf;
	bool same = config_redis_same_peer(old, &c->agent->conf->redis);

	c->conf = &c->agent->conf->redis;
	redis_round_abandon(&c->round);
	if (!same) {
		stop(c);
		warn_clear(c->agent, clock_nsec(), "redis", NULL);
		warn_clear_all(c->agent, clock_nsec(), DENIED);
	}
	if (c->profiles.count > 0 || c->conf->url.kind != REDIS_URL_NONE)
		build_table(c); /* the old one may know deployments that are gone */
	if (c->conf->url.kind == REDIS_URL_NONE)
		drop_all(c);
	if (!c->conf->trace)
		warn_clear(c->agent, clock_nsec(), DENIED, "SET");
	redis_trace_configure(&c->trace, c->conf->url.kind != REDIS_URL_NONE && c->conf->trace);
	if (!same || (c->conf->url.kind == REDIS_URL_TLS && !c->tls))
		start(c);
	else if (c->window.ready)
		redis_round_begin(&c->round);
}

/* Status */

void redis_client_status(const struct redis_client *c, struct redis_status *out)
{
	*out = c->status;
	out->connected = c->window.ready;
	out->traces = c->trace.written;
	out->trace_errors = c->trace.lost;
	if (out->connected)
		out->error[0] = '\0';
	out->success_age = c->succeeded ? (double)(clock_nsec() - c->succeeded) / 1e9 : -1;
	out->longest = c->link.longest;
}

bool redis_client_gave(const struct redis_client *c, const struct agent_model *m,
                       const struct deployment *d)
{
	const struct redis_entry *e;
	char key[REDIS_KEY_MAX];

	redis_profiles_key(m->conf->name, d->name, key);
	e = redis_profiles_find(&c->profiles, key, strlen(key));
	return e && e->deployment == d && redis_profiles_in_force(e);
}
