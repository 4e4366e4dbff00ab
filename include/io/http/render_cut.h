/* render_cut.h - which part of /state.json is wanted: the state of 10,000 servers is megabytes.
 *
 *   model=M   of this model alone; none of that name: no model
 *   brief=1   of each model what an overview shows, and no server unless `limit` says so
 *   limit=N   so many servers of each model at most (200 if nothing else is said), behind the
 *             first `from`
 *   order=O   in this order; the configuration's without it
 *   match=T   only servers with T in their name, or in that state */
#ifndef SLO_IO_HTTP_RENDER_CUT_H
#define SLO_IO_HTTP_RENDER_CUT_H

#include <stdbool.h>
#include <stddef.h>

#define RENDER_CUT_TEXT  256
#define RENDER_CUT_LIMIT 200 /* servers in one turn of the loop */

enum render_order {
	RENDER_CONFIGURED,
	RENDER_BY_LOAD, /* all others: the largest first */
	RENDER_BY_INFLIGHT,
	RENDER_BY_TOKENS, /* a second */
	RENDER_BY_MISSED, /* promises in 5 minutes */
	RENDER_BY_LATE,   /* actual over predicted */
	RENDER_BY_TROUBLE /* not usable first */
};
#define RENDER_ORDERS 7

/* Zeroed: all of it. */
struct render_cut {
	bool given; /* there was an argument */
	bool one_model, brief, limited;
	bool wrong; /* an argument was refused */
	enum render_order order;
	size_t limit, from;
	char model[RENDER_CUT_TEXT], match[RENDER_CUT_TEXT]; /* match "": all */
};

/* Takes one argument of the query. False: it is none of these, or out of range. */
bool render_cut_set(struct render_cut *cut, const char *name, const char *value);
bool render_cut_same(const struct render_cut *a, const struct render_cut *b);
/* Of how many servers of a model it tells at most. */
size_t render_cut_limit(const struct render_cut *cut);

#endif
