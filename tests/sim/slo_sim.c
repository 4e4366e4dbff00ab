/* slo-sim: does a strategy keep the SLO? Hours of traffic through the daemon's scheduler and
 * simulated engines, in virtual time. */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "options.h"
#include "report.h"
#include "sim.h"

#define STRATEGIES_MAX 16

enum {
	OPT_MODE = 256,
	OPT_HEADROOM,
	OPT_OPTIMISM,
	OPT_PREDICT,
	OPT_COLD,
	OPT_LATE,
	OPT_INFEASIBLE,
	OPT_MAX_TOKENS,
	OPT_QUEUE_TIMEOUT,
	OPT_QUEUE_TIMEOUT_MAX,
	OPT_ERROR,
	OPT_MAXCONN,
	OPT_RUNS,
	OPT_WARM_UP,
	OPT_BURST,
	OPT_DUMP,
	OPT_WRITE_TRACE,
	OPT_JSON,
	OPT_KV,
	OPT_SLOW,
	OPT_CACHED,
	OPT_BYTES,
	OPT_STREAMS,
	OPT_FORGET,
	OPT_ENGINES,
	OPT_AGENTS,
	OPT_DELAY,
	OPT_APART,
	OPT_SKEW,
	OPT_YIELD,
	OPT_TURN,
	OPT_GREEDY,
	OPT_PRIORITY,
	OPT_PRIOR,
	OPT_RESTART,
};

struct options {
	struct sim_conf sim;
	struct workload workloads[WORKLOADS_MAX];
	const struct sim_strategy *strategies[STRATEGIES_MAX];
	size_t strategy_count;
	struct goal slo;
	const char *profiles;
	double headroom; /* 0: profiles lie in the folder itself */
	uint64_t seed;
	uint32_t runs;
	double warm_up;
	const char *dump, *json, *trace;
};

static const struct argp_option option_list[] = {
	{ NULL, 0, NULL, 0, "What is simulated:", 1 },
	{ "fleet", 'f', "GPU=N,...", 0, "servers of each type (a10=1,l20=4)", 1 },
	{ "workloads", 'w', "LIST", 0,
	  "NAME:RATE[~SHAPE][@GPU], INxOUT:RATE or trace:FILE, with commas "
	  "(sharegpt-pub:7@a10,bird:4@l20); @GPU is for oracle, SHAPE < 1 is bursty",
	  1 },
	{ "load", 'l', "FACTOR", 0, "multiplies all rates (1)", 1 },
	{ "burst", OPT_BURST, "FxS/P", 0, "rates times F in the last S seconds of every P", 1 },
	{ "model", 'm', "NAME", 0, "of the engines (deepseek-coder-6.7b)", 1 },
	{ "mode", OPT_MODE, "MODE", 0, "of the engines: prefill-first (default), chunked", 1 },
	{ "seconds", 't', "S", 0, "arrivals last so long (600)", 1 },
	{ "warm-up", OPT_WARM_UP, "S", 0, "what arrives before is not measured (60)", 1 },
	{ "seed", 's', "N", 0, "of the first run (1)", 1 },
	{ "runs", OPT_RUNS, "N", 0, "with seeds N, N+1, ... (1)", 1 },
	{ "slo", 'g', "KIND=S", 0, "what is measured: tpat, e2e, ttft, tpot (tpat=0.05)", 1 },
	{ "slow", OPT_SLOW, "GPU[/N]:S@FROM-TO", 0,
	  "a type, or its N-th server, runs at S of its speed for a while, or with 0 is out of "
	  "use; may be repeated",
	  1 },
	{ "cached", OPT_CACHED, "SHARE", 0, "of each prompt, that engines find in a cache (0)", 1 },
	{ NULL, 0, NULL, 0, "The router:", 2 },
	{ "bytes", OPT_BYTES, NULL, 0, "ends tell the bytes of an answer and no tokens", 2 },
	{ "streams", OPT_STREAMS, "SHARE:BYTES", 0,
	  "of the requests, whose answers are event streams, of so many bytes for a token (none)",
	  2 },
	{ "forget", OPT_FORGET, "S", 0, "what was learned is forgotten then (never)", 2 },
	{ "restart", OPT_RESTART, "S", 0, "the same but for what a snapshot keeps", 2 },
	{ "strategy", 'S', "LIST", 0,
	  "oracle, scalar, slo, slo-adaptive, slo-pack-load, slo-least-load, least-request, "
	  "maxconn, "
	  "round-robin, "
	  "random, or all (all)",
	  2 },
	{ "profiles", 'p', "DIR", 0, "profiles as DIR/MODEL/GPU.json; learned: there are none", 2 },
	{ "prior", OPT_PRIOR, NULL, 0, "with profiles: times are learned from them on", 2 },
	{ "kv", OPT_KV, "HOW", 0,
	  "what learning is told of the KV cache: told, learned (nothing) or xFACTOR (told)", 2 },
	{ "engines", OPT_ENGINES, "S", 0, "the engines' metrics are read so often (never)", 2 },
	{ "headroom", OPT_HEADROOM, "H", 0, "take those of DIR/hNN, as slo-sim-profile writes them",
	  2 },
	{ "optimism", OPT_OPTIMISM, "F", 0, "the profiles promise F times the throughput (1)", 2 },
	{ "predict", OPT_PREDICT, "HOW", 0, "sample, p50, p90 or truth (sample)", 2 },
	{ "cold", OPT_COLD, "HOW", 0, "optimistic, input or max (optimistic)", 2 },
	{ "max-tokens", OPT_MAX_TOKENS, "N", 0, "limit that every request names (none)", 2 },
	{ "late", OPT_LATE, "HOW", 0, "serve, hold or reject (serve)", 2 },
	{ "infeasible", OPT_INFEASIBLE, "HOW", 0, "reject or fallback (reject)", 2 },
	{ "queue-timeout", OPT_QUEUE_TIMEOUT, "S|auto", 0,
	  "0: none (30); auto: as long as it can be in time, at least 30", 2 },
	{ "queue-timeout-max", OPT_QUEUE_TIMEOUT_MAX, "S", 0, "for auto (60)", 2 },
	{ "input-error", OPT_ERROR, "SD", 0,
	  "prompt tokens are estimated, wrong by this sd of the logarithm (0)", 2 },
	{ "priority", OPT_PRIORITY, "P:SHARE", 0,
	  "of the requests, that have the priority P; the others have 0 (none)", 2 },
	{ "maxconn", OPT_MAXCONN, "N", 0, "requests on one server at once, for maxconn (16)", 2 },
	{ NULL, 0, NULL, 0, "Several agents:", 2 },
	{ "agents", OPT_AGENTS, "N", 0,
	  "schedulers over the one fleet, each with a part of the requests (1)", 2 },
	{ "delay", OPT_DELAY, "MS", 0, "what one tells the others takes so long (1)", 2 },
	{ "apart", OPT_APART, NULL, 0, "they tell each other nothing", 2 },
	{ "skew", OPT_SKEW, "SHARE", 0,
	  "of the requests, that the first one gets (as many as the others)", 2 },
	{ "turn", OPT_TURN, "MS", 0,
	  "they look at room that appears one after the other, so much apart (3)", 2 },
	{ "greedy", OPT_GREEDY, NULL, 0,
	  "whoever is first takes all room, and spares nothing for who may have come as soon", 2 },
	{ "yield", OPT_YIELD, "MS", 0,
	  "one leaves room that it got to a more urgent request of another for so long (0)", 2 },
	{ NULL, 0, NULL, 0, "Output:", 3 },
	{ "json", OPT_JSON, "FILE", 0, "every run in full; - is standard output, then no table",
	  3 },
	{ "dump", OPT_DUMP, "FILE", 0, "every measured request, as CSV", 3 },
	{ "write-trace", OPT_WRITE_TRACE, "FILE", 0,
	  "only write what arrives, as trace:FILE reads it", 3 },
	{ 0 },
};

static void parse_strategies(struct argp_state *state, struct options *o, const char *arg)
{
	o->strategy_count = 0;
	if (strcmp(arg, "all") == 0) {
		for (const struct sim_strategy *s = sim_strategies; s->name; s++)
			o->strategies[o->strategy_count++] = s;
		return;
	}
	for (const char *p = arg; *p != '\0';) {
		size_t len = strcspn(p, ",");
		const struct sim_strategy *s = sim_strategy_find(p, len);

		if (!s || o->strategy_count == STRATEGIES_MAX)
			argp_error(state, "%.*s: no such strategy", (int)len, p);
		o->strategies[o->strategy_count++] = s;
		p += len + (p[len] == ',');
	}
}

static void parse_workloads(struct argp_state *state, struct options *o, const char *arg)
{
	char error[WORKLOAD_ERROR];

	o->sim.workload_count = workload_parse(arg, o->workloads, error);
	if (o->sim.workload_count == 0)
		argp_error(state, "%s", error);
}

static double option_kv(struct argp_state *state, const char *arg)
{
	if (strcmp(arg, "told") == 0)
		return 1;
	if (strcmp(arg, "learned") == 0)
		return 0;
	if (arg[0] != 'x')
		argp_error(state, "%s: must be told, learned or like x0.5", arg);
	return option_number(state, arg + 1, 0.01, 100);
}

static error_t parse_agents(int key, char *arg, struct argp_state *state, struct options *o)
{
	switch (key) {
	case OPT_AGENTS:
		o->sim.agents = (size_t)option_number(state, arg, 1, SIM_AGENTS_MAX);
		return 0;
	case OPT_DELAY:
		o->sim.delay = llround(option_number(state, arg, 0, 1e6) * 1e6);
		return 0;
	case OPT_APART:
		o->sim.apart = true;
		return 0;
	case OPT_SKEW:
		o->sim.skew = option_number(state, arg, 0.001, 0.999);
		return 0;
	case OPT_TURN:
		o->sim.turn = llround(option_number(state, arg, 0, 1e6) * 1e6);
		return 0;
	case OPT_GREEDY:
		o->sim.greedy = true;
		return 0;
	case OPT_YIELD:
		o->sim.yield = llround(option_number(state, arg, 0, 1e6) * 1e6);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_router(int key, char *arg, struct argp_state *state, struct options *o)
{
	static const char *const predict[] = { "sample", "p50", "p90", "truth", NULL };
	static const char *const cold[] = { "optimistic", "input", "max", NULL };
	static const char *const late[] = { "hold", "reject", "serve", NULL };
	static const char *const infeasible[] = { "reject", "fallback", NULL };
	struct sched_conf *sched = &o->sim.sched;
	double v;
	int i;

	switch (key) {
	case 'p':
		o->profiles = arg;
		return 0;
	case OPT_HEADROOM:
		o->headroom = option_number(state, arg, 0.01, 1);
		return 0;
	case OPT_KV:
		o->sim.kv_factor = option_kv(state, arg);
		return 0;
	case OPT_ENGINES:
		o->sim.engines = option_number(state, arg, 0.1, 3600);
		return 0;
	case OPT_PRIOR:
		o->sim.prior = true;
		return 0;
	case OPT_BYTES:
		o->sim.bytes = true;
		return 0;
	case OPT_STREAMS:
		if (!sim_parse_streams(arg, &o->sim.streamed, &o->sim.event))
			argp_error(state, "%s: must be like 0.5:150", arg);
		return 0;
	case OPT_RESTART:
		o->sim.forget_kept = true;
		o->sim.forget = option_number(state, arg, 0, 1e7);
		return 0;
	case OPT_FORGET:
		o->sim.forget = option_number(state, arg, 0, 1e7);
		return 0;
	case OPT_OPTIMISM:
		o->sim.optimism = option_number(state, arg, 0.01, 100);
		return 0;
	case OPT_PREDICT:
		i = option_choice(state, arg, predict);
		o->sim.output_told = i == 3;
		if (i < 3)
			sched->predict = (enum slo_predict)i;
		return 0;
	case OPT_COLD:
		sched->cold = (enum slo_cold)option_choice(state, arg, cold);
		return 0;
	case OPT_LATE:
		sched->late = (enum slo_late)option_choice(state, arg, late);
		return 0;
	case OPT_INFEASIBLE:
		sched->infeasible = (enum slo_infeasible)option_choice(state, arg, infeasible);
		return 0;
	case OPT_MAX_TOKENS:
		o->sim.max_output = (int64_t)option_number(state, arg, 1, 1e6);
		return 0;
	case OPT_QUEUE_TIMEOUT:
		if (strcmp(arg, "auto") == 0) {
			sched->queue_timeout_most = SCHED_HOLD_MOST;
			return 0;
		}
		v = option_number(state, arg, 0, 1e6);
		sched->queue_timeout = v > 0 ? llround(v * 1e9) : SLO_NEVER;
		return 0;
	case OPT_QUEUE_TIMEOUT_MAX:
		sched->queue_timeout_most = llround(option_number(state, arg, 30, 1e6) * 1e9);
		return 0;
	case OPT_MAXCONN:
		o->sim.maxconn = (uint32_t)option_number(state, arg, 1, 1e6);
		return 0;
	case OPT_PRIORITY:
		if (!sim_parse_priority(arg, &o->sim.priority, &o->sim.prioritized))
			argp_error(state, "%s: must be like 10:0.2", arg);
		return 0;
	case OPT_ERROR:
		o->sim.input_error = option_number(state, arg, 0, 5);
		return 0;
	default:
		return parse_agents(key, arg, state, o);
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'f':
		if (!sim_parse_fleet(arg, o->sim.types, &o->sim.type_count))
			argp_error(state, "%s: must be like a10=1,l20=4", arg);
		return 0;
	case 'w':
		parse_workloads(state, o, arg);
		return 0;
	case 'l':
		o->sim.load = option_number(state, arg, 1e-6, 1e6);
		return 0;
	case OPT_BURST:
		if (!workload_parse_burst(arg, &o->sim.burst))
			argp_error(state, "%s: must be like 3x30/150", arg);
		return 0;
	case 'm':
		o->sim.engine.model = arg;
		if (!engine_model_find(arg))
			argp_error(state, "%s: no such model", arg);
		return 0;
	case OPT_MODE:
		o->sim.engine.mode = option_mode(state, arg);
		return 0;
	case OPT_SLOW:
		if (o->sim.slow_count == SIM_SLOW_MAX ||
		    !sim_parse_slow(arg, &o->sim.slow[o->sim.slow_count++]))
			argp_error(state, "%s: must be like l20/2:0.5@180-400", arg);
		return 0;
	case OPT_CACHED:
		o->sim.cached = option_number(state, arg, 0, 0.99);
		return 0;
	case 't':
		o->sim.seconds = option_number(state, arg, 1, 1e7);
		return 0;
	case OPT_WARM_UP:
		o->warm_up = option_number(state, arg, 0, 1e7);
		return 0;
	case 's':
		o->seed = (uint64_t)option_number(state, arg, 0, 1e15);
		return 0;
	case OPT_RUNS:
		o->runs = (uint32_t)option_number(state, arg, 1, 1e6);
		return 0;
	case 'g':
		o->slo = option_slo(state, arg);
		return 0;
	case 'S':
		parse_strategies(state, o, arg);
		return 0;
	case OPT_JSON:
		o->json = arg;
		return 0;
	case OPT_DUMP:
		o->dump = arg;
		return 0;
	case OPT_WRITE_TRACE:
		o->trace = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->warm_up >= o->sim.seconds)
			argp_error(state, "--warm-up must be less than --seconds");
		return 0;
	default:
		return parse_router(key, arg, state, o);
	}
}

static bool run_one(const struct options *o, uint64_t seed, FILE *dump, json_t *runs)
{
	struct sim_result result;
	char error[WORKLOAD_ERROR];
	json_t *report;

	if (!sim_run(&o->sim, seed, o->warm_up, &result, error)) {
		fprintf(stderr, "slo-sim: %s: %s\n", o->sim.strategy->name, error);
		return false;
	}
	report = report_json(&o->sim, &result, &o->slo, o->warm_up, seed);
	if (dump)
		report_dump(dump, &o->sim, &result, &o->slo, o->warm_up, seed);
	sim_result_fini(&result);
	return report && json_array_append_new(runs, report) == 0;
}

static bool run_all(struct options *o, FILE *dump, FILE *table, json_t *all)
{
	if (table)
		report_table_head(table);
	for (size_t i = 0; i < o->strategy_count; i++) {
		json_t *runs = json_array();

		o->sim.strategy = o->strategies[i];
		for (uint32_t k = 0; k < o->runs; k++) {
			if (!run_one(o, o->seed + k, dump, runs)) {
				json_decref(runs);
				return false;
			}
		}
		if (table) {
			report_table_row(table, o->sim.strategy->name, runs);
			report_table_classes(table, runs);
		}
		json_array_extend(all, runs);
		json_decref(runs);
	}
	return true;
}

static bool write_json(const char *path, json_t *all)
{
	const size_t flags = JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9);
	bool ok = strcmp(path, "-") == 0 ? json_dumpf(all, stdout, flags) == 0 && puts("") >= 0
	                                 : json_dump_file(all, path, flags) == 0;

	if (!ok)
		fprintf(stderr, "slo-sim: %s: %s\n", path, strerror(errno));
	return ok;
}

static bool run(struct options *o)
{
	bool quiet = o->json && strcmp(o->json, "-") == 0, ok;
	json_t *all = json_array();
	FILE *dump = NULL;

	if (o->dump) {
		dump = fopen(o->dump, "we");
		if (!dump) {
			fprintf(stderr, "slo-sim: %s: %s\n", o->dump, strerror(errno));
			json_decref(all);
			return false;
		}
		report_dump_head(dump);
	}
	ok = run_all(o, dump, quiet ? NULL : stdout, all);
	if (dump && fclose(dump) != 0)
		ok = false;
	if (ok && o->json)
		ok = write_json(o->json, all);
	json_decref(all);
	return ok;
}

static bool write_trace(const struct options *o)
{
	const struct workload_plan plan = { .workloads = o->workloads,
		                            .count = o->sim.workload_count,
		                            .load = o->sim.load,
		                            .burst = o->sim.burst,
		                            .seconds = o->sim.seconds,
		                            .seed = o->seed };
	char error[WORKLOAD_ERROR];
	struct arrival *arrivals;
	size_t count;
	FILE *f;
	bool ok;

	if (!workload_draw(&plan, &arrivals, &count, error)) {
		fprintf(stderr, "slo-sim: %s\n", error);
		return false;
	}
	f = fopen(o->trace, "we");
	ok = f && workload_write(f, arrivals, count);
	if (f && fclose(f) != 0)
		ok = false;
	if (!ok)
		fprintf(stderr, "slo-sim: %s: %s\n", o->trace, strerror(errno));
	free(arrivals);
	return ok;
}

/* Without profiles the core would fall back to least-request, and nobody would see it. */
static bool needs_none(const struct options *o)
{
	for (size_t i = 0; i < o->strategy_count; i++) {
		if (o->strategies[i]->chooser != SIM_CORE || !policy_ranks(o->strategies[i]->core))
			continue;
		fprintf(stderr,
		        "slo-sim: %s needs profiles: slo-sim-profile -o DIR, then slo-sim -p DIR\n",
		        o->strategies[i]->name);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = option_list,
		.parser = parse_option,
		.doc = "Runs traffic through the scheduler of slo-spoa and simulated LLM servers, "
		       "and tells what each strategy made of the SLO. A rejected request has "
		       "missed its SLO.",
	};
	struct options o = {
		.sim = { .load = 1,
		         .seconds = 600,
		         .engine = { .model = "deepseek-coder-6.7b" },
		         .sched = sched_conf_default(),
		         .max_output = -1,
		         .optimism = 1,
		         .maxconn = 16,
		         .kv_factor = 1,
		         .agents = 1,
		         .delay = SLO_NSEC_PER_MSEC,
		         .turn = 3 * SLO_NSEC_PER_MSEC },
		.slo = { .kind = GOAL_TPAT, .per_token = 0.05 },
		.seed = 1,
		.runs = 1,
		.warm_up = 60,
	};
	struct slo_profile_doc *docs[SIM_TYPES_MAX] = { NULL };
	char error[WORKLOAD_ERROR];
	bool ok;

	o.sim.workloads = o.workloads;
	o.sim.workload_count = workload_parse("sharegpt-pub:7@a10,bird:4@l20", o.workloads, error);
	(void)sim_parse_fleet("a10=1,l20=4", o.sim.types, &o.sim.type_count);
	for (const struct sim_strategy *s = sim_strategies; s->name; s++)
		o.strategies[o.strategy_count++] = s;
	argp_parse(&parser, argc, argv, 0, NULL, &o);
	if (o.trace)
		return write_trace(&o) ? EXIT_SUCCESS : EXIT_FAILURE;
	o.sim.learned = o.profiles && strcmp(o.profiles, "learned") == 0;
	if (o.sim.learned)
		ok = true;
	else if (o.profiles)
		ok = files_profiles(o.profiles, o.headroom, &o.sim, docs);
	else
		ok = needs_none(&o);
	o.sim.slo = o.slo;
	ok = ok && run(&o);
	for (size_t t = 0; t < SIM_TYPES_MAX; t++)
		profdoc_free(docs[t]);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
