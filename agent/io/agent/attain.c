#include "io/agent/attain.h"

#include <stdbool.h>
#include <string.h>

#define FINE_SLOTS 20
#define FINE       (15 * SLO_NSEC_PER_SEC) /* of one slot */
#define COARSE     (120 * SLO_NSEC_PER_SEC)

/* A window is the last `slots` of a ring. */
static const struct {
	const char *name;
	slo_nsec width;
	int slots;
} windows[ATTAIN_WINDOWS] = {
	[ATTAIN_NOW] = { "now", FINE, 4 },
	[ATTAIN_5_MINUTES] = { "5m", FINE, FINE_SLOTS },
	[ATTAIN_HOUR] = { "1h", COARSE, ATTAIN_SLOTS },
};

/* The slot of now, after those that were passed over were cleared. */
static struct attain_slot *turn(struct attain_ring *r, slo_nsec now, slo_nsec width, int slots)
{
	int64_t at = now / width;

	if (at - r->last >= slots)
		memset(r->slot, 0, sizeof(r->slot));
	else
		while (r->last < at)
			r->slot[++r->last % slots] = (struct attain_slot){ 0 };
	r->last = at;
	return &r->slot[at % slots];
}

void attain_add(struct attain *a, slo_nsec now, enum promise p)
{
	a->total[p]++;
	turn(&a->fine, now, FINE, FINE_SLOTS)->count[p]++;
	turn(&a->coarse, now, COARSE, ATTAIN_SLOTS)->count[p]++;
}

int attain_slots(const struct attain *a, slo_nsec now, enum attain_window w,
                 struct attain_slot out[ATTAIN_SLOTS])
{
	const struct attain_ring *r = windows[w].width == FINE ? &a->fine : &a->coarse;
	int all = windows[w].width == FINE ? FINE_SLOTS : ATTAIN_SLOTS;
	int count = windows[w].slots;
	int64_t first = now / windows[w].width - count + 1;

	for (int i = 0; i < count; i++) {
		int64_t n = first + i;
		bool known = n >= 0 && n <= r->last && n > r->last - all;

		out[i] = known ? r->slot[n % all] : (struct attain_slot){ 0 };
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
