/* Messages of others, to the scheduler.
 *
 * A message is taken at once, also while its sender's key is being read: what comes twice is known,
 * and what ended before it was read stays over (core/foreign.h). So only numbers have to be
 * watched: after a gap the key is read again (cluster_read.c).
 *
 * What an agent places comes on a channel of its own. One of whom we hear for the first time is
 * listened to first, and its key is read as soon as Redis says that we are. */
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "io/agent/warn.h"
#include "io/base/clock.h"

#define AHEAD            8 /* records that are read before the first of them counts */
/* For polls and beats to come; shorter than the default of haproxy.grace. */
#define DIFFERS_PATIENCE (2 * SLO_NSEC_PER_SEC)

bool hear_is_silent(const struct cluster_peer *p, slo_nsec now)
{
	return p->self || p->heard == 0 || now - p->heard > CLUSTER_SILENT;
}

/* Who speaks */

static void is_not_heard(struct cluster *c, slo_nsec now, struct slice name)
{
	if (c->peer_count == PEERS_MAX || foreign_is_full(c->agent->sched))
		cluster_is_full(c, now, FULL_AGENTS);
	else
		log_limited(c->agent->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "out of memory, a message of %.*s is not heard", (int)name.len,
		            (const char *)name.p);
}

struct cluster_peer *hear_peer(struct cluster *c, struct slice name)
{
	struct cluster_peer *p;

	for (size_t i = 0; i < c->peer_count; i++)
		if (slice_eq(name, c->peer[i]->name))
			return c->peer[i];
	p = c->peer_count < PEERS_MAX ? calloc(1, sizeof(*p)) : NULL;
	if (p)
		p->owner = foreign_owner(c->agent->sched, (const char *)name.p, name.len);
	if (!p || !p->owner) {
		is_not_heard(c, clock_nsec(), name);
		free(p);
		return NULL;
	}
	memcpy(p->name, name.p, name.len);
	p->self = slice_eq(name, c->name);
	p->known = clock_nsec();
	if (p->self)
		foreign_owner_is_self(p->owner);
	foreign_owner_visible(c->agent->sched, p->owner, true); /* until it tells otherwise */
	c->peer[c->peer_count++] = p;
	return p;
}

/* What they placed */

static struct server *server_of(const struct cluster *c, const struct news_lease *l)
{
	const struct roster_server *s =
	    roster_server_find(&c->agent->roster, l->backend, l->server);

	return s ? s->server : NULL;
}

void hear_lease(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                const struct news_record *r, uint64_t hash, slo_nsec age, uint64_t number)
{
	const struct news_lease *in = &r->lease;
	struct foreign_lease l = {
		.id = (const char *)r->id.p,
		.id_len = r->id.len,
		.hash = hash,
		.server = server_of(c, in),
		.load = in->load,
		.age = age > 0 ? age : 0,
		.news = (uint32_t)number,
		.input = in->input,
		.output = in->output,
		.fallback = in->flags & NEWS_FALLBACK,
		.estimate = in->estimate,
		.limit = in->limit,
		.sequences = in->sequences,
		.mute = NEWS_MUTE(in->flags),
		.class = in->class,
		.stream = in->flags & NEWS_STREAM,
		.stream_guessed = in->flags & NEWS_STREAM_GUESSED,
	};

	if (in->model.len > 0)
		l.model =
		    sched_model_find(c->agent->sched, (const char *)in->model.p, in->model.len);
	if (!l.server ||
	    !policy_strategy_parse((const char *)in->strategy.p, in->strategy.len, &l.strategy)) {
		c->unknown++;
		return;
	}
	switch (foreign_dispatch(c->agent->sched, now, p->owner, &l)) {
	case SLO_OK:
	case SLO_ESTALE:
		break;
	case SLO_EFULL:
		cluster_is_full(c, now, FULL_REQUESTS);
		break;
	case SLO_ENOMEM:
		log_limited(c->agent->log, now, LOG_CAUSE_MEMORY, LOG_ERR,
		            "out of memory, a request of %s is not charged", p->name);
		break;
	default:
		c->malformed++;
	}
}

static void take_end(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                     const struct news_record *r)
{
	const struct news_end *e = &r->end;
	const struct sched_outcome outcome = {
		.outcome = e->outcome < LESSON_OUTCOME_COUNT ? (enum lesson_outcome)e->outcome
		                                             : LESSON_FAILED,
		.input = e->input,
		.output = e->output,
		.bytes = e->bytes,
		.cached = e->cached > 0 ? e->cached : 0,
		.event = e->event,
		.encoded = e->flags & NEWS_END_ENCODED,
		.backend = e->backend,
		.server = e->server,
	};
	struct sched_end end;

	if (r->owner.len > 0)
		p = hear_peer(c, r->owner);
	if (!p)
		return;
	foreign_end(c->agent->sched, now, p->owner, (const char *)r->id.p, r->id.len,
	            e->flags & NEWS_END_TOLD ? &outcome : NULL,
	            e->lasted < 0 ? -1 : e->lasted * 1000, &end);
	if (end.server)
		roster_server_idle(c->agent, end.server);
}

/* Listening */

void hear_listen(struct cluster *c, struct cluster_peer *p)
{
	char channel[CLUSTER_KEY_SIZE];

	if (p->listening != LISTEN_NOT)
		return;
	p->listening = LISTEN_ASKED;
	cluster_channel(c, p->name, channel);
	cluster_link_hear(&c->link, channel, true);
}

void hear_no_more(struct cluster *c, struct cluster_peer *p)
{
	char channel[CLUSTER_KEY_SIZE];

	bool due = p->reading && p->listening == LISTEN_ASKED;

	if (p->listening == LISTEN_NOT || !cluster_link_is_up(&c->link))
		return;
	p->listening = LISTEN_NOT;
	cluster_channel(c, p->name, channel);
	cluster_link_hear(&c->link, channel, false);
	if (due)
		read_begin(c, p);
}

/* What was said before is in the key, which is read next, and what is said from now on is heard. */
void hear_channel(struct cluster *c, struct slice channel)
{
	char name[CLUSTER_KEY_SIZE];

	for (size_t i = 0; i < c->peer_count; i++) {
		struct cluster_peer *p = c->peer[i];

		cluster_channel(c, p->name, name);
		if (p->listening != LISTEN_ASKED || !slice_eq(channel, name))
			continue;
		p->listening = LISTEN_ON;
		if (p->reading)
			read_begin(c, p);
	}
}

/* Messages */

struct ahead {
	struct news_record record;
	uint64_t hash; /* of its id */
};

/* The next ones; less than AHEAD of them are the last. */
static size_t read_ahead(struct cluster *c, struct news_reader *r, struct ahead out[AHEAD])
{
	slo_err err;
	size_t n = 0;

	while (n < AHEAD && (err = news_next(r, &out[n].record)) != SLO_ENOENT) {
		const struct slice *id = &out[n].record.id;

		if (err != SLO_OK) {
			c->malformed++;
			continue;
		}
		out[n++].hash = sched_expect(c->agent->sched, (const char *)id->p, id->len);
	}
	return n;
}

/* False: the message breaks off. */
static bool take_records(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                         struct news_head *h, struct news_reader *reader)
{
	struct ahead ahead[AHEAD];
	size_t n;

	do {
		n = read_ahead(c, reader, ahead);
		for (size_t i = 0; i < n; i++) {
			const struct news_record *r = &ahead[i].record;

			if (r->ended)
				take_end(c, now, p, r);
			else
				hear_lease(c, now, p, r, ahead[i].hash,
				           (h->now - r->lease.placed) * 1000, h->number);
		}
	} while (n == AHEAD);
	return news_close(reader, h) == SLO_OK;
}

/* Whether all HAProxys that it asks are among those that we ask, so that their counts tell of its
 * requests. A start or a reload makes that untrue for a moment. */
static void compare_processes(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                              const struct news_head *h)
{
	size_t ours = haproxy_api_count(c->haproxy), same = 0;

	for (size_t i = 0; i < h->processes; i++)
		for (size_t k = 0; k < ours; k++)
			if (haproxy_api_process(c->haproxy, k) == h->process[i]) {
				same++;
				break;
			}
	if (h->processes > 0 && same == h->processes)
		p->differs_since = 0;
	else if (p->differs_since == 0)
		p->differs_since = now;
	foreign_owner_visible(c->agent->sched, p->owner,
	                      p->differs_since == 0 ||
	                          (p->owner->visible && now - p->differs_since < DIFFERS_PATIENCE));
}

static void new_life(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                     const struct news_head *h)
{
	/* Two processes of one name have turns of life with each message. */
	if (p->incarnation)
		log_limited(c->agent->log, now, LOG_CAUSE_CLUSTER_PEER, LOG_NOTICE,
		            "cluster: %s has started anew; what it had placed stays charged until "
		            "it ends",
		            p->name);
	p->incarnation = h->incarnation;
	p->number = h->number - (h->kind == NEWS_RECORDS && h->number > 0); /* it comes next */
	p->due = 0; /* what is being read tells nothing of this life yet */
	p->behind = false;
	p->pause = 0;
	foreign_owner_life(c->agent->sched, p->owner, h->incarnation);
	read_key(c, p);
	p->number = h->number;
}

/* Numbers tell whether a message was missed. One that comes late was on its way while the key was
 * read. */
static void check_number(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                         const struct news_head *h)
{
	uint64_t due = p->number + (h->kind != NEWS_BEAT);
	/* A beat says that it is alive, and will bring its key up to date. */
	bool follows = h->kind == NEWS_BEAT && p->behind && !p->reading && now >= p->next_read;

	if (h->kind == NEWS_ANEW || follows) {
		read_key(c, p);
	} else if (h->number > due && !p->unsure) {
		p->gaps++;
		log_limited(c->agent->log, now, LOG_CAUSE_CLUSTER_GAP, LOG_INFO,
		            "cluster: news of %s are missing; its key is read again", p->name);
		read_key(c, p);
	}
	if (h->number > p->number)
		p->number = h->number;
}

static void is_heard(struct cluster *c, slo_nsec now, struct cluster_peer *p)
{
	bool was_silent;

	if (p->told_silent || p->heard == 0)
		log_limited(c->agent->log, now, LOG_CAUSE_CLUSTER_PEER, LOG_NOTICE,
		            "cluster: %s is heard", p->name);
	if (p->told_silent)
		warn_clear(c->agent, now, "cluster-silent", p->name);
	p->told_silent = false;
	was_silent = hear_is_silent(p, now);
	p->heard = now;
	if (was_silent && !p->self)
		others_deal(c, now); /* from its first word on it takes room, too */
}

static void makes_no_sense(struct cluster *c, slo_nsec now, struct slice message)
{
	c->malformed++;
	log_limited(c->agent->log, now, LOG_CAUSE_CLUSTER_BROKEN, LOG_WARNING,
	            "cluster: a message of %zu bytes makes no sense; who else publishes on %s?",
	            message.len, c->link.channel[0]);
}

/* False: the message breaks off, and what it was to tell is in the key. */
static bool hear(struct cluster *c, slo_nsec now, struct news_head *h, struct news_reader *r)
{
	struct cluster_peer *p = hear_peer(c, h->name);
	bool whole;

	if (!p || h->kind == NEWS_HELLO)
		return true;
	is_heard(c, now, p);
	if (p->incarnation != h->incarnation)
		new_life(c, now, p, h);
	else
		check_number(c, now, p, h);
	if (p->listening == LISTEN_NOT && !p->reading)
		read_key(c, p);
	whole = take_records(c, now, p, h, r);
	if (!whole)
		read_key(c, p);
	else if (h->kind == NEWS_BEAT)
		compare_processes(c, now, p, h);
	return whole;
}

void hear_message(struct cluster *c, slo_nsec now, struct slice message)
{
	struct news_reader r;
	struct news_head h;

	if (news_open(&r, message, &h) != SLO_OK) {
		makes_no_sense(c, now, message);
		return;
	}
	if (h.incarnation == c->incarnation && slice_eq(h.name, c->name))
		return; /* our own sign of life */
	if (!slice_eq(h.name, c->name) || cluster_namesake(c, now, &h)) {
		c->heard++;
		if (!hear(c, now, &h, &r))
			makes_no_sense(c, now, message);
	}
}
