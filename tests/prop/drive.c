/* drive.c - see drive.h. */
#include "drive.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/foreign.h"
#include "core/tap.h"
#include "tape.h"

/* What the scheduler answered. */
struct heard {
	uint32_t id;
	const char *verdict, *reason, *strategy;
	int server;
	slo_load load;
	slo_nsec at, waited;
};

struct world {
	const struct setup *setup;
	struct sched *sched;
	struct tape *tape;
	struct naive *naive;
	struct sched_model *model[NAIVE_MODELS];
	struct deployment *deployment[NAIVE_MODELS][NAIVE_DEPLOYMENTS];
	struct server *server[NAIVE_SERVERS];
	struct request **waiting; /* by id */
	struct heard *heard;
	int *told; /* servers of heard[] */
	size_t n_heard;
	uint32_t ids;
	slo_nsec now;
	bool verbose, taped;
	char *message;
};

static struct sched_conf core_conf(const struct naive_conf *conf, uint64_t seed)
{
	struct sched_conf c = sched_conf_default();

	c.fallback =
	    conf->fallback == NAIVE_RANDOM ? SLO_STRATEGY_RANDOM : SLO_STRATEGY_LEAST_REQUEST;
	c.late = conf->late == NAIVE_LATE_REJECT ? SLO_LATE_REJECT
	         : conf->late == NAIVE_LATE_HOLD ? SLO_LATE_HOLD
	                                         : SLO_LATE_SERVE;
	c.infeasible = conf->infeasible_fallback ? SLO_INFEASIBLE_FALLBACK : SLO_INFEASIBLE_REJECT;
	c.queue_limit = conf->queue_limit;
	c.queue_timeout = conf->queue_timeout;
	c.queue_timeout_most = conf->hold_most;
	c.lease_max_age = conf->lease;
	c.remember_ended = conf->remember;
	c.remember_limit = conf->remember_limit;
	c.seed = seed;
	return c;
}

struct world *world_new(const struct setup *setup, uint32_t ids, bool verbose)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sched_conf conf = core_conf(&setup->conf, setup->seed);

	if (w == NULL)
		return NULL;
	w->sched = sched_new(&conf);
	w->tape = w->sched ? tape_new(w->sched) : NULL;
	w->naive = naive_new(&setup->conf, ids);
	w->waiting = calloc(ids, sizeof(struct request *));
	w->heard = calloc(ids, sizeof(*w->heard));
	w->told = calloc(ids, sizeof(*w->told));
	w->setup = setup;
	w->ids = ids;
	w->verbose = verbose;
	if (w->sched == NULL || w->tape == NULL || w->naive == NULL || w->waiting == NULL ||
	    w->heard == NULL || w->told == NULL) {
		world_free(w);
		return NULL;
	}
	return w;
}

void world_free(struct world *w)
{
	if (w == NULL)
		return;
	sched_free(w->sched);
	tape_free(w->tape);
	naive_free(w->naive);
	free(w->waiting);
	free(w->heard);
	free(w->told);
	free(w);
}

const struct naive *world_naive(const struct world *w)
{
	return w->naive;
}

__attribute__((format(printf, 2, 3))) static bool differ(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->message, MESSAGE_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- the scheduler's side ---- */

static struct sched_model *model_get(struct world *w, unsigned m)
{
	char name[16];

	if (w->model[m] == NULL) {
		snprintf(name, sizeof(name), "m%u", m);
		w->model[m] = sched_model_add(w->sched, name, SLO_STRATEGY_SLO);
	}
	return w->model[m];
}

static struct deployment *deployment_get(struct world *w, unsigned m, unsigned d)
{
	char name[16];

	if (w->deployment[m][d] == NULL) {
		snprintf(name, sizeof(name), "d%u", d);
		w->deployment[m][d] = sched_deployment_add(model_get(w, m), name);
	}
	return w->deployment[m][d];
}

static enum slo_strategy core_strategy(enum naive_strategy s)
{
	static const enum slo_strategy strategy[NAIVE_STRATEGIES] = {
		[NAIVE_SLO] = SLO_STRATEGY_SLO,
		[NAIVE_PUSH] = SLO_STRATEGY_LEAST_LOAD,
		[NAIVE_PULL] = SLO_STRATEGY_LEAST_LOAD_PULLING,
		[NAIVE_PACK] = SLO_STRATEGY_PACK_LOAD,
		[NAIVE_LEAST_REQUEST] = SLO_STRATEGY_LEAST_REQUEST,
		[NAIVE_RANDOM] = SLO_STRATEGY_RANDOM,
		[NAIVE_ADAPTIVE] = SLO_STRATEGY_ADAPTIVE,
	};

	return strategy[s];
}

static bool hear(struct world *w, slo_nsec now)
{
	struct sched_action act;

	while (sched_step(w->sched, now, &act)) {
		struct heard *h = &w->heard[w->n_heard];

		if (w->n_heard == w->ids)
			return differ(w, "there is no end to the answers");
		h->id = (uint32_t)(uintptr_t)act.user;
		h->verdict = sched_verdict_name(act.verdict);
		h->reason = sched_reason_name(act.reason);
		h->strategy = policy_strategy_name(act.strategy);
		h->server = act.seat == NULL ? -1 : (int)(uintptr_t)act.seat->server->owner;
		h->load = act.seat == NULL ? 0 : act.request->charge.load;
		h->at = now;
		h->waited = act.waited;
		if (act.seat != NULL && act.request->charge.ledger != &act.seat->server->ledger)
			return differ(w, "r%u is not charged to its server", h->id);
		w->waiting[h->id] = NULL;
		w->told[w->n_heard++] = h->server;
	}
	return true;
}

static bool wake_up(struct world *w, slo_nsec t)
{
	slo_nsec due;

	if (sched_next_wakeup(w->sched) > naive_wakeup(w->naive))
		return differ(w, "it would sleep past a timeout");
	while ((due = sched_next_wakeup(w->sched)) <= t) {
		due = due < w->now ? w->now : due;
		if (!hear(w, due))
			return false;
		if (sched_next_wakeup(w->sched) <= due)
			return differ(w, "a wake-up does not get done");
		w->now = due;
	}
	w->now = t;
	return true;
}

/* ---- comparison ---- */

static void count_answer(const struct naive_action *a, struct tally *tally)
{
	tally->answers++;
	tally->waited += a->waited > 0 && a->verdict == NAIVE_ROUTE;
	tally->seen[a->verdict][a->reason]++;
	tally->heavy += a->load > SLO_LOAD_ONE;
	if (a->choices > 0)
		tally->drawn[a->choices][a->choice]++;
}

static bool same_action(struct world *w, const struct heard *h, const struct naive_action *a)
{
	if (h->id == a->id && strcmp(h->verdict, naive_verdict_name[a->verdict]) == 0 &&
	    strcmp(h->reason, naive_reason_name[a->reason]) == 0 &&
	    strcmp(h->strategy, naive_strategy_name[a->strategy]) == 0 && h->server == a->server &&
	    h->load == a->load && h->at == a->at && h->waited == a->waited)
		return true;
	return differ(w,
	              "core: r%u %s %s by %s on %d, load %llu, at %lld waited %lld; "
	              "model: r%u %s %s by %s on %d, load %llu, at %lld waited %lld",
	              h->id, h->verdict, h->reason, h->strategy, h->server,
	              (unsigned long long)h->load, (long long)h->at, (long long)h->waited, a->id,
	              naive_verdict_name[a->verdict], naive_reason_name[a->reason],
	              naive_strategy_name[a->strategy], a->server, (unsigned long long)a->load,
	              (long long)a->at, (long long)a->waited);
}

static bool same_actions(struct world *w, struct tally *tally)
{
	size_t count;
	const struct naive_action *a = naive_actions(w->naive, &count);

	for (size_t i = 0; i < count && i < w->n_heard; i++) {
		count_answer(&a[i], tally);
		if (w->verbose)
			printf("\t%lld: r%u %s %s by %s on %d\n", (long long)a[i].at, a[i].id,
			       naive_verdict_name[a[i].verdict], naive_reason_name[a[i].reason],
			       naive_strategy_name[a[i].strategy], a[i].server);
		if (!same_action(w, &w->heard[i], &a[i]))
			return false;
	}
	if (count < w->n_heard)
		return differ(w, "only core: r%u %s %s by %s on %d", w->heard[count].id,
		              w->heard[count].verdict, w->heard[count].reason,
		              w->heard[count].strategy, w->heard[count].server);
	if (w->n_heard < count)
		return differ(w, "only model: r%u %s %s by %s on %d", a[w->n_heard].id,
		              naive_verdict_name[a[w->n_heard].verdict],
		              naive_reason_name[a[w->n_heard].reason],
		              naive_strategy_name[a[w->n_heard].strategy], a[w->n_heard].server);
	return true;
}

static bool same_sums(struct world *w, unsigned s)
{
	struct naive_sums model = naive_sums(w->naive, s);
	const struct adaptive_sums *core = &w->server[s]->sums;

	if (core->harm == model.harm && core->reading == model.reading &&
	    core->work == model.work && core->count == model.count &&
	    w->server[s]->flow.drained == model.drained)
		return true;
	return differ(w,
	              "s%u: core %u stakes, harm %llu reading %llu work %llu drained %lld; model "
	              "%u, %llu %llu %llu %lld",
	              s, core->count, (unsigned long long)core->harm,
	              (unsigned long long)core->reading, (unsigned long long)core->work,
	              (long long)w->server[s]->flow.drained, model.count,
	              (unsigned long long)model.harm, (unsigned long long)model.reading,
	              (unsigned long long)model.work, (long long)model.drained);
}

static bool same_guards(struct world *w, unsigned m)
{
	for (unsigned k = 0; k < NAIVE_DEPLOYMENTS; k++) {
		const struct deployment *d = w->deployment[m][k];
		double share = naive_share(w->naive, m, k);

		if (d && (d->guard.share < share || d->guard.share > share))
			return differ(w, "m%u: the guard of d%u leaves %g, model %g", m, k,
			              d->guard.share, share);
	}
	return true;
}

static bool same_state(struct world *w)
{
	struct sched_counts counts = sched_counts(w->sched);
	size_t queued = 0;

	for (unsigned s = 0; s < NAIVE_SERVERS; s++) {
		const struct server *srv = w->server[s];

		if ((srv != NULL) != naive_has_server(w->naive, s))
			return differ(w, "s%u exists for one of both", s);
		if (srv == NULL)
			continue;
		if (srv->ledger.used != naive_used(w->naive, s) ||
		    srv->ledger.inflight != naive_inflight(w->naive, s))
			return differ(w, "s%u: core %u in flight, used %llu; model %u, %llu", s,
			              srv->ledger.inflight, (unsigned long long)srv->ledger.used,
			              naive_inflight(w->naive, s),
			              (unsigned long long)naive_used(w->naive, s));
		if (srv->foreign != naive_foreigners(w->naive, s) ||
		    srv->overshoots != naive_overshoots(w->naive, s))
			return differ(w, "s%u: core %u foreign, %llu overshoots; model %u, %llu", s,
			              srv->foreign, (unsigned long long)srv->overshoots,
			              naive_foreigners(w->naive, s),
			              (unsigned long long)naive_overshoots(w->naive, s));
		if (!same_sums(w, s))
			return false;
		if (srv->usable != naive_is_usable(w->naive, s))
			return differ(w, "s%u is usable for one of both", s);
	}
	for (unsigned m = 0; m < NAIVE_MODELS; m++) {
		size_t length = w->model[m] == NULL ? 0 : w->model[m]->queue.length;

		queued += length;
		if (!same_guards(w, m))
			return false;
		if (length != naive_queued(w->naive, m))
			return differ(w, "m%u: core has %zu waiting, model %zu", m, length,
			              naive_queued(w->naive, m));
	}
	if (counts.queued != queued || counts.dispatched != naive_dispatched(w->naive))
		return differ(w, "counts: core %zu and %zu, model %zu and %zu", counts.queued,
		              counts.dispatched, queued, naive_dispatched(w->naive));
	return true;
}

/* ---- operations ---- */

static const char *err_name(slo_err e)
{
	return e == SLO_OK ? "ok" : e == SLO_ESTALE ? "stale" : e == SLO_EINVAL ? "invalid" : "?";
}

static size_t id_name(char *out, size_t size, uint32_t id)
{
	return (size_t)snprintf(out, size, "r%u", id);
}

static bool nothing(struct world *w, const struct op *op)
{
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_nothing(w->naive, op->t);
	return true;
}

static bool arrive(struct world *w, const struct op *op)
{
	struct naive_request ask = { .model = op->model,
		                     .strategy = op->strategy,
		                     .input = op->input,
		                     .output = op->output,
		                     .created = op->created,
		                     .own = op->own,
		                     .priority = op->priority };
	struct sched_request req = { .model = w->model[op->model],
		                     .strategy = core_strategy(op->strategy),
		                     .input = op->input,
		                     .input_told = true,
		                     .output = op->output,
		                     .max_output = -1,
		                     .created = op->created,
		                     .own = op->own,
		                     .priority = op->priority,
		                     .user = (void *)(uintptr_t)op->id };
	struct request *r;
	char id[16];
	slo_err core, model;

	if (req.model == NULL)
		return nothing(w, op);
	req.id = id;
	req.id_len = id_name(id, sizeof(id), op->id);
	core = sched_submit(w->sched, op->t, &req, &r);
	if (core == SLO_OK)
		w->waiting[op->id] = r;
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_submit(w->naive, op->t, op->id, &ask);
	if (core != model)
		return differ(w, "submit r%u: core %s, model %s", op->id, err_name(core),
		              err_name(model));
	return true;
}

static bool same_end(struct world *w, const struct op *op, enum sched_end_result core,
                     enum naive_end model)
{
	static const char *const name[] = { "closed", "cancelled", "duplicate", "unknown" };
	static const enum naive_end meaning[] = {
		[SCHED_END_CLOSED] = NAIVE_CLOSED,
		[SCHED_END_CANCELLED] = NAIVE_CANCELLED,
		[SCHED_END_DUPLICATE] = NAIVE_DUPLICATE,
		[SCHED_END_UNKNOWN] = NAIVE_UNKNOWN,
	};

	return meaning[core] == model ||
	       differ(w, "end r%u: core %s, model %s", op->id, name[meaning[core]], name[model]);
}

static bool end(struct world *w, const struct op *op)
{
	struct sched_outcome outcome = {
		.outcome = LESSON_ANSWERED, .input = -1, .output = -1, .bytes = -1
	};
	struct sched_end core = { .result = SCHED_END_UNKNOWN };
	enum naive_end model;
	char id[16], server[16];
	size_t len = id_name(id, sizeof(id), op->id);

	snprintf(server, sizeof(server), "s%u", op->owner - 1);
	if (op->owner > 0)
		outcome.server = slice_of(server);
	sched_end(w->sched, op->t, id, len, &outcome, &core);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_end(w->naive, op->t, op->id, (int)op->owner - 1);
	return same_end(w, op, core.result, model);
}

/* ---- other agents ---- */

static struct foreign_owner *owner_of(struct world *w, const struct op *op)
{
	char name[16];

	return foreign_owner(w->sched, name,
	                     (size_t)snprintf(name, sizeof(name), "o%u", op->owner));
}

static bool foreign(struct world *w, const struct op *op)
{
	struct server *server = w->server[op->server];
	const struct naive_foreign ask = { .owner = op->owner,
		                           .id = op->id,
		                           .model = op->model,
		                           .server = op->server,
		                           .load = op->seed,
		                           .age = op->count * SLO_NSEC_PER_MSEC,
		                           .strategy = op->strategy };
	struct foreign_lease l = { .model = op->model < NAIVE_MODELS ? w->model[op->model] : NULL,
		                   .server = server,
		                   .load = op->seed,
		                   .age = ask.age,
		                   .strategy = core_strategy(op->strategy),
		                   .estimate = -1,
		                   .limit = -1,
		                   .sequences = 1 };
	char id[16];
	slo_err core, model;

	if (server == NULL)
		return nothing(w, op);
	l.id = id;
	l.id_len = id_name(id, sizeof(id), op->id);
	core = foreign_dispatch(w->sched, op->t, owner_of(w, op), &l);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_foreign(w->naive, op->t, &ask);
	if (core != model)
		return differ(w, "foreign r%u: core %s, model %s", op->id, err_name(core),
		              err_name(model));
	return true;
}

static bool foreign_over(struct world *w, const struct op *op)
{
	struct sched_end core;
	char id[16];
	size_t len = id_name(id, sizeof(id), op->id);

	foreign_end(w->sched, op->t, owner_of(w, op), id, len, NULL, -1, &core);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	return same_end(w, op, core.result, naive_foreign_end(w->naive, op->t, op->owner, op->id));
}

/* Names those that the seed chooses. */
static size_t list(struct world *w, const struct op *op)
{
	struct foreign_owner *o = owner_of(w, op);
	const struct request *r;

	foreign_list_begin(w->sched, o);
	for (r = foreign_first(w->sched); r != NULL; r = foreign_next(r)) {
		struct foreign_lease l = foreign_lease_of(r, op->t);

		if (foreign_owner_of(w->sched, r) == o &&
		    list_names(op->seed, (uint32_t)strtoul(r->id + 1, NULL, 10)) &&
		    foreign_dispatch(w->sched, op->t, o, &l) != SLO_ESTALE)
			abort();
	}
	return foreign_list_end(w->sched, op->t, o, op->up);
}

/* Something about an owner. */
static bool owner(struct world *w, const struct op *op)
{
	size_t core = 0, model = 0;

	if (op->kind == OP_LIST)
		core = list(w, op);
	else if (op->kind == OP_LIFE)
		foreign_owner_life(w->sched, owner_of(w, op), owner_of(w, op)->life + 1);
	else if (op->kind == OP_VISIBLE)
		foreign_owner_visible(w->sched, owner_of(w, op), op->up);
	else
		foreign_owner_forget(w->sched, owner_of(w, op));
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (op->kind == OP_LIST)
		model = naive_list(w->naive, op->t, op->owner, op->up, list_names, op->seed);
	else if (op->kind == OP_LIFE)
		naive_new_life(w->naive, op->t, op->owner);
	else if (op->kind == OP_VISIBLE)
		naive_visible(w->naive, op->t, op->owner, op->up);
	else
		naive_forget(w->naive, op->t, op->owner);
	return core == model || differ(w, "list: core closed %zu, model %zu", core, model);
}

static bool abandon(struct world *w, const struct op *op)
{
	struct request *r = w->waiting[op->id];

	if (r != NULL)
		sched_abandon(w->sched, op->t, r);
	w->waiting[op->id] = NULL;
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_abandon(w->naive, op->t, op->id) != (r != NULL))
		return differ(w, "r%u waits for one of both", op->id);
	return true;
}

static bool passed(struct world *w, const struct op *op)
{
	char id[16];
	size_t len = id_name(id, sizeof(id), op->id);

	sched_note_passed(w->sched, op->t, id, len);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_passed(w->naive, op->t, op->id);
	return true;
}

static bool seat(struct world *w, const struct op *op)
{
	struct deployment *d = deployment_get(w, op->model, op->deployment);
	bool is_new = w->server[op->server] == NULL;
	char name[16];
	slo_err core;
	bool model;

	if (is_new) {
		snprintf(name, sizeof(name), "s%u", op->server);
		w->server[op->server] = sched_server_add(w->sched, name);
		w->server[op->server]->owner = (void *)(uintptr_t)op->server;
	}
	core = sched_server_seat(w->sched, d, w->server[op->server]);
	if (is_new)
		sched_server_usable(w->sched, w->server[op->server], true);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_seat(w->naive, op->t, op->model, op->deployment, op->server);
	if (model != (core == SLO_OK))
		return differ(w, "seat: core %s, model %d", err_name(core), model);
	return true;
}

static bool unseat(struct world *w, const struct op *op)
{
	struct sched_model *m = w->model[op->model];
	struct server *server = w->server[op->server];
	struct seat *at = m != NULL && server != NULL ? sched_seat_find(m, server) : NULL;

	if (at != NULL)
		sched_seat_remove(w->sched, at);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_unseat(w->naive, op->t, op->model, op->server) != (at != NULL))
		return differ(w, "s%u had a seat for one of both", op->server);
	return true;
}

static bool leave(struct world *w, const struct op *op)
{
	struct server *server = w->server[op->server];

	while (server != NULL && server->seats != NULL)
		sched_seat_remove(w->sched, server->seats);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_leave(w->naive, op->t, op->server);
	return true;
}

static bool move(struct world *w, const struct op *op)
{
	struct sched_model *m = w->model[op->model];
	struct server *server = w->server[op->server];
	struct deployment *d = w->deployment[op->model][op->deployment];
	struct seat *at = m != NULL && server != NULL ? sched_seat_find(m, server) : NULL;
	bool moved = at != NULL && d != NULL;

	if (moved)
		sched_seat_move(w->sched, at, d);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_move(w->naive, op->t, op->model, op->deployment, op->server) != moved)
		return differ(w, "s%u moved for one of both", op->server);
	return true;
}

static bool drop(struct world *w, const struct op *op)
{
	struct deployment **d = &w->deployment[op->model][op->deployment];
	bool dropped = *d != NULL;

	if (dropped)
		sched_deployment_remove(w->sched, *d);
	*d = NULL;
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_drop(w->naive, op->t, op->model, op->deployment) != dropped)
		return differ(w, "m%u had d%u for one of both", op->model, op->deployment);
	return true;
}

static bool drop_model(struct world *w, const struct op *op)
{
	struct sched_model **m = &w->model[op->model];
	bool dropped = *m != NULL;

	if (dropped)
		sched_model_remove(w->sched, *m);
	*m = NULL;
	memset(w->deployment[op->model], 0, sizeof(w->deployment[op->model]));
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_drop_model(w->naive, op->t, op->model) != dropped)
		return differ(w, "m%u existed for one of both", op->model);
	return true;
}

static bool order(struct world *w, const struct op *op)
{
	struct deployment *sorted[NAIVE_DEPLOYMENTS];
	unsigned name[NAIVE_DEPLOYMENTS], count = 0;

	if (w->model[op->model] == NULL)
		return nothing(w, op);
	order_build(name, op->seed);
	for (unsigned i = 0; i < NAIVE_DEPLOYMENTS; i++) {
		struct deployment *d = w->deployment[op->model][name[i]];

		if (d != NULL)
			sorted[count++] = d;
	}
	sched_deployments_order(w->sched, w->model[op->model], sorted);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_order(w->naive, op->t, op->model, name);
	return true;
}

/* A server without seats is gone with its last request. */
static void collect(struct world *w)
{
	for (unsigned s = 0; s < NAIVE_SERVERS; s++)
		if (w->server[s] != NULL && sched_server_free(w->server[s]))
			w->server[s] = NULL;
	naive_collect(w->naive);
}

static bool ready(struct world *w, const struct op *op)
{
	if (w->server[op->server] == NULL)
		return nothing(w, op);
	sched_server_usable(w->sched, w->server[op->server], op->up);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_ready(w->naive, op->t, op->server, op->up);
	return true;
}

static void tell_rates(struct world *w, const struct op *op)
{
	const struct latency_rates *r = &w->deployment[op->model][op->deployment]->given;
	const struct naive_rates rates = { r->step, r->prompt,   r->cached,
		                           r->kv,   r->headroom, r->kv_told };

	naive_rates(w->naive, op->model, op->deployment, &rates);
}

/* Of so few ends that a guard sees here hardly one would make it move. */
static slo_err recall_guard(struct world *w, const struct op *op)
{
	static const struct guard brink[] = {
		{ .share = 1, .seen = 10, .missed = 10 },
		{ .share = 0.6, .seen = 99 },
		{ .share = 0.5, .seen = 12, .missed = 10 },
		{ .share = 1 },
	};
	const struct guard *g = &brink[op->seed % 4];

	naive_guard(w->naive, op->model, op->deployment, g->share, g->seen, g->missed);
	return sched_recall_guard(w->sched, w->deployment[op->model][op->deployment], g);
}

static bool profile(struct world *w, const struct op *op)
{
	struct deployment *d = deployment_get(w, op->model, op->deployment);
	struct profile *p;
	struct doc doc;
	bool model;
	slo_err core;

	doc_build(&doc, op->seed, op->doc_created);
	p = profile_new(&doc.head);
	if (p == NULL)
		return differ(w, "the profile was refused");
	core = sched_profile_set(w->sched, d, p);
	if (core != SLO_OK)
		profile_free(p);
	else if (recall_guard(w, op) != SLO_OK)
		return differ(w, "the guard was refused");
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	tell_rates(w, op);
	model = naive_profile(w->naive, op->t, op->model, op->deployment, &doc.head);
	if (model != (core == SLO_OK))
		return differ(w, "profile: core %s, model %d", err_name(core), model);
	return true;
}

static bool unprofile(struct world *w, const struct op *op)
{
	sched_profile_drop(w->sched, deployment_get(w, op->model, op->deployment));
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_profile_drop(w->naive, op->t, op->model, op->deployment);
	return true;
}

static bool configure(struct world *w, const struct op *op)
{
	struct naive_conf conf;
	struct sched_conf core;

	conf_build(&conf, op->seed);
	conf.remember = w->setup->conf.remember; /* old ids are forgotten a little later */
	conf.remember_limit = w->setup->conf.remember_limit;
	core = core_conf(&conf, 0);
	sched_configure(w->sched, &core);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_configure(w->naive, op->t, &conf);
	return true;
}

static bool repair(struct world *w, const struct op *op)
{
	slo_nsec grace = op->count * SLO_NSEC_PER_MSEC;
	struct server *server = w->server[op->server];
	bool core = false, model = false;

	if (server == NULL)
		return nothing(w, op);
	if (op->kind == OP_SURPLUS) {
		sched_server_surplus(w->sched, server, op->count);
		server->view.counted = op->t;
	}
	if (op->kind == OP_EXPIRE)
		core = sched_expire_oldest(w->sched, op->t, server);
	else if (op->kind == OP_PROCESS)
		sched_process_changed(w->sched, op->t);
	else if (op->kind == OP_EXPIRE_DEPARTED)
		core = sched_expire_departed(w->sched, op->t, server, grace);
	if (!hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (op->kind == OP_SURPLUS) {
		naive_counted(w->naive, op->t, op->server);
		naive_surplus(w->naive, op->t, op->server, op->count);
	}
	if (op->kind == OP_EXPIRE)
		model = naive_expire(w->naive, op->t, op->server);
	else if (op->kind == OP_PROCESS)
		naive_process_changed(w->naive, op->t);
	else if (op->kind == OP_EXPIRE_DEPARTED)
		model = naive_expire_departed(w->naive, op->t, op->server, grace);
	if (core != model)
		return differ(w, "repair: core %d, model %d", core, model);
	return true;
}

static bool apply_event(struct world *w, const struct op *op)
{
	switch (op->kind) {
	case OP_ARRIVE:
		return arrive(w, op);
	case OP_END:
		return end(w, op);
	case OP_ABANDON:
		return abandon(w, op);
	case OP_PASSED:
		return passed(w, op);
	case OP_SEAT:
		return seat(w, op);
	case OP_UNSEAT:
		return unseat(w, op);
	case OP_LEAVE:
		return leave(w, op);
	case OP_MOVE:
		return move(w, op);
	case OP_DROP:
		return drop(w, op);
	case OP_DROP_MODEL:
		return drop_model(w, op);
	case OP_ORDER:
		return order(w, op);
	case OP_READY:
		return ready(w, op);
	case OP_PROFILE:
		return profile(w, op);
	case OP_UNPROFILE:
		return unprofile(w, op);
	case OP_CONFIG:
		return configure(w, op);
	case OP_SURPLUS:
	case OP_EXPIRE:
	case OP_PROCESS:
	case OP_EXPIRE_DEPARTED:
		return repair(w, op);
	case OP_FOREIGN:
		return foreign(w, op);
	case OP_FOREIGN_END:
		return foreign_over(w, op);
	case OP_LIST:
	case OP_LIFE:
	case OP_VISIBLE:
	case OP_FORGET:
		return owner(w, op);
	case OP_TIME:
		break;
	}
	return nothing(w, op);
}

static bool wake_up_both(struct world *w, slo_nsec t, struct tally *tally)
{
	if (!wake_up(w, t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_advance(w->naive, t);
	return same_actions(w, tally);
}

/* Begins a recording now and then: when, must not depend on what was left out in shrinking. */
static bool same_on_tape(struct world *w, const struct op *op)
{
	const char *difference = tape_difference(w->tape);

	if (difference != NULL)
		return differ(w, "%s", difference);
	if (!sched_is_quiet(w->sched))
		return differ(w, "not quiet after the last answer");
	if (w->taped) {
		for (unsigned s = 0; s < NAIVE_SERVERS; s++)
			if (w->server[s] != NULL && !tape_has(w->tape, w->server[s]))
				return differ(w, "recording: s%u has other charges", s);
	}
	if (!w->taped || (uint64_t)op->t / 1000 % 61 == 0)
		tape_restart(w->tape, op->t);
	w->taped = true;
	difference = tape_difference(w->tape);
	return difference == NULL || differ(w, "%s", difference);
}

bool world_apply(struct world *w, const struct op *op, char *message, struct tally *tally)
{
	w->message = message;
	w->n_heard = 0;
	if (!op->busy && !wake_up_both(w, op->t, tally))
		return false;
	w->now = op->t;
	w->n_heard = 0;
	naive_told(w->naive, w->told, 0);
	if (!apply_event(w, op) || !same_actions(w, tally))
		return false;
	collect(w);
	if (!same_state(w) || !same_on_tape(w, op))
		return false;
#ifdef SLO_CHECK
	sched_check(w->sched);
#endif
	return true;
}
