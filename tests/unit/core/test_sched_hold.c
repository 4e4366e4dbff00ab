/* How long requests are held. */
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

static void set_hold(struct rig *r, slo_nsec least, slo_nsec most)
{
	r->conf.queue_timeout = least;
	r->conf.queue_timeout_most = most;
	sched_configure(r->s, &r->conf);
}

/* `e2e`: its target. Each that waits has a size of its own. */
static void waits(struct rig *r, slo_nsec now, const char *id, slo_nsec e2e)
{
	struct sched_request req = ask(r, id, now);
	static int sizes;

	req.input = INT64_C(1) << (sizes++ % 20);
	req.own.e2e = e2e;
	assert_int_equal(sched_submit(r->s, now, &req, NULL), SLO_OK);
	quiet(r, now);
}

static void gives_up(struct rig *r, slo_nsec at, const char *id)
{
	assert_true(sched_next_wakeup(r->s) == at);
	quiet(r, at - 1);
	answer(r, at, id, SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
}

/* A request takes 1 s alone, so its target less 1 s is how long it may wait. */
static void a_request_is_held_while_it_can_be_in_time(void **state)
{
	struct rig *r = *state;

	set_hold(r, SEC(30), SEC(60));
	fill_up(r, 0);
	waits(r, SEC(1), "most", SEC(200));
	waits(r, SEC(2), "between", SEC(46));
	waits(r, SEC(3), "least", SEC(5));
	gives_up(r, SEC(33), "least");
	gives_up(r, SEC(47), "between");
	gives_up(r, SEC(61), "most");
}

static void of_equal_moments_the_first_that_came_goes(void **state)
{
	struct rig *r = *state;

	set_hold(r, SEC(30), SEC(60));
	fill_up(r, 0);
	waits(r, SEC(1), "w1", SEC(41));
	waits(r, SEC(2), "w2", SEC(40));
	waits(r, SEC(3), "w3", SEC(39));
	for (int i = 0; i < 3; i++)
		answer(r, SEC(41), (const char *[]){ "w1", "w2", "w3" }[i], SLO_REJECT,
		       SLO_REASON_QUEUE_TIMEOUT);
	quiet(r, SEC(41));
}

static void without_a_most_all_are_held_equally_long(void **state)
{
	struct rig *r = *state;

	set_hold(r, SEC(30), SEC(30));
	fill_up(r, 0);
	waits(r, SEC(1), "w1", SEC(200));
	waits(r, SEC(2), "w2", SEC(46));
	gives_up(r, SEC(31), "w1");
	gives_up(r, SEC(32), "w2");
}

static void never_is_a_most(void **state)
{
	struct rig *r = *state;

	r->conf.lease_max_age = SLO_NEVER;
	set_hold(r, SEC(30), SLO_NEVER);
	fill_up(r, 0);
	waits(r, SEC(1), "w1", SEC(5000));
	gives_up(r, SEC(5000), "w1");
}

static void the_rule_may_change_while_they_wait(void **state)
{
	struct rig *r = *state;

	set_hold(r, SEC(30), SEC(60));
	fill_up(r, 0);
	waits(r, SEC(1), "w1", SEC(200));
	waits(r, SEC(2), "w2", SEC(41));
	set_hold(r, SEC(50), 0);
	quiet(r, SEC(49));
	gives_up(r, SEC(51), "w1");
	set_hold(r, SEC(10), SEC(52));
	answer(r, SEC(51), "w2", SLO_REJECT, SLO_REASON_QUEUE_TIMEOUT);
	waits(r, SEC(60), "w3", SEC(200));
	set_hold(r, SEC(10), SEC(20));
	quiet(r, SEC(61));
	gives_up(r, SEC(80), "w3");
}

/* The better of two deployments decides, and not while it has no server. */
static void a_server_that_comes_or_goes_changes_it(void **state)
{
	static const struct one_cell fast = { .tput = 1, .e2e = 0.5, .slo_e2e = 41, .created = 2 };
	struct rig *r = *state;
	struct deployment *d;
	struct server *server;

	set_hold(r, SEC(30), SEC(90));
	fill_up(r, 0);
	d = sched_deployment_add(r->m, "h100");
	server = rig_server(r, d, "h0");
	rig_profile(r, d, &fast);
	submit(r, 0, "h1");
	routed(r, 0, "h1", "h0");
	waits(r, 0, "w1", 0);
	waits(r, SEC(1), "w2", 0);
	assert_true(sched_next_wakeup(r->s) == SEC(40.5));
	sched_server_usable(r->s, server, false);
	quiet(r, SEC(2));
	assert_true(sched_next_wakeup(r->s) == SEC(30));
	sched_server_usable(r->s, server, true);
	quiet(r, SEC(3));
	gives_up(r, SEC(40.5), "w1");
	gives_up(r, SEC(41.5), "w2");
}

static void who_leaves_is_not_waited_for(void **state)
{
	struct rig *r = *state;
	struct request *w;

	r->conf.remember_ended = SEC(1000);
	set_hold(r, SEC(30), SEC(60));
	fill_up(r, 0);
	w = submit(r, 0, "w1");
	waits(r, 0, "w2", SEC(41));
	assert_true(sched_next_wakeup(r->s) == SEC(30));
	sched_abandon(r->s, SEC(1), w);
	quiet(r, SEC(1));
	assert_true(sched_next_wakeup(r->s) == SEC(40));
	end(r, SEC(2), "f0");
	routed(r, SEC(2), "w2", "s1");
	quiet(r, SEC(2));
	assert_true(sched_next_wakeup(r->s) > SEC(60));
}

/* In one bucket the end of the hold counts if it is sooner than the latest start: 520 tokens may
 * take longer than 500. Whoever brings a target says himself how urgent he is. */
static void whoever_is_given_up_sooner_goes_first(void **state)
{
	static const struct one_cell per_token = {
		.tput = 2, .e2e = 1, .slo_tpat = 0.1, .created = 2
	};
	struct rig *r = *state;
	struct sched_request req = ask(r, "long", SEC(1));

	rig_profile(r, r->d, &per_token);
	set_hold(r, SEC(5), 0);
	fill_up(r, 0);
	req.input = 520;
	assert_int_equal(sched_submit(r->s, SEC(0.5), &req, NULL), SLO_OK);
	req.id = "short";
	req.id_len = 5;
	req.input = 500;
	assert_int_equal(sched_submit(r->s, SEC(1), &req, NULL), SLO_OK);
	req.id = "more";
	req.id_len = 4;
	req.own.e2e = SEC(60);
	assert_int_equal(sched_submit(r->s, SEC(1.1), &req, NULL), SLO_OK);
	req.id = "less";
	req.own.e2e = SEC(20);
	assert_int_equal(sched_submit(r->s, SEC(1.2), &req, NULL), SLO_OK);
	quiet(r, SEC(1.5));
	end(r, SEC(2), "f0");
	routed(r, SEC(2), "long", "s1");
	end(r, SEC(3), "f1");
	routed(r, SEC(3), "short", "s0");
	end(r, SEC(3.5), "long");
	routed(r, SEC(3.5), "less", "s1");
	end(r, SEC(4), "short");
	routed(r, SEC(4), "more", "s0");
}

static void ignore(void *arg, const struct slo_event *e)
{
	if (e->kind == SLO_EVENT_CONFIG)
		memcpy(arg, e->list, e->list_n * sizeof(int64_t));
}

/* An older recording says nothing of it. */
static void a_recording_tells_it(void **state)
{
	struct rig *r = *state;
	int64_t options[SLO_EVENT_OPTIONS];
	const struct sched_tap tap = { ignore, options };
	struct slo_event e = { .kind = SLO_EVENT_START };
	struct player *p = player_new();
	struct sched_action act;
	const char *why;
	bool acted;

	assert_non_null(p);
	set_hold(r, SEC(30), SEC(77));
	quiet(r, 0);
	sched_tell_state(r->s, &tap, 0, 0);
	assert_int_equal(player_apply(p, &e, &act, &acted, &why), SLO_OK);
	e = (struct slo_event){ .kind = SLO_EVENT_CONFIG, .list = options };
	for (e.list_n = 0; e.list_n <= SLO_EVENT_OPTIONS; e.list_n++) {
		slo_err err = player_apply(p, &e, &act, &acted, &why);

		assert_int_equal(err, e.list_n < 10 ? SLO_EINVAL : SLO_OK);
	}
	options[10] = -1;
	e.list_n = SLO_EVENT_OPTIONS;
	assert_int_equal(player_apply(p, &e, &act, &acted, &why), SLO_EINVAL);
	player_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_held_while_it_can_be_in_time),
		TEST(of_equal_moments_the_first_that_came_goes),
		TEST(without_a_most_all_are_held_equally_long),
		TEST(never_is_a_most),
		TEST(the_rule_may_change_while_they_wait),
		TEST(a_server_that_comes_or_goes_changes_it),
		TEST(who_leaves_is_not_waited_for),
		TEST(whoever_is_given_up_sooner_goes_first),
		TEST(a_recording_tells_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
