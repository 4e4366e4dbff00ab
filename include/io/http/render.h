/* render.h - what the agent knows, as Prometheus text and as JSON. */
#ifndef SLO_IO_HTTP_RENDER_H
#define SLO_IO_HTTP_RENDER_H

#include "io/agent/agent.h"
#include "io/haproxy/haproxy_api.h"
#include "io/keep/recorder.h"
#include "io/redis/redis_client.h"

/* Whose numbers are shown. */
struct http_sources {
	const struct agent *agent;
	const struct haproxy_api *haproxy;
	const struct redis_client *redis;
	const struct recorder *recorder;
};

/* Terminated text for free(), *len without the terminator; NULL: out of memory. */
char *render_metrics(const struct http_sources *s, size_t *len);
char *render_state(const struct http_sources *s, slo_nsec now, size_t *len);

#endif
