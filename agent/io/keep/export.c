#include "io/keep/export.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/agent/learned.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/timer.h"
#include "wire/profile_name.h"

#define TURN_MAX SLO_NSEC_PER_MSEC

/* Powers of two. */
#define OUTPUTS_FROM 2
#define OUTPUTS      10
#define INPUTS_FROM  6
#define INPUTS       9

static double digits(double v)
{
	double unit = v > 0 ? pow(10, floor(log10(v)) - 5) : 1;

	return round(v / unit) * unit;
}

struct tables {
	json_t *tputs, *e2e, *ttft, *tpot;
};

static void add_cell(const struct deployment *d, const struct goal *goal, int64_t input,
                     int64_t output, json_t *row[4])
{
	double span = (double)goal_span(goal, input, output) / 1e9;
	bool first = goal->kind == GOAL_TTFT;
	const struct latency_target target = { .e2e = first ? 0 : span, .ttft = first ? span : 0 };
	struct latency_cell c = latency_cell(&d->force.rates, input, output, &target);
	double alone = first ? c.first : c.own + c.others;
	bool feasible = goal->kind == GOAL_NONE || alone <= span;
	double first_token = fmin(c.ttft, c.e2e);

	json_array_append_new(row[0], json_real(digits(feasible ? c.at_once / c.e2e : 0)));
	json_array_append_new(row[1], json_real(digits(c.e2e)));
	json_array_append_new(row[2], json_real(digits(first_token)));
	json_array_append_new(row[3], json_real(digits((c.e2e - first_token) / (double)output)));
}

static void add_row(const struct deployment *d, const struct goal *goal, int64_t output,
                    const struct tables *t)
{
	json_t *row[4] = { json_array(), json_array(), json_array(), json_array() };

	for (int i = 0; i < INPUTS; i++)
		add_cell(d, goal, INT64_C(1) << (INPUTS_FROM + i), output, row);
	json_array_append_new(t->tputs, row[0]);
	json_array_append_new(t->e2e, row[1]);
	json_array_append_new(t->ttft, row[2]);
	json_array_append_new(t->tpot, row[3]);
}

static json_t *axis(int from, int count)
{
	json_t *list = json_array();

	for (int i = 0; i < count; i++)
		json_array_append_new(list, json_integer((json_int_t)1 << (from + i)));
	return list;
}

static json_t *slos_of(const struct goal *g, double percentile)
{
	json_t *slos = json_pack("{s:f}", "percentile", percentile);

	if (g->kind == GOAL_TPOT || g->kind == GOAL_TPAT)
		json_object_set_new(slos, goal_name(g->kind), json_real(g->per_token));
	if (g->kind == GOAL_TPOT && g->fixed > 0)
		json_object_set_new(slos, "ttft", json_real(g->fixed));
	if (g->kind == GOAL_TTFT || g->kind == GOAL_E2E)
		json_object_set_new(slos, goal_name(g->kind), json_real(g->fixed));
	return slos;
}

/* Other tools pass it over. */
static json_t *fit_of(const struct deployment *d)
{
	const struct latency_rates *r = &d->force.rates;
	const struct latency_learner *l = d->learner;

	return json_pack("{s:f, s:f, s:f, s:f, s:b, s:f, s:I, s:f, s:f}", "step_seconds", r->step,
	                 "prompt_seconds_per_token", r->prompt, "cached_seconds_per_token",
	                 r->cached, "kv_tokens", r->kv, "kv_tokens_told", r->kv_told, "headroom",
	                 r->headroom, "requests", (json_int_t)l->ends, "error_p50",
	                 latency_errors_median(&l->errors), "error_p99",
	                 latency_errors_quantile(&l->errors, 0.99) - 1);
}

char *export_text(const struct deployment *d, double percentile, double created)
{
	struct tables t = { json_array(), json_array(), json_array(), json_array() };
	const char *who;
	struct goal goal = learned_goal(d, &who);
	json_t *doc;
	char *text;

	for (int i = 0; i < OUTPUTS; i++)
		add_row(d, &goal, INT64_C(1) << (OUTPUTS_FROM + i), &t);
	doc = json_pack("{s:s, s:f, s:o, s:o, s:o, s:o, s:[o, o], s:f, s:o, s:o}", "gpu", d->name,
	                "cost", d->profile ? profile_cost(d->profile) : 0.0, "tputs", t.tputs,
	                "e2e", t.e2e, "ttft", t.ttft, "tpot", t.tpot, "indexes",
	                axis(OUTPUTS_FROM, OUTPUTS), axis(INPUTS_FROM, INPUTS), "created", created,
	                "slos", slos_of(&goal, percentile), "learned", fit_of(d));
	text = doc ? json_dumps(doc, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) : NULL;
	json_decref(doc);
	return text;
}

/* 0, or an errno. */
static int save_deployment(const struct export *e, const struct agent_model *m,
                           const struct deployment *d)
{
	char key[CONFIG_PROFILE_NAME_SIZE], path[PATH_MAX], *slash, *text;
	int err;

	if (profile_name(m->conf->name, d->name, key, sizeof(key)) != SLO_OK ||
	    snprintf(path, sizeof(path), "%s/%s", e->agent->conf->export.dir, key) >=
	        (int)sizeof(path))
		return ENAMETOOLONG;
	slash = strrchr(path, '/');
	*slash = '\0';
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return errno;
	*slash = '/';
	text = export_text(d, m->conf->percentile, (double)clock_unix_nsec() / 1e9);
	/* Not synced: it is written again soon, and disks are slow. */
	err = text ? file_save(path, slice_of(text), 0644, false) : ENOMEM;
	free(text);
	return err;
}

/* Rounds */

void export_begin(struct export *e)
{
	if (e->running)
		return;
	e->running = true;
	e->model = e->deployment = 0;
	e->result = (struct export_result){ 0, 0 };
	e->why = 0;
	ev_timer_set(&e->more, 0., 0.);
	ev_timer_start(e->agent->loop, &e->more);
}

/* The warning is about all of them: one that can be written must not clear what another one set. */
static void judge(const struct export *e, slo_nsec now)
{
	struct agent *a = e->agent;

	if (e->why)
		warn_set(a, now, "export", NULL, "learned profiles cannot be written to %s: %s",
		         a->conf->export.dir, file_why(e->why));
	else
		warn_clear(a, now, "export", NULL);
}

static void write_one(struct export *e, slo_nsec now, const struct agent_model *m,
                      const struct deployment *d)
{
	struct agent *a = e->agent;
	int err;

	if (!d->learner || d->learner->ends == 0 || d->force.state == LATENCY_COLD)
		return;
	err = save_deployment(e, m, d);
	if (!err) {
		e->result.written++;
		return;
	}
	e->result.failed++;
	e->why = err;
	log_limited(a->log, now, LOG_CAUSE_EXPORT, LOG_ERR,
	            "the learned profile of %s/%s cannot be written to %s: %s", d->pool->name,
	            d->name, a->conf->export.dir, file_why(err));
}

/* Goes on until then, by one at least. A reload may change models meanwhile: then the round leaves
 * some out. True: it is over. */
static bool write_some(struct export *e, slo_nsec until)
{
	const struct agent *a = e->agent;

	while (e->model < a->model_count) {
		const struct pool *pool = &a->models[e->model]->sched->pool;
		slo_nsec now = clock_nsec();

		if (e->deployment < pool->deployments) {
			write_one(e, now, a->models[e->model], pool->deployment[e->deployment++]);
		} else {
			e->model++;
			e->deployment = 0;
		}
		if (now >= until)
			return false;
	}
	judge(e, clock_nsec());
	return true;
}

static void end_round(struct export *e)
{
	e->running = false;
	ev_timer_stop(e->agent->loop, &e->more);
}

bool export_some(struct export *e, slo_nsec until, struct export_result *out)
{
	if (e->running && write_some(e, until))
		end_round(e);
	*out = e->result;
	return !e->running;
}

static void on_more(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct export *e = w->data;
	struct export_result unused;

	if (export_some(e, clock_nsec() + TURN_MAX, &unused))
		return;
	ev_timer_set(w, 0., 0.);
	ev_timer_start(loop, w);
}

/* If the last round still runs, the disk is slower than that. */
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	export_begin(w->data);
}

void export_init(struct export *e, struct agent *a)
{
	*e = (struct export){ .agent = a };
	ev_init(&e->timer, on_timer);
	ev_init(&e->more, on_more);
	e->timer.data = e->more.data = e;
}

void export_configure(struct export *e)
{
	const struct config_export *conf = &e->agent->conf->export;

	timer_every(e->agent->loop, &e->timer, conf->dir ? conf->every : 0);
	if (conf->dir)
		return;
	end_round(e);
	warn_clear(e->agent, clock_nsec(), "export", NULL);
}

void export_stop(struct export *e)
{
	if (!e->agent)
		return;
	ev_timer_stop(e->agent->loop, &e->timer);
	end_round(e);
}
