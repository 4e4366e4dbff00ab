/* failing.h - servers that fail are set aside for a while.
 *
 * A server that answers every request with an error at once is always idle, so every strategy would
 * send it everything, and HAProxy's check of /health may see nothing wrong. So:
 *
 *   FINE --some failures in a row--> ASIDE --back-off over--> TRIAL --next request--> TRYING
 *    ^                                ^                                                 |
 *    |                                +----------------- it fails: twice the back-off --+
 *    +-------------------------------- it is answered, or still runs after a while -----+
 *
 * ASIDE and TRYING get no requests. At least half of the servers of a model that HAProxy would use
 * stay in use: what fails everywhere is the requests' fault, and no client can set a fleet aside. A
 * model that has no other server left takes its own back. HAProxy's news that a server is UP clears
 * it. A restart forgets. */
#ifndef SLO_IO_AGENT_FAILING_H
#define SLO_IO_AGENT_FAILING_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "slo.h"

struct agent;
struct roster_server;

enum failing_state { FAILING_FINE, FAILING_ASIDE, FAILING_TRIAL, FAILING_TRYING };

struct failing {
	enum failing_state state;
	TAILQ_ENTRY(roster_server) link; /* all but FINE, in a->failing */
	unsigned streak;                 /* failures since the last answer */
	slo_nsec backoff;                /* the last one; 0: none yet */
	slo_nsec until;                  /* of ASIDE and TRYING */
	uint64_t times;                  /* set aside so far */
};
TAILQ_HEAD(failing_servers, roster_server);

struct failing_list {
	struct failing_servers servers;
	ev_timer timer; /* the next `until` */
	bool changed;   /* who is used: some model may have nobody left */
};

void failing_init(struct agent *a);
void failing_fini(struct agent *a);

/* A request on s failed by the server's fault, with that status (-1: none). */
void failing_failed(struct agent *a, slo_nsec now, struct roster_server *s, int64_t status);
/* A request on s was completed. */
void failing_answered(struct agent *a, slo_nsec now, struct roster_server *s);
/* A request goes to s. */
void failing_dispatched(struct agent *a, slo_nsec now, struct roster_server *s);
/* s is about to go. */
void failing_forget(struct agent *a, struct roster_server *s);
/* It is as if s had never failed. */
void failing_forgive(struct agent *a, struct roster_server *s);
/* Takes servers back for models that have no other one left. Looks only when it was told that who
 * is used has changed: there may be thousands, and this is called in each turn. */
void failing_relieve(struct agent *a);
/* Whether s may get requests, as far as its failures go. */
bool failing_may_serve(const struct roster_server *s);

#endif
