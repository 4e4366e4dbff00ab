/* The judgements that are no shares. */
#ifndef SLO_AGENT_IO_AGENT_WATCH_PRIVATE_H
#define SLO_AGENT_IO_AGENT_WATCH_PRIVATE_H

#include "io/agent/agent.h"

/* Requests go to servers, and no end line closes one. */
void watch_silence(struct agent *a, slo_nsec now);
/* HAProxy runs, and does not ask. */
void watch_asked(struct agent *a, slo_nsec now);
/* The wall clock jumped. */
void watch_clock(struct agent *a, slo_nsec now, int64_t unix_now);
/* Servers that HAProxy does not have, or that wait there; profiles that do not fit. */
void watch_fleet(struct agent *a, slo_nsec now);

#endif
