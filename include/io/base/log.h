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

/* One for each kind of line, so that none hides another. X(NAME, what the lines left out are
 * about): enum and text come from this one list, so neither can lack what the other has. */
#define LOG_CAUSE_LIST(X)                                                     \
	X(ACCEPT, "connections that could not be accepted")                   \
	X(SPOP_FULL, "spop connections over the limit")                       \
	X(SPOP_PEER, "spop connections that broke off")                       \
	X(SPOP_SAID, "spop peers that gave a reason to leave")                \
	X(SPOP_BROKEN, "spop connections that were dropped")                  \
	X(SPOP_CLOSED, "spop connections that were closed in good order")     \
	X(SPOP_BUSY, "spop connections with too many frames in flight")       \
	X(EVENT_FULL, "event connections over the limit")                     \
	X(EVENT_PEER, "event connections that broke off")                     \
	X(EVENT_BROKEN, "end lines that make no sense")                       \
	X(EVENT_OTHER, "lines that are no end lines")                         \
	X(EVENT_LOST, "rings that overflowed")                                \
	X(EVENT_READ, "datagrams that could not be read")                     \
	X(PEER_USER, "connections of users that are not among peers")         \
	X(SECRET, "what came without the secret")                             \
	X(REQUEST, "unique-ids in use")                                       \
	X(REQUEST_ID, "requests without a valid unique-id")                   \
	X(MODEL, "models that are not configured")                            \
	X(ARGUMENT, "headers that are no numbers")                            \
	X(EMPTY, "servers whose answers are empty")                           \
	X(MEMORY, "memory running out")                                       \
	X(FLEET, "servers that come, go and change")                          \
	X(NOTICE_DOUBTED, "notices that HAProxy contradicts")                 \
	X(FLEET_JOIN, "servers that join by a pattern")                       \
	X(FAILING, "servers that fail")                                       \
	X(MOVED, "requests that HAProxy redispatched")                        \
	X(SKIPPED, "requests that HAProxy sent elsewhere")                    \
	X(MISNAMED, "requests that HAProxy sent to unknown servers")          \
	X(UNHEARD, "requests of which HAProxy heard no answer")               \
	X(HTTP, "http errors")                                                \
	X(HTTP_FULL, "http connections that were refused")                    \
	X(HTTP_PEER, "http connections without a request")                    \
	X(REDIS_DOWN, "attempts to reach Redis")                              \
	X(REDIS_UP, "connections to Redis")                                   \
	X(REDIS_SCAN, "scans of Redis")                                       \
	X(REDIS_TRACE, "request traces that were not taken")                  \
	X(PROFILE_LOADED, "profiles from Redis")                              \
	X(PROFILE_STALE, "profiles from Redis that are not newer")            \
	X(PROFILE_GPU, "profiles from Redis with another gpu")                \
	X(PROFILE_REFUSED, "profiles from Redis that were refused")           \
	X(PROFILE_DOUBT, "profiles from Redis that are probably wrong")       \
	X(PROFILE_GONE, "profiles that went from Redis")                      \
	X(LEARNED, "learned times that became better or worse")               \
	X(EXPORT, "learned profiles that could not be written")               \
	X(SNAPSHOT, "snapshots that could not be written")                    \
	X(RECORDER, "recordings that could not be written")                   \
	X(HAPROXY_SILENT, "HAProxy processes that do not answer")             \
	X(HAPROXY_ANSWERS, "HAProxy processes that answer again")             \
	X(HAPROXY_PROCESS, "HAProxy processes that took the place of others") \
	X(HAPROXY_BACKEND, "backends that HAProxy does not know")             \
	X(CLUSTER_UP, "connections to the cluster's Redis")                   \
	X(CLUSTER_PEER, "agents that come and go")                            \
	X(CLUSTER_GAP, "gaps in the news of others")                          \
	X(CLUSTER_NAME, "messages of processes with our name")                \
	X(CLUSTER_KEY, "keys that went from the cluster's Redis")             \
	X(CLUSTER_REFUSED, "commands that the cluster's Redis refused")       \
	X(CLUSTER_BROKEN, "messages of others that make no sense")            \
	X(CTL_TOLD, "commands on the control socket")                         \
	X(CTL, "connections to the control socket")                           \
	X(WARNING, "warnings that came")                                      \
	X(WARNING_OVER, "warnings that are over")

enum log_cause {
#define LOG_CAUSE_MEMBER(name, about) LOG_CAUSE_##name,
	LOG_CAUSE_LIST(LOG_CAUSE_MEMBER)
#undef LOG_CAUSE_MEMBER
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
