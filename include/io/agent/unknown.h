/* unknown.h - the models that clients ask for and nobody serves, for an operator to see.
 * Bounded: a new name takes the place of the one that was asked for least, and its count. So what
 * is asked for often stays, whatever else clients make up. */
#ifndef SLO_IO_AGENT_UNKNOWN_H
#define SLO_IO_AGENT_UNKNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

#define UNKNOWN_MODELS_MAX 32
#define UNKNOWN_NAME_MAX   128 /* bytes; a longer name is cut */

struct unknown_model {
	char name[UNKNOWN_NAME_MAX + 1]; /* printable ASCII: what is not is '?' */
	uint64_t requests;               /* at most; those of names that it replaced count */
};

struct unknown_models {
	size_t count;
	struct unknown_model model[UNKNOWN_MODELS_MAX];
};

/* True: the name was not in the list. *out is its entry. */
bool unknown_models_add(struct unknown_models *u, struct slice name,
                        const struct unknown_model **out);

#endif
