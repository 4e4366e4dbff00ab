#include "io/agent/watch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/agent/agent.h"
#include "io/base/clock.h"
#include "watch_private.h"
#include "wire/endline.h"

/* A window is judged anew when so many have come, or it is so old. */
#define WINDOW_ENOUGH 200
#define WINDOW_SPAN   (60 * SLO_NSEC_PER_SEC)
/* A ring connects again after so long, at most. */
#define RING_LATE     (5 * SLO_NSEC_PER_SEC)
/* Agents that hear each other again know all that runs after so long. */
#define HEARD_LATE    (3 * SLO_NSEC_PER_SEC)

/* What the cases are a share of. */
enum among {
	AMONG_QUESTIONS,
	AMONG_ENDS,
	AMONG_LINES,
	AMONG_OVER,    /* requests that were placed, with an end line or without */
	AMONG_NOTHING, /* a case is a case; over when none came for WATCH_QUIET */
};

/* "BAD of ALL WHAT (DETAIL): FOLLOWS" */
static const struct rule {
	const char *code;
	enum among among;
	uint32_t least;   /* cases */
	uint32_t percent; /* of all, at least */
	const char *what, *follows;
} rules[WATCHED] = {
	[WATCH_MESSAGE] = { "never-asked", AMONG_QUESTIONS, 3, 50,
	                    "questions of HAProxy have no message slo-route",
	                    "the agent answers to no other, so HAProxy balances; name the message "
	                    "slo-route in the SPOE file" },
	[WATCH_ID] = { "id-missing", AMONG_QUESTIONS, 3, 5,
	               "requests have no unique-id, or one that is too long",
	               "the agent passes them and HAProxy balances; set unique-id-format in the "
	               "frontend, send id=unique-id, and keep it within limits.id_length" },
	[WATCH_REPEATED] = { "id-repeated", AMONG_QUESTIONS, 3, 1,
	                     "requests have the unique-id of another",
	                     "the agent passes them; unique-id-format must have a counter (%rt) "
	                     "within its first 127 bytes, as HAProxy cuts it there, and nothing "
	                     "that clients write" },
	[WATCH_BODY] = { "body-empty", AMONG_QUESTIONS, 5, 30,
	                 "requests for completions come without a body",
	                 "model, prompt and max_tokens are not seen; put \"option "
	                 "http-buffer-request\" into the frontend and send body=req.body" },
	[WATCH_MODEL] = { "model-unknown", AMONG_QUESTIONS, 5, 1,
	                  "requests are for models that are not configured",
	                  "HAProxy balances them past the queue; add the models, or these names to "
	                  "the \"aliases\" of one" },
	[WATCH_HEADER] = { "header-ignored", AMONG_QUESTIONS, 5, 1,
	                   "requests have a header that is no whole number",
	                   "it is ignored; targets are in milliseconds, without a unit" },
	[WATCH_LATE] = { "times", AMONG_ENDS, 3, 1,
	                 "requests went to a server that HAProxy chose, because it had stopped "
	                 "waiting for the agent",
	                 "timeout processing in the SPOE file must be longer than "
	                 "routing.queue_timeout" },
	[WATCH_SIZE] = { "frame-too-big", AMONG_ENDS, 3, 1,
	                 "requests were too big for a frame, so HAProxy did not ask",
	                 "send the head of the body only: body=req.body,bytes(0,14336); if that is "
	                 "there, take max-frame-size out of the SPOE file" },
	[WATCH_LOST] = { "agent-lost", AMONG_ENDS, 3, 5,
	                 "requests found no agent, or lost it while they were held",
	                 "HAProxy balanced them; did an agent stop or restart then? If none did, "
	                 "timeout server of the agent's backend and timeout idle must be longer "
	                 "than timeout processing" },
	[WATCH_SKIPPED] = { "answer-unused", AMONG_ENDS, 5, 5,
	                    "requests went to another server than the agent chose",
	                    "HAProxy takes the chosen one for down, its use-server rule is "
	                    "missing, "
	                    "or var-prefix in the SPOE file is not that of the rules" },
	[WATCH_MOVED] = { "redispatched", AMONG_ENDS, 5, 5,
	                  "requests were moved, because the chosen server refused the connection",
	                  "its check should have seen that; see the server's own log" },
	[WATCH_STRANGER] = { "server-unknown", AMONG_ENDS, 3, 1,
	                     "requests went to a server that no model has",
	                     "backends and servers must be named alike in HAProxy's files and in "
	                     "slo-spoa.json" },
	[WATCH_BYPASS] = { "bypassed", AMONG_LINES, 5, 5,
	                   "completions ended that the agent was not asked about",
	                   "they take room that it does not plan with; is there a frontend without "
	                   "the filter, or a path that the send-spoe-group rule leaves out?" },
	[WATCH_MALFORMED] = { "log-format", AMONG_LINES, 5, 20,
	                      "lines of HAProxy are no end lines, or have no valid id",
	                      "requests then never end for the agent; copy log-format from "
	                      "haproxy.cfg, and take away option httplog" },
	[WATCH_RING] = { "lines-lost", AMONG_NOTHING, 1, 0, "times a ring of HAProxy overflowed",
	                 "ends were lost; make its \"size\" larger, and log over UDP too" },
	[WATCH_SECRET] = { "secret", AMONG_NOTHING, 1, 0, "times the secret was not told",
	                   "it was ignored; HAProxy's files must have the text of spop.secret and "
	                   "events.secret" },
	[WATCH_PORT] = { "ports-swapped", AMONG_NOTHING, 1, 0,
	                 "times a peer spoke another protocol",
	                 "the agent's backend must name spop.listen; log lines and the ring's "
	                 "server "
	                 "events.listen" },
	[WATCH_UNENDED] = { "lines-lost", AMONG_OVER, 20, 20,
	                    "requests ended and no end line told it",
	                    "their load stayed until HAProxy's counts or limits.lease_max_age "
	                    "took it away, and nothing is learned from them; is there a frontend "
	                    "without the \"log\" lines, or with a level or a sample in them?" },
	[WATCH_OTHERS] = { "bypassed", AMONG_LINES, 5, 5,
	                   "completions ended that another agent was asked about",
	                   "this one hears nothing of it and does not plan with them; agents of "
	                   "one fleet need the same cluster.redis and cluster.group" },
};

/* Notes */

void watch_note(struct agent *a, enum watched w, const char *fmt, ...)
{
	va_list ap;

	a->watch.bad[w]++;
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(a->watch.detail[w], sizeof(a->watch.detail[w]), fmt, ap);
	va_end(ap);
}

/* Errors of SPOE; see HAProxy's SPOE.txt. 4 and 5: the client left. */
static COLD void note_error(struct agent *a, const struct endline *e)
{
	switch (e->err) {
	case 1:
		watch_note(a, WATCH_LATE, "the last one after %" PRId64 " ms", e->ptime_ms);
		break;
	case 3:
	case 259:
		watch_note(a, WATCH_SIZE, "error %" PRId64, e->err);
		break;
	case 2:
		watch_note(a, WATCH_LOST, "error 2, after %" PRId64 " ms: HAProxy had no agent up",
		           e->ptime_ms);
		break;
	case 256:
	case 257:
		watch_note(a, WATCH_LOST,
		           "error %" PRId64 ", after %" PRId64
		           " ms: the connection to the agent ended, or none came about",
		           e->err, e->ptime_ms);
		break;
	default:
		break;
	}
}

/* While there was no agent HAProxy asked nobody, and kept the lines in its ring. */
static bool began_before_us(const struct agent *a, slo_nsec now, const struct endline *e)
{
	const int64_t ms = e->ta_ms > 0 ? e->ta_ms : 0;

	return now - a->stats.started - RING_LATE < 0 ||
	       (now - a->stats.started - RING_LATE) / SLO_NSEC_PER_MSEC < ms;
}

void watch_unheard(struct agent *a, slo_nsec now)
{
	a->watch.unheard = now;
}

/* Another agent may have been asked. */
static bool is_hearsay(const struct agent *a, slo_nsec now)
{
	return a->watch.unheard != 0 && now - a->watch.unheard < HEARD_LATE;
}

/* What an LLM made: its answer tells tokens, or is a stream. */
static bool is_completion(const struct endline *e)
{
	return e->out >= 0 || e->tf_ms >= 0;
}

void watch_end_line(struct agent *a, slo_nsec now, const struct endline *e, bool known)
{
	if (SELDOM(e->err > 0))
		note_error(a, e);
	else if (SELDOM(!known && is_completion(e) && !began_before_us(a, now, e) &&
	                !is_hearsay(a, now)))
		watch_note(a, e->ptime_ms >= 0 ? WATCH_OTHERS : WATCH_BYPASS,
		           "the last one on %.*s/%.*s", (int)e->be.len, (const char *)e->be.p,
		           (int)e->srv.len, (const char *)e->srv.p);
}

/* Judgement */

static uint64_t all_of(const struct agent *a, enum among among)
{
	const uint64_t *n = a->stats.end_lines;
	uint64_t ends = n[END_CLOSED] + n[END_CANCELLED];

	switch (among) {
	case AMONG_QUESTIONS:
		return a->stats.frames[FRAME_NOTIFY][FRAME_OK];
	case AMONG_ENDS:
		return ends;
	case AMONG_LINES:
		return ends + n[END_UNKNOWN] + n[END_MALFORMED];
	case AMONG_OVER:
		return ends + sched_counts(a->sched).ends_lost;
	case AMONG_NOTHING:
		break;
	}
	return 0;
}

/* The names that were asked for most. */
static void list_models(struct agent *a, char *out, size_t cap)
{
	const struct unknown_models *u = &a->unknown;
	bool told[UNKNOWN_MODELS_MAX] = { false };
	size_t used = 0;

	out[0] = '\0';
	for (int shown = 0; shown < 3 && used < cap; shown++) {
		const struct unknown_model *most = NULL;

		for (size_t i = 0; i < u->count; i++)
			if (!told[i] && (!most || u->model[i].requests > most->requests))
				most = &u->model[i];
		if (!most)
			break;
		told[most - u->model] = true;
		used += (size_t)snprintf(out + used, cap - used, "%s\"%.40s\"", used ? ", " : "",
		                         most->name);
	}
}

static void warn(struct agent *a, slo_nsec now, enum watched w, uint64_t bad, uint64_t all)
{
	const struct rule *r = &rules[w];
	char *detail = a->watch.detail[w];
	char share[48] = "";

	if (w == WATCH_MODEL)
		list_models(a, detail, WATCH_DETAIL_MAX);
	if (r->among != AMONG_NOTHING)
		snprintf(share, sizeof(share), " of %" PRIu64, all > bad ? all : bad);
	warn_set(a, now, r->code, NULL, "%" PRIu64 "%s %s%s%s%s: %s", bad, share, r->what,
	         detail[0] ? " (" : "", detail, detail[0] ? ")" : "", r->follows);
}

static void restart(struct watch_window *v, slo_nsec now, uint64_t bad, uint64_t all)
{
	v->bad = bad;
	v->all = all;
	v->since = now;
}

/* Two rules may share a code: the warning goes when both are over. */
static void clear(struct agent *a, slo_nsec now, enum watched w)
{
	a->watch.window[w].warned = false;
	for (int i = 0; i < WATCHED; i++)
		if (a->watch.window[i].warned && strcmp(rules[i].code, rules[w].code) == 0)
			return;
	warn_clear(a, now, rules[w].code, NULL);
}

static void judge(struct agent *a, slo_nsec now, enum watched w)
{
	const struct rule *r = &rules[w];
	struct watch_window *v = &a->watch.window[w];
	uint64_t total = a->watch.bad[w], all = all_of(a, r->among);
	uint64_t bad = total - v->bad, came = all - v->all;

	if (total == v->seen && !v->warned && came < WINDOW_ENOUGH)
		return; /* the usual case */
	if (total != v->seen)
		v->last = now;
	v->seen = total;
	if (bad >= r->least && bad * 100 >= (uint64_t)r->percent * came) {
		v->warned = true;
		warn(a, now, w, bad, came);
	} else if (v->warned && r->among != AMONG_NOTHING && came >= 2 * (uint64_t)r->least &&
	           bad * 200 < (uint64_t)r->percent * came) {
		clear(a, now, w);
		restart(v, now, total, all);
	}
	if (v->warned && r->among == AMONG_NOTHING && now - v->last > WATCH_QUIET)
		clear(a, now, w);
	/* What was bad must not weigh on what comes: a cause may end. */
	if (came >= WINDOW_ENOUGH || now - v->since > WINDOW_SPAN ||
	    (v->warned && now - v->last >= 2 * WATCH_EVERY && bad > 0))
		restart(v, now, total, all);
}

void watch_judge(struct agent *a, slo_nsec now, int64_t unix_now)
{
	a->watch.bad[WATCH_UNENDED] = sched_counts(a->sched).ends_lost;
	for (int w = 0; w < WATCHED; w++)
		judge(a, now, (enum watched)w);
	watch_silence(a, now);
	watch_asked(a, now);
	watch_clock(a, now, unix_now);
	watch_fleet(a, now);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	watch_judge(w->data, clock_nsec(), clock_unix_nsec());
}

/* What is said of models, deployments and backends that may be gone is judged anew. */
void watch_configured(struct agent *a, slo_nsec now)
{
	warn_clear_all(a, now, "profile-wrong");
	warn_clear_all(a, now, "profile-sizes");
	warn_clear_all(a, now, "profile-cell");
	cell_fit_forget(&a->cell_fits, NULL);
	warn_clear_all(a, now, "backend-absent");
}

void watch_init(struct agent *a)
{
	const double every = (double)WATCH_EVERY / 1e9;

	for (int w = 0; w < WATCHED; w++)
		a->watch.window[w].since = clock_nsec();
	ev_timer_init(&a->watch.timer, on_tick, every, every);
	a->watch.timer.data = a;
	ev_timer_start(a->loop, &a->watch.timer);
}

void watch_fini(struct agent *a)
{
	ev_timer_stop(a->loop, &a->watch.timer);
}
