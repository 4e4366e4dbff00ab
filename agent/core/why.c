#include "core/why.h"

#include "sched_private.h"

const char *why_mark_name(enum why_mark m)
{
	static const char *const names[WHY_MARKS] = {
		[WHY_CHOSEN] = "chosen",       [WHY_FULL] = "full", [WHY_INFEASIBLE] = "infeasible",
		[WHY_NOT_ASKED] = "not-asked", [WHY_LATE] = "late", [WHY_WORSE] = "worse",
	};

	return names[m];
}

enum why_mark why_mark(size_t i, size_t chosen, const struct rank_option *option, slo_nsec first,
                       slo_nsec now, enum slo_late late)
{
	bool late_everywhere = first < now;

	if (i == chosen)
		return WHY_CHOSEN;
	if (option->infeasible)
		return WHY_INFEASIBLE;
	if (chosen != WHY_NONE && i > chosen)
		return WHY_NOT_ASKED;
	if (late_everywhere && late == SLO_LATE_REJECT)
		return WHY_LATE;
	/* As rank_open() has it. */
	return i == 0 || option->start >= now || (late_everywhere && late == SLO_LATE_SERVE)
	           ? WHY_FULL
	           : WHY_LATE;
}

void sched_explain(struct sched *s, bool on)
{
	s->explains = on;
	s->why.options = s->why.ranked = 0;
}

const struct why *sched_why(const struct sched *s)
{
	return &s->why;
}

/* Those before the chosen one had no room. */
void why_rest(struct why *w, const struct request *r, const struct rank_option *options, size_t n,
              size_t chosen)
{
	if (chosen >= WHY_OPTIONS && chosen < n) {
		w->chosen = WHY_OPTIONS - 1;
		w->option[w->chosen] = options[chosen];
	}
	for (size_t i = 0; i < w->options && i < w->chosen; i++) {
		const struct seat *seat =
		    fleet_emptiest_seat(r->model->pool.deployment[w->option[i].deployment]);

		w->used[i] = seat ? seat->server->ledger.used : 0;
	}
}

void sched_why_waits(struct sched *s, const struct request *r, struct why *out)
{
	struct rank_option options[SLO_DEPLOYMENTS_MAX];

	(void)s;
	*out = (struct why){ .chosen = WHY_NONE };
	if (r->model)
		why_fill(out, r, options, rank_options(&r->model->pool, r, options), SIZE_MAX);
}

void why_waited(struct sched *s, const struct request *r)
{
	sched_why_waits(s, r, &s->why);
}

size_t sched_before(const struct request *r, size_t most)
{
	return r->state == REQUEST_QUEUED ? queue_before(&r->model->queue, r, most) : 0;
}
