#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sizes.h"

#define NEED_NONE UINT64_MAX
/* An idle server takes anything. */
#define ROOM_ANY  (UINT64_MAX - 1)

void queue_init(struct queue *q, struct model *model)
{
	memset(q, 0, sizeof(*q));
	q->model = model;
}

void queue_fini(struct queue *q)
{
	for (size_t i = 0; i < QUEUE_BUCKETS; i++)
		free(q->bucket[i]);
	for (size_t d = 0; d < SLO_DEPLOYMENTS_MAX; d++)
		free(q->need[d]);
	free(q->head);
	free(q->slot);
	free(q->untested);
}

static size_t size_class(int64_t tokens)
{
	return tokens <= 0 ? 0 : 1 + log2_round(tokens);
}

int queue_compare(const struct bucket *a, const struct bucket *b)
{
	const struct request *x = TAILQ_FIRST(&a->fifo), *y = TAILQ_FIRST(&b->fifo);

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return 0;
}

static bool stands_before(const struct head *h, const struct bucket *b)
{
	return h->start != b->start ? h->start < b->start : queue_compare(h->bucket, b) < 0;
}

/* Where b stands in head[], or would stand. */
static size_t position(const struct queue *q, const struct bucket *b)
{
	size_t lo = 0, hi = q->heads;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (stands_before(&q->head[mid], b))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void open_gap(struct queue *q, size_t at)
{
	size_t behind = q->heads - at;

	memmove(q->head + at + 1, q->head + at, behind * sizeof(q->head[0]));
	memmove(q->slot + at + 1, q->slot + at, behind * sizeof(q->slot[0]));
	memmove(q->untested + at + 1, q->untested + at, behind);
	q->heads++;
}

static void close_gap(struct queue *q, size_t at)
{
	size_t behind = q->heads - at - 1;

	memmove(q->head + at, q->head + at + 1, behind * sizeof(q->head[0]));
	memmove(q->slot + at, q->slot + at + 1, behind * sizeof(q->slot[0]));
	memmove(q->untested + at, q->untested + at + 1, behind);
	q->heads--;
}

static void head_rank(struct queue *q, struct bucket *b)
{
	b->options = (uint32_t)rank_options(q->model, TAILQ_FIRST(&b->fifo), b->option);
	b->start = b->options ? b->option[0].start : INT64_MIN;
	b->expires = SLO_NEVER;
}

/* Ranks the head of b and lines it up, to be tried. */
static void head_enter(struct queue *q, struct bucket *b)
{
	size_t at;

	head_rank(q, b);
	at = position(q, b);
	open_gap(q, at);
	q->head[at] = (struct head){ b->start, b };
	q->slot[at] = (uint16_t)b->slot;
	q->untested[at] = 1;
	for (size_t d = 0; d < q->model->deployments; d++)
		q->need[d][b->slot] = NEED_NONE;
}

static void head_leave(struct queue *q, struct bucket *b)
{
	size_t at = position(q, b);

	assert(at < q->heads && q->head[at].bucket == b);
	q->fragile -= b->expires != SLO_NEVER;
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
		cap = cap ? 2 * cap : 16;
	if (cap > q->cap && (!grow_array((void **)&q->head, cap, sizeof(q->head[0])) ||
	                     !grow_array((void **)&q->slot, cap, sizeof(q->slot[0])) ||
	                     !grow_array((void **)&q->untested, cap, 1)))
		return false;
	for (size_t d = 0; d < q->model->deployments; d++) {
		if ((cap > q->cap || !q->need[d]) &&
		    !grow_array((void **)&q->need[d], cap, sizeof(slo_load)))
			return false;
	}
	q->cap = cap;
	return true;
}

slo_err queue_deployment_added(struct queue *q)
{
	return q->cap == 0 || reserve_heads(q, q->cap) ? SLO_OK : SLO_ENOMEM;
}

static struct bucket *bucket_of(struct queue *q, const struct request *r)
{
	size_t i = size_class(r->output) * QUEUE_SIZES + size_class(r->input);
	struct bucket *b = q->bucket[i];

	if (b || !reserve_heads(q, q->buckets + 1))
		return b;
	b = malloc(sizeof(*b));
	if (!b)
		return NULL;
	TAILQ_INIT(&b->fifo);
	b->slot = (uint32_t)q->buckets++;
	q->bucket[i] = b;
	return b;
}

slo_err queue_push(struct queue *q, struct request *r)
{
	struct bucket *b = bucket_of(q, r);
	bool head;

	if (!b)
		return SLO_ENOMEM;
	head = TAILQ_EMPTY(&b->fifo);
	TAILQ_INSERT_TAIL(&b->fifo, r, fifo);
	r->bucket = b;
	q->length++;
	if (head)
		head_enter(q, b);
	return SLO_OK;
}

void queue_remove(struct queue *q, struct request *r)
{
	struct bucket *b = r->bucket;
	bool head = TAILQ_FIRST(&b->fifo) == r;

	if (head)
		head_leave(q, b);
	TAILQ_REMOVE(&b->fifo, r, fifo);
	r->bucket = NULL;
	q->length--;
	if (head && !TAILQ_EMPTY(&b->fifo))
		head_enter(q, b);
}

void queue_refresh(struct queue *q)
{
	q->stale = true;
}

void queue_deployment_removed(struct queue *q)
{
	/* Whatever need[] has no deployment does not grow with the others. */
	free(q->need[q->model->deployments]);
	q->need[q->model->deployments] = NULL;
	queue_refresh(q);
}

/* Once for many changes: where the heads stand, and who they are, does not depend on the fleet. */
static void rank_again(struct queue *q)
{
	size_t n = q->heads;

	/* Inserts them one by one into the part in front, which is sorted anew. */
	q->stale = false;
	q->heads = 0;
	q->fragile = 0;
	for (size_t i = 0; i < n; i++)
		head_enter(q, q->head[i].bucket);
}

static slo_load room_in(const struct deployment *d)
{
	const struct seat *seat = fleet_emptiest_seat(d);
	slo_load used;

	if (!seat)
		return 0;
	used = seat->server->ledger.used;
	if (used == 0)
		return ROOM_ANY;
	return used <= SLO_LOAD_ONE ? SLO_LOAD_ONE - used : 0;
}

static bool has_room(const struct deployment *d)
{
	const struct seat *seat = fleet_emptiest_seat(d);

	return seat && seat->server->ledger.used <= SLO_LOAD_ONE;
}

/* The first option may always be used, the others only while they are not late. */
static bool option_open(const struct bucket *b, size_t i, slo_nsec now)
{
	return i == 0 || b->option[i].start >= now;
}

/* Whether the head still has d among the options that it would be tried in now. */
static bool waits_for(const struct bucket *b, uint32_t d, slo_nsec now)
{
	for (size_t i = 0; i < b->options; i++)
		if (b->option[i].deployment == d)
			return option_open(b, i, now);
	return false;
}

/* The first blocked head before `end` that fits into the new room of d, or end. */
static size_t first_fitting(struct queue *q, const struct deployment *d, size_t end, slo_nsec now)
{
	slo_load *need = q->need[d->index];
	slo_load room = room_in(d);

	if (!has_room(d))
		return end;
	for (size_t i = 0; i < end; i++) {
		slo_load *needed = &need[q->slot[i]];

		if (*needed > room)
			continue;
		if (waits_for(q->head[i].bucket, d->index, now))
			return i;
		*needed = NEED_NONE; /* too late for d, and it only gets later */
	}
	return end;
}

static size_t first_expired(const struct queue *q, size_t end, slo_nsec now)
{
	for (size_t i = 0; i < end; i++)
		if (q->head[i].bucket->expires < now)
			return i;
	return end;
}

struct bucket *queue_candidate(struct queue *q, slo_nsec now, bool late)
{
	struct model *m = q->model;
	const uint8_t *untested;
	size_t end;

	if (q->stale)
		rank_again(q);
	end = q->heads;
	if (end == 0)
		return NULL;
	if (late && q->head[0].start < now)
		return q->head[0].bucket;
	untested = memchr(q->untested, 1, end);
	if (untested)
		end = (size_t)(untested - q->untested);
	if (q->fragile)
		end = first_expired(q, end, now);
	for (size_t i = 0; i < m->deployments; i++) {
		if (m->deployment[i]->freed)
			end = first_fitting(q, m->deployment[i], end, now);
	}
	if (end < q->heads)
		return q->head[end].bucket;
	for (size_t i = 0; i < m->deployments; i++)
		m->deployment[i]->freed = false;
	return NULL;
}

void queue_block(struct queue *q, struct bucket *b, slo_nsec now)
{
	size_t at = position(q, b);
	slo_nsec expires = SLO_NEVER;

	assert(at < q->heads && q->head[at].bucket == b);
	q->untested[at] = 0;
	b->tried = now;
	for (size_t d = 0; d < q->model->deployments; d++)
		q->need[d][b->slot] = NEED_NONE;
	for (size_t i = 0; i < b->options && option_open(b, i, now); i++) {
		const struct rank_option *o = &b->option[i];

		if (o->infeasible)
			continue;
		q->need[o->deployment][b->slot] = o->load;
		if (i > 0 && expires == SLO_NEVER && b->option[0].infeasible)
			expires = o->start;
	}
	q->fragile -= b->expires != SLO_NEVER;
	b->expires = expires;
	q->fragile += expires != SLO_NEVER;
}

void queue_check(const struct queue *q)
{
	size_t length = 0, heads = 0, fragile = 0;

	for (size_t i = 0; i < QUEUE_BUCKETS; i++) {
		const struct bucket *b = q->bucket[i];
		const struct request *r;

		if (!b || TAILQ_EMPTY(&b->fifo))
			continue;
		heads++;
		assert(q->head[position(q, b)].bucket == b);
		TAILQ_FOREACH (r, &b->fifo, fifo) {
			assert(r->state == REQUEST_QUEUED && r->bucket == b);
			length++;
		}
	}
	for (size_t i = 0; i < q->heads; i++) {
		assert(i == 0 || stands_before(&q->head[i - 1], q->head[i].bucket));
		fragile += q->head[i].bucket->expires != SLO_NEVER;
	}
	assert(length == q->length && heads == q->heads && fragile == q->fragile);
	(void)length;
	(void)heads;
	(void)fragile;
}
