/* queue.h - the requests of one model that wait for room.
 *
 * A bucket holds requests of about the same size: round(log2) of output and of input tokens,
 * 0 tokens apart. Inside it they stand by priority, then by the moment at which they are due: their
 * latest start or, if they bring no target of their own, the end of their hold if that is sooner;
 * then created, then arrival. Only the first of each bucket, the head, is considered; one that
 * cannot be placed holds up its own bucket and no other.
 *
 * With `serve`, each size has a bucket for each number of deployments in which a request can still
 * be in time, its level:
 *
 *   push --> [ level 2: fast, slow ] --too late for slow--> [ level 1: fast ] --+
 *                                                                               | too late for fast
 *            placed, refused, gone <-- [ level 0, late: fast, slow ] <----------+
 *
 * So one that has only fast left does not hold those that can still go to slow. The late ones
 * stand behind all others, the oldest first, and may go to any deployment: a target that cannot be
 * met buys no place before others, and after a burst the lost ones do not make those behind them
 * late as well. Without `serve` all levels of a size are one bucket.
 *
 * `expiry` is a heap of the moments at which requests lose their last open deployment. They change
 * their level when the queue is looked at after it; nothing happens at that very moment. So between
 * two looks levels are those of `looked`.
 *
 * The heads of all buckets:
 *
 *   head     [ h0 | h1 | h2 | ... ]   the largest priority first, then least slack: earliest
 *                                     `start`, then created, seq
 *   slot     [ 2  | 0  | 1  | ... ]   where the head's bucket stands in want[d]
 *   untested [ 0  | 1  | 0  | ... ]   1: never tried, or something changed for it since
 *   want[d]  [ .5 | -  | .2 | ... ]   by slot. Tested and blocked: what would free the head in
 *                                     deployment d; QUEUE_NEED_NONE where d is not open to it
 *
 * A blocked head stays blocked until room appears in a deployment that it waits for, or until its
 * level changes: loads only grow inside a decision round. So a round looks at untested heads and,
 * for deployments with new room, at want[d]: one pass over as many numbers as there are heads,
 * whatever the length of the queue and the number of servers. Most of these say no, so what is
 * passed over is a rough copy of them that is never stricter, of whole rows side by side: rough[d].
 * Whom that lets through is `hoped` for until he was looked at closely; see queue_room.c. */
#ifndef SLO_CORE_QUEUE_H
#define SLO_CORE_QUEUE_H

#include "core/adaptive.h"
#include "core/grades.h"
#include "core/moments.h"

#define QUEUE_SIZES   33                                  /* 0 tokens, then 2^0 .. 2^31 */
#define QUEUE_BUCKETS ((size_t)QUEUE_SIZES * QUEUE_SIZES) /* without levels */

RB_HEAD(waiting, request);

struct bucket {
	struct waiting waiting;
	struct size *size;     /* that it belongs to */
	struct request *first; /* of them, the head; NULL: empty */
	struct request *last;  /* of them: who comes mostly stands behind it */
	uint32_t slot;         /* in want[d], while there is a head; else QUEUE_SLOT_NONE */
	/* Of the head, as of when it became that: */
	int32_t priority;
	slo_nsec
	    start;    /* of its most relaxed option; INT64_MIN without any, SLO_NEVER behind all */
	bool blocked; /* it was tried, and has to wait */
	slo_nsec tried;             /* when that was, and */
	uint64_t frees;             /* pool.frees then */
	uint32_t options, open;     /* open: the first of them that it may go to now */
	struct rank_option *option; /* [levels of the size - 1] */
};

/* The buckets of one size: all that its requests can come to, so that none is missing then. */
struct size {
	size_t count; /* requests */
	size_t at;    /* in size[], while it has some */
	size_t levels;
	struct bucket *level[SLO_DEPLOYMENTS_MAX + 1];
	LIST_ENTRY(size) spare;
};
LIST_HEAD(sizes, size);

/* How long a request may be held: as long as it can still be in time, but at least `least` and at
 * most `most`. With most <= least it is `least` for all. SLO_NEVER: no limit. */
struct queue_hold {
	slo_nsec least, most;
};

/* Whether requests are not to be given up in order of arrival. */
static inline bool queue_hold_varies(const struct queue_hold *h)
{
	return h->most > h->least;
}

/* Until when one is held that came then and has to start then at the latest. */
static inline slo_nsec queue_held_until(const struct queue_hold *hold, slo_nsec arrived,
                                        slo_nsec start)
{
	slo_nsec least = slo_after(arrived, hold->least), most;

	if (start <= least || hold->most <= hold->least)
		return least;
	most = slo_after(arrived, hold->most);
	return start < most ? start : most;
}

/* Of those that bring no target of their own the longest of a size may start last, and would be
 * passed over until they are given up: nobody asked for that. */
static inline slo_nsec queue_due(const struct request *r, size_t options)
{
	bool plain = options == 0 || r->start == SLO_NEVER || slo_target_is_set(&r->own);

	return plain || r->start < r->until ? r->start : r->until;
}

/* What frees a blocked head in one deployment. */
struct queue_want {
	slo_load need; /* room on some server; QUEUE_NEED_NONE: nothing does */
	bool adaptive; /* and if only one got room, what that has to have: */
	struct adaptive_want on;
};
#define QUEUE_NEED_NONE UINT64_MAX
#define QUEUE_SLOT_NONE UINT32_MAX

/* The same of QUEUE_ROW heads, rounded. */
#define QUEUE_ROW 16
struct queue_rough {
	int16_t load[QUEUE_ROW];    /* that needs room */
	int16_t class[QUEUE_ROW];   /* of its target; INT16_MAX: it is not of slo-adaptive */
	int16_t work[QUEUE_ROW];    /* that may be there; -1: nothing frees it */
	int16_t reading[QUEUE_ROW]; /* likewise */
};

struct head {
	slo_nsec start;   /* the bucket's, here so that a search stays in this array */
	int32_t priority; /* likewise */
	struct bucket *bucket;
};

struct queue {
	struct pool *pool;
	enum slo_late late;
	struct size *size[QUEUE_BUCKETS]; /* NULL: no request has that size */
	struct sizes spare;               /* of no size now */
	size_t buckets;                   /* allocated, spare ones included */
	size_t length;                    /* requests */
	struct head *head;                /* [cap], `heads` used, sorted */
	uint16_t *slot;                   /* [cap], beside head */
	uint8_t *untested;                /* [cap], beside head */
	struct bucket **at;               /* [cap], by slot: whose it is; `slots` used */
	struct queue_want *want[SLO_DEPLOYMENTS_MAX];   /* [cap] each, by slot */
	struct queue_rough *rough[SLO_DEPLOYMENTS_MAX]; /* [cap / QUEUE_ROW] each */
	int16_t *hoped;              /* [cap], by slot: not 0: new room may free it */
	uint64_t hoped_frees;        /* pool.frees when these were found, and */
	const struct seat *hoped_by; /* pool.freed_by */
	bool hoped_many;             /* too many to look at each again */
	size_t slots;
	size_t heads, cap;
	struct moments expiry; /* after which a request has one option less */
	struct queue_hold hold;
	struct grades grades;  /* all of its requests */
	struct moments *holds; /* of all queues, until when requests are held, if that varies */
	slo_nsec looked;       /* when it was looked at last */
	bool stale;            /* every request is to be ranked anew before the next candidate */
};

void queue_init(struct queue *q, struct pool *pool, enum slo_late late);
void queue_fini(struct queue *q); /* its requests are somebody else's */
/* What becomes of late requests from now on; they are ranked and tried again. */
void queue_set_late(struct queue *q, enum slo_late late);
/* How long they are held from now on; the same. holds: with room for all who wait; NULL is accepted
 * of a rule that does not vary. */
void queue_set_hold(struct queue *q, const struct queue_hold *hold, struct moments *holds);

/* The model has one more deployment than before. */
MUSTCHECK slo_err queue_deployment_added(struct queue *q);
/* Puts r into its bucket. SLO_ENOMEM: nothing changed. */
MUSTCHECK slo_err queue_push(struct queue *q, slo_nsec now, struct request *r);
/* Takes r out, wherever it stands; the next of its bucket becomes an untested head. */
void queue_remove(struct queue *q, struct request *r);
/* The model has one deployment less than before; all are ranked and tried again. */
void queue_deployment_removed(struct queue *q);
/* A profile or the set of usable deployments changed: all are ranked and tried again. */
void queue_refresh(struct queue *q);

/* Whoever is to go if there are too many: of those of the least priority the last that came. */
static inline struct request *queue_least(const struct queue *q)
{
	return grades_least(&q->grades);
}

static inline bool queue_is_head(const struct request *r)
{
	return r->bucket->first == r;
}

/* The next of its bucket, or NULL. */
struct request *queue_behind(struct request *r);

/* Brings the levels up to `now`. */
void queue_look(struct queue *q, slo_nsec now);
/* The same, then the first head, least slack first, whose decision may have changed; or NULL. */
struct bucket *queue_candidate(struct queue *q, slo_nsec now);
/* Whether r is a head that was tried before and has to wait. */
bool queue_was_blocked(const struct request *r);
/* The head of b was tried at `now` and has to wait. */
void queue_block(struct queue *q, struct bucket *b, slo_nsec now);

/* Order of two heads: negative when a comes first. */
int queue_compare(const struct bucket *a, const struct bucket *b);

/* Calls visit() for every request, in no order that means anything. */
void queue_each(const struct queue *q, void (*visit)(void *arg, const struct request *r),
                void *arg);

/* How many go before r, which waits here; of each bucket at most `most` are counted. */
size_t queue_before(const struct queue *q, const struct request *r, size_t most);

void queue_check(const struct queue *q);

#endif
