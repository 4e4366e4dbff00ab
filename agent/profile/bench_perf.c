/* GuideLLM, and the summary of AIPerf and GenAI-Perf: statistics of each metric in an object. */
#include <math.h>
#include <string.h>

#include "bench_private.h"

/* GuideLLM: metrics.NAME.successful.{mean, percentiles.p99} */

static double guide(struct reader *r, const struct node *metrics, const char *name,
                    const char *statistic, bool needed, double most)
{
	struct node metric = node_member(metrics, name);
	struct node good = node_member(&metric, "successful");
	struct node p = node_member(&good, "percentiles");
	bool p99 = strcmp(statistic, "p99") == 0;

	if (!needed && (!json_is_object(good.value) || (p99 && !json_is_object(p.value))))
		return NAN;
	if (!reader_want_object(r, &metric) || !reader_want_object(r, &good))
		return 0;
	if (needed)
		return bench_need(r, &good, statistic, 0, most);
	return bench_may(r, p99 ? &p : &good, statistic, 0, most);
}

static bool read_guide_run(struct reader *r, const struct node *benchmark, struct bench_series *s)
{
	struct node metrics = node_member(benchmark, "metrics");
	struct bench_run run = { .requests = 1 };
	double p99;

	if (!reader_want_object(r, benchmark) || !reader_want_object(r, &metrics))
		return false;
	run.rate = guide(r, &metrics, "requests_per_second", "mean", true, BENCH_RATE_MAX);
	if (r->failed || !(run.rate > 0))
		return false;
	run.input = guide(r, &metrics, "prompt_token_count", "mean", true, BENCH_TOKENS_MAX);
	run.output = guide(r, &metrics, "output_token_count", "mean", true, BENCH_TOKENS_MAX);
	run.e2e = guide(r, &metrics, "request_latency", "mean", true, BENCH_SECONDS_MAX);
	if (r->failed || !(run.e2e > 0))
		return false;
	run.ttft = guide(r, &metrics, "time_to_first_token_ms", "mean", false, 1e9) / 1e3;
	run.ttft = bench_ttft(s, run.ttft, run.e2e);
	p99 = guide(r, &metrics, "request_latency", "p99", false, BENCH_SECONDS_MAX);
	run.tail = p99 / run.e2e;
	return bench_add_run(r, s, &run);
}

void bench_read_guidellm(struct reader *r, const struct node *root, struct bench_series *s)
{
	struct node list = node_member(root, "benchmarks");
	size_t good = 0, count;

	if (!reader_want_array(r, &list))
		return;
	count = json_array_size(list.value);
	for (size_t i = 0; i < count && !r->failed; i++) {
		struct node benchmark = node_element(&list, i);

		good += read_guide_run(r, &benchmark, s);
	}
	if (r->failed)
		return;
	if (good == 0)
		reader_fail(r, &list, JSONPOS_VALUE, "has no run in which a request succeeded");
	else if (good < count)
		bench_note(s, "%zu of %zu runs are left out: no request succeeded in them",
		           count - good, count);
}

/* AIPerf: NAME.{unit, avg, p99} */

static double scale_of(struct reader *r, const struct node *metric)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {
		{ "ms", 1e-3 },   { "s", 1 },     { "sec", 1 },
		{ "us", 1e-6 },   { "ns", 1e-9 }, { "milliseconds", 1e-3 },
		{ "seconds", 1 },
	};
	const char *unit = NULL;
	struct node n = node_member(metric, "unit");

	if (!n.value)
		return 1e-3;
	if (!reader_want_string(r, &n, 64, &unit))
		return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].seconds;
	reader_fail(r, &n, JSONPOS_VALUE, "is \"%s\", must be ms, s, us or ns",
	            reader_quote(unit).s);
	return 0;
}

static double average(struct reader *r, const struct node *root, const char *name, double most)
{
	struct node metric = node_member(root, name);

	return reader_want_object(r, &metric) ? bench_need(r, &metric, "avg", 0, most) : 0;
}

static double time_of(struct reader *r, const struct node *root, const char *name,
                      const char *statistic)
{
	struct node metric = node_member(root, name);

	if (!json_is_object(metric.value))
		return NAN;
	return bench_may(r, &metric, statistic, 0, 1e15) * scale_of(r, &metric);
}

void bench_read_aiperf(struct reader *r, const struct node *root, struct bench_series *s)
{
	struct node latency = node_member(root, "request_latency");
	struct node count = node_member(root, "request_count");
	struct bench_run run = { .requests = 1 };

	if (!reader_want_object(r, &latency))
		return;
	if (json_is_object(count.value))
		run.requests = bench_may(r, &count, "avg", 0, BENCH_COUNT_MAX);
	run.rate = average(r, root, "request_throughput", BENCH_RATE_MAX);
	run.input = average(r, root, "input_sequence_length", BENCH_TOKENS_MAX);
	run.output = average(r, root, "output_sequence_length", BENCH_TOKENS_MAX);
	run.e2e = time_of(r, root, "request_latency", "avg");
	run.ttft = time_of(r, root, "time_to_first_token", "avg");
	run.tail = time_of(r, root, "request_latency", "p99") / run.e2e;
	if (r->failed)
		return;
	if (!(run.rate > 0) || !(run.e2e > 0) || run.e2e > BENCH_SECONDS_MAX || run.requests < 1) {
		reader_fail(r, &latency, JSONPOS_VALUE, "has no time of a request: none succeeded");
		return;
	}
	run.ttft = bench_ttft(s, run.ttft, run.e2e);
	(void)bench_add_run(r, s, &run);
}
