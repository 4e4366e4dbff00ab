/* lease.h - requests in flight, as another process can take them up.
 *
 * A lease is a dispatched request. Its times count in the clock of the scheduler that has it; who
 * writes them down keeps ages. Taken up, it is as if this scheduler had placed it: its end line
 * releases exactly its load. */
#ifndef SLO_CORE_LEASE_H
#define SLO_CORE_LEASE_H

#include "core/sched.h"

struct sched_lease {
	const char *id; /* id_len in 1..SLO_ID_MAX */
	size_t id_len;
	struct sched_model *model; /* NULL: it is gone */
	struct server *server;     /* has a seat in the model, if it did not leave */
	slo_load load;             /* 0..SLO_LOAD_MAX */
	slo_nsec created, arrived, dispatched;
	int64_t input, output, estimate; /* tokens; estimate -1: input was told */
	enum slo_strategy strategy;
	bool stream, stream_guessed, fallback;
	int64_t limit;     /* of its output tokens, -1: none */
	int64_t sequences; /* 0 is 1 */
	unsigned class;    /* PREDICTOR_UNKNOWN: one that is not known */
	unsigned mute;     /* LESSON_NO_... */
	struct goal goal;
};

/* The oldest one, or the next younger one than r; NULL: no more. */
const struct request *lease_first(const struct sched *s);
const struct request *lease_next(const struct request *r);
/* NULL: no request of that id is dispatched. */
const struct request *lease_find(const struct sched *s, const char *id, size_t len);
struct sched_lease lease_of(const struct request *r);

/* Before any request is submitted, oldest first. SLO_EINVAL: the id is in use, the server has no
 * seat in the model, or a value is out of range; SLO_ENOMEM. */
MUSTCHECK slo_err lease_restore(struct sched *s, const struct sched_lease *l);

#endif
