/* naive_profile.h - what one profile says about one request, read straight from its tables. */
#ifndef NAIVE_PROFILE_H
#define NAIVE_PROFILE_H

#include "naive.h"

struct naive_profile {
	bool known; /* there is one */
	double created;
	size_t rows, cols;
	double output_axis[NAIVE_AXIS], input_axis[NAIVE_AXIS];
	double tput[NAIVE_AXIS * NAIVE_AXIS];
	double e2e[NAIVE_AXIS * NAIVE_AXIS]; /* NAN: no data */
	double ttft[NAIVE_AXIS * NAIVE_AXIS];
	double slo_e2e, slo_ttft, slo_tpot, slo_tpat;
};

void naive_profile_copy(struct naive_profile *p, const struct slo_profile_doc *doc);
/* Whether the request is measured against anything here. */
bool naive_profile_target(const struct naive_profile *p, const struct naive_request *r);
/* The moment at which its rank passes 0. False: no target, or nothing to hold against it. */
bool naive_profile_start(const struct naive_profile *p, const struct naive_request *r,
                         slo_nsec *start);
/* The time that its target allows; whether that is a target for the first token. */
slo_nsec naive_profile_span(const struct naive_profile *p, const struct naive_request *r,
                            bool *ttft_only);
/* Whether the target cannot be met. */
bool naive_profile_zero(const struct naive_profile *p, const struct naive_request *r);
/* What it weighs, in 1/2^32 of a server; 0 when the profile cannot tell. */
uint64_t naive_profile_load(const struct naive_profile *p, const struct naive_request *r);

#endif
