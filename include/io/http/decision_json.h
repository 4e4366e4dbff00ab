/* decision_json.h - a decision (io/agent/decisions.h) as JSON, and which ones are asked for. */
#ifndef SLO_IO_HTTP_DECISION_JSON_H
#define SLO_IO_HTTP_DECISION_JSON_H

#include <jansson.h>

#include "io/agent/agent.h"

#define DECISION_LIMIT     100  /* decisions that are shown if nobody asks for more or less */
#define DECISION_LIMIT_MAX 1000 /* at once */

/* Which decisions; "" and -1: whichever. */
struct decision_query {
	char id[SLO_ID_MAX + 1];
	char server[2 * CONFIG_NAME_MAX + 2]; /* NAME or BACKEND/NAME: chosen, or answered */
	char model[CONFIG_NAME_MAX + 1];
	int reason;    /* enum slo_reason */
	int state;     /* enum decision_state */
	size_t limit;  /* 1 to DECISION_LIMIT_MAX */
	bool detailed; /* with who went before */
	bool wrong;    /* a condition was refused */
};

void decision_query_init(struct decision_query *q);
/* One condition, as it comes from outside. False: it is none, or *why is a constant text. */
bool decision_query_set(struct decision_query *q, const char *name, const char *value,
                        const char **why);
bool decision_query_same(const struct decision_query *a, const struct decision_query *b);
bool decision_query_matches(const struct decision_query *q, const struct decision *d);

/* NULL: out of memory. now goes with unix_now, in seconds. */
json_t *decision_json(struct agent *a, const struct decision *d, slo_nsec now, double unix_now,
                      bool detailed);

#endif
