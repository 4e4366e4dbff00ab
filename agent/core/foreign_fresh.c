/* Leases of ours that the others may not have heard of.
 *
 * A crowd reaches two agents at the same moment, each knows of 8 free places on a server, a message
 * takes 1 ms:
 *
 *   0 ms   both take 4 and spare the other 4: as many as they took, for the other
 *   1 ms   each hears that the other took 4, and that its own 4 are known: nothing is free
 *
 * Room that a request of ours leaves, of which others have heard, and another one takes before
 * anybody is told, is nobody else's: the others hear of both at once. So it is taken even while all
 * the rest is spared, and nothing is spared for it. What is not taken in that round of decisions is
 * told to be free, and belongs to nobody any more. Room that another's request left is as any: its
 * owner may take it again, for a request that came since.
 *
 * So two agents put no more than one request too many on a server, of the same weight, as long as
 * messages come in time.
 *
 * With one agent alive nothing is spared. If nobody tells for FRESH_MAX that others have heard us,
 * nobody listens, and nothing is spared until somebody does again. */
#include "sched_private.h"

/* Of an agent that waits for its CPU, too. */
#define FRESH_MAX (50 * SLO_NSEC_PER_MSEC)

/* So much as the others may take there while ours are fresh: as many as we did and one more each,
 * all of the same weight. Beyond a whole server more makes no difference. */
static slo_load may_be_taken(const struct sched *s, const struct server *server)
{
	slo_load each;

	if (server->fresh_count == 0 || server->fresh_load >= SLO_LOAD_ONE)
		return server->fresh_count == 0 ? 0 : SLO_LOAD_ONE;
	each = server->fresh_load + server->fresh_load / server->fresh_count;
	return s->foreign.others * each < SLO_LOAD_ONE ? s->foreign.others * each : SLO_LOAD_ONE;
}

/* Of room that ours left nobody else knows. */
slo_load foreign_to_spare(const struct sched *s, const struct server *server)
{
	slo_load spare = may_be_taken(s, server), taken = fleet_load(server) + server->left, known;

	if (server->left == 0)
		return spare;
	known = taken < SLO_LOAD_ONE ? SLO_LOAD_ONE - taken : 0;
	return spare < known ? spare : known;
}

/* A small request lowers the mean, so less may be spared with it than without. */
static void settle(struct sched *s, struct server *server)
{
	slo_load before = server->spared;

	fleet_spare(server, foreign_to_spare(s, server));
	if (server->spared < before)
		sched_room_on(s, server);
}

static struct request *next_fresh(struct request *r)
{
	do
		r = TAILQ_NEXT(r, link);
	while (r && !r->fresh);
	return r;
}

void foreign_fresh(struct sched *s, struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);

	r->fresh = true;
	if (!s->foreign.fresh)
		s->foreign.fresh = r;
	server->fresh_count++;
	server->fresh_load += r->charge.load;
	settle(s, server);
}

void foreign_left(struct sched *s, const struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);

	if (server->left == 0 && r->charge.load > 0)
		LIST_INSERT_HEAD(&s->foreign.left, server, left_link);
	server->left += r->charge.load;
}

void foreign_server_gone(struct server *server)
{
	if (server->left > 0)
		LIST_REMOVE(server, left_link);
	server->left = 0;
}

void foreign_round(struct sched *s)
{
	struct server *server;

	LIST_FOREACH (server, &s->foreign.left, left_link)
		settle(s, server);
}

void foreign_round_over(struct sched *s)
{
	struct server *server;

	while ((server = LIST_FIRST(&s->foreign.left))) {
		foreign_server_gone(server);
		settle(s, server);
	}
}

/* Takes it from what ours left there. Who needs more takes what others know of, too. */
static bool takes_what_was_left(struct sched *s, const struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);
	bool enough = server->left >= r->charge.load;

	if (server->left > 0 && server->left <= r->charge.load)
		foreign_server_gone(server);
	else if (server->left > 0)
		server->left -= r->charge.load;
	settle(s, server);
	return enough;
}

void foreign_placed(struct sched *s, struct request *r)
{
	bool pulls = policy_pulls((enum slo_strategy)r->strategy) && !r->fallback;

	if (!s->foreign.deaf && !takes_what_was_left(s, r) && pulls)
		foreign_fresh(s, r);
}

void foreign_fresh_no_more(struct sched *s, struct request *r)
{
	struct server *server = fleet_server_of(&r->charge);

	if (s->foreign.fresh == r)
		s->foreign.fresh = next_fresh(r);
	r->fresh = false;
	server->fresh_count--;
	server->fresh_load -= r->charge.load;
	settle(s, server);
}

void foreign_heard(struct sched *s, slo_nsec now, slo_nsec until)
{
	struct foreign *f = &s->foreign;

	if (!f->deaf && (!f->fresh || f->fresh->since > until))
		return;
	f->deaf = false;
	while (f->fresh && f->fresh->since <= until)
		foreign_fresh_no_more(s, f->fresh);
	if (tapped(s))
		tap_heard(s, now, until);
}

bool foreign_unheard(const struct sched *s)
{
	return s->foreign.fresh != NULL;
}

void foreign_others(struct sched *s, size_t others)
{
	struct foreign *f = &s->foreign;

	if (others > FOREIGN_OWNERS_MAX)
		others = FOREIGN_OWNERS_MAX;
	if (f->others == others)
		return;
	f->others = (uint32_t)others;
	f->deaf = false;
	for (struct request *r = f->fresh; r; r = next_fresh(r))
		settle(s, fleet_server_of(&r->charge));
	while (others == 0 && f->fresh)
		foreign_fresh_no_more(s, f->fresh);
	if (tapped(s))
		tap_others(s);
}

slo_nsec foreign_fresh_until(const struct sched *s)
{
	return s->foreign.fresh ? slo_after(s->foreign.fresh->since, FRESH_MAX) : SLO_NEVER;
}

void foreign_fresh_give_up(struct sched *s)
{
	s->foreign.deaf = true;
	while (s->foreign.fresh)
		foreign_fresh_no_more(s, s->foreign.fresh);
}
