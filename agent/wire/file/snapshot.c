/* The reading half; snapshot_writer.c writes. */
#include "wire/file/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wire/file/msgpack_span.h"

static const char magic[8] = "SLOSNAP1";

struct snapshot_reader {
	struct slice records;
	size_t at;
	size_t first; /* behind the head */
	struct snapshot_news news;
	msgpack_unpacked unpacked;
	struct snapshot_count *counts; /* of the last record that snapshot_next() returned */
};

/* The fields of one record, taken one after the other; the first that does not fit spoils it. */
struct fields {
	const msgpack_object *p, *end;
	bool bad;
	bool surplus; /* of an array in it */
};

static const msgpack_object *take(struct fields *f, msgpack_object_type type)
{
	if (f->p == f->end || f->p->type != type)
		f->bad = true;
	return f->bad ? NULL : f->p++;
}

static uint64_t take_uint(struct fields *f, uint64_t most)
{
	const msgpack_object *o = take(f, MSGPACK_OBJECT_POSITIVE_INTEGER);

	if (o && o->via.u64 > most)
		f->bad = true;
	return o && !f->bad ? o->via.u64 : 0;
}

static int64_t take_int(struct fields *f)
{
	const msgpack_object *o;

	if (f->p != f->end && f->p->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		return (int64_t)take_uint(f, INT64_MAX);
	o = take(f, MSGPACK_OBJECT_NEGATIVE_INTEGER);
	return o ? o->via.i64 : 0;
}

static double take_float(struct fields *f)
{
	const msgpack_object *o = take(f, MSGPACK_OBJECT_FLOAT64);

	return o ? o->via.f64 : 0;
}

static struct slice take_text(struct fields *f)
{
	const msgpack_object *o = take(f, MSGPACK_OBJECT_STR);

	return o ? (struct slice){ (const uint8_t *)o->via.str.ptr, o->via.str.size }
	         : (struct slice){ 0 };
}

static struct snapshot_mean take_mean(struct fields *f)
{
	struct snapshot_mean m;

	m.value = take_float(f);
	m.samples = take_uint(f, UINT64_MAX);
	return m;
}

static slo_err take_counts(struct snapshot_reader *r, struct fields *f, struct snapshot_model *m)
{
	const msgpack_object *o = take(f, MSGPACK_OBJECT_ARRAY);
	struct fields in;

	if (!o || o->via.array.size % 4 != 0 || o->via.array.size / 4 > SNAPSHOT_COUNTS_MAX)
		return SLO_EPROTO;
	in =
	    (struct fields){ o->via.array.ptr, o->via.array.ptr + o->via.array.size, false, false };
	r->counts = calloc(o->via.array.size / 4 + 1, sizeof(*r->counts));
	if (!r->counts)
		return SLO_ENOMEM;
	while (in.p < in.end && !in.bad) {
		struct snapshot_count *c = &r->counts[m->count_n++];

		c->age = (uint32_t)take_uint(&in, UINT32_MAX);
		c->input = (uint32_t)take_uint(&in, UINT32_MAX);
		c->output = (uint32_t)take_uint(&in, UINT32_MAX);
		c->count = (uint32_t)take_uint(&in, UINT32_MAX);
	}
	m->counts = r->counts;
	return in.bad ? SLO_EPROTO : SLO_OK;
}

static slo_err take_model(struct snapshot_reader *r, struct fields *f, struct snapshot_model *m)
{
	m->name = take_text(f);
	m->input = take_mean(f);
	m->json = take_mean(f);
	m->stream = take_mean(f);
	return f->bad ? SLO_EPROTO : take_counts(r, f, m);
}

static void take_server(struct fields *f, struct snapshot_server *s)
{
	s->backend = take_text(f);
	s->server = take_text(f);
	s->state = (uint32_t)take_uint(f, UINT32_MAX);
}

static void take_lease(struct fields *f, struct snapshot_lease *l)
{
	l->id = take_text(f);
	l->model = take_text(f);
	l->backend = take_text(f);
	l->server = take_text(f);
	l->load = take_uint(f, UINT64_MAX);
	l->created = take_int(f);
	l->arrived = take_int(f);
	l->dispatched = take_int(f);
	l->input = take_int(f);
	l->output = take_int(f);
	l->estimate = take_int(f);
	l->strategy = take_text(f);
	l->flags = (uint32_t)take_uint(f, UINT32_MAX);
	l->goal = (uint32_t)take_uint(f, UINT32_MAX);
	l->per_token = take_float(f);
	l->fixed = take_float(f);
	l->limit = -1;
	l->sequences = 1;
	if (f->p == f->end) /* of an older agent */
		return;
	l->tpat = take_float(f);
	l->e2e = take_float(f);
	l->limit = take_int(f);
	l->sequences = (uint32_t)take_uint(f, UINT32_MAX);
	l->class = (uint32_t)take_uint(f, UINT32_MAX);
}

/* The next field, which must be an array of that many elements; a newer agent may write more. */
static struct fields take_array(struct fields *f, uint32_t elements)
{
	const msgpack_object *o = take(f, MSGPACK_OBJECT_ARRAY);

	if (o && o->via.array.size >= elements &&
	    o->via.array.size - elements <= SNAPSHOT_SURPLUS_MAX) {
		f->surplus |= o->via.array.size > elements;
		return (struct fields){ o->via.array.ptr, o->via.array.ptr + elements, false,
			                false };
	}
	f->bad = true;
	return (struct fields){ NULL, NULL, true, false };
}

static void take_learned(struct fields *f, struct snapshot_learned *l)
{
	struct fields in;

	l->model = take_text(f);
	l->deployment = take_text(f);
	in = take_array(f, SNAPSHOT_NUMBERS);
	for (int i = 0; i < SNAPSHOT_NUMBERS; i++)
		l->number[i] = take_float(&in);
	f->bad |= in.bad;
	in = take_array(f, SNAPSHOT_BINS);
	for (int i = 0; i < SNAPSHOT_BINS; i++)
		l->bin[i] = (uint16_t)take_uint(&in, UINT16_MAX);
	f->bad |= in.bad;
}

static void take_speed(struct fields *f, struct snapshot_speed *s)
{
	s->model = take_text(f);
	s->backend = take_text(f);
	s->server = take_text(f);
	s->late = take_float(f);
	s->ends = (uint32_t)take_uint(f, UINT32_MAX);
}

static void take_refuted(struct fields *f, struct snapshot_refuted *r)
{
	r->model = take_text(f);
	r->deployment = take_text(f);
	r->digest = take_uint(f, UINT64_MAX);
	r->ends = (uint32_t)take_uint(f, UINT32_MAX);
}

static void take_grown(struct fields *f, struct snapshot_grown *g)
{
	g->model = take_text(f);
	g->deployment = take_text(f);
	g->digest = take_uint(f, UINT64_MAX);
	g->tokens = take_float(f);
}

static void take_guard(struct fields *f, struct snapshot_guard *g)
{
	g->model = take_text(f);
	g->deployment = take_text(f);
	g->share = take_float(f);
	g->seen = (uint32_t)take_uint(f, UINT32_MAX);
	g->missed = (uint32_t)take_uint(f, UINT32_MAX);
}

static void take_promises(struct fields *f, struct snapshot_promises *p)
{
	const msgpack_object *o;
	struct fields in;

	p->model = take_text(f);
	p->of = (uint32_t)take_uint(f, UINT32_MAX);
	p->name = take_text(f);
	o = take(f, MSGPACK_OBJECT_ARRAY);
	f->bad |= !o || o->via.array.size % 5 != 0 || o->via.array.size / 5 > SNAPSHOT_SLOTS_MAX;
	if (f->bad)
		return;
	in =
	    (struct fields){ o->via.array.ptr, o->via.array.ptr + o->via.array.size, false, false };
	while (in.p < in.end && !in.bad) {
		struct snapshot_slot *s = &p->slot[p->slots++];

		s->coarse = (uint32_t)take_uint(&in, 1);
		s->age = (uint32_t)take_uint(&in, UINT32_MAX);
		for (int k = 0; k < 3; k++)
			s->count[k] = (uint32_t)take_uint(&in, UINT32_MAX);
	}
	f->bad |= in.bad;
}

static void take_owner(struct fields *f, struct snapshot_owner *o)
{
	o->name = take_text(f);
	o->life = take_uint(f, UINT64_MAX);
	o->flags = (uint32_t)take_uint(f, UINT32_MAX);
}

static void take_foreign(struct fields *f, struct snapshot_foreign *l)
{
	l->owner = take_text(f);
	l->id = take_text(f);
	l->model = take_text(f);
	l->backend = take_text(f);
	l->server = take_text(f);
	l->load = take_uint(f, UINT64_MAX);
	l->dispatched = take_int(f);
	l->input = take_int(f);
	l->output = take_int(f);
	l->estimate = take_int(f);
	l->limit = take_int(f);
	l->sequences = (uint32_t)take_uint(f, UINT32_MAX);
	l->class = (uint32_t)take_uint(f, UINT32_MAX);
	l->strategy = take_text(f);
	l->flags = (uint32_t)take_uint(f, UINT32_MAX);
}

static slo_err unpack(struct snapshot_reader *r, struct fields *f)
{
	struct slice rest = { r->records.p + r->at, r->records.len - r->at };
	msgpack_object_array record;
	size_t span;
	slo_err err = msgpack_span_array(rest, SIZE_MAX, &r->unpacked, &record, &span);

	if (err != SLO_OK)
		return err == SLO_ESHORT ? SLO_EPROTO : err;
	r->at += span;
	*f = (struct fields){ record.ptr, record.ptr + record.size, false, false };
	return SLO_OK;
}

/* By its first field. SLO_ENOENT: a kind that this agent does not know. */
static slo_err take_record(struct snapshot_reader *r, struct fields *f, struct snapshot_record *rec)
{
	switch (take_uint(f, UINT32_MAX)) {
	case 0:
		return SLO_EPROTO; /* it is no number, or the head again */
	case 1:
		rec->kind = SNAPSHOT_MODEL;
		return take_model(r, f, &rec->model);
	case 2:
		rec->kind = SNAPSHOT_SERVER;
		take_server(f, &rec->server);
		return SLO_OK;
	case 3:
		rec->kind = SNAPSHOT_LEASE;
		take_lease(f, &rec->lease);
		return SLO_OK;
	case 4:
		rec->kind = SNAPSHOT_LEARNED;
		take_learned(f, &rec->learned);
		return SLO_OK;
	case 5:
		rec->kind = SNAPSHOT_SPEED;
		take_speed(f, &rec->speed);
		return SLO_OK;
	case 6:
		rec->kind = SNAPSHOT_OWNER;
		take_owner(f, &rec->owner);
		return SLO_OK;
	case 7:
		rec->kind = SNAPSHOT_FOREIGN;
		take_foreign(f, &rec->foreign);
		return SLO_OK;
	case 8:
		rec->kind = SNAPSHOT_REFUTED;
		take_refuted(f, &rec->refuted);
		return SLO_OK;
	case 9:
		rec->kind = SNAPSHOT_GUARD;
		take_guard(f, &rec->guard);
		return SLO_OK;
	case 10:
		rec->kind = SNAPSHOT_PROMISES;
		take_promises(f, &rec->promises);
		return SLO_OK;
	case 11:
		rec->kind = SNAPSHOT_GROWN;
		take_grown(f, &rec->grown);
		return SLO_OK;
	default:
		return SLO_ENOENT;
	}
}

/* One record, whatever it is. SLO_ENOENT as take_record(). */
static slo_err next_record(struct snapshot_reader *r, struct snapshot_record *out)
{
	struct snapshot_record rec = { 0 };
	struct fields f;
	slo_err err = unpack(r, &f);

	if (err == SLO_OK)
		err = take_record(r, &f, &rec);
	if (err != SLO_OK)
		return err;
	if (f.bad || f.end - f.p > SNAPSHOT_SURPLUS_MAX)
		return SLO_EPROTO;
	r->news.longer += f.surplus || f.p != f.end;
	*out = rec;
	return SLO_OK;
}

slo_err snapshot_next(struct snapshot_reader *r, struct snapshot_record *out)
{
	while (r->at < r->records.len) {
		slo_err err;

		free(r->counts);
		r->counts = NULL;
		err = next_record(r, out);
		if (err != SLO_ENOENT)
			return err;
		r->news.unknown++;
	}
	return SLO_ENOENT;
}

struct snapshot_news snapshot_news(const struct snapshot_reader *r)
{
	return r->news;
}

static uint64_t little_endian(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

/* NULL: all is well. */
static const char *check_head(struct slice file)
{
	if (file.len < SNAPSHOT_HEAD || memcmp(file.p, magic, sizeof(magic) - 1) != 0)
		return "it is no snapshot";
	if (file.p[sizeof(magic) - 1] != (uint8_t)magic[sizeof(magic) - 1])
		return "another version wrote it";
	if (little_endian(file.p + 12, 8) != file.len - SNAPSHOT_HEAD)
		return "its length is wrong";
	if (little_endian(file.p + 8, 4) != crc32_z(0, file.p + 12, file.len - 12))
		return "its checksum is wrong";
	return NULL;
}

struct snapshot_reader *snapshot_open(struct slice file, int64_t *written, const char **why)
{
	struct snapshot_reader *r;
	struct fields f;
	int64_t at = 0;

	*why = check_head(file);
	if (*why)
		return NULL;
	*why = "out of memory";
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->records = (struct slice){ file.p + SNAPSHOT_HEAD, file.len - SNAPSHOT_HEAD };
	msgpack_unpacked_init(&r->unpacked);
	if (unpack(r, &f) == SLO_OK && take_uint(&f, 0) == 0)
		at = take_int(&f);
	else
		f.bad = true;
	if (f.bad) {
		*why = "its first record is malformed";
		snapshot_reader_free(r);
		return NULL;
	}
	*why = NULL;
	*written = at;
	r->first = r->at;
	return r;
}

void snapshot_rewind(struct snapshot_reader *r)
{
	r->at = r->first;
	r->news = (struct snapshot_news){ 0 };
}

void snapshot_reader_free(struct snapshot_reader *r)
{
	if (!r)
		return;
	free(r->counts);
	msgpack_unpacked_destroy(&r->unpacked);
	free(r);
}
