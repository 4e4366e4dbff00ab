/* play_build.h - a player beside the small scheduler of sched_build.h, which must decide the same.
 * After cmocka.h; one .c file of a program includes this. */
#ifndef SLO_TESTS_PLAY_BUILD_H
#define SLO_TESTS_PLAY_BUILD_H

#include "core/record/player.h"
#include "core/tap.h"
#include "sched_build.h"

static struct player *player;
static size_t events, decisions; /* told, since record() */
static struct slo_event last;

static inline void play(void *arg, const struct slo_event *e)
{
	bool decision = e->kind == SLO_EVENT_DECISION || e->kind == SLO_EVENT_LET_GO, acted;
	struct sched_action act;
	const char *why;

	(void)arg;
	assert_int_equal(player_apply(player, e, &act, &acted, &why), SLO_OK);
	assert_int_equal(acted, decision);
	if (acted) {
		assert_memory_equal(act.request->id, e->text.p, e->text.len);
		assert_int_equal(act.verdict, e->verdict);
		assert_int_equal(act.reason, e->reason);
		assert_ptr_equal(act.seat ? act.seat->server : NULL,
		                 player_server(player, e->server));
	}
	events++;
	decisions += acted;
	last = *e;
}

/* A new player begins with what there is. */
static inline void record(struct rig *r, slo_nsec now)
{
	const struct sched_tap tap = { play, NULL };

	sched_listen(r->s, NULL);
	player_free(player);
	player = player_new();
	assert_non_null(player);
	sched_tell_state(r->s, &tap, now, 0);
	sched_listen(r->s, &tap);
	sched_check(player_sched(player));
	events = decisions = 0;
}

static inline void stop_playing(void)
{
	player_free(player);
	player = NULL;
}

#endif
