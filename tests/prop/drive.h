/* drive.h - the scheduler and the naive model side by side: every operation goes to both, and
 * whatever can be seen of them has to be the same afterwards. */
#ifndef PROP_DRIVE_H
#define PROP_DRIVE_H

#include "naive.h"
#include "ops.h"

#define MESSAGE_MAX 512

/* What was seen, to know that the comparison is about something. */
struct tally {
	/* Random picks: how often the k-th of n usable servers. */
	uint64_t drawn[NAIVE_SERVERS + 1][NAIVE_SERVERS];
	uint64_t answers, waited;        /* all; routes after some time in the queue */
	uint64_t seen[4][NAIVE_REASONS]; /* by verdict and reason */
	uint64_t heavy;                  /* of more than a whole server */
};

struct world;

/* Requests are numbered below `ids`. The set-up has to last as long. NULL: out of memory. */
struct world *world_new(const struct setup *setup, uint32_t ids, bool verbose);
void world_free(struct world *w);

/* False: the two differ, and the message (of MESSAGE_MAX) says in what. */
bool world_apply(struct world *w, const struct op *op, char *message, struct tally *tally);
const struct naive *world_naive(const struct world *w);

#endif
