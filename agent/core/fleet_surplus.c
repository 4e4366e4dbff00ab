/* What a ledger holds beside leases: requests that nobody told us of, what is withheld and what is
 * spared. */
#include "fleet_private.h"

void fleet_settle_withheld(struct server *s)
{
	slo_load load = s->ledger.inflight > 0 ? s->withhold : 0;

	if (SELDOM(load != s->withheld))
		s->withheld = ledger_adjust(&s->ledger, s->withheld, load, 0, 0);
}

void fleet_withhold(struct server *s, slo_load load)
{
	fleet_changes(s);
	s->withhold = load;
	fleet_settle_withheld(s);
}

void fleet_spare(struct server *s, slo_load load)
{
	if (load == s->spared)
		return;
	fleet_changes(s);
	s->spared = ledger_adjust(&s->ledger, s->spared, load, 0, 0);
}

/* What one request that we know nothing of weighs on s. */
static slo_load surplus_load(const struct server *s)
{
	slo_load most = 0;
	bool known = false;

	if (fleet_leases(s) > 0)
		return (fleet_load(s) - s->surplus_load - s->withheld) / fleet_leases(s);
	for (const struct seat *seat = s->seats; seat; seat = seat->next_of_server) {
		const struct deployment *d = seat->deployment;

		known |= d->recent_known;
		if (d->recent_known && d->recent > most)
			most = d->recent;
	}
	return known ? most : SURPLUS_LOAD;
}

void fleet_surplus(struct server *s, uint32_t count)
{
	uint32_t n = count < SURPLUS_MAX ? count : SURPLUS_MAX;

	fleet_surplus_of(s, n, n ? n * surplus_load(s) : 0);
}

void fleet_surplus_of(struct server *s, uint32_t n, slo_load load)
{
	if (n == s->surplus_count && load == s->surplus_load)
		return;
	if (n > s->surplus_count)
		s->repairs[FLEET_REPAIR_SURPLUS] += n - s->surplus_count;
	fleet_changes(s);
	s->surplus_load = ledger_adjust(&s->ledger, s->surplus_load, load, s->surplus_count, n);
	s->surplus_count = n;
	fleet_settle_withheld(s);
}
