/* slo_event.h - what changes a scheduler, as plain data: what the core tells whoever listens and
 * does again when it is told (core/tap.h, core/record/player.h), and the wire layer writes down
 * (wire/file/record.h).
 *
 * Servers and models go by numbers, given in order of appearance and never twice; 0 is none.
 * Deployments go by their index in the model. Which members an event has, stands in
 * wire/file/record_members.c; the others are 0. */
#ifndef SLO_SLO_EVENT_H
#define SLO_SLO_EVENT_H

#include "slo.h"

enum slo_event_kind {
	/* The state at the begin of a recording: START, then CONFIG, the fleet, leases, waiting
	 * requests (SUBMIT at their arrival), what these were tried for, QUIET. */
	SLO_EVENT_START,  /* now, load: of the random draws, count: Unix ns at `now` */
	SLO_EVENT_QUIET,  /* nothing is left to decide: the state is complete */
	SLO_EVENT_CONFIG, /* list: SLO_EVENT_OPTIONS options */
	/* The fleet */
	SLO_EVENT_MODEL,
	SLO_EVENT_MODEL_GONE,
	SLO_EVENT_DEPLOYMENT,
	SLO_EVENT_DEPLOYMENT_GONE,
	SLO_EVENT_ORDER, /* list: for each place, the index of the deployment before */
	SLO_EVENT_SERVER,
	SLO_EVENT_SEAT,
	SLO_EVENT_SEAT_MOVED,
	SLO_EVENT_SEAT_GONE,
	SLO_EVENT_USABLE,  /* count: 1 or 0 */
	SLO_EVENT_PROFILE, /* list: its cells, see core/profile.h */
	SLO_EVENT_PROFILE_GONE,
	SLO_EVENT_SURPLUS,    /* count and load of what others placed there */
	SLO_EVENT_SEAT_TURN,  /* order, turn, count: where it stands in usable_seat[] */
	SLO_EVENT_MODEL_TURN, /* order, turn: how many it gave out; count: of on_top */
	/* Requests */
	SLO_EVENT_SUBMIT, /* count: its priority, order: 1 if its prompt was only estimated; both 0
	                   * in older recordings */
	SLO_EVENT_LEASE,  /* it runs there since `now` */
	SLO_EVENT_TRIED,  /* a head that had to wait at `now`; waited: so much later its queue was
	                   * looked  at last, 0 in older recordings */
	SLO_EVENT_ABANDON,
	SLO_EVENT_END,      /* count: SLO_END_... */
	SLO_EVENT_STEP,     /* without an answer */
	SLO_EVENT_DECISION, /* a step's answer */
	SLO_EVENT_LET_GO,   /* the answer of a waiting request that was let go */
	SLO_EVENT_PASS,     /* an answer without the scheduler */
	/* The fleet, since times are learned */
	SLO_EVENT_PROMISE, /* count: the goal's kind; real: the numbers of core/profile.h's goal */
	SLO_EVENT_SOURCE,  /* count: where a deployment's times come from; order: the state of what
	                    * was learned; load: 1 if the cache's size was told; real: the six
	                    * rates of core/latency/rates.h, in their order */
	SLO_EVENT_SLOWER,  /* real: how much more a request weighs on that server */
	/* Requests of other agents; order: the owner's number. The state at the begin has the first
	 * among its leases */
	SLO_EVENT_FOREIGN,     /* it runs there since `arrived`, and was told of now */
	SLO_EVENT_FOREIGN_END, /* count: SLO_END_... */
	SLO_EVENT_WITHHELD,    /* load: so much of the server is not to be used */
	/* What slo-adaptive knows */
	SLO_EVENT_STAKE,   /* of a lease (order: its owner): harm, work, reading, class of
	                    * core/adaptive_types.h are load, count, turn, input */
	SLO_EVENT_READING, /* count: when the server will have read its prompts */
	SLO_EVENT_GUARD,   /* real: the share of a deployment's headroom that its guard leaves */
	/* What other agents hear, see core/foreign.h */
	SLO_EVENT_OTHERS, /* count: of them; order: 1 if nobody told in time that they hear */
	SLO_EVENT_FRESH,  /* of a lease: they may not have heard of it */
	SLO_EVENT_HEARD,  /* arrived: they have heard of what was placed until then */
	SLO_EVENT_FLOOR,  /* load: that each request of a deployment weighs at least */
};
#define SLO_EVENT_KINDS 40

#define SLO_EVENT_OPTIONS     11
#define SLO_EVENT_OPTIONS_MIN 10 /* of older recordings; what they lack is 0 */

/* How a request's end was known. */
#define SLO_END_LINE      0 /* its stream broke off, or nothing was learned from it */
#define SLO_END_COMPLETED 1
#define SLO_END_REPAIRED  2 /* the ledger was put right */

struct slo_event {
	enum slo_event_kind kind;
	uint32_t strategy, verdict, reason; /* numbers of the core's enums */
	slo_nsec now, created, arrived;
	struct slice text; /* the request's id, or a name */
	uint64_t model, deployment, server;
	int64_t input, output; /* tokens; -1: not told */
	struct slo_target own;
	uint64_t load; /* of 2^32 */
	int64_t count;
	uint64_t order, turn;
	slo_nsec waited;
	double real[6];
	const int64_t *list;
	size_t list_n;
};

#endif
