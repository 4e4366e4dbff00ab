/* haproxy_question.h - what HAProxy's runtime API is asked, and what its answer means.
 *
 * The question is the same for all processes of a round: "show info", then "show stat BACKEND 4 -1"
 * for each backend of the configuration, then, if engines are asked too, "show servers state
 * BACKEND" for their addresses. An answer is read while it comes: its rows go to the
 * roster and their sessions to the heal round at once. */
#ifndef SLO_IO_HAPROXY_HAPROXY_QUESTION_H
#define SLO_IO_HAPROXY_HAPROXY_QUESTION_H

#include "core/heal.h"
#include "io/agent/agent.h"
#include "wire/haproxy_stat.h"

#define QUESTION_BACKENDS_MAX \
	32 /* asked for by name; of more, all of HAProxy's servers are asked */
#define QUESTION_TEXT_MAX 4096
#define BACKEND_ABSENT    "backend-absent"       /* the code of a warning about each (warn.h) */
#define HAPROXY_DENIES    "its level denies us " /* begins what haproxy_answer_end() says then */

struct haproxy_question {
	char text[QUESTION_TEXT_MAX];
	size_t len;
	uint32_t commands;
	const char *backend[QUESTION_BACKENDS_MAX]; /* in this order; the roster's names */
	size_t backends;                            /* 0: all at once */
	bool addresses;                             /* asked for, too */
};

void haproxy_question_write(struct haproxy_question *q, const struct agent *a);

/* What tells one process from another. */
struct haproxy_process {
	uint64_t pid, uptime; /* seconds */
	uint64_t node;        /* a hash of the host's name, as it tells it; 0: it does not */
};

struct haproxy_answer {
	const struct haproxy_question *question;
	struct agent *agent;
	struct heal *heal;
	const char *name;      /* of the address, for the log */
	uint32_t told_unknown; /* backends that the last whole answer did not know either */
	uint32_t unknown;      /* in this one */
	uint32_t no_addresses; /* of so many backends, in this one */
	const char *denied;    /* what the level of its socket denies us; NULL: nothing */
	struct haproxy_process process; /* pid 0: not told yet */
	struct haproxy_stat parser;
};

/* What is above `told_unknown` must be set. */
void haproxy_answer_begin(struct haproxy_answer *x);
/* Not NULL: why the answer is of no use. */
const char *haproxy_answer_take(struct haproxy_answer *x, slo_nsec now, struct slice bytes);
/* The answer has ended. Not NULL: why it is of no use. */
const char *haproxy_answer_end(const struct haproxy_answer *x);

#endif
