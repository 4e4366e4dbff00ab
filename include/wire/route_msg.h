/* route_msg.h - what HAProxy tells about a request: the SPOE message "slo-route".
 * Pure and without allocation; slices borrow from the payload. */
#ifndef SLO_WIRE_ROUTE_MSG_H
#define SLO_WIRE_ROUTE_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

#define ROUTE_MSG_ID_MAX 255 /* bytes */

/* A slice whose p is NULL was absent: not given, NULL, or of the wrong type. */
struct route_msg {
	bool found;      /* there was a slo-route message; without it the rest is absent */
	struct slice id; /* 1 to ROUTE_MSG_ID_MAX bytes, else absent */
	size_t long_id;  /* bytes of one that has more */
	struct slice model;
	struct slice strategy;
	struct slice path;
	struct slice secret;   /* of spop.secret */
	struct slice body;     /* the body or its first bytes */
	struct slice encoding; /* content-encoding of the body */
	struct slice ctype;    /* its content-type */
	struct slice trace;    /* traceparent */
	int64_t size; /* bytes the body has at least: the largest of size, clen, body.len */

	/* -1 when absent, negative, not a number or beyond int64. */
	int64_t prompt_tokens;
	int64_t max_tokens;
	int64_t slo_e2e_ms;
	int64_t slo_ttft_ms;
	int64_t slo_tpot_ms;
	int64_t priority;      /* 0 when absent, not a number or beyond int64 */
	struct slice bad;      /* one of those that was there and no number, and its name */
	struct slice bad_name; /* p NULL: none was */
	unsigned bad_count;
};

/* The name of the i-th argument that is understood; NULL: there are no more. */
const char *route_msg_argument(size_t i);
#define ROUTE_MSG_ARGUMENTS_MAX 64 /* fewer than that */

/* Reads the whole payload of a NOTIFY. Of several slo-route messages the first counts, of an
 * argument given twice the last. SLO_EPROTO: malformed bytes anywhere, *out is untouched. */
MUSTCHECK slo_err route_msg_parse(struct slice payload, struct route_msg *out);

#endif
