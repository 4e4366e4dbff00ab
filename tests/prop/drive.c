/* drive.c - see drive.h. */
#include "drive_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

bool drive_differ(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->message, MESSAGE_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- the scheduler's side ---- */

enum slo_strategy drive_strategy(enum naive_strategy s)
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

bool drive_hear(struct world *w, slo_nsec now)
{
	struct sched_action act;

	while (sched_step(w->sched, now, &act)) {
		struct heard *h = &w->heard[w->n_heard];

		if (w->n_heard == w->ids)
			return drive_differ(w, "there is no end to the answers");
		h->id = (uint32_t)(uintptr_t)act.user;
		h->verdict = sched_verdict_name(act.verdict);
		h->reason = sched_reason_name(act.reason);
		h->strategy = policy_strategy_name(act.strategy);
		h->server = act.seat == NULL ? -1 : (int)(uintptr_t)act.seat->server->owner;
		h->load = act.seat == NULL ? 0 : act.request->charge.load;
		h->at = now;
		h->waited = act.waited;
		if (act.seat != NULL && act.request->charge.ledger != &act.seat->server->ledger)
			return drive_differ(w, "r%u is not charged to its server", h->id);
		w->waiting[h->id] = NULL;
		w->told[w->n_heard++] = (struct naive_told){ h->id, h->server };
	}
	return true;
}

static bool wake_up(struct world *w, slo_nsec t)
{
	slo_nsec due;

	if (sched_next_wakeup(w->sched) > naive_wakeup(w->naive))
		return drive_differ(w, "it would sleep past a timeout");
	while ((due = sched_next_wakeup(w->sched)) <= t) {
		due = due < w->now ? w->now : due;
		if (!drive_hear(w, due))
			return false;
		if (sched_next_wakeup(w->sched) <= due)
			return drive_differ(w, "a wake-up does not get done");
		w->now = due;
	}
	w->now = t;
	return true;
}

/* ---- operations ---- */

const char *drive_err_name(slo_err e)
{
	return e == SLO_OK ? "ok" : e == SLO_ESTALE ? "stale" : e == SLO_EINVAL ? "invalid" : "?";
}

size_t drive_id_name(char *out, size_t size, uint32_t id)
{
	return (size_t)snprintf(out, size, "r%u", id);
}

bool drive_nothing(struct world *w, const struct op *op)
{
	if (!drive_hear(w, op->t))
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
		                     .strategy = drive_strategy(op->strategy),
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
		return drive_nothing(w, op);
	req.id = id;
	req.id_len = drive_id_name(id, sizeof(id), op->id);
	core = sched_submit(w->sched, op->t, &req, &r);
	if (core == SLO_OK)
		w->waiting[op->id] = r;
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_submit(w->naive, op->t, op->id, &ask);
	if (core != model)
		return drive_differ(w, "submit r%u: core %s, model %s", op->id,
		                    drive_err_name(core), drive_err_name(model));
	return true;
}

static bool end(struct world *w, const struct op *op)
{
	struct sched_outcome outcome = {
		.outcome = LESSON_ANSWERED, .input = -1, .output = -1, .bytes = -1
	};
	struct sched_end core = { .result = SCHED_END_UNKNOWN };
	enum naive_end model;
	char id[16], server[16];
	size_t len = drive_id_name(id, sizeof(id), op->id);

	snprintf(server, sizeof(server), "s%u", op->owner - 1);
	if (op->owner > 0)
		outcome.server = slice_of(server);
	sched_end(w->sched, op->t, id, len, &outcome, &core);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_end(w->naive, op->t, op->id, (int)op->owner - 1);
	return drive_same_end(w, op, core.result, model);
}

static bool abandon(struct world *w, const struct op *op)
{
	struct request *r = w->waiting[op->id];

	if (r != NULL)
		sched_abandon(w->sched, op->t, r);
	w->waiting[op->id] = NULL;
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (naive_abandon(w->naive, op->t, op->id) != (r != NULL))
		return drive_differ(w, "r%u waits for one of both", op->id);
	return true;
}

static bool passed(struct world *w, const struct op *op)
{
	char id[16];
	size_t len = drive_id_name(id, sizeof(id), op->id);

	sched_note_passed(w->sched, op->t, id, len);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_passed(w->naive, op->t, op->id);
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
	if (!drive_hear(w, op->t))
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
		return drive_nothing(w, op);
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
	if (!drive_hear(w, op->t))
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
		return drive_differ(w, "repair: core %d, model %d", core, model);
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
		return drive_seat(w, op);
	case OP_UNSEAT:
		return drive_unseat(w, op);
	case OP_LEAVE:
		return drive_leave(w, op);
	case OP_MOVE:
		return drive_move(w, op);
	case OP_DROP:
		return drive_drop(w, op);
	case OP_DROP_MODEL:
		return drive_drop_model(w, op);
	case OP_ORDER:
		return drive_order(w, op);
	case OP_READY:
		return drive_ready(w, op);
	case OP_PROFILE:
		return drive_profile(w, op);
	case OP_UNPROFILE:
		return drive_unprofile(w, op);
	case OP_CONFIG:
		return configure(w, op);
	case OP_SURPLUS:
	case OP_EXPIRE:
	case OP_PROCESS:
	case OP_EXPIRE_DEPARTED:
		return repair(w, op);
	case OP_FOREIGN:
		return drive_foreign(w, op);
	case OP_FOREIGN_END:
		return drive_foreign_over(w, op);
	case OP_LIST:
	case OP_LIFE:
	case OP_VISIBLE:
	case OP_FORGET:
		return drive_owner(w, op);
	case OP_DEAL:
		return drive_deal(w, op);
	case OP_OTHERS:
	case OP_HEARD:
		return drive_fresh(w, op);
	case OP_TIME:
		break;
	}
	return drive_nothing(w, op);
}

static bool wake_up_both(struct world *w, slo_nsec t, struct tally *tally)
{
	if (!wake_up(w, t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_advance(w->naive, t);
	return drive_same_actions(w, tally);
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
	if (!apply_event(w, op) || !drive_same_actions(w, tally))
		return false;
	drive_collect(w);
	if (!drive_same_state(w) || !drive_same_on_tape(w, op))
		return false;
#ifdef SLO_CHECK
	sched_check(w->sched);
#endif
	return true;
}
