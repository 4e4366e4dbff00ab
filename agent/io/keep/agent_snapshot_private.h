/* The parts of a snapshot that have a file of their own. */
#ifndef SLO_AGENT_IO_KEEP_AGENT_SNAPSHOT_PRIVATE_H
#define SLO_AGENT_IO_KEEP_AGENT_SNAPSHOT_PRIVATE_H

#include "io/agent/agent.h"
#include "wire/file/snapshot.h"

/* What was kept, missed and refused of a model lately, so that the page tells the last hour after a
 * restart, too. Windows of servers begin anew: they would be the larger part of the file. */
void windows_write(struct snapshot_writer *w, slo_nsec now, struct agent_model *m);
/* ago: when it was written. False: nothing of ours. */
bool windows_read(struct agent_model *m, slo_nsec now, slo_nsec ago,
                  const struct snapshot_promises *in);

#endif
