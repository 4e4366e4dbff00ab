/* slo_profile.h - a GPU profile as plain numbers: what the wire layer reads from JSON and the
 * core turns into cells. It belongs to one (model, deployment).
 *
 * A table is rows x cols, row-major: the value for output index r and input index c stands at
 * [r * cols + c]. NAN in e2e, ttft or tpot means "no data"; tputs never holds NAN. */
#ifndef SLO_SLO_PROFILE_H
#define SLO_SLO_PROFILE_H

#include <stddef.h>

#define PROFILE_AXIS_MAX  1024  /* indexes on one axis */
#define PROFILE_CELLS_MAX 16384 /* rows x cols: what is read in one go */

struct slo_profile_doc {
	size_t rows;         /* output-token axis, >= 1 */
	size_t cols;         /* input-token axis, >= 1 */
	double *output_axis; /* [rows] tokens, ascending, > 0 */
	double *input_axis;  /* [cols] tokens, ascending, > 0 */
	double *tputs;       /* requests/s of one server; 0: the target cannot be met */
	double *e2e;         /* seconds, mean; NULL: the profile has no such table */
	double *ttft;        /* seconds, mean; NULL likewise */
	double *tpot;        /* seconds per output token; NULL likewise */
	double cost;         /* money per time unit, 0 when absent */
	double created;      /* Unix seconds, 0 when absent */
	/* Targets, 0 = not set. */
	double slo_e2e;    /* seconds */
	double slo_ttft;   /* seconds */
	double slo_tpot;   /* seconds per output token */
	double slo_tpat;   /* seconds per token, input and output */
	double percentile; /* of "slos", NAN when absent; it is told, not used */
	/* A name in "slos" that is none of a target, or one that "slos" was probably meant by, cut
	 * to fit; "": none. What was probably meant, or NULL. */
	char stray[64];
	const char *stray_meant;
	size_t no_data; /* cells that were NaN, Infinity or null, over all tables */
	char gpu[64];   /* as the file says, cut to fit; "" when absent */
};

#endif
