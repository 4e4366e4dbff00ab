/* Whom new room may free, of those who wait in vain.
 *
 *   queue_want_room()   a head was tried in vain: what would free it in each deployment is kept,
 *                       exactly in want[d], and rounded in rough[d]
 *   queue_freed()       room is new: a pass over rough[d] finds whom it may free, `hoped`; of these
 *                       want[d] is looked at
 *
 * While no further room appears loads only grow, so nobody else is freed: then only those who are
 * still hoped for are looked at. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "queue_private.h"

#define ROOM_ANY (UINT64_MAX - 1) /* an idle server takes anything */

#define FEW 8 /* who are compared with each other; more are looked for in their order */

/* New room in one deployment. */
struct room {
	struct deployment *deployment;
	slo_load room; /* the most that one server has */
};

/* The same, rounded as in struct queue_rough. */
struct rough_room {
	float relaxed, tight; /* if nobody is tight beside it, or somebody */
	float tight_class;    /* of this class and above somebody is */
	float work, reading;  /* that are there */
};

typedef float four __attribute__((vector_size(16)));
typedef int32_t four_bits __attribute__((vector_size(16)));

static bool grow_array(void **array, size_t cap, size_t size)
{
	void *grown = reallocarray(*array, cap, size);

	if (!grown)
		return false;
	*array = grown;
	return true;
}

static void want_none(struct queue *q, size_t d, size_t slot)
{
	struct queue_rough *rough = &q->rough[d][slot / QUEUE_ROW];
	size_t i = slot % QUEUE_ROW;

	q->want[d][slot].need = QUEUE_NEED_NONE;
	rough->load[i] = 0;
	rough->class[i] = 0;
	rough->work[i] = -1;
	rough->reading[i] = -1;
}

bool queue_reserve_wants(struct queue *q, size_t d, size_t cap)
{
	size_t from = q->rough[d] ? q->cap : 0;

	if (!grow_array((void **)&q->want[d], cap, sizeof(q->want[d][0])) ||
	    !grow_array((void **)&q->rough[d], cap / QUEUE_ROW, sizeof(q->rough[d][0])))
		return false;
	for (size_t slot = from; slot < cap; slot++)
		want_none(q, d, slot);
	return true;
}

bool queue_reserve_slots(struct queue *q, size_t cap)
{
	if (!grow_array((void **)&q->at, cap, sizeof(struct bucket *)) ||
	    !grow_array((void **)&q->hoped, cap / QUEUE_ROW, sizeof(q->hoped[0])))
		return false;
	memset(q->hoped, 0, cap / QUEUE_ROW * sizeof(q->hoped[0]));
	q->hoped_frees = UINT64_MAX;
	return true;
}

void queue_free_wants(struct queue *q, size_t d)
{
	free(q->want[d]);
	free(q->rough[d]);
	q->want[d] = NULL;
	q->rough[d] = NULL;
}

static void hope_no_more(struct queue *q, size_t slot)
{
	q->hoped[slot / QUEUE_ROW] &= (uint16_t) ~(1u << slot % QUEUE_ROW);
}

void queue_want_nothing(struct queue *q, const struct bucket *b)
{
	for (size_t d = 0; d < q->pool->deployments; d++)
		want_none(q, d, b->slot);
	hope_no_more(q, b->slot);
}

void queue_take_slot(struct queue *q, struct bucket *b)
{
	b->slot = (uint32_t)q->slots++;
	q->at[b->slot] = b;
}

/* The last one moves to its slot. */
void queue_give_slot(struct queue *q, struct bucket *b)
{
	struct bucket *last = q->at[--q->slots];
	size_t from = q->slots, to = b->slot, row = from % QUEUE_ROW, i = to % QUEUE_ROW;

	for (size_t d = 0; from != to && d < q->pool->deployments; d++) {
		const struct queue_rough *a = &q->rough[d][from / QUEUE_ROW];
		struct queue_rough *z = &q->rough[d][to / QUEUE_ROW];

		q->want[d][to] = q->want[d][from];
		z->load[i] = a->load[row];
		z->class[i] = a->class[row];
		z->work[i] = a->work[row];
		z->reading[i] = a->reading[row];
	}
	hope_no_more(q, to);
	if (q->hoped[from / QUEUE_ROW] >> row & 1)
		q->hoped[to / QUEUE_ROW] |= (uint16_t)(1u << i);
	if (from != to) {
		q->at[to] = last;
		last->slot = (uint32_t)to;
		q->slot[queue_position(q, last)] = (uint16_t)to;
	}
	b->slot = (uint32_t)from;
	if (b->blocked || last->blocked)
		queue_want_nothing(q, b);
	b->slot = QUEUE_SLOT_NONE;
}

void queue_give_slots(struct queue *q)
{
	while (q->slots > 0) {
		struct bucket *b = q->at[--q->slots];

		queue_want_nothing(q, b);
		b->slot = QUEUE_SLOT_NONE;
	}
}

/* Keeps the order of numbers, but for what is so close that it becomes the same one. */
static float rounded(uint64_t x)
{
	return (float)(int64_t)(x < INT64_MAX ? x : INT64_MAX);
}

static float rounded_most(int64_t x)
{
	return x > 0 ? (float)x : 0;
}

static void want_in(struct queue *q, const struct bucket *b, const struct rank_option *option)
{
	const struct deployment *d = q->pool->deployment[option->deployment];
	struct queue_want *w = &q->want[d->index][b->slot];
	struct queue_rough *rough = &q->rough[d->index][b->slot / QUEUE_ROW];
	size_t i = b->slot % QUEUE_ROW;

	w->adaptive = b->first->strategy == SLO_STRATEGY_ADAPTIVE;
	w->need = option->load;
	rough->load[i] = rounded(option->load);
	rough->class[i] = INFINITY;
	rough->work[i] = INFINITY;
	rough->reading[i] = INFINITY;
	if (!w->adaptive)
		return;
	w->need = adaptive_need(option->load);
	adaptive_wants(d, b->first, option, &w->on);
	rough->class[i] = w->on.class;
	rough->work[i] = rounded_most(w->on.work);
	rough->reading[i] = rounded_most(w->on.reading);
}

void queue_want_room(struct queue *q, struct bucket *b)
{
	queue_want_nothing(q, b);
	for (size_t i = 0; i < b->open; i++)
		if (!b->option[i].infeasible)
			want_in(q, b, &b->option[i]);
}

/* The most that one server has. */
static slo_load room_in(const struct seat *emptiest)
{
	slo_load used = emptiest->server->ledger.used;

	if (used == 0)
		return ROOM_ANY;
	return used <= SLO_LOAD_ONE ? SLO_LOAD_ONE - used : 0;
}

/* Where room is new that anybody may go to. Returns how many. */
static size_t new_rooms(const struct pool *pool, struct room *rooms)
{
	size_t n = 0;

	for (size_t i = 0; i < pool->deployments; i++) {
		struct deployment *d = pool->deployment[i];
		const struct seat *seat = d->freed ? fleet_emptiest_seat(d) : NULL;

		if (seat &&
		    (seat->server->ledger.used <= SLO_LOAD_ONE || pool->targets.classes != 0))
			rooms[n++] = (struct room){ d, room_in(seat) };
	}
	return n;
}

static struct rough_room rough_anywhere(slo_load room)
{
	slo_load adaptive = room + (ADAPTIVE_OVERFILL - 1) * SLO_LOAD_ONE;
	float most = room == ROOM_ANY ? INFINITY : rounded(adaptive);

	return (struct rough_room){ .relaxed = most, .tight = most };
}

/* Where only that seat's server got any. Who is not of slo-adaptive counts as of the highest class.
 */
static struct rough_room rough_on(const struct seat *seat, const struct room *r)
{
	const struct pool *pool = seat->deployment->pool;
	const struct server *s = seat->server;
	uint64_t classes = s->sums.targets.classes | pool->targets.classes;
	int64_t used = (int64_t)s->ledger.used;
	int64_t tight = (int64_t)SLO_LOAD_ONE - used, relaxed;

	if (used == 0 || r->room == ROOM_ANY)
		return rough_anywhere(ROOM_ANY);
	relaxed = (int64_t)adaptive_most(seat) - used;
	tight = (int64_t)r->room > tight ? (int64_t)r->room : tight;
	return (struct rough_room){
		.relaxed = (float)(relaxed > tight ? relaxed : tight),
		.tight = (float)tight,
		.tight_class = (float)(classes ? __builtin_ctzll(classes) + ADAPTIVE_TIGHTER : 64),
		.work = rounded(s->sums.work),
		.reading = rounded(s->sums.reading),
	};
}

static four get(const float *of)
{
	four v;

	memcpy(&v, of, sizeof(v));
	return v;
}

static four all(float x)
{
	return (four){ x, x, x, x };
}

/* A bit for each of them, four at once. */
static uint16_t may_free(const struct queue_rough *rough, const struct rough_room *room)
{
	four relaxed = all(room->relaxed), tight = all(room->tight), class = all(room->tight_class);
	four work = all(room->work), reading = all(room->reading);
	four_bits slots = { 0 }, bit = { 0x1, 0x2, 0x4, 0x8 };

	for (size_t i = 0; i < QUEUE_ROW; i += 4) {
		four load = get(&rough->load[i]);
		four_bits may = (load <= tight) | (get(&rough->class[i]) < class);

		may &= (load <= relaxed) & (get(&rough->work[i]) >= work) &
		       (get(&rough->reading[i]) >= reading);
		slots |= may & bit;
		bit <<= 4;
	}
	return (uint16_t)(slots[0] | slots[1] | slots[2] | slots[3]);
}

static void hope_for(struct queue *q, const struct room *r)
{
	const struct seat *by = q->pool->freed_by;
	struct rough_room room = by ? rough_on(by, r) : rough_anywhere(r->room);
	const struct queue_rough *rough = q->rough[r->deployment->index];

	for (size_t row = 0; row * QUEUE_ROW < q->slots; row++)
		q->hoped[row] |= may_free(&rough[row], &room);
}

static void hope(struct queue *q, const struct room *rooms, size_t n)
{
	const struct pool *pool = q->pool;

	q->hoped_frees = pool->frees;
	q->hoped_by = pool->freed_by;
	memset(q->hoped, 0, q->cap / QUEUE_ROW * sizeof(q->hoped[0]));
	for (size_t i = 0; i < n; i++)
		hope_for(q, &rooms[i]);
}

static bool is_hoped_for(const struct queue *q, size_t slot)
{
	return q->hoped[slot / QUEUE_ROW] >> slot % QUEUE_ROW & 1;
}

/* Whether the head of that slot is to be tried once more; else nobody hopes for it any more. */
static bool is_freed(struct queue *q, const struct room *rooms, size_t n, size_t slot)
{
	const struct pool *pool = q->pool;
	const struct seat *by = pool->freed_by;

	for (size_t i = 0; i < n; i++) {
		const struct queue_want *w = &q->want[rooms[i].deployment->index][slot];

		if (w->need <= rooms[i].room && q->at[slot]->frees != pool->frees &&
		    (!w->adaptive || !by || adaptive_is_open(&w->on, by)))
			return true;
	}
	hope_no_more(q, slot);
	return false;
}

static struct bucket *first_in_order(struct queue *q, const struct room *rooms, size_t n,
                                     size_t end)
{
	for (size_t i = 0; i < end; i++)
		if (is_hoped_for(q, q->slot[i]) && is_freed(q, rooms, n, q->slot[i]))
			return q->head[i].bucket;
	return end < q->heads ? q->head[end].bucket : NULL;
}

struct bucket *queue_freed(struct queue *q, size_t end)
{
	struct bucket *first = end < q->heads ? q->head[end].bucket : NULL;
	struct room rooms[SLO_DEPLOYMENTS_MAX];
	size_t n, seen = 0;

	if (end == 0)
		return first;
	n = new_rooms(q->pool, rooms);
	if (q->hoped_many || q->hoped_frees != q->pool->frees || q->hoped_by != q->pool->freed_by)
		hope(q, rooms, n);
	q->hoped_many = false;
	for (size_t row = 0; row * QUEUE_ROW < q->slots; row++) {
		for (unsigned left = q->hoped[row]; left; left &= left - 1) {
			size_t slot = row * QUEUE_ROW + (size_t)__builtin_ctz(left);

			if (++seen > FEW) {
				q->hoped_many = true;
				return first_in_order(q, rooms, n, end);
			}
			if ((!first || queue_compare(q->at[slot], first) < 0) &&
			    is_freed(q, rooms, n, slot))
				first = q->at[slot];
		}
	}
	return first;
}
