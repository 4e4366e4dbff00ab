/* How many promises were kept, for both texts. Counters are for Prometheus, which makes windows of
 * its own; /state.json tells ours. */
#include <inttypes.h>

#include "render_private.h"

static json_t *counts(const uint64_t count[PROMISES])
{
	json_t *object = json_object();

	for (int p = 0; p < PROMISES; p++)
		json_object_set_new(object, attain_promise_name((enum promise)p),
		                    json_integer((json_int_t)count[p]));
	return object;
}

json_t *render_promises_state(const struct attain *a, slo_nsec now)
{
	json_t *object = json_object();
	uint64_t total[PROMISES];

	for (int w = 0; w < ATTAIN_WINDOWS; w++) {
		struct attain_sum sum = attain_sum(a, now, (enum attain_window)w);

		json_object_set_new(object, attain_window_name((enum attain_window)w),
		                    counts(sum.count));
	}
	for (int p = 0; p < PROMISES; p++)
		total[p] = attain_total(a, (enum promise)p);
	json_object_set_new(object, "total", counts(total));
	return object;
}

static bool is_new(const struct attain *a)
{
	return a->coarse.last == 0 && a->since == 0; /* nor is there anything of before a restart */
}

json_t *render_promises_by_strategy(const struct model_stats *m, slo_nsec now)
{
	json_t *object = json_object();

	for (int s = 0; s < SLO_STRATEGIES; s++)
		if (!is_new(&m->by_strategy[s]))
			json_object_set_new(object, policy_strategy_name((enum slo_strategy)s),
			                    render_promises_state(&m->by_strategy[s], now));
	return object;
}

json_t *render_promises_by_target(const struct model_stats *m, slo_nsec now)
{
	json_t *object = json_object();

	for (int k = 0; k < GOAL_KINDS; k++)
		if (!is_new(&m->by_target[k]))
			json_object_set_new(object, goal_name((enum goal_kind)k),
			                    render_promises_state(&m->by_target[k], now));
	return object;
}

/* The slots of one window, an array for each result. */
static json_t *slots(const struct attain *a, slo_nsec now, enum attain_window w)
{
	struct attain_slot slot[ATTAIN_SLOTS];
	int count = attain_slots(a, now, w, slot);
	json_t *object = json_pack("{s:f}", "seconds", attain_slot_seconds(w));

	for (int p = 0; p < PROMISES; p++) {
		json_t *list = json_array();

		for (int i = 0; i < count; i++)
			json_array_append_new(list, json_integer(slot[i].count[p]));
		json_object_set_new(object, attain_promise_name((enum promise)p), list);
	}
	return object;
}

json_t *render_history_state(const struct attain *a, slo_nsec now)
{
	json_t *object = json_object();

	for (int w = ATTAIN_5_MINUTES; w < ATTAIN_WINDOWS; w++)
		json_object_set_new(object, attain_window_name((enum attain_window)w),
		                    slots(a, now, (enum attain_window)w));
	return object;
}

static void class_counters(struct page *p, const struct agent_model *m, enum slo_strategy s,
                           enum goal_kind k)
{
	const uint64_t *count = m->stats.by_class[s][k];

	for (int i = 0; i < PROMISES && count[0] + count[1] + count[2] > 0; i++) {
		fputs("slo_spoa_promises_total{", p->f);
		render_label(p->f, "model", m->conf->name);
		fprintf(p->f, ",strategy=\"%s\",target=\"%s\",result=\"%s\"} %" PRIu64 "\n",
		        policy_strategy_name(s), goal_name(k), attain_promise_name((enum promise)i),
		        count[i]);
	}
}

void render_promises(struct page *p, const struct agent_model *m)
{
	for (int s = 0; s < SLO_STRATEGIES; s++)
		for (int k = 0; k < GOAL_KINDS; k++)
			class_counters(p, m, (enum slo_strategy)s, (enum goal_kind)k);
}

/* What was refused was on no server. */
void render_server_promises(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	const struct served *s = roster_served(roster_server(seat->server), m);

	for (int i = PROMISE_KEPT; i <= PROMISE_MISSED; i++) {
		fputs("slo_spoa_server_promises_total{", p->f);
		render_label(p->f, "model", m->conf->name);
		fprintf(p->f, ",server=\"%s\",result=\"%s\"} %" PRIu64 "\n", seat->server->name,
		        attain_promise_name((enum promise)i),
		        attain_total(&s->promises, (enum promise)i));
	}
}

void render_objective(struct page *p, const struct agent_model *m)
{
	fputs("slo_spoa_promise_objective_ratio{", p->f);
	render_label(p->f, "model", m->conf->name);
	fprintf(p->f, "} %.9g\n", m->conf->percentile / 100);
}

void render_overruled(struct page *p, const struct agent_model *m)
{
	for (size_t i = 0; i < m->sched->pool.deployments; i++) {
		const struct deployment *d = m->sched->pool.deployment[i];

		fputs("slo_spoa_profile_overruled{", p->f);
		render_label(p->f, "model", m->conf->name);
		fputc(',', p->f);
		render_label(p->f, "deployment", d->name);
		fprintf(p->f, "} %d\n", d->source == FLEET_REFUTED);
	}
}
