/* Formats with one fact in each line: AIPerf's requests, and the metrics of AIBrix's benchmark. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_private.h"

/* A run of AIBrix's benchmark, as far as its lines came. */
struct aibrix_run {
	double input, output, rate, seed, samples;
	double tput, e2e, p99, ttft;
	bool empty; /* a metric was NaN: no request succeeded */
};

struct bench_rows {
	struct bench_request *request;
	size_t requests, request_room;
	double first, last; /* seconds: the first start, the last end */
	struct aibrix_run *run;
	size_t runs, run_room;
};

struct bench_rows *bench_rows_new(void)
{
	return calloc(1, sizeof(struct bench_rows));
}

void bench_rows_free(struct bench_rows *rows)
{
	if (!rows)
		return;
	free(rows->request);
	free(rows->run);
	free(rows);
}

size_t bench_rows_count(const struct bench_rows *rows)
{
	return rows->requests + rows->runs;
}

/* Room for one more; false: no memory, and the reader was told. */
static bool make_room(struct reader *r, void **list, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 64;
	void *p;

	if (count < *room)
		return true;
	p = reallocarray(*list, more, size);
	if (!p) {
		reader_no_memory(r);
		return false;
	}
	*list = p;
	*room = more;
	return true;
}

/* AIPerf */

/* The times of a line are told in ms; a unit that is none is an error. */
static double value_of(struct reader *r, const struct node *metrics, const char *name, bool needed,
                       double most)
{
	struct node metric = node_member(metrics, name);

	if (!needed && !json_is_object(metric.value))
		return NAN;
	return reader_want_object(r, &metric) ? bench_need(r, &metric, "value", 0, most) : 0;
}

void bench_read_aiperf_row(struct reader *r, const struct node *root, struct bench_rows *rows)
{
	struct node metadata = node_member(root, "metadata"),
		    metrics = node_member(root, "metrics");
	struct bench_request q;
	double from, to;

	if (node_not_null(node_member(root, "error")).value)
		return; /* a request that failed */
	if (!reader_want_object(r, &metadata) || !reader_want_object(r, &metrics))
		return;
	from = bench_need(r, &metadata, "request_start_ns", 0, 1e19) / 1e9;
	to = bench_need(r, &metadata, "request_end_ns", 0, 1e19) / 1e9;
	q.input = value_of(r, &metrics, "input_sequence_length", true, BENCH_TOKENS_MAX);
	q.output = value_of(r, &metrics, "output_sequence_length", true, BENCH_TOKENS_MAX);
	q.ttft = value_of(r, &metrics, "time_to_first_token", false, 1e9) / 1e3;
	q.e2e = to - from;
	if (r->failed || !make_room(r, (void **)&rows->request, rows->requests, &rows->request_room,
	                            sizeof(*rows->request)))
		return;
	if (!(q.e2e > 0)) {
		reader_fail(r, &metadata, JSONPOS_VALUE,
		            "has request_end_ns that is not after request_start_ns");
		return;
	}
	rows->first = rows->requests ? fmin(rows->first, from) : from;
	rows->last = rows->requests ? fmax(rows->last, to) : to;
	rows->request[rows->requests++] = q;
}

/* AIBrix */

/* The run that a line belongs to; NULL: no memory. Lines of a run follow each other. */
static struct aibrix_run *run_of(struct reader *r, struct bench_rows *rows,
                                 const struct aibrix_run *key)
{
	for (size_t i = rows->runs; i > 0 && i + 64 > rows->runs; i--) {
		struct aibrix_run *run = &rows->run[i - 1];

		if (run->input == key->input && run->output == key->output &&
		    run->rate == key->rate && run->seed == key->seed)
			return run;
	}
	if (!make_room(r, (void **)&rows->run, rows->runs, &rows->run_room, sizeof(*rows->run)))
		return NULL;
	rows->run[rows->runs] = *key;
	return &rows->run[rows->runs++];
}

static void note_metric(struct reader *r, const struct node *root, struct aibrix_run *run,
                        const char *metric)
{
	struct node n = node_member(root, "metric");
	bool tput = strcmp(metric, "TPUT") == 0;
	double mean =
	    bench_may(r, root, "mean", 0, tput ? BENCH_RATE_MAX : BENCH_SECONDS_MAX * 1e3);
	double p99 = bench_may(r, root, "P99", 0, BENCH_SECONDS_MAX * 1e3);

	if (tput)
		run->tput = mean;
	else if (strcmp(metric, "E2E") == 0) {
		run->e2e = mean;
		run->p99 = p99;
	} else if (strcmp(metric, "TTFT") == 0)
		run->ttft = mean;
	else if (strcmp(metric, "TT") != 0 && strcmp(metric, "TPOT") != 0)
		reader_fail(r, &n, JSONPOS_VALUE, "is \"%s\", must be TPUT, TT, E2E, TTFT or TPOT",
		            reader_quote(metric).s);
	else
		return;
	run->empty |= isnan(mean);
}

void bench_read_aibrix_row(struct reader *r, const struct node *root, struct bench_rows *rows)
{
	struct node n = node_member(root, "metric");
	struct aibrix_run key = { .tput = NAN, .e2e = NAN, .p99 = NAN, .ttft = NAN };
	struct aibrix_run *run;
	const char *metric = NULL;

	key.input = bench_need(r, root, "input_tokens", 0, BENCH_TOKENS_MAX);
	key.output = bench_need(r, root, "output_tokens", 0, BENCH_TOKENS_MAX);
	key.rate = bench_need(r, root, "request_rate", 0, BENCH_RATE_MAX);
	key.seed = bench_may(r, root, "seed", -1e18, 1e18);
	key.seed = isnan(key.seed) ? 0 : key.seed;
	key.samples = bench_may(r, root, "samples", 0, BENCH_COUNT_MAX);
	if (!reader_want_string(r, &n, 64, &metric))
		return;
	run = run_of(r, rows, &key);
	if (run)
		note_metric(r, root, run, metric);
}

static void end_aibrix(struct reader *r, struct bench_rows *rows, struct bench_series *s)
{
	struct node root = reader_root(r);
	size_t good = 0, empty = 0;

	for (size_t i = 0; i < rows->runs; i++) {
		const struct aibrix_run *a = &rows->run[i];
		struct bench_run run = { .input = a->input,
			                 .output = a->output,
			                 .rate = a->tput > 0 ? a->tput : a->rate,
			                 .e2e = a->e2e,
			                 .tail = a->p99 / a->e2e,
			                 .requests = isnan(a->samples) ? 1 : a->samples };

		if (!(a->e2e > 0) || !(run.rate > 0)) {
			empty += a->empty;
			continue;
		}
		if (!(a->tput > 0))
			bench_note(s,
			           "a run at %g requests/s, output %g, input %g, has no TPUT; "
			           "the rate that was asked for is taken",
			           a->rate, a->output, a->input);
		run.ttft = bench_ttft(s, a->ttft, a->e2e);
		good += bench_add_run(r, s, &run);
	}
	if (r->failed)
		return;
	if (good == 0)
		reader_fail(r, &root, JSONPOS_VALUE,
		            empty ? "no request succeeded in any run: all means of E2E are NaN"
		                  : "no run has the metric E2E, which says how long requests took");
	else if (good < rows->runs)
		bench_note(s,
		           "%zu of %zu runs are left out: no request succeeded, or E2E is "
		           "missing",
		           rows->runs - good, rows->runs);
}

void bench_rows_end(struct reader *r, struct bench_rows *rows, struct bench_series *s)
{
	if (rows->requests > 0)
		(void)bench_add_requests(r, s, rows->request, rows->requests,
		                         fmax(rows->last - rows->first, 1e-6));
	if (rows->runs > 0)
		end_aibrix(r, rows, s);
}
