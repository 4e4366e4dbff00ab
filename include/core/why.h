/* why.h - what a decision weighed, written down while it is made, for whoever explains it.
 *
 * A scheduler that explains (sched_explain()) keeps this about the last answer of a step. It costs
 * a request some dozens of instructions; a scheduler that does not explain only asks whether. What
 * is decided is the same either way. */
#ifndef SLO_CORE_WHY_H
#define SLO_CORE_WHY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/rank.h"

#define WHY_OPTIONS 4 /* deployments that are written down; the chosen one is always among them */
#define WHY_NONE    WHY_OPTIONS /* in the place of an index */

struct sched;

/* The deployments by their rank, most slack first; none where no rank decided. */
struct why {
	struct rank_option option[WHY_OPTIONS];
	slo_load used[WHY_OPTIONS]; /* of its emptiest server, where why_is_full() */
	size_t options;
	size_t ranked; /* deployments in all */
	size_t chosen; /* WHY_NONE: no server was chosen by rank */
};

/* What came of a deployment. */
enum why_mark {
	WHY_CHOSEN,
	WHY_FULL,       /* none of its servers had room for the request */
	WHY_INFEASIBLE, /* by its profile or learned times the target cannot be met */
	WHY_NOT_ASKED,  /* the chosen one has more slack */
	WHY_LATE,       /* the request would be late there, so it is not asked */
	WHY_WORSE,      /* of slo-adaptive: it would add more lateness to all */
};
#define WHY_MARKS 6

const char *why_mark_name(enum why_mark m); /* "chosen", "full", ... */
/* Of the i-th option, of which its start and whether it is feasible are known. first: the start of
 * option 0. */
enum why_mark why_mark(size_t i, size_t chosen, const struct rank_option *option, slo_nsec first,
                       slo_nsec now, enum slo_late late);

/* From now on decisions are written down, or not any more. */
void sched_explain(struct sched *s, bool on);
/* About the answer that sched_step() or sched_let_go() gave last; valid until the next call. */
const struct why *sched_why(const struct sched *s);
/* What would be weighed for a waiting request now. */
void sched_why_waits(struct sched *s, const struct request *r, struct why *out);
/* How many of its model go before r, which waits; at most `most` are counted in each bucket. */
size_t sched_before(const struct request *r, size_t most);

#endif
