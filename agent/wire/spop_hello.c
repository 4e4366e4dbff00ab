/* A HELLO is read in two steps: first all of its values, in any order, then the judgement. So the
 * status that HAProxy gets does not depend on the order of the values, and is the one its own
 * documentation gives for what is missing or wrong. */
#include "wire/spop_hello.h"

#include <stddef.h>

#include "wire/rd.h"

static const char *const status_text[] = {
	[SPOP_S_NORMAL] = "normal",
	[SPOP_S_IO] = "I/O error",
	[SPOP_S_TIMEOUT] = "timeout",
	[SPOP_S_TOO_BIG] = "frame too big",
	[SPOP_S_INVALID] = "invalid frame",
	[SPOP_S_NO_VERSION] = "no version in HELLO",
	[SPOP_S_NO_MAX_FRAME] = "no max-frame-size in HELLO",
	[SPOP_S_NO_CAPABILITIES] = "no capabilities in HELLO",
	[SPOP_S_BAD_VERSION] = "unsupported version",
	[SPOP_S_BAD_MAX_FRAME] = "max-frame-size too big or too small",
	[SPOP_S_NO_FRAGMENTATION] = "fragmentation not supported",
	[SPOP_S_INTERLACED] = "interlaced fragments",
	[SPOP_S_NO_FRAME_ID] = "frame-id not found",
	[SPOP_S_NO_RESOURCES] = "out of resources",
};

const char *spop_status_text(uint32_t status)
{
	if (status < sizeof(status_text) / sizeof(status_text[0]))
		return status_text[status];
	return "unknown error";
}

/* The values of a HELLO as they came; which of them must be there is judged at the end. */
struct offer {
	struct slice versions; /* p is NULL until seen, as below */
	struct slice capabilities;
	struct slice engine_id;
	int64_t max_frame_size; /* 0: not a size */
	bool has_max_frame_size;
	bool healthcheck;
};

static bool take_str(struct slice *dst, const struct spop_value *v)
{
	if (v->type != SPOP_T_STR)
		return false;
	*dst = v->s;
	return true;
}

static bool take_size(struct offer *o, const struct spop_value *v)
{
	o->max_frame_size = 0;
	o->has_max_frame_size = true;
	return spop_value_count(v, &o->max_frame_size) || spop_value_is_int(v);
}

static bool take_healthcheck(struct offer *o, const struct spop_value *v)
{
	if (v->type != SPOP_T_BOOL)
		return false;
	o->healthcheck = v->b;
	return true;
}

/* False: a value of the wrong type. */
static bool take(struct offer *o, const struct spop_arg *kv)
{
	if (slice_eq(kv->name, "supported-versions"))
		return take_str(&o->versions, &kv->value);
	if (slice_eq(kv->name, "max-frame-size"))
		return take_size(o, &kv->value);
	if (slice_eq(kv->name, "capabilities"))
		return take_str(&o->capabilities, &kv->value);
	if (slice_eq(kv->name, "engine-id"))
		return take_str(&o->engine_id, &kv->value);
	if (slice_eq(kv->name, "healthcheck"))
		return take_healthcheck(o, &kv->value);
	return true;
}

/* "2" or "2." and digits. */
static bool is_version_2(struct slice s)
{
	if (s.len == 0 || s.p[0] != '2')
		return false;
	if (s.len == 1)
		return true;
	if (s.len == 2 || s.p[1] != '.')
		return false;
	for (size_t i = 2; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

static bool has_version_2(struct slice list)
{
	struct slice item;
	struct rd r;

	rd_init(&r, list);
	while (rd_item(&r, ',', &item))
		if (is_version_2(item))
			return true;
	return false;
}

/* Known ones; HAProxy may have others. */
static void read_capabilities(struct slice list, struct spop_hello *h)
{
	struct slice item;
	struct rd r;

	rd_init(&r, list);
	while (rd_item(&r, ',', &item)) {
		h->pipelining |= slice_eq(item, "pipelining");
		h->async |= slice_eq(item, "async");
		h->fragmentation |= slice_eq(item, "fragmentation");
	}
}

/* In the order of the specification: the first thing that is wrong is told. */
static enum spop_status judge(const struct offer *o)
{
	if (!o->versions.p)
		return SPOP_S_NO_VERSION;
	if (!has_version_2(o->versions))
		return SPOP_S_BAD_VERSION;
	if (!o->has_max_frame_size)
		return SPOP_S_NO_MAX_FRAME;
	if (o->max_frame_size < SPOP_MAX_FRAME_MIN || o->max_frame_size > UINT32_MAX)
		return SPOP_S_BAD_MAX_FRAME;
	if (!o->capabilities.p)
		return SPOP_S_NO_CAPABILITIES;
	return SPOP_S_NORMAL;
}

/* HELLO and DISCONNECT belong to the connection: no stream, no fragments. */
static enum spop_status check_control(const struct spop_frame *f)
{
	if (f->stream_id != 0 || f->frame_id != 0 || (f->flags & SPOP_ABORT))
		return SPOP_S_INVALID;
	if (!(f->flags & SPOP_FIN))
		return SPOP_S_NO_FRAGMENTATION;
	return SPOP_S_NORMAL;
}

enum spop_status spop_hello_decode(const struct spop_frame *f, struct spop_hello *out)
{
	struct offer o = { .has_max_frame_size = false };
	enum spop_status status = check_control(f);
	struct spop_arg kv;
	struct rd r;

	if (f->type != SPOP_HAPROXY_HELLO)
		return SPOP_S_INVALID;
	if (status != SPOP_S_NORMAL)
		return status;
	rd_init(&r, f->payload);
	while (rd_left(&r) > 0)
		if (!spop_kv_read(&r, &kv) || !take(&o, &kv))
			return SPOP_S_INVALID;
	status = judge(&o);
	if (status != SPOP_S_NORMAL)
		return status;
	*out = (struct spop_hello){ .max_frame_size = (uint32_t)o.max_frame_size,
		                    .healthcheck = o.healthcheck,
		                    .engine_id = o.engine_id };
	read_capabilities(o.capabilities, out);
	return SPOP_S_NORMAL;
}

static struct spop_value text(const char *s)
{
	return (struct spop_value){ .type = SPOP_T_STR, .s = slice_of(s) };
}

static struct spop_value number(uint32_t n)
{
	return (struct spop_value){ .type = SPOP_T_UINT32, .u = n };
}

slo_err spop_agent_hello_encode(struct wr *w, uint32_t max_frame_size, const char *capabilities)
{
	size_t begin = spop_frame_begin(w, SPOP_AGENT_HELLO, 0, 0);
	struct spop_value version = text("2.0");
	struct spop_value size = number(max_frame_size);
	struct spop_value caps = text(capabilities);

	spop_kv_write(w, "version", &version);
	spop_kv_write(w, "max-frame-size", &size);
	spop_kv_write(w, "capabilities", &caps);
	return spop_frame_end(w, begin);
}

slo_err spop_disconnect_decode(const struct spop_frame *f, struct spop_disconnect *out)
{
	struct spop_disconnect got = { .message = { .p = NULL, .len = 0 } };
	int64_t status = -1;
	struct spop_arg kv;
	struct rd r;

	if (f->type != SPOP_HAPROXY_DISCONNECT && f->type != SPOP_AGENT_DISCONNECT)
		return SLO_EPROTO;
	if (check_control(f) != SPOP_S_NORMAL)
		return SLO_EPROTO;
	rd_init(&r, f->payload);
	while (rd_left(&r) > 0) {
		if (!spop_kv_read(&r, &kv))
			return SLO_EPROTO;
		if (slice_eq(kv.name, "status-code") && !spop_value_count(&kv.value, &status))
			return SLO_EPROTO;
		if (slice_eq(kv.name, "message") && !take_str(&got.message, &kv.value))
			return SLO_EPROTO;
	}
	if (status < 0 || status > UINT32_MAX)
		return SLO_EPROTO;
	got.status = (uint32_t)status;
	*out = got;
	return SLO_OK;
}

slo_err spop_agent_disconnect_encode(struct wr *w, enum spop_status status)
{
	size_t begin = spop_frame_begin(w, SPOP_AGENT_DISCONNECT, 0, 0);
	struct spop_value code = number(status);
	struct spop_value message = text(spop_status_text(status));

	spop_kv_write(w, "status-code", &code);
	spop_kv_write(w, "message", &message);
	return spop_frame_end(w, begin);
}
