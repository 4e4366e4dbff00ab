/* errors.h - how far predictions were off lately: a histogram of log(actual / predicted). */
#ifndef SLO_CORE_LATENCY_ERRORS_H
#define SLO_CORE_LATENCY_ERRORS_H

#include <stdint.h>

#define LATENCY_ERROR_BINS 64 /* of 1/16 each, from -2 to 2 */

struct latency_errors {
	uint16_t bin[LATENCY_ERROR_BINS];
	uint32_t total; /* the sum of all bins */
};

/* late: log(actual / predicted). Older ones fade: after 500 all count half. */
void latency_errors_add(struct latency_errors *e, double late);
/* So that a share q of the actual times was at most this times the predicted; 1 without any. */
double latency_errors_quantile(const struct latency_errors *e, double q);
/* The median of |log(actual / predicted)|; 0 without any. */
double latency_errors_median(const struct latency_errors *e);

#endif
