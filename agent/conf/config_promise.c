#include "conf/config_promise.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DAY      (86400 * SLO_NSEC_PER_SEC)
#define KV_MOST  1000000000

/* In percent, and may have a fraction. 0.99 is meant as a share, and would be kept by all. */
static void read_percentile(struct reader *r, const struct node *slo, double *out)
{
	struct node n = node_member(slo, "percentile");
	double v = json_number_value(n.value);

	if (!n.value || r->failed)
		return;
	if (!json_is_number(n.value) || !(v > 1) || v > 100)
		reader_fail(r, &n, JSONPOS_VALUE,
		            "must be a number of percent, above 1 and at most 100, such as 99");
	else
		*out = v;
}

void config_promise_read(struct reader *r, const struct node *model, struct config_model *out)
{
	struct times {
		slo_nsec tpot, ttft, tpat, e2e;
	} t = { 0 };
	static const struct cfg_field fields[] = {
		{ "tpot", CFG_TIME, offsetof(struct times, tpot), 1000, DAY },
		{ "ttft", CFG_TIME, offsetof(struct times, ttft), 1000, DAY },
		{ "tpat", CFG_TIME, offsetof(struct times, tpat), 1000, DAY },
		{ "e2e", CFG_TIME, offsetof(struct times, e2e), 1000, DAY },
		{ .name = "percentile" },
	};
	struct node n = node_member(model, "slo");

	out->percentile = 99;
	if (!n.value)
		return;
	cfg_section(r, &n, fields, COUNT(fields), &t);
	read_percentile(r, &n, &out->percentile);
	out->promise = goal_make((double)t.tpot / 1e9, (double)t.ttft / 1e9, (double)t.tpat / 1e9,
	                         (double)t.e2e / 1e9);
	if (!r->failed && out->promise.kind == GOAL_NONE)
		reader_fail(r, &n, JSONPOS_VALUE,
		            "promises nothing, must have ttft, tpot, e2e or tpat");
}

void config_source_read(struct reader *r, const struct node *deployment,
                        struct config_deployment *out)
{
	static const struct reader_choice sources[] = {
		{ "auto", FLEET_AUTO },
		{ "given", FLEET_GIVEN },
		{ "learned", FLEET_LEARNED },
		{ "prior", FLEET_PRIOR },
	};
	static const struct cfg_field fields[] = {
		{ "kv_tokens", CFG_COUNT, offsetof(struct config_deployment, kv_tokens), 1,
		  KV_MOST },
		{ "max_running", CFG_COUNT, offsetof(struct config_deployment, max_running), 1,
		  SCHED_RUNNING_MOST },
		{ .name = "profile" },
		{ .name = "servers" },
	};
	int v;

	out->source = FLEET_AUTO;
	cfg_section(r, deployment, fields, COUNT(fields), out);
	if (reader_choice(r, deployment, "profile", sources, COUNT(sources), &v))
		out->source = (enum fleet_source)v;
}

void config_export_read(struct reader *r, const struct node *profiles, const char *dir,
                        const char *from, struct config_export *out)
{
	static const struct cfg_field fields[] = {
		{ "every", CFG_TIME, offsetof(struct config_export, every), SLO_NSEC_PER_SEC, DAY },
		{ .name = "dir" },
	};
	struct node n = node_member(profiles, "export"), where = node_member(&n, "dir");
	const char *text;

	if (!n.value)
		return;
	cfg_section(r, &n, fields, COUNT(fields), out);
	if (!r->failed && reader_want_string(r, &where, SIZE_MAX, &text))
		(void)cfg_path(r, &n, "dir", dir, &out->dir);
	if (!r->failed && from && strcmp(from, out->dir) == 0)
		reader_fail(r, &where, JSONPOS_VALUE,
		            "is \"profiles.dir\" too: what was learned would be read as given");
}
