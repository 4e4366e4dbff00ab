/* slo-spoa: flags, configuration, start order, the loop, stop order. */
#include <errno.h>
#include <ev.h>
#include <paths.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/agent/agent.h"
#include "io/base/clock.h"
#include "conf/config.h"
#include "io/base/config_load.h"
#include "io/base/conn.h"
#include "io/haproxy/event_server.h"
#include "io/haproxy/haproxy_api.h"
#include "io/base/trim.h"
#include "io/http/http_server.h"
#include "io/base/log.h"
#include "io/agent/loop_lag.h"
#include "io/keep/recorder.h"
#include "io/redis/redis_client.h"
#include "io/haproxy/spop_server.h"
#include "io/keep/agent_snapshot.h"
#include "io/keep/snapshot_file.h"
#include "io/keep/upgrade.h"

/* HAProxy's checks need this long to see that we want no more requests. Leaving sooner would let
 * requests wait for an agent that is gone. */
#define DRAIN_NOTICE (1500 * SLO_NSEC_PER_MSEC)
#define DRAIN_POLL   0.05 /* seconds */
#define TELL         10.0 /* seconds, about a window of the log */
#define GOODBYE      1.0  /* seconds for the last bytes to leave */

struct daemon {
	struct ev_loop *loop;
	const char *path;
	char **argv;
	struct config *conf;
	struct log log;
	struct conns conns;
	struct agent *agent;
	struct spop_server *spop;
	struct event_server *events;
	struct http_server *http;
	struct trim trim;
	struct snapshot_file state;
	struct upgrade upgrade;
	struct redis_client *redis;
	struct loop_lag lag;
	ev_signal hup, term, interrupt, usr1, usr2;
	ev_timer drain;
	ev_timer tell; /* of what the log left out */
	slo_nsec draining_since;
	bool parting;     /* only goodbyes are left to say */
	bool handed_over; /* the snapshot is another's to write */
	int status;       /* to exit with */
};

static const char usage[] =
    "Usage: slo-spoa -f FILE [-s]    run in the foreground\n"
    "       slo-spoa -c -f FILE      check the configuration\n"
    "       slo-spoa -v | -h         version | this help\n"
    "  -f FILE  the configuration, JSON\n"
    "  -c       only check it: exit 0, or 1 with FILE:LINE:COLUMN: what is wrong\n"
    "  -s       log to syslog instead of stderr\n"
    "SIGHUP reloads, SIGTERM and SIGUSR1 drain and exit, SIGUSR2 hands over to a new process.\n";

/* Drain and stop */

static bool haproxy_was_here(const struct agent *a)
{
	return a->stats.frames[FRAME_HELLO][FRAME_OK] +
	       a->stats.frames[FRAME_HEALTHCHECK][FRAME_OK];
}

static void on_goodbye_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

static void on_drain(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;
	slo_nsec drained = clock_nsec() - d->draining_since;
	size_t held = agent_held(d->agent);
	bool noticed = drained >= DRAIN_NOTICE || !haproxy_was_here(d->agent);

	if (drained < d->conf->routing.drain_timeout && (held > 0 || !noticed))
		return;
	if (held > 0)
		log_write(&d->log, LOG_WARNING, "drain_timeout: %zu requests are left to HAProxy",
		          held);
	ev_timer_stop(loop, w);
	spop_server_disconnect(d->spop);
	ev_set_cb(w, on_goodbye_over);
	ev_timer_set(w, d->agent->stats.spop_connections ? GOODBYE : 0., 0.);
	ev_timer_start(loop, w);
}

static void on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;

	if (d->draining_since) {
		ev_break(loop, EVBREAK_ALL); /* the second time is meant */
		return;
	}
	log_write(&d->log, LOG_NOTICE, "signal %d: draining, %zu requests are held", w->signum,
	          agent_held(d->agent));
	upgrade_cancel(&d->upgrade);
	d->draining_since = clock_nsec();
	agent_drain(d->agent);
	spop_server_drain(d->spop);
	ev_timer_init(&d->drain, on_drain, 0., DRAIN_POLL);
	d->drain.data = d;
	ev_timer_start(loop, &d->drain);
}

static void on_reload(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;
	struct config_error err;
	struct config *conf;
	char text[1024];

	if (d->parting) {
		log_write(&d->log, LOG_WARNING, "reload: this process has handed over already");
		return;
	}
	conf = config_load(d->path, &err);
	if (!conf) {
		config_error_format(&err, text, sizeof(text));
		log_write(&d->log, LOG_ERR, "reload: %s; the old configuration stays", text);
		return;
	}
	if (agent_reload(d->agent, conf)) {
		config_free(d->conf);
		d->conf = conf;
		haproxy_api_follow(d->agent);
		snapshot_file_configure(&d->state);
		recorder_configure(d->agent->recorder);
		log_write(&d->log, LOG_NOTICE, "reload: %s is in force", d->path);
	} else {
		config_free(conf);
	}
	agent_load_profiles(d->agent);
	agent_pump(d->agent, clock_nsec());
}

/* Upgrade */

/* Goes from here without a gap: what was read is answered and in the snapshot, what was not waits
 * in the sockets for the new process. */
static void hand_over(void *user)
{
	struct daemon *d = user;
	struct slice snapshot = { 0 };
	struct snapshot_writer *w;

	log_write(&d->log, LOG_NOTICE, "upgrade: handing over, %zu requests are held",
	          agent_held(d->agent));
	d->parting = true;
	snapshot_file_stop(&d->state);
	http_server_free(d->http);
	d->http = NULL;
	event_server_stop(d->events);
	spop_server_read_all(d->spop);
	agent_let_go(d->agent, clock_nsec());
	w = agent_snapshot_write(d->agent, clock_nsec(), &snapshot);
	if (!w)
		log_write(&d->log, LOG_ERR, "upgrade: out of memory, the state is lost");
	recorder_free(d->agent->recorder); /* the new one writes files of the same names */
	d->handed_over = upgrade_go(&d->upgrade, snapshot);
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
		log_write(&d->log, LOG_WARNING, "upgrade: this process is leaving already");
	else
		upgrade_start(&d->upgrade, &d->agent->listeners, d->argv);
}

static void take_over(struct daemon *d, struct takeover *t)
{
	struct slice snapshot = takeover_wait(t, TAKEOVER_WAIT, &d->log);

	if (snapshot.p)
		agent_snapshot_restore(d->agent, clock_nsec(), snapshot, SLO_NEVER, "upgrade");
	else
		snapshot_file_load(d->agent);
	free((void *)snapshot.p);
}

/* Start */

static void on_tell(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	log_tell(&d->log, clock_nsec());
}

static void watch(struct daemon *d, ev_signal *w, int signum,
                  void (*cb)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(w, cb, signum);
	w->data = d;
	ev_signal_start(d->loop, w);
}

/* As many descriptors as we may have; too few for the limits is worth a word. */
static void raise_descriptors(struct daemon *d)
{
	size_t wanted = d->conf->limits.spop_connections + d->conf->limits.event_connections +
	                d->conf->limits.http_connections + 64;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	if (rl.rlim_cur < wanted) {
		rl.rlim_cur = rl.rlim_max < wanted ? rl.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (rl.rlim_cur < wanted)
		log_write(&d->log, LOG_INFO,
		          "%llu descriptors are allowed, the limits could use %zu",
		          (unsigned long long)rl.rlim_cur, wanted);
}

/* Where all CPUs are busy the kernel then does not take one from HAProxy (or from others, that is
 * the price) at the first frame of many: fewer wake-ups, with more in each. On an idle one nothing
 * changes. Another policy that somebody chose for us stays; SCHED_OTHER may be nobody's choice. */
static void let_frames_gather(struct daemon *d)
{
	const struct sched_param param = { .sched_priority = 0 };

	if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &param) != 0)
		log_write(&d->log, LOG_INFO, "SCHED_BATCH: %s", strerror(errno));
}

static void give_back(void *arg)
{
	struct daemon *d = arg;

	conns_give_back(&d->conns);
	spop_server_give_back(d->spop);
	sched_give_back(d->agent->sched);
}

static bool start(struct daemon *d)
{
	size_t message = d->conf->limits.spop_frame_size;
	struct takeover takeover = takeover_init();

	if (d->conf->limits.end_line_length > message)
		message = d->conf->limits.end_line_length;
	d->loop = ev_default_loop(0);
	if (!d->loop || conns_init(&d->conns, d->loop, &d->log, message + 8) != SLO_OK) {
		log_write(&d->log, LOG_ERR, "out of memory or descriptors at start");
		return false;
	}
	/* From here on signals wait for the loop. */
	watch(d, &d->hup, SIGHUP, on_reload);
	watch(d, &d->term, SIGTERM, on_stop);
	watch(d, &d->interrupt, SIGINT, on_stop);
	watch(d, &d->usr1, SIGUSR1, on_stop);
	watch(d, &d->usr2, SIGUSR2, on_upgrade);
	upgrade_init(&d->upgrade, d->loop, &d->log, hand_over, d);
	ev_timer_init(&d->tell, on_tell, TELL, TELL);
	d->tell.data = d;
	ev_timer_start(d->loop, &d->tell);
	raise_descriptors(d);
	let_frames_gather(d);
	if (!(d->agent = agent_new(d->loop, d->conf, &d->log)))
		return false;
	listeners_inherit(&d->agent->listeners);
	if (!(d->events = event_server_new(d->agent, &d->conns)) ||
	    !(d->spop = spop_server_new(d->agent, &d->conns)) ||
	    !(d->redis = redis_client_new(d->agent)))
		return false;
	haproxy_api_follow(d->agent);
	if (d->conf->runtime_api.count > 0 && !d->agent->haproxy)
		return false;
	if (d->conf->http.count > 0 && !(d->http = http_server_new(d->agent)))
		return false;
	listeners_close_unclaimed(&d->agent->listeners, &d->log);
	trim_watch(&d->trim, d->loop, give_back, d);
	loop_lag_start(&d->lag, d->loop, &d->agent->stats);
	if (takeover.channel >= 0)
		take_over(d, &takeover);
	else
		snapshot_file_load(d->agent);
	snapshot_file_start(&d->state, d->agent);
	if (!recorder_new(d->agent)) {
		log_write(&d->log, LOG_ERR, "out of memory at start");
		return false;
	}
	agent_pump(d->agent, clock_nsec());
	log_write(&d->log, LOG_NOTICE, "slo-spoa %s is ready", SLO_VERSION);
	return true;
}

/* In reverse order: connections go first, because what they hold belongs to the agent. */
static void stop(struct daemon *d)
{
	trim_unwatch(&d->trim);
	loop_lag_stop(&d->lag, d->loop);
	upgrade_cancel(&d->upgrade);
	if (!d->handed_over)
		snapshot_file_finish(&d->state);
	http_server_free(d->http);
	conns_fini(&d->conns);
	spop_server_free(d->spop);
	event_server_free(d->events);
	redis_client_free(d->redis);
	if (d->agent)
		haproxy_api_free(d->agent->haproxy);
	if (d->agent)
		recorder_free(d->agent->recorder);
	agent_free(d->agent);
	if (d->loop)
		ev_loop_destroy(d->loop);
	config_free(d->conf);
}

static int run(struct daemon *d, const char *syslog_path)
{
	signal(SIGPIPE, SIG_IGN); /* of stderr too */
	log_init(&d->log, d->conf->log_level, syslog_path);
	if (start(d)) {
		ev_run(d->loop, 0);
		log_write(&d->log, LOG_NOTICE, "slo-spoa stops");
	} else {
		d->status = EXIT_FAILURE;
	}
	stop(d);
	log_fini(&d->log);
	return d->status;
}

int main(int argc, char **argv)
{
	struct daemon d = { .argv = argv };
	bool check = false, to_syslog = false;
	struct config_error err;
	char text[1024];
	int opt;

	while ((opt = getopt(argc, argv, "f:csvh")) != -1) {
		switch (opt) {
		case 'f':
			d.path = optarg;
			break;
		case 'c':
			check = true;
			break;
		case 's':
			to_syslog = true;
			break;
		case 'v':
			printf("slo-spoa %s\n", SLO_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return EXIT_FAILURE;
		}
	}
	if (!d.path || optind < argc) {
		fputs(usage, stderr);
		return EXIT_FAILURE;
	}
	d.conf = config_load(d.path, &err);
	if (!d.conf) {
		config_error_format(&err, text, sizeof(text));
		fprintf(stderr, "[ALERT] (%ld) : %s\n", (long)getpid(), text);
		return EXIT_FAILURE;
	}
	if (check) {
		config_free(d.conf);
		printf("%s: configuration is valid\n", d.path);
		return EXIT_SUCCESS;
	}
	return run(&d, to_syslog ? _PATH_LOG : NULL);
}
