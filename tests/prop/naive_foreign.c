/* naive_foreign.c - requests that other agents placed. */
#include <string.h>

#include "naive_private.h"

static uint32_t number_of(const struct naive *n, unsigned owner, uint32_t id)
{
	return owner * n->ids + id;
}

uint32_t naive_id(const struct naive *n, uint32_t number)
{
	return number % n->ids;
}

unsigned naive_owner(const struct naive *n, uint32_t number)
{
	return number / n->ids;
}

uint32_t naive_line_number(const struct naive *n, uint32_t id)
{
	return number_of(n, NAIVE_OWNERS + 1, id);
}

uint32_t naive_foreign_of_line(const struct naive *n, uint32_t id, int server)
{
	uint32_t first = 0;

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->owner == 0 || naive_id(n, n->dispatched[i]) != id)
			continue;
		if (server >= 0 && r->server == (unsigned)server)
			return n->dispatched[i];
		if (first == 0)
			first = n->dispatched[i];
	}
	return first;
}

/* What was over stays so; what ended meanwhile is the youngest again. */
static void note(struct naive *n, slo_nsec now, uint32_t number, bool ended)
{
	struct request *r = &n->request[number];

	if (r->state != OVER) {
		r->ended = ended;
		naive_remember(n, now, number);
	} else if (ended && !r->ended) {
		naive_ended_now(n, now, number);
	}
}

void naive_foreign_over(struct naive *n, slo_nsec now, uint32_t number)
{
	bool ended = n->request[number].ended;

	note(n, now, number, ended);
	note(n, now, naive_line_number(n, number % n->ids), ended);
}

static size_t open_of(const struct naive *n, unsigned owner)
{
	size_t count = 0;

	for (size_t i = 0; i < n->n_dispatched; i++)
		count += n->request[n->dispatched[i]].owner == owner;
	return count;
}

static void forget_turns(struct naive *n, unsigned owner)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->turns; i++)
		if (naive_owner(n, n->turn[i].number) != owner)
			n->turn[kept++] = n->turn[i];
	n->turns = kept;
}

/* An owner that was forgotten is no more when its last request is over. */
static void know(struct naive *n, unsigned owner)
{
	struct owner *o = &n->owner[owner];

	if (!o->known && open_of(n, owner) == 0) {
		o->visible = false;
		forget_turns(n, owner);
	}
	o->known = true;
}

/* The requests in flight stand in the order of their dispatch. */
static void insert(struct naive *n, uint32_t number)
{
	size_t i = n->n_dispatched++;

	for (; i > 0 && n->request[n->dispatched[i - 1]].placed > n->request[number].placed; i--)
		n->dispatched[i] = n->dispatched[i - 1];
	n->dispatched[i] = number;
}

/* Changes of process that were before. */
static size_t changes_at(const struct naive *n, slo_nsec placed)
{
	size_t changes = n->changes;

	for (int i = 1; i < 16 && changes > 0 && placed < n->changed[changes]; i++)
		changes--;
	return changes;
}

/* What those that wait for a turn on the server weigh: their room is for who is first. */
static uint64_t ending_load(const struct naive *n, unsigned server)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n->turns; i++) {
		const struct request *r = &n->request[n->turn[i].number];

		if (r->state == DISPATCHED && r->ending && r->server == server)
			sum += r->load;
	}
	return sum;
}

/* Here they have no tokens, and no target of their own. */
static void becomes_a_part(struct naive *n, slo_nsec t, const struct naive_foreign *f,
                           uint32_t number)
{
	struct request *r = &n->request[number];
	const struct deployment *d = NULL;

	if (f->model < NAIVE_MODELS && n->model[f->model].seated[f->server] != 0)
		d = naive_deployment_of(&n->model[f->model], f->server);
	r->ask = (struct naive_request){ .model = f->model,
		                         .strategy = f->strategy,
		                         .created = r->placed };
	r->of_none = f->model >= NAIVE_MODELS || !n->model[f->model].exists;
	naive_adaptive_reads(n, t, f->server, d, &r->ask);
	if (d != NULL && f->strategy == NAIVE_ADAPTIVE)
		naive_adaptive_alone(n, number, d);
}

static void charge(struct naive *n, const struct naive_foreign *f, uint32_t number)
{
	struct server *s = &n->server[f->server];
	struct request *r = &n->request[number];

	if (!r->hidden && s->strangers > 0 && r->placed <= s->counted) {
		uint64_t less = s->strange_load / s->strangers;

		if (less > 0)
			naive_concerns_server(n, f->server);
		s->strange_load -= less;
		s->used -= less;
		s->strangers--;
		s->inflight--;
	}
	if (f->strategy != NAIVE_PUSH && f->strategy != NAIVE_LEAST_REQUEST &&
	    f->strategy != NAIVE_RANDOM && f->strategy != NAIVE_ADAPTIVE &&
	    !naive_fits(s->used - ending_load(n, f->server), f->load))
		s->overshoots++;
	s->used += f->load;
	s->inflight++;
	if (f->model < NAIVE_MODELS && n->model[f->model].seated[f->server] != 0) {
		naive_weighed(n, f->model, f->server, f->load);
		n->model[f->model].turn[f->server] = ++n->model[f->model].turns;
	}
}

static slo_err dispatched(struct naive *n, slo_nsec t, const struct naive_foreign *f)
{
	uint32_t number = number_of(n, f->owner, f->id);
	struct request *r = &n->request[number], *ours = &n->request[f->id];

	if (r->state == DISPATCHED)
		r->former = false;
	if (r->state != UNSEEN || (n->conf.lease != SLO_NEVER && f->age >= n->conf.lease))
		return SLO_ESTALE;
	if (ours->state == OVER && ours->stray) {
		ours->stray = false;
		naive_ended_now(n, t, f->id);
		naive_ended_now(n, t, number);
		return SLO_ESTALE;
	}
	*r = (struct request){ .state = DISPATCHED,
		               .owner = f->owner,
		               .server = f->server,
		               .load = f->load,
		               .placed = t - f->age,
		               .hidden = !n->owner[f->owner].visible };
	r->changes = changes_at(n, r->placed);
	if (r->changes != n->changes && !r->hidden)
		r->departed = ++n->departures;
	becomes_a_part(n, t, f, number);
	insert(n, number);
	charge(n, f, number);
	return SLO_OK;
}

slo_err naive_foreign(struct naive *n, slo_nsec t, const struct naive_foreign *f)
{
	slo_err err;

	know(n, f->owner);
	naive_forget_old(n, t);
	err = dispatched(n, t, f);
	naive_settle(n, t);
	return err;
}

slo_nsec naive_next_turn(const struct naive *n)
{
	/* What is over by something else already leaves nothing to its turn. */
	for (size_t i = 0; i < n->turns; i++)
		if (n->request[n->turn[i].number].state == DISPATCHED &&
		    n->request[n->turn[i].number].ending)
			return n->turn[i].due;
	return SLO_NEVER;
}

void naive_take_turns(struct naive *n, slo_nsec now)
{
	while (n->turns > 0 && n->turn[0].due <= now) {
		uint32_t number = n->turn[0].number;
		struct request *r = &n->request[number];

		n->turns--;
		for (size_t i = 0; i < n->turns; i++)
			n->turn[i] = n->turn[i + 1];
		if (r->state != DISPATCHED || !r->ending)
			continue;
		r->ended = true;
		naive_concerns_server(n, r->server);
		naive_release(n, now, number);
	}
}

static bool somebody_waits(const struct naive *n)
{
	size_t queued = 0;

	for (unsigned m = 0; m < NAIVE_MODELS; m++)
		queued += n->model[m].queued;
	return queued > 0;
}

/* False: nobody here would look at that room before, or too many wait already. */
static bool waits_for_turn(struct naive *n, slo_nsec t, unsigned owner, uint32_t number)
{
	const struct turn end = { number, t + n->owner[owner].turn };
	size_t i = n->turns;

	if (n->owner[owner].turn == 0 || !somebody_waits(n) || n->turns == NAIVE_TURNS)
		return false;
	for (; i > 0 && n->turn[i - 1].due > end.due; i--)
		n->turn[i] = n->turn[i - 1];
	n->turn[i] = end;
	n->turns++;
	n->request[number].ending = true;
	return true;
}

/* The circle of names: each owner has an even place, ours is an odd one between them. */
static unsigned way(unsigned from, unsigned to)
{
	const unsigned places = 2 * NAIVE_OWNERS + 2;

	return (to + places - from) % places;
}

void naive_deal(struct naive *n, slo_nsec t, unsigned present, unsigned place, slo_nsec apart)
{
	for (unsigned o = 1; o <= NAIVE_OWNERS; o++) {
		know(n, o);
		n->owner[o].present = present >> o & 1;
	}
	for (unsigned o = 1; o <= NAIVE_OWNERS; o++) {
		n->owner[o].turn = 0;
		for (unsigned p = 1; p <= NAIVE_OWNERS && n->owner[o].present; p++)
			if (p != o && n->owner[p].present &&
			    way(2 * o, 2 * p) < way(2 * o, 2 * place + 1))
				n->owner[o].turn += apart;
	}
	naive_settle(n, t);
}

enum naive_end naive_foreign_end(struct naive *n, slo_nsec t, unsigned owner, uint32_t id)
{
	uint32_t number = number_of(n, owner, id);
	struct request *r = &n->request[number];
	enum naive_end result = NAIVE_CLOSED;

	know(n, owner);
	naive_forget_old(n, t);
	if (r->state == DISPATCHED && r->ending) {
		result = NAIVE_DUPLICATE;
	} else if (r->state == DISPATCHED && waits_for_turn(n, t, owner, number)) {
		result = NAIVE_CLOSED;
	} else if (r->state == DISPATCHED) {
		r->ended = true;
		naive_concerns_server(n, r->server);
		naive_release(n, t, number);
	} else if (r->state == OVER && r->ended) {
		result = NAIVE_DUPLICATE;
	} else if (r->state == OVER) {
		naive_ended_now(n, t, number);
	} else {
		result = NAIVE_UNKNOWN;
		naive_ended_now(n, t, number);
		note(n, t, naive_line_number(n, id), true);
	}
	naive_settle(n, t);
	return result;
}

size_t naive_list(struct naive *n, slo_nsec t, unsigned owner, bool whole,
                  bool (*named)(uint64_t seed, uint32_t id), uint64_t seed)
{
	size_t closed = 0;

	know(n, owner);
	for (size_t i = 0; i < n->n_dispatched;) {
		uint32_t number = n->dispatched[i];
		struct request *r = &n->request[number];

		i++;
		if (r->owner != owner || r->ending)
			continue;
		if (named(seed, number % n->ids)) {
			r->former = false;
		} else if (!r->former || whole) {
			r->ended = true;
			naive_concerns_server(n, r->server);
			naive_release(n, t, number);
			closed++;
			i--;
		}
	}
	naive_settle(n, t);
	return closed;
}

void naive_new_life(struct naive *n, slo_nsec t, unsigned owner)
{
	know(n, owner);
	for (size_t i = 0; i < n->n_dispatched; i++)
		if (n->request[n->dispatched[i]].owner == owner)
			n->request[n->dispatched[i]].former = true;
	naive_settle(n, t);
}

void naive_visible(struct naive *n, slo_nsec t, unsigned owner, bool visible)
{
	know(n, owner);
	for (size_t i = 0; i < n->n_dispatched && n->owner[owner].visible != visible; i++) {
		struct request *r = &n->request[n->dispatched[i]];

		if (r->owner != owner)
			continue;
		r->hidden = !visible;
		r->departed = 0;
		if (visible && r->changes != n->changes)
			r->departed = ++n->departures;
	}
	n->owner[owner].visible = visible;
	naive_settle(n, t);
}

void naive_forget(struct naive *n, slo_nsec t, unsigned owner)
{
	know(n, owner);
	n->owner[owner].known = n->owner[owner].present = false;
	n->owner[owner].turn = 0;
	naive_settle(n, t);
}

void naive_counted(struct naive *n, slo_nsec t, unsigned server)
{
	n->server[server].counted = t;
}

uint64_t naive_overshoots(const struct naive *n, unsigned server)
{
	return n->server[server].overshoots;
}

uint32_t naive_foreigners(const struct naive *n, unsigned server)
{
	uint32_t count = 0;

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		count += r->owner != 0 && r->server == server;
	}
	return count;
}
