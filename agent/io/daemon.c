#include "io/daemon.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "io/base/clock.h"
#include "io/base/config_load.h"
#include "io/base/service.h"
#include "io/keep/agent_snapshot.h"

/* HAProxy's checks need this long to see that we want no more requests. Leaving sooner would let
 * requests wait for an agent that is gone. */
#define DRAIN_NOTICE      (1500 * SLO_NSEC_PER_MSEC)
#define DRAIN_POLL        0.05 /* seconds */
#define TELL              10.0 /* seconds, about a window of the log */
#define GOODBYE           1.0  /* seconds for the last bytes to leave */
/* What a protocol adds to its longest message while it is incomplete: a frame its length, a line
 * its end. */
#define MESSAGE_EXTRA     8
/* Descriptors beside those of connections: listeners, files, the loop, Redis, HAProxy's API. */
#define OTHER_DESCRIPTORS 64

/* Configuration */

/* False: they differ; the old one stays in force. */
static bool keep(size_t *new, size_t old)
{
	bool same = *new == old;

	*new = old;
	return same;
}

/* Why a reload failed, for the log and for who asked for it. */
static void __attribute__((format(printf, 3, 4)))
refuse(struct daemon *d, int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
	log_write(d->log, level, "reload: %s", d->why);
}

/* What sizes buffers and sockets is fixed at start. */
static void keep_fixed_limits(struct daemon *d, struct config_limits *new)
{
	const struct config_limits *old = &d->conf->limits;
	bool same = true;

	same &= keep(&new->spop_connections, old->spop_connections);
	same &= keep(&new->spop_frame_size, old->spop_frame_size);
	same &= keep(&new->output_buffer, old->output_buffer);
	same &= keep(&new->id_length, old->id_length);
	same &= keep(&new->end_line_length, old->end_line_length);
	same &= keep(&new->event_connections, old->event_connections);
	same &= keep(&new->http_connections, old->http_connections);
	if (!same)
		log_write(
		    d->log, LOG_WARNING,
		    "reload: limits on connections, frames, ids, lines and output take a restart");
}

/* Whether conf can be put in force without a restart. */
static bool is_applicable(struct daemon *d, struct config *conf)
{
	const struct config *old = d->conf;
	const struct {
		const char *name;
		bool same;
	} listeners[] = {
		{ "spop", config_listen_equal(&old->spop, &conf->spop) },
		{ "events", config_listen_equal(&old->events, &conf->events) },
		{ "http", config_listen_equal(&old->http, &conf->http) },
		{ "control", config_listen_equal(&old->control, &conf->control) },
	};
	char which[64] = "";

	for (size_t i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++) {
		size_t len = strlen(which);

		if (!listeners[i].same)
			snprintf(which + len, sizeof(which) - len, "%s%s.listen", len ? ", " : "",
			         listeners[i].name);
	}
	if (which[0]) {
		refuse(d, LOG_WARNING,
		       "listeners differ; that takes SIGUSR2 or a restart, the old "
		       "configuration stays (%s)",
		       which);
		return false;
	}
	keep_fixed_limits(d, &conf->limits);
	return true;
}

/* Puts conf in force: tells every part, and frees the old one when all know the new. False: nothing
 * changed, or at start not all of it came into force; the reason is logged. */
static bool daemon_apply(struct daemon *d, struct config *conf)
{
	struct config *old = d->conf;
	slo_err err = agent_configure(d->agent, conf);

	if (err == SLO_ENOMEM) {
		refuse(d, LOG_ERR, "out of memory: %s stays out of force", d->path);
		return false;
	}
	if (err != SLO_OK)
		log_write(d->log, LOG_ERR,
		          "out of memory: a part of the fleet of %s is missing; reload again",
		          d->path);
	d->conf = conf;
	haproxy_api_configure(d->haproxy);
	engines_configure(d->engines);
	redis_client_configure(d->redis);
	cluster_configure(d->cluster);
	snapshot_file_configure(&d->snapshot);
	recorder_configure(d->recorder);
	export_configure(&d->export);
	agent_load_profiles(d->agent);
	config_free(old);
	return err == SLO_OK || old;
}

/* Said again as long as it is so: somebody may clear the warnings. */
static void warn_of_reload(struct daemon *d)
{
	if (d->agent->stats.reload_failed)
		warn_set(d->agent, clock_nsec(), "reload-failed", NULL,
		         "the configuration on disk is not in force: %.400s", d->why);
	else if (d->upgrade.failed)
		warn_set(d->agent, clock_nsec(), "reload-failed", NULL,
		         "the new program that SIGUSR2 started did not come to serve, and this one "
		         "goes on: the log says why; slo-spoa -c checks the configuration");
}

bool daemon_reload(struct daemon *d)
{
	struct doc_error err;
	struct config *conf = config_load(d->path, &err);
	char text[1024];

	d->agent->stats.reload_failed = true;
	if (!conf) {
		doc_error_format(&err, text, sizeof(text));
		refuse(d, LOG_ERR, "%s; the old configuration stays", text);
		warn_of_reload(d);
		return false;
	}
	if (!is_applicable(d, conf) || !daemon_apply(d, conf)) {
		warn_of_reload(d);
		config_free(conf);
		agent_load_profiles(d->agent); /* they may have changed all the same */
		return false;
	}
	d->agent->stats.reload_failed = d->upgrade.failed = false;
	warn_clear(d->agent, clock_nsec(), "reload-failed", NULL);
	log_write(d->log, LOG_NOTICE, "reload: %s is in force", d->path);
	return true;
}

/* Drain */

static bool haproxy_was_here(const struct agent *a)
{
	return a->stats.frames[FRAME_HELLO][FRAME_OK] +
	       a->stats.frames[FRAME_HEALTHCHECK][FRAME_OK];
}

static void on_goodbye_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

/* Goes on until no request is held and HAProxy has noticed, or until drain_timeout. */
static void on_drain(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;
	slo_nsec drained = clock_nsec() - d->draining_since;
	size_t held = agent_held(d->agent);
	bool noticed = drained >= DRAIN_NOTICE || !haproxy_was_here(d->agent);

	if (drained < d->conf->routing.drain_timeout && (held > 0 || !noticed))
		return;
	if (held > 0)
		log_write(d->log, LOG_WARNING, "drain_timeout: %zu requests are left to HAProxy",
		          held);
	ev_timer_stop(loop, w);
	spop_server_disconnect(d->spop);
	ev_set_cb(w, on_goodbye_over);
	ev_timer_set(w, d->agent->stats.spop_connections ? GOODBYE : 0., 0.);
	ev_timer_start(loop, w);
}

static void drain(struct daemon *d, const char *why)
{
	log_write(d->log, LOG_NOTICE, "%s: draining, %zu requests are held", why,
	          agent_held(d->agent));
	upgrade_cancel(&d->upgrade);
	service_stopping(d->conf->routing.drain_timeout);
	d->draining_since = clock_nsec();
	agent_drain(d->agent);
	spop_server_drain(d->spop);
	ev_timer_init(&d->drain, on_drain, 0., DRAIN_POLL);
	d->drain.data = d;
	ev_timer_start(d->loop, &d->drain);
}

static void on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;
	char why[32];

	if (d->draining_since) {
		ev_break(loop, EVBREAK_ALL); /* the second time is meant */
		return;
	}
	snprintf(why, sizeof(why), "signal %d", w->signum);
	drain(d, why);
}

static void on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;

	if (d->parting) {
		log_write(d->log, LOG_WARNING, "reload: this process has handed over already");
		return;
	}
	if (d->draining_since) { /* the manager knows that it stops */
		(void)daemon_reload(d);
		return;
	}
	service_reloading();
	(void)daemon_reload(d);
	service_ready();
}

/* Hand-over */

/* Goes from here without a gap: what was read is answered and in the snapshot, what was not waits
 * in the sockets for the new process. */
static void hand_over(void *user)
{
	struct daemon *d = user;
	const pid_t successor = d->upgrade.child;
	struct slice snapshot = { 0 };
	struct snapshot_writer *w;

	log_write(d->log, LOG_NOTICE, "upgrade: handing over, %zu requests are held",
	          agent_held(d->agent));
	d->parting = true;
	snapshot_file_stop(&d->snapshot);
	export_stop(&d->export);
	engines_free(d->engines);
	d->engines = NULL;
	http_server_free(d->http);
	d->http = NULL;
	ctl_server_stop(d->ctl);
	event_server_stop(d->events);
	spop_server_read_all(d->spop);
	cluster_stop(d->cluster); /* the new one has our name */
	agent_let_go(d->agent, clock_nsec());
	w = agent_snapshot_write(d->agent, clock_nsec(), &snapshot);
	if (!w)
		log_write(d->log, LOG_ERR, "upgrade: out of memory, the state is lost");
	recorder_free(d->recorder); /* the new one writes files of the same names */
	d->recorder = NULL;
	d->handed_over = upgrade_go(&d->upgrade, snapshot);
	if (d->handed_over)
		service_handed_over(successor);
	d->status = d->handed_over ? EXIT_SUCCESS : EXIT_FAILURE;
	snapshot_writer_free(w);
	d->draining_since = clock_nsec();
	agent_drain(d->agent);
	spop_server_disconnect(d->spop);
	ev_timer_init(&d->drain, on_goodbye_over, d->agent->stats.spop_connections ? GOODBYE : 0.,
	              0.);
	ev_timer_start(d->loop, &d->drain);
}

static void on_upgrade(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;

	if (d->draining_since)
		log_write(d->log, LOG_WARNING, "upgrade: this process is leaving already");
	else
		upgrade_start(&d->upgrade, &d->agent->listeners, d->argv);
}

/* What the process before this one left behind. It may still be there: then it stops when it has
 * handed over. */
static void take_over(struct daemon *d, struct takeover *t)
{
	struct slice snapshot = { 0 };

	if (t->channel < 0) {
		snapshot_file_load(d->agent);
		return;
	}
	snapshot = takeover_wait(t, TAKEOVER_WAIT, d->log);
	if (snapshot.p)
		agent_snapshot_restore(d->agent, clock_nsec(), snapshot, SLO_NEVER, "upgrade");
	else
		snapshot_file_load(d->agent);
	free((void *)snapshot.p);
}

/* Start */

/* As many descriptors as we may have; too few for the limits is worth a word. A reload may bring
 * engines. */
static void raise_descriptors(struct daemon *d)
{
	size_t wanted = d->conf->limits.spop_connections + d->conf->limits.event_connections +
	                d->conf->limits.http_connections + CTL_CONNECTIONS + ENGINES_DESCRIPTORS +
	                OTHER_DESCRIPTORS;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	if (rl.rlim_cur < wanted) {
		rl.rlim_cur = rl.rlim_max < wanted ? rl.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (rl.rlim_cur < wanted)
		log_write(d->log, LOG_INFO,
		          "%llu descriptors are allowed, the limits could use %zu",
		          (unsigned long long)rl.rlim_cur, wanted);
}

/* SCHED_BATCH: while all CPUs are busy, the kernel does not take one from HAProxy (or from others,
 * that is the price) when the first frame of many arrives. So we wake less often, with more to do
 * each time. On an idle CPU nothing changes. A policy that somebody chose for us stays. */
static void let_frames_gather(struct daemon *d)
{
	const struct sched_param param = { .sched_priority = 0 };

	if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &param) != 0)
		log_write(d->log, LOG_INFO, "SCHED_BATCH: %s", strerror(errno));
}

static void give_back(void *arg)
{
	struct daemon *d = arg;

	conns_give_back(&d->conns);
	spop_server_give_back(d->spop);
	agent_give_back(d->agent);
}

static void on_tell(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	log_tell(d->log, clock_nsec());
	warn_of_reload(d);
}

static void watch(struct daemon *d, ev_signal *w, int signum,
                  void (*cb)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(w, cb, signum);
	w->data = d;
	ev_signal_start(d->loop, w);
}

/* From then on signals wait for the loop. libev hears of children on its default loop only, so that
 * one is a whole program's; others are tests'. */
static void watch_signals(struct daemon *d)
{
	if (!ev_is_default_loop(d->loop))
		return;
	watch(d, &d->hup, SIGHUP, on_hangup);
	watch(d, &d->term, SIGTERM, on_stop);
	watch(d, &d->interrupt, SIGINT, on_stop);
	watch(d, &d->usr1, SIGUSR1, on_stop);
	watch(d, &d->usr2, SIGUSR2, on_upgrade);
}

static bool out_of_memory(struct daemon *d)
{
	log_write(d->log, LOG_ERR, "out of memory or descriptors at start");
	return false;
}

/* All parts, of which none does anything yet. */
static bool make_parts(struct daemon *d, const struct config *conf)
{
	const struct config_limits *limits = &conf->limits;
	size_t longest = limits->spop_frame_size > limits->end_line_length
	                     ? limits->spop_frame_size
	                     : limits->end_line_length;

	if (conns_init(&d->conns, d->loop, d->log, longest + MESSAGE_EXTRA) != SLO_OK)
		return out_of_memory(d);
	upgrade_init(&d->upgrade, d->loop, d->log, hand_over, d);
	d->agent = agent_new(d->loop, d->log, conf->routing.seed, spop_server_deliver);
	if (!d->agent)
		return out_of_memory(d);
	d->haproxy = haproxy_api_new(d->agent);
	d->engines = engines_new(d->agent);
	d->redis = redis_client_new(d->agent);
	d->cluster = cluster_new(d->agent, d->haproxy);
	d->recorder = recorder_new(d->agent);
	if (!d->haproxy || !d->engines || !d->redis || !d->cluster || !d->recorder)
		return out_of_memory(d);
	snapshot_file_init(&d->snapshot, d->agent);
	export_init(&d->export, d->agent);
	trim_watch(&d->trim, d->loop, give_back, d);
	loop_lag_start(&d->lag, d->loop, &d->agent->stats);
	ev_timer_init(&d->tell, on_tell, TELL, TELL);
	d->tell.data = d;
	ev_timer_start(d->loop, &d->tell);
	return true;
}

static bool reload_told(void *daemon, char why[CTL_WHY_MAX])
{
	struct daemon *d = daemon;

	if (d->parting)
		snprintf(why, CTL_WHY_MAX, "this process has handed over already");
	else if (daemon_reload(d))
		return true;
	else
		snprintf(why, CTL_WHY_MAX, "%s", d->why);
	return false;
}

static void drain_told(void *daemon)
{
	struct daemon *d = daemon;

	if (!d->draining_since)
		drain(d, "control");
}

static bool start_control(struct daemon *d, const struct http_sources *shown)
{
	const struct ctl_daemon us = { .daemon = d,
		                       .reload = reload_told,
		                       .drain = drain_told,
		                       .path = d->path,
		                       .export = &d->export };

	if (d->conf->control.count == 0)
		return true;
	d->ctl = ctl_server_new(d->agent, &d->conns, shown, &us);
	return d->ctl != NULL;
}

/* Each says itself why it cannot listen. */
static bool start_servers(struct daemon *d)
{
	const struct http_sources shown = { d->agent, d->agent,   d->haproxy,
		                            d->redis, d->cluster, d->recorder };

	listeners_inherit(&d->agent->listeners);
	if (!(d->events = event_server_new(d->agent, &d->conns)) ||
	    !(d->spop = spop_server_new(d->agent, &d->conns)) ||
	    (d->conf->http.count > 0 && !(d->http = http_server_new(d->agent, &shown))) ||
	    !start_control(d, &shown))
		return false;
	listeners_close_unclaimed(&d->agent->listeners, d->log);
	return true;
}

static bool start(struct daemon *d, struct config *conf)
{
	struct takeover takeover = takeover_init();

	watch_signals(d);
	if (!make_parts(d, conf))
		return false;
	/* Who takes over is told all by the process before it. */
	d->agent->joining = conf->cluster.redis.url.kind != REDIS_URL_NONE && takeover.channel < 0;
	if (!daemon_apply(d, conf) || !start_servers(d))
		return false;
	take_over(d, &takeover);
	d->serves = true;
	return true;
}

struct daemon *daemon_new(struct ev_loop *loop, struct log *log, struct config *conf,
                          const char *path, char **argv)
{
	struct daemon *d = calloc(1, sizeof(*d));

	if (d) {
		d->loop = loop;
		d->log = log;
		d->path = path;
		d->argv = argv;
		if (start(d, conf))
			return d;
	} else {
		log_write(log, LOG_ERR, "out of memory at start");
	}
	if (!d || d->conf != conf)
		config_free(conf);
	daemon_free(d);
	return NULL;
}

int daemon_run(struct daemon *d)
{
	raise_descriptors(d);
	let_frames_gather(d);
	log_write(d->log, LOG_NOTICE, "slo-spoa %s is ready", SLO_VERSION);
	service_ready();
	ev_run(d->loop, 0);
	d->agent->warnings.stops = true;
	log_write(d->log, LOG_NOTICE, "slo-spoa stops");
	return d->status;
}

/* In reverse order: connections go first, because what they hold belongs to the agent. Signals stay
 * with the loop: one that comes now must not kill a process that ends well. */
void daemon_free(struct daemon *d)
{
	if (!d)
		return;
	trim_unwatch(&d->trim);
	export_stop(&d->export);
	loop_lag_stop(&d->lag, d->loop);
	ev_timer_stop(d->loop, &d->tell);
	ev_timer_stop(d->loop, &d->drain);
	upgrade_cancel(&d->upgrade);
	/* Who never served, or serves no more, has no state for the file. */
	if (d->serves && !d->handed_over)
		snapshot_file_finish(&d->snapshot);
	else
		snapshot_file_stop(&d->snapshot);
	http_server_free(d->http);
	conns_fini(&d->conns);
	ctl_server_free(d->ctl);
	spop_server_free(d->spop);
	event_server_free(d->events);
	cluster_free(d->cluster);
	redis_client_free(d->redis);
	engines_free(d->engines);
	haproxy_api_free(d->haproxy);
	recorder_free(d->recorder);
	agent_free(d->agent);
	config_free(d->conf);
	free(d);
}
