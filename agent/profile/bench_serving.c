/* vllm bench serve and SGLang's bench_serving: flat objects with almost the same names. */
#include <math.h>
#include <stdlib.h>

#include "bench_private.h"

/* Milliseconds, as seconds; NAN when absent. Both spell some of them differently. */
static double milliseconds(struct reader *r, const struct node *root, const char *key,
                           const char *other)
{
	double v = bench_may(r, root, key, 0, BENCH_SECONDS_MAX * 1e3);

	if (isnan(v) && other)
		v = bench_may(r, root, other, 0, BENCH_SECONDS_MAX * 1e3);
	return v / 1e3;
}

static void no_success(struct reader *r, const struct node *root)
{
	struct node n = node_member(root, "completed");

	reader_fail(r, &n, JSONPOS_VALUE,
	            "is 0: no request succeeded, so there is nothing to learn");
}

/* The file has the mean end to end, or what it can be computed from. */
static double mean_e2e(struct reader *r, const struct node *root, struct bench_series *s,
                       double output, double ttft)
{
	double e2e = milliseconds(r, root, "mean_e2el_ms", "mean_e2e_latency_ms");
	double tpot = milliseconds(r, root, "mean_tpot_ms", NULL);
	struct node n = node_member(root, "mean_e2el_ms");

	if (r->failed || e2e > 0)
		return e2e;
	e2e = ttft + (output - 1) * tpot;
	if (e2e > 0) {
		bench_note(s, "mean_e2el_ms is missing; it is computed as mean_ttft_ms + (output "
		              "tokens - 1) x mean_tpot_ms (vllm bench serve writes it with "
		              "--percentile-metrics ttft,tpot,itl,e2el)");
		return e2e;
	}
	reader_fail(r, &n, JSONPOS_VALUE,
	            "is missing, and so is what it could be computed from: mean_ttft_ms and "
	            "mean_tpot_ms");
	return NAN;
}

static void read_means(struct reader *r, const struct node *root, struct bench_series *s,
                       double completed)
{
	struct bench_run run = { .requests = completed };
	double p99;

	run.input = bench_need(r, root, "total_input_tokens", 0, 1e15) / completed;
	run.output = bench_need(r, root, "total_output_tokens", 0, 1e15) / completed;
	run.rate = bench_need(r, root, "request_throughput", 1e-9, BENCH_RATE_MAX);
	run.ttft = milliseconds(r, root, "mean_ttft_ms", NULL);
	run.e2e = mean_e2e(r, root, s, run.output, run.ttft);
	p99 = milliseconds(r, root, "p99_e2el_ms", "p99_e2e_latency_ms");
	run.tail = p99 / run.e2e;
	run.ttft = bench_ttft(s, run.ttft, run.e2e);
	(void)bench_add_run(r, s, &run);
}

/* With details */

static const char *const lists[] = { "input_lens", "output_lens", "ttfts", "itls" };

/* Whether the file has the arrays of --save-detailed; these must be of one length. */
static bool has_details(struct reader *r, const struct node *root, size_t *count)
{
	struct node n = node_member(root, "input_lens");

	if (!json_is_array(n.value) || !json_is_array(node_member(root, "itls").value))
		return false;
	*count = json_array_size(n.value);
	for (size_t i = 1; i < sizeof(lists) / sizeof(*lists); i++) {
		struct node other = node_member(root, lists[i]);

		if (!reader_want_array(r, &other))
			return false;
		if (json_array_size(other.value) == *count)
			continue;
		reader_fail(r, &other, JSONPOS_VALUE, "has %zu elements, but input_lens has %zu",
		            json_array_size(other.value), *count);
		return false;
	}
	return *count > 0;
}

static double element(struct reader *r, const struct node *list, size_t i, double most)
{
	struct node n = node_element(list, i);
	double v = 0;

	(void)reader_want_number(r, &n, 0, most, &v);
	return v;
}

static double sum_of(struct reader *r, const struct node *list)
{
	double sum = 0;

	if (!reader_want_array(r, list))
		return 0;
	for (size_t i = 0; i < json_array_size(list->value) && !r->failed; i++)
		sum += element(r, list, i, BENCH_SECONDS_MAX);
	return sum;
}

/* The requests that succeeded; a failed one has no tokens or no time. */
static size_t collect(struct reader *r, const struct node *root, size_t count,
                      struct bench_request *out)
{
	struct node input = node_member(root, lists[0]), output = node_member(root, lists[1]);
	struct node ttfts = node_member(root, lists[2]), itls = node_member(root, lists[3]);
	size_t good = 0;

	for (size_t i = 0; i < count && !r->failed; i++) {
		struct node gaps = node_element(&itls, i);
		struct bench_request q = {
			.input = element(r, &input, i, BENCH_TOKENS_MAX),
			.output = element(r, &output, i, BENCH_TOKENS_MAX),
			.ttft = element(r, &ttfts, i, BENCH_SECONDS_MAX),
		};

		q.e2e = q.ttft + sum_of(r, &gaps);
		if (q.output > 0 && q.e2e > 0)
			out[good++] = q;
	}
	return good;
}

static void read_details(struct reader *r, const struct node *root, struct bench_series *s,
                         size_t count)
{
	struct bench_request *request = calloc(count, sizeof(*request));
	double seconds = bench_need(r, root, "duration", 1e-6, 1e9);
	size_t good;

	if (!request) {
		reader_no_memory(r);
		return;
	}
	good = collect(r, root, count, request);
	if (!r->failed && good == 0)
		reader_fail(r, root, JSONPOS_VALUE, "has no request that succeeded");
	if (!r->failed)
		(void)bench_add_requests(r, s, request, good, seconds);
	free(request);
}

void bench_read_serving(struct reader *r, const struct node *root, struct bench_series *s)
{
	double completed = bench_need(r, root, "completed", 0, BENCH_COUNT_MAX);
	double failed = bench_may(r, root, "failed", 0, BENCH_COUNT_MAX);
	size_t count = 0;

	if (r->failed)
		return;
	if (completed < 1) {
		no_success(r, root);
		return;
	}
	if (failed > 0)
		bench_note(s, "%.0f requests of a run failed; the times are of the others", failed);
	if (has_details(r, root, &count))
		read_details(r, root, s, count);
	else
		read_means(r, root, s, completed);
}
