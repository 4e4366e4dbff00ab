/* /decisions: what was decided lately, the last one first, a slice at a time. */
#include "io/base/clock.h"
#include "io/http/decision_json.h"
#include "render_private.h"

static void write_one(struct page *p, const struct decision *d)
{
	struct agent *a = p->sources->decides;
	json_t *o = decision_json(a, d, clock_nsec(), clock_unix_seconds(), p->query->detailed);

	if (p->written++ > 0)
		fputc(',', p->f);
	p->failed |= !o || json_dumpf(o, p->f, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0;
	json_decref(o);
}

/* One that waits was not decided yet, so it is not in the ring. */
static void write_waiting(struct page *p)
{
	struct agent *a = p->sources->decides;
	const struct request *r = sched_find(a->sched, p->query->id, strlen(p->query->id));
	struct decision d;

	if (!r || (r->state != REQUEST_QUEUED && r->state != REQUEST_READY))
		return;
	decision_of_waiting(a, clock_nsec(), r, &d);
	if (decision_query_matches(p->query, &d))
		write_one(p, &d);
}

static void open_decisions(struct page *p)
{
	fprintf(p->f, "{\"kept\":%zu,\"decisions\":[", p->agent->decisions.kept);
	p->cursor = p->agent->decisions.next;
	p->written = 0;
}

static void write_id(struct page *p)
{
	const struct decision *d = decisions_find(p->agent, slice_of(p->query->id));

	write_waiting(p);
	if (d && decision_query_matches(p->query, d))
		write_one(p, d);
}

static bool some_decisions(struct page *p, slo_nsec until)
{
	const struct decisions *ring = &p->agent->decisions;

	if (p->query->id[0]) {
		write_id(p);
		return true;
	}
	while (p->cursor > 1 && p->written < p->query->limit) {
		const struct decision *d = decisions_at(ring, --p->cursor);

		if (!d)
			return true;
		if (decision_query_matches(p->query, d))
			write_one(p, d);
		if (p->cursor % 16 == 0 && clock_nsec() >= until)
			return false;
	}
	return true;
}

static void close_decisions(struct page *p)
{
	fputs("]}", p->f);
}

const struct render_part render_decisions_parts[] = {
	{ .once = open_decisions },
	{ .some = some_decisions },
	{ .once = close_decisions },
	{ .name = NULL },
};
