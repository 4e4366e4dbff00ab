/* What the servers of a deployment that slo-adaptive would weigh have room for, all together: while
 * they are full, who waits next mostly is closed out by these few numbers. */
#include <assert.h>

#include "core/adaptive.h"

/* Whatever is known of its times: that may change, and this stays. */
static void room_on(const struct seat *seat, struct adaptive_room *room)
{
	const struct server *s = seat->server;
	int64_t work = (int64_t)s->sums.work, reading = (int64_t)s->sums.reading;
	slo_load most = (fleet_is_deep(seat) ? ADAPTIVE_OVERFILL : ADAPTIVE_SHALLOW) * SLO_LOAD_ONE;
	slo_load used = s->ledger.used, load = most > used ? most - used : 0;

	if (used == 0) {
		load = UINT64_MAX;
		work = reading = INT64_MIN;
	}
	room->load = load > room->load ? load : room->load;
	room->work = work < room->work ? work : room->work;
	room->reading = reading < room->reading ? reading : room->reading;
}

static struct adaptive_room room_in(const struct deployment *d)
{
	struct adaptive_room room = { .known = true, .work = INT64_MAX, .reading = INT64_MAX };
	const struct seat *seat = d->seats;

	for (int by = 0; by < SEAT_ORDERS; by++)
		for (size_t i = 0; i < seat_heap_few(&d->least[by]); i++)
			room_on(d->least[by].at[i].seat, &room);
	for (size_t i = 0; i < ADAPTIVE_FIRST && seat; i++, seat = seat->next)
		if (seat->server->usable)
			room_on(seat, &room);
	return room;
}

void adaptive_find_room(struct deployment *d)
{
	for (int by = 0; by < SEAT_ORDERS; by++)
		(void)fleet_least(d, (enum seat_order)by);
	d->room = room_in(d);
}

void adaptive_room_check(const struct deployment *d)
{
	struct adaptive_room room = room_in(d);

	/* What is misplaced makes it unknown when it is placed. */
	if (!d->room.known || !LIST_EMPTY(&d->misplaced[SEAT_BY_LOAD]) ||
	    !LIST_EMPTY(&d->misplaced[SEAT_BY_HARM]))
		return;
	assert(d->room.load == room.load);
	assert(d->room.work == room.work && d->room.reading == room.reading);
	(void)room;
}
