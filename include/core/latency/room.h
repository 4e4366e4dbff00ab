/* room.h - how many tokens a server is to hold: as many as its KV cache, told or found.
 *
 * A request that finds the cache full waits inside the engine, and takes longer than its rates
 * explain. So what takes longer than nine of ten do that find little, and than nine of ten of all
 * that teach, was late, and each end speaks:
 *
 *   late, and much was there:   the limit is too high    (`less`)
 *   not late, and much was:     it is too low            (`more`)
 *
 * A limit that nobody told is tried out: it grows while requests wait for room and none that had it
 * is late, and never far beyond what was there: who ends tells of that and of no more. A told one
 * is overruled only beyond doubt: it is too low if those are not late that came on top of it, and a
 * higher one counts as told; it is too high if those are late that found room, and then it is found
 * like any other. Sums of evidence never fall below 0, so old ends do not outweigh new ones. The
 * time in prompts hides much of a wait (see KNEE_UNTOLD in rates.c): lateness may show only where
 * twice as much is there as the cache holds, so the first cut goes as deep as it tells.
 *
 * A request needs all of its tokens at once. So one that is larger than the whole cache was told to
 * be, and ends well, is proof that the telling is wrong, however long it took. */
#ifndef SLO_CORE_LATENCY_ROOM_H
#define SLO_CORE_LATENCY_ROOM_H

#include <stdbool.h>

#include "core/latency/errors.h"
#include "slo.h"

#define LATENCY_ROOM_FIRST 8192.0 /* tokens */

struct latency_room {
	double limit;      /* tokens */
	double told;       /* tokens; 0: nobody told, or it was too high */
	double usual;      /* log of actual / predicted: one of ten is later that finds little */
	double more, less; /* evidence for another limit, >= 0 */
	double fits;       /* tokens that the cache holds, as those say that were late since then */
	slo_nsec changed;  /* the ends of those that came before say nothing of it */
	uint32_t larger;   /* ends of requests that the cache could not hold if it were as told */
	bool found;        /* it is not what was told, or was cut once: it grows slowly */
};

/* The end of a request. */
struct latency_guest {
	double held;                         /* tokens on its server at dispatch, its own too */
	double tokens;                       /* its own */
	double ratio;                        /* actual / predicted time */
	double seconds;                      /* that it stayed */
	const struct latency_errors *errors; /* of all such predictions; NULL: not known yet */
	bool on_top; /* it waited for room in vain, and came on top of what was there */
	bool wanted; /* more room would be of use */
};

/* told: tokens that the cache holds; 0: unknown. */
void latency_room_init(struct latency_room *r, double told);
/* So much was there, well or not: the limit is no less, until one was told or found. */
void latency_room_saw(struct latency_room *r, double held);
void latency_room_note(struct latency_room *r, slo_nsec now, const struct latency_guest *g);
/* A request ended well whose longest sequence has so many tokens, as its end told. */
void latency_room_proves(struct latency_room *r, slo_nsec now, double tokens);
/* What is told was proved wrong before; what was found since then stays. */
void latency_room_disprove(struct latency_room *r);
/* Whether such ends have proved that what is told is wrong. */
bool latency_room_disproved(const struct latency_room *r);

#endif
