/* engines.h - asks the LLM engines behind the servers for their metrics, and what the answers mean
 * for the scheduler.
 *
 * Each server whose address is known is asked every `poll`, a few at a time. What it said last is
 * in its struct engine_seen. An engine that does not answer, or whose page tells nothing, changes
 * nothing: the agent works as if it were not asked. */
#ifndef SLO_IO_ENGINES_ENGINES_H
#define SLO_IO_ENGINES_ENGINES_H

#include "io/agent/agent.h"

#define ENGINES_DESCRIPTORS 80 /* for pages that come, and connections that are kept */

struct engines;

/* Asks nobody until it is configured. NULL: out of memory. */
struct engines *engines_new(struct agent *a);
void engines_free(struct engines *e); /* NULL is accepted */
/* a->conf is new, or the fleet. */
void engines_configure(struct engines *e);

#endif
