/* What does not come: end lines, questions. And the clock. */
#include <inttypes.h>
#include <stdlib.h>

#include "roster_private.h"
#include "watch_private.h"

/* So many dispatches, over the time of limits.silence, and no end line: HAProxy writes them
 * elsewhere. */
#define SILENT_DISPATCHES 5
/* While lines could come and do not, streams may just be long. */
#define SILENT_LONG       (600 * SLO_NSEC_PER_SEC)
/* A wall clock that jumped by more, and how long that is worth a word. */
#define STEP              (2 * SLO_NSEC_PER_SEC)
#define LOOK_MAX          (2 * SLO_NSEC_PER_SEC)
#define STEP_TOLD         (600 * SLO_NSEC_PER_SEC)

/* End lines */

static uint64_t closed(const struct agent *a)
{
	return a->stats.end_lines[END_CLOSED] + a->stats.end_lines[END_CANCELLED];
}

static void begin_silence(struct agent *a)
{
	a->watch.silence = (struct watch_silence){
		.closed = closed(a),
		.dispatched = a->watch.dispatched,
		.unknown = a->stats.end_lines[END_UNKNOWN],
		.malformed = a->stats.end_lines[END_MALFORMED],
		.expired = sched_counts(a->sched).leases_expired,
	};
}

/* Lines come, but of other requests than those that were asked about. */
static bool ids_differ(const struct agent *a, const struct watch_silence *s)
{
	return a->stats.end_lines[END_UNKNOWN] - s->unknown >= SILENT_DISPATCHES;
}

static void tell_silence(struct agent *a, slo_nsec now, uint64_t dispatched)
{
	const struct watch_silence *s = &a->watch.silence;
	int64_t seconds = (now - s->since) / SLO_NSEC_PER_SEC;

	if (ids_differ(a, s))
		warn_set(a, now, "ids-differ", NULL,
		         "%" PRIu64 " requests went to servers since %" PRId64
		         " s ago, and all end lines tell other ids: their load stays; send "
		         "id=unique-id and write id=%%ID in log-format, in the same frontend",
		         dispatched, seconds);
	else if (a->stats.end_lines[END_MALFORMED] == s->malformed)
		warn_set(
		    a, now, "no-end-lines", NULL,
		    "%" PRIu64 " requests went to servers since %" PRId64
		    " s ago, and HAProxy sent no end line: their load stays, until servers "
		    "seem full and all are refused; do its \"log\" lines and its ring name our "
		    "events.listen?",
		    dispatched, seconds);
	/* else: WATCH_MALFORMED says it better */
}

/* Whether nothing but lost lines explains the silence. */
static bool is_odd(const struct agent *a, slo_nsec now, const struct watch_silence *s)
{
	if (now - s->since < a->conf->limits.silence)
		return false;
	return ids_differ(a, s) || now - s->since > SILENT_LONG ||
	       sched_counts(a->sched).leases_expired - s->expired >= SILENT_DISPATCHES ||
	       (a->stats.event_connections == 0 && closed(a) == 0);
}

void watch_silence(struct agent *a, slo_nsec now)
{
	struct watch_silence *s = &a->watch.silence;
	uint64_t dispatched = a->watch.dispatched - s->dispatched;

	if (closed(a) != s->closed) {
		warn_clear(a, now, "no-end-lines", NULL);
		warn_clear(a, now, "ids-differ", NULL);
		begin_silence(a);
	} else if (dispatched > 0 && s->since == 0) {
		s->since = now;
	} else if (dispatched >= SILENT_DISPATCHES && is_odd(a, now, s)) {
		tell_silence(a, now, dispatched);
	}
}

/* Questions */

static uint64_t frames_of(const struct agent *a)
{
	const uint64_t(*f)[FRAME_RESULTS] = a->stats.frames;

	return f[FRAME_HELLO][FRAME_OK] + f[FRAME_HEALTHCHECK][FRAME_OK] +
	       f[FRAME_NOTIFY][FRAME_OK];
}

void watch_haproxy_changed(struct agent *a, slo_nsec now)
{
	a->watch.haproxy_new = now;
	a->watch.frames = frames_of(a);
}

/* HAProxy's processes run, and none of them speaks SPOP: its check in the sample does so twice a
 * second. */
static void check_contact(struct agent *a, slo_nsec now)
{
	struct watch *w = &a->watch;

	if (w->haproxy_new == 0)
		return;
	if (frames_of(a) != w->frames) {
		w->haproxy_new = 0;
		warn_clear(a, now, "never-asked", "connection");
	} else if (now - w->haproxy_new >= a->conf->limits.silence) {
		warn_set(a, now, "never-asked", "connection",
		         "HAProxy runs and has not connected to spop.listen for %" PRId64
		         " s: it balances by itself; does the backend that use-backend in the SPOE "
		         "file names have our address and a \"check\"?",
		         (now - w->haproxy_new) / SLO_NSEC_PER_SEC);
	}
}

static uint64_t surplus_of(const struct agent *a)
{
	uint64_t n = 0;

	for (const struct roster_server *s = a->roster.servers; s; s = s->hh.next)
		n += s->server->surplus_count;
	return n;
}

/* Requests run on our servers, and nobody asks about any. */
static void check_bypass(struct agent *a, slo_nsec now)
{
	struct watch *w = &a->watch;
	uint64_t asked = a->stats.frames[FRAME_NOTIFY][FRAME_OK];
	uint64_t surplus = a->conf->runtime_api.count > 0 ? surplus_of(a) : 0;

	if (surplus == 0 || asked != w->surplus_asked) {
		w->surplus_since = 0;
		w->surplus_asked = asked;
		warn_clear(a, now, "bypassed", "all");
	} else if (w->surplus_since == 0) {
		w->surplus_since = now;
	} else if (now - w->surplus_since >= a->conf->limits.silence) {
		warn_set(
		    a, now, "bypassed", "all",
		    "HAProxy has %" PRIu64 " requests on our servers and asked about none for "
		    "%" PRId64 " s; does the frontend have \"filter spoe\" and "
		    "\"http-request send-spoe-group slo slo-route\", and does its condition hold?",
		    surplus, (now - w->surplus_since) / SLO_NSEC_PER_SEC);
	}
}

void watch_asked(struct agent *a, slo_nsec now)
{
	check_contact(a, now);
	check_bypass(a, now);
}

/* The clock */

void watch_clock(struct agent *a, slo_nsec now, int64_t unix_now)
{
	struct watch *w = &a->watch;
	int64_t wall = unix_now - now, step = wall - w->wall;

	/* A process that stood still read both clocks at different times. */
	if (w->wall != 0 && now - w->wall_at < LOOK_MAX && llabs(step) > STEP) {
		w->clock_stepped = now;
		warn_set(
		    a, now, "clock-stepped", NULL,
		    "the clock of this machine jumped by %" PRId64
		    " s: ages of profiles and snapshots, and times in logs, are wrong by that; "
		    "let NTP run",
		    step / SLO_NSEC_PER_SEC);
	} else if (w->clock_stepped != 0 && now - w->clock_stepped > STEP_TOLD) {
		w->clock_stepped = 0;
		warn_clear(a, now, "clock-stepped", NULL);
	}
	w->wall = wall;
	w->wall_at = now;
}
