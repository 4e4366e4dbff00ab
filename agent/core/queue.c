#include "queue_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/adaptive.h"
#include "core/sizes.h"

void queue_init(struct queue *q, struct pool *pool, enum slo_late late)
{
	memset(q, 0, sizeof(*q));
	q->pool = pool;
	q->late = late;
	q->looked = INT64_MIN;
	q->hold = (struct queue_hold){ SLO_NEVER, SLO_NEVER };
	moments_init(&q->expiry, offsetof(struct request, expiry));
	grades_init(&q->grades);
	LIST_INIT(&q->spare);
}

static void size_free(struct size *z)
{
	for (size_t k = 0; z && k < z->levels; k++) {
		free(z->level[k]->option);
		free(z->level[k]);
	}
	free(z);
}

void queue_fini(struct queue *q)
{
	for (size_t i = 0; i < QUEUE_BUCKETS; i++)
		size_free(q->size[i]);
	for (struct size *z; (z = LIST_FIRST(&q->spare));) {
		LIST_REMOVE(z, spare);
		size_free(z);
	}
	for (size_t d = 0; d < SLO_DEPLOYMENTS_MAX; d++)
		queue_free_wants(q, d);
	free(q->head);
	free(q->slot);
	free(q->untested);
	free(q->at);
	free(q->hoped);
	moments_fini(&q->expiry);
	grades_fini(&q->grades);
}

static size_t size_class(int64_t tokens)
{
	return tokens <= 0 ? 0 : 1 + log2_round(tokens);
}

int queue_compare(const struct bucket *a, const struct bucket *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return queue_compare_arrival(a->first, b->first);
}

size_t queue_position(const struct queue *q, const struct bucket *b)
{
	size_t lo = 0, hi = q->heads;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (queue_stands_before(&q->head[mid], b))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void open_gap(struct queue *q, size_t at)
{
	size_t behind = q->heads++ - at;

	if (behind == 0)
		return;
	memmove(q->head + at + 1, q->head + at, behind * sizeof(q->head[0]));
	memmove(q->slot + at + 1, q->slot + at, behind * sizeof(q->slot[0]));
	memmove(q->untested + at + 1, q->untested + at, behind);
}

static void close_gap(struct queue *q, size_t at)
{
	size_t behind = --q->heads - at;

	if (behind == 0)
		return;
	memmove(q->head + at, q->head + at + 1, behind * sizeof(q->head[0]));
	memmove(q->slot + at, q->slot + at + 1, behind * sizeof(q->slot[0]));
	memmove(q->untested + at, q->untested + at + 1, behind);
}

/* Lines up the head of b, whose options are known, to be tried. */
static void head_enter(struct queue *q, struct bucket *b)
{
	uint32_t level = queue_level_of(b->option, b->options, q->looked);
	size_t at;

	b->open = level > 0 ? level : q->late == SLO_LATE_SERVE ? b->options : b->options > 0;
	if (b->first->strategy == SLO_STRATEGY_ADAPTIVE)
		b->open = b->options;
	b->priority = b->first->priority;
	b->start = b->first->start;
	at = queue_position(q, b);
	open_gap(q, at);
	q->head[at] = (struct head){ b->start, b->priority, b };
	q->untested[at] = 1;
	if (b->slot == QUEUE_SLOT_NONE)
		queue_take_slot(q, b);
	else if (b->blocked)
		queue_want_nothing(q, b);
	b->blocked = false;
	q->slot[at] = (uint16_t)b->slot;
}

static void head_leave(struct queue *q, struct bucket *b)
{
	size_t at = queue_position(q, b);

	assert(at < q->heads && q->head[at].bucket == b);
	close_gap(q, at);
}

static bool grow_array(void **array, size_t cap, size_t size)
{
	void *grown = reallocarray(*array, cap, size);

	if (!grown)
		return false;
	*array = grown;
	return true;
}

/* Room for as many heads as there are buckets, in all arrays. */
static bool reserve_heads(struct queue *q, size_t heads)
{
	size_t cap = q->cap;

	if (heads > cap)
		cap = cap ? 2 * cap : QUEUE_ROW;
	if (cap > q->cap &&
	    (!grow_array((void **)&q->head, cap, sizeof(q->head[0])) ||
	     !grow_array((void **)&q->slot, cap, sizeof(q->slot[0])) ||
	     !grow_array((void **)&q->untested, cap, 1) || !queue_reserve_slots(q, cap)))
		return false;
	for (size_t d = 0; d < q->pool->deployments; d++)
		if ((cap > q->cap || !q->want[d]) && !queue_reserve_wants(q, d, cap))
			return false;
	q->cap = cap;
	return true;
}

/* A bucket for each level that a request may come to, with room for as many options. */
static bool reserve_levels(struct queue *q, struct size *z)
{
	size_t levels = q->pool->deployments + 1;

	while (z->levels < levels) {
		struct bucket *b;

		if (!reserve_heads(q, q->buckets + 1))
			return false;
		b = calloc(1, sizeof(*b));
		if (!b)
			return false;
		b->size = z;
		b->slot = QUEUE_SLOT_NONE;
		q->buckets++;
		z->level[z->levels++] = b;
	}
	for (size_t k = 0; k < z->levels; k++)
		if (!grow_array((void **)&z->level[k]->option, levels, sizeof(struct rank_option)))
			return false;
	return true;
}

slo_err queue_deployment_added(struct queue *q)
{
	struct size *z;

	if (q->cap > 0 && !reserve_heads(q, q->cap))
		return SLO_ENOMEM;
	for (size_t i = 0; i < QUEUE_BUCKETS; i++)
		if (q->size[i] && !reserve_levels(q, q->size[i]))
			return SLO_ENOMEM;
	LIST_FOREACH (z, &q->spare, spare)
		if (!reserve_levels(q, z))
			return SLO_ENOMEM;
	return SLO_OK;
}

static size_t size_index(const struct request *r)
{
	return size_class(r->output) * QUEUE_SIZES + size_class(r->input);
}

/* Whether there is all that a request whose size is size[at], and what becomes of it, needs. */
static bool reserve(struct queue *q, size_t at, int32_t priority)
{
	struct size *z;

	if (moments_reserve(&q->expiry, q->length + 1) != SLO_OK ||
	    grades_reserve(&q->grades, priority) != SLO_OK)
		return false;
	if (q->size[at] || !LIST_EMPTY(&q->spare))
		return true;
	z = calloc(1, sizeof(*z));
	if (!z)
		return false;
	if (!reserve_levels(q, z)) {
		q->buckets -= z->levels;
		size_free(z);
		return false;
	}
	LIST_INSERT_HEAD(&q->spare, z, spare);
	return true;
}

static struct size *size_of(struct queue *q, size_t at)
{
	struct size **z = &q->size[at];

	if (!*z) {
		*z = LIST_FIRST(&q->spare);
		LIST_REMOVE(*z, spare);
		(*z)->at = at;
	}
	return *z;
}

static void size_left(struct queue *q, struct size *z)
{
	if (--z->count > 0)
		return;
	q->size[z->at] = NULL;
	LIST_INSERT_HEAD(&q->spare, z, spare);
}

/* Its moment among those of all queues, if they are not in order of arrival anyway. */
static void set_hold(struct queue *q, struct request *r, slo_nsec until)
{
	bool placed = r->hold != MOMENTS_NONE;

	if (placed && (until != r->until || !queue_hold_varies(&q->hold)))
		moments_drop(q->holds, r);
	r->until = until;
	if (r->hold == MOMENTS_NONE && queue_hold_varies(&q->hold))
		moments_add(q->holds, r, until);
}

/* Who comes last is found its place without a look at the others. */
static void line_up(struct bucket *b, struct request *r)
{
	if (!b->last || queue_compare_waiting(r, b->last) < 0) {
		RB_INSERT(waiting, &b->waiting, r);
		b->last = b->last ? b->last : r;
		return;
	}
	RB_SET(r, b->last, place);
	RB_RIGHT(b->last, place) = r;
	waiting_RB_INSERT_COLOR(&b->waiting, r);
	b->last = r;
}

/* Gives r, whose size is size[at], its place by what is known at q->looked. */
static void enter(struct queue *q, struct request *r, size_t at)
{
	struct rank_option option[SLO_DEPLOYMENTS_MAX];
	size_t options = rank_options(q->pool, r, option);
	uint32_t level = queue_level_of(option, options, q->looked);
	bool serve = q->late == SLO_LATE_SERVE, leads;
	struct size *z = size_of(q, at);
	struct bucket *b = z->level[serve ? level : 0];

	z->count++;
	adaptive_waits(q->pool, r, options > 0 ? &option[0] : NULL);
	r->start = options == 0 ? INT64_MIN : level == 0 && serve ? SLO_NEVER : option[0].start;
	set_hold(q, r,
	         queue_held_until(&q->hold, r->arrived, options > 0 ? option[0].start : INT64_MIN));
	r->due = queue_due(r, options);
	r->bucket = b;
	r->expiry = MOMENTS_NONE;
	if (level > 0)
		moments_add(&q->expiry, r, option[level - 1].start);
	leads = !b->first || queue_compare_waiting(r, b->first) < 0;
	if (leads && b->first)
		head_leave(q, b);
	line_up(b, r);
	if (!leads)
		return;
	b->first = r;
	b->options = (uint32_t)options;
	memcpy(b->option, option, options * sizeof(option[0]));
	head_enter(q, b);
}

static void leave(struct queue *q, struct request *r)
{
	struct bucket *b = r->bucket;
	bool head = b->first == r;

	adaptive_waits_no_more(q->pool, r);
	moments_drop(&q->expiry, r);
	if (head) {
		head_leave(q, b);
		b->first = RB_NEXT(waiting, &b->waiting, r);
	}
	if (b->last == r)
		b->last = RB_PREV(waiting, &b->waiting, r);
	RB_REMOVE(waiting, &b->waiting, r);
	size_left(q, b->size);
	if (!b->first)
		queue_give_slot(q, b);
	if (!head || !b->first)
		return;
	b->options = (uint32_t)rank_options(q->pool, b->first, b->option);
	head_enter(q, b);
}

/* Takes all requests out; a chain of them by RB_LEFT. */
static struct request *take_all(struct queue *q)
{
	struct request *chain = NULL, *r;

	for (size_t i = 0; i < q->heads; i++) {
		struct bucket *b = q->head[i].bucket;

		while ((r = RB_ROOT(&b->waiting))) {
			RB_REMOVE(waiting, &b->waiting, r);
			RB_LEFT(r, place) = chain;
			chain = r;
		}
		b->first = b->last = NULL;
	}
	queue_give_slots(q);
	for (r = chain; r; r = RB_LEFT(r, place))
		size_left(q, r->bucket->size);
	q->heads = 0;
	q->expiry.count = 0;
	q->pool->targets = (struct adaptive_targets){ 0 };
	return chain;
}

/* Once for many changes: every request gets a new place. */
static void rank_again(struct queue *q)
{
	struct request *chain = take_all(q), *next;

	q->stale = false;
	for (; chain; chain = next) {
		next = RB_LEFT(chain, place);
		enter(q, chain, size_index(chain));
	}
}

void queue_look(struct queue *q, slo_nsec now)
{
	if (now > q->looked)
		q->looked = now;
	if (q->stale)
		rank_again(q);
	for (const struct moment *m; (m = moments_first(&q->expiry)) && m->at < q->looked;) {
		struct request *r = m->request;
		size_t at = r->bucket->size->at;

		leave(q, r);
		enter(q, r, at);
	}
}

slo_err queue_push(struct queue *q, slo_nsec now, struct request *r)
{
	size_t at = size_index(r);

	if (!reserve(q, at, r->priority))
		return SLO_ENOMEM;
	queue_look(q, now); /* whether r is a head counts at once */
	r->grade = r->priority;
	r->hold = MOMENTS_NONE;
	grades_add(&q->grades, r);
	enter(q, r, at);
	q->length++;
	q->pool->waiting = true;
	return SLO_OK;
}

void queue_remove(struct queue *q, struct request *r)
{
	leave(q, r);
	grades_remove(&q->grades, r);
	if (r->hold != MOMENTS_NONE)
		moments_drop(q->holds, r);
	r->bucket = NULL;
	q->length--;
	q->pool->waiting = q->length > 0;
}

void queue_refresh(struct queue *q)
{
	q->stale = true;
}

void queue_set_late(struct queue *q, enum slo_late late)
{
	q->late = late;
	queue_refresh(q);
}

void queue_set_hold(struct queue *q, const struct queue_hold *hold, struct moments *holds)
{
	q->hold = *hold;
	q->holds = holds;
	queue_refresh(q);
}

void queue_deployment_removed(struct queue *q)
{
	/* reserve_heads() grows want[d] only for d < deployments, so the last one goes. */
	queue_free_wants(q, q->pool->deployments);
	queue_refresh(q);
}

struct bucket *queue_candidate(struct queue *q, slo_nsec now)
{
	struct pool *pool = q->pool;
	const uint8_t *untested;
	struct bucket *first;
	size_t end;

	queue_look(q, now);
	if (q->heads == 0)
		return NULL;
	untested = memchr(q->untested, 1, q->heads);
	end = untested ? (size_t)(untested - q->untested) : q->heads;
	if (fleet_has_freed(pool))
		first = queue_freed(q, end);
	else
		first = untested ? q->head[end].bucket : NULL;
	if (!first)
		fleet_looked(pool);
	return first;
}

struct request *queue_behind(struct request *r)
{
	return RB_NEXT(waiting, &r->bucket->waiting, r);
}

bool queue_was_blocked(const struct request *r)
{
	return r->bucket && queue_is_head(r) && r->bucket->blocked;
}

void queue_block(struct queue *q, struct bucket *b, slo_nsec now)
{
	size_t at = queue_position(q, b);

	assert(at < q->heads && q->head[at].bucket == b);
	q->untested[at] = 0;
	b->tried = now;
	b->blocked = true;
	fleet_watch(q->pool);
	b->frees = q->pool->frees;
	queue_want_room(q, b);
}

void queue_each(const struct queue *q, void (*visit)(void *arg, const struct request *r), void *arg)
{
	for (size_t i = 0; i < q->heads; i++) {
		struct request *r;

		RB_FOREACH (r, waiting, &q->head[i].bucket->waiting)
			visit(arg, r);
	}
}

size_t queue_before(const struct queue *q, const struct request *r, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < q->heads; i++) {
		struct request *at = q->head[i].bucket->first;

		for (size_t k = 0;
		     at && k < most && queue_compare_waiting(at, (struct request *)r) < 0; k++, n++)
			at = RB_NEXT(waiting, &q->head[i].bucket->waiting, at);
	}
	return n;
}
