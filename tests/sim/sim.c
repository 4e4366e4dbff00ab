#include "sim.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "sim_private.h"

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

/* requests */

size_t sim_make_id(char id[SIM_ID_MAX], size_t i)
{
	return (size_t)snprintf(id, SIM_ID_MAX, "%zx", i);
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

/* Headers, an event with a role, one for each token, one that tells the end. */
static int64_t stream_bytes(struct sim *s, uint32_t output)
{
	return 236 + llround((output + 2) * s->conf->event * draw_lognormal(&s->errors, 0, 0.01));
}

static void tell_end(struct sim *s, slo_nsec now, size_t i)
{
	struct sim_request *r = &s->out->requests[i];
	struct sim_agent *a = &s->agents[r->agent];
	const struct deployment *d = a->learning[r->type];
	uint64_t before = d ? d->learner->ends : 0;
	struct sched_outcome outcome = { .outcome =
		                             r->end == SIM_SERVED ? LESSON_ANSWERED : LESSON_LEFT,
		                         .input = r->arrival.input,
		                         .output = r->arrival.output,
		                         .bytes = -1 };
	struct sched_end ended;
	char id[SIM_ID_MAX];
	size_t len = sim_make_id(id, i);

	if (s->conf->strategy->chooser == SIM_ROUND_ROBIN)
		return;
	if (r->stream || s->conf->bytes) {
		outcome.input = outcome.output = -1;
		/* As HAProxy sees it: without its end, the framing and 4.5 bytes of text. */
		outcome.event = r->stream ? llround(s->conf->event - 13.5) : 0;
		outcome.bytes = r->stream ? stream_bytes(s, r->arrival.output)
		                          : answer_bytes(s, r->arrival.output);
	}
	/* Under an overload without end it may have been given up before (lease_max_age). */
	sched_end(a->sched, now, id, len, &outcome, &ended);
	assert(ended.result == SCHED_END_CLOSED || ended.result == SCHED_END_UNKNOWN);
	a->freed = true;
	sim_release(s, r);
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

static bool carry_out(struct sim *s, slo_nsec now, const struct sim_agent *a,
                      const struct sched_action *act)
{
	size_t i = (size_t)((struct sim_request *)act->user - s->out->requests);
	struct sim_request *r = &s->out->requests[i];

	r->waited = act->waited;
	r->input = act->request->input;
	r->output = act->request->output;
	if (act->verdict == SLO_REJECT) {
		r->end = SIM_REJECTED;
		r->reason = act->reason;
		return true;
	}
	assert(act->seat);
	r->load = (float)load_to_double(act->request->charge.load);
	r->agent = (uint32_t)a->index;
	sim_charge(s, r, act);
	return serve(s, now, i, act->seat->server->owner);
}

/* Carries out what the cores have decided by now. */
static bool obey(struct sim *s, slo_nsec now)
{
	struct sched_action act;

	for (size_t i = 0; i < s->agent_count; i++) {
		struct sim_agent *a = &s->agents[i];

		if (sim_yields(a, now))
			continue;
		while (sched_step(a->sched, now, &act))
			if (!carry_out(s, now, a, &act))
				return false;
		sim_tell_head(a, now);
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
	struct sim_agent *a = sim_asked(s);
	char id[SIM_ID_MAX];
	struct sched_request req = {
		.id = id,
		.id_len = sim_make_id(id, i),
		.model = a->models[r->arrival.workload],
		.strategy = conf->strategy->core,
		.input = estimated(s, r->arrival.input),
		.input_told = !(conf->input_error > 0),
		.output = conf->output_told ? (int64_t)r->arrival.output : -1,
		.max_output = conf->max_output,
		.created = now,
		.priority = r->priority,
		.stream = r->stream,
		.user = r,
	};

	if (conf->strategy->chooser == SIM_ROUND_ROBIN)
		return serve(s, now, i, &s->servers[s->turn++ % s->server_count]);
	r->agent = (uint32_t)a->index;
	return sched_submit(a->sched, now, &req, NULL) == SLO_OK;
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
	u->load += load_to_double(sim_load(s, server));
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
	if (s->conf->strategy->chooser != SIM_CORE || !policy_pulls(s->conf->strategy->core))
		return;
	for (size_t t = 0; t < s->out->type_count; t++) {
		bool idle = false;

		for (size_t i = 0; i < s->agent_count && !idle; i++) {
			const struct sched_model *m = s->agents[i].models[0];

			idle = is_idle(m, m->pool.deployment[t]);
		}
		s->usage[t].idle += idle;
	}
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

/* When an agent has to be stepped next though nothing happens. */
static slo_nsec next_wakeup(const struct sim *s)
{
	slo_nsec first = sim_next_news(s);

	for (size_t i = 0; i < s->agent_count; i++) {
		const struct sim_agent *a = &s->agents[i];
		slo_nsec t = foreign_next_turn(a->sched);

		/* When nothing is left to be served, old ids need not be waited for. */
		if (a->yielding)
			t = a->yields_until;
		else if (sched_counts(a->sched).queued > 0)
			t = sched_next_wakeup(a->sched);
		first = t < first ? t : first;
	}
	return first;
}

static bool is_over(const struct sim *s)
{
	for (size_t i = 0; i < s->agent_count; i++) {
		struct sched_counts counts = sched_counts(s->agents[i].sched);

		assert(counts.queued == 0 && counts.dispatched == 0);
		(void)counts;
	}
	return true;
}

/* Ends come before news, and news before arrivals of the same moment. */
static bool run(struct sim *s)
{
	for (;;) {
		struct sim_server *server = next_to_step(s);
		slo_nsec step = engine_next(server->engine), wakeup = next_wakeup(s);
		slo_nsec arrival = SLO_NEVER, now;

		if (s->arrived < s->out->count)
			arrival = s->out->requests[s->arrived].arrival.t;
		now = step < arrival ? step : arrival;
		now = wakeup < now ? wakeup : now;
		sample(s, now);
		if (now == SLO_NEVER)
			return is_over(s);
		sim_disturb(s, now);
		sim_look_at_engines(s, now);
		if (step == now)
			end_step(s, now, server);
		else if (sim_next_news(s) == now)
			sim_deliver(s, now);
		else if (arrival == now && !arrive(s, now))
			return false;
		if (!obey(s, now) || s->failed)
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
		if (s->agents[0].learning[t])
			s->out->learned[t] = *s->agents[0].learning[t]->learner;
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
	struct rng classes = draw_stream(seed, 1002), streams = draw_stream(seed, 1003);
	struct arrival *arrivals;

	if (!workload_draw(&plan, &arrivals, &out->count, error))
		return false;
	out->requests = calloc(out->count, sizeof(*out->requests));
	for (size_t i = 0; out->requests && i < out->count; i++) {
		out->requests[i].arrival = arrivals[i];
		if (draw_unit(&classes) < conf->prioritized)
			out->requests[i].priority = conf->priority;
		out->requests[i].stream = draw_unit(&streams) < conf->streamed;
	}
	free(arrivals);
	return out->requests || sim_complain(error, "out of memory", "requests");
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
	s.split = draw_stream(seed, 1001);
	ok = draw_requests(conf, seed, out, error) && sim_build(&s, seed, error);
	if (ok) {
		s.finished = calloc(out->count, sizeof(*s.finished));
		ok = (s.finished && run(&s)) || sim_complain(error, "out of memory", "run");
	}
	if (ok)
		sum_up(&s);
	else
		sim_result_fini(out);
	sim_clear(&s);
	return ok;
}

void sim_result_fini(struct sim_result *r)
{
	free(r->requests);
	*r = (struct sim_result){ 0 };
}
