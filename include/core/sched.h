/* sched.h - the scheduler: tell it what happened and when, take what it wants done.
 *
 * Pure and deterministic: no I/O, no clock, no global state; randomness is seeded. After every
 * event, or after several that come at the same time (see sched_queue_full()), call sched_step()
 * until it returns false, and come back at sched_next_wakeup(). `now` must never decrease from
 * call to call.
 *
 * The daemon, slo-replay, the simulator and the tests all drive these calls. */
#ifndef SLO_CORE_SCHED_H
#define SLO_CORE_SCHED_H

#include <stdbool.h>
#include <stddef.h>

/* Out of memory must not end the process: uthash then leaves the element out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "core/estimator.h"
#include "core/fleet.h"
#include "core/lesson.h"
#include "core/policy.h"
#include "core/predictor.h"
#include "core/queue.h"
#include "core/request.h"
#include "slo.h"

/* A request whose target the profiles say cannot be met (throughput 0). */
enum slo_infeasible { SLO_INFEASIBLE_REJECT, SLO_INFEASIBLE_FALLBACK };

enum slo_verdict { SLO_ROUTE, SLO_FALLBACK, SLO_REJECT, SLO_PASS };
#define SLO_VERDICTS 4

enum slo_reason {
	SLO_REASON_NONE, /* of every route */
	SLO_REASON_SLO_FAILURE,
	SLO_REASON_QUEUE_TIMEOUT,
	SLO_REASON_QUEUE_FULL,
	SLO_REASON_NO_SERVER,
	SLO_REASON_NO_PROFILE,
	SLO_REASON_NO_SLO,
	SLO_REASON_UNKNOWN_MODEL,
	SLO_REASON_BAD_REQUEST,
	SLO_REASON_DRAINING,
	SLO_REASON_ENDED,   /* its stream was over before it was answered */
	SLO_REASON_NO_WORK, /* no GPU works for it */
};
#define SLO_REASONS 12

const char *sched_verdict_name(enum slo_verdict v);
const char *sched_reason_name(enum slo_reason r); /* "" for SLO_REASON_NONE */

struct sched_conf {
	enum slo_strategy fallback; /* SLO_STRATEGY_LEAST_REQUEST or SLO_STRATEGY_RANDOM */
	enum slo_late late;
	enum slo_infeasible infeasible;
	enum slo_predict predict;
	enum slo_cold cold;
	size_t queue_limit;     /* waiting requests of one model */
	slo_nsec queue_timeout; /* SLO_NEVER: none */
	/* If it is longer: one that can be in time later than that is held until it cannot be, or
	 * for so long. */
	slo_nsec queue_timeout_most;
	slo_nsec lease_max_age;  /* a dispatched request is given up then; SLO_NEVER: never */
	slo_nsec remember_ended; /* how long an id is known after its end */
	size_t remember_limit;   /* ids known after their end, at most */
	size_t foreign_limit;    /* open requests of others, at most (foreign.h); 0: any number */
	uint64_t seed;
	uint64_t hash_key; /* of ids, see id_hash(); a random one for each process */
};

#define SCHED_HOLD_LEAST (30 * SLO_NSEC_PER_SEC) /* with `queue_timeout: auto` */
#define SCHED_HOLD_MOST  (60 * SLO_NSEC_PER_SEC)

/* The defaults of the configuration file, seed and hash key 0. */
struct sched_conf sched_conf_default(void);

/* Owned by the scheduler; others may read it. */
struct sched_model {
	struct pool pool;
	struct queue queue;
	struct predictor *predictor;
	struct estimator estimator;
	size_t dispatched;          /* its requests on servers */
	enum slo_strategy strategy; /* of requests that name none */
	void *owner;                /* the shell's; the core does not look at it */
	const char *backend;        /* where its servers are; set by the shell, NULL: not known */
	struct sched *sched;
	uint64_t number; /* never given twice, not to a server either */
	bool dirty;
	TAILQ_ENTRY(sched_model) dirty_link;
	TAILQ_ENTRY(sched_model) link; /* in order of addition */
	UT_hash_handle hh;
};
TAILQ_HEAD(sched_models, sched_model);

struct sched;

struct sched *sched_new(const struct sched_conf *conf); /* NULL: out of memory */
void sched_free(struct sched *s);                       /* NULL is accepted */
void sched_configure(struct sched *s,
                     const struct sched_conf *conf); /* all but seed and hash key */

/* The fleet. Constructors return NULL when out of memory. All of it may change at any time, while
 * requests wait for it or run on it; step afterwards. Ties go by order: a deployment stands behind
 * those that were added before, a seat behind all of its model, until they are moved. */
struct sched_model *sched_model_add(struct sched *s, const char *name, enum slo_strategy strategy);
struct sched_model *sched_model_find(const struct sched *s, const char *name, size_t len);
const struct sched_models *sched_models(const struct sched *s);
struct deployment *sched_deployment_add(struct sched_model *m, const char *name);
/* Frees m. Its waiting requests get `pass`, SLO_REASON_UNKNOWN_MODEL, in order of arrival; its
 * dispatched ones stay charged to their servers until they end. Their model is NULL then. */
void sched_model_remove(struct sched *s, struct sched_model *m);
/* Frees d and its seats; what is placed there stays charged to the servers. */
void sched_deployment_remove(struct sched *s, struct deployment *d);
/* Puts the deployments of m into this order, which names each of them once. */
void sched_deployments_order(struct sched *s, struct sched_model *m,
                             struct deployment *const *order);
/* A server that no model uses yet; freed by sched_server_free() or with the scheduler. */
struct server *sched_server_add(struct sched *s, const char *name);
/* False: it has a seat or requests in flight, and stays. */
bool sched_server_free(struct server *server);
/* Gives it a seat. SLO_EINVAL: it has one in this model already; SLO_ENOMEM. */
MUSTCHECK slo_err sched_server_seat(struct sched *s, struct deployment *d, struct server *server);
struct seat *sched_seat_find(const struct sched_model *m, const struct server *server);
/* To the end of d, which is of the same model, its own or another one. */
MUSTCHECK slo_err sched_seat_move(struct sched *s, struct seat *seat, struct deployment *d);
/* The server leaves the deployment; its ledger stays. Frees the seat. */
void sched_seat_remove(struct sched *s, struct seat *seat);
void sched_server_usable(struct sched *s, struct server *server, bool usable);
/* Takes p over on SLO_OK. SLO_ESTALE: it is not newer than the one in force. */
MUSTCHECK slo_err sched_profile_set(struct sched *s, struct deployment *d, struct profile *p);
/* From now on d has no profile, so any that comes is new. */
void sched_profile_drop(struct sched *s, struct deployment *d);
/* What requests of the model are measured against if they bring no target of their own; it
 * replaces the profiles'. GOAL_NONE: the profiles' hold. */
void sched_promise(struct sched *s, struct sched_model *m, const struct goal *promise);
/* From now on so much of a target is planned with in d, in (0, 1]; 0: as much as predictions allow.
 * False: d does not learn. */
bool sched_headroom(struct sched *s, slo_nsec now, struct deployment *d, double headroom);
/* Where d's times come from; new ones come from their profile. kv: tokens that the KV cache of a
 * server of it holds, 0: unknown. What was learned stays. */
MUSTCHECK slo_err sched_source_set(struct sched *s, struct deployment *d, enum fleet_source source,
                                   double kv);
/* An engine of d runs so many requests at once, at most SCHED_RUNNING_MOST; 0: as many as fit into
 * its cache. */
void sched_running_set(struct sched *s, struct deployment *d, uint64_t most);
#define SCHED_RUNNING_MOST 10000
/* d takes up what another process learned, and a server what it knew of it: the logarithm of how
 * much later it was than predicted, from so many ends. SLO_EINVAL: that makes no sense, or d does
 * not learn. */
MUSTCHECK slo_err sched_recall(struct sched *s, slo_nsec now, struct deployment *d,
                               const struct latency_memory *m);
MUSTCHECK slo_err sched_recall_speed(struct sched *s, struct seat *seat,
                                     const struct latency_speed *speed);
/* So many ends spoke against the profile of that digest, whether d has it yet or not; after
 * sched_recall(). SLO_EINVAL: likewise. */
MUSTCHECK slo_err sched_recall_refuted(struct sched *s, struct deployment *d, uint64_t digest,
                                       uint32_t ends);
/* Caches held so many tokens, which that profile did not tell. SLO_EINVAL: likewise. */
MUSTCHECK slo_err sched_recall_grown(struct sched *s, struct deployment *d, uint64_t digest,
                                     double kv);
/* The share and the ends of g; who was placed before now does not count. SLO_EINVAL: that makes no
 * sense. */
MUSTCHECK slo_err sched_recall_guard(struct sched *s, struct deployment *d, const struct guard *g);

struct sched_request {
	const char *id; /* id_len in 1..SLO_ID_MAX; copied */
	size_t id_len;
	uint64_t hash; /* of the id, from sched_expect(); 0: not known yet */
	struct sched_model *model;
	enum slo_strategy strategy;
	int64_t input;      /* prompt tokens */
	bool input_told;    /* not an estimate, so nothing corrects it or learns from it */
	int64_t output;     /* output tokens, or -1: predict */
	int64_t max_output; /* limit of the prediction; -1: none */
	int64_t min_output; /* it will be no shorter, if max_output lets it; 0: no matter */
	int64_t sequences;  /* answers that are decoded in parallel; 0 is 1. Output tokens are those
	                     * of all together */
	unsigned mute;      /* LESSON_NO_...: what its end cannot teach */
	unsigned class;     /* below PREDICTOR_CLASSES: those of one class answer at like lengths */
	bool stream;        /* the answer is an event stream */
	bool stream_guessed; /* that was not seen: an answer that tells its tokens is none */
	slo_nsec created;    /* its clock for the SLO; usually now */
	struct slo_target own;
	int32_t priority; /* the larger, the sooner it goes, whatever its slack; usually 0 */
	void *user;       /* comes back in the action */
};

/* Has the CPU fetch what sched_submit() or sched_end() will look at for that id. Returns its hash.
 */
uint64_t sched_expect(const struct sched *s, const char *id, size_t len);

/* Whether the end of that request is known already (within remember_ended): another end line of it
 * changes nothing. */
bool sched_ended(const struct sched *s, const char *id, size_t len);
/* Whether anything was told of that id (within remember_ended), by whomever. */
bool sched_is_known(const struct sched *s, const char *id, size_t len);
/* Its end is known already, and the request was known before its end came. */
bool sched_was_known(const struct sched *s, const char *id, size_t len);

/* The request of that id, in whatever state; NULL: it is over, or never was. Valid until the next
 * call. */
const struct request *sched_find(const struct sched *s, const char *id, size_t len);

/* A new request; its answer is an action of a later sched_step(), exactly one.
 * SLO_ESTALE: its end was seen already, so answer `pass`, SLO_REASON_ENDED.
 * SLO_EINVAL: the id is in use. SLO_ENOMEM. In these cases there is no action.
 * *out (may be NULL) is valid until that action or sched_abandon(). */
MUSTCHECK slo_err sched_submit(struct sched *s, slo_nsec now, const struct sched_request *req,
                               struct request **out);

/* An answer to pass on. The pointers are valid until the next call. */
struct sched_action {
	const struct request *request;
	void *user;
	enum slo_verdict verdict;
	enum slo_reason reason;
	enum slo_strategy strategy; /* the one that decided */
	const struct seat *seat;    /* route, fallback */
	slo_nsec waited;
};

/* Whether the queue of r is at queue_limit. Then call sched_step() before the next sched_submit():
 * it may free a place, without which that request would be refused. While it is not full, several
 * requests may be submitted before the next step; they are decided in the order of a step. */
bool sched_queue_full(const struct sched *s, const struct request *r);

/* The next answer, if any. */
bool sched_step(struct sched *s, slo_nsec now, struct sched_action *out);
/* When to step even if nothing happens; SLO_NEVER: no need. */
slo_nsec sched_next_wakeup(const struct sched *s);

/* The oldest waiting request goes to some server at once, by the fallback strategy (without one:
 * `pass`), SLO_REASON_DRAINING. False: none waits. */
bool sched_let_go(struct sched *s, slo_nsec now, struct sched_action *out);
/* Nobody waits for the answer of this queued request any more: no action will follow. */
void sched_abandon(struct sched *s, slo_nsec now, struct request *r);
/* An id that was answered without the scheduler (pass), so that its end is not unknown. */
void sched_note_passed(struct sched *s, slo_nsec now, const char *id, size_t len);

enum sched_end_result {
	SCHED_END_CLOSED,    /* released, or answered before without a server */
	SCHED_END_CANCELLED, /* it was still waiting; its action is `pass`, SLO_REASON_ENDED */
	SCHED_END_DUPLICATE,
	SCHED_END_UNKNOWN, /* remembered, in case its request comes later */
};

struct sched_outcome {
	enum lesson_outcome outcome; /* LESSON_EMPTY is found out, see lesson.h */
	int64_t input, output;       /* real token counts, -1: not told */
	int64_t bytes;               /* of the answer, -1: unknown */
	int64_t cached;       /* input tokens that the server had in its cache, 0: not told */
	int64_t event;        /* bytes of a stream's first event, see endline.h; none: not told */
	bool encoded;         /* the answer is compressed: its bytes say nothing */
	bool streamed;        /* it was seen to be a stream, whatever the request said */
	struct slice backend; /* that answered; p NULL: not told */
	struct slice server;  /* likewise; another one's time says nothing of this one */
};

struct sched_end {
	enum sched_end_result result;
	/* The rest only if a dispatched request was released: */
	const struct request *request; /* else NULL; valid until the next call */
	struct server *server;         /* that it ran on */
	bool by_server;                /* the outcome names that one, or none */
	enum lesson_outcome outcome;   /* whether it was served at all */
	int64_t input, output;         /* the best known counts */
	slo_nsec waited;               /* from its arrival to its dispatch */
};

/* The stream of a request ended, whatever its state. */
void sched_end(struct sched *s, slo_nsec now, const char *id, size_t len,
               const struct sched_outcome *outcome, struct sched_end *out);

/* Frees blocks that lay spare ever since the last call. */
void sched_give_back(struct sched *s);

/* Repairs: what runs on a server is known better than by end lines. Step afterwards. */

/* So many requests run on the server that were not placed by us; see fleet_surplus(). */
void sched_server_surplus(struct sched *s, struct server *server, uint32_t count);
/* The engine of a server that works for this model only counted tokens that nobody told of single
 * requests. */
void sched_tokens_counted(const struct seat *seat, const struct estimator_counted *c);
/* The engine of the server says how many requests run in it and how many wait there for room. Where
 * our ledger has room all the same, it is too optimistic: part of the server is withheld. */
void sched_server_waits(struct sched *s, struct server *server, uint32_t running, uint32_t waiting);
/* Withholds so much of it, at most SLO_LOAD_ONE; 0: nothing any more. */
void sched_withhold(struct sched *s, struct server *server, slo_load load);
/* Gives up the lease that was dispatched first, departed ones aside. False: there is none. */
bool sched_expire_oldest(struct sched *s, slo_nsec now, struct server *server);
/* Gives up all leases that were dispatched until then: the server's process has ended. Returns how
 * many. */
size_t sched_expire_until(struct sched *s, slo_nsec now, struct server *server, slo_nsec until);
/* A HAProxy process took the place of another: what it was asked to serve so far, and what arrived
 * at it, may still run there unseen. All leases are departed ones. */
void sched_process_changed(struct sched *s, slo_nsec now);
/* Gives up the first departed lease if the change that made it one is `grace` ago. */
bool sched_expire_departed(struct sched *s, slo_nsec now, struct server *server, slo_nsec grace);

struct sched_counts {
	size_t queued, dispatched, remembered;
	size_t foreign;          /* of the dispatched ones: see foreign.h */
	uint64_t leases_expired; /* since the start */
	uint64_t ends_lost;      /* of them, this agent's own, given up one by one */
	uint64_t forced;         /* how often other learned times came into force */
};
struct sched_counts sched_counts(const struct sched *s);

/* Aborts when an invariant is broken; for tests and debug builds. */
void sched_check(const struct sched *s);

#endif
