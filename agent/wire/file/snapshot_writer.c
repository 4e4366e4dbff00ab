/* The whole file is made in memory. Its length and checksum stand before the records, so they are
 * put in at the end. */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wire/file/snapshot.h"

struct snapshot_writer {
	msgpack_sbuffer buffer;
	msgpack_packer packer;
	bool failed;
};

static void note(struct snapshot_writer *w, int result)
{
	if (result != 0)
		w->failed = true;
}

static void put_array(struct snapshot_writer *w, size_t n)
{
	note(w, msgpack_pack_array(&w->packer, n));
}

static void put_uint(struct snapshot_writer *w, uint64_t v)
{
	note(w, msgpack_pack_uint64(&w->packer, v));
}

static void put_int(struct snapshot_writer *w, int64_t v)
{
	note(w, msgpack_pack_int64(&w->packer, v));
}

static void put_float(struct snapshot_writer *w, double v)
{
	note(w, msgpack_pack_double(&w->packer, v));
}

static void put_text(struct snapshot_writer *w, struct slice s)
{
	note(w, msgpack_pack_str(&w->packer, s.len));
	note(w, msgpack_pack_str_body(&w->packer, s.p, s.len));
}

static void put_mean(struct snapshot_writer *w, const struct snapshot_mean *m)
{
	put_float(w, m->value);
	put_uint(w, m->samples);
}

struct snapshot_writer *snapshot_begin(int64_t written)
{
	struct snapshot_writer *w = calloc(1, sizeof(*w));
	uint8_t head[SNAPSHOT_HEAD] = "SLOSNAP1";

	if (!w)
		return NULL;
	msgpack_sbuffer_init(&w->buffer);
	msgpack_packer_init(&w->packer, &w->buffer, msgpack_sbuffer_write);
	note(w, msgpack_sbuffer_write(&w->buffer, (const char *)head, sizeof(head)));
	put_array(w, 2);
	put_uint(w, 0);
	put_int(w, written);
	return w;
}

void snapshot_add_model(struct snapshot_writer *w, const struct snapshot_model *m)
{
	size_t n = m->count_n < SNAPSHOT_COUNTS_MAX ? m->count_n : SNAPSHOT_COUNTS_MAX;

	put_array(w, 13);
	put_uint(w, 1);
	put_text(w, m->name);
	put_mean(w, &m->input);
	put_mean(w, &m->json);
	put_mean(w, &m->stream);
	put_array(w, 4 * n);
	for (size_t i = 0; i < n; i++) {
		put_uint(w, m->counts[i].age);
		put_uint(w, m->counts[i].input);
		put_uint(w, m->counts[i].output);
		put_uint(w, m->counts[i].count);
	}
	put_mean(w, &m->spread);
	put_mean(w, &m->event);
}

void snapshot_add_server(struct snapshot_writer *w, const struct snapshot_server *s)
{
	put_array(w, 4);
	put_uint(w, 2);
	put_text(w, s->backend);
	put_text(w, s->server);
	put_uint(w, s->state);
}

void snapshot_add_lease(struct snapshot_writer *w, const struct snapshot_lease *l)
{
	put_array(w, 22);
	put_uint(w, 3);
	put_text(w, l->id);
	put_text(w, l->model);
	put_text(w, l->backend);
	put_text(w, l->server);
	put_uint(w, l->load);
	put_int(w, l->created);
	put_int(w, l->arrived);
	put_int(w, l->dispatched);
	put_int(w, l->input);
	put_int(w, l->output);
	put_int(w, l->estimate);
	put_text(w, l->strategy);
	put_uint(w, l->flags);
	put_uint(w, l->goal);
	put_float(w, l->per_token);
	put_float(w, l->fixed);
	put_float(w, l->tpat);
	put_float(w, l->e2e);
	put_int(w, l->limit);
	put_uint(w, l->sequences);
	put_uint(w, l->class);
}

void snapshot_add_learned(struct snapshot_writer *w, const struct snapshot_learned *l)
{
	put_array(w, 5);
	put_uint(w, 4);
	put_text(w, l->model);
	put_text(w, l->deployment);
	put_array(w, SNAPSHOT_NUMBERS);
	for (int i = 0; i < SNAPSHOT_NUMBERS; i++)
		put_float(w, l->number[i]);
	put_array(w, SNAPSHOT_BINS);
	for (int i = 0; i < SNAPSHOT_BINS; i++)
		put_uint(w, l->bin[i]);
}

void snapshot_add_speed(struct snapshot_writer *w, const struct snapshot_speed *s)
{
	put_array(w, 6);
	put_uint(w, 5);
	put_text(w, s->model);
	put_text(w, s->backend);
	put_text(w, s->server);
	put_float(w, s->late);
	put_uint(w, s->ends);
}

void snapshot_add_refuted(struct snapshot_writer *w, const struct snapshot_refuted *r)
{
	put_array(w, 5);
	put_uint(w, 8);
	put_text(w, r->model);
	put_text(w, r->deployment);
	put_uint(w, r->digest);
	put_uint(w, r->ends);
}

void snapshot_add_grown(struct snapshot_writer *w, const struct snapshot_grown *g)
{
	put_array(w, 5);
	put_uint(w, 11);
	put_text(w, g->model);
	put_text(w, g->deployment);
	put_uint(w, g->digest);
	put_float(w, g->tokens);
}

void snapshot_add_guard(struct snapshot_writer *w, const struct snapshot_guard *g)
{
	put_array(w, 6);
	put_uint(w, 9);
	put_text(w, g->model);
	put_text(w, g->deployment);
	put_float(w, g->share);
	put_uint(w, g->seen);
	put_uint(w, g->missed);
}

void snapshot_add_promises(struct snapshot_writer *w, const struct snapshot_promises *p)
{
	put_array(w, 5);
	put_uint(w, 10);
	put_text(w, p->model);
	put_uint(w, p->of);
	put_text(w, p->name);
	put_array(w, 5 * p->slots);
	for (size_t i = 0; i < p->slots; i++) {
		put_uint(w, p->slot[i].coarse);
		put_uint(w, p->slot[i].age);
		for (int k = 0; k < 3; k++)
			put_uint(w, p->slot[i].count[k]);
	}
}

void snapshot_add_owner(struct snapshot_writer *w, const struct snapshot_owner *o)
{
	put_array(w, 4);
	put_uint(w, 6);
	put_text(w, o->name);
	put_uint(w, o->life);
	put_uint(w, o->flags);
}

void snapshot_add_foreign(struct snapshot_writer *w, const struct snapshot_foreign *l)
{
	put_array(w, 16);
	put_uint(w, 7);
	put_text(w, l->owner);
	put_text(w, l->id);
	put_text(w, l->model);
	put_text(w, l->backend);
	put_text(w, l->server);
	put_uint(w, l->load);
	put_int(w, l->dispatched);
	put_int(w, l->input);
	put_int(w, l->output);
	put_int(w, l->estimate);
	put_int(w, l->limit);
	put_uint(w, l->sequences);
	put_uint(w, l->class);
	put_text(w, l->strategy);
	put_uint(w, l->flags);
}

static void little_endian(uint8_t *p, size_t bytes, uint64_t v)
{
	for (size_t i = 0; i < bytes; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

slo_err snapshot_end(struct snapshot_writer *w, struct slice *out)
{
	uint8_t *p = (uint8_t *)w->buffer.data;
	size_t len = w->buffer.size;

	if (w->failed)
		return SLO_ENOMEM;
	little_endian(p + 12, 8, len - SNAPSHOT_HEAD);
	little_endian(p + 8, 4, crc32_z(0, p + 12, len - 12));
	*out = (struct slice){ p, len };
	return SLO_OK;
}

void snapshot_writer_free(struct snapshot_writer *w)
{
	if (!w)
		return;
	msgpack_sbuffer_destroy(&w->buffer);
	free(w);
}
