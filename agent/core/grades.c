#include "core/grades.h"

#include <assert.h>
#include <stdlib.h>

static int compare(struct grade *a, struct grade *b)
{
	return a->priority < b->priority ? -1 : a->priority > b->priority;
}

/* As in fleet.c: libbsd's RB_GENERATE_STATIC needs a macro that glibc's headers clash with. */
#define TREE_FUNCTIONS static __attribute__((unused))
RB_GENERATE_INTERNAL(grade_tree, grade, node, compare, TREE_FUNCTIONS)

void grades_init(struct grades *g)
{
	TAILQ_INIT(&g->usual.waiting);
	g->usual.priority = 0;
	g->usual.count = 0;
	RB_INIT(&g->tree);
	g->spare = NULL;
}

void grades_fini(struct grades *g)
{
	struct grade *grade;

	while ((grade = RB_ROOT(&g->tree))) {
		RB_REMOVE(grade_tree, &g->tree, grade);
		free(grade);
	}
	free(g->spare);
}

static struct grade *find(struct grades *g, int32_t priority)
{
	struct grade *grade;

	if (priority == 0)
		return &g->usual;
	grade = RB_ROOT(&g->tree);
	while (grade && grade->priority != priority)
		grade = priority < grade->priority ? RB_LEFT(grade, node) : RB_RIGHT(grade, node);
	return grade;
}

slo_err grades_reserve(struct grades *g, int32_t priority)
{
	if (g->spare || find(g, priority))
		return SLO_OK;
	g->spare = malloc(sizeof(*g->spare));
	return g->spare ? SLO_OK : SLO_ENOMEM;
}

void grades_add(struct grades *g, struct request *r)
{
	struct grade *grade = find(g, r->priority);

	if (!grade) {
		assert(g->spare);
		grade = g->spare;
		g->spare = NULL;
		grade->priority = r->priority;
		grade->count = 0;
		TAILQ_INIT(&grade->waiting);
		RB_INSERT(grade_tree, &g->tree, grade);
	}
	TAILQ_INSERT_TAIL(&grade->waiting, r, graded);
	grade->count++;
}

void grades_remove(struct grades *g, struct request *r)
{
	struct grade *grade = find(g, r->priority);

	TAILQ_REMOVE(&grade->waiting, r, graded);
	if (--grade->count > 0 || grade == &g->usual)
		return;
	RB_REMOVE(grade_tree, &g->tree, grade);
	free(g->spare);
	g->spare = grade;
}

const struct grade *grades_below(const struct grades *g, const struct grade *after)
{
	const struct grade *best =
	    g->usual.count > 0 && (!after || after->priority > 0) ? &g->usual : NULL;
	const struct grade *at = RB_ROOT(&g->tree);

	while (at) {
		bool below = !after || at->priority < after->priority;

		if (below && (!best || at->priority > best->priority))
			best = at;
		at = below ? RB_RIGHT(at, node) : RB_LEFT(at, node);
	}
	return best;
}

struct request *grades_least(const struct grades *g)
{
	const struct grade *grade = RB_MIN(grade_tree, (struct grade_tree *)&g->tree);

	if (!grade || (grade->priority > 0 && g->usual.count > 0))
		grade = &g->usual;
	return TAILQ_LAST(&grade->waiting, request_list);
}

static void check_grade(const struct grade *grade)
{
	const struct request *r, *before = NULL;
	size_t n = 0;

	TAILQ_FOREACH (r, &grade->waiting, graded) {
		assert(r->priority == grade->priority);
		assert(!before || before->seq < r->seq);
		before = r;
		n++;
	}
	assert(n == grade->count);
	(void)before;
}

void grades_check(const struct grades *g, size_t count)
{
	struct grade *grade;

	check_grade(&g->usual);
	assert(g->usual.count <= count);
	count -= g->usual.count;
	RB_FOREACH (grade, grade_tree, (struct grade_tree *)&g->tree) {
		check_grade(grade);
		assert(grade->priority != 0 && grade->count > 0 && grade->count <= count);
		count -= grade->count;
	}
	assert(count == 0);
}
