/* engine_log.h - an engine under test and what it handed out. */
#ifndef SUPPORT_ENGINE_LOG_H
#define SUPPORT_ENGINE_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine.h"

#define DEEPSEEK "deepseek-coder-6.7b"
#define MAX_LOG  4096

/* A test that starts with empty logs. */
#define TEST(f) cmocka_unit_test_setup(f, reset_logs)

/* Everything a sink was told, in order. */
struct log {
	struct {
		slo_nsec at;
		uint64_t cookie;
		uint32_t tokens;
		bool finished;
	} row[MAX_LOG];
	size_t n;
};

static struct log log_a, log_b;

static inline void record(void *arg, slo_nsec at, uint64_t cookie, uint32_t tokens, bool finished)
{
	struct log *l = arg;

	assert_true(l->n < MAX_LOG);
	l->row[l->n].at = at;
	l->row[l->n].cookie = cookie;
	l->row[l->n].tokens = tokens;
	l->row[l->n].finished = finished;
	l->n++;
}

static inline struct engine *engine_on(const char *gpu, enum engine_mode mode, uint32_t seqs,
                                       uint32_t budget)
{
	struct engine_conf conf = { .gpu = gpu,
		                    .model = DEEPSEEK,
		                    .mode = mode,
		                    .max_num_seqs = seqs,
		                    .token_budget = budget };
	struct engine *e = engine_new(&conf);

	assert_non_null(e);
	return e;
}

static inline struct engine_handle submit(struct engine *e, slo_nsec now, uint64_t cookie,
                                          uint32_t in, uint32_t out)
{
	struct engine_handle h = { 0 };

	assert_int_equal(engine_submit(e, now, cookie, in, out, &h), SLO_OK);
	return h;
}

/* Ends the running step exactly on time; gives that time. */
static inline slo_nsec step(struct engine *e, struct log *l)
{
	slo_nsec at = engine_next(e);

	assert_true(at != SLO_NEVER);
	assert_true(engine_step(e, at, record, l));
	return at;
}

/* Until idle; gives the end of the last step. */
static inline slo_nsec run(struct engine *e, struct log *l)
{
	slo_nsec at = 0;

	while (engine_next(e) != SLO_NEVER)
		at = step(e, l);
	return at;
}

static inline struct engine_stats stats_of(const struct engine *e)
{
	struct engine_stats s;

	engine_stats(e, &s);
	return s;
}

static inline void assert_idle(const struct engine *e)
{
	struct engine_stats s = stats_of(e);

	assert_int_equal(engine_next(e), SLO_NEVER);
	assert_int_equal(s.running, 0);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.kv_used, 0);
}

static inline void assert_row(const struct log *l, size_t i, uint64_t cookie, uint32_t tokens,
                              bool finished)
{
	assert_true(i < l->n);
	assert_int_equal(l->row[i].cookie, cookie);
	assert_int_equal(l->row[i].tokens, tokens);
	assert_int_equal(l->row[i].finished, finished);
}

static inline int reset_logs(void **state)
{
	(void)state;
	log_a.n = log_b.n = 0;
	return 0;
}

#endif
