#include "wire/cluster/news.h"

#include <string.h>

#include "news_private.h"
#include "wire/file/msgpack_take.h"

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

/* What a later version tells behind `known` of so many parts. */
static inline void pass_over(struct rd *r, uint64_t parts, uint64_t known)
{
	if (SELDOM(parts > known) && !r->bad)
		take_any(r, parts - known);
}

/* A record's values are taken by a cursor whose address is not given away: it stays in registers.
 */

static void take_lease(struct rd *from, struct news_lease *l)
{
	struct rd r = *from;
	uint64_t n = take_array(&r, NEWS_LEASE_PARTS);

	l->model = take_text(&r, 0, NEWS_TEXT_MAX);
	l->backend = take_text(&r, 1, NEWS_TEXT_MAX);
	l->server = take_text(&r, 1, NEWS_TEXT_MAX);
	l->strategy = take_text(&r, 1, NEWS_TEXT_MAX);
	l->load = take_uint(&r, UINT64_MAX);
	l->placed = take_int(&r, TIME_MAX);
	l->input = take_int(&r, COUNT_MAX);
	l->output = take_int(&r, COUNT_MAX);
	l->estimate = take_int(&r, COUNT_MAX);
	l->limit = take_int(&r, COUNT_MAX);
	l->sequences = take_int(&r, COUNT_MAX);
	l->class = (uint32_t)take_uint(&r, UINT32_MAX);
	l->flags = (uint32_t)take_uint(&r, UINT32_MAX);
	*from = r;
	pass_over(from, n, NEWS_LEASE_PARTS);
}

static void take_end(struct rd *from, struct news_end *out)
{
	struct rd r = *from;
	uint64_t n = take_array(&r, NEWS_END_PARTS);

	out->flags = (uint32_t)take_uint(&r, UINT32_MAX);
	out->outcome = (uint32_t)take_uint(&r, UINT32_MAX);
	out->input = take_int(&r, COUNT_MAX);
	out->output = take_int(&r, COUNT_MAX);
	out->bytes = take_int(&r, COUNT_MAX);
	out->cached = take_int(&r, COUNT_MAX);
	out->lasted = take_int(&r, TIME_MAX);
	out->backend = take_text(&r, 0, NEWS_TEXT_MAX);
	out->server = take_text(&r, 0, NEWS_TEXT_MAX);
	out->event = n > NEWS_END_PARTS ? take_int(&r, COUNT_MAX) : -1;
	*from = r;
	pass_over(from, n, NEWS_END_PARTS + 1);
}

static void take_head(struct rd *r, struct news_head *out)
{
	if (take_uint(r, NEWS_VERSION) != NEWS_VERSION)
		rd_fail(r);
	out->kind = (enum news_kind)take_uint(r, NEWS_KINDS - 1);
	out->name = take_text(r, 1, NEWS_NAME_MAX);
	out->incarnation = take_uint(r, UINT64_MAX);
	out->number = take_uint(r, UINT64_MAX - 1);
	out->now = take_int(r, TIME_MAX);
	out->processes = 0;
	if (!news_is_name(out->name) || out->now < 0)
		rd_fail(r);
}

slo_err news_open(struct news_reader *reader, struct slice message, struct news_head *out)
{
	struct rd r;

	if (message.len > NEWS_MESSAGE_MAX)
		return SLO_EPROTO;
	rd_init(&r, message);
	reader->parts = take_array(&r, NEWS_HEAD_PARTS);
	take_head(&r, out);
	reader->left = take_array(&r, 0);
	reader->rest = r;
	return r.bad ? SLO_EPROTO : SLO_OK;
}

static void take_record(struct rd *r, struct news_record *out)
{
	uint64_t parts = take_array(r, 3), kind = take_uint(r, NEWS_OTHERS_END), known = 3;

	out->owner = (struct slice){ 0 };
	out->ended = kind != NEWS_PLACED;
	out->id = take_text(r, 1, NEWS_TEXT_MAX);
	if (out->ended)
		take_end(r, &out->end);
	else
		take_lease(r, &out->lease);
	if (kind == NEWS_OTHERS_END && parts > known) {
		out->owner = take_text(r, 1, NEWS_NAME_MAX);
		known++;
	}
	if (kind == NEWS_OTHERS_END && !news_is_name(out->owner))
		rd_fail(r);
	pass_over(r, parts, known);
}

slo_err news_next(struct news_reader *reader, struct news_record *out)
{
	struct rd *r = &reader->rest;
	const uint8_t *at = r->p;

	if (reader->left == 0)
		return SLO_ENOENT;
	reader->left--;
	take_record(r, out);
	if (!r->bad)
		return SLO_OK;
	*r = (struct rd){ .p = at, .end = r->end, .bad = false };
	take_any(r, 1);
	if (r->bad)
		reader->left = 0;
	return SLO_EPROTO;
}

slo_err news_close(struct news_reader *reader, struct news_head *out)
{
	struct rd *r = &reader->rest;
	uint64_t n = take_array(r, 0);

	for (; n > 0 && out->processes < NEWS_PROCESSES_MAX; n--)
		out->process[out->processes++] = take_uint(r, UINT64_MAX);
	take_any(r, n);
	pass_over(r, reader->parts, NEWS_HEAD_PARTS);
	return r->bad || rd_left(r) > 0 ? SLO_EPROTO : SLO_OK;
}

slo_err news_read_lease(struct slice value, struct news_lease *out)
{
	struct news_lease l = { 0 };
	struct rd r;

	rd_init(&r, value);
	take_lease(&r, &l);
	if (r.bad || rd_left(&r) > 0)
		return SLO_EPROTO;
	*out = l;
	return SLO_OK;
}

slo_err news_read_mark(struct slice value, struct news_mark *out)
{
	struct news_mark m = { 0 };
	struct rd r;
	uint64_t parts, known = NEWS_MARK_PARTS;

	rd_init(&r, value);
	parts = take_array(&r, NEWS_MARK_PARTS);
	if (take_uint(&r, NEWS_VERSION) != NEWS_VERSION)
		rd_fail(&r);
	m.incarnation = take_uint(&r, UINT64_MAX);
	m.number = take_uint(&r, UINT64_MAX - 1);
	m.now = take_int(&r, TIME_MAX);
	m.whole = take_uint(&r, 1) == 1;
	m.told = m.number;
	if (!r.bad && parts > known) {
		m.told = take_uint(&r, UINT64_MAX - 1);
		known++;
	}
	if (!r.bad)
		take_any(&r, parts - known);
	if (r.bad || rd_left(&r) > 0 || m.now < 0 || m.told < m.number)
		return SLO_EPROTO;
	*out = m;
	return SLO_OK;
}
