/* trim.h - memory that was freed goes back to the system.
 *
 * The C library keeps freed memory below the last block in use, which after ten thousand held
 * requests is most of it. Every few seconds the resident size is compared with what is allocated;
 * what has come between them since the last time is given back. The loop does not notice: it is
 * one look at a file, and a walk over free blocks only when there is something to give. */
#ifndef SLO_IO_BASE_TRIM_H
#define SLO_IO_BASE_TRIM_H

#include <ev.h>
#include <stddef.h>

struct trim {
	struct ev_loop *loop;
	void (*give_back)(void *arg); /* who keeps spare blocks frees them here, every time */
	void *arg;
	ev_timer timer;
	ptrdiff_t unused; /* bytes: resident and not allocated, after the last time */
};

void trim_watch(struct trim *h, struct ev_loop *loop, void (*give_back)(void *arg), void *arg);
void trim_unwatch(struct trim *h); /* also of one that was never watched */

/* Resident bytes of this process, as the kernel counts them; -1: it cannot be told. */
ptrdiff_t trim_resident(void);

#endif
