/* adaptive.h - strategy slo-adaptive: a request goes where it adds least lateness to all.
 *
 * A server that takes `step` seconds for a step, `prompt` for a token of a prompt and `cached` for
 * each token that a step reads (latency/rates.h) would need for a request of P and O tokens, among
 * what it holds:
 *
 *     queue = the prompts that it has not read yet; or, if its cache is too small for the tokens
 *             that it holds and these, the same share of all its work, if that is longer
 *     f = (queue + prompt P + O (step + cached (held + P + O/2)) / (1 - reading)) slower
 *     x = (age + f) / T                 T: the target. Of a TTFT target f ends with the prompt
 *     W = prompt P + cached O (P + O/2) what it takes from the others there
 *     cost = x^2 + W harm + penalty
 *
 * x^2 is its own lateness, W harm what the others' x^2 grow by: harm is the sum of 2x/T over the
 * requests there, each as it was thought to be at its dispatch. `reading` is the sum of
 * prompt P / f, which by Little's law is the share of the time that goes to prompts. The penalty
 * keeps large requests off servers whose cache they would fill while another type has plenty, and
 * tight ones off servers where relaxed work may queue, if there is any.
 *
 * Only an open server may take the request. One is open that is idle; or that has
 *   - room for its tokens in the cache; or, if times and cache are known, nothing tight runs there
 *     and no tighter request waits, for ADAPTIVE_OVERFILL caches of tokens, or for ADAPTIVE_SHALLOW
 *     if it is one of the first of its deployment, which stay shallow (fleet.h): relaxed work may
 *     queue inside an engine, where batches stay full, but never in front of tight work, and not
 *     inside all of them, or tight work that comes finds none; and
 *   - so little work that the request alone behind it keeps its target; or, if that is late even
 *     alone, so little that it takes twice as long as alone at most. For a target of the first
 *     token prompts take a share of the time there: half of it is always little enough.
 * Of the open ones that with the least cost is taken, equal ones in the order of the configuration;
 * if none is open, the request waits. Whether a server is open does not depend on the time, so who
 * waits need not be looked at before something ends.
 *
 * Of more than ADAPTIVE_CANDIDATES servers of a deployment not all are weighed: so many with least
 * harm; so many of the emptiest; and the shallow ones among its first ADAPTIVE_FIRST, if the best
 * so far is one that a tight request should keep off, or one of another deployment. So one that
 * costs less may be missed: it has no less harm than the first kind, no less load than the second.
 * If all that are open are missed, the request waits for new room. */
#ifndef SLO_CORE_ADAPTIVE_H
#define SLO_CORE_ADAPTIVE_H

#include "core/rank.h"

/* So many servers of a deployment are weighed in each of two orders: the emptiest, and those with
 * least harm. */
#define ADAPTIVE_CANDIDATES 6
/* So many of the first seats of a deployment are looked at for a shallow one, usable or not. */
#define ADAPTIVE_FIRST      8

struct adaptive_choice {
	struct seat *seat;
	size_t option; /* index */
	struct adaptive_stake stake;
};

/* The class of a target: floor(log2), 0 for none. */
unsigned adaptive_class(slo_nsec target);

/* What decides whether a server of one deployment is open to a request. */
struct adaptive_want {
	slo_load load; /* of the request */
	/* Of the sums of a server that is not idle, at most. */
	int64_t work, reading;
	uint8_t class; /* of its target */
};

/* As many caches of tokens may be on a server, where relaxed work may queue inside its engine. */
#define ADAPTIVE_OVERFILL 16
/* The same where much may not queue. */
#define ADAPTIVE_SHALLOW  2
/* So much may be on a server while nobody is tight. */
slo_load adaptive_most(const struct seat *seat);

/* How much of a server has to be free, as the ledger has it, before one may be open. */
slo_load adaptive_need(slo_load load);

/* What r wants in d, its option, until d's rates or goals change. */
void adaptive_wants(const struct deployment *d, const struct request *r,
                    const struct rank_option *option, struct adaptive_want *out);
/* A class like that is tight beside one of class + 2 or more: it has a quarter of the time or less,
 * about. */
#define ADAPTIVE_TIGHTER 2
/* Whether it may go to that server. */
bool adaptive_is_open(const struct adaptive_want *w, const struct seat *seat);

/* Finds d->room, of all servers that may be weighed. */
void adaptive_find_room(struct deployment *d);
/* Aborts if that is not what it says. */
void adaptive_room_check(const struct deployment *d);

/* The best open server of these options of r, those of rank_options(). False: none is open.
 * `only`: all others are known to be closed; NULL: nothing is known. */
bool adaptive_choose(struct pool *pool, const struct request *r, slo_nsec now,
                     const struct rank_option *options, size_t n, struct seat *only,
                     struct adaptive_choice *out);

/* r waits, or does not any more; option: its most relaxed one, NULL: it has none. Who is tight and
 * waits keeps others from queueing in front of him. */
void adaptive_waits(struct pool *pool, struct request *r, const struct rank_option *option);
void adaptive_waits_no_more(struct pool *pool, const struct request *r);

/* r, which is charged to the server, has that stake; or it leaves. */
void adaptive_enter(struct server *s, struct request *r, const struct adaptive_stake *stake);
void adaptive_leave(struct server *s, struct request *r);
/* The stake of a request whose dispatch was not seen, as if it ran there alone. False: it has no
 * target, or nothing is known of the server's times. */
bool adaptive_stake_alone(const struct seat *seat, const struct request *r,
                          struct adaptive_stake *out);

#endif
