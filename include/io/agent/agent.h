/* agent.h - where a neighbour's words become events of the scheduler, and its actions answers.
 *
 * It owns the scheduler and everything that belongs to one configuration. It decides nothing:
 * it looks up names, converts units at the edge, counts, and drives sched_step().
 *
 * Who pumps, and why. Most calls only tell the scheduler something; agent_pump() makes it decide
 * and delivers the answers. The agent pumps by itself before each sleep of the loop, ahead of
 * conn.c, which then sends what was delivered: whoever told something need not think of it, and
 * nothing that came in one turn of the loop waits for the next. Only spop_server.c pumps sooner,
 * for three reasons: many requests of one read are decided in small batches, which is faster and
 * measures what a decision costs; a DISCONNECT must come behind the last answer; and a connection
 * that is freed while output leaves makes room after the agent has pumped. And recorder.c, because
 * a file begins with a state in which nothing is left to decide. */
#ifndef SLO_IO_AGENT_AGENT_H
#define SLO_IO_AGENT_AGENT_H

#include <ev.h>
#include <stdbool.h>

#include "core/pace.h"
#include "core/sched.h"
#include "conf/config.h"
#include "io/agent/cell_fit.h"
#include "io/agent/decisions.h"
#include "io/agent/failing.h"
#include "io/agent/profile_notes.h"
#include "io/agent/profile_trouble.h"
#include "io/agent/roster.h"
#include "io/base/listeners.h"
#include "io/base/log.h"
#include "io/agent/stats.h"
#include "io/agent/unknown.h"
#include "io/agent/warn.h"
#include "io/agent/watch.h"
#include "slo.h"
#include "wire/file/reqtrace.h"
#include "wire/route_msg.h"

/* What the ACK says. The strings are valid until deliver() returns, or the next call. */
struct answer {
	enum slo_verdict verdict;
	enum slo_reason reason;
	enum slo_strategy strategy;
	const char *server;  /* NULL: none */
	const char *backend; /* NULL: none */
	int status;          /* HTTP, for a reject; else 0 */
	int64_t wait_ms;
	/* For a reject: seconds after which the client may try again; 0: that would not help. */
	int retry_after;
};

/* Hands an answer to whoever submitted the request. */
typedef void agent_deliver(void *user, const struct answer *answer, slo_nsec now);

/* Who may keep an end line for a moment: then it comes again by ends_line(). */
struct agent_deferral {
	bool (*defer)(void *arg, struct slice id, struct slice line); /* NULL: nobody */
	void *arg;
};

/* A model with what the configuration and the shell know of it; sched_model.owner. */
struct agent_model {
	struct sched_model *sched;
	const struct config_model *conf;
	struct model_stats stats;
	struct pace pace;      /* of its queue */
	void *label;           /* labels.h */
	bool said_no_target;   /* the log did */
	bool no_default_limit; /* since the last reload its engines answered longer than OpenAI's
	                          default to who set no limit */
	struct reqtrace trace; /* counted if the configuration wants it */
};

struct agent {
	struct ev_loop *loop;
	struct log *log;
	const struct config *conf; /* NULL: none yet */
	uint64_t seed;
	struct sched *sched;
	struct agent_model **models; /* [model_count], as configured; each stays where it is */
	size_t model_count;
	struct profile_file *files; /* those that were put in force, see agent_load_profiles() */
	struct profile_notes profile_notes;
	struct profile_troubles profile_troubles;
	struct agent_model *default_model; /* NULL: none */
	struct unknown_models unknown;     /* models that were asked for in vain */
	struct roster roster;              /* servers by backend and name */
	struct failing_list failing;       /* those of them that are set aside */
	struct stats stats;
	struct decisions decisions; /* the last ones */
	struct warnings warnings;   /* what is wrong at present */
	struct watch watch;         /* who finds that out */
	struct cell_fits cell_fits; /* what it knows of profiles' cells */
	struct listeners listeners; /* of all servers of this agent */
	uint64_t forced;            /* learned times, as far as the log was told */
	bool draining;
	bool joining;            /* what other agents placed is not known yet: not ready */
	bool first_bytes_told;   /* HAProxy's lines say when the body of a stream began */
	unsigned pumps;          /* so far, in builds with SLO_CHECK */
	ev_prepare before_sleep; /* pumps */
	ev_timer wakeup;         /* so that there is a sleep to pump before */
	slo_nsec wakeup_at;      /* SLO_NEVER: the timer is off */
	agent_deliver *deliver;
	struct agent_deferral deferral;
};

/* It has no configuration: agent_configure() comes first. seed 0: one is chosen. NULL: out of
 * memory. */
struct agent *agent_new(struct ev_loop *loop, struct log *log, uint64_t seed,
                        agent_deliver *deliver);
void agent_free(struct agent *a); /* NULL is accepted */

/* Puts the fleet and the options of conf in force, which becomes a->conf; the one before it must
 * live until all who borrow from it were told. SLO_ENOMEM: nothing changed. SLO_EFULL: conf is in
 * force, but memory ran out on the way, so a part of the new fleet is missing until the next call.
 */
MUSTCHECK slo_err agent_configure(struct agent *a, const struct config *conf);

/* A slo-route message that comes soon, or an end line: its id, so that the CPU fetches what will
 * be looked at. Returns the hash of the id, 0 without one. */
uint64_t agent_expect(const struct agent *a, struct slice id);
/* A slo-route message; user (or NULL) begins with a struct asker, which is filled in. True: *out is
 * the answer. False: it comes through deliver(user), from agent_pump() at the earliest; *request is
 * valid until then. */
bool agent_route(struct agent *a, slo_nsec now, const struct route_msg *msg, struct asker *user,
                 struct answer *out, struct request **request);
/* Whether agent_pump() must come before the next message: as many wait as may, and one of them may
 * be about to find a server. */
bool agent_must_decide(const struct agent *a, const struct request *request);
/* The answer to a message that there is no room to look at: HAProxy goes on as if there were no
 * agent. */
void agent_pass(struct agent *a, slo_nsec now, const struct route_msg *msg, struct answer *out);
/* The answer to who does not tell the secret. The id is not remembered: it may be another's. */
void agent_pass_stranger(struct agent *a, struct answer *out);
/* Nobody waits for this request's answer any more. */
void agent_abandon(struct agent *a, slo_nsec now, struct request *request);
/* Has the scheduler decide, delivers its answers and sets the timer for what comes; see above for
 * who calls it. */
void agent_pump(struct agent *a, slo_nsec now);
/* Frees what lay spare ever since the last call. */
void agent_give_back(struct agent *a);

/* From now on new requests get `pass`, `draining`. */
void agent_drain(struct agent *a);
/* Answers all requests that wait, by the fallback strategy. */
void agent_let_go(struct agent *a, slo_nsec now);
size_t agent_held(const struct agent *a); /* requests that wait for their answer */

/* Reads profiles.dir (again). A file that is as it was when it was put in force is not told; one
 * that has changed, but not its `created`, is. Returns how many files were refused. */
size_t agent_load_profiles(struct agent *a);
/* Forgets what is known of the files; all are new then. */
void agent_forget_profiles(struct agent *a);
/* The file of one deployment. False: it was refused. */
bool agent_load_profile(struct agent *a, struct agent_model *m, struct deployment *d);
/* A `created` that is so many seconds ahead is no matter of clocks. */
#define PROFILE_FAR_AHEAD (366 * 86400.)
/* Puts a profile's text in force, if it is one and newer; `where` it is from is for the log, which
 * may be limited. SLO_ESTALE: it is not newer. Others: it is refused. */
MUSTCHECK slo_err agent_take_profile(struct agent *a, struct deployment *d, const char *where,
                                     const char *text, size_t len, bool limited);

#endif
