/* msgpack_span.h - how many bytes one MessagePack object takes, without believing it.
 *
 * msgpack-c asks for the memory that an array claims to need before it has seen an element. What
 * has a span never claims more elements than there are bytes. */
#ifndef SLO_WIRE_MSGPACK_SPAN_H
#define SLO_WIRE_MSGPACK_SPAN_H

#include "slo.h"

/* SLO_ESHORT: the object goes on behind `in`. SLO_EPROTO: no MessagePack. */
MUSTCHECK slo_err msgpack_span(struct slice in, size_t *span);

#endif
