/* What we place and what ends, to Redis.
 *
 * A record waits until the loop is about to sleep, and goes out with all that came in that turn:
 * one message on the channel, and the same into our key. The key changes first, its mark then, the
 * message last. So whoever hears the channel, and then reads the key, misses nothing: what is not
 * in the key up to its mark is still to be heard.
 *
 * Two of them are at least TELL_GAP apart, so that many requests cost little more than few.
 *
 * While Redis is slow records gather, up to UNTOLD_MAX; then they are dropped, and the key is
 * written anew when there is room. While it is away none are kept. */
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "core/lease.h"
#include "io/base/clock.h"

#define UNTOLD_MAX  ((size_t)4 << 20) /* bytes */
#define TELL_GAP    (SLO_NSEC_PER_MSEC / 2)
#define PEER_OURS   UINT16_MAX
#define MESSAGE_TOP (NEWS_MESSAGE_MAX - NEWS_HEAD_MAX - NEWS_TAIL_MAX)

/* Records come */

/* The records are dropped: the key will tell. */
static void overflow(struct cluster *c)
{
	struct cluster_tell *t = &c->tell;

	t->lost += t->count - t->done;
	t->len = t->done = t->count = 0;
	t->anew = true;
}

static bool make_room(struct cluster_tell *t, size_t len)
{
	if (t->len + len > t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16384;
		uint8_t *grown = t->len + len > UNTOLD_MAX ? NULL : realloc(t->bytes, cap);

		if (!grown)
			return false;
		t->bytes = grown;
		t->cap = cap;
	}
	if (t->count == t->record_cap) {
		size_t cap = t->record_cap ? 2 * t->record_cap : 256;
		struct untold *grown = reallocarray(t->record, cap, sizeof(*grown));

		if (!grown)
			return false;
		t->record = grown;
		t->record_cap = cap;
	}
	return true;
}

static bool wanted(const struct cluster *c)
{
	return cluster_link_is_up(&c->link) && c->tell.telling && !c->tell.anew;
}

static void add(struct cluster *c, const uint8_t *bytes, const struct untold *record)
{
	struct cluster_tell *t = &c->tell;

	if (record->len == 0)
		return; /* a text of it is too long: nobody else knows such a server either */
	if (!make_room(t, record->len)) {
		overflow(c);
		return;
	}
	memcpy(t->bytes + t->len, bytes, record->len);
	t->record[t->count] = *record;
	t->record[t->count++].at = (uint32_t)t->len;
	t->len += record->len;
}

static struct slice id_of(const struct request *r)
{
	return (struct slice){ (const uint8_t *)r->id, r->id_len };
}

static size_t pack_lease(const struct cluster *c, slo_nsec now, const struct request *r,
                         uint8_t out[NEWS_RECORD_MAX], size_t *value)
{
	const struct foreign_lease l = foreign_lease_of(r, now);
	const struct news_lease news = {
		.model = l.model ? slice_of(l.model->pool.name) : (struct slice){ 0 },
		.backend = roster_server_backend(roster_server(l.server)),
		.server = slice_of(l.server->name),
		.strategy = slice_of(policy_strategy_name(l.strategy)),
		.load = l.load,
		.placed = cluster_clock(c, now) - l.age / 1000,
		.input = l.input,
		.output = l.output,
		.estimate = l.estimate,
		.limit = l.limit,
		.sequences = l.sequences,
		.class = l.class,
		.flags = (l.stream ? NEWS_STREAM : 0) |
		         (l.stream_guessed ? NEWS_STREAM_GUESSED : 0) |
		         (l.fallback ? NEWS_FALLBACK : 0) | l.mute << 8,
	};

	return news_pack_lease(id_of(r), &news, out, value);
}

static struct untold lease_record(const struct cluster *c, slo_nsec now, const struct request *r,
                                  uint8_t out[NEWS_RECORD_MAX])
{
	struct untold record = { .peer = PEER_OURS, .publish = true };
	size_t value;

	record.len = (uint16_t)pack_lease(c, now, r, out, &value);
	record.value = (uint16_t)value;
	record.id = (uint16_t)news_id_at(r->id_len);
	record.id_len = r->id_len;
	return record;
}

static void on_dispatched(void *arg, const struct request *r)
{
	struct cluster *c = arg;
	uint8_t bytes[NEWS_RECORD_MAX];
	struct untold record;

	if (!wanted(c))
		return;
	record = lease_record(c, r->since, r, bytes);
	add(c, bytes, &record);
}

static struct news_end end_news(const struct sched_outcome *o, slo_nsec lasted)
{
	if (!o)
		return (struct news_end){ .input = -1, .output = -1, .bytes = -1, .lasted = -1 };
	return (struct news_end){
		.flags = NEWS_END_TOLD | (o->encoded ? NEWS_END_ENCODED : 0),
		.outcome = (uint32_t)o->outcome,
		.input = o->input,
		.output = o->output,
		.bytes = o->bytes,
		.cached = o->cached,
		.lasted = lasted < 0 ? -1 : lasted / 1000,
		.backend = o->backend,
		.server = o->server,
	};
}

/* One of another agent that is alive is that one's to tell; but it goes from its key at once, which
 * may outlive its agent. */
static void on_ended(void *arg, const struct request *r, const struct sched_outcome *outcome,
                     slo_nsec lasted)
{
	struct cluster *c = arg;
	const struct foreign_owner *owner = foreign_owner_of(c->agent->sched, r);
	const struct news_end end = end_news(outcome, lasted);
	struct untold record = { .peer = PEER_OURS, .publish = true, .ended = true };
	uint8_t bytes[NEWS_RECORD_MAX];
	struct slice whose = { 0 };

	if (!wanted(c))
		return;
	for (size_t i = 0; owner && i < c->peer_count; i++)
		if (c->peer[i]->owner == owner && !c->peer[i]->self) {
			record.peer = (uint16_t)i;
			record.publish = hear_is_silent(c->peer[i], clock_nsec());
			whose = slice_of(c->peer[i]->name);
		}
	if (owner && record.peer == PEER_OURS && !owner->self)
		return;
	record.len = (uint16_t)news_pack_end(id_of(r), whose, &end, bytes);
	record.id = (uint16_t)news_id_at(r->id_len);
	record.id_len = r->id_len;
	add(c, bytes, &record);
}

void tell_listen(struct cluster *c, bool on)
{
	const struct foreign_news news = { on_dispatched, on_ended, c };

	foreign_listen(c->agent->sched, on ? &news : NULL);
}

/* Records go */

static const uint8_t *text_of(const struct cluster_tell *t, const struct untold *u)
{
	return t->bytes + u->at;
}

static struct news_head head_of(const struct cluster *c, slo_nsec now, enum news_kind kind)
{
	return (struct news_head){ .kind = kind,
		                   .name = slice_of(c->name),
		                   .incarnation = c->incarnation,
		                   .number = c->tell.number,
		                   .now = cluster_clock(c, now) };
}

/* n records, `len` bytes in all, as one message. They go where only others listen, so that we do
 * not get all of them back; what all have to know goes where also those listen who do not know us.
 */
static void publish(struct cluster *c, enum ask_kind kind, const struct news_head *h,
                    const struct untold *u, size_t n, size_t len)
{
	const char *channel = n > 0 ? c->tell.channel : c->link.channel[0];
	struct cluster_tell *t = &c->tell;
	uint8_t head[NEWS_HEAD_MAX], tail[NEWS_TAIL_MAX];
	size_t head_len = news_pack_head(h, n, head), tail_len = news_pack_tail(h, tail);
	struct redis_link *to = cluster_link_begin(&c->link, ask_of(kind, (uint32_t)h->now), 3);

	t->told++;
	if (!to)
		return;
	redis_link_arg(to, "PUBLISH", 7);
	redis_link_arg(to, channel, strlen(channel));
	redis_link_arg_begin(to, head_len + len + tail_len);
	redis_link_arg_part(to, head, head_len);
	for (; n > 0; u++) {
		if (!u->publish)
			continue;
		redis_link_arg_part(to, text_of(t, u), u->len);
		n--;
	}
	redis_link_arg_part(to, tail, tail_len);
	redis_link_arg_end(to);
}

/* The mark of our key, as the field "". */
struct mark {
	uint8_t bytes[NEWS_HEAD_MAX];
	size_t len;
};

static struct mark mark_of(const struct cluster *c, slo_nsec now)
{
	const struct news_mark m = { c->incarnation, c->tell.number, cluster_clock(c, now),
		                     c->own_found };
	struct mark out;

	out.len = news_pack_mark(&m, out.bytes);
	return out;
}

/* What ended of others goes from their keys. */
static void clear_others(struct cluster *c, const struct untold *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char key[CLUSTER_KEY_SIZE];
		const char *argv[] = { "HDEL", key, NULL };
		size_t len[] = { 4, 0, u[i].id_len };

		if (u[i].peer == PEER_OURS)
			continue;
		cluster_key(c, c->peer[u[i].peer]->name, key);
		len[1] = strlen(key);
		argv[2] = (const char *)text_of(&c->tell, &u[i]) + u[i].id;
		cluster_ask(c, ASK_NOTHING, 0, 3, argv, len);
	}
}

static void remove_fields(struct cluster *c, const struct untold *u, size_t n, size_t gone)
{
	struct redis_link *to = cluster_link_begin(&c->link, ask_of(ASK_NOTHING, 0), 2 + gone);

	if (!to)
		return;
	redis_link_arg(to, "HDEL", 4);
	redis_link_arg(to, c->tell.key, strlen(c->tell.key));
	for (size_t i = 0; i < n; i++)
		if (u[i].peer == PEER_OURS && u[i].ended)
			redis_link_arg(to, text_of(&c->tell, &u[i]) + u[i].id, u[i].id_len);
}

/* m may be NULL: without the mark. `set` of the records are leases. */
static void set_fields(struct cluster *c, enum ask_kind kind, const struct untold *u, size_t n,
                       size_t set, const struct mark *m)
{
	struct redis_link *to;
	size_t fields = set + (m != NULL);

	if (fields == 0)
		return;
	to = cluster_link_begin(&c->link, ask_of(kind, (uint32_t)set), 2 + 2 * fields);
	if (!to)
		return;
	redis_link_arg(to, "HSET", 4);
	redis_link_arg(to, c->tell.key, strlen(c->tell.key));
	for (size_t i = 0; i < n && set > 0; i++) {
		const uint8_t *p = text_of(&c->tell, &u[i]);

		if (u[i].peer != PEER_OURS || u[i].ended)
			continue;
		redis_link_arg(to, p + u[i].id, u[i].id_len);
		redis_link_arg(to, p + u[i].value, (size_t)(u[i].len - u[i].value));
	}
	if (!m)
		return;
	redis_link_arg(to, "", 0);
	redis_link_arg(to, m->bytes, m->len);
}

/* Puts so many records into our key, and its mark last. */
static void store(struct cluster *c, const struct untold *u, size_t n, const struct mark *m)
{
	size_t set = 0, gone = 0;

	for (size_t i = 0; i < n; i++) {
		set += u[i].peer == PEER_OURS && !u[i].ended;
		gone += u[i].peer == PEER_OURS && u[i].ended;
	}
	if (gone == 0) {
		set_fields(c, ASK_STORED, u, n, set, m);
		return;
	}
	set_fields(c, ASK_STORED, u, n, set, NULL);
	remove_fields(c, u, n, gone);
	set_fields(c, ASK_STORED, u, n, 0, m);
}

/* The next ones, as many as fit into a message: how many, how many of them it has, and their bytes.
 */
static size_t gather(const struct cluster_tell *t, size_t *records, size_t *len)
{
	size_t n = 0;

	for (*records = *len = 0; t->done + n < t->count && n < TOGETHER_MAX; n++) {
		const struct untold *u = &t->record[t->done + n];

		if (*len + u->len > MESSAGE_TOP)
			break;
		*len += u->publish ? u->len : 0;
		*records += u->publish;
	}
	return n;
}

static void tell_some(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;
	const struct untold *first = &t->record[t->done];
	size_t records, len, n = gather(t, &records, &len);
	struct news_head h;
	struct mark m;

	if (records > 0)
		t->number++;
	m = mark_of(c, now);
	store(c, first, n, &m);
	clear_others(c, first, n);
	h = head_of(c, now, NEWS_RECORDS);
	t->done += n;
	if (records > 0)
		publish(c, t->done == t->count ? ASK_TOLD_ALL : ASK_TOLD, &h, first, records, len);
	if (t->done == t->count)
		t->len = t->done = t->count = 0;
}

/* All that is open, into a key of nothing. */

static void rewrite_add(struct cluster *c, slo_nsec now, const struct request *r)
{
	struct cluster_tell *t = &c->tell;
	uint8_t bytes[NEWS_RECORD_MAX];
	struct untold record;

	if (t->count == TOGETHER_MAX) {
		set_fields(c, ASK_NOTHING, t->record, t->count, t->count, NULL);
		t->len = t->count = 0;
	}
	record = lease_record(c, now, r, bytes);
	add(c, bytes, &record);
}

static void rewrite(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;
	const char *del[] = { "DEL", t->key }, *expire[] = { "EXPIRE", t->key, KEEP_SECONDS };
	struct news_head h;
	struct mark m;

	t->len = t->done = t->count = 0;
	t->anew = false;
	t->number++;
	t->rewrites++;
	cluster_ask(c, ASK_NOTHING, 0, 2, del, NULL);
	for (const struct request *r = lease_first(c->agent->sched); r; r = lease_next(r))
		if (!foreign_owner_of(c->agent->sched, r))
			rewrite_add(c, now, r);
	for (const struct request *r = foreign_first(c->agent->sched); r; r = foreign_next(r))
		if (foreign_owner_of(c->agent->sched, r)->self)
			rewrite_add(c, now, r);
	m = mark_of(c, now);
	/* Out of memory: once more, later. */
	set_fields(c, ASK_NOTHING, t->record, t->count, t->count, t->anew ? NULL : &m);
	t->len = t->count = 0;
	cluster_ask(c, ASK_NOTHING, 0, 3, expire, NULL);
	h = head_of(c, now, NEWS_ANEW);
	publish(c, ASK_TOLD, &h, NULL, 0, 0);
}

/* The timer only wakes the loop, which tells before it sleeps again. */
static void on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
}

void tell_init(struct cluster *c)
{
	ev_init(&c->tell.soon, on_soon);
}

static bool too_soon(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;
	slo_nsec left = t->last + TELL_GAP - now;

	if (left <= 0)
		return false;
	if (!ev_is_active(&t->soon)) {
		ev_now_update(c->agent->loop);
		ev_timer_set(&t->soon, (double)left / 1e9, 0.);
		ev_timer_start(c->agent->loop, &t->soon);
	}
	return true;
}

void tell_flush(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;

	if (!t->telling || !cluster_link_has_room(&c->link) || too_soon(c, now))
		return;
	t->last = now;
	if (t->anew)
		rewrite(c, now);
	while (t->done < t->count && cluster_link_has_room(&c->link))
		tell_some(c, now);
}

static void note_processes(const struct cluster *c, struct news_head *h)
{
	for (size_t i = 0; i < haproxy_api_count(c->haproxy) && i < NEWS_PROCESSES_MAX; i++) {
		uint64_t process = haproxy_api_process(c->haproxy, i);

		if (process)
			h->process[h->processes++] = process;
	}
}

void tell_beat(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;
	const char *expire[] = { "EXPIRE", t->key, KEEP_SECONDS };
	char agents[CLUSTER_KEY_SIZE];
	const char *add_name[] = { "SADD", agents, c->name };
	const char *keep_names[] = { "EXPIRE", agents, KEEP_SECONDS };
	struct news_head h = head_of(c, now, NEWS_BEAT);
	struct mark m = mark_of(c, now);

	if (!t->telling || t->anew || !cluster_link_has_room(&c->link))
		return;
	cluster_key(c, NULL, agents);
	store(c, NULL, 0, &m);
	cluster_ask(c, ASK_KEPT, 0, 3, expire, NULL);
	cluster_ask(c, ASK_NOTHING, 0, 3, add_name, NULL);
	cluster_ask(c, ASK_NOTHING, 0, 3, keep_names, NULL);
	note_processes(c, &h);
	publish(c, t->done == t->count ? ASK_TOLD_ALL : ASK_TOLD, &h, NULL, 0, 0);
}

void tell_hello(struct cluster *c, slo_nsec now)
{
	struct news_head h = head_of(c, now, NEWS_HELLO);

	publish(c, ASK_TOLD, &h, NULL, 0, 0);
}

void tell_reset(struct cluster *c)
{
	overflow(c);
}

void tell_fini(struct cluster *c)
{
	ev_timer_stop(c->agent->loop, &c->tell.soon);
	free(c->tell.bytes);
	free(c->tell.record);
}
