/* daemon.h - all parts of slo-spoa as one: started, configured, drained, handed over, stopped.
 *
 *   start     parts that know no configuration, then apply, then listeners, then what the process
 *             before left behind: a snapshot file, or a hand-over (upgrade.h)
 *   apply     one configuration put in force, at start and on SIGHUP: each part is told once, by
 *             its x_configure(). The old one is freed last, so a part may borrow from it until then
 *   stop      connections first, because what they hold belongs to the agent
 *
 * The tests that run the daemon in their own process drive the same code on a clock of their own.
 */
#ifndef SLO_IO_DAEMON_H
#define SLO_IO_DAEMON_H

#include "conf/config.h"
#include "io/agent/agent.h"
#include "io/agent/loop_lag.h"
#include "io/base/conn.h"
#include "io/base/trim.h"
#include "io/ctl/ctl_server.h"
#include "io/cluster/cluster.h"
#include "io/engines/engines.h"
#include "io/haproxy/event_server.h"
#include "io/haproxy/haproxy_api.h"
#include "io/haproxy/spop_server.h"
#include "io/http/http_server.h"
#include "io/keep/export.h"
#include "io/keep/recorder.h"
#include "io/keep/snapshot_file.h"
#include "io/keep/upgrade.h"
#include "io/redis/redis_client.h"

struct daemon {
	struct ev_loop *loop;
	struct log *log;
	const char *path;    /* of the configuration */
	char **argv;         /* how a successor is started */
	struct config *conf; /* in force */
	struct conns conns;
	struct agent *agent;
	struct spop_server *spop;
	struct event_server *events;
	struct haproxy_api *haproxy;
	struct engines *engines;
	struct cluster *cluster;
	struct redis_client *redis;
	struct ctl_server *ctl;   /* NULL: not configured */
	struct http_server *http; /* NULL: not configured, or handed over */
	struct recorder *recorder;
	struct snapshot_file snapshot;
	struct export export;
	struct upgrade upgrade;
	struct trim trim;
	struct loop_lag lag;
	ev_signal hup, term, interrupt, usr1, usr2;
	ev_timer drain;
	ev_timer tell; /* of what the log left out */
	slo_nsec draining_since;
	bool parting;     /* only goodbyes are left to say */
	bool serves;      /* it has started */
	bool handed_over; /* the snapshot is another's to write */
	int status;       /* for exit() */
	char why[1024];   /* the last reload failed */
};

/* Starts everything; signals are heard on libev's default loop only. conf becomes the daemon's,
 * also when it fails; the others must outlive it. NULL: the reason is logged. */
struct daemon *daemon_new(struct ev_loop *loop, struct log *log, struct config *conf,
                          const char *path, char **argv);
/* Serves, signals included, until it is told to stop. The status for exit(). */
int daemon_run(struct daemon *d);
void daemon_free(struct daemon *d); /* NULL is accepted */

/* Reads the configuration again and puts it in force. False: the old one stays, the reason is
 * logged. Profiles are read again in any case. */
bool daemon_reload(struct daemon *d);

#endif
