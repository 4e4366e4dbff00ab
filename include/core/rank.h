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
	slo_nsec span;       /* from its creation on, that its target allows */
	slo_load load;       /* what it would be charged */
	uint32_t deployment; /* index in the model */
	bool infeasible;     /* the profile says throughput 0 */
	bool ttft;           /* its target is a time to the first token */
};

/* What becomes of a request that is late: its latest start has passed in every deployment. */
enum slo_late {
	SLO_LATE_HOLD,   /* it waits for its most relaxed deployment: AIBrix's rule */
	SLO_LATE_REJECT, /* it is refused */
	SLO_LATE_SERVE,  /* it goes to any deployment, behind those that can be in time */
};
#define SLO_LATES 3

/* Whether the i-th option may be used now: the first always, the others while they are not late, or
 * all of them once the request is late and to be served. */
static inline bool rank_open(const struct rank_option *option, size_t i, slo_nsec now,
                             enum slo_late late)
{
	return i == 0 || option[i].start >= now ||
	       (late == SLO_LATE_SERVE && option[0].start < now);
}

/* Fills options (SLO_DEPLOYMENTS_MAX of them) with the deployments that have a usable server and
 * a rank, ascending rank, ties in configuration order. Returns how many. */
size_t rank_options(const struct pool *pool, const struct request *r, struct rank_option *options);

/* Whether a deployment with a usable server and a target says throughput 0 for this request. */
bool rank_infeasible(const struct pool *pool, const struct request *r);

/* What one deployment charges for this request, target or not; 0 without a usable cell. */
slo_load rank_load(const struct deployment *d, const struct request *r);

/* Whether r, alone on a server of d, keeps its target by what was learned. */
bool rank_alone_in_time(const struct deployment *d, const struct request *r, slo_nsec now);
/* The same behind all that runs on that server. */
bool rank_behind_in_time(const struct deployment *d, const struct server *server,
                         const struct request *r, slo_nsec now);

/* What one deployment charges for a request of slo-adaptive: its share of a server's cache. */
slo_load rank_share(const struct deployment *d, const struct request *r);

/* What a request of d that brings no target is to meet. */
const struct goal *rank_usual_goal(const struct deployment *d);
/* The goal and size of a request seen from one deployment. */
struct goal rank_goal(const struct deployment *d, const struct request *r);

#endif
