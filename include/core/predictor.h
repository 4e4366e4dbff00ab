/* predictor.h - how many tokens a model will answer, from what its requests answered lately.
 *
 * Counts of finished requests by (size of prompt, size of answer), both as round(log2 tokens),
 * over a sliding window of PREDICTOR_INTERVALS times PREDICTOR_INTERVAL. One per model.
 *
 * What a request says of its answer beforehand (a limit, a stream, a schema) makes its class. Once
 * there are answers of several classes to prompts of a size, each class is predicted by its own:
 * a hundred one-word classifications say nothing of a chat. As long as all are of one class, or
 * of none that is known, or none of the request's is, all count.
 * Pure: time and randomness are passed in. */
#ifndef SLO_CORE_PREDICTOR_H
#define SLO_CORE_PREDICTOR_H

#include "core/rng.h"
#include "slo.h"

#define PREDICTOR_BUCKETS   21 /* 2^0 .. 2^20 tokens; larger ones count as the last */
#define PREDICTOR_INTERVALS 24
#define PREDICTOR_INTERVAL  (10 * SLO_NSEC_PER_SEC)
#define PREDICTOR_CLASSES   17 /* what they mean is the caller's */
#define PREDICTOR_UNKNOWN   0  /* one of them: not known */

/* How one number is taken from the distribution. */
enum slo_predict {
	SLO_PREDICT_SAMPLE, /* a random draw */
	SLO_PREDICT_P50,
	SLO_PREDICT_P90,
};

/* What is predicted while nothing was learned for a size of prompt. */
enum slo_cold {
	SLO_COLD_OPTIMISTIC, /* 1 token */
	SLO_COLD_INPUT,      /* as many as the prompt has */
	SLO_COLD_MAX,        /* the request's own limit, or as SLO_COLD_INPUT without one */
	SLO_COLD_NEAREST,    /* as to prompts of the nearest size that was seen; else 1 token */
};

struct predictor;

struct predictor *predictor_new(void);    /* NULL: out of memory */
void predictor_free(struct predictor *p); /* NULL is accepted */

/* A request with `input` prompt tokens ended after `output` tokens. Time must not go back. */
void predictor_learn(struct predictor *p, slo_nsec now, unsigned class, int64_t input,
                     int64_t output);

/* Output tokens to expect, at least 1 unless max_output is 0, never above max_output.
 * max_output < 0: the request sets no limit. */
int64_t predictor_guess(struct predictor *p, slo_nsec now, unsigned class, int64_t input,
                        int64_t max_output, enum slo_predict how, enum slo_cold cold,
                        struct rng *rng);

/* Prompt tokens to expect where so many are estimated, and the logarithm of such estimates is off
 * by that variance: prompts are rather as large as others were than twice as large as any. */
int64_t predictor_prompt(struct predictor *p, slo_nsec now, int64_t estimate, double variance);

/* Finished requests in the window, all sizes. */
uint64_t predictor_samples(struct predictor *p, slo_nsec now);

/* One count of the window: so many requests of that size (round(log2 tokens) of prompt and answer)
 * ended `age` intervals ago; 0 is the interval of now. */
struct predictor_count {
	uint32_t age, input, output, count;
};

/* Tells every count above 0, of all classes together, to be taken up by another predictor. */
void predictor_export(struct predictor *p, slo_nsec now,
                      void (*tell)(void *arg, const struct predictor_count *c), void *arg);
/* Adds a count, of no known class. What lies outside of the window or of the buckets, or would
 * overflow, is left out.
 */
void predictor_import(struct predictor *p, slo_nsec now, const struct predictor_count *c);

#endif
