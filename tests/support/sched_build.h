/* sched_build.h - a small scheduler for tests: model m, deployment a10, two servers s0 and s1,
 * every request weighs half a server, 1 s long, with 5 s to do it. After cmocka.h. */
#ifndef SLO_TESTS_SCHED_BUILD_H
#define SLO_TESTS_SCHED_BUILD_H

#include <string.h>

#include "core/sched.h"
#include "core_build.h"

struct rig {
	struct sched_conf conf;
	struct sched *s;
	struct sched_model *m;
	struct deployment *d;
	struct server *server[2];
};

static inline void rig_profile(struct rig *r, struct deployment *d, const struct one_cell *c)
{
	assert_int_equal(sched_profile_set(r->s, d, profile_of(c)), SLO_OK);
}

static inline struct server *rig_server(struct rig *r, struct deployment *d, const char *name)
{
	struct server *server = sched_server_add(r->s, name);

	assert_non_null(server);
	assert_int_equal(sched_server_seat(r->s, d, server), SLO_OK);
	return server;
}

static const struct one_cell half_a_server = { .tput = 2, .e2e = 1, .slo_e2e = 5, .created = 1 };

static inline int rig_make(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->conf = sched_conf_default();
	r->s = sched_new(&r->conf);
	assert_non_null(r->s);
	r->m = sched_model_add(r->s, "m", SLO_STRATEGY_SLO);
	assert_non_null(r->m);
	r->d = sched_deployment_add(r->m, "a10");
	assert_non_null(r->d);
	rig_profile(r, r->d, &half_a_server);
	r->server[0] = rig_server(r, r->d, "s0");
	r->server[1] = rig_server(r, r->d, "s1");
	*state = r;
	return 0;
}

static inline int rig_drop(void **state)
{
	struct rig *r = *state;

	sched_check(r->s);
	sched_free(r->s);
	free(r);
	return 0;
}

static inline struct sched_request ask(struct rig *r, const char *id, slo_nsec now)
{
	return (struct sched_request){ .id = id,
		                       .id_len = strlen(id),
		                       .model = r->m,
		                       .strategy = SLO_STRATEGY_SLO,
		                       .input = 512,
		                       .input_told = true,
		                       .output = 64,
		                       .max_output = -1,
		                       .created = now };
}

static inline struct request *submit_created(struct rig *r, slo_nsec now, const char *id,
                                             slo_nsec created)
{
	struct sched_request req = ask(r, id, created);
	struct request *out = NULL;

	assert_int_equal(sched_submit(r->s, now, &req, &out), SLO_OK);
	assert_non_null(out);
	sched_check(r->s);
	return out;
}

static inline struct request *submit(struct rig *r, slo_nsec now, const char *id)
{
	return submit_created(r, now, id, now);
}

/* The next answer is for this id, with that reason. */
static inline struct sched_action answer(struct rig *r, slo_nsec now, const char *id,
                                         enum slo_verdict verdict, enum slo_reason reason)
{
	struct sched_action act;

	assert_true(sched_step(r->s, now, &act));
	sched_check(r->s);
	assert_string_equal(act.request->id, id);
	assert_int_equal(act.verdict, verdict);
	assert_int_equal(act.reason, reason);
	assert_int_equal(act.seat != NULL, verdict == SLO_ROUTE || verdict == SLO_FALLBACK);
	return act;
}

static inline void routed(struct rig *r, slo_nsec now, const char *id, const char *server)
{
	struct sched_action act = answer(r, now, id, SLO_ROUTE, SLO_REASON_NONE);

	assert_string_equal(act.seat->server->name, server);
}

static inline void quiet(struct rig *r, slo_nsec now)
{
	struct sched_action act;

	assert_false(sched_step(r->s, now, &act));
	sched_check(r->s);
}

static inline struct sched_end end_with(struct rig *r, slo_nsec now, const char *id,
                                        struct sched_outcome outcome)
{
	struct sched_end out;

	sched_end(r->s, now, id, strlen(id), &outcome, &out);
	sched_check(r->s);
	return out;
}

static inline enum sched_end_result end(struct rig *r, slo_nsec now, const char *id)
{
	return end_with(r, now, id,
	                (struct sched_outcome){ .input = -1, .output = -1, .bytes = -1 })
	    .result;
}

/* Both servers full with f0..f3. */
static inline void fill_up(struct rig *r, slo_nsec now)
{
	static const char *const ids[] = { "f0", "f1", "f2", "f3" };

	for (int i = 0; i < 4; i++) {
		submit(r, now, ids[i]);
		routed(r, now, ids[i], i % 2 ? "s0" : "s1");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_make, rig_drop)

#endif
