/* policy.h - which server of a deployment, or of a model, takes a request.
 *
 * The fleet keeps its usable servers ordered by load and by requests in flight, so every pick
 * is O(log n) in the number of servers. */
#ifndef SLO_CORE_POLICY_H
#define SLO_CORE_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/fleet.h"
#include "core/rng.h"

enum slo_strategy {
	SLO_STRATEGY_SLO,        /* another name of SLO_STRATEGY_LEAST_LOAD_PULLING */
	SLO_STRATEGY_LEAST_LOAD, /* push: never waits */
	SLO_STRATEGY_LEAST_LOAD_PULLING,
	SLO_STRATEGY_PACK_LOAD,
	SLO_STRATEGY_LEAST_REQUEST,
	SLO_STRATEGY_RANDOM,
	SLO_STRATEGY_ADAPTIVE, /* see adaptive.h */
};
#define SLO_STRATEGIES 7

/* The names of the contract: "slo", "slo-least-load", ... False: no such strategy. */
bool policy_strategy_parse(const char *name, size_t len, enum slo_strategy *out);
const char *policy_strategy_name(enum slo_strategy s);

/* Whether requests of this strategy wait for capacity (slo, its long name, slo-pack-load,
 * slo-adaptive). */
bool policy_pulls(enum slo_strategy s);
/* Whether it ranks deployments by the SLO: the pulling ones and slo-least-load. */
bool policy_ranks(enum slo_strategy s);

/* The server of one deployment for a ranking strategy, NULL: none is usable or has room.
 *   slo, slo-least-load-pulling: smallest load, if it fits; a tie goes to the last configured
 *   slo-least-load:              smallest load, fitting or not; the same tie
 *   slo-pack-load:               largest load that fits; a tie goes to the first configured */
struct seat *policy_pick(enum slo_strategy s, struct deployment *d, slo_load load);

/* The server of all deployments with the fewest requests in flight, equal ones in turn; NULL:
 * none is usable. */
struct seat *policy_least_request(struct pool *pool);
/* Any usable server of the model, all equally likely; NULL: none is usable. */
struct seat *policy_random(const struct pool *pool, struct rng *rng);

#endif
