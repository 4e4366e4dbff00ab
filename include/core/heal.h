/* heal.h - the ledger against what HAProxy counts.
 *
 * End lines get lost, and requests run that we did not place. So HAProxy is asked in rounds how
 * many requests it has on each server, running or in that server's own queue:
 *
 *     heal_ask()    heal_count() ... heal_count()    heal_conclude()
 *        |------------- one round -----------------------|                  |---- next ----
 *
 * More there than here: what is more is charged at the server's mean load and reckoned anew in
 * every round, so it goes as these requests end. Only what cannot be ours counts: leases that were
 * open at any moment of the round are taken off first.
 *
 * Fewer there than here: what is missing in every round for `grace` is over, and so many of the
 * oldest leases are given up. A round in which just as many ended as would be missing says nothing
 * either way: HAProxy counted them or not. What was dispatched too shortly before a question to be
 * there does not count. An end line may still be on its way when a round is concluded, so do that
 * HEAL_LINE_TIME after the last answer. On a server that is idle, two rounds in a row are enough.
 *
 * The count is HAProxy's in any case: what is given up by mistake comes back as surplus in the next
 * round. */
#ifndef SLO_CORE_HEAL_H
#define SLO_CORE_HEAL_H

#include "core/sched.h"

/* A request that was dispatched so shortly before a question may not have reached its server. */
#define HEAL_ON_ITS_WAY (10 * SLO_NSEC_PER_MSEC)

/* An end line is seldom later than this. */
#define HEAL_LINE_TIME (20 * SLO_NSEC_PER_MSEC)

struct heal {
	slo_nsec poll;     /* from round to round */
	slo_nsec grace;    /* how long a difference has to last */
	slo_nsec departed; /* how long a HAProxy process that left may still serve */
	slo_nsec asked;    /* when the present round began */
	slo_nsec before;   /* when the last whole one began; -1: that was not the one before */
	uint32_t round;
};

/* At least one round before any count. */
void heal_init(struct heal *h, slo_nsec poll, slo_nsec grace, slo_nsec departed);

/* The questions leave now. */
void heal_ask(struct heal *h, struct sched *s, slo_nsec now);
/* A process of HAProxy has so many requests on the server. */
void heal_count(const struct heal *h, struct server *server, uint32_t sessions);
/* A process that answered is another one than in the round before. Before heal_conclude(). */
void heal_process_changed(struct heal *h, struct sched *s, slo_nsec now);
/* The round is over. `whole`: all of HAProxy's processes answered in full, so that what was not
 * counted is not there. Else nothing is let go. Step afterwards. */
void heal_conclude(struct heal *h, struct sched *s, slo_nsec now, bool whole);
/* No more rounds follow: what HAProxy said is forgotten, and its surplus let go. */
void heal_stop(struct sched *s);

#endif
