/* log.h - one line per event, to stderr or syslog, and never a wait for whoever reads it.
 *
 * What a peer can cause at will is logged under a cause, which passes LOG_BURST lines in
 * LOG_WINDOW and then counts; the count is told when the window is over.
 *
 * A line that nobody takes (the reader of a pipe has stopped, the disk is full) is lost; how many
 * is told before the next line that passes. stderr itself is left as it is, because others may
 * share it: pipes and terminals are opened again, without blocking. */
#ifndef SLO_IO_BASE_LOG_H
#define SLO_IO_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "slo.h"

#define LOG_BURST  10
#define LOG_WINDOW (10 * SLO_NSEC_PER_SEC)

/* One for each kind of line, so that none hides another. */
enum log_cause {
	LOG_CAUSE_ACCEPT,      /* no descriptors or memory for connections */
	LOG_CAUSE_SPOP_FULL,   /* the limit of connections */
	LOG_CAUSE_SPOP_PEER,   /* connections that end for a reason of theirs */
	LOG_CAUSE_SPOP_SAID,   /* the same, with a status in their DISCONNECT */
	LOG_CAUSE_SPOP_BROKEN, /* connections that we drop */
	LOG_CAUSE_SPOP_CLOSED, /* connections that we close in good order */
	LOG_CAUSE_SPOP_BUSY,   /* frames in flight */
	LOG_CAUSE_EVENT_FULL,
	LOG_CAUSE_EVENT_PEER,
	LOG_CAUSE_EVENT_BROKEN, /* end lines that make no sense */
	LOG_CAUSE_EVENT_OTHER,  /* lines of another kind */
	LOG_CAUSE_EVENT_LOST,
	LOG_CAUSE_EVENT_READ, /* errors of the UDP socket */
	LOG_CAUSE_REQUEST,    /* ids in use */
	LOG_CAUSE_REQUEST_ID, /* ids missing or too long */
	LOG_CAUSE_MEMORY,
	LOG_CAUSE_FLEET, /* servers that come, go and change */
	LOG_CAUSE_HTTP,  /* what libmicrohttpd says */
	LOG_CAUSE_HTTP_FULL,
	LOG_CAUSE_HTTP_PEER, /* connections without a request */
	LOG_CAUSE_REDIS_DOWN,
	LOG_CAUSE_REDIS_UP,
	LOG_CAUSE_REDIS_SCAN,
	LOG_CAUSE_REDIS_TRACE,
	LOG_CAUSE_PROFILE_LOADED, /* this and the following: what others put into Redis */
	LOG_CAUSE_PROFILE_STALE,
	LOG_CAUSE_PROFILE_GPU,
	LOG_CAUSE_PROFILE_REFUSED,
	LOG_CAUSE_PROFILE_GONE,
	LOG_CAUSE_SNAPSHOT,
	LOG_CAUSE_RECORDER,
	LOG_CAUSE_HAPROXY_SILENT, /* this and the following: the runtime API, which may be anything
	                           */
	LOG_CAUSE_HAPROXY_ANSWERS,
	LOG_CAUSE_HAPROXY_PROCESS,
	LOG_CAUSE_HAPROXY_BACKEND,
	LOG_CAUSE_FLEET_JOIN,
	LOG_CAUSES, /* how many there are */
};

struct log {
	int level; /* LOG_DEBUG .. LOG_ERR of <syslog.h>: less urgent lines are left out */
	int fd;    /* -1: nowhere (yet) */
	bool own_fd;
	bool is_socket;
	bool may_block;          /* ask poll() first */
	bool torn;               /* the last line was cut */
	const char *syslog_path; /* NULL: stderr */
	uint64_t lost;           /* lines since the last that passed */
	uint64_t lost_total;
	struct {
		slo_nsec window; /* start of the running one */
		uint32_t passed;
		uint64_t left_out;
		int level; /* of the most urgent one left out */
	} cause[LOG_CAUSES];
};

/* syslog_path is that of the daemon's socket (_PATH_LOG of <paths.h>); NULL: to stderr. */
void log_init(struct log *l, int level, const char *syslog_path);
void log_fini(struct log *l); /* tells what was left out */
bool log_wants(const struct log *l, int level);
/* All but printable ASCII is printed as '?': peers can send anything. Lines are cut at 1,000 bytes.
 */
COLD void log_write(struct log *l, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
COLD void log_limited(struct log *l, slo_nsec now, enum log_cause cause, int level, const char *fmt,
                      ...) __attribute__((format(printf, 5, 6)));
/* Tells what was left out in the windows that are over. */
void log_tell(struct log *l, slo_nsec now);

#endif
