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
 */
static double at_once_by_ttft(double own, double others, double prompt, double step, double target)
{
	double most = (target - step) / prompt - 1, r;

	if (!(most > 0))
		return 1;
	r = lesser(2 * most / (1 + 2 * most), BUSY_MOST);
	/* r = n * prompt / (own + n * others) */
	return prompt > r * others ? r * own / (prompt - r * others) : INFINITY;
}

static struct latency_cell cell(const struct latency_rates *r, int64_t input, int64_t output,
                                const struct latency_target *target, double knee)
{
	double p = input > 0 ? (double)input : 1, o = output > 0 ? (double)output : 1;
	double own = r->step * o, prompt = r->prompt * p;
	double others = prompt + r->cached * o * (p + o / 2);
	double n = INFINITY, busy;

	if (target->e2e > 0)
		n = (target->e2e * r->headroom - own) / others;
	if (target->ttft > 0)
		n = lesser(
		    n, at_once_by_ttft(own, others, prompt, r->step, target->ttft * r->headroom));
	n = lesser(n, r->kv / (p + o));
	n = lesser(n, 1 + knee * own / others);
	n = greater(n / r->crowd, 1);
	busy = lesser(n * prompt / (own + n * others), BUSY_MOST);
	return (struct latency_cell){
		.e2e = own + n * others,
		.ttft = prompt * (1 + busy / (2 - 2 * busy)) + r->step,
		.at_once = n,
		.first = prompt + r->step,
		.own = own,
		.others = others,
	};
}

struct latency_cell latency_cell(const struct latency_rates *r, int64_t input, int64_t output,
                                 const struct latency_target *target)
{
	return cell(r, input, output, target, r->kv_told ? KNEE_TOLD : KNEE_UNTOLD);
}

struct latency_cell latency_cell_full(const struct latency_rates *r, int64_t input, int64_t output,
                                      const struct latency_target *target)
{
	return cell(r, input, output, target, INFINITY);
}

slo_load latency_load(const struct latency_cell *c)
{
	return (slo_load)((double)SLO_LOAD_ONE / c->at_once);
}
