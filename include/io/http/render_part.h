/* render_part.h - how a text of render.h is put together, for who writes one.
 *
 * A text is a list of parts. A part is written once, or for each model, or for each seat of a
 * server in each model, or some of it at a time. Between any two calls the text may rest, and the
 * fleet may change; after a reload it is begun anew, and when servers go while some are chosen. */
#ifndef SLO_IO_HTTP_RENDER_PART_H
#define SLO_IO_HTTP_RENDER_PART_H

#include <stdio.h>

#include "io/http/render.h"

struct render_choice;

/* Where a render writes to, and what it needs to separate members. */
struct page {
	FILE *f;
	const struct http_sources *sources;
	const struct agent *agent;          /* of the sources */
	const struct render_cut *cut;       /* of /state.json, for render_cut_parts */
	const struct decision_query *query; /* of render_decisions_parts */
	void *arg;                          /* of render_parts_new() */
	uint64_t cursor;                    /* where `some` goes on */
	size_t model, seat;           /* this one's number, from 0; the seat's within its model */
	size_t written;               /* models or decisions, so far */
	struct render_choice *choice; /* of the model's seats; NULL: not chosen yet */
	size_t chosen;
	bool failed; /* out of memory: the text is of no use */
};

/* A part of a text; NULL: nothing is to be written there. */
struct render_part {
	const char *name, *type, *help; /* of a family of metrics, written first */
	void (*once)(struct page *p);
	void (*model)(struct page *p, const struct agent_model *m);
	void (*seat)(struct page *p, const struct agent_model *m, const struct seat *seat);
	/* What follows `model`, for about so long. True: there is no more. */
	bool (*model_more)(struct page *p, const struct agent_model *m, slo_nsec until);
	void (*model_end)(struct page *p, const struct agent_model *m);
	/* Writes for about so long. True: there is no more. */
	bool (*some)(struct page *p, slo_nsec until);
};

/* A text of these parts, which end with an empty one. NULL: out of memory. */
struct render *render_parts_new(const struct http_sources *sources, const struct render_part *parts,
                                void *arg);

#endif
