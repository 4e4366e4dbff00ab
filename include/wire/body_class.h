/* body_class.h - which requests are answered at about the same length, by what they say. */
#ifndef SLO_WIRE_BODY_CLASS_H
#define SLO_WIRE_BODY_CLASS_H

#include "wire/body.h"
#include "wire/endpoint.h"

#define BODY_CLASSES 32

/* limit: output tokens of one answer, as the client set it; -1: it did not.
 *
 * Bits, from what tells most: 4-3 the limit (none, up to 16, up to 256, more), 2-1 the kind (free
 * text of a chat, of a bare prompt, JSON or a grammar, tools), 0 a stream. So class >> 1 and
 * class >> 3 are coarser classes, for when a class was hardly seen. */
unsigned body_class(const struct body_info *b, const struct endpoint *e, int64_t limit);

#endif
