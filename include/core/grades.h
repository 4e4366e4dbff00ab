/* grades.h - those who wait in one queue, by their priority and, in each grade, by arrival: who is
 * to go if there are too many.
 *
 * Most requests have priority 0: their grade is always there. Another one takes the spare. */
#ifndef SLO_CORE_GRADES_H
#define SLO_CORE_GRADES_H

#include <bsd/sys/tree.h>

#include "core/request.h"

struct grade {
	RB_ENTRY(grade) node;
	int32_t priority;
	struct request_list waiting; /* in order of arrival, by `graded` */
	size_t count;
};
RB_HEAD(grade_tree, grade);

struct grades {
	struct grade usual;     /* of priority 0; in no tree */
	struct grade_tree tree; /* the others, without empty ones */
	struct grade *spare;    /* NULL: none */
};

void grades_init(struct grades *g);
void grades_fini(struct grades *g);
/* What one more request of that priority may need. SLO_ENOMEM: nothing changed. */
MUSTCHECK slo_err grades_reserve(struct grades *g, int32_t priority);
/* It came after all others, and there is what it needs. */
void grades_add(struct grades *g, struct request *r);
void grades_remove(struct grades *g, struct request *r);
/* The grade with the next lower priority in which requests wait; after NULL: the highest. NULL:
 * there is none. */
const struct grade *grades_below(const struct grades *g, const struct grade *after);
/* The last that came of those of the least priority. NULL: there is none. */
struct request *grades_least(const struct grades *g);

void grades_check(const struct grades *g, size_t count);

#endif
