/* drive_same.c - whether the two are the same, in all that can be seen of them. */
#include "drive_private.h"

#include <string.h>

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
	return drive_differ(w,
	                    "core: r%u %s %s by %s on %d, load %llu, at %lld waited %lld; "
	                    "model: r%u %s %s by %s on %d, load %llu, at %lld waited %lld",
	                    h->id, h->verdict, h->reason, h->strategy, h->server,
	                    (unsigned long long)h->load, (long long)h->at, (long long)h->waited,
	                    a->id, naive_verdict_name[a->verdict], naive_reason_name[a->reason],
	                    naive_strategy_name[a->strategy], a->server,
	                    (unsigned long long)a->load, (long long)a->at, (long long)a->waited);
}

bool drive_same_actions(struct world *w, struct tally *tally)
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
		return drive_differ(w, "only core: r%u %s %s by %s on %d", w->heard[count].id,
		                    w->heard[count].verdict, w->heard[count].reason,
		                    w->heard[count].strategy, w->heard[count].server);
	if (w->n_heard < count)
		return drive_differ(w, "only model: r%u %s %s by %s on %d", a[w->n_heard].id,
		                    naive_verdict_name[a[w->n_heard].verdict],
		                    naive_reason_name[a[w->n_heard].reason],
		                    naive_strategy_name[a[w->n_heard].strategy],
		                    a[w->n_heard].server);
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
	return drive_differ(
	    w,
	    "s%u: core %u stakes, harm %llu reading %llu work %llu drained %lld; model "
	    "%u, %llu %llu %llu %lld",
	    s, core->count, (unsigned long long)core->harm, (unsigned long long)core->reading,
	    (unsigned long long)core->work, (long long)w->server[s]->flow.drained, model.count,
	    (unsigned long long)model.harm, (unsigned long long)model.reading,
	    (unsigned long long)model.work, (long long)model.drained);
}

static bool same_guards(struct world *w, unsigned m)
{
	for (unsigned k = 0; k < NAIVE_DEPLOYMENTS; k++) {
		const struct deployment *d = w->deployment[m][k];
		unsigned seen = 0, missed = 0;
		double share = naive_share(w->naive, m, k, &seen, &missed);

		if (d && (d->guard.share < share || d->guard.share > share ||
		          d->guard.seen != seen || d->guard.missed != missed))
			return drive_differ(w, "m%u: the guard of d%u leaves %g, model %g", m, k,
			                    d->guard.share, share);
	}
	return true;
}

bool drive_same_state(struct world *w)
{
	struct sched_counts counts = sched_counts(w->sched);
	size_t queued = 0;

	for (unsigned s = 0; s < NAIVE_SERVERS; s++) {
		const struct server *srv = w->server[s];

		if ((srv != NULL) != naive_has_server(w->naive, s))
			return drive_differ(w, "s%u exists for one of both", s);
		if (srv == NULL)
			continue;
		if (srv->ledger.used != naive_used(w->naive, s) ||
		    srv->ledger.inflight != naive_inflight(w->naive, s))
			return drive_differ(w, "s%u: core %u in flight, used %llu; model %u, %llu",
			                    s, srv->ledger.inflight,
			                    (unsigned long long)srv->ledger.used,
			                    naive_inflight(w->naive, s),
			                    (unsigned long long)naive_used(w->naive, s));
		if (srv->foreign != naive_foreigners(w->naive, s) ||
		    srv->overshoots != naive_overshoots(w->naive, s))
			return drive_differ(w,
			                    "s%u: core %u foreign, %llu overshoots; model %u, %llu",
			                    s, srv->foreign, (unsigned long long)srv->overshoots,
			                    naive_foreigners(w->naive, s),
			                    (unsigned long long)naive_overshoots(w->naive, s));
		if (!same_sums(w, s))
			return false;
		if (srv->usable != naive_is_usable(w->naive, s))
			return drive_differ(w, "s%u is usable for one of both", s);
	}
	for (unsigned m = 0; m < NAIVE_MODELS; m++) {
		size_t length = w->model[m] == NULL ? 0 : w->model[m]->queue.length;

		queued += length;
		if (!same_guards(w, m))
			return false;
		if (length != naive_queued(w->naive, m))
			return drive_differ(w, "m%u: core has %zu waiting, model %zu", m, length,
			                    naive_queued(w->naive, m));
	}
	if (counts.queued != queued || counts.dispatched != naive_dispatched(w->naive))
		return drive_differ(w, "counts: core %zu and %zu, model %zu and %zu", counts.queued,
		                    counts.dispatched, queued, naive_dispatched(w->naive));
	return true;
}

bool drive_same_end(struct world *w, const struct op *op, enum sched_end_result core,
                    enum naive_end model)
{
	static const char *const name[] = { "closed", "cancelled", "duplicate", "unknown" };
	static const enum naive_end meaning[] = {
		[SCHED_END_CLOSED] = NAIVE_CLOSED,
		[SCHED_END_CANCELLED] = NAIVE_CANCELLED,
		[SCHED_END_DUPLICATE] = NAIVE_DUPLICATE,
		[SCHED_END_UNKNOWN] = NAIVE_UNKNOWN,
	};

	return meaning[core] == model || drive_differ(w, "end r%u: core %s, model %s", op->id,
	                                              name[meaning[core]], name[model]);
}

/* Begins a recording now and then: when, must not depend on what was left out in shrinking. */
bool drive_same_on_tape(struct world *w, const struct op *op)
{
	const char *difference = tape_difference(w->tape);

	if (difference != NULL)
		return drive_differ(w, "%s", difference);
	if (!sched_is_quiet(w->sched))
		return drive_differ(w, "not quiet after the last answer");
	if (w->taped) {
		for (unsigned s = 0; s < NAIVE_SERVERS; s++)
			if (w->server[s] != NULL && !tape_has(w->tape, w->server[s]))
				return drive_differ(w, "recording: s%u has other charges", s);
	}
	if (!w->taped || (uint64_t)op->t / 1000 % 61 == 0)
		tape_restart(w->tape, op->t);
	w->taped = true;
	difference = tape_difference(w->tape);
	return difference == NULL || drive_differ(w, "%s", difference);
}
