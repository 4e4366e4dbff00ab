/* Of the time after the first token nothing is spent in the engine's queue. So that part shows the
 * rates: while a request decodes, rate * decode are decoding at once, by Little's law, and as many
 * prompts are read. And where a first token comes much later than prompts explain, the cache is
 * full, so what decodes at once is what it holds. */
#include "core/latency/given.h"

#include "core/bounds.h"

#define HEADROOM  0.9
#define KV_PLENTY 1e9
#define WAITS     0.2 /* of the whole time: so much is not explained by prompts */
#define BUSY_MOST 0.95

void latency_given_init(struct latency_given *g)
{
	*g = (struct latency_given){ .points = 0 };
	latency_fit_init(&g->fit);
}

static bool tells_decode(const struct latency_point *p)
{
	return p->ttft >= 0 && p->ttft < p->e2e;
}

static double decoding(const struct latency_point *p)
{
	return tells_decode(p) ? p->at_once / p->e2e * (p->e2e - p->ttft) : p->at_once;
}

void latency_given_teach(struct latency_given *g, const struct latency_point *p)
{
	double n = decoding(p);
	const struct latency_features x = {
		.seconds = tells_decode(p) ? p->e2e - p->ttft : p->e2e,
		.steps = p->output,
		.prompts = n * p->input,
		.reads = n * p->output * (p->input + p->output / 2),
	};

	latency_fit_teach(&g->fit, &x);
	g->points++;
}

void latency_given_look(struct latency_given *g, const struct latency_point *p)
{
	double prompt = latency_fit_rate(&g->fit, 1) * p->input, busy, explained;
	double held = decoding(p) * (p->input + p->output / 2);

	g->held = at_least(g->held, held);

	if (!tells_decode(p))
		return;
	busy = at_most(p->at_once / p->e2e * prompt, BUSY_MOST);
	explained = prompt * (1 + busy / (2 - 2 * busy)) + (p->e2e - p->ttft) / p->output;
	if (p->ttft - explained > WAITS * p->e2e)
		g->kv = at_least(g->kv, held);
}

struct latency_rates latency_given_rates(const struct latency_given *g)
{
	return (struct latency_rates){
		.step = latency_fit_rate(&g->fit, 0),
		.prompt = latency_fit_rate(&g->fit, 1),
		.cached = latency_fit_rate(&g->fit, 2),
		.kv = g->kv > 0 ? g->kv : KV_PLENTY,
		.kv_told = g->kv > 0,
		.headroom = HEADROOM,
		.crowd = 1,
	};
}
