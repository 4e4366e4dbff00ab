/* How a recording becomes a scheduler again.
 *
 * The player is told the events of a tap (tap.h) in their order, and repeats each by the call that
 * caused it: SUBMIT by sched_submit(), USABLE by sched_server_usable(). It copies no decision: STEP
 * and DECISION only make the scheduler step, and whoever plays compares its answer with the
 * recorded one. So a change of the code that changes decisions shows as the first that differs.
 *
 *   START ... QUIET     the state of the moment when the recording began (`ready` is false). It is
 *                       built by the same calls and then put right: what a request that waited had
 *                       been tried with (TRIED), the turns of servers, the limit of the queue
 *   everything behind   what happened then (`ready`)
 *
 * Some events are of one half only: no decision may come before QUIET, no TRIED behind it.
 *
 * The file may be forged. So each event is checked before it is done, with all that the scheduler's
 * calls take for granted of their callers: what a number stands for, ranges, no id twice, a time
 * that does not overflow. What makes no sense is SLO_EINVAL and ends the play; it must never break
 * an invariant of the core. */
#include "core/record/player.h"

#include <stdlib.h>
#include <string.h>

#include "core/sizes.h"
#include "core/rank.h"
#include "../sched_private.h"
#include "player_private.h"

/* What a number of the recording stands for: a model or a server, the other is NULL. */
struct entry {
	UT_hash_handle hh;
	uint64_t number;
	struct sched_model *model;
	struct server *server;
};

struct player {
	struct sched *sched;
	struct entry *entries;
	bool ready;         /* QUIET came: the state is complete */
	size_t queue_limit; /* the recorded one; until QUIET none is in force */
	slo_nsec now;       /* the latest that was told; until QUIET that of the start */
};

struct player *player_new(void)
{
	return calloc(1, sizeof(struct player));
}

void player_free(struct player *p)
{
	struct entry *e, *next;

	if (!p)
		return;
	e = p->entries;
	HASH_CLEAR(hh, p->entries);
	for (; e; e = next) {
		next = e->hh.next;
		free(e);
	}
	sched_free(p->sched);
	free(p);
}

struct sched *player_sched(struct player *p)
{
	return p->sched;
}

static struct entry *find(const struct player *p, uint64_t number)
{
	struct entry *e;

	HASH_FIND(hh, p->entries, &number, sizeof(number), e);
	return e;
}

struct sched_model *player_model(const struct player *p, uint64_t number)
{
	const struct entry *e = find(p, number);

	return e ? e->model : NULL;
}

struct server *player_server(const struct player *p, uint64_t number)
{
	const struct entry *e = find(p, number);

	return e ? e->server : NULL;
}

static struct entry *entry_new(struct player *p, uint64_t number)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->number = number;
	HASH_ADD(hh, p->entries, number, sizeof(e->number), e);
	if (e->hh.tbl)
		return e;
	free(e);
	return NULL;
}

static void entry_free(struct player *p, struct entry *e)
{
	HASH_DEL(p->entries, e);
	free(e);
}

static struct request *request_find(const struct player *p, const struct slo_event *e)
{
	const char *id = (const char *)e->text.p;

	if (!player_id_sane(e))
		return NULL;
	return requests_find(&p->sched->requests, sched_hash(p->sched, id, e->text.len), id,
	                     e->text.len);
}

/* the state */

static slo_err start(struct player *p, const struct slo_event *e)
{
	struct sched_conf conf = sched_conf_default();

	if (p->sched)
		return SLO_EINVAL;
	p->sched = sched_new(&conf);
	if (!p->sched)
		return SLO_ENOMEM;
	p->sched->rng.state = e->load;
	p->sched->follows = true;
	p->now = e->now;
	return SLO_OK;
}

static bool is_choice(int64_t v, int64_t last)
{
	return v >= 0 && v <= last;
}

static slo_err config(struct player *p, const struct slo_event *e)
{
	int64_t v[SLO_EVENT_OPTIONS] = { 0 };
	struct sched_conf c;

	if (e->list_n < SLO_EVENT_OPTIONS_MIN || e->list_n > SLO_EVENT_OPTIONS)
		return SLO_EINVAL;
	memcpy(v, e->list, e->list_n * sizeof(v[0]));
	if ((v[0] != SLO_STRATEGY_LEAST_REQUEST && v[0] != SLO_STRATEGY_RANDOM) ||
	    !is_choice(v[1], SLO_LATES - 1) || !is_choice(v[2], SLO_INFEASIBLE_FALLBACK) ||
	    !is_choice(v[3], SLO_PREDICT_P90) || !is_choice(v[4], SLO_COLD_MAX) || v[5] < 0 ||
	    v[6] < 0 || v[7] < 0 || v[10] < 0)
		return SLO_EINVAL;
	p->queue_limit = (size_t)v[5];
	c = (struct sched_conf){
		.fallback = (enum slo_strategy)v[0],
		.late = (enum slo_late)v[1],
		.infeasible = (enum slo_infeasible)v[2],
		.predict = (enum slo_predict)v[3],
		.cold = (enum slo_cold)v[4],
		/* What waits already waits, whatever the limit became. */
		.queue_limit = p->ready ? p->queue_limit : SIZE_MAX,
		.queue_timeout = v[6],
		.queue_timeout_most = v[10],
		.lease_max_age = v[7],
		/* Nothing is remembered: what was refused for that was not told. */
	};
	sched_configure(p->sched, &c);
	return SLO_OK;
}

/* A request that waits was tried as a head before the recording began, and found no room. Those
 * that lost a level at a later look stand elsewhere since. */
static slo_err tried(struct player *p, const struct slo_event *e)
{
	struct request *r = request_find(p, e);

	if (p->ready || !r || r->state != REQUEST_QUEUED)
		return SLO_EINVAL;
	if (e->waited < 0 || e->waited > p->now - e->now)
		return SLO_EINVAL;
	/* It was tried as a head, and has been one since. */
	queue_look(&r->model->queue, e->now + e->waited);
	if (!queue_is_head(r))
		return SLO_EINVAL;
	queue_block(&r->model->queue, r->bucket, e->now);
	return SLO_OK;
}

/* The end of the state. Building it made every model dirty; the recorded scheduler had decided all
 * that was due before it told its state. */
static slo_err quiet(struct player *p, const struct slo_event *e)
{
	struct sched *s = p->sched;
	struct sched_model *m;

	if (p->ready || !TAILQ_EMPTY(&s->requests.list[REQUEST_READY]))
		return SLO_EINVAL;
	while ((m = TAILQ_FIRST(&s->dirty))) {
		TAILQ_REMOVE(&s->dirty, m, dirty_link);
		m->dirty = false;
		m->queue.stale = false; /* the heads came after the fleet */
		fleet_looked(&m->pool);
	}
	s->settled++;
	s->conf.queue_limit = p->queue_limit;
	s->stepped = e->now;
	p->ready = true;
	return SLO_OK;
}

/* the fleet */

static char *name_of(const struct slo_event *e)
{
	return e->text.len > 0 ? strndup((const char *)e->text.p, e->text.len) : strdup("");
}

/* A model or a server comes. */
static slo_err newcomer(struct player *p, const struct slo_event *e)
{
	bool is_model = e->kind == SLO_EVENT_MODEL;
	uint64_t number = is_model ? e->model : e->server;
	struct entry *entry;
	char *name;

	if (number == 0 || find(p, number))
		return SLO_EINVAL;
	name = name_of(e);
	if (name && is_model && sched_model_find(p->sched, name, strlen(name))) {
		free(name);
		return SLO_EINVAL;
	}
	entry = name ? entry_new(p, number) : NULL;
	if (entry && is_model)
		entry->model = sched_model_add(p->sched, name, SLO_STRATEGY_SLO);
	else if (entry)
		entry->server = sched_server_add(p->sched, name);
	free(name);
	if (entry && (entry->model || entry->server))
		return SLO_OK;
	if (entry)
		entry_free(p, entry);
	return SLO_ENOMEM;
}

static slo_err model_gone(struct player *p, const struct slo_event *e)
{
	struct entry *entry = find(p, e->model);

	if (!entry || !entry->model)
		return SLO_EINVAL;
	sched_model_remove(p->sched, entry->model);
	entry_free(p, entry);
	return SLO_OK;
}

static struct deployment *deployment_of(const struct player *p, const struct slo_event *e)
{
	struct sched_model *m = player_model(p, e->model);

	return m && e->deployment < m->pool.deployments ? m->pool.deployment[e->deployment] : NULL;
}

static slo_err deployment(struct player *p, const struct slo_event *e)
{
	struct sched_model *m = player_model(p, e->model);
	struct deployment *d;
	char *name;

	if (!m || m->pool.deployments == SLO_DEPLOYMENTS_MAX)
		return SLO_EINVAL;
	name = name_of(e);
	d = name ? sched_deployment_add(m, name) : NULL;
	free(name);
	return d ? SLO_OK : SLO_ENOMEM;
}

static slo_err order(struct player *p, const struct slo_event *e)
{
	struct deployment *sorted[SLO_DEPLOYMENTS_MAX];
	struct sched_model *m = player_model(p, e->model);
	uint64_t seen = 0;

	if (!m || e->list_n != m->pool.deployments)
		return SLO_EINVAL;
	for (size_t i = 0; i < e->list_n; i++) {
		int64_t before = e->list[i];

		if (before < 0 || (uint64_t)before >= e->list_n || seen >> before & 1)
			return SLO_EINVAL;
		seen |= UINT64_C(1) << before;
		sorted[i] = m->pool.deployment[before];
	}
	sched_deployments_order(p->sched, m, sorted);
	return SLO_OK;
}

static struct seat *seat_of(const struct player *p, const struct slo_event *e)
{
	const struct sched_model *m = player_model(p, e->model);
	const struct server *server = player_server(p, e->server);

	return m && server ? sched_seat_find(m, server) : NULL;
}

static slo_err seat(struct player *p, const struct slo_event *e)
{
	struct deployment *d = deployment_of(p, e);
	struct server *server = player_server(p, e->server);

	/* What is told later stands behind what was told before. */
	if (!d || !server || e->order < d->pool->orders || e->order == UINT64_MAX)
		return SLO_EINVAL;
	d->pool->orders = e->order;
	return sched_server_seat(p->sched, d, server);
}

static slo_err seat_changed(struct player *p, const struct slo_event *e)
{
	struct seat *at = seat_of(p, e);
	struct deployment *d = deployment_of(p, e);

	if (!at || (e->kind == SLO_EVENT_SEAT_MOVED && !d))
		return SLO_EINVAL;
	if (e->kind == SLO_EVENT_SEAT_MOVED)
		return sched_seat_move(p->sched, at, d);
	sched_seat_remove(p->sched, at);
	return SLO_OK;
}

static slo_err turn(struct player *p, const struct slo_event *e)
{
	struct sched_model *m = player_model(p, e->model);
	struct seat *at = seat_of(p, e);

	if (p->ready || !m)
		return SLO_EINVAL;
	if (e->kind == SLO_EVENT_MODEL_TURN) {
		if (e->order < m->pool.orders || e->count < 0 || (uint64_t)e->count > e->turn)
			return SLO_EINVAL;
		m->pool.orders = e->order;
		m->pool.turns = e->turn;
		m->pool.on_top = (uint64_t)e->count;
		return SLO_OK;
	}
	if (!at || e->count < 0 || (at->server->usable && (uint64_t)e->count >= m->pool.usable))
		return SLO_EINVAL;
	fleet_seat_restore(at, e->turn, (size_t)e->count);
	return SLO_OK;
}

static slo_err profile(struct player *p, const struct slo_event *e)
{
	struct deployment *d = deployment_of(p, e);
	struct profile *told;
	slo_err err;

	if (!d)
		return SLO_EINVAL;
	err = profile_from_event(e, &told);
	if (err != SLO_OK)
		return err;
	err = sched_profile_set(p->sched, d, told);
	if (err != SLO_OK)
		profile_free(told);
	return err == SLO_ESTALE ? SLO_EINVAL : err;
}

static slo_err deployment_changed(struct player *p, const struct slo_event *e)
{
	struct deployment *d = deployment_of(p, e);

	if (!d)
		return SLO_EINVAL;
	if (e->kind == SLO_EVENT_PROFILE_GONE)
		sched_profile_drop(p->sched, d);
	else
		sched_deployment_remove(p->sched, d);
	return SLO_OK;
}

/* requests */

struct sched_request player_request(const struct player *p, const struct slo_event *e)
{
	return (struct sched_request){
		.id = (const char *)e->text.p,
		.id_len = e->text.len,
		.model = player_model(p, e->model),
		.strategy = (enum slo_strategy)e->strategy,
		.input = e->input, /* corrected already; nothing here learns to do it again */
		.input_told = e->order == 0,
		.output = e->output,
		.max_output = -1,
		.created = e->created,
		.own = e->own,
		.priority = (int32_t)e->count,
	};
}

static slo_err submit(struct player *p, const struct slo_event *e)
{
	const struct sched_request req = player_request(p, e);
	slo_err err;

	if (!player_id_sane(e) || !req.model || e->strategy >= SLO_STRATEGIES || e->output < 0 ||
	    req.priority != e->count || !player_time_sane(e->created) ||
	    (!p->ready && !policy_pulls(req.strategy)))
		return SLO_EINVAL;
	err = sched_submit(p->sched, e->now, &req, NULL);
	return err == SLO_ESTALE ? SLO_EINVAL : err;
}

static slo_err request_over(struct player *p, const struct slo_event *e)
{
	const struct sched_outcome outcome = { .input = -1, .output = -1, .bytes = -1 };
	struct request *r = request_find(p, e);
	struct sched_end ended;

	if (!player_id_sane(e))
		return SLO_EINVAL;
	if (e->kind == SLO_EVENT_END)
		sched_end(p->sched, e->now, (const char *)e->text.p, e->text.len, &outcome, &ended);
	else if (r && (r->state == REQUEST_QUEUED || r->state == REQUEST_READY))
		sched_abandon(p->sched, e->now, r);
	return SLO_OK;
}

static slo_err begin(struct player *p, const struct slo_event *e)
{
	switch (e->kind) {
	case SLO_EVENT_START:
		return start(p, e);
	case SLO_EVENT_QUIET:
		return quiet(p, e);
	case SLO_EVENT_CONFIG:
		return config(p, e);
	case SLO_EVENT_LEASE:
		return player_lease(p->sched, player_model(p, e->model),
		                    player_server(p, e->server), e);
	case SLO_EVENT_TRIED:
		return tried(p, e);
	case SLO_EVENT_SUBMIT:
		return submit(p, e);
	case SLO_EVENT_ABANDON:
	case SLO_EVENT_END:
		return request_over(p, e);
	default:
		return SLO_EINVAL;
	}
}

static slo_err change(struct player *p, const struct slo_event *e)
{
	switch (e->kind) {
	case SLO_EVENT_MODEL:
	case SLO_EVENT_SERVER:
		return newcomer(p, e);
	case SLO_EVENT_MODEL_GONE:
		return model_gone(p, e);
	case SLO_EVENT_DEPLOYMENT:
		return deployment(p, e);
	case SLO_EVENT_PROFILE:
		return profile(p, e);
	case SLO_EVENT_DEPLOYMENT_GONE:
	case SLO_EVENT_PROFILE_GONE:
		return deployment_changed(p, e);
	case SLO_EVENT_ORDER:
		return order(p, e);
	case SLO_EVENT_SEAT:
		return seat(p, e);
	case SLO_EVENT_SEAT_MOVED:
	case SLO_EVENT_SEAT_GONE:
		return seat_changed(p, e);
	case SLO_EVENT_USABLE:
	case SLO_EVENT_SURPLUS:
	case SLO_EVENT_WITHHELD:
	case SLO_EVENT_READING:
		return player_server_change(p->sched, player_server(p, e->server), e);
	case SLO_EVENT_SEAT_TURN:
	case SLO_EVENT_MODEL_TURN:
		return turn(p, e);
	case SLO_EVENT_STAKE:
		return player_stake(p->sched, e);
	case SLO_EVENT_PROMISE:
		return player_promise(p->sched, player_model(p, e->model), e);
	case SLO_EVENT_SOURCE:
		return player_source(p->sched, deployment_of(p, e), e);
	case SLO_EVENT_GUARD:
		return player_guard(p->sched, deployment_of(p, e), e);
	case SLO_EVENT_FLOOR:
		return player_floor(p->sched, deployment_of(p, e), e);
	case SLO_EVENT_SLOWER:
		return player_slower(p->sched, seat_of(p, e), e);
	case SLO_EVENT_FOREIGN:
		return player_foreign(p->sched, player_model(p, e->model),
		                      player_server(p, e->server), e);
	case SLO_EVENT_FOREIGN_END:
		return player_foreign_end(p->sched, e);
	case SLO_EVENT_OTHERS:
	case SLO_EVENT_FRESH:
	case SLO_EVENT_HEARD:
		return player_fresh(p->sched, e);
	default:
		return begin(p, e);
	}
}

/* Events of the fleet have no time of their own. */
static bool has_time(const struct slo_event *e)
{
	return e->kind <= SLO_EVENT_QUIET ||
	       (e->kind >= SLO_EVENT_SUBMIT && e->kind <= SLO_EVENT_PASS) ||
	       e->kind == SLO_EVENT_FOREIGN || e->kind == SLO_EVENT_FOREIGN_END ||
	       e->kind == SLO_EVENT_HEARD;
}

/* Time does not go back, whatever a file says. A lease tells its dispatch, which is past. */
static slo_nsec time_of(struct player *p, const struct slo_event *e)
{
	if (!p->ready || !has_time(e))
		return e->now;
	if (e->now > p->now)
		p->now = e->now;
	return e->kind == SLO_EVENT_LEASE ? e->now : p->now;
}

/* NULL: it may be applied. */
static const char *check(const struct player *p, const struct slo_event *e)
{
	bool answers = e->kind == SLO_EVENT_STEP || e->kind == SLO_EVENT_DECISION ||
	               e->kind == SLO_EVENT_LET_GO;

	if (e->kind == SLO_EVENT_START)
		return p->sched                   ? "it starts twice"
		       : player_time_sane(e->now) ? NULL
		                                  : "no such time";
	if (!p->sched)
		return "it does not begin with its start";
	if (!has_time(e))
		return NULL;
	if (!player_time_sane(e->now))
		return "no such time";
	if (!p->ready && e->now > p->now)
		return "the state is of a later time";
	return answers && !p->ready ? "a decision before the state is complete" : NULL;
}

slo_err player_apply(struct player *p, const struct slo_event *e, struct sched_action *act,
                     bool *acted, const char **why)
{
	struct slo_event at = *e;
	slo_err err = SLO_OK;

	*acted = false;
	*why = check(p, e);
	if (*why)
		return SLO_EINVAL;
	at.now = time_of(p, e);
	if (e->kind == SLO_EVENT_STEP || e->kind == SLO_EVENT_DECISION)
		*acted = sched_step(p->sched, at.now, act);
	else if (e->kind == SLO_EVENT_LET_GO)
		*acted = sched_let_go(p->sched, at.now, act);
	else
		err = change(p, &at);
	if (err == SLO_EINVAL)
		*why = "it makes no sense after what was recorded before";
	return err;
}
