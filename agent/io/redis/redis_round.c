#include "io/redis/redis_round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "wire/profdoc.h"

#define PATTERN  "aibrix:profile_*"
#define COUNT    "500"  /* keys that one SCAN looks at, more or less */
#define PAGES    100000 /* of one scan: some 50 million keys, or a cursor that never comes round */
#define TURN_MAX SLO_NSEC_PER_MSEC

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)
#define VALUE_END     1048576 /* the last byte asked for: one more than a profile may have */

_Static_assert(VALUE_END == PROFDOC_TEXT_MAX, "a value that is too long must be seen to be so");

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents);

static void on_refresh(struct ev_loop *loop, ev_timer *w, int revents)
{
	redis_round_begin(w->data);
}

void redis_round_init(struct redis_round *r)
{
	ev_init(&r->sweep, on_sweep);
	ev_init(&r->refresh, on_refresh);
	r->sweep.data = r->refresh.data = r;
	STAILQ_INIT(&r->wanted);
}

void redis_round_begin(struct redis_round *r)
{
	r->running = true;
	r->scanning = r->scanned = r->sweeping = false;
	r->scan++;
	r->values = r->swept = 0;
	r->found = (struct redis_found){ 0 };
	r->pages = 0;
	memcpy(r->cursor, "0", 2);
	STAILQ_INIT(&r->wanted);
	r->began = clock_nsec();
	redis_round_advance(r);
}

/* The table may be built anew, and a reply of this scan is none of the next. */
void redis_round_abandon(struct redis_round *r)
{
	r->running = false;
	STAILQ_INIT(&r->wanted);
	ev_timer_stop(r->agent->loop, &r->sweep);
	ev_timer_stop(r->agent->loop, &r->refresh);
	redis_window_forget_scan(r->window);
}

static void ask_for_keys(struct redis_round *r)
{
	const char *argv[] = { "SCAN", r->cursor, "MATCH", PATTERN, "COUNT", COUNT };

	redis_window_send(r->window, (struct command){ COMMAND_SCAN, NULL }, 6, argv, NULL);
	r->scanning = true;
}

/* Not GET: a value can have 512 MB. */
static void ask_for_value(struct redis_round *r)
{
	struct redis_entry *e = STAILQ_FIRST(&r->wanted);
	const char *argv[] = { "GETRANGE", e->key, "0", STRINGIFY(VALUE_END) };

	STAILQ_REMOVE_HEAD(&r->wanted, wanted);
	redis_window_send(r->window, (struct command){ COMMAND_VALUE, e }, 4, argv, NULL);
	r->values++;
}

void redis_round_advance(struct redis_round *r)
{
	if (!r->running || r->sweeping)
		return;
	while (redis_window_has_room(r->window) && !STAILQ_EMPTY(&r->wanted))
		ask_for_value(r);
	if (redis_window_has_room(r->window) && !r->scanned && !r->scanning)
		ask_for_keys(r);
	if (!r->scanned || !STAILQ_EMPTY(&r->wanted) || r->values > 0)
		return;
	r->sweeping = true;
	ev_timer_set(&r->sweep, 0., 0.);
	ev_timer_start(r->agent->loop, &r->sweep);
}

static void note_key(struct redis_round *r, const redisReply *key)
{
	struct redis_entry *e = redis_profiles_find(r->profiles, key->str, key->len);

	if (!e) {
		r->found.unknown++;
	} else if (e->scan != r->scan) { /* SCAN may tell one twice */
		e->scan = r->scan;
		STAILQ_INSERT_TAIL(&r->wanted, e, wanted);
	}
}

static bool is_cursor(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING && r->len > 0 &&
	       r->len < sizeof(((struct redis_round *)0)->cursor) &&
	       strspn(r->str, "0123456789") == r->len;
}

const char *redis_round_keys(struct redis_round *r, const redisReply *reply)
{
	const redisReply *list;

	r->scanning = false;
	if (reply->type == REDIS_REPLY_ERROR)
		return reply->str;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_cursor(reply->element[0]) || reply->element[1]->type != REDIS_REPLY_ARRAY)
		return "its reply to SCAN makes no sense";
	r->scanned = strcmp(reply->element[0]->str, "0") == 0;
	if (!r->scanned && (++r->pages > PAGES || strcmp(r->cursor, reply->element[0]->str) == 0))
		return "its SCAN does not end";
	snprintf(r->cursor, sizeof(r->cursor), "%s", reply->element[0]->str);
	list = reply->element[1];
	for (size_t i = 0; i < list->elements; i++)
		if (list->element[i]->type == REDIS_REPLY_STRING)
			note_key(r, list->element[i]);
	return NULL;
}

const char *redis_round_value(struct redis_round *r, struct redis_entry *e, const redisReply *reply)
{
	char why[256];

	r->values--;
	if (redis_link_is_elsewhere(reply))
		return reply->str;
	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "no value: %s", reply->str);
		redis_profiles_refuse(r->agent, e, why);
	} else if (reply->type != REDIS_REPLY_STRING) {
		redis_profiles_refuse(r->agent, e, "no value: the reply is no string");
	} else if (reply->len == 0) {
		redis_profiles_refuse(r->agent, e, "is empty, or went since it was seen");
	} else {
		redis_profiles_value(r->agent, e, reply->str, reply->len);
	}
	return NULL;
}

/* The end of a round */

static void sweep_one(struct redis_round *r, struct redis_entry *e)
{
	if (e->scan == r->scan) {
		e->missed = 0;
		r->found.keys++;
	} else {
		redis_profiles_missed(r->agent, e);
	}
	r->found.in_force += redis_profiles_in_force(e);
	r->found.refused += e->refused;
}

static void finish(struct redis_round *r)
{
	slo_nsec rest;

	r->running = false;
	rest = r->finished(r->user, &r->found, clock_nsec() - r->began);
	ev_timer_set(&r->refresh, rest > 0 ? (double)rest / 1e9 : 0., 0.);
	ev_timer_start(r->agent->loop, &r->refresh);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis_round *r = w->data;
	slo_nsec began = clock_nsec();

	while (r->swept < r->profiles->count) {
		sweep_one(r, r->profiles->entry[r->swept++]);
		if (clock_nsec() - began > TURN_MAX) {
			ev_timer_set(w, 0., 0.);
			ev_timer_start(loop, w);
			return;
		}
	}
	finish(r);
}
