#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_private.h"
#include "core/sizes.h"
#include "wire/profdoc.h"

#define TAIL_LEAST 20 /* requests: fewer have no 99th percentile */

void bench_init(struct bench_series *s)
{
	memset(s, 0, sizeof(*s));
}

void bench_free(struct bench_series *s)
{
	free(s->point);
	profdoc_free(s->profile);
	memset(s, 0, sizeof(*s));
}

void bench_note(struct bench_series *s, const char *format, ...)
{
	char *note;
	va_list args;

	if (s->notes == BENCH_NOTES_MAX)
		return;
	note = s->note[s->notes];
	va_start(args, format);
	vsnprintf(note, sizeof(s->note[0]), format, args);
	va_end(args);
	for (size_t i = 0; i < s->notes; i++)
		if (strcmp(s->note[i], note) == 0)
			return;
	s->notes++;
}

bool bench_add(struct reader *r, struct bench_series *s, const struct bench_point *p)
{
	struct bench_point *more;
	size_t room = s->room ? 2 * s->room : 64;

	if (r->failed)
		return false;
	if (s->count == BENCH_POINTS_MAX) {
		struct node root = reader_root(r);

		reader_fail(r, &root, JSONPOS_VALUE, "has more than %d runs", BENCH_POINTS_MAX);
		return false;
	}
	if (s->count == s->room) {
		more = reallocarray(s->point, room, sizeof(*more));
		if (!more) {
			reader_no_memory(r);
			return false;
		}
		s->point = more;
		s->room = room;
	}
	s->point[s->count++] = *p;
	return true;
}

bool bench_add_run(struct reader *r, struct bench_series *s, const struct bench_run *run)
{
	double input = fmax(run->input, 1), output = fmax(run->output, 1);
	double flight = run->rate * run->e2e; /* Little's law: exact over the whole run */
	struct node root = reader_root(r);

	if (fmax(input, output) > BENCH_TOKENS_MAX)
		reader_fail(r, &root, JSONPOS_VALUE,
		            "has %g tokens in a request, must have at most %g", fmax(input, output),
		            BENCH_TOKENS_MAX);

	return bench_add(r, s,
	                 &(struct bench_point){ .input = input,
	                                        .output = output,
	                                        .e2e = run->e2e,
	                                        .ttft = run->ttft,
	                                        .loaded = true,
	                                        .tail = run->tail,
	                                        .requests = fmax(run->requests, 1),
	                                        .rate = run->rate,
	                                        .flight = flight,
	                                        .prompts = run->rate * input,
	                                        .held = flight * (input + output / 2) });
}

/* Sizes that are the same in octaves have the same number. */
static unsigned size_of(const struct bench_request *q)
{
	return log2_round((int64_t)q->output) << 8 | log2_round((int64_t)q->input);
}

static int by_size(const void *a, const void *b)
{
	const struct bench_request *x = a, *y = b;
	unsigned sx = size_of(x), sy = size_of(y);

	return sx != sy ? (sx > sy) - (sx < sy) : (x->e2e > y->e2e) - (x->e2e < y->e2e);
}

/* The means of requests of one size, in order of e2e. */
static void mean_of(const struct bench_request *q, size_t n, struct bench_point *out)
{
	double streams = 0;

	out->ttft = 0;
	for (size_t i = 0; i < n; i++) {
		out->input += fmax(q[i].input, 1) / (double)n;
		out->output += fmax(q[i].output, 1) / (double)n;
		out->e2e += q[i].e2e / (double)n;
		if (!isnan(q[i].ttft)) {
			out->ttft += q[i].ttft;
			streams++;
		}
	}
	out->ttft = streams > 0 ? out->ttft / streams : NAN;
	out->tail = n >= TAIL_LEAST ? q[n - 1 - n / 100].e2e / out->e2e : NAN;
	out->requests = (double)n;
}

bool bench_add_requests(struct reader *r, struct bench_series *s, struct bench_request *request,
                        size_t count, double seconds)
{
	struct bench_point run = { .loaded = true, .rate = (double)count / seconds };

	qsort(request, count, sizeof(*request), by_size);
	for (size_t i = 0; i < count; i++) {
		const struct bench_request *q = &request[i];

		run.flight += q->e2e / seconds;
		run.prompts += q->input / seconds;
		run.held += q->e2e * (q->input + q->output / 2) / seconds;
	}
	for (size_t from = 0, to; from < count; from = to) {
		struct bench_point p = run;

		for (to = from + 1; to < count && size_of(&request[to]) == size_of(&request[from]);)
			to++;
		mean_of(request + from, to - from, &p);
		p.ttft = bench_ttft(s, p.ttft, p.e2e);
		if (!bench_add(r, s, &p))
			return false;
	}
	return true;
}

double bench_need(struct reader *r, const struct node *object, const char *key, double least,
                  double most)
{
	struct node n = node_member(object, key);
	double v = 0;

	(void)reader_want_number(r, &n, least, most, &v);
	return v;
}

double bench_may(struct reader *r, const struct node *object, const char *key, double least,
                 double most)
{
	struct node n = node_not_null(node_member(object, key));
	double v = NAN;

	if (n.value)
		(void)reader_want_number(r, &n, least, most, &v);
	return v;
}

double bench_ttft(struct bench_series *s, double ttft, double e2e)
{
	if (isnan(ttft) || (ttft > 1e-4 && ttft <= e2e * 1.001))
		return ttft;
	bench_note(s,
	           "a time to the first token of %g s beside an answer of %g s was not "
	           "measured on a stream; it is left out",
	           ttft, e2e);
	return NAN;
}
