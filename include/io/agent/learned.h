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
void learned_cache_came(struct agent *a, const struct server *server);
/* The tokens that the cache of every server of d holds, as engines tell; 0: none does. A server
 * that tells less than half of what is usual there does not count: the others would be used for a
 * part of what they can, while what is too much for that one waits in its engine, which is seen and
 * withheld (core/withhold.h). */
double learned_cache_told(const struct deployment *d);
#define LEARNED_CACHE_ODD 0.5
double learned_cache_usual(const struct deployment *d);
double learned_cache_of(const struct seat *seat); /* what its engine tells; 0: nothing */
bool learned_cache_is_odd(const struct seat *seat, double usual);
double learned_kv_configured(const struct agent_model *m, const struct deployment *d); /* 0: not */
/* Who says how many tokens the cache of a server of d holds: "configuration", "engine", "profile",
 * "found" for nobody, or "overruled": who did was wrong, and it is found. */
const char *learned_kv_from(const struct agent_model *m, const struct deployment *d);
/* A request of m was decided without a target: says so, once. */
void learned_missed_target(struct agent *a, struct agent_model *m);

/* What a request without a target of its own is measured against in d, and who says so:
 * "configuration", "profile" or "" for nobody. */
struct goal learned_goal(const struct deployment *d, const char **who);
/* What d's times come from now: "profile", "learned" or "none". */
const char *learned_source(const struct deployment *d);
/* Where they are to come from, as the configuration says. */
const char *learned_configured(const struct deployment *d);

#endif
