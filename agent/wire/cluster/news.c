#include "wire/cluster/news.h"

#include <string.h>

#include "wire/file/msgpack_span.h"

#define VERSION   1
/* A year: a clock that tells more is wrong, and sums of what is below never overflow. */
#define TIME_MAX  (INT64_C(366) * 86400 * 1000000)
/* Tokens and bytes beyond are nonsense. */
#define COUNT_MAX (INT64_C(1) << 48)

bool news_is_name(struct slice name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_.-";

	if (name.len == 0 || name.len > NEWS_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!memchr(allowed, name.p[i], sizeof(allowed) - 1))
			return false;
	return true;
}

/* Writing */

struct out {
	msgpack_packer packer;
	uint8_t *p;
	size_t len, cap;
	bool full;
};

static int append(void *data, const char *buf, size_t len)
{
	struct out *o = data;

	if (len > o->cap - o->len) {
		o->full = true;
		return -1;
	}
	if (len > 0) /* nothing may be at no address */
		memcpy(o->p + o->len, buf, len);
	o->len += len;
	return 0;
}

static void begin(struct out *o, uint8_t *p, size_t cap)
{
	*o = (struct out){ .p = p, .cap = cap };
	msgpack_packer_init(&o->packer, o, append);
}

static void put_text(struct out *o, struct slice s)
{
	if (s.len > NEWS_TEXT_MAX) {
		o->full = true;
		return;
	}
	msgpack_pack_str(&o->packer, s.len);
	msgpack_pack_str_body(&o->packer, s.p, s.len);
}

static size_t finish(const struct out *o)
{
	return o->full ? 0 : o->len;
}

static void put_record(struct out *o, unsigned kind, struct slice id)
{
	msgpack_pack_array(&o->packer, kind == 2 ? 4 : 3);
	msgpack_pack_unsigned_int(&o->packer, kind);
	put_text(o, id);
}

size_t news_pack_lease(struct slice id, const struct news_lease *l, uint8_t out[NEWS_RECORD_MAX],
                       size_t *value)
{
	struct out o;

	begin(&o, out, NEWS_RECORD_MAX);
	put_record(&o, 0, id);
	*value = o.len;
	msgpack_pack_array(&o.packer, 13);
	put_text(&o, l->model);
	put_text(&o, l->backend);
	put_text(&o, l->server);
	put_text(&o, l->strategy);
	msgpack_pack_uint64(&o.packer, l->load);
	msgpack_pack_int64(&o.packer, l->placed);
	msgpack_pack_int64(&o.packer, l->input);
	msgpack_pack_int64(&o.packer, l->output);
	msgpack_pack_int64(&o.packer, l->estimate);
	msgpack_pack_int64(&o.packer, l->limit);
	msgpack_pack_int64(&o.packer, l->sequences);
	msgpack_pack_uint32(&o.packer, l->class);
	msgpack_pack_uint32(&o.packer, l->flags);
	return finish(&o);
}

size_t news_pack_end(struct slice id, struct slice owner, const struct news_end *e,
                     uint8_t out[NEWS_RECORD_MAX])
{
	struct out o;

	begin(&o, out, NEWS_RECORD_MAX);
	put_record(&o, owner.len ? 2 : 1, id);
	msgpack_pack_array(&o.packer, 9);
	msgpack_pack_uint32(&o.packer, e->flags);
	msgpack_pack_uint32(&o.packer, e->outcome);
	msgpack_pack_int64(&o.packer, e->input);
	msgpack_pack_int64(&o.packer, e->output);
	msgpack_pack_int64(&o.packer, e->bytes);
	msgpack_pack_int64(&o.packer, e->cached);
	msgpack_pack_int64(&o.packer, e->lasted);
	put_text(&o, e->backend);
	put_text(&o, e->server);
	if (owner.len)
		put_text(&o, owner);
	return finish(&o);
}

size_t news_pack_head(const struct news_head *h, size_t records, uint8_t out[NEWS_HEAD_MAX])
{
	struct out o;

	begin(&o, out, NEWS_HEAD_MAX);
	msgpack_pack_array(&o.packer, 8);
	msgpack_pack_unsigned_int(&o.packer, VERSION);
	msgpack_pack_unsigned_int(&o.packer, (unsigned)h->kind);
	put_text(&o, h->name);
	msgpack_pack_uint64(&o.packer, h->incarnation);
	msgpack_pack_uint64(&o.packer, h->number);
	msgpack_pack_int64(&o.packer, h->now);
	msgpack_pack_array(&o.packer, records);
	return finish(&o);
}

size_t news_pack_tail(const struct news_head *h, uint8_t out[NEWS_TAIL_MAX])
{
	struct out o;

	begin(&o, out, NEWS_TAIL_MAX);
	msgpack_pack_array(&o.packer, h->processes);
	for (size_t i = 0; i < h->processes; i++)
		msgpack_pack_uint64(&o.packer, h->process[i]);
	return finish(&o);
}

size_t news_pack_mark(const struct news_mark *m, uint8_t out[NEWS_HEAD_MAX])
{
	struct out o;

	begin(&o, out, NEWS_HEAD_MAX);
	msgpack_pack_array(&o.packer, 5);
	msgpack_pack_unsigned_int(&o.packer, VERSION);
	msgpack_pack_uint64(&o.packer, m->incarnation);
	msgpack_pack_uint64(&o.packer, m->number);
	msgpack_pack_int64(&o.packer, m->now);
	msgpack_pack_unsigned_int(&o.packer, m->whole);
	return finish(&o);
}

/* Reading. The elements of an array, taken one after the other; the first that does not fit spoils
 * it, and what is taken after that is 0. */
struct elements {
	const msgpack_object *p, *end;
	bool bad;
};

static struct elements elements_of(const msgpack_object_array *a)
{
	return (struct elements){ a->ptr, a->ptr + a->size, false };
}

static const msgpack_object *take(struct elements *e, msgpack_object_type type)
{
	if (e->p == e->end || e->p->type != type)
		e->bad = true;
	return e->bad ? NULL : e->p++;
}

static uint64_t take_uint(struct elements *e, uint64_t most)
{
	const msgpack_object *o = take(e, MSGPACK_OBJECT_POSITIVE_INTEGER);

	if (o && o->via.u64 > most)
		e->bad = true;
	return o && !e->bad ? o->via.u64 : 0;
}

/* From -most to most. */
static int64_t take_int(struct elements *e, int64_t most)
{
	const msgpack_object *o;

	if (e->p != e->end && e->p->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		return (int64_t)take_uint(e, (uint64_t)most);
	o = take(e, MSGPACK_OBJECT_NEGATIVE_INTEGER);
	if (o && o->via.i64 < -most)
		e->bad = true;
	return o && !e->bad ? o->via.i64 : 0;
}

static struct slice take_text(struct elements *e, size_t least)
{
	const msgpack_object *o = take(e, MSGPACK_OBJECT_STR);

	/* An empty one may be at no address. */
	if (o && (o->via.str.size < least || o->via.str.size > NEWS_TEXT_MAX ||
	          (o->via.str.size > 0 && memchr(o->via.str.ptr, 0, o->via.str.size))))
		e->bad = true;
	return o && !e->bad ? (struct slice){ (const uint8_t *)o->via.str.ptr, o->via.str.size }
	                    : (struct slice){ 0 };
}

/* An element that is an array. */
static struct elements take_array(struct elements *e)
{
	const msgpack_object *o = take(e, MSGPACK_OBJECT_ARRAY);

	return o ? elements_of(&o->via.array) : (struct elements){ NULL, NULL, true };
}

static void take_lease(struct elements *e, struct news_lease *l)
{
	l->model = take_text(e, 0);
	l->backend = take_text(e, 1);
	l->server = take_text(e, 1);
	l->strategy = take_text(e, 1);
	l->load = take_uint(e, UINT64_MAX);
	l->placed = take_int(e, TIME_MAX);
	l->input = take_int(e, COUNT_MAX);
	l->output = take_int(e, COUNT_MAX);
	l->estimate = take_int(e, COUNT_MAX);
	l->limit = take_int(e, COUNT_MAX);
	l->sequences = take_int(e, COUNT_MAX);
	l->class = (uint32_t)take_uint(e, UINT32_MAX);
	l->flags = (uint32_t)take_uint(e, UINT32_MAX);
}

static void take_end(struct elements *e, struct news_end *out)
{
	out->flags = (uint32_t)take_uint(e, UINT32_MAX);
	out->outcome = (uint32_t)take_uint(e, UINT32_MAX);
	out->input = take_int(e, COUNT_MAX);
	out->output = take_int(e, COUNT_MAX);
	out->bytes = take_int(e, COUNT_MAX);
	out->cached = take_int(e, COUNT_MAX);
	out->lasted = take_int(e, TIME_MAX);
	out->backend = take_text(e, 0);
	out->server = take_text(e, 0);
}

/* The array that the bytes are, all of them. On SLO_OK u is to be destroyed. */
static slo_err open_array(struct slice in, msgpack_unpacked *u, struct elements *e)
{
	msgpack_object_array array;
	size_t span;
	slo_err err;

	msgpack_unpacked_init(u);
	err = msgpack_span_array(in, NEWS_MESSAGE_MAX, u, &array, &span);
	if (err == SLO_OK && span == in.len) {
		*e = elements_of(&array);
		return SLO_OK;
	}
	msgpack_unpacked_destroy(u);
	return err == SLO_ENOMEM ? err : SLO_EPROTO;
}

static void take_head(struct elements *e, struct news_head *out)
{
	e->bad |= take_uint(e, VERSION) != VERSION;
	out->kind = (enum news_kind)take_uint(e, NEWS_KINDS - 1);
	out->name = take_text(e, 1);
	out->incarnation = take_uint(e, UINT64_MAX);
	out->number = take_uint(e, UINT64_MAX - 1);
	out->now = take_int(e, TIME_MAX);
	e->bad |= !news_is_name(out->name) || out->now < 0;
}

static void take_processes(struct elements *e, struct news_head *out)
{
	struct elements list = take_array(e);

	out->processes = 0;
	while (!list.bad && list.p < list.end && out->processes < NEWS_PROCESSES_MAX)
		out->process[out->processes++] = take_uint(&list, UINT64_MAX);
	e->bad |= list.bad;
}

/* An unsigned integer at *p. */
static bool peek_uint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	size_t bytes;
	uint64_t v = 0;

	if (*p == end)
		return false;
	if (**p < 0x80) {
		*out = *(*p)++;
		return true;
	}
	if (**p < 0xcc || **p > 0xcf)
		return false;
	bytes = (size_t)1 << (*(*p)++ - 0xcc);
	if ((size_t)(end - *p) < bytes)
		return false;
	while (bytes-- > 0)
		v = v << 8 | *(*p)++;
	*out = v;
	return true;
}

/* A text of less than 256 bytes at *p. */
static bool peek_text(const uint8_t **p, const uint8_t *end, struct slice *out)
{
	size_t len;

	if (end - *p < 2)
		return false;
	if ((**p & 0xe0) == 0xa0) {
		len = *(*p)++ & 0x1fu;
	} else if (**p == 0xd9) {
		len = (*p)[1];
		*p += 2;
	} else {
		return false;
	}
	if ((size_t)(end - *p) < len)
		return false;
	*out = (struct slice){ *p, len };
	*p += len;
	return true;
}

bool news_peek(struct slice message, struct news_head *out)
{
	const uint8_t *p = message.p, *end = message.p + message.len;
	uint64_t version, kind, now;
	struct news_head h = { 0 };

	if (message.len < 2)
		return false;
	if ((*p & 0xf0) == 0x90)
		p++;
	else if (*p == 0xdc && message.len > 3)
		p += 3;
	else
		return false;
	if (!peek_uint(&p, end, &version) || version != VERSION || !peek_uint(&p, end, &kind) ||
	    kind >= NEWS_KINDS || !peek_text(&p, end, &h.name) ||
	    !peek_uint(&p, end, &h.incarnation) || !peek_uint(&p, end, &h.number) ||
	    !peek_uint(&p, end, &now) || now > TIME_MAX || !news_is_name(h.name))
		return false;
	h.kind = (enum news_kind)kind;
	h.now = (int64_t)now;
	*out = h;
	return true;
}

slo_err news_open(struct news_reader *r, struct slice message, struct news_head *out)
{
	struct elements e, records;
	struct news_head head;
	slo_err err = open_array(message, &r->unpacked, &e);

	if (err != SLO_OK)
		return err;
	take_head(&e, &head);
	records = take_array(&e);
	take_processes(&e, &head);
	if (e.bad || records.bad) {
		msgpack_unpacked_destroy(&r->unpacked);
		return SLO_EPROTO;
	}
	r->next = records.p;
	r->end = records.end;
	*out = head;
	return SLO_OK;
}

slo_err news_next(struct news_reader *r, struct news_record *out)
{
	struct news_record record = { 0 };
	struct elements all = { r->next, r->end, false }, e, value;
	uint64_t kind;

	if (r->next == r->end)
		return SLO_ENOENT;
	e = take_array(&all);
	r->next++;
	kind = take_uint(&e, 2);
	record.ended = kind > 0;
	record.id = take_text(&e, 1);
	value = take_array(&e);
	if (record.ended)
		take_end(&value, &record.end);
	else
		take_lease(&value, &record.lease);
	if (kind == 2)
		record.owner = take_text(&e, 1);
	e.bad |= kind == 2 && !news_is_name(record.owner);
	if (e.bad || value.bad)
		return SLO_EPROTO;
	*out = record;
	return SLO_OK;
}

void news_close(struct news_reader *r)
{
	msgpack_unpacked_destroy(&r->unpacked);
}

slo_err news_read_lease(struct slice value, struct news_lease *out)
{
	struct news_lease l = { 0 };
	msgpack_unpacked u;
	struct elements e;
	slo_err err = open_array(value, &u, &e);

	if (err != SLO_OK)
		return err;
	take_lease(&e, &l);
	msgpack_unpacked_destroy(&u);
	if (e.bad)
		return SLO_EPROTO;
	*out = l;
	return SLO_OK;
}

slo_err news_read_mark(struct slice value, struct news_mark *out)
{
	struct news_mark m = { 0 };
	msgpack_unpacked u;
	struct elements e;
	slo_err err = open_array(value, &u, &e);

	if (err != SLO_OK)
		return err;
	e.bad |= take_uint(&e, VERSION) != VERSION;
	m.incarnation = take_uint(&e, UINT64_MAX);
	m.number = take_uint(&e, UINT64_MAX - 1);
	m.now = take_int(&e, TIME_MAX);
	m.whole = take_uint(&e, 1) == 1;
	msgpack_unpacked_destroy(&u);
	if (e.bad || m.now < 0)
		return SLO_EPROTO;
	*out = m;
	return SLO_OK;
}
