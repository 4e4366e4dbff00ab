/* slo-profile import: benchmarks of any tool to one profile. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cells.h"
#include "commands.h"
#include "io/base/file.h"
#include "wire/profdoc.h"

static bool read_file(struct bench_series *s, const char *file)
{
	struct doc_error err;
	char line[1024];
	size_t len;
	char *text = file_read(file, BENCH_TEXT_MAX, &len);
	slo_err code;

	if (!text) {
		complain(file, file_why(errno));
		return false;
	}
	code = bench_read(s, file, text, len, &err);
	free(text);
	if (code == SLO_OK)
		return true;
	if (code == SLO_ENOMEM) {
		complain(file, "out of memory");
		return false;
	}
	err.file = file;
	doc_error_format(&err, line, sizeof(line));
	fprintf(stderr, "slo-profile: %s\n", line);
	return false;
}

static void tell_fit(const struct bench_series *s, const struct bench_fit *f)
{
	const struct latency_rates *r = &f->rates;

	fprintf(stderr,
	        "fit: a step takes %.3g ms, a prompt token %.3g ms, a cached token %.3g us; of %zu "
	        "points the median is off by %.0f %%, the worst by %.0f %%\n",
	        r->step * 1e3, r->prompt * 1e3, r->cached * 1e6, f->used, f->error * 100,
	        f->error_most * 100);
	if (isnan(f->held_out))
		fprintf(stderr, "fit: too few points to leave some out and predict them; the rates "
		                "lean on those of usual servers\n");
	else
		fprintf(stderr,
		        "fit: points that were left out of it are predicted within %.0f %% "
		        "(median)\n",
		        f->held_out * 100);
	if (f->waited > 0 && f->used < s->count)
		fprintf(stderr,
		        "fit: %zu points are left out: requests waited inside the engine for their "
		        "first token, or nothing tells how many ran at once\n",
		        f->waited);
	else if (f->waited > 0)
		fprintf(stderr,
		        "warning: in all points requests waited inside the engine for their "
		        "first token, so the server looks slower than it is; measure at "
		        "lower rates too\n");
	if (!r->kv_told)
		fprintf(stderr,
		        "note: nobody told the size of the KV cache (--kv-tokens); %.0f tokens are "
		        "taken, the most that were there\n",
		        r->kv);
	if (!f->tail_known)
		fprintf(stderr,
		        "note: no 99th percentile of e2e is told; the mean may use %.0f %% of the "
		        "target\n",
		        r->headroom * 100);
}

static void tell_cells(const struct cells_count *n, const struct slo_profile_doc *doc)
{
	fprintf(stderr,
	        "cells: %zu, of them %zu measured (%zu kept as they were), %zu filled by the fit",
	        doc->rows * doc->cols, n->measured, n->kept, n->filled);
	if (n->alone > 0)
		fprintf(stderr, "; %zu miss the target even alone and have throughput 0", n->alone);
	fputs(".\n", stderr);
	if (n->dropped > 0)
		fprintf(stderr,
		        "note: %zu indexes are left out, more than an octave from what was "
		        "measured\n",
		        n->dropped);
}

/* Reads back what is to be written: nobody gets a profile that slo-spoa refuses. */
static bool check_text(const char *text, size_t len, const char *path)
{
	struct slo_profile_doc *doc;
	struct doc_error err;
	char line[1024];

	if (profdoc_parse(text, len, &doc, &err) == SLO_OK) {
		print_findings(path ? path : "profile", doc, 0);
		profdoc_free(doc);
		return true;
	}
	doc_error_format(&err, line, sizeof(line));
	fprintf(stderr, "slo-profile: no profile can be made of these numbers: %s\n", line);
	return false;
}

static bool write_out(const struct profile_options *opt, const struct slo_profile_doc *doc,
                      const struct bench_fit *fit)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool ok;

	if (!out)
		return complain("profile", "out of memory") == EXIT_SUCCESS;
	cells_write(out, doc, fit);
	ok = fclose(out) == 0;
	if (!ok)
		complain("profile", "out of memory");
	if (ok && check_text(text, len, opt->output)) {
		ok = save_text(opt->output, text, len);
		/* What was measured took minutes of a server. */
		if (!ok && opt->url && save_text(NULL, text, len))
			complain(opt->output, "not written; the profile is on standard output");
	} else
		ok = false;
	free(text);
	return ok;
}

bool write_profile(const struct profile_options *opt, const struct bench_series *s,
                   const struct bench_fit *fit)
{
	struct slo_profile_doc *doc;
	struct cells_count count;
	bool ok;

	doc = cells_make(s, fit, &opt->goal, &count);
	if (!doc)
		return complain("cells", "out of memory") == EXIT_SUCCESS;
	doc->created = opt->now;
	if (!isnan(opt->cost))
		doc->cost = opt->cost;
	if (opt->gpu)
		snprintf(doc->gpu, sizeof(doc->gpu), "%s", opt->gpu);
	tell_fit(s, fit);
	tell_cells(&count, doc);
	ok = write_out(opt, doc, fit);
	profdoc_free(doc);
	return ok;
}

int command_import(const struct profile_options *opt, char **files, int count)
{
	struct bench_series s;
	struct bench_fit fit;
	bool ok = true;

	bench_init(&s);
	for (int i = 0; ok && i < count; i++)
		ok = read_file(&s, files[i]);
	for (size_t i = 0; ok && i < s.notes; i++)
		fprintf(stderr, "note: %s\n", s.note[i]);
	if (ok && !bench_fit(&s, opt->kv, &fit))
		ok = complain("fit", "out of memory") == EXIT_SUCCESS;
	ok = ok && write_profile(opt, &s, &fit);
	bench_free(&s);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
