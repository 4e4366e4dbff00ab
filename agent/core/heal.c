/* How the ledger finds back to what HAProxy really serves. A round is one question to all HAProxy
 * processes and its answers; server 1 has two leases, the end line of one was lost, grace is 3 s:
 *
 *   round  asked  leases  HAProxy has  released since  missing  what follows
 *   1      10 s   2       2            0               0        nothing is wrong
 *   2      11 s   2       1            0               1        remembered
 *   3      12 s   2       2            1               0        HAProxy may have counted the one
 *                                                               just released: it says nothing
 *   4      13 s   2       1            0               1        remembered
 *   5      14 s   2       1            0               1        since 11 s, which is the grace:
 *                                                               the oldest lease is given up
 *
 * Had nothing been released before round 3, its 2 would say that nothing is missing: forgotten.
 * What counts is the least that was missing in all rounds of the grace: a request that ends while
 * the answers come is missing once, a lost one always. A server that HAProxy says is idle, twice,
 * needs no grace. What HAProxy has too much is charged at once (surplus): to overload a server
 * would be worse than to spare it for a second.
 *
 * Leases that a process holds which a reload replaced cannot be counted: HAProxy's numbers are of
 * the new ones. They are `departed`, and are given up some time after the change. */
#include "core/heal.h"

#include "sched_private.h"

void heal_init(struct heal *h, slo_nsec poll, slo_nsec grace, slo_nsec departed)
{
	*h = (struct heal){ .poll = poll, .grace = grace, .departed = departed, .before = -1 };
}

void heal_ask(struct heal *h, struct sched *s, slo_nsec now)
{
	h->asked = now;
	h->round = ++s->round;
}

void heal_count(const struct heal *h, struct server *server, uint32_t sessions)
{
	struct heal_view *v = &server->view;

	if (v->round != h->round)
		v->sessions = 0;
	v->known = true;
	v->round = h->round;
	v->sessions += sessions < UINT32_MAX - v->sessions ? sessions : UINT32_MAX - v->sessions;
}

void heal_process_changed(struct heal *h, struct sched *s, slo_nsec now)
{
	sched_process_changed(s, now);
	h->before = -1;
}

/* Leases that HAProxy has not: those that it may not have yet are left out. */
static uint32_t missing(const struct heal *h, const struct server *server, uint32_t sessions)
{
	uint32_t leases = fleet_leases(server) - server->departed_count - server->hidden_count;
	const struct request *r = TAILQ_LAST(&server->leases, leases);

	for (; leases > sessions && r && r->since > h->asked - HEAL_ON_ITS_WAY; leases--)
		r = TAILQ_PREV(r, leases, lease);
	return leases > sessions ? leases - sessions : 0;
}

static bool is_old(const struct heal *h, const struct heal_past *p)
{
	return p->asked <= h->asked - h->grace + h->poll / 2;
}

/* Of the rounds that are older than the grace only the youngest is of use. */
static void forget_old(const struct heal *h, struct heal_view *v)
{
	uint32_t n = 0;

	while (n + 1 < v->pasts && is_old(h, &v->past[n + 1]))
		n++;
	v->pasts -= n;
	for (uint32_t i = 0; i < v->pasts; i++)
		v->past[i] = v->past[i + n];
}

/* Rounds that come too often are put together, so that the span fits. */
static void remember(const struct heal *h, struct heal_view *v, struct heal_past now)
{
	struct heal_past *last = v->pasts > 0 ? &v->past[v->pasts - 1] : NULL;

	if (!last || now.asked - last->asked >= h->grace / (HEAL_PAST - 3)) {
		v->past[v->pasts++] = now;
		return;
	}
	last->missing = now.missing < last->missing ? now.missing : last->missing;
	last->idle &= now.idle;
}

/* What the k-th round and all after it agree on. */
static uint32_t least_missing(const struct heal_view *v, uint32_t k)
{
	uint32_t least = UINT32_MAX;

	for (; k < v->pasts; k++)
		least = v->past[k].missing < least ? v->past[k].missing : least;
	return least;
}

/* Whether the last round that found something missing is too long ago to go with this one. */
static bool is_broken(const struct heal *h, const struct heal_view *v)
{
	return h->before < 0 || (v->pasts > 0 && h->asked - v->past[v->pasts - 1].asked > h->grace);
}

/* How many leases of the server are over. */
static uint32_t lost(const struct heal *h, struct server *server, uint32_t sessions,
                     uint32_t released)
{
	struct heal_view *v = &server->view;
	struct heal_past now = { h->asked, missing(h, server, sessions), sessions == 0 };
	uint32_t others = sessions > released ? sessions - released : 0;
	uint32_t n = 0;

	/* HAProxy may have counted what was released in this round. Without that, would some be
	 * missing? Then the round says nothing. */
	if (is_broken(h, v) || missing(h, server, others) == 0)
		v->pasts = 0;
	if (now.missing == 0)
		return 0;
	forget_old(h, v);
	if (v->pasts > 0 && is_old(h, &v->past[0]))
		n = least_missing(v, 0);
	else if (v->pasts > 0 && now.idle && v->past[v->pasts - 1].idle)
		n = v->past[v->pasts - 1].missing;
	n = n < now.missing ? n : now.missing;
	remember(h, v, now);
	for (uint32_t i = 0; i < v->pasts; i++)
		v->past[i].missing -= n < v->past[i].missing ? n : v->past[i].missing;
	return n;
}

static void put_right(const struct heal *h, struct sched *s, slo_nsec now, struct server *server,
                      bool whole)
{
	struct heal_view *v = &server->view;
	bool touched = server->round == s->round;
	uint32_t released = touched ? server->released : 0;
	uint32_t sessions = v->round == h->round ? v->sessions : 0;
	uint32_t told = fleet_leases(server) - server->hidden_count;
	uint64_t ours = (uint64_t)told + released;
	uint32_t surplus = sessions > ours ? (uint32_t)(sessions - ours) : 0;

	if (whole || v->round == h->round) {
		v->drift = (int64_t)sessions - (int64_t)told;
		v->counted = now - HEAL_LINE_TIME;
	}
	if (whole || surplus > server->surplus_count)
		sched_server_surplus(s, server, surplus);
	if (!whole)
		return;
	while (sched_expire_departed(s, now, server, h->departed))
		;
	for (uint32_t n = lost(h, server, sessions, released); n > 0; n--)
		sched_expire_oldest(s, now, server);
}

void heal_conclude(struct heal *h, struct sched *s, slo_nsec now, bool whole)
{
	struct server *server;

	/* After a pause, end lines of it may still be on their way. */
	if (h->asked - h->before > 3 * h->poll)
		h->before = -1;
	LIST_FOREACH (server, &s->servers, link)
		if (server->view.known)
			put_right(h, s, now, server, whole);
	h->before = whole ? h->asked : -1;
}

void heal_stop(struct sched *s)
{
	struct server *server;

	LIST_FOREACH (server, &s->servers, link) {
		sched_server_surplus(s, server, 0);
		server->view = (struct heal_view){ 0 };
	}
}

/* repairs, also by those who know better than HAProxy */

void sched_server_surplus(struct sched *s, struct server *server, uint32_t count)
{
	slo_load before = server->ledger.used;
	uint32_t count_before = server->surplus_count;

	fleet_surplus(server, count);
	if (server->ledger.used < before)
		sched_room_on(s, server);
	if (tapped(s) && (server->ledger.used != before || server->surplus_count != count_before))
		tap_server(s, SLO_EVENT_SURPLUS, server);
}

void sched_surplus_restore(struct sched *s, struct server *server, uint32_t count, slo_load load)
{
	slo_load before = server->ledger.used;

	fleet_surplus_of(server, count, load);
	if (server->ledger.used < before)
		sched_room_on(s, server);
}

bool sched_expire_oldest(struct sched *s, slo_nsec now, struct server *server)
{
	struct request *r = TAILQ_FIRST(&server->leases);

	if (!r)
		return false;
	s->ends_lost += r->owner == 0;
	sched_lease_expire(s, now, r, FLEET_REPAIR_EXPIRED);
	return true;
}

/* Of all in the list: what waited at a process that left stands behind younger ones. */
static size_t expire_until(struct sched *s, slo_nsec now, const struct leases *list, slo_nsec until)
{
	struct request *r, *next;
	size_t n = 0;

	for (r = TAILQ_FIRST(list); r; r = next) {
		next = TAILQ_NEXT(r, lease);
		if (r->since > until)
			continue;
		sched_lease_expire(s, now, r, FLEET_REPAIR_EXPIRED);
		n++;
	}
	return n;
}

size_t sched_expire_until(struct sched *s, slo_nsec now, struct server *server, slo_nsec until)
{
	return expire_until(s, now, &server->departed, until) +
	       expire_until(s, now, &server->hidden, until) +
	       expire_until(s, now, &server->leases, until);
}

void sched_process_changed(struct sched *s, slo_nsec now)
{
	struct server *server;

	s->generation++;
	s->changed[s->generation % GENERATIONS] = now;
	LIST_FOREACH (server, &s->servers, link) {
		TAILQ_CONCAT(&server->departed, &server->leases, lease);
		server->near = NULL;
		server->departed_count = fleet_leases(server) - server->hidden_count;
	}
}

bool sched_expire_departed(struct sched *s, slo_nsec now, struct server *server, slo_nsec grace)
{
	struct request *r = TAILQ_FIRST(&server->departed);
	uint32_t left, changes;

	if (!r)
		return false;
	/* Of what left so long ago that it is not told apart, the oldest change that is known. */
	changes = s->generation - r->generation;
	left = changes < GENERATIONS ? r->generation + 1 : s->generation - (GENERATIONS - 1);
	if (grace > now - s->changed[left % GENERATIONS])
		return false;
	sched_lease_expire(s, now, r, FLEET_REPAIR_EXPIRED);
	return true;
}
