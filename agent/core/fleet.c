#include "core/fleet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_private.h"

_Static_assert(offsetof(struct server, ledger) == 0, "fleet_server_of() relies on it");

#define RECENT 8 /* charges that a deployment's mean goes back, about */

const char *fleet_repair_name(enum fleet_repair r)
{
	static const char *const names[] = {
		[FLEET_REPAIR_SURPLUS] = "surplus",
		[FLEET_REPAIR_EXPIRED] = "expired",
		[FLEET_REPAIR_MAX_AGE] = "max-age",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == FLEET_REPAIRS, "a name for each");

	return names[r];
}

static int compare_load(struct seat *a, struct seat *b)
{
	if (a->load != b->load)
		return a->load < b->load ? -1 : 1;
	if (a->order != b->order)
		return a->order > b->order ? -1 : 1;
	return 0;
}

static int compare_count(struct seat *a, struct seat *b)
{
	uint32_t x = a->server->ledger.inflight, y = b->server->ledger.inflight;

	if (x != y)
		return x < y ? -1 : 1;
	if (a->turn != b->turn)
		return a->turn < b->turn ? -1 : 1;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return 0;
}

/* What RB_GENERATE_STATIC is meant to be; libbsd's needs a macro that glibc's headers clash with.
 */
#define TREE_FUNCTIONS static __attribute__((unused))
RB_GENERATE_INTERNAL(seats_by_load, seat, by_load, compare_load, TREE_FUNCTIONS)
RB_GENERATE_INTERNAL(seats_by_count, seat, by_count, compare_count, TREE_FUNCTIONS)

slo_err fleet_pool_init(struct pool *pool, const char *name)
{
	memset(pool, 0, sizeof(*pool));
	RB_INIT(&pool->by_count);
	pool->name = strdup(name);
	return pool->name ? SLO_OK : SLO_ENOMEM;
}

static void unlink_of_server(struct seat *seat)
{
	struct seat **at = &seat->server->seats;

	while (*at != seat)
		at = &(*at)->next_of_server;
	*at = seat->next_of_server;
}

void fleet_pool_fini(struct pool *pool)
{
	while (pool->deployments > 0)
		fleet_deployment_free(pool->deployment[pool->deployments - 1]);
	free(pool->usable_seat);
	free(pool->name);
}

struct deployment *fleet_deployment_new(struct pool *pool, const char *name)
{
	struct deployment *d;

	if (pool->deployments == SLO_DEPLOYMENTS_MAX)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->name = strdup(name);
	if (!d->name) {
		free(d);
		return NULL;
	}
	d->pool = pool;
	guard_init(&d->guard, 0);
	RB_INIT(&d->by_load);
	d->seats_end = &d->seats;
	d->deep_from = UINT64_MAX;
	d->index = (uint32_t)pool->deployments;
	pool->deployment[pool->deployments++] = d;
	return d;
}

void fleet_deployment_free(struct deployment *d)
{
	struct pool *pool = d->pool;

	for (struct seat *seat = d->seats, *next; seat; seat = next) {
		next = seat->next;
		fleet_unseat(seat);
	}
	pool->deployments--;
	for (size_t i = d->index; i < pool->deployments; i++) {
		pool->deployment[i] = pool->deployment[i + 1];
		pool->deployment[i]->index = (uint32_t)i;
	}
	profile_free(d->profile);
	free(d->learner);
	free(d->name);
	for (int by = 0; by < SEAT_ORDERS; by++)
		seat_heap_fini(&d->least[by]);
	free(d);
}

void fleet_order(struct pool *pool, struct deployment *const *order)
{
	for (size_t i = 0; i < pool->deployments; i++) {
		pool->deployment[i] = order[i];
		order[i]->index = (uint32_t)i;
	}
}

struct server *fleet_server_new(const char *name)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->name = strdup(name);
	if (!s->name) {
		free(s);
		return NULL;
	}
	TAILQ_INIT(&s->leases);
	TAILQ_INIT(&s->departed);
	TAILQ_INIT(&s->hidden);
	s->usable = true;
	return s;
}

void fleet_server_free(struct server *s)
{
	if (!s)
		return;
	assert(!s->seats);
	free(s->name);
	free(s);
}

/* orders */

static void tell(struct seat *seat)
{
	if (!seat->is_told)
		LIST_INSERT_HEAD(&seat->server->told, seat, told);
	seat->is_told = true;
}

static void sort(struct seat *seat)
{
	LIST_REMOVE(seat, unsorted);
	seat->load = seat->server->ledger.used;
	RB_INSERT(seats_by_load, &seat->deployment->by_load, seat);
	seat->is_sorted = true;
	tell(seat);
}

static void count(struct seat *seat)
{
	LIST_REMOVE(seat, uncounted);
	RB_INSERT(seats_by_count, &seat->deployment->pool->by_count, seat);
	seat->is_counted = true;
	tell(seat);
}

void fleet_place(struct deployment *d, enum seat_order by)
{
	struct seat *seat;

	d->room.known = false;
	while ((seat = LIST_FIRST(&d->misplaced[by]))) {
		LIST_REMOVE(seat, misplaced[by]);
		seat_heap_put(&d->least[by], by, seat);
		seat->is_placed[by] = true;
		tell(seat);
	}
}

/* Out of the orders. In a heap it stays where it was until it is put where it belongs. */
static void take_out(struct seat *seat)
{
	struct deployment *d = seat->deployment;

	for (int by = 0; by < SEAT_ORDERS; by++) {
		if (!seat->is_placed[by])
			continue;
		LIST_INSERT_HEAD(&d->misplaced[by], seat, misplaced[by]);
		seat->is_placed[by] = false;
	}
	if (seat->is_sorted) {
		RB_REMOVE(seats_by_load, &d->by_load, seat);
		LIST_INSERT_HEAD(&d->unsorted, seat, unsorted);
		seat->is_sorted = false;
	}
	if (seat->is_counted) {
		RB_REMOVE(seats_by_count, &d->pool->by_count, seat);
		LIST_INSERT_HEAD(&d->pool->uncounted, seat, uncounted);
		seat->is_counted = false;
	}
}

static void tell_no_more(struct seat *seat)
{
	if (seat->is_told)
		LIST_REMOVE(seat, told);
	seat->is_told = false;
}

void fleet_changes(struct server *s)
{
	struct seat *seat, *next;

	for (seat = LIST_FIRST(&s->told); seat; seat = next) {
		next = LIST_NEXT(seat, told);
		take_out(seat);
		if (!seat->deployment->pool->waiting)
			tell_no_more(seat);
	}
}

void fleet_watch(struct pool *pool)
{
	for (size_t i = 0; i < pool->deployments; i++)
		(void)fleet_least(pool->deployment[i], SEAT_BY_LOAD);
}

static void enter(struct seat *seat)
{
	struct deployment *d = seat->deployment;
	struct pool *pool = d->pool;

	for (int by = 0; by < SEAT_ORDERS; by++)
		LIST_INSERT_HEAD(&d->misplaced[by], seat, misplaced[by]);
	LIST_INSERT_HEAD(&d->unsorted, seat, unsorted);
	LIST_INSERT_HEAD(&pool->uncounted, seat, uncounted);
	if (pool->waiting)
		tell(seat);
	seat->index = pool->usable;
	pool->usable_seat[pool->usable++] = seat;
	d->usable++;
	fleet_deep_with(seat);
}

static void leave(struct seat *seat)
{
	struct deployment *d = seat->deployment;
	struct pool *pool = d->pool;

	d->room.known = false;
	take_out(seat);
	tell_no_more(seat);
	for (int by = 0; by < SEAT_ORDERS; by++) {
		LIST_REMOVE(seat, misplaced[by]);
		seat_heap_drop(&d->least[by], (enum seat_order)by, seat);
	}
	LIST_REMOVE(seat, unsorted);
	LIST_REMOVE(seat, uncounted);
	pool->usable_seat[seat->index] = pool->usable_seat[--pool->usable];
	pool->usable_seat[seat->index]->index = seat->index;
	d->usable--;
	fleet_deep_without(seat);
}

/* Room for one more usable seat in d: enter() must not fail later, when the server comes back. */
static bool reserve_places(struct deployment *d)
{
	for (int by = 0; by < SEAT_ORDERS; by++)
		if (!seat_heap_reserve(&d->least[by], d->held + 1))
			return false;
	return true;
}

/* The same in the pool. */
static bool reserve_seat(struct pool *pool)
{
	size_t cap = pool->seats_cap ? 2 * pool->seats_cap : 8;
	struct seat **grown;

	if (pool->seats < pool->seats_cap)
		return true;
	grown = reallocarray(pool->usable_seat, cap, sizeof(struct seat *));
	if (!grown)
		return false;
	pool->usable_seat = grown;
	pool->seats_cap = cap;
	return true;
}

static void append(struct seat *seat, struct deployment *d)
{
	seat->deployment = d;
	seat->order = d->pool->orders++;
	seat->next = NULL;
	seat->at = d->seats_end;
	*d->seats_end = seat;
	d->seats_end = &seat->next;
	d->held++;
	if (seat->server->usable)
		enter(seat);
}

static void detach(struct seat *seat)
{
	struct pool *pool = seat->deployment->pool;

	pool->freed_many |= pool->freed_by == seat;
	if (pool->freed_many)
		pool->freed_by = NULL;
	*seat->at = seat->next;
	if (seat->next)
		seat->next->at = seat->at;
	else
		seat->deployment->seats_end = seat->at;
	if (seat->server->usable)
		leave(seat);
	seat->deployment->held--;
	seat->deployment->room.known = false;
}

slo_err fleet_seat(struct deployment *d, struct server *s)
{
	struct pool *pool = d->pool;
	struct seat *seat;

	for (seat = s->seats; seat; seat = seat->next_of_server)
		if (seat->deployment->pool == pool)
			return SLO_EINVAL;
	if (!reserve_seat(pool) || !reserve_places(d))
		return SLO_ENOMEM;
	seat = calloc(1, sizeof(*seat));
	if (!seat)
		return SLO_ENOMEM;
	seat->server = s;
	seat->slower = 1;
	for (int by = 0; by < SEAT_ORDERS; by++)
		seat->place[by] = SEAT_PLACE_NONE;
	seat->next_of_server = s->seats;
	s->seats = seat;
	pool->seats++;
	append(seat, d);
	return SLO_OK;
}

slo_err fleet_move(struct seat *seat, struct deployment *d)
{
	assert(seat->deployment->pool == d->pool);
	if (seat->deployment != d && !reserve_places(d))
		return SLO_ENOMEM;
	detach(seat);
	append(seat, d);
	return SLO_OK;
}

void fleet_unseat(struct seat *seat)
{
	detach(seat);
	unlink_of_server(seat);
	seat->deployment->pool->seats--;
	free(seat);
}

bool fleet_set_usable(struct server *s, bool usable)
{
	if (s->usable == usable)
		return false;
	s->usable = usable;
	for (struct seat *seat = s->seats; seat; seat = seat->next_of_server) {
		if (usable)
			enter(seat);
		else
			leave(seat);
	}
	return true;
}

/* Each of the last ten or so counts. Unsigned: a mean never leaves the range of what it is of. */
static void note_recent(struct deployment *d, slo_load load)
{
	if (!d->recent_known)
		d->recent = load;
	else if (load > d->recent)
		d->recent += (load - d->recent) / RECENT;
	else
		d->recent -= (d->recent - load) / RECENT;
	d->recent_known = true;
}

void fleet_charge(struct seat *seat, slo_load load, struct charge *out)
{
	note_recent(seat->deployment, load);
	fleet_changes(seat->server);
	ledger_charge(&seat->server->ledger, load, out);
	fleet_settle_withheld(seat->server);
	seat->turn = ++seat->deployment->pool->turns;
}

void fleet_charge_unseated(struct server *s, slo_load load, struct charge *out)
{
	fleet_changes(s);
	ledger_charge(&s->ledger, load, out);
	fleet_settle_withheld(s);
}

slo_err fleet_release(struct server *s, struct charge *c)
{
	slo_err err;

	if (c->ledger != &s->ledger)
		return SLO_ESTALE;
	fleet_changes(s);
	err = ledger_release(c);
	fleet_settle_withheld(s);
	return err;
}

void fleet_seat_restore(struct seat *seat, uint64_t turn, size_t index)
{
	struct seat **usable_seat = seat->deployment->pool->usable_seat;

	take_out(seat);
	seat->turn = turn;
	if (!seat->server->usable)
		return;
	usable_seat[seat->index] = usable_seat[index];
	usable_seat[seat->index]->index = seat->index;
	usable_seat[index] = seat;
	seat->index = index;
}

struct seat *fleet_fullest_seat(struct deployment *d, slo_load most)
{
	struct seat *found = NULL, *at;

	while (!LIST_EMPTY(&d->unsorted))
		sort(LIST_FIRST(&d->unsorted));
	at = RB_ROOT(&d->by_load);
	while (at) {
		if (at->load <= most) {
			found = at;
			at = RB_RIGHT(at, by_load);
		} else {
			at = RB_LEFT(at, by_load);
		}
	}
	return found;
}

struct seat *fleet_fewest_requests(struct pool *pool)
{
	while (!LIST_EMPTY(&pool->uncounted))
		count(LIST_FIRST(&pool->uncounted));
	return RB_MIN(seats_by_count, &pool->by_count);
}

static bool check_entry(const struct deployment *d, const struct seat_entry *e, enum seat_order by)
{
	assert(e->seat->deployment == d && e->seat->server->usable);
	if (!e->seat->is_placed[by])
		return false;
	assert(e->seat->is_told && e->order == e->seat->order);
	assert(e->load == e->seat->server->ledger.used);
	assert(e->harm == e->seat->server->sums.harm);
	return true;
}

static void check_heap(const struct deployment *d, enum seat_order by)
{
	const struct seat_heap *h = &d->least[by];
	const struct seat *seat;
	size_t n = 0;

	seat_heap_check(h, by);
	for (size_t i = 0; i < h->few; i++)
		n += check_entry(d, &h->at[i], by);
	for (size_t i = 0; i < h->rest; i++)
		n += check_entry(d, &h->at[SEAT_MANY + i], by);
	LIST_FOREACH (seat, &d->misplaced[by], misplaced[by]) {
		assert(seat->deployment == d && seat->server->usable && !seat->is_placed[by]);
		n++;
	}
	assert(n == d->usable);
	(void)n;
}

static void check_order(const struct deployment *d)
{
	struct seat *seat, *before = NULL;
	size_t n = 0, held = 0;

	RB_FOREACH (seat, seats_by_load, (struct seats_by_load *)&d->by_load) {
		assert(seat->deployment == d && seat->server->usable);
		assert(!before || compare_load(before, seat) < 0);
		assert(seat->is_sorted && seat->is_told);
		assert(seat->load == seat->server->ledger.used);
		before = seat;
		n++;
	}
	LIST_FOREACH (seat, &d->unsorted, unsorted) {
		assert(seat->deployment == d && seat->server->usable && !seat->is_sorted);
		n++;
	}
	assert(n == d->usable);
	for (int by = 0; by < SEAT_ORDERS; by++)
		check_heap(d, (enum seat_order)by);
	for (seat = d->seats; seat; seat = seat->next) {
		assert(seat->deployment == d && *seat->at == seat);
		assert(!seat->next || seat->order < seat->next->order);
		assert(seat->server->ledger.inflight > 0 || seat->server->ledger.used == 0);
		held++;
	}
	assert(held == d->held);
	(void)held;
	fleet_deep_check(d);
}

void fleet_check(const struct pool *pool)
{
	struct seat *seat, *before = NULL;
	size_t n = 0, usable = 0, seats = 0;

	for (size_t i = 0; i < pool->deployments; i++) {
		assert(pool->deployment[i]->index == i && pool->deployment[i]->pool == pool);
		check_order(pool->deployment[i]);
		usable += pool->deployment[i]->usable;
		for (seat = pool->deployment[i]->seats; seat; seat = seat->next)
			seats++;
	}
	assert(seats == pool->seats && seats <= pool->seats_cap);
	RB_FOREACH (seat, seats_by_count, (struct seats_by_count *)&pool->by_count) {
		assert(!before || compare_count(before, seat) < 0);
		assert(pool->usable_seat[seat->index] == seat && seat->is_counted && seat->is_told);
		before = seat;
		n++;
	}
	LIST_FOREACH (seat, &pool->uncounted, uncounted) {
		assert(pool->usable_seat[seat->index] == seat && !seat->is_counted);
		n++;
	}
	assert(n == pool->usable && pool->usable == usable);
	(void)before;
	(void)n;
	(void)usable;
	(void)seats;
}
