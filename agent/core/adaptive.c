#include "core/adaptive.h"

#include <assert.h>
#include <string.h>

#include "core/bounds.h"

#define PENALTY       0.1
#define PENALTY_DEEP  0.3
#define LARGE         (SLO_LOAD_ONE / 3) /* of a cache, where another type takes it as half of that */
#define READING_MOST  0.9
#define READING_LEAST 0.5 /* a prompt beside it takes 1.5 times its time */
#define LATE_MOST     8.0
/* Thousands of these fit into a sum: */
#define HARM_MOST     1e4
#define WORK_MOST     1e5 /* seconds */
#define COST_UNIT     1048576.0
#define COST_MOST     1e12
#define FIX           4294967296.0

_Static_assert(ADAPTIVE_CANDIDATES == SEAT_FEW, "so many of an order are weighed");

/* A request in one deployment. */
struct plan {
	const struct latency_rates *rates;
	double input, output;
	double age, target; /* seconds */
	double prompt, own, others;
	double soonest; /* x on the fastest idle server: nowhere is it less */
	double penalty;
	uint64_t work; /* ns */
	struct adaptive_want want;
	unsigned class; /* of its target */
	bool ttft;
};

struct best {
	uint64_t cost;
	struct seat *seat;
};

unsigned adaptive_class(slo_nsec target)
{
	return target > 0 ? 63 - (unsigned)__builtin_clzll((unsigned long long)target) : 0;
}

slo_load adaptive_need(slo_load load)
{
	slo_load over = (ADAPTIVE_OVERFILL - 1) * SLO_LOAD_ONE;

	return load > over ? load - over : 0;
}

/* Those of a quarter of the target and less, about. */
static uint64_t tighter_than(unsigned class)
{
	return class >= 2 ? (UINT64_C(1) << (class - 1)) - 1 : 0;
}

/* Those that one of that class is tight beside. */
static uint64_t more_relaxed_than(unsigned class)
{
	return class + ADAPTIVE_TIGHTER < ADAPTIVE_CLASSES
	           ? UINT64_MAX << (class + ADAPTIVE_TIGHTER)
	           : 0;
}

static uint64_t nsec(double seconds)
{
	return seconds > 0 ? (uint64_t)(at_most(seconds, WORK_MOST) * 1e9) : 0;
}

static uint64_t fixed(double share)
{
	return (uint64_t)(at_most(share, 1) * (FIX - 1));
}

/* The share of the time that prompts may take so that a first token comes in time. */
static double reading_in_time(double target, double prompt, double step)
{
	double most = (target - step) / prompt - 1;

	return most > 0 ? at_most(2 * most / (1 + 2 * most), READING_MOST) : 0;
}

/* From what waits inside an engine nothing is learned, so where times are learned it may wait there
 * only if the cache's size was told. And how many run at once is told so that none waits there. */
static slo_load most_in(const struct deployment *d, bool deep)
{
	if (d->floor > 0 || (fleet_learned(d) && !fleet_rates(d)->kv_told))
		return SLO_LOAD_ONE;
	return (deep ? ADAPTIVE_OVERFILL : ADAPTIVE_SHALLOW) * SLO_LOAD_ONE;
}

slo_load adaptive_most(const struct seat *seat)
{
	return most_in(seat->deployment, fleet_is_deep(seat));
}

/* 0 to 1, of what takes longer than planned even alone. */
static double late_of(const struct plan *p, double planned)
{
	return at_most((1 - planned / (p->own + p->others)) / LATENCY_LATE_BY, 1);
}

/* What is not foreseen in time even alone takes twice as long as alone at most, as in
 * latency_usual(): it does not wait for an idle server. Nor does a first token, for the share of
 * time that others read says little of how soon a server can begin. */
static void want_make(struct plan *p, slo_load load)
{
	const struct latency_rates *q = p->rates;
	double planned = p->target * q->headroom;
	struct adaptive_want *w = &p->want;

	w->load = load;
	w->class = (uint8_t)p->class;
	w->work = INT64_MAX;
	w->reading = INT64_MAX;
	if (!p->ttft) {
		w->work = (int64_t)nsec(planned - p->own) - (int64_t)p->work;
		if (w->work < 0)
			w->work = (int64_t)nsec(late_of(p, planned) * (p->own + p->others));
		return;
	}
	w->reading = (int64_t)fixed(reading_in_time(planned, p->prompt, q->step)) -
	             (int64_t)fixed(p->prompt / (p->own + p->others));
	if (w->reading < (int64_t)fixed(READING_LEAST))
		w->reading = (int64_t)fixed(READING_LEAST);
}

static void plan_make(struct plan *p, const struct deployment *d, slo_nsec span, bool ttft,
                      const struct request *r, slo_nsec now)
{
	const struct latency_rates *q = fleet_rates(d);

	p->rates = q;
	p->input = r->input > 0 ? r->input : 1;
	p->output = r->output > 0 ? r->output : 1;
	p->age = now > r->created ? (double)(now - r->created) / 1e9 : 0;
	p->target = at_least((double)span / 1e9, 1e-6);
	p->ttft = ttft;
	p->class = adaptive_class(span);
	p->prompt = q->prompt * p->input;
	p->own = q->step * p->output;
	p->others = p->prompt + q->cached * p->output * (p->input + p->output / 2);
	p->work = nsec(p->others);
}

bool adaptive_is_open(const struct adaptive_want *w, const struct seat *seat)
{
	const struct server *s = seat->server;
	slo_load used = s->ledger.used;

	if (used == 0)
		return true;
	if (!ledger_fits(used, w->load) &&
	    (used + w->load > adaptive_most(seat) ||
	     ((s->sums.targets.classes | seat->deployment->pool->targets.classes) &
	      tighter_than(w->class))))
		return false;
	return (int64_t)s->sums.work <= w->work && (int64_t)s->sums.reading <= w->reading;
}

/* Whether it would close a server that may be deep to more relaxed work that is there or waits. */
static bool is_in_the_way(const struct plan *p, const struct seat *seat)
{
	uint64_t classes =
	    seat->server->sums.targets.classes | seat->deployment->pool->targets.classes;

	return fleet_is_deep(seat) && (classes & more_relaxed_than(p->class)) &&
	       adaptive_most(seat) > SLO_LOAD_ONE;
}

/* Seconds until it ends, and until its prompt is read. */
static double foresee(const struct plan *p, const struct seat *seat, slo_nsec now, double *first)
{
	const struct latency_rates *q = p->rates;
	const struct server *s = seat->server;
	double held = latency_flow_held(&s->flow) * q->crowd;
	double queue = s->flow.drained > now ? (double)(s->flow.drained - now) / 1e9 : 0;
	double over = held + p->input + p->output - q->kv;
	double reading = at_most((double)s->sums.reading / FIX, READING_MOST);
	double decode = p->own + q->cached * p->output * (held + p->input + p->output / 2);

	if (q->kv_told && over > 0 && held > 0)
		queue = at_least(over / held * ((double)s->sums.work / 1e9), queue);
	*first = (queue + p->prompt + q->step) * seat->slower;
	return (queue + p->prompt + decode / (1 - reading)) * seat->slower;
}

static double lateness(const struct plan *p, double ends, double first)
{
	return (p->age + (p->ttft ? first : ends)) / p->target;
}

/* As foresee() and lateness() have it where nothing runs, by the same steps: what rounding does to
 * one it does to the other. */
static double soonest(const struct plan *p)
{
	const struct latency_rates *q = p->rates;
	double decode = p->own + q->cached * p->output * (p->input + p->output / 2);

	return lateness(p, p->prompt + decode, p->prompt + q->step);
}

/* In units. No less for more lateness or more harm. */
static uint64_t cost_of(const struct plan *p, double x, uint64_t harm, double penalty)
{
	double cost = x * x + p->others * ((double)(int64_t)harm / FIX) + penalty;

	return (uint64_t)(int64_t)(at_most(cost, COST_MOST) * COST_UNIT);
}

/* Whether a server of that cost and that place in the configuration is not the best one. */
static bool is_beaten(const struct best *best, uint64_t cost, uint64_t order)
{
	return best->seat &&
	       (cost > best->cost || (cost == best->cost && order >= best->seat->order));
}

/* The same of all servers of p with that harm or more, but for those before that place. */
static bool are_beaten(const struct plan *p, const struct best *best, uint64_t harm, uint64_t order)
{
	return is_beaten(best, cost_of(p, p->soonest, harm, p->penalty), order);
}

static void weigh(const struct plan *p, struct seat *seat, slo_nsec now, struct best *best)
{
	double first, ends = foresee(p, seat, now, &first);
	double penalty = p->penalty + (is_in_the_way(p, seat) ? PENALTY_DEEP : 0);
	uint64_t c = cost_of(p, lateness(p, ends, first), seat->server->sums.harm, penalty);

	if (is_beaten(best, c, seat->order))
		return;
	best->cost = c;
	best->seat = seat;
}

/* It is looked at next. */
static void fetch(const struct seat_entry *e)
{
	__builtin_prefetch(&e->seat->server->ledger);
	__builtin_prefetch(&e->seat->server->sums);
}

/* Those with least harm, as long as one of them can be the best. False: none of the others can. */
static bool weigh_harmless(const struct plan *p, struct deployment *d, slo_nsec now,
                           struct best *best, uint64_t *weighed)
{
	const struct seat_heap *order = fleet_least(d, SEAT_BY_HARM);
	const struct seat_entry *few = order->at;
	size_t n = seat_heap_few(order);

	for (size_t i = 0; i < n; i++) {
		if (are_beaten(p, best, few[i].harm, d->seats->order))
			return false;
		if (i + 1 < n)
			fetch(&few[i + 1]);
		if (adaptive_is_open(&p->want, few[i].seat))
			weigh(p, few[i].seat, now, best);
		*weighed = few[i].harm;
	}
	return n > 0;
}

/* Those with less harm than `weighed` were looked at already. */
static void weigh_emptiest(const struct plan *p, struct deployment *d, uint64_t weighed,
                           slo_nsec now, struct best *best)
{
	const struct seat_heap *order = fleet_least(d, SEAT_BY_LOAD);
	const struct seat_entry *few = order->at;
	size_t n = seat_heap_few(order);

	for (size_t i = 0; i < n; i++)
		if (few[i].harm >= weighed && !are_beaten(p, best, few[i].harm, few[i].order) &&
		    adaptive_is_open(&p->want, few[i].seat))
			weigh(p, few[i].seat, now, best);
}

/* Tight work that would be in the way there may find a shallow one that is neither among the
 * emptiest nor among those with least harm: it costs less by PENALTY_DEEP. */
static void weigh_shallow(const struct plan *p, struct deployment *d, slo_nsec now,
                          struct best *best)
{
	struct seat *seat = d->seats;

	for (size_t i = 0; i < ADAPTIVE_FIRST && seat != d->deep; i++, seat = seat->next)
		if (seat->server->usable &&
		    !are_beaten(p, best, seat->server->sums.harm, seat->order) &&
		    adaptive_is_open(&p->want, seat))
			weigh(p, seat, now, best);
}

static void weigh_all(const struct plan *p, struct deployment *d, slo_nsec now, struct best *best)
{
	uint64_t weighed;

	/* Of few servers all were looked at. */
	if (!weigh_harmless(p, d, now, best, &weighed) || d->usable <= ADAPTIVE_CANDIDATES)
		return;
	weigh_emptiest(p, d, weighed, now, best);
	if (best->seat && (best->seat->deployment != d || is_in_the_way(p, best->seat)))
		weigh_shallow(p, d, now, best);
}

void adaptive_wants(const struct deployment *d, const struct request *r,
                    const struct rank_option *option, struct adaptive_want *out)
{
	struct plan p;

	plan_make(&p, d, option->span, option->ttft, r, r->created);
	want_make(&p, option->load);
	*out = p.want;
}

static slo_load least_load(const struct rank_option *options, size_t n)
{
	slo_load least = SLO_LOAD_MAX;

	for (size_t i = 0; i < n; i++)
		if (!options[i].infeasible && options[i].load < least)
			least = options[i].load;
	return least;
}

static struct adaptive_stake stake_of(const struct plan *p, double ends, double x)
{
	double harm = 2 * at_most(x, LATE_MOST) / p->target;

	return (struct adaptive_stake){
		.harm = (uint64_t)(at_most(harm, HARM_MOST) * FIX),
		.work = p->work,
		.foreseen = p->ttft ? 0 : (float)(x * p->target),
		.reading = (uint32_t)fixed(p->prompt / ends),
		.class = (uint8_t)p->class,
	};
}

/* Whether all servers of d that would be weighed are too full, whatever else is on them. */
static bool are_full(struct deployment *d, const struct rank_option *option)
{
	const struct seat_heap *order = fleet_least(d, SEAT_BY_LOAD);
	slo_load load = option->load, used = order->few > 0 ? order->at[0].load : SLO_LOAD_MAX;

	if (ledger_fits(used, load))
		return false;
	return used + load > most_in(d, d->deep) || (d->room.known && load > d->room.load) ||
	       (d->pool->targets.classes & tighter_than(adaptive_class(option->span)));
}

/* Whether too much is on all of those that would be weighed. */
static bool are_closed(const struct adaptive_room *room, const struct adaptive_want *w)
{
	return room->known &&
	       (w->load > room->load || w->work < room->work || w->reading < room->reading);
}

/* What one decision looks at. */
struct choosing {
	struct pool *pool;
	const struct request *r;
	slo_nsec now;
	const struct rank_option *options;
	size_t n;
	slo_load least;    /* of all options */
	struct plan *plan; /* [n] */
	struct best best;
	size_t option; /* of the best */
};

static struct deployment *deployment_of(const struct choosing *c, size_t i)
{
	return c->pool->deployment[c->options[i].deployment];
}

static void plan_option(const struct choosing *c, size_t i)
{
	const struct rank_option *o = &c->options[i];
	struct plan *p = &c->plan[i];

	plan_make(p, deployment_of(c, i), o->span, o->ttft, c->r, c->now);
	p->penalty = o->load > LARGE && c->least < o->load / 2 ? PENALTY : 0;
	p->soonest = soonest(p);
}

/* What any server of an option costs at least; UINT64_MAX: none can take it. Returns the option
 * that costs least at least. */
static size_t find_bounds(const struct choosing *c, uint64_t *bound)
{
	size_t least = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct seat_heap *order = fleet_least(deployment_of(c, i), SEAT_BY_HARM);
		const struct plan *p = &c->plan[i];

		bound[i] = UINT64_MAX;
		if (c->options[i].infeasible || order->few == 0)
			continue;
		plan_option(c, i);
		bound[i] = cost_of(p, p->soonest, order->at[0].harm, p->penalty);
		if (bound[i] < bound[least])
			least = i;
	}
	return least;
}

static void weigh_option(struct choosing *c, size_t i, struct seat *only)
{
	struct deployment *d = deployment_of(c, i);
	const struct seat *before = c->best.seat;
	struct plan *p = &c->plan[i];

	want_make(p, c->options[i].load);
	if (only) {
		if (adaptive_is_open(&p->want, only))
			weigh(p, only, c->now, &c->best);
	} else if (!are_closed(&d->room, &p->want)) {
		weigh_all(p, d, c->now, &c->best);
		/* Whoever comes next mostly finds them closed as well. */
		if (!c->best.seat && !d->room.known)
			adaptive_find_room(d);
	}
	if (c->best.seat != before)
		c->option = i;
}

static bool is_full(const struct choosing *c, size_t i)
{
	return c->options[i].infeasible || are_full(deployment_of(c, i), &c->options[i]);
}

static bool all_are_full(const struct choosing *c)
{
	size_t i = 0;

	while (i < c->n && is_full(c, i))
		i++;
	return i == c->n;
}

/* In the option that looks best first: then the others mostly are beaten at once. */
static void weigh_options(struct choosing *c)
{
	uint64_t bound[SLO_DEPLOYMENTS_MAX] = { 0 };
	size_t first;

	if (all_are_full(c))
		return;
	first = find_bounds(c, bound);
	for (size_t k = 0; k < c->n; k++) {
		size_t i = k == 0 ? first : k <= first ? k - 1 : k;

		if (bound[i] == UINT64_MAX ||
		    is_beaten(&c->best, bound[i], deployment_of(c, i)->seats->order) ||
		    is_full(c, i))
			continue;
		weigh_option(c, i, NULL);
	}
}

/* The others are closed. */
static void weigh_only(struct choosing *c, struct seat *only)
{
	for (size_t i = 0; only->server->usable && i < c->n; i++) {
		if (deployment_of(c, i) != only->deployment || c->options[i].infeasible)
			continue;
		plan_option(c, i);
		weigh_option(c, i, only);
	}
}

bool adaptive_choose(struct pool *pool, const struct request *r, slo_nsec now,
                     const struct rank_option *options, size_t n, struct seat *only,
                     struct adaptive_choice *out)
{
	struct plan plan[SLO_DEPLOYMENTS_MAX];
	struct choosing c = { .pool = pool,
		              .r = r,
		              .now = now,
		              .options = options,
		              .n = n,
		              .least = least_load(options, n),
		              .plan = plan };
	double ends, first, x;

	if (only)
		weigh_only(&c, only);
	else
		weigh_options(&c);
	if (!c.best.seat)
		return false;
	ends = foresee(&plan[c.option], c.best.seat, now, &first);
	x = lateness(&plan[c.option], ends, first);
	out->option = c.option;
	out->seat = c.best.seat;
	out->stake = stake_of(&plan[c.option], ends, x);
	out->stake.guard = c.best.seat->deployment->guard.number;
	return true;
}

bool adaptive_stake_alone(const struct seat *seat, const struct request *r,
                          struct adaptive_stake *out)
{
	const struct latency_rates *q = fleet_rates(seat->deployment);
	struct goal goal = r->goal.kind != GOAL_NONE ? r->goal : rank_goal(seat->deployment, r);
	struct plan p;
	double ends, first;

	if (goal.kind == GOAL_NONE || !(q->step > 0))
		return false;
	plan_make(&p, seat->deployment, goal_span(&goal, r->input, r->output),
	          goal.kind == GOAL_TTFT, r, r->since);
	ends = p.own + p.others;
	first = p.prompt + q->step;
	*out = stake_of(&p, ends, lateness(&p, ends, first));
	out->foreseen = 0;
	return true;
}

static void target_comes(struct adaptive_targets *t, unsigned class)
{
	t->by_class[class]++;
	t->classes |= UINT64_C(1) << class;
}

/* True if it was the last one of its class. */
static bool target_goes(struct adaptive_targets *t, unsigned class)
{
	assert(t->by_class[class] > 0);
	if (--t->by_class[class] > 0)
		return false;
	t->classes &= ~(UINT64_C(1) << class);
	return true;
}

void adaptive_waits(struct pool *pool, struct request *r, const struct rank_option *option)
{
	struct goal goal;

	r->target = ADAPTIVE_CLASSES;
	if (r->strategy != SLO_STRATEGY_ADAPTIVE || !option)
		return;
	goal = rank_goal(pool->deployment[option->deployment], r);
	r->target = (uint8_t)adaptive_class(goal_span(&goal, r->input, r->output));
	target_comes(&pool->targets, r->target);
}

void adaptive_waits_no_more(struct pool *pool, const struct request *r)
{
	if (r->target == ADAPTIVE_CLASSES || !target_goes(&pool->targets, r->target))
		return;
	for (size_t i = 0; i < pool->deployments; i++)
		fleet_freed(pool->deployment[i]);
}

void adaptive_enter(struct server *s, struct request *r, const struct adaptive_stake *stake)
{
	struct adaptive_sums *sums = &s->sums;

	r->stake = *stake;
	r->stake.counted = true;
	sums->harm += stake->harm;
	sums->reading += stake->reading;
	sums->work += stake->work;
	target_comes(&sums->targets, stake->class);
	sums->count++;
}

void adaptive_leave(struct server *s, struct request *r)
{
	struct adaptive_sums *sums = &s->sums;

	if (!r->stake.counted)
		return;
	r->stake.counted = false;
	assert(sums->count > 0);
	sums->harm -= r->stake.harm;
	sums->reading -= r->stake.reading;
	sums->work -= r->stake.work;
	(void)target_goes(&sums->targets, r->stake.class);
	sums->count--;
}
