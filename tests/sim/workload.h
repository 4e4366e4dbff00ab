/* workload.h - who asks for what and when: sizes and arrivals of simulated requests.
 *
 * A list of workloads is written ITEM,ITEM,... with
 *     NAME:RATE[~SHAPE][@GPU]   a generator of workload_generators[], or INxOUT for one size
 *     trace:FILE[@GPU]          lines "t,input,output"; t in seconds, ascending
 * SHAPE is that of gamma distributed gaps, 1 a Poisson process, less is burstier. GPU is the type
 * meant for it; only the strategy `oracle` looks at that. */
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "slo.h"

#define WORKLOADS_MAX  16
#define WORKLOAD_TEXT  256
#define WORKLOAD_ERROR 512

/* A length in tokens: lognormal, cut to [least, most], or uniform there when sigma is 0. */
struct length_law {
	double mu, sigma;
	uint32_t least, most;
};

struct workload_generator {
	const char *name;
	struct length_law input, output;
	double shape; /* of the gaps */
	const char *what;
};
extern const struct workload_generator workload_generators[]; /* ends with a NULL name */

struct workload {
	char name[WORKLOAD_TEXT]; /* as written, up to the first of : ~ @; of a trace: its file */
	char gpu[32];             /* "" when none was named */
	bool trace;
	struct length_law input, output;
	double rate;  /* per second; not of a trace */
	double shape; /* of the gaps; not of a trace */
};

/* Rates are `factor` times as high in the last `seconds` of every `period`. */
struct burst {
	double factor, seconds, period; /* seconds 0: none */
};

struct arrival {
	slo_nsec t;
	uint32_t input, output;
	uint32_t workload;
};

/* Returns how many; 0 and a message in error when text makes no sense. */
size_t workload_parse(const char *text, struct workload out[WORKLOADS_MAX],
                      char error[WORKLOAD_ERROR]);
/* FACTORxSECONDS/PERIOD */
bool workload_parse_burst(const char *text, struct burst *out);

struct workload_plan {
	const struct workload *workloads;
	size_t count;
	double load; /* multiplies every rate, and the speed of a trace */
	struct burst burst;
	double seconds; /* no arrival after that */
	uint64_t seed;
};

/* All arrivals in time order, for the caller to free; each workload draws from its own stream, so
 * that it asks for the same whatever the others do. False: see error. */
MUSTCHECK bool workload_draw(const struct workload_plan *plan, struct arrival **out, size_t *count,
                             char error[WORKLOAD_ERROR]);

/* As a trace file, which reads back to the nanosecond. False: errno says why. */
MUSTCHECK bool workload_write(FILE *f, const struct arrival *arrivals, size_t count);

#endif
