/* snapshot_file.h - the snapshot on disk: written every few seconds and on exit, read at start.
 *
 * A child process writes, so the loop waits for a fork() and nothing else. It writes a new file and
 * renames it, so there is always a whole one. */
#ifndef SLO_IO_KEEP_SNAPSHOT_FILE_H
#define SLO_IO_KEEP_SNAPSHOT_FILE_H

#include <limits.h>
#include <sys/stat.h>

#include "io/agent/agent.h"

struct snapshot_file {
	struct agent *agent;
	ev_timer timer;
	ev_child writer;
	pid_t child; /* 0: none writes */
	slo_nsec began;
	struct stat own;      /* the file as we wrote it last; st_ino 0: not yet */
	slo_nsec others_seen; /* when the file was another one; 0: never */
	slo_nsec others_gone; /* how long after that it is over */
	char file[PATH_MAX];  /* as it is configured; "": none */
};

/* Reads snapshot.file of the configuration, where there is one. */
void snapshot_file_load(struct agent *a);
/* Writes nothing until it is configured. */
void snapshot_file_init(struct snapshot_file *f, struct agent *a);
/* a->conf is new. Without a file nothing is written. */
void snapshot_file_configure(struct snapshot_file *f);
/* The last one, written at once; nothing is written after it. */
void snapshot_file_finish(struct snapshot_file *f);
/* Writes no more: another process does. */
void snapshot_file_stop(struct snapshot_file *f);

#endif
