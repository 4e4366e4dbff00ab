/* Whom new room may free, of those who wait in vain.
 *
 *   queue_want_room()   a head was tried in vain: what would free it in each deployment is kept,
 *                       exactly in want[d], and rounded in rough[d]
 *   queue_freed()       room is new: a pass over rough[d] finds whom it may free, `hoped`; of these
 *                       want[d] is looked at
 *
 * While no further room appears loads only grow, so nobody else is freed: then only those who are
 * still hoped for are looked at. */
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
	int16_t relaxed, tight; /* if nobody is tight beside it, or somebody; -1: none */
	int16_t tight_class;    /* of this class and above somebody is */
	int16_t work, reading;  /* that are there */
};

#define LANES 8
typedef int16_t lanes __attribute__((vector_size(2 * LANES)));

#define SLOTS 8 /* that are passed over together */
_Static_assert(QUEUE_ROW % LANES == 0 && QUEUE_ROW % SLOTS == 0, "whole rows");
_Static_assert(SLOTS * sizeof(int16_t) == 2 * sizeof(uint64_t), "two words, for is_any()");

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
	    !grow_array((void **)&q->hoped, cap, sizeof(q->hoped[0])))
		return false;
	memset(q->hoped, 0, cap * sizeof(q->hoped[0]));
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

void queue_want_nothing(struct queue *q, const struct bucket *b)
{
	for (size_t d = 0; d < q->pool->deployments; d++)
		want_none(q, d, b->slot);
	q->hoped[b->slot] = 0;
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
	q->hoped[to] = q->hoped[from];
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

/* Keeps the order of numbers, but for what is so close that it becomes the same one: where its
 * highest bit is, and the nine behind that. */
static int16_t rounded(uint64_t x)
{
	unsigned top = 63 - (unsigned)__builtin_clzll(x | 1);

	return (int16_t)(top << 9 | ((x << (63 - top)) >> 54 & 0x1ff));
}

/* Below 0 it is -1. */
static int16_t rounded_signed(int64_t x)
{
	if (x < 0)
		return -1;
	return rounded((uint64_t)x);
}

static int16_t rounded_most(int64_t x)
{
	return rounded_signed(x > 0 ? x : 0);
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
	rough->class[i] = INT16_MAX;
	rough->work[i] = INT16_MAX;
	rough->reading[i] = INT16_MAX;
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
	int16_t most = INT16_MAX;

	if (room != ROOM_ANY)
		most = rounded(adaptive);
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
	relaxed = relaxed > tight ? relaxed : tight;
	return (struct rough_room){
		.relaxed = rounded_signed(relaxed),
		.tight = rounded_signed(tight),
		.tight_class =
		    (int16_t)(classes ? __builtin_ctzll(classes) + ADAPTIVE_TIGHTER : 64),
		.work = rounded(s->sums.work),
		.reading = rounded(s->sums.reading),
	};
}

static lanes get(const int16_t *of)
{
	lanes v;

	memcpy(&v, of, sizeof(v));
	return v;
}

static lanes all(int16_t x)
{
	return (lanes){ x, x, x, x, x, x, x, x };
}

/* Adds to *hoped those of a row whom that room may free, some at once. */
static void may_free(const struct queue_rough *rough, const struct rough_room *room, int16_t *hoped)
{
	lanes relaxed = all(room->relaxed), tight = all(room->tight);
	lanes tight_class = all(room->tight_class);
	lanes work = all(room->work), reading = all(room->reading);

	for (size_t i = 0; i < QUEUE_ROW; i += LANES) {
		lanes load = get(&rough->load[i]);
		lanes not = (load > tight) & ~(tight_class > get(&rough->class[i]));

		not |= (load > relaxed) | (work > get(&rough->work[i])) |
		       (reading > get(&rough->reading[i]));
		not = ~not | get(&hoped[i]);
		memcpy(&hoped[i], &not, sizeof(not ));
	}
}

static size_t rows_of(const struct queue *q)
{
	return (q->slots + QUEUE_ROW - 1) / QUEUE_ROW;
}

static void hope_for(struct queue *q, const struct room *r)
{
	const struct seat *by = q->pool->freed_by;
	struct rough_room room = by ? rough_on(by, r) : rough_anywhere(r->room);
	const struct queue_rough *rough = q->rough[r->deployment->index];

	for (size_t row = 0; row < rows_of(q); row++)
		may_free(&rough[row], &room, &q->hoped[row * QUEUE_ROW]);
}

static void hope(struct queue *q, const struct room *rooms, size_t n)
{
	const struct pool *pool = q->pool;

	q->hoped_frees = pool->frees;
	q->hoped_by = pool->freed_by;
	memset(q->hoped, 0, rows_of(q) * QUEUE_ROW * sizeof(q->hoped[0]));
	for (size_t i = 0; i < n; i++)
		hope_for(q, &rooms[i]);
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
	q->hoped[slot] = 0;
	return false;
}

static struct bucket *first_in_order(struct queue *q, const struct room *rooms, size_t n,
                                     size_t end)
{
	for (size_t i = 0; i < end; i++)
		if (q->hoped[q->slot[i]] && is_freed(q, rooms, n, q->slot[i]))
			return q->head[i].bucket;
	return end < q->heads ? q->head[end].bucket : NULL;
}

static bool is_any(const int16_t *hoped)
{
	uint64_t words[2];

	memcpy(words, hoped, sizeof(words));
	return (words[0] | words[1]) != 0;
}

/* Of those who are hoped for, if they are a few, the first one whom the rooms free, or `first` if
 * that stands before it. *many: they are more than a few. */
static struct bucket *first_of_few(struct queue *q, const struct room *rooms, size_t n,
                                   struct bucket *first, bool *many)
{
	size_t seen = 0;

	for (size_t at = 0; at < q->slots; at += SLOTS) {
		if (!is_any(&q->hoped[at]))
			continue;
		for (size_t slot = at; slot < at + SLOTS && slot < q->slots; slot++) {
			if (!q->hoped[slot])
				continue;
			*many = ++seen > FEW;
			if (*many)
				return NULL;
			if ((!first || queue_compare(q->at[slot], first) < 0) &&
			    is_freed(q, rooms, n, slot))
				first = q->at[slot];
		}
	}
	return first;
}

struct bucket *queue_freed(struct queue *q, size_t end)
{
	struct bucket *first = end < q->heads ? q->head[end].bucket : NULL;
	struct room rooms[SLO_DEPLOYMENTS_MAX];
	size_t n;

	if (end == 0)
		return first;
	n = new_rooms(q->pool, rooms);
	if (q->hoped_many || q->hoped_frees != q->pool->frees || q->hoped_by != q->pool->freed_by)
		hope(q, rooms, n);
	q->hoped_many = false;
	first = first_of_few(q, rooms, n, first, &q->hoped_many);
	return q->hoped_many ? first_in_order(q, rooms, n, end) : first;
}
