#include "workload.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"

#define RATE_MAX     1e6
#define ARRIVALS_MAX ((size_t)1 << 26)
#define TOKENS_MAX   (1 << 24)

/* Fitted to public traces; tests/sim/README.md says which. 5.886 is ln 360, 3.611 ln 37. */
const struct workload_generator workload_generators[] = {
	{ "sharegpt-pub", { 5.886, 0.20, 8, 4096 }, { 3.611, 0.25, 2, 1024 }, 1, "narrow chat" },
	{ "sharegpt-aibrix",
	  { 5.49, 0.68, 8, 2400 },
	  { 3.59, 1.23, 1, 925 },
	  1,
	  "chat, long tail" },
	{ "sharegpt-vllm",
	  { 4.45, 1.5, 4, 1024 },
	  { 4.85, 1.05, 4, 1024 },
	  1,
	  "chat, long answers" },
	{ "bird", { 0, 0, 4000, 6200 }, { 0, 0, 32, 64 }, 1, "code from long prompts" },
	{ "bird-long", { 0, 0, 4000, 7000 }, { 0, 0, 32, 64 }, 1, "the same, longer" },
	{ "azure-conv", { 6.633, 0.985, 2, 14050 }, { 5.019, 0.859, 1, 1000 }, 1, "conversation" },
	{ "azure-code",
	  { 6.999, 1.360, 3, 7437 },
	  { 2.788, 0.847, 1, 1899 },
	  0.05,
	  "code, in bursts" },
	{ .name = NULL },
};

static bool complain(char error[WORKLOAD_ERROR], const char *what, const char *which)
{
	snprintf(error, WORKLOAD_ERROR, "%s: %s", which, what);
	return false;
}

static bool parse_number(const char *text, double most, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && *end == '\0' && *out > 0 && *out <= most;
}

/* Cuts text at c; what follows it, or NULL. */
static char *cut(char *text, char c)
{
	char *at = strrchr(text, c);

	if (at)
		*at++ = '\0';
	return at;
}

static bool fixed_size(const char *name, struct workload *w)
{
	unsigned input, output;
	char extra;

	if (sscanf(name, "%ux%u%c", &input, &output, &extra) != 2 || input == 0 || output == 0 ||
	    input > TOKENS_MAX || output > TOKENS_MAX)
		return false;
	w->input = (struct length_law){ .least = input, .most = input };
	w->output = (struct length_law){ .least = output, .most = output };
	w->shape = 1;
	return true;
}

static bool known_name(const char *name, struct workload *w)
{
	for (const struct workload_generator *g = workload_generators; g->name; g++) {
		if (strcmp(g->name, name) != 0)
			continue;
		w->input = g->input;
		w->output = g->output;
		w->shape = g->shape;
		return true;
	}
	return fixed_size(name, w);
}

/* item is NAME:RATE[~SHAPE] or trace:FILE by now. */
static bool parse_item(char *item, struct workload *w, char error[WORKLOAD_ERROR])
{
	char *shape, *rate;

	if (strncmp(item, "trace:", 6) == 0) {
		w->trace = true;
		snprintf(w->name, sizeof(w->name), "%s", item + 6);
		return w->name[0] != '\0' || complain(error, "names no file", "trace");
	}
	shape = cut(item, '~');
	rate = cut(item, ':');
	snprintf(w->name, sizeof(w->name), "%s", item);
	if (!rate || !parse_number(rate, RATE_MAX, &w->rate))
		return complain(error, "needs a rate, as in bird:4", w->name);
	if (!known_name(item, w))
		return complain(error, "no such workload", w->name);
	if (shape && !parse_number(shape, RATE_MAX, &w->shape))
		return complain(error, "the shape after ~ must be a number > 0", w->name);
	return true;
}

size_t workload_parse(const char *text, struct workload out[WORKLOADS_MAX],
                      char error[WORKLOAD_ERROR])
{
	size_t n = 0;

	for (const char *p = text; *p != '\0'; n++) {
		size_t len = strcspn(p, ",");
		char item[WORKLOAD_TEXT];
		const char *gpu;

		if (n == WORKLOADS_MAX || len == 0 || len >= sizeof(item)) {
			complain(error, "too many, too long or empty", "workloads");
			return 0;
		}
		memcpy(item, p, len);
		item[len] = '\0';
		p += len + (p[len] == ',');
		out[n] = (struct workload){ 0 };
		gpu = cut(item, '@');
		snprintf(out[n].gpu, sizeof(out[n].gpu), "%s", gpu ? gpu : "");
		if (!parse_item(item, &out[n], error))
			return 0;
	}
	if (n == 0)
		complain(error, "none given", "workloads");
	return n;
}

bool workload_parse_burst(const char *text, struct burst *out)
{
	char extra;

	return sscanf(text, "%lfx%lf/%lf%c", &out->factor, &out->seconds, &out->period, &extra) ==
	           3 &&
	       out->factor >= 1 && out->factor <= RATE_MAX && out->seconds > 0 &&
	       out->period >= out->seconds && out->period <= 1e9;
}

static uint32_t draw_length(struct rng *r, const struct length_law *law)
{
	double v;

	if (!(law->sigma > 0))
		return draw_between(r, law->least, law->most);
	v = round(draw_lognormal(r, law->mu, law->sigma));
	return v < law->least ? law->least : v > law->most ? law->most : (uint32_t)v;
}

/* The moment at which `work` more arrivals of rate 1 at normal times would have come. */
static double later(const struct burst *b, double t, double work)
{
	while (b->seconds > 0 && work > 0) {
		double at = fmod(t, b->period), calm = b->period - b->seconds;
		bool high = at >= calm;
		double left = (high ? b->period : calm) - at, rate = high ? b->factor : 1.0;

		if (work < left * rate)
			return t + work / rate;
		work -= left * rate;
		/* A step too small to move t would never end. */
		t = fmax(t + left, nextafter(t, INFINITY));
	}
	return t + work;
}

struct growing {
	struct arrival *p;
	size_t n, capacity;
};

static bool append(struct growing *g, const struct arrival *a)
{
	if (g->n == g->capacity) {
		size_t capacity = g->capacity ? g->capacity * 2 : 1024;
		struct arrival *p;

		if (capacity > ARRIVALS_MAX)
			return false;
		p = reallocarray(g->p, capacity, sizeof(*p));
		if (!p)
			return false;
		g->p = p;
		g->capacity = capacity;
	}
	g->p[g->n++] = *a;
	return true;
}

static bool draw_all(const struct workload_plan *plan, size_t which, struct growing *out,
                     char error[WORKLOAD_ERROR])
{
	const struct workload *w = &plan->workloads[which];
	struct rng gaps = draw_stream(plan->seed, 2 * which + 1);
	struct rng sizes = draw_stream(plan->seed, 2 * which + 2);
	double rate = w->rate * plan->load, t = 0;

	for (;;) {
		struct arrival a = { .workload = (uint32_t)which };

		t = later(&plan->burst, t, draw_gamma(&gaps, w->shape) / (w->shape * rate));
		if (t > plan->seconds)
			return true;
		a.t = llround(t * 1e9);
		a.input = draw_length(&sizes, &w->input);
		a.output = draw_length(&sizes, &w->output);
		if (!append(out, &a))
			return complain(error, "too many requests for the memory", w->name);
	}
}

static bool read_lines(FILE *f, const struct workload_plan *plan, size_t which, struct growing *out,
                       char error[WORKLOAD_ERROR])
{
	char line[256], where[WORKLOAD_TEXT + 32];
	double before = 0;

	for (unsigned long number = 1; fgets(line, sizeof(line), f); number++) {
		struct arrival a = { .workload = (uint32_t)which };
		unsigned input = 0, output = 0;
		char extra;
		double t = 0;
		int n = sscanf(line, "%lf,%u,%u %c", &t, &input, &output, &extra);

		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (n != 3 || !(t >= before) || !(t <= 1e9) || input == 0 || output == 0 ||
		    input > TOKENS_MAX || output > TOKENS_MAX) {
			snprintf(where, sizeof(where), "%s:%lu", plan->workloads[which].name,
			         number);
			return complain(error, "is not t,input,output in order of time", where);
		}
		before = t;
		if (t / plan->load > plan->seconds)
			return true;
		a.t = llround(t / plan->load * 1e9);
		a.input = input;
		a.output = output;
		if (!append(out, &a))
			return complain(error, "too many lines", plan->workloads[which].name);
	}
	return true;
}

static bool read_trace(const struct workload_plan *plan, size_t which, struct growing *out,
                       char error[WORKLOAD_ERROR])
{
	const char *path = plan->workloads[which].name;
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return complain(error, strerror(errno), path);
	ok = read_lines(f, plan, which, out, error);
	fclose(f);
	return ok;
}

static int by_time(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->t != y->t)
		return x->t < y->t ? -1 : 1;
	return x->workload < y->workload ? -1 : x->workload > y->workload;
}

bool workload_draw(const struct workload_plan *plan, struct arrival **out, size_t *count,
                   char error[WORKLOAD_ERROR])
{
	struct growing all = { 0 };

	for (size_t i = 0; i < plan->count; i++) {
		if (!(plan->workloads[i].trace ? read_trace : draw_all)(plan, i, &all, error)) {
			free(all.p);
			return false;
		}
	}
	if (all.n == 0) {
		free(all.p);
		return complain(error, "nothing arrives", "workloads");
	}
	/* qsort() need not be stable: two of one workload at the same time are as drawn anyway. */
	qsort(all.p, all.n, sizeof(*all.p), by_time);
	*out = all.p;
	*count = all.n;
	return true;
}

bool workload_write(FILE *f, const struct arrival *arrivals, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct arrival *a = &arrivals[i];

		if (fprintf(f, "%.9f,%u,%u\n", (double)a->t / 1e9, a->input, a->output) < 0)
			return false;
	}
	return true;
}
