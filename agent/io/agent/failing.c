#include "io/agent/failing.h"

#include <inttypes.h>

#include "io/base/clock.h"
#include "roster_private.h"

/* Failures in a row. Fewer would set servers aside for single bad requests. */
#define STREAK        3
#define BACKOFF_FIRST SLO_NSEC_PER_SEC
#define BACKOFF_LAST  (60 * SLO_NSEC_PER_SEC)
/* A request that runs for so long has not failed fast, and the server is used again. */
#define TRIAL_SPAN    (5 * SLO_NSEC_PER_SEC)

bool failing_may_serve(const struct roster_server *s)
{
	return s->failing.state == FAILING_FINE || s->failing.state == FAILING_TRIAL;
}

/* Sets the timer for the first `until`. */
static void set_timer(struct agent *a, slo_nsec now)
{
	struct failing_list *l = &a->failing;
	slo_nsec first = SLO_NEVER;
	struct roster_server *s;

	TAILQ_FOREACH (s, &l->servers, failing.link)
		if (!failing_may_serve(s) && s->failing.until < first)
			first = s->failing.until;
	ev_timer_stop(a->loop, &l->timer);
	if (first == SLO_NEVER)
		return;
	ev_now_update(a->loop);
	ev_timer_set(&l->timer, first > now ? (double)(first - now) / 1e9 : 0., 0.);
	ev_timer_start(a->loop, &l->timer);
}

void failing_forget(struct agent *a, struct roster_server *s)
{
	if (s->failing.state == FAILING_FINE)
		return;
	TAILQ_REMOVE(&a->failing.servers, s, failing.link);
	warn_clear(a, clock_nsec(), "server-failing", s->key);
	s->failing.state = FAILING_FINE;
}

static void set_state(struct agent *a, struct roster_server *s, enum failing_state state)
{
	if (state == FAILING_FINE)
		failing_forget(a, s);
	else if (s->failing.state == FAILING_FINE)
		TAILQ_INSERT_TAIL(&a->failing.servers, s, failing.link);
	s->failing.state = state;
	roster_apply(a, s);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct agent *a = w->data;
	slo_nsec now = clock_nsec();
	struct roster_server *s, *next;

	for (s = TAILQ_FIRST(&a->failing.servers); s; s = next) {
		next = TAILQ_NEXT(s, failing.link);
		if (failing_may_serve(s) || s->failing.until > now)
			continue;
		if (s->failing.state == FAILING_ASIDE) {
			set_state(a, s, FAILING_TRIAL);
		} else {
			s->failing.streak = STREAK - 1; /* one more and it is aside again */
			set_state(a, s, FAILING_FINE);
		}
	}
	set_timer(a, now);
}

void failing_init(struct agent *a)
{
	TAILQ_INIT(&a->failing.servers);
	ev_init(&a->failing.timer, on_timer);
	a->failing.timer.data = a;
}

void failing_fini(struct agent *a)
{
	ev_timer_stop(a->loop, &a->failing.timer);
}

static size_t not_serving(const struct agent *a, const struct sched_model *m)
{
	const struct roster_server *s;
	size_t n = 0;

	TAILQ_FOREACH (s, &a->failing.servers, failing.link)
		n += !failing_may_serve(s) && sched_seat_find(m, s->server);
	return n;
}

/* Whether at least half of each model's servers stay in use without s. */
static bool can_be_spared(const struct agent *a, const struct roster_server *s)
{
	if (!s->server->usable) /* HAProxy does not use it either */
		return true;
	for (size_t i = 0; i < a->model_count; i++) {
		const struct sched_model *m = a->models[i]->sched;

		if (sched_seat_find(m, s->server) && m->pool.usable - 1 < not_serving(a, m) + 1)
			return false;
	}
	return true;
}

static void set_aside(struct agent *a, slo_nsec now, struct roster_server *s, int64_t status)
{
	struct failing *f = &s->failing;

	f->backoff = f->backoff ? 2 * f->backoff : BACKOFF_FIRST;
	if (f->backoff > BACKOFF_LAST)
		f->backoff = BACKOFF_LAST;
	f->until = now + f->backoff;
	f->times++;
	log_limited(a->log, now, LOG_CAUSE_FAILING, LOG_WARNING,
	            "server %s failed %u times in a row, last with status %" PRId64
	            ": it gets no requests for %" PRId64 " s, then one to try; see its own log",
	            s->key, f->streak, status, f->backoff / SLO_NSEC_PER_SEC);
	warn_set(a, now, "server-failing", s->key,
	         "server %s fails (last with status %" PRId64
	         ") and gets a request to try only now and then; see its own log",
	         s->key, status);
	set_state(a, s, FAILING_ASIDE);
	set_timer(a, now);
}

void failing_failed(struct agent *a, slo_nsec now, struct roster_server *s, int64_t status)
{
	struct failing *f = &s->failing;

	f->streak++;
	/* What still ran there when it was set aside tells nothing new. */
	if (f->state == FAILING_ASIDE || f->state == FAILING_TRIAL ||
	    (f->state == FAILING_FINE && f->streak < STREAK))
		return;
	if (f->state == FAILING_TRYING || can_be_spared(a, s)) {
		set_aside(a, now, s, status);
		return;
	}
	log_limited(a->log, now, LOG_CAUSE_FAILING, LOG_WARNING,
	            "server %s failed %u times in a row, last with status %" PRId64
	            ": it stays in use, because too few others are left; see its own log",
	            s->key, f->streak, status);
	f->streak = 0;
}

void failing_answered(struct agent *a, slo_nsec now, struct roster_server *s)
{
	struct failing *f = &s->failing;

	if (f->state == FAILING_FINE) {
		f->streak = 0;
		f->backoff = 0;
	}
	if (f->state != FAILING_TRYING)
		return;
	f->streak = STREAK - 1; /* it has to answer once more before it is trusted */
	log_limited(a->log, now, LOG_CAUSE_FAILING, LOG_NOTICE,
	            "server %s answers again, so it is used", s->key);
	set_state(a, s, FAILING_FINE);
	set_timer(a, now);
}

void failing_dispatched(struct agent *a, slo_nsec now, struct roster_server *s)
{
	if (s->failing.state != FAILING_TRIAL)
		return;
	s->failing.until = now + TRIAL_SPAN;
	set_state(a, s, FAILING_TRYING);
	set_timer(a, now);
}

void failing_forgive(struct agent *a, struct roster_server *s)
{
	uint64_t times = s->failing.times;

	if (s->failing.state != FAILING_FINE)
		set_state(a, s, FAILING_FINE);
	s->failing = (struct failing){ .state = FAILING_FINE, .times = times };
}

void failing_relieve(struct agent *a)
{
	struct roster_server *s, *next;

	if (!a->failing.changed)
		return;
	a->failing.changed = false;
	for (s = TAILQ_FIRST(&a->failing.servers); s; s = next) {
		const struct seat *seat = s->server->seats;
		bool needed = false;

		next = TAILQ_NEXT(s, failing.link);
		for (; seat; seat = seat->next_of_server)
			needed |= seat->deployment->pool->usable == 0;
		if (!needed || failing_may_serve(s))
			continue;
		s->failing.streak = 0;
		set_state(a, s, FAILING_FINE);
	}
}
