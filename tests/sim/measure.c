#include "measure.h"

#include <math.h>
#include <stdlib.h>

#include "draw.h"

#define REQUESTS_MIN  200
#define SECONDS_MIN   45.0
#define LATENCIES_MIN 8.0
#define ENDED_MIN     0.9
#define OCTAVES_MAX   20

struct timing {
	slo_nsec arrival, first, last;
};

struct run {
	struct engine *engine;
	struct timing *requests;
	size_t count;
};

/* Sums over all runs of one rate. */
struct sums {
	double e2e, ttft, tpot;
	size_t requests, kept;
	size_t arrived_late, ended_late; /* in the second half */
};

static void on_token(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens, bool finished)
{
	struct run *r = arg;

	if (tokens == 1)
		r->requests[cookie].first = at;
	if (finished)
		r->requests[cookie].last = at;
}

static void advance(struct run *r, slo_nsec until)
{
	while (engine_next(r->engine) <= until && engine_next(r->engine) != SLO_NEVER)
		(void)engine_step(r->engine, engine_next(r->engine), on_token, r);
}

/* Serves requests[], whose arrivals are set, to the end. */
static bool serve(struct run *r, const struct engine_conf *conf, uint32_t input, uint32_t output)
{
	struct engine_handle h;
	bool ok;

	r->engine = engine_new(conf);
	ok = r->engine != NULL;
	for (size_t i = 0; ok && i < r->count; i++) {
		advance(r, r->requests[i].arrival);
		ok = engine_submit(r->engine, r->requests[i].arrival, i, input, output, &h) ==
		     SLO_OK;
	}
	if (ok)
		advance(r, SLO_NEVER);
	engine_free(r->engine);
	return ok;
}

static double seconds_of(slo_nsec t)
{
	return (double)t / 1e9;
}

static bool idle_latency(const struct measure_conf *conf, uint32_t input, uint32_t output,
                         double *out)
{
	struct timing one = { 0 };
	struct run r = { .requests = &one, .count = 1 };

	if (!serve(&r, &conf->engine, input, output))
		return false;
	*out = seconds_of(one.last);
	return true;
}

static void add_up(const struct measure_conf *conf, const struct run *r, uint32_t input,
                   uint32_t output, struct sums *sums)
{
	slo_nsec span = goal_span(&conf->slo, input, output);
	slo_nsec end = r->requests[r->count - 1].arrival, half = end / 2;

	for (size_t i = 0; i < r->count; i++) {
		const struct timing *t = &r->requests[i];
		slo_nsec e2e = t->last - t->arrival, ttft = t->first - t->arrival;

		sums->requests++;
		sums->kept += (conf->slo.kind == GOAL_TTFT ? ttft : e2e) <= span;
		sums->arrived_late += t->arrival > half;
		sums->ended_late += t->last > half && t->last <= end;
		sums->e2e += seconds_of(e2e);
		sums->ttft += seconds_of(ttft);
		if (output > 1)
			sums->tpot += seconds_of(t->last - t->first) / (output - 1);
	}
}

static bool one_run(const struct measure_conf *conf, uint32_t input, uint32_t output, double rate,
                    size_t count, uint64_t which, struct sums *sums)
{
	struct rng rng = draw_stream(conf->seed, which);
	struct run r = { .count = count };
	double t = 0;
	bool ok;

	r.requests = calloc(count, sizeof(*r.requests));
	if (!r.requests)
		return false;
	for (size_t i = 0; i < count; i++) {
		t -= log(draw_unit(&rng)) / rate;
		r.requests[i].arrival = llround(t * 1e9);
	}
	ok = serve(&r, &conf->engine, input, output);
	if (ok)
		add_up(conf, &r, input, output, sums);
	free(r.requests);
	return ok;
}

bool measure_rate(const struct measure_conf *conf, uint32_t input, uint32_t output, double rate,
                  struct measure_point *out)
{
	struct sums sums = { 0 };
	double idle, n;

	if (!idle_latency(conf, input, output, &idle))
		return false;
	n = fmax(REQUESTS_MIN, ceil(rate * fmax(SECONDS_MIN, LATENCIES_MIN * idle)));
	for (uint32_t k = 0; k < conf->runs; k++)
		if (!one_run(conf, input, output, rate, (size_t)n, k, &sums))
			return false;
	n = (double)sums.requests;
	*out = (struct measure_point){
		.rate = rate,
		.e2e = sums.e2e / n,
		.ttft = sums.ttft / n,
		.tpot = sums.tpot / n,
		.slo_share = (double)sums.kept / n,
		.ended_share = (double)sums.ended_late / fmax(1, (double)sums.arrived_late),
	};
	out->passes = out->slo_share >= conf->share && out->ended_share >= ENDED_MIN;
	return true;
}

bool measure_highest(const struct measure_conf *conf, uint32_t input, uint32_t output,
                     struct measure_point *out)
{
	struct measure_point p;
	double rate = MEASURE_LOWEST;
	uint32_t i;

	if (!measure_rate(conf, input, output, rate, out))
		return false;
	for (p = *out, i = 0; p.passes && i < OCTAVES_MAX; i++) {
		*out = p;
		rate *= 2;
		if (!measure_rate(conf, input, output, rate, &p))
			return false;
	}
	/* Now out passes and its double does not, or the lowest one did not. From above: noise may
	 * let a rate fail below one that passes, and the highest is asked for. */
	for (i = conf->per_octave; out->passes && --i > 0;) {
		rate = out->rate * exp2((double)i / conf->per_octave);
		if (!measure_rate(conf, input, output, rate, &p))
			return false;
		if (p.passes) {
			*out = p;
			break;
		}
	}
	return true;
}
