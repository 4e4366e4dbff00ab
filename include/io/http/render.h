/* render.h - what the agent knows, as Prometheus text and as JSON. */
#ifndef SLO_IO_HTTP_RENDER_H
#define SLO_IO_HTTP_RENDER_H

#include "io/agent/agent.h"

/* Terminated text for free(), *len without the terminator; NULL: out of memory. */
char *render_metrics(const struct agent *a, size_t *len);
char *render_state(const struct agent *a, slo_nsec now, size_t *len);

#endif
