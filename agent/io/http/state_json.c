/* /state.json: the ledger, queues, profiles and peers. Missing memory leaves members out. */
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "io/agent/learned.h"
#include "io/base/clock.h"
#include "render_private.h"

static json_t *repairs_state(const struct server *s)
{
	json_t *repairs = json_object();

	for (int r = 0; r < FLEET_REPAIRS; r++)
		json_object_set_new(repairs, fleet_repair_name((enum fleet_repair)r),
		                    json_integer((json_int_t)s->repairs[r]));
	return repairs;
}

/* Promises on one server, as short as 10,000 of them want it. */
static json_t *kept_state(const struct served *served, slo_nsec now)
{
	json_t *object = json_object();

	for (int w = 0; served && w < ATTAIN_WINDOWS; w++) {
		struct attain_sum sum = attain_sum(&served->promises, now, (enum attain_window)w);

		json_object_set_new(object, attain_window_name((enum attain_window)w),
		                    json_pack("{s:I, s:I}", "kept",
		                              (json_int_t)sum.count[PROMISE_KEPT], "missed",
		                              (json_int_t)sum.count[PROMISE_MISSED]));
	}
	return object;
}

json_t *render_server_state(const struct agent_model *m, const struct seat *seat)
{
	slo_nsec now = clock_nsec();
	const struct server *s = seat->server;
	const struct roster_server *known = roster_server(s);
	const struct server_stats *stats = &known->stats;

	json_t *state = json_pack(
	    "{s:s, s:b, s:s, s:b, s:f, s:I, s:I, s:I, s:f, s:I}", "deployment",
	    seat->deployment->name, "usable", s->usable, "state", roster_state_name(known->state),
	    "configured", known->configured, "load", load_to_double(fleet_load(s)), "inflight",
	    (json_int_t)s->ledger.inflight, "requests", (json_int_t)stats->requests, "tokens",
	    (json_int_t)stats->tokens, "peak_load", load_to_double(stats->peak_load),
	    "peak_inflight", (json_int_t)stats->peak_inflight);

	json_object_set_new(state, "set_aside", json_boolean(!failing_may_serve(known)));
	json_object_set_new(state, "slower", json_real(seat->slower));
	json_object_set_new(state, "tokens_per_second",
	                    json_real(rate_now(&stats->token_rate, now)));
	json_object_set_new(state, "actual_over_predicted",
	                    seat->speed.ends > 0 ? json_real(exp(seat->speed.late)) : json_null());
	json_object_set_new(state, "promises", kept_state(roster_served(known, m), now));
	json_object_set_new(state, "drift", json_integer(s->view.drift));
	json_object_set_new(state, "foreign", json_integer(s->foreign));
	json_object_set_new(state, "overshoots", json_integer((json_int_t)s->overshoots));
	json_object_set_new(state, "surplus", json_integer(s->surplus_count));
	json_object_set_new(state, "withheld", json_real(load_to_double(s->withhold)));
	json_object_set_new(state, "repairs", repairs_state(s));
	json_object_set_new(state, "engine", render_engine_state(known->engine, clock_nsec()));
	return state;
}

/* Servers that left while requests run on them, by backend and name. */
static json_t *leaving_state(const struct roster *f)
{
	json_t *servers = json_object();

	for (const struct roster_server *s = f->servers; s; s = s->hh.next)
		if (roster_is_leaving(s))
			json_object_set_new(
			    servers, s->key,
			    json_pack("{s:s, s:f, s:I}", "state", roster_state_name(s->state),
			              "load", load_to_double(fleet_load(s->server)), "inflight",
			              (json_int_t)s->server->ledger.inflight));
	return servers;
}

/* What is probably wrong with a profile. */
static json_t *doubts_state(const struct profile_note *note)
{
	json_t *list = json_array();

	for (size_t i = 0; note && i < note->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "code", note->findings[i].code,
		                                      "text", note->findings[i].text));
	return list;
}

static json_t *profile_state(const struct agent *a, const struct redis_client *redis,
                             const struct agent_model *m, const struct deployment *d)
{
	const struct profile *p = d->profile;

	if (!p)
		return json_null();
	return json_pack(
	    "{s:s, s:f, s:f, s:I, s:I, s:I, s:o}", "source",
	    redis_client_gave(redis, m, d) ? "redis" : "file", "created", profile_created(p),
	    "cost", profile_cost(p), "cells", (json_int_t)profile_cells(p), "zero_cells",
	    (json_int_t)profile_zero_cells(p), "no_data_cells", (json_int_t)profile_no_data(p),
	    "warnings",
	    doubts_state(profile_notes_find(&a->profile_notes, m->conf->name, d->name)));
}

static void target(json_t *targets, const char *name, double seconds)
{
	if (seconds > 0)
		json_object_set_new(targets, name, json_real(seconds));
}

/* What a request that brings no targets is held to there, in seconds; null: nothing. */
static json_t *targets_state(const struct deployment *d)
{
	static const struct request bare;
	const struct goal goal = rank_goal(d, &bare);
	json_t *targets;

	if (goal.kind == GOAL_NONE)
		return json_null();
	targets = json_pack("{s:s}", "decides", goal_name(goal.kind));
	for (int k = GOAL_NONE + 1; k < GOAL_KINDS; k++) {
		struct goal part = goal_part(&goal, (enum goal_kind)k);

		target(targets, goal_name((enum goal_kind)k),
		       k == GOAL_TPOT || k == GOAL_TPAT ? part.per_token : part.fixed);
	}
	return targets;
}

static json_t *rates_state(const struct latency_rates *r, const char *kv_from)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:s, s:f, s:f}", "step_seconds", r->step,
	                 "prompt_seconds_per_token", r->prompt, "cached_seconds_per_token",
	                 r->cached, "kv_tokens", r->kv, "kv_tokens_from", kv_from, "headroom",
	                 r->headroom, "crowd", r->crowd);
}

/* What was learned of a deployment; null: it does not learn. */
static json_t *learned_state(const struct agent_model *m, const struct deployment *d)
{
	const struct latency_learner *l = d->learner;
	const char *who;
	struct goal goal = learned_goal(d, &who);

	if (!l)
		return json_null();
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:o}", "profile",
	                 learned_configured(d), "in_force", learned_source(d), "profile_overruled",
	                 d->source == FLEET_REFUTED, "state", latency_state_name(d->force.state),
	                 "doubt", latency_doubt_name(l->doubt), "target", goal_name(goal.kind),
	                 "target_from", who, "ends", (json_int_t)l->ends, "ends_left_out",
	                 (json_int_t)l->passed, "error_p50", latency_errors_median(&l->errors),
	                 "error_p99", latency_errors_quantile(&l->errors, 0.99) - 1, "rates",
	                 rates_state(&d->force.rates, learned_kv_from(m, d)));
}

/* With what slo-adaptive plans in a deployment. */
static json_t *planned_state(const struct deployment *d)
{
	return json_pack("{s:f, s:f, s:I, s:I, s:I}", "headroom_in_force", d->planned.headroom,
	                 "guard_share", d->guard.share, "guard_ends", (json_int_t)d->guard.seen,
	                 "guard_missed", (json_int_t)d->guard.missed, "max_running",
	                 (json_int_t)fleet_running(d));
}

/* What a request without a target of its own is to meet; null: nothing. */
static json_t *target_state(const struct agent_model *m)
{
	const struct pool *pool = &m->sched->pool;

	for (size_t i = 0; i < pool->deployments; i++) {
		const char *who;
		struct goal g = learned_goal(pool->deployment[i], &who);

		if (g.kind != GOAL_NONE)
			return json_pack("{s:s, s:f, s:f, s:f, s:s}", "kind", goal_name(g.kind),
			                 "seconds_per_token", g.per_token, "seconds", g.fixed,
			                 "percentile", m->conf->percentile, "from", who);
	}
	return json_null();
}

/* What ended, by the strategy and verdict that placed it. */
static json_t *outcomes_state(const struct agent_model *m)
{
	json_t *list = json_array();

	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++) {
			const struct outcome_stats *o = &m->stats.outcome[s][v];
			const struct histogram *h = &o->per_token;

			if (h->total == 0)
				continue;
			json_array_append_new(
			    list,
			    json_pack("{s:s, s:s, s:I, s:f, s:f, s:I, s:I}", "strategy",
			              policy_strategy_name((enum slo_strategy)s), "verdict",
			              sched_verdict_name((enum slo_verdict)v), "completed",
			              (json_int_t)h->total, "p50_seconds_per_token",
			              histogram_quantile(h, .5), "p99_seconds_per_token",
			              histogram_quantile(h, .99), "slo_met", (json_int_t)o->met,
			              "slo_missed", (json_int_t)o->missed));
		}
	return list;
}

static json_t *decisions_state(const struct decision_stats *d)
{
	json_t *list = json_array();

	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++)
			for (int r = 0; r < SLO_REASONS; r++)
				if (d->requests[s][v][r])
					json_array_append_new(
					    list,
					    json_pack(
						"{s:s, s:s, s:s, s:I}", "strategy",
						policy_strategy_name((enum slo_strategy)s),
						"verdict", sched_verdict_name((enum slo_verdict)v),
						"reason", sched_reason_name((enum slo_reason)r),
						"requests", (json_int_t)d->requests[s][v][r]));
	return list;
}

/* Names that clients ask for in vain. */
static json_t *unknown_state(const struct unknown_models *u)
{
	json_t *list = json_array();

	for (size_t i = 0; i < u->count; i++)
		json_array_append_new(list,
		                      json_pack("{s:s, s:I}", "model", u->model[i].name, "requests",
		                                (json_int_t)u->model[i].requests));
	return list;
}

static json_t *ends_state(const uint64_t ends[LESSON_OUTCOME_COUNT])
{
	json_t *object = json_object();

	for (int o = 0; o < LESSON_OUTCOME_COUNT; o++)
		json_object_set_new(object, lesson_outcome_name((enum lesson_outcome)o),
		                    json_integer((json_int_t)ends[o]));
	return object;
}

static json_t *estimator_state(const struct estimator *e)
{
	return json_pack("{s:f, s:I, s:f, s:f}", "prompt_factor", estimator_factor(e),
	                 "prompt_samples", (json_int_t)e->input.samples, "stream_bytes_per_token",
	                 estimator_bytes_per_token(e, true), "json_bytes_per_token",
	                 estimator_bytes_per_token(e, false));
}

/* The processes that are asked, in the order of the configuration. */
static json_t *haproxy_state(const struct haproxy_api *api, slo_nsec now)
{
	json_t *list = json_array();

	for (size_t i = 0; i < haproxy_api_count(api); i++) {
		struct haproxy_api_state s = haproxy_api_state(api, i, now);

		json_array_append_new(
		    list, json_pack("{s:s, s:b, s:o, s:I, s:I}", "api", s.name, "answers",
		                    s.answers, "age_seconds",
		                    s.age < 0 ? json_null() : json_real((double)s.age / 1e9), "pid",
		                    (json_int_t)s.pid, "failures", (json_int_t)s.failures));
	}
	return list;
}

/* Parts: an object is written member by member, since one tree of all servers would take too long.
 */

/* Takes the value. NULL, for want of memory, spoils the text. */
void render_member(struct page *p, const char *comma, const char *name, json_t *value)
{
	json_t *key = json_string(name);

	if (key && value) {
		fputs(comma, p->f);
		p->failed |= json_dumpf(key, p->f, JSON_ENCODE_ANY) != 0;
		fputc(':', p->f);
		p->failed |= json_dumpf(value, p->f, JSON_COMPACT | JSON_ENCODE_ANY) != 0;
	} else {
		p->failed = true;
	}
	json_decref(key);
	json_decref(value);
}

/* The members of an object, each with a comma behind it. Takes the object. */
static void members(struct page *p, json_t *object)
{
	const char *name;
	json_t *value;

	p->failed |= !object;
	json_object_foreach(object, name, value)
	{
		render_member(p, "", name, json_incref(value));
		fputc(',', p->f);
	}
	json_decref(object);
}

static void open_state(struct page *p)
{
	const struct agent *a = p->agent;
	struct sched_counts counts = sched_counts(a->sched);
	slo_nsec now = clock_nsec();
	json_t *state = json_pack(
	    "{s:s, s:f, s:b, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "version",
	    SLO_VERSION, "uptime_seconds", (double)(now - a->stats.started) / 1e9, "draining",
	    a->draining, "leaving", leaving_state(&a->roster), "view_age_seconds",
	    a->roster.viewed ? json_real((double)(now - a->roster.viewed) / 1e9) : json_null(),
	    "no_model", decisions_state(&a->stats.no_model), "queued", (json_int_t)counts.queued,
	    "dispatched", (json_int_t)counts.dispatched, "remembered",
	    (json_int_t)counts.remembered, "leases_expired", (json_int_t)counts.leases_expired,
	    "spop_connections", (json_int_t)a->stats.spop_connections, "event_connections",
	    (json_int_t)a->stats.event_connections, "redis", render_redis_state(p->sources->redis));

	json_object_set_new(state, "pid", json_integer(getpid()));
	json_object_set_new(state, "joining", json_boolean(a->joining));
	json_object_set_new(state, "cluster", render_cluster_state(p->sources->cluster));
	json_object_set_new(state, "unknown_models", unknown_state(&a->unknown));
	json_object_set_new(state, "warnings", render_warnings_state(&a->warnings, now));
	json_object_set_new(state, "haproxy", haproxy_state(p->sources->haproxy, now));
	fputc('{', p->f);
	members(p, state);
	fputs("\"models\":{", p->f);
}

/* What an overview of many models shows. */
static json_t *brief_state(const struct agent_model *m)
{
	slo_nsec now = clock_nsec();

	return json_pack(
	    "{s:I, s:I, s:o, s:s, s:s, s:o, s:o, s:o}", "queued",
	    (json_int_t)m->sched->queue.length, "queued_sizes", (json_int_t)m->sched->queue.heads,
	    "queue", render_queue_state(&m->sched->queue, now), "backend", m->conf->backend,
	    "strategy", policy_strategy_name(m->sched->strategy), "target", target_state(m),
	    "promises", render_promises_state(&m->stats.promises, now), "fleet",
	    render_fleet_state(m, now));
}

static json_t *deployments_state(const struct page *p, const struct agent_model *m)
{
	const struct pool *pool = &m->sched->pool;
	json_t *profiles = json_object(), *targets = json_object(), *learned = json_object(),
	       *planned = json_object();

	for (size_t i = 0; i < pool->deployments; i++) {
		const struct deployment *d = pool->deployment[i];

		json_object_set_new(profiles, d->name,
		                    profile_state(p->agent, p->sources->redis, m, d));
		json_object_set_new(targets, d->name, targets_state(d));
		json_object_set_new(learned, d->name, learned_state(m, d));
		json_object_set_new(planned, d->name, planned_state(d));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "profiles", profiles, "targets", targets,
	                 "learned", learned, "planned", planned);
}

static json_t *model_state(const struct agent_model *m)
{
	slo_nsec now = clock_nsec();

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "decisions",
	                 decisions_state(&m->stats.decisions), "outcomes", outcomes_state(m),
	                 "ends", ends_state(m->stats.ends), "by_strategy",
	                 render_promises_by_strategy(&m->stats, now), "by_target",
	                 render_promises_by_target(&m->stats, now), "history",
	                 render_history_state(&m->stats.promises, now), "estimator",
	                 estimator_state(&m->sched->estimator), "predictor_samples",
	                 (json_int_t)predictor_samples(m->sched->predictor, now));
}

/* All but its servers, which follow. */
static void begin_model(struct page *p, const struct agent_model *m, bool brief)
{
	json_t *name = json_string(m->conf->name);

	fputs(p->written++ > 0 ? "," : "", p->f);
	p->failed |= !name || json_dumpf(name, p->f, JSON_ENCODE_ANY) != 0;
	json_decref(name);
	fputs(":{", p->f);
	members(p, brief_state(m));
	if (brief)
		return;
	members(p, deployments_state(p, m));
	members(p, model_state(m));
}

static void open_model(struct page *p, const struct agent_model *m)
{
	begin_model(p, m, false);
	fputs("\"servers\":{", p->f);
}

static bool is_asked_for(const struct page *p, const struct agent_model *m)
{
	return !p->cut->one_model || strcmp(p->cut->model, m->conf->name) == 0;
}

static void model_in_part(struct page *p, const struct agent_model *m)
{
	if (is_asked_for(p, m))
		begin_model(p, m, p->cut->brief);
}

static bool servers_in_part(struct page *p, const struct agent_model *m, slo_nsec until)
{
	return !is_asked_for(p, m) || render_chosen_servers(p, m, until);
}

static void seat(struct page *p, const struct agent_model *m, const struct seat *s)
{
	render_member(p, p->seat > 0 ? "," : "", s->server->name, render_server_state(m, s));
}

static void close_model(struct page *p, const struct agent_model *m)
{
	(void)m;
	fputs("}}", p->f);
}

static void close_state(struct page *p)
{
	fputs("}}", p->f);
}

const struct render_part render_state_parts[] = {
	{ .once = open_state },
	{ .model = open_model, .seat = seat, .model_end = close_model },
	{ .once = close_state },
	{ .name = NULL },
};

const struct render_part render_cut_parts[] = {
	{ .once = open_state },
	{ .model = model_in_part, .model_more = servers_in_part },
	{ .once = close_state },
	{ .name = NULL },
};
