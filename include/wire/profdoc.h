/* profdoc.h - a GPU profile from JSON, as AIBrix's generator writes it.
 *
 *     {"gpu": "a10", "cost": 0.5, "indexes": [[4, 8], [64, 128, 256]],
 *      "tputs": [[9, 5, 2], [4, 2, NaN]], "e2e": [[...], [...]], "created": 1767225600.0,
 *      "slos": {"percentile": 99, "tpot": 0.05}}
 *
 * Names match in any case, and of two that match the last counts; unknown ones are ignored.
 * NaN, Infinity, -Infinity and null mean "no data": NAN in the tables e2e, ttft and tpot, 0 in
 * tputs, both counted in no_data; elsewhere they mean "not set", but not in indexes, which must
 * be numbers. tputs and indexes are required. All numbers but slos.percentile must be >= 0, and
 * e2e > 0 where tputs > 0. Finite is all that is asked of large ones: 1e300 passes. */
#ifndef SLO_WIRE_PROFDOC_H
#define SLO_WIRE_PROFDOC_H

#include <stddef.h>

#include "slo.h"
#include "slo_profile.h"

#define PROFDOC_AXIS_MAX 64                /* indexes on one axis */
#define PROFDOC_TEXT_MAX ((size_t)1 << 20) /* bytes */

struct doc_error {
	size_t line;       /* from 1; 0: the error has no place in the text */
	size_t column;     /* from 1, in bytes */
	char field[64];    /* "tputs[2][3]", as the text spells it; "" for the whole text */
	char message[160]; /* "is -1, must be a finite number >= 0" */
};

/* On SLO_OK *out is the caller's, for profdoc_free(); *err is written on any other result:
 * SLO_EPROTO: not JSON. SLO_EINVAL: it is, but no profile. SLO_ETOOBIG: over a limit above.
 * SLO_ENOMEM. */
MUSTCHECK slo_err profdoc_parse(const char *text, size_t len, struct slo_profile_doc **out,
                                struct doc_error *err);
void profdoc_free(struct slo_profile_doc *doc); /* NULL is accepted */

/* Tells two versions of one profile's text apart. */
uint64_t profdoc_hash(const char *text, size_t len);

/* The path of a profile below the profile directory, MODEL/DEPLOYMENT.json, terminated. A '/'
 * in either name becomes %2F, so the path never has more than one. SLO_EINVAL: a name is empty,
 * or the model is "." or "..". SLO_ETOOBIG: it does not fit into cap bytes, and out
 * holds some part of it. */
MUSTCHECK slo_err profdoc_key(const char *model, const char *deployment, char *out, size_t cap);

#endif
