/* slo-sim-profile: profiles of simulated GPUs, measured as one would measure a real server: rates
 * are swept for every size of request until the SLO breaks. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "files.h"
#include "measure.h"
#include "options.h"
#include "report.h"

#define LIST_MAX  16
#define CELLS_MAX (LIST_MAX * LIST_MAX)

enum {
	OPT_MODE = 256,
	OPT_PERCENTILE,
	OPT_HEADROOM,
	OPT_RUNS,
	OPT_STEPS,
	OPT_CREATED,
	OPT_INPUTS,
	OPT_OUTPUTS
};

struct list {
	double v[LIST_MAX];
	size_t n;
};

struct options {
	struct measure_conf measure;
	char gpus[128];
	struct list inputs, outputs, headrooms;
	const char *slo; /* as written */
	double percentile, created;
	const char *dir;
	bool verbose;
};

static const struct argp_option option_list[] = {
	{ "gpus", 'g', "LIST", 0, "types of GPU (a10,l20)", 0 },
	{ "model", 'm', "NAME", 0, "of the engines (deepseek-coder-6.7b)", 0 },
	{ "mode", OPT_MODE, "MODE", 0, "of the engines: prefill-first (default), chunked", 0 },
	{ "slo", 'G', "KIND=S", 0, "tpat, e2e, ttft, tpot (tpat=0.05)", 0 },
	{ "percentile", OPT_PERCENTILE, "P", 0, "of the requests that keep it (99)", 0 },
	{ "headroom", OPT_HEADROOM, "LIST", 0,
	  "measure at that share of the highest rate (1); several make DIR/hNN/ of each", 0 },
	{ "inputs", OPT_INPUTS, "LIST", 0, "prompt tokens (64,128,...,8192)", 0 },
	{ "outputs", OPT_OUTPUTS, "LIST", 0, "output tokens (4,8,...,1024)", 0 },
	{ "runs", OPT_RUNS, "N", 0, "seeds of each rate (3)", 0 },
	{ "steps", OPT_STEPS, "N", 0, "rates between one and its double (4)", 0 },
	{ "seed", 's', "N", 0, "(1)", 0 },
	{ "created", OPT_CREATED, "T", 0, "Unix seconds to write into the profile (now)", 0 },
	{ "output", 'o', "DIR", 0, "write DIR/MODEL/GPU.json (profiles)", 0 },
	{ "verbose", 'v', NULL, 0, "print the requests in flight of each cell", 0 },
	{ 0 },
};

static void parse_list(struct argp_state *state, const char *arg, double least, double most,
                       struct list *out)
{
	out->n = 0;
	for (const char *p = arg; *p != '\0';) {
		size_t len = strcspn(p, ",");
		char item[32];

		if (out->n == LIST_MAX || len >= sizeof(item))
			argp_error(state, "%s: too many or too long", arg);
		memcpy(item, p, len);
		item[len] = '\0';
		out->v[out->n++] = option_number(state, item, least, most);
		p += len + (p[len] == ',');
	}
	if (out->n == 0)
		argp_error(state, "a list is empty");
}

static void parse_axis(struct argp_state *state, const char *arg, struct list *out)
{
	parse_list(state, arg, 1, 1e6, out);
	for (size_t i = 1; i < out->n; i++)
		if (!(out->v[i] > out->v[i - 1]))
			argp_error(state, "%s: must ascend", arg);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'g':
		snprintf(o->gpus, sizeof(o->gpus), "%s", arg);
		return 0;
	case 'm':
		o->measure.engine.model = arg;
		return 0;
	case OPT_MODE:
		o->measure.engine.mode = option_mode(state, arg);
		return 0;
	case 'G':
		o->slo = arg;
		o->measure.slo = option_slo(state, arg);
		return 0;
	case OPT_PERCENTILE:
		o->percentile = option_number(state, arg, 1, 100);
		o->measure.share = o->percentile / 100;
		return 0;
	case OPT_HEADROOM:
		parse_list(state, arg, 0.01, 1, &o->headrooms);
		return 0;
	case OPT_INPUTS:
		parse_axis(state, arg, &o->inputs);
		return 0;
	case OPT_OUTPUTS:
		parse_axis(state, arg, &o->outputs);
		return 0;
	case OPT_RUNS:
		o->measure.runs = (uint32_t)option_number(state, arg, 1, 1000);
		return 0;
	case OPT_STEPS:
		o->measure.per_octave = (uint32_t)option_number(state, arg, 1, 64);
		return 0;
	case 's':
		o->measure.seed = (uint64_t)option_number(state, arg, 0, 1e15);
		return 0;
	case OPT_CREATED:
		o->created = option_number(state, arg, 0, 1e11);
		return 0;
	case 'o':
		o->dir = arg;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* One profile: points[output][input], row-major. */
struct table {
	const struct options *o;
	const char *gpu;
	struct measure_point points[CELLS_MAX];
};

static bool complain(const char *path, const char *what)
{
	fprintf(stderr, "slo-sim-profile: %s: %s\n", path, what);
	return false;
}

static bool measure_all(struct table *t)
{
	const struct options *o = t->o;
	struct measure_conf conf = o->measure;

	conf.engine.gpu = t->gpu;
	for (size_t r = 0; r < o->outputs.n; r++) {
		for (size_t c = 0; c < o->inputs.n; c++) {
			if (!measure_highest(&conf, (uint32_t)o->inputs.v[c],
			                     (uint32_t)o->outputs.v[r],
			                     &t->points[r * o->inputs.n + c]))
				return complain(t->gpu,
				                "unknown, too small for this model or for a "
				                "size, or out of memory");
		}
	}
	return true;
}

/* The same cells at a share of the highest rate. */
static bool with_headroom(const struct table *highest, double headroom, struct table *out)
{
	const struct options *o = highest->o;
	struct measure_conf conf = o->measure;

	conf.engine.gpu = highest->gpu;
	*out = *highest;
	for (size_t i = 0; headroom < 1 && i < o->outputs.n * o->inputs.n; i++) {
		const struct measure_point *p = &highest->points[i];

		if (!p->passes)
			continue;
		if (!measure_rate(&conf, (uint32_t)o->inputs.v[i % o->inputs.n],
		                  (uint32_t)o->outputs.v[i / o->inputs.n], p->rate * headroom,
		                  &out->points[i]))
			return complain(out->gpu, "out of memory");
		/* A lower rate passes by the rule, whatever noise says. */
		out->points[i].passes = true;
	}
	return true;
}

/* JSON, a row to a line */

static double tput_of(const struct measure_point *p)
{
	return p->passes ? p->rate : 0;
}
static double e2e_of(const struct measure_point *p)
{
	return p->e2e;
}
static double ttft_of(const struct measure_point *p)
{
	return p->ttft;
}
static double tpot_of(const struct measure_point *p)
{
	return p->tpot;
}

static void put_table(FILE *f, const struct table *t, const char *name,
                      double (*value)(const struct measure_point *))
{
	size_t rows = t->o->outputs.n, cols = t->o->inputs.n;

	fprintf(f, "  \"%s\": [\n", name);
	for (size_t r = 0; r < rows; r++) {
		for (size_t c = 0; c < cols; c++)
			fprintf(f, "%s%.5g", c ? ", " : "    [", value(&t->points[r * cols + c]));
		fprintf(f, "]%s\n", r + 1 < rows ? "," : "");
	}
	fputs("  ],\n", f);
}

static void put_axis(FILE *f, const struct list *l, const char *end)
{
	for (size_t i = 0; i < l->n; i++)
		fprintf(f, "%s%.0f", i ? ", " : "[", l->v[i]);
	fprintf(f, "]%s", end);
}

static void put_profile(FILE *f, const struct table *t)
{
	const struct options *o = t->o;

	fprintf(f, "{\n  \"gpu\": \"%s\",\n  \"cost\": %.6g,\n", t->gpu,
	        engine_gpu_find(t->gpu)->cost);
	put_table(f, t, "tputs", tput_of);
	fputs("  \"indexes\": [", f);
	put_axis(f, &o->outputs, ", ");
	put_axis(f, &o->inputs, "],\n");
	put_table(f, t, "e2e", e2e_of);
	put_table(f, t, "ttft", ttft_of);
	put_table(f, t, "tpot", tpot_of);
	fprintf(f, "  \"created\": %.1f,\n  \"slos\": {\"percentile\": %g, \"%.*s\": %s}\n}\n",
	        o->created, o->percentile, (int)strcspn(o->slo, "="), o->slo,
	        o->slo + strcspn(o->slo, "=") + 1);
}

/* Folders above path, as far as they are missing. */
static bool make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0777) != 0 && errno != EEXIST)
			return complain(path, strerror(errno));
		*p = '/';
	}
	return true;
}

static bool write_profile(const struct table *t, double headroom, char path[PATH_MAX])
{
	const struct options *o = t->o;
	FILE *f;

	if (!files_profile_path(o->dir, o->headrooms.n > 1 ? headroom : 0, o->measure.engine.model,
	                        t->gpu, path, PATH_MAX))
		return complain(o->dir, "no path of a profile");
	if (!make_folders(path))
		return false;
	f = fopen(path, "we");
	if (!f)
		return complain(path, strerror(errno));
	put_profile(f, t);
	if (ferror(f) | fclose(f))
		return complain(path, "could not be written");
	return true;
}

/* What the products throughput x latency say: the requests a server holds at load 1. */
static void tell(const struct table *t, const char *path, double headroom)
{
	const struct options *o = t->o;
	double kv = (double)engine_kv_limit(engine_gpu_find(t->gpu),
	                                    engine_model_find(o->measure.engine.model));
	size_t zero = 0, alone = 0, queueing = 0;

	for (size_t i = 0; i < o->outputs.n * o->inputs.n; i++) {
		double input = o->inputs.v[i % o->inputs.n], output = o->outputs.v[i / o->inputs.n];
		double flight = tput_of(&t->points[i]) * t->points[i].e2e;

		zero += !t->points[i].passes;
		alone += t->points[i].passes && flight < 1;
		queueing += flight * (input + output / 2) > kv;
		if (o->verbose)
			printf("%9.2f%s", flight, (i + 1) % o->inputs.n ? "" : "\n");
	}
	printf("%s: headroom %g, %zu cells; %zu miss the SLO at any rate, %zu hold less than one "
	       "request, %zu more than the KV cache runs at once\n",
	       path, headroom, o->outputs.n * o->inputs.n, zero, alone, queueing);
}

static bool profile_gpu(const struct options *o, const char *gpu)
{
	static struct table highest, shown;
	char path[PATH_MAX];

	highest = (struct table){ .o = o, .gpu = gpu };
	if (!measure_all(&highest))
		return false;
	for (size_t i = 0; i < o->headrooms.n; i++) {
		if (!with_headroom(&highest, o->headrooms.v[i], &shown) ||
		    !write_profile(&shown, o->headrooms.v[i], path))
			return false;
		tell(&shown, path, o->headrooms.v[i]);
	}
	return true;
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = option_list,
		.parser = parse_option,
		.doc = "Measures simulated LLM servers, one cell of request sizes after the other, "
		       "and writes the profiles that slo-spoa routes by, in AIBrix's format.",
	};
	struct options o = {
		.measure = { .engine = { .model = "deepseek-coder-6.7b" },
		             .slo = { .kind = GOAL_TPAT, .per_token = 0.05 },
		             .share = 0.99,
		             .runs = 3,
		             .per_octave = 4,
		             .seed = 1 },
		.gpus = "a10,l20",
		.inputs = { { 64, 128, 256, 512, 1024, 2048, 4096, 8192 }, 8 },
		.outputs = { { 4, 8, 16, 32, 64, 128, 256, 512, 1024 }, 9 },
		.headrooms = { { 1 }, 1 },
		.slo = "tpat=0.05",
		.percentile = 99,
		.created = (double)time(NULL),
		.dir = "profiles",
	};
	char *rest = NULL;

	argp_parse(&parser, argc, argv, 0, NULL, &o);
	for (char *gpu = strtok_r(o.gpus, ",", &rest); gpu; gpu = strtok_r(NULL, ",", &rest))
		if (!profile_gpu(&o, gpu))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
