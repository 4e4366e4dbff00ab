/* player.h - a scheduler that does what another one told through its tap. */
#ifndef SLO_CORE_RECORD_PLAYER_H
#define SLO_CORE_RECORD_PLAYER_H

#include "core/sched.h"
#include "slo_event.h"

struct player;

struct player *player_new(void);              /* NULL: out of memory */
void player_free(struct player *p);           /* NULL is accepted */
struct sched *player_sched(struct player *p); /* NULL until START */

/* What the numbers stand for; NULL: nothing. */
struct sched_model *player_model(const struct player *p, uint64_t number);
struct server *player_server(const struct player *p, uint64_t number);

/* What a SUBMIT that was applied once asks for. Points into e. */
struct sched_request player_request(const struct player *p, const struct slo_event *e);
/* Does what e tells, where a STEP or DECISION is a step and *acted whether it answered; *act is
 * valid until the next call. PASS is not for the player. SLO_EINVAL: e makes no sense after what
 * was told before, *why is a constant text. SLO_ENOMEM. */
MUSTCHECK slo_err player_apply(struct player *p, const struct slo_event *e,
                               struct sched_action *act, bool *acted, const char **why);

#endif
