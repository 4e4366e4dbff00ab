/* redis_client.h - profiles from Redis, and what was requested to it.
 *
 * At start and every `refresh` it scans for keys of profiles, asks for the values of those that
 * are ours, and puts them in force. Nothing waits for it: without Redis the agent starts and
 * works, and when Redis goes the last profiles stay. It tries again after 0.1 s, then twice as
 * long each time up to 5 s, with jitter; a complete scan begins that anew.
 *
 * Work is done in slices of a millisecond (redis_link.h), between which the loop serves others. */
#ifndef SLO_IO_REDIS_REDIS_CLIENT_H
#define SLO_IO_REDIS_REDIS_CLIENT_H

#include "io/agent/agent.h"
#include "io/redis/redis_round.h"

struct redis_client;

/* Does nothing until it is configured. NULL: out of memory. */
struct redis_client *redis_client_new(struct agent *a);
void redis_client_free(struct redis_client *c); /* NULL is accepted */

/* a->conf is new, or the fleet; the configuration before it must still live. Connects anew, when
 * the loop runs, if Redis is another one, and scans at once. */
void redis_client_configure(struct redis_client *c);

struct redis_status {
	char url[REDIS_URL_TEXT_MAX]; /* without user and password; "": not configured */
	bool connected;
	char error[256];          /* why not; "": nothing is wrong */
	double success_age;       /* seconds since a complete scan; -1: none yet */
	uint64_t scans;           /* complete ones */
	uint64_t connections;     /* that were up */
	uint64_t traces;          /* request traces written */
	uint64_t trace_errors;    /* not written */
	struct redis_found found; /* by the last complete scan */
	slo_nsec longest;         /* slice since the start */
};

void redis_client_status(const struct redis_client *c, struct redis_status *out);
/* Whether the profile in force of a deployment came from Redis. */
bool redis_client_gave(const struct redis_client *c, const struct agent_model *m,
                       const struct deployment *d);

#endif
