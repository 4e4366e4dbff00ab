/* foreign.h - requests that other agents placed on the servers that we share with them.
 *
 * A foreign lease is a dispatched request of another agent, its owner. It is charged like one of
 * ours, so that loads, counts and every decision see the whole fleet. It is closed by the first of
 *   - its owner's news of its end (foreign_end);
 *   - our own copy of HAProxy's end line (sched_end), where HAProxy logs to several agents;
 *   - HAProxy's counts (heal.h), where we ask the HAProxys that serve it;
 *   - its owner's list of all that is open, if it is not in it (foreign_list_end);
 *   - its age (sched_conf.lease_max_age).
 * All that comes after the first is a duplicate and teaches nothing, whatever its order. That its
 * owner died closes nothing: the answer is still being written on the GPU.
 *
 * Its key is (owner, id): two owners may use one id, and so may we. An end that comes before its
 * dispatch is remembered for sched_conf.remember_ended, and that dispatch is refused then. Times of
 * another host's clock mean nothing here, so spans are told: ages and durations.
 *
 * An agent that starts anew has another life, a number that its peers learn with its news. What it
 * placed in a former life stays as it is until its present one names it, or knows better.
 *
 * All of it costs nothing while there is no owner and nobody listens. Step after every change. */
#ifndef SLO_CORE_FOREIGN_H
#define SLO_CORE_FOREIGN_H

#include "core/sched.h"

#define FOREIGN_OWNERS_MAX 1024

/* Owned by the scheduler; others may read it. */
struct foreign_owner {
	uint16_t number; /* from 1; another owner's after this one is gone */
	bool known;      /* it was not forgotten */
	bool self;       /* former lives of this agent */
	bool visible;    /* the HAProxys that we ask count its requests */
	bool listing;    /* between foreign_list_begin() and foreign_list_end() */
	bool present;    /* it is heard, so it has its turn */
	uint64_t life;   /* the present one */
	uint64_t salt;   /* of its ids, made of the name */
	slo_nsec turn;   /* see foreign_deal_turns() */
	size_t open;     /* its leases */
	char *name;
};

/* The owner of that name, a new one if there is none. It is not visible at first. NULL: there are
 * FOREIGN_OWNERS_MAX (foreign_is_full() tells), or out of memory. */
struct foreign_owner *foreign_owner(struct sched *s, const char *name, size_t len);
bool foreign_is_full(const struct sched *s);
/* The next one behind o in order of number, or the first if o is NULL; NULL: no more. */
struct foreign_owner *foreign_owner_next(const struct sched *s, const struct foreign_owner *o);
/* It placed r; NULL: r is ours. */
struct foreign_owner *foreign_owner_of(const struct sched *s, const struct request *r);
/* The number of its present life: all that it has open now is of a former one if that is
 * another. */
void foreign_owner_life(struct sched *s, struct foreign_owner *o, uint64_t life);
/* It has this agent's own name: what we took up ourselves (lease_restore) is not foreign. */
void foreign_owner_is_self(struct foreign_owner *o);
/* Whether the HAProxys that we ask (heal.h) serve its requests, so that their counts tell of them.
 * If not, its leases are taken off before counts are compared. */
void foreign_owner_visible(struct sched *s, struct foreign_owner *o, bool visible);
/* Room that appears is free to all agents at the same moment, and all that have somebody waiting
 * would take it. So each has its turn, `apart` after the one before it, and has heard by then what
 * that one took: first the agent whose request ended, then the others that are present, in the
 * circle of their names. While requests wait here, what an owner tells of an end counts at our
 * turn. A new deal after every change of who is present. `name` is ours. */
void foreign_deal_turns(struct sched *s, const char *name, slo_nsec apart);
/* When the next end counts that waits for its turn; SLO_NEVER: none does. */
slo_nsec foreign_next_turn(const struct sched *s);
/* What we place is known to others a moment later. Until then a lease of ours is fresh, and each of
 * the others may take the same room for one of its own; so as much of its server is spared, and
 * whoever finds no room because of that is looked at again when they have heard. Where a server has
 * room and no fresh lease, one is always placed. So many others hear us now; 0: nobody does, and
 * nothing is spared. */
void foreign_others(struct sched *s, size_t others);
/* They have heard of all that we placed until then, and we of what they placed before they did. If
 * that is not told within 50 ms, nothing is spared until it is. */
void foreign_heard(struct sched *s, slo_nsec now, slo_nsec until);
/* Whether a lease of ours is fresh. */
bool foreign_unheard(const struct sched *s);
/* Its leases stay; with the last of them it is freed. Until then foreign_owner() finds it. */
void foreign_owner_forget(struct sched *s, struct foreign_owner *o);

/* What an owner tells of one. */
struct foreign_lease {
	const char *id; /* id_len in 1..SLO_ID_MAX */
	size_t id_len;
	uint64_t hash;             /* of the id, by sched_expect(); 0: find it out */
	struct sched_model *model; /* NULL: not one of ours */
	struct server *server;
	slo_load load;              /* as its owner charged it, 0..SLO_LOAD_MAX */
	uint32_t news;              /* the owner's message that told it, its number's low bits */
	slo_nsec age;               /* since its dispatch; at least 0 */
	int64_t input, output;      /* tokens, as its owner knew or predicted them */
	enum slo_strategy strategy; /* that decided */
	bool fallback;
	/* What its end may teach, see struct sched_request: */
	int64_t estimate;  /* prompt tokens before correction; -1: input was told */
	int64_t limit;     /* of its output tokens; -1: none */
	int64_t sequences; /* at least 1 */
	unsigned mute, class;
	bool stream, stream_guessed;
};

/* How r, one of ours or another's, is told to others now. Points into r. */
struct foreign_lease foreign_lease_of(const struct request *r, slo_nsec now);

/* It was dispatched. SLO_ESTALE: it is known already, or over already, so nothing changed; one of a
 * former life is of the present one now. SLO_EINVAL: a value is out of range. SLO_EFULL: there are
 * sched_conf.foreign_limit already. SLO_ENOMEM. */
MUSTCHECK slo_err foreign_dispatch(struct sched *s, slo_nsec now, struct foreign_owner *o,
                                   const struct foreign_lease *l);
/* It ended. outcome is NULL if nothing is known but that. lasted: from its dispatch to its end, by
 * its owner's clock; -1: unknown. Of *out see sched_end(); never SCHED_END_CANCELLED, and no
 * request if the end waits for its turn. */
void foreign_end(struct sched *s, slo_nsec now, struct foreign_owner *o, const char *id, size_t len,
                 const struct sched_outcome *outcome, slo_nsec lasted, struct sched_end *out);

/* A list of all that the owner has open:
 *
 *     foreign_list_begin()   when the question leaves
 *     foreign_dispatch()     for each of the list, the oldest first, and for news between
 *     foreign_list_end()     what was not named since the begin is over
 *
 * The list is up to a message of the owner, `news`: a dispatch that it or one before it told, and
 * that was told before the begin, must be in the list if it is still open. What a later one told
 * stays. Of former lives only what is named changes, unless `whole`: then the owner knows of those,
 * too, and what it did not name is over. Returns how many were closed. */
void foreign_list_begin(struct sched *s, struct foreign_owner *o);
size_t foreign_list_end(struct sched *s, slo_nsec now, struct foreign_owner *o, uint64_t news,
                        bool whole);

/* The one of that id that another agent placed, of several any; NULL: there is none, or we placed
 * one of that id. */
const struct request *foreign_find_any(const struct sched *s, const char *id, size_t len);
/* The oldest one whose end was not told, or the next younger one than r; NULL: no more. */
const struct request *foreign_first(const struct sched *s);
const struct request *foreign_next(const struct request *r);
/* That of the owner with that number; NULL: it has none of that id. */
const struct request *foreign_find(const struct sched *s, uint64_t number, const char *id,
                                   size_t len);
/* Whether r is of a former life of its owner. */
bool foreign_is_former(const struct request *r);

/* Who tells others of what we place. The request is valid until the call returns, which must not
 * call the scheduler. */
struct foreign_news {
	/* One of ours was dispatched. */
	void (*dispatched)(void *arg, const struct request *r);
	/* One of ours ended, or one of another owner by something else than that owner's news.
	 * outcome NULL: it was given up, or nothing is known. */
	void (*ended)(void *arg, const struct request *r, const struct sched_outcome *outcome,
	              slo_nsec lasted);
	void *arg;
};
/* From now on news is told; it is copied. NULL: nobody. */
void foreign_listen(struct sched *s, const struct foreign_news *news);

/* Who tells others also keeps a list of what is open, for those who come later, and brings it up to
 * date now and then. What it was told of and did not keep yet: the oldest one; NULL: it kept all.
 * What ended before it was kept is not among them any more. */
const struct request *foreign_unkept(const struct sched *s);
/* That one is kept now. */
void foreign_kept(struct sched *s);
/* Whether r, which may just be ending, was kept, or was never told. */
bool foreign_is_kept(const struct request *r);

#endif
