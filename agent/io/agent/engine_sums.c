#include "io/agent/engine_sums.h"

#include <string.h>

#define ENDS_LEAST  30   /* fewer say little */
#define ODD_SHARE   0.02 /* of the ends */
#define EDGES       20.0 /* times what is in flight at both ends of a window is in between */
#define TOKENS_MOST (1 << 24)

static bool told(int64_t tokens)
{
	return tokens > 0 && tokens <= TOKENS_MOST;
}

static void add_prompt(struct engine_sums *s, const struct endline *e, const struct sched_end *end)
{
	if (told(e->in)) {
		s->told_prompts += (double)e->in;
	} else if (end->request->estimate > 0) {
		s->estimated++;
		s->estimate += end->request->estimate;
	} else {
		s->told_prompts += (double)end->input;
	}
}

static void add_output(struct engine_sums *s, const struct endline *e, const struct sched_end *end)
{
	const struct request *r = end->request;
	bool plain = !e->enc.p || slice_eq(e->enc, "identity");
	double fixed = r->model ? estimator_fixed(&r->model->estimator, true) : ESTIMATOR_FIXED;

	if (told(e->out)) {
		s->told_outputs += (double)e->out;
	} else if (r->stream && !r->stream_guessed && plain && (double)e->bytes > fixed) {
		s->streams++;
		s->bytes += (double)e->bytes - fixed;
	} else {
		s->told_outputs += (double)end->output;
	}
}

/* Whether the engine counted what nobody told, and nothing here says how much. */
static bool is_odd(const struct endline *e, const struct sched_end *end)
{
	unsigned mute = end->request->mute;

	return end->outcome != LESSON_ANSWERED || (mute & LESSON_NO_PROMPT && !told(e->in)) ||
	       (mute & LESSON_NO_SIZE && !told(e->out));
}

void engine_sums_add(struct engine_sums *s, const struct endline *e, const struct sched_end *end)
{
	s->ends++;
	if (is_odd(e, end)) {
		s->odd++;
		return;
	}
	add_prompt(s, e, end);
	add_output(s, e, end);
}

static void begin(struct engine_window *w, const struct engine_facts *f, double held)
{
	w->open = true;
	w->prompts = f->value[ENGINE_PROMPTS];
	w->outputs = f->value[ENGINE_OUTPUTS];
	w->held = held;
	memset(&w->sums, 0, sizeof(w->sums));
}

static struct estimator_counted result(const struct engine_sums *s, double prompts, double outputs)
{
	return (struct estimator_counted){
		.prompts = s->estimated,
		.estimate = s->estimate,
		.input = prompts - s->told_prompts,
		.streams = s->streams,
		.bytes = s->bytes,
		.output = outputs - s->told_outputs,
	};
}

bool engine_window_page(struct engine_window *w, const struct engine_facts *f, double held,
                        struct estimator_counted *out)
{
	double prompts = f->value[ENGINE_PROMPTS] - w->prompts;
	double outputs = f->value[ENGINE_OUTPUTS] - w->outputs;
	bool odd = (double)w->sums.odd > ODD_SHARE * (double)w->sums.ends;

	if (!engine_knows(f, ENGINE_PROMPTS) || !engine_knows(f, ENGINE_OUTPUTS))
		return false;
	if (!w->open || prompts < 0 || outputs < 0) { /* the engine began anew */
		begin(w, f, held);
		return false;
	}
	if (w->sums.ends < ENDS_LEAST || prompts + outputs < EDGES * (w->held + held)) {
		if (w->held > 0 && !(held > 0)) /* nothing hides behind this edge */
			begin(w, f, held);
		return false;
	}
	*out = result(&w->sums, prompts, outputs);
	begin(w, f, held);
	w->closed += !odd;
	return !odd;
}
