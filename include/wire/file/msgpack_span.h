/* msgpack_span.h - MessagePack of a stranger: how many bytes an object takes, without believing it,
 * and an array out of such bytes.
 *
 * msgpack-c asks for the memory that an array claims to need before it has seen an element. What
 * has a span never claims more elements than there are bytes. */
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
