#include "io/http/decision_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "io/agent/explain.h"

/* The query */

void decision_query_init(struct decision_query *q)
{
	memset(q, 0, sizeof(*q));
	q->reason = q->state = -1;
	q->limit = DECISION_LIMIT;
}

static bool take_text(const char *value, char *out, size_t cap, const char **why)
{
	size_t len = strlen(value);

	*why = "is too long";
	if (len >= cap)
		return false;
	memcpy(out, value, len + 1);
	return true;
}

static bool take_reason(const char *value, int *out, const char **why)
{
	*why = "must be a reason, as slo-spoa(8) lists them";
	for (int r = 1; r < SLO_REASONS; r++)
		if (strcmp(value, sched_reason_name((enum slo_reason)r)) == 0)
			*out = r;
	return *out >= 0;
}

static bool take_state(const char *value, int *out, const char **why)
{
	*why = "must be waits, runs, ended, refused, passed or left";
	for (int s = 0; s < DECISION_STATES; s++)
		if (strcmp(value, decision_state_name((enum decision_state)s)) == 0)
			*out = s;
	return *out >= 0;
}

static bool take_limit(const char *value, size_t *out, const char **why)
{
	uint64_t n;

	*why = "must be 1 to 1000";
	if (!slice_decimal(slice_of(value), DECISION_LIMIT_MAX, &n) || n == 0)
		return false;
	*out = (size_t)n;
	return true;
}

bool decision_query_set(struct decision_query *q, const char *name, const char *value,
                        const char **why)
{
	if (strcmp(name, "id") == 0)
		return take_text(value, q->id, sizeof(q->id), why);
	if (strcmp(name, "server") == 0)
		return take_text(value, q->server, sizeof(q->server), why);
	if (strcmp(name, "model") == 0)
		return take_text(value, q->model, sizeof(q->model), why);
	if (strcmp(name, "reason") == 0)
		return take_reason(value, &q->reason, why);
	if (strcmp(name, "state") == 0)
		return take_state(value, &q->state, why);
	if (strcmp(name, "limit") == 0)
		return take_limit(value, &q->limit, why);
	*why = "is not id=, server=, model=, reason=, state= or limit=";
	return false;
}

bool decision_query_same(const struct decision_query *a, const struct decision_query *b)
{
	return a->reason == b->reason && a->state == b->state && a->limit == b->limit &&
	       a->detailed == b->detailed && strcmp(a->id, b->id) == 0 &&
	       strcmp(a->server, b->server) == 0 && strcmp(a->model, b->model) == 0;
}

static bool is_server(const struct decision_query *q, const struct label *l)
{
	return l && (strcmp(q->server, explain_server(l)) == 0 || strcmp(q->server, l->name) == 0);
}

bool decision_query_matches(const struct decision_query *q, const struct decision *d)
{
	if (q->reason >= 0 && d->reason != q->reason)
		return false;
	if (q->state >= 0 && d->state != q->state)
		return false;
	if (q->server[0] && !is_server(q, d->server) && !is_server(q, d->by))
		return false;
	return !q->model[0] || strcmp(q->model, explain_name(d->model)) == 0;
}

/* JSON */

/* Bytes from outside. */
static json_t *clean_text(const char *p, size_t len)
{
	char out[SLO_ID_MAX + 1];

	clean_copy(out, sizeof(out), (struct slice){ (const uint8_t *)p, len });
	return json_string(out);
}

static json_t *tokens(int32_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static json_t *milliseconds(int32_t ms)
{
	return ms < 0 ? json_null() : json_real(ms / 1e3);
}

/* Six digits: a record holds no more. */
static json_t *number(double x)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6g", x);
	return json_real(strtod(text, NULL));
}

static json_t *seconds(double s)
{
	return s < 0 ? json_null() : number(s);
}

/* null: not known. */
static json_t *slack(double s)
{
	return isnan(s) ? json_null() : number(s);
}

static double share(uint32_t load)
{
	return (double)load / DECISION_LOAD_ONE;
}

static json_t *options_json(const struct decision *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->options; i++) {
		const struct decision_option *o = &d->option[i];
		enum why_mark mark = decision_mark(d, i);

		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "deployment",
		                    explain_name(o->deployment), "result", why_mark_name(mark),
		                    "slack_seconds", slack(explain_slack(d, i)), "load",
		                    number(share(o->load)), "expected_seconds",
		                    seconds(explain_expected(d, i)), "emptiest_load",
		                    mark == WHY_FULL ? number(share(o->used)) : json_null()));
	}
	return list;
}

/* null: it has none. */
static json_t *target_json(const struct decision *d)
{
	if (d->goal == GOAL_NONE)
		return json_null();
	return json_pack("{s:s, s:o, s:b}", "kind", goal_name((enum goal_kind)d->goal), "seconds",
	                 number(explain_target(d)), "own", d->own_target);
}

static json_t *missed_json(const struct decision *d)
{
	json_t *list = json_array();

	for (int k = 0; k < GOAL_KINDS; k++)
		if (d->missed >> k & 1)
			json_array_append_new(
			    list,
			    json_string(k == GOAL_NONE ? "failure" : goal_name((enum goal_kind)k)));
	return list;
}

/* null: no end line came. */
static json_t *end_json(const struct decision *d, double at)
{
	bool served = d->state == DECISION_ENDED;

	if (!d->ended)
		return json_null();
	return json_pack("{s:f, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "time", at,
	                 "server", explain_server(d->by), "status", d->status, "termination",
	                 clean_text(d->ts, sizeof(d->ts)), "e2e_seconds", milliseconds(d->e2e_ms),
	                 "ttft_seconds", milliseconds(d->ttft_ms), "prompt_tokens",
	                 tokens(d->real_input), "output_tokens", tokens(d->real_output), "outcome",
	                 served ? lesson_outcome_name((enum lesson_outcome)d->outcome) : "", "met",
	                 d->judged ? json_boolean(d->missed == 0) : json_null(), "missed",
	                 missed_json(d));
}

static json_t *before_json(const struct agent *a, const struct decision *d)
{
	struct explain_before before;
	json_t *ids = json_array();

	explain_before(a, d, &before);
	for (size_t i = 0; i < before.count && i < EXPLAIN_BEFORE; i++)
		json_array_append_new(ids,
		                      clean_text(before.first[i]->id, before.first[i]->id_len));
	return json_pack("{s:I, s:b, s:o}", "count", (json_int_t)before.count, "more", before.more,
	                 "last", ids);
}

/* Members that the other objects of a decision hold. */
static void add_objects(json_t *o, struct agent *a, const struct decision *d, double ended)
{
	char why[EXPLAIN_MAX], trace[DECISION_TRACE_LEN + 1];

	explain_why(a, d, why);
	explain_trace(d, trace);
	json_object_set_new(o, "why", clean_text(why, strlen(why)));
	json_object_set_new(o, "trace", json_string(trace));
	json_object_set_new(o, "target", target_json(d));
	json_object_set_new(o, "options", options_json(d));
	json_object_set_new(o, "end", end_json(d, ended));
}

json_t *decision_json(struct agent *a, const struct decision *d, slo_nsec now, double unix_now,
                      bool detailed)
{
	double arrived = unix_now - (double)(now - d->arrived) / 1e9;
	double ended = unix_now - (double)(now - d->ended) / 1e9;
	bool placed = d->server != NULL;
	json_t *o = json_pack(
	    "{s:I, s:o, s:f, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:o, s:o, s:b}", "number",
	    (json_int_t)d->number, "id", clean_text(d->id, d->id_len), "time", arrived, "model",
	    explain_name(d->model), "state",
	    decision_is_lost(a, d) ? "lost" : decision_state_name((enum decision_state)d->state),
	    "verdict",
	    d->state == DECISION_WAITS ? "" : sched_verdict_name((enum slo_verdict)d->verdict),
	    "reason", sched_reason_name((enum slo_reason)d->reason), "strategy",
	    policy_strategy_name((enum slo_strategy)d->strategy), "strategy_asked",
	    policy_strategy_name((enum slo_strategy)d->asked), "wait_seconds",
	    (double)(d->answered - d->arrived) / 1e9, "prompt_tokens", tokens(d->input),
	    "output_tokens", tokens(d->output), "stream", d->stream);

	if (!o)
		return NULL;
	json_object_set_new(o, "asked_model", clean_text(d->asked_name, d->asked_len));
	json_object_set_new(o, "priority", json_integer(d->priority));
	json_object_set_new(o, "queued_behind", json_integer(d->behind));
	json_object_set_new(o, "server", json_string(explain_server(d->server)));
	json_object_set_new(o, "load", placed ? number(share(d->load)) : json_null());
	json_object_set_new(o, "server_load", placed ? number(share(d->used)) : json_null());
	json_object_set_new(o, "server_inflight", placed ? json_integer(d->inflight) : json_null());
	add_objects(o, a, d, ended);
	if (detailed)
		json_object_set_new(o, "before", before_json(a, d));
	return o;
}
