/* learn_build.h - deployments that learn from requests of one size. After cmocka.h. */
#ifndef SLO_TESTS_LEARN_BUILD_H
#define SLO_TESTS_LEARN_BUILD_H

#include <stdio.h>

#include "sched_build.h"

static inline void learn(struct rig *r, enum fleet_source source, double kv)
{
	assert_int_equal(sched_source_set(r->s, r->d, source, kv), SLO_OK);
}

static inline struct sched_end serve(struct rig *r, slo_nsec from, slo_nsec to, const char *id)
{
	struct sched_action act;

	submit(r, from, id);
	assert_true(sched_step(r->s, from, &act));
	return end_with(r, to, id,
	                (struct sched_outcome){
			    .outcome = LESSON_ANSWERED, .input = 512, .output = 64, .bytes = -1 });
}

/* n requests one after the other, each of so many seconds; returns when the last ended. */
static inline slo_nsec serve_many(struct rig *r, slo_nsec now, int n, double seconds)
{
	static int number;
	char id[16];

	for (int i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "n%d", number++);
		(void)serve(r, now, now + SEC(seconds), id);
		now += SEC(seconds);
	}
	return now;
}

#endif
