/* What is shown of the process and its neighbours. */
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ctl_show_private.h"
#include "io/base/clock.h"

/* show info */

static uint64_t decided(const struct agent *a, enum slo_verdict v)
{
	uint64_t n = 0;

	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int r = 0; r < SLO_REASONS; r++) {
			n += a->stats.no_model.requests[s][v][r];
			for (size_t m = 0; m < a->model_count; m++)
				n += a->models[m]->stats.decisions.requests[s][v][r];
		}
	return n;
}

static void info(struct page *p)
{
	const struct agent *a = p->agent;
	struct sched_counts counts = sched_counts(a->sched);
	struct table *t = ctl_table(p);

	ctl_open_list(p);
	table_str(t, "Name", 0, "slo-spoa");
	table_str(t, "Version", 0, SLO_VERSION);
	table_int(t, "Pid", 0, getpid());
	table_int(t, "Uptime_sec", 0, (clock_nsec() - a->stats.started) / SLO_NSEC_PER_SEC);
	table_bool(t, "Draining", 0, a->draining);
	table_int(t, "Models", 0, (int64_t)a->model_count);
	table_int(t, "Waiting", 0, (int64_t)counts.queued);
	table_int(t, "Running", 0, (int64_t)counts.dispatched);
	for (int v = 0; v < SLO_VERDICTS; v++) {
		static const char *const names[SLO_VERDICTS] = { "Routed", "Fallbacks", "Rejected",
			                                         "Passed" };

		table_int(t, names[v], 0, (int64_t)decided(a, (enum slo_verdict)v));
	}
	table_int(t, "Ended", 0, (int64_t)a->stats.end_lines[END_CLOSED]);
	table_int(t, "Leases_expired", 0, (int64_t)counts.leases_expired);
	table_int(t, "Spop_connections", 0, (int64_t)a->stats.spop_connections);
	table_int(t, "Event_connections", 0, (int64_t)a->stats.event_connections);
	table_int(t, "Decisions_kept", 0, (int64_t)a->decisions.kept);
	table_int(t, "Warnings", 0, (int64_t)a->warnings.count);
	table_real(t, "Longest_turn_sec", 0, (double)a->stats.longest_lag / 1e9);
	table_bool(t, "Last_reload_failed", 0, a->stats.reload_failed);
	ctl_close(p);
}

const struct render_part ctl_info[] = { { .once = info }, { .name = NULL } };

/* show peers */

static void peer_row(struct table *t, const char *kind, const char *name, const char *state,
                     double age, const char *note)
{
	table_row(t);
	table_str(t, "kind", 12, kind);
	table_str(t, "name", 40, name);
	table_str(t, "state", 12, state);
	table_real(t, "age_s", 8, age);
	table_str(t, "note", 40, note);
}

static void connections_row(struct table *t, const char *kind, size_t n)
{
	char note[64];

	snprintf(note, sizeof(note), "%zu connections", n);
	peer_row(t, kind, "", n > 0 ? "connected" : "none", NAN, note);
}

static void haproxy_rows(struct table *t, const struct haproxy_api *api)
{
	for (size_t i = 0; i < haproxy_api_count(api); i++) {
		struct haproxy_api_state s = haproxy_api_state(api, i, clock_nsec());
		char note[64];

		snprintf(note, sizeof(note), "pid %ld, %llu failures", (long)s.pid,
		         (unsigned long long)s.failures);
		peer_row(t, "runtime-api", s.name, s.answers ? "answers" : "silent",
		         s.age < 0 ? NAN : (double)s.age / 1e9, note);
	}
}

static void cluster_rows(struct table *t, const struct cluster *c)
{
	struct cluster_peer_status s;

	for (size_t i = 0; cluster_peer_status(c, i, &s); i++) {
		char note[64];

		snprintf(note, sizeof(note), "%zu requests", s.leases);
		peer_row(t, "agent", s.name,
		         s.self     ? "self"
		         : s.silent ? "silent"
		                    : "alive",
		         s.age < 0 ? NAN : (double)s.age / 1e9, note);
	}
}

static void peers(struct page *p)
{
	const struct http_sources *from = p->sources;
	struct cluster_status cluster = cluster_status(from->cluster);
	struct table *t = ctl_table(p);
	struct redis_status redis;

	ctl_open_rows(p);
	connections_row(t, "spop", p->agent->stats.spop_connections);
	connections_row(t, "events", p->agent->stats.event_connections);
	haproxy_rows(t, from->haproxy);
	redis_client_status(from->redis, &redis);
	if (redis.url[0])
		peer_row(t, "redis", redis.url, redis.connected ? "connected" : "away",
		         redis.success_age < 0 ? NAN : redis.success_age, redis.error);
	if (cluster.configured)
		peer_row(t, "cluster", cluster.url, cluster.connected ? "connected" : "away", NAN,
		         cluster.error);
	cluster_rows(t, from->cluster);
	ctl_close(p);
}

const struct render_part ctl_peers[] = { { .once = peers }, { .name = NULL } };

/* show errors */

static void error_row(struct table *t, const char *name, uint64_t count, const char *meaning)
{
	if (count == 0)
		return;
	table_row(t);
	table_str(t, "error", 24, name);
	table_int(t, "count", 10, (int64_t)count);
	table_str(t, "meaning", 60, meaning);
}

static uint64_t frame_errors(const struct stats *s)
{
	uint64_t n = 0;

	for (int k = 0; k < FRAME_KINDS; k++)
		n += s->frames[k][FRAME_ERROR];
	return n;
}

static void errors(struct page *p)
{
	const struct agent *a = p->agent;
	const struct stats *s = &a->stats;
	struct table *t = ctl_table(p);

	ctl_open_rows(p);
	error_row(t, "frames", frame_errors(s), "SPOP frames that broke the protocol");
	error_row(t, "end-lines-malformed", s->end_lines[END_MALFORMED],
	          "lines on events.listen that are no end lines");
	error_row(t, "end-lines-unknown", s->end_lines[END_UNKNOWN],
	          "ends of requests that HAProxy did not ask about, such as GET");
	error_row(t, "end-lines-dropped", s->end_lines[END_DROPPED],
	          "lines that HAProxy's ring had no room for");
	error_row(t, "unauthorized", s->unauthorized_lines + s->unauthorized_requests,
	          "lines and requests without the listener's secret");
	error_row(t, "unknown-strategy", s->unknown_strategy, "strategies that do not exist");
	error_row(t, "bad-arguments", s->bad_arguments, "headers of clients that are no numbers");
	error_row(t, "notices-ignored", s->notices_ignored,
	          "messages about servers that HAProxy contradicts");
	error_row(t, "leases-expired", sched_counts(a->sched).leases_expired,
	          "requests whose end line never came");
	error_row(t, "log-lines-lost", a->log->lost_total, "log lines that nobody took");
	error_row(t, "warnings-left-out", a->warnings.left_out, "warnings without a place");
	for (size_t i = 0; i < a->unknown.count; i++) {
		char name[UNKNOWN_NAME_MAX + 16];

		snprintf(name, sizeof(name), "model %s", a->unknown.model[i].name);
		error_row(t, name, a->unknown.model[i].requests,
		          "requests at most, for a model that is not configured");
	}
	ctl_close(p);
}

const struct render_part ctl_errors[] = { { .once = errors }, { .name = NULL } };

/* show env */

static void addresses(struct table *t, const char *name, const struct config_listen *l)
{
	char text[CONFIG_LISTEN_MAX * 64] = "";
	size_t len = 0;

	for (size_t i = 0; i < l->count && len < sizeof(text) - 1; i++) {
		char one[sizeof(l->addr[i].host) + 32];
		int n;

		listen_addr_print(&l->addr[i], one, sizeof(one));
		n = snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "", one);
		len += n > 0 ? (size_t)n : 0;
	}
	table_str(t, name, 0, text);
}

static void env(struct page *p)
{
	const struct ctl_show *show = p->arg;
	const struct config *conf = p->agent->conf;
	char dir[1024];
	struct rlimit files = { 0 };
	struct table *t = ctl_table(p);

	(void)getrlimit(RLIMIT_NOFILE, &files);
	ctl_open_list(p);
	table_str(t, "Config", 0, show->server->daemon.path);
	table_str(t, "Directory", 0, getcwd(dir, sizeof(dir)) ? dir : "?");
	table_str(t, "User", 0, show->server->user);
	table_int(t, "Uid", 0, geteuid());
	table_int(t, "Gid", 0, getegid());
	table_int(t, "Parent", 0, getppid());
	table_int(t, "Descriptors", 0, (int64_t)files.rlim_cur);
	addresses(t, "Spop", &conf->spop);
	addresses(t, "Events", &conf->events);
	addresses(t, "Http", &conf->http);
	addresses(t, "Control", &conf->control);
	addresses(t, "Runtime_api", &conf->runtime_api);
	table_str(t, "Profiles", 0, conf->profile_dir ? conf->profile_dir : "");
	table_str(t, "Snapshot", 0, conf->snapshot.file ? conf->snapshot.file : "");
	table_str(t, "Recorder", 0, conf->recorder.file ? conf->recorder.file : "");
	ctl_close(p);
}

const struct render_part ctl_env[] = { { .once = env }, { .name = NULL } };

/* doctor */

#define PROMISES_TOLD 20 /* in 5 minutes: fewer are no share */

static void warnings(struct page *p)
{
	const struct warnings *w = &p->agent->warnings;
	struct table *t = ctl_table(p);

	ctl_open_rows(p);
	for (size_t i = 0; i < w->count; i++) {
		const struct warning *one = &w->warning[i];

		table_row(t);
		table_str(t, "code", 20, one->code);
		table_str(t, "subject", 20, one->subject);
		table_real(t, "since_s", 8, (double)(clock_nsec() - one->since) / 1e9);
		table_int(t, "times", 6, (int64_t)one->times);
		table_str(t, "text", 60, one->text);
	}
	ctl_close(p);
}

const struct render_part ctl_warnings[] = { { .once = warnings }, { .name = NULL } };

#define NEARLY_EMPTY 0.25 /* of the room of all servers; then load does not explain lateness */

/* The part of the room of its servers that is in use; NAN: none is usable. */
static double used_of(const struct pool *pool)
{
	double used = 0;

	for (size_t i = 0; i < pool->usable; i++)
		used += load_to_double(pool->usable_seat[i]->server->ledger.used);
	return pool->usable > 0 ? used / (double)pool->usable : NAN;
}

static void why_broken(FILE *f, const struct agent_model *m)
{
	double used = used_of(&m->sched->pool);

	if (used < NEARLY_EMPTY && !m->sched->pool.waiting)
		fprintf(
		    f,
		    " Its servers are nearly empty now (%.0f %% in use): look at kv_tokens and at "
		    "the section engines; unless engines tell the tokens of streams, they are "
		    "guessed by their bytes.\n",
		    100 * used);
	else
		fputs(" Is there more load than servers?\n", f);
}

/* It may be that there is too much load, which is nobody's fault. */
static void broken_promises(struct page *p)
{
	for (size_t i = 0; i < p->agent->model_count; i++) {
		const struct agent_model *m = p->agent->models[i];
		const struct attain_sum sum =
		    attain_sum(&m->stats.promises, clock_nsec(), ATTAIN_5_MINUTES);
		uint64_t kept = sum.count[PROMISE_KEPT], missed = sum.count[PROMISE_MISSED];
		uint64_t all = kept + missed + sum.count[PROMISE_REFUSED];

		if (all < PROMISES_TOLD || (double)kept >= m->conf->percentile / 100 * (double)all)
			continue;
		fprintf(p->f,
		        "Promises of %s are not kept: of %" PRIu64
		        " requests of the last 5 minutes %" PRIu64
		        " kept theirs (%.1f %%, %g %% are promised), %" PRIu64
		        " missed it and %" PRIu64 " were refused.",
		        m->conf->name, all, kept, 100 * (double)kept / (double)all,
		        m->conf->percentile, missed, sum.count[PROMISE_REFUSED]);
		why_broken(p->f, m);
	}
}

/* As -c --haproxy says, too. */
static void blindness(struct page *p)
{
	if (p->agent->conf->runtime_api.count == 0)
		fputs("haproxy.runtime_api is not set: a lost end line keeps its load for "
		      "limits.lease_max_age, and the agent sees neither states nor counts of "
		      "servers; name HAProxy's stats socket.\n",
		      p->f);
}

static void warnings_text(struct page *p)
{
	const struct warnings *w = &p->agent->warnings;

	if (w->count == 0)
		fputs("Nothing is wrong.\n", p->f);
	for (size_t i = 0; i < w->count; i++)
		fprintf(p->f, "%s: %s\n", w->warning[i].code, w->warning[i].text);
	blindness(p);
	broken_promises(p);
}

const struct render_part ctl_warnings_text[] = { { .once = warnings_text }, { .name = NULL } };
