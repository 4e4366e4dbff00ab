#include "io/agent/agent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/tap.h"
#include "io/agent/ask.h"
#include "io/agent/decision_log.h"
#include "io/agent/learned.h"
#include "io/base/clock.h"
#include "io/base/secret.h"

/* Without a server an operator has to do something, or a health check to pass. */
#define NO_SERVER_RETRY 5 /* s */
/* Builds with SLO_CHECK look at all of the scheduler in every so manieth pump: a check takes time
 * in proportion to what waits and runs. */
#define PUMPS_PER_CHECK 16

/* Set-up */

static uint64_t choose_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t)clock_nsec();
	return seed;
}

static struct sched_conf sched_conf_of(const struct config *conf)
{
	return (struct sched_conf){
		.fallback = conf->routing.fallback,
		.late = conf->routing.late,
		.infeasible = conf->routing.infeasible,
		.predict = conf->routing.predict,
		.cold = conf->routing.cold,
		.queue_limit = conf->routing.queue_limit,
		.queue_timeout = conf->routing.queue_timeout,
		.queue_timeout_most = conf->routing.queue_timeout_most,
		.lease_max_age = conf->limits.lease_max_age,
		.remember_ended = conf->limits.remember_ended,
		.remember_limit = conf->limits.remember_limit,
		.foreign_limit = conf->limits.foreign_requests,
	};
}

/* Hands the options of a->conf to the models and the scheduler. */
static void set_options(struct agent *a)
{
	struct sched_conf conf = sched_conf_of(a->conf);

	sched_configure(a->sched, &conf);
	a->log->level = a->conf->log_level;
	a->default_model = NULL;
	for (size_t i = 0; i < a->model_count; i++) {
		struct agent_model *m = a->models[i];

		m->sched->strategy = m->conf->strategy;
		m->sched->backend = m->conf->backend;
		m->no_default_limit = false; /* its engines may be others now */
		if (a->conf->routing.default_model == m->conf)
			a->default_model = m;
	}
}

slo_err agent_configure(struct agent *a, const struct config *conf)
{
	slo_err err = roster_configure(a, conf);

	if (err == SLO_ENOMEM)
		return err;
	set_options(a);
	if (!decisions_keep(&a->decisions, conf->decisions))
		log_write(a->log, LOG_ERR, "out of memory: no decisions are kept");
	sched_explain(a->sched, decisions_on(&a->decisions));
	watch_configured(a, clock_nsec());
	return learned_configure(a) ? err : SLO_EFULL;
}

/* on_before_sleep() follows. */
static void on_wakeup(struct ev_loop *loop, ev_timer *w, int revents)
{
	((struct agent *)w->data)->wakeup_at = SLO_NEVER;
}

static void on_before_sleep(struct ev_loop *loop, ev_prepare *w, int revents)
{
	agent_pump(w->data, clock_nsec());
}

struct agent *agent_new(struct ev_loop *loop, struct log *log, uint64_t seed,
                        agent_deliver *deliver)
{
	struct agent *a = calloc(1, sizeof(*a));
	struct sched_conf options = sched_conf_default();

	if (!a)
		return NULL;
	a->loop = loop;
	a->log = log;
	a->deliver = deliver;
	a->seed = options.seed = seed ? seed : choose_seed();
	options.hash_key = choose_seed(); /* a configured seed is no secret */
	stats_init(&a->stats, clock_nsec(), clock_unix_seconds());
	roster_init(&a->roster);
	failing_init(a);
	ev_init(&a->wakeup, on_wakeup);
	a->wakeup_at = SLO_NEVER;
	ev_prepare_init(&a->before_sleep, on_before_sleep);
	ev_set_priority(&a->before_sleep, 1); /* conn.c sends in its own, at 0 */
	a->wakeup.data = a->before_sleep.data = a;
	a->sched = sched_new(&options);
	if (!a->sched) {
		agent_free(a);
		return NULL;
	}
	ev_prepare_start(loop, &a->before_sleep);
	watch_init(a);
	return a;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	ev_timer_stop(a->loop, &a->wakeup);
	ev_prepare_stop(a->loop, &a->before_sleep);
	for (size_t i = 0; i < a->model_count; i++)
		roster_retire_labels(a, a->models[i]);
	for (struct roster_server *s = a->roster.servers; s; s = s->hh.next)
		decisions_retire(&a->decisions, &s->label);
	decisions_fini(&a->decisions);
	watch_fini(a);
	failing_fini(a);
	roster_fini(&a->roster);
	agent_forget_profiles(a);
	profile_notes_fini(&a->profile_notes);
	profile_troubles_fini(&a->profile_troubles);
	sched_free(a->sched);
	for (size_t i = 0; i < a->model_count; i++) {
		reqtrace_fini(&a->models[i]->trace);
		free(a->models[i]);
	}
	free(a->models);
	free(a);
}

/* Requests */

/* Where the decisions about requests of m are counted; NULL: of no model that we know. */
static struct decision_stats *decisions_of(struct agent *a, struct agent_model *m)
{
	return m ? &m->stats.decisions : &a->stats.no_model;
}

static bool has_id(const struct agent *a, const struct route_msg *msg)
{
	return msg->id.p && msg->id.len <= a->conf->limits.id_length;
}

/* An answer that needs no scheduler. name: of the model that was asked for. Always true: it is
 * there now. */
static COLD bool pass(struct agent *a, slo_nsec now, struct agent_model *m,
                      const struct route_msg *msg, struct slice name, enum slo_strategy strategy,
                      enum slo_reason reason, struct answer *out)
{
	*out = (struct answer){ .verdict = SLO_PASS, .reason = reason, .strategy = strategy };
	decisions_of(a, m)->requests[strategy][SLO_PASS][reason]++;
	if (!has_id(a, msg))
		return true;
	if (SELDOM(a->conf->log_decisions && log_wants(a->log, LOG_INFO)))
		decision_log_passed(a, msg, name, strategy, reason);
	if (decisions_on(&a->decisions))
		decisions_passed(a, now, msg, m, name, strategy, reason);
	sched_note_passed(a->sched, now, (const char *)msg->id.p, msg->id.len);
	sched_tell(a->sched, &(struct slo_event){ .kind = SLO_EVENT_PASS,
	                                          .now = now,
	                                          .text = msg->id,
	                                          .strategy = strategy,
	                                          .reason = reason });
	return true;
}

void agent_pass(struct agent *a, slo_nsec now, const struct route_msg *msg, struct answer *out)
{
	(void)pass(a, now, NULL, msg, msg->model, a->conf->routing.strategy, SLO_REASON_QUEUE_FULL,
	           out);
}

void agent_pass_stranger(struct agent *a, struct answer *out)
{
	enum slo_strategy strategy = a->conf->routing.strategy;

	*out = (struct answer){ .verdict = SLO_PASS,
		                .reason = SLO_REASON_BAD_REQUEST,
		                .strategy = strategy };
	decisions_of(a, NULL)->requests[strategy][SLO_PASS][SLO_REASON_BAD_REQUEST]++;
}

/* Whether a client may choose that strategy for this model. */
static bool may_ask_for(const struct config_client_limits *l, enum slo_strategy s)
{
	return l->strategies == CONFIG_STRATEGIES_ALL ||
	       (l->strategies == CONFIG_STRATEGIES_WAITING && policy_pulls(s));
}

/* The one that the client names, if there is such and it may; else the model's. */
static enum slo_strategy strategy_of(struct agent *a, const struct agent_model *m,
                                     struct slice name)
{
	enum slo_strategy s = m ? m->sched->strategy : a->conf->routing.strategy, asked;

	if (name.len == 0)
		return s;
	if (!policy_strategy_parse((const char *)name.p, name.len, &asked))
		a->stats.unknown_strategy++;
	else if (asked == s || may_ask_for(m ? &m->conf->limits : &a->conf->routing.limits, asked))
		return asked;
	else
		a->stats.limited_strategies++;
	return s;
}

uint64_t agent_expect(const struct agent *a, struct slice id)
{
	return id.p ? sched_expect(a->sched, (const char *)id.p, id.len) : 0;
}

/* A name that nobody serves, and a header that is no number: HAProxy and the client go on as if
 * nothing was wrong, so it is told here. */
static COLD void tell_odd(struct agent *a, slo_nsec now, const struct ask *ask)
{
	const struct route_msg *msg = ask->msg;
	const struct unknown_model *unknown;

	if (ask->name.len > 0 && !ask->model && ask->endpoint.kind != ENDPOINT_IDLE) {
		watch_note(a, WATCH_MODEL, NULL);
		if (unknown_models_add(&a->unknown, ask->name, &unknown))
			log_limited(
			    a->log, now, LOG_CAUSE_MODEL, LOG_WARNING,
			    "the model \"%s\" is asked for and not configured: HAProxy balances "
			    "these requests. Add it to \"models\", or to the \"aliases\" of one",
			    unknown->name);
	}
	if (msg->bad_name.p) {
		a->stats.bad_arguments += msg->bad_count;
		watch_note(a, WATCH_HEADER, "%.*s", (int)msg->bad_name.len,
		           (const char *)msg->bad_name.p);
		log_limited(a->log, now, LOG_CAUSE_ARGUMENT, LOG_WARNING,
		            "%.*s is \"%.*s\", which is no whole number: it is ignored",
		            (int)msg->bad_name.len, (const char *)msg->bad_name.p,
		            msg->bad.len > 64 ? 64 : (int)msg->bad.len, (const char *)msg->bad.p);
	}
}

static COLD void tell_id(struct agent *a, slo_nsec now, const struct route_msg *msg)
{
	size_t len = msg->id.len > 0 ? msg->id.len : msg->long_id, most = a->conf->limits.id_length;

	if (len > 0)
		watch_note(a, WATCH_ID, "the last one has %zu bytes, more than %zu", len, most);
	else
		watch_note(a, WATCH_ID, "the last one has none");
	log_limited(a->log, now, LOG_CAUSE_REQUEST_ID, LOG_WARNING,
	            "a request without a unique-id of 1 to %zu bytes is left to HAProxy", most);
}

/* Why this request needs no decision; SLO_REASON_NONE: it needs one. */
static enum slo_reason pass_reason(struct agent *a, slo_nsec now, const struct ask *ask)
{
	enum slo_reason reason = ask_is_idle(ask);

	if (!has_id(a, ask->msg)) {
		tell_id(a, now, ask->msg);
		return SLO_REASON_BAD_REQUEST;
	}
	if (reason == SLO_REASON_BAD_REQUEST && log_wants(a->log, LOG_DEBUG))
		log_write(a->log, LOG_DEBUG, "%.*s: the body is %s and names no model we can see",
		          (int)ask->msg->id.len, (const char *)ask->msg->id.p,
		          body_form_name(ask->body.form));
	return reason == SLO_REASON_NONE && a->draining ? SLO_REASON_DRAINING : reason;
}

static void tell_repeated(struct agent *a, slo_nsec now, struct slice id)
{
	watch_note(a, WATCH_REPEATED, "%.*s", (int)id.len, (const char *)id.p);
	log_limited(a->log, now, LOG_CAUSE_REQUEST, LOG_WARNING,
	            "unique-id %.*s is in use already: is unique-id-format unique?", (int)id.len,
	            (const char *)id.p);
}

/* Why the scheduler does not take a request. */
static enum slo_reason reason_of_error(struct agent *a, slo_nsec now, struct slice id, slo_err err)
{
	switch (err) {
	case SLO_ESTALE:
		/* The end may come before the question, but not between two questions. */
		if (sched_was_known(a->sched, (const char *)id.p, id.len))
			tell_repeated(a, now, id);
		return SLO_REASON_ENDED;
	case SLO_ENOMEM:
		log_limited(a->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "out of memory, a request is left to HAProxy");
		return SLO_REASON_QUEUE_FULL;
	default:
		tell_repeated(a, now, id);
		return SLO_REASON_BAD_REQUEST;
	}
}

bool agent_route(struct agent *a, slo_nsec now, const struct route_msg *msg, struct asker *user,
                 struct answer *out, struct request **request)
{
	struct sched_request req;
	struct agent_model *m;
	struct ask ask;
	enum slo_strategy strategy;
	enum slo_reason reason;
	slo_err err;
	uint64_t hash = agent_expect(a, msg->id);

	*request = NULL;
	if (user)
		asker_note(user, msg);
	ask_read(a, msg, &ask);
	m = ask.model;
	strategy = strategy_of(a, m, msg->strategy);
	if (SELDOM(!m || msg->bad_name.p))
		tell_odd(a, now, &ask);
	if (SELDOM(msg->body.len == 0 && ask.endpoint.kind == ENDPOINT_GENERATE))
		watch_note(a, WATCH_BODY, NULL);
	reason = pass_reason(a, now, &ask);
	if (reason != SLO_REASON_NONE) {
		(void)pass(a, now, m, msg, ask.name, strategy, reason, out);
		if (reason == SLO_REASON_NO_WORK && m) /* not the default backend's */
			out->backend = m->conf->backend;
		return true;
	}
	req = ask_request(a, &ask, now, strategy, user);
	req.hash = hash;
	err = sched_submit(a->sched, now, &req, request);
	if (err != SLO_OK)
		return pass(a, now, m, msg, ask.name, strategy,
		            reason_of_error(a, now, msg->id, err), out);
	if (a->conf->redis.trace)
		reqtrace_arrived(&m->trace);
	return false;
}

bool agent_must_decide(const struct agent *a, const struct request *request)
{
	return sched_queue_full(a->sched, request);
}

void agent_abandon(struct agent *a, slo_nsec now, struct request *request)
{
	if (decisions_on(&a->decisions))
		decisions_left(a, now, request);
	sched_abandon(a->sched, now, request);
}

/* Answers */

static int http_status(enum slo_verdict verdict, enum slo_reason reason)
{
	if (verdict != SLO_REJECT)
		return 0;
	return reason == SLO_REASON_NO_SERVER ? 503 : 429;
}

/* What is refused at once for its target meets it nowhere, however empty the servers are. After a
 * wait it may have been the wait. */
static int retry_after(struct agent_model *m, slo_nsec now, const struct sched_action *act)
{
	if (act->verdict != SLO_REJECT ||
	    (act->reason == SLO_REASON_SLO_FAILURE && act->waited == 0))
		return 0;
	if (!m || act->reason == SLO_REASON_NO_SERVER)
		return NO_SERVER_RETRY;
	return pace_retry_after(&m->pace, now, m->sched->queue.length);
}

static void note_peak(const struct seat *seat)
{
	struct server_stats *s = &roster_server(seat->server)->stats;
	const struct ledger *l = &seat->server->ledger;

	if (l->inflight > s->peak_inflight)
		s->peak_inflight = l->inflight;
	if (l->used > s->peak_load)
		s->peak_load = l->used;
}

/* The target that a refusal of the model's requests for it follows: the first that is set. */
static enum goal_kind deciding_target(const struct sched_model *m, const struct request *r)
{
	enum goal_kind kind = GOAL_NONE;

	for (size_t i = 0; i < m->pool.deployments && kind == GOAL_NONE; i++)
		kind = rank_goal(m->pool.deployment[i], r).kind;
	return kind;
}

static void log_answer(struct agent *a, const struct sched_action *act, const struct answer *answer)
{
	const struct sched_model *m = act->request->model;

	log_write(a->log, LOG_DEBUG, "%s: %s %s server=%s reason=%s target=%s wait=%" PRId64 "ms",
	          act->request->id, policy_strategy_name(act->strategy),
	          sched_verdict_name(act->verdict), answer->server ? answer->server : "-",
	          sched_reason_name(act->reason),
	          m ? goal_name(deciding_target(m, act->request)) : "", answer->wait_ms);
}

static void note_dispatch(struct agent *a, slo_nsec now, const struct seat *seat)
{
	note_peak(seat);
	failing_dispatched(a, now, roster_server(seat->server));
	a->watch.dispatched++;
}

static void note_refused(struct agent_model *m, slo_nsec now, const struct sched_action *act)
{
	enum goal_kind kind = deciding_target(m->sched, act->request);

	if (act->reason == SLO_REASON_SLO_FAILURE)
		m->stats.refused[kind]++;
	if (kind != GOAL_NONE)
		model_stats_promise(&m->stats, now, act->strategy, kind, PROMISE_REFUSED);
}

static void give_answer(struct agent *a, slo_nsec now, const struct sched_action *act)
{
	struct sched_model *model = act->request->model;
	struct agent_model *m = model ? model->owner : NULL; /* NULL: it left */
	struct answer answer = {
		.verdict = act->verdict,
		.reason = act->reason,
		.strategy = act->strategy,
		.backend = act->verdict == SLO_PASS || !m ? NULL : m->conf->backend,
		.status = http_status(act->verdict, act->reason),
		.wait_ms = act->waited / SLO_NSEC_PER_MSEC,
		.retry_after = retry_after(m, now, act),
	};

	if (act->seat) {
		answer.server = act->seat->server->name;
		note_dispatch(a, now, act->seat);
	}
	decisions_of(a, m)->requests[act->strategy][act->verdict][act->reason]++;
	if (m && (act->reason == SLO_REASON_NO_PROFILE || act->reason == SLO_REASON_NO_SLO))
		learned_missed_target(a, m);
	if (m && act->seat)
		pace_left(&m->pace, now);
	if (m)
		histogram_add(&m->stats.queue, (double)act->waited / 1e9, 1);
	if (m && act->verdict == SLO_REJECT)
		note_refused(m, now, act);
	if (SELDOM(a->conf->log_decisions && log_wants(a->log, LOG_INFO)))
		decision_log(a, act);
	if (decisions_on(&a->decisions))
		decisions_answered(a, now, act);
	if (log_wants(a->log, LOG_DEBUG))
		log_answer(a, act, &answer);
	a->deliver(act->user, &answer, now);
}

/* A timer that fires too early does no harm, so only an earlier wake-up sets it anew. */
static void set_wakeup(struct agent *a, slo_nsec now)
{
	slo_nsec at = sched_next_wakeup(a->sched);

	if (at >= a->wakeup_at)
		return;
	a->wakeup_at = at;
	ev_timer_stop(a->loop, &a->wakeup);
	ev_now_update(a->loop); /* libev counts from the last poll otherwise */
	ev_timer_set(&a->wakeup, at > now ? (double)(at - now) / 1e9 : 0., 0.);
	ev_timer_start(a->loop, &a->wakeup);
}

void agent_pump(struct agent *a, slo_nsec now)
{
	struct sched_action act;

	failing_relieve(a);
	while (sched_step(a->sched, now, &act))
		give_answer(a, now, &act);
	roster_leases_expired(a, sched_counts(a->sched).leases_expired);
	learned_watch(a, now);
	set_wakeup(a, now);
#ifdef SLO_CHECK
	if (a->pumps++ % PUMPS_PER_CHECK == 0)
		sched_check(a->sched);
#endif
}

void agent_give_back(struct agent *a)
{
	sched_give_back(a->sched);
}

void agent_drain(struct agent *a)
{
	a->draining = true;
}

void agent_let_go(struct agent *a, slo_nsec now)
{
	struct sched_action act;

	agent_pump(a, now);
	while (sched_let_go(a->sched, now, &act))
		give_answer(a, now, &act);
}

size_t agent_held(const struct agent *a)
{
	return sched_counts(a->sched).queued;
}
