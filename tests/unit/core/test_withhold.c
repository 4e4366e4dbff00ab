/* An engine in which requests wait although the ledger has room: less is sent there, at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/record/player.h"
#include "core/tap.h"
#include "sched_build.h"

#define EIGHTH (SLO_LOAD_ONE / 8)

/* Eight requests fit on a server, of which there is one. */
static struct rig *eight(void **state)
{
	static const struct one_cell c = { .tput = 8, .e2e = 1, .slo_e2e = 5, .created = 2 };
	struct rig *r = *state;

	rig_profile(r, r->d, &c);
	sched_server_usable(r->s, r->server[1], false);
	return r;
}

/* a0, a1, ... go there at once. */
static void send(struct rig *r, int from, int n)
{
	char id[16];

	for (int i = from; i < from + n; i++) {
		snprintf(id, sizeof(id), "a%d", i);
		submit(r, SEC(1), id);
		routed(r, SEC(1), id, "s0");
	}
}

static void who_waits_inside_keeps_others_out_at_once(void **state)
{
	struct rig *r = eight(state);

	send(r, 0, 4);
	sched_server_waits(r->s, r->server[0], 3, 1);
	assert_true(r->server[0]->withheld == SLO_LOAD_ONE - 3 * EIGHTH);
	/* A later word counts more: two run. */
	sched_server_waits(r->s, r->server[0], 2, 2);
	assert_true(r->server[0]->withheld == SLO_LOAD_ONE - 2 * EIGHTH);
	sched_server_waits(r->s, r->server[0], 3, 1);
	submit(r, SEC(1), "b");
	quiet(r, SEC(1));
	/* The one that waited runs now; one more is one too many. */
	(void)end(r, SEC(1), "a0");
	quiet(r, SEC(1));
	(void)end(r, SEC(1), "a1");
	routed(r, SEC(1), "b", "s0");
}

static void room_comes_back_while_it_is_needed(void **state)
{
	struct rig *r = eight(state);
	slo_load before;

	send(r, 0, 4);
	sched_server_waits(r->s, r->server[0], 2, 2);
	(void)end(r, SEC(1), "a0");
	(void)end(r, SEC(1), "a1");
	before = r->server[0]->withhold;
	sched_server_waits(r->s, r->server[0], 2, 0);
	assert_true(r->server[0]->withhold < before);
	submit(r, SEC(1), "b");
	quiet(r, SEC(1));
	for (int i = 0; i < 4; i++) /* 2/8 and five tenths of tenths are more than 3/8 */
		sched_server_waits(r->s, r->server[0], 2, 0);
	routed(r, SEC(1), "b", "s0");
	for (int i = 0; i < 40; i++) { /* until a fourth fits: nobody asks for more */
		before = r->server[0]->withhold;
		sched_server_waits(r->s, r->server[0], 3, 0);
	}
	assert_true(r->server[0]->withhold == before && before > 3 * EIGHTH);
}

static void a_full_ledger_is_not_too_optimistic(void **state)
{
	struct rig *r = eight(state);

	send(r, 0, 8);
	sched_server_waits(r->s, r->server[0], 5, 3);
	assert_int_equal(r->server[0]->withhold, 0);
}

static void an_idle_server_has_room_for_any_one(void **state)
{
	struct rig *r = eight(state);

	send(r, 0, 1);
	sched_server_waits(r->s, r->server[0], 0, 9);
	assert_true(r->server[0]->ledger.used > SLO_LOAD_ONE);
	submit(r, SEC(1), "b");
	quiet(r, SEC(1));
	(void)end(r, SEC(1), "a0");
	routed(r, SEC(1), "b", "s0");
	(void)end(r, SEC(1), "b");
	assert_int_equal(r->server[0]->ledger.used, 0);
	sched_withhold(r->s, r->server[0], 0);
	send(r, 1, 8);
}

static void what_others_placed_weighs_without_it(void **state)
{
	struct rig *r = eight(state);

	send(r, 0, 2);
	sched_server_waits(r->s, r->server[0], 1, 1);
	sched_server_surplus(r->s, r->server[0], 1);
	assert_true(r->server[0]->surplus_load == EIGHTH);
	sched_check(r->s);
}

static void other_weights_make_it_void(void **state)
{
	struct rig *r = eight(state);

	send(r, 0, 4);
	sched_server_waits(r->s, r->server[0], 3, 1);
	assert_int_equal(sched_source_set(r->s, r->d, FLEET_LEARNED, 1000), SLO_OK);
	assert_int_equal(r->server[0]->withheld, 0);
	sched_check(r->s);
}

/* A scheduler that plays what another one tells. */
struct mirror {
	struct player *player;
	struct sched_action act;
	bool acted;
};

static void tell(void *arg, const struct slo_event *e)
{
	struct mirror *m = arg;
	const char *why;

	assert_int_equal(player_apply(m->player, e, &m->act, &m->acted, &why), SLO_OK);
}

static struct server *mirrored(const struct mirror *m, const struct server *server)
{
	return player_server(m->player, server->number);
}

static void it_is_recorded(void **state)
{
	struct rig *r = eight(state);
	struct mirror m = { .player = player_new() };
	const struct sched_tap tap = { .tell = tell, .arg = &m };

	assert_non_null(m.player);
	send(r, 0, 4);
	sched_server_waits(r->s, r->server[0], 3, 1);
	quiet(r, SEC(1));
	sched_tell_state(r->s, &tap, SEC(1), 0);
	sched_listen(r->s, &tap);
	assert_true(mirrored(&m, r->server[0])->withheld == SLO_LOAD_ONE - 3 * EIGHTH);
	submit(r, SEC(2), "b");
	quiet(r, SEC(2));
	assert_false(m.acted);
	sched_withhold(r->s, r->server[0], 0);
	routed(r, SEC(2), "b", "s0");
	assert_true(m.acted && m.act.verdict == SLO_ROUTE);
	assert_int_equal(mirrored(&m, r->server[0])->withheld, 0);
	sched_listen(r->s, NULL);
	player_free(m.player);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_waits_inside_keeps_others_out_at_once),
		TEST(room_comes_back_while_it_is_needed),
		TEST(a_full_ledger_is_not_too_optimistic),
		TEST(an_idle_server_has_room_for_any_one),
		TEST(what_others_placed_weighs_without_it),
		TEST(other_weights_make_it_void),
		TEST(it_is_recorded),
	};

	return cmocka_run_group_tests_name("withhold", tests, NULL, NULL);
}
