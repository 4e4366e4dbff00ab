/* attain.h - how many promises were kept, since the start and lately.
 *
 * Two rings of slots tell the recent past; what is older than a ring is forgotten slot by slot:
 *
 *   fine     slots of 15 s     now (the last 4), 5 minutes (20)
 *   coarse   slots of 2 min    an hour (30)
 *
 * The present slot is under way, so a window is up to one slot shorter than its name says. Adding
 * and summing up take the same time however much happened. Pure: the time is an argument, which
 * never goes back. */
#ifndef SLO_IO_AGENT_ATTAIN_H
#define SLO_IO_AGENT_ATTAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

#define ATTAIN_SLOT  (15 * SLO_NSEC_PER_SEC) /* the shortest */
#define ATTAIN_SLOTS 30                      /* of the longest window */
#define ATTAIN_RING  32

/* What became of a request with a target. */
enum promise { PROMISE_KEPT, PROMISE_MISSED, PROMISE_REFUSED };
#define PROMISES 3

enum attain_window { ATTAIN_NOW, ATTAIN_5_MINUTES, ATTAIN_HOUR };
#define ATTAIN_WINDOWS 3

struct attain_slot {
	uint32_t count[PROMISES];
};

/* Zeroed: nothing happened. */
struct attain_ring {
	int64_t last; /* number of the slot that was written last; slot 0 begins at now = 0 */
	struct attain_slot slot[ATTAIN_RING];
};

struct attain {
	uint64_t total[PROMISES];
	struct attain_ring fine, coarse;
	/* Of the slot that began at `since`, and in none of these yet. */
	uint32_t fresh[PROMISES];
	slo_nsec since;
};

struct attain_sum {
	uint64_t count[PROMISES];
};

/* Another slot begins. */
COLD void attain_turn(struct attain *a, slo_nsec now);
/* So many requests at once. */
static inline void attain_add(struct attain *a, slo_nsec now, enum promise p, uint32_t n)
{
	if (SELDOM(now - a->since >= ATTAIN_SLOT))
		attain_turn(a, now);
	a->fresh[p] += n;
}
uint64_t attain_total(const struct attain *a, enum promise p); /* since the start */
/* The slots of a window, the oldest first, the last one under way. Returns how many. */
int attain_slots(const struct attain *a, slo_nsec now, enum attain_window w,
                 struct attain_slot out[ATTAIN_SLOTS]);
struct attain_sum attain_sum(const struct attain *a, slo_nsec now, enum attain_window w);

/* For what outlives the process. */
#define ATTAIN_KEPT (2 * ATTAIN_RING)
struct attain_kept {
	bool coarse;
	uint32_t age; /* in slots; the present one has 0 */
	struct attain_slot slot;
};
/* The slots in which anything happened; how many. */
size_t attain_export(const struct attain *a, slo_nsec now, struct attain_kept out[ATTAIN_KEPT]);
/* One of them as it was `ago`; those that no window reaches are left out. What counts since the
 * start stays as it is. */
void attain_import(struct attain *a, slo_nsec now, slo_nsec ago, const struct attain_kept *k);

const char *attain_promise_name(enum promise p);      /* "kept", "missed", "refused" */
const char *attain_window_name(enum attain_window w); /* "now", "5m", "1h" */
double attain_slot_seconds(enum attain_window w);

#endif
