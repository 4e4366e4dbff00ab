/* Scenario files through the scheduler. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/foreign.h"
#include "core/sizes.h"
#include "private.h"
#include "wire/profdoc.h"
#include "wire/file/scenario.h"

struct named_server {
	UT_hash_handle hh;
	struct server *server; /* the scheduler's */
	struct named_server *next;
};

/* One file. */
struct replay {
	const struct replay_options *opt;
	struct replay_totals *totals;
	const char *path;
	unsigned long line;
	struct sched_conf conf;
	struct sched *sched; /* NULL until the first line that needs it: the seed comes before */
	struct named_server *servers, *server_list;
	bool timed; /* now is set */
	slo_nsec now;
};

static bool complain(const struct replay *r, const char *what, const char *name)
{
	fflush(stdout);
	fprintf(stderr, "%s:%lu: %s%s\n", r->path, r->line, what, name);
	return false;
}

static bool malformed(const struct replay *r, struct doc_error *e)
{
	char text[1024];

	e->line = 0; /* the line of the file is printed instead */
	doc_error_format(e, text, sizeof(text));
	fflush(stdout);
	fprintf(stderr, "%s:%lu: column %zu: %s\n", r->path, r->line, e->column, text);
	return false;
}

static void passed(struct replay *r, const char *id, enum slo_reason reason)
{
	r->totals->verdicts[SLO_PASS]++;
	if (!r->opt->quiet)
		put_decision(&(struct replay_decision){ .t = r->now,
		                                        .id = { (const uint8_t *)id, strlen(id) },
		                                        .verdict = SLO_PASS,
		                                        .reason = reason });
}

/* the scheduler */

static void step(struct replay *r, slo_nsec now)
{
	struct sched_action act;

	while (sched_step(r->sched, now, &act)) {
		struct replay_decision d = decision_of(now, &act);

		if (is_for_nobody(act.verdict, act.reason))
			continue;
		r->totals->verdicts[act.verdict]++;
		if (!r->opt->quiet)
			put_decision(&d);
	}
}

/* Lets time pass up to t, through all that happens by itself on the way. */
static bool advance(struct replay *r, slo_nsec t)
{
	slo_nsec wakeup;

	if (r->timed && t < r->now)
		return complain(r, "t is before the line above", "");
	while (r->timed && r->sched && (wakeup = sched_next_wakeup(r->sched)) <= t) {
		/* A shorter timeout may have put it into the past. */
		r->now = wakeup > r->now ? wakeup : r->now;
		step(r, r->now);
	}
	r->now = t;
	r->timed = true;
	return true;
}

static struct sched_model *model_of(struct replay *r, const char *name)
{
	struct sched_model *m = sched_model_find(r->sched, name, strlen(name));

	return m ? m : sched_model_add(r->sched, name, SLO_STRATEGY_SLO);
}

/* Models and deployments are configured in the order in which lines name them first. */
static struct deployment *deployment_of(struct replay *r, const struct scenario_line *line)
{
	struct sched_model *m = model_of(r, line->model);

	if (!m)
		return NULL;
	for (size_t i = 0; i < m->pool.deployments; i++)
		if (strcmp(m->pool.deployment[i]->name, line->deployment) == 0)
			return m->pool.deployment[i];
	return sched_deployment_add(m, line->deployment);
}

static struct server *server_find(const struct replay *r, const char *name)
{
	struct named_server *found;

	HASH_FIND(hh, r->servers, name, strlen(name), found);
	return found ? found->server : NULL;
}

static struct server *server_new(struct replay *r, const char *name)
{
	struct named_server *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->server = sched_server_add(r->sched, name);
	if (!entry->server)
		goto err;
	HASH_ADD_KEYPTR(hh, r->servers, entry->server->name, strlen(name), entry);
	if (!entry->hh.tbl)
		goto err;
	entry->next = r->server_list;
	r->server_list = entry;
	return entry->server;

err:
	free(entry);
	return NULL;
}

static const struct seat *seat_in(const struct server *server, const struct deployment *d)
{
	const struct seat *seat = server->seats;

	while (seat && seat->deployment->pool != d->pool)
		seat = seat->next_of_server;
	return seat;
}

/* the lines */

static bool out_of_memory(const struct replay *r)
{
	return complain(r, "out of memory", "");
}

static enum slo_late late_of(enum scenario_late late)
{
	switch (late) {
	case SCENARIO_LATE_HOLD:
		return SLO_LATE_HOLD;
	case SCENARIO_LATE_REJECT:
		return SLO_LATE_REJECT;
	case SCENARIO_LATE_SERVE:
	case SCENARIO_LATE_UNSET:
		break;
	}
	return SLO_LATE_SERVE;
}

/* With "auto", queue_timeout_s may say another least time than the daemon's. */
static void set_queue_timeout(struct sched_conf *conf, const struct scenario_config *c)
{
	if (c->queue_timeout_auto) {
		conf->queue_timeout = SCHED_HOLD_LEAST;
		conf->queue_timeout_most = SCHED_HOLD_MOST;
	} else if (c->queue_timeout >= 0) {
		conf->queue_timeout_most = 0;
	}
	if (c->queue_timeout >= 0)
		conf->queue_timeout = c->queue_timeout;
	if (c->queue_timeout_max >= 0)
		conf->queue_timeout_most = c->queue_timeout_max;
}

static bool configure(struct replay *r, const struct scenario_config *c)
{
	struct sched_conf *conf = &r->conf;

	if (c->seed >= 0 && r->sched)
		return complain(r, "seed must come before everything else", "");
	if (c->seed >= 0)
		conf->seed = (uint64_t)c->seed;
	if (c->late != SCENARIO_LATE_UNSET)
		conf->late = late_of(c->late);
	if (c->infeasible_fallback != SCENARIO_UNSET)
		conf->infeasible = c->infeasible_fallback == SCENARIO_ON ? SLO_INFEASIBLE_FALLBACK
		                                                         : SLO_INFEASIBLE_REJECT;
	if (c->fallback_random != SCENARIO_UNSET)
		conf->fallback = c->fallback_random == SCENARIO_ON ? SLO_STRATEGY_RANDOM
		                                                   : SLO_STRATEGY_LEAST_REQUEST;
	if (c->queue_limit >= 0)
		conf->queue_limit = (size_t)c->queue_limit;
	set_queue_timeout(conf, c);
	if (r->sched)
		sched_configure(r->sched, conf);
	return true;
}

static bool set_profile(struct replay *r, const struct scenario_line *line)
{
	struct deployment *d;
	struct profile *p;

	if (!line->profile) {
		if (!r->opt->quiet)
			put_refused_profile(r->now, line->refused);
		return true;
	}
	d = deployment_of(r, line);
	if (!d)
		return complain(r, "no room for deployment ", line->deployment);
	p = profile_new(line->profile);
	if (!p)
		return out_of_memory(r);
	if (sched_profile_set(r->sched, d, p) != SLO_OK)
		profile_free(p); /* an older one changes nothing */
	return true;
}

static bool set_server(struct replay *r, const struct scenario_line *line)
{
	struct server *server = server_find(r, line->server);
	struct deployment *d = NULL;
	const struct seat *seat = NULL;

	if (!server && !line->deployment)
		return complain(r, "no such server: ", line->server);
	if (!server)
		server = server_new(r, line->server);
	if (!server)
		return out_of_memory(r);
	if (line->deployment) {
		d = deployment_of(r, line);
		if (!d)
			return complain(r, "no room for deployment ", line->deployment);
		seat = seat_in(server, d);
	}
	/* Only a change of `ready` may name the deployment once more. */
	if (seat && (seat->deployment != d || line->ready == SCENARIO_UNSET))
		return complain(r, "is in this model already: ", line->server);
	if (line->ready != SCENARIO_UNSET)
		sched_server_usable(r->sched, server, line->ready == SCENARIO_ON);
	if (d && !seat && sched_server_seat(r->sched, d, server) != SLO_OK)
		return out_of_memory(r);
	return true;
}

static bool arrive(struct replay *r, const struct scenario_line *line)
{
	struct sched_request req = {
		.id = line->id,
		.id_len = strlen(line->id),
		.model = sched_model_find(r->sched, line->model, strlen(line->model)),
		.input = line->input,
		.input_told = true,
		.output = line->output,
		.max_output = -1,
		.created = line->created,
		.own = line->own,
		.priority = line->priority,
	};

	if (!req.model) {
		passed(r, line->id, SLO_REASON_UNKNOWN_MODEL);
		return true;
	}
	req.strategy = req.model->strategy;
	if (r->opt->forced)
		req.strategy = r->opt->strategy;
	else if (line->strategy)
		(void)policy_strategy_parse(line->strategy, strlen(line->strategy), &req.strategy);
	switch (sched_submit(r->sched, r->now, &req, NULL)) {
	case SLO_OK:
		return true;
	case SLO_ESTALE:
		passed(r, line->id, SLO_REASON_ENDED);
		return true;
	case SLO_EINVAL:
		passed(r, line->id, SLO_REASON_BAD_REQUEST);
		return true;
	default:
		return out_of_memory(r);
	}
}

static bool foreign(struct replay *r, const struct scenario_line *line)
{
	struct foreign_owner *o = foreign_owner(r->sched, line->owner, strlen(line->owner));
	struct foreign_lease l = {
		.id = line->id,
		.id_len = strlen(line->id),
		.server = server_find(r, line->server),
		.load = (slo_load)llround(line->load * (double)SLO_LOAD_ONE),
		.age = line->age,
		.input = tokens_clamp(line->input),
		.output = tokens_clamp(line->output),
		.strategy = SLO_STRATEGY_SLO,
		.estimate = -1,
		.limit = -1,
		.sequences = 1,
	};

	if (!l.server)
		return complain(r, "no such server: ", line->server);
	if (line->model)
		l.model = sched_model_find(r->sched, line->model, strlen(line->model));
	if (line->strategy)
		(void)policy_strategy_parse(line->strategy, strlen(line->strategy), &l.strategy);
	/* Which is known already, or over, changes nothing. */
	return (o && foreign_dispatch(r->sched, r->now, o, &l) != SLO_ENOMEM) || out_of_memory(r);
}

static bool end(struct replay *r, const struct scenario_line *line)
{
	struct sched_outcome outcome = {
		.outcome = line->kind == SCENARIO_DONE ? LESSON_ANSWERED : LESSON_LEFT,
		.input = -1,
		.output = -1,
		.bytes = -1,
	};
	struct foreign_owner *o = NULL;
	struct sched_end ended;

	if (line->server)
		outcome.server = slice_of(line->server);
	if (line->owner) {
		o = foreign_owner(r->sched, line->owner, strlen(line->owner));
		if (!o)
			return out_of_memory(r);
		foreign_end(r->sched, r->now, o, line->id, strlen(line->id), &outcome, -1, &ended);
	} else {
		sched_end(r->sched, r->now, line->id, strlen(line->id), &outcome, &ended);
	}
	return true;
}

static bool apply(struct replay *r, const struct scenario_line *line)
{
	switch (line->kind) {
	case SCENARIO_CONFIG:
		return configure(r, &line->config);
	case SCENARIO_PROFILE:
		return set_profile(r, line);
	case SCENARIO_SERVER:
		return set_server(r, line);
	case SCENARIO_ARRIVE:
		return arrive(r, line);
	case SCENARIO_DONE:
	case SCENARIO_CANCEL:
		return end(r, line);
	case SCENARIO_FOREIGN:
		return foreign(r, line);
	case SCENARIO_OTHERS:
		foreign_others(r->sched, (size_t)line->others);
		break;
	case SCENARIO_HEARD:
		foreign_heard(r->sched, r->now, r->now - line->age);
		break;
	case SCENARIO_NOTHING:
		break;
	}
	return true;
}

static bool play(struct replay *r, const struct scenario_line *line)
{
	if (line->kind == SCENARIO_NOTHING)
		return true;
	if (line->timed && !advance(r, line->t))
		return false;
	if (line->kind != SCENARIO_CONFIG && !r->sched) {
		r->sched = sched_new(&r->conf);
		if (!r->sched)
			return out_of_memory(r);
	}
	if (!apply(r, line))
		return false;
	if (r->sched)
		step(r, r->now);
	return true;
}

static bool play_lines(struct replay *r, FILE *in)
{
	struct doc_error error;
	struct scenario_line line;
	char *text = NULL;
	size_t cap = 0;
	bool ok = true;
	ssize_t len;
	int why;

	while (ok && (len = getline(&text, &cap, in)) >= 0) {
		slo_err err = scenario_parse(text, (size_t)len, &line, &error);

		r->line++;
		if (err == SLO_OK) {
			ok = play(r, &line);
			scenario_line_fini(&line);
		} else {
			ok = err == SLO_ENOMEM ? out_of_memory(r) : malformed(r, &error);
		}
	}
	why = errno;
	free(text);
	if (ok && ferror(in))
		ok = complain(r, "cannot be read: ", strerror(why));
	return ok;
}

static void forget_servers(struct replay *r)
{
	HASH_CLEAR(hh, r->servers);
	for (struct named_server *entry = r->server_list, *next; entry; entry = next) {
		next = entry->next;
		free(entry);
	}
}

bool play_scenario(const struct replay_options *opt, const char *path, FILE *in,
                   struct replay_totals *totals)
{
	struct replay r = { .opt = opt, .totals = totals, .path = path };
	bool ok;

	/* In a scenario nothing ends by itself unless it says so. */
	r.conf = sched_conf_default();
	r.conf.queue_timeout = SLO_NEVER;
	r.conf.lease_max_age = SLO_NEVER;
	ok = play_lines(&r, in);
	if (ok && r.sched && !put_queued(r.sched, opt, totals))
		ok = out_of_memory(&r);
	forget_servers(&r);
	sched_free(r.sched);
	return ok;
}
