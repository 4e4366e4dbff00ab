/* The reading half; record_writer.c writes. record_members.c lists what each kind of event has, so
 * neither half knows the kinds. */
#include "wire/file/record.h"

#include <stdlib.h>
#include <string.h>

#include "record_private.h"
#include "wire/file/msgpack_span.h"

#define LONGEST_PROFILE ((size_t)64 << 20) /* bytes */
#define LONGEST_OTHER   ((size_t)128 << 10)

struct record_reader {
	msgpack_unpacked unpacked;
	slo_nsec now;
	int64_t *list;
	size_t list_cap;
};

struct record_reader *record_reader_new(void)
{
	struct record_reader *r = calloc(1, sizeof(*r));

	if (r)
		msgpack_unpacked_init(&r->unpacked);
	return r;
}

void record_reader_free(struct record_reader *r)
{
	if (!r)
		return;
	msgpack_unpacked_destroy(&r->unpacked);
	free(r->list);
	free(r);
}

bool record_is_head(struct slice file, bool *known)
{
	static const char head[] = RECORD_HEAD;

	if (file.len < RECORD_HEAD_LEN || memcmp(file.p, head, RECORD_HEAD_LEN - 2) != 0)
		return false;
	*known = memcmp(file.p, head, RECORD_HEAD_LEN) == 0;
	return true;
}

static bool get_u64(const msgpack_object *o, uint64_t most, uint64_t *out)
{
	*out = o->via.u64;
	return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && *out <= most;
}

static bool get_i64(const msgpack_object *o, int64_t *out)
{
	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 > INT64_MAX)
		return false;
	*out = o->via.i64;
	return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
	       o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

/* Unsigned arithmetic: where it wraps around, it did so in the writer too. */
static bool get_time(const msgpack_object *o, slo_nsec from, bool before, slo_nsec *out)
{
	uint64_t base = (uint64_t)from;
	int64_t span;

	if (!get_i64(o, &span))
		return false;
	*out = (slo_nsec)(before ? base - (uint64_t)span : base + (uint64_t)span);
	return true;
}

static bool get_text(const msgpack_object *o, struct slice *out)
{
	if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > RECORD_TEXT_MAX)
		return false;
	*out = (struct slice){ (const uint8_t *)o->via.str.ptr, o->via.str.size };
	return true;
}

static slo_err get_list(struct record_reader *r, const msgpack_object *o, struct slo_event *out)
{
	size_t n = o->via.array.size;

	if (o->type != MSGPACK_OBJECT_ARRAY || n > RECORD_LIST_MAX)
		return SLO_EPROTO;
	if (n > r->list_cap) {
		int64_t *grown = reallocarray(r->list, n, sizeof(*grown));

		if (!grown)
			return SLO_ENOMEM;
		r->list = grown;
		r->list_cap = n;
	}
	for (size_t i = 0; i < n; i++)
		if (!get_i64(&o->via.array.ptr[i], &r->list[i]))
			return SLO_EPROTO;
	out->list = r->list;
	out->list_n = n;
	return SLO_OK;
}

static slo_err get(struct record_reader *r, const msgpack_object *o, const struct record_member *m,
                   struct slo_event *e)
{
	void *p = (char *)e + m->offset;
	uint64_t number;
	bool good = false;

	switch (m->type) {
	case RECORD_NOW:
		good = get_time(o, r->now, false, &e->now);
		break;
	case RECORD_BEFORE_NOW:
		good = get_time(o, e->now, true, p);
		break;
	case RECORD_U32:
		good = get_u64(o, UINT32_MAX, &number);
		if (good)
			*(uint32_t *)p = (uint32_t)number;
		break;
	case RECORD_U64:
		good = get_u64(o, UINT64_MAX, p);
		break;
	case RECORD_I64:
		good = get_i64(o, p);
		break;
	case RECORD_REAL:
		good = o->type == MSGPACK_OBJECT_FLOAT64;
		if (good)
			*(double *)p = o->via.f64;
		break;
	case RECORD_TEXT:
		good = get_text(o, p);
		break;
	case RECORD_LIST:
		return get_list(r, o, e);
	case RECORD_END:
		break;
	}
	return good ? SLO_OK : SLO_EPROTO;
}

static slo_err take_members(struct record_reader *r, const msgpack_object_array *a,
                            struct slo_event *e)
{
	const struct record_member *members;
	slo_err err = SLO_OK;
	uint64_t kind;
	size_t n = 0;

	if (a->size == 0 || !get_u64(&a->ptr[0], SLO_EVENT_KINDS - 1, &kind))
		return SLO_EPROTO;
	*e = (struct slo_event){ .kind = (enum slo_event_kind)kind };
	members = record_members(e->kind);
	while (members[n].type != RECORD_END && n + 1 < a->size && err == SLO_OK) {
		err = get(r, &a->ptr[n + 1], &members[n], e);
		n++;
	}
	if (err == SLO_OK &&
	    ((members[n].type != RECORD_END && !members[n].added) || n + 1 != a->size))
		err = SLO_EPROTO;
	if (err == SLO_OK && members[0].type == RECORD_NOW)
		r->now = e->now;
	return err;
}

/* Whether `in` starts with an array of 1 to 15 elements, the first of which is a known kind. */
static bool may_begin(struct slice in)
{
	if (in.len > 0 && (in.p[0] <= 0x90 || in.p[0] > 0x9f))
		return false;
	return in.len < 2 || in.p[1] < SLO_EVENT_KINDS;
}

/* Without a limit a wrong length would look like a record that was cut off. */
static size_t longest(struct slice in)
{
	return in.len >= 2 && in.p[1] == SLO_EVENT_PROFILE ? LONGEST_PROFILE : LONGEST_OTHER;
}

slo_err record_next(struct record_reader *r, struct slice in, struct slo_event *out, size_t *used)
{
	msgpack_object_array members;
	struct slo_event e;
	size_t span;
	slo_err err;

	if (!may_begin(in))
		return SLO_EPROTO;
	err = msgpack_span_array(in, longest(in), &r->unpacked, &members, &span);
	if (err == SLO_OK)
		err = take_members(r, &members, &e);
	if (err == SLO_OK) {
		*out = e;
		*used = span;
	}
	return err;
}
