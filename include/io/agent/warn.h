/* warn.h - what is wrong between HAProxy, agent and engines, as long as it is: a list of sentences
 * for the log, /state.json, the page, slo-ctl doctor and a metric.
 *
 * Whoever notices sets a warning, and clears it when it holds no longer. A warning is known by its
 * code, which never changes, and by what it is about, since several servers may have the same
 * trouble. Setting it again only counts, and keeps the newer sentence. The log says a warning once
 * when it comes and once when it goes.
 *
 * Bounded: beyond WARNINGS_MAX a new one is counted and left out. */
#ifndef SLO_IO_AGENT_WARN_H
#define SLO_IO_AGENT_WARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"

#define WARNINGS_MAX     64
#define WARN_CODE_MAX    31  /* bytes; longer ones are cut */
#define WARN_SUBJECT_MAX 127 /* likewise */
#define WARN_TEXT_MAX    511 /* likewise */

struct agent;

/* All texts are printable ASCII: what is not is '?'. */
struct warning {
	char code[WARN_CODE_MAX + 1];
	char subject[WARN_SUBJECT_MAX + 1]; /* "": it is about all */
	char text[WARN_TEXT_MAX + 1];
	slo_nsec since, last; /* set first, set last */
	uint64_t times;       /* so often it was set */
};

struct warnings {
	size_t count;
	struct warning warning[WARNINGS_MAX]; /* the oldest first */
	uint64_t left_out;                    /* set while the list was full */
	bool
	    stops; /* the agent does: what is taken out now may go on, and is not said to be over */
};

/* subject NULL is "". True: it was not in the list. */
COLD bool warn_set(struct agent *a, slo_nsec now, const char *code, const char *subject,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* True: it was in the list. */
COLD bool warn_clear(struct agent *a, slo_nsec now, const char *code, const char *subject);
/* Those of this code, whatever they are about. */
COLD void warn_clear_all(struct agent *a, slo_nsec now, const char *code);
/* Those of them that were not set (again) since then. */
COLD void warn_clear_older(struct agent *a, slo_nsec now, const char *code, slo_nsec since);
/* NULL: it is not in the list. */
const struct warning *warn_find(const struct warnings *w, const char *code, const char *subject);

#endif
