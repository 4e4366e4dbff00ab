#include "io/agent/explain.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOOK_BACK 20000 /* decisions that are looked through for one explanation */

/* Parts */

const char *explain_name(const struct label *l)
{
	return l ? l->name : "";
}

const char *explain_server(const struct label *server)
{
	const char *slash = server ? strchr(server->name, '/') : NULL;

	return slash ? slash + 1 : explain_name(server);
}

static struct goal goal_of(const struct decision *d)
{
	return (struct goal){ .kind = (enum goal_kind)d->goal,
		              .per_token = (double)d->per_token,
		              .fixed = (double)d->fixed };
}

double explain_target(const struct decision *d)
{
	const struct goal g = goal_of(d);

	return (double)goal_span(&g, d->input, d->output) / 1e9;
}

double explain_expected(const struct decision *d, size_t i)
{
	/* Starts are those on a full server; slo-adaptive chose by what ran there. */
	bool known = (d->own_target || i == d->chosen) && d->strategy != SLO_STRATEGY_ADAPTIVE;

	if (d->goal == GOAL_NONE || !known)
		return -1;
	return explain_target(d) - (double)(d->option[i].start - d->created) / 1e9;
}

double explain_slack(const struct decision *d, size_t i)
{
	if (d->strategy == SLO_STRATEGY_ADAPTIVE && d->chosen != WHY_NONE)
		return NAN;
	return (double)(d->option[i].start - d->answered) / 1e9;
}

static bool is_hex(const char *s, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (!strchr("0123456789abcdef", s[i]) || s[i] == '\0')
			return false;
	return true;
}

void explain_trace_of(const struct asker *k, char out[DECISION_TRACE_LEN + 1])
{
	const char *t = k->trace;

	out[0] = '\0';
	if (k->trace_len != DECISION_TRACE_LEN || t[2] != '-' || t[35] != '-' || t[52] != '-' ||
	    !is_hex(t, 0, 2) || !is_hex(t, 3, 35) || !is_hex(t, 36, 52) || !is_hex(t, 53, 55))
		return;
	memcpy(out, t, DECISION_TRACE_LEN);
	out[DECISION_TRACE_LEN] = '\0';
}

void explain_trace(const struct decision *d, char out[DECISION_TRACE_LEN + 1])
{
	explain_trace_of(&d->asker, out);
}

void explain_before(const struct agent *a, const struct decision *d, struct explain_before *out)
{
	uint64_t number = d->number ? d->number : a->decisions.next;

	*out = (struct explain_before){ .count = 0 };
	for (size_t n = 0; number-- > 1; n++) {
		const struct decision *other = decisions_at(&a->decisions, number);

		if (other && other->answered < d->arrived)
			return;
		if (!other || n == LOOK_BACK)
			break;
		if (other->model != d->model || !other->server)
			continue;
		if (out->count < EXPLAIN_BEFORE)
			out->first[out->count] = other;
		out->count++;
	}
	out->more = number > 0 && d->arrived < d->answered;
}

/* Sentences */

struct text {
	char *at;
	size_t room;
};

static void __attribute__((format(printf, 2, 3))) say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, t->room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->room)
		n = (int)t->room - 1;
	t->at += n;
	t->room -= (size_t)n;
}

static double part(uint32_t load)
{
	return (double)load / DECISION_LOAD_ONE;
}

static void say_slack(struct text *t, const struct decision *d, size_t i)
{
	double s = explain_slack(d, i);

	if (s >= 0)
		say(t, " (%.3g s of slack)", s);
	else if (s < 0)
		say(t, " (%.3g s too late)", -s);
}

static void say_option(struct text *t, const struct decision *d, size_t i)
{
	const struct decision_option *o = &d->option[i];
	const enum why_mark mark = decision_mark(d, i);

	if (d->strategy == SLO_STRATEGY_ADAPTIVE && (mark == WHY_CHOSEN || mark == WHY_WORSE)) {
		say(t, " %s %s to all.", explain_name(o->deployment),
		    mark == WHY_CHOSEN ? "adds the least lateness" : "would add more lateness");
		return;
	}
	say(t, " %s", explain_name(o->deployment));
	say_slack(t, d, i);
	switch (mark) {
	case WHY_FULL:
		say(t, " has no room for %.3g: its emptiest server is at %.3g.", part(o->load),
		    part(o->used));
		break;
	case WHY_INFEASIBLE:
		say(t, " cannot meet the target by its %s.",
		    d->learned >> i & 1 ? "learned times" : "profile");
		break;
	case WHY_LATE:
		say(t, " is not asked, as it would be late there.");
		break;
	case WHY_NOT_ASKED:
		say(t, " is not asked.");
		break;
	case WHY_WORSE: /* only of slo-adaptive, see above */
		break;
	case WHY_CHOSEN:
		say(t, " is the one with room and the most slack.");
		break;
	}
}

static void say_options(struct text *t, const struct decision *d)
{
	for (size_t i = 0; i < d->options; i++)
		say_option(t, d, i);
	if (d->ranked > d->options)
		say(t, " %d more deployments have less slack.", d->ranked - d->options);
}

static void say_server(struct text *t, const struct decision *d)
{
	say(t, " %s had %u requests and was at %.3g; this one weighs %.3g.",
	    explain_server(d->server), d->inflight, part(d->used), part(d->load));
}

static void say_placed(struct text *t, const struct decision *d)
{
	const char *strategy = policy_strategy_name((enum slo_strategy)d->strategy);

	if (d->verdict == SLO_FALLBACK)
		say(t, "There was no decision by the target (%s): %s chose %s.",
		    sched_reason_name((enum slo_reason)d->reason), strategy,
		    explain_server(d->server));
	else
		say(t, "%s chose %s.", strategy, explain_server(d->server));
	say_options(t, d);
	say_server(t, d);
}

static const char *refusal(enum slo_reason reason)
{
	switch (reason) {
	case SLO_REASON_SLO_FAILURE:
		return "No deployment can meet its target.";
	case SLO_REASON_QUEUE_TIMEOUT:
		return "No server had room within routing.queue_timeout.";
	case SLO_REASON_QUEUE_FULL:
		return "As many requests waited as may.";
	case SLO_REASON_NO_SERVER:
		return "No server of its model was usable.";
	case SLO_REASON_UNKNOWN_MODEL:
		return "Its model is not configured.";
	case SLO_REASON_BAD_REQUEST:
		return "Its body could not be read, or its unique-id was in use.";
	case SLO_REASON_DRAINING:
		return "The agent was about to exit.";
	case SLO_REASON_ENDED:
		return "It was over before it was answered.";
	case SLO_REASON_NO_WORK:
		return "No GPU works for it.";
	default:
		return "";
	}
}

bool explain_client_left(const struct decision *d)
{
	return d->ended && (d->ts[0] == 'C' || d->ts[0] == 'c' ||
	                    (d->state == DECISION_ENDED && d->outcome == LESSON_LEFT));
}

static void say_end(struct text *t, const struct decision *d)
{
	if (!d->ended)
		return;
	if (explain_client_left(d))
		say(t, " Its client left before the answer was whole.");
	if (d->by != d->server && d->by)
		say(t, " %s answered in its place.", explain_server(d->by));
	if (d->judged)
		say(t, d->missed ? " It missed its target." : " It met its target.");
}

static void say_waits(struct text *t, const struct decision *d)
{
	say(t, "It waits for room; %u of its model wait in all.", d->behind);
	say_options(t, d);
}

void explain_why(const struct agent *a, const struct decision *d, char out[EXPLAIN_MAX])
{
	struct text t = { out, EXPLAIN_MAX };
	double waited = (double)(d->answered - d->arrived) / 1e9;

	out[0] = '\0';
	if (d->state == DECISION_WAITS) {
		say_waits(&t, d);
		return;
	}
	if (d->state == DECISION_RUNS || d->state == DECISION_ENDED) {
		say_placed(&t, d);
	} else {
		say(&t, "%s", refusal((enum slo_reason)d->reason));
		say_options(&t, d);
	}
	if (waited > 0)
		say(&t, " It was held for %.3g s.", waited);
	say_end(&t, d);
	if (decision_is_lost(a, d))
		say(&t, " Its end line never came, so it was given up.");
}
