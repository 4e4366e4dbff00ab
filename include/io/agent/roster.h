/* roster.h - the servers that the configuration wants, and those that HAProxy has.
 *
 * The roster knows a server by its backend and name, from the moment that the configuration or
 * HAProxy names it until it has neither a seat nor a request in flight. A name in the
 * configuration has its seat always; a pattern seats what HAProxy names.
 *
 * HAProxy tells in two ways. A poll lists all servers of all its processes: a view. Where processes
 * disagree, one UP counts, since that process can be asked. A notice tells of one known server and
 * acts at once, until the next view that began later. Anybody who reaches an event listener can
 * forge a notice, so views go before notices: when a later view contradicts one, notices about that
 * server are ignored for ROSTER_DOUBT. Without polls there is no such check; a reload then forgets
 * what notices said.
 * A server is used while it is UP; a configured one also as long as HAProxy told nothing.
 *
 * None of these calls decides anything: agent_pump() does, afterwards. */
#ifndef SLO_IO_AGENT_ROSTER_H
#define SLO_IO_AGENT_ROSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/request.h" /* uthash, as it is to be configured */
#include "conf/config.h"
#include "io/agent/engine_seen.h"
#include "io/agent/failing.h"
#include "io/agent/stats.h"
#include "slo.h"
#include "slo_server_state.h"

/* How long notices are ignored about a server that a view told otherwise. */
#define ROSTER_DOUBT (60 * SLO_NSEC_PER_SEC)

struct agent;
struct agent_model;
struct roster_backend;

/* What a server did for one model. */
struct served {
	SLIST_ENTRY(served) link; /* of its server */
	const struct agent_model *model;
	uint64_t responses[RESPONSES];
	uint64_t elsewhere[ELSEWHERES]; /* it was chosen, and another one answered */
	struct attain promises;         /* of the requests that it answered or failed */
	struct fit fit;
	uint32_t passed_over; /* ends that are not in it, for want of need */
};

/* server.owner */
struct roster_server {
	UT_hash_handle hh;
	TAILQ_ENTRY(roster_server) link; /* of its backend, in order of appearance */
	struct roster_backend *backend;
	struct server *server;
	struct server_stats stats;
	SLIST_HEAD(served_list, served) served; /* by model */
	struct failing failing;
	struct engine_seen *engine; /* NULL: it is not asked for metrics */
	slo_nsec ended;             /* its process, as a notice told; 0: none did since it was up */
	void *label;                /* labels.h */
	enum slo_server_state state;
	enum slo_server_state best; /* in the present view, if seen_in is its number */
	uint64_t seen_in;           /* the last view that named it */
	uint64_t pushed_in; /* the view during which a notice came last that its row may not know */
	uint64_t told_in;   /* the view during which a notice put `state` in force */
	bool by_notice;     /* a notice did, and no view since */
	slo_nsec doubted;   /* until then notices are ignored; 0: they are believed */
	const void *named_by;  /* the model whose servers are being arranged, if it names this */
	uint32_t queued_views; /* in a row, in which requests waited in HAProxy for this server */
	bool configured;       /* some model names it; else it is pattern-born */
	char key[];            /* BACKEND/SERVER */
};

struct roster {
	struct roster_server *servers;
	struct roster_backend *backends;
	uint64_t arranged; /* how often a configuration was put in force */
	uint64_t left;     /* how many servers HAProxy took away meanwhile, and their seats */
	uint64_t view;     /* number of the running or last one */
	bool viewing;
	slo_nsec viewed;  /* end of the last complete one; 0: none so far */
	uint64_t expired; /* leases, as far as it was told */
	bool incomplete;  /* memory ran out while it was arranged */
};

static inline struct roster_server *roster_server(const struct server *s)
{
	return s->owner;
}
const char *roster_state_name(enum slo_server_state s);
/* The name of its backend in HAProxy. */
struct slice roster_server_backend(const struct roster_server *s);
/* It has lost its seats, but not its last request. */
bool roster_is_leaving(const struct roster_server *s);

/* What s did for m. NULL: it never had a seat there. */
struct served *roster_served(const struct roster_server *s, const struct agent_model *m);
/* m leaves, or all do: the names of m and its deployments, for decisions.h. */
void roster_retire_labels(struct agent *a, struct agent_model *m);
/* m leaves. */
void roster_forget_model(struct roster *f, const struct agent_model *m);

void roster_init(struct roster *f);
void roster_fini(struct roster *f);

/* Puts the models, deployments and servers of conf in force, which becomes a->conf (NULL before:
 * the first time). What has the same name stays, with all it has. SLO_ENOMEM: nothing changed.
 * SLO_EFULL: out of memory on the way, so some of it is missing until the
 * next time; what there is is sound. */
MUSTCHECK slo_err roster_configure(struct agent *a, const struct config *conf);

/* The same name, for as long as there is an agent: configurations come and go. NULL: not one of a
 * configured backend. */
const char *roster_backend_name(const struct agent *a, const char *backend);
/* NULL: nothing known of it. */
struct server *roster_find(struct agent *a, const char *backend, const char *server);
struct roster_server *roster_server_find(const struct roster *f, struct slice backend,
                                         struct slice name);

/* A row of the running view, or else news like those of roster_server_told(). A server of a
 * configured backend that nobody knows gets the seats that patterns offer. */
void roster_server_seen(struct agent *a, slo_nsec now, const char *backend, const char *server,
                        enum slo_server_state state);
/* Where a server listens, as HAProxy says; "-": not at an IP address. Without memory it is not
 * kept, until HAProxy says it again. */
void roster_server_address(struct agent *a, struct slice backend, struct slice server,
                           struct slice address, uint32_t port);
/* The engine of s, which is new if it had none. NULL: out of memory. */
struct engine_seen *roster_engine(struct roster_server *s);
/* A notice. It makes no server known where polls do. */
void roster_server_told(struct agent *a, slo_nsec now, struct slice backend, struct slice server,
                        enum slo_server_state state);
/* A pushed message says that nobody listens there, so the server's process has ended: what was sent
 * to it until now is over, at once if HAProxy has nothing open there, else when it is up again.
 * With the runtime API polls tell that better. roster_server_told() follows. */
void roster_server_ended(struct agent *a, slo_nsec now, struct slice backend, struct slice server,
                         bool idle);
/* A process that served the backend has stopped. The one in its place begins with all servers UP
 * and is silent about those that stay so: without polls to tell, what the old one said is void. */
void roster_backend_stopped(struct agent *a, slo_nsec now, struct slice backend);
/* A view. `complete`: every process answered in full, so what was not named is not there: a
 * pattern-born server leaves, a configured one is not used if its backend was named. Otherwise
 * what was not named stays as it was. A view that is begun again is begun anew. */
void roster_view_begin(struct agent *a, slo_nsec now);
void roster_view_end(struct agent *a, slo_nsec now, bool complete);

/* A request on the server ended: is it the last one of a server that left? */
void roster_server_idle(struct agent *a, struct server *server);
/* How many leases have expired so far: servers that left may be idle now. */
void roster_leases_expired(struct agent *a, uint64_t count);
/* Frees the servers that have left and are idle, after releases of another kind. */
void roster_collect(struct agent *a);

#endif
