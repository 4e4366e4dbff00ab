/* The invariants of the whole scheduler, checked the plain way. */
#include <assert.h>
#include <string.h>

#include "core/adaptive.h"
#include "sched_private.h"

/* A server's load is the exact sum of its charges. */
static void check_ledger(const struct sched *s, const struct server *server)
{
	const struct request *r;
	struct ledger sum = { 0, 0 };

	TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link) {
		if (r->charge.ledger == &server->ledger) {
			sum.used += r->charge.load;
			sum.inflight++;
		}
	}
	assert(sum.used + server->surplus_load + server->withheld == fleet_load(server));
	assert(server->withheld == (server->ledger.inflight > 0 ? server->withhold : 0));
	assert(sum.inflight == fleet_leases(server));
	assert(server->surplus_count > 0 || server->surplus_load == 0);
	(void)sum;
}

/* So are the sums of slo-adaptive those of its stakes. */
static void check_sums(const struct sched *s, const struct server *server)
{
	const struct request *r;
	struct adaptive_sums sum = { 0 };

	TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link) {
		if (r->charge.ledger != &server->ledger || !r->stake.counted)
			continue;
		sum.harm += r->stake.harm;
		sum.reading += r->stake.reading;
		sum.work += r->stake.work;
		sum.targets.by_class[r->stake.class]++;
		sum.targets.classes |= UINT64_C(1) << r->stake.class;
		sum.count++;
	}
	assert(sum.harm == server->sums.harm && sum.reading == server->sums.reading);
	assert(sum.work == server->sums.work && sum.count == server->sums.count);
	assert(sum.targets.classes == server->sums.targets.classes);
	assert(memcmp(sum.targets.by_class, server->sums.targets.by_class,
	              sizeof(sum.targets.by_class)) == 0);
	(void)sum;
}

static void check_deployments(const struct pool *pool)
{
	for (size_t i = 0; i < pool->deployments; i++) {
		const struct deployment *d = pool->deployment[i];
		double planned = (fleet_learned(d) ? &d->force.rates : &d->given)->headroom;

		adaptive_room_check(d);
		assert(guard_sane(d->guard.share, d->guard.seen, d->guard.missed));
		planned -= d->planned.headroom / d->guard.share;
		assert(planned < 1e-9 && planned > -1e-9);
		(void)planned;
	}
}

/* A lease is on its server's list, in order of dispatch, and departed if a process left since. */
static void check_leases(const struct sched *s, const struct server *server)
{
	const struct request *r;
	slo_nsec before = INT64_MIN;
	size_t n = 0;

	TAILQ_FOREACH (r, &server->leases, lease) {
		assert(r->state == REQUEST_DISPATCHED && r->charge.ledger == &server->ledger);
		assert(r->generation == s->generation && !r->hidden);
		assert(r->since >= before || server->disordered);
		before = r->since;
		n++;
	}
	assert(n + server->departed_count + server->hidden_count == fleet_leases(server));
	n = 0;
	TAILQ_FOREACH (r, &server->hidden, lease) {
		assert(r->state == REQUEST_DISPATCHED && r->charge.ledger == &server->ledger);
		assert(r->hidden);
		n++;
	}
	assert(n == server->hidden_count);
	n = 0;
	TAILQ_FOREACH (r, &server->departed, lease) {
		assert(r->state == REQUEST_DISPATCHED && r->charge.ledger == &server->ledger);
		assert(r->generation != s->generation && !r->hidden);
		n++;
	}
	assert(n == server->departed_count);
	(void)before;
	(void)n;
}

/* Where some of ours just ended the others know of less room, by the next step at the latest. */
static void check_spared(const struct sched *s, const struct server *server)
{
	struct server before = *server;
	slo_load most;

	before.left = 0;
	most = foreign_to_spare(s, &before);
	assert(server->left > 0 ? server->spared <= most : server->spared == most);
	(void)most;
}

/* What is spared on a server follows from the fresh leases there. */
static void check_fresh(const struct sched *s)
{
	const struct request *first = NULL, *r;
	const struct server *server;
	size_t left = 0;

	LIST_FOREACH (server, &s->servers, link) {
		slo_load load = 0;
		uint32_t n = 0;

		TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link) {
			bool here = r->fresh && r->charge.ledger == &server->ledger;

			n += here;
			load += here ? r->charge.load : 0;
			first = !first && r->fresh ? r : first;
		}
		assert(n == server->fresh_count && load == server->fresh_load);
		check_spared(s, server);
		left += server->left > 0;
		(void)load;
		(void)n;
	}
	LIST_FOREACH (server, &s->foreign.left, left_link) {
		assert(server->left > 0);
		left--;
	}
	assert(left == 0);
	(void)left;
	assert(LIST_EMPTY(&s->servers) || first == s->foreign.fresh);
	assert(!first || (s->foreign.others > 0 && !s->foreign.deaf && first->owner == 0));
	(void)first;
}

/* Every foreign lease is its owner's and its server's, and an owner without any was not forgotten.
 */
static void check_foreign(const struct sched *s)
{
	const struct foreign_owner *o = NULL;
	const struct server *server;
	const struct request *r;
	size_t open = 0, of_servers = 0;
	const struct request *unkept = NULL;

	while ((o = foreign_owner_next(s, o))) {
		size_t n = 0;

		TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link)
			n += r->owner == o->number;
		assert(n == o->open && (n > 0 || o->known));
		open += n;
	}
	LIST_FOREACH (server, &s->servers, link)
		of_servers += server->foreign;
	TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link) {
		assert(r->owner == 0 || foreign_owner_of(s, r)->visible == !r->hidden);
		assert(r->owner != 0 || (!r->hidden && !r->ending));
		open -= r->owner != 0;
		unkept = !unkept && r->unkept ? r : unkept;
	}
	assert(open == 0 && of_servers == s->foreign.open);
	assert(unkept == s->foreign.unkept && (!unkept || unkept->owner == 0));
	(void)unkept;
	(void)open;
	(void)of_servers;
}

/* Whether a request of that load could be placed in d. */
static bool has_place(const struct deployment *d, slo_load load)
{
	for (const struct seat *seat = d->seats; seat; seat = seat->next)
		if (seat->server->usable && ledger_fits(seat->server->ledger.used, load))
			return true;
	return false;
}

/* Who waits hears of every change. */
static void check_told(const struct pool *pool)
{
	for (size_t i = 0; pool->waiting && i < pool->deployments; i++)
		for (const struct seat *seat = pool->deployment[i]->seats; seat; seat = seat->next)
			assert(seat->is_told == seat->server->usable);
}

/* Whether an open server may have been missed when r was tried, and be seen now that the loads of
 * others grew. */
static bool may_miss(const struct sched_model *m, const struct rank_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (m->pool.deployment[options[i].deployment]->usable > ADAPTIVE_CANDIDATES)
			return true;
	return false;
}

static bool has_adaptive_place(const struct sched_model *m, const struct request *r,
                               const struct rank_option *options, size_t n)
{
	struct adaptive_choice unused;

	return adaptive_choose((struct pool *)&m->pool, r, m->queue.looked, options, n, NULL,
	                       &unused);
}

/* After a decision round no head is left that could be placed. */
static void check_settled(const struct sched *s, const struct sched_model *m)
{
	struct rank_option options[SLO_DEPLOYMENTS_MAX];

	for (size_t i = 0; i < m->queue.heads; i++) {
		const struct request *r = m->queue.head[i].bucket->first;
		size_t n = rank_options(&m->pool, r, options);

		/* Time alone changes nothing: levels are those of the queue's last look. */
		assert(n > 0);
		if (r->strategy == SLO_STRATEGY_ADAPTIVE) {
			assert(may_miss(m, options, n) || !has_adaptive_place(m, r, options, n));
			continue;
		}
		for (size_t o = 0; o < n && rank_open(options, o, m->queue.looked, s->conf.late);
		     o++) {
			const struct deployment *d = m->pool.deployment[options[o].deployment];

			assert(options[o].infeasible || !has_place(d, options[o].load));
		}
		(void)n;
	}
}

/* No request knows a model that is gone, or is charged to a server that is. */
static void check_owners(const struct sched *s)
{
	for (int i = 0; i < REQUEST_STATES; i++) {
		const struct request *r;

		TAILQ_FOREACH (r, &s->requests.list[i], link) {
			const struct sched_model *m = NULL;
			const struct server *server = NULL;

			TAILQ_FOREACH (m, &s->models, link)
				if (m == r->model)
					break;
			assert(m == r->model);
			if (i != REQUEST_DISPATCHED)
				continue;
			LIST_FOREACH (server, &s->servers, link)
				if (server == fleet_server_of(&r->charge))
					break;
			assert(server);
		}
	}
}

void sched_check(const struct sched *s)
{
	const struct server *server;
	const struct sched_model *m;
	const struct request *r;
	size_t queued = 0, dispatched = 0;

	requests_check(&s->requests);
	past_check(&s->past);
	check_foreign(s);
	check_fresh(s);
	check_owners(s);
	TAILQ_FOREACH (m, &s->models, link) {
		fleet_check(&m->pool);
		queue_check(&m->queue);
		check_deployments(&m->pool);
		queued += m->queue.length;
		dispatched += m->dispatched;
		assert(m->pool.waiting == (m->queue.length > 0));
		if (!m->dirty) {
			check_settled(s, m);
			check_told(&m->pool);
		}
	}
	assert(queued == s->requests.count[REQUEST_QUEUED]);
	TAILQ_FOREACH (r, &s->requests.list[REQUEST_DISPATCHED], link)
		dispatched -= r->model != NULL;
	assert(dispatched == 0);
	(void)queued;
	LIST_FOREACH (server, &s->servers, link) {
		check_ledger(s, server);
		check_sums(s, server);
		check_leases(s, server);
	}
}
