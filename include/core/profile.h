/* profile.h - what a GPU does for a request of a given size, and what that means for its SLO.
 *
 * A profile belongs to a (model, deployment) and is immutable. A cell is its entry for one
 * size of request. All tables are converted to nanoseconds and fixed-point loads once, here. */
#ifndef SLO_CORE_PROFILE_H
#define SLO_CORE_PROFILE_H

#include <stdbool.h>

#include "core/latency/given.h"
#include "core/ledger.h"
#include "slo.h"
#include "slo_event.h"
#include "slo_profile.h"

struct profile;

/* What a request is measured against, from its own target or else the profile's. */
enum goal_kind {
	GOAL_NONE,
	GOAL_TPOT, /* tpot per output token, plus ttft; end to end */
	GOAL_TTFT, /* time to the first token */
	GOAL_TPAT, /* time per token, input and output; end to end */
	GOAL_E2E,  /* end to end */
};

#define GOAL_KINDS 5

/* All targets that hold for a request. The first one by the order above is its goal: order, rank
 * and load follow it alone, as in AIBrix. Whether a promise was kept is judged by all,
 * goal_missed(). */
struct goal {
	enum goal_kind kind;
	double per_token; /* seconds, of TPOT and TPAT */
	double fixed;     /* seconds, of the others and the ttft part of TPOT */
	double tpat, e2e; /* seconds; those behind the first, 0: not set */
};

/* The first of these targets that is set decides: > 0, in seconds. */
struct goal goal_make(double tpot, double ttft, double tpat, double e2e);
const char *goal_name(enum goal_kind k); /* "" for GOAL_NONE */
/* A target as people write it, KIND=TIME as in "e2e=2s", "tpot=50ms" or "ttft=0.5", in seconds to
 * target[kind]. False: it is none, and nothing changed. */
bool goal_read(const char *text, double target[GOAL_KINDS]);
/* Whether it can be one: of a file, say. */
bool goal_is_sane(const struct goal *g);

/* NULL: out of memory, or doc has no cell. The doc stays the caller's. */
struct profile *profile_new(const struct slo_profile_doc *doc);
void profile_free(struct profile *p); /* NULL is accepted */

double profile_created(const struct profile *p); /* Unix seconds */
double profile_cost(const struct profile *p);
size_t profile_cells(const struct profile *p);
size_t profile_no_data(const struct profile *p);    /* cells that were NaN or null */
size_t profile_zero_cells(const struct profile *p); /* cells with throughput 0 */

/* Index of the cell for a size: the nearest index of each axis in log2 space, a tie goes up,
 * outside of the axis its first or last. */
size_t profile_cell(const struct profile *p, int64_t input, int64_t output);

/* Whether a request is far larger than the sizes that the profile tells apart: its cell is a guess.
 */
bool profile_beyond(const struct profile *p, int64_t input, int64_t output);
/* Likewise, far smaller in its prompt or its answer. */
bool profile_below(const struct profile *p, int64_t input, int64_t output);

/* The goal of a request; own replaces the profile's targets as a group if any of it is set.
 * NULL: there is no profile. */
struct goal profile_goal(const struct profile *p, const struct slo_target *own);

/* The one of requests without a target of their own. */
const struct goal *profile_target(const struct profile *p);

/* The time that a goal allows a request of this size, cut to about 31 years. */
slo_nsec goal_span(const struct goal *g, int64_t input, int64_t output);
/* The target of one kind that g contains, whichever its goal; GOAL_NONE if it has none. */
struct goal goal_part(const struct goal *g, enum goal_kind kind);
/* The targets that a request missed, a bit 1 << enum goal_kind for each. ttft -1: it has none, as
 * its answer was no stream. */
unsigned goal_missed(const struct goal *g, int64_t input, int64_t output, slo_nsec e2e,
                     slo_nsec ttft);

/* expected - target: the rank of a request that was created just now and has that span. False: the
 * goal is GOAL_NONE or the cell lacks the value, so there is no rank. */
bool profile_rank(const struct profile *p, size_t cell, const struct goal *g, slo_nsec span,
                  slo_nsec *rank);

/* Whether the profile says that the target cannot be met in this cell (throughput 0). */
bool profile_infeasible(const struct profile *p, size_t cell);

/* Mean seconds end to end at the throughput of that cell; 0 when it cannot tell. */
double profile_e2e(const struct profile *p, size_t cell);

/* Share of a server that one request occupies, by Little's law: a server that sustains tput
 * requests/s at a mean latency of e2e holds tput * e2e of them. 0 when the cell cannot tell. */
slo_load profile_load(const struct profile *p, size_t cell);

/* What a cell says of the time that requests take. False: nothing. */
bool profile_point(const struct profile *p, size_t cell, struct latency_point *out);

/* A number that profiles with other sizes or times hardly ever share. Never 0. */
uint64_t profile_digest(const struct profile *p);

/* As an event, exactly: created, cost and goal in real[], the borders of its axes counted by
 * `order` (output) and `count` (input). The list is the goal's kind, both axes' borders, and for
 * each cell e2e, ttft, load and whether it is infeasible. False: out of memory, no list. Else the
 * list is for free(). */
bool profile_to_event(const struct profile *p, struct slo_event *e);
/* Another one like it. SLO_EINVAL: that is no profile; SLO_ENOMEM. */
MUSTCHECK slo_err profile_from_event(const struct slo_event *e, struct profile **out);

#endif
