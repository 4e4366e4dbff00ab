/* The reading half; snapshot_writer.c writes. */
#include "wire/file/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wire/file/msgpack_span.h"
#include "wire/file/msgpack_take.h"

static const char magic[8] = "SLOSNAP1";

struct snapshot_reader {
	struct slice records;
	size_t at;
	size_t first; /* behind the head */
	struct snapshot_news news;
	struct snapshot_count *counts; /* of the last record that snapshot_next() returned */
};

/* The fields of one record, taken one after the other. */

static struct slice take_any_text(struct rd *f)
{
	return take_text(f, 0, SIZE_MAX);
}

static uint32_t take_u32(struct rd *f)
{
	return (uint32_t)take_uint(f, UINT32_MAX);
}

static int64_t take_i64(struct rd *f)
{
	return take_int(f, INT64_MAX);
}

static struct snapshot_mean take_mean(struct rd *f)
{
	struct snapshot_mean m;

	m.value = take_float(f);
	m.samples = take_uint(f, UINT64_MAX);
	return m;
}

static slo_err take_counts(struct snapshot_reader *r, struct rd *f, struct snapshot_model *m)
{
	uint64_t n = take_array(f, 0);

	if (f->bad || n % 4 != 0 || n / 4 > SNAPSHOT_COUNTS_MAX)
		return SLO_EPROTO;
	r->counts = calloc(n / 4 + 1, sizeof(*r->counts));
	if (!r->counts)
		return SLO_ENOMEM;
	for (m->counts = r->counts; m->count_n < n / 4; m->count_n++) {
		struct snapshot_count *c = &r->counts[m->count_n];

		c->age = take_u32(f);
		c->input = take_u32(f);
		c->output = take_u32(f);
		c->count = take_u32(f);
	}
	return SLO_OK;
}

static slo_err take_model(struct snapshot_reader *r, struct rd *f, struct snapshot_model *m)
{
	slo_err err;

	m->name = take_any_text(f);
	m->input = take_mean(f);
	m->json = take_mean(f);
	m->stream = take_mean(f);
	if (f->bad)
		return SLO_EPROTO;
	err = take_counts(r, f, m);
	if (err == SLO_OK && rd_left(f) > 0) /* else it is of an older agent */
		m->spread = take_mean(f);
	if (err == SLO_OK && rd_left(f) > 0)
		m->event = take_mean(f);
	return err;
}

static void take_server(struct rd *f, struct snapshot_server *s)
{
	s->backend = take_any_text(f);
	s->server = take_any_text(f);
	s->state = take_u32(f);
}

static void take_lease(struct rd *f, struct snapshot_lease *l)
{
	l->id = take_any_text(f);
	l->model = take_any_text(f);
	l->backend = take_any_text(f);
	l->server = take_any_text(f);
	l->load = take_uint(f, UINT64_MAX);
	l->created = take_i64(f);
	l->arrived = take_i64(f);
	l->dispatched = take_i64(f);
	l->input = take_i64(f);
	l->output = take_i64(f);
	l->estimate = take_i64(f);
	l->strategy = take_any_text(f);
	l->flags = take_u32(f);
	l->goal = take_u32(f);
	l->per_token = take_float(f);
	l->fixed = take_float(f);
	l->limit = -1;
	l->sequences = 1;
	if (rd_left(f) == 0) /* of an older agent */
		return;
	l->tpat = take_float(f);
	l->e2e = take_float(f);
	l->limit = take_i64(f);
	l->sequences = take_u32(f);
	l->class = take_u32(f);
}

/* What a newer agent wrote behind the elements that are known. True: there was some. */
static bool pass_over(struct rd *f, uint64_t more)
{
	if (more > SNAPSHOT_SURPLUS_MAX)
		rd_fail(f);
	else
		take_any(f, more);
	return more > 0;
}

static void take_learned(struct rd *f, struct snapshot_learned *l, bool *longer)
{
	uint64_t n;

	l->model = take_any_text(f);
	l->deployment = take_any_text(f);
	n = take_array(f, SNAPSHOT_NUMBERS_LEAST);
	for (uint64_t i = 0; i < SNAPSHOT_NUMBERS; i++)
		l->number[i] = i < n ? take_float(f) : 0;
	if (!f->bad && n > SNAPSHOT_NUMBERS)
		*longer |= pass_over(f, n - SNAPSHOT_NUMBERS);
	n = take_array(f, SNAPSHOT_BINS);
	for (int i = 0; i < SNAPSHOT_BINS; i++)
		l->bin[i] = (uint16_t)take_uint(f, UINT16_MAX);
	if (!f->bad)
		*longer |= pass_over(f, n - SNAPSHOT_BINS);
}

static void take_speed(struct rd *f, struct snapshot_speed *s)
{
	s->model = take_any_text(f);
	s->backend = take_any_text(f);
	s->server = take_any_text(f);
	s->late = take_float(f);
	s->ends = take_u32(f);
}

static void take_refuted(struct rd *f, struct snapshot_refuted *r)
{
	r->model = take_any_text(f);
	r->deployment = take_any_text(f);
	r->digest = take_uint(f, UINT64_MAX);
	r->ends = take_u32(f);
}

static void take_grown(struct rd *f, struct snapshot_grown *g)
{
	g->model = take_any_text(f);
	g->deployment = take_any_text(f);
	g->digest = take_uint(f, UINT64_MAX);
	g->tokens = take_float(f);
}

static void take_guard(struct rd *f, struct snapshot_guard *g)
{
	g->model = take_any_text(f);
	g->deployment = take_any_text(f);
	g->share = take_float(f);
	g->seen = take_u32(f);
	g->missed = take_u32(f);
}

static void take_promises(struct rd *f, struct snapshot_promises *p)
{
	uint64_t n;

	p->model = take_any_text(f);
	p->of = take_u32(f);
	p->name = take_any_text(f);
	n = take_array(f, 0);
	if (n % 5 != 0 || n / 5 > SNAPSHOT_SLOTS_MAX)
		rd_fail(f);
	for (; !f->bad && p->slots < n / 5; p->slots++) {
		struct snapshot_slot *s = &p->slot[p->slots];

		s->coarse = (uint32_t)take_uint(f, 1);
		s->age = take_u32(f);
		for (int k = 0; k < 3; k++)
			s->count[k] = take_u32(f);
	}
}

static void take_owner(struct rd *f, struct snapshot_owner *o)
{
	o->name = take_any_text(f);
	o->life = take_uint(f, UINT64_MAX);
	o->flags = take_u32(f);
}

static void take_foreign(struct rd *f, struct snapshot_foreign *l)
{
	l->owner = take_any_text(f);
	l->id = take_any_text(f);
	l->model = take_any_text(f);
	l->backend = take_any_text(f);
	l->server = take_any_text(f);
	l->load = take_uint(f, UINT64_MAX);
	l->dispatched = take_i64(f);
	l->input = take_i64(f);
	l->output = take_i64(f);
	l->estimate = take_i64(f);
	l->limit = take_i64(f);
	l->sequences = take_u32(f);
	l->class = take_u32(f);
	l->strategy = take_any_text(f);
	l->flags = take_u32(f);
}

/* The fields of the next record. */
static slo_err open_record(struct snapshot_reader *r, struct rd *f)
{
	struct slice rest = { r->records.p + r->at, r->records.len - r->at };
	size_t span;

	if (msgpack_span(rest, &span) != SLO_OK)
		span = 0;
	r->at += span;
	rd_init(f, (struct slice){ rest.p, span });
	(void)take_array(f, 1); /* of nothing fails */
	return f->bad ? SLO_EPROTO : SLO_OK;
}

/* By its first field. SLO_ENOENT: a kind that this agent does not know. */
static slo_err take_record(struct snapshot_reader *r, struct rd *f, struct snapshot_record *rec,
                           bool *longer)
{
	switch (take_u32(f)) {
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
		take_learned(f, &rec->learned, longer);
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
	bool longer = false;
	size_t more = 0;
	struct rd f;
	slo_err err = open_record(r, &f);

	if (err == SLO_OK)
		err = take_record(r, &f, &rec, &longer);
	if (err != SLO_OK)
		return err;
	for (; rd_left(&f) > 0; more++)
		take_any(&f, 1);
	if (f.bad || more > SNAPSHOT_SURPLUS_MAX)
		return SLO_EPROTO;
	r->news.longer += longer || more > 0;
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
	struct rd f;
	int64_t at = 0;

	*why = check_head(file);
	if (*why)
		return NULL;
	*why = "out of memory";
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->records = (struct slice){ file.p + SNAPSHOT_HEAD, file.len - SNAPSHOT_HEAD };
	if (open_record(r, &f) == SLO_OK && take_uint(&f, 0) == 0)
		at = take_i64(&f);
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
	free(r);
}
