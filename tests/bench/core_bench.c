/* Cost of a decision of the core, by fleet and queue: ns per operation (median, p99), how it grows
 * with the fleet, and memory per queued request and per server. Nothing is asserted. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/sched.h"

#define DEPLOYMENTS 8
#define SIZES       20 /* per axis: 400 buckets */
#define QUEUED      100000
#define SAMPLES     20000
#define PER_SERVER  8 /* requests that fill one */
#define IDS         (1 << 20)
#define ID_LEN      46

static const size_t fleets[] = { 10, 100, 1000, 10000 };
#define FLEETS (sizeof(fleets) / sizeof(fleets[0]))

/* With it as many tokens as requests of the mean size fill a server of slo-adaptive. */
#define KV_TOKENS 210000

static const enum slo_strategy strategies[] = { SLO_STRATEGY_SLO,           SLO_STRATEGY_ADAPTIVE,
	                                        SLO_STRATEGY_PACK_LOAD,     SLO_STRATEGY_LEAST_LOAD,
	                                        SLO_STRATEGY_LEAST_REQUEST, SLO_STRATEGY_RANDOM };
#define STRATEGIES (sizeof(strategies) / sizeof(strategies[0]))

struct rig {
	struct sched *s;
	struct sched_model *m;
	struct rng rng;
	slo_nsec now;
	uint64_t submitted;
	uint64_t *running; /* ids of dispatched requests, in any order */
	size_t count, cap;
	bool teaches; /* ends tell their tokens */
	bool alike;   /* all requests have 256 and 64 tokens */
};

struct figures {
	double median, p99;
	/* Of an exchange: how many decisions it is in the mean, and the median of its whole time.
	 */
	double decisions, whole;
};

static int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static struct figures figures_of(int64_t *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), compare);
	return (struct figures){ .median = (double)samples[n / 2],
		                 .p99 = (double)samples[n - n / 100 - 1] };
}

/* Every cell: the same product of throughput and latency, so PER_SERVER requests fill a server;
 * deployments differ in latency, so each request has eight ranks. */
static struct profile *profile_of(size_t deployment, double per_server)
{
	static double axis[SIZES], tputs[SIZES * SIZES], e2e[SIZES * SIZES];
	struct slo_profile_doc doc = {
		.rows = SIZES,
		.cols = SIZES,
		.output_axis = axis,
		.input_axis = axis,
		.tputs = tputs,
		.e2e = e2e,
		.created = 1,
		.slo_e2e = 1e6,
	};

	for (size_t i = 0; i < SIZES; i++)
		axis[i] = ldexp(1, (int)i);
	for (size_t i = 0; i < (size_t)SIZES * SIZES; i++) {
		e2e[i] = 1 + (double)(i % 37) / 10 + (double)deployment / 100;
		tputs[i] = per_server / e2e[i];
	}
	return profile_new(&doc);
}

static void die(const char *what)
{
	fprintf(stderr, "core_bench: %s\n", what);
	exit(EXIT_FAILURE);
}

static void rig_init(struct rig *r, size_t servers, enum slo_strategy strategy)
{
	struct sched_conf conf = sched_conf_default();

	memset(r, 0, sizeof(*r));
	conf.queue_limit = 10 * QUEUED;
	conf.queue_timeout = SLO_NEVER;
	conf.remember_limit = 1000;
	r->s = sched_new(&conf);
	r->m = r->s ? sched_model_add(r->s, "m", SLO_STRATEGY_SLO) : NULL;
	if (!r->m)
		die("out of memory");
	rng_init(&r->rng, 1);
	for (size_t d = 0; d < DEPLOYMENTS; d++) {
		struct deployment *dep = sched_deployment_add(r->m, "gpu");

		if (!dep || sched_profile_set(r->s, dep, profile_of(d, PER_SERVER)) != SLO_OK)
			die("out of memory");
		if (strategy == SLO_STRATEGY_ADAPTIVE &&
		    sched_source_set(r->s, dep, FLEET_AUTO, KV_TOKENS) != SLO_OK)
			die("out of memory");
		for (size_t i = d; i < servers; i += DEPLOYMENTS) {
			struct server *server = sched_server_add(r->s, "server");

			if (!server || sched_server_seat(r->s, dep, server) != SLO_OK)
				die("out of memory");
		}
	}
	r->cap = servers * PER_SERVER * 4;
	r->running = calloc(r->cap, sizeof(*r->running));
	if (!r->running)
		die("out of memory");
}

static void rig_fini(struct rig *r)
{
	sched_free(r->s);
	free(r->running);
}

/* Ids in HAProxy's usual form, made beforehand: printing them is not what is measured. */
static char (*ids)[ID_LEN + 1];

static void make_ids(void)
{
	ids = calloc(IDS, sizeof(*ids));
	if (!ids)
		die("out of memory");
	for (unsigned int n = 0; n < IDS; n++)
		snprintf(ids[n], sizeof(ids[n]), "7F000001:%04X_7F000001:1F90_6920A1B2_%04X:1A2B",
		         n >> 16, n & 0xffff);
}

static const char *id_of(uint64_t n)
{
	return ids[n % IDS];
}

/* Takes all decisions; dispatched requests become endable. Returns how many were answered. */
static size_t drain(struct rig *r)
{
	struct sched_action a;
	size_t n = 0;

	for (; sched_step(r->s, r->now, &a); n++)
		if (a.seat && r->count < r->cap)
			r->running[r->count++] = (uint64_t)(uintptr_t)a.user;
	return n;
}

static void submit(struct rig *r, enum slo_strategy strategy)
{
	size_t in = rng_below(&r->rng, SIZES), out = rng_below(&r->rng, SIZES);
	struct sched_request req = {
		.id = id_of(++r->submitted),
		.id_len = ID_LEN,
		.model = r->m,
		.strategy = strategy,
		.input = INT64_C(1) << (r->alike ? 8 : in),
		.input_told = true,
		.output = INT64_C(1) << (r->alike ? 6 : out),
		.max_output = -1,
		.created = r->now,
		.user = (void *)(uintptr_t)r->submitted,
	};

	if (sched_submit(r->s, r->now, &req, NULL) != SLO_OK)
		die("submit");
}

static int64_t told(const struct rig *r, int64_t alike, int64_t usual)
{
	if (!r->teaches)
		return -1;
	return r->alike ? alike : usual;
}

static void end(struct rig *r, size_t i)
{
	const struct sched_outcome outcome = { .outcome = LESSON_ANSWERED,
		                               .input = told(r, 256, 300),
		                               .output = told(r, 64, 100),
		                               .bytes = -1 };
	struct sched_end e;
	const char *id = id_of(r->running[i]);

	r->running[i] = r->running[--r->count];
	sched_end(r->s, r->now, id, ID_LEN, &outcome, &e);
}

/* These two are measured; by name, for a profiler. */
static __attribute__((noinline)) void arrive(struct rig *r, enum slo_strategy strategy)
{
	submit(r, strategy);
	drain(r);
}

/* Returns how many decisions that were: who comes, and who goes. That may be more than one, where
 * the one that ended took as much room as several that wait. That nobody goes is one, too. */
static __attribute__((noinline)) size_t exchange(struct rig *r, enum slo_strategy strategy)
{
	size_t gone;

	end(r, rng_below(&r->rng, r->count));
	gone = drain(r);
	submit(r, strategy);
	gone += drain(r);
	return 1 + (gone > 0 ? gone : 1);
}

/* Arrival to decision with an empty queue, the fleet half full. */
static struct figures empty_queue(size_t servers, enum slo_strategy strategy, double *per_server)
{
	static int64_t samples[SAMPLES];
	struct mallinfo2 before = mallinfo2(), after;
	struct rig r;

	rig_init(&r, servers, strategy);
	after = mallinfo2();
	*per_server = (double)(after.uordblks - before.uordblks) / (double)servers;
	for (size_t i = 0; i < servers * PER_SERVER / 2; i++) {
		submit(&r, strategy);
		drain(&r);
	}
	for (size_t i = 0; i < SAMPLES; i++) {
		int64_t t;

		r.now += 1000;
		end(&r, rng_below(&r.rng, r.count));
		drain(&r);
		t = clock_ns();
		arrive(&r, strategy);
		samples[i] = clock_ns() - t;
	}
	rig_fini(&r);
	return figures_of(samples, SAMPLES);
}

/* As many models over the same eight servers, as LoRA adapters are: arrival, decision and end of a
 * request for any of them. */
static struct figures shared(size_t models, enum fleet_source source)
{
	static int64_t samples[SAMPLES];
	struct sched_model **all = calloc(models, sizeof(struct sched_model *));
	struct rig r;

	rig_init(&r, DEPLOYMENTS, SLO_STRATEGY_SLO);
	if (!all)
		die("out of memory");
	all[0] = r.m;
	for (size_t i = 1; i < models; i++) {
		char name[32];

		snprintf(name, sizeof(name), "m%zu", i);
		all[i] = sched_model_add(r.s, name, SLO_STRATEGY_SLO);
		for (size_t d = 0; all[i] && d < DEPLOYMENTS; d++) {
			struct deployment *dep = sched_deployment_add(all[i], "gpu");
			struct server *server = all[0]->pool.deployment[d]->seats->server;

			if (!dep || sched_profile_set(r.s, dep, profile_of(d, PER_SERVER)) ||
			    sched_server_seat(r.s, dep, server) != SLO_OK)
				die("out of memory");
		}
		if (!all[i])
			die("out of memory");
	}
	r.teaches = source != FLEET_GIVEN;
	for (size_t d = 0; d < DEPLOYMENTS; d++)
		if (sched_source_set(r.s, r.m->pool.deployment[d], source, 50000) != SLO_OK)
			die("out of memory");
	for (size_t i = 0; i < SAMPLES; i++) {
		int64_t t;

		r.now += 1000;
		r.m = all[rng_below(&r.rng, models)];
		t = clock_ns();
		submit(&r, SLO_STRATEGY_SLO);
		drain(&r);
		if (r.count > 30)
			end(&r, rng_below(&r.rng, r.count));
		drain(&r);
		samples[i] = clock_ns() - t;
	}
	rig_fini(&r);
	free(all);
	return figures_of(samples, SAMPLES);
}

static void fill(struct rig *r, enum slo_strategy strategy)
{
	while (r->m->queue.length < QUEUED) {
		submit(r, strategy);
		drain(r);
	}
}

/* An end lets one of 100,000 waiting requests go; another one comes behind them. */
static struct figures full_queue(size_t servers, enum slo_strategy strategy, double *per_request)
{
	static int64_t samples[SAMPLES], whole[SAMPLES];
	enum slo_strategy waits = strategy == SLO_STRATEGY_ADAPTIVE ? strategy : SLO_STRATEGY_SLO;
	struct mallinfo2 before, after;
	struct figures f;
	size_t decisions = 0;
	struct rig r;

	rig_init(&r, servers, strategy);
	for (size_t i = 0; i < servers * PER_SERVER; i++) {
		submit(&r, waits);
		drain(&r);
	}
	before = mallinfo2();
	fill(&r, waits);
	after = mallinfo2();
	*per_request = (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
	               (double)r.m->queue.length;
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t n;
		int64_t t;

		r.now += 1000;
		t = clock_ns();
		n = exchange(&r, strategy);
		whole[i] = clock_ns() - t;
		samples[i] = whole[i] / (int64_t)n;
		decisions += n;
		while (r.m->queue.length < QUEUED) {
			submit(&r, waits);
			drain(&r);
		}
	}
	rig_fini(&r);
	f = figures_of(samples, SAMPLES);
	f.decisions = (double)decisions / SAMPLES;
	f.whole = figures_of(whole, SAMPLES).median;
	return f;
}

/* Swaps the profiles behind the scheduler's back: what waits keeps its rank and load. */
static void weigh(struct rig *r, double per_server)
{
	for (size_t d = 0; d < DEPLOYMENTS; d++) {
		struct deployment *dep = r->m->pool.deployment[d];

		profile_free(dep->profile);
		dep->profile = profile_of(d, per_server);
		if (!dep->profile)
			die("out of memory");
	}
}

/* Full servers, 10 waiting heads that need half a server each, and an end that frees an eighth. */
static struct figures in_vain(size_t servers)
{
	static int64_t samples[SAMPLES];
	struct sched_action a;
	struct rig r;

	rig_init(&r, servers, SLO_STRATEGY_SLO);
	for (size_t i = 0; i < servers * PER_SERVER; i++) {
		submit(&r, SLO_STRATEGY_SLO);
		drain(&r);
	}
	weigh(&r, 2);
	while (r.m->queue.heads < 10) {
		submit(&r, SLO_STRATEGY_SLO);
		drain(&r);
	}
	weigh(&r, PER_SERVER);
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t at = rng_below(&r.rng, r.count);
		int64_t t;

		r.now += 1000;
		t = clock_ns();
		end(&r, at);
		if (sched_step(r.s, r.now, &a))
			die("the round was not in vain");
		samples[i] = clock_ns() - t;
		submit(&r, SLO_STRATEGY_LEAST_REQUEST); /* to the one that has room: full again */
		drain(&r);
	}
	rig_fini(&r);
	return figures_of(samples, SAMPLES);
}

/* Thirty in flight, where by a profile and by what is learned all have room: what differs between
 * sources is learning alone. */
static struct figures unhindered(enum fleet_source source)
{
	static int64_t samples[SAMPLES];
	struct rig r;

	rig_init(&r, DEPLOYMENTS, SLO_STRATEGY_SLO);
	r.alike = true;
	r.teaches = source != FLEET_GIVEN;
	for (size_t d = 0; d < DEPLOYMENTS; d++)
		if (sched_source_set(r.s, r.m->pool.deployment[d], source, 1e6) != SLO_OK)
			die("out of memory");
	for (size_t i = 0; i < 2 * SAMPLES; i++) {
		int64_t t;

		r.now += SLO_NSEC_PER_SEC / 30;
		t = clock_ns();
		submit(&r, SLO_STRATEGY_SLO);
		drain(&r);
		if (r.count > 30)
			end(&r, i % 30); /* who stays longer would see more prompts: they would seem
			                    slow */
		drain(&r);
		if (i >= SAMPLES) /* by then all is learned */
			samples[i - SAMPLES] = clock_ns() - t;
		if (r.m->queue.length > 0)
			die("one waits where nobody is to");
	}
	rig_fini(&r);
	return figures_of(samples, SAMPLES);
}

/* What learning adds to a request and its end. */
static int learning(void)
{
	struct figures alone = unhindered(FLEET_GIVEN), beside = unhindered(FLEET_AUTO);
	struct figures instead = unhindered(FLEET_LEARNED);
	struct figures given = shared(1, FLEET_GIVEN), told = shared(1, FLEET_AUTO);
	struct figures learned = shared(1, FLEET_LEARNED);

	printf("a request and its end, 8 servers: %.0f ns without learning, %.0f beside a "
	       "profile, %.0f in its place\n",
	       given.median, told.median, learned.median);
	printf("the same where nobody waits in any of them: %.0f, %.0f, %.0f\n", alone.median,
	       beside.median, instead.median);
	return EXIT_SUCCESS;
}

/* For a profiler: nothing but one strategy on one fleet. */
static int one(const char *strategy, const char *servers, bool full)
{
	enum slo_strategy which;
	struct figures f;
	double unused;

	if (!policy_strategy_parse(strategy, strlen(strategy), &which))
		die("usage: core_bench [learning | STRATEGY SERVERS [full]]");
	f = full ? full_queue(strtoul(servers, NULL, 10), which, &unused)
	         : empty_queue(strtoul(servers, NULL, 10), which, &unused);
	printf("%s, %s servers, %s: %.0f / %.0f ns", strategy, servers,
	       full ? "100,000 waiting" : "queue empty", f.median, f.p99);
	if (full)
		printf("; an exchange: %.2f decisions, %.0f ns", f.decisions, f.whole);
	printf("\n");
	return EXIT_SUCCESS;
}

/* The room of one that ends may be enough for several of slo-adaptive. */
static void print_exchanges(const struct figures *slo, const struct figures *adaptive)
{
	printf("\nan end and an arrival, 100,000 waiting: decisions in the mean, ns\n");
	for (size_t n = 0; n < FLEETS; n++)
		printf("%zu servers: slo %.2f, %.0f; slo-adaptive %.2f, %.0f\n", fleets[n],
		       slo[n].decisions, slo[n].whole, adaptive[n].decisions, adaptive[n].whole);
}

int main(int argc, char **argv)
{
	static const size_t models[] = { 1, 5, 1000, 5000 };
	struct figures f[2][STRATEGIES][FLEETS], vain, many[4], told, learned;
	double server_bytes = 0, request_bytes = 0, unused;

	make_ids();
	if (argc == 2)
		return learning();
	if (argc > 2)
		return one(argv[1], argv[2], argc > 3);
	for (size_t n = 0; n < FLEETS; n++)
		for (size_t s = 0; s < STRATEGIES; s++) {
			f[0][s][n] = empty_queue(fleets[n], strategies[s], &server_bytes);
			f[1][s][n] = full_queue(fleets[n], strategies[s],
			                        n + 1 == FLEETS ? &request_bytes : &unused);
		}
	vain = in_vain(1000);
	for (size_t i = 0; i < 4; i++)
		many[i] = shared(models[i], FLEET_GIVEN);
	told = shared(1, FLEET_AUTO);
	learned = shared(1, FLEET_LEARNED);
	for (int q = 0; q < 2; q++) {
		printf("\nns per decision, median / p99, %d deployments, %s\n%-16s", DEPLOYMENTS,
		       q ? "100,000 waiting in 400 buckets" : "queue empty", "servers");
		for (size_t n = 0; n < FLEETS; n++)
			printf("%17zu", fleets[n]);
		printf("   growth\n");
		for (size_t s = 0; s < STRATEGIES; s++) {
			printf("%-16s", policy_strategy_name(strategies[s]));
			for (size_t n = 0; n < FLEETS; n++)
				printf("%9.0f /%6.0f", f[q][s][n].median, f[q][s][n].p99);
			printf("%9.2f\n", f[q][s][FLEETS - 1].median / f[q][s][0].median);
		}
	}
	print_exchanges(f[1][0], f[1][1]);
	printf("\n10,000 servers with 100,000 waiting against 10 with none, slo: %.2f\n",
	       f[1][0][FLEETS - 1].median / f[0][0][0].median);
	printf("a request and an end that teaches beside a profile: %.0f / %.0f ns, in its place: "
	       "%.0f / %.0f ns\n",
	       told.median, told.p99, learned.median, learned.p99);
	for (size_t i = 0; i < 4; i++)
		printf("a request and an end, 8 servers, %zu models on them: %.0f / %.0f ns\n",
		       models[i], many[i].median, many[i].p99);
	printf("a wake-up in vain, 1,000 full servers, 10 waiting heads: %.0f / %.0f ns\n",
	       vain.median, vain.p99);
	printf("memory: %.0f bytes per queued request with its id of %d, %.0f per server\n",
	       request_bytes, ID_LEN, server_bytes);
	free(ids);
	return EXIT_SUCCESS;
}
