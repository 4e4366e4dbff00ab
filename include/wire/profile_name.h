/* profile_name.h - how the profile of a (model, deployment) is called below the profile directory,
 * and how two texts of it are told apart. */
#ifndef SLO_WIRE_PROFILE_NAME_H
#define SLO_WIRE_PROFILE_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "slo.h"

/* The path of a profile below the profile directory, MODEL/DEPLOYMENT.json, terminated. A '/'
 * in either name becomes %2F, so the path never has more than one. SLO_EINVAL: a name is empty,
 * or the model is "." or "..". SLO_ETOOBIG: it does not fit into cap bytes, and out
 * holds some part of it. */
MUSTCHECK slo_err profile_name(const char *model, const char *deployment, char *out, size_t cap);

/* Tells two versions of one profile's text apart. */
uint64_t profile_text_hash(const char *text, size_t len);

#endif
