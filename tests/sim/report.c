#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double seconds_of(slo_nsec t)
{
	return (double)t / 1e9;
}

bool report_parse_slo(const char *text, struct goal *out)
{
	static const struct {
		const char *name;
		enum goal_kind kind;
	} kinds[] = {
		{ "tpat=", GOAL_TPAT },
		{ "e2e=", GOAL_E2E },
		{ "ttft=", GOAL_TTFT },
		{ "tpot=", GOAL_TPOT },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].name);
		double v;
		char *end;

		if (strncmp(text, kinds[i].name, len) != 0)
			continue;
		v = strtod(text + len, &end);
		if (end == text + len || *end != '\0' || !(v > 0 && v < 1e6))
			return false;
		*out = (struct goal){ .kind = kinds[i].kind, .per_token = v, .fixed = v };
		if (kinds[i].kind == GOAL_TPOT)
			out->fixed = 0;
		return true;
	}
	return false;
}

bool report_met(const struct goal *slo, const struct sim_request *r)
{
	slo_nsec span = (slo->kind == GOAL_TTFT ? r->first : r->last) - r->arrival.t;

	return r->end == SIM_SERVED && span <= goal_span(slo, r->arrival.input, r->arrival.output);
}

double report_tpat(const struct sim_request *r)
{
	return seconds_of(r->last - r->arrival.t) / ((double)r->arrival.input + r->arrival.output);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double rank_of(const double *sorted, size_t n, double share)
{
	size_t rank = (size_t)ceil(share * (double)n);

	return n ? sorted[rank > 0 ? rank - 1 : 0] : 0;
}

static struct percentiles percentiles_of(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return (struct percentiles){ rank_of(v, n, 0.5), rank_of(v, n, 0.9), rank_of(v, n, 0.99) };
}

static bool counts(const struct report_filter *f, const struct sim_request *r)
{
	return r->arrival.t >= f->from && r->arrival.t <= f->until &&
	       (f->workload < 0 || r->arrival.workload == (uint32_t)f->workload) &&
	       (!f->classed || r->priority == f->priority) &&
	       (f->type < 0 || (r->end != SIM_REJECTED && r->type == (uint32_t)f->type));
}

static void count(const struct sim_request *r, const struct goal *slo, struct report_group *g)
{
	g->offered++;
	g->served += r->end == SIM_SERVED;
	g->rejected += r->end == SIM_REJECTED;
	g->refused += r->end == SIM_REFUSED;
	g->met += report_met(slo, r);
	g->waited += r->waited > 0;
}

bool report_group(const struct sim_result *run, const struct goal *slo,
                  const struct report_filter *filter, struct report_group *out)
{
	size_t n = 0, most = run->count + 1;
	double *v = calloc(4 * most, sizeof(*v));
	double *tpat = v, *ttft, *e2e, *wait;

	if (!v)
		return false;
	ttft = v + most;
	e2e = v + 2 * most;
	wait = v + 3 * most;
	*out = (struct report_group){ 0 };
	for (size_t i = 0; i < run->count; i++) {
		const struct sim_request *r = &run->requests[i];

		if (!counts(filter, r))
			continue;
		count(r, slo, out);
		if (r->end != SIM_SERVED)
			continue;
		tpat[n] = report_tpat(r);
		ttft[n] = seconds_of(r->first - r->arrival.t);
		e2e[n] = seconds_of(r->last - r->arrival.t);
		wait[n++] = seconds_of(r->waited);
	}
	out->tpat = percentiles_of(tpat, n);
	out->ttft = percentiles_of(ttft, n);
	out->e2e = percentiles_of(e2e, n);
	out->wait = percentiles_of(wait, n);
	free(v);
	return true;
}

double report_cost(const struct sim_result *run, size_t met, double seconds)
{
	double an_hour = 0;

	for (size_t t = 0; t < run->type_count; t++)
		an_hour += run->types[t].servers * engine_gpu_find(run->types[t].gpu)->cost;
	return met ? an_hour * seconds / 3600 * 1000 / (double)met : INFINITY;
}

/* JSON */

static json_t *percentiles_json(const struct percentiles *p)
{
	return json_pack("{s:f, s:f, s:f}", "p50", p->p50, "p90", p->p90, "p99", p->p99);
}

static json_t *group_json(const struct report_group *g, double seconds)
{
	double offered = g->offered ? (double)g->offered : 1;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o}", "offered",
	                 (json_int_t)g->offered, "served", (json_int_t)g->served, "rejected",
	                 (json_int_t)g->rejected, "refused", (json_int_t)g->refused, "met",
	                 (json_int_t)g->met, "waited", (json_int_t)g->waited, "met_percent",
	                 100.0 * (double)g->met / offered, "goodput", (double)g->met / seconds,
	                 "tpat", percentiles_json(&g->tpat), "ttft", percentiles_json(&g->ttft),
	                 "e2e", percentiles_json(&g->e2e), "wait", percentiles_json(&g->wait));
}

static json_t *group_of(const struct sim_conf *conf, const struct sim_result *run,
                        const struct goal *slo, double from, int workload, int type)
{
	const struct report_filter filter = { .from = llround(from * 1e9),
		                              .until = llround(conf->seconds * 1e9),
		                              .workload = workload,
		                              .type = type };
	struct report_group g;

	return report_group(run, slo, &filter, &g) ? group_json(&g, conf->seconds - from) : NULL;
}

static json_t *workloads_json(const struct sim_conf *conf, const struct sim_result *run,
                              const struct goal *slo, double from)
{
	json_t *all = json_object();

	for (size_t w = 0; w < conf->workload_count; w++) {
		json_t *one = group_of(conf, run, slo, from, (int)w, -1), *on = json_object();

		for (size_t t = 0; t < run->type_count; t++)
			json_object_set_new(on, run->types[t].gpu,
			                    group_of(conf, run, slo, from, (int)w, (int)t));
		json_object_set_new(one, "on", on);
		json_object_set_new(all, conf->workloads[w].name, one);
	}
	return all;
}

/* By priority; null: all have the same. */
static json_t *classes_json(const struct sim_conf *conf, const struct sim_result *run,
                            const struct goal *slo, double from)
{
	const int32_t priority[] = { conf->priority, 0 };
	json_t *all = json_object();

	if (!(conf->prioritized > 0)) {
		json_decref(all);
		return json_null();
	}
	for (int i = 0; i < 2; i++) {
		const struct report_filter filter = { .from = llround(from * 1e9),
			                              .until = llround(conf->seconds * 1e9),
			                              .workload = -1,
			                              .type = -1,
			                              .classed = true,
			                              .priority = priority[i] };
		struct report_group g;
		char name[16];

		snprintf(name, sizeof(name), "%d", priority[i]);
		if (report_group(run, slo, &filter, &g))
			json_object_set_new(all, name, group_json(&g, conf->seconds - from));
	}
	return all;
}

/* Null where nothing was learned. */
static json_t *learned_json(const struct latency_learner *l)
{
	const struct latency_rates *r = &l->force.rates;

	if (l->ends == 0)
		return json_null();
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "step", r->step, "prompt", r->prompt,
	                 "cached", r->cached, "kv", r->kv, "headroom", r->headroom);
}

static json_t *types_json(const struct sim_result *run)
{
	json_t *all = json_object();

	for (size_t t = 0; t < run->type_count; t++) {
		const struct sim_usage *u = &run->usage[t];

		json_object_set_new(all, run->types[t].gpu,
		                    json_pack("{s:i, s:f, s:f, s:f, s:f, s:o}", "servers",
		                              (int)run->types[t].servers, "busy", u->busy, "load",
		                              u->load, "kv", u->kv, "idle", u->idle, "learned",
		                              learned_json(&run->learned[t])));
	}
	return all;
}

/* When the last request arrived that missed its SLO, in seconds; 0: none did. */
static double missed_last(const struct sim_conf *conf, const struct sim_result *run,
                          const struct goal *slo)
{
	double last = 0;

	for (size_t i = 0; i < run->count; i++)
		if (!report_met(slo, &run->requests[i]))
			last = fmax(last, seconds_of(run->requests[i].arrival.t));
	return fmin(last, conf->seconds);
}

json_t *report_json(const struct sim_conf *conf, const struct sim_result *run,
                    const struct goal *slo, double from, uint64_t seed)
{
	const struct report_filter everything = { .from = llround(from * 1e9),
		                                  .until = llround(conf->seconds * 1e9),
		                                  .workload = -1,
		                                  .type = -1 };
	double seconds = conf->seconds - from, cost;
	struct report_group g;

	if (!report_group(run, slo, &everything, &g))
		return NULL;
	cost = report_cost(run, g.met, seconds);
	return json_pack(
	    "{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:f, s:I, s:I, s:I}", "strategy",
	    conf->strategy->name, "seed", (json_int_t)seed, "all", group_json(&g, seconds),
	    "workloads", workloads_json(conf, run, slo, from), "classes",
	    classes_json(conf, run, slo, from), "types", types_json(run), "cost_per_1000_met",
	    isfinite(cost) ? json_real(cost) : json_null(), "evictions", (json_int_t)run->evictions,
	    "missed_last", missed_last(conf, run, slo), "routed", (json_int_t)run->routed,
	    "overshoots", (json_int_t)run->overshoots, "twice", (json_int_t)run->twice);
}

/* The table is made from the JSON, so that both say the same. */

static double at(const json_t *run, const char *part, const char *name, const char *field)
{
	const json_t *v = part ? json_object_get(run, part) : run;

	v = json_object_get(v, name);
	if (field)
		v = json_object_get(v, field);
	return json_number_value(v);
}

static double mean(const json_t *runs, const char *part, const char *name, const char *field)
{
	double sum = 0;
	size_t i;
	const json_t *run;

	json_array_foreach(runs, i, run) sum += at(run, part, name, field);
	return sum / (double)json_array_size(runs);
}

void report_table_head(FILE *f)
{
	fprintf(f, "%-15s %7s %23s %15s %7s %7s %7s %6s %6s %6s %6s  %s\n", "", "SLO met",
	        "s/token P50   P90   P99", "P99 of runs", "TTFT99", "E2E99", "good/s", "rej%",
	        "wait%", "wait99", "$/1000", "busy");
}

void report_table_row(FILE *f, const char *strategy, const json_t *runs)
{
	double least = INFINITY, most = 0, offered = mean(runs, "all", "offered", NULL);
	const json_t *run, *types = json_object_get(json_array_get(runs, 0), "types"), *type;
	const char *gpu;
	size_t i;

	json_array_foreach(runs, i, run)
	{
		double p99 = at(run, "all", "tpat", "p99");

		least = fmin(least, p99);
		most = fmax(most, p99);
	}
	fprintf(f,
	        "%-15s %6.2f%%       %.4f %.4f %.4f   %.4f-%.4f %7.2f %7.2f %7.2f %6.2f %6.1f "
	        "%6.2f %6.3f ",
	        strategy, mean(runs, "all", "met_percent", NULL), mean(runs, "all", "tpat", "p50"),
	        mean(runs, "all", "tpat", "p90"), mean(runs, "all", "tpat", "p99"), least, most,
	        mean(runs, "all", "ttft", "p99"), mean(runs, "all", "e2e", "p99"),
	        mean(runs, "all", "goodput", NULL),
	        100 * (mean(runs, "all", "rejected", NULL) + mean(runs, "all", "refused", NULL)) /
	            offered,
	        100 * mean(runs, "all", "waited", NULL) / offered, mean(runs, "all", "wait", "p99"),
	        mean(runs, NULL, "cost_per_1000_met", NULL));
	json_object_foreach((json_t *)types, gpu, type)
	{
		(void)type;
		fprintf(f, " %s %.0f%%", gpu, 100 * mean(runs, "types", gpu, "busy"));
	}
	putc('\n', f);
}

void report_table_classes(FILE *f, const json_t *runs)
{
	const json_t *first = json_object_get(json_array_get(runs, 0), "classes"), *class;
	const char *name;

	json_object_foreach((json_t *)first, name, class)
	{
		double offered = mean(runs, "classes", name, "offered");

		(void)class;
		fprintf(f, "  priority %-4s %6.2f%% of %.0f, %.2f%% refused\n", name,
		        100 * mean(runs, "classes", name, "met") / offered, offered,
		        100 *
		            (mean(runs, "classes", name, "rejected") +
		             mean(runs, "classes", name, "refused")) /
		            offered);
	}
}

/* CSV */

void report_dump_head(FILE *f)
{
	fputs("strategy,seed,t,workload,input,output,seen_input,seen_output,end,reason,gpu,server,"
	      "load,wait,ttft,e2e,tpat,met,ends,ratio\n",
	      f);
}

void report_dump(FILE *f, const struct sim_conf *conf, const struct sim_result *run,
                 const struct goal *slo, double from, uint64_t seed)
{
	static const char *const ends[] = { "served", "rejected", "refused" };

	for (size_t i = 0; i < run->count; i++) {
		const struct sim_request *r = &run->requests[i];
		bool served = r->end == SIM_SERVED, placed = r->end != SIM_REJECTED;

		if (r->arrival.t < llround(from * 1e9))
			continue;
		fprintf(f, "%s,%llu,%.6f,%s,%u,%u,%d,%d,%s,%s,%s,%u,%.6f,%.6f,",
		        conf->strategy->name, (unsigned long long)seed, seconds_of(r->arrival.t),
		        conf->workloads[r->arrival.workload].name, r->arrival.input,
		        r->arrival.output, r->input, r->output, ends[r->end],
		        sched_reason_name(r->reason), placed ? run->types[r->type].gpu : "",
		        placed ? r->server + 1 : 0, (double)r->load, seconds_of(r->waited));
		if (served)
			fprintf(f, "%.6f,%.6f,%.6f,", seconds_of(r->first - r->arrival.t),
			        seconds_of(r->last - r->arrival.t), report_tpat(r));
		else
			fputs(",,,", f);
		fprintf(f, "%d,%u,%.4f\n", report_met(slo, r), r->ends, (double)r->ratio);
	}
}
