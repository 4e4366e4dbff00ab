/* fleet.h - the servers, and the pool of each model: its deployments and their seats.
 *
 *   model 1 ---- 1 pool 1 ---- n deployment 1 ---- n seat n ---- 1 server
 *
 * A server may work for several models; it has one seat in the pool of each. Its ledger is one, so
 * the load of one model counts against the others. A server that is not usable keeps its ledger,
 * and so does one that lost its seats.
 *
 * Everything comes and goes at run time. Only seats, deployments and pools point to a seat; a
 * request points to its server's ledger, so whoever frees a server waits until it is idle.
 *
 * The orders of seats are keyed by ledgers, and a server that thousands of models share changes
 * with every request of any of them. So a change takes the server's seats out of the orders, and
 * each goes back when that order is asked next: an order that nobody asks costs nothing.
 *
 *     ledger changes      asked again
 *     placed  ------> misplaced  ---> placed     the deployment, for the least
 *     sorted  ------> unsorted   ---> sorted     the deployment, for the fullest
 *     counted ------> uncounted  ---> counted    the pool, for the fewest requests
 *
 * Of the first kind there are two, by load and by harm (seat_heap.h). `told` of a server are the
 * seats that its next change concerns: the placed, sorted, counted ones, and those of models in
 * which requests wait, for room may appear that they wait for.
 *
 * Invariants (fleet_check):
 *  - a seat is in usable_seat[] if and only if its server is usable; then it is either where it
 *    belongs in each heap of its deployment or on its `misplaced`, in its load order or on
 *    `unsorted`, and in its pool's count order or on its `uncounted`;
 *  - a placed, sorted or counted seat is told;
 *  - deployment.usable and pool.usable count usable seats, pool.seats all;
 *  - the seats of a deployment are listed in ascending `order`. */
#ifndef SLO_CORE_FLEET_H
#define SLO_CORE_FLEET_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "core/adaptive_types.h"
#include "core/guard.h"
#include "core/heal_types.h"
#include "core/latency/flow.h"
#include "core/latency/learner.h"
#include "core/ledger.h"
#include "core/profile.h"
#include "core/seat_heap.h"

#define SLO_DEPLOYMENTS_MAX 32 /* of one model */

struct deployment;
struct pool;
struct request;
struct seat;
LIST_HEAD(told_seats, seat);
LIST_HEAD(unsorted_seats, seat);
LIST_HEAD(uncounted_seats, seat);
LIST_HEAD(misplaced_seats, seat);
TAILQ_HEAD(leases, request);

/* Why the ledger was put right without an end line. */
enum fleet_repair {
	FLEET_REPAIR_SURPLUS, /* charged: HAProxy has more requests there than we know of */
	FLEET_REPAIR_EXPIRED, /* released: HAProxy has fewer */
	FLEET_REPAIR_MAX_AGE, /* released: older than any stream can be */
};
#define FLEET_REPAIRS 3

const char *fleet_repair_name(enum fleet_repair r); /* "surplus", "expired", "max-age" */

#define SURPLUS_MAX  65536               /* requests; more are not believed */
#define SURPLUS_LOAD (SLO_LOAD_ONE / 16) /* of one, where nothing tells more */

/* One of so many servers of a deployment, the first in the configuration, but at least one, is kept
 * for work that cannot wait long: nobody queues deep inside it. */
#define FLEET_SHALLOW_PART 4

/* A server's ledger holds these kinds of requests:
 *   leases    requests that were placed here, in order of dispatch; some of them foreign
 *   departed  those of them that a HAProxy process that left may still be serving
 *   hidden    foreign ones of HAProxys that we do not ask
 *   surplus   requests that nobody told us of: a number, and one charge for all
 * and, as long as there is any, what is withheld: room that the engine turned out not to have; and
 * what is spared, for moments: room that other agents may be taking (foreign.h). */
struct server {
	struct ledger ledger; /* first: fleet_server_of() */
	struct leases leases;
	/* Beside the ledger: slo-adaptive looks at these of many servers for each request. */
	struct latency_flow flow;
	struct adaptive_sums sums;
	struct leases departed;
	uint32_t departed_count, surplus_count;
	slo_load surplus_load;
	slo_load withhold, withheld; /* wanted; in the ledger: that, or 0 while it is idle */
	uint32_t round, released;    /* leases, since that round of questions began */
	uint64_t repairs[FLEET_REPAIRS];
	struct heal_view view; /* heal.h */
	bool usable;
	struct seat *seats; /* one per model, linked by next_of_server */
	struct told_seats told;
	LIST_ENTRY(server) link; /* of the fleet */
	void *owner;             /* the shell's; the core does not look at it */
	uint64_t number;         /* the scheduler's, never given twice */
	char *name;              /* as HAProxy knows it inside its backend */
	/* Only with other agents; last, so that nothing else touches it: */
	struct leases hidden;
	struct request *near, *near_hidden; /* of leases, hidden: the last that was told late */
	bool disordered; /* one was told so late that it stands behind younger ones */
	uint32_t hidden_count;
	uint32_t foreign;     /* their leases, in whatever list */
	uint64_t overshoots;  /* of these, those that came when it had no room any more */
	uint32_t fresh_count; /* ours that the others may not have heard of */
	slo_load fresh_load;
	slo_load spared; /* in the ledger */
	/* By what ended of ours since the last round of decisions; see foreign_fresh.c. */
	slo_load left;
	LIST_ENTRY(server) left_link; /* while that is not 0 */
};
LIST_HEAD(servers, server);

struct seat {
	/* Together, as those who look for a server look at these of some seats: */
	struct server *server;
	uint64_t order; /* in the pool's configuration */
	double slower;  /* so many times a request weighs as much here as on the others; >= 1 */
	struct deployment *deployment;
	uint32_t place[SEAT_ORDERS]; /* in the deployment's heaps, while usable */
	bool is_placed[SEAT_ORDERS], is_sorted, is_counted, is_told;
	LIST_ENTRY(seat) misplaced[SEAT_ORDERS]; /* the deployment's, while usable, not placed */
	LIST_ENTRY(seat) told;                   /* the server's */
	struct seat *next_of_server;
	uint64_t turn; /* when least-request chose it last, in choices */
	RB_ENTRY(seat) by_load;
	slo_load load;              /* of its server, while sorted */
	LIST_ENTRY(seat) unsorted;  /* the deployment's, while usable and not in its load order */
	LIST_ENTRY(seat) uncounted; /* the pool's, while usable and not in its count order */
	RB_ENTRY(seat) by_count;
	struct seat *next, **at; /* of the deployment, in configuration order */
	size_t index;            /* in usable_seat[], while usable */
	struct latency_speed speed;
};

RB_HEAD(seats_by_load, seat);
RB_HEAD(seats_by_count, seat);

/* What tells how long the servers of a deployment take. */
enum fleet_source {
	FLEET_GIVEN, /* its profile, if it has one */
	FLEET_AUTO,  /* its profile, until that is wrong beyond doubt; without one what was learned
	              */
	FLEET_LEARNED, /* what was learned; a profile is not looked at */
	FLEET_REFUTED, /* what was learned, as the profile is wrong beyond doubt */
	FLEET_PRIOR,   /* its profile, and what was learned from it on */
};
#define FLEET_SOURCES 5

struct deployment {
	struct pool *pool;
	struct profile *profile; /* NULL: none yet */
	enum fleet_source source;
	bool begins;                     /* with its profile, what is learned */
	struct latency_learner *learner; /* NULL: it does not learn */
	struct latency_force force;      /* what was learned, if source is not FLEET_GIVEN */
	struct latency_rates given;      /* as its profile says; without one all is 0 */
	struct guard guard;
	/* One of these two, with the headroom that the guard leaves: slo-adaptive plans with it. */
	struct latency_rates planned;
	uint32_t refuting; /* ends that speak against its profile, more than for it */
	uint64_t refuted;  /* the digest of that profile; 0: it never had one */
	double grown;      /* tokens that caches were seen to hold beyond that profile; 0: none */
	struct seat_heap least[SEAT_ORDERS];
	struct misplaced_seats misplaced[SEAT_ORDERS];
	struct seats_by_load by_load; /* smallest load first, last configured first among equals */
	struct unsorted_seats unsorted;
	struct seat *seats, **seats_end;
	size_t held; /* seats */
	size_t usable;
	/* The first usable seat behind those that stay shallow, and its order; NULL: there is none,
	 * and UINT64_MAX. */
	struct seat *deep;
	uint64_t deep_from;
	slo_load floor; /* that its requests weigh at least: its engines run no more at once */
	struct adaptive_room room; /* adaptive.c's, until something of a usable seat changes */
	slo_load recent;           /* running mean of what its requests weigh */
	bool recent_known;
	uint32_t index;   /* in pool.deployment[] */
	uint32_t said;    /* the shell's; the core does not look at it */
	slo_nsec said_at; /* likewise */
	void *label;      /* likewise */
	bool freed;       /* room appeared since the last decision round of the model */
	char *name;
};

/* So many requests run at once on one of d's servers; 0: it is not told. */
static inline uint64_t fleet_running(const struct deployment *d)
{
	return d->floor > 0 ? SLO_LOAD_ONE / d->floor : 0;
}

/* What a model is served by; sched_model (sched.h) joins it with the queue and the predictor. */
struct pool {
	struct goal promise; /* of all its requests that bring no target; GOAL_NONE: none */
	struct deployment *deployment[SLO_DEPLOYMENTS_MAX];
	size_t deployments;
	struct seats_by_count by_count; /* fewest in flight first, longest not chosen first */
	struct uncounted_seats uncounted;
	struct seat **usable_seat; /* [usable], in no order */
	size_t usable, seats, seats_cap;
	bool waiting;           /* requests wait: its seats stay told */
	uint64_t turns, orders; /* given out so far */
	uint64_t on_top;        /* of `turns`, when one came on top that had waited in vain */
	uint64_t frees;         /* how often room appeared for those who wait */
	/* Since the last look at those who wait: the seat of the only server with new room; NULL:
	 * none, or many. */
	struct seat *freed_by;
	bool freed_many;
	struct adaptive_targets targets; /* of its requests that wait */
	char *name;
};

/* Constructors copy the name; NULL: out of memory, or too many deployments. */
MUSTCHECK slo_err fleet_pool_init(struct pool *pool, const char *name);
void fleet_pool_fini(struct pool *pool); /* its seats go, its servers stay */
struct deployment *fleet_deployment_new(struct pool *pool, const char *name);
/* Its seats go, its servers stay; the deployments behind it move up. */
void fleet_deployment_free(struct deployment *d);
/* Puts the deployments into this order, which names each of them once. */
void fleet_order(struct pool *pool, struct deployment *const *order);
struct server *fleet_server_new(const char *name);
void fleet_server_free(struct server *s); /* it has no seat */

/* Whether what was learned is used in d: by every source from FLEET_LEARNED on. */
static inline bool fleet_learned(const struct deployment *d)
{
	return d->source >= FLEET_LEARNED || (d->source == FLEET_AUTO && !d->profile);
}

/* By which its times are foreseen. */
static inline const struct latency_rates *fleet_rates(const struct deployment *d)
{
	return &d->planned;
}

/* Seats s in d, behind all others. SLO_EINVAL: it has a seat in this model already; SLO_ENOMEM. */
MUSTCHECK slo_err fleet_seat(struct deployment *d, struct server *s);
/* Puts the seat behind all others of its pool, in a deployment d of it. SLO_ENOMEM: it stays. */
MUSTCHECK slo_err fleet_move(struct seat *seat, struct deployment *d);
void fleet_unseat(struct seat *seat); /* the seat is freed, its server stays */
/* True if that changed anything. */
bool fleet_set_usable(struct server *s, bool usable);

/* The seat of s in that pool; NULL: it has none. */
static inline struct seat *fleet_seat_in(const struct pool *pool, const struct server *s)
{
	struct seat *seat = s->seats;

	while (seat && seat->deployment->pool != pool)
		seat = seat->next_of_server;
	return seat;
}

/* The server that an open charge is on. */
static inline struct server *fleet_server_of(const struct charge *c)
{
	return (struct server *)c->ledger;
}

/* What s is ordered by is about to change. */
void fleet_changes(struct server *s);
/* Charge and release keep the orders right; charge also takes the server's turn. */
void fleet_charge(struct seat *seat, slo_load load, struct charge *out);
MUSTCHECK slo_err fleet_release(struct server *s, struct charge *c);
/* Charges a server that has no seat for the request; it takes no turn. */
void fleet_charge_unseated(struct server *s, slo_load load, struct charge *out);
/* Makes the surplus so many requests, at most SURPLUS_MAX: at the mean load of the server's leases,
 * else the most that a deployment of it had recently, else SURPLUS_LOAD. */
void fleet_surplus(struct server *s, uint32_t count);
/* The same at that load in all. */
void fleet_surplus_of(struct server *s, uint32_t count, slo_load load);
/* So much of the server is not to be used, from now on; at most SLO_LOAD_ONE. Idle, it has room for
 * any one request all the same. */
void fleet_withhold(struct server *s, slo_load load);
/* So much of it is left to other agents now. */
void fleet_spare(struct server *s, slo_load load);
/* Whether much may queue inside its engine. It does not depend on what runs there: what changes it
 * is that a server comes or goes. */
static inline bool fleet_is_deep(const struct seat *seat)
{
	return seat->order >= seat->deployment->deep_from;
}

/* What it is loaded with; its ledger may have more for a moment. */
static inline slo_load fleet_load(const struct server *s)
{
	return s->ledger.used - s->spared;
}
/* When the seat was chosen last, and, if it is usable, its place in usable_seat[]. */
void fleet_seat_restore(struct seat *seat, uint64_t turn, size_t index);
/* Leases, departed and hidden ones among them. */
static inline uint32_t fleet_leases(const struct server *s)
{
	return s->ledger.inflight - s->surplus_count;
}

/* Those who wait for d are to be looked at again. */
static inline void fleet_freed(struct deployment *d)
{
	d->freed = true;
	d->pool->frees++;
	d->pool->freed_by = NULL;
	d->pool->freed_many = true;
}

/* The same for the seat's, and only its server has room that it had not. */
static inline void fleet_freed_by(struct seat *seat)
{
	struct pool *pool = seat->deployment->pool;

	seat->deployment->freed = true;
	pool->frees++;
	pool->freed_many |= pool->freed_by && pool->freed_by != seat;
	pool->freed_by = pool->freed_many ? NULL : seat;
}

/* Whether any room is new. */
static inline bool fleet_has_freed(const struct pool *pool)
{
	return pool->freed_many || pool->freed_by;
}

/* All who wait were looked at: no room is new any more. */
static inline void fleet_looked(struct pool *pool)
{
	if (!fleet_has_freed(pool))
		return;
	for (size_t i = 0; i < pool->deployments; i++)
		pool->deployment[i]->freed = false;
	pool->freed_by = NULL;
	pool->freed_many = false;
}

/* What is told of changes from now on: every seat of the pool. */
void fleet_watch(struct pool *pool);
/* The seats of d that are misplaced are no more. */
void fleet_place(struct deployment *d, enum seat_order by);

/* The usable seats of d in that order, until something changes. */
static inline const struct seat_heap *fleet_least(struct deployment *d, enum seat_order by)
{
	if (!LIST_EMPTY(&d->misplaced[by]))
		fleet_place(d, by);
	return &d->least[by];
}

/* The least loaded usable server; NULL: none. */
static inline struct seat *fleet_emptiest_seat(struct deployment *d)
{
	const struct seat_heap *order = fleet_least(d, SEAT_BY_LOAD);

	return order->few > 0 ? order->at[0].seat : NULL;
}

/* The most loaded usable one with at most `most`, first configured among equals; or NULL. */
struct seat *fleet_fullest_seat(struct deployment *d, slo_load most);
/* The usable one with the fewest requests in flight; NULL: none. */
struct seat *fleet_fewest_requests(struct pool *pool);

/* Aborts when an invariant is broken; for tests and debug builds. */
void fleet_check(const struct pool *pool);

#endif
