/* ledger.h - how much of one server its requests in flight occupy.
 *
 * Pure: no I/O, no clock, no floating point. A load is fixed point, rounded down:
 * SLO_LOAD_ONE is one whole server, so n requests of load 1/n always fit.
 * Invariant: `used` is the exact sum of the charges open on the server and of what is withheld
 * while there are any (fleet.h), `inflight` their number; a server without charges is exactly 0. */
#ifndef SLO_CORE_LEDGER_H
#define SLO_CORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

typedef uint64_t slo_load;

#define SLO_LOAD_ONE (UINT64_C(1) << 32)
/* One request never weighs more than this. */
#define SLO_LOAD_MAX (UINT64_C(4096) * SLO_LOAD_ONE)
/* Nor all on one server together: what comes on top of that is charged as the rest up to it, or as
 * nothing. It is full for a long time already, and sums never overflow. */
#define LEDGER_MAX   (UINT64_MAX / 4)

struct ledger {
	slo_load used;
	uint32_t inflight;
};

/* An open charge; ledger is NULL when none is open. Copies of it must not be released. */
struct charge {
	struct ledger *ledger;
	slo_load load;
};

/* Whether `load` more may go to a server with `used`: at most one whole server in all. What
 * weighs more than a server is admitted alone, on one that is at 0. */
static inline bool ledger_fits(slo_load used, slo_load load)
{
	return used == 0 || (used <= SLO_LOAD_ONE && load <= SLO_LOAD_ONE - used);
}

/* Opens a charge, fitting or not: push goes over. out->load may be less: see LEDGER_MAX. */
void ledger_charge(struct ledger *l, slo_load load, struct charge *out);
/* Gives back exactly what was charged and closes *c. SLO_ESTALE: it was closed before. */
MUSTCHECK slo_err ledger_release(struct charge *c);

/* Puts `count` requests of `load` in all in the place of what was charged for others before.
 * Returns what was charged, which may be less: see LEDGER_MAX. */
slo_load ledger_adjust(struct ledger *l, slo_load old_load, slo_load load, uint32_t old_count,
                       uint32_t count);

static inline double load_to_double(slo_load load)
{
	return (double)load / (double)SLO_LOAD_ONE;
}

#endif
