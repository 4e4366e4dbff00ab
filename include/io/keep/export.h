/* export.h - what was learned, written as profiles that AIBrix's tools read.
 *
 * Each deployment that has learned enough gets DIR/MODEL/DEPLOYMENT.json, a whole new file in the
 * place of the old one. After a power cut it may be missing until the next time. One takes some
 * tenths of a millisecond, so a round is made in slices of about a millisecond. */
#ifndef SLO_IO_KEEP_EXPORT_H
#define SLO_IO_KEEP_EXPORT_H

#include "io/agent/agent.h"

/* Profiles. */
struct export_result {
	size_t written, failed; /* why is in the log */
};

struct export
{
	struct agent *agent;
	ev_timer timer; /* begins a round */
	ev_timer more;  /* goes on with it */
	bool running;   /* a round is under way */
	/* Of the round: */
	size_t model, deployment; /* the next one, by number */
	struct export_result result;
	int why; /* the last failure, an errno; 0: none */
};

/* Writes nothing until it is configured. */
void export_init(struct export *e, struct agent *a);
/* a->conf is new. */
void export_configure(struct export *e);
void export_stop(struct export *e);
/* Begins a round, if none is under way; it goes on by itself. It is configured. */
void export_begin(struct export *e);
/* Goes on with the round that is under way until then, by one profile at least. True: none is any
 * more, and *out is what came of the last one. */
bool export_some(struct export *e, slo_nsec until, struct export_result *out);

/* One profile, for free(); NULL: out of memory. `created` is in Unix seconds. */
char *export_text(const struct deployment *d, double percentile, double created);

#endif
