/* Which servers of a deployment stay shallow: the first of its usable ones, in the order of the
 * configuration. The place where they end moves by single seats, as servers come and go. */
#include <assert.h>

#include "fleet_private.h"

static size_t shallow_of(size_t usable)
{
	size_t part = usable / FLEET_SHALLOW_PART;

	return part > 0 || usable == 0 ? part : 1;
}

static struct seat *usable_from(struct seat *seat)
{
	while (seat && !seat->server->usable)
		seat = seat->next;
	return seat;
}

static struct seat *before(const struct deployment *d, const struct seat *seat)
{
	struct seat *const *at = seat ? seat->at : d->seats_end;

	return at == &d->seats ? NULL : (struct seat *)((char *)at - offsetof(struct seat, next));
}

static struct seat *usable_before(const struct deployment *d, struct seat *seat)
{
	do
		seat = before(d, seat);
	while (seat && !seat->server->usable);
	return seat;
}

/* n usable ones are before d->deep. */
static void settle(struct deployment *d, size_t n)
{
	size_t part = shallow_of(d->usable);

	if (n > part)
		fleet_freed(d);
	for (; n < part; n++)
		d->deep = usable_from(d->deep->next);
	for (; n > part; n--)
		d->deep = usable_before(d, d->deep);
	d->deep_from = d->deep ? d->deep->order : UINT64_MAX;
}

void fleet_deep_with(struct seat *seat)
{
	struct deployment *d = seat->deployment;

	settle(d, shallow_of(d->usable - 1) + !fleet_is_deep(seat));
}

void fleet_deep_without(struct seat *seat)
{
	struct deployment *d = seat->deployment;

	if (d->deep == seat)
		d->deep = usable_from(seat->next);
	settle(d, shallow_of(d->usable + 1) - !fleet_is_deep(seat));
}

void fleet_deep_check(const struct deployment *d)
{
	size_t shallow = 0;

	for (struct seat *seat = d->seats; seat; seat = seat->next)
		shallow += seat->server->usable && !fleet_is_deep(seat);
	assert(shallow == shallow_of(d->usable));
	assert(!d->deep || (d->deep->deployment == d && d->deep->server->usable));
	assert(d->deep_from == (d->deep ? d->deep->order : UINT64_MAX));
	(void)shallow;
}
