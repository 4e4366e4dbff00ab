/* A recording through the scheduler with another strategy, in two runs.
 *
 * The first (learn) plays the recording as it was. It counts what was decided, and notes of each
 * request when it was dispatched and when it ended. The second (decide_anew) feeds the same
 * arrivals to a scheduler with the other strategy, which decides for itself: the recorded decisions
 * and ends are left out. A request that is dispatched there lasts as long as it did in the
 * recording, one that was not dispatched then as long as the mean of its model, so its end is due
 * at a time of its own (struct arrival, by_due). Clients that left while they waited leave again.
 * Both runs are counted by the same struct tally, whose two columns are the table that is printed.
 */
#include <bsd/sys/tree.h>
#include <stdlib.h>

#include "core/foreign.h"
#include "core/lease.h"
#include "core/record/player.h"
#include "private.h"
#include "tally.h"
#include "wire/file/record.h"

#define NONE SLO_NEVER

/* A request, in the order of their records. */
struct arrival {
	UT_hash_handle hh; /* by id: the latest one that has it */
	struct slice id;
	size_t index; /* in arrivals[] */
	uint64_t model;
	slo_nsec dispatched, ended; /* as recorded; NONE */
	bool waits;                 /* in this run */
	slo_nsec due;               /* when it ends in this run; NONE: it is not in by_due */
	RB_ENTRY(arrival) by_due;
};

/* How long the requests of a model lasted. */
struct span {
	UT_hash_handle hh;
	uint64_t model;
	double sum;
	uint64_t count;
};

RB_HEAD(arrivals_by_due, arrival);

/* The earliest first; of equal ones in the order of the records. */
static int due_order(const struct arrival *a, const struct arrival *b)
{
	if (a->due != b->due)
		return a->due < b->due ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

/* As in fleet.c: libbsd's RB_GENERATE_STATIC needs a macro that glibc's headers clash with. */
RB_GENERATE_INTERNAL(arrivals_by_due, arrival, by_due, due_order, static __attribute__((unused)))

struct what_if {
	const struct replay_options *opt;
	struct replay_source source;
	struct arrival **arrivals; /* [arrival_n] */
	size_t arrival_n, arrival_cap, arrival_at;
	struct arrival *by_id;
	struct span *spans;
	struct arrivals_by_due due;
	struct player *players[2]; /* recorded, what if */
	struct tally tally[2];
	struct player *player; /* of this run */
	struct tally *run;
	bool ready; /* the state at the start is complete */
	slo_nsec now;
	uint64_t expired;
};

static bool no_memory(const struct what_if *w)
{
	return source_complain(&w->source, "out of memory");
}

/* requests */

static struct arrival *arrival_find(const struct what_if *w, struct slice id)
{
	struct arrival *a;

	HASH_FIND(hh, w->by_id, id.p, id.len, a);
	return a;
}

/* From now on that id is this one's. False: out of memory. */
static bool arrival_name(struct what_if *w, struct arrival *a)
{
	struct arrival *before = arrival_find(w, a->id);

	if (before)
		HASH_DEL(w->by_id, before);
	HASH_ADD_KEYPTR(hh, w->by_id, a->id.p, a->id.len, a);
	return a->hh.tbl != NULL;
}

/* In the order of the records; in the second run it is found there again. NULL: out of memory. */
static struct arrival *arrival_new(struct what_if *w, const struct slo_event *e)
{
	size_t cap = w->arrival_cap ? 2 * w->arrival_cap : 1024;
	struct arrival **grown, *a;

	if (w->arrival_n == w->arrival_cap) {
		grown = reallocarray(w->arrivals, cap, sizeof(struct arrival *));
		if (!grown)
			return NULL;
		w->arrivals = grown;
		w->arrival_cap = cap;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->id = e->text;
	a->model = e->model;
	a->dispatched = e->kind == SLO_EVENT_LEASE ? e->now : NONE;
	a->ended = a->due = NONE;
	a->index = w->arrival_n;
	w->arrivals[w->arrival_n++] = a;
	return a;
}

static struct span *span_of(struct what_if *w, uint64_t model, bool add)
{
	struct span *s;

	HASH_FIND(hh, w->spans, &model, sizeof(model), s);
	if (s || !add)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->model = model;
	HASH_ADD(hh, w->spans, model, sizeof(s->model), s);
	if (s->hh.tbl)
		return s;
	free(s);
	return NULL;
}

/* How long it lasts from its dispatch; NONE: until the end. */
static slo_nsec duration(struct what_if *w, const struct arrival *a)
{
	const struct span *s;

	if (a->dispatched != NONE)
		return a->ended == NONE ? NONE : a->ended - a->dispatched;
	s = span_of(w, a->model, false);
	return s ? (slo_nsec)(s->sum / (double)s->count) : NONE;
}

static void arrival_due(struct what_if *w, struct arrival *a, slo_nsec at)
{
	if (a->due != NONE) /* an id that was used again while it ran */
		return;
	a->due = at;
	RB_INSERT(arrivals_by_due, &w->due, a);
}

static void arrival_not_due(struct what_if *w, struct arrival *a)
{
	RB_REMOVE(arrivals_by_due, &w->due, a);
	a->due = NONE;
}

/* both runs */

/* The load of that server may have changed. False: out of memory. */
static bool look_at(struct what_if *w, const struct server *server)
{
	return !server || tally_load(w->run, w->now, server);
}

/* Leases that grew too old. Their event does not name the server, so all are looked at. */
static void look_for_expired(struct what_if *w)
{
	uint64_t expired = sched_counts(player_sched(w->player)).leases_expired;

	if (expired != w->expired)
		tally_loads(w->run, w->now);
	w->expired = expired;
}

/* The state is complete: from now on it counts. */
static bool start_counting(struct what_if *w)
{
	w->ready = true;
	w->run->begin = w->now;
	return true;
}

static bool count(struct what_if *w, const struct sched_action *act)
{
	if (is_for_nobody(act->verdict, act->reason))
		return true;
	return tally_decision(w->run, act->verdict, act->reason, act->seat != NULL, act->waited) &&
	       look_at(w, act->seat ? act->seat->server : NULL);
}

static bool apply(struct what_if *w, const struct slo_event *e, struct sched_action *act,
                  bool *acted)
{
	const char *why;
	slo_err err = player_apply(w->player, e, act, acted, &why);

	if (err == SLO_EINVAL)
		return source_complain(&w->source, why);
	if (err != SLO_OK)
		return no_memory(w);
	/* Those of the start, and surpluses. */
	if (!look_at(w, player_server(w->player, e->server)))
		return no_memory(w);
	return e->kind != SLO_EVENT_QUIET || start_counting(w);
}

static bool passed(struct what_if *w, const struct slo_event *e)
{
	return tally_decision(w->run, SLO_PASS, (enum slo_reason)e->reason, false, 0) ||
	       no_memory(w);
}

/* as it was */

/* Whether `now` of the event is the time of the run: a lease tells its dispatch. */
static bool is_timed(const struct slo_event *e)
{
	return (e->kind >= SLO_EVENT_SUBMIT && e->kind <= SLO_EVENT_PASS &&
	        e->kind != SLO_EVENT_LEASE) ||
	       e->kind == SLO_EVENT_FOREIGN || e->kind == SLO_EVENT_FOREIGN_END ||
	       e->kind == SLO_EVENT_HEARD;
}

/* Where a request that is about to end runs. */
static const struct server *server_of(struct what_if *w, struct slice id)
{
	struct sched *sched = player_sched(w->player);
	const struct request *r = sched ? lease_find(sched, (const char *)id.p, id.len) : NULL;

	return r ? fleet_server_of(&r->charge) : NULL;
}

/* A request of another agent ends as it did then. */
static bool foreign_ends(struct what_if *w, const struct slo_event *e)
{
	const struct sched *sched = player_sched(w->player);
	const struct request *r =
	    sched ? foreign_find(sched, e->order, (const char *)e->text.p, e->text.len) : NULL;
	const struct server *server = r ? fleet_server_of(&r->charge) : NULL;
	struct sched_action act;
	bool acted;

	return apply(w, e, &act, &acted) && (look_at(w, server) || no_memory(w));
}

/* Repeats the event and counts what it decided; *seat is where that placed its request, or NULL. */
static bool repeat(struct what_if *w, const struct slo_event *e, const struct seat **seat)
{
	struct sched_action act = { .seat = NULL };
	bool acted = false;

	if (!apply(w, e, &act, &acted))
		return false;
	look_for_expired(w);
	*seat = acted ? act.seat : NULL;
	return !acted || count(w, &act) || no_memory(w);
}

static bool learn_arrival(struct what_if *w, const struct slo_event *e)
{
	const struct seat *unused;
	struct arrival *a;

	if (!repeat(w, e, &unused))
		return false;
	a = arrival_new(w, e);
	return (a && arrival_name(w, a)) || no_memory(w);
}

/* How long it lasted. */
static bool learn_span(struct what_if *w, struct arrival *a, slo_nsec now)
{
	struct span *s;

	if (!a || a->dispatched == NONE || a->ended != NONE)
		return true;
	a->ended = now;
	s = span_of(w, a->model, true);
	if (!s)
		return false;
	s->sum += (double)(now - a->dispatched);
	s->count++;
	return true;
}

static bool learn_end(struct what_if *w, const struct slo_event *e)
{
	/* Once it is over nobody knows where it ran. */
	const struct server *server = server_of(w, e->text);
	const struct seat *unused;

	if (!repeat(w, e, &unused))
		return false;
	return (look_at(w, server) && learn_span(w, arrival_find(w, e->text), e->now)) ||
	       no_memory(w);
}

static bool learn_decision(struct what_if *w, const struct slo_event *e)
{
	const struct seat *seat;
	struct arrival *a;

	if (!repeat(w, e, &seat))
		return false;
	a = e->text.p ? arrival_find(w, e->text) : NULL;
	if (a && seat && a->dispatched == NONE)
		a->dispatched = e->now;
	return true;
}

static bool learn(struct what_if *w, const struct slo_event *e)
{
	const struct seat *unused;

	if (w->ready && is_timed(e) && e->now > w->now)
		w->now = e->now;
	switch (e->kind) {
	case SLO_EVENT_PASS:
		return passed(w, e);
	case SLO_EVENT_SUBMIT:
	case SLO_EVENT_LEASE:
		return learn_arrival(w, e);
	case SLO_EVENT_END:
		return learn_end(w, e);
	case SLO_EVENT_FOREIGN_END:
		return foreign_ends(w, e);
	case SLO_EVENT_DECISION:
	case SLO_EVENT_LET_GO:
		return learn_decision(w, e);
	default:
		return repeat(w, e, &unused);
	}
}

/* as it would have been */

/* What the other strategy decided about a request: if it was placed, its end is due. */
static bool answer(struct what_if *w, const struct sched_action *act)
{
	const struct request *r = act->request;
	struct arrival *a = arrival_find(w, (struct slice){ (const uint8_t *)r->id, r->id_len });
	slo_nsec lasts = NONE;

	if (!count(w, act))
		return no_memory(w);
	if (!a)
		return true;
	a->waits = false;
	if (act->seat)
		lasts = duration(w, a);
	if (lasts != NONE)
		arrival_due(w, a, w->now + lasts);
	return true;
}

static bool step(struct what_if *w)
{
	struct sched *s = player_sched(w->player);
	struct sched_action act;

	while (sched_step(s, w->now, &act))
		if (!answer(w, &act))
			return false;
	look_for_expired(w);
	return true;
}

static bool end(struct what_if *w, const struct arrival *a)
{
	const struct sched_outcome outcome = { .input = -1, .output = -1, .bytes = -1 };
	struct sched_end ended;

	sched_end(player_sched(w->player), w->now, (const char *)a->id.p, a->id.len, &outcome,
	          &ended);
	return look_at(w, ended.server) || no_memory(w);
}

/* Lets time pass up to t, through all that happens by itself on the way. */
static bool advance(struct what_if *w, slo_nsec t)
{
	struct sched *s = player_sched(w->player);

	for (;;) {
		slo_nsec wakeup = sched_next_wakeup(s);
		struct arrival *first = RB_MIN(arrivals_by_due, &w->due);
		slo_nsec due = first ? first->due : NONE;
		slo_nsec next = due < wakeup ? due : wakeup;

		if (next > t || next == NONE)
			break;
		w->now = next > w->now ? next : w->now;
		if (due <= wakeup) {
			arrival_not_due(w, first);
			if (!end(w, first))
				return false;
		}
		if (!step(w))
			return false;
	}
	w->now = t > w->now ? t : w->now;
	return true;
}

/* A recorded arrival, to be decided anew. */
static bool submit(struct what_if *w, const struct slo_event *e, struct arrival *a)
{
	struct sched_request req = player_request(w->player, e);
	struct sched *s = player_sched(w->player);
	struct request *r;
	slo_err err;

	req.strategy = w->opt->strategy;
	err = sched_submit(s, w->now, &req, &r);
	if (err == SLO_ENOMEM)
		return no_memory(w);
	a->waits = err == SLO_OK;
	if (err != SLO_OK)
		return passed(w, &(struct slo_event){ .reason = SLO_REASON_BAD_REQUEST });
	/* The daemon takes in several before it decides, but not beyond the limit. */
	return !sched_queue_full(s, r) || step(w);
}

static bool let_go(struct what_if *w)
{
	struct sched_action act;

	while (sched_let_go(player_sched(w->player), w->now, &act))
		if (!answer(w, &act))
			return false;
	return true;
}

/* A client that leaves while it waits; others end when their time is over. */
static bool leave(struct what_if *w, const struct slo_event *e)
{
	struct arrival *a = arrival_find(w, e->text);

	if (!a || !a->waits)
		return true;
	/* What was dispatched then only waits longer now. */
	if (a->dispatched != NONE)
		return true;
	a->waits = false;
	return end(w, a);
}

/* Requests that waited or ran when the recording began are taken over as they were. */
static bool arrive(struct what_if *w, const struct slo_event *e)
{
	struct arrival *a = w->arrivals[w->arrival_at++];
	struct sched_action act;
	bool acted;

	if (!arrival_name(w, a))
		return no_memory(w);
	a->waits = e->kind == SLO_EVENT_SUBMIT;
	if (w->ready && e->kind == SLO_EVENT_SUBMIT)
		return submit(w, e, a);
	if (e->kind == SLO_EVENT_LEASE && a->ended != NONE)
		arrival_due(w, a, a->ended);
	return apply(w, e, &act, &acted);
}

static bool decide_anew(struct what_if *w, const struct slo_event *e)
{
	struct sched_action act;
	bool acted;

	if (w->ready && is_timed(e) && !advance(w, e->now))
		return false;
	switch (e->kind) {
	case SLO_EVENT_SUBMIT:
	case SLO_EVENT_LEASE:
		return arrive(w, e);
	case SLO_EVENT_ABANDON:
	case SLO_EVENT_END:
		return leave(w, e);
	case SLO_EVENT_FOREIGN_END:
		return foreign_ends(w, e);
	case SLO_EVENT_STEP:
	case SLO_EVENT_DECISION:
		return step(w);
	case SLO_EVENT_LET_GO:
		return let_go(w);
	case SLO_EVENT_PASS:
		return passed(w, e);
	default:
		return apply(w, e, &act, &acted);
	}
}

/* the file */

static bool play_once(struct what_if *w, int run,
                      bool (*event)(struct what_if *, const struct slo_event *))
{
	bool ok = true;

	HASH_CLEAR(hh, w->by_id);
	w->player = w->players[run] = player_new();
	if (!w->player)
		return no_memory(w);
	w->run = &w->tally[run];
	w->ready = false;
	w->expired = 0;
	w->source.next = RECORD_HEAD_LEN;
	while (ok && source_next(&w->source, &ok)) {
		if (w->source.event.kind == SLO_EVENT_START)
			w->now = w->source.event.now;
		ok = event(w, &w->source.event);
	}
	if (!ok)
		return false;
	if (!w->ready)
		return source_complain(&w->source, "its state at the start is not complete");
	w->run->queued = sched_counts(player_sched(w->player)).queued;
	tally_loads(w->run, w->now);
	return true;
}

/* Both runs, and the table. */
static bool compare(struct what_if *w)
{
	if (!play_once(w, 0, learn))
		return false;
	if (!play_once(w, 1, decide_anew))
		return false;
	if (!w->opt->quiet)
		tally_print(w->source.path, &w->tally[0], &w->tally[1],
		            policy_strategy_name(w->opt->strategy));
	return true;
}

static void what_if_fini(struct what_if *w)
{
	struct span *s = w->spans, *next;

	HASH_CLEAR(hh, w->by_id);
	HASH_CLEAR(hh, w->spans);
	for (; s; s = next) {
		next = s->hh.next;
		free(s);
	}
	for (size_t i = 0; i < w->arrival_n; i++)
		free(w->arrivals[i]);
	free(w->arrivals);
	for (int i = 0; i < 2; i++) {
		tally_fini(&w->tally[i]);
		player_free(w->players[i]);
	}
	source_close(&w->source);
}

bool play_what_if(const struct replay_options *opt, const char *path, struct slice file,
                  struct replay_totals *totals)
{
	struct what_if w = { .opt = opt };
	bool ok = source_open(&w.source, path, file) && compare(&w);

	for (int v = 0; v < SLO_VERDICTS && ok; v++)
		totals->verdicts[v] += w.tally[1].verdicts[v];
	totals->queued += ok ? w.tally[1].queued : 0;
	what_if_fini(&w);
	return ok;
}
