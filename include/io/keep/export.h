/* export.h - what was learned, written as profiles that AIBrix's tools read.
 *
 * Each deployment that has learned enough gets DIR/MODEL/DEPLOYMENT.json, a whole new file in the
 * place of the old one. After a power cut it may be missing until the next time. */
#ifndef SLO_IO_KEEP_EXPORT_H
#define SLO_IO_KEEP_EXPORT_H

#include "io/agent/agent.h"

struct export
{
	struct agent *agent;
	ev_timer timer;
};

/* Writes nothing until it is configured. */
void export_init(struct export *e, struct agent *a);
/* a->conf is new. */
void export_configure(struct export *e);
void export_stop(struct export *e);
/* Profiles. */
struct export_result {
	size_t written, failed; /* why is in the log */
};
/* Writes what there is now. */
struct export_result export_write(struct export *e, slo_nsec now);

/* One profile, for free(); NULL: out of memory. `created` is in Unix seconds. */
char *export_text(const struct deployment *d, double percentile, double created);

#endif
