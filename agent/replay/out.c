/* What slo-replay prints. */
#include <stdlib.h>

#include "private.h"

static void put_string(struct slice s)
{
	putchar_unlocked('"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = s.p[i];

		if (c == '"' || c == '\\')
			putchar_unlocked('\\');
		if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar_unlocked(c);
	}
	putchar_unlocked('"');
}

/* Seconds, exact to the nanosecond, with at least one decimal. */
static void put_time(slo_nsec t)
{
	uint64_t ns = t < 0 ? 0 - (uint64_t)t : (uint64_t)t;
	char text[32];
	int len = snprintf(text, sizeof(text), "%s%llu.%09llu", t < 0 ? "-" : "",
	                   (unsigned long long)(ns / SLO_NSEC_PER_SEC),
	                   (unsigned long long)(ns % SLO_NSEC_PER_SEC));

	while (text[len - 1] == '0' && text[len - 2] != '.')
		len--;
	fwrite(text, 1, (size_t)len, stdout);
}

static void put_member(const char *key, struct slice value)
{
	printf(",\"%s\":", key);
	put_string(value);
}

void put_decision(const struct replay_decision *d)
{
	fputs("{\"t\":", stdout);
	put_time(d->t);
	put_member("id", d->id);
	put_member("verdict", slice_of(sched_verdict_name(d->verdict)));
	if (d->server) {
		put_member("server", slice_of(d->server));
		printf(",\"load\":%.9g", load_to_double(d->load));
	}
	if (d->verdict == SLO_FALLBACK)
		put_member("via", slice_of(policy_strategy_name(d->strategy)));
	if (d->verdict != SLO_ROUTE)
		put_member("reason", slice_of(sched_reason_name(d->reason)));
	fputs("}\n", stdout);
}

void put_refused_profile(slo_nsec t, const char *why)
{
	fputs("{\"t\":", stdout);
	put_time(t);
	put_member("profile", slice_of("refused"));
	put_member("why", slice_of(why));
	fputs("}\n", stdout);
}

struct replay_decision decision_of(slo_nsec t, const struct sched_action *act)
{
	const struct request *r = act->request;

	return (struct replay_decision){
		.t = t,
		.id = { (const uint8_t *)r->id, r->id_len },
		.verdict = act->verdict,
		.reason = act->reason,
		.strategy = act->strategy,
		.server = act->seat ? act->seat->server->name : NULL,
		.load = act->seat ? r->charge.load : 0,
	};
}

bool is_for_nobody(enum slo_verdict verdict, enum slo_reason reason)
{
	return verdict == SLO_PASS && reason == SLO_REASON_ENDED;
}

/* What waits at the end */

static int by_arrival(const void *a, const void *b)
{
	const struct request *const *x = a, *const *y = b;

	return ((*x)->seq > (*y)->seq) - ((*x)->seq < (*y)->seq);
}

struct collected {
	const struct request **request;
	size_t n;
};

static void collect(void *arg, const struct request *r)
{
	struct collected *all = arg;

	all->request[all->n++] = r;
}

bool put_queued(struct sched *s, const struct replay_options *opt, struct replay_totals *totals)
{
	size_t queued = sched_counts(s).queued;
	struct collected all = { .n = 0 };
	const struct sched_model *m;

	totals->queued += queued;
	if (opt->quiet || queued == 0)
		return true;
	all.request = calloc(queued, sizeof(const struct request *));
	if (!all.request)
		return false;
	TAILQ_FOREACH (m, sched_models(s), link)
		queue_each(&m->queue, collect, &all);
	qsort(all.request, all.n, sizeof(const struct request *), by_arrival);
	for (size_t i = 0; i < all.n; i++) {
		fputs("{\"id\":", stdout);
		put_string(slice_of(all.request[i]->id));
		put_member("verdict", slice_of("queued"));
		fputs("}\n", stdout);
	}
	free(all.request);
	return true;
}

void put_totals(const struct replay_totals *t, double cpu_seconds)
{
	uint64_t decisions = 0;

	for (size_t i = 0; i < SLO_VERDICTS; i++)
		decisions += t->verdicts[i];
	printf("{\"decisions\":%llu,\"routed\":%llu,\"fallback\":%llu,\"rejected\":%llu,"
	       "\"passed\":%llu,\"queued\":%llu,\"cpu_s\":%.6f,\"decisions_per_s\":%.0f}\n",
	       (unsigned long long)decisions, (unsigned long long)t->verdicts[SLO_ROUTE],
	       (unsigned long long)t->verdicts[SLO_FALLBACK],
	       (unsigned long long)t->verdicts[SLO_REJECT],
	       (unsigned long long)t->verdicts[SLO_PASS], (unsigned long long)t->queued,
	       cpu_seconds, cpu_seconds > 0 ? (double)decisions / cpu_seconds : 0);
}
