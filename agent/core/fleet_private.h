/* fleet_private.h - what the files of the fleet share. */
#ifndef SLO_CORE_FLEET_PRIVATE_H
#define SLO_CORE_FLEET_PRIVATE_H

#include "core/fleet.h"

/* Of a server whose charges changed: what is withheld is in its ledger if anything else is. */
void fleet_settle_withheld(struct server *s);

/* The seat is one of d's usable ones now, which is counted already; or it is none any more, but
 * seat->next is still right. Seats that become deep are freed. */
void fleet_deep_with(struct seat *seat);
void fleet_deep_without(struct seat *seat);
/* Aborts if other seats of d are deep than should be. */
void fleet_deep_check(const struct deployment *d);

#endif
