/* recorder.h - what the scheduler is told and decides, kept in files that slo-replay can play.
 *
 * `file` is being written; when it is full it becomes file.1, file.1 becomes file.2 and so on. Each
 * file begins with the state of that moment, so it can be played without the others. What is told
 * is collected and written every second, or 64 KB, by write() from the loop.
 *
 * What cannot be written is lost and counted; a new file is tried every RECORDER_RETRY. */
#ifndef SLO_IO_KEEP_RECORDER_H
#define SLO_IO_KEEP_RECORDER_H

#include "io/agent/agent.h"

#define RECORDER_RETRY (10 * SLO_NSEC_PER_SEC)

struct recorder;

struct recorder_counts {
	uint64_t records, bytes; /* written */
	uint64_t lost;           /* records */
	uint64_t files;          /* begun */
};

/* Does nothing until it is configured. NULL: out of memory. */
struct recorder *recorder_new(struct agent *a);
void recorder_free(struct recorder *r); /* writes what there is; NULL is accepted */
/* a->conf is new. Without a file nothing is recorded. */
void recorder_configure(struct recorder *r);

struct recorder_counts recorder_counts(const struct recorder *r);
bool recorder_is_on(const struct recorder *r);

#endif
