/* fit.h - the rates of a server (core/latency/rates.h), fitted to a series of benchmarks.
 *
 * Nonnegative least squares of the relative error. Where the series cannot tell two rates apart,
 * their ratio is that of usual servers. Pure. */
#ifndef SLO_PROFILE_FIT_H
#define SLO_PROFILE_FIT_H

#include "bench.h"
#include "core/latency/rates.h"

struct bench_fit {
	struct latency_rates rates;
	size_t used;
	size_t waited; /* left out: their time is not speed, see bench_usable() */
	double error;  /* median of |actual / predicted - 1|, of the points used */
	double error_most;
	double held_out; /* median of points that the fit did not see; NAN: too few */
	bool tail_known; /* rates.headroom is from percentiles that were measured */
};

/* kv: tokens that the KV cache of a server holds; 0: unknown. The series has a point. False: out of
 * memory. */
MUSTCHECK bool bench_fit(const struct bench_series *s, double kv, struct bench_fit *out);
/* Whether the time of a point is speed: its requests did not wait inside the engine, and the load
 * is known. */
bool bench_usable(const struct bench_point *p, double kv);
/* Seconds end to end, at what the server did then. */
double bench_predict(const struct latency_rates *r, const struct bench_point *p);

#endif
