#include "core/rank.h"

static bool rank_in(const struct deployment *d, const struct request *r, struct rank_option *out)
{
	struct goal goal;
	slo_nsec rank;
	size_t cell;

	if (!d->profile || d->usable == 0)
		return false;
	goal = profile_goal(d->profile, &r->own);
	cell = profile_cell(d->profile, r->input, r->output);
	if (!profile_rank(d->profile, cell, &goal, r->input, r->output, &rank))
		return false;
	out->start = r->created - rank;
	out->load = profile_load(d->profile, cell);
	out->deployment = d->index;
	out->infeasible = profile_infeasible(d->profile, cell);
	return true;
}

size_t rank_options(const struct model *m, const struct request *r, struct rank_option *options)
{
	size_t n = 0;

	for (size_t i = 0; i < m->deployments; i++) {
		struct rank_option o;
		size_t at;

		if (!rank_in(m->deployment[i], r, &o))
			continue;
		/* The latest start is the lowest rank; equal ones stay in order. */
		for (at = n; at > 0 && options[at - 1].start < o.start; at--)
			options[at] = options[at - 1];
		options[at] = o;
		n++;
	}
	return n;
}

bool rank_infeasible(const struct model *m, const struct request *r)
{
	for (size_t i = 0; i < m->deployments; i++) {
		const struct deployment *d = m->deployment[i];

		if (d->profile && d->usable > 0 &&
		    profile_goal(d->profile, &r->own).kind != GOAL_NONE &&
		    profile_infeasible(d->profile, profile_cell(d->profile, r->input, r->output)))
			return true;
	}
	return false;
}

slo_load rank_load(const struct deployment *d, const struct request *r)
{
	return d->profile ? profile_load(d->profile, profile_cell(d->profile, r->input, r->output))
	                  : 0;
}

struct goal rank_goal(const struct deployment *d, const struct request *r)
{
	if (!d->profile)
		return (struct goal){ GOAL_NONE, 0, 0 };
	return profile_goal(d->profile, &r->own);
}
