/* msgpack_span.h - MessagePack from outside: the length of an object, found without trusting what
 * it claims, and an array read out of such bytes.
 *
 * msgpack-c allocates room for all elements that an array claims to have before it has seen one: a
 * few bytes can ask for gigabytes. After msgpack_span() succeeded, no count in the object exceeds
 * the bytes that are there. */
#ifndef SLO_WIRE_FILE_MSGPACK_SPAN_H
#define SLO_WIRE_FILE_MSGPACK_SPAN_H

#include <msgpack.h>

#include "slo.h"

/* SLO_ESHORT: the object goes on behind `in`. SLO_EPROTO: no MessagePack. */
MUSTCHECK slo_err msgpack_span(struct slice in, size_t *span);

/* The array that `in` begins with, and its span. u owns the elements, until it is used again; texts
 * stay in `in`. SLO_ESHORT: it goes on behind `in`. SLO_EPROTO: it is no array, or takes more than
 * `longest` bytes. SLO_ENOMEM. */
MUSTCHECK slo_err msgpack_span_array(struct slice in, size_t longest, msgpack_unpacked *u,
                                     msgpack_object_array *out, size_t *span);

#endif
