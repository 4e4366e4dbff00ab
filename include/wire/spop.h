/* spop.h - SPOP 2.0: frames, typed values, the messages of a NOTIFY, the actions of an ACK.
 * Pure and without allocation; every slice borrows from the bytes given in.
 *
 *   frame    length:4 BE | type:1 | flags:4 BE | stream-id:varint | frame-id:varint | payload
 *   message  name:string | number of arguments:1 | { name:string | value } ...
 *   value    flags:4 bits, type:4 bits | content
 *
 * The length does not count itself; neither does max-frame-size. */
#ifndef SLO_WIRE_SPOP_H
#define SLO_WIRE_SPOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"
#include "wire/rd.h"
#include "wire/wr.h"

#define SPOP_LENGTH_SIZE   4   /* the prefix before each frame */
#define SPOP_FRAME_MIN     7   /* type, flags and two ids of one byte */
#define SPOP_MAX_FRAME_MIN 256 /* a peer may not agree to less */

enum spop_frame_type {
	SPOP_UNSET = 0, /* continues a fragmented NOTIFY */
	SPOP_HAPROXY_HELLO = 1,
	SPOP_HAPROXY_DISCONNECT = 2,
	SPOP_NOTIFY = 3,
	SPOP_AGENT_HELLO = 101,
	SPOP_AGENT_DISCONNECT = 102,
	SPOP_ACK = 103,
};

#define SPOP_FIN   UINT32_C(0x1) /* the last fragment, or the only one */
#define SPOP_ABORT UINT32_C(0x2) /* the peer gives up this fragmented frame */

struct spop_frame {
	uint8_t type; /* an enum spop_frame_type, or one we do not know */
	uint32_t flags;
	uint64_t stream_id; /* unique within a connection only */
	uint64_t frame_id;
	struct slice payload;
};

/* Whether buf starts with a whole frame of at most max_frame bytes of content. SLO_OK:
 * *whole is its size with the prefix. SLO_ESHORT: wait for more. SLO_ETOOBIG, known as soon
 * as the prefix is there, and SLO_EPROTO (too small to be a frame): disconnect. */
MUSTCHECK slo_err spop_peek(const uint8_t *buf, size_t len, uint32_t max_frame, size_t *whole);

/* Takes a frame's content apart, that is the frame without its prefix. Only SLO_EPROTO:
 * the ids do not fit. Types and flags are the caller's to judge. */
MUSTCHECK slo_err spop_frame(const uint8_t *content, size_t len, struct spop_frame *f);

enum spop_type {
	SPOP_T_NULL = 0,
	SPOP_T_BOOL = 1,   /* b */
	SPOP_T_INT32 = 2,  /* i */
	SPOP_T_UINT32 = 3, /* u */
	SPOP_T_INT64 = 4,  /* i */
	SPOP_T_UINT64 = 5, /* u */
	SPOP_T_IPV4 = 6,   /* s, 4 bytes, network order */
	SPOP_T_IPV6 = 7,   /* s, 16 bytes, network order */
	SPOP_T_STR = 8,    /* s */
	SPOP_T_BIN = 9,    /* s */
};

struct spop_value {
	enum spop_type type; /* says which member below is set */
	union {
		struct slice s;
		int64_t i;
		uint64_t u;
		bool b;
	};
};

#define SPOP_TYPE_MASK 0x0f /* of a value's first byte */

/* What follows the first byte, whose type v has already. */
bool spop_value_rest(struct rd *r, uint8_t head, struct spop_value *v);

/* False: an unknown type, a number outside its type, or too short; r is bad then, *v undefined.
 * Inline for what most arguments are: a text, or nothing. */
static inline bool spop_value_read(struct rd *r, struct spop_value *v)
{
	uint8_t head = rd_u8(r);

	v->type = (enum spop_type)(head & SPOP_TYPE_MASK);
	if (v->type == SPOP_T_STR || v->type == SPOP_T_BIN) {
		v->s = rd_slice(r);
		return !r->bad;
	}
	if (v->type != SPOP_T_NULL) {
		struct rd copy = *r; /* see struct rd_varint */

		(void)spop_value_rest(&copy, head, v);
		*r = copy;
	}
	return !r->bad;
}

void spop_value_write(struct wr *w, const struct spop_value *v);

bool spop_value_is_int(const struct spop_value *v); /* any of the four integer types */
/* True: an integer from 0 to INT64_MAX, now in *n. */
static inline bool spop_value_count(const struct spop_value *v, int64_t *n)
{
	switch (v->type) {
	case SPOP_T_INT32:
	case SPOP_T_INT64:
		if (v->i < 0)
			return false;
		*n = v->i;
		return true;
	case SPOP_T_UINT32:
	case SPOP_T_UINT64:
		if (v->u > INT64_MAX)
			return false;
		*n = (int64_t)v->u;
		return true;
	default:
		return false;
	}
}

struct spop_arg {
	struct slice name;
	struct spop_value value;
};

static inline bool spop_kv_read(struct rd *r, struct spop_arg *kv) /* false: r is bad */
{
	kv->name = rd_slice(r);
	return spop_value_read(r, &kv->value);
}

struct spop_msg {
	struct slice name;
	unsigned int args_left; /* arguments not read yet */
};

/* Walk a NOTIFY's payload: start with a zeroed message and r at the payload. Arguments left
 * unread are skipped by the next step. False at the end or at an error: r->bad tells. */
static inline bool spop_arg_next(struct rd *r, struct spop_msg *m, struct spop_arg *arg)
{
	if (m->args_left == 0)
		return false;
	m->args_left--;
	return spop_kv_read(r, arg);
}

static inline bool spop_msg_next(struct rd *r, struct spop_msg *m)
{
	struct spop_arg skipped;

	while (spop_arg_next(r, m, &skipped))
		;
	if (rd_left(r) == 0)
		return false;
	m->name = rd_slice(r);
	m->args_left = rd_u8(r);
	return !r->bad;
}

void spop_kv_write(struct wr *w, const char *name, const struct spop_value *v);

/* Any frame: begin, write the payload, end with what begin returned. SLO_EFULL: it did not
 * fit, w is bad and nothing of it may be sent. */
static inline size_t spop_frame_begin(struct wr *w, enum spop_frame_type type, uint64_t stream_id,
                                      uint64_t frame_id)
{
	size_t begin = wr_len(w);

	wr_u32be(w, 0); /* the length, known at the end */
	wr_u8(w, (uint8_t)type);
	wr_u32be(w, SPOP_FIN);
	wr_varint(w, stream_id);
	wr_varint(w, frame_id);
	return begin;
}

MUSTCHECK static inline slo_err spop_frame_end(struct wr *w, size_t begin)
{
	size_t whole = wr_len(w) - begin;

	if (w->bad || whole - SPOP_LENGTH_SIZE > UINT32_MAX) {
		w->bad = true;
		return SLO_EFULL;
	}
	wr_patch_u32be(w, begin, (uint32_t)(whole - SPOP_LENGTH_SIZE));
	return SLO_OK;
}

#define SPOP_ACTION_SET_VAR   1
#define SPOP_ACTION_UNSET_VAR 2
#define SPOP_SCOPE_TXN        2

/* ACK: begin, any number of variables of scope txn, end. The names are without prefix, shorter
 * than 240 bytes. Give w no more room than the prefix and the agreed max-frame-size. */
static inline size_t spop_ack_begin(struct wr *w, uint64_t stream_id, uint64_t frame_id)
{
	return spop_frame_begin(w, SPOP_ACK, stream_id, frame_id);
}

MUSTCHECK static inline slo_err spop_ack_end(struct wr *w, size_t begin)
{
	return spop_frame_end(w, begin);
}

/* All of a variable but its content. Inline, so that a literal name is a constant: one test of the
 * room, then a few stores. */
static inline void spop_ack_var(struct wr *w, const char *name, enum spop_type type)
{
	struct slice n = slice_of(name);
	uint8_t *p = wr_room(w, 4 + n.len + 1);

	if (w->bad)
		return;
	p[0] = SPOP_ACTION_SET_VAR;
	p[1] = 3; /* arguments: scope, name, value */
	p[2] = SPOP_SCOPE_TXN;
	p[3] = (uint8_t)n.len;
	memcpy(p + 4, n.p, n.len);
	p[4 + n.len] = (uint8_t)type;
}

static inline void spop_ack_set_str(struct wr *w, const char *name, struct slice value)
{
	spop_ack_var(w, name, SPOP_T_STR);
	wr_slice(w, value);
}

static inline void spop_ack_set_int(struct wr *w, const char *name, int64_t value)
{
	spop_ack_var(w, name, SPOP_T_INT64);
	wr_varint(w, (uint64_t)value);
}

/* The largest ACK of ours, prefix included: five strings and three integers, as long as no
 * name is longer than "retry_after" and no string longer than SPOP_ACK_STR_MAX. */
#define SPOP_ACK_NAME_MAX 11
#define SPOP_ACK_STR_MAX  255
#define SPOP_ACK_HEAD_MAX (SPOP_LENGTH_SIZE + 1 + 4 + 10 + 10)
#define SPOP_ACK_VAR_MAX  (3 + 1 + SPOP_ACK_NAME_MAX + 1) /* all of it but the content */
#define SPOP_ACK_MAX                                                         \
	(SPOP_ACK_HEAD_MAX + 5 * (SPOP_ACK_VAR_MAX + 2 + SPOP_ACK_STR_MAX) + \
	 3 * (SPOP_ACK_VAR_MAX + 10))

#endif
