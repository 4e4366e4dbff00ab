/* How large a request is thought to be, of whose tokens not all are told. */
#include "core/sizes.h"
#include "sched_private.h"

/* Whether times of its servers are learned, and none is as a profile gave it. */
static bool learns(const struct sched_model *m)
{
	bool learns = false;

	for (size_t i = 0; i < m->pool.deployments; i++) {
		const struct deployment *d = m->pool.deployment[i];

		if (!fleet_learned(d) && d->profile)
			return false;
		learns = learns || fleet_learned(d);
	}
	return learns;
}

/* Of a prompt with an answer of one token no second one fits beside it, by what is learned: it adds
 * no throughput. So where that decides, no size that was never seen may count as such a one. */
static enum slo_cold cold_of(const struct sched *s, const struct sched_model *m)
{
	return s->conf.cold == SLO_COLD_OPTIMISTIC && learns(m) ? SLO_COLD_NEAREST : s->conf.cold;
}

int64_t sched_expect_input(const struct sched_model *m, slo_nsec now, int64_t estimate)
{
	int64_t input = estimator_input(&m->estimator, estimate);
	double variance = estimator_variance(&m->estimator);

	return variance > 0 && learns(m) ? predictor_prompt(m->predictor, now, input, variance)
	                                 : input;
}

int64_t sched_expect_output(struct sched *s, slo_nsec now, const struct request *r,
                            const struct sched_request *req)
{
	int64_t limit = r->limit, output;

	if (limit > 0)
		limit = (limit + r->sequences - 1) / r->sequences;
	output = predictor_guess(req->model->predictor, now, r->class, r->input, limit,
	                         s->conf.predict, cold_of(s, req->model), &s->guesses) *
	         r->sequences;
	if (output < req->min_output)
		output = req->min_output;
	return r->limit >= 0 && output > r->limit ? r->limit : output;
}
