/* fleet_private.h - what the files of the fleet share. */
#ifndef SLO_IO_FLEET_PRIVATE_H
#define SLO_IO_FLEET_PRIVATE_H

#include <string.h>

#include "io/agent.h"

/* Kept until the end: there are as few as names were ever configured. */
struct fleet_backend {
	UT_hash_handle hh;
	TAILQ_HEAD(fleet_servers, fleet_server) servers;
	uint64_t seen_in; /* the last view that named one of its servers */
	char name[];
};

static inline struct slice fleet_slice(const char *s)
{
	return (struct slice){ (const uint8_t *)s, strlen(s) };
}

/* HAProxy has it. */
static inline bool fleet_is_told(const struct fleet_server *s)
{
	return s->state != FLEET_UNTOLD && s->state != FLEET_ABSENT;
}

struct fleet_backend *fleet_backend_find(const struct fleet *f, struct slice name);
struct fleet_backend *fleet_backend_get(struct fleet *f, const char *name); /* NULL: no memory */
struct fleet_server *fleet_server_find(const struct fleet *f, struct slice backend,
                                       struct slice name);
/* A server that is not known yet; NULL: no memory. */
struct fleet_server *fleet_server_register(struct agent *a, struct fleet_backend *b,
                                           struct slice name);
/* Whether it is used follows from its state and its configuration. */
void fleet_apply(struct agent *a, struct fleet_server *s);
/* False: there is no memory, which is logged. */
bool fleet_seat_give(struct agent *a, struct deployment *d, struct fleet_server *s);

#endif
