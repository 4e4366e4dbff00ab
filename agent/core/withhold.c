/* What a server's engine says of its queue, and how much of the server is withheld for it.
 *
 *   requests wait inside for room, and the ledger has some:  no more than what really runs there
 *   none waits, and the rest was needed:                     a tenth more of it, until all is free
 */
#include "sched_private.h"

#define RUNS_LEAST 64 /* parts of a server: less is never left */
#define GROWS      10 /* parts of what may run: so much more each time */

/* Whether all that may run there is in use: one more request of the usual size does not fit. */
static bool is_used(const struct server *server, slo_load charged, slo_load may)
{
	uint32_t n = server->ledger.inflight;

	return n > 0 && charged + charged / n > may;
}

void sched_withhold(struct sched *s, struct server *server, slo_load load)
{
	slo_load before = server->ledger.used;

	if (load == server->withhold)
		return;
	fleet_withhold(server, load);
	if (server->ledger.used < before)
		sched_room_on(s, server);
	if (tapped(s))
		tap_server(s, SLO_EVENT_WITHHELD, server);
}

void sched_server_waits(struct sched *s, struct server *server, uint32_t running, uint32_t waiting)
{
	slo_load charged = fleet_load(server) - server->withheld;
	slo_load may = SLO_LOAD_ONE - server->withhold;

	if (waiting > 0 && charged < SLO_LOAD_ONE) {
		may = (slo_load)((double)charged * running / ((double)running + waiting));
		may = may > SLO_LOAD_ONE / RUNS_LEAST ? may : SLO_LOAD_ONE / RUNS_LEAST;
	} else if (waiting == 0 && is_used(server, charged, may)) {
		may += may / GROWS;
		may = may < SLO_LOAD_ONE ? may : SLO_LOAD_ONE;
	}
	sched_withhold(s, server, SLO_LOAD_ONE - may);
}
