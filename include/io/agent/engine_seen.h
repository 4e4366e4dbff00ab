/* engine_seen.h - what is known of the LLM engine behind a server: where it is, what it said of
 * itself last and when. io/engines asks and fills it in; without "engines" in the configuration no
 * server has one. */
#ifndef SLO_IO_AGENT_ENGINE_SEEN_H
#define SLO_IO_AGENT_ENGINE_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "io/agent/engine_sums.h"
#include "slo.h"
#include "wire/engine_text.h"

#define ENGINE_ADDRESS_MAX 64 /* bytes of an IP address as text, and its end */
#define ENGINE_WHY_MAX     160

/* Codes of warnings, about a server each (warn.h). */
#define ENGINE_SILENT  "engine-silent"  /* it tells no metrics */
#define ENGINE_CROWDED "engine-crowded" /* requests wait in it that should not have to */

struct engine_seen {
	char address[ENGINE_ADDRESS_MAX]; /* as HAProxy says; "": not told, or no IP address */
	uint32_t port;
	struct engine_facts facts; /* of its last whole answer */
	slo_nsec told;             /* when that was asked for; -1: there was none */
	slo_nsec due;              /* when to ask next */
	bool asked;                /* the question is open */
	bool silent;               /* it did not answer last; the log was told */
	uint32_t idle;             /* so many pages one after the other say that nothing is in it */
	struct engine_queue queue;
	struct engine_window window;
	uint64_t answers, failures;
	char why[ENGINE_WHY_MAX]; /* the last failure */
};

#endif
