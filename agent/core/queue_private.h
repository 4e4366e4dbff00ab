/* queue_private.h - the orders of a queue, for it and its check. */
#ifndef SLO_CORE_QUEUE_PRIVATE_H
#define SLO_CORE_QUEUE_PRIVATE_H

#include "core/queue.h"

static inline int queue_compare_arrival(const struct request *x, const struct request *y)
{
	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static inline int queue_compare_waiting(struct request *x, struct request *y)
{
	if (x->grade != y->grade)
		return x->grade > y->grade ? -1 : 1;
	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	return queue_compare_arrival(x, y);
}

/* As in fleet.c: libbsd's RB_GENERATE_STATIC needs a macro that glibc's headers clash with. */
#define TREE_FUNCTIONS static __attribute__((unused))
RB_GENERATE_INTERNAL(waiting, request, place, queue_compare_waiting, TREE_FUNCTIONS)

/* The deployments in which the request can still be in time, of what rank_options() found. */
static inline uint32_t queue_level_of(const struct rank_option *option, size_t options,
                                      slo_nsec now)
{
	uint32_t level = 0;

	while (level < options && option[level].start >= now)
		level++;
	return level;
}

static inline bool queue_stands_before(const struct head *h, const struct bucket *b)
{
	if (h->priority != b->priority)
		return h->priority > b->priority;
	return h->start != b->start ? h->start < b->start : queue_compare(h->bucket, b) < 0;
}

/* Where b stands in head[], or would stand. */
size_t queue_position(const struct queue *q, const struct bucket *b);

/* Room for `cap` slots, a multiple of QUEUE_ROW, in deployment d. */
bool queue_reserve_wants(struct queue *q, size_t d, size_t cap);
/* The same in what all deployments share. */
bool queue_reserve_slots(struct queue *q, size_t cap);
void queue_free_wants(struct queue *q, size_t d);
/* b has a head from now on, or has none any more. */
void queue_take_slot(struct queue *q, struct bucket *b);
void queue_give_slot(struct queue *q, struct bucket *b);
/* Nobody has a head. */
void queue_give_slots(struct queue *q);
/* The head of b was not tried yet: nothing frees it. */
void queue_want_nothing(struct queue *q, const struct bucket *b);
/* The head of b is blocked: new room in its open options frees it. */
void queue_want_room(struct queue *q, struct bucket *b);
/* The first of those whom new room may free, or head[end] if none stands before that; NULL: there
 * is neither. */
struct bucket *queue_freed(struct queue *q, size_t end);

#endif
