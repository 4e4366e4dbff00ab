/* What always holds of a queue. */
#include <assert.h>

#include "queue_private.h"

static size_t check_bucket(const struct queue *q, const struct bucket *b, size_t level)
{
	const struct request *before = NULL;
	struct request *r;
	size_t n = 0;

	RB_FOREACH (r, waiting, (struct waiting *)&b->waiting) {
		struct rank_option option[SLO_DEPLOYMENTS_MAX];
		size_t options = rank_options(q->pool, r, option);
		uint32_t now = queue_level_of(option, options, q->looked);

		assert(r->state == REQUEST_QUEUED && r->bucket == b);
		assert(before ? queue_compare_waiting((struct request *)before, r) < 0
		              : r == b->first);
		assert(q->stale || level == (q->late == SLO_LATE_SERVE ? now : 0));
		assert(q->stale || (r->expiry == MOMENTS_NONE) == (now == 0));
		before = r;
		n++;
	}
	assert((n == 0) == (b->first == NULL));
	assert(b->last == before);
	assert(n == 0 || b->priority == b->first->priority);
	assert(n == 0 ||
	       (b->start == b->first->start && q->head[queue_position(q, b)].bucket == b));
	return n;
}

/* Nothing frees a head that was not tried, nor is anything kept of nobody's. */
static void check_want(const struct queue *q, size_t d, size_t slot)
{
	const struct queue_rough *rough = &q->rough[d][slot / QUEUE_ROW];

	if (slot < q->slots && q->at[slot]->blocked)
		return;
	assert(q->want[d][slot].need == QUEUE_NEED_NONE);
	assert(rough->work[slot % QUEUE_ROW] < 0);
	(void)rough;
}

static void check_slots(const struct queue *q)
{
	for (size_t i = 0; i < q->heads; i++) {
		assert(q->head[i].bucket->slot == q->slot[i]);
		assert(q->at[q->slot[i]] == q->head[i].bucket);
		assert(q->untested[i] || q->head[i].bucket->blocked);
	}
	assert(q->slots == q->heads);
	for (size_t d = 0; d < q->pool->deployments; d++)
		for (size_t slot = 0; q->want[d] && slot < q->cap; slot++)
			check_want(q, d, slot);
}

void queue_check(const struct queue *q)
{
	size_t length = 0, heads = 0;

	for (size_t i = 0; i < QUEUE_BUCKETS; i++) {
		size_t count = 0;

		for (size_t k = 0; q->size[i] && k < q->size[i]->levels; k++) {
			size_t n = check_bucket(q, q->size[i]->level[k], k);

			count += n;
			heads += n > 0;
		}
		assert(q->size[i] ? count > 0 && count == q->size[i]->count : count == 0);
		assert(!q->size[i] || q->size[i]->at == i);
		length += count;
	}
	for (size_t i = 1; i < q->heads; i++)
		assert(queue_stands_before(&q->head[i - 1], q->head[i].bucket));
	check_slots(q);
	moments_check(&q->expiry);
	grades_check(&q->grades, q->length);
	assert(length == q->length && heads == q->heads);
}
