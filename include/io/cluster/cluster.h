/* cluster.h - the agents of a group hear of each other's requests, through Redis.
 *
 * What this agent places and what ends is published; what others place is charged here like our own
 * (core/foreign.h). So all decide by what runs on the whole fleet. Nothing waits for Redis: what it
 * does not take is kept for a while, and then told anew from the ledger.
 *
 *     slo-spoa:GROUP:news            channel: signs of life of all agents (wire/news.h)
 *     slo-spoa:GROUP:news:NAME       channel: what that agent places and what ends
 *     slo-spoa:GROUP:agent:NAME      channel: somebody is here by that name
 *     slo-spoa:GROUP:leases:NAME     hash: the open requests of that agent; expires
 *     slo-spoa:GROUP:agents          set: the names of all agents; expires
 *
 * An agent that starts reads the keys of the others before it says that it is ready, or gives up
 * after CLUSTER_JOIN. Messages are numbered: after a gap, and after each time that this agent or
 * the other one was away from Redis, the key is read again. What an agent placed stays charged
 * after its death until somebody knows of its end; the key keeps it for who joins. */
#ifndef SLO_IO_CLUSTER_CLUSTER_H
#define SLO_IO_CLUSTER_CLUSTER_H

#include "io/agent/agent.h"
#include "io/haproxy/haproxy_api.h"

#define CLUSTER_BEAT     (500 * SLO_NSEC_PER_MSEC) /* between two signs of life */
#define CLUSTER_TURN     (3 * SLO_NSEC_PER_MSEC)   /* a message and its answer, and some time */
#define CLUSTER_TURNS    (100 * SLO_NSEC_PER_MSEC) /* of all, where messages are slow */
#define CLUSTER_SILENT   (2 * SLO_NSEC_PER_SEC)    /* without one an agent is silent */
#define CLUSTER_JOIN     (3 * SLO_NSEC_PER_SEC)    /* to wait for Redis at start */
#define CLUSTER_NAMESAKE (1 * SLO_NSEC_PER_SEC)    /* to wait for one to answer */
#define CLUSTER_KEEP     (600 * SLO_NSEC_PER_SEC)  /* for which a key outlives its agent */

struct cluster;

/* Does nothing until it is configured. NULL: out of memory. */
struct cluster *cluster_new(struct agent *a, const struct haproxy_api *haproxy);
void cluster_free(struct cluster *c); /* NULL is accepted */
/* a->conf is new; the configuration before it must still live. */
void cluster_configure(struct cluster *c);
/* Another process takes over our name: nothing is told or heard any more. */
void cluster_stop(struct cluster *c);

struct cluster_status {
	bool configured, connected, joined;
	bool refused; /* another process has our name, so nothing is told */
	const char *name, *group;
	const char *error; /* why it is not connected; "": nothing is wrong */
	char url[REDIS_URL_TEXT_MAX];
	uint64_t connections, told, heard, lost, malformed, rewrites;
	uint64_t full_requests, full_agents; /* that found no place */
	uint64_t unknown;              /* requests of others for servers that we do not have */
	const struct histogram *delay; /* from telling a message until Redis has handed it out, s */
	slo_nsec longest;              /* work on replies or messages in one turn of the loop */
};
struct cluster_status cluster_status(const struct cluster *c);

/* Another agent. */
struct cluster_peer_status {
	const char *name;
	slo_nsec age; /* since it was heard; -1: it was not, since we know of it */
	bool self;    /* former lives of this one, or another process of our name */
	bool silent, visible;
	size_t leases;
	uint64_t incarnation, number, gaps, resyncs;
};
/* False: there is no i-th. */
bool cluster_peer_status(const struct cluster *c, size_t i, struct cluster_peer_status *out);

#endif
