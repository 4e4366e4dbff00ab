/* What the agent reads of the engines' metrics, as io/engines does. */
#include "sim_private.h"

static struct engine_facts facts_of(const struct sim_server *server)
{
	struct engine_facts f = { .make = ENGINE_MAKE_VLLM };
	struct engine_stats stats;

	engine_stats(server->engine, &stats);
	f.value[ENGINE_RUNNING] = stats.running;
	f.value[ENGINE_WAITING] = stats.waiting;
	f.value[ENGINE_KV_USED] = (double)stats.kv_used / (double)stats.kv_limit;
	f.known = 1 << ENGINE_RUNNING | 1 << ENGINE_WAITING | 1 << ENGINE_KV_USED;
	return f;
}

static void look(struct sim *s, struct sim_server *server, slo_nsec now)
{
	slo_nsec every = (slo_nsec)(s->conf->engines * 1e9);
	struct engine_facts f = facts_of(server);
	struct engine_queue both;

	server->look_at = now + every;
	if (!engine_queue_page(&server->queue, &f, &both)) {
		server->look_at = server->queue.waiting > 0 ? now + every / 4 : now + every;
		return;
	}
	for (size_t i = 0; i < s->agent_count; i++) {
		struct sim_agent *a = &s->agents[i];

		sched_server_waits(a->sched, a->servers[server->index], both.running, both.waiting);
	}
}

void sim_look_at_engines(struct sim *s, slo_nsec now)
{
	if (!(s->conf->engines > 0))
		return;
	for (size_t i = 0; i < s->server_count; i++)
		if (now >= s->servers[i].look_at)
			look(s, &s->servers[i], now);
}
