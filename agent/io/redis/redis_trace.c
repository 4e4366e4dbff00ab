/* The request trace: every 10 s of wall clock, one key for each model that was asked for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "redis_private.h"

static void reset_all(struct redis_client *c)
{
	for (size_t i = 0; i < c->agent->model_count; i++)
		reqtrace_reset(&c->agent->models[i]->trace);
}

/* What cannot be written when it is due is left out: a later key would tell of another time. */
static void on_tick(struct ev_loop *loop, ev_periodic *w, int revents)
{
	struct redis_client *c = w->data;

	if (c->trace_next < c->agent->model_count)
		c->status.trace_errors += c->agent->model_count - c->trace_next;
	if (!c->ready) {
		reset_all(c);
		c->trace_next = c->agent->model_count;
		return;
	}
	c->trace_next = 0;
	c->trace_time = (long long)(ev_now(loop) / REQTRACE_INTERVAL) * REQTRACE_INTERVAL;
	redis_advance(c);
}

void redis_trace_init(struct redis_client *c)
{
	ev_periodic_init(&c->trace_tick, on_tick, 0., REQTRACE_INTERVAL, NULL);
	c->trace_tick.data = c;
}

void redis_trace_configure(struct redis_client *c)
{
	bool on = c->conf->url.kind != REDIS_URL_NONE && c->conf->trace;

	c->trace_next = c->agent->model_count;
	if (on == (ev_is_active(&c->trace_tick) != 0))
		return;
	reset_all(c);
	if (on)
		ev_periodic_start(c->agent->loop, &c->trace_tick);
	else
		ev_periodic_stop(c->agent->loop, &c->trace_tick);
}

static void write_trace(struct redis_client *c, struct agent_model *m)
{
	size_t queued = m->sched->queue.length, len = 0;
	char *text = reqtrace_text(&m->trace, m->sched->dispatched + queued, queued, &len);
	char key[CONFIG_NAME_MAX + 64];
	const char *argv[] = { "SET", key, text, "EX", "600" };
	size_t lens[] = { 3, 0, len, 2, 3 };

	reqtrace_reset(&m->trace);
	if (!text) {
		c->status.trace_errors++;
		return;
	}
	lens[1] = (size_t)snprintf(key, sizeof(key), "aibrix:%s_request_trace_%lld", m->conf->name,
	                           c->trace_time);
	redis_send(c, (struct command){ COMMAND_TRACE, NULL }, 5, argv, lens);
	free(text);
}

void redis_trace_advance(struct redis_client *c)
{
	while (c->trace_next < c->agent->model_count && redis_has_room(c)) {
		struct agent_model *m = c->agent->models[c->trace_next++];

		if (m->trace.seen)
			write_trace(c, m);
	}
}

void redis_trace_written(struct redis_client *c, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR) {
		c->status.traces++;
		return;
	}
	c->status.trace_errors++;
	log_limited(c->agent->log, clock_nsec(), LOG_CAUSE_REDIS_TRACE, LOG_WARNING,
	            "redis: a request trace is not taken: %s", reply->str);
}
