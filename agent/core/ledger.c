#include "core/ledger.h"

#include <assert.h>

void ledger_charge(struct ledger *l, slo_load load, struct charge *out)
{
	assert(load <= SLO_LOAD_MAX && l->used <= LEDGER_MAX && l->inflight < UINT32_MAX);
	if (load > LEDGER_MAX - l->used)
		load = LEDGER_MAX - l->used;
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

slo_load ledger_adjust(struct ledger *l, slo_load old_load, slo_load load, uint32_t old_count,
                       uint32_t count)
{
	slo_load others = l->used - old_load;

	assert(l->used >= old_load && l->inflight >= old_count);
	assert(count <= UINT32_MAX - (l->inflight - old_count));
	if (load > LEDGER_MAX - others)
		load = LEDGER_MAX - others;
	l->used = others + load;
	l->inflight = l->inflight - old_count + count;
	return load;
}
