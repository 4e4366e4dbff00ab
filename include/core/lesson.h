/* lesson.h - what the end of a request may teach, and whether it says anything at all.
 *
 * Every rule on that stands here. An end that says nothing (an error inside a stream, an empty
 * answer, a client that left, another model's server) teaches nothing and meets no target; one
 * that says something may still contradict itself. Pure. */
#ifndef SLO_CORE_LESSON_H
#define SLO_CORE_LESSON_H

#include <stdbool.h>
#include <stdint.h>

#include "core/estimator.h"
#include "slo.h"

/* What a request cannot teach whatever its end says: bits of sched_request.mute. */
#define LESSON_NO_PROMPT 1u  /* its prompt is not what was counted */
#define LESSON_NO_OUTPUT 2u  /* how long its answer is says nothing of others' */
#define LESSON_NO_SIZE   4u  /* the bytes of its answer are not those of its tokens */
#define LESSON_NO_ANSWER 8u  /* there are no output tokens, as of embeddings */
#define LESSON_NO_LIMIT  16u /* its limit is what most servers take for none, not a told one */
#define LESSON_NOTHING   7u
#define LESSON_RECEIPT   32u /* what comes is no answer, it only says that the work was accepted */

#define LESSON_OUTCOMES(X)                                                   \
	X(LEFT, "left")           /* by the client */                        \
	X(ANSWERED, "answered")   /* as the client wanted */                 \
	X(EMPTY, "empty")         /* 200, and nothing in it */               \
	X(FAILED, "failed")       /* by the server: 5xx, or cut off */       \
	X(REFUSED, "refused")     /* by who answered: 4xx, or none of 200 */ \
	X(ELSEWHERE, "elsewhere") /* not by a server of the choice */

enum lesson_outcome {
#define X(name, text) LESSON_##name,
	LESSON_OUTCOMES(X)
#undef X
};
#define LESSON_OUTCOME_COUNT 6

const char *lesson_outcome_name(enum lesson_outcome o);

/* By HTTP status (-1: none) and HAProxy's termination state, of which p may be NULL. */
enum lesson_outcome lesson_outcome_of(int64_t status, struct slice ts);

struct request;
struct sched_outcome;

struct lesson {
	enum lesson_outcome outcome;
	int64_t input, output; /* tokens, the best known counts */
	int64_t told; /* of both, by its end and no estimate; 0: it does not tell the input's */
	/* Which of these learn from it. */
	bool latency; /* the time it took: the sizes of prompt and answer are known */
	bool prompt;  /* estimator_learn_input() */
	bool size;    /* estimator_learn_output() */
	bool event;   /* estimator_learn_event() */
	bool answer;  /* predictor_learn(), by the next */
	int64_t each; /* output tokens of one of its sequences */
};

/* r was dispatched, and its end is o. e is its model's. */
struct lesson lesson_of(const struct request *r, const struct sched_outcome *o,
                        const struct estimator *e);

/* Whether o's bytes are those of a stream that r did not ask for: an event has fifty times the
 * bytes that a token of a whole answer has. One that is too small even for a whole answer keeps its
 * size: that tells that there is nothing in it. */
bool lesson_is_unsized(const struct request *r, const struct sched_outcome *o);

#endif
