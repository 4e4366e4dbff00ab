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
/* Writes what there is now, all at once. */
struct export_result export_write(struct export *e);

/* One profile, for free(); NULL: out of memory. `created` is in Unix seconds. */
char *export_text(const struct deployment *d, double percentile, double created);

#endif
