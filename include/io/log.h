/* log.h - one line per event, to stderr or syslog.
 *
 * What a peer can cause at will is logged under a cause, which passes LOG_BURST lines in
 * LOG_WINDOW and then counts; the count is told with the next line that passes. */
#ifndef SLO_IO_LOG_H
#define SLO_IO_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "slo.h"

#define LOG_BURST  10
#define LOG_WINDOW (10 * SLO_NSEC_PER_SEC)

enum log_cause {
	LOG_CAUSE_ACCEPT,
	LOG_CAUSE_SPOP_PEER,   /* connections that end for a reason of theirs */
	LOG_CAUSE_SPOP_BROKEN, /* connections that we drop */
	LOG_CAUSE_EVENT_PEER,
	LOG_CAUSE_EVENT_BROKEN, /* lines that make no sense */
	LOG_CAUSE_EVENT_LOST,
	LOG_CAUSE_REQUEST,
	LOG_CAUSE_MEMORY,
	LOG_CAUSE_HTTP,
};
#define LOG_CAUSES 9

struct log {
	int level; /* LOG_DEBUG .. LOG_ERR of <syslog.h>: less urgent lines are left out */
	bool syslog;
	struct {
		slo_nsec window; /* start of the running one */
		uint32_t passed;
		uint64_t left_out;
	} cause[LOG_CAUSES];
};

void log_init(struct log *l, int level, bool to_syslog);
bool log_wants(const struct log *l, int level);
/* All but printable ASCII is printed as '?': peers can send anything. Lines are cut at 1,000 bytes.
 */
void log_write(struct log *l, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void log_limited(struct log *l, slo_nsec now, enum log_cause cause, int level, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
