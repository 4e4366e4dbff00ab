/* naive_fresh.c - what others may not have heard of, and what is spared for them. */
#include "naive_private.h"

#define ONE  (UINT64_C(1) << 32)
#define WAIT (50 * SLO_NSEC_PER_MSEC)

/* Each of the others may take as many as we did, and one more of their mean. */
static uint64_t may_be_taken(const struct naive *n, unsigned server)
{
	uint64_t sum = 0, count = 0;

	for (size_t i = 0; n->others > 0 && i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (!r->unheard || r->server != server)
			continue;
		sum += r->load;
		count++;
	}
	if (count == 0)
		return 0;
	return sum >= ONE || n->others * (sum + sum / count) >= ONE
	           ? ONE
	           : n->others * (sum + sum / count);
}

/* No more than the others can know of: they do not know what ended here in this event. */
uint64_t naive_spared(const struct naive *n, unsigned server)
{
	const struct server *s = &n->server[server];
	uint64_t taken = may_be_taken(n, server), known = 0;

	if (s->used + s->left < ONE)
		known = ONE - s->used - s->left;
	return s->left > 0 && known < taken ? known : taken;
}

uint64_t naive_taken(const struct naive *n, unsigned server)
{
	return n->server[server].used + naive_spared(n, server);
}

/* Room that appears is looked at; a small one, placed too, lowers the mean that is spared. */
static void spare_anew(struct naive *n, unsigned server, uint64_t before)
{
	if (naive_spared(n, server) < before)
		naive_concerns_server(n, server);
}

/* Room of what ended here, taken in the same moment, nobody else takes. */
void naive_placed(struct naive *n, uint32_t id)
{
	struct request *r = &n->request[id];
	struct server *s = &n->server[r->server];
	uint64_t before = naive_spared(n, r->server);

	if (n->others == 0 || n->deaf)
		return;
	if (s->left >= r->load) {
		s->left -= r->load;
		return;
	}
	s->left = 0;
	if (r->ask.strategy == NAIVE_PUSH || r->ask.strategy == NAIVE_LEAST_REQUEST ||
	    r->ask.strategy == NAIVE_RANDOM)
		return;
	r->unheard = true;
	spare_anew(n, r->server, before);
}

void naive_fresh_no_more(struct naive *n, uint32_t id)
{
	struct request *r = &n->request[id];
	uint64_t before = naive_spared(n, r->server);

	r->unheard = false;
	spare_anew(n, r->server, before);
}

/* Of those that were placed until then. */
static void none_is_fresh(struct naive *n, slo_nsec until)
{
	for (size_t i = 0; i < n->n_dispatched; i++)
		if (n->request[n->dispatched[i]].unheard &&
		    n->request[n->dispatched[i]].placed <= until)
			naive_fresh_no_more(n, n->dispatched[i]);
}

slo_nsec naive_fresh_until(const struct naive *n)
{
	slo_nsec first = SLO_NEVER;

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->unheard && r->placed + WAIT < first)
			first = r->placed + WAIT;
	}
	return first;
}

void naive_give_up(struct naive *n, slo_nsec now)
{
	if (naive_fresh_until(n) > now)
		return;
	n->deaf = true;
	none_is_fresh(n, now);
}

void naive_others(struct naive *n, slo_nsec t, unsigned others)
{
	uint64_t before[NAIVE_SERVERS];

	for (unsigned s = 0; s < NAIVE_SERVERS; s++)
		before[s] = naive_spared(n, s);
	n->deaf = n->deaf && n->others == others;
	n->others = others;
	for (unsigned s = 0; s < NAIVE_SERVERS; s++)
		spare_anew(n, s, before[s]);
	if (others == 0)
		none_is_fresh(n, t);
	naive_settle(n, t);
}

void naive_heard(struct naive *n, slo_nsec t, slo_nsec until)
{
	n->deaf = false;
	none_is_fresh(n, until);
	naive_settle(n, t);
}
