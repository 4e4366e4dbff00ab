/* spop_client.h - HAProxy's side of SPOP, for load generators and tests.
 * Encoders write whole frames, prefix included; SLO_EFULL: w is bad, send nothing. */
#ifndef SLO_WIRE_SPOP_CLIENT_H
#define SLO_WIRE_SPOP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"
#include "wire/spop.h"
#include "wire/spop_hello.h"

/* NULL, and 0 as a size, leave the item out. */
struct spop_client_hello {
	const char *versions; /* comma list */
	uint32_t max_frame_size;
	const char *capabilities; /* comma list */
	const char *engine_id;
	bool healthcheck;
};

MUSTCHECK slo_err spop_client_hello_encode(struct wr *w, const struct spop_client_hello *h);
MUSTCHECK slo_err spop_client_disconnect_encode(struct wr *w, enum spop_status status);

/* A NOTIFY: begin, then for each message its head and exactly nargs arguments, end. */
size_t spop_client_notify_begin(struct wr *w, uint64_t stream_id, uint64_t frame_id);
void spop_client_message(struct wr *w, const char *name, uint8_t nargs);
void spop_client_arg(struct wr *w, const char *name, const struct spop_value *v);
void spop_client_arg_str(struct wr *w, const char *name, const char *text);
MUSTCHECK slo_err spop_client_notify_end(struct wr *w, size_t begin);

struct spop_agent_hello {
	struct slice version;
	struct slice capabilities;
	uint32_t max_frame_size;
};

/* SLO_EPROTO: malformed, or one of the three is missing. */
MUSTCHECK slo_err spop_client_agent_hello_decode(const struct spop_frame *f,
                                                 struct spop_agent_hello *out);

/* A variable that the agent sets; NULL is its value when it is unset. */
struct spop_client_var {
	uint8_t scope;
	struct slice name;
	struct spop_value value;
};

/* Walks an ACK's payload. False at the end or at an error: r->bad tells. */
bool spop_client_var_next(struct rd *r, struct spop_client_var *var);

#endif
