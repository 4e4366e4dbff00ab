/* queue.h - the requests of one model that wait for room.
 *
 * A bucket is a FIFO of requests of about the same size: round(log2) of output and of input
 * tokens, 0 tokens apart. Only the first of each bucket, the head, is considered; one that
 * cannot be placed holds up its own bucket and no other.
 *
 *   head     [ h0 | h1 | h2 | ... ]   least slack first: earliest `start`, then created, seq
 *   slot     [ 2  | 0  | 1  | ... ]   where the head's bucket stands in need[d]
 *   untested [ 0  | 1  | 0  | ... ]   1: never tried, or something changed for it since
 *   need[d]  [ -  | .5 | .2 | ... ]   tested and blocked: the room that would free the head in
 *                                     deployment d; NEED_NONE where d is no option
 *
 * A blocked head stays blocked until room appears in a deployment that it waits for: loads only
 * grow inside a decision round, and time only takes options away. So a round looks at untested
 * heads and, for deployments with new room, at need[d]: one pass over at most
 * QUEUE_BUCKETS numbers, whatever the length of the queue and the number of servers. */
#ifndef SLO_CORE_QUEUE_H
#define SLO_CORE_QUEUE_H

#include "core/rank.h"

#define QUEUE_SIZES   33 /* 0 tokens, then 2^0 .. 2^31 */
#define QUEUE_BUCKETS ((size_t)QUEUE_SIZES * QUEUE_SIZES)

struct bucket {
	struct request_list fifo;
	/* Of the head, as of its last refresh: */
	slo_nsec start;   /* of its most relaxed option; INT64_MIN without any */
	slo_nsec tried;   /* when it was blocked */
	slo_nsec expires; /* its last reason to wait ends then; SLO_NEVER if none does */
	uint32_t slot;    /* in need[d], for good */
	uint32_t options;
	struct rank_option option[SLO_DEPLOYMENTS_MAX];
};

struct head {
	slo_nsec start; /* the bucket's, here so that a search stays in this array */
	struct bucket *bucket;
};

struct queue {
	struct model *model;
	struct bucket *bucket[QUEUE_BUCKETS]; /* NULL until used */
	size_t buckets;                       /* allocated */
	size_t length;                        /* requests */
	struct head *head;                    /* [cap], `heads` used, sorted */
	uint16_t *slot;                       /* [cap], beside head */
	uint8_t *untested;                    /* [cap], beside head */
	slo_load *need[SLO_DEPLOYMENTS_MAX];  /* [cap] each, by slot */
	size_t heads, cap, fragile;
	bool stale; /* the heads' options are to be computed anew before the next candidate */
};

void queue_init(struct queue *q, struct model *model);
void queue_fini(struct queue *q); /* its requests are somebody else's */

/* The model has one more deployment than before. */
MUSTCHECK slo_err queue_deployment_added(struct queue *q);
/* Appends r to its bucket. SLO_ENOMEM: nothing changed. */
MUSTCHECK slo_err queue_push(struct queue *q, struct request *r);
/* Takes r out, wherever it stands; the next of its bucket becomes an untested head. */
void queue_remove(struct queue *q, struct request *r);
/* The model has one deployment less than before; heads are ranked and tried again. */
void queue_deployment_removed(struct queue *q);
/* A profile or the set of usable deployments changed: every head is ranked and tried again. */
void queue_refresh(struct queue *q);

/* The first head, least slack first, whose decision may have changed, or NULL. With `late`,
 * heads that are expected to miss everywhere are among them. */
struct bucket *queue_candidate(struct queue *q, slo_nsec now, bool late);
/* The head of b was tried at `now` and has to wait. */
void queue_block(struct queue *q, struct bucket *b, slo_nsec now);

/* Order of two heads: negative when a comes first. */
int queue_compare(const struct bucket *a, const struct bucket *b);

void queue_check(const struct queue *q);

#endif
