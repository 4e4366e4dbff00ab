/* render.h - what the agent knows, as Prometheus text and as JSON, made a slice of time at a time.
 *
 * A fleet of 10,000 servers makes megabytes of text. So a render writes for as long as it is told
 * and goes on in a later turn of the loop. What the parts of a text tell is of the moment at which
 * each was written. The text lies in pieces: one block that grows would be copied, and cleared, by
 * the megabyte. */
#ifndef SLO_IO_HTTP_RENDER_H
#define SLO_IO_HTTP_RENDER_H

#include "io/agent/agent.h"
#include "io/cluster/cluster.h"
#include "io/haproxy/haproxy_api.h"
#include "io/http/decision_json.h"
#include "io/http/render_cut.h"
#include "io/keep/recorder.h"
#include "io/redis/redis_client.h"

/* Whose numbers are shown. */
struct http_sources {
	const struct agent *agent;
	struct agent
	    *decides; /* the same: what a waiting request waits for is found out by asking */
	const struct haproxy_api *haproxy;
	const struct redis_client *redis;
	const struct cluster *cluster;
	const struct recorder *recorder;
};

enum render_page { RENDER_METRICS, RENDER_STATE, RENDER_DECISIONS, RENDER_PAGES };

struct render;

/* What of a page is wanted. Zeroed: all of it, but for decisions. */
struct render_want {
	enum render_page page;
	struct render_cut cut;           /* of RENDER_STATE */
	struct decision_query decisions; /* of RENDER_DECISIONS */
};
/* Whether the same text answers both. */
bool render_want_same(const struct render_want *a, const struct render_want *b);

/* The sources must outlive it; want is copied. NULL: out of memory. */
struct render *render_new(const struct http_sources *sources, const struct render_want *want);
void render_free(struct render *r); /* NULL is accepted */
/* Writes for about that long. True: there is no more to write. */
bool render_run(struct render *r, slo_nsec slice);
/* When all is written: the text, for render_text_free(). NULL: out of memory. */
struct render_text *render_take(struct render *r);

struct render_text {
	struct slice *piece; /* [count] */
	size_t count, cap;
};
void render_text_free(struct render_text *t); /* NULL is accepted */

#endif
