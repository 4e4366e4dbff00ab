/* player_private.h - what the files of the player share. */
#ifndef SLO_CORE_RECORD_PLAYER_PRIVATE_H
#define SLO_CORE_RECORD_PLAYER_PRIVATE_H

#include <string.h>

#include "core/sched.h"
#include "slo_event.h"

/* Whether the text of e may be a request's id. */
static inline bool player_id_sane(const struct slo_event *e)
{
	return e->text.len > 0 && e->text.len <= SLO_ID_MAX && !memchr(e->text.p, 0, e->text.len);
}

/* Points in time beyond that would overflow when spans are added. */
#define PLAYER_TIME_MAX (INT64_C(1) << 60)
static inline bool player_time_sane(slo_nsec t)
{
	return t > -PLAYER_TIME_MAX && t < PLAYER_TIME_MAX;
}

/* Events about what a model promises and its deployments learned. The model, deployment and seat
 * are those that e names; NULL: there is none. SLO_EINVAL: e makes no sense. */
MUSTCHECK slo_err player_promise(struct sched *s, struct sched_model *m, const struct slo_event *e);
MUSTCHECK slo_err player_source(struct sched *s, struct deployment *d, const struct slo_event *e);
MUSTCHECK slo_err player_server_change(struct sched *s, struct server *server,
                                       const struct slo_event *e);
MUSTCHECK slo_err player_floor(struct sched *s, struct deployment *d, const struct slo_event *e);
MUSTCHECK slo_err player_guard(struct sched *s, struct deployment *d, const struct slo_event *e);
MUSTCHECK slo_err player_slower(struct sched *s, struct seat *seat, const struct slo_event *e);

MUSTCHECK slo_err player_stake(struct sched *s, const struct slo_event *e);

/* A request that ran when the recording began, or was taken up since. */
MUSTCHECK slo_err player_lease(struct sched *s, struct sched_model *m, struct server *server,
                               const struct slo_event *e);
/* A request of another agent comes, or ends. */
MUSTCHECK slo_err player_foreign(struct sched *s, struct sched_model *m, struct server *server,
                                 const struct slo_event *e);
MUSTCHECK slo_err player_foreign_end(struct sched *s, const struct slo_event *e);
MUSTCHECK slo_err player_fresh(struct sched *s, const struct slo_event *e);

#endif
