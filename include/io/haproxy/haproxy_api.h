/* haproxy_api.h - asks HAProxy's runtime API what it does with each server.
 *
 * All addresses of haproxy.runtime_api are asked at once, every haproxy.poll: that is a round. Each
 * is a connection of its own, "show info; show stat BACKEND 4 -1; ...", read until HAProxy closes
 * it, with a deadline and a bounded size. When all have answered or failed the round ends: states
 * go to the fleet, sessions to the ledger (heal.h), summed over all addresses.
 *
 * Each address is one HAProxy process, and all that ask this agent have to be named: what none of
 * them counts is taken to be over. One that is silent keeps its last view; nothing is let go until
 * it answers, or has been silent for HAPROXY_GONE. */
#ifndef SLO_IO_HAPROXY_HAPROXY_API_H
#define SLO_IO_HAPROXY_HAPROXY_API_H

#include "io/agent/agent.h"

/* How long a HAProxy process that left, or does not answer, may still serve. */
#define HAPROXY_GONE (600 * SLO_NSEC_PER_SEC)

struct haproxy_api;

/* Asks nobody until it is configured. NULL: out of memory. */
struct haproxy_api *haproxy_api_new(struct agent *a);
void haproxy_api_free(struct haproxy_api *api); /* NULL is accepted */
/* a->conf is new: asks those that it names. Those that it named before keep what is known of them.
 * A name is looked up before it is asked first and after each failure, while the loop goes on. */
void haproxy_api_configure(struct haproxy_api *api);

/* What is known of the i-th address. */
struct haproxy_api_state {
	const char *name;  /* as configured */
	bool answers;      /* in the last round that ended */
	slo_nsec age;      /* since its last answer was asked for; -1: there was none */
	uint64_t pid;      /* of the process that answered last */
	uint64_t failures; /* questions without an answer */
};
size_t haproxy_api_count(const struct haproxy_api *api); /* 0: HAProxy is not asked */
/* The process that answered last, as any agent that asks it knows it; 0: none did. */
uint64_t haproxy_api_process(const struct haproxy_api *api, size_t i);
struct haproxy_api_state haproxy_api_state(const struct haproxy_api *api, size_t i, slo_nsec now);

#endif
