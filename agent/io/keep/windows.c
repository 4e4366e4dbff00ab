#include "agent_snapshot_private.h"

_Static_assert(SNAPSHOT_SLOTS_MAX == ATTAIN_KEPT && PROMISES == 3, "a record holds all slots");

static void write_windows(struct snapshot_writer *w, slo_nsec now, const struct attain *a,
                          struct snapshot_promises *out)
{
	struct attain_kept kept[ATTAIN_KEPT];

	out->slots = attain_export(a, now, kept);
	if (out->slots == 0)
		return;
	for (size_t i = 0; i < out->slots; i++) {
		out->slot[i].coarse = kept[i].coarse;
		out->slot[i].age = kept[i].age;
		memcpy(out->slot[i].count, kept[i].slot.count, sizeof(out->slot[i].count));
	}
	snapshot_add_promises(w, out);
}

void windows_write(struct snapshot_writer *w, slo_nsec now, struct agent_model *m)
{
	struct snapshot_promises out = { .model = slice_of(m->sched->pool.name),
		                         .of = SNAPSHOT_OF_ALL,
		                         .name = slice_of("") };

	model_stats_settle(&m->stats);
	write_windows(w, now, &m->stats.promises, &out);
	out.of = SNAPSHOT_OF_STRATEGY;
	for (int s = 0; s < SLO_STRATEGIES; s++) {
		out.name = slice_of(policy_strategy_name((enum slo_strategy)s));
		write_windows(w, now, &m->stats.by_strategy[s], &out);
	}
	out.of = SNAPSHOT_OF_TARGET;
	for (int k = 0; k < GOAL_KINDS; k++) {
		out.name = slice_of(goal_name((enum goal_kind)k));
		write_windows(w, now, &m->stats.by_target[k], &out);
	}
}

/* NULL: nothing that this program counts. */
static struct attain *counted(struct model_stats *m, const struct snapshot_promises *in)
{
	enum slo_strategy s;

	if (in->of == SNAPSHOT_OF_ALL)
		return &m->promises;
	if (in->of == SNAPSHOT_OF_STRATEGY)
		return policy_strategy_parse((const char *)in->name.p, in->name.len, &s)
		           ? &m->by_strategy[s]
		           : NULL;
	for (int k = 0; in->of == SNAPSHOT_OF_TARGET && k < GOAL_KINDS; k++)
		if (slice_eq(in->name, goal_name((enum goal_kind)k)))
			return &m->by_target[k];
	return NULL;
}

bool windows_read(struct agent_model *m, slo_nsec now, slo_nsec ago,
                  const struct snapshot_promises *in)
{
	struct attain *a = counted(&m->stats, in);

	for (size_t i = 0; a && i < in->slots; i++) {
		struct attain_kept k = { .coarse = in->slot[i].coarse, .age = in->slot[i].age };

		memcpy(k.slot.count, in->slot[i].count, sizeof(k.slot.count));
		attain_import(a, now, ago, &k);
	}
	return a != NULL;
}
