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
 * e2e > 0 where tputs > 0. Finite is all that is asked of large ones: 1e300 passes. Only created
 * must be a Unix time in seconds, before the year 10000. */
#ifndef SLO_WIRE_PROFDOC_H
#define SLO_WIRE_PROFDOC_H

#include <stddef.h>

#include "slo.h"
#include "slo_profile.h"
#include "wire/json/doc_error.h"

#define PROFDOC_TEXT_MAX ((size_t)1 << 20) /* bytes */

struct reader; /* wire/json/reader.h */
struct node;

/* On SLO_OK *out is the caller's, for profdoc_free(); *err is written on any other result:
 * SLO_EPROTO: not JSON. SLO_EINVAL: it is, but no profile. SLO_ETOOBIG: over PROFDOC_TEXT_MAX,
 * PROFILE_AXIS_MAX or PROFILE_CELLS_MAX, or with more values than these allow. SLO_ENOMEM. */
MUSTCHECK slo_err profdoc_parse(const char *text, size_t len, struct slo_profile_doc **out,
                                struct doc_error *err);
void profdoc_free(struct slo_profile_doc *doc); /* NULL is accepted */

/* The same from a node of a tree that was opened with READER_NAN; NULL: the reader has an error. */
struct slo_profile_doc *profdoc_read(struct reader *r, const struct node *n);

#endif
