/* agent_snapshot.h - what an agent knows as a snapshot (wire/file/snapshot.h), and back.
 *
 * Kept: the leases of requests in flight, those of other agents too; what was learned of sizes and
 * times, and what was found out about profiles; how many promises were kept lately; and the servers
 * that patterns found. Not kept: waiting requests, whose connections end with the process. */
#ifndef SLO_IO_KEEP_AGENT_SNAPSHOT_H
#define SLO_IO_KEEP_AGENT_SNAPSHOT_H

#include "io/agent/agent.h"
#include "wire/file/snapshot.h"

/* For snapshot_writer_free(); NULL: out of memory. */
struct snapshot_writer *agent_snapshot_write(struct agent *a, slo_nsec now, struct slice *out);
/* Into an agent that no request has reached yet. What is not fresh (older than max_age), not sound,
 * or of a model or server that is no more, is left out; the log says what was taken, from
 * `source`. */
void agent_snapshot_restore(struct agent *a, slo_nsec now, struct slice file, slo_nsec max_age,
                            const char *source);

#endif
