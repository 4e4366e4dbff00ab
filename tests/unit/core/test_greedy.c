/* A client that wants its answers within a millisecond, and long ones, beside eight honest clients:
 * what does it cost these? In virtual time: servers are as fast as their profile says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "sched_build.h"

#define HONEST  8
#define GREEDY  8 /* requests that the greedy client has open at once */
#define CLIENTS (HONEST + GREEDY)
#define ANSWERS 4000 /* of the honest ones, room for them */
#define LAST    SEC(120)

/* Each sends its next request as soon as its last one is answered, or up to 2 x `rest` later. */
struct client {
	unsigned sent;
	bool rests;
	slo_nsec since, ends; /* of its request, or of its rest; SLO_NEVER: it waits */
};

struct scene {
	enum slo_late late;
	size_t greedy; /* requests that the greedy client has open */
	int room;      /* on each server */
	slo_nsec rest; /* on average */
	uint64_t seed; /* of how long answers and rests take; 0: all are alike */
};

struct world {
	struct sched *s;
	struct sched_model *m;
	const struct scene *scene;
	struct rng rng;
	struct client client[CLIENTS];
	slo_nsec took[ANSWERS];
	size_t answers;
};

/* a10: one server, l20: four, with the same room each; both answer within 0.7 s, a10 comes first
 * among equals. */
static void build(struct world *w)
{
	const struct one_cell cell = {
		.tput = w->scene->room / 0.7, .e2e = 0.7, .slo_e2e = 5, .created = 1
	};
	struct sched_conf conf = sched_conf_default();

	conf.late = w->scene->late;
	w->s = sched_new(&conf);
	assert_non_null(w->s);
	w->m = sched_model_add(w->s, "m", SLO_STRATEGY_SLO);
	assert_non_null(w->m);
	for (int k = 0; k < 2; k++) {
		struct deployment *d = sched_deployment_add(w->m, k == 0 ? "a10" : "l20");

		assert_non_null(d);
		assert_int_equal(sched_profile_set(w->s, d, profile_of(&cell)), SLO_OK);
		for (int i = 0; i < (k == 0 ? 1 : 4); i++) {
			struct server *server = sched_server_add(w->s, "s");

			assert_non_null(server);
			assert_int_equal(sched_server_seat(w->s, d, server), SLO_OK);
			sched_server_usable(w->s, server, true);
		}
	}
}

static bool is_greedy(size_t client)
{
	return client >= HONEST;
}

static size_t id_of(const struct world *w, size_t client, char id[32])
{
	return (size_t)snprintf(id, 32, "%zu-%u", client, w->client[client].sent);
}

static void ask_next(struct world *w, slo_nsec now, size_t client)
{
	struct client *c = &w->client[client];
	char id[32];
	struct sched_request req = { .id = id,
		                     .model = w->m,
		                     .strategy = SLO_STRATEGY_SLO,
		                     .input = 512,
		                     .input_told = true,
		                     .output = 64,
		                     .max_output = -1,
		                     .created = now,
		                     .user = c };

	if (is_greedy(client))
		req.own.e2e = 1000000;
	c->sent++;
	c->since = now;
	c->ends = SLO_NEVER;
	req.id_len = id_of(w, client, id);
	assert_int_equal(sched_submit(w->s, now, &req, NULL), SLO_OK);
}

/* By a fifth more or less. */
static slo_nsec about(struct world *w, slo_nsec span)
{
	if (w->scene->seed == 0)
		return span;
	return span * 4 / 5 + (slo_nsec)rng_below(&w->rng, (uint64_t)(span * 2 / 5));
}

static void decide(struct world *w, slo_nsec now)
{
	struct sched_action act;

	while (sched_step(w->s, now, &act)) {
		struct client *c = act.user;

		/* The predictor knows nothing of it: a greedy answer takes 15 times as long. */
		c->ends =
		    now + (is_greedy((size_t)(c - w->client)) ? SEC(10) : about(w, MSEC(700)));
		if (act.verdict == SLO_REJECT)
			c->ends = now + MSEC(100); /* and tries again */
	}
}

/* Its next request, now or after a rest. */
static void go_on(struct world *w, slo_nsec now, size_t client)
{
	struct client *c = &w->client[client];

	c->rests = !c->rests && w->scene->rest > 0;
	if (c->rests)
		c->ends = now + (slo_nsec)rng_below(&w->rng, 2 * (uint64_t)w->scene->rest);
	else
		ask_next(w, now, client);
}

static void end_one(struct world *w, slo_nsec now, size_t client)
{
	static const struct sched_outcome outcome = { .input = -1, .output = -1, .bytes = -1 };
	struct client *c = &w->client[client];
	struct sched_end end;
	char id[32];
	size_t len = id_of(w, client, id);

	sched_end(w->s, now, id, len, &outcome, &end);
	if (!is_greedy(client) && w->answers < ANSWERS)
		w->took[w->answers++] = now - c->since;
	go_on(w, now, client);
	decide(w, now);
}

static int by_time(const void *a, const void *b)
{
	slo_nsec x = *(const slo_nsec *)a, y = *(const slo_nsec *)b;

	return (x > y) - (x < y);
}

/* The median time of an honest answer; `answers` of them. */
static slo_nsec median(const struct scene *scene, size_t *answers)
{
	struct world *w = calloc(1, sizeof(*w));
	size_t greedy = scene->greedy;
	slo_nsec now = 0, m;

	assert_non_null(w);
	w->scene = scene;
	rng_init(&w->rng, scene->seed);
	build(w);
	for (size_t i = 0; i < HONEST + greedy; i++)
		ask_next(w, 0, i);
	decide(w, 0);
	while (now < LAST) {
		slo_nsec wake = sched_next_wakeup(w->s);
		size_t next = 0;

		for (size_t i = 1; i < HONEST + greedy; i++)
			if (w->client[i].ends < w->client[next].ends)
				next = i;
		now = w->client[next].ends < wake ? w->client[next].ends : wake;
		if (now == w->client[next].ends && w->client[next].rests)
			go_on(w, now, next);
		else if (now == w->client[next].ends)
			end_one(w, now, next);
		decide(w, now);
	}
	qsort(w->took, w->answers, sizeof(w->took[0]), by_time);
	m = w->took[w->answers / 2];
	*answers = w->answers;
	sched_check(w->s);
	sched_free(w->s);
	free(w);
	return m;
}

static void honest_clients_do_not_feel_a_greedy_one(void **state)
{
	struct scene scene = { .late = SLO_LATE_SERVE, .room = 4 };
	size_t alone, beside;
	slo_nsec before = median(&scene, &alone), after;

	(void)state;
	scene.greedy = GREEDY;
	after = median(&scene, &beside);
	assert_true(before == MSEC(700));
	assert_true(10 * after <= 13 * before);
	assert_true(10 * beside >= 9 * alone);
}

/* Ten places for sixteen requests. The greedy one never goes before an honest one that waits. But
 * while one rests, a place is free and the greedy one takes it, for ten seconds: no place stays
 * free while somebody waits. So the longer they rest, the more they feel it. */
static void where_not_all_have_room_they_feel_it_little(void **state)
{
	static const struct {
		slo_nsec rest;
		int percent; /* of the time without it, at most */
	} cases[] = { { 0, 101 }, { MSEC(1), 120 }, { MSEC(10), 135 }, { MSEC(50), 145 } };
	struct scene scene = { .late = SLO_LATE_SERVE, .room = 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene.rest = cases[i].rest;
		for (scene.seed = 1; scene.seed <= 5; scene.seed++) {
			size_t alone, beside;
			slo_nsec before, after;

			scene.greedy = 0;
			before = median(&scene, &alone);
			scene.greedy = GREEDY;
			after = median(&scene, &beside);
			assert_true(100 * after <= cases[i].percent * before);
			assert_true(10 * beside >= 7 * alone);
		}
	}
}

/* That the test can tell: by AIBrix's rule the greedy one stands before them, at one server. */
static void held_they_do(void **state)
{
	struct scene scene = { .late = SLO_LATE_HOLD, .room = 4 };
	size_t alone, beside;
	slo_nsec before = median(&scene, &alone), after;

	(void)state;
	scene.greedy = GREEDY;
	after = median(&scene, &beside);
	assert_true(after > 3 * before);
	assert_true(beside < alone / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_clients_do_not_feel_a_greedy_one),
		cmocka_unit_test(where_not_all_have_room_they_feel_it_little),
		cmocka_unit_test(held_they_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
