/* A profile as a benchmark: each cell that has data is a run at its throughput. */
#include <math.h>
#include <stdio.h>

#include "bench_private.h"
#include "wire/profdoc.h"

static bool add_cell(struct reader *r, struct bench_series *s, const struct slo_profile_doc *doc,
                     size_t i)
{
	double tput = doc->tputs[i], e2e = doc->e2e[i];
	struct bench_run run = {
		.input = doc->input_axis[i % doc->cols],
		.output = doc->output_axis[i / doc->cols],
		.rate = tput,
		.e2e = e2e,
		.ttft = doc->ttft ? doc->ttft[i] : NAN,
		.tail = NAN,
		.requests = 1,
	};

	if (!isfinite(e2e) || !(e2e > 0))
		return false;
	run.ttft = bench_ttft(s, run.ttft, e2e);
	/* Throughput 0: the target was missed even at the lowest rate, whichever that was. */
	if (!(tput > 0))
		run.rate = 1 / e2e;
	if (!bench_add_run(r, s, &run))
		return false;
	s->point[s->count - 1].loaded = tput > 0;
	return true;
}

void bench_read_profile(struct reader *r, const struct node *root, struct bench_series *s)
{
	struct slo_profile_doc *doc = profdoc_read(r, root);
	size_t good = 0;

	if (!doc)
		return;
	profdoc_free(s->profile);
	s->profile = doc;
	snprintf(s->gpu, sizeof(s->gpu), "%s", doc->gpu);
	if (!doc->e2e) {
		struct node n = node_member_any_case(root, "e2e");

		reader_fail(r, &n, JSONPOS_VALUE,
		            "is missing: without it nothing can be said of other cells");
		return;
	}
	for (size_t i = 0; i < doc->rows * doc->cols; i++)
		good += add_cell(r, s, doc, i);
	if (r->failed)
		return;
	if (good == 0)
		reader_fail(r, root, JSONPOS_VALUE, "has no cell in which a request succeeded");
	else if (good < doc->rows * doc->cols)
		bench_note(s, "%zu of %zu cells of a profile have no data",
		           doc->rows * doc->cols - good, doc->rows * doc->cols);
}
