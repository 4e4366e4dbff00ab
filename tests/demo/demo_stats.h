/* demo_stats.h - what one demo server counted since the last reset. */
#ifndef DEMO_STATS_H
#define DEMO_STATS_H

#include <jansson.h>
#include <stdio.h>

#include "engine.h"

#define DEMO_TAGS     4096
#define DEMO_TAG_SIZE 64

struct demo_stats {
	uint64_t requests, completed, aborted;
	uint64_t prompt_tokens, output_tokens;
	uint64_t evictions_before;        /* of the engine, up to the reset */
	uint32_t inflight, peak_inflight; /* requests between arrival and the end of their answer */
	uint32_t peak_running;
	uint64_t tags; /* ever seen; the ring holds the last DEMO_TAGS, the k-th at k % DEMO_TAGS */
	char tag[DEMO_TAGS][DEMO_TAG_SIZE];
};

/* tag may be NULL. */
static inline void demo_stats_enter(struct demo_stats *s, uint32_t prompt_tokens, const char *tag)
{
	s->requests++;
	s->prompt_tokens += prompt_tokens;
	if (++s->inflight > s->peak_inflight)
		s->peak_inflight = s->inflight;
	if (tag != NULL)
		snprintf(s->tag[s->tags++ % DEMO_TAGS], DEMO_TAG_SIZE, "%s", tag);
}

static inline void demo_stats_leave(struct demo_stats *s, bool completed)
{
	s->inflight--;
	if (completed)
		s->completed++;
	else
		s->aborted++;
}

/* The engine's own peak is since its start; this one is since the reset. */
static inline void demo_stats_watch(struct demo_stats *s, const struct engine *e)
{
	struct engine_stats now;

	engine_stats(e, &now);
	if (now.running > s->peak_running)
		s->peak_running = now.running;
}

/* What is in flight stays. */
static inline void demo_stats_reset(struct demo_stats *s, const struct engine *e)
{
	uint32_t inflight = s->inflight;
	struct engine_stats now;

	engine_stats(e, &now);
	*s = (struct demo_stats){ .inflight = inflight,
		                  .peak_inflight = inflight,
		                  .peak_running = now.running,
		                  .evictions_before = now.evictions };
}

/* Tags in the order of arrival, oldest first. */
static inline json_t *demo_stats_order(const struct demo_stats *s)
{
	json_t *list = json_array();

	for (uint64_t i = s->tags > DEMO_TAGS ? s->tags - DEMO_TAGS : 0; i < s->tags; i++)
		json_array_append_new(list, json_string(s->tag[i % DEMO_TAGS]));
	return list;
}

static inline void demo_stats_put(json_t *v, const char *key, uint64_t n)
{
	json_object_set_new(v, key, json_integer((json_int_t)n));
}

/* NULL: out of memory. */
static inline json_t *demo_stats_json(const struct demo_stats *s, const struct engine *e)
{
	json_t *v = json_object();
	struct engine_stats now;

	engine_stats(e, &now);
	demo_stats_put(v, "requests", s->requests);
	demo_stats_put(v, "completed", s->completed);
	demo_stats_put(v, "aborted", s->aborted);
	demo_stats_put(v, "inflight", s->inflight);
	demo_stats_put(v, "peak_inflight", s->peak_inflight);
	demo_stats_put(v, "running", now.running);
	demo_stats_put(v, "waiting", now.waiting);
	demo_stats_put(v, "peak_running", s->peak_running);
	demo_stats_put(v, "kv_used", now.kv_used);
	demo_stats_put(v, "kv_limit", now.kv_limit);
	demo_stats_put(v, "evictions", now.evictions - s->evictions_before);
	demo_stats_put(v, "prompt_tokens", s->prompt_tokens);
	demo_stats_put(v, "output_tokens", s->output_tokens);
	json_object_set_new(v, "order", demo_stats_order(s));
	return v;
}

#define DEMO_KV_BLOCK 16 /* tokens */

/* Prometheus' text, as vLLM names things. */
static inline void demo_print_metrics(FILE *f, const char *model, const struct engine_stats *e,
                                      uint64_t prompt_tokens)
{
	const struct {
		const char *name, *type;
		double value;
	} series[] = {
		{ "num_requests_running", "gauge", e->running },
		{ "num_requests_waiting", "gauge", e->waiting },
		{ "kv_cache_usage_perc", "gauge", (double)e->kv_used / (double)e->kv_limit },
		{ "prompt_tokens_total", "counter", (double)prompt_tokens },
		{ "generation_tokens_total", "counter", (double)e->output_tokens },
		{ "num_preemptions_total", "counter", (double)e->evictions },
	};

	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
		fprintf(f, "# TYPE vllm:%s %s\nvllm:%s{engine=\"0\",model_name=\"%s\"} %.17g\n",
		        series[i].name, series[i].type, series[i].name, model, series[i].value);
	fprintf(
	    f,
	    "# TYPE vllm:cache_config_info gauge\n"
	    "vllm:cache_config_info{block_size=\"%d\",engine=\"0\",num_gpu_blocks=\"%llu\"} 1\n",
	    DEMO_KV_BLOCK, (unsigned long long)(e->kv_limit / DEMO_KV_BLOCK));
}

#endif
