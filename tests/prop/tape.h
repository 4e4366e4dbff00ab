/* tape.h - a recording that is played while it is made: what the scheduler tells its tap is
 * written, read again and done by a player, which has to decide the same. */
#ifndef PROP_TAPE_H
#define PROP_TAPE_H

#include <stdbool.h>

#include "core/sched.h"

struct tape;

struct tape *tape_new(struct sched *s); /* NULL: out of memory */
void tape_free(struct tape *t);         /* NULL is accepted */
/* Begins anew with the present state; s is quiet. */
void tape_restart(struct tape *t, slo_nsec now);
/* NULL: all was the same so far. */
const char *tape_difference(const struct tape *t);
/* Whether the player has as much on the server. */
bool tape_has(const struct tape *t, const struct server *server);

#endif
