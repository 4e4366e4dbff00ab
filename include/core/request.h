/* request.h - one request on its way through the scheduler, and the table of all by id.
 *
 *                     +-------------------> OVER
 *                     |  rejected, passed     ^
 *   submit --> READY -+-> QUEUED ------------>+ ended, timed out, abandoned
 *                     |      |                |
 *                     +------+-> DISPATCHED --+ ended, lease too old
 *
 * State is location: a request is on exactly one list, its state's, until it is over;
 * requests_move() and requests_over() are the only doors. Counts come from the lists.
 *   READY       to be answered at the next step, in order of arrival
 *   QUEUED      waiting in its model's queue; the list is in order of arrival
 *   DISPATCHED  on a server, which it is charged to; the list is in order of dispatch
 *   OVER        answered for good; what stays for a while is its id, in the past (past.h) */
#ifndef SLO_CORE_REQUEST_H
#define SLO_CORE_REQUEST_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "core/adaptive_types.h"
#include "core/id_table.h"
#include "core/latency/flow.h"
#include "core/ledger.h"
#include "core/policy.h"
#include "core/profile.h"
#include "slo.h"
#include "spare.h"

#define SLO_ID_MAX      255
#define REQUEST_ID_ROOM 56 /* bytes of id[] that are there however short an id is */

enum request_state { REQUEST_READY, REQUEST_QUEUED, REQUEST_DISPATCHED, REQUEST_OVER };
#define REQUEST_STATES 3 /* with a list */

struct bucket;
struct sched_model;

struct request {
	TAILQ_ENTRY(request) link; /* the state's list */
	uint64_t hash;             /* of the id */
	struct sched_model *model; /* NULL: it is gone */
	union {
		struct { /* while QUEUED; what every change of the queue looks at stands first */
			TAILQ_ENTRY(request) graded; /* its grade's list */
			RB_ENTRY(request) place;     /* in the bucket's order, */
			int32_t grade;               /* whose keys are its priority */
			uint32_t hold;               /* (its place there; or MOMENTS_NONE) */
			slo_nsec due;                /* and when it is due, see queue.h */
			slo_nsec start;              /* the latest start, see queue.h */
			slo_nsec until;              /* that it is held, at most */
			struct bucket *bucket;
			uint32_t round;  /* of decisions, when it came */
			uint8_t target;  /* class of its target, see adaptive.h; ADAPTIVE_CLASSES:
			                    none */
			uint32_t expiry; /* its place there; or MOMENTS_NONE */
		};
		struct {                  /* since DISPATCHED */
			struct goal goal; /* what it was placed by; GOAL_NONE without a target */
			struct charge charge;     /* closed when it is over */
			struct latency_stay stay; /* on its server */
			struct adaptive_stake stake;
			TAILQ_ENTRY(request) lease; /* the server's, while the charge is open */
		};
	};
	void *user;            /* the shell's, not looked at */
	slo_nsec created;      /* its clock for the SLO starts here */
	slo_nsec arrived;      /* submitted to the scheduler */
	slo_nsec since;        /* in its present state */
	uint64_t seq;          /* order of arrival */
	struct slo_target own; /* the request's own target */
	int32_t input;         /* prompt tokens */
	int32_t output;        /* predicted output tokens */
	int32_t estimate;      /* prompt tokens before correction, -1: `input` was told */
	int32_t priority;      /* the larger, the sooner it goes */
	int32_t limit;         /* of its output tokens, all sequences together; -1: none */
	uint32_t generation;   /* of HAProxy's processes, when it arrived */
	uint32_t news;         /* that told of a foreign lease, see foreign.h */
	uint16_t sequences;    /* at least 1: what is decoded for it in parallel */
	uint16_t owner;        /* the agent that placed it, see foreign.h; 0: this one */
	uint8_t mute;          /* LESSON_NO_... */
	uint8_t class;         /* of its answer, for the predictor */
	uint8_t state;         /* enum request_state */
	uint8_t strategy;      /* enum slo_strategy: it asks for, then the one that decided */
	uint8_t reason;        /* enum slo_reason: its answer, when READY and not to be decided */
	uint8_t id_len;
	bool stream : 1; /* the answer is an event stream */
	bool stream_guessed : 1;
	bool ended : 1;    /* its end line came */
	bool untaught : 1; /* nothing is learned from its time: its dispatch was not seen, say */
	bool fallback : 1; /* least-request or random chose in place of its strategy */
	bool fresh : 1;    /* other agents may not have heard of it, see foreign.h */
	bool unkept : 1;   /* who tells others did not keep it yet, see foreign.h */
	/* Of foreign leases, see foreign.h: */
	bool hidden : 1; /* the HAProxys that we ask do not count it */
	bool former : 1; /* a former life of its owner placed it */
	bool listed : 1; /* told since the list began */
	bool ending : 1; /* its end waits for its turn */
	char id[];       /* id_len bytes, then 0 */
};

TAILQ_HEAD(request_list, request);

struct requests {
	struct id_table by_id;
	struct request_list list[REQUEST_STATES];
	size_t count[REQUEST_STATES];
	struct request *near; /* the last of another owner that came, while it is DISPATCHED */
	struct request *over; /* the last one that was, for those who still look at it */
	struct spare spare;   /* blocks for short ids */
};

void requests_init(struct requests *t);
void requests_fini(struct requests *t);
void requests_give_back(struct requests *t); /* frees what lay spare since the last call */

/* An id is hashed once and looked up or added by that. The first finds ours, the second that of an
 * owner; ID_OF_ANY: of any but ours. */
struct request *requests_find(const struct requests *t, uint64_t hash, const char *id, size_t len);
struct request *requests_find_of(const struct requests *t, uint64_t hash, const char *id,
                                 size_t len, uint32_t owner);
/* A new READY request of ours under an id that is not in the table. NULL: out of memory. */
struct request *requests_new(struct requests *t, uint64_t hash, const char *id, size_t len,
                             slo_nsec now);
#define PLACE_STEPS 4096 /* that are looked at for the place of one in a list in order of time */
/* How to walk such a list; NULL: there is none before, or behind. */
struct request_walk {
	struct request *(*before)(const struct request *r), *(*behind)(const struct request *r);
};
/* The one behind which stands what is since then; NULL: it is the first. `last` is the youngest,
 * `near` was told just before this one, and each may be NULL. Further than PLACE_STEPS nobody
 * looks: then it is `last`. */
struct request *requests_place(const struct request_walk *w, struct request *last,
                               struct request *near, slo_nsec since);
/* One of another owner, DISPATCHED since then; or since later, if its place is far away. */
struct request *requests_new_of(struct requests *t, uint64_t hash, const char *id, size_t len,
                                uint16_t owner, slo_nsec since);
void requests_move(struct requests *t, struct request *r, enum request_state to, slo_nsec now);
/* r is in no queue and not charged any more. It may be looked at until the next one is over. */
void requests_over(struct requests *t, struct request *r);

/* Aborts when an invariant is broken; for tests and debug builds. */
void requests_check(const struct requests *t);

#endif
