/* naive_queue.c - who waits, in which order, and who may go where. */
#include <stdlib.h>
#include <string.h>

#include "naive_private.h"

/* The deployments with a usable cell, ascending rank; ties stay in configuration order. */
size_t naive_options(const struct naive *n, const struct request *r, struct naive_option *out)
{
	const struct model *m = &n->model[r->ask.model];
	size_t count = 0;

	for (unsigned k = 0; k < m->deployments; k++) {
		const struct deployment *d = &m->deployment[k];
		struct naive_option o = { .deployment = k };
		size_t i;

		if (!naive_deployment_usable(n, d) ||
		    !naive_profile_start(&d->profile, &r->ask, &o.start))
			continue;
		if (r->ask.strategy == NAIVE_ADAPTIVE)
			o.start = naive_adaptive_start(d, &r->ask);
		for (i = count++; i > 0 && out[i - 1].start < o.start; i--)
			out[i] = out[i - 1];
		out[i] = o;
	}
	return count;
}

enum naive_reason naive_why_no_options(const struct model *m)
{
	for (unsigned k = 0; k < m->deployments; k++)
		if (m->deployment[k].profile.known)
			return NAIVE_NO_SLO;
	return NAIVE_NO_PROFILE;
}

static bool infeasible_somewhere(const struct naive *n, const struct request *r)
{
	const struct model *m = &n->model[r->ask.model];

	for (unsigned k = 0; k < m->deployments; k++) {
		const struct deployment *d = &m->deployment[k];

		if (naive_deployment_usable(n, d) && naive_profile_target(&d->profile, &r->ask) &&
		    naive_profile_zero(&d->profile, &r->ask))
			return true;
	}
	return false;
}

static void leave_infeasible(struct naive *n, slo_nsec now, uint32_t id)
{
	if (n->conf.infeasible_fallback)
		naive_place_anywhere(n, now, id, n->conf.fallback, NAIVE_FALLBACK,
		                     NAIVE_SLO_FAILURE);
	else
		naive_refuse(n, now, id, NAIVE_SLO_FAILURE);
}

/* Whether requests that are late everywhere go to any deployment, behind all others. */
static bool may_go_late(const struct naive *n)
{
	return n->conf.late == NAIVE_LATE_SERVE;
}

/* Of those of the least priority the last that came. */
uint32_t naive_least_important(const struct naive *n, const struct model *m)
{
	uint32_t least = m->queue[0];

	for (size_t i = 1; i < m->queued; i++)
		if (n->request[m->queue[i]].ask.priority <= n->request[least].ask.priority)
			least = m->queue[i];
	return least;
}

/* Classes of the targets of those of slo-adaptive that wait. */
static uint64_t targets_waiting(const struct naive *n, const struct model *m)
{
	uint64_t classes = 0;

	for (size_t i = 0; i < m->queued; i++) {
		const struct request *r = &n->request[m->queue[i]];
		struct naive_option option[NAIVE_DEPLOYMENTS];

		if (r->ask.strategy == NAIVE_ADAPTIVE && naive_options(n, r, option) > 0)
			classes |=
			    UINT64_C(1)
			    << naive_adaptive_class(&m->deployment[option[0].deployment], &r->ask);
	}
	return classes;
}

/* The same for slo-adaptive. */
static bool try_adaptive(struct naive *n, slo_nsec now, uint32_t id,
                         const struct naive_option *option, size_t options, bool *full)
{
	const struct request *r = &n->request[id];
	const struct model *m = &n->model[r->ask.model];
	unsigned feasible[NAIVE_DEPLOYMENTS];
	size_t count = 0;
	int server;

	for (size_t i = 0; i < options; i++)
		if (!naive_profile_zero(&m->deployment[option[i].deployment].profile, &r->ask))
			feasible[count++] = option[i].deployment;
	server = naive_adaptive_pick(n, now, id, feasible, count, targets_waiting(n, m));
	if (server >= 0)
		naive_place(n, now, id, server, NAIVE_ROUTE, NAIVE_NO_REASON);
	*full = count > 0;
	return server >= 0;
}

/* Tries one head. False: it has to wait. */
static bool try_head(struct naive *n, slo_nsec now, uint32_t id)
{
	const struct request *r = &n->request[id];
	const struct model *m = &n->model[r->ask.model];
	struct naive_option option[NAIVE_DEPLOYMENTS];
	size_t options = naive_options(n, r, option);
	bool full = false;

	if (options == 0) {
		if (infeasible_somewhere(n, r))
			leave_infeasible(n, now, id);
		else
			naive_place_anywhere(n, now, id, n->conf.fallback, NAIVE_FALLBACK,
			                     naive_why_no_options(m));
		return true;
	}
	if (n->conf.late == NAIVE_LATE_REJECT && option[0].start < now) {
		naive_refuse(n, now, id, NAIVE_SLO_FAILURE);
		return true;
	}
	if (r->ask.strategy == NAIVE_ADAPTIVE) {
		if (try_adaptive(n, now, id, option, options, &full))
			return true;
		options = 0;
	}
	for (size_t i = 0; i < options; i++) {
		const struct deployment *d = &m->deployment[option[i].deployment];
		uint64_t load = naive_load(d, &r->ask);
		int server;

		if (i > 0 && option[i].start < now && !(may_go_late(n) && option[0].start < now))
			break;
		if (naive_profile_zero(&d->profile, &r->ask))
			continue;
		if (r->ask.strategy == NAIVE_PACK)
			server = naive_pick_pack(n, d, load);
		else
			server = naive_pick_least_load(n, d);
		if (server >= 0 && naive_fits(naive_taken(n, (unsigned)server), load)) {
			naive_place(n, now, id, server, NAIVE_ROUTE, NAIVE_NO_REASON);
			return true;
		}
		full = true;
	}
	if (full && r->fresh && m->queued > n->conf.queue_limit) {
		n->request[id].fresh = false; /* one goes for it, however many wait */
		naive_refuse(n, now, naive_least_important(n, m), NAIVE_QUEUE_FULL);
		return true;
	}
	if (!full)
		leave_infeasible(n, now, id);
	return n->request[id].state != WAITING;
}

/* round(log2 t), and -1 for no tokens. */
static int size_class(int64_t t)
{
	int k = 0;

	if (t == 0)
		return -1;
	while ((uint64_t)t * (uint64_t)t >= UINT64_C(1) << (2 * k + 1)) /* t < 2^31 */
		k++;
	return k;
}

/* When a waiting request is given up: as soon as it cannot be in time any more, but not before
 * queue_timeout and not after hold_most. */
slo_nsec naive_held_until(const struct naive *n, uint32_t id)
{
	const struct request *r = &n->request[id];
	struct naive_option option[NAIVE_DEPLOYMENTS];
	slo_nsec least = n->conf.queue_timeout, most = n->conf.hold_most, until = SLO_NEVER;

	if (least != SLO_NEVER)
		until = r->arrived + least;
	if (most > least && naive_options(n, r, option) > 0 && option[0].start > until) {
		until = option[0].start;
		if (most != SLO_NEVER && r->arrived + most < until)
			until = r->arrived + most;
	}
	return until;
}

/* What a request's place depends on. */
struct place {
	uint32_t id;
	int input, output; /* size classes */
	bool listed;       /* has options */
	unsigned level;    /* of them in time, if that counts: sizes are told apart by it */
	bool late;         /* listed, but none in time: one of the last */
	slo_nsec start;    /* of the first option */
	slo_nsec due;      /* that; without an own target when it is given up, if that is sooner */
};

static struct place place_of(const struct naive *n, slo_nsec now, uint32_t id)
{
	const struct request *r = &n->request[id];
	struct naive_option option[NAIVE_DEPLOYMENTS];
	struct place p = { .id = id };
	size_t options = naive_options(n, r, option);

	p.input = size_class(r->ask.input);
	p.output = size_class(r->ask.output);
	p.listed = options > 0;
	p.start = p.listed ? option[0].start : 0;
	for (size_t i = 0; i < options && may_go_late(n); i++)
		p.level += option[i].start >= now;
	p.due = p.start;
	if (r->ask.own.e2e <= 0 && r->ask.own.ttft <= 0 && r->ask.own.tpot <= 0 &&
	    naive_held_until(n, id) < p.start)
		p.due = naive_held_until(n, id);
	p.late = p.listed && p.level == 0 && may_go_late(n);
	return p;
}

/* alike: of one size and level; else both are the first of theirs. */
static bool goes_before(const struct naive *n, const struct place *a, const struct place *b,
                        bool alike)
{
	const struct request *ra = &n->request[a->id], *rb = &n->request[b->id];
	slo_nsec ta = alike ? a->due : a->start, tb = alike ? b->due : b->start;

	if (ra->ask.priority != rb->ask.priority)
		return ra->ask.priority > rb->ask.priority;

	if (a->listed != b->listed)
		return !a->listed;
	if (a->late != b->late)
		return !a->late;
	if (a->listed && !a->late && ta != tb)
		return ta < tb;
	if (ra->ask.created != rb->ask.created)
		return ra->ask.created < rb->ask.created;
	return ra->seq < rb->seq;
}

/* Whether no other request of the queue that is of its size and level goes before it. */
bool naive_is_head(const struct naive *n, slo_nsec now, const struct model *m, uint32_t id)
{
	struct place p = place_of(n, now, id);

	for (size_t i = 0; i < m->queued; i++) {
		struct place other = place_of(n, now, m->queue[i]);

		if (other.input == p.input && other.output == p.output && other.level == p.level &&
		    m->queue[i] != id && goes_before(n, &other, &p, true))
			return false;
	}
	return true;
}

static size_t sorted_heads(const struct naive *n, slo_nsec now, struct place *out)
{
	size_t count = 0;

	for (unsigned k = 0; k < NAIVE_MODELS; k++) {
		const struct model *m = &n->model[k];

		for (size_t q = 0; n->concerned[k] && q < m->queued; q++) {
			struct place p = place_of(n, now, m->queue[q]);
			size_t i;

			if (!naive_is_head(n, now, m, m->queue[q]))
				continue;
			for (i = count++; i > 0 && goes_before(n, &p, &out[i - 1], false); i--)
				out[i] = out[i - 1];
			out[i] = p;
		}
	}
	return count;
}

/* Decisions for the models that an event concerns, until none of their heads can be decided. */
void naive_decide(struct naive *n, slo_nsec now)
{
	bool decided;

	do {
		size_t queued = 0, heads;
		struct place *head;

		for (unsigned m = 0; m < NAIVE_MODELS; m++)
			queued += n->model[m].queued;
		head = calloc(queued + 1, sizeof(*head));
		decided = false;
		heads = head == NULL ? 0 : sorted_heads(n, now, head);
		for (size_t i = 0; i < heads && !decided; i++)
			decided = try_head(n, now, head[i].id);
		free(head);
	} while (decided);
	memset(n->concerned, 0, sizeof(n->concerned));
}
