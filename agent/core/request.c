#include "core/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* HAProxy's usual unique-ids are about 50 bytes long. */
#define SHORT_ID   (REQUEST_ID_ROOM - 1)
#define SPARES_MAX 1024

void requests_init(struct requests *t)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < REQUEST_STATES; i++)
		TAILQ_INIT(&t->list[i]);
	t->spare =
	    (struct spare){ .max = SPARES_MAX, .size = sizeof(struct request) + SHORT_ID + 1 };
}

static void free_list(struct request_list *list)
{
	struct request *r;

	while ((r = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, r, link);
		free(r);
	}
}

void requests_fini(struct requests *t)
{
	id_table_fini(&t->by_id);
	for (int i = 0; i < REQUEST_STATES; i++)
		free_list(&t->list[i]);
	spare_fini(&t->spare);
	free(t->over);
}

struct request *requests_find(const struct requests *t, uint64_t hash, const char *id, size_t len)
{
	return id_table_find(&t->by_id, hash, id, len, 0);
}

struct request *requests_find_of(const struct requests *t, uint64_t hash, const char *id,
                                 size_t len, uint32_t owner)
{
	return id_table_find(&t->by_id, hash, id, len, owner);
}

static struct request *block_get(struct requests *t, size_t id_len)
{
	if (id_len > SHORT_ID)
		return malloc(sizeof(struct request) + id_len + 1);
	return spare_get(&t->spare);
}

static void block_put(struct requests *t, struct request *r)
{
	if (r->id_len > SHORT_ID)
		free(r);
	else
		spare_put(&t->spare, r);
}

void requests_give_back(struct requests *t)
{
	spare_give_back(&t->spare);
}

static struct request *request_new(struct requests *t, uint64_t hash, const char *id, size_t len,
                                   uint16_t owner)
{
	struct request *r;

	assert(len > 0 && len <= SLO_ID_MAX);
	r = block_get(t, len);
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->id_len = (uint8_t)len;
	memcpy(r->id, id, len);
	r->id[len] = '\0';
	r->hash = hash;
	r->owner = owner;
	if (id_table_add(&t->by_id, r) != SLO_OK) {
		block_put(t, r);
		return NULL;
	}
	r->limit = -1;
	r->sequences = 1;
	return r;
}

struct request *requests_new(struct requests *t, uint64_t hash, const char *id, size_t len,
                             slo_nsec now)
{
	struct request *r = request_new(t, hash, id, len, 0);

	if (!r)
		return NULL;
	r->state = REQUEST_READY;
	r->since = now;
	TAILQ_INSERT_TAIL(&t->list[REQUEST_READY], r, link);
	t->count[REQUEST_READY]++;
	return r;
}

static slo_nsec apart(slo_nsec a, slo_nsec b)
{
	return a > b ? a - b : b - a;
}

/* News comes milliseconds late, so few that are younger stand behind its place. What is told of the
 * past comes in pages, so the one that was told before may be near. */
struct request *requests_place(const struct request_walk *w, struct request *last,
                               struct request *near, slo_nsec since)
{
	struct request *at = last, *next;
	int steps = PLACE_STEPS;

	if (at && near && apart(near->since, since) < apart(at->since, since))
		at = near;
	while (at && at->since > since && steps-- > 0)
		at = w->before(at);
	for (; at && (next = w->behind(at)) && next->since <= since; at = next)
		if (steps-- <= 0)
			return last;
	return at;
}

static struct request *before(const struct request *r)
{
	return TAILQ_PREV(r, request_list, link);
}

static struct request *behind(const struct request *r)
{
	return TAILQ_NEXT(r, link);
}

struct request *requests_new_of(struct requests *t, uint64_t hash, const char *id, size_t len,
                                uint16_t owner, slo_nsec since)
{
	static const struct request_walk walk = { before, behind };
	struct request_list *list = &t->list[REQUEST_DISPATCHED];
	struct request *r = request_new(t, hash, id, len, owner), *older;

	if (!r)
		return NULL;
	/* From too far away it stands too near to the end, as if it were younger. */
	older = requests_place(&walk, TAILQ_LAST(list, request_list), t->near, since);
	r->state = REQUEST_DISPATCHED;
	r->since = older && older->since > since ? older->since : since;
	if (older)
		TAILQ_INSERT_AFTER(list, older, r, link);
	else
		TAILQ_INSERT_HEAD(list, r, link);
	t->near = r;
	t->count[REQUEST_DISPATCHED]++;
	return r;
}

/* The union's other half is in force next: nothing is charged yet. */
static void leave_half(struct request *r)
{
	if (r->state == REQUEST_QUEUED) {
		r->charge = (struct charge){ NULL, 0 };
		r->stake.counted = false;
	}
}

static void take_out(struct requests *t, struct request *r)
{
	if (t->near == r)
		t->near = NULL;
	TAILQ_REMOVE(&t->list[r->state], r, link);
	t->count[r->state]--;
}

void requests_move(struct requests *t, struct request *r, enum request_state to, slo_nsec now)
{
	leave_half(r);
	take_out(t, r);
	r->state = (uint8_t)to;
	r->since = now;
	TAILQ_INSERT_TAIL(&t->list[to], r, link);
	t->count[to]++;
}

void requests_over(struct requests *t, struct request *r)
{
	leave_half(r);
	assert(r->state != REQUEST_OVER && !r->charge.ledger);
	take_out(t, r);
	r->state = REQUEST_OVER;
	id_table_remove(&t->by_id, r);
	if (t->over)
		block_put(t, t->over);
	t->over = r;
}

void requests_check(const struct requests *t)
{
	size_t all = 0;

	assert(!t->near || t->near->state == REQUEST_DISPATCHED);
	for (int i = 0; i < REQUEST_STATES; i++) {
		const struct request *r;
		size_t n = 0;

		TAILQ_FOREACH (r, &t->list[i], link) {
			assert(r->state == i);
			assert(i == REQUEST_QUEUED ||
			       (r->charge.ledger != NULL) == (i == REQUEST_DISPATCHED));
			assert(i != REQUEST_QUEUED || r->bucket);
			assert(requests_find_of(t, r->hash, r->id, r->id_len, r->owner) == r);
			assert(i == REQUEST_DISPATCHED || r->owner == 0);
			n++;
		}
		assert(n == t->count[i]);
		all += n;
	}
	assert(all == t->by_id.count);
	(void)all;
}
