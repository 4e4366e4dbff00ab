/* snapshot.h - the file that carries what an agent knows over a restart.
 *
 *     "SLOSNAP1"  crc32 (4 bytes, little-endian, over all that follows)  length (8, of the records)
 *     records, each a MessagePack array:
 *         [0, written]                                            once, first
 *         [1, model, input, n, json, n, stream, n, [age, input, output, count, ...],
 *             spread, n, event, n]                                these four may be missing
 *         [2, backend, server, state]
 *         [3, id, model, backend, server, load, created, arrived, dispatched, input, output,
 *             estimate, strategy, flags, goal, per token, fixed,
 *             tpat, e2e, limit, sequences, class]                 these five may be missing
 *         [4, model, deployment, [number, ...], [bin, ...]]       what was learned of its times
 *         [5, model, backend, server, late, ends]                 of a server beside the others
 *         [6, owner, life, flags]                                 another agent, see core/foreign.h
 *         [7, owner, id, model, backend, server, load, dispatched, input, output, estimate, limit,
 *             sequences, class, strategy, flags]                  what it placed
 *         [8, model, deployment, digest, ends]                    that spoke against its profile
 *         [9, model, deployment, share, seen, missed]             of its guard, see core/guard.h
 *         [10, model, of, name, [coarse, age, kept, missed, refused, ...]]  see io/agent/attain.h
 *         [11, model, deployment, digest, tokens]                 that its caches held, beyond it
 *
 * Leases, 3 and 7, stand last: what they weigh depends on the others, and an agent that does not
 * know all their parts has read the rest then. Older agents wrote them sooner.
 *
 * A newer agent may write kinds that this one does not know, and more fields or elements behind
 * those that it does: they are passed over and counted, so that an operator who goes back one
 * version keeps his leases. A change of what stands here already needs another layout.
 *
 * Points in time are Unix nanoseconds: another process, or machine start, has another clock.
 * Another layout gets another digit in its first eight bytes. Pure: bytes in, bytes out. */
#ifndef SLO_WIRE_FILE_SNAPSHOT_H
#define SLO_WIRE_FILE_SNAPSHOT_H

#include <stdbool.h>

#include "slo.h"

#define SNAPSHOT_HEAD        20 /* bytes before the records */
#define SNAPSHOT_COUNTS_MAX  65536
/* Fields of a record, or elements of an array in it, behind those that are known. */
#define SNAPSHOT_SURPLUS_MAX 64

/* One count of an output predictor, see core/predictor.h. */
struct snapshot_count {
	uint32_t age, input, output, count;
};

struct snapshot_mean {
	double value;
	uint64_t samples;
};

struct snapshot_model {
	struct slice name;
	struct snapshot_mean input, json, stream, spread, event; /* see core/estimator.h */
	const struct snapshot_count *counts; /* [count_n], at most SNAPSHOT_COUNTS_MAX */
	size_t count_n;
};

struct snapshot_server {
	struct slice backend, server;
	uint32_t state; /* the writer's word for what HAProxy thought of it */
};

#define SNAPSHOT_STREAM         1u
#define SNAPSHOT_STREAM_GUESSED 2u
#define SNAPSHOT_FALLBACK       4u
#define SNAPSHOT_MUTE(flags)    ((flags) >> 8) /* what its end cannot teach */

struct snapshot_lease {
	struct slice id, model, backend, server;
	uint64_t load;
	int64_t created, arrived, dispatched; /* Unix ns */
	int64_t input, output, estimate;
	struct slice strategy; /* its name: numbers may change */
	uint32_t flags;        /* SNAPSHOT_... */
	uint32_t goal;         /* enum goal_kind */
	double per_token, fixed;
	/* Older agents did not write the rest: 0, no limit, one sequence of an unknown class. */
	double tpat, e2e;
	int64_t limit;
	uint32_t sequences, class;
};

#define SNAPSHOT_NUMBERS       21
#define SNAPSHOT_NUMBERS_LEAST 20 /* older agents wrote so many; the others are 0 */
#define SNAPSHOT_BINS          64

/* See core/latency/learner.h, which says what the numbers are. */
struct snapshot_learned {
	struct slice model, deployment;
	double number[SNAPSHOT_NUMBERS];
	uint16_t bin[SNAPSHOT_BINS];
};

struct snapshot_speed {
	struct slice model, backend, server;
	double late;
	uint32_t ends;
};

struct snapshot_refuted {
	struct slice model, deployment;
	uint64_t digest; /* of the profile, see core/profile.h */
	uint32_t ends;
};

struct snapshot_grown {
	struct slice model, deployment;
	uint64_t digest; /* of the profile */
	double tokens;
};

struct snapshot_guard {
	struct slice model, deployment;
	double share;
	uint32_t seen, missed;
};

#define SNAPSHOT_SLOTS_MAX 64

/* Of what a window counts the promises. */
enum snapshot_windows { SNAPSHOT_OF_ALL, SNAPSHOT_OF_STRATEGY, SNAPSHOT_OF_TARGET };

struct snapshot_promises {
	struct slice model;
	uint32_t of;       /* enum snapshot_windows */
	struct slice name; /* of the strategy or kind of target */
	size_t slots;      /* at most SNAPSHOT_SLOTS_MAX */
	struct snapshot_slot {
		uint32_t coarse, age, count[3];
	} slot[SNAPSHOT_SLOTS_MAX];
};

#define SNAPSHOT_VISIBLE 1u
#define SNAPSHOT_SELF    2u

struct snapshot_owner {
	struct slice name;
	uint64_t life;
	uint32_t flags; /* SNAPSHOT_VISIBLE, SNAPSHOT_SELF */
};

struct snapshot_foreign {
	struct slice owner, id;
	struct slice model; /* empty: none of ours */
	struct slice backend, server;
	uint64_t load;
	int64_t dispatched; /* Unix ns */
	int64_t input, output, estimate, limit;
	uint32_t sequences, class;
	struct slice strategy;
	uint32_t flags; /* as of a lease */
};

/* Writing. Failures are remembered and told by snapshot_end(). */
struct snapshot_writer;
struct snapshot_writer *snapshot_begin(int64_t written); /* NULL: out of memory */
void snapshot_add_model(struct snapshot_writer *w, const struct snapshot_model *m);
void snapshot_add_server(struct snapshot_writer *w, const struct snapshot_server *s);
void snapshot_add_learned(struct snapshot_writer *w, const struct snapshot_learned *l);
void snapshot_add_speed(struct snapshot_writer *w, const struct snapshot_speed *s);
void snapshot_add_refuted(struct snapshot_writer *w, const struct snapshot_refuted *r);
void snapshot_add_grown(struct snapshot_writer *w, const struct snapshot_grown *g);
void snapshot_add_guard(struct snapshot_writer *w, const struct snapshot_guard *g);
void snapshot_add_promises(struct snapshot_writer *w, const struct snapshot_promises *p);
void snapshot_add_lease(struct snapshot_writer *w, const struct snapshot_lease *l);
void snapshot_add_owner(struct snapshot_writer *w, const struct snapshot_owner *o);
void snapshot_add_foreign(struct snapshot_writer *w, const struct snapshot_foreign *l);
/* The whole file, until snapshot_writer_free(). SLO_ENOMEM. */
MUSTCHECK slo_err snapshot_end(struct snapshot_writer *w, struct slice *out);
void snapshot_writer_free(struct snapshot_writer *w); /* NULL is accepted */

/* Reading. */
enum snapshot_kind {
	SNAPSHOT_MODEL,
	SNAPSHOT_SERVER,
	SNAPSHOT_LEASE,
	SNAPSHOT_LEARNED,
	SNAPSHOT_SPEED,
	SNAPSHOT_OWNER,
	SNAPSHOT_FOREIGN,
	SNAPSHOT_REFUTED,
	SNAPSHOT_GUARD,
	SNAPSHOT_PROMISES,
	SNAPSHOT_GROWN
};
struct snapshot_record {
	enum snapshot_kind kind;
	union {
		struct snapshot_model model;
		struct snapshot_server server;
		struct snapshot_lease lease;
		struct snapshot_learned learned;
		struct snapshot_speed speed;
		struct snapshot_owner owner;
		struct snapshot_foreign foreign;
		struct snapshot_refuted refuted;
		struct snapshot_guard guard;
		struct snapshot_promises promises;
		struct snapshot_grown grown;
	};
};

struct snapshot_reader;
/* file stays the caller's and must outlive the reader. NULL: *why is a constant text such as
 * "its checksum is wrong"; else it is NULL. */
struct snapshot_reader *snapshot_open(struct slice file, int64_t *written, const char **why);
/* The next record of a known kind, valid until the next call. SLO_ENOENT: that was all. SLO_EPROTO:
 * this one is malformed, and nothing after it can be trusted. SLO_ENOMEM. */
MUSTCHECK slo_err snapshot_next(struct snapshot_reader *r, struct snapshot_record *out);
void snapshot_rewind(struct snapshot_reader *r); /* the first record is next again */
/* What of the records so far, since the beginning or the rewind, was passed over. */
struct snapshot_news {
	size_t unknown; /* records of an unknown kind */
	size_t longer;  /* records with more than is known */
};
struct snapshot_news snapshot_news(const struct snapshot_reader *r);
void snapshot_reader_free(struct snapshot_reader *r); /* NULL is accepted */

#endif
