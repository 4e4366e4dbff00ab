#include "conf/config_routing.h"

#include <jansson.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DAY      (86400 * SLO_NSEC_PER_SEC)

void config_routing_strategy(struct reader *r, const struct node *n, enum slo_strategy *out)
{
	struct reader_choice names[SLO_STRATEGIES];
	int v;

	for (int i = 0; i < SLO_STRATEGIES; i++)
		names[i] = (struct reader_choice){ policy_strategy_name((enum slo_strategy)i), i };
	if (reader_choice(r, n, "strategy", names, SLO_STRATEGIES, &v))
		*out = (enum slo_strategy)v;
}

void config_routing_weights(struct reader *r, const struct node *section,
                            const struct token_weights **out)
{
	static const struct cfg_field fields[] = { { .name = "weights" } };
	struct node n = node_member(section, "tokens"), weights = node_member(&n, "weights");
	const struct token_weights *found;
	const char *name;

	cfg_section(r, &n, fields, COUNT(fields), NULL);
	if (!reader_string(r, &n, "weights", SIZE_MAX, &name))
		return;
	found = tokens_weights(name);
	if (found)
		*out = found;
	else
		reader_fail(r, &weights, JSONPOS_VALUE,
		            "is \"%s\", must be avg, cl100k, o200k, llama3, qwen2, dsv3 or llama2",
		            reader_quote(name).s);
}

void config_routing_limits(struct reader *r, const struct node *section,
                           struct config_client_limits *out)
{
	static const struct cfg_field fields[] = {
		{ "e2e_min", CFG_TIME, offsetof(struct config_client_limits, e2e_min), 0, DAY },
		{ "ttft_min", CFG_TIME, offsetof(struct config_client_limits, ttft_min), 0, DAY },
		{ "tpot_min", CFG_TIME, offsetof(struct config_client_limits, tpot_min), 0, DAY },
		{ "priority_max", CFG_COUNT, offsetof(struct config_client_limits, priority_max), 0,
		  1000000 },
		{ .name = "strategies" },
	};
	static const struct reader_choice strategies[] = {
		{ "all", CONFIG_STRATEGIES_ALL },
		{ "waiting", CONFIG_STRATEGIES_WAITING },
		{ "none", CONFIG_STRATEGIES_NONE },
	};
	struct node n = node_member(section, "limits");
	int v;

	cfg_section(r, &n, fields, COUNT(fields), out);
	if (reader_choice(r, &n, "strategies", strategies, COUNT(strategies), &v))
		out->strategies = (enum config_client_strategies)v;
}

static void read_choices(struct reader *r, const struct node *n, struct config_routing *to)
{
	static const struct reader_choice fallback[] = {
		{ "least-request", SLO_STRATEGY_LEAST_REQUEST },
		{ "random", SLO_STRATEGY_RANDOM },
	};
	static const struct reader_choice late[] = {
		{ "serve", SLO_LATE_SERVE },
		{ "hold", SLO_LATE_HOLD },
		{ "reject", SLO_LATE_REJECT },
	};
	static const struct reader_choice infeasible[] = {
		{ "reject", SLO_INFEASIBLE_REJECT },
		{ "fallback", SLO_INFEASIBLE_FALLBACK },
	};
	static const struct reader_choice predict[] = {
		{ "sample", SLO_PREDICT_SAMPLE },
		{ "p50", SLO_PREDICT_P50 },
		{ "p90", SLO_PREDICT_P90 },
	};
	static const struct reader_choice cold[] = {
		{ "optimistic", SLO_COLD_OPTIMISTIC },
		{ "input", SLO_COLD_INPUT },
		{ "max", SLO_COLD_MAX },
	};
	int v;

	if (reader_choice(r, n, "fallback", fallback, COUNT(fallback), &v))
		to->fallback = (enum slo_strategy)v;
	if (reader_choice(r, n, "late", late, COUNT(late), &v))
		to->late = (enum slo_late)v;
	if (reader_choice(r, n, "infeasible", infeasible, COUNT(infeasible), &v))
		to->infeasible = (enum slo_infeasible)v;
	if (reader_choice(r, n, "predict", predict, COUNT(predict), &v))
		to->predict = (enum slo_predict)v;
	if (reader_choice(r, n, "cold", cold, COUNT(cold), &v))
		to->cold = (enum slo_cold)v;
}

/* "auto" in the place of a time, and what goes with it. */
static bool read_auto(struct reader *r, const struct node *section, struct config_routing *out)
{
	struct node n = node_member(section, "queue_timeout");
	struct node most = node_member(section, "queue_timeout_max");
	bool is_auto = json_is_string(n.value) && strcmp(json_string_value(n.value), "auto") == 0;

	if (is_auto) {
		out->queue_timeout = SCHED_HOLD_LEAST;
		out->queue_timeout_most = SCHED_HOLD_MOST;
	} else if (most.value) {
		reader_fail(r, &most, JSONPOS_KEY, "is only for a queue_timeout that is \"auto\"");
	}
	return is_auto;
}

void config_routing_read(struct reader *r, const struct node *root, struct config_routing *out)
{
#define ROUTING(type, name, min, max)                                        \
	{                                                                    \
#name, type, offsetof(struct config_routing, name), min, max \
	}
	struct node n = node_member(root, "routing");
	bool is_auto = json_is_object(n.value) && read_auto(r, &n, out);
	const struct cfg_field fields[] = {
		ROUTING(is_auto ? CFG_ELSEWHERE : CFG_TIME, queue_timeout, SLO_NSEC_PER_MSEC, DAY),
		{ "queue_timeout_max", CFG_TIME,
		  offsetof(struct config_routing, queue_timeout_most), SCHED_HOLD_LEAST, DAY },
		ROUTING(CFG_TIME, drain_timeout, 0, DAY),
		ROUTING(CFG_COUNT, queue_limit, 0, 10000000),
		ROUTING(CFG_U64, seed, 0, INT64_MAX),
		{ .name = "strategy" },
		{ .name = "fallback" },
		{ .name = "default_model" },
		{ .name = "late" },
		{ .name = "infeasible" },
		{ .name = "predict" },
		{ .name = "cold" },
		{ .name = "tokens" },
		{ .name = "limits" },
	};
#undef ROUTING

	cfg_section(r, &n, fields, COUNT(fields), out);
	config_routing_strategy(r, &n, &out->strategy);
	read_choices(r, &n, out);
	config_routing_weights(r, &n, &out->weights);
	config_routing_limits(r, &n, &out->limits);
}
