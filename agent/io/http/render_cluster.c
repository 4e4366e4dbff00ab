/* What both texts tell of the other agents. */
#include <inttypes.h>

#include "render_private.h"

static void peers_metrics(FILE *f, const struct cluster *c)
{
	struct cluster_peer_status p;

	render_family(f, "cluster_peer_age_seconds", "gauge",
	              "Time since another agent was heard.");
	for (size_t i = 0; cluster_peer_status(c, i, &p); i++)
		if (p.age >= 0)
			fprintf(f, "slo_spoa_cluster_peer_age_seconds{peer=\"%s\"} %.6f\n", p.name,
			        (double)p.age / 1e9);
	render_family(f, "cluster_peer_leases", "gauge",
	              "Requests of another agent that are charged here.");
	for (size_t i = 0; cluster_peer_status(c, i, &p); i++)
		fprintf(f, "slo_spoa_cluster_peer_leases{peer=\"%s\"} %zu\n", p.name, p.leases);
	render_family(f, "cluster_peer_gaps_total", "counter",
	              "Times that news of another agent were missing.");
	for (size_t i = 0; cluster_peer_status(c, i, &p); i++)
		fprintf(f, "slo_spoa_cluster_peer_gaps_total{peer=\"%s\"} %" PRIu64 "\n", p.name,
		        p.gaps);
	render_family(f, "cluster_peer_resyncs_total", "counter",
	              "Times that the key of another agent was read.");
	for (size_t i = 0; cluster_peer_status(c, i, &p); i++)
		fprintf(f, "slo_spoa_cluster_peer_resyncs_total{peer=\"%s\"} %" PRIu64 "\n", p.name,
		        p.resyncs);
}

static void messages_metrics(FILE *f, const struct cluster_status *s)
{
	const struct {
		const char *what;
		uint64_t n;
	} rows[] = { { "told", s->told }, { "heard", s->heard }, { "malformed", s->malformed } };

	render_family(f, "cluster_messages_total", "counter", "Messages among the agents.");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(f, "slo_spoa_cluster_messages_total{what=\"%s\"} %" PRIu64 "\n",
		        rows[i].what, rows[i].n);
}

static void full_metrics(FILE *f, const struct cluster_status *s)
{
	render_family(f, "cluster_full_total", "counter",
	              "Requests of others, and names of agents, that found no place here.");
	fprintf(f, "slo_spoa_cluster_full_total{what=\"requests\"} %" PRIu64 "\n",
	        s->full_requests);
	fprintf(f, "slo_spoa_cluster_full_total{what=\"agents\"} %" PRIu64 "\n", s->full_agents);
}

void render_cluster_metrics(FILE *f, const struct cluster *c)
{
	struct cluster_status s = cluster_status(c);

	if (!s.configured)
		return;
	render_simple(f, "cluster_connected", "gauge", "Whether the cluster's Redis answers.",
	              s.connected);
	render_simple(f, "cluster_joined", "gauge", "Whether what others placed is known.",
	              s.joined);
	render_simple(f, "cluster_refused", "gauge",
	              "Whether another process has our name, so that nothing is told.", s.refused);
	render_simple(f, "cluster_connections_total", "counter",
	              "Connections to the cluster's Redis.", (double)s.connections);
	messages_metrics(f, &s);
	render_simple(f, "cluster_records_dropped_total", "counter",
	              "Placings and ends that our key told in place of a message.", (double)s.lost);
	render_simple(f, "cluster_rewrites_total", "counter",
	              "Times that our key was written anew.", (double)s.rewrites);
	render_simple(f, "cluster_unknown_total", "counter",
	              "Requests of others on servers that are not ours.", (double)s.unknown);
	full_metrics(f, &s);
	render_family(f, "cluster_delay_seconds", "histogram",
	              "From telling a message until Redis has handed it out.");
	render_histogram(f, "cluster_delay_seconds", "", s.delay);
	render_simple(f, "cluster_slice_max_seconds", "gauge",
	              "The longest work on messages in one turn of the loop.",
	              (double)s.longest / 1e9);
	peers_metrics(f, c);
}

static json_t *peers_state(const struct cluster *c)
{
	struct cluster_peer_status p;
	json_t *list = json_array();

	for (size_t i = 0; cluster_peer_status(c, i, &p); i++)
		if (!p.self || p.leases > 0)
			json_array_append_new(
			    list,
			    json_pack("{s:s, s:o, s:b, s:b, s:I, s:I, s:I}", "name", p.name,
			              "age_seconds",
			              p.age < 0 ? json_null() : json_real((double)p.age / 1e9),
			              "silent", p.silent, "visible", p.visible, "leases",
			              (json_int_t)p.leases, "gaps", (json_int_t)p.gaps, "resyncs",
			              (json_int_t)p.resyncs));
	return list;
}

json_t *render_cluster_state(const struct cluster *c)
{
	struct cluster_status s = cluster_status(c);
	json_t *state;

	if (!s.configured)
		return json_null();
	state =
	    json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:s*, s:I, s:I, s:I, s:I}", "name", s.name,
	              "group", s.group, "url", s.url, "connected", s.connected, "joined", s.joined,
	              "refused", s.refused, "error", s.error[0] ? s.error : NULL, "connections",
	              (json_int_t)s.connections, "told", (json_int_t)s.told, "heard",
	              (json_int_t)s.heard, "malformed", (json_int_t)s.malformed);
	json_object_set_new(state, "dropped", json_integer((json_int_t)s.lost));
	json_object_set_new(state, "rewrites", json_integer((json_int_t)s.rewrites));
	json_object_set_new(state, "unknown", json_integer((json_int_t)s.unknown));
	json_object_set_new(state, "delay_p50_seconds", json_real(histogram_quantile(s.delay, .5)));
	json_object_set_new(state, "delay_p99_seconds",
	                    json_real(histogram_quantile(s.delay, .99)));
	json_object_set_new(state, "peers", peers_state(c));
	return state;
}
