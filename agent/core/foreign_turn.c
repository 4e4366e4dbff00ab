/* Ends of foreign leases that wait for our turn.
 *
 * A place on a server becomes free, four agents have a request waiting for it, a message takes 1
 * ms, turns are 3 ms apart:
 *
 *   0 ms   the request of agent b ends: b may take the place at once
 *   1 ms   a, c and d hear of it; c is next and looks at once
 *   4 ms   d looks: what c did at 1 ms it has known since 2 ms
 *   7 ms   a looks
 *
 * No more than TURNS_MAX wait, each for less than a second: what comes beyond them counts at once.
 *
 * Until its turn an agent keeps the lease as if it ran, so nothing that it decides meanwhile takes
 * that place. If the dispatch of another took it, the end leaves no room when it counts. Where
 * nobody waits nothing is put off. */
#include <stdlib.h>
#include <string.h>

#include "sched_private.h"

#define TURNS_MAX 1024

struct foreign_turn {
	TAILQ_ENTRY(foreign_turn) link;
	slo_nsec due, lasted;
	uint16_t owner;  /* its number */
	uint64_t server; /* its number */
	bool told;       /* the outcome was */
	struct sched_outcome outcome;
	size_t id_len;
	uint8_t bytes[]; /* the id, then the names in the outcome */
};

void foreign_init(struct foreign *f)
{
	TAILQ_INIT(&f->turns);
}

/* Whether b comes before c on the way from a, around the circle of names. */
static bool is_between(const char *a, const char *b, const char *c)
{
	bool b_ahead = strcmp(a, b) < 0, c_ahead = strcmp(a, c) < 0;

	return b_ahead == c_ahead ? strcmp(b, c) < 0 : b_ahead;
}

void foreign_deal_turns(struct sched *s, const char *name, slo_nsec apart)
{
	struct foreign_owner *o = NULL;

	while ((o = foreign_owner_next(s, o))) {
		const struct foreign_owner *other = NULL;

		o->turn = 0;
		while (o->present && (other = foreign_owner_next(s, other)))
			if (other != o && other->present && is_between(o->name, other->name, name))
				o->turn += apart;
	}
}

slo_nsec foreign_next_turn(const struct sched *s)
{
	const struct foreign_turn *t = TAILQ_FIRST(&s->foreign.turns);

	return t ? t->due : SLO_NEVER;
}

static struct slice copy(uint8_t **at, struct slice from)
{
	struct slice to = { from.p ? *at : NULL, from.len };

	if (from.p)
		memcpy(*at, from.p, from.len);
	*at += from.len;
	return to;
}

bool foreign_end_later(struct sched *s, slo_nsec now, const struct foreign_owner *o,
                       struct request *r, const struct sched_outcome *outcome, slo_nsec lasted)
{
	size_t names = outcome ? outcome->backend.len + outcome->server.len : 0;
	struct foreign_turn *t, *before;
	uint8_t *at;

	t = s->foreign.turn_count < TURNS_MAX ? calloc(1, sizeof(*t) + r->id_len + names) : NULL;
	if (!t)
		return false;
	s->foreign.turn_count++;
	t->due = slo_after(now, o->turn);
	t->lasted = lasted < 0 ? now - r->since : lasted;
	t->owner = r->owner;
	t->server = fleet_server_of(&r->charge)->number;
	t->id_len = r->id_len;
	at = t->bytes;
	(void)copy(&at, (struct slice){ (const uint8_t *)r->id, r->id_len });
	if (outcome) {
		t->told = true;
		t->outcome = *outcome;
		t->outcome.backend = copy(&at, outcome->backend);
		t->outcome.server = copy(&at, outcome->server);
	}
	before = TAILQ_LAST(&s->foreign.turns, foreign_turns);
	while (before && before->due > t->due)
		before = TAILQ_PREV(before, foreign_turns, link);
	if (before)
		TAILQ_INSERT_AFTER(&s->foreign.turns, before, t, link);
	else
		TAILQ_INSERT_HEAD(&s->foreign.turns, t, link);
	r->ending = true;
	return true;
}

/* NULL: it is over by something else already. */
static struct request *request_of(const struct sched *s, const struct foreign_turn *t)
{
	const char *id = (const char *)t->bytes;
	struct request *r =
	    requests_find_of(&s->requests, sched_hash(s, id, t->id_len), id, t->id_len, t->owner);

	return r && r->ending ? r : NULL;
}

/* t is not one of the scheduler's any more, and freed. */
static void count(struct sched *s, slo_nsec now, struct foreign_turn *t)
{
	struct sched_end unused = { .result = SCHED_END_CLOSED };
	struct request *r = request_of(s, t);

	if (r)
		foreign_end_now(s, now, r, t->told ? &t->outcome : NULL, t->lasted, &unused);
	free(t);
}

void foreign_take_turns(struct sched *s, slo_nsec now)
{
	struct foreign_turns due;
	struct foreign_turn *t, *next;

	TAILQ_INIT(&due);
	while ((t = TAILQ_FIRST(&s->foreign.turns)) && t->due <= now) {
		TAILQ_REMOVE(&s->foreign.turns, t, link);
		s->foreign.turn_count--;
		TAILQ_INSERT_TAIL(&due, t, link);
	}
	for (t = TAILQ_FIRST(&due); t; t = next) {
		next = TAILQ_NEXT(t, link);
		count(s, now, t);
	}
}

slo_load foreign_turns_load(const struct sched *s, const struct server *server)
{
	const struct foreign_turn *t;
	slo_load sum = 0;

	TAILQ_FOREACH (t, &s->foreign.turns, link) {
		const struct request *r = t->server == server->number ? request_of(s, t) : NULL;

		sum += r ? r->charge.load : 0;
	}
	return sum;
}

void foreign_turns_forget(struct foreign *f, const struct foreign_owner *o)
{
	struct foreign_turn *t, *next;

	for (t = TAILQ_FIRST(&f->turns); t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->owner != o->number)
			continue;
		TAILQ_REMOVE(&f->turns, t, link);
		f->turn_count--;
		free(t);
	}
}
