/* fleet_private.h - what the files of the fleet share. */
#ifndef SLO_CORE_FLEET_PRIVATE_H
#define SLO_CORE_FLEET_PRIVATE_H

#include "core/fleet.h"

/* Of a server whose charges changed: what is withheld is in its ledger if anything else is. */
void fleet_settle_withheld(struct server *s);

#endif
