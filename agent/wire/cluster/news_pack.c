/* Writing. By hand: a request takes two records, and msgpack-c calls a function for each byte. */
#include <endian.h>
#include <string.h>

#include "news_private.h"
#include "wire/cluster/news.h"
#include "wire/wr.h"

/* A first byte, and the low `bytes` bytes of v, at least one. There is room for 8. */
static inline void put_wide(struct wr *w, uint8_t first, uint64_t v, size_t bytes)
{
	const uint64_t be = htobe64(v << (64 - 8 * bytes));
	uint8_t *at = wr_room(w, 1 + sizeof(be));

	if (!at)
		return;
	*at = first;
	memcpy(at + 1, &be, sizeof(be));
	w->p = at + 1 + bytes;
}

static inline void put_uint(struct wr *w, uint64_t v)
{
	if (v < 0x80)
		wr_u8(w, (uint8_t)v);
	else if (v <= UINT8_MAX)
		put_wide(w, 0xcc, v, 1);
	else if (v <= UINT16_MAX)
		put_wide(w, 0xcd, v, 2);
	else if (v <= UINT32_MAX)
		put_wide(w, 0xce, v, 4);
	else
		put_wide(w, 0xcf, v, 8);
}

static inline void put_int(struct wr *w, int64_t v)
{
	if (v >= 0)
		put_uint(w, (uint64_t)v);
	else if (v >= -32)
		wr_u8(w, (uint8_t)v);
	else
		put_wide(w, 0xd3, (uint64_t)v, 8);
}

static inline void put_array(struct wr *w, size_t n)
{
	if (n < 16)
		wr_u8(w, (uint8_t)(0x90 | n));
	else
		put_wide(w, 0xdc, n, 2);
}

static inline void put_text(struct wr *w, struct slice s)
{
	if (s.len < 32)
		wr_u8(w, (uint8_t)(0xa0 | s.len));
	else if (s.len <= NEWS_TEXT_MAX)
		put_wide(w, 0xd9, s.len, 1);
	else
		w->bad = true;
	wr_bytes(w, s);
}

static inline void put_record(struct wr *w, unsigned kind, struct slice id)
{
	put_array(w, kind == NEWS_OTHERS_END ? 4 : 3);
	put_uint(w, kind);
	put_text(w, id);
}

static size_t finish(const struct wr *w)
{
	return w->bad ? 0 : wr_len(w);
}

size_t news_pack_lease(struct slice id, const struct news_lease *l, uint8_t out[NEWS_RECORD_MAX],
                       size_t *value)
{
	struct wr w;

	wr_init(&w, out, NEWS_RECORD_MAX);
	put_record(&w, NEWS_PLACED, id);
	*value = wr_len(&w);
	put_array(&w, NEWS_LEASE_PARTS);
	put_text(&w, l->model);
	put_text(&w, l->backend);
	put_text(&w, l->server);
	put_text(&w, l->strategy);
	put_uint(&w, l->load);
	put_int(&w, l->placed);
	put_int(&w, l->input);
	put_int(&w, l->output);
	put_int(&w, l->estimate);
	put_int(&w, l->limit);
	put_int(&w, l->sequences);
	put_uint(&w, l->class);
	put_uint(&w, l->flags);
	return finish(&w);
}

size_t news_pack_end(struct slice id, struct slice owner, const struct news_end *e,
                     uint8_t out[NEWS_RECORD_MAX])
{
	struct wr w;

	wr_init(&w, out, NEWS_RECORD_MAX);
	put_record(&w, owner.len ? NEWS_OTHERS_END : NEWS_ENDED, id);
	put_array(&w, NEWS_END_PARTS + (e->event > 0));
	put_uint(&w, e->flags);
	put_uint(&w, e->outcome);
	put_int(&w, e->input);
	put_int(&w, e->output);
	put_int(&w, e->bytes);
	put_int(&w, e->cached);
	put_int(&w, e->lasted);
	put_text(&w, e->backend);
	put_text(&w, e->server);
	if (e->event > 0)
		put_int(&w, e->event);
	if (owner.len)
		put_text(&w, owner);
	return finish(&w);
}

size_t news_pack_head(const struct news_head *h, size_t records, uint8_t out[NEWS_HEAD_MAX])
{
	struct wr w;

	wr_init(&w, out, NEWS_HEAD_MAX);
	put_array(&w, NEWS_HEAD_PARTS);
	put_uint(&w, NEWS_VERSION);
	put_uint(&w, (unsigned)h->kind);
	put_text(&w, h->name);
	put_uint(&w, h->incarnation);
	put_uint(&w, h->number);
	put_int(&w, h->now);
	put_array(&w, records);
	return finish(&w);
}

size_t news_pack_tail(const struct news_head *h, uint8_t out[NEWS_TAIL_MAX])
{
	struct wr w;

	wr_init(&w, out, NEWS_TAIL_MAX);
	put_array(&w, h->processes);
	for (size_t i = 0; i < h->processes; i++)
		put_uint(&w, h->process[i]);
	return finish(&w);
}

size_t news_pack_mark(const struct news_mark *m, uint8_t out[NEWS_HEAD_MAX])
{
	struct wr w;

	wr_init(&w, out, NEWS_HEAD_MAX);
	put_array(&w, NEWS_MARK_PARTS + 1);
	put_uint(&w, NEWS_VERSION);
	put_uint(&w, m->incarnation);
	put_uint(&w, m->number);
	put_int(&w, m->now);
	put_uint(&w, m->whole);
	put_uint(&w, m->told);
	return finish(&w);
}
