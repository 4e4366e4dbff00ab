/* /metrics: what is told of the process, not of a model or server. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/base/clock.h"
#include "io/base/trim.h"
#include "render_private.h"

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* As Prometheus' client libraries tell it. */
static void of_kernel(FILE *f, const struct stats *stats)
{
	struct rusage used;
	struct rlimit files;
	struct stat open_files;
	ptrdiff_t bytes = trim_resident();

	if (getrusage(RUSAGE_SELF, &used) == 0)
		render_simple(f, "process_cpu_seconds_total", "counter",
		              "CPU time of this process, user and system.",
		              seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime));
	if (bytes > 0)
		render_simple(f, "process_resident_memory_bytes", "gauge", "Resident memory.",
		              (double)bytes);
	/* Kept from the start: what is computed anew differs a little each time, and changes()
	 * would take it for a restart. */
	render_simple(f, "process_start_time_seconds", "gauge", "Unix time of this process' start.",
	              stats->started_unix);
	/* Linux 6.2 and later; to count them one by one takes too long with 20,000. */
	if (stat("/proc/self/fd", &open_files) == 0 && open_files.st_size > 0)
		render_simple(f, "process_open_fds", "gauge", "Open descriptors.",
		              (double)open_files.st_size);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		render_simple(f, "process_max_fds", "gauge", "Descriptors that it may open.",
		              (double)files.rlim_cur);
}

static void of_recorder(FILE *f, const struct recorder *r)
{
	struct recorder_counts counts;

	if (!recorder_is_on(r))
		return;
	counts = recorder_counts(r);
	render_simple(f, "recorder_records_total", "counter", "Records that were written.",
	              (double)counts.records);
	render_simple(f, "recorder_bytes_total", "counter", "Bytes of records that were written.",
	              (double)counts.bytes);
	render_simple(f, "recorder_lost_records_total", "counter",
	              "Records that could not be written.", (double)counts.lost);
	render_simple(f, "recorder_files_total", "counter", "Recordings that were begun.",
	              (double)counts.files);
}

static void of_haproxy(FILE *f, const struct http_sources *sources, slo_nsec now)
{
	static const char *const names[] = { "haproxy_view_age_seconds", "haproxy_answers",
		                             "haproxy_failures_total" };
	static const char *const types[] = { "gauge", "gauge", "counter" };
	static const char *const help[] = {
		"Time since the last question that an API answered, or since the start.",
		"Whether an API answered in the last round.",
		"Questions that were not answered in full."
	};

	for (int n = 0; n < 3 && haproxy_api_count(sources->haproxy) > 0; n++) {
		render_family(f, names[n], types[n], help[n]);
		for (size_t i = 0; i < haproxy_api_count(sources->haproxy); i++) {
			struct haproxy_api_state s = haproxy_api_state(sources->haproxy, i, now);
			slo_nsec age = s.age < 0 ? now - sources->agent->stats.started : s.age;
			const double values[] = { (double)age / 1e9, s.answers,
				                  (double)s.failures };

			fprintf(f, "slo_spoa_%s{", names[n]);
			render_label(f, "api", s.name);
			fprintf(f, "} %.9g\n", values[n]);
		}
	}
}

static void of_loop(FILE *f, const struct agent *a)
{
	render_family(f, "decision_seconds", "histogram",
	              "Time that a message took; those of one read share it.");
	render_histogram(f, "decision_seconds", "", &a->stats.decision);
	render_family(f, "loop_lag_seconds", "histogram",
	              "Time from a wake-up of the event loop until it polls again.");
	render_histogram(f, "loop_lag_seconds", "", &a->stats.lag);
	render_simple(f, "loop_lag_max_seconds", "gauge", "The longest loop lag since the start.",
	              (double)a->stats.longest_lag / 1e9);
}

static void of_peers(FILE *f, const struct agent *a)
{
	render_family(f, "end_lines_total", "counter", "Lines on the event listeners by outcome.");
	for (int i = 0; i < END_KINDS; i++)
		fprintf(f, "slo_spoa_end_lines_total{result=\"%s\"} %" PRIu64 "\n",
		        stats_end_kind((enum end_kind)i), a->stats.end_lines[i]);
	render_simple(f, "notices_total", "counter", "HAProxy's messages about servers.",
	              (double)a->stats.notices);
	render_simple(f, "notices_ignored_total", "counter",
	              "Messages about servers that HAProxy's runtime API contradicts.",
	              (double)a->stats.notices_ignored);
	render_family(f, "unauthorized_total", "counter",
	              "Lines and requests without the secret of their listener.");
	fprintf(f,
	        "slo_spoa_unauthorized_total{listener=\"events\"} %" PRIu64 "\n"
	        "slo_spoa_unauthorized_total{listener=\"spop\"} %" PRIu64 "\n",
	        a->stats.unauthorized_lines, a->stats.unauthorized_requests);
	render_simple(f, "spop_connections", "gauge", "Open SPOP connections.",
	              (double)a->stats.spop_connections);
	render_simple(f, "event_connections", "gauge", "Open connections of HAProxy rings.",
	              (double)a->stats.event_connections);
	render_family(f, "spop_frames_total", "counter", "SPOP frames by type and result.");
	for (int k = 0; k < FRAME_KINDS; k++)
		for (int r = 0; r < FRAME_RESULTS; r++)
			fprintf(f,
			        "slo_spoa_spop_frames_total{type=\"%s\",result=\"%s\"} %" PRIu64
			        "\n",
			        stats_frame_kind((enum frame_kind)k),
			        r == FRAME_OK ? "ok" : "error", a->stats.frames[k][r]);
}

static void of_questions(FILE *f, const struct agent *a)
{
	render_simple(f, "unknown_strategy_total", "counter",
	              "Requests that name an unknown strategy.", (double)a->stats.unknown_strategy);
	render_simple(f, "bad_arguments_total", "counter",
	              "Headers of clients that must be numbers and are none.",
	              (double)a->stats.bad_arguments);
	render_family(f, "bodies_total", "counter", "Request bodies by what they were.");
	for (int i = 0; i < BODY_FORMS; i++)
		fprintf(f, "slo_spoa_bodies_total{form=\"%s\"} %" PRIu64 "\n",
		        body_form_name((enum body_form)i), a->stats.bodies[i]);
	render_family(f, "client_limits_total", "counter",
	              "Requests whose client asked for more than the model's limits allow.");
	fprintf(f,
	        "slo_spoa_client_limits_total{what=\"strategy\"} %" PRIu64 "\n"
	        "slo_spoa_client_limits_total{what=\"target\"} %" PRIu64 "\n"
	        "slo_spoa_client_limits_total{what=\"priority\"} %" PRIu64 "\n",
	        a->stats.limited_strategies, a->stats.limited_targets, a->stats.limited_priorities);
}

void render_process_metrics(struct page *p)
{
	const struct agent *a = p->agent;
	struct sched_counts counts = sched_counts(a->sched);
	FILE *f = p->f;

	of_haproxy(f, p->sources, clock_nsec());
	of_loop(f, a);
	of_peers(f, a);
	of_questions(f, a);
	render_warnings_metrics(f, &a->warnings);
	render_simple(f, "leases_expired_total", "counter", "Requests whose end line never came.",
	              (double)counts.leases_expired);
	render_simple(f, "requests_remembered", "gauge", "Ended requests that are still known.",
	              (double)counts.remembered);
	render_simple(f, "log_lines_lost_total", "counter", "Log lines that could not be written.",
	              (double)a->log->lost_total);
	render_redis_metrics(f, p->sources->redis);
	render_cluster_metrics(f, p->sources->cluster);
	render_simple(f, "snapshots_written_total", "counter", "Snapshots that were written.",
	              (double)a->stats.snapshots);
	of_recorder(f, p->sources->recorder);
	render_simple(f, "config_last_reload_success", "gauge",
	              "Whether the configuration in force is that of the last SIGHUP.",
	              !a->stats.reload_failed);
	of_kernel(f, &a->stats);
	render_family(f, "build_info", "gauge", "The version.");
	fprintf(f, "slo_spoa_build_info{version=\"%s\"} 1\n", SLO_VERSION);
}
