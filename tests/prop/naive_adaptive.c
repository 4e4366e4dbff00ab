/* naive_adaptive.c - slo-adaptive, computed anew from all requests in flight.
 *
 * Of a deployment with more than six usable servers the core does not weigh all, so what it missed
 * is left to it: see choose(). */
#include <math.h>

#include "naive_private.h"

#define ONE     (UINT64_C(1) << 32)
#define WEIGHED 6
#define FIRST   8

static double tokens(int64_t t)
{
	return t > 0 ? (double)t : 1;
}

static double target_of(const struct deployment *d, const struct naive_request *r, bool *ttft)
{
	return (double)naive_profile_span(&d->profile, r, ttft) / 1e9;
}

static double headroom_of(const struct deployment *d)
{
	return d->rates.headroom * d->share;
}

static double own_of(const struct naive_rates *q, const struct naive_request *r)
{
	return q->step * tokens(r->output);
}

static double prompt_of(const struct naive_rates *q, const struct naive_request *r)
{
	return q->prompt * tokens(r->input);
}

static double others_of(const struct naive_rates *q, const struct naive_request *r)
{
	return prompt_of(q, r) +
	       q->cached * tokens(r->output) * (tokens(r->input) + tokens(r->output) / 2);
}

uint64_t naive_adaptive_load(const struct deployment *d, const struct naive_request *r)
{
	double share = ((double)r->input + (double)r->output + 1) / d->rates.kv;

	return naive_floored(d, (uint64_t)(fmin(share, 4096) * (double)ONE));
}

int naive_adaptive_class(const struct deployment *d, const struct naive_request *r)
{
	bool ttft;
	slo_nsec span = naive_profile_span(&d->profile, r, &ttft);
	int class = 0;

	while (span > 1) {
		span /= 2;
		class ++;
	}
	return class;
}

/* The time on a server that holds as many of them as its cache and the target allow. */
slo_nsec naive_adaptive_start(const struct deployment *d, const struct naive_request *r)
{
	const struct naive_rates *q = &d->rates;
	double own = own_of(q, r), prompt = prompt_of(q, r), others = others_of(q, r);
	double n = (double)INFINITY, late = 0, busy, expected, target, planned, most_late;
	bool ttft;

	target = target_of(d, r, &ttft);
	planned = target * headroom_of(d);
	if (!ttft && target > 0) {
		n = (planned - own) / others;
		late = (1 - planned / (own + others)) / 0.2;
	}
	if (ttft) {
		double most = (planned - q->step) / prompt - 1, share;

		n = 0;
		if (most > 0) {
			share = fmin(2 * most / (1 + 2 * most), 0.95);
			n = prompt > share * others ? share * own / (prompt - share * others)
			                            : (double)INFINITY;
		}
		late = 1 - n;
	}
	/* The later it is even alone, the nearer to as many that each takes twice as long. */
	if (n < 1)
		n = 1 + fmin(late, 1) * (1 + own / others);
	n = fmax(fmin(n, q->kv / (tokens(r->input) + tokens(r->output))), 1);
	busy = fmin(n * prompt / (own + n * others), 0.95);
	expected = ttft ? prompt * (1 + busy / (2 - 2 * busy)) + q->step : own + n * others;
	most_late = fmax(ttft ? prompt + q->step : own + others, target);
	if (most_late > 0)
		expected = fmin(expected, most_late);
	return r->created + naive_profile_span(&d->profile, r, &ttft) -
	       (slo_nsec)(fmin(expected, 1e9) * 1e9);
}

static int64_t believed(int64_t t)
{
	return t > 1 << 24 ? 1 << 24 : t;
}

/* Tokens that the requests on the server hold, in the mean of their stays. */
static double held(const struct naive *n, unsigned server)
{
	int64_t halves = 0;

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];
		int64_t own = 2 * believed(r->ask.input) + believed(r->ask.output);

		if (r->server == server)
			halves += own > 0 ? own : 1;
	}
	return (double)halves / 2;
}

struct naive_sums naive_sums(const struct naive *n, unsigned server)
{
	struct naive_sums s = { .drained = n->server[server].drained };

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->server != server || !r->staked)
			continue;
		s.harm += r->harm;
		s.reading += r->reading;
		s.work += r->work;
		s.count++;
	}
	return s;
}

void naive_adaptive_reads(struct naive *n, slo_nsec now, unsigned server,
                          const struct deployment *d, const struct naive_request *r)
{
	slo_nsec *drained = &n->server[server].drained;
	double prompt = d != NULL && d->profile.known ? d->rates.prompt : 0;
	double left = *drained > now ? (double)(*drained - now) / 1e9 : 0;

	/* It is not yet one of those that are there, of whom no more can be unread than they hold.
	 */
	left = fmin(left, prompt * held(n, server));
	*drained = now + (slo_nsec)(fmin(left + prompt * (double)believed(r->input), 3600) * 1e9);
}

static uint64_t fixed(double share)
{
	return (uint64_t)(fmin(share, 1) * ((double)ONE - 1));
}

static uint64_t ns(double seconds)
{
	return seconds > 0 ? (uint64_t)(fmin(seconds, 1e5) * 1e9) : 0;
}

static bool has_tight(const struct naive *n, unsigned server, int class, uint64_t waiting)
{
	for (int k = 0; k <= class - 2; k++)
		if (waiting >> k & 1)
			return true;
	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->server == server && r->staked && r->class <= class - 2)
			return true;
	}
	return false;
}

/* One server's, where it is told how many run at once. Else sixteen caches; two on the first usable
 * ones of a deployment, of eight and more a quarter. */
static uint64_t most_load(const struct naive *n, unsigned server, const struct model *m,
                          const struct deployment *d)
{
	size_t usable = 0, before = 0;

	if (d->rates.floor > 0)
		return ONE;
	for (size_t i = 0; i < d->servers; i++) {
		unsigned other = d->server[i];

		usable += n->server[other].usable;
		before += n->server[other].usable && m->seated[other] < m->seated[server];
	}
	return before >= 1 && before >= usable / 4 ? 16 * ONE : 2 * ONE;
}

/* Tight work keeps away from where sixteen caches may be, if relaxed work is there or waits. */
static double in_the_way(const struct naive *n, unsigned server, const struct model *m,
                         const struct deployment *d, const struct naive_request *r,
                         uint64_t waiting)
{
	int class = naive_adaptive_class(d, r);
	bool relaxed = false;

	for (int k = class + 2; k < 64; k++)
		relaxed = relaxed || (waiting >> k & 1);
	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *other = &n->request[n->dispatched[i]];

		relaxed = relaxed ||
		          (other->server == server && other->staked && other->class >= class + 2);
	}
	return relaxed && most_load(n, server, m, d) == 16 * ONE ? 0.3 : 0;
}

static bool is_open(const struct naive *n, unsigned server, const struct deployment *d,
                    const struct naive_request *r, uint64_t waiting)
{
	const struct naive_rates *q = &d->rates;
	uint64_t used = naive_taken(n, server), load = naive_adaptive_load(d, r);
	struct naive_sums s = naive_sums(n, server);
	double own = own_of(q, r), others = others_of(q, r), prompt = prompt_of(q, r), planned,
	       most;
	int64_t spare;
	bool ttft;

	planned = fmax(target_of(d, r, &ttft), 1e-6) * headroom_of(d);
	if (used == 0)
		return true;
	if (!naive_fits(used, load) &&
	    (used + load > most_load(n, server, &n->model[r->model], d) ||
	     has_tight(n, server, naive_adaptive_class(d, r), waiting)))
		return false;
	if (!ttft) {
		spare = (int64_t)ns(planned - own) - (int64_t)ns(others);
		if (spare < 0)
			spare = (int64_t)ns(fmin((1 - planned / (own + others)) / 0.2, 1) *
			                    (own + others));
		return (int64_t)s.work <= spare;
	}
	most = (planned - q->step) / prompt - 1;
	most = most > 0 ? fmin(2 * most / (1 + 2 * most), 0.9) : 0;
	spare = (int64_t)fixed(most) - (int64_t)fixed(prompt / (own + others));
	return (int64_t)s.reading <= (spare < (int64_t)fixed(0.5) ? (int64_t)fixed(0.5) : spare);
}

/* Until its end, and until its first token. */
static double foresee(const struct naive *n, slo_nsec now, unsigned server,
                      const struct deployment *d, const struct naive_request *r, double *first)
{
	const struct naive_rates *q = &d->rates;
	struct naive_sums s = naive_sums(n, server);
	double p = tokens(r->input), o = tokens(r->output), there = held(n, server);
	double queue = s.drained > now ? (double)(s.drained - now) / 1e9 : 0;
	double over = there + p + o - q->kv;
	double reading = fmin((double)s.reading / (double)ONE, 0.9);
	double decode = own_of(q, r) + q->cached * o * (there + p + o / 2);

	if (q->kv_told && over > 0 && there > 0)
		queue = fmax(over / there * ((double)s.work / 1e9), queue);
	*first = queue + prompt_of(q, r) + q->step;
	return queue + prompt_of(q, r) + decode / (1 - reading);
}

static void set_stake(struct request *r, const struct deployment *d, double ends, double first,
                      slo_nsec now)
{
	double age = now > r->ask.created ? (double)(now - r->ask.created) / 1e9 : 0, x, target;
	bool ttft;

	target = fmax(target_of(d, &r->ask, &ttft), 1e-6);
	x = (age + (ttft ? first : ends)) / target;
	r->staked = true;
	r->age = d->age;
	r->span = naive_profile_span(&d->profile, &r->ask, &ttft);
	r->foreseen = ttft ? 0 : (float)(x * target);
	r->harm = (uint64_t)(fmin(2 * fmin(x, 8) / target, 1e4) * (double)ONE);
	r->reading = fixed(prompt_of(&d->rates, &r->ask) / ends);
	r->work = ns(others_of(&d->rates, &r->ask));
	r->class = naive_adaptive_class(d, &r->ask);
}

void naive_adaptive_alone(struct naive *n, uint32_t id, const struct deployment *d)
{
	struct request *r = &n->request[id];
	const struct naive_rates *q = &d->rates;

	if (!d->profile.known || !naive_profile_target(&d->profile, &r->ask))
		return;
	set_stake(r, d, own_of(q, &r->ask) + others_of(q, &r->ask), prompt_of(q, &r->ask) + q->step,
	          r->placed);
	r->foreseen = 0;
}

void naive_adaptive_known(struct naive *n, unsigned model, const struct deployment *d)
{
	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->ask.model == model && !r->of_none && r->owner != 0 &&
		    r->ask.strategy == NAIVE_ADAPTIVE && !r->staked &&
		    n->model[model].seated[r->server] != 0 &&
		    naive_deployment_of(&n->model[model], r->server) == d)
			naive_adaptive_alone(n, n->dispatched[i], d);
	}
}

/* More than 10 of 100 that were to end in 0.7 of their target's time are late: a fifth less is
 * planned with, at least half. 100 of which fewer are late: a hundredth more. */
void naive_adaptive_ended(struct naive *n, slo_nsec now, const struct request *r)
{
	struct model *m = &n->model[r->ask.model];
	struct deployment *d = NULL;
	double before;

	for (unsigned k = 0; k < m->deployments; k++)
		if (m->deployment[k].age == r->age)
			d = &m->deployment[k];
	if (d == NULL || !r->staked || !(r->foreseen > 0) ||
	    (double)r->foreseen >= 0.7 * ((double)r->span / 1e9))
		return;
	before = d->share;
	d->seen++;
	if (now - r->ask.created > r->span)
		d->missed++;
	if (d->missed > 10) {
		d->share = fmax(d->share * 0.8, 0.5);
		d->age = ++n->ages;
	} else if (d->seen >= 100) {
		d->share = fmin(d->share + 0.01, 1);
	} else {
		return;
	}
	d->seen = d->missed = 0;
	/* Other rates: all are ranked anew, also those whom the end itself says nothing. */
	n->concerned[r->ask.model] |= d->share < before || d->share > before;
}

/* A share of a cache that another type takes as less than half of that. */
static double penalty(const struct model *m, const unsigned *deployment, size_t deployments,
                      size_t at, const struct naive_request *r)
{
	uint64_t load = naive_adaptive_load(&m->deployment[deployment[at]], r);

	for (size_t i = 0; i < deployments; i++)
		if (load > ONE / 3 &&
		    naive_adaptive_load(&m->deployment[deployment[i]], r) < load / 2)
			return 0.1;
	return 0;
}

/* A server that is open to a request. */
struct offer {
	const struct deployment *d;
	unsigned server;
	uint64_t cost; /* in units */
	double ends, first;
	bool usual;   /* it is always weighed */
	bool shallow; /* weighed if the best is one that tight work keeps away from */
	bool in_the_way;
};

static bool is_better(const struct model *m, const struct offer *a, const struct offer *b)
{
	return b == NULL || a->cost < b->cost ||
	       (a->cost == b->cost && m->seated[a->server] < m->seated[b->server]);
}

/* Whether one of them has less harm; of equals less is taken, then it stands first. */
static bool has_less_harm(const struct naive *n, const struct model *m, unsigned a, unsigned b)
{
	uint64_t x = naive_sums(n, a).harm, y = naive_sums(n, b).harm;

	if (x != y)
		return x < y;
	x = naive_taken(n, a);
	y = naive_taken(n, b);
	return x != y ? x < y : m->seated[a] < m->seated[b];
}

static bool is_emptier(const struct naive *n, const struct model *m, unsigned a, unsigned b)
{
	uint64_t x = naive_taken(n, a), y = naive_taken(n, b);

	return x != y ? x < y : m->seated[a] > m->seated[b];
}

/* Of its deployment six with least harm and the six emptiest are weighed; and if the best is one
 * that tight work keeps away from, the shallow ones of the first eight. */
static void set_kind(const struct naive *n, const struct model *m, struct offer *o)
{
	size_t usable = 0, harmless = 0, emptier = 0, before = 0;

	for (size_t i = 0; i < o->d->servers; i++) {
		unsigned other = o->d->server[i];

		before += m->seated[other] < m->seated[o->server];
		if (!n->server[other].usable)
			continue;
		usable++;
		harmless += has_less_harm(n, m, other, o->server);
		emptier += is_emptier(n, m, other, o->server);
	}
	o->usual = usable <= WEIGHED || harmless < WEIGHED || emptier < WEIGHED;
	o->shallow = before < FIRST && most_load(n, o->server, m, o->d) < 16 * ONE;
}

static uint64_t cost_of(const struct offer *o, const struct naive *n, slo_nsec now,
                        const struct request *r, double penalty)
{
	double age = now > r->ask.created ? (double)(now - r->ask.created) / 1e9 : 0, x;
	bool ttft;

	x = fmax(target_of(o->d, &r->ask, &ttft), 1e-6);
	x = (age + (ttft ? o->first : o->ends)) / x;
	return (uint64_t)(fmin(x * x +
	                           others_of(&o->d->rates, &r->ask) *
	                               ((double)naive_sums(n, o->server).harm / (double)ONE) +
	                           penalty,
	                       1e12) *
	                  1048576);
}

/* Of all servers of these deployments, those that are open. */
static size_t offers_to(const struct naive *n, slo_nsec now, const struct request *r,
                        const unsigned *deployment, size_t deployments, uint64_t waiting,
                        struct offer *out)
{
	const struct model *m = &n->model[r->ask.model];
	size_t count = 0;

	for (size_t i = 0; i < deployments; i++) {
		const struct deployment *d = &m->deployment[deployment[i]];

		for (size_t k = 0; k < d->servers; k++) {
			struct offer *o = &out[count];
			unsigned server = d->server[k];
			double way;

			if (!n->server[server].usable || !is_open(n, server, d, &r->ask, waiting))
				continue;
			*o = (struct offer){ .d = d, .server = server };
			way = in_the_way(n, server, m, d, &r->ask, waiting);
			o->in_the_way = way > 0;
			o->ends = foresee(n, now, server, d, &r->ask, &o->first);
			o->cost = cost_of(o, n, now, r,
			                  penalty(m, deployment, deployments, i, &r->ask) + way);
			set_kind(n, m, o);
			count++;
		}
	}
	return count;
}

/* Of those that are always weighed, or of the shallow ones of d that are better than `best`. */
static const struct offer *best_of(const struct model *m, const struct offer *offer, size_t count,
                                   const struct deployment *d, const struct offer *best)
{
	for (size_t i = 0; i < count; i++)
		if ((d == NULL ? offer[i].usual : offer[i].shallow && offer[i].d == d) &&
		    is_better(m, &offer[i], best))
			best = &offer[i];
	return best;
}

/* The answer of the scheduler under test is about it, and the k-th offer was taken. */
static bool was_taken(const struct naive *n, uint32_t id, const struct offer *offer)
{
	return (int)offer->server == n->told[n->actions].server && n->told[n->actions].id == id;
}

/* What the scheduler under test may choose beside `usual`: among several deployments a better
 * shallow one may be found before `usual` is; and one that waits is looked at where room is new, if
 * not all that is open was weighed before. */
static bool may_take(const struct naive *n, const struct request *r, size_t deployments,
                     const struct offer *offer, const struct offer *usual)
{
	const struct model *m = &n->model[r->ask.model];

	if (r->waits && (r->open != 0 || usual == NULL))
		return true;
	return usual != NULL && deployments > 1 && offer->shallow && is_better(m, offer, usual);
}

/* So it may wait, too, while nothing opens that was not open when it was tried. */
static bool may_wait(const struct naive *n, uint32_t id, const struct offer *offer, size_t count)
{
	const struct request *r = &n->request[id];
	unsigned found = 0;

	if (!r->waits || (n->actions < n->n_told && n->told[n->actions].id == id))
		return false;
	for (size_t i = 0; i < count; i++)
		found |= (unsigned)offer[i].usual << offer[i].server;
	return (found & ~r->open) == 0;
}

static const struct offer *choose(const struct naive *n, uint32_t id, size_t deployments,
                                  const struct offer *offer, size_t count)
{
	const struct request *r = &n->request[id];
	const struct model *m = &n->model[r->ask.model];
	const struct offer *usual = best_of(m, offer, count, NULL, NULL), *best = usual;

	if (usual != NULL && usual->in_the_way)
		best = best_of(m, offer, count, usual->d, usual);
	for (size_t i = 0; n->actions < n->n_told && i < count; i++)
		if (was_taken(n, id, &offer[i]) && may_take(n, r, deployments, &offer[i], best))
			return &offer[i];
	return may_wait(n, id, offer, count) ? NULL : best;
}

int naive_adaptive_pick(struct naive *n, slo_nsec now, uint32_t id, const unsigned *deployment,
                        size_t deployments, uint64_t tight_waiting)
{
	struct request *r = &n->request[id];
	struct offer offer[NAIVE_SERVERS] = { 0 };
	size_t count = offers_to(n, now, r, deployment, deployments, tight_waiting, offer);
	const struct offer *best = choose(n, id, deployments, offer, count);

	if (best != NULL) {
		set_stake(r, best->d, best->ends, best->first, now);
		return (int)best->server;
	}
	r->waits = true;
	r->open = 0;
	for (size_t i = 0; i < count; i++)
		r->open |= 1u << offer[i].server;
	return -1;
}
