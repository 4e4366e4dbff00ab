/* body_class.h - which requests are answered at about the same length, by what they say. */
#ifndef SLO_WIRE_BODY_CLASS_H
#define SLO_WIRE_BODY_CLASS_H

#include "wire/body.h"
#include "wire/endpoint.h"

#define BODY_CLASSES       17
#define BODY_CLASS_UNKNOWN 0

/* By the limit (none, up to 16, up to 256, more) and by the kind: free text of a chat, of a bare
 * prompt, JSON or a grammar, tools. Unknown: the body cannot be read, or was cut before a limit was
 * seen. limit: output tokens of one answer, as the client set it; -1: it did not. */
unsigned body_class(const struct body_info *b, const struct endpoint *e, int64_t limit);

#endif
