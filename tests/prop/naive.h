/* naive.h - the scheduler a second time, in the plainest way there is: arrays, linear scans,
 * everything computed anew at every decision. It exists to be compared with the real one, so it
 * shares no code with it and knows only what the documentation of the strategies says.
 *
 * Models, deployments, servers and requests are small numbers, given by the caller; what a seat
 * or a profile names for the first time comes into being then. Deployments and servers stand in
 * the order in which they came. */
#ifndef NAIVE_H
#define NAIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"
#include "slo_profile.h"

#define NAIVE_MODELS      4
#define NAIVE_DEPLOYMENTS 4 /* of one model */
#define NAIVE_SERVERS     12
#define NAIVE_AXIS        6 /* indexes of one axis of a profile, at most */
#define NAIVE_OWNERS      2 /* other agents, from 1 */

enum naive_strategy {
	NAIVE_SLO,
	NAIVE_PUSH,
	NAIVE_PULL,
	NAIVE_PACK,
	NAIVE_LEAST_REQUEST,
	NAIVE_RANDOM,
	NAIVE_ADAPTIVE,
};
#define NAIVE_STRATEGIES 7

enum naive_verdict { NAIVE_ROUTE, NAIVE_FALLBACK, NAIVE_REJECT, NAIVE_PASS };

enum naive_reason {
	NAIVE_NO_REASON,
	NAIVE_SLO_FAILURE,
	NAIVE_QUEUE_TIMEOUT,
	NAIVE_QUEUE_FULL,
	NAIVE_NO_SERVER,
	NAIVE_NO_PROFILE,
	NAIVE_NO_SLO,
	NAIVE_ENDED,
	NAIVE_UNKNOWN_MODEL,
	NAIVE_REASONS,
};

/* The words of the contract for the above. */
extern const char *const naive_strategy_name[];
extern const char *const naive_verdict_name[];
extern const char *const naive_reason_name[];

/* What becomes of a request whose every rank is above 0. */
enum naive_late { NAIVE_LATE_SERVE, NAIVE_LATE_HOLD, NAIVE_LATE_REJECT };
#define NAIVE_LATES 3
extern const char *const naive_late_name[];

struct naive_conf {
	enum naive_strategy fallback;
	enum naive_late late;
	bool infeasible_fallback;
	size_t queue_limit;
	slo_nsec queue_timeout; /* SLO_NEVER: none */
	slo_nsec hold_most;     /* if longer: whoever can be in time is held for up to so long */
	slo_nsec lease;         /* a dispatched request is given up then; SLO_NEVER: never */
	slo_nsec remember;      /* how long an id is known after its end */
	size_t remember_limit;  /* ids known after their end */
};

struct naive_request {
	unsigned model;
	enum naive_strategy strategy;
	int64_t input, output; /* tokens */
	slo_nsec created;
	struct slo_target own;
	int32_t priority;
};

struct naive_action {
	uint32_t id;
	enum naive_verdict verdict;
	enum naive_reason reason;
	enum naive_strategy strategy; /* the one that decided */
	int server;                   /* -1: none */
	uint64_t load;                /* charged, in 1/2^32 of a server */
	slo_nsec at, waited;
	unsigned choices; /* drawn from that many usable servers; 0: not drawn */
	unsigned choice;  /* which of them, in the order of the configuration */
};

enum naive_end { NAIVE_CLOSED, NAIVE_CANCELLED, NAIVE_DUPLICATE, NAIVE_UNKNOWN };

/* What a profile says of a server's times is fitted; that has tests of its own. */
struct naive_rates {
	double step, prompt, cached, kv, headroom;
	bool kv_told;
	uint64_t floor; /* that each request weighs at least */
};

struct naive;

/* Ids are numbers below `ids`; the request of an owner with that id has the number owner * ids + id
 * here. NULL: out of memory. */
struct naive *naive_new(const struct naive_conf *conf, uint32_t ids);
void naive_free(struct naive *n);

/* The k-th answer of the scheduler under test to the present event: what is left to it has to
 * follow that, if it could be. That is a random pick, and slo-adaptive among many servers. */
struct naive_told {
	uint32_t id;
	int server;
};
void naive_told(struct naive *n, const struct naive_told *told, size_t count);

/* Wake-ups up to and at t. An event that comes without this call finds what was due before it
 * still undone, as when the caller was too busy to wake up. */
void naive_advance(struct naive *n, slo_nsec t);
/* When the next request times out or is given up. */
slo_nsec naive_wakeup(const struct naive *n);

/* Events. False or an error: refused, nothing happened. A new server is usable at once. */
bool naive_seat(struct naive *n, slo_nsec t, unsigned model, unsigned deployment, unsigned server);
/* A server leaves a model; a deployment, a model goes. False: there is none. */
bool naive_unseat(struct naive *n, slo_nsec t, unsigned model, unsigned server);
bool naive_drop(struct naive *n, slo_nsec t, unsigned model, unsigned deployment);
bool naive_drop_model(struct naive *n, slo_nsec t, unsigned model);
void naive_leave(struct naive *n, slo_nsec t, unsigned server); /* all models */
/* To the end of a deployment of its model. False: it has no seat, or there is no such deployment.
 */
bool naive_move(struct naive *n, slo_nsec t, unsigned model, unsigned deployment, unsigned server);
/* Deployments come in the order in which they stand in name[]. */
void naive_order(struct naive *n, slo_nsec t, unsigned model,
                 const unsigned name[NAIVE_DEPLOYMENTS]);
/* Forgets the servers that have no seat and no request. */
void naive_collect(struct naive *n);
void naive_ready(struct naive *n, slo_nsec t, unsigned server, bool usable);
bool naive_profile(struct naive *n, slo_nsec t, unsigned model, unsigned deployment,
                   const struct slo_profile_doc *doc);
void naive_profile_drop(struct naive *n, slo_nsec t, unsigned model, unsigned deployment);
/* Without the guard, before the event that changes them. */
/* What a guard knows from an earlier life; likewise. */
void naive_guard(struct naive *n, unsigned model, unsigned deployment, double share, unsigned seen,
                 unsigned missed);
void naive_rates(struct naive *n, unsigned model, unsigned deployment, const struct naive_rates *r);
slo_err naive_submit(struct naive *n, slo_nsec t, uint32_t id, const struct naive_request *r);
/* server: which the line names; -1: none. */
enum naive_end naive_end(struct naive *n, slo_nsec t, uint32_t id, int server);
bool naive_abandon(struct naive *n, slo_nsec t, uint32_t id); /* false: it does not wait */
void naive_nothing(struct naive *n, slo_nsec t);              /* a wake-up for nothing */
void naive_configure(struct naive *n, slo_nsec t, const struct naive_conf *conf);
void naive_passed(struct naive *n, slo_nsec t, uint32_t id);
void naive_surplus(struct naive *n, slo_nsec t, unsigned server, uint32_t count);
void naive_process_changed(struct naive *n, slo_nsec t);
/* False: there is nothing to give up. */
bool naive_expire(struct naive *n, slo_nsec t, unsigned server);
bool naive_expire_departed(struct naive *n, slo_nsec t, unsigned server, slo_nsec grace);

/* The answers since the last naive_told(). */
const struct naive_action *naive_actions(const struct naive *n, size_t *count);

/* What there is to compare, and for whoever invents the next event. */
bool naive_has_model(const struct naive *n, unsigned model);
bool naive_has_server(const struct naive *n, unsigned server);
bool naive_is_usable(const struct naive *n, unsigned server);
uint64_t naive_used(const struct naive *n, unsigned server);
uint32_t naive_inflight(const struct naive *n, unsigned server);
size_t naive_queued(const struct naive *n, unsigned model);
uint32_t naive_queued_id(const struct naive *n, unsigned model, size_t k);
size_t naive_dispatched(const struct naive *n);
uint32_t naive_dispatched_id(const struct naive *n, size_t k);
/* Sums over the requests of slo-adaptive on the server, and when it will have read all prompts. */
struct naive_sums {
	uint64_t harm, reading, work;
	unsigned count;
	slo_nsec drained;
};
struct naive_sums naive_sums(const struct naive *n, unsigned server);
/* Of the headroom, that the guard of a deployment leaves; 0: there is no such deployment. */
double naive_share(const struct naive *n, unsigned model, unsigned deployment, unsigned *seen,
                   unsigned *missed);
/* The moment at which a waiting request's k-th option runs out of slack; SLO_NEVER: none such. */
slo_nsec naive_start(const struct naive *n, uint32_t id, size_t k);

/* Requests of other agents, as they tell of them. */
struct naive_foreign {
	unsigned owner;
	uint32_t id;
	unsigned model, server; /* model NAIVE_MODELS: none of ours */
	uint64_t load;
	slo_nsec age;
	enum naive_strategy strategy;
};

/* Of a number that naive_dispatched_id() tells. */
uint32_t naive_id(const struct naive *n, uint32_t number);
unsigned naive_owner(const struct naive *n, uint32_t number);

slo_err naive_foreign(struct naive *n, slo_nsec t, const struct naive_foreign *f);
/* The owner tells of its end; never NAIVE_CANCELLED. */
enum naive_end naive_foreign_end(struct naive *n, slo_nsec t, unsigned owner, uint32_t id);
/* It lists what it has open: named() of each. Returns how many were closed. */
size_t naive_list(struct naive *n, slo_nsec t, unsigned owner, bool whole,
                  bool (*named)(uint64_t seed, uint32_t id), uint64_t seed);
void naive_new_life(struct naive *n, slo_nsec t, unsigned owner);
void naive_visible(struct naive *n, slo_nsec t, unsigned owner, bool visible);
void naive_forget(struct naive *n, slo_nsec t, unsigned owner);
/* Those owners are present whose bit is set; our name is the `place`-th in the order of all names.
 * They look at room one after the other, so far apart. */
void naive_deal(struct naive *n, slo_nsec t, unsigned present, unsigned place, slo_nsec apart);
/* So many other agents hear us; they have heard of what we placed until then. */
void naive_others(struct naive *n, slo_nsec t, unsigned others);
void naive_heard(struct naive *n, slo_nsec t, slo_nsec until);
/* What is there at t is in the number of strangers that was told last. */
void naive_counted(struct naive *n, slo_nsec t, unsigned server);
uint64_t naive_overshoots(const struct naive *n, unsigned server);
uint32_t naive_foreigners(const struct naive *n, unsigned server);

#endif
