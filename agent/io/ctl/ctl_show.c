/* What is shown of models, servers and decisions. The rest is in ctl_show_info.c. */
#include <math.h>
#include <string.h>

#include "ctl_private.h"
#include "ctl_show_private.h"
#include "io/agent/explain.h"
#include "io/agent/learned.h"
#include "io/base/clock.h"

#define NAME_WIDTH_MAX 64 /* a longer name pushes the rest of its line aside */

struct table *ctl_table(struct page *p)
{
	return &((struct ctl_show *)p->arg)->table;
}

static bool is_wanted(const struct page *p, const struct agent_model *m)
{
	const struct ctl_show *show = p->arg;

	return !show->model || strcmp(show->model, m->sched->pool.name) == 0;
}

static void widen(int *width, const char *name)
{
	size_t len = strnlen(name, NAME_WIDTH_MAX);

	if ((int)len > *width)
		*width = (int)len;
}

/* Names of models are long: "meta-llama/Llama-3.1-70B-Instruct". */
static void fit_names(struct page *p)
{
	struct ctl_show *show = p->arg;

	show->model_width = 20;
	show->deployment_width = 10;
	for (size_t i = 0; i < p->agent->model_count; i++) {
		const struct agent_model *m = p->agent->models[i];

		if (!is_wanted(p, m))
			continue;
		widen(&show->model_width, m->sched->pool.name);
		for (size_t d = 0; d < m->sched->pool.deployments; d++)
			widen(&show->deployment_width, m->sched->pool.deployment[d]->name);
	}
}

static void model_name(struct page *p, const char *name)
{
	const struct ctl_show *show = p->arg;

	table_str(ctl_table(p), "model", show->model_width, name);
}

static void deployment_name(struct page *p, const char *name)
{
	const struct ctl_show *show = p->arg;

	table_str(ctl_table(p), "deployment", show->deployment_width, name);
}

void ctl_open_rows(struct page *p)
{
	struct ctl_show *show = p->arg;

	fit_names(p);
	table_open(&show->table, p->f, show->format, false);
}

void ctl_open_list(struct page *p)
{
	struct ctl_show *show = p->arg;

	table_open(&show->table, p->f, show->format, true);
	table_row(&show->table);
}

void ctl_close(struct page *p)
{
	table_close(ctl_table(p));
}

/* show models */

static void model_row(struct page *p, const struct agent_model *m)
{
	struct table *t = ctl_table(p);
	struct attain_sum sum = attain_sum(&m->stats.promises, clock_nsec(), ATTAIN_5_MINUTES);

	table_row(t);
	model_name(p, m->sched->pool.name);
	table_str(t, "backend", 16, m->conf->backend);
	table_str(t, "strategy", 14, policy_strategy_name(m->sched->strategy));
	table_int(t, "usable", 6, (int64_t)m->sched->pool.usable);
	table_int(t, "servers", 7, (int64_t)m->sched->pool.seats);
	table_int(t, "queued", 6, (int64_t)m->sched->queue.length);
	table_int(t, "running", 7, (int64_t)m->sched->dispatched);
	table_int(t, "kept_5m", 7, (int64_t)sum.count[PROMISE_KEPT]);
	table_int(t, "missed_5m", 9, (int64_t)sum.count[PROMISE_MISSED]);
	table_int(t, "refused_5m", 10, (int64_t)sum.count[PROMISE_REFUSED]);
}

const struct render_part ctl_models[] = {
	{ .once = ctl_open_rows },
	{ .model = model_row },
	{ .once = ctl_close },
	{ .name = NULL },
};

/* show servers */

static void server_row(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	const struct server *s = seat->server;
	const struct roster_server *known = roster_server(s);
	struct table *t = ctl_table(p);

	if (!is_wanted(p, m))
		return;
	table_row(t);
	model_name(p, m->sched->pool.name);
	deployment_name(p, seat->deployment->name);
	table_str(t, "server", 20, s->name);
	table_str(t, "state", 7, roster_state_name(known->state));
	table_bool(t, "usable", 6, s->usable);
	table_real(t, "load", 6, load_to_double(fleet_load(s)));
	table_int(t, "inflight", 8, s->ledger.inflight);
	table_int(t, "foreign", 7, s->foreign);
	table_real(t, "tokens/s", 8, rate_now(&known->stats.token_rate, clock_nsec()));
	table_real(t, "slower", 6, seat->slower);
	table_int(t, "requests", 8, (int64_t)known->stats.requests);
	table_bool(t, "set_aside", 9, !failing_may_serve(known));
}

const struct render_part ctl_servers[] = {
	{ .once = ctl_open_rows },
	{ .seat = server_row },
	{ .once = ctl_close },
	{ .name = NULL },
};

/* show queue */

static void queue_row(struct page *p, const struct agent_model *m)
{
	const struct queue *q = &m->sched->queue;
	const struct request *r = q->heads > 0 ? q->head[0].bucket->first : NULL;
	slo_nsec now = clock_nsec(), start = r ? q->head[0].start : 0;
	bool known = r && start > INT64_MIN && start < SLO_NEVER;
	struct table *t = ctl_table(p);

	if (!is_wanted(p, m))
		return;
	table_row(t);
	model_name(p, m->sched->pool.name);
	table_int(t, "waiting", 7, (int64_t)q->length);
	table_int(t, "sizes", 5, (int64_t)q->heads);
	table_str(t, "most_urgent", 50, r ? r->id : "");
	table_real(t, "waits_s", 8, r ? (double)(now - r->arrived) / 1e9 : NAN);
	table_real(t, "slack_s", 8, known ? (double)(start - now) / 1e9 : NAN);
}

const struct render_part ctl_queue[] = {
	{ .once = ctl_open_rows },
	{ .model = queue_row },
	{ .once = ctl_close },
	{ .name = NULL },
};

/* show profiles */

static void deployment_row(struct page *p, const struct agent_model *m, struct deployment *d)
{
	const struct profile_note *note =
	    profile_notes_find(&p->agent->profile_notes, m->conf->name, d->name);
	struct table *t = ctl_table(p);

	table_row(t);
	model_name(p, m->sched->pool.name);
	deployment_name(p, d->name);
	table_str(t, "times_from", 10, learned_source(d));
	table_str(t, "profile", 7,
	          !d->profile                                  ? "none"
	          : redis_client_gave(p->sources->redis, m, d) ? "redis"
	                                                       : "file");
	table_int(t, "created", 12, d->profile ? (int64_t)profile_created(d->profile) : 0);
	table_int(t, "cells", 5, d->profile ? (int64_t)profile_cells(d->profile) : 0);
	table_str(t, "learned", 7, d->learner ? latency_state_name(d->force.state) : "");
	table_int(t, "ends", 7, d->learner ? (int64_t)d->learner->ends : 0);
	table_real(t, "headroom", 8, d->learner ? d->force.rates.headroom : NAN);
	table_real(t, "in_force", 8, d->planned.headroom > 0 ? d->planned.headroom : NAN);
	table_int(t, "doubts", 6, note ? (int64_t)note->count : 0);
	table_str(t, "doubt", 6,
	          d->learner && d->learner->doubt != LATENCY_DOUBT_NONE
	              ? latency_doubt_name(d->learner->doubt)
	              : "-");
}

static void profile_rows(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; is_wanted(p, m) && i < m->sched->pool.deployments; i++)
		deployment_row(p, m, m->sched->pool.deployment[i]);
}

const struct render_part ctl_profiles[] = {
	{ .once = ctl_open_rows },
	{ .model = profile_rows },
	{ .once = ctl_close },
	{ .name = NULL },
};

/* show decisions */

void ctl_decision_fields(struct page *p, const struct decision *d)
{
	struct table *t = ctl_table(p);

	table_bytes(t, "id", 48, d->id, d->id_len);
	table_real(t, "age_s", 8, (double)(clock_nsec() - d->arrived) / 1e9);
	model_name(p, explain_name(d->model));
	table_str(t, "state", 8,
	          decision_is_lost(p->agent, d)
	              ? "lost"
	              : decision_state_name((enum decision_state)d->state));
	table_str(t, "verdict", 8, sched_verdict_name((enum slo_verdict)d->verdict));
	table_str(t, "reason", 13, sched_reason_name((enum slo_reason)d->reason));
	table_str(t, "server", 16, explain_server(d->server));
	table_int(t, "priority", 8, d->priority);
	table_real(t, "wait_s", 7, (double)(d->answered - d->arrived) / 1e9);
	table_int(t, "prompt", 6, d->input);
	table_int(t, "output", 6, d->output);
	table_real(t, "e2e_s", 7, d->ended && d->e2e_ms >= 0 ? d->e2e_ms / 1e3 : NAN);
	table_str(t, "met", 3, !d->judged || !d->ended ? "" : d->missed ? "no" : "yes");
}

static bool decision_rows(struct page *p, slo_nsec until)
{
	const struct ctl_show *show = p->arg;
	const struct decisions *ring = &p->agent->decisions;

	if (p->cursor == 0) {
		p->cursor = ring->next;
		p->written = 0;
	}
	while (p->cursor > 1 && p->written < show->query.limit) {
		const struct decision *d = decisions_at(ring, --p->cursor);

		if (!d)
			return true;
		if (decision_query_matches(&show->query, d)) {
			table_row(ctl_table(p));
			ctl_decision_fields(p, d);
			p->written++;
		}
		if (p->cursor % 16 == 0 && clock_nsec() >= until)
			return false;
	}
	return true;
}

static void open_decisions(struct page *p)
{
	p->cursor = 0;
	ctl_open_rows(p);
}

const struct render_part ctl_decisions[] = {
	{ .once = open_decisions },
	{ .some = decision_rows },
	{ .once = ctl_close },
	{ .name = NULL },
};
