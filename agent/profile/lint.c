/* slo-profile lint: what is wrong in a profile, or probably so. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "commands.h"
#include "wire/profdoc.h"
#include "wire/profile_check.h"

#define FALLS 0.9 /* times: a longer request that takes less than that of a shorter one */

struct place {
	const struct slo_profile_doc *doc;
	size_t count, first; /* cells that are concerned, and the first of them */
};

static void hit(struct place *p, size_t cell)
{
	p->first = p->count++ ? p->first : cell;
}

static size_t cells(const struct slo_profile_doc *doc)
{
	return doc->rows * doc->cols;
}

/* Says it once, with the first cell. */
__attribute__((format(printf, 4, 5))) static size_t tell(const char *file, const struct place *p,
                                                         const char *code, const char *format, ...)
{
	va_list args;

	if (p->count == 0)
		return 0;
	fprintf(stderr, "%s: %s: in %zu of %zu cells, the first at output %g, input %g: ", file,
	        code, p->count, cells(p->doc), p->doc->output_axis[p->first / p->doc->cols],
	        p->doc->input_axis[p->first % p->doc->cols]);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
	return 1;
}

static size_t check_data(const char *file, const struct slo_profile_doc *doc)
{
	struct place none = { .doc = doc }, zero = { .doc = doc };

	for (size_t i = 0; i < cells(doc); i++) {
		if (doc->e2e && !isfinite(doc->e2e[i]))
			hit(&none, i);
		else if (!(doc->tputs[i] > 0))
			hit(&zero, i);
	}
	return tell(file, &none, "profile-no-data",
	            "the latency is NaN, so requests of that size are placed without it; "
	            "slo-profile import fills such cells") +
	       tell(file, &zero, "profile-zero",
	            "the throughput is 0: requests of that size are said to miss their target on "
	            "these servers");
}

static size_t check_flight(const char *file, const struct slo_profile_doc *doc, double kv)
{
	struct place beyond = { .doc = doc }, less = { .doc = doc };

	for (size_t i = 0; doc->e2e && i < cells(doc); i++) {
		double input = doc->input_axis[i % doc->cols];
		double output = doc->output_axis[i / doc->cols];
		double flight = doc->tputs[i] * doc->e2e[i];

		if (kv > 0 && flight > 1 && flight * (input + output / 2) > kv)
			hit(&beyond, i);
		if (flight > 0 && flight < 0.9)
			hit(&less, i);
	}
	return tell(file, &beyond, "profile-beyond-kv",
	            "throughput x latency are more tokens than the %.0f of the KV cache: these "
	            "requests waited inside the engine",
	            kv) +
	       tell(file, &less, "profile-below-one",
	            "throughput x latency is less than one request at once: the server was idle "
	            "at times, and can do more");
}

static size_t check_growth(const char *file, const struct slo_profile_doc *doc)
{
	struct place falls = { .doc = doc };

	for (size_t i = doc->cols; doc->e2e && i < cells(doc); i++) {
		double flight = doc->tputs[i] * doc->e2e[i];
		size_t shorter = i - doc->cols;

		/* With fewer at once a longer answer may well end sooner. */
		if (doc->e2e[i] < FALLS * doc->e2e[shorter] &&
		    flight >= doc->tputs[shorter] * doc->e2e[shorter])
			hit(&falls, i);
	}
	return tell(file, &falls, "profile-contradiction",
	            "a longer answer takes less time than a shorter one, though no fewer requests "
	            "run at once");
}

/* Whether an integer has this index as its nearest in log2. */
static bool is_reached(const double *axis, size_t n, size_t i)
{
	double from = i > 0 ? sqrt(axis[i - 1] * axis[i]) : 0;
	double to = i + 1 < n ? sqrt(axis[i] * axis[i + 1]) : INFINITY;

	return fmax(ceil(from), 1) < to;
}

static size_t check_axis(const char *file, const char *name, const double *axis, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_reached(axis, n, i))
			continue;
		fprintf(stderr,
		        "%s: profile-unreachable: %s index %g is not the nearest of any size, so "
		        "no request reaches its cells\n",
		        file, name, axis[i]);
		found++;
	}
	return found;
}

size_t print_findings(const char *file, const struct slo_profile_doc *doc, double kv)
{
	struct profile_finding found[PROFILE_FINDINGS_MAX];
	size_t n = profile_check(doc, false, found);

	fflush(stdout);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s: %s: %s\n", file, found[i].code, found[i].text);
	n += check_data(file, doc);
	n += check_flight(file, doc, kv);
	n += check_growth(file, doc);
	n += check_axis(file, "output", doc->output_axis, doc->rows);
	n += check_axis(file, "input", doc->input_axis, doc->cols);
	return n;
}

int command_lint(const struct profile_options *opt, const char *file)
{
	double kv = opt->kv;
	struct slo_profile_doc *doc = load_profile(file, &kv);
	size_t n;

	if (!doc)
		return EXIT_FAILURE;
	n = print_findings(file, doc, kv);
	profdoc_free(doc);
	if (n == 0)
		printf("%s: nothing is wrong\n", file);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
