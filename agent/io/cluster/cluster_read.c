/* Keys of others, to the scheduler: what is open, of those of whom we missed something.
 *
 * First the mark, until the key is up to what its agent had told when we first looked, or for a
 * while; then its leases, page by page. What is not in it is over. */
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "io/base/clock.h"

#define PAGE        "200" /* leases of one answer, about */
#define PAGES_MAX   10000 /* of one key */
/* A key is up to date a tenth of a second after the news; that of an agent that died never will be.
 */
#define LOOK_GAP    0.025 /* seconds between two looks at its mark */
#define LOOKS_MAX   12
/* Between two reads of a key that stays behind; each pause is twice the one before. */
#define PAUSE_FIRST SLO_NSEC_PER_SEC
#define PAUSE_MAX   (64 * SLO_NSEC_PER_SEC)

static uint32_t index_of(const struct cluster *c, const struct cluster_peer *p)
{
	uint32_t i = 0;

	while (c->peer[i] != p)
		i++;
	return i;
}

static void ask_page(struct cluster *c, struct cluster_peer *p, const char *cursor)
{
	char key[CLUSTER_KEY_SIZE];
	const char *argv[] = { "HSCAN", key, cursor, "COUNT", PAGE };

	cluster_key(c, p->name, key);
	cluster_ask(c, ASK_PAGE, index_of(c, p), 5, argv, NULL);
}

static void ask_mark(struct cluster *c, struct cluster_peer *p)
{
	char key[CLUSTER_KEY_SIZE];
	const char *mark[] = { "HGET", key, "" }, *life[] = { "PTTL", key };

	cluster_key(c, p->name, key);
	cluster_ask(c, ASK_MARK, index_of(c, p), 3, mark, NULL);
	cluster_ask(c, ASK_LIFE, index_of(c, p), 2, life, NULL);
}

void read_begin(struct cluster *c, struct cluster_peer *p)
{
	p->again = p->waits = p->behind = false;
	p->pages = 0;
	p->looks = 0;
	p->due = p->number;
	foreign_list_begin(c->agent->sched, p->owner);
	ask_mark(c, p);
}

void read_key(struct cluster *c, struct cluster_peer *p)
{
	bool ours = p->self && !c->refused; /* the channel is for others */

	if (!cluster_link_is_up(&c->link))
		return; /* all are read when it is */
	if (p->reading) {
		p->again = true;
		return;
	}
	p->reading = true;
	c->readings++;
	if (ours || p->listening == LISTEN_ON) {
		read_begin(c, p);
		return;
	}
	p->unsure = true;
	hear_listen(c, p);
}

static const char *odd(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR ? reply->str : "its reply makes no sense";
}

/* It has no key: it did not come here yet, and will put its name in again, or is gone for long. */
static void forget_name(struct cluster *c, const struct cluster_peer *p)
{
	char agents[CLUSTER_KEY_SIZE];
	const char *argv[] = { "SREM", agents, p->name };

	cluster_key(c, NULL, agents);
	cluster_ask(c, ASK_NOTHING, 0, 3, argv, NULL);
}

const char *read_mark(struct cluster *c, struct cluster_peer *p, const redisReply *reply)
{
	const struct slice value = { (const uint8_t *)reply->str, (size_t)reply->len };

	p->unsure = false;
	p->mark = (struct news_mark){ 0 };
	if (reply->type == REDIS_REPLY_NIL) {
		forget_name(c, p);
		return NULL;
	}
	if (reply->type != REDIS_REPLY_STRING)
		return odd(reply);
	if (news_read_mark(value, &p->mark) != SLO_OK) {
		c->malformed++;
		return NULL;
	}
	if (p->incarnation == 0) {
		p->incarnation = p->mark.incarnation;
		foreign_owner_life(c->agent->sched, p->owner, p->incarnation);
	}
	if (p->incarnation != p->mark.incarnation)
		return NULL;
	if (p->number < p->mark.told)
		p->number = p->mark.told;
	if (p->looks == 0 && p->due < p->mark.told)
		p->due = p->mark.told;
	return NULL;
}

/* Whether the key is not up to what its agent had told when we first looked. */
static bool is_behind(const struct cluster_peer *p)
{
	return p->mark.incarnation == p->incarnation && p->mark.number < p->due;
}

/* Who does not speak does not bring its key up to date; who was never heard may be about to. */
static bool may_follow(const struct cluster *c, const struct cluster_peer *p)
{
	if (p->looks >= LOOKS_MAX || (p->self && !c->refused))
		return false;
	return p->heard == 0 || !hear_is_silent(p, clock_nsec());
}

static void look_later(struct cluster *c, struct cluster_peer *p)
{
	p->looks++;
	p->waits = true;
	if (ev_is_active(&c->look))
		return;
	ev_now_update(c->agent->loop);
	ev_timer_set(&c->look, LOOK_GAP, 0.);
	ev_timer_start(c->agent->loop, &c->look);
}

void read_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cluster *c = w->data;

	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peer[i]->waits) {
			c->peer[i]->waits = false;
			ask_mark(c, c->peer[i]);
		}
}

/* The first beat has a key that is behind read again at once. */
static void pause_reads(struct cluster_peer *p, slo_nsec now)
{
	p->next_read = now + p->pause;
	if (!p->behind)
		p->pause = 0;
	else if (p->pause < PAUSE_MAX)
		p->pause = p->pause == 0 ? PAUSE_FIRST : 2 * p->pause;
}

const char *read_life(struct cluster *c, struct cluster_peer *p, const redisReply *reply)
{
	long long left = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -3;

	if (left == -3)
		return odd(reply);
	p->mark_age = 0;
	if (left >= 0 && left < CLUSTER_KEEP / SLO_NSEC_PER_MSEC)
		p->mark_age = CLUSTER_KEEP - left * SLO_NSEC_PER_MSEC;
	p->behind = is_behind(p);
	if (p->behind && may_follow(c, p)) {
		look_later(c, p);
		return NULL;
	}
	pause_reads(p, clock_nsec());
	ask_page(c, p, "0");
	return NULL;
}

/* A key without a mark, or of another life than the news, is not all that is open: the message that
 * it was written anew follows. */
static void is_read(struct cluster *c, slo_nsec now, struct cluster_peer *p)
{
	bool all = p->mark.incarnation != 0 && p->mark.incarnation == p->incarnation;

	p->reading = false;
	c->readings--;
	p->resyncs++;
	if (all &&
	    foreign_list_end(c->agent->sched, now, p->owner, p->mark.number, p->mark.whole) > 0)
		roster_collect(c->agent);
	if (p->again)
		read_key(c, p);
	else
		cluster_progress(c);
}

static int compare_placed(const void *a, const void *b)
{
	const struct news_record *x = a, *y = b;

	return x->lease.placed < y->lease.placed ? -1 : x->lease.placed > y->lease.placed;
}

/* Reads a page's leases into out, which has room for all. NULL: it makes sense. */
static const char *leases_of(struct cluster *c, const redisReply *list, struct news_record *out,
                             size_t *n)
{
	for (size_t i = *n = 0; i + 1 < list->elements; i += 2) {
		const redisReply *id = list->element[i], *value = list->element[i + 1];

		if (id->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
			return odd(value);
		if (id->len == 0)
			continue; /* the mark */
		out[*n].id = (struct slice){ (const uint8_t *)id->str, (size_t)id->len };
		if (id->len > NEWS_TEXT_MAX ||
		    news_read_lease(
			(struct slice){ (const uint8_t *)value->str, (size_t)value->len },
			&out[*n].lease) != SLO_OK)
			c->malformed++;
		else
			++*n;
	}
	return NULL;
}

/* The leases of a page, in order of age: in the order of Redis each would be far from the one
 * before. */
static const char *take_leases(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                               const redisReply *list)
{
	struct news_record *paged = calloc(list->elements / 2 + 1, sizeof(*paged));
	const char *why = "out of memory";
	size_t n = 0;

	if (paged)
		why = leases_of(c, list, paged, &n);
	if (!why && n > 0)
		qsort(paged, n, sizeof(*paged), compare_placed);
	for (size_t i = 0; !why && i < n; i++)
		hear_lease(c, now, p, &paged[i], 0,
		           (p->mark.now - paged[i].lease.placed) * 1000 + p->mark_age,
		           p->mark.number);
	free(paged);
	return why;
}

const char *read_page(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                      const redisReply *reply)
{
	const char *why;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return odd(reply);
	why = take_leases(c, now, p, reply->element[1]);
	if (why)
		return why;
	if (++p->pages == PAGES_MAX) { /* it never ends: what is in it is not all */
		c->malformed++;
		p->mark = (struct news_mark){ 0 };
	}
	if (strcmp(reply->element[0]->str, "0") == 0 || p->pages == PAGES_MAX)
		is_read(c, now, p);
	else
		ask_page(c, p, reply->element[0]->str);
	return NULL;
}

void read_abandon(struct cluster *c)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		c->peer[i]->reading = c->peer[i]->again = c->peer[i]->waits = false;
		c->peer[i]->listening = LISTEN_NOT;
	}
	c->readings = 0;
}
