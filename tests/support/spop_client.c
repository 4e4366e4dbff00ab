#include "spop_client.h"

#include "wire/rd.h"

static void kv_text(struct wr *w, const char *name, const char *text)
{
	if (text)
		spop_client_arg_str(w, name, text);
}

slo_err spop_client_hello_encode(struct wr *w, const struct spop_client_hello *h)
{
	const struct spop_value size = { .type = SPOP_T_UINT32, .u = h->max_frame_size };
	const struct spop_value yes = { .type = SPOP_T_BOOL, .b = true };
	size_t begin = spop_frame_begin(w, SPOP_HAPROXY_HELLO, 0, 0);

	kv_text(w, "supported-versions", h->versions);
	if (h->max_frame_size > 0)
		spop_kv_write(w, "max-frame-size", &size);
	kv_text(w, "capabilities", h->capabilities);
	if (h->healthcheck)
		spop_kv_write(w, "healthcheck", &yes);
	kv_text(w, "engine-id", h->engine_id);
	return spop_frame_end(w, begin);
}

slo_err spop_client_disconnect_encode(struct wr *w, enum spop_status status)
{
	const struct spop_value code = { .type = SPOP_T_UINT32, .u = status };
	size_t begin = spop_frame_begin(w, SPOP_HAPROXY_DISCONNECT, 0, 0);

	spop_kv_write(w, "status-code", &code);
	kv_text(w, "message", spop_status_text(status));
	return spop_frame_end(w, begin);
}

size_t spop_client_notify_begin(struct wr *w, uint64_t stream_id, uint64_t frame_id)
{
	return spop_frame_begin(w, SPOP_NOTIFY, stream_id, frame_id);
}

void spop_client_message(struct wr *w, const char *name, uint8_t nargs)
{
	wr_slice(w, slice_of(name));
	wr_u8(w, nargs);
}

void spop_client_arg(struct wr *w, const char *name, const struct spop_value *v)
{
	spop_kv_write(w, name, v);
}

void spop_client_arg_str(struct wr *w, const char *name, const char *text)
{
	spop_kv_write(w, name, &(struct spop_value){ .type = SPOP_T_STR, .s = slice_of(text) });
}

slo_err spop_client_notify_end(struct wr *w, size_t begin)
{
	return spop_frame_end(w, begin);
}

slo_err spop_client_agent_hello_decode(const struct spop_frame *f, struct spop_agent_hello *out)
{
	struct spop_agent_hello got = { .max_frame_size = 0 };
	int64_t size = 0;
	struct spop_arg kv;
	struct rd r;

	if (f->type != SPOP_AGENT_HELLO || f->stream_id != 0 || f->frame_id != 0)
		return SLO_EPROTO;
	rd_init(&r, f->payload);
	while (rd_left(&r) > 0) {
		if (!spop_kv_read(&r, &kv))
			return SLO_EPROTO;
		if (slice_eq(kv.name, "max-frame-size") && !spop_value_count(&kv.value, &size))
			return SLO_EPROTO;
		if (kv.value.type != SPOP_T_STR)
			continue;
		if (slice_eq(kv.name, "version"))
			got.version = kv.value.s;
		if (slice_eq(kv.name, "capabilities"))
			got.capabilities = kv.value.s;
	}
	if (!got.version.p || !got.capabilities.p || size < SPOP_MAX_FRAME_MIN || size > UINT32_MAX)
		return SLO_EPROTO;
	got.max_frame_size = (uint32_t)size;
	*out = got;
	return SLO_OK;
}

bool spop_client_var_next(struct rd *r, struct spop_client_var *var)
{
	uint8_t action;
	uint8_t nargs;

	if (rd_left(r) == 0)
		return false;
	action = rd_u8(r);
	nargs = rd_u8(r);
	var->scope = rd_u8(r);
	var->name = rd_slice(r);
	var->value = (struct spop_value){ .type = SPOP_T_NULL };
	if (action == SPOP_ACTION_SET_VAR && nargs == 3)
		return spop_value_read(r, &var->value);
	if (action != SPOP_ACTION_UNSET_VAR || nargs != 2)
		rd_fail(r);
	return !r->bad;
}
