/* What is open here, to our key in Redis, for those who come later.
 *
 * Who is there already lives on the news, so the key may be behind them. As long as few requests
 * come and go it changes before each message. Beyond one field in KEEP_EACH it waits, up to
 * KEEP_GAP: a request that began and ended meanwhile never touches it, and of the others many go
 * into one command.
 *
 * Its mark has two numbers: the message that the key is up to, and the last one that was told. The
 * second is written before that message is. So whoever hears our channel, reads the mark, and reads
 * the key as soon as that is up to what the mark said was told, misses nothing: what was told later
 * is still to be heard. If we are killed the key stays behind; what was told meanwhile is known to
 * those who heard it, and to HAProxy's counts. */
#include <string.h>

#include "cluster_private.h"
#include "core/lease.h"

#define KEEP_EACH     (SLO_NSEC_PER_MSEC / 20)
#define KEEP_GAP      (100 * SLO_NSEC_PER_MSEC)
#define KEEP_TOGETHER 256 /* fields in one command, so that messages need not wait for it */

/* The mark, as the field "". */
struct mark {
	uint8_t bytes[NEWS_HEAD_MAX];
	size_t len;
};

static struct mark mark_of(const struct cluster *c, slo_nsec now)
{
	const struct news_mark m = { .incarnation = c->incarnation,
		                     .number = c->kept.number,
		                     .told = c->tell.number,
		                     .now = cluster_clock(c, now),
		                     .whole = c->own_found };
	struct mark out;

	out.len = news_pack_mark(&m, out.bytes);
	return out;
}

/* The fields that gathered, which are forgotten then; m may be NULL: without the mark. */
static void set_fields(struct cluster *c, enum ask_kind kind, const struct mark *m)
{
	struct records *f = &c->kept.fields;
	size_t fields = f->count + (m != NULL);
	struct redis_link *to = NULL;

	if (fields > 0)
		to = cluster_link_begin(&c->link, ask_of(kind, (uint32_t)f->count), 2 + 2 * fields);
	if (!to) {
		records_clear(f);
		return;
	}
	redis_link_arg(to, "HSET", 4);
	redis_link_arg(to, c->kept.key, strlen(c->kept.key));
	for (size_t i = 0; i < f->count; i++) {
		const struct record *r = &f->record[i];
		const uint8_t *p = record_bytes(f, r);

		redis_link_arg(to, p + r->id, r->id_len);
		redis_link_arg(to, p + r->value, (size_t)(r->len - r->value));
	}
	records_clear(f);
	if (!m)
		return;
	redis_link_arg(to, "", 0);
	redis_link_arg(to, m->bytes, m->len);
}

static void add_field(struct cluster *c, slo_nsec now, const struct request *r)
{
	uint8_t *at = records_room(&c->kept.fields);
	struct record record;

	if (!at) {
		c->tell.anew = true;
		return;
	}
	record = tell_lease(c, now, r, at);
	if (record.len > 0)
		records_add(&c->kept.fields, &record);
}

void key_gone(struct cluster *c, const struct request *r)
{
	const struct record record = { .len = r->id_len, .id_len = r->id_len, .peer = PEER_OURS };
	uint8_t *at = records_room(&c->kept.gone);

	if (!at) {
		c->tell.anew = true;
		return;
	}
	memcpy(at, r->id, r->id_len);
	records_add(&c->kept.gone, &record);
}

bool key_is_behind(const struct cluster *c)
{
	return records_wait(&c->kept.gone) || foreign_unkept(c->agent->sched);
}

/* A message changes nothing of the key if all that it tells of began and ended since, or is of
 * others: then the key is up to that, too. */
void key_mark(struct cluster *c, slo_nsec now)
{
	struct mark m;

	if (!key_is_behind(c) && !c->tell.anew)
		c->kept.number = c->tell.number;
	m = mark_of(c, now);
	set_fields(c, ASK_STORED, &m);
}

static void remove_some(struct cluster *c)
{
	struct records *gone = &c->kept.gone;
	size_t n = gone->count - gone->done;
	struct redis_link *to;

	n = n < KEEP_TOGETHER ? n : KEEP_TOGETHER;
	c->kept.changes += n;
	to = cluster_link_begin(&c->link, ask_of(ASK_NOTHING, 0), 2 + n);
	if (!to)
		return;
	redis_link_arg(to, "HDEL", 4);
	redis_link_arg(to, c->kept.key, strlen(c->kept.key));
	for (; n > 0; n--) {
		const struct record *r = &gone->record[gone->done++];

		redis_link_arg(to, record_bytes(gone, r), r->id_len);
	}
	if (!records_wait(gone))
		records_clear(gone);
}

/* All that was told so far. */
static void is_kept(struct cluster *c, slo_nsec now)
{
	struct cluster_kept *k = &c->kept;
	slo_nsec gap = (slo_nsec)k->changes * KEEP_EACH;

	k->number = c->tell.number;
	k->due = now + (gap < KEEP_GAP ? gap : KEEP_GAP);
	k->changes = 0;
}

static void add_some(struct cluster *c, slo_nsec now)
{
	struct sched *s = c->agent->sched;
	const struct request *r;
	struct mark m;

	while (c->kept.fields.count < KEEP_TOGETHER && (r = foreign_unkept(s))) {
		add_field(c, now, r);
		foreign_kept(s);
	}
	c->kept.changes += c->kept.fields.count;
	if (!foreign_unkept(s) && !c->tell.anew)
		is_kept(c, now);
	m = mark_of(c, now);
	set_fields(c, ASK_STORED, &m);
}

/* What ended goes first: an id may come again. */
bool key_keep(struct cluster *c, slo_nsec now)
{
	while (records_wait(&c->kept.gone) && cluster_link_has_room(&c->link))
		remove_some(c);
	if (records_wait(&c->kept.gone) || !cluster_link_has_room(&c->link))
		return false;
	do
		add_some(c, now);
	while (foreign_unkept(c->agent->sched) && cluster_link_has_room(&c->link));
	return true;
}

bool key_is_due(const struct cluster *c, slo_nsec now)
{
	return key_is_behind(c) && now >= c->kept.due;
}

/* All that is open, into a key of nothing. */

static void rewrite_add(struct cluster *c, slo_nsec now, const struct request *r)
{
	if (c->kept.fields.count == KEEP_TOGETHER)
		set_fields(c, ASK_NOTHING, NULL);
	add_field(c, now, r);
}

void key_rewrite(struct cluster *c, slo_nsec now)
{
	const char *del[] = { "DEL", c->kept.key };
	const char *expire[] = { "EXPIRE", c->kept.key, KEEP_SECONDS };
	struct sched *s = c->agent->sched;
	struct mark m;

	records_clear(&c->kept.gone);
	cluster_ask(c, ASK_NOTHING, 0, 2, del, NULL);
	for (const struct request *r = lease_first(s); r; r = lease_next(r))
		if (!foreign_owner_of(s, r))
			rewrite_add(c, now, r);
	for (const struct request *r = foreign_first(s); r; r = foreign_next(r))
		if (foreign_owner_of(s, r)->self)
			rewrite_add(c, now, r);
	while (foreign_unkept(s))
		foreign_kept(s);
	is_kept(c, now);
	m = mark_of(c, now);
	/* Out of memory: once more, later. */
	set_fields(c, ASK_NOTHING, c->tell.anew ? NULL : &m);
	cluster_ask(c, ASK_NOTHING, 0, 3, expire, NULL);
}

void key_fini(struct cluster *c)
{
	records_fini(&c->kept.gone);
	records_fini(&c->kept.fields);
}
