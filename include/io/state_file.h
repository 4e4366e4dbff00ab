/* state_file.h - the snapshot on disk: written every few seconds and on exit, read at start.
 *
 * A child process writes, so the loop waits for a fork() and nothing else. It writes a new file and
 * renames it, so there is always a whole one. */
#ifndef SLO_IO_STATE_FILE_H
#define SLO_IO_STATE_FILE_H

#include "io/agent.h"

struct state_file {
	struct agent *agent;
	ev_timer timer;
	ev_child writer;
	pid_t child; /* 0: none writes */
	slo_nsec began;
};

/* Reads snapshot.file of the configuration, where there is one. */
void state_file_load(struct agent *a);
/* Begins to write it. Without that key nothing happens. */
void state_file_start(struct state_file *f, struct agent *a);
/* After a change of the configuration. */
void state_file_configure(struct state_file *f);
/* The last one, written at once; nothing is written after it. */
void state_file_finish(struct state_file *f);
/* Writes no more: another process does. */
void state_file_stop(struct state_file *f);

#endif
