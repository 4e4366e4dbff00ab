/* redis_trace.h - the request trace: every 10 s of wall clock, one key for each model that was
 * asked for. */
#ifndef SLO_IO_REDIS_REDIS_TRACE_H
#define SLO_IO_REDIS_REDIS_TRACE_H

#include "io/agent/agent.h"
#include "io/redis/redis_window.h"

struct redis_trace {
	struct agent *agent;
	struct redis_window *window;
	ev_periodic tick;
	size_t next; /* the model whose trace is written next; model_count: none */
	long long time;
	uint64_t written, lost;
};

void redis_trace_init(struct redis_trace *t, struct agent *a, struct redis_window *window);
/* The configuration is new; `on`: traces are wanted. */
void redis_trace_configure(struct redis_trace *t, bool on);
void redis_trace_stop(struct redis_trace *t);
/* The connection is lost, and with it what was to be written. */
void redis_trace_abandon(struct redis_trace *t);
/* Writes what there is to write, as far as the window goes. */
void redis_trace_advance(struct redis_trace *t);
/* Not NULL: why this connection is of no use any more. */
const char *redis_trace_written(struct redis_trace *t, const redisReply *reply);

#endif
