/* sim_private.h - what the files of one run share. */
#ifndef SIM_SIM_PRIVATE_H
#define SIM_SIM_PRIVATE_H

#include "core/foreign.h"
#include "sim.h"
#include "wire/engine_text.h"

#define SIM_ID_MAX 32

struct sim_server {
	struct engine *engine;
	uint32_t type;
	uint32_t index;
	slo_load used;    /* charged by all agents, known to each other or not */
	slo_nsec look_at; /* its metrics */
	struct engine_queue queue;
};

/* Where one head waits, as far as another agent knows. */
struct sim_head {
	slo_nsec start; /* its latest start, SLO_NEVER: none waits */
};

/* One of the schedulers that share the servers. */
struct sim_agent {
	struct sim *sim;
	size_t index;
	struct sched *sched;
	struct server **servers;                    /* its own of each */
	struct sched_model *models[WORKLOADS_MAX];  /* by workload; mostly all the same */
	struct deployment *learning[SIM_TYPES_MAX]; /* by type, the last one that was added */
	struct foreign_owner *peers[SIM_AGENTS_MAX];
	slo_nsec head[SIM_AGENTS_MAX]; /* latest start of what waits first at others, as was told */
	slo_nsec told;                 /* of ours */
	bool freed;                    /* something ended, and nothing was decided since */
	bool yielding;
	slo_nsec yields_until;
};

/* On its way to all agents but `from`. */
struct sim_message {
	slo_nsec due;
	size_t from;
	enum { SIM_DISPATCH, SIM_END, SIM_HEAD } what;
	size_t request;
	struct foreign_lease lease;
	struct sched_outcome outcome;
	slo_nsec lasted;
	slo_nsec head;
};

/* A queue: each takes as long as the others. */
struct sim_news {
	struct sim_message *message; /* [cap], a power of 2 */
	size_t first, next, cap;
};

struct usage_sum {
	double load, kv;
	slo_nsec busy;        /* at the start of the measurement, negative; then the difference */
	size_t samples, idle; /* idle: those at which a waiting request had room */
};

struct sim {
	const struct sim_conf *conf;
	struct sim_result *out;
	struct sim_agent *agents;
	size_t agent_count;
	struct sim_news news;
	struct sim_server *servers;
	size_t server_count;
	struct rng errors, split;
	bool slowed[SIM_SLOW_MAX], forgot;
	bool failed;                 /* no memory for a message */
	size_t turn;                 /* of round-robin */
	size_t arrived;              /* requests[] before it were submitted */
	size_t *finished, finishing; /* in the step that is being ended */
	slo_nsec from, until, sample_at;
	struct usage_sum usage[SIM_TYPES_MAX];
};

size_t sim_make_id(char id[SIM_ID_MAX], size_t i);
bool sim_complain(char error[WORKLOAD_ERROR], const char *what, const char *which);

/* Servers, agents, models; then sim_clear(), even if that failed. */
bool sim_build(struct sim *s, uint64_t seed, char error[WORKLOAD_ERROR]);
void sim_clear(struct sim *s);

/* What conf says goes wrong at this moment. Called at every event, so a change is never late by
 * more than a step. */
void sim_disturb(struct sim *s, slo_nsec now);

/* The metrics of the engines whose time has come. */
void sim_look_at_engines(struct sim *s, slo_nsec now);

/* Several agents. */

/* Each hears of the others, unless conf says that they are apart. False: out of memory. */
bool sim_join(struct sim *s);
/* Whom the next request is sent to. */
struct sim_agent *sim_asked(struct sim *s);
/* When the next message comes; SLO_NEVER: none is on its way. */
slo_nsec sim_next_news(const struct sim *s);
/* All that are due. */
void sim_deliver(struct sim *s, slo_nsec now);
/* Whether a leaves room alone now, for somebody whose request is more urgent. */
bool sim_yields(struct sim_agent *a, slo_nsec now);
/* Tells the others what waits first here. */
void sim_tell_head(struct sim_agent *a, slo_nsec now);
/* What is on a server in truth. */
void sim_charge(struct sim *s, struct sim_request *r, const struct sched_action *act);
void sim_release(struct sim *s, const struct sim_request *r);
slo_load sim_load(const struct sim *s, const struct sim_server *server);

#endif
