#include "core/policy.h"

#include <string.h>

static const struct {
	const char *name;
	bool pulls, ranks;
} strategies[SLO_STRATEGIES] = {
	[SLO_STRATEGY_SLO] = { "slo", true, true },
	[SLO_STRATEGY_LEAST_LOAD] = { "slo-least-load", false, true },
	[SLO_STRATEGY_LEAST_LOAD_PULLING] = { "slo-least-load-pulling", true, true },
	[SLO_STRATEGY_PACK_LOAD] = { "slo-pack-load", true, true },
	[SLO_STRATEGY_LEAST_REQUEST] = { "least-request", false, false },
	[SLO_STRATEGY_RANDOM] = { "random", false, false },
	[SLO_STRATEGY_ADAPTIVE] = { "slo-adaptive", true, true },
};

bool policy_strategy_parse(const char *name, size_t len, enum slo_strategy *out)
{
	for (int i = 0; i < SLO_STRATEGIES; i++) {
		if (strlen(strategies[i].name) == len &&
		    memcmp(strategies[i].name, name, len) == 0) {
			*out = (enum slo_strategy)i;
			return true;
		}
	}
	return false;
}

const char *policy_strategy_name(enum slo_strategy s)
{
	return strategies[s].name;
}

bool policy_pulls(enum slo_strategy s)
{
	return strategies[s].pulls;
}

bool policy_ranks(enum slo_strategy s)
{
	return strategies[s].ranks;
}

struct seat *policy_pick(enum slo_strategy s, struct deployment *d, slo_load load)
{
	struct seat *seat;

	if (s == SLO_STRATEGY_PACK_LOAD) {
		/* What does not fit into a whole server fits only on an idle one, and those
		 * are the servers at 0. */
		return fleet_fullest_seat(d, load <= SLO_LOAD_ONE ? SLO_LOAD_ONE - load : 0);
	}
	seat = fleet_emptiest_seat(d);
	if (seat && s != SLO_STRATEGY_LEAST_LOAD && !ledger_fits(seat->server->ledger.used, load))
		return NULL;
	return seat;
}

struct seat *policy_least_request(struct pool *pool)
{
	return fleet_fewest_requests(pool);
}

struct seat *policy_random(const struct pool *pool, struct rng *rng)
{
	return pool->usable ? pool->usable_seat[rng_below(rng, pool->usable)] : NULL;
}
