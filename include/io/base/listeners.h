/* listeners.h - the sockets that this process listens on, opened or inherited.
 *
 * They may come from systemd (socket activation: LISTEN_PID, LISTEN_FDS) or from the process that
 * this one takes over from, which speaks the same protocol. An inherited socket serves the
 * configured address that it is bound to; what no address claims is closed. */
#ifndef SLO_IO_BASE_LISTENERS_H
#define SLO_IO_BASE_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/listen_addr.h"
#include "io/base/log.h"

#define LISTENERS_MAX 64

struct listeners {
	int fd[LISTENERS_MAX];
	bool claimed[LISTENERS_MAX]; /* serves an address of the configuration */
	size_t count;
};

/* Takes what the environment says was passed on, and clears that from it. */
void listeners_inherit(struct listeners *l);
/* A socket for this address, as socket_listen() gives it: -1 with a text in why. */
int listeners_open(struct listeners *l, const struct listen_addr *a, int udp_buffer, char *why,
                   size_t cap);
/* Closes a socket of listeners_open(). */
void listeners_close(struct listeners *l, int fd);
/* Closes what was inherited and not claimed. */
void listeners_close_unclaimed(struct listeners *l, struct log *log);

/* Between fork() and exec(): makes the sockets and then extra[] descriptors 3, 4, ... of the new
 * program, closes all others and sets the environment. False: see errno. */
bool listeners_pass(const struct listeners *l, const int *extra, size_t extras);

#endif
