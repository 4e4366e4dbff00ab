/* What both texts tell of Redis. */
#include <inttypes.h>

#include "render_private.h"

static bool status_of(const struct redis_client *c, struct redis_status *s)
{
	redis_client_status(c, s);
	return s->url[0] != '\0';
}

void render_redis_metrics(FILE *f, const struct redis_client *c)
{
	struct redis_status s;

	if (!status_of(c, &s))
		return;
	render_simple(f, "redis_connected", "gauge", "Whether Redis answers.", s.connected);
	render_simple(f, "redis_connections_total", "counter", "Connections that Redis accepted.",
	              (double)s.connections);
	render_simple(f, "redis_scans_total", "counter", "Complete scans for profiles.",
	              (double)s.scans);
	if (s.success_age >= 0)
		render_simple(f, "redis_success_age_seconds", "gauge",
		              "Time since the last complete scan.", s.success_age);
	render_family(f, "redis_keys", "gauge", "Keys of profiles in the last scan.");
	fprintf(f,
	        "slo_spoa_redis_keys{kind=\"ours\"} %zu\n"
	        "slo_spoa_redis_keys{kind=\"in_force\"} %zu\n"
	        "slo_spoa_redis_keys{kind=\"refused\"} %zu\n"
	        "slo_spoa_redis_keys{kind=\"unknown\"} %zu\n",
	        s.found.keys, s.found.in_force, s.found.refused, s.found.unknown);
	render_simple(f, "redis_slice_max_seconds", "gauge",
	              "The longest work on replies in one turn of the loop.",
	              (double)s.longest / 1e9);
	render_family(f, "redis_traces_total", "counter", "Request traces by result.");
	fprintf(f,
	        "slo_spoa_redis_traces_total{result=\"written\"} %" PRIu64 "\n"
	        "slo_spoa_redis_traces_total{result=\"lost\"} %" PRIu64 "\n",
	        s.traces, s.trace_errors);
}

json_t *render_redis_state(const struct redis_client *c)
{
	struct redis_status s;

	if (!status_of(c, &s))
		return json_null();
	return json_pack(
	    "{s:s, s:b, s:s*, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "url", s.url,
	    "connected", s.connected, "error", s.error[0] ? s.error : NULL, "success_age_seconds",
	    s.success_age < 0 ? json_null() : json_real(s.success_age), "scans",
	    (json_int_t)s.scans, "connections", (json_int_t)s.connections, "keys",
	    (json_int_t)s.found.keys, "keys_in_force", (json_int_t)s.found.in_force, "keys_refused",
	    (json_int_t)s.found.refused, "keys_unknown", (json_int_t)s.found.unknown, "traces",
	    (json_int_t)s.traces, "traces_lost", (json_int_t)s.trace_errors);
}
