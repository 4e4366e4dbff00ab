/* /state.json: a model's servers in sum, and those of them that a query asks for. A model's servers
 * are looked over in one turn of the loop, 10,000 of them in 1.6 to 2.5 ms; only those that are
 * wanted are written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "render_private.h"

#define BINS 11 /* of loads: tenths of a server, and what is full or more */

/* The sum */

struct sum {
	size_t servers, usable, aside, bin[BINS], state[SLO_SERVER_STATES];
	double load, inflight, tokens;
};

static void add_seat(struct sum *sum, slo_nsec now, const struct seat *seat)
{
	const struct server *s = seat->server;
	const struct roster_server *known = roster_server(s);
	double load = load_to_double(fleet_load(s));

	sum->servers++;
	sum->inflight += s->ledger.inflight;
	sum->tokens += rate_now(&known->stats.token_rate, now);
	sum->state[known->state]++;
	if (!failing_may_serve(known))
		sum->aside++;
	if (!s->usable)
		return;
	sum->usable++;
	sum->load += load;
	sum->bin[load >= 1 ? BINS - 1 : (size_t)(load * 10)]++;
}

json_t *render_fleet_state(const struct agent_model *m, slo_nsec now)
{
	const struct pool *pool = &m->sched->pool;
	json_t *states = json_object(), *bins = json_array();
	struct sum sum = { .servers = 0 };

	for (size_t i = 0; i < pool->deployments; i++)
		for (const struct seat *s = pool->deployment[i]->seats; s; s = s->next)
			add_seat(&sum, now, s);
	for (int i = 0; i < SLO_SERVER_STATES; i++)
		json_object_set_new(states, roster_state_name((enum slo_server_state)i),
		                    json_integer((json_int_t)sum.state[i]));
	for (int i = 0; i < BINS; i++)
		json_array_append_new(bins, json_integer((json_int_t)sum.bin[i]));
	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o}", "servers",
	                 (json_int_t)sum.servers, "usable", (json_int_t)sum.usable, "set_aside",
	                 (json_int_t)sum.aside, "inflight", sum.inflight, "load",
	                 sum.usable ? sum.load / (double)sum.usable : 0, "tokens_per_second",
	                 sum.tokens, "states", states, "loads", bins);
}

#define GRADES_SHOWN 16

/* Who waits, by priority; the highest ones. */
static json_t *grades_state(const struct grades *g, slo_nsec now)
{
	const struct grade *grade = grades_below(g, NULL);
	json_t *list = json_array();

	for (int i = 0; grade && i < GRADES_SHOWN; i++) {
		const struct request *first = TAILQ_FIRST(&grade->waiting);

		json_array_append_new(
		    list, json_pack("{s:i, s:I, s:f}", "priority", grade->priority, "length",
		                    (json_int_t)grade->count, "oldest_waits_seconds",
		                    (double)(now - first->since) / 1e9));
		grade = grades_below(g, grade);
	}
	return list;
}

/* The queue; the first head is the most urgent of all that are not late, if there is such. */
json_t *render_queue_state(const struct queue *q, slo_nsec now)
{
	const struct request *r = q->heads > 0 ? q->head[0].bucket->first : NULL;
	json_t *urgent = json_null();

	if (r) {
		slo_nsec start = q->head[0].start;
		bool known = start > INT64_MIN && start < SLO_NEVER;
		json_t *id = json_stringn(r->id, r->id_len);

		urgent = json_pack("{s:o, s:i, s:f, s:o}", "id", id ? id : json_null(), "priority",
		                   r->priority, "waits_seconds", (double)(now - r->since) / 1e9,
		                   "slack_seconds",
		                   known ? json_real((double)(start - now) / 1e9) : json_null());
	}
	return json_pack("{s:I, s:I, s:o, s:o}", "length", (json_int_t)q->length, "sizes",
	                 (json_int_t)q->heads, "urgent", urgent, "priorities",
	                 grades_state(&q->grades, now));
}

/* A part of the servers */

struct render_choice {
	const struct seat *seat;
	double key; /* the largest first */
};

static int compare(const void *x, const void *y)
{
	const struct render_choice *a = x, *b = y;

	if (a->key > b->key || a->key < b->key)
		return a->key > b->key ? -1 : 1;
	return a->seat->order < b->seat->order ? -1 : a->seat->order > b->seat->order;
}

static double trouble(const struct seat *seat)
{
	const struct roster_server *known = roster_server(seat->server);

	return 4 * !seat->server->usable + 2 * !failing_may_serve(known) +
	       (seat->server->surplus_count > 0 || seat->server->view.drift != 0);
}

static double key_of(const struct agent_model *m, slo_nsec now, const struct seat *seat,
                     enum render_order order)
{
	const struct roster_server *known = roster_server(seat->server);
	const struct served *served = roster_served(known, m);

	switch (order) {
	case RENDER_BY_LOAD:
		return load_to_double(fleet_load(seat->server));
	case RENDER_BY_INFLIGHT:
		return seat->server->ledger.inflight;
	case RENDER_BY_TOKENS:
		return rate_now(&known->stats.token_rate, now);
	case RENDER_BY_MISSED:
		return served ? (double)attain_sum(&served->promises, now, ATTAIN_5_MINUTES)
		                    .count[PROMISE_MISSED]
		              : 0;
	case RENDER_BY_LATE:
		return seat->speed.ends > 0 ? exp(seat->speed.late) : 0;
	case RENDER_BY_TROUBLE:
		return trouble(seat);
	case RENDER_CONFIGURED:
		break;
	}
	return 0;
}

static bool matches(const struct seat *seat, const char *text)
{
	return strstr(seat->server->name, text) ||
	       strcmp(roster_state_name(roster_server(seat->server)->state), text) == 0;
}

/* The servers that the query selects, in its order; for free(). NULL: none, or no memory. */
static struct render_choice *choose(const struct page *p, const struct agent_model *m,
                                    size_t *count)
{
	const struct pool *pool = &m->sched->pool;
	struct render_choice *list = calloc(pool->seats > 0 ? pool->seats : 1, sizeof(*list));
	slo_nsec now = clock_nsec();

	*count = 0;
	for (size_t i = 0; list && i < pool->deployments; i++)
		for (const struct seat *s = pool->deployment[i]->seats; s; s = s->next)
			if (matches(s, p->cut->match))
				list[(*count)++] =
				    (struct render_choice){ s, key_of(m, now, s, p->cut->order) };
	if (list && *count > 1)
		qsort(list, *count, sizeof(*list), compare);
	return list;
}

/* Readers of JSON may order members by their names. */
static void write_chosen(struct page *p, const struct agent_model *m, const struct seat *seat,
                         size_t position, const char *comma)
{
	json_t *state = render_server_state(m, seat);

	json_object_set_new(state, "position", json_integer((json_int_t)position));
	render_member(p, comma, seat->server->name, state);
}

bool render_chosen_servers(struct page *p, const struct agent_model *m, slo_nsec until)
{
	size_t limit = render_cut_limit(p->cut), end;

	if (!p->choice) {
		p->choice = choose(p, m, &p->chosen);
		p->cursor = p->cut->from;
		p->failed |= !p->choice;
		fputs("\"servers\":{", p->f);
	}
	end = p->cut->from < p->chosen ? p->chosen - p->cut->from : 0;
	end = p->cut->from + (end < limit ? end : limit);
	for (; p->choice && p->cursor < end; p->cursor++) {
		if (clock_nsec() >= until)
			return false;
		write_chosen(p, m, p->choice[p->cursor].seat, p->cursor,
		             p->cursor > p->cut->from ? "," : "");
	}
	fprintf(p->f, "},\"matched\":%zu}", p->chosen);
	free(p->choice);
	p->choice = NULL;
	return true;
}
