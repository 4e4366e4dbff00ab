/* spop_hello.h - how an SPOP connection starts and ends: HELLO and DISCONNECT.
 * Their payload is a list of named values; names we do not know are skipped, and of one
 * given twice the last counts. Slices borrow from the frame. */
#ifndef SLO_WIRE_SPOP_HELLO_H
#define SLO_WIRE_SPOP_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"
#include "wire/spop.h"
#include "wire/wr.h"

/* Why a connection ends, as DISCONNECT says it. */
enum spop_status {
	SPOP_S_NORMAL = 0,
	SPOP_S_IO = 1,
	SPOP_S_TIMEOUT = 2,
	SPOP_S_TOO_BIG = 3,
	SPOP_S_INVALID = 4,
	SPOP_S_NO_VERSION = 5,
	SPOP_S_NO_MAX_FRAME = 6,
	SPOP_S_NO_CAPABILITIES = 7,
	SPOP_S_BAD_VERSION = 8,
	SPOP_S_BAD_MAX_FRAME = 9,
	SPOP_S_NO_FRAGMENTATION = 10,
	SPOP_S_INTERLACED = 11,
	SPOP_S_NO_FRAME_ID = 12,
	SPOP_S_NO_RESOURCES = 13,
	SPOP_S_UNKNOWN = 99,
};

const char *spop_status_text(uint32_t status); /* any number: never NULL */

/* What HAProxy offers. That it speaks version 2 is a condition, not a field. */
struct spop_hello {
	uint32_t max_frame_size; /* bytes of content, at least SPOP_MAX_FRAME_MIN */
	bool pipelining;
	bool async;
	bool fragmentation;
	bool healthcheck;       /* it wants an answer and will then leave */
	struct slice engine_id; /* p is NULL when it did not say */
};

/* SPOP_S_NORMAL: *out is set. Anything else: what to say in AGENT-DISCONNECT. */
MUSTCHECK enum spop_status spop_hello_decode(const struct spop_frame *f, struct spop_hello *out);

/* One whole frame, prefix included. capabilities is a comma list, "" for none; max_frame_size
 * must not be more than HAProxy offered. SLO_EFULL: nothing to send. */
MUSTCHECK slo_err spop_agent_hello_encode(struct wr *w, uint32_t max_frame_size,
                                          const char *capabilities);

struct spop_disconnect {
	uint32_t status;      /* may be one that enum spop_status does not have */
	struct slice message; /* p is NULL when there is none */
};

/* HAProxy's or the agent's. SLO_EPROTO: malformed, or without a status. */
MUSTCHECK slo_err spop_disconnect_decode(const struct spop_frame *f, struct spop_disconnect *out);

/* One whole frame, with the status and its text. SLO_EFULL: nothing to send. */
MUSTCHECK slo_err spop_agent_disconnect_encode(struct wr *w, enum spop_status status);

/* Room that is enough for either of the two frames we send. */
#define SPOP_CONTROL_MAX 256

#endif
