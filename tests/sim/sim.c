#include "sim.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "sim_private.h"

#define ID_MAX       32
#define SAMPLE_EVERY SLO_NSEC_PER_SEC

const struct sim_strategy sim_strategies[] = {
	{ "oracle", SIM_ORACLE, SLO_STRATEGY_LEAST_REQUEST },
	{ "scalar", SIM_SCALAR, SLO_STRATEGY_LEAST_REQUEST },
	{ "slo", SIM_CORE, SLO_STRATEGY_SLO },
	{ "slo-adaptive", SIM_CORE, SLO_STRATEGY_ADAPTIVE },
	{ "slo-pack-load", SIM_CORE, SLO_STRATEGY_PACK_LOAD },
	{ "slo-least-load", SIM_CORE, SLO_STRATEGY_LEAST_LOAD },
	{ "least-request", SIM_CORE, SLO_STRATEGY_LEAST_REQUEST },
	{ "maxconn", SIM_MAXCONN, SLO_STRATEGY_SLO },
	{ "maxconn-slack", SIM_MAXCONN_SLACK, SLO_STRATEGY_SLO },
	{ "round-robin", SIM_ROUND_ROBIN, SLO_STRATEGY_LEAST_REQUEST },
	{ "random", SIM_CORE, SLO_STRATEGY_RANDOM },
	{ .name = NULL },
};

const struct sim_strategy *sim_strategy_find(const char *name, size_t len)
{
	for (const struct sim_strategy *s = sim_strategies; s->name; s++)
		if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
			return s;
	return NULL;
}

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

static bool complain(char error[WORKLOAD_ERROR], const char *what, const char *which)
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
	if (!server->engine)
		return false;
	server->core = sched_server_add(s->sched, name);
	if (!server->core)
		return false;
	server->core->owner = server;
	sched_server_usable(s->sched, server->core, true);
	return true;
}

/* The core takes a profile over, so each deployment gets its own. */
static bool give_profile(struct sim *s, struct deployment *d, const struct slo_profile_doc *doc)
{
	size_t cells = doc->rows * doc->cols;
	struct slo_profile_doc copy = *doc;
	struct profile *p;

	copy.tputs = calloc(cells, sizeof(*copy.tputs));
	if (!copy.tputs)
		return false;
	for (size_t i = 0; i < cells; i++)
		copy.tputs[i] = doc->tputs[i] * s->conf->optimism;
	p = profile_new(&copy);
	free(copy.tputs);
	return p && sched_profile_set(s->sched, d, p) == SLO_OK;
}

static bool let_learn(struct sim *s, struct sched_model *m, struct deployment *d, uint32_t type)
{
	const struct engine_gpu *gpu = engine_gpu_find(s->out->types[type].gpu);
	const struct engine_model *model = engine_model_find(s->conf->engine.model);
	double kv = (double)engine_kv_limit(gpu, model) * s->conf->kv_factor;

	sched_promise(s->sched, m, &s->conf->slo);
	s->learning[type] = d;
	return sched_source_set(s->sched, d, FLEET_LEARNED, kv) == SLO_OK;
}

/* All servers as one deployment, each request 1/maxconn of any of them. With one far target for
 * all, the latest start orders the queue by arrival. */
static struct sched_model *add_maxconn_model(struct sim *s)
{
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
	struct sched_model *m = sched_model_add(s->sched, "model", SLO_STRATEGY_SLO);
	struct deployment *d = m ? sched_deployment_add(m, "all") : NULL;
	struct profile *p;

	if (slack) {
		doc.slo_tpot = slo->kind == GOAL_TPOT ? slo->per_token : 0;
		doc.slo_tpat = slo->kind == GOAL_TPAT ? slo->per_token : 0;
		doc.slo_ttft = slo->kind == GOAL_TTFT ? slo->fixed : 0;
		doc.slo_e2e = slo->kind == GOAL_E2E ? slo->fixed : 0;
	}
	p = d ? profile_new(&doc) : NULL;
	if (!p || sched_profile_set(s->sched, d, p) != SLO_OK)
		return NULL;
	for (size_t i = 0; i < s->server_count; i++)
		if (sched_server_seat(s->sched, d, s->servers[i].core) != SLO_OK)
			return NULL;
	return m;
}

/* A model of the core over all servers, or over those of one type. */
static struct sched_model *add_model(struct sim *s, const char *name, const char *only)
{
	struct sched_model *m = sched_model_add(s->sched, name, s->conf->strategy->core);
	const struct sim_result *out = s->out;

	for (size_t t = 0; m && t < out->type_count; t++) {
		struct deployment *d;

		if (only && strcmp(only, out->types[t].gpu) != 0)
			continue;
		d = sched_deployment_add(m, out->types[t].gpu);
		if (!d || (out->types[t].profile && !give_profile(s, d, out->types[t].profile)))
			return NULL;
		if (s->conf->learned && !let_learn(s, m, d, (uint32_t)t))
			return NULL;
		for (size_t i = 0; i < s->server_count; i++)
			if (s->servers[i].type == t &&
			    sched_server_seat(s->sched, d, s->servers[i].core) != SLO_OK)
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

static bool add_models(struct sim *s, char error[WORKLOAD_ERROR])
{
	enum sim_chooser chooser = s->conf->strategy->chooser;
	bool oracle = chooser == SIM_ORACLE;
	struct sched_model *one = NULL;

	if (chooser == SIM_MAXCONN || chooser == SIM_MAXCONN_SLACK)
		one = add_maxconn_model(s);
	else if (!oracle)
		one = add_model(s, "model", NULL);
	for (size_t i = 0; i < s->conf->workload_count; i++) {
		const struct workload *w = &s->conf->workloads[i];
		char name[32];

		snprintf(name, sizeof(name), "%zu", i);
		if (oracle && !type_exists(s->out, w->gpu))
			return complain(error, "oracle needs its type of GPU, as in bird:4@l20",
			                w->name);
		s->models[i] = oracle ? add_model(s, name, w->gpu) : one;
		if (!s->models[i])
			return complain(error, "out of memory", "fleet");
	}
	return true;
}

static bool build(struct sim *s, uint64_t seed, char error[WORKLOAD_ERROR])
{
	struct sched_conf conf = s->conf->sched;
	size_t servers = 0;

	conf.seed = seed;
	s->sched = sched_new(&conf);
	fleet_as_run(s->conf, s->out);
	for (size_t t = 0; t < s->out->type_count; t++)
		servers += s->out->types[t].servers;
	s->servers = calloc(servers + 1, sizeof(*s->servers)); /* never 0 bytes */
	if (!s->sched || !s->servers)
		return complain(error, "out of memory", "fleet");
	for (uint32_t t = 0; t < s->out->type_count; t++)
		for (uint32_t i = 0; i < s->out->types[t].servers; i++)
			if (!add_server(s, t))
				return complain(error, "does not run this model",
				                s->out->types[t].gpu);
	return add_models(s, error);
}

/* requests */

static size_t make_id(char id[ID_MAX], size_t i)
{
	return (size_t)snprintf(id, ID_MAX, "%zx", i);
}

static void note_lesson(struct sim_request *r, const struct deployment *d, uint64_t before)
{
	if (!d || d->learner->ends == before)
		return;
	r->ends = (uint32_t)d->learner->ends;
	r->ratio = (float)d->learner->ratio;
}

/* Of a whole answer in JSON, whose tokens are of different lengths. */
static int64_t answer_bytes(struct sim *s, uint32_t output)
{
	return 700 + llround(output * 4.5 * draw_lognormal(&s->errors, 0, 0.15));
}

static void tell_end(struct sim *s, slo_nsec now, size_t i)
{
	struct sim_request *r = &s->out->requests[i];
	const struct deployment *d = s->learning[r->type];
	uint64_t before = d ? d->learner->ends : 0;
	struct sched_outcome outcome = { .outcome =
		                             r->end == SIM_SERVED ? LESSON_ANSWERED : LESSON_LEFT,
		                         .input = r->arrival.input,
		                         .output = r->arrival.output,
		                         .bytes = -1 };
	struct sched_end ended;
	char id[ID_MAX];
	size_t len = make_id(id, i);

	if (s->conf->strategy->chooser == SIM_ROUND_ROBIN)
		return;
	if (s->conf->bytes) {
		outcome.input = outcome.output = -1;
		outcome.bytes = answer_bytes(s, r->arrival.output);
	}
	/* Under an overload without end it may have been given up before (lease_max_age). */
	sched_end(s->sched, now, id, len, &outcome, &ended);
	assert(ended.result == SCHED_END_CLOSED || ended.result == SCHED_END_UNKNOWN);
	note_lesson(r, d, before);
}

static bool serve(struct sim *s, slo_nsec now, size_t i, const struct sim_server *server)
{
	struct sim_request *r = &s->out->requests[i];
	struct engine_handle h;
	uint32_t input;
	slo_err err;

	r->type = server->type;
	r->server = server->index;
	input = (uint32_t)fmax(1, round(r->arrival.input * (1 - s->conf->cached)));
	err = engine_submit(server->engine, now, i, input, r->arrival.output, &h);
	if (err == SLO_ETOOBIG) {
		r->end = SIM_REFUSED;
		tell_end(s, now, i);
	}
	return err == SLO_OK || err == SLO_ETOOBIG;
}

/* Carries out what the core has decided by now. */
static bool obey(struct sim *s, slo_nsec now)
{
	struct sched_action act;

	while (sched_step(s->sched, now, &act)) {
		size_t i = (size_t)((struct sim_request *)act.user - s->out->requests);
		struct sim_request *r = &s->out->requests[i];

		r->waited = act.waited;
		r->input = act.request->input;
		r->output = act.request->output;
		if (act.verdict == SLO_REJECT) {
			r->end = SIM_REJECTED;
			r->reason = act.reason;
			continue;
		}
		assert(act.seat);
		r->load = (float)load_to_double(act.request->charge.load);
		if (!serve(s, now, i, act.seat->server->owner))
			return false;
	}
	return true;
}

/* What the gateway makes of a prompt without its tokenizer. */
static int64_t estimated(struct sim *s, uint32_t input)
{
	double factor = draw_lognormal(&s->errors, 0, s->conf->input_error);

	if (!(s->conf->input_error > 0))
		return input;
	return llround(fmax(1, input * factor));
}

static bool arrive(struct sim *s, slo_nsec now)
{
	size_t i = s->arrived++;
	struct sim_request *r = &s->out->requests[i];
	const struct sim_conf *conf = s->conf;
	char id[ID_MAX];
	struct sched_request req = {
		.id = id,
		.id_len = make_id(id, i),
		.model = s->models[r->arrival.workload],
		.strategy = conf->strategy->core,
		.input = estimated(s, r->arrival.input),
		.input_told = !(conf->input_error > 0),
		.output = conf->output_told ? (int64_t)r->arrival.output : -1,
		.max_output = conf->max_output,
		.created = now,
		.user = r,
	};

	if (conf->strategy->chooser == SIM_ROUND_ROBIN)
		return serve(s, now, i, &s->servers[s->turn++ % s->server_count]);
	return sched_submit(s->sched, now, &req, NULL) == SLO_OK;
}

/* time */

static void on_token(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens, bool finished)
{
	struct sim *s = arg;
	struct sim_request *r = &s->out->requests[cookie];

	if (tokens == 1)
		r->first = at;
	if (!finished)
		return;
	r->end = SIM_SERVED;
	r->last = at;
	s->finished[s->finishing++] = cookie;
}

static struct sim_server *next_to_step(const struct sim *s)
{
	struct sim_server *first = &s->servers[0];

	for (size_t i = 1; i < s->server_count; i++)
		if (engine_next(s->servers[i].engine) < engine_next(first->engine))
			first = &s->servers[i];
	return first;
}

static void sample_one(struct sim *s, const struct sim_server *server, slo_nsec at)
{
	struct usage_sum *u = &s->usage[server->type];
	struct engine_stats stats;

	engine_stats(server->engine, &stats);
	if (at == s->from)
		u->busy -= stats.busy;
	if (at == s->until)
		u->busy += stats.busy;
	u->load += load_to_double(server->core->ledger.used);
	u->kv += (double)stats.kv_used / (double)stats.kv_limit;
	u->samples++;
}

struct smallest {
	const struct deployment *d;
	slo_load load;
};

/* Some requests a deployment cannot serve at all. */
static void weigh(void *arg, const struct request *r)
{
	struct smallest *least = arg;
	struct rank_option option[SLO_DEPLOYMENTS_MAX];
	size_t n = rank_options(least->d->pool, r, option);

	for (size_t i = 0; i < n; i++)
		if (option[i].deployment == least->d->index && !option[i].infeasible &&
		    option[i].load < least->load)
			least->load = option[i].load;
}

/* Whether the deployment has room for a request that waits, in time or not. */
static bool is_idle(const struct sched_model *m, struct deployment *d)
{
	struct smallest least = { d, UINT64_MAX };

	queue_each(&m->queue, weigh, &least);
	return least.load != UINT64_MAX && policy_pick(SLO_STRATEGY_SLO, d, least.load);
}

static void sample_idle(struct sim *s)
{
	const struct sched_model *m = s->models[0];

	if (s->conf->strategy->chooser != SIM_CORE || !policy_pulls(s->conf->strategy->core))
		return;
	for (size_t t = 0; t < m->pool.deployments; t++)
		s->usage[t].idle += is_idle(m, m->pool.deployment[t]);
}

/* Looks at the servers every second of the measured time, and at its end, before `now`. */
static void sample(struct sim *s, slo_nsec now)
{
	while (s->sample_at <= now && s->sample_at <= s->until) {
		slo_nsec at = s->sample_at;

		for (size_t i = 0; i < s->server_count; i++)
			sample_one(s, &s->servers[i], at);
		sample_idle(s);
		s->sample_at =
		    at < s->until && at + SAMPLE_EVERY > s->until ? s->until : at + SAMPLE_EVERY;
	}
}

static void end_step(struct sim *s, slo_nsec now, struct sim_server *server)
{
	s->finishing = 0;
	(void)engine_step(server->engine, now, on_token, s);
	for (size_t i = 0; i < s->finishing; i++)
		tell_end(s, now, s->finished[i]);
}

/* Ends come before arrivals of the same moment. */
static bool run(struct sim *s)
{
	for (;;) {
		struct sim_server *server = next_to_step(s);
		slo_nsec step = engine_next(server->engine), wakeup, arrival = SLO_NEVER, now;
		struct sched_counts counts = sched_counts(s->sched);

		/* When nothing is left to be served, old ids need not be waited for. */
		wakeup = counts.queued ? sched_next_wakeup(s->sched) : SLO_NEVER;
		if (s->arrived < s->out->count)
			arrival = s->out->requests[s->arrived].arrival.t;
		now = step < arrival ? step : arrival;
		now = wakeup < now ? wakeup : now;
		sample(s, now);
		if (now != SLO_NEVER)
			sim_disturb(s, now);
		if (now == SLO_NEVER) {
			assert(counts.queued == 0 && counts.dispatched == 0);
			return true;
		}
		if (step == now)
			end_step(s, now, server);
		else if (arrival == now && !arrive(s, now))
			return false;
		if (!obey(s, now))
			return false;
	}
}

static void sum_up(struct sim *s)
{
	for (size_t t = 0; t < s->out->type_count; t++) {
		const struct usage_sum *u = &s->usage[t];
		double servers = s->out->types[t].servers;

		if (u->samples == 0 || s->until <= s->from)
			continue;
		s->out->usage[t] = (struct sim_usage){
			.busy = (double)u->busy / (double)(s->until - s->from) / servers,
			.load = u->load / (double)u->samples,
			.kv = u->kv / (double)u->samples,
			.idle = (double)u->idle * SAMPLE_EVERY / 1e9,
		};
	}
	for (size_t t = 0; t < s->out->type_count; t++)
		if (s->learning[t])
			s->out->learned[t] = *s->learning[t]->learner;
	for (size_t i = 0; i < s->server_count; i++) {
		struct engine_stats stats;

		engine_stats(s->servers[i].engine, &stats);
		s->out->evictions += stats.evictions;
	}
}

static bool draw_requests(const struct sim_conf *conf, uint64_t seed, struct sim_result *out,
                          char error[WORKLOAD_ERROR])
{
	const struct workload_plan plan = { .workloads = conf->workloads,
		                            .count = conf->workload_count,
		                            .load = conf->load,
		                            .burst = conf->burst,
		                            .seconds = conf->seconds,
		                            .seed = seed };
	struct arrival *arrivals;

	if (!workload_draw(&plan, &arrivals, &out->count, error))
		return false;
	out->requests = calloc(out->count, sizeof(*out->requests));
	for (size_t i = 0; out->requests && i < out->count; i++)
		out->requests[i].arrival = arrivals[i];
	free(arrivals);
	return out->requests || complain(error, "out of memory", "requests");
}

bool sim_run(const struct sim_conf *conf, uint64_t seed, double from, struct sim_result *out,
             char error[WORKLOAD_ERROR])
{
	struct sim s = { .conf = conf, .out = out };
	bool ok;

	*out = (struct sim_result){ 0 };
	s.errors = draw_stream(seed, 0);
	s.from = s.sample_at = llround(from * 1e9);
	s.until = llround(conf->seconds * 1e9);
	ok = draw_requests(conf, seed, out, error) && build(&s, seed, error);
	if (ok) {
		s.finished = calloc(out->count, sizeof(*s.finished));
		ok = (s.finished && run(&s)) || complain(error, "out of memory", "run");
	}
	if (ok)
		sum_up(&s);
	else
		sim_result_fini(out);
	free(s.finished);
	for (size_t i = 0; i < s.server_count; i++)
		engine_free(s.servers[i].engine);
	free(s.servers);
	sched_free(s.sched);
	return ok;
}

void sim_result_fini(struct sim_result *r)
{
	free(r->requests);
	*r = (struct sim_result){ 0 };
}
