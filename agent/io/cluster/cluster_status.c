/* What /state.json, /metrics and the control socket are told. */
#include <stdio.h>

#include "cluster_private.h"
#include "io/base/clock.h"

static void print_url(const struct cluster *c, char out[REDIS_URL_TEXT_MAX])
{
	const struct redis_sentinels *s = &c->conf->sentinels;

	if (s->count == 0)
		redis_url_print(&c->conf->redis.url, out);
	else
		snprintf(out, REDIS_URL_TEXT_MAX, "redis+sentinel://%.200s:%u/%s", s->at[0].host,
		         s->at[0].port, s->service);
}

struct cluster_status cluster_status(const struct cluster *c)
{
	struct cluster_status s = { .configured = c->conf != NULL,
		                    .name = c->name,
		                    .group = c->group };

	if (!c->conf)
		return s;
	print_url(c, s.url);
	s.connected = cluster_link_is_up(&c->link);
	s.joined = c->joined;
	s.refused = c->refused;
	s.error = c->link.error;
	s.connections = c->link.connections;
	s.told = c->tell.told;
	s.heard = c->heard;
	s.lost = c->tell.lost;
	s.rewrites = c->tell.rewrites;
	s.malformed = c->malformed;
	s.unknown = c->unknown;
	s.full_requests = c->full[FULL_REQUESTS].count;
	s.full_agents = c->full[FULL_AGENTS].count;
	s.delay = &c->delay;
	s.longest = c->link.tell.longest > c->link.hear.longest ? c->link.tell.longest
	                                                        : c->link.hear.longest;
	return s;
}

bool cluster_peer_status(const struct cluster *c, size_t i, struct cluster_peer_status *out)
{
	slo_nsec now = clock_nsec();
	const struct cluster_peer *p;

	if (i >= c->peer_count)
		return false;
	p = c->peer[i];
	*out = (struct cluster_peer_status){
		.name = p->name,
		.self = p->self,
		.age = p->heard ? now - p->heard : -1,
		.silent = hear_is_silent(p, now),
		.visible = p->owner->visible,
		.leases = p->owner->open,
		.incarnation = p->incarnation,
		.number = p->number,
		.gaps = p->gaps,
		.resyncs = p->resyncs,
	};
	return true;
}
