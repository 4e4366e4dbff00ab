#include "wire/spop.h"

#define IPV4_SIZE 4
#define IPV6_SIZE 16

#define TYPE_MASK 0x0f
#define FLAG_TRUE 0x10 /* a boolean's value lies in the flags beside its type */

slo_err spop_peek(const uint8_t *buf, size_t len, uint32_t max_frame, size_t *whole)
{
	struct rd r;
	uint32_t content;

	rd_init(&r, (struct slice){ .p = buf, .len = len });
	content = rd_u32be(&r);
	if (r.bad)
		return SLO_ESHORT;
	if (content < SPOP_FRAME_MIN)
		return SLO_EPROTO;
	if (content > max_frame)
		return SLO_ETOOBIG;
	if (content > rd_left(&r))
		return SLO_ESHORT;
	*whole = (size_t)SPOP_LENGTH_SIZE + content;
	return SLO_OK;
}

slo_err spop_frame(const uint8_t *content, size_t len, struct spop_frame *f)
{
	struct spop_frame got;
	struct rd r;

	rd_init(&r, (struct slice){ .p = content, .len = len });
	got.type = rd_u8(&r);
	got.flags = rd_u32be(&r);
	got.stream_id = rd_varint(&r);
	got.frame_id = rd_varint(&r);
	got.payload = rd_bytes(&r, rd_left(&r));
	if (r.bad)
		return SLO_EPROTO;
	*f = got;
	return SLO_OK;
}

/* A negative INT32 comes as 32 bits or sign-extended to 64: both are in use. */
static int64_t read_int32(struct rd *r)
{
	uint64_t v = rd_varint(r);

	if (v <= UINT32_MAX)
		return (int32_t)(uint32_t)v;
	if ((int64_t)v >= INT32_MIN && (int64_t)v < 0)
		return (int64_t)v;
	r->bad = true;
	return 0;
}

static uint64_t read_uint32(struct rd *r)
{
	uint64_t v = rd_varint(r);

	if (v > UINT32_MAX)
		r->bad = true;
	return v;
}

bool spop_value_read(struct rd *r, struct spop_value *v)
{
	uint8_t head = rd_u8(r);

	v->type = (enum spop_type)(head & TYPE_MASK);
	switch (v->type) {
	case SPOP_T_NULL:
		break;
	case SPOP_T_BOOL:
		v->b = (head & FLAG_TRUE) != 0;
		break;
	case SPOP_T_INT32:
		v->i = read_int32(r);
		break;
	case SPOP_T_UINT32:
		v->u = read_uint32(r);
		break;
	case SPOP_T_INT64:
		v->i = (int64_t)rd_varint(r);
		break;
	case SPOP_T_UINT64:
		v->u = rd_varint(r);
		break;
	case SPOP_T_IPV4:
		v->s = rd_bytes(r, IPV4_SIZE);
		break;
	case SPOP_T_IPV6:
		v->s = rd_bytes(r, IPV6_SIZE);
		break;
	case SPOP_T_STR:
	case SPOP_T_BIN:
		v->s = rd_slice(r);
		break;
	default: /* its length is unknown, so is everything after it */
		r->bad = true;
		break;
	}
	return !r->bad;
}

void spop_value_write(struct wr *w, const struct spop_value *v)
{
	wr_u8(w, (uint8_t)(v->type | (v->type == SPOP_T_BOOL && v->b ? FLAG_TRUE : 0)));
	switch (v->type) {
	case SPOP_T_NULL:
	case SPOP_T_BOOL:
		break;
	case SPOP_T_INT32:
	case SPOP_T_INT64:
		wr_varint(w, (uint64_t)v->i);
		break;
	case SPOP_T_UINT32:
	case SPOP_T_UINT64:
		wr_varint(w, v->u);
		break;
	case SPOP_T_IPV4:
	case SPOP_T_IPV6:
		wr_bytes(w, v->s);
		break;
	case SPOP_T_STR:
	case SPOP_T_BIN:
		wr_slice(w, v->s);
		break;
	}
}

bool spop_value_is_int(const struct spop_value *v)
{
	return v->type >= SPOP_T_INT32 && v->type <= SPOP_T_UINT64;
}

bool spop_kv_read(struct rd *r, struct spop_arg *kv)
{
	kv->name = rd_slice(r);
	return spop_value_read(r, &kv->value);
}

void spop_kv_write(struct wr *w, const char *name, const struct spop_value *v)
{
	wr_slice(w, slice_of(name));
	spop_value_write(w, v);
}

bool spop_arg_next(struct rd *r, struct spop_msg *m, struct spop_arg *arg)
{
	if (m->args_left == 0)
		return false;
	m->args_left--;
	return spop_kv_read(r, arg);
}

bool spop_msg_next(struct rd *r, struct spop_msg *m)
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

size_t spop_frame_begin(struct wr *w, enum spop_frame_type type, uint64_t stream_id,
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

slo_err spop_frame_end(struct wr *w, size_t begin)
{
	size_t whole = wr_len(w) - begin;

	if (w->bad || whole - SPOP_LENGTH_SIZE > UINT32_MAX) {
		w->bad = true;
		return SLO_EFULL;
	}
	wr_patch_u32be(w, begin, (uint32_t)(whole - SPOP_LENGTH_SIZE));
	return SLO_OK;
}

size_t spop_ack_begin(struct wr *w, uint64_t stream_id, uint64_t frame_id)
{
	return spop_frame_begin(w, SPOP_ACK, stream_id, frame_id);
}

slo_err spop_ack_end(struct wr *w, size_t begin)
{
	return spop_frame_end(w, begin);
}
