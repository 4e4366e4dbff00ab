/* explain.h - a decision in words: why this server, why none, what a request waits for. */
#ifndef SLO_IO_AGENT_EXPLAIN_H
#define SLO_IO_AGENT_EXPLAIN_H

#include "io/agent/agent.h"
#include "io/agent/decisions.h"

#define EXPLAIN_MAX    1024 /* bytes of a text, its end included */
#define EXPLAIN_BEFORE 8    /* ids that are named */

/* One or more sentences, for people. */
void explain_why(const struct agent *a, const struct decision *d, char out[EXPLAIN_MAX]);

/* The time that its goal allows, in seconds; 0: it has none. */
double explain_target(const struct decision *d);
/* How long it was expected to take in its i-th option once it began there, in seconds; below 0:
 * that cannot be told any more. */
double explain_expected(const struct decision *d, size_t i);
/* How much later it could have begun in its i-th option, had that been full, and keep its target,
 * in seconds. NAN: it was not chosen by that. */
double explain_slack(const struct decision *d, size_t i);
/* Its client did not wait for the whole answer. */
bool explain_client_left(const struct decision *d);
/* The part of a server's label behind its backend; "" for none. */
const char *explain_server(const struct label *server);
/* "" for none. */
const char *explain_name(const struct label *l);
/* The traceparent, or "" if it had none, or none that is well-formed. */
void explain_trace(const struct decision *d, char out[DECISION_TRACE_LEN + 1]);
/* The same of bytes. */
void explain_trace_of(const struct asker *k, char out[DECISION_TRACE_LEN + 1]);

/* Those of its model that were placed while it waited, the last ones first. */
struct explain_before {
	size_t count;
	const struct decision *first[EXPLAIN_BEFORE];
	bool more; /* it waited for longer than can be looked through */
};
void explain_before(const struct agent *a, const struct decision *d, struct explain_before *out);

#endif
