/* Rounds: all addresses are asked at once, and when the last question is over and the end lines of
 * that moment had time to come, the round is concluded.
 *
 *     poll -> ask, ask, ... -> over, over, ... -> settle (HEAL_LINE_TIME) -> conclude -> ... poll
 *
 * The timer settles because of a race: a request that ended while HAProxy answered is in neither
 * its sessions nor yet in an end line here. Concluding at once would take it for lost.
 *
 * What an answer says reaches the roster while it comes, but a server that no process named can
 * only be missed at the end, and only if all have answered: `whole`. */
#include "io/haproxy/haproxy_api.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/heal.h"
#include "io/base/clock.h"
#include "io/haproxy/haproxy_link.h"
#include "io/haproxy/haproxy_question.h"

#define WITHOUT_API                                                                    \
	"the agent does not see which servers are up, nor requests whose end line is " \
	"lost"
#define START_GRACE (5 * SLO_NSEC_PER_SEC)  /* after our start */
#define REMIND      (60 * SLO_NSEC_PER_SEC) /* between two lines about one that stays silent */

/* One address, and the question that it was asked. */
struct target {
	struct haproxy_api *api;
	char name[320];
	const struct listen_addr *where;
	struct haproxy_link link;
	struct haproxy_answer answer;
	bool answered;                       /* the last question that is over */
	struct haproxy_process last_process; /* that answered; pid 0: none yet */
	slo_nsec asked;        /* when the last question left that was answered; -1: none */
	slo_nsec silent_since; /* while !answered */
	slo_nsec logged;       /* that it does not answer; -1: never */
	uint64_t failures;
};

struct haproxy_api {
	struct agent *agent;
	struct heal heal;
	ev_timer poll, settle;
	size_t open;  /* targets with an open question */
	bool settles; /* all have answered, their end lines are waited for */
	struct haproxy_question question;
	size_t count;
	struct target *target;
	struct config_listen where; /* as the targets were made from */
};

/* The end of a round */

static void conclude(struct haproxy_api *api, slo_nsec now)
{
	struct agent *a = api->agent;
	bool whole = true;

	for (size_t i = 0; i < api->count; i++) {
		const struct target *t = &api->target[i];

		whole &= t->answered || now - t->silent_since > HAPROXY_GONE;
	}
	roster_view_end(a, now, whole);
	if (whole) /* what nobody said in this round */
		warn_clear_older(a, now, BACKEND_ABSENT, api->heal.asked);
	heal_conclude(&api->heal, a->sched, now, whole);
}

static void on_settled(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct haproxy_api *api = w->data;

	api->settles = false;
	conclude(api, clock_nsec());
}

static void question_is_over(struct haproxy_api *api)
{
	struct ev_loop *loop = api->agent->loop;

	if (--api->open > 0)
		return;
	api->settles = true;
	ev_now_update(loop);
	ev_timer_set(&api->settle, (double)HEAL_LINE_TIME / 1e9, 0.);
	ev_timer_start(loop, &api->settle);
}

/* The end of a question */

/* Nobody listens there. */
static bool is_absent(const char *why)
{
	return strcmp(why, "No such file or directory") == 0 ||
	       strcmp(why, "Connection refused") == 0;
}

/* The kernel lets us not connect, or HAProxy not ask. */
static const char *what_to_do(const char *why)
{
	if (strcmp(why, "Permission denied") == 0)
		return "; put the agent's user into the group of that socket, with mode 660";
	if (strncmp(why, HAPROXY_DENIES, strlen(HAPROXY_DENIES)) == 0)
		return "; give that `stats socket` of HAProxy `level operator`";
	if (is_absent(why))
		return "; does HAProxy run, and does its `stats socket` have this address?";
	return "";
}

/* An agent is often started just before its HAProxy. */
static bool starts_later(const struct target *t, slo_nsec now, const char *why)
{
	return is_absent(why) && t->last_process.pid == 0 &&
	       now - t->api->agent->stats.started < START_GRACE;
}

static void failed(struct target *t, slo_nsec now, const char *why)
{
	struct agent *a = t->api->agent;

	if (starts_later(t, now, why)) {
		t->failures++;
		return;
	}
	if (warn_set(a, now, "runtime-api", t->name, "HAProxy at %s gives no answer: %s; %s: %s%s",
	             t->name, why, WITHOUT_API,
	             t->last_process.pid ? "what it said last stays" : "it has told nothing yet",
	             what_to_do(why))) {
		t->logged = now;
	} else if (now - t->logged > REMIND) {
		log_limited(a->log, now, LOG_CAUSE_HAPROXY_SILENT, LOG_WARNING,
		            "haproxy: %s still gives no answer: %s", t->name, why);
		t->logged = now;
	}
	if (t->answered)
		t->silent_since = now;
	t->answered = false;
	t->failures++;
}

/* A process that started later than the one before has taken its place. */
static bool took_over(const struct haproxy_process *old, const struct haproxy_process *new)
{
	return old->pid != 0 && (old->pid != new->pid || new->uptime < old->uptime);
}

static void succeeded(struct target *t, slo_nsec now)
{
	struct haproxy_api *api = t->api;
	const struct haproxy_process *process = &t->answer.process;
	struct log *log = api->agent->log;
	/* The end of the warning is told. */
	bool warned = warn_clear(api->agent, now, "runtime-api", t->name);

	if (t->last_process.pid == 0)
		watch_haproxy_changed(api->agent, now);
	if (!t->answered && !warned)
		log_limited(log, now, LOG_CAUSE_HAPROXY_ANSWERS, LOG_NOTICE,
		            "haproxy: %s answers, process %" PRIu64, t->name, process->pid);
	if (took_over(&t->last_process, process)) {
		log_limited(log, now, LOG_CAUSE_HAPROXY_PROCESS, LOG_NOTICE,
		            "haproxy: at %s process %" PRIu64 " took the place of %" PRIu64
		            ": what that one runs stays charged",
		            t->name, process->pid, t->last_process.pid);
		watch_haproxy_changed(api->agent, now);
		heal_process_changed(&api->heal, api->agent->sched, now);
	}
	t->last_process = *process;
	t->answer.told_unknown = t->answer.unknown;
	t->answered = true;
	t->asked = api->heal.asked;
}

static const char *on_bytes(void *user, struct slice bytes)
{
	struct target *t = user;

	return haproxy_answer_take(&t->answer, clock_nsec(), bytes);
}

static void on_over(void *user, const char *why)
{
	struct target *t = user;
	slo_nsec now = clock_nsec();

	if (!why)
		why = haproxy_answer_end(&t->answer);
	if (why)
		failed(t, now, why);
	else
		succeeded(t, now);
	question_is_over(t->api);
}

/* The begin of a round */

static void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct haproxy_api *api = w->data;
	struct haproxy_question *q = &api->question;
	slo_nsec now = clock_nsec();

	if (api->open > 0 || api->settles)
		return; /* HAProxy is slower than we ask */
	haproxy_question_write(q, api->agent);
	roster_view_begin(api->agent, now);
	heal_ask(&api->heal, api->agent->sched, now);
	api->open = api->count;
	for (size_t i = 0; i < api->count; i++) {
		struct target *t = &api->target[i];

		haproxy_answer_begin(&t->answer);
		haproxy_link_ask(&t->link, t->where,
		                 (struct slice){ (const uint8_t *)q->text, q->len });
	}
}

/* Life */

static void add_target(struct haproxy_api *api, const struct listen_addr *where, slo_nsec now)
{
	struct target *t = &api->target[api->count];
	const struct haproxy_link_user ours = { t, on_bytes, on_over };

	t->api = api;
	t->where = where;
	t->asked = t->logged = -1;
	t->silent_since = now;
	listen_addr_print(where, t->name, sizeof(t->name));
	t->answer.question = &api->question;
	t->answer.agent = api->agent;
	t->answer.heal = &api->heal;
	t->answer.name = t->name;
	haproxy_link_init(&t->link, api->agent->loop, &ours);
	api->count++;
}

struct haproxy_api *haproxy_api_new(struct agent *a)
{
	struct haproxy_api *api = calloc(1, sizeof(*api));

	if (!api)
		return NULL;
	api->agent = a;
	ev_init(&api->settle, on_settled);
	ev_init(&api->poll, on_poll);
	api->settle.data = api->poll.data = api;
	return api;
}

/* Asks nobody any more; open questions get no answer. */
static void drop_targets(struct haproxy_api *api)
{
	struct ev_loop *loop = api->agent->loop;

	warn_clear_all(api->agent, clock_nsec(), "runtime-api");
	for (size_t i = 0; i < api->count; i++)
		haproxy_link_close(&api->target[i].link);
	ev_timer_stop(loop, &api->poll);
	ev_timer_stop(loop, &api->settle);
	free(api->target);
	api->target = NULL;
	api->where.count = api->count = api->open = 0;
	api->settles = false;
}

void haproxy_api_free(struct haproxy_api *api)
{
	if (!api)
		return;
	drop_targets(api);
	free(api);
}

static bool same_targets(const struct haproxy_api *api, const struct config_listen *where)
{
	if (api->where.count != where->count)
		return false;
	for (size_t i = 0; i < where->count; i++)
		if (!listen_addr_equal(&api->where.addr[i], &where->addr[i]))
			return false;
	return true;
}

/* Other processes are asked from now on: what the old ones said of sessions is void. */
static void change_targets(struct haproxy_api *api)
{
	const struct config *conf = api->agent->conf;
	slo_nsec now = clock_nsec();

	if (api->count > 0)
		heal_stop(api->agent->sched);
	drop_targets(api);
	if (conf->runtime_api.count == 0)
		return;
	api->target = calloc(conf->runtime_api.count, sizeof(*api->target));
	if (!api->target) {
		log_write(api->agent->log, LOG_ERR,
		          "haproxy: out of memory, HAProxy is not asked until a reload");
		return;
	}
	api->where = conf->runtime_api;
	heal_init(&api->heal, conf->haproxy_poll, conf->haproxy_grace, HAPROXY_GONE);
	for (size_t i = 0; i < api->where.count; i++)
		add_target(api, &api->where.addr[i], now);
	ev_timer_set(&api->poll, 0., (double)conf->haproxy_poll / 1e9);
	ev_timer_start(api->agent->loop, &api->poll);
}

void haproxy_api_configure(struct haproxy_api *api)
{
	const struct config *conf = api->agent->conf;

	if (!same_targets(api, &conf->runtime_api)) {
		change_targets(api);
	} else if (api->count > 0) {
		api->heal.poll = conf->haproxy_poll;
		api->heal.grace = conf->haproxy_grace;
		api->poll.repeat = (double)conf->haproxy_poll / 1e9;
		ev_timer_again(api->agent->loop, &api->poll);
	}
}

size_t haproxy_api_count(const struct haproxy_api *api)
{
	return api->count;
}

struct haproxy_api_state haproxy_api_state(const struct haproxy_api *api, size_t i, slo_nsec now)
{
	const struct target *t = &api->target[i];

	return (struct haproxy_api_state){
		.name = t->name,
		.answers = t->answered,
		.age = t->asked < 0 ? -1 : now - t->asked,
		.pid = t->last_process.pid,
		.failures = t->failures,
	};
}

uint64_t haproxy_api_process(const struct haproxy_api *api, size_t i)
{
	const struct haproxy_process *p = &api->target[i].last_process;

	return p->pid ? (p->node ^ p->pid * UINT64_C(0x9e3779b97f4a7c15)) | 1 : 0;
}
