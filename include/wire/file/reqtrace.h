/* reqtrace.h - what was requested of a model in an interval, in the form that AIBrix's GPU
 * optimizer reads:
 *
 *     {"79:46":1,"80:52":4,"meta_v":4,"meta_interval_sec":10,"meta_precision":10,
 *      "meta_total_reqs":7,"meta_pending_reqs":2,"meta_queueing_reqs":1}
 *
 * "I:O" counts finished requests with I = round(10 * log2 prompt tokens) and O likewise of output
 * tokens, 0 for up to one token. There are 311 * 311 such sizes at most, and memory is taken only
 * for those that occur. */
#ifndef SLO_WIRE_FILE_REQTRACE_H
#define SLO_WIRE_FILE_REQTRACE_H

#include <stdbool.h>

#include "slo.h"

#define REQTRACE_INTERVAL 10 /* seconds */

struct reqtrace_size {
	uint32_t size; /* I << 16 | O, plus 1; 0: free */
	uint32_t count;
};

struct reqtrace {
	struct reqtrace_size *slot; /* [cap], a power of two, or NULL; open addressing */
	size_t cap, used;
	uint64_t total; /* requests that came */
	bool seen;      /* a request came, ever */
};

/* All zero is empty. */
void reqtrace_fini(struct reqtrace *t);

void reqtrace_arrived(struct reqtrace *t);
/* Without memory the request is left out. */
void reqtrace_finished(struct reqtrace *t, int64_t input, int64_t output);
/* Begins a new interval. */
void reqtrace_reset(struct reqtrace *t);
/* The JSON text, for free(). NULL: out of memory. */
char *reqtrace_text(const struct reqtrace *t, size_t pending, size_t queueing, size_t *len);

#endif
