/* engine_sums.h - what ended on a server while its engine counted tokens.
 *
 * The usage of streams seldom passes HAProxy, but engines count the tokens of all that they serve.
 * So the growth of an engine's counters, less what was told of single requests, is what the others
 * had together: their estimates and bytes can be corrected by it. */
#ifndef SLO_IO_AGENT_ENGINE_SUMS_H
#define SLO_IO_AGENT_ENGINE_SUMS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/estimator.h"
#include "core/sched.h"
#include "wire/endline.h"
#include "wire/engine_text.h"

struct engine_sums {
	uint64_t ends;       /* all that ended there */
	uint64_t odd;        /* of which the engine counted what we cannot know */
	uint64_t estimated;  /* requests whose prompt tokens nobody told */
	double estimate;     /* of these, before correction */
	double told_prompts; /* of the others */
	uint64_t streams;    /* whose output tokens nobody told */
	double bytes;        /* of their events */
	double told_outputs; /* of the others, told or guessed */
};

/* Sums since a page of the engine. */
struct engine_window {
	bool open;
	double prompts, outputs; /* the engine's counters at its begin */
	double held;             /* tokens that were in flight then */
	struct engine_sums sums;
	uint64_t closed; /* windows that taught */
};

/* A request ended on the server. */
void engine_sums_add(struct engine_sums *s, const struct endline *e, const struct sched_end *end);
/* A page came, while `held` tokens were in flight on the server. True: the window is over, *out is
 * what it teaches, and the next one begins. */
bool engine_window_page(struct engine_window *w, const struct engine_facts *f, double held,
                        struct estimator_counted *out);

#endif
