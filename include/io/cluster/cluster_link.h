/* cluster_link.h - the two connections to the Redis of a cluster, as one: `tell` for commands,
 * `hear` for the messages of channels.
 *
 *   CLOSED -> FINDING (Sentinels) -> OPENING -> UP (both greeted, all channels heard) -> CLOSED
 *
 * When one is lost both are, because what was missed on one has to be asked for on the other. It
 * tries again after 0.1 s, then twice as long each time up to 1 s until one lasted, with jitter,
 * and asks the Sentinels anew each time. Nobody waits for it. */
#ifndef SLO_IO_CLUSTER_CLUSTER_LINK_H
#define SLO_IO_CLUSTER_CLUSTER_LINK_H

#include "conf/config.h"
#include "io/agent/agent.h"
#include "io/redis/redis_link.h"
#include "io/redis/redis_retry.h"

#define CLUSTER_ASKED_MAX    8192                /* commands whose replies are due */
#define CLUSTER_NEWS_ASKED   256                 /* of them, when news may be told */
#define CLUSTER_NEWS_UNSENT  ((size_t)512 << 10) /* bytes, likewise */
#define CLUSTER_CHANNELS     2
#define CLUSTER_CHANNEL_SIZE 192

/* What a command was for: comes back with its reply. */
struct cluster_ask {
	uint8_t kind;    /* the user's; from 1 */
	uint32_t number; /* the user's */
};

struct cluster_link_user {
	void *user;
	void (*up)(void *user);
	void (*message)(void *user, struct slice message);
	void (*heard)(void *user, struct slice channel); /* all that is said there from now on */
	/* Not NULL: why these connections are of no use any more. */
	const char *(*reply)(void *user, struct cluster_ask ask, const redisReply *reply);
	void (*down)(void *user, const char *why); /* both are closed */
};

struct cluster_link {
	struct agent *agent;
	const struct cluster_link_user *user;
	const struct config_cluster *conf; /* NULL: closed for good */
	enum cluster_link_state {
		CLUSTER_CLOSED,
		CLUSTER_FINDING,
		CLUSTER_OPENING,
		CLUSTER_UP
	} state;
	struct redis_link_user users[3];
	struct redis_link tell, hear, find;
	size_t greetings[2];  /* replies until `tell` and `hear` are greeted */
	bool connected[2];    /* they are */
	struct redis_url url; /* where they are connected to */
	struct redis_url sentinel;
	size_t next_sentinel;
	char server_name[REDIS_URL_HOST_MAX + 1];
	char channel[CLUSTER_CHANNELS][CLUSTER_CHANNEL_SIZE];
	SSL_CTX *tls;
	struct cluster_ask asked[CLUSTER_ASKED_MAX]; /* [first, first + count), a ring */
	size_t first, count;
	struct redis_retry again;
	ev_timer retry;
	uint64_t connections;
	char error[256]; /* why it is not up; "": nothing is wrong */
};

/* user must outlive l. */
void cluster_link_init(struct cluster_link *l, struct agent *a,
                       const struct cluster_link_user *user);
/* On a closed one; conf must live until it is closed or told another. l->channel is set. */
void cluster_link_open(struct cluster_link *l, const struct config_cluster *conf);
/* No callback follows; also for a closed one. */
void cluster_link_close(struct cluster_link *l);
/* conf means the same, and the old one is about to go. */
void cluster_link_renew(struct cluster_link *l, const struct config_cluster *conf);

static inline bool cluster_link_is_up(const struct cluster_link *l)
{
	return l->state == CLUSTER_UP;
}
/* Whether Redis keeps up, so that more news may be told. */
bool cluster_link_has_room(const struct cluster_link *l);
/* While it is up. */
void cluster_link_ask(struct cluster_link *l, struct cluster_ask ask, int argc, const char **argv,
                      const size_t *len);
/* Its argc arguments follow at once (redis_link_arg()). NULL: the connection is about to end. */
struct redis_link *cluster_link_begin(struct cluster_link *l, struct cluster_ask ask, size_t argc);
/* While it is up: messages of that channel come, or do not any more. */
void cluster_link_hear(struct cluster_link *l, const char *channel, bool on);
/* Before it is closed: waits a moment for Redis to have read all commands. */
void cluster_link_finish(struct cluster_link *l);
/* Both are asked for a sign of life, now and then. */
void cluster_link_ping(struct cluster_link *l);

#endif
