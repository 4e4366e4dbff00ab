/* Leases of ours that whoever tells of them did not keep yet. They stand in the list of what is
 * dispatched, in order, so the oldest one is all there is to know. */
#include "sched_private.h"

static struct request *next_unkept(struct request *r)
{
	do
		r = TAILQ_NEXT(r, link);
	while (r && !r->unkept);
	return r;
}

void foreign_tell(struct sched *s, struct request *r)
{
	r->unkept = true;
	if (!s->foreign.unkept)
		s->foreign.unkept = r;
	s->foreign.news.dispatched(s->foreign.news.arg, r);
}

void foreign_keep(struct sched *s, struct request *r)
{
	if (s->foreign.unkept == r)
		s->foreign.unkept = next_unkept(r);
	r->unkept = false;
}

const struct request *foreign_unkept(const struct sched *s)
{
	return s->foreign.unkept;
}

void foreign_kept(struct sched *s)
{
	foreign_keep(s, s->foreign.unkept);
}

bool foreign_is_kept(const struct request *r)
{
	return !r->unkept;
}
