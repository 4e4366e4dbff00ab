/* learned.h - promises and learned times, between the configuration, the scheduler and people. */
#ifndef SLO_IO_AGENT_LEARNED_H
#define SLO_IO_AGENT_LEARNED_H

#include "io/agent/agent.h"

/* Puts what the configuration says of them in force, whose fleet is in force already. False: memory
 * ran out on the way, and some deployments do not learn. */
bool learned_configure(struct agent *a);
/* Logs what became of learned times since the last call. Cheap when nothing did. */
void learned_watch(struct agent *a, slo_nsec now);
/* The engine of a server told its facts: the size of its cache counts for its deployments, unless
 * the configuration states it. */
void learned_cache_told(struct agent *a, const struct server *server);
/* Who says how many tokens the cache of a server of d holds: "configuration", "engine", "profile",
 * or "found" for nobody. */
const char *learned_kv_from(const struct agent_model *m, const struct deployment *d);
/* A request of m was decided without a target: says so, once. */
void learned_missed_target(struct agent *a, struct agent_model *m);

/* What a request without a target of its own is measured against in d, and who says so:
 * "configuration", "profile" or "" for nobody. */
struct goal learned_goal(const struct deployment *d, const char **who);
/* What d's times come from now: "profile", "learned" or "none". */
const char *learned_source(const struct deployment *d);
const char *learned_source_name(enum fleet_source s); /* as the configuration calls it */

#endif
