/* sim.h - one run: requests arrive, the scheduler of the daemon decides, simulated engines serve.
 * Pure but for memory: virtual time, seeded draws, the same result on every run.
 *
 *   arrival -> sched_submit -> queue -> route -> engine: first token ... last -> sched_end
 *                               |                                  (learned from, load released)
 *                               +-> reject: over, its SLO is missed
 *
 * There is no network and no gateway: a decision takes no time, and a server that frees room gets
 * the next request at the step after. Every request ends exactly once. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sched.h"
#include "engine.h"
#include "slo_profile.h"
#include "workload.h"

#define SIM_TYPES_MAX   8
#define SIM_SERVERS_MAX 1024
#define SIM_AGENTS_MAX  64

/* Who chooses the server. All but round-robin are decided by the core. */
enum sim_chooser {
	SIM_CORE,        /* `core` below, over the whole fleet */
	SIM_ROUND_ROBIN, /* each server in turn */
	/* HAProxy's leastconn with a maxconn: fewest requests, at most conf.maxconn on a server,
	 * the rest waits in order of arrival, up to the queue timeout. */
	SIM_MAXCONN,
	/* The same, but the rest waits in order of the latest start that keeps conf.slo: what of
	 * slo's gain is the order of its queue? */
	SIM_MAXCONN_SLACK,
	/* Bounds, not routers: both choose by least-request among the servers they may use. */
	SIM_ORACLE, /* each workload only on the type meant for it */
	SIM_SCALAR, /* as many servers as the fleet has, all of the dearest type */
};

struct sim_strategy {
	const char *name;
	enum sim_chooser chooser;
	enum slo_strategy core;
};
extern const struct sim_strategy sim_strategies[]; /* ends with a NULL name */
const struct sim_strategy *sim_strategy_find(const char *name, size_t len); /* NULL: unknown */

struct sim_type {
	char gpu[32];
	uint32_t servers;
	const struct slo_profile_doc *profile; /* NULL: none */
};

/* TYPE=COUNT,...; false: not like that, or a type twice. */
bool sim_parse_fleet(const char *text, struct sim_type out[SIM_TYPES_MAX], size_t *count);

/* GPU[/N]:SPEED@FROM-TO: a type, or its N-th server, runs at that share of its speed for a while,
 * or with 0 is out of use. */
#define SIM_SLOW_MAX 8
struct sim_slow {
	char gpu[32];
	uint32_t server; /* from 1; 0: all of the type */
	double speed, from, to;
};
bool sim_parse_slow(const char *text, struct sim_slow *out);

/* PRIORITY:SHARE, a priority other than 0 and a share between 0 and 1. */
bool sim_parse_priority(const char *text, int32_t *priority, double *share);

/* SHARE:BYTES, of the requests and of a token. */
bool sim_parse_streams(const char *text, double *share, double *event);

struct sim_conf {
	struct sim_type types[SIM_TYPES_MAX];
	size_t type_count;
	const struct workload *workloads;
	size_t workload_count;
	double load;
	struct burst burst;
	double seconds;
	const struct sim_strategy *strategy;
	struct engine_conf engine; /* all but the GPU */
	struct sched_conf sched;   /* all but the seed */
	int64_t max_output;        /* of every request, as clients ask for it; -1: none */
	double input_error;        /* sd of the logarithm of estimated / real prompt tokens */
	double optimism;           /* multiplies the throughput of all profiles */
	uint32_t maxconn;          /* of SIM_MAXCONN and SIM_MAXCONN_SLACK */
	struct goal slo;           /* of SIM_MAXCONN_SLACK, and the promise of models that learn */
	struct sim_slow slow[SIM_SLOW_MAX]; /* servers that change their speed */
	size_t slow_count;
	double cached;    /* share of every prompt that engines find in a cache */
	double forget;    /* seconds; then all that was learned is forgotten; 0: never */
	double engines;   /* seconds from one look at the engines' metrics to the next; 0: none */
	double kv_factor; /* what learning is told of the KV cache, of the truth; 0: nothing */
	/* A share of the requests, at random, has that priority; the rest has 0. */
	int32_t priority;
	double prioritized;
	/* A share of the requests, at random, asks for a stream: its end tells bytes only. */
	double streamed;
	double event;     /* bytes of a token in a stream */
	bool bytes;       /* ends tell the bytes of an answer, and no tokens */
	bool learned;     /* times are learned; types have no profile */
	bool output_told; /* the core is told the true output, it predicts nothing */
	bool prior;       /* types have a profile, and times are learned from it on */
	bool forget_kept; /* what is forgotten comes back from a snapshot */
	bool apart;       /* agents know nothing of each other */
	bool greedy;      /* they spare nothing for each other, see foreign_others() */
	/* Several schedulers over one fleet: */
	size_t agents;  /* 0 is 1; each gets its part of the requests */
	double skew;    /* the first one's part, 0: as large as the others' */
	slo_nsec delay; /* of what they tell each other */
	slo_nsec turn;  /* see foreign_deal_turns() */
	slo_nsec
	    yield; /* so long room is left to a more urgent request of another; 0: not at all */
};

enum sim_end {
	SIM_SERVED,
	SIM_REJECTED, /* by the scheduler */
	SIM_REFUSED,  /* by the server: can never fit into its KV cache */
};

struct sim_request {
	struct arrival arrival;
	enum sim_end end;
	enum slo_reason reason; /* of a reject */
	bool stream;
	int32_t priority;
	int32_t input, output; /* tokens as the core thought */
	uint32_t type;         /* index in conf.types; of a served or refused one */
	uint32_t server;       /* counted over all types */
	float load;            /* charged */
	slo_load charged;      /* likewise, exactly */
	uint32_t agent;        /* that decided */
	slo_nsec waited;       /* in the queue */
	slo_nsec first, last;  /* the moments of those tokens; of a served one */
	/* Where times are learned: */
	uint32_t ends; /* that had taught its type before it ended, itself too; 0: it did not */
	float ratio;   /* of its time and what was predicted before it taught */
};

/* Means over [from, seconds] of conf. */
struct sim_usage {
	double busy; /* share of the time in steps */
	double load; /* as the ledger sees it, 1 = full */
	double kv;   /* share of the KV cache held */
	double idle; /* seconds in which requests waited that had room here */
};

struct sim_result {
	struct sim_type types[SIM_TYPES_MAX]; /* as run: scalar changes the fleet */
	size_t type_count;
	struct sim_usage usage[SIM_TYPES_MAX];
	struct sim_request *requests; /* in order of arrival */
	size_t count;
	uint64_t evictions;
	uint64_t routed;     /* requests that were placed where there was room for them, */
	uint64_t overshoots; /* and of these, where another had taken it unseen */
	uint64_t twice;      /* and of these, where one had been too many already */
	struct latency_learner learned[SIM_TYPES_MAX]; /* at the end; where times are learned */
};

/* `from` seconds on, usage is measured. False: see error; out is then empty. */
MUSTCHECK bool sim_run(const struct sim_conf *conf, uint64_t seed, double from,
                       struct sim_result *out, char error[WORKLOAD_ERROR]);
void sim_result_fini(struct sim_result *r);

#endif
