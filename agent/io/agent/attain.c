#include "io/agent/attain.h"

#include <stdbool.h>
#include <string.h>

#define RING   ATTAIN_RING
#define FINE   (15 * SLO_NSEC_PER_SEC) /* of one slot */
#define COARSE (8 * FINE)

/* A window is the last `slots` of a ring. */
static const struct {
	const char *name;
	slo_nsec width;
	int slots;
} windows[ATTAIN_WINDOWS] = {
	[ATTAIN_NOW] = { "now", FINE, 4 },
	[ATTAIN_5_MINUTES] = { "5m", FINE, 20 },
	[ATTAIN_HOUR] = { "1h", COARSE, ATTAIN_SLOTS },
};

_Static_assert(ATTAIN_SLOTS <= RING && (RING & (RING - 1)) == 0, "a ring is of a power of two");

/* The slots that were passed over become empty. */
static void turn(struct attain_ring *r, int64_t at)
{
	if (at - r->last >= RING)
		memset(r->slot, 0, sizeof(r->slot));
	else
		while (r->last < at)
			r->slot[++r->last & (RING - 1)] = (struct attain_slot){ 0 };
	r->last = at;
}

static inline void add(struct attain_ring *r, int64_t at, enum promise p)
{
	if (at != r->last)
		turn(r, at);
	r->slot[at & (RING - 1)].count[p]++;
}

void attain_add(struct attain *a, slo_nsec now, enum promise p)
{
	int64_t fine = now / FINE;

	a->total[p]++;
	add(&a->fine, fine, p);
	add(&a->coarse, fine / (COARSE / FINE), p);
}

int attain_slots(const struct attain *a, slo_nsec now, enum attain_window w,
                 struct attain_slot out[ATTAIN_SLOTS])
{
	const struct attain_ring *r = windows[w].width == FINE ? &a->fine : &a->coarse;
	int count = windows[w].slots;
	int64_t first = now / windows[w].width - count + 1;

	for (int i = 0; i < count; i++) {
		int64_t n = first + i;
		bool known = n >= 0 && n <= r->last && n > r->last - RING;

		out[i] = known ? r->slot[n & (RING - 1)] : (struct attain_slot){ 0 };
	}
	return count;
}

struct attain_sum attain_sum(const struct attain *a, slo_nsec now, enum attain_window w)
{
	struct attain_slot slot[ATTAIN_SLOTS];
	struct attain_sum sum = { { 0 } };
	int count = attain_slots(a, now, w, slot);

	for (int i = 0; i < count; i++)
		for (int p = 0; p < PROMISES; p++)
			sum.count[p] += slot[i].count[p];
	return sum;
}

const char *attain_promise_name(enum promise p)
{
	static const char *const names[PROMISES] = { "kept", "missed", "refused" };

	return names[p];
}

const char *attain_window_name(enum attain_window w)
{
	return windows[w].name;
}

double attain_slot_seconds(enum attain_window w)
{
	return (double)windows[w].width / 1e9;
}
