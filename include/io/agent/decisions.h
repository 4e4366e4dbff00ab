/* decisions.h - the last decisions with all that decided them, for whoever asks why.
 *
 * A ring of fixed size: a decision takes the place of the one `kept` decisions earlier. Nothing is
 * allocated for a request. A record is written when a request is answered, and completed by its end
 * line:
 *
 *   RUNS --end line--> ENDED     on a server; without an end line it stays so: decision_is_lost()
 *   REFUSED, PASSED, LEFT        on none; an end line adds its times
 *
 * So the ring is in the order of decisions: those of its model that were made while a request
 * waited stand right before it. A request that still waits is no decision yet:
 * decision_of_waiting() makes one up.
 *
 * A record is found by its number, or by the hash of its id, which nobody outside can foresee.
 * Numbers are never given twice, and 0 is none. */
#ifndef SLO_IO_AGENT_DECISIONS_H
#define SLO_IO_AGENT_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sched.h"
#include "core/why.h"
#include "io/agent/labels.h"
#include "slo.h"

#define DECISION_ID_MAX    96    /* bytes; of a longer id the first ones are kept */
#define DECISION_TRACE_LEN 55    /* a traceparent of version 00 */
#define DECISION_LOAD_ONE  65536 /* a whole server */
#define DECISION_ASKED_MAX 95    /* bytes; a longer name of an unknown model is cut */

struct agent;
struct agent_model;
struct endline;
struct roster_server;
struct served;
struct route_msg;

enum decision_state {
	DECISION_WAITS,   /* none yet */
	DECISION_RUNS,    /* on a server */
	DECISION_ENDED,   /* it was on a server */
	DECISION_REFUSED, /* rejected */
	DECISION_PASSED,  /* left to HAProxy */
	DECISION_LEFT,    /* nobody waited for its answer any more */
};
#define DECISION_STATES 6

const char *decision_state_name(enum decision_state s); /* "waits", "runs", ... */

/* What of a message is needed again when its request is answered. */
struct asker {
	uint8_t trace_len;
	char trace[DECISION_TRACE_LEN]; /* traceparent, as the client wrote it: not checked yet */
};
void asker_note(struct asker *k, const struct route_msg *msg);

/* A deployment that was weighed; see struct rank_option. */
struct decision_option {
	const struct label *deployment; /* NULL: there was no memory for its name */
	slo_nsec start;
	uint32_t load, used; /* of DECISION_LOAD_ONE; used: of its emptiest one, if WHY_FULL */
};

struct decision {
	uint64_t number; /* 0: the place is empty */
	uint64_t hash;   /* of the id */
	uint64_t older;  /* the record before this one in its chain */
	slo_nsec created, arrived, answered;
	slo_nsec ended;                  /* 0: no end line came */
	const struct label *model;       /* NULL: not known */
	const struct label *server;      /* the chosen one, BACKEND/SERVER; NULL: none */
	const struct label *by;          /* that really answered; NULL: none that we know */
	int32_t input, output;           /* tokens: of the prompt, predicted of the answer */
	int32_t priority;                /* that it came with, within the model's limits */
	uint32_t inflight;               /* on its server before */
	uint32_t behind;                 /* of its model, that still waited when it was answered */
	uint32_t load;                   /* what it weighs on its server, of DECISION_LOAD_ONE */
	uint32_t used;                   /* that server before */
	float per_token, fixed;          /* of the goal, in seconds */
	int32_t real_input, real_output; /* if ended; -1: not told */
	int32_t e2e_ms, ttft_ms;         /* likewise */
	uint8_t state;                   /* enum decision_state */
	uint8_t asked, strategy;         /* enum slo_strategy: it asked for, that decided */
	uint8_t verdict, reason;
	uint8_t goal;                        /* enum goal_kind */
	uint8_t late;                        /* enum slo_late, in force then */
	uint8_t own_target, stream, long_id; /* bool; long_id: only its first bytes are kept */
	uint8_t options, ranked, chosen;     /* see struct why */
	uint8_t infeasible;                  /* of the options, a bit each */
	uint8_t learned;                     /* likewise: its times were learned */
	uint8_t id_len, asked_len;
	int16_t status;  /* HTTP, if ended; -1: none */
	uint8_t judged;  /* bool: `missed` says whether its targets were met */
	uint8_t missed;  /* bits 1 << enum goal_kind; 1 << GOAL_NONE: the server failed */
	uint8_t outcome; /* enum lesson_outcome, if ENDED */
	char ts[2];      /* how HAProxy saw the stream end */
	union {
		struct decision_option option[WHY_OPTIONS];
		char asked_name[DECISION_ASKED_MAX + 1]; /* of a passed request: its model */
	};
	struct asker asker;
	char id[DECISION_ID_MAX];
};

struct decisions {
	struct decision *ring; /* [kept] */
	uint64_t *newest;      /* [mask + 1], by hash: the newest record of a chain */
	size_t mask;
	size_t kept;   /* 0: off */
	uint64_t next; /* the number that the next one gets */
	size_t place;  /* where it comes to: next % kept */
	struct labels labels;
};

/* Keeps so many from now on, and none of the old ones if the number differs. False: out of memory,
 * and nothing is kept. */
bool decisions_keep(struct decisions *d, size_t kept);
/* Forgets all. */
void decisions_clear(struct decisions *d);
void decisions_fini(struct decisions *d);

static inline bool decisions_on(const struct decisions *d)
{
	return d->kept > 0;
}

/* The owner of a label goes; see labels.h. */
void decisions_retire(struct decisions *d, void **label);

/* What happens; call these only while decisions_on(). */

/* A request was passed without the scheduler. name: of the model that it asked for. */
COLD void decisions_passed(struct agent *a, slo_nsec now, const struct route_msg *msg,
                           struct agent_model *m, struct slice name, enum slo_strategy strategy,
                           enum slo_reason reason);
/* The scheduler's answer, right after its step. */
void decisions_answered(struct agent *a, slo_nsec now, const struct sched_action *act);
COLD void decisions_left(struct agent *a, slo_nsec now, const struct request *r);

/* What the end of a request showed. */
struct decision_end {
	slo_nsec ttft;   /* -1: not known, or no stream */
	unsigned missed; /* of its targets */
	bool judged;
	struct roster_server *by; /* that answered; NULL: none that we know */
	struct served *served;    /* that server, for the model; NULL: likewise */
};
void decisions_ended(struct agent *a, slo_nsec now, const struct endline *e,
                     const struct sched_end *end, const struct decision_end *seen);
/* The end line of one that was on no server of ours. */
COLD void decisions_closed(struct agent *a, slo_nsec now, const struct endline *e);

/* Whoever asks. A record is valid until the next one comes. */

/* NULL: it was overwritten, or never was. */
const struct decision *decisions_at(const struct decisions *d, uint64_t number);
/* The newest of that id, or NULL. */
const struct decision *decisions_find(const struct agent *a, struct slice id);
/* The state of a request that waits, as far as it can be told now. */
void decision_of_waiting(struct agent *a, slo_nsec now, const struct request *r,
                         struct decision *out);
/* What came of its i-th option. */
enum why_mark decision_mark(const struct decision *d, size_t i);
/* Whether it ran on a server, its end line never came and its lease was given up. */
bool decision_is_lost(const struct agent *a, const struct decision *d);

#endif
