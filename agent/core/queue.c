#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sizes.h"

#define NEED_NONE UINT64_MAX
/* An idle server takes anything. */
#define ROOM_ANY  (UINT64_MAX - 1)

static int compare_waiting(struct request *x, struct request *y)
{
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return 0;
}

/* As in fleet.c: libbsd's RB_GENERATE_STATIC needs a macro that glibc's headers clash with. */
#define TREE_FUNCTIONS static __attribute__((unused))
RB_GENERATE_INTERNAL(waiting, request, place, compare_waiting, TREE_FUNCTIONS)

void queue_init(struct queue *q, struct model *model, enum slo_late late)
{
	memset(q, 0, sizeof(*q));
	q->model = model;
	q->late = late;
	q->looked = INT64_MIN;
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
	return compare_waiting(a->first, b->first);
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

/* Lines up the head of b, to be tried. */
static void line_up(struct queue *q, struct bucket *b)
{
	size_t at;

	b->start = b->first->start;
	b->expires = SLO_NEVER;
	at = position(q, b);
	open_gap(q, at);
	q->head[at] = (struct head){ b->start, b };
	q->slot[at] = (uint16_t)b->slot;
	q->untested[at] = 1;
	for (size_t d = 0; d < q->model->deployments; d++)
		q->need[d][b->slot] = NEED_NONE;
}

/* Ranks the head of b and lines it up. */
static void head_enter(struct queue *q, struct bucket *b)
{
	b->options = (uint32_t)rank_options(q->model, b->first, b->option);
	line_up(q, b);
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

/* The first of the two buckets for this size. */
static struct bucket *bucket_of(struct queue *q, const struct request *r)
{
	size_t i = size_class(r->output) * QUEUE_SIZES + size_class(r->input);
	struct bucket *b = q->bucket[i];

	if (b || !reserve_heads(q, q->buckets + 2))
		return b;
	b = calloc(2, sizeof(*b));
	if (!b)
		return NULL;
	b[0].slot = (uint32_t)q->buckets++;
	b[1].slot = (uint32_t)q->buckets++;
	b[1].late = true;
	q->bucket[i] = b;
	return b;
}

/* r, whose start is set, stands in b from now on. */
static void enter(struct queue *q, struct bucket *b, struct request *r)
{
	bool leads = !b->first || compare_waiting(r, b->first) < 0;

	if (leads && b->first)
		head_leave(q, b);
	RB_INSERT(waiting, &b->waiting, r);
	r->bucket = b;
	if (!leads)
		return;
	b->first = r;
	head_enter(q, b);
}

static void leave(struct queue *q, struct bucket *b, struct request *r)
{
	bool head = b->first == r;

	if (head) {
		head_leave(q, b);
		b->first = RB_NEXT(waiting, &b->waiting, r);
	}
	RB_REMOVE(waiting, &b->waiting, r);
	if (head && b->first)
		head_enter(q, b);
}

/* To the late bucket of its size. What makes one late is the same for all: only its age counts. */
static void turn_late(struct queue *q, struct request *r)
{
	struct bucket *b = r->bucket;

	if (r->start >= q->looked) /* a player's: then it was looked at after that */
		q->looked = r->start + 1;
	leave(q, b, r);
	r->start = SLO_NEVER;
	enter(q, b + 1, r);
}

/* All that is late at `now` moves to the late buckets. Heads without any option stay: they leave
 * the queue at once. */
static void look(struct queue *q, slo_nsec now)
{
	size_t i = 0;

	if (now > q->looked)
		q->looked = now;
	while (q->late == SLO_LATE_SERVE && i < q->heads && q->head[i].start < now) {
		if (q->head[i].start == INT64_MIN)
			i++;
		else
			turn_late(q, q->head[i].bucket->first);
	}
}

static void rank_again(struct queue *q);

slo_err queue_push(struct queue *q, slo_nsec now, struct request *r)
{
	struct bucket *b = bucket_of(q, r);

	if (!b)
		return SLO_ENOMEM;
	/* Whether r is a head counts at once, so what stands there has to be right. */
	if (q->stale)
		rank_again(q);
	look(q, now);
	r->start = rank_start(q->model, r);
	q->length++;
	if (q->late == SLO_LATE_SERVE && r->start < now && r->start != INT64_MIN) {
		r->start = SLO_NEVER;
		b++;
	}
	enter(q, b, r);
	return SLO_OK;
}

void queue_remove(struct queue *q, struct request *r)
{
	leave(q, r->bucket, r);
	r->bucket = NULL;
	q->length--;
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

void queue_deployment_removed(struct queue *q)
{
	/* reserve_heads() grows need[d] only for d < deployments, so the last one goes. */
	free(q->need[q->model->deployments]);
	q->need[q->model->deployments] = NULL;
	queue_refresh(q);
}

/* Takes all out of the tree of `from` and puts them into that of `to`, ranked anew. */
static void rank_bucket(struct queue *q, struct waiting *from, struct bucket *to)
{
	struct request *r;

	while ((r = RB_ROOT(from))) {
		RB_REMOVE(waiting, from, r);
		r->start = rank_start(q->model, r);
		r->bucket = to;
		RB_INSERT(waiting, &to->waiting, r);
	}
}

/* Once for many changes: every request gets a new place, in time until it is found late. */
static void rank_again(struct queue *q)
{
	q->stale = false;
	q->heads = 0;
	q->fragile = 0;
	for (size_t i = 0; q->length > 0 && i < QUEUE_BUCKETS; i++) {
		struct bucket *b = q->bucket[i];
		struct waiting in_time;

		if (!b || (!b[0].first && !b[1].first))
			continue;
		in_time = b[0].waiting;
		RB_INIT(&b[0].waiting);
		rank_bucket(q, &in_time, b);
		rank_bucket(q, &b[1].waiting, b);
		b[0].first = RB_MIN(waiting, &b[0].waiting);
		b[1].first = NULL;
		head_enter(q, b);
	}
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

/* Whether the head still has d among the options that it would be tried in now. */
static bool waits_for(const struct queue *q, const struct bucket *b, uint32_t d, slo_nsec now)
{
	for (size_t i = 0; i < b->options; i++)
		if (b->option[i].deployment == d)
			return rank_open(b->option, i, now, q->late);
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
		if (waits_for(q, q->head[i].bucket, d->index, now))
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

struct bucket *queue_candidate(struct queue *q, slo_nsec now)
{
	struct model *m = q->model;
	const uint8_t *untested;
	size_t end;

	if (q->stale)
		rank_again(q);
	look(q, now);
	end = q->heads;
	if (end == 0)
		return NULL;
	if (q->late == SLO_LATE_REJECT && q->head[0].start < now)
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
	for (size_t i = 0; i < b->options && rank_open(b->option, i, now, q->late); i++) {
		const struct rank_option *o = &b->option[i];

		if (o->infeasible)
			continue;
		q->need[o->deployment][b->slot] = o->load;
		if (i > 0 && expires == SLO_NEVER && b->option[0].infeasible && !b->late)
			expires = o->start;
	}
	q->fragile -= b->expires != SLO_NEVER;
	b->expires = expires;
	q->fragile += expires != SLO_NEVER;
}

bool queue_block_again(struct queue *q, struct request *r, slo_nsec tried)
{
	struct bucket *b = r->bucket;

	/* What the queue's owner knew as late stands in the way, or is r itself. */
	while (q->late == SLO_LATE_SERVE && !b->late && r->bucket == b &&
	       b->first->start != INT64_MIN && (b->first != r || r->start < tried))
		turn_late(q, b->first);
	if (!queue_is_head(r))
		return false;
	queue_block(q, r->bucket, tried);
	return true;
}

void queue_settle(struct queue *q)
{
	size_t i = 0;

	q->stale = false;
	while (q->late == SLO_LATE_SERVE && i < q->heads) {
		struct bucket *b = q->head[i].bucket;

		if (q->untested[i] && !b->late && b->start != INT64_MIN)
			turn_late(q, b->first);
		else
			i++;
	}
}

void queue_each(const struct queue *q, void (*visit)(void *arg, const struct request *r), void *arg)
{
	for (size_t i = 0; i < q->heads; i++) {
		struct request *r;

		RB_FOREACH (r, waiting, &q->head[i].bucket->waiting)
			visit(arg, r);
	}
}

static size_t check_bucket(const struct queue *q, const struct bucket *b)
{
	const struct request *before = NULL;
	struct request *r;
	size_t n = 0;

	RB_FOREACH (r, waiting, (struct waiting *)&b->waiting) {
		assert(r->state == REQUEST_QUEUED && r->bucket == b);
		assert(before ? compare_waiting((struct request *)before, r) < 0 : r == b->first);
		assert((r->start == SLO_NEVER) == b->late);
		assert(!b->late || q->late == SLO_LATE_SERVE);
		before = r;
		n++;
	}
	assert((n == 0) == (b->first == NULL));
	assert(n == 0 || (b->start == b->first->start && q->head[position(q, b)].bucket == b));
	return n;
}

void queue_check(const struct queue *q)
{
	size_t length = 0, heads = 0, fragile = 0;

	for (size_t i = 0; i < QUEUE_BUCKETS; i++) {
		for (size_t k = 0; q->bucket[i] && k < 2; k++) {
			size_t n = check_bucket(q, &q->bucket[i][k]);

			length += n;
			heads += n > 0;
		}
	}
	for (size_t i = 0; i < q->heads; i++) {
		assert(i == 0 || stands_before(&q->head[i - 1], q->head[i].bucket));
		fragile += q->head[i].bucket->expires != SLO_NEVER;
	}
	assert(length == q->length && heads == q->heads && fragile == q->fragile);
}
