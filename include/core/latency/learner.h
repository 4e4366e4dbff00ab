/* learner.h - what the ends of requests teach about the servers of one deployment.
 *
 *   COLD  too few ends, and no profile: nothing is predicted
 *   WARM  what is predicted may be wrong: nobody is refused because of it
 *   HOT   predictions hold
 *
 * Rates are in force until others differ enough, so that queues are seldom ranked anew. Nothing is
 * allocated; the same ends teach the same. */
#ifndef SLO_CORE_LATENCY_LEARNER_H
#define SLO_CORE_LATENCY_LEARNER_H

#include "core/latency/errors.h"
#include "core/latency/fit.h"
#include "core/latency/given.h"
#include "core/latency/rates.h"
#include "core/latency/room.h"

#define LATENCY_COLD_ENDS 30 /* before, nothing is predicted but what a profile says */

enum latency_state { LATENCY_COLD, LATENCY_WARM, LATENCY_HOT };
enum latency_doubt {
	LATENCY_DOUBT_NONE,
	LATENCY_DOUBT_ERROR, /* the median prediction is off */
	LATENCY_DOUBT_TAIL,  /* many predictions are far too short */
	LATENCY_DOUBT_DRIFT, /* servers became faster or slower lately */
};

const char *latency_state_name(enum latency_state s); /* "cold", "warm", "hot" */
const char *latency_doubt_name(enum latency_doubt d); /* "", "error", "tail", "drift" */

/* One server's own share: log of actual / predicted. */
struct latency_speed {
	double late;
	uint32_t ends;
};

/* What decisions are made by. */
struct latency_force {
	enum latency_state state;
	struct latency_rates rates;
};

struct latency_learner {
	struct latency_fit fit;
	struct latency_errors errors;
	struct latency_room room; /* unless only a profile tells of the cache */
	double usual;             /* median of what servers are late, log */
	double slow, fast;        /* CUSUM of log(actual / predicted), both ways */
	double kv;                /* tokens; 0: nobody told */
	double wrong;    /* such tokens that ends disproved, until others are told; 0: none */
	bool prior;      /* a profile told of its servers before any end did, */
	double prior_kv; /* and of the cache's size; 0: it did not */
	double headroom; /* that an operator set; 0: it is found */
	double there,
	    expected;     /* tokens x seconds of the last ends, by their real and predicted size */
	double ratio;     /* actual / predicted of the last end, by what was known before */
	uint64_t ends;    /* that taught */
	uint64_t passed;  /* that could not */
	uint32_t trusted; /* ends since the last drift */
	enum latency_doubt doubt;
	struct latency_force force;
	slo_nsec forced; /* when that was set */
};

/* All that was learned, as numbers and the bins of the errors, to be taken up by another process.
 * The numbers: three rates and the nine of the spread in units of the first guess, usual lateness,
 * tokens there and expected, the limit of tokens and whether it was found, ends that taught, ends
 * left out, ends since the last drift, tokens that were told and disproved. */
#define LATENCY_NUMBERS 21

struct latency_memory {
	double number[LATENCY_NUMBERS];
	uint16_t bin[LATENCY_ERROR_BINS];
};

void latency_learner_remember(const struct latency_learner *l, struct latency_memory *out);
/* SLO_EINVAL: nobody can have learned that, and nothing changed. */
MUSTCHECK slo_err latency_learner_recall(struct latency_learner *l, slo_nsec now,
                                         const struct latency_memory *m);

struct latency_lesson {
	struct latency_features stay;
	double held;             /* tokens on the server at dispatch, its own too */
	double tokens, expected; /* its own, and as predicted at dispatch */
	double longest;          /* of tokens, those of its prompt and one of its answers */
	double target;           /* seconds that it may take; 0: none for all of it */
	bool several;            /* the deployment has several servers */
	bool on_top;             /* it waited for room in vain, and came on top of what was there */
	bool wanted;             /* more room would be of use */
};

/* kv: tokens that the KV cache of a server holds; 0: unknown. */
void latency_learner_init(struct latency_learner *l, double kv);
/* Told anew, a size is believed, unless ends disproved that very one. */
void latency_learner_kv(struct latency_learner *l, double kv);
/* From now on that much of a target is planned with, in (0, 1]; 0: as much as predictions allow. */
void latency_learner_headroom(struct latency_learner *l, slo_nsec now, double headroom);
/* A profile tells of its servers, NULL: none any more. It weighs as much as a few ends. Without one
 * the caches hold as much as was found with the one before, at least. */
void latency_learner_prior(struct latency_learner *l, slo_nsec now, const struct latency_given *g);
/* Caches were seen to hold so many tokens, which may be more than the profile tells. */
void latency_learner_grown(struct latency_learner *l, slo_nsec now, double kv);
/* What is known now comes into force. */
void latency_learner_enforce(struct latency_learner *l, slo_nsec now);
/* True if other rates, or another state, are in force now. */
bool latency_learn(struct latency_learner *l, slo_nsec now, const struct latency_lesson *lesson,
                   struct latency_speed *speed);

#endif
