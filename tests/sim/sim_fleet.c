/* Who serves and who decides, before a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_private.h"

bool sim_parse_fleet(const char *text, struct sim_type out[SIM_TYPES_MAX], size_t *count)
{
	size_t n = 0, servers = 0;
	int used = 0;

	for (const char *p = text; *p != '\0'; p += used, n++) {
		struct sim_type *t = &out[n];

		if (n == SIM_TYPES_MAX)
			return false;
		*t = (struct sim_type){ 0 };
		if (sscanf(p, "%31[^=,]=%u%n", t->gpu, &t->servers, &used) != 2 ||
		    t->servers == 0 || t->servers > SIM_SERVERS_MAX || !engine_gpu_find(t->gpu))
			return false;
		for (size_t i = 0; i < n; i++)
			if (strcmp(out[i].gpu, t->gpu) == 0)
				return false;
		servers += t->servers;
		if (p[used] == ',' && p[used + 1] != '\0')
			used++;
		else if (p[used] != '\0')
			return false;
	}
	*count = n;
	return n > 0 && servers <= SIM_SERVERS_MAX;
}

/* the fleet */

bool sim_complain(char error[WORKLOAD_ERROR], const char *what, const char *which)
{
	snprintf(error, WORKLOAD_ERROR, "%s: %s", which, what);
	return false;
}

/* Scalar is a fleet of another make: all servers of the type that costs most. */
static void fleet_as_run(const struct sim_conf *conf, struct sim_result *out)
{
	uint32_t servers = 0;
	size_t best = 0;

	memcpy(out->types, conf->types, sizeof(out->types));
	out->type_count = conf->type_count;
	if (conf->strategy->chooser != SIM_SCALAR)
		return;
	for (size_t i = 0; i < conf->type_count; i++) {
		servers += conf->types[i].servers;
		if (engine_gpu_find(conf->types[i].gpu)->cost >
		    engine_gpu_find(conf->types[best].gpu)->cost)
			best = i;
	}
	out->types[0] = conf->types[best];
	out->types[0].servers = servers;
	out->type_count = 1;
}

static bool add_server(struct sim *s, uint32_t type)
{
	struct engine_conf conf = s->conf->engine;
	struct sim_server *server = &s->servers[s->server_count];
	char name[64];

	conf.gpu = s->out->types[type].gpu;
	snprintf(name, sizeof(name), "%s-%zu", conf.gpu, s->server_count + 1);
	*server = (struct sim_server){ .type = type, .index = (uint32_t)s->server_count };
	s->server_count++;
	server->engine = engine_new(&conf);
	for (size_t a = 0; server->engine && a < s->agent_count; a++) {
		struct sim_agent *agent = &s->agents[a];
		struct server *core = sched_server_add(agent->sched, name);

		if (!core)
			return false;
		core->owner = server;
		sched_server_usable(agent->sched, core, true);
		agent->servers[server->index] = core;
	}
	return server->engine != NULL;
}

/* The core takes a profile over, so each deployment gets its own. */
static bool give_profile(struct sim_agent *a, struct deployment *d,
                         const struct slo_profile_doc *doc)
{
	size_t cells = doc->rows * doc->cols;
	struct slo_profile_doc copy = *doc;
	struct profile *p;

	copy.tputs = calloc(cells, sizeof(*copy.tputs));
	if (!copy.tputs)
		return false;
	for (size_t i = 0; i < cells; i++)
		copy.tputs[i] = doc->tputs[i] * a->sim->conf->optimism;
	p = profile_new(&copy);
	free(copy.tputs);
	return p && sched_profile_set(a->sched, d, p) == SLO_OK;
}

static bool let_learn(struct sim_agent *a, struct sched_model *m, struct deployment *d,
                      uint32_t type)
{
	const struct sim *s = a->sim;
	const struct engine_gpu *gpu = engine_gpu_find(s->out->types[type].gpu);
	const struct engine_model *model = engine_model_find(s->conf->engine.model);
	double kv = (double)engine_kv_limit(gpu, model) * s->conf->kv_factor;

	sched_promise(a->sched, m, &s->conf->slo);
	a->learning[type] = d;
	return sched_source_set(a->sched, d, s->conf->learned ? FLEET_LEARNED : FLEET_PRIOR, kv) ==
	       SLO_OK;
}

/* All servers as one deployment, each request 1/maxconn of any of them. With one far target for
 * all, the latest start orders the queue by arrival. */
static struct sched_model *add_maxconn_model(struct sim_agent *a)
{
	const struct sim *s = a->sim;
	bool slack = s->conf->strategy->chooser == SIM_MAXCONN_SLACK;
	const struct goal *slo = &s->conf->slo;
	double one = 1, tput = s->conf->maxconn;
	struct slo_profile_doc doc = { .rows = 1,
		                       .cols = 1,
		                       .output_axis = &one,
		                       .input_axis = &one,
		                       .tputs = &tput,
		                       .e2e = &one,
		                       .ttft = &one,
		                       .created = 1,
		                       .slo_e2e = 1e6 };
	struct sched_model *m = sched_model_add(a->sched, "model", SLO_STRATEGY_SLO);
	struct deployment *d = m ? sched_deployment_add(m, "all") : NULL;
	struct profile *p;

	if (slack) {
		doc.slo_tpot = slo->kind == GOAL_TPOT ? slo->per_token : 0;
		doc.slo_tpat = slo->kind == GOAL_TPAT ? slo->per_token : 0;
		doc.slo_ttft = slo->kind == GOAL_TTFT ? slo->fixed : 0;
		doc.slo_e2e = slo->kind == GOAL_E2E ? slo->fixed : 0;
	}
	p = d ? profile_new(&doc) : NULL;
	if (!p || sched_profile_set(a->sched, d, p) != SLO_OK)
		return NULL;
	for (size_t i = 0; i < s->server_count; i++)
		if (sched_server_seat(a->sched, d, a->servers[i]) != SLO_OK)
			return NULL;
	return m;
}

/* A model of the core over all servers, or over those of one type. */
static struct sched_model *add_model(struct sim_agent *a, const char *name, const char *only)
{
	const struct sim *s = a->sim;
	struct sched_model *m = sched_model_add(a->sched, name, s->conf->strategy->core);
	const struct sim_result *out = s->out;

	for (size_t t = 0; m && t < out->type_count; t++) {
		struct deployment *d;

		if (only && strcmp(only, out->types[t].gpu) != 0)
			continue;
		d = sched_deployment_add(m, out->types[t].gpu);
		if (!d || (out->types[t].profile && !give_profile(a, d, out->types[t].profile)))
			return NULL;
		if ((s->conf->learned || s->conf->prior) && !let_learn(a, m, d, (uint32_t)t))
			return NULL;
		for (size_t i = 0; i < s->server_count; i++)
			if (s->servers[i].type == t &&
			    sched_server_seat(a->sched, d, a->servers[i]) != SLO_OK)
				return NULL;
	}
	return m;
}

static bool type_exists(const struct sim_result *out, const char *gpu)
{
	for (size_t t = 0; t < out->type_count; t++)
		if (strcmp(out->types[t].gpu, gpu) == 0)
			return true;
	return false;
}

static bool add_models(struct sim_agent *a, char error[WORKLOAD_ERROR])
{
	const struct sim *s = a->sim;
	enum sim_chooser chooser = s->conf->strategy->chooser;
	bool oracle = chooser == SIM_ORACLE;
	struct sched_model *one = NULL;

	if (chooser == SIM_MAXCONN || chooser == SIM_MAXCONN_SLACK)
		one = add_maxconn_model(a);
	else if (!oracle)
		one = add_model(a, "model", NULL);
	for (size_t i = 0; i < s->conf->workload_count; i++) {
		const struct workload *w = &s->conf->workloads[i];
		char name[32];

		snprintf(name, sizeof(name), "%zu", i);
		if (oracle && !type_exists(s->out, w->gpu))
			return sim_complain(error, "oracle needs its type of GPU, as in bird:4@l20",
			                    w->name);
		a->models[i] = oracle ? add_model(a, name, w->gpu) : one;
		if (!a->models[i])
			return sim_complain(error, "out of memory", "fleet");
	}
	return true;
}

static bool add_agents(struct sim *s, uint64_t seed, size_t servers)
{
	size_t agents = s->conf->agents > 0 ? s->conf->agents : 1;

	s->agents = calloc(agents, sizeof(*s->agents));
	for (size_t i = 0; s->agents && i < agents; i++) {
		struct sim_agent *a = &s->agents[s->agent_count++];
		struct sched_conf conf = s->conf->sched;

		conf.seed = seed + i * 1000003;
		*a = (struct sim_agent){ .sim = s, .index = i };
		a->sched = sched_new(&conf);
		a->servers = calloc(servers + 1, sizeof(struct server *));
		if (!a->sched || !a->servers)
			return false;
	}
	return s->agents != NULL;
}

bool sim_build(struct sim *s, uint64_t seed, char error[WORKLOAD_ERROR])
{
	size_t servers = 0;

	fleet_as_run(s->conf, s->out);
	for (size_t t = 0; t < s->out->type_count; t++)
		servers += s->out->types[t].servers;
	s->servers = calloc(servers + 1, sizeof(*s->servers)); /* never 0 bytes */
	if (!s->servers || !add_agents(s, seed, servers))
		return sim_complain(error, "out of memory", "fleet");
	for (uint32_t t = 0; t < s->out->type_count; t++)
		for (uint32_t i = 0; i < s->out->types[t].servers; i++)
			if (!add_server(s, t))
				return sim_complain(error, "does not run this model",
				                    s->out->types[t].gpu);
	for (size_t i = 0; i < s->agent_count; i++)
		if (!add_models(&s->agents[i], error))
			return false;
	return sim_join(s) || sim_complain(error, "out of memory", "agents");
}

void sim_clear(struct sim *s)
{
	for (size_t i = 0; i < s->agent_count; i++) {
		sched_free(s->agents[i].sched);
		free(s->agents[i].servers);
	}
	free(s->agents);
	for (size_t i = 0; i < s->server_count; i++)
		engine_free(s->servers[i].engine);
	free(s->servers);
	free(s->news.message);
	free(s->finished);
}
