/* fleet_private.h - what the files of the fleet share. */
#ifndef SLO_CORE_FLEET_PRIVATE_H
#define SLO_CORE_FLEET_PRIVATE_H

#include "core/fleet.h"

/* Of a server whose charges changed: what is withheld is in its ledger if anything else is, and its
 * deployments know whether it is deep. */
void fleet_settle(struct server *s);

#endif
