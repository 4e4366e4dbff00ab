/* foreign_build.h - what other agents tell the small scheduler of sched_build.h. After cmocka.h. */
#ifndef SLO_TESTS_FOREIGN_BUILD_H
#define SLO_TESTS_FOREIGN_BUILD_H

#include "core/foreign.h"
#include "sched_build.h"

#define HALF (SLO_LOAD_ONE / 2)

static inline struct foreign_owner *owner(struct rig *r, const char *name)
{
	struct foreign_owner *o = foreign_owner(r->s, name, strlen(name));

	assert_non_null(o);
	return o;
}

static inline struct foreign_lease lease(struct rig *r, const char *id, int server)
{
	return (struct foreign_lease){ .id = id,
		                       .id_len = strlen(id),
		                       .model = r->m,
		                       .server = r->server[server],
		                       .load = HALF,
		                       .age = MSEC(1),
		                       .input = 512,
		                       .output = 64,
		                       .strategy = SLO_STRATEGY_SLO,
		                       .estimate = -1,
		                       .limit = -1,
		                       .sequences = 1 };
}

static inline slo_err dispatch(struct rig *r, slo_nsec now, struct foreign_owner *o,
                               const struct foreign_lease *l)
{
	slo_err err = foreign_dispatch(r->s, now, o, l);

	sched_check(r->s);
	return err;
}

static inline void placed(struct rig *r, slo_nsec now, struct foreign_owner *o, const char *id,
                          int server)
{
	const struct foreign_lease l = lease(r, id, server);

	assert_int_equal(dispatch(r, now, o, &l), SLO_OK);
}

static inline slo_err placed_again(struct rig *r, slo_nsec now, struct foreign_owner *o,
                                   const char *id)
{
	const struct foreign_lease l = lease(r, id, 0);

	return dispatch(r, now, o, &l);
}

static const struct sched_outcome answered = {
	.outcome = LESSON_ANSWERED, .input = 500, .output = 40, .bytes = -1
};

static inline enum sched_end_result ended(struct rig *r, slo_nsec now, struct foreign_owner *o,
                                          const char *id)
{
	struct sched_end out;

	foreign_end(r->s, now, o, id, strlen(id), &answered, -1, &out);
	sched_check(r->s);
	return out.result;
}

static inline enum sched_end_result line(struct rig *r, slo_nsec now, const char *id)
{
	return end_with(r, now, id, answered).result;
}

static inline uint32_t inflight(const struct rig *r, int server)
{
	return r->server[server]->ledger.inflight;
}

static inline uint64_t learned(const struct rig *r, slo_nsec now)
{
	return predictor_samples(r->m->predictor, now);
}

#endif
