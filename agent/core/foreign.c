/* Three names of one foreign request in the past (past.h), by which what comes twice or too late
 * is known:
 *
 *   own_hash   id alone             a line of HAProxy came before all other news: STRAY
 *   line_hash  id, for lines        HAProxy's line about a foreign lease that is over: a duplicate
 *   news_hash  owner's name and id  its owner's news, and lists of it
 *
 * They are apart because ids are not: what another agent's request of the same id did must neither
 * refuse ours nor close it. */
#include "core/foreign.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sizes.h"
#include "sched_private.h"

/* Any number that no owner's salt is likely to be. */
#define LINE_SALT UINT64_C(0x6c696e65206f6620)

/* News that is older says nothing of the time that its request takes. */
#define NEWS_FRESH (250 * SLO_NSEC_PER_MSEC)

/* Of an id's hash and a salt. No two hashes become the same by one salt. All names of an id stand
 * side by side in the past. */
static uint64_t salted(uint64_t hash, uint64_t salt)
{
	return hash ^ (salt & ~PAST_HOME_BITS);
}

static uint64_t news_hash(const struct foreign_owner *o, uint64_t hash)
{
	return salted(hash, o->salt);
}

uint64_t foreign_line_hash(uint64_t hash)
{
	return salted(hash, LINE_SALT);
}

/* owners */

static struct foreign_owner *owner_new(struct sched *s, uint32_t number, const char *name,
                                       size_t len)
{
	struct foreign_owner *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->name = strndup(name, len);
	if (!o->name) {
		free(o);
		return NULL;
	}
	o->number = (uint16_t)number;
	o->salt = id_hash(s->conf.hash_key, name, len);
	s->foreign.owner[number - 1] = o;
	return o;
}

static bool reserve(struct foreign *f, uint32_t number)
{
	uint32_t owners = f->owners ? 2 * f->owners : 8;
	struct foreign_owner **grown;

	if (number <= f->owners)
		return true;
	while (owners < number)
		owners *= 2;
	grown = reallocarray(f->owner, owners, sizeof(struct foreign_owner *));
	if (!grown)
		return false;
	for (uint32_t i = f->owners; i < owners; i++)
		grown[i] = NULL;
	f->owner = grown;
	f->owners = owners;
	return true;
}

struct foreign_owner *foreign_owner(struct sched *s, const char *name, size_t len)
{
	struct foreign *f = &s->foreign;
	uint32_t free_number = 0;
	struct foreign_owner *o;

	for (uint32_t i = f->owners; i-- > 0;) {
		o = f->owner[i];
		if (!o)
			free_number = i + 1;
		else if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
			o->known = true;
			return o;
		}
	}
	if (free_number == 0)
		free_number = f->owners + 1;
	if (free_number > FOREIGN_OWNERS_MAX || !reserve(f, free_number))
		return NULL;
	o = owner_new(s, free_number, name, len);
	if (o)
		o->known = true;
	return o;
}

bool foreign_is_full(const struct sched *s)
{
	if (s->foreign.owners < FOREIGN_OWNERS_MAX)
		return false;
	for (uint32_t i = 0; i < s->foreign.owners; i++)
		if (!s->foreign.owner[i])
			return false;
	return true;
}

struct foreign_owner *foreign_owner_numbered(struct sched *s, uint64_t number)
{
	struct foreign *f = &s->foreign;
	char name[16];
	int len = snprintf(name, sizeof(name), "#%u", (unsigned)number);

	if (number == 0 || number > FOREIGN_OWNERS_MAX || !reserve(f, (uint32_t)number))
		return NULL;
	if (f->owner[number - 1])
		return f->owner[number - 1];
	return owner_new(s, (uint32_t)number, name, (size_t)len);
}

struct foreign_owner *foreign_owner_next(const struct sched *s, const struct foreign_owner *o)
{
	for (uint32_t i = o ? o->number : 0; i < s->foreign.owners; i++)
		if (s->foreign.owner[i])
			return s->foreign.owner[i];
	return NULL;
}

struct foreign_owner *foreign_owner_of(const struct sched *s, const struct request *r)
{
	return r->owner ? s->foreign.owner[r->owner - 1] : NULL;
}

static void owner_free(struct foreign *f, struct foreign_owner *o)
{
	foreign_turns_forget(f, o);
	f->owner[o->number - 1] = NULL;
	free(o->name);
	free(o);
}

void foreign_fini(struct foreign *f)
{
	for (uint32_t i = 0; i < f->owners; i++)
		if (f->owner[i])
			owner_free(f, f->owner[i]);
	free(f->owner);
}

/* The next lease of the owner, from r on. */
static struct request *of_owner(struct request *r, const struct foreign_owner *o)
{
	while (r && r->owner != o->number)
		r = TAILQ_NEXT(r, link);
	return r;
}

static struct request *first_of(const struct sched *s, const struct foreign_owner *o)
{
	return of_owner(TAILQ_FIRST(&s->requests.list[REQUEST_DISPATCHED]), o);
}

void foreign_owner_life(struct sched *s, struct foreign_owner *o, uint64_t life)
{
	struct request *r;

	if (o->life == life)
		return;
	for (r = first_of(s, o); r; r = of_owner(TAILQ_NEXT(r, link), o))
		r->former = true;
	o->life = life;
}

void foreign_owner_is_self(struct foreign_owner *o)
{
	o->self = true;
}

void foreign_owner_visible(struct sched *s, struct foreign_owner *o, bool visible)
{
	struct request *r;

	if (o->visible == visible)
		return;
	for (r = first_of(s, o); r; r = of_owner(TAILQ_NEXT(r, link), o))
		sched_lease_hide(s, r, !visible);
	o->visible = visible;
}

void foreign_owner_forget(struct sched *s, struct foreign_owner *o)
{
	o->known = o->listing = o->present = false;
	o->turn = 0;
	if (o->open == 0)
		owner_free(&s->foreign, o);
}

/* leases */

/* The past knows it by that hash from now on. */
static void note(struct sched *s, slo_nsec now, uint64_t hash, enum past_state state)
{
	enum past_state past = past_find(&s->past, hash);

	if (past == PAST_UNKNOWN)
		past_add(&s->past, hash, state, now);
	else if (state == PAST_ENDED && past != PAST_ENDED)
		past_end(&s->past, hash, now);
}

void foreign_over(struct sched *s, slo_nsec now, struct request *r)
{
	struct foreign_owner *o = foreign_owner_of(s, r);
	enum past_state state = r->ended ? PAST_ENDED : PAST_OVER;

	note(s, now, news_hash(o, r->hash), state);
	note(s, now, foreign_line_hash(r->hash), state);
	s->foreign.open--;
	o->open--;
	if (!o->known && o->open == 0)
		owner_free(&s->foreign, o);
}

static bool is_older(const struct request *r, const struct request *than)
{
	return !than || r->since < than->since || (r->since == than->since && r->seq < than->seq);
}

/* Of several of that id the one on the server that the line names, else the oldest. */
struct request *foreign_of_line(const struct sched *s, uint64_t hash, const char *id, size_t len,
                                const struct sched_outcome *outcome)
{
	struct request *found = NULL;
	bool named = false;

	if (!requests_find_of(&s->requests, hash, id, len, ID_OF_ANY))
		return NULL;
	for (uint32_t number = 1; number <= s->foreign.owners; number++) {
		struct request *r = requests_find_of(&s->requests, hash, id, len, number);
		bool is_named = r && outcome->server.p &&
		                slice_eq(outcome->server, fleet_server_of(&r->charge)->name);

		if (!r || (named && !is_named))
			continue;
		if (is_named > named || is_older(r, found))
			found = r;
		named |= is_named;
	}
	return found;
}

static bool sane(const struct foreign_lease *l)
{
	return l->id_len > 0 && l->id_len <= SLO_ID_MAX && !memchr(l->id, 0, l->id_len) &&
	       l->server && l->load <= SLO_LOAD_MAX && l->age >= 0 && tokens_sane(l->input) &&
	       tokens_sane(l->output) && (l->estimate == -1 || tokens_sane(l->estimate)) &&
	       (l->limit == -1 || tokens_sane(l->limit)) && l->strategy >= 0 &&
	       (int)l->strategy < SLO_STRATEGIES && l->sequences >= 1 &&
	       l->sequences <= UINT16_MAX && l->mute <= UINT8_MAX;
}

/* HAProxy's process that served what was dispatched then. */
static uint32_t generation_at(const struct sched *s, slo_nsec since)
{
	uint32_t g = s->generation;

	for (int i = 1; i < GENERATIONS && g > 0 && since < s->changed[g % GENERATIONS]; i++)
		g--;
	return g;
}

static void fill(struct sched *s, struct request *r, const struct foreign_owner *o,
                 const struct foreign_lease *l)
{
	r->model = l->model;
	r->created = r->arrived = r->since;
	r->input = (int32_t)l->input;
	r->output = (int32_t)l->output;
	r->estimate = (int32_t)l->estimate;
	r->limit = (int32_t)l->limit;
	r->sequences = (uint16_t)l->sequences;
	r->mute = (uint8_t)l->mute;
	r->class = l->class < PREDICTOR_CLASSES ? (uint8_t)l->class : PREDICTOR_UNKNOWN;
	r->strategy = (uint8_t)l->strategy;
	r->stream = l->stream;
	r->stream_guessed = l->stream_guessed;
	r->fallback = l->fallback;
	r->untaught = o->listing || l->age > NEWS_FRESH;
	r->hidden = !o->visible;
	r->listed = true;
	r->news = l->news;
	r->seq = ++s->seq;
	r->generation = generation_at(s, r->since);
}

struct request *foreign_open(struct sched *s, slo_nsec now, struct foreign_owner *o,
                             const struct foreign_lease *l, uint64_t hash)
{
	struct seat *seat = l->model ? sched_seat_find(l->model, l->server) : NULL;
	struct request *r =
	    requests_new_of(&s->requests, hash, l->id, l->id_len, o->number, now - l->age);

	if (!r)
		return NULL;
	fill(s, r, o, l);
	o->open++;
	s->foreign.open++;
	if (seat)
		sched_lease_open(s, now, r, seat, l->load);
	else
		sched_lease_open_unseated(s, now, r, l->server, l->load);
	return r;
}

/* Whether it is over already, or one of ours. */
static bool is_past(struct sched *s, slo_nsec now, const struct foreign_owner *o,
                    const struct foreign_lease *l, uint64_t hash)
{
	uint64_t news = news_hash(o, hash);
	enum past_state line = past_find(&s->past, hash);

	if (past_find(&s->past, news) != PAST_UNKNOWN || l->age >= s->conf.lease_max_age)
		return true;
	if (o->self &&
	    (line != PAST_UNKNOWN || requests_find(&s->requests, hash, l->id, l->id_len)))
		return true;
	if (line != PAST_STRAY)
		return false;
	/* HAProxy's end line was faster than its owner. */
	past_end(&s->past, hash, now);
	past_add(&s->past, news, PAST_ENDED, now);
	return true;
}

/* HAProxy counted it before we were told of it, so it is in the surplus. */
static void take_from_surplus(struct sched *s, struct server *server)
{
	uint32_t n = server->surplus_count;

	sched_surplus_restore(s, server, n - 1, server->surplus_load - server->surplus_load / n);
	if (tapped(s))
		tap_server(s, SLO_EVENT_SURPLUS, server);
}

/* Whether its owner saw room that is none: two chose at once. */
static bool overshoots(const struct sched *s, const struct foreign_owner *o,
                       const struct foreign_lease *l)
{
	slo_load ending = foreign_turns_load(s, l->server);

	/* That of slo-adaptive may be more than a whole. */
	return !o->listing && policy_pulls(l->strategy) && !l->fallback &&
	       l->strategy != SLO_STRATEGY_ADAPTIVE &&
	       !ledger_fits(fleet_load(l->server) - ending, l->load);
}

slo_err foreign_dispatch(struct sched *s, slo_nsec now, struct foreign_owner *o,
                         const struct foreign_lease *l)
{
	struct server *server = l->server;
	struct request *r;
	uint64_t hash;

	if (!sane(l))
		return SLO_EINVAL;
	sched_forget_old(s, now);
	hash = l->hash ? l->hash : sched_hash(s, l->id, l->id_len);
	r = requests_find_of(&s->requests, hash, l->id, l->id_len, o->number);
	if (r) {
		if (r->former)
			r->news = l->news;
		r->former = false;
		r->listed = true;
		return SLO_ESTALE;
	}
	if (is_past(s, now, o, l, hash))
		return SLO_ESTALE;
	if (s->conf.foreign_limit > 0 && s->foreign.open >= s->conf.foreign_limit)
		return SLO_EFULL;
	if (o->visible && server->surplus_count > 0 && now - l->age <= server->view.counted)
		take_from_surplus(s, server);
	server->overshoots += overshoots(s, o, l);
	r = foreign_open(s, now, o, l, hash);
	if (!r)
		return SLO_ENOMEM;
	if (tapped(s))
		tap_request(s, SLO_EVENT_FOREIGN, now, r);
	sched_stake(s, now, r);
	return SLO_OK;
}

void foreign_end_now(struct sched *s, slo_nsec now, struct request *r,
                     const struct sched_outcome *outcome, slo_nsec lasted, struct sched_end *out)
{
	if (lasted < 0 || lasted > now - r->since + NEWS_FRESH)
		lasted = now - r->since;
	sched_lease_end(s, now, r, outcome, lasted, out);
	if (tapped(s))
		tap_end(s, now, r, outcome);
}

/* The end of one that is over, or whose dispatch is still to come. */
static enum sched_end_result end_past(struct sched *s, slo_nsec now, const struct foreign_owner *o,
                                      const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);
	enum sched_end_result result = sched_end_past(s, now, news_hash(o, hash), PAST_ENDED);

	if (result == SCHED_END_UNKNOWN)
		note(s, now, foreign_line_hash(hash), PAST_ENDED);
	return result;
}

static bool waits_for_turn(const struct sched *s, const struct foreign_owner *o)
{
	return o->turn > 0 && s->requests.count[REQUEST_QUEUED] > 0;
}

void foreign_end(struct sched *s, slo_nsec now, struct foreign_owner *o, const char *id, size_t len,
                 const struct sched_outcome *outcome, slo_nsec lasted, struct sched_end *out)
{
	uint64_t hash = sched_hash(s, id, len);
	struct request *r;

	*out = (struct sched_end){ .result = SCHED_END_CLOSED };
	sched_forget_old(s, now);
	r = requests_find_of(&s->requests, hash, id, len, o->number);
	/* What we took up of our former life ourselves, another may have seen to its end. */
	if (!r && o->self)
		r = requests_find(&s->requests, hash, id, len);
	if (r && r->ending)
		out->result = SCHED_END_DUPLICATE;
	else if (r && r->state == REQUEST_DISPATCHED && waits_for_turn(s, o) &&
	         foreign_end_later(s, now, o, r, outcome, lasted))
		; /* closed, later */
	else if (r && r->state == REQUEST_DISPATCHED)
		foreign_end_now(s, now, r, outcome, lasted, out);
	else if (len > 0 && len <= SLO_ID_MAX)
		out->result = end_past(s, now, o, id, len);
	else
		out->result = SCHED_END_UNKNOWN;
}

void foreign_list_begin(struct sched *s, struct foreign_owner *o)
{
	struct request *r;

	for (r = first_of(s, o); r; r = of_owner(TAILQ_NEXT(r, link), o))
		r->listed = false;
	o->listing = true;
}

/* Whether the list may lack r for no other reason than that it is over. */
static bool is_missing(const struct request *r, uint64_t news, bool whole)
{
	if (r->listed || r->ending)
		return false;
	return r->former ? whole : (int32_t)(r->news - (uint32_t)news) <= 0;
}

size_t foreign_list_end(struct sched *s, slo_nsec now, struct foreign_owner *o, uint64_t news,
                        bool whole)
{
	struct request *r, *next;
	struct sched_end unused;
	size_t n = 0;

	o->listing = false;
	for (r = first_of(s, o); r; r = next) {
		next = of_owner(TAILQ_NEXT(r, link), o);
		if (!is_missing(r, news, whole))
			continue;
		unused = (struct sched_end){ .result = SCHED_END_CLOSED };
		foreign_end_now(s, now, r, NULL, -1, &unused);
		n++;
	}
	return n;
}

/* told to others */

struct foreign_lease foreign_lease_of(const struct request *r, slo_nsec now)
{
	return (struct foreign_lease){
		.id = r->id,
		.id_len = r->id_len,
		.model = r->model,
		.server = fleet_server_of(&r->charge),
		.load = r->charge.load,
		.age = now > r->since ? now - r->since : 0,
		.input = r->input,
		.output = r->output,
		.strategy = (enum slo_strategy)r->strategy,
		.fallback = r->fallback,
		.estimate = r->estimate,
		.limit = r->limit,
		.sequences = r->sequences,
		.mute = r->mute,
		.class = r->class,
		.stream = r->stream,
		.stream_guessed = r->stream_guessed,
	};
}

static const struct request *skip_ours(const struct request *r)
{
	while (r && (r->owner == 0 || r->ending))
		r = TAILQ_NEXT(r, link);
	return r;
}

const struct request *foreign_first(const struct sched *s)
{
	return s->foreign.open ? skip_ours(TAILQ_FIRST(&s->requests.list[REQUEST_DISPATCHED]))
	                       : NULL;
}

const struct request *foreign_next(const struct request *r)
{
	return skip_ours(TAILQ_NEXT(r, link));
}

const struct request *foreign_find(const struct sched *s, uint64_t number, const char *id,
                                   size_t len)
{
	if (number == 0 || number > s->foreign.owners)
		return NULL;
	return requests_find_of(&s->requests, sched_hash(s, id, len), id, len, (uint32_t)number);
}

const struct request *foreign_find_any(const struct sched *s, const char *id, size_t len)
{
	uint64_t hash = sched_hash(s, id, len);

	if (s->foreign.open == 0 || requests_find(&s->requests, hash, id, len))
		return NULL;
	return requests_find_of(&s->requests, hash, id, len, ID_OF_ANY);
}

bool foreign_is_former(const struct request *r)
{
	return r->former;
}

void foreign_listen(struct sched *s, const struct foreign_news *news)
{
	s->foreign.news = news ? *news : (struct foreign_news){ 0 };
}
