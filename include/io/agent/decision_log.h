/* decision_log.h - a log line for each decision, if the configuration wants it ("log.decisions"):
 *   decision id=7F.. model=m strategy=slo verdict=route server=be/s1 prompt=20 output=64 wait_ms=0
 * in logfmt, or as a JSON object. What is not there is left out. A text that is longer than its
 * share of the line is cut, and cut=true says so. */
#ifndef SLO_IO_AGENT_DECISION_LOG_H
#define SLO_IO_AGENT_DECISION_LOG_H

#include "core/sched.h"
#include "io/agent/decisions.h"
#include "wire/route_msg.h"

struct agent;

/* The scheduler's answer, before it is delivered. */
COLD void decision_log(struct agent *a, const struct sched_action *act);
/* One without the scheduler. name: of the model that was asked for. */
COLD void decision_log_passed(struct agent *a, const struct route_msg *msg, struct slice name,
                              enum slo_strategy strategy, enum slo_reason reason);

#endif
