/* ends.h - what HAProxy's log lines tell: how a request ended and who answered it, and news of
 * servers.
 *
 * An end line closes its request, wherever that is. What it says of the answer is counted for the
 * server that gave it, which is not always the one that was chosen. Whether a promise was kept is
 * judged by all targets of the request. The time to the first token is that of a stream; a whole
 * answer has none. */
#ifndef SLO_IO_AGENT_ENDS_H
#define SLO_IO_AGENT_ENDS_H

#include "io/agent/agent.h"

/* A line on the event listeners, end line or notice; peer is for the log. `local`: it came by a
 * unix socket, so no secret is asked for. False: neither, or the secret is wrong. */
bool ends_line(struct agent *a, slo_nsec now, const uint8_t *line, size_t len, bool local,
               const char *peer);
/* Whether the end line about that id is but a copy of one that came before; it is counted then, and
 * need not be read. */
bool ends_copy(struct agent *a, struct slice id);

#endif
