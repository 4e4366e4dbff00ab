#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "record_private.h"
#include "wire/file/record.h"

struct record_writer {
	msgpack_sbuffer buffer;
	msgpack_packer packer;
	slo_nsec now; /* of the last record that has one */
	bool restart;
};

struct record_writer *record_writer_new(void)
{
	struct record_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	msgpack_sbuffer_init(&w->buffer);
	msgpack_packer_init(&w->packer, &w->buffer, msgpack_sbuffer_write);
	record_writer_restart(w);
	return w;
}

void record_writer_free(struct record_writer *w)
{
	if (!w)
		return;
	msgpack_sbuffer_destroy(&w->buffer);
	free(w);
}

void record_writer_restart(struct record_writer *w)
{
	w->buffer.size = 0;
	w->now = 0;
	w->restart = true;
}

/* Differences wrap around in both directions alike. */
static int64_t since(slo_nsec from, slo_nsec to)
{
	return (int64_t)((uint64_t)to - (uint64_t)from);
}

static int put_text(struct record_writer *w, const struct slice *s)
{
	return msgpack_pack_str(&w->packer, s->len) ||
	       (s->len > 0 && msgpack_pack_str_body(&w->packer, s->p, s->len));
}

static int put_list(struct record_writer *w, const struct slo_event *e)
{
	int failed = msgpack_pack_array(&w->packer, e->list_n);

	for (size_t i = 0; i < e->list_n && !failed; i++)
		failed = msgpack_pack_int64(&w->packer, e->list[i]);
	return failed;
}

static int put(struct record_writer *w, const struct slo_event *e, const struct record_member *m)
{
	const void *p = (const char *)e + m->offset;

	switch (m->type) {
	case RECORD_NOW:
		return msgpack_pack_int64(&w->packer, since(w->now, e->now));
	case RECORD_BEFORE_NOW:
		return msgpack_pack_int64(&w->packer, since(*(const slo_nsec *)p, e->now));
	case RECORD_U32:
		return msgpack_pack_uint32(&w->packer, *(const uint32_t *)p);
	case RECORD_U64:
		return msgpack_pack_uint64(&w->packer, *(const uint64_t *)p);
	case RECORD_I64:
		return msgpack_pack_int64(&w->packer, *(const int64_t *)p);
	case RECORD_REAL:
		return msgpack_pack_double(&w->packer, *(const double *)p);
	case RECORD_TEXT:
		return put_text(w, p);
	case RECORD_LIST:
		return put_list(w, e);
	case RECORD_END:
		break;
	}
	return 0;
}

slo_err record_add(struct record_writer *w, const struct slo_event *e)
{
	const struct record_member *members = record_members(e->kind);
	size_t before = w->buffer.size, n = 0;
	int failed = 0;

	if (w->restart)
		failed = msgpack_sbuffer_write(&w->buffer, RECORD_HEAD, RECORD_HEAD_LEN);
	while (members[n].type != RECORD_END)
		n++;
	failed = failed || msgpack_pack_array(&w->packer, n + 1) ||
	         msgpack_pack_uint32(&w->packer, (uint32_t)e->kind);
	for (size_t i = 0; i < n && !failed; i++)
		failed = put(w, e, &members[i]);
	if (failed) {
		w->buffer.size = before;
		return SLO_ENOMEM;
	}
	w->restart = false;
	if (n > 0 && members[0].type == RECORD_NOW)
		w->now = e->now;
	return SLO_OK;
}

struct slice record_pending(const struct record_writer *w)
{
	return (struct slice){ (const uint8_t *)w->buffer.data, w->buffer.size };
}

void record_taken(struct record_writer *w)
{
	w->buffer.size = 0;
}
