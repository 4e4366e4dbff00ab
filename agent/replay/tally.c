/* The load of a server is summed over time: at each change the load before it counts for the time
 * that it lasted, so a mean needs no samples. */
#include "tally.h"

#include <stdlib.h>

#define NSEC 1e9

void tally_fini(struct tally *t)
{
	struct tally_server *s = t->servers, *next;

	HASH_CLEAR(hh, t->servers);
	for (; s; s = next) {
		next = s->hh.next;
		free(s);
	}
	free(t->waits);
}

bool tally_decision(struct tally *t, enum slo_verdict verdict, enum slo_reason reason, bool placed,
                    slo_nsec waited)
{
	size_t cap = t->wait_cap ? 2 * t->wait_cap : 1024;
	slo_nsec *grown;

	t->verdicts[verdict]++;
	t->reasons[verdict][reason]++;
	if (!placed)
		return true;
	if (t->wait_n == t->wait_cap) {
		grown = reallocarray(t->waits, cap, sizeof(*grown));
		if (!grown)
			return false;
		t->waits = grown;
		t->wait_cap = cap;
	}
	t->waits[t->wait_n++] = waited;
	return true;
}

/* The load until now counts; from now on it is what the ledger says. */
static void account(struct tally_server *s, slo_nsec now)
{
	if (now > s->since)
		s->sum += load_to_double(s->load) * (double)(now - s->since) / NSEC;
	s->since = now;
	s->load = fleet_load(s->server);
	if (s->load > s->peak)
		s->peak = s->load;
}

bool tally_load(struct tally *t, slo_nsec now, const struct server *server)
{
	struct tally_server *s;

	HASH_FIND(hh, t->servers, &server->number, sizeof(server->number), s);
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return false;
		s->number = server->number;
		s->server = server;
		s->since = now;
		HASH_ADD(hh, t->servers, number, sizeof(s->number), s);
		if (!s->hh.tbl) {
			free(s);
			return false;
		}
	}
	account(s, now);
	return true;
}

void tally_loads(struct tally *t, slo_nsec now)
{
	for (struct tally_server *s = t->servers; s; s = s->hh.next)
		account(s, now);
	t->now = now;
}

/* printing */

static int ascending(const void *a, const void *b)
{
	slo_nsec x = *(const slo_nsec *)a, y = *(const slo_nsec *)b;

	return (x > y) - (x < y);
}

static double mean_wait(const struct tally *t)
{
	double sum = 0;

	for (size_t i = 0; i < t->wait_n; i++)
		sum += (double)t->waits[i];
	return t->wait_n ? sum / (double)t->wait_n / NSEC : 0;
}

/* Nearest rank, of sorted waits. */
static double wait_at(const struct tally *t, size_t percent)
{
	size_t rank = (t->wait_n * percent + 99) / 100;

	return t->wait_n ? (double)t->waits[rank ? rank - 1 : 0] / NSEC : 0;
}

static void count_row(const char *name, const char *detail, uint64_t a, uint64_t b)
{
	char label[64];

	snprintf(label, sizeof(label), "%s%s%s", name, detail[0] ? " " : "", detail);
	printf("%-28s %16llu %16llu\n", label, (unsigned long long)a, (unsigned long long)b);
}

static void seconds_row(const char *name, double a, double b)
{
	printf("%-28s %16.6f %16.6f\n", name, a, b);
}

static void counts(const struct tally *a, const struct tally *b)
{
	for (int v = 0; v < SLO_VERDICTS; v++) {
		const char *name = sched_verdict_name((enum slo_verdict)v);

		count_row(name, "", a->verdicts[v], b->verdicts[v]);
		for (int r = 0; r < SLO_REASONS && v != SLO_ROUTE; r++)
			if (a->reasons[v][r] + b->reasons[v][r] > 0)
				count_row(" ", sched_reason_name((enum slo_reason)r),
				          a->reasons[v][r], b->reasons[v][r]);
	}
	count_row("waiting at the end", "", a->queued, b->queued);
}

static int by_name(struct tally_server *a, struct tally_server *b)
{
	int order = strcmp(a->server->name, b->server->name);

	return order ? order : (a->number > b->number) - (a->number < b->number);
}

static double mean_load(const struct tally *t, const struct tally_server *s)
{
	return t->now > t->begin ? s->sum * NSEC / (double)(t->now - t->begin) : 0;
}

static void loads(struct tally *a, const struct tally *b)
{
	printf("\n%-28s %10s %10s %10s %10s\n", "load of server", "mean", "peak", "mean", "peak");
	HASH_SORT(a->servers, by_name);
	for (struct tally_server *s = a->servers; s; s = s->hh.next) {
		struct tally_server *other;

		HASH_FIND(hh, b->servers, &s->number, sizeof(s->number), other);
		printf("%-28s %10.4f %10.4f", s->server->name, mean_load(a, s),
		       load_to_double(s->peak));
		if (other)
			printf(" %10.4f %10.4f", mean_load(b, other), load_to_double(other->peak));
		putchar('\n');
	}
}

void tally_print(const char *title, struct tally *recorded, struct tally *other, const char *name)
{
	if (recorded->wait_n > 0)
		qsort(recorded->waits, recorded->wait_n, sizeof(slo_nsec), ascending);
	if (other->wait_n > 0)
		qsort(other->waits, other->wait_n, sizeof(slo_nsec), ascending);
	printf("%s: %.3f s\n\n", title, (double)(recorded->now - recorded->begin) / NSEC);
	printf("%-28s %16s %16s\n", "decisions", "recorded", name);
	counts(recorded, other);
	printf("\n%-28s %16s %16s\n", "wait until dispatch, s", "recorded", name);
	seconds_row("mean", mean_wait(recorded), mean_wait(other));
	seconds_row("P50", wait_at(recorded, 50), wait_at(other, 50));
	seconds_row("P99", wait_at(recorded, 99), wait_at(other, 99));
	loads(recorded, other);
}
