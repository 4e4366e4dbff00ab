/* meaning.h - what an engine's page, or that there was none, means for the scheduler. */
#ifndef SLO_IO_ENGINES_MEANING_H
#define SLO_IO_ENGINES_MEANING_H

#include "io/agent/agent.h"

/* The engine of s told these facts when it was asked at `asked`. */
void engine_told(struct agent *a, slo_nsec now, struct roster_server *s, slo_nsec asked,
                 const struct engine_facts *facts);
void engine_missed(struct agent *a, slo_nsec now, struct roster_server *s, const char *why);
/* Nobody knows where the engine of s is, so what it told holds no more. */
void engine_unasked(struct agent *a, slo_nsec now, struct roster_server *s);
/* s is not asked any more. */
void engine_forget(struct agent *a, slo_nsec now, struct roster_server *s);

#endif
