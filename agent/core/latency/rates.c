#include "core/latency/rates.h"

#include <math.h>

#include "core/bounds.h"

/* With 1 + KNEE * A / W at once a server does 1 - 1/(KNEE + 1) of all it can do; more would only
 * wait for each other. Where the cache's size is not known they might do so inside the engine, so
 * less is risked. */
#define KNEE_TOLD   14.0
#define KNEE_UNTOLD 10.0

#define BUSY_MOST 0.95 /* of a server's time in prompts: beyond, no queue of them is stable */

/* How many may run so that the first token comes within `target` in the mean. With a share r of the
 * time in prompts a prompt waits for others so long that it takes 1 + r / (2 - 2r) times its own.
 * 0: not even alone.
 */
static double at_once_by_ttft(double own, double others, double prompt, double step, double target)
{
	double most = (target - step) / prompt - 1, r;

	if (!(most > 0))
		return 0;
	r = lesser(2 * most / (1 + 2 * most), BUSY_MOST);
	/* r = n * prompt / (own + n * others) */
	return prompt > r * others ? r * own / (prompt - r * others) : INFINITY;
}

/* What a request takes. */
struct part {
	double tokens, own, prompt, others;
};

static struct part part_of(const struct latency_rates *r, int64_t input, int64_t output)
{
	double p = input > 0 ? (double)input : 1, o = output > 0 ? (double)output : 1;
	double own = r->step * o, prompt = r->prompt * p;

	return (struct part){ p + o, own, prompt, prompt + r->cached * o * (p + o / 2) };
}

/* How many of them may run so that all are in time. */
static double at_once_in_time(const struct latency_rates *r, const struct part *a,
                              const struct latency_target *target)
{
	double n = INFINITY;

	if (target->e2e > 0)
		n = (target->e2e * r->headroom - a->own) / a->others;
	if (target->ttft > 0)
		n = lesser(n, at_once_by_ttft(a->own, a->others, a->prompt, r->step,
		                              target->ttft * r->headroom));
	return n;
}

/* 1 where they are in time alone, and the less they are the more: as many as make each take twice
 * its time. One after the other would keep no promise either, and those that come after them wait
 * for it. n: at_once_in_time(), less than 1. */
static double at_once_late(const struct latency_rates *r, const struct part *a,
                           const struct latency_target *target, double n)
{
	double late = 1 - n; /* of its first token */

	if (target->e2e > 0)
		late = (1 - target->e2e * r->headroom / (a->own + a->others)) / LATENCY_LATE_BY;
	return 1 + lesser(late, 1) * (1 + a->own / a->others);
}

/* How many of them. knee INFINITY: however little the last ones add. */
static double fit_in(const struct latency_rates *r, const struct part *a, double n, double knee)
{
	n = lesser(n, r->kv / a->tokens);
	if (knee < INFINITY)
		n = lesser(n, 1 + knee * a->own / a->others);
	return greater(n / r->crowd, 1);
}

static double at_once(const struct latency_rates *r, const struct part *a,
                      const struct latency_target *target, double knee)
{
	return fit_in(r, a, at_once_in_time(r, a, target), knee);
}

static double ttft_beside(const struct latency_rates *r, const struct part *a, double n)
{
	double busy = lesser(n * a->prompt / (a->own + n * a->others), BUSY_MOST);

	return a->prompt * (1 + busy / (2 - 2 * busy)) + r->step;
}

static struct latency_cell cell(const struct latency_rates *r, int64_t input, int64_t output,
                                const struct latency_target *target, double knee)
{
	const struct part a = part_of(r, input, output);
	double n = at_once(r, &a, target, knee);

	return (struct latency_cell){
		.e2e = a.own + n * a.others,
		.ttft = ttft_beside(r, &a, n),
		.at_once = n,
		.first = a.prompt + r->step,
		.own = a.own,
		.others = a.others,
	};
}

static double knee_of(const struct latency_rates *r)
{
	return r->kv_told ? KNEE_TOLD : KNEE_UNTOLD;
}

struct latency_cell latency_cell(const struct latency_rates *r, int64_t input, int64_t output,
                                 const struct latency_target *target)
{
	return cell(r, input, output, target, knee_of(r));
}

struct latency_cell latency_cell_full(const struct latency_rates *r, int64_t input, int64_t output,
                                      const struct latency_target *target)
{
	return cell(r, input, output, target, INFINITY);
}

double latency_alone(const struct latency_rates *r, int64_t input, int64_t output, bool ttft)
{
	const struct part a = part_of(r, input, output);

	return ttft ? a.prompt + r->step : a.own + a.others;
}

/* How many of them run at once, so that those that are late even alone keep nobody waiting. */
static double at_once_served(const struct latency_rates *r, const struct part *a,
                             const struct latency_target *target, double knee)
{
	double n = at_once_in_time(r, a, target);

	return fit_in(r, a, n < 1 ? at_once_late(r, a, target, n) : n, knee);
}

/* What it takes beside n of them. Whom only safety makes late is not foreseen beyond its target. */
static double expected(const struct latency_rates *r, const struct part *a,
                       const struct latency_target *target, bool ttft, double n)
{
	double alone = ttft ? a->prompt + r->step : a->own + a->others;
	double most = greater(alone, target->ttft + target->e2e);
	double t = ttft ? ttft_beside(r, a, n) : a->own + n * a->others;

	return most > 0 ? lesser(t, most) : t;
}

double latency_usual(const struct latency_rates *r, int64_t input, int64_t output,
                     const struct latency_target *target, bool ttft, slo_load *load)
{
	const struct part a = part_of(r, input, output);
	double n = at_once_served(r, &a, target, knee_of(r));

	*load = (slo_load)((double)SLO_LOAD_ONE / n);
	return expected(r, &a, target, ttft, n);
}

double latency_full(const struct latency_rates *r, int64_t input, int64_t output,
                    const struct latency_target *target, bool ttft)
{
	const struct part a = part_of(r, input, output);

	return expected(r, &a, target, ttft, at_once_served(r, &a, target, INFINITY));
}
