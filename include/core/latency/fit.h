/* fit.h - the three rates of a server, fitted to what requests took.
 *
 *     seconds ~ step * steps + prompt * prompts + cached * reads
 *
 * Recursive least squares of the relative error, from a loose guess that spans all GPUs; ends that
 * contradict it, as those of a CPU do, make it looser. Old evidence is forgotten, but no fit
 * is less sure than the guess was. About a hundred flops, no memory. */
#ifndef SLO_CORE_LATENCY_FIT_H
#define SLO_CORE_LATENCY_FIT_H

#include <stdint.h>

#include "core/latency/flow.h"

#define LATENCY_RATES 3 /* step, prompt, cached */

struct latency_fit {
	double rate[LATENCY_RATES];                  /* in units of the first guess */
	double spread[LATENCY_RATES][LATENCY_RATES]; /* covariance, symmetric */
};

void latency_fit_init(struct latency_fit *f);
double latency_fit_rate(const struct latency_fit *f, int which); /* seconds */
/* What the rates say that such a stay takes; > 0 unless it has no work in it. */
double latency_fit_predict(const struct latency_fit *f, const struct latency_features *x);
/* Before x is taught, while few ends were seen: if it contradicts them and the guess, they tell
 * less than was thought. */
void latency_fit_question(struct latency_fit *f, const struct latency_features *x);
/* It took x->seconds. */
void latency_fit_teach(struct latency_fit *f, const struct latency_features *x);
/* What was learned of so many ends weighs as if it had been `most`, if it had been more. */
void latency_fit_weigh(struct latency_fit *f, double ends, double most);
/* What was learned may not hold any more, of stays like x at least: it weighs a tenth, the rates
 * stay. */
void latency_fit_doubt(struct latency_fit *f, const struct latency_features *x);

#endif
