/* A render remembers where it is by numbers: the part, the model, the deployment and the seat in
 * it. Pointers would not last: between two slices a server may come or leave, and a reload may
 * replace all of them. When seats shift, one server may be left out of one family once, but none is
 * written twice, since new seats stand behind the old ones. A reload can change every number, so
 * the text is begun anew. */
#include "io/http/render.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "render_private.h"

#define PIECE ((size_t)64 << 10) /* bytes */

struct render {
	struct page page;
	const struct render_part *first, *part;
	struct render_want want;
	void *arg;
	uint64_t arranged, left; /* the roster's, when the text was begun */
	size_t deployment;       /* of the model at page.model */
	size_t in_deployment;
	bool in_part;  /* its head is written */
	bool in_model; /* likewise */
	struct render_text *text;
};

/* The text */

void render_text_free(struct render_text *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free((void *)(uintptr_t)t->piece[i].p);
	free(t->piece);
	free(t);
}

static bool add_piece(struct render_text *t)
{
	size_t cap = t->cap ? 2 * t->cap : 16;
	struct slice *grown;

	if (!t->piece || t->count == t->cap) {
		grown = realloc(t->piece, cap * sizeof(*grown));
		if (!grown)
			return false;
		t->piece = grown;
		t->cap = cap;
	}
	t->piece[t->count] = (struct slice){ malloc(PIECE), 0 };
	if (!t->piece[t->count].p)
		return false;
	t->count++;
	return true;
}

/* As fopencookie() wants it: 0 says that there is no memory. */
static ssize_t append(void *cookie, const char *data, size_t len)
{
	struct render_text *t = cookie;
	size_t done = 0;

	while (done < len) {
		struct slice *last = t->count > 0 ? &t->piece[t->count - 1] : NULL;
		size_t n;

		if (!last || last->len == PIECE) {
			if (!add_piece(t))
				return 0;
			continue;
		}
		n = len - done < PIECE - last->len ? len - done : PIECE - last->len;
		memcpy((char *)(uintptr_t)last->p + last->len, data + done, n);
		last->len += n;
		done += n;
	}
	return (ssize_t)len;
}

static FILE *text_open(struct render_text *t)
{
	static const cookie_io_functions_t functions = { .write = append };
	FILE *f = t ? fopencookie(t, "w", functions) : NULL;

	if (f)
		(void)setvbuf(f, NULL, _IOFBF, PIECE / 4);
	return f;
}

/* Metrics */

void render_label(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=\"", name);
	for (const char *p = value; *p; p++) {
		if (*p == '\\' || *p == '"')
			fputc('\\', f);
		if (*p == '\n')
			fputs("\\n", f);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}

void render_family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP slo_spoa_%s %s\n# TYPE slo_spoa_%s %s\n", name, help, name, type);
}

void render_simple(FILE *f, const char *name, const char *type, const char *help, double value)
{
	render_family(f, name, type, help);
	fprintf(f, "slo_spoa_%s %.17g\n", name, value);
}

/* The walk */

static void close_text(struct render *r)
{
	if (r->page.f && fclose(r->page.f) != 0)
		r->page.failed = true;
	r->page.f = NULL;
}

static void begin(struct render *r)
{
	const struct http_sources *s = r->page.sources;

	close_text(r);
	free(r->page.choice);
	render_text_free(r->text);
	r->text = calloc(1, sizeof(*r->text));
	r->page = (struct page){ .sources = s,
		                 .agent = s->agent,
		                 .f = text_open(r->text),
		                 .cut = &r->want.cut,
		                 .query = &r->want.decisions,
		                 .arg = r->arg };
	r->page.failed = !r->page.f;
	r->part = r->first;
	r->arranged = s->agent->roster.arranged;
	r->left = s->agent->roster.left;
	r->deployment = r->in_deployment = 0;
	r->in_part = r->in_model = false;
}

static bool is_last(const struct render_part *p)
{
	return !p->once && !p->model && !p->seat && !p->some;
}

/* The seat where the render stands, or the next one of the model; NULL: the model has no more. */
static const struct seat *seat_at(struct render *r, const struct pool *pool)
{
	for (; r->deployment < pool->deployments; r->deployment++, r->in_deployment = 0) {
		const struct seat *seat = pool->deployment[r->deployment]->seats;

		for (size_t i = 0; seat && i < r->in_deployment; i++)
			seat = seat->next;
		if (seat)
			return seat;
	}
	return NULL;
}

/* As many seats of the model as there is time for. True: it has no more. */
static bool write_seats(struct render *r, const struct agent_model *m, slo_nsec until)
{
	const struct seat *seat = seat_at(r, &m->sched->pool);

	while (seat) {
		r->part->seat(&r->page, m, seat);
		r->page.seat++;
		r->in_deployment++;
		seat = seat->next ? seat->next : seat_at(r, &m->sched->pool);
		if (clock_nsec() >= until)
			return false;
	}
	return true;
}

/* Goes on with one model. True: it is written. */
static bool write_model(struct render *r, slo_nsec until)
{
	struct agent_model *m = r->page.agent->models[r->page.model];

	if (!r->in_model) {
		model_stats_settle(&m->stats);
		if (r->part->model)
			r->part->model(&r->page, m);
		r->in_model = true;
		r->deployment = r->in_deployment = r->page.seat = 0;
	}
	if (r->part->model_more && !r->part->model_more(&r->page, m, until))
		return false;
	if (r->part->seat && !write_seats(r, m, until))
		return false;
	if (r->part->model_end)
		r->part->model_end(&r->page, m);
	r->in_model = false;
	r->page.model++;
	return true;
}

/* Goes on with one part, by a model or less. */
static void write_part(struct render *r, slo_nsec until)
{
	const struct render_part *p = r->part;

	if (!r->in_part) {
		if (p->name)
			render_family(r->page.f, p->name, p->type, p->help);
		if (p->once)
			p->once(&r->page);
		r->in_part = true;
		r->page.model = 0;
	}
	if (p->some && !p->some(&r->page, until))
		return;
	if ((p->model || p->seat) && r->page.model < r->page.agent->model_count) {
		(void)write_model(r, until);
		return;
	}
	r->in_part = false;
	r->part++;
}

/* Whether the text is of a fleet that is no more. Seats that were chosen may be gone with their
 * server. */
static bool is_stale(const struct render *r)
{
	const struct roster *now = &r->page.agent->roster;

	return r->arranged != now->arranged || (r->page.choice && r->left != now->left);
}

bool render_run(struct render *r, slo_nsec slice)
{
	slo_nsec until = clock_nsec() + slice;

	if (is_stale(r))
		begin(r);
	while (!r->page.failed && !is_last(r->part)) {
		write_part(r, until);
		if (clock_nsec() >= until)
			break;
	}
	if (!r->page.failed && !is_last(r->part))
		return false;
	close_text(r);
	return true;
}

/* Life */

bool render_want_same(const struct render_want *a, const struct render_want *b)
{
	return a->page == b->page && render_cut_same(&a->cut, &b->cut) &&
	       decision_query_same(&a->decisions, &b->decisions);
}

static const struct render_part *parts_of(const struct render_want *want)
{
	switch (want->page) {
	case RENDER_METRICS:
		return render_metrics_parts;
	case RENDER_DECISIONS:
		return render_decisions_parts;
	default:
		return want->cut.given ? render_cut_parts : render_state_parts;
	}
}

static struct render *make(const struct http_sources *sources, const struct render_part *parts)
{
	struct render *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->page.sources = sources;
	r->first = parts;
	return r;
}

struct render *render_new(const struct http_sources *sources, const struct render_want *want)
{
	struct render *r = make(sources, parts_of(want));

	if (!r)
		return NULL;
	r->want = *want;
	begin(r);
	return r;
}

struct render *render_parts_new(const struct http_sources *sources, const struct render_part *parts,
                                void *arg)
{
	struct render *r = make(sources, parts);

	if (!r)
		return NULL;
	r->arg = arg;
	begin(r);
	return r;
}

struct render_text *render_take(struct render *r)
{
	struct render_text *text = r->text;

	if (r->page.failed)
		return NULL;
	r->text = NULL;
	return text;
}

void render_free(struct render *r)
{
	if (!r)
		return;
	free(r->page.choice);
	close_text(r);
	render_text_free(r->text);
	free(r);
}
