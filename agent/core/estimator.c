#include "core/estimator.h"

#include <math.h>
#include <string.h>

#include "core/bounds.h"
#include "core/sizes.h"

/* Measured on vLLM's streams: an event of one token has about 230 bytes, 4.7 of them text. The
 * chunk framing of HTTP/1.1 adds 7. Until an event is seen. */
#define STREAM_PER_EVENT 232.0 /* bytes of an event without its text */
#define STREAM_NO_TOKENS 2     /* events: the first one has a role, the last one how it ended */
#define JSON_PER_TOKEN   4.5   /* bytes of text */
#define EVENT_END        9     /* bytes: two line ends and that framing */
#define EVENT_MIN        20    /* bytes; what is smaller is a comment */
#define EVENT_MAX        1024  /* bytes; what is larger holds more than a token */

#define FACTOR_MAX    4.0     /* no tokenizer is further off */
#define MIN_ESTIMATE  16      /* tokens; a shorter prompt is mostly the chat template */
#define MIN_OUTPUT    8       /* tokens; the fixed part of a shorter answer outweighs them */
#define MEMORY        64.0    /* the mean forgets samples that are older than so many others */
#define PER_TOKEN_MAX 65536.0 /* bytes */
#define PER_TOKEN_MIN 0.5     /* bytes; with fewer the answer hides tokens, as of reasoning */
#define SPREAD_ENDS   30      /* before, nobody knows how far estimates are off */
#define SPREAD_LEAST  0.01    /* a tenth of the tokens: less does no harm */

static void learn(struct running_mean *m, double x)
{
	double weight;

	m->samples++;
	weight = 1.0 / at_most((double)m->samples, MEMORY);
	m->value += weight * (x - m->value);
}

void estimator_init(struct estimator *e)
{
	memset(e, 0, sizeof(*e));
}

/* A mean without samples must be 0. */
static bool mean_sane(const struct running_mean *m, double low, double high)
{
	return m->samples == 0 ? m->value == 0 : m->value >= low && m->value <= high;
}

slo_err estimator_restore(struct estimator *e, const struct estimator *from)
{
	double limit = log(FACTOR_MAX);

	if (!mean_sane(&from->input, -limit, limit) ||
	    !mean_sane(&from->json, 1.0, PER_TOKEN_MAX) ||
	    !mean_sane(&from->stream, 1.0, PER_TOKEN_MAX) ||
	    !mean_sane(&from->spread, 0, 4 * limit * limit) ||
	    !mean_sane(&from->event, EVENT_MIN, EVENT_MAX + EVENT_END))
		return SLO_EINVAL;
	*e = *from;
	return SLO_OK;
}

double estimator_factor(const struct estimator *e)
{
	return exp(e->input.value);
}

double estimator_variance(const struct estimator *e)
{
	const struct running_mean *m = &e->spread;

	return m->samples >= SPREAD_ENDS && m->value > SPREAD_LEAST ? m->value : 0;
}

int64_t estimator_input(const struct estimator *e, int64_t estimate)
{
	return tokens_clamp(llround((double)tokens_clamp(estimate) * estimator_factor(e)));
}

void estimator_learn_input(struct estimator *e, int64_t estimate, int64_t real)
{
	double limit = log(FACTOR_MAX), x;

	if (estimate < MIN_ESTIMATE || real <= 0)
		return;
	x = at_least(at_most(log((double)real / (double)estimate), limit), -limit);
	learn(&e->input, x);
	x -= e->input.value;
	learn(&e->spread, x * x);
}

static double per_event(const struct estimator *e)
{
	return e->event.samples ? e->event.value : STREAM_PER_EVENT;
}

double estimator_bytes_per_token(const struct estimator *e, bool stream)
{
	double json = e->json.samples ? e->json.value : JSON_PER_TOKEN;

	if (!stream)
		return json;
	/* A stream rarely tells its tokens to a proxy. Its text is as long as other answers'. */
	return e->stream.samples ? e->stream.value : per_event(e) + json;
}

double estimator_fixed(const struct estimator *e, bool stream)
{
	double seen = stream ? per_event(e) - STREAM_PER_EVENT : 0;

	return ESTIMATOR_FIXED + STREAM_NO_TOKENS * seen;
}

int64_t estimator_output(const struct estimator *e, bool stream, int64_t bytes)
{
	double text = (double)bytes - estimator_fixed(e, stream);
	int64_t tokens;

	if (!(text > 0))
		return 1;
	tokens = tokens_clamp(llround(text / estimator_bytes_per_token(e, stream)));
	return tokens > 0 ? tokens : 1;
}

void estimator_learn_output(struct estimator *e, bool stream, int64_t bytes, int64_t real)
{
	double text = (double)bytes - estimator_fixed(e, stream);

	if (real < MIN_OUTPUT || !(text >= PER_TOKEN_MIN * (double)real))
		return;
	learn(stream ? &e->stream : &e->json,
	      at_most(at_least(text / (double)real, 1), PER_TOKEN_MAX));
}

void estimator_learn_event(struct estimator *e, int64_t bytes)
{
	if (bytes >= EVENT_MIN && bytes <= EVENT_MAX)
		learn(&e->event, (double)(bytes + EVENT_END));
}

/* As many samples of x, of which more than MEMORY are no more than that. */
static void learn_many(struct running_mean *m, double x, uint64_t n)
{
	for (uint64_t i = 0; i < n && i < (uint64_t)MEMORY; i++)
		learn(m, x);
}

void estimator_learn_counted(struct estimator *e, const struct estimator_counted *c)
{
	double factor = c->input / c->estimate, bytes = c->bytes / c->output;

	if (c->estimate > 0 && factor >= 1 / FACTOR_MAX && factor <= FACTOR_MAX)
		learn_many(&e->input, log(factor), c->prompts);
	if (c->output > 0 && bytes >= 1 && bytes <= PER_TOKEN_MAX)
		learn_many(&e->stream, bytes, c->streams);
}
