/* The order of times: each must be shorter than the next. */
#include "check_private.h"

/* A promise of less was probably meant in seconds. */
#define E2E_LEAST  (100 * SLO_NSEC_PER_MSEC)
#define TTFT_LEAST (5 * SLO_NSEC_PER_MSEC)

/* One of HAProxy's times that must be longer than `than`. */
struct longer {
	const struct hap_section *section;
	const char *timeout;
	const char *than_name;
	slo_nsec than;
	enum severity severity;
	const char *follows; /* if it is not */
};

static void check_longer(const struct checking *c, const struct longer *l)
{
	const struct hap_line *at = NULL;
	slo_nsec t = l->section && l->than >= 0 ? hap_timeout(l->section, l->timeout, &at) : -1;

	/* 0 is none in HAProxy. */
	if (!at || t == 0 || t > l->than)
		return;
	if (t < 0)
		tell(c, FATAL, "times", at, "timeout %s is no time", l->timeout);
	else
		tell(c, l->severity, "times", at,
		     "timeout %s (%s) is not longer than %s (%s): %s; make it longer", l->timeout,
		     time_text(t).text, l->than_name, time_text(l->than).text, l->follows);
}

/* Whether the agent always answers in time. "timeout processing", or -1. */
static slo_nsec check_processing(const struct checking *c, const struct asking *a)
{
	const struct config_routing *r = &c->conf->routing;
	const bool is_auto = r->queue_timeout_most > 0;
	const slo_nsec hold = is_auto ? r->queue_timeout_most : r->queue_timeout;
	const struct hap_line *at;
	slo_nsec processing = hap_timeout(a->agent, "processing", &at);

	if (processing <= 0) {
		tell(c, FATAL, "times", at ? at : a->agent->head,
		     "no \"timeout processing\": a request whose answer is lost waits for ever; "
		     "set %s, a little more than routing.queue_timeout%s",
		     time_text(hold + 5 * SLO_NSEC_PER_SEC).text, is_auto ? "_max" : "");
		return -1;
	}
	if (processing <= hold)
		tell(c, FATAL, "times", at,
		     "timeout processing (%s) is not longer than routing.queue_timeout%s (%s): "
		     "HAProxy gives up on requests that the agent still holds, and balances them "
		     "past the queue; make it longer, or the other shorter",
		     time_text(processing).text, is_auto ? "_max" : "", time_text(hold).text);
	return processing;
}

/* A promise below what a request to an LLM takes. */
static void check_promise(const struct checking *c, const struct config_model *m)
{
	const struct goal *g = &m->promise;
	const bool is_fixed = g->kind == GOAL_E2E || g->kind == GOAL_TTFT;
	const double e2e = g->kind == GOAL_E2E ? g->fixed : g->e2e;
	const slo_nsec told = (slo_nsec)((e2e > 0 ? e2e : is_fixed ? g->fixed : 0) * 1e9 + .5);

	if (told > 0 && told < (e2e > 0 ? E2E_LEAST : TTFT_LEAST))
		tell(c, WORSE, "times", NULL,
		     "models.%s.slo.%s is %s: hardly a request is so fast, so all are late; a "
		     "number without a unit is milliseconds, write \"30s\"",
		     m->name, e2e > 0 ? "e2e" : "ttft", time_text(told).text);
}

/* A bare number is milliseconds, which few mean. */
static void check_tiny(const struct checking *c)
{
	for (size_t i = 0; i < c->conf->model_count; i++)
		check_promise(c, &c->conf->models[i]);
	if (c->conf->routing.queue_timeout < SLO_NSEC_PER_SEC)
		tell(c, WORSE, "times", NULL,
		     "routing.queue_timeout is %s: requests are refused that could have waited; a "
		     "number without a unit is milliseconds, write \"30s\"",
		     time_text(c->conf->routing.queue_timeout).text);
}

void check_times(const struct checking *c, const struct asking *a)
{
	slo_nsec processing;

	check_tiny(c);
	if (!a->agent)
		return;
	processing = check_processing(c, a);
	const struct longer rules[] = {
		{ a->frontend, "http-request", "timeout processing", processing, FATAL,
		  "HAProxy 2.6 then never ends the wait for the agent" },
		{ a->frontend, "client", "timeout processing", processing, FATAL,
		  "HAProxy 2.6 then never ends the wait for the agent" },
		{ a->spop, "server", "timeout processing", processing, FATAL,
		  "HAProxy ends the agent's connection while it holds requests, and balances "
		  "them" },
		{ a->agent, "idle", "timeout processing", processing, WORSE,
		  "HAProxy 2.6 and 3.0 end the agent's connection while it holds requests" },
	};
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		check_longer(c, &rules[i]);
}
