#include "core/latency/flow.h"

#include "core/bounds.h"

/* More of one request is not believed; thousands of them still fit into the sums. */
#define TOKENS_MOST  (1 << 24)
#define BACKLOG_MOST 3600.0 /* seconds of prompts to read */

static uint64_t believed(int64_t tokens)
{
	if (tokens < 0)
		return 0;
	return tokens < TOKENS_MOST ? (uint64_t)tokens : TOKENS_MOST;
}

static void advance(struct latency_flow *f, slo_nsec now)
{
	if (now <= f->changed)
		return;
	f->cached_time += f->cached * (uint64_t)(now - f->changed);
	f->changed = now;
}

void latency_flow_enter(struct latency_flow *f, slo_nsec now, int64_t input, int64_t output,
                        double prompt, struct latency_stay *stay)
{
	uint64_t p = believed(input), o = believed(output);
	double backlog = f->drained > now ? (double)(f->drained - now) / 1e9 : 0;

	/* It was foreseen by what was known then. No more can be unread than is there. */
	backlog = at_most(backlog, prompt * latency_flow_held(f));

	advance(f, now);
	stay->prompts = f->prompts;
	stay->cached_time = f->cached_time;
	stay->before = f->cached;
	stay->backlog = prompt > 0 ? (uint32_t)at_most(backlog / prompt, UINT32_MAX) : 0;
	stay->own = (uint32_t)(2 * p + o + (p + o == 0));
	f->prompts += p;
	f->cached += stay->own;
	f->drained = now + (slo_nsec)(at_most(backlog + prompt * (double)p, BACKLOG_MOST) * 1e9);
}

bool latency_flow_leave(struct latency_flow *f, slo_nsec now, slo_nsec since, int64_t output,
                        struct latency_stay *stay, struct latency_features *out)
{
	double mean;

	if (stay->own == 0)
		return false;
	advance(f, now);
	f->cached -= stay->own;
	stay->own = 0;
	if (now <= since)
		return false;
	mean = (double)(f->cached_time - stay->cached_time) / 2 / (double)(now - since);
	out->seconds = (double)(now - since) / 1e9;
	out->steps = (double)believed(output);
	out->prompts = (double)stay->backlog + (double)(f->prompts - stay->prompts);
	out->reads = out->steps * mean;
	return true;
}
