#include "io/cluster/cluster_link.h"

#include <stdio.h>
#include <string.h>

#include "clean.h"
#include "io/base/clock.h"
#include "io/redis/redis_tls.h"

#define RETRY_LAST 1.0                       /* seconds */
#define FINISH     (300 * SLO_NSEC_PER_MSEC) /* a Redis that answers takes less */

enum { TELL, HEAR };

/* Down */

static void close_all(struct cluster_link *l)
{
	redis_link_close(&l->tell);
	redis_link_close(&l->hear);
	redis_link_close(&l->find);
	ev_timer_stop(l->agent->loop, &l->retry);
	l->state = CLUSTER_CLOSED;
	l->connected[TELL] = l->connected[HEAR] = false;
	l->greetings[TELL] = l->greetings[HEAR] = 0;
	l->first = l->count = 0;
}

/* Tries again later; why may belong to a reply that goes with its connection. */
static void lose(struct cluster_link *l, const char *why)
{
	double delay = redis_retry_next(&l->again);

	clean_copy(l->error, sizeof(l->error), slice_of(why));
	close_all(l);
	ev_timer_set(&l->retry, delay, 0.);
	ev_timer_start(l->agent->loop, &l->retry);
	l->user->down(l->user->user, l->error);
}

static void on_down(void *user, const char *why)
{
	lose(user, why);
}

/* Up */

static void open_both(struct cluster_link *l)
{
	const char *name = l->conf->redis.server_name;

	l->state = CLUSTER_OPENING;
	snprintf(l->server_name, sizeof(l->server_name), "%s", name ? name : l->url.host);
	redis_link_open(&l->tell, &l->url, l->tls, l->server_name);
	redis_link_open(&l->hear, &l->url, l->tls, l->server_name);
}

static void open_link(struct cluster_link *l)
{
	const struct redis_sentinels *s = &l->conf->sentinels;
	const struct redis_sentinel *next;

	l->url = l->conf->redis.url;
	if (s->count == 0) {
		open_both(l);
		return;
	}
	next = &s->at[l->next_sentinel++ % s->count];
	l->sentinel = (struct redis_url){ .kind = REDIS_URL_TCP, .port = next->port };
	memcpy(l->sentinel.host, next->host, sizeof(next->host));
	l->state = CLUSTER_FINDING;
	redis_link_open(&l->find, &l->sentinel, NULL, NULL);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	open_link(w->data);
}

/* A Sentinel */

static void on_find_up(void *user)
{
	struct cluster_link *l = user;
	const char *argv[] = { "SENTINEL", "get-master-addr-by-name", l->conf->sentinels.service };

	redis_link_command(&l->find, 3, argv, NULL);
}

static bool is_text(const redisReply *r, size_t max)
{
	return r->type == REDIS_REPLY_STRING && (size_t)r->len > 0 && (size_t)r->len <= max;
}

static void on_find_reply(void *user, const redisReply *reply)
{
	struct cluster_link *l = user;
	uint64_t port;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_text(reply->element[0], REDIS_URL_HOST_MAX) || !is_text(reply->element[1], 5) ||
	    !slice_decimal((struct slice){ (const uint8_t *)reply->element[1]->str,
	                                   (size_t)reply->element[1]->len },
	                   65535, &port) ||
	    port == 0) {
		lose(l, reply->type == REDIS_REPLY_ERROR
		            ? reply->str
		            : "the Sentinel does not know where the server is");
		return;
	}
	snprintf(l->url.host, sizeof(l->url.host), "%s", reply->element[0]->str);
	l->url.port = (uint16_t)port;
	redis_link_close(&l->find);
	open_both(l);
}

/* The greetings */

static void connected(struct cluster_link *l, int which)
{
	l->connected[which] = true;
	if (!l->connected[TELL] || !l->connected[HEAR])
		return;
	l->state = CLUSTER_UP;
	l->connections++;
	l->error[0] = '\0';
	l->user->up(l->user->user);
}

static void greet(struct cluster_link *l, struct redis_link *to, int which, int argc,
                  const char **argv)
{
	l->greetings[which]++;
	redis_link_command(to, argc, argv, NULL);
}

static void authenticate(struct cluster_link *l, struct redis_link *to, int which)
{
	const char *auth[] = { "AUTH", l->url.user, l->url.password };
	const char *plain[] = { "AUTH", l->url.password };

	if (l->url.user[0])
		greet(l, to, which, 3, auth);
	else if (l->url.password[0])
		greet(l, to, which, 2, plain);
}

static void on_tell_up(void *user)
{
	struct cluster_link *l = user;
	char db[16];
	const char *select[] = { "SELECT", db };

	snprintf(db, sizeof(db), "%u", (unsigned)l->url.db);
	authenticate(l, &l->tell, TELL);
	greet(l, &l->tell, TELL, 2, select);
}

static void on_hear_up(void *user)
{
	struct cluster_link *l = user;

	authenticate(l, &l->hear, HEAR);
	for (int i = 0; i < CLUSTER_CHANNELS; i++) {
		const char *subscribe[] = { "SUBSCRIBE", l->channel[i] };

		greet(l, &l->hear, HEAR, 2, subscribe);
	}
}

/* False: the connection is lost. */
static bool is_greeted(struct cluster_link *l, int which, const redisReply *reply)
{
	char why[256];

	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "it refuses us: %s", reply->str);
		lose(l, why);
		return false;
	}
	if (--l->greetings[which] == 0)
		connected(l, which);
	return true;
}

/* Replies */

static void on_tell_reply(void *user, const redisReply *reply)
{
	struct cluster_link *l = user;
	struct cluster_ask ask;
	const char *useless;

	if (l->greetings[TELL] > 0) {
		(void)is_greeted(l, TELL, reply);
		return;
	}
	ask = l->asked[l->first];
	l->first = (l->first + 1) % CLUSTER_ASKED_MAX;
	l->count--;
	useless = redis_link_is_elsewhere(reply) ? reply->str
	          : ask.kind                     ? l->user->reply(l->user->user, ask, reply)
	                                         : NULL;
	if (useless)
		lose(l, useless);
}

static struct slice text_of(const redisReply *r)
{
	return (struct slice){ (const uint8_t *)r->str, (size_t)r->len };
}

static void tell_heard(struct cluster_link *l, const redisReply *reply)
{
	const redisReply *what = reply->element[0], *channel = reply->element[1];

	if (cluster_link_is_up(l) && what->type == REDIS_REPLY_STRING &&
	    channel->type == REDIS_REPLY_STRING && slice_eq(text_of(what), "subscribe"))
		l->user->heard(l->user->user, text_of(channel));
}

static void on_hear_reply(void *user, const redisReply *reply)
{
	struct cluster_link *l = user;
	const redisReply *last;

	if (l->greetings[HEAR] > 0 && reply->type != REDIS_REPLY_ARRAY) {
		(void)is_greeted(l, HEAR, reply);
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
		if (reply->type == REDIS_REPLY_ERROR)
			lose(l, reply->str);
		return; /* to PING */
	}
	last = reply->element[2];
	if (last->type == REDIS_REPLY_INTEGER && l->greetings[HEAR] > 0)
		(void)is_greeted(l, HEAR, reply);
	else if (last->type == REDIS_REPLY_INTEGER)
		tell_heard(l, reply);
	else if (last->type == REDIS_REPLY_STRING && cluster_link_is_up(l))
		l->user->message(l->user->user, text_of(last));
}

/* Commands */

bool cluster_link_has_room(const struct cluster_link *l)
{
	return cluster_link_is_up(l) && l->count < CLUSTER_NEWS_ASKED &&
	       redis_link_unsent(&l->tell) < CLUSTER_NEWS_UNSENT;
}

struct redis_link *cluster_link_begin(struct cluster_link *l, struct cluster_ask ask, size_t argc)
{
	if (l->count == CLUSTER_ASKED_MAX) {
		l->tell.starved = true; /* it ends soon; no callback may come from here */
		return NULL;
	}
	l->asked[(l->first + l->count++) % CLUSTER_ASKED_MAX] = ask;
	redis_link_begin(&l->tell, argc);
	return &l->tell;
}

void cluster_link_ask(struct cluster_link *l, struct cluster_ask ask, int argc, const char **argv,
                      const size_t *len)
{
	struct redis_link *to = cluster_link_begin(l, ask, (size_t)argc);

	for (int i = 0; to && i < argc; i++)
		redis_link_arg(to, argv[i], len ? len[i] : strlen(argv[i]));
}

void cluster_link_hear(struct cluster_link *l, const char *channel, bool on)
{
	const char *argv[] = { on ? "SUBSCRIBE" : "UNSUBSCRIBE", channel };

	redis_link_command(&l->hear, 2, argv, NULL);
}

void cluster_link_finish(struct cluster_link *l)
{
	redis_link_finish(&l->tell, clock_nsec() + FINISH);
}

void cluster_link_ping(struct cluster_link *l)
{
	const char *ping[] = { "PING" };

	if (cluster_link_is_up(l))
		l->again.failures = 0; /* it lasted, so the next one may come soon */
	if (cluster_link_is_up(l) && l->hear.unanswered == 0)
		redis_link_command(&l->hear, 1, ping, NULL);
}

/* Life */

void cluster_link_init(struct cluster_link *l, struct agent *a,
                       const struct cluster_link_user *user)
{
	memset(l, 0, sizeof(*l));
	l->agent = a;
	l->user = user;
	l->users[0] = (struct redis_link_user){ l, on_tell_up, on_tell_reply, on_down };
	l->users[1] = (struct redis_link_user){ l, on_hear_up, on_hear_reply, on_down };
	l->users[2] = (struct redis_link_user){ l, on_find_up, on_find_reply, on_down };
	redis_link_init(&l->tell, a->loop, &l->users[0]);
	redis_link_init(&l->hear, a->loop, &l->users[1]);
	redis_link_init(&l->find, a->loop, &l->users[2]);
	l->hear.listens = true;
	/* What others told is heard before anything is decided, also where both came while this
	 * agent had no CPU; and before it is known that they have heard us. */
	ev_set_priority(&l->hear.to.readable, EV_MAXPRI);
	ev_set_priority(&l->tell.to.readable, EV_MAXPRI - 1);
	rng_init(&l->again.rng, a->seed ^ (uint64_t)clock_nsec());
	l->again.last = RETRY_LAST;
	ev_init(&l->retry, on_retry);
	l->retry.data = l;
}

void cluster_link_open(struct cluster_link *l, const struct config_cluster *conf)
{
	char why[256];

	l->conf = conf;
	l->again.failures = 0;
	l->error[0] = '\0';
	if (conf->redis.url.kind == REDIS_URL_TLS) {
		l->tls = redis_tls_context(&conf->redis, why, sizeof(why));
		if (!l->tls) {
			log_write(l->agent->log, LOG_ERR,
			          "cluster: %s; this agent is alone until a reload", why);
			snprintf(l->error, sizeof(l->error), "%s", why);
			return;
		}
	}
	open_link(l);
}

void cluster_link_close(struct cluster_link *l)
{
	close_all(l);
	SSL_CTX_free(l->tls);
	l->tls = NULL;
	l->conf = NULL;
}

void cluster_link_renew(struct cluster_link *l, const struct config_cluster *conf)
{
	l->conf = conf;
}
