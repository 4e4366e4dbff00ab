#include "wire/spop.h"

#define IPV4_SIZE 4
#define IPV6_SIZE 16

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
	rd_fail(r);
	return 0;
}

static uint64_t read_uint32(struct rd *r)
{
	uint64_t v = rd_varint(r);

	if (v > UINT32_MAX)
		rd_fail(r);
	return v;
}

bool spop_value_rest(struct rd *r, uint8_t head, struct spop_value *v)
{
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
		rd_fail(r);
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

void spop_kv_write(struct wr *w, const char *name, const struct spop_value *v)
{
	wr_slice(w, slice_of(name));
	spop_value_write(w, v);
}
