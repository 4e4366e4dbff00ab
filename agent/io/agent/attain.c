#include "io/agent/attain.h"

#include <stdbool.h>
#include <string.h>

#define RING   ATTAIN_RING
#define FINE   ATTAIN_SLOT
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

static void add(struct attain_ring *r, int64_t at, enum promise p, uint32_t n)
{
	if (at != r->last)
		turn(r, at);
	r->slot[at & (RING - 1)].count[p] += n;
}

void attain_turn(struct attain *a, slo_nsec now)
{
	for (int p = 0; p < PROMISES; p++) {
		if (a->fresh[p] == 0)
			continue;
		a->total[p] += a->fresh[p];
		add(&a->fine, a->since / FINE, (enum promise)p, a->fresh[p]);
		add(&a->coarse, a->since / COARSE, (enum promise)p, a->fresh[p]);
		a->fresh[p] = 0;
	}
	a->since = now - now % FINE;
}

uint64_t attain_total(const struct attain *a, enum promise p)
{
	return a->total[p] + a->fresh[p];
}

/* The slot of that number, counted in this width; what is fresh is in it, too. */
static struct attain_slot slot_at(const struct attain *a, const struct attain_ring *r,
                                  slo_nsec width, int64_t n)
{
	bool known = n >= 0 && n <= r->last && n > r->last - RING;
	struct attain_slot s = known ? r->slot[n & (RING - 1)] : (struct attain_slot){ 0 };

	for (int p = 0; n == a->since / width && p < PROMISES; p++)
		s.count[p] += a->fresh[p];
	return s;
}

int attain_slots(const struct attain *a, slo_nsec now, enum attain_window w,
                 struct attain_slot out[ATTAIN_SLOTS])
{
	const struct attain_ring *r = windows[w].width == FINE ? &a->fine : &a->coarse;
	int count = windows[w].slots;
	int64_t first = now / windows[w].width - count + 1;

	for (int i = 0; i < count; i++)
		out[i] = slot_at(a, r, windows[w].width, first + i);
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

static size_t export_ring(const struct attain *a, const struct attain_ring *r, slo_nsec width,
                          slo_nsec now, struct attain_kept *out)
{
	int64_t last = now / width;
	size_t n = 0;

	for (uint32_t age = 0; age < RING && age <= last; age++) {
		struct attain_slot s = slot_at(a, r, width, last - age);

		if (s.count[PROMISE_KEPT] + s.count[PROMISE_MISSED] + s.count[PROMISE_REFUSED] > 0)
			out[n++] = (struct attain_kept){ width == COARSE, age, s };
	}
	return n;
}

size_t attain_export(const struct attain *a, slo_nsec now, struct attain_kept out[ATTAIN_KEPT])
{
	size_t n = export_ring(a, &a->fine, FINE, now, out);

	return n + export_ring(a, &a->coarse, COARSE, now, out + n);
}

void attain_import(struct attain *a, slo_nsec now, slo_nsec ago, const struct attain_kept *k)
{
	struct attain_ring *r = k->coarse ? &a->coarse : &a->fine;
	slo_nsec width = k->coarse ? COARSE : FINE;
	int64_t at = (now - ago) / width - k->age;

	if (ago < 0 || now < ago || at < 0 || at <= now / width - RING)
		return;
	attain_turn(a, now);
	if (now / width != r->last)
		turn(r, now / width);
	for (int p = 0; p < PROMISES; p++)
		r->slot[at & (RING - 1)].count[p] += k->slot.count[p];
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
