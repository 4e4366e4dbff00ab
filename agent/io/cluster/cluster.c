/* Life, timers, joining, and who else has our name.
 *
 * When the connections are up, this happens at once and side by side:
 *
 *     the keys of all others are read ---------------------------+
 *     is our name ours?  -> our own key is read, the first time -+-> joined
 *                        -> our key is written anew ------------ +
 *
 * A process that uses a name which another one of the group uses already, tells nothing: two would
 * take each other's requests for their own of a former life. It asks by HELLO if Redis knows of
 * another listener on the channel of that name, and the one that is older answers by a beat. It
 * asks again with each beat while it is refused, so that the older one warns as long, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cluster_private.h"
#include "conf/config_redis.h"
#include "io/agent/warn.h"
#include "io/base/clock.h"
#include "io/base/timer.h"

#define PREFIX       "slo-spoa"
#define MEMBER_PAGES 100                    /* of names that are read */
#define GONE         (3 * SLO_NSEC_PER_SEC) /* after so long an older process of our name is gone */

int64_t cluster_clock(const struct cluster *c, slo_nsec now)
{
	return (now - c->started) / 1000;
}

void cluster_key(const struct cluster *c, const char *name, char out[CLUSTER_KEY_SIZE])
{
	if (name)
		snprintf(out, CLUSTER_KEY_SIZE, PREFIX ":%s:leases:%s", c->group, name);
	else
		snprintf(out, CLUSTER_KEY_SIZE, PREFIX ":%s:agents", c->group);
}

void cluster_channel(const struct cluster *c, const char *name, char out[CLUSTER_KEY_SIZE])
{
	snprintf(out, CLUSTER_KEY_SIZE, PREFIX ":%s:news:%s", c->group, name);
}

void cluster_ask(struct cluster *c, enum ask_kind kind, uint32_t number, int argc,
                 const char **argv, const size_t *len)
{
	cluster_link_ask(&c->link, ask_of(kind, number), argc, argv, len);
}

/* Joining */

static void joined(struct cluster *c)
{
	c->joined = true;
	ev_timer_stop(c->agent->loop, &c->limit);
	if (c->agent->joining)
		log_write(c->agent->log, LOG_NOTICE, "cluster: %s has joined group %s", c->name,
		          c->group);
	c->agent->joining = false;
}

void cluster_progress(struct cluster *c)
{
	slo_nsec now = clock_nsec();

	if (c->own_read && !c->tell.telling && !c->refused && !ev_is_active(&c->namesake)) {
		c->tell.telling = c->tell.anew = true;
		tell_flush(c, now);
		tell_beat(c, now);
	}
	if (!c->joined && c->members_read && c->readings == 0 && (c->tell.telling || c->refused))
		joined(c);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cluster *c = w->data;

	if (!c->agent->joining)
		return;
	c->agent->joining = false;
	log_write(c->agent->log, LOG_WARNING,
	          "cluster: Redis does not tell what the others have placed%s%s; this agent serves "
	          "without that",
	          c->link.error[0] ? ": " : "", c->link.error);
}

/* Our name is ours as far as anybody says: our own key is next, which tells of former lives. */
static void name_is_ours(struct cluster *c)
{
	struct cluster_peer *self;

	if (c->own_read) {
		cluster_progress(c);
		return;
	}
	self = hear_peer(c, slice_of(c->name));
	if (self)
		read_key(c, self);
}

static void on_namesake(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cluster *c = w->data;

	if (cluster_link_is_up(&c->link))
		name_is_ours(c);
}

static void refuse(struct cluster *c)
{
	warn_set(c->agent, clock_nsec(), "cluster-name", NULL,
	         "another process of group %s is called %s, too: the requests of this one are "
	         "not told to anybody; give one of them another cluster.name",
	         c->group, c->name);
	c->refused = true;
	c->tell.telling = false;
	foreign_others(c->agent->sched, 0);
	cluster_progress(c);
}

static void younger_heard(struct cluster *c, slo_nsec now)
{
	if (!c->refused && /* else its warning is about itself */
	    warn_set(c->agent, now, "cluster-name", NULL,
	             "another process of group %s is called %s, too: its requests are not told to "
	             "anybody; give one of them another cluster.name",
	             c->group, c->name))
		log_limited(c->agent->log, now, LOG_CAUSE_CLUSTER_NAME, LOG_ERR,
		            "cluster: another process of group %s is called %s, too: it must not "
		            "tell its requests",
		            c->group, c->name);
}

/* The one that began later yields; of two that began at the same time the larger number. */
bool cluster_namesake(struct cluster *c, slo_nsec now, const struct news_head *h)
{
	int64_t ours = cluster_clock(c, now);

	if (h->now < ours || (h->now == ours && h->incarnation > c->incarnation)) {
		younger_heard(c, now);
		if (h->kind == NEWS_HELLO)
			tell_beat(c, now);
		return false;
	}
	c->namesake_heard = now;
	ev_timer_stop(c->agent->loop, &c->namesake);
	refuse(c);
	return h->kind != NEWS_HELLO;
}

/* The beat */

/* The older process of our name is gone. */
static void take_name_back(struct cluster *c, slo_nsec now)
{
	if (!c->refused || !cluster_link_is_up(&c->link) || now - c->namesake_heard < GONE)
		return;
	c->refused = false;
	warn_clear(c->agent, now, "cluster-name", NULL);
	log_write(c->agent->log, LOG_NOTICE,
	          "cluster: the other process that was called %s is gone; this one tells its "
	          "requests now",
	          c->name);
	c->own_read = false;
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peer[i]->self)
			hear_no_more(c, c->peer[i]);
	name_is_ours(c);
}

static void watch_silence(struct cluster *c, slo_nsec now)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		struct cluster_peer *p = c->peer[i];

		if (p->self || !hear_is_silent(p, now) || now - p->known < CLUSTER_SILENT)
			continue;
		if (p->owner->open > 0)
			warn_set(
			    c->agent, now, "cluster-silent", p->name,
			    "cluster: %s is silent; its %zu requests stay charged until they end",
			    p->name, p->owner->open);
		else
			warn_set(c->agent, now, "cluster-silent", p->name,
			         "cluster: %s is silent; none of its requests is under way",
			         p->name);
		if (p->told_silent)
			continue;
		p->told_silent = true;
		/* Others heard of ends while it still seemed to be there: those are in its key. */
		read_key(c, p);
	}
}

/* Names may come and go for ever: one that was not heard for so long, and has nothing here, is
 * forgotten, and sooner while there is no place for another. Questions and records know peers by
 * their index, so none may be on its way. */
static void forget_gone(struct cluster *c, slo_nsec now)
{
	slo_nsec kept = c->peer_count == PEERS_MAX ? CLUSTER_SILENT : CLUSTER_KEEP;

	for (size_t i = 0; i < c->peer_count; i++) {
		struct cluster_peer *p = c->peer[i];
		slo_nsec last = p->heard > p->known ? p->heard : p->known;

		if (c->readings > 0 || records_wait(&c->tell.news))
			return;
		if (p->self || p->owner->open > 0 || now - last < kept)
			continue;
		warn_clear(c->agent, now, "cluster-silent", p->name);
		hear_no_more(c, p);
		foreign_owner_forget(c->agent->sched, p->owner);
		free(p);
		c->peer[i--] = c->peer[--c->peer_count];
	}
}

/* What others place now is not known here before their keys are read, and HAProxy writes its end
 * lines to all agents. */
static void tell_unheard(struct cluster *c, slo_nsec now)
{
	bool unheard = !cluster_link_is_up(&c->link);

	for (size_t i = 0; i < c->peer_count; i++)
		unheard |= !c->peer[i]->self && now - c->peer[i]->heard > 2 * CLUSTER_BEAT;
	if (unheard)
		watch_unheard(c->agent, now);
}

static void on_beat(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cluster *c = w->data;
	slo_nsec now = clock_nsec();

	if (cluster_link_is_up(&c->link)) {
		cluster_link_ping(&c->link);
		tell_beat(c, now);
		watch_silence(c, now);
		if (c->refused)
			tell_hello(c, now);
		else
			warn_clear_older(c->agent, now, "cluster-name", now - GONE);
	}
	tell_unheard(c, now);
	cluster_warn_watch(c, now);
	forget_gone(c, now);
	others_deal(c, now);
	c->slowest -= c->slowest / 4;
	take_name_back(c, now);
}

static void on_before_sleep(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct cluster *c = w->data;

	if (tell_is_due(c))
		tell_flush(c, clock_nsec());
}

/* Redis */

static void tell_connected(const struct cluster *c)
{
	const struct redis_url *url = &c->link.url;

	if (url->kind == REDIS_URL_UNIX)
		log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_CLUSTER_UP, LOG_NOTICE,
		            "cluster: connected to unix:%s", url->path);
	else
		log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_CLUSTER_UP, LOG_NOTICE,
		            "cluster: connected to %s:%u", url->host, url->port);
}

static void on_up(void *user)
{
	struct cluster *c = user;
	char agents[CLUSTER_KEY_SIZE];
	const char *members[] = { "SSCAN", agents, "0", "COUNT", "200" };
	const char *namesakes[] = { "PUBSUB", "NUMSUB", c->link.channel[1] };

	tell_connected(c);
	warn_clear(c->agent, clock_nsec(), "cluster-redis", NULL);
	(void)hear_peer(c, slice_of(c->name)); /* before the names of others take all places */
	cluster_key(c, NULL, agents);
	c->members_read = false;
	cluster_ask(c, ASK_NAMESAKES, 0, 3, namesakes, NULL);
	cluster_ask(c, ASK_MEMBERS, 0, 5, members, NULL);
	for (size_t i = 0; i < c->peer_count; i++)
		if (!c->peer[i]->self)
			read_key(c, c->peer[i]);
}

static void on_down(void *user, const char *why)
{
	struct cluster *c = user;
	char url[REDIS_URL_TEXT_MAX];

	/* Without a host it is a Sentinel that did not tell one. */
	redis_url_print(c->link.url.kind == REDIS_URL_UNIX || c->link.url.host[0]
	                    ? &c->link.url
	                    : &c->link.sentinel,
	                url);
	/* What was denied has its warning, which tells what to do. */
	if (!c->denied && !cluster_denied(c, clock_nsec(), ASK_CHANNEL, why))
		warn_set(c->agent, clock_nsec(), "cluster-redis", NULL,
		         "cluster: no Redis at %s: %s; what is known of others stays, and they "
		         "hear nothing of this agent",
		         url, why);
	c->denied = false;
	watch_unheard(c->agent, clock_nsec());
	ev_timer_stop(c->agent->loop, &c->namesake);
	c->tell.telling = false;
	foreign_others(c->agent->sched, 0);
	tell_reset(c);
	read_abandon(c);
}

static const char *take_namesakes(struct cluster *c, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[1]->type != REDIS_REPLY_INTEGER || reply->element[1]->integer <= 1) {
		name_is_ours(c);
		return NULL;
	}
	ev_timer_set(&c->namesake, (double)CLUSTER_NAMESAKE / 1e9, 0.);
	ev_timer_start(c->agent->loop, &c->namesake);
	tell_hello(c, clock_nsec());
	return NULL;
}

static void take_member(struct cluster *c, const redisReply *e)
{
	struct slice name = { (const uint8_t *)e->str, (size_t)e->len };
	struct cluster_peer *p;

	if (e->type != REDIS_REPLY_STRING || !news_is_name(name) || slice_eq(name, c->name))
		return;
	p = hear_peer(c, name);
	if (p && !p->reading)
		read_key(c, p);
}

/* In pages: whoever can write there can fill it. With too many names the rest is not read. */
static const char *take_members(struct cluster *c, uint32_t page, const redisReply *reply)
{
	const redisReply *cursor, *names;
	char agents[CLUSTER_KEY_SIZE];
	const char *more[] = { "SSCAN", agents, NULL, "COUNT", "200" };

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return reply->type == REDIS_REPLY_ERROR ? reply->str : "its reply makes no sense";
	cursor = reply->element[0];
	names = reply->element[1];
	for (size_t i = 0; i < names->elements; i++)
		take_member(c, names->element[i]);
	if (strcmp(cursor->str, "0") == 0 || page == MEMBER_PAGES) {
		c->members_read = true;
		cluster_progress(c);
		return NULL;
	}
	cluster_key(c, NULL, agents);
	more[2] = cursor->str;
	cluster_ask(c, ASK_MEMBERS, page + 1, 5, more, NULL);
	return NULL;
}

/* A command that changes nothing else was refused. */
static void note_refusal(struct cluster *c, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR)
		return;
	c->tell.anew = true;
	log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_CLUSTER_REFUSED, LOG_WARNING,
	            "cluster: Redis refuses a command: %s; what is open here is told anew",
	            reply->str);
}

/* Our key was there before, or it was not: then what was in it is lost. */
static void check_key(struct cluster *c, bool there)
{
	if (there || c->tell.anew || !c->tell.telling)
		return;
	c->tell.anew = true;
	log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_CLUSTER_KEY, LOG_NOTICE,
	            "cluster: our key %s is gone from Redis; it is written anew", c->kept.key);
}

static const char *take_page(struct cluster *c, struct cluster_peer *p, const redisReply *reply)
{
	const char *why = read_page(c, clock_nsec(), p, reply);

	if (!why && p->self && !p->reading && !c->own_read) {
		c->own_read = true;
		/* If not all is in it, others may know more of our former lives. */
		c->own_found = p->mark.incarnation != 0 && !p->behind;
		cluster_progress(c);
	}
	return why;
}

/* Not NULL: the connection is of no use any more. */
static const char *take_reply(struct cluster *c, enum ask_kind kind, uint32_t number,
                              const redisReply *reply)
{
	switch (kind) {
	case ASK_NOTHING:
		note_refusal(c, reply);
		break;
	case ASK_TOLD:
		note_refusal(c, reply);
		others_reached(c, clock_nsec(), number);
		break;
	case ASK_TOLD_ALL:
		note_refusal(c, reply);
		if (reply->type == REDIS_REPLY_INTEGER)
			others_heard(c, clock_nsec(), number);
		break;
	case ASK_STORED:
		note_refusal(c, reply);
		if (reply->type == REDIS_REPLY_INTEGER)
			check_key(c, reply->integer <= (long long)number);
		break;
	case ASK_KEPT:
		note_refusal(c, reply);
		if (reply->type == REDIS_REPLY_INTEGER)
			check_key(c, reply->integer != 0);
		break;
	case ASK_NAMESAKES:
		return take_namesakes(c, reply);
	case ASK_MEMBERS:
		return take_members(c, number, reply);
	case ASK_MARK:
		return read_mark(c, c->peer[number], reply);
	case ASK_LIFE:
		return read_life(c, c->peer[number], reply);
	case ASK_PAGE:
		return take_page(c, c->peer[number], reply);
	case ASK_CHANNEL:
		break;
	}
	return NULL;
}

static const char *on_reply(void *user, struct cluster_ask ask, const redisReply *reply)
{
	enum ask_kind kind = (enum ask_kind)(ask.kind - 1);
	struct cluster *c = user;
	const char *useless = take_reply(c, kind, ask.number, reply);
	slo_nsec now = clock_nsec();
	bool denied = false;

	kind = kind == ASK_TOLD_ALL ? ASK_TOLD : kind; /* the same command */
	if (reply->type == REDIS_REPLY_ERROR)
		denied = cluster_denied(c, now, kind, reply->str);
	else
		cluster_allowed(c, now, kind);
	c->denied = denied && useless;
	return useless;
}

static void on_heard(void *user, struct slice channel)
{
	cluster_allowed(user, clock_nsec(), ASK_CHANNEL);
	hear_channel(user, channel);
}

static void on_message(void *user, struct slice message)
{
	hear_message(user, clock_nsec(), message);
}

/* Life */

struct cluster *cluster_new(struct agent *a, const struct haproxy_api *haproxy)
{
	struct cluster *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = a;
	c->haproxy = haproxy;
	c->link_user =
	    (struct cluster_link_user){ c, on_up, on_message, on_heard, on_reply, on_down };
	cluster_link_init(&c->link, a, &c->link_user);
	ev_prepare_init(&c->before_sleep, on_before_sleep);
	/* After the agent (1) and conn.c (0): a connection that is freed there makes room, and who
	 * gets it is told before the loop sleeps. */
	ev_set_priority(&c->before_sleep, -1);
	histogram_init(&c->delay, &stats_lag_bounds);
	defer_init(c);
	others_init(c);
	tell_init(c);
	ev_init(&c->beat, on_beat);
	ev_init(&c->limit, on_limit);
	ev_init(&c->namesake, on_namesake);
	ev_init(&c->look, read_look);
	c->before_sleep.data = c->beat.data = c->limit.data = c->namesake.data = c;
	c->look.data = c;
	return c;
}

/* A number that no other life has: of 64 bits that the kernel draws. */
static uint64_t draw(void)
{
	uint64_t v;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		v = (uint64_t)clock_unix_nsec();
	return v ? v : 1;
}

static void start(struct cluster *c)
{
	slo_nsec now = clock_nsec();

	c->conf = &c->agent->conf->cluster;
	c->started = now;
	c->incarnation = draw();
	snprintf(c->name, sizeof(c->name), "%s", c->conf->name);
	snprintf(c->group, sizeof(c->group), "%s", c->conf->group);
	snprintf(c->link.channel[0], CLUSTER_CHANNEL_SIZE, PREFIX ":%s:news", c->group);
	snprintf(c->link.channel[1], CLUSTER_CHANNEL_SIZE, PREFIX ":%s:agent:%s", c->group,
	         c->name);
	cluster_key(c, c->name, c->kept.key);
	cluster_channel(c, c->name, c->tell.channel);
	c->own_read = c->own_found = c->members_read = c->joined = c->refused = false;
	c->tell.telling = false;
	c->tell.number = 0;
	tell_listen(c, true);
	defer_lines(c, true);
	ev_prepare_start(c->agent->loop, &c->before_sleep);
	timer_every(c->agent->loop, &c->beat, CLUSTER_BEAT);
	if (c->agent->joining) {
		ev_timer_set(&c->limit, (double)CLUSTER_JOIN / 1e9, 0.);
		ev_timer_start(c->agent->loop, &c->limit);
	}
	cluster_link_open(&c->link, c->conf);
}

void cluster_stop(struct cluster *c)
{
	struct ev_loop *loop = c->agent->loop;

	tell_last(c, clock_nsec());
	cluster_link_close(&c->link);
	ev_prepare_stop(loop, &c->before_sleep);
	ev_timer_stop(loop, &c->beat);
	ev_timer_stop(loop, &c->settles);
	ev_timer_stop(loop, &c->limit);
	ev_timer_stop(loop, &c->namesake);
	ev_timer_stop(loop, &c->look);
	tell_listen(c, false);
	defer_lines(c, false);
	warn_clear(c->agent, clock_nsec(), "cluster-redis", NULL);
	warn_clear(c->agent, clock_nsec(), "cluster-name", NULL);
	warn_clear_all(c->agent, clock_nsec(), "cluster-silent");
	cluster_warn_stop(c, clock_nsec());
	tell_reset(c);
	for (size_t i = 0; i < c->peer_count; i++) {
		foreign_owner_forget(c->agent->sched, c->peer[i]->owner);
		free(c->peer[i]);
	}
	c->peer_count = c->readings = 0;
	foreign_others(c->agent->sched, 0);
	c->conf = NULL;
}

void cluster_free(struct cluster *c)
{
	if (!c)
		return;
	cluster_stop(c);
	tell_fini(c);
	free(c);
}

void cluster_configure(struct cluster *c)
{
	const struct config_cluster *conf = &c->agent->conf->cluster;

	if (c->conf && config_cluster_same(c->conf, conf)) {
		c->conf = conf;
		cluster_link_renew(&c->link, conf);
		/* Models and servers that were not known before may have requests of others. */
		for (size_t i = 0; i < c->peer_count; i++)
			if (!c->peer[i]->self)
				read_key(c, c->peer[i]);
		return;
	}
	if (c->conf)
		cluster_stop(c);
	if (conf->redis.url.kind != REDIS_URL_NONE)
		start(c);
}
