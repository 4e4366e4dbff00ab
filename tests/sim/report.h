/* report.h - what a run comes to: percentiles, SLO met, goodput, cost.
 *
 * A request counts if it arrived within the measured time, however late it ended. One that was
 * rejected or refused has no latency, so it is in no percentile, but it has missed its SLO: met and
 * goodput are shares of all that arrived. A P99 alone would flatter whoever rejects a lot. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "core/profile.h"
#include "sim.h"

struct percentiles {
	double p50, p90, p99; /* nearest rank; 0 when there is no sample */
};

struct report_group {
	size_t offered, served, rejected, refused;
	size_t met;                               /* of those served, within the SLO */
	size_t waited;                            /* of those offered, in the queue for any time */
	struct percentiles tpat, ttft, e2e, wait; /* seconds; wait of those served */
};

/* Which part of a run is looked at. */
struct report_filter {
	slo_nsec from, until; /* arrivals in [from, until] */
	int workload;         /* -1: all */
	bool classed;         /* only those of `priority` */
	int32_t priority;
	int type; /* -1: all, or what was served by this type of GPU */
};

/* "tpat=0.05", also e2e, ttft, tpot; seconds. False: not like that. */
bool report_parse_slo(const char *text, struct goal *out);
bool report_met(const struct goal *slo, const struct sim_request *r);
double report_tpat(const struct sim_request *r); /* seconds per token of a served one */

/* False: out of memory. */
MUSTCHECK bool report_group(const struct sim_result *run, const struct goal *slo,
                            const struct report_filter *filter, struct report_group *out);

/* Money (an l20 costs 1 an hour) per 1000 requests that met the SLO; infinite when none did. */
double report_cost(const struct sim_result *run, size_t met, double seconds);

/* One run as JSON; NULL: out of memory. */
json_t *report_json(const struct sim_conf *conf, const struct sim_result *run,
                    const struct goal *slo, double from, uint64_t seed);

/* The table: a line per strategy, from the JSON of its runs (means, and the range of P99). */
void report_table_head(FILE *f);
void report_table_row(FILE *f, const char *strategy, const json_t *runs);
/* Where requests have priorities, a line more for each. */
void report_table_classes(FILE *f, const json_t *runs);

/* One line of CSV per measured request, served or not. */
void report_dump_head(FILE *f);
void report_dump(FILE *f, const struct sim_conf *conf, const struct sim_result *run,
                 const struct goal *slo, double from, uint64_t seed);

#endif
