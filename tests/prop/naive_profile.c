/* naive_profile.c - see naive_profile.h. */
#include "naive_profile.h"

#include <math.h>

#define ONE      (UINT64_C(1) << 32)
#define HEAVIEST (4096 * ONE)

static void copy_table(double *to, const double *from, size_t cells)
{
	for (size_t i = 0; i < cells; i++)
		to[i] = from == NULL ? (double)NAN : from[i];
}

void naive_profile_copy(struct naive_profile *p, const struct slo_profile_doc *doc)
{
	size_t cells = doc->rows * doc->cols;

	p->known = true;
	p->created = doc->created;
	p->rows = doc->rows;
	p->cols = doc->cols;
	copy_table(p->output_axis, doc->output_axis, doc->rows);
	copy_table(p->input_axis, doc->input_axis, doc->cols);
	copy_table(p->tput, doc->tputs, cells);
	copy_table(p->e2e, doc->e2e, cells);
	copy_table(p->ttft, doc->ttft, cells);
	p->slo_e2e = doc->slo_e2e;
	p->slo_ttft = doc->slo_ttft;
	p->slo_tpot = doc->slo_tpot;
	p->slo_tpat = doc->slo_tpat;
}

static size_t nearest(const double *axis, size_t count, int64_t t)
{
	long double x = (long double)t;

	if (x <= axis[0])
		return 0;
	for (size_t i = 0; i + 1 < count; i++)
		if (x < axis[i + 1])
			return x * x >= (long double)axis[i] * axis[i + 1] ? i + 1 : i;
	return count - 1;
}

static size_t cell_of(const struct naive_profile *p, const struct naive_request *r)
{
	return nearest(p->output_axis, p->rows, r->output) * p->cols +
	       nearest(p->input_axis, p->cols, r->input);
}

static slo_nsec nsec(long double seconds)
{
	return (slo_nsec)llroundl(seconds * 1e9L);
}

bool naive_profile_target(const struct naive_profile *p, const struct naive_request *r)
{
	bool own = r->own.tpot > 0 || r->own.ttft > 0 || r->own.e2e > 0;

	return p->known &&
	       (own || p->slo_tpot > 0 || p->slo_ttft > 0 || p->slo_tpat > 0 || p->slo_e2e > 0);
}

slo_nsec naive_profile_span(const struct naive_profile *p, const struct naive_request *r,
                            bool *ttft_only)
{
	bool own = r->own.tpot > 0 || r->own.ttft > 0 || r->own.e2e > 0;
	long double tpot = own ? (long double)r->own.tpot / 1e9L : p->slo_tpot;
	long double ttft = own ? (long double)r->own.ttft / 1e9L : p->slo_ttft;
	long double e2e = own ? (long double)r->own.e2e / 1e9L : p->slo_e2e;

	*ttft_only = !(tpot > 0) && ttft > 0;
	if (tpot > 0)
		return nsec(tpot * (long double)r->output + ttft);
	if (ttft > 0)
		return nsec(ttft);
	if (!own && p->slo_tpat > 0)
		return nsec((long double)p->slo_tpat * (long double)(r->input + r->output));
	return nsec(e2e);
}

bool naive_profile_start(const struct naive_profile *p, const struct naive_request *r,
                         slo_nsec *start)
{
	bool own = r->own.tpot > 0 || r->own.ttft > 0 || r->own.e2e > 0;
	long double tpot = own ? (long double)r->own.tpot / 1e9L : p->slo_tpot;
	long double ttft = own ? (long double)r->own.ttft / 1e9L : p->slo_ttft;
	long double e2e = own ? (long double)r->own.e2e / 1e9L : p->slo_e2e;
	long double tpat = own ? 0 : p->slo_tpat;
	long double target;
	double expected;

	if (!naive_profile_target(p, r))
		return false;
	expected = p->e2e[cell_of(p, r)];
	if (tpot > 0) {
		target = tpot * (long double)r->output + ttft;
	} else if (ttft > 0) {
		target = ttft;
		expected = p->ttft[cell_of(p, r)];
	} else if (tpat > 0) {
		target = tpat * (long double)(r->input + r->output);
	} else {
		target = e2e;
	}
	if (isnan(expected))
		return false;
	*start = r->created + nsec(target) - nsec(expected);
	return true;
}

bool naive_profile_zero(const struct naive_profile *p, const struct naive_request *r)
{
	return p->known && p->tput[cell_of(p, r)] <= 0;
}

uint64_t naive_profile_load(const struct naive_profile *p, const struct naive_request *r)
{
	double held;
	size_t cell;

	if (!p->known)
		return 0;
	cell = cell_of(p, r);
	if (p->tput[cell] <= 0 || isnan(p->e2e[cell]) || p->e2e[cell] <= 0)
		return 0;
	held = p->tput[cell] * p->e2e[cell];
	if (held * 4096 <= 1)
		return HEAVIEST;
	return (uint64_t)floor((double)ONE / held);
}
