/* /metrics: Prometheus text format 0.0.4, with what is told of models, deployments and servers;
 * render_process.c has the rest. Label values come from the configuration and from names
 * of HAProxy's that passed the same rule. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "render_private.h"

static void open_labels(FILE *f, const char *name, const char *model)
{
	fprintf(f, "slo_spoa_%s{", name);
	render_label(f, "model", model);
}

/* The buckets of one series. labels is what stands between the braces, "" for none. A whole bound
 * is written as 1.0, as Prometheus 3 stores it: rules that ask for le="1.0" find it in any version.
 */
void render_histogram(FILE *f, const char *name, const char *labels, const struct histogram *h)
{
	const char *comma = labels[0] ? "," : "";
	uint64_t running = 0;

	for (size_t i = 0; i < h->bounds->count; i++) {
		char bound[32];

		running += h->count[i];
		snprintf(bound, sizeof(bound), "%g", h->bounds->bound[i]);
		fprintf(f, "slo_spoa_%s_bucket{%s%sle=\"%s%s\"} %" PRIu64 "\n", name, labels, comma,
		        bound, strpbrk(bound, ".e") ? "" : ".0", running);
	}
	fprintf(f, "slo_spoa_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
	        h->total);
	fprintf(f, "slo_spoa_%s_sum{%s} %.9g\n", name, labels, h->sum);
	fprintf(f, "slo_spoa_%s_count{%s} %" PRIu64 "\n", name, labels, h->total);
}

/* Of models */

/* "model=..." and more, for render_histogram(); for free(), NULL without memory. */
static char *model_labels(const struct agent_model *m, const char *strategy, const char *verdict)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	render_label(f, "model", m->conf->name);
	if (strategy)
		fprintf(f, ",strategy=\"%s\",verdict=\"%s\"", strategy, verdict);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void model_histogram(FILE *f, const char *name, const struct agent_model *m,
                            const struct histogram *h)
{
	char *labels = model_labels(m, NULL, NULL);

	if (labels)
		render_histogram(f, name, labels, h);
	free(labels);
}

static void decisions(FILE *f, const char *model, const struct decision_stats *d)
{
	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++)
			for (int r = 0; r < SLO_REASONS; r++) {
				if (d->requests[s][v][r] == 0)
					continue;
				open_labels(f, "requests_total", model);
				fprintf(
				    f,
				    ",strategy=\"%s\",verdict=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
				    policy_strategy_name((enum slo_strategy)s),
				    sched_verdict_name((enum slo_verdict)v),
				    sched_reason_name((enum slo_reason)r), d->requests[s][v][r]);
			}
}

static void requests_of_no_model(struct page *p)
{
	decisions(p->f, "", &p->agent->stats.no_model);
}

static void requests(struct page *p, const struct agent_model *m)
{
	decisions(p->f, m->conf->name, &m->stats.decisions);
}

static void queue_length(struct page *p, const struct agent_model *m)
{
	open_labels(p->f, "queue_length", m->conf->name);
	fprintf(p->f, "} %zu\n", m->sched->queue.length);
}

static void queue_seconds(struct page *p, const struct agent_model *m)
{
	model_histogram(p->f, "queue_seconds", m, &m->stats.queue);
}

static void e2e_seconds(struct page *p, const struct agent_model *m)
{
	model_histogram(p->f, "e2e_seconds", m, &m->stats.e2e);
}

static void ttft_seconds(struct page *p, const struct agent_model *m)
{
	model_histogram(p->f, "ttft_seconds", m, &m->stats.ttft);
}

static void token_latency(struct page *p, const struct agent_model *m)
{
	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++) {
			const struct histogram *h = &m->stats.outcome[s][v].per_token;
			char *labels;

			if (h->total == 0)
				continue;
			labels = model_labels(m, policy_strategy_name((enum slo_strategy)s),
			                      sched_verdict_name((enum slo_verdict)v));
			if (labels)
				render_histogram(p->f, "token_latency_seconds", labels, h);
			free(labels);
		}
}

static void slo_total(struct page *p, const struct agent_model *m)
{
	uint64_t met = 0, missed = 0;

	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++) {
			met += m->stats.outcome[s][v].met;
			missed += m->stats.outcome[s][v].missed;
		}
	open_labels(p->f, "slo_total", m->conf->name);
	fprintf(p->f, ",met=\"true\"} %" PRIu64 "\n", met);
	open_labels(p->f, "slo_total", m->conf->name);
	fprintf(p->f, ",met=\"false\"} %" PRIu64 "\n", missed);
}

/* A request that misses several targets counts for each. */
static void missed(struct page *p, const struct agent_model *m)
{
	for (int k = 0; k < GOAL_KINDS; k++) {
		open_labels(p->f, "missed_total", m->conf->name);
		fprintf(p->f, ",target=\"%s\"} %" PRIu64 "\n",
		        k == GOAL_NONE ? "failure" : goal_name((enum goal_kind)k),
		        m->stats.missed[k]);
	}
}

static void refused(struct page *p, const struct agent_model *m)
{
	for (int k = GOAL_NONE + 1; k < GOAL_KINDS; k++) {
		open_labels(p->f, "refused_total", m->conf->name);
		fprintf(p->f, ",target=\"%s\"} %" PRIu64 "\n", goal_name((enum goal_kind)k),
		        m->stats.refused[k]);
	}
}

static void ends_total(struct page *p, const struct agent_model *m)
{
	for (int o = 0; o < LESSON_OUTCOME_COUNT; o++) {
		open_labels(p->f, "ends_total", m->conf->name);
		fprintf(p->f, ",outcome=\"%s\"} %" PRIu64 "\n",
		        lesson_outcome_name((enum lesson_outcome)o), m->stats.ends[o]);
	}
}

static void prompt_factor(struct page *p, const struct agent_model *m)
{
	open_labels(p->f, "prompt_factor", m->conf->name);
	fprintf(p->f, "} %.6g\n", estimator_factor(&m->sched->estimator));
}

/* Of deployments */

static void of_deployment(struct page *p, const char *name, const struct agent_model *m,
                          const struct deployment *d, const char *more, double value)
{
	open_labels(p->f, name, m->conf->name);
	fputc(',', p->f);
	render_label(p->f, "deployment", d->name);
	fprintf(p->f, "%s} %.9g\n", more, value);
}

static void learned_ends(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		if (!d->learner)
			continue;
		of_deployment(p, "learned_ends_total", m, d, ",taught=\"true\"",
		              (double)d->learner->ends);
		of_deployment(p, "learned_ends_total", m, d, ",taught=\"false\"",
		              (double)d->learner->passed);
	}
}

/* Each state has its series, which stays. */
static void learned_state(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		for (int s = LATENCY_COLD; d->learner && s <= LATENCY_HOT; s++) {
			char more[32];

			snprintf(more, sizeof(more), ",state=\"%s\"",
			         latency_state_name((enum latency_state)s));
			of_deployment(p, "learned_state", m, d, more,
			              d->force.state == (enum latency_state)s);
		}
	}
}

static void learned_error(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		if (!d->learner)
			continue;
		of_deployment(p, "learned_error_ratio", m, d, ",percentile=\"50\"",
		              latency_errors_median(&d->learner->errors));
		of_deployment(p, "learned_error_ratio", m, d, ",percentile=\"99\"",
		              latency_errors_quantile(&d->learner->errors, 0.99) - 1);
	}
}

static void learned_seconds(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		if (!d->learner)
			continue;
		of_deployment(p, "learned_seconds", m, d, ",of=\"step\"", d->force.rates.step);
		of_deployment(p, "learned_seconds", m, d, ",of=\"prompt_token\"",
		              d->force.rates.prompt);
		of_deployment(p, "learned_seconds", m, d, ",of=\"cached_token\"",
		              d->force.rates.cached);
	}
}

static void learned_headroom(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		if (d->learner)
			of_deployment(p, "learned_headroom", m, d, "", d->force.rates.headroom);
	}
}

static void planned_headroom(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		of_deployment(p, "planned_headroom", m, d, "", d->planned.headroom);
	}
}

static void guard_share(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		of_deployment(p, "guard_share", m, d, "", d->guard.share);
	}
}

/* Of servers */

static void of_server(struct page *p, const char *name, const struct agent_model *m,
                      const struct seat *seat, double value)
{
	open_labels(p->f, name, m->conf->name);
	fprintf(p->f, ",server=\"%s\"} %.9g\n", seat->server->name, value);
}

static void server_load(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_load", m, seat, load_to_double(fleet_load(seat->server)));
}

static void server_slower(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_slower", m, seat, seat->slower);
}

static void server_inflight(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_inflight", m, seat, seat->server->ledger.inflight);
}

static void server_foreign(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_foreign", m, seat, seat->server->foreign);
}

static void server_overshoots(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_overshoots_total", m, seat, (double)seat->server->overshoots);
}

static void server_usable(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_usable", m, seat, seat->server->usable);
}

static void server_drift(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_drift", m, seat, (double)seat->server->view.drift);
}

static void server_surplus(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_surplus", m, seat, seat->server->surplus_count);
}

/* Each state has its series, which stays: an alert on one that vanishes never ends. */
static void server_state(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	enum slo_server_state state = roster_server(seat->server)->state;

	for (int i = 0; i < SLO_SERVER_STATES; i++) {
		open_labels(p->f, "server_state", m->conf->name);
		fprintf(p->f, ",server=\"%s\",state=\"%s\"} %d\n", seat->server->name,
		        roster_state_name((enum slo_server_state)i),
		        (enum slo_server_state)i == state);
	}
}

/* The others have the labels that tools rely on; these are joined from here. */
static void server_info(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	open_labels(p->f, "server_info", m->conf->name);
	fprintf(p->f, ",server=\"%s\",backend=\"%s\",", seat->server->name, m->conf->backend);
	render_label(p->f, "deployment", seat->deployment->name);
	fputs("} 1\n", p->f);
}

static void responses(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	const struct served *s = roster_served(roster_server(seat->server), m);

	for (int r = 0; r < RESPONSES; r++) {
		open_labels(p->f, "responses_total", m->conf->name);
		fprintf(p->f, ",server=\"%s\",", seat->server->name);
		render_label(p->f, "deployment", seat->deployment->name);
		fprintf(p->f, ",class=\"%s\"} %" PRIu64 "\n", stats_response((enum response)r),
		        s->responses[r]);
	}
}

static void elsewhere(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	const struct served *s = roster_served(roster_server(seat->server), m);

	for (int e = 0; e < ELSEWHERES; e++) {
		open_labels(p->f, "elsewhere_total", m->conf->name);
		fprintf(p->f, ",server=\"%s\",cause=\"%s\"} %" PRIu64 "\n", seat->server->name,
		        stats_elsewhere((enum elsewhere)e), s->elsewhere[e]);
	}
}

static void set_aside(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	of_server(p, "server_set_aside_total", m, seat,
	          (double)roster_server(seat->server)->failing.times);
}

static void ledger_repairs(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	for (int r = 0; r < FLEET_REPAIRS; r++) {
		open_labels(p->f, "ledger_repairs_total", m->conf->name);
		fprintf(p->f, ",server=\"%s\",cause=\"%s\"} %" PRIu64 "\n", seat->server->name,
		        fleet_repair_name((enum fleet_repair)r), seat->server->repairs[r]);
	}
}

static void servers_leaving(struct page *p)
{
	double count = 0;

	for (const struct roster_server *s = p->agent->roster.servers; s; s = s->hh.next)
		count += roster_is_leaving(s);
	render_simple(p->f, "servers_leaving", "gauge",
	              "Servers that left and still have requests.", count);
}

const struct render_part render_metrics_parts[] = {
	{ "requests_total", "counter", "Requests by what was decided.", requests_of_no_model,
	  .model = requests },
	{ "queue_length", "gauge", "Requests that wait for a server.", .model = queue_length },
	{ "queue_seconds", "histogram", "Time that requests were held.", .model = queue_seconds },
	{ "e2e_seconds", "histogram", "End-to-end latency of completed requests.",
	  .model = e2e_seconds },
	{ "ttft_seconds", "histogram", "From the arrival to the first byte of a stream's body.",
	  .model = ttft_seconds },
	{ "token_latency_seconds", "histogram", "End-to-end latency over prompt and output tokens.",
	  .model = token_latency },
	{ "slo_total", "counter", "Ended requests with targets by whether they met all.",
	  .model = slo_total },
	{ "missed_total", "counter",
	  "Missed targets of completed requests, and requests with a target that a server failed.",
	  .model = missed },
	{ "promises_total", "counter", "Requests with a target by class and what became of them.",
	  .model = render_promises },
	{ "promise_objective_ratio", "gauge",
	  "Share of the requests that are to keep their promise.", .model = render_objective },
	{ "profile_overruled", "gauge",
	  "Whether what was learned replaces a profile that is wrong.", .model = render_overruled },
	{ "refused_total", "counter", "Refusals with slo-failure by the target that decided.",
	  .model = refused },
	{ "ends_total", "counter", "Requests that were on a server, by how they ended.",
	  .model = ends_total },
	{ "prompt_factor", "gauge", "Learned correction of estimated prompt tokens.",
	  .model = prompt_factor },
	{ "learned_ends_total", "counter", "Ends of requests by whether they taught a latency.",
	  .model = learned_ends },
	{ "learned_state", "gauge", "1 for the state of what was learned, 0 for the others.",
	  .model = learned_state },
	{ "learned_error_ratio", "gauge", "How far predicted times are off, by percentile.",
	  .model = learned_error },
	{ "learned_seconds", "gauge", "Learned time of a step, a prompt token, a cached token.",
	  .model = learned_seconds },
	{ "learned_headroom", "gauge", "Share of a target that is planned with.",
	  .model = learned_headroom },
	{ "planned_headroom", "gauge",
	  "Share of a target that slo-adaptive plans with: the headroom, less what the guard "
	  "takes.",
	  .model = planned_headroom },
	{ "guard_share", "gauge",
	  "Of the headroom, what the guard leaves; below 1 while what was foreseen in time misses.",
	  .model = guard_share },
	{ "server_slower", "gauge",
	  "How many times more a request weighs here than on others of its deployment.",
	  .seat = server_slower },
	{ "server_load", "gauge", "Share of a server in use; 1 is full.", .seat = server_load },
	{ "server_inflight", "gauge", "Requests on a server.", .seat = server_inflight },
	{ "server_foreign", "gauge", "Requests on a server that other agents placed.",
	  .seat = server_foreign },
	{ "server_overshoots_total", "counter",
	  "Requests of other agents that came when the server had no room any more.",
	  .seat = server_overshoots },
	{ "server_usable", "gauge", "Whether a server is considered.", .seat = server_usable },
	{ "server_state", "gauge", "1 for the state that HAProxy told, 0 for the others.",
	  .seat = server_state },
	{ "server_info", "gauge", "Where a server belongs.", .seat = server_info },
	{ .once = servers_leaving },
	{ "responses_total", "counter", "Requests by the server that answered and how.",
	  .seat = responses },
	{ "server_promises_total", "counter",
	  "Requests with a target that a server answered or failed.",
	  .seat = render_server_promises },
	{ "elsewhere_total", "counter",
	  "Requests for which this server was chosen and another one answered.",
	  .seat = elsewhere },
	{ "server_set_aside_total", "counter", "How often a server was set aside for failing.",
	  .seat = set_aside },
	{ "server_drift", "gauge",
	  "Requests that HAProxy counts on a server and no lease explains.", .seat = server_drift },
	{ "server_surplus", "gauge", "Requests charged that were not placed here.",
	  .seat = server_surplus },
	{ "ledger_repairs_total", "counter", "Requests charged or released without an end line.",
	  .seat = ledger_repairs },
	{ "engine_requests", "gauge", "Requests in an engine, as it says.",
	  .seat = render_engine_requests },
	{ "engine_kv_used_ratio", "gauge", "Share of an engine's KV cache in use, as it says.",
	  .seat = render_engine_kv_used },
	{ "engine_kv_tokens", "gauge", "Tokens that an engine's KV cache holds, as it says.",
	  .seat = render_engine_kv_tokens },
	{ "server_withheld", "gauge",
	  "Share of a server that is not used, since requests waited inside its engine.",
	  .seat = render_engine_withheld },
	{ "engine_age_seconds", "gauge", "Time since the last question that an engine answered.",
	  .seat = render_engine_age },
	{ "engine_pages_total", "counter", "Pages of metrics that engines were asked for.",
	  .seat = render_engine_pages },
	{ .once = render_process_metrics },
	{ .name = NULL },
};
