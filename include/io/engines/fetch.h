/* fetch.h - pages over HTTP, many at a time, on the loop.
 *
 * libcurl says which sockets to watch and when to call it again; libev does both. A page has a
 * deadline and a largest size, comes without redirects and without a proxy, and is whole or not at
 * all. Names are looked up by libcurl's own thread, for which nobody waits (before libcurl 7.87 the
 * end of a page waits for it). */
#ifndef SLO_IO_ENGINES_FETCH_H
#define SLO_IO_ENGINES_FETCH_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

#define FETCH_SIZE_MAX ((size_t)2 << 20) /* bytes of a page */
#define FETCH_SECONDS  5                 /* for all of it */
#define FETCH_KEPT     64                /* idle connections */

struct fetches;

struct fetch_user {
	void *user;
	void (*bytes)(void *user, struct slice bytes);
	/* why NULL: the page is whole. Else what came of it is of no use. why is valid until it
	 * returns. */
	void (*over)(void *user, const char *why);
};

/* NULL: out of memory. */
struct fetches *fetches_new(struct ev_loop *loop);
/* The open ones end without a callback. NULL is accepted. */
void fetches_free(struct fetches *f);
size_t fetches_open(const struct fetches *f);
/* The url is copied. No callback comes before this returns. False: out of memory. */
bool fetch_start(struct fetches *f, const char *url, const struct fetch_user *user);

#endif
