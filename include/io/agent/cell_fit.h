/* cell_fit.h - single cells of profiles against the requests that they tell a time for.
 *
 * A profile that is right on the whole may have a cell that no request meets: a typing error, or a
 * size that was measured while something else ran. Bounded: CELL_FITS cells that ends came for; a
 * new one takes the place of one with few ends, and of one that was found to be wrong last. Pure.
 */
#ifndef SLO_IO_AGENT_CELL_FIT_H
#define SLO_IO_AGENT_CELL_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "core/profile.h"
#include "io/agent/stats.h"

#define CELL_FITS  128
#define CELL_LEAST 20 /* ends until a cell is judged by them */

struct cell_fit {
	const struct profile *profile; /* compared, never read; NULL: the place is empty */
	size_t cell;
	struct fit fit;        /* since it was last judged */
	int64_t input, output; /* of the last request */
	enum cell_verdict { CELL_FITS_WELL, CELL_TOO_SLOW, CELL_TOO_FAST } verdict;
};

/* Zeroed: nothing came. */
struct cell_fits {
	size_t count;
	struct cell_fit cell[CELL_FITS];
};

/* A request ended. slow, fast: as in struct fit. */
void cell_fit_add(struct cell_fits *c, const struct profile *p, size_t cell, int64_t input,
                  int64_t output, bool slow, bool fast);

/* What was found out about a profile's cells. */
struct cell_findings {
	size_t wrong;                 /* cells that contradict nearly all of their requests */
	const struct cell_fit *worst; /* one of them; valid until the next call */
};
/* Judges those that enough came for. */
struct cell_findings cell_fit_judge(struct cell_fits *c, const struct profile *p);
/* Forgets a profile's, or all of them if it is NULL. */
void cell_fit_forget(struct cell_fits *c, const struct profile *p);

#endif
