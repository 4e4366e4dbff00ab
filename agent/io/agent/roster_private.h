/* roster_private.h - what the files of the roster share. */
#ifndef SLO_IO_AGENT_ROSTER_PRIVATE_H
#define SLO_IO_AGENT_ROSTER_PRIVATE_H

#include <string.h>

#include "io/agent/agent.h"

/* Kept until the end: there are as few as names were ever configured. */
struct roster_backend {
	UT_hash_handle hh;
	TAILQ_HEAD(roster_servers, roster_server) servers;
	uint64_t seen_in; /* the last view that named one of its servers */
	/* Servers that no deployment wants: in the last complete view, and in the running one. */
	uint32_t unlisted, unlisted_now;
	uint64_t unlisted_in;   /* the view that unlisted_now is of */
	char unlisted_name[64]; /* one of them, cut */
	char name[];
};

/* HAProxy has it. */
static inline bool roster_is_told(const struct roster_server *s)
{
	return s->state != SLO_SERVER_UNTOLD && s->state != SLO_SERVER_ABSENT;
}

struct roster_backend *roster_backend_find(const struct roster *f, struct slice name);
struct roster_backend *roster_backend_get(struct roster *f, const char *name); /* NULL: no memory */
/* A server that is not known yet; NULL: no memory. */
struct roster_server *roster_server_register(struct agent *a, struct roster_backend *b,
                                             struct slice name);
/* Whether it is used follows from its state and its configuration. */
void roster_apply(struct agent *a, struct roster_server *s);
/* False: there is no memory, which is logged. */
bool roster_seat_give(struct agent *a, const struct agent_model *m, struct deployment *d,
                      struct roster_server *s);

#endif
