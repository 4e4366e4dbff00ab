/* estimator.h - learns from a model's answers how to estimate token counts that nobody tells.
 *
 * Prompt tokens are estimated from the text. A factor corrects the estimate for the model's
 * tokenizer; it is learned from real counts. The output tokens of an answer that does not tell them
 * follow from its size: bytes = fixed part + tokens x bytes per token. Of a stream these are the
 * size of its events, until engines or answers tell their tokens. What may be learned from
 * which answer is decided in lesson.h. One per model. Pure. */
#ifndef SLO_CORE_ESTIMATOR_H
#define SLO_CORE_ESTIMATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

/* Bytes of an answer that are no tokens: headers, ids, usage. Of a stream until its events are
 * seen. */
#define ESTIMATOR_FIXED 700

/* A mean that forgets: plain at first, then exponential. */
struct running_mean {
	double value;
	uint64_t samples;
};

struct estimator {
	struct running_mean input;  /* log(real / estimated prompt tokens) */
	struct running_mean json;   /* bytes per token of an answer in one piece */
	struct running_mean stream; /* bytes per token of an event stream */
	struct running_mean spread; /* squares of what `input` was off by */
	struct running_mean event;  /* bytes of a stream's event without its text */
};

void estimator_init(struct estimator *e);
/* Takes up what another one learned. SLO_EINVAL: it holds what cannot be learned. */
MUSTCHECK slo_err estimator_restore(struct estimator *e, const struct estimator *from);

double estimator_factor(const struct estimator *e); /* 1 until something was learned */
double estimator_bytes_per_token(const struct estimator *e, bool stream);

/* Bytes of an answer that are no tokens. */
double estimator_fixed(const struct estimator *e, bool stream);

/* Variance of log(real / corrected estimate) of prompts; 0: hardly any, or not known yet. */
double estimator_variance(const struct estimator *e);
int64_t estimator_input(const struct estimator *e, int64_t estimate);
void estimator_learn_input(struct estimator *e, int64_t estimate, int64_t real);

/* Tokens of an answer of that many bytes, headers included; at least 1. */
int64_t estimator_output(const struct estimator *e, bool stream, int64_t bytes);
void estimator_learn_output(struct estimator *e, bool stream, int64_t bytes, int64_t real);

/* bytes: of the first event of a stream, see endline.h. Most engines send one for each token. */
void estimator_learn_event(struct estimator *e, int64_t bytes);

/* What an engine counted for many requests together. */
struct estimator_counted {
	uint64_t prompts; /* requests whose prompt tokens were estimated */
	double estimate;  /* their estimates, before correction */
	double input;     /* their real tokens */
	uint64_t streams; /* event streams that did not tell their tokens */
	double bytes;     /* theirs, the fixed part of each left out */
	double output;    /* their real tokens */
};

/* Counts that make no sense teach nothing. */
void estimator_learn_counted(struct estimator *e, const struct estimator_counted *c);

#endif
