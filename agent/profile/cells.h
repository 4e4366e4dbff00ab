/* cells.h - a profile from a fit: the cells within an octave of what was measured. Pure. */
#ifndef SLO_PROFILE_CELLS_H
#define SLO_PROFILE_CELLS_H

#include <stdio.h>

#include "core/profile.h"
#include "fit.h"

struct cells_count {
	size_t measured; /* cells with a point */
	size_t kept;     /* of these: as the profile had them */
	size_t filled;   /* by the fit */
	size_t dropped;  /* indexes of a profile that are too far from what was measured */
	size_t alone;    /* too slow for the target even alone */
};

/* `goal` replaces a target of the series' own profile unless its kind is GOAL_NONE. NULL: out of
 * memory. Else it is for profdoc_free(). */
struct slo_profile_doc *cells_make(const struct bench_series *s, const struct bench_fit *f,
                                   const struct goal *goal, struct cells_count *count);
/* As AIBrix writes it, but always strict JSON; `fit` may be NULL. */
void cells_write(FILE *out, const struct slo_profile_doc *doc, const struct bench_fit *fit);

#endif
