/* core_build.h - profiles and seated servers for tests of the core. After cmocka.h. */
#ifndef SLO_TESTS_CORE_BUILD_H
#define SLO_TESTS_CORE_BUILD_H

#include <math.h>

#include "core/fleet.h"
#include "core/profile.h"
#include "slo_profile.h"

#define SEC(n)  ((slo_nsec)((n)*1e9))
#define MSEC(n) ((slo_nsec)((n)*1000000))

/* One cell for every size. */
struct one_cell {
	double tput, e2e, ttft; /* 0 for e2e or ttft: the profile has no such table */
	double slo_e2e, slo_ttft, slo_tpot, slo_tpat;
	double created;
};

static inline struct profile *profile_of(const struct one_cell *c)
{
	double axis = 64, tput = c->tput, e2e = c->e2e, ttft = c->ttft;
	const struct slo_profile_doc doc = {
		.rows = 1,
		.cols = 1,
		.output_axis = &axis,
		.input_axis = &axis,
		.tputs = &tput,
		.e2e = e2e > 0 || isnan(e2e) ? &e2e : NULL,
		.ttft = ttft > 0 || isnan(ttft) ? &ttft : NULL,
		.created = c->created,
		.slo_e2e = c->slo_e2e,
		.slo_ttft = c->slo_ttft,
		.slo_tpot = c->slo_tpot,
		.slo_tpat = c->slo_tpat,
	};
	struct profile *p = profile_new(&doc);

	assert_non_null(p);
	return p;
}

/* Cells by input size only: `n` indexes, e2e 1 s, e2e target `slo` seconds (0: none). */
static inline struct profile *profile_by_input(size_t n, const double *inputs, const double *tputs,
                                               double slo)
{
	double output = 64, *e2e = calloc(n, sizeof(*e2e));
	struct slo_profile_doc doc = {
		.rows = 1,
		.cols = n,
		.output_axis = &output,
		.input_axis = (double *)inputs,
		.tputs = (double *)tputs,
		.e2e = e2e,
		.created = 1,
		.slo_e2e = slo,
	};
	struct profile *p;

	assert_non_null(e2e);
	for (size_t i = 0; i < n; i++)
		e2e[i] = 1;
	p = profile_new(&doc);
	assert_non_null(p);
	free(e2e);
	return p;
}

#endif
