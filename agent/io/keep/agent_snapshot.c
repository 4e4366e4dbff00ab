/* The reading half; agent_snapshot_write.c writes. */
#include "io/keep/agent_snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent_snapshot_private.h"
#include "core/foreign.h"
#include "core/lease.h"
#include "io/base/clock.h"

struct restored {
	slo_nsec now, age;
	int64_t to_mono; /* from Unix time */
	size_t leases, models, left_out;
};

static bool copy_name(struct slice s, char *out)
{
	if (s.len > CONFIG_NAME_MAX || memchr(s.p, 0, s.len))
		return false;
	memcpy(out, s.p, s.len);
	out[s.len] = '\0';
	return true;
}

static struct sched_model *model_of(struct agent *a, struct slice name)
{
	return sched_model_find(a->sched, (const char *)name.p, name.len);
}

static struct running_mean mean_from(const struct snapshot_mean *m)
{
	return (struct running_mean){ m->value, m->samples };
}

static void read_model(struct agent *a, slo_nsec now, slo_nsec age, const struct snapshot_model *in,
                       struct restored *sum)
{
	struct sched_model *m = model_of(a, in->name);
	struct estimator e = { mean_from(&in->input), mean_from(&in->json), mean_from(&in->stream),
		               mean_from(&in->spread), mean_from(&in->event) };
	uint64_t older = (uint64_t)(age / PREDICTOR_INTERVAL);

	if (!m || estimator_restore(&m->estimator, &e) != SLO_OK) {
		sum->left_out++;
		return;
	}
	for (size_t i = 0; i < in->count_n && older < PREDICTOR_INTERVALS; i++) {
		const struct snapshot_count *c = &in->counts[i];
		struct predictor_count count = { c->age, c->input, c->output, c->count };

		if (c->age >= PREDICTOR_INTERVALS)
			continue;
		count.age += (uint32_t)older;
		predictor_import(m->predictor, now, &count);
	}
	sum->models++;
}

static void read_server(struct agent *a, slo_nsec now, const struct snapshot_server *in)
{
	char backend[CONFIG_NAME_MAX + 1], server[CONFIG_NAME_MAX + 1];

	if (copy_name(in->backend, backend) && copy_name(in->server, server) &&
	    in->state <= SLO_SERVER_DRAIN)
		roster_server_seen(a, now, backend, server, (enum slo_server_state)in->state);
}

/* A newer agent may know strategies and targets that this one does not: the request occupies its
 * server all the same. */
static enum slo_strategy strategy_from(struct slice name)
{
	enum slo_strategy s;

	return policy_strategy_parse((const char *)name.p, name.len, &s)
	           ? s
	           : SLO_STRATEGY_LEAST_REQUEST;
}

static struct goal goal_from(const struct snapshot_lease *in)
{
	if (in->goal >= GOAL_KINDS)
		return (struct goal){ .kind = GOAL_NONE };
	return (struct goal){ .kind = (enum goal_kind)in->goal,
		              .per_token = in->per_token,
		              .fixed = in->fixed,
		              .tpat = in->tpat,
		              .e2e = in->e2e };
}

/* Times beyond this are nonsense, and would overflow: Unix time, up to the year 2116. */
static bool time_sane(int64_t t)
{
	return t > -(INT64_MAX / 4) && t < INT64_MAX / 2;
}

static bool read_lease(struct agent *a, slo_nsec now, int64_t to_mono,
                       const struct snapshot_lease *in)
{
	char backend[CONFIG_NAME_MAX + 1], server[CONFIG_NAME_MAX + 1];
	struct sched_lease l = {
		.id = (const char *)in->id.p,
		.id_len = in->id.len,
		.model = model_of(a, in->model),
		.load = in->load,
		.created = in->created + to_mono,
		.arrived = in->arrived + to_mono,
		.dispatched = in->dispatched + to_mono,
		.input = in->input,
		.output = in->output,
		.estimate = in->estimate,
		.stream = in->flags & SNAPSHOT_STREAM,
		.stream_guessed = in->flags & SNAPSHOT_STREAM_GUESSED,
		.mute = SNAPSHOT_MUTE(in->flags) & 0xff,
		.fallback = in->flags & SNAPSHOT_FALLBACK,
		.limit = in->limit,
		.sequences = in->sequences,
		.class = in->class,
		.strategy = strategy_from(in->strategy),
		.goal = goal_from(in),
	};

	if (!l.model || !copy_name(in->backend, backend) || !copy_name(in->server, server) ||
	    l.dispatched > now)
		return false;
	l.server = roster_find(a, backend, server);
	return l.server && lease_restore(a->sched, &l) == SLO_OK;
}

static bool read_owner(struct agent *a, const struct snapshot_owner *in)
{
	struct foreign_owner *o =
	    in->name.len > 0 && in->name.len <= CONFIG_NAME_MAX
		? foreign_owner(a->sched, (const char *)in->name.p, in->name.len)
		: NULL;

	if (!o)
		return false;
	foreign_owner_life(a->sched, o, in->life);
	foreign_owner_visible(a->sched, o, in->flags & SNAPSHOT_VISIBLE);
	if (in->flags & SNAPSHOT_SELF)
		foreign_owner_is_self(o);
	foreign_list_begin(a->sched, o);
	return true;
}

static bool read_foreign(struct agent *a, slo_nsec now, int64_t to_mono,
                         const struct snapshot_foreign *in)
{
	char backend[CONFIG_NAME_MAX + 1], server[CONFIG_NAME_MAX + 1];
	struct foreign_lease l = {
		.id = (const char *)in->id.p,
		.id_len = in->id.len,
		.model = in->model.len > 0 ? model_of(a, in->model) : NULL,
		.load = in->load,
		.input = in->input,
		.output = in->output,
		.estimate = in->estimate,
		.limit = in->limit,
		.sequences = in->sequences,
		.class = in->class,
		.mute = SNAPSHOT_MUTE(in->flags) & 0xff,
		.strategy = strategy_from(in->strategy),
		.stream = in->flags & SNAPSHOT_STREAM,
		.stream_guessed = in->flags & SNAPSHOT_STREAM_GUESSED,
		.fallback = in->flags & SNAPSHOT_FALLBACK,
	};
	struct foreign_owner *o;

	if (in->owner.len == 0 || !time_sane(in->dispatched) || !copy_name(in->backend, backend) ||
	    !copy_name(in->server, server))
		return false;
	l.age = now - (in->dispatched + to_mono);
	o = foreign_owner(a->sched, (const char *)in->owner.p, in->owner.len);
	l.server = roster_find(a, backend, server);
	return o && l.server && foreign_dispatch(a->sched, now, o, &l) == SLO_OK;
}

static struct deployment *deployment_of(struct agent *a, struct slice model, struct slice name)
{
	struct sched_model *m = model_of(a, model);

	for (size_t i = 0; m && i < m->pool.deployments; i++)
		if (slice_eq(name, m->pool.deployment[i]->name))
			return m->pool.deployment[i];
	return NULL;
}

static bool read_times(struct agent *a, slo_nsec now, const struct snapshot_learned *in)
{
	struct deployment *d = deployment_of(a, in->model, in->deployment);
	struct latency_memory memory;

	memcpy(memory.number, in->number, sizeof(memory.number));
	memcpy(memory.bin, in->bin, sizeof(memory.bin));
	return d && sched_recall(a->sched, now, d, &memory) == SLO_OK;
}

static bool read_refuted(struct agent *a, const struct snapshot_refuted *in)
{
	struct deployment *d = deployment_of(a, in->model, in->deployment);

	return d && sched_recall_refuted(a->sched, d, in->digest, in->ends) == SLO_OK;
}

static bool read_grown(struct agent *a, const struct snapshot_grown *in)
{
	struct deployment *d = deployment_of(a, in->model, in->deployment);

	return d && sched_recall_grown(a->sched, d, in->digest, in->tokens) == SLO_OK;
}

static bool read_guard(struct agent *a, const struct snapshot_guard *in)
{
	const struct guard g = { .share = in->share, .seen = in->seen, .missed = in->missed };
	struct deployment *d = deployment_of(a, in->model, in->deployment);

	return d && sched_recall_guard(a->sched, d, &g) == SLO_OK;
}

static bool read_speed(struct agent *a, const struct snapshot_speed *in)
{
	char backend[CONFIG_NAME_MAX + 1], server[CONFIG_NAME_MAX + 1];
	const struct latency_speed speed = { .late = in->late, .ends = in->ends };
	struct sched_model *m = model_of(a, in->model);
	struct server *s = NULL;
	struct seat *seat;

	if (m && copy_name(in->backend, backend) && copy_name(in->server, server))
		s = roster_find(a, backend, server);
	seat = s ? sched_seat_find(m, s) : NULL;
	return seat && sched_recall_speed(a->sched, seat, &speed) == SLO_OK;
}

static bool read_promises(struct agent *a, slo_nsec now, slo_nsec age,
                          const struct snapshot_promises *in)
{
	struct sched_model *m = model_of(a, in->model);

	return m && windows_read(m->owner, now, age, in);
}

static bool times_sane(const struct snapshot_lease *l)
{
	return time_sane(l->created) && time_sane(l->arrived) && time_sane(l->dispatched);
}

static void read_request(struct agent *a, const struct snapshot_record *rec, struct restored *sum)
{
	bool taken =
	    rec->kind == SNAPSHOT_LEASE
		? times_sane(&rec->lease) && read_lease(a, sum->now, sum->to_mono, &rec->lease)
		: read_foreign(a, sum->now, sum->to_mono, &rec->foreign);

	if (taken)
		sum->leases++;
	else
		sum->left_out++;
}

static void read_other(struct agent *a, const struct snapshot_record *rec, struct restored *sum)
{
	switch (rec->kind) {
	case SNAPSHOT_MODEL:
		read_model(a, sum->now, sum->age, &rec->model, sum);
		break;
	case SNAPSHOT_SERVER:
		read_server(a, sum->now, &rec->server);
		break;
	case SNAPSHOT_LEARNED:
		sum->left_out += !read_times(a, sum->now, &rec->learned);
		break;
	case SNAPSHOT_SPEED:
		sum->left_out += !read_speed(a, &rec->speed);
		break;
	case SNAPSHOT_REFUTED:
		sum->left_out += !read_refuted(a, &rec->refuted);
		break;
	case SNAPSHOT_GROWN:
		sum->left_out += !read_grown(a, &rec->grown);
		break;
	case SNAPSHOT_GUARD:
		sum->left_out += !read_guard(a, &rec->guard);
		break;
	case SNAPSHOT_PROMISES:
		sum->left_out += !read_promises(a, sum->now, sum->age, &rec->promises);
		break;
	case SNAPSHOT_OWNER:
		sum->left_out += !read_owner(a, &rec->owner);
		break;
	case SNAPSHOT_LEASE:
	case SNAPSHOT_FOREIGN:
		break;
	}
}

static bool is_request(const struct snapshot_record *rec)
{
	return rec->kind == SNAPSHOT_LEASE || rec->kind == SNAPSHOT_FOREIGN;
}

/* Requests last, wherever they stand: their stakes come from what was learned. */
static slo_err read_all(struct agent *a, struct snapshot_reader *r, struct restored *sum)
{
	struct snapshot_record rec;
	slo_err err, again;

	while ((err = snapshot_next(r, &rec)) == SLO_OK)
		if (!is_request(&rec))
			read_other(a, &rec, sum);
	snapshot_rewind(r);
	while ((again = snapshot_next(r, &rec)) == SLO_OK)
		if (is_request(&rec))
			read_request(a, &rec, sum);
	for (struct foreign_owner *o = NULL; (o = foreign_owner_next(a->sched, o));)
		(void)foreign_list_end(a->sched, sum->now, o, 0, false);
	if (err == SLO_ENOENT)
		err = again;
	return err == SLO_ENOENT ? SLO_OK : err;
}

static void tell_news(struct agent *a, struct snapshot_news news, const char *source)
{
	if (news.unknown > 0 || news.longer > 0)
		log_write(
		    a->log, LOG_NOTICE,
		    "%s: a newer agent wrote it: %zu entries of kinds that this one does not "
		    "know are left out, and what %zu others have more; requests in flight are "
		    "kept",
		    source, news.unknown, news.longer);
}

void agent_snapshot_restore(struct agent *a, slo_nsec now, struct slice file, slo_nsec max_age,
                            const char *source)
{
	struct restored sum = { .now = now };
	struct snapshot_reader *r;
	const char *why;
	int64_t written, unix_now;
	slo_nsec age;

	r = snapshot_open(file, &written, &why);
	if (!r) {
		log_write(a->log, LOG_WARNING, "%s: %s, so this start knows nothing of before",
		          source, why);
		return;
	}
	/* A clock that was set back makes it come from the future. It was written just now then, as
	 * far as we know, and its times count back from there. */
	unix_now = clock_unix_nsec();
	if (!time_sane(written))
		written = -1;
	if (written > unix_now)
		unix_now = written;
	age = written < 0 ? 0 : unix_now - written;
	sum.age = age;
	sum.to_mono = now - unix_now;
	if (age > max_age) {
		log_write(a->log, LOG_NOTICE,
		          "%s: it is %" PRId64 " s old, so this start knows nothing of before",
		          source, age / SLO_NSEC_PER_SEC);
	} else {
		if (read_all(a, r, &sum) != SLO_OK)
			log_write(a->log, LOG_WARNING,
			          "%s: malformed or no memory; it is read in part", source);
		tell_news(a, snapshot_news(r), source);
		log_write(a->log, LOG_NOTICE,
		          "%s: %zu requests in flight and the history of %zu models taken up, "
		          "%zu entries left out; it is %" PRId64 " ms old",
		          source, sum.leases, sum.models, sum.left_out, age / SLO_NSEC_PER_MSEC);
	}
	snapshot_reader_free(r);
}
