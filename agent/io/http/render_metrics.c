/* Prometheus text format 0.0.4. Label values come from the configuration and from HAProxy's names
 * of servers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/base/clock.h"
#include "io/haproxy/haproxy_api.h"
#include "io/http/render.h"
#include "io/keep/recorder.h"
#include "render_private.h"

/* A label value: backslash, quote and newline are escaped. */
static void label(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=\"", name);
	for (const char *p = value; *p; p++) {
		if (*p == '\\' || *p == '"')
			fputc('\\', f);
		if (*p == '\n')
			fputs("\\n", f);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}

static void family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP slo_spoa_%s %s\n# TYPE slo_spoa_%s %s\n", name, help, name, type);
}

static void open_labels(FILE *f, const char *name, const char *model)
{
	fprintf(f, "slo_spoa_%s{", name);
	label(f, "model", model);
}

static void simple(FILE *f, const char *name, const char *type, const char *help, double value)
{
	family(f, name, type, help);
	fprintf(f, "slo_spoa_%s %.17g\n", name, value);
}

/* The buckets of one series. labels is what stands between the braces, "" for none. */
static void histogram(FILE *f, const char *name, const char *labels, const struct histogram *h)
{
	const char *comma = labels[0] ? "," : "";
	uint64_t running = 0;

	for (size_t i = 0; i < h->bounds->count; i++) {
		running += h->count[i];
		fprintf(f, "slo_spoa_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma,
		        h->bounds->bound[i], running);
	}
	fprintf(f, "slo_spoa_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
	        h->total);
	fprintf(f, "slo_spoa_%s_sum{%s} %.9g\n", name, labels, h->sum);
	fprintf(f, "slo_spoa_%s_count{%s} %" PRIu64 "\n", name, labels, h->total);
}

/* "model=..." and more, for histogram(); for free(), NULL without memory. */
static char *model_labels(const struct agent_model *m, const char *strategy, const char *verdict)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	label(f, "model", m->conf->name);
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
		histogram(f, name, labels, h);
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

static void per_server(FILE *f, const struct agent *a, const char *name,
                       double (*value)(const struct server *))
{
	for (size_t i = 0; i < a->model_count; i++) {
		const struct model *fleet = &a->models[i]->sched->fleet;

		for (size_t d = 0; d < fleet->deployments; d++)
			for (const struct seat *seat = fleet->deployment[d]->seats; seat;
			     seat = seat->next) {
				open_labels(f, name, a->models[i]->conf->name);
				fprintf(f, ",server=\"%s\"} %.9g\n", seat->server->name,
				        value(seat->server));
			}
	}
}

static double server_load(const struct server *s)
{
	return load_to_double(s->ledger.used);
}

static double server_inflight(const struct server *s)
{
	return s->ledger.inflight;
}

static double server_usable(const struct server *s)
{
	return s->usable;
}

static double server_drift(const struct server *s)
{
	return (double)s->view.drift;
}

static double server_surplus(const struct server *s)
{
	return s->surplus_count;
}

static void server_repairs(FILE *f, const char *model, const struct server *s)
{
	for (int r = 0; r < FLEET_REPAIRS; r++) {
		open_labels(f, "ledger_repairs_total", model);
		fprintf(f, ",server=\"%s\",cause=\"%s\"} %" PRIu64 "\n", s->name,
		        fleet_repair_name((enum fleet_repair)r), s->repairs[r]);
	}
}

static void repairs(FILE *f, const struct agent *a)
{
	family(f, "ledger_repairs_total", "counter",
	       "Requests charged or released without an end line.");
	for (size_t i = 0; i < a->model_count; i++) {
		const struct model *fleet = &a->models[i]->sched->fleet;

		for (size_t d = 0; d < fleet->deployments; d++)
			for (const struct seat *seat = fleet->deployment[d]->seats; seat;
			     seat = seat->next)
				server_repairs(f, a->models[i]->conf->name, seat->server);
	}
}

static void slo_totals(FILE *f, const struct agent_model *m)
{
	uint64_t met = 0, missed = 0;

	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int v = 0; v < SLO_VERDICTS; v++) {
			met += m->stats.outcome[s][v].met;
			missed += m->stats.outcome[s][v].missed;
		}
	open_labels(f, "slo_total", m->conf->name);
	fprintf(f, ",met=\"true\"} %" PRIu64 "\n", met);
	open_labels(f, "slo_total", m->conf->name);
	fprintf(f, ",met=\"false\"} %" PRIu64 "\n", missed);
}

static void token_latency(FILE *f, const struct agent_model *m)
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
				histogram(f, "token_latency_seconds", labels, h);
			free(labels);
		}
}

static void of_models(FILE *f, const struct agent *a)
{
	struct agent_model *const *m, *const *end = a->models + a->model_count;

	family(f, "requests_total", "counter", "Requests by what was decided.");
	for (m = a->models; m < end; m++)
		decisions(f, (*m)->conf->name, &(*m)->stats.decisions);
	decisions(f, "", &a->stats.no_model);
	family(f, "queue_length", "gauge", "Requests that wait for a server.");
	for (m = a->models; m < end; m++) {
		open_labels(f, "queue_length", (*m)->conf->name);
		fprintf(f, "} %zu\n", (*m)->sched->queue.length);
	}
	family(f, "queue_seconds", "histogram", "Time that requests were held.");
	for (m = a->models; m < end; m++)
		model_histogram(f, "queue_seconds", *m, &(*m)->stats.queue);
	family(f, "e2e_seconds", "histogram", "End-to-end latency of completed requests.");
	for (m = a->models; m < end; m++)
		model_histogram(f, "e2e_seconds", *m, &(*m)->stats.e2e);
	family(f, "ttft_seconds", "histogram", "Hold and time to the response headers.");
	for (m = a->models; m < end; m++)
		model_histogram(f, "ttft_seconds", *m, &(*m)->stats.ttft);
	family(f, "token_latency_seconds", "histogram",
	       "End-to-end latency over prompt and output tokens.");
	for (m = a->models; m < end; m++)
		token_latency(f, *m);
	family(f, "slo_total", "counter", "Completed requests by whether they met their target.");
	for (m = a->models; m < end; m++)
		slo_totals(f, *m);
	family(f, "prompt_factor", "gauge", "Learned correction of estimated prompt tokens.");
	for (m = a->models; m < end; m++) {
		open_labels(f, "prompt_factor", (*m)->conf->name);
		fprintf(f, "} %.6g\n", estimator_factor(&(*m)->sched->estimator));
	}
}

static void server_states(FILE *f, const struct agent *a)
{
	family(f, "server_state", "gauge", "1 for the state that HAProxy told.");
	for (size_t i = 0; i < a->model_count; i++) {
		const struct model *fleet = &a->models[i]->sched->fleet;

		for (size_t d = 0; d < fleet->deployments; d++)
			for (const struct seat *seat = fleet->deployment[d]->seats; seat;
			     seat = seat->next) {
				open_labels(f, "server_state", a->models[i]->conf->name);
				fprintf(f, ",server=\"%s\",state=\"%s\"} 1\n", seat->server->name,
				        roster_state_name(roster_server(seat->server)->state));
			}
	}
}

static double servers_leaving(const struct agent *a)
{
	double count = 0;

	for (const struct roster_server *s = a->roster.servers; s; s = s->hh.next)
		count += roster_is_leaving(s);
	return count;
}

static void of_servers(FILE *f, const struct agent *a)
{
	family(f, "server_load", "gauge", "Share of a server in use; 1 is full.");
	per_server(f, a, "server_load", server_load);
	family(f, "server_inflight", "gauge", "Requests on a server.");
	per_server(f, a, "server_inflight", server_inflight);
	family(f, "server_usable", "gauge", "Whether a server is considered.");
	per_server(f, a, "server_usable", server_usable);
	server_states(f, a);
	simple(f, "servers_leaving", "gauge", "Servers that left and still have requests.",
	       servers_leaving(a));
}

static void of_recorder(FILE *f, const struct recorder *r)
{
	struct recorder_counts counts;

	if (!recorder_is_on(r))
		return;
	counts = recorder_counts(r);
	simple(f, "recorder_records_total", "counter", "Records that were written.",
	       (double)counts.records);
	simple(f, "recorder_bytes_total", "counter", "Bytes of them.", (double)counts.bytes);
	simple(f, "recorder_lost_records_total", "counter", "Records that could not be written.",
	       (double)counts.lost);
	simple(f, "recorder_files_total", "counter", "Recordings that were begun.",
	       (double)counts.files);
}

static void of_process(FILE *f, const struct http_sources *sources)
{
	const struct agent *a = sources->agent;
	struct sched_counts counts = sched_counts(a->sched);

	family(f, "decision_seconds", "histogram",
	       "Time that a message took; those of one read share it.");
	histogram(f, "decision_seconds", "", &a->stats.decision);
	family(f, "loop_lag_seconds", "histogram",
	       "Time from a wake-up of the event loop until it polls again.");
	histogram(f, "loop_lag_seconds", "", &a->stats.lag);
	simple(f, "loop_lag_max_seconds", "gauge", "The longest of these since the start.",
	       (double)a->stats.longest_lag / 1e9);
	family(f, "end_lines_total", "counter", "Lines on the event listeners by outcome.");
	for (int i = 0; i < END_KINDS; i++)
		fprintf(f, "slo_spoa_end_lines_total{result=\"%s\"} %" PRIu64 "\n",
		        stats_end_kind((enum end_kind)i), a->stats.end_lines[i]);
	simple(f, "notices_total", "counter", "HAProxy's messages about servers.",
	       (double)a->stats.notices);
	simple(f, "notices_ignored_total", "counter",
	       "Messages about servers that HAProxy's runtime API contradicts.",
	       (double)a->stats.notices_ignored);
	simple(f, "spop_connections", "gauge", "Open SPOP connections.",
	       (double)a->stats.spop_connections);
	simple(f, "event_connections", "gauge", "Open connections of HAProxy rings.",
	       (double)a->stats.event_connections);
	family(f, "spop_frames_total", "counter", "SPOP frames by type and result.");
	for (int k = 0; k < FRAME_KINDS; k++)
		for (int r = 0; r < FRAME_RESULTS; r++)
			fprintf(f,
			        "slo_spoa_spop_frames_total{type=\"%s\",result=\"%s\"} %" PRIu64
			        "\n",
			        stats_frame_kind((enum frame_kind)k),
			        r == FRAME_OK ? "ok" : "error", a->stats.frames[k][r]);
	simple(f, "unknown_strategy_total", "counter", "Requests that name an unknown strategy.",
	       (double)a->stats.unknown_strategy);
	simple(f, "leases_expired_total", "counter", "Requests whose end line never came.",
	       (double)counts.leases_expired);
	simple(f, "requests_remembered", "gauge", "Ended requests that are still known.",
	       (double)counts.remembered);
	simple(f, "log_lines_lost_total", "counter", "Log lines that could not be written.",
	       (double)a->log->lost_total);
	render_redis_metrics(f, sources->redis);
	simple(f, "snapshots_written_total", "counter", "Snapshots that were written.",
	       (double)a->stats.snapshots);
	of_recorder(f, sources->recorder);
	simple(f, "config_last_reload_success", "gauge",
	       "Whether the configuration in force is that of the last SIGHUP.",
	       !a->stats.reload_failed);
	family(f, "build_info", "gauge", "The version.");
	fprintf(f, "slo_spoa_build_info{version=\"%s\"} 1\n", SLO_VERSION);
}

/* What HAProxy said of the servers, and what followed. */
static void of_ledger(FILE *f, const struct agent *a)
{
	family(f, "server_drift", "gauge", "What HAProxy counted more than the leases here.");
	per_server(f, a, "server_drift", server_drift);
	family(f, "server_surplus", "gauge", "Requests charged that were not placed here.");
	per_server(f, a, "server_surplus", server_surplus);
	repairs(f, a);
}

static void of_haproxy(FILE *f, const struct http_sources *sources, slo_nsec now)
{
	static const char *const names[] = { "haproxy_view_age_seconds", "haproxy_answers",
		                             "haproxy_failures_total" };
	static const char *const types[] = { "gauge", "gauge", "counter" };
	static const char *const help[] = { "Age of what an API said last, or of the agent.",
		                            "Whether an API answered in the last round.",
		                            "Questions that were not answered in full." };

	for (int n = 0; n < 3 && haproxy_api_count(sources->haproxy) > 0; n++) {
		family(f, names[n], types[n], help[n]);
		for (size_t i = 0; i < haproxy_api_count(sources->haproxy); i++) {
			struct haproxy_api_state s = haproxy_api_state(sources->haproxy, i, now);
			slo_nsec age = s.age < 0 ? now - sources->agent->stats.started : s.age;
			const double values[] = { (double)age / 1e9, s.answers,
				                  (double)s.failures };

			fprintf(f, "slo_spoa_%s{", names[n]);
			label(f, "api", s.name);
			fprintf(f, "} %.9g\n", values[n]);
		}
	}
}

char *render_metrics(const struct http_sources *s, size_t *len)
{
	const struct agent *a = s->agent;
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	of_models(f, a);
	of_servers(f, a);
	of_ledger(f, a);
	of_haproxy(f, s, clock_nsec());
	of_process(f, s);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
