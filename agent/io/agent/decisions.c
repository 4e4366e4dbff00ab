#include "io/agent/decisions.h"

#include <stdlib.h>
#include <string.h>

#include "io/agent/agent.h"
#include "roster_private.h"
#include "wire/endline.h"

const char *decision_state_name(enum decision_state s)
{
	static const char *const names[DECISION_STATES] = {
		[DECISION_WAITS] = "waits",   [DECISION_RUNS] = "runs",
		[DECISION_ENDED] = "ended",   [DECISION_REFUSED] = "refused",
		[DECISION_PASSED] = "passed", [DECISION_LEFT] = "left",
	};

	return names[s];
}

/* The ring */

void decisions_fini(struct decisions *d)
{
	free(d->ring);
	free(d->newest);
	d->ring = NULL;
	d->newest = NULL;
	d->kept = 0;
	labels_sweep(&d->labels, UINT64_MAX);
}

void decisions_clear(struct decisions *d)
{
	if (!decisions_on(d))
		return;
	memset(d->ring, 0, d->kept * sizeof(*d->ring));
	memset(d->newest, 0, (d->mask + 1) * sizeof(*d->newest));
	labels_sweep(&d->labels, UINT64_MAX);
}

bool decisions_keep(struct decisions *d, size_t kept)
{
	size_t chains = 1;

	if (d->next == 0)
		d->next = 1;
	if (kept == d->kept)
		return true;
	decisions_fini(d);
	if (kept == 0)
		return true;
	while (chains < kept)
		chains *= 2;
	d->ring = calloc(kept, sizeof(*d->ring));
	d->newest = calloc(chains, sizeof(*d->newest));
	if (!d->ring || !d->newest) {
		decisions_fini(d);
		return false;
	}
	d->mask = chains - 1;
	d->kept = kept;
	d->place = d->next % kept;
	return true;
}

/* Only while they are kept. */
static struct decision *record_at(const struct decisions *d, uint64_t number)
{
	struct decision *r = &d->ring[number % d->kept];

	return r->number == number ? r : NULL;
}

static struct decision *record_find(const struct decisions *d, uint64_t hash)
{
	uint64_t number = d->newest[hash & d->mask];

	/* Each points to an older one; the chain ends where those are overwritten. */
	while (number > 0) {
		struct decision *r = record_at(d, number);

		if (!r || r->hash == hash)
			return r;
		number = r->older;
	}
	return NULL;
}

/* The record of the next number, of which its number and place are known, and nothing else. */
static struct decision *record_new(struct decisions *d, uint64_t hash)
{
	struct decision *r = &d->ring[d->place];
	uint64_t *newest = &d->newest[hash & d->mask];

	if (SELDOM(++d->place == d->kept)) {
		d->place = 0;
		/* Once a turn: whatever the ring held before is gone. */
		if (d->next > d->kept)
			labels_sweep(&d->labels, d->next - d->kept);
	}
	r->number = d->next++;
	r->hash = hash;
	r->older = *newest;
	*newest = r->number;
	r->ended = 0;
	return r;
}

static void copy_id(struct decision *d, const char *id, size_t len)
{
	d->long_id = len > sizeof(d->id);
	d->id_len = (uint8_t)(d->long_id ? sizeof(d->id) : len);
	memcpy(d->id, id, d->id_len);
}

static void copy_request_id(struct decision *d, const struct request *r)
{
	if (SELDOM(r->id_len > REQUEST_ID_ROOM)) {
		copy_id(d, r->id, r->id_len);
		return;
	}
	d->long_id = false;
	d->id_len = r->id_len;
	memcpy(d->id, r->id, REQUEST_ID_ROOM); /* of constant length: no call */
}

void decisions_retire(struct decisions *d, void **label)
{
	label_retire(&d->labels, label, d->next);
}

/* What happens */

void asker_note(struct asker *k, const struct route_msg *msg)
{
	k->trace_len = 0;
	if (msg->trace.len < DECISION_TRACE_LEN)
		return;
	memcpy(k->trace, msg->trace.p, DECISION_TRACE_LEN);
	k->trace_len = DECISION_TRACE_LEN;
}

static struct label *model_label(struct agent_model *m)
{
	return label_of(&m->label, m->sched->pool.name);
}

static struct label *server_label(struct server *s)
{
	struct roster_server *known = roster_server(s);

	return label_of(&known->label, known->key);
}

static inline void fill_request(struct decision *d, const struct request *r)
{
	const struct asker *asker = r->user;

	copy_request_id(d, r);
	d->created = r->created;
	d->arrived = r->arrived;
	d->asked = r->strategy;
	d->input = r->input;
	d->output = r->output;
	d->priority = r->priority;
	d->stream = r->stream;
	d->own_target = (r->own.tpot | r->own.ttft | r->own.e2e) > 0;
	d->asked_len = 0;
	d->model = NULL;
	d->behind = 0;
	if (r->model) {
		d->model = model_label(r->model->owner);
		d->behind = (uint32_t)r->model->queue.length;
	}
	d->asker.trace_len = 0;
	if (asker && asker->trace_len > 0)
		d->asker = *asker;
}

/* An answer without the scheduler has none of what it finds out. */
static void clear(struct decision *d)
{
	memset(&d->created, 0, sizeof(*d) - offsetof(struct decision, created));
}

void decisions_passed(struct agent *a, slo_nsec now, const struct route_msg *msg,
                      struct agent_model *m, struct slice name, enum slo_strategy strategy,
                      enum slo_reason reason)
{
	struct decision *d = record_new(&a->decisions, agent_expect(a, msg->id));

	clear(d);
	copy_id(d, (const char *)msg->id.p, msg->id.len);
	d->created = d->arrived = d->answered = now;
	d->state = DECISION_PASSED;
	d->asked = d->strategy = (uint8_t)strategy;
	d->verdict = SLO_PASS;
	d->reason = (uint8_t)reason;
	d->input = d->output = -1;
	if (m)
		d->model = model_label(m);
	d->asked_len = name.len < DECISION_ASKED_MAX ? (uint8_t)name.len : DECISION_ASKED_MAX;
	if (d->asked_len > 0)
		memcpy(d->asked_name, name.p, d->asked_len);
	asker_note(&d->asker, msg);
}

static uint32_t share(slo_load load)
{
	return (uint32_t)(load / (SLO_LOAD_ONE / DECISION_LOAD_ONE));
}

static void copy_options(struct decision *d, const struct request *r, const struct why *w)
{
	d->options = (uint8_t)w->options;
	d->ranked = (uint8_t)w->ranked;
	d->chosen = (uint8_t)w->chosen;
	d->infeasible = d->learned = 0;
	for (size_t i = 0; i < w->options; i++) {
		const struct rank_option *from = &w->option[i];
		struct deployment *of = r->model->pool.deployment[from->deployment];
		struct decision_option *to = &d->option[i];

		to->deployment = label_of(&of->label, of->name);
		to->start = from->start;
		to->load = share(from->load);
		d->infeasible |= (uint8_t)(from->infeasible << i);
		d->learned |= (uint8_t)(fleet_learned(of) << i);
	}
	for (size_t i = 0; i < w->options && i < w->chosen; i++)
		d->option[i].used = share(w->used[i]);
}

static void copy_goal(struct decision *d, const struct goal *g)
{
	d->goal = (uint8_t)g->kind;
	d->per_token = (float)g->per_token;
	d->fixed = (float)g->fixed;
}

static void copy_seat(struct decision *d, const struct request *r, const struct seat *seat)
{
	const struct ledger *l = &seat->server->ledger;

	d->server = server_label(seat->server);
	d->state = DECISION_RUNS;
	d->load = share(r->charge.load);
	d->used = share(l->used - r->charge.load);
	d->inflight = l->inflight - 1;
	copy_goal(d, &r->goal);
}

static struct goal deciding_goal(const struct request *r)
{
	const struct sched_model *m = r->model;
	struct goal g = { .kind = GOAL_NONE };

	for (size_t i = 0; m && i < m->pool.deployments && g.kind == GOAL_NONE; i++)
		g = rank_goal(m->pool.deployment[i], r);
	return g;
}

static COLD void copy_no_seat(struct decision *d, const struct request *r)
{
	struct goal g = deciding_goal(r);

	d->server = NULL;
	d->load = d->used = 0;
	d->inflight = 0;
	d->state = d->verdict == SLO_PASS ? DECISION_PASSED : DECISION_REFUSED;
	copy_goal(d, &g);
}

void decisions_answered(struct agent *a, slo_nsec now, const struct sched_action *act)
{
	const struct request *r = act->request;
	struct decision *d = record_new(&a->decisions, r->hash);

	fill_request(d, r);
	d->answered = now;
	d->verdict = (uint8_t)act->verdict;
	d->reason = (uint8_t)act->reason;
	d->strategy = (uint8_t)act->strategy;
	d->late = (uint8_t)a->conf->routing.late;
	copy_options(d, r, sched_why(a->sched));
	if (act->seat)
		copy_seat(d, r, act->seat);
	else
		copy_no_seat(d, r);
}

void decisions_left(struct agent *a, slo_nsec now, const struct request *r)
{
	struct decision *d = record_new(&a->decisions, r->hash);

	clear(d);
	fill_request(d, r);
	d->state = DECISION_LEFT;
	d->strategy = d->asked;
	d->verdict = SLO_PASS;
	d->reason = SLO_REASON_ENDED;
	d->answered = now;
}

/* Milliseconds that a line told; what no request can take is not believed. */
static int32_t believed(int64_t ms)
{
	return ms >= 0 && ms < INT32_MAX ? (int32_t)ms : -1;
}

static int32_t tokens(int64_t n)
{
	return n < INT32_MAX ? (int32_t)n : -1; /* -1 stays so */
}

static void copy_end(struct decision *d, slo_nsec now, const struct endline *e)
{
	d->ended = now;
	d->e2e_ms = believed(e->ta_ms);
	d->ttft_ms = -1;
	d->real_input = tokens(e->in);
	d->real_output = tokens(e->out);
	d->status = (int16_t)(e->st <= 999 ? e->st : -1);
	d->missed = d->judged = 0;
	d->by = NULL;
	if (e->ts.len >= sizeof(d->ts))
		memcpy(d->ts, e->ts.p, sizeof(d->ts));
	else
		memset(d->ts, '-', sizeof(d->ts));
}

void decisions_ended(struct agent *a, slo_nsec now, const struct endline *e,
                     const struct sched_end *end, const struct decision_end *seen)
{
	struct decision *d = record_find(&a->decisions, end->request->hash);

	if (!d || d->state != DECISION_RUNS)
		return;
	copy_end(d, now, e);
	d->state = DECISION_ENDED;
	d->outcome = (uint8_t)end->outcome;
	if (seen->ttft >= 0)
		d->ttft_ms = believed(seen->ttft / SLO_NSEC_PER_MSEC);
	d->missed = (uint8_t)seen->missed;
	d->judged = seen->judged;
	if (seen->by)
		d->by =
		    seen->by->server == end->server ? d->server : server_label(seen->by->server);
}

void decisions_closed(struct agent *a, slo_nsec now, const struct endline *e)
{
	struct decision *d = record_find(&a->decisions, agent_expect(a, e->id));
	struct roster_server *s;

	if (!d || d->ended)
		return;
	copy_end(d, now, e);
	s = e->be.p && e->srv.p ? roster_server_find(&a->roster, e->be, e->srv) : NULL;
	if (s)
		d->by = server_label(s->server);
}

/* Whoever asks */

const struct decision *decisions_at(const struct decisions *d, uint64_t number)
{
	return decisions_on(d) && number > 0 ? record_at(d, number) : NULL;
}

const struct decision *decisions_find(const struct agent *a, struct slice id)
{
	if (!decisions_on(&a->decisions) || id.len == 0 || id.len > SLO_ID_MAX)
		return NULL;
	return record_find(&a->decisions, agent_expect(a, id));
}

void decision_of_waiting(struct agent *a, slo_nsec now, const struct request *r,
                         struct decision *out)
{
	struct goal g = deciding_goal(r);
	struct why w;

	memset(out, 0, sizeof(*out));
	fill_request(out, r);
	out->hash = r->hash;
	out->state = DECISION_WAITS;
	out->strategy = out->asked;
	out->answered = now;
	out->late = (uint8_t)a->conf->routing.late;
	sched_why_waits(a->sched, r, &w);
	copy_options(out, r, &w);
	copy_goal(out, &g);
}

enum why_mark decision_mark(const struct decision *d, size_t i)
{
	const struct rank_option o = { .start = d->option[i].start,
		                       .infeasible = d->infeasible >> i & 1 };

	if (d->strategy == SLO_STRATEGY_ADAPTIVE && d->chosen != WHY_NONE && i != d->chosen &&
	    !o.infeasible)
		return WHY_WORSE;
	return why_mark(i, d->chosen, &o, d->option[0].start, d->answered, (enum slo_late)d->late);
}

bool decision_is_lost(const struct agent *a, const struct decision *d)
{
	return d->state == DECISION_RUNS && !d->long_id && !sched_find(a->sched, d->id, d->id_len);
}
