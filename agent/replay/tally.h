/* tally.h - the decisions of a run, counted, and two runs printed side by side. */
#ifndef SLO_REPLAY_TALLY_H
#define SLO_REPLAY_TALLY_H

#include "private.h"

/* One server, by its number in the scheduler. */
struct tally_server {
	UT_hash_handle hh;
	uint64_t number;
	const struct server *server; /* of the run's scheduler */
	slo_nsec since;              /* it has `load` */
	slo_load load, peak;
	double sum; /* load times seconds */
};

struct tally {
	uint64_t verdicts[SLO_VERDICTS], reasons[SLO_VERDICTS][SLO_REASONS];
	slo_nsec *waits; /* [wait_n] of the requests that got a server */
	size_t wait_n, wait_cap;
	uint64_t queued; /* at the end */
	struct tally_server *servers;
	slo_nsec begin, now;
};

void tally_fini(struct tally *t);
/* False: out of memory. */
bool tally_decision(struct tally *t, enum slo_verdict verdict, enum slo_reason reason, bool placed,
                    slo_nsec waited);
/* What the server carries may have changed at `now`. False: out of memory. */
bool tally_load(struct tally *t, slo_nsec now, const struct server *server);
/* Of all servers that were told, at the end too. */
void tally_loads(struct tally *t, slo_nsec now);
/* Sorts the waits. */
void tally_print(const char *title, struct tally *recorded, struct tally *other, const char *name);

#endif
