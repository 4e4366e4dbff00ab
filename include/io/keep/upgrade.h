/* upgrade.h - a new program takes over from a running one, which refuses no connection.
 *
 *     old                                    new
 *     SIGUSR2: fork, exec with the
 *     listening sockets and a memory file -> reads its configuration, claims the sockets
 *                                         <- "ready"
 *     stops accepting and reading, answers
 *     what it holds, writes the snapshot  -> takes it up, serves
 *     says goodbye to HAProxy, exits
 *
 * A new one that waited for TAKEOVER_WAIT says "alone" and serves: the old one was stopped, or
 * hangs. When that goes on it leaves too, because two would each think that the servers are its
 * own.
 *
 * Until "ready" the old one goes on as if nothing were; if the new one fails before, that is a line
 * in the log and no more. */
#ifndef SLO_IO_KEEP_UPGRADE_H
#define SLO_IO_KEEP_UPGRADE_H

#include <ev.h>

#include "io/base/listeners.h"
#include "io/base/log.h"
#include "slo.h"

/* The old side. */
struct upgrade {
	struct ev_loop *loop;
	struct log *log;
	pid_t child;   /* 0: none is under way */
	int memory;    /* the snapshot's way */
	int channel;   /* the words "ready", "go", "alone" */
	bool is_ready; /* "ready" was heard */
	bool serves;   /* "alone" was heard: it must not be ended any more */
	bool failed;   /* the last one: another program or configuration may do better */
	ev_io ready;
	ev_child gone;
	ev_timer deadline;
	/* The new program is ready: from now on nothing may be read, accepted or answered but by
	 * what this does before upgrade_go(). */
	void (*hand_over)(void *user);
	void *user;
};

void upgrade_init(struct upgrade *u, struct ev_loop *loop, struct log *log,
                  void (*hand_over)(void *user), void *user);
/* Starts argv[0] with these sockets. Says in the log how it goes. */
void upgrade_start(struct upgrade *u, const struct listeners *l, char **argv);
/* Gives the snapshot and the word. True: the new one serves. False: it died just now, and nobody
 * does; the reason is logged. */
MUSTCHECK bool upgrade_go(struct upgrade *u, struct slice snapshot);
/* Ends a new program that was not given the word: it would go on where this one is told to stop. */
void upgrade_cancel(struct upgrade *u);

/* The new side. */
struct takeover {
	int memory, channel; /* -1: nobody to take over from */
};

/* Looks into the environment, and clears that from it. */
struct takeover takeover_init(void);
#define TAKEOVER_WAIT 30000 /* ms until the old one must have handed over */
/* Says "ready" and waits `ms` for the snapshot, for free(); p NULL: none, the reason is logged. */
struct slice takeover_wait(struct takeover *t, int ms, struct log *log);

#endif
