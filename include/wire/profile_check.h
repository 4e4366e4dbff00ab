/* profile_check.h - what is probably wrong with a profile that is well-formed: targets that are
 * missing or mistyped, numbers in another unit, loads that no server can have.
 *
 * A finding is a guess, so each says what was found and what it probably is. All thresholds are far
 * from what servers do; a profile that was measured and fits its target gives none. */
#ifndef SLO_WIRE_PROFILE_CHECK_H
#define SLO_WIRE_PROFILE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "slo_profile.h"

#define PROFILE_FINDINGS_MAX 16

struct profile_finding {
	const char *code; /* stable, for programs: "profile-no-target" */
	char text[320];   /* a sentence for people, with no name of the profile */
};

/* promised: requests have a target without the profile's. Returns how many it wrote. */
size_t profile_check(const struct slo_profile_doc *doc, bool promised,
                     struct profile_finding out[PROFILE_FINDINGS_MAX]);

#endif
