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

void ledger_adjust(struct ledger *l, slo_load old_load, slo_load load, uint32_t old_count,
                   uint32_t count)
{
	assert(l->used >= old_load && l->inflight >= old_count);
	assert(load <= UINT64_MAX - (l->used - old_load));
	assert(count <= UINT32_MAX - (l->inflight - old_count));
	l->used = l->used - old_load + load;
	l->inflight = l->inflight - old_count + count;
}
