/* What goes wrong in a run: speeds that change, and a memory that is lost. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_private.h"

bool sim_parse_slow(const char *text, struct sim_slow *out)
{
	int used = 0;

	*out = (struct sim_slow){ 0 };
	if (sscanf(text, "%31[^/:]/%u%n", out->gpu, &out->server, &used) != 2 &&
	    sscanf(text, "%31[^/:]%n", out->gpu, &used) != 1)
		return false;
	text += used;
	used = 0;
	return sscanf(text, ":%lf@%lf-%lf%n", &out->speed, &out->from, &out->to, &used) == 3 &&
	       text[used] == '\0' && out->speed >= 0 && out->from < out->to;
}

bool sim_parse_priority(const char *text, int32_t *priority, double *share)
{
	int used = 0;

	return sscanf(text, "%" SCNd32 ":%lf%n", priority, share, &used) == 2 &&
	       text[used] == '\0' && *priority != 0 && *share > 0 && *share < 1;
}

bool sim_parse_streams(const char *text, double *share, double *event)
{
	int used = 0;

	return sscanf(text, "%lf:%lf%n", share, event, &used) == 2 && text[used] == '\0' &&
	       *share > 0 && *share <= 1 && *event >= 1 && *event <= 65536;
}

static bool is_slow(const struct sim *s, const struct sim_slow *slow,
                    const struct sim_server *server)
{
	uint32_t number = 1;

	for (const struct sim_server *o = s->servers; o < server; o++)
		number += o->type == server->type;
	return strcmp(slow->gpu, s->out->types[server->type].gpu) == 0 &&
	       (slow->server == 0 || slow->server == number);
}

/* 0: it is out of use, and what runs there ends as ever. */
static void set_speed(struct sim *s, slo_nsec now, const struct sim_server *server, double speed)
{
	for (size_t i = 0; i < s->agent_count; i++)
		sched_server_usable(s->agents[i].sched, s->agents[i].servers[server->index],
		                    speed > 0);
	if (speed > 0)
		(void)engine_set_speed(server->engine, now, speed);
}

/* As an agent that starts again knows it, without a snapshot or with one. */
static void restart(struct sched *s, slo_nsec now, struct deployment *d, bool kept)
{
	struct latency_memory memory = { 0 };
	struct latency_learner fresh;
	slo_err err;

	latency_learner_init(&fresh, d->learner->kv);
	latency_learner_remember(kept ? d->learner : &fresh, &memory);
	err = sched_recall(s, now, d, &memory);
	assert(err == SLO_OK);
	(void)err;
}

static void restart_all(struct sim *s, slo_nsec now, bool kept)
{
	for (size_t i = 0; i < s->agent_count; i++)
		for (size_t t = 0; t < s->out->type_count; t++)
			if (s->agents[i].learning[t])
				restart(s->agents[i].sched, now, s->agents[i].learning[t], kept);
}

void sim_disturb(struct sim *s, slo_nsec now)
{
	double at = (double)now / 1e9;
	const struct sim_conf *conf = s->conf;

	for (size_t i = 0; i < conf->slow_count; i++) {
		const struct sim_slow *slow = &conf->slow[i];
		bool on = at >= slow->from && at < slow->to;

		if (on == s->slowed[i])
			continue;
		s->slowed[i] = on;
		for (size_t k = 0; k < s->server_count; k++)
			if (is_slow(s, slow, &s->servers[k]))
				set_speed(s, now, &s->servers[k], on ? slow->speed : 1);
	}
	if (conf->forget > 0 && !s->forgot && at >= conf->forget) {
		s->forgot = true;
		restart_all(s, now, conf->forget_kept);
	}
}
