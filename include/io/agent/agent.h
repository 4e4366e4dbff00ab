/* agent.h - where a neighbour's words become events of the scheduler, and its actions answers.
 *
 * It owns the scheduler and everything that belongs to one configuration. It decides nothing:
 * it looks up names, converts units at the edge, counts, and drives sched_step(). */
#ifndef SLO_IO_AGENT_AGENT_H
#define SLO_IO_AGENT_AGENT_H

#include <ev.h>
#include <stdbool.h>

#include "core/pace.h"
#include "core/sched.h"
#include "conf/config.h"
#include "io/agent/roster.h"
#include "io/base/listeners.h"
#include "io/base/log.h"
#include "io/agent/stats.h"
#include "slo.h"
#include "wire/endline.h"
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

/* A model with what the configuration and the shell know of it; sched_model.owner. */
struct agent_model {
	struct sched_model *sched;
	const struct config_model *conf;
	struct model_stats stats;
	struct pace pace;      /* of its queue */
	struct reqtrace trace; /* counted if the configuration wants it */
};

struct agent {
	struct ev_loop *loop;
	struct log *log;
	const struct config *conf;
	struct sched *sched;
	struct agent_model **models; /* [model_count], as configured; each stays where it is */
	size_t model_count;
	struct profile_file *files; /* those that were put in force, see agent_load_profiles() */
	struct agent_model *default_model; /* NULL: none */
	struct roster roster;              /* servers by backend and name */
	struct haproxy_api *haproxy;       /* NULL: HAProxy is not asked */
	struct stats stats;
	struct listeners listeners; /* of all servers of this agent */
	struct redis_client *redis; /* NULL: none */
	struct recorder *recorder;  /* NULL: none */
	bool draining;
	ev_timer wakeup;
	slo_nsec wakeup_at; /* SLO_NEVER: the timer is off */
	/* Hands an answer to whoever submitted the request. */
	void (*deliver)(void *user, const struct answer *answer, slo_nsec now);
};

/* Reads the profiles too; a profile that is refused is logged, not fatal. NULL: out of memory,
 * which is logged. conf must outlive the agent. */
struct agent *agent_new(struct ev_loop *loop, const struct config *conf, struct log *log);
void agent_free(struct agent *a); /* NULL is accepted */

/* A slo-route message. True: *now_answer is the answer. False: it comes through deliver(user), from
 * agent_pump() at the earliest; *request is valid until then. */
bool agent_route(struct agent *a, slo_nsec now, const struct route_msg *msg, void *user,
                 struct answer *now_answer, struct request **request);
/* The answer to a message that there is no room to look at. */
void agent_refuse(struct agent *a, slo_nsec now, const struct route_msg *msg, struct answer *out);
/* Nobody waits for this request's answer any more. */
void agent_abandon(struct agent *a, slo_nsec now, struct request *request);
/* A line on the event listeners, end line or notice; peer is for the log. False: neither. */
bool agent_event_line(struct agent *a, slo_nsec now, const uint8_t *line, size_t len,
                      const char *peer);
/* Whether the end line about that id is but a copy of one that came before; it is counted then, and
 * need not be read. */
bool agent_event_copy(struct agent *a, struct slice id);
/* Delivers what is decided and sets the timer for what comes. */
void agent_pump(struct agent *a, slo_nsec now);

/* From now on new requests get `pass`, `draining`. */
void agent_drain(struct agent *a);
/* Answers all requests that wait, by the fallback strategy. */
void agent_let_go(struct agent *a, slo_nsec now);
size_t agent_held(const struct agent *a); /* requests that wait for their answer */

/* Puts conf in force, which then must outlive the agent. False: it needs a restart (other
 * listeners), the reason is logged, the old one stays. agent_pump() afterwards. */
bool agent_reload(struct agent *a, struct config *conf);
/* Hands the options of a->conf to the models and the scheduler. */
void agent_configure(struct agent *a);

/* Reads profiles.dir (again). A file that is as it was when it was put in force is not told; one
 * that has changed, but not its `created`, is. Returns how many files were refused. */
size_t agent_load_profiles(struct agent *a);
/* Forgets what is known of the files; all are new then. */
void agent_forget_profiles(struct agent *a);
/* The file of one deployment. False: it was refused. */
bool agent_load_profile(struct agent *a, struct agent_model *m, struct deployment *d);
/* Puts a profile's text in force, if it is one and newer; `where` it is from is for the log, which
 * may be limited. SLO_ESTALE: it is not newer. Others: it is refused. */
MUSTCHECK slo_err agent_take_profile(struct agent *a, struct deployment *d, const char *where,
                                     const char *text, size_t len, bool limited);

#endif
