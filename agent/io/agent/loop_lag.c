#include "io/agent/loop_lag.h"

#include "io/base/clock.h"

static void on_wake(struct ev_loop *loop, ev_check *w, int revents)
{
	struct loop_lag *l = w->data;

	l->woke = clock_nsec();
}

static void on_poll(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct loop_lag *l = w->data;
	slo_nsec lag = clock_nsec() - l->woke;

	if (l->woke == 0)
		return;
	histogram_add(&l->stats->lag, (double)lag / 1e9, 1);
	if (lag > l->stats->longest_lag)
		l->stats->longest_lag = lag;
}

void loop_lag_start(struct loop_lag *l, struct ev_loop *loop, struct stats *stats)
{
	l->stats = stats;
	ev_check_init(&l->check, on_wake);
	ev_prepare_init(&l->prepare, on_poll);
	ev_set_priority(&l->check, EV_MAXPRI);
	ev_set_priority(&l->prepare, EV_MINPRI);
	l->check.data = l->prepare.data = l;
	ev_check_start(loop, &l->check);
	ev_prepare_start(loop, &l->prepare);
}

void loop_lag_stop(struct loop_lag *l, struct ev_loop *loop)
{
	if (!l->stats)
		return;
	ev_check_stop(loop, &l->check);
	ev_prepare_stop(loop, &l->prepare);
}
