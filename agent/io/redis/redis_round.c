/* One pass over the profiles in Redis: scan, ask for values, sweep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "redis_private.h"
#include "wire/profdoc.h"

#define PATTERN  "aibrix:profile_*"
#define COUNT    "500"   /* keys that one SCAN looks at, more or less */
#define PAGES    1000000 /* of one scan: some 500 million keys, or a cursor that never comes round */
#define TURN_MAX SLO_NSEC_PER_MSEC

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)
#define VALUE_END     1048576 /* the last byte asked for: one more than a profile may have */

_Static_assert(VALUE_END == PROFDOC_TEXT_MAX, "a value that is too long must be seen to be so");

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents);

void redis_round_init(struct redis_client *c)
{
	ev_init(&c->sweep, on_sweep);
	c->sweep.data = c;
	STAILQ_INIT(&c->round.wanted);
}

void redis_round_begin(struct redis_client *c)
{
	struct redis_round *r = &c->round;
	uint64_t scan = r->scan + 1;

	*r = (struct redis_round){ .running = true, .scan = scan, .cursor = "0" };
	STAILQ_INIT(&r->wanted);
	r->began = clock_nsec();
	redis_advance(c);
}

void redis_round_abandon(struct redis_client *c)
{
	c->round.running = false;
	STAILQ_INIT(&c->round.wanted);
	ev_timer_stop(c->agent->loop, &c->sweep);
	ev_timer_stop(c->agent->loop, &c->refresh);
	/* The table may be built anew, and a reply of this scan is none of the next. */
	for (size_t i = 0; i < c->commands; i++) {
		struct command *command = &c->command[(c->first + i) % REDIS_WINDOW];

		if (command->kind == COMMAND_SCAN || command->kind == COMMAND_VALUE)
			*command = (struct command){ COMMAND_FORGOTTEN, NULL };
	}
}

static void ask_for_keys(struct redis_client *c)
{
	const char *argv[] = { "SCAN", c->round.cursor, "MATCH", PATTERN, "COUNT", COUNT };

	redis_send(c, (struct command){ COMMAND_SCAN, NULL }, 6, argv, NULL);
	c->round.scanning = true;
}

/* Not GET: a value can have 512 MB. */
static void ask_for_value(struct redis_client *c)
{
	struct redis_entry *e = STAILQ_FIRST(&c->round.wanted);
	const char *argv[] = { "GETRANGE", e->key, "0", STRINGIFY(VALUE_END) };

	STAILQ_REMOVE_HEAD(&c->round.wanted, wanted);
	redis_send(c, (struct command){ COMMAND_VALUE, e }, 4, argv, NULL);
	c->round.values++;
}

void redis_round_advance(struct redis_client *c)
{
	struct redis_round *r = &c->round;

	if (!r->running || r->sweeping)
		return;
	while (redis_has_room(c) && !STAILQ_EMPTY(&r->wanted))
		ask_for_value(c);
	if (redis_has_room(c) && !r->scanned && !r->scanning)
		ask_for_keys(c);
	if (!r->scanned || !STAILQ_EMPTY(&r->wanted) || r->values > 0)
		return;
	r->sweeping = true;
	ev_timer_set(&c->sweep, 0., 0.);
	ev_timer_start(c->agent->loop, &c->sweep);
}

static void note_key(struct redis_client *c, const redisReply *key)
{
	struct redis_entry *e = redis_profiles_find(&c->profiles, key->str, key->len);

	if (!e) {
		c->round.unknown++;
	} else if (e->scan != c->round.scan) { /* SCAN may tell one twice */
		e->scan = c->round.scan;
		STAILQ_INSERT_TAIL(&c->round.wanted, e, wanted);
	}
}

static bool is_cursor(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING && r->len > 0 &&
	       r->len < sizeof(((struct redis_round *)0)->cursor) &&
	       strspn(r->str, "0123456789") == r->len;
}

void redis_round_keys(struct redis_client *c, const redisReply *reply)
{
	const redisReply *list;
	char why[256];

	c->round.scanning = false;
	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "SCAN: %s", reply->str);
		redis_down(c, why);
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_cursor(reply->element[0]) || reply->element[1]->type != REDIS_REPLY_ARRAY) {
		redis_down(c, "its reply to SCAN makes no sense");
		return;
	}
	c->round.scanned = strcmp(reply->element[0]->str, "0") == 0;
	if (!c->round.scanned &&
	    (++c->round.pages > PAGES || strcmp(c->round.cursor, reply->element[0]->str) == 0)) {
		redis_down(c, "its SCAN does not end");
		return;
	}
	snprintf(c->round.cursor, sizeof(c->round.cursor), "%s", reply->element[0]->str);
	list = reply->element[1];
	for (size_t i = 0; i < list->elements; i++)
		if (list->element[i]->type == REDIS_REPLY_STRING)
			note_key(c, list->element[i]);
}

void redis_round_value(struct redis_client *c, struct redis_entry *e, const redisReply *reply)
{
	char why[256];

	c->round.values--;
	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "no value: %s", reply->str);
		redis_profiles_refuse(c->agent, e, why);
	} else if (reply->type != REDIS_REPLY_STRING) {
		redis_profiles_refuse(c->agent, e, "no value: the reply is no string");
	} else if (reply->len == 0) {
		redis_profiles_refuse(c->agent, e, "is empty, or went since it was seen");
	} else {
		redis_profiles_value(c->agent, e, reply->str, reply->len);
	}
}

/* The end of a round */

static void sweep_one(struct redis_client *c, struct redis_entry *e)
{
	struct redis_round *r = &c->round;

	if (e->scan == r->scan) {
		e->missed = 0;
		r->seen++;
	} else {
		redis_profiles_missed(c->agent, e);
	}
	r->in_force += redis_profiles_in_force(e);
	r->refused += e->refused;
}

static void finish(struct redis_client *c)
{
	struct redis_round *r = &c->round;
	struct redis_status *s = &c->status;
	slo_nsec now = clock_nsec(), took = now - r->began;
	double wait = (double)(c->conf->refresh - took) / 1e9;

	if (c->news || s->keys != r->seen || s->in_force != r->in_force ||
	    s->refused != r->refused || s->unknown != r->unknown)
		log_limited(c->agent->log, now, LOG_CAUSE_REDIS_SCAN, LOG_NOTICE,
		            "redis: %zu keys of ours, %zu in force, %zu refused; %zu keys of "
		            "others; in %.3f s",
		            r->seen, r->in_force, r->refused, r->unknown, (double)took / 1e9);
	c->news = false;
	s->keys = r->seen;
	s->in_force = r->in_force;
	s->refused = r->refused;
	s->unknown = r->unknown;
	s->scans++;
	c->succeeded = now;
	c->failures = 0;
	r->running = false;
	ev_timer_set(&c->refresh, wait > 0 ? wait : 0., 0.);
	ev_timer_start(c->agent->loop, &c->refresh);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis_client *c = w->data;
	struct redis_round *r = &c->round;
	slo_nsec began = clock_nsec();

	while (r->swept < c->profiles.count) {
		sweep_one(c, c->profiles.entry[r->swept++]);
		if (clock_nsec() - began > TURN_MAX) {
			ev_timer_set(w, 0., 0.);
			ev_timer_start(loop, w);
			return;
		}
	}
	finish(c);
}
