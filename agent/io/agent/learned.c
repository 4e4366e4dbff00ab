#include "io/agent/learned.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "io/base/clock.h"

static const struct config_deployment *config_of(const struct agent_model *m,
                                                 const struct deployment *d)
{
	for (size_t i = 0; i < m->conf->deployment_count; i++)
		if (strcmp(m->conf->deployments[i].name, d->name) == 0)
			return &m->conf->deployments[i];
	return NULL;
}

static bool same_goal(const struct goal *a, const struct goal *b)
{
	const double x[] = { a->per_token, a->fixed, a->tpat, a->e2e };
	const double y[] = { b->per_token, b->fixed, b->tpat, b->e2e };

	for (int i = 0; i < 4; i++)
		if (x[i] < y[i] || x[i] > y[i])
			return false;
	return a->kind == b->kind;
}

double learned_cache_of(const struct seat *seat)
{
	const struct engine_seen *e = roster_server(seat->server)->engine;

	return e && engine_knows(&e->facts, ENGINE_KV_SIZE) ? e->facts.value[ENGINE_KV_SIZE] : 0;
}

/* About what most engines of d tell, by the majority vote of Boyer and Moore; where there is none,
 * the most that one tells. 0: none tells. */
double learned_cache_usual(const struct deployment *d)
{
	double candidate = 0, most = 0;
	size_t votes = 0;

	for (const struct seat *seat = d->seats; seat; seat = seat->next) {
		double kv = learned_cache_of(seat);

		if (!(kv > 0))
			continue;
		if (votes == 0)
			candidate = kv;
		most = at_least(most, kv);
		if (kv >= LEARNED_CACHE_ODD * candidate && LEARNED_CACHE_ODD * kv <= candidate)
			votes++;
		else
			votes--;
	}
	return votes > 0 ? candidate : most;
}

bool learned_cache_is_odd(const struct seat *seat, double usual)
{
	double kv = learned_cache_of(seat);

	return kv > 0 && kv < LEARNED_CACHE_ODD * usual;
}

double learned_cache_told(const struct deployment *d)
{
	double usual = learned_cache_usual(d), least = usual;

	for (const struct seat *seat = d->seats; seat; seat = seat->next) {
		double kv = learned_cache_of(seat);

		if (kv > 0 && kv < least && !learned_cache_is_odd(seat, usual))
			least = kv;
	}
	return least;
}

/* False: out of memory. */
static bool apply_source(struct agent *a, const struct agent_model *m, struct deployment *d)
{
	const struct config_deployment *conf = config_of(m, d);
	double kv;

	if (!conf)
		return true;
	kv = conf->kv_tokens ? (double)conf->kv_tokens : learned_cache_told(d);
	sched_running_set(a->sched, d, conf->max_running);
	return sched_source_set(a->sched, d, conf->source, kv) == SLO_OK;
}

double learned_kv_configured(const struct agent_model *m, const struct deployment *d)
{
	const struct config_deployment *conf = config_of(m, d);

	return conf ? (double)conf->kv_tokens : 0;
}

/* Whether the size of the cache that was told turned out wrong. */
static bool is_overruled(const struct deployment *d)
{
	return d->learner && d->learner->kv > 0 && fabs(d->force.rates.kv - d->learner->kv) > 0;
}

const char *learned_kv_from(const struct agent_model *m, const struct deployment *d)
{
	const struct config_deployment *conf = config_of(m, d);

	if (is_overruled(d))
		return "overruled";
	if (!d->force.rates.kv_told)
		return "found";
	if (conf && conf->kv_tokens)
		return "configuration";
	return d->learner && d->learner->kv > 0 ? "engine" : "profile";
}

void learned_cache_came(struct agent *a, const struct server *server)
{
	for (const struct seat *seat = server->seats; seat; seat = seat->next_of_server)
		for (size_t i = 0; i < a->model_count; i++)
			if (&a->models[i]->sched->pool == seat->deployment->pool)
				(void)apply_source(a, a->models[i], seat->deployment);
}

bool learned_configure(struct agent *a)
{
	bool ok = true;

	for (size_t i = 0; i < a->model_count; i++) {
		struct agent_model *m = a->models[i];
		struct pool *pool = &m->sched->pool;

		if (!same_goal(&pool->promise, &m->conf->promise))
			sched_promise(a->sched, m->sched, &m->conf->promise);
		for (size_t k = 0; k < pool->deployments; k++) {
			struct deployment *d = pool->deployment[k];

			ok &= apply_source(a, m, d);
			if (d->learner && d->learner->headroom > 0)
				(void)sched_headroom(a->sched, clock_nsec(), d, 0);
		}
	}
	if (!ok)
		log_write(a->log, LOG_ERR, "out of memory: some deployments do not learn");
	return ok;
}

const char *learned_source(const struct deployment *d)
{
	if (d->source == FLEET_PRIOR && d->learner && d->learner->ends < LATENCY_COLD_ENDS)
		return "profile";
	if (fleet_learned(d))
		return d->force.state == LATENCY_COLD ? "none" : "learned";
	return d->profile ? "profile" : "none";
}

const char *learned_configured(const struct deployment *d)
{
	if (d->source == FLEET_GIVEN || d->source == FLEET_LEARNED)
		return d->source == FLEET_GIVEN ? "given" : "learned";
	return d->begins ? "prior" : "auto";
}

struct goal learned_goal(const struct deployment *d, const char **who)
{
	const struct slo_target none = { 0, 0, 0 };
	struct goal g = d->pool->promise;

	*who = "configuration";
	if (g.kind == GOAL_NONE && d->profile) {
		*who = "profile";
		g = profile_goal(d->profile, &none);
	}
	if (g.kind == GOAL_NONE)
		*who = "";
	return g;
}

#define SAY_SELDOM     (60 * SLO_NSEC_PER_SEC)
#define SAID_REFUTED   32u
#define SAID_OVERRULED 64u

/* What the log says of a deployment, as a number that changes when there is something to say. */
static uint32_t worth_saying(const struct deployment *d)
{
	if (!d->learner || !fleet_learned(d))
		return 0;
	return 1 + (uint32_t)d->force.state + 4 * (uint32_t)d->learner->doubt +
	       (d->source == FLEET_REFUTED ? SAID_REFUTED : 0) +
	       (is_overruled(d) ? SAID_OVERRULED : 0);
}

static void say(struct agent *a, slo_nsec now, const struct deployment *d)
{
	static const char *const why[] = {
		[LATENCY_DOUBT_NONE] = "",
		[LATENCY_DOUBT_ERROR] = "half of the times are predicted badly",
		[LATENCY_DOUBT_TAIL] = "many requests take far longer than predicted",
		[LATENCY_DOUBT_DRIFT] = "its servers became faster or slower",
	};
	const struct latency_learner *l = d->learner;
	const char *model = d->pool->name;

	if (is_overruled(d) && !(d->said & SAID_OVERRULED))
		log_write(a->log, LOG_WARNING,
		          "%s/%s: a server is told to hold %.0f tokens, but requests do as if it "
		          "held %s: the limit is found from them now; look at kv_tokens, or at "
		          "what the engine says",
		          model, d->name, l->kv, d->force.rates.kv > l->kv ? "more" : "fewer");
	else if (d->source == FLEET_REFUTED && !(d->said & SAID_REFUTED))
		log_write(a->log, LOG_WARNING,
		          "%s/%s: its profile is off by more than a factor of two in most of %d "
		          "requests, so learned times replace it; measure it again",
		          model, d->name, (int)d->refuting);
	else if (d->force.state == LATENCY_WARM && l->doubt != LATENCY_DOUBT_NONE)
		log_limited(a->log, now, LOG_CAUSE_LEARNED, LOG_NOTICE,
		            "%s/%s: learned times are doubted: %s; nobody is refused for them",
		            model, d->name, why[l->doubt]);
	else if (d->force.state == LATENCY_WARM && l->prior && l->ends < LATENCY_COLD_ENDS)
		log_limited(a->log, now, LOG_CAUSE_LEARNED, LOG_INFO,
		            "%s/%s: learning begins with what its profile says", model, d->name);
	else if (d->force.state == LATENCY_WARM && l->ends < LATENCY_COLD_ENDS)
		log_limited(a->log, now, LOG_CAUSE_LEARNED, LOG_INFO,
		            "%s/%s: only %d requests taught, %d could not, as they may have waited "
		            "for room in a server; so few have to do to route by",
		            model, d->name, (int)l->ends, (int)l->passed);
	else if (d->force.state == LATENCY_WARM)
		log_limited(a->log, now, LOG_CAUSE_LEARNED, LOG_INFO,
		            "%s/%s: %d requests taught enough to route by", model, d->name,
		            (int)l->ends);
	else if (d->force.state == LATENCY_HOT)
		log_limited(a->log, now, LOG_CAUSE_LEARNED, LOG_INFO,
		            "%s/%s: learned times hold: %.1f ms a step, %.3f ms a prompt token, "
		            "error %.0f %%",
		            model, d->name, 1e3 * d->force.rates.step, 1e3 * d->force.rates.prompt,
		            100 * latency_errors_median(&l->errors));
}

/* That times hold or are doubted changes often while load does; of one deployment it is said once
 * in a while. What is left out then is said by the next change. */
static bool is_said_too_often(struct deployment *d, slo_nsec now, uint32_t now_said)
{
	bool other = (now_said ^ d->said) & (SAID_REFUTED | SAID_OVERRULED);

	if (!d->learner || other ||
	    (d->force.state != LATENCY_HOT && d->learner->doubt == LATENCY_DOUBT_NONE))
		return false;
	if (d->said_at > 0 && now - d->said_at < SAY_SELDOM)
		return true;
	d->said_at = now;
	return false;
}

void learned_watch(struct agent *a, slo_nsec now)
{
	uint64_t changes = sched_counts(a->sched).forced;

	if (changes == a->forced)
		return;
	a->forced = changes;
	for (size_t i = 0; i < a->model_count; i++) {
		const struct pool *pool = &a->models[i]->sched->pool;

		for (size_t k = 0; k < pool->deployments; k++) {
			struct deployment *d = pool->deployment[k];
			uint32_t now_said = worth_saying(d);

			if (now_said == d->said || is_said_too_often(d, now, now_said))
				continue;
			if (now_said)
				say(a, now, d);
			d->said = now_said;
		}
	}
}

void learned_missed_target(struct agent *a, struct agent_model *m)
{
	const struct pool *pool = &m->sched->pool;
	const char *who;

	if (m->said_no_target)
		return;
	for (size_t i = 0; i < pool->deployments; i++)
		if (learned_goal(pool->deployment[i], &who).kind != GOAL_NONE)
			return;
	m->said_no_target = true;
	log_write(a->log, LOG_NOTICE,
	          "model %s has no latency target, so its requests go by %s; state one in "
	          "models.%s.slo, as {\"e2e\": \"30s\"}",
	          pool->name, policy_strategy_name(a->conf->routing.fallback), pool->name);
}
