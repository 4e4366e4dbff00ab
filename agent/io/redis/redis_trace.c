#include "io/redis/redis_trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"

static void reset_all(struct redis_trace *t)
{
	for (size_t i = 0; i < t->agent->model_count; i++)
		reqtrace_reset(&t->agent->models[i]->trace);
}

/* What cannot be written when it is due is left out: a later key would tell of another time. */
static void on_tick(struct ev_loop *loop, ev_periodic *w, int revents)
{
	struct redis_trace *t = w->data;

	if (t->next < t->agent->model_count)
		t->lost += t->agent->model_count - t->next;
	if (!t->window->ready) {
		reset_all(t);
		t->next = t->agent->model_count;
		return;
	}
	t->next = 0;
	t->time = (long long)(ev_now(loop) / REQTRACE_INTERVAL) * REQTRACE_INTERVAL;
	redis_trace_advance(t);
}

void redis_trace_init(struct redis_trace *t, struct agent *a, struct redis_window *window)
{
	*t = (struct redis_trace){ .agent = a, .window = window };
	ev_periodic_init(&t->tick, on_tick, 0., REQTRACE_INTERVAL, NULL);
	t->tick.data = t;
}

void redis_trace_configure(struct redis_trace *t, bool on)
{
	t->next = t->agent->model_count;
	if (on == (ev_is_active(&t->tick) != 0))
		return;
	reset_all(t);
	if (on)
		ev_periodic_start(t->agent->loop, &t->tick);
	else
		ev_periodic_stop(t->agent->loop, &t->tick);
}

void redis_trace_stop(struct redis_trace *t)
{
	ev_periodic_stop(t->agent->loop, &t->tick);
}

void redis_trace_abandon(struct redis_trace *t)
{
	t->next = t->agent->model_count;
}

static void write_trace(struct redis_trace *t, struct agent_model *m)
{
	size_t queued = m->sched->queue.length, len = 0;
	char *text = reqtrace_text(&m->trace, m->sched->dispatched + queued, queued, &len);
	char key[CONFIG_NAME_MAX + 64];
	const char *argv[] = { "SET", key, text, "EX", "600" };
	size_t lens[] = { 3, 0, len, 2, 3 };

	reqtrace_reset(&m->trace);
	if (!text) {
		t->lost++;
		return;
	}
	lens[1] = (size_t)snprintf(key, sizeof(key), "aibrix:%s_request_trace_%lld", m->conf->name,
	                           t->time);
	redis_window_send(t->window, (struct command){ COMMAND_TRACE, NULL }, 5, argv, lens);
	free(text);
}

void redis_trace_advance(struct redis_trace *t)
{
	while (t->next < t->agent->model_count && redis_window_has_room(t->window)) {
		struct agent_model *m = t->agent->models[t->next++];

		if (m->trace.seen)
			write_trace(t, m);
	}
}

const char *redis_trace_written(struct redis_trace *t, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR) {
		t->written++;
		return NULL;
	}
	t->lost++;
	if (redis_link_is_elsewhere(reply))
		return reply->str;
	log_limited(t->agent->log, clock_nsec(), LOG_CAUSE_REDIS_TRACE, LOG_WARNING,
	            "redis: a request trace is not taken: %s", reply->str);
	return NULL;
}
