#include "core/lesson.h"

#include <string.h>

#include "core/request.h"
#include "core/sched.h"
#include "core/sizes.h"

/* No context is longer, and no answer: a larger count is no count. */
#define SANE_TOKENS (INT64_C(1) << 24)
/* How far real prompts are from an estimate at most. What is further off was not counted so. */
#define FACTOR_LOW  0.25
#define FACTOR_HIGH 8.0
/* An answer that a limit as low as this cut short (a probe, "yes" or "no") says nothing of how long
 * others are. One that a higher limit cut was at least that long. */
#define PROBE_MAX   16
/* Bytes of a whole answer that is not told its tokens: headers and an error have some 400. */
#define SMALL_WHOLE 400

const char *lesson_outcome_name(enum lesson_outcome o)
{
	static const char *const names[] = {
#define X(name, text) text,
		LESSON_OUTCOMES(X)
#undef X
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == LESSON_OUTCOME_COUNT, "one text each");
	return names[o];
}

/* The first letter says which side ended it, '-' neither; the second in which state. */
enum lesson_outcome lesson_outcome_of(int64_t status, struct slice ts)
{
	uint8_t side = ts.len >= 2 ? ts.p[0] : 'S';

	if (side == 'C' || side == 'c')
		return LESSON_LEFT;
	if (side == '-' && status == 200)
		return LESSON_ANSWERED;
	/* L: HAProxy itself answered, as told. 101: the server went over to another protocol. */
	if ((side == '-' || side == 'L') && status >= 100 && status < 500)
		return LESSON_REFUSED;
	/* P: a rule of HAProxy's denied it, that of a rate limit, say; no server has failed. */
	if (side == 'P' && status >= 400 && status < 500)
		return LESSON_REFUSED;
	return LESSON_FAILED;
}

static bool told(int64_t tokens)
{
	return tokens > 0 && tokens <= SANE_TOKENS;
}

/* Whether there is hardly a token in an answer that does not tell its number: a stream that has
 * only an error, say. */
static bool is_tiny(const struct request *r, const struct sched_outcome *o,
                    const struct estimator *e)
{
	if (!r->stream)
		return o->bytes < SMALL_WHOLE;
	return (double)o->bytes < estimator_fixed(e, true) + estimator_bytes_per_token(e, true);
}

bool lesson_is_unsized(const struct request *r, const struct sched_outcome *o)
{
	return o->streamed && !r->stream && (o->bytes >= SMALL_WHOLE || told(o->output));
}

static bool has_limit(const struct request *r)
{
	return r->limit >= 0 && !(r->mute & LESSON_NO_LIMIT);
}

/* Whether the client allowed so little that an answer is tiny as a rule. */
static bool is_probe(const struct request *r)
{
	return has_limit(r) && r->limit < (int64_t)PROBE_MAX * r->sequences;
}

/* An answer that was told to be one, without anything in it. Usage may say so, else its size. */
static bool is_empty(const struct request *r, const struct sched_outcome *o,
                     const struct estimator *e)
{
	if (r->mute & LESSON_NO_ANSWER || r->limit == 0 || told(o->output))
		return false;
	if (o->output == 0 && o->input > 0)
		return true;
	/* Of a request whose body was cut the limit is not known, no more than "stream". */
	return o->bytes >= 0 && !o->encoded && !is_probe(r) && !r->stream_guessed &&
	       is_tiny(r, o, e);
}

static bool teaches_prompt(const struct request *r, const struct sched_outcome *o)
{
	double factor = (double)o->input / (double)r->estimate;

	return told(o->input) && o->cached <= o->input && r->estimate > 0 &&
	       !(r->mute & LESSON_NO_PROMPT) && factor >= FACTOR_LOW && factor <= FACTOR_HIGH;
}

/* Whether an answer of so many tokens says how long answers are. A few drafted tokens may pass the
 * limit; what is far beyond it was not counted so. */
static bool teaches_answer(const struct request *r, int64_t output)
{
	if (r->mute & LESSON_NO_OUTPUT)
		return false;
	if (!has_limit(r) || output < r->limit)
		return true;
	return !is_probe(r) && output <= 2 * (int64_t)r->limit;
}

/* Output tokens that were told, and what they teach. */
static void take_told(const struct request *r, const struct sched_outcome *o, struct lesson *l)
{
	l->output = o->output;
	l->latency = !(r->mute & LESSON_NO_PROMPT);
	l->size = o->bytes >= 0 && !o->encoded && !r->stream_guessed &&
	          !(r->mute & LESSON_NO_SIZE) &&
	          (!has_limit(r) || o->output <= 2 * (int64_t)r->limit);
	l->answer = teaches_answer(r, o->output);
}

/* Without them the size of the answer stands in. */
static void take_bytes(const struct request *r, const struct sched_outcome *o,
                       const struct estimator *e, struct lesson *l)
{
	bool whole = !r->stream && o->bytes <= ESTIMATOR_FIXED;

	if (r->limit == 0)
		l->output = 0;
	if (r->limit == 0 || o->bytes < 0 || o->encoded || r->mute & LESSON_NO_SIZE)
		return;
	l->output = estimator_output(e, r->stream, o->bytes);
	/* The guess is wrong then, and this is no less than the answer has. */
	if (r->stream && !r->stream_guessed && has_limit(r) && l->output > r->limit)
		l->output = r->limit;
	l->latency = !is_tiny(r, o, e) && !(r->mute & LESSON_NO_PROMPT);
	l->answer = !whole && !is_tiny(r, o, e) && teaches_answer(r, l->output);
}

/* HAProxy may send it where another rule says. */
static bool is_elsewhere(const struct request *r, const struct sched_outcome *o)
{
	const char *backend = r->model ? r->model->backend : NULL;

	return backend && o->backend.p &&
	       (strlen(backend) != o->backend.len ||
	        memcmp(backend, o->backend.p, o->backend.len) != 0);
}

struct lesson lesson_of(const struct request *r, const struct sched_outcome *o,
                        const struct estimator *e)
{
	struct lesson l = { .outcome = o->outcome, .input = r->input, .output = r->output };

	if (l.outcome == LESSON_ANSWERED && is_elsewhere(r, o))
		l.outcome = LESSON_ELSEWHERE;
	/* As 202 would be. */
	if (l.outcome == LESSON_ANSWERED && r->mute & LESSON_RECEIPT)
		l.outcome = LESSON_REFUSED;
	if (told(o->input))
		l.input = l.told = o->input;
	if (told(o->output))
		l.output = o->output;
	if (l.told > 0 && told(o->output))
		l.told += o->output;
	if (l.outcome == LESSON_ANSWERED && is_empty(r, o, e))
		l.outcome = LESSON_EMPTY;
	if (l.outcome != LESSON_ANSWERED)
		return l;
	l.prompt = teaches_prompt(r, o);
	l.event = o->event > 0 && !o->encoded && !(r->mute & (LESSON_NO_ANSWER | LESSON_NO_SIZE));
	if (r->mute & LESSON_NO_ANSWER)
		l.output = 0;
	else if (told(o->output))
		take_told(r, o, &l);
	else
		take_bytes(r, o, e, &l);
	l.each = (l.output + r->sequences - 1) / r->sequences;
	return l;
}
