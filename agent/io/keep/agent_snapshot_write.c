/* What an agent writes into a snapshot. */
#include <stdlib.h>
#include <string.h>

#include "agent_snapshot_private.h"
#include "core/foreign.h"
#include "core/lease.h"
#include "io/base/clock.h"
#include "io/keep/agent_snapshot.h"

struct learned {
	struct snapshot_count count[PREDICTOR_INTERVALS * PREDICTOR_BUCKETS * PREDICTOR_BUCKETS];
	size_t n;
};

static void add_count(void *arg, const struct predictor_count *c)
{
	struct learned *l = arg;

	l->count[l->n++] = (struct snapshot_count){ c->age, c->input, c->output, c->count };
}

static struct snapshot_mean mean_of(const struct running_mean *m)
{
	return (struct snapshot_mean){ m->value, m->samples };
}

static void write_model(struct snapshot_writer *w, slo_nsec now, const struct sched_model *m,
                        struct learned *learned)
{
	struct snapshot_model out = {
		.name = slice_of(m->pool.name),
		.input = mean_of(&m->estimator.input),
		.json = mean_of(&m->estimator.json),
		.stream = mean_of(&m->estimator.stream),
		.spread = mean_of(&m->estimator.spread),
		.event = mean_of(&m->estimator.event),
		.counts = learned->count,
	};

	learned->n = 0;
	predictor_export(m->predictor, now, add_count, learned);
	out.count_n = learned->n;
	snapshot_add_model(w, &out);
}

_Static_assert(SNAPSHOT_NUMBERS == LATENCY_NUMBERS && SNAPSHOT_BINS == LATENCY_ERROR_BINS,
               "a record holds what was learned");

static void write_times(struct snapshot_writer *w, const struct deployment *d)
{
	struct snapshot_learned out = { .model = slice_of(d->pool->name),
		                        .deployment = slice_of(d->name) };
	struct latency_memory memory = { 0 };

	if (!d->learner || d->learner->ends + d->learner->passed == 0)
		return;
	latency_learner_remember(d->learner, &memory);
	memcpy(out.number, memory.number, sizeof(out.number));
	memcpy(out.bin, memory.bin, sizeof(out.bin));
	snapshot_add_learned(w, &out);
	for (const struct seat *seat = d->seats; seat; seat = seat->next) {
		struct snapshot_speed speed = {
			.model = out.model,
			.backend = roster_server_backend(roster_server(seat->server)),
			.server = slice_of(seat->server->name),
			.late = seat->speed.late,
			.ends = seat->speed.ends,
		};

		if (speed.ends > 0)
			snapshot_add_speed(w, &speed);
	}
}

static void write_refuted(struct snapshot_writer *w, const struct deployment *d)
{
	const struct snapshot_refuted out = { .model = slice_of(d->pool->name),
		                              .deployment = slice_of(d->name),
		                              .digest = d->refuted,
		                              .ends = d->refuting };

	if (d->learner && d->refuting > 0)
		snapshot_add_refuted(w, &out);
}

static void write_grown(struct snapshot_writer *w, const struct deployment *d)
{
	struct snapshot_grown out = { .model = slice_of(d->pool->name),
		                      .deployment = slice_of(d->name),
		                      .digest = d->refuted,
		                      .tokens = d->grown };

	if (d->learner && d->learner->prior_kv > out.tokens)
		out.tokens = d->learner->prior_kv;
	if (d->learner && out.tokens > 0)
		snapshot_add_grown(w, &out);
}

static void write_guard(struct snapshot_writer *w, const struct deployment *d)
{
	const struct snapshot_guard out = { .model = slice_of(d->pool->name),
		                            .deployment = slice_of(d->name),
		                            .share = d->guard.share,
		                            .seen = d->guard.seen,
		                            .missed = d->guard.missed };

	if (d->guard.share < 1 || d->guard.seen > 0)
		snapshot_add_guard(w, &out);
}

static uint32_t flags_of(bool stream, bool guessed, bool fallback, unsigned mute)
{
	return (stream ? SNAPSHOT_STREAM : 0) | (guessed ? SNAPSHOT_STREAM_GUESSED : 0) |
	       (fallback ? SNAPSHOT_FALLBACK : 0) | mute << 8;
}

static void write_lease(struct snapshot_writer *w, slo_nsec to_unix, const struct request *r)
{
	struct sched_lease l = lease_of(r);
	struct snapshot_lease out = {
		.id = { (const uint8_t *)l.id, l.id_len },
		.model = slice_of(l.model->pool.name),
		.backend = roster_server_backend(roster_server(l.server)),
		.server = slice_of(l.server->name),
		.load = l.load,
		.created = l.created + to_unix,
		.arrived = l.arrived + to_unix,
		.dispatched = l.dispatched + to_unix,
		.input = l.input,
		.output = l.output,
		.estimate = l.estimate,
		.strategy = slice_of(policy_strategy_name(l.strategy)),
		.flags = flags_of(l.stream, l.stream_guessed, l.fallback, l.mute),
		.goal = (uint32_t)l.goal.kind,
		.per_token = l.goal.per_token,
		.fixed = l.goal.fixed,
		.tpat = l.goal.tpat,
		.e2e = l.goal.e2e,
		.limit = l.limit,
		.sequences = (uint32_t)l.sequences,
		.class = l.class,
	};

	snapshot_add_lease(w, &out);
}

static void write_foreign(struct snapshot_writer *w, slo_nsec now, slo_nsec to_unix,
                          const struct foreign_owner *o, const struct request *r)
{
	struct foreign_lease l = foreign_lease_of(r, now);
	struct snapshot_foreign out = {
		.owner = slice_of(o->name),
		.id = { (const uint8_t *)l.id, l.id_len },
		.model = l.model ? slice_of(l.model->pool.name) : (struct slice){ 0 },
		.backend = roster_server_backend(roster_server(l.server)),
		.server = slice_of(l.server->name),
		.load = l.load,
		.dispatched = now - l.age + to_unix,
		.input = l.input,
		.output = l.output,
		.estimate = l.estimate,
		.limit = l.limit,
		.sequences = (uint32_t)l.sequences,
		.class = l.class,
		.strategy = slice_of(policy_strategy_name(l.strategy)),
		.flags = flags_of(l.stream, l.stream_guessed, l.fallback, l.mute),
	};

	snapshot_add_foreign(w, &out);
}

static void write_owners(struct snapshot_writer *w, const struct sched *s)
{
	const struct foreign_owner *o = NULL;

	while ((o = foreign_owner_next(s, o))) {
		struct snapshot_owner out = { .name = slice_of(o->name),
			                      .life = o->life,
			                      .flags = (o->visible ? SNAPSHOT_VISIBLE : 0) |
			                               (o->self ? SNAPSHOT_SELF : 0) };

		snapshot_add_owner(w, &out);
	}
}

static void write_deployments(struct snapshot_writer *w, const struct sched *s)
{
	const struct sched_model *m;

	TAILQ_FOREACH (m, sched_models(s), link)
		for (size_t i = 0; i < m->pool.deployments; i++) {
			write_times(w, m->pool.deployment[i]);
			write_refuted(w, m->pool.deployment[i]);
			write_guard(w, m->pool.deployment[i]);
		}
}

/* An agent that does not know these records has read all before them. */
static void write_caches(struct snapshot_writer *w, const struct sched *s)
{
	const struct sched_model *m;

	TAILQ_FOREACH (m, sched_models(s), link)
		for (size_t i = 0; i < m->pool.deployments; i++)
			write_grown(w, m->pool.deployment[i]);
}

static void write_leases(struct snapshot_writer *w, slo_nsec now, slo_nsec to_unix,
                         const struct sched *s)
{
	const struct request *r;

	/* A model that left the configuration takes nothing up any more. */
	for (r = lease_first(s); r; r = lease_next(r))
		if (r->model)
			write_lease(w, to_unix, r);
	for (r = foreign_first(s); r; r = foreign_next(r))
		write_foreign(w, now, to_unix, foreign_owner_of(s, r), r);
}

struct snapshot_writer *agent_snapshot_write(struct agent *a, slo_nsec now, struct slice *out)
{
	int64_t written = clock_unix_nsec();
	struct snapshot_writer *w = snapshot_begin(written);
	struct learned *learned = malloc(sizeof(*learned));
	const struct sched_model *m;

	if (!w || !learned)
		goto err;
	TAILQ_FOREACH (m, sched_models(a->sched), link)
		write_model(w, now, m, learned);
	for (const struct roster_server *s = a->roster.servers; s; s = s->hh.next) {
		struct snapshot_server server = { roster_server_backend(s),
			                          slice_of(s->server->name), (uint32_t)s->state };

		if (!s->configured && !roster_is_leaving(s))
			snapshot_add_server(w, &server);
	}
	write_owners(w, a->sched);
	write_deployments(w, a->sched);
	for (size_t i = 0; i < a->model_count; i++)
		windows_write(w, now, a->models[i]);
	write_leases(w, now, written - now, a->sched);
	write_caches(w, a->sched);
	if (snapshot_end(w, out) != SLO_OK)
		goto err;
	free(learned);
	return w;

err:
	free(learned);
	snapshot_writer_free(w);
	return NULL;
}
