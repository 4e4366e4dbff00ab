#include "io/agent/ends.h"

#include <inttypes.h>

#include "io/agent/failing.h"
#include "io/base/secret.h"
#include "roster_private.h"
#include "wire/endline.h"

#define EXCERPT_MAX 200 /* bytes of a line that the log shows */

/* 30 days: an end line that tells of more is wrong, and teaches no latency. */
#define LATENCY_MAX_MS INT64_C(2592000000)
/* By so much two clocks of HAProxy may differ in one request. */
#define CLOCKS_MS      100
/* So many empty answers of a server in a row are worth a word, and so many more again. */
#define EMPTY_TELL     10
/* So many ends on a server are held against its profile, then one of so many. */
#define FIT_FIRST      64
#define FIT_SHARE      32

/* The answer */

/* How HAProxy saw the stream end: the first letter says who ended it, the second where it was. */
static int termination(const struct endline *e, size_t i)
{
	return e->ts.len > i ? e->ts.p[i] : '-';
}

/* SPOE's error 5, or 4 since HAProxy 3.2: HAProxy gave up the question because the client left. It
 * then denies the request by the rule in haproxy.cfg (503, PR), and no server is asked. */
static bool left_unanswered(const struct endline *e)
{
	return (e->err == 4 || e->err == 5) && !e->srv.p;
}

static enum response response_of(const struct endline *e)
{
	int who = termination(e, 0);

	if (who == 'C' || who == 'c' || left_unanswered(e))
		return RESPONSE_LEFT;
	if (e->st < 100 || e->st > 599)
		return RESPONSE_NONE;
	if (e->st < 500 && (who == 'S' || who == 's'))
		return RESPONSE_BROKEN;
	/* Cut off by HAProxy: the server went down (D), its data made no sense (P), an
	 * administrator (K), ... L: all that there was to say. */
	if (e->st < 300 && who != '-' && who != 'L')
		return RESPONSE_BROKEN;
	return e->st < 300   ? RESPONSE_2XX
	       : e->st < 400 ? RESPONSE_3XX
	       : e->st < 500 ? RESPONSE_4XX
	                     : RESPONSE_5XX;
}

/* Whether the server is to blame. It is not for what it does not know (501, 505), nor for a
 * client's wait in HAProxy's own queue. */
static bool is_failure(const struct endline *e, enum response r)
{
	int who = termination(e, 0);

	if (termination(e, 1) == 'Q' || e->st == 501 || e->st == 505)
		return false;
	/* By an administrator, a lack of HAProxy's own, or a better server that came back.
	 * HAProxy 3.2 calls it status 500, even of a stream that had begun. */
	if (who == 'K' || who == 'R' || who == 'I' || who == 'U')
		return false;
	return r == RESPONSE_5XX || r == RESPONSE_BROKEN ||
	       (r == RESPONSE_NONE && (who == 'S' || who == 's'));
}

static struct sched_outcome outcome_of(const struct endline *e)
{
	enum lesson_outcome outcome = lesson_outcome_of(e->st, e->ts);

	/* HAProxy did not hear the agent and balanced. */
	if (left_unanswered(e))
		outcome = LESSON_LEFT;
	else if (e->err > 0 && outcome == LESSON_ANSWERED)
		outcome = LESSON_ELSEWHERE;
	return (struct sched_outcome){
		.outcome = outcome,
		.input = e->in,
		.output = e->out,
		.bytes = e->bytes,
		.cached = e->cached > 0 ? e->cached : 0,
		.backend = e->be,
		.server = e->srv,
		.encoded = e->enc.p && !slice_eq(e->enc, "identity"),
		.streamed = e->tf_ms >= 0,
		.event = e->event,
	};
}

/* The server */

static bool is_in_its_backend(const struct endline *e, const struct roster_server *s)
{
	return !e->be.p || slice_eq(e->be, s->backend->name);
}

static void log_elsewhere(struct agent *a, slo_nsec now, const struct endline *e,
                          const struct roster_server *chosen, enum elsewhere why)
{
	static const enum log_cause causes[ELSEWHERES] = {
		[ELSEWHERE_REDISPATCHED] = LOG_CAUSE_MOVED,
		[ELSEWHERE_SKIPPED] = LOG_CAUSE_SKIPPED,
		[ELSEWHERE_UNKNOWN] = LOG_CAUSE_MISNAMED,
		[ELSEWHERE_UNHEARD] = LOG_CAUSE_UNHEARD,
	};
	static const char *const hints[ELSEWHERES] = {
		[ELSEWHERE_REDISPATCHED] = "the chosen one refused the connection",
		[ELSEWHERE_SKIPPED] =
		    "HAProxy thinks that the chosen one is down, its use-server rule is "
		    "missing, or var-prefix in spoe-slo.cfg is not slo",
		[ELSEWHERE_UNKNOWN] =
		    "no model has a server of that name: are backends and servers "
		    "named alike in both configurations?",
		[ELSEWHERE_UNHEARD] =
		    "it did not hear the agent's answer (txn.slo.error is set): is "
		    "timeout processing longer than queue_timeout?",
	};

	log_limited(a->log, now, causes[why], LOG_WARNING,
	            "HAProxy sent a request to %.*s/%.*s instead of %s: %s", (int)e->be.len,
	            (const char *)e->be.p, (int)e->srv.len, (const char *)e->srv.p, chosen->key,
	            hints[why]);
}

/* One that HAProxy did not hear of is told by its error. */
static void watch_elsewhere(struct agent *a, enum elsewhere why, const struct roster_server *chosen,
                            const struct endline *e)
{
	static const enum watched watched[ELSEWHERES] = {
		[ELSEWHERE_REDISPATCHED] = WATCH_MOVED,
		[ELSEWHERE_SKIPPED] = WATCH_SKIPPED,
		[ELSEWHERE_UNKNOWN] = WATCH_STRANGER,
	};

	if (why != ELSEWHERE_UNHEARD)
		watch_note(a, watched[why], "%.60s was chosen, %.*s/%.*s used", chosen->key,
		           e->be.len > 40 ? 40 : (int)e->be.len, (const char *)e->be.p,
		           e->srv.len > 40 ? 40 : (int)e->srv.len, (const char *)e->srv.p);
}

/* Who answered in the place of the chosen one. NULL: nobody that we know. */
static struct roster_server *other_server(struct agent *a, slo_nsec now, const struct endline *e,
                                          struct roster_server *chosen, struct served *served)
{
	struct slice be = e->be.p ? e->be : slice_of(chosen->backend->name);
	struct roster_server *real = roster_server_find(&a->roster, be, e->srv);
	enum elsewhere why = ELSEWHERE_SKIPPED;

	if (e->err > 0)
		why = ELSEWHERE_UNHEARD;
	else if (!real)
		why = ELSEWHERE_UNKNOWN;
	else if (e->rc.len > 0 && e->rc.p[0] == '+')
		why = ELSEWHERE_REDISPATCHED;
	if (served)
		served->elsewhere[why]++;
	watch_elsewhere(a, why, chosen, e);
	log_elsewhere(a, now, e, chosen, why);
	return real;
}

/* An error inside a stream is a 200 to HAProxy, and no failure that it or failing.c sees. */
static void note_outcome(struct agent *a, slo_nsec now, struct roster_server *s,
                         enum lesson_outcome outcome)
{
	s->stats.ends[outcome]++;
	if (outcome == LESSON_ANSWERED)
		s->stats.empty_row = 0;
	if (outcome != LESSON_EMPTY || ++s->stats.empty_row % EMPTY_TELL != 0)
		return;
	log_limited(
	    a->log, now, LOG_CAUSE_EMPTY, LOG_WARNING,
	    "server %s: its last %u answers had status 200 and nothing in them, as of errors "
	    "inside streams; see its own log",
	    s->key, s->stats.empty_row);
}

/* Counts the answer for the server that gave it, which is told. */
static void note_answer(struct agent *a, slo_nsec now, const struct endline *e,
                        const struct sched_end *end, struct decision_end *seen)
{
	struct agent_model *m = end->request->model ? end->request->model->owner : NULL;
	struct roster_server *s = roster_server(end->server);
	struct served *served = m ? roster_served(s, m) : NULL;
	enum response r = response_of(e);

	if (!e->srv.p) { /* it came to no server, or the line does not tell it */
		s = end->outcome == LESSON_ANSWERED || end->outcome == LESSON_EMPTY ? s : NULL;
		served = s || !e->no_server ? served : NULL;
	} else if (!end->by_server || !is_in_its_backend(e, s)) {
		s = other_server(a, now, e, s, served);
		served = s && m ? roster_served(s, m) : NULL;
	}
	if (served)
		served->responses[r]++;
	if (s && is_failure(e, r))
		failing_failed(a, now, s, e->st);
	else if (s && end->outcome == LESSON_ANSWERED)
		failing_answered(a, now, s);
	if (s)
		note_outcome(a, now, s, end->outcome);
	if (m)
		m->stats.ends[end->outcome]++;
	seen->by = s;
	seen->served = s ? served : NULL;
}

/* Time */

/* HAProxy takes the time of the first byte from the clock of the day, which may be set meanwhile.
 */
static bool is_sane_first(const struct endline *e)
{
	return e->tf_ms <= LATENCY_MAX_MS && (e->ta_ms < 0 || e->tf_ms <= e->ta_ms + CLOCKS_MS);
}

/* From the arrival to the first token; -1: the answer was no stream. HAProxy tells when the body
 * began. Where its configuration does not say so, the headers of a stream are the next best. */
static slo_nsec ttft_of(struct agent *a, const struct endline *e, const struct sched_end *end)
{
	const struct request *r = end->request;

	if (e->tf_ms >= 0) {
		a->first_bytes_told = true;
		return is_sane_first(e) ? e->tf_ms * SLO_NSEC_PER_MSEC + end->waited : -1;
	}
	if (a->first_bytes_told || !r->stream || r->stream_guessed || e->tr_ms < 0)
		return -1;
	return e->tr_ms * SLO_NSEC_PER_MSEC + end->waited;
}

static struct outcome_stats *outcomes_of(const struct request *r)
{
	struct agent_model *m = r->model->owner;

	return &m->stats.outcome[r->strategy][r->fallback ? SLO_FALLBACK : SLO_ROUTE];
}

/* For the model, the class of the request and the server that answered; NULL: none did that we
 * know. */
static void note_promise(slo_nsec now, const struct request *r, struct served *served,
                         enum promise p)
{
	struct agent_model *m = r->model->owner;

	if (!OBSERVES)
		return;
	model_stats_promise(&m->stats, now, (enum slo_strategy)r->strategy, r->goal.kind, p);
	if (served)
		attain_add(&served->promises, now, p, 1);
}

static void note_missed(slo_nsec now, const struct request *r, struct served *served,
                        unsigned missed)
{
	struct agent_model *m = r->model->owner;

	outcomes_of(r)->missed++;
	note_promise(now, r, served, PROMISE_MISSED);
	for (int k = 0; k < GOAL_KINDS; k++)
		m->stats.missed[k] += missed >> k & 1;
}

/* Each of the first since the last judgement, then a share of them: it is no count. */
static bool is_looked_at(struct served *s)
{
	return s->fit.all < FIT_FIRST || ++s->passed_over % FIT_SHARE == 0;
}

/* The time that a request took on its server, against what the profile tells of its size. */
static void note_fit(struct agent *a, const struct sched_end *end, const struct decision_end *seen,
                     slo_nsec took)
{
	struct agent_model *m = end->request->model->owner;
	const struct seat *seat = sched_seat_find(m->sched, seen->by->server);
	const struct profile *p = seat ? seat->deployment->profile : NULL;
	size_t cell = p ? profile_cell(p, end->input, end->output) : 0;
	double told = p ? profile_e2e(p, cell) : 0;
	bool slow = (double)took > 2e9 * told, fast = (double)took < 1e8 * told;
	struct fit *fit = &seen->served->fit;

	if (told <= 0)
		return;
	fit->all++;
	fit->slow += slow;
	fit->fast += fast;
	fit->outside += profile_beyond(p, end->input, end->output);
	fit->below += profile_below(p, end->input, end->output);
	cell_fit_add(&a->cell_fits, p, cell, end->input, end->output, slow, fast);
}

/* What a finished request tells about latency and its targets. %Ta counts the time that the
 * request was held, %Tr and the time to the first byte do not. */
static void note_latency(struct agent *a, slo_nsec now, const struct endline *e,
                         const struct sched_end *end, struct decision_end *seen)
{
	const struct request *r = end->request;
	struct agent_model *m = r->model->owner;
	struct outcome_stats *o = outcomes_of(r);
	slo_nsec e2e = e->ta_ms * SLO_NSEC_PER_MSEC, ttft = ttft_of(a, e, end);
	int64_t tokens = end->input + end->output;
	unsigned missed = goal_missed(&r->goal, end->input, end->output, e2e, ttft);

	seen->ttft = ttft;
	seen->missed = missed;
	seen->judged = r->goal.kind != GOAL_NONE;

	histogram_add(&m->stats.e2e, (double)e2e / 1e9, 1);
	if (OBSERVES && seen->served && is_looked_at(seen->served))
		note_fit(a, end, seen, e2e - end->waited);
	if (ttft >= 0)
		histogram_add(&m->stats.ttft, (double)ttft / 1e9, 1);
	if (tokens > 0)
		histogram_add(&o->per_token, (double)e2e / 1e9 / (double)tokens, 1);
	if (missed) {
		note_missed(now, r, seen->served, missed);
	} else if (r->goal.kind != GOAL_NONE) {
		o->met++;
		note_promise(now, r, seen->served, PROMISE_KEPT);
	}
}

static void note_failed(slo_nsec now, const struct request *r, struct decision_end *seen)
{
	seen->judged = true;
	seen->missed = 1u << GOAL_NONE;
	note_missed(now, r, seen->served, seen->missed);
}

static void note_completed(struct agent *a, slo_nsec now, const struct endline *e,
                           const struct sched_end *end, struct decision_end *seen)
{
	struct roster_server *s = seen->by;

	if (s) {
		s->stats.requests++;
		s->stats.tokens += (uint64_t)(end->input + end->output);
		if (OBSERVES)
			rate_add(&s->stats.token_rate, now, (double)(end->input + end->output));
	}
	if (end->request->model)
		note_latency(a, now, e, end, seen);
}

/* End lines */

/* How the scheduler closes a request is how its line is counted. */
_Static_assert((int)END_CLOSED == SCHED_END_CLOSED && (int)END_CANCELLED == SCHED_END_CANCELLED &&
                   (int)END_DUPLICATE == SCHED_END_DUPLICATE &&
                   (int)END_UNKNOWN == SCHED_END_UNKNOWN,
               "enum end_kind begins like enum sched_end_result");

/* vLLM and OpenAI end the answer to a bare completion after 16 tokens, llama.cpp and others do not.
 * It holds until the configuration is loaded again, so an estimate from bytes is no proof. */
static void note_limit(const struct endline *e, const struct request *r)
{
	if (r->mute & LESSON_NO_LIMIT && r->limit > 0 && e->out > 3 * (int64_t)r->limit)
		((struct agent_model *)r->model->owner)->no_default_limit = true;
}

/* The line of a request that ran on a server. */
static void end_dispatched(struct agent *a, slo_nsec now, const struct endline *e,
                           const struct sched_end *end)
{
	const struct request *r = end->request;
	struct decision_end seen = { .ttft = -1 };
	bool completed = end->outcome == LESSON_ANSWERED;

	note_answer(a, now, e, end, &seen);
	if (seen.by && seen.by->engine)
		engine_sums_add(&seen.by->engine->window.sums, e, end);
	if (r->model && completed && a->conf->redis.trace)
		reqtrace_finished(&((struct agent_model *)r->model->owner)->trace, end->input,
		                  end->output);
	if (r->model && completed)
		note_limit(e, r);
	if (completed && e->ta_ms >= 0 && e->ta_ms <= LATENCY_MAX_MS && e->tr_ms <= LATENCY_MAX_MS)
		note_completed(a, now, e, end, &seen);
	else if (r->model && r->goal.kind != GOAL_NONE && end->outcome == LESSON_FAILED)
		note_failed(now, r, &seen);
	if (decisions_on(&a->decisions))
		decisions_ended(a, now, e, end, &seen);
	roster_server_idle(a, end->server);
}

static void end_request(struct agent *a, slo_nsec now, const struct endline *e)
{
	struct sched_outcome outcome = outcome_of(e);
	struct sched_end end;

	sched_end(a->sched, now, (const char *)e->id.p, e->id.len, &outcome, &end);
	a->stats.end_lines[end.result]++;
	if (OBSERVES && end.result != SCHED_END_DUPLICATE)
		watch_end_line(a, now, e, end.result != SCHED_END_UNKNOWN);
	if (end.request)
		end_dispatched(a, now, e, &end);
	else if (end.result == SCHED_END_CLOSED && decisions_on(&a->decisions))
		decisions_closed(a, now, e);
}

/* HAProxy's own notices cannot carry a secret. With one they count by unix sockets only, and the
 * runtime API tells what they would. */
static bool is_trusted(struct agent *a, slo_nsec now, const struct endline *e, bool local,
                       const char *peer)
{
	if (local || secret_is_told(a->conf->events.secret, e->key))
		return true;
	a->stats.unauthorized_lines++;
	watch_note(a, WATCH_SECRET, "the last one by %s", peer);
	log_limited(a->log, now, LOG_CAUSE_SECRET, LOG_WARNING,
	            "events: %s sent %s without the secret of events.secret; it is dropped", peer,
	            e->kind == ENDLINE_END ? "an end line" : "a notice");
	return false;
}

/* What the log shows of a line. */
static struct slice excerpt(const uint8_t *line, size_t len)
{
	while (len > 0 && line[len - 1] < ' ')
		len--;
	return (struct slice){ .p = line, .len = len < EXCERPT_MAX ? len : EXCERPT_MAX };
}

/* HAProxy has more to say than ends, `other`; but where nothing else comes, that is all. */
static void note_malformed(struct agent *a, struct slice shown, bool other)
{
	a->stats.end_lines[END_MALFORMED]++;
	if (!other || (a->stats.end_lines[END_CLOSED] == 0 && a->watch.dispatched > 0))
		watch_note(a, WATCH_MALFORMED, "%.*s", shown.len > 80 ? 80 : (int)shown.len,
		           (const char *)shown.p);
}

bool ends_line(struct agent *a, slo_nsec now, const uint8_t *line, size_t len, bool local,
               const char *peer)
{
	struct slice shown = excerpt(line, len);
	struct endline e;

	if (endline_parse(line, len, &e) != SLO_OK || e.id.len > a->conf->limits.id_length) {
		note_malformed(a, shown, false);
		log_limited(a->log, now, LOG_CAUSE_EVENT_BROKEN, LOG_WARNING,
		            "events: %s sent an end line without a valid id: %.*s", peer,
		            (int)shown.len, (const char *)shown.p);
		return false;
	}
	if (e.kind != ENDLINE_OTHER && !is_trusted(a, now, &e, local, peer))
		return false;
	switch (e.kind) {
	case ENDLINE_END:
		if (SELDOM(a->deferral.defer) &&
		    a->deferral.defer(a->deferral.arg, e.id, (struct slice){ line, len }))
			break;
		end_request(a, now, &e);
		break;
	case ENDLINE_DROPPED:
		a->stats.end_lines[END_DROPPED] += e.dropped;
		watch_note(a, WATCH_RING, "that of %s", peer);
		log_limited(a->log, now, LOG_CAUSE_EVENT_LOST, LOG_WARNING,
		            "events: the ring of %s overflowed, %" PRIu64 " lines were lost", peer,
		            e.dropped);
		break;
	case ENDLINE_SERVER:
		a->stats.notices++;
		if (e.refused)
			roster_server_ended(a, now, e.be, e.srv, e.idle);
		roster_server_told(a, now, e.be, e.srv, e.state);
		break;
	case ENDLINE_STOPPED:
		a->stats.notices++;
		roster_backend_stopped(a, now, e.be);
		break;
	case ENDLINE_NO_REQUEST:
		a->stats.end_lines[END_UNKNOWN]++;
		break;
	case ENDLINE_OTHER:
		note_malformed(a, shown, true);
		log_limited(a->log, now, LOG_CAUSE_EVENT_OTHER, LOG_INFO,
		            "events: %s sent a line that is no end line: %.*s", peer,
		            (int)shown.len, (const char *)shown.p);
		return false;
	}
	return true;
}

bool ends_copy(struct agent *a, struct slice id)
{
	if (!sched_ended(a->sched, (const char *)id.p, id.len))
		return false;
	a->stats.end_lines[END_DUPLICATE]++;
	return true;
}
