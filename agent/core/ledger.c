#include "core/ledger.h"

#include <assert.h>

void ledger_charge(struct ledger *l, slo_load load, struct charge *out)
{
	assert(load <= SLO_LOAD_MAX && l->used <= UINT64_MAX - load && l->inflight < UINT32_MAX);
	l->used += load;
	l->inflight++;
	*out = (struct charge){ .ledger = l, .load = load };
}

slo_err ledger_release(struct charge *c)
{
	struct ledger *l = c->ledger;

	if (!l)
		return SLO_ESTALE;
	assert(l->used >= c->load && l->inflight > 0);
	l->used -= c->load;
	l->inflight--;
	c->ledger = NULL;
	return SLO_OK;
}
