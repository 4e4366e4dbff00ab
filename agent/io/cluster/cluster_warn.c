/* What is wrong with a cluster for as long as it comes again and again: too much of others, and
 * what Redis does not let our user do. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cluster_private.h"
#include "io/agent/warn.h"

#define FULL_FOR    (10 * SLO_NSEC_PER_SEC) /* after so long without a loss nothing is full */
#define DENIED      "cluster-denied"
#define DENIED_FOR  (60 * SLO_NSEC_PER_SEC) /* likewise; some are asked for seldom */
#define COMMAND_MAX 48

/* Full */

static void tell_full(struct cluster *c, slo_nsec now, enum cluster_fulls what)
{
	if (what == FULL_REQUESTS)
		warn_set(c->agent, now, "cluster-full", "requests",
		         "cluster: others have more than %zu open requests: the rest is not "
		         "charged here; raise limits.foreign_requests, or find who publishes them",
		         c->agent->conf->limits.foreign_requests);
	else
		warn_set(c->agent, now, "cluster-full", "agents",
		         "cluster: more than %d names of agents are in group %s: the others are "
		         "not heard; find who publishes them",
		         PEERS_MAX, c->group);
}

void cluster_is_full(struct cluster *c, slo_nsec now, enum cluster_fulls what)
{
	struct cluster_full *full = &c->full[what];

	full->count++;
	full->last = now;
	if (!full->told)
		tell_full(c, now, what);
	full->told = true;
}

/* Said again as long as it is so: somebody may clear the warnings. */
static void watch_full(struct cluster *c, slo_nsec now)
{
	static const char *const what[CLUSTER_FULLS] = { "requests", "agents" };

	for (enum cluster_fulls i = 0; i < CLUSTER_FULLS; i++) {
		struct cluster_full *full = &c->full[i];

		if (!full->told)
			continue;
		full->told = now - full->last < FULL_FOR;
		if (full->told)
			tell_full(c, now, i);
		else
			warn_clear(c->agent, now, "cluster-full", what[i]);
	}
}

/* Denied */

#define NOT_TOLD "others do not hear of all requests of this agent"
#define DEAF     "this agent does not hear of the requests of others"

static const struct {
	const char *command, *follows;
} asked[] = {
	[ASK_NOTHING] = { "HSET, HDEL, DEL, EXPIRE, SADD or SREM", NOT_TOLD },
	[ASK_TOLD] = { "PUBLISH", NOT_TOLD },
	[ASK_STORED] = { "HSET", NOT_TOLD },
	[ASK_KEPT] = { "EXPIRE", NOT_TOLD },
	[ASK_NAMESAKES] = { "PUBSUB", "this agent cannot see whether another has its name" },
	[ASK_MEMBERS] = { "SSCAN", DEAF },
	[ASK_MARK] = { "HGET", DEAF },
	[ASK_LIFE] = { "PTTL", DEAF },
	[ASK_PAGE] = { "HSCAN", DEAF },
	[ASK_CHANNEL] = { "SUBSCRIBE or UNSUBSCRIBE", DEAF },
};

/* The command in quotes, if the error names one: "... to run the 'sscan' command". */
static void command_of(const char *error, const char *otherwise, char out[COMMAND_MAX])
{
	const char *from = strchr(error, '\''), *to = from ? strchr(from + 1, '\'') : NULL;
	size_t len = to ? (size_t)(to - from - 1) : 0;

	if (len == 0 || len >= COMMAND_MAX) {
		snprintf(out, COMMAND_MAX, "%s", otherwise);
		return;
	}
	len = strcspn(from + 1, "'|"); /* "pubsub|numsub" is a part of PUBSUB */
	for (size_t i = 0; i < len; i++)
		out[i] = (char)toupper((unsigned char)from[1 + i]);
	out[len] = '\0';
}

bool cluster_denied(struct cluster *c, slo_nsec now, enum ask_kind kind, const char *error)
{
	const char *user = c->link.url.user[0] ? c->link.url.user : "default";
	char command[COMMAND_MAX];

	if (!redis_link_is_denied(error))
		return false;
	command_of(error, asked[kind].command, command);
	c->some_denied = true;
	warn_set(c->agent, now, DENIED, command,
	         "cluster: Redis does not let user %.64s do %s (%.110s), so %s; allow it: ACL "
	         "SETUSER %.64s ~slo-spoa:%s:* &slo-spoa:%s:* +select +subscribe +unsubscribe "
	         "+publish +pubsub +ping +hset +hdel +hget +hscan +del +expire +pttl +sadd +srem "
	         "+sscan",
	         user, command, strstr(error, "NOPERM"), asked[kind].follows, user, c->group,
	         c->group);
	return true;
}

void cluster_allowed(struct cluster *c, slo_nsec now, enum ask_kind kind)
{
	/* ASK_NOTHING: it may have been another command, or key, than what was denied. */
	if (c->some_denied && kind != ASK_NOTHING)
		warn_clear(c->agent, now, DENIED,
		           kind == ASK_CHANNEL ? "SUBSCRIBE" : asked[kind].command);
}

/* Both */

void cluster_warn_watch(struct cluster *c, slo_nsec now)
{
	watch_full(c, now);
	if (cluster_link_is_up(&c->link))
		warn_clear_older(c->agent, now, DENIED, now - DENIED_FOR);
}

void cluster_warn_stop(struct cluster *c, slo_nsec now)
{
	warn_clear_all(c->agent, now, DENIED);
	warn_clear_all(c->agent, now, "cluster-full");
	memset(c->full, 0, sizeof(c->full));
}
