/* What we place and what ends, to those who hear us.
 *
 * A record waits until the loop is about to sleep, and goes out with all that came in that turn as
 * one message on the channel. The mark of our key is written before: it says that so many messages
 * were told. The key itself follows in its own time (cluster_key.c).
 *
 * Two messages are at least TELL_GAP apart, so that many requests cost little more than few.
 *
 * While Redis is slow records gather, up to a limit; then they are dropped, and the key is written
 * anew when there is room. While it is away none are kept. */
#include <string.h>

#include "cluster_private.h"
#include "io/base/clock.h"

#define TELL_GAP    (SLO_NSEC_PER_MSEC / 2)
#define MESSAGE_TOP (NEWS_MESSAGE_MAX - NEWS_HEAD_MAX - NEWS_TAIL_MAX)

/* Records come */

/* The records are dropped: the key will tell. */
static void overflow(struct cluster *c)
{
	struct cluster_tell *t = &c->tell;

	t->lost += t->news.count - t->news.done;
	records_clear(&t->news);
	t->anew = true;
}

static bool wanted(const struct cluster *c)
{
	return cluster_link_is_up(&c->link) && c->tell.telling && !c->tell.anew;
}

/* For one more; NULL: all are dropped. */
static uint8_t *room(struct cluster *c)
{
	uint8_t *at = records_room(&c->tell.news);

	if (!at)
		overflow(c);
	return at;
}

static void add(struct cluster *c, const struct record *record)
{
	/* If a text of it is too long, nobody else knows such a server either. */
	if (record->len > 0)
		records_add(&c->tell.news, record);
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

struct record tell_lease(const struct cluster *c, slo_nsec now, const struct request *r,
                         uint8_t out[NEWS_RECORD_MAX])
{
	struct record record = { .peer = PEER_OURS, .publish = true };
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
	struct record record;
	uint8_t *at;

	if (!wanted(c) || !(at = room(c)))
		return;
	record = tell_lease(c, r->since, r, at);
	add(c, &record);
}

static struct news_end end_news(const struct sched_outcome *o, slo_nsec lasted)
{
	if (!o)
		return (struct news_end){
			.input = -1, .output = -1, .bytes = -1, .lasted = -1, .event = -1
		};
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
		.event = o->event,
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
	struct record record = { .peer = PEER_OURS, .publish = true };
	struct slice whose = { 0 };
	uint8_t *at;

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
	at = room(c);
	if (!at)
		return;
	record.len = (uint16_t)news_pack_end(id_of(r), whose, &end, at);
	record.id = (uint16_t)news_id_at(r->id_len);
	record.id_len = r->id_len;
	add(c, &record);
	if (record.peer == PEER_OURS && foreign_is_kept(r))
		key_gone(c, r);
}

void tell_listen(struct cluster *c, bool on)
{
	const struct foreign_news news = { on_dispatched, on_ended, c };

	foreign_listen(c->agent->sched, on ? &news : NULL);
}

/* Records go */

static struct news_head head_of(const struct cluster *c, slo_nsec now, enum news_kind kind)
{
	return (struct news_head){ .kind = kind,
		                   .name = slice_of(c->name),
		                   .incarnation = c->incarnation,
		                   .number = c->tell.number,
		                   .now = cluster_clock(c, now) };
}

/* n of those from u on that are news. What gathered one behind the other goes in one piece. */
static void put_records(struct redis_link *to, const struct records *l, const struct record *u,
                        size_t n)
{
	while (n > 0) {
		const struct record *first;
		size_t len = 0;

		while (!u->publish)
			u++;
		for (first = u; n > 0 && u->publish; u++, n--)
			len += u->len;
		redis_link_arg_part(to, record_bytes(l, first), len);
	}
}

/* n records, `len` bytes in all, as one message. They go where only others listen, so that we do
 * not get all of them back; what all have to know goes where also those listen who do not know us.
 */
static void publish(struct cluster *c, enum ask_kind kind, const struct news_head *h,
                    const struct record *u, size_t n, size_t len)
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
	put_records(to, &t->news, u, n);
	redis_link_arg_part(to, tail, tail_len);
	redis_link_arg_end(to);
}

/* What ended of others goes from their keys. */
static void clear_others(struct cluster *c, const struct record *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char key[CLUSTER_KEY_SIZE];
		const char *argv[] = { "HDEL", key, NULL };
		size_t len[] = { 4, 0, u[i].id_len };

		if (u[i].peer == PEER_OURS)
			continue;
		cluster_key(c, c->peer[u[i].peer]->name, key);
		len[1] = strlen(key);
		argv[2] = (const char *)record_bytes(&c->tell.news, &u[i]) + u[i].id;
		cluster_ask(c, ASK_NOTHING, 0, 3, argv, len);
	}
}

/* The next ones, as many as fit into a message: how many, how many of them it has, and their bytes.
 */
static size_t gather(const struct records *l, size_t *records, size_t *len)
{
	size_t n = 0;

	for (*records = *len = 0; l->done + n < l->count && n < TOGETHER_MAX; n++) {
		const struct record *u = &l->record[l->done + n];

		if (*len + u->len > MESSAGE_TOP)
			break;
		*len += u->publish ? u->len : 0;
		*records += u->publish;
	}
	return n;
}

static enum ask_kind told(const struct cluster *c)
{
	return records_wait(&c->tell.news) ? ASK_TOLD : ASK_TOLD_ALL;
}

static void tell_some(struct cluster *c, slo_nsec now)
{
	struct records *l = &c->tell.news;
	const struct record *first = &l->record[l->done];
	size_t records, len, n = gather(l, &records, &len);
	struct news_head h;

	if (records > 0) {
		c->tell.number++;
		if (!key_is_due(c, now) || !key_keep(c, now))
			key_mark(c, now);
	}
	clear_others(c, first, n);
	h = head_of(c, now, NEWS_RECORDS);
	l->done += n;
	if (records > 0)
		publish(c, told(c), &h, first, records, len);
	if (!records_wait(l))
		records_clear(l);
}

static void rewrite(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;
	struct news_head h;

	records_clear(&t->news);
	t->anew = false;
	t->number++;
	t->rewrites++;
	key_rewrite(c, now);
	h = head_of(c, now, NEWS_ANEW);
	publish(c, ASK_TOLD, &h, NULL, 0, 0);
}

/* The timer only wakes the loop, which tells before it sleeps again. */
static void on_time(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
}

void tell_init(struct cluster *c)
{
	ev_init(&c->tell.soon, on_time);
	ev_init(&c->kept.later, on_time);
}

/* Whether it is too soon, and the timer set. */
static bool waits(struct cluster *c, ev_timer *timer, slo_nsec due, slo_nsec now)
{
	if (due <= now)
		return false;
	if (!ev_is_active(timer)) {
		ev_now_update(c->agent->loop);
		ev_timer_set(timer, (double)(due - now) / 1e9, 0.);
		ev_timer_start(c->agent->loop, timer);
	}
	return true;
}

static void tell_news(struct cluster *c, slo_nsec now)
{
	c->tell.last = now;
	if (c->tell.anew)
		rewrite(c, now);
	while (records_wait(&c->tell.news) && cluster_link_has_room(&c->link))
		tell_some(c, now);
}

bool tell_is_due(const struct cluster *c)
{
	return records_wait(&c->tell.news) || c->tell.anew || key_is_behind(c);
}

void tell_flush(struct cluster *c, slo_nsec now)
{
	struct cluster_tell *t = &c->tell;

	if (!t->telling || !cluster_link_has_room(&c->link))
		return;
	if ((records_wait(&t->news) || t->anew) && !waits(c, &t->soon, t->last + TELL_GAP, now))
		tell_news(c, now);
	if (key_is_behind(c) && !t->anew && !waits(c, &c->kept.later, c->kept.due, now))
		(void)key_keep(c, now);
}

void tell_last(struct cluster *c, slo_nsec now)
{
	if (!c->tell.telling || !cluster_link_has_room(&c->link))
		return;
	tell_news(c, now);
	if (key_is_behind(c) && !c->tell.anew)
		(void)key_keep(c, now);
	cluster_link_finish(&c->link);
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
	const char *expire[] = { "EXPIRE", c->kept.key, KEEP_SECONDS };
	char agents[CLUSTER_KEY_SIZE];
	const char *add_name[] = { "SADD", agents, c->name };
	const char *keep_names[] = { "EXPIRE", agents, KEEP_SECONDS };
	struct news_head h = head_of(c, now, NEWS_BEAT);

	if (!t->telling || t->anew || !cluster_link_has_room(&c->link))
		return;
	cluster_key(c, NULL, agents);
	key_mark(c, now);
	cluster_ask(c, ASK_KEPT, 0, 3, expire, NULL);
	cluster_ask(c, ASK_NOTHING, 0, 3, add_name, NULL);
	cluster_ask(c, ASK_NOTHING, 0, 3, keep_names, NULL);
	note_processes(c, &h);
	publish(c, told(c), &h, NULL, 0, 0);
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
	ev_timer_stop(c->agent->loop, &c->kept.later);
	records_fini(&c->tell.news);
	key_fini(c);
}
