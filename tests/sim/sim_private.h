/* sim_private.h - what the files of one run share. */
#ifndef SIM_SIM_PRIVATE_H
#define SIM_SIM_PRIVATE_H

#include "sim.h"

struct sim_server {
	struct engine *engine;
	struct server *core; /* the scheduler's */
	uint32_t type;
	uint32_t index;
};

struct usage_sum {
	double load, kv;
	slo_nsec busy;        /* at the start of the measurement, negative; then the difference */
	size_t samples, idle; /* idle: those at which a waiting request had room */
};

struct sim {
	const struct sim_conf *conf;
	struct sim_result *out;
	struct sched *sched;
	struct sched_model *models[WORKLOADS_MAX]; /* by workload; mostly all the same */
	struct sim_server *servers;
	size_t server_count;
	struct deployment *learning[SIM_TYPES_MAX]; /* by type, the last one that was added */
	struct rng errors;
	bool slowed[SIM_SLOW_MAX], forgot;
	size_t turn;                 /* of round-robin */
	size_t arrived;              /* requests[] before it were submitted */
	size_t *finished, finishing; /* in the step that is being ended */
	slo_nsec from, until, sample_at;
	struct usage_sum usage[SIM_TYPES_MAX];
};

/* What conf says goes wrong at this moment. Called at every event, so a change is never late by
 * more than a step. */
void sim_disturb(struct sim *s, slo_nsec now);

#endif
