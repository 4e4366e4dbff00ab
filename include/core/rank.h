/* rank.h - in which deployments a request may run, the most relaxed first.
 *
 * The rank of a request in a deployment is (now - created) + expected - target; above 0 it is
 * expected to miss. As now moves all ranks alike, what is kept is the moment at which the rank
 * passes 0: the latest moment to start. */
#ifndef SLO_CORE_RANK_H
#define SLO_CORE_RANK_H

#include "core/request.h"

struct rank_option {
	slo_nsec start;      /* latest moment to start here and still meet the target */
	slo_load load;       /* what it would be charged */
	uint32_t deployment; /* index in the model */
	bool infeasible;     /* the profile says throughput 0 */
};

/* Fills options (SLO_DEPLOYMENTS_MAX of them) with the deployments that have a usable server and
 * a rank, ascending rank, ties in configuration order. Returns how many. */
size_t rank_options(const struct model *m, const struct request *r, struct rank_option *options);

/* Whether a deployment with a usable server and a target says throughput 0 for this request. */
bool rank_infeasible(const struct model *m, const struct request *r);

/* What one deployment charges for this request, target or not; 0 without a usable cell. */
slo_load rank_load(const struct deployment *d, const struct request *r);

/* The goal and size of a request seen from one deployment. */
struct goal rank_goal(const struct deployment *d, const struct request *r);

#endif
