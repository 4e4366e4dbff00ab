/* sched_private.h - what the files of the scheduler share. */
#ifndef SLO_CORE_SCHED_PRIVATE_H
#define SLO_CORE_SCHED_PRIVATE_H

#include "core/foreign.h"
#include "core/past.h"
#include "core/sched.h"
#include "core/tap.h"
#include "core/why.h"

#define GENERATIONS 16 /* changes that are told apart */

struct foreign_turn;
TAILQ_HEAD(foreign_turns, foreign_turn);

/* Other agents, see core/foreign.h. */
struct foreign {
	struct foreign_owner **owner; /* [owners], by number - 1; NULL: that number is free */
	uint32_t owners;
	size_t open;                /* leases of all owners */
	struct foreign_turns turns; /* ends that do not count yet, the first to do so first */
	size_t turn_count;
	uint32_t others;       /* agents that hear what we place */
	bool deaf;             /* as far as they told; they did not in time */
	struct request *fresh; /* the oldest lease of ours that they may not have heard of */
	struct servers left;   /* where ours ended since the last round of decisions */
	struct foreign_news news;
	struct request *unkept; /* the oldest lease of ours that whoever tells of it did not keep */
};

struct sched {
	struct sched_conf conf;
	struct rng rng;     /* of strategies */
	struct rng guesses; /* of predictors: what was guessed can be told, and draws stay */
	struct requests requests;
	struct moments holds; /* of all who wait, if they are not held equally long */
	struct past past;
	struct sched_models models;
	struct sched_model *model_by_name;
	struct sched_models dirty; /* something changed since their last decision round */
	struct servers servers;
	uint64_t seq;
	uint32_t settled; /* rounds of decisions that came to their end; a request that came since
	                   * was not refused a place yet */
	slo_nsec stepped; /* when sched_step() was called last */
	size_t unchecked; /* steps since sched_check() was called last, with SLO_CHECK */
	uint64_t leases_expired, ends_lost;
	uint32_t generation;           /* changes of HAProxy's processes */
	slo_nsec changed[GENERATIONS]; /* when, by generation */
	uint32_t round;                /* of questions to HAProxy */
	uint64_t numbers;              /* of models and servers, so far */
	uint32_t guards;               /* numbers of guards that were given so far */
	uint64_t forced;               /* see sched_counts() */
	struct sched_tap tap;          /* .tell is NULL: nobody listens */
	struct foreign foreign;
	struct why why; /* about the last answer */
	bool explains;  /* `why` is written */
	bool follows;   /* what another one learned, so guards move as it tells */
	bool unstepped; /* something was told since a step that did not answer */
};

static inline struct sched_model *sched_model_of(const struct deployment *d)
{
	return (struct sched_model *)((char *)d->pool - offsetof(struct sched_model, pool));
}

static inline uint64_t sched_hash(const struct sched *s, const char *id, size_t len)
{
	return id_hash(s->conf.hash_key, id, len);
}

void sched_model_free(struct sched_model *m);
/* Prompt tokens where so many are estimated; output tokens of all sequences, by r's prompt. */
int64_t sched_expect_input(const struct sched_model *m, slo_nsec now, int64_t estimate);
int64_t sched_expect_output(struct sched *s, slo_nsec now, const struct request *r,
                            const struct sched_request *req);
/* How long its requests are held, and what becomes of late ones. */
void sched_configure_queue(struct sched *s, struct sched_model *m);
/* Whoever is to be given up first, of equals the one that came first, and when. NULL, SLO_NEVER:
 * none waits. */
struct request *sched_first_held(struct sched *s, slo_nsec now, slo_nsec *until);
/* The same as of the last step. */
struct request *sched_hold_end(const struct sched *s, slo_nsec *until);
static inline bool sched_hold_varies(const struct sched *s)
{
	return s->conf.queue_timeout_most > s->conf.queue_timeout;
}

void sched_mark_dirty(struct sched *s, struct sched_model *m);
/* Ids that are over long enough. Before the past is asked. */
void sched_forget_old(struct sched *s, slo_nsec now);
/* Takes r out of its queue, if it waits in one; its caller then moves it on. */
void sched_leave_queue(struct sched *s, struct request *r);
/* r, which is not in a queue or on a server any more, is over. */
void sched_over(struct sched *s, slo_nsec now, struct request *r);

/* The end of what the past knows by that hash. What it does not know is `unknown` from now on. */
enum sched_end_result sched_end_past(struct sched *s, slo_nsec now, uint64_t hash,
                                     enum past_state unknown);
/* Room appeared there: those who wait for it are looked at again. */
void sched_room_on(struct sched *s, const struct server *server);
/* Charges the seat's server; r is DISPATCHED. */
void sched_lease_open(struct sched *s, slo_nsec now, struct request *r, struct seat *seat,
                      slo_load load);
/* The same where the model, if it is still there, has no seat on the server. */
void sched_lease_open_unseated(struct sched *s, slo_nsec now, struct request *r,
                               struct server *server, slo_load load);
/* When one that is taken up counts as dispatched, which then was said: no sooner than those that
 * are there, for the oldest lease expires first. */
slo_nsec sched_lease_since(const struct sched *s, slo_nsec then);
/* Gives the charge back: every model of the server has new room. */
void sched_lease_close(struct sched *s, slo_nsec now, struct request *r);
/* r, which is DISPATCHED, ended `lasted` after its dispatch: what it teaches is learned, and its
 * charge given back. outcome NULL: nothing is known. Fills in *out but for the result. */
void sched_lease_end(struct sched *s, slo_nsec now, struct request *r,
                     const struct sched_outcome *outcome, slo_nsec lasted, struct sched_end *out);
/* r, which is DISPATCHED, is on a HAProxy that we do not ask, or that we do. */
void sched_lease_hide(struct sched *s, struct request *r, bool hidden);

/* The foreign lease that HAProxy's end line of that id is about; NULL: there is none. */
struct request *foreign_of_line(const struct sched *s, uint64_t hash, const char *id, size_t len,
                                const struct sched_outcome *outcome);
/* By which the past knows end lines about foreign leases that are over. */
uint64_t foreign_line_hash(uint64_t hash);
/* r, a foreign lease, is not on a server any more. */
void foreign_over(struct sched *s, slo_nsec now, struct request *r);
/* The owner of that number; NULL: out of memory, or there is no such number. */
struct foreign_owner *foreign_owner_numbered(struct sched *s, uint64_t number);
/* Charges it to its server; it is not there yet. hash: of its id. NULL: out of memory. */
struct request *foreign_open(struct sched *s, slo_nsec now, struct foreign_owner *o,
                             const struct foreign_lease *l, uint64_t hash);
void foreign_init(struct foreign *f);
void foreign_fini(struct foreign *f);

/* r, whose dispatch was not seen, has a stake there, if slo-adaptive placed it. */
void sched_stake(struct sched *s, slo_nsec now, struct request *r);
/* The rates of d are known now: whatever runs there without a stake gets its one. */
void sched_stake_all(struct sched *s, struct deployment *d);
/* The end of r, as its owner told it, counts. */
void foreign_end_now(struct sched *s, slo_nsec now, struct request *r,
                     const struct sched_outcome *outcome, slo_nsec lasted, struct sched_end *out);
/* Puts it off until its turn. False: out of memory, so it counts now. */
bool foreign_end_later(struct sched *s, slo_nsec now, const struct foreign_owner *o,
                       struct request *r, const struct sched_outcome *outcome, slo_nsec lasted);
/* Ends whose turn has come. */
void foreign_take_turns(struct sched *s, slo_nsec now);
/* What still is charged to that server and ended. */
slo_load foreign_turns_load(const struct sched *s, const struct server *server);
/* r, which is ours, was placed just now while others listen. */
void foreign_placed(struct sched *s, struct request *r);
/* r, which is ours and known to others, is about to leave its server. */
void foreign_left(struct sched *s, const struct request *r);
/* Decisions come: what is spared leaves room that ours left. */
void foreign_round(struct sched *s);
/* All are made: who told of an end without taking its room, has left it to others. */
void foreign_round_over(struct sched *s);
void foreign_server_gone(struct server *server);
/* It is fresh; it is not, by whatever. */
void foreign_fresh(struct sched *s, struct request *r);
void foreign_fresh_no_more(struct sched *s, struct request *r);
/* When nobody listens, if nobody says so before; SLO_NEVER: nothing is fresh. */
slo_nsec foreign_fresh_until(const struct sched *s);
void foreign_fresh_give_up(struct sched *s);
/* r, one of ours, was dispatched, and somebody listens. */
void foreign_tell(struct sched *s, struct request *r);
/* r is not unkept any more. */
void foreign_keep(struct sched *s, struct request *r);
slo_load foreign_to_spare(const struct sched *s, const struct server *server);
/* The owner is gone, and what it had. */
void foreign_turns_forget(struct foreign *f, const struct foreign_owner *o);

/* A request's tokens, as far as its end tells; else as they were thought. */
struct stay_size {
	int64_t input, output;
	int64_t cached; /* of the input, that were not read */
	int64_t told;   /* of both, by its end; 0: it does not tell those of the input */
};
/* r, which was charged just now, is a part of what goes through its server. */
void sched_stay_begin(slo_nsec now, struct request *r, const struct deployment *d);
/* It ran since then and ended after `output` tokens, and completed if a deployment is to learn from
 * that. */
void sched_stay_end(struct sched *s, slo_nsec now, slo_nsec since, struct request *r,
                    const struct stay_size *size);
/* What came of what was foreseen for r, which is still charged. */
void sched_judge(struct sched *s, slo_nsec lasted, const struct request *r,
                 const struct sched_end *end);
/* The guard of d leaves that share of its headroom. */
void sched_guard(struct sched *s, struct deployment *d, double share);
/* Each request of d weighs that at least. */
void sched_floor(struct sched *s, struct deployment *d, slo_load floor);
/* Its profile is another one. */
void sched_profile_changed(struct sched *s, struct deployment *d);
/* Of what another scheduler learned: other rates are in force in d, another weight on a server. */
void sched_force(struct sched *s, struct deployment *d, enum fleet_source source,
                 const struct latency_force *force);
void sched_slower(struct sched *s, struct seat *seat, double slower);
void sched_surplus_restore(struct sched *s, struct server *server, uint32_t count, slo_load load);
/* Closes it without an end line. */
void sched_lease_expire(struct sched *s, slo_nsec now, struct request *r, enum fleet_repair cause);

/* Whether the rest is to be called. */
static inline bool tapped(const struct sched *s)
{
	return s->tap.tell != NULL;
}
COLD void tap_tell(struct sched *s, const struct slo_event *e);
COLD void tap_config(struct sched *s);
COLD void tap_model(struct sched *s, enum slo_event_kind kind, const struct sched_model *m);
COLD void tap_deployment(struct sched *s, enum slo_event_kind kind, const struct deployment *d);
COLD void tap_server(struct sched *s, enum slo_event_kind kind, const struct server *server);
COLD void tap_seat(struct sched *s, enum slo_event_kind kind, const struct seat *seat);
COLD void tap_promise(struct sched *s, const struct sched_model *m);
COLD void tap_source(struct sched *s, const struct deployment *d);
COLD void tap_guard(struct sched *s, const struct deployment *d);
COLD void tap_floor(struct sched *s, const struct deployment *d);
COLD void tap_slower(struct sched *s, const struct seat *seat);
COLD void tap_order(struct sched *s, const struct sched_model *m, struct deployment *const *order);
COLD void tap_request(struct sched *s, enum slo_event_kind kind, slo_nsec now,
                      const struct request *r);
COLD void tap_end(struct sched *s, slo_nsec now, const struct request *r,
                  const struct sched_outcome *outcome);
COLD void tap_decision(struct sched *s, enum slo_event_kind kind, slo_nsec now,
                       const struct sched_action *act);
/* Of a step without an answer; expired: leases, or the wait for others. */
COLD void tap_step(struct sched *s, slo_nsec now, bool expired);
COLD void tap_heard(struct sched *s, slo_nsec now, slo_nsec until);
COLD void tap_others(struct sched *s);

/* The rest of why_fill(), where the first option is not the chosen one. */
COLD void why_rest(struct why *w, const struct request *r, const struct rank_option *options,
                   size_t n, size_t chosen);

/* What decides r, which is about to be placed in the option `chosen`, or refused (SIZE_MAX). */
static inline void why_fill(struct why *w, const struct request *r,
                            const struct rank_option *options, size_t n, size_t chosen)
{
	w->options = n < WHY_OPTIONS ? n : WHY_OPTIONS;
	w->ranked = n;
	w->chosen = chosen < WHY_OPTIONS ? chosen : WHY_NONE;
	for (size_t i = 0; i < w->options; i++)
		w->option[i] = options[i];
	if (SELDOM(chosen > 0))
		why_rest(w, r, options, n, chosen);
}

static inline void why_ranked(struct sched *s, const struct request *r,
                              const struct rank_option *options, size_t n, size_t chosen)
{
	if (s->explains)
		why_fill(&s->why, r, options, n, chosen);
}
/* The same for one that is taken out of its queue. */
COLD void why_waited(struct sched *s, const struct request *r);

/* Decides one request by its ranked options (those of rank_options()). False: it has to wait. */
bool decide_ranked(struct sched *s, slo_nsec now, struct request *r,
                   const struct rank_option *options, size_t n, struct sched_action *out);
/* Decides a request of a strategy that never waits. */
void decide_at_once(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out);
/* Sends r to any usable server of its model, or lets HAProxy do that. */
void decide_let_go(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out);
/* r waited as long as it may. */
void decide_timeout(struct sched *s, slo_nsec now, struct request *r, struct sched_action *out);
/* Answers r without a server. */
void decide_refuse(struct sched *s, slo_nsec now, struct request *r, enum slo_verdict verdict,
                   enum slo_reason reason, struct sched_action *out);

#endif
